use super::{FragmentLimits, FragmentStats, Fragments, Rebuilt};
use crate::craft::{Segment, Sum};
use crate::{Frame, LinkType, Place, TcpHeader, Timestamp, Undecoded, decode, tcp_checksum_ok};
use proptest::prelude::*;
use std::time::Duration;

/// One fragment, as a raw IP packet.
#[derive(Clone, Debug)]
struct Cut {
    v6: bool,
    id: u8,
    offset: u16,
    more: bool,
    bytes: Vec<u8>,
}

impl Cut {
    fn packet(&self) -> Vec<u8> {
        let len = u16::try_from(self.bytes.len()).unwrap();
        let mut out = Vec::new();
        if self.v6 {
            out.extend([0x60, 0, 0, 0]);
            out.extend((len + 8).to_be_bytes());
            out.extend([44, 64]);
            out.extend(segment(true, b"").ip()[8..40].iter());
            out.extend([6, 0]);
            out.extend((self.offset | u16::from(self.more)).to_be_bytes());
            out.extend([0, 0, 0, self.id]);
        } else {
            out.extend([0x45, 0]);
            out.extend((len + 20).to_be_bytes());
            out.extend([0, self.id]);
            out.extend(((self.offset / 8) | (u16::from(self.more) << 13)).to_be_bytes());
            out.extend([64, 6, 0, 0]);
            out.extend(segment(false, b"").ip()[12..20].iter());
        }
        out.extend(&self.bytes);
        out
    }
}

fn segment(v6: bool, payload: &[u8]) -> Segment<'_> {
    let (src, dst) = if v6 { ("[2001:db8::1]:5000", "[2001:db8::2]:80") } else { ("10.0.0.1:5000", "10.0.0.2:80") };
    let (src, dst) = (src.parse().unwrap(), dst.parse().unwrap());
    Segment { src, dst, seq: 1, ack: 9, flags: TcpHeader::ACK, payload, sum: Sum::Right }
}

/// A segment in fragments of `size` bytes.
fn cuts(v6: bool, id: u8, payload: &[u8], size: usize) -> Vec<Cut> {
    let whole = segment(v6, payload).ip();
    let tcp = &whole[if v6 { 40 } else { 20 }..];
    let count = tcp.chunks(size).count();
    let cut = |(n, bytes): (usize, &[u8])| Cut {
        v6,
        id,
        offset: u16::try_from(n * size).unwrap(),
        more: n + 1 < count,
        bytes: bytes.to_vec(),
    };
    tcp.chunks(size).enumerate().map(cut).collect()
}

/// Takes fragments, numbered from 1, a millisecond apart.
struct Table {
    fragments: Fragments,
    frames: u64,
    now: Timestamp,
}

impl Table {
    fn new() -> Self {
        Self::with(FragmentLimits::default())
    }

    fn with(limits: FragmentLimits) -> Self {
        Self { fragments: Fragments::new(limits), frames: 0, now: Timestamp(0) }
    }

    fn take(&mut self, packet: &[u8]) -> Option<Box<Rebuilt>> {
        self.take_cut(packet, packet.len())
    }

    fn take_cut(&mut self, packet: &[u8], keep: usize) -> Option<Box<Rebuilt>> {
        self.frames += 1;
        self.now = self.now.plus(1_000_000);
        let place = Place { number: self.frames, file: 0, in_file: self.frames };
        let wire_len = u32::try_from(packet.len()).unwrap();
        let frame = Frame { place, ts: self.now, link: LinkType::Raw, data: &packet[..keep], wire_len };
        assert_eq!(decode(&frame), Err(Undecoded::Fragment));
        self.fragments.take(&frame)
    }

    /// The last of several; the others complete nothing.
    fn all(&mut self, cuts: &[Cut]) -> Option<Box<Rebuilt>> {
        let (last, others) = cuts.split_last().unwrap();
        for cut in others {
            assert!(self.take(&cut.packet()).is_none(), "{cut:?}");
        }
        self.take(&last.packet())
    }

    fn stats(&self) -> &FragmentStats {
        self.fragments.stats()
    }

    fn dropped(&self, reason: &str) -> u64 {
        self.stats().dropped().find(|(why, ..)| *why == reason).unwrap().1
    }

    /// Every frame is accounted for.
    fn close(mut self, rebuilt: u64) -> FragmentStats {
        self.fragments.finish();
        assert_eq!(self.fragments.held_bytes(), 0);
        let stats = self.fragments.stats().clone();
        let dropped: u64 = stats.dropped().map(|(_, frames, _)| frames).sum();
        assert_eq!(self.frames, rebuilt + stats.repeated + dropped);
        stats
    }
}

