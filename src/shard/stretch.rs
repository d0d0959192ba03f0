//! A stretch of a stream: messages that lie one behind the other and differ in nothing but their payload. Where no receiver
//! can come near any of its limits with all of them, each is looked up once and given all, instead of once for each
//! message. Made by `repeat`; everything less certain goes message by message.

use super::outbox::{weight, Outbox};
use super::verdict::{Gate, Link, Target, Verdict};
use crate::base::limits::{STRETCH_BYTES_MAX, STRETCH_MESSAGES_MAX};
use crate::base::ConnId;
use crate::wire::route::{begin_plain, begin_plain_len, LINE_MAX};
use crate::wire::{repeated, Message, Rules};

/// See the file's head.
#[derive(Debug, Default)]
pub struct Stretch {
    /// Where in the bytes they came in the tail of each begins and ends ([`Message::tail`]).
    tails: Vec<(u32, u32)>,
    /// What all of them take, lines included.
    bytes: usize,
    /// Bytes of all payloads.
    payload: u64,
    /// Bytes of all tails.
    tail_bytes: usize,
    /// The sum of their weights.
    weight: u64,
    /// Bytes of the longest size.
    digits: usize,
}

/// Whom a stretch goes to.
#[derive(Clone, Copy)]
pub struct Receivers<'a> {
    /// Its verdict.
    pub verdict: &'a Verdict,
    /// Peers of it.
    pub links: &'a [Link],
    /// Other clusters of it.
    pub gates: &'a [Gate],
    /// The connection it came from, if that is a client's.
    pub publisher: Option<ConnId>,
}

impl Receivers<'_> {
    /// How many.
    pub fn len(&self) -> u64 {
        (self.verdict.plain.len() + self.links.len() + self.gates.len()) as u64
    }
}

impl Stretch {
    /// Finds the messages at the start of `data` whose lines begin with `line`, as [`repeated`]: as many as may be delivered to
    /// so many `receivers` before `budget` is spent, the last one beyond it.
    pub fn look(&mut self, data: &[u8], line: &[u8], subject: &[u8], rules: &Rules, receivers: u64, budget: u64) {
        *self = Stretch { tails: std::mem::take(&mut self.tails), ..Stretch::default() };
        self.tails.clear();
        while self.bytes < STRETCH_BYTES_MAX && self.tails.len() < STRETCH_MESSAGES_MAX && self.cost(receivers) < budget
        {
            let Some((m, used)) = repeated(&data[self.bytes..], line, subject, rules) else { return };
            self.bytes += used;
            self.tails.push(((self.bytes - m.tail.len()) as u32, self.bytes as u32));
            self.payload += m.size as u64;
            self.tail_bytes += m.tail.len();
            self.weight += weight(&m);
            self.digits = self.digits.max(m.tail.len() - m.size - 4);
        }
    }

    /// What it costs of a turn's deliveries where each message is queued for so many.
    pub fn cost(&self, queued: u64) -> u64 {
        self.len() + queued * self.weight
    }

    /// Messages.
    pub fn len(&self) -> u64 {
        self.tails.len() as u64
    }

    /// What they take of the bytes they came in.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Bytes of their payloads.
    pub fn payload(&self) -> u64 {
        self.payload
    }

    /// The messages, each with how many bytes it takes.
    pub fn messages<'a>(
        &'a self,
        data: &'a [u8],
        subject: &'a [u8],
    ) -> impl Iterator<Item = (Message<'a>, usize)> + 'a {
        let mut at = 0;
        self.tails.iter().map(move |(from, to)| {
            let (from, to) = (*from as usize, *to as usize);
            let used = to - std::mem::replace(&mut at, to);
            let tail = &data[from..to];
            let line = memchr::memchr(b'\n', tail).map_or(0, |n| n + 1);
            (Message { subject, reply: &[], header: 0, size: tail.len() - line - 2, tail }, used)
        })
    }

    fn tails<'a>(&'a self, data: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        self.tails.iter().map(|(from, to)| &data[*from as usize..*to as usize])
    }
}

impl Outbox {
    /// Can each of them be given the whole stretch, and nothing else come of it? Then it does not matter in which order they
    /// get it, unless two subscriptions are of one connection: that one is to see each message twice, and not all of
    /// them twice.
    pub fn takes_stretch(&mut self, to: &Receivers<'_>, stretch: &Stretch) -> bool {
        if stretch.len() < 2 || self.diary.traces() {
            return false;
        }
        self.stretches = self.stretches.wrapping_add(1);
        to.verdict.plain.iter().all(|t| self.client_takes(t, to, stretch))
            && to.links.iter().map(|l| l.conn).chain(to.gates.iter().map(|g| g.conn)).all(|conn| {
                let names = &to.verdict.names;
                let head = begin_plain_len(names);
                let fits = !names.is_empty() && head + stretch.digits <= LINE_MAX;
                fits && self.has_room(conn, head, stretch)
            })
    }

    fn client_takes(&mut self, t: &Target, to: &Receivers<'_>, stretch: &Stretch) -> bool {
        let ends = self.subs.get(t.sub).is_none_or(|sub| sub.max > 0 && sub.delivered + stretch.len() >= sub.max);
        if ends || !self.has_room(t.conn, to.verdict.head(t).len(), stretch) {
            return false;
        }
        let stretches = self.stretches;
        let first = |id: &mut u32| std::mem::replace(id, stretches) != stretches;
        self.conns.get_mut(t.conn).is_some_and(|c| (c.echo || to.publisher != Some(t.conn)) && first(&mut c.stretch))
    }

    /// Does it stay uncongested with all of them, each behind a head of so many bytes?
    fn has_room(&self, conn: ConnId, head: usize, stretch: &Stretch) -> bool {
        let more = stretch.tails.len() * head + stretch.tail_bytes;
        self.conns.get(conn).is_some_and(|c| c.lives() && c.out.pending() + more <= self.congested)
    }

    /// Queues a stretch of `data` for everybody, which [`Outbox::takes_stretch`] has said is possible. Says for how many each of
    /// its messages was queued.
    pub fn deliver_stretch(&mut self, to: &Receivers<'_>, stretch: &Stretch, data: &[u8]) -> u64 {
        self.next_message();
        for t in &to.verdict.plain {
            if let Some(sub) = self.subs.get_mut(t.sub) {
                sub.delivered += stretch.len();
            }
            let head = to.verdict.head(t);
            self.append_stretch(t.conn, |out| out.extend_from_slice(head), stretch, data);
        }
        let head = |out: &mut Vec<u8>| begin_plain(out, &to.verdict.names);
        for link in to.links {
            self.append_stretch(link.conn, head, stretch, data);
        }
        for gate in to.gates {
            self.append_stretch(gate.conn, head, stretch, data);
            self.crossings.sent(gate.far, to.verdict.account, stretch.len());
        }
        self.crowd.free = to.len() > 0;
        to.len()
    }

    #[inline]
    fn append_stretch(&mut self, conn: ConnId, head: impl Fn(&mut Vec<u8>), stretch: &Stretch, data: &[u8]) {
        let Some(client) = self.conns.get_mut(conn) else { return };
        client.out.lines(&mut self.spares, head, stretch.tails(data));
        client.health.served_at = self.now.mono;
        client.counts.out_msgs += stretch.len();
        client.counts.out_bytes += stretch.payload;
        if !client.dirty {
            client.dirty = true;
            self.dirty.push(conn);
        }
    }
}

#[cfg(test)]
mod tests;
