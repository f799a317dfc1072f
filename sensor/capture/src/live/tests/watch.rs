//! When what is told.

use crate::NoticeCode::{self, InterfaceDown, InterfaceUp, LossBegan, LossEnded};
use crate::live::stats::InterfaceStats;
use crate::live::watch::Watch;
use std::time::Duration;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn loss_is_told_when_it_begins_and_when_there_was_none_for_five_seconds() {
    let mut watch = Watch::default();
    let mut told: Vec<(u64, NoticeCode, String)> = Vec::new();
    for (second, kernel, interface, queue) in [
        (1, 0, 0, 0),
        (2, 5, 0, 0),
        (3, 5, 0, 0),
        (4, 5, 0, 7),
        (8, 5, 0, 7),
        (9, 5, 0, 7),
        (10, 5, 0, 7),
        (11, 5, 1, 7),
        (16, 5, 1, 7),
    ] {
        let stats = InterfaceStats {
            kernel_dropped: kernel,
            interface_dropped: interface,
            queue_dropped: queue,
            received: second * 100,
            ..InterfaceStats::default()
        };
        watch.loss(seconds(second), &stats, &mut |code, message| told.push((second, code, message)));
    }
    let want = [
        (
            2,
            LossBegan,
            "frames are being lost: 5 by the kernel, 0 by the interface, 0 by the queue, while 100 were received",
        ),
        (
            9,
            LossEnded,
            "no frame was lost for 5 s; in 3 s: 5 by the kernel, 0 by the interface, 7 by the queue, while 800 were received",
        ),
        (
            11,
            LossBegan,
            "frames are being lost: 0 by the kernel, 1 by the interface, 0 by the queue, while 100 were received",
        ),
        (
            16,
            LossEnded,
            "no frame was lost for 5 s; in 1 s: 0 by the kernel, 1 by the interface, 0 by the queue, while 600 were received",
        ),
    ];
    assert_eq!(told, want.map(|(second, code, message)| (second, code, message.to_owned())));
}

#[test]
fn each_change_of_an_interface_is_told_once_with_its_reason() {
    let mut watch = Watch::default();
    let mut told: Vec<(u64, NoticeCode)> = Vec::new();
    let mut last = String::new();
    for (second, up, closed, why, unread) in [
        (0, true, 0, "", 0),
        (1, false, 1, "gone", 3),
        (2, false, 1, "gone", 3),
        (3, false, 1, "no permission", 3),
        (4, true, 1, "no permission", 3),
        (5, true, 1, "no permission", 3),
        // Without a ring being closed.
        (6, false, 1, "no link", 3),
        (7, true, 1, "no link", 3),
        // Gone and back between two looks.
        (9, true, 2, "gone", 4),
        (10, true, 2, "gone", 4),
    ] {
        let open = up || why == "no link";
        let stats = InterfaceStats { unread, open, up, ..InterfaceStats::default() };
        let mut tell = |code, message| {
            told.push((second, code));
            last = message;
        };
        watch.presence(seconds(second), &stats, closed, || why.to_owned(), &mut tell);
        if second == 3 {
            assert_eq!(last, "no permission; it is tried again every second");
        }
        if second == 6 {
            assert_eq!(last, "no link");
        }
        if second == 4 {
            assert_eq!(last, "captured again after 3 s; 3 frames were lost in its ring");
        }
    }
    let want = [
        (1, InterfaceDown),
        (3, InterfaceDown),
        (4, InterfaceUp),
        (6, InterfaceDown),
        (7, InterfaceUp),
        (9, InterfaceDown),
        (9, InterfaceUp),
    ];
    assert_eq!(told, want);
}
