//! A message as a peer sends it, split by the count of its words (cluster-protocol.md §3.13).

use std::fmt;

use super::words::{is_separator, Words};
use crate::wire::{Body, Message, Publish};

/// A message from a peer. Plain subscribers are always meant, groups only if [`Routed::queues`] names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Routed<'a> {
    /// The account's name.
    pub account: &'a [u8],
    /// The subject it was published under.
    pub subject: &'a [u8],
    /// Where answers go; empty: nowhere.
    pub reply: &'a [u8],
    /// The groups of which this server has to serve one member each.
    pub queues: Queues<'a>,
    /// Header bytes as the peer wrote the number; empty for `RMSG`.
    pub header_text: &'a [u8],
    /// Total bytes as the peer wrote the number.
    pub size_text: &'a [u8],
    /// Bytes of header at the start of `payload`; 0: none.
    pub header: usize,
    /// Header and payload, without the closing CR LF.
    pub payload: &'a [u8],
    /// `[<header> ]<size>\r\n<payload>\r\n` in one piece, if it came exactly so; else empty.
    pub tail: &'a [u8],
}

impl<'a> Routed<'a> {
    /// The message without its account and groups: from here on it goes the way of a client's. `body` is where it is put
    /// together if it did not come in the form it leaves in.
    #[inline]
    pub fn message<'m>(&'m self, body: &'m mut Body) -> Message<'m> {
        let Routed { subject, reply, header_text, size_text, header, payload, tail, .. } = *self;
        match tail.is_empty() {
            false => Message { subject, reply, header, size: payload.len(), tail },
            true => body.message(&Publish { subject, reply, header_text, size_text, header, payload }),
        }
    }
}

/// Names of queue groups, as they stand in a line.
#[derive(Clone, Copy, Default)]
pub struct Queues<'a>(&'a [u8]);

impl<'a> Queues<'a> {
    /// Is there none?
    pub fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// The names in order; none is empty.
    pub fn iter(self) -> impl Iterator<Item = &'a [u8]> + Clone {
        self.0.split(|c| is_separator(*c)).filter(|name| !name.is_empty())
    }
}

impl fmt::Debug for Queues<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter().map(|name| name.escape_ascii().to_string())).finish()
    }
}

/// However they were spaced.
impl PartialEq for Queues<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Queues<'_> {}

/// Reply and groups from what stands between the subject and the sizes: nothing, a reply, `| <queue>…` or
/// `+ <reply> <queue>…`. A lone word is a reply, even `|`. None: anything else.
#[inline]
pub(super) fn destination(between: &[u8]) -> Option<(&[u8], Queues<'_>)> {
    let mut words = Words::new(between);
    let Some(word) = words.first() else { return Some((&[], Queues(&[]))) };
    if words.is_empty() {
        return Some((word, Queues(&[])));
    }
    match word {
        b"|" => Some((&[], Queues(words.rest()))),
        b"+" => {
            let reply = words.first()?;
            Some((reply, Queues(words.rest())))
        }
        _ => None,
    }
}

/// What a line of a message says, before its numbers are read.
pub(super) struct Line<'a> {
    pub(super) account: &'a [u8],
    pub(super) subject: &'a [u8],
    pub(super) reply: &'a [u8],
    pub(super) queues: Queues<'a>,
    pub(super) header_text: &'a [u8],
    pub(super) size_text: &'a [u8],
}

impl<'a> Line<'a> {
    /// Splits the argument of `RMSG`, or of `HMSG` if it has `headers`; None where words are missing or the indicator
    /// is neither of the two.
    pub(super) fn split(mut words: Words<'a>, headers: bool) -> Option<Line<'a>> {
        let (account, subject) = (words.first()?, words.first()?);
        let size_text = words.last()?;
        let header_text = if headers { words.last()? } else { &[] };
        let (reply, queues) = destination(words.rest())?;
        Some(Line { account, subject, reply, queues, header_text, size_text })
    }

    /// With its numbers and what came after it.
    #[inline]
    pub(super) fn routed(self, header: usize, payload: &'a [u8], tail: &'a [u8]) -> Routed<'a> {
        let Line { account, subject, reply, queues, header_text, size_text } = self;
        Routed { account, subject, reply, queues, header_text, size_text, header, payload, tail }
    }
}
