//! Floor 6: the only floor that knows glommio, threads, sockets, clocks, HTTP and signals.

mod clock;
mod rings;
mod socket;

mod drive;
mod listen;

mod identity;

pub mod boot;
