//! What other shards say, and what follows from it on this one.

use super::asked::is_answer;
use super::batch::{Address, Batch, Bookmark, Delivery, Origin, Said, Stream, Whose};
use super::core::{Shard, Work};
use super::ledger::Drop;
use super::outbox::weight;
use super::relay::{give, Given};
use super::replies::way_back;
use super::stretch::{Reach, Receivers, Stretch};
use super::verdict::Pick;
use crate::base::limits::STRETCH_BYTES_MAX;
use crate::base::{ShardId, Slot};
use crate::wire::Message;

impl Shard {
    /// Takes in what a batch states. Its messages wait until every ring is heard: one of them may have to follow a queue
    /// member who left to another, of whom a third shard said before it was published that he is there.
    pub(super) fn hear(&mut self, from: ShardId, batch: Batch) {
        if batch.states() {
            batch.iter(0).for_each(|said| self.learn(from, &said));
        }
        match batch.messages() {
            0 => self.heard.push_back((from, batch)),
            _ => self.fresh.push((from, batch)),
        }
    }

    /// Every ring is heard: delivers the messages, as far as this turn's budget goes.
    pub(super) fn deliver_heard(&mut self) {
        let mut fresh = std::mem::take(&mut self.fresh);
        for (from, batch) in fresh.drain(..) {
            match self.held {
                0 => self.listen(from, batch, Bookmark::default()),
                _ => self.hold(from, batch, Bookmark::default()),
            }
        }
        self.fresh = fresh;
    }

