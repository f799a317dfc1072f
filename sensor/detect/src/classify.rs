//! What a detection means here.

use crate::{Confidence, Scope, Seen, Severity};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// What a detection means here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Classification {
    /// A configured portal.
    Portal,
    /// An approved server.
    Sanctioned,
    /// An approved server that should be reached through the portal, reached directly.
    SanctionedDirect,
    /// Our own server, called from outside.
    Published,
    /// A server somebody denied.
    Denied,
    /// Confirmed or likely MCP that nobody approved.
    Shadow,
    /// Resembles MCP and is not.
    LookAlike,
    /// Only possible.
    Unknown,
}

impl Classification {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Portal,
        Self::Sanctioned,
        Self::SanctionedDirect,
        Self::Published,
        Self::Denied,
        Self::Shadow,
        Self::LookAlike,
        Self::Unknown,
    ];

    /// The word of the contract.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Portal => "portal",
            Self::Sanctioned => "sanctioned",
            Self::SanctionedDirect => "sanctioned_direct",
            Self::Published => "published",
            Self::Denied => "denied",
            Self::Shadow => "shadow",
            Self::LookAlike => "look_alike",
            Self::Unknown => "unknown",
        }
    }

    /// How bad it is at this confidence.
    pub const fn severity(self, confidence: Confidence) -> Severity {
        match (self, confidence) {
            (Self::Denied, _) | (Self::Shadow, Confidence::Confirmed) => Severity::High,
            (Self::Shadow | Self::SanctionedDirect, _) => Severity::Medium,
            (Self::Unknown, _) => Severity::Low,
            _ => Severity::Info,
        }
    }
}

impl Confidence {
    /// The word of the contract.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Possible => "possible",
            Self::Likely => "likely",
            Self::Confirmed => "confirmed",
        }
    }
}

/// What is decided, and what was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Let it pass silently.
    Allow,
    /// Write it down.
    Log,
    /// Stop it.
    Block,
    /// Send the client elsewhere.
    Redirect,
    /// Take out what must not pass.
    Redact,
    /// Hide tools from those that are offered, and refuse to call them.
    Filter,
    /// Nothing.
    None,
}

impl Action {
    /// The word of the contract.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Log => "log",
            Self::Block => "block",
            Self::Redirect => "redirect",
            Self::Redact => "redact",
            Self::Filter => "filter",
            Self::None => "none",
        }
    }

    /// Whether it keeps a message from its server.
    pub const fn stops(self) -> bool {
        matches!(self, Self::Block | Self::Redirect)
    }

    /// Whether it keeps something from passing as it is.
    pub const fn interferes(self) -> bool {
        matches!(self, Self::Block | Self::Redirect | Self::Redact | Self::Filter)
    }

    /// Of several messages in one, the one with the gravest action decides.
    pub(crate) const fn rank(self) -> u8 {
        match self {
            Self::None | Self::Allow => 0,
            Self::Log => 1,
            Self::Filter => 2,
            Self::Redact => 3,
            Self::Redirect => 4,
            Self::Block => 5,
        }
    }
}

/// A classification, and whether a name was claimed that the evidence does not bear out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Classified {
    /// What it means here.
    pub classification: Classification,
    /// The name of a portal or an approved server was used, and nothing but the name says that it is one.
    pub name_unproved: bool,
}

/// `outbound`, `inbound`, `internal` or `unknown`, by `[networks]`.
pub fn direction(scope: &Scope, client: IpAddr, server: IpAddr) -> &'static str {
    let inside = |ip| scope.internal.iter().any(|n| n.contains(ip));
    match (inside(client), inside(server)) {
        (true, true) => "internal",
        (true, false) => "outbound",
        (false, true) => "inbound",
        (false, false) => "unknown",
    }
}

