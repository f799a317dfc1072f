//! One flow on its worker: ordered bytes → parts → exchanges → observations.

use crate::datagrams;
use crate::keys::KeyView;
use crate::tunnels::{self, Names};
use detect::{
    Contact, ContactKind, Exchange, FlowFacts, Generation, Inside, Observation, Order, Scratch, Update, What,
};
use net::{App, Data, Direction, Flow, FlowEnd, Interest, Path, Piece, Place, Timestamp, Transport};
use proto::{Anomaly, AtRest, Conn, ExchangeId, Opener, Part, PartSink, Shown};
use std::collections::BTreeMap;
use std::num::NonZeroU16;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// Most exchanges of one flow under inspection at once; the oldest is let go beyond it. Only a flow whose
/// answers are invisible comes near.
const MAX_EXCHANGES: usize = 256;
/// Most things that name servers say in one piece of a flow which are told.
const MAX_HEARD: usize = 256;

/// Most readers of flows at rest that one shard keeps for use again; each takes some kilobytes.
const MAX_IDLE: usize = 8;
/// Exchanges that a reader kept for use again has room for; only pipelined requests need more.
const USUAL_EXCHANGES: usize = 4;
/// What they take together, in bytes, with what connections between messages may keep.
pub(crate) const IDLE_BYTES: usize =
    MAX_IDLE * (size_of::<Live>() + USUAL_EXCHANGES * size_of::<(ExchangeId, Exchange)>() + 512);

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
    /// Names of tunnels.
    pub(crate) tunnels: Names,
    /// Keys of TLS, as they may be seen here.
    pub(crate) keys: KeyView,
    /// Readers that no flow needs just now.
    #[expect(clippy::vec_box, reason = "a flow takes one from here as it is")]
    pub(crate) idle: Vec<Box<Live>>,
    /// What opens TLS, unless a flow has it just now; `None` where there are no keys.
    pub(crate) opener: Option<Box<Opener>>,
    /// Bytes of bypassed flows by reason.
    pub(crate) bypassed: BTreeMap<&'static str, u64>,
    /// Flows by how they ended.
    pub(crate) ends: BTreeMap<&'static str, u64>,
    /// Flows that have not ended.
    pub(crate) open: u64,
    pub(crate) exchanges_let_go: u64,
    /// Messages of name servers beyond [`MAX_HEARD`].
    pub(crate) heard_left_out: u64,
    pub(crate) faults: u64,
    /// Where the next observation stands.
    pub(crate) order: Order,
    pub(crate) out: Vec<Observation>,
}

impl Work {
    pub(crate) fn push(&mut self, ts: Timestamp, place: Place, facts: &Arc<FlowFacts>, missed: u64, what: What) {
        let order = self.order;
        self.order.part = self.order.part.saturating_add(1);
        self.out.push(Observation { order, ts, place, flow: Arc::clone(facts), missed, what });
    }
}

/// The reader of one flow. Small, because of a million flows most are at rest.
#[derive(Debug)]
pub(crate) struct FlowApp {
    state: State,
    told: Told,
}

/// How much of a reader a flow needs.
#[derive(Debug)]
enum State {
    /// Between messages.
    Rest(AtRest),
    /// Something is under way.
    Live(Box<Live>),
    /// The rest is not looked at: why, and the flow's bytes when that was decided.
    Bypass(&'static str, u64),
}

/// What was told of a flow, which lasts as long as the flow.
#[derive(Debug)]
struct Told {
    facts: Option<Arc<FlowFacts>>,
    /// Tunnels around the flow, if any.
    tunnel: Option<Box<Path>>,
    /// Contacts told so far.
    contacts: u32,
    /// Exchanges before this one were let go, or are over: what still comes of them begins none anew.
    kept_from: ExchangeId,
}

const _: () = assert!(size_of::<Option<FlowApp>>() <= 72, "a million of them wait at a time");

/// What is under way on a flow.
#[derive(Debug)]
pub(crate) struct Live {
    conn: Conn,
    exchanges: Vec<(ExchangeId, Exchange)>,
    /// The TLS handshake under way, while it is of interest.
    contact: Option<Box<Contact>>,
    /// What keys opened.
    inside: Option<Inside>,
}

impl Live {
    /// The reader of a flow that was at rest.
    fn of(rest: AtRest, cx: &mut Work) -> Box<Self> {
        let mut live = cx.idle.pop().unwrap_or_else(|| {
            Box::new(Self { conn: Conn::new(false), exchanges: Vec::with_capacity(1), contact: None, inside: None })
        });
        live.conn.resume(rest);
        live
    }

