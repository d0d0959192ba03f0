//! The other commands of the binary, beside the server: [`flags`] says what a command line asks for, `bench` measures a
//! server from outside,
//! [`plan`] reckons with clusters. Imported by nobody but `main`.

pub mod bench;
pub mod flags;
pub mod plan;
