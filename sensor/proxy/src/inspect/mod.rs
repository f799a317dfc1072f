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
pub(crate) use plan::refuses_host;
pub(crate) use ruling::{Cause, Ruling, Said, Stage, Verdict};

use crate::clock;
use crate::conn::Conn;
use crate::options::Settings;
use conversations::Spot;
use detect::{
    Acted, Action, Assessment, Classification, Confidence, Decision, Exchange, Judge, MessageSeen, Standing, Update,
};
use mcp::Kind;
use net::Direction;
use plan::{Asks, Plan, SESSION};
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
    /// Normalised path, once it was told.
    path: Option<Box<str>>,
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
        let all = shared.options.look_alikes || plan.is_some_and(|plan| plan.denied || plan.known.is_some());
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
        let confidence = case.confidence()?;
        let (classification, decision) = case.plan.decide(&self.settings.generation, confidence);
        decision.stops().then(|| {
            let host = self.conn.host().to_owned();
            Box::new(case.ruling(decision, classification, confidence, host, Cause::Policy))
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
        let host = self.conn.host().to_owned();
        let (unsure, unknown) = (Confidence::Possible, Classification::Unknown);
        Box::new(match self.case.as_deref_mut() {
            Some(case) => {
                let confidence = case.confidence().unwrap_or(unsure);
                let (classification, _) = case.plan.decide(&generation, confidence);
                case.ruling(decision, classification, confidence, host, cause)
            }
            None => Ruling {
                decision,
                confidence: unsure,
                classification: unknown,
                host,
                messages: Vec::new(),
                left_out: 0,
                batch: false,
                start: false,
                apart: false,
                stage: Stage::Request,
                cause,
            },
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
            let (classification, decision) = case.plan.decide(&self.settings.generation, confidence);
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
            path: None,
        }
    }

    /// Takes in news.
    fn learn(&mut self, update: &Update) {
        self.judge.learn(update);
        if let Some(request) = update.request.as_deref() {
            self.path = Some(request.path().normal.as_str().into());
        }
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
            self.said.push(Said { kind, method, id });
        } else {
            self.left_out += 1;
        }
    }

    /// Remembers the place once the server has shown that it speaks MCP.
    fn remember(&mut self, conn: &Conn, update: &Update) {
        let conversations = &conn.thread.shared.conversations;
        let Some(path) = self.path.as_deref() else { return };
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
            conversations.learn(&Spot::Session(host, port, path, session), Confidence::Possible, now);
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
        self.left_out = 0;
        self.batch = false;
        self.shown = None;
        self.starts = false;
    }

    fn ruling(
        &mut self,
        decision: Decision,
        classification: Classification,
        confidence: Confidence,
        host: String,
        cause: Cause,
    ) -> Ruling {
        self.done = true;
        let start = self.starts();
        Ruling {
            decision,
            confidence,
            classification,
            host,
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
