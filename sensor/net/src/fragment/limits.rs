//! Every limit of fragment reassembly, and what it counts.

use std::time::Duration;

/// Limits of [`Fragments`](super::Fragments); there is one for the whole sensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FragmentLimits {
    /// Most bytes held, bookkeeping included. Over it, the datagram that began first is given up.
    pub bytes: usize,
    /// How long a datagram may wait for its fragments, from the first to come (RFC 8200 §4.5 says 60 seconds).
    pub age: Duration,
}

impl Default for FragmentLimits {
    fn default() -> Self {
        Self { bytes: 8 << 20, age: Duration::from_mins(1) }
    }
}

/// Why a fragment is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lost {
    /// Its datagram never became whole.
    Incomplete,
    /// It contradicts itself or others: no bytes, an odd length in the middle, beyond the end, beyond 64 KiB.
    Bad,
    /// It belongs to an IPv6 datagram with overlapping fragments.
    Overlap,
}

/// Counters since the beginning. They only grow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FragmentStats {
    /// Fragments taken.
    pub fragments: u64,
    /// Datagrams put together.
    pub datagrams: u64,
    /// Of these, such whose fragments claimed the same bytes with different content.
    pub conflicts: u64,
    /// IPv6 datagrams thrown away for overlapping fragments.
    pub overlapping: u64,
    /// Datagrams given up over [`FragmentLimits::age`].
    pub timed_out: u64,
    /// Datagrams given up over [`FragmentLimits::bytes`].
    pub evicted: u64,
    /// Frames whose fragment came before, of a datagram that was whole by then.
    pub repeated: u64,
    dropped: [(u64, u64); 3],
}

impl FragmentStats {
    /// Frames dropped and their captured bytes, by reason; reasons are metric labels and never renamed.
    pub fn dropped(&self) -> impl Iterator<Item = (&'static str, u64, u64)> {
        let reasons = ["fragment", "fragment_bad", "fragment_overlap"];
        reasons.into_iter().zip(self.dropped).map(|(why, (frames, bytes))| (why, frames, bytes))
    }

    pub(super) const fn lose(&mut self, why: Lost, frames: u64, bytes: u64) {
        let [incomplete, bad, overlap] = &mut self.dropped;
        let count = match why {
            Lost::Incomplete => incomplete,
            Lost::Bad => bad,
            Lost::Overlap => overlap,
        };
        count.0 += frames;
        count.1 += bytes;
    }
}

/// Nanoseconds as timestamps count them, saturating.
pub(super) fn nanos(d: Duration) -> i64 {
    i64::try_from(d.as_nanos()).unwrap_or(i64::MAX)
}
