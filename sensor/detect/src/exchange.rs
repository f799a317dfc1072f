//! The one inspector of an exchange: heads and bodies in, news for the serial stage out. Workers and proxy call
//! the same. Owned, `Send`, no lifetime, no thread id.

use crate::contact::weight_of;
use crate::inspect::{Inspector, Promise};
use crate::kept::KeptHead;
use crate::observation::{EndpointSeen, ResponseSeen, SideEnd, Update};
use crate::rules::{Field, Listed};
use crate::{Generation, Scratch, Side, Signal, SignalKind, Trace, Weight};
use mcp::{BodyKind, Doubt, LookAlike, Standing};
use net::{Direction, Place, Timestamp};
use proto::coding::{Codings, Unsupported};
use proto::{EndKind, RequestHead, ResponseHead};
use std::sync::Arc;

mod gathered;
mod heads;
mod traces;
mod trail;

use gathered::{Gathered, MAX_UNTOLD};
use heads::{authority, codings, cut, is_form, is_page, safe_value, says_json, seen, without_query};

/// One exchange under inspection.
#[derive(Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each is one fact that has or has not been seen yet")]
pub struct Exchange {
    generation: Arc<Generation>,
    /// The request head as it came, and whether it was told.
    request: Option<KeptHead>,
    request_told: bool,
    response: Option<ResponseSeen>,
    sides: [SideState; 2],
    news: Gathered,
    websocket: bool,
    listed_endpoint: bool,
    /// A head bears a session id or protocol version of MCP.
    marked: bool,
    marked_told: bool,
    /// An `endpoint` event came, and then JSON-RPC on the same stream.
    endpoint_seen: bool,
    endpoint_spoke: bool,
    relevant: bool,
    /// It may be a step of the way to an access token: that is told, and is no sign of MCP.
    trail: bool,
    /// Look-alikes are worth telling, too.
    tell_look_alikes: bool,
}

#[derive(Debug, Default)]
#[allow(clippy::struct_excessive_bools, reason = "each is one fact that has or has not been seen yet")]
struct SideState {
    inspector: Option<Box<Inspector>>,
    promise: Promise,
    coding: Option<Result<Codings, Unsupported>>,
    bytes: u64,
    look_alike: Option<LookAlike>,
    parsed: Option<BodyKind>,
    /// It is a model call that names MCP servers.
    names_provider: bool,
    /// It answers a model call that named MCP servers.
    answers_provider: bool,
    /// The form under way, where it may be one of OAuth.
    form: Option<Box<mcp::Form>>,
    /// What its documents said when they were last looked at before its end.
    looked: Option<Box<mcp::Document>>,
    /// Nothing can come of this body any more.
    let_go: bool,
    /// Its type says that it is JSON.
    is_json: bool,
    /// The server was asked to show two tools alone, which take programs.
    two_tools: bool,
    /// It answers what was no message; see [`Exchange::answers_nothing`].
    idle_answer: bool,
    over: bool,
    /// It came to its own end, and all of it was read.
    whole: bool,
}

impl Exchange {
    /// An exchange under `generation`, which it keeps to its end. `tell_look_alikes` makes it tell what is only a
    /// look-alike, which otherwise is just counted.
    pub fn new(generation: Arc<Generation>, tell_look_alikes: bool) -> Self {
        Self {
            generation,
            request: None,
            request_told: false,
            response: None,
            sides: [SideState { promise: Promise::Json, ..SideState::default() }, SideState::default()],
            news: Gathered::default(),
            websocket: false,
            listed_endpoint: false,
            marked: false,
            marked_told: false,
            endpoint_seen: false,
            endpoint_spoke: false,
            relevant: false,
            trail: false,
            tell_look_alikes,
        }
    }

    /// The request began.
    pub fn request(&mut self, scratch: &mut Scratch, ts: Timestamp, place: Place, head: &RequestHead<'_>) {
        let content_type = head.headers.text("content-type");
        let side = &mut self.sides[0];
        side.coding = codings(&head.headers, scratch);
        side.is_json = content_type.is_some_and(says_json);
        if content_type.is_some_and(|t| is_form(t) || is_page(t)) {
            side.promise = Promise::Page;
        }
        side.two_tools = mcp::shows_two_tools(head.target);
        let path = mcp::normal_target(head.target);
        if mcp::is_remarkable(head, &path) {
            let facts = mcp::request_facts(head);
            self.marked = facts.session.is_some() || facts.protocol_version.is_some();
            self.request_structure(head.method, &facts);
        }
        self.request_signatures(scratch, head, &path);
        self.trail_of_request(head, &path);
        if head.method == "POST" && self.generation.scope.llm_gateway.is_configured() && self.calls_model(head) {
            (self.news.update.model_call, self.trail) = (true, true);
        }
        self.request = Some(scratch.heads.keep(ts, place, head));
    }

