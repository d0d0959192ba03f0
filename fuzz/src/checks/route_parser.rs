//! A peer's half of a route: however a stream is cut, the same operations, the same error and the same rest; what was
//! understood, said anew by our own writers, is understood the same, and no line of it is too long; a greeting that was
//! read is written as it was read, and gossip about it as well. The input is the stream itself.

use super::seed_of;
use turnpike::base::Rng;
use turnpike::wire::route::{
    gossip, sayable, write_interest, write_message, write_names, write_no_interest, RouteConnect, RouteInfo, RouteOp,
    RouteParser, RouteRules, Routed, Unsayable, LINE_MAX, WEIGHT_MAX,
};
use turnpike::wire::{Body, Step};

const SMALL: RouteRules = RouteRules { max_control_line: 64, max_payload: 200, connect_first: false };
const USUAL: RouteRules = RouteRules { max_control_line: LINE_MAX, max_payload: 1 << 20, connect_first: false };

/// See the file's head.
pub fn check(stream: &[u8]) {
    for rules in [SMALL, RouteRules { connect_first: true, ..SMALL }, USUAL] {
        let whole = play(std::iter::once(stream), &rules, false);
        assert_eq!(play(stream.chunks(1), &rules, false), whole, "byte by byte");
        assert_eq!(play(stream.chunks(1), &rules, true), whole, "byte by byte, waiting for what is needed");
        let mut rng = Rng::new(seed_of(stream));
        let cuts = std::iter::from_fn({
            let mut rest = stream;
            move || {
                let n = (1 + rng.below(24) as usize).min(rest.len());
                let (chunk, after) = rest.split_at(n);
                rest = after;
                (n > 0).then_some(chunk)
            }
        });
        assert_eq!(play(cuts, &rules, true), whole, "cut at random");
        let again = play(std::iter::once(whole.written.as_slice()), &USUAL, false);
        let shown = whole.written.escape_ascii();
        assert_eq!(again.ops, whole.sayable, "said anew: {shown}");
        assert_eq!((again.fault, again.rest), (None, Vec::new()), "said anew: {shown}");
    }
}

/// What a stream said.
#[derive(Debug, Default, PartialEq)]
struct Heard {
    ops: Vec<String>,
    fault: Option<String>,
    rest: Vec<u8>,
    /// What of it we would say ourselves, in our own words.
    written: Vec<u8>,
    /// That, as it is to be understood.
    sayable: Vec<String>,
}

fn play<'c>(chunks: impl Iterator<Item = &'c [u8]>, rules: &RouteRules, patient: bool) -> Heard {
    let (mut parser, mut heard) = (RouteParser::default(), Heard::default());
    for c in chunks {
        heard.rest.extend_from_slice(c);
        let mut at = 0;
        while !patient || heard.rest.len() - at >= parser.need() {
            let buffer = &heard.rest[at..];
            match parser.next(buffer, rules) {
                Ok(Step::Op(op, used)) => {
                    assert!(used > 0 && used <= buffer.len());
                    judge(&op, rules);
                    let told = told(&op);
                    if say(&op, &mut heard.written) {
                        heard.sayable.push(told.clone());
                    }
                    heard.ops.push(told);
                    at += used;
                }
                Ok(Step::More(used)) => {
                    at += used;
                    break;
                }
                Err(fault) => {
                    heard.fault = Some(format!("{fault:?}"));
                    heard.rest.clear();
                    return heard;
                }
            }
        }
        heard.rest.drain(..at);
        assert!(heard.rest.len() <= rules.max_control_line + rules.max_payload + 4, "keeps {}", heard.rest.len());
    }
    heard
}

/// The meaning of an operation. How a message's numbers were written, and whether it came in one piece for copying, is
/// no part of it.
fn told(op: &RouteOp<'_>) -> String {
    match op {
        RouteOp::Message(m) => {
            let none: &[u8] = &[];
            format!("{:?}", Routed { tail: none, header_text: none, size_text: none, ..*m })
        }
        op => format!("{op:?}"),
    }
}

