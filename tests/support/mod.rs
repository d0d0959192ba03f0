//! What the tests that talk to a real process share: starting servers, raw connections, frames, differences.
//!
//! Lives in `tests/`, compiled into each integration test that names it; nothing here knows the broker's insides.
//! The server under test is this crate's binary, or the one named by `TURNPIKE_TEST_SERVER`.
// Each test crate uses a part of it.
#![allow(dead_code)]

pub mod audit;
pub mod cluster;
pub mod differences;
pub mod frames;
pub mod kernel;
pub mod keys;
pub mod netns;
pub mod process;
pub mod proxy;
pub mod raw;
pub mod server;
pub mod supercluster;
pub mod tls;
