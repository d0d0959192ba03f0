//! One function of bytes per target; it panics when a promise of the broker is broken. Called by libFuzzer with what
//! it makes up, and by `tests/fuzz_corpus.rs` with the corpus.

pub mod accounts;
pub mod client_parser;
pub mod config;
pub mod gateway_handshake;
pub mod gateway_parser;
pub mod handshake;
pub mod headers;
pub mod hello;
mod house;
pub mod identity;
pub mod interest;
pub mod permissions;
pub mod route_parser;
pub mod shard;
pub mod writer;

/// One check: panics if the bytes show a fault.
pub type Check = fn(&[u8]);

/// Every target: the name of its corpus, and its check.
pub const TARGETS: [(&str, Check); 14] = [
    ("accounts", accounts::check),
    ("client_parser", client_parser::check),
    ("config", config::check),
    ("gateway_handshake", gateway_handshake::check),
    ("gateway_parser", gateway_parser::check),
    ("handshake", handshake::check),
    ("headers", headers::check),
    ("hello", hello::check),
    ("identity", identity::check),
    ("interest", interest::check),
    ("permissions", permissions::check),
    ("route_parser", route_parser::check),
    ("shard", shard::check),
    ("writer", writer::check),
];

/// A seed that depends on every byte (FNV-1a).
pub fn seed_of(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x100_0000_01b3))
}
