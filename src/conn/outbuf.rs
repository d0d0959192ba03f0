//! Bytes on their way to one connection.
//!
//! A queue of chunks, each beginning at the start of a protocol line: what waits grows without being copied, and when
//! a connection is cut the messages it loses can be counted exactly. A connection with nothing to say owns no chunk:
//! they come from and go back to the shard's [`Spares`], still warm in the cache.

use crate::base::limits::{CHUNK_BYTES_MAX, SPARES_MAX, SPARE_BYTES_MAX};
use crate::wire::headers::is_no_responders;
use std::collections::VecDeque;

/// Empty chunks of one shard, last used first.
#[derive(Debug, Default)]
pub struct Spares(Vec<Vec<u8>>);

impl Spares {
    /// An empty buffer.
    pub fn take(&mut self) -> Vec<u8> {
        self.0.pop().unwrap_or_default()
    }

    /// Takes a buffer back, to be used again if that pays.
    pub fn put(&mut self, mut chunk: Vec<u8>) {
        if self.0.len() < SPARES_MAX && (1..=SPARE_BYTES_MAX).contains(&chunk.capacity()) {
            chunk.clear();
            self.0.push(chunk);
        }
    }
}

/// See the file's head.
#[derive(Debug, Default)]
pub struct OutBuf {
    /// The chunk being filled; also the one being written while `full` is empty.
    last: Vec<u8>,
    /// Chunks before it, oldest first.
    #[allow(
        clippy::box_collection,
        reason = "hardly any connection ever has one, so it costs the others a pointer only"
    )]
    full: Option<Box<VecDeque<Vec<u8>>>>,
    /// Bytes of the oldest chunk that are written already.
    sent: usize,
    /// Bytes waiting, over all chunks.
    pending: usize,
}

impl OutBuf {
    /// Bytes waiting.
    #[inline]
    pub fn pending(&self) -> usize {
        self.pending
    }

    /// The chunk to append one whole protocol line (and its payload) to. The caller tells [`OutBuf::grown`] how many
    /// bytes it added.
    #[inline]
    pub fn line(&mut self, spares: &mut Spares) -> &mut Vec<u8> {
        if self.last.len() >= CHUNK_BYTES_MAX {
            self.next_chunk(spares);
        } else if self.last.capacity() == 0 {
            self.last = spares.take();
        }
        &mut self.last
    }

    /// So many bytes were appended to what [`OutBuf::line`] gave.
    #[inline]
    pub fn grown(&mut self, bytes: usize) {
        self.pending += bytes;
    }

    /// Appends a line and its payload for each of `tails`, which end them; `head` appends how they begin.
    #[inline]
    pub fn lines<'t>(
        &mut self,
        spares: &mut Spares,
        head: impl Fn(&mut Vec<u8>),
        tails: impl Iterator<Item = &'t [u8]>,
    ) {
        let mut tails = tails.peekable();
        while tails.peek().is_some() {
            let buffer = self.line(spares);
            let before = buffer.len();
            for tail in &mut tails {
                head(buffer);
                buffer.extend_from_slice(tail);
                if buffer.len() >= CHUNK_BYTES_MAX {
                    break;
                }
            }
            let grown = buffer.len() - before;
            self.grown(grown);
        }
    }

    /// The `bytes` appended last, no more than the last line's.
    pub fn latest(&self, bytes: usize) -> &[u8] {
        &self.last[self.last.len().saturating_sub(bytes)..]
    }

    #[cold]
    fn next_chunk(&mut self, spares: &mut Spares) {
        let chunk = std::mem::replace(&mut self.last, spares.take());
        self.full.get_or_insert_with(Box::default).push_back(chunk);
    }

    /// The next bytes to write, contiguous; empty when nothing waits.
    pub fn next(&self) -> &[u8] {
        let oldest = self.full.as_ref().and_then(|f| f.front()).unwrap_or(&self.last);
        &oldest[self.sent..]
    }

    /// All that waits behind [`OutBuf::next`], in order.
    pub fn behind(&self) -> impl Iterator<Item = &[u8]> {
        let full = self.full.iter().flat_map(|f| f.iter());
        full.chain(Some(&self.last)).skip(1).map(Vec::as_slice)
    }

    /// So many bytes of [`OutBuf::next`] and of what is [`OutBuf::behind`] are written.
    pub fn wrote(&mut self, n: usize, spares: &mut Spares) {
        self.pending -= n;
        self.sent += n;
        while let Some(f) = &mut self.full {
            let Some(oldest) = f.front().map(Vec::len).filter(|len| *len <= self.sent) else { return };
            self.sent -= oldest;
            f.pop_front().into_iter().for_each(|c| spares.put(c));
            if f.is_empty() {
                self.full = None;
            }
        }
        if self.sent == self.last.len() {
            spares.put(std::mem::take(&mut self.last));
            self.sent = 0;
        }
    }

    /// Drops what waits and says how many messages (`MSG`, `HMSG`) were lost in part or in whole. That nobody heard a request
    /// is no message: it was not counted as one that went out either.
    pub fn lose(&mut self, spares: &mut Spares) -> u64 {
        let mut lost = 0;
        let mut skip = self.sent;
        let full = self.full.take().map(|f| *f).unwrap_or_default();
        for chunk in full.into_iter().chain([std::mem::take(&mut self.last)]) {
            lost += messages_after(&chunk, skip);
            skip = 0;
            spares.put(chunk);
        }
        self.sent = 0;
        self.pending = 0;
        lost
    }
}

