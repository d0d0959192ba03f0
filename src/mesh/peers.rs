//! Who there are routes to, by number and by server id. One per mesh.

use super::speech::Hello;
use crate::base::limits::PEERS_MAX;
use crate::base::{Cid, PeerId, ShardId, ShardSet, Time};
use crate::conn::RouteNews;
use crate::policy::RouteLogin;
use std::collections::BTreeMap;

/// A member as a peer names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Named {
    pub name: String,
    pub address: String,
    /// The peer cannot say that it lost this member (a nats-server), and since it named it our own route there ended: it
    /// may be gone for everybody.
    pub doubtful: bool,
}

/// What a peer is asked to prove that it is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Probe {
    /// Another connection to the same server came.
    Newcomer,
    /// Another server with the same name came.
    Namesake(PeerId),
}

/// One registered route.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    pub hello: Hello,
    /// `host:port` of its route listener; of its socket, if it named no listener.
    pub address: String,
    /// It named a listener.
    pub dialable: bool,
    /// Where its socket is.
    pub ip: String,
    /// What it presented when it called us; `None`: we called it.
    pub presented: Option<RouteLogin>,
    pub rid: Cid,
    pub shard: ShardId,
    pub since: Time,
    pub dialed: bool,
    /// It is in our list of routes.
    pub configured: bool,
    /// `gossip_mode` of the INFO that made us dial it.
    pub mode: i64,
    /// Whom it reaches, by server id.
    pub reaches: BTreeMap<String, Named>,
    /// It named more than is remembered, and that was said.
    pub overlooked: bool,
    /// It has said what all of its clients want.
    pub told: bool,
    /// It said whether we are in its list.
    pub lists_us: Option<bool>,
    /// Who does not list whom was said, or need not be.
    pub lists_said: bool,
    /// It has been there long enough to count as a success.
    pub proved: bool,
    /// It was asked to prove that it is there, until then.
    pub probe: Option<(Probe, Time)>,
    /// Its shard was told to end it.
    pub ending: bool,
    /// It was ended to be made anew: dialing it again is no failure.
    pub anew: bool,
    /// What the machine that has the gateways was told of it last.
    pub news: Option<RouteNews>,
}

impl Peer {
    /// Its name and address, for people.
    pub(super) fn shown(&self) -> String {
        format!("\"{}\" ({})", crate::wire::address::shown(&self.hello.info.server_name), self.address)
    }
}

#[derive(Debug, Default)]
struct Place {
    peer: Option<Box<Peer>>,
    /// Shards that hold nothing of it any more.
    forgotten: ShardSet,
    /// Its number cannot be given out.
    taken: bool,
}

/// See the file's head.
#[derive(Debug)]
pub(super) struct Peers {
    places: Vec<Place>,
    by_id: BTreeMap<String, PeerId>,
    shards: usize,
    /// Routes on each shard.
    load: Vec<usize>,
}

impl Peers {
    pub(super) fn new(shards: usize) -> Peers {
        let places = (0..PEERS_MAX).map(|_| Place::default()).collect();
        Peers { places, by_id: BTreeMap::new(), shards, load: vec![0; shards] }
    }

    /// Is there a number left?
    pub(super) fn room(&self) -> bool {
        self.places.iter().any(|p| !p.taken)
    }

    /// The shard with the fewest routes.
    pub(super) fn idlest(&self) -> ShardId {
        let least = (0..self.shards).min_by_key(|s| self.load[*s]).unwrap_or(0);
        ShardId(least as u8)
    }

    /// Registers; `None` if all numbers are taken.
    pub(super) fn insert(&mut self, peer: Peer) -> Option<PeerId> {
        let at = self.places.iter().position(|p| !p.taken)?;
        let id = PeerId(at as u8);
        self.by_id.insert(peer.hello.info.server_id.clone(), id);
        self.load[peer.shard.index()] += 1;
        self.places[at] = Place { peer: Some(Box::new(peer)), forgotten: ShardSet::default(), taken: true };
        Some(id)
    }

    /// The route ended; its number stays taken until every shard has forgotten it.
    pub(super) fn remove(&mut self, id: PeerId) -> Option<Box<Peer>> {
        let peer = self.places.get_mut(id.index())?.peer.take()?;
        self.by_id.remove(&peer.hello.info.server_id);
        self.load[peer.shard.index()] -= 1;
        self.release(id);
        Some(peer)
    }

    /// A shard holds nothing of it any more. This may be heard before the end itself: shards speak independently.
    pub(super) fn forgotten(&mut self, id: PeerId, shard: ShardId) {
        if let Some(place) = self.places.get_mut(id.index()).filter(|p| p.taken) {
            place.forgotten.insert(shard);
            self.release(id);
        }
    }

    fn release(&mut self, id: PeerId) {
        let place = &mut self.places[id.index()];
        place.taken = place.peer.is_some() || place.forgotten.iter().count() < self.shards;
    }

    pub(super) fn get(&self, id: PeerId) -> Option<&Peer> {
        self.places.get(id.index())?.peer.as_deref()
    }

    pub(super) fn get_mut(&mut self, id: PeerId) -> Option<&mut Peer> {
        self.places.get_mut(id.index())?.peer.as_deref_mut()
    }

    pub(super) fn find(&self, server_id: &str) -> Option<PeerId> {
        self.by_id.get(server_id).copied()
    }

    /// All, by number.
    pub(super) fn iter(&self) -> impl Iterator<Item = (PeerId, &Peer)> {
        self.places.iter().enumerate().filter_map(|(i, p)| Some((PeerId(i as u8), p.peer.as_deref()?)))
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (PeerId, &mut Peer)> {
        self.places.iter_mut().enumerate().filter_map(|(i, p)| Some((PeerId(i as u8), p.peer.as_deref_mut()?)))
    }

    /// How many.
    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }
}
