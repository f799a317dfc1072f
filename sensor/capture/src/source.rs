//! Files or interfaces: what the rest of the sensor reads.

use crate::walk::Secrets;
use crate::{Batch, Input, Live, Notice, ReadError, Reader, Stats};

/// Where frames come from. From here on it makes no difference.
#[derive(Debug)]
pub enum Source {
    /// Capture files.
    Files(Reader),
    /// Interfaces.
    Live(Live),
}

impl From<Reader> for Source {
    fn from(reader: Reader) -> Self {
        Self::Files(reader)
    }
}

impl From<Live> for Source {
    fn from(live: Live) -> Self {
        Self::Live(live)
    }
}

impl Source {
    /// The next frames; `None` when all is read, or when live capture was stopped and its queues are empty. A batch can
    /// hold no frame. A live source waits for at most 100 ms.
    ///
    /// # Errors
    ///
    /// [`ReadError`] where the system fails to read a file. The next call goes on with the other files. Live capture
    /// never fails here: an interface that is lost is a [`Notice`].
    pub fn next_batch(&mut self) -> Result<Option<Batch>, ReadError> {
        match self {
            Self::Files(reader) => reader.next_batch(),
            Self::Live(live) => Ok(live.next_batch()),
        }
    }

    /// Files or interfaces; the index is `Place::file`.
    pub fn inputs(&self) -> &[Input] {
        match self {
            Self::Files(reader) => reader.inputs(),
            Self::Live(live) => live.inputs(),
        }
    }

    /// Takes the notices out that have come up since last asked.
    pub fn notices(&mut self) -> impl Iterator<Item = Notice> + '_ {
        match self {
            Self::Files(reader) => reader.waiting_notices(),
            Self::Live(live) => live.waiting_notices(),
        }
        .drain(..)
    }

    /// Bytes that were read, and of all there is where that is known. See [`Reader::position`]; live, the captured bytes
    /// of the frames handed over.
    pub fn position(&self) -> (u64, Option<u64>) {
        match self {
            Self::Files(reader) => reader.position(),
            Self::Live(live) => (live.read_stats().bytes, None),
        }
    }

    /// Counts so far. Of a live capture this holds what was handed over only; [`Live::stats`] has the rest.
    pub fn stats(&self) -> Stats {
        match self {
            Self::Files(reader) => reader.stats(),
            Self::Live(live) => live.read_stats(),
        }
    }

    /// Inputs that were skipped, of files only. See [`Reader::skipped`].
    pub fn skipped(&self) -> u64 {
        match self {
            Self::Files(reader) => reader.skipped(),
            Self::Live(_) => 0,
        }
    }

    /// Takes the decryption secrets out that have come up since last asked; a live capture holds none.
    pub fn take_secrets(&mut self) -> Vec<Secrets> {
        match self {
            Self::Files(reader) => reader.take_secrets(),
            Self::Live(_) => Vec::new(),
        }
    }

    /// Whether [`Source::take_secrets`] may ever give any.
    pub fn may_bring_secrets(&self) -> bool {
        match self {
            Self::Files(reader) => reader.may_bring_secrets(),
            Self::Live(_) => false,
        }
    }

    /// The live capture, if it is one.
    pub fn live(&self) -> Option<&Live> {
        match self {
            Self::Files(_) => None,
            Self::Live(live) => Some(live),
        }
    }
}
