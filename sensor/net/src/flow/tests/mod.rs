mod lifetime;
mod pressure;
mod properties;
mod reassembly;
mod trust;

use super::{App, Data, Flow, FlowEnd, FlowTable, Interest, Limits, Piece};
use crate::craft::{Segment, Sum};
use crate::{Direction, Frame, LinkType, Place, TcpHeader, Timestamp, decode};
use std::net::SocketAddr;

const SYN: u8 = TcpHeader::SYN;
const ACK: u8 = TcpHeader::ACK;
const FIN: u8 = TcpHeader::FIN;
const RST: u8 = TcpHeader::RST;

/// First sequence number of data: so that the wrap comes early in every test.
const CLIENT: u32 = u32::MAX - 4;
const SERVER: u32 = 7_000_000;

/// What the table said, in words: `>` is to the server, `<` to the client.
#[derive(Default)]
struct Log {
    lines: Vec<String>,
    /// Asks for bypass once this is delivered.
    bypass_at: Option<&'static str>,
    last: Option<Flow>,
    places: Vec<u64>,
}

/// Keeps so many bytes of its flow.
struct Recorder(usize);

impl App<Log> for Recorder {
    fn open(flow: &Flow, log: &mut Log) -> Self {
        log.lines.push(format!("open {}", flow.opened.number));
        Self(0)
    }

    fn piece(&mut self, _: &Flow, piece: Piece<'_>, log: &mut Log) -> Interest {
        let way = if piece.dir == Direction::ToServer { '>' } else { '<' };
        log.places.push(piece.place.number);
        let line = match piece.data {
            Data::Bytes(bytes) => {
                self.0 += bytes.len();
                format!("{way}{}", String::from_utf8_lossy(bytes))
            }
            Data::Gap(n) => format!("{way}gap {n}"),
            Data::Fin => format!("{way}fin"),
            Data::Anomaly(anomaly) => format!("{way}! {}", anomaly.reason()),
        };
        let bypass = log.bypass_at.is_some_and(|at| line.contains(at));
        log.lines.push(line);
        if bypass { Interest::Bypass } else { Interest::More }
    }

    fn weight(&self) -> usize {
        self.0
    }

    fn close(self, flow: &Flow, end: FlowEnd, log: &mut Log) {
        log.lines.push(format!("close {}", end.reason()));
        log.last = Some(flow.clone());
    }
}

/// A table, a clock, and two hosts.
struct Rig {
    table: FlowTable<Recorder>,
    log: Log,
    number: u64,
    now: Timestamp,
    client: SocketAddr,
    server: SocketAddr,
    sum: Sum,
    /// So many bytes of each frame are missing at its end.
    cut: usize,
}

impl Rig {
    fn new() -> Self {
        Self::with(Limits::default())
    }

    fn with(limits: Limits) -> Self {
        Self {
            table: FlowTable::new(limits),
            log: Log::default(),
            number: 0,
            now: Timestamp::new(1_000_000, 0),
            client: "10.0.0.1:50000".parse().unwrap(),
            server: "10.0.0.2:80".parse().unwrap(),
            sum: Sum::Right,
            cut: 0,
        }
    }

    /// With the handshake done.
    fn connected() -> Self {
        let mut rig = Self::new();
        rig.handshake();
        rig
    }

    fn handshake(&mut self) {
        self.send(true, CLIENT.wrapping_sub(1), 0, SYN, b"");
        self.send(false, SERVER - 1, CLIENT, SYN | ACK, b"");
        self.c(0, 0, "");
    }

    fn send(&mut self, from_client: bool, seq: u32, ack: u32, flags: u8, payload: &[u8]) {
        let (src, dst) = if from_client { (self.client, self.server) } else { (self.server, self.client) };
        let data = Segment { src, dst, seq, ack, flags, payload, sum: self.sum }.frame();
        self.number += 1;
        self.now = self.now.plus(1_000);
        let place = Place { number: self.number, file: 0, in_file: self.number };
        let captured = &data[..data.len() - self.cut];
        let wire_len = u32::try_from(data.len()).unwrap();
        let frame = Frame { place, ts: self.now, link: LinkType::Ethernet, data: captured, wire_len };
        let packet = decode(&frame).unwrap();
        self.table.packet(&packet, captured, &mut self.log);
    }

    /// The client sends `text` at its byte `at`, and has got the server's bytes up to `ack`.
    fn c(&mut self, at: u32, ack: u32, text: &str) {
        self.send(true, CLIENT.wrapping_add(at), SERVER + ack, ACK, text.as_bytes());
    }

    /// The same for the server.
    fn s(&mut self, at: u32, ack: u32, text: &str) {
        self.send(false, SERVER + at, CLIENT.wrapping_add(ack), ACK, text.as_bytes());
    }

    /// As `c` with other flags.
    fn cf(&mut self, at: u32, flags: u8, text: &str) {
        self.send(true, CLIENT.wrapping_add(at), SERVER, flags, text.as_bytes());
    }

    fn sf(&mut self, at: u32, flags: u8, text: &str) {
        self.send(false, SERVER + at, CLIENT, flags, text.as_bytes());
    }

    fn wait(&mut self, seconds: i64) {
        for _ in 0..seconds {
            self.now = self.now.plus(Timestamp::SECOND);
            self.table.tick(self.now, &mut self.log);
        }
    }

    fn finish(&mut self) -> &[String] {
        self.table.finish(&mut self.log);
        assert_eq!((self.table.len(), self.table.held_bytes()), (0, 0));
        &self.log.lines
    }

    /// What was told since the last call.
    #[track_caller]
    fn told(&mut self, want: &[&str]) {
        assert_eq!(std::mem::take(&mut self.log.lines), want);
    }
}
