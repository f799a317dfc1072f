//! All of it with its threads, over made-up interfaces.

use super::fake::Fake;
use crate::live::block::Shell;
use crate::live::{Live, Opened};
use crate::{InterfaceOptions, LiveError, LiveOptions, NoticeCode, RingInfo, Source};
use net::{LinkType, Timestamp};

fn live(interfaces: &[(&str, &[Fake])]) -> Live {
    let options: Vec<_> = interfaces.iter().map(|(name, _)| InterfaceOptions::new(*name)).collect();
    let opened = interfaces.iter().map(|(name, fakes)| {
        let rings = fakes.iter().enumerate().map(|(ring, fake)| {
            let info = RingInfo {
                interface: (*name).to_owned(),
                ring,
                link: LinkType::Ethernet,
                snaplen: 262_144,
                buffer_bytes: None,
                version: None,
                nanoseconds: true,
                fanout: None,
            };
            Opened { ring: Box::new(fake.clone()), opener: Box::new(fake.clone()), info }
        });
        rings.collect()
    });
    Live::assemble(&options, &LiveOptions::default(), opened.collect())
}

#[test]
fn interfaces_are_read_merged_and_numbered_until_they_are_stopped() {
    let (a, b, c) = (Fake::new(), Fake::new(), Fake::new());
    for ts in (0..300).step_by(3) {
        for (ts, fake) in (ts..).zip([&a, &b, &c]) {
            fake.kernel().bring(ts, &ts.to_be_bytes());
        }
    }
    let live = live(&[("eth0", &[a, b]), ("eth1", &[c])]);
    let stopper = live.stopper();
    stopper.stop();
    let mut source = Source::from(live);
    let mut ts = 0;
    let mut in_file = [0; 2];
    while let Some(batch) = source.next_batch().unwrap() {
        for frame in batch.iter() {
            let file = usize::from(ts % 3 == 2);
            in_file[file] += 1;
            assert_eq!((frame.ts, frame.data), (Timestamp(ts), &ts.to_be_bytes()[..]));
            assert_eq!((usize::from(frame.place.file), frame.place.in_file), (file, in_file[file]));
            ts += 1;
            assert_eq!(frame.place.number, ts.cast_unsigned());
        }
    }
    assert!(source.next_batch().unwrap().is_none(), "and so it stays");
    assert_eq!((ts, in_file), (300, [200, 100]));
    let names: Vec<_> = source.inputs().iter().map(|input| input.name.as_str()).collect();
    assert_eq!(names, ["eth0", "eth1"]);
    let stats = source.live().unwrap().stats();
    let counts: Vec<_> = stats.interfaces.iter().map(|i| (i.received, i.handed_out, i.waiting, i.lost())).collect();
    assert_eq!(counts, [(200, 200, 0, 0), (100, 100, 0, 0)]);
    assert_eq!((source.stats().packets, source.position()), (300, (2400, None)));
    assert!(source.notices().next().is_none());
    assert!(source.take_secrets().is_empty() && !source.may_bring_secrets());
}

#[test]
fn a_capture_thread_that_panics_is_never_silent() {
    let fake = Fake::new();
    fake.kernel().bring(7, b"seen");
    fake.kernel().panics = true;
    let mut live = live(&[("eth0", &[fake])]);
    let mut seen = 0;
    let notice = loop {
        seen += live.next_batch().expect("it goes on").frames().len();
        if let Some(notice) = live.notices().next() {
            break notice;
        }
    };
    assert_eq!(notice.code, NoticeCode::InterfaceDown);
    assert!(notice.message.starts_with("the capture thread failed"), "{notice:?}");
    // The reason, the count and the state are told one after the other.
    while live.stats().interfaces.remove(0).up {
        seen += live.next_batch().expect("it goes on").frames().len();
    }
    let stats = live.stats().interfaces.remove(0);
    assert_eq!((stats.panics, stats.received, seen as u64), (1, 1, stats.handed_out));
    live.stopper().stop();
    while let Some(batch) = live.next_batch() {
        seen += batch.frames().len();
    }
    assert_eq!(seen, 1);
}

#[test]
fn a_live_capture_that_is_dropped_ends_its_threads() {
    let fake = Fake::new();
    let mut live = live(&[("eth0", std::slice::from_ref(&fake))]);
    live.next_batch().unwrap();
    drop(live);
    assert!(fake.kernel().shut);
}

#[test]
fn the_queue_takes_the_memory_it_may_and_two_blocks_a_ring_at_least() {
    for (queue_bytes, rings, snaplen) in [(64 << 20, 1, 262_144), (64 << 20, 7, 65_535), (1 << 30, 64, 96)] {
        let bytes = Shell::bytes_for(snaplen);
        let shells = Shell::share(&LiveOptions { queue_bytes }, rings, bytes);
        let memory = shells * rings * Shell::cost(bytes);
        assert!(memory <= queue_bytes && memory > queue_bytes * 9 / 10 - rings * Shell::cost(bytes), "{memory}");
    }
    assert_eq!(Shell::share(&LiveOptions { queue_bytes: 0 }, 3, 4096), 2);
}

#[test]
fn options_out_of_range_are_told_with_what_would_do() {
    let eth0 = || InterfaceOptions::new("eth0");
    let wide = InterfaceOptions { rings: 50, ..eth0() };
    for (interfaces, want) in [
        (vec![], "no interface was named"),
        (vec![eth0(), eth0()], "interface eth0 is named twice"),
        ((0..65).map(|i| InterfaceOptions::new(format!("e{i}"))).collect(), "more than 64 interfaces"),
        (vec![wide.clone(), InterfaceOptions { name: "eth1".to_owned(), ..wide }], "100 rings in all"),
        (vec![InterfaceOptions { snaplen: 0, ..eth0() }], "snaplen is 0; from 64 to 262144 bytes will do"),
        (vec![InterfaceOptions { snaplen: 262_145, ..eth0() }], "snaplen is 262145; from 64 to 262144 bytes will do"),
        (vec![InterfaceOptions { buffer_bytes: 9, ..eth0() }], "buffer is 9; from 1048576 to 2147483647 bytes"),
        (vec![InterfaceOptions { rings: 0, ..eth0() }], "rings is 0; from 1 to 64 will do"),
        (vec![InterfaceOptions { rings: 2, ..InterfaceOptions::new("any") }], "rings is 2; from 1 to 1 will do"),
        (vec![InterfaceOptions { timeout: std::time::Duration::ZERO, ..eth0() }], "timeout is 0ns; from 1 ms to 1 s"),
    ] {
        let error = Live::open(&interfaces, &LiveOptions::default()).unwrap_err();
        assert!(error.to_string().contains(want), "{error}");
        assert!(!matches!(error, LiveError::Open { .. }));
    }
}

#[test]
fn it_can_be_given_to_another_thread_and_stopped_from_any() {
    fn goes_anywhere<T: Send>() {}
    fn is_for_all<T: Send + Sync + Clone>() {}
    goes_anywhere::<Live>();
    goes_anywhere::<Source>();
    is_for_all::<crate::Stopper>();
}

#[cfg(not(feature = "pcap"))]
#[test]
fn a_build_without_libpcap_says_so() {
    let error = Live::open(&[InterfaceOptions::new("eth0")], &LiveOptions::default()).unwrap_err();
    assert_eq!(error, LiveError::NotBuilt { interface: "eth0".to_owned() });
}
