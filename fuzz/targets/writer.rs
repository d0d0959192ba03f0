//! libFuzzer's way to `checks::writer`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| turnpike_fuzz::checks::writer::check(data));
