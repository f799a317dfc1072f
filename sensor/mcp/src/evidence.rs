//! What a record may quote of a message: never a raw value, at most 150 bytes.

use crate::{Evidence, Message, Outcome, mask};

/// Longest excerpt, in bytes.
const EXCERPT: usize = 150;

/// Offsets of the members that make a message what it is.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Places {
    pub(crate) method: u64,
    pub(crate) result: u64,
    pub(crate) error: u64,
}

/// The decisive member of `m`, in normal form whatever spelling the wire had.
pub(crate) fn of(m: &Message, places: Places) -> Evidence {
    let (offset, excerpt) = if let Some(method) = &m.method {
        (places.method, format!("\"method\":\"{}\"", mask::cut(method, EXCERPT - 12)))
    } else if let Some(outcome) = &m.result {
        (places.result, format!("\"result\":{}", shape(outcome)))
    } else if let Some(failure) = &m.error {
        let shown = failure.code.map_or_else(|| mask::MASK.to_owned(), |code| format!("{{\"code\":{code}"));
        (places.error, format!("\"error\":{shown}"))
    } else {
        (m.offset, if m.jsonrpc { "\"jsonrpc\":\"2.0\"".to_owned() } else { mask::MASK.to_owned() })
    };
    Evidence { offset, excerpt }
}

fn shape(o: &Outcome) -> &'static str {
    if o.tools_array {
        "{\"tools\":[…"
    } else if !o.supported_versions.is_empty() {
        "{\"supportedVersions\":[…"
    } else if o.protocol_version.is_some() {
        "{\"protocolVersion\":…"
    } else if !o.input_requests.is_empty() {
        "{\"inputRequests\":{…"
    } else if o.templates_shaped {
        "{\"resourceTemplates\":[…"
    } else if o.resources_shaped {
        "{\"resources\":[…"
    } else if o.prompts_shaped {
        "{\"prompts\":[…"
    } else if o.contents_shaped {
        "{\"contents\":[…"
    } else if o.messages_shaped {
        "{\"messages\":[…"
    } else if o.content_shaped {
        "{\"content\":[…"
    } else if o.roots_shaped {
        "{\"roots\":[…"
    } else if o.result_type.is_some() {
        "{\"resultType\":…"
    } else if o.is_object {
        "{…"
    } else {
        "…"
    }
}

/// Error texts of MCP SDKs, and beginnings of such texts that end in a value.
const SDK_TEXTS: &[&str] = &[
    "Session not found",
    "Session has been terminated",
    "Not Found: Session has been terminated",
    "Invalid session ID",
    "Missing session ID",
    "Unsupported protocol version",
    "Bad Request: Unsupported protocol version",
    "Bad Request: Mcp-Session-Id header is required",
    "Bad Request: Mcp-Session-Id header must be a single value",
    "Bad Request: No valid session ID provided",
    "Bad Request: Server not initialized",
    "Bad Request: Missing session ID",
    "Bad Request: Session ID must be a single value",
    "Bad Request: Session must be initialized",
    "Not Acceptable: Client must accept",
    "Conflict: Only one SSE stream is allowed per session",
    "Invalid Request: Only one initialization request is allowed",
    "Invalid Request: Server already initialized",
    "Unsupported Media Type: Content-Type must be application/json",
    "Header mismatch",
    "HeaderMismatch",
    "Missing required client capability",
    "MCP error",
    "Received request before initialization was complete",
];

/// Whether an error `message` is one that MCP SDKs send.
pub(crate) fn is_sdk_text(text: &str) -> bool {
    SDK_TEXTS.iter().any(|known| text.get(..known.len()).is_some_and(|head| head.eq_ignore_ascii_case(known)))
}
