#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| proto::tls::keys::fuzz_keylog(data));
