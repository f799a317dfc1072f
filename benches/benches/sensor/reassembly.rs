//! Segments to ordered bytes.

use crate::{WRONG, frames};
use benches::bodies;
use criterion::{Criterion, Throughput};
use net::{App, Data, Direction, Flow, FlowEnd, FlowTable, Interest, Limits, Piece};
use std::hint::black_box;
use testkit::{Capture, Rng, Wire};

/// What was delivered, so that its order shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Seen {
    bytes: u64,
    trace: u64,
    gaps: u64,
}

impl Seen {
    /// Only the ends of a piece are looked at: what is timed is the way here.
    fn add(&mut self, piece: &[u8]) {
        self.bytes += piece.len() as u64;
        let ends = [piece.first(), piece.last()].into_iter().flatten();
        self.trace = ends.fold(self.trace, |trace, byte| trace.wrapping_mul(31).wrapping_add(u64::from(*byte)));
    }
}

#[derive(Debug)]
struct Reader;

impl App<Seen> for Reader {
    fn open(_: &Flow, _: &mut Seen) -> Self {
        Self
    }

    fn piece(&mut self, _: &Flow, piece: Piece<'_>, seen: &mut Seen) -> Interest {
        match piece.data {
            Data::Bytes(bytes) => seen.add(bytes),
            Data::Gap(_) => seen.gaps += 1,
            _ => {}
        }
        Interest::More
    }

    fn close(self, _: &Flow, _: FlowEnd, _: &mut Seen) {}
}

/// Frames of `flows` flows that send `len` bytes each, in segments of `mss`; one frame in `swap` changes places with
/// the next.
fn frames_of(flows: usize, len: usize, mss: usize, swap: usize) -> (Vec<(u64, Vec<u8>)>, Seen) {
    let mut rng = Rng::new(4);
    let mut capture = Capture::new();
    let mut want = Seen::default();
    for n in 0..flows {
        let body = bodies::opaque(&mut rng, len);
        body.chunks(mss).for_each(|piece| want.add(piece));
        let client = format!("10.1.1.1:{}", 20_000 + n);
        let turns = [(Direction::ToServer, body)];
        capture.play(&client, "10.2.2.2:80", Wire::cut(mss), &turns);
    }
    let mut frames = capture.frames().to_vec();
    if swap > 0 {
        for at in 1..frames.len() {
            // Only data: a handshake out of order is another matter.
            let is_data = |n: usize| frames[n].1.len() > 60;
            if is_data(at - 1) && is_data(at) && rng.below(swap) == 0 {
                frames.swap(at - 1, at);
            }
        }
    }
    (frames, want)
}

pub(crate) fn benches(c: &mut Criterion) {
    let mut group = c.benchmark_group("reassembly");
    for (name, flows, len, mss, swap) in [
        ("in order", 32, 100_000, 1460, 0),
        ("2 % reordered", 32, 100_000, 1460, 50),
        ("one byte a segment", 1, 20_000, 1, 0),
    ] {
        let (frames, want) = frames_of(flows, len, mss, swap);
        let packets = frames::packets(&frames);
        let run = || {
            let (mut table, mut seen) = (FlowTable::<Reader>::new(Limits::default()), Seen::default());
            for (packet, data) in black_box(&packets) {
                table.packet(packet, data, &mut seen);
            }
            table.finish(&mut seen);
            seen
        };
        assert_eq!(run(), want, "{name}: {WRONG}");
        group.throughput(Throughput::Elements(packets.len() as u64));
        group.bench_function(name, |b| b.iter(run));
    }
    group.finish();
}
