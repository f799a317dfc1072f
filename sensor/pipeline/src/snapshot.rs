//! How a run fares, as others may ask at any time.

use correlate::record::{ProxyStats, Stats};
use net::Timestamp;

/// Totals and gauges of a run at one packet: all of them belong together, and the sums that [`Stats`] promises hold.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Totals so far.
    pub stats: Stats,
    /// SHA-256 over the rules in force.
    pub rules: String,
    /// How often other rules were put in force.
    pub reloads: u64,
    /// Capture time of the last packet; `None` before the first.
    pub last_packet: Option<Timestamp>,
    /// What traffic makes the sensor hold.
    pub gauges: Gauges,
    /// Batches that waited for each worker when the batch of this packet was dealt out; empty with one worker.
    pub queues: Vec<usize>,
    /// Workers at work.
    pub workers: usize,
    /// Where live traffic comes from; `None` where files are read.
    pub capture: Option<capture::LiveStats>,
}

/// What traffic makes the sensor hold. Bytes are as the limits count them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gauges {
    /// Flows in the tables, those that are over and linger included.
    pub flows_active: u64,
    /// Bytes that wait behind holes.
    pub reassembly_bytes: u64,
    /// Bytes that readers and open exchanges of all flows hold.
    pub reader_bytes: u64,
    /// Bytes of decoders.
    pub decoder_bytes: u64,
    /// Bytes of fragments that wait for the rest of their datagram.
    pub fragment_bytes: u64,
    /// Bytes of the serial stage: exchanges, conversations, servers, names.
    pub correlation_bytes: u64,
}

impl Gauges {
    pub(crate) fn add(&mut self, other: &Self) {
        let Self { flows_active, reassembly_bytes, reader_bytes, decoder_bytes, fragment_bytes, correlation_bytes } =
            other;
        self.flows_active += flows_active;
        self.reassembly_bytes += reassembly_bytes;
        self.reader_bytes += reader_bytes;
        self.decoder_bytes += decoder_bytes;
        self.fragment_bytes += fragment_bytes;
        self.correlation_bytes += correlation_bytes;
    }
}

/// What was counted beside the packets.
#[derive(Clone, Debug, Default)]
pub struct Outside {
    /// What a proxy did; `None` where there is none.
    pub proxy: Option<ProxyStats>,
    /// What its inspection counted: added to that of the packets.
    pub inspected: detect::Stats,
}
