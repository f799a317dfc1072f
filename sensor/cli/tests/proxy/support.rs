//! A proxy that runs, and curl.

use crate::origin::Origin;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

/// Longest time that anything may take before a test gives up.
pub(crate) const PATIENCE: Duration = Duration::from_mins(2);

/// An MCP call without an answer yet.
pub(crate) const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"probe","version":"1"}}}"#;
pub(crate) const CALL: &str =
    r#"{"jsonrpc":"2.0","id":"x-7","method":"tools/call","params":{"name":"forecast","arguments":{}}}"#;

/// Ends a test that cannot run here, with a message.
#[macro_export]
macro_rules! needs_curl {
    () => {
        if !std::process::Command::new("curl").arg("--version").output().is_ok_and(|o| o.status.success()) {
            println!("skipped: there is no `curl`");
            return;
        }
    };
}

/// A folder with a CA for the proxy, an origin with another, and what belongs to a test.
pub(crate) struct Lab {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) origin: Origin,
}

impl Lab {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let origin = Origin::start(&dir.path().join("origin.pem"));
        fs::write(dir.path().join("empty.toml"), "").unwrap();
        let made = sensor(dir.path(), &["-c", "empty.toml", "-q", "ca", "init", "--dir", "ca"]).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        Self { dir, origin }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// What every configuration of the tests begins with.
    pub(crate) fn config(more: &str) -> String {
        format!(
            "[[source]]\nkind = \"proxy\"\nlisten = \"127.0.0.1:0\"\nname = \"agents\"\n\
             [[sink]]\nkind = \"jsonl\"\npath = \"events.jsonl\"\nflush_ms = 1\n\
             [proxy]\nthreads = 2\nstop_seconds = 2\n\
             [proxy.ca]\ncertificate = \"ca/ca.pem\"\nkey = \"ca/ca.key\"\n\
             [proxy.destinations]\nallow = [\"127.0.0.0/8\", \"::1\"]\n\
             [proxy.upstream]\nsystem_roots = false\nroots = [\"origin.pem\"]\n{more}"
        )
    }

    /// Starts `run` with a configuration.
    #[track_caller]
    pub(crate) fn start(&self, more: &str) -> Proxy {
        fs::write(self.path("sensor.toml"), Self::config(more)).unwrap();
        Proxy::start(&mut sensor(self.dir.path(), &["-c", "sensor.toml", "run"]))
    }

    /// curl through the proxy; gives the status and the body.
    #[track_caller]
    pub(crate) fn curl(&self, proxy: &Proxy, args: &[&str]) -> (u16, String) {
        let output = self.command(proxy, args).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "curl {args:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
        let (body, status) = text.rsplit_once('\n').unwrap();
        (status.parse().unwrap(), body.to_owned())
    }

    /// The same, not started.
    pub(crate) fn command(&self, proxy: &Proxy, args: &[&str]) -> Command {
        let mut command = Command::new("curl");
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.args(["-sS", "--max-time", "60", "--noproxy", "", "--cacert"]).arg(self.path("ca/ca.pem"));
        command.args(["--proxy", &format!("http://{}", proxy.address), "-w", "\n%{http_code}"]).args(args);
        command
    }

    /// An MCP message as a client posts it.
    #[track_caller]
    pub(crate) fn post(&self, proxy: &Proxy, url: &str, message: &str) -> (u16, String) {
        let accept = "accept: application/json, text/event-stream";
        self.curl(proxy, &["-H", "content-type: application/json", "-H", accept, "--data-binary", message, url])
    }

    /// Events so far; the last line may be under way.
    pub(crate) fn events(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.path("events.jsonl")).unwrap_or_default();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Waits for an event.
    #[track_caller]
    pub(crate) fn event(&self, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let mut found = None;
        until(what, || {
            found = self.events().into_iter().find(&holds);
            found.is_some()
        });
        found.unwrap()
    }

    /// Waits for a detection of a method.
    #[track_caller]
    pub(crate) fn detection(&self, method: &str) -> Value {
        self.event(method, |event| event["type"] == "detection" && event["mcp"]["methods"][0] == method)
    }
}

/// The program, without what the environment of the tests sets.
pub(crate) fn sensor(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("mcp-sensor"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("MCP_SENSOR_") || name == "COLUMNS" {
            command.env_remove(name);
        }
    }
    command.current_dir(dir).args(args);
    command
}

/// A proxy that runs. It is killed if the test ends without stopping it.
pub(crate) struct Proxy {
    child: Child,
    lines: Receiver<String>,
    told: Vec<String>,
    pub(crate) address: String,
}

impl Proxy {
    /// Starts it and waits until it listens.
    #[track_caller]
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut proxy = Self::begin(command);
        let line = proxy.wait_for("proxy on ");
        line.rsplit_once("proxy on ").unwrap().1.clone_into(&mut proxy.address);
        proxy
    }

    pub(crate) fn begin(command: &mut Command) -> Self {
        Self::begin_with(command, Stdio::null())
    }

    /// Starts it with its standard output somewhere.
    pub(crate) fn begin_with(command: &mut Command, stdout: Stdio) -> Self {
        let child = command.stdin(Stdio::null()).stdout(stdout).stderr(Stdio::piped()).spawn();
        let mut child = child.unwrap();
        let (send, lines) = sync_channel(1 << 16);
        let stderr = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn(move || stderr.lines().map_while(Result::ok).try_for_each(|line| send.send(line)));
        Self { child, lines, told: Vec::new(), address: String::new() }
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().try_into().unwrap())
    }

    /// Waits for a line on standard error.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, text: &str) -> String {
        loop {
            let line = self.lines.recv_timeout(PATIENCE);
            let line = line.unwrap_or_else(|e| panic!("no `{text}` ({e}) in: {}", self.told.join("\n")));
            self.told.push(line.clone());
            if line.contains(text) {
                return line;
            }
        }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).unwrap();
    }

    /// Waits for its end; gives the status and what it said.
    #[track_caller]
    pub(crate) fn end(mut self) -> (Option<i32>, String) {
        while let Ok(line) = self.lines.recv_timeout(PATIENCE) {
            self.told.push(line);
        }
        (self.child.wait().unwrap().code(), self.told.join("\n"))
    }

    /// Asks it to end, which it must do well.
    #[track_caller]
    pub(crate) fn stop(self) -> String {
        self.signal(Signal::SIGTERM);
        let (code, said) = self.end();
        assert_eq!(code, Some(0), "{said}");
        said
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Asks again and again, for as long as there is patience.
#[track_caller]
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = clock() + PATIENCE;
    while !holds() {
        assert!(clock() < end, "it does not come to this: {what}");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

/// For how long something takes.
#[expect(clippy::disallowed_methods, reason = "what runs beside a test has no other clock")]
pub(crate) fn clock() -> Instant {
    Instant::now()
}
