//! Traces of MCP in bodies and queries that are no JSON-RPC: OAuth metadata (RFC 9728), dynamic registration
//! (RFC 7591), the `resource` parameter (RFC 8707), client configurations, and model calls that have the
//! provider contact an MCP server.

use crate::{
    Provider, mask,
    path::{WellKnown, WellKnownKind, well_known},
};

/// Members of a top-level JSON object that is not JSON-RPC. All texts are masked and bounded like those of a
/// [`crate::Message`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "each is the presence of one member on the wire")]
pub struct Document {
    /// `resource`: the protected resource (RFC 9728 §2), query values and the like masked.
    pub resource: Option<String>,
    /// `authorization_servers` is an array (RFC 9728 §2).
    pub authorization_servers: bool,
    /// A `redirect_uris` entry leads to this very machine, as native clients register (RFC 8252 §7.3).
    pub redirect_uris_loopback: bool,
    /// `client_name` (RFC 7591 §2).
    pub client_name: Option<String>,
    /// `client_id` where it is an `https` URL (client-id metadata document).
    pub client_id_url: Option<String>,
    /// MCP servers that the provider of a model is to contact, and what it did there.
    pub provider: Option<Box<Provider>>,
    /// `mcpServers` is an object: the configuration of an MCP client in transit.
    pub client_config: bool,
}

impl Document {
    /// Protected-resource metadata: both members RFC 9728 has for it.
    pub fn is_resource_metadata(&self) -> bool {
        self.resource.is_some() && self.authorization_servers
    }

    /// Protected-resource metadata of a resource whose path says MCP.
    pub fn names_mcp(&self) -> bool {
        self.is_resource_metadata() && self.resource.as_deref().is_some_and(names_mcp)
    }
}

/// Whether the path of a URL has `mcp` or `sse` as a whole segment.
pub fn names_mcp(url: &str) -> bool {
    let path = crate::path::path_of(url);
    let normal = crate::path::normalise(path);
    normal.split('/').any(|s| matches!(s, "mcp" | "sse"))
        || matches!(well_known(&normal), Some(WellKnown { kind: WellKnownKind::ServerCard, .. }))
}

/// Value of `resource=` in the query of an authorisation request (RFC 8707 §2): a cleaned URL.
pub fn resource_parameter(target: &str) -> Option<String> {
    let (_, query) = target.split_once('?')?;
    let query = query.split_once('#').map_or(query, |(q, _)| q);
    query.split('&').take(256).find_map(|pair| {
        let value = pair.strip_prefix("resource=")?;
        let decoded = mask::percent_decode(mask::cut(value, 4096));
        decoded.contains("://").then(|| mask::clean_uri(&decoded))
    })
}

/// A redirect URI on loopback (RFC 8252 §7.3) or `localhost`.
pub(crate) fn is_loopback(uri: &str) -> bool {
    let Some(rest) = uri.strip_prefix("http://").or_else(|| uri.strip_prefix("https://")) else {
        return false;
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    ["127.0.0.1", "localhost", "[::1]"]
        .iter()
        .any(|host| authority.strip_prefix(host).is_some_and(|tail| tail.is_empty() || tail.starts_with(':')))
}
