//! Users with keys, users without credentials, kinds of connections, and what all of them are to one another.

use super::support::keys::Key;
use super::{server, verdict, Caller, REFUSED};
use serde_json::json;
use std::collections::BTreeSet;
use turnpike::wire::nkey::Kind;

fn users() -> [Key; 3] {
    [1, 2, 3].map(|n| Key::new(Kind::User, n))
}

#[test]
fn a_key_lets_in_by_its_signature_alone() {
    let [a, b, stranger] = users();
    let conf = format!(
        "accounts {{ A {{ users: [{{nkey: {}}}] }}, B {{ users: [{{nkey: {}}}, {{user: u, password: p}}] }} }}",
        a.public(),
        b.public()
    );
    let server = server(&conf);
    let signed = |key: &Key| {
        let key = key.clone();
        move |nonce: &str| json!({"nkey": key.public(), "sig": key.sign(nonce)})
    };
    assert_eq!(verdict(&server, signed(&a)), "in A");
    assert_eq!(verdict(&server, signed(&b)), "in B");
    assert_eq!(verdict(&server, signed(&stranger)), REFUSED);
    assert_eq!(verdict(&server, |_| json!({"user": "u", "pass": "p"})), "in B");
    let padded = |nonce: &str| {
        let url = a.sign(nonce).replace('-', "+").replace('_', "/");
        json!({"nkey": a.public(), "sig": format!("{url}==")})
    };
    assert_eq!(verdict(&server, padded), "in A");
    // Missing, another's, of another text, for another key; beside a password that is right.
    assert_eq!(verdict(&server, |_| json!({"nkey": a.public()})), REFUSED);
    assert_eq!(verdict(&server, |n| json!({"nkey": a.public(), "sig": b.sign(n)})), REFUSED);
    assert_eq!(verdict(&server, |_| json!({"nkey": a.public(), "sig": a.sign("")})), REFUSED);
    assert_eq!(verdict(&server, |n| json!({"nkey": b.public(), "sig": a.sign(n)})), REFUSED);
    assert_eq!(verdict(&server, |n| json!({"nkey": a.public(), "sig": b.sign(n), "user": "u", "pass": "p"})), REFUSED);
    assert_eq!(verdict(&server, |_| json!({"nkey": "X", "user": "u", "pass": "p"})), REFUSED);
    assert_eq!(verdict(&server, |_| json!({"user": a.public(), "pass": ""})), REFUSED);
    assert_eq!(verdict(&server, |_| json!({})), REFUSED);
}

/// Advisory 38: no length of a key or a signature does anything but refuse.
#[test]
fn keys_and_signatures_of_any_length_are_refused_and_the_server_lives() {
    let [a, ..] = users();
    let server = server(&format!("authorization {{ users: [{{nkey: {}}}] }}", a.public()));
    let longer = |text: String, n: usize| format!("{text}{}", "A".repeat(64))[..n].to_owned();
    for n in (0..=64).step_by(4).chain([55, 63, 85, 86]) {
        let signature = |nonce: &str| json!({"nkey": a.public(), "sig": longer(a.sign(nonce), n)});
        assert_eq!(verdict(&server, signature), if n == 86 { "in $G" } else { REFUSED }, "{n} letters");
        let key = |nonce: &str| json!({"nkey": longer(a.public(), n), "sig": a.sign(nonce)});
        assert_eq!(verdict(&server, key), if n == 56 { "in $G" } else { REFUSED }, "{n} letters of a key");
    }
}

#[test]
fn a_nonce_is_said_once_and_never_again() {
    let [a, ..] = users();
    let server = server(&format!("authorization {{ users: [{{nkey: {}}}] }}", a.public()));
    let mut seen = BTreeSet::new();
    for _ in 0..20 {
        let mut caller = Caller::new(&server, |nonce| {
            assert_eq!(nonce.len(), 15, "{nonce}");
            assert!(seen.insert(nonce.to_owned()), "{nonce} was said before");
            json!({"nkey": a.public(), "sig": a.sign(nonce)})
        });
        assert_eq!(caller.outcome, "in $G");
        caller.raw.write(b"PING\r\n");
    }
    // What was signed for one connection opens no other.
    let used = seen.first().unwrap().clone();
    assert_eq!(verdict(&server, |_| json!({"nkey": a.public(), "sig": a.sign(&used)})), REFUSED);
}

#[test]
fn without_keys_there_is_no_nonce() {
    let server = server("authorization { users: [{user: u, password: p}] }");
    let seen = verdict(&server, |nonce| {
        assert_eq!(nonce, "");
        json!({"nkey": "whatever", "user": "u", "pass": "p"})
    });
    assert_eq!(seen, "in $G");
}

