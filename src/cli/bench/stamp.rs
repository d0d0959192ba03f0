//! What a checked message says of itself, and the book that finds out what became of the messages of one sender. Used by
//! [`super::open`] and, with `--check`, by [`super::stream`].

use std::collections::BTreeMap;

/// Bytes of a payload that the stamp takes.
pub const STAMP: usize = 16;
/// The unit of the lateness, in nanoseconds: 32 bits of it are more than a minute.
const LATE_UNIT: u64 = 16;
/// Gaps that are remembered; of more, the oldest count as lost for good.
const GAPS_MAX: usize = 1 << 16;

/// The first bytes of a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// When the message was due, in nanoseconds since the start of the run (48 bits: three days).
    pub intended: u64,
    /// How much later it was handed to the socket, in nanoseconds, in steps of 16; at most 68 s.
    pub late: u64,
    /// Whose it is.
    pub sender: u16,
    /// Its number among the sender's messages, from zero on, going round at 32 bits.
    pub sequence: u32,
}

impl Stamp {
    /// As bytes of a payload.
    pub fn bytes(self) -> [u8; STAMP] {
        let mut out = [0; STAMP];
        out[..6].copy_from_slice(&self.intended.to_le_bytes()[..6]);
        let late = u32::try_from(self.late / LATE_UNIT).unwrap_or(u32::MAX);
        out[6..10].copy_from_slice(&late.to_le_bytes());
        out[10..12].copy_from_slice(&self.sender.to_le_bytes());
        out[12..].copy_from_slice(&self.sequence.to_le_bytes());
        out
    }

    /// From the first bytes of a payload; none if it is too short.
    pub fn read(head: &[u8]) -> Option<Stamp> {
        let b: [u8; STAMP] = head.get(..STAMP)?.try_into().ok()?;
        Some(Stamp {
            intended: u64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], 0, 0]),
            late: u64::from(u32::from_le_bytes([b[6], b[7], b[8], b[9]])) * LATE_UNIT,
            sender: u16::from_le_bytes([b[10], b[11]]),
            sequence: u32::from_le_bytes([b[12], b[13], b[14], b[15]]),
        })
    }
}

/// What has come of one sender's messages at one place.
#[derive(Debug, Default)]
pub struct Track {
    /// Different messages that have come.
    pub received: u64,
    /// Messages that had come before.
    pub duplicates: u64,
    /// Messages that came behind a later one.
    pub reordered: u64,
    /// The number after the highest that has come.
    next: u64,
    /// Numbers below it that have not come: first to one past the last.
    gaps: BTreeMap<u64, u64>,
}

impl Track {
    /// A message has come; gives its whole number.
    pub fn take(&mut self, sequence: u32) -> u64 {
        // the numbers on the wire go round: the nearest to what is expected is meant
        let number = self.next.saturating_add_signed(i64::from(sequence.wrapping_sub(self.next as u32) as i32));
        if number >= self.next {
            if number > self.next {
                self.gaps.insert(self.next, number);
                if self.gaps.len() > GAPS_MAX {
                    self.gaps.pop_first();
                }
            }
            self.next = number + 1;
            self.received += 1;
        } else if let Some((first, end)) = self.gaps.range(..=number).next_back().map(|(f, e)| (*f, *e)) {
            if number < end {
                self.gaps.remove(&first);
                if first < number {
                    self.gaps.insert(first, number);
                }
                if number + 1 < end {
                    self.gaps.insert(number + 1, end);
                }
                self.reordered += 1;
                self.received += 1;
            } else {
                self.duplicates += 1;
            }
        } else {
            self.duplicates += 1;
        }
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn taken(sequence: impl IntoIterator<Item = u32>) -> (u64, u64, u64) {
        let mut track = Track::default();
        sequence.into_iter().for_each(|s| {
            track.take(s);
        });
        (track.received, track.duplicates, track.reordered)
    }

    #[test]
    fn losses_repeats_and_disorder_are_told_apart() {
        assert_eq!(taken(0..10), (10, 0, 0));
        assert_eq!(taken([0, 1, 4, 5]), (4, 0, 0));
        assert_eq!(taken([0, 1, 1, 2, 0]), (3, 2, 0));
        assert_eq!(taken([3, 0, 1, 2, 2, 4]), (5, 1, 3));
        assert_eq!(taken([5, 2, 2, 0, 4]), (4, 1, 3));
    }

    #[test]
    fn numbers_go_round() {
        let mut track = Track { next: (1 << 32) - 2, ..Track::default() };
        for (sequence, number) in
            [(u32::MAX - 1, (1 << 32) - 2), (1, (1 << 32) + 1), (u32::MAX, (1 << 32) - 1), (0, 1 << 32)]
        {
            assert_eq!(track.take(sequence), number);
        }
        assert_eq!((track.received, track.duplicates, track.reordered), (4, 0, 2));
    }

    proptest! {
        #[test]
        fn the_book_agrees_with_a_set(sequence in prop::collection::vec(0u32..40, 0..120)) {
            let mut seen = std::collections::HashSet::new();
            let (mut repeats, mut behind, mut highest) = (0, 0, 0);
            for s in &sequence {
                if !seen.insert(*s) {
                    repeats += 1;
                } else if *s < highest {
                    behind += 1;
                }
                highest = highest.max(*s);
            }
            prop_assert_eq!(taken(sequence), (seen.len() as u64, repeats, behind));
        }

        #[test]
        fn a_stamp_survives(intended in 0u64..1 << 48, late in 0u64..60_000_000_000, sender: u16, sequence: u32) {
            let stamp = Stamp { intended, late: late / LATE_UNIT * LATE_UNIT, sender, sequence };
            prop_assert_eq!(Stamp::read(&stamp.bytes()), Some(stamp));
            prop_assert_eq!(Stamp::read(&stamp.bytes()[1..]), None);
        }
    }
}
