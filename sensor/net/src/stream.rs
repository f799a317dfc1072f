//! The bounded store of one direction: what came before its turn, and what is known about the hole before it.

use crate::{Place, Timestamp};
use std::collections::BTreeMap;

/// What one held segment is charged beside its bytes: its share of a map node and of the allocator.
const SEGMENT_CHARGE: usize = 192;

/// Where a frame stands and when it came.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stamp {
    pub(crate) ts: Timestamp,
    pub(crate) place: Place,
}

/// One piece that waits.
#[derive(Debug)]
pub(crate) struct Held {
    /// Captured bytes; may be fewer than `len` where the snaplen cut.
    pub(crate) bytes: Box<[u8]>,
    /// Bytes on the wire.
    pub(crate) len: u64,
    pub(crate) stamp: Stamp,
}

/// How far the receiver says it has got, beyond what we have seen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Acked {
    /// Position of the first byte not acknowledged.
    pub(crate) to: u64,
    /// The packet that first showed a hole as acknowledged.
    pub(crate) stamp: Stamp,
    /// Packets of the flow up to then.
    pub(crate) packets: u32,
}

/// A segment by position: `bytes` is what was captured of its `len` bytes.
#[derive(Clone, Copy)]
pub(crate) struct Chunk<'b> {
    pub(crate) start: u64,
    pub(crate) bytes: &'b [u8],
    pub(crate) len: u64,
    pub(crate) stamp: Stamp,
}

impl Chunk<'_> {
    pub(crate) const fn end(&self) -> u64 {
        self.start + self.len
    }

    /// Without what lies before `pos`.
    pub(crate) fn from(self, pos: u64) -> Self {
        let skip = pos.saturating_sub(self.start).min(self.len);
        Self { start: self.start + skip, bytes: slice(self.bytes, skip, self.len), len: self.len - skip, ..self }
    }

    /// Without what lies at or behind `pos`.
    pub(crate) fn until(self, pos: u64) -> Self {
        let len = pos.saturating_sub(self.start).min(self.len);
        Self { bytes: slice(self.bytes, 0, len), len, ..self }
    }
}

/// The captured part of `from..to`.
fn slice(bytes: &[u8], from: u64, to: u64) -> &[u8] {
    let at = |n: u64| usize::try_from(n).unwrap_or(usize::MAX).min(bytes.len());
    bytes.get(at(from)..at(to)).unwrap_or_default()
}

/// Positions count from where the store was made: sequence numbers without the wrap.
#[derive(Debug, Default)]
pub(crate) struct Store {
    /// Position of the next byte to deliver.
    pub(crate) pos: u64,
    /// INVARIANT: no two overlap, none begins before `pos`.
    held: BTreeMap<u64, Held>,
    /// Bytes charged for `held`.
    charged: usize,
    /// Set while the receiver has acknowledged more than we have delivered.
    pub(crate) acked: Option<Acked>,
    /// A FIN that came before its turn. Believed only when the stream gets exactly there.
    pub(crate) fin: Option<(u64, Stamp)>,
}

impl Store {
    pub(crate) const fn charged(&self) -> usize {
        self.charged
    }

    /// Position and stamp of the first held byte.
    pub(crate) fn first(&self) -> Option<(u64, Stamp)> {
        self.held.first_key_value().map(|(at, held)| (*at, held.stamp))
    }

    /// Bytes held, as on the wire.
    pub(crate) fn held_len(&self) -> u64 {
        self.held.values().map(|held| held.len).sum()
    }

    /// Nothing held, nothing known: the store can go.
    pub(crate) fn is_idle(&self) -> bool {
        self.held.is_empty() && self.acked.is_none() && self.fin.is_none()
    }

    /// Takes out the first held piece if it is next in order.
    pub(crate) fn pop_due(&mut self) -> Option<Held> {
        let entry = self.held.first_entry().filter(|e| *e.key() <= self.pos)?;
        let held = entry.remove();
        self.charged = self.charged.saturating_sub(SEGMENT_CHARGE + held.bytes.len());
        Some(held)
    }

    /// Moves on by `n` delivered (or lost) bytes.
    pub(crate) fn advance(&mut self, n: u64) {
        self.pos += n;
        if self.acked.is_some_and(|a| a.to <= self.pos) {
            self.acked = None;
        }
        if self.fin.is_some_and(|(at, _)| at < self.pos) {
            self.fin = None;
        }
    }

    /// The FIN, once its turn has come.
    pub(crate) fn take_due_fin(&mut self) -> Option<Stamp> {
        self.fin.take_if(|(at, _)| *at == self.pos).map(|(_, stamp)| stamp)
    }

    /// How many bytes of `chunk` are held already, and whether any of them differ.
    pub(crate) fn compare(&self, chunk: Chunk<'_>) -> (u64, bool) {
        let (mut same, mut conflict) = (0, false);
        let before = self.held.range(..=chunk.start).next_back();
        let within = self.held.range(chunk.start..chunk.end()).filter(|(at, _)| **at != chunk.start);
        for (at, held) in before.into_iter().chain(within) {
            let theirs = Chunk { start: *at, bytes: &held.bytes, len: held.len, stamp: held.stamp };
            let theirs = theirs.from(chunk.start).until(chunk.end());
            if theirs.len > 0 {
                same += theirs.len;
                let ours = chunk.from(theirs.start);
                conflict |= ours.bytes.iter().zip(theirs.bytes).any(|(a, b)| a != b);
            }
        }
        (same, conflict)
    }

    /// Holds those bytes of `chunk` that are not held yet, as long as they fit in `room` bytes. The first copy wins.
    ///
    /// Returns the position from which nothing was taken in for want of room, and by how much the charge grew.
    pub(crate) fn insert(&mut self, chunk: Chunk<'_>, mut room: usize) -> (Option<u64>, usize) {
        let before = self.charged;
        let mut at = chunk.start;
        while at < chunk.end() {
            if let Some((start, held)) = self.held.range(..=at).next_back()
                && start + held.len > at
            {
                at = start + held.len;
                continue;
            }
            let until = self.held.range(at..).next().map_or(chunk.end(), |(next, _)| chunk.end().min(*next));
            let part = chunk.from(at).until(until);
            let charge = SEGMENT_CHARGE + part.bytes.len();
            if charge > room {
                return (Some(at), self.charged - before);
            }
            room -= charge;
            self.charged += charge;
            self.held.insert(at, Held { bytes: part.bytes.into(), len: part.len, stamp: part.stamp });
            at = until;
        }
        (None, self.charged - before)
    }
}
