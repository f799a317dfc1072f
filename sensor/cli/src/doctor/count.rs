//! Packets to numbers.

use super::survey::{Flows, Traffic};
use net::{FlowKey, Frame, LinkType, Packet, TcpHeader, Timestamp, Transport, Undecoded};
use std::collections::HashMap;

/// Connections kept in mind. What comes beyond is counted as such.
const MAX_FLOWS: usize = 65_536;
/// Names of tunnels in tunnels told apart.
const MAX_PATHS: usize = 64;
/// What the kernel's ring holds beside each packet, in bytes.
const RING_OVERHEAD: u64 = 96;

/// Counts what passes by.
#[derive(Debug)]
pub(crate) struct Counter {
    interfaces: Vec<One>,
    flows: HashMap<FlowKey, Flow>,
    beyond: u64,
}

/// One interface.
#[derive(Debug, Default)]
struct One {
    address: Option<[u8; 6]>,
    traffic: Traffic,
    /// The second that is under way, and what the ring needs for it.
    second: (i64, u64),
}

/// One connection.
#[derive(Clone, Copy, Debug, Default)]
struct Flow {
    /// Packets from the lower and from the higher end.
    packets: [u64; 2],
    /// Whether anything but an attempt to connect was seen.
    real: bool,
    content: Option<Content>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Content {
    Tls,
    Http,
    Quic,
}

impl Counter {
    /// For interfaces in their order, each with its own link address if it has one.
    pub(crate) fn new(addresses: Vec<Option<[u8; 6]>>) -> Self {
        let interfaces = addresses.into_iter().map(|address| One { address, ..One::default() }).collect();
        Self { interfaces, flows: HashMap::new(), beyond: 0 }
    }

    /// Takes a packet in. `frame.place.file` is the interface, `now` what the system clock says.
    pub(crate) fn frame(&mut self, frame: &Frame<'_>, now: Timestamp) {
        let Some(one) = self.interfaces.get_mut(usize::from(frame.place.file)) else { return };
        one.frame(frame, now);
        let packet = match net::decode(frame) {
            Ok(packet) => packet,
            Err(error) => {
                if !matches!(error, Undecoded::NotIp | Undecoded::NotTcpUdp(_) | Undecoded::Fragment) {
                    *one.traffic.undecoded.entry(error.reason()).or_default() += 1;
                }
                return;
            }
        };
        one.packet(frame, &packet);
        let (key, forward) = packet.tuple.key();
        let room = self.flows.len() < MAX_FLOWS;
        match self.flows.entry(key) {
            std::collections::hash_map::Entry::Occupied(flow) => flow.into_mut().packet(frame, &packet, forward),
            std::collections::hash_map::Entry::Vacant(flow) if room => {
                flow.insert(Flow::default()).packet(frame, &packet, forward);
            }
            std::collections::hash_map::Entry::Vacant(_) => self.beyond += 1,
        }
    }

    /// The numbers.
    pub(crate) fn finish(mut self) -> (Vec<Traffic>, Flows) {
        self.interfaces.iter_mut().for_each(One::end_second);
        let count = |what: &dyn Fn(&Flow) -> bool| self.flows.values().filter(|flow| what(flow)).count() as u64;
        let tcp = |key: &FlowKey, flow: &Flow| {
            key.transport == Transport::Tcp && flow.real && flow.packets.iter().sum::<u64>() >= 4
        };
        let judged = |also: &dyn Fn(&Flow) -> bool| {
            self.flows.iter().filter(|(key, flow)| tcp(key, flow) && also(flow)).count() as u64
        };
        let flows = Flows {
            tcp: judged(&|_| true),
            one_sided: judged(&|flow| flow.packets.contains(&0)),
            tls: count(&|flow| flow.content == Some(Content::Tls)),
            http: count(&|flow| flow.content == Some(Content::Http)),
            quic: count(&|flow| flow.content == Some(Content::Quic)),
            beyond: self.beyond,
        };
        (self.interfaces.into_iter().map(|one| one.traffic).collect(), flows)
    }
}

impl One {
    fn frame(&mut self, frame: &Frame<'_>, now: Timestamp) {
        let traffic = &mut self.traffic;
        traffic.packets += 1;
        traffic.bytes += u64::from(frame.wire_len);
        let off = frame.ts.0.saturating_sub(now.0) / 1_000_000;
        if off.unsigned_abs() > traffic.skew_ms.unsigned_abs() {
            traffic.skew_ms = off;
        }
        if let (LinkType::Ethernet, Some((to, rest))) = (frame.link, frame.data.split_first_chunk::<6>())
            && let Some(from) = rest.first_chunk::<6>()
        {
            traffic.with_addresses += 1;
            let group = to.first().is_some_and(|byte| byte & 1 == 1);
            let ours = self.address.is_some_and(|address| *to == address || *from == address);
            traffic.between_others += u64::from(!group && !ours);
        }
        let second = frame.ts.seconds();
        if second != self.second.0 {
            self.end_second();
            self.second = (second, 0);
        }
        self.second.1 += frame.data.len() as u64 + RING_OVERHEAD;
    }

