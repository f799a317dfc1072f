//! The serial stage: observations in, records out, in one order whatever the number of workers.

use crate::conversation::{Conversations, Key, MAX_FLOWS, MAX_WAITING};
use crate::names::Names;
use crate::notices::Notices;
use crate::record::{self, Change, NoticeCode, Record, ServerKey};
use crate::servers::{self, MAX_CLIENTS, MAX_SERVERS, Server, Servers};
use crate::unit::{ExchangeKey, Open, Told, Unit};
use crate::{Options, detection};
use detect::{
    Assessment, Classification, Confidence, MessageSeen, Observation, Seen, Signal, Update, Weight, What, classify,
};
use mcp::{Kind, Verdict};
use net::{Direction, Place, Timestamp};
use proto::ExchangeId;
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
    options: Options,
    open: BTreeMap<ExchangeKey, Open>,
    deadlines: BTreeMap<(Timestamp, u64), (ExchangeKey, u32)>,
    next_deadline: u64,
    conversations: Conversations,
    servers: Servers,
    names: Names,
    notices: Notices,
    totals: Totals,
    now: Timestamp,
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
                    self.begin(key, Open::new(flow, ts, place), &update, out);
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
    pub fn notice(&mut self, ts: Timestamp, code: NoticeCode, message: String, flow: Option<record::Flow>, out: Out<'_>) {
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
            let seen = servers::record(key, server, Change::Seen, self.now, &self.options.sensor);
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
            self.notice(self.now, NoticeCode::LimitMet, format!("more than {MAX_OPEN} exchanges are open; the oldest is decided early"), None, out);
            if let Some((&oldest, _)) = self.open.first_key_value() {
                self.close(oldest, out);
            }
        }
        let deadline = open.primary.deadline;
        self.open.insert(key, open);
        self.expect(deadline, key, 0);
    }

    fn expect(&mut self, deadline: Timestamp, key: ExchangeKey, seq: u32) {
        self.deadlines.insert((deadline, self.next_deadline), (key, seq));
        self.next_deadline += 1;
    }

    fn update(&mut self, key: ExchangeKey, ts: Timestamp, place: Place, update: Update, out: Out<'_>) {
        let Update { request, response, messages, endpoint, signals, ended, document, parsed, look_alike, websocket } = update;
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

    /// Finds the conversation by what names one: session header, endpoint URL, the WebSocket itself.
    fn join_conversation(&mut self, key: ExchangeKey, ts: Timestamp) {
        let Some(open) = self.open.get_mut(&key) else { return };
        if open.conversation.is_some() {
            return;
        }
        let server = open.flow.server;
        let request = open.request.as_deref();
        // A session id on an error begins nothing: some servers mint one and then refuse.
        let minted = open.response.as_deref().filter(|r| r.status < 400).and_then(|r| r.facts.session);
        let session = request.and_then(|r| r.facts.session).or(minted);
        let posts = request.filter(|r| r.method == "POST");
        let at = |r: &detect::RequestSeen| Some(server).filter(|_| r.path().session_query.is_none());
        let endpoint = posts.map(|r| Key::Endpoint(r.target_key, at(r)));
        let id = if let Some(hash) = session {
            Some(self.conversations.enter(Key::Session(hash, server), open.flow.client.ip(), ts))
        } else if open.websocket {
            Some(self.conversations.enter(Key::Socket(key), open.flow.client.ip(), ts))
        } else {
            endpoint.and_then(|k| self.conversations.find(&k))
        };
        open.conversation = id;
        let Some(conversation) = id.and_then(|id| self.conversations.touch(id, ts)) else { return };
        if matches!(conversation.key, Key::Endpoint(..)) {
            open.http_sse = true;
        }
        for unit in std::iter::once(&open.primary).chain(&open.extra) {
            for call in unit.calls.iter().filter(|c| c.answer.is_none()) {
                if let (Some(id), true) = (&call.id, conversation.waiting.len() < MAX_WAITING) {
                    conversation.waiting.push((id.clone(), call.dir, key, unit.seq));
                }
            }
        }
    }

    fn message(&mut self, key: ExchangeKey, place: Place, seen: &MessageSeen, out: Out<'_>) {
        let Some(open) = self.open.get_mut(&key) else { return };
        let on = detect::Side::of(seen.dir).body_field();
        open.sse |= seen.sse;
        let conversation = open.conversation.and_then(|id| self.conversations.touch(id, seen.ts));
        let proved = conversation.as_ref().is_some_and(|c| c.proved);
        let m = &seen.message;
        let foreign = matches!(seen.verdict, Verdict::LookAlike(_)) && !proved;
        let mismatch = seen.dir == Direction::ToServer
            && open.request.as_deref().is_some_and(|r| mcp::header_mismatch(&r.facts, m));
        match m.kind() {
            Kind::Request | Kind::Notification => {
                // A call of its own: after the first was written, in the other direction, or on a WebSocket.
                let to_primary = open.primary.written.is_none()
                    && (seen.dir == Direction::ToServer || open.request.is_none())
                    && !(open.websocket && !open.primary.calls.is_empty());
                if m.kind() == Kind::Notification && !to_primary {
                    if open.primary.written.is_none() {
                        open.primary.told.message(seen, None);
                        open.primary.message_signal(seen, on);
                        open.primary.last = open.primary.last.max(place);
                        return;
                    }
                    let mut told = Told::default();
                    told.message(seen, None);
                    self.late(key, &told);
                    return;
                }
                let unit = if to_primary { &mut open.primary } else { open.extra_unit(seen.ts, place) };
                if !foreign {
                    unit.told.message(seen, None);
                    unit.call(seen);
                }
                unit.mismatch |= mismatch;
                unit.last = unit.last.max(place);
                unit.message_signal(seen, on);
                if proved && m.jsonrpc {
                    unit.structure("mcp.proof.conversation", on, Weight::Proof, &m.evidence.excerpt, m.evidence.offset);
                }
                let (deadline, seq) = (unit.deadline, unit.seq);
                if let (Some(conversation), Some(id), Kind::Request) = (conversation, &m.id, m.kind()) {
                    if conversation.waiting.len() < MAX_WAITING {
                        conversation.waiting.push((id.clone(), seen.dir, key, seq));
                    }
                }
                if !to_primary {
                    self.expect(deadline, key, seq);
                }
            }
            Kind::Result | Kind::Error => self.answer(key, place, seen, on, proved, out),
            Kind::Other => open.primary.message_signal(seen, on),
        }
    }

    /// A result or error: finds its call here or elsewhere in the conversation.
    fn answer(&mut self, key: ExchangeKey, place: Place, seen: &MessageSeen, on: &str, proved: bool, out: Out<'_>) {
        let Some(open) = self.open.get_mut(&key) else { return };
        let here = std::iter::once(&mut open.primary).chain(&mut open.extra).find_map(|unit| {
            let answered = unit.answer(seen)?;
            Some((unit, answered))
        });
        if let Some((unit, (method, strong))) = here {
            answered(unit, seen, on, place, &method, strong);
            let seq = unit.seq;
            if let (Some(id), Some(rpc)) = (open.conversation, &seen.message.id) {
                if let Some(c) = self.conversations.touch(id, seen.ts) {
                    c.waiting.retain(|(i, _, k, s)| !(i == rpc && *k == key && *s == seq));
                }
            }
            return;
        }
        let elsewhere = open.conversation.and_then(|id| self.conversations.touch(id, seen.ts)).and_then(|c| {
            let at = c.waiting.iter().position(|(id, dir, k, _)| Some(id) == seen.message.id.as_ref() && *dir != seen.dir && *k != key)?;
            Some(c.waiting.swap_remove(at))
        });
        if let Some((_, _, other, seq)) = elsewhere {
            // It answers a call of this conversation: that makes the stream it came on MCP, too.
            if seen.verdict == Verdict::Neutral || proved {
                open.primary.structure("mcp.shape.answers-call", on, Weight::Strong, &seen.message.evidence.excerpt, seen.message.evidence.offset);
            }
            open.primary.message_signal(seen, on);
            open.primary.replied |= seen.dir == Direction::ToClient && open.primary.calls.is_empty();
            let told_here = open.primary.written.is_none();
            if let Some(unit) = self.open.get_mut(&other).and_then(|o| o.unit(seq)) {
                if let Some((method, strong)) = unit.answer(seen) {
                    answered(unit, seen, on, unit.last, &method, strong);
                }
            }
            if told_here && seen.dir == Direction::ToServer {
                if let Some(open) = self.open.get_mut(&key) {
                    open.primary.told.message(seen, None);
                }
            }
            self.settle(other, out);
            return;
        }
        // An answer to nothing we saw.
        let foreign = matches!(seen.verdict, Verdict::LookAlike(_));
        let shows = matches!(seen.verdict, Verdict::Proof(_) | Verdict::Strong(_));
        if open.primary.written.is_none() {
            let unit = &mut open.primary;
            if !foreign {
                unit.told.message(seen, None);
                unit.replied |= seen.dir == Direction::ToClient;
                unit.keep_early(seen);
            }
            unit.message_signal(seen, on);
            unit.last = unit.last.max(place);
            if proved && seen.message.jsonrpc {
                unit.structure("mcp.proof.conversation", on, Weight::Proof, "", 0);
            }
        } else if shows && open.primary.written < Some(Confidence::Likely) {
            open.primary.message_signal(seen, on);
            open.primary.told.message(seen, None);
        } else if !foreign {
            let mut told = Told::default();
            told.message(seen, None);
            self.late(key, &told);
        }
    }

    /// What came after the detection was written belongs to the session and the server.
    fn late(&mut self, key: ExchangeKey, told: &Told) {
        let Some(open) = self.open.get(&key) else { return };
        let conversation = open.conversation;
        let server = conversation.and_then(|id| self.conversations.get(id)).and_then(|c| c.server.clone());
        if let Some(server) = server.and_then(|k| self.servers.all.get_mut(&k)) {
            server.told.join(told);
        }
        if let Some(c) = conversation.and_then(|id| self.conversations.touch(id, self.now)) {
            c.told.join(told);
        }
    }

    fn flow_end(&mut self, flow: u64, out: Out<'_>) {
        while let Some((&key, _)) = self.open.range((flow, 0)..=(flow, u32::MAX)).next() {
            self.close(key, out);
        }
    }

    /// No more news will come of this exchange.
    fn close(&mut self, key: ExchangeKey, out: Out<'_>) {
        let Some(open) = self.open.get_mut(&key) else { return };
        open.over = true;
        self.settle(key, out);
        if let Some(open) = self.open.remove(&key) {
            if let Some(c) = open.conversation.and_then(|id| self.conversations.touch(id, self.now)) {
                c.waiting.retain(|(_, _, k, _)| *k != key);
            }
        }
    }

    /// Writes what is decided, lets go of what is over.
    fn settle(&mut self, key: ExchangeKey, out: Out<'_>) {
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

    /// An `endpoint` event and then a POST there that is answered as MCP answers.
    fn sse_chain(&mut self, key: ExchangeKey) {
        let Some(open) = self.open.get_mut(&key) else { return };
        let post = open.request.as_deref().is_some_and(|r| r.method == "POST");
        let answered = open.status().is_some_and(|s| (200..300).contains(&s)) || open.primary.calls.iter().any(|c| c.answer.is_some());
        let spoke = !open.primary.calls.is_empty() || !open.primary.told.methods.is_empty() || open.primary.replied;
        let Some(id) = open.conversation.filter(|_| open.http_sse && post && answered && spoke) else { return };
        if open.look_alike.is_some() {
            return;
        }
        open.primary.structure("mcp.proof.sse-chain", "url", Weight::Proof, "", 0);
        let Some(conversation) = self.conversations.touch(id, self.now) else { return };
        conversation.proved = true;
        let stream = conversation.stream.filter(|s| *s != key);
        if let Some(stream) = stream.and_then(|s| self.open.get_mut(&s)) {
            stream.primary.structure("mcp.proof.sse-chain", "response.body", Weight::Proof, "event: endpoint", 0);
        }
    }

    /// Assesses a unit, and writes its detection if it is one.
    fn decide(&mut self, key: ExchangeKey, seq: u32, out: Out<'_>) {
        let Some(open) = self.open.get_mut(&key) else { return };
        let context = {
            let Some(unit) = open.unit(seq) else { return };
            let unit = unit.clone();
            context(open, &unit)
        };
        let Some(unit) = open.unit(seq) else { return };
        let assessment = Assessment::of(&unit.signals, &context);
        let (confidence, look_alike) = match assessment {
            Assessment::Mcp(confidence) => (confidence, None),
            Assessment::LookAlike(what) => {
                if unit.written.is_none() {
                    *self.totals.look_alikes.entry(what.word().to_owned()).or_default() += 1;
                }
                unit.written = Some(Confidence::Possible);
                if !self.options.look_alikes {
                    return;
                }
                (Confidence::Possible, Some(what))
            }
            Assessment::Nothing => return,
        };
        unit.written = Some(confidence);
        unit.writes += 1;
        let mut unit = unit.clone();
        let outcome = open.outcome(&unit);
        settle_versions(&mut unit, open, outcome);
        let ts = unit.last_ts().max(self.now);
        let conversation = if look_alike.is_none() { self.conversation_of(key, &unit, outcome, ts, out) } else { None };
        let Some(open) = self.open.get_mut(&key) else { return };
        open.conversation = open.conversation.or(conversation);
        let known = conversation.and_then(|id| self.conversations.get(id));
        let server = server_key(open, known, &self.servers);
        let seen_path = open.request.as_deref().map_or("", |r| r.path().normal.as_str());
        let (client_ip, server_ip) = (open.flow.client.ip(), open.flow.server.ip());
        let address = server_ip.to_string();
        let host = open.request.as_deref().map(|r| r.host.as_str()).filter(|h| !h.is_empty()).unwrap_or(&address);
        let seen = Seen { host, ip: server_ip, port: open.flow.server.port(), path: seen_path, resolved: self.names.says(host, server_ip) };
        let mut classified = classify(&self.options.generation.scope, client_ip, &seen, confidence);
        if look_alike.is_some() {
            classified.classification = Classification::LookAlike;
        }
        let classification = classified.classification;
        for signal in unit.signals.iter().filter(|s| s.kind == detect::SignalKind::Structure) {
            *self.totals.signals.entry(signal.id.clone()).or_default() += 1;
        }
        *self.totals.detections.entry(format!("{}/{}", classification.word(), confidence.word())).or_default() += 1;
        let unproved = classified.name_unproved.then(|| format!("{host} is the name of a portal or approved server, but nothing beyond the name says that {server_ip} is it"));
        let mismatch = unit.mismatch.then(|| "an Mcp-* header contradicts the body".to_owned());
        let flow = detection::flow(&self.options, &open.flow, open.missed);
        let makes_server = look_alike.is_none() && outcome != "refused";
        let mut made = detection::build(&self.options, open, &unit, known, outcome, confidence, classification, look_alike);
        let ids = (conversation, key.0);
        if let Some(server) = server.filter(|_| makes_server) {
            made.novel = self.server(&server, &unit, &made, ts, out);
            self.conversation_learns(ids, Some(server), &unit, &made, ts);
        } else if look_alike.is_none() {
            self.conversation_learns(ids, None, &unit, &made, ts);
        }
        let ended_by_client = made.http.as_ref().is_some_and(|h| h.method == "DELETE") && outcome == "answered";
        self.emit(Record::Detection(Box::new(made)), out);
        if let Some(text) = mismatch {
            self.notice(ts, NoticeCode::HeaderMismatch, text, Some(flow.clone()), out);
        }
        if let Some(text) = unproved {
            self.notice(ts, NoticeCode::IdentityMismatch, text, Some(flow), out);
        }
        if let Some(id) = conversation.filter(|_| ended_by_client) {
            self.conversations.end(id);
        }
    }

    /// The conversation of a decided unit; one without a session begins here, at its first message that was
    /// not turned away.
    fn conversation_of(&mut self, key: ExchangeKey, unit: &Unit, outcome: &str, ts: Timestamp, out: Out<'_>) -> Option<u64> {
        let open = self.open.get(&key)?;
        if open.conversation.is_some() {
            return open.conversation;
        }
        let spoke = !unit.told.methods.is_empty() || unit.replied;
        if !spoke || !matches!(outcome, "answered" | "unseen") {
            return None;
        }
        let request = open.request.as_deref();
        let (host, path) = request.map_or_else(Default::default, |r| (r.host.clone(), r.path().normal.clone()));
        let client = open.flow.client.ip();
        let anonymous = Key::Anonymous(client, open.flow.server, host, path);
        if unit.told.methods.contains("initialize") {
            let before = self.conversations.find(&anonymous).filter(|id| self.conversations.get(*id).is_some_and(|c| c.initialized));
            if let Some(id) = before {
                self.end_conversation(id, out);
            }
        }
        // A probe that was refused begins nothing.
        let refused = !unit.calls.is_empty() && unit.calls.iter().all(|c| c.answer.is_some_and(|a| a.is_error));
        if refused { self.conversations.find(&anonymous) } else { Some(self.conversations.enter(anonymous, client, ts)) }
    }

    fn conversation_learns(&mut self, (id, flow): (Option<u64>, u64), server: Option<ServerKey>, unit: &Unit, made: &record::Detection, ts: Timestamp) {
        let Some(c) = id.and_then(|id| self.conversations.touch(id, ts)) else { return };
        c.told.join(&unit.told);
        c.detections += 1;
        c.initialized |= unit.told.methods.contains("initialize");
        if c.flows.len() < MAX_FLOWS {
            c.flows.insert(flow);
        }
        c.first = c.first.min(unit.ts);
        c.confidence = c.confidence.max(Some(made.confidence));
        c.proved |= made.confidence == Confidence::Confirmed && !matches!(c.key, crate::conversation::Key::Anonymous(..));
        c.classification = made.classification;
        c.header_mismatch |= made.mcp.header_mismatch;
        if c.transport == "unknown" {
            c.transport = transport_word(&made.mcp.transport);
        }
        if made.mcp.auth.kind != "none" {
            c.auth = made.mcp.auth.clone();
        }
        if c.server.is_none() {
            c.server = server;
        }
    }

    /// Tells the server's entry what was learnt; gives what is novel.
    fn server(&mut self, key: &ServerKey, unit: &Unit, made: &record::Detection, ts: Timestamp, out: Out<'_>) -> Vec<String> {
        let client = made.flow.client.ip.clone();
        let sensor = self.options.sensor.clone();
        let known = self.servers.all.contains_key(key);
        if !known && self.servers.all.len() >= MAX_SERVERS {
            *self.totals.limits.entry("servers".into()).or_default() += 1;
            self.notice(self.now, NoticeCode::LimitMet, format!("more than {MAX_SERVERS} servers; a further one has detections only"), None, out);
            return Vec::new();
        }
        let server = self.servers.all.entry(key.clone()).or_insert_with(|| Server {
            told: Told::default(),
            transports: std::collections::BTreeSet::new(),
            clients: std::collections::BTreeSet::new(),
            client_count: 0,
            calls: 0,
            auth: made.mcp.auth.clone(),
            outcome: "unseen",
            first: unit.ts,
            last: ts,
            confidence: made.confidence,
            classification: made.classification,
            why: String::new(),
            header_mismatch: false,
        });
        let mut novel = Vec::new();
        let mut changes = Vec::new();
        if !known {
            novel.push("server".to_owned());
            changes.push(Change::New);
        }
        if !server.clients.contains(&client) {
            novel.push("client".to_owned());
            server.client_count += 1;
            if server.clients.len() < MAX_CLIENTS {
                server.clients.insert(client);
            }
            if known {
                changes.push(Change::Client);
            }
        }
        if unit.told.tools.iter().any(|t| !server.told.tools.contains(t)) {
            novel.push("tool".to_owned());
        }
        let listed = &unit.told.tools_listed;
        if known && !listed.is_empty() && !server.told.tools_listed.is_empty() && !listed.is_subset(&server.told.tools_listed) {
            changes.push(Change::Tools);
        }
        let auth = &made.mcp.auth.kind;
        if auth != "none" && *auth != server.auth.kind {
            server.auth = made.mcp.auth.clone();
            if known {
                changes.push(Change::Auth);
            }
        }
        server.told.join(&unit.told);
        server.transports.insert(transport_word(&made.mcp.transport));
        server.calls += unit.calls.len() as u64;
        if rank(made.mcp.outcome.as_str()) > rank(server.outcome) || server.why.is_empty() {
            server.outcome = outcome_word(&made.mcp.outcome);
        }
        server.first = server.first.min(unit.ts);
        server.last = server.last.max(ts);
        server.header_mismatch |= made.mcp.header_mismatch;
        if made.confidence > server.confidence || server.why.is_empty() {
            server.why = made.signals.first().map(|s| s.id.clone()).unwrap_or_default();
            server.confidence = made.confidence;
            server.classification = made.classification;
        }
        let server = server.clone();
        for change in changes {
            let record = servers::record(key, &server, change, ts, &sensor);
            self.emit(Record::Server(Box::new(record)), out);
        }
        novel
    }

    fn end_conversation(&mut self, id: u64, out: Out<'_>) {
        let Some(conversation) = self.conversations.remove(id) else { return };
        if let Some(record) = detection::session(&self.options, conversation, self.now) {
            self.emit(Record::Session(Box::new(record)), out);
        }
    }
}

/// An extra unit is judged by its own messages; what the first exchange looked like says nothing of it.
fn context(open: &Open, unit: &Unit) -> detect::Context {
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

fn answered(unit: &mut Unit, seen: &MessageSeen, on: &str, place: Place, method: &str, strong: bool) {
    unit.told.message(seen, Some(method));
    unit.replied |= seen.dir == Direction::ToClient;
    unit.last = unit.last.max(place);
    unit.message_signal(seen, on);
    let shows = matches!(seen.verdict, Verdict::Proof(_) | Verdict::Strong(_));
    if strong && shows {
        unit.structure("mcp.proof.answered", on, Weight::Proof, &seen.message.evidence.excerpt, seen.message.evidence.offset);
    }
}

/// A version counts as in use where the server went along with it.
fn settle_versions(unit: &mut Unit, open: &Open, outcome: &str) {
    let named = open.request.as_deref().and_then(|r| r.facts.protocol_version.clone());
    let refused = !unit.calls.is_empty() && unit.calls.iter().all(|c| c.answer.is_some_and(|a| a.is_error));
    let accepted = outcome == "answered" && !refused;
    let told = &mut unit.told;
    let initialize = told.methods.contains("initialize");
    if accepted && !initialize {
        let offers = std::mem::take(&mut told.offers);
        offers.iter().chain(&named).for_each(|v| crate::unit::keep(&mut told.versions, v));
    } else if let Some(named) = named {
        crate::unit::keep(&mut told.offers, &named);
    }
    if !accepted {
        let tried = std::mem::take(&mut told.versions);
        tried.iter().for_each(|v| crate::unit::keep(&mut told.offers, v));
    }
}

impl Unit {
    fn last_ts(&self) -> Timestamp {
        self.calls.iter().filter_map(|c| c.answer.map(|a| a.ts)).max().unwrap_or(self.ts)
    }
}

/// What identifies the server of an exchange; `None` where the exchange only speaks about one.
fn server_key(open: &Open, conversation: Option<&crate::conversation::Conversation>, servers: &Servers) -> Option<ServerKey> {
    if let Some(server) = conversation.and_then(|c| c.server.clone()) {
        return Some(server);
    }
    let ip = open.flow.server.ip().to_string();
    let port = open.flow.server.port();
    let Some(request) = open.request.as_deref() else {
        return servers.only_at(&ip, port).or(Some(ServerKey { host: ip.clone(), ip, port, path: String::new() }));
    };
    let host = if request.host.is_empty() { ip.clone() } else { request.host.clone() };
    let path = request.path();
    let plain = |p: &str| p.split(['?', '#']).next().unwrap_or("").to_owned();
    let about = path.well_known.is_some() || request.facts.resource.is_some() || open.primary.told.methods.is_empty() && is_oauth_path(&path.normal);
    if !about {
        return Some(ServerKey { host, ip, port, path: plain(&path.clean) });
    }
    if let Some((named, path)) = open.resource.as_deref().and_then(split_url) {
        if named == host {
            return Some(ServerKey { host, ip, port, path: plain(path) });
        }
    }
    servers.only_at(&ip, port)
}

fn is_oauth_path(path: &str) -> bool {
    ["/register", "/authorize", "/token"].iter().any(|p| path.ends_with(p))
}

/// Host and path of a URL.
fn split_url(url: &str) -> Option<(String, &str)> {
    let (_, rest) = url.split_once("://")?;
    let at = rest.find('/').unwrap_or(rest.len());
    let (authority, path) = rest.split_at(at);
    Some((detect::hosts::normal_host(authority).into_owned(), path))
}

fn transport_word(word: &str) -> &'static str {
    match word {
        "streamable_http" => "streamable_http",
        "http_sse" => "http_sse",
        "websocket" => "websocket",
        _ => "unknown",
    }
}

fn outcome_word(word: &str) -> &'static str {
    match word {
        "answered" => "answered",
        "challenged" => "challenged",
        _ => "unseen",
    }
}

fn rank(outcome: &str) -> u8 {
    match outcome {
        "answered" => 2,
        "challenged" => 1,
        _ => 0,
    }
}

/// Names an exchange.
impl Correlator {
    /// Whether an exchange is still open; for tests of limits.
    #[doc(hidden)]
    pub fn is_open(&self, flow: u64, id: ExchangeId) -> bool {
        self.open.contains_key(&(flow, id.0))
    }
}

/// Signals strongest first, then by id: the order of a record.
pub(crate) fn ordered(signals: &[Signal]) -> Vec<Signal> {
    let mut signals = signals.to_vec();
    signals.sort_by(|a, b| b.weight.cmp(&a.weight).then_with(|| a.kind.cmp(&b.kind).reverse()).then_with(|| a.id.cmp(&b.id)).then_with(|| a.on.cmp(&b.on)));
    signals
}
