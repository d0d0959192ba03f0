//! A peer's bytes → [`RouteOp`] (cluster-protocol.md §§1.1, 3.12, 3.13).
//!
//! As the client's parser does it: what is not yet whole stays with the caller, nothing is copied, every cut gives the
//! same operations. The usual `RMSG`, `HMSG`, `RS+` and `RS-` in one piece are split in one pass ([`super::usual`]);
//! everything else goes the long way round.

use super::message::Line;
use super::usual::{usual, weight};
use super::words::Words;
use super::RouteOp;
use crate::wire::parse::{is_blank, number, Step};
use crate::wire::Fault;

/// What a peer may do at the moment.
#[derive(Clone, Copy, Debug)]
pub struct RouteRules {
    /// Longest argument of a line, bytes; INFO and CONNECT count. [`super::LINE_MAX`] is what others allow.
    pub max_control_line: usize,
    /// Largest header and payload, bytes. nats-server has no such limit for messages from a peer, which may have a
    /// larger `max_payload` than it itself (cluster-protocol.md §1.1).
    pub max_payload: usize,
    /// Nothing but `CONNECT` is accepted: a peer that dialed us has not said it yet (cluster-protocol.md §3.2).
    pub connect_first: bool,
}

/// Which language is read: that of gateways has no words of leaf nodes, and means something by `A+` and `A-`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::wire) enum Dialect {
    Route,
    /// What the accepting side of a gateway says: interest.
    GatewayInterest,
    /// What the dialing side says: messages.
    GatewayMessages,
}

