//! Real captures: what the manifest says is in them is found, and nothing else.

use crate::support::{Run, fixtures, rank};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

type Set = BTreeSet<String>;

pub(crate) fn manifest() -> Vec<Value> {
    let path = fixtures("captures", "json").remove(0);
    let mut whole: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    serde_json::from_value(whole["captures"].take()).unwrap()
}

fn run(capture: &Value) -> Run {
    let name = capture["file"].as_str().unwrap();
    let path = fixtures("captures", "pcap").into_iter().find(|p| p.ends_with(name)).unwrap();
    Run::of(&std::fs::read(path).unwrap())
}

fn strings(value: &Value) -> Set {
    value.as_array().map(|a| a.iter().filter_map(|v| v.as_str().map(str::to_owned)).collect()).unwrap_or_default()
}

/// Union of a field of `mcp` over the server's records and its sessions.
fn union(run: &Run, expected: &Value, field: &str) -> Set {
    let servers = run.servers();
    let sessions = run.of_type("session");
    let records = servers.into_iter().chain(sessions).filter(|record| of(record, expected));
    records
        .flat_map(|record| match field {
            "client" | "server" => record["mcp"][field]["name"].as_str().map(str::to_owned).into_iter().collect(),
            "transport" | "era" => record["mcp"][field].as_str().map(str::to_owned).into_iter().collect(),
            _ => strings(&record["mcp"][field]),
        })
        .collect()
}

/// A `server` or `session` record is about the expected server.
pub(crate) fn of(record: &Value, expected: &Value) -> bool {
    record["server"]["ip"] == expected["server"] && record["server"]["port"] == expected["port"]
}

/// What was found of the expected server, by the names of the manifest.
pub(crate) fn found(run: &Run, expected: &Value) -> BTreeMap<&'static str, Set> {
    let fields = [
        ("transport", "transport"),
        ("era", "era"),
        ("protocol_versions", "protocol_versions"),
        ("methods", "methods"),
        ("tools", "tools_listed"),
        ("servers", "server"),
        ("clients", "client"),
    ];
    fields.into_iter().map(|(name, field)| (name, union(run, expected, field))).collect()
}

pub(crate) fn wanted(expected: &Value) -> BTreeMap<&'static str, Set> {
    let mut all = BTreeMap::new();
    for name in ["transport", "era"] {
        all.insert(name, expected[name].as_str().map(str::to_owned).into_iter().collect());
    }
    for name in ["protocol_versions", "methods", "tools", "servers", "clients"] {
        all.insert(name, strings(&expected[name]));
    }
    all
}

#[test]
fn every_server_in_the_clear_is_found_with_all_it_said() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for capture in manifest().iter().filter(|c| c["later"].is_null()) {
        let run = run(capture);
        for expected in capture["expected"].as_array().unwrap().iter().filter(|e| e["is_mcp"] == true) {
            let name = format!("{} {}:{}", capture["file"], expected["server"], expected["port"]);
            if !run.servers().iter().any(|s| of(s, expected)) {
                wrong.push(format!("{name}: not found; {} detections", run.of_type("detection").len()));
                continue;
            }
            count += 1;
            let got = found(&run, expected);
            for (what, want) in wanted(expected) {
                if got[what] != want {
                    wrong.push(format!("{name}: {what}: got {:?}, want {want:?}", got[what]));
                }
            }
            let servers = run.servers();
            let clients: Set =
                servers.iter().filter(|s| of(s, expected)).flat_map(|s| strings(&s["clients"])).collect();
            if !clients.contains(expected["client"].as_str().unwrap()) {
                wrong.push(format!("{name}: clients {clients:?}"));
            }
        }
        for detection in run.of_type("detection").iter().filter(|d| rank(&d["confidence"]) >= 2) {
            let server = &detection["flow"]["server"];
            let known = capture["expected"].as_array().unwrap().iter().filter(|e| e["is_mcp"] == true);
            if !known.into_iter().any(|e| e["server"] == server["ip"] && e["port"] == server["port"]) {
                wrong.push(format!("{}: accused {server} of {}", capture["file"], detection["signals"]));
            }
        }
    }
    assert!(wrong.is_empty(), "{count} servers found\n{}", wrong.join("\n"));
}

#[test]
fn look_alikes_are_never_likely() {
    let mut seen = 0;
    for capture in manifest().iter().filter(|c| c["expected"].as_array().unwrap().iter().all(|e| e["is_mcp"] == false))
    {
        seen += 1;
        let run = run(capture);
        for event in &run.events {
            assert!(rank(&event["confidence"]) < 2, "{}: {event}", capture["file"]);
        }
        assert_eq!(run.servers().len(), 0, "{}", capture["file"]);
    }
    assert_eq!(seen, 9);
}

#[test]
fn what_cannot_be_read_yet_is_counted_and_not_found() {
    for capture in manifest().iter().filter(|c| c["later"].is_string()) {
        let run = run(capture);
        let name = format!("{} ({})", capture["file"], capture["later"]);
        for expected in capture["expected"].as_array().unwrap() {
            // Messages that fit into one fragment are found; the whole conversation is not.
            let (got, want) = (found(&run, expected), wanted(expected));
            assert_ne!(got, want, "{name} is found now: its `later` mark must go");
            let known = |what: &str, word: &String| word == "unknown" || want[what].contains(word);
            assert!(got.iter().all(|(what, set)| set.iter().all(|w| known(what, w))), "{name}: made up {got:?}");
        }
        let unseen = run.total("uninspected_bytes") + run.total("packets_dropped");
        assert!(unseen > 0, "{name}: nothing says that it was not looked into: {}", run.stats());
    }
}

#[test]
fn totals_add_up() {
    for capture in &manifest() {
        let run = run(capture);
        let stats = run.stats();
        let (packets, analysed) = (stats["packets"].as_u64().unwrap(), stats["packets_analysed"].as_u64().unwrap());
        assert_eq!(packets, analysed + run.total("packets_dropped"), "{}: {stats}", capture["file"]);
        assert_eq!(stats["events"].as_u64().unwrap(), run.lines.len() as u64 - 1, "{}", capture["file"]);
        assert_eq!(run.total("detections"), run.of_type("detection").len() as u64, "{}", capture["file"]);
        assert_eq!(run.total("servers"), run.servers().len() as u64, "{}", capture["file"]);
    }
}
