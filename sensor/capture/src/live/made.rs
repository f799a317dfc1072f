//! A capture whose batches are handed in from outside: for tests of what lies behind it, with times of their choosing.

use super::merge::Merge;
use super::{InterfaceStats, Live, MAX_PAUSE};
use crate::Batch;
use crate::FrameRef;
use crate::batch::Contents;
use crossbeam_channel::{Receiver, RecvTimeoutError};
use net::{LinkType, Place, Timestamp};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// One batch of Ethernet frames, and what was lost with it.
#[doc(hidden)]
#[derive(Clone, Debug, Default)]
pub struct Made {
    /// Frames with their times.
    pub frames: Vec<(Timestamp, Vec<u8>)>,
    /// The time that has come.
    pub until: Option<Timestamp>,
    /// Frames that the kernel dropped.
    pub kernel_dropped: u64,
    /// Frames that the queue had no room for.
    pub queue_dropped: u64,
}

/// Where they come from.
#[derive(Debug)]
pub(super) struct Feed {
    made: Receiver<Made>,
    kernel_dropped: u64,
    queue_dropped: u64,
}

impl Live {
    /// One interface of that name. It ends with the last sender, or once it was stopped and nothing waits.
    #[doc(hidden)]
    pub fn of(name: &str, made: Receiver<Made>) -> Self {
        let mut live =
            Self::assemble(&[super::InterfaceOptions::new(name)], &super::LiveOptions::default(), vec![vec![]]);
        live.feed = Some(Feed { made, kernel_dropped: 0, queue_dropped: 0 });
        live
    }
}

impl Feed {
    /// The next batch, numbered.
    pub(super) fn next(&mut self, merge: &mut Merge, stop: &AtomicBool) -> Option<Batch> {
        let made = if stop.load(Ordering::Acquire) {
            self.made.try_recv().ok()?
        } else {
            match self.made.recv_timeout(MAX_PAUSE) {
                Ok(made) => made,
                Err(RecvTimeoutError::Timeout) => Made::default(),
                Err(RecvTimeoutError::Disconnected) => return None,
            }
        };
        self.kernel_dropped += made.kernel_dropped;
        self.queue_dropped += made.queue_dropped;
        let (mut block, mut frames) = (Vec::new(), Vec::new());
        for (ts, data) in &made.frames {
            let (start, len) = (u32::try_from(block.len()).ok()?, u32::try_from(data.len()).ok()?);
            let (place, link) = (Place::default(), LinkType::Ethernet);
            let mut frame = FrameRef { place, ts: *ts, link, block: 0, start, len, wire_len: len };
            Merge::number(&mut merge.number, &mut merge.in_file, &mut frame);
            block.extend_from_slice(data);
            frames.push(frame);
        }
        let bytes = block.len() as u64;
        merge.bytes += bytes;
        let contents = Contents { blocks: vec![Arc::new(block)], frames, bytes, until: made.until };
        Some(Batch::from(Arc::new(contents)))
    }

    /// Adds what was lost.
    pub(super) fn count(&self, stats: &mut InterfaceStats) {
        stats.received += stats.handed_out + self.queue_dropped;
        stats.kernel_dropped += self.kernel_dropped;
        stats.queue_dropped += self.queue_dropped;
    }
}
