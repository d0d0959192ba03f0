//! Either half of a gateway's stream: however it is cut, the same operations, the same error and the same rest; no word of
//! the other half is understood; what was understood, said anew by our own writers, is understood the same. The input is
//! the stream itself, read as each half.

use super::seed_of;
use turnpike::base::Rng;
use turnpike::wire::gateway::{
    is_mapped, split, write_account, write_interest, write_message, write_names, write_no_interest, GatewayConnect,
    GatewayInfo, GatewayOp, GatewayParser, GatewayRules, Hears, Routed, LINE_MAX,
};
use turnpike::wire::{Body, Step};

/// See the file's head.
pub fn check(stream: &[u8]) {
    for hears in [Hears::Interest, Hears::Messages] {
        for (max_control_line, max_payload) in [(64, 200), (LINE_MAX, 1 << 20)] {
            let rules = GatewayRules { max_control_line, max_payload, hears };
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
            let usual = GatewayRules { max_control_line: LINE_MAX, max_payload: 1 << 20, hears };
            let again = play(std::iter::once(whole.written.as_slice()), &usual, false);
            assert_eq!(again.ops, whole.sayable, "said anew: {}", whole.written.escape_ascii());
            assert_eq!((again.fault, again.rest), (None, Vec::new()), "said anew");
        }
    }
}

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

fn play<'c>(chunks: impl Iterator<Item = &'c [u8]>, rules: &GatewayRules, patient: bool) -> Heard {
    let (mut parser, mut heard) = (GatewayParser::default(), Heard::default());
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

/// The meaning of an operation. How a message's numbers were written is no part of it.
fn told(op: &GatewayOp<'_>) -> String {
    match op {
        GatewayOp::Message(m) => {
            let none: &[u8] = &[];
            format!("{:?}", Routed { tail: none, header_text: none, size_text: none, ..*m })
        }
        op => format!("{op:?}"),
    }
}

/// What holds of every operation.
fn judge(op: &GatewayOp<'_>, rules: &GatewayRules) {
    let word = |w: &[u8]| assert!(!w.is_empty() && !w.iter().any(|b| b" \t\r\n".contains(b)), "{}", w.escape_ascii());
    let half = |h: Hears| assert_eq!(rules.hears, h, "a word of the other half");
    match op {
        GatewayOp::Message(m) => {
            half(Hears::Messages);
            assert!(m.header <= m.payload.len() && m.payload.len() <= rules.max_payload);
            word(m.account);
            word(m.subject);
            for reply in [m.subject, m.reply] {
                if let Some(mapped) = split(reply) {
                    assert!(is_mapped(reply) && !mapped.reply.is_empty() && reply.ends_with(mapped.reply));
                }
            }
        }
        GatewayOp::Interest { account, subject, .. } | GatewayOp::NoInterest { account, subject, .. } => {
            half(Hears::Interest);
            word(account);
            word(subject);
        }
        GatewayOp::Account { account, .. } => {
            half(Hears::Interest);
            word(account);
        }
        GatewayOp::Info(json) => {
            let Ok(said) = GatewayInfo::parse(json) else { return };
            let mut line = Vec::new();
            said.write(&mut line);
            let again = line.strip_prefix(b"INFO ").and_then(|l| l.strip_suffix(b"\r\n")).expect("an INFO line");
            assert!(!again.contains(&b'\n'));
            assert_eq!(GatewayInfo::parse(again), Ok(said));
        }
        GatewayOp::Connect(json) => {
            let Ok(said) = GatewayConnect::parse(json) else { return };
            let mut line = Vec::new();
            said.write(&mut line);
            let again = line.strip_prefix(b"CONNECT ").and_then(|l| l.strip_suffix(b"\r\n")).expect("a CONNECT line");
            assert_eq!(GatewayConnect::parse(again), Ok(said));
        }
        GatewayOp::PeerError(_) | GatewayOp::Ping | GatewayOp::Pong | GatewayOp::Ok => {}
    }
}

/// Says it with our own writers; false where that may not or need not be said, and nothing was.
fn say(op: &GatewayOp<'_>, out: &mut Vec<u8>) -> bool {
    let before = out.len();
    let written = match *op {
        GatewayOp::Message(m) => {
            let mut body = Body::default();
            let message = m.message(&mut body);
            let mut line = Vec::new();
            write_names(&mut line, m.account, m.subject)
                .and_then(|()| write_message(out, &line, m.queues.iter(), &message, true))
        }
        GatewayOp::Interest { account, subject, queue } => write_interest(out, account, subject, queue),
        GatewayOp::NoInterest { account, subject, queue } => write_no_interest(out, account, subject, queue),
        GatewayOp::Account { account, wanted } => write_account(out, account, wanted),
        _ => return false,
    };
    assert_eq!(written.is_ok(), out.len() > before);
    written.is_ok()
}
