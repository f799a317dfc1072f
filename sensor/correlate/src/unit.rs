//! What becomes one detection: a request with its answer, or an exchange with signals.

use crate::catalogue::Page;
use crate::limits;
use crate::payload::weight;
use detect::{Content, FlowFacts, MessageSeen, Signal, Signals};
use mcp::{Id, Kind, ToolClass};
use net::{Direction, Place, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

/// Most calls kept in one unit (a batch may hold thousands; the rest is counted).
pub(crate) const MAX_CALLS: usize = 128;
/// Most notifications and further calls kept in one unit that policies are held against; as many as the proxy judges.
const MAX_JUDGED: usize = 1024;
/// Most names kept of a kind in one unit.
pub(crate) const MAX_NAMES: usize = 512;
/// Most units of one exchange that wait for an answer beside its first.
const MAX_EXTRA: usize = 64;

/// One call, and its answer once it has come.
#[derive(Clone, Debug)]
pub(crate) struct CallState {
    pub(crate) id: Option<Id>,
    pub(crate) dir: Direction,
    pub(crate) method: String,
    pub(crate) name: Option<String>,
    pub(crate) arguments: Option<mcp::Arguments>,
    pub(crate) strong: bool,
    pub(crate) ts: Timestamp,
    pub(crate) answer: Option<AnswerState>,
    /// What it holds beyond its names.
    pub(crate) content: Option<Arc<Content>>,
    /// The same of its answer.
    pub(crate) answer_content: Option<Arc<Content>>,
    /// The page of a list that it asks for.
    pub(crate) cursor: Option<[u8; 16]>,
    /// What that held, until it was learnt.
    pub(crate) listed: Option<Page>,
}

/// The answer to a call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AnswerState {
    pub(crate) bytes: u64,
    pub(crate) is_error: bool,
    pub(crate) ts: Timestamp,
}

/// An answer that came before its call: id, direction, what it says, whether it shows MCP, what it holds, and lists.
type EarlyAnswer = (Id, Direction, AnswerState, bool, Option<Arc<Content>>, Option<Page>);

/// Names a peer gave itself and what else messages told.
#[derive(Clone, Debug, Default)]
pub(crate) struct Told {
    pub(crate) methods: BTreeSet<String>,
    pub(crate) tools: BTreeSet<String>,
    pub(crate) tools_listed: BTreeSet<String>,
    pub(crate) resources: BTreeSet<String>,
    pub(crate) prompts: BTreeSet<String>,
    /// Versions that an accepted answer or header named.
    pub(crate) versions: BTreeSet<String>,
    /// Versions only offered.
    pub(crate) offers: BTreeSet<String>,
    pub(crate) client: Option<mcp::Implementation>,
    pub(crate) server: Option<mcp::Implementation>,
    pub(crate) stateless: bool,
    pub(crate) session_era: bool,
    /// Bytes that the names weigh; never less than they do.
    heap: usize,
    /// Names beyond [`MAX_NAMES`], each time one came.
    pub(crate) not_kept: u64,
}

/// What keeping a name came to.
#[derive(Clone, Copy, Debug, Default)]
struct Kept {
    heap: usize,
    not_kept: u64,
}

/// Adds a name unless the set is full.
fn keep(set: &mut BTreeSet<String>, name: &str) -> Kept {
    if set.contains(name) {
        return Kept::default();
    }
    if set.len() >= MAX_NAMES {
        return Kept { heap: 0, not_kept: 1 };
    }
    set.insert(name.to_owned());
    Kept { heap: limits::name(name), not_kept: 0 }
}

impl Told {
    /// Bytes on the heap.
    pub(crate) fn bytes(&self) -> usize {
        let peers = self.client.iter().chain(&self.server);
        self.heap + peers.map(|p| limits::text(&p.name) + limits::text(&p.version)).sum::<usize>()
    }

    /// Adds a name to one of the sets.
    pub(crate) fn keep(&mut self, set: impl FnOnce(&mut Self) -> &mut BTreeSet<String>, name: &str) {
        let kept = keep(set(self), name);
        self.heap += kept.heap;
        self.not_kept += kept.not_kept;
    }

