//! Time without packets, and the end.

use crate::feed::{Frame, OPEN, Run, calls, client, settings, tools, turns};
use capture::Made;
use correlate::Record;
use std::time::{Duration, Instant};
use testkit::{Capture, Wire};

const SECOND: u64 = 1_000_000;
const START: u64 = Capture::START_US;

/// A call that nobody answers.
fn call(n: usize, wait: u64) -> Vec<Frame> {
    let mut capture = Capture::new();
    capture.wait(wait);
    let flow = capture.flow(&client(n), "198.51.100.1:8080", Wire::default());
    for (direction, bytes) in turns(n, false) {
        capture.send(flow, direction, &bytes);
    }
    capture.frames().to_vec()
}

#[test]
fn on_a_silent_wire_calls_are_decided_and_sessions_end() {
    for threads in [1, 3] {
        let mut run = Run::start(&settings(threads), &OPEN, 2);
        run.until(START);
        run.wait_for(|record| matches!(record, Record::Run(_)));
        run.frames(&call(3, 0));
        (1..=4).for_each(|n| run.until(START + n * SECOND));
        (5..=8).for_each(|n| run.until(START + n * SECOND));
        let Record::Detection(found) = run.wait_for(|record| matches!(record, Record::Detection(_))) else { panic!() };
        assert_eq!(found.mcp.tools, ["tool-3"]);
        // A silence that is long enough ends the flow and the conversation; the run goes on.
        (1..=70).for_each(|n| run.until(START + n * 60 * SECOND));
        run.wait_for(|record| matches!(record, Record::Session(_)));
        let ended = run.end();
        assert_eq!(ended.stats().flows.get("timeout"), Some(&1), "{:?}", ended.stats().flows);
    }
}

#[test]
fn a_clock_that_is_set_back_stops_no_timeout() {
    let mut run = Run::start(&settings(2), &OPEN, 2);
    run.until(START + 7200 * SECOND);
    run.until(START);
    run.frames(&call(4, SECOND));
    (2..=9).for_each(|n| run.until(START + n * SECOND));
    run.wait_for(|record| matches!(record, Record::Detection(_)));
    assert_eq!(run.end().tools(), tools([4]));
}

#[test]
fn a_run_that_is_stopped_works_off_what_waits_and_ends_soon() {
    let frames = calls(20);
    for threads in [1, 4] {
        let run = Run::start(&settings(threads), &OPEN, 64);
        frames.chunks(frames.len() / 20).for_each(|frames| run.frames(frames));
        run.control.stop();
        #[expect(clippy::disallowed_methods, reason = "how long the end takes is the question")]
        let began = Instant::now();
        let control = run.control.clone();
        let ended = run.wait();
        assert!(began.elapsed() < Duration::from_secs(5));
        assert_eq!(ended.tools(), tools(0..20));
        assert_eq!(control.snapshot().stats.packets, ended.stats().packets);
        assert!(control.snapshot().stats.is_final);
    }
}

#[test]
fn a_run_that_is_fed_without_end_ends_when_it_is_stopped() {
    let run = Run::start(&settings(2), &OPEN, 4);
    run.frames(&calls(1));
    run.settle();
    run.control.stop();
    // What comes from now on need not be read; the sender is not gone.
    let ended = run.wait();
    assert_eq!(ended.tools(), tools(0..1));
}

#[test]
fn workers_show_that_they_are_alive_and_how_far_behind_they_are() {
    let mut run = Run::start(&settings(3), &OPEN, 0);
    run.until(START);
    run.wait_for(|record| matches!(record, Record::Run(_)));
    run.settle();
    run.settle();
    let alive = run.control.alive();
    assert_eq!(alive.len(), 3);
    assert!(alive.iter().all(|since| *since < Duration::from_secs(5)), "{alive:?}");
    // Those times are long past; the merge behind the workers gets there in its own time.
    #[expect(clippy::disallowed_methods, reason = "it may not take for ever")]
    let began = Instant::now();
    while run.control.lag().is_none() {
        assert!(began.elapsed() < Duration::from_secs(30), "no lag is known");
        std::thread::yield_now();
    }
    let snapshot = run.control.snapshot();
    assert_eq!((snapshot.workers, snapshot.last_packet), (3, None));
    run.give(Made { until: None, ..Made::default() });
    assert!(run.end().result.is_ok());
}
