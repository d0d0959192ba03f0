//! libFuzzer's way to `checks::gateway_parser`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| turnpike_fuzz::checks::gateway_parser::check(data));
