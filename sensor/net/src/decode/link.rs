//! The link layer: Ethernet, VLAN tags, Linux cooked, BSD loopback, raw IP.

use super::{Layers, MAX_VLAN_TAGS, Undecoded, be16};
use crate::{End, FiveTuple, Frame, LinkType, Packet, TcpHeader, Transport, Tunnel};
use std::net::Ipv4Addr;
use std::num::NonZeroU16;

/// Where TCP begins in a frame that [`usual`] reads.
const TRANSPORT: u32 = 34;

impl Layers<'_, '_> {
    pub(crate) fn link(&mut self) -> Result<Packet, Undecoded> {
        match self.frame.link {
            LinkType::Ethernet => match usual(self.frame) {
                Some(packet) => Ok(packet),
                None => self.ethernet(0),
            },
            LinkType::Raw => self.ip(0),
            LinkType::Ipv4 => self.ipv4(0),
            LinkType::Ipv6 => self.ipv6(0),
            LinkType::LinuxSll => self.cooked(),
            LinkType::LinuxSll2 => self.cooked2(),
            LinkType::Null | LinkType::Loop => self.loopback(),
            LinkType::Other(n) => Err(Undecoded::LinkType(n)),
        }
    }

    pub(super) fn ethernet(&mut self, at: usize) -> Result<Packet, Undecoded> {
        self.outer.src_mac = Some(*self.array(at + 6)?);
        let &[hi, lo] = self.array(at + 12)?;
        self.ethertype(be16(hi, lo), at + 14)
    }

    /// Linux cooked v1: packet type, hardware type, address length, address, protocol.
    fn cooked(&mut self) -> Result<Packet, Undecoded> {
        let &[.., hi, lo] = self.array::<16>(0)?;
        if *self.array(4)? == [0, 6] {
            self.outer.src_mac = Some(*self.array(6)?);
        }
        self.ethertype(be16(hi, lo), 16)
    }

    /// Linux cooked v2: protocol first, then interface, hardware type, packet type, address length, address.
    fn cooked2(&mut self) -> Result<Packet, Undecoded> {
        let &[hi, lo, ..] = self.array::<20>(0)?;
        if *self.array(11)? == [6] {
            self.outer.src_mac = Some(*self.array(12)?);
        }
        self.ethertype(be16(hi, lo), 20)
    }

    /// BSD loopback: an address family in the byte order of whoever wrote the file. Families are small numbers, so
    /// both orders can be read without knowing which.
    fn loopback(&mut self) -> Result<Packet, Undecoded> {
        match *self.array(0)? {
            [family, 0, 0, 0] | [0, 0, 0, family] => match family {
                2 => self.ipv4(4),
                10 | 24 | 28 | 30 => self.ipv6(4),
                _ => Err(Undecoded::NotIp),
            },
            _ => Err(Undecoded::NotIp),
        }
    }

    /// Reads VLAN tags, then goes on by ethertype with the bytes at `at`.
    pub(super) fn ethertype(&mut self, mut kind: u16, mut at: usize) -> Result<Packet, Undecoded> {
        let mut tags = 0;
        while matches!(kind, 0x8100 | 0x88a8 | 0x9100 | 0x9200) {
            if tags == MAX_VLAN_TAGS {
                return Err(Undecoded::TooManyHeaders);
            }
            let &[id_hi, id_lo, hi, lo] = self.array(at)?;
            self.tag(be16(id_hi, id_lo) & 0x0fff);
            kind = be16(hi, lo);
            at += 4;
            tags += 1;
        }
        match kind {
            0x0800 => self.ipv4(at),
            0x86dd => self.ipv6(at),
            0x8847 | 0x8848 => self.mpls(at),
            0x8864 => self.pppoe(at),
            // Up to 1500 this is a length (IEEE 802.3), and LLC follows; 4 is how Linux cooked says the same.
            0..=1500 => self.llc(at),
            // ARP, RARP, 802.1X, slow protocols, LLDP, PPPoE discovery, loop test, PTP, CFM, Wake-on-LAN.
            0x0806 | 0x8035 | 0x888e | 0x8809 | 0x88cc | 0x8863 | 0x9000 | 0x88f7 | 0x8902 | 0x0842 => {
                Err(Undecoded::NotIp)
            }
            kind => Err(unopened(kind).map_or(Undecoded::EtherType(kind), Undecoded::Carrier)),
        }
    }

