//! Doors that ask nobody who he is, and what a configuration hides.

use super::{load_as, wrong};
use turnpike::base::Cid;
use turnpike::policy::settings::{RouteLogin, User};
use turnpike::policy::tree::Value;
use turnpike::policy::trust::Sentinel;
use turnpike::policy::{Proof, RouteUrl, Secret, Text, Verdict};
use turnpike::wire::gateway::GatewayConnect;
use turnpike::wire::hello::Connect;
use turnpike::wire::route::RouteConnect;
use turnpike::{gateways, mesh};

#[test]
fn strict_refuses_doors_that_ask_nobody() {
    let open = [
        ("", "strict: Whoever reaches 0.0.0.0:4222"),
        ("listen: \"[::]:4222\"", "strict: Whoever reaches [::]:4222"),
        ("authorization {token: t}\nrouted", "strict: routes need no credentials on host 0.0.0.0"),
        ("authorization {token: t}\nlinked", "strict: gateways need no credentials on host 0.0.0.0"),
    ];
    for (conf, why) in open {
        let conf = conf.replace("routed", "cluster {port: 6222}").replace("linked", "gateway {name: g, port: 7222}");
        assert!(load_as("f.conf", format!("{conf}\nstrict: false")).is_ok(), "{conf}");
        let said = wrong(&format!("{conf}\nstrict: true"));
        assert!(said.len() == 1 && said[0].contains(why), "{said:?}");
        // Where, and what is to be done about it.
        let line = format!("f.conf:{}:", conf.matches('\n').count() + 2);
        assert!(
            said[0].starts_with(&line) && said[0].contains("authorization") && said[0].contains("127.0.0.1"),
            "{said:?}"
        );
        let toml = conf.replace(": ", " = ").replace("{token = t}", "= {token = 't'}").replace("{port", "= {port");
        let toml = toml.replace("{name = g, port", "= {name = 'g', port");
        let said = load_as("f.toml", format!("{toml}\nstrict = true")).unwrap_err();
        assert!(said.len() == 1 && said[0].to_string().contains(why), "{said:?}");
    }
    for conf in [
        "listen: 127.0.0.1:4222\ncluster {listen: localhost:6222}",
        "authorization {token: t}\ncluster {port: 6222, authorization {user: r, password: p}}",
        "authorization {token: t}\ngateway {name: g, port: 7222, authorization {user: r, password: p}}",
        "listen: 127.0.0.1:4222\ngateway {name: g, listen: \"127.0.0.1:7222\"}",
        "accounts {A {users: [{user: a, password: b}]}}\nno_auth_user: a",
    ] {
        assert!(load_as("f.conf", format!("{conf}\nstrict: true")).is_ok(), "{conf}");
    }
}

/// What a panic might print of a configuration: no secret, wherever one stands in it.
#[test]
fn settings_shown_for_debugging_tell_no_secret() {
    let conf = "authorization { users: [ {user: a, password: s3cr3t-a}, {user: b, password: \"$2a$04$s3cr3t\"} ] }
        cluster { name: c, port: 6222, authorization { user: r, password: s3cr3t-r }, routes: [ \"nats://r:s3cr3t@h:1\" ] }
        gateway { name: c, port: 7222, authorization { user: g, password: s3cr3t-g }
            gateways: [ { name: w, url: \"nats://g:s3cr3t@h:2\" } ] }";
    let loaded = load_as("f.conf", conf.to_string()).unwrap_or_else(|e| panic!("{e:?}"));
    let token = load_as("f.conf", "authorization { token: s3cr3t }".to_string()).unwrap_or_else(|e| panic!("{e:?}"));
    for shown in [format!("{loaded:?}"), format!("{token:?}"), format!("{:#?}", loaded.settings)] {
        assert!(!shown.contains("s3cr3t") && shown.contains("auth"), "{shown}");
    }
}

/// What holds a secret shows it to nobody who prints it, whether it comes from a configuration or over a connection.
#[test]
fn what_holds_a_secret_does_not_show_it() {
    let connect =
        r#"{"user":"u","pass":"s3cr3t","auth_token":"s3cr3t","sig":"s3cr3t","jwt":"s3cr3t","name":"c","cluster":"c"}"#;
    let mut client = Connect::default();
    client.update(connect.as_bytes()).expect("a CONNECT");
    let secret = || String::from("s3cr3t");
    let proof = || Proof::Password { hash: secret(), password: secret() };
    let login = RouteLogin { user: "r".into(), password: secret() };
    for shown in [
        format!("{client:?}"),
        format!("{:?}", RouteConnect::parse(connect.as_bytes()).expect("a CONNECT")),
        format!("{:?}", GatewayConnect::parse(connect.as_bytes()).expect("a CONNECT")),
        format!("{:?}", mesh::Act::Verify { link: Cid(1), ip: "i".into(), proof: proof() }),
        format!("{:?}", gateways::Act::Verify { link: Cid(1), ip: "i".into(), proof: proof() }),
        format!("{:?}", Verdict::Check { account: 0, user: None, proof: proof() }),
        format!("{:?}", RouteUrl { host: "h".into(), port: 1, login: Some(login) }),
        format!("{:?}", (Secret::Plain(secret()), Secret::Bcrypt(secret()), Sentinel(secret()), Text(secret()))),
        format!("{:?}", User::named("u", Secret::Plain(secret()), 0)),
        format!("{:?}", Value::String(secret())),
    ] {
        assert!(!shown.contains("s3cr3t") && shown.len() > 5, "{shown}");
    }
}
