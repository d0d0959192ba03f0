//! Configurations as operators write them: nats-server's verdicts replayed, the examples in `configs/`, the tables of
//! `docs/configuration.md`, and arbitrary bytes.

#[path = "config/arbitrary.rs"]
mod arbitrary;
#[path = "config/border.rs"]
mod border;
#[path = "config/cluster.rs"]
mod cluster;
#[path = "config/doors.rs"]
mod doors;
#[path = "config/gateway.rs"]
mod gateway;
#[path = "config/identities.rs"]
mod identities;
#[path = "config/recorded.rs"]
mod recorded;
#[path = "config/tls.rs"]
mod tls;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use turnpike::policy::keys::{self, Scope, Treatment, KEYS};
use turnpike::policy::{load, Auth, Cluster, Idle, Invalid, Listen, Loaded, Secret, Settings, Source};

/// What became of a configuration.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Verdict {
    /// It starts.
    Valid,
    /// It starts, but a check fails: an old spelling.
    Deprecated,
    /// A check passes, a start fails.
    NoStart,
    /// Neither.
    Refused,
}

/// Files held in memory; an empty environment.
struct Memory(BTreeMap<PathBuf, Vec<u8>>);

impl Source for Memory {
    fn read(&mut self, path: &Path) -> io::Result<Vec<u8>> {
        self.0.get(path).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn env(&self, _: &str) -> Option<String> {
        None
    }
}

fn load_as(name: &str, text: impl Into<Vec<u8>>) -> Result<Loaded, Vec<Invalid>> {
    let files = [(PathBuf::from(name), text.into()), ("inc.conf".into(), b"debug: true\n".to_vec())];
    load(Path::new(name), &mut Memory(files.into()))
}

fn conf(text: &str) -> Result<Loaded, Vec<Invalid>> {
    load_as("f.conf", text)
}

fn wrong(text: &str) -> Vec<String> {
    conf(text).unwrap_err().iter().map(Invalid::to_string).collect()
}

fn ours(text: &str) -> Verdict {
    match conf(text) {
        Ok(l) if l.deprecations.is_empty() => Verdict::Valid,
        Ok(_) => Verdict::Deprecated,
        Err(_) => Verdict::Refused,
    }
}

/// Where our verdict differs, and on purpose.
#[rustfmt::skip]
const OTHERWISE: &[(&str, Verdict)] = &[
    // A password or limit that guards nothing is a door left open.
    ("authorization {password: b}", Verdict::Refused),
    ("accounts: 3", Verdict::Refused),
    // Numbers no one can mean: nats-server takes them for "no limit", or for something at once and for ever.
    ("max_payload: -1", Verdict::Refused),
    ("max_control_line: -1", Verdict::Refused),
    ("ping_max: -1", Verdict::Refused),
    ("ping_interval: \"-1s\"", Verdict::Refused),
    ("ping_interval: \"1us\"", Verdict::Refused),
    ("authorization {timeout: -1}", Verdict::Refused),
    // Would stand in protocol lines, where a blank ends a name.
    ("accounts {'A B' {}}", Verdict::Refused),
    // Everybody's account must not see the system's messages.
    ("system_account: '$G'", Verdict::Refused),
    // Names the default.
    ("system_account: '$SYS'", Verdict::Valid),
    // A route that nobody can dial, or to somewhere else than it seems.
    ("cluster {port: -1, routes: [nats://127.0.0.1]}", Verdict::Refused),
    ("cluster {port: -1, routes: [foo://127.0.0.1:1]}", Verdict::Refused),
    ("cluster {port: -1, routes: [\"nats://127.0.0.1:70000\"]}", Verdict::Refused),
    ("cluster {port: -1, routes: [\"nats://127.0.0.1:0\"]}", Verdict::Refused),
    ("cluster {port: -1, routes: [\"nats://:1\"]}", Verdict::Refused),
    ("cluster {port: -1, routes: [\"\"]}", Verdict::Refused),
    ("cluster {port: -1, routes: [\"nats://127.0.0.1:1/x\"]}", Verdict::Refused),
    ("cluster {port: -1, routes: [\"nats://127.0.0.1:1,nats://127.0.0.1:2\"]}", Verdict::Refused),
    ("cluster {port: -1, routes: [\"nats://:b@127.0.0.1:1\"]}", Verdict::Refused),
    // Would be dialed in the clear.
    ("cluster {port: -1, routes: [tls://127.0.0.1:1]}", Verdict::Refused),
    // nats-server dials none of them, and says nothing.
    ("cluster {name: c, routes: [nats://127.0.0.1:1]}", Verdict::Refused),
    // As for clients.
    ("cluster {port: -1, authorization {password: b}}", Verdict::Refused),
    ("cluster {port: -1, authorization {timeout: -1}}", Verdict::Refused),
    ("cluster {port: -1, connect_retries: -1}", Verdict::Refused),
    ("cluster {port: -1, ping_interval: \"-1s\"}", Verdict::Refused),
    ("cluster {port: -1, ping_max: -1}", Verdict::Refused),
    ("cluster {port: -1, name: \"a\\tb\"}", Verdict::Refused),
    // Without effect, whatever they say.
    ("cluster {port: -1, pool_size: x}", Verdict::Valid),
    ("cluster {port: -1, accounts: [A, A]}\naccounts: [A]", Verdict::Valid),
    ("cluster {port: -1, pool_size: -1, accounts: [A]}\naccounts: [A]", Verdict::Valid),
    ("cluster {port: -1, compression: bogus}", Verdict::Valid),
    ("cluster {port: -1, compression: {mode: x}}", Verdict::Valid),
    ("cluster {port: -1, compression: 3}", Verdict::Valid),
    ("cluster {port: -1, write_deadline: 3}", Verdict::Valid),
    // An empty list of nobody.
    ("cluster {port: -1, authorization {users: []}}", Verdict::Valid),
    // The scheme may be left out, whatever the host looks like.
    ("cluster {port: -1, routes: [127.0.0.1:1]}", Verdict::Valid),
    // Ours.
    ("routes: [nats://127.0.0.1:1]", Verdict::Valid),
    ("cluster {port: -1, peer_timeout: \"5s\"}", Verdict::Valid),
    ("cluster {port: -1, mesh_readiness: warn}", Verdict::Valid),
    ("listen: 4222\nroutes:\n  - nats://192.168.1.101:4222 # Address of nats-server-2\n", Verdict::Valid),
    ("cluster {\n port: -1\n routes:\n  - nats://127.0.0.1:1\n}", Verdict::Valid),
    // TOML has no other way to write a size; both spellings are one model.
    ("max_payload: \"1MB\"", Verdict::Valid),
];

#[test]
fn nats_servers_verdicts() {
    let mut differ = Vec::new();
    for (text, theirs) in recorded::RECORDED {
        // What will not start is told by the check: there is no NoStart with us.
        let expected = if *theirs == Verdict::NoStart { Verdict::Refused } else { *theirs };
        let ours = ours(text);
        match OTHERWISE.iter().find(|(t, _)| t == text) {
            Some((_, meant)) => assert!(ours == *meant && ours != expected, "{text:?} is {ours:?}"),
            None if ours != expected => differ.push(format!(
                "{text:?}: nats-server {theirs:?}, ours {ours:?} {:?}",
                conf(text).map(|l| l.deprecations)
            )),
            None => {}
        }
    }
    assert!(differ.is_empty(), "{} differ:\n{}", differ.len(), differ.join("\n"));
    for (text, _) in OTHERWISE {
        assert!(recorded::RECORDED.iter().any(|(t, _)| t == text), "{text:?} was never recorded");
    }
}

fn example(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("configs").join(name)).unwrap()
}

