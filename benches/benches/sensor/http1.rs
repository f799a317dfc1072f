//! Ordered bytes to messages.

use crate::{MSS, WRONG};
use benches::bodies;
use criterion::{Criterion, Throughput};
use net::Direction;
use proto::{Anomaly, Conn, ExchangeId, Limits, Part, PartSink, Stats};
use std::fmt::Write;
use std::hint::black_box;
use testkit::{Rng, Turn, http};

/// Counts messages and body bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Parts {
    messages: u64,
    body: u64,
    fields: u64,
}

impl PartSink for Parts {
    fn part(&mut self, _: ExchangeId, _: Direction, part: Part<'_>) {
        match part {
            Part::Request(head) => {
                self.messages += 1;
                self.fields += head.headers.0.len() as u64;
            }
            Part::Response(head) => {
                self.messages += 1;
                self.fields += head.headers.0.len() as u64;
            }
            Part::Body(bytes) => self.body += bytes.len() as u64,
            _ => {}
        }
    }

    fn anomaly(&mut self, _: Option<ExchangeId>, _: Direction, _: Anomaly) {}
}

fn exchange(request: &[u8], response: Vec<u8>) -> Vec<Turn> {
    vec![(Direction::ToServer, request.to_vec()), (Direction::ToClient, response)]
}

pub(crate) fn benches(c: &mut Criterion) {
    let mut rng = Rng::new(2);
    let body = bodies::records(&mut rng, 16_000);
    let head = "HTTP/1.1 200 OK\nContent-Type: application/json\nCache-Control: no-store\nServer: bench";
    let ask = http::request("GET /list HTTP/1.1\nHost: www.vendor.example\nUser-Agent: bench\nAccept: */*\n\n");
    let small = bodies::record(&mut rng);
    let small_ones = (0..100).flat_map(|_| exchange(&ask, http::message(head, small.as_bytes()))).collect::<Vec<_>>();
    let mut many = String::from(head);
    for n in 0..60 {
        write!(many, "\nX-Field-{n}: {}", rng.word(30)).unwrap();
    }
    let long = body.len() as u64;
    let mut group = c.benchmark_group("http1");
    for (name, turns, want) in [
        ("length", exchange(&ask, http::message(head, body.as_bytes())), [2, long, 3 + 4]),
        ("chunks of 1,000", exchange(&ask, http::chunked(head, body.as_bytes(), 1000, "")), [2, long, 3 + 4]),
        ("chunks of 20", exchange(&ask, http::chunked(head, body.as_bytes(), 20, "")), [2, long, 3 + 4]),
        ("100 small exchanges", small_ones, [200, 100 * small.len() as u64, 700]),
        ("64 fields", exchange(&ask, http::message(&many, small.as_bytes())), [2, small.len() as u64, 3 + 64]),
    ] {
        let (limits, mut stats) = (Limits::default(), Stats::default());
        let mut run = || {
            let (mut conn, mut parts) = (Conn::new(false), Parts::default());
            for (dir, bytes) in black_box(&turns) {
                for segment in bytes.chunks(MSS) {
                    conn.bytes(&limits, &mut stats, *dir, segment, &mut parts);
                }
            }
            parts
        };
        let [messages, body, fields] = want;
        assert_eq!(run(), Parts { messages, body, fields }, "{name}: {WRONG}");
        // A body with a length is handed on without being looked at, so bytes would flatter.
        group.throughput(Throughput::Elements(messages));
        group.bench_function(name, |b| b.iter(&mut run));
    }
    group.finish();
}
