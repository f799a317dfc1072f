//! One way from capture bytes to events, and the conversations that several tests share.

use serde_json::Value;
use std::collections::BTreeMap;
use std::io::Write;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use testkit::vector::Vector;
use testkit::{Capture, Direction, Turn, Wire, http, websocket};

/// What a replay wrote. Every line has been held to the schema.
pub(crate) struct Run {
    pub(crate) lines: Vec<String>,
    pub(crate) events: Vec<Value>,
}

/// Order of confidences; absent ones are 0.
pub(crate) static RANKS: LazyLock<BTreeMap<&'static str, u8>> =
    LazyLock::new(|| BTreeMap::from([("possible", 1), ("likely", 2), ("confirmed", 3)]));

static SCHEMA: LazyLock<jsonschema::Validator> =
    LazyLock::new(|| jsonschema::validator_for(&sinks::schema::events()).expect("the schema is valid"));

pub(crate) fn rank(confidence: &Value) -> u8 {
    confidence.as_str().and_then(|word| RANKS.get(word)).copied().unwrap_or(0)
}

impl Run {
    pub(crate) fn of(pcap: &[u8]) -> Self {
        Self::with(pcap, 1, false)
    }

    pub(crate) fn threads(pcap: &[u8], threads: usize) -> Self {
        Self::with(pcap, threads, false)
    }

    pub(crate) fn with_look_alikes(pcap: &[u8]) -> Self {
        Self::with(pcap, 1, true)
    }

    /// With the keys of a key log, or those that the capture (pcapng) itself holds.
    #[allow(dead_code, reason = "the binary of replays uses it")]
    pub(crate) fn with_keys(capture: &[u8], keylog: Option<&Path>, threads: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("test.pcap");
        std::fs::write(&path, capture).unwrap();
        let keys = Arc::new(pipeline::KeyRing::open(keylog).unwrap());
        Self::read_with(open(path), threads, false, keys)
    }

    /// With what is ours and what clients are called configured, and conversations told of so often.
    #[allow(dead_code, reason = "the binary of replays uses it")]
    pub(crate) fn configured(
        pcap: &[u8],
        raw: &detect::RawScope,
        session_every: Option<Duration>,
        threads: usize,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("test.pcap");
        std::fs::write(&path, pcap).unwrap();
        let scope = detect::Scope::try_from(raw).unwrap();
        let rules = detect::rules::compile(&detect::rules::builtin()).unwrap();
        let generation = Arc::new(detect::Generation { rules, scope, policy: detect::Policy::default() });
        let threads = NonZeroUsize::new(threads).unwrap();
        let settings = pipeline::Settings { threads, session_every, ..Default::default() };
        Self::read_as(open(path), &settings, &generation)
    }

    /// With servers approved, and policies beside the rules that come with the program.
    #[allow(dead_code, reason = "the binary of replays uses it")]
    pub(crate) fn governed(pcap: &[u8], raw: &detect::RawScope, policies: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("test.pcap");
        std::fs::write(&path, pcap).unwrap();
        let text = format!("[pack]\nid = \"test\"\nversion = \"1\"\n{policies}");
        let own = detect::rules::RuleText { file: "test.toml", text: &text, lists: &|_| Err("none".to_owned()) };
        let rules = detect::rules::compile(&[detect::rules::builtin().as_slice(), &[own]].concat()).unwrap();
        let scope = detect::Scope::try_from(raw).unwrap();
        let generation = Arc::new(detect::Generation { rules, scope, policy: detect::Policy::default() });
        Self::read_as(open(path), &pipeline::Settings::default(), &generation)
    }

