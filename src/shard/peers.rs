//! Where the routes to other servers are, as every shard knows it.

use crate::base::limits::PEERS_MAX;
use crate::base::{ConnId, PeerId, PeerSet, ShardId};
use crate::interest::Place;
use crate::wire::gateway::Hash6;

/// Where a peer's route is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// On this shard: this connection.
    Here(ConnId),
    /// On that one.
    There(ShardId),
}

/// See the file's head. One per shard.
#[derive(Debug)]
pub struct Peers {
    /// Peers with a route. The interest table may still name others: they are being forgotten.
    pub live: PeerSet,
    places: Vec<Option<(At, Hash6)>>,
}

impl Default for Peers {
    fn default() -> Peers {
        Peers { live: PeerSet::EMPTY, places: vec![None; PEERS_MAX] }
    }
}

impl Peers {
    /// A route began, to a server whose id is hashed so in replies, or ended (None).
    pub fn set(&mut self, peer: PeerId, at: Option<(At, Hash6)>) {
        match at {
            Some(_) => self.live.insert(peer),
            None => self.live.remove(peer),
        }
        if let Some(place) = self.places.get_mut(peer.index()) {
            *place = at;
        }
    }

    /// Where a peer's route is; None: it has none.
    pub fn place(&self, peer: PeerId) -> Option<At> {
        self.places.get(peer.index()).copied().flatten().map(|(at, _)| at)
    }

    /// The server that a mapped reply names.
    pub fn by_hash(&self, hash: &[u8]) -> Option<PeerId> {
        self.live.iter().find(|p| self.places[p.index()].is_some_and(|(_, h)| h[..] == *hash))
    }

    /// The routes of this shard.
    pub fn here(&self) -> impl Iterator<Item = (PeerId, ConnId)> + '_ {
        self.live.iter().filter_map(|p| match self.place(p) {
            Some(At::Here(conn)) => Some((p, conn)),
            _ => None,
        })
    }

    /// Can something be sent there?
    pub fn has(&self, place: Place) -> bool {
        match place {
            Place::Shard(_) => true,
            Place::Peer(p) => self.live.contains(p),
            Place::Far(_) => false,
        }
    }
}
