//! The first journey: a message from a client of this shard to everybody who wants it (client-protocol.md §8, §10).

use super::batch::{Address, Origin};
use super::core::Shard;
use super::ledger::Drop;
use super::outbox::{weight, Fate};
use super::relay::{give, Given};
use super::repeats::Repeat;
use super::reserved::{may_be_reserved, reserved_reply, reserved_subject};
use super::rights::Leave;
use super::services::From;
use super::system::REQUESTS;
use super::verdict::Table;
use crate::base::{ConnId, Level, ShardId, ShardSet, Slot};
use crate::conn::Publisher;
use crate::interest::Place;
use crate::wire::fault::{write_complaint, Complaint};
use crate::wire::subject::valid_publish;
use crate::wire::traced::may_ask;
use crate::wire::{headers, quote, Message, Publish};

/// Whom a message reached.
#[derive(Clone, Copy, Default)]
pub(super) struct Reached {
    /// Somebody on this shard.
    here: bool,
    /// Other shards.
    remote: ShardSet,
}

impl Reached {
    /// All shards that it reached; `own` is this one.
    pub(super) fn shards(self, own: ShardId) -> ShardSet {
        match self.here {
            true => ShardSet(self.remote.0 | ShardSet::of(own).0),
            false => self.remote,
        }
    }
}

impl Shard {
    /// A `PUB` or `HPUB` of a client that has counted it. Inlined into the loop over a connection's operations: handing it
    /// over costs as much as the work.
    #[inline(always)]
    pub(super) fn publish(&mut self, id: ConnId, from: Publisher, m: &Message<'_>) {
        // What only some clients want, and what only system subjects need, is kept off everybody else's path.
        let from = match from.talks || may_be_reserved(m.subject, m.reply) {
            true => match self.goes_the_usual_way(id, from, m) {
                Some(verdict) => Publisher { verdict, ..from },
                None => return,
            },
            false => from,
        };
        self.set_out(id, from, m);
    }

    /// What may be published is delivered; who publishes more than is taken is held up.
    #[inline(always)]
    pub(super) fn set_out(&mut self, id: ConnId, from: Publisher, m: &Message<'_>) {
        let reached = self.spread(id, from, m);
        if !from.calm || !reached.remote.is_empty() || self.outbox.crowd.jammed() {
            self.pace(id, reached.shards(self.id));
        }
    }

    /// [`Shard::publish`] for what did not come in the form it leaves in, and for all that has headers.
    #[inline(never)]
    pub(super) fn publish_rewritten(&mut self, id: ConnId, p: &Publish<'_>) {
        let mut body = std::mem::take(&mut self.body);
        let m = body.message(p);
        if let Some(client) = self.outbox.conns.get_mut(id) {
            let from = client.publishes(&m, self.now.mono);
            // Here only: what comes over a route was looked at where it entered.
            let sound = p.header == 0 || headers::well_formed(&p.payload[..p.header]);
            if sound || self.malformed_is_allowed(id, p.subject) {
                let asks = p.header > 0 && (may_ask(&p.payload[..p.header]) || self.traces_of(from.account));
                let goes_on = match asks {
                    true => self.begin_trace(id, from, &m),
                    false => Some(from),
                };
                if let Some(from) = goes_on {
                    self.publish(id, from, &m);
                    if self.outbox.tracing.is_some() {
                        self.end_trace();
                    }
                }
            }
        }
        self.body = body;
    }

    /// [`Shard::publish`] of what another message was made of.
    #[inline(never)]
    #[cold]
    pub(super) fn publish_as(&mut self, id: ConnId, from: Publisher, m: &Message<'_>) {
        self.publish(id, from, m);
    }

