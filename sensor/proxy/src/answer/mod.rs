//! The answers the proxy gives itself.
//!
//! What stops a client is told in the words its protocol has for it, so that people read why instead of "connection
//! failed": an SDK shows a JSON-RPC error with the id of the request, a browser shows a page. Statuses that clients act
//! upon (401, 404, 405, 408, 425, 429, any 5xx, 308) are never used for a policy: they start a login, a new session or a
//! retry, or are kept for ever.

mod accept;
mod json;
mod oauth;
mod own;
mod page;
mod refusal;
#[cfg(test)]
mod tests;

pub(crate) use own::{login, pac, root, too_many, unknown};

use crate::failure::Failure;
use crate::inspect::{Ruling, Speech};
use accept::Accept;
use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, LOCATION, REFERRER_POLICY,
    UPGRADE, X_CONTENT_TYPE_OPTIONS,
};
use http::request::Parts;
use http::{HeaderValue, Response, StatusCode};

/// Name of the proxy in `Proxy-Status` (RFC 9209 section 2).
const NAME: &str = "mcp-sensor";
/// RFC 9209 section 2: what a proxy has to say about an answer.
const PROXY_STATUS: HeaderName = HeaderName::from_static("proxy-status");
/// Longest text of a failure that a client is told, in bytes.
const MAX_FAILURE: usize = 512;
/// Longest reason of a WebSocket close frame, in bytes (RFC 6455 section 5.5).
const MAX_REASON: usize = 123;

/// What a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Media {
    Json,
    EventStream,
    Html,
    Text,
    Pac,
}

impl Media {
    const fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::EventStream => "text/event-stream",
            Self::Html => "text/html; charset=utf-8",
            Self::Text => "text/plain; charset=utf-8",
            Self::Pac => "application/x-ns-proxy-autoconfig",
        }
    }
}

/// An answer of our own: never stored, never guessed at, and of known length.
fn respond(status: StatusCode, media: Media, body: impl Into<Bytes>) -> Response<Bytes> {
    let body = body.into();
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media.content_type()));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if media == Media::Html {
        headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(page::POLICY));
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    }
    *response.body_mut() = body;
    response
}

/// Adds `Proxy-Status`, so that an answer of ours is told from one of the origin. `error` is a token.
fn with_status(mut response: Response<Bytes>, error: &str, details: Option<&str>) -> Response<Bytes> {
    let details = details.map(|text| format!("; details={}", quoted(text))).unwrap_or_default();
    if let Ok(value) = HeaderValue::try_from(format!("{NAME}; error={error}{details}")) {
        response.headers_mut().insert(PROXY_STATUS, value);
    }
    response
}

/// `text` as a string of RFC 8941 section 3.3.3, which knows printable ASCII only.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            ' '..='~' => quoted.push(c),
            _ => quoted.push('?'),
        }
    }
    quoted.push('"');
    quoted
}

/// The answer in place of what a ruling stops.
pub(crate) fn ruling(ruling: &Ruling, request: &Parts) -> Response<Bytes> {
    with_status(refused(ruling, request), "http_request_denied", Some(ruling.decision.policy.as_str()))
}

/// The JSON text that tells a WebSocket client what was stopped: one message.
pub(crate) fn websocket_text(ruling: &Ruling) -> String {
    json::errors(ruling)
}

/// Why a WebSocket is closed: at most [`MAX_REASON`] bytes.
pub(crate) fn websocket_reason(ruling: &Ruling) -> String {
    json::plain(&refusal::message(ruling), MAX_REASON)
}

fn refused(ruling: &Ruling, request: &Parts) -> Response<Bytes> {
    let headers = &request.headers;
    match ruling.speech {
        Speech::Rpc => {}
        Speech::OAuth(stage) => return oauth::refused(ruling, stage, request),
        Speech::Model(api) => return respond(StatusCode::FORBIDDEN, Media::Json, json::model(ruling, api)),
    }
    let accept = Accept::of(headers);
    let upgrade = headers.contains_key(UPGRADE);
    // The value comes from the configuration alone, which was checked. What is no header field is told in words.
    let location = refusal::location(ruling).filter(|_| ruling.start && !upgrade);
    if let Some(Ok(location)) = location.map(HeaderValue::try_from) {
        // SDKs that do not follow show this body, and it says where to go.
        let mut response = respond(StatusCode::TEMPORARY_REDIRECT, Media::Json, json::errors(ruling));
        response.headers_mut().insert(LOCATION, location);
        return response;
    }
    if refusal::has_request(ruling) && !upgrade && !ruling.apart {
        // Any other status loses the text in some SDK.
        let json = json::errors(ruling);
        return if accept.event_stream && !accept.json {
            respond(StatusCode::OK, Media::EventStream, format!("event: message\ndata: {json}\n\n"))
        } else {
            respond(StatusCode::OK, Media::Json, json)
        };
    }
    if accept.navigation && !upgrade {
        return respond(StatusCode::FORBIDDEN, Media::Html, page::refusal(ruling));
    }
    // Of HTTP+SSE, SDKs show it as the error of the request that it answers, or log it.
    respond(StatusCode::FORBIDDEN, Media::Json, json::error_without_id(ruling))
}

/// The answer to what could not be served, in the form the client asks for, or as text where nothing is known of it.
pub(crate) fn failure(failure: &Failure, request: Option<&Parts>) -> Response<Bytes> {
    let text = json::plain(&failure.to_string(), MAX_FAILURE);
    let status = failure.status();
    let accept = request.map(|request| Accept::of(&request.headers));
    let response = match accept {
        Some(Accept { navigation: true, .. }) => respond(status, Media::Html, page::failure(status, &text)),
        Some(Accept { json_named: true, .. }) => respond(status, Media::Json, json::failure(failure.reason(), &text)),
        _ => respond(status, Media::Text, format!("{NAME}: {text}\n")),
    };
    with_status(response, proxy_error(failure), Some(&text))
}

/// The registered word (RFC 9209 section 2.3) for a failure; our own words that are not registered have a near one.
const fn proxy_error(failure: &Failure) -> &'static str {
    match failure {
        Failure::UpstreamProxy(_) => "destination_unavailable",
        Failure::Misdirected { .. } => "http_request_denied",
        Failure::HandshakeReset(..) => "connection_terminated",
        _ => failure.reason(),
    }
}
