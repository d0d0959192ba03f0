//! Floor 6: the only floor that knows glommio, threads, sockets, clocks, HTTP and signals. [`boot`] makes everything, `serve`
//! heeds signals and takes it down again; `drive` runs one shard on one core, with `socket` and `rings` at its hands; `listen` deals out
//! connections; `mesh` shakes hands with peers; [`monitor`] answers over HTTP. The rest is what the boot asks or starts on the way.

mod address;
pub mod argv;
pub mod boot;
mod cgroup;
mod clock;
pub mod cores;
pub mod descriptors;
mod drive;
pub mod files;
mod hours;
mod identity;
mod inherited;
mod join;
mod kernel;
mod lines;
mod listen;
pub mod log;
mod memory;
mod mesh;
pub mod meter;
pub mod monitor;
pub mod probe;
pub mod refusal;
mod reload;
mod reminders;
mod rings;
mod scarcity;
mod serve;
pub mod signal;
mod socket;
mod system;
pub mod tls;
pub mod verify;
mod watchdog;

pub use refusal::Refusal;
