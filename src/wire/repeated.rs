//! A message whose line begins as that of the last one on its connection, `PUB <subject> ` or `RMSG <account> <subject> `:
//! of streams only the size is left to be read. Called before the parsers, whose way all else takes.

use super::{Message, Rules};
use crate::base::same;

/// Bytes of `PUB `, the shortest verb; the argument behind it must not be longer than the rules say.
const VERB_BYTES: usize = 4;
/// Digits of the largest size.
const DIGITS: usize = 9;

/// The message at the start of `b`, and how many bytes it takes, if it is whole, within the limits, without reply, and
/// begins with `line`, which ends with `subject` and a space. None says nothing of what is there.
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

/// The number at the start of `b` and its length: 1 to 9 digits, and something behind them (client-protocol.md §1,
/// "Numbers").
#[inline]
fn leading_number(b: &[u8]) -> Option<(usize, usize)> {
    let mut n = 0;
    for (i, c) in b.iter().take(DIGITS + 1).enumerate() {
        let digit = c.wrapping_sub(b'0');
        if digit > 9 {
            return (i > 0).then_some((n, i));
        }
        n = n * 10 + usize::from(digit);
    }
    None
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
        let (m, _) = repeated(b"RMSG $G a.b 0\r\n\r\n", b"RMSG $G a.b ", b"a.b", &RULES).expect("the same");
        assert_eq!((m.subject, m.size), (b"a.b".as_slice(), 0));
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
