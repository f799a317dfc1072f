//! How fast each stage is, and the whole path. Every bench checks its answer before it is timed, and counts what the
//! code reads. Compare ratios on one machine; absolute rates say little.
//!
//! `cargo bench -p benches`, or with a part of a name behind it: `cargo bench -p benches -- json`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    missing_docs,
    reason = "a bench that cannot set itself up should fail loudly"
)]

mod coding;
mod decode;
mod dlp;
mod engines;
mod flows;
mod frames;
mod hosts;
mod http1;
mod json;
mod path;
mod reassembly;
mod streams;

use criterion::{Criterion, criterion_group, criterion_main};
use std::time::Duration;

/// What a segment of Ethernet carries: bodies are fed in such pieces.
const MSS: usize = 1460;
/// What is said where an answer is not the right one.
const WRONG: &str = "a wrong answer has no speed";

/// Short rounds: there are many benches, and only ratios are trusted.
fn config() -> Criterion {
    Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_millis(1200))
        .sample_size(20)
}

criterion_group! {
    name = benches;
    config = config();
    targets = decode::benches, flows::benches, reassembly::benches, http1::benches, coding::benches, streams::benches,
        json::benches, engines::benches, dlp::benches, hosts::benches, path::benches
}
criterion_main!(benches);
