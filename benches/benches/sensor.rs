//! How fast each stage is, and the whole path. Every bench checks its answer before it is timed, and counts the bytes
//! that the code reads. Compare ratios on one machine; absolute rates say little.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    missing_docs,
    reason = "a bench that cannot set itself up should fail loudly"
)]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use net::{App, Data, Direction, Flow, FlowEnd, FlowTable, Frame, Interest, LinkType, Piece, Place, Timestamp};
use proto::{Conn, ExchangeId, Part, PartSink};
use std::fmt::Write;
use std::hint::black_box;
use std::num::NonZeroUsize;
use std::sync::Arc;
use testkit::{Capture, Rng, Turn, Wire, http};

/// Flows of the generated capture.
const FLOWS: u16 = 400;
/// Every n-th flow is MCP; the others are pages, and JSON of no interest.
const MCP_EVERY: u16 = 10;

const CALL: &str = r#"{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"note_find","arguments":{"q":"budget","limit":3}}}"#;
const RESULT: &str =
    r#"{"jsonrpc":"2.0","id":2,"result":{"content":[{"type":"text","text":"three notes"}],"isError":false}}"#;

/// A page of about `len` bytes: words, no filler that a literal search could skip at memory speed.
fn page(rng: &mut Rng, len: usize) -> String {
    let mut out = String::from("<!doctype html><html><body>");
    while out.len() < len {
        let size = 2 + rng.below(9);
        out.push_str(&rng.word(size));
        out.push_str(if rng.below(12) == 0 { "</p>\n<p class=\"text\">" } else { " " });
    }
    out
}