    /// A client's message to `subject` has malformed headers: counts it and tells who has to know. False: it is refused.
    #[cold]
    fn malformed_is_allowed(&mut self, id: ConnId, subject: &[u8]) -> bool {
        let refuses = self.settings.strict_headers;
        self.outbox.ledger.malformed_headers += 1;
        let first = self.outbox.conns.get_mut(id).is_some_and(|c| !std::mem::replace(&mut c.malforms, true));
        if first && self.may_say(Repeat::Headers) {
            if let Some(client) = self.outbox.conns.get(id) {
                let text = || {
                    let mut named = Vec::new();
                    quote(&mut named, subject);
                    let fate = if refuses { "refused (strict_headers)" } else { "delivered as it came" };
                    format!("Malformed headers in a message to {}: {fate}", String::from_utf8_lossy(&named))
                };
                self.outbox.diary.about(client, Level::Warn, text);
            }
        }
        if refuses {
            self.outbox.ledger.dropped(Drop::MalformedHeaders, 1);
            self.outbox.say(id, |out| write_complaint(out, Complaint::Headers(subject)));
        }
        !refuses
    }

    /// What a client is told of a publication before it is delivered, in nats-server's order of checks. Says what is known
    /// of its way; None: it is refused, or was an answer that has gone its own way to another cluster.
    #[cold]
    fn goes_the_usual_way(&mut self, id: ConnId, from: Publisher, m: &Message<'_>) -> Option<Slot> {
        let pedantic = self.outbox.conns.get(id).is_some_and(|c| c.pedantic);
        if pedantic && !valid_publish(m.subject) {
            self.outbox.say(id, |out| write_complaint(out, Complaint::InvalidPublishSubject));
        }
        // What is remembered stays as it is.
        if from.maps && from.verdict == Slot::NONE && self.publish_mapped(id, from, m) {
            return None;
        }
        let verdict = self.is_let_through(id, from, m)?;
        if self.outbox.tracing.is_some() {
            self.set_out_traced(id, Publisher { verdict, ..from }, m);
            return None;
        }
        Some(verdict)
    }

    /// The same of a subject that stays as it is from here on.
    #[inline(always)]
    pub(super) fn is_let_through(&mut self, id: ConnId, from: Publisher, m: &Message<'_>) -> Option<Slot> {
        let (account, subject, reply) = (from.account, m.subject, m.reply);
        // Looked at once: whom nothing of this concerns pays no call for it.
        let client = self.outbox.conns.get(id)?;
        let (verbose, asks, answers) =
            (client.verbose, client.service || subject.starts_with(REQUESTS), client.answers.is_some());
        if reserved_subject(subject) {
            self.outbox.ledger.dropped(Drop::ReservedSubject, 1);
            self.note_complaint(Complaint::Publish(subject));
            self.outbox.say(id, |out| write_complaint(out, Complaint::Publish(subject)));
            return None;
        }
        let leave = match from.verdict {
            Slot::NONE => self.may_publish(id, account, subject, from.found),
            remembered => Leave::Given(remembered),
        };
        if leave == Leave::Denied {
            self.deny_publication(id, account, subject);
            return None;
        }
        if reserved_reply(reply) {
            self.outbox.ledger.dropped(Drop::ReservedReply, 1);
            self.note_complaint(Complaint::Reply(reply));
            self.outbox.say(id, |out| write_complaint(out, Complaint::Reply(reply)));
            return None;
        }
        if verbose {
            self.ok(id);
        }
        if (asks && self.answers_for_server(id, account, m)) || (answers && self.answers_other_cluster(id, account, m))
        {
            return None;
        }
        Some(match leave {
            Leave::Given(verdict) => verdict,
            // Not remembered: the next one is judged again.
            _ => self.verdict(account, subject),
        })
    }

    /// Finds or reaches the verdict of a subject and has the connection remember it.
    #[cold]
    pub(super) fn judge(&mut self, id: ConnId, account: u16, subject: &[u8]) -> Slot {
        let verdict = self.verdict(account, subject);
        if let Some(client) = self.outbox.conns.get_mut(id) {
            client.memo.remember(&[b"PUB "], subject, verdict);
        }
        verdict
    }

