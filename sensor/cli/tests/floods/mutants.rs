//! Damaged captures: whatever the damage, no fault of ours, packets that add up, and the same lines with any number
//! of threads.

use crate::support::{Run, fixtures};
use testkit::{Rng, mutate};

/// How many, every one of another seed.
const MUTANTS: u64 = 300;
/// Longest capture that is damaged here, in bytes.
const MAX_SEED: usize = 256 << 10;

#[test]
fn damaged_captures_do_no_harm() {
    let mut seeds: Vec<(String, Vec<u8>)> = Vec::new();
    let extras = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/seeds/reader")).unwrap();
    let mut extras: Vec<_> = extras.map(|entry| entry.unwrap().path()).collect();
    extras.sort();
    for path in fixtures("captures", "pcap").into_iter().chain(extras) {
        let bytes = std::fs::read(&path).unwrap();
        if bytes.len() <= MAX_SEED {
            seeds.push((path.display().to_string(), bytes));
        }
    }
    let mut read = 0;
    for n in 0..MUTANTS {
        let (name, bytes) = &seeds[Rng::new(n).below(seeds.len())];
        let mutant = mutate::mutate(bytes, n);
        let Some(run) = Run::of_any(&mutant, 1) else { continue };
        read += 1;
        let count = |map: &str, key: &str| run.stats()[map][key].as_u64().unwrap_or(0);
        assert_eq!(count("limits", "internal_faults"), 0, "mutant {n} of {name}");
        let packets = run.stats()["packets"].as_u64().unwrap();
        let counted = run.stats()["packets_analysed"].as_u64().unwrap() + run.total("packets_dropped");
        assert_eq!(packets, counted, "mutant {n} of {name}");
        if n % 10 == 0 {
            assert_eq!(Run::of_any(&mutant, 3).unwrap().lines, run.lines, "mutant {n} of {name}");
        }
    }
    assert!(read > MUTANTS / 2, "only {read} could be opened");
}
