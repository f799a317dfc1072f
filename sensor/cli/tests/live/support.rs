//! A span port without hardware: two network namespaces with a cable between them, and the sensor at one end.

use capture::{Options, Reader};
use nix::sched::{CloneFlags, setns};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use testkit::{Capture, Direction, Wire, http};

/// The interface at the end that sends.
pub(crate) const SENDER: &str = "far0";
/// The interface that the sensor listens to.
pub(crate) const SPAN: &str = "span0";
/// Longest time that anything may take before a test gives up.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// Says why a test of live traffic cannot run here, if it cannot.
pub(crate) fn lacking() -> Option<&'static str> {
    if !nix::unistd::Uid::effective().is_root() {
        return Some("only root can make network namespaces");
    }
    let ran = |args: &[&str]| Command::new("ip").args(args).output().is_ok_and(|o| o.status.success());
    if !ran(&["-V"]) {
        return Some("there is no `ip` (package iproute2)");
    }
    let name = unique();
    if !ran(&["netns", "add", &name]) {
        return Some("this machine makes no network namespaces");
    }
    let veth = ran(&["-n", &name, "link", "add", SENDER, "type", "veth", "peer", "name", SPAN]);
    ran(&["netns", "del", &name]);
    (!veth).then_some("this kernel has no veth pairs")
}

/// Ends a test that cannot run here, with a message.
#[macro_export]
macro_rules! needs_lab {
    () => {
        if let Some(why) = $crate::support::lacking() {
            println!("skipped: {why}");
            return;
        }
    };
}

/// A name that nobody else uses: of this process, and numbered.
fn unique() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("mcs-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Runs `ip`, which must work.
#[track_caller]
pub(crate) fn ip(args: &[&str]) {
    must("ip", args);
}

#[track_caller]
fn must(program: &str, args: &[&str]) -> Output {
    let output = Command::new(program).args(args).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {}: {error}", args.join(" "));
    output
}

/// Two namespaces and a cable. They are gone when this is.
pub(crate) struct Lab {
    pub(crate) far: String,
    pub(crate) near: String,
}

impl Lab {
    pub(crate) fn new() -> Self {
        let lab = Self { far: unique(), near: unique() };
        for name in [&lab.far, &lab.near] {
            must("ip", &["netns", "add", name]);
            // Otherwise the kernel says its own things on the cable.
            let quiet = ["net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1"];
            must("ip", &["netns", "exec", name, "sysctl", "-qw", quiet[0], quiet[1]]);
        }
        lab.plug();
        lab
    }

    /// Lays the cable, or another in place of one that was cut.
    pub(crate) fn plug(&self) {
        let Self { far, near } = self;
        must("ip", &["-n", far, "link", "add", SENDER, "type", "veth", "peer", "name", SPAN, "netns", near]);
        for (name, interface) in [(far, SENDER), (near, SPAN)] {
            must("ip", &["-n", name, "link", "set", interface, "mtu", "65535", "arp", "off", "up"]);
        }
        // The kernel takes up to a second to notice that there is a link.
        for (name, interface) in [(far, SENDER), (near, SPAN)] {
            until("a link", || {
                let shown = must("ip", &["-n", name, "-o", "link", "show", interface]);
                String::from_utf8_lossy(&shown.stdout).contains("state UP")
            });
        }
    }

    /// Cuts the cable: both interfaces are gone.
    pub(crate) fn unplug(&self) {
        must("ip", &["-n", &self.far, "link", "del", SENDER]);
    }

    /// Gives both ends an address, so that programs can talk over the cable.
    pub(crate) fn address(&self, far: &str, near: &str) {
        for (name, interface, address) in [(&self.far, SENDER, far), (&self.near, SPAN, near)] {
            must("ip", &["-n", name, "link", "set", interface, "mtu", "1500", "arp", "on"]);
            must("ip", &["-n", name, "address", "add", address, "dev", interface]);
            must("ip", &["-n", name, "link", "set", "lo", "up"]);
        }
    }

    /// A program in a namespace. It replaces `ip`, so that its process id is that of the child.
    pub(crate) fn command(namespace: &str, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", namespace]).arg(program);
        command
    }

    /// The sensor at the near end, in `dir`, without what the environment of the tests sets.
    pub(crate) fn sensor(&self, dir: &Path, args: &[&str]) -> Command {
        let mut command = Self::command(&self.near, assert_cmd::cargo::cargo_bin!("mcp-sensor"));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("MCP_SENSOR_") || name == "COLUMNS" {
                command.env_remove(name);
            }
        }
        command.current_dir(dir).args(args);
        command
    }

    /// Sends frames from the far end, in order, as fast as they go.
    pub(crate) fn send(&self, frames: &[Vec<u8>]) {
        self.send_by(frames.iter().map(|frame| (SENDER, frame)));
    }

    /// The same, each by an interface of its own.
    pub(crate) fn send_by<'f>(&self, frames: impl IntoIterator<Item = (&'f str, &'f Vec<u8>)> + Send) {
        within(&self.far, || {
            let mut outs = BTreeMap::new();
            for (interface, frame) in frames {
                let out = outs
                    .entry(interface)
                    .or_insert_with(|| pcap::Capture::from_device(interface).unwrap().open().unwrap());
                // The queue of the interface is short.
                let mut sent = || out.sendpacket(&frame[..]).is_ok();
                let sent = (0..1000).any(|_| {
                    let sent = sent();
                    if !sent {
                        std::thread::yield_now();
                    }
                    sent
                });
                assert!(sent, "a frame of {} bytes cannot be sent", frame.len());
            }
        });
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for name in [&self.far, &self.near] {
            let _ = Command::new("ip").args(["netns", "del", name]).output();
        }
    }
}