    /// Facts of the request head that are signals of their own.
    fn request_structure(&mut self, method: &str, facts: &mcp::RequestFacts) {
        let news = &mut self.news;
        if let Some(named) = &facts.mcp_method {
            news.structure("mcp.proof.method-header", "request.header.mcp-method", Weight::Proof, named);
        }
        let lone = matches!(method, "GET" | "DELETE")
            && (facts.accepts_sse || method == "DELETE" || facts.path.well_known.is_some());
        let weight = if lone { Weight::Strong } else { Weight::Medium };
        if facts.session.is_some() {
            news.structure("mcp.header.session", "request.header.mcp-session-id", weight, "");
        }
        if let Some(version) = &facts.protocol_version {
            news.structure("mcp.header.protocol-version", "request.header.mcp-protocol-version", weight, version);
        }
        if facts.ws_subprotocol_mcp {
            news.structure("mcp.websocket.subprotocol", "request.header.sec-websocket-protocol", Weight::Medium, "mcp");
        }
        if facts.cf_mcp {
            news.structure("mcp.header.cf-mcp", "request.header.cf-mcp-method", Weight::Strong, "");
        }
        if let Some(telltale) = facts.path.telltale {
            news.structure("mcp.path.telltale", "url", Weight::Medium, telltale);
        }
        if facts.path.session_query.is_some() && method == "POST" {
            news.structure("mcp.path.session-query", "url", Weight::Weak, "");
        }
        if facts.path.well_known.is_some_and(|w| w.names_mcp) {
            news.structure("mcp.path.well-known", "url", Weight::Medium, &facts.path.clean);
        }
        if let Some(resource) = &facts.resource {
            let weight = if mcp::names_mcp(resource) { Weight::Medium } else { Weight::Info };
            news.structure("mcp.oauth.resource-parameter", "url", weight, resource);
        }
    }

    /// What rule files say of the request head.
    fn request_signatures(&mut self, scratch: &mut Scratch, head: &RequestHead<'_>, path: &str) {
        let generation = Arc::clone(&self.generation);
        let rules = &generation.rules;
        let news = &mut self.news;
        let host = crate::hosts::normal_host(authority(head));
        let host = cut(&host);
        let mut listed = false;
        let signals = &mut scratch.stats.signals;
        rules.scan_host(host, Some(path), &mut |m| {
            signals.count(rules, m.signature);
            let Some(known) = rules.signatures().get(m.signature as usize) else { return };
            let named = m.category.is_server() && m.has_path && m.path_matches;
            listed |= named && m.listed >= Listed::Medium;
            let weight = weight_of(known, &m);
            if let Some(trace) = Trace::of(m.category).filter(|_| known.weight > Weight::Info) {
                news.trace(trace, (SignalKind::Signature, &known.id), "url", known.weight, m.label);
                return;
            }
            news.telling |= weight >= Weight::Medium;
            news.push(Signal {
                id: known.id.clone(),
                kind: SignalKind::Signature,
                on: if m.has_path && !m.dedicated { "url" } else { "host" }.to_owned(),
                weight,
                excerpt: cut(m.label).to_owned(),
                offset: 0,
            });
        });
        self.listed_endpoint = listed;
        let mut field = |on: &Field, header: Option<usize>, value: &[u8], excerpt: &dyn Fn() -> String| {
            rules.scan_field(on, value, &mut scratch.rules, &mut |signature, end| {
                let Some(known) = rules.signatures().get(signature as usize) else { return };
                scratch.stats.signals.count(rules, signature);
                if let Some(trace) = Trace::of(known.category) {
                    // Who asks says nothing without what is asked for.
                    if news.update.trace.is_some() || !matches!(on, Field::RequestHeader(_)) {
                        let id = (SignalKind::Signature, known.id.as_str());
                        news.trace(trace, id, &on.to_string(), known.weight, &excerpt());
                    }
                    return;
                }
                news.weigh(known.weight);
                let slight = known.weight <= Weight::Weak && value.len() < 1024;
                if slight && header.is_some_and(|at| news.put_off(signature, at, end)) {
                    return;
                }
                news.push(Signal {
                    id: known.id.clone(),
                    kind: SignalKind::Signature,
                    on: on.to_string(),
                    weight: known.weight,
                    excerpt: cut(&excerpt()).to_owned(),
                    offset: end as u64,
                });
            });
        };
        scratch.text.clear();
        scratch.text.push_str(host);
        scratch.text.push_str(path);
        let clean = || mcp::PathFacts::of(head.target).clean;
        field(&Field::Url, None, scratch.text.as_bytes(), &clean);
        field(&Field::RequestUri, None, path.as_bytes(), &clean);
        field(&Field::RequestMethod, None, head.method.as_bytes(), &|| mcp::clean_text(head.method));
        for (at, (name, on)) in rules.request_headers().enumerate() {
            let mut first = Some(at);
            for value in head.headers.all(name) {
                field(on, first.take(), value, &|| safe_value(name, value));
            }
        }
        self.news.judge_trace(head);
    }

