//! Clusters as operators write them: the two lines that are enough, the whole block in both spellings, who may be a
//! route, and what is said about what cannot be.

use super::{conf, example, load_as, settings, wrong};
use std::time::Duration;
use turnpike::policy::{Cluster, Listen, RouteLogin, RoutePermissions, RouteUrl, Settings, SubjectRules};

fn cluster(text: &str) -> Cluster {
    settings("f.conf", text).cluster.unwrap_or_else(|| panic!("no cluster: {text}"))
}

fn warnings(text: &str) -> Vec<String> {
    conf(text).unwrap_or_else(|e| panic!("{text}: {e:#?}")).settings.warnings
}

fn route(host: &str, port: u16) -> RouteUrl {
    RouteUrl { host: host.into(), port, login: None }
}

fn login(user: &str, password: &str) -> Option<RouteLogin> {
    Some(RouteLogin { user: user.into(), password: password.into() })
}

fn texts(list: &[&str]) -> Vec<String> {
    list.iter().map(|s| s.to_string()).collect()
}

#[test]
fn two_servers_that_name_each_other_are_a_cluster() {
    let conf = "listen: 4222\nroutes:\n  - nats://192.168.1.101:4222 # Address of nats-server-2\n";
    let toml = "listen = 4222\nroutes = [\"nats://192.168.1.101:4222\"]\n";
    let (a, b) = (settings("f.conf", conf), settings("f.toml", toml));
    assert_eq!(a, b);
    let expected = Cluster { routes: vec![route("192.168.1.101", 4222)], ..Cluster::default() };
    assert_eq!((a.cluster, a.listen.port), (Some(expected), Some(4222)));
    assert_eq!(a.warnings.len(), 1, "{:?}", a.warnings);
    assert!(a.warnings[0].starts_with("routes need no credentials on host 0.0.0.0"), "{:?}", a.warnings);
}

#[test]
fn both_spellings_of_the_example_mean_the_same() {
    let (mut toml, conf) = (settings("c.toml", &example("cluster.toml")), settings("c.conf", &example("cluster.conf")));
    toml.digest.clone_from(&conf.digest);
    assert_eq!(toml, conf);
    let c = conf.cluster.unwrap();
    assert_eq!((c.name.as_deref(), c.routes.len(), c.login.is_some()), (Some("east"), 2, true));
}

#[test]
fn the_whole_block_in_both_spellings() {
    let conf = "cluster {\n name: east, net: 127.0.0.1, port: 6222\n cluster_advertise: \"h:1\", no_advertise: true\n \
        authorization { username: r, pass: p, timeout: 0.5 }\n permissions { import: a, export: {allow: [b, c], deny: d} }\n \
        routes: [ nats://x:y@[::1]:1, h:2 ]\n connect_retries: 3, connect_backoff: true, ping_interval: \"2s\", ping_max: 2\n \
        peer_timeout: \"9s\", mesh_readiness: warn, write_timeout: retry\n}"
        .replace("nats://x:y@[::1]:1", "\"nats://x:y@[::1]:1\"");
    let toml = "[cluster]\nname = \"east\"\nlisten = \"127.0.0.1:6222\"\nadvertise = \"h:1\"\nno_advertise = true\n\
        routes = [\"nats://x:y@[::1]:1\", \"h:2\"]\nconnect_retries = 3\nconnect_backoff = true\nping_interval = \"2s\"\n\
        ping_max = 2\npeer_timeout = \"9s\"\nmesh_readiness = \"warn\"\nwrite_timeout = \"retry\"\n\
        [cluster.authorization]\nuser = \"r\"\npassword = \"p\"\ntimeout = \"500ms\"\n\
        [cluster.permissions]\nimport = [\"a\"]\nexport = { allow = [\"b\", \"c\"], deny = [\"d\"] }\n";
    let expected = Cluster {
        tls: None,
        name: Some("east".into()),
        listen: Some(Listen { host: "127.0.0.1".into(), port: Some(6222) }),
        advertise: Some("h:1".into()),
        no_advertise: true,
        login: login("r", "p"),
        auth_timeout: Duration::from_millis(500),
        stranger_bytes_max: 4096,
        routes: vec![RouteUrl { login: login("x", "y"), ..route("::1", 1) }, route("h", 2)],
        connect_retries: 3,
        ping_interval: Duration::from_secs(2),
        peer_timeout: Duration::from_secs(9),
        permissions: Some(RoutePermissions {
            import: SubjectRules { allow: texts(&["a"]), deny: vec![] },
            export: SubjectRules { allow: texts(&["b", "c"]), deny: texts(&["d"]) },
        }),
        unready_without_mesh: false,
    };
    for (name, text) in [("f.conf", conf.as_str()), ("f.toml", toml)] {
        let s = settings(name, text);
        assert_eq!((s.cluster.as_ref(), s.warnings.as_slice()), (Some(&expected), [].as_slice()), "{name}");
    }
}

