//! Decisions: a unit becomes a detection, and its server and conversation learn from it.

use crate::conversation::{Key, MAX_FLOWS};
use crate::correlator::{Correlator, Out};
use crate::detection;
use crate::proxy::action_of;
use crate::record::{self, Change, NoticeCode, Record, ServerKey};
use crate::servers::{self, MAX_CLIENTS, Server, Servers};
use crate::trace::assess;
use crate::unit::{ExchangeKey, Open, Told, Unit};
use detect::{Assessment, Classification, Classified, Confidence, ContactKind, Seen, Signal, classify};
use net::Timestamp;

impl Correlator {
    /// Assesses a unit, and writes its detection if it is one.
    pub(crate) fn decide(&mut self, key: ExchangeKey, seq: u32, out: Out<'_>) {
        let Some(open) = self.open.get_mut(&key) else { return };
        // What was stopped is written, whatever it is.
        let acted = open.acted.take_if(|(of, _)| *of == seq).map(|(_, acted)| acted);
        let primary = Some(&open.primary).filter(|unit| unit.seq == seq && acted.is_none());
        if let Some((Assessment::Mcp(confidence), Some(trace))) = primary.map(|unit| assess(open, unit)) {
            self.decide_trace(key, (trace, confidence), out);
            return;
        }
        // What was stopped of a trace of MCP stays one.
        let traced = (acted.is_some() && seq == open.primary.seq).then(|| assess(open, &open.primary).1).flatten();
        let context = {
            let Some(unit) = open.unit(seq) else { return };
            for (limit, n) in [
                ("calls_per_detection", &mut unit.calls_not_kept),
                ("answers_per_detection", &mut unit.answers_not_kept),
                ("signals_per_detection", &mut unit.signals.not_kept),
                ("names_per_detection", &mut unit.told.not_kept),
            ] {
                self.totals.met(limit, std::mem::take(n));
            }
            if seq == open.primary.seq { open.around().context() } else { detect::Context::default() }
        };
        let Some(unit) = open.unit(seq) else { return };
        let assessment = Assessment::of(&unit.signals, &context);
        let by_itself = matches!(assessment, Assessment::Mcp(_));
        let (confidence, look_alike) = match (assessment, &acted) {
            (Assessment::Mcp(confidence), None) => (confidence, None),
            (Assessment::Mcp(confidence), Some(acted)) => (confidence.max(acted.confidence), None),
            (_, Some(acted)) => (acted.confidence, None),
            (Assessment::LookAlike(what), None) => {
                if unit.written.is_none() {
                    *self.totals.look_alikes.entry(what.word().to_owned()).or_default() += 1;
                }
                unit.written = Some(Confidence::Possible);
                if !self.options.look_alikes {
                    return;
                }
                (Confidence::Possible, Some(what))
            }
            (Assessment::Nothing, None) => return,
        };
        unit.written = Some(confidence);
        unit.writes += 1;
        let listed = unit.take_listed();
        let mut unit = unit.clone();
        let stopped = acted.as_deref().is_some_and(|acted| acted.taken.stops());
        let outcome = if stopped { "blocked" } else { open.outcome(&unit) };
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
        let asked_for = open.request.as_deref().map(|r| &r.host).or(open.contact.as_deref().map(|c| &c.host));
        let asked_for = asked_for.map(String::as_str).filter(|h| !h.is_empty());
        let (asked, host) = (asked_for.is_some(), asked_for.unwrap_or(&address));
        let seen = Seen {
            host,
            ip: server_ip,
            port: open.flow.server.port(),
            path: seen_path,
            resolved: self.names.says(host, server_ip) || open.proxy().is_some_and(|proxy| proxy.verified),
        };
        let resolved = seen.resolved;
        let mut classified = classify(&self.options.generation.scope, client_ip, &seen, confidence);
        // A step of an authorisation is what the server means that it is for.
        let authorized = open.authorization.as_deref().filter(|_| seq == open.primary.seq);
        if let Some(found) = authorized {
            let means = found.classification(&self.options.generation.scope, open.client(), confidence);
            classified = Classified { classification: means, name_unproved: false };
        }
        let resource = authorized.map(|found| split_url(found.resource()).map_or(String::new(), |(host, _)| host));
        if let Some(acted) = &acted {
            classified.classification = acted.classification;
        }
        if look_alike.is_some() {
            classified.classification = Classification::LookAlike;
        }
        let classification = classified.classification;
        if let Some(signal) = self.options.generation.imitation(classification, resource.as_deref().unwrap_or(host)) {
            unit.signals.add(signal);
        }
        for signal in unit.signals.iter().filter(|s| s.kind == detect::SignalKind::Structure) {
            *self.totals.signals.entry(signal.id.clone()).or_default() += 1;
        }
        let done = acted.as_ref().map(|acted| acted.taken).filter(|taken| taken.stops());
        let done = done.map(|taken| format!("/{}", taken.word())).unwrap_or_default();
        let counted = format!("{}/{}{done}", classification.word(), confidence.word());
        *self.totals.detections.entry(counted).or_default() += 1;
        let unproved = classified.name_unproved.then(|| format!("{host} is the name of a portal or approved server, but nothing beyond the name says that {server_ip} is it"));
        let mismatch = unit.mismatch.then(|| "an Mcp-* header contradicts the body".to_owned());
        let (contact, inside) = (open.contact.clone(), open.inside().map(|tls| tls.sni.clone()));
        let question = contact.as_deref().is_some_and(|c| c.kind == ContactKind::Dns);
        // Another server may be meant by the same connection in HTTP/2 and later; what MCP is told must agree.
        let other = |sni: &str| asked && !sni.is_empty() && detect::hosts::normal_host(sni) != host;
        let inner = inside.filter(|sni| look_alike.is_none() && other(sni));
        let inner = inner.map(|sni| format!("TLS was set up for {sni}, but inside of it {host} was asked for"));
        // What could not be inspected says nothing of the server.
        let judged = by_itself || acted.as_deref().is_none_or(|acted| acted.cause == "policy");
        let makes_server = look_alike.is_none()
            && traced.is_none()
            && !open.is_for_resource()
            && outcome != "refused"
            && !question
            && judged;
        if let Some(server) = server.as_ref().filter(|_| self.options.generation.rules.policies().needs().tool_classes)
        {
            self.catalogues.look_up((server, classification), &mut unit);
        }
        let desk = detection::Desk { options: &self.options, who: &self.who, now: self.now };
        let mut made = detection::build(desk, open, &unit, known, outcome, confidence, classification, look_alike);
        if let Some(acted) = &acted {
            made.action = action_of(acted);
            made.category = traced.map(|trace| trace.word().to_owned());
        }
        self.totals.met("payloads_per_detection", made.limits.payloads_left_out);
        let (ids, client) = ((conversation, key.0), open.client());
        if let Some(server) = server.filter(|_| makes_server) {
            if let Some(open) = self.open.get_mut(&key) {
                open.server = Some(server.clone());
            }
            let lists = self.offered((&server, classification), client, &listed);
            made.novel = self.server(&server, &unit, &made, (ts, !lists.is_empty()), out);
            self.tell_lists(&server, lists, ts, out);
            if let Some(server) = self.servers.all.get_mut(&server) {
                server.resolved |= resolved;
            }
            self.conversation_learns(ids, Some(server), &unit, &made, ts);
        } else if look_alike.is_none() {
            self.conversation_learns(ids, None, &unit, &made, ts);
        }
        if look_alike.is_none() && !stopped {
            self.authorization_learns(key, ts, out);
        }
        let ended_by_client = made.http.as_ref().is_some_and(|h| h.method == "DELETE") && outcome == "answered";
        let unproved = unproved.filter(|_| !question);
        let told_of = mismatch.is_some() || unproved.is_some() || inner.is_some() || contact.is_some();
        let flow = told_of.then(|| made.flow.clone());
        self.emit(Record::Detection(Box::new(made)), out);
        if let Some(text) = mismatch {
            self.notice(ts, NoticeCode::HeaderMismatch, text, flow.clone(), out);
        }
        for text in [unproved, inner].into_iter().flatten() {
            self.notice(ts, NoticeCode::IdentityMismatch, text, flow.clone(), out);
        }
        if let Some((contact, flow)) = contact.zip(flow) {
            self.contradictions(&contact, ts, &flow, out);
        }
        if let Some(id) = conversation.filter(|_| ended_by_client) {
            self.conversations.end(id);
        }
    }

