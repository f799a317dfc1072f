//! What a source hands over: blocks, and an index of the frames in them.

use net::{Frame, LinkType, Place, Timestamp};
use std::fmt;
use std::sync::Arc;

/// Index entry of one frame: plain data, to be copied and sent about freely.
///
/// It means something only together with the [`Batch`] it came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameRef {
    /// Where the frame stands in the run and in its file.
    pub place: Place,
    /// When it was captured.
    pub ts: Timestamp,
    /// How its bytes begin.
    pub link: LinkType,
    /// Which block of the batch holds it.
    pub block: u16,
    /// Offset of its first byte in that block.
    pub start: u32,
    /// Captured length in bytes.
    pub len: u32,
    /// Length on the wire in bytes.
    pub wire_len: u32,
}

impl FrameRef {
    /// The captured bytes, out of their block.
    pub(crate) fn bytes<'b>(&self, block: &'b [u8]) -> &'b [u8] {
        let start = self.start as usize;
        block.get(start..start.saturating_add(self.len as usize)).unwrap_or_default()
    }
}

/// Bytes read from a source. The length is the capacity; how much of it is meaningful the index says.
pub(crate) type Block = Vec<u8>;

#[derive(Debug, Default)]
pub(crate) struct Contents {
    pub(crate) blocks: Vec<Arc<Block>>,
    pub(crate) frames: Vec<FrameRef>,
    pub(crate) bytes: u64,
    pub(crate) until: Option<Timestamp>,
}

/// Some frames in their order, with the blocks they lie in.
///
/// Cloning shares everything. The memory is used again once the last clone is gone, so do not keep a batch
/// for the sake of a few bytes. It can be empty, where a filter took everything.
#[derive(Clone)]
pub struct Batch {
    contents: Arc<Contents>,
}

impl From<Arc<Contents>> for Batch {
    fn from(contents: Arc<Contents>) -> Self {
        Self { contents }
    }
}

impl Batch {
    /// The index, in the order of `place.number`.
    pub fn frames(&self) -> &[FrameRef] {
        &self.contents.frames
    }

    /// A frame of this batch with its bytes. An entry of another batch gives bytes without meaning, maybe none.
    pub fn frame(&self, entry: &FrameRef) -> Frame<'_> {
        let block = self.contents.blocks.get(usize::from(entry.block));
        let data = block.map_or(&[][..], |block| entry.bytes(block));
        Frame { place: entry.place, ts: entry.ts, link: entry.link, data, wire_len: entry.wire_len }
    }

    /// All frames with their bytes, in order.
    pub fn iter(&self) -> impl Iterator<Item = Frame<'_>> {
        self.frames().iter().map(|entry| self.frame(entry))
    }

    /// Whether a block of this batch holds these bytes anywhere.
    #[cfg(test)]
    pub(crate) fn holds(&self, bytes: &[u8]) -> bool {
        self.contents.blocks.iter().any(|block| block.windows(bytes.len()).any(|window| window == bytes))
    }

    /// Time of the first frame. Not always the smallest: within a file the file's order holds.
    pub fn first_ts(&self) -> Option<Timestamp> {
        self.frames().first().map(|f| f.ts)
    }

    /// Time of the last frame.
    pub fn last_ts(&self) -> Option<Timestamp> {
        self.frames().last().map(|f| f.ts)
    }

    /// Captured bytes of all frames together.
    pub fn bytes(&self) -> u64 {
        self.contents.bytes
    }

    /// The time that has come in a live capture: what was captured before it has been handed over, with this batch at
    /// the latest. It goes on where no frame comes, and goes back where the clock of the machine does. `None` for
    /// files, whose frames are all the clock there is, and where no interface tells the time.
    pub fn until(&self) -> Option<Timestamp> {
        self.contents.until
    }
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch")
            .field("frames", &self.frames().len())
            .field("blocks", &self.contents.blocks.len())
            .field("bytes", &self.bytes())
            .finish_non_exhaustive()
    }
}

/// Blocks and index lists that come back when their batch is dropped.
///
/// The pool keeps a handle on what it gave out and takes back whatever it finds itself the last owner of, so
/// that batches can be dropped on any thread without a channel.
#[derive(Debug)]
pub(crate) struct Pool {
    block_bytes: usize,
    blocks: Vec<Arc<Block>>,
    batches: Vec<Arc<Contents>>,
}

impl Pool {
    /// Blocks (and index lists) kept for use again; what is in use beyond that is freed after use.
    const KEPT: usize = 64;

    pub(crate) fn new(block_bytes: usize) -> Self {
        Self { block_bytes, blocks: Vec::new(), batches: Vec::new() }
    }

    /// A block of at least `min` bytes. What it holds is rubbish.
    pub(crate) fn block(&mut self, min: usize) -> Block {
        for batch in &mut self.batches {
            if let Some(contents) = Arc::get_mut(batch) {
                contents.blocks.clear();
            }
        }
        let free = self.blocks.iter_mut().position(|b| b.len() >= min && Arc::get_mut(b).is_some());
        let block = free.and_then(|i| Arc::into_inner(self.blocks.swap_remove(i)));
        // Fresh memory comes zeroed from the system, page by page as it is touched; nothing is written here.
        block.unwrap_or_else(|| vec![0; min])
    }

    /// Makes a filled block shareable.
    pub(crate) fn share(&mut self, block: Block) -> Arc<Block> {
        // Larger ones were made for one large record and go with it; smaller ones are quickly made.
        let usual = block.len() == self.block_bytes;
        let block = Arc::new(block);
        if usual && self.blocks.len() < Self::KEPT {
            self.blocks.push(Arc::clone(&block));
        }
        block
    }

    /// An empty batch to fill.
    pub(crate) fn contents(&mut self) -> Contents {
        let free = self.batches.iter_mut().position(|b| Arc::get_mut(b).is_some());
        let mut contents = free.and_then(|i| Arc::into_inner(self.batches.swap_remove(i))).unwrap_or_default();
        contents.blocks.clear();
        contents.frames.clear();
        contents.bytes = 0;
        contents.until = None;
        contents
    }

    /// Closes a batch.
    pub(crate) fn batch(&mut self, contents: Contents) -> Batch {
        let contents = Arc::new(contents);
        if self.batches.len() < Self::KEPT {
            self.batches.push(Arc::clone(&contents));
        }
        Batch { contents }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_used_again_once_its_batch_is_dropped_and_not_before() {
        let mut pool = Pool::new(4096);
        let block = pool.block(4096);
        let first = block.as_ptr();
        let mut contents = pool.contents();
        contents.blocks.push(pool.share(block));
        let batch = pool.batch(contents);
        let other = pool.block(4096);
        assert_ne!(other.as_ptr(), first);
        drop(batch);
        let again = pool.block(4096);
        assert_eq!(again.as_ptr(), first);
    }

    #[test]
    fn a_foreign_index_entry_gives_no_bytes_and_no_panic() {
        let batch = Pool::new(16).batch(Contents::default());
        let entry = FrameRef {
            place: Place::default(),
            ts: Timestamp(0),
            link: LinkType::Ethernet,
            block: 7,
            start: u32::MAX,
            len: u32::MAX,
            wire_len: 0,
        };
        assert!(batch.frame(&entry).data.is_empty());
    }
}
