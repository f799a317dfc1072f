//! One TCP segment to one frame: checksums, IPv4 or IPv6, link header.

use crate::capture::Link;
use std::net::{IpAddr, SocketAddr};

/// One TCP segment, ready to be framed.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    pub(crate) from: SocketAddr,
    pub(crate) to: SocketAddr,
    pub(crate) seq: u32,
    pub(crate) ack: u32,
    pub(crate) flags: u8,
    pub(crate) payload: Vec<u8>,
}

/// What only odd segments have.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Header {
    /// Time to live, or hop limit.
    pub(crate) ttl: u8,
    pub(crate) urgent: u16,
    /// IPv6 only: behind a fragment header that says the packet is whole (RFC 6946).
    pub(crate) atomic: bool,
    pub(crate) good_checksum: bool,
}

impl Default for Header {
    fn default() -> Self {
        Self { ttl: 64, urgent: 0, atomic: false, good_checksum: true }
    }
}

pub(crate) const FIN: u8 = 0x01;
pub(crate) const SYN: u8 = 0x02;
pub(crate) const RST: u8 = 0x04;
pub(crate) const PSH: u8 = 0x08;
pub(crate) const ACK: u8 = 0x10;
pub(crate) const URG: u8 = 0x20;

/// Sum of 16-bit words with end-around carry, not yet complemented (RFC 1071).
pub(crate) fn sum(bytes: &[u8], start: u64) -> u64 {
    bytes
        .chunks(2)
        .fold(start, |sum, pair| sum + u64::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)])))
}

pub(crate) fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// The TCP header and payload, with its checksum over the pseudo-header (RFC 9293 section 3.1).
fn tcp(segment: &Segment, header: Header) -> Vec<u8> {
    let mut out = Vec::with_capacity(20 + segment.payload.len());
    out.extend_from_slice(&segment.from.port().to_be_bytes());
    out.extend_from_slice(&segment.to.port().to_be_bytes());
    out.extend_from_slice(&segment.seq.to_be_bytes());
    out.extend_from_slice(&segment.ack.to_be_bytes());
    out.extend_from_slice(&[5 << 4, segment.flags, 0xff, 0xff, 0, 0]);
    out.extend_from_slice(&header.urgent.to_be_bytes());
    out.extend_from_slice(&segment.payload);
    let mut pseudo = Vec::new();
    for ip in [segment.from.ip(), segment.to.ip()] {
        match ip {
            IpAddr::V4(ip) => pseudo.extend_from_slice(&ip.octets()),
            IpAddr::V6(ip) => pseudo.extend_from_slice(&ip.octets()),
        }
    }
    let start = sum(&pseudo, 6 + out.len() as u64);
    let mut checksum = fold(sum(&out, start));
    if !header.good_checksum {
        checksum = checksum.wrapping_add(0x1234);
    }
    out[16..18].copy_from_slice(&checksum.to_be_bytes());
    out
}

/// The whole frame. A segment over 65,515 bytes gets an IP length of 0, as segmentation offload leaves it.
pub(crate) fn build(segment: &Segment, link: Link, vlan: Option<u16>, ip_id: u16, good_checksum: bool) -> Vec<u8> {
    build_with(segment, link, vlan, ip_id, Header { good_checksum, ..Header::default() })
}