    /// The conversation of a decided unit; one without a session begins here, at its first message that was
    /// not turned away.
    pub(crate) fn conversation_of(
        &mut self,
        key: ExchangeKey,
        unit: &Unit,
        outcome: &str,
        ts: Timestamp,
        out: Out<'_>,
    ) -> Option<u64> {
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
        let client = open.client();
        let anonymous = Key::Anonymous(client, open.flow.server, host, path);
        if unit.told.methods.contains("initialize") {
            let before = self
                .conversations
                .find(&anonymous)
                .filter(|id| self.conversations.get(*id).is_some_and(|c| c.initialized));
            if let Some(id) = before {
                self.end_conversation(id, out);
            }
        }
        // A probe that was refused begins nothing.
        let refused = !unit.calls.is_empty() && unit.calls.iter().all(|c| c.answer.is_some_and(|a| a.is_error));
        if refused {
            self.conversations.find(&anonymous)
        } else {
            Some(self.conversations.enter(anonymous, client, ts))
        }
    }

    pub(crate) fn conversation_learns(
        &mut self,
        (id, flow): (Option<u64>, u64),
        server: Option<ServerKey>,
        unit: &Unit,
        made: &record::Detection,
        ts: Timestamp,
    ) {
        let Some(c) = id.and_then(|id| self.conversations.touch(id, ts)) else { return };
        self.totals.met("names_per_session", c.told.join(&unit.told));
        c.detections += 1;
        c.initialized |= unit.told.methods.contains("initialize");
        if c.flows.len() < MAX_FLOWS {
            c.flows.insert(flow);
        } else if !c.flows.contains(&flow) {
            self.totals.met("flows_per_session", 1);
        }
        c.first = c.first.min(unit.ts);
        c.confidence = c.confidence.max(Some(made.confidence));
        c.proved |=
            made.confidence == Confidence::Confirmed && !matches!(c.key, crate::conversation::Key::Anonymous(..));
        c.classification = made.classification;
        if let Some(name) = made.flow.client.name.clone().zip(made.flow.client.name_from) {
            c.client_name = Some(name);
        }
        if made.user.is_some() {
            c.user.clone_from(&made.user);
        }
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

    /// Tells the server's entry what was learnt; gives what is novel. `told` says that its list of tools is told of apart.
    pub(crate) fn server(
        &mut self,
        key: &ServerKey,
        unit: &Unit,
        made: &record::Detection,
        (ts, told): (Timestamp, bool),
        out: Out<'_>,
    ) -> Vec<String> {
        let end = &made.flow.client;
        let client = end.forwarded_for.as_ref().unwrap_or(&end.ip).clone();
        let sensor = self.options.sensor.clone();
        let known = self.servers.all.contains_key(key);
        let limit = self.options.limits.servers;
        if !known && !self.servers.has_room(limit) && self.servers.is_time(self.now, Servers::PRESSED_LOOK) {
            self.forget_servers(Servers::PRESSED_LIFE, out);
        }
        if !known && !self.servers.has_room(limit) {
            self.totals.met("servers", 1);
            let text = format!("the servers weigh {limit} bytes; a further one has detections only");
            self.notice(self.now, NoticeCode::LimitMet, text, None, out);
            return Vec::new();
        }
        if !known {
            self.servers.place(key);
        }
        let learns = self.servers.may_learn(limit);
        let server = self.servers.all.entry(key.clone()).or_insert_with(|| {
            Box::new(Server {
                told: Told::default(),
                transports: std::collections::BTreeSet::new(),
                clients: std::collections::BTreeSet::new(),
                client_names: std::collections::BTreeMap::new(),
                client_count: 0,
                calls: 0,
                auth: made.mcp.auth.clone(),
                oauth: None,
                outcome: "unseen",
                first: unit.ts,
                last: ts,
                confidence: made.confidence,
                classification: made.classification,
                why: String::new(),
                header_mismatch: false,
                resolved: false,
                charged: 0,
            })
        });
        let mut novel = Vec::new();
        let mut changes = Vec::new();
        if !known {
            novel.push("server".to_owned());
            changes.push(Change::New);
        }
        if !server.clients.contains(&client) {
            if server.clients.len() < MAX_CLIENTS && (learns || !known) {
                novel.push("client".to_owned());
                server.client_count += 1;
                server.clients.insert(client.clone());
                if known {
                    changes.push(Change::Client);
                }
            } else {
                // Whether it is new can no longer be told.
                self.totals.met("clients_per_server", 1);
            }
        }
        if let Some(name) = end.name.as_ref().filter(|_| server.clients.contains(&client)) {
            server.call(&client, name);
        }
        // What is not joined would be new each time.
        if learns && unit.told.tools.iter().any(|t| !server.told.tools.contains(t)) {
            novel.push("tool".to_owned());
            // A replay says it at the end; who looks on wants to know now.
            if known && self.options.live {
                changes.push(Change::Tools);
            }
        }
        let listed = &unit.told.tools_listed;
        if learns && known && !listed.is_subset(&server.told.tools_listed) && !changes.contains(&Change::Tools) {
            changes.push(Change::Tools);
        }
        let auth = &made.mcp.auth.kind;
        if auth != "none" && *auth != server.auth.kind {
            server.auth = made.mcp.auth.clone();
            if known {
                changes.push(Change::Auth);
            }
        }
        if learns {
            self.totals.met("names_per_server", server.told.join(&unit.told));
        } else {
            self.totals.met("server_facts", 1);
        }
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
        let records: Vec<_> = changes
            .into_iter()
            .filter(|change| !(told && *change == Change::Tools))
            .map(|change| {
                let only = Some(client.as_str()).filter(|_| change == Change::Client);
                let catalogue = self.catalogues.record(key, server.classification);
                record::ServerRecord { catalogue, ..servers::record(key, server, change, only, ts, &sensor) }
            })
            .collect();
        for record in records {
            self.emit(Record::Server(Box::new(record)), out);
        }
        self.servers.weigh(key);
        novel
    }
}

/// The era by what marks it, and the versions: one counts as in use where the server went along with it.
fn settle_versions(unit: &mut Unit, open: &Open, outcome: &str) {
    let named = open.request.as_deref().and_then(|r| r.facts.protocol_version.clone());
    let refused = !unit.calls.is_empty() && unit.calls.iter().all(|c| c.answer.is_some_and(|a| a.is_error));
    let accepted = outcome == "answered" && !refused;
    let told = &mut unit.told;
    let session = open.request.as_deref().is_some_and(|r| r.facts.session.is_some())
        || open.response.as_deref().is_some_and(|r| r.facts.session.is_some());
    told.session_era |= session;
    told.stateless |= !told.session_era && open.request.as_deref().is_some_and(|r| r.facts.mcp_method.is_some());
    let initialize = told.methods.contains("initialize");
    if accepted && !initialize {
        told.accept_offers();
        if let Some(named) = named {
            told.keep(|t| &mut t.versions, &named);
        }
    } else if let Some(named) = named {
        told.keep(|t| &mut t.offers, &named);
    }
    if !accepted {
        told.reject_versions();
    }
}

impl Unit {
    fn last_ts(&self) -> Timestamp {
        self.calls.iter().filter_map(|c| c.answer.map(|a| a.ts)).max().unwrap_or(self.ts)
    }
}

/// What identifies the server of an exchange; `None` where the exchange only speaks about one.
pub(crate) fn server_key(
    open: &Open,
    conversation: Option<&crate::conversation::Conversation>,
    servers: &Servers,
) -> Option<ServerKey> {
    if let Some(server) = conversation.and_then(|c| c.server.clone()) {
        return Some(server);
    }
    let ip = open.flow.server.ip().to_string();
    let mut port = open.flow.server.port();
    if let Some(contact) = open.contact.as_deref() {
        let through = contact.via_connect.as_deref().and_then(|via| via.rsplit_once(':')?.1.parse().ok());
        let host = if contact.host.is_empty() { ip.clone() } else { contact.host.clone() };
        return Some(ServerKey { host, ip, port: through.unwrap_or(port), path: String::new() });
    }
    let Some(request) = open.request.as_deref() else {
        return servers.only_at(&ip, port).or(Some(ServerKey { host: ip.clone(), ip, port, path: String::new() }));
    };
    // Through a proxy the name and port of the target are the server's, not the connection's.
    if request.proxied {
        port = request.authority.rsplit_once(':').and_then(|(_, p)| p.parse().ok()).unwrap_or(port);
    }
    let host = if request.host.is_empty() { ip.clone() } else { request.host.clone() };
    let path = request.path();
    let plain = |p: &str| p.split(['?', '#']).next().unwrap_or("").to_owned();
    let about = path.well_known.is_some()
        || request.facts.resource.is_some()
        || open.primary.told.methods.is_empty() && is_oauth_path(&path.normal);
    if !about {
        return Some(ServerKey { host, ip, port, path: plain(&path.clean) });
    }
    if let Some((named, path)) = open.resource.as_deref().and_then(split_url)
        && named == host
    {
        return Some(ServerKey { host, ip, port, path: plain(path) });
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
        "blocked" => "blocked",
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

/// Signals strongest first, facts before patterns, our own packs before others: the order of a record.
pub(crate) fn ordered(signals: &[Signal]) -> Vec<Signal> {
    let mut signals = signals.to_vec();
    signals.sort_by(|a, b| {
        b.weight
            .cmp(&a.weight)
            .then_with(|| a.kind.cmp(&b.kind).reverse())
            .then_with(|| a.id.starts_with("mcp.").cmp(&b.id.starts_with("mcp.")).reverse())
            .then_with(|| a.id.cmp(&b.id))
            .then_with(|| a.on.cmp(&b.on))
    });
    signals
}
