//! The whole path, from the bytes of a capture file to records.

use crate::{WRONG, frames};
use benches::traffic::{OPEN, Profile, write};
use capture::{Options, Reader};
use correlate::Record;
use criterion::{Criterion, Throughput};
use detect::{Confidence, Generation, RawScope, Scope};
use net::LinkType;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fmt::Display;
use std::hint::black_box;
use std::io::Cursor;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

/// Bytes of the generated captures, at least; and where they are only tried out.
const GENERATED: u64 = 24 << 20;
const TRIED: u64 = 4 << 20;
/// How often the recorded captures are repeated.
const REPEATED: u64 = 6;

/// Clients and servers between whom MCP was found.
type Found = BTreeSet<(String, String)>;

fn replay(file: &Arc<[u8]>, threads: usize, generation: &Arc<Generation>) -> Found {
    let source = Box::new(Cursor::new(Arc::clone(file)));
    let reader = Reader::from_sources(vec![("bench".to_owned(), source)], &Options::default()).unwrap();
    let settings = pipeline::Settings { threads: NonZeroUsize::new(threads).unwrap(), ..Default::default() };
    let mut found = Found::new();
    let mut emit = |record| {
        if let Record::Detection(d) = record
            && d.confidence >= Confidence::Likely
        {
            let flow = &d.flow;
            found.insert((end(&flow.client.ip, flow.client.port), end(&flow.server.ip, flow.server.port)));
        }
    };
    pipeline::replay(reader, &settings, generation, &pipeline::RunInfo::default(), &mut emit, &|_, _| {}).unwrap();
    found
}

fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap().to_owned()
}

fn end(ip: &str, port: impl Display) -> String {
    if ip.contains(':') { format!("[{ip}]:{port}") } else { format!("{ip}:{port}") }
}

/// A generated capture, and the flows that are MCP by its own account.
fn generated(profile: Profile) -> (Arc<[u8]>, Found) {
    let (mut pcap, mut truth) = (Vec::new(), Vec::new());
    let bytes = if std::env::args().any(|a| a == "--bench") { GENERATED } else { TRIED };
    write(profile, bytes, OPEN, &mut pcap, &mut truth, &mut std::io::sink()).unwrap();
    let flows = String::from_utf8(truth).unwrap();
    let flows = flows.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let mcp = flows.filter(|flow| flow["mcp"] == true);
    (pcap.into(), mcp.map(|flow| (text(&flow, "client"), text(&flow, "server"))).collect())
}

/// The captures in `fixtures` that can be read today, as one, over and over: an hour lies between two rounds. With the
/// truth of their manifest, which names no ports of clients.
fn recorded() -> (Arc<[u8]>, Found) {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../fixtures/captures");
    let manifest = std::fs::read(folder.join("MANIFEST.json")).unwrap();
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    let (mut once, mut want) = (Vec::new(), Found::new());
    for capture in manifest["captures"].as_array().unwrap().iter().filter(|c| c.get("later").is_none()) {
        let mut ethernet_only = true;
        let mut reader = Reader::open(&[folder.join(text(capture, "file"))], &Options::default()).unwrap();
        while let Some(batch) = reader.next_batch().unwrap() {
            ethernet_only &= batch.iter().all(|frame| frame.link == LinkType::Ethernet);
            let frames = batch.iter().filter(|_| ethernet_only);
            once.extend(frames.map(|frame| (frame.ts.0.cast_unsigned() / 1000, frame.data.to_vec())));
        }
        let mcp = capture["expected"].as_array().unwrap().iter().filter(|e| ethernet_only && e["is_mcp"] == true);
        want.extend(mcp.map(|e| (text(e, "client"), end(&text(e, "server"), e["port"].as_u64().unwrap()))));
    }
    once.sort_by_key(|(us, _)| *us);
    let span = once.last().unwrap().0 - once[0].0 + 3_600_000_000;
    let all: Vec<_> =
        (0..REPEATED).flat_map(|n| once.iter().map(move |(us, data)| (us + n * span, data.clone()))).collect();
    (frames::pcap(&all).into(), want)
}

/// Without the ports of clients.
fn by_client(found: Found) -> Found {
    let address = |client: &str| client.rsplit_once(':').unwrap().0.trim_matches(['[', ']']).to_owned();
    found.into_iter().map(|(client, server)| (address(&client), server)).collect()
}

pub(crate) fn benches(c: &mut Criterion) {
    let generation = Arc::new(Generation {
        rules: detect::rules::compile(&detect::rules::builtin()).unwrap(),
        scope: Scope::try_from(&RawScope::default()).unwrap(),
        policy: detect::Policy::default(),
    });
    let mut group = c.benchmark_group("path");
    group.sample_size(10);
    let same: fn(Found) -> Found = |found| found;
    for (name, make, seen) in [
        ("recorded", recorded as fn() -> (Arc<[u8]>, Found), by_client as fn(Found) -> Found),
        ("http", || generated(Profile::Http), same),
        ("mixed", || generated(Profile::Mixed), same),
        ("dns", || generated(Profile::Dns), same),
    ] {
        let (file, want) = make();
        assert!(!want.is_empty(), "{name}: there is MCP");
        group.throughput(Throughput::Bytes(file.len() as u64));
        for threads in [1, 2] {
            assert_eq!(seen(replay(&file, threads, &generation)), want, "{name}: {WRONG}");
            let name = format!("{name}, {threads} thread{}", if threads == 1 { "" } else { "s" });
            group.bench_function(name, |b| b.iter(|| black_box(replay(&file, threads, &generation))));
        }
    }
    group.finish();
}