    /// The versions offered are in use.
    pub(crate) fn accept_offers(&mut self) {
        for version in std::mem::take(&mut self.offers) {
            self.keep(|t| &mut t.versions, &version);
        }
    }

    /// What was named as in use was only tried.
    pub(crate) fn reject_versions(&mut self) {
        for version in std::mem::take(&mut self.versions) {
            self.keep(|t| &mut t.offers, &version);
        }
    }

    /// Joins what another unit told; gives how many names were not kept.
    pub(crate) fn join(&mut self, other: &Self) -> u64 {
        let before = self.not_kept;
        for (mine, theirs) in [
            (&mut self.methods, &other.methods),
            (&mut self.tools, &other.tools),
            (&mut self.tools_listed, &other.tools_listed),
            (&mut self.resources, &other.resources),
            (&mut self.prompts, &other.prompts),
            (&mut self.versions, &other.versions),
            (&mut self.offers, &other.offers),
        ] {
            for name in theirs {
                let kept = keep(mine, name);
                self.heap += kept.heap;
                self.not_kept += kept.not_kept;
            }
        }
        if other.client.is_some() {
            self.client.clone_from(&other.client);
        }
        if other.server.is_some() {
            self.server.clone_from(&other.server);
        }
        self.stateless |= other.stateless;
        self.session_era |= other.session_era;
        self.not_kept - before
    }

    /// What one message tells. `answers` is the method of the call it answers, where known.
    pub(crate) fn message(&mut self, seen: &MessageSeen, answers: Option<&str>) {
        let m = &seen.message;
        if let Some(method) = &m.method {
            self.keep(|t| &mut t.methods, method);
            self.session_era |= method == "initialize" || method == "notifications/initialized";
        }
        if let Some(p) = &m.params {
            match m.method.as_deref() {
                Some("tools/call") => p.name.iter().for_each(|n| self.keep(|t| &mut t.tools, n)),
                Some("prompts/get") => p.name.iter().for_each(|n| self.keep(|t| &mut t.prompts, n)),
                Some("resources/read" | "resources/subscribe" | "resources/unsubscribe") => {
                    p.uri.iter().for_each(|u| self.keep(|t| &mut t.resources, u));
                }
                Some("initialize") => {
                    if let Some(mcp::Version::Text(v)) = &p.protocol_version {
                        self.keep(|t| &mut t.offers, v);
                    }
                }
                _ => {}
            }
            if let Some(v) = &p.meta_version {
                self.keep(|t| &mut t.offers, v);
            }
            let client = p.client_info.as_ref().or(p.meta_client.as_ref());
            if client.is_some() && seen.dir == Direction::ToServer {
                self.client = client.cloned();
            }
            self.stateless |= p.meta_version.is_some();
        }
        if let Some(r) = &m.result {
            r.tools
                .iter()
                .filter(|_| r.tools_shaped || answers == Some("tools/list"))
                .for_each(|t| self.keep(|t| &mut t.tools_listed, t));
            r.resources.iter().filter(|_| r.resources_shaped).for_each(|t| self.keep(|t| &mut t.resources, t));
            r.prompts.iter().filter(|_| answers == Some("prompts/list")).for_each(|t| self.keep(|t| &mut t.prompts, t));
            r.input_requests.iter().for_each(|t| self.keep(|t| &mut t.methods, t));
            if let Some(mcp::Version::Text(v)) = &r.protocol_version {
                self.keep(|t| &mut t.versions, v);
                self.session_era = true;
            }
            if r.server_info.is_some() && seen.dir == Direction::ToClient {
                self.server.clone_from(&r.server_info);
            }
            self.stateless |= !r.supported_versions.is_empty();
        }
    }
}

