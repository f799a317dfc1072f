//! One flow on its worker: ordered bytes → parts → exchanges → observations.

use detect::{Exchange, FlowFacts, Generation, Observation, Order, Scratch, Update, What};
use net::{App, Data, Direction, Flow, FlowEnd, Interest, Piece, Place, Timestamp};
use proto::{Anomaly, Conn, ExchangeId, Part, PartSink};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// Most exchanges of one flow under inspection at once; the oldest is let go beyond it. Only a flow whose
/// answers are invisible comes near.
const MAX_EXCHANGES: usize = 256;

/// What a worker lends to the flows of one shard.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) limits: proto::Limits,
    pub(crate) proto: proto::Stats,
    pub(crate) work: Work,
}

/// The part of it that lies behind the protocol readers.
#[derive(Debug)]
pub(crate) struct Work {
    pub(crate) generation: Arc<Generation>,
    pub(crate) scratch: Scratch,
    pub(crate) look_alikes: bool,
    /// Bytes of bypassed flows by reason.
    pub(crate) bypassed: BTreeMap<&'static str, u64>,
    /// Flows by how they ended.
    pub(crate) ends: BTreeMap<&'static str, u64>,
    pub(crate) exchanges_let_go: u64,
    pub(crate) faults: u64,
    /// Where the next observation stands.
    pub(crate) order: Order,
    pub(crate) out: Vec<Observation>,
}

impl Work {
    fn push(&mut self, ts: Timestamp, place: Place, facts: &Arc<FlowFacts>, missed: u64, what: What) {
        let order = self.order;
        self.order.part = self.order.part.saturating_add(1);
        self.out.push(Observation { order, ts, place, flow: Arc::clone(facts), missed, what });
    }
}

/// The reader of one flow.
#[derive(Debug)]
pub(crate) struct FlowApp {
    conn: Box<Conn>,
    exchanges: Vec<(ExchangeId, Exchange)>,
    /// Exchanges before this one were let go, or are over: what still comes of them begins none anew.
    kept_from: ExchangeId,
    facts: Option<Arc<FlowFacts>>,
    /// Why the rest is not looked at, and the flow's bytes when that was decided.
    bypass: Option<(&'static str, u64)>,
}

impl FlowApp {
    fn read(&mut self, flow: &Flow, piece: Piece<'_>, cx: &mut Context) -> Interest {
        let Self { conn, exchanges, kept_from, .. } = self;
        let Context { limits, proto: stats, work } = cx;
        let mut sink = Sink { exchanges, kept_from, cx: work, ts: piece.ts, place: piece.place, anomalies: Vec::new() };
        let dir = piece.dir;
        let interest = match piece.data {
            Data::Bytes(bytes) => conn.bytes(limits, stats, dir, bytes, &mut sink),
            Data::Gap(n) => conn.gap(limits, stats, dir, n, &mut sink),
            Data::Fin => {
                conn.fin(limits, stats, dir, &mut sink);
                proto::Interest::More
            }
            Data::Anomaly(_) => proto::Interest::More,
        };
        let anomalies = std::mem::take(&mut sink.anomalies);
        for anomaly in anomalies {
            self.tell(flow, piece.ts, piece.place, work, What::Anomaly(anomaly));
        }
        if let Data::Anomaly(anomaly) = piece.data {
            self.tell(flow, piece.ts, piece.place, work, What::Segments(anomaly));
        }
        self.news(flow, piece.ts, piece.place, work);
        match interest {
            proto::Interest::More => Interest::More,
            proto::Interest::Bypass(reason) => {
                self.bypass = Some((reason, flow.bytes.iter().sum()));
                Interest::Bypass
            }
        }
    }

    /// Sends what the exchanges have to tell, and lets go of those that are over.
    fn news(&mut self, flow: &Flow, ts: Timestamp, place: Place, cx: &mut Work) {
        let mut at = 0;
        while let Some((id, exchange)) = self.exchanges.get_mut(at) {
            let id = *id;
            let update: Option<Box<Update>> = exchange.take_update();
            if exchange.is_over() {
                let (_, exchange) = self.exchanges.remove(at);
                exchange.recycle(&mut cx.scratch);
            } else {
                at += 1;
            }
            if let Some(update) = update {
                self.tell(flow, ts, place, cx, What::Exchange(id, update));
            }
        }
    }

