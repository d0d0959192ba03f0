//! Keys, signatures and tokens: whatever is presented nobody comes in who signed nothing, and what is read is what was
//! written. The input is five lines: a key, a signature, what a user's token claims, what his account's token claims, and the
//! operator's; what is missing is empty.

use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::Engine;
use std::sync::Arc;
use turnpike::policy::login::{Caller, Directory, Verdict};
use turnpike::policy::trust::{Charter, Trust};
use turnpike::policy::{Account, Auth, Proof, Signed};
use turnpike::wire::hello::Connect;
use turnpike::wire::jwt::{self, read, Token};
use turnpike::wire::nkey::{signature, PublicKey};

/// See the file's head.
pub fn check(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let mut lines = text.split('\n');
    let [key, sig, user, account, operator] = std::array::from_fn(|_| lines.next().unwrap_or_default());
    let known = PublicKey::decode(key);
    if let Some(key_read) = known {
        assert_eq!(key_read.to_string(), key);
    }
    if let Some(bytes) = signature(sig) {
        assert_eq!(signature(&URL_SAFE_NO_PAD.encode(bytes)), Some(bytes));
    }
    // The texts themselves, and as claims that a header stands before.
    for text in [user, account, operator, &text] {
        let _ = (read::<jwt::User>(text), read::<jwt::Account>(text), read::<jwt::Operator>(text));
    }
    let token = |claims: &str| {
        let header = URL_SAFE_NO_PAD.encode(r#"{"typ":"JWT","alg":"ed25519-nkey"}"#);
        format!("{header}.{}.{}", URL_SAFE_NO_PAD.encode(claims), URL_SAFE_NO_PAD.encode([7; 64]))
    };
    let mut trust = Trust::default();
    if let Ok(read) = read::<jwt::Operator>(&token(operator)) {
        assert!(!read.is_signed(), "nobody signed it");
        trust.keys.insert(read.claims.sub.clone());
        trust.keys.extend(read.claims.nats.signing_keys);
    }
    let said: Option<Token<jwt::Account>> = read(&token(account)).ok();
    if let Some(said) = &said {
        let charter = Charter::of(said, 2, &trust);
        for second in [i64::MIN, -1, 0, 1, i64::MAX] {
            assert!(!(charter.is_good_at(second) && charter.has_expired(second)));
            charter.has_revoked(key, second);
        }
        trust.charters.insert(said.claims.sub.clone(), charter);
    }
    let mut auth = Auth { trust: Some(Arc::new(trust)), ..Auth::open() };
    auth.accounts.push(Account::named("A"));
    let connect = Connect { jwt: token(user), sig: sig.into(), nkey: key.into(), ..Connect::default() };
    let caller = Caller { nonce: "nonce", ip: "10.0.0.1", peer: None, now_s: 1_800_000_000 };
    match Directory::new(&auth, 1).decide(&auth, &connect, &caller) {
        Verdict::CheckToken { pass, proof: Proof::Signatures(all) | Proof::Within { signed: all, .. } } => {
            assert_eq!(Some(&pass.account_key), said.map(|s| s.claims.sub).as_ref(), "the account is the token's");
            assert_eq!(pass.account, 2);
            assert!(!all.iter().all(Signed::holds), "nobody signed this");
        }
        Verdict::Refuse(_) => {}
        other => panic!("{other:?}, and there are no passwords and no open door"),
    }
}