/// The settings of a configuration that must be right.
fn settings(name: &str, text: &str) -> Settings {
    let loaded = load_as(name, text).unwrap_or_else(|e| panic!("{name}: {e:#?}"));
    assert_eq!(loaded.deprecations, [], "{name}");
    loaded.settings
}

#[test]
fn every_example_loads_without_a_warning() {
    for entry in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("configs")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if name.ends_with(".toml") || name.ends_with(".conf") {
            let text = example(&name);
            match load_as(&name, text.as_str()) {
                Ok(mut loaded) => {
                    // A beginner's text: it says itself what is missing.
                    let beginner = name.starts_with("borders-");
                    loaded.settings.warnings.retain(|w| !(beginner && w.contains("need no credentials")));
                    assert_eq!(loaded.settings.warnings, [""; 0], "{name}");
                    assert_eq!(loaded.deprecations, [], "`turnpike -t -c {name}` fails");
                }
                Err(e) => panic!("{name}: {e:#?}"),
            }
        }
    }
}

#[test]
fn both_spellings_of_the_accounts_mean_the_same() {
    let (mut toml, conf) =
        (settings("a.toml", &example("accounts.toml")), settings("a.conf", &example("accounts.conf")));
    // The digest is that of what is written: "256KB" as text is not 256KB as a number.
    toml.digest.clone_from(&conf.digest);
    assert_eq!(toml, conf);
}

