//! The client's half of the protocol, bytes → [`Op`] (client-protocol.md §1).
//!
//! Used by a connection on whatever buffer holds its next bytes. What is not yet whole stays with the caller, who
//! brings it again with more behind it; so nothing is copied here and every cut gives the same operations. The
//! usual `PUB` in one piece is split in one pass ([`Parser::publication`]); everything else goes the long way round.

use super::marks::Marks;
use super::{Fault, Message, Op, Publish};

/// Bytes of `PUB `.
const VERB_BYTES: usize = 4;

/// What a connection may do at the moment.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Longest argument of a control line, bytes.
    pub max_control_line: usize,
    /// Largest header and payload, bytes.
    pub max_payload: usize,
    /// Were headers negotiated?
    pub headers: bool,
    /// Nothing but `CONNECT` is accepted.
    pub connect_first: bool,
}

/// What a parser found.
#[derive(Debug)]
pub enum Step<O> {
    /// An operation, and how many bytes of the buffer it and anything before it took.
    Op(O, usize),
    /// So many bytes are done with; the rest is the beginning of something.
    More(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verb {
    Connect,
    Info,
    Pub,
    Hpub,
    Sub,
    Unsub,
    Ping,
    Pong,
    Ok,
    Err,
}

/// In the order of how often they are met.
const VERBS: [(&[u8], Verb); 10] = [
    (b"PUB", Verb::Pub),
    (b"HPUB", Verb::Hpub),
    (b"PING", Verb::Ping),
    (b"PONG", Verb::Pong),
    (b"SUB", Verb::Sub),
    (b"UNSUB", Verb::Unsub),
    (b"CONNECT", Verb::Connect),
    (b"+OK", Verb::Ok),
    (b"INFO", Verb::Info),
    (b"-ERR", Verb::Err),
];

/// Where in an operation the buffer begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum At {
    /// At an operation's first byte.
    #[default]
    Start,
    /// After a verb, among the blanks before its argument (any number: they are dropped as they come).
    Blanks(Verb),
    /// At the argument's first byte.
    Argument(Verb),
    /// In a line whose rest is ignored, however long.
    Rest(Verb),
}

/// The place in the stream, between two buffers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Parser {
    at: At,
    /// The current operation is not whole before the buffer has so many bytes.
    need: usize,
}

impl Parser {
    /// A `PUB` in its usual form at the start of `b`, as it leaves again, and how many bytes it takes: what
    /// [`Parser::next`] would say of it, for less. None says nothing of what is there.
    #[inline]
    pub fn publication<'a>(&self, b: &'a [u8], rules: &Rules) -> Option<(Message<'a>, usize)> {
        if self.at != At::Start || !b.starts_with(b"PUB ") || rules.connect_first {
            return None;
        }
        whole_publish(b, rules)
    }

    /// Has an operation begun that is not whole yet?
    #[inline]
    pub fn has_begun(&self) -> bool {
        self.at != At::Start
    }

    /// How many bytes the buffer must have before [`Parser::next`] can say more; 0 if unknown.
    pub fn need(&self) -> usize {
        self.need
    }

    /// The next operation of `b`, which begins with the bytes that the last call left over.
    ///
    /// # Errors
    /// A [`Fault`] ends the connection; the parser is not to be used again.
    pub fn next<'a>(&mut self, b: &'a [u8], rules: &Rules) -> Result<Step<Op<'a>>, Fault> {
        if b.len() < self.need {
            return Ok(Step::More(0));
        }
        let mut done = 0;
        loop {
            let rest = &b[done..];
            match self.at {
                At::Start => match verb(rest, rules)? {
                    None => return Ok(Step::More(done)),
                    Some((v, len)) => {
                        done += len;
                        self.at = match v {
                            Verb::Ping | Verb::Pong | Verb::Ok => At::Rest(v),
                            _ => At::Blanks(v),
                        };
                    }
                },
                At::Blanks(v) => {
                    let blanks = rest.iter().take_while(|c| is_blank(**c)).count();
                    done += blanks;
                    if blanks == rest.len() {
                        return Ok(Step::More(done));
                    }
                    self.at = At::Argument(v);
                }
                At::Rest(v) => {
                    let Some(nl) = memchr::memchr(b'\n', rest) else { return Ok(Step::More(b.len())) };
                    self.at = At::Start;
                    let op = match v {
                        Verb::Ping => Op::Ping,
                        Verb::Pong => Op::Pong,
                        _ => Op::Ok,
                    };
                    return Ok(Step::Op(op, done + nl + 1));
                }
                At::Argument(v) => {
                    let Some((arg, next)) = line(rest, rules.max_control_line)? else { return Ok(Step::More(done)) };
                    let (op, used) = match v {
                        Verb::Pub | Verb::Hpub => match publish(rest, arg, next, v == Verb::Hpub, rules)? {
                            Whole::Yes(p, used) => (Op::Publish(p), used),
                            Whole::Needs(n) => {
                                self.need = n;
                                return Ok(Step::More(done));
                            }
                        },
                        Verb::Sub => (subscribe(arg)?, next),
                        Verb::Unsub => (unsubscribe(arg)?, next),
                        Verb::Connect => (Op::Connect(arg), next),
                        Verb::Info => (Op::Info(arg), next),
                        _ => (Op::PeerError(arg), next),
                    };
                    self.at = At::Start;
                    self.need = 0;
                    return Ok(Step::Op(op, done + used));
                }
            }
        }
    }
}

