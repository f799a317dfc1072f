//! The authorisation map: which client asks which authorisation server for which MCP resource.

use super::aging::Aging;
use super::{Authorization, OAuthSeen, classify_resource, gravity, is_configured};
use crate::{Confidence, Scope};
use mcp::{ClientId, OAuthStage};
use net::Timestamp;
use sha2::{Digest, Sha256};
use std::net::IpAddr;
use std::sync::Arc;

/// Most entries of each table of the map: resources, places of their metadata, clients with the authorisation servers they
/// were led to, and registered clients.
pub const MAX_LINKS: usize = 4096;
/// How long after a resource led a client to an authorisation server a registration there is for that resource.
const LED: i64 = 600 * Timestamp::SECOND;
/// Longest key, in bytes.
const MAX_KEY: usize = 512;

/// An MCP resource.
#[derive(Debug)]
pub(super) struct Resource {
    url: Arc<str>,
    /// Hosts of the authorisation servers that its metadata name, as keys.
    servers: Vec<Arc<str>>,
}

/// Where a client was led.
#[derive(Debug)]
struct Led {
    resource: Arc<str>,
    at: Timestamp,
}

/// A client that was registered for a resource.
#[derive(Debug)]
struct Registered {
    resource: Arc<str>,
    name: Option<Arc<str>>,
}

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub struct Asker<'a> {
    /// Address of the client.
    pub client: IpAddr,
    /// Host that it asks, with the port where it is not the usual one, as sent.
    pub authority: &'a str,
    /// Target or path that it asks for.
    pub path: &'a str,
    /// The connection is not encrypted, as far as can be seen.
    pub clear: bool,
    /// When.
    pub now: Timestamp,
}

/// The map. Each table is bounded by [`MAX_LINKS`]; what was not used for longest is forgotten, and counted. An ordinary
/// login never gets in: every entry has an MCP resource at its end.
#[derive(Debug)]
pub struct AuthorizationMap {
    resources: Aging<Box<str>, Resource>,
    /// Where metadata of a resource are, as a challenge said.
    places: Aging<Box<str>, Arc<str>>,
    /// By client and authorisation server.
    led: Aging<(IpAddr, Box<str>), Led>,
    /// By authorisation server and id.
    clients: Aging<[u8; 32], Registered>,
}

impl Default for AuthorizationMap {
    fn default() -> Self {
        Self {
            resources: Aging::new(MAX_LINKS),
            places: Aging::new(MAX_LINKS),
            led: Aging::new(MAX_LINKS),
            clients: Aging::new(MAX_LINKS),
        }
    }
}

/// Host (and port where it is unusual) in lower case.
fn server_key(authority: &str) -> Box<str> {
    let rest = authority.split_once("://").map_or(authority, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let bare = authority.strip_suffix(":443").or_else(|| authority.strip_suffix(":80")).unwrap_or(authority);
    bare.get(..bare.floor_char_boundary(MAX_KEY)).unwrap_or_default().trim_end_matches('.').to_ascii_lowercase().into()
}

/// Host and normalised path of a URL, or of an authority with a path behind it.
fn key(url: &str) -> Box<str> {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let (authority, path) = rest.find(['/', '?', '#']).map_or((rest, ""), |at| rest.split_at(at));
    let path = mcp::normal_target(path);
    let mut key = String::from(server_key(authority));
    if path != "/" {
        key.push_str(&path);
    }
    key.truncate(key.floor_char_boundary(MAX_KEY));
    key.into()
}

impl Asker<'_> {
    fn place(&self) -> Box<str> {
        key(&format!("{}{}", self.authority, self.bare_path()))
    }

    fn bare_path(&self) -> &str {
        self.path.split(['?', '#']).next().unwrap_or_default()
    }

    fn url(&self, path: &str) -> Arc<str> {
        let scheme = if self.clear { "http" } else { "https" };
        mcp::clean_uri(&format!("{scheme}://{}{path}", self.authority)).into()
    }

    /// The resource whose metadata are asked for (RFC 9728 section 3.1), or whose authorisation server's are: what stands
    /// behind the well-known part of the path, on this host.
    fn described(&self) -> Arc<str> {
        const KNOWN: [&str; 3] = ["oauth-protected-resource", "oauth-authorization-server", "openid-configuration"];
        let path = self.bare_path();
        let Some((before, rest)) = path.split_once("/.well-known/") else { return self.url("") };
        let rest = KNOWN.iter().find_map(|known| rest.strip_prefix(known)).unwrap_or_default();
        self.url(if rest.is_empty() || rest == "/" { before } else { rest })
    }
}

/// The key of a registered client: an id means something to its authorisation server alone.
fn client_key(server: &str, client: &ClientId) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update((server.len() as u64).to_be_bytes());
    hash.update(server);
    hash.update(client.key);
    hash.finalize().into()
}

impl AuthorizationMap {
    /// The resource that is known at a place, or above or below whose path it is.
    pub(super) fn known(&self, key: &str) -> Option<&Resource> {
        let mut at = key;
        loop {
            if let Some(found) = self.resources.get(at) {
                return Some(found);
            }
            at = at.rsplit_once('/')?.0;
        }
    }

    fn is_mcp(&self, scope: &Scope, url: &str) -> bool {
        mcp::names_mcp(url) || self.known(&key(url)).is_some() || is_configured(scope, url)
    }