/// JSON records with a harmless method field each.
fn records(rng: &mut Rng, len: usize) -> String {
    let mut out = String::from("[");
    while out.len() < len {
        let (a, b) = (rng.word(8), rng.word(20));
        let id = rng.below(9999);
        write!(out, r#"{{"id":{id},"method":"{a}","note":"{b}","tags":["x","y"],"nested":{{"v":[1,2,3]}}}},"#).unwrap();
    }
    out.push_str("null]");
    out
}

fn conversations() -> Vec<(String, String, Vec<Turn>)> {
    let mut rng = Rng::new(11);
    (0..FLOWS)
        .map(|n| {
            let turns = if n % MCP_EVERY == 0 {
                vec![
                    (Direction::ToServer, http::post("notes.corp.example", "/mcp", "", CALL)),
                    (Direction::ToClient, http::json("", RESULT)),
                ]
            } else {
                let body = if n % 2 == 0 { page(&mut rng, 20_000) } else { records(&mut rng, 20_000) };
                let kind = if n % 2 == 0 { "text/html" } else { "application/json" };
                let head = format!("HTTP/1.1 200 OK\nContent-Type: {kind}");
                let ask = "GET /list HTTP/1.1\nHost: www.vendor.example\nUser-Agent: bench\nAccept: */*\n\n";
                vec![
                    (Direction::ToServer, http::request(ask)),
                    (Direction::ToClient, http::message(&head, body.as_bytes())),
                ]
            };
            (format!("10.1.{}.{}:{}", n / 250, n % 250 + 1, 40_000 + n), "10.2.2.2:8000".to_owned(), turns)
        })
        .collect()
}

fn capture() -> Capture {
    let mut capture = Capture::new();
    capture.interleave(&conversations(), 64, &Wire { reorder: 2, ..Wire::default() }, 4);
    capture
}

/// Counts the bytes of a flow.
#[derive(Debug)]
struct Count;

impl App<u64> for Count {
    fn open(_: &Flow, _: &mut u64) -> Self {
        Self
    }

    fn piece(&mut self, _: &Flow, piece: Piece<'_>, total: &mut u64) -> Interest {
        if let Data::Bytes(bytes) = piece.data {
            *total += bytes.len() as u64;
        }
        Interest::More
    }

    fn close(self, _: &Flow, _: FlowEnd, _: &mut u64) {}
}

fn reassembly(c: &mut Criterion) {
    let capture = capture();
    let want: u64 = conversations().iter().flat_map(|(_, _, turns)| turns).map(|(_, bytes)| bytes.len() as u64).sum();
    let run = || {
        let (mut flows, mut total) = (FlowTable::<Count>::new(net::Limits::default()), 0);
        for (n, (us, data)) in (1..).zip(capture.frames()) {
            let place = Place { number: n, file: 0, in_file: n };
            let (ts, wire_len) = (Timestamp(*us as i64 * 1000), data.len() as u32);
            let frame = Frame { place, ts, link: LinkType::from_number(1), data, wire_len };
            flows.packet(&net::decode(&frame).unwrap(), data, &mut total);
        }
        flows.finish(&mut total);
        total
    };
    assert_eq!(run(), want, "a wrong answer has no speed");
    let mut group = c.benchmark_group("reassembly");
    group.throughput(Throughput::Bytes(want));
    group.bench_function("interleaved flows", |b| b.iter(|| black_box(run())));
    group.finish();
}

/// Counts messages and body bytes.
#[derive(Default)]
struct Parts {
    messages: u64,
    body: u64,
}

impl PartSink for Parts {
    fn part(&mut self, _: ExchangeId, _: Direction, part: Part<'_>) {
        match part {
            Part::Request(_) | Part::Response(_) => self.messages += 1,
            Part::Body(bytes) => self.body += bytes.len() as u64,
            _ => {}
        }
    }

    fn anomaly(&mut self, _: Option<ExchangeId>, _: Direction, _: proto::Anomaly) {}
}

fn http1(c: &mut Criterion) {
    let mut rng = Rng::new(2);
    let body = records(&mut rng, 16_000);
    let head = "HTTP/1.1 200 OK\nContent-Type: application/json\nCache-Control: no-store\nServer: bench";
    let ask = http::post("notes.corp.example", "/mcp", "Authorization: Bearer x\nUser-Agent: bench\n", CALL);
    let mut group = c.benchmark_group("http1");
    for (name, answer) in [
        ("content-length", http::message(head, body.as_bytes())),
        ("chunks of 1,000", http::chunked(head, body.as_bytes(), 1000, "")),
        ("chunks of 20", http::chunked(head, body.as_bytes(), 20, "")),
    ] {
        let (limits, mut stats) = (proto::Limits::default(), proto::Stats::default());
        let mut run = || {
            let (mut conn, mut parts) = (Conn::new(false), Parts::default());
            for (dir, bytes) in [(Direction::ToServer, &ask), (Direction::ToClient, &answer)] {
                for segment in bytes.chunks(1460) {
                    conn.bytes(&limits, &mut stats, dir, segment, &mut parts);
                }
            }
            parts
        };
        let parts = run();
        assert_eq!(
            (parts.messages, parts.body),
            (2, (CALL.len() + body.len()) as u64),
            "{name}: a wrong answer has no speed"
        );
        group.throughput(Throughput::Bytes((ask.len() + answer.len()) as u64));
        group.bench_function(name, |b| b.iter(|| black_box(run().body)));
    }
    group.finish();
}

fn tokenizer(c: &mut Criterion) {
    let mut rng = Rng::new(3);
    let long = format!(
        r#"{{"jsonrpc":"2.0","id":1,"result":{{"content":[{{"type":"text","text":"{}"}}],"isError":false}}}}"#,
        rng.word(40_000)
    );
    let other = records(&mut rng, 40_000);
    let limits = mcp::Limits::default();
    let mut group = c.benchmark_group("tokenizer");
    for (name, body, want) in [("a call", CALL, 1), ("a long result", long.as_str(), 1), ("records", other.as_str(), 0)]
    {
        let mut reader = mcp::Reader::new();
        let mut run = || {
            let mut messages = 0;
            reader.reset();
            for segment in body.as_bytes().chunks(1460) {
                reader.feed(&limits, segment, &mut |m| messages += usize::from(m.jsonrpc));
            }
            reader.finish(&mut |m| messages += usize::from(m.jsonrpc));
            messages
        };
        assert_eq!(run(), want, "{name}: a wrong answer has no speed");
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_function(name, |b| b.iter(|| black_box(run())));
    }
    group.finish();
}

/// The whole path, from a file to records.
fn path(c: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bench.pcap");
    let pcap = capture().pcap();
    std::fs::write(&file, &pcap).unwrap();
    let generation = Arc::new(detect::Generation {
        rules: detect::rules::compile(&detect::rules::builtin()).unwrap(),
        scope: detect::Scope::try_from(&detect::RawScope::default()).unwrap(),
    });
    let run = |threads: usize| {
        let reader = capture::Reader::open(std::slice::from_ref(&file), &capture::Options::default()).unwrap();
        let settings = pipeline::Settings { threads: NonZeroUsize::new(threads).unwrap(), ..Default::default() };
        let mut detections = 0;
        let mut emit = |record| detections += usize::from(matches!(record, correlate::Record::Detection(_)));
        pipeline::replay(reader, &settings, &generation, &pipeline::RunInfo::default(), &mut emit, &|_, _| {}).unwrap();
        detections
    };
    let mut group = c.benchmark_group("replay");
    group.throughput(Throughput::Bytes(pcap.len() as u64)).sample_size(20);
    for threads in [1, 2] {
        assert_eq!(run(threads), usize::from(FLOWS / MCP_EVERY), "a wrong answer has no speed");
        group.bench_function(format!("{threads} threads"), |b| b.iter(|| black_box(run(threads))));
    }
    group.finish();
}

criterion_group!(benches, reassembly, http1, tokenizer, path);
criterion_main!(benches);