#[track_caller]
fn is_whole(rebuilt: Option<Box<Rebuilt>>, payload: &[u8]) -> Box<Rebuilt> {
    let rebuilt = rebuilt.expect("whole");
    let packet = rebuilt.packet.clone().unwrap();
    let range = packet.payload.start as usize..packet.payload.end as usize;
    assert_eq!(&rebuilt.bytes[range], payload);
    assert_eq!(packet.wire_payload as usize, payload.len());
    assert_eq!(packet.tuple.dst.port(), 80);
    assert_eq!(tcp_checksum_ok(&packet, &rebuilt.bytes), Some(true));
    rebuilt
}

const TEXT: &[u8] = b"POST /mcp HTTP/1.1\r\nHost: notes.corp.example\r\nContent-Length: 2\r\n\r\n{}";

#[test]
fn fragments_come_together_in_either_order_even_where_the_tcp_header_is_cut() {
    for v6 in [false, true] {
        for size in [8, 16, 24, 48, 80] {
            let mut cuts = cuts(v6, 1, TEXT, size);
            for _ in 0..2 {
                let mut table = Table::new();
                let whole = is_whole(table.all(&cuts), TEXT);
                assert!(!whole.conflict);
                assert_eq!(whole.frames, (1..=cuts.len() as u64).collect::<Vec<_>>());
                let packet = whole.packet.as_ref().unwrap();
                assert_eq!(packet.place.number, cuts.len() as u64, "that of the last to come");
                assert_eq!(packet.ts, table.now);
                table.close(cuts.len() as u64);
                cuts.reverse();
            }
        }
    }
}

#[test]
fn datagrams_do_not_mix() {
    let mut table = Table::new();
    let (a, b) = (cuts(false, 1, TEXT, 24), cuts(false, 2, TEXT, 24));
    let other_version = cuts(true, 1, TEXT, 24);
    let mut done = 0;
    for ((a, b), c) in a.iter().zip(&b).zip(&other_version) {
        for cut in [a, b, c] {
            done += u64::from(table.take(&cut.packet()).is_some());
        }
    }
    assert_eq!(done, 3);
    assert_eq!(table.stats().conflicts, 0);
}

#[test]
fn what_comes_twice_changes_nothing_before_and_after_the_datagram_is_whole() {
    for v6 in [false, true] {
        let cuts = cuts(v6, 1, TEXT, 24);
        let mut table = Table::new();
        let mut whole = Vec::new();
        for cut in &cuts {
            whole.extend(table.take(&cut.packet()));
            whole.extend(table.take(&cut.packet()));
        }
        assert_eq!(whole.len(), 1);
        assert!(!whole[0].conflict);
        assert_eq!(table.stats().repeated, 1, "the copy of the last one");
        let frames = whole[0].frames.len() as u64;
        assert_eq!(table.close(frames).datagrams, 1);
    }
}

#[test]
fn a_number_may_be_used_again() {
    let mut table = Table::new();
    for payload in [TEXT, &TEXT.to_ascii_uppercase(), TEXT] {
        let whole = is_whole(table.all(&cuts(false, 1, payload, 24)), payload);
        assert!(!whole.conflict);
    }
    table.now = table.now.plus(2 * Timestamp::SECOND);
    is_whole(table.all(&cuts(false, 1, TEXT, 24)), TEXT);
}

#[test]
fn overlaps_of_the_same_bytes_are_no_conflict_in_ipv4_and_the_end_of_it_in_ipv6() {
    let long = [TEXT, TEXT].concat();
    for v6 in [false, true] {
        let whole = cuts(v6, 1, &long, 1480).remove(0).bytes;
        let cut = |from: usize, to: usize| Cut {
            v6,
            id: 1,
            offset: u16::try_from(from).unwrap(),
            more: to < whole.len(),
            bytes: whole[from..to].to_vec(),
        };
        let end = whole.len();
        for order in [
            [cut(0, 48), cut(24, 96), cut(80, end)],
            [cut(80, end), cut(24, 96), cut(0, 48)],
            [cut(24, 96), cut(0, 48), cut(80, end)],
            [cut(8, 16), cut(0, 96), cut(96, end)],
            [cut(0, 96), cut(8, 16), cut(96, end)],
        ] {
            let mut table = Table::new();
            let last = order.map(|cut| table.take(&cut.packet())).into_iter().flatten().next();
            if v6 {
                assert!(last.is_none());
                assert_eq!(table.dropped("fragment_overlap"), 3, "{:?}", table.stats());
                assert_eq!(table.stats().overlapping, 1);
                assert!(table.take(&cut(0, 96).packet()).is_none(), "and of all that follows");
                table.close(0);
            } else {
                assert!(!is_whole(last, &long).conflict);
                table.close(3);
            }
        }
    }
}

