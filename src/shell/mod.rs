//! Floor 6: the only floor that knows glommio, threads, sockets, clocks, HTTP, signals.

pub mod refusal;

pub mod cores;
pub mod files;
pub mod log;
pub mod probe;
pub mod signal;
pub mod verify;

pub use refusal::Refusal;
