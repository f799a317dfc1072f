//! The timeline of real captures, as it is printed.

use crate::support::{directory, finish, sensor};
use std::path::PathBuf;

fn capture(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/captures").join(name);
    path.to_str().unwrap().to_owned()
}

fn timeline(option: &str, captures: &[&str], further: &[&str]) -> String {
    let dir = directory();
    let paths: Vec<String> = captures.iter().map(|name| capture(name)).collect();
    let mut command = sensor(dir.path(), &["-c", "empty.toml", "replay", option]);
    finish(command.args(further).args(&paths)).ends(0, &[]).stdout
}

#[test]
fn sessions_over_one_connection_over_two_and_over_a_websocket_read_in_order() {
    for name in ["d01_py130_sse", "d02_py1124_streamable", "d04_py230_stateless", "d09_supergateway_ws"] {
        let text = timeline("--timeline", &[&format!("{name}.pcap")], &[]);
        insta::assert_snapshot!(format!("timeline_of_{name}"), text);
    }
}

#[test]
fn the_number_of_threads_changes_no_line() {
    let all = ["d02_py1124_streamable.pcap", "d08_everything_inspector.pcap", "d09_supergateway_ws.pcap"];
    let want = timeline("--timeline", &all, &["--threads", "1"]);
    for threads in ["2", "4"] {
        assert_eq!(timeline("--timeline", &all, &["--threads", threads]), want);
    }
}

#[test]
fn a_server_a_client_or_a_session_can_be_had_alone() {
    let name = "d02_py1124_streamable.pcap";
    let all = timeline("--timeline", &[name], &[]);
    let row = all.lines().find(|line| line.contains("tools/call")).unwrap();
    let mut cells = row.split_whitespace().skip(1);
    let (client, server) = (cells.next().unwrap(), cells.next().unwrap());
    for what in [client, server] {
        let some = timeline(&format!("--timeline={what}"), &[name, "d09_supergateway_ws.pcap"], &[]);
        assert!(some.contains(row), "{what}: {some}");
        assert!(!some.contains(" websocket "), "{some}");
    }
    let none = timeline("--timeline=nobody.example", &[name], &[]);
    assert_eq!(none, "No call was seen of nobody.example.\n");
}

#[test]
fn events_of_a_file_are_whole_beside_a_timeline_and_standard_output_is_for_one_of_them() {
    let dir = directory();
    let path = capture("d02_py1124_streamable.pcap");
    let run = |args: &[&str]| finish(sensor(dir.path(), &["-c", "empty.toml", "replay", &path]).args(args));
    let plain = run(&[]).ends(0, &[]).stdout;
    run(&["--timeline=nobody.example", "-o", "events.jsonl"]).ends(0, &[]);
    assert_eq!(std::fs::read_to_string(dir.path().join("events.jsonl")).unwrap(), plain);
    run(&["--timeline", "-o", "-"]).ends(2, &["both want standard output"]);
    let both = run(&["--timeline", "--table"]).ends(0, &[]).stdout;
    assert!(both.contains("TIME (UTC)") && both.contains("Found 1 MCP server"), "{both}");
}
