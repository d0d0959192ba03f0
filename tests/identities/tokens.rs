//! Operators, accounts and users by their tokens: who is let in, what he may do there, when he has to go, and what a reload
//! changes of that.

use super::support::differences::named;
use super::support::keys::Key;
use super::support::process::monitoring;
use super::support::raw::PATIENCE;
use super::{server, verdict, Caller, REFUSED};
use serde_json::{json, Value};
use std::time::{SystemTime, UNIX_EPOCH};
use turnpike::wire::nkey::Kind;

/// Seconds since 1970.
pub fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64
}

pub fn over(plain: &mut Value, changed: &Value) {
    match (plain, changed) {
        (Value::Object(plain), Value::Object(changed)) => {
            changed.iter().for_each(|(k, v)| over(plain.entry(k.clone()).or_insert(Value::Null), v));
        }
        (plain, changed) => *plain = changed.clone(),
    }
}

pub fn operator() -> Key {
    Key::new(Kind::Operator, 1)
}

pub fn account(n: u8) -> Key {
    Key::new(Kind::Account, 10 + n)
}

pub fn user(n: u8) -> Key {
    Key::new(Kind::User, 50 + n)
}

/// The operator's token: at all times the same, since nats-server refuses to reload another.
pub fn operators() -> String {
    let key = operator().public();
    let kind = json!({"type": "operator", "version": 2});
    operator().token(&json!({"iss": key, "sub": key, "iat": 1_700_000_000, "name": "op", "nats": kind}))
}

/// An account's token, with this changed.
pub fn accounts(n: u8, changed: &Value) -> String {
    let limits = json!({"subs": -1, "data": -1, "payload": -1, "conn": -1, "leaf": -1, "imports": -1, "exports": -1});
    let mut claims = json!({"iss": operator().public(), "sub": account(n).public(), "iat": now(), "name": format!("acc{n}"),
        "nats": {"type": "account", "version": 2, "limits": limits}});
    over(&mut claims, changed);
    operator().token(&claims)
}

