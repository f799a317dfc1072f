//! Several rings as one stream in time order.
//!
//! The order within a ring is never changed. Between rings, a frame waits until every ring has either brought a younger
//! one or said that it has read beyond that time; but not for rings that give no sign of life, not for longer than
//! [`MAX_WAIT`], and not once half of a queue is waiting.

use super::block::{BLOCK_FRAMES, Parcel, Shell};
use super::cell::Cell;
use crate::batch::Contents;
use crate::{Batch, FrameRef};
use net::Timestamp;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// Longest time that a frame waits for other rings.
pub(crate) const MAX_WAIT: Duration = Duration::from_secs(1);
/// A ring whose thread gives no sign of life for so long is not waited for.
pub(crate) const MAX_SILENCE: Duration = Duration::from_secs(1);
/// Blocks that a batch takes frames of, at most.
const BATCH_BLOCKS: usize = 64;

/// What a ring says at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    /// What it captured before this time is in the queue.
    Until(Timestamp),
    /// Nothing for too long.
    Silent,
}

/// Blocks of one ring that wait for their turn.
#[derive(Debug, Default)]
struct Stage {
    parcels: VecDeque<Staged>,
    /// Blocks there are for this ring.
    shells: usize,
}

#[derive(Debug)]
struct Staged {
    parcel: Parcel,
    /// First frame that was not handed over.
    at: usize,
    arrived: Duration,
    /// Index of its block in the batch being made.
    slot: Option<u16>,
}

impl Stage {
    fn head(&self) -> Option<&FrameRef> {
        self.parcels.front().and_then(|staged| staged.parcel.contents.frames.get(staged.at))
    }
}

impl Staged {
    /// Index of its block in a batch; `None` where that takes no more.
    fn slot_in(&mut self, batch: &mut Contents) -> Option<u16> {
        if batch.frames.len() >= BLOCK_FRAMES {
            return None;
        }
        if self.slot.is_none() && batch.blocks.len() < BATCH_BLOCKS {
            self.slot = u16::try_from(batch.blocks.len()).ok();
            batch.blocks.extend(self.parcel.contents.blocks.first().map(Arc::clone));
        }
        self.slot
    }
}

/// Merges, numbers, and gets the memory back.
#[derive(Debug)]
pub(crate) struct Merge {
    stages: Vec<Stage>,
    said: Vec<Said>,
    /// Handed over; used again once nobody else holds them.
    lent: Vec<(usize, Arc<Contents>)>,
    /// Index lists of merged batches, which have no block of their own.
    lists: Vec<Arc<Contents>>,
    lent_lists: Vec<Arc<Contents>>,
    /// Frames handed over, in all and by file.
    pub(crate) number: u64,
    pub(crate) in_file: Vec<u64>,
    pub(crate) bytes: u64,
    pub(crate) hurried: u64,
}

impl Merge {
    /// Index lists kept for use again.
    const LISTS: usize = 64;

    /// For rings that have so many blocks each.
    pub(crate) fn new(shells: &[usize], files: usize) -> Self {
        Self {
            stages: shells.iter().map(|&shells| Stage { shells, ..Stage::default() }).collect(),
            said: vec![Said::Until(Cell::UNKNOWN); shells.len()],
            lent: Vec::new(),
            lists: Vec::new(),
            lent_lists: Vec::new(),
            number: 0,
            in_file: vec![0; files],
            bytes: 0,
            hurried: 0,
        }
    }

    /// Notes what a ring says. To be called before the queue is emptied into [`Merge::stage`].
    pub(crate) fn note(&mut self, ring: usize, said: Said) {
        if let Some(place) = self.said.get_mut(ring) {
            *place = said;
        }
    }

