//! Conversations: the exchanges of one client with one server, across connections.

use crate::limits;
use crate::record::{NameFrom, User};
use crate::unit::{ExchangeKey, Told};
use detect::{Classification, Confidence};

use net::{Direction, Timestamp};
use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// What makes exchanges one conversation.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Key {
    /// `Mcp-Session-Id`, hashed, at a server.
    Session([u8; 32], SocketAddr),
    /// The endpoint URL of an HTTP+SSE stream. One that bears a session id is enough by itself, since a host may
    /// have several addresses; any other counts at one server.
    Endpoint([u8; 32], Option<SocketAddr>),
    /// One WebSocket: flow and exchange.
    Socket(ExchangeKey),
    /// No session: client address, server, host and path.
    Anonymous(IpAddr, SocketAddr, String, String),
}

/// One conversation.
#[derive(Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each is one fact that has or has not been seen yet")]
pub(crate) struct Conversation {
    pub(crate) key: Key,
    pub(crate) client: IpAddr,
    pub(crate) server: Option<crate::record::ServerKey>,
    pub(crate) told: Told,
    pub(crate) transport: &'static str,
    pub(crate) session: Option<[u8; 32]>,
    pub(crate) auth: crate::record::Auth,
    pub(crate) detections: u64,
    pub(crate) flows: BTreeSet<u64>,
    pub(crate) first: Timestamp,
    pub(crate) last: Timestamp,
    pub(crate) confidence: Option<Confidence>,
    pub(crate) classification: Classification,
    pub(crate) header_mismatch: bool,
    /// Counts conversations; when it was entered.
    pub(crate) number: u64,
    pub(crate) began: Timestamp,
    /// Name of the client, and who sits there, as far as detections told.
    pub(crate) client_name: Option<(String, NameFrom)>,
    pub(crate) user: Option<User>,
    /// When it was last told of, or began; and when it is to be told of next, where there is news.
    told_at: Timestamp,
    due: Option<Timestamp>,
    /// MCP beyond doubt: what fits MCP in it is MCP.
    pub(crate) proved: bool,
    pub(crate) initialized: bool,
    /// The event stream of HTTP+SSE.
    pub(crate) stream: Option<ExchangeKey>,
    /// The client ended it; what is still under way may join it for a moment.
    pub(crate) ended: bool,
    /// Calls whose answers may come on another exchange.
    pub(crate) waiting: Waiting,
    /// What it weighed when it was last weighed, in bytes.
    charged: usize,
}

/// Calls of one conversation that wait for an answer on another exchange.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    calls: Vec<(mcp::Id, Direction, ExchangeKey, u32)>,
    heap: usize,
    /// Calls beyond [`MAX_WAITING`]; not yet added to the totals.
    not_kept: u64,
}

impl Waiting {
    pub(crate) fn push(&mut self, id: &mcp::Id, dir: Direction, key: ExchangeKey, seq: u32) {
        if self.calls.len() >= MAX_WAITING {
            self.not_kept += 1;
            return;
        }
        self.heap += Self::weight(id);
        self.calls.push((id.clone(), dir, key, seq));
    }

    /// Takes out the call of another exchange than `key` that a message of `dir` with this id answers.
    pub(crate) fn answered(
        &mut self,
        id: Option<&mcp::Id>,
        dir: Direction,
        key: ExchangeKey,
    ) -> Option<(ExchangeKey, u32)> {
        let at = self.calls.iter().position(|(i, d, k, _)| Some(i) == id && *d != dir && *k != key)?;
        let (id, _, key, seq) = self.calls.swap_remove(at);
        self.heap = self.heap.saturating_sub(Self::weight(&id));
        Some((key, seq))
    }

    /// Forgets those for which `over` holds, given id, exchange and unit.
    pub(crate) fn forget(&mut self, over: impl Fn(&mcp::Id, ExchangeKey, u32) -> bool) {
        let heap = &mut self.heap;
        self.calls.retain(|(id, _, key, seq)| {
            let over = over(id, *key, *seq);
            if over {
                *heap = heap.saturating_sub(Self::weight(id));
            }
            !over
        });
    }

    fn weight(id: &mcp::Id) -> usize {
        // A list has room for up to twice what is in it.
        limits::id(id) + 2 * size_of::<(mcp::Id, Direction, ExchangeKey, u32)>()
    }
}

/// Most calls of one conversation that wait for an answer elsewhere.
pub(crate) const MAX_WAITING: usize = 1024;
/// Most connections counted for one conversation.
pub(crate) const MAX_FLOWS: usize = 4096;

impl Conversation {
    /// Packet time at which it is over if nothing more comes.
    fn until(&self) -> Timestamp {
        self.last.plus(if self.ended { Conversations::LINGER } else { Conversations::LIFE })
    }

    /// What it weighs.
    fn bytes(&self) -> usize {
        /// Its entries in maps by key, by number and by end.
        const AROUND: usize = 7 * limits::ENTRY + 2 * size_of::<Key>();
        let key = match &self.key {
            Key::Anonymous(_, _, host, path) => 2 * (limits::text(host) + limits::text(path)),
            Key::Session(..) | Key::Endpoint(..) | Key::Socket(_) => 0,
        };
        let server = self.server.as_ref().map_or(0, crate::record::ServerKey::bytes);
        let flows = self.flows.len() * (size_of::<u64>() + limits::ENTRY / 2);
        let client = limits::some_text(self.client_name.as_ref().map(|(name, _)| name));
        let who = client + limits::some_text(self.user.as_ref().map(|user| &user.name));
        AROUND
            + size_of::<Self>()
            + key
            + server
            + flows
            + who
            + self.told.bytes()
            + self.waiting.heap
            + self.auth.bytes()
    }
}

