//! Credentials that the official libraries made (scripts/credentials): who is let in by them and what he may do.

use super::support::keys::Key;
use super::support::raw::PATIENCE;
use super::{server, verdict, Caller, REFUSED};
use serde_json::{json, Value};
use std::fs;
use std::path::PathBuf;

fn file(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/identities/official").join(name);
    fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Token and key of a file of credentials.
fn credentials(name: &str) -> (String, Key) {
    let text = file(name);
    let behind = |dashes: &str| {
        let line = text.lines().skip_while(|l| !l.contains(dashes)).nth(1);
        line.unwrap_or_else(|| panic!("{name}: no {dashes}")).to_owned()
    };
    (behind("BEGIN NATS USER JWT"), Key::from_seed(&behind("BEGIN USER NKEY SEED")))
}

#[test]
fn every_file_of_credentials_does_what_it_says() {
    let server = server(&file("operator.conf"));
    let rows: Vec<Value> = serde_json::from_str(&file("expected.json")).unwrap();
    assert!(rows.len() >= 10);
    for row in rows {
        let name = row["file"].as_str().unwrap();
        let (token, key) = credentials(name);
        let mut caller = Caller::new(&server, |nonce| json!({"jwt": token, "sig": key.sign(nonce)}));
        let expected = match row["enters"].as_str().unwrap() {
            "" => REFUSED.to_owned(),
            account => format!("in {account}"),
        };
        assert_eq!(caller.outcome, expected, "{name}");
        let (Some(good), Some(denied)) = (row["publish"].as_str(), row["denied"].as_str()) else { continue };
        caller.raw.write(format!("PUB {good} 0\r\n\r\nPUB {denied} 0\r\n\r\nPING\r\n").as_bytes());
        assert_eq!(
            caller.hears(PATIENCE),
            format!("-ERR 'Permissions Violation for Publish to \"{denied}\"'"),
            "{name}"
        );
        assert_eq!(caller.hears(PATIENCE), "PONG", "{name}");
    }
}

#[test]
fn a_seed_lets_in_whose_key_is_known() {
    let server = server(&file("keys.conf"));
    let [known, stranger] = ["key.seed", "stranger.seed"].map(|name| Key::from_seed(&file(name)));
    let signed = |key: &Key, nonce: &str| json!({"nkey": key.public(), "sig": key.sign(nonce)});
    assert_eq!(verdict(&server, |nonce| signed(&known, nonce)), "in SHOP");
    assert_eq!(verdict(&server, |nonce| signed(&stranger, nonce)), REFUSED);
}
