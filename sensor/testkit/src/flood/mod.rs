//! Floods: traffic made to fill every table of the sensor, with ordinary MCP in the midst of it.
//!
//! A flood is written as it is made and never held in memory, so that its size is a matter of time only. The same
//! kind, size and seed give the same bytes. Beside the flood itself it plays [`Canary`] conversations, which a sensor
//! must find all the same; [`Tally`] counts which of them it did find.

mod collide;
mod idle;
mod soak;
mod tally;
mod wire;

pub use collide::{Tuple, Tuples, Weak};
pub use soak::Mixed;
pub use tally::Tally;

use crate::{Direction, Rng, http};
use Direction::{ToClient, ToServer};
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use wire::{Stream, Tcp};

/// What a flood is made of. Its size is the number of flows, unless it says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One SYN each, from random addresses to random addresses.
    Syns,
    /// SYN and SYN/ACK each, of random tuples: what [`Self::Colliding`] is measured against.
    Random,
    /// The same over IPv6.
    Random6,
    /// The same of tuples that collide under a hash without a key.
    Colliding(Weak),
    /// 64 KiB each, behind a hole that never closes.
    Holes,
    /// A request head of 60 KiB each, which never ends.
    Heads,
    /// An unanswered GET each.
    OpenRequests,
    /// A POST each, whose JSON body never ends.
    OpenBodies,
    /// The same, all of them in one of the sensor's virtual shards.
    Aimed,
    /// A POST each, whose compressed body never ends.
    Inflating,
    /// 300 pipelined GETs each, none of them answered.
    Pipelined,
    /// Ordinary requests and answers on all flows at once: pages, and a tenth JSON in gzip.
    Http,
    /// One MCP server each, used once.
    Servers,
    /// One MCP server each, that lists 400 tools of long names.
    Catalogues,
    /// So many session ids, at 16 servers.
    Sessions,
    /// So many answers of name servers, each with 4 addresses, for names of `flood.example`.
    Names,
    /// A request each that receivers may read in different ways.
    Notices,
    /// A page each, asked for and answered; then the connection is silent.
    Idle,
    /// A handshake of TLS and some records each, of a server that nobody knows; then silence.
    IdleTls,
    /// An MCP session each, which listens to an event stream on which nothing more comes.
    IdleEvents,
    /// 500 streams of HTTP/2 each, all of them in the midst of a JSON body.
    OpenStreams,
    /// One packet with payload each, from random addresses to random addresses: TCP whose beginning nobody saw, and
    /// datagrams.
    Lone,
}

/// When a conversation that must be found takes place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Canary {
    /// Its request comes before the flood, its answer after it.
    Waiting,
    /// Its handshake comes before the flood, its messages after it.
    Silent,
    /// In the midst of the flood.
    During,
    /// In the midst of the flood, and the segments of its request arrive in reverse.
    Torn,
    /// After the flood.
    After,
}

impl Canary {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Waiting, Self::Silent, Self::During, Self::Torn, Self::After];

    /// A word for tables.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Silent => "silent",
            Self::During => "during",
            Self::Torn => "torn",
            Self::After => "after",
        }
    }

    /// The connection of the `n`th of this kind: client 10.77.kind.n.
    fn tcp(self, n: u8) -> Tcp {
        let kind = self as u8;
        let client = (Ipv4Addr::new(10, 77, kind, n), 40_000 + u16::from(n));
        Tcp::new(client.into(), (Ipv4Addr::new(10, 78, kind, 1), 8000).into())
    }
}

/// A flood to be written.
#[derive(Clone, Copy, Debug)]
pub struct Flood {
    /// What it is made of.
    pub kind: Kind,
    /// How much of it.
    pub size: u32,
    /// Conversations of each [`Canary`].
    pub canaries: u8,
    /// Seed of what is random.
    pub seed: u64,
}

/// What was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// Frames.
    pub packets: u64,
    /// Bytes of them.
    pub bytes: u64,
}

const HOST: &str = "notes.corp.example";
const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"field-notes","version":"1.4"}}}"#;
const INITIALIZED: &str = r#"{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},"serverInfo":{"name":"notes-srv","version":"3.0"}}}"#;
/// Payload of an ordinary segment, in bytes.
const MSS: usize = 1460;

