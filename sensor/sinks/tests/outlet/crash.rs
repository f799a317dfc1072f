//! Killed at any moment.

use crate::{again, event, given_path, numbers};
use sinks::outlet::{Fsync, Outlet, OutletOptions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

/// Goes on with the numbers in a file until it is killed, and says how many are acknowledged.
#[test]
#[ignore = "run by another, as a process of its own"]
fn child_writes_until_it_is_killed() {
    let path = given_path();
    let safe = path.extension().is_some_and(|e| e == "safe");
    let fsync = if safe { Fsync::Always } else { Fsync::Never };
    let mut outlet =
        Outlet::open(OutletOptions { fsync, ..OutletOptions::new(path.to_str().unwrap()) }.prompt()).unwrap();
    let first = numbers(&path).len() as u64;
    let mut out = std::io::stdout();
    for n in first.. {
        outlet.give(&event(n));
        let stats = outlet.stats();
        let done = if safe { stats.synced } else { stats.written };
        writeln!(out, "acknowledged {}", first + done).unwrap();
    }
}

fn killed_often(path: &Path, times: u64) {
    let mut whole = 0;
    for round in 0..times {
        let mut child = again("crash::child_writes_until_it_is_killed", path)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
        let acknowledged = |line: String| line.strip_prefix("acknowledged ").and_then(|n| n.parse::<u64>().ok());
        let mut told = 0;
        // Some moment: after so many words of it.
        let words = (round * 7919) % 997;
        for line in said.by_ref().take(usize::try_from(words).unwrap() + 4) {
            told = told.max(acknowledged(line.unwrap()).unwrap_or(0));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        // What it had said before it died; the last word may be torn.
        told = said
            .map_while(Result::ok)
            .filter_map(acknowledged)
            .take_while(|n| *n < told + 1_000_000)
            .fold(told, u64::max);
        let bytes = std::fs::read(path).unwrap();
        let end = bytes.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
        let lines = crate::numbers_in(&bytes[..end]);
        assert_eq!(lines, (0..lines.len() as u64).collect::<Vec<_>>(), "whole, in order, none twice");
        assert!(lines.len() as u64 >= told.max(whole), "round {round}: {} lines, {told} acknowledged", lines.len());
        whole = lines.len() as u64;
        let outlet = Outlet::open(OutletOptions::new(path.to_str().unwrap())).unwrap();
        assert_eq!(outlet.stats().repaired_bytes, (bytes.len() - end) as u64);
        outlet.close(Duration::from_secs(20));
        assert_eq!(numbers(path).len() as u64, whole);
        // Whatever the kernel made of it, the next round begins behind a tear.
        let mut file = std::fs::OpenOptions::new().append(true).open(path).unwrap();
        file.write_all(
            &b"{\"schema\":1,\"type\":\"notice\",\"message\":\"torn"[..usize::try_from(round % 40).unwrap()],
        )
        .unwrap();
    }
    assert!(whole > times, "it wrote something: {whole}");
}

#[test]
fn fifty_kills_lose_nothing_that_was_acknowledged_and_leave_whole_lines() {
    let dir = tempfile::tempdir().unwrap();
    killed_often(&dir.path().join("events.jsonl"), 50);
}

#[test]
fn what_is_synced_is_there_after_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    killed_often(&dir.path().join("events.safe"), 10);
}
