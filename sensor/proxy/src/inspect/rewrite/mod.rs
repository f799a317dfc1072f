//! What passes changed: answers of which a policy hides, takes out or stops something, and requests of which it takes
//! data out.
//!
//! The inspector sees what came; only what goes on is another. Nothing is kept of a message once it was decided.

mod calls;
mod fields;

pub(super) use calls::Calls;
pub(in crate::inspect) use fields::repeats;
pub(crate) use fields::{ask_plain, ask_plain_websocket, changed, is_editable, is_event_stream};

use super::conversations::Spot;
use super::ruling::{Cause, Ruling, Said, Stage, Verdict};
use super::{Case, Inspection, Spoken};
use crate::answer;
use crate::conn::Conn;
use calls::Call;
use detect::dlp::ProfileSet;
use detect::rewrite::{Changed, New, change, filter_tools, lists_tools, redact, redact_text};
use detect::{
    Acted, Action, Classification, Confidence, Content, Decision, Facet, Generation, MessageSeen, PolicyId, Standing,
};
use http::{HeaderMap, HeaderValue};
use mcp::{Id, Kind};
use net::Direction;
use std::borrow::Cow;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

/// Most calls of one exchange that wait for an answer; beyond, the oldest is forgotten.
const MAX_CALLS: usize = 1024;
/// Most policies of one exchange of which it is remembered that they were told of.
const MAX_TOLD: usize = 64;

/// What is gathered of one exchange to change its messages.
#[derive(Default)]
pub(super) struct Rewrites {
    /// Calls that wait for an answer.
    calls: VecDeque<(Id, Call)>,
    /// What came back since the last verdict.
    answers: Vec<Answer>,
    /// What is to be changed, of both directions.
    edits: [Vec<Edit>; 2],
    /// What was taken out of the request: by which profiles, and values before and after.
    redacted: Option<(ProfileSet, Vec<(String, String)>)>,
    /// Where messages of this event stream of HTTP+SSE go.
    endpoint: Option<[u8; 32]>,
    /// Policies that were told of.
    told: Vec<(PolicyId, Action)>,
}

/// A message to the client.
struct Answer {
    kind: Kind,
    id: Option<Id>,
    /// What it answers; of other messages itself.
    call: Option<Call>,
    content: Option<Arc<Content>>,
    offset: u64,
    lists_tools: bool,
}

/// What becomes of one message.
struct Edit {
    /// Where it begins in the text that it was read from.
    offset: u64,
    what: What,
    classification: Classification,
    confidence: Confidence,
}

enum What {
    /// Tools are hidden; then data may be taken out of what is left.
    Filter(Option<(ProfileSet, Decision)>),
    Redact(ProfileSet, Decision),
    /// An error stands in its place, or nothing.
    Stop(Option<String>, Decision),
}

/// A message that is to be changed was not found in its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unfound;

impl Inspection {
    /// Whether what goes in `dir` may be changed: then messages are to be held until there is a verdict, with the content
    /// coding off.
    pub(crate) fn rewrites(&self, dir: Direction) -> bool {
        self.case.as_deref().is_some_and(|case| match dir {
            Direction::ToServer => case.plan.redacts && !case.lost,
            Direction::ToClient => case.plan.answers,
        })
    }

    /// Whether messages may come back that may be changed, by what was asked: of most requests to most servers none will.
    pub(crate) fn expects_messages(&self) -> bool {
        let Some(case) = self.case.as_deref().filter(|case| case.plan.answers) else { return false };
        let standing = self.exchange.as_ref().map_or(Standing::Lost, |exchange| exchange.standing(Direction::ToServer));
        let under_way = case.asks.awaits && matches!(standing, Standing::Before | Standing::Open);
        case.rpc || case.asks.by_head || case.plan.known.is_some() || under_way
    }

