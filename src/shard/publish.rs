//! The first journey: a message from a client of this shard to everybody who wants it (client-protocol.md §8, §10).

use super::batch::Address;
use super::core::Shard;
use super::ledger::Drop;
use super::outbox::Fate;
use super::relay::{give, Given};
use super::verdict::{may_be_reserved, reserved_reply, reserved_subject};
use crate::base::{same, ConnId, ShardSet, Slot};
use crate::wire::fault::{write_complaint, Complaint};
use crate::wire::{headers, subject, Message, Publish};

impl Shard {
    /// `PUB` or `HPUB`.
    #[inline]
    pub(super) fn publish(&mut self, id: ConnId, p: &Publish<'_>) {
        let Some(client) = self.outbox.conns.get_mut(id) else { return };
        client.counts.in_msgs += 1;
        client.counts.in_bytes += p.payload.len() as u64;
        client.health.active_at = self.now.mono;
        let (account, talks, calm) = (client.account, client.verbose || client.pedantic, client.pressed.is_empty());
        let mut key = client.memo.verdict;
        if !same(&client.memo.subject, p.subject) || self.verdicts.get(key).is_none() {
            key = self.judge(id, account, p.subject);
        }
        // What only some clients want, and what only system subjects need, is kept off everybody else's path.
        if (talks || may_be_reserved(p)) && !self.publish_is_allowed(id, p) {
            return;
        }
        let reached = if p.tail.is_empty() {
            let mut body = std::mem::take(&mut self.body);
            let reached = self.spread(id, account, key, &body.message(p));
            self.body = body;
            reached
        } else {
            self.spread(id, account, key, &Message::whole(p))
        };
        if !calm || reached.0 & !(1 << self.id.0) != 0 || self.outbox.crowd.jammed() {
            self.pace(id, reached);
        }
    }

    /// What a client is told of a publication before it is delivered; false: it is refused.
    #[cold]
    fn publish_is_allowed(&mut self, id: ConnId, p: &Publish<'_>) -> bool {
        let pedantic = self.outbox.conns.get(id).is_some_and(|c| c.pedantic);
        if pedantic && !subject::valid_publish(p.subject) {
            self.outbox.say(id, |out| write_complaint(out, Complaint::InvalidPublishSubject));
        }
        let (complaint, why) = if reserved_subject(p.subject) {
            (Complaint::Publish(p.subject), Drop::ReservedSubject)
        } else if reserved_reply(p.reply) {
            (Complaint::Reply(p.reply), Drop::ReservedReply)
        } else {
            self.ok(id);
            return true;
        };
        self.outbox.ledger.dropped(why, 1);
        self.outbox.say(id, |out| write_complaint(out, complaint));
        false
    }

    /// Finds or reaches the verdict of a subject and has the connection remember it.
    #[cold]
    pub(super) fn judge(&mut self, id: ConnId, account: u16, subject: &[u8]) -> Slot {
        let verdict = self.verdict(account, subject);
        if let Some(client) = self.outbox.conns.get_mut(id) {
            client.memo.subject.clear();
            client.memo.subject.extend_from_slice(subject);
            client.memo.verdict = verdict;
        }
        verdict
    }

    /// Finds or reaches the verdict of a subject.
    pub(super) fn verdict(&mut self, account: u16, subject: &[u8]) -> Slot {
        if let Some(key) = self.verdicts.find(account, subject) {
            self.outbox.ledger.cache_hits += 1;
            return key;
        }
        let replica = &self.worlds[usize::from(account)].replica;
        let name = self.settings.auth.accounts[usize::from(account)].name.as_str();
        let key = self.verdicts.reach((account, name), subject, replica, &self.outbox.subs, &self.peers);
        let ledger = &mut self.outbox.ledger;
        ledger.matches += 1;
        if let Some(n) = self.verdicts.get(key).map(|v| v.fanout()).filter(|n| *n > 0) {
            ledger.max_fanout = ledger.max_fanout.max(n);
            ledger.fanout_sum += n;
            ledger.fanout_count += 1;
        }
        key
    }

    /// Delivers a message by its verdict. Says which shards it reaches.
    #[inline]
    fn spread(&mut self, id: ConnId, account: u16, verdict: Slot, m: &Message<'_>) -> ShardSet {
        let Some(v) = self.verdicts.get(verdict) else { return ShardSet::EMPTY };
        self.outbox.next_message();
        let mut queued = 0;
        for t in &v.plain {
            queued += u64::from(self.outbox.deliver(t, v.head(t), m, Some(id)) == Fate::Queued);
        }
        let mut reached = ShardSet::EMPTY;
        if v.leaves() {
            let to = Address { account, plain: true, reaimed: false, routed: false, home: self.id, publisher: id };
            let (here, shards) = self.spread_further(verdict, to, m);
            queued += here;
            reached = shards;
        }
        self.budget = self.budget.saturating_sub(1 + queued);
        if queued > 0 {
            reached.insert(self.id);
        } else if reached.is_empty() {
            self.outbox.ledger.dropped(Drop::NoInterest, 1);
            if !m.reply.is_empty() {
                self.no_responders(id, account, m);
            }
        }
        reached
    }

    /// One member of each queue group, other shards, routes. Says how many copies were queued here, and which other
    /// shards were reached.
    fn spread_further(&mut self, verdict: Slot, to: Address, m: &Message<'_>) -> (u64, ShardSet) {
        let Some(v) = self.verdicts.get(verdict) else { return (0, ShardSet::EMPTY) };
        let mut queued = 0;
        self.away.clear();
        for (i, g) in v.groups.iter().enumerate() {
            let Some(pick) = g.pick(&mut self.rng, false) else { continue };
            match give(&mut self.outbox, &mut self.rng, v, g, pick, m, Some(to.publisher), false) {
                Given::Taken => queued += 1,
                Given::Elsewhere(place) => self.away.push((place, i as u32)),
                Given::Nobody => {}
            }
        }
        let (routes, shards) = self.relay(verdict, to, m);
        (queued + routes, shards)
    }

    /// Tells a requester that nobody is there (client-protocol.md §10).
    #[cold]
    fn no_responders(&mut self, id: ConnId, account: u16, m: &Message<'_>) {
        let asks = |s: &Shard| s.outbox.conns.get(id).is_some_and(|c| c.no_responders && c.headers);
        if !asks(self) {
            return;
        }
        let mut first: Option<Slot> = None;
        let subs = &self.outbox.subs;
        self.worlds[usize::from(account)].replica.matches(m.reply, |want| {
            let own = want.plain.iter().filter(|s| subs.get(**s).is_some_and(|sub| sub.conn == id));
            first = own.copied().chain(first).min();
        });
        let Some(sid) = first.and_then(|s| subs.get(s)).map(|s| s.sid.clone()) else { return };
        let len = headers::no_responders_len(m.subject).to_string();
        self.outbox.say(id, |out| {
            for part in [b"HMSG ".as_slice(), m.reply, b" ", &sid, b" ", len.as_bytes(), b" ", len.as_bytes(), b"\r\n"]
            {
                out.extend_from_slice(part);
            }
            headers::no_responders(m.subject, out);
            out.extend_from_slice(b"\r\n");
        });
    }
}
