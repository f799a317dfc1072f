//! A capture that is written as it is made, and one TCP connection in it.

use crate::frame::{self, ACK, FIN, PSH, SYN, Segment, ip_udp};
use crate::{Capture, Direction, Link};
use std::io::{self, Write};
use std::net::SocketAddr;

/// Writes frames to a classic pcap file as they come. Holds one frame at a time.
pub(super) struct Stream<'w> {
    out: &'w mut dyn Write,
    clock_us: u64,
    /// Microseconds from one frame to the next.
    pub(super) gap_us: u64,
    ip_id: u16,
    pub(super) packets: u64,
    pub(super) bytes: u64,
}

impl<'w> Stream<'w> {
    pub(super) fn new(out: &'w mut dyn Write) -> io::Result<Self> {
        out.write_all(&Capture::new().pcap())?;
        Ok(Self { out, clock_us: Capture::START_US, gap_us: 1, ip_id: 1, packets: 0, bytes: 0 })
    }

    pub(super) fn wait(&mut self, us: u64) {
        self.clock_us += us;
    }

    fn frame(&mut self, frame: &[u8]) -> io::Result<()> {
        self.clock_us += self.gap_us;
        self.packets += 1;
        self.bytes += frame.len() as u64;
        let mut head = [0; 16];
        let words = [self.clock_us / 1_000_000, self.clock_us % 1_000_000, frame.len() as u64, frame.len() as u64];
        for (to, word) in head.chunks_mut(4).zip(words) {
            to.copy_from_slice(&(word as u32).to_le_bytes());
        }
        self.out.write_all(&head)?;
        self.out.write_all(frame)
    }

    pub(super) fn segment(&mut self, segment: &Segment) -> io::Result<()> {
        self.ip_id = self.ip_id.wrapping_add(1);
        let frame = frame::build(segment, Link::Ethernet, None, self.ip_id, true);
        self.frame(&frame)
    }

    /// A lone SYN.
    pub(super) fn syn(&mut self, from: SocketAddr, to: SocketAddr, seq: u32) -> io::Result<()> {
        self.segment(&Segment { from, to, seq, ack: 0, flags: SYN, payload: Vec::new() })
    }

    /// The answer to a SYN.
    pub(super) fn syn_ack(&mut self, from: SocketAddr, to: SocketAddr, ack: u32) -> io::Result<()> {
        self.segment(&Segment { from, to, seq: 7, ack, flags: SYN | ACK, payload: Vec::new() })
    }

    /// A datagram over IPv4.
    pub(super) fn datagram(&mut self, from: SocketAddr, to: SocketAddr, payload: &[u8]) -> io::Result<()> {
        self.ip_id = self.ip_id.wrapping_add(1);
        let frame = ip_udp(from, to, payload, self.ip_id);
        self.frame(&frame)
    }
}

/// One connection. A pair is client, server.
#[derive(Clone, Debug)]
pub(super) struct Tcp {
    ends: [SocketAddr; 2],
    seq: [u32; 2],
}

const fn side(dir: Direction) -> usize {
    dir.index()
}

impl Tcp {
    pub(super) fn new(client: SocketAddr, server: SocketAddr) -> Self {
        let seed = u32::from(client.port()) << 8;
        Self { ends: [client, server], seq: [seed.wrapping_mul(0x9e37_79b1), seed.wrapping_mul(0x85eb_ca6b)] }
    }

    fn segment(&self, dir: Direction, flags: u8, payload: &[u8]) -> Segment {
        let (me, peer) = (side(dir), side(dir.reverse()));
        Segment {
            from: self.ends[me],
            to: self.ends[peer],
            seq: self.seq[me],
            ack: self.seq[peer],
            flags,
            payload: payload.to_vec(),
        }
    }

    fn flags(&mut self, out: &mut Stream<'_>, dir: Direction, flags: u8) -> io::Result<()> {
        let mut segment = self.segment(dir, flags, &[]);
        if flags & ACK == 0 {
            segment.ack = 0;
        }
        if flags & (SYN | FIN) != 0 {
            self.seq[side(dir)] = self.seq[side(dir)].wrapping_add(1);
        }
        out.segment(&segment)
    }

    /// The handshake.
    pub(super) fn open(&mut self, out: &mut Stream<'_>) -> io::Result<()> {
        self.flags(out, Direction::ToServer, SYN)?;
        self.flags(out, Direction::ToClient, SYN | ACK)?;
        self.flags(out, Direction::ToServer, ACK)
    }

    /// Data in segments of `mss`, not acknowledged.
    pub(super) fn send(&mut self, out: &mut Stream<'_>, dir: Direction, bytes: &[u8], mss: usize) -> io::Result<()> {
        for piece in bytes.chunks(mss) {
            let segment = self.segment(dir, PSH | ACK, piece);
            self.skip(dir, piece.len());
            out.segment(&segment)?;
        }
        Ok(())
    }

    /// The same in three segments, the last one first.
    pub(super) fn send_reversed(&mut self, out: &mut Stream<'_>, dir: Direction, bytes: &[u8]) -> io::Result<()> {
        let mut segments = Vec::new();
        for piece in bytes.chunks(bytes.len().div_ceil(3).max(1)) {
            segments.push(self.segment(dir, PSH | ACK, piece));
            self.skip(dir, piece.len());
        }
        segments.iter().rev().try_for_each(|s| out.segment(s))
    }

    /// Data that was sent and that the tap never sees.
    pub(super) fn skip(&mut self, dir: Direction, len: usize) {
        self.seq[side(dir)] = self.seq[side(dir)].wrapping_add(len as u32);
    }

    /// Both ends close.
    pub(super) fn close(&mut self, out: &mut Stream<'_>) -> io::Result<()> {
        self.flags(out, Direction::ToServer, FIN | ACK)?;
        self.flags(out, Direction::ToClient, FIN | ACK)?;
        self.flags(out, Direction::ToServer, ACK)
    }
}
