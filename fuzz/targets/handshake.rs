//! libFuzzer's way to `checks::handshake`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| turnpike_fuzz::checks::handshake::check(data));
