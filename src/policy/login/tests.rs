//! Tests of logins. `observed.json` holds which account nats-server 2.15.2 lets a CONNECT into (`enters`, null: refused)
//! under each of the configurations of [`configuration`].

use serde_json::Value;

use super::*;
use crate::policy::settings::{Account, User};

/// A published test vector of bcrypt, with its password.
const HASH: &str = "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";
const PASSWORD: &str = "U*U";

/// The nonce is nothing to whoever has a password.
const CALLER: Caller<'static> = Caller { nonce: "n0nce", ip: "127.0.0.1", peer: None, now_s: 1 };

fn plain(name: &str, password: &str, account: usize) -> User {
    User::named(name, Secret::Plain(password.into()), account)
}

fn hashed(name: &str, account: usize) -> User {
    User::named(name, Secret::Bcrypt(HASH.into()), account)
}

fn configuration(name: &str) -> Auth {
    let mut auth = Auth::open();
    auth.required = true;
    match name {
        "open" => auth.required = false,
        "users" => auth.users = vec![plain("a", "pa", 0), hashed("b", 0), plain("e", "", 0)],
        "single" => auth.users = vec![plain("a", "pa", 0)],
        "single_bcrypt" => auth.users = vec![hashed("b", 0)],
        "token" => auth.token = Some(Secret::Plain("tok".into())),
        "token_bcrypt" => auth.token = Some(Secret::Bcrypt(HASH.into())),
        "system_only" => {
            auth.users = vec![plain("a", "pa", 1)];
            auth.required = false;
        }
        _ => {
            auth.accounts.extend([Account::named("A"), Account::named("B")]);
            auth.users = vec![plain("a", "pa", 2), plain("e", "", 2), hashed("b", 3)];
            auth.no_auth_user = match name {
                "accounts" => None,
                "no_auth_user" => Some(0),
                "no_auth_user_bcrypt" => Some(2),
                _ => panic!("unknown configuration {name}"),
            };
        }
    }
    auth
}

fn connect(json: &str) -> Connect {
    let mut connect = Connect::default();
    connect.update(json.as_bytes()).unwrap();
    connect
}

fn decide(auth: &Auth, json: &str) -> Verdict {
    Directory::new(auth, 7).decide(auth, &connect(json), &CALLER)
}

#[test]
fn lets_in_whom_nats_server_lets_in() {
    let rows: Vec<Value> = serde_json::from_str(include_str!("observed.json")).unwrap();
    assert!(rows.len() >= 300);
    for row in rows {
        let auth = configuration(row["config"].as_str().unwrap());
        let said = connect(&row["connect"].to_string());
        let entered = match Directory::new(&auth, 7).decide(&auth, &said, &CALLER) {
            Verdict::Enter { account, user } => Some((account, user)),
            Verdict::Check { proof: Proof::Password { hash, password }, account, user } => {
                (hash == HASH && password == PASSWORD).then_some((account, user))
            }
            Verdict::Check { .. } | Verdict::CheckToken { .. } => panic!("{row}: nobody signs here"),
            Verdict::Refuse(_) => None,
        };
        let entered = entered.filter(|_| designation(&said).is_ok());
        let account = entered.map(|(account, _)| auth.accounts[account].name.as_str());
        assert_eq!(account, row["enters"].as_str(), "{row}");
        if let Some((account, Some(user))) = entered {
            assert_eq!(auth.users[user].account, account, "{row}");
            assert!(said.user.is_empty() || auth.users[user].name == said.user, "{row}");
        }
    }
}

