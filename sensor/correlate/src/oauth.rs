//! The authorisation map of a run: which clients ask which authorisation servers for which MCP servers; and model calls that
//! pass the company's gateway by.

use crate::correlator::{Correlator, Out};
use crate::limits;
use crate::record::{AuthorizationRecord, Change, NoticeCode, OAuthClientRecord, OAuthRecord, Record, ServerKey};
use crate::servers::{self, Servers};
use crate::unit::{ExchangeKey, Open};
use detect::hosts::normal_host;
use detect::{Asker, Authorization, Confidence, OAuthSeen, Weight};
use mcp::OAuthStage;
use net::Timestamp;
use std::collections::BTreeSet;
use std::net::IpAddr;

/// Most authorisation servers kept of one server.
const MAX_SERVERS: usize = 16;
/// Most clients of OAuth kept of one server.
const MAX_CLIENTS: usize = 64;
/// Most servers of one host among which that of a resource is looked for.
const MAX_OF_HOST: usize = 64;

/// What is known of the way to an access token for one server.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trail {
    /// Hosts of authorisation servers.
    servers: BTreeSet<String>,
    clients: Vec<OAuthClient>,
}

/// A client of OAuth.
#[derive(Clone, Debug)]
struct OAuthClient {
    /// Hash of its id, to know it again.
    key: Option<[u8; 32]>,
    name: Option<String>,
    /// Its id, as far as that may be shown.
    id: Option<String>,
    first: Timestamp,
}

impl Trail {
    /// What it weighs, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        let client = |c: &OAuthClient| {
            2 * size_of::<OAuthClient>() + limits::some_text(c.name.as_ref()) + limits::some_text(c.id.as_ref())
        };
        self.servers.iter().map(|s| limits::name(s)).sum::<usize>() + self.clients.iter().map(client).sum::<usize>()
    }

    /// For the record.
    pub(crate) fn record(&self) -> Option<AuthorizationRecord> {
        if self.servers.is_empty() && self.clients.is_empty() {
            return None;
        }
        let client =
            |c: &OAuthClient| OAuthClientRecord { name: c.name.clone(), id: c.id.clone(), first_seen: c.first };
        Some(AuthorizationRecord {
            authorization_servers: self.servers.iter().cloned().collect(),
            clients: self.clients.iter().map(client).collect(),
        })
    }

    /// Takes in one step. Gives whether that was new, and how much was not kept.
    fn learn<'s>(&mut self, servers: impl Iterator<Item = &'s str>, client: Option<OAuthClient>) -> (bool, u64) {
        let (mut new, mut not_kept) = (false, 0);
        for server in servers.filter(|server| !server.is_empty()) {
            if self.servers.len() < MAX_SERVERS {
                new |= self.servers.insert(server.to_owned());
            } else {
                not_kept += u64::from(!self.servers.contains(server));
            }
        }
        let Some(client) = client else { return (new, not_kept) };
        // A registration is known by its name until it is answered with an id.
        let same = |c: &&mut OAuthClient| match (c.key, client.key) {
            (Some(known), Some(key)) => known == key,
            _ => c.name.is_some() && c.name == client.name,
        };
        if let Some(known) = self.clients.iter_mut().find(same) {
            new |= known.key.is_none() && client.key.is_some();
            known.key = known.key.or(client.key);
            known.id = known.id.take().or(client.id);
            known.name = known.name.take().or(client.name);
        } else if self.clients.len() < MAX_CLIENTS {
            self.clients.push(client);
            new = true;
        } else {
            not_kept += 1;
        }
        (new, not_kept)
    }
}

impl Open {
    /// The authorisation that it is a step of, for the record.
    pub(crate) fn oauth_record(&self) -> Option<OAuthRecord> {
        let found = self.authorization.as_deref()?;
        Some(OAuthRecord {
            stage: found.stage.word().to_owned(),
            resources: found.resources.iter().map(ToString::to_string).collect(),
            authorization_server: Some(found.server.to_string()).filter(|server| !server.is_empty()),
            client_name: found.client_name.as_deref().map(str::to_owned),
            client_id: found.client_id.as_deref().map(str::to_owned),
        })
    }

