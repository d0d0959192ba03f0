//! Messages to one subject, one behind the other: what streams are made of. A connection remembers how the line of its
//! last message began ([`Memo`](crate::conn::Memo)); as long as the next begins in the same way, its subject, account
//! and verdict are known without another look. Called by the loop over a connection's operations; whatever is not that
//! simple is left to it.

use super::batch::{Address, Batch, Groups, Origin, SHARED_BYTES_MIN};
use super::core::Shard;
use super::ledger::Drop;
use super::outbox::{weight, Fate, Outbox};
use super::stretch::{look, Reach, Receivers};
use crate::base::limits::STRETCH_BYTES_MAX;
use crate::base::{ConnId, ShardId, ShardSet};
use crate::conn::Memo;
use crate::wire::{Message, Rules};

/// What such a run is delivered by.
struct Run {
    rules: Rules,
    /// Whose connection it is.
    origin: Origin,
}

/// What a run came to.
#[derive(Default)]
struct Came {
    bytes: usize,
    msgs: u64,
    payload: u64,
    /// Messages that nobody got.
    unheard: u64,
    /// The last one reached somebody on this shard.
    reached: bool,
    /// Other shards that all were told to.
    others: ShardSet,
}

impl Shard {
    /// Carries out the messages at the start of `data` that begin as the connection's last one did, while they concern
    /// nobody but plain receivers, the links that they may go to, and whoever has to be told without being picked. Says how
    /// many bytes that were.
    pub(super) fn repeat(&mut self, id: ConnId, data: &[u8]) -> usize {
        let now = self.now.mono;
        let payload_max = self.route_payload_max();
        let Some(client) = self.outbox.conns.get_mut(id).filter(|c| c.may_repeat()) else { return 0 };
        let origin = match (&client.route, &client.gateway) {
            (Some(_), _) => Origin::Route,
            (None, Some(_)) => Origin::Gateway,
            (None, None) => Origin::Client,
        };
        let rules = match origin {
            Origin::Client => client.rules,
            _ => Rules { max_payload: payload_max, ..client.rules },
        };
        let run = Run { rules, origin };
        // Lent, so that receivers can be looked at meanwhile; nothing else asks for it before it is given back.
        let memo = std::mem::replace(&mut client.memo, Memo::NOTHING);
        let came = self.deliver_run(id, &run, &memo, data);
        if let Some(client) = self.outbox.conns.get_mut(id) {
            client.memo = memo;
            client.counts.in_msgs += came.msgs;
            client.counts.in_bytes += came.payload;
            if came.msgs > 0 {
                client.health.active_at = now;
            }
        }
        if came.unheard > 0 {
            let account = self.outbox.conns.get(id).map_or(0, |c| c.account);
            let reason = if origin == Origin::Route { Drop::ReceiverLeft } else { Drop::NoInterest };
            self.dropped_on_entry(id, account, reason, came.unheard);
        }
        if came.msgs > 0 && (!came.others.is_empty() || self.outbox.crowd.jammed()) {
            match origin {
                Origin::Client => self.pace(id, came.shards(self.id)),
                _ => self.pace_entry(id, origin),
            }
        }
        if self.outbox.unsettled() {
            self.settle();
        }
        came.bytes
    }

