//! What was captured and what became of it.

use net::LinkType;

/// Counts of a live capture so far. None of them ever goes back, whatever becomes of an interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LiveStats {
    /// In the order of the options; the index is `Place::file`.
    pub interfaces: Vec<InterfaceStats>,
    /// Frames handed over before it was sure that no other ring had an older one, because they had waited for long
    /// enough or filled half of their queue.
    pub hurried: u64,
}

/// Counts of one interface, all its rings together.
///
/// In every one of them, at any time: `received = handed_out + queue_dropped + unread + waiting`. What came by the
/// interface and passed the filter is `received + kernel_dropped`; once the capture is stopped, `waiting` is 0.
///
/// `kernel_received` is what the kernel says of the same: the number that libpcap calls `ps_recv`, which on Linux counts
/// drops too, less `ps_drop`. It is asked once a second and at the end, and then equals `received`, with the exceptions
/// said there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InterfaceStats {
    /// As in the options.
    pub name: String,
    /// Frames that the kernel had room for: those that were read, and `unread`.
    pub received: u64,
    /// Captured bytes of those that were read.
    pub received_bytes: u64,
    /// Frames in batches.
    pub handed_out: u64,
    /// Read and not handed over yet.
    pub waiting: u64,
    /// Frames dropped by us, without being copied, because the queue was full.
    pub queue_dropped: u64,
    /// Their captured bytes.
    pub queue_dropped_bytes: u64,
    /// Frames that were still in the kernel's ring when it had to be closed, because the interface went away.
    pub unread: u64,
    /// `received` in the eyes of the kernel. For `any` it is larger, since libpcap leaves out the second copy of what
    /// goes over the loopback interface; so it is for several rings on that interface before Linux 6.1, and where libpcap
    /// has to run a filter that is too long for the kernel.
    pub kernel_received: u64,
    /// Frames dropped by the kernel, because its ring was full.
    pub kernel_dropped: u64,
    /// Frames dropped by the interface or its driver, as far as it says (promiscuous only). They may have been other
    /// programs' as well.
    pub interface_dropped: u64,
    /// Frames read and kept of which `snaplen` cut something off.
    pub cut: u64,
    /// Times a ring was opened again after the first.
    pub reopened: u64,
    /// Times our own code failed in a capture thread; the ring was opened again.
    pub panics: u64,
    /// Whether all rings are open. They stay open while the interface is there, be it without link (`up`).
    pub open: bool,
    /// Whether all rings are open and the interface is up.
    pub up: bool,
}

impl InterfaceStats {
    /// All frames lost on their way here.
    pub fn lost(&self) -> u64 {
        let lost = self.kernel_dropped.saturating_add(self.interface_dropped);
        lost.saturating_add(self.queue_dropped).saturating_add(self.unread)
    }
}

/// What the system really gave for a ring, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RingInfo {
    /// Name of the interface.
    pub interface: String,
    /// Which of its rings.
    pub ring: usize,
    /// How its frames begin.
    pub link: LinkType,
    /// Bytes kept of a frame.
    pub snaplen: u32,
    /// Memory of the kernel's ring in bytes, where it can be told; less than asked for where the system was short.
    pub buffer_bytes: Option<u64>,
    /// Version of the kernel's ring; 3 is the one that does not lose frames at low load. `None` where it cannot be told.
    pub version: Option<u8>,
    /// Whether times are in nanoseconds; else in microseconds.
    pub nanoseconds: bool,
    /// Number of the group among which the kernel shares the flows out, if there is more than one ring.
    pub fanout: Option<u16>,
}
