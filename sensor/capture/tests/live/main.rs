//! Live capture against a real kernel, in network namespaces that are made and removed here. Without the right to make
//! one, each test says that it was skipped.
#![cfg(all(feature = "pcap", target_os = "linux"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "the helpers of tests are tests"
)]

mod network;

use capture::{Batch, InterfaceOptions, InterfaceStats, Live, LiveError, LiveOptions, NoticeCode};
use network::{Sender, become_nobody, in_a_namespace, ip, of_thread};
use std::collections::HashSet;

/// A frame of an ethertype for experiments, with a number in it.
fn frame(number: u32, len: usize) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x88, 0xb5];
    frame.extend(number.to_be_bytes());
    frame.resize(len.max(60), 0x5a);
    frame
}

/// A UDP datagram of one of many flows.
fn datagram(number: u32) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0];
    frame.extend([0x45, 0, 0, 46, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    let port = 1024 + u16::try_from(number % 997).unwrap();
    frame.extend(port.to_be_bytes());
    frame.extend([0, 53, 0, 26, 0, 0]);
    frame.extend(number.to_be_bytes());
    frame.resize(60, 0);
    frame
}

fn number_of(data: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(data[at..at + 4].try_into().unwrap())
}

fn near() -> InterfaceOptions {
    InterfaceOptions { buffer_bytes: 8 << 20, ..InterfaceOptions::new("near") }
}

/// Reads until so many frames came.
fn read(live: &mut Live, frames: u64, mut each: impl FnMut(&Batch)) -> u64 {
    let mut count = 0;
    while count < frames {
        let batch = live.next_batch().expect("nobody has stopped it");
        count += batch.frames().len() as u64;
        each(&batch);
    }
    count
}

/// Stops and reads the rest.
fn finish(live: &mut Live, mut each: impl FnMut(&Batch)) -> u64 {
    live.stopper().stop();
    let mut count = 0;
    while let Some(batch) = live.next_batch() {
        count += batch.frames().len() as u64;
        each(&batch);
    }
    count
}

#[track_caller]
fn check_sums(stats: &InterfaceStats) {
    let sum = stats.handed_out + stats.queue_dropped + stats.unread + stats.waiting;
    assert_eq!(stats.received, sum, "{stats:?}");
}

#[test]
fn a_hundred_thousand_frames_are_counted_exactly_and_come_in_order() {
    in_a_namespace(|| {
        let mut live = Live::open(&[near()], &LiveOptions::default()).unwrap();
        let sender = std::thread::spawn(|| {
            let frames: Vec<_> = (0..100_000).map(|n| frame(n, 60 + n as usize % 1000)).collect();
            Sender::new("far").send(&frames);
        });
        let mut next = 0;
        let mut each = |batch: &Batch| {
            for frame in batch.iter() {
                assert_eq!(number_of(frame.data, 14), next);
                assert_eq!(frame.data.len(), 60 + next as usize % 1000);
                assert_eq!(frame.wire_len as usize, frame.data.len());
                next += 1;
                assert_eq!((frame.place.number, frame.place.in_file, frame.place.file), (next.into(), next.into(), 0));
            }
        };
        read(&mut live, 100_000, &mut each);
        sender.join().unwrap();
        finish(&mut live, each);
        let stats = live.stats().interfaces.remove(0);
        check_sums(&stats);
        assert_eq!((next, stats.received, stats.kernel_received), (100_000, 100_000, 100_000), "{stats:?}");
        assert_eq!((stats.lost(), stats.cut, stats.waiting), (0, 0, 0), "{stats:?}");
        let ring = &live.rings()[0];
        assert_eq!((ring.version, ring.nanoseconds, ring.fanout), (Some(3), true, None), "{ring:?}");
        assert_eq!(ring.buffer_bytes, Some(8 << 20));
    });
}

#[test]
fn several_rings_share_the_flows_out_and_each_frame_comes_once() {
    in_a_namespace(|| {
        let options = InterfaceOptions { rings: 3, ..near() };
        // From the first moment on: opening must give no frame twice.
        let busy = std::thread::spawn(|| Sender::new("far").send(&(0..30_000).map(datagram).collect::<Vec<_>>()));
        let mut live = Live::open(&[options], &LiveOptions::default()).unwrap();
        busy.join().unwrap();
        let sender = std::thread::spawn(|| {
            Sender::new("far").send(&(30_000..60_000).map(datagram).collect::<Vec<_>>());
        });
        let mut seen = HashSet::new();
        let mut last = vec![0; 997];
        let mut each = |batch: &Batch| {
            for frame in batch.iter() {
                let number = number_of(frame.data, 42);
                assert!(seen.insert(number), "{number} came twice");
                let last = &mut last[number as usize % 997];
                assert!(*last <= number, "{number} came before {last}, of the same flow");
                *last = number;
            }
        };
        sender.join().unwrap();
        finish(&mut live, &mut each);
        assert!((30_000..60_000).all(|number| seen.contains(&number)));
        let stats = live.stats();
        check_sums(&stats.interfaces[0]);
        assert_eq!(stats.interfaces[0].received, stats.interfaces[0].kernel_received, "{stats:?}");
        assert_eq!(stats.interfaces[0].received, seen.len() as u64, "{stats:?}");
        let groups: HashSet<_> = live.rings().iter().map(|ring| ring.fanout).collect();
        assert!(groups.len() == 1 && !groups.contains(&None), "{groups:?}");
    });
}

#[test]
fn what_a_small_queue_drops_is_counted_to_the_frame() {
    in_a_namespace(|| {
        let options = InterfaceOptions { buffer_bytes: 32 << 20, ..near() };
        let mut live = Live::open(&[options], &LiveOptions { queue_bytes: 1 }).unwrap();
        let first = live.next_batch().unwrap();
        assert!(first.frames().is_empty());
        Sender::new("far").send(&(0..20_000).map(|n| frame(n, 1000)).collect::<Vec<_>>());
        live.stopper().stop();
        // The thread reads it all, while nobody takes anything off the queue.
        while live.stats().interfaces[0].received < 20_000 {
            std::thread::yield_now();
        }
        let handed_out = finish(&mut live, |_| {});
        let stats = live.stats().interfaces.remove(0);
        check_sums(&stats);
        assert_eq!((stats.received, stats.handed_out, stats.waiting), (20_000, handed_out, 0), "{stats:?}");
        assert!(handed_out > 0 && stats.queue_dropped > 10_000, "{stats:?}");
        assert_eq!(stats.queue_dropped_bytes, stats.queue_dropped * 1000, "{stats:?}");
        let codes: Vec<_> = live.notices().map(|notice| notice.code).collect();
        assert!(codes.contains(&NoticeCode::LossBegan), "{codes:?}");
    });
}

#[test]
fn what_the_kernel_drops_is_counted_to_the_frame() {
    in_a_namespace(|| {
        let options = InterfaceOptions { buffer_bytes: 1 << 20, ..near() };
        let mut live = Live::open(&[options], &LiveOptions::default()).unwrap();
        // No thread reads before the first batch is asked for.
        Sender::new("far").send(&(0..20_000).map(|n| frame(n, 1000)).collect::<Vec<_>>());
        let handed_out = finish(&mut live, |_| {});
        let stats = live.stats().interfaces.remove(0);
        check_sums(&stats);
        assert_eq!(stats.received + stats.kernel_dropped, 20_000, "{stats:?}");
        assert_eq!((stats.handed_out, stats.kernel_received), (handed_out, stats.received), "{stats:?}");
        assert!(stats.kernel_dropped > 10_000, "{stats:?}");
        let notice = live.notices().find(|notice| notice.code == NoticeCode::LossBegan).unwrap();
        assert!(notice.message.contains(&format!("{} by the kernel", stats.kernel_dropped)), "{notice:?}");
    });
}

#[test]
fn an_interface_that_is_removed_and_made_again_is_captured_again() {
    in_a_namespace(|| {
        let options = InterfaceOptions { rings: 2, ..near() };
        let mut live = Live::open(&[options], &LiveOptions::default()).unwrap();
        let mut codes = Vec::new();
        Sender::new("far").send(&(0..1000).map(datagram).collect::<Vec<_>>());
        read(&mut live, 1000, |_| {});
        assert!(ip("link del near"));
        while live.stats().interfaces[0].up {
            live.next_batch().unwrap();
        }
        assert!(ip("link add near type veth peer name far") && ip("link set near up") && ip("link set far up"));
        while !live.stats().interfaces[0].up {
            live.next_batch().unwrap();
        }
        Sender::new("far").send(&(1000..2000).map(datagram).collect::<Vec<_>>());
        read(&mut live, 1000, |_| {});
        finish(&mut live, |_| {});
        codes.extend(live.notices().map(|notice| notice.code));
        assert_eq!(codes, [NoticeCode::InterfaceDown, NoticeCode::InterfaceUp]);
        let stats = live.stats().interfaces.remove(0);
        check_sums(&stats);
        assert_eq!((stats.received, stats.handed_out, stats.reopened), (2000, 2000, 2), "{stats:?}");
        assert_eq!(stats.kernel_received, 2000, "{stats:?}");
    });
}

#[test]
fn an_interface_that_is_removed_under_traffic_leaves_sums_that_add_up() {
    in_a_namespace(|| {
        let options = InterfaceOptions { rings: 2, buffer_bytes: 1 << 20, ..near() };
        let mut live = Live::open(&[options], &LiveOptions { queue_bytes: 2 << 20 }).unwrap();
        for reopened in [2, 4] {
            let sender = std::thread::spawn(|| {
                let (sender, frames) = (Sender::new("far"), (0..1000).map(datagram).collect::<Vec<_>>());
                while sender.try_send(&frames).is_ok() {}
            });
            read(&mut live, 5000, |_| {});
            assert!(ip("link del near"));
            sender.join().unwrap();
            assert!(ip("link add near type veth peer name far") && ip("link set near up") && ip("link set far up"));
            while live.stats().interfaces[0].reopened < reopened {
                live.next_batch().unwrap();
            }
        }
        finish(&mut live, |_| {});
        let stats = live.stats().interfaces.remove(0);
        check_sums(&stats);
        assert_eq!((stats.received, stats.waiting), (stats.kernel_received, 0), "{stats:?}");
    });
}

#[test]
fn an_interface_that_goes_down_and_comes_up_is_told_and_goes_on() {
    in_a_namespace(|| {
        let mut live = Live::open(&[near()], &LiveOptions::default()).unwrap();
        live.next_batch().unwrap();
        for (state, up) in [("down", false), ("up", true)] {
            assert!(ip(&format!("link set near {state}")));
            while live.stats().interfaces[0].up != up {
                live.next_batch().unwrap();
            }
        }
        Sender::new("far").send(&[frame(7, 100)]);
        read(&mut live, 1, |batch| {
            assert!(batch.iter().all(|frame| number_of(frame.data, 14) == 7));
        });
        let notices: Vec<_> = live.notices().collect();
        let codes: Vec<_> = notices.iter().map(|notice| notice.code).collect();
        assert_eq!(codes, [NoticeCode::InterfaceDown, NoticeCode::InterfaceUp], "{notices:?}");
    });
}

#[test]
fn frames_of_two_interfaces_come_in_the_order_of_their_times() {
    in_a_namespace(|| {
        assert!(ip("link add near2 type veth peer name far2") && ip("link set near2 up") && ip("link set far2 up"));
        let options = [near(), InterfaceOptions { name: "near2".to_owned(), ..near() }];
        let mut live = Live::open(&options, &LiveOptions::default()).unwrap();
        let sender = std::thread::spawn(|| {
            let (far, far2) = (Sender::new("far"), Sender::new("far2"));
            for number in 0..5000 {
                let sender = if number % 2 == 0 { &far } else { &far2 };
                sender.send(&[frame(number, 60)]);
            }
        });
        let mut next = 0;
        let mut until = None;
        read(&mut live, 5000, |batch| {
            for frame in batch.iter() {
                assert_eq!(number_of(frame.data, 14), next);
                assert_eq!(u32::from(frame.place.file), next % 2);
                assert!(until <= Some(frame.ts), "{until:?} was said to be over, and then came {:?}", frame.ts);
                next += 1;
            }
            until = until.max(batch.until());
        });
        sender.join().unwrap();
        assert!(until.is_some());
        assert_eq!(live.stats().hurried, 0);
    });
}

#[test]
fn a_vlan_tag_that_the_kernel_took_off_is_in_the_frame() {
    in_a_namespace(|| {
        let mut live = Live::open(&[near()], &LiveOptions::default()).unwrap();
        // On its way in, the kernel keeps the tag beside the frame; libpcap puts it back.
        let mut tagged = frame(1, 100);
        tagged.splice(12..12, [0x81, 0, 0x20, 7]);
        Sender::new("far").send(&[tagged]);
        read(&mut live, 1, |batch| {
            for frame in batch.iter() {
                assert_eq!(&frame.data[12..18], [0x81, 0, 0x20, 7, 0x88, 0xb5]);
                assert_eq!((number_of(frame.data, 18), frame.data.len(), frame.wire_len), (1, 104, 104));
            }
        });
        assert_eq!(live.stats().interfaces[0].cut, 0);
    });
}

#[test]
fn a_filter_keeps_what_it_says_and_the_sums_still_add_up() {
    in_a_namespace(|| {
        let options = InterfaceOptions { bpf: Some("ether[17] & 1 = 1".to_owned()), ..near() };
        let mut live = Live::open(&[options], &LiveOptions::default()).unwrap();
        Sender::new("far").send(&(0..1000).map(|n| frame(n, 60)).collect::<Vec<_>>());
        finish(&mut live, |batch| assert!(batch.iter().all(|frame| number_of(frame.data, 14) % 2 == 1)));
        let stats = live.stats().interfaces.remove(0);
        check_sums(&stats);
        assert_eq!((stats.received, stats.kernel_received, stats.handed_out), (500, 500, 500), "{stats:?}");
    });
}

#[test]
fn a_filter_that_is_too_long_for_the_kernel_makes_no_loss_of_what_it_leaves_out() {
    in_a_namespace(|| {
        // At least three instructions each, while the kernel takes 4096.
        let odd: Vec<_> = (0..1500).map(|n| format!("ether[14:4] ^ {} = 0", 2 * n + 1)).collect();
        let options = InterfaceOptions { bpf: Some(odd.join(" or ")), ..near() };
        let mut live = Live::open(&[options], &LiveOptions::default()).unwrap();
        Sender::new("far").send(&(0..1000).map(|n| frame(n, 60)).collect::<Vec<_>>());
        finish(&mut live, |batch| assert!(batch.iter().all(|frame| number_of(frame.data, 14) % 2 == 1)));
        let stats = live.stats().interfaces.remove(0);
        check_sums(&stats);
        assert_eq!((stats.received, stats.handed_out, stats.lost()), (500, 500, 0), "{stats:?}");
        assert_eq!(stats.kernel_received, 1000, "libpcap ran it: {stats:?}");
    });
}

#[test]
fn what_the_snaplen_cuts_is_counted() {
    in_a_namespace(|| {
        let options = InterfaceOptions { snaplen: 100, ..near() };
        let mut live = Live::open(&[options], &LiveOptions::default()).unwrap();
        Sender::new("far").send(&(0..200).map(|n| frame(n, n as usize)).collect::<Vec<_>>());
        read(&mut live, 200, |batch| {
            for frame in batch.iter() {
                let len = number_of(frame.data, 14).max(60);
                assert_eq!((frame.wire_len, frame.data.len()), (len, len.min(100) as usize));
            }
        });
        assert_eq!(live.stats().interfaces[0].cut, 99);
    });
}

#[test]
fn the_loopback_interface_gives_each_frame_once_and_the_sums_add_up() {
    in_a_namespace(|| {
        assert!(ip("link set lo up"));
        let mut live = Live::open(&[InterfaceOptions::new("lo")], &LiveOptions::default()).unwrap();
        Sender::new("lo").send(&(0..1000).map(datagram).collect::<Vec<_>>());
        assert_eq!(finish(&mut live, |_| {}), 1000);
        let stats = live.stats().interfaces.remove(0);
        assert_eq!((stats.received, stats.kernel_received), (1000, 1000), "{stats:?}");
    });
}

#[test]
fn several_rings_of_the_loopback_interface_give_each_frame_once_and_the_sums_add_up() {
    in_a_namespace(|| {
        assert!(ip("link set lo up"));
        let options = InterfaceOptions { rings: 2, ..InterfaceOptions::new("lo") };
        let mut live = Live::open(&[options], &LiveOptions::default()).unwrap();
        Sender::new("lo").send(&(0..1000).map(datagram).collect::<Vec<_>>());
        assert_eq!(finish(&mut live, |_| {}), 1000);
        let stats = live.stats().interfaces.remove(0);
        check_sums(&stats);
        assert_eq!((stats.received, stats.kernel_received, stats.lost()), (1000, 1000, 0), "{stats:?}");
    });
}

#[test]
fn any_stands_for_all_interfaces() {
    in_a_namespace(|| {
        let mut live = Live::open(&[InterfaceOptions::new("any")], &LiveOptions::default()).unwrap();
        Sender::new("far").send(&[datagram(1)]);
        // Out of one, into the other.
        read(&mut live, 2, |batch| assert!(batch.iter().all(|frame| frame.link == net::LinkType::LinuxSll)));
        check_sums(&live.stats().interfaces[0]);
    });
}

#[test]
fn who_may_not_or_asks_for_what_is_not_there_is_told_what_would_do() {
    in_a_namespace(|| {
        let open = |options: InterfaceOptions| Live::open(&[options], &LiveOptions::default()).unwrap_err();
        let error = open(InterfaceOptions::new("nowhere"));
        assert!(
            matches!(&error, LiveError::NoSuchInterface { known, .. } if known.contains(&"near".to_owned())),
            "{error}"
        );
        let error = open(InterfaceOptions { bpf: Some("tcp prot 80".to_owned()), ..near() });
        assert!(matches!(&error, LiveError::Filter { .. }), "{error}");
        assert!(error.to_string().contains("`tcp prot 80`") && error.to_string().contains("syntax error"), "{error}");
        let error = open(InterfaceOptions { cores: vec![100_000], ..near() });
        assert!(matches!(&error, LiveError::Option { option: "core", .. }), "{error}");
        assert!(ip("link set near down"));
        let error = open(near());
        assert_eq!(error, LiveError::NotUp("near".to_owned()));
        assert!(ip("link set near up"));
        become_nobody();
        let error = open(near());
        assert_eq!(error, LiveError::Permission { interface: "near".to_owned() });
    });
}

#[test]
fn rights_can_be_given_up_once_it_is_open() {
    in_a_namespace(|| {
        // Threads are found by their names, and other tests capture on `near`.
        assert!(ip("link add mine type veth peer name other") && ip("link set mine up") && ip("link set other up"));
        let sender = Sender::new("other");
        let options = InterfaceOptions { name: "mine".to_owned(), cores: vec![0], ..near() };
        let mut live = Live::open(&[options], &LiveOptions::default()).unwrap();
        become_nobody();
        sender.send(&(0..1000).map(|n| frame(n, 60)).collect::<Vec<_>>());
        read(&mut live, 1000, |_| {});
        let status = of_thread("r0-mine", "status").unwrap();
        assert!(status.contains("Uid:\t65534\t65534") && status.contains("Cpus_allowed_list:\t0\n"), "{status}");
        finish(&mut live, |_| {});
        assert_eq!(live.stats().interfaces[0].kernel_received, 1000);
    });
}

#[test]
#[ignore = "prints figures and takes seconds: `cargo test --release -p capture --test live -- --ignored --nocapture`"]
fn what_a_million_frames_cost() {
    /// CPU time in nanoseconds so far.
    fn cpu(schedstat: Option<String>) -> Option<u64> {
        schedstat?.split(' ').next()?.parse().ok()
    }
    let seconds = || {
        let uptime = std::fs::read_to_string("/proc/uptime").unwrap();
        uptime.split(' ').next().unwrap().parse::<f64>().unwrap()
    };
    in_a_namespace(move || {
        for (len, rings) in [(60, 1), (1000, 1), (60, 2), (1000, 2)] {
            let options = InterfaceOptions { rings, buffer_bytes: 64 << 20, ..near() };
            let mut live = Live::open(&[options], &LiveOptions::default()).unwrap();
            live.next_batch();
            let mut frames: Vec<_> = (0..1000).map(datagram).collect();
            for frame in &mut frames {
                frame.resize(len, 0);
            }
            let sender = std::thread::spawn(move || {
                let (sender, start) = (Sender::new("far"), seconds());
                (0..2000).for_each(|_| sender.send(&frames));
                seconds() - start
            });
            let of_threads = || -> u64 {
                let name = |ring| format!("r{ring}-near");
                (0..rings).filter_map(|ring| cpu(of_thread(&name(ring), "schedstat"))).sum()
            };
            let mine = || cpu(std::fs::read_to_string("/proc/thread-self/schedstat").ok()).unwrap();
            let before = mine();
            while !sender.is_finished() {
                drop(live.next_batch());
            }
            (0..20).for_each(|_| drop(live.next_batch()));
            let (threads, reader) = (of_threads(), mine() - before);
            finish(&mut live, |_| {});
            let stats = live.stats().interfaces.remove(0);
            check_sums(&stats);
            assert_eq!(stats.received + stats.kernel_dropped, 2_000_000, "{stats:?}");
            // A million frames cost as many milliseconds as one costs nanoseconds.
            eprintln!(
                "{len} bytes, {rings} rings: {:.0} frames/s offered, {} lost by the kernel, {} by the queue; \
                 a million frames cost {} ms of CPU in the capture threads, {} ms in `next_batch`",
                2e6 / sender.join().unwrap(),
                stats.kernel_dropped,
                stats.queue_dropped,
                threads / stats.received,
                reader / stats.received,
            );
        }
    });
}

#[test]
fn an_interface_without_link_is_open_and_told() {
    in_a_namespace(|| {
        if !ip("tuntap add bare mode tun") {
            eprintln!("SKIPPED: `ip tuntap add` makes no interface here");
            return;
        }
        assert!(ip("link set bare up"));
        let options = InterfaceOptions { name: "bare".to_owned(), ..near() };
        let mut live = Live::open(&[options], &LiveOptions::default()).unwrap();
        assert_eq!(live.rings()[0].link, net::LinkType::Raw);
        let notice = loop {
            live.next_batch().unwrap();
            if let Some(notice) = live.notices().next() {
                break notice;
            }
        };
        assert_eq!(notice.code, NoticeCode::InterfaceDown);
        assert!(notice.message.contains("no link") && !live.stats().interfaces[0].up, "{notice:?}");
    });
}

#[test]
fn a_ring_stays_open_without_link_and_is_closed_when_its_interface_is_removed() {
    in_a_namespace(|| {
        let mut live = Live::open(&[near()], &LiveOptions::default()).unwrap();
        live.next_batch().unwrap();
        assert!(ip("link set far down"));
        while live.stats().interfaces[0].up {
            live.next_batch().unwrap();
        }
        assert!(live.stats().interfaces[0].open);
        live.next_batch().unwrap();
        let told: Vec<_> = live.notices().map(|notice| notice.message).collect();
        assert_eq!(told, ["the interface has no link (no cable, no peer)"]);
        assert!(ip("link del near"));
        while live.stats().interfaces[0].open {
            live.next_batch().unwrap();
        }
        assert!(!live.stats().interfaces[0].up);
    });
}