/// The lines of configs/turnpike.toml that state defaults, or the indented ones, which are examples.
fn stated(examples: bool) -> String {
    let text = example("turnpike.toml");
    // One default stands there without "#".
    let lines = text.lines().filter_map(|l| match (l.strip_prefix("#   "), l.strip_prefix('#').or(Some(l))) {
        // Prose that goes on under an indented word is further in.
        (Some(example), _) if examples => {
            example.starts_with(|c: char| c.is_ascii_lowercase() || c == '[').then_some(example)
        }
        (None, Some(default)) if !examples => {
            default.starts_with(|c: char| c.is_ascii_lowercase() || c == '[').then_some(default)
        }
        _ => None,
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn each_stated_default_is_the_default() {
    let mut all = settings("all.toml", &stated(false));
    all.digest.clear();
    assert_eq!(all, Settings::default());
    // One by one, so that no two errors hide each other.
    let mut section = String::new();
    for line in stated(false).lines() {
        if line.starts_with('[') {
            section = format!("{line}\n");
            continue;
        }
        let mut alone = settings("one.toml", &format!("{section}{line}"));
        alone.digest.clear();
        assert_eq!(alone, Settings::default(), "{line}");
    }
}

/// Does `[section]` of a TOML text set this key, or begin with it?
fn in_section(text: &str, section: &str, key: &str) -> bool {
    let mut at = "";
    text.lines().any(|line| {
        at = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')).unwrap_or(at);
        at == format!("{section}.{key}") || at == section && line.starts_with(&format!("{key} = "))
    })
}

#[test]
fn each_stated_default_of_a_cluster_is_its_default() {
    let cluster = |line: &str| {
        let text = format!("[cluster]\nlisten = \"127.0.0.1:-1\"\n{line}");
        settings("f.toml", &text).cluster.unwrap_or_else(|| panic!("{text}"))
    };
    let listen = Some(Listen { host: "127.0.0.1".into(), port: None });
    assert_eq!(cluster(""), Cluster { listen, ..Cluster::default() });
    let text = stated(false);
    let section = text.split("\n[").find_map(|s| s.strip_prefix("cluster]\n")).unwrap();
    assert!(section.lines().count() > 5, "{section}");
    let elsewhere = |l: &&str| !l.starts_with("host = ") && !l.starts_with("port = ");
    for line in section.lines().filter(elsewhere) {
        assert_eq!(cluster(line), cluster(""), "{line}");
    }
}

#[test]
fn every_known_key_is_in_the_file_of_all_settings() {
    let (defaults, examples) = (stated(false), stated(true));
    settings("examples.toml", &examples);
    for key in KEYS.iter().filter(|k| matches!(k.treatment, Treatment::Supported | Treatment::Ours)) {
        let name = key.names[0];
        if identities::OPERATORS.contains(&name) || key.scope == Scope::Resolver {
            continue;
        }
        let set = |text: &str| text.lines().any(|l| l.starts_with(&format!("{name} = ")) || l == format!("[{name}]"));
        let found = match key.scope {
            Scope::Cluster => in_section(&defaults, "cluster", name) || in_section(&examples, "cluster", name),
            Scope::ClusterAuthorization => {
                name == "permissions" || in_section(&examples, "cluster.authorization", name)
            }
            Scope::Gateway => in_section(&defaults, "gateway", name) || in_section(&examples, "gateway", name),
            Scope::GatewayAuthorization => in_section(&examples, "gateway.authorization", name),
            Scope::GatewayExport | Scope::GatewayImport => {
                let block = if key.scope == Scope::GatewayExport { "exports" } else { "imports" };
                let is = |l: &str| l.starts_with(block) && l.contains(&format!(" {name} = "));
                examples.lines().any(is)
            }
            Scope::RemoteGateway => {
                examples.lines().any(|l| l.starts_with("gateways") && l.contains(&format!(" {name} = ")))
            }
            Scope::ClusterPermissions => in_section(&examples, "cluster.permissions", name),
            Scope::Account => set(&examples) || examples.contains(&format!(".{name}]")),
            Scope::Top | Scope::Authorization | Scope::Limits => set(&defaults) || set(&examples),
            _ => examples.contains(&format!("{name} = ")),
        };
        assert!(found, "{:?} {name} is not in configs/turnpike.toml", key.scope);
    }
}

/// The part of docs/configuration.md that repeats the table of keys.
fn documented() -> String {
    let mut out = String::new();
    let scopes = [
        (Scope::Top, "At the top"),
        (Scope::Authorization, "In `authorization`"),
        (Scope::User, "In a user of `users`"),
        (Scope::Account, "In an account of `accounts`"),
        (Scope::Limits, "In an account's `limits`"),
        (Scope::Permissions, "In the `permissions` of a user, and in `default_permissions`"),
        (Scope::PermissionSubjects, "In `publish` and `subscribe` of these"),
        (Scope::Responses, "In `allow_responses` of these"),
        (Scope::Tls, "In `tls`"),
        (Scope::TlsCert, "In an entry of `certs` of `tls`"),
        (Scope::Cluster, "In `cluster`"),
        (Scope::ClusterAuthorization, "In the `authorization` of `cluster`"),
        (Scope::ClusterPermissions, "In the `permissions` of `cluster`"),
        (Scope::ClusterSubjects, "In `import` and `export` of these"),
        (Scope::Gateway, "In `gateway`"),
        (Scope::GatewayExport, "In an entry of `exports` of `gateway`"),
        (Scope::GatewayImport, "In an entry of `imports` of `gateway`"),
        (Scope::GatewayAuthorization, "In the `authorization` of `gateway`"),
        (Scope::RemoteGateway, "In a cluster of `gateways`"),
        (Scope::Leafnodes, "In `leafnodes`"),
        (Scope::Websocket, "In `websocket`"),
        (Scope::AuthCallout, "In `auth_callout`"),
        (Scope::Export, "In an export"),
        (Scope::Import, "In an import"),
        (Scope::Shared, "In `stream` and `service` of an import"),
        (Scope::Mapping, "In a mapping"),
        (Scope::MsgTrace, "In `msg_trace` of an account"),
        (Scope::Resolver, "In `resolver`"),
        (Scope::RemoteLeaf, "In a remote of `leafnodes`"),
    ];
    for (scope, title) in scopes {
        let keys: Vec<_> = KEYS.iter().filter(|k| k.scope == scope && k.treatment != Treatment::Ours).collect();
        if keys.iter().all(|k| k.treatment == Treatment::Within) {
            let what = match keys::section(scope) {
                Treatment::Refused(why) => format!("refused with the section: {why}"),
                Treatment::Warned(why) => format!("passed over with the section: {why}"),
                _ => unreachable!("a section of keys within it"),
            };
            let names: Vec<_> = keys.iter().flat_map(|k| k.names).map(|n| format!("`{n}`")).collect();
            out += &format!("\n**{title}**, {what}. Known are {}.\n", names.join(", "));
            continue;
        }
        out += &format!("\n**{title}**\n\n| key | also | treatment |\n|---|---|---|\n");
        for key in keys {
            let also: Vec<_> = key.names[1..].iter().map(|n| format!("`{n}`")).collect();
            let what = match key.treatment {
                Treatment::Refused(why) => format!("**refused**: {why}"),
                Treatment::Warned(why) => format!("warned: {why}"),
                _ => "supported".into(),
            };
            out += &format!("| `{}` | {} | {what} |\n", key.names[0], also.join(" "));
        }
    }
    out + "\n"
}

/// Run with BLESS=1 to write the table into the document.
#[test]
fn documented_as_treated() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/configuration.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let begin = text.find("<!-- keys:begin").and_then(|i| text[i..].find('\n').map(|n| i + n + 1)).unwrap();
    let end = text.find("<!-- keys:end").unwrap();
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, format!("{}{}{}", &text[..begin], documented(), &text[end..])).unwrap();
        return;
    }
    assert!(text[begin..end] == documented(), "docs/configuration.md is out of date: BLESS=1 cargo test --test config");
    for key in KEYS.iter().filter(|k| k.treatment == Treatment::Ours) {
        assert!(text.contains(&format!("| `{0}` | `{0} = ", key.names[0])), "{} is not in the docs", key.names[0]);
    }
}

