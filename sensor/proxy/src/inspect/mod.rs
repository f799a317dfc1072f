//! The proxy's side of inspection: heads and bodies of the HTTP library to [`detect::Exchange`], what it says to a
//! verdict, and its news to the serial stage.
//!
//! What goes to the server is held or stopped. What comes back is looked at, told, and remembered: a server that turns out
//! to speak MCP by its answer has its next request judged by that. It is held only where a policy acts on answers.

mod case;
mod conversations;
mod heads;
mod line;
mod outbox;
mod plan;
mod rewrite;
mod ruling;
#[cfg(test)]
mod tests;
mod tools;
mod trail;

pub(crate) use conversations::Conversations;
pub(crate) use line::{Line, flow, place, tell};
pub(crate) use outbox::Outbox;
pub(crate) use plan::{Caller, refuses_host};
pub(crate) use rewrite::{ask_plain, ask_plain_websocket, changed, is_editable, is_event_stream};
#[cfg(test)]
pub(crate) use ruling::Said;
pub(crate) use ruling::{Cause, Ruling, Speech, Stage, Verdict};

use crate::clock;
use crate::conn::Conn;
use crate::options::Settings;
use case::{Case, Spoken};
use conversations::Spot;
use detect::{Acted, Action, Assessment, Confidence, Decision, Exchange, Judge, Standing, Update};
use net::Direction;
use plan::{Asks, Plan, SESSION};
use proto::{EndKind, ExchangeId};
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
    /// What follows are messages of a WebSocket.
    websocket: bool,
    /// Looks out for MCP where hosts are learned to be passed through: those where it is spoken never are.
    lookout: Option<Box<Judge>>,
    /// What it shows of the way to an access token.
    trail: Option<Box<trail::Trail>>,
    /// News that were not told yet.
    #[expect(clippy::vec_box, reason = "they come in boxes and go in them")]
    waiting: Vec<Box<Update>>,
    /// Some of them tell of what was changed, and must not be lost.
    surely: bool,
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
        let all = shared.options.look_alikes || plan.as_ref().is_some_and(|plan| plan.denied || plan.known.is_some());
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
            websocket: false,
            lookout: settings.bypass.learn.is_some().then(Box::default),
            trail: None,
            waiting: Vec::new(),
            surely: false,
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
        if case.asks.awaits || (case.plan.redacts && case.asks.repeats) {
            case.holding = true;
            return Verdict::Hold;
        }
        self.pull();
        let verdict = self.weigh();
        self.told(verdict)
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
            self.websocket = true;
        }
        // What else there is to tell comes with the body, or its end.
        let kind = head.headers.get(http::header::CONTENT_TYPE).map(http::HeaderValue::as_bytes);
        let streams = kind.is_some_and(|kind| kind.starts_with(b"text/event-stream"));
        if streams || head.status == http::StatusCode::SWITCHING_PROTOCOLS {
            self.pull();
            self.flush();
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
        let verdict = if dir == Direction::ToClient { self.progress_of_answer() } else { self.progress() };
        self.told(verdict)
    }

    /// The verdict on body bytes that come back.
    fn progress_of_answer(&mut self) -> Verdict {
        if !self.rewrites(Direction::ToClient) {
            return Verdict::Pass;
        }
        let standing = self.exchange.as_ref().map_or(Standing::Lost, |exchange| exchange.standing(Direction::ToClient));
        match standing {
            Standing::Lost => self.weigh_answers(),
            Standing::Closed if !self.websocket => self.weigh_answers(),
            Standing::Closed | Standing::Before | Standing::Open => Verdict::Hold,
        }
    }

    /// The verdict on body bytes that go to the server.
    fn progress(&mut self) -> Verdict {
        let (Some(exchange), Some(case)) = (&self.exchange, &mut self.case) else { return Verdict::Pass };
        if !case.plan.may_stop || case.done || case.lost {
            return Verdict::Pass;
        }
        let standing = exchange.standing(Direction::ToServer);
        if !self.websocket && exchange.hangs_on_patterns(Direction::ToServer) {
            // Lenient servers read what is no JSON to us; whether patterns found MCP in it is known at its end.
            case.holding = true;
            return self.stopped().map_or(Verdict::Hold, Verdict::Act);
        }
        case.lost = standing == Standing::Lost;
        // What may be changed waits for the end of its message.
        let waits = self.websocket && case.plan.redacts && standing == Standing::Closed;
        if matches!(standing, Standing::Closed | Standing::Lost) && !waits {
            // What is no message may be a registration, or a call of a model.
            if standing == Standing::Closed && !self.websocket && case.said.is_empty() {
                if let Some(exchange) = &mut self.exchange {
                    exchange.look(Direction::ToServer);
                }
                self.pull();
            }
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
        let verdict = if dir == Direction::ToServer { self.weigh() } else { self.weigh_answers() };
        self.told(verdict)
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
            let verdict = self.weigh_answers();
            if !matches!(verdict, Verdict::Edit) {
                self.send(false);
            }
            return verdict;
        }
        let holding = self.case.as_deref().is_some_and(|case| case.holding);
        let verdict = if holding && how == EndKind::Complete { self.weigh() } else { Verdict::Pass };
        self.told(verdict)
    }

    /// Takes news from the exchange: to the judge, and on their way.
    fn pull(&mut self) {
        let Some(update) = self.exchange.as_mut().and_then(Exchange::take_update) else { return };
        if let Some(case) = self.case.as_deref_mut() {
            case.learn(&self.conn, &update);
            case.remember(&self.conn, &update);
        }
        // The head may be told long before an answer shows that it was such a step.
        if (update.request.is_some() || update.oauth.is_some()) && self.settings.generation.asks_to_act() {
            let trail = self.trail.get_or_insert_default();
            let found = trail.learn(&self.conn, &self.settings.generation, &update);
            if let (Some(case), Some(found)) = (self.case.as_deref_mut(), found) {
                case.authorization = Some(Box::new(found.clone()));
            }
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
        // What is changed is told with what it was changed in.
        let changes = self.rewrites(Direction::ToClient) || self.rewrites(Direction::ToServer);
        if !changes || self.waiting.len() > MAX_WAITING {
            self.flush();
        }
    }

    /// Tells what waits, once nothing is to be added to it by this verdict.
    fn told(&mut self, verdict: Verdict) -> Verdict {
        if !self.waiting.is_empty() && matches!(verdict, Verdict::Pass | Verdict::Act(_)) {
            self.flush();
        }
        verdict
    }

    /// A detection names the server that was connected to, once there is one.
    fn flush(&mut self) {
        if line::is_connected(&self.conn) || self.waiting.len() > MAX_WAITING {
            self.send(false);
        }
    }

    fn send(&mut self, surely: bool) {
        let surely = std::mem::take(&mut self.surely) || surely;
        for update in self.waiting.drain(..) {
            line::exchange(&self.conn, self.number, update, surely);
        }
    }

    /// The verdict on all that was said so far.
    fn weigh(&mut self) -> Verdict {
        if let Some(ruling) = self.stopped() {
            return Verdict::Act(ruling);
        }
        let verdict = self.weigh_redaction();
        if let Some(case) = &mut self.case {
            case.pass();
        }
        verdict
    }

    /// What to do instead, where the policy stops what was said so far.
    fn stopped(&mut self) -> Option<Box<Ruling>> {
        let case = self.case.as_deref_mut().filter(|case| !case.done)?;
        let confidence = case.confidence();
        let (classification, decision) = case.decide(&self.conn, &self.settings.generation, confidence);
        // Of messages beyond those that are kept no policy was asked. Nobody sends so many in one.
        let unjudged = case.left_out > 0 && case.plan.may_stop && self.settings.generation.has_policies();
        let (decision, cause) = match () {
            () if decision.stops() => (decision, Cause::Policy),
            () if unjudged => (Decision { action: Action::Block, ..Decision::LOG }, Cause::Limit("messages")),
            () => return None,
        };
        let confidence = confidence.unwrap_or(Confidence::Possible);
        Some(Box::new(case.ruling(&self.conn, decision, (classification, confidence), cause)))
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
        let Some(case) = self.case.as_deref_mut() else {
            let bare = Ruling::bare(self.conn.host(), self.conn.client.ip(), cause);
            return Box::new(Ruling { decision, user: self.conn.user.clone(), stage: Stage::Request, ..bare });
        };
        let confidence = case.confidence().unwrap_or(Confidence::Possible);
        let classification = case.plan.classification(Some(confidence));
        Box::new(case.ruling(&self.conn, decision, (classification, confidence), cause))
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
        self.leave_calls();
        self.send(false);
        if let Some(exchange) = self.exchange.take()
            && let Ok(mut scratch) = self.conn.thread.scratch.try_borrow_mut()
        {
            exchange.recycle(&mut scratch);
        }
    }
}
