//! What somebody presents is looked at here, away from the shards: a comparison with a bcrypt hash takes a core tens of
//! milliseconds at the usual cost, a signature some 50 µs. Two threads, so that no signature waits for passwords; a shard
//! hands over a [`Check`] and hears the verdict through its `reply`. Whose password is next, `line` decides.

use super::hours;
use super::identity::random;
use super::lines::Next;
use crate::base::limits::{PASSWORDS_COMING_MAX, SIGNATURES_MAX};
use crate::base::Time;
use crate::policy::{Found, Proof, Signed};
use crossbeam_channel::{bounded, unbounded, Receiver, RecvTimeoutError, Sender, TryRecvError};
use jiff::Timestamp;
use known::Known;
use line::{compared, Lines, Whose};
use std::fmt;
use std::io;
use std::time::{Duration, Instant};

mod known;
mod line;

/// Something to be looked at.
pub struct Check {
    /// Whatever the asker knows the connection by.
    pub ticket: u64,
    /// The address it comes from, without the port.
    pub ip: String,
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
    /// No thread can be started, or the system has nothing random.
    pub fn start() -> io::Result<Verifier> {
        let (passwords, coming) = unbounded();
        let (signatures, signed) = bounded(SIGNATURES_MAX);
        let start = |name: &str, work: Box<dyn FnOnce() + Send>| {
            std::thread::Builder::new().name(name.into()).spawn(work).map(drop)
        };
        let known = Known::new(random()?);
        start("turnpike-verify", Box::new(move || compare_all(&coming, known)))?;
        let look = |check: Check| (check.reply)(found(&check.proof));
        start("turnpike-signed", Box::new(move || signed.into_iter().for_each(look)))?;
        Ok(Verifier { passwords, signatures })
    }

    /// Queues something; never waits.
    ///
    /// # Errors
    /// The queue is full (or the thread is gone): the check comes back, its reply not called. The connection is to be
    /// refused as if it had presented something wrong.
    pub fn submit(&self, check: Check) -> Result<(), Check> {
        let queue = match check.proof {
            Proof::Password { .. } if self.passwords.len() >= PASSWORDS_COMING_MAX => return Err(check),
            Proof::Password { .. } => &self.passwords,
            Proof::Signatures(_) | Proof::Within { .. } => &self.signatures,
        };
        queue.try_send(check).map_err(crossbeam_channel::TrySendError::into_inner)
    }
}

/// A password that waits to be compared, and who is to be told: everybody of an address who presents the same.
struct Waiting {
    proof: Proof,
    replies: Vec<Box<dyn FnOnce(Found) + Send>>,
}

impl Waiting {
    fn answer(self, found: Found) {
        for reply in self.replies {
            reply(found);
        }
    }
}

