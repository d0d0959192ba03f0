//! The usual lines of a route, split in one pass over their bytes: messages and interest in upper case with single
//! spaces. Called by the parser at the first byte of each operation; keeps nothing.

use super::message::{destination, Line, Queues};
use super::{RouteOp, RouteRules};
use crate::wire::marks::Marks;
use crate::wire::parse::number;

/// The operation at the start of `b`, if it is a usual one, whole in the buffer and within the limits. Anything else is
/// None and goes the long way, which also finds the words for what is wrong.
#[inline]
pub(super) fn usual<'a>(b: &'a [u8], rules: &RouteRules) -> Option<(RouteOp<'a>, usize)> {
    match b {
        [b'R', b'M', b'S', b'G', b' ', ..] => usual_message(b, false, rules),
        [b'H', b'M', b'S', b'G', b' ', ..] => usual_message(b, true, rules),
        [b'R', b'S', sign @ (b'+' | b'-'), b' ', ..] => usual_interest(b, *sign == b'+', rules),
        _ => None,
    }
}

#[inline]
fn usual_message<'a>(b: &'a [u8], headers: bool, rules: &RouteRules) -> Option<(RouteOp<'a>, usize)> {
    const ARGUMENT: usize = 5;
    let cuts = cuts(b, ARGUMENT)?;
    let (header_text, sizes): (&[u8], usize) = match headers {
        false if cuts.spaces >= 2 => (&[], cuts.last),
        true if cuts.spaces >= 3 => (&b[cuts.last_but_one + 1..cuts.last], cuts.last_but_one),
        _ => return None,
    };
    let between = b.get(cuts.second + 1..sizes).unwrap_or_default();
    // One word is the reply, without another look at it.
    let one = cuts.spaces == 3 + usize::from(headers);
    let (reply, queues) = if one { (between, Queues::default()) } else { destination(between)? };
    let size_text = &b[cuts.last + 1..cuts.end];
    let size = number(size_text)?;
    let header = if headers { number(header_text).filter(|h| (1..=size).contains(h))? } else { 0 };
    let body = cuts.end + 2;
    let end = body + size;
    let within = cuts.end - ARGUMENT <= rules.max_control_line && size <= rules.max_payload;
    if !within || b.get(end..end + 2)? != b"\r\n" {
        return None;
    }
    let (account, subject) = (&b[ARGUMENT..cuts.first], &b[cuts.first + 1..cuts.second]);
    let line = Line { account, subject, reply, queues, header_text, size_text };
    Some((RouteOp::Message(line.routed(header, &b[body..end], &b[sizes + 1..end + 2])), end + 2))
}

#[inline]
fn usual_interest<'a>(b: &'a [u8], more: bool, rules: &RouteRules) -> Option<(RouteOp<'a>, usize)> {
    const ARGUMENT: usize = 4;
    let cuts = cuts(b, ARGUMENT)?;
    if cuts.end - ARGUMENT > rules.max_control_line {
        return None;
    }
    let account = b.get(ARGUMENT..cuts.first)?;
    let op = match (more, cuts.spaces) {
        (true, 1) => RouteOp::Interest { account, subject: &b[cuts.first + 1..cuts.end], queue: &[], weight: 1 },
        (true, 3) => RouteOp::Interest {
            account,
            subject: &b[cuts.first + 1..cuts.second],
            queue: &b[cuts.second + 1..cuts.last],
            weight: weight(&b[cuts.last + 1..cuts.end]),
        },
        (false, 1) => RouteOp::NoInterest { account, subject: &b[cuts.first + 1..cuts.end], queue: &[] },
        (false, 2) => RouteOp::NoInterest {
            account,
            subject: &b[cuts.first + 1..cuts.second],
            queue: &b[cuts.second + 1..cuts.end],
        },
        _ => return None,
    };
    Some((op, cuts.end + 2))
}

/// Members of a group; what is no number, or 0, counts as one, as in nats-server 2.15.2.
pub(super) fn weight(text: &[u8]) -> u32 {
    // At most nine digits.
    number(text).map_or(1, |n| n.max(1) as u32)
}

/// Where the argument of a line is cut by single spaces; places count from the buffer's beginning.
struct Cuts {
    first: usize,
    second: usize,
    last_but_one: usize,
    last: usize,
    spaces: usize,
    /// The carriage return that ends the line.
    end: usize,
}

/// The cuts of the argument that begins at `from`; None if an empty word, a tab or a line feed comes before its end, or
/// that is not in sight.
#[inline]
fn cuts(b: &[u8], from: usize) -> Option<Cuts> {
    let mut cuts = Cuts { first: 0, second: 0, last_but_one: 0, last: from - 1, spaces: 0, end: 0 };
    let mut marks = Marks::new(b, from);
    loop {
        let i = marks.next()?;
        if i == cuts.last + 1 {
            return None;
        }
        match b.get(i)? {
            b' ' => {
                (cuts.last_but_one, cuts.last) = (cuts.last, i);
                match cuts.spaces {
                    0 => cuts.first = i,
                    1 => cuts.second = i,
                    _ => {}
                }
                cuts.spaces += 1;
            }
            b'\r' if b.get(i + 1) == Some(&b'\n') => {
                cuts.end = i;
                return Some(cuts);
            }
            _ => return None,
        }
    }
}
