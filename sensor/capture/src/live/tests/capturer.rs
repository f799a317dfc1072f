//! Reading, dropping, opening again, stopping.

use super::fake::Bench;
use crate::live::capturer::{Next, SWEEP, lag};
use crate::live::cell::Cell;
use crate::live::ring::Counters;
use net::Timestamp;
use proptest::prelude::*;
use std::time::Duration;

#[test]
fn a_block_is_handed_over_when_it_is_old_and_not_before() {
    let mut bench = Bench::new(4);
    let wall = bench.wall;
    bench.fake.kernel().bring(wall, b"one");
    assert_eq!(bench.step(), Next::Wait(Duration::from_millis(50)));
    assert_eq!(bench.collect(), 0);
    bench.pass(30);
    bench.fake.kernel().bring(wall, b"two");
    assert_eq!(bench.step(), Next::Wait(Duration::from_millis(20)));
    assert_eq!(bench.collect(), 0);
    bench.pass(20);
    bench.step();
    assert_eq!(bench.collect(), 2);
}

#[test]
fn a_full_block_is_handed_over_at_once() {
    let mut bench = Bench::new(4);
    let wall = bench.wall;
    for _ in 0..5 {
        bench.fake.kernel().bring(wall, &[7; 1000]);
    }
    bench.step();
    assert_eq!(bench.collect(), 4);
    assert_eq!(bench.cell.counts().read, 5);
}

#[test]
fn a_long_sweep_is_broken_off_for_a_look_at_the_clock() {
    let mut bench = Bench::new(200);
    let wall = bench.wall;
    for _ in 0..=SWEEP {
        bench.fake.kernel().bring(wall, &[7; 60]);
    }
    assert_eq!(bench.step(), Next::Again);
    assert!(matches!(bench.step(), Next::Wait(_)));
}

#[test]
fn the_time_told_never_runs_ahead_of_what_was_handed_over() {
    let mut bench = Bench::new(4);
    assert_eq!(bench.cell.until(), Cell::UNKNOWN);
    let idle =
        |bench: &Bench| Timestamp(bench.wall).plus(-i64::try_from(lag(super::fake::TIMEOUT).as_nanos()).unwrap());
    bench.step();
    assert_eq!(bench.cell.until(), idle(&bench));
    bench.pass(1000);
    let first = bench.wall - 500;
    bench.fake.kernel().bring(first, b"one");
    bench.fake.kernel().bring(first + 100, b"two");
    bench.step();
    assert_eq!(bench.cell.until(), Timestamp(first), "the block is still in hand");
    bench.pass(50);
    bench.step();
    assert_eq!(bench.collect(), 2);
    assert_eq!(bench.cell.until(), Timestamp(first + 100), "younger than what must have come by now");
    bench.pass(1000);
    bench.step();
    assert_eq!(bench.cell.until(), idle(&bench));
}

#[test]
fn a_clock_that_is_set_back_is_followed() {
    let mut bench = Bench::new(4);
    bench.fake.kernel().bring(1_000_000_000_000, b"one");
    bench.step();
    bench.pass(50);
    bench.step();
    assert_eq!(bench.collect(), 1);
    bench.wall -= 3_600_000_000_000;
    bench.step();
    assert!(bench.cell.until() < Timestamp(bench.wall));
}

#[test]
fn a_ring_that_fails_is_opened_again_every_second_and_what_was_in_it_is_counted() {
    let mut bench = Bench::new(4);
    let wall = bench.wall;
    bench.step();
    {
        let mut kernel = bench.fake.kernel();
        kernel.bring(wall, b"read");
        kernel.counters.received += 5;
        kernel.counters.dropped += 2;
        (kernel.fault, kernel.closed) = (Some("gone".to_owned()), Some("still gone".to_owned()));
    }
    bench.step();
    assert_eq!(bench.collect(), 1, "what was read is handed over");
    let counts = bench.cell.counts();
    assert_eq!((counts.read, counts.unread, counts.kernel_received, counts.kernel_dropped), (1, 3, 4, 2));
    assert_eq!((counts.closed, bench.cell.is_up(), bench.cell.why().as_str()), (1, false, "gone"));
    for (millis, tries) in [(500, 0), (499, 0), (1, 1), (999, 1), (1, 2)] {
        bench.pass(millis);
        bench.step();
        assert_eq!(bench.fake.kernel().opened, tries);
        let told = bench.cell.until();
        assert_eq!(told, Timestamp(bench.wall), "nobody needs to wait for it");
    }
    assert_eq!(bench.cell.why(), "still gone");
    bench.fake.kernel().closed = None;
    bench.pass(1000);
    assert_eq!(bench.step(), Next::Again);
    let wall = bench.wall;
    bench.fake.kernel().bring(wall, b"again");
    bench.step();
    bench.pass(1000);
    bench.step();
    assert_eq!(bench.collect(), 1);
    let counts = bench.cell.counts();
    assert_eq!((counts.read, counts.unread, counts.kernel_received, counts.opened), (2, 3, 5, 2));
    assert!(bench.cell.is_up());
}

