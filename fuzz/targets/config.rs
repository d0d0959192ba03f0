//! libFuzzer's way to `checks::config`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| turnpike_fuzz::checks::config::check(data));
