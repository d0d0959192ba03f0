//! Messages to one subject, one behind the other: what streams are made of. A connection remembers how the line of its
//! last message began ([`Memo`](crate::conn::Memo)); as long as the next begins in the same way, its subject, account
//! and verdict are known without another look. Called by the loop over a connection's operations; whatever is not that
//! simple is left to it.

use super::batch::Origin;
use super::core::Shard;
use super::ledger::Drop;
use super::outbox::{weight, Fate, Outbox};
use super::stretch::Receivers;
use crate::base::{ConnId, ShardSet};
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
    /// The last one reached somebody.
    reached: bool,
}

impl Shard {
    /// Carries out the messages at the start of `data` that begin as the connection's last one did, while they concern
    /// nobody but plain receivers of this shard and the links of it that they may go to. Says how many bytes that
    /// were.
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
        if came.msgs > 0 && self.outbox.crowd.jammed() {
            match origin {
                Origin::Client => self.pace(id, if came.reached { ShardSet::of(self.id) } else { ShardSet::EMPTY }),
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
        let (links, gates, simple) = match run.origin {
            Origin::Client => {
                let simple = v.groups.is_empty() && v.remote.is_empty() && v.held.is_empty() && v.is_unguarded();
                (&v.links[..], &v.gates[..], simple)
            }
            Origin::Route => (&[][..], &[][..], v.clients.is_empty() && v.is_unguarded()),
            Origin::Gateway => (&v.links[..], &[][..], v.near.is_empty() && v.is_unguarded()),
        };
        let publisher = (run.origin == Origin::Client).then_some(id);
        if !simple {
            return came;
        }
        let to = Receivers { verdict: v, links, gates, publisher };
        let mut stretch = std::mem::take(&mut self.stretch);
        'run: while self.budget > 0 {
            let rest = &data[came.bytes..];
            stretch.look(rest, &memo.line, subject, &run.rules, to.len(), self.budget);
            if stretch.len() == 0 {
                break;
            }
            if self.outbox.takes_stretch(&to, &stretch) {
                let queued = self.outbox.deliver_stretch(&to, &stretch, rest);
                came.add(stretch.len(), stretch.payload(), stretch.bytes(), queued);
                self.budget = self.budget.saturating_sub(stretch.cost(queued));
                continue;
            }
            for (m, used) in stretch.messages(rest, subject) {
                let queued = self.outbox.deliver_to_all(&to, &m);
                came.add(1, m.size as u64, used, queued);
                self.budget = self.budget.saturating_sub(1 + queued * weight(&m));
                if self.outbox.unsettled() || self.outbox.crowd.jammed() {
                    break 'run;
                }
            }
        }
        self.stretch = stretch;
        came
    }
}

impl Came {
    /// So many messages, each queued for so many.
    fn add(&mut self, msgs: u64, payload: u64, bytes: usize, queued: u64) {
        self.bytes += bytes;
        self.msgs += msgs;
        self.payload += payload;
        self.unheard += if queued == 0 { msgs } else { 0 };
        self.reached = queued > 0;
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
