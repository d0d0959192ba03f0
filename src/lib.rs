//! Turnpike: a thread-per-core, shared-nothing message broker that speaks NATS.
//!
//! The crate is built in floors; a file imports only from lower floors or from earlier files of its own floor
//! (`tests/floors.rs` proves it). From the ground up:
//!
//! | floor | folder | knows |
//! |---|---|---|
//! | 0 | [`base`] | time, ids, randomness, slots, timers; nothing of NATS |
//! | 1 | [`wire`] | bytes ⇄ meaning, no state |
//! | 2 | [`interest`] | who wants what |
//! | 3 | [`policy`] | who may do what; configuration → validated settings |
//! | 4 | [`conn`] | the manners of one connection |
//! | 5 | [`shard`] | everything one core knows; pure and deterministic |
//! | 5 | [`mesh`] | who belongs to the cluster; pure and deterministic |
//! | 5 | [`gateways`] | which other clusters there are, and the links to them; pure and deterministic |
//! | 6 | `shell` | glommio, threads, sockets, clocks, HTTP, signals |
//!
//! `cli` holds the other commands of the binary, beside the server. ARCHITECTURE.md is the map.

// What clippy.toml lists is forbidden on the floors below the shell; their tests may print and count as they like.
#![cfg_attr(not(test), warn(clippy::disallowed_macros, clippy::disallowed_methods, clippy::disallowed_types))]

pub mod base;
pub mod conn;
pub mod gateways;
pub mod interest;
pub mod mesh;
pub mod policy;
pub mod shard;
pub mod wire;

#[allow(
    clippy::disallowed_macros,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a program of its own: it prints, waits and connects"
)]
#[cfg(feature = "shell")]
pub mod cli;
#[allow(
    clippy::disallowed_macros,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the floor that knows the world"
)]
#[cfg(feature = "shell")]
pub mod shell;

/// The nats-server version whose behaviour this server shows; clients and tools gate features on it
/// (operations.md §23, row "version").
pub const NATS_VERSION: &str = "2.15.2";

/// Turnpike's own version, the field `turnpike` of INFO and `/varz`.
pub const TURNPIKE_VERSION: &str = env!("CARGO_PKG_VERSION");
