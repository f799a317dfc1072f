//! The memory that frames are copied into, and its way round.

use super::options::{LIVE_BLOCK_BYTES, LiveOptions};
use crate::FrameRef;
use crate::batch::Contents;
use net::Timestamp;
use std::sync::Arc;
use std::time::Duration;

/// Frames in a block, at most.
pub(crate) const BLOCK_FRAMES: usize = 4096;

/// A block with its index, made once and used again and again. While it is empty nobody else holds a part of it.
#[derive(Debug)]
pub(crate) struct Shell(Arc<Contents>);

impl Shell {
    pub(crate) fn new(bytes: usize) -> Self {
        // Fresh memory comes zeroed from the system, page by page as it is touched.
        let blocks = vec![Arc::new(vec![0; bytes])];
        Self(Arc::new(Contents { blocks, frames: Vec::with_capacity(BLOCK_FRAMES), ..Contents::default() }))
    }

    /// What a shell takes, in bytes.
    pub(crate) fn cost(bytes: usize) -> usize {
        bytes + BLOCK_FRAMES * size_of::<FrameRef>()
    }

    /// Shells for each of so many rings.
    pub(crate) fn share(options: &LiveOptions, rings: usize, bytes: usize) -> usize {
        (options.queue_bytes / rings.max(1) / Self::cost(bytes)).max(2)
    }

    /// Bytes of the block for frames of so many.
    pub(crate) fn bytes_for(snaplen: u32) -> usize {
        LIVE_BLOCK_BYTES.max(snaplen as usize)
    }

    /// Empties what was handed over, if nobody uses it any more; else gives it back.
    pub(crate) fn reclaim(mut contents: Arc<Contents>) -> Result<Self, Arc<Contents>> {
        let Some(inner) = Arc::get_mut(&mut contents) else { return Err(contents) };
        // Merged batches share blocks without sharing the index.
        if !inner.blocks.iter_mut().all(|block| Arc::get_mut(block).is_some()) {
            return Err(contents);
        }
        inner.frames.clear();
        inner.bytes = 0;
        inner.until = None;
        Ok(Self(contents))
    }

    /// Takes the memory out, to be filled.
    pub(crate) fn open(mut self) -> Option<Filling> {
        let inner = Arc::get_mut(&mut self.0)?;
        let bytes = std::mem::take(Arc::get_mut(inner.blocks.first_mut()?)?);
        let frames = std::mem::take(&mut inner.frames);
        let nothing = Timestamp(i64::MIN);
        Some(Filling { shell: self, bytes, used: 0, frames, first: nothing, latest: nothing, began: Duration::ZERO })
    }
}

/// A block being filled by its capture thread, the only one that holds it.
#[derive(Debug)]
pub(crate) struct Filling {
    shell: Shell,
    bytes: Vec<u8>,
    used: usize,
    frames: Vec<FrameRef>,
    /// Time of the oldest frame.
    pub(crate) first: Timestamp,
    /// Time of the newest frame.
    pub(crate) latest: Timestamp,
    /// When the first frame was put in.
    pub(crate) began: Duration,
}

impl Filling {
    pub(crate) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    pub(crate) fn frames(&self) -> usize {
        self.frames.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.used
    }

    /// Copies a frame; its place in the block is set here. Says whether there was room.
    pub(crate) fn push(&mut self, data: &[u8], entry: FrameRef, now: Duration) -> bool {
        let end = self.used + data.len();
        let (Ok(start), Ok(len)) = (u32::try_from(self.used), u32::try_from(data.len())) else { return false };
        if self.frames.len() >= BLOCK_FRAMES {
            return false;
        }
        let Some(room) = self.bytes.get_mut(self.used..end) else { return false };
        room.copy_from_slice(data);
        if self.frames.is_empty() {
            (self.first, self.latest, self.began) = (entry.ts, entry.ts, now);
        }
        self.first = self.first.min(entry.ts);
        self.latest = self.latest.max(entry.ts);
        self.frames.push(FrameRef { block: 0, start, len, ..entry });
        self.used = end;
        true
    }

    /// Puts the memory back into its shell.
    pub(crate) fn close(mut self) -> Arc<Contents> {
        if let Some(inner) = Arc::get_mut(&mut self.shell.0) {
            inner.bytes = self.used as u64;
            inner.frames = self.frames;
            if let Some(block) = inner.blocks.first_mut().and_then(Arc::get_mut) {
                *block = self.bytes;
            }
        }
        self.shell.0
    }
}

/// A block on its way from a capture thread.
#[derive(Debug)]
pub(crate) struct Parcel {
    pub(crate) ring: usize,
    pub(crate) contents: Arc<Contents>,
    /// Time of the newest frame.
    pub(crate) latest: Timestamp,
}
