//! The proxy's side of inspection: heads and bodies of the HTTP library to [`detect::Exchange`], what it says to a
//! verdict, and its news to the serial stage.
//!
//! Only what goes to the server is ever held or stopped. What comes back is looked at, told, and remembered: a server
//! that turns out to speak MCP by its answer has its next request judged by that.

mod conversations;
mod heads;
mod line;
mod outbox;
mod plan;
mod ruling;
#[cfg(test)]
mod tests;

pub(crate) use conversations::Conversations;
pub(crate) use line::{Line, flow, place, tell};
pub(crate) use outbox::Outbox;
pub(crate) use plan::{Caller, refuses_host};
pub(crate) use ruling::{Cause, Ruling, Said, Stage, Verdict};

use crate::clock;
use crate::conn::Conn;
use crate::options::Settings;
use conversations::{Peers, Spot};
use detect::{
    Acted, Action, Assessment, Classification, Confidence, Content, Decision, Exchange, Facet, Generation, Judge,
    MessageSeen, RequestSeen, Standing, Update,
};
use mcp::Kind;
use net::Direction;
use plan::{Asks, Heard, Plan, SESSION};
use proto::{EndKind, ExchangeId};
use ruling::MAX_MESSAGES;
use std::rc::Rc;
use std::sync::Arc;

/// Most pieces of news of one exchange that wait until it is known where its connection goes.
const MAX_WAITING: usize = 16;

/// One request with its answer under inspection.
pub(crate) struct Inspection {
    conn: Rc<Conn>,
    settings: Arc<Settings>,
    number: ExchangeId,
    /// Given back at the end.
    exchange: Option<Exchange>,
    ended: [bool; 2],
    /// There where something may be stopped.
    case: Option<Box<Case>>,
    /// Looks out for MCP where hosts are learned to be passed through: those where it is spoken never are.
    lookout: Option<Box<Judge>>,
    /// News that were not told yet.
    #[expect(clippy::vec_box, reason = "they come in boxes and go in them")]
    waiting: Vec<Box<Update>>,
}

/// What is gathered for a verdict.
#[expect(clippy::struct_excessive_bools, reason = "each is one fact that has or has not been seen yet")]
struct Case {
    plan: Plan,
    asks: Asks,
    judge: Judge,
    /// Messages to the server since the last verdict.
    said: Vec<Said>,
    left_out: u64,
    batch: bool,
    /// How sure the surest of them is MCP by itself: what came before on the same stream, or stands beside it in a batch,
    /// is no excuse for it.
    shown: Option<Confidence>,
    /// A message was JSON-RPC.
    rpc: bool,
    /// One of them begins a conversation.
    starts: bool,
    /// Something waits for a verdict.
    holding: bool,
    /// It was found that what is under way is no JSON; nothing more is asked of it.
    lost: bool,
    /// It was stopped, or that was pretended.
    done: bool,
    /// The place was remembered.
    learned: bool,
    /// So was the session.
    in_session: bool,
    /// The request, once it was told.
    request: Option<Box<RequestSeen>>,
    /// What messages say, as policies ask for it; as many as `said`.
    spoken: Vec<Spoken>,
    /// A header contradicts one of them.
    mismatch: bool,
    peers: Peers,
}

/// A message to the server.
struct Spoken {
    method: Option<String>,
    name: Option<String>,
    content: Option<Arc<Content>>,
}

impl Inspection {
    /// Begins with the head of a request. [`Verdict::Hold`] says that the head waits, too: until a call of
    /// [`Self::body`] or [`Self::end`] says otherwise.
    pub(crate) fn request(conn: &Rc<Conn>, settings: &Arc<Settings>, head: &http::request::Parts) -> (Self, Verdict) {
        let shared = &conn.thread.shared;
        conn.thread.outbox.flush(shared);
        let now = clock::now();
        let plan = Plan::of(conn, settings, head, now);
        // Where a message is MCP by its place alone, and where it is stopped by that, it must be told whatever it says.
        let all =
            shared.options.look_alikes || plan.as_ref().is_some_and(|plan| plan.denied || plan.known.is_some());
        let mut exchange = Exchange::new(Arc::clone(&settings.generation), all);
        {
            let scratch = &mut *conn.thread.scratch.borrow_mut();
            heads::request(conn, head, |head| exchange.request(scratch, now, line::place(conn), head));
        }
        let case =
            plan.filter(|plan| plan.may_stop || plan.denied).map(|plan| Box::new(Case::new(plan, Asks::of(head))));
        let mut inspection = Self {
            conn: Rc::clone(conn),
            settings: Arc::clone(settings),
            number: conn.line.number(),
            exchange: Some(exchange),
            ended: [false; 2],
            case,
            lookout: settings.bypass.learn.is_some().then(Box::default),
            waiting: Vec::new(),
        };
        let verdict = inspection.begin();
        (inspection, verdict)
    }

