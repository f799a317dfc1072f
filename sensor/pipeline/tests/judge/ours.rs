//! The list that our readers give.

use crate::Request;
use net::{App, Data, Direction, Flow, FlowEnd, FlowTable, Fragments, Piece, Transport};
use proto::tls::decrypt;
use proto::tls::keys::{KeyLog, KeyStore, Keys, SessionKeys};
use proto::{Anomaly, Conn, ExchangeId, Limits, Opener, Part, PartSink, Shown, Stats};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex};

/// All requests of a capture.
#[derive(Debug, Default)]
pub(crate) struct Read {
    pub(crate) requests: Vec<Request>,
    /// How many of them were inside of TLS.
    pub(crate) opened: usize,
    /// Ports of servers that spoke HTTP/2 in the clear: no other reader guesses that from content.
    pub(crate) http2_in_clear: BTreeSet<u16>,
}

/// The keys of a run. Packet numbers do not matter here: a key counts once it is known.
#[derive(Clone, Default)]
struct Known(Arc<Mutex<KeyStore>>);

impl Known {
    fn add(&self, text: &[u8]) {
        let (mut log, mut store) = (KeyLog::new(), self.0.lock().unwrap());
        log.feed(text, 0, &mut store);
        log.finish(0, &mut store);
    }
}

impl Keys for Known {
    fn any(&self) -> bool {
        true
    }

    fn fill(&self, client_random: &[u8; 32], into: &mut SessionKeys) {
        self.0.lock().unwrap().fill(client_random, 0, into);
    }
}

struct Context {
    limits: Limits,
    stats: Stats,
    opener: Option<Box<Opener>>,
    read: Read,
}

/// One connection.
struct Reader {
    conn: Conn,
    /// Requests that began: the exchange, its place in the list, and whether what follows is its body.
    open: Vec<(ExchangeId, usize, bool)>,
    /// From here on exchanges were encrypted.
    opened: Option<ExchangeId>,
}

struct Sink<'a> {
    flow: &'a Flow,
    flipped: bool,
    open: &'a mut Vec<(ExchangeId, usize, bool)>,
    opened: &'a mut Option<ExchangeId>,
    opener: &'a mut Option<Box<Opener>>,
    read: &'a mut Read,
}

impl PartSink for Sink<'_> {
    fn part(&mut self, id: ExchangeId, dir: Direction, part: Part<'_>) {
        let known = self.open.iter_mut().find(|(known, ..)| *known == id);
        match (part, known) {
            (Part::Request(head), _) => {
                let Flow { client, server, .. } = self.flow;
                let (client, server) = if self.flipped { (server, client) } else { (client, server) };
                let opened = self.opened.is_some_and(|first| id >= first);
                self.read.opened += usize::from(opened);
                if head.version == "2" && !opened {
                    self.read.http2_in_clear.insert(server.port());
                }
                self.open.push((id, self.read.requests.len(), true));
                self.read.requests.push(Request {
                    ends: [client, server].map(|end| format!("{} {}", end.ip(), end.port())),
                    method: head.method.to_owned(),
                    host: String::from_utf8_lossy(head.headers.get("host").unwrap_or_default()).into_owned(),
                    path: head.target.to_owned(),
                    body: Vec::new(),
                });
            }
            // What follows are messages of a WebSocket, not the body of the request.
            (Part::Response(head), Some(known)) if head.status == 101 => known.2 = false,
            (Part::Body(bytes), Some((_, at, true))) if dir == Direction::ToServer => {
                self.read.requests[*at].body.extend_from_slice(bytes);
            }
            _ => {}
        }
    }

    fn anomaly(&mut self, _: Option<ExchangeId>, _: Direction, _: Anomaly) {}

    fn shown(&mut self, _: Option<&str>, what: Shown<'_>) -> bool {
        if let Shown::Opened(first) = what {
            self.opened.get_or_insert(first);
        }
        true
    }

    fn lend(&mut self) -> Option<Box<Opener>> {
        self.opener.take()
    }

    fn give_back(&mut self, opener: Box<Opener>) {
        *self.opener = Some(opener);
    }
}

impl App<Context> for Reader {
    fn open(flow: &Flow, _: &mut Context) -> Self {
        Self { conn: Conn::new(flow.midstream), open: Vec::new(), opened: None }
    }

    fn piece(&mut self, flow: &Flow, piece: Piece<'_>, cx: &mut Context) -> net::Interest {
        let Self { conn, open, opened } = self;
        let Context { limits, stats, opener, read } = cx;
        let sink = &mut Sink { flow, flipped: conn.flipped(), open, opened, opener, read };
        let interest = match piece.data {
            Data::Bytes(bytes) => conn.bytes(limits, stats, piece.dir, bytes, sink),
            Data::Gap(n) => conn.gap(limits, stats, piece.dir, n, sink),
            Data::Fin => {
                conn.fin(limits, stats, piece.dir, sink);
                proto::Interest::More
            }
            Data::Anomaly(_) => proto::Interest::More,
        };
        match interest {
            proto::Interest::More => net::Interest::More,
            proto::Interest::Bypass(_) => net::Interest::Bypass,
        }
    }

    fn close(mut self, flow: &Flow, _: FlowEnd, cx: &mut Context) {
        let Self { conn, open, opened } = &mut self;
        let Context { limits, stats, opener, read } = cx;
        let flipped = conn.flipped();
        conn.close(limits, stats, &mut Sink { flow, flipped, open, opened, opener, read });
    }
}

/// Reads a capture, with the keys of a log and those that it brings itself.
pub(crate) fn read(capture: &Path, keylog: Option<&Path>) -> Read {
    let keys = Known::default();
    if let Some(path) = keylog {
        keys.add(&std::fs::read(path).unwrap());
    }
    let mut cx = Context {
        limits: Limits::default(),
        stats: Stats::default(),
        opener: Some(Box::new(Opener {
            limits: decrypt::Limits::default(),
            stats: decrypt::Stats::default(),
            scratch: decrypt::Scratch::default(),
            keys: Box::new(keys.clone()),
        })),
        read: Read::default(),
    };
    let mut reader = capture::Reader::open(&[capture.to_owned()], &capture::Options::default()).unwrap();
    let mut flows: FlowTable<Reader> = FlowTable::new(net::Limits::default());
    let mut fragments = Fragments::new(net::FragmentLimits::default());
    let mut second = None;
    while let Some(batch) = reader.next_batch().unwrap() {
        for secrets in reader.take_secrets() {
            keys.add(&secrets.bytes);
        }
        for frame in batch.iter() {
            if second.is_none_or(|before| frame.ts.seconds() > before) {
                second = Some(frame.ts.seconds());
                flows.tick(frame.ts, &mut cx);
            }
            let whole;
            let (packet, data) = match net::decode(&frame) {
                Ok(packet) => (packet, frame.data),
                Err(net::Undecoded::Fragment) => {
                    let Some(rebuilt) = fragments.take(&frame) else { continue };
                    whole = rebuilt;
                    let Ok(packet) = &whole.packet else { continue };
                    (packet.clone(), &whole.bytes[..])
                }
                Err(_) => continue,
            };
            if packet.tuple.transport == Transport::Tcp {
                flows.packet(&packet, data, &mut cx);
            }
        }
    }
    flows.finish(&mut cx);
    cx.read
}
