//! A hash table that never stalls: its entries are spread over segments by the first bits of their hash, and only one
//! segment at a time grows, splits or merges. Lives under the trie, which keeps its patterns in two of these.
//!
//! An entry's place in the order of a walk is its hash, and that never changes while segments come and go, so a walk
//! can stop after any entry and go on later. (Extendible hashing: Fagin, Nievergelt, Pippenger, Strong 1979.)
//! Keys and hashes are the caller's: entries are found by a hash and a predicate.

use hashbrown::HashTable;

/// A segment with more entries than this splits: what a hashbrown table of 1,024 buckets holds.
const SEGMENT_FULL: usize = 896;
/// Two sibling segments with fewer entries than this together become one.
const SIBLINGS_MIN: usize = SEGMENT_FULL / 4;
/// Hash bits that may name a segment. Further ones are left to the tables inside.
const SEGMENT_BITS: u8 = 20;

/// See the head of this file.
pub(super) struct Spread<T> {
    /// For every value of the first `depth` bits of a hash, the segment; the last entry is never missing.
    directory: Vec<u32>,
    segments: Vec<Segment<T>>,
    depth: u8,
    len: usize,
}

struct Segment<T> {
    table: HashTable<T>,
    /// How many first bits the hashes of all entries share.
    depth: u8,
    /// The value of those bits.
    prefix: u32,
}

/// The bits that tables inside a segment go by: they look at both ends of a hash, and one end is the same for a
/// whole segment.
fn inner(hash: u64) -> u64 {
    hash.rotate_left(32)
}

/// The first `depth` bits.
fn prefix(hash: u64, depth: u8) -> usize {
    // two steps: a shift by 64 would be none
    (hash >> 1 >> (63 - depth)) as usize
}

