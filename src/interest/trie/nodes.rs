//! The wildcard patterns of one account as a tree of tokens. Lives under the trie, which keeps the patterns
//! themselves and checks what is found here.
//!
//! Tokens are compared as 32-bit keyed hashes, so that a step is an integer compare and a pattern of 2,001 tokens
//! costs four bytes for each; whoever asks has to make sure with the bytes of the pattern. Chains of nodes without a
//! choice are one node. Nodes live in one vector and name each other by number; no walk recurses.

use hashbrown::HashTable;

/// A token: a keyed hash, or [`STAR`].
pub(super) type Symbol = u32;
/// The token `*` of a pattern. No hash of a token has this value.
pub(super) const STAR: Symbol = 0;
/// No node, no slot.
pub(super) const NONE: u32 = u32::MAX;
/// The node where all patterns begin.
const ROOT: u32 = 0;
/// Nodes of a stack that need no heap.
const STACK_INLINE: usize = 32;

pub(super) struct Nodes {
    nodes: Vec<Node>,
    free: Vec<u32>,
    /// Heap bytes of runs and children.
    heap: usize,
}

#[derive(Default)]
struct Node {
    /// Tokens to pass after the one that led here, before anything else of this node counts.
    run: Run,
    literals: Children,
    star: Link,
    /// Who wants everything below: patterns that go on with `>` only.
    tail: Link,
    /// Who wants exactly this: patterns that end here.
    end: Link,
}

/// The number of a node or of a slot of the caller's, or [`NONE`].
#[derive(Clone, Copy, PartialEq, Eq)]
struct Link(u32);

impl Default for Link {
    fn default() -> Link {
        Link(NONE)
    }
}

enum Run {
    Short(u8, [Symbol; 3]),
    /// Boxed twice to keep nodes at 48 bytes: long runs are rare.
    #[allow(clippy::box_collection, clippy::redundant_allocation)]
    Long(Box<Box<[Symbol]>>),
}

impl Default for Run {
    fn default() -> Run {
        Run::Short(0, [0; 3])
    }
}

impl Run {
    fn new(symbols: &[Symbol]) -> Run {
        if symbols.len() > 3 {
            return Run::Long(Box::new(symbols.into()));
        }
        let mut short = [0; 3];
        short[..symbols.len()].copy_from_slice(symbols);
        Run::Short(symbols.len() as u8, short)
    }

    #[inline]
    fn symbols(&self) -> &[Symbol] {
        match self {
            Run::Short(len, symbols) => &symbols[..usize::from(*len)],
            Run::Long(symbols) => symbols,
        }
    }

    fn heap(&self) -> usize {
        match self {
            Run::Short(..) => 0,
            Run::Long(symbols) => symbols.len() * size_of::<Symbol>() + 48,
        }
    }
}

/// Children by literal token.
#[derive(Default)]
enum Children {
    #[default]
    None,
    One(Symbol, u32),
    Many(Box<HashTable<(Symbol, u32)>>),
}

/// A symbol is a hash already; both ends of the wide one have to differ.
fn spread(symbol: Symbol) -> u64 {
    u64::from(symbol) << 32 | u64::from(symbol)
}

impl Children {
    #[inline]
    fn get(&self, symbol: Symbol) -> u32 {
        match self {
            Children::None => NONE,
            Children::One(s, node) => [NONE, *node][usize::from(*s == symbol)],
            Children::Many(table) => table.find(spread(symbol), |c| c.0 == symbol).map_or(NONE, |c| c.1),
        }
    }

    fn insert(&mut self, symbol: Symbol, node: u32) {
        match self {
            Children::None => *self = Children::One(symbol, node),
            Children::One(s, n) => {
                let mut table = HashTable::with_capacity(2);
                for c in [(*s, *n), (symbol, node)] {
                    table.insert_unique(spread(c.0), c, |c| spread(c.0));
                }
                *self = Children::Many(Box::new(table));
            }
            Children::Many(table) => {
                table.insert_unique(spread(symbol), (symbol, node), |c| spread(c.0));
            }
        }
    }

    fn remove(&mut self, symbol: Symbol) {
        match self {
            Children::None => {}
            Children::One(s, _) if *s != symbol => {}
            Children::One(..) => *self = Children::None,
            Children::Many(table) => {
                if let Ok(found) = table.find_entry(spread(symbol), |c| c.0 == symbol) {
                    found.remove();
                }
                if table.len() * 4 < table.capacity() {
                    table.shrink_to(table.len() * 2, |c| spread(c.0));
                }
                if let (1, Some(&(s, n))) = (table.len(), table.iter().next()) {
                    *self = Children::One(s, n);
                }
            }
        }
    }

