//! What is written, when, and what is counted.

use crate::{adds_up, drained, event, eventually, noted, numbers};
use sinks::jsonl;
use sinks::outlet::{Fsync, Outlet, OutletOptions, State};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

const LONG: Duration = Duration::from_hours(1);
const ENOUGH: Duration = Duration::from_secs(20);

fn options(path: &Path) -> OutletOptions {
    OutletOptions::new(path.to_str().unwrap())
}

#[test]
fn everything_given_is_written_in_order_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("events.jsonl");
    let mut outlet = Outlet::open(options(&path)).unwrap();
    for n in 0..20_000 {
        assert!(outlet.give(&event(n)));
    }
    let totals = outlet.close(ENOUGH);
    adds_up(&totals.stats);
    assert_eq!((totals.stats.written, totals.stats.dropped, totals.lost_at_end), (20_000, 0, 0));
    assert_eq!(totals.stats.bytes, path.metadata().unwrap().len());
    assert_eq!(numbers(&path), (0..20_000).collect::<Vec<_>>());
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o7777 & !0o640, 0, "0640 or tighter");
}

#[test]
fn a_line_waits_for_others_no_longer_than_it_was_told_to() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("slow");
    let mut slow = Outlet::open(OutletOptions { flush: LONG, ..options(&path) }).unwrap();
    let mut prompt = Outlet::open(options(&dir.path().join("prompt")).prompt()).unwrap();
    let mut usual = Outlet::open(options(&dir.path().join("usual"))).unwrap();
    for outlet in [&mut slow, &mut prompt, &mut usual] {
        assert!(outlet.give(&event(1)));
    }
    drained(&prompt.handle());
    drained(&usual.handle());
    let waiting = slow.stats();
    assert_eq!((waiting.written, waiting.queued), (0, 1));
    assert!(waiting.lag > Duration::ZERO && waiting.queue_bytes > 0);
    // What fills a chunk is written at once.
    for n in 2..2000 {
        slow.give(&event(n));
    }
    let handle = slow.handle();
    eventually("the full chunks", || handle.stats().written > 1000);
    assert!(handle.stats().queued > 0);
    assert_eq!(slow.close(ENOUGH).stats.written, 1999);
    assert_eq!(numbers(&path).len(), 1999);
    assert_eq!(handle.state(), State::Ended);
}

#[test]
fn what_is_on_the_disk_is_counted_apart() {
    let dir = tempfile::tempdir().unwrap();
    for (name, fsync, synced) in [
        ("never", Fsync::Never, 0),
        ("interval", Fsync::Interval(Duration::from_millis(5)), 10),
        ("always", Fsync::Always, 10),
    ] {
        let options = OutletOptions { fsync, ..options(&dir.path().join(name)) };
        let mut outlet = Outlet::open(options).unwrap();
        (0..10).for_each(|n| assert!(outlet.give(&event(n))));
        let handle = outlet.handle();
        drained(&handle);
        eventually(name, || handle.stats().synced == synced);
        assert_eq!(outlet.close(ENOUGH).stats.synced, synced, "{name}");
    }
}

#[test]
fn the_counters_add_up_at_any_moment_and_a_full_queue_never_waits() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("events.jsonl");
    let room = 32 << 10;
    let mut outlet = Outlet::open(OutletOptions { queue_bytes: room, ..options(&path) }.prompt()).unwrap();
    let handle = outlet.handle();
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                let stats = handle.stats();
                adds_up(&stats);
                assert!(stats.queue_bytes <= room as u64);
            }
        });
        let taken = (0..50_000).filter(|n| outlet.give(&event(*n))).count() as u64;
        let totals = outlet.close(ENOUGH);
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        assert_eq!((totals.stats.given, totals.stats.written, totals.lost_at_end), (50_000, taken, 0));
    });
    let written = numbers(&path);
    assert_eq!(written.len() as u64, handle.stats().written);
    assert!(written.is_sorted_by(|a, b| a < b), "in order, none twice");
}

#[test]
fn a_line_that_can_never_fit_is_dropped_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("events.jsonl");
    let mut outlet = Outlet::open(OutletOptions { queue_bytes: 300_000, ..options(&path) }).unwrap();
    assert!(outlet.give(&event(1)));
    assert!(!outlet.give(&noted(format!("2 {}", "x".repeat(300_000)))));
    // Longer than a chunk.
    assert!(outlet.give(&noted(format!("3 {}", "x".repeat(200_000)))));
    assert!(outlet.give(&event(4)));
    let totals = outlet.close(ENOUGH);
    assert_eq!((totals.stats.dropped, totals.lost_at_end), (1, 0));
    assert_eq!(numbers(&path), [1, 3, 4]);
}

#[test]
fn no_text_from_the_wire_forges_a_line() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("events.jsonl");
    let mut outlet = Outlet::open(options(&path)).unwrap();
    let odd = "1 \"}\r\n{\"schema\":1,\"type\":\"detection\",\"id\":\"forged\"}\n\0\u{1b}[2J\u{85}\u{2028}\u{7f}\\";
    assert!(outlet.give(&noted(odd.into())));
    let mut line = Vec::new();
    jsonl::line(&event(2), &mut line).unwrap();
    assert!(outlet.give_line(&line));
    for forged in [&b""[..], b"{}", b"{}\n{}\n", b"\n\n"] {
        assert!(!outlet.give_line(forged), "not one line");
    }
    let totals = outlet.close(ENOUGH);
    assert_eq!((totals.stats.given, totals.stats.written, totals.stats.dropped), (6, 2, 4));
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(numbers(&path), [1, 2]);
    assert!(text.lines().count() == 2 && !text.chars().any(|c| c.is_control() && c != '\n'), "{text}");
    let first: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    assert_eq!(first["message"], odd);
}

#[test]
fn several_outlets_write_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let paths: Vec<_> = (0..3).map(|n| dir.path().join(n.to_string())).collect();
    let mut outlets: Vec<_> = paths.iter().map(|path| Outlet::open(options(path)).unwrap()).collect();
    let mut line = Vec::new();
    for n in 0..100 {
        jsonl::line(&event(n), &mut line).unwrap();
        for outlet in &mut outlets {
            assert!(outlet.give_line(&line));
        }
    }
    drop(outlets);
    for path in paths {
        assert_eq!(numbers(&path), (0..100).collect::<Vec<_>>(), "dropping one waits for its lines");
    }
}
