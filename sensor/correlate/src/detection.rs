//! Builds the records of detections and sessions from what was gathered.

use crate::Options;
use crate::conversation::Conversation;
use crate::decide::ordered;
use crate::proxy::user_of;
use crate::record::{
    ActionRecord, Auth, Call, Detection, Endpoint, Flow, Http, Jwt, LimitsMet, Mcp, SCHEMA, SessionRecord, Source, Tls,
    User,
};
use crate::ruling::{Found, decision, expired, inner_tools, profiles};
use crate::servers::mcp_of;
use crate::unit::{CallState, Open, Unit};
use crate::who::Who;
use detect::{Action, Classification, Confidence, ContactKind, FlowFacts};
use mcp::LookAlike;
use net::{Direction, FiveTuple, Timestamp, Transport, Tunnel};
use proto::EndKind;
use sha2::{Digest, Sha256};
use std::net::{IpAddr, SocketAddr};

/// `sha256:` and the first 16 bytes in hex: enough to tell sessions apart.
pub(crate) fn short_hash(hash: &[u8; 32]) -> String {
    let mut text = "sha256:".to_owned();
    hex(&mut text, hash.get(..16).unwrap_or(hash));
    text
}

pub(crate) fn hex(text: &mut String, bytes: &[u8]) {
    text.reserve(2 * bytes.len());
    for byte in bytes {
        for digit in [byte >> 4, byte & 15] {
            text.extend(char::from_digit(digit.into(), 16));
        }
    }
}

/// An id derived from content: the same traffic gives the same one.
pub(crate) fn id(parts: &[&[u8]]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let mut text = String::new();
    hex(&mut text, hash.finalize().get(..12).unwrap_or(&[]));
    text
}

fn mac_text(mac: [u8; 6]) -> String {
    let mut text = String::with_capacity(17);
    for byte in mac {
        if !text.is_empty() {
            text.push(':');
        }
        hex(&mut text, &[byte]);
    }
    text
}

/// What records are made with, beside what they tell of.
#[derive(Clone, Copy)]
pub(crate) struct Desk<'c> {
    pub(crate) options: &'c Options,
    pub(crate) who: &'c Who,
    pub(crate) now: Timestamp,
}

impl Desk<'_> {
    /// The flow part of a record, and who sits at its client. `asks_for` is the client that the flow's client asks for.
    pub(crate) fn flow(&self, facts: &FlowFacts, asks_for: Option<IpAddr>, missed: u64) -> (Flow, Option<User>) {
        let mut flow = flow(self.options, facts, missed);
        let names = &self.options.generation.scope.names;
        let mut client = self.who.client(names, facts.client.ip(), facts.sender, self.now);
        flow.client.mac = client.mac.map(mac_text);
        if let Some(ip) = asks_for {
            client = self.who.client(names, ip, None, self.now);
            flow.client.forwarded_for = Some(ip.to_string());
        }
        (flow.client.name, flow.client.name_from) = client.name.unzip();
        // Who showed a password at the proxy is known better than who an address belongs to.
        (flow, facts.proxy.as_deref().and_then(user_of).or(client.user))
    }
}

fn endpoint(addr: SocketAddr) -> Endpoint {
    Endpoint { ip: addr.ip().to_string(), port: addr.port(), ..Endpoint::default() }
}

/// The flow part of a record, without what is known of its client beside address and port.
fn flow(options: &Options, facts: &FlowFacts, missed: u64) -> Flow {
    let (src, dst) = (facts.client, facts.server);
    let tuple = FiveTuple { src: src.into(), dst: dst.into(), transport: facts.transport, tunnel: Tunnel::NONE };
    let transport = if facts.transport == Transport::Udp { "udp" } else { "tcp" };
    Flow {
        community_id: net::community_id(&tuple, 0),
        transport: transport.to_owned(),
        direction: detect::direction(&options.generation.scope, facts.client.ip(), facts.server.ip()).to_owned(),
        client: endpoint(facts.client),
        server: endpoint(facts.server),
        vlan: facts.vlan.iter().flatten().copied().collect(),
        tunnel: facts.tunnel.clone(),
        missed_bytes: missed,
        midstream: facts.midstream,
    }
}

