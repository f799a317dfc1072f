//! An allocator that counts what the calling thread does, and takes samples of who called.
#![allow(unsafe_code, reason = "a global allocator cannot be had without it; it only passes on to the system's")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::backtrace::Backtrace;
use std::cell::{Cell, RefCell};

/// What one thread has allocated so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Calls that gave memory, growing included.
    pub(crate) allocations: u64,
    /// Bytes they gave, by growing only what was added.
    pub(crate) bytes: u64,
    /// Bytes allocated less bytes freed.
    pub(crate) live: i64,
}

impl Counts {
    /// What came since `before`.
    pub(crate) const fn since(self, before: Self) -> Self {
        Self {
            allocations: self.allocations - before.allocations,
            bytes: self.bytes - before.bytes,
            live: self.live - before.live,
        }
    }
}

thread_local! {
    static COUNTS: Cell<Counts> = const { Cell::new(Counts { allocations: 0, bytes: 0, live: 0 }) };
    /// One allocation in so many is sampled; 0 for none.
    static EVERY: Cell<u32> = const { Cell::new(0) };
    /// How many come before the next sample, and what the steps between samples are drawn from: even steps would
    /// march with the traffic.
    static STEP: Cell<(u32, u32)> = const { Cell::new((0, 1)) };
    static SAMPLES: RefCell<Vec<Backtrace>> = const { RefCell::new(Vec::new()) };
}

/// What this thread has allocated so far.
pub(crate) fn now() -> Counts {
    COUNTS.get()
}

/// From here on one in `every` allocations of this thread is sampled, at uneven steps; 0 for none.
pub(crate) fn sample(every: u32) {
    EVERY.set(every);
}

/// The samples so far.
pub(crate) fn take_samples() -> Vec<Backtrace> {
    EVERY.set(0);
    SAMPLES.take()
}

/// The system's allocator, with counters of its own for each thread.
pub(crate) struct Counting;

/// Threads that end free memory after their counters are gone; that is not counted.
fn count(allocated: usize, freed: usize) {
    let _ = COUNTS.try_with(|cell| {
        let mut counts = cell.get();
        counts.allocations += u64::from(allocated > 0);
        counts.bytes += allocated.saturating_sub(freed) as u64;
        counts.live += i64::try_from(allocated).unwrap_or(0) - i64::try_from(freed).unwrap_or(0);
        cell.set(counts);
    });
    let every = EVERY.try_with(Cell::get).unwrap_or(0);
    if allocated > 0 && every > 0 {
        let (left, seed) = STEP.get();
        if left > 1 {
            return STEP.set((left - 1, seed));
        }
        let seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        STEP.set((1 + (seed >> 8) % (2 * every - 1), seed));
        look(every);
    }
}

/// Takes a sample, and leaves the counters as they were.
fn look(every: u32) {
    EVERY.set(0);
    let counts = COUNTS.get();
    let sample = Backtrace::force_capture();
    SAMPLES.with_borrow_mut(|samples| samples.push(sample));
    COUNTS.set(counts);
    EVERY.set(every);
}

// SAFETY: every call goes to the system's allocator with the arguments it came with; nothing else touches the memory.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 0);
        // SAFETY: the caller keeps the contract of `alloc`, which is the system's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 0);
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        count(0, layout.size());
        // SAFETY: `memory` came from the system's allocator with this layout, since all of ours does.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size, layout.size());
        // SAFETY: as above.
        unsafe { System.realloc(memory, layout, size) }
    }
}