pub(super) fn is_blank(c: u8) -> bool {
    c == b' ' || c == b'\t'
}

/// The verb at the start of `b` and its length; None while it could still become one.
fn verb(b: &[u8], rules: &Rules) -> Result<Option<(Verb, usize)>, Fault> {
    let Some(first) = b.first() else { return Ok(None) };
    if rules.connect_first && !first.eq_ignore_ascii_case(&b'C') {
        return Err(Fault::Authorization);
    }
    for (word, v) in VERBS {
        let n = word.len().min(b.len());
        if !b[..n].eq_ignore_ascii_case(&word[..n]) {
            continue;
        }
        if n < word.len() {
            return Ok(None);
        }
        // Verbs with arguments need a separator; CONNECT and INFO do not, PING, PONG and +OK ignore what follows.
        return match v {
            Verb::Pub | Verb::Hpub | Verb::Sub | Verb::Unsub | Verb::Err => match b.get(n) {
                None => Ok(None),
                Some(c) if is_blank(*c) => Ok(Some((v, n))),
                Some(_) => Err(Fault::UnknownOperation),
            },
            _ => Ok(Some((v, n))),
        };
    }
    Err(Fault::UnknownOperation)
}

/// The argument up to the line's end, and where the next line begins; None while the line is not whole.
fn line(b: &[u8], max: usize) -> Result<Option<(&[u8], usize)>, Fault> {
    // Two more for CR LF; what lies beyond cannot be part of a legal line.
    let window = &b[..b.len().min(max.saturating_add(2))];
    let (arg, next) = match memchr::memchr(b'\n', window) {
        Some(nl) => (&window[..nl], Some(nl + 1)),
        None => (window, None),
    };
    let arg = arg.strip_suffix(b"\r").unwrap_or(arg);
    if arg.len() > max {
        return Err(Fault::ControlLine);
    }
    Ok(next.map(|n| (arg, n)))
}

/// Splits at blanks into at most `N` words; None when there are more.
fn words<const N: usize>(arg: &[u8], blank: impl Fn(u8) -> bool) -> Option<([&[u8]; N], usize)> {
    let mut found: [&[u8]; N] = [&[]; N];
    let mut n = 0;
    for w in arg.split(|c| blank(*c)).filter(|w| !w.is_empty()) {
        *found.get_mut(n)? = w;
        n += 1;
    }
    Some((found, n))
}

/// 1 to 9 digits, nothing else (client-protocol.md §1, "Numbers").
#[inline]
pub(super) fn number(text: &[u8]) -> Option<usize> {
    if text.is_empty() || text.len() > 9 {
        return None;
    }
    let mut n = 0;
    for c in text {
        let digit = c.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        n = n * 10 + usize::from(digit);
    }
    Some(n)
}

