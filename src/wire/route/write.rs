//! What we say to a peer about interest and messages, as bytes (cluster-protocol.md §§3.12, 3.13).
//!
//! A name that holds a blank, a line end or a zero would say something else to whoever reads the line, so no function
//! here writes one: each name is looked at where it enters ([`sayable`]), whether it came from a client, a
//! configuration or a peer. What cannot be said is not begun.

use crate::base::limits::{ROUTE_LINE_BYTES_MAX as LINE_MAX, ROUTE_WEIGHT_MAX as WEIGHT_MAX};
use crate::wire::scan::below_33;
use crate::wire::Message;

/// Why nothing was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsayable {
    /// A name is empty, or holds a space, tab, CR, LF or zero.
    Name,
    /// The line would be longer than [`ROUTE_LINE_BYTES_MAX`](crate::base::limits::ROUTE_LINE_BYTES_MAX).
    Line,
}

/// Can `name` stand in a line, and be read as one word?
#[inline]
pub fn sayable(name: &[u8]) -> bool {
    // Other controls below the space are rare and legal: they are looked at one by one.
    let (words, rest) = name.as_chunks::<8>();
    let low = words.iter().fold(0, |low, w| low | below_33(u64::from_le_bytes(*w)));
    let suspect = low != 0 || rest.iter().any(|c| *c < 33);
    let breaks = |c: &u8| matches!(c, b' ' | b'\t' | b'\r' | b'\n' | 0);
    !(name.is_empty() || suspect && name.iter().any(breaks))
}

/// Appends `RS+ <account> <subject>`, or with a queue group `RS+ <account> <subject> <queue> <weight>`. A group of
/// weight 0 has no member, and `RS-` is said of it. The weight of plain interest is of no interest.
///
/// # Errors
/// Nothing is appended if it cannot be said.
pub fn write_interest(
    out: &mut Vec<u8>,
    account: &[u8],
    subject: &[u8],
    queue: &[u8],
    weight: u32,
) -> Result<(), Unsayable> {
    if queue.is_empty() {
        return write_line(out, &[b"RS+", account, subject]);
    }
    if weight == 0 {
        return write_no_interest(out, account, subject, queue);
    }
    let mut digits = itoa::Buffer::new();
    let weight = digits.format(weight.min(WEIGHT_MAX));
    write_line(out, &[b"RS+", account, subject, queue, weight.as_bytes()])
}

/// Appends `RS- <account> <subject> [<queue>]`.
///
/// # Errors
/// Nothing is appended if it cannot be said.
pub fn write_no_interest(out: &mut Vec<u8>, account: &[u8], subject: &[u8], queue: &[u8]) -> Result<(), Unsayable> {
    let words = [b"RS-", account, subject, queue];
    write_line(out, if queue.is_empty() { &words[..3] } else { &words })
}

/// Appends these words with a space between them, and CR LF.
pub(in crate::wire) fn write_line(out: &mut Vec<u8>, words: &[&[u8]]) -> Result<(), Unsayable> {
    if !words.iter().all(|w| sayable(w)) {
        return Err(Unsayable::Name);
    }
    let len = words.iter().map(|w| w.len() + 1).sum::<usize>() + 1;
    if len > LINE_MAX + 2 {
        return Err(Unsayable::Line);
    }
    out.reserve(len);
    for (i, word) in words.iter().enumerate() {
        if i > 0 {
            out.push(b' ');
        }
        out.extend_from_slice(word);
    }
    out.extend_from_slice(b"\r\n");
    Ok(())
}

/// Appends `MSG <account> <subject> `: what the lines of all messages on a subject have in common, to be kept and
/// given to [`write_message`].
///
/// # Errors
/// Nothing is appended if it cannot be said.
pub fn write_names(out: &mut Vec<u8>, account: &[u8], subject: &[u8]) -> Result<(), Unsayable> {
    if !sayable(account) || !sayable(subject) {
        return Err(Unsayable::Name);
    }
    for part in [b"MSG ", account, b" ", subject, b" "] {
        out.extend_from_slice(part);
    }
    Ok(())
}

/// Appends a message: as `RMSG`, or as `HMSG` if it has a header and the peer understands `headers`; else the header is
/// left out (cluster-protocol.md §3.4). `names` comes from [`write_names`] for the message's account and subject;
/// `queues` are the groups the peer has to serve.
///
/// # Errors
/// Nothing is appended if it cannot be said.
#[inline]
pub fn write_message<'q>(
    out: &mut Vec<u8>,
    names: &[u8],
    queues: impl IntoIterator<Item = &'q [u8]>,
    message: &Message<'_>,
    headers: bool,
) -> Result<(), Unsayable> {
    debug_assert!(names.starts_with(b"MSG ") && names.ends_with(b" "));
    let start = out.len();
    let as_it_is = headers || message.header == 0;
    out.reserve(names.len() + message.reply.len() + message.tail.len() + 2);
    out.push(if as_it_is && message.header > 0 { b'H' } else { b'R' });
    out.extend_from_slice(names);
    let written = write_destination(out, message.reply, queues).and_then(|()| {
        if out.len() - start + sizes_len(message) > LINE_MAX {
            return Err(Unsayable::Line);
        }
        if as_it_is {
            out.extend_from_slice(message.tail);
        } else {
            write_bare(out, &message.payload()[message.header..]);
        }
        Ok(())
    });
    if written.is_err() {
        out.truncate(start);
    }
    written
}

/// Appends how the line of a message without header, reply and groups begins: what [`write_message`] writes before the size.
/// Behind it comes the message's tail.
#[inline]
pub fn begin_plain(out: &mut Vec<u8>, names: &[u8]) {
    out.push(b'R');
    out.extend_from_slice(names);
}

/// How many bytes that is.
pub fn begin_plain_len(names: &[u8]) -> usize {
    1 + names.len()
}

/// How many bytes are left in the line of a message for names of groups, each with a space before it.
pub fn queue_room(names: &[u8], message: &Message<'_>) -> usize {
    // A letter before the names, and the indicator with its space.
    let reply = if message.reply.is_empty() { 0 } else { message.reply.len() + 1 };
    LINE_MAX.saturating_sub(1 + names.len() + 2 + reply + sizes_len(message))
}

/// Bytes of `[<header> ]<size>`.
fn sizes_len(message: &Message<'_>) -> usize {
    message.tail.len() - message.size - 4
}

/// `[<reply> ]`, `| <queue>… ` or `+ <reply> <queue>… `.
#[inline]
fn write_destination<'q>(
    out: &mut Vec<u8>,
    reply: &[u8],
    queues: impl IntoIterator<Item = &'q [u8]>,
) -> Result<(), Unsayable> {
    let mut queues = queues.into_iter().peekable();
    match (reply.is_empty(), queues.peek().is_some()) {
        (true, true) => out.extend_from_slice(b"| "),
        (false, true) => out.extend_from_slice(b"+ "),
        _ => {}
    }
    if !reply.is_empty() {
        write_word(out, reply)?;
    }
    queues.try_for_each(|queue| write_word(out, queue))
}

#[inline]
fn write_word(out: &mut Vec<u8>, word: &[u8]) -> Result<(), Unsayable> {
    if !sayable(word) {
        return Err(Unsayable::Name);
    }
    out.extend_from_slice(word);
    out.push(b' ');
    Ok(())
}

/// `<size>\r\n<body>\r\n`.
fn write_bare(out: &mut Vec<u8>, body: &[u8]) {
    out.extend_from_slice(itoa::Buffer::new().format(body.len()).as_bytes());
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(body);
    out.extend_from_slice(b"\r\n");
}
