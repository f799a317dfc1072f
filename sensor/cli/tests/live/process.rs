//! Starts, ends, and what a crash leaves behind.

use crate::needs_lab;
use crate::support::*;
use nix::fcntl::OFlag;
use nix::pty::{PtyMaster, grantpt, posix_openpt, ptsname_r, unlockpt};
use nix::sys::signal::Signal;
use std::fs::{self, File, OpenOptions, Permissions};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::time::Duration;

/// A configuration for `run` with one source and these sinks.
pub(crate) fn service(dir: &Path, more: &str) {
    let source = format!("[[source]]\nkind = \"interface\"\ninterface = \"{SPAN}\"\n");
    fs::write(dir.join("sensor.toml"), format!("{more}\n{source}")).unwrap();
}

pub(crate) const RUN: [&str; 3] = ["-c", "sensor.toml", "run"];

#[test]
fn a_service_writes_to_all_sinks_and_drains_when_told_to_stop() {
    needs_lab!();
    let (lab, dir) = (Lab::new(), directory());
    let sinks = "[sensor]\nname = \"hq-span-1\"\n[[sink]]\nkind = \"jsonl\"\npath = \"a.jsonl\"\n\
                 [[sink]]\nkind = \"jsonl\"\npath = \"-\"\n";
    service(dir.path(), sinks);
    let sensor = Running::start(&mut lab.sensor(dir.path(), &RUN));
    for n in 0..50 {
        lab.send(&conversation(n));
    }
    let asked = clock();
    let ended = sensor.stop().well();
    assert!(asked.elapsed() < Duration::from_secs(5), "it took {:?}", asked.elapsed());
    let file = fs::read_to_string(dir.path().join("a.jsonl")).unwrap();
    assert_eq!(file, ended.stdout);
    let told = events(&file);
    assert_eq!(told[0]["type"], "run");
    assert_eq!(told[0]["sources"][0]["kind"], "interface");
    assert_eq!(told[0]["sources"][0]["name"], SPAN);
    assert!(told.iter().all(|e| e["sensor"] == "hq-span-1"));
    assert_eq!(called(&told), (0..50).collect::<Vec<_>>());
    adds_up(&totals(&told));
    let mode = fs::metadata(dir.path().join("a.jsonl")).unwrap().permissions().mode();
    assert_eq!(mode & 0o137, 0, "{mode:o}");
}

#[test]
fn an_interrupt_ends_it_well_too_and_the_last_line_has_the_sums() {
    needs_lab!();
    let (lab, dir) = (Lab::new(), directory());
    let sensor = Running::start(&mut lab.sensor(dir.path(), &["-c", "empty.toml", "capture", "-i", SPAN]));
    let frames = conversation(1);
    lab.send(&frames);
    sensor.signal(Signal::SIGINT);
    let ended = sensor.end().well();
    let last = ended.stderr.lines().last().unwrap();
    assert!(last.contains(&format!("packets={} drops=0 events=", frames.len())), "{last}");
}

