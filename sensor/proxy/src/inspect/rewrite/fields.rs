//! Fields of heads that belong to what is changed.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::header::{
    ACCEPT_ENCODING, ACCEPT_RANGES, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG, IF_RANGE, RANGE,
    SEC_WEBSOCKET_EXTENSIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue};
use std::borrow::Cow;

/// Digests of a body (RFC 9530, RFC 3230, RFC 2616).
const DIGESTS: [HeaderName; 4] = [
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("repr-digest"),
    HeaderName::from_static("digest"),
    HeaderName::from_static("content-md5"),
];

/// Asks for an answer that can be changed: no content coding, and all of it.
pub(crate) fn ask_plain(headers: &mut HeaderMap) {
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    headers.remove(RANGE);
    headers.remove(IF_RANGE);
}

/// Asks for WebSocket messages that can be changed one by one: compressed ones may refer to those before them.
pub(crate) fn ask_plain_websocket(headers: &mut HeaderMap) {
    headers.remove(SEC_WEBSOCKET_EXTENSIONS);
}

/// Takes off a head, or off trailers, what does not hold for a body that is changed.
pub(crate) fn changed(headers: &mut HeaderMap) {
    for name in [CONTENT_LENGTH, CONTENT_ENCODING, ETAG, ACCEPT_RANGES].iter().chain(&DIGESTS) {
        headers.remove(name);
    }
}

/// Whether a body with this head may hold messages for a client of MCP: by its type, which they all look at.
pub(crate) fn is_editable(headers: &HeaderMap) -> bool {
    let Some(kind) = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes) else { return true };
    let kind = kind.split(|byte| *byte == b';').next().unwrap_or_default();
    let is = |word: &[u8]| kind.windows(word.len()).any(|part| part.eq_ignore_ascii_case(word));
    is(b"json") || is(b"event-stream") || is(b"text/plain")
}

/// Whether a body with this head is an event stream.
pub(crate) fn is_event_stream(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes).trim_ascii_start();
    kind.get(..17).is_some_and(|kind| kind.eq_ignore_ascii_case(b"text/event-stream"))
}

/// Whether a field repeats a value of the message beside it (MCP 2026-07-28), and under which name.
pub(in crate::inspect) fn repeats(name: &HeaderName) -> Option<&str> {
    let name = name.as_str().strip_prefix("mcp-")?;
    if name == "name" { Some("") } else { name.strip_prefix("param-") }
}

/// The text of such a field, its `=?base64?…?=` form decoded.
pub(super) fn read(value: &HeaderValue) -> Cow<'_, str> {
    let bytes = value.as_bytes();
    let coded = bytes.strip_prefix(b"=?base64?").and_then(|rest| rest.strip_suffix(b"?="));
    match coded.and_then(|coded| BASE64_STANDARD.decode(coded).ok()) {
        Some(decoded) => Cow::Owned(String::from_utf8_lossy(&decoded).into_owned()),
        None => String::from_utf8_lossy(bytes),
    }
}
