//! Event streams, and `websocket` messages.

use crate::{MSS, WRONG};
use benches::bodies;
use criterion::{Criterion, Throughput};
use net::Direction;
use proto::{coding, sse, websocket};
use std::hint::black_box;
use testkit::{Rng, http};

/// Counts what is over, and the bytes of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Count {
    ended: u64,
    bytes: u64,
}

impl sse::Sink for Count {
    fn data(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
    }

    fn event(&mut self, _: sse::Event<'_>) {
        self.ended += 1;
    }
}

impl websocket::Sink for Count {
    fn payload(&mut self, bytes: &[u8]) {
        self.bytes += black_box(bytes).len() as u64;
    }

    fn lost(&mut self, n: u64) {
        panic!("{n} bytes lost");
    }

    fn message_end(&mut self, _: websocket::Kind) {
        self.ended += 1;
    }

    fn control(&mut self, _: u8, _: &[u8]) {}

    fn anomaly(&mut self, what: websocket::Anomaly) {
        panic!("{what:?}");
    }
}

pub(crate) fn benches(c: &mut Criterion) {
    events(c);
    websockets(c);
}

fn events(c: &mut Criterion) {
    let mut rng = Rng::new(6);
    let long = bodies::long_result(&mut rng, 20_000);
    let mut group = c.benchmark_group("event stream");
    for (name, stream, ended, bytes) in [
        ("words of a model", http::events(&[("", bodies::CHUNK)], "\n").repeat(300), 300, 300 * bodies::CHUNK.len()),
        ("long messages", http::events(&[("message", &long)], "\r\n").repeat(4), 4, 4 * long.len()),
    ] {
        let run = || {
            let (mut parser, mut count) = (sse::Parser::new(), Count::default());
            for piece in black_box(&stream).chunks(MSS) {
                parser.feed(piece, &mut count);
            }
            parser.finish(&mut count);
            count
        };
        assert_eq!(run(), Count { ended, bytes: bytes as u64 }, "{name}: {WRONG}");
        group.throughput(Throughput::Bytes(stream.len() as u64));
        group.bench_function(name, |b| b.iter(run));
    }
    group.finish();
}

fn websockets(c: &mut Criterion) {
    use testkit::websocket::frame;
    let mut rng = Rng::new(7);
    let long = bodies::long_result(&mut rng, 20_000).into_bytes();
    let small = bodies::record(&mut rng).into_bytes();
    let mask = Some([0x37, 0xfa, 0x21, 0x3d]);
    let limits = coding::Limits::default();
    // A compressed message: the flag of RFC 7692 on the first byte; each with a window of its own.
    let mut packed = frame(1, &http::deflate(&long), None);
    packed[0] |= 0x40;
    let each = Some(websocket::Deflate { no_context_takeover: true, window_bits: 15 });
    let mut group = c.benchmark_group("websocket");
    for (name, stream, from, deflate, (ended, bytes)) in [
        ("masked, long", frame(1, &long, mask).repeat(4), Direction::ToServer, None, (4, long.len())),
        ("masked, small", frame(1, &small, mask).repeat(300), Direction::ToServer, None, (300, small.len())),
        ("plain, small", frame(1, &small, None).repeat(300), Direction::ToClient, None, (300, small.len())),
        ("deflated, long", packed.repeat(4), Direction::ToClient, each, (4, long.len())),
    ] {
        let run = || {
            let (mut decoder, mut count) = (websocket::Decoder::new(from, deflate), Count::default());
            for piece in black_box(&stream).chunks(MSS) {
                decoder.feed(&limits, piece, &mut count).unwrap();
            }
            count
        };
        assert_eq!(run(), Count { ended, bytes: ended * bytes as u64 }, "{name}: {WRONG}");
        group.throughput(Throughput::Bytes(ended * bytes as u64));
        group.bench_function(name, |b| b.iter(run));
    }
    group.finish();
}
