//! Outlets from outside: files, pipes, processes that die, disks that are full.

#![allow(
    clippy::print_stderr,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may fail loudly"
)]

mod crash;
mod disk;
mod files;
mod lines;
mod rotation;
mod streams;

use correlate::Record;
use correlate::record::{Notice, NoticeCode, SCHEMA};
use net::Timestamp;
use sinks::outlet::{Handle, OutletStats};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// An event that holds `n`, and some text to give it a length that events have.
fn event(n: u64) -> Record {
    noted(format!("{n} {}", "-".repeat(usize::try_from(n * 7 % 120).unwrap())))
}

fn noted(message: String) -> Record {
    let ts = Timestamp(1_795_425_121_123_456_789);
    let code = NoticeCode::LimitMet;
    Record::Notice(Notice { schema: SCHEMA, ts, sensor: "test".into(), code, message, flow: None, held_back: 0 })
}

/// The numbers of the events in a file of whole lines.
#[track_caller]
fn numbers(path: &Path) -> Vec<u64> {
    numbers_in(&std::fs::read(path).unwrap())
}

#[track_caller]
fn numbers_in(bytes: &[u8]) -> Vec<u64> {
    assert!(bytes.is_empty() || bytes.ends_with(b"\n"), "the last line is torn");
    bytes.split(|b| *b == b'\n').filter(|line| !line.is_empty()).map(number).collect()
}

#[track_caller]
fn number(line: &[u8]) -> u64 {
    let value: serde_json::Value =
        serde_json::from_slice(line).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(line)));
    let message = value["message"].as_str().unwrap();
    message.split(' ').next().unwrap().parse().unwrap()
}

/// Asks again until it is so.
#[track_caller]
fn eventually(what: &str, mut so: impl FnMut() -> bool) {
    let until = now() + Duration::from_secs(20);
    while !so() {
        assert!(now() < until, "not within 20 s: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[expect(clippy::disallowed_methods, reason = "a test that waits has to know for how long")]
fn now() -> Instant {
    Instant::now()
}

#[track_caller]
fn adds_up(stats: &OutletStats) {
    assert_eq!(stats.given, stats.written + stats.dropped + stats.queued, "{stats:?}");
}

/// Waits until all that was given is written.
#[track_caller]
fn drained(handle: &Handle) {
    eventually("all written", || handle.stats().queued == 0);
    assert_eq!(handle.stats().queue_bytes, 0);
}

/// This program again, to run the one test `name`, which is for such use only, on `path`.
fn again(name: &str, path: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    child(&mut command, name, path);
    command
}

fn child(command: &mut Command, name: &str, path: &Path) {
    command.args(["--exact", name, "--ignored", "--nocapture"]).env("OUTLET_TEST_PATH", path);
}

/// What [`again`] was given.
fn given_path() -> std::path::PathBuf {
    std::env::var_os("OUTLET_TEST_PATH").expect("run by another test").into()
}
