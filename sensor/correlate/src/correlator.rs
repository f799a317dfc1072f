//! The serial stage: observations in, records out, in one order whatever the number of workers.

use crate::conversation::{Conversations, Key};
use crate::decide::server_key;
use crate::names::Names;
use crate::notices::Notices;
use crate::record::{self, Change, NoticeCode, Record};
use crate::servers::{self, Servers};
use crate::unit::{ExchangeKey, Open, Unit};
use crate::{Options, detection};
use detect::{Assessment, Confidence, Observation, Update, What};
use net::{Place, Timestamp};
use std::collections::BTreeMap;

/// Where records go.
pub type Out<'a> = &'a mut dyn FnMut(Record);

/// Most exchanges with news still to come; the oldest is decided and let go beyond it.
const MAX_OPEN: usize = 262_144;

/// Totals the serial stage keeps.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    /// Facts by signal id (signatures are counted where they hit).
    pub signals: BTreeMap<String, u64>,
    /// Detections by `classification/confidence`.
    pub detections: BTreeMap<String, u64>,
    /// Look-alikes by word.
    pub look_alikes: BTreeMap<String, u64>,
    /// Limits met, by name.
    pub limits: BTreeMap<String, u64>,
    /// Records made.
    pub events: u64,
}

/// The serial stage.
#[derive(Debug)]
pub struct Correlator {
    pub(crate) options: Options,
    pub(crate) open: BTreeMap<ExchangeKey, Open>,
    pub(crate) deadlines: BTreeMap<(Timestamp, u64), (ExchangeKey, u32)>,
    pub(crate) next_deadline: u64,
    pub(crate) conversations: Conversations,
    pub(crate) servers: Servers,
    pub(crate) names: Names,
    pub(crate) notices: Notices,
    pub(crate) totals: Totals,
    pub(crate) now: Timestamp,
}

impl Correlator {
    /// An empty stage.
    pub fn new(options: Options) -> Self {
        Self {
            notices: Notices::new(options.sensor.clone()),
            options,
            open: BTreeMap::new(),
            deadlines: BTreeMap::new(),
            next_deadline: 0,
            conversations: Conversations::default(),
            servers: Servers::default(),
            names: Names::default(),
            totals: Totals::default(),
            now: Timestamp::default(),
        }
    }

    /// One observation. They must come in the order of [`Observation::order`].
    pub fn observe(&mut self, observation: Observation, out: Out<'_>) {
        let Observation { ts, place, flow, missed, what, .. } = observation;
        match what {
            What::Exchange(id, update) => {
                let key = (flow.opened.number, id.0);
                if !self.open.contains_key(&key) {
                    self.begin(key, Open::new(flow, id.0, ts, place), &update, out);
                }
                if let Some(open) = self.open.get_mut(&key) {
                    open.missed = missed;
                }
                self.update(key, ts, place, *update, out);
            }
            What::FlowEnd => self.flow_end(flow.opened.number, out),
            What::Anomaly(anomaly) => {
                let flow = detection::flow(&self.options, &flow, missed);
                let text = format!("receivers may read this HTTP framing in different ways: {}", anomaly.reason());
                self.notice(ts, NoticeCode::HttpAmbiguity, text, Some(flow), out);
            }
            What::OverlapConflict => {
                let flow = detection::flow(&self.options, &flow, missed);
                let text = "segments claim the same bytes with other content; the first copy was used".to_owned();
                self.notice(ts, NoticeCode::OverlapConflict, text, Some(flow), out);
            }
            What::Fault => {
                let flow = detection::flow(&self.options, &flow, missed);
                let text = "a fault in the sensor's own code; the rest of this flow was not looked at".to_owned();
                self.notice(ts, NoticeCode::InternalFault, text, Some(flow), out);
            }
        }
    }

    /// A name server answered. Only names that the configuration speaks of are kept.
    pub fn names(&mut self, answer: &proto::dns::Answer) {
        if self.options.generation.scope.speaks_of(&answer.name) {
            self.names.learn(answer);
        }
    }

    /// Packet time has come to `now`: what waits no longer is decided.
    pub fn tick(&mut self, now: Timestamp, out: Out<'_>) {
        self.now = self.now.max(now);
        while let Some((&(deadline, n), &(key, seq))) = self.deadlines.first_key_value() {
            if deadline > self.now {
                break;
            }
            self.deadlines.remove(&(deadline, n));
            if let Some(unit) = self.open.get_mut(&key).and_then(|o| o.unit(seq)) {
                unit.due = true;
                self.settle(key, out);
            }
        }
        while let Some(id) = self.conversations.expired(self.now, false) {
            self.end_conversation(id, out);
        }
    }

