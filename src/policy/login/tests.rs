//! Tests of logins. `observed.json` holds which account nats-server 2.15.2 lets a CONNECT into (`enters`, null: refused)
//! under each of the configurations of [`configuration`].

use serde_json::Value;

use super::*;
use crate::policy::settings::{Account, User};

/// A published test vector of bcrypt, with its password.
const HASH: &str = "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";
const PASSWORD: &str = "U*U";

fn plain(name: &str, password: &str, account: usize) -> User {
    User { name: name.into(), password: Secret::Plain(password.into()), account }
}

fn hashed(name: &str, account: usize) -> User {
    User { name: name.into(), password: Secret::Bcrypt(HASH.into()), account }
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
    Directory::new(auth, 7).decide(auth, &connect(json))
}

#[test]
fn lets_in_whom_nats_server_lets_in() {
    let rows: Vec<Value> = serde_json::from_str(include_str!("observed.json")).unwrap();
    assert!(rows.len() >= 300);
    for row in rows {
        let auth = configuration(row["config"].as_str().unwrap());
        let said = connect(&row["connect"].to_string());
        let entered = match Directory::new(&auth, 7).decide(&auth, &said) {
            Verdict::Enter { account, user } => Some((account, user)),
            Verdict::Check { hash, password, account, user } => {
                (hash == HASH && password == PASSWORD).then_some((account, user))
            }
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
        let Verdict::Check { hash, password, user: None, account: 0 } = decide(&auth, said) else {
            panic!("{said} is refused for free");
        };
        assert_eq!((cost(&hash), hash.len(), password.as_str()), (Some(5), HASH.len(), "x"));
        assert_ne!(hash, HASH);
    }
    auth.users.push(User { password: Secret::Bcrypt(HASH.replace("$05$", "$11$")), ..plain("dear", "", 0) });
    let dearest = decide(&auth, wrong[0]);
    assert!(matches!(dearest, Verdict::Check { hash, .. } if cost(&hash) == Some(11)));
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
