//! One flow, both directions: which protocol it speaks, and the observer of that protocol.
//!
//! The port says nothing; the first bytes of each direction do. A flow begins as HTTP/1.x; what it turns out to be
//! instead takes over here ([`Protocol`]), with every byte that was kept, or is bypassed where there is no reader.

mod secured;
#[cfg(test)]
mod tests;

use crate::http1::{Flow, Found, Rest};
use crate::{Anomaly, ExchangeId, Interest, Part, PartSink, coding, dns, http2, tls};
use net::Direction;
pub use secured::Opener;
use secured::Tls;

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
    /// What the handshake of TLS may cost.
    pub tls: tls::Limits,
    /// What DNS over TCP may cost.
    pub dns: dns::Limits,
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
            tls: tls::Limits::default(),
            dns: dns::Limits::default(),
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
    /// HTTP/2.
    pub http2: http2::Stats,
    /// WebSocket messages that came to their end.
    pub websocket_messages: u64,
    /// Heads (or running bodies) found again after a direction had lost its place, or behind a preamble.
    pub resynchronisations: u64,
    /// Messages whose counterpart could not be told, and that were therefore reported alone.
    pub unpaired: u64,
    /// TLS handshakes.
    pub tls: tls::Stats,
    /// DNS over TCP.
    pub dns: dns::Stats,
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
    /// HTTP/2 whose place was lost, tunnels in it, and frames of streams that are over or of unknown kinds.
    pub http2: u64,
    /// DNS over TCP whose place was lost.
    pub dns: u64,
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
    pub fn by_reason(&self) -> [(&'static str, u64); 9] {
        [
            ("tls", self.tls),
            ("connect_tls", self.connect_tls),
            ("http2", self.http2),
            ("dns", self.dns),
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
        self.http2.add(&other.http2);
        self.websocket_messages += other.websocket_messages;
        self.resynchronisations += other.resynchronisations;
        self.unpaired += other.unpaired;
        self.tls.add(&other.tls);
        self.dns.add(&other.dns);
        let (mine, more) = (&mut self.uninspected, &other.uninspected);
        mine.tls += more.tls;
        mine.connect_tls += more.connect_tls;
        mine.http2 += more.http2;
        mine.dns += more.dns;
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
    /// HTTP/2, from its beginning on.
    Http2,
    /// HTTP/2 that an exchange of HTTP/1 was upgraded to.
    Http2Upgrade(ExchangeId),
    /// HTTP/2 of which the beginning was missed.
    Http2Late,
    /// DNS over TCP.
    Dns,
    Ssh,
    Unknown,
}

impl Protocol {
    const fn reason(self) -> &'static str {
        match self {
            Self::Tls => "tls",
            Self::ConnectTls => "connect_tls",
            Self::Http2 | Self::Http2Upgrade(_) | Self::Http2Late => "http2",
            Self::Dns => "dns",
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
            Self::Http2 | Self::Http2Upgrade(_) | Self::Http2Late => &mut u.http2,
            Self::Dns => &mut u.dns,
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
    layer: Layer,
    /// The true roles are the reverse of those `net` knows, as far as the layers before this one have shown.
    flipped: bool,
    /// How many connections of TLS this one is inside of.
    depth: u8,
}

/// A [`Conn`] between messages, as small as it can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AtRest(Rest);

const _: () = assert!(size_of::<AtRest>() <= 48, "a million of them wait at a time");

impl AtRest {
    /// A flow of which nothing was read yet; `midstream` where its beginning was not captured.
    pub fn new(midstream: bool) -> Self {
        Self(Rest::new(midstream))
    }

    /// As [`Conn::flipped`].
    pub fn flipped(&self) -> bool {
        self.0.flipped()
    }

    /// As [`Conn::fin`]; where nothing is under way, nothing ends but the direction itself.
    pub fn fin(&mut self, dir: Direction) {
        self.0.fin(dir);
    }
}

/// What the bytes are given to.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "every flow begins as the large one, and most stay so")]
enum Layer {
    /// HTTP/1, or what is not known yet.
    Http1(Flow),
    Http2(Box<http2::Flow>),
    Tls(Box<Tls>),
    /// DNS over TCP, by direction.
    Dns(Box<[dns::Stream; 2]>),
    /// No one.
    Bypass(Protocol),
}

/// Connections of TLS inside of one another that are looked into: to a proxy, and through it.
const MAX_DEPTH: u8 = 2;

impl Conn {
    /// A new flow; `midstream` where its beginning was not captured.
    pub fn new(midstream: bool) -> Self {
        Self { layer: Layer::Http1(Flow::new(midstream)), flipped: false, depth: 0 }
    }

    /// What is left of a connection where nothing is under way, if that is little: between two messages of HTTP/1, or
    /// where nothing that is known has been met yet.
    pub fn at_rest(&self) -> Option<AtRest> {
        match &self.layer {
            Layer::Http1(flow) if self.depth == 0 => flow.rest().map(AtRest),
            _ => None,
        }
    }

    /// Becomes the connection that was put away, whatever it was before; its memory is used again.
    pub fn resume(&mut self, put_away: AtRest) {
        if !matches!(self.layer, Layer::Http1(_)) {
            self.layer = Layer::Http1(Flow::new(false));
        }
        if let Layer::Http1(flow) = &mut self.layer {
            flow.resume(put_away.0);
        }
        (self.flipped, self.depth) = (false, 0);
    }

    /// What is inside of TLS, which tells the roles: exchanges are numbered from `first`. `http2` where the handshake
    /// settled on that.
    fn inside(first: ExchangeId, via: Option<Box<str>>, http2: bool, depth: u8) -> Self {
        let layer = if http2 {
            Layer::Http2(Box::new(http2::Flow::new(first, http2::Start::Preface).through(via)))
        } else {
            Layer::Http1(Flow::inside(first, via))
        };
        Self { layer, flipped: false, depth }
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
        self.feed(&mut Context { limits, stats, sink }, dir, data)
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
        self.lose(&mut Context { limits, stats, sink }, dir, n)
    }

    /// The direction that `net` calls `dir` ended in order. Bodies that last until the end are complete now.
    pub fn fin(&mut self, limits: &Limits, stats: &mut Stats, dir: Direction, sink: &mut impl PartSink) {
        self.end(&mut Context { limits, stats, sink }, dir);
    }

    /// The flow is over (both ends, reset, or forgotten): every exchange still open ends.
    pub fn close(&mut self, limits: &Limits, stats: &mut Stats, sink: &mut impl PartSink) {
        self.over(&mut Context { limits, stats, sink });
    }

    /// Whether it speaks, or began like, DNS.
    pub(crate) fn is_dns(&self) -> bool {
        matches!(self.layer, Layer::Dns(_) | Layer::Bypass(Protocol::Dns))
    }

    /// What it holds on the heap, in bytes: an estimate.
    pub fn held_bytes(&self) -> usize {
        match &self.layer {
            Layer::Http1(flow) => flow.held_bytes(),
            Layer::Http2(flow) => flow.held_bytes(),
            Layer::Tls(tls) => tls.held_bytes(),
            Layer::Dns(streams) => size_of_val(&**streams) + streams.iter().map(dns::Stream::held).sum::<usize>(),
            Layer::Bypass(_) => 0,
        }
    }

    /// Whether the content showed that the side which `net` takes for the client is the server. The directions
    /// of parts are always by true role.
    pub fn flipped(&self) -> bool {
        match &self.layer {
            Layer::Http1(flow) => flow.flipped(),
            Layer::Http2(flow) => flow.flipped() != self.flipped,
            Layer::Tls(tls) => tls.flipped().unwrap_or(self.flipped),
            Layer::Dns(_) | Layer::Bypass(_) => self.flipped,
        }
    }

    fn feed<S: PartSink>(&mut self, cx: &mut Context<'_, S>, dir: Direction, data: &[u8]) -> Interest {
        let over = match &mut self.layer {
            Layer::Http1(flow) => match flow.bytes(cx, dir, data) {
                Ok(()) => return Interest::More,
                Err(Found { protocol, used }) => {
                    let rest = data.get(used..).unwrap_or_default();
                    return self.take_over(cx, protocol, dir, rest);
                }
            },
            Layer::Http2(flow) => {
                flow.bytes(cx, role(self.flipped, dir), data);
                return Interest::More;
            }
            Layer::Tls(tls) => tls.bytes(cx, dir, data),
            Layer::Dns(streams) => {
                let (flipped, Context { limits, stats, sink }) = (&mut self.flipped, cx);
                let mut each = |message: &[u8]| {
                    let answer = message.get(2).is_some_and(|flags| flags & 0x80 != 0);
                    *flipped = answer == (dir == Direction::ToServer);
                    sink.name_server(message);
                };
                if dir.of_mut(streams).feed(&limits.dns, &mut stats.dns, data, &mut each) == dns::Want::More {
                    return Interest::More;
                }
                Protocol::Dns.count(stats, data.len());
                let other = dir.reverse().of_mut(streams).feed(&limits.dns, &mut stats.dns, &[], &mut each);
                (other == dns::Want::Nothing).then_some(Protocol::Dns)
            }
            Layer::Bypass(protocol) => {
                protocol.count(cx.stats, data.len());
                None
            }
        };
        self.settle(over)
    }

    fn lose<S: PartSink>(&mut self, cx: &mut Context<'_, S>, dir: Direction, n: u64) -> Interest {
        let mut over = None;
        match &mut self.layer {
            _ if n == 0 => {}
            Layer::Http1(flow) => flow.gap(cx, dir, n),
            Layer::Http2(flow) => flow.gap(cx, role(self.flipped, dir), n),
            Layer::Tls(tls) => over = tls.gap(cx, dir, n),
            Layer::Dns(streams) => {
                dir.of_mut(streams).gap(&mut cx.stats.dns, n);
            }
            Layer::Bypass(_) => {}
        }
        self.settle(over)
    }

    fn end<S: PartSink>(&mut self, cx: &mut Context<'_, S>, dir: Direction) {
        if let Layer::Http1(flow) = &mut self.layer {
            match flow.fin(cx, dir) {
                Ok(()) => return,
                Err(protocol) => self.take_over(cx, protocol, dir, &[]),
            };
        }
        let over = match &mut self.layer {
            Layer::Tls(tls) => tls.fin(cx, dir),
            Layer::Http2(flow) => {
                flow.fin(cx, role(self.flipped, dir));
                None
            }
            Layer::Dns(streams) => {
                dir.of_mut(streams).finish(&mut cx.stats.dns);
                None
            }
            Layer::Http1(_) | Layer::Bypass(_) => None,
        };
        self.settle(over);
    }

    fn over<S: PartSink>(&mut self, cx: &mut Context<'_, S>) {
        match &mut self.layer {
            Layer::Http1(flow) => flow.close(cx),
            Layer::Http2(flow) => flow.close(cx),
            Layer::Tls(tls) => tls.close(cx),
            Layer::Dns(streams) => streams.iter_mut().for_each(|stream| stream.finish(&mut cx.stats.dns)),
            Layer::Bypass(_) => {}
        }
    }

    /// Lets go of a layer that reads no more.
    fn settle(&mut self, over: Option<Protocol>) -> Interest {
        if let Some(protocol) = over {
            self.flipped = self.flipped();
            self.layer = Layer::Bypass(protocol);
        }
        match &self.layer {
            Layer::Bypass(protocol) => Interest::Bypass(protocol.reason()),
            _ => Interest::More,
        }
    }

    /// The one place where another protocol takes over: it gets what was kept of both directions, and `rest`, which
    /// follows in `dir`.
    fn take_over<S: PartSink>(
        &mut self,
        cx: &mut Context<'_, S>,
        protocol: Protocol,
        dir: Direction,
        rest: &[u8],
    ) -> Interest {
        let Layer::Http1(flow) = &mut self.layer else { return Interest::More };
        let (kept, next, via) = flow.hand_over(cx);
        self.flipped = flow.flipped();
        let http2 = |start| Layer::Http2(Box::new(http2::Flow::new(next, start).through(via.clone())));
        self.layer = match protocol {
            Protocol::Tls | Protocol::ConnectTls if self.depth < MAX_DEPTH => {
                Layer::Tls(Box::new(Tls::new(cx, protocol, via, self.flipped, (next, self.depth))))
            }
            Protocol::Http2 => http2(http2::Start::Preface),
            Protocol::Http2Upgrade(exchange) => http2(http2::Start::Upgraded(exchange)),
            Protocol::Http2Late => http2(http2::Start::Midstream),
            Protocol::Dns => Layer::Dns(Box::default()),
            Protocol::Tls | Protocol::ConnectTls | Protocol::Ssh | Protocol::Unknown => Layer::Bypass(protocol),
        };
        // The client first: what it asks for tells how to read the answer.
        let client = role(self.flipped, Direction::ToServer);
        for side in [client, client.reverse()] {
            for bytes in [side.of(&kept).as_slice(), if side == dir { rest } else { &[] }] {
                if !bytes.is_empty() {
                    self.feed(cx, side, bytes);
                }
            }
        }
        self.settle(None)
    }
}

const fn role(flipped: bool, dir: Direction) -> Direction {
    if flipped { dir.reverse() } else { dir }
}
