//! The subscriptions of one account: from patterns to what is known of each, and from a published subject to all
//! patterns that match it. Lives on the interest floor; a shard has one per account.
//!
//! Most patterns are literal. They live in a hash table and cost a subject one look-up and nothing else; only patterns
//! with wildcards enter the tree of tokens. Nothing here takes long in one go, but for giving back the memory of many
//! wildcard patterns after most of them left.

mod nodes;
mod spread;
mod text;

use std::hash::{BuildHasher, Hasher};

use self::nodes::{Nodes, Path, Symbol, NONE, STAR};
use self::spread::Spread;
use self::text::Text;
use crate::base::Seeded;
use crate::wire::subject;

/// Tokens of a published subject that need no heap.
const SYMBOLS_INLINE: usize = 32;
/// What the allocator adds to a pattern, on average.
const ALLOCATION: usize = 16;

/// A map from patterns to `V` that can be asked for all patterns matching a subject (client-protocol.md §7).
/// Deterministic: the same seed and the same calls give the same order of everything.
pub struct Trie<V> {
    hashing: Seeded,
    literals: Spread<Literal<V>>,
    /// The patterns of `wilds`, by hash: where to find one without its tokens, and the order of a walk.
    index: Spread<u32>,
    wilds: Vec<Option<Wild<V>>>,
    free: Vec<u32>,
    nodes: Nodes,
    /// Heap bytes of all patterns.
    patterns: usize,
}

struct Literal<V> {
    subject: Text,
    value: V,
}

struct Wild<V> {
    pattern: Box<[u8]>,
    value: V,
    /// Another pattern whose tokens hash to the same.
    next: u32,
}

/// Where a walk stands. The default is the beginning; in the order of the walk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    wild: bool,
    hash: u64,
}

/// The hash of a whole pattern or subject.
fn whole(hashing: Seeded, bytes: &[u8]) -> u64 {
    let mut h = hashing.build_hasher();
    h.write(bytes);
    h.finish()
}

/// The symbol of a literal token, never [`STAR`].
fn symbol(hashing: Seeded, token: &[u8]) -> Symbol {
    ((whole(hashing, token) >> 32) as Symbol).max(STAR + 1)
}

/// The hash of the pattern in a slot that is taken.
fn hash_of<V>(hashing: Seeded, wilds: &[Option<Wild<V>>], slot: u32) -> u64 {
    wilds[slot as usize].as_ref().map_or(0, |w| whole(hashing, &w.pattern))
}

impl<V> Trie<V> {
    /// An empty trie. `seed` keys all hashes: nobody outside can choose patterns that collide.
    pub fn new(seed: u64) -> Trie<V> {
        Trie {
            hashing: Seeded(seed),
            literals: Spread::new(),
            index: Spread::new(),
            wilds: Vec::new(),
            free: Vec::new(),
            nodes: Nodes::new(),
            patterns: 0,
        }
    }

    /// How many patterns there are.
    pub fn len(&self) -> usize {
        self.literals.len() + self.index.len()
    }

    /// Is there no pattern?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What is known of exactly this pattern.
    pub fn get(&self, pattern: &[u8]) -> Option<&V> {
        let hash = whole(self.hashing, pattern);
        if subject::is_literal(pattern) {
            return self.literals.find(hash, |l| l.subject.bytes() == pattern).map(|l| &l.value);
        }
        let slot = self.slot(hash, pattern)?;
        self.wilds[slot as usize].as_ref().map(|w| &w.value)
    }

    /// What is known of exactly this pattern.
    pub fn get_mut(&mut self, pattern: &[u8]) -> Option<&mut V> {
        let hash = whole(self.hashing, pattern);
        if subject::is_literal(pattern) {
            return self.literals.find_mut(hash, |l| l.subject.bytes() == pattern).map(|l| &mut l.value);
        }
        let slot = self.slot(hash, pattern)?;
        self.wilds[slot as usize].as_mut().map(|w| &mut w.value)
    }

