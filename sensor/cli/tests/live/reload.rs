//! SIGHUP: other rules at a packet's edge, broken ones refused, outputs opened anew.

use crate::needs_lab;
use crate::process::{RUN, service};
use crate::support::*;
use nix::sys::signal::Signal;
use std::fs;

const SINK: &str = "[[sink]]\nkind = \"jsonl\"\npath = \"events.jsonl\"\nflush_ms = 1\n";

#[test]
fn new_rules_and_scope_hold_from_a_packet_on_and_broken_ones_never() {
    needs_lab!();
    let (lab, dir) = (Lab::new(), directory());
    let path = dir.path().join("events.jsonl");
    let with = |more: &str| service(dir.path(), &format!("{more}\n{SINK}"));
    with("");
    let mut sensor = Running::start(&mut lab.sensor(dir.path(), &RUN));
    lab.send(&conversation(1));
    until_called(&path, 1);

    with("[denied]\nservers = [\"mcp.example.com\"]\n");
    sensor.signal(Signal::SIGHUP);
    sensor.wait_for("are in force");
    until("the notice", || fs::read_to_string(&path).unwrap().contains("config_reloaded"));
    lab.send(&conversation(2));
    until_called(&path, 2);

    with("[denied]\nservers = [3]\n");
    sensor.signal(Signal::SIGHUP);
    let why = sensor.wait_for("stay in force");
    assert!(why.contains("error"), "{why}");
    until("the notice", || fs::read_to_string(&path).unwrap().contains("reload_failed"));
    lab.send(&conversation(3));
    until_called(&path, 3);

    // Rules, likewise.
    fs::create_dir(dir.path().join("own")).unwrap();
    let rule = |id: &str| {
        format!(
            "[pack]\nid = \"own\"\nversion = \"1\"\n[[signature]]\nid = \"{id}\"\nname = \"n\"\non = \"request.body\"\n\
             literal = [\"tool_4\"]\nweight = \"weak\"\n"
        )
    };
    fs::write(dir.path().join("own/own.toml"), rule("own.four")).unwrap();
    with("[rules]\ndirs = [\"own\"]\n");
    sensor.signal(Signal::SIGHUP);
    sensor.wait_for("are in force");
    until("the notice", || fs::read_to_string(&path).unwrap().matches("config_reloaded").count() == 2);
    lab.send(&conversation(4));
    until_called(&path, 4);
    fs::write(dir.path().join("own/own.toml"), "[pack]\nid = \"own\"\nnonsense = 1\n").unwrap();
    sensor.signal(Signal::SIGHUP);
    sensor.wait_for("stay in force");
    lab.send(&conversation(5));
    let ended = sensor.stop().well();
    assert!(ended.stderr.contains("own.toml"), "{}", ended.stderr);

    let told = events_of(&path);
    let classes: Vec<&str> =
        told.iter().filter(|e| e["type"] == "detection").map(|e| e["classification"].as_str().unwrap()).collect();
    assert_eq!(classes, ["shadow", "denied", "denied", "shadow", "shadow"]);
    let generations: Vec<&str> =
        told.iter().filter(|e| e["type"] == "detection").map(|e| e["rules_generation"].as_str().unwrap()).collect();
    assert_eq!(generations[0], generations[2]);
    assert_ne!(generations[2], generations[3]);
    assert_eq!(generations[3], generations[4]);
    let stats = totals(&told);
    assert_eq!(stats["notices"]["reload_failed"], 2, "{stats}");
    assert_eq!(stats["notices"]["config_reloaded"], 2, "{stats}");
    assert_eq!(stats["signals"]["own.four"], 1, "{stats}");
}

#[test]
fn what_a_reload_cannot_change_is_said() {
    needs_lab!();
    let (lab, dir) = (Lab::new(), directory());
    service(dir.path(), SINK);
    let mut sensor = Running::start(&mut lab.sensor(dir.path(), &RUN));
    service(dir.path(), &format!("[limits]\nflows = 6400\n{SINK}[[sink]]\nkind = \"jsonl\"\npath = \"-\"\n"));
    sensor.signal(Signal::SIGHUP);
    let told = sensor.wait_for("not in force before the next start");
    assert!(told.contains("[limits], [[sink]]"), "{told}");
    sensor.stop().well();
}

#[test]
fn a_file_that_was_moved_away_is_opened_anew() {
    needs_lab!();
    let (lab, dir) = (Lab::new(), directory());
    let (path, old) = (dir.path().join("events.jsonl"), dir.path().join("events.jsonl.1"));
    service(dir.path(), SINK);
    let mut sensor = Running::start(&mut lab.sensor(dir.path(), &RUN));
    lab.send(&conversation(1));
    until_called(&path, 1);
    fs::rename(&path, &old).unwrap();
    sensor.signal(Signal::SIGHUP);
    sensor.wait_for("are in force");
    until("a file in its place", || path.exists());
    lab.send(&conversation(2));
    sensor.stop().well();
    let (old, new) = (events_of(&old), events_of(&path));
    assert_eq!(called(&[old, new].concat()), [1, 2]);
}

#[test]
fn reloads_under_load_lose_no_detection() {
    needs_lab!();
    let (lab, dir) = (Lab::new(), directory());
    let with = |more: &str| service(dir.path(), &format!("{more}\n{SINK}"));
    with("");
    let mut sensor = Running::start(&mut lab.sensor(dir.path(), &RUN));
    // Half of them broken; more on request.
    let reloads: usize = std::env::var("RELOADS").map_or(100, |n| n.parse().unwrap());
    let mut n = 0;
    for round in 0..reloads {
        with(if round % 2 == 0 { "[denied]\nservers = [3]" } else { "" });
        sensor.signal(Signal::SIGHUP);
        lab.send(&(n..n + 10).flat_map(conversation).collect::<Vec<_>>());
        n += 10;
        sensor.wait_for("in force");
    }
    sensor.stop().well();
    let told = events_of(&dir.path().join("events.jsonl"));
    assert_eq!(called(&told), (0..n).collect::<Vec<_>>());
    let stats = totals(&told);
    adds_up(&stats);
    assert_eq!(stats["notices"]["reload_failed"], reloads / 2, "{stats}");
}
