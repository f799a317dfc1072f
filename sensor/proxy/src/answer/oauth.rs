//! Answers to steps of OAuth that are stopped.

use super::accept::Accept;
use super::{Media, json, page, refusal, respond};
use crate::inspect::Ruling;
use bytes::Bytes;
use http::header::LOCATION;
use http::request::Parts;
use http::{HeaderValue, Method, Response, StatusCode};
use mcp::OAuthStage;

/// The answer in place of a step of OAuth. A program gets an error as RFC 6749 section 5.2 has it, people get a page; who is
/// asked to authorise a client can still be led elsewhere. Errors that make clients begin anew (`invalid_client`,
/// `invalid_grant`) are never used.
pub(super) fn refused(ruling: &Ruling, stage: OAuthStage, request: &Parts) -> Response<Bytes> {
    let asks_people = stage == OAuthStage::Authorization && request.method == Method::GET;
    let page = asks_people && Accept::of(&request.headers).navigation;
    // The value comes from the configuration alone, which was checked.
    let location = refusal::location(ruling).filter(|_| asks_people).map(HeaderValue::try_from);
    let status = match stage {
        _ if matches!(location, Some(Ok(_))) => StatusCode::TEMPORARY_REDIRECT,
        OAuthStage::Token => StatusCode::BAD_REQUEST,
        // A request that is pushed gets what a token request gets (RFC 9126 section 2.3).
        OAuthStage::Authorization if !asks_people => StatusCode::BAD_REQUEST,
        _ => StatusCode::FORBIDDEN,
    };
    let mut response = if page {
        respond(status, Media::Html, page::refusal(ruling))
    } else {
        // RFC 8707 section 2 has a word of its own for a resource that is not to be had.
        let error = if status == StatusCode::BAD_REQUEST { "invalid_target" } else { "access_denied" };
        respond(status, Media::Json, json::oauth(ruling, error))
    };
    if let Some(Ok(location)) = location {
        response.headers_mut().insert(LOCATION, location);
    }
    response
}