/// The thread of the passwords.
fn compare_all(coming: &Receiver<Check>, mut known: Known) {
    let start = Instant::now();
    let now = || Time(start.elapsed().as_nanos() as u64);
    let mut lines = line::new();
    loop {
        loop {
            match coming.try_recv() {
                Ok(check) => line_up(&mut lines, &known, check),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => return,
            }
        }
        let came = match lines.next(now()) {
            Next::Serve(whose, waiting) => {
                let began = now();
                let found = found(&waiting.proof);
                if let (Proof::Password { hash, password }, true) = (&waiting.proof, found.holds) {
                    known.learn(hash, password);
                }
                compared(&mut lines, whose, found.holds, began, now());
                waiting.answer(found);
                continue;
            }
            Next::At(then) => coming.recv_timeout(Duration::from_nanos(then.0.saturating_sub(now().0))),
            Next::Nobody => coming.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match came {
            Ok(check) => line_up(&mut lines, &known, check),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// Answers for a password that was right before; any other waits, and where too many do somebody is refused.
fn line_up(lines: &mut Lines<Waiting>, known: &Known, check: Check) {
    let Proof::Password { hash, password } = &check.proof else { return (check.reply)(found(&check.proof)) };
    if known.fits(hash, password) {
        return (check.reply)(Found::plainly(true));
    }
    let whose = Whose { ip: check.ip, hash: hash.clone() };
    if let Some(same) = lines.waiting_of(&whose).find(|waiting| waiting.proof == check.proof) {
        return same.replies.push(check.reply);
    }
    let waiting = Waiting { proof: check.proof, replies: vec![check.reply] };
    if let Some(refused) = lines.push(whose, waiting) {
        refused.answer(Found::plainly(false));
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
    use crate::base::limits::PASSWORDS_MAX;
    use crate::wire::nkey::{encode, Kind, PublicKey};
    use ed25519_dalek::{Signer, SigningKey};

    fn password(hash: &str, password: &str) -> Proof {
        Proof::Password { hash: hash.into(), password: password.into() }
    }

    fn check(proof: Proof, reply: impl FnOnce(Found) + Send + 'static) -> Check {
        Check { ticket: 1, ip: "192.0.2.1".into(), proof, reply: Box::new(reply) }
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

    /// Keeps the thread of passwords busy until the sender is dropped.
    fn hold(verifier: &Verifier) -> crossbeam_channel::Sender<()> {
        let (release, held) = bounded::<()>(0);
        let (entered, inside) = bounded(1);
        let hold = move |_| {
            entered.send(()).unwrap();
            assert!(held.recv().is_err());
        };
        verifier.submit(check(password("", ""), hold)).unwrap();
        inside.recv().unwrap();
        release
    }

    #[test]
    fn a_full_queue_gives_the_check_back_and_signatures_do_not_wait_for_it() {
        let verifier = Verifier::start().unwrap();
        let release = hold(&verifier);
        for _ in 0..PASSWORDS_COMING_MAX {
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

    #[test]
    fn a_thousand_who_present_the_same_at_once_are_all_let_in_by_one_comparison() {
        let verifier = Verifier::start().unwrap();
        let hash = bcrypt::hash("s3cret", 10).unwrap();
        let (told, heard) = unbounded();
        let release = hold(&verifier);
        let began = Instant::now();
        for _ in 0..1000 {
            let told = told.clone();
            verifier.submit(check(password(&hash, "s3cret"), move |found| told.send(found.holds).unwrap())).unwrap();
        }
        drop(release);
        assert!(heard.iter().take(1000).all(|holds| holds));
        let all = began.elapsed();
        let began = Instant::now();
        assert!(bcrypt::verify("s3cret", &hash).unwrap());
        assert!(all < 100 * began.elapsed(), "{all:?}");
    }

    #[test]
    fn behind_a_thousand_guesses_somebody_else_is_next_and_who_was_right_before_is_told_at_once() {
        let verifier = Verifier::start().unwrap();
        let hash = bcrypt::hash("s3cret", 4).unwrap();
        let (told, heard) = unbounded();
        let ask = |ip: &str, text: &str, name: &'static str| {
            let told = told.clone();
            let reply = move |found: Found| told.send((name, found.holds)).unwrap();
            verifier.submit(Check { ip: ip.into(), ..check(password(&hash, text), reply) }).unwrap();
        };
        ask("1.1.1.1", "s3cret", "first");
        assert_eq!(heard.recv().unwrap(), ("first", true));
        let release = hold(&verifier);
        for n in 0..1000 {
            ask("2.2.2.2", &n.to_string(), "guess");
        }
        ask("3.3.3.3", "wrong", "other");
        ask("2.2.2.2", "s3cret", "again");
        drop(release);
        let order: Vec<_> = heard.iter().take(1002).collect();
        let at = |name| order.iter().position(|(n, _)| *n == name).unwrap();
        assert_eq!(order.iter().filter(|(_, holds)| *holds).count(), 1);
        assert!(order[at("again")].1);
        // All that came were looked through first: most guesses were too many.
        let most = 1000 - PASSWORDS_MAX;
        assert!((most..=most + 1).contains(&at("again")), "{}", at("again"));
        assert!(at("other") <= most + 3, "{}", at("other"));
    }
}