/// A user's token by this key, with this changed.
pub fn users(n: u8, issuer: &Key, changed: &Value) -> String {
    let mut claims = json!({"iss": issuer.public(), "sub": user(n).public(), "iat": now() - 10, "name": format!("user{n}"),
        "nats": {"type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1}});
    over(&mut claims, changed);
    issuer.token(&claims)
}

/// A configuration with these accounts' tokens; account 9 is the system's.
pub fn conf(accounts_of: &[(u8, String)]) -> String {
    let system = (9, accounts(9, &json!({})));
    let line = |(n, token): &(u8, String)| format!("  {}: {token}\n", account(*n).public());
    let all: String = accounts_of.iter().chain([&system]).map(line).collect();
    format!(
        "operator: {}\nsystem_account: {}\nresolver: MEMORY\nresolver_preload: {{\n{all}}}\n",
        operators(),
        account(9).public()
    )
}

/// What somebody says who presents a token and signs what he is given.
pub fn with(token: String, key: Key) -> impl FnOnce(&str) -> Value {
    move |nonce| json!({"jwt": token, "sig": key.sign(nonce)})
}

pub fn inside(n: u8) -> String {
    format!("in {}", account(n).public())
}

#[test]
fn the_chain_of_signatures_leads_in_and_nothing_else_does() {
    let (plain, scoped) = (Key::new(Kind::Account, 30), Key::new(Kind::Account, 31));
    let scope = json!({"kind": "user_scope", "key": scoped.public(), "role": "r", "template": {"pub": {"allow": ["{{name()}}.>"]}}});
    let first = accounts(1, &json!({"nats": {"signing_keys": [plain.public(), scope]}}));
    let server = server(&conf(&[(1, first), (2, accounts(2, &json!({})))]));
    let by = |key: &Key, changed: Value| users(1, key, &changed);
    let of_first = json!({"nats": {"issuer_account": account(1).public()}});
    assert_eq!(verdict(&server, with(by(&account(1), json!({})), user(1))), inside(1));
    assert_eq!(verdict(&server, with(by(&account(2), json!({})), user(1))), inside(2));
    assert_eq!(verdict(&server, with(by(&plain, of_first.clone()), user(1))), inside(1));
    assert_eq!(verdict(&server, with(by(&account(9), json!({})), user(1))), inside(9));
    let bare = json!({"iss": scoped.public(), "sub": user(1).public(), "iat": now(), "name": "bob",
        "nats": {"type": "user", "version": 2, "issuer_account": account(1).public()}});
    assert_eq!(verdict(&server, with(scoped.token(&bare), user(1))), inside(1));
    for (what, token, key) in [
        ("another's signature", by(&account(1), json!({})), user(2)),
        ("a signing key without its account", by(&plain, json!({})), user(1)),
        (
            "another account's signing key",
            by(&plain, json!({"nats": {"issuer_account": account(2).public()}})),
            user(1),
        ),
        ("a scoped key that says more", by(&scoped, of_first), user(1)),
        ("an unknown account", by(&account(5), json!({})), user(1)),
        ("over", by(&account(1), json!({"exp": now() - 5})), user(1)),
        ("not yet", by(&account(1), json!({"nbf": now() + 100})), user(1)),
        ("from elsewhere", by(&account(1), json!({"nats": {"src": ["10.0.0.0/8"]}})), user(1)),
        (
            "another kind of connection",
            by(&account(1), json!({"nats": {"allowed_connection_types": ["WEBSOCKET"]}})),
            user(1),
        ),
        ("an unknown kind", by(&account(1), json!({"nats": {"allowed_connection_types": ["X"]}})), user(1)),
        ("no subject", by(&account(1), json!({"nats": {"pub": {"allow": ["a..b"]}}})), user(1)),
        ("no time of day", by(&account(1), json!({"nats": {"times": [{"start": "x", "end": "01:00:00"}]}})), user(1)),
        (
            "no place",
            by(
                &account(1),
                json!({"nats": {"times": [{"start": "00:00:00", "end": "23:59:59"}], "times_location": "No/Where"}}),
            ),
            user(1),
        ),
        ("no network", by(&account(1), json!({"nats": {"src": ["x"]}})), user(1)),
        ("a later version", by(&account(1), json!({"nats": {"version": 3}})), user(1)),
        ("an operator's", operators(), user(1)),
        ("an account's", accounts(1, &json!({})), user(1)),
        ("none", String::new(), user(1)),
        ("a wrong type", by(&account(1), json!({"nats": {"pub": 5}})), user(1)),
        ("no user", by(&account(1), json!({"sub": account(1).public()})), user(1)),
    ] {
        assert_eq!(verdict(&server, with(token, key)), REFUSED, "{what}");
    }
    let unsigned = by(&account(1), json!({}));
    let (said, _) = unsigned.rsplit_once('.').unwrap();
    for signature in ["", "AAAA", &account(2).sign(said)] {
        assert_eq!(verdict(&server, with(format!("{said}.{signature}"), user(1))), REFUSED, "{signature}");
    }
    assert_eq!(verdict(&server, |_| json!({"jwt": by(&account(1), json!({}))})), REFUSED, "no signature");
    assert_eq!(verdict(&server, |_| json!({"user": "u", "pass": "p"})), REFUSED);
    let other_header = account(1).token_under(&json!({"typ": "JWT", "alg": "none"}), &bare);
    assert_eq!(verdict(&server, with(other_header, user(1))), REFUSED);
}

#[test]
fn what_a_token_gives_is_what_its_holder_may() {
    let limited = accounts(
        2,
        &json!({"nats": {"limits": {"conn": 1, "subs": 2}, "default_permissions": {"sub": {"deny": ["no"]}}}}),
    );
    let server = server(&conf(&[(1, accounts(1, &json!({}))), (2, limited)]));
    let token = users(
        1,
        &account(1),
        &json!({"nats": {"payload": 5, "subs": 1, "pub": {"allow": ["a.>"]}, "src": ["127.0.0.0/8"],
        "times": [{"start": "00:00:00", "end": "23:59:59"}], "allowed_connection_types": ["STANDARD", "MQTT"]}}),
    );
    let mut caller = Caller::new(&server, with(token, user(1)));
    assert_eq!(caller.outcome, inside(1));
    caller.raw.write(b"SUB a.1 1\r\nSUB a.2 2\r\nPUB b 0\r\n\r\nPUB a.1 2\r\nhi\r\n");
    let mut lines: Vec<String> = Vec::new();
    while lines.len() < 3 {
        lines.push(caller.hears(PATIENCE));
    }
    assert_eq!(lines[0], "-ERR 'maximum subscriptions exceeded'");
    assert_eq!(lines[1], "-ERR 'Permissions Violation for Publish to \"b\"'");
    assert!(lines[2].starts_with("MSG a.1 1 2"), "{lines:?}");
    caller.raw.write(b"PUB a.1 6\r\n");
    assert_eq!(caller.hears(PATIENCE), "-ERR 'Maximum Payload Violation'");
    // Whom nothing is said of has what his account says.
    let mut first = Caller::new(&server, with(users(1, &account(2), &json!({})), user(1)));
    first.raw.write(b"SUB no 1\r\n");
    assert_eq!(first.hears(PATIENCE), "-ERR 'Permissions Violation for Subscription to \"no\"'");
    let full = "-ERR 'maximum account active connections exceeded'";
    assert_eq!(verdict(&server, with(users(2, &account(2), &json!({})), user(2))), full);
}

#[test]
fn bearers_and_revocations() {
    let start = now();
    let strict = accounts(2, &json!({"nats": {"limits": {"disallow_bearer": true}}}));
    let revoked = json!({"nats": {"revocations": {user(1).public(): start - 5}}});
    let all = json!({"nats": {"revocations": {"*": start - 5}}});
    let server =
        server(&conf(&[(1, accounts(1, &json!({}))), (2, strict), (3, accounts(3, &revoked)), (4, accounts(4, &all))]));
    let bearer = |n| users(1, &account(n), &json!({"nats": {"bearer_token": true}}));
    assert_eq!(verdict(&server, |_| json!({"jwt": bearer(1)})), inside(1));
    assert_eq!(verdict(&server, |_| json!({"jwt": bearer(2)})), REFUSED);
    for (n, account_n, at, may) in [
        (1, 3, -10, false),
        (1, 3, -5, false),
        (1, 3, -4, true),
        (2, 3, -10, true),
        (2, 4, -5, false),
        (2, 4, -4, true),
    ] {
        let token = users(n, &account(account_n), &json!({"iat": start + at}));
        let expected = if may { inside(account_n) } else { REFUSED.into() };
        assert_eq!(verdict(&server, with(token, user(n))), expected, "user {n} of {account_n} at {at}");
    }
}

#[test]
fn time_is_up_at_the_second() {
    let leaving = now() + 4;
    let server = server(&conf(&[(1, accounts(1, &json!({}))), (2, accounts(2, &json!({"exp": leaving})))]));
    let ends = now() + 3;
    let mut short = Caller::new(&server, with(users(1, &account(1), &json!({"exp": ends})), user(1)));
    let mut long = Caller::new(&server, with(users(2, &account(1), &json!({"exp": now() + 1000})), user(2)));
    let mut of_account = Caller::new(&server, with(users(1, &account(2), &json!({})), user(1)));
    assert_eq!((short.outcome.as_str(), of_account.outcome.as_str()), (inside(1).as_str(), inside(2).as_str()));
    assert_eq!(short.hears(PATIENCE), "-ERR 'User Authentication Expired'");
    assert!(now() >= ends, "too early");
    assert_eq!(short.hears(PATIENCE), "closed");
    assert_eq!(of_account.hears(PATIENCE), "-ERR 'Account Authentication Expired'");
    assert!(now() >= leaving, "too early");
    assert_eq!(of_account.hears(PATIENCE), "closed");
    long.raw.write(b"PING\r\n");
    assert_eq!(long.hears(PATIENCE), "PONG");
    assert_eq!(verdict(&server, with(users(1, &account(2), &json!({})), user(1))), REFUSED);
}

#[test]
fn a_reload_cuts_who_is_affected_and_nobody_else() {
    let (kept, dropped) = (Key::new(Kind::Account, 30), Key::new(Kind::Account, 31));
    let before = accounts(1, &json!({"nats": {"signing_keys": [kept.public(), dropped.public()]}}));
    let server = server(&conf(&[(1, before), (2, accounts(2, &json!({})))]));
    let of = |n: u8, key: &Key, more: Value| {
        let mut changed = json!({"nats": {"issuer_account": account(1).public()}});
        over(&mut changed, &more);
        Caller::new(&server, with(users(n, key, &changed), user(n)))
    };
    let mut stays = of(1, &kept, json!({}));
    let mut voided = of(2, &kept, json!({}));
    let mut orphaned = of(3, &dropped, json!({}));
    let mut bearer = of(4, &kept, json!({"nats": {"bearer_token": true}}));
    let mut subscribed = of(5, &account(1), json!({}));
    let mut elsewhere = Caller::new(&server, with(users(1, &account(2), &json!({})), user(1)));
    for caller in [&stays, &voided, &orphaned, &bearer, &subscribed] {
        assert_eq!(caller.outcome, inside(1));
    }
    subscribed.raw.write(b"SUB secret 7\r\nPING\r\n");
    assert_eq!(subscribed.hears(PATIENCE), "PONG");
    let after = json!({"nats": {"signing_keys": [kept.public()], "revocations": {user(2).public(): now()},
        "limits": {"disallow_bearer": true}, "default_permissions": {"sub": {"deny": ["secret"]}}}});
    server.reload(&conf(&[(1, accounts(1, &after)), (2, accounts(2, &json!({})))]));
    assert_eq!(voided.hears(PATIENCE), "-ERR 'User Authentication Revoked'");
    assert_eq!(voided.hears(PATIENCE), "closed");
    assert_eq!(bearer.hears(PATIENCE), REFUSED);
    assert_eq!(orphaned.hears(PATIENCE), "closed");
    let denied = "-ERR 'Permissions Violation for Subscription to \"secret\" (sid \"7\")'";
    assert_eq!(subscribed.hears(PATIENCE), denied);
    for caller in [&mut stays, &mut elsewhere, &mut subscribed] {
        caller.raw.write(b"PING\r\n");
        assert_eq!(caller.hears(PATIENCE), "PONG");
    }
}

#[test]
fn operators_are_named_by_file_or_text() {
    let folder = std::env::temp_dir().join(format!("operator-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("op.jwt");
    std::fs::write(
        &file,
        format!("-----BEGIN NATS OPERATOR JWT-----\n{}\n------END NATS OPERATOR JWT------\n", operators()),
    )
    .unwrap();
    let preload = format!("resolver_preload: {{ {}: {} }}\n", account(1).public(), accounts(1, &json!({})));
    for head in [
        format!("operator: \"{}\"\nresolver: MEMORY\n", file.display()),
        format!("operator: [{}]\nresolver: MEM\n", operators()),
        format!("trusted_keys: {}\nresolver: MEMORY\n", operator().public()),
        format!("trusted: [{}]\nresolver: MEMORY\n", operator().public()),
    ] {
        let server = server(&format!("{head}{preload}"));
        assert_eq!(verdict(&server, with(users(1, &account(1), &json!({})), user(1))), inside(1), "{head}");
        assert_eq!(verdict(&server, |_| json!({})), REFUSED);
    }
    std::fs::remove_dir_all(&folder).ok();
}

/// What monitoring and the system account are told of a token: who signed it, which words it has, and itself where it is not
/// enough to come in.
#[test]
fn what_a_token_says_of_its_holder_is_shown() {
    let signer = Key::new(Kind::Account, 30);
    let server =
        server(&conf(&[(1, accounts(1, &json!({"nats": {"signing_keys": [signer.public()], "tags": ["x:y"]}})))]));
    let mut watch = Caller::new(&server, with(users(9, &account(9), &json!({})), user(9)));
    let subject = format!("$SYS.ACCOUNT.{}.CONNECT", account(1).public());
    watch.raw.write(format!("SUB {subject} 1\r\nPING\r\n").as_bytes());
    assert_eq!(watch.hears(PATIENCE), "PONG");
    let signed = users(1, &signer, &json!({"nats": {"tags": ["a:b", "c"], "issuer_account": account(1).public()}}));
    let one = Caller::new(&server, with(signed.clone(), user(1)));
    let bearer = users(2, &account(1), &json!({"nats": {"bearer_token": true}}));
    let two = Caller::new(&server, |_| json!({"jwt": bearer}));
    assert_eq!((&one.outcome, &two.outcome), (&inside(1), &inside(1)));
    let told = |c: &Value| ["jwt", "issuer_key", "name_tag", "tags"].map(|key| c[key].clone());
    let expected = [
        [json!(signed), json!(signer.public()), json!("acc1"), json!(["a:b", "c"])],
        [Value::Null, json!(account(1).public()), json!("acc1"), Value::Null],
    ];
    let connz = monitoring(server.monitor(), "/connz?auth=1");
    let shown: Vec<_> = connz["connections"].as_array().unwrap()[1..].iter().map(told).collect();
    assert_eq!(shown, expected);
    let silent = monitoring(server.monitor(), "/connz");
    assert!(silent["connections"].as_array().unwrap().iter().all(|c| told(c).iter().all(Value::is_null)));
    let listed = named("bearer-told");
    let may_show = if server.which().is_turnpike() { listed.turnpike } else { listed.peer };
    for (n, mut expected) in expected.into_iter().enumerate() {
        if n == 1 && may_show == "jwt" {
            expected[0] = json!(bearer);
        }
        let event = watch.hears(PATIENCE);
        let body: Value = serde_json::from_str(event.split_once("\r\n").expect("a message").1).expect("JSON");
        assert_eq!(told(&body["client"]), expected, "{body}");
    }
}
