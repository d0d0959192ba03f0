//! One line of a handshake between servers: its verb and its argument. No state; called by those who greet peers and
//! other clusters, for what a link has sent so far.

use crate::base::limits::UNREAD_BYTES_MAX;

/// What a line is, as far as a handshake is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// `CONNECT`
    Connect,
    /// `INFO`
    Info,
    /// `PING`
    Ping,
    /// `PONG`
    Pong,
    /// `+OK`
    Ok,
    /// `-ERR`
    Err,
    /// Something only registered routes and gateways say: the peer took us for one.
    Routed,
    /// An operation that clients or gateways know.
    Other,
}

/// One line without its end.
#[derive(Clone, Copy, Debug)]
pub struct Line<'a> {
    /// What it is.
    pub verb: Verb,
    /// What follows the verb, trimmed.
    pub rest: &'a [u8],
    /// Bytes of the line with its end.
    pub length: usize,
}

/// What the bytes begin with.
#[derive(Debug)]
pub enum Heard<'a> {
    /// A whole line.
    Line(Line<'a>),
    /// Not a whole line yet.
    Partial,
    /// No operation begins so.
    Unknown,
    /// The line is longer than [`UNREAD_BYTES_MAX`].
    TooLong,
}

const VERBS: [(&[u8], Verb); 19] = [
    (b"CONNECT", Verb::Connect),
    (b"INFO", Verb::Info),
    (b"PING", Verb::Ping),
    (b"PONG", Verb::Pong),
    (b"+OK", Verb::Ok),
    (b"-ERR", Verb::Err),
    (b"RS+", Verb::Routed),
    (b"RS-", Verb::Routed),
    (b"LS+", Verb::Routed),
    (b"LS-", Verb::Routed),
    (b"A+", Verb::Routed),
    (b"A-", Verb::Routed),
    (b"RMSG", Verb::Routed),
    (b"HMSG", Verb::Routed),
    (b"LMSG", Verb::Routed),
    (b"SUB", Verb::Other),
    (b"UNSUB", Verb::Other),
    (b"PUB", Verb::Other),
    (b"HPUB", Verb::Other),
];

/// Reads the first line of `bytes`. What can no longer become an operation is known as soon as it differs, so that a
/// peer of another protocol is not waited for.
pub fn first(bytes: &[u8]) -> Heard<'_> {
    let end = memchr::memchr(b'\n', bytes);
    let line = &bytes[..end.unwrap_or(bytes.len())];
    // INFO and CONNECT need no blank before their argument.
    let word = line.split(|b| matches!(b, b' ' | b'\t' | b'\r' | b'{')).next().unwrap_or_default();
    let whole = word.len() < line.len() || end.is_some();
    let verb = VERBS.iter().find(|(name, _)| name.eq_ignore_ascii_case(word)).map(|(_, verb)| *verb);
    let begun = |name: &[u8]| name.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word));
    match (end, verb) {
        (Some(end), Some(verb)) if end < UNREAD_BYTES_MAX => {
            Heard::Line(Line { verb, rest: line[word.len()..].trim_ascii(), length: end + 1 })
        }
        (_, None) if whole || !VERBS.iter().any(|(name, _)| begun(name)) => Heard::Unknown,
        _ if bytes.len() >= UNREAD_BYTES_MAX => Heard::TooLong,
        _ => Heard::Partial,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_known_by_their_verb_and_cut_anywhere() {
        let text = b"info {\"a\":1} \r\nPING\nrs+ $G foo\r\n";
        for n in 0..text.iter().position(|b| *b == b'\n').unwrap() {
            assert!(matches!(first(&text[..n]), Heard::Partial), "{n}");
        }
        let Heard::Line(line) = first(text) else { panic!() };
        assert_eq!((line.verb, line.rest, line.length), (Verb::Info, &b"{\"a\":1}"[..], 15));
        let Heard::Line(line) = first(&text[15..]) else { panic!() };
        assert_eq!((line.verb, line.rest, line.length), (Verb::Ping, &b""[..], 5));
        let Heard::Line(line) = first(&text[20..]) else { panic!() };
        assert_eq!(line.verb, Verb::Routed);
    }

    #[test]
    fn another_protocol_is_known_by_its_first_bytes() {
        for text in [&b"\x15\x03"[..], b"HTTP/1.1", b"GET / ", b"SSH-2.0", b"INFOX {}", b"\r\n", b"PINGS\r\n", b"\0"] {
            assert!(matches!(first(text), Heard::Unknown), "{}", text.escape_ascii());
        }
        assert!(matches!(first(&[b'I', b'N', b'F', b'O', b' '].repeat(UNREAD_BYTES_MAX)), Heard::TooLong));
    }
}
