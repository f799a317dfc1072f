//! Frames to packets.

use crate::{MSS, WRONG, frames};
use criterion::{Criterion, Throughput};
use std::hint::black_box;
use testkit::{Capture, Direction, Wire};

/// Frames of one bench.
const FRAMES: usize = 1200;

/// Data segments of `len` bytes, of each kind of flow in turn.
fn segments(kinds: &[(&str, &str, Option<u16>)], len: usize) -> Vec<(u64, Vec<u8>)> {
    let mut capture = Capture::new();
    let flows: Vec<_> = kinds
        .iter()
        .map(|(client, server, vlan)| {
            capture.flow(client, server, Wire { vlan: *vlan, midstream: true, ..Wire::default() })
        })
        .collect();
    let payload = vec![b'x'; len];
    for n in 0..FRAMES {
        capture.send(flows[n % flows.len()], Direction::ToServer, &payload);
    }
    // Each send is acknowledged; that frame is left out.
    capture.frames().iter().step_by(2).cloned().collect()
}

pub(crate) fn benches(c: &mut Criterion) {
    let v4 = ("10.1.1.1:40000", "10.2.2.2:80", None);
    let v6 = ("[fd00::1]:40000", "[fd00::2]:80", None);
    let tagged = ("10.1.1.2:40000", "10.2.2.2:80", Some(40));
    let mut group = c.benchmark_group("decode");
    for (name, kinds, len) in [
        ("IPv4, small", &[v4][..], 32),
        ("IPv6, small", &[v6][..], 32),
        ("VLAN, small", &[tagged][..], 32),
        ("mixed, small", &[v4, v6, tagged][..], 32),
        ("mixed, full", &[v4, v6, tagged][..], MSS),
    ] {
        let all = segments(kinds, len);
        let run = || {
            let payload = frames::each(black_box(&all)).map(|frame| {
                let packet = black_box(net::decode(&frame).unwrap());
                (packet.payload.end - packet.payload.start) as usize
            });
            payload.sum::<usize>()
        };
        assert_eq!(run(), FRAMES * len, "{name}: {WRONG}");
        group.throughput(Throughput::Elements(FRAMES as u64));
        group.bench_function(name, |b| b.iter(run));
    }
    group.finish();
}
