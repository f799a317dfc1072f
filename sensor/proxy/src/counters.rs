//! What is counted.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// What is counted, by all threads.
#[derive(Debug, Default)]
pub struct Counters {
    pub(crate) connections: AtomicU64,
    pub(crate) active: AtomicU64,
    pub(crate) held_bytes: AtomicU64,
    pub(crate) observations_dropped: AtomicU64,
    words: Mutex<BTreeMap<(&'static str, &'static str), u64>>,
    inspected: Mutex<detect::Stats>,
}

/// Totals at one moment.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    /// Connections of clients, in all.
    pub connections: u64,
    /// Connections of clients now.
    pub active: u64,
    /// Bytes held for a verdict now.
    pub held_bytes: u64,
    /// Observations for which the queue to the serial stage had no room.
    pub observations_dropped: u64,
    /// By family (`requests`, `tls_client`, `tls_origin`, `refused`, `tunnelled`, `limit`, `actions`) and word.
    pub words: BTreeMap<(&'static str, &'static str), u64>,
    /// Of inspection.
    pub inspected: detect::Stats,
}

impl Counters {
    /// Counts one `word` of `family`; both are from closed lists.
    pub(crate) fn count(&self, family: &'static str, word: &'static str) {
        let mut words = self.words.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        *words.entry((family, word)).or_default() += 1;
    }

    /// Adds what a thread counted while it inspected.
    pub(crate) fn inspected(&self, stats: &detect::Stats) {
        self.inspected.lock().unwrap_or_else(std::sync::PoisonError::into_inner).add(stats);
    }

    /// Totals so far.
    pub fn totals(&self) -> Totals {
        Totals {
            connections: self.connections.load(Ordering::Relaxed),
            active: self.active.load(Ordering::Relaxed),
            held_bytes: self.held_bytes.load(Ordering::Relaxed),
            observations_dropped: self.observations_dropped.load(Ordering::Relaxed),
            words: self.words.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone(),
            inspected: self.inspected.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone(),
        }
    }
}
