//! What the packet path allocates once it is warm, on traffic without MCP.
//!
//! A capture of one kind of traffic is replayed on one thread, which asks for the next block only when all packets of
//! the last ones have been dealt with. The source counts from the middle of the capture on; what is allocated from
//! there is divided by the packets, exchanges or flows that come from there. [`scenarios::ALL`] states what is allowed.
//!
//! ```text
//! cargo test -p pipeline --test alloc -- --nocapture              # the table
//! cargo test -p pipeline --test alloc -- --ignored --nocapture    # the places that allocate, by scenario
//! SCENARIO=gzip cargo test ...                                    # only those with this in their name
//! ```
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    clippy::print_stdout,
    reason = "tests may fail loudly, and this one prints a table"
)]

mod counter;
mod pcap;
mod scenarios;
mod sites;

use correlate::Record;
use counter::Counts;
use detect::{Generation, RawScope, Scope};
use pcap::Source;
use scenarios::{Scenario, Traffic};
use std::num::NonZeroUsize;
use std::sync::Arc;

#[global_allocator]
static ALLOCATOR: counter::Counting = counter::Counting;

/// What a replay of one scenario showed.
struct Measured {
    /// Units in the measured half.
    units: f64,
    counts: Counts,
    packets: u64,
    requests: u64,
    detections: usize,
}

fn generation() -> Arc<Generation> {
    Arc::new(Generation {
        rules: detect::rules::compile(&detect::rules::builtin()).unwrap(),
        scope: Scope::try_from(&RawScope::default()).unwrap(),
        policy: detect::Policy::default(),
    })
}

fn replay(traffic: &Traffic, generation: &Arc<Generation>, sample_every: u32) -> Measured {
    let bytes = pcap::file(&traffic.frames);
    let whole = bytes.len();
    let (source, marks) = Source::new(bytes, sample_every);
    let sources = vec![("memory".to_owned(), Box::new(source) as Box<_>)];
    let reader = capture::Reader::from_sources(sources, &capture::Options::default()).unwrap();
    let settings = pipeline::Settings { threads: NonZeroUsize::MIN, ..Default::default() };
    let (mut detections, mut stats) = (0, None);
    let mut emit = |record| match record {
        Record::Detection(_) => detections += 1,
        Record::Stats(last) => stats = Some(last),
        _ => {}
    };
    pipeline::replay(reader, &settings, generation, &pipeline::RunInfo::default(), &mut emit, &|_, _| {}).unwrap();
    let stats = stats.unwrap();
    let (measured, counts) = marks.measured();
    Measured {
        units: traffic.units as f64 * measured as f64 / whole as f64,
        counts,
        packets: stats.packets,
        requests: stats.messages.get("http1_requests").copied().unwrap_or_default(),
        detections,
    }
}

/// The scenarios that the environment asks for; all without it.
fn wanted() -> impl Iterator<Item = &'static Scenario> {
    let only = std::env::var("SCENARIO").unwrap_or_default();
    scenarios::ALL.iter().filter(move |s| s.name.contains(&only))
}

#[test]
fn the_warm_path_allocates_no_more_than_is_stated() {
    let generation = generation();
    let mut over = Vec::new();
    println!("{:34} {:>8} {:>9} {:>11} {:>9} {:>9}", "scenario", "unit", "allocs", "bytes", "growth", "allowed");
    for scenario in wanted() {
        let traffic = (scenario.traffic)();
        let measured = replay(&traffic, &generation, 0);
        assert_eq!(measured.packets, traffic.frames.len() as u64, "{}: every packet was read", scenario.name);
        assert_eq!(measured.requests, traffic.requests, "{}: every request was read", scenario.name);
        assert_eq!(measured.detections, traffic.detections, "{}: nothing harmless accused", scenario.name);
        let each = |n: f64| n / measured.units;
        let allocations = each(measured.counts.allocations as f64);
        println!(
            "{:34} {:>8} {:>9.3} {:>11.1} {:>9.1} {:>9.2}",
            scenario.name,
            scenario.unit,
            allocations,
            each(measured.counts.bytes as f64),
            each(measured.counts.live as f64),
            scenario.allowed,
        );
        if allocations > scenario.allowed {
            over.push(format!("{}: {allocations:.3} allocations, over {}", scenario.name, scenario.allowed));
        }
        if each(measured.counts.live as f64) > scenarios::GROWTH {
            over.push(format!("{}: memory grows", scenario.name));
        }
    }
    assert!(over.is_empty(), "{over:#?}");
}

#[test]
#[ignore = "a measurement: takes a while and judges nothing"]
fn where_it_allocates() {
    let generation = generation();
    for scenario in wanted() {
        let traffic = (scenario.traffic)();
        let counted = replay(&traffic, &generation, 0);
        // About as many samples for each.
        let every = u32::try_from(counted.counts.allocations / 1500).unwrap_or(1 << 20).max(1);
        let measured = replay(&traffic, &generation, every);
        let samples = counter::take_samples();
        let all = measured.counts.allocations as f64 / measured.units;
        println!("\n{}: {all:.2} per {}, by {} samples", scenario.name, scenario.unit, samples.len());
        for (share, place) in sites::by_share(&samples).into_iter().take(24) {
            if share * all >= 0.005 {
                println!("  {:>7.2}  {place}", share * all);
            }
        }
    }
}
