//! What is gathered of one exchange for a verdict, and what policies say of it.

use super::conversations::{Peers, Spot};
use super::plan::{Asks, Heard, Plan};
use super::rewrite::Rewrites;
use super::ruling::{Cause, MAX_MESSAGES, Ruling, Said, Speech, Stage};
use crate::clock;
use crate::conn::Conn;
use detect::{
    Assessment, Authorization, Classification, Confidence, Content, Decision, Facet, Generation, Judge, MessageSeen,
    RequestSeen, Subject, Update,
};
use mcp::{Kind, ProviderApi};
use net::Direction;
use std::sync::Arc;

/// What is gathered for a verdict.
#[expect(clippy::struct_excessive_bools, reason = "each is one fact that has or has not been seen yet")]
pub(super) struct Case {
    pub(super) plan: Plan,
    pub(super) asks: Asks,
    pub(super) judge: Judge,
    /// Messages to the server since the last verdict.
    pub(super) said: Vec<Said>,
    pub(super) left_out: u64,
    pub(super) batch: bool,
    /// How sure the surest of them is MCP by itself: what came before on the same stream, or stands beside it in a batch,
    /// is no excuse for it.
    pub(super) shown: Option<Confidence>,
    /// A message was JSON-RPC.
    pub(super) rpc: bool,
    /// One of them begins a conversation.
    pub(super) starts: bool,
    /// Something waits for a verdict.
    pub(super) holding: bool,
    /// It was found that what is under way is no JSON; nothing more is asked of it.
    pub(super) lost: bool,
    /// It was stopped, or that was pretended.
    pub(super) done: bool,
    /// The place was remembered.
    pub(super) learned: bool,
    /// So was the session.
    pub(super) in_session: bool,
    /// The request, once it was told.
    pub(super) request: Option<Box<RequestSeen>>,
    /// What messages say, as policies ask for it; as many as `said`.
    pub(super) spoken: Vec<Spoken>,
    /// A header contradicts one of them.
    pub(super) mismatch: bool,
    pub(super) peers: Peers,
    /// The authorisation for an MCP server that it is a step of.
    pub(super) authorization: Option<Box<Authorization>>,
    /// MCP servers that the provider of a model is told to use.
    provider: Vec<String>,
    api: Option<ProviderApi>,
    pub(super) rewrites: Rewrites,
}

/// A message to the server, beside what an answer names.
pub(super) struct Spoken {
    pub(super) content: Option<Arc<Content>>,
    /// Where it begins in its text.
    pub(super) offset: u64,
}

impl Case {
    pub(super) fn new(plan: Plan, asks: Asks) -> Self {
        Self {
            plan,
            starts: asks.starts,
            asks,
            judge: Judge::default(),
            said: Vec::new(),
            left_out: 0,
            batch: false,
            shown: None,
            rpc: false,
            holding: false,
            lost: false,
            done: false,
            learned: false,
            in_session: false,
            request: None,
            spoken: Vec::new(),
            mismatch: false,
            peers: Peers::default(),
            authorization: None,
            provider: Vec::new(),
            api: None,
            rewrites: Rewrites::default(),
        }
    }

    /// Takes in news.
    pub(super) fn learn(&mut self, conn: &Conn, update: &Update) {
        self.judge.learn(update);
        if let Some(request) = update.request.as_deref() {
            self.request = Some(Box::new(request.clone()));
        }
        self.meet(update);
        if let Some(provider) = update.document.as_deref().and_then(|document| document.provider.as_deref()) {
            for url in provider.servers.iter().filter_map(|server| server.url.as_ref()) {
                if !self.provider.contains(url) && self.provider.len() < mcp::MAX_PROVIDER_SERVERS {
                    self.provider.push(url.clone());
                }
            }
            self.api = self.api.or(provider.api);
        }
        if let Some(endpoint) = &update.endpoint {
            self.learn_endpoint(endpoint.key);
        }
        if self.plan.classes {
            self.learn_tools(conn, update);
        }
        for seen in &update.messages {
            match seen.dir {
                Direction::ToServer => self.hear(conn, seen),
                Direction::ToClient if self.plan.answers => self.hear_answer(conn, seen),
                Direction::ToClient => {}
            }
        }
    }

    /// The server that is spoken to, as tools are remembered by.
    fn server(&self, conn: &Conn) -> u128 {
        let spot = Spot::Path(conn.host(), conn.authority.port, self.plan.path());
        conn.thread.shared.conversations.server_of(&spot, self.plan.endpoint.as_ref(), clock::now())
    }

    /// Remembers what the tools that are listed say they do.
    fn learn_tools(&self, conn: &Conn, update: &Update) {
        let answers = update.messages.iter().filter(|seen| seen.dir == Direction::ToClient);
        for listed in answers.filter_map(|seen| seen.message.result.as_ref()?.catalogue.as_deref()) {
            let shared = &conn.thread.shared;
            if shared.conversations.learn_tools(self.server(conn), listed, clock::now()) {
                shared.counters.count("limit", "tool_classes");
            }
        }
    }

