//! libFuzzer's way to `checks::headers`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| turnpike_fuzz::checks::headers::check(data));
