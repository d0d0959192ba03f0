//! Floor 6: the only floor that knows glommio, threads, sockets, clocks, HTTP, signals.

pub mod monitor;
