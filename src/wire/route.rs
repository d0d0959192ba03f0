//! What one server of a cluster can say to another over a route (cluster-protocol.md §§1, 3): operations as slices of
//! the bytes they came in, and the bytes for what we say. No state beyond one half-read line; used by whoever greets
//! peers, and by the shard that owns a route.
//!
//! Every connection is read as one that names the account in each line. Connections of one account alone, on which it
//! is left out (§3.8), come only between servers that both announce a pool; we announce none.

pub(in crate::wire) mod connect;
mod info;
mod message;
mod parse;
mod refusal;
#[cfg(test)]
mod tests;
mod usual;
mod words;
mod write;

pub use crate::base::limits::{ROUTE_LINE_BYTES_MAX as LINE_MAX, ROUTE_WEIGHT_MAX as WEIGHT_MAX};
pub use connect::RouteConnect;
pub use info::{gossip, Reached, RouteInfo, SubjectLists};
pub use message::{Queues, Routed};
pub(in crate::wire) use parse::{Dialect, Spoken};
pub use parse::{RouteParser, RouteRules};
pub use refusal::Refusal;
pub(in crate::wire) use words::Words;
pub(in crate::wire) use write::write_line;
pub use write::{
    begin_plain, begin_plain_len, queue_room, sayable, write_interest, write_message, write_names, write_no_interest,
    Unsayable,
};

/// One complete operation of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteOp<'a> {
    /// `INFO <json>`: for [`RouteInfo`].
    Info(&'a [u8]),
    /// `CONNECT <json>`: for [`RouteConnect`].
    Connect(&'a [u8]),
    /// `PING`.
    Ping,
    /// `PONG`.
    Pong,
    /// `+OK`: ignored.
    Ok,
    /// `-ERR <text>`: the peer gives up.
    PeerError(&'a [u8]),
    /// `RS+ <account> <subject> [<queue> <weight>]`.
    Interest {
        /// The account's name.
        account: &'a [u8],
        /// The pattern, not yet validated.
        subject: &'a [u8],
        /// The queue group; empty for plain interest.
        queue: &'a [u8],
        /// Members of the group, at least 1. What is no number, or 0, counts as one member, as in nats-server 2.15.
        weight: u32,
    },
    /// `RS- <account> <subject> [<queue>]`.
    NoInterest {
        /// The account's name.
        account: &'a [u8],
        /// The pattern.
        subject: &'a [u8],
        /// The queue group; empty for plain interest.
        queue: &'a [u8],
    },
    /// `RMSG`, `HMSG` and `LMSG`.
    Message(Routed<'a>),
    /// `A+` and `A-`, which mean something on gateways only, and `LS+` and `LS-`.
    ///
    /// The latter come only to those who announce `lnoc`. To take uninvited ones for interest would leave some behind
    /// for ever: whether `LS- a b c` begins with an origin or ends with a queue group is a matter of that negotiation.
    Ignored,
}
