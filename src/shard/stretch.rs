//! A stretch of a stream: messages that lie one behind the other and differ in nothing but their payload. Where no receiver
//! can come near any of its limits with all of them, each is looked up once and given all, instead of once for each
//! message; everything less certain goes message by message. Found by `repeat`, and by it told to other shards in one piece,
//! where `hear` does the same.

use super::origin::Origin;
use super::outbox::{weight_of, Outbox};
use super::verdict::{Gate, Link, Target, Verdict};
use crate::base::limits::STRETCH_MESSAGES_MAX;
use crate::base::ConnId;
use crate::wire::route::{begin_plain, begin_plain_len, LINE_MAX};
use crate::wire::{repeated, Message, Rules};

/// Where the tail of one message lies ([`Message::tail`]), from the beginning of its stretch on, and the bytes of its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tail {
    from: u32,
    to: u32,
    size: u32,
}

impl Tail {
    fn len(self) -> usize {
        (self.to - self.from) as usize
    }
}

/// See the file's head.
#[derive(Clone, Copy, Debug)]
pub struct Stretch<'a> {
    subject: &'a [u8],
    /// The bytes they came in, from the first one's line on.
    data: &'a [u8],
    tails: &'a [Tail],
    sums: Sums,
}

/// What its messages come to.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    /// Bytes of all payloads.
    payload: u64,
    /// Bytes of all tails.
    tail_bytes: usize,
    /// The sum of their weights.
    weight: u64,
    /// Bytes of the longest size.
    digits: usize,
}

impl Sums {
    #[inline]
    fn add(&mut self, tail: Tail, subject: &[u8]) {
        self.payload += u64::from(tail.size);
        self.tail_bytes += tail.len();
        self.weight += weight_of(subject.len() + tail.len());
        self.digits = self.digits.max(tail.len() - tail.size as usize - 4);
    }
}

/// What a stretch may come to; its last message may exceed it.
#[derive(Clone, Copy, Debug)]
pub struct Reach {
    /// How many everything is delivered to.
    pub receivers: u64,
    /// Deliveries.
    pub budget: u64,
    /// Bytes.
    pub bytes: usize,
    /// The longest tail, which is not exceeded.
    pub tail: usize,
}

impl Reach {
    /// May another message come behind so many, which come to this?
    fn admits(&self, messages: usize, sums: &Sums) -> bool {
        messages as u64 + self.receivers * sums.weight < self.budget
    }
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
    /// The connection it came from, if that is a client's of this shard.
    pub publisher: Option<ConnId>,
}

impl<'a> Receivers<'a> {
    /// Those on this shard of what came from there.
    pub fn of(verdict: &'a Verdict, origin: Origin, publisher: Option<ConnId>) -> Receivers<'a> {
        let (links, gates) = match origin {
            Origin::Client => (&verdict.links[..], &verdict.gates[..]),
            Origin::Gateway => (&verdict.links[..], &[][..]),
            Origin::Route => (&[][..], &[][..]),
        };
        Receivers { verdict, links, gates, publisher }
    }

    /// How many.
    pub fn len(&self) -> u64 {
        (self.verdict.plain.len() + self.links.len() + self.gates.len()) as u64
    }
}

/// Finds the messages at the start of `data` whose lines begin with `line`, as [`repeated`]: as many as may be. Says in `tails`
/// where they are.
pub fn look<'a>(
    tails: &'a mut Vec<Tail>,
    data: &'a [u8],
    (line, subject): (&[u8], &'a [u8]),
    rules: &Rules,
    reach: Reach,
) -> Stretch<'a> {
    tails.clear();
    let (mut at, mut sums) = (0, Sums::default());
    while at < reach.bytes && tails.len() < STRETCH_MESSAGES_MAX && reach.admits(tails.len(), &sums) {
        let Some((m, used)) = repeated(&data[at..], line, subject, rules) else { break };
        if m.tail.len() > reach.tail {
            break;
        }
        at += used;
        let tail = Tail { from: (at - m.tail.len()) as u32, to: at as u32, size: m.size as u32 };
        tails.push(tail);
        sums.add(tail, subject);
    }
    Stretch { subject, data, tails, sums }
}

impl<'a> Stretch<'a> {
    /// As many of the messages with these tails as may be.
    pub fn begin(subject: &'a [u8], data: &'a [u8], tails: &'a [Tail], reach: Reach) -> Stretch<'a> {
        let (mut n, mut sums) = (0, Sums::default());
        while n < tails.len() && sums.tail_bytes < reach.bytes && reach.admits(n, &sums) {
            sums.add(tails[n], subject);
            n += 1;
        }
        Stretch { subject, data, tails: &tails[..n], sums }
    }

    /// What it costs of a turn's deliveries where each message is queued for so many.
    pub fn cost(&self, queued: u64) -> u64 {
        self.len() + queued * self.sums.weight
    }

    /// Messages.
    pub fn len(&self) -> u64 {
        self.tails.len() as u64
    }

    /// The bytes they came in.
    pub fn data(&self) -> &'a [u8] {
        &self.data[..self.tails.last().map_or(0, |t| t.to as usize)]
    }

