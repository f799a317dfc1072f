//! In every flood the ordinary MCP is found, the packets add up, and what was let go is counted.

use crate::run::{SHARDS, lines, survives};
use pipeline::Limits;
use testkit::flood::{Flood, Kind, Weak};

const CANARIES: u8 = 8;

fn of(kind: Kind, size: u32) -> Flood {
    Flood { kind, size, canaries: CANARIES, seed: 3 }
}

/// Limits of `flows` in all.
fn flows(flows: usize) -> Limits {
    let mut limits = Limits::default();
    limits.flows.flows = flows / SHARDS;
    limits
}

/// Small limits of the serial stage.
fn history(bytes: usize) -> Limits {
    Limits { correlation: correlate::Limits::of(bytes), ..Limits::default() }
}

#[test]
fn a_flood_of_half_open_flows_evicts_its_own() {
    let tally = survives(&of(Kind::Syns, 20_000), &flows(64 * 40));
    // A few SYNs are of flows that are evicted at the very end.
    let evicted = tally.stat("limits", "flows");
    assert!((16_000..=20_000).contains(&evicted), "{evicted}");
    assert_eq!(evicted, tally.stat("reassembly", "flows_evicted"));
}

#[test]
fn floods_that_one_sender_can_make_evict_their_own() {
    // Answered SYNs and packets out of the blue cost no conversation its place, though it is half-way through.
    for kind in [Kind::Syns, Kind::Random, Kind::Lone] {
        let tally = survives(&of(kind, 20_000), &flows(64 * 40));
        assert!(tally.stat("limits", "flows") > 10_000, "{kind:?}: {}", tally.stats);
        let silent = tally.stat("reassembly", "flows_midstream");
        assert!(kind == Kind::Lone || silent < 30, "{kind:?}: {silent} were taken up in the middle");
    }
}

#[test]
fn connections_that_idle_make_room_the_oldest_first() {
    for kind in [Kind::Idle, Kind::IdleTls, Kind::IdleEvents, Kind::OpenStreams] {
        let size = if kind == Kind::OpenStreams { 500 } else { 2_000 };
        let tally = survives(&of(kind, size), &flows(64 * 4));
        assert!(tally.stat("limits", "flows") > u64::from(size) / 3, "{kind:?}: {}", tally.stats);
    }
}

#[test]
fn tuples_that_collide_under_hashes_without_a_key_are_like_any_others() {
    for kind in
        [Kind::Random].into_iter().chain(Weak::ALL.into_iter().filter(|w| *w != Weak::Shard).map(Kind::Colliding))
    {
        let tally = survives(&of(kind, 3_000), &flows(64 * 128));
        assert_eq!(tally.stat("limits", "flows"), 0, "{kind:?}");
        assert_eq!(tally.stat("reassembly", "flows_opened"), 3_000 + 5 * u64::from(CANARIES), "{kind:?}");
    }
}

#[test]
fn a_flood_aimed_at_one_shard_fills_that_one_and_no_other() {
    let per_shard = 128;
    let tally = survives(&of(Kind::Colliding(Weak::Shard), 3_000), &flows(64 * per_shard));
    let evicted = tally.stat("limits", "flows");
    // All of them in one shard: the SYN of each opens a flow, and then its answer does, since none has been kept.
    // Where this fails, the choice of a shard has changed, and `Weak::Shard` with it must.
    assert!((6_000 - per_shard as u64..=6_000).contains(&evicted), "{evicted}");
}

#[test]
fn connections_aimed_at_one_shard_evict_one_another_and_nobody_elsewhere() {
    // Some of the canaries live in that shard too: they are taken up again in the middle, and found.
    let per_shard = 64;
    let tally = survives(&of(Kind::Aimed, 3_000), &flows(64 * per_shard));
    let evicted = tally.stat("limits", "flows");
    assert!((3_000 - per_shard as u64..3_000 + 50).contains(&evicted), "{evicted}");
}

#[test]
fn holes_that_never_close_are_given_up_within_the_budget() {
    let mut limits = Limits::default();
    limits.flows.held_total = (8 << 20) / SHARDS;
    let tally = survives(&of(Kind::Holes, 1_000), &limits);
    assert!(tally.stat("limits", "reassembly") > 500, "{}", tally.stats);
    assert_eq!(tally.stat("limits", "flows"), 0);
}

