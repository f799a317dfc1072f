//! What is counted.

use http::StatusCode;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

/// Kinds of words that are counted without a lock; they come from closed lists, which together are far shorter.
const SLOTS: usize = 1024;
/// First status code of [`Counters::answered`] and the number of them (RFC 9110 section 15).
const CODES: std::ops::Range<u16> = 100..600;

/// Upper bounds of the buckets of [`Latency`], in microseconds; what is longer is in one more bucket.
pub const LATENCY_BOUNDS_US: [u64; 12] = [10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 100_000];

/// One word of one family, and how often it came.
#[derive(Debug, Default)]
struct Slot {
    word: OnceLock<(&'static str, &'static str)>,
    count: AtomicU64,
}

/// What is counted, by all threads.
#[derive(Debug)]
pub struct Counters {
    pub(crate) connections: AtomicU64,
    pub(crate) active: AtomicU64,
    pub(crate) held_bytes: AtomicU64,
    pub(crate) observations_dropped: AtomicU64,
    /// Open addressing by the addresses of both texts; a slot is never given up.
    words: Box<[Slot]>,
    codes: Box<[AtomicU64]>,
    latency: [AtomicU64; LATENCY_BOUNDS_US.len() + 1],
    latency_ns: AtomicU64,
    inspected: Mutex<detect::Stats>,
}

/// How long requests and answers stayed in the proxy, without waiting for either side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Latency {
    /// Requests by [`LATENCY_BOUNDS_US`]; not cumulative.
    pub buckets: [u64; LATENCY_BOUNDS_US.len() + 1],
    /// Nanoseconds in all.
    pub sum_ns: u64,
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
    /// What the proxy added to requests.
    pub latency: Latency,
    /// Of inspection.
    pub inspected: detect::Stats,
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            connections: AtomicU64::default(),
            active: AtomicU64::default(),
            held_bytes: AtomicU64::default(),
            observations_dropped: AtomicU64::default(),
            words: (0..SLOTS).map(|_| Slot::default()).collect(),
            codes: CODES.map(|_| AtomicU64::default()).collect(),
            latency: std::array::from_fn(|_| AtomicU64::default()),
            latency_ns: AtomicU64::default(),
            inspected: Mutex::default(),
        }
    }
}

impl Counters {
    /// Counts one `word` of `family`; both are from closed lists. No lock is taken.
    pub(crate) fn count(&self, family: &'static str, word: &'static str) {
        self.add(family, word, 1);
    }

    /// Counts `n` of a `word` of `family`, as [`Self::count`] does.
    pub(crate) fn add(&self, family: &'static str, word: &'static str, n: u64) {
        // The same text may stand at several addresses: then it has several slots, which `totals` adds up.
        let key = (family.as_ptr() as usize).rotate_left(20) ^ word.as_ptr() as usize ^ word.len();
        let from = key.wrapping_mul(0x9E37_79B9_7F4A_7C15_usize) >> (usize::BITS / 2);
        for slot in self.words.iter().cycle().skip(from % SLOTS).take(SLOTS) {
            let (f, w) = *slot.word.get_or_init(|| (family, word));
            if std::ptr::eq(f, family) && std::ptr::eq(w, word) {
                slot.count.fetch_add(n, Relaxed);
                return;
            }
        }
    }

    /// Counts an answer, of an origin or our own, in family `requests`.
    pub(crate) fn answered(&self, status: StatusCode) {
        if let Some(code) = self.codes.get(usize::from(status.as_u16().saturating_sub(CODES.start))) {
            code.fetch_add(1, Relaxed);
        }
    }

    /// Records what was added to one request with its answer.
    pub(crate) fn added(&self, latency: Duration) {
        let ns = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
        let bucket = LATENCY_BOUNDS_US.partition_point(|&bound| bound.saturating_mul(1000) < ns);
        if let Some(bucket) = self.latency.get(bucket) {
            bucket.fetch_add(1, Relaxed);
        }
        self.latency_ns.fetch_add(ns, Relaxed);
    }

    /// Adds what a thread counted while it inspected.
    pub(crate) fn inspected(&self, stats: &detect::Stats) {
        self.inspected.lock().unwrap_or_else(PoisonError::into_inner).add(stats);
    }

    /// Totals so far.
    pub fn totals(&self) -> Totals {
        let mut words = BTreeMap::new();
        for slot in &self.words {
            if let Some(&word) = slot.word.get() {
                *words.entry(word).or_default() += slot.count.load(Relaxed);
            }
        }
        for (code, count) in CODES.zip(&self.codes) {
            let count = count.load(Relaxed);
            if count > 0 {
                *words.entry(("requests", code_text(code))).or_default() += count;
            }
        }
        let mut latency = Latency { sum_ns: self.latency_ns.load(Relaxed), ..Latency::default() };
        for (to, from) in latency.buckets.iter_mut().zip(&self.latency) {
            *to = from.load(Relaxed);
        }
        Totals {
            connections: self.connections.load(Relaxed),
            active: self.active.load(Relaxed),
            held_bytes: self.held_bytes.load(Relaxed),
            observations_dropped: self.observations_dropped.load(Relaxed),
            words,
            latency,
            inspected: self.inspected.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }
}

/// A status code as text.
fn code_text(code: u16) -> &'static str {
    /// `100101102...`
    static TEXTS: [u8; 1500] = {
        let mut texts = [0; 1500];
        let mut at = 0;
        while at < texts.len() {
            #[allow(clippy::cast_possible_truncation, clippy::indexing_slicing, reason = "digits, at compile time")]
            {
                let code = at / 3 + 100;
                texts[at] = b'0' + (code / 100) as u8;
                texts[at + 1] = b'0' + (code / 10 % 10) as u8;
                texts[at + 2] = b'0' + (code % 10) as u8;
            }
            at += 3;
        }
        texts
    };
    let at = usize::from(code.saturating_sub(CODES.start)) * 3;
    TEXTS.get(at..at + 3).and_then(|text| std::str::from_utf8(text).ok()).unwrap_or("other")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_codes_and_latency_add_up() {
        let counters = Counters::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..1000 {
                        counters.count("limit", "hold_bytes");
                        counters.count("limit", "hold_idle");
                        counters.answered(StatusCode::OK);
                        counters.added(Duration::from_micros(30));
                    }
                });
            }
        });
        counters.answered(StatusCode::from_u16(999).unwrap());
        counters.added(Duration::from_secs(1));
        let totals = counters.totals();
        assert_eq!(totals.words.get(&("limit", "hold_bytes")), Some(&4000));
        assert_eq!(totals.words.get(&("limit", "hold_idle")), Some(&4000));
        assert_eq!(totals.words.get(&("requests", "200")), Some(&4000));
        assert_eq!(totals.words.len(), 3);
        assert_eq!((totals.latency.buckets[2], totals.latency.buckets[12]), (4000, 1));
        assert_eq!(totals.latency.sum_ns, 4000 * 30_000 + 1_000_000_000);
    }

    #[test]
    fn every_code_has_its_text() {
        for code in CODES {
            assert_eq!(code_text(code), code.to_string());
        }
    }
}
