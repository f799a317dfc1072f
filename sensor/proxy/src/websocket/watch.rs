//! Who judges messages: the inspection, behind a net.

use crate::conn::Conn;
use crate::inspect::{self, Cause, Inspection, Ruling, Verdict};
use crate::options::{Fault, Over, Settings};
use detect::ProxyNews;
use net::Direction;
use proto::EndKind;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

/// Who judges messages.
pub(super) trait Watch {
    /// Bytes of the current message.
    fn body(&mut self, dir: Direction, bytes: &[u8]) -> Verdict;
    /// The current message is over.
    fn message_end(&mut self, dir: Direction) -> Verdict;
    /// A direction is over. Told once of each.
    fn end(&mut self, dir: Direction, how: EndKind) -> Verdict;
    /// What may pass in place of the message of this text; `None`: as it is. Or what to do instead.
    fn edit(&mut self, dir: Direction, text: &[u8]) -> Result<Option<Vec<u8>>, Box<Ruling>>;
    /// The current message was to be changed, and part of it is gone. Gives what to do instead of passing the rest on.
    fn cannot_edit(&mut self, dir: Direction) -> Option<Box<Ruling>>;
    /// What was done about a ruling.
    fn acted(&mut self, ruling: &Ruling, delivered: &'static str);
    /// Something cannot be read; gives what to do instead of passing it on, if the configuration says so.
    fn unreadable(&mut self, word: &'static str) -> Option<Box<Ruling>>;
    /// What waits met a limit (`bytes`, `total_bytes`, `idle`); gives what to do instead of passing it on, if the
    /// configuration says so.
    fn over(&mut self, limit: &'static str) -> Option<Box<Ruling>>;
    /// `now` bytes wait for a verdict, where it was `before`. Gives the name of the limit that is met, if any.
    fn holds(&mut self, before: usize, now: usize) -> Option<&'static str>;
}

/// The inspection of one connection.
pub(super) struct Inspected {
    pub(super) conn: Rc<Conn>,
    pub(super) settings: Arc<Settings>,
    inspection: Inspection,
    /// A call panicked: nothing more is asked.
    broken: bool,
}

impl Inspected {
    pub(super) const fn new(conn: Rc<Conn>, settings: Arc<Settings>, inspection: Inspection) -> Self {
        Self { conn, settings, inspection, broken: false }
    }

    fn call(&mut self, what: impl FnOnce(&mut Inspection) -> Verdict) -> Verdict {
        if self.broken {
            return Verdict::Pass;
        }
        let inspection = &mut self.inspection;
        catch_unwind(AssertUnwindSafe(|| what(inspection))).unwrap_or_else(|_| {
            self.broken = true;
            self.fault().map_or(Verdict::Pass, Verdict::Act)
        })
    }

    /// Our own code failed.
    fn fault(&mut self) -> Option<Box<Ruling>> {
        let open = self.settings.on_fault == Fault::Open;
        let done = if open { "passed" } else { "refused" };
        self.conn.thread.shared.counters.count("fault", done);
        inspect::tell(&self.conn, ProxyNews::Fault { host: self.conn.authority.host.clone(), done });
        if open { None } else { Some(self.refuse(Cause::Fault)) }
    }

    fn refuse(&mut self, cause: Cause) -> Box<Ruling> {
        let inspection = &mut self.inspection;
        let refused = catch_unwind(AssertUnwindSafe(|| inspection.refuse(cause)));
        refused.unwrap_or_else(|_| Box::new(Ruling::bare(&self.conn.authority.host, self.conn.client.ip(), cause)))
    }
}

impl Watch for Inspected {
    fn body(&mut self, dir: Direction, bytes: &[u8]) -> Verdict {
        self.call(|inspection| inspection.body(dir, bytes))
    }

    fn message_end(&mut self, dir: Direction) -> Verdict {
        self.call(|inspection| inspection.message_end(dir))
    }

    fn end(&mut self, dir: Direction, how: EndKind) -> Verdict {
        self.call(|inspection| inspection.end(dir, how))
    }

    fn edit(&mut self, dir: Direction, text: &[u8]) -> Result<Option<Vec<u8>>, Box<Ruling>> {
        if self.broken {
            return Ok(None);
        }
        let inspection = &mut self.inspection;
        if let Ok(Ok(new)) = catch_unwind(AssertUnwindSafe(|| inspection.edit(dir, 0, text))) {
            return Ok(new);
        }
        self.broken = true;
        self.fault().map_or(Ok(None), Err)
    }

    fn cannot_edit(&mut self, dir: Direction) -> Option<Box<Ruling>> {
        let ruling = if dir == Direction::ToServer { self.inspection.cannot_edit() } else { None };
        self.inspection.forget_edits(dir);
        ruling
    }

    fn acted(&mut self, ruling: &Ruling, delivered: &'static str) {
        self.conn.thread.shared.counters.count("actions", ruling.decision.action.word());
        let inspection = &mut self.inspection;
        // What is recorded after a fault is recorded as far as it goes.
        self.broken |= catch_unwind(AssertUnwindSafe(|| inspection.acted(ruling, delivered))).is_err();
    }

    fn unreadable(&mut self, word: &'static str) -> Option<Box<Ruling>> {
        self.conn.thread.shared.counters.count("websocket", word);
        if self.settings.on_fault == Fault::Open { None } else { Some(self.refuse(Cause::Fault)) }
    }

    fn over(&mut self, limit: &'static str) -> Option<Box<Ruling>> {
        let word = match limit {
            "bytes" => "hold_bytes",
            "total_bytes" => "hold_total_bytes",
            _ => "hold_idle",
        };
        self.conn.thread.shared.counters.count("limit", word);
        let refuse = self.settings.hold.over == Over::Refuse;
        let done = if refuse { "refused" } else { "streamed" };
        let host = self.conn.authority.host.clone();
        inspect::tell(&self.conn, ProxyNews::HoldLimit { host, limit, done });
        refuse.then(|| self.refuse(Cause::Limit(limit)))
    }

    fn holds(&mut self, before: usize, now: usize) -> Option<&'static str> {
        let shared = &self.conn.thread.shared;
        let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        let total = if now >= before {
            let more = count(now - before);
            shared.counters.held_bytes.fetch_add(more, Relaxed);
            shared.held.fetch_add(more, Relaxed).saturating_add(more)
        } else {
            let less = count(before - now);
            shared.counters.held_bytes.fetch_sub(less, Relaxed);
            shared.held.fetch_sub(less, Relaxed).saturating_sub(less)
        };
        let hold = self.settings.hold;
        match () {
            () if now > hold.bytes => Some("bytes"),
            () if now > before && total > count(hold.total_bytes) => Some("total_bytes"),
            () => None,
        }
    }
}
