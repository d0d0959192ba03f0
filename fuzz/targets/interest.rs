//! libFuzzer's way to `checks::interest`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| turnpike_fuzz::checks::interest::check(data));