    /// The response began.
    pub fn response(&mut self, scratch: &mut Scratch, ts: Timestamp, head: &ResponseHead<'_>) {
        let facts = mcp::response_facts(head);
        let side = &mut self.sides[1];
        side.coding = codings(&head.headers, scratch);
        side.is_json = facts.is_json;
        side.promise = match () {
            () if facts.is_sse => Promise::Sse,
            () if facts.is_json => Promise::Json,
            () => Promise::Sniff,
        };
        let upgrade = head.headers.text("upgrade").is_some_and(|u| u.eq_ignore_ascii_case("websocket"));
        if head.status == 101 && upgrade {
            self.websocket();
        }
        let news = &mut self.news;
        if facts.session.is_some() {
            news.structure("mcp.header.session", "response.header.mcp-session-id", Weight::Medium, "");
        }
        if let Some(version) = &facts.protocol_version {
            news.structure(
                "mcp.header.protocol-version",
                "response.header.mcp-protocol-version",
                Weight::Medium,
                version,
            );
        }
        if let Some(challenge) = &facts.challenge {
            let weight = if challenge.names_mcp { Weight::Strong } else { Weight::Info };
            let shown = challenge.resource_metadata.as_deref().unwrap_or("");
            news.structure("mcp.oauth.challenge", "response.header.www-authenticate", weight, shown);
            self.trail_of_challenge(head.status, challenge);
        }
        let news = &mut self.news;
        let moved = matches!(head.status, 301 | 302 | 303 | 307 | 308);
        if let Some(link) = head.headers.text("location").filter(|_| moved).and_then(mcp::install_link) {
            news.install(link);
        }
        let event_stream = facts.is_sse && head.status == 200;
        self.marked |= facts.session.is_some() || facts.protocol_version.is_some();
        let page = head.headers.text("content-type").is_some_and(is_page);
        if event_stream && self.marked {
            news.structure(
                "mcp.proof.marked-stream",
                "response.header.content-type",
                Weight::Proof,
                "text/event-stream",
            );
        }
        if event_stream && self.listed_endpoint {
            news.structure("mcp.endpoint.stream", "url", Weight::Strong, "");
        }
        let generation = Arc::clone(&self.generation);
        let rules = &generation.rules;
        for (name, on) in rules.response_headers() {
            for value in head.headers.all(name) {
                rules.scan_field(on, value, &mut scratch.rules, &mut |signature, end| {
                    let Some(known) = rules.signatures().get(signature as usize) else { return };
                    scratch.stats.signals.count(rules, signature);
                    news.weigh(known.weight);
                    let excerpt = cut(&safe_value(name, value)).to_owned();
                    let (id, on) = (known.id.clone(), on.to_string());
                    news.push(Signal {
                        id,
                        kind: SignalKind::Signature,
                        on,
                        weight: known.weight,
                        excerpt,
                        offset: end as u64,
                    });
                });
            }
        }
        self.response = Some(ResponseSeen { ts, version: head.version, status: head.status, facts });
        if self.answers_nothing() {
            let side = &mut self.sides[1];
            side.idle_answer = side.promise == Promise::Json;
            if page && side.coding.is_some() {
                side.let_go = true;
                scratch.stats.bodies_let_go += 1;
            }
        }
    }

