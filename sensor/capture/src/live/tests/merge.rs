//! Order, and that nothing waits for ever.

use crate::Batch;
use crate::FrameRef;
use crate::live::block::{BLOCK_FRAMES, Parcel, Shell};
use crate::live::merge::{MAX_WAIT, Merge, Said};
use net::{LinkType, Place, Timestamp};
use proptest::prelude::*;
use std::time::Duration;

const NOW: Duration = Duration::from_secs(100);

/// A block of frames, whose bytes are their times.
fn parcel(ring: usize, times: &[i64]) -> Parcel {
    parcel_in(Shell::new(16 << 10), ring, times)
}

fn parcel_in(shell: Shell, ring: usize, times: &[i64]) -> Parcel {
    let mut filling = shell.open().unwrap();
    for ts in times {
        let place = Place { number: 0, file: u16::try_from(ring).unwrap(), in_file: 0 };
        let entry =
            FrameRef { place, ts: Timestamp(*ts), link: LinkType::Ethernet, block: 0, start: 0, len: 0, wire_len: 8 };
        assert!(filling.push(&ts.to_be_bytes(), entry, NOW));
    }
    let latest = filling.latest;
    Parcel { ring, contents: filling.close(), latest }
}

/// Ring and time of all frames, checked against their bytes and numbers.
#[track_caller]
fn frames(batch: &Batch, number: &mut u64) -> Vec<(u16, i64)> {
    let each = batch.iter().map(|frame| {
        *number += 1;
        assert_eq!(frame.place.number, *number);
        assert_eq!(frame.data, frame.ts.0.to_be_bytes());
        (frame.place.file, frame.ts.0)
    });
    each.collect()
}

fn until(merge: &mut Merge, ring: usize, until: i64) {
    merge.note(ring, Said::Until(Timestamp(until)));
}

#[test]
fn one_ring_passes_as_it_is_even_where_its_clock_steps_back() {
    let mut merge = Merge::new(&[4], 1);
    let mut number = 0;
    until(&mut merge, 0, 70);
    merge.stage(parcel(0, &[50, 10, 60]), NOW);
    merge.stage(parcel(0, &[70]), NOW);
    let batch = merge.next(NOW, false).unwrap();
    assert_eq!(frames(&batch, &mut number), [(0, 50), (0, 10), (0, 60)]);
    assert_eq!(batch.until(), Some(Timestamp(70)));
    let batch = merge.next(NOW, false).unwrap();
    assert_eq!(frames(&batch, &mut number), [(0, 70)]);
    assert!(merge.next(NOW, false).is_none());
}

#[test]
fn a_frame_waits_until_the_other_ring_has_read_beyond_it() {
    let mut merge = Merge::new(&[8, 8], 2);
    let mut number = 0;
    until(&mut merge, 0, 100);
    until(&mut merge, 1, 50);
    merge.stage(parcel(0, &[10, 40, 60, 90]), NOW);
    let batch = merge.next(NOW, false).unwrap();
    assert_eq!(frames(&batch, &mut number), [(0, 10), (0, 40)]);
    assert_eq!(batch.until(), Some(Timestamp(50)));
    assert!(merge.next(NOW, false).is_none());
    merge.stage(parcel(1, &[55, 70]), NOW);
    until(&mut merge, 1, 95);
    let batch = merge.next(NOW, false).unwrap();
    assert_eq!(frames(&batch, &mut number), [(1, 55), (0, 60), (1, 70), (0, 90)]);
    assert_eq!(batch.until(), Some(Timestamp(95)));
    assert_eq!(merge.hurried, 0);
}

#[test]
fn a_ring_that_gives_no_sign_of_life_is_not_waited_for() {
    let mut merge = Merge::new(&[8, 8], 2);
    merge.note(1, Said::Silent);
    merge.stage(parcel(0, &[10]), NOW);
    let batch = merge.next(NOW, false).unwrap();
    assert_eq!(frames(&batch, &mut 0), [(0, 10)]);
    merge.note(0, Said::Silent);
    assert_eq!(merge.nothing().until(), None, "nobody tells the time");
}

