use crate::support::{Outcome, directory, finish, mcp_capture, plain_capture, run, sensor};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

fn events(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn of_type<'e>(events: &'e [Value], name: &str) -> Vec<&'e Value> {
    events.iter().filter(|e| e["type"] == name).collect()
}

/// A directory with `mcp.pcap` and `plain.pcap`.
fn captures() -> tempfile::TempDir {
    let dir = directory();
    fs::write(dir.path().join("mcp.pcap"), mcp_capture()).unwrap();
    fs::write(dir.path().join("plain.pcap"), plain_capture()).unwrap();
    dir
}

#[track_caller]
fn replay(dir: &Path, args: &[&str]) -> Outcome {
    finish(sensor(dir, &["-c", "empty.toml", "replay"]).args(args))
}

#[test]
fn in_a_pipe_events_and_nothing_else_go_to_standard_output() {
    let dir = captures();
    let piped = replay(dir.path(), &["mcp.pcap"]).ends(0, &[]);
    let all = events(&piped.stdout);
    assert_eq!(all.first().unwrap()["type"], "run");
    assert_eq!(all.last().unwrap()["type"], "stats");
    assert_eq!(all.last().unwrap()["final"], true);
    assert_eq!(of_type(&all, "detection").len(), 1);
    assert_eq!(replay(dir.path(), &["-o", "-", "mcp.pcap"]).ends(0, &[]).stdout, piped.stdout);
}

#[test]
fn every_line_is_as_the_printed_schema_says() {
    let dir = captures();
    let schema = run(dir.path(), &["config", "schema", "--events"]).ends(0, &[]).stdout;
    let validator = jsonschema::validator_for(&serde_json::from_str(&schema).unwrap()).unwrap();
    for event in events(&replay(dir.path(), &["--look-alikes", "--hash-inputs", "."]).stdout) {
        assert!(validator.is_valid(&event), "{event:#}");
    }
}

#[test]
fn a_file_of_events_leaves_the_table_on_standard_output() {
    let dir = captures();
    let outcome = replay(dir.path(), &["-o", "events.jsonl", "mcp.pcap"]).ends(0, &[]);
    for want in [
        "shadow",
        "confirmed",
        "mcp.example.com:80/mcp",
        "weather 1.2.0",
        "10.1.2.3",
        "why: ",
        "Found 1 MCP server: 1 shadow.",
    ] {
        assert!(outcome.stdout.contains(want), "{want}\n{}", outcome.stdout);
    }
    let path = dir.path().join("events.jsonl");
    let written = fs::read_to_string(&path).unwrap();
    assert_eq!(written, replay(dir.path(), &["mcp.pcap"]).stdout);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o137, 0, "nobody else reads or writes events");
    assert_eq!(replay(dir.path(), &["-q", "-o", "events.jsonl", "plain.pcap"]).ends(0, &[]).stdout, "");
    assert!(fs::read_to_string(&path).unwrap().len() < written.len(), "the file is written anew");
}

#[test]
fn nothing_found_is_said_plainly() {
    let dir = captures();
    let outcome = replay(dir.path(), &["--table", "plain.pcap"]).ends(0, &[]);
    assert!(outcome.stdout.starts_with("No MCP found.\n"), "{}", outcome.stdout);
    assert!(!outcome.stdout.contains("CLASS"));
}

#[test]
fn the_table_holds_no_escape_unless_a_terminal_reads_it() {
    let dir = captures();
    let outcome = replay(dir.path(), &["--table", "mcp.pcap"]).ends(0, &[]);
    assert!(!outcome.stdout.contains('\u{1b}'));
    assert!(outcome.stdout.lines().all(|l| l.chars().count() <= 100));
    let narrow =
        finish(sensor(dir.path(), &["-c", "empty.toml", "replay", "--table", "mcp.pcap"]).env("COLUMNS", "80"));
    assert!(narrow.stdout.lines().all(|l| l.chars().count() <= 80));
}

#[test]
fn the_number_of_threads_changes_no_byte() {
    let dir = captures();
    let one = replay(dir.path(), &["--threads", "1", "mcp.pcap", "plain.pcap"]).stdout;
    for threads in ["2", "7"] {
        assert_eq!(replay(dir.path(), &["--threads", threads, "mcp.pcap", "plain.pcap"]).stdout, one);
    }
}