    /// Whether the request was read whole, was no message and showed no sign of MCP, and the head of its answer
    /// shows none: in no revision of MCP such an answer carries messages, unless it is an event stream.
    fn answers_nothing(&self) -> bool {
        let [request, response] = &self.sides;
        let no_message = request.bytes == 0
            || request.let_go
            || matches!(request.parsed, Some(BodyKind::Json { messages: 0 } | BodyKind::NotJson | BodyKind::Broken));
        self.request.is_some()
            && request.whole
            && no_message
            && request.look_alike.is_none()
            && response.promise != Promise::Sse
            && !(self.is_relevant() || self.trail || self.tell_look_alikes || self.websocket || self.marked)
            && self.news.has_no_signal()
    }

    fn websocket(&mut self) {
        self.websocket = true;
        for side in &mut self.sides {
            // The bodies of the handshake are over; what follows are messages.
            let SideState { bytes, two_tools, .. } = *side;
            *side = SideState { promise: Promise::Messages, bytes, two_tools, ..SideState::default() };
        }
    }

    /// Body bytes, transfer coding off, content coding on.
    pub fn body(&mut self, scratch: &mut Scratch, ts: Timestamp, dir: Direction, bytes: &[u8]) {
        let side = dir.of_mut(&mut self.sides);
        side.bytes += bytes.len() as u64;
        if let Some(form) = &mut side.form {
            form.feed(bytes);
        }
        if side.let_go || side.over {
            return;
        }
        if side.inspector.is_none() && side.coding.is_none() && side.promise.is_none_in(bytes) {
            side.let_go = true;
            scratch.stats.bodies_let_go += 1;
            return;
        }
        let generation = Arc::clone(&self.generation);
        let rules = &generation.rules;
        let mut inspector = side.inspector.take().unwrap_or_else(|| {
            let mut inspector = scratch.inspector(Side::of(dir), side.promise, rules);
            if side.idle_answer {
                inspector.only_glance();
            }
            if side.answers_provider {
                inspector.expect_provider();
            }
            if side.two_tools {
                inspector.expect_programs();
            }
            if let Some(coding) = side.coding.take() {
                inspector.coding(coding, scratch);
            }
            inspector
        });
        self.news.at(ts, dir);
        inspector.feed(rules, scratch, bytes, &mut self.news);
        if inspector.was_let_go() {
            side.let_go = true;
            scratch.give_back(inspector);
        } else {
            self.progress(dir, inspector);
        }
    }

    /// Puts the inspector back and looks at what it brought.
    fn progress(&mut self, dir: Direction, inspector: Box<Inspector>) {
        let kind = inspector.kind();
        let side = dir.of_mut(&mut self.sides);
        if side.parsed != Some(kind) && kind != BodyKind::Empty {
            side.parsed = Some(kind);
            if let Some(parsed) = self.news.update.parsed.get_mut(dir.index()) {
                *parsed = Some(kind);
            }
        }
        if let Some(what) = self.news.look_alike.take() {
            side.look_alike = Some(what);
            self.news.telling |= self.tell_look_alikes;
            self.news.update.look_alike = Some(what);
        }
        side.inspector = Some(inspector);
        if let Some(data) = self.news.endpoint.take() {
            let data = String::from_utf8_lossy(&data);
            let resolve =
                |head: &RequestHead<'_>| mcp::endpoint_url(cut(authority(head)), without_query(head.target), &data);
            let endpoint = match &self.request {
                Some(kept) => kept.read(resolve),
                None => mcp::endpoint_url("", "", &data),
            };
            if let Some(endpoint) = endpoint {
                self.endpoint_seen = true;
                self.news.update.endpoint = Some(EndpointSeen { key: endpoint.key, session: endpoint.session });
                self.news.structure("mcp.sse.endpoint", "response.body", Weight::Medium, "event: endpoint");
            }
        }
        if std::mem::take(&mut self.news.neutral) {
            let foreign = self.sides.iter().any(|s| s.look_alike.is_some());
            self.news.telling |= !foreign;
            self.protocol_sign(dir);
        }
        if self.news.update.messages.iter().any(|m| m.message.jsonrpc) {
            self.protocol_sign(dir);
            if self.endpoint_seen && !self.endpoint_spoke {
                self.endpoint_spoke = true;
                self.news.structure("mcp.shape.endpoint-rpc", "response.body", Weight::Strong, "event: endpoint");
            }
        }
    }

    /// A JSON-RPC message on a listed endpoint, or under MCP's headers.
    fn protocol_sign(&mut self, dir: Direction) {
        let on = Side::of(dir).body_field();
        if std::mem::take(&mut self.listed_endpoint) {
            self.news.structure("mcp.endpoint.rpc", "url", Weight::Strong, "");
        }
        if self.marked && !self.marked_told {
            self.marked_told = true;
            self.news.structure("mcp.proof.marked-message", on, Weight::Proof, "");
        }
    }

