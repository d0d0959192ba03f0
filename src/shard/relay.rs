//! How a message leaves the receivers of this shard: to the queue member that was picked, to other shards, over routes.

use super::batch::{picks, Address, Origin, Whose, SHARED_BYTES_MIN};
use super::core::Shard;
use super::ledger::Drop;
use super::outbox::{Fate, Outbox};
use super::peers::At;
use super::traced::What;
use super::verdict::{Group, Pick, Verdict};
use crate::base::{ConnId, PeerId, PeerSet, Rng, ShardId, ShardSet, Slot};
use crate::interest::Place;
use crate::wire::Message;
use bytes::Bytes;

/// What became of a queue group's message on this shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Given {
    /// A member here has it.
    Taken,
    /// It is for a member there.
    Elsewhere(Place),
    /// There is no member (any more).
    Nobody,
}

/// Gives a message to the member picked, or, if that one cannot take it, to the next one here, or names a place
/// elsewhere. `own`: the publisher, if it is one of this shard's connections.
#[allow(clippy::too_many_arguments, reason = "the parts of a shard that a delivery touches, lent apart")]
pub(super) fn give(
    outbox: &mut Outbox,
    rng: &mut Rng,
    v: &Verdict,
    g: &Group,
    pick: Pick,
    m: &Message<'_>,
    own: Option<ConnId>,
    here_only: bool,
) -> Given {
    let first = match pick {
        Pick::Remote(place) => return Given::Elsewhere(place),
        Pick::Local(first) => first,
    };
    if outbox.deliver_to_one(v, g, first, m, own) {
        return Given::Taken;
    }
    g.pick_elsewhere(rng, here_only, PeerSet::EMPTY).map_or(Given::Nobody, Given::Elsewhere)
}

impl Shard {
    /// Sends a message on: to the other shards of its verdict, over the routes and gateways of this one, and to where the
    /// members are that `self.away` names. Says how many links of this shard took it, and which other shards it goes to.
    pub(super) fn relay(&mut self, verdict: Slot, to: Address, m: &Message<'_>) -> (u64, ShardSet) {
        let Some(v) = self.verdicts.get(verdict) else { return (0, ShardSet::EMPTY) };
        let plain = match to.origin {
            _ if !to.plain => ShardSet::EMPTY,
            origin => v.shards(origin),
        };
        let mut reached = plain;
        for (place, _) in &self.away {
            if let Some(shard) = self.shard_of(*place) {
                reached.insert(shard);
            }
        }
        reached.remove(self.id);
        let mut shared = None;
        for shard in reached.iter() {
            self.name_groups(verdict, shard);
            self.put(shard, Address { plain: plain.contains(shard), ..to }, m, &mut shared);
        }
        self.name_groups(verdict, self.id);
        let groups = std::mem::take(&mut self.groups);
        let took = self.over_links(verdict, to, groups.bytes(), m);
        self.groups = groups;
        (took, reached)
    }

    /// The shard behind which a place is.
    pub(super) fn shard_of(&self, place: Place) -> Option<ShardId> {
        match place {
            Place::Shard(s) => Some(s),
            Place::Peer(_) | Place::Far(_) => match self.link_to(place)? {
                At::Here(_) => Some(self.id),
                At::There(s) => Some(s),
            },
        }
    }

    /// The link to another server or cluster.
    pub(super) fn link_to(&self, place: Place) -> Option<At> {
        match place {
            Place::Shard(_) => None,
            Place::Peer(p) => self.peers.place(p),
            Place::Far(f) => self.gates.place(f),
        }
    }

    /// Lists in `self.groups` what of `self.away` is for this shard.
    #[inline]
    fn name_groups(&mut self, verdict: Slot, shard: ShardId) {
        self.groups.clear();
        if self.away.is_empty() {
            return;
        }
        let Some(v) = self.verdicts.get(verdict) else { return };
        for (place, group) in &self.away {
            if self.shard_of(*place) == Some(shard) {
                let whose = match place {
                    Place::Shard(_) => Whose::Clients,
                    Place::Peer(p) => Whose::Peer(*p),
                    Place::Far(f) => Whose::Far(*f),
                };
                self.groups.push(whose, &v.groups[*group as usize].name);
            }
        }
    }

