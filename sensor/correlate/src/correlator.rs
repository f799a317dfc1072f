//! The serial stage: observations in, records out, in one order whatever the number of workers.

use crate::catalogue::Catalogues;
use crate::conversation::{Conversations, Key};
use crate::decide::server_key;
use crate::detection::Desk;
use crate::names::Names;
use crate::notices::Notices;
use crate::open::OpenTable;
use crate::record::{self, Change, NoticeCode, Record};
use crate::servers::{self, Servers};
use crate::trace::assess;
use crate::unit::{ExchangeKey, Open, Unit};
use crate::who::Who;
use crate::{Options, detection};
use detect::{Action, Assessment, AuthorizationMap, Behind, Confidence, Observation, Update, What};
use net::{Place, Timestamp};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Where records go.
pub type Out<'a> = &'a mut dyn FnMut(Record);

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
    /// Requests of trusted proxies that hide for whom they ask, or contradict themselves.
    pub forwarded_hidden: u64,
    /// Calls of providers of models that passed the gateway by.
    pub gateway_passed_by: u64,
    /// Records made.
    pub events: u64,
}

impl Totals {
    /// A limit was met `n` times.
    pub(crate) fn met(&mut self, limit: &str, n: u64) {
        if n > 0 {
            *self.limits.entry(limit.to_owned()).or_default() += n;
        }
    }
}

/// The serial stage.
#[derive(Debug)]
pub struct Correlator {
    pub(crate) options: Options,
    pub(crate) open: OpenTable,
    pub(crate) conversations: Conversations,
    pub(crate) servers: Servers,
    /// What they offer.
    pub(crate) catalogues: Catalogues,
    pub(crate) names: Names,
    /// Who asked a name server for which known name.
    pub(crate) asked: Names,
    /// Who called which provider of models past the gateway.
    pub(crate) passed_by: Names,
    pub(crate) authorizations: AuthorizationMap,
    pub(crate) who: Who,
    pub(crate) notices: Notices,
    pub(crate) totals: Totals,
    pub(crate) now: Timestamp,
}

