//! What the clusters of one class were told of one account's interest, where that is not the interest itself. Lives behind
//! the wall that cuts interest in parts; called by whoever tells it.
//!
//! A pattern that crosses whole costs nothing here: it is announced as itself for as long as it is wanted. Only parts are
//! counted, because several wanted patterns can have one in common.

use super::{Class, Wall};
use crate::interest::trie::{Cursor, Trie};

/// By queue group (empty: none), how many wanted patterns have this part.
type Counts = Vec<(Box<[u8]>, u64)>;

/// See the file's head. Belongs to one wall: for other rules it is made anew.
pub struct Announced {
    account: usize,
    class: Class,
    parts: Trie<Counts>,
}

impl Announced {
    /// For one account and one class of clusters; nothing is wanted yet.
    pub fn new(account: usize, class: Class, seed: u64) -> Announced {
        Announced { account, class, parts: Trie::new(seed) }
    }

    /// A pattern with a queue group (empty: none) begins to be wanted. Tells by `edge` what begins to be announced for it
    /// (pattern, queue, true). `wanted` says whether another pattern is wanted; it is not asked about this one.
    pub fn began(
        &mut self,
        wall: &Wall,
        pattern: &[u8],
        queue: &[u8],
        wanted: impl Fn(&[u8], &[u8]) -> bool,
        mut edge: impl FnMut(&[u8], &[u8], bool),
    ) {
        let say = |part: &[u8]| edge(part, queue, true);
        self.change(wall, (pattern, queue), Announced::count, wanted, say);
    }

    /// It is no longer wanted. Tells what ceases to be announced (pattern, queue, false).
    pub fn ended(
        &mut self,
        wall: &Wall,
        pattern: &[u8],
        queue: &[u8],
        wanted: impl Fn(&[u8], &[u8]) -> bool,
        mut edge: impl FnMut(&[u8], &[u8], bool),
    ) {
        let say = |part: &[u8]| edge(part, queue, false);
        self.change(wall, (pattern, queue), Announced::discount, wanted, say);
    }

    /// Counts the parts of a pattern and says those that have begun or ceased by that; a pattern that is its own part is not
    /// counted.
    fn change(
        &mut self,
        wall: &Wall,
        (pattern, queue): (&[u8], &[u8]),
        count: fn(&mut Announced, &[u8], &[u8]) -> bool,
        wanted: impl Fn(&[u8], &[u8]) -> bool,
        mut say: impl FnMut(&[u8]),
    ) {
        wall.announce(self.account, self.class, pattern, |part| {
            let news = match *part == *pattern {
                true => !self.holds(part, queue),
                false => count(self, part, queue) && !wanted(part, queue),
            };
            if news {
                say(part);
            }
        });
    }

    /// Is this announced as a part of something else that is wanted?
    pub fn holds(&self, pattern: &[u8], queue: &[u8]) -> bool {
        self.parts.get(pattern).is_some_and(|counts| counts.iter().any(|(name, _)| **name == *queue))
    }

    /// Visits what is announced as a part, `max` patterns at a time, as [`Trie::walk`] does; some of it may be wanted as
    /// itself too.
    pub fn walk(&self, from: Cursor, max: usize, mut visit: impl FnMut(&[u8], &[u8])) -> Option<Cursor> {
        self.parts.walk(from, max, |part, counts| counts.iter().for_each(|(queue, _)| visit(part, queue)))
    }

    /// Is nothing announced but what is wanted as it is?
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Heap bytes held, roughly.
    pub fn bytes(&self) -> usize {
        self.parts.bytes()
    }

    /// True: this is the first.
    fn count(&mut self, part: &[u8], queue: &[u8]) -> bool {
        let counts = self.parts.entry(part);
        if let Some((_, n)) = counts.iter_mut().find(|(name, _)| **name == *queue) {
            *n += 1;
            return false;
        }
        counts.push((queue.into(), 1));
        true
    }

    /// True: that was the last.
    fn discount(&mut self, part: &[u8], queue: &[u8]) -> bool {
        let Some(counts) = self.parts.get_mut(part) else { return false };
        let Some(at) = counts.iter().position(|(name, _)| **name == *queue) else { return false };
        counts[at].1 -= 1;
        if counts[at].1 > 0 {
            return false;
        }
        counts.swap_remove(at);
        if counts.is_empty() {
            self.parts.remove(part);
        }
        true
    }
}
