//! Conversations to capture files.
//!
//! Calls advance one clock, so the order of the calls is the order on the wire, across flows too:
//!
//! ```
//! use testkit::{Capture, Direction, Wire};
//! let mut capture = Capture::new();
//! let flow = capture.flow("10.0.0.1:50000", "10.0.0.2:8000", Wire::default());
//! capture.send(flow, Direction::ToServer, b"GET / HTTP/1.0\r\n\r\n");
//! capture.fin(flow);
//! assert!(capture.pcap().starts_with(&0xa1b2_c3d4_u32.to_le_bytes()));
//! ```

use crate::frame::{self, ACK, FIN, Header, PSH, RST, SYN, Segment, URG};
use crate::{Direction, Rng};
use std::net::SocketAddr;

/// Link layer of a capture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Link {
    /// Ethernet (link type 1).
    #[default]
    Ethernet,
    /// Linux cooked capture v1 (113).
    LinuxCooked,
    /// IP without a link header (101).
    RawIp,
}

impl Link {
    const fn number(self) -> u32 {
        match self {
            Self::Ethernet => 1,
            Self::LinuxCooked => 113,
            Self::RawIp => 101,
        }
    }
}

/// How one flow travels. The default is a clean flow in segments of 1,460 bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wire {
    /// Largest payload of one segment, in bytes; large values stand for segmentation offload.
    pub mss: usize,
    /// 802.1Q tag on every frame (Ethernet only).
    pub vlan: Option<u16>,
    /// Another tag on what the server sends.
    pub vlan_back: Option<u16>,
    /// IPv6 packets carry a fragment header that says they are whole (RFC 6946).
    pub atomic_fragments: bool,
    /// Source MAC address of what the client sends, where another puts it on the link.
    pub client_mac: Option<[u8; 6]>,
    /// Time to live of what the client sends.
    pub client_ttl: u8,
    /// First sequence number of the client, where it matters.
    pub first: Option<u32>,
    /// Segments are of random sizes, up to `mss`.
    pub ragged: bool,
    /// Segments of one send leave in windows of this many, shuffled; 0 and 1 keep their order.
    pub reorder: usize,
    /// Every n-th data segment is sent twice; 0 for none.
    pub duplicate: usize,
    /// Every n-th data segment is never seen; 0 for none.
    pub drop: usize,
    /// Every n-th data segment is sent again with the same numbers and other bytes; 0 for none.
    pub conflict: usize,
    /// Only this direction is mirrored.
    pub only: Option<Direction>,
    /// The handshake happened before the capture began.
    pub midstream: bool,
    /// Checksums as a capturing host with checksum offload leaves them: all wrong.
    pub bad_checksums: bool,
    /// Seed of the shuffling.
    pub seed: u64,
}

impl Default for Wire {
    fn default() -> Self {
        Self {
            mss: 1460,
            ragged: false,
            vlan: None,
            vlan_back: None,
            atomic_fragments: false,
            client_mac: None,
            client_ttl: 64,
            first: None,
            reorder: 0,
            duplicate: 0,
            drop: 0,
            conflict: 0,
            only: None,
            midstream: false,
            bad_checksums: false,
            seed: 1,
        }
    }
}

impl Wire {
    /// A clean flow in segments of `mss` bytes.
    pub fn cut(mss: usize) -> Self {
        Self { mss, ..Self::default() }
    }
}

/// One segment by hand, where a flow is to say something its sender would not. See [`Capture::odd`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Odd<'p> {
    /// Who sends it.
    pub direction: Direction,
    /// Where it stands, in bytes from what this direction would send next; negative for what was sent before.
    pub ahead: i64,
    /// Flag bits as on the wire.
    pub flags: u8,
    /// What it carries.
    pub payload: &'p [u8],
    /// Time to live.
    pub ttl: u8,
    /// Urgent pointer; sets URG where it is not 0.
    pub urgent: u16,
    /// A checksum that is wrong.
    pub bad_checksum: bool,
}

