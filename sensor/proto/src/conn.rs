//! One flow, both directions: which protocol it speaks, and the observer of that protocol.
//!
//! The port says nothing; the first bytes of each direction do. Today HTTP/1.x is read; a flow that turns out
//! to be something else is handed over here ([`Protocol`]) and, until there is a reader for it, bypassed.

use crate::http1::Flow;
use crate::{Anomaly, ExchangeId, Interest, Part, PartSink, coding};
use net::Direction;

/// What flows may cost. Every limit is counted when it is met, in [`Stats`] or in the budget.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Longest message head, in bytes; a part of a head is buffered up to this, per direction. It also bounds
    /// the number of fields. Longer heads are reported as far as they fit, with [`Anomaly::HeadTooLarge`].
    pub head_bytes: usize,
    /// Most requests of one flow that wait for an answer (8 bytes each). Later ones are reported unpaired, with
    /// [`Anomaly::PipelineTooDeep`].
    pub pipeline: usize,
    /// Most bytes kept of a client that goes on after CONNECT before the answer was seen. Beyond it the tunnel
    /// is taken as granted.
    pub held_bytes: usize,
    /// How many bytes per direction of a flow that began with something unknown are looked at for HTTP.
    pub unknown_bytes: u64,
    /// How many pieces per direction of such a flow are looked at.
    pub unknown_pieces: u32,
    /// How many bytes of a direction that lost its place in HTTP are searched for a head anywhere in a piece;
    /// after that only the beginnings of pieces are looked at.
    pub search_bytes: u64,
    /// Limits of inflating WebSocket messages.
    pub websocket: coding::Limits,
    /// The account that inflaters of WebSocket messages are charged to; share it among the decoders of a worker.
    pub decoders: coding::Budget,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head_bytes: 64 << 10,
            pipeline: 1024,
            held_bytes: 64 << 10,
            unknown_bytes: 64 << 10,
            unknown_pieces: 32,
            search_bytes: 1 << 20,
            websocket: coding::Limits::default(),
            decoders: coding::Budget::default(),
        }
    }
}

/// Totals over flows; plain integers that the owner adds up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// HTTP/1 request heads.
    pub http1_requests: u64,
    /// HTTP/1 final response heads (101 included).
    pub http1_responses: u64,
    /// HTTP/1 interim responses (1xx other than 101), which are not reported.
    pub http1_interim: u64,
    /// WebSocket messages that came to their end.
    pub websocket_messages: u64,
    /// Heads (or running bodies) found again after a direction had lost its place, or behind a preamble.
    pub resynchronisations: u64,
    /// Messages whose counterpart could not be told, and that were therefore reported alone.
    pub unpaired: u64,
    /// Bytes that nobody looked into.
    pub uninspected: Uninspected,
    /// By [`Anomaly`], in the order of [`Anomaly::ALL`].
    anomalies: [u64; Anomaly::ALL.len()],
}

/// Bytes that nobody looked into, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Uninspected {
    /// TLS.
    pub tls: u64,
    /// TLS inside a CONNECT tunnel.
    pub connect_tls: u64,
    /// HTTP/2 in clear.
    pub http2: u64,
    /// SSH.
    pub ssh: u64,
    /// A protocol that is not known.
    pub unknown: u64,
    /// HTTP/1 whose place was lost: the start was missed, a gap, broken framing, cut heads.
    pub out_of_sync: u64,
    /// WebSocket frames whose place was lost, with the whole piece in which an impossible frame showed it.
    pub websocket: u64,
    /// PROXY protocol headers and blank lines before a message.
    pub preamble: u64,
}

impl Uninspected {
    /// Each reason as a stable word for metrics, with its bytes.
    pub fn by_reason(&self) -> [(&'static str, u64); 8] {
        [
            ("tls", self.tls),
            ("connect_tls", self.connect_tls),
            ("http2", self.http2),
            ("ssh", self.ssh),
            ("unknown", self.unknown),
            ("out_of_sync", self.out_of_sync),
            ("websocket", self.websocket),
            ("preamble", self.preamble),
        ]
    }
}

impl Stats {
    /// How often `what` was met.
    pub fn anomalies(&self, what: Anomaly) -> u64 {
        self.anomalies.get(what.index()).copied().unwrap_or_default()
    }

    /// Adds the counts of another worker or period.
    pub fn add(&mut self, other: &Self) {
        self.http1_requests += other.http1_requests;
        self.http1_responses += other.http1_responses;
        self.http1_interim += other.http1_interim;
        self.websocket_messages += other.websocket_messages;
        self.resynchronisations += other.resynchronisations;
        self.unpaired += other.unpaired;
        let (mine, more) = (&mut self.uninspected, &other.uninspected);
        mine.tls += more.tls;
        mine.connect_tls += more.connect_tls;
        mine.http2 += more.http2;
        mine.ssh += more.ssh;
        mine.unknown += more.unknown;
        mine.out_of_sync += more.out_of_sync;
        mine.websocket += more.websocket;
        mine.preamble += more.preamble;
        for (mine, more) in self.anomalies.iter_mut().zip(other.anomalies) {
            *mine += more;
        }
    }
}

/// What every reader needs beside its state: limits, counters, and where the parts go.
#[derive(Debug)]
pub(crate) struct Context<'c, S> {
    pub(crate) limits: &'c Limits,
    pub(crate) stats: &'c mut Stats,
    pub(crate) sink: &'c mut S,
}