#[test]
fn where_routes_come_in() {
    let listen = |text: &str| settings("f.conf", text).cluster.map(|c| c.listen.map(|l| (l.host, l.port)));
    assert_eq!(listen("cluster {port: -1}"), Some(Some(("0.0.0.0".into(), None))));
    assert_eq!(listen("cluster {listen: 6222}"), Some(Some(("0.0.0.0".into(), Some(6222)))));
    assert_eq!(listen("cluster {listen: \"[::1]:6222\"}"), Some(Some(("::1".into(), Some(6222)))));
    assert_eq!(listen("cluster {host: h, port: 1}\nroutes: [h:2]"), Some(Some(("h".into(), Some(1)))));
    assert_eq!(listen("cluster {name: c}\nroutes: [h:2]"), Some(None));
    assert_eq!(listen("routes: []"), None);
    assert_eq!(listen("cluster {}"), None);
    assert_eq!(
        warnings("cluster {name: c}"),
        ["cluster: it has no listen or port and no routes, so this server stands alone"]
    );
    assert_eq!(
        wrong("cluster {name: c, routes: [h:2]}"),
        ["f.conf:1:19: solicited routes require cluster capabilities, e.g. --cluster nats://0.0.0.0:6222, or listen in the cluster block"]
    );
    assert_eq!(
        wrong("routes: [a:1]\ncluster {\n port: 1\n routes: [b:1]\n}"),
        ["f.conf:4:2: routes stand at the top and in cluster (lines 1 and 4): write them in one place"]
    );
}

#[test]
fn what_admits_a_client_never_admits_a_route() {
    const GUARDS: &[&str] = &[
        "authorization {user: a, password: b}",
        "authorization {token: t}",
        "authorization {users: [{user: a, password: b}]}",
        "accounts {A {users: [{user: a, password: b}]}}",
        "accounts {A {users: [{user: a, password: b}]}}\nno_auth_user: a",
        "accounts {$SYS {users: [{user: a, password: b}]}}",
    ];
    for guard in GUARDS {
        let errors = wrong(&format!("routes: [h:1]\n{guard}"));
        let (first, remedy) = errors[0].split_once('\n').unwrap();
        assert!(first.starts_with("f.conf:1:1: clients must say who they are"), "{first}");
        assert_eq!((errors.len(), remedy.lines().count()), (1, 3), "{guard}");
        // What the message shows is all there is to be added.
        let c = cluster(&format!("routes: [h:1]\n{guard}\n{remedy}"));
        assert_eq!((c.login, c.listen), (login("route", "a password"), None));
        // On a port of their own it is only warned about.
        let own = warnings(&format!("{guard}\ncluster {{port: -1, routes: [h:1]}}"));
        assert!(own.iter().any(|w| w.starts_with("routes need no credentials")), "{own:?}");
        if guard.contains("user: a") {
            let shared = wrong(&format!("routes: [h:1]\n{guard}\ncluster {{authorization {{user: a, password: z}}}}"));
            assert!(shared[0].starts_with("f.conf:1:1: user \"a\" is a client"), "{shared:?}");
        }
    }
    let toml = "routes = [\"h:1\"]\n[authorization]\ntoken = \"t\"\n";
    let errors = load_as("f.toml", toml).unwrap_err();
    let remedy = errors[0].text.split_once('\n').unwrap().1;
    assert_eq!(settings("f.toml", &format!("{toml}{remedy}")).cluster.unwrap().login, login("route", "a password"));
}

#[test]
fn an_open_door_for_routes_is_named() {
    let open = |text: &str| warnings(text).iter().any(|w| w.starts_with("routes need no credentials on host "));
    assert!(open("cluster {port: -1}") && open("cluster {listen: \"10.0.0.1:1\"}") && open("routes: [h:1]"));
    assert!(open("host: 127.0.0.1\ncluster {port: -1}"));
    for shut in [
        "cluster {listen: 127.0.0.1:1}",
        "cluster {listen: localhost:1}",
        "cluster {listen: \"[::1]:1\"}",
        "listen: \"127.0.0.1:4222\"\nroutes: [h:1]",
        "cluster {port: -1, authorization {user: a, password: b}}",
    ] {
        assert!(!open(shut), "{shut}");
    }
}

#[test]
fn how_long_a_peer_may_be_silent() {
    let times = |text: &str| {
        let loaded = conf(&format!("cluster {{listen: 127.0.0.1:-1\n {text}\n}}")).unwrap();
        let c = loaded.settings.cluster.unwrap();
        (c.ping_interval.as_millis(), c.peer_timeout.as_millis(), loaded.deprecations.len())
    };
    assert_eq!(times(""), (1000, 5000, 0));
    assert_eq!(times("ping_interval: \"2s\", ping_max: 2"), (2000, 6000, 0));
    assert_eq!(times("ping_max: 2"), (1000, 3000, 0));
    assert_eq!(times("ping_interval: \"100ms\""), (100, 500, 0));
    assert_eq!(times("ping_interval: \"10s\", ping_max: 2, peer_timeout: \"15s\""), (10_000, 15_000, 0));
    assert_eq!(times("ping_interval: \"2m\", ping_max: 1"), (30_000, 60_000, 1));
    assert_eq!(
        wrong("cluster {\n port: -1\n peer_timeout: \"1s\"\n}"),
        ["f.conf:3:2: peer_timeout must be longer than the cluster's ping_interval, which is 1s"]
    );
}