impl Correlator {
    /// An empty stage.
    pub fn new(options: Options) -> Self {
        Self {
            notices: Notices::new(options.sensor.clone()),
            conversations: Conversations::new(options.session_every),
            options,
            open: OpenTable::default(),
            servers: Servers::default(),
            catalogues: Catalogues::default(),
            names: Names::default(),
            asked: Names::default(),
            passed_by: Names::default(),
            authorizations: AuthorizationMap::default(),
            who: Who::default(),
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
                if self.open.get(&key).is_none() {
                    self.sent(&flow, ts);
                    let mut open = Open::new(flow, id.0, ts, place);
                    if let Some(request) = &update.request {
                        open.primary = Unit::new(0, request.ts, request.place);
                    }
                    self.open.insert(key, open);
                }
                if let Some(open) = self.open.get_mut(&key) {
                    open.missed = missed;
                }
                self.update(key, ts, place, *update, out);
            }
            What::Contact(number, seen) => self.contact((number, flow, missed), *seen, place, out),
            What::Name(seen) => {
                let forgotten = self.names.learn(&seen, self.options.limits.of_servers());
                self.totals.met("names", forgotten);
            }
            What::Host(seen) => {
                let forgotten = self.who.host(seen, ts, self.options.limits.of_clients());
                self.totals.met("client_names", forgotten);
            }
            What::Lease(message) => {
                let forgotten = self.who.lease(*message, ts, self.options.limits.of_clients());
                self.totals.met("leases", forgotten);
            }
            What::FlowEnd => {
                while let Some(key) = self.open.of_flow(flow.opened.number) {
                    self.close(key, out);
                }
            }
            What::Anomaly(anomaly) => {
                let (flow, _) = self.desk().flow(&flow, None, missed);
                let text = format!("receivers may read this HTTP framing in different ways: {}", anomaly.reason());
                self.notice(ts, NoticeCode::HttpAmbiguity, text, Some(flow), out);
            }
            What::Segments(anomaly) => {
                let (flow, _) = self.desk().flow(&flow, None, missed);
                let (code, text) = match anomaly {
                    net::Anomaly::OverlapConflict => (
                        NoticeCode::OverlapConflict,
                        "segments claim the same bytes with other content; the first copy was used".to_owned(),
                    ),
                    other => (
                        NoticeCode::TcpAmbiguity,
                        format!("receivers may read these segments in different ways: {}", other.reason()),
                    ),
                };
                self.notice(ts, code, text, Some(flow), out);
            }
            What::Proxy(news) => self.proxy_news(&news, (ts, missed), &flow, out),
            What::Fault => {
                let (flow, _) = self.desk().flow(&flow, None, missed);
                let text = "a fault in the sensor's own code; the rest of this flow was not looked at".to_owned();
                self.notice(ts, NoticeCode::InternalFault, text, Some(flow), out);
            }
        }
        self.shed(out);
    }

    /// Packet time has come to `now`: what waits no longer is decided. It goes back where a clock was set.
    pub fn tick(&mut self, now: Timestamp, out: Out<'_>) {
        self.now = now;
        while let Some((key, seq)) = self.open.due(self.now) {
            if let Some(unit) = self.open.get_mut(&key).and_then(|o| o.unit(seq)) {
                unit.due = true;
                self.settle(key, out);
            }
        }
        while let Some(id) = self.conversations.expired(self.now, false) {
            self.end_conversation(id, out);
        }
        while let Some(id) = self.conversations.due(self.now) {
            self.tell_conversation(id, out);
        }
        if self.servers.is_time(self.now, Servers::LOOK) {
            self.forget_servers(Servers::LIFE, out);
        }
        for notice in self.notices.over(self.now) {
            self.emit(Record::Notice(notice), out);
        }
        self.shed(out);
    }

    /// Lets go of what is over a limit.
    fn shed(&mut self, out: Out<'_>) {
        let limits = self.options.limits;
        while let Some(key) = self.open.excess(limits.open) {
            self.totals.met("open_exchanges", 1);
            let text = format!("open exchanges weigh more than {} bytes; the quietest is decided early", limits.open);
            self.notice(self.now, NoticeCode::LimitMet, text, None, out);
            self.close(key, out);
        }
        self.conversations.weigh();
        while let Some(id) = self.conversations.excess(limits.conversations) {
            self.totals.met("conversations", 1);
            let text = format!("conversations weigh more than {} bytes; the quietest is ended", limits.conversations);
            self.notice(self.now, NoticeCode::LimitMet, text, None, out);
            self.end_conversation(id, out);
        }
        self.totals.met("calls_waiting_per_session", std::mem::take(&mut self.conversations.calls_not_kept));
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
        let time = ts.max(self.now);
        for notice in self.notices.over(time) {
            self.emit(Record::Notice(notice), out);
        }
        if let Some(notice) = self.notices.pass((ts, time), code, message, flow) {
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
        while let Some(key) = self.open.first() {
            self.close(key, out);
        }
        while let Some(id) = self.conversations.expired(self.now, true) {
            self.end_conversation(id, out);
        }
        let servers = std::mem::take(&mut self.servers);
        for (key, server) in &servers.all {
            let mut seen = servers::record(key, server, Change::Seen, None, self.now, &self.options.sensor);
            seen.catalogue = self.catalogues.record(key, server.classification);
            self.emit(Record::Server(Box::new(seen)), out);
        }
        self.servers = servers;
        for notice in self.notices.held_back(self.now) {
            self.emit(Record::Notice(notice), out);
        }
    }

    /// Other rules and scope are in force from `now` on: for what is decided, not for what was written. Servers known
    /// are classified anew.
    pub fn set_generation(&mut self, generation: Arc<detect::Generation>, now: Timestamp, out: Out<'_>) {
        self.options.generation = generation;
        let scope = &self.options.generation.scope;
        let changed = self.servers.classify_anew(scope, &self.names);
        for key in changed {
            let Some(server) = self.servers.all.get(&key) else { continue };
            let review = servers::record(&key, server, Change::Review, None, now, &self.options.sensor);
            self.emit(Record::Server(Box::new(review)), out);
        }
    }

    /// What all that is kept weighs, in bytes; [`Limits`](crate::Limits) bound it.
    pub fn held_bytes(&self) -> usize {
        let names = self.names.bytes + self.asked.bytes + self.passed_by.bytes + self.who.bytes();
        self.open.bytes + self.conversations.bytes + self.servers.bytes + self.catalogues.bytes + names
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

    fn update(&mut self, key: ExchangeKey, ts: Timestamp, place: Place, update: Update, out: Out<'_>) {
        let Update {
            request,
            response,
            messages,
            endpoint,
            signals,
            ended,
            document,
            trace,
            oauth,
            model_call,
            parsed,
            look_alike,
            websocket,
            bytes,
            acted,
        } = update;
        let Some(open) = self.open.get_mut(&key) else { return };
        if let Some(request) = request {
            if open.primary.written.is_none() {
                (open.primary.ts, open.primary.first) = (request.ts, request.place);
            }
            open.asks_for = match self.options.generation.scope.behind(open.flow.client.ip(), &request.facts.forwarded)
            {
                Behind::Client(ip) => Some(ip),
                Behind::Nobody => None,
                Behind::Hidden => {
                    self.totals.forwarded_hidden += 1;
                    None
                }
            };
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
        let doubt = ended.iter().flatten().find_map(|e| e.doubt);
        for (mine, theirs) in open.ended.iter_mut().zip(ended) {
            *mine = theirs.or(*mine);
        }
        open.look_alike = look_alike.or(open.look_alike);
        for signal in signals {
            open.primary.signals.add(signal);
        }
        if let Some(document) = document {
            if let Some(provider) = document.provider {
                open.provider.get_or_insert_default().join(*provider);
            }
            open.resource = document.resource.or(open.resource.take());
        }
        if let Some(trace) = trace {
            open.trace.get_or_insert_default().join(*trace);
        }
        if let Some(oauth) = oauth {
            self.oauth(key, ts, *oauth);
        }
        if model_call && let Some(open) = self.open.get(&key) {
            let (flow, _) = self.desk().flow(&open.flow, open.asks_for, open.missed);
            let host = open.request.as_deref().map(|request| request.host.clone()).unwrap_or_default();
            self.model_call((open.client(), &host), ts, Some(flow), out);
        }
        let Some(open) = self.open.get_mut(&key) else { return };
        if let Some(endpoint) = endpoint {
            open.http_sse = true;
            let server = Some(open.flow.server).filter(|_| endpoint.session.is_none());
            let conversation_key = Key::Endpoint(endpoint.key, server);
            let id = self.conversations.enter(conversation_key, open.client(), ts);
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
        if let Some((acted, open)) = acted.zip(self.open.get_mut(&key)) {
            open.acts(acted);
        }
        if let Some((why, open)) = undecoded.zip(self.open.get(&key)) {
            let (flow, _) = self.desk().flow(&open.flow, open.asks_for, open.missed);
            let text = format!("a body of this exchange could not be decoded: {why}");
            self.notice(ts, NoticeCode::Undecoded, text, Some(flow), out);
        }
        if let Some((why, open)) = doubt.zip(self.open.get(&key)) {
            let (flow, _) = self.desk().flow(&open.flow, open.asks_for, open.missed);
            let text = format!("receivers may read the messages of this exchange in different ways: {why}");
            self.notice(ts, NoticeCode::MessageAmbiguity, text, Some(flow), out);
        }
        self.settle(key, out);
    }

    /// No more news will come of this exchange.
    pub(crate) fn close(&mut self, key: ExchangeKey, out: Out<'_>) {
        let Some(open) = self.open.get_mut(&key) else { return };
        open.over = true;
        self.settle(key, out);
        if let Some(open) = self.open.remove(&key)
            && let Some(c) = open.conversation.and_then(|id| self.conversations.touch(id, self.now))
        {
            c.waiting.forget(|_, k, _| k == key);
        }
    }

    /// Writes what is decided, lets go of what is over.
    pub(crate) fn settle(&mut self, key: ExchangeKey, out: Out<'_>) {
        self.sse_chain(key);
        let Some(open) = self.open.get(&key) else { return };
        let mut ready: Vec<u32> = Vec::new();
        for unit in std::iter::once(&open.primary).chain(&open.extra) {
            let (assessment, _) = assess(open, unit);
            let raised = matches!(assessment, Assessment::Mcp(c) if c >= Confidence::Likely && unit.written.is_none_or(|w| w < Confidence::Likely));
            // What was only changed is told with its answer, unless it was told without that before.
            let changed = |acted: &detect::Acted| matches!(acted.taken, Action::Redact | Action::Filter);
            let waits = |acted| changed(acted) && unit.written.is_none() && !open.over;
            let acted = open.acted_on(unit).is_some_and(|acted| !waits(acted));
            let undecided = unit.written.is_none() || raised;
            if acted || (undecided && complete(open, unit, assessment)) {
                ready.push(unit.seq);
            }
        }
        for seq in ready {
            self.decide(key, seq, out);
        }
        self.open.drop_decided(&key);
        let Some(open) = self.open.get_mut(&key) else { return };
        self.totals.met("units_waiting", std::mem::take(&mut open.units_hurried));
        let both = open.ended.iter().all(Option::is_some);
        let waits = open.http_sse && open.primary.written.is_none() && !open.primary.due;
        if both && !waits && open.extra.is_empty() && !open.websocket && !open.over {
            self.open.remove(&key);
        } else {
            self.open.touch(&key);
        }
    }

    pub(crate) fn end_conversation(&mut self, id: u64, out: Out<'_>) {
        let Some(conversation) = self.conversations.remove(id) else { return };
        if let Some(record) = detection::session(&self.options, &conversation, self.now, false) {
            self.emit(Record::Session(Box::new(record)), out);
        }
    }

    /// Tells what is known so far of a conversation that lasts.
    fn tell_conversation(&mut self, id: u64, out: Out<'_>) {
        let Some(conversation) = self.conversations.get(id) else { return };
        if let Some(record) = detection::session(&self.options, conversation, self.now, true) {
            self.emit(Record::Session(Box::new(record)), out);
        }
    }

    /// Lets go of servers that have been quiet for longer than `life`; each is `seen` for the last time.
    pub(crate) fn forget_servers(&mut self, life: i64, out: Out<'_>) {
        for (key, server) in self.servers.take_quiet(self.now.plus(-life)) {
            let mut seen = servers::record(&key, &server, Change::Seen, None, self.now, &self.options.sensor);
            seen.catalogue = self.catalogues.record(&key, server.classification);
            self.emit(Record::Server(Box::new(seen)), out);
        }
    }

    /// Learns from a flow that has something to tell who sends for its client.
    pub(crate) fn sent(&mut self, flow: &detect::FlowFacts, ts: Timestamp) {
        let forgotten = self.who.sender(flow.client.ip(), flow.sender, ts, self.options.limits.of_clients());
        self.totals.met("mac_addresses", forgotten);
    }

    /// What records are made with.
    pub(crate) fn desk(&self) -> Desk<'_> {
        Desk { options: &self.options, who: &self.who, now: self.now }
    }
}

/// An extra unit is judged by its own messages; what the first exchange looked like says nothing of it.
pub(crate) fn context(open: &Open, unit: &Unit) -> detect::Context {
    if unit.seq == open.primary.seq { open.around().context() } else { detect::Context::default() }
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
