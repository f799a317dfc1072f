//! What the proxy says where it is the server itself: login, PAC file, its own pages.

use super::{Media, NAME, page, respond};
use bytes::Bytes;
use http::header::{PROXY_AUTHENTICATE, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};
use std::time::Duration;

/// 407: credentials are missing or wrong (RFC 9110 section 15.5.8, RFC 7617).
pub(crate) fn login() -> Response<Bytes> {
    let status = StatusCode::PROXY_AUTHENTICATION_REQUIRED;
    let mut response = respond(status, Media::Text, format!("{NAME}: this proxy asks for a user name and password\n"));
    let challenge = HeaderValue::from_static("Basic realm=\"mcp-sensor proxy\", charset=\"UTF-8\"");
    response.headers_mut().insert(PROXY_AUTHENTICATE, challenge);
    response
}

/// 429: too many wrong credentials of late (RFC 6585 section 4).
pub(crate) fn too_many(retry_after: Duration) -> Response<Bytes> {
    let text = format!("{NAME}: too many wrong passwords; try again later\n");
    let mut response = respond(StatusCode::TOO_MANY_REQUESTS, Media::Text, text);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(retry_after.as_secs().max(1)));
    response
}

/// The file that leads browsers here.
pub(crate) fn pac(script: Bytes) -> Response<Bytes> {
    respond(StatusCode::OK, Media::Pac, script)
}

/// The page of the proxy itself.
pub(crate) fn root() -> Response<Bytes> {
    let body = "<p>This is a proxy. It finds MCP servers in the traffic that goes through it.</p>\n\
                <p>Browsers are led here by <a href=\"/proxy.pac\">proxy.pac</a>.</p>\n";
    respond(StatusCode::OK, Media::Html, page::page("MCP proxy", body))
}

/// 404: no such page of the proxy itself.
pub(crate) fn unknown() -> Response<Bytes> {
    respond(StatusCode::NOT_FOUND, Media::Text, format!("{NAME}: this proxy has no such page\n"))
}
