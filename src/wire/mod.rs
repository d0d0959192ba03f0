//! Floor 1: bytes ⇄ meaning, no state.

pub mod headers;
pub mod hello;
