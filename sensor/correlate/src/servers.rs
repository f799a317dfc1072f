//! The servers of a run.

use crate::limits;
use crate::record::{Auth, Change, Mcp, Peer, ServerKey, ServerRecord};
use crate::unit::Told;
use detect::{Classification, Confidence};
use net::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

/// Most client addresses kept of one server.
pub(crate) const MAX_CLIENTS: usize = 4096;
/// Most client addresses written in one record.
const MAX_CLIENTS_WRITTEN: usize = 256;

/// One server, as known so far.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    pub(crate) told: Told,
    pub(crate) transports: BTreeSet<&'static str>,
    pub(crate) clients: BTreeSet<String>,
    pub(crate) client_count: u64,
    pub(crate) calls: u64,
    pub(crate) auth: Auth,
    pub(crate) outcome: &'static str,
    pub(crate) first: Timestamp,
    pub(crate) last: Timestamp,
    pub(crate) confidence: Confidence,
    pub(crate) classification: Classification,
    pub(crate) why: String,
    pub(crate) header_mismatch: bool,
    /// What it weighed when it was last weighed, in bytes.
    pub(crate) charged: usize,
}

/// All servers, in a fixed order.
#[derive(Debug, Default)]
pub(crate) struct Servers {
    pub(crate) all: BTreeMap<ServerKey, Box<Server>>,
    /// How many servers an address and port have, and the first of them.
    pub(crate) at: BTreeMap<(String, u16), (u32, ServerKey)>,
    /// Bytes of all, as of when each was last weighed.
    bytes: usize,
}

impl Servers {
    /// The only server at this address and port, if there is just one.
    pub(crate) fn only_at(&self, ip: &str, port: u16) -> Option<ServerKey> {
        self.at.get(&(ip.to_owned(), port)).filter(|(n, _)| *n == 1).map(|(_, key)| key.clone())
    }

    /// Whether one more may be kept where all may weigh `limit` bytes.
    pub(crate) fn has_room(&self, limit: usize) -> bool {
        self.bytes < limit
    }

    /// Whether more may be learnt of any. A quarter is left to servers that are only known to be there, so that a few
    /// with much to say do not hide the others.
    pub(crate) fn may_learn(&self, limit: usize) -> bool {
        self.bytes < limit - limit / 4
    }

    /// Weighs one that has changed.
    pub(crate) fn weigh(&mut self, key: &ServerKey) {
        let Some(server) = self.all.get_mut(key) else { return };
        let before = std::mem::replace(&mut server.charged, 0);
        server.charged = 3 * key.bytes() + server.bytes();
        self.bytes = self.bytes.saturating_sub(before) + server.charged;
    }

    /// Notes where a new server is.
    pub(crate) fn place(&mut self, key: &ServerKey) {
        let (n, _) = self.at.entry((key.ip.clone(), key.port)).or_insert_with(|| (0, key.clone()));
        *n += 1;
    }
}

/// The record of `server` under `key`. `only` names the one client that the change is about.
pub(crate) fn record(
    key: &ServerKey,
    server: &Server,
    change: Change,
    only: Option<&str>,
    ts: Timestamp,
    sensor: &str,
) -> ServerRecord {
    let all = || server.clients.iter().take(MAX_CLIENTS_WRITTEN).cloned().collect();
    ServerRecord {
        schema: crate::record::SCHEMA,
        ts,
        sensor: sensor.to_owned(),
        change,
        server: key.clone(),
        mcp: mcp_of(&server.told, server.transport(), server.auth.clone(), server.outcome, server.header_mismatch),
        clients: only.map_or_else(all, |c| vec![c.to_owned()]),
        client_count: server.client_count,
        call_count: server.calls,
        first_seen: server.first,
        last_seen: server.last,
        confidence: server.confidence,
        classification: server.classification,
        why: server.why.clone(),
    }
}

impl ServerKey {
    /// What it weighs.
    pub(crate) fn bytes(&self) -> usize {
        size_of::<Self>() + limits::text(&self.host) + limits::text(&self.ip) + limits::text(&self.path)
    }
}

impl Auth {
    /// What it weighs on the heap.
    pub(crate) fn bytes(&self) -> usize {
        let claims = self.jwt.iter().flat_map(|j| [&j.iss, &j.sub, &j.aud]).flatten();
        limits::text(&self.kind) + claims.map(|c| limits::text(c)).sum::<usize>()
    }
}

impl Server {
    /// What it weighs, without its key.
    fn bytes(&self) -> usize {
        /// Its entries in maps by key and by address, and the set of its transports.
        const AROUND: usize = 4 * limits::ENTRY + 192;
        // The longest address in its text form.
        let clients = self.clients.len() * limits::name("0000:0000:0000:0000:0000:0000:0000:0000");
        AROUND + size_of::<Self>() + clients + self.told.bytes() + self.auth.bytes() + limits::text(&self.why)
    }

    fn transport(&self) -> &'static str {
        let known = self.transports.iter().find(|t| **t != "unknown");
        known.copied().unwrap_or("unknown")
    }
}

/// The common part of the records of a detection, session or server.
pub(crate) fn mcp_of(told: &Told, transport: &str, auth: Auth, outcome: &str, header_mismatch: bool) -> Mcp {
    let list = |set: &BTreeSet<String>| set.iter().cloned().collect::<Vec<_>>();
    let peer = |p: &mcp::Implementation| Peer { name: p.name.clone(), version: p.version.clone() };
    let versions = if told.versions.is_empty() { &told.offers } else { &told.versions };
    let era = if told.session_era { Some("session") } else { told.stateless.then_some("stateless") };
    Mcp {
        transport: transport.to_owned(),
        era: era.map(str::to_owned),
        protocol_versions: list(versions),
        methods: list(&told.methods),
        tools: list(&told.tools),
        tools_listed: list(&told.tools_listed),
        resources: list(&told.resources),
        prompts: list(&told.prompts),
        client: told.client.as_ref().map(peer),
        server: told.server.as_ref().map(peer),
        outcome: outcome.to_owned(),
        auth,
        header_mismatch,
        ..Mcp::default()
    }
}
