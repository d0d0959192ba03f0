//! The patterns of rules as a tree of tokens that is built once: it finds the patterns that match a subject, that cover a
//! pattern, and that overlap one, without looking at those that have nothing to do with it. Lives under the wall.
//!
//! Unlike the trie of an account it holds literal patterns too: a narrow pattern finds its few among many. Children are
//! found by hash and listed as a chain, so a node costs the same with one child as with a thousand. No walk recurses.

use std::hash::{BuildHasher, Hasher};

use hashbrown::HashTable;

use crate::base::Seeded;
use crate::wire::subject;

/// No node, no set.
const NONE: u32 = u32::MAX;
/// The node where all patterns begin.
const ROOT: u32 = 0;
/// Tokens passed: all; whatever lies below counts.
const ALL: u32 = u32::MAX;

/// What one rule says about the pattern it stands at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entry {
    /// The cluster it is about; 0: all.
    pub(super) class: u32,
    pub(super) deny: bool,
    /// Its place in the block.
    pub(super) rule: u32,
}

/// The rules that stand at one pattern.
pub(super) struct Set {
    pub(super) subject: Box<[u8]>,
    /// In order; of several that say the same only the first.
    entries: Vec<Entry>,
}

impl Set {
    /// All entries.
    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Does an entry that denies (or admits) hold for this class?
    pub(super) fn says(&self, class: u32, deny: bool) -> bool {
        self.exactly(0, deny).is_some() || self.exactly(class, deny).is_some()
    }

    /// The rule that says just this about just this class (0: about all).
    pub(super) fn exactly(&self, class: u32, deny: bool) -> Option<u32> {
        let at = self.entries.binary_search_by_key(&(class, deny), |e| (e.class, e.deny)).ok()?;
        Some(self.entries[at].rule)
    }
}

/// Which patterns a walk looks for.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Walk {
    /// Those that match a published subject.
    Matching,
    /// Those that match all that the given pattern matches.
    Covering,
    /// Those that have a subject in common with it.
    Overlapping,
}

struct Node {
    /// The token that leads here, unless that is `*`.
    token: Box<[u8]>,
    parent: u32,
    /// The first of the children by literal token.
    first: u32,
    /// The next child of the same parent.
    next: u32,
    star: u32,
    /// The set of the pattern that ends here.
    end: u32,
    /// The set of the pattern that goes on with `>` only.
    tail: u32,
}

impl Node {
    fn new(token: &[u8], parent: u32, next: u32) -> Node {
        Node { token: token.into(), parent, first: NONE, next, star: NONE, end: NONE, tail: NONE }
    }
}

/// See the file's head.
pub(super) struct Tree {
    hashing: Seeded,
    nodes: Vec<Node>,
    /// Children by parent and literal token.
    edges: HashTable<u32>,
    sets: Vec<Set>,
}

fn edge(hashing: Seeded, parent: u32, token: &[u8]) -> u64 {
    let mut h = hashing.build_hasher();
    h.write_u32(parent);
    h.write(token);
    h.finish()
}

impl Tree {
    pub(super) fn new(seed: u64) -> Tree {
        let nodes = vec![Node::new(b"", NONE, NONE)];
        Tree { hashing: Seeded(seed), nodes, edges: HashTable::new(), sets: Vec::new() }
    }

    /// Adds what a rule says. [`Tree::finish`] comes after the last.
    pub(super) fn add(&mut self, pattern: &[u8], entry: Entry) {
        debug_assert!(subject::valid_subscription(pattern), "{}", pattern.escape_ascii());
        let (mut at, mut tail) = (ROOT, false);
        for token in subject::tokens(pattern) {
            match token {
                b">" => tail = true,
                b"*" if self.nodes[at as usize].star == NONE => {
                    let new = self.push(Node::new(b"", at, NONE));
                    self.nodes[at as usize].star = new;
                    at = new;
                }
                b"*" => at = self.nodes[at as usize].star,
                token => at = self.child_or_new(at, token),
            }
        }
        let sets = self.sets.len() as u32;
        let node = &mut self.nodes[at as usize];
        let place = if tail { &mut node.tail } else { &mut node.end };
        if *place == NONE {
            *place = sets;
            self.sets.push(Set { subject: pattern.into(), entries: vec![entry] });
        } else {
            self.sets[*place as usize].entries.push(entry);
        }
    }