    /// Finds or reaches the verdict of a subject.
    pub(super) fn verdict(&mut self, account: u16, subject: &[u8]) -> Slot {
        if let Some(key) = self.verdicts.find(account, subject) {
            self.outbox.ledger.cache_hits += 1;
            return key;
        }
        let key = self.match_subject(account, subject);
        let ledger = &mut self.outbox.ledger;
        ledger.matches += 1;
        if let Some(n) = self.verdicts.get(key).map(|v| v.fanout()).filter(|n| *n > 0) {
            ledger.max_fanout = ledger.max_fanout.max(n);
            ledger.fanout_sum += n;
            ledger.fanout_count += 1;
        }
        key
    }

    /// Reaches the verdict of a subject that has none.
    pub(super) fn match_subject(&mut self, account: u16, subject: &[u8]) -> Slot {
        let world = &self.worlds[usize::from(account)];
        let table = Table {
            replica: &world.replica,
            fars: &world.fars,
            subs: &self.outbox.subs,
            peers: &self.peers,
            gates: &self.gates,
            walls: &self.walls,
            permits: &self.outbox.permits,
            accounts: &self.settings.auth.accounts,
            cluster: self.settings.cluster_name(),
        };
        let name = self.settings.auth.accounts[usize::from(account)].name.as_str();
        self.verdicts.reach((account, name), subject, &table)
    }

    /// Delivers a message by its verdict.
    #[inline(always)]
    fn spread(&mut self, id: ConnId, from: Publisher, m: &Message<'_>) -> Reached {
        let (account, mut verdict) = (from.account, from.verdict);
        let v = match self.verdicts.get(verdict) {
            Some(v) => v,
            None if self.verdicts.get(from.found).is_some() => {
                self.outbox.ledger.cache_hits += 1;
                verdict = from.found;
                let Some(v) = self.verdicts.get(verdict) else { return Reached::default() };
                v
            }
            None => {
                verdict = self.judge(id, account, m.subject);
                let Some(v) = self.verdicts.get(verdict) else { return Reached::default() };
                v
            }
        };
        self.outbox.next_message();
        let mut queued = 0;
        for t in &v.plain {
            queued += u64::from(self.outbox.deliver(t, v.head(t), m, Some(id)) == Fate::Queued);
        }
        let way = (v.leaves(), v.is_guarded(), v.goes_beyond());
        self.spread_on(id, account, (verdict, way), queued, m)
    }

    /// The same behind the plain receivers of this shard, of whom `queued` were given it. `way`: does it leave them, are some
    /// of them guarded, and does it concern other accounts?
    #[inline(always)]
    pub(super) fn spread_on(
        &mut self,
        id: ConnId,
        account: u16,
        (verdict, (leaves, guarded, beyond)): (Slot, (bool, bool, bool)),
        mut queued: u64,
        m: &Message<'_>,
    ) -> Reached {
        let mut remote = ShardSet::EMPTY;
        if leaves {
            let to = self.published(account, id);
            if guarded {
                queued += self.deliver_guarded(verdict, m, Some(id));
            }
            let (here, shards) = self.spread_further(verdict, to, m);
            queued += here;
            remote = shards;
            if beyond {
                let (there, shards) = self.go_beyond(verdict, From::client(id), m);
                queued += there;
                remote.0 |= shards.0;
            }
        }
        self.budget = self.budget.saturating_sub(1 + queued * weight(m));
        if queued == 0 && remote.is_empty() {
            if !self.keeps_back(verdict) {
                self.outbox.ledger.dropped(Drop::NoInterest, 1);
            }
            if !m.reply.is_empty() {
                self.no_responders(id, account, m);
            }
        }
        Reached { here: queued > 0, remote }
    }

    /// Counts those plain receivers of this server from whom a message is kept back; for the shard where it enters.
    pub(super) fn count_denied(&mut self, verdict: Slot) {
        let denied = self.verdicts.get(verdict).map_or(0, |v| v.denied);
        self.outbox.ledger.dropped(Drop::DeliveryDenied, u64::from(denied));
    }

