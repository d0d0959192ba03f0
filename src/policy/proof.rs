//! What somebody presents, to be looked at where it costs no message its time: a comparison takes milliseconds, a signature
//! some 50 µs. Made by the verdict on a CONNECT, carried to the verifying threads by the shell, which owns the library that
//! compares passwords.

use crate::wire::nkey::{PublicKey, SIGNATURE_BYTES};
use std::fmt;

/// See the file's head. Its `Debug` hides what lets somebody in.
#[derive(Clone, PartialEq, Eq)]
pub enum Proof {
    /// `password` has to fit the bcrypt `hash`. A hash that cannot be read fits nothing.
    Password {
        /// What is configured.
        hash: String,
        /// What the client presents.
        password: String,
    },
    /// All of these have to have been signed as they say; never none.
    Signatures(Vec<Signed>),
}

/// A text and who is to have signed it.
#[derive(Clone, PartialEq, Eq)]
pub struct Signed {
    /// By whom.
    pub key: PublicKey,
    /// What.
    pub text: Vec<u8>,
    /// With what outcome.
    pub signature: [u8; SIGNATURE_BYTES],
}

impl Signed {
    /// Does the signature hold? Takes some 50 µs.
    pub fn holds(&self) -> bool {
        self.key.verifies(&self.text, &self.signature)
    }
}

impl fmt::Debug for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Proof::Password { .. } => f.write_str("Password(..)"),
            Proof::Signatures(all) => write!(f, "Signatures({})", all.len()),
        }
    }
}
