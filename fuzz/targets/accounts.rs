//! libFuzzer's way to `checks::accounts`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| turnpike_fuzz::checks::accounts::check(data));
