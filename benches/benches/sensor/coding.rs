//! Content codings off. Rates are of what comes out.

use crate::{MSS, WRONG};
use benches::bodies;
use criterion::{Criterion, Throughput};
use proto::EndKind;
use proto::coding::{Coding, Decoder, Limits, Pool};
use std::hint::black_box;
use testkit::{Rng, http};

/// The records below, as `brotli -q 5` and `zstd -3` code them; see `bodies/README.md`.
const BROTLI: &[u8] = include_bytes!("../../bodies/records.json.br");
const ZSTD: &[u8] = include_bytes!("../../bodies/records.json.zst");

pub(crate) fn benches(c: &mut Criterion) {
    let plain = bodies::records(&mut Rng::new(50), 64_000);
    let gzip = http::gzip(plain.as_bytes());
    let zlib = http::zlib(plain.as_bytes());
    let limits = Limits::default();
    let mut pool = Pool::default();
    let mut group = c.benchmark_group("coding");
    group.throughput(Throughput::Bytes(plain.len() as u64));
    for (name, coding, packed) in [
        ("gzip", Coding::Gzip, gzip.as_slice()),
        ("deflate", Coding::Deflate, &zlib),
        ("brotli", Coding::Brotli, BROTLI),
        ("zstd", Coding::Zstd, ZSTD),
    ] {
        for piece in [MSS, 100] {
            let mut run = |out: &mut dyn FnMut(&[u8])| {
                let mut decoder = Decoder::of(&[coding], &mut pool).unwrap();
                for piece in black_box(packed).chunks(piece) {
                    decoder.feed(&limits, piece, out).unwrap();
                }
                decoder.finish(&mut pool)
            };
            let mut got = Vec::new();
            let end = run(&mut |bytes| got.extend_from_slice(bytes));
            assert!((end, got.as_slice()) == (EndKind::Complete, plain.as_bytes()), "{name}: {WRONG}");
            group.bench_function(format!("{name}, pieces of {piece}"), |b| {
                b.iter(|| {
                    run(&mut |bytes| {
                        black_box(bytes);
                    })
                });
            });
        }
    }
    group.finish();
}
