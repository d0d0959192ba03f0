//! libFuzzer's way to `checks::gateway_handshake`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| turnpike_fuzz::checks::gateway_handshake::check(data));
