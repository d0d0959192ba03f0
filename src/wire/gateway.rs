//! What the two ends of a gateway say to each other (cluster-protocol.md §§2, 4): a link between two clusters that
//! carries messages from whoever dialed to whoever accepted, and interest the other way. Messages and interest have the
//! grammar of routes ([`super::route`]), from which they are taken; here is what only gateways have. No state beyond one
//! half-read line; used by whoever greets other clusters, and by the shard that owns a link.

mod border;
mod connect;
mod hash;
mod info;
mod parse;
mod refusal;
mod reply;
#[cfg(test)]
mod tests;
mod write;

pub use border::{write_border, BorderEntry, BorderPart};
pub use connect::GatewayConnect;
pub use hash::{name_hash, old_hash, Hash6, Hash8};
pub use info::{Command, GatewayInfo};
pub use parse::{GatewayParser, GatewayRules, Hears};
pub use refusal::GatewayRefusal;
pub use reply::{as_from, is_mapped, split, Mapped, ReplyPrefix, REPLY_PREFIX_BYTES};
pub use write::{write_account, write_command, write_interest, write_no_interest};

// Messages are those of routes.
pub use super::route::{queue_room, sayable, write_message, write_names, Queues, Routed, Unsayable, LINE_MAX};

/// One complete operation of the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GatewayOp<'a> {
    /// `INFO <json>`: for [`GatewayInfo`].
    Info(&'a [u8]),
    /// `CONNECT <json>`: for [`GatewayConnect`]. Once hands were shaken it says nothing new.
    Connect(&'a [u8]),
    /// `PING`.
    Ping,
    /// `PONG`.
    Pong,
    /// `+OK`: ignored.
    Ok,
    /// `-ERR <text>`: the other end gives up.
    PeerError(&'a [u8]),
    /// `RS+ <account> <subject> [<queue> <weight>]`, from the accepting side only. The weight means nothing (§4.6).
    Interest {
        /// The account's name.
        account: &'a [u8],
        /// The pattern, not yet validated.
        subject: &'a [u8],
        /// The queue group; empty for plain interest.
        queue: &'a [u8],
    },
    /// `RS- <account> <subject> [<queue>]`, from the accepting side only. What it means depends on the account's state
    /// (§4.6): the end of interest, or the refusal of one subject.
    NoInterest {
        /// The account's name.
        account: &'a [u8],
        /// The pattern, not yet validated.
        subject: &'a [u8],
        /// The queue group; empty for plain interest.
        queue: &'a [u8],
    },
    /// `A+ <account>` and `A- <account>`, from the accepting side only.
    Account {
        /// The account's name.
        account: &'a [u8],
        /// `A+`: send again; `A-`: nobody there wants anything of it.
        wanted: bool,
    },
    /// `RMSG` and `HMSG`, from the dialing side only.
    Message(Routed<'a>),
}
