//! Hash tables seeded per shard: the order of keys is no secret of the run (same seed, same order) and no gift to
//! an attacker (another seed, other collisions).

use std::hash::{BuildHasher, Hasher};

/// A hash map with the shard's seed.
pub type Map<K, V> = hashbrown::HashMap<K, V, Seeded>;
/// A hash set with the shard's seed.
pub type Set<K> = hashbrown::HashSet<K, Seeded>;

/// Builds hashers that fold 128-bit products over eight bytes at a time (the construction of wyhash), keyed by a seed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seeded(pub u64);

/// See [`Seeded`].
#[derive(Clone, Copy, Debug)]
pub struct Folding(u64);

const K0: u64 = 0xa076_1d64_78bd_642f;
const K1: u64 = 0xe703_7ed1_a0b4_28db;

#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let p = u128::from(a) * u128::from(b);
    (p as u64) ^ ((p >> 64) as u64)
}

impl BuildHasher for Seeded {
    type Hasher = Folding;

    #[inline]
    fn build_hasher(&self) -> Folding {
        Folding(self.0 ^ K0)
    }
}

impl Hasher for Folding {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        let (words, tail) = bytes.as_chunks::<8>();
        for w in words {
            self.0 = fold(self.0 ^ u64::from_le_bytes(*w), K1);
        }
        let mut last = [0u8; 8];
        last[..tail.len()].copy_from_slice(tail);
        // The length makes "a" and "a\0" differ.
        self.0 = fold(self.0 ^ u64::from_le_bytes(last), K0 ^ bytes.len() as u64);
    }

    #[inline]
    fn write_u64(&mut self, n: u64) {
        self.0 = fold(self.0 ^ n, K1);
    }

    #[inline]
    fn write_u32(&mut self, n: u32) {
        self.write_u64(u64::from(n));
    }

    #[inline]
    fn write_u8(&mut self, n: u8) {
        self.write_u64(u64::from(n));
    }

    #[inline]
    fn write_usize(&mut self, n: usize) {
        self.write_u64(n as u64);
    }

    #[inline]
    fn finish(&self) -> u64 {
        fold(self.0, K0)
    }
}

/// Are two short byte strings the same? Eight bytes at a time and inline: for subjects and the like, where calling
/// out to `memcmp` costs more than the comparison.
#[inline]
pub fn same(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let ((wa, ta), (wb, tb)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    if !wa.iter().zip(wb).all(|(x, y)| u64::from_le_bytes(*x) == u64::from_le_bytes(*y)) {
        return false;
    }
    // The last eight bytes overlap those before them; only what is shorter is looked at byte by byte.
    match (a.last_chunk::<8>(), b.last_chunk::<8>()) {
        (Some(x), Some(y)) => u64::from_le_bytes(*x) == u64::from_le_bytes(*y),
        _ => ta.iter().zip(tb).all(|(x, y)| x == y),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_is_equality() {
        let text = b"foo.bar.baz.and.some.more";
        for n in 0..text.len() {
            let copy = text[..n].to_vec();
            assert!(same(&text[..n], &copy));
            for i in 0..n {
                let mut other = text[..n].to_vec();
                other[i] ^= 1;
                assert!(!same(&text[..n], &other));
            }
            assert!(!same(&text[..n], &text[..n + 1]));
        }
    }

    #[test]
    fn another_seed_gives_another_hash_and_lengths_count() {
        let h = |seed, b: &[u8]| Seeded(seed).hash_one(b);
        assert_eq!(h(1, b"foo.bar.baz"), h(1, b"foo.bar.baz"));
        assert_ne!(h(1, b"foo.bar.baz"), h(2, b"foo.bar.baz"));
        assert_ne!(h(1, b"a"), h(1, b"a\0"));
        assert_ne!(h(1, b"12345678"), h(1, b"12345678\0"));
    }
}
