//! Pipes and devices: readers that are slow, come late, or go.

use crate::{adds_up, again, drained, event, eventually, given_path, now, number, numbers_in};
use sinks::outlet::{Outlet, OutletOptions, State};
use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

fn fifo(dir: &Path) -> PathBuf {
    let path = dir.join("fifo");
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    path
}

fn open(path: &Path, queue_bytes: usize) -> Outlet {
    let options = OutletOptions { queue_bytes, ..OutletOptions::new(path.to_str().unwrap()) };
    Outlet::open(options.prompt()).unwrap()
}

#[test]
fn a_named_pipe_without_a_reader_blocks_nobody_and_the_late_reader_gets_what_waited() {
    let dir = tempfile::tempdir().unwrap();
    let path = fifo(dir.path());
    let mut outlet = open(&path, 10_000);
    let taken: Vec<u64> = (0..1000).filter(|n| outlet.give(&event(*n))).collect();
    let handle = outlet.handle();
    eventually("the failure", || matches!(handle.state(), State::Failing { .. }));
    let stats = handle.stats();
    adds_up(&stats);
    assert!(stats.written == 0 && stats.dropped > 900 && stats.queue_bytes <= 10_000, "{stats:?}");
    let reader = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        File::open(path).unwrap().read_to_end(&mut bytes).unwrap();
        bytes
    });
    drained(&handle);
    assert_eq!(handle.state(), State::Writing);
    outlet.close(Duration::from_secs(20));
    assert_eq!(numbers_in(&reader.join().unwrap()), taken);
}

#[test]
fn closing_keeps_its_deadline_and_says_what_was_lost() {
    let dir = tempfile::tempdir().unwrap();
    let path = fifo(dir.path());
    let mut outlet = open(&path, 1 << 20);
    for n in 0..100 {
        assert!(outlet.give(&event(n)));
    }
    let start = now();
    let totals = outlet.close(Duration::from_millis(50));
    assert!(start.elapsed() < Duration::from_secs(5));
    adds_up(&totals.stats);
    assert_eq!((totals.lost_at_end, totals.stats.dropped, totals.stats.queued), (100, 100, 0));

    // The same where somebody holds the pipe and reads nothing.
    let reader = OpenOptions::new().read(true).custom_flags(0o4000).open(&path).unwrap();
    let mut outlet = open(&path, 1 << 20);
    let taken = (0..5000).filter(|n| outlet.give(&event(*n))).count() as u64;
    let handle = outlet.handle();
    eventually("a full pipe", || handle.stats().written > 100);
    let totals = outlet.close(Duration::from_millis(50));
    adds_up(&totals.stats);
    assert!(totals.lost_at_end > 0 && totals.stats.errors == 0, "{totals:?}");
    assert_eq!(totals.stats.written + totals.lost_at_end, taken);
    drop(reader);
}

#[test]
fn a_reader_that_comes_after_another_gets_whole_lines() {
    let dir = tempfile::tempdir().unwrap();
    let path = fifo(dir.path());
    let mut outlet = open(&path, 1 << 20);
    let mut first = OpenOptions::new().read(true).custom_flags(0o4000).open(&path).unwrap();
    let mut n = 0;
    // More than a pipe holds: writing stops in the middle of a line.
    while n < 3000 {
        outlet.give(&event(n));
        n += 1;
    }
    let handle = outlet.handle();
    eventually("a full pipe", || handle.stats().written > 100);
    let mut some = vec![0; 1000];
    first.read_exact(&mut some).unwrap();
    drop(first);
    eventually("the loss of the reader", || matches!(handle.state(), State::Failing { .. }));
    let before = handle.stats().written;
    let mut second = BufReader::new(File::open(&path).unwrap());
    let mut line = Vec::new();
    second.read_until(b'\n', &mut line).unwrap();
    assert_eq!(number(line.strip_suffix(b"\n").unwrap()), before, "the line that was torn, from its beginning");
    let rest = std::thread::spawn(move || {
        let mut rest = Vec::new();
        second.read_to_end(&mut rest).unwrap();
        rest
    });
    let totals = outlet.close(Duration::from_secs(20));
    adds_up(&totals.stats);
    assert_eq!((totals.stats.written, totals.lost_at_end), (n, 0));
    assert_eq!(numbers_in(&rest.join().unwrap()), (before + 1..n).collect::<Vec<_>>());
}

#[test]
fn a_device_that_is_full_is_tried_again_while_the_queue_fills() {
    let mut outlet = open(Path::new("/dev/full"), 5000);
    let handle = outlet.handle();
    let mut n = 0;
    eventually("loss", || {
        n += 1;
        outlet.give(&event(n));
        let stats = handle.stats();
        adds_up(&stats);
        stats.dropped > 10 && stats.errors > 1
    });
    assert!(matches!(handle.state(), State::Failing { why, .. } if why.contains("/dev/full")));
    let totals = outlet.close(Duration::ZERO);
    adds_up(&totals.stats);
    assert_eq!((totals.stats.written, totals.stats.dropped), (0, n));
    let mut null = open(Path::new("/dev/null"), 5000);
    assert!(null.give(&event(1)));
    assert_eq!(null.close(Duration::from_secs(20)).stats.written, 1);
}

/// Writes to standard output until its reader has gone, and says on standard error what became of it.
#[test]
#[ignore = "run by others, as a process of its own"]
fn child_writes_to_standard_output() {
    let _ = given_path();
    let mut outlet = Outlet::open(OutletOptions::new("-").prompt()).unwrap();
    let handle = outlet.handle();
    let mut n = 0;
    while handle.state() != State::Closed {
        outlet.give(&event(n));
        n += 1;
        if handle.stats().queue_bytes > 100_000 {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    assert!(!outlet.give(&event(n)), "nobody reads it any more");
    let totals = outlet.close(Duration::from_secs(5));
    adds_up(&totals.stats);
    assert!(totals.stats.given == n + 1 && totals.stats.written >= 1000 && totals.stats.dropped > 0);
    assert_eq!(totals.lost_at_end, 0, "what is lost with the reader is lost before the end");
    eprintln!("ended quietly");
    std::process::exit(7);
}

#[test]
fn a_closed_pipe_ends_quietly() {
    let mut child = again("streams::child_writes_to_standard_output", Path::new("-"));
    let mut child = child.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // The test harness of the child speaks first.
    let lines = BufReader::new(child.stdout.take().unwrap()).split(b'\n').map(Result::unwrap);
    let events = lines.filter(|line| line.starts_with(b"{")).take(1000).map(|line| number(&line));
    assert_eq!(events.collect::<Vec<_>>(), (0..1000).collect::<Vec<_>>());
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(7) && said.contains("ended quietly"), "{said}");
}