#[test]
fn refusals_of_names_cost_the_same_where_one_has_a_hash() {
    let mut auth = configuration("users");
    let wrong = [r#"{"user":"nobody","pass":"x"}"#, r#"{"user":"a","pass":"x"}"#];
    for said in wrong {
        let verdict = decide(&auth, said);
        let Verdict::Check { proof: Proof::Password { hash, password }, user: None, account: 0 } = verdict else {
            panic!("{said} is refused for free");
        };
        assert_eq!((cost(&hash), hash.len(), password.as_str()), (Some(5), HASH.len(), "x"));
        assert_ne!(hash, HASH);
    }
    auth.users.push(User { password: Secret::Bcrypt(HASH.replace("$05$", "$11$")), ..plain("dear", "", 0) });
    let dearest = decide(&auth, wrong[0]);
    assert!(matches!(dearest, Verdict::Check { proof: Proof::Password { hash, .. }, .. } if cost(&hash) == Some(11)));
    let plain_only = configuration("single");
    assert!(wrong.iter().all(|said| decide(&plain_only, said) == Verdict::Refuse(Refusal::UserOrPassword)));
}

/// With the library that makes the comparisons.
#[cfg(feature = "shell")]
#[test]
fn the_decoy_is_compared_and_fits_nothing() {
    assert!(bcrypt::verify(PASSWORD, HASH).unwrap());
    for password in ["", "x", PASSWORD] {
        assert!(!bcrypt::verify(password, &decoy(4)).unwrap(), "readable, and does not fit");
    }
}

#[test]
fn refusals_say_why_to_the_log() {
    let why = |config, said| match decide(&configuration(config), said) {
        Verdict::Refuse(refusal) => refusal,
        other => panic!("{other:?}"),
    };
    assert_eq!(why("single", "{}"), Refusal::Missing);
    assert_eq!(why("single", r#"{"nkey":"U","sig":"s"}"#), Refusal::Missing);
    assert_eq!(why("single", r#"{"user":"a"}"#), Refusal::UserOrPassword);
    assert_eq!(why("token", r#"{"user":"tok"}"#), Refusal::Token);
    assert_eq!(designation(&connect(r#"{"account":"A"}"#)), Err(Refusal::Designation));
    assert_eq!(designation(&connect(r#"{"new_account":true}"#)), Err(Refusal::Designation));
    assert_eq!(designation(&connect("{}")), Ok(()));
}

#[test]
fn debug_tells_no_secret() {
    let shown = format!("{:?}", decide(&configuration("single_bcrypt"), r#"{"user":"b","pass":"s3cret"}"#));
    assert_eq!(shown, "Check { account: 0, user: Some(0), .. }");
}

#[test]
fn secrets_are_compared_whole() {
    assert!(same("", "") && same("päss", "päss"));
    assert!(!same("pass", "pas") && !same("pass", "passx") && !same("pass", "paſs") && !same("", "x"));
}

mod keys {
    use super::*;
    use crate::policy::settings::ConnectionKinds;
    use crate::wire::nkey::{encode, Kind, PublicKey};
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
    use base64::Engine;
    use ed25519_dalek::{Signer, SigningKey};

    fn pair(n: u8) -> (SigningKey, PublicKey) {
        let secret = SigningKey::from_bytes(&[n; 32]);
        let text = encode(Kind::User, secret.verifying_key().as_bytes());
        (secret, PublicKey::decode(&text).unwrap())
    }

    /// Somebody with a key in account 2, somebody with a password in 3, and somebody whose name is a key and who has a
    /// password.
    fn auth() -> Auth {
        let mut auth = Auth::open();
        (auth.required, auth.announced) = (true, true);
        auth.accounts.extend([Account::named("A"), Account::named("B")]);
        auth.users = vec![User::keyed(pair(1).1, 2), plain("p", "secret", 3), plain(&pair(2).1.to_string(), "pw", 3)];
        auth
    }

    /// What becomes of a CONNECT once its proof was looked at.
    fn enters(auth: &Auth, json: &str, nonce: &str) -> Option<(usize, Option<usize>)> {
        match Directory::new(auth, 7).decide(auth, &connect(json), &Caller { nonce, ..CALLER }) {
            Verdict::Enter { account, user } => Some((account, user)),
            Verdict::Check { proof: Proof::Signatures(all), account, user } => {
                (!all.is_empty() && all.iter().all(Signed::holds)).then_some((account, user))
            }
            Verdict::Check { .. } | Verdict::CheckToken { .. } => panic!("no password is hashed here"),
            Verdict::Refuse(_) => None,
        }
    }

    #[test]
    fn the_signature_of_this_nonce_lets_in_and_nothing_else() {
        let (auth, (secret, key)) = (auth(), pair(1));
        let signed = |nonce: &str| secret.sign(nonce.as_bytes()).to_bytes();
        let said = |nkey: &dyn std::fmt::Display, sig: &str| format!(r#"{{"nkey":"{nkey}","sig":"{sig}"}}"#);
        let good = URL_SAFE_NO_PAD.encode(signed("n1"));
        assert_eq!(enters(&auth, &said(&key, &good), "n1"), Some((2, Some(0))));
        assert_eq!(enters(&auth, &said(&key, &STANDARD.encode(signed("n1"))), "n1"), Some((2, Some(0))));
        // Replayed, by others, for others, none, too short, too long.
        assert_eq!(enters(&auth, &said(&key, &good), "n2"), None);
        let foreign = URL_SAFE_NO_PAD.encode(pair(2).0.sign(b"n1").to_bytes());
        assert_eq!(enters(&auth, &said(&key, &foreign), "n1"), None);
        assert_eq!(enters(&auth, &said(&pair(2).1, &foreign), "n1"), None, "a name that is a key is no key");
        assert_eq!(enters(&auth, &said(&pair(3).1, &good), "n1"), None);
        for n in 0..=64 {
            let cut = URL_SAFE_NO_PAD.encode(&signed("n1")[..n]);
            assert_eq!(enters(&auth, &said(&key, &cut), "n1").is_some(), n == 64, "{n} bytes");
            assert_eq!(enters(&auth, &said(&&key.to_string()[..n.min(55)], &good), "n1"), None, "{n} letters");
        }
    }

    #[test]
    fn names_are_no_keys_and_keys_no_names() {
        let (auth, key) = (auth(), pair(1).1);
        for json in [
            format!(r#"{{"user":"{key}","pass":""}}"#),
            format!(r#"{{"user":"{key}"}}"#),
            format!(r#"{{"nkey":"{key}"}}"#),
            format!(r#"{{"nkey":"{key}","user":"p","pass":"secret"}}"#),
            r#"{"nkey":"X","user":"p","pass":"secret"}"#.into(),
            format!(r#"{{"nkey":"{}","sig":""}}"#, pair(2).1),
            "{}".into(),
        ] {
            assert_eq!(enters(&auth, &json, "n"), None, "{json}");
        }
        assert_eq!(enters(&auth, r#"{"user":"p","pass":"secret"}"#, "n"), Some((3, Some(1))));
        assert_eq!(enters(&auth, &format!(r#"{{"user":"{}","pass":"pw"}}"#, pair(2).1), "n"), Some((3, Some(2))));
    }

    #[test]
    fn without_keys_in_the_configuration_a_key_counts_as_nothing() {
        let mut auth = auth();
        auth.users.remove(0);
        let json = format!(r#"{{"nkey":"{}","user":"p","pass":"secret"}}"#, pair(1).1);
        assert_eq!(enters(&auth, &json, "n"), Some((3, Some(0))));
    }

    /// Advisory 39: whoever presents nothing goes through the same check.
    #[test]
    fn the_kind_of_connection_is_restricted_on_every_way_in() {
        let mut auth = auth();
        let (secret, key) = pair(1);
        let sig = URL_SAFE_NO_PAD.encode(secret.sign(b"n").to_bytes());
        let ways =
            [format!(r#"{{"nkey":"{key}","sig":"{sig}"}}"#), r#"{"user":"p","pass":"secret"}"#.into(), "{}".into()];
        for anonymous in [0, 1] {
            auth.no_auth_user = Some(anonymous);
            for kinds in [ConnectionKinds::of(["websocket", "mqtt"]), ConnectionKinds::of(["MQTT", "standard"])] {
                auth.users.iter_mut().for_each(|u| u.kinds = kinds);
                for json in &ways {
                    assert_eq!(enters(&auth, json, "n").is_some(), kinds.standard, "{anonymous} {json}");
                }
            }
        }
        assert!(ConnectionKinds::of([]).standard);
    }

    #[test]
    fn whom_everybody_may_be_nobody_proves_to_be() {
        let mut auth = auth();
        auth.no_auth_user = Some(0);
        let key = pair(1).1;
        assert_eq!(enters(&auth, "{}", "n"), Some((2, Some(0))));
        assert_eq!(Directory::new(&auth, 7).anonymous(&auth, &CALLER), None, "before CONNECT nobody is");
        assert_eq!(enters(&auth, &format!(r#"{{"nkey":"{key}"}}"#), "n"), Some((2, Some(0))));
        assert_eq!(enters(&auth, r#"{"user":"p","pass":"wrong"}"#, "n"), None);
        assert_eq!(enters(&auth, r#"{"auth_token":"t"}"#, "n"), None);
        assert_eq!(enters(&auth, &format!(r#"{{"nkey":"{}"}}"#, pair(3).1), "n"), None);
    }
}
