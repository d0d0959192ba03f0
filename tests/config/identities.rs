//! Who may enter, as operators write it: keys, kinds of connections, and what of it is refused.

use super::{conf, settings, wrong};

/// A public key of a user, made with the official library, and one of an account.
const USER: &str = "UDVEU3DD4KOFECV66VIHWEZOYX4ZKR3WV27L464SIIPOU2IUI3JCYSJF";
const ACCOUNT: &str = "ADVEU3DD4KOFECV66VIHWEZOYX4ZKR3WV27L464SIIPOU2IUI3JCZW22";

#[test]
fn what_guards_or_redirects_is_refused_wherever_it_stands() {
    let text = "tls { cert_file: x }\ncluster { tls: {} }\nmappings { a: b }\nauthorization {\n users: [\n  {nkey: UX}\n  {user: a, permissions: {publish: x}}\n ]\n}\naccounts { A { exports: [{stream: x}], imports: [] } }";
    let errors = conf(text).unwrap_err();
    let found: Vec<_> = errors.iter().map(|e| (e.line, e.key.as_str())).collect();
    assert_eq!(found, [(1, "tls"), (2, "tls"), (3, "mappings"), (6, "nkey"), (10, "exports")]);
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