    /// By these rules, scope and policy.
    #[allow(dead_code, reason = "the binary of replays uses it")]
    pub(crate) fn by(pcap: &[u8], generation: detect::Generation) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("test.pcap");
        std::fs::write(&path, pcap).unwrap();
        Self::read_as(open(path), &pipeline::Settings::default(), &Arc::new(generation))
    }

    /// `None` where the bytes are not taken for a capture.
    #[allow(dead_code, reason = "the binary of floods uses it")]
    pub(crate) fn of_any(pcap: &[u8], threads: usize) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("test.pcap");
        std::fs::write(&path, pcap).unwrap();
        let reader = capture::Reader::open(&[path], &capture::Options::default()).ok()?;
        Some(Self::read(reader, threads, false))
    }

    fn with(pcap: &[u8], threads: usize, look_alikes: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("test.pcap");
        std::fs::File::create(&path).unwrap().write_all(pcap).unwrap();
        Self::read(open(path), threads, look_alikes)
    }

    fn read(reader: capture::Reader, threads: usize, look_alikes: bool) -> Self {
        Self::read_with(reader, threads, look_alikes, Arc::default())
    }

    fn read_with(reader: capture::Reader, threads: usize, look_alikes: bool, keys: Arc<pipeline::KeyRing>) -> Self {
        let threads = NonZeroUsize::new(threads).unwrap();
        let settings = pipeline::Settings { threads, look_alikes, keys, ..Default::default() };
        Self::read_as(reader, &settings, &generation())
    }

    fn read_as(reader: capture::Reader, settings: &pipeline::Settings, generation: &Arc<detect::Generation>) -> Self {
        let info = pipeline::RunInfo { sensor: "replay".to_owned(), ..Default::default() };
        let mut out = Vec::new();
        pipeline::replay(
            reader,
            settings,
            generation,
            &info,
            &mut |record| {
                let mut line = Vec::new();
                sinks::jsonl::line(&record, &mut line).expect("records serialise");
                out.push(line);
            },
            &|_, _| {},
        )
        .unwrap();
        let lines: Vec<String> = out.into_iter().map(|l| String::from_utf8(l).expect("lines are UTF-8")).collect();
        let events: Vec<Value> = lines.iter().map(|l| serde_json::from_str(l).expect("lines are JSON")).collect();
        for event in &events {
            let errors: Vec<_> = SCHEMA.iter_errors(event).map(|e| format!("{}: {e}", e.instance_path())).collect();
            assert!(errors.is_empty(), "not as the schema says: {errors:?}\n{event}");
        }
        assert_eq!(events.first().map(|e| &e["type"]), Some(&Value::from("run")), "the run line comes first");
        assert_eq!(events.last().map(|e| &e["type"]), Some(&Value::from("stats")), "the totals come last");
        Self { lines, events }
    }

    pub(crate) fn of_type(&self, kind: &str) -> Vec<&Value> {
        self.events.iter().filter(|e| e["type"] == kind).collect()
    }

    /// Servers seen, at the end of the run.
    pub(crate) fn servers(&self) -> Vec<&Value> {
        self.of_type("server").into_iter().filter(|s| s["change"] == "seen").collect()
    }

    pub(crate) fn stats(&self) -> &Value {
        self.events.last().unwrap()
    }

    /// Sum of a map of the final totals.
    pub(crate) fn total(&self, map: &str) -> u64 {
        self.stats()[map].as_object().unwrap().values().filter_map(Value::as_u64).sum()
    }

    /// Confidence and classification of the strongest detection.
    pub(crate) fn strongest(&self) -> Option<(String, String)> {
        let best = self.of_type("detection").into_iter().max_by_key(|d| rank(&d["confidence"]))?;
        let word = |key: &str| best[key].as_str().unwrap().to_owned();
        Some((word("confidence"), word("classification")))
    }

    /// Ids of all signals, for messages.
    pub(crate) fn signals(&self) -> Vec<String> {
        let detections = self.of_type("detection");
        let signals = detections.iter().filter_map(|d| d["signals"].as_array()).flatten();
        signals.map(|s| s["id"].as_str().unwrap_or("?").to_owned()).collect()
    }
}

fn open(path: PathBuf) -> capture::Reader {
    capture::Reader::open(&[path], &capture::Options::default()).unwrap()
}

