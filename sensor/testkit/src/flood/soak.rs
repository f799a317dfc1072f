//! Traffic without end: ordinary pages, TLS, a little of every flood, and MCP that must be found.

use super::wire::{Stream, Tcp};
use super::{Flood, Kind, MSS, Player, Written, get};
use crate::Direction::{ToClient, ToServer};
use crate::http;
use std::io::{self, Write};
use std::net::Ipv4Addr;

/// What rounds are made of; its size and its canaries mean nothing here.
const FLOOD: Flood = Flood { kind: Kind::Http, size: 0, canaries: 0, seed: 11 };
/// Flows of pages in each round, four requests each.
const PAGES: u32 = 40;
/// Names of servers; a network has so many and no more.
const NAMES: u32 = 1_000;
/// Others in each round.
const OTHERS: [(Kind, u32); 13] = [
    (Kind::Syns, 150),
    (Kind::Lone, 90),
    (Kind::Idle, 30),
    (Kind::IdleTls, 60),
    (Kind::IdleEvents, 1),
    (Kind::OpenRequests, 5),
    (Kind::OpenBodies, 3),
    (Kind::Inflating, 2),
    (Kind::Holes, 1),
    (Kind::Heads, 1),
    (Kind::Servers, 1),
    (Kind::Names, 10),
    (Kind::Notices, 1),
];

/// Mixed traffic, round after round. Every round has other ends and later times; connections of earlier rounds stay
/// open and idle. Holds nothing of what it wrote.
pub struct Mixed<'w> {
    player: Player<'static, 'w>,
    /// Flows begun.
    next: u32,
    rounds: u64,
    page: Vec<u8>,
    rows: Vec<u8>,
}

impl<'w> Mixed<'w> {
    /// MCP calls of clients of 10.77.0.0/16 in each round, each a detection.
    pub const CALLS: u64 = 9;

    /// Writes the head of a pcap file.
    ///
    /// # Errors
    ///
    /// Those of `out`.
    pub fn new(out: &'w mut dyn Write) -> io::Result<Self> {
        let page = b"<p>The quick brown fox jumps over the lazy dog.</p>\n".repeat(160);
        let rows = r#"{"id":7,"name":"item","price":31},"#.repeat(400);
        let rows = http::gzip(format!("[{rows}null]").as_bytes());
        Ok(Self {
            player: Player::new(&FLOOD, Stream::new(out)?),
            next: 0,
            rounds: 0,
            page: http::message("HTTP/1.1 200 OK\nContent-Type: text/html\nServer: shop/2.1", &page),
            rows: http::message("HTTP/1.1 200 OK\nContent-Type: application/json\nContent-Encoding: gzip", &rows),
        })
    }

    /// Packet time of a round, in seconds.
    pub const SECONDS: u64 = 10;

    /// One round, which takes [`Self::SECONDS`] of packet time.
    ///
    /// # Errors
    ///
    /// Those of `out`.
    pub fn round(&mut self) -> io::Result<()> {
        let before = self.player.out.packets;
        for n in 0..PAGES {
            let mut tcp = Player::tcp(self.number());
            let out = &mut self.player.out;
            tcp.open(out)?;
            for turn in 0..4 {
                tcp.send(out, ToServer, &get("www.shop.example", n + turn), MSS)?;
                let answer = if turn == 1 { &self.rows } else { &self.page };
                tcp.send(out, ToClient, answer, MSS)?;
            }
            tcp.close(out)?;
        }
        for (kind, count) in OTHERS {
            for _ in 0..count {
                let n = self.number();
                self.player.one(kind, n % NAMES, Player::tcp(n))?;
            }
        }
        // The same clients come again, from other ports: rounds may also be played faster than connections are forgotten.
        let port = 20_000 + (self.rounds % 40_000) as u16;
        self.rounds += 1;
        for n in 0..Self::CALLS as u8 {
            let client = (Ipv4Addr::new(10, 77, 1, n), port);
            let mut tcp = Tcp::new(client.into(), (Ipv4Addr::new(10, 78, 1, 1), 8000).into());
            tcp.open(&mut self.player.out)?;
            self.player.exchange(tcp, n == 0)?;
        }
        let took = (self.player.out.packets - before) * self.player.out.gap_us;
        self.player.out.wait((Self::SECONDS * 1_000_000).saturating_sub(took));
        Ok(())
    }

    /// Rounds so far.
    pub fn rounds(&self) -> u64 {
        self.rounds
    }

    /// What was written so far.
    pub fn written(&self) -> Written {
        Written { packets: self.player.out.packets, bytes: self.player.out.bytes }
    }

    fn number(&mut self) -> u32 {
        self.next = self.next.wrapping_add(1);
        self.next
    }
}

#[cfg(test)]
mod tests {
    use super::Mixed;

    #[test]
    fn every_round_brings_other_ends() {
        let mut bytes = Vec::new();
        let mut mixed = Mixed::new(&mut bytes).unwrap();
        for _ in 0..3 {
            mixed.round().unwrap();
        }
        let (written, rounds) = (mixed.written(), mixed.rounds());
        assert_eq!((bytes.len() as u64, rounds), (24 + 16 * written.packets + written.bytes, 3));
        let last = bytes.len() - 100;
        assert_ne!(bytes[last..], bytes[last / 3..last / 3 + 100]);
    }
}