    fn tell(&mut self, flow: &Flow, ts: Timestamp, place: Place, cx: &mut Work, what: What) {
        let flipped = self.conn.flipped();
        let facts = self.facts.get_or_insert_with(|| {
            let (client, server) = if flipped { (flow.server, flow.client) } else { (flow.client, flow.server) };
            let client_mac = flow.client_mac.filter(|_| !flipped);
            Arc::new(FlowFacts {
                client,
                server,
                client_mac,
                vlan: flow.vlan,
                opened: flow.opened,
                midstream: flow.midstream,
            })
        });
        let facts = Arc::clone(facts);
        cx.push(ts, place, &facts, flow.missed.iter().sum(), what);
    }

    fn fault(&mut self, flow: &Flow, ts: Timestamp, place: Place, cx: &mut Work) -> Interest {
        cx.faults += 1;
        self.exchanges.clear();
        self.tell(flow, ts, place, cx, What::Fault);
        self.bypass = Some(("fault", flow.bytes.iter().sum()));
        Interest::Bypass
    }
}

impl App<Context> for FlowApp {
    fn open(flow: &Flow, _cx: &mut Context) -> Self {
        Self {
            conn: Box::new(Conn::new(flow.midstream)),
            exchanges: Vec::new(),
            kept_from: ExchangeId(0),
            facts: None,
            bypass: None,
        }
    }

    fn piece(&mut self, flow: &Flow, piece: Piece<'_>, cx: &mut Context) -> Interest {
        let (ts, place) = (piece.ts, piece.place);
        // A fault in our own code costs this flow, not the worker.
        match catch_unwind(AssertUnwindSafe(|| self.read(flow, piece, cx))) {
            Ok(interest) => interest,
            Err(_) => self.fault(flow, ts, place, &mut cx.work),
        }
    }

    fn close(mut self, flow: &Flow, end: FlowEnd, cx: &mut Context) {
        let Context { limits, proto: stats, work: cx } = cx;
        *cx.ends.entry(end.reason()).or_default() += 1;
        if let Some((reason, before)) = self.bypass {
            let all: u64 = flow.bytes.iter().sum();
            *cx.bypassed.entry(reason).or_default() += all.saturating_sub(before);
        }
        let (ts, place) = (flow.last, flow.opened);
        let closed = catch_unwind(AssertUnwindSafe(|| {
            let Self { conn, exchanges, kept_from, .. } = &mut self;
            let mut sink = Sink { exchanges, kept_from, cx, ts, place, anomalies: Vec::new() };
            conn.close(limits, stats, &mut sink);
            self.news(flow, ts, place, cx);
        }));
        if closed.is_err() {
            self.fault(flow, ts, place, cx);
        }
        if self.facts.is_some() {
            self.tell(flow, ts, place, cx, What::FlowEnd);
        }
    }
}

/// Takes parts to their exchanges.
struct Sink<'a> {
    exchanges: &'a mut Vec<(ExchangeId, Exchange)>,
    kept_from: &'a mut ExchangeId,
    cx: &'a mut Work,
    ts: Timestamp,
    place: Place,
    anomalies: Vec<Anomaly>,
}

impl PartSink for Sink<'_> {
    fn part(&mut self, id: ExchangeId, dir: Direction, part: Part<'_>) {
        let at = if let Some(at) = self.exchanges.iter().rposition(|(i, _)| *i == id) {
            at
        } else {
            if id < *self.kept_from {
                return;
            }
            if self.exchanges.len() >= MAX_EXCHANGES {
                self.cx.exchanges_let_go += 1;
                let (oldest, _) = self.exchanges.remove(0);
                *self.kept_from = ExchangeId(oldest.0.saturating_add(1)).max(*self.kept_from);
            }
            self.exchanges.push((id, Exchange::new(Arc::clone(&self.cx.generation), self.cx.look_alikes)));
            self.exchanges.len() - 1
        };
        let Some((_, exchange)) = self.exchanges.get_mut(at) else { return };
        let (ts, scratch) = (self.ts, &mut self.cx.scratch);
        match part {
            Part::Request(head) => exchange.request(scratch, ts, self.place, head),
            Part::Response(head) => exchange.response(scratch, ts, head),
            Part::Body(bytes) => exchange.body(scratch, ts, dir, bytes),
            Part::Gap(n) => exchange.gap(scratch, ts, dir, n),
            Part::MessageEnd => exchange.message_end(ts, dir),
            Part::End(how) => exchange.end(scratch, ts, dir, how),
        }
    }

    fn anomaly(&mut self, _id: Option<ExchangeId>, _dir: Direction, what: Anomaly) {
        if self.anomalies.len() < 8 && !self.anomalies.contains(&what) {
            self.anomalies.push(what);
        }
    }
}
