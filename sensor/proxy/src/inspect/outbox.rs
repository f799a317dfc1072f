//! The way of observations to the serial stage. Most may be lost when it is busy, and are counted then; what tells
//! of something that was stopped is not.

use crate::thread::{Shared, Thread};
use detect::Observation;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::sync::atomic::Ordering;

/// Most observations of one thread that wait for room. Each tells of something that was stopped.
const MAX_WAITING: usize = 4096;

/// Observations that must not be lost and found no room, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    waiting: RefCell<VecDeque<Observation>>,
    /// Some wait; asked before each request, so it is no borrow.
    any: Cell<bool>,
}

impl Outbox {
    /// Tries again to hand over what waits. To be called now and then, and when the thread ends.
    pub(crate) fn flush(&self, shared: &Shared) {
        if !self.any.get() {
            return;
        }
        let mut waiting = self.waiting.borrow_mut();
        while let Some(observation) = waiting.pop_front() {
            if let Err(back) = shared.reporter.report(observation) {
                waiting.push_front(*back);
                break;
            }
        }
        self.any.set(!waiting.is_empty());
    }

    /// Keeps what found no room, up to [`MAX_WAITING`].
    fn keep(&self, shared: &Shared, observation: Observation) {
        let mut waiting = self.waiting.borrow_mut();
        if waiting.len() < MAX_WAITING {
            waiting.push_back(observation);
            self.any.set(true);
        } else {
            shared.counters.count("limit", "records_waiting");
            shared.counters.observations_dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Observations that wait.
    #[cfg(test)]
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.borrow().len()
    }
}

/// Hands an observation to the serial stage; `surely` even when that is busy.
pub(super) fn report(thread: &Thread, observation: Observation, surely: bool) {
    let Thread { shared, outbox, .. } = thread;
    outbox.flush(shared);
    if surely && outbox.any.get() {
        // Behind those that came before it.
        outbox.keep(shared, observation);
    } else if let Err(back) = shared.reporter.report(observation) {
        if surely {
            outbox.keep(shared, *back);
        } else {
            shared.counters.observations_dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}