fn auth(text: &str) -> Auth {
    conf(text).unwrap_or_else(|e| panic!("{text}: {e:#?}")).settings.auth
}

#[test]
fn whom_the_door_lets_in() {
    // Configuration; must a connection present credentials; does INFO say so. Observed on nats-server 2.15.2.
    let s = "users: [{user: s, password: p}]";
    for (text, required, announced) in [
        ("debug: false".to_string(), false, false),
        ("authorization {}".into(), false, false),
        ("authorization {users: []}".into(), false, false),
        ("authorization {user: a}".into(), true, true),
        ("authorization {token: t}".into(), true, true),
        ("authorization {users: [{user: a}]}".into(), true, true),
        ("accounts {A {}}".into(), false, false),
        (format!("accounts {{'$SYS' {{{s}}}}}"), false, true),
        (format!("accounts {{'$SYS' {{{s}}}}}\nauthorization {{}}"), true, true),
        (format!("accounts {{'$SYS' {{{s}}}}}\nauthorization {{timeout: 1}}"), true, true),
        (format!("accounts {{'$SYS' {{{s}}}, A {{}}}}"), true, true),
        (format!("accounts {{SYS {{{s}}}}}\nsystem_account: SYS"), false, true),
        (format!("accounts {{SYS {{{s}}}}}\nno_system_account: true"), true, true),
        (format!("accounts {{'$SYS' {{{s}}}}}\nno_system_account: true"), false, true),
        ("accounts {'$SYS' {}}".into(), false, true),
        (
            format!("accounts {{'$SYS' {{{s}}}, A {{users: [{{user: a, password: p}}]}}}}\nno_auth_user: a"),
            false,
            false,
        ),
    ] {
        let a = auth(&text);
        assert_eq!((a.required, a.announced), (required, announced), "{text}");
    }
}

