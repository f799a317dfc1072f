//! What a command that only reads files may do, whoever starts it.

use crate::support::directory;
use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

#[test]
fn a_replay_has_no_rights_beyond_those_of_its_user() {
    let dir = directory();
    let mut child = Command::new(assert_cmd::cargo::cargo_bin!("mcp-sensor"))
        .args(["-c", "empty.toml", "replay", "-"])
        .current_dir(dir.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut tries = 0;
    let status = loop {
        let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
        if status.contains("NoNewPrivs:\t1") {
            break status;
        }
        tries += 1;
        assert!(tries < 6000, "{status}");
        std::thread::park_timeout(Duration::from_millis(5));
    };
    for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
        assert!(status.contains(&format!("{set}:\t0000000000000000\n")), "{status}");
    }
    // It waits for a capture; an empty one is skipped.
    drop(child.stdin.take());
    assert_eq!(child.wait().unwrap().code(), Some(1));
}
