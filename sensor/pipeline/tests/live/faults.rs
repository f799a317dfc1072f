//! Faults in our own code, asked for.

use crate::feed::{Ended, OPEN, Run, calls, settings, tools};
use correlate::Record;
use pipeline::{Error, Settings};
use std::time::{Duration, Instant};

const CALLS: usize = 40;

/// Calls, each a batch, of which the `at`th packet of call 10 (from 1) is fatal.
fn with_fault(at: usize, threads: usize) -> Ended {
    let frames = calls(CALLS);
    let each = frames.len() / CALLS;
    let fault_at = Some((10 * each + at) as u64);
    let run = Run::start(&Settings { fault_at, ..settings(threads) }, &OPEN, 2);
    frames.chunks(each).for_each(|frames| run.frames(frames));
    let ended = run.end();
    let stats = ended.stats();
    assert_eq!(stats.limits.get("worker_restarts"), Some(&1), "{:?}", stats.limits);
    assert_eq!((ended.notices("internal_fault"), stats.notices.get("internal_fault")), (1, Some(&1)));
    assert_eq!(stats.packets, frames.len() as u64);
    // What is left of the batch, all of it of one flow.
    assert_eq!(stats.packets_dropped.get("fault"), Some(&((each - at + 1) as u64)));
    ended
}

#[test]
fn a_worker_that_fails_is_built_anew_and_finds_what_comes_later() {
    for threads in [1, 2, 4] {
        // The request of that call, behind its handshake.
        let ended = with_fault(4, threads);
        assert_eq!(ended.tools(), tools((0..CALLS).filter(|n| *n != 10)), "{threads} threads");
        let counted = ended.stats().messages.get("http1_requests");
        assert_eq!(counted, Some(&(CALLS as u64 - 1)), "what was counted before stays");
    }
}

#[test]
fn a_flow_that_is_lost_with_its_worker_is_counted_and_what_it_told_stays() {
    for threads in [1, 3] {
        // The answer, or what is left of the batch.
        let ended = with_fault(6, threads);
        assert_eq!(ended.tools(), tools(0..CALLS), "{threads} threads");
        let outcomes = ended.detections();
        assert_eq!(outcomes.iter().filter(|d| d.mcp.outcome == "unseen").count(), 1);
        assert_eq!(ended.stats().flows.get("fault"), Some(&1), "{:?}", ended.stats().flows);
    }
}

#[test]
fn what_was_seen_before_a_fault_in_the_same_batch_is_told() {
    let frames = calls(CALLS);
    let each = frames.len() / CALLS;
    let run = Run::start(&Settings { fault_at: Some((30 * each) as u64 + 1), ..settings(1) }, &OPEN, 2);
    run.frames(&frames);
    let ended = run.end();
    assert_eq!(ended.tools(), tools(0..30));
    assert_eq!(ended.stats().packets_dropped.get("fault"), Some(&((10 * each) as u64)));
}

#[test]
fn a_fault_that_nothing_catches_ends_the_run_at_once() {
    for threads in [1, 2, 4] {
        let fatal = |record: &Record| assert!(!matches!(record, Record::Detection(_)), "a fault that was asked for");
        let run = Run::with_sink(&settings(threads), &OPEN, 64, fatal);
        let frames = calls(2);
        run.frames(&frames);
        #[expect(clippy::disallowed_methods, reason = "how long the end takes is the question")]
        let began = Instant::now();
        // The feed goes on: nothing else tells it to end.
        let ended = run.wait();
        assert!(began.elapsed() < Duration::from_secs(1), "{threads} threads");
        assert!(matches!(ended.result, Err(Error::Worker)), "{:?}", ended.result);
    }
}
