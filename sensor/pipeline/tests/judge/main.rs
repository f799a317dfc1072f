//! Another reader of captures as the judge: the HTTP requests that we read, those inside of TLS with the keys too, are
//! those that tshark prints with the same keys. Compared are the connection, method, host, path and the hash of the body
//! with the transfer coding off; the order of requests is not. A WebSocket over HTTP/2 (RFC 8441) is a GET here, as it is
//! over HTTP/1, and taken for one on both sides.
//!
//! ```text
//! cargo xtask judge                          # all captures of the fixtures, with a table
//! cargo xtask judge CAPTURE [KEYLOG]         # one of yours
//! ```
//!
//! Without tshark the test says so and passes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "tests may fail loudly, and this one prints a table"
)]

mod made;
mod ours;
mod theirs;

use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

/// One request as either side tells it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Request {
    /// Client and server, as `address port`.
    ends: [String; 2],
    method: String,
    host: String,
    /// The request target as sent.
    path: String,
    body: Vec<u8>,
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ends: [client, server], method, host, path, body } = self;
        let hash = Sha256::digest(body).iter().take(8).fold(String::new(), |all, byte| format!("{all}{byte:02x}"));
        write!(f, "{client} > {server}  {method} {host} {path}  {} bytes, {hash}", body.len())
    }
}

/// What the two sides differ in of one capture: requests that only one of them tells, with the side's name.
fn differences(ours: Vec<Request>, theirs: Vec<Request>) -> Vec<String> {
    let mut count: BTreeMap<Request, i64> = BTreeMap::new();
    for (list, one) in [(ours, 1), (theirs, -1)] {
        for request in list {
            *count.entry(request).or_default() += one;
        }
    }
    let only = |n: i64| if n > 0 { "only we tell" } else { "only tshark tells" };
    let times = |n: i64| usize::try_from(n.unsigned_abs()).unwrap();
    count.iter().flat_map(|(r, n)| std::iter::repeat_n(format!("{}: {r}", only(*n)), times(*n))).collect()
}

/// Every capture of the fixtures with its key log, if it has one.
fn fixtures() -> Vec<(PathBuf, Option<PathBuf>)> {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/captures"));
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|end| end == "pcap" || end == "pcapng"));
    files.sort();
    files
        .into_iter()
        .map(|path| (path.clone(), Some(path.with_extension("keylog")).filter(|log| log.exists())))
        .collect()
}

#[test]
fn our_requests_are_those_that_tshark_prints_with_the_same_keys() {
    if !theirs::is_there() {
        println!("skipped: tshark is not installed");
        return;
    }
    // Set by `cargo xtask judge`.
    let captures = match std::env::var_os("JUDGE_CAPTURE") {
        Some(path) => vec![(path.into(), std::env::var_os("JUDGE_KEYLOG").map(PathBuf::from))],
        None => fixtures(),
    };
    let (mut bad, mut told, mut opened) = (Vec::new(), 0, 0);
    for (capture, keys) in captures {
        let ours = ours::read(&capture, keys.as_deref());
        let theirs = theirs::read(&capture, keys.as_deref(), &ours.http2_in_clear);
        let name = capture.file_name().unwrap().to_string_lossy().into_owned();
        println!(
            "{name}: {} requests, {} of them decrypted; tshark {}",
            ours.requests.len(),
            ours.opened,
            theirs.len()
        );
        if (keys.is_some() || name.contains(".dsb.")) && ours.opened == 0 {
            bad.push(format!("{name}: the keys opened nothing"));
        }
        told += ours.requests.len();
        opened += ours.opened;
        bad.extend(differences(ours.requests, theirs).into_iter().map(|line| format!("{name}: {line}")));
    }
    println!("{told} requests, {opened} of them decrypted, {} differences", bad.len());
    assert!(bad.is_empty(), "\n{}", bad.join("\n"));
    assert!(told > 0);
}

#[test]
fn requests_that_are_hard_to_read_are_those_that_tshark_prints() {
    if !theirs::is_there() {
        println!("skipped: tshark is not installed");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("made.pcap");
    let (capture, requests) = made::capture();
    std::fs::write(&path, capture).unwrap();
    let ours = ours::read(&path, None);
    assert_eq!(ours.requests.len(), requests);
    let theirs = theirs::read(&path, None, &ours.http2_in_clear);
    let bad = differences(ours.requests, theirs);
    assert!(bad.is_empty(), "\n{}", bad.join("\n"));
}

#[test]
fn a_difference_is_told() {
    let request = |body: &[u8]| Request {
        ends: [String::new(), String::new()],
        method: "POST".to_owned(),
        host: "a".to_owned(),
        path: "/".to_owned(),
        body: body.to_vec(),
    };
    assert!(differences(vec![request(b"1"), request(b"2")], vec![request(b"2"), request(b"1")]).is_empty());
    assert_eq!(differences(vec![request(b"1")], vec![request(b"2")]).len(), 2);
    assert_eq!(differences(vec![request(b"1"), request(b"1")], vec![request(b"1")]).len(), 1);
}
