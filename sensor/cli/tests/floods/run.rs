//! A flood through the pipeline, under limits of the test's choosing, with nothing of it in memory or on disk.

use detect::Generation;
use pipeline::{Limits, RunInfo, Settings};
use std::io::{BufWriter, Read, Write};
use std::num::NonZeroUsize;
use std::sync::{Arc, LazyLock};
use testkit::flood::{Canary, Flood, Tally, Written};

/// Shards that limits of flows and bytes are shared out to.
pub(crate) const SHARDS: usize = 64;

/// Built-in rules, and a configuration that speaks of the names of floods.
fn generation() -> Arc<Generation> {
    static GENERATION: LazyLock<Arc<Generation>> = LazyLock::new(|| {
        let servers = vec![detect::RawServer::Name("*.flood.example".to_owned())];
        let sanctioned = detect::RawServers { servers };
        let raw = detect::RawScope { sanctioned, ..Default::default() };
        let rules = detect::rules::compile(&detect::rules::builtin()).unwrap();
        Arc::new(Generation { rules, scope: detect::Scope::try_from(&raw).unwrap(), policy: detect::Policy::default() })
    });
    Arc::clone(&GENERATION)
}

/// Replays what `input` gives; every line goes to `take`.
fn replay(input: impl Read + Send + 'static, limits: &Limits, threads: usize, take: &mut (dyn FnMut(&str) + Send)) {
    let sources: Vec<(String, Box<dyn Read + Send>)> = vec![("flood.pcap".to_owned(), Box::new(input))];
    let reader = capture::Reader::from_sources(sources, &capture::Options::default()).unwrap();
    let settings = Settings {
        threads: NonZeroUsize::new(threads).unwrap(),
        look_alikes: false,
        limits: limits.clone(),
        ..Settings::default()
    };
    let info = RunInfo { sensor: "replay".to_owned(), ..Default::default() };
    let mut line = Vec::new();
    let mut emit = |record| {
        line.clear();
        sinks::jsonl::line(&record, &mut line).unwrap();
        take(std::str::from_utf8(&line).unwrap());
    };
    pipeline::replay(reader, &settings, &generation(), &info, &mut emit, &|_, _| {}).unwrap();
}

/// Lines of a capture.
pub(crate) fn told(pcap: Vec<u8>, limits: &Limits) -> Vec<String> {
    let mut lines = Vec::new();
    replay(std::io::Cursor::new(pcap), limits, 1, &mut |line| lines.push(line.to_owned()));
    lines
}

/// What came of a capture.
pub(crate) fn tally(pcap: Vec<u8>, limits: &Limits) -> Tally {
    let mut tally = Tally::default();
    replay(std::io::Cursor::new(pcap), limits, 1, &mut |line| tally.line(line));
    tally
}

/// Lines of a flood.
pub(crate) fn lines(flood: &Flood, limits: &Limits, threads: usize) -> (Vec<String>, Written) {
    let (reader, writer) = std::io::pipe().unwrap();
    let flood = *flood;
    let feeder = std::thread::spawn(move || {
        let mut out = BufWriter::new(writer);
        let written = flood.write(&mut out).unwrap();
        out.flush().unwrap();
        written
    });
    let mut lines = Vec::new();
    replay(reader, limits, threads, &mut |line| lines.push(line.to_owned()));
    (lines, feeder.join().unwrap())
}

/// What came of a flood, once it is certain that all packets are accounted for and every canary was found.
#[track_caller]
pub(crate) fn survives(flood: &Flood, limits: &Limits) -> Tally {
    let (lines, written) = lines(flood, limits, 1);
    let mut tally = Tally::default();
    for line in &lines {
        tally.line(line);
    }
    let counted = tally.stat("", "packets_analysed") + tally.sum("packets_dropped");
    assert_eq!((tally.stat("", "packets"), counted), (written.packets, written.packets), "{flood:?}");
    for canary in Canary::ALL {
        assert_eq!(tally.found(canary), usize::from(flood.canaries), "{} in {flood:?}: {}", canary.word(), tally.stats);
    }
    assert_eq!(tally.stat("limits", "internal_faults"), 0);
    tally
}
