//! The other commands of the binary, beside the server: [`flags`] says what a command line asks for, `bench` measures a
//! server from outside, [`check`] compares configurations, [`doctor`] looks at the machine, [`unit`] writes a systemd unit,
//! [`plan`] reckons with clusters, [`migrate`] writes configurations anew, [`papers`] manual pages, [`explain`] asks a
//! running server what crosses, [`reload`] what it would reload. Imported by nobody but `main`.

pub mod against;
pub mod bench;
pub mod check;
pub mod doctor;
pub mod explain;
pub mod flags;
mod live;
pub mod migrate;
mod monitoring;
pub mod papers;
pub mod plan;
pub mod reload;
pub mod unit;
