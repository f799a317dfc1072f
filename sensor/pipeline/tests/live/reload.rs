//! Rules and scope that change while traffic flows.

use crate::feed::{DENIED, OPEN, Run, calls, settings, tools};
use detect::Classification;
use proptest::prelude::*;
use std::sync::Arc;

const CALLS: usize = 12;

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn other_rules_count_from_their_packet_on_and_nothing_is_lost(
        at in 0_usize..=110,
        size in 1_usize..40,
        threads in 1_usize..=4,
    ) {
        let frames = calls(CALLS);
        let at = at.min(frames.len());
        let run = Run::start(&settings(threads), &OPEN, 0);
        for frames in frames[..at].chunks(size) {
            run.frames(frames);
        }
        run.settle();
        run.control.set_generation(Arc::clone(&DENIED));
        for frames in frames[at..].chunks(size) {
            run.frames(frames);
        }
        let control = run.control.clone();
        let ended = run.end();
        prop_assert_eq!(ended.tools(), tools(0..CALLS));
        for detection in ended.detections() {
            let decided = detection.source.packets[1];
            let (want, rules) = if decided > at as u64 { ("denied", &DENIED) } else { ("shadow", &OPEN) };
            prop_assert_eq!(detection.classification.word(), want, "decided at {}, changed after {}", decided, at);
            prop_assert_eq!(&detection.rules_generation, rules.rules.hash());
        }
        let stats = ended.stats();
        prop_assert_eq!(stats.packets, frames.len() as u64);
        prop_assert_eq!(ended.notices("config_reloaded"), 1);
        let snapshot = control.snapshot();
        prop_assert_eq!((snapshot.reloads, snapshot.rules.as_str()), (1, DENIED.rules.hash()));
    }
}

#[test]
fn a_thousand_reloads_under_load_lose_nothing_and_mix_nothing() {
    const RELOADS: usize = 1000;
    let frames = calls(300);
    for threads in [1, 3] {
        let run = Run::start(&settings(threads), &OPEN, 0);
        let mut rest = frames.as_slice();
        for n in 0..RELOADS {
            run.control.set_generation(Arc::clone(if n % 2 == 0 { &DENIED } else { &OPEN }));
            // Of many sizes, so that calls end under either.
            let (batch, more) = rest.split_at(rest.len().min(1 + n % 7));
            run.frames(batch);
            run.settle();
            rest = more;
        }
        assert!(rest.is_empty(), "{} frames are left", rest.len());
        let control = run.control.clone();
        let ended = run.end();
        assert_eq!(control.snapshot().reloads, RELOADS as u64);
        assert_eq!(ended.tools(), tools(0..300), "{threads} threads");
        // Each call hit the same signatures, whatever their index was at the time.
        let signals = &ended.stats().signals;
        assert_eq!(signals.get("mcp.body.tools").copied(), Some(300), "{signals:?}");
        assert!(signals.get("aaa.test.tool").is_none_or(|n| *n <= 12), "{signals:?}");
        let classes = ended.detections().iter().map(|d| d.classification).collect::<Vec<_>>();
        assert!(classes.contains(&Classification::Denied) && classes.contains(&Classification::Shadow));
    }
}

#[test]
fn servers_known_before_are_classified_anew() {
    let frames = calls(4);
    let run = Run::start(&settings(2), &OPEN, 0);
    let (before, after) = frames.split_at(frames.len() / 2);
    run.frames(before);
    run.settle();
    run.control.set_generation(Arc::clone(&DENIED));
    run.frames(after);
    let servers = run.end().stats().servers.clone();
    assert_eq!(servers.get("shadow"), None, "{servers:?}");
    assert_eq!(servers.values().sum::<u64>(), servers.get("denied").copied().unwrap_or(0), "{servers:?}");
}
