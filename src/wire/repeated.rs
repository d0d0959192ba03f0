//! A message whose line begins as that of the last one on its connection, `PUB <subject> ` or `RMSG <account> <subject> `:
//! of streams only the size is left to be read. Called before the parsers, whose way all else takes.

use super::{Message, Rules};
use crate::base::same;

/// Bytes of `PUB `, the shortest verb; the argument behind it must not be longer than the rules say.
const VERB_BYTES: usize = 4;

/// The message at the start of `b`, and how many bytes it takes, if it is whole, within the limits, without reply, and
/// begins with `line`, which ends with `subject` and a space. None says nothing of what is there: sizes of nine digits are
/// left to the parsers as well, and the smallest messages where nothing is behind them yet.
#[inline]
pub fn repeated<'a>(b: &'a [u8], line: &[u8], subject: &'a [u8], rules: &Rules) -> Option<(Message<'a>, usize)> {
    let (begin, rest) = b.split_at_checked(line.len())?;
    if !same(begin, line) || subject.is_empty() {
        return None;
    }
    let (size, digits) = leading_number(rest)?;
    let body = digits + 2;
    if rest.get(digits..body)? != b"\r\n" || line.len() + digits > rules.max_control_line + VERB_BYTES {
        return None;
    }
    let tail = rest.get(..body + size + 2)?;
    if !tail.ends_with(b"\r\n") || size > rules.max_payload {
        return None;
    }
    Some((Message { subject, reply: &[], header: 0, size, tail }, line.len() + tail.len()))
}

/// The number at the start of `b` and its length: 1 to 8 digits (client-protocol.md §1, "Numbers"), read as one word, which
/// takes the same time for all of them. None for longer ones, and where fewer than eight bytes are left.
#[inline]
fn leading_number(b: &[u8]) -> Option<(usize, usize)> {
    const ALL: u64 = u64::MAX / 0xff;
    let digits = u64::from_le_bytes(*b.first_chunk()?) ^ (ALL * b'0' as u64);
    // The high bit of every byte above 9; what is carried over only touches bytes behind the first of them.
    let others = (digits | digits.wrapping_add(ALL * (0x7f - 9))) & (ALL * 0x80);
    let bits = others.trailing_zeros() & !7;
    if bits == 0 {
        return None;
    }
    // As eight digits, zeros before them; then pairs of digits, of pairs and of fours are put together.
    let n = digits << (64 - bits);
    let n = (n.wrapping_mul(1 + (10 << 8)) >> 8) & 0x00ff_00ff_00ff_00ff;
    let n = (n.wrapping_mul(1 + (100 << 16)) >> 16) & 0x0000_ffff_0000_ffff;
    let n = n.wrapping_mul(1 + (10_000 << 32)) >> 32;
    Some((n as usize, bits as usize / 8))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Parser;
    use proptest::prelude::*;

    const RULES: Rules = Rules { max_control_line: 24, max_payload: 1000, headers: true, connect_first: false };

    #[test]
    fn only_the_same_beginning_is_taken_and_only_whole() {
        let b = b"PUB a.b 3\r\nxyz\r\nPUB a.b";
        let (m, used) = repeated(b, b"PUB a.b ", b"a.b", &RULES).expect("the same");
        assert_eq!((m.subject, m.size, m.tail, used), (b"a.b".as_slice(), 3, b"3\r\nxyz\r\n".as_slice(), 16));
        for line in [b"PUB a.c ".as_slice(), b"PUB a.b. ", b"PUB a "] {
            assert!(repeated(b, line, b"a.b", &RULES).is_none(), "{line:?}");
        }
        for n in 0..16 {
            assert!(repeated(&b[..n], b"PUB a.b ", b"a.b", &RULES).is_none(), "{n} bytes");
        }
        let (m, _) = repeated(b"RMSG $G a.b 0\r\n\r\nRMSG", b"RMSG $G a.b ", b"a.b", &RULES).expect("the same");
        assert_eq!((m.subject, m.size), (b"a.b".as_slice(), 0));
    }

    #[test]
    fn a_number_ends_where_its_digits_end() {
        for n in (0..20).chain([99, 100, 1234, 98_765, 999_999, 1_048_576, 12_345_678]) {
            for end in [b'\r', b' ', b'/', b':', b'+', 0, 0x7f, 0x80, 0xb0, 0xb9, 0xff] {
                let mut text = format!("{n}").into_bytes();
                let digits = text.len();
                text.push(end);
                text.extend([b'9', 0xff, b'0', b'1', b'2', b'3', b'4', b'5']);
                assert_eq!(leading_number(&text), Some((n, digits)), "{n} and {end:#x}");
            }
        }
        assert_eq!(leading_number(b"00000042\r\n"), Some((42, 8)));
        for none in [b"\r\n123456".as_slice(), b"12\r\n", b""] {
            assert_eq!(leading_number(none), None);
        }
    }

    #[test]
    fn limits_and_everything_unusual_are_left_to_the_parser() {
        let none =
            |b: &str, line: &str| assert!(repeated(b.as_bytes(), line.as_bytes(), b"a", &RULES).is_none(), "{b:?}");
        none(&format!("PUB a 1001\r\n{}\r\n", "x".repeat(1001)), "PUB a ");
        none(&format!("PUB {} 1\r\nx\r\n", "a".repeat(23)), &format!("PUB {} ", "a".repeat(23)));
        for text in ["PUB a r 1\r\nx\r\n", "PUB a 1\nx\r\n", "PUB a 1 \r\nx\r\n", "PUB a +1\r\nx\r\n", "PUB a \r\n\r\n"]
        {
            none(text, "PUB a ");
        }
        none("PUB a 0000000001\r\nx\r\n", "PUB a ");
        none("PUB a 1\r\nxx\r\n", "PUB a ");
    }

    proptest! {
        /// What is taken here the parser would have taken in the same way.
        #[test]
        fn the_parser_agrees(text in "PUB a\\.b[ r]{1,3}[0-9+]{1,11}\r?\n[x\r]{0,12}\r\n") {
            if let Some((m, used)) = repeated(text.as_bytes(), b"PUB a.b ", b"a.b", &RULES) {
                let (other, same) = Parser::default().publication(text.as_bytes(), &RULES).expect("a publication");
                prop_assert_eq!((m.subject, m.reply, m.size, m.tail, used), (other.subject, other.reply, other.size, other.tail, same));
            }
        }
    }
}