/// An operation of either language.
pub(in crate::wire) enum Spoken<'a> {
    Op(RouteOp<'a>),
    /// `A+` (true) and `A-`, with what stands behind them.
    Account(bool, &'a [u8]),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verb {
    Rmsg,
    Hmsg,
    Lmsg,
    Interest,
    NoInterest,
    Ping,
    Pong,
    Info,
    Connect,
    Ok,
    Err,
    Account(bool),
    Ignored,
}

/// Of [`VERBS`], those that gateways know too.
const GATEWAY_VERBS: usize = 12;

/// In the order of how often they are met, those of leaf nodes last. `CONNECT` and `INFO` need no separator behind them.
const VERBS: [(&[u8], Verb); 15] = [
    (b"RMSG", Verb::Rmsg),
    (b"HMSG", Verb::Hmsg),
    (b"RS+", Verb::Interest),
    (b"RS-", Verb::NoInterest),
    (b"PING", Verb::Ping),
    (b"PONG", Verb::Pong),
    (b"INFO", Verb::Info),
    (b"CONNECT", Verb::Connect),
    (b"-ERR", Verb::Err),
    (b"+OK", Verb::Ok),
    (b"A+", Verb::Account(true)),
    (b"A-", Verb::Account(false)),
    (b"LMSG", Verb::Lmsg),
    (b"LS+", Verb::Ignored),
    (b"LS-", Verb::Ignored),
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
pub struct RouteParser {
    at: At,
    /// The current operation is not whole before the buffer has so many bytes.
    need: usize,
    /// So many bytes of the argument have no line feed: a long line that comes in small pieces is looked through once.
    looked: usize,
}

impl RouteParser {
    /// The next operation of `b`, which begins with the bytes that the last call left over.
    ///
    /// # Errors
    /// A [`Fault`] ends the connection; the parser is not to be used again.
    #[inline]
    pub fn next<'a>(&mut self, b: &'a [u8], rules: &RouteRules) -> Result<Step<RouteOp<'a>>, Fault> {
        if self.at == At::Start && !rules.connect_first {
            if let Some((op, used)) = usual(b, rules) {
                return Ok(Step::Op(op, used));
            }
        }
        Ok(match self.step(b, rules, Dialect::Route)? {
            Step::More(used) => Step::More(used),
            Step::Op(Spoken::Op(op), used) => Step::Op(op, used),
            Step::Op(Spoken::Account(..), used) => Step::Op(RouteOp::Ignored, used),
        })
    }

    /// The same of a gateway's bytes.
    ///
    /// # Errors
    /// As above; what the other side of a gateway never says is one.
    #[inline]
    pub(in crate::wire) fn next_in<'a>(
        &mut self,
        b: &'a [u8],
        rules: &RouteRules,
        dialect: Dialect,
    ) -> Result<Step<Spoken<'a>>, Fault> {
        if self.at == At::Start {
            if let Some((op, used)) = usual(b, rules) {
                let verb = if matches!(op, RouteOp::Message(_)) { Verb::Rmsg } else { Verb::Interest };
                allowed(verb, dialect)?;
                return Ok(Step::Op(Spoken::Op(op), used));
            }
        }
        self.step(b, rules, dialect)
    }

    /// Has an operation begun that is not whole yet?
    #[inline]
    pub fn has_begun(&self) -> bool {
        self.at != At::Start
    }

    /// How many bytes the buffer must have before [`RouteParser::next`] can say more; 0 if unknown. It is what the peer
    /// claims: room is to be made for bytes that came, not for these.
    pub fn need(&self) -> usize {
        self.need
    }

    fn step<'a>(&mut self, b: &'a [u8], rules: &RouteRules, dialect: Dialect) -> Result<Step<Spoken<'a>>, Fault> {
        if b.len() < self.need {
            return Ok(Step::More(0));
        }
        let mut done = 0;
        loop {
            let rest = &b[done..];
            match self.at {
                At::Start => match verb(rest, rules, dialect)? {
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
                        Verb::Ping => RouteOp::Ping,
                        Verb::Pong => RouteOp::Pong,
                        _ => RouteOp::Ok,
                    };
                    return Ok(Step::Op(Spoken::Op(op), done + nl + 1));
                }
                At::Argument(v) => {
                    let found = match self.line(rest, rules.max_control_line)? {
                        Some((arg, next)) => operation(v, rest, arg, next, rules)?,
                        None => return Ok(Step::More(done)),
                    };
                    match found {
                        Whole::Yes(op, used) => {
                            *self = RouteParser::default();
                            return Ok(Step::Op(op, done + used));
                        }
                        Whole::Needs(n) => {
                            self.need = n;
                            return Ok(Step::More(done));
                        }
                    }
                }
            }
        }
    }

    /// The argument up to the line's end, and where the next line begins; None while the line is not whole.
    fn line<'a>(&mut self, b: &'a [u8], max: usize) -> Result<Option<(&'a [u8], usize)>, Fault> {
        // Two more for CR LF; what lies beyond cannot be part of a legal line.
        let window = &b[..b.len().min(max.saturating_add(2))];
        let fresh = window.get(self.looked..).unwrap_or_default();
        let end = memchr::memchr(b'\n', fresh).map(|nl| self.looked + nl);
        let arg = &window[..end.unwrap_or(window.len())];
        let arg = arg.strip_suffix(b"\r").unwrap_or(arg);
        if arg.len() > max {
            return Err(Fault::ControlLine);
        }
        if end.is_none() {
            self.looked = window.len();
        }
        Ok(end.map(|nl| (arg, nl + 1)))
    }
}

/// The verb at the start of `b` and its length; None while it could still become one.
fn verb(b: &[u8], rules: &RouteRules, dialect: Dialect) -> Result<Option<(Verb, usize)>, Fault> {
    let Some(first) = b.first() else { return Ok(None) };
    if rules.connect_first && !first.eq_ignore_ascii_case(&b'C') {
        return Err(Fault::Authorization);
    }
    let known = if dialect == Dialect::Route { VERBS.len() } else { GATEWAY_VERBS };
    for (word, v) in VERBS.into_iter().take(known) {
        let n = word.len().min(b.len());
        if !b[..n].eq_ignore_ascii_case(&word[..n]) {
            continue;
        }
        if n < word.len() {
            return Ok(None);
        }
        return match (v, b.get(n)) {
            (Verb::Connect | Verb::Info | Verb::Ping | Verb::Pong | Verb::Ok, _) => Ok(Some((v, n))),
            (_, None) => Ok(None),
            (_, Some(c)) if is_blank(*c) => allowed(v, dialect).map(|()| Some((v, n))),
            _ => Err(Fault::UnknownOperation),
        };
    }
    Err(Fault::UnknownOperation)
}

