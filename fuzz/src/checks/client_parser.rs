//! The client's half of the protocol: however a stream is cut, the same operations, the same error and the same rest;
//! what was understood, written anew, is understood the same. The input is the stream itself.

use super::seed_of;
use turnpike::base::Rng;
use turnpike::wire::{Message, Op, Parser, Rules, Step};

const SMALL: Rules = Rules { max_control_line: 64, max_payload: 200, headers: true, connect_first: false };
const USUAL: Rules = Rules { max_control_line: 4096, max_payload: 1 << 20, headers: true, connect_first: false };

/// See the file's head.
pub fn check(stream: &[u8]) {
    for rules in [SMALL, Rules { headers: false, ..SMALL }, Rules { connect_first: true, ..SMALL }, USUAL] {
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
        let again = play(std::iter::once(whole.written.as_slice()), &rules, false);
        assert_eq!(again.ops, whole.ops, "written anew: {}", whole.written.escape_ascii());
        assert_eq!((again.fault, again.rest), (None, Vec::new()), "written anew");
    }
}

/// What a stream said.
#[derive(Debug, Default, PartialEq)]
struct Heard {
    ops: Vec<String>,
    fault: Option<String>,
    rest: Vec<u8>,
    /// All operations in their plainest spelling.
    written: Vec<u8>,
}

fn play<'c>(chunks: impl Iterator<Item = &'c [u8]>, rules: &Rules, patient: bool) -> Heard {
    let (mut parser, mut heard) = (Parser::default(), Heard::default());
    for c in chunks {
        heard.rest.extend_from_slice(c);
        let mut at = 0;
        while !patient || heard.rest.len() - at >= parser.need() {
            let buffer = &heard.rest[at..];
            // The shorter way says the same or nothing.
            let quick = parser.publication(buffer, rules);
            let next = parser.next(buffer, rules);
            assert!(quick.is_none() || matches!(next, Ok(Step::Op(..))), "{quick:?}, but {next:?}");
            match next {
                Ok(Step::Op(op, used)) => {
                    assert!(used > 0 && used <= buffer.len());
                    judge(&op, rules);
                    if let Some((m, len)) = quick {
                        agree(&m, &op);
                        assert_eq!(len, used);
                    }
                    heard.ops.push(format!("{op:?}"));
                    write(&op, &mut heard.written);
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

/// `m` is how the publication `op` leaves.
fn agree(m: &Message<'_>, op: &Op<'_>) {
    let Op::Publish(p) = op else { panic!("{op:?} is no publication") };
    assert_eq!((m.subject, m.reply, m.header, m.size), (p.subject, p.reply, 0, p.payload.len()));
    assert_eq!(m.tail, [p.size_text, b"\r\n", p.payload, b"\r\n"].concat());
}

/// What holds of every operation.
fn judge(op: &Op<'_>, rules: &Rules) {
    let word = |w: &[u8], ends: &[u8]| assert!(!w.iter().any(|b| ends.contains(b)), "{}", w.escape_ascii());
    match op {
        Op::Publish(p) => {
            assert!(!p.subject.is_empty() && p.header <= p.payload.len() && p.payload.len() <= rules.max_payload);
            assert!(rules.headers || p.header_text.is_empty());
            assert_eq!(std::str::from_utf8(p.size_text).unwrap().parse(), Ok(p.payload.len()));
            word(p.subject, b" \t\n");
            word(p.reply, b" \t\n");
        }
        Op::Subscribe { subject, queue, sid } => {
            assert!(!subject.is_empty() && !sid.is_empty());
            for w in [subject, queue, sid] {
                word(w, b" \t\r\n");
            }
        }
        Op::Unsubscribe { sid, .. } => {
            assert!(!sid.is_empty());
            word(sid, b" \t\r\n");
        }
        Op::Connect(arg) | Op::Info(arg) | Op::PeerError(arg) => {
            assert!(arg.len() <= rules.max_control_line);
            word(arg, b"\n");
        }
        Op::Ping | Op::Pong | Op::Ok => {}
    }
}

fn write(op: &Op<'_>, out: &mut Vec<u8>) {
    let line = |out: &mut Vec<u8>, words: &[&[u8]]| {
        let words: Vec<&[u8]> = words.iter().copied().filter(|w| !w.is_empty()).collect();
        out.extend_from_slice(&words.join(&b' '));
        out.extend_from_slice(b"\r\n");
    };
    match op {
        Op::Publish(p) => {
            let verb: &[u8] = if p.header_text.is_empty() { b"PUB" } else { b"HPUB" };
            line(out, &[verb, p.subject, p.reply, p.header_text, p.size_text]);
            out.extend_from_slice(p.payload);
            out.extend_from_slice(b"\r\n");
        }
        Op::Subscribe { subject, queue, sid } => line(out, &[b"SUB", subject, queue, sid]),
        Op::Unsubscribe { sid, max: 0 } => line(out, &[b"UNSUB", sid]),
        Op::Unsubscribe { sid, max } => line(out, &[b"UNSUB", sid, max.to_string().as_bytes()]),
        Op::Connect(json) => out.extend_from_slice(&[b"CONNECT ", *json, b"\r\n"].concat()),
        Op::Info(json) => out.extend_from_slice(&[b"INFO ", *json, b"\r\n"].concat()),
        Op::PeerError(text) => out.extend_from_slice(&[b"-ERR ", *text, b"\r\n"].concat()),
        Op::Ping => line(out, &[b"PING"]),
        Op::Pong => line(out, &[b"PONG"]),
        Op::Ok => line(out, &[b"+OK"]),
    }
}
