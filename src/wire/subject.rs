//! Subjects and patterns as bytes: what is valid, what is a wildcard, what matches what (client-protocol.md §7).
//! Lives on the wire floor. The parser's callers ask for validity; the trie of an account is built on the rest.
//!
//! A subject is a list of tokens separated by `.`. Tokens hold any bytes. In a pattern (the subject of a
//! subscription) the token `*` stands for exactly one token and a last token `>` for one or more; inside a longer
//! token both are ordinary characters. In a published subject they always are.

use memchr::{memchr, memchr2};

/// What separates tokens.
const DOT: u8 = b'.';

/// The tokens of `subject`, in order; empty ones included. The empty subject has one empty token.
pub fn tokens(subject: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(subject);
    std::iter::from_fn(move || {
        let bytes = rest?;
        let (token, left) = match memchr(DOT, bytes) {
            Some(dot) => (&bytes[..dot], Some(&bytes[dot + 1..])),
            None => (bytes, None),
        };
        rest = left;
        Some(token)
    })
}

/// How many tokens `subject` has, empty ones included.
pub fn token_count(subject: &[u8]) -> usize {
    memchr::memchr_iter(DOT, subject).count() + 1
}

/// Is one of the tokens of `subject` empty? Such a subject matches no pattern, not even `>`.
pub fn has_empty_token(subject: &[u8]) -> bool {
    let (Some(first), Some(last)) = (subject.first(), subject.last()) else { return true };
    if *first == DOT || *last == DOT {
        return true;
    }
    memchr::memchr_iter(DOT, subject).any(|dot| subject[dot + 1] == DOT)
}

/// May this be the subject of a SUB? No token is empty, and `>` stands only last. Holds whether or not the client is
/// pedantic; what fails it gets `-ERR 'Invalid Subject'`.
pub fn valid_subscription(pattern: &[u8]) -> bool {
    if has_empty_token(pattern) {
        return false;
    }
    memchr::memchr_iter(b'>', pattern).all(|at| at + 1 == pattern.len() || !is_whole_token(pattern, at))
}

/// Is it a pattern that somebody may write in a file? There may stand what no line of a client can hold: blanks and ends of
/// lines.
pub fn is_sound(pattern: &[u8]) -> bool {
    valid_subscription(pattern) && !pattern.iter().any(|b| *b <= b' ' || *b == 0x7f)
}

/// Does a pattern end with the wildcard that stands for all that follows?
pub fn is_open(pattern: &[u8]) -> bool {
    tokens(pattern).last() == Some(b">")
}

/// May a pedantic client publish to this? No token is empty, `*` or `>`. Without pedantic nothing is checked.
pub fn valid_publish(subject: &[u8]) -> bool {
    !has_empty_token(subject) && is_literal(subject)
}

/// Is no token of `pattern` a wildcard, so that it matches itself and nothing else?
pub fn is_literal(pattern: &[u8]) -> bool {
    let Some(first) = memchr2(b'*', b'>', pattern) else { return true };
    !memchr::memchr2_iter(b'*', b'>', &pattern[first..]).any(|at| is_whole_token(pattern, first + at))
}

/// Does the byte at `at` have no neighbours but dots?
fn is_whole_token(subject: &[u8], at: usize) -> bool {
    (at == 0 || subject[at - 1] == DOT) && subject.get(at + 1).is_none_or(|b| *b == DOT)
}

/// Does a message published to `subject` reach a subscription to `pattern`? The meaning every faster way has to
/// reproduce. `pattern` is one that [`valid_subscription`] lets pass; `subject` may be anything.
pub fn matches(pattern: &[u8], subject: &[u8]) -> bool {
    !has_empty_token(subject) && covers(pattern, subject)
}

/// [`matches`] for a `subject` that is known to have no empty token.
pub(crate) fn covers(mut pattern: &[u8], mut subject: &[u8]) -> bool {
    loop {
        match pattern {
            b">" => return true,
            [b'*', after @ ..] if after.first().is_none_or(|b| *b == DOT) => {
                pattern = after;
                subject = memchr(DOT, subject).map_or(&[], |dot| &subject[dot..]);
            }
            _ => {
                let same = pattern.iter().zip(subject).take_while(|(p, s)| p == s && **p != DOT).count();
                (pattern, subject) = (&pattern[same..], &subject[same..]);
            }
        }
        match (pattern, subject) {
            ([], []) => return true,
            ([DOT, p @ ..], [DOT, s @ ..]) => (pattern, subject) = (p, s),
            _ => return false,
        }
    }
}

/// Does `outer` match every subject that `inner` matches? Both are patterns.
pub fn contains(outer: &[u8], inner: &[u8]) -> bool {
    let (mut outer, mut inner) = (tokens(outer), tokens(inner));
    loop {
        match (outer.next(), inner.next()) {
            (Some(b">"), Some(_)) | (None, None) => return true,
            (Some(_), Some(b">")) => return false,
            (Some(b"*"), Some(_)) => {}
            (Some(o), Some(i)) if o == i => {}
            _ => return false,
        }
    }
}