    /// A notice that no observation carries.
    pub fn notice(
        &mut self,
        ts: Timestamp,
        code: NoticeCode,
        message: String,
        flow: Option<record::Flow>,
        out: Out<'_>,
    ) {
        if let Some(notice) = self.notices.pass(ts, code, message, flow) {
            self.emit(Record::Notice(notice), out);
        }
    }

    /// Any other record made elsewhere, so that it is counted here.
    pub fn emit(&mut self, record: Record, out: Out<'_>) {
        self.totals.events += 1;
        out(record);
    }

    /// The input is over: everything still open is decided, every conversation ends, every server is `seen`.
    pub fn finish(&mut self, ts: Timestamp, out: Out<'_>) {
        self.now = self.now.max(ts);
        while let Some((&key, _)) = self.open.first_key_value() {
            self.close(key, out);
        }
        while let Some(id) = self.conversations.expired(self.now, true) {
            self.end_conversation(id, out);
        }
        let servers = std::mem::take(&mut self.servers);
        for (key, server) in &servers.all {
            let seen = servers::record(key, server, Change::Seen, None, self.now, &self.options.sensor);
            self.emit(Record::Server(Box::new(seen)), out);
        }
        self.servers = servers;
        for notice in self.notices.held_back(self.now) {
            self.emit(Record::Notice(notice), out);
        }
    }

    /// Totals so far.
    pub fn totals(&self) -> &Totals {
        &self.totals
    }

