//! That a capture asks for no memory once it runs. Alone in its program, since every allocation in it counts.
#![cfg(all(feature = "pcap", target_os = "linux"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "the helpers of tests are tests"
)]

#[path = "../live/network.rs"]
#[allow(dead_code, reason = "the other tests use more of it")]
mod network;

use capture::{InterfaceOptions, Live, LiveOptions};
use network::{Sender, in_a_namespace};
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

/// The system's allocator, which counts.
struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

#[expect(unsafe_code, reason = "an allocator is no other way to be had")]
// SAFETY: passes on to the system's allocator, which keeps the promises.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps its promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps its promises.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[test]
fn a_capture_that_runs_asks_for_no_memory() {
    in_a_namespace(|| {
        let mut frames = Vec::new();
        for number in 0..2000_u16 {
            let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0];
            frame.extend([0x45, 0, 0, 46, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
            frame.extend(number.to_be_bytes());
            frame.resize(500, 0);
            frames.push(frame);
        }
        for rings in [1, 2] {
            let options = InterfaceOptions {
                rings,
                buffer_bytes: 8 << 20,
                timeout: Duration::from_millis(10),
                ..InterfaceOptions::new("near")
            };
            let mut live = Live::open(&[options], &LiveOptions::default()).unwrap();
            let sender = Sender::new("far");
            let mut round = || {
                sender.send(&frames);
                let mut seen = 0;
                while seen < frames.len() {
                    seen += live.next_batch().expect("nobody has stopped it").frames().len();
                }
            };
            for _ in 0..10 {
                round();
            }
            let before = ALLOCATIONS.load(Ordering::Relaxed);
            for _ in 0..10 {
                round();
            }
            assert_eq!(ALLOCATIONS.load(Ordering::Relaxed) - before, 0, "with {rings} rings");
        }
    });
}