/// Messages in `chunk`, which begins at a line's start, that do not end within its first `sent` bytes.
fn messages_after(chunk: &[u8], sent: usize) -> u64 {
    let (mut at, mut lost) = (0, 0);
    while let Some(nl) = memchr::memchr(b'\n', &chunk[at..]) {
        let line = &chunk[at..at + nl];
        at += nl + 1;
        if line.starts_with(b"MSG ") || line.starts_with(b"HMSG ") {
            let size = line.trim_ascii_end().rsplit(|c| *c == b' ').next().unwrap_or_default();
            let size = size.iter().fold(0usize, |n, d| n * 10 + usize::from(d.wrapping_sub(b'0')));
            let refusal = line.starts_with(b"HMSG ") && chunk.get(at..).is_some_and(is_no_responders);
            at += size + 2;
            lost += u64::from(at > sent && !refusal);
        }
    }
    lost
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::headers::no_responders;

    fn push(o: &mut OutBuf, s: &mut Spares, bytes: &[u8]) {
        o.line(s).extend_from_slice(bytes);
        o.grown(bytes.len());
    }

    #[test]
    fn bytes_leave_in_order_whatever_the_writes() {
        let (mut o, mut s) = (OutBuf::default(), Spares::default());
        let mut want = Vec::new();
        for i in 0..3000u32 {
            let line = format!("MSG a {i} 300\r\n{}\r\n", "x".repeat(300));
            push(&mut o, &mut s, line.as_bytes());
            want.extend_from_slice(line.as_bytes());
        }
        assert_eq!(o.pending(), want.len());
        let mut got = Vec::new();
        let mut n = 1;
        while o.pending() > 0 {
            let next = o.next();
            assert!(!next.is_empty());
            let k = n.min(next.len());
            got.extend_from_slice(&next[..k]);
            o.wrote(k, &mut s);
            n = n * 7 % 100_003;
        }
        assert!(got == want);
        assert!(o.next().is_empty());
        assert_eq!(o.behind().map(<[u8]>::len).sum::<usize>(), 0);
        assert_eq!(o.last.capacity(), 0, "an idle connection owns no buffer");
    }

    #[test]
    fn a_write_may_end_anywhere_in_what_waits() {
        let line = format!("MSG a 1 300\r\n{}\r\n", "x".repeat(300));
        let lines = 5 * CHUNK_BYTES_MAX / line.len() + 10;
        let whole = |o: &OutBuf| [o.next()].into_iter().chain(o.behind()).collect::<Vec<_>>().concat();
        for n in [1, CHUNK_BYTES_MAX, 3 * CHUNK_BYTES_MAX + 7, lines * line.len() - 1, lines * line.len()] {
            let (mut o, mut s) = (OutBuf::default(), Spares::default());
            (0..lines).for_each(|_| push(&mut o, &mut s, line.as_bytes()));
            let all = whole(&o);
            assert_eq!((all.len(), o.behind().count()), (o.pending(), 5));
            o.wrote(n, &mut s);
            assert!(whole(&o) == all[n..], "{n} bytes written");
            assert_eq!(o.pending(), all.len() - n);
        }
    }

    #[test]
    fn what_a_cut_connection_loses_is_counted_exactly() {
        let (mut s, line) = (Spares::default(), "HMSG a 1 12 14\r\nNATS/1.0\r\n\r\n\r\n\r\n");
        let fill = |s: &mut Spares| {
            let mut o = OutBuf::default();
            push(&mut o, s, b"PING\r\n");
            for _ in 0..20_000 {
                push(&mut o, s, line.as_bytes());
                push(&mut o, s, b"+OK\r\n");
            }
            o
        };
        assert_eq!(fill(&mut s).lose(&mut s), 20_000);
        let mut o = fill(&mut s);
        let whole = line.len() + 5;
        let mut left = 6 + 100 * whole + 3;
        while left > 0 {
            let k = left.min(o.next().len());
            o.wrote(k, &mut s);
            left -= k;
        }
        assert_eq!(o.lose(&mut s), 19_900, "a message of which a part was written is lost");
        assert_eq!(o.pending(), 0);
    }

    #[test]
    fn a_refused_request_that_waits_is_no_lost_message() {
        let (mut o, mut s) = (OutBuf::default(), Spares::default());
        let mut refusal = Vec::new();
        no_responders(b"x", &mut refusal);
        let size = refusal.len();
        push(&mut o, &mut s, b"MSG a 1 2\r\nhi\r\n");
        push(&mut o, &mut s, &[format!("HMSG r 1 {size} {size}\r\n").as_bytes(), &refusal, b"\r\n"].concat());
        push(&mut o, &mut s, b"HMSG a 1 12 14\r\nNATS/1.0\r\n\r\nhi\r\n");
        assert_eq!(o.lose(&mut s), 2);
    }
}
