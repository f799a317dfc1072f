//! The OAuth trail of MCP: who asks whom to be let in where. A client is challenged by a resource, learns which
//! authorisation server speaks for it, registers there, asks to be authorised and for a token. What belongs together is
//! joined by [`AuthorizationMap`]; nothing of it is MCP that has no MCP resource at its end.

mod aging;
mod map;
#[cfg(test)]
mod tests;

pub use map::{Asker, AuthorizationMap, MAX_LINKS};

use crate::{Classification, Confidence, Scope, Seen, classify};
use mcp::{ClientId, OAuthStage};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

/// What one exchange shows of the trail, so far. All texts are masked and bounded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OAuthSeen {
    /// The step that its request is.
    pub stage: Option<OAuthStage>,
    /// The client, as it says.
    pub client: Option<ClientId>,
    /// `client_name` of a registration.
    pub client_name: Option<String>,
    /// `resource` of an authorisation or token request, at most 8.
    pub resources: Vec<String>,
    /// The exchange itself shows MCP: a field, a path or a message.
    pub shows_mcp: bool,
    /// It was answered by an authorisation challenge (RFC 9728 section 5.1).
    pub challenged: bool,
    /// Where that says the metadata of the resource are.
    pub metadata_url: Option<String>,
    /// Metadata of a resource that came back: itself, and its authorisation servers.
    pub metadata: Option<(String, Vec<String>)>,
    /// Hosts of the endpoints that metadata of an authorisation server name.
    pub endpoints: Vec<String>,
    /// The client that was registered.
    pub registered: Option<ClientId>,
}

impl OAuthSeen {
    /// Adds what a later part of the same exchange shows.
    pub fn join(&mut self, later: Self) {
        self.stage = later.stage.or(self.stage);
        self.client = later.client.or(self.client.take());
        self.client_name = later.client_name.or(self.client_name.take());
        if !later.resources.is_empty() {
            self.resources = later.resources;
        }
        self.shows_mcp |= later.shows_mcp;
        self.challenged |= later.challenged;
        self.metadata_url = later.metadata_url.or(self.metadata_url.take());
        self.metadata = later.metadata.or(self.metadata.take());
        if !later.endpoints.is_empty() {
            self.endpoints = later.endpoints;
        }
        self.registered = later.registered.or(self.registered.take());
    }

    /// What it weighs on the heap, in bytes.
    pub fn bytes(&self) -> usize {
        let client = |c: &Option<ClientId>| c.as_ref().map_or(0, |c| c.shown.len());
        let metadata = self.metadata.as_ref().map_or(0, |(own, all)| own.len() + list(all));
        let some = |t: &Option<String>| t.as_ref().map_or(0, String::len);
        size_of::<Self>()
            + client(&self.client)
            + client(&self.registered)
            + some(&self.client_name)
            + some(&self.metadata_url)
            + metadata
            + list(&self.resources)
            + list(&self.endpoints)
    }
}

fn list(all: &[String]) -> usize {
    all.iter().map(|one| one.len() + size_of::<String>()).sum()
}

/// Who asks for the authorisation of which client at which resource: what a request of the trail turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authorization {
    /// The step.
    pub stage: OAuthStage,
    /// MCP resources that it is for, the gravest of them first; at least one, as URLs.
    pub resources: Vec<Arc<str>>,
    /// The authorisation server: host, and port where it is not the usual one; empty as long as none is known.
    pub server: Arc<str>,
    /// What the client calls itself.
    pub client_name: Option<Arc<str>>,
    /// Its id, as far as that may be shown.
    pub client_id: Option<Arc<str>>,
    /// How sure it is that the resource is one of MCP.
    pub confidence: Confidence,
}

impl Authorization {
    /// The resource that it is for; of several the gravest.
    pub fn resource(&self) -> &str {
        self.resources.first().map_or("", |url| url)
    }

    /// What the resource means here, this surely. The token is for that name, whatever its address is: so the name is all the evidence
    /// that there is, and enough.
    pub fn classification(&self, scope: &Scope, client: IpAddr, confidence: Confidence) -> Classification {
        let of = |url: &Arc<str>| classify_resource(scope, client, url, confidence);
        let all = self.resources.iter().map(of);
        all.max_by_key(|class| gravity(*class)).unwrap_or(Classification::Unknown)
    }
}

/// Of several resources in one request the gravest counts.
const fn gravity(class: Classification) -> u8 {
    match class {
        Classification::Denied => 7,
        Classification::Shadow => 6,
        Classification::Unknown => 5,
        Classification::SanctionedDirect => 4,
        Classification::Published => 3,
        Classification::Sanctioned => 2,
        Classification::Portal => 1,
        Classification::LookAlike => 0,
    }
}

/// What a resource that is named and not contacted means here.
fn classify_resource(scope: &Scope, client: IpAddr, url: &str, confidence: Confidence) -> Classification {
    with_seen(url, |seen| classify(scope, client, seen, confidence).classification)
}

/// Whether the configuration speaks of a resource: then it is a server of MCP.
fn is_configured(scope: &Scope, url: &str) -> bool {
    with_seen(url, |seen| {
        let entries = scope.denied.iter().chain(&scope.sanctioned).chain(&scope.published);
        scope.portal_hosts.iter().any(|host| host.matches(seen.host)) || entries.into_iter().any(|e| e.names(seen))
    })
}

/// A server of which nothing but its URL is known.
pub(crate) fn with_seen<R>(url: &str, then: impl FnOnce(&Seen<'_>) -> R) -> R {
    let (secure, rest) = match url.split_once("://") {
        Some((scheme, rest)) => (scheme.eq_ignore_ascii_case("https"), rest),
        None => (true, url),
    };
    let (authority, path) = rest.find(['/', '?']).map_or((rest, ""), |at| rest.split_at(at));
    let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let port = authority.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
    let port = port.unwrap_or(if secure { 443 } else { 80 });
    let host = crate::hosts::normal_host(authority);
    let path = mcp::normal_target(path);
    let ip = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    then(&Seen { host: &host, ip, port, path: &path, resolved: true })
}