impl Flood {
    /// Writes the flood as a pcap file.
    ///
    /// # Errors
    ///
    /// Those of `out`.
    pub fn write(&self, out: &mut dyn Write) -> io::Result<Written> {
        let mut player = Player::new(self, Stream::new(out)?);
        player.before()?;
        player.flood()?;
        player.after()?;
        Ok(Written { packets: player.out.packets, bytes: player.out.bytes })
    }
}

struct Player<'f, 'w> {
    flood: &'f Flood,
    out: Stream<'w>,
    rng: Rng,
    /// Opened before the flood, in the order of their numbers.
    waiting: Vec<Tcp>,
    silent: Vec<Tcp>,
    /// The next canary in the midst of the flood.
    next: u8,
}

impl<'f, 'w> Player<'f, 'w> {
    fn new(flood: &'f Flood, out: Stream<'w>) -> Self {
        Self { flood, out, rng: Rng::new(flood.seed), waiting: Vec::new(), silent: Vec::new(), next: 0 }
    }

    fn before(&mut self) -> io::Result<()> {
        for n in 0..self.flood.canaries {
            let mut tcp = Canary::Waiting.tcp(n);
            tcp.open(&mut self.out)?;
            tcp.send(&mut self.out, ToServer, &http::post(HOST, "/mcp", "", INITIALIZE), MSS)?;
            self.waiting.push(tcp);
            let mut tcp = Canary::Silent.tcp(n);
            tcp.open(&mut self.out)?;
            self.silent.push(tcp);
        }
        self.out.wait(1_000);
        Ok(())
    }

    fn after(&mut self) -> io::Result<()> {
        self.out.wait(1_000);
        for mut tcp in std::mem::take(&mut self.waiting) {
            tcp.send(&mut self.out, ToClient, &http::json("", INITIALIZED), MSS)?;
            tcp.close(&mut self.out)?;
        }
        for tcp in std::mem::take(&mut self.silent) {
            self.exchange(tcp, false)?;
        }
        (0..self.flood.canaries).try_for_each(|n| {
            let mut tcp = Canary::After.tcp(n);
            tcp.open(&mut self.out)?;
            self.exchange(tcp, false)
        })
    }

    fn exchange(&mut self, mut tcp: Tcp, torn: bool) -> io::Result<()> {
        let request = http::post(HOST, "/mcp", "", INITIALIZE);
        if torn {
            tcp.send_reversed(&mut self.out, ToServer, &request)?;
        } else {
            tcp.send(&mut self.out, ToServer, &request, MSS)?;
        }
        tcp.send(&mut self.out, ToClient, &http::json("", INITIALIZED), MSS)?;
        tcp.close(&mut self.out)
    }

    /// Plays those canaries whose turn has come when `done` of `all` steps of the flood are over.
    fn step(&mut self, done: u32, all: u32) -> io::Result<()> {
        while self.next < self.flood.canaries
            && u64::from(done) * u64::from(self.flood.canaries) >= u64::from(self.next) * u64::from(all)
        {
            for (canary, torn) in [(Canary::During, false), (Canary::Torn, true)] {
                let mut tcp = canary.tcp(self.next);
                tcp.open(&mut self.out)?;
                self.exchange(tcp, torn)?;
            }
            self.next += 1;
        }
        Ok(())
    }

    fn flood(&mut self) -> io::Result<()> {
        let size = self.flood.size;
        match self.flood.kind {
            Kind::Http => self.http()?,
            Kind::Sessions => self.sessions()?,
            Kind::Random | Kind::Random6 | Kind::Colliding(_) => self.tuples()?,
            Kind::Aimed => {
                for (n, (client, server)) in (0..size).zip(Weak::Shard.tuples(self.flood.seed)) {
                    self.one(Kind::Aimed, n, Tcp::new(client, server))?;
                    self.step(n, size)?;
                }
            }
            kind => {
                for n in 0..size {
                    self.one(kind, n, Self::tcp(n))?;
                    self.step(n, size)?;
                }
            }
        }
        // All that are left.
        self.step(1, 1)
    }