    /// The verdict on the head.
    fn begin(&mut self) -> Verdict {
        let Some(case) = self.case.as_deref_mut() else { return Verdict::Pass };
        if !case.plan.may_stop {
            return Verdict::Pass;
        }
        if case.asks.awaits {
            case.holding = true;
            return Verdict::Hold;
        }
        self.pull();
        self.weigh()
    }

    /// The head of the answer.
    pub(crate) fn response(&mut self, head: &http::response::Parts) -> Verdict {
        let Some(exchange) = &mut self.exchange else { return Verdict::Pass };
        if let (Some(case), Some(session)) = (self.case.as_deref_mut(), head.headers.get(SESSION)) {
            case.asks.session = Some(session.clone());
        }
        {
            let scratch = &mut *self.conn.thread.scratch.borrow_mut();
            heads::response(head, |head| exchange.response(scratch, clock::now(), head));
        }
        if head.status == http::StatusCode::SWITCHING_PROTOCOLS {
            // The bodies of the handshake are over; what follows are messages.
            self.ended = [false; 2];
        }
        // What else there is to tell comes with the body, or its end.
        let kind = head.headers.get(http::header::CONTENT_TYPE).map(http::HeaderValue::as_bytes);
        let streams = kind.is_some_and(|kind| kind.starts_with(b"text/event-stream"));
        if streams || head.status == http::StatusCode::SWITCHING_PROTOCOLS {
            self.pull();
        }
        Verdict::Pass
    }

    /// Body bytes as they are on the wire, content coding on. At most 64 KiB at once.
    pub(crate) fn body(&mut self, dir: Direction, bytes: &[u8]) -> Verdict {
        let Some(exchange) = &mut self.exchange else { return Verdict::Pass };
        {
            let scratch = &mut *self.conn.thread.scratch.borrow_mut();
            exchange.body(scratch, clock::now(), dir, bytes);
        }
        self.pull();
        if dir == Direction::ToClient { Verdict::Pass } else { self.progress() }
    }

    /// The verdict on body bytes that go to the server.
    fn progress(&mut self) -> Verdict {
        let (Some(exchange), Some(case)) = (&self.exchange, &mut self.case) else { return Verdict::Pass };
        if !case.plan.may_stop || case.done || case.lost {
            return Verdict::Pass;
        }
        let standing = exchange.standing(Direction::ToServer);
        case.lost = standing == Standing::Lost;
        if matches!(standing, Standing::Closed | Standing::Lost) {
            return self.weigh();
        }
        case.holding = true;
        // A batch is one value: it is judged when it is closed. Of values before the one that is open nothing more comes.
        let settled = !case.said.is_empty() && !case.batch;
        let ruling = if settled { self.stopped() } else { None };
        ruling.map_or(Verdict::Hold, Verdict::Act)
    }

    /// A WebSocket message is complete.
    pub(crate) fn message_end(&mut self, dir: Direction) -> Verdict {
        let Some(exchange) = &mut self.exchange else { return Verdict::Pass };
        exchange.message_end(clock::now(), dir);
        if let Some(case) = self.case.as_deref_mut().filter(|_| dir == Direction::ToServer) {
            case.lost = false;
        }
        self.pull();
        if dir == Direction::ToServer { self.weigh() } else { Verdict::Pass }
    }