#[test]
fn nothing_waits_for_more_than_a_second_whatever_the_clocks_say() {
    let mut merge = Merge::new(&[8, 8], 2);
    until(&mut merge, 1, 5);
    merge.stage(parcel(0, &[1_000_000, 3]), NOW);
    merge.stage(parcel(1, &[7]), NOW + Duration::from_millis(1));
    let mut number = 0;
    let (soon, later) = (NOW + Duration::from_millis(999), NOW + MAX_WAIT);
    let batch = merge.next(soon, false).unwrap();
    assert_eq!(frames(&batch, &mut number), [(1, 7)], "its turn came anyway");
    assert!(merge.next(soon, false).is_none());
    let batch = merge.next(later, false).unwrap();
    assert_eq!(frames(&batch, &mut number), [(0, 1_000_000), (0, 3)]);
    assert_eq!(merge.hurried, 2);
}

#[test]
fn what_fills_half_of_its_queue_goes() {
    let mut merge = Merge::new(&[8, 8], 2);
    until(&mut merge, 1, 0);
    for ts in 1..=3 {
        merge.stage(parcel(0, &[ts]), NOW);
    }
    assert!(merge.next(NOW, false).is_none());
    merge.stage(parcel(0, &[4]), NOW);
    assert_eq!(frames(&merge.next(NOW, false).unwrap(), &mut 0), [(0, 1)]);
    assert!(merge.next(NOW, false).is_none());
    assert_eq!(merge.hurried, 1);
}

#[test]
fn the_end_hands_out_what_is_left() {
    let mut merge = Merge::new(&[8, 8, 8], 3);
    merge.stage(parcel(2, &[5, 9]), NOW);
    merge.stage(parcel(0, &[7]), NOW);
    assert!(merge.next(NOW, false).is_none());
    let batch = merge.next(NOW, true).unwrap();
    assert_eq!(frames(&batch, &mut 0), [(2, 5), (0, 7), (2, 9)]);
    assert!(merge.is_empty() && merge.next(NOW, true).is_none());
}

#[test]
fn memory_comes_back_once_the_last_batch_is_dropped_and_not_before() {
    let mut merge = Merge::new(&[8, 8], 2);
    merge.stage(parcel(0, &[1, 3]), NOW);
    merge.stage(parcel(1, &[2, 4]), NOW);
    let batch = merge.next(NOW, true).unwrap();
    assert_eq!(batch.frames().len(), 4);
    let mut back = Vec::new();
    merge.reclaim(|ring, _| back.push(ring));
    assert_eq!(back, []);
    let held = batch.clone();
    drop(batch);
    merge.reclaim(|ring, _| back.push(ring));
    assert_eq!(back, []);
    drop(held);
    merge.reclaim(|ring, _| back.push(ring));
    back.sort_unstable();
    assert_eq!(back, [0, 1]);
}

/// What happens to a merge.
#[derive(Clone, Debug)]
enum Event {
    /// A ring brings a block; the numbers are steps in time.
    Block(usize, Vec<i64>),
    /// A ring says that it has read everything before its next frame, less this.
    Until(usize, i64),
    /// Batches are asked for.
    Ask,
    /// Batches are dropped and their memory used again.
    Drop,
}

fn event(rings: usize, steps: std::ops::Range<i64>) -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => (0..rings, prop::collection::vec(steps, 1..30)).prop_map(|(ring, steps)| Event::Block(ring, steps)),
        3 => (0..rings, 0..40_i64).prop_map(|(ring, back)| Event::Until(ring, back)),
        4 => Just(Event::Ask),
        1 => Just(Event::Drop),
    ]
}

