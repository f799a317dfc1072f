//! Memory and processor time of the program itself.

use std::path::Path;
use std::process::{Command, Stdio};
use testkit::flood::{Canary, Flood, Kind, Tally, Weak};
use testkit::watch::{self, Outcome};

/// Limits that a test can fill: 16 MiB of flows, 8 MiB behind holes, 8 MiB of exchanges, servers and the like.
const CONFIG: &str = "[limits]\nflows = 65536\nreassembly_bytes = 8388608\ncorrelation_bytes = 8388608\n\
                      [sanctioned]\nservers = [\"*.flood.example\"]\n";
const BUDGET_KIB: u64 = 32 << 10;
/// Of tables that grow and of the allocator, which holds on to what was freed; a few MiB whatever the flood.
const SLACK_KIB: u64 = 12 << 10;

fn feed(dir: &Path, kind: Kind, size: u32) -> Outcome {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("mcp-sensor"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("MCP_SENSOR_")) {
        command.env_remove(name);
    }
    command
        .current_dir(dir)
        .args(["replay", "-", "-o", "-", "--threads", "1", "-c", "sensor.toml"])
        .stderr(Stdio::null());
    watch::feed(&mut command, &Flood { kind, size, canaries: 5, seed: 9 }).unwrap()
}

fn configured() -> tempfile::TempDir {
    with(CONFIG)
}

fn with(config: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("sensor.toml"), config).unwrap();
    dir
}

/// A flood through the least total there can be: it must keep to that, and find every canary. What it counted.
#[track_caller]
fn within_the_total(dir: &Path, idle: &Outcome, kind: Kind, size: u32) -> Tally {
    const TOTAL_KIB: u64 = 256 << 10;
    let outcome = feed(dir, kind, size);
    assert!(outcome.status.success(), "{kind:?}");
    let grown = outcome.peak_kib.saturating_sub(idle.peak_kib);
    assert!(grown <= TOTAL_KIB * 11 / 10, "{kind:?}: {} MiB", grown / 1024);
    for canary in Canary::ALL {
        assert_eq!(outcome.tally.found(canary), 5, "{} in {kind:?}", canary.word());
    }
    let counted = outcome.tally.stat("", "packets_analysed") + outcome.tally.sum("packets_dropped");
    assert_eq!(counted, outcome.written.packets, "{kind:?}");
    outcome.tally
}

#[test]
fn one_total_holds_whatever_the_flood() {
    let dir = with("[limits]\nmemory_bytes = 268435456\n[sanctioned]\nservers = [\"*.flood.example\"]\n");
    let idle = feed(dir.path(), Kind::Syns, 1);
    for (kind, size, met) in [
        (Kind::Syns, 200_000, "flows"),
        (Kind::Random, 100_000, "flows"),
        (Kind::Lone, 200_000, "flow_state"),
        (Kind::Idle, 90_000, "flows"),
        (Kind::IdleTls, 90_000, "flows"),
        (Kind::IdleEvents, 8_000, "flow_state"),
        (Kind::OpenStreams, 150, "flow_state"),
        (Kind::Holes, 1_500, "reassembly"),
        (Kind::Heads, 1_500, "flow_state"),
        (Kind::OpenBodies, 20_000, "flow_state"),
        (Kind::Inflating, 4_000, "decoder_budget"),
    ] {
        let tally = within_the_total(dir.path(), &idle, kind, size);
        assert!(tally.stat("limits", met) > 0, "{kind:?} meets `{met}`: {}", tally.stats);
    }
}

#[test]
fn a_flow_that_idles_takes_little() {
    // Entry, place in the index and what its reader keeps; tables that grow take more for a moment.
    const MOST: u64 = 700;
    const FLOWS: u32 = 100_000;
    let dir = with("[sanctioned]\nservers = [\"*.flood.example\"]\n");
    let idle = feed(dir.path(), Kind::Syns, 1);
    for kind in [Kind::Idle, Kind::IdleTls] {
        let outcome = feed(dir.path(), kind, FLOWS);
        let grown = outcome.peak_kib.saturating_sub(idle.peak_kib + SLACK_KIB) * 1024 / u64::from(FLOWS);
        assert!(grown <= MOST, "{kind:?}: {grown} bytes");
        assert_eq!(outcome.tally.map("limits"), "", "{kind:?}");
    }
}

#[test]
fn memory_stays_within_the_budget_whatever_the_flood() {
    let dir = configured();
    let idle = feed(dir.path(), Kind::Syns, 1);
    for (kind, size) in [
        (Kind::Syns, 150_000),
        (Kind::Colliding(Weak::Sum), 80_000),
        (Kind::Holes, 600),
        (Kind::Servers, 4_000),
        (Kind::Catalogues, 300),
        (Kind::Sessions, 6_000),
        (Kind::Names, 20_000),
        (Kind::Notices, 5_000),
    ] {
        let outcome = feed(dir.path(), kind, size);
        assert!(outcome.status.success(), "{kind:?}");
        let grown = outcome.peak_kib.saturating_sub(idle.peak_kib);
        assert!(grown <= BUDGET_KIB * 11 / 10 + SLACK_KIB, "{kind:?}: {} MiB", grown / 1024);
        for canary in Canary::ALL {
            assert_eq!(outcome.tally.found(canary), 5, "{} in {kind:?}", canary.word());
        }
    }
}

#[test]
fn a_flood_aimed_at_one_shard_has_a_small_part_of_the_budget() {
    let dir = configured();
    let idle = feed(dir.path(), Kind::Syns, 1);
    for (kind, size) in [(Kind::Colliding(Weak::Shard), 150_000), (Kind::Aimed, 20_000)] {
        let outcome = feed(dir.path(), kind, size);
        let grown = outcome.peak_kib.saturating_sub(idle.peak_kib);
        assert!(grown <= SLACK_KIB, "{kind:?}: {} MiB", grown / 1024);
        for canary in Canary::ALL {
            assert_eq!(outcome.tally.found(canary), 5, "{} in {kind:?}", canary.word());
        }
        assert!(outcome.tally.stat("limits", "flows") > u64::from(size) * 9 / 10, "{kind:?}");
    }
}

#[test]
fn colliding_tuples_cost_about_what_random_ones_cost() {
    // Tables without a key would take hundreds of times as long. The bound is wide, since others share the machine.
    let dir = configured();
    let idle = feed(dir.path(), Kind::Syns, 1).cpu_ns;
    let cost = |kind| feed(dir.path(), kind, 40_000).cpu_ns.saturating_sub(idle);
    let random = cost(Kind::Random).max(50_000_000);
    for weak in Weak::ALL {
        let colliding = cost(Kind::Colliding(weak));
        assert!(colliding <= 4 * random, "{}: {colliding} ns, random ones {random} ns", weak.word());
    }
}
