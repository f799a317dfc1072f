//! TCP (RFC 9293 §3.1) and UDP (RFC 768) headers.

use super::{Layers, Span, Undecoded, be16};
use crate::{End, FiveTuple, Packet, TcpHeader, Transport};

impl Layers<'_, '_> {
    pub(super) fn tcp(&mut self, src: End, dst: End, span: Span) -> Result<Packet, Undecoded> {
        let &[sp0, sp1, dp0, dp1, s0, s1, s2, s3, a0, a1, a2, a3, offset, flags, w0, w1, c0, c1, u0, u1] =
            self.header(span)?;
        let header = usize::from(offset >> 4) * 4;
        let payload = span.at + header;
        if header < 20 || payload > span.wire_end {
            return Err(Undecoded::BadHeader);
        }
        let tcp = TcpHeader {
            seq: u32::from_be_bytes([s0, s1, s2, s3]),
            ack: u32::from_be_bytes([a0, a1, a2, a3]),
            flags,
            urgent: be16(u0, u1),
            window: be16(w0, w1),
            checksum: be16(c0, c1),
        };
        let tuple = self.tuple(src.with_port(be16(sp0, sp1)), dst.with_port(be16(dp0, dp1)), Transport::Tcp);
        Ok(self.packet(tuple, Some(tcp), span, payload))
    }

    pub(super) fn udp(&mut self, src: End, dst: End, mut span: Span) -> Result<Packet, Undecoded> {
        let &[sp0, sp1, dp0, dp1, len_hi, len_lo, _, _] = self.header(span)?;
        match usize::from(be16(len_hi, len_lo)) {
            // Longer than 16 bits can say, or left to the network card.
            0 => {}
            1..8 => return Err(Undecoded::BadHeader),
            len => {
                span.wire_end = span.wire_end.min(span.at + len);
                span.end = span.end.min(span.wire_end);
            }
        }
        let tuple = self.tuple(src.with_port(be16(sp0, sp1)), dst.with_port(be16(dp0, dp1)), Transport::Udp);
        let payload = span.at + 8;
        if let Some(inner) = self.over_udp(&tuple, Span { at: payload, ..span }) {
            return inner;
        }
        Ok(self.packet(tuple, None, span, payload))
    }

    const fn tuple(&self, src: End, dst: End, transport: Transport) -> FiveTuple {
        FiveTuple { src, dst, transport, tunnel: self.outer.tunnel }
    }

    /// `payload` is where the payload began on the wire; the snaplen may have cut before it.
    fn packet(&self, tuple: FiveTuple, tcp: Option<TcpHeader>, span: Span, payload: usize) -> Packet {
        let end = offset(span.end);
        Packet {
            place: self.frame.place,
            ts: self.frame.ts,
            tuple,
            src_mac: self.outer.src_mac,
            ttl: self.outer.ttl,
            vlan: self.outer.vlan,
            tcp,
            transport_bytes: offset(span.at)..end,
            payload: offset(payload).min(end)..end,
            wire_payload: offset(span.wire_end.saturating_sub(payload)),
        }
    }
}

/// Offsets are far below 4 GiB, since a frame's length on the wire is 32 bits.
fn offset(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}
