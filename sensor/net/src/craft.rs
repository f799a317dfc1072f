//! Frames made to order, for tests and fuzzing.

use crate::checksum::{fold, sum};
use std::net::{IpAddr, SocketAddr};

/// What to write into the checksum field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Sum {
    /// What belongs there.
    #[default]
    Right,
    /// Anything else.
    Wrong,
    /// The sum of the pseudo header, as offloading leaves it.
    Partial,
}

/// A TCP segment without options.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Segment<'a> {
    pub(crate) src: SocketAddr,
    pub(crate) dst: SocketAddr,
    pub(crate) seq: u32,
    pub(crate) ack: u32,
    pub(crate) flags: u8,
    pub(crate) payload: &'a [u8],
    pub(crate) sum: Sum,
}

impl Segment<'_> {
    /// As an Ethernet frame.
    pub(crate) fn frame(&self) -> Vec<u8> {
        let kind: [u8; 2] = if self.src.is_ipv4() { [8, 0] } else { [0x86, 0xdd] };
        let mut out = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
        out.extend(kind);
        out.extend(self.ip());
        out
    }

    /// As a raw IP packet.
    pub(crate) fn ip(&self) -> Vec<u8> {
        let tcp = self.tcp();
        let mut out = Vec::with_capacity(tcp.len() + 40);
        match (self.src.ip(), self.dst.ip()) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => {
                out.extend([0x45, 0]);
                // Too long for 16 bits: 0, as offloading leaves it.
                out.extend(u16::try_from(tcp.len() + 20).unwrap_or(0).to_be_bytes());
                out.extend([0, 0, 0x40, 0, 64, 6, 0, 0]);
                out.extend(src.octets());
                out.extend(dst.octets());
            }
            (src, dst) => {
                out.extend([0x60, 0, 0, 0]);
                out.extend(u16::try_from(tcp.len()).unwrap_or(0).to_be_bytes());
                out.extend([6, 64]);
                out.extend(octets(src));
                out.extend(octets(dst));
            }
        }
        out.extend(tcp);
        out
    }

    fn tcp(&self) -> Vec<u8> {
        let len = u32::try_from(self.payload.len() + 20).unwrap_or(0);
        let mut pseudo = Vec::from(len.to_be_bytes());
        pseudo.extend([0, 6]);
        pseudo.extend(octets(self.src.ip()));
        pseudo.extend(octets(self.dst.ip()));
        let pseudo = sum(&pseudo);
        let field = match self.sum {
            Sum::Right => !fold(pseudo + sum(&self.tcp_with([0, 0]))),
            Sum::Wrong => !fold(pseudo + sum(&self.tcp_with([0, 1]))),
            Sum::Partial => fold(pseudo),
        };
        self.tcp_with(field.to_ne_bytes())
    }

    fn tcp_with(&self, checksum: [u8; 2]) -> Vec<u8> {
        let mut out = Vec::with_capacity(20 + self.payload.len());
        out.extend(self.src.port().to_be_bytes());
        out.extend(self.dst.port().to_be_bytes());
        out.extend(self.seq.to_be_bytes());
        out.extend(self.ack.to_be_bytes());
        out.extend([0x50, self.flags, 0x20, 0]);
        out.extend(checksum);
        out.extend([0, 0]);
        out.extend(self.payload);
        out
    }
}

/// A fragment of a datagram between two fixed hosts, as a raw IP packet. `place` is the word that says where it
/// belongs (RFC 791 §3.1, RFC 8200 §4.5). `fill` pads a length that is not a multiple of eight.
pub(crate) fn fragment(v4: bool, id: u8, protocol: u8, place: [u8; 2], payload: &[u8], fill: u8) -> Vec<u8> {
    let mut payload = payload.to_vec();
    if fill & 1 == 0 {
        payload.resize(payload.len().next_multiple_of(8), fill);
    }
    let protocol = *[6, 17, 4, 44].get(usize::from(protocol)).unwrap_or(&6);
    let mut out = Vec::with_capacity(48 + payload.len());
    if v4 {
        out.extend([0x45, 0]);
        out.extend(u16::try_from(payload.len() + 20).unwrap_or(0).to_be_bytes());
        out.extend([0, id]);
        out.extend(place);
        out.extend([64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    } else {
        out.extend([0x60, 0, 0, 0]);
        out.extend(u16::try_from(payload.len() + 8).unwrap_or(0).to_be_bytes());
        out.extend([44, 64]);
        out.extend([[0xfd; 16], [0xfc; 16]].concat());
        out.extend([protocol, 0]);
        out.extend(place);
        out.extend([0, 0, 0, id]);
    }
    out.extend(payload);
    out
}

fn octets(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(ip) => ip.octets().into(),
        IpAddr::V6(ip) => ip.octets().into(),
    }
}