    /// What is left of it where nothing is under way.
    fn at_rest(&self) -> Option<AtRest> {
        let Self { conn, exchanges, contact, inside } = self;
        let nothing = exchanges.is_empty() && contact.is_none() && inside.is_none();
        if nothing { conn.at_rest() } else { None }
    }

    /// Lets go of what a connection may hold.
    fn forget(&mut self) {
        self.conn.resume(AtRest::new(false));
    }

    /// The flow needs it no more.
    fn put_by(mut self: Box<Self>, cx: &mut Work) {
        if cx.idle.len() < MAX_IDLE && self.exchanges.capacity() <= USUAL_EXCHANGES {
            self.exchanges.clear();
            (self.contact, self.inside) = (None, None);
            cx.idle.push(self);
        }
    }

    /// What it holds, in bytes.
    fn weight(&self) -> usize {
        let exchanges = self.exchanges.capacity() * size_of::<(ExchangeId, Exchange)>();
        let inside: usize = self.exchanges.iter().map(|(_, exchange)| exchange.weight()).sum();
        let contact = self.contact.as_deref().map_or(0, Contact::weight);
        size_of::<Self>() + self.conn.held_bytes() + exchanges + inside + contact
    }
}

impl Told {
    fn read(&mut self, live: &mut Live, flow: &Flow, piece: Piece<'_>, cx: &mut Context) -> proto::Interest {
        let Live { conn, exchanges, contact, .. } = live;
        let Context { limits, proto: stats, work } = cx;
        let when = (piece.ts, piece.place);
        let mut sink = Sink::new(exchanges, &mut self.kept_from, contact, work, when);
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
        let Sink { anomalies, opened, heard, .. } = sink;
        if opened.is_some() {
            // From now on the flow is another, to those who are told of it.
            (live.inside, self.facts) = (opened, None);
        }
        if !heard.is_empty() {
            for what in heard {
                let what = match what {
                    What::Contact(_, contact) => What::Contact(self.number(), contact),
                    other => other,
                };
                self.tell(live, flow, when, work, what);
            }
        }
        for anomaly in anomalies {
            self.tell(live, flow, when, work, What::Anomaly(anomaly));
        }
        if let Data::Anomaly(anomaly) = piece.data {
            self.tell(live, flow, when, work, What::Segments(anomaly));
        }
        self.news(live, flow, when, work);
        interest
    }

    /// Sends what the exchanges have to tell, and lets go of those that are over.
    fn news(&mut self, live: &mut Live, flow: &Flow, when: (Timestamp, Place), cx: &mut Work) {
        let mut at = 0;
        while let Some((id, exchange)) = live.exchanges.get_mut(at) {
            let id = *id;
            let update: Option<Box<Update>> = exchange.take_update();
            if exchange.is_over() {
                let (_, exchange) = live.exchanges.remove(at);
                exchange.recycle(&mut cx.scratch);
            } else {
                at += 1;
            }
            if let Some(update) = update {
                self.tell(live, flow, when, cx, What::Exchange(id, update));
            }
        }
        if let Some(contact) = &mut live.contact {
            let (update, over) = (contact.take_update(), contact.is_over());
            let number = self.contacts;
            if over {
                live.contact = None;
                self.number();
            }
            if let Some(update) = update {
                self.tell(live, flow, when, cx, What::Contact(number, update));
            }
        }
    }

