//! What one client may do (client-protocol.md §16): which permit it has, and which replies it may publish to because it was
//! asked (`allow_responses`). Only clients whose user has permissions have this.

use crate::base::limits::RESPONSES_MAX;
use crate::base::{Seeded, Time};
use crate::interest::permit::Responses;
use crate::policy::PermitId;
use hashbrown::HashTable;
use std::collections::BTreeMap;
use std::hash::BuildHasher;

/// See the file's head.
#[derive(Debug)]
pub struct Rights {
    /// Which of the permits of the configuration.
    pub permit: PermitId,
    /// Replies that it may publish to for a while; None: its permit knows no such thing.
    pub replies: Option<Replies>,
}

#[derive(Debug)]
struct Entry {
    reply: Box<[u8]>,
    until: Option<Time>,
    /// Messages that may still be published to it; None: any number.
    left: Option<u32>,
}

/// Replies of messages that were delivered, until they are used up or too late.
#[derive(Debug)]
pub struct Replies {
    rule: Responses,
    /// By number, the oldest first.
    entries: BTreeMap<u64, Entry>,
    /// Numbers by reply.
    index: HashTable<u64>,
    next: u64,
    hashing: Seeded,
}

impl Replies {
    /// None yet; replies are hashed with this seed.
    pub fn new(rule: Responses, hashing: Seeded) -> Replies {
        Replies { rule, entries: BTreeMap::new(), index: HashTable::new(), next: 0, hashing }
    }

    /// A message with this reply was delivered. False: there are as many as may be, and the oldest was forgotten for it.
    ///
    /// One that is known already is used once by that, as in nats-server.
    pub fn delivered(&mut self, reply: &[u8], now: Time) -> bool {
        if self.take(reply, now) {
            return true;
        }
        while self.entries.first_key_value().is_some_and(|(_, e)| e.until.is_some_and(|t| t <= now)) {
            self.forget_oldest();
        }
        let fits = self.entries.len() < RESPONSES_MAX;
        if !fits {
            self.forget_oldest();
        }
        let until = self.rule.within_ns.map(|ns| now.plus_ns(ns));
        self.entries.insert(self.next, Entry { reply: reply.into(), until, left: self.rule.max });
        let (entries, hashing) = (&self.entries, self.hashing);
        let hash_of = |n: &u64| entries.get(n).map_or(0, |e| hashing.hash_one(&*e.reply));
        self.index.insert_unique(hashing.hash_one(reply), self.next, hash_of);
        self.next += 1;
        fits
    }

    /// May a message be published to this reply? If so, that is one of those that may be.
    pub fn take(&mut self, reply: &[u8], now: Time) -> bool {
        let entries = &self.entries;
        let is = |n: &u64| entries.get(n).is_some_and(|e| *e.reply == *reply);
        let Ok(found) = self.index.find_entry(self.hashing.hash_one(reply), is) else { return false };
        let number = *found.get();
        let Some(entry) = self.entries.get_mut(&number) else { return false };
        let late = entry.until.is_some_and(|t| t <= now);
        entry.left = entry.left.map(|n| n.saturating_sub(1));
        if late || entry.left == Some(0) {
            found.remove();
            self.entries.remove(&number);
        }
        !late
    }

    /// How many there are.
    pub fn held(&self) -> usize {
        self.entries.len()
    }

    fn forget_oldest(&mut self) {
        let Some((number, entry)) = self.entries.pop_first() else { return };
        if let Ok(found) = self.index.find_entry(self.hashing.hash_one(&*entry.reply), |n| *n == number) {
            found.remove();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::SECOND;

    fn replies(max: Option<u32>, within_ns: Option<u64>) -> Replies {
        Replies::new(Responses { max, within_ns }, Seeded(1))
    }

    #[test]
    fn a_reply_may_be_used_so_often_and_so_long() {
        let mut r = replies(Some(2), Some(SECOND));
        let at = |ms: u64| Time(ms * 1_000_000);
        assert!(!r.take(b"in.1", at(0)), "nobody asked");
        assert!(r.delivered(b"in.1", at(0)) && r.delivered(b"in.2", at(500)));
        assert!(r.take(b"in.1", at(999)) && r.take(b"in.1", at(999)) && !r.take(b"in.1", at(999)));
        assert!(!r.take(b"in.2", at(1500)), "too late");
        assert_eq!(r.held(), 0);
        let mut forever = replies(None, None);
        forever.delivered(b"x", at(0));
        assert!((0..100).all(|i| forever.take(b"x", at(i * 1_000_000))));
    }

    #[test]
    fn what_is_late_is_forgotten_by_the_next() {
        let mut r = replies(Some(1), Some(SECOND));
        for i in 0..10_u64 {
            r.delivered(format!("in.{i}").as_bytes(), Time(i));
        }
        assert_eq!(r.held(), 10);
        r.delivered(b"new", Time(2 * SECOND));
        assert_eq!(r.held(), 1);
        assert!(!r.take(b"in.9", Time(2 * SECOND)) && r.take(b"new", Time(2 * SECOND)));
    }

    #[test]
    fn a_second_delivery_is_a_use() {
        // Recorded from nats-server 2.15.2.
        let mut r = replies(Some(1), None);
        r.delivered(b"in", Time(0));
        r.delivered(b"in", Time(0));
        assert!(!r.take(b"in", Time(0)));
        r.delivered(b"in", Time(0));
        assert!(r.take(b"in", Time(0)));
    }

    #[test]
    fn there_are_never_more_than_may_be_and_the_oldest_goes() {
        let mut r = replies(None, None);
        let all = (0..RESPONSES_MAX).all(|i| r.delivered(i.to_string().as_bytes(), Time(0)));
        assert!(all && !r.delivered(b"one more", Time(0)));
        assert_eq!((r.held(), r.index.len()), (RESPONSES_MAX, RESPONSES_MAX));
        assert!(!r.take(b"0", Time(0)) && r.take(b"1", Time(0)) && r.take(b"one more", Time(0)));
    }
}