/// What holds of every operation.
fn judge(op: &RouteOp<'_>, rules: &RouteRules) {
    let word = |w: &[u8]| assert!(!w.is_empty() && !w.iter().any(|b| b" \t\r\n".contains(b)), "{}", w.escape_ascii());
    match op {
        RouteOp::Message(m) => {
            assert!(m.header <= m.payload.len() && m.payload.len() <= rules.max_payload);
            assert_eq!(std::str::from_utf8(m.size_text).unwrap().parse(), Ok(m.payload.len()));
            word(m.account);
            word(m.subject);
            m.queues.iter().for_each(word);
            assert_eq!(m.queues.is_empty(), m.queues.iter().next().is_none());
            if !m.reply.is_empty() {
                word(m.reply);
            }
            if !m.tail.is_empty() {
                let header = if m.header > 0 { [m.header_text, b" "].concat() } else { Vec::new() };
                assert_eq!(m.tail, [&header, m.size_text, b"\r\n", m.payload, b"\r\n"].concat());
            }
        }
        RouteOp::Interest { account, subject, queue, weight } => {
            word(account);
            word(subject);
            assert!(queue.is_empty() || !queue.iter().any(|b| b" \t\r\n".contains(b)));
            assert!((1..=WEIGHT_MAX).contains(weight));
        }
        RouteOp::NoInterest { account, subject, .. } => {
            word(account);
            word(subject);
        }
        RouteOp::Info(arg) => {
            check_info(arg);
            assert!(arg.len() <= rules.max_control_line && !arg.contains(&b'\n'));
        }
        RouteOp::Connect(arg) => {
            check_connect(arg);
            assert!(arg.len() <= rules.max_control_line && !arg.contains(&b'\n'));
        }
        RouteOp::PeerError(arg) => assert!(arg.len() <= rules.max_control_line && !arg.contains(&b'\n')),
        RouteOp::Ping | RouteOp::Pong | RouteOp::Ok | RouteOp::Ignored => {}
    }
}

/// Says it with our own writers; false where that may not or need not be said, and nothing was.
fn say(op: &RouteOp<'_>, out: &mut Vec<u8>) -> bool {
    let before = out.len();
    let (names, written): (Vec<&[u8]>, _) = match *op {
        RouteOp::Message(m) => {
            let mut body = Body::default();
            let message = m.message(&mut body);
            let mut line = Vec::new();
            let written = write_names(&mut line, m.account, m.subject)
                .and_then(|()| write_message(out, &line, m.queues.iter(), &message, true));
            let names = [m.account, m.subject, m.reply].into_iter().chain(m.queues.iter());
            (names.filter(|n| !n.is_empty()).collect(), written)
        }
        RouteOp::Interest { account, subject, queue, weight } => {
            (vec![account, subject, queue], write_interest(out, account, subject, queue, weight))
        }
        RouteOp::NoInterest { account, subject, queue } => {
            (vec![account, subject, queue], write_no_interest(out, account, subject, queue))
        }
        _ => return false,
    };
    let all_sayable = names.iter().all(|n| n.is_empty() || sayable(n));
    let line = out[before..].iter().position(|b| *b == b'\n').map_or(0, |lf| lf - 1);
    match written {
        Ok(()) => assert!(all_sayable && line > 0 && line <= LINE_MAX),
        Err(Unsayable::Name) => assert!(!all_sayable && out.len() == before),
        Err(Unsayable::Line) => assert_eq!(out.len(), before),
    }
    written.is_ok()
}

fn check_info(json: &[u8]) {
    let Ok(said) = RouteInfo::parse(json) else { return };
    let mut line = Vec::new();
    said.write(&mut line);
    let again = line.strip_prefix(b"INFO ").and_then(|l| l.strip_suffix(b" \r\n")).expect("an INFO line");
    assert!(!again.contains(&b'\n'));
    assert_eq!(RouteInfo::parse(again).as_ref(), Ok(&said));
    const IP: &str = "nats-route://h:1/";
    // A byte of a key that is not UTF-8 becomes three.
    let Some(line) = gossip(json, IP, 1) else { return assert!(json.len() * 3 + 64 > LINE_MAX) };
    let passed_on = line.strip_prefix(b"INFO ").and_then(|l| l.strip_suffix(b"\r\n")).expect("an INFO line");
    assert!(passed_on.len() <= LINE_MAX && passed_on.iter().all(|b| *b >= b' '));
    let changed = RouteInfo { ip: IP.into(), nonce: String::new(), gossip_mode: 1, reaches: Vec::new(), ..said };
    assert_eq!(RouteInfo::parse(passed_on), Ok(changed));
}

fn check_connect(json: &[u8]) {
    let Ok(said) = RouteConnect::parse(json) else { return };
    let mut line = Vec::new();
    said.write(&mut line);
    let again = line.strip_prefix(b"CONNECT ").and_then(|l| l.strip_suffix(b"\r\n")).expect("a CONNECT line");
    assert!(!again.contains(&b'\n'));
    assert_eq!(RouteConnect::parse(again), Ok(said));
}