#[test]
fn flows_that_wait_for_an_answer_make_room_for_others() {
    for (kind, size) in
        [(Kind::OpenRequests, 2_000), (Kind::OpenBodies, 1_000), (Kind::Heads, 400), (Kind::Pipelined, 200)]
    {
        let tally = survives(&of(kind, size), &flows(64 * 2));
        assert!(tally.stat("limits", "flows") > u64::from(size) / 2, "{kind:?}: {}", tally.stats);
    }
}

#[test]
fn what_readers_hold_for_all_flows_is_bounded_in_bytes() {
    let mut limits = Limits::default();
    limits.flows.above = (1 << 20) / SHARDS;
    for (kind, size) in
        [(Kind::Heads, 400), (Kind::OpenRequests, 2_000), (Kind::OpenBodies, 2_000), (Kind::Pipelined, 60)]
    {
        let tally = survives(&of(kind, size), &limits);
        assert!(tally.stat("limits", "flow_state") > u64::from(size) / 3, "{kind:?}: {}", tally.stats);
        assert_eq!(tally.stat("limits", "flows"), 0, "{kind:?}");
    }
}

#[test]
fn compressed_bodies_that_never_end_are_bounded_by_the_memory_of_decoders() {
    // What is not decoded is counted; the rest of the traffic is none the worse.
    let tally = survives(&of(Kind::Inflating, 3_000), &Limits::default());
    assert_eq!(tally.stat("limits", "decoder_budget"), tally.stat("limits", "undecoded_decoder_budget"));
}

#[test]
fn ordinary_traffic_on_many_flows_at_once_meets_no_limit() {
    let tally = survives(&of(Kind::Http, 150), &Limits::default());
    assert_eq!(tally.map("limits"), "");
    assert_eq!((tally.stat("messages", "http1_requests"), tally.others), (150 * 8 + 40, 0));
}

#[test]
fn many_servers_sessions_and_long_catalogues_stay_within_their_bytes() {
    for (kind, size, met) in [
        (Kind::Servers, 400, ["servers", "server_facts", "conversations"].as_slice()),
        (Kind::Catalogues, 60, &["servers", "server_facts", "conversations"]),
        (Kind::Sessions, 600, &["conversations"]),
    ] {
        let roomy = survives(&of(kind, size), &Limits::default());
        assert_eq!(roomy.map("limits"), "", "{kind:?}");
        let narrow = survives(&of(kind, size), &history(700 << 10));
        for limit in met {
            assert!(narrow.stat("limits", limit) > 0, "{limit} in {kind:?}: {}", narrow.stats);
        }
        assert_eq!(roomy.others, narrow.others, "{kind:?}: detections are written all the same");
    }
}

#[test]
fn names_beyond_the_limit_push_out_the_oldest() {
    let pairs = 4 * 500;
    assert_eq!(survives(&of(Kind::Names, 500), &Limits::default()).stat("limits", "names"), 0);
    let forgotten = survives(&of(Kind::Names, 500), &history(512 << 10)).stat("limits", "names");
    assert!((1..pairs).contains(&forgotten), "{forgotten}");
}

#[test]
fn of_thousands_of_notices_a_few_are_written_and_all_are_counted() {
    let (lines, _) = lines(&of(Kind::Notices, 2_000), &Limits::default(), 1);
    let written: Vec<_> = lines.iter().filter(|l| l.contains(r#""code":"http_ambiguity""#)).collect();
    let held = r#""held_back":1980"#;
    assert_eq!((written.len(), written.iter().filter(|l| l.contains(held)).count()), (21, 1));
    assert!(lines.last().unwrap().contains(r#""http_ambiguity":2000"#));
}

#[test]
fn what_is_let_go_does_not_depend_on_the_number_of_threads() {
    let mut limits = flows(64 * 8);
    limits.flows.held_total = (1 << 20) / SHARDS;
    limits.flows.above = (4 << 20) / SHARDS;
    limits.correlation = correlate::Limits::of(256 << 10);
    for (kind, size) in [
        (Kind::Syns, 3_000),
        (Kind::Colliding(Weak::Shard), 1_000),
        (Kind::Holes, 100),
        (Kind::Heads, 100),
        (Kind::Pipelined, 60),
        (Kind::OpenRequests, 1_000),
        (Kind::Aimed, 1_000),
        (Kind::Sessions, 300),
        (Kind::Catalogues, 20),
    ] {
        let flood = of(kind, size);
        let (want, _) = lines(&flood, &limits, 1);
        for threads in [2, 3] {
            let (got, _) = lines(&flood, &limits, threads);
            let differ = got.iter().zip(&want).find(|(a, b)| a != b);
            assert!(got.len() == want.len() && differ.is_none(), "{kind:?}, {threads} threads: {differ:?}");
        }
    }
}