/// Built-in rules, nothing configured.
fn generation() -> Arc<detect::Generation> {
    static GENERATION: LazyLock<Arc<detect::Generation>> = LazyLock::new(|| {
        Arc::new(detect::Generation {
            rules: detect::rules::compile(&detect::rules::builtin()).expect("the built-in rules compile"),
            scope: detect::Scope::try_from(&detect::RawScope::default()).expect("an empty scope is valid"),
            policy: detect::Policy::default(),
        })
    });
    Arc::clone(&GENERATION)
}

/// Everything said, less what legitimately differs: packet numbers, times, ids over them, and `also`.
pub(crate) fn said(run: &Run, also: &[&str]) -> Vec<Value> {
    let mut all: Vec<Value> = ["detection", "session", "server"]
        .iter()
        .flat_map(|kind| run.of_type(kind))
        .cloned()
        .map(|mut event| {
            strip(&mut event, &["ts", "id", "packets", "first_seen", "last_seen", "duration_ms"]);
            strip(&mut event, also);
            event
        })
        .collect();
    all.sort_by_key(ToString::to_string);
    all
}

fn strip(value: &mut Value, keys: &[&str]) {
    match value {
        Value::Object(map) => {
            map.retain(|key, _| !keys.contains(&key.as_str()));
            map.values_mut().for_each(|value| strip(value, keys));
        }
        Value::Array(items) => items.iter_mut().for_each(|value| strip(value, keys)),
        _ => {}
    }
}

/// Files of a folder of `fixtures` with this ending, sorted.
pub(crate) fn fixtures(folder: &str, ending: &str) -> Vec<PathBuf> {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures")).join(folder);
    let mut paths: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == ending))
        .collect();
    paths.sort();
    assert!(!paths.is_empty(), "no .{ending} files");
    paths
}

pub(crate) fn vectors() -> Vec<Vector> {
    let read = |path: &PathBuf| {
        let text = std::fs::read_to_string(path).unwrap();
        Vector::parse(&text).unwrap_or_else(|why| panic!("{}: {why}", path.display()))
    };
    fixtures("vectors", "http").iter().map(read).collect()
}

/// One flow that carries the vector, and what it says comes before it.
pub(crate) fn capture_of(vector: &Vector, all: &[Vector]) -> Capture {
    let mut capture = Capture::new();
    let flow = capture.flow("10.1.1.1:40001", "10.2.2.2:8000", Wire::default());
    let before = vector.after.as_ref().map(|id| all.iter().find(|v| v.id == *id).expect("`after` names a vector"));
    for block in before.map_or(&[][..], |v| &v.blocks) {
        capture.send(flow, block.direction, &block.bytes);
    }
    for block in &vector.blocks {
        match vector.swapped {
            Some((mss, again)) => capture.send_swapped(flow, block.direction, &block.bytes, mss, again),
            None => capture.send(flow, block.direction, &block.bytes),
        }
    }
    capture.fin(flow);
    capture
}

