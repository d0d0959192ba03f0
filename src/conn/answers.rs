//! Requests from another cluster that a client was given, and the way back for its answers: the reply as the client sees
//! it → what stood before it (cluster-protocol.md §4.9). Kept for two seconds from the last
//! delivery, or as long as the border says.

use crate::base::limits::ANSWERS_MAX;
use crate::base::{Seeded, Time, SECOND};
use crate::wire::gateway::{split, REPLY_PREFIX_BYTES};
use hashbrown::HashTable;
use std::collections::VecDeque;
use std::hash::BuildHasher;

/// How long a way back is known at least, nanoseconds.
pub const WAY_KNOWN_NS: u64 = 2 * SECOND;

/// What stands before a reply: which cluster, and mostly which of its servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WayBack {
    bytes: [u8; REPLY_PREFIX_BYTES],
    len: u8,
}

impl WayBack {
    /// Takes a reply apart: its way back, and the reply as the requester wrote it. None: it has none.
    pub fn of(reply: &[u8]) -> Option<(WayBack, &[u8])> {
        let mapped = split(reply)?;
        let before = reply.len() - mapped.reply.len();
        let mut bytes = [0; REPLY_PREFIX_BYTES];
        bytes.get_mut(..before)?.copy_from_slice(&reply[..before]);
        Some((WayBack { bytes, len: before as u8 }, mapped.reply))
    }

    /// The whole subject of an answer.
    pub fn back(&self, reply: &[u8]) -> Vec<u8> {
        [&self.bytes[..usize::from(self.len)], reply].concat()
    }
}

#[derive(Debug)]
struct Entry {
    reply: Box<[u8]>,
    way: WayBack,
    until: Time,
}

/// See the file's head.
#[derive(Debug, Default)]
pub struct Answers {
    /// In the order of their ends.
    entries: VecDeque<Entry>,
    /// Number of the first of them.
    first: u64,
    /// Numbers by reply.
    index: HashTable<u64>,
    hashing: Seeded,
}

impl Answers {
    /// None; replies are hashed with this seed.
    pub fn new(hashing: Seeded) -> Answers {
        Answers { hashing, ..Answers::default() }
    }

    /// A request was delivered whose answers go this way for so long, nanoseconds: mostly the same for all.
    pub fn remember(&mut self, reply: &[u8], way: WayBack, now: Time, known_ns: u64) {
        self.forget(now);
        if self.entries.len() >= ANSWERS_MAX {
            self.pop();
        }
        let (hash, number) = (self.hashing.hash_one(reply), self.first + self.entries.len() as u64);
        self.entries.push_back(Entry { reply: reply.into(), way, until: now.plus_ns(known_ns) });
        let (entries, first, hashing) = (&self.entries, self.first, self.hashing);
        let at = |n: &u64| &entries[(n - first) as usize].reply;
        match self.index.find_mut(hash, |n| **at(n) == *reply) {
            Some(n) => *n = number,
            None => drop(self.index.insert_unique(hash, number, |n| hashing.hash_one(&**at(n)))),
        }
    }

    /// The way of an answer to this reply.
    pub fn way(&mut self, reply: &[u8], now: Time) -> Option<WayBack> {
        self.forget(now);
        let hash = self.hashing.hash_one(reply);
        let at = |n: &u64| &self.entries[(n - self.first) as usize];
        let entry = self.index.find(hash, |n| *at(n).reply == *reply).map(at);
        entry.filter(|e| e.until > now).map(|e| e.way)
    }

    /// When the first of those that are still known is so no longer; None: none is.
    pub fn ends_at(&mut self, now: Time) -> Option<Time> {
        self.forget(now);
        self.entries.front().map(|e| e.until)
    }

    /// How many are remembered.
    pub fn held(&self) -> usize {
        self.entries.len()
    }

    fn forget(&mut self, now: Time) {
        while self.entries.front().is_some_and(|e| e.until <= now) {
            self.pop();
        }
    }

    fn pop(&mut self) {
        let Some(entry) = self.entries.front() else { return };
        // Delivered again it has a later number, and stays.
        if let Ok(found) = self.index.find_entry(self.hashing.hash_one(&*entry.reply), |n| *n == self.first) {
            found.remove();
        }
        self.entries.pop_front();
        self.first += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_back_is_known_for_two_seconds_from_the_last_delivery() {
        let (way, reply) = WayBack::of(b"_GR_.abcdef.ghijkl.in.1").unwrap();
        assert_eq!(reply, b"in.1");
        let mut a = Answers::new(Seeded(1));
        let at = |ms: u64| Time(ms * 1_000_000);
        a.remember(reply, way, at(0), WAY_KNOWN_NS);
        a.remember(b"other", way, at(500), WAY_KNOWN_NS);
        assert_eq!(a.way(b"in.1", at(1999)).map(|w| w.back(b"in.1")), Some(b"_GR_.abcdef.ghijkl.in.1".to_vec()));
        a.remember(reply, way, at(1999), WAY_KNOWN_NS);
        assert!(a.way(b"in.1", at(3998)).is_some() && a.way(b"other", at(3998)).is_none());
        assert!(a.way(b"in.1", at(4000)).is_none() && a.ends_at(at(4000)).is_none());
        let (old, reply) = WayBack::of(b"$GR.6bdb.x").unwrap();
        assert_eq!((old.back(reply), WayBack::of(b"_INBOX.x")), (b"$GR.6bdb.x".to_vec(), None));
    }

    #[test]
    fn there_are_never_more_than_may_be() {
        let (way, _) = WayBack::of(b"$GR.6bdb.x").unwrap();
        let mut a = Answers::new(Seeded(1));
        for i in 0..=ANSWERS_MAX {
            a.remember(i.to_string().as_bytes(), way, Time(1), WAY_KNOWN_NS);
        }
        assert!(a.way(b"0", Time(1)).is_none() && a.way(b"1", Time(1)).is_some());
        assert_eq!(a.entries.len(), ANSWERS_MAX);
    }
}
