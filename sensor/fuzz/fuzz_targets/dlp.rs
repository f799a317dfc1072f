#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| detect::dlp::fuzz_dlp(data));