    /// What is known of this pattern, which is added if it is new. It has to be valid for a subscription
    /// ([`subject::valid_subscription`]); others would never match rightly.
    pub fn entry(&mut self, pattern: &[u8]) -> &mut V
    where
        V: Default,
    {
        debug_assert!(subject::valid_subscription(pattern), "{}", pattern.escape_ascii());
        let (hashing, hash) = (self.hashing, whole(self.hashing, pattern));
        if subject::is_literal(pattern) {
            if self.literals.find(hash, |l| l.subject.bytes() == pattern).is_none() {
                let new = Literal { subject: Text::new(pattern), value: V::default() };
                self.patterns += new.subject.heap(ALLOCATION);
                return &mut self.literals.insert(hash, new, |l| whole(hashing, l.subject.bytes())).value;
            }
            let there = self.literals.find_mut(hash, |l| l.subject.bytes() == pattern);
            return &mut there.expect("it was found just now").value;
        }
        let slot = match self.slot(hash, pattern) {
            Some(slot) => slot,
            None => {
                self.patterns += pattern.len() + ALLOCATION;
                self.add_wild(hash, Wild { pattern: pattern.into(), value: V::default(), next: NONE })
            }
        };
        &mut self.wilds[slot as usize].as_mut().expect("slots in the index are taken").value
    }

    /// Forgets a pattern.
    pub fn remove(&mut self, pattern: &[u8]) -> Option<V> {
        let (hashing, hash) = (self.hashing, whole(self.hashing, pattern));
        if subject::is_literal(pattern) {
            let gone =
                self.literals.remove(hash, |l| l.subject.bytes() == pattern, |l| whole(hashing, l.subject.bytes()))?;
            self.patterns -= gone.subject.heap(ALLOCATION);
            return Some(gone.value);
        }
        let slot = self.slot(hash, pattern)?;
        let wilds = &self.wilds;
        self.index.remove(hash, |s| *s == slot, |s| hash_of(hashing, wilds, *s))?;
        self.patterns -= pattern.len() + ALLOCATION;
        let gone = self.wilds[slot as usize].take()?;
        self.free.push(slot);
        self.unchain(&self.path(pattern), slot, gone.next);
        self.give_back();
        Some(gone.value)
    }

    /// Visits what is known of every pattern that matches a published `subject`, each once, the literal one first.
    /// A subject with an empty token matches nothing; wildcard characters in it are ordinary.
    #[inline]
    pub fn matches<'a>(&'a self, subject: &[u8], mut visit: impl FnMut(&'a V)) {
        if self.literals.len() > 0 {
            let hash = whole(self.hashing, subject);
            if let Some(l) = self.literals.find(hash, |l| l.subject.bytes() == subject) {
                visit(&l.value);
            }
        }
        if self.index.len() == 0 {
            return;
        }
        let mut short = [0; SYMBOLS_INLINE];
        let long;
        let symbols = match self.symbols(subject, &mut short) {
            Some(n) if n <= SYMBOLS_INLINE => &short[..n],
            Some(_) => {
                long = subject::tokens(subject).map(|t| symbol(self.hashing, t)).collect::<Vec<_>>();
                &long
            }
            None => return,
        };
        self.nodes.matches(symbols, |slot| {
            let mut slot = slot;
            while let Some(Some(w)) = self.wilds.get(slot as usize) {
                // the tree compared hashes only
                if subject::covers(&w.pattern, subject) {
                    visit(&w.value);
                }
                slot = w.next;
            }
        });
    }

    /// Visits `max` patterns (fewer at the end, more where hashes collide), in an order that
    /// depends on seed and patterns alone. Returns where to go on, None when all were visited. Patterns may come and
    /// go between two slices: one that was there throughout is visited exactly once.
    pub fn walk(&self, from: Cursor, max: usize, mut visit: impl FnMut(&[u8], &V)) -> Option<Cursor> {
        let (hashing, mut max) = (self.hashing, max.max(1));
        let mut hash = from.hash;
        if !from.wild {
            let rehash = |l: &Literal<V>| whole(hashing, l.subject.bytes());
            let (visited, next) = self.literals.walk(hash, max, rehash, |l| visit(l.subject.bytes(), &l.value));
            if let Some(hash) = next {
                return Some(Cursor { wild: false, hash });
            }
            (max, hash) = (max.saturating_sub(visited), 0);
        }
        let rehash = |s: &u32| hash_of(hashing, &self.wilds, *s);
        let (_, next) = self.index.walk(hash, max, rehash, |s| {
            if let Some(w) = &self.wilds[*s as usize] {
                visit(&w.pattern, &w.value);
            }
        });
        next.map(|hash| Cursor { wild: true, hash })
    }

