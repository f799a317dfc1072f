//! What crosses connections and must be known at once: which places servers have shown to speak MCP, so that the next
//! request to them is judged by that.

use super::rewrite::Calls;
use super::tools::Tools;
use detect::Confidence;
use foldhash::quality::RandomState;
use net::Timestamp;
use std::collections::HashMap;
use std::hash::{BuildHasher, Hash};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Parts, each with a lock of its own.
const SHARDS: usize = 16;
/// Most places in one part; each takes some 64 bytes. Beyond, the one that would be forgotten first is.
const MAX_PLACES: usize = 4096;
/// How long a place is remembered after a server last showed it, in nanoseconds.
const LIFE: i64 = 24 * 3600 * Timestamp::SECOND;
/// It is not written down again before this much of its life is over.
const FRESH: i64 = LIFE / 8;

/// A place where MCP is spoken.
#[derive(Clone, Copy, Debug, Hash)]
pub(super) enum Spot<'a> {
    /// Host, port and normalised path.
    Path(&'a str, u16, &'a str),
    /// Where the event stream of HTTP+SSE said that messages go: key of host and target.
    Endpoint(&'a [u8; 32]),
    /// Host, port and normalised path where a server keeps a session, with its id; `None` where it works without.
    Session(&'a str, u16, &'a str, Option<&'a [u8]>),
    /// A host, wherever on it.
    Host(&'a str),
    /// A call in a conversation: key of that, and its id.
    Call(u128, &'a mcp::Id),
}

/// The places that are known. Shared by all threads, bounded, kept for a day.
///
/// They are kept as two hashes under secret keys: nothing of what was asked for is held, and nobody can choose names that
/// meet.
#[derive(Debug)]
pub(crate) struct Conversations {
    keys: [RandomState; 2],
    shards: [Mutex<HashMap<u128, Known, RandomState>>; SHARDS],
    /// Places, so that a look-up costs nothing as long as there are none.
    places: AtomicUsize,
    /// Endpoints were seen, so that it is worth making their keys.
    endpoints: AtomicUsize,
    /// Calls whose answers come elsewhere.
    pub(super) calls: Calls,
    /// What tools say they do.
    pub(super) tools: Tools,
    /// Who asks whom for access tokens to which server.
    pub(super) authorizations: super::trail::Map,
}

#[derive(Clone, Debug)]
struct Known {
    confidence: Confidence,
    until: Timestamp,
    /// The place whose stream led here, 0 for none.
    stream: u128,
    peers: Option<Arc<Peers>>,
}

/// What client and server of a session call themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Peers {
    pub(super) client: Option<Box<str>>,
    pub(super) server: Option<Box<str>>,
    /// The revision that they agreed on.
    pub(super) revision: Option<Box<str>>,
}

impl Known {
    fn new(confidence: Confidence, now: Timestamp) -> Self {
        Self { confidence, until: now.plus(LIFE), stream: 0, peers: None }
    }
}

impl Default for Conversations {
    fn default() -> Self {
        Self {
            keys: [RandomState::default(), RandomState::default()],
            shards: std::array::from_fn(|_| Mutex::default()),
            places: AtomicUsize::new(0),
            endpoints: AtomicUsize::new(0),
            calls: Calls::default(),
            tools: Tools::default(),
            authorizations: super::trail::Map::default(),
        }
    }
}

impl Conversations {
    pub(super) fn key(&self, spot: &Spot<'_>) -> u128 {
        let [low, high] = self.keys.each_ref().map(|key| u128::from(hash(key, spot)));
        low | high << 64
    }

    fn shard(&self, key: u128) -> Option<&Mutex<HashMap<u128, Known, RandomState>>> {
        self.shards.get(usize::try_from(key % SHARDS as u128).ok()?)
    }

    /// How sure it is that MCP is spoken there.
    pub(super) fn known(&self, spot: &Spot<'_>, now: Timestamp) -> Option<Confidence> {
        if self.places.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let key = self.key(spot);
        let shard = self.shard(key)?.lock().unwrap_or_else(PoisonError::into_inner);
        shard.get(&key).filter(|known| known.until > now).map(|known| known.confidence)
    }

    /// What client and server of a session call themselves.
    pub(super) fn peers(&self, spot: &Spot<'_>, now: Timestamp) -> Option<Arc<Peers>> {
        let key = self.key(spot);
        let shard = self.shard(key)?.lock().unwrap_or_else(PoisonError::into_inner);
        shard.get(&key).filter(|known| known.until > now)?.peers.clone()
    }

    /// A session began, between these.
    pub(super) fn learn_session(&self, spot: &Spot<'_>, peers: Peers, now: Timestamp) {
        let peers = (peers != Peers::default()).then(|| Arc::new(peers));
        self.keep(self.key(spot), Known { peers, ..Known::new(Confidence::Possible, now) }, now);
    }

    /// Whether MCP was spoken with this host, wherever on it. Only known where hosts are learned to be passed through.
    pub(crate) fn is_spoken_with(&self, host: &str, now: Timestamp) -> bool {
        self.known(&Spot::Host(host), now).is_some()
    }

    /// Whether any endpoint of HTTP+SSE is known.
    pub(super) fn has_endpoints(&self) -> bool {
        self.endpoints.load(Ordering::Relaxed) > 0
    }

    /// A server showed that MCP is spoken there.
    pub(super) fn learn(&self, spot: &Spot<'_>, confidence: Confidence, now: Timestamp) {
        self.keep(self.key(spot), Known::new(confidence, now), now);
    }

    /// The stream of a place said that messages go to this endpoint.
    pub(super) fn learn_endpoint(&self, endpoint: &[u8; 32], stream: &Spot<'_>, now: Timestamp) {
        let known = Known { stream: self.key(stream), ..Known::new(Confidence::Likely, now) };
        self.keep(self.key(&Spot::Endpoint(endpoint)), known, now);
        self.endpoints.store(1, Ordering::Relaxed);
    }

    /// MCP was spoken to this endpoint, so the stream that led there is one of MCP.
    pub(super) fn confirm_endpoint(&self, endpoint: &[u8; 32], confidence: Confidence, now: Timestamp) {
        if let Some(stream) = self.stream_of(endpoint, now) {
            self.keep(stream, Known::new(confidence, now), now);
        }
    }

    /// The key of the place whose stream led to this endpoint.
    pub(super) fn stream_of(&self, endpoint: &[u8; 32], now: Timestamp) -> Option<u128> {
        let key = self.key(&Spot::Endpoint(endpoint));
        let shard = self.shard(key)?.lock().unwrap_or_else(PoisonError::into_inner);
        shard.get(&key).filter(|known| known.until > now && known.stream != 0).map(|known| known.stream)
    }

    fn keep(&self, key: u128, new: Known, now: Timestamp) {
        let Some(shard) = self.shard(key) else { return };
        let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = shard.get_mut(&key) {
            known.confidence = known.confidence.max(new.confidence);
            known.peers = new.peers.or(known.peers.take());
            if new.until.since(known.until) > FRESH {
                known.until = new.until;
            }
            return;
        }
        let before = shard.len();
        if before >= MAX_PLACES {
            shard.retain(|_, known| known.until > now);
        }
        if shard.len() >= MAX_PLACES {
            let first = shard.iter().map(|(key, known)| (known.until, *key)).min();
            if let Some((_, first)) = first {
                shard.remove(&first);
            }
        }
        shard.insert(key, new);
        let after = shard.len();
        self.places.fetch_add(after.saturating_sub(before), Ordering::Relaxed);
        self.places.fetch_sub(before.saturating_sub(after), Ordering::Relaxed);
    }
}

fn hash(key: &RandomState, of: &impl Hash) -> u64 {
    key.hash_one(of)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_known_by_host_port_and_path_for_a_day_after_it_was_last_shown() {
        let conversations = Conversations::default();
        let spot = Spot::Path("mcp.example", 443, "/mcp");
        let at = |seconds: i64| Timestamp(seconds * Timestamp::SECOND);
        assert_eq!(conversations.known(&spot, at(0)), None);
        conversations.learn(&spot, Confidence::Likely, at(0));
        conversations.learn(&spot, Confidence::Confirmed, at(60));
        conversations.learn(&spot, Confidence::Likely, at(120));
        assert_eq!(conversations.known(&spot, at(24 * 3600 - 1)), Some(Confidence::Confirmed));
        for other in [
            Spot::Path("mcp.example", 8443, "/mcp"),
            Spot::Path("mcp.example", 443, "/"),
            Spot::Path("example", 443, "/mcp"),
            Spot::Endpoint(&[0; 32]),
        ] {
            assert_eq!(conversations.known(&other, at(1)), None, "{other:?}");
        }
        assert_eq!(conversations.known(&spot, at(24 * 3600 + 61)), None);
        conversations.learn(&spot, Confidence::Likely, at(20 * 3600));
        assert!(conversations.known(&spot, at(24 * 3600 + 61)).is_some());
        assert!(!conversations.has_endpoints());
    }

    #[test]
    fn a_stream_is_one_of_mcp_once_mcp_is_spoken_where_it_leads() {
        let conversations = Conversations::default();
        let (stream, now) = (Spot::Path("old.example", 443, "/sse"), Timestamp(1));
        conversations.confirm_endpoint(&[1; 32], Confidence::Confirmed, now);
        conversations.learn_endpoint(&[1; 32], &stream, now);
        assert!(conversations.has_endpoints() && conversations.known(&Spot::Endpoint(&[1; 32]), now).is_some());
        assert_eq!(conversations.known(&stream, now), None);
        conversations.confirm_endpoint(&[2; 32], Confidence::Confirmed, now);
        assert_eq!(conversations.known(&stream, now), None);
        conversations.confirm_endpoint(&[1; 32], Confidence::Confirmed, now);
        assert_eq!(conversations.known(&stream, now), Some(Confidence::Confirmed));
    }

    #[test]
    fn no_server_can_make_more_be_remembered_than_there_is_room_for() {
        let conversations = Conversations::default();
        for n in 0..SHARDS * MAX_PLACES + 2000 {
            let path = format!("/{n}");
            let now = Timestamp(i64::try_from(n).unwrap() * Timestamp::SECOND / 1000);
            conversations.learn(&Spot::Path("flood.example", 443, &path), Confidence::Confirmed, now);
        }
        let kept: usize = conversations.shards.iter().map(|shard| shard.lock().unwrap().len()).sum();
        assert!(kept <= SHARDS * MAX_PLACES);
        assert_eq!(conversations.places.load(Ordering::Relaxed), kept);
        let last = format!("/{}", SHARDS * MAX_PLACES + 1999);
        let now = Timestamp(3600 * Timestamp::SECOND);
        assert!(conversations.known(&Spot::Path("flood.example", 443, &last), now).is_some(), "the newest is kept");
    }
}
