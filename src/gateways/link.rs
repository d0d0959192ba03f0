//! One connection whose hands are still being shaken, and one that is registered. The machine owns the former's bytes;
//! when it is registered the socket goes to a shard, and what was read too early goes with it.
//!
//! ```text
//! accepted: Greeted ─CONNECT─▶ Admitted ─INFO─▶ registered
//!              └─CONNECT─▶ Verifying ─▲
//! dialed:   Knocking ─INFO─▶ Proposed ─anything but -ERR─▶ registered
//! ```
//! A dialed link counts only once the acceptor has answered behind our CONNECT, INFO and PING: it has checked us by then.
//! From any stage a link may end.

use super::border::Told;
use super::counters::Cause;
use crate::base::{Now, ShardId, Time};
use crate::conn::Way;
use crate::wire::address::{join_address, shown};
use crate::wire::gateway::{GatewayConnect, GatewayInfo};

/// See the file's head.
pub(super) enum Stage {
    /// Accepted, our INFO is out: CONNECT is due.
    Greeted,
    /// Accepted: the password is being compared elsewhere. `known`: the user is right.
    Verifying { connect: GatewayConnect, known: bool },
    /// Accepted, CONNECT was right: INFO is due. The name is that of the cluster it says it is.
    Admitted { cluster: String },
    /// Dialed: INFO is due.
    Knocking,
    /// Dialed; CONNECT, INFO and PING are out.
    Proposed { hello: Box<GatewayInfo> },
}

/// A connection in handshake.
pub(super) struct Pending {
    pub ip: String,
    pub port: u16,
    /// The cluster it was dialed for; None: accepted.
    pub dialed: Option<Dialed>,
    pub since: Now,
    pub deadline: Time,
    /// Read and not yet understood.
    pub heard: Vec<u8>,
    /// Bytes that it has sent in all.
    pub sent: usize,
    pub stage: Stage,
    /// Which set of our addresses and rules it was told.
    pub told: u64,
    /// What it told of its rules.
    pub border: Told,
}

/// What was dialed.
#[derive(Clone, Debug)]
pub(super) struct Dialed {
    /// The cluster's name.
    pub cluster: String,
    /// `host:port`
    pub address: String,
}

impl Pending {
    /// Are its bytes read on?
    pub(super) fn reads(&self) -> bool {
        !matches!(self.stage, Stage::Verifying { .. })
    }

    /// The other end, for people.
    pub(super) fn shown(&self) -> String {
        match &self.dialed {
            Some(dialed) => format!("{} (dialed as cluster \"{}\")", dialed.address, shown(&dialed.cluster)),
            None => join_address(&self.ip, self.port),
        }
    }
}

/// A registered link.
#[derive(Clone, Debug)]
pub(super) struct Linked {
    pub way: Way,
    /// The other cluster.
    pub cluster: String,
    /// What the server at the other end said of itself last.
    pub hello: GatewayInfo,
    /// `host:port`: as dialed, or of the socket.
    pub address: String,
    /// The other end of the socket.
    pub ip: String,
    pub shard: ShardId,
    pub since: Time,
    /// Its shard was told to end it.
    pub ending: bool,
    /// It has been there long enough to count as a success.
    pub proved: bool,
    /// Inbound, of a turnpike: what it was told last about our missing way back.
    pub told_no_way_back: bool,
    /// What it told of its rules.
    pub border: Told,
}

impl Linked {
    /// Its name and address, for people.
    pub(super) fn shown(&self) -> String {
        format!("\"{}\" ({}) of cluster \"{}\"", shown(&self.hello.server_name), self.address, shown(&self.cluster))
    }

    pub(super) fn is_outbound(&self) -> bool {
        self.way.is_outbound()
    }
}

/// Why a link ends, for the other end, for people and for the counters.
#[derive(Clone, Debug)]
pub(super) struct Ending {
    pub cause: Cause,
    /// The text of an `-ERR`; empty: nothing is said.
    pub says: String,
    /// What the other end did or is, in words that follow its address.
    pub why: String,
}

impl Ending {
    pub(super) fn silent(cause: Cause, why: impl Into<String>) -> Ending {
        Ending { cause, says: String::new(), why: why.into() }
    }

    pub(super) fn told(cause: Cause, says: impl Into<String>, why: impl Into<String>) -> Ending {
        Ending { cause, says: says.into(), why: why.into() }
    }
}
