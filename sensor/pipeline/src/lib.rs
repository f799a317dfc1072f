//! Threads: sharding, hand-over, ordered merge. What is decided here is only who works on what, and when.

mod app;
mod collect;
mod control;
mod datagrams;
mod dispatch;
mod explain;
mod feed;
mod keys;
mod limits;
mod load;
mod run;
mod snapshot;
mod totals;
mod tunnels;
mod worker;

pub use control::Control;
pub use explain::explain;
pub use feed::{Feed, MAX_FED, MAX_FED_BYTES};
pub use keys::{KeyRing, KeyStats};
pub use limits::Limits;
pub use run::run;
pub use snapshot::{Gauges, Outside, Snapshot};

use correlate::Record;
use detect::Generation;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

/// How a source is worked on.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Busy packet threads; 1 runs to completion without queues. At most 64.
    pub threads: NonZeroUsize,
    /// Also write look-alikes as detections.
    pub look_alikes: bool,
    /// Limits of the packet path.
    pub limits: Limits,
    /// What opens TLS. Secrets that captures hold are added to it.
    pub keys: Arc<KeyRing>,
    /// How often totals are written while a live source lasts, in packet time; `None` for once, at the end.
    pub stats_every: Option<Duration>,
    /// How often a conversation that lasts is told of, in packet time; `None` for once, at its end.
    pub session_every: Option<Duration>,
    /// Proxies whose observations come by [`Control::feed`], by name: sources of a live run behind its interfaces, as
    /// [`net::Place::file`] counts them.
    pub proxies: Vec<String>,
    /// The packet at which the worker that has it fails, for tests of what comes after.
    #[doc(hidden)]
    pub fault_at: Option<u64>,
}

impl Settings {
    /// What traffic and keys can make the sensor hold, in bytes: what [`Limits::memory_bytes`] says, the queues before and
    /// behind, and what [`KeyRing::memory_bytes`] says, which is no part of the total that limits are shared out of.
    pub fn memory_bytes(&self) -> u64 {
        let queues = self.limits.capture_queue + self.limits.output_queues;
        self.limits.memory_bytes() + queues + self.keys.memory_bytes()
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            threads: NonZeroUsize::MIN,
            look_alikes: false,
            limits: Limits::default(),
            keys: Arc::default(),
            stats_every: None,
            session_every: None,
            proxies: Vec::new(),
            fault_at: None,
        }
    }
}

/// What the first line of a run says beside the inputs.
#[derive(Clone, Debug, Default)]
pub struct RunInfo {
    /// `replay` or the configured name.
    pub sensor: String,
    /// Version of the program.
    pub version: String,
    /// Hash of the effective configuration.
    pub config: String,
    /// SHA-256 of each input, in order, where asked for.
    pub sha256: Vec<Option<String>>,
}

/// Why a run failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The source failed.
    #[error(transparent)]
    Read(#[from] capture::ReadError),
    /// A worker died of a fault in our own code. What was written so far is true, but not all there is.
    #[error("a worker thread failed; the records written so far are incomplete")]
    Worker,
}

/// [`run`] of files, which nobody has to control.
///
/// # Errors
///
/// As [`run`].
pub fn replay(
    reader: capture::Reader,
    settings: &Settings,
    generation: &Arc<Generation>,
    info: &RunInfo,
    emit: &mut (dyn FnMut(Record) + Send),
    progress: &(dyn Fn(u64, Option<u64>) + Sync),
) -> Result<(), Error> {
    run(reader.into(), settings, generation, info, emit, progress, &Control::default())
}