#[test]
fn a_detection_that_must_not_be_is_status_3() {
    let dir = captures();
    replay(dir.path(), &["-q", "-o", "e", "--fail-on", "denied", "mcp.pcap"]).ends(0, &[]);
    replay(dir.path(), &["-o", "e", "--fail-on", "denied", "--fail-on", "shadow", "mcp.pcap"])
        .ends(3, &["1 detection that --fail-on names"]);
    replay(dir.path(), &["-o", "e", "--fail-on", "denied,shadow", "mcp.pcap"]).ends(3, &[]);
    replay(dir.path(), &["-o", "e", "--fail-on", "shadow", "plain.pcap"]).ends(0, &[]);
}

#[test]
fn what_cannot_be_read_is_status_2_with_its_name_and_reason() {
    let dir = captures();
    fs::write(dir.path().join("notes.txt"), "dear diary, today").unwrap();
    fs::write(dir.path().join("empty.pcap"), "").unwrap();
    for (args, words) in [
        (&["absent.pcap"][..], &["cannot read absent.pcap", "No such file"][..]),
        (&["notes.txt"], &["notes.txt is not a capture file", "64 65 61 72", "dear diary"]),
        (&["mcp.pcap", "-", "-"], &["standard input"]),
        (&["--from", "20", "--to", "10", "mcp.pcap"], &["time window"]),
        (&["--carve", "out", "-"], &["--carve reads its input twice"]),
        (&["-o", "mcp.pcap", "mcp.pcap"], &["cannot write mcp.pcap: it is an input of this run"]),
        (&["-o", "no/such/dir/e", "mcp.pcap"], &["cannot write no/such/dir/e"]),
        (&["--rules", "absent", "mcp.pcap"], &["cannot read rules from absent"]),
    ] {
        let outcome =
            finish(sensor(dir.path(), &["-c", "empty.toml", "replay"]).args(args).write_stdin(plain_capture()))
                .ends(2, words);
        assert_eq!(outcome.stdout, "", "{args:?}");
    }
    assert_eq!(fs::read(dir.path().join("mcp.pcap")).unwrap(), mcp_capture(), "the input is as it was");
}

#[cfg(feature = "pcap")]
#[test]
fn a_filter_expression_is_checked_and_applied() {
    let dir = captures();
    replay(dir.path(), &["--bpf", "tcp prot 80", "mcp.pcap"]).ends(2, &["tcp prot 80"]);
    let all = events(&replay(dir.path(), &["--bpf", "host 203.0.113.10", "mcp.pcap"]).ends(0, &[]).stdout);
    assert_eq!(of_type(&all, "detection").len(), 0);
}

#[test]
fn a_time_window_is_applied() {
    let dir = captures();
    let count = |args: &[&str]| of_type(&events(&replay(dir.path(), args).ends(0, &[]).stdout), "detection").len();
    assert_eq!(count(&["--from", "2026-11-23T09:12:01Z", "--to", "2026-11-23T10:00:00+00:00", "mcp.pcap"]), 1);
    assert_eq!(count(&["--from", "2026-11-23T10:00:00Z", "mcp.pcap"]), 0);
}

#[test]
fn in_a_directory_a_foreign_file_is_told_skipped_and_makes_status_1() {
    let dir = captures();
    fs::create_dir(dir.path().join("in")).unwrap();
    fs::rename(dir.path().join("mcp.pcap"), dir.path().join("in/mcp.pcap")).unwrap();
    assert_eq!(of_type(&events(&replay(dir.path(), &["in"]).ends(0, &[]).stdout), "detection").len(), 1);
    fs::write(dir.path().join("in/notes.txt"), "dear diary").unwrap();
    let outcome = replay(dir.path(), &["in"]).ends(1, &["notes.txt", "1 input skipped"]);
    let all = events(&outcome.stdout);
    assert_eq!(of_type(&all, "detection").len(), 1);
    assert!(of_type(&all, "notice").iter().any(|n| n["code"] == "skipped_file"));
}

#[test]
fn a_truncated_capture_is_read_as_far_as_it_goes_and_told() {
    let dir = captures();
    let capture = mcp_capture();
    fs::write(dir.path().join("cut.pcap"), &capture[..capture.len() - 5]).unwrap();
    let outcome = replay(dir.path(), &["cut.pcap"]).ends(0, &["cut.pcap"]);
    assert!(of_type(&events(&outcome.stdout), "notice").iter().any(|n| n["code"] == "truncated_file"));
}

