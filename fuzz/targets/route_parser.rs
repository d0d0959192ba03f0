//! libFuzzer's way to `checks::route_parser`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| turnpike_fuzz::checks::route_parser::check(data));
