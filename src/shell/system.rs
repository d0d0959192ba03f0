//! The server in its system account: answers requests, tells of what happens (operations.md §§17, 18). It is a client of
//! this broker, over a socket pair to the first shard: so what it wants and says goes over routes and gateways as all else
//! does. Runs on the thread of monitoring, whose endpoints its answers are made of; shards and the boot thread reach it
//! by [`SystemDoor`], which never waits.

mod door;
mod event;
mod line;
mod request;
mod service;
mod statsz;
mod traces;

pub use door::{door, SystemDoor, Word, Words};
pub use service::{beside, Parts};