/// A JSON-RPC id as records have it.
pub(crate) fn id_text(id: &mcp::Id) -> String {
    match id {
        mcp::Id::Number(n) => n.clone(),
        mcp::Id::Text(t) if mcp::looks_secret(t) => "…".to_owned(),
        mcp::Id::Text(t) => t.get(..t.floor_char_boundary(mcp::MAX_TEXT)).unwrap_or_default().to_owned(),
        mcp::Id::Null => "null".to_owned(),
    }
}

fn call(unit: &Unit, call: &CallState) -> Call {
    let class = call.name.as_ref().and_then(|name| unit.classes.get(name));
    let arguments = call.arguments.as_ref();
    Call {
        rpc_id: call.id.as_ref().map(id_text),
        method: call.method.clone(),
        name: call.name.clone(),
        arguments: arguments.map(|a| a.masked.clone()),
        arguments_bytes: arguments.map(|a| a.bytes),
        arguments_sha256: arguments.map(|a| {
            let mut text = String::new();
            hex(&mut text, &a.sha256);
            text
        }),
        result_bytes: call.answer.map(|a| a.bytes),
        is_error: call.answer.map(|a| a.is_error),
        tool_class: class.filter(|_| call.method == "tools/call").map(|class| class.word().to_owned()),
        duration_ms: call.answer.map(|a| u64::try_from(a.ts.since(call.ts) / 1_000_000).unwrap_or(0)),
    }
}

fn auth(open: &Open) -> Auth {
    let Some(auth) = open.request.as_deref().map(|r| &r.facts.auth) else {
        return Auth { kind: "none".to_owned(), jwt: None };
    };
    let jwt = auth.claims.as_ref().map(|j| Jwt { iss: j.iss.clone(), sub: j.sub.clone(), aud: j.aud.clone() });
    Auth { kind: auth.kind.word().to_owned(), jwt }
}

fn transport(open: &Open, conversation: Option<&Conversation>, unit: &Unit) -> &'static str {
    if open.websocket || open.request.as_deref().is_some_and(|r| r.facts.ws_subprotocol_mcp) {
        return "websocket";
    }
    if open.http_sse {
        return "http_sse";
    }
    let request = open.request.as_deref();
    let marked = |session: bool, version: bool| session || version;
    let by_head = request.is_some_and(|r| {
        let f = &r.facts;
        marked(f.session.is_some(), f.protocol_version.is_some())
            || f.mcp_method.is_some()
            || (f.accepts_json && f.accepts_sse && r.method == "POST")
    }) || open
        .response
        .as_deref()
        .is_some_and(|r| marked(r.facts.session.is_some(), r.facts.protocol_version.is_some()));
    let post = request.is_some_and(|r| r.method == "POST");
    let answered_here = post && unit.calls.iter().any(|c| c.answer.is_some());
    if by_head || answered_here {
        return "streamable_http";
    }
    let asks_sse =
        request.is_some_and(|r| r.method == "GET" && r.facts.path.telltale.is_some_and(|t| t.ends_with("/sse")));
    if asks_sse || request.is_some_and(|r| r.facts.path.session_query.is_some()) {
        return "http_sse";
    }
    conversation.map_or("unknown", |c| c.transport)
}

/// How it could be seen.
fn visibility(open: &Open) -> &'static str {
    match open.contact.as_deref().map(|c| c.kind) {
        Some(ContactKind::Tls) => "tls_metadata",
        Some(ContactKind::Quic) => "quic_metadata",
        Some(ContactKind::Dns) => "dns",
        None if open.inside().is_some() => "keylog",
        None if open.proxy().is_some_and(|proxy| proxy.tls.is_some()) => "intercepted",
        None => "cleartext",
    }
}

/// What is told of the handshake.
fn tls(open: &Open) -> Option<Tls> {
    let contact = open.contact.as_deref();
    let seen = match contact {
        Some(contact) if contact.kind == ContactKind::Dns => return None,
        Some(contact) => &contact.tls,
        None => open.inside().or(open.proxy().and_then(|proxy| proxy.tls.as_ref()))?,
    };
    Some(Tls {
        sni: seen.sni.clone(),
        alpn: seen.alpn.clone(),
        version: seen.version.to_owned(),
        ja4: seen.ja4.clone(),
        ech: seen.ech,
        certificate: contact.map(|c| c.certificate.clone()).unwrap_or_default(),
    })
}