#[test]
fn where_copies_differ_the_first_counts_in_ipv4_and_it_is_told() {
    let whole = cuts(false, 1, TEXT, 1480).remove(0).bytes;
    let cut = |from: usize, to: usize, bytes: &[u8]| Cut {
        v6: false,
        id: 1,
        offset: u16::try_from(from).unwrap(),
        more: to < whole.len(),
        bytes: bytes[from..to].to_vec(),
    };
    let mut other = whole.clone();
    other[40..56].fill(b'#');
    let end = whole.len();
    for order in [
        [cut(0, 48, &whole), cut(32, 64, &whole), cut(40, 64, &other), cut(64, end, &whole)],
        [cut(32, 64, &whole), cut(32, 64, &other), cut(0, 40, &whole), cut(64, end, &whole)],
        [cut(40, 56, &whole), cut(32, 64, &other), cut(0, 40, &whole), cut(56, end, &whole)],
    ] {
        let mut table = Table::new();
        let last = order.map(|cut| table.take(&cut.packet())).into_iter().flatten().next();
        assert!(is_whole(last, TEXT).conflict);
        assert_eq!(table.stats().conflicts, 1);
        table.close(4);
    }
    // A second end, before the first.
    let mut table = Table::new();
    let early = Cut { more: false, ..cut(40, 48, &whole) };
    let order = [cut(0, 48, &whole), cut(48, end, &whole)];
    assert!(table.take(&order[1].packet()).is_none());
    assert!(table.take(&early.packet()).is_none());
    assert!(is_whole(table.take(&order[0].packet()), TEXT).conflict);
    assert_eq!(table.dropped("fragment_bad"), 1);
}

#[test]
fn what_cannot_be_a_fragment_is_dropped_and_counted() {
    for (name, v6, offset, more, len) in [
        ("no bytes", false, 8, true, 0),
        ("no bytes at the end", false, 8, false, 0),
        ("fewer than eight in the middle", false, 8, true, 7),
        ("an odd length in the middle of IPv6", true, 8, true, 12),
        ("beyond 64 KiB", false, 0xfff8, false, 8),
        ("beyond 64 KiB of IPv6", true, 0xfff8, true, 64),
    ] {
        let mut table = Table::new();
        let packet = Cut { v6, id: 1, offset, more, bytes: vec![0; len] }.packet();
        assert!(table.take(&packet).is_none(), "{name}");
        assert_eq!(table.dropped("fragment_bad"), 1, "{name}");
        assert_eq!(table.fragments.held_bytes(), 0, "{name}");
        table.close(0);
    }
    // The odd bytes in the middle of IPv4 are left out.
    let mut table = Table::new();
    let mut parts = cuts(false, 1, TEXT, 48);
    parts[0].bytes.extend(b"abc");
    is_whole(table.all(&parts), TEXT);
}

#[test]
fn what_the_snaplen_cut_ends_what_is_known() {
    let parts = cuts(false, 1, TEXT, 48);
    let mut table = Table::new();
    assert!(table.take_cut(&parts[0].packet(), 20 + 40).is_none());
    let whole = table.take(&parts[1].packet()).unwrap();
    let packet = whole.packet.unwrap();
    assert_eq!((whole.bytes.len(), packet.payload.clone()), (40, 20..40));
    assert_eq!(packet.wire_payload as usize, TEXT.len());
    assert_eq!(tcp_checksum_ok(&packet, &whole.bytes), None);
}

#[test]
fn a_flood_stays_within_the_limit_and_a_datagram_that_comes_at_once_gets_through() {
    let limits = FragmentLimits { bytes: 64 << 10, ..FragmentLimits::default() };
    let mut table = Table::with(limits);
    let mut packet = cuts(false, 1, TEXT, 48).remove(0).packet();
    let mut most = 0;
    for n in 0..20_000_u32 {
        packet[12..16].copy_from_slice(&n.to_be_bytes());
        assert!(table.take(&packet).is_none());
        most = most.max(table.fragments.held_bytes());
    }
    assert!(most <= limits.bytes, "{most}");
    assert!(most > limits.bytes / 2, "{most}");
    assert!(table.stats().evicted > 19_000);
    is_whole(table.all(&cuts(false, 9, TEXT, 48)), TEXT);
    // One that is larger than the limit by itself.
    let mut large = Table::with(FragmentLimits { bytes: 8 << 10, ..FragmentLimits::default() });
    for n in 0..40 {
        let cut = Cut { v6: false, id: 1, offset: n * 1000, more: true, bytes: vec![7; 1000] };
        assert!(large.take(&cut.packet()).is_none());
        assert!(large.fragments.held_bytes() <= 8 << 10);
    }
    let taken = table.stats().datagrams * 2;
    assert_eq!(table.close(taken).datagrams, 1);
}