/// Classifies what was seen of `server`, asked for by `client`.
pub fn classify(scope: &Scope, client: IpAddr, server: &Seen<'_>, confidence: Confidence) -> Classified {
    let is = |classification| Classified { classification, name_unproved: false };
    if scope.denied.iter().any(|e| e.names(server)) {
        return is(Classification::Denied);
    }
    let mut name_unproved = false;
    if scope.portal_hosts.iter().any(|h| h.matches(server.host)) {
        let there = scope.portal_networks.iter().any(|n| n.contains(server.ip));
        let nowhere_else = scope.portal_networks.is_empty() || server.ip.is_unspecified();
        if there || (nowhere_else && server.resolved) {
            return is(Classification::Portal);
        }
        name_unproved = true;
    }
    let from_portal = scope.portal_networks.iter().any(|n| n.contains(client));
    if let Some(entry) = scope.sanctioned.iter().find(|e| e.names(server)) {
        if entry.proved(server) {
            let direct = entry.through_portal && !from_portal;
            return is(if direct { Classification::SanctionedDirect } else { Classification::Sanctioned });
        }
        name_unproved = true;
    }
    // What the portal itself calls upstream is the portal's business.
    if from_portal {
        return is(Classification::Portal);
    }
    if direction(scope, client, server.ip) == "inbound" && scope.published.iter().any(|e| e.names(server)) {
        return is(Classification::Published);
    }
    let seen = if confidence == Confidence::Possible { Classification::Unknown } else { Classification::Shadow };
    Classified { classification: seen, name_unproved }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{RawScope, RawServer, RawServerTable};

    fn scope() -> Scope {
        let mut raw = RawScope::default();
        raw.portals.hosts = vec!["portal.corp.example".into()];
        raw.portals.networks = vec!["10.9.0.0/24".into()];
        let table = RawServerTable {
            host: "notes.example".into(),
            networks: vec!["203.0.113.0/24".into()],
            ..RawServerTable::default()
        };
        let through = RawServerTable { host: "tickets.example".into(), through_portal: true, ..table.clone() };
        raw.sanctioned.servers =
            vec![RawServer::Table(table), RawServer::Table(through), RawServer::Name("10.1.1.1:8000/mcp".into())];
        raw.denied.servers = vec![RawServer::Name("*.evil.example".into())];
        raw.published.servers = vec![RawServer::Name("api.corp.example/mcp".into())];
        Scope::try_from(&raw).unwrap()
    }

    #[test]
    fn servers_are_classified_by_name_and_evidence() {
        use Classification::{Denied, Portal, Published, Sanctioned, SanctionedDirect, Shadow, Unknown};
        let scope = scope();
        for (client, host, ip, path, confidence, want, unproved) in [
            ("10.1.2.3", "portal.corp.example", "10.9.0.4", "/mcp", Confidence::Confirmed, Portal, false),
            ("10.1.2.3", "portal.corp.example", "198.51.100.1", "/mcp", Confidence::Confirmed, Shadow, true),
            ("10.1.2.3", "portal.corp.example.evil.net", "10.9.0.4", "/mcp", Confidence::Confirmed, Shadow, false),
            ("10.1.2.3", "notes.example", "203.0.113.9", "/mcp", Confidence::Likely, Sanctioned, false),
            ("10.1.2.3", "notes.example", "198.51.100.1", "/mcp", Confidence::Likely, Shadow, true),
            ("10.1.2.3", "tickets.example", "203.0.113.9", "/mcp", Confidence::Confirmed, SanctionedDirect, false),
            ("10.9.0.7", "tickets.example", "203.0.113.9", "/mcp", Confidence::Confirmed, Sanctioned, false),
            ("10.9.0.7", "upstream.example", "198.51.100.4", "/mcp", Confidence::Confirmed, Portal, false),
            ("10.1.2.3", "10.1.1.1", "10.1.1.1", "/mcp/x", Confidence::Confirmed, Sanctioned, false),
            ("10.1.2.3", "10.1.1.1", "10.1.1.1", "/mcpx", Confidence::Confirmed, Shadow, false),
            ("10.1.2.3", "a.evil.example", "198.51.100.1", "/", Confidence::Possible, Denied, false),
            ("198.51.100.7", "api.corp.example", "10.1.1.9", "/mcp", Confidence::Confirmed, Published, false),
            ("198.51.100.7", "other.corp.example", "10.1.1.9", "/mcp", Confidence::Confirmed, Shadow, false),
            ("10.1.2.3", "who.example", "198.51.100.1", "/", Confidence::Possible, Unknown, false),
        ] {
            let seen = Seen { host, ip: ip.parse().unwrap(), port: 8000, path, resolved: false };
            let got = classify(&scope, client.parse().unwrap(), &seen, confidence);
            assert_eq!(got, Classified { classification: want, name_unproved: unproved }, "{host} {ip}");
        }
        let seen = Seen { host: "x", ip: "203.0.113.1".parse().unwrap(), port: 1, path: "/", resolved: true };
        assert_eq!(direction(&scope, "10.0.0.1".parse().unwrap(), seen.ip), "outbound");
    }
}
