//! What a message's header says of its being traced (docs/monitoring.md): `Nats-Trace-Dest` names the subject that every
//! server which the message passes tells of it. Pure; asked where a message with headers enters a server. Only the header
//! block is looked at, and read as nats-server reads it: names by their exact case, lines ended by CRLF.

use super::headers;
use super::subject::valid_publish;
use memchr::memmem;
use std::collections::BTreeMap;

/// Where is to be told of the message.
pub const DEST: &[u8] = b"Nats-Trace-Dest";
/// It is to be traced and not delivered.
pub const ONLY: &[u8] = b"Nats-Trace-Only";
/// Which of the ways it went this one is: set by each server for the next.
pub const HOP: &[u8] = b"Nats-Trace-Hop";
/// The account that is told, if it is not the message's: for servers only.
pub const ORIGIN: &[u8] = b"Nats-Trace-Origin-Account";
/// In the place of a destination: nobody is told from here on. No subject can be called so.
pub const DISABLED: &[u8] = b"trace disabled";

/// `proto` of the INFO of servers that trace what asks for it.
pub const TRACING_PROTO: i64 = 3;

/// How traced messages begin.
const VERSION: &[u8] = b"NATS/1.0\r\n";

/// What the header of a traced message asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked<'a> {
    /// Where is to be told of it.
    pub dest: &'a [u8],
    /// It is not to be delivered.
    pub only: bool,
    /// What the server before says of the way here; empty: nothing.
    pub hop: &'a [u8],
    /// It does not ask itself, but bears a `traceparent`.
    pub external: bool,
}

/// Where an account is told of messages that others trace, as its token says it.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(default)]
pub struct Told {
    /// The subject.
    pub dest: Option<String>,
    /// Of so many among a hundred; 0: of all.
    pub sampling: Option<i64>,
}

/// Might the block say anything of it? All other messages with headers pay for this look alone.
#[inline]
pub fn may_ask(block: &[u8]) -> bool {
    block.len() > VERSION.len() + DEST.len() && memmem::find(block, b"\r\nNats-Trace-").is_some()
}

/// The account that is told instead of the message's own, if the block names one. Clients may not.
pub fn origin(block: &[u8]) -> Option<&[u8]> {
    get(block, ORIGIN)
}

/// Appends the block for whoever is to tell nobody of it.
pub fn disable(block: &[u8], into: &mut Vec<u8>) {
    let mut without = Vec::new();
    headers::strip(block, ORIGIN, &mut without);
    headers::set(&without, DEST, DISABLED, into);
}

/// What the block asks for; None: it does not, or not in a way that anybody could be told. `account`: where the account wants
/// to be told of messages that are traced by others (`traceparent`), if it does.
pub fn asked<'a>(block: &'a [u8], account: Option<&'a [u8]>) -> Option<Asked<'a>> {
    let (dest, external) = match (get(block, DEST), account) {
        (Some(dest), _) => (dest, false),
        (None, account) => (account.filter(|_| is_sampled(block))?, true),
    };
    let hop = get(block, HOP).unwrap_or_default();
    is_subject(dest).then(|| Asked { dest, only: is_only(block), hop, external })
}

/// Does the block bear a `traceparent` whose flags say that it is traced (W3C Trace Context)?
fn is_sampled(block: &[u8]) -> bool {
    let Some((_, value)) = Fields::of(block).find(|(name, _)| name.eq_ignore_ascii_case(b"traceparent")) else {
        return false;
    };
    let mut parts = value.split(|c| *c == b'-');
    let (Some(flags), None) = (parts.nth(3), parts.next()) else { return false };
    let text = std::str::from_utf8(flags).ok().filter(|t| t.len() == 2 && t.bytes().all(|b| b.is_ascii_hexdigit()));
    text.and_then(|t| u8::from_str_radix(t, 16).ok()).is_some_and(|flags| flags & 1 == 1)
}

/// Is the message not to be delivered?
fn is_only(block: &[u8]) -> bool {
    let value = get(block, ONLY).unwrap_or_default();
    [b"1".as_slice(), b"true", b"on"].iter().any(|yes| value.eq_ignore_ascii_case(yes))
}

/// Can a message be published to it?
pub fn is_subject(dest: &[u8]) -> bool {
    valid_publish(dest) && !dest.iter().any(|c| c.is_ascii_whitespace() || c.is_ascii_control())
}

/// All headers of the block that have a value, by name.
pub fn fields(block: &[u8]) -> BTreeMap<String, Vec<String>> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in Fields::of(block) {
        all.entry(text(name)).or_default().push(text(value));
    }
    all
}

/// The first value of a header.
fn get<'a>(block: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    Fields::of(block).find(|(n, _)| *n == name).map(|(_, value)| value)
}

