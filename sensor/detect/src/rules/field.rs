//! What a signature can be on.

use std::fmt;
use std::str::FromStr;

/// Longest header name in a rule, in bytes.
const MAX_HEADER_NAME: usize = 64;

/// A field of a message or contact.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Field {
    /// `host`: any name of the server: SNI, `Host`, `:authority`, CONNECT, DNS. In lower case, without port.
    Host,
    /// `url`: host and normalised path together, without scheme and query.
    Url,
    /// `request.uri`: the normalised path, without query.
    RequestUri,
    /// `request.method`.
    RequestMethod,
    /// `request.header.<name>`, name in lower case; each value by itself.
    RequestHeader(Box<str>),
    /// `request.body`, transfer and content coding taken off.
    RequestBody,
    /// `response.status`, three digits.
    ResponseStatus,
    /// `response.header.<name>`, name in lower case; each value by itself.
    ResponseHeader(Box<str>),
    /// `response.body`, transfer and content coding taken off.
    ResponseBody,
    /// `tls.sni`: the name in a client hello, in lower case.
    TlsSni,
    /// `tls.alpn`: each application protocol that a client hello offers.
    TlsAlpn,
    /// `tls.ja4`.
    TlsJa4,
    /// `dns.query`: the name asked for, in lower case, without the last dot.
    DnsQuery,
    /// `jsonrpc.method`, unescaped.
    JsonRpcMethod,
    /// `mcp.tool`: a tool that is called.
    McpTool,
    /// `mcp.resource`: the URI of a resource that is read.
    McpResource,
    /// `mcp.prompt`: a prompt that is fetched.
    McpPrompt,
    /// `mcp.client`: what the client calls itself.
    McpClient,
    /// `mcp.server`: what the server calls itself.
    McpServer,
    /// `websocket.message`: one message of either direction, unmasked and inflated.
    WebSocketMessage,
}

/// How a field comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// In pieces, of any length.
    Stream,
    /// As a whole.
    Short,
}

const FIXED: [(&str, Field); 18] = [
    ("host", Field::Host),
    ("url", Field::Url),
    ("request.uri", Field::RequestUri),
    ("request.method", Field::RequestMethod),
    ("request.body", Field::RequestBody),
    ("response.status", Field::ResponseStatus),
    ("response.body", Field::ResponseBody),
    ("tls.sni", Field::TlsSni),
    ("tls.alpn", Field::TlsAlpn),
    ("tls.ja4", Field::TlsJa4),
    ("dns.query", Field::DnsQuery),
    ("jsonrpc.method", Field::JsonRpcMethod),
    ("mcp.tool", Field::McpTool),
    ("mcp.resource", Field::McpResource),
    ("mcp.prompt", Field::McpPrompt),
    ("mcp.client", Field::McpClient),
    ("mcp.server", Field::McpServer),
    ("websocket.message", Field::WebSocketMessage),
];

impl Field {
    pub(super) const fn shape(&self) -> Shape {
        match self {
            Self::RequestBody | Self::ResponseBody | Self::WebSocketMessage => Shape::Stream,
            _ => Shape::Short,
        }
    }

    /// True for fields whose value is a host name.
    pub(super) const fn is_name(&self) -> bool {
        matches!(self, Self::Host | Self::TlsSni | Self::DnsQuery)
    }

    /// True for fields whose value is a path.
    pub(super) const fn is_path(&self) -> bool {
        matches!(self, Self::RequestUri | Self::Url)
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RequestHeader(name) => write!(f, "request.header.{name}"),
            Self::ResponseHeader(name) => write!(f, "response.header.{name}"),
            other => f.write_str(FIXED.iter().find(|(_, field)| field == other).map_or("", |&(name, _)| name)),
        }
    }
}

/// The text names no field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no such field: {0:?}")]
pub struct UnknownField(pub String);

impl FromStr for Field {
    type Err = UnknownField;

    fn from_str(text: &str) -> Result<Self, UnknownField> {
        let header = |name: &str| {
            let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
            (!name.is_empty() && name.len() <= MAX_HEADER_NAME && name.bytes().all(token))
                .then(|| name.to_ascii_lowercase().into_boxed_str())
        };
        let field = if let Some(name) = text.strip_prefix("request.header.") {
            header(name).map(Self::RequestHeader)
        } else if let Some(name) = text.strip_prefix("response.header.") {
            header(name).map(Self::ResponseHeader)
        } else {
            FIXED.iter().find(|(name, _)| *name == text).map(|(_, field)| field.clone())
        };
        field.ok_or_else(|| UnknownField(text.to_owned()))
    }
}

/// All names, for messages.
pub(super) fn names() -> String {
    let mut names: Vec<&str> = FIXED.iter().map(|&(name, _)| name).collect();
    names.extend(["request.header.<name>", "response.header.<name>"]);
    names.sort_unstable();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_fields_go_both_ways() {
        for name in FIXED.iter().map(|(name, _)| *name).chain(["request.header.mcp-method", "response.header.x"]) {
            assert_eq!(name.parse::<Field>().unwrap().to_string(), name);
        }
        assert_eq!("request.header.MCP-Method".parse(), Ok(Field::RequestHeader("mcp-method".into())));
        for bad in ["", "Host", "request.header.", "request.header.a b", "request", "body"] {
            assert_eq!(bad.parse::<Field>(), Err(UnknownField(bad.to_owned())));
        }
    }
}