impl<'p> Odd<'p> {
    /// FIN.
    pub const FIN: u8 = FIN;
    /// SYN.
    pub const SYN: u8 = SYN;
    /// RST.
    pub const RST: u8 = RST;
    /// ACK.
    pub const ACK: u8 = ACK;

    /// `payload` at `ahead`, and nothing odd but that.
    pub const fn data(direction: Direction, ahead: i64, payload: &'p [u8]) -> Self {
        Self { direction, ahead, flags: PSH | ACK, payload, ttl: 64, urgent: 0, bad_checksum: false }
    }

    /// `flags` at `ahead` without payload.
    pub const fn flags(direction: Direction, ahead: i64, flags: u8) -> Self {
        Self { flags, ..Self::data(direction, ahead, b"") }
    }
}

/// One flow of a [`Capture`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FlowId(usize);

/// One side's bytes in a scripted conversation.
pub type Turn = (Direction, Vec<u8>);

#[derive(Clone, Debug)]
struct Flow {
    client: SocketAddr,
    server: SocketAddr,
    wire: Wire,
    /// Next sequence number of client and server.
    seq: [u32; 2],
    /// Data segments sent so far, for the every-n-th options.
    data_segments: usize,
    rng: Rng,
}

/// A capture file in the making.
#[derive(Clone, Debug)]
pub struct Capture {
    link: Link,
    snaplen: usize,
    clock_us: u64,
    ip_id: u16,
    flows: Vec<Flow>,
    packets: Vec<(u64, Vec<u8>)>,
    /// Of each packet, as long as it may be in the file.
    kept: Vec<usize>,
}

impl Default for Capture {
    fn default() -> Self {
        Self::new()
    }
}

impl Capture {
    /// Time of the first packet: 2026-11-23T09:12:01Z, in microseconds since 1970.
    pub const START_US: u64 = 1_795_425_121_000_000;
    /// Between two packets of one call, in microseconds.
    pub const PACKET_GAP_US: u64 = 40;
    /// Before each call, in microseconds.
    pub const CALL_GAP_US: u64 = 1_000;

    /// An empty Ethernet capture.
    pub fn new() -> Self {
        Self::with_link(Link::Ethernet)
    }

    /// An empty capture of another link type.
    pub fn with_link(link: Link) -> Self {
        Self {
            link,
            snaplen: 262_144,
            clock_us: Self::START_US,
            ip_id: 1,
            flows: Vec::new(),
            packets: Vec::new(),
            kept: Vec::new(),
        }
    }

    /// Keeps only the first `bytes` of each frame from here on, as a snap length does.
    pub const fn snaplen(&mut self, bytes: usize) {
        self.snaplen = bytes;
    }

    /// Lets `us` microseconds of packet time pass.
    pub const fn wait(&mut self, us: u64) {
        self.clock_us += us;
    }

    /// Opens a flow from `client` to `server` (`ip:port`), with its handshake unless the wire is midstream.
    ///
    /// # Panics
    ///
    /// Where an address does not parse.
    pub fn flow(&mut self, client: &str, server: &str, wire: Wire) -> FlowId {
        let id = FlowId(self.flows.len());
        let seed = wire.seed ^ (id.0 as u64) << 32;
        let mut rng = Rng::new(seed);
        // One of the two numbers wraps early in every third flow.
        let low = if id.0 % 3 == 2 { u32::MAX - 700 } else { rng.next_u64() as u32 };
        let low = wire.first.unwrap_or(low);
        self.flows.push(Flow {
            client: client.parse().expect("client ip:port"),
            server: server.parse().expect("server ip:port"),
            wire,
            seq: [low, rng.next_u64() as u32],
            data_segments: 0,
            rng,
        });
        if !self.flows[id.0].wire.midstream {
            self.clock_us += Self::CALL_GAP_US;
            self.control(id, Direction::ToServer, SYN);
            self.control(id, Direction::ToClient, SYN | ACK);
            self.control(id, Direction::ToServer, ACK);
        }
        id
    }

