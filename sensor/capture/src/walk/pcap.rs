//! Classic pcap: <https://www.ietf.org/archive/id/draft-ietf-opsawg-pcap-05.html>, and the dialects in use.

use super::{Found, MAX_FRAME, Next, Order};
use net::{LinkType, Timestamp};

/// Length of the file header in bytes.
pub(super) const HEADER_LEN: usize = 24;
/// Length of a record header in bytes.
const RECORD_LEN: usize = 16;
/// A captured length up to this is believed whatever the file's snaplen says.
const USUAL_FRAME: u32 = 256 << 10;

/// What the magic number tells.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dialect {
    order: Order,
    /// Nanoseconds in one unit of the fraction.
    fraction: i64,
    /// Bytes between the record header and the frame.
    extra: usize,
}

impl Dialect {
    /// By first four bytes of the file.
    pub(super) const ALL: [([u8; 4], Self); 6] = [
        ([0xd4, 0xc3, 0xb2, 0xa1], Self::new(Order::Little, 1000, 0)),
        ([0xa1, 0xb2, 0xc3, 0xd4], Self::new(Order::Big, 1000, 0)),
        ([0x4d, 0x3c, 0xb2, 0xa1], Self::new(Order::Little, 1, 0)),
        ([0xa1, 0xb2, 0x3c, 0x4d], Self::new(Order::Big, 1, 0)),
        // Kuznetzov's: interface index, protocol and packet type follow each record header.
        ([0x34, 0xcd, 0xb2, 0xa1], Self::new(Order::Little, 1000, 8)),
        ([0xa1, 0xb2, 0xcd, 0x34], Self::new(Order::Big, 1000, 8)),
    ];

    const fn new(order: Order, fraction: i64, extra: usize) -> Self {
        Self { order, fraction, extra }
    }
}

/// Which of the two lengths of a record comes first; early writers disagreed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lengths {
    CapturedFirst,
    WireFirst,
    /// The smaller one is the captured one.
    Either,
}

/// A walk past the file header.
#[derive(Debug)]
pub(crate) struct Walk {
    dialect: Dialect,
    link: LinkType,
    max_frame: u32,
    lengths: Lengths,
}

impl Walk {
    pub(super) fn new(dialect: Dialect, header: &[u8; HEADER_LEN]) -> Self {
        let &[_, _, _, _, v0, v1, v2, v3, _, _, _, _, _, _, _, _, s0, s1, s2, s3, n0, n1, n2, n3] = header;
        let order = dialect.order;
        let lengths = match (order.u16([v0, v1]), order.u16([v2, v3])) {
            (2, 3) => Lengths::Either,
            (2, 0..3) => Lengths::WireFirst,
            // Other versions were never defined; what carries such a number looks like 2.4.
            _ => Lengths::CapturedFirst,
        };
        // Upper bits: length of the frame check sequence, and whether it is given.
        let link = u16::try_from(order.u32([n0, n1, n2, n3]) & 0xffff).unwrap_or_default();
        let max = u32::try_from(MAX_FRAME).unwrap_or(u32::MAX);
        let max_frame = match order.u32([s0, s1, s2, s3]) {
            0 => max,
            snaplen => snaplen.clamp(USUAL_FRAME, max),
        };
        Self { dialect, link: LinkType::from_number(link), max_frame, lengths }
    }

