//! Secrets by client random.

use super::{Label, Secret, SessionKeys};
use std::collections::{HashMap, VecDeque};

/// Most sessions kept by default; each takes some 500 bytes.
pub const MAX_SESSIONS: usize = 1 << 19;

/// Secrets of many sessions, by client random.
///
/// The first secret of a label counts: a session has one of each, and so it does not matter when somebody asks.
pub struct KeyStore {
    sessions: HashMap<[u8; 32], Box<Session>>,
    /// The keys of `sessions` as they came.
    order: VecDeque<[u8; 32]>,
    max_sessions: usize,
    evicted: u64,
    conflicts: u64,
}

/// Boxed, so that a growing table does not leave copies behind.
#[derive(Debug, Default)]
struct Session {
    secrets: [Option<Known>; Label::COUNT],
}

#[derive(Debug)]
struct Known {
    secret: Secret,
    /// The packet after which it is known.
    since: u64,
    /// It stood in a line whose end had not come: maybe a part of it only.
    provisional: bool,
}

impl std::fmt::Debug for KeyStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyStore").field("sessions", &self.sessions.len()).finish_non_exhaustive()
    }
}

impl Default for KeyStore {
    fn default() -> Self {
        Self::new(MAX_SESSIONS)
    }
}

impl KeyStore {
    /// A store of at most so many sessions, at least one. The oldest one makes room for a new one, and is counted.
    pub fn new(max_sessions: usize) -> Self {
        Self {
            sessions: HashMap::new(),
            order: VecDeque::new(),
            max_sessions: max_sessions.max(1),
            evicted: 0,
            conflicts: 0,
        }
    }

    /// Sessions kept.
    pub fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    /// Sessions given up to make room.
    pub const fn evicted(&self) -> u64 {
        self.evicted
    }

    /// Secrets that differ from the one known before, and were left out.
    pub const fn conflicts(&self) -> u64 {
        self.conflicts
    }

    /// Adds what is known of a session after packet `now`; `u64::MAX` for all.
    pub fn fill(&self, client_random: &[u8; 32], now: u64, into: &mut SessionKeys) {
        let Some(session) = self.sessions.get(client_random) else { return };
        for (label, known) in ALL.into_iter().zip(&session.secrets) {
            if let Some(known) = known.as_ref().filter(|known| known.since <= now) {
                into.add(label, &known.secret);
            }
        }
    }

    /// Keeps a secret that is known after packet `since`.
    pub(super) fn insert(&mut self, random: &[u8; 32], label: Label, secret: Secret, since: u64, provisional: bool) {
        if !self.sessions.contains_key(random) {
            while self.sessions.len() >= self.max_sessions {
                let Some(oldest) = self.order.pop_front() else { break };
                self.sessions.remove(&oldest);
                self.evicted += 1;
            }
            self.order.push_back(*random);
        }
        let session = self.sessions.entry(*random).or_default();
        let Some(slot) = session.secrets.get_mut(label as usize) else { return };
        match slot {
            Some(known) if !known.provisional => self.conflicts += u64::from(known.secret != secret),
            _ => *slot = Some(Known { secret, since, provisional }),
        }
    }
}

/// In the order of declaration.
const ALL: [Label; Label::COUNT] = [
    Label::Master,
    Label::ClientEarly,
    Label::ClientHandshake,
    Label::ServerHandshake,
    Label::ClientTraffic,
    Label::ServerTraffic,
];