    /// Where in [`Stretch::data`] they are.
    pub fn tails(&self) -> &'a [Tail] {
        self.tails
    }

    /// Bytes of their payloads.
    pub fn payload(&self) -> u64 {
        self.sums.payload
    }

    /// The messages, each with the place in the data where it ends.
    pub fn messages(&self) -> impl Iterator<Item = (Message<'a>, usize)> + 'a {
        let (subject, data) = (self.subject, self.data);
        self.tails.iter().map(move |t| (message(subject, data, *t), t.to as usize))
    }

    fn lines(&self) -> impl Iterator<Item = &'a [u8]> {
        let data = self.data;
        self.tails.iter().map(move |t| &data[t.from as usize..t.to as usize])
    }
}

/// The message with this tail.
pub fn message<'a>(subject: &'a [u8], data: &'a [u8], tail: Tail) -> Message<'a> {
    let lies = &data[tail.from as usize..tail.to as usize];
    Message { subject, reply: &[], header: 0, size: tail.size as usize, tail: lies }
}

impl Outbox {
    /// Can each of them be given the whole stretch, and nothing else come of it? Then it does not matter in which order they
    /// get it, unless two subscriptions are of one connection: that one is to see each message twice, and not all of
    /// them twice.
    pub fn takes_stretch(&mut self, to: &Receivers<'_>, stretch: &Stretch<'_>) -> bool {
        if stretch.len() < 2 || self.diary.traces() {
            return false;
        }
        self.stretches = self.stretches.wrapping_add(1);
        to.verdict.plain.iter().all(|t| self.client_takes(t, to, stretch))
            && to.links.iter().map(|l| l.conn).chain(to.gates.iter().map(|g| g.conn)).all(|conn| {
                let names = &to.verdict.names;
                let head = begin_plain_len(names);
                let fits = !names.is_empty() && head + stretch.sums.digits <= LINE_MAX;
                fits && self.has_room(conn, head, stretch)
            })
    }

    fn client_takes(&mut self, t: &Target, to: &Receivers<'_>, stretch: &Stretch<'_>) -> bool {
        let ends = self.subs.get(t.sub).is_none_or(|sub| sub.max > 0 && sub.delivered + stretch.len() >= sub.max);
        if ends || !self.has_room(t.conn, to.verdict.head(t).len(), stretch) {
            return false;
        }
        let stretches = self.stretches;
        let first = |id: &mut u32| std::mem::replace(id, stretches) != stretches;
        self.conns.get_mut(t.conn).is_some_and(|c| (c.echo || to.publisher != Some(t.conn)) && first(&mut c.stretch))
    }

    /// Does it stay uncongested with all of them, each behind a head of so many bytes?
    fn has_room(&self, conn: ConnId, head: usize, stretch: &Stretch<'_>) -> bool {
        let more = stretch.tails.len() * head + stretch.sums.tail_bytes;
        self.conns.get(conn).is_some_and(|c| c.lives() && c.out.pending() + more <= self.congested)
    }

    /// Queues a stretch for everybody, which [`Outbox::takes_stretch`] has said is possible. Says for how many each of
    /// its messages was queued.
    pub fn deliver_stretch(&mut self, to: &Receivers<'_>, stretch: &Stretch<'_>) -> u64 {
        self.next_message();
        for t in &to.verdict.plain {
            if let Some(sub) = self.subs.get_mut(t.sub) {
                sub.delivered += stretch.len();
            }
            let head = to.verdict.head(t);
            self.append_stretch(t.conn, |out| out.extend_from_slice(head), stretch);
        }
        let head = |out: &mut Vec<u8>| begin_plain(out, &to.verdict.names);
        for link in to.links {
            self.append_stretch(link.conn, head, stretch);
        }
        for gate in to.gates {
            self.append_stretch(gate.conn, head, stretch);
            self.crossings.sent(gate.far, to.verdict.account, stretch.len());
        }
        self.crowd.free = to.len() > 0;
        to.len()
    }

    #[inline]
    fn append_stretch(&mut self, conn: ConnId, head: impl Fn(&mut Vec<u8>), stretch: &Stretch<'_>) {
        let Some(client) = self.conns.get_mut(conn) else { return };
        client.out.lines(&mut self.spares, head, stretch.lines());
        client.health.served_at = self.now.mono;
        client.counts.out_msgs += stretch.len();
        client.counts.out_bytes += stretch.sums.payload;
        if !client.dirty {
            client.dirty = true;
            self.dirty.push(conn);
        }
    }
}

#[cfg(test)]
mod tests;
