//! Who waits for whom. A publisher is paused only while *every* receiver of what it last sent is congested and still
//! taking bytes: a lone slow subscriber sets the pace, a stuck one never slows its neighbours (client-protocol.md §14
//! has nats-server's way, which this takes further).
//!
//! A shard on which every receiver is congested keeps a jam: who published, and who is being waited for. It tells the
//! publisher's shard (itself, without a ring), looks again every few milliseconds and says when it is over. The
//! publisher stands still while all the shards that its last message reached are jammed.
//!
//! A congested route is another matter: what feeds it stands still until it has room again, whatever the other receivers
//! do, so that nothing piles up for a peer that is slow; one that takes nothing in is given up within seconds. What feeds it
//! may be a link of another cluster: it is not read meanwhile, so that the other end waits, and slows its own feeders.

use super::batch::{Origin, Press};
use super::core::{Act, Shard};
use super::due::Due;
use super::jams::Jam;
use crate::base::{ConnId, ShardId, ShardSet, MILLISECOND, SECOND};

/// How often a jam is looked at: nats-server's pause (client-protocol.md §14).
const LOOK_NS: u64 = 2 * MILLISECOND;
/// A receiver that has taken no byte for so long is not waited for; it will run into its limit and be cut. Long
/// enough for a slow reader behind large socket buffers, which takes its bytes in gulps.
const PATIENCE_NS: u64 = SECOND;

impl Shard {
    /// After a message of connection `id` went to `reached`: is it to be paused?
    #[inline]
    pub(super) fn pace(&mut self, id: ConnId, reached: ShardSet) {
        let jammed = self.outbox.crowd.jammed();
        let Some(client) = self.outbox.conns.get_mut(id) else { return };
        client.reached = reached;
        if jammed {
            self.jam(self.id, id);
        } else if !client.pressed.is_empty() {
            self.pause_if_pressed(id);
        }
    }

    /// After a message that came over link `id` of another server: is it to be read no more for now? Another cluster's is not
    /// while a route that it feeds is congested. A member's always is: what comes over a route leaves this server no more,
    /// so that gateways wait for routes, and routes for nobody.
    #[inline]
    pub(super) fn pace_entry(&mut self, id: ConnId, origin: Origin) {
        if origin == Origin::Gateway && self.outbox.crowd.route.is_some() {
            self.jam(self.id, id);
        }
    }

    /// All receivers here of a message of `publisher` are congested, or a route that it went over is.
    #[cold]
    pub(super) fn jam(&mut self, shard: ShardId, publisher: ConnId) {
        if publisher == ConnId::NONE {
            return;
        }
        let route = self.outbox.crowd.route;
        let blockers = std::mem::take(&mut self.outbox.crowd.blockers);
        let jam = Jam { shard, publisher, route, blockers };
        let known = |j: &Jam| j.shard == shard && j.publisher == publisher && j.route.is_some() == route.is_some();
        if self.outbox.is_over(&jam) || self.jams.open.iter().any(known) {
            return;
        }
        let press = jam.press();
        self.jams.open.push(jam);
        if !self.jams.looking {
            self.jams.looking = true;
            self.wheel.add(self.now.mono.plus_ns(LOOK_NS), Due::Jams);
        }
        self.tell_pressure(shard, publisher, press);
    }

    /// Looks at all jams: those that are over are reported.
    pub(super) fn look_at_jams(&mut self) {
        let all = std::mem::take(&mut self.jams.open);
        let (over, open): (Vec<Jam>, Vec<Jam>) = all.into_iter().partition(|jam| self.outbox.is_over(jam));
        self.jams.open = open;
        for jam in over {
            self.tell_pressure(jam.shard, jam.publisher, Press::Off);
            // A publisher may wait here for its receivers and for a route: one of them is over.
            let same = |j: &&Jam| j.shard == jam.shard && j.publisher == jam.publisher;
            if let Some(press) = self.jams.open.iter().find(same).map(Jam::press) {
                self.tell_pressure(jam.shard, jam.publisher, press);
            }
        }
        self.jams.looking = !self.jams.open.is_empty();
        if self.jams.looking {
            self.wheel.add(self.now.mono.plus_ns(LOOK_NS), Due::Jams);
        }
    }

    fn tell_pressure(&mut self, shard: ShardId, publisher: ConnId, press: Press) {
        if shard == self.id {
            self.pressed(publisher, shard, press);
        } else {
            self.batches[shard.index()].pressure(publisher, press);
        }
    }

    /// A shard says what became of the receivers there of this connection's last messages.
    pub(super) fn pressed(&mut self, id: ConnId, by: ShardId, press: Press) {
        let Some(client) = self.outbox.conns.get_mut(id) else { return };
        match press {
            Press::All => client.pressed.insert(by),
            Press::Route => client.route_pressed.insert(by),
            Press::Off => {
                client.pressed.remove(by);
                client.route_pressed.remove(by);
            }
        }
        if press != Press::Off {
            return self.pause_if_pressed(id);
        }
        // Routes may be congested on several shards.
        if client.paused && !client.must_wait() {
            client.paused = false;
            self.acts.push_back(Act::Resume(id));
            self.wait(id);
        }
    }

    fn pause_if_pressed(&mut self, id: ConnId) {
        let Some(client) = self.outbox.conns.get_mut(id) else { return };
        if client.must_wait() && !client.paused && client.lives() {
            client.paused = true;
            client.counts.stalls += 1;
            self.outbox.ledger.stalled_clients += u64::from(client.is_client());
            self.acts.push_back(Act::Pause(id));
        }
    }
}

impl super::outbox::Outbox {
    /// Has the publisher waited long enough: is one of the receivers no longer to be waited for, or has the route room?
    /// A route is waited for until it has, or ends: whether its peer is there is decided elsewhere (`shard::routes`).
    fn is_over(&self, jam: &Jam) -> bool {
        match jam.route {
            Some(route) => !self.is_congested(route),
            None => jam.blockers.iter().any(|b| !self.worth_waiting_for(*b, PATIENCE_NS)),
        }
    }
}
