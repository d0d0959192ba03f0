//! Tests of the reading of tokens; whole tokens of the official library stand in `tests/identities`.

use super::*;
use ed25519_dalek::{Signer as _, SigningKey};
use serde_json::{json, Value};

fn key(kind: Kind, n: u8) -> (SigningKey, String) {
    let secret = SigningKey::from_bytes(&[n; 32]);
    let text = crate::wire::nkey::encode(kind, secret.verifying_key().as_bytes());
    (secret, text)
}

fn signed(secret: &SigningKey, header: &Value, claims: &Value) -> String {
    let said = format!("{}.{}", URL.encode(header.to_string()), URL.encode(claims.to_string()));
    format!("{said}.{}", URL.encode(secret.sign(said.as_bytes()).to_bytes()))
}

fn header() -> Value {
    json!({"typ": "JWT", "alg": "ed25519-nkey"})
}

fn user(more: &Value) -> Value {
    let mut nats = json!({"type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1});
    nats.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({"iss": key(Kind::Account, 1).1, "sub": key(Kind::User, 2).1, "iat": 5, "name": "n", "nats": nats})
}

fn token(claims: &Value) -> String {
    signed(&key(Kind::Account, 1).0, &header(), claims)
}

#[test]
fn a_user_is_read_and_known_to_be_signed_or_not() {
    let text = token(&user(&json!({"pub": {"allow": ["a", "b"]}, "resp": {"max": 2, "ttl": 3}, "bearer_token": true})));
    let read = read::<User>(&text).unwrap();
    assert!(read.is_signed());
    assert_eq!((read.claims.iat, read.claims.name.as_str()), (5, "n"));
    let grant = &read.claims.nats.grant;
    assert_eq!((grant.publish.allow.as_slice(), grant.bearer_token), (["a".into(), "b".into()].as_slice(), true));
    assert_eq!(grant.resp, Some(Responses { max: 2, ttl: 3 }));
    // Every other text of the same parts is not what was signed.
    let (said, signature) = text.rsplit_once('.').unwrap();
    let (head, body) = said.split_once('.').unwrap();
    let other = URL.encode(user(&json!({"subs": 5})).to_string());
    for changed in [format!("{head}.{other}.{signature}"), token(&user(&json!({}))).replace(body, &other)] {
        assert!(super::read::<User>(&changed)
            .map_or(true, |t| changed == text || !t.is_signed() || !changed.contains(&other)));
    }
    let forged = super::read::<User>(&format!("{head}.{other}.{signature}")).unwrap();
    assert!(!forged.is_signed());
}

/// Advisory 2: what is missing or of another type is an error or nothing, and never more.
#[test]
fn fields_of_another_type_are_errors_and_null_is_nothing() {
    assert!(read::<User>(&token(&user(&json!({"pub": null, "tags": null, "src": null, "times": null, "resp": null}))))
        .is_ok());
    let wrong = [json!(5), json!("x"), json!({}), json!([[]]), json!(true), json!(1.5), json!(1e300)];
    let fields = [
        "pub",
        "sub",
        "resp",
        "src",
        "times",
        "times_location",
        "subs",
        "data",
        "payload",
        "bearer_token",
        "proxy_required",
        "allowed_connection_types",
        "issuer_account",
        "tags",
        "type",
        "version",
    ];
    for field in fields {
        for value in &wrong {
            // Whatever is read is what was written.
            let text = token(&user(&json!({field: value})));
            if let Ok(read) = read::<User>(&text) {
                assert_eq!((read.claims.nats.kind.as_str(), read.claims.nats.version), ("user", 2), "{field} {value}");
            }
        }
    }
    for field in ["exp", "iat", "nbf", "iss", "sub", "name", "nats"] {
        for value in &wrong {
            let mut claims = user(&json!({}));
            claims[field] = value.clone();
            let _ = read::<User>(&token(&claims));
            claims.as_object_mut().unwrap().remove(field);
            let _ = read::<User>(&token(&claims));
        }
    }
    assert_eq!(read::<User>(&token(&user(&json!({"subs": "x"})))).unwrap_err(), Flaw::Claims);
    assert_eq!(read::<User>(&token(&user(&json!({"subs": 1e300})))).unwrap_err(), Flaw::Claims);
}

#[test]
fn what_is_no_such_token_is_told_why_not() {
    let good = token(&user(&json!({})));
    let flaw = |text: &str| read::<User>(text).unwrap_err();
    for text in
        ["", ".", "..", "a.b", "a.b.c.d", "!.b.c", &good[..good.len() - 4], &format!("{good}.x"), &"a".repeat(2 << 20)]
    {
        assert!(matches!(flaw(text), Flaw::Form | Flaw::Algorithm), "{text:.20}");
    }
    let secret = key(Kind::Account, 1).0;
    for alg in ["none", "HS256", "ed25519", "", "ed25519-nkey2"] {
        let text = signed(&secret, &json!({"typ": "JWT", "alg": alg}), &user(&json!({})));
        assert_eq!(flaw(&text), Flaw::Algorithm, "{alg}");
    }
    assert!(read::<User>(&signed(&secret, &json!({"typ": "jwt", "alg": "Ed25519-NKEY"}), &user(&json!({})))).is_ok());
    for (field, value) in [("type", json!("account")), ("version", json!(1)), ("version", json!(3))] {
        assert_eq!(flaw(&token(&user(&json!({field: value})))), Flaw::Kind);
    }
    let with = |field: &str, value: Value| {
        let mut claims = user(&json!({}));
        claims[field] = value;
        flaw(&token(&claims))
    };
    assert_eq!(with("type", json!("user")), Flaw::Kind);
    assert_eq!(with("iss", json!(key(Kind::Operator, 1).1)), Flaw::Issuer);
    assert_eq!(with("iss", json!("")), Flaw::Issuer);
    assert_eq!(with("sub", json!(key(Kind::Account, 1).1)), Flaw::Claims);
    assert_eq!(read::<Account>(&good).unwrap_err(), Flaw::Kind);
    let deep = "[".repeat(100_000);
    let body = format!("{}.{}.{}", URL.encode(header().to_string()), URL.encode(deep), URL.encode([0; 64]));
    assert_eq!(flaw(&body), Flaw::Claims);
}

#[test]
fn signing_keys_are_plain_or_scoped_and_a_templates_limits_are_none_if_unwritten() {
    let scope = json!({"kind": "user_scope", "key": "K", "role": "r", "template": {"pub": {"deny": [">"]}, "subs": 3}});
    let nats = json!({"type": "account", "version": 2, "signing_keys": ["P", scope], "revocations": {"*": 9},
        "limits": {"subs": -1, "conn": 5, "mem_storage": 7}, "imports": [{"any": "thing"}], "exports": null});
    let claims = json!({"iss": key(Kind::Operator, 1).1, "sub": key(Kind::Account, 2).1, "nats": nats});
    let read = super::read::<Account>(&signed(&key(Kind::Operator, 1).0, &header(), &claims)).unwrap().claims.nats;
    let Signer::Scoped(scoped) = &read.signing_keys[1] else { panic!("{read:?}") };
    assert_eq!(read.signing_keys[0], Signer::Plain("P".into()));
    assert_eq!((scoped.template.subs, scoped.template.payload, scoped.template.data), (3, -1, -1));
    assert_eq!((read.limits.conn, read.limits.payload, read.imports.len()), (5, 0, 1));
    assert_eq!(read.revocations["*"], 9);
}

#[test]
fn networks_are_a_list_or_a_text() {
    let networks = |src: Value| read::<User>(&token(&user(&json!({"src": src})))).unwrap().claims.nats.grant.src;
    assert_eq!(networks(json!(["10.0.0.0/8"])), ["10.0.0.0/8"]);
    assert_eq!(networks(json!("10.0.0.0/8, 192.168.0.0/16")), ["10.0.0.0/8", "192.168.0.0/16"]);
}

#[test]
fn tokens_stand_between_dashes_or_alone() {
    let file = "-----BEGIN NATS OPERATOR JWT-----\neyJ0.x.y\n------END NATS OPERATOR JWT------\n\n----BEGIN X----\nz\n";
    assert_eq!(undecorated(file), "eyJ0.x.y");
    assert_eq!(undecorated("  eyJ0.x.y\n"), "eyJ0.x.y");
    assert_eq!(undecorated("---\n---"), "---\n---");
}