fn stage(open: &Open, unit: &Unit) -> &'static str {
    match () {
        () if open.contact.is_some() => "connect",
        () if unit.calls.is_empty() => "request",
        () => "message",
    }
}

/// The record of one decided unit.
#[allow(clippy::too_many_arguments, reason = "one call, each argument one decided fact")]
pub(crate) fn build(
    desk: Desk<'_>,
    open: &Open,
    unit: &Unit,
    conversation: Option<&Conversation>,
    outcome: &str,
    confidence: Confidence,
    classification: Classification,
    look_alike: Option<LookAlike>,
) -> Detection {
    let options = desk.options;
    let (flow, user) = desk.flow(&open.flow, open.asks_for, open.missed);
    let signals = ordered(&unit.signals);
    let severity = options.generation.severity(classification, confidence, &signals);
    let mut mcp = said(open, unit, conversation, outcome);
    mcp.header_mismatch = unit.mismatch;
    let http = http(open);
    let sealed = open.contact.as_deref().and_then(|c| match c.kind {
        ContactKind::Tls => Some("tls"),
        ContactKind::Quic => Some("quic"),
        ContactKind::Dns => None,
    });
    let undecoded = open.ended.iter().flatten().find_map(|e| e.undecoded).or(sealed);
    let last =
        if unit.last.file == unit.first.file { unit.last.in_file.max(unit.first.in_file) } else { unit.first.in_file };
    // The same addresses in another tunnel are another flow.
    let of_flow = flow.tunnel.iter().fold(flow.community_id.clone(), |id, tunnel| id + " " + tunnel);
    let id = id(&[
        of_flow.as_bytes(),
        &unit.ts.0.to_be_bytes(),
        &open.number.to_be_bytes(),
        &unit.seq.to_be_bytes(),
        &unit.writes.to_be_bytes(),
    ]);
    mcp.inner_tools = inner_tools(unit);
    mcp.inner_tools_incomplete = unit.contents().any(|content| content.inner_incomplete);
    let found = Found { mcp: &mcp, user: user.as_ref(), signals: &signals, confidence, classification, severity };
    let (decision, logged) = decision(options, open, unit, &found);
    // What was done our proxy tells apart: it did not know yet, or was not asked to hold it.
    let late = open.proxy().is_some() && decision.stops() && unit.calls.iter().all(|c| c.dir == Direction::ToServer);
    let action = ActionRecord {
        decided: decision.action,
        taken: if options.passive || open.proxy().is_some() { Action::Log } else { Action::None },
        stage: stage(open, unit).to_owned(),
        policy: decision.policy.to_string(),
        cause: if late { "limit" } else { "policy" }.to_owned(),
        dry_run: decision.dry_run,
        delivered: late.then(|| "whole".to_owned()),
        reason: if late { Some("too_late".to_owned()) } else { decision.expired.as_ref().map(expired) },
    };
    Detection {
        schema: SCHEMA,
        ts: unit.ts,
        id,
        sensor: options.sensor.clone(),
        rules_generation: options.generation.rules.hash().to_owned(),
        source: Source {
            kind: match () {
                () if open.proxy().is_some() => "proxy",
                () if options.live => "interface",
                () => "pcap",
            }
            .to_owned(),
            name: options.files.get(usize::from(unit.first.file)).cloned().unwrap_or_default(),
            packets: if open.proxy().is_some() { [0; 2] } else { [unit.first.in_file, last] },
        },
        flow,
        user,
        category: None,
        visibility: visibility(open).to_owned(),
        tls: tls(open),
        http,
        mcp,
        novel: Vec::new(),
        signals,
        confidence,
        severity: severity.max(decision.severity),
        classification,
        dlp: profiles(options, unit),
        look_alike: look_alike.map(|l| l.word().to_owned()),
        action,
        payload: logged.payload,
        limits: LimitsMet {
            body_truncated_at: open.ended.iter().flatten().find_map(|e| e.truncated_at),
            undecoded: undecoded.map(str::to_owned),
            body_cut: body_cut(open, unit).map(str::to_owned),
            content_unread: unit.contents().any(|content| content.unread),
            messages_unjudged: Some(unit.unjudged).filter(|n| *n > 0 && options.generation.has_policies()),
            payloads_left_out: logged.left_out,
        },
    }
}