/// The reply of a message that another server forwards for JetStream can name the subject that its receivers are to see:
/// `$JS.ACK.<…>@<subject>`, at least 8 dots before the `@`. Splits it into reply and subject (cluster-protocol.md §3.18).
pub fn acknowledged(reply: &[u8]) -> Option<(&[u8], &[u8])> {
    if !reply.starts_with(b"$JS.ACK.") {
        return None;
    }
    let mut dots = 0;
    let at = reply.iter().position(|c| {
        dots += u32::from(*c == b'.');
        *c == b'@' && dots >= 8
    })?;
    let (before, after) = (&reply[..at], &reply[at + 1..]);
    (!after.is_empty()).then_some((before, after))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn subscriptions_are_refused_for_empty_tokens_and_a_full_wildcard_before_the_end() {
        // client-protocol.md §25 rows 66 and 72
        let bad: [&[u8]; 11] =
            [b"foo..bar", b"foo.", b".foo", b"foo.>.bar", b">.foo", b".", b"..", b"", b">.>", b"a.>.>", b"*.>.*"];
        for s in bad {
            assert!(!valid_subscription(s), "{}", s.escape_ascii());
        }
        // row 73
        let good: [&[u8]; 14] = [
            b"foo.*bar",
            b"foo>",
            b"a.*.>",
            b">",
            b"*",
            b"a\0b",
            "foo.é".as_bytes(),
            b"foo>.bar",
            b">>.a",
            b"a.>b.c",
            b"*>",
            b"f*o",
            b"\xff\xfe",
            b"*.*",
        ];
        for s in good {
            assert!(valid_subscription(s), "{}", s.escape_ascii());
        }
    }

    #[test]
    fn pedantic_publishers_may_not_use_wildcards_or_empty_tokens() {
        // client-protocol.md §25 rows 67, 68 and 69
        let bad: [&[u8]; 10] = [b"foo.*", b"foo.>", b"foo.", b".foo", b"foo..bar", b"*", b">", b"", b"*.a", b">.a"];
        for s in bad {
            assert!(!valid_publish(s), "{}", s.escape_ascii());
        }
        let good: [&[u8]; 8] = [b"foo.*bar", b"foo>", b"foo.b*r", b"a\0b", b"\xff\xfe", b"$SYS.x", b"**", b"a.>>"];
        for s in good {
            assert!(valid_publish(s), "{}", s.escape_ascii());
        }
    }

    #[test]
    fn who_hears_what() {
        // client-protocol.md §25 rows 70 and 74 to 77, and §7
        let table: [(&[u8], &[u8], bool); 22] = [
            (b"foo.*", b"foo.*", true),
            (b"foo.bar", b"foo.*", false),
            (b"foo.>", b"foo.*", true),
            (b"foo.*", b"foo.>", true),
            (b"foo.>", b"foo", false),
            (b"foo.*", b"foo", false),
            (b"foo.b*r", b"foo.bar", false),
            (b"foo.b*r", b"foo.b*r", true),
            (b">", b"foo..bar", false),
            (b">", b".foo", false),
            (b">", b"foo.", false),
            (b">", b"", false),
            (b"*", b"", false),
            (b">", b"a.b.c", true),
            (b"a.>", b"a.b..c", false),
            (b"*.b", b"a.b", true),
            (b"*.b", b"a.bc", false),
            (b"*.bc", b"a.b", false),
            (b"*", b"a.b", false),
            (b"a.*.c", b"a.b.c", true),
            (b"a.*.c", b"a.b.c.d", false),
            (b"FOO", b"foo", false),
        ];
        for (pattern, subject, want) in table {
            assert_eq!(matches(pattern, subject), want, "{} {}", pattern.escape_ascii(), subject.escape_ascii());
        }
    }

    #[test]
    fn tokens_are_what_lies_between_dots() {
        assert_eq!(tokens(b"a..b.").collect::<Vec<_>>(), [&b"a"[..], b"", b"b", b""]);
        assert_eq!(tokens(b"").collect::<Vec<_>>(), [&b""[..]]);
        assert!(is_literal(b"foo*.>bar.b*r"));
        assert!(!is_literal(b"foo*.*.b"));
        assert!(!is_literal(b"foo*.>"));
    }

    proptest! {
        #[test]
        fn every_answer_agrees_with_the_list_of_tokens(s in "[a*>.]{0,9}", p in "[a*>.]{0,9}") {
            let (s, p) = (s.as_bytes(), p.as_bytes());
            let t: Vec<&[u8]> = s.split(|b| *b == b'.').collect();
            prop_assert_eq!(tokens(s).collect::<Vec<_>>(), t.clone());
            prop_assert_eq!(token_count(s), t.len());
            let empty = t.iter().any(|t| t.is_empty());
            prop_assert_eq!(has_empty_token(s), empty);
            let wild = t.iter().any(|t| *t == b"*" || *t == b">");
            prop_assert_eq!(is_literal(s), !wild);
            prop_assert_eq!(valid_publish(s), !wild && !empty);
            let early = t[..t.len() - 1].contains(&&b">"[..]);
            prop_assert_eq!(valid_subscription(s), !early && !empty);
            if valid_subscription(p) {
                let q: Vec<&[u8]> = p.split(|b| *b == b'.').collect();
                let open = *q[q.len() - 1] == *b">";
                let fixed = q.len() - usize::from(open);
                let long_enough = if open { t.len() > fixed } else { t.len() == fixed };
                let same = q[..fixed].iter().zip(&t).all(|(q, t)| *q == b"*" || q == t);
                prop_assert_eq!(matches(p, s), !empty && long_enough && same);
            }
        }
    }
}
