//! What this server's clients have begun to want within the last two seconds: other clusters may not know of it yet, so
//! that answers to it need to be told their way (cluster-protocol.md §4.9). One per account and shard, filled only where
//! there are gateways.

use crate::base::limits::RECENT_MAX;
use crate::base::{Time, SECOND};
use crate::interest::Trie;
use std::collections::VecDeque;

/// How long other clusters may take to hear of new interest.
const NEW_NS: u64 = 2 * SECOND;

/// See the file's head.
pub struct Recent {
    patterns: Trie<Newest>,
    order: VecDeque<(Time, Box<[u8]>)>,
    /// Until then everything counts as new: there was too much of it.
    crowded_until: Time,
    /// Somebody will call [`Recent::forget`] when the first of it is new no longer.
    pub awaited: bool,
}

/// When it was last begun.
#[derive(Default)]
struct Newest(Time);

impl Recent {
    /// Nothing is new.
    pub fn new(seed: u64) -> Recent {
        Recent { patterns: Trie::new(seed), order: VecDeque::new(), crowded_until: Time(0), awaited: false }
    }

    /// A client has begun to want this.
    pub fn add(&mut self, pattern: &[u8], now: Time) {
        self.forget(now);
        if self.order.len() >= RECENT_MAX {
            self.crowded_until = now.plus_ns(NEW_NS);
            return;
        }
        self.patterns.entry(pattern).0 = now;
        self.order.push_back((now, pattern.into()));
    }

    /// Has somebody begun so lately to want what goes to this subject?
    pub fn covers(&mut self, subject: &[u8], now: Time) -> bool {
        self.forget(now);
        let mut new = now < self.crowded_until;
        self.patterns.matches(subject, |_| new = true);
        new
    }

    /// When the first of what is new is so no longer; None: nothing is.
    pub fn ends_at(&self) -> Option<Time> {
        self.order.front().map(|(at, _)| at.plus_ns(NEW_NS))
    }

    /// How many patterns are remembered.
    pub fn held(&self) -> usize {
        self.order.len()
    }

    /// Forgets what is new no longer.
    pub fn forget(&mut self, now: Time) {
        while let Some((at, _)) = self.order.front() {
            if at.plus_ns(NEW_NS) > now {
                return;
            }
            let Some((at, pattern)) = self.order.pop_front() else { return };
            if self.patterns.get(&pattern).is_some_and(|newest| newest.0 == at) {
                self.patterns.remove(&pattern);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_is_what_began_within_two_seconds() {
        let (mut r, at) = (Recent::new(1), |ms: u64| Time(ms * 1_000_000));
        r.add(b"in.*", at(0));
        assert!(r.covers(b"in.1", at(1999)) && !r.covers(b"out", at(1999)) && !r.covers(b"in.1", at(2000)));
        r.add(b"in.*", at(3000));
        r.add(b"in.*", at(4000));
        assert!(r.covers(b"in.1", at(5500)) && !r.covers(b"in.1", at(6000)));
    }

    #[test]
    fn where_too_much_is_new_everything_is() {
        let mut r = Recent::new(1);
        for i in 0..=RECENT_MAX {
            r.add(format!("s.{i}").as_bytes(), Time(5));
        }
        assert!(r.covers(b"else", Time(6)) && !r.covers(b"else", Time(5 + NEW_NS)));
        assert_eq!((r.order.len(), r.patterns.len()), (0, 0));
    }
}
