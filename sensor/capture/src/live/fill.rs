//! Copies frames into blocks and hands them over, or drops and counts them. Never waits.

use super::block::{Filling, Parcel, Shell};
use super::cell::{Cell, Counts};
use super::ring::Seen;
use crate::FrameRef;
use crossbeam_channel::{Sender, TrySendError};
use net::{LinkType, Place, Timestamp};
use std::sync::Arc;
use std::time::Duration;

/// A block is handed over at this age, full or not.
pub(crate) const MAX_AGE: Duration = Duration::from_millis(50);

/// Where the frames of one ring go.
#[derive(Debug)]
pub(crate) struct Filler {
    ring: usize,
    file: u16,
    cell: Arc<Cell>,
    queue: Sender<Parcel>,
    filling: Option<Filling>,
    /// Bytes of a block.
    longest: usize,
    /// Frames to drop before memory is asked for again.
    starved: u32,
    /// Frames handed over.
    handed_over: u64,
    pub(crate) counts: Counts,
}

impl Filler {
    /// Where there is no memory, a look for some is worth it once in so many frames.
    const STARVED: u32 = 64;

    /// For blocks of so many bytes.
    pub(crate) fn new(ring: usize, file: u16, longest: usize, cell: Arc<Cell>, queue: Sender<Parcel>) -> Self {
        Self { ring, file, cell, queue, filling: None, longest, starved: 0, handed_over: 0, counts: Counts::default() }
    }

    /// Takes a frame off the ring.
    #[inline]
    pub(crate) fn take(&mut self, seen: Seen<'_>, link: LinkType, now: Duration) {
        // Blocks are as long as the longest frame, so this cuts nothing that the ring has not cut.
        let data = seen.data.get(..self.longest).unwrap_or(seen.data);
        self.counts.read += 1;
        self.counts.read_bytes += data.len() as u64;
        let entry = FrameRef {
            place: Place { number: 0, file: self.file, in_file: 0 },
            ts: seen.ts,
            link,
            block: 0,
            start: 0,
            len: 0,
            wire_len: seen.wire_len,
        };
        let stored = match &mut self.filling {
            Some(filling) => filling.push(data, entry, now) || self.store_elsewhere(data, entry, now),
            None => self.store_elsewhere(data, entry, now),
        };
        if !stored {
            self.counts.queue_dropped += 1;
            self.counts.queue_dropped_bytes += data.len() as u64;
        } else if (data.len() as u64) < u64::from(seen.wire_len) {
            self.counts.cut += 1;
        }
    }

    #[cold]
    fn store_elsewhere(&mut self, data: &[u8], entry: FrameRef, now: Duration) -> bool {
        self.hand_over();
        if let Some(left) = self.starved.checked_sub(1) {
            self.starved = left;
            return false;
        }
        self.filling = self.cell.take_empty().and_then(Shell::open);
        let Some(filling) = &mut self.filling else {
            self.starved = Self::STARVED;
            return false;
        };
        filling.push(data, entry, now)
    }

    /// Looks at the clock: hands over what is old, and says until when everything was handed over, where `seen_until`
    /// is until when everything was read.
    pub(crate) fn tick(&mut self, now: Duration, seen_until: Option<Timestamp>) {
        self.starved = 0;
        if self.filling.as_ref().is_some_and(|f| !f.is_empty() && now.saturating_sub(f.began) >= MAX_AGE) {
            self.hand_over();
        }
        let held = self.filling.as_ref().filter(|f| !f.is_empty()).map(|f| f.first);
        if let Some(until) = held.or(seen_until) {
            self.cell.tell_until(until);
        }
        self.publish(now);
    }

    /// When the block in hand will be too old.
    pub(crate) fn due(&self) -> Option<Duration> {
        self.filling.as_ref().filter(|f| !f.is_empty()).map(|f| f.began + MAX_AGE)
    }

    pub(crate) fn publish(&self, now: Duration) {
        self.cell.publish(&self.counts);
        self.cell.beat(now);
    }

    /// Hands over the block in hand, if there is anything in it.
    pub(crate) fn hand_over(&mut self) {
        let Some(filling) = self.filling.take() else { return };
        if filling.is_empty() {
            self.filling = Some(filling);
            return;
        }
        let (frames, bytes, latest) = (filling.frames() as u64, filling.bytes() as u64, filling.latest);
        // First, so that nobody gets more than is said to be read.
        self.cell.publish(&self.counts);
        let parcel = Parcel { ring: self.ring, contents: filling.close(), latest };
        // There is room for every block there is, so this does not fail while anybody reads.
        if let Err(TrySendError::Full(parcel) | TrySendError::Disconnected(parcel)) = self.queue.try_send(parcel) {
            self.counts.queue_dropped += frames;
            self.counts.queue_dropped_bytes += bytes;
            if let Ok(shell) = Shell::reclaim(parcel.contents) {
                self.cell.give_back(shell);
            }
        } else {
            self.handed_over += frames;
        }
    }

    /// After a failure: what was read, and then lost on its way into a block, was dropped.
    pub(crate) fn settle(&mut self) {
        let held = self.filling.as_ref().map_or(0, |filling| filling.frames() as u64);
        let known = self.handed_over + held + self.counts.queue_dropped;
        self.counts.queue_dropped += self.counts.read.saturating_sub(known);
    }
}
