//! The connections of a shard and everything queued for them: the last step of every message. Appends to out-buffers,
//! notes who has something to write, who has had enough, and who is to be cut.

use super::crossings::{Crossings, Uncrossed};
use super::diary::Diary;
use super::ledger::{Drop, Ledger};
use super::relayed;
use super::traced::{Rate, Tracing};
use super::verdict::{Gate, Group, Sub, Target, Verdict};
use crate::base::limits::{BLOCKERS_MAX, DELIVERY_BYTES, ROUTE_PENDING_FACTOR_MAX};
use crate::base::{ConnId, Now, Seeded, Slot, Slots};
use crate::conn::{Answers, Client, Spares, WayBack, WAY_KNOWN_NS};
use crate::policy::Permits;
use crate::wire::Message;

/// How many deliveries one copy of this message counts as: what a turn makes the shard grow by is bounded, too.
#[inline(always)]
pub(super) fn weight(m: &Message<'_>) -> u64 {
    weight_of(m.subject.len() + m.reply.len() + m.tail.len())
}

/// The same of one that has so many bytes.
#[inline(always)]
pub(super) fn weight_of(bytes: usize) -> u64 {
    1 + (bytes / DELIVERY_BYTES) as u64
}

/// How one copy fared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Queued.
    Queued,
    /// The receiver is the publisher and does not want its own.
    Echo,
    /// The receiver has gone, or has had as many as it asked for.
    Gone,
    /// Dropped: the receiver is congested and nobody is to wait for it.
    Skipped,
}

/// How the receivers of one message are doing.
#[derive(Debug, Default)]
pub struct Crowd {
    /// Congested ones, the first few of them.
    pub blockers: Vec<ConnId>,
    /// Somebody is not.
    pub free: bool,
    /// A congested route, if the message goes over one: a route slows its feeders whatever the others do.
    pub route: Option<ConnId>,
}

impl Crowd {
    fn clear(&mut self) {
        self.blockers.clear();
        self.free = false;
        self.route = None;
    }

    /// Is somebody to wait: for a route, or because everybody is congested?
    pub fn jammed(&self) -> bool {
        self.route.is_some() || (!self.free && !self.blockers.is_empty())
    }
}

/// See the file's head.
#[derive(Debug)]
pub struct Outbox {
    /// All connections of this shard.
    pub conns: Slots<Client>,
    /// All their subscriptions.
    pub subs: Slots<Sub>,
    /// Buffers not in use.
    pub spares: Spares,
    /// Counters.
    pub ledger: Ledger,
    /// Lines for the log.
    pub diary: Diary,
    /// Connections with something to write.
    pub dirty: Vec<ConnId>,
    /// Connections with more waiting than they may: to be cut after the current operation.
    pub over: Vec<ConnId>,
    /// Subscriptions that have had their last message: to be ended after the current operation.
    pub spent: Vec<Slot>,
    /// What became of messages to other clusters.
    pub crossings: Crossings,
    /// Clients that remember requests of other clusters since this turn.
    pub answerers: Vec<ConnId>,
    /// The way back for answers to the message that is being delivered to queue groups.
    pub answering: Option<WayBack>,
    /// Why the last message that was not queued for a server was not.
    pub unsent: Option<Uncrossed>,
    /// How long the way of answers to other clusters is known, nanoseconds.
    pub answered_within_ns: u64,
    /// What users may do.
    pub permits: Permits,
    /// Hashes replies.
    pub hashing: Seeded,
    /// The current message, if it is traced.
    pub tracing: Option<Box<Tracing>>,
    /// How many are.
    pub traces: Rate,
    /// The receivers of the current message.
    pub crowd: Crowd,
    /// The present.
    pub now: Now,
    /// Waiting bytes from which on a connection is congested: three quarters of the limit.
    pub(super) congested: usize,
    pending_max: usize,
    /// Congested receivers are passed over instead of waited for.
    pub(super) skip_congested: bool,
    /// Stretches looked at: the last one's number, which each of its receivers bears.
    pub(super) stretches: u32,
    /// Bytes waiting for all clients, as of the last time each was written to.
    waiting: usize,
    /// The most that may be.
    pub waiting_max: usize,
}

