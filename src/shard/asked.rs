//! Requests to services of other accounts that wait for their answers, and the names that they are answered under. One per
//! shard; asked by `services`.

use crate::base::limits::SERVICE_REQUESTS_MAX;
use crate::base::{Map, Rng, Seeded, Time};
use crate::policy::shares::Answers;
use crate::wire::Message;
use std::collections::VecDeque;
use std::time::Duration;

/// What replies of requests to services begin with.
pub(super) const REPLY: &[u8] = b"_R_.";
/// Letters of a word of such a reply, as nats-server makes them.
const WORD: usize = 6;
const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
pub(super) type Word = [u8; WORD];

/// Could this be an answer of a service? One look at its beginning.
#[inline]
pub(super) fn is_answer(subject: &[u8]) -> bool {
    subject.starts_with(REPLY)
}

/// A request that waits for its answers.
#[derive(Debug)]
pub(super) struct Request {
    /// The account whose answer it is.
    pub(super) of: u16,
    /// The account that asks.
    pub(super) asker: u16,
    /// Where it wants its answers.
    pub(super) reply: Box<[u8]>,
    pub(super) answers: Answers,
    pub(super) patience: Duration,
    /// When it waits no more.
    pub(super) ends_at: Time,
}

/// The requests of one shard that wait for answers.
#[derive(Debug)]
pub struct Services {
    pub(super) waiting: Map<Word, Request>,
    /// Those of each account, the oldest first; some are answered.
    asked: Vec<VecDeque<Word>>,
    /// The word that all replies in an account share, once there was one.
    pub(super) heard: Vec<Option<Word>>,
    /// A look at them is due.
    pub(super) watched: bool,
}

impl Services {
    /// None yet, of so many accounts.
    pub fn new(accounts: usize, seed: u64) -> Services {
        let asked = (0..accounts).map(|_| VecDeque::new()).collect();
        Services { waiting: Map::with_hasher(Seeded(seed)), asked, heard: vec![None; accounts], watched: false }
    }

    /// There are so many accounts now.
    pub fn grow(&mut self, accounts: usize) {
        self.asked.resize_with(accounts, VecDeque::new);
        self.heard.resize(accounts, None);
    }

    /// Adds one. Says how many others were given up for it.
    pub(super) fn add(&mut self, request: Request, rng: &mut Rng) -> (Word, u64) {
        let mut forgotten = 0;
        let asked = &mut self.asked[usize::from(request.asker)];
        if asked.len() >= 2 * SERVICE_REQUESTS_MAX {
            asked.retain(|word| self.waiting.contains_key(word));
            while asked.len() >= SERVICE_REQUESTS_MAX {
                let oldest = asked.pop_front().and_then(|oldest| self.waiting.remove(&oldest));
                forgotten += u64::from(oldest.is_some());
            }
        }
        let mut name = word(rng);
        while self.waiting.contains_key(&name) {
            name = word(rng);
        }
        asked.push_back(name);
        self.waiting.insert(name, request);
        (name, forgotten)
    }

    /// Whose request a message of an account answers. The last answer ends it.
    pub(super) fn answered(
        &mut self,
        account: u16,
        m: &Message<'_>,
        now: Time,
    ) -> Option<(u16, Box<[u8]>, Answers, Duration)> {
        let (first, second) = words(m.subject)?;
        if self.heard[usize::from(account)] != Some(first) {
            return None;
        }
        let request = self.waiting.get_mut(&second).filter(|r| r.of == account && r.ends_at > now)?;
        let found = (request.asker, request.reply.clone(), request.answers, request.patience);
        if request.answers == Answers::One || m.size == 0 {
            self.waiting.remove(&second);
        } else {
            request.ends_at = now.plus(request.patience);
        }
        Some(found)
    }

    /// Forgets those that wait no more.
    pub(super) fn sweep(&mut self, now: Time) {
        let waiting = &mut self.waiting;
        for asked in &mut self.asked {
            asked.retain(|word| match waiting.get(word) {
                Some(request) if request.ends_at > now => true,
                Some(_) => waiting.remove(word).is_some_and(|_| false),
                None => false,
            });
            if asked.is_empty() {
                *asked = VecDeque::new();
            }
        }
    }
}

pub(super) fn word(rng: &mut Rng) -> Word {
    std::array::from_fn(|_| LETTERS[rng.below(LETTERS.len() as u64) as usize])
}

/// The two words of `_R_.<word>.<word>`.
fn words(subject: &[u8]) -> Option<(Word, Word)> {
    let (first, rest) = subject.strip_prefix(REPLY)?.split_first_chunk()?;
    Some((*first, rest.strip_prefix(b".")?.try_into().ok()?))
}

pub(super) fn reply(first: Word, second: Word) -> Vec<u8> {
    [REPLY, &first, b".", &second].concat()
}

#[cfg(test)]
mod tests;