    /// Body bytes that will never be seen.
    pub fn gap(&mut self, scratch: &mut Scratch, ts: Timestamp, dir: Direction, n: u64) {
        let generation = Arc::clone(&self.generation);
        let side = dir.of_mut(&mut self.sides);
        side.bytes += n;
        let Some(mut inspector) = side.inspector.take() else { return };
        self.news.at(ts, dir);
        inspector.gap(n, scratch, &generation.rules, &mut self.news);
        self.progress(dir, inspector);
    }

    /// Bodies in `dir` come with the content coding off, whatever their head says. To be said before the first byte.
    pub fn plain(&mut self, dir: Direction) {
        dir.of_mut(&mut self.sides).coding = None;
    }

    /// A WebSocket message is complete.
    pub fn message_end(&mut self, ts: Timestamp, dir: Direction) {
        if !self.websocket {
            self.websocket();
        }
        if let Some(mut inspector) = dir.of_mut(&mut self.sides).inspector.take() {
            self.news.at(ts, dir);
            let generation = Arc::clone(&self.generation);
            inspector.message_end(&generation.rules, &mut self.news);
            self.progress(dir, inspector);
        }
        let frames = dir.of_mut(&mut self.news.frames);
        *frames = frames.wrapping_add(1);
    }

    /// One direction is over.
    pub fn end(&mut self, scratch: &mut Scratch, ts: Timestamp, dir: Direction, how: EndKind) {
        let generation = Arc::clone(&self.generation);
        let mut end = SideEnd { how, ..SideEnd::default() };
        let mut whole = how == EndKind::Complete;
        if let Some(mut inspector) = dir.of_mut(&mut self.sides).inspector.take() {
            self.news.at(ts, dir);
            inspector.finish(scratch, &generation.rules, how == EndKind::Cut, &mut self.news);
            end.undecoded = inspector.undecoded();
            end.doubt = self.doubt(dir, &inspector, &mut scratch.stats);
            whole &= end.undecoded.is_none() && matches!(inspector.doubt(), None | Some(Doubt::Broken));
            // What was meant to be a message and cannot be read must not pass in silence; a gap tells of itself.
            let meant = !matches!(dir.of(&self.sides).promise, Promise::Sniff | Promise::Page);
            self.news.telling |= end.doubt.is_some() || meant && end.undecoded.is_some_and(|why| why != "gap");
            end.truncated_at = inspector.truncated_at();
            end.raw_hits_count = inspector.raw_hits_count();
            self.news.telling |= self.news.pattern_hit && (end.raw_hits_count || self.tell_look_alikes);
            let looked = dir.of_mut(&mut self.sides).looked.take();
            if looked.as_deref() != Some(inspector.document()) {
                self.document(dir, inspector.document());
            }
            self.progress(dir, inspector);
            if let Some(inspector) = dir.of_mut(&mut self.sides).inspector.take() {
                scratch.give_back(inspector);
            }
        }
        self.end_form(dir, how);
        scratch.stats.news_left_out += std::mem::take(&mut self.news.left_out);
        let side = dir.of_mut(&mut self.sides);
        side.over = true;
        side.whole = whole;
        if let Some(ended) = self.news.update.ended.get_mut(dir.index()) {
            *ended = Some(end);
        }
        let quote = self.news.pattern_hit.then_some(LookAlike::Quote);
        if self.sides.iter().all(|s| s.over)
            && !self.is_relevant()
            && !self.trail
            && let Some(what) = self.sides.iter().find_map(|s| s.look_alike).or(quote)
        {
            *scratch.stats.look_alikes.entry(what.word()).or_default() += 1;
        }
    }

