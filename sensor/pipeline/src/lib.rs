//! Threads: sharding, hand-over, ordered merge. What is decided here is only who works on what, and when.

mod app;
mod collect;
mod datagrams;
mod dispatch;
mod explain;
mod keys;
mod load;
mod replay;
mod totals;
mod tunnels;
mod worker;

pub use explain::explain;
pub use keys::{KeyRing, KeyStats};
pub use replay::replay;

use std::num::NonZeroUsize;
use std::sync::Arc;

/// Limits of the packet path. Those of flows and bytes count for each of 64 shards.
#[derive(Clone, Debug, Default)]
pub struct Limits {
    /// Of the flow table and reassembly.
    pub flows: net::Limits,
    /// Of the protocol readers.
    pub protocols: proto::Limits,
    /// Of inspection.
    pub inspection: detect::Limits,
    /// Of fragments, before they are dealt out; for all shards together.
    pub fragments: net::FragmentLimits,
    /// Of the serial stage; for all shards together.
    pub correlation: correlate::Limits,
}

impl Limits {
    /// What one flow takes beside its readers, in bytes: its entry, its place in the index, and what is lost while
    /// tables grow; measured with a million half-open flows.
    pub const FLOW_BYTES: u64 = 256;

    /// What traffic can make all shards and the serial stage hold under these limits, in bytes.
    pub fn memory_bytes(&self) -> u64 {
        let flows = self.flows.flows as u64 * Self::FLOW_BYTES + (self.flows.held_total + self.flows.above) as u64;
        let inspection = detect::Scratch::DECODER_BYTES + detect::Scratch::HEAD_BYTES;
        let shard = flows + inspection + proto::tls::decrypt::Limits::HELD_BYTES;
        let shared = self.correlation.total() + self.fragments.bytes + tunnels::BYTES + datagrams::BYTES;
        shard * u64::from(worker::SHARDS) + shared as u64
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
    /// What opens TLS. Secrets that captures hold are added to it.
    pub keys: Arc<KeyRing>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { threads: NonZeroUsize::MIN, look_alikes: false, limits: Limits::default(), keys: Arc::default() }
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
