#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| proto::tls::fuzz_tls(data));