    pub(super) fn hear(&mut self, conn: &Conn, seen: &MessageSeen) {
        let message = &seen.message;
        if self.plan.answers {
            self.hear_call(conn, seen);
        }
        self.batch |= message.in_batch;
        self.rpc |= message.jsonrpc;
        self.shown = self.shown.max(match seen.verdict {
            mcp::Verdict::Proof(_) => Some(Confidence::Confirmed),
            mcp::Verdict::Strong(_) => Some(Confidence::Likely),
            mcp::Verdict::Neutral | mcp::Verdict::LookAlike(_) => None,
        });
        if message.kind() == Kind::Other {
            return;
        }
        self.starts |= matches!(message.method.as_deref(), Some("initialize" | "server/discover"));
        if self.said.len() < MAX_MESSAGES {
            let (kind, method, id) = (message.kind(), message.method.clone(), message.id.clone());
            let name = message.params.as_ref().and_then(|p| p.name.clone().or_else(|| p.uri.clone()));
            self.spoken.push(Spoken { content: seen.content.clone(), offset: message.offset });
            self.said.push(Said { kind, method, name, id });
        } else {
            self.left_out += 1;
        }
    }

    /// Remembers the place once the server has shown that it speaks MCP.
    pub(super) fn remember(&mut self, conn: &Conn, update: &Update) {
        let conversations = &conn.thread.shared.conversations;
        let Some(path) = self.request.as_deref().map(|request| request.path().normal.clone()) else { return };
        let path = path.as_str();
        let (host, port, now) = (conn.host(), conn.authority.port, clock::now());
        let spot = Spot::Path(host, port, path);
        if let Some(endpoint) = &update.endpoint {
            conversations.learn_endpoint(&endpoint.key, &spot, now);
        }
        if let (Some(endpoint), Some(confidence)) = (&self.plan.endpoint, self.shown) {
            conversations.confirm_endpoint(endpoint, confidence, now);
        }
        let answered = |seen: &MessageSeen| seen.dir == Direction::ToClient && seen.message.kind() == Kind::Result;
        if !self.in_session && update.messages.iter().any(answered) {
            self.in_session = true;
            let session = self.asks.session.as_ref().map(http::HeaderValue::as_bytes);
            conversations.learn_session(&Spot::Session(host, port, path, session), self.peers.clone(), now);
        }
        if self.learned || !self.judge.is_shown_by_server() {
            return;
        }
        if let Assessment::Mcp(confidence) = self.judge.assessment()
            && confidence >= Confidence::Likely
        {
            self.learned = true;
            conversations.learn(&spot, confidence, now);
        }
    }

    /// How sure it is that this is MCP; `None` where nothing says so.
    pub(super) fn confidence(&self) -> Option<Confidence> {
        let own = match self.judge.assessment() {
            Assessment::Mcp(confidence) => Some(confidence),
            Assessment::LookAlike(_) | Assessment::Nothing => None,
        };
        let known = self.plan.known.filter(|_| self.rpc || self.asks.by_head);
        let denied = self.plan.denied.then_some(Confidence::Possible);
        let for_another = self.authorization.as_deref().map(|found| found.confidence);
        let for_another = for_another.max(self.is_model_call().then_some(Confidence::Possible));
        own.max(self.shown).max(known).max(denied).max(for_another)
    }

    /// Whether nothing but the provider of a model is to speak MCP.
    fn is_model_call(&self) -> bool {
        let settled = matches!(self.judge.assessment(), Assessment::Mcp(c) if c >= Confidence::Likely);
        self.api.is_some() && !settled
    }

    /// What kind of answer its client understands.
    fn speech(&self) -> Speech {
        match (self.authorization.as_deref(), self.api) {
            _ if !self.said.is_empty() => Speech::Rpc,
            (Some(found), _) => Speech::OAuth(found.stage),
            (None, Some(api)) if self.is_model_call() => Speech::Model(api),
            _ => Speech::Rpc,
        }
    }

    /// The server that it is about: of a step of OAuth and of a model call that which is named.
    fn about(&self, conn: &Conn, classification: Classification) -> String {
        let named = match self.speech() {
            Speech::OAuth(_) => self.authorization.as_deref().map(Authorization::resource),
            // Of one that passes the gateway by the provider is told.
            Speech::Model(_) if classification != Classification::SanctionedDirect => {
                self.provider.first().map(String::as_str)
            }
            Speech::Model(_) | Speech::Rpc => None,
        };
        named.map_or_else(|| conn.host().to_owned(), |url| detect::hosts::normal_host(host_of(url)).into_owned())
    }

