//! Who asks whom for access tokens to a server. Never a code, a token, a secret, a state or a verifier.

use super::time;
use net::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

/// One step of an authorisation for an MCP server.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct OAuthRecord {
    /// `metadata`, `registration`, `authorization` or `token`.
    pub stage: String,
    /// The MCP servers that it is for, as URLs; the gravest first. `classification` is that of the first.
    pub resources: Vec<String>,
    /// Host of the authorisation server, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authorization_server: Option<String>,
    /// What the client calls itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_name: Option<String>,
    /// Its id: host and path of one that is a URL, `…` for one that looks like a secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
}

/// The authorisation map of one server, as far as it was seen.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct AuthorizationRecord {
    /// Hosts of its authorisation servers, sorted; at most 16.
    pub authorization_servers: Vec<String>,
    /// Clients that registered or asked for access, the first first; at most 64.
    pub clients: Vec<OAuthClientRecord>,
}

/// A client of OAuth.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct OAuthClientRecord {
    /// What it calls itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its id: host and path of one that is a URL, `…` for one that looks like a secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// When it was first seen.
    #[serde(serialize_with = "time")]
    #[schemars(with = "String")]
    pub first_seen: Timestamp,
}
