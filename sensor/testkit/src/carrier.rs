//! Tunnels and fragments around the frames of a capture.
//!
//! Everything here takes an Ethernet frame and gives one back: what was sent, as it looks on a wire where somebody
//! carries or cuts it. The outer ends are swapped with the direction of the inner frame.

use crate::frame::{fold, sum};

/// A way to carry a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// VXLAN with this VNI, to the usual port.
    Vxlan(u32),
    /// The same to the port that Linux had before.
    VxlanLinux(u32),
    /// Geneve with this VNI and so many words of options.
    Geneve(u32, u8),
    /// Geneve that carries IP.
    GeneveIp(u32),
    /// GRE that carries IP, with this key.
    Gre(Option<u32>),
    /// GRE with checksum, key and sequence number.
    GreAll(u32),
    /// GRE that carries Ethernet.
    GreBridged(u32),
    /// ERSPAN type II of this session.
    Erspan2(u16),
    /// ERSPAN type III of this session, with the optional part or not.
    Erspan3(u16, bool),
    /// One label, with IP behind it; another one on the way back.
    Mpls,
    /// One label on the way there, none on the way back.
    MplsOneWay,
    /// Three labels and an Ethernet pseudowire, with a control word or not.
    Pseudowire(bool),
    /// A `PPPoE` session.
    Pppoe(u16),
    /// In IPv4: `ipip` or `6in4`.
    InIpv4,
    /// In IPv6: `4in6` or `6in6`.
    InIpv6,
    /// Two VLAN tags, of a provider and of its customer.
    QinQ,
}

impl Carrier {
    /// One of each.
    pub const ALL: [Self; 18] = [
        Self::Vxlan(7001),
        Self::VxlanLinux(42),
        Self::Geneve(0x00ab_cdef, 0),
        Self::Geneve(9, 8),
        Self::GeneveIp(11),
        Self::Gre(None),
        Self::Gre(Some(5)),
        Self::GreAll(6),
        Self::GreBridged(7),
        Self::Erspan2(100),
        Self::Erspan3(1023, false),
        Self::Erspan3(3, true),
        Self::Mpls,
        Self::MplsOneWay,
        Self::Pseudowire(true),
        Self::Pseudowire(false),
        Self::Pppoe(17),
        Self::QinQ,
    ];

    /// What `flow.tunnel` says; nothing for tags.
    pub fn word(self, v6: bool) -> Option<String> {
        Some(match self {
            Self::Vxlan(id) | Self::VxlanLinux(id) => format!("vxlan:{id}"),
            Self::Geneve(id, _) | Self::GeneveIp(id) => format!("geneve:{id}"),
            Self::Gre(None) => "gre".to_owned(),
            Self::Gre(Some(id)) | Self::GreAll(id) | Self::GreBridged(id) => format!("gre:{id}"),
            Self::Erspan2(id) | Self::Erspan3(id, _) => format!("erspan:{id}"),
            Self::Mpls | Self::MplsOneWay | Self::Pseudowire(_) => "mpls".to_owned(),
            Self::Pppoe(id) => format!("pppoe:{id}"),
            Self::InIpv4 => if v6 { "6in4" } else { "ipip" }.to_owned(),
            Self::InIpv6 => if v6 { "6in6" } else { "4in6" }.to_owned(),
            Self::QinQ => return None,
        })
    }