    /// Client 11.x.y.z and a server of 172.16.0.0/12, each client once.
    fn tcp(n: u32) -> Tcp {
        let client = Ipv4Addr::from_bits(11 << 24 | (n.wrapping_mul(0x9e37_79b1) & 0x00ff_ffff));
        let server = Ipv4Addr::from_bits(0xac10_0000 | (n.wrapping_mul(0x85eb_ca6b) & 0x000f_ffff));
        Tcp::new((client, 1024 + (n % 60_000) as u16).into(), (server, 8080).into())
    }

    fn one(&mut self, kind: Kind, n: u32, mut tcp: Tcp) -> io::Result<()> {
        let out = &mut self.out;
        let host = format!("h{n}.flood.example");
        match kind {
            Kind::Syns => {
                let bits = self.rng.next_u64();
                let ports = self.rng.next_u64();
                let end = |bits: u64, port: u64| -> SocketAddr {
                    // Neither multicast nor the network that canaries live in.
                    let address = Ipv4Addr::from_bits(16 << 24 | (bits as u32 & 0x7fff_ffff));
                    (address, (port as u16).max(1)).into()
                };
                out.syn(end(bits, ports), end(bits >> 32, ports >> 16), (ports >> 32) as u32)
            }
            Kind::Holes => {
                tcp.open(out)?;
                tcp.skip(ToServer, MSS);
                tcp.send(out, ToServer, &vec![b'x'; 64 << 10], MSS)
            }
            Kind::Heads => {
                tcp.open(out)?;
                let mut head = format!("GET / HTTP/1.1\r\nHost: {host}\r\nCookie: a=").into_bytes();
                head.resize(60 << 10, b'c');
                tcp.send(out, ToServer, &head, MSS)
            }
            Kind::OpenRequests => {
                tcp.open(out)?;
                tcp.send(out, ToServer, &get(&host, n), MSS)
            }
            Kind::OpenBodies | Kind::Aimed | Kind::Inflating => {
                let coded = kind == Kind::Inflating;
                tcp.open(out)?;
                let json = format!("{{\"order\":{n},\"lines\":[{}", "{\"sku\":\"a-1\",\"count\":3},".repeat(40));
                let body = if coded { http::gzip(json.as_bytes()) } else { json.into_bytes() };
                let coding = if coded { "Content-Encoding: gzip\r\n" } else { "" };
                let head = format!(
                    "POST /orders HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n{coding}Content-Length: 1000000\r\n\r\n"
                );
                // The end of a coded body would show that it is over.
                let body = &body[..body.len() - if coded { 12 } else { 0 }];
                tcp.send(out, ToServer, &[head.as_bytes(), body].concat(), MSS)
            }
            Kind::Pipelined => {
                tcp.open(out)?;
                let one =
                    format!("GET /p/{n} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: flood/1.0\r\nAccept: */*\r\n\r\n");
                tcp.send(out, ToServer, one.repeat(300).as_bytes(), MSS)
            }
            Kind::Servers => {
                tcp.open(out)?;
                tcp.send(out, ToServer, &http::post(&host, "/mcp", "", INITIALIZE), MSS)?;
                tcp.send(out, ToClient, &http::json("", INITIALIZED), MSS)?;
                tcp.close(out)
            }
            Kind::Catalogues => {
                tcp.open(out)?;
                let list = r#"{"jsonrpc":"2.0","id":2,"method":"tools/list"}"#;
                tcp.send(out, ToServer, &http::post(&host, "/mcp", "", list), MSS)?;
                let tool = |i: usize| {
                    let name = format!("{i:03}_{}", "find_the_notes_of_a_project_".repeat(7));
                    format!(r#"{{"name":"{name}","inputSchema":{{"type":"object"}}}}"#)
                };
                let tools: Vec<String> = (0..400).map(tool).collect();
                let listed = format!(r#"{{"jsonrpc":"2.0","id":2,"result":{{"tools":[{}]}}}}"#, tools.join(","));
                tcp.send(out, ToClient, &http::json("", &listed), MSS)?;
                tcp.close(out)
            }
            Kind::Names => {
                let client = (Ipv4Addr::new(11, 0, 0, 1), 5353).into();
                out.datagram((Ipv4Addr::new(11, 0, 0, 2), 53).into(), client, &dns_answer(&host, n))
            }
            Kind::Notices => {
                tcp.open(out)?;
                let text = format!(
                    "POST /form HTTP/1.1\r\nHost: {host}\r\nContent-Length: 5\r\nContent-Length: 7\r\n\r\nhello"
                );
                tcp.send(out, ToServer, text.as_bytes(), MSS)?;
                tcp.close(out)
            }
            Kind::Idle | Kind::IdleTls | Kind::IdleEvents | Kind::OpenStreams => idle::play(out, kind, n, tcp),
            Kind::Lone => idle::lone(out, &mut self.rng, n),
            Kind::Random | Kind::Random6 | Kind::Colliding(_) | Kind::Http | Kind::Sessions => Ok(()),
        }
    }

    /// Every SYN first, then every answer, so that each look-up meets the whole table.
    fn tuples(&mut self) -> io::Result<()> {
        let (size, seed) = (self.flood.size, self.flood.seed);
        for answers in [false, true] {
            let tuples: Box<dyn Iterator<Item = Tuple>> = if let Kind::Colliding(weak) = self.flood.kind {
                Box::new(weak.tuples(seed))
            } else {
                Box::new(random_tuples(seed, self.flood.kind == Kind::Random6))
            };
            for (n, (client, server)) in (0..size).zip(tuples) {
                if answers {
                    self.out.syn_ack(server, client, n.wrapping_add(1))?;
                } else {
                    self.out.syn(client, server, n)?;
                }
                self.step(n / 2 + if answers { size / 2 } else { 0 }, size)?;
            }
        }
        Ok(())
    }

    /// All flows are in the midst of a body at the same time.
    fn http(&mut self) -> io::Result<()> {
        const ROUNDS: u32 = 8;
        let size = self.flood.size;
        let page = http::message(
            "HTTP/1.1 200 OK\nContent-Type: text/html\nServer: shop/2.1",
            &b"<p>The quick brown fox jumps over the lazy dog.</p>\n".repeat(280),
        );
        let row = |i: usize| format!("{{\"id\":{i},\"name\":\"item {}\",\"price\":{}}}", i * 7919, i * 31);
        let rows: Vec<String> = (0..900).map(row).collect();
        let rows = http::gzip(format!("{{\"rows\":[{}]}}", rows.join(",")).as_bytes());
        let rows = http::message("HTTP/1.1 200 OK\nContent-Type: application/json\nContent-Encoding: gzip", &rows);
        let mut flows: Vec<Tcp> = (0..size).map(Self::tcp).collect();
        for tcp in &mut flows {
            tcp.open(&mut self.out)?;
        }
        for round in 0..ROUNDS {
            for (n, tcp) in (0..).zip(&mut flows) {
                tcp.send(&mut self.out, ToServer, &get("www.shop.example", n + round), MSS)?;
            }
            for piece in 0..page.len().max(rows.len()).div_ceil(MSS) {
                for (n, tcp) in (0..size).zip(&mut flows) {
                    let answer = if n % 10 == 0 { &rows } else { &page };
                    let rest = answer.get(piece * MSS..).unwrap_or(&[]);
                    tcp.send(&mut self.out, ToClient, &rest[..rest.len().min(MSS)], MSS)?;
                }
            }
            self.step(round, ROUNDS)?;
        }
        flows.iter_mut().try_for_each(|tcp| tcp.close(&mut self.out))
    }

    /// 256 connections that begin one session after the other.
    fn sessions(&mut self) -> io::Result<()> {
        let size = self.flood.size;
        let mut flows: Vec<Tcp> = (0..256.min(size))
            .map(|n| {
                let client = Ipv4Addr::new(11, 0, (n >> 4) as u8, (n & 15) as u8);
                let server = Ipv4Addr::new(172, 16, 0, (n & 15) as u8);
                Tcp::new((client, 50_000).into(), (server, 8080).into())
            })
            .collect();
        for tcp in &mut flows {
            tcp.open(&mut self.out)?;
        }
        for n in 0..size {
            let count = flows.len();
            let tcp = &mut flows[n as usize % count];
            tcp.send(&mut self.out, ToServer, &http::post("mcp.flood.example", "/mcp", "", INITIALIZE), MSS)?;
            let id = format!("Mcp-Session-Id: {:016x}{n:08x}\n", self.rng.next_u64());
            tcp.send(&mut self.out, ToClient, &http::json(&id, INITIALIZED), MSS)?;
            self.step(n, size)?;
        }
        flows.iter_mut().try_for_each(|tcp| tcp.close(&mut self.out))
    }
}

/// Tuples that no hash has been thought of for; each client once.
fn random_tuples(seed: u64, v6: bool) -> impl Iterator<Item = Tuple> {
    let mut rng = Rng::new(seed);
    (0_u32..).map(move |n| {
        let bits = rng.next_u64();
        let client = Ipv4Addr::from_bits(11 << 24 | (n.wrapping_mul(0x9e37_79b1) & 0x00ff_ffff));
        let server = Ipv4Addr::from_bits(0xac10_0000 | (bits >> 32) as u32 & 0x000f_ffff);
        let ip = |ip: Ipv4Addr, net: u128| {
            if v6 { Ipv6Addr::from_bits(net << 112 | u128::from(ip.to_bits())).into() } else { IpAddr::V4(ip) }
        };
        let (client, server) = (ip(client, 0xfd00), ip(server, 0xfd01));
        ((client, (bits as u16).max(1)).into(), (server, ((bits >> 16) as u16).max(1)).into())
    })
}

/// A GET as a browser sends it.
fn get(host: &str, n: u32) -> Vec<u8> {
    let text = format!(
        "GET /catalogue/item/{n}?page=2 HTTP/1.1\nHost: {host}\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\nAccept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\nAccept-Language: en-GB,en;q=0.5\nAccept-Encoding: gzip, deflate, br\nConnection: keep-alive\nCookie: sid={n:032x}; theme=dark\nUpgrade-Insecure-Requests: 1\n\n"
    );
    http::request(&text)
}

/// A response of a name server: 4 addresses for `name` (RFC 1035 section 4).
fn dns_answer(name: &str, n: u32) -> Vec<u8> {
    let mut out = vec![n.to_be_bytes()[2], n.to_be_bytes()[3], 0x81, 0x80, 0, 1, 0, 4, 0, 0, 0, 0];
    for label in name.split('.') {
        out.push(label.len() as u8);
        out.extend_from_slice(label.as_bytes());
    }
    out.extend_from_slice(&[0, 0, 1, 0, 1]);
    for i in 0..4 {
        out.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
        out.extend_from_slice(&(0xac10_0000 | (n * 4 + i) & 0x000f_ffff).to_be_bytes());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_the_same_each_time_and_counts_what_it_writes() {
        let kinds = [
            Kind::Syns,
            Kind::Random,
            Kind::Random6,
            Kind::Colliding(Weak::Xor),
            Kind::Holes,
            Kind::Heads,
            Kind::OpenRequests,
            Kind::OpenBodies,
            Kind::Aimed,
            Kind::Inflating,
            Kind::Pipelined,
            Kind::Http,
            Kind::Servers,
            Kind::Catalogues,
            Kind::Sessions,
            Kind::Names,
            Kind::Notices,
            Kind::Idle,
            Kind::IdleTls,
            Kind::IdleEvents,
            Kind::OpenStreams,
            Kind::Lone,
        ];
        for kind in kinds {
            let flood = Flood { kind, size: 7, canaries: 3, seed: 5 };
            let write = || {
                let mut out = Vec::new();
                let written = flood.write(&mut out).unwrap();
                (out, written)
            };
            let (bytes, written) = write();
            assert_eq!((&bytes, written), (&write().0, write().1), "{kind:?}");
            assert_eq!(bytes.len() as u64, 24 + 16 * written.packets + written.bytes, "{kind:?}");
        }
    }
}
