//! What every protocol here emits, whatever carried it.

use crate::conn::Opener;
use crate::{RequestHead, ResponseHead, tls};
use net::Direction;

/// One request with its response, numbered from 0 within a flow in the order the requests (or, where those
/// were not seen, the responses) began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExchangeId(pub u32);

/// A piece of an exchange, as it comes. The direction travels beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part<'a> {
    /// A request began.
    Request(&'a RequestHead<'a>),
    /// Its final response began.
    Response(&'a ResponseHead<'a>),
    /// Body bytes with the transfer coding (chunks, WebSocket frames, masks, per-message deflate) taken off;
    /// the content coding is still on.
    Body(&'a [u8]),
    /// Body bytes that will never be seen; 0 where the number is unknown.
    Gap(u64),
    /// A WebSocket message is complete (text or binary). Only on exchanges that were upgraded to WebSocket.
    MessageEnd,
    /// This direction of the exchange is over.
    End(EndKind),
}

/// How a message ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndKind {
    /// By its own framing.
    Complete,
    /// Cut by a gap, reset or end of the flow.
    Cut,
}

/// What the reader of parts wants next of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    /// Go on.
    More,
    /// Nothing that follows on this flow can be read; the value of a metric label says why.
    Bypass(&'static str),
}

/// Something on the wire that receivers may read in different ways, or that could hide a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Anomaly {
    /// Two different Content-Length values, or one beside Transfer-Encoding (RFC 9112 §6.3).
    AmbiguousLength,
    /// A Transfer-Encoding other than `chunked` as last coding.
    OddTransferEncoding,
    /// A head over the limit; the flow is resynchronised at the next message.
    HeadTooLarge,
    /// A chunk-size line that cannot be read.
    BadChunk,
    /// More requests waiting for an answer than the limit.
    PipelineTooDeep,
    /// WebSocket framing that RFC 6455 forbids.
    BadWebSocket,
    /// Two Host fields that differ.
    DuplicateHost,
    /// Line folding or bare CR/LF in a head (RFC 9112 §5.2, §2.2).
    OddLines,
    /// Bytes that begin no message where one should begin: a body that must not be (RFC 9112 §6.3), or one longer
    /// than it says.
    StrayBytes,
    /// HTTP/2 frames or fields that RFC 9113 forbids: receivers give up the stream or the connection, or should.
    BadHttp2,
    /// A header block that RFC 7541 forbids: a bad code, an index of nothing, a table over what was allowed.
    BadHpack,
}

impl Anomaly {
    /// Every anomaly, in the order of declaration.
    pub const ALL: [Self; 11] = [
        Self::AmbiguousLength,
        Self::OddTransferEncoding,
        Self::HeadTooLarge,
        Self::BadChunk,
        Self::PipelineTooDeep,
        Self::BadWebSocket,
        Self::DuplicateHost,
        Self::OddLines,
        Self::StrayBytes,
        Self::BadHttp2,
        Self::BadHpack,
    ];

    /// Place in [`Anomaly::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Stable word for metrics and notices.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::AmbiguousLength => "ambiguous_length",
            Self::OddTransferEncoding => "odd_transfer_encoding",
            Self::HeadTooLarge => "head_too_large",
            Self::BadChunk => "bad_chunk",
            Self::PipelineTooDeep => "pipeline_too_deep",
            Self::BadWebSocket => "bad_websocket",
            Self::DuplicateHost => "duplicate_host",
            Self::OddLines => "odd_lines",
            Self::StrayBytes => "stray_bytes",
            Self::BadHttp2 => "bad_http2",
            Self::BadHpack => "bad_hpack",
        }
    }
}

/// What a connection shows of itself before it is encrypted.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Shown<'a> {
    /// A client hello; a second one answers a hello retry request.
    ClientHello(&'a tls::ClientHello),
    /// A server hello or hello retry request.
    ServerHello(&'a tls::ServerHello),
    /// The leaf certificate of the server, in TLS 1.2 and below.
    Certificate(&'a tls::Certificate),
    /// The application protocol that the server chose, where that was encrypted.
    Protocol(&'a [u8]),
    /// Keys opened it: exchanges from this one on were encrypted.
    Opened(ExchangeId),
    /// No more of it will be told.
    Over,
}

/// Where parts go. `detect` implements it for the passive path.
pub trait PartSink {
    /// One part of exchange `id`, travelling in `dir`.
    fn part(&mut self, id: ExchangeId, dir: Direction, part: Part<'_>);
    /// An anomaly; `id` where it concerns one exchange.
    fn anomaly(&mut self, id: Option<ExchangeId>, dir: Direction, what: Anomaly);
    /// A TLS handshake, as far as it can be read, inside of the CONNECT tunnel to `via_connect` where there is one.
    /// The answer says whether more of it is of interest.
    fn shown(&mut self, via_connect: Option<&str>, what: Shown<'_>) -> bool {
        let _ = (via_connect, what);
        true
    }
    /// A message to or from a name server, on a flow that carries such.
    fn name_server(&mut self, message: &[u8]) {
        let _ = message;
    }
    /// Lends what opens TLS, where there are keys: it comes back before the call that asked for it ends.
    fn lend(&mut self) -> Option<Box<Opener>> {
        None
    }
    /// Takes back what was lent.
    fn give_back(&mut self, opener: Box<Opener>) {
        drop(opener);
    }
}
