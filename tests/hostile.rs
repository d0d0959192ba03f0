//! Bad input against the real process: every one of them ends in a clear error for its own connection, nobody else
//! notices, and memory and descriptors come back.
//!
//! Each test has a server of its own. A [`bystander::Bystander`] exchanges messages through it all the while.
#![cfg(feature = "shell")]
// Waiting with a deadline needs the clock.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

mod support;

#[path = "hostile/bombs.rs"]
mod bombs;
#[path = "hostile/bystander.rs"]
mod bystander;
#[path = "hostile/bytes.rs"]
mod bytes;
#[path = "hostile/early.rs"]
mod early;
#[path = "hostile/floods.rs"]
mod floods;
#[path = "hostile/identity.rs"]
mod identity;
#[path = "hostile/logins.rs"]
mod logins;
#[path = "hostile/memory.rs"]
mod memory;
#[path = "hostile/numbers.rs"]
mod numbers;
#[path = "hostile/passwords.rs"]
mod passwords;
#[path = "hostile/secrets.rs"]
mod secrets;
#[path = "hostile/slow.rs"]
mod slow;
#[path = "hostile/unfinished.rs"]
mod unfinished;

use support::server::{shard_args, Server, Which};

/// What `-ERR` says about malformed input.
const MALFORMED: &str = "-ERR 'Parser Error'\r\n";

/// A server with so many shards.
fn server(shards: usize, conf: &str) -> Server {
    let which = Which::under_test();
    Server::start(&which, conf, &shard_args(&which, shards))
}

/// Frames as text, for comparing.
fn texts(frames: &[Vec<u8>]) -> Vec<String> {
    frames.iter().map(|f| String::from_utf8_lossy(f).into_owned()).collect()
}