    /// What its steps of OAuth weigh, in bytes.
    pub(crate) fn oauth_bytes(&self) -> usize {
        let found = self.authorization.as_deref().map_or(0, |found| {
            size_of::<Authorization>() + found.resources.iter().map(|url| limits::text(url) + 16).sum::<usize>() + 512
        });
        self.oauth.as_deref().map_or(0, OAuthSeen::bytes) + found
    }

    /// Whether it is a step that speaks about a server and is not said to it.
    pub(crate) fn is_for_resource(&self) -> bool {
        self.authorization.as_deref().is_some_and(|found| found.stage != OAuthStage::Metadata)
    }
}

impl Correlator {
    /// News of the way to an access token.
    pub(crate) fn oauth(&mut self, key: ExchangeKey, ts: Timestamp, news: OAuthSeen) {
        let Some(open) = self.open.get_mut(&key) else { return };
        let mut seen = open.oauth.take().unwrap_or_default();
        seen.join(news);
        let clear = open.inside().is_none() && open.proxy().is_none_or(|proxy| proxy.tls.is_none());
        if let Some(request) = open.request.as_deref().filter(|request| !request.authority.is_empty()) {
            let scope = &self.options.generation.scope;
            let (authority, path) = (request.authority.as_str(), request.path().clean.as_str());
            let asker = Asker { client: open.client(), authority, path, clear, now: ts };
            let found = open.authorization.take().map(|found| *found);
            let found = found.or_else(|| self.authorizations.find(scope, &asker, &seen));
            let forgotten = self.authorizations.learn(scope, &asker, &seen, found.as_ref());
            self.totals.met("authorizations", forgotten);
            open.authorization = found.map(Box::new);
        }
        if let Some(found) = open.authorization.as_deref() {
            let (id, on) = match found.stage {
                OAuthStage::Registration => ("mcp.oauth.registration", "request.body"),
                OAuthStage::Authorization => ("mcp.oauth.authorization", "url"),
                OAuthStage::Token => ("mcp.oauth.token", "request.body"),
                // That is a signal by itself.
                OAuthStage::Metadata => ("", ""),
            };
            let weight = if found.confidence >= Confidence::Likely { Weight::Strong } else { Weight::Medium };
            if !id.is_empty() {
                open.primary.signals.structure(id, on, weight, found.resource(), 0);
            }
        }
        open.oauth = Some(seen);
    }

    /// The server of a resource learns who asks for it.
    pub(crate) fn authorization_learns(&mut self, key: ExchangeKey, ts: Timestamp, out: Out<'_>) {
        let Some(open) = self.open.get(&key) else { return };
        let (Some(found), Some(seen)) = (open.authorization.as_deref(), open.oauth.as_deref()) else { return };
        let Some(server_key) = self.servers.of_resource(found.resource()) else { return };
        let named = self.authorizations.servers_of(found.resource()).iter().map(|server| &**server);
        let own = Some(&*found.server).filter(|_| open.is_for_resource());
        let id = seen.registered.as_ref().or(seen.client.as_ref());
        let client = open.is_for_resource().then(|| OAuthClient {
            key: id.map(|id| id.key),
            name: found.client_name.as_deref().map(str::to_owned),
            id: id.map(|id| id.shown.clone()),
            first: open.primary.ts,
        });
        let client = client.filter(|client| client.key.is_some() || client.name.is_some());
        let learns = self.servers.may_learn(self.options.limits.servers);
        let Some(server) = self.servers.all.get_mut(&server_key) else { return };
        if !learns {
            self.totals.met("server_facts", 1);
            return;
        }
        let (new, not_kept) = server.oauth.get_or_insert_default().learn(named.chain(own), client);
        self.totals.met("authorizations_per_server", not_kept);
        let sensor = &self.options.sensor;
        let record = new.then(|| servers::record(&server_key, server, Change::Auth, None, ts, sensor));
        self.servers.weigh(&server_key);
        if let Some(record) = record {
            self.emit(Record::Server(Box::new(record)), out);
        }
    }