impl<S: PartSink> Context<'_, S> {
    pub(crate) fn part(&mut self, id: ExchangeId, dir: Direction, part: Part<'_>) {
        self.sink.part(id, dir, part);
    }

    pub(crate) fn anomaly(&mut self, id: Option<ExchangeId>, dir: Direction, what: Anomaly) {
        if let Some(n) = self.stats.anomalies.get_mut(what.index()) {
            *n += 1;
        }
        self.sink.anomaly(id, dir, what);
    }
}

/// A protocol other than HTTP/1 that the bytes turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Tls,
    /// TLS inside a CONNECT tunnel.
    ConnectTls,
    Http2,
    Ssh,
    Unknown,
}

impl Protocol {
    const fn reason(self) -> &'static str {
        match self {
            Self::Tls | Self::ConnectTls => "tls",
            Self::Http2 => "http2",
            Self::Ssh => "ssh",
            Self::Unknown => "unknown",
        }
    }

    /// Counts `n` bytes that stay unread because the flow speaks this protocol.
    pub(crate) fn count(self, stats: &mut Stats, n: usize) {
        let u = &mut stats.uninspected;
        let total = match self {
            Self::Tls => &mut u.tls,
            Self::ConnectTls => &mut u.connect_tls,
            Self::Http2 => &mut u.http2,
            Self::Ssh => &mut u.ssh,
            Self::Unknown => &mut u.unknown,
        };
        *total += n as u64;
    }
}

/// The observer of one flow. Feed it each direction's bytes in order; it reports parts to a [`PartSink`].
///
/// For every [`ExchangeId`] each direction gets exactly one [`Part::End`], after all other parts of that
/// direction, at the latest from [`Conn::close`]. A direction that ends without a head was never seen: a
/// response whose request is unknown comes after an `End(Cut)` to the server (in a flow seen from its start it
/// may also follow, should the request still turn up), and a request that cannot be matched with its answer is
/// followed by an `End(Cut)` to the client. Body parts without a head belong to a stream that was already
/// running when the capture began.
#[derive(Debug)]
pub struct Conn {
    http1: Flow,
    bypass: Option<Protocol>,
}

impl Conn {
    /// A new flow; `midstream` where its beginning was not captured.
    pub fn new(midstream: bool) -> Self {
        Self { http1: Flow::new(midstream), bypass: None }
    }

    /// The next bytes of the direction that `net` calls `dir`.
    pub fn bytes(
        &mut self,
        limits: &Limits,
        stats: &mut Stats,
        dir: Direction,
        data: &[u8],
        sink: &mut impl PartSink,
    ) -> Interest {
        if let Some(protocol) = self.bypass {
            protocol.count(stats, data.len());
            return Interest::Bypass(protocol.reason());
        }
        let mut cx = Context { limits, stats, sink };
        let found = self.http1.bytes(&mut cx, dir, data);
        self.dispatch(&mut cx, found)
    }

    /// `n` bytes of the direction that `net` calls `dir` will never be seen.
    pub fn gap(
        &mut self,
        limits: &Limits,
        stats: &mut Stats,
        dir: Direction,
        n: u64,
        sink: &mut impl PartSink,
    ) -> Interest {
        if let Some(protocol) = self.bypass {
            return Interest::Bypass(protocol.reason());
        }
        if n > 0 {
            self.http1.gap(&mut Context { limits, stats, sink }, dir, n);
        }
        Interest::More
    }

    /// The direction that `net` calls `dir` ended in order. Bodies that last until the end are complete now.
    pub fn fin(&mut self, limits: &Limits, stats: &mut Stats, dir: Direction, sink: &mut impl PartSink) {
        if self.bypass.is_none() {
            let mut cx = Context { limits, stats, sink };
            let found = self.http1.fin(&mut cx, dir);
            self.dispatch(&mut cx, found);
        }
    }

    /// The flow is over (both ends, reset, or forgotten): every exchange still open ends.
    pub fn close(&mut self, limits: &Limits, stats: &mut Stats, sink: &mut impl PartSink) {
        if self.bypass.is_none() {
            self.http1.close(&mut Context { limits, stats, sink });
        }
    }

    /// Whether the content showed that the side which `net` takes for the client is the server. The directions
    /// of parts are always by true role.
    pub fn flipped(&self) -> bool {
        self.http1.flipped()
    }

    /// The one place where another protocol takes over. None of these has a reader yet.
    fn dispatch<S: PartSink>(&mut self, cx: &mut Context<'_, S>, found: Result<(), Protocol>) -> Interest {
        let Err(protocol) = found else { return Interest::More };
        self.http1.close(cx);
        self.bypass = Some(protocol);
        Interest::Bypass(protocol.reason())
    }
}
