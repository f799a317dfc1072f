//! Heads → facts: what the header fields of an exchange say of MCP, without any body (Streamable HTTP, RFC 9110,
//! RFC 6750, RFC 9728). Values that identify a session or a person are hashed or left out.

use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use proto::{RequestHead, ResponseHead};
use sha2::{Digest, Sha256};

use crate::{Auth, Forwarded, Message, PathFacts, Version, clean_uri, mask, oauth, path};

/// Longest encoded `Mcp-Name` that is decoded, in bytes.
const MAX_ENCODED: usize = 4096;
/// Longest header value that is searched for words, in bytes.
const MAX_VALUE: usize = 8192;

/// What the head of a request says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "each is the presence of one sign in the head")]
pub struct RequestFacts {
    /// `Mcp-Method` (2026-07-28).
    pub mcp_method: Option<String>,
    /// `Mcp-Name`, its `=?base64?…?=` form decoded: a tool, a prompt, a cleaned URI or a task.
    pub mcp_name: Option<String>,
    /// `MCP-Protocol-Version`.
    pub protocol_version: Option<String>,
    /// SHA-256 of `Mcp-Session-Id`.
    pub session: Option<[u8; 32]>,
    /// Any `Mcp-Param-*` field.
    pub has_params: bool,
    /// `Last-Event-ID` is present.
    pub last_event_id: bool,
    /// `Accept` lists `application/json`.
    pub accepts_json: bool,
    /// `Accept` lists `text/event-stream`.
    pub accepts_sse: bool,
    /// `Accept` lists `text/html`.
    pub accepts_html: bool,
    /// `Content-Type` is `application/json` or ends in `+json`.
    pub json_body: bool,
    /// `Sec-WebSocket-Protocol` offers `mcp`.
    pub ws_subprotocol_mcp: bool,
    /// `cf-mcp-method` or `cf-mcp-message` is present (Cloudflare's bridge over WebSocket).
    pub cf_mcp: bool,
    /// A CORS preflight that asks to send `mcp-*` fields.
    pub preflight_mcp: bool,
    /// `A2A-Version` is present (A2A).
    pub a2a: bool,
    /// `anthropic-beta` names the MCP connector: a model provider is to contact servers.
    pub provider_mcp: bool,
    /// For whom a proxy says that it asks.
    pub forwarded: Forwarded,
    /// How the request authorises itself.
    pub auth: Auth,
    /// What the target says.
    pub path: PathFacts,
    /// `resource=` in the query: the endpoint an authorisation is asked for (RFC 8707), cleaned.
    pub resource: Option<String>,
}

impl RequestFacts {
    /// A field that only MCP has: of itself a strong sign on JSON-RPC or an event stream.
    pub fn has_mcp_field(&self) -> bool {
        self.mcp_method.is_some()
            || self.mcp_name.is_some()
            || self.protocol_version.is_some()
            || self.session.is_some()
            || self.has_params
            || self.cf_mcp
    }
}

/// An authorisation challenge (RFC 9728 §5.1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Challenge {
    /// `resource_metadata`, cleaned.
    pub resource_metadata: Option<String>,
    /// That URL has `mcp` or `sse` as a whole path segment.
    pub names_mcp: bool,
}

/// What the head of a response says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "each is the presence of one sign in the head")]
pub struct ResponseFacts {
    /// Status code.
    pub status: u16,
    /// SHA-256 of `Mcp-Session-Id`.
    pub session: Option<[u8; 32]>,
    /// `MCP-Protocol-Version`.
    pub protocol_version: Option<String>,
    /// `Content-Type` is `text/event-stream`.
    pub is_sse: bool,
    /// `Content-Type` is `application/json` or ends in `+json`.
    pub is_json: bool,
    /// `Content-Type` is `text/html` or XHTML.
    pub is_html: bool,
    /// `Sec-WebSocket-Protocol` settles on `mcp`.
    pub ws_subprotocol_mcp: bool,
    /// `Access-Control-Allow-Headers` or `-Expose-Headers` names `mcp-*` fields.
    pub cors_mcp: bool,
    /// `WWW-Authenticate: Bearer`.
    pub challenge: Option<Challenge>,
}