/// Does something on a thread that is in a namespace; the thread that asks stays where it is.
pub(crate) fn within<T: Send>(namespace: &str, act: impl FnOnce() -> T + Send) -> T {
    let path = Path::new("/run/netns").join(namespace);
    let inside = || {
        setns(File::open(path).unwrap(), CloneFlags::CLONE_NEWNET).unwrap();
        act()
    };
    std::thread::scope(|scope| scope.spawn(inside).join().unwrap())
}

/// A capture that comes with the project.
pub(crate) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/captures").join(name)
}

/// The frames of a capture.
pub(crate) fn frames(path: &Path) -> Vec<Vec<u8>> {
    let mut reader = Reader::open(&[path.to_owned()], &Options::default()).unwrap();
    let mut frames = Vec::new();
    while let Some(batch) = reader.next_batch().unwrap() {
        frames.extend(batch.iter().map(|frame| frame.data.to_vec()));
    }
    frames
}

/// A sensor that runs. It is killed if the test ends without stopping it.
pub(crate) struct Running {
    child: Child,
    lines: Receiver<String>,
    told: Vec<String>,
    stdout: Option<JoinHandle<String>>,
}

/// What a sensor left behind.
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Running {
    /// Starts it and waits until it listens.
    #[track_caller]
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut running = Self::begin(command);
        running.wait_for("capturing on");
        running
    }

    /// The same, with nobody to read what it writes.
    #[track_caller]
    pub(crate) fn start_unread(command: &mut Command) -> Self {
        let mut running = Self::spawn(command, Stdio::null(), drop);
        running.wait_for("capturing on");
        running
    }

    /// The same, with what it writes left to the caller to read.
    #[track_caller]
    pub(crate) fn start_held(command: &mut Command) -> (Self, ChildStdout) {
        let mut held = None;
        let mut running = Self::spawn(command, Stdio::null(), |out| held = Some(out));
        running.wait_for("capturing on");
        (running, held.unwrap())
    }

    pub(crate) fn begin(command: &mut Command) -> Self {
        Self::begin_before(command, Stdio::null())
    }

    /// The same, with something to read from.
    pub(crate) fn begin_before(command: &mut Command, stdin: impl Into<Stdio>) -> Self {
        let mut reader = None;
        let mut running = Self::spawn(command, stdin, |mut out| {
            reader = Some(std::thread::spawn(move || {
                let mut text = String::new();
                out.read_to_string(&mut text).unwrap();
                text
            }));
        });
        running.stdout = reader;
        running
    }

    fn spawn(command: &mut Command, stdin: impl Into<Stdio>, read: impl FnOnce(ChildStdout)) -> Self {
        let mut child = command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (send, lines) = sync_channel(1 << 16);
        let stderr = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn(move || stderr.lines().map_while(Result::ok).try_for_each(|line| send.send(line)));
        read(child.stdout.take().unwrap());
        Self { child, lines, told: Vec::new(), stdout: None }
    }

    pub(crate) fn pid(&self) -> nix::unistd::Pid {
        nix::unistd::Pid::from_raw(self.child.id().try_into().unwrap())
    }

    /// Waits for a line on standard error.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, text: &str) -> String {
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => {
                    self.told.push(line.clone());
                    if line.contains(text) {
                        return line;
                    }
                }
                Err(RecvTimeoutError::Timeout) => panic!("no `{text}` came in: {}", self.told.join("\n")),
                Err(RecvTimeoutError::Disconnected) => panic!("it ended without `{text}`: {}", self.told.join("\n")),
            }
        }
    }

    pub(crate) fn signal(&self, signal: nix::sys::signal::Signal) {
        nix::sys::signal::kill(self.pid(), signal).unwrap();
    }

    /// Asks it to end, as a service manager does.
    #[track_caller]
    pub(crate) fn stop(self) -> Ended {
        self.signal(nix::sys::signal::Signal::SIGTERM);
        self.end()
    }

    /// Waits for its end.
    #[track_caller]
    pub(crate) fn end(mut self) -> Ended {
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => self.told.push(line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("it does not end: {}", self.told.join("\n")),
            }
        }
        let stdout = self.stdout.take().map(|reader| reader.join().unwrap()).unwrap_or_default();
        let code = self.child.wait().unwrap().code();
        Ended { code, stdout, stderr: self.told.join("\n") }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Ended {
    /// Holds that it ended well, and takes its events.
    #[track_caller]
    pub(crate) fn well(self) -> Self {
        assert_eq!(self.code, Some(0), "{}", self.stderr);
        self
    }
}

