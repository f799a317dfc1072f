use super::*;
use proptest::collection::vec;
use proptest::prelude::*;

/// What came out of each direction, and where.
#[derive(Default)]
struct Streams {
    /// `None` is a byte of a gap.
    got: [Vec<Option<u8>>; 2],
    ended: [bool; 2],
    closed: u32,
}

struct Collector;

impl App<Streams> for Collector {
    fn open(_: &Flow, _: &mut Streams) -> Self {
        Self
    }

    fn piece(&mut self, _: &Flow, piece: Piece<'_>, streams: &mut Streams) -> Interest {
        let got = piece.dir.of_mut(&mut streams.got);
        match piece.data {
            Data::Bytes(bytes) => got.extend(bytes.iter().copied().map(Some)),
            Data::Gap(n) => got.extend(vec![None; usize::try_from(n).unwrap()]),
            Data::Fin => *piece.dir.of_mut(&mut streams.ended) = true,
            Data::Anomaly(anomaly) => panic!("{anomaly:?} in honest traffic"),
        }
        Interest::More
    }

    fn close(self, _: &Flow, _: FlowEnd, streams: &mut Streams) {
        streams.closed += 1;
    }
}

/// One segment: direction, position, bytes, FIN.
#[derive(Clone, Debug)]
struct Sent {
    client: bool,
    at: usize,
    bytes: Vec<u8>,
    fin: bool,
}

/// Cuts `stream` into segments of the given lengths, repeated, each reaching back by up to `back`.
fn cut(client: bool, stream: &[u8], lengths: &[usize], back: &[usize]) -> Vec<Sent> {
    let mut out = Vec::new();
    let mut at = 0;
    for (length, back) in lengths.iter().cycle().zip(back.iter().cycle()) {
        if at >= stream.len() {
            break;
        }
        let (from, to) = (at - at.min(*back), stream.len().min(at + length));
        out.push(Sent { client, at: from, bytes: stream[from..to].to_vec(), fin: false });
        at = to;
    }
    out.push(Sent { client, at, bytes: Vec::new(), fin: true });
    out
}

#[derive(Debug)]
struct Traffic {
    segments: Vec<Sent>,
    isn: [u32; 2],
}

fn run(traffic: &Traffic, limits: Limits) -> (Streams, FlowTable<Collector>) {
    let mut table = FlowTable::new(limits);
    let mut streams = Streams::default();
    let ends: [SocketAddr; 2] = ["[2001:db8::1]:40000".parse().unwrap(), "[2001:db8::2]:443".parse().unwrap()];
    let mut number = 0;
    let mut send = |client: bool, seq: u32, ack: u32, flags: u8, payload: &[u8]| {
        let (src, dst) = if client { (ends[0], ends[1]) } else { (ends[1], ends[0]) };
        let data = Segment { src, dst, seq, ack, flags, payload, sum: Sum::Right }.ip();
        number += 1;
        let place = Place { number, file: 0, in_file: number };
        let ts = Timestamp(i64::try_from(number).unwrap() * 1_000_000);
        let wire_len = u32::try_from(data.len()).unwrap();
        let packet = decode(&Frame { place, ts, link: LinkType::Raw, data: &data, wire_len }).unwrap();
        table.packet(&packet, &data, &mut streams);
        assert!(table.held_bytes() <= limits.held_total, "held {}", table.held_bytes());
    };
    let [client_isn, server_isn] = traffic.isn;
    send(true, client_isn, 0, SYN, b"");
    send(false, server_isn, client_isn.wrapping_add(1), SYN | ACK, b"");
    for s in &traffic.segments {
        let isn = if s.client { client_isn } else { server_isn };
        let seq = isn.wrapping_add(1).wrapping_add(u32::try_from(s.at).unwrap());
        let flags = if s.fin { ACK | FIN } else { ACK };
        // Acknowledges nothing, so that no hole is taken for lost.
        let ack = if s.client { server_isn } else { client_isn }.wrapping_add(1);
        send(s.client, seq, ack, flags, &s.bytes);
    }
    table.finish(&mut streams);
    assert_eq!((table.len(), table.held_bytes()), (0, 0));
    (streams, table)
}

