//! The flow table: finding flows, and a flood of new ones.

use crate::{WRONG, frames};
use criterion::{Criterion, Throughput};
use net::{App, Flow, FlowEnd, FlowTable, Interest, Limits, Packet, Piece};
use std::hint::black_box;
use testkit::{Capture, Rng, Wire};

/// Packets of one round.
const ROUND: usize = 10_000;
/// Flows that a table may hold in the flood.
const ROOM: usize = 16_384;
/// Different flows in the flood.
const FLOOD: usize = 60_000;

/// Takes no interest.
#[derive(Debug)]
struct Nobody;

impl App<()> for Nobody {
    fn open(_: &Flow, (): &mut ()) -> Self {
        Self
    }

    fn piece(&mut self, _: &Flow, _: Piece<'_>, (): &mut ()) -> Interest {
        Interest::More
    }

    fn close(self, _: &Flow, _: FlowEnd, (): &mut ()) {}
}

/// The three frames of each of `n` handshakes.
fn handshakes(n: usize) -> Vec<(u64, Vec<u8>)> {
    let mut capture = Capture::new();
    for i in 0..n {
        let client = format!("10.{}.{}.{}:{}", i >> 16, i >> 8 & 255, i & 255, 1024 + i % 60_000);
        capture.flow(&client, "10.200.2.2:80", Wire::default());
    }
    capture.frames().to_vec()
}

pub(crate) fn benches(c: &mut Criterion) {
    let mut group = c.benchmark_group("flow table");
    group.throughput(Throughput::Elements(ROUND as u64));
    for flows in [10, 2000, 200_000] {
        let frames = handshakes(flows);
        let packets = frames::packets(&frames);
        let mut table = FlowTable::<Nobody>::new(Limits { flows: 1 << 18, ..Limits::default() });
        for (packet, data) in &packets {
            table.packet(packet, data, &mut ());
        }
        assert_eq!((table.len(), table.stats().flows_opened), (flows, flows as u64), "{WRONG}");
        // The acknowledgement that ends each handshake, as often as is asked for, in random order.
        let mut acks: Vec<&(Packet, &[u8])> = packets.iter().skip(2).step_by(3).collect();
        Rng::new(1).shuffle(&mut acks);
        let mut next = acks.iter().cycle();
        let mut round = || {
            for (packet, data) in next.by_ref().take(ROUND) {
                table.packet(black_box(packet), data, &mut ());
            }
            table.stats().packets_taken
        };
        let before = round();
        assert_eq!(round() - before, ROUND as u64, "every packet belongs to a flow: {WRONG}");
        group.bench_function(format!("look up among {flows}"), |b| b.iter(&mut round));
    }
    let frames = handshakes(FLOOD);
    let packets = frames::packets(&frames);
    let mut table = FlowTable::<Nobody>::new(Limits { flows: ROOM, ..Limits::default() });
    let mut next = packets.iter().step_by(3).cycle();
    let mut round = || {
        for (packet, data) in next.by_ref().take(ROUND) {
            table.packet(black_box(packet), data, &mut ());
        }
        table.stats().flows_opened
    };
    let opened = (0..3).map(|_| round()).last();
    assert_eq!(opened, Some(3 * ROUND as u64), "every SYN opens a flow: {WRONG}");
    group.bench_function("flood of SYNs, full table", |b| b.iter(&mut round));
    assert_eq!(table.len(), ROOM, "{WRONG}");
    group.finish();
}
