//! The headers of one packet: finding them, and making lengths and checksums fit again after a change.

use std::ops::Range;

/// Where the headers of a packet are, as far as it has them whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) ip: Range<usize>,
    pub(super) transport: Range<usize>,
    /// What the transport carries, to the end of the frame.
    pub(super) payload: usize,
    tcp: bool,
    v6: bool,
}

/// Finds IP and TCP or UDP behind a link header of type `link`: Ethernet with tags, Linux cooked, loopback or none.
pub(super) fn layout(frame: &[u8], link: u32) -> Option<Layout> {
    let mut at = match link {
        1 => 12,
        113 => 14,
        0 | 108 => 4,
        12 | 101 | 228 | 229 => 0,
        _ => return None,
    };
    if link == 1 || link == 113 {
        while let [0x81, 0] | [0x88, 0xa8] = frame.get(at..at + 2)? {
            at += 4;
        }
        at += 2;
    }
    let first = *frame.get(at)?;
    let v6 = first >> 4 == 6;
    let (header, protocol) = match first >> 4 {
        4 => (usize::from(first & 15) * 4, *frame.get(at + 9)?),
        6 => (40, *frame.get(at + 6)?),
        _ => return None,
    };
    let transport = at + header;
    let tcp = protocol == 6;
    let len = match protocol {
        6 => usize::from(frame.get(transport + 12)? >> 4) * 4,
        17 => 8,
        _ => return None,
    };
    let payload = transport + len;
    let whole = header >= 20 && len >= 8 && payload <= frame.len();
    whole.then_some(Layout { ip: at..transport, transport: transport..payload, payload, tcp, v6 })
}

fn sum(bytes: &[u8], start: u64) -> u64 {
    bytes
        .chunks(2)
        .fold(start, |sum, pair| sum + u64::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)])))
}

fn fold(mut sum: u64) -> [u8; 2] {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    (!(sum as u16)).to_be_bytes()
}

fn put(frame: &mut [u8], at: usize, value: [u8; 2]) {
    if let Some(place) = frame.get_mut(at..at + 2) {
        place.copy_from_slice(&value);
    }
}

/// Makes lengths and checksums fit what the frame holds, so that damage further up is looked at.
pub(super) fn repair(frame: &mut [u8], link: u32) {
    let Some(layout) = layout(frame, link) else { return };
    let (ip, transport, end) = (layout.ip.start, layout.transport.start, frame.len());
    let segment = end - transport;
    let addresses = if layout.v6 { ip + 8..ip + 40 } else { ip + 12..ip + 20 };
    if layout.v6 {
        put(frame, ip + 4, (segment as u16).to_be_bytes());
    } else {
        put(frame, ip + 2, ((end - ip) as u16).to_be_bytes());
        put(frame, ip + 10, [0, 0]);
        let checksum = fold(sum(&frame[layout.ip.clone()], 0));
        put(frame, ip + 10, checksum);
    }
    let checksum_at = transport + if layout.tcp { 16 } else { 6 };
    if !layout.tcp {
        put(frame, transport + 4, (segment as u16).to_be_bytes());
    }
    put(frame, checksum_at, [0, 0]);
    let pseudo = sum(&frame[addresses], segment as u64 + if layout.tcp { 6 } else { 17 });
    let checksum = fold(sum(&frame[transport..], pseudo));
    put(frame, checksum_at, checksum);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Capture, Direction, Link, Wire};

    #[test]
    fn a_repaired_packet_is_what_it_was_before_the_damage() {
        for (link, number) in [(Link::Ethernet, 1), (Link::LinuxCooked, 113), (Link::RawIp, 101)] {
            for ends in [["10.0.0.1:5", "10.0.0.2:6"], ["[fd00::1]:5", "[fd00::2]:6"]] {
                let mut capture = Capture::with_link(link);
                let vlan = (link == Link::Ethernet).then_some(7);
                let flow = capture.flow(ends[0], ends[1], Wire { vlan, ..Wire::default() });
                capture.send(flow, Direction::ToServer, b"hello");
                for (_, frame) in capture.frames() {
                    let found = layout(frame, number).unwrap();
                    let mut broken = frame.clone();
                    put(&mut broken, found.ip.start + if found.v6 { 4 } else { 2 }, [1, 1]);
                    put(&mut broken, found.transport.start + 16, [1, 1]);
                    repair(&mut broken, number);
                    assert_eq!(broken, *frame, "{link:?} {ends:?}");
                }
            }
        }
    }
}
