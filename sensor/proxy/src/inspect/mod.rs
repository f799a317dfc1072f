//! The proxy's side of inspection: heads and bodies of the HTTP library to [`detect::Exchange`], what it says to a
//! verdict, and its news to the serial stage.

use crate::conn::Conn;
use crate::options::Settings;
use net::Direction;
use proto::EndKind;
use std::rc::Rc;
use std::sync::Arc;

/// What crosses connections and must be known at once.
#[derive(Debug, Default)]
pub(crate) struct Conversations {}

/// What may happen to what was just looked at.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// It may pass.
    Pass,
    /// A message is under way; what was looked at since the last `Pass` waits.
    Hold,
    /// It must not pass: what to do instead.
    Act(Box<Ruling>),
}

/// What to do instead of passing a message on.
#[derive(Debug)]
pub(crate) struct Ruling {}

/// One request with its answer under inspection.
pub(crate) struct Inspection {}

impl Inspection {
    /// Begins with the head of a request.
    pub(crate) fn request(_conn: &Rc<Conn>, _settings: &Arc<Settings>, _head: &http::request::Parts) -> (Self, Verdict) {
        (Self {}, Verdict::Pass)
    }

    /// The head of the answer.
    pub(crate) fn response(&mut self, _head: &http::response::Parts) -> Verdict {
        Verdict::Pass
    }

    /// Body bytes as they are on the wire, content coding on. At most 64 KiB at once.
    pub(crate) fn body(&mut self, _dir: Direction, _bytes: &[u8]) -> Verdict {
        Verdict::Pass
    }

    /// A WebSocket message is complete.
    pub(crate) fn message_end(&mut self, _dir: Direction) -> Verdict {
        Verdict::Pass
    }

    /// A direction is over.
    pub(crate) fn end(&mut self, _dir: Direction, _how: EndKind) -> Verdict {
        Verdict::Pass
    }

    /// What was done about a ruling: `delivered` is `none`, `partial` or `whole`.
    pub(crate) fn acted(&mut self, _ruling: &Ruling, _delivered: &'static str) {}
}

/// Whether what is known of a host by its name alone is enough not to contact it.
pub(crate) fn refuses_host(_settings: &Settings, _host: &str) -> bool {
    false
}