/// One detection in the making.
#[derive(Clone, Debug)]
pub(crate) struct Unit {
    pub(crate) seq: u32,
    pub(crate) ts: Timestamp,
    pub(crate) first: Place,
    pub(crate) last: Place,
    pub(crate) deadline: Timestamp,
    pub(crate) due: bool,
    pub(crate) calls: Vec<CallState>,
    /// Notifications that name or hold something, for policies: a lenient server calls a tool for one, too.
    pub(crate) notes: Vec<CallState>,
    pub(crate) told: Told,
    pub(crate) signals: Signals,
    pub(crate) mismatch: bool,
    /// A JSON-RPC message came to the client.
    pub(crate) replied: bool,
    /// Answers whose call has not been seen: on a mirror they may come first.
    pub(crate) early: Vec<EarlyAnswer>,
    /// What the tools that are called say they do, where policies ask for it.
    pub(crate) classes: BTreeMap<String, ToolClass>,
    /// The WebSocket message that its first message came in.
    pub(crate) frame: Option<(Direction, u32)>,
    /// Messages that no policy will be held against.
    pub(crate) unjudged: u64,
    /// Calls beyond [`MAX_CALLS`].
    pub(crate) calls_not_kept: u64,
    /// Answers without a call beyond [`MAX_CALLS`].
    pub(crate) answers_not_kept: u64,
    /// Written, at this confidence.
    pub(crate) written: Option<detect::Confidence>,
    pub(crate) writes: u32,
}

impl Unit {
    /// Packet time from a request to the moment its detection is written without an answer.
    pub(crate) const PATIENCE: i64 = 5 * Timestamp::SECOND;

    pub(crate) fn new(seq: u32, ts: Timestamp, place: Place) -> Self {
        Self {
            seq,
            ts,
            first: place,
            last: place,
            deadline: ts.plus(Self::PATIENCE),
            due: false,
            calls: Vec::new(),
            notes: Vec::new(),
            told: Told::default(),
            signals: Signals::default(),
            mismatch: false,
            replied: false,
            early: Vec::new(),
            classes: BTreeMap::new(),
            frame: None,
            unjudged: 0,
            calls_not_kept: 0,
            answers_not_kept: 0,
            written: None,
            writes: 0,
        }
    }

    /// What it weighs.
    fn bytes(&self) -> usize {
        let signal =
            |s: &Signal| size_of::<Signal>() + limits::text(&s.id) + limits::text(&s.on) + limits::text(&s.excerpt);
        let call = |c: &CallState| {
            size_of::<CallState>()
                + c.id.as_ref().map_or(0, limits::id)
                + limits::text(&c.method)
                + limits::some_text(c.name.as_ref())
                + limits::some_text(c.arguments.as_ref().map(|a| &a.masked))
                + [&c.content, &c.answer_content].into_iter().flatten().map(|content| weight(content)).sum::<usize>()
                + c.listed.as_ref().map_or(0, Page::bytes)
        };
        let early = |(id, .., content, page): &EarlyAnswer| {
            let page = page.as_ref().map_or(0, Page::bytes);
            size_of::<EarlyAnswer>() + limits::id(id) + content.as_deref().map_or(0, weight) + page
        };
        // A list has room for up to twice what is in it.
        let kept = self.calls.len() + self.notes.len();
        let lists = 2 * (self.signals.len() * size_of::<Signal>() + kept * size_of::<CallState>());
        lists
            + self.told.bytes()
            + self.signals.iter().map(signal).sum::<usize>()
            + self.calls.iter().chain(&self.notes).map(call).sum::<usize>()
            + self.early.iter().map(early).sum::<usize>()
    }

    /// Adds a request as a call, or a notification that says more than its method.
    pub(crate) fn call(&mut self, seen: &MessageSeen) {
        let m = &seen.message;
        let params = m.params.as_ref();
        let name = params.and_then(|p| p.name.clone().or_else(|| p.uri.clone()));
        let mut kept = match m.kind() {
            Kind::Request => &mut self.calls,
            Kind::Notification if name.is_some() || seen.content.is_some() => &mut self.notes,
            _ => return,
        };
        let Some(method) = &m.method else { return };
        let notes = m.kind() == Kind::Notification;
        let mut arguments = params.and_then(|p| p.arguments.clone());
        if kept.len() >= if notes { MAX_JUDGED } else { MAX_CALLS } {
            self.calls_not_kept += 1;
            if notes || self.notes.len() >= MAX_JUDGED {
                self.unjudged += 1;
                return;
            }
            // No more than policies ask for is kept of it.
            kept = &mut self.notes;
            arguments = None;
        }
        kept.push(CallState {
            id: m.id.clone(),
            dir: seen.dir,
            method: method.clone(),
            name,
            arguments,
            strong: seen.shows(),
            ts: seen.ts,
            answer: None,
            content: seen.content.clone(),
            answer_content: None,
            cursor: params.and_then(|p| p.cursor),
            listed: None,
        });
        if m.kind() == Kind::Request {
            self.answer_early();
        }
    }

