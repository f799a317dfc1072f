//! Interfaces that vanish, disks that fill up: the capture goes on and the counters tell.

use crate::needs_lab;
use crate::process::{RUN, service};
use crate::support::*;
use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::process::Command;

#[test]
fn an_interface_that_is_removed_and_made_again_is_captured_again() {
    needs_lab!();
    let (lab, dir) = (Lab::new(), directory());
    let path = dir.path().join("events.jsonl");
    service(dir.path(), "[[sink]]\nkind = \"jsonl\"\npath = \"events.jsonl\"\nflush_ms = 1\n");
    let sensor = Running::start(&mut lab.sensor(dir.path(), &RUN));
    let holds = |text: &str| fs::read_to_string(&path).is_ok_and(|told| told.contains(text));
    for round in 1..=2 {
        lab.send(&conversation(round));
        until_called(&path, round);
        lab.unplug();
        until("interface_down", || count(&path, "interface_down") == round);
        lab.plug();
        until("interface_up", || count(&path, "interface_up") == round);
    }
    lab.send(&conversation(3));
    let ended = sensor.stop().well();
    assert!(holds("interface_up"), "{}", ended.stderr);
    assert_eq!(ended.stderr.matches("captured again after").count(), 2, "{}", ended.stderr);
    let told = events_of(&path);
    assert_eq!(called(&told), [1, 2, 3]);
    adds_up(&totals(&told));
}

fn count(path: &Path, code: &str) -> usize {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.matches(&format!("\"code\":\"{code}\"")).count()
}

#[test]
fn without_the_right_to_open_it_again_an_interface_that_is_gone_is_the_end() {
    needs_lab!();
    let (lab, dir) = (Lab::new(), directory());
    service(dir.path(), "[process]\nkeep_net_raw = false\n[[sink]]\nkind = \"jsonl\"\npath = \"events.jsonl\"\n");
    let sensor = Running::start(&mut lab.sensor(dir.path(), &RUN));
    lab.send(&conversation(1));
    until_called(&dir.path().join("events.jsonl"), 1);
    lab.unplug();
    let ended = sensor.end();
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains("went away"), "{}", ended.stderr);
    assert_eq!(called(&events_of(&dir.path().join("events.jsonl"))), [1]);
}

/// A small disk of its own; unmounted at the end.
struct SmallDisk<'p>(&'p Path);

impl SmallDisk<'_> {
    fn mount(path: &Path) -> Option<SmallDisk<'_>> {
        fs::create_dir(path).unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=64k", "tmpfs"]).arg(path).status();
        mounted.is_ok_and(|status| status.success()).then_some(SmallDisk(path))
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}

#[test]
fn a_full_disk_stops_no_capture_and_what_could_not_be_written_is_told() {
    needs_lab!();
    let (lab, dir) = (Lab::new(), directory());
    let small = dir.path().join("small");
    let Some(_disk) = SmallDisk::mount(&small) else {
        println!("skipped: no tmpfs can be mounted here");
        return;
    };
    let full = small.join("events.jsonl");
    let whole = dir.path().join("whole.jsonl");
    let sink = |path: &Path| format!("[[sink]]\nkind = \"jsonl\"\npath = {path:?}\nflush_ms = 1\n");
    // A queue of 1 MiB holds what does not fit, for a while.
    let small_sink = format!("{}queue_bytes = 1048576\n", sink(&full));
    service(dir.path(), &format!("{small_sink}{}", sink(&whole)));
    let mut sensor = Running::start(&mut lab.sensor(dir.path(), &RUN));
    let mut n = 0;
    let mut send = |count: usize| {
        for _ in 0..count {
            lab.send(&conversation(n));
            n += 1;
        }
        n - 1
    };
    let last = send(200);
    until_called(&whole, last);
    sensor.wait_for("events are not written");
    let told = fs::read_to_string(&full).unwrap();
    assert!(told.len() <= 64 << 10 && told.ends_with('\n'), "only whole lines: {}", told.len());
    // Somebody makes room, without knowing of us.
    fs::rename(&full, dir.path().join("moved.jsonl")).unwrap_or_else(|_| {
        fs::copy(&full, dir.path().join("moved.jsonl")).unwrap();
        fs::remove_file(&full).unwrap();
    });
    let ended = {
        let last = send(10);
        until_called(&whole, last);
        sensor.stop().well()
    };
    let whole = events_of(&whole);
    assert_eq!(called(&whole), (0..n).collect::<Vec<_>>(), "the other sink has all");
    let moved = events_of(&dir.path().join("moved.jsonl"));
    let rest = fs::read_to_string(&full).unwrap_or_default();
    let rest = events(&rest);
    let kept = called(&[moved, rest].concat());
    assert!(kept.len() < n, "64 KiB are less than all of it");
    let mut sorted = kept.clone();
    sorted.sort_unstable();
    sorted.dedup();
    assert_eq!(sorted, kept, "none twice, all in order");
    assert!(ended.stderr.contains("not written to"), "{}", ended.stderr);
    adds_up(&totals(&whole));
}

#[test]
fn events_that_a_slow_reader_makes_us_drop_are_told_while_it_lasts_and_when_it_is_over() {
    needs_lab!();
    let (lab, dir) = (Lab::new(), directory());
    let sink = "[[sink]]\nkind = \"jsonl\"\npath = \"-\"\nqueue_bytes = 1048576\n";
    service(dir.path(), &format!("{sink}[[sink]]\nkind = \"jsonl\"\npath = \"whole.jsonl\"\nflush_ms = 1\n"));
    let (mut sensor, mut stdout) = Running::start_held(&mut lab.sensor(dir.path(), &RUN));
    let whole = dir.path().join("whole.jsonl");
    let mut n = 0;
    // A pipe, and the queue before it, and more.
    while fs::metadata(&whole).map_or(0, |meta| meta.len()) < 2 << 20 {
        lab.send(&(n..n + 50).flat_map(conversation).collect::<Vec<_>>());
        n += 50;
        until_called(&whole, n - 1);
    }
    let told = sensor.wait_for("events are being dropped");
    assert!(told.contains("- lost") && told.contains("slower than they come"), "{told}");
    until("the notice", || count(&whole, "overload") == 1);
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        stdout.read_to_string(&mut text).unwrap();
        text
    });
    sensor.wait_for("no event was dropped for 5 s");
    until("the other notice", || count(&whole, "overload") == 2);
    let ended = sensor.stop().well();
    let (read, whole) = (events(&reader.join().unwrap()), events_of(&whole));
    let lost = whole.len() - read.len();
    assert!(lost > 0 && ended.stderr.contains(&format!("lost={lost}")), "{lost}: {}", ended.stderr);
    assert_eq!(totals(&read)["notices"]["overload"], 2);
}
