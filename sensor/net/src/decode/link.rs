//! The link layer: Ethernet, VLAN tags, Linux cooked, BSD loopback, raw IP.

use super::{Layers, MAX_VLAN_TAGS, Undecoded, be16};
use crate::{LinkType, Packet};

impl Layers<'_> {
    pub(super) fn link(self) -> Result<Packet, Undecoded> {
        match self.frame.link {
            LinkType::Ethernet => self.ethernet(0),
            LinkType::Raw => self.ip(0),
            LinkType::Ipv4 => self.ipv4(0),
            LinkType::Ipv6 => self.ipv6(0),
            LinkType::LinuxSll => self.cooked(),
            LinkType::LinuxSll2 => self.cooked2(),
            LinkType::Null | LinkType::Loop => self.loopback(),
            LinkType::Other(n) => Err(Undecoded::LinkType(n)),
        }
    }

    pub(super) fn ethernet(mut self, at: usize) -> Result<Packet, Undecoded> {
        self.src_mac = Some(*self.array(at + 6)?);
        let &[hi, lo] = self.array(at + 12)?;
        self.ethertype(be16(hi, lo), at + 14)
    }

    /// Linux cooked v1: packet type, hardware type, address length, address, protocol.
    fn cooked(mut self) -> Result<Packet, Undecoded> {
        let &[.., hi, lo] = self.array::<16>(0)?;
        if *self.array(4)? == [0, 6] {
            self.src_mac = Some(*self.array(6)?);
        }
        self.ethertype(be16(hi, lo), 16)
    }

    /// Linux cooked v2: protocol first, then interface, hardware type, packet type, address length, address.
    fn cooked2(mut self) -> Result<Packet, Undecoded> {
        let &[hi, lo, ..] = self.array::<20>(0)?;
        if *self.array(11)? == [6] {
            self.src_mac = Some(*self.array(12)?);
        }
        self.ethertype(be16(hi, lo), 20)
    }

    /// BSD loopback: an address family in the byte order of whoever wrote the file. Families are small numbers, so
    /// both orders can be read without knowing which.
    fn loopback(self) -> Result<Packet, Undecoded> {
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
    pub(super) fn ethertype(mut self, mut kind: u16, mut at: usize) -> Result<Packet, Undecoded> {
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
            0x8847 | 0x8848 => Self::carrier("mpls"),
            0x8864 => Self::carrier("pppoe"),
            0x88e7 => Self::carrier("pbb"),
            // Up to 1500 this is a length (IEEE 802.3), and LLC follows; 4 is how Linux cooked says the same.
            0..=1500 => self.llc(at),
            // ARP, RARP, 802.1X, slow protocols, LLDP, PPPoE discovery, loop test, PTP, CFM, Wake-on-LAN.
            0x0806 | 0x8035 | 0x888e | 0x8809 | 0x88cc | 0x8863 | 0x9000 | 0x88f7 | 0x8902 | 0x0842 => {
                Err(Undecoded::NotIp)
            }
            kind => Err(Undecoded::EtherType(kind)),
        }
    }

    /// IEEE 802.2: only SNAP with an ethertype leads to IP; the rest is spanning tree, IS-IS and the like.
    fn llc(self, at: usize) -> Result<Packet, Undecoded> {
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
        if id != 0
            && let Some(free) = self.vlan.iter_mut().find(|v| v.is_none())
        {
            *free = Some(id);
        }
    }
}