    /// Nothing that goes in `dir` can be changed: it need not be held for that.
    pub(crate) fn leave(&mut self, dir: Direction) {
        if let Some(case) = self.case.as_deref_mut() {
            *if dir == Direction::ToServer { &mut case.plan.redacts } else { &mut case.plan.answers } = false;
        }
    }

    /// Bodies in `dir` come with the content coding off.
    pub(crate) fn plain(&mut self, dir: Direction) {
        if let Some(exchange) = &mut self.exchange {
            exchange.plain(dir);
        }
    }

    /// The verdict on what came back so far.
    pub(super) fn weigh_answers(&mut self) -> Verdict {
        let Some(case) = self.case.as_deref_mut().filter(|case| case.plan.answers) else { return Verdict::Pass };
        let answers = std::mem::take(&mut case.rewrites.answers);
        let generation = &*self.settings.generation;
        for answer in &answers {
            let edit = case.judge_answer(&self.conn, generation, answer);
            Direction::ToClient.of_mut(&mut case.rewrites.edits).extend(edit);
        }
        case.edits(Direction::ToClient)
    }

    /// The verdict on what was said, where none of it is stopped.
    pub(super) fn weigh_redaction(&mut self) -> Verdict {
        let Some(case) = self.case.as_deref_mut().filter(|case| case.plan.redacts && !case.done) else {
            return Verdict::Pass;
        };
        case.redactions(&self.conn, &self.settings.generation);
        case.edits(Direction::ToServer)
    }

    /// Makes of `text` what may pass; `base` is where it begins in what was looked at in `dir` (a body, the data of an event,
    /// a WebSocket message). `None`: as it is.
    ///
    /// # Errors
    ///
    /// [`Unfound`]: nothing can be said of what it holds.
    pub(crate) fn edit(&mut self, dir: Direction, base: u64, text: &[u8]) -> Result<Option<Vec<u8>>, Unfound> {
        let Some(case) = self.case.as_deref_mut() else { return Ok(None) };
        let mut edits = std::mem::take(dir.of_mut(&mut case.rewrites.edits));
        if edits.is_empty() {
            return Ok(None);
        }
        edits.sort_by_key(|edit| edit.offset);
        let offsets: Option<Vec<u64>> = edits.iter().map(|edit| edit.offset.checked_sub(base)).collect();
        let mut done: Vec<(usize, Decision, Action)> = Vec::new();
        let mut values = Vec::new();
        let generation = &*self.settings.generation;
        let changed = change(text, &offsets.ok_or(Unfound)?, &mut |index, message| match edits.get(index) {
            Some(edit) => case.apply(&self.conn, generation, (edit, message), &mut values, &mut |decision, action| {
                done.push((index, decision, action));
            }),
            None => New::Same,
        });
        let changed = changed.ok_or(Unfound)?;
        if dir == Direction::ToServer {
            case.keep_redacted(&edits, values);
        }
        for (index, decision, taken) in done {
            if let Some(edit) = edits.get(index) {
                self.tell_edit(dir, edit, decision, taken);
            }
        }
        self.flush();
        Ok(match changed {
            Changed::No => None,
            Changed::To(text) => Some(text),
        })
    }

    /// Nothing of what waits can be changed any more.
    pub(crate) fn forget_edits(&mut self, dir: Direction) {
        if let Some(case) = self.case.as_deref_mut() {
            dir.of_mut(&mut case.rewrites.edits).clear();
        }
    }

    /// What to do about a request of which something cannot be taken out any more, since part of it is gone.
    pub(crate) fn cannot_edit(&mut self) -> Option<Box<Ruling>> {
        let case = self.case.as_deref_mut()?;
        let edit = std::mem::take(Direction::ToServer.of_mut(&mut case.rewrites.edits)).into_iter().next()?;
        let (What::Redact(_, decision) | What::Stop(_, decision) | What::Filter(Some((_, decision)))) = edit.what
        else {
            return None;
        };
        let decision = Decision { action: Action::Block, ..decision };
        Some(Box::new(case.ruling(&self.conn, decision, (edit.classification, edit.confidence), Cause::Policy)))
    }