/// Lines of events. All must be whole.
#[track_caller]
pub(crate) fn events(text: &str) -> Vec<Value> {
    assert!(text.is_empty() || text.ends_with('\n'), "the last line is torn");
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect()
}

pub(crate) fn events_of(path: &Path) -> Vec<Value> {
    events(&fs::read_to_string(path).unwrap())
}

/// What of detections does not depend on when and how they came in, each with how often it is there.
pub(crate) fn found(events: &[Value]) -> BTreeMap<String, usize> {
    let mut found = BTreeMap::new();
    for d in events.iter().filter(|e| e["type"] == "detection") {
        let (http, mcp) = (&d["http"], &d["mcp"]);
        let mut signals: Vec<&str> = d["signals"].as_array().unwrap().iter().filter_map(|s| s["id"].as_str()).collect();
        signals.sort_unstable();
        let facts = serde_json::json!([
            [d["visibility"], d["confidence"], d["classification"], d["severity"]],
            [http["method"], http["host"], http["path"], http["status"], d["tls"]["sni"]],
            [mcp["transport"], mcp["methods"], mcp["tools"], mcp["tools_listed"], mcp["outcome"], mcp["server"]],
            signals,
        ]);
        *found.entry(facts.to_string()).or_default() += 1;
    }
    found
}

/// The servers that events tell of, with what is known at last.
pub(crate) fn servers(events: &[Value]) -> BTreeMap<String, [String; 2]> {
    let told = events.iter().filter(|e| e["type"] == "server");
    told.map(|e| {
        let s = &e["server"];
        let key = format!("{} {} {} {}", s["host"], s["ip"], s["port"], s["path"]);
        (key, [e["confidence"].to_string(), e["classification"].to_string()])
    })
    .collect()
}

/// The last totals.
#[track_caller]
pub(crate) fn totals(events: &[Value]) -> Value {
    let last = events.last().unwrap();
    assert!(last["type"] == "stats" && last["final"] == true, "{last}");
    last.clone()
}

/// `packets` = analysed + dropped, and no event was lost on the way.
#[track_caller]
pub(crate) fn adds_up(stats: &Value) {
    let dropped: u64 = stats["packets_dropped"].as_object().unwrap().values().map(|n| n.as_u64().unwrap()).sum();
    let analysed = stats["packets_analysed"].as_u64().unwrap();
    assert_eq!(stats["packets"].as_u64().unwrap(), analysed + dropped, "{stats}");
}

/// What a replay of a capture says.
#[track_caller]
pub(crate) fn replayed(dir: &Path, path: &Path, more: &[&str]) -> Vec<Value> {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("mcp-sensor"));
    let output = command.args(["-c", "empty.toml", "replay", "-o", "-"]).args(more).arg(path).current_dir(dir).output();
    events(&String::from_utf8(output.unwrap().stdout).unwrap())
}

/// An empty directory with an empty configuration, so that none of the machine is read.
pub(crate) fn directory() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("empty.toml"), "").unwrap();
    dir
}

/// The frames of one conversation that calls `tool_<n>`, over a connection of its own.
pub(crate) fn conversation(n: usize) -> Vec<Vec<u8>> {
    let ask = format!(
        r#"{{"jsonrpc":"2.0","id":{n},"method":"tools/call","params":{{"name":"tool_{n}","arguments":{{"n":{n}}}}}}}"#
    );
    let answer = format!(r#"{{"jsonrpc":"2.0","id":{n},"result":{{"content":[{{"type":"text","text":"{n}"}}]}}}}"#);
    let turns = [
        (Direction::ToServer, http::post("mcp.example.com", "/mcp", "", &ask)),
        (Direction::ToClient, http::json("", &answer)),
    ];
    let mut capture = Capture::new();
    let client = format!("10.{}.{}.9:{}", n / 250 % 250, n % 250, 40_000 + n % 20_000);
    capture.play(&client, "203.0.113.9:80", Wire::default(), &turns);
    capture.frames().iter().map(|(_, frame)| frame.clone()).collect()
}

/// Numbers of the tools that were seen called, in the order of the events.
pub(crate) fn called(events: &[Value]) -> Vec<usize> {
    let tools = events.iter().filter(|e| e["type"] == "detection").filter_map(|e| e["mcp"]["tools"][0].as_str());
    tools.filter_map(|tool| tool.strip_prefix("tool_")?.parse().ok()).collect()
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

/// Waits until a file of events holds a call of `tool_<n>`.
#[track_caller]
pub(crate) fn until_called(path: &Path, n: usize) {
    let tool = format!("\"tool_{n}\"");
    // Whole lines only: a kill in the midst of a write leaves what the next start takes back.
    let whole = |text: &str| text.rsplit_once('\n').is_some_and(|(lines, _)| lines.contains(&tool));
    until(&format!("{tool} in {}", path.display()), || fs::read_to_string(path).is_ok_and(|text| whole(&text)));
}

/// For how long something takes.
#[expect(clippy::disallowed_methods, reason = "what runs beside a test has no other clock")]
pub(crate) fn clock() -> Instant {
    Instant::now()
}
