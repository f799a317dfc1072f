#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| detect::fuzz_rules(data));
