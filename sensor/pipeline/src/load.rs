//! What workers get to work on: a batch, and the datagrams that were put together while it was read.

use capture::Batch;
use net::Rebuilt;
use std::sync::Arc;

/// Shares everything; the bytes live until the last worker is done with its jobs.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    batch: Batch,
    /// Found behind the frames of the batch.
    rebuilt: Option<Arc<Vec<Rebuilt>>>,
}

impl Load {
    pub(crate) fn new(batch: Batch, rebuilt: Vec<Rebuilt>) -> Self {
        Self { batch, rebuilt: (!rebuilt.is_empty()).then(|| Arc::new(rebuilt)) }
    }

    /// Bytes of frame `at`, and whether they are in doubt; behind the last frame, of the datagrams.
    pub(crate) fn data(&self, at: u32) -> Option<(&[u8], bool)> {
        let at = usize::try_from(at).ok()?;
        let frames = self.batch.frames();
        if let Some(entry) = frames.get(at) {
            return Some((self.batch.frame(entry).data, false));
        }
        let whole = self.rebuilt.as_ref()?.get(at - frames.len())?;
        Some((&whole.bytes, whole.conflict))
    }
}
