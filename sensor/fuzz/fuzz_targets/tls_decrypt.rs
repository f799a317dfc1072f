#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| proto::tls::decrypt::fuzz_tls_decrypt(data));
