#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| detect::engine::fuzz_engine(data));
