//! Connections of clients to one origin.

use super::forward::Forwarder;
use super::streams::Streams;
use super::{MAX_BUFFER, Protocol, SEND_BUFFER, STREAM_WINDOW, Up, WINDOW, header_list};
use crate::conn::Conn;
use crate::front::{DownIo, Pending, attend, supervise};
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;

/// Streams that a client has reset and that were not looked at yet, before the connection is closed (rapid reset).
const MAX_RESETS: usize = 64;
/// Streams that were reset for errors of the client, in all the life of a connection, before it is closed.
const MAX_ERRORS: usize = 256;

/// Serves a connection (intercepted, or in the clear behind CONNECT) until it is over.
pub(crate) fn serve(conn: Rc<Conn>, down: DownIo, protocol: Protocol, up: Up) -> impl Future<Output = ()> {
    run(Rc::new(Forwarder::new(conn, up)), down, protocol)
}

pub(super) async fn run(forwarder: Rc<Forwarder>, down: DownIo, protocol: Protocol) {
    let thread = Rc::clone(&forwarder.conn().thread);
    let shared = &thread.shared;
    let limits = &shared.options.limits;
    let timing = Arc::clone(down.timing());
    let serving = Rc::clone(&forwarder);
    let requests = Arc::clone(&timing);
    let service = service_fn(move |request: Request<Incoming>| {
        let pending = Pending::new(&requests);
        let forwarder = Rc::clone(&serving);
        // Boxed: the HTTP library keeps room for it also while the body of the answer is on its way, which may take days.
        let handling = Box::pin(forwarder.handle(request));
        async move { Ok::<_, Infallible>(handling.await.map(|body| body.with_pending(pending))) }
    });
    let io = TokioIo::new(down);
    // What goes wrong with a connection ends it. Its requests know of it by then, and so does the origin.
    match protocol {
        Protocol::Http1 => {
            let conn = http1::Builder::new()
                .auto_date_header(false)
                .header_read_timeout(None)
                .max_buf_size(MAX_BUFFER.max(limits.head_bytes))
                .max_header_size(limits.head_bytes)
                .max_headers(limits.head_fields)
                .serve_connection(io, service)
                .with_upgrades();
            let mut conn = pin!(conn);
            supervise(
                conn.as_mut(),
                &timing,
                &thread.drain,
                &shared.counters,
                http1::UpgradeableConnection::graceful_shutdown,
            )
            .await;
        }
        Protocol::Http2 => {
            let conn = http2::Builder::new(Streams(Arc::clone(&timing)))
                .auto_date_header(false)
                .max_concurrent_streams(limits.streams)
                .max_header_list_size(header_list(limits))
                .max_pending_accept_reset_streams(MAX_RESETS)
                .max_local_error_reset_streams(MAX_ERRORS)
                .initial_stream_window_size(STREAM_WINDOW)
                .initial_connection_window_size(WINDOW)
                .max_send_buf_size(SEND_BUFFER)
                .serve_connection(io, service);
            let mut conn = pin!(conn);
            supervise(conn.as_mut(), &timing, &thread.drain, &shared.counters, http2::Connection::graceful_shutdown)
                .await;
        }
    }
    attend(forwarder.upgraded(), &timing).await;
}