impl Outbox {
    /// Empty. `pending_max` is the limit of bytes waiting for one connection, `waiting_max` for all; with
    /// `skip_congested` congested receivers are passed over instead of waited for.
    pub fn new(pending_max: usize, waiting_max: usize, skip_congested: bool, diary: Diary) -> Outbox {
        Outbox {
            waiting: 0,
            answered_within_ns: WAY_KNOWN_NS,
            waiting_max,
            conns: Slots::default(),
            subs: Slots::default(),
            spares: Spares::default(),
            ledger: Ledger::default(),
            diary,
            dirty: Vec::new(),
            over: Vec::new(),
            spent: Vec::new(),
            crossings: Crossings::default(),
            answerers: Vec::new(),
            answering: None,
            unsent: None,
            tracing: None,
            traces: Rate::default(),
            permits: Permits::default(),
            hashing: Seeded::default(),
            crowd: Crowd::default(),
            now: Now::default(),
            stretches: 0,
            congested: pending_max / 4 * 3,
            pending_max,
            skip_congested,
        }
    }

    /// Has the last operation left something to [`Shard::settle`](super::Shard)?
    #[inline]
    pub fn unsettled(&self) -> bool {
        !self.spent.is_empty() || !self.over.is_empty()
    }

    /// A new message is about to be delivered.
    #[inline]
    pub fn next_message(&mut self) {
        self.crowd.clear();
    }

    /// Queues a message for one receiver. `head` is `MSG <subject> <sid> `; `publisher` the connection it came from, if
    /// that is one of this shard's.
    #[inline]
    pub fn deliver(&mut self, t: &Target, head: &[u8], m: &Message<'_>, publisher: Option<ConnId>) -> Fate {
        let Some(client) = self.conns.get_mut(t.conn) else { return Fate::Gone };
        if !client.echo && publisher == Some(t.conn) {
            return Fate::Echo;
        }
        let Some(sub) = self.subs.get_mut(t.sub) else { return Fate::Gone };
        if !client.lives() || (sub.max > 0 && sub.delivered >= sub.max) {
            return Fate::Gone;
        }
        if self.skip_congested && client.out.pending() > self.congested {
            self.ledger.dropped(Drop::SlowConsumerSkipped, 1);
            return Fate::Skipped;
        }
        sub.delivered += 1;
        if sub.delivered == sub.max {
            self.spent.push(t.sub);
        }
        let buffer = client.out.line(&mut self.spares);
        let before = buffer.len();
        let mut size = m.size;
        buffer.reserve(head.len() + m.reply.len() + m.tail.len() + 2);
        if m.header > 0 && client.headers {
            buffer.push(b'H');
        }
        buffer.extend_from_slice(head);
        if !m.reply.is_empty() {
            buffer.extend_from_slice(m.reply);
            buffer.push(b' ');
        }
        if m.header > 0 && !client.headers {
            size = m.size - m.header;
            strip(buffer, m);
        } else {
            buffer.extend_from_slice(m.tail);
        }
        let grown = buffer.len() - before;
        client.out.grown(grown);
        client.health.served_at = self.now.mono;
        client.counts.out_msgs += 1;
        client.counts.out_bytes += size as u64;
        if !client.dirty {
            client.dirty = true;
            self.dirty.push(t.conn);
        }
        if client.out.pending() > self.congested {
            self.note_congested(t.conn);
        } else {
            self.crowd.free = true;
        }
        if self.diary.traces() {
            self.tell_diary(t.conn, grown);
        }
        Fate::Queued
    }