    /// Sends `bytes` in segments, and the other side's acknowledgement.
    pub fn send(&mut self, id: FlowId, direction: Direction, bytes: &[u8]) {
        self.clock_us += Self::CALL_GAP_US;
        let flow = &mut self.flows[id.0];
        let wire = flow.wire.clone();
        let side = side(direction);
        let mut out = Vec::new();
        let mut rest = bytes;
        while !rest.is_empty() {
            let most = wire.mss.max(1);
            let size = if wire.ragged { 1 + flow.rng.below(most) } else { most };
            let (piece, behind) = rest.split_at(size.min(rest.len()));
            rest = behind;
            let segment = flow.segment(direction, PSH | ACK, piece.to_vec());
            flow.seq[side] = flow.seq[side].wrapping_add(piece.len() as u32);
            flow.data_segments += 1;
            let every = |n: usize| n != 0 && flow.data_segments.is_multiple_of(n);
            if every(wire.drop) {
                continue;
            }
            out.push(segment.clone());
            if every(wire.duplicate) {
                out.push(segment.clone());
            }
            if every(wire.conflict) {
                let other = Segment { payload: vec![b'#'; piece.len()], ..segment };
                out.push(other);
            }
        }
        if wire.reorder > 1 {
            for window in out.chunks_mut(wire.reorder) {
                flow.rng.shuffle(window);
            }
        }
        for segment in out {
            self.put(id, direction, &segment);
        }
        self.control(id, other(direction), ACK);
    }

    /// Sends the segments of `bytes` of `mss` bytes in the order 2, 1, 4, 3, ...; then segment `again` (from 1) once
    /// more with the same sequence number and other bytes.
    pub fn send_swapped(&mut self, id: FlowId, direction: Direction, bytes: &[u8], mss: usize, again: usize) {
        self.clock_us += Self::CALL_GAP_US;
        let flow = &mut self.flows[id.0];
        let side = side(direction);
        let mut out: Vec<Segment> = Vec::new();
        for piece in bytes.chunks(mss.max(1)) {
            out.push(flow.segment(direction, PSH | ACK, piece.to_vec()));
            flow.seq[side] = flow.seq[side].wrapping_add(piece.len() as u32);
        }
        let repeated = again.checked_sub(1).and_then(|n| out.get(n)).cloned();
        for pair in out.chunks_mut(2) {
            pair.reverse();
        }
        let at = again.saturating_add(1).min(out.len());
        if let Some(repeated) = repeated {
            out.insert(at, Segment { payload: vec![b'#'; repeated.payload.len()], ..repeated });
        }
        for segment in out {
            self.put(id, direction, &segment);
        }
    }

    /// One segment by hand. The numbers of the flow stay where they are; see [`Capture::skip`].
    pub fn odd(&mut self, id: FlowId, odd: &Odd<'_>) {
        self.clock_us += Self::CALL_GAP_US;
        let mut segment = self.flows[id.0].segment(odd.direction, odd.flags, odd.payload.to_vec());
        segment.seq = segment.seq.wrapping_add(odd.ahead as u32);
        if odd.urgent != 0 {
            segment.flags |= URG;
        }
        if odd.flags & ACK == 0 {
            segment.ack = 0;
        }
        let header = Header { ttl: odd.ttl, urgent: odd.urgent, good_checksum: !odd.bad_checksum, ..Header::default() };
        self.put_with(id, odd.direction, &segment, header);
    }

    /// Counts `bytes` of `direction` as sent: by hand, or never.
    pub fn skip(&mut self, id: FlowId, direction: Direction, bytes: usize) {
        let seq = &mut self.flows[id.0].seq[side(direction)];
        *seq = seq.wrapping_add(bytes as u32);
    }

