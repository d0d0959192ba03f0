//! Who waits for whom. A publisher is paused only while *every* receiver of what it last sent is congested and still
//! taking bytes: a lone slow subscriber sets the pace, a stuck one never slows its neighbours (client-protocol.md §14
//! has nats-server's way, which this takes further).
//!
//! A shard on which every receiver is congested keeps a jam: who published, and who is being waited for. It tells the
//! publisher's shard (itself, without a ring), looks again every few milliseconds and says when it is over. The
//! publisher stands still while all the shards that its last message reached are jammed.

use super::core::{Act, Shard};
use super::tick::Due;
use crate::base::{ConnId, ShardId, ShardSet, MILLISECOND, SECOND};

/// How often a jam is looked at: nats-server's pause (client-protocol.md §14).
const LOOK_NS: u64 = 2 * MILLISECOND;
/// A receiver that has taken no byte for so long is not waited for; it will run into its limit and be cut. Long
/// enough for a slow reader behind large socket buffers, which takes its bytes in gulps.
pub(super) const PATIENCE_NS: u64 = SECOND;

/// One publisher that is waiting.
#[derive(Debug)]
struct Jam {
    shard: ShardId,
    publisher: ConnId,
    /// Any one of them being free ends the jam.
    blockers: Vec<ConnId>,
}

/// All jams of a shard.
#[derive(Debug, Default)]
pub(super) struct Jams {
    open: Vec<Jam>,
    looking: bool,
}

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

    /// All receivers here of a message of `publisher` are congested.
    #[cold]
    pub(super) fn jam(&mut self, shard: ShardId, publisher: ConnId) {
        let blockers = std::mem::take(&mut self.outbox.crowd.blockers);
        if self.outbox.any_free(&blockers)
            || self.jams.open.iter().any(|j| j.shard == shard && j.publisher == publisher)
        {
            return;
        }
        self.jams.open.push(Jam { shard, publisher, blockers });
        if !self.jams.looking {
            self.jams.looking = true;
            self.wheel.add(self.now.mono.plus_ns(LOOK_NS), Due::Jams);
        }
        self.tell_pressure(shard, publisher, true);
    }

    /// Looks at all jams: those that are over are reported.
    pub(super) fn look_at_jams(&mut self) {
        let open = std::mem::take(&mut self.jams.open);
        for jam in open {
            if self.outbox.any_free(&jam.blockers) {
                self.tell_pressure(jam.shard, jam.publisher, false);
            } else {
                self.jams.open.push(jam);
            }
        }
        self.jams.looking = !self.jams.open.is_empty();
        if self.jams.looking {
            self.wheel.add(self.now.mono.plus_ns(LOOK_NS), Due::Jams);
        }
    }

    fn tell_pressure(&mut self, shard: ShardId, publisher: ConnId, on: bool) {
        if shard == self.id {
            self.pressed(publisher, shard, on);
        } else {
            self.batches[shard.index()].pressure(publisher, on);
        }
    }

    /// A shard says that all it got from this connection waits for slow receivers, or no longer does.
    pub(super) fn pressed(&mut self, id: ConnId, by: ShardId, on: bool) {
        let Some(client) = self.outbox.conns.get_mut(id) else { return };
        if on {
            client.pressed.insert(by);
            self.pause_if_pressed(id);
            return;
        }
        client.pressed.remove(by);
        if client.paused {
            client.paused = false;
            self.acts.push_back(Act::Resume(id));
            self.wait(id);
        }
    }

    fn pause_if_pressed(&mut self, id: ConnId) {
        let Some(client) = self.outbox.conns.get_mut(id) else { return };
        let everywhere = !client.reached.is_empty() && client.reached.0 & !client.pressed.0 == 0;
        if everywhere && !client.paused && client.lives() {
            client.paused = true;
            client.counts.stalls += 1;
            self.outbox.ledger.stalled_clients += 1;
            self.acts.push_back(Act::Pause(id));
        }
    }
}

impl super::outbox::Outbox {
    /// Is one of these no longer to be waited for?
    fn any_free(&self, blockers: &[ConnId]) -> bool {
        blockers.iter().any(|b| !self.worth_waiting_for(*b, PATIENCE_NS))
    }
}
