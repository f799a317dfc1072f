//! Entry points for fuzzing, each with what must hold for any input.

use crate::craft::{self, Segment, Sum};
use crate::{
    App, Data, Flow, FlowEnd, FlowTable, FragmentLimits, Fragments, Frame, Interest, Limits, LinkType, Packet, Piece,
    Place, TcpHeader, Timestamp, Undecoded, decode, tcp_checksum_ok,
};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// The first two bytes are the link type, the third how much the snaplen cut, the rest is a frame.
#[doc(hidden)]
pub fn fuzz_decode(data: &[u8]) {
    let Some((&[hi, lo, cut], data)) = data.split_first_chunk() else { return };
    let len = u32::try_from(data.len()).unwrap_or(u32::MAX);
    let frame = Frame {
        place: Place::default(),
        ts: Timestamp(0),
        link: LinkType::from_number(u16::from_be_bytes([hi, lo])),
        data,
        wire_len: len.saturating_add(u32::from(cut)),
    };
    check_decode(&frame);
}

/// Ranges lie inside the frame and in each other, and the captured payload is no longer than the sent one.
pub(crate) fn check_decode(frame: &Frame<'_>) {
    let Ok(packet) = decode(frame) else { return };
    let (whole, payload) = (&packet.transport_bytes, &packet.payload);
    assert!(usize::try_from(whole.end).is_ok_and(|end| end <= frame.data.len()), "beyond the frame");
    assert!(whole.start <= payload.start && payload.start <= payload.end, "out of order");
    assert_eq!(whole.end, payload.end, "payload comes last");
    assert!(payload.end - payload.start <= packet.wire_payload, "more captured than sent");
    tcp_checksum_ok(&packet, frame.data);
}

/// Each eight bytes and what they claim of the rest make a fragment; lengths, places, ids and time are free.
#[doc(hidden)]
pub fn fuzz_fragments(data: &[u8]) {
    let limits = FragmentLimits { bytes: 16 << 10, ..FragmentLimits::default() };
    let mut fragments = Fragments::new(limits);
    let (mut given, mut rebuilt, mut now) = (0, 0, Timestamp(0));
    let mut rest = data;
    while let Some((&[kind, id, place_hi, place_lo, len, cut, wait, fill], behind)) = rest.split_first_chunk() {
        let (payload, behind) = behind.split_at(usize::from(len).min(behind.len()));
        rest = behind;
        now = now.plus(i64::from(wait) * i64::from(wait) * 10_000_000);
        let packet = craft::fragment(kind & 1 == 0, id, kind >> 1 & 3, [place_hi, place_lo], payload, fill);
        let keep = packet.len().saturating_sub(usize::from(cut & 15));
        given += 1;
        let frame = Frame {
            place: Place { number: given, file: 0, in_file: given },
            ts: now,
            link: LinkType::Raw,
            data: packet.get(..keep).unwrap_or_default(),
            wire_len: u32::try_from(packet.len()).unwrap_or(0),
        };
        if decode(&frame) != Err(Undecoded::Fragment) {
            // Whole, or nothing at all.
            given -= 1;
            continue;
        }
        if let Some(whole) = fragments.take(&frame) {
            rebuilt += whole.frames.len() as u64;
            assert!(!whole.frames.is_empty(), "made of nothing");
            if let Ok(packet) = &whole.packet {
                let end = usize::try_from(packet.transport_bytes.end);
                assert!(end.is_ok_and(|end| end <= whole.bytes.len()), "beyond the datagram");
                tcp_checksum_ok(packet, &whole.bytes);
            }
        }
        assert!(fragments.held_bytes() <= limits.bytes, "held {}", fragments.held_bytes());
    }
    fragments.finish();
    assert_eq!(fragments.held_bytes(), 0, "nothing stays behind");
    let stats = fragments.stats();
    let dropped: u64 = stats.dropped().map(|(_, frames, _)| frames).sum();
    assert_eq!(given, rebuilt + stats.repeated + dropped, "each frame counts once");
}