    /// A direction is over.
    pub(crate) fn end(&mut self, dir: Direction, how: EndKind) -> Verdict {
        let Some(exchange) = &mut self.exchange else { return Verdict::Pass };
        let ended = dir.of_mut(&mut self.ended);
        if std::mem::replace(ended, true) {
            return Verdict::Pass;
        }
        {
            let scratch = &mut *self.conn.thread.scratch.borrow_mut();
            exchange.end(scratch, clock::now(), dir, how);
        }
        self.pull();
        if dir == Direction::ToClient {
            self.send(false);
            return Verdict::Pass;
        }
        let holding = self.case.as_deref().is_some_and(|case| case.holding);
        if holding && how == EndKind::Complete { self.weigh() } else { Verdict::Pass }
    }

    /// Takes news from the exchange: to the judge, and on their way.
    fn pull(&mut self) {
        let Some(update) = self.exchange.as_mut().and_then(Exchange::take_update) else { return };
        if let Some(case) = self.case.as_deref_mut() {
            case.learn(&update);
            case.remember(&self.conn, &update);
        }
        if let Some(lookout) = &mut self.lookout {
            lookout.learn(&update);
            if let Assessment::Mcp(confidence) = lookout.assessment()
                && confidence >= Confidence::Likely
            {
                self.conn.thread.shared.conversations.learn(&Spot::Host(self.conn.host()), confidence, clock::now());
                self.lookout = None;
            }
        }
        self.waiting.push(update);
        // A detection names the server that was connected to, once there is one.
        if line::is_connected(&self.conn) || self.waiting.len() > MAX_WAITING {
            self.send(false);
        }
    }

    fn send(&mut self, surely: bool) {
        for update in self.waiting.drain(..) {
            line::exchange(&self.conn, self.number, update, surely);
        }
    }

    /// The verdict on all that was said so far.
    fn weigh(&mut self) -> Verdict {
        if let Some(ruling) = self.stopped() {
            return Verdict::Act(ruling);
        }
        if let Some(case) = &mut self.case {
            case.pass();
        }
        Verdict::Pass
    }

    /// What to do instead, where the policy stops what was said so far.
    fn stopped(&mut self) -> Option<Box<Ruling>> {
        let case = self.case.as_deref_mut().filter(|case| !case.done)?;
        let confidence = case.confidence();
        let (classification, decision) = case.decide(&self.conn, &self.settings.generation, confidence);
        decision.stops().then(|| {
            let confidence = confidence.unwrap_or(Confidence::Possible);
            Box::new(case.ruling(&self.conn, decision, (classification, confidence), Cause::Policy))
        })
    }

    /// What to do where something cannot be held any longer, or our own code failed, and the configuration says to stop
    /// traffic then. What is to be stopped by policy anyway is stopped by that.
    pub(crate) fn refuse(&mut self, cause: Cause) -> Box<Ruling> {
        if let Some(ruling) = self.stopped() {
            return ruling;
        }
        let generation = Arc::clone(&self.settings.generation);
        let message = generation.policy.message().cloned();
        let decision = Decision { action: Action::Block, message, ..Decision::LOG };
        Box::new(match self.case.as_deref_mut() {
            Some(case) => {
                let confidence = case.confidence().unwrap_or(Confidence::Possible);
                let classification = case.plan.classification(Some(confidence));
                case.ruling(&self.conn, decision, (classification, confidence), cause)
            }
            None => {
                let bare = Ruling::bare(self.conn.host(), self.conn.client.ip(), cause);
                Ruling { decision, user: self.conn.user.clone(), stage: Stage::Request, ..bare }
            }
        })
    }

    /// What was done about a ruling: `delivered` is `none`, `partial` or `whole`.
    pub(crate) fn acted(&mut self, ruling: &Ruling, delivered: &'static str) {
        if ruling.left_out > 0 {
            self.conn.thread.shared.counters.count("limit", "messages_per_answer");
        }
        self.tell_of(Acted {
            decision: ruling.decision.clone(),
            taken: ruling.decision.action,
            classification: ruling.classification,
            confidence: ruling.confidence,
            stage: ruling.stage.word(),
            delivered,
            cause: ruling.cause.word(),
            reason: ruling.cause.reason(),
        });
    }

    fn tell_of(&mut self, acted: Acted) {
        let Some(exchange) = &mut self.exchange else { return };
        exchange.insist();
        let mut update = exchange.take_update().unwrap_or_default();
        update.acted = Some(Box::new(acted));
        self.waiting.push(update);
        self.send(true);
    }
}

