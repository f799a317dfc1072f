//! A decoded packet: places of headers and payload inside the frame, no copy.

use crate::{FiveTuple, Place, Timestamp};
use std::num::{NonZeroU8, NonZeroU16};
use std::ops::Range;

/// One decoded TCP or UDP packet. Plain data (no borrow), so that a dispatcher can decode and a worker use it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Where its frame stands.
    pub place: Place,
    /// Capture time.
    pub ts: Timestamp,
    /// Source and destination of the innermost packet, and the tunnel it came in.
    pub tuple: FiveTuple,
    /// Source MAC address of the link layer around the packet; `None` where a tunnel holds it without one.
    pub src_mac: Option<[u8; 6]>,
    /// Time to live (IPv4) or hop limit (IPv6) of the packet.
    pub ttl: u8,
    /// Up to two VLAN ids, outermost first.
    pub vlan: [Option<NonZeroU16>; 2],
    /// TCP header fields; `None` for UDP.
    pub tcp: Option<TcpHeader>,
    /// Byte range of the whole TCP/UDP header and payload inside the frame, for the checksum.
    pub transport_bytes: Range<u32>,
    /// Byte range of the payload inside the frame (captured part).
    pub payload: Range<u32>,
    /// Payload length on the wire; more than `payload.len()` where the snaplen cut.
    pub wire_payload: u32,
}

/// Who put a packet on the link where it was captured, and how far the packet had come by then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sender {
    /// Source MAC address.
    pub mac: [u8; 6],
    /// Time to live or hop limit; 1 also stands for 0.
    pub ttl: NonZeroU8,
}

impl Packet {
    /// Who sent it, where the link layer says so.
    pub fn sender(&self) -> Option<Sender> {
        Some(Sender { mac: self.src_mac?, ttl: NonZeroU8::new(self.ttl).unwrap_or(NonZeroU8::MIN) })
    }
}

/// The fields of a TCP header that reassembly needs (RFC 9293 §3.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpHeader {
    /// Sequence number.
    pub seq: u32,
    /// Acknowledgement number.
    pub ack: u32,
    /// Flag bits as on the wire (FIN 1, SYN 2, RST 4, PSH 8, ACK 16, URG 32).
    pub flags: u8,
    /// Urgent pointer, meaningful with URG.
    pub urgent: u16,
    /// Window as on the wire (unscaled).
    pub window: u16,
    /// Whether the header checksum field is zero or must be judged elsewhere.
    pub checksum: u16,
}

impl TcpHeader {
    /// No more data from the sender.
    pub const FIN: u8 = 1;
    /// Synchronise sequence numbers.
    pub const SYN: u8 = 2;
    /// Reset.
    pub const RST: u8 = 4;
    /// Acknowledgement field significant.
    pub const ACK: u8 = 16;
    /// Urgent pointer significant.
    pub const URG: u8 = 32;

    /// Whether all of `bits` are set.
    pub const fn has(self, bits: u8) -> bool {
        self.flags & bits == bits
    }
}
