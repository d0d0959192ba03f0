//! What the mesh knows, for `/routez`, `/varz` and readiness.

use super::book::Standing;
use super::core::Mesh;
use super::counters::Counters;
use crate::base::{Cid, PeerId, ShardId, SECOND};

/// A mesh's account of itself.
#[derive(Clone, Debug)]
pub struct Report {
    /// The cluster's name.
    pub cluster: String,
    /// It was made up.
    pub dynamic: bool,
    /// Client addresses of the cluster, as clients are told.
    pub connect_urls: Vec<String>,
    /// Routes, by peer number.
    pub routes: Vec<Route>,
    /// Addresses in the book.
    pub targets: Vec<Target>,
    /// Members that others reach and this server does not.
    pub missing: Vec<Gap>,
    /// Connections in handshake.
    pub handshakes: usize,
    /// Counts since the start.
    pub counters: Counters,
}

/// One registered route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Its number.
    pub peer: PeerId,
    /// Its connection's number.
    pub rid: Cid,
    /// Who owns it.
    pub shard: ShardId,
    /// The peer's server id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// `host:port` of its route listener.
    pub address: String,
    /// We dialed it.
    pub dialed: bool,
    /// It is in our list of routes.
    pub configured: bool,
}

/// One address in the book.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// `host:port`
    pub address: String,
    /// It is in our list of routes.
    pub configured: bool,
    /// Who lives there, as far as known.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What is being done about it.
    pub standing: Standing,
    /// The peer there is a route to.
    pub peer: Option<PeerId>,
    /// Dials ever.
    pub attempts: u64,
    /// What went wrong last; empty: nothing since it was last well.
    pub last_error: String,
    /// Names and addresses of members that have a route there.
    pub reached_by: Vec<String>,
}

/// A member that others reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Its server id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// `host:port`
    pub address: String,
    /// Names and addresses of members that have a route there.
    pub reached_by: Vec<String>,
    /// How long, seconds.
    pub seconds: u64,
}

impl Mesh {
    /// Everything known.
    pub fn report(&self) -> Report {
        let routes = self.peers.iter().map(|(peer, p)| Route {
            peer,
            rid: p.rid,
            shard: p.shard,
            id: p.hello.info.server_id.clone(),
            name: p.hello.info.server_name.clone(),
            address: p.address.clone(),
            dialed: p.dialed,
            configured: p.configured,
        });
        let targets = self.book.iter().map(|(address, e)| Target {
            address: address.clone(),
            configured: e.configured,
            id: e.id.clone(),
            name: e.name.clone(),
            standing: e.standing,
            peer: self.peers.find(&e.id),
            attempts: e.attempts,
            last_error: e.last_error.clone(),
            reached_by: self.missing.get(&e.id).map(|m| m.via.clone()).unwrap_or_default(),
        });
        Report {
            cluster: self.name.name.clone(),
            dynamic: self.name.dynamic,
            connect_urls: self.told_urls.0.clone(),
            routes: routes.collect(),
            targets: targets.collect(),
            missing: self.gaps().collect(),
            handshakes: self.links.len(),
            counters: self.counters.clone(),
        }
    }

    /// What this server lacks to be sent clients for now; empty: nothing. Whether that makes it unready is the
    /// operator's decision (`mesh_readiness`). Only gaps count that others see too: a peer
    /// that is down for everybody, or a stranger at the door, is no reason.
    pub fn unready(&self) -> Vec<String> {
        let lasting = self.gaps().filter(|g| self.missing.get(&g.id).is_some_and(|m| m.lasting()));
        lasting
            .map(|g| format!("no route to \"{}\" ({}), which {} reaches", g.name, g.address, g.reached_by.join(", ")))
            .collect()
    }

    fn gaps(&self) -> impl Iterator<Item = Gap> + '_ {
        self.missing.iter().map(|(id, m)| Gap {
            id: id.clone(),
            name: crate::wire::address::shown(&m.name),
            address: m.address.clone(),
            reached_by: m.via.clone(),
            seconds: self.now.mono.since(m.since) / SECOND,
        })
    }
}