impl Drop for Inspection {
    fn drop(&mut self) {
        self.end(Direction::ToServer, EndKind::Cut);
        self.end(Direction::ToClient, EndKind::Cut);
        // To a server that is denied, in pretence: everything is written that would have been stopped.
        if let Some(case) = self.case.as_deref().filter(|case| case.plan.denied && !case.done) {
            let confidence = case.confidence().unwrap_or(Confidence::Possible);
            let (classification, decision) = case.decide(&self.conn, &self.settings.generation, Some(confidence));
            let stage = case.stage().word();
            if decision.dry_run {
                let (taken, delivered, cause) = (Action::Log, "whole", "policy");
                let reason = None;
                self.tell_of(Acted { decision, taken, classification, confidence, stage, delivered, cause, reason });
            }
        }
        self.send(false);
        if let Some(exchange) = self.exchange.take()
            && let Ok(mut scratch) = self.conn.thread.scratch.try_borrow_mut()
        {
            exchange.recycle(&mut scratch);
        }
    }
}

impl Case {
    fn new(plan: Plan, asks: Asks) -> Self {
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
        }
    }

    /// Takes in news.
    fn learn(&mut self, update: &Update) {
        self.judge.learn(update);
        if let Some(request) = update.request.as_deref() {
            self.request = Some(Box::new(request.clone()));
        }
        self.meet(update);
        for seen in update.messages.iter().filter(|seen| seen.dir == Direction::ToServer) {
            self.hear(seen);
        }
    }

    fn hear(&mut self, seen: &MessageSeen) {
        let message = &seen.message;
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
            self.spoken.push(Spoken { method: method.clone(), name: name.clone(), content: seen.content.clone() });
            self.said.push(Said { kind, method, name, id });
        } else {
            self.left_out += 1;
        }
    }

    /// Remembers the place once the server has shown that it speaks MCP.
    fn remember(&mut self, conn: &Conn, update: &Update) {
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
    fn confidence(&self) -> Option<Confidence> {
        let own = match self.judge.assessment() {
            Assessment::Mcp(confidence) => Some(confidence),
            Assessment::LookAlike(_) | Assessment::Nothing => None,
        };
        let known = self.plan.known.filter(|_| self.rpc || self.asks.by_head);
        let denied = self.plan.denied.then_some(Confidence::Possible);
        own.max(self.shown).max(known).max(denied)
    }

    /// What client and server call themselves, and the revision that is in use.
    fn meet(&mut self, update: &Update) {
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
    fn decide(
        &self,
        conn: &Conn,
        generation: &Generation,
        confidence: Option<Confidence>,
    ) -> (Classification, Decision) {
        let mut facets = Vec::new();
        for said in &self.spoken {
            let (method, name) = (said.method.as_deref(), said.name.as_deref());
            Facet::add(&mut facets, Direction::ToServer, method, name, said.content.as_deref());
        }
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
            facets: &facets,
        };
        self.plan.decide(conn, generation, confidence, &heard)
    }

    fn stage(&self) -> Stage {
        match () {
            () if self.plan.refused => Stage::Connect,
            () if self.said.is_empty() => Stage::Request,
            () => Stage::Message,
        }
    }

    /// Whether the client can still be sent elsewhere. Who names a session that this server did not give was sent
    /// elsewhere at its start, follows each answer, and asks here again. A stream of HTTP+SSE that is open stays here.
    fn starts(&self) -> bool {
        let foreign = !self.plan.in_session && (self.asks.session.is_some() || !self.said.is_empty());
        self.plan.endpoint.is_none() && (self.starts || foreign)
    }

    /// What was said may pass.
    fn pass(&mut self) {
        self.holding = false;
        self.said.clear();
        self.spoken.clear();
        self.mismatch = false;
        self.left_out = 0;
        self.batch = false;
        self.shown = None;
        self.starts = false;
    }

    fn ruling(
        &mut self,
        conn: &Conn,
        decision: Decision,
        (classification, confidence): (Classification, Confidence),
        cause: Cause,
    ) -> Ruling {
        self.done = true;
        let start = self.starts();
        Ruling {
            decision,
            confidence,
            classification,
            host: conn.host().to_owned(),
            client: conn.client.ip(),
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
