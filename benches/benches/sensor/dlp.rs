//! Profiles of data in decoded texts, and the walk over the leaves of a JSON text.

use crate::WRONG;
use benches::bodies;
use criterion::{Criterion, Throughput};
use detect::dlp::ProfileSet;
use mcp::{Value, Walker};
use std::hint::black_box;
use testkit::Rng;

/// A value that the profile `payment-cards` hits.
const CARD: &str = " card 4111 1111 1111 1111. ";

pub(crate) fn benches(c: &mut Criterion) {
    let rules = detect::rules::compile(&detect::rules::builtin()).unwrap();
    let profiles = rules.dlp();
    let all: ProfileSet = (0..profiles.len() as u16).collect();
    let mut rng = Rng::new(11);
    let records = bodies::records(&mut rng, 1 << 20);
    let page = bodies::page(&mut rng, 1 << 20);
    let mut group = c.benchmark_group("dlp");
    for (name, text) in [("records", &records), ("page", &page)] {
        let count = |text: &str, wanted: ProfileSet| {
            let mut hits = 0_usize;
            profiles.find(wanted, black_box(text), &mut |_| hits += 1);
            hits
        };
        let clean = count(text, all);
        assert_eq!(count(&format!("{text}{CARD}"), all), clean + 1, "{name}: {WRONG}");
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function(format!("{name}, all profiles"), |b| b.iter(|| count(text, all)));
        for (index, id) in (0_u16..).zip(profiles.ids()) {
            let one = ProfileSet::from_iter([index]);
            group.bench_function(format!("{name}, {id}"), |b| b.iter(|| count(text, one)));
        }
    }
    let mut walker = Walker::default();
    for (name, text) in [("records", records.as_str()), ("a call", bodies::CALL)] {
        let mut leaves = |look: bool| {
            let (mut leaves, mut hits) = (0_usize, 0_usize);
            let walked = walker.walk(black_box(text.as_bytes()), &mut |leaf| {
                leaves += 1;
                if let (true, Value::Text(text)) = (look, leaf.value) {
                    profiles.find_named(all, leaf.path.member().unwrap_or_default(), text, &mut |_| hits += 1);
                }
            });
            assert!(walked.is_ok(), "{name}: {WRONG}");
            (leaves, hits)
        };
        assert!(leaves(false).0 > 3, "{name}: {WRONG}");
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function(format!("{name}, leaves"), |b| b.iter(|| leaves(false)));
        group.bench_function(format!("{name}, all profiles in every leaf"), |b| b.iter(|| leaves(true)));
    }
    group.finish();
}