enum Whole<'a> {
    Yes(Publish<'a>, usize),
    Needs(usize),
}

/// `b` begins at the argument `arg`; the payload at `body`.
fn publish<'a>(b: &'a [u8], arg: &'a [u8], body: usize, hpub: bool, rules: &Rules) -> Result<Whole<'a>, Fault> {
    if hpub && !rules.headers {
        return Err(Fault::Malformed);
    }
    let (w, n) = words::<4>(arg, is_blank).ok_or(Fault::Malformed)?;
    let (reply, header_text, size_text): (&[u8], &[u8], &[u8]) = match (hpub, n) {
        (false, 2) => (&[], &[], w[1]),
        (false, 3) => (w[1], &[], w[2]),
        (true, 3) => (&[], w[1], w[2]),
        (true, 4) => (w[1], w[2], w[3]),
        _ => return Err(Fault::Malformed),
    };
    let size = number(size_text).ok_or(Fault::Malformed)?;
    let header = if hpub { number(header_text).filter(|h| *h <= size).ok_or(Fault::Malformed)? } else { 0 };
    if size > rules.max_payload {
        return Err(Fault::Payload);
    }
    let end = body + size;
    // Whatever has come of the terminator is judged at once.
    if b.get(end).is_some_and(|c| *c != b'\r') || b.get(end + 1).is_some_and(|c| *c != b'\n') {
        return Err(Fault::UnknownOperation);
    }
    if b.len() < end + 2 {
        return Ok(Whole::Needs(end + 1));
    }
    Ok(Whole::Yes(Publish { subject: w[0], reply, header_text, size_text, header, payload: &b[body..end] }, end + 2))
}

fn subscribe(arg: &[u8]) -> Result<Op<'_>, Fault> {
    let (w, n) = words::<3>(arg, |c| is_blank(c) || c == b'\r').ok_or(Fault::Malformed)?;
    match n {
        2 => Ok(Op::Subscribe { subject: w[0], queue: &[], sid: w[1] }),
        3 => Ok(Op::Subscribe { subject: w[0], queue: w[1], sid: w[2] }),
        _ => Err(Fault::Malformed),
    }
}

fn unsubscribe(arg: &[u8]) -> Result<Op<'_>, Fault> {
    let (w, n) = words::<2>(arg, |c| is_blank(c) || c == b'\r').ok_or(Fault::Malformed)?;
    match n {
        1 => Ok(Op::Unsubscribe { sid: w[0], max: 0 }),
        2 => Ok(Op::Unsubscribe { sid: w[0], max: number(w[1]).unwrap_or(0) as u64 }),
        _ => Err(Fault::Malformed),
    }
}

/// The usual case: `PUB <subject> [reply] <size>\r\n<payload>\r\n` with single spaces, whole in the buffer and
/// within the limits. Anything else is None and goes the long way, which also finds the words for what is wrong.
#[inline]
fn whole_publish<'a>(b: &'a [u8], rules: &Rules) -> Option<(Message<'a>, usize)> {
    let mut marks = Marks::new(b, VERB_BYTES);
    let (first, mut cr) = (marks.next()?, marks.next()?);
    let mut reply: &[u8] = &[];
    let mut size_at = first + 1;
    if b[cr] == b' ' && cr > size_at {
        reply = &b[size_at..cr];
        size_at = cr + 1;
        cr = marks.next()?;
    }
    let subject = &b[VERB_BYTES..first];
    let size = number(&b[size_at..cr])?;
    let body = cr + 2;
    let end = body + size;
    let usual = b[first] == b' ' && !subject.is_empty() && b.get(cr..body)? == b"\r\n";
    if !usual || cr - VERB_BYTES > rules.max_control_line || size > rules.max_payload {
        return None;
    }
    let tail = b.get(size_at..end + 2)?;
    if !tail.ends_with(b"\r\n") {
        return None;
    }
    Some((Message { subject, reply, header: 0, size, tail }, end + 2))
}

#[cfg(test)]
mod tests;
