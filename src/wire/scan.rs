//! Looking at eight bytes at once. Pure; used where every byte of a line is looked at.

const LOW: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// The high bit of every byte below 33: blanks, line ends and other controls.
#[inline]
pub(super) fn below_33(word: u64) -> u64 {
    // With the high bit set no subtraction borrows from its neighbour; bytes that had it themselves are no controls.
    !((word | HIGH) - LOW * 33) & !word & HIGH
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_byte_is_judged_for_itself() {
        for byte in 0..=u8::MAX {
            for at in 0..8 {
                for around in [0, 32, 33, 127, 128, 255] {
                    let mut word = [around; 8];
                    word[at] = byte;
                    let marks = below_33(u64::from_le_bytes(word)).to_le_bytes();
                    assert_eq!(marks, word.map(|b| if b < 33 { 128 } else { 0 }), "{word:?}");
                }
            }
        }
    }
}