/// As [`build`], with what odd segments have.
pub(crate) fn build_with(segment: &Segment, link: Link, vlan: Option<u16>, ip_id: u16, header: Header) -> Vec<u8> {
    let tcp = tcp(segment, header);
    let mut out = Vec::with_capacity(tcp.len() + 60);
    let ethertype: u16 = if segment.from.is_ipv4() { 0x0800 } else { 0x86dd };
    let mac = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => {
            let [a, b, c, d] = ip.octets();
            [2, 0, a, b, c, d]
        }
        IpAddr::V6(ip) => {
            let o = ip.octets();
            [2, 6, o[12], o[13], o[14], o[15]]
        }
    };
    match link {
        Link::Ethernet => {
            out.extend_from_slice(&mac(segment.to.ip()));
            out.extend_from_slice(&mac(segment.from.ip()));
            if let Some(id) = vlan {
                out.extend_from_slice(&0x8100_u16.to_be_bytes());
                out.extend_from_slice(&id.to_be_bytes());
            }
            out.extend_from_slice(&ethertype.to_be_bytes());
        }
        Link::LinuxCooked => {
            out.extend_from_slice(&[0, 0, 0, 1, 0, 6]);
            out.extend_from_slice(&mac(segment.from.ip()));
            out.extend_from_slice(&[0, 0]);
            out.extend_from_slice(&ethertype.to_be_bytes());
        }
        Link::RawIp => {}
    }
    match (segment.from.ip(), segment.to.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let total = u16::try_from(20 + tcp.len()).unwrap_or(0);
            let mut ip = vec![0x45, 0];
            ip.extend_from_slice(&total.to_be_bytes());
            ip.extend_from_slice(&ip_id.to_be_bytes());
            ip.extend_from_slice(&[0x40, 0, header.ttl, 6, 0, 0]);
            ip.extend_from_slice(&from.octets());
            ip.extend_from_slice(&to.octets());
            let checksum = fold(sum(&ip, 0));
            ip[10..12].copy_from_slice(&checksum.to_be_bytes());
            out.extend_from_slice(&ip);
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            let (first, between): (u8, &[u8]) = if header.atomic { (44, &[6, 0, 0, 0, 0, 0, 0, 1]) } else { (6, &[]) };
            out.extend_from_slice(&[0x60, 0, 0, 0]);
            out.extend_from_slice(&u16::try_from(between.len() + tcp.len()).unwrap_or(0).to_be_bytes());
            out.extend_from_slice(&[first, header.ttl]);
            out.extend_from_slice(&from.octets());
            out.extend_from_slice(&to.octets());
            out.extend_from_slice(between);
        }
        _ => panic!("both ends of a flow must be of one IP version"),
    }
    out.extend_from_slice(&tcp);
    out
}

/// A UDP datagram in an Ethernet frame; over IPv4 without a checksum, as RFC 768 allows.
pub(crate) fn ip_udp(from: SocketAddr, to: SocketAddr, payload: &[u8], ip_id: u16) -> Vec<u8> {
    let length = u16::try_from(8 + payload.len()).expect("a datagram of less than 64 KiB");
    let (source, destination) = match (from.ip(), to.ip()) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => (source, destination),
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let mut udp = [from.port(), to.port(), length, 0].map(u16::to_be_bytes).concat();
            udp.extend_from_slice(payload);
            let ends = [source.octets(), destination.octets()].concat();
            let checksum = fold(sum(&udp, sum(&ends, 17 + u64::from(length))));
            udp[6..8].copy_from_slice(&if checksum == 0 { 0xffff } else { checksum }.to_be_bytes());
            let mut out = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x86, 0xdd, 0x60, 0, 0, 0];
            out.extend_from_slice(&length.to_be_bytes());
            out.extend_from_slice(&[17, 64]);
            out.extend_from_slice(&ends);
            out.extend_from_slice(&udp);
            return out;
        }
        _ => panic!("both ends must be of one IP version"),
    };
    let mut out = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0];
    let mut ip = vec![0x45, 0];
    ip.extend_from_slice(&(20 + length).to_be_bytes());
    ip.extend_from_slice(&ip_id.to_be_bytes());
    ip.extend_from_slice(&[0, 0, 64, 17, 0, 0]);
    ip.extend_from_slice(&source.octets());
    ip.extend_from_slice(&destination.octets());
    let checksum = fold(sum(&ip, 0));
    ip[10..12].copy_from_slice(&checksum.to_be_bytes());
    out.extend_from_slice(&ip);
    for word in [from.port(), to.port(), length, 0] {
        out.extend_from_slice(&word.to_be_bytes());
    }
    out.extend_from_slice(payload);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_come_out_as_the_worked_example_of_rfc_1071_says() {
        assert_eq!(sum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7], 0), 0x2_ddf0);
        assert_eq!(fold(0x2_ddf0), !0xddf2);
    }

    #[test]
    fn a_good_segment_sums_to_zero_and_a_bad_one_does_not() {
        for (from, to) in [("10.0.0.1:4000", "10.0.0.2:80"), ("[fd00::1]:4000", "[fd00::2]:80")] {
            let segment = Segment {
                from: from.parse().unwrap(),
                to: to.parse().unwrap(),
                seq: 7,
                ack: 9,
                flags: ACK,
                payload: b"odd".to_vec(),
            };
            for good in [true, false] {
                let bytes = tcp(&segment, Header { good_checksum: good, ..Header::default() });
                let mut pseudo = Vec::new();
                for ip in [segment.from.ip(), segment.to.ip()] {
                    match ip {
                        IpAddr::V4(ip) => pseudo.extend_from_slice(&ip.octets()),
                        IpAddr::V6(ip) => pseudo.extend_from_slice(&ip.octets()),
                    }
                }
                let total = sum(&bytes, sum(&pseudo, 6 + bytes.len() as u64));
                assert_eq!(fold(total) == 0, good, "{from}");
            }
        }
    }
}
