//! Floor 1: bytes ⇄ meaning, without state beyond one half-read line. Knows no connection, no interest, no account.

pub mod fault;
pub mod headers;
pub mod hello;
mod marks;
mod op;
mod parse;
pub mod subject;
mod write;

pub use fault::Fault;
pub use op::{Message, Op, Publish};
pub use parse::{Parser, Rules, Step};
pub use write::Body;