    fn tell_edit(&mut self, dir: Direction, edit: &Edit, decision: Decision, taken: Action) {
        self.conn.thread.shared.counters.count("actions", taken.word());
        let Some(case) = self.case.as_deref_mut() else { return };
        let told = &mut case.rewrites.told;
        let policy = (decision.policy.clone(), taken);
        // An event stream is one record; each message of a WebSocket is another.
        if !self.websocket {
            if told.contains(&policy) || told.len() >= MAX_TOLD {
                return;
            }
            told.push(policy);
        }
        let stage = if dir == Direction::ToServer { Stage::Message } else { Stage::Response };
        let acted = Acted {
            decision,
            taken,
            classification: edit.classification,
            confidence: edit.confidence,
            stage: stage.word(),
            delivered: "whole",
            cause: "policy",
            reason: None,
        };
        match self.waiting.last_mut().filter(|update| update.acted.is_none()) {
            Some(update) => {
                update.acted = Some(Box::new(acted));
                self.surely = true;
            }
            None => self.tell_of(acted),
        }
    }

    /// Takes out of the head of the request what was taken out of its messages: a field that repeats a value must not say
    /// what the body does not say any more.
    pub(crate) fn redact_head(&self, headers: &mut HeaderMap) {
        let redacted = self.case.as_deref().and_then(|case| case.rewrites.redacted.as_ref());
        let Some((profiles, values)) = redacted else { return };
        let known = self.settings.generation.rules.dlp();
        for (name, value) in headers.iter_mut() {
            let Some(param) = repeats(name) else { continue };
            let text = fields::read(value);
            let text = &*text;
            let same = values.iter().find(|(before, _)| before == text).map(|(_, after)| after.clone());
            if let Some(new) = same.or_else(|| redact_text(known, *profiles, param, text)) {
                *value = HeaderValue::try_from(new).unwrap_or(HeaderValue::from_static("[redacted]"));
            }
        }
    }

    /// What to say in place of an answer that cannot be judged: an error for each call that waits.
    pub(crate) fn refuse_answer(&mut self, cause: Cause) -> Box<Ruling> {
        let mut ruling = Ruling::bare(self.conn.host(), self.conn.client.ip(), cause);
        ruling.user.clone_from(&self.conn.user);
        ruling.stage = Stage::Response;
        if let Some(case) = self.case.as_deref_mut() {
            ruling.confidence = case.confidence().unwrap_or(Confidence::Possible);
            ruling.classification = case.plan.classification(Some(ruling.confidence));
            let calls = std::mem::take(&mut case.rewrites.calls).into_iter();
            ruling.messages = calls.map(|(id, call)| call.said(Some(id))).collect();
            ruling.batch = ruling.messages.len() > 1;
        }
        Box::new(ruling)
    }

    /// Calls that were not answered here may be answered on another stream.
    pub(super) fn leave_calls(&mut self) {
        let Some(case) = self.case.as_deref_mut().filter(|case| !case.rewrites.calls.is_empty()) else { return };
        let calls = std::mem::take(&mut case.rewrites.calls);
        if case.plan.endpoint.is_some() || self.websocket {
            return;
        }
        let conversations = &self.conn.thread.shared.conversations;
        case.with_session(&self.conn, |session| {
            for (id, call) in calls {
                conversations.called(session, &id, call, crate::clock::now());
            }
        });
    }
}

impl Case {
    /// Takes in a message that goes to the server.
    pub(super) fn hear_call(&mut self, conn: &Conn, seen: &MessageSeen) {
        let Some(id) = seen.message.id.clone().filter(|_| seen.message.kind() == Kind::Request) else { return };
        let call = Call::of(&seen.message);
        if let Some(endpoint) = &self.plan.endpoint {
            let now = crate::clock::now();
            conn.thread.shared.conversations.called(&Spot::Endpoint(endpoint), &id, call.clone(), now);
        }
        let calls = &mut self.rewrites.calls;
        if calls.len() >= MAX_CALLS {
            calls.pop_front();
            conn.thread.shared.counters.count("limit", "calls_waiting");
        }
        calls.push_back((id, call));
    }