/// Headers with a value, up to the empty line or the first line that is none.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn of(block: &'a [u8]) -> Fields<'a> {
        Fields(block.strip_prefix(VERSION).unwrap_or_default())
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<(&'a [u8], &'a [u8])> {
        loop {
            let end = memmem::find(self.0, b"\r\n")?;
            let (line, rest) = self.0.split_at(end);
            let colon = memchr::memchr(b':', line).filter(|at| *at > 0)?;
            self.0 = &rest[2..];
            let value = line[colon + 1..].trim_ascii();
            if !value.is_empty() {
                return Some((&line[..colon], value));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(lines: &str) -> Vec<u8> {
        format!("NATS/1.0\r\n{lines}\r\n").into_bytes()
    }

    /// As nats-server 2.15.2 was seen to take each.
    #[test]
    fn destinations_are_read_as_nats_server_reads_them() {
        let dest = |lines: &str| {
            let block = block(lines);
            asked(&block, None).map(|a| String::from_utf8(a.dest.to_vec()).unwrap())
        };
        let told = Some("tr.1".to_owned());
        assert_eq!(dest("Nats-Trace-Dest: tr.1\r\n"), told);
        assert_eq!(dest("Nats-Trace-Dest:tr.1\r\n"), told);
        assert_eq!(dest("Z: 1\r\nNats-Trace-Dest:\t tr.1 \t\r\n"), told);
        assert_eq!(dest("Nats-Trace-Dest: \r\nNats-Trace-Dest: tr.1\r\n"), told);
        assert_eq!(dest("Nats-Trace-Dest: tr.1\r\nNats-Trace-Dest: tr.2\r\n"), told);
        assert_eq!(dest("Nats-Trace-Dest: tr.1\r\nno colon\r\n"), told);
        for not in [
            "nats-trace-dest: tr.1\r\n",
            "Nats-Trace-Dest : tr.1\r\n",
            "X-Nats-Trace-Dest: tr.1\r\n",
            "Nats-Trace-Dest: a b\r\nNats-Trace-Dest: tr.1\r\n",
            "Nats-Trace-Dest: tr.*\r\n",
            "Nats-Trace-Dest: tr..1\r\n",
            "Nats-Trace-Dest: trace disabled\r\n",
            "no colon\r\nNats-Trace-Dest: tr.1\r\n",
            "\r\nNats-Trace-Dest: tr.1\r\n",
        ] {
            assert_eq!(dest(not), None, "{not:?}");
        }
        assert_eq!(asked(b"NATS/1.0 503\r\nNats-Trace-Dest: tr.1\r\n\r\n", None), None);
        assert_eq!(asked(b"HTTP/1.0\r\nNats-Trace-Dest: tr.1\r\n\r\n", None), None);
    }

    #[test]
    fn only_is_said_in_a_few_words() {
        let only = |value: &str| {
            let block = block(&format!("Nats-Trace-Dest: d\r\nNats-Trace-Only: {value}\r\n"));
            asked(&block, None).unwrap().only
        };
        assert!(["1", "on", "ON", "true", "tRue", " true "].into_iter().all(only));
        assert!(!["0", "off", "yes", "T", "", "\"true\""].into_iter().any(only));
    }

    /// As nats-server 2.15.2 was seen to take each, where the account says `msg_trace`.
    #[test]
    fn what_others_trace_is_traced_for_accounts_that_ask_for_it() {
        let told = |lines: &str| asked(&block(lines), Some(b"acc")).map(|a| (a.dest.to_vec(), a.external));
        let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7";
        let all = Some((b"acc".to_vec(), true));
        for yes in
            [format!("traceparent: {parent}-01"), format!("TraceParent: {parent}-03"), "traceparent: 00-x-y-01".into()]
        {
            assert_eq!(told(&format!("{yes}\r\n")), all, "{yes}");
        }
        for no in ["-00", "-02", "-01-x", "-0", "-zz"] {
            assert_eq!(told(&format!("traceparent: {parent}{no}\r\n")), None, "{no}");
        }
        assert_eq!(told(&format!("Nats-Trace-Dest: trace disabled\r\ntraceparent: {parent}-01\r\n")), None);
        let both = format!("Nats-Trace-Dest: d\r\ntraceparent: {parent}-01\r\n");
        assert_eq!(told(&both), Some((b"d".to_vec(), false)));
        assert_eq!(asked(&block(&format!("traceparent: {parent}-01\r\n")), None), None);
    }

    #[test]
    fn every_block_that_asks_passes_the_first_look() {
        assert!(may_ask(&block("Nats-Trace-Dest:d\r\n")));
        assert!(may_ask(&block("A: 1\r\nNats-Trace-Dest: d\r\n")));
        assert!(!may_ask(&block("A: a long value that is none of them\r\n")));
    }

    #[test]
    fn fields_are_listed_by_name() {
        let all = fields(&block("B: 1\r\nA: 2\r\nB: 3\r\nc: \r\n folded: x\r\n"));
        let shown: Vec<_> = all.iter().map(|(k, v)| format!("{k}={}", v.join(","))).collect();
        assert_eq!(shown, [" folded=x", "A=2", "B=1,3"]);
        assert!(fields(b"NATS/1.0\r\nA: 1").is_empty(), "a line without an end is none");
    }
}
