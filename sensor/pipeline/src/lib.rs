//! Threads: sharding, hand-over, ordered merge. What is decided here is only who works on what, and when.

mod app;
mod collect;
mod dispatch;
mod explain;
mod replay;
mod totals;
mod worker;

pub use explain::explain;
pub use replay::replay;

use std::num::NonZeroUsize;

/// Limits of the packet path. Those of flows and bytes count for each of 64 shards.
#[derive(Clone, Debug, Default)]
pub struct Limits {
    /// Of the flow table and reassembly.
    pub flows: net::Limits,
    /// Of the protocol readers.
    pub protocols: proto::Limits,
    /// Of inspection.
    pub inspection: detect::Limits,
    /// Of the serial stage; for all shards together.
    pub correlation: correlate::Limits,
}

impl Limits {
    /// What one flow takes beside its readers, in bytes: its entry, its place in the index, and what is lost while
    /// tables grow; measured with a million half-open flows.
    pub const FLOW_BYTES: u64 = 256;

    /// What traffic can make all shards and the serial stage hold under these limits, in bytes.
    pub fn memory_bytes(&self) -> u64 {
        let flows = self.flows.flows as u64 * Self::FLOW_BYTES + self.flows.held_total as u64;
        let shard = flows + detect::Scratch::DECODER_BYTES + detect::Scratch::HEAD_BYTES;
        shard * u64::from(worker::SHARDS) + self.correlation.total() as u64
    }
}

/// How a replay runs.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Busy packet threads; 1 runs to completion without queues. At most 64.
    pub threads: NonZeroUsize,
    /// Also write look-alikes as detections.
    pub look_alikes: bool,
    /// Limits of the packet path.
    pub limits: Limits,
}

impl Default for Settings {
    fn default() -> Self {
        Self { threads: NonZeroUsize::MIN, look_alikes: false, limits: Limits::default() }
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

/// Why a replay failed while running.
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