#[test]
fn what_the_kernel_leaves_out_on_purpose_is_not_called_unread() {
    let mut bench = Bench::new(4);
    bench.fake.kernel().exact = false;
    bench.fake.kernel().counters.received = 10;
    bench.fake.kernel().fault = Some("gone".to_owned());
    bench.step();
    assert_eq!(bench.cell.counts().unread, 0);
}

#[test]
fn a_panic_costs_the_ring_and_is_counted() {
    let mut bench = Bench::new(4);
    let wall = bench.wall;
    bench.fake.kernel().bring(wall, b"before");
    bench.fake.kernel().panics = true;
    assert!(matches!(bench.step(), Next::Wait(_)));
    assert_eq!(bench.collect(), 1, "what was read before is not lost");
    let counts = bench.cell.counts();
    assert_eq!((counts.panics, counts.closed, bench.cell.is_up()), (1, 1, false));
    assert!(bench.cell.why().contains("fault of the sensor"));
    bench.pass(1000);
    bench.step();
    assert!(bench.cell.is_up());
    bench.fake.kernel().bring(wall, b"after");
    bench.step();
    bench.pass(50);
    bench.step();
    assert_eq!(bench.collect(), 1);
}

#[test]
fn what_stays_in_a_ring_is_counted_even_if_it_fails_while_it_is_closed() {
    let mut bench = Bench::new(4);
    let wall = bench.wall;
    bench.fake.kernel().counters.received = 4;
    bench.fake.kernel().bring(wall, b"read");
    bench.step();
    (bench.fake.kernel().panics, bench.fake.kernel().counters_panic) = (true, true);
    bench.step();
    let counts = bench.cell.counts();
    assert_eq!((counts.panics, counts.closed, counts.read, counts.unread), (1, 1, 1, 4));
}

#[test]
fn an_interface_without_link_is_told_though_its_ring_stays_open() {
    let mut bench = Bench::new(4);
    bench.step();
    bench.fake.kernel().down = Some("no link");
    bench.pass(999);
    bench.step();
    assert!(bench.cell.is_up(), "it is asked once a second");
    bench.pass(1);
    bench.step();
    assert_eq!((bench.cell.is_up(), bench.cell.why().as_str()), (false, "no link"));
    bench.fake.kernel().down = None;
    bench.pass(1000);
    bench.step();
    assert!(bench.cell.is_up());
    assert_eq!(bench.cell.counts().opened, 1);
}

#[test]
fn counters_of_the_kernel_go_on_over_their_end_and_do_not_go_back() {
    let mut bench = Bench::new(4);
    bench.fake.kernel().exact = false;
    let at = |received, dropped, interface_dropped| Counters { received, dropped, interface_dropped };
    for (now, want) in [
        (at(u32::MAX / 2, 10, 4), (u64::from(u32::MAX / 2) - 10, 10, 4)),
        (at(u32::MAX - 7, 10, 4), (u64::from(u32::MAX) - 17, 10, 4)),
        (at(u32::MAX, 15, 4), (u64::from(u32::MAX) - 15, 15, 4)),
        (at(9, 20, 4), (u64::from(u32::MAX) - 10, 20, 4)),
        (at(109, 20, 4), (u64::from(u32::MAX) + 90, 20, 4)),
        // The file that libpcap reads it from cannot be read any more.
        (at(109, 20, 0), (u64::from(u32::MAX) + 90, 20, 4)),
        (at(109, 20, 1), (u64::from(u32::MAX) + 90, 20, 5)),
    ] {
        bench.fake.kernel().counters = now;
        bench.step();
        let counts = bench.cell.counts();
        assert_eq!((counts.kernel_received, counts.kernel_dropped, counts.interface_dropped), want, "{now:?}");
        bench.pass(1000);
    }
}

