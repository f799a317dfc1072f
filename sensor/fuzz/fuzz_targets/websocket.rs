#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| proto::websocket::fuzz_websocket(data));