    /// Notices by code, held back ones included.
    pub fn notice_counts(&self) -> &BTreeMap<&'static str, u64> {
        self.notices.counts()
    }

    /// Servers by classification.
    pub fn server_counts(&self) -> BTreeMap<String, u64> {
        let mut counts = BTreeMap::new();
        for server in self.servers.all.values() {
            *counts.entry(server.classification.word().to_owned()).or_default() += 1;
        }
        counts
    }

    fn begin(&mut self, key: ExchangeKey, mut open: Open, update: &Update, out: Out<'_>) {
        if let Some(request) = &update.request {
            open.primary = Unit::new(0, request.ts, request.place);
        }
        if self.open.len() >= MAX_OPEN {
            *self.totals.limits.entry("open_exchanges".into()).or_default() += 1;
            self.notice(
                self.now,
                NoticeCode::LimitMet,
                format!("more than {MAX_OPEN} exchanges are open; the oldest is decided early"),
                None,
                out,
            );
            if let Some((&oldest, _)) = self.open.first_key_value() {
                self.close(oldest, out);
            }
        }
        let deadline = open.primary.deadline;
        self.open.insert(key, open);
        self.expect(deadline, key, 0);
    }

    pub(crate) fn expect(&mut self, deadline: Timestamp, key: ExchangeKey, seq: u32) {
        self.deadlines.insert((deadline, self.next_deadline), (key, seq));
        self.next_deadline += 1;
    }

    fn update(&mut self, key: ExchangeKey, ts: Timestamp, place: Place, update: Update, out: Out<'_>) {
        let Update {
            request,
            response,
            messages,
            endpoint,
            signals,
            ended,
            document,
            parsed,
            look_alike,
            websocket,
            bytes,
        } = update;
        let Some(open) = self.open.get_mut(&key) else { return };
        if let Some(request) = request {
            if open.primary.written.is_none() {
                (open.primary.ts, open.primary.first) = (request.ts, request.place);
            }
            open.request = Some(request);
        }
        if response.is_some() {
            open.response = response;
        }
        open.bytes = bytes;
        open.primary.last = open.primary.last.max(place);
        open.websocket |= websocket;
        for (mine, theirs) in open.parsed.iter_mut().zip(parsed) {
            *mine = theirs.or(*mine);
        }
        let undecoded = ended.iter().flatten().find_map(|e| e.undecoded);
        for (mine, theirs) in open.ended.iter_mut().zip(ended) {
            *mine = theirs.or(*mine);
        }
        open.look_alike = look_alike.or(open.look_alike);
        for signal in signals {
            open.primary.signal(signal);
        }
        if let Some(document) = document {
            open.provider_servers.extend(document.servers);
            open.resource = document.resource.or(open.resource.take());
        }
        if let Some(endpoint) = endpoint {
            open.http_sse = true;
            let server = Some(open.flow.server).filter(|_| endpoint.session.is_none());
            let conversation_key = Key::Endpoint(endpoint.key, server);
            let id = self.conversations.enter(conversation_key, open.flow.client.ip(), ts);
            open.conversation = Some(id);
            let stream_server = server_key(open, None, &self.servers);
            if let Some(conversation) = self.conversations.touch(id, ts) {
                conversation.stream = Some(key);
                conversation.transport = "http_sse";
                conversation.session = endpoint.session.or(Some(endpoint.key));
                conversation.server = stream_server;
            }
        }
        self.join_conversation(key, ts);
        for seen in messages {
            self.message(key, place, &seen, out);
        }
        if let Some((why, open)) = undecoded.zip(self.open.get(&key)) {
            let flow = detection::flow(&self.options, &open.flow, open.missed);
            let text = format!("a body of this exchange could not be decoded: {why}");
            self.notice(ts, NoticeCode::Undecoded, text, Some(flow), out);
        }
        self.settle(key, out);
    }

    fn flow_end(&mut self, flow: u64, out: Out<'_>) {
        while let Some((&key, _)) = self.open.range((flow, 0)..=(flow, u32::MAX)).next() {
            self.close(key, out);
        }
    }

    /// No more news will come of this exchange.
    pub(crate) fn close(&mut self, key: ExchangeKey, out: Out<'_>) {
        let Some(open) = self.open.get_mut(&key) else { return };
        open.over = true;
        self.settle(key, out);
        if let Some(open) = self.open.remove(&key)
            && let Some(c) = open.conversation.and_then(|id| self.conversations.touch(id, self.now))
        {
            c.waiting.retain(|(_, _, k, _)| *k != key);
        }
    }

    /// Writes what is decided, lets go of what is over.
    pub(crate) fn settle(&mut self, key: ExchangeKey, out: Out<'_>) {
        self.sse_chain(key);
        let Some(open) = self.open.get(&key) else { return };
        let mut ready: Vec<u32> = Vec::new();
        for unit in std::iter::once(&open.primary).chain(&open.extra) {
            let assessment = Assessment::of(&unit.signals, &context(open, unit));
            let raised = matches!(assessment, Assessment::Mcp(c) if c >= Confidence::Likely && unit.written.is_none_or(|w| w < Confidence::Likely));
            let undecided = unit.written.is_none() || raised;
            if undecided && complete(open, unit, assessment) {
                ready.push(unit.seq);
            }
        }
        for seq in ready {
            self.decide(key, seq, out);
        }
        let Some(open) = self.open.get_mut(&key) else { return };
        open.extra.retain(|u| u.written.is_none() && !(u.due || open.over));
        let both = open.ended.iter().all(Option::is_some);
        let waits = open.http_sse && open.primary.written.is_none() && !open.primary.due;
        if both && !waits && open.extra.is_empty() && !open.websocket && !open.over {
            self.open.remove(&key);
        }
    }

    pub(crate) fn end_conversation(&mut self, id: u64, out: Out<'_>) {
        let Some(conversation) = self.conversations.remove(id) else { return };
        if let Some(record) = detection::session(&self.options, &conversation, self.now) {
            self.emit(Record::Session(Box::new(record)), out);
        }
    }
}

/// An extra unit is judged by its own messages; what the first exchange looked like says nothing of it.
pub(crate) fn context(open: &Open, unit: &Unit) -> detect::Context {
    if unit.seq == open.primary.seq { open.context() } else { detect::Context::default() }
}

/// Whether a unit can be decided now.
fn complete(open: &Open, unit: &Unit, assessment: Assessment) -> bool {
    let settled = matches!(assessment, Assessment::Mcp(c) if c >= Confidence::Likely);
    if unit.due || open.over || unit.written.is_some() {
        return true;
    }
    if unit.all_answered() && (unit.seq != open.primary.seq || open.websocket || open.ended[0].is_some()) {
        return true;
    }
    if open.websocket || unit.seq != open.primary.seq {
        return false;
    }
    let answer_over = open.ended[1].is_some();
    let request_over = open.ended[0].is_some();
    if !unit.calls.is_empty() {
        return answer_over && request_over && !open.http_sse;
    }
    let streaming = open.response.as_deref().is_some_and(|r| r.facts.is_sse);
    (answer_over && request_over) || (streaming && settled && request_over)
}
