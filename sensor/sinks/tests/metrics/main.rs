//! Metrics from outside: the text, the endpoint, and a real Prometheus.

#![allow(
    clippy::print_stderr,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may fail loudly"
)]

mod endpoint;
mod prometheus;
mod text;

use correlate::record::{Latency, ProxyStats};
use sinks::metrics::{Interface, Process, Queue, Sample, Sink};
use sinks::outlet::{OutletStats, State};
use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// A sensor that is well, with something in every family.
fn sample() -> Sample {
    let mut sample = Sample {
        version: "0.1.0".into(),
        rules_generation: "sha256:00".into(),
        reloads_ok: 3,
        reloads_failed: 1,
        flows_active: 12,
        reassembly_bytes: 4096,
        held: vec![("decoders", 8192)],
        queues: vec![Queue { name: "packets", depth: 2 }],
        workers_alive: 2,
        workers_configured: 2,
        proxy_threads_alive: 2,
        proxy_threads_configured: 2,
        interfaces: vec![Interface {
            name: "eth1".into(),
            up: true,
            packets: 1000,
            dropped: vec![("kernel", 5), ("queue", 0)],
            cut: 3,
        }],
        sinks: vec![sink("events.jsonl", 7)],
        packet_lag: Duration::from_millis(20),
        progress: 1,
        capturing: true,
        process: Some(Process { resident_bytes: 1 << 20, open_files: 9 }),
        ..Sample::default()
    };
    let stats = &mut sample.stats;
    (stats.packets, stats.bytes, stats.packets_analysed, stats.events) = (1000, 64_000, 985, 9);
    for (map, name, n) in [
        (&mut stats.packets_dropped, "kernel", 5),
        (&mut stats.flows, "fin", 4),
        (&mut stats.messages, "http1_requests", 6),
        (&mut stats.uninspected_bytes, "tls", 50_000),
        (&mut stats.reassembly, "gaps", 2),
        (&mut stats.signals, "mcp.proof.initialize", 3),
        (&mut stats.detections, "shadow/confirmed", 3),
        (&mut stats.look_alikes, "lsp", 1),
        (&mut stats.servers, "shadow", 1),
        (&mut stats.notices, "limit_met", 1),
        (&mut stats.limits, "texts", 1),
    ] {
        map.insert(name.into(), n);
    }
    stats.packets_dropped.insert("not_ip".into(), 10);
    let mut proxy = ProxyStats {
        connections: 70,
        connections_active: 7,
        added_latency: Latency { count: 60, sum_us: 3000, up_to_us: BTreeMap::from([(50, 40), (100, 59)]) },
        ..ProxyStats::default()
    };
    for (map, name, n) in [
        (&mut proxy.requests, "200", 60),
        (&mut proxy.tls_client, "ok", 61),
        (&mut proxy.tls_origin, "expired", 2),
        (&mut proxy.refused, "dns_error", 1),
        (&mut proxy.tunnelled, "bypass", 4),
        (&mut proxy.actions, "block", 5),
        (&mut proxy.limits, "hold_bytes", 1),
    ] {
        map.insert(name.into(), n);
    }
    stats.proxy = Some(proxy);
    stats.messages.insert("bodies_let_go_after_sniff".into(), 1);
    sample
}

fn sink(name: &str, written: u64) -> Sink {
    let stats = OutletStats { given: written + 2, written, dropped: 2, ..OutletStats::default() };
    Sink { name: name.into(), stats, state: State::Writing }
}

/// Sends `request`, and gives the status and the body of the answer.
fn ask(addr: SocketAddr, request: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {answer}"));
    (head[9..12].parse().unwrap(), body.to_owned())
}

fn get(addr: SocketAddr, path: &str) -> (u16, String) {
    ask(addr, &format!("GET {path} HTTP/1.1\r\nHost: {addr}\r\n\r\n"))
}

/// Asks again until it is so.
#[track_caller]
fn eventually(what: &str, mut so: impl FnMut() -> bool) {
    let until = now() + Duration::from_secs(30);
    while !so() {
        assert!(now() < until, "not within 30 s: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[expect(clippy::disallowed_methods, reason = "a test that waits has to know for how long")]
fn now() -> Instant {
    Instant::now()
}
