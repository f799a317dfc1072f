//! What an exchange has to tell since the last time.

use super::heads::{cut, safe_value};
use crate::inspect::News;
use crate::kept::KeptHead;
use crate::observation::{MessageSeen, Update};
use crate::rules::RuleSet;
use crate::{Content, Signal, SignalKind, Weight};
use mcp::{LookAlike, Message, Verdict};
use net::{Direction, Timestamp};
use std::sync::Arc;

/// Most signals kept of one exchange between two updates.
const MAX_SIGNALS: usize = 64;
/// Most messages kept of one exchange between two updates; more are given at once as an update of their own.
const MAX_MESSAGES: usize = 2048;
/// Most messages kept that are no JSON-RPC (records of other services look like them), while nothing is told.
pub(super) const MAX_UNTOLD: usize = 8;

/// A weak signal on the first value of a request header. Most stay alone and are never told, so it is written out only
/// once something is.
#[derive(Debug)]
struct Slight {
    signature: u32,
    /// Number of the header among those that the rules want.
    header: usize,
    /// Where it ends in the value.
    end: usize,
    /// Its place among the signals.
    place: usize,
}

/// News since the last update.
#[derive(Debug, Default)]
#[allow(clippy::struct_excessive_bools, reason = "each is one fact that has or has not been seen yet")]
pub(super) struct Gathered {
    pub(super) update: Update,
    /// Something here is worth telling.
    pub(super) telling: bool,
    pub(super) weak: u8,
    /// A pattern that may count hit a body.
    pub(super) pattern_hit: bool,
    pub(super) now: Timestamp,
    pub(super) dir: Option<Direction>,
    /// WebSocket messages that are complete, of each direction.
    pub(super) frames: [u32; 2],
    pub(super) look_alike: Option<LookAlike>,
    /// A message that only MCP sends came.
    pub(super) shown: bool,
    pub(super) neutral: bool,
    pub(super) endpoint: Option<Vec<u8>>,
    slight: Option<Slight>,
    /// Messages and signals that found no room.
    pub(super) left_out: u64,
}

impl News for Gathered {
    fn message(&mut self, message: Message, sse: bool, content: &dyn Fn(&Message) -> Option<Arc<Content>>) {
        let verdict = mcp::judge(&message);
        match &verdict {
            Verdict::Proof(_) | Verdict::Strong(_) => {
                self.telling = true;
                self.shown = true;
            }
            Verdict::Neutral => self.neutral |= message.jsonrpc,
            Verdict::LookAlike(what) => self.look_alike = Some(*what),
        }
        // Messages of others must not take the place of MCP's.
        let shows = matches!(verdict, Verdict::Proof(_) | Verdict::Strong(_));
        let most = match () {
            () if shows => 2 * MAX_MESSAGES,
            () if message.jsonrpc || self.telling => MAX_MESSAGES,
            () => MAX_UNTOLD,
        };
        if self.update.messages.len() < most {
            let dir = self.dir.unwrap_or(Direction::ToServer);
            let frame = *dir.of(&self.frames);
            let foreign = matches!(verdict, Verdict::LookAlike(_));
            let content = if foreign { None } else { content(&message) };
            self.update.messages.push(MessageSeen { ts: self.now, dir, message, verdict, sse, frame, content });
        } else if most > MAX_UNTOLD {
            self.left_out += 1;
        }
    }

    fn event(&mut self, name: &[u8], head: &[u8]) {
        if name == b"endpoint" && self.endpoint.is_none() {
            self.endpoint = Some(head.to_vec());
        }
    }

    fn signal(&mut self, signal: Signal) {
        self.pattern_hit |= signal.weight >= Weight::Medium;
        self.push(signal);
    }
}

impl Gathered {
    pub(super) fn at(&mut self, ts: Timestamp, dir: Direction) {
        self.now = ts;
        self.dir = Some(dir);
    }

    pub(super) fn push(&mut self, signal: Signal) {
        if self.update.signals.len() < MAX_SIGNALS {
            self.update.signals.push(signal);
        } else {
            self.left_out += 1;
        }
    }

    /// Puts a weak signal off. Whether there was room: it is for one.
    pub(super) fn put_off(&mut self, signature: u32, header: usize, end: usize) -> bool {
        let free = self.slight.is_none();
        if free {
            self.slight = Some(Slight { signature, header, end, place: self.update.signals.len() });
        }
        free
    }

    /// Writes out what was put off, to its place.
    pub(super) fn tell_slight(&mut self, rules: &RuleSet, request: &KeptHead) {
        let Some(slight) = self.slight.take() else { return };
        let known = usize::try_from(slight.signature).ok().and_then(|at| rules.signatures().get(at));
        let (Some(known), Some((name, on))) = (known, rules.request_headers().nth(slight.header)) else { return };
        let value = |head: &proto::RequestHead<'_>| {
            let value = head.headers.all(name).next();
            value.map(|value| cut(&safe_value(name, value)).to_owned()).unwrap_or_default()
        };
        let signal = Signal {
            id: known.id.clone(),
            kind: SignalKind::Signature,
            on: on.to_string(),
            weight: known.weight,
            excerpt: request.read(value),
            offset: slight.end as u64,
        };
        let signals = &mut self.update.signals;
        signals.insert(slight.place.min(signals.len()), signal);
    }

    /// Whether nothing of heads and patterns spoke for MCP.
    pub(super) const fn has_no_signal(&self) -> bool {
        self.update.signals.is_empty() && self.slight.is_none()
    }

    /// One weak sign is not worth telling, two are.
    pub(super) fn weigh(&mut self, weight: Weight) {
        self.weak += u8::from(weight == Weight::Weak && self.weak < 2);
        self.telling |= weight >= Weight::Medium || self.weak >= 2;
    }

    pub(super) fn structure(&mut self, id: &str, on: &str, weight: Weight, excerpt: &str) {
        self.weigh(weight);
        let excerpt = cut(excerpt).to_owned();
        self.push(Signal { id: id.into(), kind: SignalKind::Structure, on: on.into(), weight, excerpt, offset: 0 });
    }
}
