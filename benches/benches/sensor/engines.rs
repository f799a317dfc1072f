//! Pattern engines, on the expressions for bodies of the built-in packs.

use crate::{MSS, WRONG};
use benches::bodies;
use criterion::{Criterion, Throughput};
use detect::engine::{Engine, Pattern, Scanner, Scratch};
use std::hint::black_box;
use testkit::Rng;

/// Every different expression on a body or a WebSocket message.
fn patterns() -> Vec<Pattern> {
    let mut texts: Vec<String> = Vec::new();
    for file in detect::rules::builtin() {
        let table: toml::Table = file.text.parse().unwrap();
        for signature in table.get("signature").and_then(|s| s.as_array()).into_iter().flatten() {
            let of = |key: &str| signature.get(key).and_then(toml::Value::as_str);
            let on_body =
                of("on").is_some_and(|on| ["request.body", "response.body", "websocket.message"].contains(&on));
            texts.extend(of("regex").filter(|_| on_body).map(str::to_owned));
        }
    }
    texts.sort_unstable();
    texts.dedup();
    texts.iter().map(|text| Pattern::streamed(text, false).unwrap()).collect()
}

pub(crate) fn benches(c: &mut Criterion) {
    let patterns = patterns();
    assert!(patterns.len() > 20, "the packs have expressions on bodies");
    let scanner = Scanner::streamed(&patterns).unwrap();
    let mut found = Vec::new();
    bench(c, "own", &scanner, &mut found);
    #[cfg(feature = "hyperscan")]
    bench(c, "hyperscan", &detect::engine::Hyperscan::streamed(&patterns).unwrap(), &mut found);
}

/// `found` is what the first engine found in each text, which the others must find too.
fn bench<E: Engine>(c: &mut Criterion, engine_name: &str, engine: &E, found: &mut Vec<Vec<(u32, u64)>>) {
    let mut rng = Rng::new(5);
    let clean = bodies::records(&mut rng, 256 << 10);
    let html = bodies::page(&mut rng, 256 << 10);
    let near = bodies::near_matches(256 << 10);
    let call = bodies::CALL.to_owned();
    let mut group = c.benchmark_group(format!("engine {engine_name}"));
    let (mut state, mut scratch) = (engine.start(), Scratch::default());
    for (at, (name, text, hits)) in
        [("clean JSON", clean, false), ("HTML", html, false), ("near matches", near, false), ("a call", call, true)]
            .into_iter()
            .enumerate()
    {
        group.throughput(Throughput::Bytes(text.len() as u64));
        for (cut, size) in [("cut", MSS), ("whole", text.len())] {
            let mut run = |hit: &mut dyn FnMut(u32, u64)| {
                engine.reset(&mut state);
                for piece in black_box(text.as_bytes()).chunks(size) {
                    engine.scan(&mut state, &mut scratch, piece, hit);
                }
            };
            let mut got = Vec::new();
            run(&mut |pattern, end| got.push((pattern, end)));
            got.sort_unstable();
            assert_eq!(!got.is_empty(), hits, "{engine_name}, {name}: {WRONG}");
            if found.len() <= at {
                found.push(got.clone());
            }
            assert_eq!(found[at], got, "{engine_name}, {name}, {cut}: {WRONG}");
            group.bench_function(format!("{name}, {cut}"), |b| {
                b.iter(|| {
                    run(&mut |pattern, end| {
                        black_box((pattern, end));
                    });
                });
            });
        }
    }
    group.finish();
}
