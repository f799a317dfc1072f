//! What the library works with: streams that are given back, and one thread's working memory.

use std::sync::{Mutex, PoisonError};

use hyperscan::{DatabaseRef, StreamingMode};

use crate::engine::scanner::MAX_PATTERNS;

/// Most streams kept for the next bodies by one thread; more are freed.
const MAX_IDLE: usize = 256;
/// Most databases remembered as fitting the working memory. To forget one costs a look at its size.
const MAX_KNOWN: usize = 64;

/// The crate frees a stream only through a call that asks for working memory, although the library does not touch it
/// there. Streams are freed here where no thread's own is at hand; set before the first stream is made.
static CLOSER: Mutex<Option<hyperscan::Scratch>> = Mutex::new(None);

/// What the library keeps of one body. Freed when dropped.
pub(super) struct Stream {
    /// Of the database it belongs to. A stream points into its database, so it is used only by the owner of that.
    tag: u64,
    /// `None` only while it is being dropped.
    inner: Option<hyperscan::Stream>,
    /// What it holds is of a body that is over.
    stale: bool,
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stream").field("tag", &self.tag).finish_non_exhaustive()
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let closer = CLOSER.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Some(stream), Some(closer)) = (self.inner.take(), &*closer) {
            // Without a handler for last matches there is nothing that could fail.
            let _ = stream.close(closer, ());
        }
    }
}

impl Stream {
    /// Makes `slot` hold a stream of the database `tag` is of: the one that is there, one of `idle`, or a new one.
    /// `None` where the library has no memory left.
    pub(super) fn ready<'s>(
        slot: &'s mut Option<Self>,
        tag: u64,
        database: &DatabaseRef<StreamingMode>,
        memory: &hyperscan::Scratch,
        idle: &mut Vec<Self>,
    ) -> Option<&'s mut Self> {
        if slot.as_ref().is_none_or(|stream| !stream.is_of(tag)) {
            // Those of a database that is gone are freed on the way.
            *slot = std::iter::from_fn(|| idle.pop()).find(|stream| stream.is_of(tag));
            if slot.is_none() {
                let inner = Some(database.open_stream().ok()?);
                *slot = Some(Self { tag, inner, stale: false });
            }
        }
        let ready = slot.as_mut()?;
        if ready.stale {
            ready.inner.as_ref()?.reset(memory, ()).ok()?;
            ready.stale = false;
        }
        Some(ready)
    }

    /// The next byte scanned is the first of another body.
    pub(super) fn over(self) -> Self {
        let mut stream = self;
        stream.stale = true;
        stream
    }

    /// Keeps it for another body of the same thread.
    pub(super) fn keep(self, idle: &mut Vec<Self>) {
        if idle.len() < MAX_IDLE {
            idle.push(self.over());
        }
    }

    /// True for a stream of the database that `tag` is of.
    pub(super) const fn is_of(&self, tag: u64) -> bool {
        self.tag == tag
    }

    pub(super) fn library(&self) -> Option<&hyperscan::Stream> {
        self.inner.as_ref()
    }
}

/// The library's working memory of one thread, for any number of databases, and what is kept for speed.
pub(in crate::engine) struct Working {
    pub(super) memory: Memory,
    pub(super) idle: Vec<Stream>,
    /// First ends, while a piece is scanned.
    pub(super) ends: [u64; MAX_PATTERNS],
}

impl Default for Working {
    fn default() -> Self {
        Self { memory: Memory::default(), idle: Vec::new(), ends: [0; MAX_PATTERNS] }
    }
}

impl std::fmt::Debug for Working {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Working").field("idle", &self.idle.len()).finish_non_exhaustive()
    }
}

/// Grows with the most demanding database it has met.
#[derive(Default)]
pub(super) struct Memory {
    memory: Option<hyperscan::Scratch>,
    /// Tags of databases it is large enough for.
    known: Vec<u64>,
}

impl Memory {
    /// Working memory large enough for this database; `None` where none can be had.
    pub(super) fn of<T>(&mut self, tag: u64, database: &DatabaseRef<T>) -> Option<&hyperscan::Scratch> {
        if !self.known.contains(&tag) {
            self.grow(tag, database)?;
        }
        self.memory.as_ref()
    }

    #[cold]
    fn grow<T>(&mut self, tag: u64, database: &DatabaseRef<T>) -> Option<()> {
        self.memory = Some(match self.memory.take() {
            None => database.alloc_scratch().ok()?,
            Some(mut memory) => {
                if database.realloc_scratch(&mut memory).is_err() {
                    // The library has freed it, which the crate does not know of.
                    std::mem::forget(memory);
                    self.known.clear();
                    return None;
                }
                memory
            }
        });
        if self.known.len() >= MAX_KNOWN {
            self.known.clear();
        }
        self.known.push(tag);
        Some(())
    }
}

/// Has working memory ready for streams that are dropped.
pub(super) fn prepare<T>(database: &DatabaseRef<T>) -> Option<()> {
    let mut closer = CLOSER.lock().unwrap_or_else(PoisonError::into_inner);
    if closer.is_none() {
        *closer = Some(database.alloc_scratch().ok()?);
    }
    Some(())
}