/// Runs it and gives what came out, with what was said to be over before each frame.
fn run(rings: usize, events: &[Event], step: Duration) -> (Vec<(u16, i64)>, Vec<i64>, u64) {
    let mut merge = Merge::new(&vec![1000; rings], rings);
    let (mut out, mut over) = (Vec::new(), Vec::new());
    let (mut number, mut told) = (0, i64::MIN);
    let mut clock = vec![0; rings];
    let mut held = Vec::new();
    let mut shells: Vec<Shell> = Vec::new();
    let mut now = NOW;
    let mut take = |batch: Batch, held: &mut Vec<Batch>| {
        let frames = frames(&batch, &mut number);
        over.extend(frames.iter().map(|_| told));
        out.extend(frames);
        told = told.max(batch.until().map_or(told, |until| until.0));
        held.push(batch);
    };
    for event in events {
        now += step;
        match event {
            Event::Block(ring, steps) => {
                let times = steps.iter().map(|step| {
                    clock[*ring] += step;
                    clock[*ring]
                });
                let times: Vec<_> = times.collect();
                let shell = shells.pop().unwrap_or_else(|| Shell::new(16 << 10));
                merge.stage(parcel_in(shell, *ring, &times), now);
            }
            Event::Until(ring, back) => until(&mut merge, *ring, clock[*ring] - back),
            Event::Ask => {
                while let Some(batch) = merge.next(now, false) {
                    take(batch, &mut held);
                }
            }
            Event::Drop => {
                held.clear();
                merge.reclaim(|_, shell| shells.push(shell));
            }
        }
    }
    while let Some(batch) = merge.next(now, true) {
        take(batch, &mut held);
    }
    assert!(merge.is_empty());
    (out, over, merge.hurried)
}

/// What each ring brought, in its order.
fn brought(rings: usize, events: &[Event]) -> Vec<Vec<i64>> {
    let mut all = vec![Vec::new(); rings];
    let mut clock = vec![0; rings];
    for event in events {
        if let Event::Block(ring, steps) = event {
            for step in steps {
                clock[*ring] += step;
                all[*ring].push(clock[*ring]);
            }
        }
    }
    all
}

proptest! {
    #[test]
    fn all_frames_come_once_in_the_order_of_their_times(
        rings in 1..5_usize,
        events in prop::collection::vec(event(4, 0..50), 0..60),
    ) {
        let mut events = events;
        for event in &mut events {
            if let Event::Block(ring, _) | Event::Until(ring, _) = event {
                *ring %= rings;
            }
        }
        let (out, over, hurried) = run(rings, &events, Duration::ZERO);
        prop_assert_eq!(hurried, 0);
        prop_assert!(out.is_sorted_by_key(|(_, ts)| *ts), "{:?}", out);
        for ((_, ts), told) in out.iter().zip(over) {
            prop_assert!(*ts >= told, "{} was over when {} came", told, ts);
        }
        for (ring, all) in (0_u16..).zip(brought(rings, &events)) {
            let mine: Vec<_> = out.iter().filter(|(of, _)| *of == ring).map(|(_, ts)| *ts).collect();
            prop_assert_eq!(mine, all);
        }
    }

    #[test]
    fn where_clocks_step_back_each_ring_still_comes_whole_and_in_its_order(
        events in prop::collection::vec(event(3, -500..200), 0..60),
        millis in 0..700_u64,
    ) {
        let (out, _, _) = run(3, &events, Duration::from_millis(millis));
        for (ring, all) in (0_u16..).zip(brought(3, &events)) {
            let mine: Vec<_> = out.iter().filter(|(of, _)| *of == ring).map(|(_, ts)| *ts).collect();
            prop_assert_eq!(mine, all);
        }
    }
}

#[test]
fn many_small_blocks_make_batches_of_bounded_size() {
    let rings = 64;
    let mut merge = Merge::new(&vec![100; rings], rings);
    let mut frames = 0;
    for ring in 0..rings {
        for _ in 0..9 {
            let times: Vec<_> = (0..40).map(|i| i * 1000 + i64::try_from(ring).unwrap()).collect();
            merge.stage(parcel(ring, &times), NOW);
            frames += times.len();
        }
    }
    let mut batches = Vec::new();
    while let Some(batch) = merge.next(NOW, true) {
        assert!(!batch.frames().is_empty() && batch.frames().len() <= BLOCK_FRAMES);
        batches.push(batch.frames().len());
    }
    assert_eq!(batches.iter().sum::<usize>(), frames);
}
