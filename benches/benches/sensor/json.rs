//! Bodies to JSON-RPC messages.

use crate::{MSS, WRONG};
use benches::bodies;
use criterion::{Criterion, Throughput};
use mcp::{BodyKind, Limits, Reader};
use std::hint::black_box;
use testkit::Rng;

pub(crate) fn benches(c: &mut Criterion) {
    let mut rng = Rng::new(3);
    let small: Vec<String> = (0..100).map(|_| bodies::record(&mut rng)).collect();
    let calls: Vec<String> = vec![bodies::CALL.to_owned(); 100];
    let limits = Limits::default();
    let mut group = c.benchmark_group("json");
    for (name, all, want) in [
        ("records", vec![bodies::records(&mut rng, 64_000)], 0),
        ("100 small bodies", small, 0),
        ("100 calls", calls, 100),
        ("deep", vec![bodies::deep(&mut rng, 64_000, 60)], 0),
        ("deeper than entered", vec![bodies::deep(&mut rng, 64_000, 500)], 0),
        ("a long string with escapes", vec![bodies::long_result(&mut rng, 64_000)], 1),
    ] {
        let mut reader = Reader::new();
        let mut run = || {
            let (mut messages, mut broken) = (0, 0);
            for body in black_box(&all) {
                reader.reset();
                for segment in body.as_bytes().chunks(MSS) {
                    reader.feed(&limits, segment, &mut |m| messages += usize::from(m.jsonrpc));
                }
                let kind = reader.finish(&mut |m| messages += usize::from(m.jsonrpc));
                broken += usize::from(!matches!(kind, BodyKind::Json { .. }));
            }
            (messages, broken)
        };
        assert_eq!(run(), (want, 0), "{name}: {WRONG}");
        group.throughput(Throughput::Bytes(all.iter().map(|body| body.len() as u64).sum()));
        group.bench_function(name, |b| b.iter(&mut run));
    }
    group.finish();
}