    /// Puts the entries in order and gives back what was reserved for more.
    pub(super) fn finish(&mut self) {
        for set in &mut self.sets {
            set.entries.sort_unstable();
            set.entries.dedup_by_key(|e| (e.class, e.deny));
            set.entries.shrink_to_fit();
        }
        self.nodes.shrink_to_fit();
        self.sets.shrink_to_fit();
    }

    /// The set of exactly this pattern.
    pub(super) fn exactly(&self, pattern: &[u8]) -> Option<&Set> {
        let mut at = ROOT;
        for token in subject::tokens(pattern) {
            at = match token {
                b">" => return self.sets.get(self.nodes[at as usize].tail as usize),
                b"*" => self.nodes[at as usize].star,
                token => self.child(at, token),
            };
            if at == NONE {
                return None;
            }
        }
        self.sets.get(self.nodes[at as usize].end as usize)
    }

    /// Visits the set of every pattern that is looked for, each once, until `visit` says true; says whether it did.
    /// `asked` is a valid pattern, or any published subject for [`Walk::Matching`].
    pub(super) fn walk<'a>(&'a self, walk: Walk, asked: &[u8], mut visit: impl FnMut(&'a Set) -> bool) -> bool {
        if self.sets.is_empty() || (walk == Walk::Matching && subject::has_empty_token(asked)) {
            return false;
        }
        let tokens: Vec<&[u8]> = subject::tokens(asked).collect();
        let wild = |token: &[u8], rest: &[&[u8]]| walk != Walk::Matching && rest.first().is_some_and(|t| **t == *token);
        let mut later = vec![(ROOT, 0)];
        while let Some((at, passed)) = later.pop() {
            let node = &self.nodes[at as usize];
            let rest = if passed == ALL { &[][..] } else { &tokens[passed as usize..] };
            let open = wild(b">", rest);
            // Does all below count, and may any token follow?
            let below = passed == ALL || (open && walk == Walk::Overlapping);
            let any = below || (walk == Walk::Overlapping && wild(b"*", rest));
            if (rest.is_empty() && self.show(node.end, &mut visit))
                || ((below || !rest.is_empty()) && self.show(node.tail, &mut visit))
            {
                return true;
            }
            let next = if below { ALL } else { passed + 1 };
            if any {
                let mut child = node.first;
                while child != NONE {
                    later.push((child, next));
                    child = self.nodes[child as usize].next;
                }
            } else if let (Some(token), false) = (rest.first(), open) {
                let child = self.child(at, token);
                if child != NONE {
                    later.push((child, next));
                }
            } else {
                continue;
            }
            if node.star != NONE {
                later.push((node.star, next));
            }
        }
        false
    }

    fn show<'a>(&'a self, set: u32, visit: &mut impl FnMut(&'a Set) -> bool) -> bool {
        self.sets.get(set as usize).is_some_and(visit)
    }

    fn child(&self, at: u32, token: &[u8]) -> u32 {
        let is = |n: &u32| {
            let node = &self.nodes[*n as usize];
            node.parent == at && *node.token == *token
        };
        self.edges.find(edge(self.hashing, at, token), is).copied().unwrap_or(NONE)
    }

    fn child_or_new(&mut self, at: u32, token: &[u8]) -> u32 {
        let there = self.child(at, token);
        if there != NONE {
            return there;
        }
        let new = self.push(Node::new(token, at, self.nodes[at as usize].first));
        self.nodes[at as usize].first = new;
        let (hashing, nodes) = (self.hashing, &self.nodes);
        let rehash = |n: &u32| edge(hashing, nodes[*n as usize].parent, &nodes[*n as usize].token);
        self.edges.insert_unique(edge(hashing, at, token), new, rehash);
        new
    }

    fn push(&mut self, node: Node) -> u32 {
        self.nodes.push(node);
        (self.nodes.len() - 1) as u32
    }
}
