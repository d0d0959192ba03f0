//! libFuzzer's way to `checks::shard`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| turnpike_fuzz::checks::shard::check(data));