    /// Has a walk that stands at `cursor` left this pattern behind it (or would have, were it there)?
    pub fn passed(&self, cursor: Cursor, pattern: &[u8]) -> bool {
        let place = Cursor { wild: !subject::is_literal(pattern), hash: whole(self.hashing, pattern) };
        place < cursor
    }

    /// Heap bytes held, roughly; without what the values own.
    pub fn bytes(&self) -> usize {
        self.literals.bytes()
            + self.index.bytes()
            + self.nodes.bytes()
            + self.patterns
            + self.wilds.capacity() * size_of::<Option<Wild<V>>>()
            + self.free.capacity() * size_of::<u32>()
    }

    /// Where a wildcard pattern is.
    fn slot(&self, hash: u64, pattern: &[u8]) -> Option<u32> {
        let is = |s: &u32| self.wilds[*s as usize].as_ref().is_some_and(|w| *w.pattern == *pattern);
        self.index.find(hash, is).copied()
    }

    /// The tokens of a pattern as the tree knows them.
    fn path(&self, pattern: &[u8]) -> Path {
        let (fixed, tail) = match pattern {
            b">" => return Path { symbols: Vec::new(), tail: true },
            [fixed @ .., b'.', b'>'] => (fixed, true),
            _ => (pattern, false),
        };
        let symbols = subject::tokens(fixed).map(|t| match t {
            b"*" => STAR,
            _ => symbol(self.hashing, t),
        });
        Path { symbols: symbols.collect(), tail }
    }

    /// Counts the tokens of a published subject and writes the first of them to `into`. None if one is empty.
    fn symbols(&self, subject: &[u8], into: &mut [Symbol; SYMBOLS_INLINE]) -> Option<usize> {
        let mut n = 0;
        for token in subject::tokens(subject) {
            if token.is_empty() {
                return None;
            }
            if let Some(place) = into.get_mut(n) {
                *place = symbol(self.hashing, token);
            }
            n += 1;
        }
        Some(n)
    }

    fn add_wild(&mut self, hash: u64, mut wild: Wild<V>) -> u32 {
        let path = self.path(&wild.pattern);
        wild.next = self.nodes.get(&path);
        let slot = match self.free.pop() {
            Some(slot) => {
                self.wilds[slot as usize] = Some(wild);
                slot
            }
            None => {
                self.wilds.push(Some(wild));
                (self.wilds.len() - 1) as u32
            }
        };
        self.nodes.set(&path, slot);
        let (hashing, wilds) = (self.hashing, &self.wilds);
        self.index.insert(hash, slot, |s| hash_of(hashing, wilds, *s));
        slot
    }

    /// Takes `slot` out of the patterns at the end of `path`; `next` came after it.
    fn unchain(&mut self, path: &Path, slot: u32, next: u32) {
        let mut at = self.nodes.get(path);
        if at == slot {
            match next {
                NONE => self.nodes.clear(path),
                _ => self.nodes.set(path, next),
            }
            return;
        }
        while let Some(Some(w)) = self.wilds.get_mut(at as usize) {
            if w.next == slot {
                w.next = next;
                return;
            }
            at = w.next;
        }
    }

    /// Builds the part for wildcards anew when most of it is unused.
    fn give_back(&mut self) {
        let (live, held) = (self.index.len(), self.wilds.len());
        if live > 0 && !self.nodes.is_sparse() && (held < 64 || live * 4 >= held) {
            return;
        }
        self.index = Spread::new();
        self.nodes = Nodes::new();
        self.free = Vec::new();
        let old = std::mem::take(&mut self.wilds);
        self.wilds.reserve_exact(live + live / 4);
        for wild in old.into_iter().flatten() {
            self.add_wild(whole(self.hashing, &wild.pattern), wild);
        }
    }
}

#[cfg(test)]
mod tests;
