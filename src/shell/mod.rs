//! Floor 6: the only floor that knows glommio, threads, sockets, clocks, HTTP and signals.

pub mod refusal;

pub mod cores;
pub mod files;
pub mod log;
pub mod monitor;
pub mod probe;
pub mod signal;
pub mod verify;

mod clock;
mod rings;
mod socket;

mod drive;
mod listen;

mod identity;

pub mod boot;

pub use refusal::Refusal;

/// Prints a command's whole answer.
#[allow(clippy::print_stdout, clippy::print_stderr, reason = "this is what a command line answers with")]
pub fn print(text: &str, to_stderr: bool) {
    match to_stderr {
        true => eprint!("{text}"),
        false => print!("{text}"),
    }
}