#[test]
fn what_waits_too_long_is_given_up() {
    let limits = FragmentLimits { age: Duration::from_mins(1), ..FragmentLimits::default() };
    for (wait, whole) in [(59, true), (61, false)] {
        let mut table = Table::with(limits);
        let parts = cuts(false, 1, TEXT, 48);
        assert!(table.take(&parts[0].packet()).is_none());
        table.now = table.now.plus(wait * Timestamp::SECOND);
        assert_eq!(table.take(&parts[1].packet()).is_some(), whole, "{wait} s");
        assert_eq!(table.stats().timed_out, u64::from(!whole));
        assert_eq!(table.dropped("fragment"), u64::from(!whole));
    }
}

#[test]
fn a_clock_that_jumps_costs_only_what_waits() {
    let mut table = Table::new();
    let parts = cuts(false, 1, TEXT, 48);
    assert!(table.take(&cuts(false, 2, TEXT, 48)[0].packet()).is_none());
    let usual = table.now;
    table.now = Timestamp(i64::MAX - Timestamp::SECOND);
    assert!(table.take(&parts[0].packet()).is_none());
    assert_eq!(table.stats().timed_out, 1);
    table.now = usual;
    is_whole(table.all(&parts), TEXT);
    assert_eq!(table.stats().timed_out, 2);
    table.close(2);
}

#[test]
fn a_fragmented_tunnel_of_fragments_leads_to_the_packet() {
    // Each inner fragment travels in an outer datagram of its own, which is cut as well.
    let mut table = Table::new();
    let mut last = None;
    for (id, inner) in (10..).zip(cuts(false, 1, TEXT, 48)) {
        let inner = inner.packet();
        let count = inner.chunks(32).count();
        for (n, bytes) in inner.chunks(32).enumerate() {
            let offset = u16::try_from(n * 32).unwrap();
            let mut packet = Cut { v6: false, id, offset, more: n + 1 < count, bytes: bytes.to_vec() }.packet();
            packet[9] = 4;
            assert!(last.is_none());
            last = table.take(&packet);
        }
    }
    let frames = table.frames;
    let whole = is_whole(last, TEXT);
    assert_eq!(whole.frames, (1..=frames).collect::<Vec<_>>());
    assert_eq!(whole.path.steps().map(|s| s.to_string()).collect::<Vec<_>>(), ["ipip"]);
    assert!(!whole.packet.unwrap().tuple.tunnel.is_none());
    table.close(frames);
}

#[test]
fn a_datagram_that_holds_nothing_for_us_says_so() {
    let mut table = Table::new();
    let mut parts: Vec<_> = cuts(false, 1, TEXT, 48).iter().map(Cut::packet).collect();
    for part in &mut parts {
        part[9] = 1;
    }
    assert!(table.take(&parts[0]).is_none());
    let whole = table.take(&parts[1]).unwrap();
    assert_eq!(whole.packet, Err(Undecoded::NotTcpUdp(1)));
    assert_eq!(whole.frames.len(), 2);
}

proptest! {
    #[test]
    fn cutting_ordering_and_repeating_changes_nothing(
        v6 in any::<bool>(),
        payload in proptest::collection::vec(any::<u8>(), 140..600),
        size in 1_usize..20,
        order in proptest::collection::vec(any::<u16>(), 100),
        twice in 0_usize..100,
    ) {
        let mut parts = cuts(v6, 3, &payload, size * 8);
        let again = parts[twice % parts.len()].clone();
        parts.push(again);
        let mut keyed: Vec<_> = order.iter().cycle().zip(parts).collect();
        keyed.sort_by_key(|(k, _)| **k);
        let mut table = Table::new();
        let mut whole = Vec::new();
        for (_, cut) in &keyed {
            whole.extend(table.take(&cut.packet()));
        }
        prop_assert_eq!(whole.len(), 1);
        let whole = whole.remove(0);
        prop_assert!(!whole.conflict);
        let frames = whole.frames.len() as u64;
        is_whole(Some(whole), &payload);
        table.close(frames);
    }

    #[test]
    fn any_fragments_are_counted_once_and_stay_within_the_limit(data in proptest::collection::vec(any::<u8>(), 0..3000)) {
        crate::fuzz::fuzz_fragments(&data);
    }
}