#[test]
fn a_stop_waits_for_what_the_kernel_still_holds_but_not_for_ever() {
    for comes in [true, false] {
        let mut bench = Bench::new(4);
        let wall = bench.wall;
        bench.fake.kernel().bring(wall, b"one");
        bench.fake.kernel().counters.received += 1;
        bench.stop();
        assert!(matches!(bench.step(), Next::Wait(_)));
        assert!(bench.fake.kernel().shut);
        bench.pass(100);
        assert!(matches!(bench.step(), Next::Wait(_)));
        if comes {
            bench.fake.kernel().frames.push_back((Timestamp(wall), b"two".to_vec(), 3));
        } else {
            bench.pass(200);
        }
        assert_eq!(bench.step(), Next::Over);
        let counts = bench.cell.counts();
        let want = if comes { (2, 0) } else { (1, 1) };
        assert_eq!((bench.collect(), counts.unread), want);
        assert_eq!((counts.read, counts.kernel_received), (want.0, 2));
    }
}

#[test]
fn a_stop_while_the_interface_is_away_ends_at_once() {
    let mut bench = Bench::new(4);
    bench.fake.kernel().fault = Some("gone".to_owned());
    bench.step();
    bench.stop();
    assert_eq!(bench.step(), Next::Over);
}

/// What happens to a capturer.
#[derive(Clone, Copy, Debug)]
enum Event {
    Frames(u8, u16),
    Pass(u16),
    Fault,
    Panic,
    Collect,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => (1..40_u8, 0..1500_u16).prop_map(|(count, len)| Event::Frames(count, len)),
        3 => (0..1200_u16).prop_map(Event::Pass),
        1 => Just(Event::Fault),
        1 => Just(Event::Panic),
        2 => Just(Event::Collect),
    ]
}

proptest! {
    #[test]
    fn whatever_happens_the_sums_add_up_and_the_memory_stays_as_it_was(
        shells in 2..6_usize,
        events in prop::collection::vec(event(), 1..60),
    ) {
        let mut bench = Bench::new(shells);
        let (mut brought, mut collected, mut bytes) = (0_u64, 0, 0);
        for event in events {
            match event {
                Event::Frames(count, len) => {
                    if bench.cell.is_up() {
                        let wall = bench.wall;
                        for _ in 0..count {
                            bench.fake.kernel().bring(wall, &vec![1; len.into()]);
                        }
                        brought += u64::from(count);
                        bytes += u64::from(count) * u64::from(len);
                    }
                }
                Event::Pass(millis) => bench.pass(millis.into()),
                Event::Fault if bench.cell.is_up() => bench.fake.kernel().fault = Some("gone".to_owned()),
                Event::Panic if bench.cell.is_up() => bench.fake.kernel().panics = true,
                Event::Collect => collected += bench.collect(),
                Event::Fault | Event::Panic => {}
            }
            bench.step();
            let counts = bench.cell.counts();
            prop_assert!(counts.read <= brought && counts.queue_dropped + collected <= counts.read);
        }
        bench.stop();
        while bench.step() != Next::Over {
            bench.pass(10);
        }
        collected += bench.collect();
        let counts = bench.cell.counts();
        prop_assert_eq!(counts.read, brought);
        prop_assert_eq!(counts.read_bytes, bytes);
        prop_assert_eq!(counts.read, collected + counts.queue_dropped);
        prop_assert_eq!(counts.unread, 0);
        drop(bench.capturer);
        prop_assert!(bench.cell.empties() + 1 >= shells, "all but the one in hand are back");
    }

    #[test]
    fn frames_come_out_as_they_went_in(lens in prop::collection::vec(0..5000_usize, 1..200)) {
        let mut bench = Bench::new(400);
        for (i, len) in lens.iter().enumerate() {
            let ts = bench.wall + i64::try_from(i).unwrap();
            let data = vec![u8::try_from(i % 251).unwrap(); *len];
            bench.fake.kernel().bring(ts, &data);
        }
        bench.stop();
        while bench.step() != Next::Over {}
        let mut next = 0;
        for parcel in bench.queue.try_iter() {
            for frame in &parcel.contents.frames {
                let data = frame.bytes(&parcel.contents.blocks[0]);
                prop_assert_eq!(data.len(), lens[next].min(4096), "frame {}", next);
                prop_assert!(data.iter().all(|byte| usize::from(*byte) == next % 251));
                prop_assert_eq!(frame.wire_len as usize, lens[next]);
                prop_assert_eq!(frame.ts, Timestamp(bench.wall + i64::try_from(next).unwrap()));
                next += 1;
            }
        }
        prop_assert_eq!(next, lens.len());
        prop_assert_eq!(bench.cell.counts().cut, lens.iter().filter(|len| **len > 4096).count() as u64);
    }
}