    /// The number of the next contact.
    fn number(&mut self) -> u32 {
        let number = self.contacts;
        self.contacts = number.saturating_add(1);
        number
    }

    fn tell(&mut self, live: &Live, flow: &Flow, (ts, place): (Timestamp, Place), cx: &mut Work, what: What) {
        let facts = self.facts.get_or_insert_with(|| {
            let flipped = live.conn.flipped();
            let (client, server) = if flipped { (flow.server, flow.client) } else { (flow.client, flow.server) };
            Arc::new(FlowFacts {
                client: client.into(),
                server: server.into(),
                sender: flow.sender.filter(|_| !flipped),
                vlan: flow.vlan.map(|id| id.map(NonZeroU16::get)),
                tunnel: self.tunnel.as_deref().map_or_else(Vec::new, tunnels::words),
                opened: flow.opened,
                midstream: flow.midstream,
                transport: Transport::Tcp,
                inside: live.inside.clone(),
                proxy: None,
            })
        });
        let facts = Arc::clone(facts);
        cx.push(ts, place, &facts, flow.missed.iter().sum(), what);
    }

    fn fault(&mut self, live: &mut Live, flow: &Flow, when: (Timestamp, Place), cx: &mut Work) {
        cx.faults += 1;
        // The flow may have kept it.
        cx.opener = cx.opener.take().or_else(|| cx.keys.opener());
        live.exchanges.clear();
        self.tell(live, flow, when, cx, What::Fault);
    }
}

impl App<Context> for FlowApp {
    fn open(flow: &Flow, cx: &mut Context) -> Self {
        cx.work.open += 1;
        let tunnel = cx.work.tunnels.path(flow.tunnel);
        Self {
            state: State::Rest(AtRest::new(flow.midstream)),
            told: Told { facts: None, tunnel, contacts: 0, kept_from: ExchangeId(0) },
        }
    }

    fn piece(&mut self, flow: &Flow, piece: Piece<'_>, cx: &mut Context) -> Interest {
        let Self { state, told } = self;
        if let State::Rest(rest) = state {
            if piece.data == Data::Fin {
                rest.fin(piece.dir);
                return Interest::More;
            }
            *state = State::Live(Live::of(*rest, &mut cx.work));
        }
        let State::Live(live) = state else { return Interest::Bypass };
        // A fault in our own code costs this flow, not the worker.
        let reason = match catch_unwind(AssertUnwindSafe(|| told.read(live, flow, piece, cx))) {
            Ok(proto::Interest::More) => {
                if let Some(rest) = live.at_rest()
                    && let State::Live(live) = std::mem::replace(state, State::Rest(rest))
                {
                    live.put_by(&mut cx.work);
                }
                return Interest::More;
            }
            Ok(proto::Interest::Bypass(reason)) => reason,
            Err(_) => {
                told.fault(live, flow, (piece.ts, piece.place), &mut cx.work);
                live.forget();
                "fault"
            }
        };
        let bypass = State::Bypass(reason, flow.bytes.iter().sum());
        if let State::Live(live) = std::mem::replace(state, bypass) {
            live.put_by(&mut cx.work);
        }
        Interest::Bypass
    }

    fn weight(&self) -> usize {
        // Its entry; and the facts that observations share.
        const ENTRY: usize = size_of::<FlowApp>() + 56;
        let facts = if self.told.facts.is_some() { 512 } else { 0 };
        ENTRY + facts + if let State::Live(live) = &self.state { live.weight() } else { 0 }
    }