/// A terminal, which hangs up once its master is dropped: no child keeps that.
fn terminal() -> (PtyMaster, File) {
    let master = posix_openpt(OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let mut options = OpenOptions::new();
    options.read(true).write(true).custom_flags(OFlag::O_NOCTTY.bits());
    let slave = options.open(ptsname_r(&master).unwrap()).unwrap();
    (master, slave)
}

#[test]
fn a_capture_whose_terminal_is_gone_ends_and_one_that_has_it_reads_its_configuration_again() {
    needs_lab!();
    let (lab, dir) = (Lab::new(), directory());
    let (master, slave) = terminal();
    let mut command = lab.sensor(dir.path(), &["-c", "empty.toml", "capture", "-i", SPAN]);
    let mut sensor = Running::begin_before(&mut command, slave);
    sensor.wait_for("capturing on");
    sensor.signal(Signal::SIGHUP);
    sensor.wait_for("are in force");
    lab.send(&conversation(1));
    drop(master);
    sensor.signal(Signal::SIGHUP);
    let ended = sensor.end().well();
    assert!(ended.stderr.contains("the terminal is gone"), "{}", ended.stderr);
    assert_eq!(called(&events(&ended.stdout)), [1]);
}

#[test]
fn it_ends_by_itself_after_the_time_asked_for() {
    needs_lab!();
    let (lab, dir) = (Lab::new(), directory());
    let args = ["-c", "empty.toml", "capture", "-i", SPAN, "--duration", "1"];
    let ended = Running::start(&mut lab.sensor(dir.path(), &args)).end().well();
    assert_eq!(events(&ended.stdout)[0]["type"], "run", "also without a packet");
}

#[test]
fn without_a_source_a_sink_an_interface_or_rights_nothing_starts() {
    needs_lab!();
    let (lab, dir) = (Lab::new(), directory());
    let fails = |args: &[&str], words: &[&str]| {
        let ended = Running::begin(&mut lab.sensor(dir.path(), args)).end();
        assert_eq!(ended.code, Some(2), "{args:?}: {}", ended.stderr);
        for word in words {
            assert!(ended.stderr.contains(word), "{args:?}: no `{word}` in {}", ended.stderr);
        }
    };
    fails(&["-c", "empty.toml", "run"], &["empty.toml names no source", "[[source]]", "kind = \"proxy\""]);
    service(dir.path(), "");
    fails(&RUN, &["sensor.toml names no sink", "[[sink]]"]);
    fails(&["-c", "empty.toml", "capture", "-i", "absent0"], &["no interface absent0", SPAN]);
    service(dir.path(), "[process]\nuser = \"nobody-here\"\n[[sink]]\nkind = \"jsonl\"\npath = \"-\"\n");
    fails(&RUN, &["no user `nobody-here`"]);
    service(dir.path(), "[[sink]]\nkind = \"jsonl\"\npath = \"absent/a.jsonl\"\n");
    fails(&RUN, &["absent"]);
    // What everybody may write to decides nothing.
    fs::create_dir(dir.path().join("own")).unwrap();
    let rules = dir.path().join("own/open.toml");
    fs::write(&rules, "[pack]\nid = \"own\"\nversion = \"1\"\n").unwrap();
    fs::set_permissions(&rules, Permissions::from_mode(0o666)).unwrap();
    service(dir.path(), "[rules]\ndirs = [\"own\"]\n[[sink]]\nkind = \"jsonl\"\npath = \"-\"\n");
    fails(&RUN, &["own/open.toml", "chmod o-w"]);
    let config = dir.path().join("sensor.toml");
    fs::set_permissions(&config, Permissions::from_mode(0o666)).unwrap();
    fails(&RUN, &["sensor.toml", "chmod o-w"]);
}

#[test]
fn a_crash_tears_no_line_and_the_next_start_goes_on_behind_it() {
    needs_lab!();
    let (lab, dir) = (Lab::new(), directory());
    let path = dir.path().join("events.jsonl");
    let args = ["-c", "empty.toml", "capture", "-i", SPAN, "-o", "events.jsonl"];
    let mut last = 0;
    for round in 0..5 {
        let sensor = Running::start(&mut lab.sensor(dir.path(), &args));
        let first = last;
        last += 20;
        for n in first..last {
            lab.send(&conversation(n));
        }
        // Nothing that was written by now may be gone afterwards.
        until_called(&path, last - 1);
        sensor.signal(Signal::SIGKILL);
        assert_eq!(sensor.end().code, None);
        if round == 2 {
            let torn = fs::read(&path).unwrap();
            fs::write(&path, [&torn[..], b"{\"schema\":1,\"type\":\"dete"].concat()).unwrap();
        }
    }
    let sensor = Running::start(&mut lab.sensor(dir.path(), &args));
    lab.send(&conversation(last));
    sensor.stop().well();
    let told = events_of(&path);
    assert_eq!(called(&told), (0..=last).collect::<Vec<_>>());
    assert_eq!(told.iter().filter(|e| e["type"] == "run").count(), 6);
}

#[test]
fn who_stops_reading_ends_a_capture() {
    needs_lab!();
    let (lab, dir) = (Lab::new(), directory());
    let mut command = lab.sensor(dir.path(), &["-c", "empty.toml", "capture", "-i", SPAN]);
    let mut sensor = Running::start_unread(&mut command);
    for n in 0..10 {
        lab.send(&conversation(n));
    }
    sensor.wait_for("packets=");
    sensor.end().well();
}