/// All conversations, and what they weigh.
#[derive(Debug, Default)]
pub(crate) struct Conversations {
    by_key: HashMap<Key, u64>,
    by_id: HashMap<u64, Box<Conversation>>,
    by_end: BTreeSet<(Timestamp, u64)>,
    /// How often those that last are told of, in nanoseconds, and those with news by when they are.
    every: Option<i64>,
    by_due: BTreeSet<(Timestamp, u64)>,
    next: u64,
    /// Bytes of all, as of when each was last weighed.
    pub(crate) bytes: usize,
    /// Handed out for change since they were last weighed.
    touched: Vec<u64>,
    /// Calls that were not kept for want of room in their conversation.
    pub(crate) calls_not_kept: u64,
}

impl Conversations {
    /// Packet time without an exchange after which a conversation is over.
    pub(crate) const LIFE: i64 = 1800 * Timestamp::SECOND;
    /// The same once the client has ended it.
    const LINGER: i64 = 5 * Timestamp::SECOND;

    /// None yet. Where `every` is given, those that last are told of so often at most.
    pub(crate) fn new(every: Option<Duration>) -> Self {
        let nanos = |every: Duration| i64::try_from(every.as_nanos()).unwrap_or(i64::MAX);
        Self { every: every.map(nanos), ..Self::default() }
    }

    /// Takes out the next one that is to be told of at `now`.
    pub(crate) fn due(&mut self, now: Timestamp) -> Option<u64> {
        let (due, id) = self.by_due.first().copied().filter(|(due, _)| *due <= now)?;
        self.by_due.remove(&(due, id));
        if let Some(conversation) = self.by_id.get_mut(&id) {
            (conversation.told_at, conversation.due) = (now, None);
        }
        Some(id)
    }

    pub(crate) fn find(&self, key: &Key) -> Option<u64> {
        self.by_key.get(key).copied()
    }

    /// Finds or begins the conversation of `key`.
    pub(crate) fn enter(&mut self, key: Key, client: IpAddr, ts: Timestamp) -> u64 {
        if let Some(id) = self.by_key.get(&key) {
            return *id;
        }
        let id = self.next;
        self.next += 1;
        let session = match &key {
            Key::Session(hash, _) => Some(*hash),
            _ => None,
        };
        self.by_key.insert(key.clone(), id);
        self.by_end.insert((ts.plus(Self::LIFE), id));
        self.touched.push(id);
        self.by_id.insert(
            id,
            Box::new(Conversation {
                key,
                client,
                server: None,
                told: Told::default(),
                transport: "unknown",
                session,
                auth: crate::record::Auth { kind: "none".into(), jwt: None },
                detections: 0,
                flows: BTreeSet::new(),
                first: ts,
                last: ts,
                confidence: None,
                classification: Classification::Unknown,
                header_mismatch: false,
                number: id,
                began: ts,
                client_name: None,
                user: None,
                told_at: ts,
                due: None,
                proved: false,
                initialized: false,
                stream: None,
                ended: false,
                waiting: Waiting::default(),
                charged: 0,
            }),
        );
        id
    }

    pub(crate) fn get(&self, id: u64) -> Option<&Conversation> {
        self.by_id.get(&id).map(|c| &**c)
    }

    /// Weighs what was handed out for change.
    pub(crate) fn weigh(&mut self) {
        for id in self.touched.drain(..) {
            let Some(conversation) = self.by_id.get_mut(&id) else { continue };
            let before = std::mem::replace(&mut conversation.charged, 0);
            conversation.charged = conversation.bytes();
            self.bytes = self.bytes.saturating_sub(before) + conversation.charged;
            self.calls_not_kept += std::mem::take(&mut conversation.waiting.not_kept);
        }
    }

    /// The one that would end first, where all weigh more than `limit`.
    pub(crate) fn excess(&self, limit: usize) -> Option<u64> {
        self.by_end.first().map(|(_, id)| *id).filter(|_| self.bytes > limit)
    }

    /// For change; marks it used at `ts`.
    pub(crate) fn touch(&mut self, id: u64, ts: Timestamp) -> Option<&mut Conversation> {
        let conversation = self.by_id.get_mut(&id)?;
        if ts > conversation.last {
            self.by_end.remove(&(conversation.until(), id));
            conversation.last = ts;
            self.by_end.insert((conversation.until(), id));
        }
        if let (Some(every), None) = (self.every, conversation.due) {
            let due = conversation.told_at.plus(every);
            conversation.due = Some(due);
            self.by_due.insert((due, id));
        }
        if self.touched.last() != Some(&id) {
            self.touched.push(id);
        }
        Some(conversation)
    }

    /// The client has ended it.
    pub(crate) fn end(&mut self, id: u64) {
        if let Some(conversation) = self.by_id.get_mut(&id) {
            self.by_end.remove(&(conversation.until(), id));
            conversation.ended = true;
            self.by_end.insert((conversation.until(), id));
        }
    }

    /// Takes out one that has ended.
    pub(crate) fn remove(&mut self, id: u64) -> Option<Box<Conversation>> {
        let conversation = self.by_id.remove(&id)?;
        self.bytes = self.bytes.saturating_sub(conversation.charged);
        self.by_end.remove(&(conversation.until(), id));
        if let Some(due) = conversation.due {
            self.by_due.remove(&(due, id));
        }
        self.by_key.remove(&conversation.key);
        Some(conversation)
    }

    /// The next one to go: over at `now`, or, where `all`, simply the first to end.
    pub(crate) fn expired(&self, now: Timestamp, all: bool) -> Option<u64> {
        let (until, id) = self.by_end.first()?;
        let over = all || *until < now;
        over.then_some(*id)
    }
}
