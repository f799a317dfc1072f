//! The handle on a run from outside: other rules, an end, and how it fares.

use crate::{Feed, Outside, Snapshot};
use correlate::record::NoticeCode;
use detect::Generation;
use net::Timestamp;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Notices from outside that may wait; more are dropped, for they only say again what those said.
const MAX_NOTICES: usize = 64;

/// The handle on one run. Clones are the same handle; to be used from any thread.
#[derive(Clone)]
pub struct Control {
    shared: Arc<Shared>,
}

struct Shared {
    /// To be in force from the next batch on.
    generation: Mutex<Option<Arc<Generation>>>,
    notices: Mutex<Vec<(NoticeCode, String)>>,
    stopped: AtomicBool,
    snapshot: Mutex<Arc<Snapshot>>,
    /// Milliseconds from `started` to the last sign of life, by worker.
    beats: Mutex<Arc<[AtomicU64]>>,
    /// Time up to which live traffic has gone through the serial stage; the smallest while there is none.
    merged: AtomicI64,
    feed: Feed,
    outside: Mutex<Option<Arc<dyn Fn() -> Outside + Send + Sync>>>,
    started: Instant,
}

impl Default for Control {
    fn default() -> Self {
        Self {
            shared: Arc::new(Shared {
                generation: Mutex::default(),
                notices: Mutex::default(),
                stopped: AtomicBool::new(false),
                snapshot: Mutex::default(),
                beats: Mutex::new(Arc::new([])),
                merged: AtomicI64::new(i64::MIN),
                feed: Feed::default(),
                outside: Mutex::default(),
                started: clock(),
            }),
        }
    }
}

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Control").field("stopped", &self.is_stopped()).finish_non_exhaustive()
    }
}

impl Control {
    /// Puts other rules and scope in force, from the next batch of packets on and for all workers at the same packet.
    /// Exchanges under way keep theirs. What was set before and is not in force yet never will be.
    pub fn set_generation(&self, generation: Arc<Generation>) {
        *lock(&self.shared.generation) = Some(generation);
    }

    /// Writes a notice of something outside of the traffic, such as a reload that failed, soon.
    pub fn notice(&self, code: NoticeCode, message: String) {
        let mut notices = lock(&self.shared.notices);
        if notices.len() < MAX_NOTICES {
            notices.push((code, message));
        }
    }

    /// The way of observations from beside the packets into the run. What is given before the first packet or the first
    /// tick of time waits for it.
    pub fn feed(&self) -> Feed {
        self.shared.feed.clone()
    }

    /// Names what is counted beside the packets: `outside` is asked whenever totals are made, once a second.
    pub fn set_outside(&self, outside: impl Fn() -> Outside + Send + Sync + 'static) {
        *lock(&self.shared.outside) = Some(Arc::new(outside));
    }

    /// Asks the run to end: what was captured by now is worked on, for some seconds at most, and the last records are
    /// written. Of files the rest is not read.
    pub fn stop(&self) {
        self.shared.stopped.store(true, Ordering::Release);
    }

    /// The last one that was published: once a second while live, and at the end of any run.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&lock(&self.shared.snapshot))
    }

    /// How long ago each worker last gave a sign of life; empty before the start. A worker that is well gives one
    /// several times a second, also when there is nothing to do.
    pub fn alive(&self) -> Vec<Duration> {
        let now = self.elapsed();
        let beats = Arc::clone(&lock(&self.shared.beats));
        beats.iter().map(|beat| Duration::from_millis(now.saturating_sub(beat.load(Ordering::Relaxed)))).collect()
    }

    /// How far what is written is behind the wire; `None` before the first packet and where files are read. Grows while
    /// nothing goes on.
    pub fn lag(&self) -> Option<Duration> {
        let merged = self.shared.merged.load(Ordering::Relaxed);
        let now = now().0;
        (merged != i64::MIN).then(|| Duration::from_nanos(u64::try_from(now.saturating_sub(merged)).unwrap_or(0)))
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.shared.stopped.load(Ordering::Acquire)
    }

    pub(crate) fn take_generation(&self) -> Option<Arc<Generation>> {
        lock(&self.shared.generation).take()
    }

    pub(crate) fn take_notices(&self) -> Vec<(NoticeCode, String)> {
        std::mem::take(&mut *lock(&self.shared.notices))
    }

    /// What was counted beside the packets, so far.
    pub(crate) fn outside(&self) -> Outside {
        let outside = lock(&self.shared.outside).clone();
        outside.map(|outside| outside()).unwrap_or_default()
    }

    pub(crate) fn publish(&self, snapshot: Snapshot) {
        *lock(&self.shared.snapshot) = Arc::new(snapshot);
    }

    /// Live traffic before `ts` has gone through the serial stage.
    pub(crate) fn set_merged(&self, ts: Timestamp) {
        self.shared.merged.store(ts.0, Ordering::Relaxed);
    }

    /// A run with so many workers begins; gives what worker `index` shows that it is alive with.
    pub(crate) fn begin(&self, workers: usize) {
        let now = self.elapsed();
        *lock(&self.shared.beats) = (0..workers).map(|_| AtomicU64::new(now)).collect();
    }

    /// What worker `index` shows that it is alive with.
    pub(crate) fn pulse(&self, index: usize) -> Pulse {
        Pulse { control: self.clone(), beats: Arc::clone(&lock(&self.shared.beats)), index }
    }

    fn elapsed(&self) -> u64 {
        u64::try_from(clock().saturating_duration_since(self.shared.started).as_millis()).unwrap_or(u64::MAX)
    }
}

/// Shows that a worker is alive.
pub(crate) struct Pulse {
    control: Control,
    beats: Arc<[AtomicU64]>,
    index: usize,
}

impl Pulse {
    pub(crate) fn beat(&self) {
        if let Some(beat) = self.beats.get(self.index) {
            beat.store(self.control.elapsed(), Ordering::Relaxed);
        }
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// For how long something takes.
#[expect(clippy::disallowed_methods, reason = "whether a thread is alive is no matter of packet time")]
pub(crate) fn clock() -> Instant {
    Instant::now()
}

/// For how far the wire is ahead.
#[expect(clippy::disallowed_methods, reason = "how far behind the sensor is shows only by a clock")]
fn now() -> Timestamp {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(now.as_nanos()).unwrap_or(i64::MAX))
}
