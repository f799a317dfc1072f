//! Totals at any time belong to one packet, and add up.

use crate::feed::{Frame, OPEN, Run, at, calls, check_sum, client, settings, tools, turns};
use capture::Made;
use correlate::Record;
use correlate::record::Stats;
use pipeline::{Gauges, Settings};
use std::time::Duration;
use testkit::{Capture, Wire, carrier};

const SECOND: u64 = 1_000_000;

/// Calls with rubbish, datagrams, fragments that miss a part and broken checksums between them; half a second a call.
fn mixed(count: usize) -> Vec<Frame> {
    let mut capture = Capture::new();
    for n in 0..count {
        capture.play(&client(n), "198.51.100.1:8080", Wire::default(), &turns(n, true));
        capture.datagram("10.0.0.1:53", "10.0.0.2:4000", b"no message of a name server");
        capture.datagram("10.0.0.1:9", "10.0.0.2:4000", b"nobody knows");
        capture.frame(vec![0xff; 40]);
        capture.wait(SECOND / 2);
    }
    let mut serial = 0;
    let fragmented = capture.rewritten(|n, frame| {
        if n % 7 != 3 || frame.len() < 80 {
            return vec![frame.to_vec()];
        }
        serial += 1;
        let mut fragments = carrier::fragments(frame, 24, serial);
        if n % 2 == 0 {
            fragments.pop();
        }
        fragments
    });
    fragmented.frames().to_vec()
}

#[test]
fn totals_add_up_at_every_second() {
    let frames = mixed(40);
    for threads in [1, 3] {
        let settings = Settings { stats_every: Some(Duration::from_secs(1)), ..settings(threads) };
        let run = Run::start(&settings, &OPEN, 2);
        let (mut kernel, mut queue) = (0, 0);
        for (n, frames) in frames.chunks(13).enumerate() {
            let (kernel_dropped, queue_dropped) = (n as u64 % 3, n as u64 % 5);
            (kernel, queue) = (kernel + kernel_dropped, queue + queue_dropped);
            let until = Some(at(frames.last().unwrap().0));
            let frames = frames.iter().map(|(us, bytes)| (at(*us), bytes.clone())).collect();
            run.give(Made { frames, until, kernel_dropped, queue_dropped });
            check_sum(&run.control.snapshot().stats);
        }
        // What waits for the rest of its datagram is given up, and then counted.
        let last = frames.last().unwrap().0;
        (1..100).for_each(|n| run.until(last + n * SECOND));
        let ended = run.end();
        let all: Vec<&Stats> = ended
            .records
            .iter()
            .filter_map(|r| if let Record::Stats(stats) = r { Some(&**stats) } else { None })
            .collect();
        assert!(all.len() > 100, "{}", all.len());
        for stats in &all {
            check_sum(stats);
        }
        assert!(all.is_sorted_by_key(|stats| (stats.ts, stats.packets, stats.packets_analysed, stats.events)));
        let stats = ended.stats();
        assert_eq!(stats.packets, frames.len() as u64 + kernel + queue);
        assert_eq!(stats.packets_dropped.get("kernel"), Some(&kernel));
        assert_eq!(stats.packets_dropped.get("queue"), Some(&queue));
        assert!(stats.packets_dropped.get("fragment").is_some_and(|n| *n > 0), "{:?}", stats.packets_dropped);
        // The one before the last is of the same packets.
        let [.., before, _] = all.as_slice() else { panic!("no totals") };
        assert_eq!((before.packets, &before.packets_dropped), (stats.packets, &stats.packets_dropped));
        assert!(!before.is_final);
    }
}

#[test]
fn what_is_written_does_not_depend_on_the_number_of_threads_or_on_the_cuts() {
    let frames = calls(30);
    let lines = |threads, size| {
        let run = Run::start(&settings(threads), &OPEN, 2);
        for frames in frames.chunks(size) {
            run.frames(frames);
        }
        let ended = run.end();
        assert_eq!(ended.tools(), tools(0..30));
        ended.records.iter().map(|record| serde_json::to_string(record).unwrap()).collect::<Vec<_>>()
    };
    let want = lines(1, frames.len());
    for (threads, size) in [(1, 7), (2, 50), (4, 1)] {
        assert_eq!(lines(threads, size), want, "{threads} threads, {size} frames a batch");
    }
}

#[test]
fn gauges_show_what_is_held_and_fall_again() {
    let mut capture = Capture::new();
    for n in 0..50 {
        let flow = capture.flow(&client(n), "198.51.100.1:8080", Wire::default());
        capture.send(flow, testkit::Direction::ToServer, &turns(n, false)[0].1[..100]);
    }
    let last = capture.frames().last().unwrap().0;
    let run = Run::start(&settings(2), &OPEN, 0);
    run.frames(capture.frames());
    // What was asked for along with a batch is published once a worker has come round to the serial stage.
    let publish = |us, wanted: &dyn Fn(&Gauges) -> bool| {
        run.until(us);
        run.until(us + SECOND);
        for _ in 0..5_000 {
            run.settle();
            let gauges = run.control.snapshot().gauges;
            if wanted(&gauges) {
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        panic!("{:?}", run.control.snapshot().gauges);
    };
    publish(last + SECOND, &|held| held.flows_active == 50 && held.reader_bytes > 40_000);
    (1..100).for_each(|minute| run.until(last + minute * 60 * SECOND));
    publish(last + 100 * 60 * SECOND, &|after| (after.flows_active, after.reader_bytes) == (0, 0));
    run.end().stats();
}
