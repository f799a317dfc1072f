//! Every seed of a fuzz target runs through the function that the target runs, on the stable toolchain.

use std::path::Path;

type Target = (&'static str, fn(&[u8]));

const TARGETS: [Target; 23] = [
    ("reader", capture::fuzz_reader),
    ("decode", net::fuzz_decode),
    ("fragments", net::fuzz_fragments),
    ("reassembly", net::fuzz_reassembly),
    ("http1", proto::fuzz_http1),
    ("hpack", proto::fuzz_hpack),
    ("http2", proto::fuzz_http2),
    ("coding", proto::coding::fuzz_coding),
    ("sse", proto::sse::fuzz_sse),
    ("websocket", proto::websocket::fuzz_websocket),
    ("dhcp", proto::dhcp::fuzz_dhcp),
    ("dns", proto::dns::fuzz_dns),
    ("tls", proto::tls::fuzz_tls),
    ("keylog", proto::tls::keys::fuzz_keylog),
    ("tls_decrypt", proto::tls::decrypt::fuzz_tls_decrypt),
    ("quic", proto::quic::fuzz_quic),
    ("codemode", mcp::fuzz_codemode),
    ("json", mcp::fuzz_json),
    ("walk", mcp::fuzz_walk),
    ("headers", mcp::fuzz_headers),
    ("rules", detect::fuzz_rules),
    ("engine", detect::engine::fuzz_engine),
    ("dlp", detect::dlp::fuzz_dlp),
];

#[test]
fn every_seed_runs_through_its_target() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/seeds");
    for (name, target) in TARGETS {
        let mut seeds = 0;
        for entry in std::fs::read_dir(fixtures.join(name)).unwrap_or_else(|e| panic!("seeds/{name}: {e}")) {
            let bytes = std::fs::read(entry.unwrap().path()).unwrap();
            target(&bytes);
            // Cut inputs are where parsers wait for more.
            for end in [bytes.len() / 2, bytes.len().saturating_sub(1)] {
                target(&bytes[..end]);
            }
            seeds += 1;
        }
        assert!(seeds > 0, "no seeds for {name}");
        target(b"");
    }
}

#[test]
fn every_fuzz_target_is_in_this_list() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/fuzz_targets");
    let mut files: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    let mut listed: Vec<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    files.sort();
    listed.sort();
    assert_eq!(files, listed);
}
