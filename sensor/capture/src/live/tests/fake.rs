//! A ring made of lists.

use crate::live::block::{Parcel, Shell};
use crate::live::capturer::{Capturer, Next, Now};
use crate::live::cell::Cell;
use crate::live::fill::Filler;
use crate::live::ring::{Counters, Fault, Opener, Ring, Seen};
use crossbeam_channel::Receiver;
use net::{LinkType, Timestamp};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

/// Longest time the made-up kernel keeps frames back.
pub(crate) const TIMEOUT: Duration = Duration::from_millis(100);

/// What the made-up kernel holds.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own for tests")]
pub(crate) struct Kernel {
    /// Frames that can be read: time, bytes, length on the wire.
    pub(crate) frames: VecDeque<(Timestamp, Vec<u8>, u32)>,
    pub(crate) counters: Counters,
    pub(crate) fault: Option<String>,
    pub(crate) panics: bool,
    /// Whether asking for the counters panics.
    pub(crate) counters_panic: bool,
    pub(crate) down: Option<&'static str>,
    pub(crate) exact: bool,
    pub(crate) shut: bool,
    /// Why it cannot be opened again.
    pub(crate) closed: Option<String>,
    pub(crate) opened: u32,
}

impl Kernel {
    /// A frame comes in.
    pub(crate) fn bring(&mut self, ts: i64, data: &[u8]) {
        self.counters.received = self.counters.received.wrapping_add(1);
        self.frames.push_back((Timestamp(ts), data.to_vec(), u32::try_from(data.len()).unwrap()));
    }
}

/// Both a ring and what opens it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fake(Arc<Mutex<Kernel>>);

impl Fake {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(Kernel { exact: true, ..Kernel::default() })))
    }

    pub(crate) fn kernel(&self) -> MutexGuard<'_, Kernel> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Ring for Fake {
    fn link(&self) -> LinkType {
        LinkType::Ethernet
    }

    fn wait(&mut self, _at_most: Duration) {
        std::thread::yield_now();
    }

    fn sweep(&mut self, most: usize, take: &mut dyn FnMut(Seen<'_>)) -> Result<usize, Fault> {
        let mut kernel = self.kernel();
        for read in 0..most {
            let Some((ts, data, wire_len)) = kernel.frames.pop_front() else {
                assert!(!kernel.panics, "as it was asked to");
                return kernel.fault.take().map_or(Ok(read), |fault| Err(Fault(fault)));
            };
            take(Seen { ts, data: &data, wire_len });
        }
        Ok(most)
    }

    fn counters(&mut self) -> Option<Counters> {
        let kernel = self.kernel();
        assert!(!kernel.counters_panic, "as it was asked to");
        Some(kernel.counters)
    }

    fn is_exact(&self) -> bool {
        self.kernel().exact
    }

    fn link_state(&mut self) -> Result<(), &'static str> {
        self.kernel().down.map_or(Ok(()), Err)
    }

    fn shut(&mut self) {
        self.kernel().shut = true;
    }
}

impl Opener for Fake {
    fn open(&mut self) -> Result<Box<dyn Ring>, Fault> {
        let mut kernel = self.kernel();
        kernel.opened += 1;
        if let Some(why) = kernel.closed.clone() {
            return Err(Fault(why));
        }
        (kernel.counters, kernel.panics) = (Counters::default(), false);
        Ok(Box::new(self.clone()))
    }
}

/// A capturer over a made-up ring, with a clock that goes as the test says.
pub(crate) struct Bench {
    pub(crate) fake: Fake,
    pub(crate) cell: Arc<Cell>,
    pub(crate) queue: Receiver<Parcel>,
    pub(crate) stop: Arc<AtomicBool>,
    pub(crate) capturer: Capturer,
    pub(crate) since_start: Duration,
    pub(crate) wall: i64,
}

impl Bench {
    /// With so many blocks.
    pub(crate) fn new(shells: usize) -> Self {
        let fake = Fake::new();
        let cell = Arc::new(Cell::new((0..shells).map(|_| Shell::new(4096)).collect()));
        let (sender, queue) = crossbeam_channel::bounded(shells);
        let stop = Arc::new(AtomicBool::new(false));
        let filler = Filler::new(0, 0, 4096, Arc::clone(&cell), sender);
        let capturer = Capturer::new(
            Some(Box::new(fake.clone())),
            Box::new(fake.clone()),
            filler,
            Arc::clone(&cell),
            Arc::clone(&stop),
            TIMEOUT,
        );
        Self { fake, cell, queue, stop, capturer, since_start: Duration::ZERO, wall: 1_000_000_000_000 }
    }

    pub(crate) fn step(&mut self) -> Next {
        self.capturer.step(Now { since_start: self.since_start, wall: Timestamp(self.wall) })
    }

    /// Time goes by, on both clocks.
    pub(crate) fn pass(&mut self, millis: u32) {
        self.since_start += Duration::from_millis(millis.into());
        self.wall += i64::from(millis) * 1_000_000;
    }

    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Release);
    }

    /// Takes what was handed over off the queue, gives the memory back, and counts the frames.
    pub(crate) fn collect(&self) -> u64 {
        let mut frames = 0;
        for parcel in self.queue.try_iter() {
            frames += parcel.contents.frames.len() as u64;
            self.cell.give_back(Shell::reclaim(parcel.contents).unwrap());
        }
        frames
    }
}
