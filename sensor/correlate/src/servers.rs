//! The servers of a run.

use crate::limits;
use crate::names::Names;
use crate::oauth::Trail;
use crate::record::{Auth, Change, Mcp, Peer, ServerKey, ServerRecord};
use crate::unit::Told;
use detect::{Classification, Confidence, Scope, Seen, classify};
use net::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

/// Most client addresses kept of one server.
pub(crate) const MAX_CLIENTS: usize = 4096;
/// Most client addresses written in one record, and most names kept of clients.
const MAX_CLIENTS_WRITTEN: usize = 256;

/// One server, as known so far.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    pub(crate) told: Told,
    pub(crate) transports: BTreeSet<&'static str>,
    pub(crate) clients: BTreeSet<String>,
    /// Names of clients, by address.
    pub(crate) client_names: BTreeMap<String, String>,
    pub(crate) client_count: u64,
    pub(crate) calls: u64,
    pub(crate) auth: Auth,
    /// The way to an access token for it.
    pub(crate) oauth: Option<Box<Trail>>,
    pub(crate) outcome: &'static str,
    pub(crate) first: Timestamp,
    pub(crate) last: Timestamp,
    pub(crate) confidence: Confidence,
    pub(crate) classification: Classification,
    pub(crate) why: String,
    pub(crate) header_mismatch: bool,
    /// Evidence beyond its name was seen for that name: it was resolved so, or its certificate was verified.
    pub(crate) resolved: bool,
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
    pub(crate) bytes: usize,
    /// When those that are quiet were last looked for.
    looked: Option<Timestamp>,
}

impl Servers {
    /// Packet time without an exchange after which a server is forgotten.
    pub(crate) const LIFE: i64 = 30 * 86_400 * Timestamp::SECOND;
    /// How often those are looked for.
    pub(crate) const LOOK: i64 = 3_600 * Timestamp::SECOND;
    /// The same where there is no room for another one.
    pub(crate) const PRESSED_LIFE: i64 = 3_600 * Timestamp::SECOND;
    /// How often those are looked for then.
    pub(crate) const PRESSED_LOOK: i64 = 60 * Timestamp::SECOND;

    /// Whether it is time to look for those that are quiet, which was done before `every`; it is taken as done.
    pub(crate) fn is_time(&mut self, now: Timestamp, every: i64) -> bool {
        let looked = *self.looked.get_or_insert(now);
        let time = now.since(looked) >= every;
        if time {
            self.looked = Some(now);
        }
        time
    }

    /// Takes out those without an exchange since `since`.
    pub(crate) fn take_quiet(&mut self, since: Timestamp) -> Vec<(ServerKey, Box<Server>)> {
        let quiet: Vec<_> = self.all.extract_if(.., |_, server| server.last < since).collect();
        for (key, server) in &quiet {
            self.bytes = self.bytes.saturating_sub(server.charged);
            let place = (key.ip.clone(), key.port);
            let Some((n, first)) = self.at.get_mut(&place) else { continue };
            *n -= 1;
            if *n == 0 {
                self.at.remove(&place);
            } else if first == key
                && let Some(other) = self.all.keys().find(|other| other.ip == key.ip && other.port == key.port)
            {
                first.clone_from(other);
            }
        }
        quiet
    }

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

    /// Classifies all of them by another scope; gives those that are something else now.
    pub(crate) fn classify_anew(&mut self, scope: &Scope, names: &Names) -> Vec<ServerKey> {
        let mut changed = Vec::new();
        for (key, server) in &mut self.all {
            let client = server.clients.first().and_then(|client| client.parse().ok());
            let (Ok(ip), Some(client)) = (key.ip.parse(), client) else { continue };
            let resolved = server.resolved || names.says(&key.host, ip);
            let seen = Seen { host: &key.host, ip, port: key.port, path: &key.path, resolved };
            let now = classify(scope, client, &seen, server.confidence).classification;
            if now != server.classification {
                server.classification = now;
                changed.push(key.clone());
            }
        }
        changed
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
    let clients: Vec<String> = only.map_or_else(all, |c| vec![c.to_owned()]);
    let own = |(client, name): (&String, &String)| (client.clone(), name.clone());
    ServerRecord {
        schema: crate::record::SCHEMA,
        ts,
        sensor: sensor.to_owned(),
        change,
        server: key.clone(),
        mcp: mcp_of(&server.told, server.transport(), server.auth.clone(), server.outcome, server.header_mismatch),
        client_names: clients.iter().filter_map(|c| server.client_names.get_key_value(c)).map(own).collect(),
        clients,
        client_count: server.client_count,
        call_count: server.calls,
        first_seen: server.first,
        last_seen: server.last,
        confidence: server.confidence,
        classification: server.classification,
        why: server.why.clone(),
        severity: None,
        catalogue: None,
        authorization: server.oauth.as_deref().and_then(Trail::record),
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
        let names: usize = self.client_names.iter().map(|(ip, name)| limits::name(ip) + limits::text(name)).sum();
        AROUND
            + size_of::<Self>()
            + clients
            + names
            + self.told.bytes()
            + self.auth.bytes()
            + self.oauth.as_deref().map_or(0, Trail::bytes)
            + limits::text(&self.why)
    }

    /// Keeps what a client is called.
    pub(crate) fn call(&mut self, client: &str, name: &str) {
        if let Some(known) = self.client_names.get_mut(client) {
            name.clone_into(known);
        } else if self.client_names.len() < MAX_CLIENTS_WRITTEN {
            self.client_names.insert(client.to_owned(), name.to_owned());
        }
    }

    fn transport(&self) -> &'static str {
        let known = self.transports.iter().find(|t| **t != "unknown");
        known.copied().unwrap_or("unknown")
    }
}

/// The common part of the records of a detection, session or server.
pub(crate) fn mcp_of(told: &Told, transport: &str, auth: Auth, outcome: &str, header_mismatch: bool) -> Mcp {
    let list = |set: &BTreeSet<String>| set.iter().cloned().collect::<Vec<_>>();
    let versions = if told.versions.is_empty() { &told.offers } else { &told.versions };
    Mcp {
        transport: transport.to_owned(),
        era: era(told.session_era, told.stateless),
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

fn era(session: bool, stateless: bool) -> Option<String> {
    let era = if session { Some("session") } else { stateless.then_some("stateless") };
    era.map(str::to_owned)
}

fn peer(p: &mcp::Implementation) -> Peer {
    Peer { name: p.name.clone(), version: p.version.clone() }
}

impl Mcp {
    /// Adds what the conversation said before to what `own` messages did not say.
    pub(crate) fn adopt(&mut self, own: &Told, before: &Told) {
        self.client = self.client.take().or_else(|| before.client.as_ref().map(peer));
        self.server = self.server.take().or_else(|| before.server.as_ref().map(peer));
        if own.versions.is_empty() && own.offers.is_empty() {
            self.protocol_versions = before.versions.iter().cloned().collect();
        }
        self.era = era(own.session_era || before.session_era, own.stateless || before.stateless);
    }
}
