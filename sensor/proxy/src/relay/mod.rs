//! Requests of one connection to their origin and answers back: heads, held bodies, streams, trailers, upgrades.

mod body;
mod exchange;
mod forward;
mod heads;
mod rewrite;
mod serve;
mod streams;
#[cfg(test)]
mod tests;
mod upstream;

pub(crate) use body::Body;
pub(crate) use forward::Forwarder;
pub(crate) use serve::serve;

use crate::failure::Failure;
use crate::front::{Route, UpIo};
use crate::options::Limits;
use std::net::SocketAddr;

/// Most bytes the HTTP/1 library reads ahead, and keeps to be written, a connection and direction: as much as the
/// inspector takes at once.
const MAX_BUFFER: usize = 64 << 10;
/// Bytes a peer may send ahead on one stream of HTTP/2, and on all of a connection: what a connection can make us keep.
const STREAM_WINDOW: u32 = 1 << 20;
/// As above.
const WINDOW: u32 = 2 << 20;
/// Most bytes kept to be written on one stream of HTTP/2.
const SEND_BUFFER: usize = 256 << 10;
/// Largest header list of HTTP/2, in bytes as RFC 9113 section 6.5.2 counts them.
const MAX_HEADER_LIST: usize = 64 << 10;

/// The largest header list that is taken.
fn header_list(limits: &Limits) -> u32 {
    u32::try_from(limits.head_bytes.min(MAX_HEADER_LIST)).unwrap_or(u32::MAX)
}

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