    /// Keeps an answer for a call that may still come.
    pub(crate) fn keep_early(&mut self, seen: &MessageSeen) {
        let Some(id) = &seen.message.id else { return };
        if self.early.len() >= MAX_CALLS {
            self.answers_not_kept += 1;
        } else {
            let (content, page) = (seen.content.clone(), Page::of(&seen.message));
            self.early.push((id.clone(), seen.dir, answer_state(seen), seen.shows(), content, page));
        }
    }

    /// Puts an answer that came first to the call that has just been added.
    fn answer_early(&mut self) {
        let Some(call) = self.calls.last_mut() else { return };
        let fits = |(id, dir, ..): &EarlyAnswer| Some(id) == call.id.as_ref() && *dir != call.dir;
        let Some(at) = self.early.iter().position(fits) else { return };
        let (_, _, state, shows, content, page) = self.early.swap_remove(at);
        call.lists(page);
        call.answer_content = content;
        call.answer = Some(AnswerState { ts: call.ts, ..state });
        if call.strong && shows {
            self.signals.early_answer();
        }
    }

    /// Puts an answer to its call; gives the call's method and whether that was MCP by itself.
    pub(crate) fn answer(&mut self, seen: &MessageSeen) -> Option<(String, bool)> {
        let m = &seen.message;
        let fits = |c: &&mut CallState| c.answer.is_none() && c.dir != seen.dir && c.id == m.id;
        let lone = detect::lone_answer(self.calls.len(), seen);
        let call = match self.calls.iter_mut().find(fits) {
            Some(call) => call,
            None => self.calls.iter_mut().find(|c| lone && c.answer.is_none() && c.dir != seen.dir)?,
        };
        call.answer = Some(answer_state(seen));
        call.answer_content.clone_from(&seen.content);
        call.lists(Page::of(m));
        Some((call.method.clone(), call.strong))
    }

    /// Takes out what was listed, so that it is learnt once.
    pub(crate) fn take_listed(&mut self) -> Vec<Page> {
        self.calls.iter_mut().filter_map(|call| call.listed.take()).collect()
    }

    pub(crate) fn all_answered(&self) -> bool {
        !self.calls.is_empty() && self.calls.iter().all(|c| c.answer.is_some())
    }
}

impl CallState {
    /// Its answer may be a page of a list of tools.
    fn lists(&mut self, page: Option<Page>) {
        let asked = self.cursor;
        let page = page.filter(|_| self.method == "tools/list");
        self.listed = page.map(|page| Page { asked, ..page });
    }
}

fn answer_state(seen: &MessageSeen) -> AnswerState {
    let m = &seen.message;
    let tool_error = m.result.as_ref().and_then(|r| r.is_error).unwrap_or(false);
    AnswerState { bytes: m.bytes, is_error: m.error.is_some() || tool_error, ts: seen.ts }
}

/// Key of an open exchange.
pub(crate) type ExchangeKey = (u64, u32);

