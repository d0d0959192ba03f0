//! The other commands of the binary, beside the server: [`flags`] says what a command line asks for, `bench` measures a
//! server from outside, [`plan`] reckons with clusters, [`explain`] asks a running server what crosses. Imported by nobody
//! but `main`.

pub mod against;
pub mod bench;
pub mod explain;
pub mod flags;
mod monitoring;
pub mod plan;
