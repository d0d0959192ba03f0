//! One connection whose hands are still being shaken. The mesh owns it; when its route is registered the socket goes to
//! a shard, and what was read too early goes with it.
//!
//! ```text
//! accepted: (Held ─▶) Greeted ─CONNECT─▶ Admitted ─INFO─▶ registered, or Parked ─▶ registered when the first route ends
//!                         └─CONNECT─▶ Verifying ─▲            └─▶ Ignored (one account's connection)
//! dialed:   Knocking ─INFO─▶ Proposed ─anything but -ERR─▶ registered
//!              └─a client port's INFO─▶ Asked ─INFO─▲
//! ```
//! A dialed link counts only once the acceptor has answered behind our INFO: it has checked us by then, and of two
//! connections made at the same time it has taken this one. From any stage a link may end.

use super::counters::Cause;
use super::speech::Hello;
use crate::base::{Now, Time};
use crate::policy::RouteLogin;
use crate::wire::route::RouteConnect;

/// See the file's head.
pub(super) enum Stage {
    /// Accepted, from where somebody was refused just now: it is left waiting for our INFO.
    Held,
    /// Accepted, our INFO is out: CONNECT is due.
    Greeted,
    /// Accepted: the password is being compared elsewhere. `known`: the user is right.
    Verifying { connect: RouteConnect, known: bool },
    /// Accepted, CONNECT was right: INFO is due.
    Admitted,
    /// Accepted; there is, or is about to be, another route to that server. Nothing is read.
    Parked { hello: Hello },
    /// Accepted; for one account only, which we do not have: the peer will close it (cluster-protocol.md §3.9).
    Ignored,
    /// Dialed: INFO is due.
    Knocking,
    /// Dialed a client port that takes routes; CONNECT, INFO and PING are out: the route's INFO is due.
    /// Or one that does not: its refusal is due, and `id` is empty.
    Asked { id: String },
    /// Dialed; CONNECT, INFO and PING are out.
    Proposed { hello: Hello },
}

/// See the file's head.
pub(super) struct Link {
    pub ip: String,
    pub port: u16,
    /// The address in the book it was dialed for.
    pub dialed: Option<String>,
    /// Accepted: what it presented with CONNECT.
    pub presented: Option<RouteLogin>,
    pub since: Now,
    pub deadline: Time,
    /// Read and not yet understood.
    pub heard: Vec<u8>,
    /// Bytes that it has sent in all.
    pub sent: usize,
    /// It answered our PING.
    pub ponged: bool,
    pub stage: Stage,
}

impl Link {
    /// Whom this dial leads to, once it is known and proposed to.
    pub(super) fn courts(&self) -> Option<&str> {
        match &self.stage {
            Stage::Asked { id } => Some(id),
            Stage::Proposed { hello } => Some(&hello.info.server_id),
            _ => None,
        }
    }

    /// Which server's second connection this is.
    pub(super) fn parked(&self) -> Option<&str> {
        match &self.stage {
            Stage::Parked { hello } => Some(&hello.info.server_id),
            _ => None,
        }
    }

    /// Are its bytes read on?
    pub(super) fn reads(&self) -> bool {
        !matches!(self.stage, Stage::Held | Stage::Verifying { .. } | Stage::Parked { .. } | Stage::Ignored)
    }

    /// The other end, for people.
    pub(super) fn shown(&self) -> String {
        match &self.dialed {
            Some(address) => address.clone(),
            None => crate::wire::address::join_address(&self.ip, self.port),
        }
    }
}

/// Why a link ends, for the peer, for people and for the counters.
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