#[test]
fn standard_input_is_read() {
    let dir = captures();
    let piped =
        finish(sensor(dir.path(), &["-c", "empty.toml", "replay", "-"]).write_stdin(mcp_capture())).ends(0, &[]);
    let all = events(&piped.stdout);
    assert_eq!(all[0]["inputs"][0]["name"], "-");
    assert_eq!(of_type(&all, "detection").len(), 1);
}

#[test]
fn inputs_are_hashed_when_asked() {
    let dir = captures();
    fs::write(dir.path().join("abc.pcap"), plain_capture()).unwrap();
    let all = events(&replay(dir.path(), &["--hash-inputs", "abc.pcap"]).ends(0, &[]).stdout);
    let hash = all[0]["inputs"][0]["sha256"].as_str().unwrap();
    assert!(hash.len() == 64 && hash.bytes().all(|b| b.is_ascii_hexdigit()), "{hash}");
    assert!(events(&replay(dir.path(), &["abc.pcap"]).stdout)[0]["inputs"][0]["sha256"].is_null());
}

#[test]
fn the_packets_of_a_detection_are_carved_and_give_it_again() {
    let dir = captures();
    let first = events(&replay(dir.path(), &["--carve", "out", "mcp.pcap"]).ends(0, &["carved"]).stdout);
    let id = of_type(&first, "detection")[0]["id"].as_str().unwrap();
    let file = format!("out/{id}.pcapng");
    assert_eq!(fs::read_dir(dir.path().join("out")).unwrap().count(), 1);
    assert_eq!(fs::metadata(dir.path().join("out")).unwrap().permissions().mode() & 0o027, 0);
    let again = events(&replay(dir.path(), &[&file]).ends(0, &[]).stdout);
    let detections = of_type(&again, "detection");
    assert_eq!(detections.len(), 1);
    assert_eq!(detections[0]["mcp"]["methods"], of_type(&first, "detection")[0]["mcp"]["methods"]);
    assert!(again.last().unwrap()["packets"].as_u64() < first.last().unwrap()["packets"].as_u64());
    replay(dir.path(), &["--carve", "out", "mcp.pcap"]).ends(1, &[&file, "exists already", "Name an empty directory"]);
}

#[test]
fn what_is_carved_of_tunnels_and_fragments_is_what_was_on_the_wire() {
    use testkit::carrier::{Carrier, fragments};
    use testkit::{Capture, Direction, Wire, http};
    let dir = captures();
    let call = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"note_find","arguments":{}}}"#;
    let turns = [
        (Direction::ToServer, http::post("notes.corp.example", "/rpc", "", call)),
        (Direction::ToClient, http::request("HTTP/1.1 202 Accepted\nContent-Length: 0\n\n")),
    ];
    let mut bare = Capture::new();
    bare.play("10.1.1.1:40001", "10.2.2.2:8000", Wire::default(), &turns);
    let carried = |vni| {
        bare.rewritten(|n, f| fragments(&Carrier::Vxlan(vni).carry(f), 96, vni * 100 + u32::try_from(n).unwrap()))
    };
    let mut all = carried(1);
    all.merge(&carried(2));
    fs::write(dir.path().join("tunnels.pcap"), all.pcap()).unwrap();
    let first = events(&replay(dir.path(), &["--carve", "carved", "tunnels.pcap"]).ends(0, &["carved"]).stdout);
    let detections = of_type(&first, "detection");
    assert_eq!(detections.len(), 2);
    for detection in detections {
        let file = format!("carved/{}.pcapng", detection["id"].as_str().unwrap());
        let again = events(&replay(dir.path(), &[&file]).ends(0, &[]).stdout);
        let found = of_type(&again, "detection");
        assert_eq!(found.len(), 1, "of one tunnel only");
        assert_eq!(found[0]["flow"]["tunnel"], detection["flow"]["tunnel"]);
        let last = again.last().unwrap();
        assert_eq!(last["packets_dropped"], serde_json::json!({}), "every fragment is there");
        assert!(last["packets"].as_u64() < first.last().unwrap()["packets"].as_u64());
    }
}

#[test]
fn a_reader_that_goes_away_ends_the_run_quietly() {
    let dir = captures();
    let mut child = std::process::Command::new(assert_cmd::cargo::cargo_bin!("mcp-sensor"))
        .current_dir(dir.path())
        .args(["-c", "empty.toml", "replay", "mcp.pcap"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn a_full_disk_is_status_1_and_told() {
    let dir = captures();
    if Path::new("/dev/full").exists() {
        replay(dir.path(), &["-q", "-o", "/dev/full", "mcp.pcap"]).ends(1, &["cannot write events", "No space left"]);
    }
}