    fn close(self, flow: &Flow, end: FlowEnd, cx: &mut Context) {
        let Context { limits, proto: stats, work: cx } = cx;
        *cx.ends.entry(end.reason()).or_default() += 1;
        cx.open = cx.open.saturating_sub(1);
        let Self { state, mut told } = self;
        let when = (flow.last, flow.opened);
        match state {
            State::Bypass(reason, before) => {
                let all: u64 = flow.bytes.iter().sum();
                *cx.bypassed.entry(reason).or_default() += all.saturating_sub(before);
            }
            // Nothing is under way that could end.
            State::Rest(_) => {}
            State::Live(mut live) => {
                let closed = catch_unwind(AssertUnwindSafe(|| {
                    let Live { conn, exchanges, contact, .. } = &mut *live;
                    let mut sink = Sink::new(exchanges, &mut told.kept_from, contact, cx, when);
                    conn.close(limits, stats, &mut sink);
                    told.news(&mut live, flow, when, cx);
                }));
                if closed.is_err() {
                    told.fault(&mut live, flow, when, cx);
                }
                live.forget();
                live.put_by(cx);
            }
        }
        if let Some(facts) = &told.facts {
            let missed = flow.missed.iter().sum();
            cx.push(flow.last, flow.opened, facts, missed, What::FlowEnd);
        }
    }
}

/// Takes parts to their exchanges.
struct Sink<'a> {
    exchanges: &'a mut Vec<(ExchangeId, Exchange)>,
    kept_from: &'a mut ExchangeId,
    contact: &'a mut Option<Box<Contact>>,
    cx: &'a mut Work,
    ts: Timestamp,
    place: Place,
    anomalies: Vec<Anomaly>,
    /// Keys opened it just now.
    opened: Option<Inside>,
    /// What name servers were asked and said.
    heard: Vec<What>,
}

impl<'a> Sink<'a> {
    fn new(
        exchanges: &'a mut Vec<(ExchangeId, Exchange)>,
        kept_from: &'a mut ExchangeId,
        contact: &'a mut Option<Box<Contact>>,
        cx: &'a mut Work,
        (ts, place): (Timestamp, Place),
    ) -> Self {
        Self { exchanges, kept_from, contact, cx, ts, place, anomalies: Vec::new(), opened: None, heard: Vec::new() }
    }
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

    fn lend(&mut self) -> Option<Box<Opener>> {
        self.cx.opener.take()
    }

    fn give_back(&mut self, opener: Box<Opener>) {
        self.cx.opener = Some(opener);
    }

    fn shown(&mut self, via_connect: Option<&str>, what: Shown<'_>) -> bool {
        let Self { contact, cx, ts, place, opened, .. } = self;
        let generation = &cx.generation;
        // What keys may open is told by what is inside.
        let keep = cx.opener.is_some();
        let fresh = || {
            let mut contact = Contact::new(ContactKind::Tls, *ts, *place, via_connect);
            contact.keep = keep;
            Box::new(contact)
        };
        match what {
            Shown::ClientHello(hello) => {
                let known = contact.get_or_insert_with(fresh);
                if known.client_hello(generation, &mut cx.scratch, hello) {
                    return true;
                }
                // One that hides its name still has to be told.
                contact.take_if(|contact| !contact.is_over());
                false
            }
            Shown::ServerHello(hello) => {
                contact.get_or_insert_with(fresh).server_hello(hello);
                true
            }
            Shown::Certificate(leaf) => {
                contact.get_or_insert_with(fresh).certificate(generation, &mut cx.scratch, leaf);
                true
            }
            Shown::Over => {
                contact.iter_mut().for_each(|contact| contact.over());
                false
            }
            Shown::Protocol(name) => {
                contact.iter_mut().for_each(|contact| contact.chosen(name));
                true
            }
            Shown::Opened(first) => {
                let tls = contact.as_deref().map(|contact| contact.tls().clone()).unwrap_or_default();
                *opened = Some(Inside { first, tls });
                contact.iter_mut().for_each(|contact| contact.opened());
                true
            }
            _ => true,
        }
    }

    fn name_server(&mut self, message: &[u8]) {
        if self.heard.len() >= MAX_HEARD {
            self.cx.heard_left_out += 1;
        } else if let Some(message) = proto::dns::Message::read(message) {
            self.heard.extend(datagrams::heard(&message, (self.ts, self.place), self.cx).into_iter().flatten());
        }
    }
}