    /// Goes through a batch's messages from `at` on; what it states was taken in before.
    pub(super) fn listen(&mut self, from: ShardId, batch: Batch, at: Bookmark) {
        let (mut stopped, mut message) = (None, at.message);
        for (item, said) in (at.item..).zip(batch.iter(at.item)) {
            match &said {
                Said::Message(_) | Said::Stream(_) if self.budget == 0 => {
                    stopped = Some(Bookmark { item, message });
                    break;
                }
                Said::Message(d) => {
                    if let Some(mark) = d.mark {
                        self.go_on_tracing(mark, d.account, d.message.subject);
                    }
                    self.receive(d);
                    if d.mark.is_some() {
                        self.end_trace();
                    }
                }
                Said::Stream(s) => {
                    let next = self.receive_stream(s, std::mem::take(&mut message));
                    if next < s.tails.len() {
                        stopped = Some(Bookmark { item, message: next });
                        break;
                    }
                }
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
    fn hold(&mut self, from: ShardId, batch: Batch, at: Bookmark) {
        self.held += 1;
        let work = Work::Batch(from, batch, at);
        if at == Bookmark::default() {
            self.waiting.push_back(work);
        } else {
            self.waiting.push_front(work);
        }
    }

    /// Takes in a statement.
    fn learn(&mut self, from: ShardId, said: &Said<'_>) {
        match *said {
            Said::Interest { account, pattern, queue, guard, n } => {
                let world = &mut self.worlds[usize::from(account)];
                if let Some(news) = world.replica.stated(from, pattern, queue, guard, n) {
                    self.verdicts.changed(account, pattern);
                    self.edge(account, pattern, queue, news);
                    if news.after > 0 {
                        self.note_recent(account, pattern);
                    }
                }
            }
            Said::PeerInterest { account, peer, pattern, queue, n } => {
                let replica = &mut self.worlds[usize::from(account)].replica;
                if let Some(news) = replica.peer_stated(peer, pattern, queue, n) {
                    self.verdicts.changed(account, pattern);
                    self.wide_edge(account, pattern, queue, news.wide_before, news.wide_after);
                }
            }
            Said::Route { peer, up } => self.route_elsewhere(peer, up.map(|hash| (from, hash))),
            Said::Gate { far, up, cluster } => self.gate_elsewhere(far, from, up, cluster),
            Said::Measured { far, rtt_ns } => self.far_measured(far, rtt_ns),
            Said::Rules { far, said, rules } => self.note_their_rules(far, said, rules.clone()),
            Said::Accounts { names } => self.know_accounts(names),
            Said::Far { account, far, said } => drop(self.far_said(account, far, said)),
            Said::Connections { account, all } => {
                self.worlds[usize::from(account)].elsewhere[from.index()] = all;
                self.thin(account);
            }
            Said::Pressure { conn, press } => self.pressed(conn, from, press),
            Said::Message(_) | Said::Stream(_) => {}
        }
    }

    /// A message that crossed from another shard: for this shard's clients, and, if it may go there from where it came, for
    /// the servers whose links are here.
    fn receive(&mut self, d: &Delivery<'_>) {
        let Delivery { account, plain, reaimed, origin, straight, home, publisher, .. } = *d;
        let to = Address { account, plain, reaimed, origin, straight, home, publisher };
        self.outbox.next_message();
        if let Some(place) = straight {
            self.straight_from_here(place, to, &d.message);
            self.budget = self.budget.saturating_sub(weight(&d.message));
            if self.outbox.crowd.jammed() {
                self.jam(home, publisher);
            }
            return self.settle();
        }
        let key = self.verdict(d.account, d.message.subject);
        let mut queued = if plain { self.deliver_plain(key, &d.message, origin) } else { 0 };
        for (whose, name) in d.queues() {
            match whose {
                Whose::Clients => queued += u64::from(self.receive_for_group(key, name, to, &d.message)),
                Whose::Peer(p) if self.is_member_here(key, p, name) => {} // below, with the peer's other groups
                Whose::Far(f) if self.is_far_member_here(key, f, name) => {}
                Whose::Peer(_) | Whose::Far(_) => self.aim_again(key, name, to, &d.message),
            }
        }
        queued += self.over_links(key, to, d.groups(), &d.message);
        if plain && is_answer(d.message.subject) {
            queued += self.hear_if_answer(key, account, &d.message);
        }
        if plain && queued == 0 {
            self.outbox.ledger.dropped(Drop::ReceiverLeft, 1);
        }
        self.budget = self.budget.saturating_sub(queued * weight(&d.message));
        // Nobody waits for a message that was sent on: its publisher does not count this shard among those it reached. What
        // came by a gateway waits for routes alone, and what came over a route for nobody (`shard::pace`).
        let waits = match origin {
            Origin::Client => self.outbox.crowd.jammed(),
            Origin::Gateway => self.outbox.crowd.route.is_some(),
            Origin::Route => false,
        };
        if waits && !reaimed {
            self.jam(home, publisher);
        }
        self.settle();
    }

    /// Messages of a stream that crossed from another shard, from the `at`-th on. Says with which to go on in the next turn.
    fn receive_stream(&mut self, s: &Stream<'_>, mut at: usize) -> usize {
        while at < s.tails.len() && self.budget > 0 {
            let end = match self.receive_stretch(s, at) {
                Ok(n) => {
                    at += n;
                    continue;
                }
                Err(n) => at + n,
            };
            while at < end && self.budget > 0 {
                self.receive(&s.delivery(at));
                at += 1;
            }
        }
        at
    }

    /// Delivers some of its messages in one go, if that comes to what it comes to message by message. Says how many.
    ///
    /// # Errors
    /// So many have to go message by message.
    fn receive_stretch(&mut self, s: &Stream<'_>, at: usize) -> Result<usize, usize> {
        let key = self.verdict(s.to.account, s.subject);
        let Some(v) = self.verdicts.get(key).filter(|v| v.is_unguarded()) else { return Err(s.tails.len() - at) };
        let to = Receivers::of(v, s.to.origin, None);
        let reach = Reach { receivers: to.len(), budget: self.budget, bytes: STRETCH_BYTES_MAX, tail: usize::MAX };
        let stretch = Stretch::begin(s.subject, s.data, &s.tails[at..], reach);
        let n = stretch.tails().len();
        if !self.outbox.takes_stretch(&to, &stretch) {
            return Err(n);
        }
        let queued = self.outbox.deliver_stretch(&to, &stretch);
        self.budget = self.budget.saturating_sub(stretch.cost(queued));
        if queued == 0 && !self.keeps_back(key) {
            self.outbox.ledger.dropped(Drop::ReceiverLeft, n as u64);
        }
        Ok(n)
    }

    /// Gives the message to one member of a queue group here, or sends it after those who left.
    pub(super) fn receive_for_group(&mut self, key: Slot, name: &[u8], to: Address, m: &Message<'_>) -> bool {
        let Some(v) = self.verdicts.get(key) else { return false };
        let Some(g) = v.groups.iter().find(|g| *g.name == *name) else {
            self.outbox.ledger.dropped(Drop::QueueMemberLeft, 1);
            return false;
        };
        let first = Pick::Local(self.rng.below(g.local.len().max(1) as u64) as usize);
        // Sent on, it may come back to where it was published, and its publisher may not want its own.
        let own = (to.home == self.id && to.origin == Origin::Client).then_some(to.publisher);
        let (way, seen) = way_back(to.origin, m);
        self.outbox.answering = way;
        let given = give(&mut self.outbox, &mut self.rng, v, g, first, &seen, own, to.origin == Origin::Route);
        self.outbox.answering = None;
        if given != Given::Taken {
            self.aim_again(key, name, to, m);
        }
        given == Given::Taken
    }
}
