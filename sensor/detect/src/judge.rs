//! What the news of one exchange amount to while it is under way, for who must decide at once.

use crate::observation::{MessageSeen, Update};
use crate::signals::{Signals, Surroundings};
use crate::{Assessment, Confidence, Side, TraceSeen, Weight};
use mcp::{Id, Kind};
use net::Direction;

/// Most calls of one exchange that wait for an answer, and answers that wait for a call.
const MAX_CALLS: usize = 128;

/// Joins the news of one exchange into an assessment, as the serial stage does of the first detection of an exchange
/// that stands alone. What other exchanges of a conversation showed is for the caller to add.
#[derive(Debug, Default)]
pub struct Judge {
    signals: Signals,
    around: Surroundings,
    trace: Option<Box<TraceSeen>>,
    calls: Vec<Call>,
    early: Vec<Answer>,
}

#[derive(Debug)]
struct Call {
    id: Option<Id>,
    dir: Direction,
    strong: bool,
    answered: bool,
}

/// An answer that came before its call.
#[derive(Debug)]
struct Answer {
    id: Id,
    dir: Direction,
    shows: bool,
}

impl Judge {
    /// Takes in news.
    pub fn learn(&mut self, update: &Update) {
        let around = &mut self.around;
        if let Some(request) = update.request.as_deref() {
            around.request = Some(request.into());
        }
        if let Some(response) = update.response.as_deref() {
            around.response = Some(response.into());
        }
        around.websocket |= update.websocket;
        for (mine, theirs) in around.parsed.iter_mut().zip(update.parsed) {
            *mine = theirs.or(*mine);
        }
        for (mine, theirs) in around.ended.iter_mut().zip(update.ended) {
            *mine = theirs.or(*mine);
        }
        around.look_alike = update.look_alike.or(around.look_alike);
        if let Some(trace) = update.trace.as_deref() {
            self.trace.get_or_insert_default().join(trace.clone());
        }
        for signal in &update.signals {
            self.signals.add(signal.clone());
        }
        for seen in &update.messages {
            self.message(seen);
        }
    }

    fn message(&mut self, seen: &MessageSeen) {
        let on = Side::of(seen.dir).body_field();
        match seen.message.kind() {
            Kind::Request => {
                self.call(seen);
                self.signals.message(seen, on);
            }
            Kind::Notification | Kind::Other => self.signals.message(seen, on),
            Kind::Result | Kind::Error => {
                let strong = self.answer(seen);
                self.signals.answer(seen, on, strong.unwrap_or(false));
            }
        }
    }

    fn call(&mut self, seen: &MessageSeen) {
        if seen.is_foreign() || self.calls.len() >= MAX_CALLS {
            return;
        }
        let mut call = Call { id: seen.message.id.clone(), dir: seen.dir, strong: seen.shows(), answered: false };
        let fits = |a: &Answer| Some(&a.id) == call.id.as_ref() && a.dir != call.dir;
        if let Some(at) = self.early.iter().position(fits) {
            let answer = self.early.swap_remove(at);
            call.answered = true;
            if call.strong && answer.shows {
                self.signals.early_answer();
            }
        }
        self.calls.push(call);
    }

    /// Whether the call that this answers is MCP by itself; `None` where none is known.
    fn answer(&mut self, seen: &MessageSeen) -> Option<bool> {
        let m = &seen.message;
        let lone = lone_answer(self.calls.len(), seen);
        let fits = |c: &&mut Call| !c.answered && c.dir != seen.dir && (lone || c.id == m.id);
        if let Some(call) = self.calls.iter_mut().find(fits) {
            call.answered = true;
            return Some(call.strong);
        }
        if let Some(id) = m.id.clone().filter(|_| !seen.is_foreign() && self.early.len() < MAX_CALLS) {
            self.early.push(Answer { id, dir: seen.dir, shows: seen.shows() });
        }
        None
    }

    /// What all of it amounts to, so far.
    pub fn assessment(&self) -> Assessment {
        let assessment = Assessment::of(&self.signals, &self.around.context());
        let settled = matches!(assessment, Assessment::Mcp(c) if c >= Confidence::Likely);
        // What is fetched or asked for explains a name or path better than the guess that a server is there.
        let explained = || self.trace.as_deref().is_some_and(|trace| self.around.trace(trace).is_some());
        if !settled && explained() { Assessment::Nothing } else { assessment }
    }

    /// Whether the server itself showed that it speaks MCP, and not only a client that hoped so.
    pub fn is_shown_by_server(&self) -> bool {
        let refused = self.around.response.is_some_and(|r| r.status >= 400);
        let telling = |s: &crate::Signal| {
            s.weight >= Weight::Strong || s.id == "mcp.header.session" || s.id == "mcp.sse.endpoint"
        };
        !refused && self.signals.iter().any(|s| s.on.starts_with("response.") && telling(s))
    }

    /// The signals, for who adds to them.
    pub fn signals(&self) -> &Signals {
        &self.signals
    }
}

/// A server that could not even read the request answers with an id of its own (JSON-RPC 2.0 §5). Whether `seen` may
/// be such an answer to the only one of `calls`.
pub fn lone_answer(calls: usize, seen: &MessageSeen) -> bool {
    calls == 1 && seen.message.kind() == Kind::Error && !seen.sse
}
