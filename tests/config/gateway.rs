//! Gateways as operators write them: the whole block in both spellings, names that must agree, entries that are one too
//! many, and what is said about what cannot be.

use super::{conf, example, load_as, settings, stated, wrong};
use std::time::Duration;
use turnpike::policy::{Borders, Gateway, GatewayInterest, Listen, RemoteGateway, RouteLogin, RouteUrl, Settings};

fn gateway(text: &str) -> Gateway {
    settings("f.conf", text).gateway.unwrap_or_else(|| panic!("no gateway: {text}"))
}

fn url(host: &str, port: u16) -> RouteUrl {
    RouteUrl { host: host.into(), port, login: None }
}

fn remote(name: &str, urls: &[RouteUrl]) -> RemoteGateway {
    RemoteGateway { name: name.into(), urls: urls.to_vec(), entries: 1, tls: None }
}

#[test]
fn the_whole_block_in_both_spellings() {
    let conf = "gateway {\n name: east, net: 127.0.0.1, port: 7222, advertise: \"h:1\"\n \
        authorization { username: g, pass: p, timeout: 0.5 }\n reject_unknown: true, connect_retries: 3\n \
        connect_backoff: true, interest: auto, account_interest { A: optimistic, B: \"interest-only\" }\n \
        no_interest_max: 5, peer_timeout: \"4s\", write_timeout: retry\n \
        gateways: [ {name: west, url: \"nats://x:y@w:1\"}, {name: east, urls: [e:1, e:2]}, {name: n, host: h, port: 3} ]\n}";
    let toml = "[gateway]\nname = \"east\"\nlisten = \"127.0.0.1:7222\"\nadvertise = \"h:1\"\n\
        reject_unknown_cluster = true\nconnect_retries = 3\nconnect_backoff = true\ninterest = \"auto\"\n\
        account_interest = { A = \"optimistic\", B = \"interest-only\" }\nno_interest_max = 5\npeer_timeout = \"4s\"\n\
        write_timeout = \"retry\"\n[gateway.authorization]\nuser = \"g\"\npassword = \"p\"\ntimeout = \"500ms\"\n\
        [[gateway.gateways]]\nname = \"west\"\nurl = \"nats://x:y@w:1\"\n\
        [[gateway.gateways]]\nname = \"east\"\nurls = [\"e:1\", \"e:2\"]\n\
        [[gateway.gateways]]\nname = \"n\"\nhost = \"h\"\nport = 3\n";
    let login = |u: &str, p: &str| Some(RouteLogin { user: u.into(), password: p.into() });
    let expected = Gateway {
        tls: None,
        name: "east".into(),
        listen: Listen { host: "127.0.0.1".into(), port: Some(7222) },
        advertise: Some("h:1".into()),
        login: login("g", "p"),
        auth_timeout: Duration::from_millis(500),
        stranger_bytes_max: 4096,
        remotes: vec![
            remote("west", &[RouteUrl { login: login("x", "y"), ..url("w", 1) }]),
            remote("east", &[url("e", 1), url("e", 2)]),
            remote("n", &[url("h", 3)]),
        ],
        connect_retries: 3,
        reject_unknown: true,
        interest: GatewayInterest::Auto,
        account_interest: vec![("A".into(), GatewayInterest::Optimistic), ("B".into(), GatewayInterest::InterestOnly)],
        no_interest_max: 5,
        ping_interval: Duration::from_secs(4) / 6,
        peer_timeout: Duration::from_secs(4),
        borders: Borders::default(),
    };
    for (name, text) in [("f.conf", conf), ("f.toml", toml)] {
        let s = settings(name, text);
        assert_eq!((s.gateway.as_ref(), s.warnings.as_slice()), (Some(&expected), [].as_slice()), "{name}");
    }
    assert_eq!(expected.interest_of("A"), GatewayInterest::Optimistic);
    assert_eq!(expected.interest_of("C"), GatewayInterest::Auto);
    assert!(!expected.promises(), "a promise is for all accounts");
    let auto = Gateway { account_interest: vec![], ..expected.clone() };
    let optimistic = Gateway { interest: GatewayInterest::Optimistic, ..auto.clone() };
    assert!(auto.promises() && !optimistic.promises());
}

