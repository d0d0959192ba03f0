//! Where the words of a line end: the bytes below 33 (blanks, line ends, rare other controls) of a buffer, found 64 at
//! a time. Used by the parsers' one pass over their usual lines.

use wide::u8x16;

/// Bytes looked at together: most lines are shorter.
const BLOCK: usize = 64;
/// Bytes of one vector.
const LANES: usize = 16;

/// The places of all bytes below 33, in order.
pub(in crate::wire) struct Marks<'a> {
    bytes: &'a [u8],
    /// Where the current block begins.
    at: usize,
    /// A bit for every byte of the block that is marked and was not yet told.
    bits: u64,
}

impl<'a> Marks<'a> {
    /// Those of `bytes` from `at` on.
    #[inline]
    pub(in crate::wire) fn new(bytes: &'a [u8], at: usize) -> Marks<'a> {
        Marks { bytes, at, bits: block(bytes, at).unwrap_or(0) }
    }

    /// The next one; None: none is left.
    #[inline]
    pub(in crate::wire) fn next(&mut self) -> Option<usize> {
        while self.bits == 0 {
            self.bits = block(self.bytes, self.at + BLOCK)?;
            self.at += BLOCK;
        }
        let i = self.at + self.bits.trailing_zeros() as usize;
        self.bits &= self.bits - 1;
        Some(i)
    }
}

/// The marks of the block at `at`; None beyond the end.
#[inline]
fn block(bytes: &[u8], at: usize) -> Option<u64> {
    match bytes.get(at..).and_then(|b| b.first_chunk()) {
        Some(b) => Some(marked(b)),
        None => last_block(bytes, at),
    }
}

#[cold]
fn last_block(bytes: &[u8], at: usize) -> Option<u64> {
    let rest = bytes.get(at..).filter(|r| !r.is_empty())?;
    let mut padded = [u8::MAX; BLOCK];
    padded[..rest.len()].copy_from_slice(rest);
    Some(marked(&padded))
}

#[inline]
fn marked(b: &[u8; BLOCK]) -> u64 {
    let highest = u8x16::splat(32);
    let (lanes, _) = b.as_chunks::<LANES>();
    lanes.iter().rev().fold(0, |bits, lane| {
        let lane = u8x16::new(*lane);
        bits << LANES | u64::from(lane.min(highest).simd_eq(lane).to_bitmask())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_low_byte_is_told_and_nothing_else(
            b in prop::collection::vec(prop_oneof![0u8..40, any::<u8>()], 0..300),
            at in 0usize..80,
        ) {
            let mut marks = Marks::new(&b, at);
            let told: Vec<usize> = std::iter::from_fn(|| marks.next()).collect();
            let low: Vec<usize> = (at..b.len()).filter(|i| b[*i] < 33).collect();
            prop_assert_eq!(told, low);
        }
    }
}
