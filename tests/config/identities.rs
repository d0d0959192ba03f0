//! Who may enter, as operators write it: keys, kinds of connections, and what of it is refused.

use super::{conf, settings, wrong};
use turnpike::policy::GLOBAL;

/// A public key of a user, made with the official library, and one of an account.
const USER: &str = "UDVEU3DD4KOFECV66VIHWEZOYX4ZKR3WV27L464SIIPOU2IUI3JCYSJF";
const ACCOUNT: &str = "ADVEU3DD4KOFECV66VIHWEZOYX4ZKR3WV27L464SIIPOU2IUI3JCZW22";

#[test]
fn what_guards_or_redirects_is_refused_wherever_it_stands() {
    let text = "proxy_protocol: true\nproxies: {}\nmappings { a: b }\nauthorization {\n users: [\n  {nkey: UX}\n  {user: a, permissions: {publish: x}}\n ]\n}\naccounts { A { mappings: {x: y}, imports: [] } }";
    let errors = conf(text).unwrap_err();
    let found: Vec<_> = errors.iter().map(|e| (e.line, e.key.as_str())).collect();
    assert_eq!(found, [(1, "proxy_protocol"), (2, "proxies"), (6, "nkey")]);
    let errors: Vec<_> = errors.into_iter().filter(|e| e.key != "nkey").collect();
    assert!(errors.iter().all(|e| e.text.contains("not supported yet")), "{errors:#?}");
    assert!(conf("proxy_protocol: false\nhttps_port: 0\naccounts {A {imports: [], exports: []}}").is_ok());
    assert_eq!(wrong("authorization {permissions: false}\ntls: false").len(), 2);
}

/// The texts are nats-server's.
#[test]
fn keys_and_kinds_that_are_none_are_named() {
    let users = |entry: &str| format!("authorization {{ users: [ {{ {entry} }} ] }}");
    for (entry, text) in [
        ("nkey: UX", "Not a valid public nkey for a user"),
        (&format!("nkey: {ACCOUNT}"), "Not a valid public nkey for a user"),
        (&format!("nkey: {USER}, user: a"), "Nkey users do not take usernames or passwords"),
        (&format!("nkey: {USER}, password: a"), "Nkey users do not take usernames or passwords"),
        ("password: a", "User entry requires a user"),
        ("user: a, password: b, allowed_connection_types: [tcp, STANDARD]", "invalid connection types [\"TCP\"]"),
    ] {
        let errors = conf(&users(entry)).unwrap_err();
        assert_eq!((errors.len(), errors[0].text.as_str()), (1, text), "{entry}");
    }
    let twice = format!("accounts {{ A {{ users: [{{nkey: {USER}}}] }}, B {{ users: [{{nkey: {USER}}}] }} }}");
    assert!(wrong(&twice)[0].ends_with(&format!("Duplicate nkey \"{USER}\" detected")));
    assert!(wrong("accounts { A { nkey: x } }")[0].ends_with("Not a valid public nkey for an account"));
}

#[test]
fn users_with_keys_and_kinds() {
    let text = format!(
        "accounts {{ A {{ users: [{{nkey: {USER}, permissions: {{publish: x}}}}, {{user: {USER}, password: p, \
         connection_types: [\"websocket\"]}}, {{user: c, password: p, clients: []}}] }} }}\nno_auth_user: {USER}"
    );
    let auth = settings("f.conf", &text).auth;
    let users: Vec<_> = auth.users.iter().map(|u| (u.name.as_str(), u.key.is_some(), u.kinds.standard)).collect();
    assert_eq!(users, [(USER, true, true), (USER, false, false), ("c", false, true)]);
    assert_eq!(auth.no_auth_user, Some(0), "a key goes before a name");
    assert!(auth.permits.of_user(Some(0)).is_some() && auth.permits.of_user(Some(1)).is_none());
    let warnings = settings("f.conf", &format!("authorization {{ users: [{{nkey: {USER}}}] }}")).warnings;
    assert!(!warnings.iter().any(|w| w.contains("password")), "{warnings:?}");
}

/// Keys that are shown in a file of their own, as they do not go together with users and accounts.
pub const OPERATORS: [&str; 6] =
    ["operator", "trusted_keys", "resolver", "resolver_preload", "resolver_pinned_accounts", "default_sentinel"];

