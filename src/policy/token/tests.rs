//! Tests of the verdict on users' tokens: who comes in is who the chain of signatures says, and nobody else does.

use super::*;
use crate::policy::Signed;
use crate::wire::nkey::encode;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::Engine;
use ed25519_dalek::{Signer, SigningKey};
use serde_json::{json, Value};

/// The time of these tests.
const NOW: i64 = 1_800_000_000;

struct Key(Kind, SigningKey);

impl Key {
    fn new(kind: Kind, n: u8) -> Key {
        Key(kind, SigningKey::from_bytes(&[n; 32]))
    }

    fn public(&self) -> String {
        encode(self.0, self.1.verifying_key().as_bytes())
    }

    fn sign(&self, text: &str) -> String {
        URL_SAFE_NO_PAD.encode(self.1.sign(text.as_bytes()).to_bytes())
    }

    fn token(&self, claims: &Value) -> String {
        let part = |v: &Value| URL_SAFE_NO_PAD.encode(v.to_string());
        let said = format!("{}.{}", part(&json!({"typ": "JWT", "alg": "ed25519-nkey"})), part(claims));
        format!("{said}.{}", self.sign(&said))
    }
}

fn operator() -> Key {
    Key::new(Kind::Operator, 1)
}

fn account(n: u8) -> Key {
    Key::new(Kind::Account, 10 + n)
}

fn user() -> Key {
    Key::new(Kind::User, 50)
}

/// `changed` goes over `plain`, maps into maps.
fn over(plain: &mut Value, changed: &Value) {
    match (plain, changed) {
        (Value::Object(plain), Value::Object(changed)) => {
            changed.iter().for_each(|(k, v)| over(plain.entry(k.clone()).or_insert(Value::Null), v));
        }
        (plain, changed) => *plain = changed.clone(),
    }
}

/// An operator's world: account 1 with this in its token, account 2, and no others.
fn trust(changed: &Value) -> Trust {
    let mut trust = Trust { keys: [operator().public()].into(), ..Trust::default() };
    for n in [1, 2] {
        let limits = json!({"subs": -1, "data": -1, "payload": -1, "conn": -1, "imports": -1, "exports": -1});
        let mut claims = json!({"iss": operator().public(), "sub": account(n).public(), "name": format!("acc{n}"),
            "nats": {"type": "account", "version": 2, "limits": limits, "tags": ["zone:z"]}});
        if n == 1 {
            over(&mut claims, changed);
        }
        let token = jwt::read::<jwt::Account>(&operator().token(&claims)).unwrap();
        assert!(token.is_signed());
        trust.charters.insert(account(n).public(), Charter::of(&token, 1 + usize::from(n), &trust));
    }
    trust
}

