//! Conversations: the exchanges of one client with one server, across connections.

use crate::unit::{ExchangeKey, Told};
use detect::{Classification, Confidence};

use net::{Direction, Timestamp};
use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};

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
    /// MCP beyond doubt: what fits MCP in it is MCP.
    pub(crate) proved: bool,
    pub(crate) initialized: bool,
    /// The event stream of HTTP+SSE.
    pub(crate) stream: Option<ExchangeKey>,
    /// The client ended it; what is still under way may join it for a moment.
    pub(crate) ended: bool,
    /// Calls whose answers may come on another exchange.
    pub(crate) waiting: Vec<(mcp::Id, Direction, ExchangeKey, u32)>,
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
}

/// All conversations; bounded, the one that would end first goes first.
#[derive(Debug, Default)]
pub(crate) struct Conversations {
    by_key: HashMap<Key, u64>,
    by_id: HashMap<u64, Conversation>,
    by_end: BTreeSet<(Timestamp, u64)>,
    next: u64,
}

impl Conversations {
    /// Most conversations at once.
    pub(crate) const MAX: usize = 65_536;
    /// Packet time without an exchange after which a conversation is over.
    pub(crate) const LIFE: i64 = 1800 * Timestamp::SECOND;
    /// The same once the client has ended it.
    const LINGER: i64 = 5 * Timestamp::SECOND;

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
        self.by_id.insert(
            id,
            Conversation {
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
                proved: false,
                initialized: false,
                stream: None,
                ended: false,
                waiting: Vec::new(),
            },
        );
        id
    }

    pub(crate) fn get(&self, id: u64) -> Option<&Conversation> {
        self.by_id.get(&id)
    }

    /// For change; marks it used at `ts`.
    pub(crate) fn touch(&mut self, id: u64, ts: Timestamp) -> Option<&mut Conversation> {
        let conversation = self.by_id.get_mut(&id)?;
        if ts > conversation.last {
            self.by_end.remove(&(conversation.until(), id));
            conversation.last = ts;
            self.by_end.insert((conversation.until(), id));
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
    pub(crate) fn remove(&mut self, id: u64) -> Option<Conversation> {
        let conversation = self.by_id.remove(&id)?;
        self.by_end.remove(&(conversation.until(), id));
        self.by_key.remove(&conversation.key);
        Some(conversation)
    }

    /// The next one to go: over at `now`, or, where `all`, simply the first to end.
    pub(crate) fn expired(&self, now: Timestamp, all: bool) -> Option<u64> {
        let (until, id) = self.by_end.first()?;
        let over = all || *until < now || self.by_id.len() > Self::MAX;
        over.then_some(*id)
    }
}
