//! Limits of the packet path, and the one total that they all follow from.

use crate::{app, datagrams, tunnels, worker};

/// Limits of the packet path. Those of flows and of inspection count for each of 64 shards.
#[derive(Clone, Debug)]
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
    /// Records of TLS under way that keys open, in bytes, for each shard.
    pub tls_records: u64,
    /// Share of the frames that wait in live sources, in bytes. Whoever opens the sources keeps to it.
    pub capture_queue: u64,
    /// Share of the events that wait for all outputs together, in bytes. Whoever opens the outputs keeps to it.
    pub output_queues: u64,
}

const MIB: u64 = 1 << 20;
/// What does not follow from the total, in bytes: handshakes of QUIC, names of tunnels, copies of what clients said last,
/// and buffers that are kept to be used again.
const FIXED: u64 = 128 * MIB;
/// What is left of the total is dealt out in so many parts.
const PARTS: u64 = 120;

/// Buffers of the engine, inspectors and the like that one shard keeps to be used again, in bytes.
const POOLS: usize = 64 << 10;
const _: () = {
    let shard = net::Limits::COPIES_BYTES + app::IDLE_BYTES + POOLS;
    let fixed = datagrams::BYTES + tunnels::BYTES + worker::SHARDS as usize * shard;
    assert!(fixed as u64 <= FIXED, "what is fixed has to fit");
};

impl Limits {
    /// Default total, in bytes. A million flows that idle take a fifth of it.
    pub const DEFAULT_BYTES: u64 = 2048 * MIB;
    /// Least total, in bytes.
    pub const LEAST_BYTES: u64 = 256 * MIB;
    /// What one flow takes beside its readers, in bytes: its entry, its place in the index, and what is lost while
    /// tables grow; measured with a million half-open flows.
    pub const FLOW_BYTES: u64 = 256;

    /// Shares out `total` bytes, which is all that traffic can make the sensor hold. 128 MiB of it are for what is fixed;
    /// of 120 parts of the rest there go
    ///
    /// | parts | to | of 2 GiB |
    /// | ---: | --- | ---: |
    /// | 16 | entries of flows, [`Self::FLOW_BYTES`] each | 1,048,576 flows |
    /// | 32 | readers: idle flows, heads, handshakes, exchanges, streams ([`net::Limits::above`]) | 512 MiB |
    /// | 10 | bytes behind holes ([`net::Limits::held_total`]) | 160 MiB |
    /// | 36 | decoders of bodies ([`detect::Limits::decoder_bytes`]) | 576 MiB |
    /// | 4 | request heads that wait ([`detect::Limits::head_bytes`]) | 64 MiB |
    /// | 4 | records of TLS that keys open ([`Self::tls_records`]) | 64 MiB |
    /// | 11 | the serial stage: exchanges, conversations, servers, names | 176 MiB |
    /// | 1 | fragments | 16 MiB |
    /// | 4 | frames that wait in live sources ([`Self::capture_queue`]) | 64 MiB |
    /// | 2 | events that wait for outputs ([`Self::output_queues`]) | 32 MiB |
    ///
    /// # Errors
    ///
    /// The least total, where this one is less.
    pub fn of(total: u64) -> Result<Self, u64> {
        if total < Self::LEAST_BYTES {
            return Err(Self::LEAST_BYTES);
        }
        Ok(Self::shares(total))
    }

    fn shares(total: u64) -> Self {
        let part = total.saturating_sub(FIXED) / PARTS;
        let shard = part / u64::from(worker::SHARDS);
        let bytes = |parts: u64| usize::try_from(parts * shard).unwrap_or(usize::MAX);
        let all = |parts: u64| usize::try_from(parts * part).unwrap_or(usize::MAX);
        let held_total = bytes(10);
        let usual = net::Limits::default();
        Self {
            flows: net::Limits {
                flows: usize::try_from(16 * shard / Self::FLOW_BYTES).unwrap_or(usize::MAX),
                above: bytes(32),
                held_total,
                held_per_direction: usual.held_per_direction.min(held_total / 2),
                ..usual
            },
            protocols: proto::Limits::default(),
            inspection: detect::Limits {
                decoder_bytes: 36 * shard,
                head_bytes: 4 * shard,
                ..detect::Limits::default()
            },
            fragments: net::FragmentLimits { bytes: all(1), ..net::FragmentLimits::default() },
            correlation: correlate::Limits::of(all(11)),
            tls_records: 4 * shard,
            capture_queue: 4 * part,
            output_queues: 2 * part,
        }
    }

    /// What traffic can make all shards and the serial stage hold under these limits, in bytes; queues before and behind
    /// them come on top.
    pub fn memory_bytes(&self) -> u64 {
        let flows = self.flows.flows as u64 * Self::FLOW_BYTES + (self.flows.held_total + self.flows.above) as u64;
        let shard = flows + self.inspection.decoder_bytes + self.inspection.head_bytes + self.tls_records;
        let shared = self.correlation.total() + self.fragments.bytes;
        FIXED + shard * u64::from(worker::SHARDS) + shared as u64
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::shares(Self::DEFAULT_BYTES)
    }
}

#[cfg(test)]
mod tests {
    use super::{Limits, MIB};

    #[test]
    fn all_shares_together_are_the_total() {
        for mib in [256, 300, 512, 1000, 2048, 4096, 100_000] {
            let total = mib * MIB;
            let limits = Limits::of(total).unwrap();
            let sum = limits.memory_bytes() + limits.capture_queue + limits.output_queues;
            assert!(sum <= total && sum + MIB / 4 > total, "{mib} MiB: {sum}");
        }
        assert_eq!(Limits::of(256 * MIB - 1).unwrap_err(), 256 * MIB);
    }

    #[test]
    fn the_default_has_room_for_a_million_flows_and_for_the_largest_window() {
        let limits = Limits::default();
        let shards = 64;
        assert_eq!(limits.flows.flows * shards, 1 << 20);
        // Entries, and what readers keep of a flow that idles.
        assert!(limits.flows.above / limits.flows.flows >= 256);
        let window = limits.inspection.coding.window as u64;
        assert!(limits.inspection.decoder_bytes > window + MIB / 2);
    }
}