    /// `frame`, carried.
    pub fn carry(self, frame: &[u8]) -> Vec<u8> {
        let (link, kind, packet) = split(frame);
        let back = link[..6] < link[6..12];
        let word = |id: u32| id.to_be_bytes();
        let vni = |id: u32| (id << 8).to_be_bytes();
        let gre = |flags: u8, kind: [u8; 2], options: &[u8], inner: &[u8]| {
            ipv4(back, 47, &[&[flags, 0], &kind, options, inner].concat())
        };
        let erspan = |version: u8, id: u16| [version << 4, 5, (id >> 8) as u8, id as u8];
        match self {
            Self::Vxlan(id) => udp(back, 4789, &[&[8, 0, 0, 0], &vni(id), frame].concat()),
            Self::VxlanLinux(id) => udp(back, 8472, &[&[8, 0, 0, 0], &vni(id), frame].concat()),
            Self::Geneve(id, words) => {
                let option = [1, 8, 1, 0].repeat(usize::from(words));
                udp(back, 6081, &[&[words, 0, 0x65, 0x58], &vni(id), &option[..], frame].concat())
            }
            Self::GeneveIp(id) => udp(back, 6081, &[&[0, 0], &kind, &vni(id)[..], packet].concat()),
            Self::Gre(None) => gre(0, kind, &[], packet),
            Self::Gre(Some(id)) => gre(0x20, kind, &word(id), packet),
            Self::GreAll(id) => gre(0xb0, kind, &[&[9, 9, 0, 0], &word(id)[..], &[0, 0, 0, 1]].concat(), packet),
            Self::GreBridged(id) => gre(0x20, [0x65, 0x58], &word(id), frame),
            Self::Erspan2(id) => {
                gre(0x10, [0x88, 0xbe], &[&[0, 0, 0, 1], &erspan(1, id)[..], &[0, 0, 0, 3]].concat(), frame)
            }
            Self::Erspan3(id, more) => {
                let tail = [0, 0, 0, 9, 0, 0, 0, u8::from(more)];
                let more: &[u8] = if more { &[0; 8] } else { &[] };
                gre(0x10, [0x22, 0xeb], &[&[0, 0, 0, 1], &erspan(2, id)[..], &tail, more].concat(), frame)
            }
            Self::Mpls => ethernet(link, [0x88, 0x47], &[&label(if back { 300 } else { 100 }, true), packet].concat()),
            Self::MplsOneWay if back => frame.to_vec(),
            Self::MplsOneWay => ethernet(link, [0x88, 0x47], &[&label(16, true), packet].concat()),
            Self::Pseudowire(word) => {
                let labels = [label(1, false), label(2, false), label(999, true)].concat();
                let word: &[u8] = if word { &[0, 0, 0, 8] } else { &[] };
                ethernet(&OUTER[..], [0x88, 0x47], &[&labels, word, frame].concat())
            }
            Self::Pppoe(id) => {
                let protocol = if kind == [0x86, 0xdd] { [0, 0x57] } else { [0, 0x21] };
                let len = (packet.len() as u16 + 2).to_be_bytes();
                ethernet(link, [0x88, 0x64], &[&[0x11, 0], &id.to_be_bytes()[..], &len, &protocol, packet].concat())
            }
            Self::InIpv4 => ipv4(back, if kind == [0x86, 0xdd] { 41 } else { 4 }, packet),
            Self::InIpv6 => {
                let next = if kind == [0x86, 0xdd] { 41 } else { 4 };
                let (a, b) = ends(back, [[0xfd; 16], [0xfe; 16]]);
                let len = (packet.len() as u16).to_be_bytes();
                let head = [&[0x60, 0, 0, 0], &len[..], &[next, 64], &a, &b].concat();
                ethernet(&OUTER[..], [0x86, 0xdd], &[&head, packet].concat())
            }
            Self::QinQ => ethernet(link, [0x88, 0xa8], &[&[0, 7, 0x81, 0, 0, 8], &kind[..], packet].concat()),
        }
    }
}

/// Between two tunnel ends.
const OUTER: [u8; 12] = [2, 0xff, 0, 0, 0, 1, 2, 0xff, 0, 0, 0, 2];

fn ends<T>(back: bool, [a, b]: [T; 2]) -> (T, T) {
    if back { (b, a) } else { (a, b) }
}

/// Addresses, ethertype and the rest of an untagged frame.
fn split(frame: &[u8]) -> (&[u8], [u8; 2], &[u8]) {
    (&frame[..12], [frame[12], frame[13]], &frame[14..])
}

fn ethernet(link: &[u8], kind: [u8; 2], packet: &[u8]) -> Vec<u8> {
    [link, &kind, packet].concat()
}

fn label(label: u32, last: bool) -> [u8; 4] {
    (label << 12 | u32::from(last) << 8 | 64).to_be_bytes()
}

