//! The TCP checksum (RFC 9293 §3.1, RFC 1071).

use crate::{End, Packet};

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
    let address = |end: End| {
        let [high, low] = end.words();
        let sum = |word: u64| (word.to_be() >> 32) + (word.to_be() & 0xffff_ffff);
        sum(high) + sum(low)
    };
    address(packet.tuple.src) + address(packet.tuple.dst) + sum(&[l0, l1, l2, l3, 0, 6])
}

/// Sum of 16-bit words in the machine's own order, not folded to the end: a ones' complement sum does not care. Eight
/// bytes at a time, carries and all: two instructions. It fits into 34 bits, whatever the bytes.
pub(crate) fn sum(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let mut last = [0; 8];
    last.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
    let add = |sum: u128, word: &[u8; 8]| sum.wrapping_add(u64::from_ne_bytes(*word).into());
    let sum = add(words.iter().fold(0, add), &last);
    // What is carried out of 64 bits is worth 1, as what is carried out of 16 is.
    [0, 32, 64].into_iter().map(|shift| (sum >> shift & 0xffff_ffff) as u64).sum()
}

/// Folds a sum to 16 bits, adding the carries back in.
pub(crate) const fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    let [lo, hi, ..] = sum.to_le_bytes();
    u16::from_le_bytes([lo, hi])
}

#[cfg(test)]
mod tests {
    use super::{fold, sum};
    use proptest::collection::vec;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn sums_are_those_of_the_words_one_by_one(bytes in vec(prop_oneof![Just(0xff), Just(0), any::<u8>()], 0..100)) {
            let words = bytes.chunks(2).map(|pair| u16::from_ne_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]));
            let total: u64 = words.map(u64::from).sum();
            prop_assert_eq!(fold(sum(&bytes)), fold(total));
        }
    }
}
