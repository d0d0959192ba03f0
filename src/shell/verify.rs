//! What somebody presents is looked at here, away from the shards: a comparison with a bcrypt hash takes a core tens of
//! milliseconds at the usual cost, a signature some 50 µs. Two threads with a bounded queue each, so that no signature waits
//! for passwords; a shard hands over a [`Check`] and hears the verdict through its `reply`.

use super::hours;
use crate::policy::{Found, Proof, Signed};
use jiff::Timestamp;
use std::fmt;
use std::io;

use crossbeam_channel::{bounded, Receiver, Sender};

/// Most comparisons waiting. At tens of milliseconds each the last of them waits longer than any sensible auth timeout:
/// more would only keep memory and a core busy for connections that are gone.
pub const PASSWORDS_MAX: usize = 256;
/// Most signatures waiting: a fifth of a second of them.
pub const SIGNATURES_MAX: usize = 4096;

/// Something to be looked at.
pub struct Check {
    /// Whatever the asker knows the connection by.
    pub ticket: u64,
    /// What is presented.
    pub proof: Proof,
    /// Told the verdict, on the verifier's thread.
    pub reply: Box<dyn FnOnce(Found) + Send>,
}

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What is presented may reach no log.
        f.debug_struct("Check").field("ticket", &self.ticket).finish_non_exhaustive()
    }
}

/// A way to the threads that look; cheap to clone. They end once every `Verifier` is gone.
#[derive(Clone, Debug)]
pub struct Verifier {
    passwords: Sender<Check>,
    signatures: Sender<Check>,
}

impl Verifier {
    /// Starts the threads.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn start() -> io::Result<Verifier> {
        let (passwords, compared) = bounded(PASSWORDS_MAX);
        let (signatures, signed) = bounded(SIGNATURES_MAX);
        let start = |name: &str, queue: Receiver<Check>| {
            let work = move || queue.into_iter().for_each(|check: Check| (check.reply)(found(&check.proof)));
            std::thread::Builder::new().name(name.into()).spawn(work).map(drop)
        };
        start("turnpike-verify", compared)?;
        start("turnpike-signed", signed)?;
        Ok(Verifier { passwords, signatures })
    }

    /// Queues something; never waits.
    ///
    /// # Errors
    /// The queue is full (or the thread is gone): the check comes back, its reply not called. The connection is to be
    /// refused as if it had presented something wrong.
    pub fn submit(&self, check: Check) -> Result<(), Check> {
        let queue = match check.proof {
            Proof::Password { .. } => &self.passwords,
            Proof::Signatures(_) | Proof::Within { .. } => &self.signatures,
        };
        queue.try_send(check).map_err(crossbeam_channel::TrySendError::into_inner)
    }
}

/// Is it right? A hash that is none fits nothing, and no signatures prove nothing; the validator of settings has said so
/// at start.
fn found(proof: &Proof) -> Found {
    match proof {
        Proof::Password { hash, password } => Found::plainly(bcrypt::verify(password, hash).unwrap_or(false)),
        Proof::Signatures(all) => Found::plainly(all_hold(all)),
        Proof::Within { signed, .. } if !all_hold(signed) => Found::plainly(false),
        Proof::Within { hours, .. } => hours::within(hours, Timestamp::now()),
    }
}

fn all_hold(all: &[Signed]) -> bool {
    !all.is_empty() && all.iter().all(Signed::holds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::nkey::{encode, Kind, PublicKey};
    use ed25519_dalek::{Signer, SigningKey};

    fn password(hash: &str, password: &str) -> Proof {
        Proof::Password { hash: hash.into(), password: password.into() }
    }

    fn check(proof: Proof, reply: impl FnOnce(Found) + Send + 'static) -> Check {
        Check { ticket: 1, proof, reply: Box::new(reply) }
    }

    fn verdict(proof: Proof) -> bool {
        let verifier = Verifier::start().unwrap();
        let (tx, rx) = bounded(1);
        verifier.submit(check(proof, move |v| tx.send(v.holds).unwrap())).unwrap();
        rx.recv().unwrap()
    }

    #[test]
    fn the_right_password_and_no_other() {
        let hash = bcrypt::hash("s3cret", 4).unwrap();
        for prefix in ["$2a$", "$2b$", "$2x$", "$2y$"] {
            let hash = format!("{prefix}{}", &hash[4..]);
            assert!(verdict(password(&hash, "s3cret")), "{prefix}");
            assert!(!verdict(password(&hash, "s3cret ")) && !verdict(password(&hash, "")), "{prefix}");
        }
    }

    #[test]
    fn a_hash_that_is_none_matches_nothing() {
        for hash in ["", "$2b$", "s3cret", "$2b$99$aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"] {
            assert!(!verdict(password(hash, "s3cret")), "{hash}");
        }
    }

    #[test]
    fn all_signatures_have_to_hold_and_there_has_to_be_one() {
        let signed = |n: u8, text: &[u8]| {
            let secret = SigningKey::from_bytes(&[n; 32]);
            let key = PublicKey::decode(&encode(Kind::User, secret.verifying_key().as_bytes())).unwrap();
            Signed { key, text: text.into(), signature: secret.sign(text).to_bytes() }
        };
        let (good, other) = (signed(1, b"nonce"), signed(2, b"token"));
        let bad = Signed { key: other.key, ..good.clone() };
        assert!(verdict(Proof::Signatures(vec![good.clone()])));
        assert!(verdict(Proof::Signatures(vec![good.clone(), other.clone()])));
        assert!(!verdict(Proof::Signatures(vec![good, other, bad.clone()])));
        assert!(!verdict(Proof::Signatures(vec![bad])) && !verdict(Proof::Signatures(vec![])));
    }

    #[test]
    fn a_full_queue_gives_the_check_back_and_signatures_do_not_wait_for_it() {
        let verifier = Verifier::start().unwrap();
        let (release, held) = bounded::<()>(0);
        let (entered, inside) = bounded(1);
        let hold = move |_| {
            entered.send(()).unwrap();
            assert!(held.recv().is_err());
        };
        verifier.submit(check(password("", ""), hold)).unwrap();
        inside.recv().unwrap();
        for _ in 0..PASSWORDS_MAX {
            verifier.submit(check(password("", ""), |_| ())).unwrap();
        }
        let back = verifier.submit(check(password("", "late"), |_| panic!("it was given back"))).unwrap_err();
        assert_eq!(back.proof, password("", "late"));
        assert!(!format!("{back:?} {:?}", back.proof).contains("late"));
        let (tx, rx) = bounded(1);
        verifier.submit(check(Proof::Signatures(Vec::new()), move |v| tx.send(v.holds).unwrap())).unwrap();
        assert!(!rx.recv().unwrap());
        drop(release);
    }
}