/// Each eight bytes make a packet of one of two flows; sequence numbers, time, flags and checksums are free. The
/// payload byte of sequence number n is n mod 256, so that what is delivered shows where it belongs.
#[doc(hidden)]
pub fn fuzz_reassembly(data: &[u8]) {
    let limits = Limits { flows: 2, held_per_direction: 4 << 10, held_total: 6 << 10, ..Limits::default() };
    let mut table = FlowTable::<Follower>::new(limits);
    let mut open = 0_i64;
    let mut now = Timestamp(0);
    let mut sent = 0;
    let (steps, _) = data.as_chunks::<8>();
    for (number, step) in (1..).zip(steps) {
        let [kind, flags, seq_hi, seq_lo, ack_hi, ack_lo, len, wait] = *step;
        now = now.plus(i64::from(wait) * i64::from(wait) * 1_000_000);
        let bytes = payload(kind, flags, [seq_hi, seq_lo], len);
        let frame = segment(kind, flags, [seq_hi, seq_lo], [ack_hi, ack_lo], &bytes).frame();
        let keep = if kind & 0x40 == 0 { frame.len() } else { frame.len() - bytes.len() / 3 };
        if let Some(packet) = packet(&frame, keep, number, now) {
            if flags & (TcpHeader::SYN | TcpHeader::RST) == 0 {
                sent += u64::from(packet.wire_payload);
            }
            table.packet(&packet, frame.get(..keep).unwrap_or_default(), &mut open);
        }
        if wait & 1 == 1 {
            table.tick(now, &mut open);
        }
        assert!(table.held_bytes() <= limits.held_total, "held {}", table.held_bytes());
        assert!(table.len() <= limits.flows, "{} flows", table.len());
        assert!(usize::try_from(open).is_ok_and(|n| n <= table.len()), "{open} open");
    }
    table.finish(&mut open);
    assert_eq!((open, table.len(), table.held_bytes()), (0, 0, 0), "nothing stays behind");
    let s = table.stats();
    let dropped = s.packets_bad_checksum + s.packets_out_of_window + s.packets_bad_reset + s.packets_odd_syn;
    let looked_at = s.packets_taken + s.packets_late + s.packets_bypassed;
    assert_eq!(s.segments, looked_at + dropped + s.packets_stray, "each packet counts once");
    let dropped = s.bad_checksum_bytes + s.out_of_window_bytes + s.after_fin_bytes + s.late_bytes;
    let known = s.delivered_bytes + s.retransmitted_bytes + s.keep_alives + dropped;
    let cut = if s.cut_segments == 0 { 0 } else { s.gap_bytes };
    assert!(s.flows_bypassed > 0 || sent <= known + cut, "{sent} bytes sent, {known} accounted for");
    let ended = s.flows_fin + s.flows_reset + s.flows_timeout + s.flows_evicted + s.flows_reused;
    assert_eq!(s.flows_opened, ended + s.flows_end_of_input, "each flow ends once");
}

/// Numbers near the wrap, and now and then far away.
fn number(kind: u8, n: [u8; 2]) -> u32 {
    let far = if kind & 0x20 == 0 { 0 } else { 1 << 30 };
    (u32::MAX - 0x7fff).wrapping_add(u32::from(u16::from_be_bytes(n))).wrapping_add(far)
}

fn payload(kind: u8, flags: u8, seq: [u8; 2], len: u8) -> Vec<u8> {
    // A SYN has the number before its first byte.
    let first = number(kind, seq).wrapping_add(u32::from(flags & TcpHeader::SYN != 0));
    let len = if len < 0xc0 { u32::from(len) } else { u32::from(len - 0xc0) * 40 };
    (0..len).map(|i| first.wrapping_add(i).to_le_bytes()).map(|[low, ..]| low).collect()
}

fn segment(kind: u8, flags: u8, seq: [u8; 2], ack: [u8; 2], payload: &[u8]) -> Segment<'_> {
    let end = |host: u8, port: u16| SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, host)), port);
    let (client, server) = (end(1, 5000 + u16::from(kind >> 1 & 3)), end(2, 80));
    let (src, dst) = if kind & 1 == 0 { (client, server) } else { (server, client) };
    let sum = match kind >> 3 & 3 {
        0 | 1 => Sum::Right,
        2 => Sum::Wrong,
        _ => Sum::Partial,
    };
    Segment { src, dst, seq: number(kind, seq), ack: number(kind, ack), flags, payload, sum }
}

fn packet(frame: &[u8], keep: usize, number: u64, ts: Timestamp) -> Option<Packet> {
    let wire_len = u32::try_from(frame.len()).ok()?;
    let place = Place { number, file: 0, in_file: number };
    decode(&Frame { place, ts, link: LinkType::Ethernet, data: frame.get(..keep)?, wire_len }).ok()
}

/// Checks that what it is given is in order. The context counts those alive.
#[derive(Debug, Default)]
struct Follower {
    next: [Option<u8>; 2],
    seen: [u64; 2],
    ended: [bool; 2],
}

impl App<i64> for Follower {
    fn open(_: &Flow, open: &mut i64) -> Self {
        *open += 1;
        Self::default()
    }

    fn piece(&mut self, flow: &Flow, piece: Piece<'_>, _: &mut i64) -> Interest {
        let next = piece.dir.of_mut(&mut self.next);
        assert!(!*piece.dir.of(&self.ended) || matches!(piece.data, Data::Anomaly(_)), "after the end");
        match piece.data {
            Data::Bytes(bytes) => {
                assert!(!bytes.is_empty(), "empty bytes");
                for byte in bytes {
                    assert_eq!(*byte, next.unwrap_or(*byte), "out of order");
                    *next = Some(byte.wrapping_add(1));
                }
                *piece.dir.of_mut(&mut self.seen) += 1;
            }
            Data::Gap(n) => {
                assert!(n > 0, "empty gap");
                let [low, ..] = n.to_le_bytes();
                *next = next.map(|byte| byte.wrapping_add(low));
                assert!(*piece.dir.of(&flow.missed) >= n, "gaps are counted first");
            }
            Data::Fin => *piece.dir.of_mut(&mut self.ended) = true,
            Data::Anomaly(_) => {}
        }
        if self.seen == [40, 40] { Interest::Bypass } else { Interest::More }
    }

    fn close(self, flow: &Flow, end: FlowEnd, open: &mut i64) {
        *open -= 1;
        assert!(
            end != FlowEnd::Fin
                || self.ended.iter().zip(flow.packets).all(|(e, n)| *e || n == 0)
                || self.seen == [40, 40],
            "not ended"
        );
    }
}