    /// Takes in a message that goes to the client.
    pub(super) fn hear_answer(&mut self, conn: &Conn, seen: &MessageSeen) {
        let message = &seen.message;
        let kind = message.kind();
        let call = match kind {
            Kind::Other => return,
            Kind::Request | Kind::Notification => Some(Call::of(message)),
            Kind::Result | Kind::Error => message.id.as_ref().and_then(|id| self.answered(conn, id)),
        };
        self.rewrites.answers.push(Answer {
            kind,
            id: message.id.clone(),
            call,
            content: seen.content.clone(),
            offset: message.offset,
            lists_tools: lists_tools(message),
        });
    }

    /// Where messages of this stream go.
    pub(super) const fn learn_endpoint(&mut self, endpoint: [u8; 32]) {
        self.rewrites.endpoint = Some(endpoint);
    }

    /// The call of that id, which does not wait any more.
    fn answered(&mut self, conn: &Conn, id: &Id) -> Option<Call> {
        let calls = &mut self.rewrites.calls;
        if let Some(at) = calls.iter().position(|(known, _)| known == id) {
            return calls.remove(at).map(|(_, call)| call);
        }
        let conversations = &conn.thread.shared.conversations;
        match &self.rewrites.endpoint {
            Some(endpoint) => conversations.answered(&Spot::Endpoint(endpoint), id),
            None => self.with_session(conn, |session| conversations.answered(session, id)).flatten(),
        }
    }

