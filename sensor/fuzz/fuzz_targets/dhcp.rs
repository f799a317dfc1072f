#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| proto::dhcp::fuzz_dhcp(data));
