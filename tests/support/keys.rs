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

    /// A user's key from its seed, as the tools write it: two bytes of prefix, 32 of the key, a checksum, in base 32.
    pub fn from_seed(text: &str) -> Key {
        let (mut raw, mut held, mut bits) = (Vec::new(), 0u32, 0);
        for letter in text.trim().bytes() {
            let five = if letter.is_ascii_uppercase() { letter - b'A' } else { letter - b'2' + 26 };
            held = held << 5 | u32::from(five);
            bits += 5;
            if bits >= 8 {
                bits -= 8;
                raw.push((held >> bits) as u8);
            }
        }
        let seed: [u8; 32] = raw[2..34].try_into().expect("32 bytes of a seed");
        Key { kind: Kind::User, secret: SigningKey::from_bytes(&seed) }
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
