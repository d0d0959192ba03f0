//! Very many servers in one world. The worlds of the scenarios list all that can happen and let chance pick, so that
//! every order is met; each event costs them a look at everything, and each moment of rest a look at every pair. Here
//! events stand in a queue by time, and chance decides how long each takes: a thousand servers are possible, and nothing
//! is done to them. The machines and the shards are the same, each server has one, and all that they write is counted.
//!
//! `cargo test` runs a few small shapes; `scripts/sim --big` the one of 20 clusters of 50 servers, and prints the table
//! that `docs/gateways.md` shows.

mod checks;
mod client;
mod meter;
mod server;
mod sizes;
mod table;
mod traffic;
mod wires;
mod world;

pub use self::table::report;
pub use self::world::{Lists, Modes, Shape};
