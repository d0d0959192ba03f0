//! What is checked about arbitrary bytes, for the libFuzzer targets in `targets/`. `tests/fuzz_corpus.rs` of the broker
//! includes the same files, so that `cargo test` replays the corpus without a nightly compiler.

pub mod checks;