/// As beginners write it.
#[test]
fn a_list_of_clusters_with_dashes_between_braces() {
    let text = "port: 4222 # Standard NATS port for clients\ngateway {\n  name: \"cluster-A\"\n  listen: 6222\n  gateways {\n    \
        # Explicitly define the gateway server in cluster-B\n    - host: \"192.168.2.100\" # IP of gw-b\n      \
        port: 6222         # Gateway listen port on gw-b\n      name: \"cluster-B\"\n    - host: c\n      port: 1\n      \
        name: cluster-C\n  }\n}\n";
    let g = gateway(text);
    assert_eq!((g.name.as_str(), g.listen.port), ("cluster-A", Some(6222)));
    assert_eq!(g.remotes, [remote("cluster-B", &[url("192.168.2.100", 6222)]), remote("cluster-C", &[url("c", 1)])]);
}

#[test]
fn both_spellings_of_the_example_mean_the_same() {
    let (mut toml, conf) = (settings("g.toml", &example("gateway.toml")), settings("g.conf", &example("gateway.conf")));
    toml.digest.clone_from(&conf.digest);
    assert_eq!(toml, conf);
    let g = conf.gateway.unwrap();
    assert_eq!((g.name.as_str(), g.remotes.len(), g.login.is_some(), g.reject_unknown), ("east", 2, true, true));
}

#[test]
fn each_stated_default_of_a_gateway_is_its_default() {
    let gateway = |line: &str| {
        let needed = "[gateway]\nname = \"g\"\nlisten = \"127.0.0.1:-1\"\n";
        settings("f.toml", &format!("{needed}{line}")).gateway.unwrap_or_else(|| panic!("{line}"))
    };
    let listen = Listen { host: "127.0.0.1".into(), port: None };
    assert_eq!(gateway(""), Gateway { name: "g".into(), listen, ..Gateway::default() });
    let text = stated(false);
    let section = text.split("\n[").find_map(|s| s.strip_prefix("gateway]\n")).unwrap();
    assert!(section.lines().count() > 5, "{section}");
    let elsewhere = |l: &&str| !["name = ", "host = ", "port = "].iter().any(|k| l.starts_with(k));
    for line in section.lines().filter(elsewhere) {
        assert_eq!(gateway(line), gateway(""), "{line}");
    }
    assert_eq!(gateway("peer_timeout = \"8s\""), gateway(""));
    assert!(stated(true).contains("peer_timeout = \"8s\""));
}

#[test]
fn one_name_for_cluster_and_gateway() {
    let s = settings("f.conf", "cluster {listen: 127.0.0.1:-1}\ngateway {name: east, listen: 127.0.0.1:-1}");
    assert_eq!(s.cluster.unwrap().name.as_deref(), Some("east"));
    let s = settings("f.conf", "gateway {name: east, listen: 127.0.0.1:-1}");
    assert!(s.cluster.is_none());
    let both =
        |a: &str, b: &str| format!("cluster {{name: {a}, listen: 127.0.0.1:-1}}\ngateway {{name: {b}, port: -1}}");
    conf(&both("east", "east")).unwrap();
    assert_eq!(
        wrong(&both("west", "east")),
        ["f.conf:2:10: cluster name \"west\" conflicts with gateway name \"east\": they are one name"]
    );
}

#[test]
fn two_entries_of_one_name_are_taken_together_and_said() {
    let text = "gateway {name: a, listen: 127.0.0.1:-1, gateways: [{name: b, url: b:1}, {name: c, url: c:1}, \
                {name: b, urls: [b:1, b:2]}]}";
    let s = settings("f.conf", text);
    let both = RemoteGateway { entries: 2, ..remote("b", &[url("b", 1), url("b", 2)]) };
    assert_eq!(s.gateway.unwrap().remotes, [both, remote("c", &[url("c", 1)])]);
    assert_eq!(s.warnings.len(), 1);
    assert!(s.warnings[0].starts_with("gateways: 2 entries are named \"b\""), "{:?}", s.warnings);
}