prop_compose! {
    fn streams()(
        streams in [vec(any::<u8>(), 1..3_000), vec(any::<u8>(), 1..3_000)],
        lengths in vec(1_usize..400, 1..12),
        back in vec(prop_oneof![Just(0_usize), 0_usize..300], 1..6),
        isn in (any::<u32>(), (u32::MAX - 2_000)..u32::MAX),
        swaps in vec((any::<prop::sample::Index>(), 0_usize..6), 0..40),
        copies in vec(any::<prop::sample::Index>(), 0..10),
    ) -> ([Vec<u8>; 2], Traffic) {
        let mut segments = Vec::new();
        let mut client = cut(true, &streams[0], &lengths, &back).into_iter();
        let mut server = cut(false, &streams[1], &lengths, &back).into_iter();
        loop {
            let pair = (client.next(), server.next());
            if let (None, None) = pair {
                break;
            }
            segments.extend(pair.0);
            segments.extend(pair.1);
        }
        for index in copies {
            let copy = index.get(&segments).clone();
            segments.insert(index.index(segments.len()), copy);
        }
        for (index, by) in swaps {
            let at = index.index(segments.len());
            let to = (at + by).min(segments.len() - 1);
            segments.swap(at, to);
        }
        (streams, Traffic { segments, isn: isn.into() })
    }
}

proptest! {
    #[test]
    fn cutting_reordering_and_repeating_segments_changes_nothing((sent, traffic) in streams()) {
        let (streams, table) = run(&traffic, Limits::default());
        for (got, sent) in streams.got.iter().zip(&sent) {
            prop_assert!(got.iter().copied().eq(sent.iter().copied().map(Some)));
        }
        prop_assert_eq!((streams.ended, streams.closed), ([true, true], 1));
        prop_assert_eq!((table.stats().gaps, table.stats().overlap_conflicts), (0, 0));
    }

    #[test]
    fn what_is_lost_is_a_gap_of_just_that_size_in_just_that_place(
        (sent, mut traffic) in streams(),
        lost in vec(any::<prop::sample::Index>(), 1..8),
    ) {
        for index in lost {
            if traffic.segments.len() > 1 {
                traffic.segments.remove(index.index(traffic.segments.len()));
            }
        }
        let (streams, _) = run(&traffic, Limits::default());
        for (i, (got, sent)) in streams.got.iter().zip(&sent).enumerate() {
            let mut want = vec![None; sent.len()];
            for s in traffic.segments.iter().filter(|s| s.client == (i == 0)) {
                for (at, byte) in (s.at..).zip(&s.bytes) {
                    want[at] = Some(*byte);
                }
            }
            // Behind the last byte that came there is nothing to tell a loss by, unless the FIN shows it.
            prop_assert!(got.len() <= want.len());
            prop_assert!(got[..] == want[..got.len()]);
            prop_assert!(want[got.len()..].iter().all(Option::is_none));
        }
    }

    #[test]
    fn small_limits_lose_bytes_but_never_the_order(
        (sent, traffic) in streams(),
        per_direction in 0_usize..3_000,
        total in 0_usize..3_000,
    ) {
        let limits = Limits { held_per_direction: per_direction, held_total: total, ..Limits::default() };
        let (streams, table) = run(&traffic, limits);
        for (got, sent) in streams.got.iter().zip(&sent) {
            prop_assert_eq!(got.len(), sent.len());
            prop_assert!(got.iter().zip(sent).all(|(got, sent)| got.is_none_or(|got| got == *sent)));
        }
        let stats = table.stats();
        let sent = u64::try_from(sent[0].len() + sent[1].len()).unwrap();
        prop_assert_eq!(stats.delivered_bytes + stats.gap_bytes, sent);
    }

    #[test]
    fn any_script_of_packets_keeps_the_promises(script in vec(any::<u8>(), 0..4_000)) {
        crate::fuzz::fuzz_reassembly(&script);
    }

    #[test]
    fn likely_scripts_of_packets_keep_the_promises(
        steps in vec((any::<u8>(), prop::sample::select(vec![16_u8, 16, 16, 17, 2, 18, 4, 20, 24]), 0_u8..6, any::<[u8; 2]>(), any::<u8>(), 0_u8..40), 0..300),
    ) {
        let mut script = Vec::new();
        for (kind, flags, page, [seq, ack], len, wait) in steps {
            script.extend([kind & 0x47, flags, 0x7f + page % 3, seq, 0x7f + page / 2, ack, len, wait]);
        }
        crate::fuzz::fuzz_reassembly(&script);
    }
}
