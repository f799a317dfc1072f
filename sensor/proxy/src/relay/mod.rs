//! Requests of one connection to their origin and answers back: heads, held bodies, streams, trailers, upgrades.

use crate::conn::Conn;
use crate::failure::Failure;
use crate::front::{DownIo, Route, UpIo};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::combinators::BoxBody;
use hyper::body::Incoming;
use std::net::SocketAddr;
use std::rc::Rc;

/// The HTTP that both sides of a connection speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// HTTP/1.0 and 1.1.
    Http1,
    /// HTTP/2.
    Http2,
}

/// A connection to an origin.
pub(crate) struct Connected {
    /// Bytes, TLS off.
    pub(crate) io: UpIo,
    /// Where it goes.
    pub(crate) address: SocketAddr,
    /// What is spoken on it.
    pub(crate) protocol: Protocol,
}

/// The origin of a connection.
pub(crate) enum Up {
    /// Connected; the route is for when it has to be connected to again.
    Ready(Connected, Route),
    /// To be connected to with the first request that may go there.
    Later(Route),
    /// Never: every request is answered with this.
    Never(Failure),
}

/// Body of an answer. A type of its own takes its place.
pub(crate) type Body = BoxBody<Bytes, hyper::Error>;

/// Takes requests of one connection to one origin.
pub(crate) struct Forwarder {}

impl Forwarder {
    /// For requests of `conn`.
    pub(crate) fn new(_conn: Rc<Conn>, _up: Up) -> Self {
        Self {}
    }

    /// Serves one request; there is always an answer.
    pub(crate) async fn handle(self: Rc<Self>, _request: Request<Incoming>) -> Response<Body> {
        std::future::pending().await
    }
}

/// Serves a connection (intercepted, or in the clear behind CONNECT) until it is over.
pub(crate) async fn serve(_conn: Rc<Conn>, _down: DownIo, _protocol: Protocol, _up: Up) {}
