//! Traces of MCP in bodies and queries that are no JSON-RPC: OAuth metadata (RFC 9728), dynamic registration
//! (RFC 7591), the `resource` parameter (RFC 8707), client configurations, and model calls that have the
//! provider contact an MCP server.

use crate::{
    ClientId, Provider, mask,
    path::{WellKnown, WellKnownKind, well_known},
};

/// Most authorisation servers kept of one document, and most endpoints.
pub const MAX_AUTHORIZATION_SERVERS: usize = 8;

/// Members of a top-level JSON object that is not JSON-RPC. All texts are masked and bounded like those of a
/// [`crate::Message`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "each is the presence of one member on the wire")]
pub struct Document {
    /// `resource`: the protected resource (RFC 9728 §2), query values and the like masked.
    pub resource: Option<String>,
    /// `authorization_servers` is an array (RFC 9728 §2).
    pub authorization_servers: bool,
    /// Its entries, cleaned; at most [`MAX_AUTHORIZATION_SERVERS`].
    pub servers: Vec<String>,
    /// `redirect_uris` is an array (RFC 7591 §2).
    pub redirect_uris: bool,
    /// A `redirect_uris` entry leads to this very machine, as native clients register (RFC 8252 §7.3).
    pub redirect_uris_loopback: bool,
    /// `client_name` (RFC 7591 §2).
    pub client_name: Option<String>,
    /// `client_id` (RFC 7591 §3.2.1, or of a client-id metadata document).
    pub client_id: Option<ClientId>,
    /// `issuer` is a text (RFC 8414 §2).
    pub issuer: bool,
    /// Host and port of each endpoint for authorisation, tokens and registration (RFC 8414 §2); at most
    /// [`MAX_AUTHORIZATION_SERVERS`].
    pub endpoints: Vec<String>,
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

    /// Metadata of an authorisation server: its name and where clients go (RFC 8414 §2).
    pub fn is_server_metadata(&self) -> bool {
        self.issuer && !self.endpoints.is_empty()
    }

    pub(crate) fn add_server(&mut self, url: &str) {
        let server = mask::clean_uri(url);
        if !server.is_empty() && self.servers.len() < MAX_AUTHORIZATION_SERVERS && !self.servers.contains(&server) {
            self.servers.push(server);
        }
    }

    pub(crate) fn add_endpoint(&mut self, authority: String) {
        if self.endpoints.len() < MAX_AUTHORIZATION_SERVERS && !self.endpoints.contains(&authority) {
            self.endpoints.push(authority);
        }
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

/// Host and port of a URL, in lower case; without the port where it is the usual one.
pub(crate) fn authority_of(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let authority = authority.strip_suffix(":443").or_else(|| authority.strip_suffix(":80")).unwrap_or(authority);
    mask::cut(authority, 256).to_ascii_lowercase()
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

#[cfg(test)]
mod tests {
    use crate::{Limits, Reader};

    #[test]
    fn documents_of_the_way_to_a_token_are_read_however_they_are_cut() {
        let resource = r#"{"resource":"https://notes.example/mcp","authorization_servers":["https://a.example/t?x=1","https://a.example/t?x=2","",7,{"b":"c"}]}"#;
        let server = r#"{"issuer":"https://a.example","authorization_endpoint":"https://A.example:443/auth","token_endpoint":"https://ana:pw@b.example:8443/t","registration_endpoint":"https://a.example/r"}"#;
        let client = r#"{"redirect_uris":["http://127.0.0.1:1/cb"],"client_name":"Notes CLI"}"#;
        let given = r#"{"client_id":"x","client_secret":"s3cr3t","redirect_uris":[]}"#;
        for size in [1, 7, 1000] {
            let read = |text: &str| {
                let mut reader = Reader::new();
                for piece in text.as_bytes().chunks(size) {
                    reader.feed(&Limits::default(), piece, &mut |_| ());
                }
                reader.finish(&mut |_| ());
                reader.document().clone()
            };
            let got = read(resource);
            assert!(got.is_resource_metadata() && got.names_mcp() && !got.is_server_metadata());
            assert_eq!(got.servers, ["https://a.example/t?x=…"]);
            let got = read(server);
            assert!(got.is_server_metadata() && !got.is_resource_metadata());
            assert_eq!(got.endpoints, ["a.example", "b.example:8443"]);
            let got = read(client);
            assert!(got.redirect_uris && got.redirect_uris_loopback && got.client_id.is_none());
            assert_eq!(got.client_name.as_deref(), Some("Notes CLI"));
            let got = read(given);
            assert_eq!(got.client_id.as_ref().map(|id| id.shown.as_str()), Some("x"));
            assert!(!format!("{got:?}").contains("s3cr3t"));
        }
    }
}