    /// Why receivers may read what went in `dir` differently.
    fn doubt(&self, dir: Direction, inspector: &Inspector, stats: &mut crate::Stats) -> Option<&'static str> {
        let side = dir.of(&self.sides);
        let foreign = side.look_alike.is_some_and(|what| what != LookAlike::OtherRpc);
        match inspector.doubt() {
            // Much that is sent as JSON is none; without any other sign that hides nothing.
            Some(Doubt::Broken) if !(side.is_json && (self.news.pattern_hit || self.is_relevant())) => {
                stats.broken_json += 1;
                None
            }
            Some(doubt) => Some(doubt.reason()),
            None => (foreign && self.news.shown).then_some("mixed_vocabulary"),
        }
    }

    fn document(&mut self, dir: Direction, document: &mcp::Document) {
        self.trail_of_document(dir, document);
        let provider = document.provider.clone().filter(|p| !p.is_empty());
        let resource = document.resource.clone().filter(|_| document.is_resource_metadata());
        if resource.is_none() && provider.is_none() {
            return;
        }
        if let Some(provider) = &provider {
            self.provider(dir, provider);
        }
        if let Some(resource) = &resource {
            let weight = if mcp::names_mcp(resource) { Weight::Strong } else { Weight::Info };
            self.news.structure("mcp.oauth.metadata", Side::of(dir).body_field(), weight, resource);
        }
        let seen = self.news.update.document.get_or_insert_default();
        seen.side = Some(Side::of(dir));
        seen.resource = resource.or(seen.resource.take());
        if let Some(provider) = provider {
            seen.provider.get_or_insert_default().join(*provider);
        }
    }

    /// How far the JSON of one direction has come, with the content coding off: whether a value is open in it (or in the
    /// WebSocket message under way), so that what it says cannot be judged yet. [`Standing::Before`] as long as a
    /// decoder has given nothing, [`Standing::Lost`] once it is no JSON or cannot be decoded.
    pub fn standing(&self, dir: Direction) -> Standing {
        let side = dir.of(&self.sides);
        match &side.inspector {
            _ if !side.over && side.form.as_deref().is_some_and(mcp::Form::may_be_oauth) => Standing::Open,
            _ if side.let_go || side.over => Standing::Lost,
            None => Standing::Before,
            Some(inspector) => inspector.standing(),
        }
    }

    /// Whether what goes in `dir` is no JSON any more, but may be a message to who reads leniently (comments, other quotes):
    /// then patterns alone may find that, and what they amount to is known at its end.
    pub fn hangs_on_patterns(&self, dir: Direction) -> bool {
        dir.of(&self.sides).inspector.as_deref().is_some_and(Inspector::hangs_on_patterns)
    }

    /// What it holds beside itself, in bytes: an estimate, without what has an account of its own.
    pub fn weight(&self) -> usize {
        self.sides.each_ref().iter().filter_map(|side| side.inspector.as_deref()).map(Inspector::weight).sum()
    }

    /// Whether both directions are over.
    pub fn is_over(&self) -> bool {
        self.sides.iter().all(|s| s.over)
    }

    /// Whether anything of this exchange was worth telling.
    pub fn is_relevant(&self) -> bool {
        self.relevant || self.news.telling
    }

    /// Something was done about it: it is worth telling, whatever it is, and the request is told once more, in case that
    /// was lost.
    pub fn insist(&mut self) {
        self.relevant = true;
        self.request_told = false;
    }

    /// News since the last call; `None` while there is nothing worth telling.
    pub fn take_update(&mut self) -> Option<Box<Update>> {
        if !self.is_relevant() && !self.trail {
            // What is not worth telling must not pile up on a long stream.
            self.news.update.messages.truncate(MAX_UNTOLD);
            return None;
        }
        if let Some(kept) = &self.request {
            self.news.tell_slight(&self.generation.rules, kept);
        }
        let update = &mut self.news.update;
        let news = !update.messages.is_empty()
            || !update.signals.is_empty()
            || update.endpoint.is_some()
            || update.document.is_some()
            || update.trace.is_some()
            || update.oauth.is_some()
            || update.model_call
            || update.ended.iter().any(Option::is_some)
            || update.parsed.iter().any(Option::is_some)
            || self.response.is_some()
            || (self.request.is_some() && !self.request_told);
        if !news {
            return None;
        }
        self.relevant |= self.news.telling;
        let update = &mut self.news.update;
        let mut update = Box::new(std::mem::take(update));
        update.websocket = self.websocket;
        let [request, response] = &self.sides;
        update.bytes = [request.bytes, response.bytes];
        if !std::mem::replace(&mut self.request_told, true) {
            update.request = self.request.as_ref().map(|kept| Box::new(seen(kept)));
        }
        update.response = self.response.take().map(Box::new);
        Some(update)
    }

    /// Leaves what the next exchange can use again. Dropping it instead loses nothing but speed.
    pub fn recycle(self, scratch: &mut Scratch) {
        if let Some(kept) = self.request {
            scratch.heads.give_back(kept);
        }
        for side in self.sides {
            if let Some(inspector) = side.inspector {
                scratch.give_back(inspector);
            }
        }
    }
}
