//! Which targets are taken, and the end of a file that is there.

use crate::{event, numbers};
use sinks::outlet::{Outlet, OutletOptions, Target};
use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::Duration;

fn open(path: &Path) -> Result<Outlet, String> {
    Outlet::open(OutletOptions::new(path.to_str().unwrap())).map_err(|e| e.to_string())
}

#[test]
fn a_target_that_will_not_do_is_named_with_what_would() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::write(at("capture.pcap"), b"\xd4\xc3\xb2\xa1\x02\0\x04\0\nrest").unwrap();
    fs::write(at("taken"), "").unwrap();
    symlink(at("taken"), at("link")).unwrap();
    symlink(at("nowhere"), at("dangling")).unwrap();
    let _socket = UnixListener::bind(at("socket")).unwrap();
    let _holder = open(&at("taken")).unwrap();
    for (name, want) in [
        ("missing/events.jsonl", "there is no directory"),
        ("capture.pcap/events.jsonl", "there is no directory"),
        ("link", "it is a symbolic link"),
        ("dangling", "it is a symbolic link"),
        (".", "it is a directory; name a file"),
        ("socket", "it is a socket; name a file"),
        ("taken", "give each a file of its own"),
        ("capture.pcap", "name another file"),
    ] {
        let error = open(&at(name)).unwrap_err();
        assert!(error.contains(want) && error.contains(at(name).to_str().unwrap()), "{name}: {error}");
    }
    assert_eq!(fs::read(at("capture.pcap")).unwrap().len(), 13, "what is not ours is left alone");
    assert!(!at("nowhere").exists(), "nothing was made through a link");
    assert_eq!(Target::new("-"), Target::Stdout);
    assert_eq!(Target::new("./-"), Target::Path("./-".into()));
}

#[test]
fn a_torn_end_is_cut_off_before_anything_is_added() {
    let line = "{\"message\":\"1 x\"}\n";
    let zeros = format!("{line}{}", "\0".repeat(5000));
    let far = format!("{line}{{\"message\":\"{}", "x".repeat(300_000));
    let boundary = format!("{line}{{{}", "x".repeat((64 << 10) - 1));
    for (name, before, cut) in [
        ("nothing", "", 0),
        ("whole", line, 0),
        ("torn", "{\"message\":\"1 x\"}\n{\"mess", 6),
        ("torn from the first", "{\"mess", 6),
        ("one byte", "{", 1),
        ("zeros of a power cut", &zeros, 5000),
        ("far from the end", &far, 300_012),
        ("as long as what is read at once", &boundary, 64 << 10),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events.jsonl");
        fs::write(&path, before).unwrap();
        let mut outlet = open(&path).unwrap();
        assert_eq!(outlet.stats().repaired_bytes, cut, "{name}");
        assert!(outlet.give(&event(2)));
        outlet.close(Duration::from_secs(20));
        let want: &[u64] = if before.contains('\n') { &[1, 2] } else { &[2] };
        assert_eq!(numbers(&path), want, "{name}");
    }
}