    /// `direction` acknowledges all that the other side sent.
    pub fn ack(&mut self, id: FlowId, direction: Direction) {
        self.clock_us += Self::CALL_GAP_US;
        self.control(id, direction, ACK);
    }

    /// One Ethernet frame as it is.
    pub fn frame(&mut self, frame: Vec<u8>) {
        self.clock_us += Self::PACKET_GAP_US;
        self.packets.push((self.clock_us, frame));
        self.kept.push(self.snaplen);
    }

    /// One UDP datagram in an Ethernet frame, `from` and `to` as `ip:port`.
    ///
    /// # Panics
    ///
    /// Where an address does not parse, or they are of two versions.
    pub fn datagram(&mut self, from: &str, to: &str, payload: &[u8]) {
        self.clock_us += Self::CALL_GAP_US;
        let frame = frame::ip_udp(from.parse().expect("ip:port"), to.parse().expect("ip:port"), payload, self.ip_id);
        self.ip_id = self.ip_id.wrapping_add(1);
        self.packets.push((self.clock_us, frame));
        self.kept.push(self.snaplen);
    }

    /// Both sides close.
    pub fn fin(&mut self, id: FlowId) {
        self.clock_us += Self::CALL_GAP_US;
        for direction in [Direction::ToServer, Direction::ToClient] {
            self.control(id, direction, FIN | ACK);
        }
        self.control(id, Direction::ToServer, ACK);
    }

    /// `direction`'s sender resets.
    pub fn rst(&mut self, id: FlowId, direction: Direction) {
        self.clock_us += Self::CALL_GAP_US;
        self.control(id, direction, RST | ACK);
    }

    /// Opens a flow, plays its turns, closes it.
    pub fn play(&mut self, client: &str, server: &str, wire: Wire, turns: &[Turn]) -> FlowId {
        let id = self.flow(client, server, wire);
        for (direction, bytes) in turns {
            self.send(id, *direction, bytes);
        }
        self.fin(id);
        id
    }

