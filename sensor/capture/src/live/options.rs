//! What to capture, and how.

use std::time::Duration;

/// Interfaces captured at the same time.
pub const MAX_LIVE_INTERFACES: usize = 64;
/// Rings, and so threads, of all interfaces together.
pub const MAX_RINGS: usize = 64;
/// Longest frame kept whole, in bytes: as long as libpcap allows.
pub const MAX_SNAPLEN: u32 = 262_144;
/// Bytes of frames that a capture thread hands over at a time, at most.
pub const LIVE_BLOCK_BYTES: usize = 256 << 10;

/// One interface to capture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterfaceOptions {
    /// Name as the system has it (`eth0`); `any` for all of them.
    pub name: String,
    /// Frames to keep, as an expression of libpcap (`pcap-filter(7)`), run in the kernel. `None` keeps all: nothing is
    /// skipped that was not asked for.
    pub bpf: Option<String>,
    /// Bytes kept of a frame, from 64 to [`MAX_SNAPLEN`]; the default is that. What is longer is cut, and counted
    /// ([`InterfaceStats::cut`](crate::InterfaceStats::cut)).
    pub snaplen: u32,
    /// Memory of the kernel for each ring, in bytes: what bridges the moments in which our thread does not run. From
    /// 1 MiB to 2 GiB less one; the default is 64 MiB.
    pub buffer_bytes: u32,
    /// Rings, each with a thread, among which the kernel shares the flows out (`PACKET_FANOUT`, by the hash of the flow,
    /// fragments put together first); both directions of a flow reach the same one. From 1 to [`MAX_RINGS`]; the
    /// default is 1, and more than that does not work for `any`.
    pub rings: usize,
    /// Take frames meant for others, too. Always wanted on a mirror; the default. Means nothing for `any`.
    pub promiscuous: bool,
    /// Longest time the kernel keeps frames back so as to hand over many at a time, from 1 ms to 1 s; the default is
    /// 100 ms.
    pub timeout: Duration,
    /// Processors to run the capture threads on: that of ring `n` is the `n`th, going round. Empty: any. The default.
    pub cores: Vec<usize>,
}

impl InterfaceOptions {
    /// Smallest [`InterfaceOptions::snaplen`].
    pub const MIN_SNAPLEN: u32 = 64;
    /// Smallest [`InterfaceOptions::buffer_bytes`].
    pub const MIN_BUFFER_BYTES: u32 = 1 << 20;
    /// Largest [`InterfaceOptions::buffer_bytes`]: libpcap takes a signed number.
    pub const MAX_BUFFER_BYTES: u32 = i32::MAX as u32;
    /// Longest [`InterfaceOptions::timeout`].
    pub const MAX_TIMEOUT: Duration = Duration::from_secs(1);

    /// The defaults for an interface.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            bpf: None,
            snaplen: MAX_SNAPLEN,
            buffer_bytes: 64 << 20,
            rings: 1,
            promiscuous: true,
            timeout: Duration::from_millis(100),
            cores: Vec::new(),
        }
    }
}

/// What all interfaces share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveOptions {
    /// Bytes of memory for frames between the capture threads and those that look at them, index included. It is shared
    /// out among the rings evenly, so that a flood on one interface costs another nothing; each has two blocks at least
    /// (of [`LIVE_BLOCK_BYTES`] and their index). Batches merged of several rings have an index of their own besides, of
    /// 4096 frames at most. Where it is used up, frames are dropped and counted
    /// ([`InterfaceStats::queue_dropped`](crate::InterfaceStats::queue_dropped)). The default is 64 MiB.
    pub queue_bytes: usize,
}

impl Default for LiveOptions {
    fn default() -> Self {
        Self { queue_bytes: 64 << 20 }
    }
}