    pub(super) fn walk(&mut self, bytes: &[u8], from: usize, found: &mut Found) -> Next {
        let Dialect { order, fraction, extra } = self.dialect;
        let mut rest = bytes.get(from..).unwrap_or_default();
        loop {
            let used = bytes.len() - rest.len();
            let head = rest.split_first_chunk::<RECORD_LEN>();
            let Some((head, after)) = head.and_then(|(head, rest)| Some((head, rest.get(extra..)?))) else {
                return Next::More { used, need: RECORD_LEN + extra };
            };
            let &[s0, s1, s2, s3, p0, p1, p2, p3, a0, a1, a2, a3, b0, b1, b2, b3] = head;
            let [seconds, part] = [[s0, s1, s2, s3], [p0, p1, p2, p3]].map(|bytes| order.u32(bytes));
            let [first, second] = [[a0, a1, a2, a3], [b0, b1, b2, b3]].map(|bytes| order.u32(bytes));
            let swap = match self.lengths {
                Lengths::CapturedFirst => false,
                Lengths::WireFirst => true,
                Lengths::Either => first > second,
            };
            let (captured, wire_len) = if swap { (second, first) } else { (first, second) };
            if captured > self.max_frame {
                found.corrupt(|| {
                    let max = self.max_frame;
                    format!("a packet of {captured} captured bytes (at most {max} are believed); the rest is left out")
                });
                return Next::Stop;
            }
            let Some((data, next)) = after.split_at_checked(captured as usize) else {
                return Next::More { used, need: RECORD_LEN + extra + captured as usize };
            };
            let ts = Timestamp::new(i64::from(seconds), i64::from(part) * fraction);
            found.frame(ts, self.link, bytes.len() - after.len(), data, wire_len);
            rest = next;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Walker;
    use super::*;
    use crate::testing::pcap_header;

    fn record(order: Order, fields: [u32; 4], extra: usize, data: &[u8]) -> Vec<u8> {
        let number = |n: u32| match order {
            Order::Little => n.to_le_bytes(),
            Order::Big => n.to_be_bytes(),
        };
        let mut out: Vec<u8> = fields.into_iter().flat_map(number).collect();
        out.extend(vec![0xee; extra]);
        out.extend(data);
        out
    }

    fn walk(file: &[u8]) -> (Found, Next) {
        let mut found = Found::default();
        let next = Walker::Unknown.walk(file, 0, &mut found);
        (found, next)
    }

    #[test]
    fn every_dialect_gives_the_same_frame() {
        for (magic, order, fraction, extra) in [
            (0xa1b2_c3d4, Order::Little, 654_321, 0),
            (0xa1b2_c3d4, Order::Big, 654_321, 0),
            (0xa1b2_3c4d, Order::Little, 654_321_000, 0),
            (0xa1b2_3c4d, Order::Big, 654_321_000, 0),
            (0xa1b2_cd34, Order::Little, 654_321, 8),
            (0xa1b2_cd34, Order::Big, 654_321, 8),
        ] {
            let mut file = pcap_header(magic, order == Order::Big, (2, 4), 65_535, 1);
            file.extend(record(order, [4_000_000_000, fraction, 3, 60], extra, b"abc"));
            let (found, next) = walk(&file);
            let name = format!("{magic:#x} {order:?}");
            assert_eq!(next, Next::More { used: file.len(), need: 16 + extra }, "{name}");
            let [frame] = found.frames[..] else { panic!("{name}: {found:?}") };
            assert_eq!(frame.ts, Timestamp::new(4_000_000_000, 654_321_000), "{name}");
            assert_eq!(
                (frame.link, frame.wire_len, frame.bytes(&file)),
                (LinkType::Ethernet, 60, &b"abc"[..]),
                "{name}"
            );
        }
    }

    #[test]
    fn the_upper_bits_of_the_link_type_are_masked() {
        let mut file = pcap_header(0xa1b2_c3d4, false, (2, 4), 65_535, 0xf400_0071);
        file.extend(record(Order::Little, [1, 2, 0, 0], 0, b""));
        assert_eq!(walk(&file).0.frames[0].link, LinkType::LinuxSll);
    }

    #[test]
    fn the_lengths_of_early_writers_are_put_right() {
        for (version, lengths) in
            [((2, 4), [2, 60]), ((2, 3), [2, 60]), ((2, 3), [60, 2]), ((2, 2), [60, 2]), ((1, 0), [2, 60])]
        {
            let mut file = pcap_header(0xa1b2_c3d4, false, version, 65_535, 1);
            file.extend(record(Order::Little, [1, 2, lengths[0], lengths[1]], 0, b"ab"));
            let (found, _) = walk(&file);
            assert_eq!((found.frames[0].len, found.frames[0].wire_len), (2, 60), "{version:?} {lengths:?}");
        }
    }

    #[test]
    fn lengths_are_believed_up_to_the_larger_of_snaplen_and_256_kib_and_never_over_16_mib() {
        for (snaplen, captured, believed) in [
            (96, 256 << 10, true),
            (96, (256 << 10) + 1, false),
            (1 << 20, 1 << 20, true),
            (1 << 20, (1 << 20) + 1, false),
            (0, 16 << 20, true),
            (u32::MAX, 16 << 20, true),
            (u32::MAX, (16 << 20) + 1, false),
        ] {
            let mut file = pcap_header(0xa1b2_c3d4, false, (2, 4), snaplen, 1);
            file.extend(record(Order::Little, [1, 2, captured, captured], 0, b""));
            let (found, next) = walk(&file);
            let want = if believed { Next::More { used: 24, need: 16 + captured as usize } } else { Next::Stop };
            assert_eq!(next, want, "{snaplen} {captured}");
            assert_eq!(found.corrupt, u64::from(!believed));
        }
    }
}
