//! The other commands of the binary, beside the server.

pub mod bench;
pub mod flags;
