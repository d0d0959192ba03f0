//! Floor 5, beside the mesh and the shards: which other clusters there are, and the links to them. [`Gateways`] is the
//! state machine of that, one per server; pure and deterministic like the mesh, and driven by the same thread. It dials,
//! greets, checks and registers; a registered link's socket goes to a shard, and from then on the two speak by mail
//! ([`crate::conn::GatewayTidings`], [`crate::conn::GatewayInstruction`]). Of messages and of interest it knows nothing.
//!
//! What it is made of stands below `core`, which holds the struct; what it does stands above: `greet` (handshakes),
//! `admit` (registration and ends), `gossip` (what clusters and members tell each other), `rules` (their
//! borders), `unfit` and `watch` (what is amiss, said again and again), `report`.

// What it is made of.
mod address;
mod book;
mod border;
mod counters;
mod fars;
mod fits;
mod link;
mod trouble;

mod core;

// What it does.
mod admit;
mod gossip;
mod greet;
mod report;
mod rules;
mod unfit;
mod watch;

pub use self::book::{Dial, Standing};
pub use self::core::{Act, Gateways, Identity, Setup};
pub use self::counters::{Cause, Counters};
pub use self::report::{Address, Border, Link, Remote, Report, Trouble};
pub use self::trouble::Kind;

#[cfg(test)]
mod tests;