/// An exchange that may still bring news.
#[derive(Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each is one fact that has or has not been seen yet")]
pub(crate) struct Open {
    pub(crate) flow: Arc<FlowFacts>,
    pub(crate) missed: u64,
    pub(crate) request: Option<Box<detect::RequestSeen>>,
    pub(crate) response: Option<Box<detect::ResponseSeen>>,
    /// It is no exchange but a handshake, or a question to a name server.
    pub(crate) contact: Option<Box<detect::ContactSeen>>,
    pub(crate) conversation: Option<u64>,
    /// The client that a trusted proxy asks for.
    pub(crate) asks_for: Option<IpAddr>,
    /// Number of the exchange in its flow.
    pub(crate) number: u32,
    /// The server its detections were counted for.
    pub(crate) server: Option<crate::record::ServerKey>,
    pub(crate) primary: Unit,
    pub(crate) extra: Vec<Unit>,
    pub(crate) parsed: [Option<mcp::BodyKind>; 2],
    pub(crate) ended: [Option<detect::SideEnd>; 2],
    /// Body bytes on the wire, so far.
    pub(crate) bytes: [u64; 2],
    pub(crate) look_alike: Option<mcp::LookAlike>,
    pub(crate) websocket: bool,
    /// It is the event stream or a POST of HTTP+SSE.
    pub(crate) http_sse: bool,
    /// Messages came on an event stream.
    pub(crate) sse: bool,
    pub(crate) resource: Option<String>,
    /// Servers that a provider is to contact, and what it did there.
    pub(crate) provider: Option<Box<mcp::Provider>>,
    /// Traces of MCP where none is spoken.
    pub(crate) trace: Option<Box<detect::TraceSeen>>,
    /// What it shows of the way to an access token.
    pub(crate) oauth: Option<Box<detect::OAuthSeen>>,
    /// The authorisation for an MCP server that it is a step of.
    pub(crate) authorization: Option<Box<detect::Authorization>>,
    /// What our own proxy did about one of its units, until the record of that is written.
    pub(crate) acted: Option<(u32, Box<detect::Acted>)>,
    pub(crate) over: bool,
    pub(crate) units: u32,
    /// Units that were decided early because [`MAX_EXTRA`] others came after them; not yet added to the totals.
    pub(crate) units_hurried: u64,
    /// Its place among all open exchanges, by when it last had news.
    pub(crate) age: u64,
    /// What it weighed when it was last weighed, in bytes.
    pub(crate) charged: usize,
}

impl Open {
    pub(crate) fn new(flow: Arc<FlowFacts>, number: u32, ts: Timestamp, place: Place) -> Self {
        Self {
            flow,
            missed: 0,
            request: None,
            response: None,
            contact: None,
            conversation: None,
            asks_for: None,
            number,
            server: None,
            primary: Unit::new(0, ts, place),
            extra: Vec::new(),
            parsed: [None; 2],
            ended: [None; 2],
            bytes: [0; 2],
            look_alike: None,
            websocket: false,
            http_sse: false,
            sse: false,
            resource: None,
            provider: None,
            trace: None,
            oauth: None,
            authorization: None,
            acted: None,
            over: false,
            units: 1,
            units_hurried: 0,
            age: 0,
            charged: 0,
        }
    }

    /// Who asks: the client of the flow, or the one that it asks for.
    pub(crate) fn client(&self) -> IpAddr {
        self.asks_for.unwrap_or(self.flow.client.ip())
    }

    /// What it weighs.
    pub(crate) fn bytes(&self) -> usize {
        /// Its entries in maps by key, by age and by deadline, and the facts of its flow.
        const AROUND: usize = 4 * limits::ENTRY + 96 + size_of::<FlowFacts>();
        let request = self.request.as_deref().map_or(0, |r| {
            let facts = &r.facts;
            let optional =
                [&r.user_agent, &facts.mcp_method, &facts.mcp_name, &facts.protocol_version, &facts.resource];
            let claims = facts.auth.claims.iter().flat_map(|c| [&c.iss, &c.sub]).flatten();
            size_of::<detect::RequestSeen>()
                + facts.forwarded.bytes()
                + [&r.method, &r.host, &r.authority, &facts.path.clean, &facts.path.normal]
                    .into_iter()
                    .chain(optional.into_iter().flatten())
                    .chain(claims)
                    .map(|t| limits::text(t))
                    .sum::<usize>()
        });
        let response = self.response.as_ref().map_or(0, |_| size_of::<detect::ResponseSeen>() + 512);
        let contact = self.contact.as_deref().map_or(0, |c| {
            let names = c.certificate.iter().chain(&c.tls.alpn).map(|n| limits::name(n)).sum::<usize>();
            size_of::<detect::ContactSeen>() + 512 + names
        });
        let units = self.extra.iter().map(|u| 2 * size_of::<Unit>() + u.bytes()).sum::<usize>() + self.primary.bytes();
        let server = self.server.as_ref().map_or(0, crate::record::ServerKey::bytes);
        AROUND
            + size_of::<Self>()
            + request
            + response
            + contact
            + units
            + server
            + self.trace_bytes()
            + self.oauth_bytes()
            + limits::some_text(self.resource.as_ref())
    }