    /// Takes a block in.
    pub(crate) fn stage(&mut self, parcel: Parcel, now: Duration) {
        if let Some(stage) = self.stages.get_mut(parcel.ring) {
            stage.parcels.push_back(Staged { parcel, at: 0, arrived: now, slot: None });
        }
    }

    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.stages.iter().all(|stage| stage.parcels.is_empty())
    }

    /// Gives memory that nobody uses any more back to its ring.
    pub(crate) fn reclaim(&mut self, mut give_back: impl FnMut(usize, Shell)) {
        // Index lists first: they hold on to blocks.
        let mut i = 0;
        while let Some(list) = self.lent_lists.get_mut(i) {
            let Some(inner) = Arc::get_mut(list) else {
                i += 1;
                continue;
            };
            inner.blocks.clear();
            inner.frames.clear();
            let list = self.lent_lists.swap_remove(i);
            if self.lists.len() < Self::LISTS {
                self.lists.push(list);
            }
        }
        let mut i = 0;
        while i < self.lent.len() {
            let (ring, contents) = self.lent.swap_remove(i);
            match Shell::reclaim(contents) {
                Ok(shell) => give_back(ring, shell),
                Err(contents) => {
                    self.lent.push((ring, contents));
                    let last = self.lent.len() - 1;
                    self.lent.swap(i, last);
                    i += 1;
                }
            }
        }
    }

    /// The next batch, if there is any frame whose turn has come. `over` hands out everything.
    pub(crate) fn next(&mut self, now: Duration, over: bool) -> Option<Batch> {
        if let [stage] = self.stages.as_mut_slice() {
            let staged = stage.parcels.pop_front()?;
            return Some(self.whole(staged.parcel));
        }
        self.merge(now, over)
    }

    /// A batch without frames, to say what time it is.
    pub(crate) fn nothing(&mut self) -> Batch {
        let list = self.lists.pop().unwrap_or_default();
        self.seal(list)
    }

    /// A batch without frames, where no ring says what time it is.
    pub(crate) fn time(&mut self, until: Timestamp) -> Batch {
        let mut list = self.lists.pop().unwrap_or_default();
        if let Some(inner) = Arc::get_mut(&mut list) {
            inner.until = Some(until);
        }
        self.lent_lists.push(Arc::clone(&list));
        Batch::from(list)
    }

    /// A block as it is.
    fn whole(&mut self, mut parcel: Parcel) -> Batch {
        let until = self.until();
        if let Some(contents) = Arc::get_mut(&mut parcel.contents) {
            for frame in &mut contents.frames {
                Self::number(&mut self.number, &mut self.in_file, frame);
            }
            contents.until = until;
        }
        self.bytes += parcel.contents.bytes;
        self.lent.push((parcel.ring, Arc::clone(&parcel.contents)));
        Batch::from(parcel.contents)
    }

    fn merge(&mut self, now: Duration, over: bool) -> Option<Batch> {
        let mut list: Option<Arc<Contents>> = None;
        let mut limit = if over { None } else { self.limit() };
        while let Some((lead, head, next)) = self.turn() {
            let early = limit.is_some_and(|limit| head > limit);
            if early && !self.presses(now) {
                break;
            }
            // A run of this ring: up to the head of another, and up to the time that is sure.
            let most = limit.filter(|_| !early).map_or(next, |limit| next.min(limit));
            let Some(stage) = self.stages.get_mut(lead) else { break };
            let Some(staged) = stage.parcels.front_mut() else { break };
            if staged.at == 0 && list.is_none() && staged.parcel.latest <= most {
                let Some(staged) = stage.parcels.pop_front() else { break };
                self.hurried += if early { staged.parcel.contents.frames.len() as u64 } else { 0 };
                return Some(self.whole(staged.parcel));
            }
            let target = list.get_or_insert_with(|| self.lists.pop().unwrap_or_default());
            let Some(inner) = Arc::get_mut(target) else { break };
            let Some(slot) = staged.slot_in(inner) else { break };
            let room = BLOCK_FRAMES.saturating_sub(inner.frames.len());
            let frames = &staged.parcel.contents.frames;
            let had = inner.frames.len();
            for (i, frame) in frames.iter().skip(staged.at).take(room).enumerate() {
                // The head goes in any case, so that this comes to an end whatever the times are.
                if frame.ts > most && i > 0 {
                    break;
                }
                let mut frame = FrameRef { block: slot, ..*frame };
                Self::number(&mut self.number, &mut self.in_file, &mut frame);
                inner.bytes += u64::from(frame.len);
                self.bytes += u64::from(frame.len);
                inner.frames.push(frame);
            }
            let taken = inner.frames.len() - had;
            staged.at += taken;
            self.hurried += if early { taken as u64 } else { 0 };
            if staged.at >= frames.len()
                && let Some(staged) = stage.parcels.pop_front()
            {
                self.lent.push((lead, staged.parcel.contents));
                if stage.parcels.is_empty() && !over {
                    limit = self.limit();
                }
            }
        }
        let list = list?;
        for staged in self.stages.iter_mut().filter_map(|stage| stage.parcels.front_mut()) {
            staged.slot = None;
        }
        Some(self.seal(list))
    }

    /// The ring whose turn it is: that with the oldest head, the first of those if there are several; its head; and until
    /// when the others leave it the turn.
    fn turn(&self) -> Option<(usize, Timestamp, Timestamp)> {
        let mut first: Option<(Timestamp, usize)> = None;
        let mut second: Option<(Timestamp, usize)> = None;
        for (i, stage) in self.stages.iter().enumerate() {
            let Some(head) = stage.head().map(|frame| (frame.ts, i)) else { continue };
            match first {
                Some(before) if before <= head => second = Some(second.map_or(head, |second| second.min(head))),
                before => (first, second) = (Some(head), before),
            }
        }
        let (head, lead) = first?;
        let others = second.map_or(Timestamp(i64::MAX), |(ts, i)| if i < lead { ts.plus(-1) } else { ts });
        Some((lead, head, others))
    }

    /// Until when those that have nothing here say that nothing will come; `None` where that holds for none.
    fn limit(&self) -> Option<Timestamp> {
        let idle = self.stages.iter().zip(&self.said).filter(|(stage, _)| stage.parcels.is_empty());
        let said = idle.filter_map(|(_, said)| match said {
            Said::Until(until) => Some(*until),
            Said::Silent => None,
        });
        said.min()
    }

    /// Whether something has waited for too long, or too much is waiting.
    fn presses(&self, now: Duration) -> bool {
        self.stages.iter().any(|stage| {
            let old = stage.parcels.front().is_some_and(|first| now.saturating_sub(first.arrived) >= MAX_WAIT);
            old || stage.parcels.len() * 2 >= stage.shells.max(2)
        })
    }

    /// Until when everything is handed over.
    fn until(&self) -> Option<Timestamp> {
        let heads = self.stages.iter().filter_map(|stage| stage.head().map(|frame| frame.ts));
        heads.chain(self.limit()).min().filter(|until| *until != Cell::UNKNOWN)
    }

    fn seal(&mut self, mut list: Arc<Contents>) -> Batch {
        let until = self.until();
        if let Some(inner) = Arc::get_mut(&mut list) {
            inner.until = until;
        }
        self.lent_lists.push(Arc::clone(&list));
        Batch::from(list)
    }

    #[inline]
    pub(super) fn number(number: &mut u64, in_file: &mut [u64], frame: &mut FrameRef) {
        *number += 1;
        frame.place.number = *number;
        if let Some(in_file) = in_file.get_mut(usize::from(frame.place.file)) {
            *in_file += 1;
            frame.place.in_file = *in_file;
        }
    }
}
