//! Running the program, and captures for it.

use assert_cmd::Command;
use testkit::{Capture, Direction, Turn, Wire, http};

/// The program, in a directory, without what the environment of the tests sets.
pub(crate) fn sensor(dir: &std::path::Path, args: &[&str]) -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("mcp-sensor"));
    for (name, _) in std::env::vars_os() {
        let ours = name.to_string_lossy().starts_with("MCP_SENSOR_");
        if ours || name == "COLUMNS" || name == "NO_COLOR" {
            command.env_remove(name);
        }
    }
    command.current_dir(dir).args(args);
    command
}

/// What came of it.
pub(crate) struct Outcome {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

#[track_caller]
pub(crate) fn run(dir: &std::path::Path, args: &[&str]) -> Outcome {
    finish(&mut sensor(dir, args))
}

#[track_caller]
pub(crate) fn finish(command: &mut Command) -> Outcome {
    let output = command.output().unwrap();
    Outcome {
        code: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

impl Outcome {
    /// Holds the exit status, and words that standard error must have.
    #[track_caller]
    pub(crate) fn ends(self, code: i32, words: &[&str]) -> Self {
        assert_eq!(self.code, code, "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        for word in words {
            assert!(self.stderr.contains(word), "no `{word}` in: {}", self.stderr);
        }
        self
    }
}

/// An empty directory with an empty configuration, so that none of the machine is read.
pub(crate) fn directory() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("empty.toml"), "").unwrap();
    dir
}

const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"probe","version":"1"}}}"#;
const INITIALIZED: &str = r#"{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"weather","version":"1.2.0"}}}"#;

/// A capture of one MCP server, and of one that serves a page.
pub(crate) fn mcp_capture() -> Vec<u8> {
    let turns = |ask: Vec<u8>, answer: Vec<u8>| -> Vec<Turn> {
        vec![(Direction::ToServer, ask), (Direction::ToClient, answer)]
    };
    let mut capture = Capture::new();
    let ask = http::post("mcp.example.com", "/mcp", "", INITIALIZE);
    capture.play("10.1.2.3:51234", "203.0.113.9:80", Wire::default(), &turns(ask, http::json("", INITIALIZED)));
    page(&mut capture);
    capture.pcap()
}

/// A capture without MCP.
pub(crate) fn plain_capture() -> Vec<u8> {
    let mut capture = Capture::new();
    page(&mut capture);
    capture.pcap()
}

fn page(capture: &mut Capture) {
    let ask = b"GET / HTTP/1.1\r\nHost: www.example.com\r\nAccept: text/html\r\n\r\n".to_vec();
    let answer = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 13\r\n\r\n<p>hello</p>\r".to_vec();
    let turns: [Turn; 2] = [(Direction::ToServer, ask), (Direction::ToClient, answer)];
    capture.play("10.1.2.3:51235", "203.0.113.10:80", Wire::default(), &turns);
}
