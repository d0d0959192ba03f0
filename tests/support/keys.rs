//! Keys of operators, accounts and users, and what is signed with them: tokens as the official libraries write them.

use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::Engine;
use ed25519_dalek::{Signer, SigningKey};
use serde_json::{json, Value};
use turnpike::wire::nkey::{encode, Kind};

/// A pair of keys.
#[derive(Clone)]
pub struct Key {
    kind: Kind,
    secret: SigningKey,
}

impl Key {
    /// The `n`-th key of this kind: the same in every run.
    pub fn new(kind: Kind, n: u8) -> Key {
        let mut seed = [n; 32];
        seed[0] = encode(kind, &seed).as_bytes()[0];
        Key { kind, secret: SigningKey::from_bytes(&seed) }
    }

    /// The public half, as text.
    pub fn public(&self) -> String {
        encode(self.kind, self.secret.verifying_key().as_bytes())
    }

    /// A signature as clients send it.
    pub fn sign(&self, text: &str) -> String {
        URL_SAFE_NO_PAD.encode(self.secret.sign(text.as_bytes()).to_bytes())
    }

    /// A token with these claims, which say themselves who issues it.
    pub fn token(&self, claims: &Value) -> String {
        self.token_under(&json!({"typ": "JWT", "alg": "ed25519-nkey"}), claims)
    }

    /// The same under another header.
    pub fn token_under(&self, header: &Value, claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let said = format!("{}.{}", part(header), part(claims));
        let signature = self.sign(&said);
        format!("{said}.{signature}")
    }
}