/// Which body did not come to its end; of what we stopped ourselves that is known.
fn body_cut(open: &Open, unit: &Unit) -> Option<&'static str> {
    if open.proxy().is_none() || open.acted_on(unit).is_some() {
        return None;
    }
    let [request, answer] = open.ended.map(|end| end.is_some_and(|end| end.how == EndKind::Cut));
    let answered = open.response.as_deref().is_some_and(|answer| !answer.facts.is_sse);
    match () {
        () if request => Some("request"),
        () if answer && answered => Some("answer"),
        () => None,
    }
}

fn said(open: &Open, unit: &Unit, conversation: Option<&Conversation>, outcome: &str) -> Mcp {
    let request = open.request.as_deref();
    let own = request.and_then(|r| r.facts.session).or(open.response.as_deref().and_then(|r| r.facts.session));
    let session = own.or(conversation.and_then(|c| c.session));
    let mut mcp = mcp_of(&unit.told, transport(open, conversation, unit), auth(open), outcome, false);
    if let Some(c) = conversation {
        mcp.adopt(&unit.told, &c.told);
    }
    mcp.calls = unit.calls.iter().map(|one| call(unit, one)).collect();
    mcp.session = session.as_ref().map(short_hash);
    mcp.provider_side = open.provider_side();
    mcp.supply = open.supply();
    mcp.oauth = open.oauth_record().filter(|_| unit.seq == open.primary.seq);
    mcp
}

fn http(open: &Open) -> Option<Http> {
    let request = open.request.as_deref();
    let response = open.response.as_deref();
    if request.is_none() && response.is_none() {
        return None;
    }
    let [request_bytes, response_bytes] = open.bytes;
    Some(Http {
        version: request.map(|r| r.version).or(response.map(|r| r.version)).unwrap_or("").to_owned(),
        method: request.map(|r| r.method.clone()).unwrap_or_default(),
        scheme: if tls(open).is_some() { "https" } else { request.map_or("http", |r| r.scheme) }.to_owned(),
        host: request.map(|r| r.host.clone()).unwrap_or_default(),
        path: request.map(|r| r.path().clean.clone()).unwrap_or_default(),
        status: open.status(),
        user_agent: request.and_then(|r| r.user_agent.clone()),
        request_bytes,
        response_bytes,
    })
}

/// The record of a conversation that has ended, or is `ongoing`; `None` where nothing of it was ever detected.
pub(crate) fn session(options: &Options, c: &Conversation, now: Timestamp, ongoing: bool) -> Option<SessionRecord> {
    let confidence = c.confidence.filter(|c| *c >= Confidence::Likely)?;
    let server = c.server.clone()?;
    let mut mcp = mcp_of(&c.told, c.transport, c.auth.clone(), "answered", c.header_mismatch);
    mcp.session = c.session.as_ref().map(short_hash);
    Some(SessionRecord {
        schema: SCHEMA,
        ts: if ongoing { now } else { c.last.max(c.first) },
        id: id(&[
            b"session",
            c.client.to_string().as_bytes(),
            server.host.as_bytes(),
            c.began.to_string().as_bytes(),
            &c.number.to_be_bytes(),
        ]),
        ongoing,
        sensor: options.sensor.clone(),
        client_ip: c.client.to_string(),
        client_name: c.client_name.as_ref().map(|(name, _)| name.clone()),
        client_name_from: c.client_name.as_ref().map(|(_, from)| *from),
        user: c.user.clone(),
        server,
        mcp,
        detections: c.detections,
        flows: c.flows.len() as u64,
        first_seen: c.first,
        last_seen: c.last,
        confidence,
        classification: c.classification,
    })
}
