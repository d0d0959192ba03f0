//! What other shards say, and what follows from it on this one.

use super::batch::{Address, Batch, Delivery, Said};
use super::core::{Shard, Work};
use super::ledger::Drop;
use super::outbox::Fate;
use crate::base::{ShardId, ShardSet, Slot};

impl Shard {
    /// Takes in a batch: what it states at once, its messages as far as this turn's budget goes.
    pub(super) fn hear(&mut self, from: ShardId, batch: Batch) {
        match self.held {
            0 => self.listen(from, batch, 0, true),
            _ => {
                batch.iter(0).for_each(|said| self.learn(from, &said));
                self.hold(from, batch, 0);
            }
        }
    }

    /// Goes through a batch from `at` on; `states` says whether its statements are news or were taken in before.
    pub(super) fn listen(&mut self, from: ShardId, batch: Batch, at: usize, states: bool) {
        let mut stopped = None;
        for (i, said) in batch.iter(at).enumerate() {
            match &said {
                Said::Message(d) if stopped.is_none() => {
                    if self.budget == 0 {
                        stopped = Some(at + i);
                    } else {
                        self.receive(d);
                    }
                }
                said if states => self.learn(from, said),
                _ => {}
            }
        }
        match stopped {
            Some(at) => self.hold(from, batch, at),
            None => self.heard.push_back((from, batch)),
        }
    }

    /// Keeps a batch whose messages from `at` on do not fit into this turn; before all others of its kind if it was
    /// the first of them.
    fn hold(&mut self, from: ShardId, batch: Batch, at: usize) {
        self.held += 1;
        let work = Work::Batch(from, batch, at);
        match at {
            0 => self.waiting.push_back(work),
            _ => self.waiting.push_front(work),
        }
    }

    /// Takes in a statement.
    fn learn(&mut self, from: ShardId, said: &Said<'_>) {
        match *said {
            Said::Interest { account, pattern, queue, n } => {
                let world = &mut self.worlds[usize::from(account)];
                if world.replica.stated(from, pattern, queue, n) {
                    self.verdicts.changed(account, pattern);
                }
            }
            Said::Connections { account, n } => {
                self.worlds[usize::from(account)].elsewhere[from.index()] = n;
            }
            Said::Pressure { conn, on } => self.pressed(conn, from, on),
            Said::Message(_) => {}
        }
    }

    /// A message that crossed from another shard: for this shard's clients only.
    fn receive(&mut self, d: &Delivery<'_>) {
        let key = self.verdict(d.account, d.message.subject);
        self.outbox.next_message();
        let Some(v) = self.verdicts.get(key) else { return };
        let mut queued = 0u64;
        if d.plain {
            for t in &v.plain {
                queued += u64::from(self.outbox.deliver(t, v.head(t), &d.message, None) == Fate::Queued);
            }
            if queued == 0 {
                self.outbox.ledger.dropped(Drop::ReceiverLeft, 1);
            }
        }
        for name in d.queues() {
            queued += u64::from(self.receive_for_group(d, key, name));
        }
        self.budget = self.budget.saturating_sub(queued);
        // Nobody waits for a message that was sent on: its publisher does not count this shard among those it reached.
        if self.outbox.crowd.jammed() && !d.reaimed {
            self.jam(d.home, d.publisher);
        }
        self.settle();
    }

    /// Gives the message to one member of a queue group here, or sends it after those who left, once. The verdict
    /// lasts for all groups of the message: what a delivery ends is ended when all are served.
    fn receive_for_group(&mut self, d: &Delivery<'_>, verdict: Slot, name: &[u8]) -> bool {
        let Some(v) = self.verdicts.get(verdict) else { return false };
        let group = v.groups.iter().find(|g| *g.name == *name);
        if let Some(g) = group {
            // Sent on, it may come back to where it was published, and its publisher may not want its own.
            let own = (d.home == self.id).then_some(d.publisher);
            let first = self.rng.below(g.local.len() as u64) as usize;
            if self.outbox.deliver_to_one(v, g, first, &d.message, own) {
                return true;
            }
        }
        let elsewhere = group.filter(|_| !d.reaimed).and_then(|g| g.pick_elsewhere(&mut self.rng));
        let Some(shard) = elsewhere else {
            self.outbox.ledger.dropped(Drop::QueueMemberLeft, 1);
            return false;
        };
        self.groups.clear();
        self.groups.push(name);
        let Delivery { account, home, publisher, .. } = *d;
        let to = Address { account, plain: false, reaimed: true, home, publisher };
        self.send(ShardSet::of(shard), to, &d.message);
        false
    }
}