#[test]
fn what_says_nothing_is_none_and_what_says_half_is_refused() {
    for nothing in ["gateway {}", "gateway {name: \"\", port: 0, gateways: []}"] {
        assert_eq!(settings("f.conf", nothing).gateway, None, "{nothing}");
    }
    for (text, said) in [
        (
            "gateway {name: a}",
            "f.conf:1:1: gateway \"a\" has no port specified (listen, or port; select -1 for random port)",
        ),
        ("gateway {port: -1}", "f.conf:1:1: gateway has no name: set it to the cluster's, the same on all its servers"),
        ("gateway {name: \"a b\", port: -1}", "f.conf:1:10: gateway name cannot contain spaces"),
        (
            "gateway {name: a, port: 70000}",
            "f.conf:1:19: port: 70000 is not a port: −1 (the system chooses) or 1 to 65535",
        ),
        (
            "gateway {name: a, port: -1, tls {}}",
            "f.conf:1:29: a tls block needs a certificate to show: give cert_file and key_file",
        ),
        (
            "gateway {name: a, port: -1, gateways: {b: 1}}",
            "f.conf:1:29: gateways: expected a list of clusters, found a map",
        ),
        ("gateway {name: a, port: -1, gateways: [{url: b:1}]}", "f.conf:1:40: a gateway in the list has no name"),
        ("gateway {name: a, port: -1, gateways: [{name: b}]}", "f.conf:1:40: gateway \"b\" has no URL"),
        (
            "gateway {name: a, port: -1, gateways: [{name: b, host: h}]}",
            "f.conf:1:40: a gateway's host and port stand together; or write url",
        ),
        (
            "gateway {name: a, port: -1, gateways: [{name: b, url: \"nats://u:secret@h\"}]}",
            "f.conf:1:50: error parsing gateway url: expected nats://[user:password@]host:port, but it names no port",
        ),
        (
            "gateway {name: a, port: -1, gateways: [{name: b, url: b:1, tls {cert_file: x}}]}",
            "f.conf:1:60: missing 'key_file' in TLS configuration",
        ),
        (
            "gateway {name: a, port: -1, gateways: [{name: b, url: \"tls://b:1\"}]}",
            "f.conf:1:50: a URL says tls://, but gateway has no tls block: add one, or write nats://",
        ),
        (
            "gateway {name: a, port: -1, interest: x}",
            "f.conf:1:29: interest must be \"auto\", \"optimistic\" or \"interest-only\"",
        ),
        (
            "gateway {name: a, port: -1, peer_timeout: \"10ms\"}",
            "f.conf:1:29: peer_timeout of a gateway must be at least 1s",
        ),
        (
            "gateway {name: a, port: -1, authorization {password: p}}",
            "f.conf:1:44: a password without a user would guard nothing: name the user too",
        ),
        (
            "gateway {name: a, port: -1, authorization {token: t}}",
            "f.conf:1:44: token: Gateway authorization does not support tokens",
        ),
        (
            "gateway {name: a, port: -1, advertise: \"a b\"}",
            "f.conf:1:29: advertise of a gateway must be host or host:port",
        ),
        (
            "gateway {name: a, port: -1, gatways: []}",
            "f.conf:1:29: unknown field \"gatways\", did you mean \"gateways\"?",
        ),
    ] {
        let found = wrong(text);
        assert!(found.contains(&said.to_string()), "{text}: {found:#?}");
        assert!(!found.iter().any(|f| f.contains("secret")), "{found:?}");
    }
    assert!(load_as("f.toml", "[gateway]\nname = \"a\"\n").is_err());
}

#[test]
fn an_open_port_is_warned_about_and_no_password_is_shown() {
    let s: Settings = settings("f.conf", "gateway {name: a, port: -1}");
    assert!(
        s.warnings.iter().any(|w| w.starts_with("gateways need no credentials on host 0.0.0.0")),
        "{:?}",
        s.warnings
    );
    let guarded = gateway("gateway {name: a, port: -1, authorization {user: u, password: s3cret}, gateways: [{name: b, url: \"x:s3cret@h:1\"}]}");
    assert!(!format!("{guarded:?}").contains("s3cret"));
    let s = settings(
        "f.conf",
        "gateway {name: a, listen: 127.0.0.1:-1, authorization {user: u, password: \"$2a$11$abc\"}}",
    );
    assert!(s.warnings[0].starts_with("gateway: from a bcrypt hash nobody can tell"), "{:?}", s.warnings);
}

/// The three files of the example that runs on one machine: of one mind about where each of them is.
#[test]
fn the_super_cluster_to_try_out_is_right() {
    let of = |name: &str| settings(name, &crate::example(&format!("supercluster/{name}")));
    let [first, second, west] = ["east-1.conf", "east-2.conf", "west-1.conf"].map(of);
    let at = |s: &Settings| s.gateway.as_ref().expect("a gateway").listen.port;
    let seed = &west.gateway.as_ref().expect("a gateway").remotes[0];
    assert_eq!((seed.name.as_str(), Some(seed.urls[0].port)), ("east", at(&first)));
    assert!([&first, &second, &west].iter().all(|s| s.listen.host == "127.0.0.1"));
    assert_eq!(first.cluster.unwrap().name, second.cluster.unwrap().name);
}
