//! What is kept of one direction between calls.

use super::chunked::Chunked;
use super::framing::Framing;
use crate::websocket::{Decoder, Deflate};
use crate::{EndKind, ExchangeId};

/// One direction of a flow.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, each asked for alone")]
pub(crate) struct Lane {
    pub(crate) state: State,
    /// Bytes that are not understood yet: a part of a head, of a protocol's first bytes, or what a client sent
    /// behind CONNECT. Bounded by the limits; empty, without heap, between messages.
    pub(crate) carry: Vec<u8>,
    /// The exchange whose [`crate::Part::End`] is owed in this direction.
    pub(crate) open: Option<ExchangeId>,
    /// The start line in `carry` was found good.
    pub(crate) line_ok: bool,
    /// Messages may have been lost since the last head.
    pub(crate) lost: bool,
    /// The next byte is the first of a piece.
    pub(crate) piece_start: bool,
    /// The next byte may begin a head although it begins no line.
    pub(crate) candidate: bool,
    /// The place in the stream is a guess, so only ordinary heads count, and they are searched for.
    pub(crate) guessing: bool,
    /// The next good start line ends a loss.
    pub(crate) resync: bool,
    /// A TLS record was met once while lost.
    pub(crate) tls_seen: bool,
    /// A frame of HTTP/2 was met once while lost.
    pub(crate) http2_seen: bool,
    /// The direction ended, though its last bytes still wait.
    pub(crate) finished: bool,
    /// Pieces looked at since the place was lost.
    pub(crate) pieces: u32,
    /// Bytes passed since the place was lost.
    pub(crate) passed: u64,
}

/// What the next byte of a direction belongs to.
#[derive(Debug)]
pub(crate) enum State {
    /// A protocol begins.
    Start,
    /// A preamble of so many bytes, then a protocol begins.
    Skip(usize),
    /// A head, or blank lines before it.
    Head,
    /// A body.
    Body(Framing),
    /// A body, unless it shows that there is none: the request was not seen, so it may have been HEAD or CONNECT.
    Doubtful(Framing),
    /// Whatever the answer to CONNECT makes of it.
    Await,
    /// WebSocket or the next request: the client asked for an upgrade.
    Upgrading {
        /// How frames are inflated, should they come before the answer.
        deflate: Option<Deflate>,
        /// The request itself was seen.
        asked: bool,
    },
    /// WebSocket frames.
    WebSocket(Box<Socket>),
    /// Unknown; a head is looked for.
    Lost,
    /// Nothing: the direction ended.
    Done,
}

/// One direction of a WebSocket.
#[derive(Debug)]
pub(crate) struct Socket {
    /// `None` while the place of the next frame is lost.
    pub(crate) decoder: Option<Decoder>,
    pub(crate) deflate: Option<Deflate>,
    /// A close frame was seen.
    pub(crate) closed: bool,
}

impl Lane {
    pub(crate) fn new(midstream: bool) -> Self {
        Self {
            state: State::Start,
            carry: Vec::new(),
            open: None,
            line_ok: false,
            lost: false,
            piece_start: true,
            candidate: false,
            guessing: midstream,
            resync: false,
            tls_seen: false,
            http2_seen: false,
            finished: false,
            pieces: 0,
            passed: 0,
        }
    }

    /// Between messages, in step.
    pub(crate) fn idle(&self) -> bool {
        matches!(self.state, State::Head) && self.carry.is_empty()
    }

    /// Begins a protocol afresh, as after CONNECT.
    pub(crate) fn restart(&mut self) {
        if !matches!(self.state, State::Done) {
            self.state = State::Start;
            self.guessing = false;
            self.lost = false;
            self.pieces = 0;
            self.passed = 0;
        }
    }

    /// Goes on looking for a head, where a likely line was none.
    pub(crate) fn stay_lost(&mut self) {
        self.state = State::Lost;
        self.candidate = true;
        self.line_ok = false;
    }

    /// Begins to look for a head, here and from here on.
    pub(crate) fn lose(&mut self) {
        self.stay_lost();
        self.resync = false;
        self.tls_seen = false;
        self.http2_seen = false;
        self.pieces = 0;
        self.passed = 0;
    }

    /// Whether the message under way lacks nothing although the direction is over; `clean` where its end was seen.
    pub(crate) fn ends_well(&mut self, clean: bool) -> bool {
        match &mut self.state {
            State::Body(Framing::ToClose) => clean,
            State::Body(Framing::Chunked(chunks)) => chunks.at_trailers(),
            State::Upgrading { asked, .. } => *asked,
            State::WebSocket(socket) => {
                let whole = socket.decoder.take().is_some_and(|mut decoder| decoder.finish() == EndKind::Complete);
                socket.closed && whole
            }
            _ => false,
        }
    }

    /// Takes up a chunked body that is already running.
    pub(crate) fn join_chunks(&mut self) {
        self.state = State::Body(Framing::Chunked(Chunked::new()));
    }
}