/// Whether [`request_facts`] may hold a sign of MCP: a screen without allocation for the many heads that have none.
/// `normal` is [`crate::normal_target`] of the target.
pub fn is_remarkable(head: &RequestHead<'_>, normal: &str) -> bool {
    head.headers.0.iter().any(|field| {
        let name = field.name;
        match name.as_bytes() {
            [b'm' | b'M', ..] => starts_with(name, "mcp-"),
            [b'c' | b'C', b'f' | b'F', ..] => starts_with(name, "cf-mcp-"),
            [b's' | b'S', ..] => name.eq_ignore_ascii_case("sec-websocket-protocol"),
            _ => false,
        }
    }) || path::is_remarkable(head.target, normal)
}

/// Reads the head of a request.
pub fn request_facts(head: &RequestHead<'_>) -> RequestFacts {
    let mut facts = RequestFacts {
        path: PathFacts::of(head.target),
        resource: oauth::resource_parameter(head.target),
        auth: Auth::of(head),
        ..RequestFacts::default()
    };
    let mut name_field = None;
    for field in head.headers.0 {
        let (name, value) = (field.name, field.value);
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        if starts_with(name, "mcp-") {
            if is("mcp-method") {
                facts.mcp_method = Some(word(value, mask::method));
            } else if is("mcp-name") {
                name_field = Some(value);
            } else if is("mcp-protocol-version") {
                facts.protocol_version = Some(word(value, mask::version));
            } else if is("mcp-session-id") {
                facts.session = Some(Sha256::digest(value).into());
            } else if starts_with(name, "mcp-param-") {
                facts.has_params = true;
            }
        } else if is("accept") {
            facts.accepts_json |= lists(value, "application/json");
            facts.accepts_sse |= lists(value, "text/event-stream");
            facts.accepts_html |= lists(value, "text/html");
        } else if is("content-type") {
            facts.json_body = is_json(value);
        } else if is("forwarded") {
            facts.forwarded.add_standard(value);
        } else if is("x-forwarded-for") {
            facts.forwarded.add_common(value);
        } else if is("last-event-id") {
            facts.last_event_id = true;
        } else if is("sec-websocket-protocol") {
            facts.ws_subprotocol_mcp |= lists(value, "mcp");
        } else if is("cf-mcp-method") || is("cf-mcp-message") {
            facts.cf_mcp = true;
        } else if is("access-control-request-headers") {
            facts.preflight_mcp |= names_mcp_field(value);
        } else if is("a2a-version") {
            facts.a2a = true;
        } else if is("anthropic-beta") {
            facts.provider_mcp |= items(value).any(|item| item.starts_with(b"mcp-client-"));
        }
    }
    let is_uri = facts.mcp_method.as_deref() == Some("resources/read");
    facts.mcp_name = name_field.map(|value| mcp_name(value, is_uri));
    facts
}

/// Reads the head of a response.
pub fn response_facts(head: &ResponseHead<'_>) -> ResponseFacts {
    let mut facts = ResponseFacts { status: head.status, ..ResponseFacts::default() };
    for field in head.headers.0 {
        let (name, value) = (field.name, field.value);
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        if is("content-type") {
            facts.is_sse = lists(value, "text/event-stream");
            facts.is_json = is_json(value);
            facts.is_html = lists(value, "text/html") || lists(value, "application/xhtml+xml");
        } else if is("mcp-session-id") {
            facts.session = Some(Sha256::digest(value).into());
        } else if is("mcp-protocol-version") {
            facts.protocol_version = Some(word(value, mask::version));
        } else if is("sec-websocket-protocol") {
            facts.ws_subprotocol_mcp = lists(value, "mcp");
        } else if is("access-control-allow-headers") || is("access-control-expose-headers") {
            facts.cors_mcp |= names_mcp_field(value);
        } else if is("www-authenticate")
            && let Some(found) = challenge(value)
        {
            let known = facts.challenge.get_or_insert_default();
            if found.resource_metadata.is_some() {
                *known = found;
            }
        }
    }
    facts
}