/// An IPv4 packet between the tunnel ends, with its checksum.
fn ipv4(back: bool, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let mut head = [0x45, 0, 0, 0, 0, 0, 0, 0, 64, protocol, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    head[2..4].copy_from_slice(&(20 + payload.len() as u16).to_be_bytes());
    let (from, to) = ends(back, [[192, 0, 2, 1], [192, 0, 2, 2]]);
    head[12..16].copy_from_slice(&from);
    head[16..20].copy_from_slice(&to);
    let checksum = fold(sum(&head, 0));
    head[10..12].copy_from_slice(&checksum.to_be_bytes());
    ethernet(&OUTER[..], [8, 0], &[&head, payload].concat())
}

fn udp(back: bool, port: u16, payload: &[u8]) -> Vec<u8> {
    let len = (8 + payload.len() as u16).to_be_bytes();
    ipv4(back, 17, &[&[0xc3, 0x50], &port.to_be_bytes()[..], &len, &[0, 0], payload].concat())
}

/// A SYN over IPv4 in VXLAN with this VNI.
pub fn vxlan_frame(vni: u32) -> Vec<u8> {
    let mut capture = crate::Capture::new();
    capture.flow("10.0.0.1:50000", "10.0.0.2:8000", crate::Wire::default());
    Carrier::Vxlan(vni).carry(&capture.frames()[0].1)
}

/// The IP packet of an untagged Ethernet frame in fragments of at most `size` bytes, a multiple of 8, in their order.
/// A packet that fits stays as it is. `id` tells its fragments from those of others.
pub fn fragments(frame: &[u8], size: usize, id: u32) -> Vec<Vec<u8>> {
    let whole = payload(frame);
    if whole.len() <= size {
        return vec![frame.to_vec()];
    }
    let pieces: Vec<_> = whole.chunks(size).collect();
    let last = pieces.len() - 1;
    pieces.iter().enumerate().map(|(n, bytes)| fragment(frame, n * size, n != last, bytes, id)).collect()
}

/// What the IP packet of an untagged Ethernet frame carries.
pub fn payload(frame: &[u8]) -> &[u8] {
    if frame[12..14] == [8, 0] { &frame[34..] } else { &frame[54..] }
}

/// One fragment by hand: `bytes` at `offset` of the packet in `frame`, and whether more follow.
pub fn fragment(frame: &[u8], offset: usize, more: bool, bytes: &[u8], id: u32) -> Vec<u8> {
    let (link, kind, packet) = split(frame);
    if kind == [8, 0] {
        let mut head = packet[..20].to_vec();
        head[2..4].copy_from_slice(&(20 + bytes.len() as u16).to_be_bytes());
        head[4..6].copy_from_slice(&(id as u16).to_be_bytes());
        head[6..8].copy_from_slice(&((offset / 8) as u16 | u16::from(more) << 13).to_be_bytes());
        head[10..12].fill(0);
        let checksum = fold(sum(&head, 0));
        head[10..12].copy_from_slice(&checksum.to_be_bytes());
        return ethernet(link, kind, &[&head, bytes].concat());
    }
    let mut head = packet[..40].to_vec();
    let next = std::mem::replace(&mut head[6], 44);
    head[4..6].copy_from_slice(&(8 + bytes.len() as u16).to_be_bytes());
    let place = (offset as u16 | u16::from(more)).to_be_bytes();
    ethernet(link, kind, &[&head[..], &[next, 0], &place[..], &id.to_be_bytes(), bytes].concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Capture, Direction, Wire};

    #[test]
    fn fragments_add_up_and_only_the_last_is_the_last() {
        for (client, server) in [("10.0.0.1:4000", "10.0.0.2:80"), ("[fd00::1]:4000", "[fd00::2]:80")] {
            let mut capture = Capture::new();
            let flow = capture.flow(client, server, Wire { midstream: true, ..Wire::default() });
            capture.send(flow, Direction::ToServer, &[7; 100]);
            let frame = &capture.frames()[0].1;
            let parts = fragments(frame, 48, 1);
            let head = parts[0].len() - 48;
            assert_eq!(parts.iter().flat_map(|p| p[head..].to_vec()).collect::<Vec<_>>(), payload(frame));
            assert_eq!(parts.len(), 3);
            assert_eq!(&fragments(frame, 4000, 1), std::slice::from_ref(frame));
        }
    }

    #[test]
    fn the_outer_ends_are_swapped_with_the_direction() {
        let mut capture = Capture::new();
        capture.flow("10.0.0.1:4000", "10.0.0.2:80", Wire::default());
        let carried: Vec<_> = capture.frames().iter().map(|(_, f)| Carrier::Vxlan(1).carry(f)).collect();
        assert_eq!(carried[0][26..30], carried[1][30..34]);
        assert_ne!(carried[0][26..30], carried[1][26..30]);
    }
}
