//! The TCP checksum (RFC 9293 §3.1, RFC 1071).

use crate::Packet;
use std::net::IpAddr;

/// What a checksum field says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Checksum {
    /// It fits.
    Good,
    /// It holds the sum of the pseudo header alone: the sender left the rest to its network card, or the receiver
    /// merged several segments into one. Seen where the capture runs on one of the hosts, never on a wire.
    Partial,
    /// It does not fit.
    Bad,
    /// The snaplen cut the segment.
    Unknown,
}

/// Whether the TCP checksum of `packet` fits; `None` if it cannot be judged because the snaplen cut the segment, or
/// because the packet is not TCP. `frame_data` is the data of the frame that `packet` was decoded from.
pub fn tcp_checksum_ok(packet: &Packet, frame_data: &[u8]) -> Option<bool> {
    match judge(packet, frame_data) {
        Checksum::Good => Some(true),
        Checksum::Bad | Checksum::Partial => Some(false),
        Checksum::Unknown => None,
    }
}

/// As [`tcp_checksum_ok`], and tells a partial sum from a wrong one.
pub(crate) fn judge(packet: &Packet, frame_data: &[u8]) -> Checksum {
    let Some(tcp) = packet.tcp else { return Checksum::Unknown };
    let range = &packet.transport_bytes;
    let (Ok(start), Ok(end)) = (usize::try_from(range.start), usize::try_from(range.end)) else {
        return Checksum::Unknown;
    };
    let Some(bytes) = frame_data.get(start..end) else { return Checksum::Unknown };
    // Whole on the wire and in the capture? The options may have been cut as well as the payload.
    let header = bytes.get(12).map_or(0, |offset| u32::from(offset >> 4) * 4);
    let Ok(len) = u32::try_from(bytes.len()) else { return Checksum::Unknown };
    if len != header.saturating_add(packet.wire_payload) {
        return Checksum::Unknown;
    }
    let pseudo = fold(pseudo_header(packet, len));
    if fold(u64::from(pseudo) + sum(bytes)) == u16::MAX {
        return Checksum::Good;
    }
    if tcp.checksum == u16::from_be(pseudo) { Checksum::Partial } else { Checksum::Bad }
}

/// Addresses, protocol and length, summed as they would lie in memory.
fn pseudo_header(packet: &Packet, len: u32) -> u64 {
    let [l0, l1, l2, l3] = len.to_be_bytes();
    let address = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => sum(&ip.octets()),
        IpAddr::V6(ip) => sum(&ip.octets()),
    };
    address(packet.tuple.src.ip()) + address(packet.tuple.dst.ip()) + sum(&[l0, l1, l2, l3, 0, 6])
}

/// Sum of 16-bit words in the machine's own order, unfolded: a ones' complement sum does not care, and 32-bit steps
/// into 64 bits are what compilers turn into vector code. It wraps so that it can be, and never does: no frame is
/// long enough to overflow it.
pub(crate) fn sum(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<4>();
    let total = words.iter().fold(0_u64, |sum, w| sum.wrapping_add(u64::from(u32::from_ne_bytes(*w))));
    let last = match *rest {
        [a, b, c] => u64::from(u16::from_ne_bytes([a, b])) + u64::from(u16::from_ne_bytes([c, 0])),
        [a, b] => u64::from(u16::from_ne_bytes([a, b])),
        [a] => u64::from(u16::from_ne_bytes([a, 0])),
        _ => 0,
    };
    total.wrapping_add(last)
}

/// Folds a sum to 16 bits, adding the carries back in.
pub(crate) const fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    let [lo, hi, ..] = sum.to_le_bytes();
    u16::from_le_bytes([lo, hi])
}