    /// Plays many conversations at once: each next turn is of a flow chosen at random. At most `open` are open at a
    /// time. Every conversation is (client, server, turns).
    pub fn interleave(&mut self, conversations: &[(String, String, Vec<Turn>)], open: usize, wire: &Wire, seed: u64) {
        let mut rng = Rng::new(seed);
        let mut waiting = conversations.iter();
        let mut running: Vec<(FlowId, std::slice::Iter<'_, Turn>)> = Vec::new();
        loop {
            while running.len() < open.max(1) {
                let Some((client, server, turns)) = waiting.next() else { break };
                running.push((self.flow(client, server, wire.clone()), turns.iter()));
            }
            if running.is_empty() {
                return;
            }
            let chosen = rng.below(running.len());
            let id = running[chosen].0;
            if let Some((direction, bytes)) = running[chosen].1.next() {
                self.send(id, *direction, bytes);
            } else {
                self.fin(id);
                drop(running.swap_remove(chosen));
            }
        }
    }

    /// The same capture with each frame replaced by what `change` makes of it: one, several, or none. It is told the
    /// number of the frame, from 0.
    #[must_use]
    pub fn rewritten(&self, mut change: impl FnMut(usize, &[u8]) -> Vec<Vec<u8>>) -> Self {
        let (mut packets, mut kept) = (Vec::new(), Vec::new());
        for (n, ((us, frame), keep)) in self.packets.iter().zip(&self.kept).enumerate() {
            for frame in change(n, frame) {
                packets.push((*us, frame));
                kept.push(*keep);
            }
        }
        Self { packets, kept, ..self.clone() }
    }

    /// Adds the frames of `other`, all in the order of their times.
    pub fn merge(&mut self, other: &Self) {
        let mut all: Vec<_> = self.packets.drain(..).zip(self.kept.drain(..)).collect();
        all.extend(other.packets.iter().cloned().zip(other.kept.iter().copied()));
        all.sort_by_key(|((us, _), _)| *us);
        (self.packets, self.kept) = all.into_iter().unzip();
    }

    /// Frames so far, with their times in microseconds since 1970.
    pub fn frames(&self) -> &[(u64, Vec<u8>)] {
        &self.packets
    }

    /// The capture as a classic pcap file with microseconds, little-endian.
    pub fn pcap(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend_from_slice(&0xa1b2_c3d4_u32.to_le_bytes());
        out.extend_from_slice(&[2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        out.extend_from_slice(&262_144_u32.to_le_bytes());
        out.extend_from_slice(&self.link.number().to_le_bytes());
        for ((us, frame), kept) in self.packets.iter().zip(&self.kept) {
            let kept = frame.len().min(*kept);
            out.extend_from_slice(&((us / 1_000_000) as u32).to_le_bytes());
            out.extend_from_slice(&((us % 1_000_000) as u32).to_le_bytes());
            out.extend_from_slice(&(kept as u32).to_le_bytes());
            out.extend_from_slice(&(frame.len() as u32).to_le_bytes());
            out.extend_from_slice(&frame[..kept]);
        }
        out
    }

    /// A segment without payload; SYN and FIN take one sequence number.
    fn control(&mut self, id: FlowId, direction: Direction, flags: u8) {
        let flow = &mut self.flows[id.0];
        let mut segment = flow.segment(direction, flags, Vec::new());
        if flags & ACK == 0 {
            segment.ack = 0;
        }
        if flags & (SYN | FIN) != 0 {
            flow.seq[side(direction)] = flow.seq[side(direction)].wrapping_add(1);
        }
        self.put(id, direction, &segment);
    }

    fn put(&mut self, id: FlowId, direction: Direction, segment: &Segment) {
        self.put_with(id, direction, segment, Header::default());
    }

    fn put_with(&mut self, id: FlowId, direction: Direction, segment: &Segment, mut header: Header) {
        let wire = &self.flows[id.0].wire;
        if wire.only.is_some_and(|only| only != direction) {
            return;
        }
        let back = wire.vlan_back.filter(|_| direction == Direction::ToClient);
        header.good_checksum &= !wire.bad_checksums;
        let from_client = direction == Direction::ToServer;
        if from_client && wire.client_ttl != 64 {
            header.ttl = wire.client_ttl;
        }
        header.atomic = wire.atomic_fragments;
        let mut frame = frame::build_with(segment, self.link, back.or(wire.vlan), self.ip_id, header);
        if let Some(mac) = wire.client_mac.filter(|_| from_client && self.link != Link::RawIp) {
            // In a cooked capture, too.
            frame[6..12].copy_from_slice(&mac);
        }
        self.ip_id = self.ip_id.wrapping_add(1);
        self.clock_us += Self::PACKET_GAP_US;
        self.packets.push((self.clock_us, frame));
        self.kept.push(self.snaplen);
    }
}

impl Flow {
    fn segment(&self, direction: Direction, flags: u8, payload: Vec<u8>) -> Segment {
        let (from, to) = match direction {
            Direction::ToServer => (self.client, self.server),
            Direction::ToClient => (self.server, self.client),
        };
        let (seq, ack) = (self.seq[side(direction)], self.seq[side(other(direction))]);
        Segment { from, to, seq, ack, flags, payload }
    }
}

const fn side(direction: Direction) -> usize {
    match direction {
        Direction::ToServer => 0,
        Direction::ToClient => 1,
    }
}

const fn other(direction: Direction) -> Direction {
    match direction {
        Direction::ToServer => Direction::ToClient,
        Direction::ToClient => Direction::ToServer,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// TCP payload of an untagged Ethernet IPv4 frame.
    fn payload(frame: &[u8]) -> &[u8] {
        &frame[14 + 20 + 20..]
    }

    fn sent(wire: Wire, bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut capture = Capture::new();
        let flow = capture.flow("10.0.0.1:50000", "10.0.0.2:8000", wire);
        capture.send(flow, Direction::ToServer, bytes);
        capture.frames().iter().map(|(_, f)| payload(f).to_vec()).filter(|p| !p.is_empty()).collect()
    }

    #[test]
    fn a_send_is_cut_at_the_segment_size() {
        assert_eq!(sent(Wire::cut(4), b"abcdefghij"), [b"abcd".to_vec(), b"efgh".to_vec(), b"ij".to_vec()]);
    }

    #[test]
    fn options_reorder_repeat_drop_and_contradict() {
        assert_eq!(sent(Wire { duplicate: 2, ..Wire::cut(1) }, b"abc"), [b"a", b"b", b"b", b"c"]);
        assert_eq!(sent(Wire { drop: 2, ..Wire::cut(1) }, b"abc"), [b"a", b"c"]);
        assert_eq!(sent(Wire { conflict: 3, ..Wire::cut(1) }, b"abc"), [b"a", b"b", b"c", b"#"]);
        let mut shuffled = sent(Wire { reorder: 8, ..Wire::cut(1) }, b"abcdefgh");
        assert_ne!(shuffled.concat(), b"abcdefgh");
        shuffled.sort();
        assert_eq!(shuffled.concat(), b"abcdefgh");
    }

    #[test]
    fn swapped_segments_come_in_pairs_and_one_comes_again() {
        let mut capture = Capture::new();
        let flow = capture.flow("10.0.0.1:50000", "10.0.0.2:8000", Wire::default());
        capture.send_swapped(flow, Direction::ToServer, b"abcdef", 1, 3);
        let got: Vec<u8> = capture.frames().iter().flat_map(|(_, f)| payload(f).to_vec()).collect();
        assert_eq!(got, b"badc#fe");
    }

    #[test]
    fn one_direction_and_midstream_leave_packets_out() {
        let mut capture = Capture::new();
        let wire = Wire { only: Some(Direction::ToClient), midstream: true, ..Wire::default() };
        let flow = capture.flow("10.0.0.1:50000", "10.0.0.2:8000", wire);
        capture.send(flow, Direction::ToServer, b"question");
        capture.send(flow, Direction::ToClient, b"answer");
        let seen: Vec<_> = capture.frames().iter().map(|(_, f)| payload(f).to_vec()).collect();
        assert_eq!(seen, [b"".to_vec(), b"answer".to_vec()]);
    }

    #[test]
    fn interleaving_is_the_same_each_time_and_loses_nothing() {
        let conversations: Vec<_> = (0..20)
            .map(|n| {
                let turns = vec![(Direction::ToServer, vec![n; 5]), (Direction::ToClient, vec![n; 7])];
                (format!("10.0.0.1:{}", 4000 + u16::from(n)), "10.0.0.2:80".to_owned(), turns)
            })
            .collect();
        let run = || {
            let mut capture = Capture::new();
            capture.interleave(&conversations, 6, &Wire::default(), 9);
            capture
        };
        assert_eq!(run().pcap(), run().pcap());
        let bytes: usize = run().frames().iter().map(|(_, f)| payload(f).len()).sum();
        assert_eq!(bytes, 20 * 12);
        let mut times: Vec<_> = run().frames().iter().map(|(t, _)| *t).collect();
        let sorted = times.clone();
        times.sort_unstable();
        assert_eq!(times, sorted);
    }

    #[test]
    fn a_snap_length_cuts_frames_but_not_their_stated_length() {
        let mut capture = Capture::new();
        capture.snaplen(60);
        let flow = capture.flow("10.0.0.1:50000", "10.0.0.2:8000", Wire { midstream: true, ..Wire::default() });
        capture.send(flow, Direction::ToServer, &[7; 100]);
        let file = capture.pcap();
        assert_eq!(file[24 + 8..24 + 12], 60_u32.to_le_bytes());
        assert_eq!(file[24 + 12..24 + 16], 154_u32.to_le_bytes());
    }
}
