//! What somebody presents, to be looked at where it costs no message its time: a comparison takes milliseconds, a signature
//! some 50 µs. Made by the verdict on a CONNECT, carried to the verifying threads by the shell, which owns the library that
//! compares passwords.

use crate::wire::jwt;
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
    /// The same, and it has to be one of these hours where they are meant.
    Within {
        /// All of these have to hold; never none.
        signed: Vec<Signed>,
        /// One of these has to be now.
        hours: Vec<Hours>,
    },
}

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// Is it right?
    pub holds: bool,
    /// But only up to here, nanoseconds since 1970.
    pub ends_ns: Option<u64>,
}

impl Found {
    /// It is right, or it is not, whatever the hour.
    pub fn plainly(holds: bool) -> Found {
        Found { holds, ends_ns: None }
    }
}

/// Hours of the day at some place of the world. Which they are now is known to the shell, which has the tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hours {
    /// From then, hour, minute and second, exclusively …
    pub start: [u8; 3],
    /// … up to then, exclusively; an earlier one is the next day's.
    pub end: [u8; 3],
    /// The place, as the tables of time zones name it; empty: this machine's.
    pub place: String,
}

impl Hours {
    /// As a token says it. None: it is no time of day.
    pub(super) fn read(said: &jwt::Hours, place: &str) -> Option<Hours> {
        let time = |text: &str| {
            let parts: Vec<u8> = text.split(':').map(two_digits).collect::<Option<_>>()?;
            let time: [u8; 3] = parts.try_into().ok()?;
            (time[0] < 24 && time[1] < 60 && time[2] < 60).then_some(time)
        };
        Some(Hours { start: time(&said.start)?, end: time(&said.end)?, place: place.into() })
    }
}

fn two_digits(text: &str) -> Option<u8> {
    (matches!(text.len(), 1 | 2) && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok())?
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
            Proof::Within { signed, hours } => write!(f, "Within({}, {hours:?})", signed.len()),
        }
    }
}