    /// Gives a message to those plain receivers here who may answer it because they were given it, and counts those from whom
    /// it is kept back.
    #[inline(never)]
    fn deliver_guarded(&mut self, verdict: Slot, m: &Message<'_>, publisher: Option<ConnId>) -> u64 {
        self.count_denied(verdict);
        let Some(v) = self.verdicts.get(verdict) else { return 0 };
        let mut queued = 0;
        for t in &v.answering {
            let fate = match self.outbox.tracing.is_some() {
                false => self.outbox.deliver(t, v.head(t), m, publisher),
                true => self.outbox.deliver_traced(v.account, t, v.head(t), m, publisher),
            };
            if fate == Fate::Queued {
                self.outbox.may_answer(t.conn, m.reply);
                queued += 1;
            }
        }
        queued
    }

    /// Is a message of this verdict kept back from somebody who would be given it, had he the right to it?
    pub(super) fn keeps_back(&self, verdict: Slot) -> bool {
        self.verdicts.get(verdict).is_some_and(|v| v.denied > 0 || v.groups.iter().any(|g| g.denied > 0))
    }

    /// What a client of this shard publishes goes everywhere.
    pub(super) fn published(&self, account: u16, publisher: ConnId) -> Address {
        let (origin, home) = (Origin::Client, self.id);
        Address { account, plain: true, reaimed: false, origin, straight: None, home, publisher }
    }

    /// One member of each queue group, other shards, other servers. Says how many copies were queued here, and which other
    /// shards were reached.
    pub(super) fn spread_further(&mut self, verdict: Slot, to: Address, m: &Message<'_>) -> (u64, ShardSet) {
        let Some(v) = self.verdicts.get(verdict) else { return (0, ShardSet::EMPTY) };
        let mut queued = 0;
        self.away.clear();
        for (i, g) in v.groups.iter().enumerate() {
            let pick = g.pick(&mut self.rng, false);
            let own = Some(to.publisher);
            let given = pick.map(|pick| give(&mut self.outbox, &mut self.rng, v, g, pick, m, own, false));
            match (given, g.far) {
                (Some(Given::Taken), _) => queued += 1,
                (Some(Given::Elsewhere(place)), _) => self.away.push((place, i as u32)),
                // This cluster first, then the nearest that has a member.
                (Some(Given::Nobody) | None, Some(far)) if to.origin == Origin::Client => {
                    self.away.push((Place::Far(far), i as u32));
                }
                (Some(Given::Nobody) | None, _) => {
                    self.outbox.ledger.dropped(Drop::DeliveryDenied, u64::from(g.denied > 0))
                }
            }
        }
        if !v.held.is_empty() && to.origin == Origin::Client {
            self.outbox.crossings.held_back(&v.held, to.account);
        }
        if !v.nearer.is_empty() && to.origin == Origin::Client {
            // Where the members here did not take it, one there does after all.
            let mut nearer = v.nearer;
            for (place, _) in &self.away {
                if let Place::Far(far) = place {
                    nearer.remove(*far);
                }
            }
            self.outbox.crossings.served_nearer(nearer, to.account);
        }
        if self.outbox.tracing.is_some() {
            self.note_kept(verdict, to.origin);
        }
        let (routes, shards) = self.relay(verdict, to, m);
        (queued + routes, shards)
    }

    /// Tells a requester that nobody is there (client-protocol.md §10).
    #[cold]
    pub(super) fn no_responders(&mut self, id: ConnId, account: u16, m: &Message<'_>) {
        let asks = |s: &Shard| s.outbox.conns.get(id).is_some_and(|c| c.no_responders && c.headers);
        if !asks(self) {
            return;
        }
        let mut first: Option<Slot> = None;
        let subs = &self.outbox.subs;
        self.worlds[usize::from(account)].replica.matches(m.reply, |want| {
            let own = want.plain_here().filter(|s| subs.get(*s).is_some_and(|sub| sub.conn == id));
            first = own.chain(first).min();
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
