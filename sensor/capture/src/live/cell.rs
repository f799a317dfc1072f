//! What a capture thread shares with the rest: its counters, its clock, and the memory that comes back.

use super::block::Shell;
use net::Timestamp;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Plain counters of a capture thread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) read: u64,
    pub(crate) read_bytes: u64,
    pub(crate) queue_dropped: u64,
    pub(crate) queue_dropped_bytes: u64,
    pub(crate) cut: u64,
    pub(crate) unread: u64,
    pub(crate) kernel_received: u64,
    pub(crate) kernel_dropped: u64,
    pub(crate) interface_dropped: u64,
    pub(crate) opened: u64,
    pub(crate) closed: u64,
    pub(crate) panics: u64,
}

macro_rules! shared {
    ($($field:ident)*) => {
        /// The same, as last published.
        #[derive(Debug, Default)]
        struct Published { $($field: AtomicU64,)* }

        impl Published {
            fn store(&self, counts: &Counts) {
                $(self.$field.store(counts.$field, Ordering::Release);)*
            }

            fn load(&self) -> Counts {
                Counts { $($field: self.$field.load(Ordering::Acquire),)* }
            }
        }
    };
}

// In this order they are written and read: who reads `read` after `queue_dropped` never finds it the smaller.
shared! {
    queue_dropped queue_dropped_bytes unread read read_bytes cut kernel_received kernel_dropped interface_dropped
    opened closed panics
}

/// Shared between one capture thread and who reads the batches.
#[derive(Debug, Default)]
pub(crate) struct Cell {
    published: Published,
    /// Nanoseconds since the epoch up to which everything was handed over.
    until: AtomicI64,
    /// Milliseconds since the start at which the thread was last seen alive.
    beat: AtomicU64,
    up: AtomicBool,
    why: Mutex<String>,
    empties: Mutex<Vec<Shell>>,
}

impl Cell {
    /// Stands for a time that is not known.
    pub(crate) const UNKNOWN: Timestamp = Timestamp(i64::MIN);

    pub(crate) fn new(empties: Vec<Shell>) -> Self {
        let cell = Self { empties: Mutex::new(empties), ..Self::default() };
        cell.tell_until(Self::UNKNOWN);
        cell
    }

    pub(crate) fn publish(&self, counts: &Counts) {
        self.published.store(counts);
    }

    pub(crate) fn counts(&self) -> Counts {
        self.published.load()
    }

    /// To be called after what was captured before that time is in the queue.
    pub(crate) fn tell_until(&self, until: Timestamp) {
        self.until.store(until.0, Ordering::Release);
    }

    /// To be asked before the queue is emptied.
    pub(crate) fn until(&self) -> Timestamp {
        Timestamp(self.until.load(Ordering::Acquire))
    }

    pub(crate) fn beat(&self, since_start: Duration) {
        self.beat.store(u64::try_from(since_start.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub(crate) fn last_beat(&self) -> Duration {
        Duration::from_millis(self.beat.load(Ordering::Relaxed))
    }

    pub(crate) fn is_up(&self) -> bool {
        self.up.load(Ordering::Acquire)
    }

    pub(crate) fn set_up(&self) {
        self.up.store(true, Ordering::Release);
    }

    pub(crate) fn set_down(&self, why: &str) {
        self.say_why(why);
        self.up.store(false, Ordering::Release);
    }

    /// Says why it will be down.
    pub(crate) fn say_why(&self, why: &str) {
        let mut text = lock(&self.why);
        if *text != why {
            why.clone_into(&mut text);
        }
    }

    /// Why it is or was down.
    pub(crate) fn why(&self) -> String {
        lock(&self.why).clone()
    }

    /// Puts memory back.
    pub(crate) fn give_back(&self, shell: Shell) {
        lock(&self.empties).push(shell);
    }

    /// Takes memory: what came back last, since it is still in the processor's cache and the rest may never be touched.
    /// The lock is held for some instructions only, on both sides.
    pub(crate) fn take_empty(&self) -> Option<Shell> {
        lock(&self.empties).pop()
    }

    /// Blocks that nobody uses.
    #[cfg(test)]
    pub(crate) fn empties(&self) -> usize {
        lock(&self.empties).len()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
