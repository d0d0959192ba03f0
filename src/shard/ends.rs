//! Interest that has ended and of which the peers have not been told yet; see `edges`, which tells them. One per shard.

use crate::base::{Map, Seeded};

/// An account, a pattern and a queue group (empty: plain).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) account: u16,
    pub(super) pattern: Box<[u8]>,
    pub(super) queue: Box<[u8]>,
}

impl Key {
    pub(super) fn new(account: u16, pattern: &[u8], queue: &[u8]) -> Key {
        Key { account, pattern: pattern.into(), queue: queue.into() }
    }
}

/// See the file's head.
#[derive(Debug)]
pub(super) struct Ends {
    /// The turn in which something was last heard about it.
    ended: Map<Key, u64>,
    /// In the order in which they ended; what began again is found no more.
    order: Vec<Key>,
    turn: u64,
}

impl Ends {
    /// None; they are hashed with this seed.
    pub(super) fn new(seed: u64) -> Ends {
        Ends { ended: Map::with_hasher(Seeded(seed)), order: Vec::new(), turn: 0 }
    }

    /// Does anything wait to be told?
    pub(super) fn wait(&self) -> bool {
        !self.order.is_empty()
    }

    /// This has ended, in this turn.
    pub(super) fn add(&mut self, key: Key) {
        if self.ended.insert(key.clone(), self.turn).is_none() {
            self.order.push(key);
        }
    }

    /// This has begun again; true if its end has not been told.
    pub(super) fn take_back(&mut self, key: &Key) -> bool {
        self.ended.remove(key).is_some()
    }

    /// A turn is over: what of it is to be told, because nothing was heard about it in a whole turn, or because `all` is.
    pub(super) fn due(&mut self, all: bool) -> Vec<Key> {
        let mut due = Vec::new();
        for key in std::mem::take(&mut self.order) {
            match self.ended.get(&key) {
                Some(turn) if all || *turn < self.turn => {
                    self.ended.remove(&key);
                    due.push(key);
                }
                Some(_) => self.order.push(key),
                None => {}
            }
        }
        self.turn += 1;
        due
    }
}
