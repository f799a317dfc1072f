//! What a capture thread needs of a ring: the kernel's, or a made-up one in tests.

use net::{LinkType, Timestamp};
use std::time::Duration;

/// A frame in the memory of the ring.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen<'r> {
    pub(crate) ts: Timestamp,
    pub(crate) data: &'r [u8],
    pub(crate) wire_len: u32,
}

/// What the kernel has counted since the ring was opened. The numbers wrap around.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    /// Frames put into the ring and `dropped`.
    pub(crate) received: u32,
    pub(crate) dropped: u32,
    /// 0 on all but the first ring of an interface: it is the same number on all.
    pub(crate) interface_dropped: u32,
}

/// Why a ring is of no use any more, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault(pub(crate) String);

/// A ring that is open.
pub(crate) trait Ring: Send {
    /// How its frames begin.
    fn link(&self) -> LinkType;

    /// Waits until there is something to read or to say, or for so long.
    fn wait(&mut self, at_most: Duration);

    /// Gives what can be read, up to so many frames, in the order of the ring, and says how many it were. Never waits.
    fn sweep(&mut self, most: usize, take: &mut dyn FnMut(Seen<'_>)) -> Result<usize, Fault>;

    /// `None` where the system does not say.
    fn counters(&mut self) -> Option<Counters>;

    /// Whether every frame that the kernel counts is given by [`Ring::sweep`].
    fn is_exact(&self) -> bool;

    /// `Err` with the reason where nothing can come in, though the ring is fine.
    fn link_state(&mut self) -> Result<(), &'static str>;

    /// Lets nothing more in; what is there can still be read.
    fn shut(&mut self);
}

/// Opens a ring again.
pub(crate) trait Opener: Send {
    /// May take a few hundred milliseconds.
    fn open(&mut self) -> Result<Box<dyn Ring>, Fault>;
}