    /// IEEE 802.2: only SNAP with an ethertype leads to IP; the rest is spanning tree, IS-IS and the like.
    fn llc(&mut self, at: usize) -> Result<Packet, Undecoded> {
        match *self.array(at)? {
            [0xaa, 0xaa, 3, 0, 0, 0 | 0xf8, hi, lo] => match be16(hi, lo) {
                0x0800 => self.ipv4(at + 8),
                0x86dd => self.ipv6(at + 8),
                _ => Err(Undecoded::NotIp),
            },
            _ => Err(Undecoded::NotIp),
        }
    }

    /// Keeps the first two VLAN ids. Id 0 is a priority tag and names no VLAN.
    fn tag(&mut self, id: u16) {
        if let Some(id) = NonZeroU16::new(id)
            && let Some(free) = self.outer.vlan.iter_mut().find(|v| v.is_none())
        {
            *free = Some(id);
        }
    }
}

/// What most frames hold, read in one go: Ethernet without a tag, IPv4 without options and in one part, TCP, all of it
/// captured. `None` leaves a frame to the way that is for all of them, which would say the same of this one.
#[inline]
fn usual(frame: &Frame<'_>) -> Option<Packet> {
    let (&[_, _, _, _, _, _, ref src_mac @ .., 0x08, 0x00], rest) = frame.data.split_first_chunk::<14>()? else {
        return None;
    };
    let (&[0x45, _, len_hi, len_lo, _, _, frag_hi, frag_lo, ttl, 6, _, _, ref addresses @ ..], rest) =
        rest.split_first_chunk::<20>()?
    else {
        return None;
    };
    let &[a0, a1, a2, a3, b0, b1, b2, b3] = addresses;
    let &[sp0, sp1, dp0, dp1, s0, s1, s2, s3, k0, k1, k2, k3, offset, flags, w0, w1, c0, c1, u0, u1] =
        rest.first_chunk()?;
    let end = u32::from(be16(len_hi, len_lo)) + TRANSPORT - 20;
    let payload = TRANSPORT + u32::from(offset >> 4) * 4;
    let whole = usize::try_from(end).is_ok_and(|end| end <= frame.data.len());
    if be16(frag_hi, frag_lo) & 0x3fff != 0 || offset < 0x50 || payload > end || !whole {
        return None;
    }
    let end_of = |octets: [u8; 4], port| End::new(Ipv4Addr::from_octets(octets).into(), port);
    Some(Packet {
        place: frame.place,
        ts: frame.ts,
        tuple: FiveTuple {
            src: end_of([a0, a1, a2, a3], be16(sp0, sp1)),
            dst: end_of([b0, b1, b2, b3], be16(dp0, dp1)),
            transport: Transport::Tcp,
            tunnel: Tunnel::NONE,
        },
        src_mac: Some(*src_mac),
        ttl,
        vlan: [None; 2],
        tcp: Some(TcpHeader {
            seq: u32::from_be_bytes([s0, s1, s2, s3]),
            ack: u32::from_be_bytes([k0, k1, k2, k3]),
            flags,
            urgent: be16(u0, u1),
            window: be16(w0, w1),
            checksum: be16(c0, c1),
        }),
        transport_bytes: TRANSPORT..end,
        payload: payload..end,
        wire_payload: end - payload,
    })
}

/// Carriers that are told by name and not opened: provider backbone bridges, TRILL, `FabricPath`, 802.1BR and VN tags,
/// `MACsec`, network service headers.
const fn unopened(ethertype: u16) -> Option<&'static str> {
    match ethertype {
        0x88e7 => Some("pbb"),
        0x22f3 => Some("trill"),
        0x8903 => Some("fabricpath"),
        0x893f => Some("etag"),
        0x8926 => Some("vntag"),
        0x88e5 => Some("macsec"),
        0x894f => Some("nsh"),
        0x883e => Some("wccp"),
        _ => None,
    }
}