#[test]
fn accounts_stand_where_everybody_looks_for_them() {
    let names = |text: &str| {
        let a = auth(text);
        let system = a.system.map(|i| a.accounts[i].name.clone());
        (a.accounts.iter().map(|a| a.name.clone()).collect::<Vec<_>>(), system)
    };
    let system = |s: &str| Some(s.to_string());
    assert_eq!(names("accounts: [A, B]"), (vec!["$G".into(), "$SYS".into(), "A".into(), "B".into()], system("$SYS")));
    assert_eq!(
        names("accounts {A {}, S {}}\nsystem_account: S"),
        (vec!["$G".into(), "S".into(), "A".into()], system("S"))
    );
    assert_eq!(names("accounts: [A]\nno_system_account: true"), (vec!["$G".into(), "A".into()], None));
    assert_eq!(auth("debug: false"), Auth::open());
    let a = auth("accounts {A {users: [{user: a, password: $2a$11$x}], limits {max_conn: 0, max_subs: -1, max_pay: 1k}}}\nauthorization {users: [{user: g, password: q}]}");
    assert_eq!(
        (a.accounts[2].max_connections, a.accounts[2].max_subscriptions, a.accounts[2].max_payload),
        (Some(0), None, Some(1000))
    );
    let users: Vec<_> = a.users.iter().map(|u| (u.name.as_str(), u.account)).collect();
    assert_eq!(users, [("a", 2), ("g", 0)]);
    assert_eq!(auth("authorization {\nPASS: x\nusers: [{user: g, password: $PASS}]}").users.len(), 1);
    assert_eq!(a.users[0].password, Secret::Bcrypt("$2a$11$x".into()));
    assert_eq!(a.users[1].password, Secret::Plain("q".into()));
}