    /// A new unit for a message that came after the first was written, or in the other direction.
    pub(crate) fn extra_unit(&mut self, ts: Timestamp, place: Place) -> &mut Unit {
        // Not one more than this waits; the oldest is decided as it is.
        if self.extra.len() >= MAX_EXTRA
            && let Some(oldest) = self.extra.iter_mut().find(|u| !u.due)
        {
            oldest.due = true;
            self.units_hurried += 1;
        }
        let unit = Unit::new(self.units, ts, place);
        self.units += 1;
        self.extra.push(unit);
        // Just pushed.
        let at = self.extra.len() - 1;
        self.extra.get_mut(at).unwrap_or(&mut self.primary)
    }

    /// The WebSocket message that a message of a batch came in.
    pub(crate) fn batch_of(&self, seen: &MessageSeen) -> Option<(Direction, u32)> {
        (self.websocket && seen.message.in_batch).then_some((seen.dir, seen.frame))
    }

    /// The unit of the messages before it in the same batch on a WebSocket.
    pub(crate) fn unit_of_batch(&mut self, seen: &MessageSeen) -> Option<&mut Unit> {
        let frame = Some(self.batch_of(seen)?);
        let mut all = self.extra.iter_mut().rev().chain(std::iter::once(&mut self.primary));
        all.find(|unit| unit.frame == frame && unit.written.is_none())
    }

    pub(crate) fn unit(&mut self, seq: u32) -> Option<&mut Unit> {
        if self.primary.seq == seq { Some(&mut self.primary) } else { self.extra.iter_mut().find(|u| u.seq == seq) }
    }

    /// All that its signals are weighed against.
    pub(crate) fn around(&self) -> detect::Surroundings {
        detect::Surroundings {
            request: self.request.as_deref().map(Into::into),
            response: self.response.as_deref().map(Into::into),
            parsed: self.parsed,
            ended: self.ended,
            look_alike: self.look_alike,
            websocket: self.websocket,
        }
    }

    /// The handshake of the TLS that it was read out of.
    pub(crate) fn inside(&self) -> Option<&detect::TlsSeen> {
        let inside = self.flow.inside.as_ref()?;
        (self.contact.is_none() && self.number >= inside.first.0).then_some(&inside.tls)
    }

    /// The response's status where it is an answer.
    pub(crate) fn status(&self) -> Option<u16> {
        self.response.as_deref().map(|r| r.status)
    }

    /// How the request fared (contract section 2, `mcp.outcome`).
    pub(crate) fn outcome(&self, unit: &Unit) -> &'static str {
        if unit.replied || unit.calls.iter().any(|c| c.answer.is_some()) {
            return "answered";
        }
        let Some(response) = self.response.as_deref() else { return "unseen" };
        // A proxy's answer to CONNECT says nothing of the server behind it.
        if self.request.as_deref().is_some_and(|r| r.method == "CONNECT") {
            return "unseen";
        }
        if self.is_for_resource() {
            return if response.status < 400 { "answered" } else { "refused" };
        }
        let marked = response.facts.session.is_some() || response.facts.protocol_version.is_some();
        let html = response.facts.is_html;
        match response.status {
            101 if self.websocket => "answered",
            200..300 if response.facts.is_sse || marked || self.http_sse => "answered",
            200 | 202 | 204 if !html && self.asked_for_no_answer() => "answered",
            401 | 403 if response.facts.challenge.is_some() => "challenged",
            200 if !html && self.ended[1].is_none() => "unseen",
            200 if self.resource.is_some() => "answered",
            _ => "refused",
        }
    }

    /// Notifications, client answers and the end of a session are answered without a message.
    fn asked_for_no_answer(&self) -> bool {
        let spoke = matches!(self.parsed[0], Some(mcp::BodyKind::Json { messages: 1.. }));
        let ends = self.request.as_deref().is_some_and(|r| r.method == "DELETE" && r.facts.session.is_some());
        ends || (spoke && self.primary.calls.is_empty())
    }
}
