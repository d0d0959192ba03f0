//! What the mesh and the shards tell each other about routes. The mesh (one per server) makes a route: it dials, greets,
//! checks and registers; then one shard owns its socket until it ends. Both directions go by mail and are never on the
//! path of a message.

use crate::base::{Cid, PeerId};

/// A registered route on its way to the shard that will own it.
#[derive(Clone, Debug)]
pub struct Introduction {
    /// What the peer is called while this route lasts.
    pub peer: PeerId,
    /// Its server id (cluster-protocol.md §2).
    pub server_id: Box<str>,
    /// Its server name.
    pub server_name: Box<str>,
    /// The other end of the socket.
    pub ip: Box<str>,
    /// The other end's port.
    pub port: u16,
    /// The connection's public number.
    pub rid: Cid,
    /// We dialed it.
    pub dialed: bool,
    /// It is in our list of routes.
    pub configured: bool,
    /// It understands headers; otherwise they are taken off before sending (cluster-protocol.md §3.4).
    pub headers: bool,
    /// Wall-clock time of the connection's beginning, nanoseconds since 1970.
    pub start_ns: u64,
    /// What has been read behind the INFO that registered it.
    pub rest: Vec<u8>,
}

/// What a shard tells the mesh.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tidings {
    /// The route ended. Lost: the mesh would never repair it.
    Ended {
        /// The peer.
        peer: PeerId,
        /// Why, for people.
        why: String,
    },
    /// An INFO came. Lost: gossip would.
    Info {
        /// From whom.
        peer: PeerId,
        /// The JSON of it.
        json: Vec<u8>,
    },
    /// The peer answered a PING, or is seen to take in what we send; said only after [`Instruction::Probe`].
    Alive {
        /// The peer.
        peer: PeerId,
    },
    /// This shard holds nothing of a peer whose route has ended any more; each shard says so once. Lost: its number
    /// would never be used again.
    Forgotten {
        /// The peer.
        peer: PeerId,
    },
}

/// What the mesh tells the shard that owns a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Instruction {
    /// Write a protocol line (an INFO), CR LF included.
    Say {
        /// To whom.
        peer: PeerId,
        /// The line.
        line: Vec<u8>,
    },
    /// Find out whether the peer is there: [`Tidings::Alive`] if it is; silence if it is not.
    Probe {
        /// The peer.
        peer: PeerId,
    },
    /// End the route; [`Tidings::Ended`] follows.
    End {
        /// The peer.
        peer: PeerId,
        /// What the peer is told in an `-ERR`; empty: nothing.
        says: String,
        /// Why, for the log and monitoring.
        why: String,
    },
}
