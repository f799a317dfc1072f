//! One request with its answer, as both of its bodies share it: inspection behind a net, so that a fault of ours costs
//! one request.

use crate::conn::Conn;
use crate::inspect::{self, Cause, Inspection, Ruling, Verdict};
use crate::options::{Fault, Settings};
use detect::ProxyNews;
use net::Direction;
use proto::EndKind;
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;

/// Calls of the inspector, each behind a net.
pub(super) struct Exchange {
    pub(super) conn: Rc<Conn>,
    pub(super) settings: Arc<Settings>,
    inspection: RefCell<Option<Inspection>>,
    /// A call panicked: nothing more is asked.
    broken: Cell<bool>,
    ended: [Cell<bool>; 2],
    /// The client has the head of the answer: a body that is stopped now just breaks off.
    answered: Cell<bool>,
    /// What stopped one of the bodies before.
    stopped: RefCell<Option<Box<Ruling>>>,
    #[cfg(test)]
    pub(super) script: Option<super::tests::Script>,
}

impl Exchange {
    /// Begins with the head of a request.
    pub(super) fn begin(conn: &Rc<Conn>, settings: Arc<Settings>, head: &http::request::Parts) -> (Rc<Self>, Verdict) {
        let begun = catch_unwind(AssertUnwindSafe(|| Inspection::request(conn, &settings, head)));
        let (inspection, verdict) = match begun {
            Ok((inspection, verdict)) => (Some(inspection), Some(verdict)),
            Err(_) => (None, None),
        };
        let exchange = Self {
            conn: Rc::clone(conn),
            settings,
            broken: Cell::new(inspection.is_none()),
            inspection: RefCell::new(inspection),
            ended: [Cell::new(false), Cell::new(false)],
            answered: Cell::new(false),
            stopped: RefCell::default(),
            #[cfg(test)]
            script: super::tests::script(head),
        };
        let verdict = verdict.unwrap_or_else(|| exchange.fault());
        #[cfg(test)]
        let verdict = exchange.script.as_ref().map_or(verdict, super::tests::Script::head);
        (Rc::new(exchange), verdict)
    }

    fn call(&self, what: impl FnOnce(&mut Inspection) -> Verdict) -> Verdict {
        if self.broken.get() {
            return Verdict::Pass;
        }
        let called = match self.inspection.borrow_mut().as_mut() {
            Some(inspection) => catch_unwind(AssertUnwindSafe(|| what(inspection))),
            None => return Verdict::Pass,
        };
        called.unwrap_or_else(|_| self.fault())
    }

    /// Our own code failed: what the configuration says then.
    fn fault(&self) -> Verdict {
        self.broken.set(true);
        let open = self.settings.on_fault == Fault::Open;
        self.conn.thread.shared.counters.count("fault", if open { "passed" } else { "refused" });
        let host = self.conn.authority.host.clone();
        inspect::tell(&self.conn, ProxyNews::Fault { host, done: if open { "passed" } else { "refused" } });
        if open { Verdict::Pass } else { Verdict::Act(self.refusal(Cause::Fault)) }
    }

    /// What to do where something must be stopped for another reason than policy.
    pub(super) fn refusal(&self, cause: Cause) -> Box<Ruling> {
        let mut inspection = self.inspection.borrow_mut();
        let asked = inspection.as_mut().map(|i| catch_unwind(AssertUnwindSafe(|| i.refuse(cause))));
        match asked {
            Some(Ok(ruling)) => ruling,
            _ => Box::new(Ruling::bare(&self.conn.authority.host, self.conn.client.ip(), cause)),
        }
    }

    /// A message met a limit while it waited, and is to be refused.
    pub(super) fn limit(&self, limit: &'static str) -> Box<Ruling> {
        self.refusal(Cause::Limit(limit))
    }

    /// Whether what goes in `direction` may be changed.
    pub(super) fn rewrites(&self, direction: Direction) -> bool {
        !self.broken.get() && self.inspection.borrow().as_ref().is_some_and(|inspection| inspection.rewrites(direction))
    }

    /// Whether messages may come back that may be changed.
    pub(super) fn expects_messages(&self) -> bool {
        self.inspection.borrow().as_ref().is_some_and(Inspection::expects_messages)
    }

    /// Nothing that goes in `direction` can be changed.
    pub(super) fn leave(&self, direction: Direction) {
        self.inspection.borrow_mut().iter_mut().for_each(|inspection| inspection.leave(direction));
    }

    /// Bodies in `direction` come with the content coding off.
    pub(super) fn plain(&self, direction: Direction) {
        self.inspection.borrow_mut().iter_mut().for_each(|inspection| inspection.plain(direction));
    }