/// What a user says, issued by this key.
fn said_by(issuer: &Key, changed: &Value) -> Value {
    let mut claims = json!({"iss": issuer.public(), "sub": user().public(), "iat": NOW - 100, "name": "bob",
        "nats": {"type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1}});
    over(&mut claims, changed);
    claims
}

fn presented(token: &str, nonce: &str) -> Connect {
    Connect { jwt: token.into(), sig: user().sign(nonce), ..Connect::default() }
}

const CALLER: Caller<'static> = Caller { nonce: "n0nce", ip: "10.1.2.3", peer: None, now_s: NOW };

/// Who comes in once the proof was looked at.
fn enters(trust: &Trust, connect: &Connect) -> Result<Pass, Refusal> {
    let (pass, proof) = decide(trust, connect, &CALLER)?;
    let signed = match &proof {
        Proof::Signatures(all) | Proof::Within { signed: all, .. } => all,
        Proof::Password { .. } => panic!("no passwords here"),
    };
    assert_eq!(signed.len(), if pass.bearer { 1 } else { 2 });
    signed.iter().all(Signed::holds).then_some(*pass).ok_or(Refusal::Key)
}

fn verdict(in_account: &Value, of_user: &Value) -> Result<Pass, Refusal> {
    enters(&trust(in_account), &presented(&account(1).token(&said_by(&account(1), of_user)), "n0nce"))
}

#[test]
fn the_chain_of_signatures_leads_in() {
    let pass = verdict(&json!({}), &json!({"nats": {"subs": 5, "payload": 100}})).unwrap();
    assert_eq!(
        (pass.account, pass.user, pass.max_subscriptions, pass.max_payload),
        (2, user().public(), Some(5), Some(100))
    );
    assert_eq!((pass.permissions, pass.by_signing_key, pass.expires), (None, false, 0));
    // A signing key, in the name of its account and of no other.
    let key = Key::new(Kind::Account, 30);
    let signing = json!({"nats": {"signing_keys": [key.public()]}});
    let by_key = |account_key: &str| key.token(&said_by(&key, &json!({"nats": {"issuer_account": account_key}})));
    let pass = enters(&trust(&signing), &presented(&by_key(&account(1).public()), "n0nce")).unwrap();
    assert_eq!((pass.account, pass.by_signing_key), (2, true));
    for other in [account(2).public(), key.public(), user().public(), "x".into()] {
        assert!(enters(&trust(&signing), &presented(&by_key(&other), "n0nce")).is_err(), "{other}");
    }
    assert!(enters(&trust(&json!({})), &presented(&by_key(&account(1).public()), "n0nce")).is_err());
}

#[test]
fn nobody_comes_in_without_the_signatures() {
    let trust = trust(&json!({}));
    let good = account(1).token(&said_by(&account(1), &json!({})));
    assert!(enters(&trust, &presented(&good, "n0nce")).is_ok());
    assert_eq!(enters(&trust, &presented(&good, "other")), Err(Refusal::Key), "replayed");
    assert_eq!(enters(&trust, &Connect { sig: String::new(), ..presented(&good, "n0nce") }), Err(Refusal::Key));
    let anothers = Key::new(Kind::User, 51).sign("n0nce");
    assert_eq!(enters(&trust, &Connect { sig: anothers, ..presented(&good, "n0nce") }), Err(Refusal::Key));
    assert_eq!(enters(&trust, &Connect::default()), Err(Refusal::Missing));
    // Signed by somebody else than who is named; by an account nobody knows; by the operator himself.
    let forged = account(2).token(&said_by(&account(1), &json!({})));
    assert_eq!(enters(&trust, &presented(&forged, "n0nce")), Err(Refusal::Key));
    let unknown = account(9).token(&said_by(&account(9), &json!({})));
    assert_eq!(enters(&trust, &presented(&unknown, "n0nce")), Err(Refusal::Account));
    let claimed = account(9).token(&said_by(&account(9), &json!({"nats": {"issuer_account": account(1).public()}})));
    assert_eq!(enters(&trust, &presented(&claimed, "n0nce")), Err(Refusal::Issuer));
    let above = operator().token(&said_by(&operator(), &json!({})));
    assert_eq!(enters(&trust, &presented(&above, "n0nce")), Err(Refusal::Missing));
}

#[test]
fn accounts_that_are_void_over_or_not_yet_let_nobody_in() {
    let user = json!({});
    for changed in [
        json!({"exp": NOW}),
        json!({"exp": NOW - 5}),
        json!({"nbf": NOW + 1}),
        json!({"nats": {"limits": {"imports": 0}, "imports": [{}]}}),
        json!({"nats": {"default_permissions": {"pub": {"deny": ["a..b"]}}}}),
        json!({"nats": {"signing_keys": ["nonsense"]}}),
        json!({"nats": {"authorization": {"auth_users": ["U"]}}}),
    ] {
        assert_eq!(verdict(&changed, &user), Err(Refusal::Account), "{changed}");
    }
    assert!(verdict(&json!({"exp": NOW + 1, "nbf": NOW}), &user).is_ok());
    let mut others = trust(&json!({}));
    others.pinned = Some([account(2).public()].into());
    let good = presented(&account(1).token(&said_by(&account(1), &user)), "n0nce");
    assert_eq!(enters(&others, &good), Err(Refusal::Account));
    // Accounts whose tokens somebody else signed.
    let mut distrusted = trust(&json!({}));
    distrusted.keys = [Key::new(Kind::Operator, 2).public()].into();
    let token =
        jwt::read::<jwt::Account>(&operator().token(&json!({"iss": operator().public(), "sub": account(1).public(),
        "nats": {"type": "account", "version": 2}})));
    let charter = Charter::of(&token.unwrap(), 1, &distrusted);
    assert!(charter.void.is_some());
}

#[test]
fn tokens_hold_from_their_second_to_their_second() {
    let at = |changed: Value| verdict(&json!({}), &changed).map(|p| p.ends_ns());
    assert_eq!(at(json!({"exp": NOW - 1})), Err(Refusal::Time));
    assert_eq!(at(json!({"exp": NOW})), Ok(Some(NOW as u64 * SECOND)));
    assert_eq!(at(json!({"exp": NOW + 7, "nbf": NOW})), Ok(Some((NOW + 7) as u64 * SECOND)));
    assert_eq!(at(json!({"nbf": NOW + 1})), Err(Refusal::Time));
    assert_eq!(at(json!({"exp": i64::MAX})), Ok(Some(u64::MAX)));
    assert_eq!(at(json!({"exp": i64::MIN, "nbf": i64::MIN, "iat": i64::MIN})), Ok(None));
}

#[test]
fn revocations_go_by_the_second_of_issue() {
    for key in [user().public(), "*".into()] {
        for (second, void) in [(NOW - 101, false), (NOW - 100, true), (NOW, true), (i64::MAX, true), (i64::MIN, false)]
        {
            let found = verdict(&json!({"nats": {"revocations": {&key: second}}}), &json!({}));
            assert_eq!(found.is_err(), void, "{key} {second}");
        }
    }
    assert!(verdict(&json!({"nats": {"revocations": {account(1).public(): NOW}}}), &json!({})).is_ok());
}

#[test]
fn bearers_need_no_signature_where_the_account_allows_it() {
    let bearer = account(1).token(&said_by(&account(1), &json!({"nats": {"bearer_token": true}})));
    let alone = Connect { jwt: bearer, ..Connect::default() };
    assert!(enters(&trust(&json!({})), &alone).is_ok_and(|p| p.bearer));
    assert_eq!(enters(&trust(&json!({"nats": {"limits": {"disallow_bearer": true}}})), &alone), Err(Refusal::Grant));
    let forged = account(2).token(&said_by(&account(1), &json!({"nats": {"bearer_token": true}})));
    assert_eq!(enters(&trust(&json!({})), &Connect { jwt: forged, ..Connect::default() }), Err(Refusal::Key));
    let mut lending = trust(&json!({}));
    lending.sentinel = Some(super::super::trust::Sentinel(alone.jwt.clone()));
    assert!(enters(&lending, &Connect::default()).is_ok());
}

#[test]
fn where_from_and_how_is_restricted() {
    for (nats, may) in [
        (json!({"src": ["10.0.0.0/8"]}), true),
        (json!({"src": "11.0.0.0/8,10.1.2.3/32"}), true),
        (json!({"src": ["11.0.0.0/8"]}), false),
        (json!({"src": ["10.0.0.0/8", "nonsense"]}), false),
        (json!({"allowed_connection_types": ["STANDARD", "WEBSOCKET"]}), true),
        (json!({"allowed_connection_types": ["standard", "UNKNOWN"]}), true),
        (json!({"allowed_connection_types": ["WEBSOCKET"]}), false),
        (json!({"allowed_connection_types": ["UNKNOWN"]}), false),
        (json!({"proxy_required": true}), false),
        (json!({"times": [{"start": "25:00:00", "end": "01:00:00"}]}), false),
        (json!({"times": [{"start": "23:00:00", "end": "01:00:00"}], "times_location": "UTC"}), true),
    ] {
        assert_eq!(verdict(&json!({}), &json!({"nats": nats})).is_ok(), may, "{nats}");
    }
}

#[test]
fn permissions_are_the_users_else_the_accounts() {
    let default = json!({"nats": {"default_permissions": {"pub": {"deny": ["x"]}}}});
    let deny = |pass: Pass| pass.permissions.map(|p| p.publish.deny.len());
    assert_eq!(deny(verdict(&default, &json!({})).unwrap()), Some(1));
    assert_eq!(deny(verdict(&default, &json!({"nats": {"pub": {"allow": ["a"]}}})).unwrap()), Some(0));
    assert_eq!(deny(verdict(&json!({}), &json!({})).unwrap()), None);
    assert_eq!(verdict(&json!({}), &json!({"nats": {"sub": {"deny": ["a\r\nb"]}}})), Err(Refusal::Grant));
}

#[test]
fn scoped_keys_give_what_their_template_says_and_no_more() {
    let key = Key::new(Kind::Account, 30);
    let template = json!({"pub": {"allow": ["{{name()}}.{{tag(dept)}}.{{account-name()}}.{{account-tag(zone)}}"]},
        "sub": {"allow": ["_INBOX.{{subject()}}.>"]}, "subs": 3});
    let scope = json!({"kind": "user_scope", "key": key.public(), "template": template});
    let trust = trust(&json!({"nats": {"signing_keys": [scope]}}));
    let scoped = |nats: Value| {
        let mut claims =
            said_by(&key, &json!({"nats": {"issuer_account": account(1).public(), "tags": ["dept:d", "dept:e"]}}));
        let own = claims["nats"].as_object_mut().unwrap();
        own.retain(|key, _| !["subs", "data", "payload"].contains(&key.as_str()));
        over(&mut claims, &json!({"nats": nats}));
        enters(&trust, &presented(&key.token(&claims), "n0nce"))
    };
    let pass = scoped(json!({})).unwrap();
    let permissions = pass.permissions.unwrap();
    let allowed: Vec<_> =
        permissions.publish.allow.unwrap().iter().map(|e| String::from_utf8_lossy(&e.subject).into_owned()).collect();
    assert_eq!(allowed, ["bob.d.acc1.z", "bob.e.acc1.z"]);
    assert_eq!((pass.max_subscriptions, pass.max_payload), (Some(3), None));
    for more in [
        json!({"pub": {"allow": [">"]}}),
        json!({"subs": -1}),
        json!({"bearer_token": true}),
        json!({"src": ["0.0.0.0/0"]}),
    ] {
        assert_eq!(scoped(more.clone()), Err(Refusal::Grant), "{more}");
    }
}

/// Under strict use of signing keys the account's own key signs nobody.
#[test]
fn strict_operators_want_signing_keys() {
    let mut trust = trust(&json!({}));
    trust.strict = trust.keys.clone();
    let claims =
        json!({"iss": operator().public(), "sub": account(1).public(), "nats": {"type": "account", "version": 2}});
    let token = jwt::read::<jwt::Account>(&operator().token(&claims)).unwrap();
    let charter = Charter::of(&token, 2, &trust);
    trust.charters.insert(account(1).public(), charter);
    let own = presented(&account(1).token(&said_by(&account(1), &json!({}))), "n0nce");
    assert_eq!(enters(&trust, &own), Err(Refusal::Issuer));
}
