//! Doors that ask nobody who he is, and what a configuration hides.

use super::{load_as, wrong};

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