    /// What may pass in place of `text`, which begins at `base` of what was looked at; `None`: as it is.
    ///
    /// # Errors
    ///
    /// What to do instead, where it cannot be changed and the configuration says to stop traffic then.
    pub(super) fn edit(&self, direction: Direction, base: u64, text: &[u8]) -> Result<Option<Vec<u8>>, Box<Ruling>> {
        if self.broken.get() {
            return Ok(None);
        }
        let edited = match self.inspection.borrow_mut().as_mut() {
            Some(inspection) => catch_unwind(AssertUnwindSafe(|| inspection.edit(direction, base, text))),
            None => return Ok(None),
        };
        match edited {
            Ok(Ok(new)) => Ok(new),
            _ => match self.fault() {
                Verdict::Act(ruling) => Err(ruling),
                _ => Ok(None),
            },
        }
    }

    /// What was to be changed passes as it is.
    pub(super) fn forget_edits(&self, direction: Direction) {
        self.inspection.borrow_mut().iter_mut().for_each(|inspection| inspection.forget_edits(direction));
    }

    /// What to do about a request that is to be changed and cannot be any more.
    pub(super) fn cannot_edit(&self) -> Option<Box<Ruling>> {
        self.inspection.borrow_mut().as_mut().and_then(Inspection::cannot_edit)
    }

    /// Takes out of the head of the request what was taken out of its body.
    pub(super) fn redact_head(&self, headers: &mut http::HeaderMap) {
        self.inspection.borrow().iter().for_each(|inspection| inspection.redact_head(headers));
    }

    /// What to say in place of an answer that cannot be judged.
    pub(super) fn refuse_answer(&self, cause: Cause) -> Box<Ruling> {
        let refused = self.inspection.borrow_mut().as_mut().map(|inspection| inspection.refuse_answer(cause));
        refused.unwrap_or_else(|| Box::new(Ruling::bare(&self.conn.authority.host, self.conn.client.ip(), cause)))
    }

    /// The head of the answer.
    pub(super) fn response(&self, head: &http::response::Parts) -> Verdict {
        #[cfg(test)]
        if let Some(script) = &self.script {
            return script.answer(head);
        }
        self.call(|inspection| inspection.response(head))
    }

    /// A slice of a body.
    pub(super) fn body(&self, direction: Direction, bytes: &[u8]) -> Verdict {
        #[cfg(test)]
        if let Some(script) = &self.script {
            return self.call(|_| script.body(direction, bytes));
        }
        self.call(|inspection| inspection.body(direction, bytes))
    }

    /// A body is over; what is said a second time is not passed on.
    pub(super) fn end(&self, direction: Direction, how: EndKind) -> Verdict {
        let [to_server, to_client] = &self.ended;
        let ended = if direction == Direction::ToServer { to_server } else { to_client };
        if ended.replace(true) {
            return Verdict::Pass;
        }
        #[cfg(test)]
        if self.script.is_some() {
            return super::tests::Script::end(direction, how);
        }
        self.call(|inspection| inspection.end(direction, how))
    }

    /// The head of the answer goes to the client, also where a body was stopped a moment ago: nobody asks for that any more.
    pub(super) fn answered(&self) {
        self.answered.set(true);
        if let Some(ruling) = self.stopped() {
            self.acted(&ruling, "partial");
        }
    }

    /// A body is stopped. While there can be an answer of our own, what stopped it is kept for who makes it.
    pub(super) fn stop(&self, ruling: Box<Ruling>) {
        if self.answered.get() {
            self.acted(&ruling, "partial");
        } else {
            self.stopped.borrow_mut().get_or_insert(ruling);
        }
    }

    /// What stopped a body, once.
    pub(super) fn stopped(&self) -> Option<Box<Ruling>> {
        self.stopped.borrow_mut().take()
    }

    /// Tells what was done about a ruling.
    pub(super) fn acted(&self, ruling: &Ruling, delivered: &'static str) {
        self.conn.thread.shared.counters.count("actions", ruling.decision.action.word());
        if let Some(inspection) = self.inspection.borrow_mut().as_mut() {
            // What is recorded after a fault is recorded as far as it goes.
            let told = catch_unwind(AssertUnwindSafe(|| inspection.acted(ruling, delivered)));
            self.broken.set(self.broken.get() || told.is_err());
        }
    }

    /// Takes the inspection along to where an upgraded connection is carried.
    pub(super) fn take(&self) -> Option<Inspection> {
        for ended in &self.ended {
            ended.set(true);
        }
        self.inspection.borrow_mut().take()
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        // What was stopped is told, also where nobody waits for the answer any more.
        self.answered();
        // A connection that breaks off drops its requests with it.
        for direction in [Direction::ToServer, Direction::ToClient] {
            self.end(direction, EndKind::Cut);
        }
    }
}