fn shown() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/configs/operator.toml");
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn operators_are_shown_and_read() {
    let text = shown();
    for name in OPERATORS.iter().chain(&["type"]) {
        let found = text.contains(&format!("{name} = ")) || text.contains(&format!("[{name}]"));
        assert!(found, "{name} is not in configs/operator.toml");
    }
    let auth = settings("f.toml", &text).auth;
    let trust = auth.trust.unwrap();
    assert_eq!((auth.accounts.len(), auth.accounts[0].name.as_str(), auth.system), (3, GLOBAL, Some(1)));
    assert!(auth.required && auth.announced && trust.keys.len() == 2 && trust.charters.len() == 2);
    assert!(trust.charters.values().all(|c| c.void.is_none()), "{trust:?}");
}

#[test]
fn what_does_not_go_with_operators_is_named() {
    let conf_of = |more: &str| {
        let toml = shown();
        let value = |key: &str| toml.lines().find_map(|l| l.strip_prefix(&format!("{key} = "))).unwrap().to_owned();
        let preload: String =
            toml.lines().skip_while(|l| *l != "[resolver_preload]").skip(1).collect::<Vec<_>>().join("\n");
        format!("operator: {}\nresolver_preload {{\n{preload}\n}}\n{more}", value("operator"))
    };
    assert!(conf(&conf_of("resolver: MEMORY")).is_ok());
    for (more, text) in [
        ("", "operators require an account resolver to be configured"),
        ("resolver: URL(http://localhost/jwt)", "only resolver: MEMORY is served yet"),
        ("resolver { type: full, dir: x }", "only resolver: MEMORY is served yet"),
        ("resolver: MEMORY\naccounts { A {} }", "operators do not allow Accounts to be configured directly"),
        (
            "resolver: MEMORY\nauthorization { users: [{user: a, password: p}] }",
            "operators do not allow users to be configured directly",
        ),
        ("resolver: MEMORY\nno_auth_user: a", "no_auth_user not compatible with Trusted Operator"),
        ("resolver: MEMORY\nsystem_account: A", "system_account in config and operator JWT must be identical"),
        ("resolver: MEMORY\ndefault_sentinel: x", "default sentinel JWT not valid"),
        (
            "resolver: MEMORY\nresolver_pinned_accounts: [x]",
            "pinned account key \"x\" is not a valid public account nkey",
        ),
        (
            "resolver: MEMORY\ntrusted_keys: ODVEU3DD4KOFECV66VIHWEZOYX4ZKR3WV27L464SIIPOU2IUI3JCZAW4",
            "conflicting options for 'TrustedKeys' and 'TrustedOperators'",
        ),
    ] {
        let found = wrong(&conf_of(more));
        assert!(found.iter().any(|e| e.contains(text)), "{more}: {found:#?}");
    }
    let text = conf_of("resolver: MEMORY");
    let cut = text.replacen("ey", "xx", 1);
    assert!(wrong(&cut).iter().any(|e| e.contains("operator JWT")), "a file of that name is none");
    let swapped = text.replace(" = \"eyJ", " = \"eyK");
    assert!(wrong(&swapped).iter().any(|e| e.contains("invalid account JWT")));
    assert!(wrong("trusted_keys: x\nresolver: MEMORY").iter().any(|e| e.contains("valid public operator nkey")));
    assert!(wrong("default_sentinel: x").iter().any(|e| e.contains("requires operators")));
}

/// Somebody gives the secret half of a key for the public one.
#[test]
fn a_seed_that_stands_where_a_key_belongs_is_not_shown() {
    let seed = format!("SOA{}", "B7".repeat(27) + "Z");
    for conf in [
        format!("operator: {seed}\nresolver: MEMORY"),
        format!("trusted_keys: [{seed}]\nresolver: MEMORY"),
        format!("resolver_pinned_accounts: [{seed}]"),
        format!("authorization {{ users: [{{nkey: {seed}}}] }}"),
        format!("accounts {{ A {{ nkey: {seed} }} }}"),
    ] {
        let found = wrong(&conf);
        assert!(!found.is_empty() && found.iter().all(|e| !e.contains(&seed)), "{found:#?}");
    }
}
