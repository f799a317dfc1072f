//! A disk that is full, and a directory that may not be written to any more. Both need root, for a namespace with a
//! small disk of its own and for another user; without, they say that they were skipped.

use crate::{adds_up, child, drained, event, eventually, given_path, numbers};
use sinks::outlet::{Outlet, OutletOptions, State};
use std::fs;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// Whether a command runs here at all.
fn works(program: &str, args: &[&str]) -> bool {
    let works = Command::new(program).args(args).output().is_ok_and(|o| o.status.success());
    if !works {
        eprintln!("skipped: `{program} {}` does not work here", args.join(" "));
    }
    works
}

fn run(command: &mut Command, name: &str, path: &Path) {
    child(command, name, path);
    let output = command.output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

#[test]
fn a_full_disk_tears_no_line_loses_only_what_is_counted_and_recovers() {
    if works("unshare", &["--mount", "true"]) {
        let dir = tempfile::tempdir().unwrap();
        let mut command = Command::new("unshare");
        command.arg("--mount").arg(std::env::current_exe().unwrap());
        run(&mut command, "disk::child_fills_a_small_disk", dir.path());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "the disk was the child's alone");
    }
}

#[test]
#[ignore = "run by another, in a namespace of its own"]
fn child_fills_a_small_disk() {
    let dir = given_path();
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=64k", "none"]).arg(&dir).status().unwrap();
    assert!(mounted.success());
    let (path, ballast) = (dir.join("events.jsonl"), dir.join("ballast"));
    fs::write(&ballast, vec![0; 44 << 10]).unwrap();
    let room = 12_000;
    let mut outlet =
        Outlet::open(OutletOptions { queue_bytes: room, ..OutletOptions::new(path.to_str().unwrap()) }.prompt())
            .unwrap();
    let handle = outlet.handle();
    let mut n = 0;
    let mut fill = |outlet: &mut Outlet| {
        eventually("a full disk", || {
            outlet.give(&event(n));
            n += 1;
            adds_up(&handle.stats());
            handle.stats().dropped > 50 && handle.stats().errors > 2
        });
        n
    };
    let given = fill(&mut outlet);
    let State::Failing { why, .. } = handle.state() else { panic!("{:?}", handle.state()) };
    assert!(why.contains("No space left") && why.contains("events.jsonl"), "{why}");
    let full = handle.stats();
    assert_eq!(numbers(&path).len() as u64, full.written, "no torn line while the disk is full");
    assert_eq!(full.given, given);

    let start = crate::now();
    fs::remove_file(&ballast).unwrap();
    drained(&handle);
    assert!(start.elapsed() < Duration::from_secs(5), "recovered within 5 s");
    assert_eq!(handle.state(), State::Writing);
    let after = handle.stats();
    assert_eq!((after.dropped, after.written), (full.dropped, full.written + full.queued), "what waited is written");
    let lines = numbers(&path);
    assert_eq!(lines.len() as u64, after.written);
    assert!(lines.is_sorted_by(|a, b| a < b), "in order, none twice");

    // Full at the end: what could not be written is said.
    let old = after.dropped;
    eventually("a full disk again", || {
        outlet.give(&event(1_000_000));
        handle.stats().dropped > old + 50
    });
    let totals = outlet.close(Duration::from_millis(100));
    adds_up(&totals.stats);
    assert!(totals.lost_at_end > 0, "{totals:?}");
    assert_eq!(numbers(&path).len() as u64, totals.stats.written);
}

/// Nobody, wherever that user has a number.
const NOBODY: u32 = 65_534;

#[test]
fn lines_wait_while_the_file_may_not_be_opened() {
    let who = ["--reuid=65534", "--regid=65534", "--clear-groups"];
    let program = std::env::current_exe().unwrap();
    let root = fs::metadata("/proc/self").unwrap().uid() == 0;
    let list = [program.to_str().unwrap(), "--list"];
    if !root || !works("setpriv", &[&who[..], &list].concat()) {
        eprintln!("skipped: only root can become another user, who must be able to run this test");
        return;
    }
    let dir =
        tempfile::Builder::new().permissions(std::os::unix::fs::PermissionsExt::from_mode(0o755)).tempdir().unwrap();
    let logs = dir.path().join("logs");
    fs::create_dir(&logs).unwrap();
    chown(&logs, Some(NOBODY), Some(NOBODY)).unwrap();
    let mut command = Command::new("setpriv");
    command.args(who).arg(program);
    run(&mut command, "disk::child_loses_its_permission", &logs);
}

#[test]
#[ignore = "run by another, as another user"]
fn child_loses_its_permission() {
    let logs = given_path();
    let mode = |mode| fs::set_permissions(&logs, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
    let path = logs.join("events.jsonl");
    let mut outlet = Outlet::open(OutletOptions::new(path.to_str().unwrap()).prompt()).unwrap();
    let handle = outlet.handle();
    outlet.give(&event(0));
    drained(&handle);
    fs::rename(&path, logs.join("old")).unwrap();
    mode(0o500);
    outlet.reopen();
    outlet.give(&event(1));
    eventually("the refusal", || matches!(handle.state(), State::Failing { why, .. } if why.contains("let this user")));
    assert!(handle.stats().errors > 0 && handle.stats().dropped == 0);
    mode(0o700);
    let totals = outlet.close(Duration::from_secs(20));
    adds_up(&totals.stats);
    assert_eq!((totals.stats.written, numbers(&path)), (2, vec![1]));
}