    /// A client calls a provider of models: told once for each of them, if the company's gateway should have been passed.
    pub(crate) fn model_call(
        &mut self,
        (client, host): (IpAddr, &str),
        ts: Timestamp,
        flow: Option<crate::record::Flow>,
        out: Out<'_>,
    ) {
        if !self.options.generation.scope.llm_gateway.is_passed_by(client, host) {
            return;
        }
        self.totals.gateway_passed_by += 1;
        let (new, forgotten) = self.passed_by.add(client, host, self.options.limits.of_clients() / 4);
        self.totals.met("gateway_clients", forgotten);
        if new {
            let text = format!("{client} calls {host} without passing the gateway for models");
            self.notice(ts, NoticeCode::LlmGatewayBypassed, text, flow, out);
        }
    }
}

impl Servers {
    /// The server that a resource is: of its host, with its path or one below or above it.
    fn of_resource(&self, url: &str) -> Option<ServerKey> {
        let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
        let (authority, path) = rest.find(['/', '?', '#']).map_or((rest, ""), |at| rest.split_at(at));
        let host = normal_host(authority).into_owned();
        let path = mcp::normal_target(path);
        let from = ServerKey { host: host.clone(), ..ServerKey::default() };
        let of_host = self.all.range(from..).map(|(key, _)| key).take_while(|key| key.host == host).take(MAX_OF_HOST);
        let near = |key: &ServerKey| {
            let own = mcp::normal_target(&key.path);
            match () {
                () if own == path => 2_u8,
                () if is_below(&own, &path) || is_below(&path, &own) => 1,
                () => 0,
            }
        };
        let ranked = of_host.map(|key| (near(key), key)).filter(|(rank, _)| *rank > 0);
        // Of those equally near the first.
        ranked.reduce(|best, next| if next.0 > best.0 { next } else { best }).map(|(_, key)| key.clone())
    }
}

fn is_below(path: &str, above: &str) -> bool {
    let above = above.trim_end_matches('/');
    path.strip_prefix(above).is_some_and(|rest| rest.starts_with('/') || rest.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(n: u8, name: Option<&str>) -> OAuthClient {
        OAuthClient { key: Some([n; 32]), name: name.map(Into::into), id: Some(n.to_string()), first: Timestamp(0) }
    }

    #[test]
    fn a_server_keeps_so_many_clients_of_oauth_and_counts_the_rest() {
        let mut trail = Trail::default();
        let mut not_kept = 0;
        for n in 0..=255 {
            let server = format!("login{n}.example");
            let (new, left_out) = trail.learn(std::iter::once(server.as_str()), Some(client(n, None)));
            assert_eq!(new, usize::from(n) < MAX_CLIENTS, "{n}");
            not_kept += left_out;
        }
        let record = trail.record().unwrap();
        assert_eq!((record.authorization_servers.len(), record.clients.len()), (MAX_SERVERS, MAX_CLIENTS));
        assert_eq!(not_kept, 2 * 256 - (MAX_SERVERS + MAX_CLIENTS) as u64);
        assert_eq!(trail.learn(std::iter::empty(), Some(client(3, None))), (false, 0));
    }

    #[test]
    fn a_registration_becomes_the_client_that_its_answer_names() {
        let mut trail = Trail::default();
        let unanswered = OAuthClient { key: None, id: None, ..client(0, Some("CLI")) };
        assert!(trail.learn(std::iter::empty(), Some(unanswered)).0);
        assert!(trail.learn(std::iter::empty(), Some(client(1, Some("CLI")))).0);
        assert!(!trail.learn(std::iter::empty(), Some(client(1, None))).0);
        assert!(trail.learn(std::iter::empty(), Some(client(2, Some("CLI")))).0, "another of the same name");
        let clients = trail.record().unwrap().clients;
        assert_eq!(clients.iter().map(|c| c.id.as_deref()).collect::<Vec<_>>(), [Some("1"), Some("2")]);
    }
}
