//! libFuzzer's way to `checks::hello`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| turnpike_fuzz::checks::hello::check(data));