    /// Queues a message for a server whose route or gateway this is: for its plain subscriptions (`plain`), and for a member
    /// of each of `queues` (cluster-protocol.md §3.13). `names` as [`Verdict::names`](super::verdict::Verdict::names).
    pub fn deliver_over_link<'n>(
        &mut self,
        conn: ConnId,
        names: &[u8],
        m: &Message<'_>,
        plain: bool,
        queues: impl Iterator<Item = &'n [u8]>,
    ) -> Fate {
        if self.tracing.is_some() {
            return self.send_traced(conn, names, m, plain, queues);
        }
        let Some(client) = self.conns.get_mut(conn) else { return Fate::Gone };
        if !client.lives() {
            return Fate::Gone;
        }
        if names.is_empty() {
            self.not_sent(conn, Uncrossed::Unsayable, 1);
            return Fate::Skipped;
        }
        let waiting = client.out.pending();
        if waiting > self.congested {
            self.crowd.route = Some(conn);
            if waiting / ROUTE_PENDING_FACTOR_MAX > self.pending_max {
                self.not_sent(conn, Uncrossed::Full, 1);
                return Fate::Skipped;
            }
        } else {
            self.crowd.free = true;
        }
        let buffer = client.out.line(&mut self.spares);
        let before = buffer.len();
        let written = relayed::write(buffer, names, m, client.headers, plain, queues);
        let grown = buffer.len() - before;
        client.out.grown(grown);
        client.counts.out_msgs += u64::from(written.lines);
        client.counts.out_bytes += m.size as u64 * u64::from(written.lines);
        if written.lines > 0 && !client.dirty {
            client.dirty = true;
            self.dirty.push(conn);
        }
        if written.left_out > 0 {
            self.not_sent(conn, Uncrossed::Unsayable, written.left_out);
        }
        if written.lines == 0 {
            return Fate::Skipped;
        }
        Fate::Queued
    }

    /// Counts what became of a message for another cluster; true: it is on its way.
    #[inline]
    pub fn crossed(&mut self, gate: &Gate, account: u16, fate: Fate) -> bool {
        if fate == Fate::Queued {
            self.crossings.sent(gate.far, account, 1);
            return true;
        }
        let why = self.unsent.take().filter(|_| fate == Fate::Skipped).unwrap_or(Uncrossed::Down);
        self.crossings.dropped(gate.far, account, why);
        false
    }

    /// Messages, or queue groups of them, were not queued for this server.
    #[cold]
    fn not_sent(&mut self, conn: ConnId, why: Uncrossed, n: u64) {
        let gateway = self.conns.get(conn).is_some_and(|c| c.gateway.is_some());
        let reason = match (gateway, why) {
            (false, Uncrossed::Full) => Drop::RouteFull,
            (false, _) => Drop::RouteUnsayable,
            (true, Uncrossed::Full) => Drop::GatewayFull,
            (true, _) => Drop::GatewayUnsayable,
        };
        self.ledger.dropped(reason, n);
        self.unsent = Some(why);
    }

    /// A client was given a request of another cluster: its answer goes this way.
    pub fn remember(&mut self, conn: ConnId, reply: &[u8], way: WayBack) {
        let (hashing, now, within_ns) = (self.hashing, self.now.mono, self.answered_within_ns);
        if let Some(client) = self.conns.get_mut(conn) {
            if client.answers.is_none() {
                self.answerers.push(conn);
            }
            client.answers.get_or_insert_with(|| Box::new(Answers::new(hashing))).remember(reply, way, now, within_ns);
        }
    }

    /// A client was given a message with this reply: if its permissions say so, it may answer.
    pub fn may_answer(&mut self, conn: ConnId, reply: &[u8]) {
        let Some(rights) = self.conns.get_mut(conn).and_then(|c| c.rights.as_deref_mut()) else { return };
        let Some(replies) = rights.replies.as_mut().filter(|_| !reply.is_empty()) else { return };
        if self.permits.get(rights.permit).is_some_and(|p| !p.publish(reply))
            && !replies.delivered(reply, self.now.mono)
        {
            self.ledger.responses_forgotten += 1;
        }
    }

    /// May a receiver be given a message under this subject, which is not the one that it was matched with? If not, it is
    /// counted.
    #[cold]
    pub fn may_have(&mut self, t: &Target, subject: &[u8]) -> bool {
        let rights = self.conns.get(t.conn).and_then(|c| c.rights.as_deref());
        let permit = rights.and_then(|r| self.permits.get(r.permit));
        let may = permit.is_none_or(|p| p.deliver(subject, b""));
        self.ledger.dropped(Drop::DeliveryDenied, u64::from(!may));
        may
    }

    #[cold]
    fn tell_diary(&mut self, id: ConnId, bytes: usize) {
        if let Some(client) = self.conns.get(id) {
            self.diary.said(client, client.out.latest(bytes));
        }
    }

    /// Queues a message for one member of a queue group here: the one at `first`, or the next that can take it. False:
    /// none could.
    pub fn deliver_to_one(
        &mut self,
        v: &Verdict,
        group: &Group,
        first: usize,
        m: &Message<'_>,
        publisher: Option<ConnId>,
    ) -> bool {
        if self.tracing.is_some() {
            return self.deliver_to_one_traced(v, group, first, m, publisher);
        }
        let (before, from) = group.local.split_at(first.min(group.local.len()));
        let taken = from.iter().chain(before).find(|t| self.deliver(t, v.head(t), m, publisher) == Fate::Queued);
        if let Some(t) = taken {
            self.answers_may_come(t, group.answering, m);
        }
        taken.is_some()
    }

    /// A queue member was given a message: his answer may need a way back, or a right.
    pub(super) fn answers_may_come(&mut self, t: &Target, answering: bool, m: &Message<'_>) {
        if let Some(way) = self.answering {
            self.remember(t.conn, m.reply, way);
        }
        if answering {
            self.may_answer(t.conn, m.reply);
        }
    }

    /// Counts again what waits for a client. What waits for a route is bounded by itself, and slows its feeders.
    pub fn recount(&mut self, id: ConnId) {
        if let Some(client) = self.conns.get_mut(id).filter(|c| c.is_client()) {
            let pending = client.out.pending();
            self.waiting = self.waiting + pending - std::mem::replace(&mut client.waiting_bytes, pending);
        }
    }

    /// So much waits for nobody any more.
    pub fn forget_waiting(&mut self, bytes: usize) {
        self.waiting -= bytes;
    }

    /// Bytes waiting for all clients, as of the last time each was written to.
    pub fn waiting(&self) -> usize {
        self.waiting
    }

    #[cold]
    fn note_congested(&mut self, id: ConnId) {
        // Where congested receivers are passed over nobody waits for them.
        if !self.skip_congested && self.crowd.blockers.len() < BLOCKERS_MAX {
            self.crowd.blockers.push(id);
        }
        if self.conns.get(id).is_some_and(|c| c.out.pending() > self.pending_max) {
            self.over.push(id);
        }
    }

    /// Does more wait for this connection than three quarters of its limit?
    pub fn is_congested(&self, id: ConnId) -> bool {
        self.conns.get(id).is_some_and(|c| c.lives() && c.out.pending() > self.congested)
    }

    /// Is this receiver one that a publisher should wait for: congested, there, and taking bytes within `patience_ns`?
    pub fn worth_waiting_for(&self, id: ConnId, patience_ns: u64) -> bool {
        self.conns.get(id).is_some_and(|c| {
            c.lives() && c.out.pending() > self.congested && self.now.mono.since(c.progress_at) < patience_ns
        })
    }

    /// There may be something to write to a connection.
    pub fn touch(&mut self, id: ConnId) {
        if let Some(client) = self.conns.get_mut(id).filter(|c| !c.dirty) {
            client.dirty = true;
            self.dirty.push(id);
        }
    }

    /// Appends one protocol line to what goes to a connection.
    pub fn say(&mut self, id: ConnId, write: impl FnOnce(&mut Vec<u8>)) {
        let Some(client) = self.conns.get_mut(id) else { return };
        let buffer = client.out.line(&mut self.spares);
        let before = buffer.len();
        write(buffer);
        let grown = buffer.len() - before;
        client.out.grown(grown);
        if grown > 0 && !client.dirty {
            client.dirty = true;
            self.dirty.push(id);
        }
        if client.out.pending() > self.pending_max && client.is_client() {
            self.over.push(id);
        }
        if self.diary.traces() && grown > 0 {
            self.tell_diary(id, grown);
        }
    }
}

/// The message without its header, for a receiver that takes none (client-protocol.md §9).
#[cold]
fn strip(buffer: &mut Vec<u8>, m: &Message<'_>) {
    let body = &m.payload()[m.header..];
    buffer.extend_from_slice(itoa::Buffer::new().format(body.len()).as_bytes());
    buffer.extend_from_slice(b"\r\n");
    buffer.extend_from_slice(body);
    buffer.extend_from_slice(b"\r\n");
}