    /// What client and server call themselves, and the revision that is in use.
    pub(super) fn meet(&mut self, update: &Update) {
        let short = |text: &str| Some(Box::from(text));
        for seen in &update.messages {
            let (params, result) = (seen.message.params.as_ref(), seen.message.result.as_ref());
            let client = params.and_then(|p| p.client_info.as_ref().or(p.meta_client.as_ref()));
            if let Some(client) = client.filter(|_| seen.dir == Direction::ToServer) {
                self.peers.client = short(&client.name);
            }
            if let Some(server) = result.and_then(|r| r.server_info.as_ref()) {
                self.peers.server = short(&server.name);
            }
            let asked = params.and_then(|p| p.protocol_version.as_ref());
            if let Some(mcp::Version::Text(version)) = result.and_then(|r| r.protocol_version.as_ref()).or(asked) {
                self.peers.revision = short(version);
            }
            if let Some(version) = params.and_then(|p| p.meta_version.as_deref()) {
                self.peers.revision = short(version);
            }
            self.mismatch |= seen.dir == Direction::ToServer
                && self.request.as_deref().is_some_and(|r| mcp::header_mismatch(&r.facts, &seen.message));
        }
    }

    /// What is done about what was said so far.
    pub(super) fn decide(
        &self,
        conn: &Conn,
        generation: &Generation,
        confidence: Option<Confidence>,
    ) -> (Classification, Decision) {
        let mut facets = Vec::new();
        for (said, spoken) in self.said.iter().zip(&self.spoken) {
            let (method, name) = (said.method.as_deref(), said.name.as_deref());
            Facet::add(&mut facets, Direction::ToServer, method, name, spoken.content.as_deref());
        }
        self.decide_on(conn, generation, confidence, &mut facets)
    }

    /// What is done about these messages.
    pub(super) fn decide_on(
        &self,
        conn: &Conn,
        generation: &Generation,
        confidence: Option<Confidence>,
        facets: &mut [Facet<'_>],
    ) -> (Classification, Decision) {
        if self.plan.classes && facets.iter().any(|facet| facet.tool.is_some()) {
            let (server, now) = (self.server(conn), clock::now());
            Facet::classify(facets, |tool| conn.thread.shared.conversations.tool_class(server, tool, now));
        }
        self.with_subject(conn, generation, confidence, facets, |classification, subject, facets| {
            (classification, generation.decide(subject, facets))
        })
    }

    /// What policies are held against.
    pub(super) fn with_subject<R>(
        &self,
        conn: &Conn,
        generation: &Generation,
        confidence: Option<Confidence>,
        facets: &[Facet<'_>],
        then: impl FnOnce(Classification, &Subject<'_>, &[Facet<'_>]) -> R,
    ) -> R {
        let (known, own) = (self.plan.peers.as_deref(), &self.peers);
        let named = |pick: fn(&Peers) -> Option<&str>| pick(own).or_else(|| known.and_then(pick));
        let header = self.request.as_deref().and_then(|r| r.facts.protocol_version.as_deref());
        let revisions: Vec<&str> = header.or_else(|| named(|p| p.revision.as_deref())).into_iter().collect();
        let heard = Heard {
            now: clock::now(),
            signals: self.judge.signals(),
            client: named(|p| p.client.as_deref()),
            server: named(|p| p.server.as_deref()),
            revisions: &revisions,
            mismatch: self.mismatch,
            provider: &self.provider,
            is_model_call: self.is_model_call(),
            oauth: self.authorization.as_deref(),
        };
        self.plan.whole(conn, generation, confidence, &heard, |classification, subject| {
            then(classification, subject, facets)
        })
    }

    pub(super) fn stage(&self) -> Stage {
        match () {
            () if self.plan.refused => Stage::Connect,
            () if self.said.is_empty() => Stage::Request,
            () => Stage::Message,
        }
    }

    /// Whether the client can still be sent elsewhere. Who names a session that this server did not give was sent
    /// elsewhere at its start, follows each answer, and asks here again. A stream of HTTP+SSE that is open stays here.
    pub(super) fn starts(&self) -> bool {
        let foreign = !self.plan.in_session && (self.asks.session.is_some() || !self.said.is_empty());
        self.plan.endpoint.is_none() && (self.starts || foreign)
    }

    /// What was said may pass.
    pub(super) fn pass(&mut self) {
        self.holding = false;
        self.said.clear();
        self.spoken.clear();
        self.mismatch = false;
        self.left_out = 0;
        self.batch = false;
        self.shown = None;
        self.starts = false;
    }

    pub(super) fn ruling(
        &mut self,
        conn: &Conn,
        decision: Decision,
        (classification, confidence): (Classification, Confidence),
        cause: Cause,
    ) -> Ruling {
        self.done = true;
        let start = self.starts();
        let (host, speech) = (self.about(conn, classification), self.speech());
        Ruling {
            decision,
            confidence,
            classification,
            host,
            client: conn.client.ip(),
            speech,
            user: conn.user.clone(),
            stage: self.stage(),
            messages: std::mem::take(&mut self.said),
            left_out: self.left_out,
            batch: self.batch,
            start,
            apart: self.plan.endpoint.is_some(),
            cause,
        }
    }
}

/// Host and port of a URL.
fn host_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    authority.rsplit_once('@').map_or(authority, |(_, host)| host)
}
