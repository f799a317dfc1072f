//! Captures sent over the cable give what a replay of them gives.

use crate::needs_lab;
use crate::support::*;
use std::collections::BTreeMap;
use std::path::Path;

/// Sends a capture to a sensor of its own and holds what it finds against a replay.
#[track_caller]
fn check(lab: &Lab, name: &str, more: &[&str]) {
    let dir = directory();
    let path = fixture(name);
    let want = replayed(dir.path(), &path, more);
    let frames = frames(&path);
    let args = ["-c", "empty.toml", "capture", "-i", SPAN];
    let args: Vec<&str> = args.iter().chain(more).copied().collect();
    let sensor = Running::start(&mut lab.sensor(dir.path(), &args));
    lab.send(&frames);
    let ended = sensor.stop().well();
    let got = events(&ended.stdout);
    assert_eq!(found(&got), found(&want), "{name}\n{}", ended.stderr);
    assert_eq!(servers(&got), servers(&want), "{name}");
    let stats = totals(&got);
    adds_up(&stats);
    assert_eq!(stats["packets"].as_u64().unwrap(), frames.len() as u64, "{name}: {stats}");
    let summary = format!("packets={} drops=0 events={} lost=0", frames.len(), got.len());
    assert!(ended.stderr.contains(&summary), "{name}: no `{summary}` in {}", ended.stderr);
    let unplugged = got.iter().find(|e| e["code"] == "interface_down");
    assert_eq!(unplugged, None, "{name}");
    for event in got.iter().filter(|e| e["type"] == "detection") {
        assert_eq!(event["source"]["kind"], "interface", "{event}");
        assert_eq!(event["source"]["name"], SPAN, "{event}");
    }
}

/// Captures of one kind, one after the other over one cable.
fn check_all(wanted: impl Fn(&str) -> bool) {
    let lab = Lab::new();
    let folder = fixture("");
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| Path::new(name).extension().is_some_and(|e| e == "pcap") && wanted(name))
        .collect();
    names.sort();
    assert!(!names.is_empty());
    for name in names {
        let keys = fixture(&name).with_extension("keylog");
        let keys = keys.to_string_lossy();
        let more = if Path::new(&*keys).exists() { vec!["--keylog", &*keys] } else { Vec::new() };
        check(&lab, &name, &more);
    }
}

#[test]
fn session_captures_give_live_what_their_replay_gives() {
    needs_lab!();
    check_all(|name| name < "d10");
}

#[test]
fn encrypted_and_odd_captures_give_live_what_their_replay_gives() {
    needs_lab!();
    check_all(|name| ("d10".."e").contains(&name));
}

#[test]
fn tunnels_and_fragments_give_live_what_their_replay_gives() {
    needs_lab!();
    // A cable carries Ethernet only.
    check_all(|name| name.starts_with('v') && name != "v04_rawip.pcap");
}

#[test]
fn look_alikes_are_none_when_live_either() {
    needs_lab!();
    check_all(|name| name < "n05" && name.starts_with('n'));
}

#[test]
fn several_rings_and_threads_find_the_same() {
    needs_lab!();
    let lab = Lab::new();
    check(&lab, "d02_py1124_streamable.pcap", &["--threads", "1"]);
    let dir = directory();
    let path = fixture("d08_everything_inspector.pcap");
    let want = found(&replayed(dir.path(), &path, &[]));
    let args = ["-c", "empty.toml", "capture", "-i", SPAN, "--rings", "2", "--threads", "2"];
    let sensor = Running::start(&mut lab.sensor(dir.path(), &args));
    lab.send(&frames(&path));
    assert_eq!(found(&events(&sensor.stop().well().stdout)), want);
}

#[test]
fn two_interfaces_that_see_one_direction_each_make_one_flow() {
    needs_lab!();
    let (lab, dir) = (Lab::new(), directory());
    // The second cable of a tap.
    let (far, near) = (lab.far.as_str(), lab.near.as_str());
    for args in [
        &["-n", far, "link", "add", "far1", "type", "veth", "peer", "name", "span1", "netns", near][..],
        &["-n", far, "link", "set", "far1", "mtu", "65535", "arp", "off", "up"],
        &["-n", near, "link", "set", "span1", "mtu", "65535", "arp", "off", "up"],
    ] {
        ip(args);
    }
    let path = fixture("d02_py1124_streamable.pcap");
    let want = found(&replayed(dir.path(), &path, &[]));
    let sensor =
        Running::start(&mut lab.sensor(dir.path(), &["-c", "empty.toml", "capture", "-i", SPAN, "-i", "span1"]));
    // Whoever speaks first goes by the first cable.
    let mut sides: BTreeMap<Vec<u8>, &str> = BTreeMap::new();
    let frames = frames(&path).into_iter().map(|frame| {
        let (a, b) = (frame[26..30].to_vec(), frame[30..34].to_vec());
        let side = *sides.entry(a).or_insert(SENDER);
        sides.entry(b).or_insert(if side == SENDER { "far1" } else { SENDER });
        (side, frame)
    });
    let frames: Vec<(&str, Vec<u8>)> = frames.collect();
    lab.send_by(frames.iter().map(|(side, frame)| (*side, frame)));
    let ended = sensor.stop().well();
    let got = events(&ended.stdout);
    assert_eq!(found(&got), want, "{}", ended.stderr);
    let sources = &got[0]["sources"];
    assert_eq!(sources[0]["name"], SPAN, "{sources}");
    assert_eq!(sources[1]["name"], "span1", "{sources}");
    assert_eq!(sources[0]["kind"], "interface");
    let stats = totals(&got);
    adds_up(&stats);
    assert_eq!(stats["uninspected_bytes"].get("one_sided"), None, "{stats}");
}

#[test]
fn a_filter_leaves_out_what_it_does_not_match() {
    needs_lab!();
    let (lab, dir) = (Lab::new(), directory());
    let args = ["-c", "empty.toml", "capture", "-i", SPAN, "--bpf", "icmp"];
    let sensor = Running::start(&mut lab.sensor(dir.path(), &args));
    lab.send(&frames(&fixture("d02_py1124_streamable.pcap")));
    let got = events(&sensor.stop().well().stdout);
    assert_eq!(found(&got).len(), 0);
    assert_eq!(totals(&got)["packets"], 0);
    // One that cannot be is refused, with its own words.
    let bad = ["-c", "empty.toml", "capture", "-i", SPAN, "--bpf", "porrt 80"];
    let ended = Running::begin(&mut lab.sensor(dir.path(), &bad)).end();
    assert_eq!(ended.code, Some(2));
    assert!(ended.stderr.contains("porrt 80"), "{}", ended.stderr);
}

#[test]
fn what_a_short_snaplen_cuts_off_is_counted() {
    needs_lab!();
    let (lab, dir) = (Lab::new(), directory());
    let args = ["-c", "empty.toml", "capture", "-i", SPAN, "--snaplen", "100"];
    let sensor = Running::start(&mut lab.sensor(dir.path(), &args));
    lab.send(&frames(&fixture("d02_py1124_streamable.pcap")));
    let got = events(&sensor.stop().well().stdout);
    let unplugged = got.iter().find(|e| e["code"] == "interface_down");
    assert_eq!(unplugged, None);
    let stats = totals(&got);
    adds_up(&stats);
    assert!(stats["reassembly"]["cut_segments"].as_u64().unwrap() > 10, "{stats}");
}