    /// The session that the request names.
    fn with_session<R>(&self, conn: &Conn, then: impl FnOnce(&Spot<'_>) -> R) -> Option<R> {
        let session = self.asks.session.as_ref()?.as_bytes();
        Some(then(&Spot::Session(conn.host(), conn.authority.port, self.plan.path(), Some(session))))
    }

    fn edits(&self, dir: Direction) -> Verdict {
        if dir.of(&self.rewrites.edits).is_empty() { Verdict::Pass } else { Verdict::Edit }
    }

    /// What becomes of a message to the client.
    fn judge_answer(&self, conn: &Rc<Conn>, generation: &Generation, answer: &Answer) -> Option<Edit> {
        let policies = generation.rules.policies();
        let mut facets = Vec::new();
        let (method, name) = answer.call.as_ref().map_or((None, None), Call::parts);
        Facet::add(&mut facets, Direction::ToClient, method, name, answer.content.as_deref());
        let confidence = self.confidence();
        let (classification, decision) = self.decide_on(conn, generation, confidence, &mut facets);
        let rule = policies.get(&decision.policy).filter(|rule| rule.acts_on_answers() && !rule.dry_run);
        let confidence = confidence.unwrap_or(Confidence::Possible);
        let edit = |what| Some(Edit { offset: answer.offset, what, classification, confidence });
        let redact = match rule {
            Some(_) if decision.stops() => {
                let answers = matches!(answer.kind, Kind::Result | Kind::Error);
                let instead = answers.then(|| {
                    let mut ruling = Ruling::bare(conn.host(), conn.client.ip(), Cause::Policy);
                    ruling.user.clone_from(&conn.user);
                    (ruling.confidence, ruling.classification) = (confidence, classification);
                    ruling.stage = Stage::Response;
                    ruling.decision = decision.clone();
                    let call = answer.call.clone().unwrap_or_default();
                    ruling.messages.push(call.said(answer.id.clone()));
                    answer::websocket_text(&ruling)
                });
                return edit(What::Stop(instead, decision));
            }
            Some(rule) if decision.action == Action::Redact => Some((rule.profiles(), decision)),
            _ => None,
        };
        let filters = answer.lists_tools && policies.rules().iter().any(|rule| rule.action == Action::Filter);
        match redact {
            redact if filters => edit(What::Filter(redact)),
            Some((profiles, decision)) => edit(What::Redact(profiles, decision)),
            None => None,
        }
    }

    /// Notes what is to be taken out of what was said.
    fn redactions(&mut self, conn: &Rc<Conn>, generation: &Generation) {
        let confidence = self.confidence();
        let mut edits = Vec::new();
        for (said, spoken) in self.said.iter().zip(&self.spoken) {
            let Spoken { content: Some(content), offset } = spoken else { continue };
            if content.dlp.is_empty() {
                continue;
            }
            let mut facets = Vec::new();
            let (method, name) = (said.method.as_deref(), said.name.as_deref());
            Facet::add(&mut facets, Direction::ToServer, method, name, Some(content));
            let (classification, decision) = self.decide_on(conn, generation, confidence, &mut facets);
            let rule = generation.rules.policies().get(&decision.policy);
            let rule = rule.filter(|rule| rule.redacts_requests() && !rule.dry_run);
            if let Some(rule) = rule {
                let confidence = confidence.unwrap_or(Confidence::Possible);
                let what = What::Redact(rule.profiles(), decision);
                edits.push(Edit { offset: *offset, what, classification, confidence });
            }
        }
        Direction::ToServer.of_mut(&mut self.rewrites.edits).extend(edits);
    }

    /// Changes one message, and says what was done to it.
    fn apply(
        &self,
        conn: &Rc<Conn>,
        generation: &Generation,
        (edit, message): (&Edit, &[u8]),
        values: &mut Vec<(String, String)>,
        done: &mut dyn FnMut(Decision, Action),
    ) -> New {
        let profiles = generation.rules.dlp();
        let mut new = Cow::Borrowed(message);
        let redaction = match &edit.what {
            What::Stop(instead, decision) => {
                done(decision.clone(), decision.action);
                return instead.as_ref().map_or(New::Nothing, |error| New::Text(error.clone().into_bytes()));
            }
            What::Redact(set, decision) => Some((*set, decision)),
            What::Filter(redaction) => {
                let mut hiding = None;
                let left = self.with_subject(conn, generation, self.confidence(), &[], |_, subject, _| {
                    filter_tools(message, &mut |tool, class| {
                        let rule = generation.rules.policies().hides(subject, tool, class);
                        hiding = hiding.take().or_else(|| rule.map(detect::Rule::decision));
                        rule.is_some()
                    })
                });
                if let (Some(left), Some(decision)) = (left, hiding) {
                    done(decision, Action::Filter);
                    new = Cow::Owned(left);
                }
                redaction.as_ref().map(|(set, decision)| (*set, decision))
            }
        };
        if let Some((set, decision)) = redaction
            && let Some(redacted) = redact(profiles, set, &new)
        {
            done(decision.clone(), Action::Redact);
            values.extend(redacted.values);
            new = Cow::Owned(redacted.text);
        }
        match new {
            Cow::Owned(new) => New::Text(new),
            Cow::Borrowed(_) => New::Same,
        }
    }

    /// Keeps what was taken out of the request, for its head.
    fn keep_redacted(&mut self, edits: &[Edit], values: Vec<(String, String)>) {
        for edit in edits {
            if let What::Redact(set, _) = &edit.what {
                let (sets, _) = self.rewrites.redacted.get_or_insert_default();
                *sets = sets.union(*set);
            }
        }
        if let Some((_, known)) = &mut self.rewrites.redacted {
            *known = values;
        }
    }
}

impl Call {
    /// As a message that waits for an answer.
    fn said(self, id: Option<Id>) -> Said {
        Said { kind: Kind::Request, method: self.method.map(String::from), name: self.name.map(String::from), id }
    }
}