#[test]
fn every_mistake_at_once_in_the_order_of_the_file() {
    let text =
        "port: x\nbogus: 1\n\n  max_payloda: 1\nauthorization {\n  user: a\n  token: b\n}\nlame_duck_duration: \"10s\"";
    assert_eq!(
        wrong(text),
        [
            "f.conf:1:1: port: expected an integer, found a string",
            "f.conf:2:1: unknown field \"bogus\"",
            "f.conf:4:3: unknown field \"max_payloda\", did you mean \"max_payload\"?",
            "f.conf:5:1: Cannot have a user/pass and token",
            "f.conf:9:1: invalid lame_duck_duration of 10s, minimum is 30 seconds",
        ]
    );
}

#[test]
fn the_texts_operators_know() {
    for (text, expected) in [
        (
            "authorization {user: a, password: b, users: [{user: c, password: d}]}",
            "Can not have a single user/pass and a users array",
        ),
        ("authorization {token: b, users: []}", "Can not have a token and a users array"),
        ("authorization {users: [{user: c, password: d},{user: c, password: e}]}", "Duplicate user \"c\" detected"),
        (
            "accounts {A {users: [{user: c, password: d}]}, B {users: [{user: c, password: e}]}}",
            "Duplicate user \"c\" detected",
        ),
        ("accounts: [A, A]", "Duplicate Account Entry: A"),
        ("accounts {$G {}}", "\"$G\" is a Reserved Account"),
        ("no_auth_user: x", "no_auth_user: \"x\" present, but users/nkeys are not defined"),
        (
            "authorization {users: [{user: a}]}\nno_auth_user: x",
            "no_auth_user: \"x\" not present as user or nkey in authorization block or account configuration",
        ),
        ("max_payload: 10MB\nmax_pending: 1MB", "max_payload (10485760) cannot be higher than max_pending (1048576)"),
        (
            "lame_duck_grace_period: \"3m\"",
            "lame duck grace period (3m0s) should be strictly lower than lame duck duration (2m0s)",
        ),
        ("server_name: \"a b\"", "server name cannot contain spaces"),
    ] {
        let errors = conf(text).unwrap_err();
        assert_eq!((errors.len(), errors[0].text.as_str()), (1, expected), "{text}: {errors:#?}");
    }
}

#[test]
fn every_key_is_treated_as_the_table_says() {
    for key in KEYS.iter().filter(|k| k.scope == Scope::Top) {
        for name in key.names {
            let result = load_as("f.conf", format!("{name} {{ x: 1 }}"));
            match key.treatment {
                Treatment::Refused(why) => {
                    let errors = result.unwrap_err();
                    assert_eq!((errors.len(), errors[0].text.clone()), (1, format!("{name}: {why}")));
                }
                Treatment::Warned(why) if !["leafnodes", "leaf", "websocket", "ws"].contains(name) => {
                    assert_eq!(result.unwrap().settings.warnings, [format!("{name}: {why}")]);
                }
                _ => {
                    // Known: whatever is wrong with a map as its value, it is not the name.
                    let unknown = |e: &Invalid| e.text.contains(&format!("unknown field \"{name}\""));
                    assert!(!result.is_err_and(|errors| errors.iter().any(unknown)), "{name}");
                }
            }
        }
    }
}

#[test]
fn services_not_offered_are_warned_about_once_each() {
    let text = "jetstream {max_mem: 1G}\nstore_dir: /x\nwebsocket {port: -1, no_tls: true}\nleafnodes {listen: 127.0.0.1:-1}\nmqtt {port: -1}\nprof_port: 6060\naccounts {A {jetstream: enabled}, B {jetstream: enabled}}\nocsp: false";
    let warnings = conf(text).unwrap().settings.warnings;
    let keys: Vec<_> = warnings.iter().map(|w| w.split(':').next().unwrap()).collect();
    assert_eq!(keys, ["jetstream", "store_dir", "websocket", "leafnodes", "mqtt", "prof_port"]);
    assert_eq!(wrong("websocket {prot: -1}"), ["f.conf:1:12: unknown field \"prot\", did you mean \"port\"?"]);
}

