//! What workers get to work on: a batch, and the datagrams that were put together while it was read.

use capture::Batch;
use detect::Generation;
use net::Rebuilt;
use std::sync::Arc;

/// Shares everything; the bytes live until the last worker is done with its jobs.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    batch: Batch,
    /// Found behind the frames of the batch.
    rebuilt: Option<Arc<Vec<Rebuilt>>>,
    /// In force for what begins here.
    pub(crate) generation: Arc<Generation>,
    /// Workers are to tell their totals with it.
    pub(crate) snapshot: bool,
}

impl Load {
    pub(crate) fn new(batch: Batch, rebuilt: Vec<Rebuilt>, generation: &Arc<Generation>, snapshot: bool) -> Self {
        let rebuilt = (!rebuilt.is_empty()).then(|| Arc::new(rebuilt));
        Self { batch, rebuilt, generation: Arc::clone(generation), snapshot }
    }

    /// How many frames of the capture `at` stands for.
    pub(crate) fn frames(&self, at: u32) -> u64 {
        let behind = usize::try_from(at).ok().and_then(|at| at.checked_sub(self.batch.frames().len()));
        let whole = behind.zip(self.rebuilt.as_ref()).and_then(|(at, rebuilt)| rebuilt.get(at));
        whole.map_or(1, |whole| whole.frames.len() as u64)
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