/// Whether the head contradicts the message it came with (2026-07-28): method, name or version. A server must
/// refuse such a request; a lax one does what the body says.
pub fn header_mismatch(facts: &RequestFacts, m: &Message) -> bool {
    let differs = |header: Option<&str>, body: Option<&str>| matches!((header, body), (Some(h), Some(b)) if h != b);
    // What the head says was masked by its shape; the same is done to the body before the two are compared.
    if differs(facts.mcp_method.as_deref(), m.method.as_deref().map(mask::method).as_deref()) {
        return true;
    }
    let Some(params) = &m.params else {
        return false;
    };
    let called = match m.method.as_deref() {
        Some("resources/read") => params.uri.as_deref(),
        Some(method) if method.starts_with("tasks/") => params.task.as_deref(),
        _ => params.name.as_deref(),
    };
    let version = match (&params.meta_version, &params.protocol_version) {
        (Some(version), _) => Some(version.as_str()),
        (None, Some(Version::Text(version))) if m.method.as_deref() == Some("initialize") => Some(version.as_str()),
        _ => None,
    };
    // `Mcp-Method` says how `Mcp-Name` was masked: as a URI or as a name, like its counterpart in the body.
    let name = facts.mcp_name.as_deref().filter(|_| facts.mcp_method.is_some());
    differs(name, called) || differs(facts.protocol_version.as_deref(), version.map(mask::version).as_deref())
}

/// A value that is a protocol word, a method or a version as `shape` wants it. Anything else is masked.
fn word(value: &[u8], shape: fn(&str) -> String) -> String {
    str::from_utf8(value).map_or_else(|_| mask::MASK.to_owned(), shape)
}

/// `Mcp-Name`: plain, or `=?base64?…?=` over UTF-8.
fn mcp_name(value: &[u8], is_uri: bool) -> String {
    let encoded = value.strip_prefix(b"=?base64?").and_then(|v| v.strip_suffix(b"?="));
    let Some(encoded) = encoded else {
        return tidy(&String::from_utf8_lossy(value), is_uri);
    };
    let lenient = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    let engine = GeneralPurpose::new(&alphabet::STANDARD, lenient);
    let decoded = (encoded.len() <= MAX_ENCODED).then(|| engine.decode(encoded).ok()).flatten();
    decoded.map_or_else(|| mask::MASK.to_owned(), |bytes| tidy(&String::from_utf8_lossy(&bytes), is_uri))
}

fn tidy(text: &str, is_uri: bool) -> String {
    if is_uri || text.contains("://") || text.starts_with("data:") { clean_uri(text) } else { mask::name(text) }
}

fn starts_with(name: &str, prefix: &str) -> bool {
    name.get(..prefix.len()).is_some_and(|head| head.eq_ignore_ascii_case(prefix))
}

/// The comma-separated items of a value, trimmed.
fn items(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.get(..value.len().min(MAX_VALUE)).unwrap_or_default().split(|b| *b == b',').map(<[u8]>::trim_ascii)
}

/// Whether a list of media types or words has `wanted`, its parameters aside.
fn lists(value: &[u8], wanted: &str) -> bool {
    items(value).any(|item| {
        item.split(|b| *b == b';').next().is_some_and(|kind| kind.trim_ascii().eq_ignore_ascii_case(wanted.as_bytes()))
    })
}

fn is_json(value: &[u8]) -> bool {
    let kind = value.split(|b| *b == b';').next().unwrap_or_default().trim_ascii();
    let tail = kind.len().checked_sub(5).and_then(|at| kind.get(at..)).unwrap_or_default();
    kind.eq_ignore_ascii_case(b"application/json") || tail.eq_ignore_ascii_case(b"+json")
}

fn names_mcp_field(value: &[u8]) -> bool {
    items(value).any(|item| item.get(..4).is_some_and(|head| head.eq_ignore_ascii_case(b"mcp-")))
}

/// A `Bearer` challenge, its parameters in any order.
fn challenge(value: &[u8]) -> Option<Challenge> {
    let text = String::from_utf8_lossy(value.get(..value.len().min(MAX_VALUE))?);
    let lower = text.to_ascii_lowercase();
    let bearer = ["bearer", "dpop"].iter().any(|s| lower.split([' ', ',', '\t']).any(|part| part == *s));
    if !bearer {
        return None;
    }
    let metadata = lower.match_indices("resource_metadata").find_map(|(at, name)| {
        let rest = text.get(at + name.len()..)?.trim_start().strip_prefix('=')?.trim_start();
        let url = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split('"').next(),
            None => rest.split([',', ' ', '\t']).next(),
        };
        url.filter(|u| !u.is_empty())
    });
    Some(Challenge { names_mcp: metadata.is_some_and(oauth::names_mcp), resource_metadata: metadata.map(clean_uri) })
}
