//! Floor 5, beside the shards: who belongs to the cluster. [`Mesh`] is the state machine of membership, one per server;
//! pure and deterministic like a shard, and as silent about messages as a shard is about members. It dials, greets,
//! checks and registers; a registered route's socket goes to a shard, and from then on the two speak by mail
//! ([`crate::conn::Tidings`], [`crate::conn::Instruction`]).
//!
//! What it is made of stands below `core`, which holds the struct; what it does stands above: `greet` (handshakes),
//! `admit` (one route per server), `gossip` (what members tell each other), `watch` (who is missing), `report`.

// What it is made of.
mod book;
mod counters;
mod gap;
mod link;
mod names;
mod peers;
mod refused;
mod reload;
mod speech;

mod core;

// What it does.
mod admit;
mod gossip;
mod greet;
mod report;
mod watch;

pub use self::book::{Dial, Standing, Unreached};
pub use self::core::{Act, Identity, Mesh, Setup};
pub use self::counters::{Cause, Counters};
pub use self::report::{Gap, Report, Route, Target};

#[cfg(test)]
mod tests;