/// May this be said in this language? Each side of a gateway has its own words (cluster-protocol.md §1.2).
fn allowed(v: Verb, dialect: Dialect) -> Result<(), Fault> {
    match (dialect, v) {
        (Dialect::GatewayInterest, Verb::Rmsg | Verb::Hmsg) => Err(Fault::MessageFromAcceptor),
        (Dialect::GatewayMessages, Verb::Interest | Verb::NoInterest | Verb::Account(_)) => {
            Err(Fault::InterestFromDialer)
        }
        _ => Ok(()),
    }
}

enum Whole<'a> {
    Yes(Spoken<'a>, usize),
    Needs(usize),
}

/// The operation whose argument `arg` stands at the start of `b`; what follows the line begins at `next`.
fn operation<'a>(v: Verb, b: &'a [u8], arg: &'a [u8], next: usize, rules: &RouteRules) -> Result<Whole<'a>, Fault> {
    let op = match v {
        Verb::Rmsg | Verb::Hmsg | Verb::Lmsg => return message(v, b, arg, next, rules),
        Verb::Interest => interest(Words::new(arg)).ok_or(Fault::Malformed)?,
        Verb::NoInterest => no_interest(Words::new(arg)).ok_or(Fault::Malformed)?,
        Verb::Connect => RouteOp::Connect(arg),
        Verb::Info => RouteOp::Info(arg),
        Verb::Err => RouteOp::PeerError(arg),
        Verb::Ping => RouteOp::Ping,
        Verb::Pong => RouteOp::Pong,
        Verb::Ok => RouteOp::Ok,
        Verb::Ignored => RouteOp::Ignored,
        Verb::Account(wanted) => return Ok(Whole::Yes(Spoken::Account(wanted, arg), next)),
    };
    Ok(Whole::Yes(Spoken::Op(op), next))
}

fn interest(mut words: Words<'_>) -> Option<RouteOp<'_>> {
    let (account, subject) = (words.first()?, words.first()?);
    let (queue, weight) = match words.first() {
        None => (&[][..], 1),
        Some(queue) => (queue, weight(words.first()?)),
    };
    words.is_empty().then_some(RouteOp::Interest { account, subject, queue, weight })
}

fn no_interest(mut words: Words<'_>) -> Option<RouteOp<'_>> {
    let (account, subject) = (words.first()?, words.first()?);
    let queue = words.first().unwrap_or_default();
    words.is_empty().then_some(RouteOp::NoInterest { account, subject, queue })
}

/// `b` begins at the argument `arg`; the payload at `body`.
fn message<'a>(v: Verb, b: &'a [u8], arg: &'a [u8], body: usize, rules: &RouteRules) -> Result<Whole<'a>, Fault> {
    let mut words = Words::new(arg);
    if v == Verb::Lmsg {
        // The leaf cluster it comes from: of use only to those who have leafs.
        words.first();
    }
    let line = Line::split(words, v != Verb::Rmsg).ok_or(Fault::Malformed)?;
    let size = number(line.size_text).ok_or(Fault::Malformed)?;
    let header = match v {
        Verb::Rmsg => 0,
        _ => number(line.header_text).filter(|h| *h <= size).ok_or(Fault::Malformed)?,
    };
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
    let tail = tail_at(arg, body, &line, header).map_or(&[][..], |at| &b[at..end + 2]);
    Ok(Whole::Yes(Spoken::Op(RouteOp::Message(line.routed(header, &b[body..end], tail))), end + 2))
}

/// Where the sizes begin, if they stand at the end of the line as all deliveries say them.
fn tail_at(arg: &[u8], body: usize, line: &Line<'_>, header: usize) -> Option<usize> {
    let before = arg.strip_suffix(line.size_text)?;
    let before = match header {
        0 => before,
        _ => before.strip_suffix(b" ")?.strip_suffix(line.header_text)?,
    };
    (body == arg.len() + 2).then_some(before.len())
}
