//! Who must decide at once and who writes the record come to the same: over every exchange of the recorded captures, each
//! taken by itself, `detect::Judge` is as sure as the detection that the serial stage writes at that moment.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may fail loudly"
)]

use correlate::{Correlator, Record};
use detect::{Assessment, Exchange, FlowFacts, Generation, Judge, Observation, Order, Scratch, What};
use net::{App, Data, Direction, Flow, FlowEnd, FlowTable, Fragments, Piece, Place, Timestamp, Transport};
use proto::{Anomaly, Conn, EndKind, ExchangeId, Limits, Part, PartSink, Stats};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// One exchange, its judge, and a serial stage of its own.
struct Case {
    exchange: Exchange,
    judge: Judge,
    stage: Correlator,
    facts: Arc<FlowFacts>,
    id: ExchangeId,
}

struct Context {
    generation: Arc<Generation>,
    limits: Limits,
    stats: Stats,
    scratch: Scratch,
    capture: String,
    /// Detections that were compared.
    compared: usize,
}

impl Case {
    fn new(flow: &Flow, id: ExchangeId, cx: &Context) -> Self {
        let facts = FlowFacts {
            client: flow.client.into(),
            server: flow.server.into(),
            sender: None,
            vlan: [None; 2],
            tunnel: Vec::new(),
            opened: flow.opened,
            midstream: flow.midstream,
            transport: Transport::Tcp,
            inside: None,
            proxy: None,
        };
        let options = correlate::Options {
            sensor: "t".to_owned(),
            generation: Arc::clone(&cx.generation),
            files: Vec::new(),
            live: false,
            look_alikes: false,
            passive: true,
            limits: correlate::Limits::default(),
            session_every: None,
        };
        Self {
            exchange: Exchange::new(Arc::clone(&cx.generation), false),
            judge: Judge::default(),
            stage: Correlator::new(options),
            facts: Arc::new(facts),
            id,
        }
    }

    /// Takes the news, and compares what both make of them.
    fn news(&mut self, (ts, place): (Timestamp, Place), cx: &mut Context) {
        if let Some(update) = self.exchange.take_update() {
            self.judge.learn(&update);
            self.observe(ts, place, What::Exchange(self.id, update), cx);
        }
    }

    fn observe(&mut self, ts: Timestamp, place: Place, what: What, cx: &mut Context) {
        let flow = Arc::clone(&self.facts);
        let observation = Observation { order: Order::default(), ts, place, flow, missed: 0, what };
        let (judge, capture) = (&self.judge, &cx.capture);
        let compared = &mut cx.compared;
        self.stage.observe(observation, &mut |record| {
            let Record::Detection(made) = record else { return };
            // A trace is no MCP; what a server asks on a stream or socket that is open is a detection of its own.
            let apart = made.mcp.transport == "websocket" || made.mcp.methods.iter().any(|m| m.contains("create"));
            if made.category.is_some() || apart {
                return;
            }
            *compared += 1;
            let (http, signals) = (&made.http, &made.signals);
            assert_eq!(judge.assessment(), Assessment::Mcp(made.confidence), "{capture}: {http:?} {signals:#?}");
        });
    }
}

/// One connection.
struct Reader {
    conn: Conn,
    open: BTreeMap<u32, Case>,
}

struct Sink<'a> {
    flow: &'a Flow,
    when: (Timestamp, Place),
    open: &'a mut BTreeMap<u32, Case>,
    cx: &'a mut Context,
}

impl PartSink for Sink<'_> {
    fn part(&mut self, id: ExchangeId, dir: Direction, part: Part<'_>) {
        let Self { flow, when, open, cx } = self;
        let (ts, place) = *when;
        let case = open.entry(id.0).or_insert_with(|| Case::new(flow, id, cx));
        let exchange = &mut case.exchange;
        match part {
            Part::Request(head) => exchange.request(&mut cx.scratch, ts, place, head),
            Part::Response(head) => exchange.response(&mut cx.scratch, ts, head),
            Part::Body(bytes) => exchange.body(&mut cx.scratch, ts, dir, bytes),
            Part::Gap(n) => exchange.gap(&mut cx.scratch, ts, dir, n),
            Part::MessageEnd => exchange.message_end(ts, dir),
            Part::End(how) => exchange.end(&mut cx.scratch, ts, dir, how),
        }
        case.news(*when, cx);
    }

    fn anomaly(&mut self, _: Option<ExchangeId>, _: Direction, _: Anomaly) {}
}

impl App<Context> for Reader {
    fn open(flow: &Flow, _: &mut Context) -> Self {
        Self { conn: Conn::new(flow.midstream), open: BTreeMap::new() }
    }

    fn piece(&mut self, flow: &Flow, piece: Piece<'_>, cx: &mut Context) -> net::Interest {
        let Self { conn, open } = self;
        let (limits, mut stats) = (cx.limits.clone(), std::mem::take(&mut cx.stats));
        let sink = &mut Sink { flow, when: (piece.ts, piece.place), open, cx };
        match piece.data {
            Data::Bytes(bytes) => {
                conn.bytes(&limits, &mut stats, piece.dir, bytes, sink);
            }
            Data::Gap(n) => {
                conn.gap(&limits, &mut stats, piece.dir, n, sink);
            }
            Data::Fin => {
                conn.fin(&limits, &mut stats, piece.dir, sink);
            }
            Data::Anomaly(_) => {}
        }
        net::Interest::More
    }

    fn close(mut self, flow: &Flow, _: FlowEnd, cx: &mut Context) {
        let (limits, mut stats) = (cx.limits.clone(), Stats::default());
        let when = (flow.last, flow.opened);
        let Self { conn, open } = &mut self;
        conn.close(&limits, &mut stats, &mut Sink { flow, when, open, cx });
        for case in self.open.values_mut() {
            for dir in [Direction::ToServer, Direction::ToClient] {
                case.exchange.end(&mut cx.scratch, when.0, dir, EndKind::Cut);
            }
            case.news(when, cx);
            case.observe(when.0, when.1, What::FlowEnd, cx);
        }
    }
}

fn read(capture: &Path, cx: &mut Context) {
    let mut reader = capture::Reader::open(&[capture.to_owned()], &capture::Options::default()).unwrap();
    let mut flows: FlowTable<Reader> = FlowTable::new(net::Limits::default());
    let mut fragments = Fragments::new(net::FragmentLimits::default());
    while let Some(batch) = reader.next_batch().unwrap() {
        for frame in batch.iter() {
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
                flows.packet(&packet, data, cx);
            }
        }
    }
    flows.finish(cx);
}

#[test]
fn the_judge_is_as_sure_as_the_record_of_every_exchange() {
    let generation = Arc::new(Generation {
        rules: detect::rules::compile(&detect::rules::builtin()).unwrap(),
        scope: detect::Scope::default(),
        policy: detect::Policy::default(),
    });
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/captures");
    let mut captures: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    captures.retain(|path| path.extension().is_some_and(|ext| ext == "pcap" || ext == "pcapng"));
    captures.sort();
    let mut cx = Context {
        generation,
        limits: Limits::default(),
        stats: Stats::default(),
        scratch: Scratch::new(detect::Limits::default()),
        capture: String::new(),
        compared: 0,
    };
    for capture in captures {
        cx.capture = capture.file_name().unwrap().to_string_lossy().into_owned();
        read(&capture, &mut cx);
    }
    assert!(cx.compared > 100, "{} detections", cx.compared);
}
