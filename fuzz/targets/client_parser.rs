//! libFuzzer's way to `checks::client_parser`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| turnpike_fuzz::checks::client_parser::check(data));
