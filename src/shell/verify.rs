//! Passwords against bcrypt hashes, away from the shards: one comparison takes a core tens of
//! milliseconds at the usual cost. One
//! thread with a bounded queue; the shard hands over a [`Check`] and hears the verdict through its `reply`.

use std::fmt;
use std::io;
use std::thread::JoinHandle;

use crossbeam_channel::{bounded, Sender};

/// Most comparisons waiting. At tens of milliseconds each the last of them waits longer than any sensible auth timeout:
/// more would only keep memory and a core busy for connections that are gone.
pub const CHECKS_MAX: usize = 256;

/// One comparison.
pub struct Check {
    /// Whatever the asker knows the connection by.
    pub ticket: u64,
    /// The hash as configured (`$2a$…`, `$2b$…`, `$2x$…`, `$2y$…`).
    pub hash: String,
    /// The password as sent.
    pub password: Vec<u8>,
    /// Told the verdict, on the verifier's thread.
    pub reply: Box<dyn FnOnce(bool) + Send>,
}

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Neither hash nor password may reach a log.
        f.debug_struct("Check").field("ticket", &self.ticket).finish_non_exhaustive()
    }
}

/// A way to the thread that compares; cheap to clone. The thread ends once every `Verifier` is gone.
#[derive(Clone, Debug)]
pub struct Verifier {
    checks: Sender<Check>,
}

impl Verifier {
    /// Starts the thread.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn start() -> io::Result<(Verifier, JoinHandle<()>)> {
        let (checks, queue) = bounded::<Check>(CHECKS_MAX);
        let thread = std::thread::Builder::new().name("turnpike-verify".into()).spawn(move || {
            for check in queue {
                // A hash that is none matches nothing; the validator of settings has said so at start.
                let matches = bcrypt::verify(&check.password, &check.hash).unwrap_or(false);
                (check.reply)(matches);
            }
        })?;
        Ok((Verifier { checks }, thread))
    }

    /// Queues a comparison; never waits.
    ///
    /// # Errors
    /// The queue is full (or the thread is gone): the check comes back, its reply not called. The connection is to be
    /// refused as if the time for authentication had run out.
    pub fn submit(&self, check: Check) -> Result<(), Check> {
        self.checks.try_send(check).map_err(crossbeam_channel::TrySendError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(hash: &str, password: &str, reply: impl FnOnce(bool) + Send + 'static) -> Check {
        Check { ticket: 1, hash: hash.into(), password: password.as_bytes().to_vec(), reply: Box::new(reply) }
    }

    fn verdict(hash: &str, password: &str) -> bool {
        let (verifier, thread) = Verifier::start().unwrap();
        let (tx, rx) = bounded(1);
        verifier.submit(check(hash, password, move |v| tx.send(v).unwrap())).unwrap();
        let verdict = rx.recv().unwrap();
        drop(verifier);
        thread.join().unwrap();
        verdict
    }

    #[test]
    fn the_right_password_and_no_other() {
        let hash = bcrypt::hash("s3cret", 4).unwrap();
        for prefix in ["$2a$", "$2b$", "$2x$", "$2y$"] {
            let hash = format!("{prefix}{}", &hash[4..]);
            assert!(verdict(&hash, "s3cret"), "{prefix}");
            assert!(!verdict(&hash, "s3cret ") && !verdict(&hash, ""), "{prefix}");
        }
    }

    #[test]
    fn a_hash_that_is_none_matches_nothing() {
        for hash in ["", "$2b$", "s3cret", "$2b$99$aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"] {
            assert!(!verdict(hash, "s3cret"), "{hash}");
        }
    }

    #[test]
    fn a_full_queue_gives_the_check_back() {
        let (verifier, thread) = Verifier::start().unwrap();
        let (release, held) = bounded::<()>(0);
        let (entered, inside) = bounded(1);
        let hold = move |_| {
            entered.send(()).unwrap();
            assert!(held.recv().is_err());
        };
        verifier.submit(check("", "", hold)).unwrap();
        inside.recv().unwrap();
        for _ in 0..CHECKS_MAX {
            verifier.submit(check("", "", |_| ())).unwrap();
        }
        let back = verifier.submit(check("", "late", |_| panic!("it was given back"))).unwrap_err();
        assert_eq!(back.password, b"late");
        assert!(!format!("{back:?}").contains("late"));
        drop((release, verifier));
        thread.join().unwrap();
    }
}