/// Conversations of every transport, each on one flow.
pub(crate) fn scripted() -> Vec<(&'static str, Vec<Turn>)> {
    use Direction::{ToClient, ToServer};
    let host = "notes.corp.example";
    let initialize = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"field-notes","version":"1.4"}}}"#;
    let initialized = r#"{"jsonrpc":"2.0","id":0,"result":{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},"serverInfo":{"name":"notes-srv","version":"3.0"}}}"#;
    let call = r#"{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"note_find","arguments":{"q":"budget","limit":3}}}"#;
    let result =
        r#"{"jsonrpc":"2.0","id":2,"result":{"content":[{"type":"text","text":"three notes"}],"isError":false}}"#;
    let listed = r#"{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"note_find","description":"Find","inputSchema":{"type":"object"}}]}}"#;
    let ids = "Mcp-Session-Id: 5f0c0d9a1e\nMCP-Protocol-Version: 2025-06-18\n";
    let meta = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"field-notes","version":"2.0"},"io.modelcontextprotocol/clientCapabilities":{}}"#;
    let stream = |json: &str| {
        http::chunked(
            "HTTP/1.1 200 OK\nContent-Type: text/event-stream",
            &http::events(&[("message", json)], "\r\n"),
            50,
            "",
        )
    };
    let accepted = || http::request("HTTP/1.1 202 Accepted\nContent-Length: 0\n\n");
    let key = Some([0x37, 0xfa, 0x21, 0x3d]);
    vec![
        (
            "session, JSON answers",
            vec![
                (ToServer, http::post(host, "/mcp", "", initialize)),
                (ToClient, http::json("Mcp-Session-Id: 5f0c0d9a1e\n", initialized)),
                (ToServer, http::post(host, "/mcp", ids, r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#)),
                (ToClient, accepted()),
                (ToServer, http::post(host, "/mcp", ids, r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#)),
                (ToClient, http::json("", listed)),
                (ToServer, http::post(host, "/mcp", ids, call)),
                (ToClient, http::json("", result)),
            ],
        ),
        (
            "session, event streams",
            vec![
                (ToServer, http::post(host, "/mcp", "", initialize)),
                (ToClient, stream(initialized)),
                (ToServer, http::post(host, "/mcp", ids, call)),
                (ToClient, stream(result)),
            ],
        ),
        (
            "stateless",
            vec![
                (
                    ToServer,
                    http::post(
                        host,
                        "/rpc",
                        "mcp-protocol-version: 2026-07-28\nmcp-method: tools/call\nmcp-name: note_find\n",
                        &format!(r#"{{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{{"name":"note_find","arguments":{{"q":"k"}},{meta}}}}}"#),
                    ),
                ),
                (ToClient, http::json("", r#"{"jsonrpc":"2.0","id":2,"result":{"resultType":"complete","content":[{"type":"text","text":"x"}],"_meta":{"io.modelcontextprotocol/serverInfo":{"name":"notes-srv","version":"4.0"}}}}"#)),
            ],
        ),
        (
            "websocket",
            vec![
                (ToServer, http::request("GET /message HTTP/1.1\nHost: notes.corp.example\nConnection: Upgrade\nUpgrade: websocket\nSec-WebSocket-Version: 13\nSec-WebSocket-Key: x3JJHMbDL1EzLkh9GBhXDw==\nSec-WebSocket-Protocol: mcp\n\n")),
                (ToClient, http::request("HTTP/1.1 101 Switching Protocols\nConnection: Upgrade\nUpgrade: websocket\nSec-WebSocket-Accept: HSmrc0sMlYUkAGmm5OPpG2HaGWk=\nSec-WebSocket-Protocol: mcp\n\n")),
                (ToServer, websocket::frame(1, initialize.as_bytes(), key)),
                (ToClient, websocket::frame(1, initialized.as_bytes(), None)),
                (ToServer, [websocket::fragment(false, 1, &call.as_bytes()[..30], key), websocket::frame(9, b"hi", key), websocket::fragment(true, 0, &call.as_bytes()[30..], key)].concat()),
                (ToClient, [websocket::frame(10, b"hi", None), websocket::frame(1, result.as_bytes(), None)].concat()),
            ],
        ),
        (
            "batch behind a page, pipelined",
            vec![
                (
                    ToServer,
                    [
                        http::request("GET /health HTTP/1.1\nHost: notes.corp.example\n\n"),
                        http::post(host, "/mcp", "Mcp-Session-Id: 5f0c0d9a1e\n", &format!("[{call},{{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":{{\"requestId\":7}}}}]")),
                    ]
                    .concat(),
                ),
                (ToClient, [http::request("HTTP/1.1 200 OK\nContent-Type: text/plain\n\nok"), http::json("", &format!("[{result}]"))].concat()),
            ],
        ),
    ]
}
