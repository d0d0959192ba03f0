//! libFuzzer's way to `checks::identity`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| turnpike_fuzz::checks::identity::check(data));
