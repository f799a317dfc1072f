//! The answers the proxy gives itself.

use crate::failure::Failure;
use crate::inspect::Ruling;
use bytes::Bytes;
use http::Response;

/// The answer in place of what a ruling stops.
pub(crate) fn ruling(_ruling: &Ruling, _request: &http::request::Parts) -> Response<Bytes> {
    Response::new(Bytes::new())
}

/// The answer to what could not be served.
pub(crate) fn failure(failure: &Failure, _request: Option<&http::request::Parts>) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = failure.status();
    response
}
