//! IPv4 (RFC 791) and IPv6 with its extension headers (RFC 8200).

use super::{Layers, MAX_EXTENSION_HEADERS, Part, Span, Undecoded, be16};
use crate::{End, Packet};
use std::net::{Ipv4Addr, Ipv6Addr};

/// Protocol numbers that only IPv6 reads as extension headers.
const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const DESTINATION: u8 = 60;
const MOBILITY: u8 = 135;
const HIP: u8 = 139;
const SHIM6: u8 = 140;
/// Authentication header (RFC 4302), in both versions.
const AUTHENTICATION: u8 = 51;

impl Layers<'_, '_> {
    /// Version by the first nibble.
    pub(super) fn ip(&mut self, at: usize) -> Result<Packet, Undecoded> {
        match self.array(at)? {
            [first] if first >> 4 == 6 => self.ipv6(at),
            _ => self.ipv4(at),
        }
    }

    pub(super) fn ipv4(&mut self, at: usize) -> Result<Packet, Undecoded> {
        let &[first] = self.array(at)?;
        if first >> 4 != 4 {
            return Err(Undecoded::IpVersion(first >> 4));
        }
        let &[_, _, len_hi, len_lo, _, _, frag_hi, frag_lo, ttl, protocol, _, _, s0, s1, s2, s3, d0, d1, d2, d3] =
            self.array(at)?;
        self.outer.ttl = ttl;
        let header = usize::from(first & 15) * 4;
        let total = usize::from(be16(len_hi, len_lo));
        if header < 20 || (total != 0 && total < header) {
            return Err(Undecoded::BadHeader);
        }
        let span = Span { at: at + header, ..self.span(at, total)? };
        let end = |octets| End::new(Ipv4Addr::from_octets(octets).into(), 0);
        let (src, dst) = (end([s0, s1, s2, s3]), end([d0, d1, d2, d3]));
        let place = be16(frag_hi, frag_lo);
        // More fragments, or an offset.
        if place & 0x3fff != 0 {
            let &[_, _, _, _, id_hi, id_lo] = self.array(at)?;
            let id = u32::from(be16(id_hi, id_lo));
            let (offset, more) = (u32::from(place & 0x1fff) * 8, place & 0x2000 != 0);
            return self.part(protocol, src, dst, (id, offset, more), span);
        }
        self.upper(protocol, src, dst, span)
    }

    pub(super) fn ipv6(&mut self, at: usize) -> Result<Packet, Undecoded> {
        let &[first] = self.array(at)?;
        if first >> 4 != 6 {
            return Err(Undecoded::IpVersion(first >> 4));
        }
        let &[_, _, _, _, len_hi, len_lo, protocol, hops] = self.array(at)?;
        self.outer.ttl = hops;
        let (src, dst) = (self.array(at + 8)?, self.array(at + 24)?);
        let end = |octets: &[u8; 16]| End::new(Ipv6Addr::from(*octets).into(), 0);
        let (src, dst) = (end(src), end(dst));
        let span = self.span(at + 40, usize::from(be16(len_hi, len_lo)))?;
        self.upper(protocol, src, dst, span)
    }

    /// The `len` bytes at `at`; a length of 0 means all that the carrier has.
    pub(super) fn span(&self, at: usize, len: usize) -> Result<Span, Undecoded> {
        let captured = self.data.len();
        let wire_end = if len == 0 { self.wire_end } else { at + len };
        // Captured whole and still short of what it claims: a decoy, since every receiver drops it.
        if wire_end > captured && self.wire_end == captured && !self.cut {
            return Err(Undecoded::BadHeader);
        }
        Ok(Span { at, end: wire_end.min(captured), wire_end })
    }

    /// Leaves a part of a datagram to whoever puts them together.
    #[cold]
    fn part(
        &mut self,
        protocol: u8,
        src: End,
        dst: End,
        (id, offset, more): (u32, u32, bool),
        span: Span,
    ) -> Result<Packet, Undecoded> {
        let wire_len = u32::try_from(span.wire_end.saturating_sub(span.at)).unwrap_or(u32::MAX);
        let bytes = span.at.min(span.end)..span.end;
        let (src, dst) = (src.ip(), dst.ip());
        self.fragment = Some(Part { src, dst, id, protocol, offset, more, bytes, wire_len });
        Err(Undecoded::Fragment)
    }

    /// Walks extension headers and comes to TCP, UDP, a tunnel, or something else. The ends have no ports yet.
    pub(super) fn upper(&mut self, mut protocol: u8, src: End, dst: End, mut span: Span) -> Result<Packet, Undecoded> {
        for _ in 0..MAX_EXTENSION_HEADERS {
            match protocol {
                6 => return self.tcp(src, dst, span),
                17 => return self.udp(src, dst, span),
                4 | 41 => return self.ip_in_ip(protocol, src, dst, span),
                47 => return self.gre(src, dst, span),
                137 => return self.mpls_in_ip(span),
                _ => {}
            }
            let readable = protocol == AUTHENTICATION
                || !src.is_ipv4()
                    && matches!(protocol, HOP_BY_HOP | ROUTING | FRAGMENT | DESTINATION | MOBILITY | HIP | SHIM6);
            if !readable {
                return Err(unopened(protocol).map_or(Undecoded::NotTcpUdp(protocol), Undecoded::Carrier));
            }
            // Eight bytes are the least of all of them.
            let &[next, len, hi, lo, ..] = self.header::<8>(span)?;
            span.at += match protocol {
                // An atomic fragment (RFC 6946) is whole: no offset, nothing to follow.
                FRAGMENT if be16(hi, lo) & 0xfff9 == 0 => 8,
                FRAGMENT => {
                    let &[_, _, _, _, i0, i1, i2, i3] = self.header(span)?;
                    let id = u32::from_be_bytes([i0, i1, i2, i3]);
                    let place = (id, u32::from(be16(hi, lo) & 0xfff8), be16(hi, lo) & 1 != 0);
                    return self.part(next, src, dst, place, Span { at: span.at + 8, ..span });
                }
                AUTHENTICATION => (usize::from(len) + 2) * 4,
                _ => (usize::from(len) + 1) * 8,
            };
            protocol = next;
        }
        Err(Undecoded::TooManyHeaders)
    }

    /// The first `N` bytes of the header at `span.at`: cut by the snaplen, or beyond the packet itself?
    pub(super) fn header<const N: usize>(&self, span: Span) -> Result<&[u8; N], Undecoded> {
        if span.at + N > span.wire_end {
            return Err(Undecoded::BadHeader);
        }
        self.array(span.at)
    }
}

/// Carriers that are told by name and not opened: ESP hides what it holds, the others are rare.
const fn unopened(protocol: u8) -> Option<&'static str> {
    match protocol {
        50 => Some("esp"),
        55 => Some("mobile_ip"),
        97 => Some("etherip"),
        115 => Some("l2tp"),
        _ => None,
    }
}