    fn heap(&self) -> usize {
        match self {
            Children::Many(table) => table.allocation_size() + size_of::<HashTable<(Symbol, u32)>>() + 32,
            _ => 0,
        }
    }
}

/// What a pattern is made of here: its tokens, and whether a last `>` follows them.
pub(super) struct Path {
    pub(super) symbols: Vec<Symbol>,
    pub(super) tail: bool,
}

impl Nodes {
    pub(super) fn new() -> Nodes {
        Nodes { nodes: vec![Node::default()], free: Vec::new(), heap: 0 }
    }

    /// The slot that belongs to `path`, [`NONE`] if there is none.
    pub(super) fn get(&self, path: &Path) -> u32 {
        let (mut at, mut i) = (ROOT, 0);
        while i < path.symbols.len() {
            at = self.child(at, path.symbols[i]);
            if at == NONE {
                return NONE;
            }
            let run = self.nodes[at as usize].run.symbols();
            if !path.symbols[i + 1..].starts_with(run) {
                return NONE;
            }
            i += 1 + run.len();
        }
        let node = &self.nodes[at as usize];
        [node.end, node.tail][usize::from(path.tail)].0
    }

    /// Lets `path` lead to `slot`.
    pub(super) fn set(&mut self, path: &Path, slot: u32) {
        let (mut at, mut i) = (ROOT, 0);
        while i < path.symbols.len() {
            let (symbol, rest) = (path.symbols[i], &path.symbols[i + 1..]);
            let child = self.child(at, symbol);
            if child == NONE {
                let new = self.add(Node { run: Run::new(rest), ..Node::default() });
                self.link(at, symbol, new);
                at = new;
                break;
            }
            let run = self.nodes[child as usize].run.symbols();
            let same = run.iter().zip(rest).take_while(|(a, b)| a == b).count();
            if same < run.len() {
                self.split(child, same);
            }
            i += 1 + same;
            at = child;
        }
        let node = &mut self.nodes[at as usize];
        *(if path.tail { &mut node.tail } else { &mut node.end }) = Link(slot);
    }

    /// Lets `path` lead nowhere.
    pub(super) fn clear(&mut self, path: &Path) {
        let (mut parent, mut by, mut at, mut i) = (NONE, STAR, ROOT, 0);
        while i < path.symbols.len() {
            (parent, by) = (at, path.symbols[i]);
            at = self.child(at, by);
            if at == NONE {
                return;
            }
            i += 1 + self.nodes[at as usize].run.symbols().len();
        }
        let node = &mut self.nodes[at as usize];
        *(if path.tail { &mut node.tail } else { &mut node.end }) = Link(NONE);
        if parent == NONE {
            return;
        }
        if node.is_bare() && node.star.0 == NONE && matches!(node.literals, Children::None) {
            self.unlink(parent, by);
            self.drop_node(at);
            at = parent;
        }
        self.join(at);
    }

    fn child(&self, at: u32, symbol: Symbol) -> u32 {
        let node = &self.nodes[at as usize];
        if symbol == STAR {
            node.star.0
        } else {
            node.literals.get(symbol)
        }
    }

    fn link(&mut self, at: u32, symbol: Symbol, child: u32) {
        let node = &mut self.nodes[at as usize];
        if symbol == STAR {
            node.star = Link(child);
            return;
        }
        let before = node.literals.heap();
        node.literals.insert(symbol, child);
        self.heap = self.heap + node.literals.heap() - before;
    }

    fn unlink(&mut self, at: u32, symbol: Symbol) {
        let node = &mut self.nodes[at as usize];
        if symbol == STAR {
            node.star = Link(NONE);
            return;
        }
        let before = node.literals.heap();
        node.literals.remove(symbol);
        self.heap = self.heap + node.literals.heap() - before;
    }

    fn add(&mut self, node: Node) -> u32 {
        self.heap += node.run.heap() + node.literals.heap();
        match self.free.pop() {
            Some(at) => {
                self.nodes[at as usize] = node;
                at
            }
            None => {
                self.nodes.push(node);
                (self.nodes.len() - 1) as u32
            }
        }
    }

    fn drop_node(&mut self, at: u32) -> Node {
        let node = std::mem::take(&mut self.nodes[at as usize]);
        self.heap -= node.run.heap() + node.literals.heap();
        self.free.push(at);
        node
    }