#[test]
fn a_file_of_a_client_test_suite() {
    let s = settings("f.conf", "{\n  listen: 127.0.0.1:-1, server_name: s1\n  http: 127.0.0.1:-1\n  server_tags [ \"Region:EU\" ]\n  ping_interval: \"100ms\", max_payload = 128KB\n}");
    assert_eq!((s.listen.host.as_str(), s.listen.port), ("127.0.0.1", None));
    assert_eq!(s.monitor.map(|m| (m.host, m.port)), Some(("127.0.0.1".into(), None)));
    assert_eq!((s.server_tags, s.limits.max_payload), (vec!["region:eu".to_string()], 131_072));
}

#[test]
fn our_own_keys_in_both_spellings() {
    let conf = "shards: 2\ncpus: [0, 3 ]\nidle: [park, \"spin:20us\"]\nio_memory: 256KB\nmax_pending_total: 4GB\nmemory_limit: 512MB\nmax_subscription_bytes: 1MB\nshutdown_grace: \"1s\"\nlog_format: json\nstrict_headers: true";
    let toml = "shards = 2\ncpus = \"0,3\"\nidle = [\"park\", \"spin:20us\"]\nio_memory = \"256KB\"\nmax_pending_total = \"4GB\"\nmemory_limit = \"512MB\"\nmax_subscription_bytes = \"1MB\"\nshutdown_grace = \"1s\"\nlog_format = \"json\"\nstrict_headers = true";
    let (mut a, b) = (settings("f.conf", conf), settings("f.toml", toml));
    a.digest.clone_from(&b.digest);
    assert_eq!(a, b);
    assert_eq!((a.cores.shards, a.cores.cpus), (Some(2), Some(vec![0, 3])));
    assert_eq!(a.cores.idle, [Idle::Park, Idle::Spin(std::time::Duration::from_micros(20))]);
    assert_eq!((a.limits.max_pending_total, a.strict_headers), (Some(4 << 30), true));
    assert!(!settings("f.conf", "port: 1").strict_headers);
    let limit = |text| settings("f.conf", text).limits.memory_limit;
    assert_eq!(
        (a.limits.memory_limit, limit("memory_limit: auto"), limit("memory_limit: 0")),
        (Some(512 << 20), None, Some(0))
    );
    assert_eq!((a.cores.io_memory, a.limits.max_subscription_bytes, a.log.json), (256 << 10, 1 << 20, true));
    for bad in [
        "shards: 0",
        "shards: 129",
        "shards: true",
        "cpus: x",
        "idle: sleep",
        "idle: []",
        "io_memory: 1",
        "log_format: xml",
        "max_pending_total: -1",
        "max_pending_total: much",
        "memory_limit: 1MB",
        "memory_limit: -1",
        "memory_limit: some",
        "strict: maybe",
        "strict_headers: 1",
        "shards: 2\nidle: [park, park, park]",
    ] {
        assert!(load_as("f.conf", bad).is_err(), "{bad}");
    }
}

#[test]
fn hosts_and_ports() {
    let listen = |text: &str| {
        let s = settings("f.conf", text);
        (s.listen.host, s.listen.port, s.monitor.map(|m| (m.host, m.port)))
    };
    assert_eq!(listen("port: 0"), ("0.0.0.0".into(), Some(4222), None));
    assert_eq!(listen("listen: 5000"), ("0.0.0.0".into(), Some(5000), None));
    assert_eq!(
        listen("listen: \"[::1]:5000\"\nhttp: 8222"),
        ("::1".into(), Some(5000), Some(("::1".into(), Some(8222))))
    );
    assert_eq!(listen("listen: *:5000\nhttp: \"127.0.0.1:0\""), ("0.0.0.0".into(), Some(5000), None));
    assert_eq!(listen("host: h\nport: -1\nmonitor_port: -1"), ("h".into(), None, Some(("h".into(), None))));
    for bad in ["port: 65536", "port: -2", "listen: 99999999999999999999", "http: \"h:70000\""] {
        assert!(conf(bad).is_err(), "{bad}");
    }
}