    /// What a request of the trail is for; `None` for one without a step, and for all that no MCP resource is known to be
    /// behind.
    pub fn find(&self, scope: &Scope, asker: &Asker<'_>, seen: &OAuthSeen) -> Option<Authorization> {
        let stage = seen.stage?;
        let server = server_key(asker.authority);
        let led = || self.led.get(&(asker.client, server.clone())).filter(|led| asker.now.since(led.at) < LED);
        let registered = seen.client.as_ref().and_then(|client| self.clients.get(&client_key(&server, client)));
        let sure = Confidence::Likely;
        let (resources, confidence, server) = match stage {
            OAuthStage::Metadata => {
                let described = asker.described();
                let own = self.places.get(&asker.place()).cloned();
                let known = self.known(&key(own.as_deref().unwrap_or(&described)));
                // By an authorisation server that serves others, too, no one is accused who only asks what it is.
                let led = led().filter(|_| seen.shows_mcp);
                let found = known.map(|known| &known.url).or(led.map(|led| &led.resource)).cloned();
                let speaks = known.and_then(|known| known.servers.first()).cloned();
                let confidence = if found.is_some() { sure } else { Confidence::Possible };
                let found = found.or_else(|| (mcp::names_mcp(&described) || seen.shows_mcp).then_some(described))?;
                (vec![found], confidence, speaks.unwrap_or_default())
            }
            OAuthStage::Registration => (vec![Arc::clone(&led()?.resource)], sure, server.into()),
            OAuthStage::Authorization | OAuthStage::Token => {
                let named = || seen.resources.iter().filter(|url| self.is_mcp(scope, url));
                // A path alone is a guess.
                let known = |url: &String| self.known(&key(url)).is_some() || is_configured(scope, url);
                let guessed = named().next().is_some() && !named().any(known);
                let sure = if guessed { Confidence::Possible } else { sure };
                let mut all: Vec<Arc<str>> = named().map(|url| url.as_str().into()).collect();
                if all.is_empty() {
                    all.push(Arc::clone(&registered?.resource));
                }
                all.sort_by_key(|url| std::cmp::Reverse(gravity(classify_resource(scope, asker.client, url, sure))));
                (all, sure, server.into())
            }
        };
        let name = seen.client_name.as_deref().map(Into::into).or_else(|| registered.and_then(|r| r.name.clone()));
        let client_id = seen.client.as_ref().or(seen.registered.as_ref()).map(|client| client.shown.as_str().into());
        Some(Authorization { stage, resources, server, client_name: name, client_id, confidence })
    }

    /// Learns from an exchange; `found` is what [`Self::find`] said of its request. Gives how many entries were forgotten to
    /// make room.
    pub fn learn(&mut self, scope: &Scope, asker: &Asker<'_>, seen: &OAuthSeen, found: Option<&Authorization>) -> u64 {
        let here = server_key(asker.authority);
        if seen.challenged && (seen.shows_mcp || self.known(&asker.place()).is_some()) {
            let url = asker.url(asker.bare_path());
            self.keep(&url);
            if let Some(metadata) = &seen.metadata_url {
                self.places.put(key(metadata), Arc::clone(&url));
            }
            // Without metadata a resource is its own authorisation server.
            self.lead(asker, here.clone(), &url);
        }
        if let Some((resource, servers)) = &seen.metadata {
            let promised = self.places.get(&asker.place()).cloned();
            // Nobody speaks for the resources of others (RFC 9728 section 3.3).
            let own = server_key(promised.as_deref().unwrap_or(asker.authority)) == server_key(resource);
            if own && (promised.is_some() || seen.shows_mcp || self.is_mcp(scope, resource)) {
                let url: Arc<str> = resource.as_str().into();
                let servers: Vec<Arc<str>> = servers.iter().map(|server| Arc::from(server_key(server))).collect();
                for server in &servers {
                    self.lead(asker, Box::from(&**server), &url);
                }
                self.keep(&url).servers.clone_from(&servers);
                // The endpoint that led here may be below the resource that it is part of.
                if let Some(endpoint) = promised.filter(|endpoint| key(endpoint) != key(&url)) {
                    self.keep(&endpoint).servers = servers;
                }
            }
        }
        let led = self.led.get(&(asker.client, here.clone())).filter(|led| asker.now.since(led.at) < LED);
        if let Some(resource) = led.map(|led| Arc::clone(&led.resource)) {
            for endpoint in &seen.endpoints {
                self.lead(asker, server_key(endpoint), &resource);
            }
        }
        let registration = found.filter(|found| found.stage == OAuthStage::Registration);
        if let (Some(found), Some(client)) = (registration, &seen.registered) {
            let new = Registered { resource: found.resource().into(), name: found.client_name.clone() };
            self.clients.put(client_key(&here, client), new);
        }
        self.resources.take_forgotten()
            + self.places.take_forgotten()
            + self.led.take_forgotten()
            + self.clients.take_forgotten()
    }

    fn keep(&mut self, url: &Arc<str>) -> &mut Resource {
        self.resources.entry(key(url), || Resource { url: Arc::clone(url), servers: Vec::new() })
    }

    fn lead(&mut self, asker: &Asker<'_>, server: Box<str>, resource: &Arc<str>) {
        self.led.put((asker.client, server), Led { resource: Arc::clone(resource), at: asker.now });
    }

    /// Hosts of the authorisation servers of a resource, as far as its metadata were seen.
    pub fn servers_of(&self, resource: &str) -> &[Arc<str>] {
        self.known(&key(resource)).map_or(&[], |known| &known.servers)
    }

    #[cfg(test)]
    pub(super) fn lens(&self) -> [usize; 4] {
        [self.resources.len(), self.places.len(), self.led.len(), self.clients.len()]
    }
}