    fn deliver_run(&mut self, id: ConnId, run: &Run, memo: &Memo, data: &[u8]) -> Came {
        let mut came = Came::default();
        let Some(v) = self.verdicts.get(memo.verdict) else { return came };
        let subject = memo.subject();
        // As Verdict::shards, in one match with the rest: asked apart it costs each message six instructions more.
        let (mut others, simple) = match run.origin {
            Origin::Client => (v.remote, v.groups.is_empty() && v.held.is_empty()),
            Origin::Route => (v.clients, true),
            Origin::Gateway => (v.near, true),
        };
        if !simple || !v.is_unguarded() {
            return came;
        }
        others.remove(self.id);
        let publisher = (run.origin == Origin::Client).then_some(id);
        let to = Receivers::of(v, run.origin, publisher);
        // Nobody waits for what came over a route.
        let waits = if run.origin == Origin::Route { ConnId::NONE } else { id };
        let address = Address { origin: run.origin, ..self.published(v.account, waits) };
        let mut tails = std::mem::take(&mut self.tails);
        'run: while self.budget > 0 && !self.crammed {
            let rest = &data[came.bytes..];
            let reach = self.reach(to.len(), others);
            let stretch = look(&mut tails, rest, (&memo.line, subject), &run.rules, reach);
            if stretch.len() == 0 {
                break;
            }
            if self.outbox.takes_stretch(&to, &stretch) {
                let queued = self.outbox.deliver_stretch(&to, &stretch);
                self.crammed |= tell(&mut self.batches, self.batch_bytes_max, others, |b| {
                    b.stretch(address, subject, &stretch);
                });
                came.add(stretch.len(), stretch.payload(), stretch.data().len(), queued, others);
                self.budget = self.budget.saturating_sub(stretch.cost(queued));
                continue;
            }
            let before = came.bytes;
            for (m, end) in stretch.messages() {
                let queued = self.outbox.deliver_to_all(&to, &m);
                self.crammed |= tell(&mut self.batches, self.batch_bytes_max, others, |b| {
                    b.message(address, &Groups::default(), &m, None, None);
                });
                came.add(1, m.size as u64, before + end - came.bytes, queued, others);
                self.budget = self.budget.saturating_sub(1 + queued * weight(&m));
                if self.outbox.unsettled() || self.outbox.crowd.jammed() {
                    break 'run;
                }
            }
        }
        self.tails = tails;
        came
    }

    /// What a stretch may come to that goes to so many here, and to these shards.
    fn reach(&self, receivers: u64, others: ShardSet) -> Reach {
        let left = |shard: ShardId| self.batch_bytes_max.saturating_sub(self.batches[shard.index()].bytes());
        let bytes = others.iter().map(left).fold(STRETCH_BYTES_MAX, usize::min);
        // What is longer travels as a shared allocation.
        let tail = if others.is_empty() { usize::MAX } else { SHARED_BYTES_MIN - 1 };
        Reach { receivers, budget: self.budget, bytes, tail }
    }
}

/// Adds something to the batches of some shards. Says whether one of them is full by that.
fn tell(batches: &mut [Batch], full: usize, to: ShardSet, what: impl Fn(&mut Batch)) -> bool {
    let mut crammed = false;
    for shard in to.iter() {
        let batch = &mut batches[shard.index()];
        what(batch);
        crammed |= batch.bytes() >= full;
    }
    crammed
}

impl Came {
    /// So many messages, each queued for so many here and told to these shards.
    fn add(&mut self, msgs: u64, payload: u64, bytes: usize, queued: u64, others: ShardSet) {
        self.bytes += bytes;
        self.msgs += msgs;
        self.payload += payload;
        self.unheard += if queued == 0 && others.is_empty() { msgs } else { 0 };
        self.reached = queued > 0;
        self.others = others;
    }

    /// All shards that the last one reached; `own` is this one.
    fn shards(&self, own: ShardId) -> ShardSet {
        let here = if self.reached { ShardSet::of(own) } else { ShardSet::EMPTY };
        ShardSet(self.others.0 | here.0)
    }
}

impl Outbox {
    /// Queues a message for everybody. Says for how many it was.
    fn deliver_to_all(&mut self, to: &Receivers<'_>, m: &Message<'_>) -> u64 {
        let v = to.verdict;
        self.next_message();
        let mut queued = 0;
        for t in &v.plain {
            queued += u64::from(self.deliver(t, v.head(t), m, to.publisher) == Fate::Queued);
        }
        for link in to.links {
            let fate = self.deliver_over_link(link.conn, &v.names, m, true, std::iter::empty());
            queued += u64::from(fate == Fate::Queued);
        }
        for gate in to.gates {
            let fate = self.deliver_over_link(gate.conn, &v.names, m, true, std::iter::empty());
            queued += u64::from(self.crossed(gate, v.account, fate));
        }
        queued
    }
}
