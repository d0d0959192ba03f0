//! Floor 1: bytes ⇄ meaning, without state beyond one half-read line. Knows no connection, no interest, no account.

pub mod address;
pub mod fault;
pub mod gateway;
pub mod greeting;
pub mod headers;
pub mod hello;
mod json;
pub mod jwt;
pub mod mapping;
mod marks;
pub mod nkey;
mod op;
mod parse;
mod quote;
mod repeated;
pub mod request_info;
pub mod route;
mod scan;
pub mod stamp;
pub mod subject;
pub mod trace;
pub mod traced;
pub mod transform;
mod write;

pub use fault::Fault;
pub use op::{Message, Op, Publish};
pub use parse::{Parser, Rules, Step};
pub use quote::quote;
pub use repeated::repeated;
pub use write::{tail, Body};
