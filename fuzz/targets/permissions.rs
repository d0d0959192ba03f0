//! libFuzzer's way to `checks::permissions`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| turnpike_fuzz::checks::permissions::check(data));