    fn end_second(&mut self) {
        self.traffic.peak_ring_bytes = self.traffic.peak_ring_bytes.max(self.second.1);
    }

    fn packet(&mut self, frame: &Frame<'_>, packet: &Packet) {
        let traffic = &mut self.traffic;
        if let [Some(id), _] = packet.vlan {
            *traffic.vlans.entry(id.get()).or_default() += 1;
        }
        match net::tcp_checksum_ok(packet, frame.data) {
            Some(true) => traffic.good_sums += 1,
            Some(false) => traffic.bad_sums += 1,
            None => {}
        }
        if !packet.tuple.tunnel.is_none() {
            let words: Vec<_> = net::tunnel_path(frame).steps().map(|step| step.carrier.word()).collect();
            let name = words.join("/");
            if traffic.tunnels.len() < MAX_PATHS || traffic.tunnels.contains_key(&name) {
                *traffic.tunnels.entry(name).or_default() += 1;
            }
        }
    }
}

impl Flow {
    fn packet(&mut self, frame: &Frame<'_>, packet: &Packet, forward: bool) {
        let [low, high] = &mut self.packets;
        *(if forward { low } else { high }) += 1;
        // A scan that nobody answers says nothing about the mirror.
        self.real |= packet.tcp.is_some_and(|tcp| !tcp.has(TcpHeader::SYN) && !tcp.has(TcpHeader::RST));
        if self.content.is_none() {
            let range = packet.payload.start as usize..packet.payload.end as usize;
            let payload = frame.data.get(range).unwrap_or_default();
            self.content = content(payload, packet.tuple.transport);
        }
    }
}

/// What the beginning of a segment or datagram shows.
fn content(payload: &[u8], transport: Transport) -> Option<Content> {
    const WORDS: [&[u8]; 10] = [
        b"GET ",
        b"POST ",
        b"PUT ",
        b"HEAD ",
        b"DELETE ",
        b"OPTIONS ",
        b"PATCH ",
        b"CONNECT ",
        b"HTTP/1.",
        b"PRI * HTTP/2",
    ];
    match (transport, payload) {
        // A record with a handshake or with data.
        (Transport::Tcp, [22 | 23, 3, 0..=4, ..]) => Some(Content::Tls),
        (Transport::Tcp, _) if WORDS.iter().any(|word| payload.starts_with(word)) => Some(Content::Http),
        // A long header of version 1 or 2 (RFC 9000 §17.2, RFC 9369 §3.1).
        (Transport::Udp, [0xc0..=0xff, 0, 0, 0, 1, ..] | [0xc0..=0xff, 0x6b, 0x33, 0x43, 0xcf, ..]) => {
            Some(Content::Quic)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use net::Place;

    const OURS: [u8; 6] = [2, 0, 0, 0, 0, 1];
    const OTHER: [u8; 6] = [2, 0, 0, 0, 0, 2];
    const THIRD: [u8; 6] = [2, 0, 0, 0, 0, 3];

    /// An Ethernet frame with one TCP segment from port `ports.0` to `ports.1`.
    fn segment(macs: ([u8; 6], [u8; 6]), vlan: Option<u16>, ports: (u16, u16), flags: u8, payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend_from_slice(&macs.1);
        out.extend_from_slice(&macs.0);
        if let Some(id) = vlan {
            out.extend_from_slice(&[0x81, 0]);
            out.extend_from_slice(&id.to_be_bytes());
        }
        out.extend_from_slice(&[8, 0]);
        let total = u16::try_from(40 + payload.len()).unwrap();
        out.extend_from_slice(&[0x45, 0]);
        out.extend_from_slice(&total.to_be_bytes());
        out.extend_from_slice(&[0, 0, 0x40, 0, 64, 6, 0, 0]);
        // The same addresses whoever sends: the lower port is the server.
        let (low, high) = ([10, 0, 0, 1], [10, 0, 0, 2]);
        let (src, dst) = if ports.0 < ports.1 { (low, high) } else { (high, low) };
        out.extend_from_slice(&src);
        out.extend_from_slice(&dst);
        out.extend_from_slice(&ports.0.to_be_bytes());
        out.extend_from_slice(&ports.1.to_be_bytes());
        out.extend_from_slice(&[0, 0, 0, 1, 0, 0, 0, 1, 0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
        out.extend_from_slice(payload);
        out
    }

    fn count(frames: &[Vec<u8>]) -> (Traffic, Flows) {
        let mut counter = Counter::new(vec![Some(OURS)]);
        for (i, data) in frames.iter().enumerate() {
            let wire_len = u32::try_from(data.len()).unwrap();
            let ts = Timestamp::new(i64::try_from(i / 4).unwrap(), 0);
            let place = Place::default();
            counter
                .frame(&Frame { place, ts, link: LinkType::Ethernet, data, wire_len }, Timestamp::new(1, 500_000_000));
        }
        let (mut traffic, flows) = counter.finish();
        (traffic.remove(0), flows)
    }

    #[test]
    fn flows_are_sorted_by_what_they_show() {
        let macs = (OTHER, THIRD);
        let mut frames = Vec::new();
        for (client, hello, answer) in [
            (5001, &b"GET / HTTP/1.1\r\n"[..], &b"HTTP/1.1 200 OK\r\n"[..]),
            (5002, &b"\x16\x03\x01\0\x05hello"[..], &b"\x16\x03\x03\0\x05hello"[..]),
            (5003, &b"something"[..], &b"else"[..]),
        ] {
            frames.push(segment(macs, None, (client, 80), TcpHeader::SYN, b""));
            frames.push(segment(macs, None, (80, client), TcpHeader::SYN | TcpHeader::ACK, b""));
            frames.push(segment(macs, None, (client, 80), TcpHeader::ACK, hello));
            frames.push(segment(macs, None, (80, client), TcpHeader::ACK, answer));
        }
        let (traffic, flows) = count(&frames);
        assert_eq!(flows, Flows { tcp: 3, one_sided: 0, tls: 1, http: 1, quic: 0, beyond: 0 });
        assert_eq!((traffic.packets, traffic.between_others, traffic.with_addresses), (12, 12, 12));
        // Seconds 0, 1 and 2, seen at 1.5.
        assert_eq!(traffic.skew_ms, -1500);
        let four: u64 = frames[..4].iter().map(|frame| frame.len() as u64 + RING_OVERHEAD).sum();
        assert_eq!(traffic.peak_ring_bytes, four);
    }

    #[test]
    fn one_direction_counts_and_a_scan_does_not() {
        let macs = (OTHER, THIRD);
        let lonely = (0..4).map(|_| segment(macs, Some(10), (5001, 80), TcpHeader::ACK, b"data"));
        let scan = (0..4).map(|_| segment(macs, Some(20), (5002, 80), TcpHeader::SYN, b""));
        let (traffic, flows) = count(&lonely.chain(scan).collect::<Vec<_>>());
        assert_eq!((flows.tcp, flows.one_sided), (1, 1));
        assert_eq!(traffic.vlans, [(10, 4), (20, 4)].into());
        assert_eq!((traffic.tagged(), traffic.bad_sums + traffic.good_sums), (8, 8));
    }

    #[test]
    fn what_is_ours_or_for_all_is_no_mirror() {
        let mut frames = vec![
            segment((OURS, OTHER), None, (5001, 80), TcpHeader::ACK, b""),
            segment((OTHER, OURS), None, (80, 5001), TcpHeader::ACK, b""),
            segment((OTHER, [0xff; 6]), None, (5001, 80), TcpHeader::ACK, b""),
        ];
        frames.push(frames[0][..13].to_vec());
        let (traffic, _) = count(&frames);
        assert_eq!((traffic.between_others, traffic.with_addresses), (0, 4));
        assert_eq!(traffic.undecoded, [("truncated", 1)].into());
    }

    #[test]
    fn beyond_the_limit_flows_are_counted_and_nothing_grows() {
        let mut counter = Counter::new(vec![None]);
        let macs = (OTHER, THIRD);
        for port in 1000..=65_000_u16 {
            for server in [80, 81] {
                let data = segment(macs, None, (port, server), TcpHeader::ACK, b"");
                let wire_len = u32::try_from(data.len()).unwrap();
                let (ts, link, place) = (Timestamp(0), LinkType::Ethernet, Place::default());
                counter.frame(&Frame { place, ts, link, data: &data, wire_len }, ts);
            }
        }
        assert_eq!(counter.flows.len(), MAX_FLOWS);
        let (_, flows) = counter.finish();
        assert_eq!(flows.beyond, 2 * 64_001 - MAX_FLOWS as u64);
    }

    #[test]
    fn quic_is_told_by_its_version() {
        for (payload, want) in [
            (&b"\xc3\0\0\0\x01\x08"[..], Some(Content::Quic)),
            (b"\xd3\x6b\x33\x43\xcf\x08", Some(Content::Quic)),
            (b"\xc3\0\0\0\0\x08", None),
            (b"\x43\0\0\0\x01\x08", None),
            (b"", None),
        ] {
            assert_eq!(content(payload, Transport::Udp), want, "{payload:?}");
        }
    }
}
