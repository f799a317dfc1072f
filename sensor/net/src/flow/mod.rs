//! Segments → flows → ordered bytes: what the table keeps, what it tells the layer above, and its words.

mod deliver;
mod judge;
mod limits;
mod recent;
mod slab;
mod stats;
mod table;
#[cfg(test)]
mod tests;
mod turn;

pub use limits::Limits;
pub use stats::Stats;
pub use table::{FlowTable, Spot};

use crate::{Direction, End, Place, Sender, Timestamp, Tunnel};
use std::num::NonZeroU16;

/// What reads the bytes of one flow. Made at the flow's first payload byte (or gap), so that a flow which never says
/// anything costs nothing here. `C` is whatever the caller passes through: scratch, counters, a way out.
pub trait App<C>: Sized {
    /// The flow is about to deliver its first piece.
    fn open(flow: &Flow, cx: &mut C) -> Self;
    /// The next piece. After [`Interest::Bypass`] no further piece comes, from either direction.
    fn piece(&mut self, flow: &Flow, piece: Piece<'_>, cx: &mut C) -> Interest;
    /// What this holds, in bytes, as far as it can be told in no time: [`Limits::above`] bounds the sum. Asked after
    /// each piece. The same pieces must give the same answer.
    fn weight(&self) -> usize {
        0
    }
    /// The flow is over. Comes exactly once for each `open`.
    fn close(self, flow: &Flow, end: FlowEnd, cx: &mut C);
}

/// Whether to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    /// Bring the next piece.
    More,
    /// Nothing that follows on this flow can matter: count its bytes and reassemble no more.
    Bypass,
}

/// The next part of one direction, in order. Borrowed for one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece<'b> {
    /// Which way it travels.
    pub dir: Direction,
    /// Capture time of the frame that carried it; of a gap, that of the frame behind it or, where there is none, of
    /// the acknowledgement that showed it; of a [`Data::Fin`] from before the flow's first piece, that of this piece.
    pub ts: Timestamp,
    /// Place of that frame. Held data comes later than its place says: what must only grow has to be taken from the
    /// packet at hand.
    pub place: Place,
    /// What it is.
    pub data: Data<'b>,
}

/// What a piece is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Data<'b> {
    /// The next bytes; never empty.
    Bytes(&'b [u8]),
    /// So many bytes were sent and will never be seen; never 0.
    Gap(u64),
    /// The sender ended this direction and every byte (or gap) before it has been delivered.
    Fin,
    /// Something that could hide bytes from us. Each kind is told once per flow; takes no place in the stream.
    Anomaly(Anomaly),
}

/// What a sender may do to show us other bytes than the receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Anomaly {
    /// Two segments claimed the same bytes with different content; the first was kept. Of bytes that were delivered
    /// already this shows only for the last that the client sent and the server has not acknowledged.
    OverlapConflict,
    /// Data behind the sender's own FIN; dropped, as a receiver drops it (RFC 9293 §3.10.7.4).
    DataAfterFin,
    /// Urgent data; kept in the stream, though many receivers take the urgent byte out of it (RFC 6093 §3).
    UrgentData,
}

impl Anomaly {
    /// A word for notices and metric labels; never renamed.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::OverlapConflict => "overlap_conflict",
            Self::DataAfterFin => "data_after_fin",
            Self::UrgentData => "urgent_data",
        }
    }
}

/// One TCP connection as far as it was seen. Pairs are indexed by [`Direction::index`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flow {
    /// Who opened the connection; a guess by port where `midstream`.
    pub client: End,
    /// The other end.
    pub server: End,
    /// Capture time of the first packet.
    pub first: Timestamp,
    /// Capture time of the last packet; when a timeout closes the flow, the time at which it ran out.
    pub last: Timestamp,
    /// Place of the first packet. Its `number` is unique to the flow within a run.
    pub opened: Place,
    /// Who sent the first packet of the client, where the link layer says so: itself, or a router.
    pub sender: Option<Sender>,
    /// VLAN ids of the first packet, outermost first.
    pub vlan: [Option<NonZeroU16>; 2],
    /// The tunnel it runs in.
    pub tunnel: Tunnel,
    /// No SYN was seen: bytes are missing before the first one delivered.
    pub midstream: bool,
    /// Bytes each direction sent and we never saw (the gaps delivered so far).
    pub missed: [u64; 2],
    /// Packets seen.
    pub packets: [u32; 2],
    /// Payload bytes on the wire, retransmissions included.
    pub bytes: [u64; 2],
}

/// Why a flow is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FlowEnd {
    /// Both directions ended in order.
    Fin,
    /// A believable RST.
    Reset,
    /// Nothing came for longer than [`Limits`] allow.
    Timeout,
    /// The table was full.
    Evicted,
    /// The same ports began a new connection.
    Reused,
    /// The input ended first.
    EndOfInput,
}

impl FlowEnd {
    /// The value of a metric label; never renamed.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Fin => "fin",
            Self::Reset => "reset",
            Self::Timeout => "timeout",
            Self::Evicted => "evicted",
            Self::Reused => "reused",
            Self::EndOfInput => "end_of_input",
        }
    }
}
