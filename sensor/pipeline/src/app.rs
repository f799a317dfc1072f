//! One flow on its worker: ordered bytes → parts → exchanges → observations.

use crate::datagrams;
use crate::keys::KeyView;
use crate::tunnels::{self, Names};
use detect::{
    Contact, ContactKind, Exchange, FlowFacts, Generation, Inside, Observation, Order, Scratch, Update, What,
};
use net::{App, Data, Direction, Flow, FlowEnd, Interest, Path, Piece, Place, Timestamp, Transport};
use proto::{Anomaly, Conn, ExchangeId, Opener, Part, PartSink, Shown};
use std::collections::BTreeMap;
use std::num::NonZeroU16;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// Most exchanges of one flow under inspection at once; the oldest is let go beyond it. Only a flow whose
/// answers are invisible comes near.
const MAX_EXCHANGES: usize = 256;
/// Most things that name servers say in one piece of a flow which are told.
const MAX_HEARD: usize = 256;

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
    /// What opens TLS, unless a flow has it just now; `None` where there are no keys.
    pub(crate) opener: Option<Box<Opener>>,
    /// Bytes of bypassed flows by reason.
    pub(crate) bypassed: BTreeMap<&'static str, u64>,
    /// Flows by how they ended.
    pub(crate) ends: BTreeMap<&'static str, u64>,
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

/// The reader of one flow.
#[derive(Debug)]
pub(crate) struct FlowApp {
    conn: Box<Conn>,
    exchanges: Vec<(ExchangeId, Exchange)>,
    /// The TLS handshake under way, while it is of interest.
    contact: Option<Box<Contact>>,
    /// Contacts told so far.
    contacts: u32,
    /// What keys opened.
    inside: Option<Inside>,
    /// Exchanges before this one were let go, or are over: what still comes of them begins none anew.
    kept_from: ExchangeId,
    facts: Option<Arc<FlowFacts>>,
    /// Tunnels around the flow, if any.
    tunnel: Option<Box<Path>>,
    /// Why the rest is not looked at, and the flow's bytes when that was decided.
    bypass: Option<(&'static str, u64)>,
}

impl FlowApp {
    fn read(&mut self, flow: &Flow, piece: Piece<'_>, cx: &mut Context) -> Interest {
        let Self { conn, exchanges, kept_from, contact, .. } = self;
        let Context { limits, proto: stats, work } = cx;
        let (ts, place) = (piece.ts, piece.place);
        let mut sink = Sink::new(exchanges, kept_from, contact, work, (ts, place));
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
            (self.inside, self.facts) = (opened, None);
        }
        for what in heard {
            let what = match what {
                What::Contact(_, contact) => What::Contact(self.number(), contact),
                other => other,
            };
            self.tell(flow, piece.ts, piece.place, work, what);
        }
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
        if let Some(contact) = &mut self.contact {
            let (update, over) = (contact.take_update(), contact.is_over());
            let number = self.contacts;
            if over {
                self.contact = None;
                self.number();
            }
            if let Some(update) = update {
                self.tell(flow, ts, place, cx, What::Contact(number, update));
            }
        }
    }

    /// The number of the next contact.
    fn number(&mut self) -> u32 {
        let number = self.contacts;
        self.contacts = number.saturating_add(1);
        number
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
                vlan: flow.vlan.map(|id| id.map(NonZeroU16::get)),
                tunnel: self.tunnel.as_deref().map_or_else(Vec::new, tunnels::words),
                opened: flow.opened,
                midstream: flow.midstream,
                transport: Transport::Tcp,
                inside: self.inside.clone(),
            })
        });
        let facts = Arc::clone(facts);
        cx.push(ts, place, &facts, flow.missed.iter().sum(), what);
    }

    fn fault(&mut self, flow: &Flow, ts: Timestamp, place: Place, cx: &mut Work) -> Interest {
        cx.faults += 1;
        // The flow may have kept it.
        cx.opener = cx.opener.take().or_else(|| cx.keys.opener());
        self.exchanges.clear();
        self.tell(flow, ts, place, cx, What::Fault);
        self.bypass = Some(("fault", flow.bytes.iter().sum()));
        Interest::Bypass
    }
}

impl App<Context> for FlowApp {
    fn open(flow: &Flow, cx: &mut Context) -> Self {
        Self {
            conn: Box::new(Conn::new(flow.midstream)),
            exchanges: Vec::new(),
            contact: None,
            contacts: 0,
            inside: None,
            kept_from: ExchangeId(0),
            facts: None,
            tunnel: cx.work.tunnels.path(flow.tunnel),
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

    fn weight(&self) -> usize {
        // Its own entries, and the facts that observations share.
        const FLOW: usize = size_of::<Conn>() + 512;
        let exchanges = self.exchanges.capacity() * size_of::<(ExchangeId, Exchange)>();
        let inside: usize = self.exchanges.iter().map(|(_, exchange)| exchange.weight()).sum();
        let contact = self.contact.as_deref().map_or(0, Contact::weight);
        FLOW + self.conn.held_bytes() + exchanges + inside + contact
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
            let Self { conn, exchanges, kept_from, contact, .. } = &mut self;
            let mut sink = Sink::new(exchanges, kept_from, contact, cx, (ts, place));
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
            let (name, contact) = datagrams::heard(&message, (self.ts, self.place), self.cx);
            self.heard.extend(name.map(What::Name));
            // The number is given when it is told.
            self.heard.extend(contact.map(|contact| What::Contact(0, contact)));
        }
    }
}