/// Whoever presents nothing is who `no_auth_user` says, with all that restricts him (advisories 31 and 39).
#[test]
fn who_presents_nothing_is_held_to_what_that_user_may() {
    let [a, b, _] = users();
    let conf = |anonymous: &str, kinds: &str| {
        format!(
            "accounts {{ A {{ users: [{{nkey: {}, allowed_connection_types: [{kinds}]}}] }}\n B {{ users: [{{user: u, \
             password: p, allowed_connection_types: [{kinds}]}}] }} }}\nno_auth_user: {anonymous}",
            a.public()
        )
    };
    for (kinds, may) in
        [("STANDARD", true), ("standard, websocket", true), ("WEBSOCKET, MQTT", false), ("LEAFNODE", false)]
    {
        for (anonymous, account) in [(a.public(), "in A"), ("u".into(), "in B")] {
            let server = server(&conf(&anonymous, kinds));
            let expected = |account| if may { account } else { REFUSED };
            assert_eq!(verdict(&server, |_| json!({})), expected(account), "{anonymous} {kinds}");
            assert_eq!(verdict(&server, |_| json!({"user": "u", "pass": "p"})), expected("in B"), "{kinds}");
            let signed = |n: &str| json!({"nkey": a.public(), "sig": a.sign(n)});
            assert_eq!(verdict(&server, signed), expected("in A"), "{kinds}");
            assert_eq!(verdict(&server, |_| json!({"user": "u", "pass": "x"})), REFUSED);
            assert_eq!(verdict(&server, |_| json!({"auth_token": "x"})), REFUSED);
            assert_eq!(verdict(&server, |n| json!({"nkey": b.public(), "sig": b.sign(n)})), REFUSED);
            // Another operation first, which is the other way in.
            let mut raw = super::Raw::connect(server.clients());
            raw.write(b"SUB a 1\r\nPING\r\n");
            let first = match raw.next(super::PATIENCE) {
                super::Next::Frame(frame) => String::from_utf8_lossy(&frame).trim_end().to_owned(),
                other => format!("{other:?}"),
            };
            // A user with a key is lent only to who says CONNECT.
            assert_eq!(first, if may && anonymous == "u" { "+OK" } else { REFUSED }, "{anonymous} {kinds}");
        }
    }
}

#[test]
fn permissions_of_a_key_hold() {
    let [a, ..] = users();
    let server = server(&format!(
        "authorization {{ users: [{{nkey: {}, permissions: {{publish: \"a.>\", subscribe: {{deny: b}}}}}}] }}",
        a.public()
    ));
    let mut caller = Caller::new(&server, |nonce| json!({"nkey": a.public(), "sig": a.sign(nonce)}));
    caller.raw.write(b"PUB b 0\r\n\r\nPUB a.1 0\r\n\r\nSUB b 1\r\nPING\r\n");
    let lines: Vec<String> = (0..3).map(|_| caller.hears(super::PATIENCE)).filter(|l| !l.starts_with("INFO")).collect();
    assert_eq!(lines[0], "-ERR 'Permissions Violation for Publish to \"b\"'");
    assert_eq!(lines[1], "-ERR 'Permissions Violation for Subscription to \"b\"'");
}

#[test]
fn a_reload_cuts_who_is_no_user_any_more_and_nobody_else() {
    let [a, b, c] = users();
    let conf =
        |first: &str, second: &str| format!("accounts {{ A {{ users: [{first}] }}\n B {{ users: [{second}] }} }}\n");
    let nkey = |key: &Key| format!("{{nkey: {}}}", key.public());
    let before = conf(
        &format!("{}, {}, {{user: stays, password: p}}, {{user: other, password: old}}", nkey(&a), nkey(&b)),
        &format!("{}, {{user: moves, password: p}}, {{user: goes, password: p}}", nkey(&c)),
    );
    let server = server(&before);
    let signed = |key: &Key| {
        let key = key.clone();
        Caller::new(&server, move |nonce| json!({"nkey": key.public(), "sig": key.sign(nonce)}))
    };
    let named = |user: &str, pass: &str| Caller::new(&server, |_| json!({"user": user, "pass": pass}));
    let (mut first, mut second, mut third) = (signed(&a), signed(&b), signed(&c));
    let (mut stays, mut other) = (named("stays", "p"), named("other", "old"));
    let (mut moves, mut goes) = (named("moves", "p"), named("goes", "p"));
    for (caller, account) in
        [(&first, "A"), (&second, "A"), (&third, "B"), (&stays, "A"), (&other, "A"), (&moves, "B"), (&goes, "B")]
    {
        assert_eq!(caller.outcome, format!("in {account}"));
    }
    // One key goes, one moves; a password is another now, one user moves, one goes.
    let after = conf(
        &format!(
            "{}, {{user: stays, password: p}}, {{user: other, password: new}}, {{user: moves, password: p}}",
            nkey(&a)
        ),
        &nkey(&b),
    );
    server.reload(&after);
    assert_eq!(other.hears(super::PATIENCE), REFUSED);
    for (caller, what) in
        [(&mut second, "a key that moved"), (&mut third, "a key that went"), (&mut moves, "moved"), (&mut goes, "gone")]
    {
        assert_eq!(caller.hears(super::PATIENCE), "closed", "{what}");
    }
    for caller in [&mut first, &mut stays] {
        caller.raw.write(b"PING\r\n");
        assert_eq!(caller.hears(super::PATIENCE), "PONG");
    }
    assert_eq!(verdict(&server, |nonce| json!({"nkey": b.public(), "sig": b.sign(nonce)})), "in B");
    assert_eq!(verdict(&server, |_| json!({"user": "other", "pass": "new"})), "in A");
    assert_eq!(verdict(&server, |_| json!({"user": "goes", "pass": "p"})), REFUSED);
}