    /// Puts a message into the batch of another shard, for `self.groups` and as `to` says. `shared` is its tail as a
    /// shared allocation, once one was made.
    pub(super) fn put(&mut self, shard: ShardId, to: Address, m: &Message<'_>, shared: &mut Option<Bytes>) {
        if m.tail.len() >= SHARED_BYTES_MIN && shared.is_none() {
            *shared = Some(Bytes::copy_from_slice(m.tail));
        }
        let mark = self.outbox.tracing.as_deref_mut().map(|t| t.sent_to_shard(shard));
        let batch = &mut self.batches[shard.index()];
        batch.message(to, &self.groups, m, shared.as_ref(), mark);
        if batch.bytes() >= self.batch_bytes_max {
            self.crammed = true;
        }
    }

    /// Writes a message to the links of this shard that it may go to from where it came. Says how many took it.
    pub(super) fn over_links(&mut self, verdict: Slot, to: Address, groups: &[u8], m: &Message<'_>) -> u64 {
        match to.origin {
            Origin::Route => 0,
            Origin::Gateway => self.over_routes(verdict, to, groups, m),
            Origin::Client => self.over_routes(verdict, to, groups, m) + self.over_gateways(verdict, to, groups, m),
        }
    }

    /// Writes a message to the routes of this shard: once to each peer that wants it plain or of which a queue member was
    /// picked, its groups named (cluster-protocol.md §3.13). Says how many took it.
    pub(super) fn over_routes(&mut self, verdict: Slot, to: Address, groups: &[u8], m: &Message<'_>) -> u64 {
        let Some(v) = self.verdicts.get(verdict) else { return 0 };
        let (mut took, mut done) = (0, PeerSet::EMPTY);
        let named = |peer: PeerId| picks(groups).filter_map(move |(p, name)| (p == Whose::Peer(peer)).then_some(name));
        if to.plain {
            for link in &v.links {
                done.insert(link.peer);
                let fate = self.outbox.deliver_over_link(link.conn, &v.names, m, true, named(link.peer));
                took += u64::from(fate == Fate::Queued);
            }
        }
        for (whose, _) in picks(groups) {
            let Whose::Peer(peer) = whose else { continue };
            if done.contains(peer) {
                continue;
            }
            if let Some(At::Here(conn)) = self.peers.place(peer) {
                done.insert(peer);
                let fate = self.outbox.deliver_over_link(conn, &v.names, m, false, named(peer));
                took += u64::from(fate == Fate::Queued);
            }
        }
        took
    }

    /// Is there a member of this group behind the peer's route, and is that on this shard?
    pub(super) fn is_member_here(&self, verdict: Slot, peer: PeerId, name: &[u8]) -> bool {
        let group = self.verdicts.get(verdict).and_then(|v| v.groups.iter().find(|g| *g.name == *name));
        group.is_some_and(|g| g.remote.iter().any(|(p, _)| *p == Place::Peer(peer)))
            && matches!(self.peers.place(peer), Some(At::Here(_)))
    }

    /// A message for a member of queue group `name` that left while it was on its way here: one elsewhere gets it, unless
    /// that was tried before.
    pub(super) fn aim_again(&mut self, verdict: Slot, name: &[u8], to: Address, m: &Message<'_>) {
        let at = self.verdicts.get(verdict).and_then(|v| v.groups.iter().position(|g| *g.name == *name));
        let elsewhere = match (at, to.reaimed) {
            (Some(at), false) => {
                let v = self.verdicts.get(verdict);
                let (here_only, may_cross) = (to.origin == Origin::Route, to.origin == Origin::Client);
                let place = v.and_then(|v| {
                    let g = &v.groups[at];
                    // A cluster that is sent the message plain has it already: named again it would deliver it twice.
                    let far = || g.far.filter(|f| may_cross && !v.fars.contains(*f)).map(Place::Far);
                    g.pick_elsewhere(&mut self.rng, here_only, v.peers).or_else(far)
                });
                place.map(|p| (p, at as u32))
            }
            _ => None,
        };
        let Some(away) = elsewhere else {
            let v = self.verdicts.get(verdict);
            let denied = v.zip(at).is_some_and(|(v, at)| v.groups[at].denied > 0);
            let why = if denied { Drop::DeliveryDenied } else { Drop::QueueMemberLeft };
            self.outbox.ledger.dropped(why, 1);
            self.note(|| What::Kept { why: why.name(), whom: name.into(), receivers: 1 });
            return;
        };
        self.away.clear();
        self.away.push(away);
        self.relay(verdict, Address { plain: false, reaimed: true, ..to }, m);
    }
}