    /// Cuts the run of `at` after `same` tokens: what follows becomes its only child.
    fn split(&mut self, at: u32, same: usize) {
        let mut lower = std::mem::take(&mut self.nodes[at as usize]);
        self.heap -= lower.run.heap() + lower.literals.heap();
        let run = std::mem::take(&mut lower.run);
        let run = run.symbols();
        lower.run = Run::new(&run[same + 1..]);
        let upper = Run::new(&run[..same]);
        self.heap += upper.heap();
        self.nodes[at as usize].run = upper;
        let lower = self.add(lower);
        self.link(at, run[same], lower);
    }

    /// Makes `at` and its child one node if it has only that child and nothing else to say.
    fn join(&mut self, at: u32) {
        let node = &self.nodes[at as usize];
        let (by, child) = match (&node.literals, node.star.0) {
            (Children::None, star) if star != NONE => (STAR, star),
            (Children::One(symbol, child), NONE) => (*symbol, *child),
            _ => return,
        };
        if at == ROOT || !node.is_bare() {
            return;
        }
        let mut joined = self.drop_node(child);
        let above = &self.nodes[at as usize];
        let run = [above.run.symbols(), &[by], joined.run.symbols()].concat();
        self.heap -= above.run.heap();
        joined.run = Run::new(&run);
        self.heap += joined.run.heap() + joined.literals.heap();
        self.nodes[at as usize] = joined;
    }

    /// Visits the slots of all paths that match `subject`, each once. `subject` holds no [`STAR`].
    #[inline]
    pub(super) fn matches(&self, subject: &[Symbol], mut visit: impl FnMut(u32)) {
        let mut later = Stack::default();
        let (mut at, mut passed) = (ROOT, 0usize);
        loop {
            let node = &self.nodes[at as usize];
            if let Some(rest) = after_run(node.run.symbols(), &subject[passed..]) {
                match rest {
                    [] if node.end.0 != NONE => visit(node.end.0),
                    [] => {}
                    [symbol, ..] => {
                        if node.tail.0 != NONE {
                            visit(node.tail.0);
                        }
                        let literal = node.literals.get(*symbol);
                        let star = node.star.0;
                        passed = subject.len() - rest.len() + 1;
                        if literal != NONE {
                            if star != NONE {
                                later.push(star, passed);
                            }
                            at = literal;
                            continue;
                        }
                        if star != NONE {
                            at = star;
                            continue;
                        }
                    }
                }
            }
            match later.pop() {
                Some((node, n)) => (at, passed) = (node, n),
                None => return,
            }
        }
    }

    /// Is so much of the vector unused that building the tree anew is worth it?
    pub(super) fn is_sparse(&self) -> bool {
        self.nodes.len() >= 64 && (self.nodes.len() - self.free.len()) * 4 < self.nodes.len()
    }

    /// Heap bytes held.
    pub(super) fn bytes(&self) -> usize {
        self.nodes.capacity() * size_of::<Node>() + self.free.capacity() * size_of::<u32>() + self.heap
    }
}

impl Node {
    fn is_bare(&self) -> bool {
        self.end.0 == NONE && self.tail.0 == NONE
    }
}

/// What is left of `subject` behind `run`, if it begins with it.
#[inline]
fn after_run<'s>(run: &[Symbol], subject: &'s [Symbol]) -> Option<&'s [Symbol]> {
    let (head, rest) = subject.split_at_checked(run.len())?;
    run.iter().zip(head).all(|(r, s)| r == s || *r == STAR).then_some(rest)
}

/// Nodes to come back to, with the number of tokens passed before each. Grows by at most one per token.
#[derive(Default)]
struct Stack {
    first: [(u32, u32); STACK_INLINE],
    len: usize,
    more: Vec<(u32, u32)>,
}

impl Stack {
    #[inline]
    fn push(&mut self, node: u32, passed: usize) {
        match self.first.get_mut(self.len) {
            Some(place) => {
                *place = (node, passed as u32);
                self.len += 1;
            }
            None => self.more.push((node, passed as u32)),
        }
    }

    #[inline]
    fn pop(&mut self) -> Option<(u32, usize)> {
        let (node, passed) = match self.more.pop() {
            Some(top) => top,
            None => {
                self.len = self.len.checked_sub(1)?;
                self.first[self.len]
            }
        };
        Some((node, passed as usize))
    }
}