#[test]
fn what_has_no_effect_is_warned_about_once_where_it_is_written() {
    let text = "accounts: [A]\ncluster {listen: 127.0.0.1:-1, pool_size: 3, compression: s2_fast, accounts: [A]}";
    let keys: Vec<_> = warnings(text).iter().map(|w| w.split(": without effect").next().unwrap().to_string()).collect();
    assert_eq!(keys, ["pool_size", "compression", "accounts"]);
    assert_eq!(warnings("cluster {listen: 127.0.0.1:-1, compression: off, accounts: []}"), [""; 0]);
    assert_eq!(warnings("cluster {listen: 127.0.0.1:-1, write_timeout: close, write_deadline: \"1s\"}").len(), 2);
}

#[test]
fn every_mistake_of_a_cluster_at_its_place() {
    let text = "cluster {\n name: \"a b\"\n port: 70000\n lisen: x\n tls { cert_file: x }\n authorization {\n  \
        usr: a\n  password: b\n  token: t\n }\n routes: [\n  nats://u:secret@h\n  3\n ]\n permissions {\n  \
        import: \"a..b\"\n  imprt: a\n  export { alow: a, deny: [\"a b\"] }\n }\n mesh_readiness: no\n \
        advertise: \"a:b:c\"\n}";
    let found = wrong(text);
    assert_eq!(
        found,
        [
            "f.conf:2:2: cluster name cannot contain spaces",
            "f.conf:3:2: port: 70000 is not a port: −1 (the system chooses) or 1 to 65535",
            "f.conf:4:2: unknown field \"lisen\", did you mean \"listen\"?",
            "f.conf:5:2: missing 'key_file' in TLS configuration",
            "f.conf:7:3: unknown field \"usr\", did you mean \"user\"?",
            "f.conf:8:3: a password without a user would guard nothing: name the user too",
            "f.conf:9:3: token: Cluster authorization does not support tokens",
            "f.conf:12:3: error parsing route url: expected nats://[user:password@]host:port, but it names no port",
            "f.conf:13:3: routes: expected a string, found an integer",
            "f.conf:16:3: subject \"a..b\" is not a valid subject",
            "f.conf:17:3: unknown field \"imprt\", did you mean \"import\"?",
            "f.conf:18:12: unknown field \"alow\", did you mean \"allow\"?",
            "f.conf:18:28: subject \"a b\" is not a valid subject",
            "f.conf:20:2: mesh_readiness: expected a string, found a boolean",
            "f.conf:21:2: advertise of a cluster must be host or host:port",
        ]
    );
    let toml = load_as("f.toml", "[cluster]\nlisten = \"h:1\"\nroutes = [\n  \"nats://u:secret@h\",\n]\n").unwrap_err();
    assert_eq!((toml[0].line, toml[0].column, toml[0].key.as_str()), (4, 3, "routes"));
}

#[test]
fn credentials_of_routes() {
    let told = |auth: &str| warnings(&format!("cluster {{listen: 127.0.0.1:-1, authorization {{{auth}}}}}"));
    assert_eq!(told("user: a, password: b"), [""; 0]);
    assert_eq!(told("user: a"), ["cluster: user \"a\" has no password"]);
    assert!(told("user: a, password: \"$2a$11$abc\"")[0].starts_with("cluster: from a bcrypt hash nobody can tell"));
    let shown = format!(
        "{:?}",
        cluster("cluster {port: -1, authorization {user: a, password: s3cret}, routes: [a:s3cret@h:1]}")
    );
    assert!(!shown.contains("s3cret"), "{shown}");
    let open: Settings =
        settings("f.conf", "cluster {listen: 127.0.0.1:-1, authorization {user: \"\", password: \"\"}}");
    assert_eq!(open.cluster.unwrap().login, None);
}

#[test]
fn permissions_beside_authorization_and_the_old_place_within() {
    let rules = |text: &str| {
        let loaded = conf(&format!("cluster {{listen: 127.0.0.1:-1, {text}}}")).unwrap();
        (loaded.settings.cluster.unwrap().permissions, loaded.deprecations.len())
    };
    let import = RoutePermissions {
        import: SubjectRules { allow: texts(&["a", "b.>"]), deny: vec![] },
        export: SubjectRules::default(),
    };
    assert_eq!(rules("permissions {import: [a, \"b.>\"]}"), (Some(import.clone()), 0));
    assert_eq!(rules("permissions {publish: {allow: [a, \"b.>\"]}}"), (Some(import.clone()), 0));
    assert_eq!(rules("authorization {user: u, password: p, permissions {pub: [a, \"b.>\"]}}"), (Some(import), 1));
    assert_eq!(rules("permissions {import: [], export: {}}"), (None, 0));
}