impl<T> Spread<T> {
    pub(super) fn new() -> Spread<T> {
        let whole = Segment { table: HashTable::new(), depth: 0, prefix: 0 };
        Spread { directory: vec![0], segments: vec![whole], depth: 0, len: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    fn at(&self, hash: u64) -> usize {
        self.directory[prefix(hash, self.depth)] as usize
    }

    pub(super) fn find(&self, hash: u64, is: impl FnMut(&T) -> bool) -> Option<&T> {
        self.segments[self.at(hash)].table.find(inner(hash), is)
    }

    pub(super) fn find_mut(&mut self, hash: u64, is: impl FnMut(&T) -> bool) -> Option<&mut T> {
        let at = self.at(hash);
        self.segments[at].table.find_mut(inner(hash), is)
    }

    /// Adds an entry that is not there yet. `rehash` tells the hash of entries that are.
    pub(super) fn insert(&mut self, hash: u64, entry: T, rehash: impl Fn(&T) -> u64) -> &mut T {
        while self.is_full(self.at(hash)) {
            self.split(self.at(hash), &rehash);
        }
        let at = self.at(hash);
        self.len += 1;
        self.segments[at].table.insert_unique(inner(hash), entry, |e| inner(rehash(e))).into_mut()
    }

    fn is_full(&self, at: usize) -> bool {
        let s = &self.segments[at];
        s.table.len() >= SEGMENT_FULL && s.depth < SEGMENT_BITS
    }

    /// Takes an entry out.
    pub(super) fn remove(&mut self, hash: u64, is: impl FnMut(&T) -> bool, rehash: impl Fn(&T) -> u64) -> Option<T> {
        let at = self.at(hash);
        let table = &mut self.segments[at].table;
        let entry = table.find_entry(inner(hash), is).ok()?.remove().0;
        self.len -= 1;
        if table.len() * 4 < table.capacity() {
            table.shrink_to(table.len() * 2, |e| inner(rehash(e)));
        }
        self.merge(at, &rehash);
        Some(entry)
    }

    /// Gives the entries whose next bit is set a segment of their own.
    fn split(&mut self, at: usize, rehash: &impl Fn(&T) -> u64) {
        if self.segments[at].depth == self.depth {
            self.directory = self.directory.iter().flat_map(|s| [*s, *s]).collect();
            self.depth += 1;
        }
        let Segment { table, depth, prefix: shared } = &mut self.segments[at];
        (*depth, *shared) = (*depth + 1, *shared << 1);
        let (depth, shared) = (*depth, *shared | 1);
        let mut halves = [HashTable::with_capacity(table.len() / 2), HashTable::with_capacity(table.len() / 2)];
        for e in std::mem::take(table) {
            let hash = rehash(&e);
            halves[prefix(hash, depth) & 1].insert_unique(inner(hash), e, |e| inner(rehash(e)));
        }
        let [low, high] = halves;
        *table = low;
        let new = self.segments.len() as u32;
        self.segments.push(Segment { table: high, depth, prefix: shared });
        self.point(shared, depth, new);
    }

    /// Lets the hashes with these first bits lead to `segment`.
    fn point(&mut self, shared: u32, depth: u8, segment: u32) {
        let more = self.depth - depth;
        let from = (shared as usize) << more;
        self.directory[from..from + (1 << more)].fill(segment);
    }

    /// Joins the segment at `at` with its sibling while they hold little together.
    fn merge(&mut self, mut at: usize, rehash: &impl Fn(&T) -> u64) {
        loop {
            let Segment { table, depth, prefix: shared } = &self.segments[at];
            let (depth, shared) = (*depth, *shared);
            if depth == 0 || table.len() >= SIBLINGS_MIN {
                return;
            }
            let sibling = self.directory[((shared ^ 1) as usize) << (self.depth - depth)] as usize;
            let other = &self.segments[sibling];
            if other.depth != depth || other.table.len() + table.len() >= SIBLINGS_MIN {
                return;
            }
            let moved = std::mem::take(&mut self.segments[sibling].table);
            let joined = &mut self.segments[at];
            for e in moved {
                let hash = rehash(&e);
                joined.table.insert_unique(inner(hash), e, |e| inner(rehash(e)));
            }
            (joined.depth, joined.prefix) = (depth - 1, shared >> 1);
            self.point(shared >> 1, depth - 1, at as u32);
            at = self.discard(sibling, at);
            self.narrow();
        }
    }

    /// Drops the emptied segment `gone`; the last one takes its place. Returns where `kept` is then.
    fn discard(&mut self, gone: usize, kept: usize) -> usize {
        let last = self.segments.len() - 1;
        self.segments.swap_remove(gone);
        if let Some(s) = self.segments.get(gone) {
            let (shared, depth) = (s.prefix, s.depth);
            self.point(shared, depth, gone as u32);
        }
        if self.segments.len() * 4 < self.segments.capacity() {
            self.segments.shrink_to(self.segments.len() * 2);
        }
        if kept == last {
            gone
        } else {
            kept
        }
    }

    /// Halves the directory while no segment needs all of it. Waits until few enough are left that looking at all of
    /// them is cheap beside the merges that went before.
    fn narrow(&mut self) {
        while self.directory.len() > 1 && self.segments.len() * 2 <= self.directory.len() {
            if self.segments.iter().any(|s| s.depth == self.depth) {
                return;
            }
            self.directory = self.directory.iter().step_by(2).copied().collect();
            self.depth -= 1;
        }
    }

    /// Visits entries in the order of their hashes, from the hash `from` on; stops after `max` of them, but never
    /// between two of one hash. Returns the hash to go on with.
    pub(super) fn walk(
        &self,
        from: u64,
        max: usize,
        rehash: impl Fn(&T) -> u64,
        mut visit: impl FnMut(&T),
    ) -> (usize, Option<u64>) {
        let mut visited = 0;
        let mut next = Some(from);
        while let Some(from) = next {
            let s = &self.segments[self.at(from)];
            let mut due: Vec<(u64, &T)> = s.table.iter().map(|e| (rehash(e), e)).filter(|(h, _)| *h >= from).collect();
            due.sort_by_key(|(hash, _)| *hash);
            let mut before = None;
            for (hash, entry) in due {
                if visited >= max && before != Some(hash) {
                    return (visited, Some(hash));
                }
                visit(entry);
                visited += 1;
                before = Some(hash);
            }
            // where the hashes of the next segment begin; none after the last
            let width = 64 - u32::from(s.depth);
            next = (u64::from(s.prefix) + 1).checked_shl(width).filter(|h| *h != 0 && width < 64);
        }
        (visited, None)
    }

    /// Heap bytes of the tables, without what entries own.
    pub(super) fn bytes(&self) -> usize {
        self.segments.iter().map(|s| s.table.allocation_size()).sum::<usize>()
            + self.segments.capacity() * size_of::<Segment<T>>()
            + self.directory.capacity() * size_of::<u32>()
    }
}
