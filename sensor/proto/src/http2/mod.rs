//! HTTP/2 as an observer sees it (RFC 9113): in clear, after an upgrade, inside decrypted TLS, or joined late.
//!
//! A [`Flow`] is two lanes, one per direction as `net` names them, that share a table of streams. A lane walks over
//! frames that may be cut anywhere; DATA goes on as it comes, and only header blocks that come in pieces are kept,
//! field by field (`hpack`). Flow control, priorities and windows do not concern an observer. A request on an
//! extended CONNECT (RFC 8441) looks like the HTTP/1 upgrade it stands for: a GET with `upgrade: websocket`, the
//! answer 101, then messages.
//!
//! What cannot be known is marked, never guessed. The dynamic table of a connection that was joined late, or lost
//! bytes, is unknown as far as it was filled before; a field that refers to it has an empty name where only the name
//! is unknown, and empty name and value where both are. An unknown `:method` or `:path` is an empty string, an
//! unknown `:status` is 0. [`Stats::unknown_fields`] counts them.

mod blocks;
mod frame;
pub(crate) mod fuzz;
mod heads;
mod hpack;
mod lane;
mod streams;
#[cfg(test)]
mod tests;
mod tunnel;

pub(crate) use frame::plausible_start;

use crate::conn::Context;
use crate::{EndKind, ExchangeId, Part, PartSink};
use lane::Lane;
use net::Direction;
use net::Direction::{ToClient, ToServer};
use streams::Streams;

/// How a connection begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// With the preface of the client, by prior knowledge or ALPN: both lanes are given from their first byte,
    /// preface included. Whoever sends the preface is the client.
    Preface,
    /// Behind a 101 that took an HTTP/1 request to h2c (RFC 7540 §3.2): that exchange. Its request was reported,
    /// `End` included, and nothing yet in [`ToClient`]: not the 101 either, which counts as interim. Its response
    /// is that of stream 1 and is reported here, with the `End` that is owed.
    Upgraded(ExchangeId),
    /// Somewhere in the middle; the roles are those of `net` until a head shows them.
    Midstream,
}

/// Totals over connections; plain integers that the owner adds up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Connections.
    pub connections: u64,
    /// Frames whose header was read.
    pub frames: u64,
    /// Request heads, promised ones (§8.4) included.
    pub requests: u64,
    /// Requests of gRPC, by their content type; their framed messages are nothing that MCP sends.
    pub grpc_requests: u64,
    /// Final response heads.
    pub responses: u64,
    /// Interim responses (1xx), which are not reported.
    pub interim: u64,
    /// Trailer sections, which are not reported.
    pub trailers: u64,
    /// Requests that a server promised.
    pub pushes: u64,
    /// Streams that were reset while known.
    pub resets: u64,
    /// Fields of which name or value is not known, because the dynamic table is not.
    pub unknown_fields: u64,
    /// Header blocks whose fields were not all read: lost bytes, a bad code, a field over the limit.
    pub cut_blocks: u64,
    /// Streams let go because more were open than [`crate::Limits::pipeline`].
    pub streams_let_go: u64,
    /// Announced dynamic tables over [`MAX_TABLE`].
    pub tables_capped: u64,
}

pub use hpack::MAX_TABLE;

impl Stats {
    /// Adds the counts of another worker or period.
    pub fn add(&mut self, other: &Self) {
        self.connections += other.connections;
        self.frames += other.frames;
        self.requests += other.requests;
        self.grpc_requests += other.grpc_requests;
        self.responses += other.responses;
        self.interim += other.interim;
        self.trailers += other.trailers;
        self.pushes += other.pushes;
        self.resets += other.resets;
        self.unknown_fields += other.unknown_fields;
        self.cut_blocks += other.cut_blocks;
        self.streams_let_go += other.streams_let_go;
        self.tables_capped += other.tables_capped;
    }

    /// Limits and losses that were met, each as a stable word for metrics.
    pub fn limits(&self) -> [(&'static str, u64); 4] {
        [
            ("http2_unknown_fields", self.unknown_fields),
            ("http2_cut_blocks", self.cut_blocks),
            ("http2_streams", self.streams_let_go),
            ("http2_header_table", self.tables_capped),
        ]
    }
}

/// Both directions of one connection.
///
/// Limits: [`crate::Limits::head_bytes`] for the encoded bytes of a field that comes in pieces, for a header block
/// and for its decoded list (RFC 9113 §6.5.2); [`crate::Limits::pipeline`] for open streams; [`MAX_TABLE`] for the
/// dynamic table of each direction; [`crate::Limits::search_bytes`] for the search for a lost place.
#[derive(Debug)]
pub(crate) struct Flow {
    /// What `net` takes for the way to the server, and back.
    lanes: [Lane; 2],
    streams: Streams,
    /// The true roles are the reverse of those `net` knows.
    flipped: bool,
    /// The true roles are known.
    roles: bool,
    counted: bool,
    /// Authority of the CONNECT tunnel all this goes through.
    via: Option<Box<str>>,
}

impl Flow {
    /// A connection whose exchanges are numbered from `first` on.
    pub(crate) fn new(first: ExchangeId, start: Start) -> Self {
        use lane::At;
        let late = start == Start::Midstream;
        let (client, server) = match start {
            Start::Preface => (At::Preface(0), At::Preface(0)),
            Start::Upgraded(_) => (At::Preface(0), At::Header),
            Start::Midstream => (At::Lost, At::Lost),
        };
        let mut streams = Streams::new(first, late);
        if let Start::Upgraded(exchange) = start {
            streams.pass(1);
            let stream = streams.join(1, exchange);
            stream.see_head(ToServer);
            stream.end(ToServer);
        }
        let mut lanes = [Lane::new(client, late), Lane::new(server, late)];
        if let Start::Upgraded(_) = start {
            // The client told settings in its HTTP/1 request, too.
            ToClient.of_mut(&mut lanes).hpack.allow_any();
        }
        Self { lanes, streams, flipped: false, roles: matches!(start, Start::Upgraded(_)), counted: false, via: None }
    }

    /// The same through the CONNECT tunnel to `authority`.
    pub(crate) fn through(self, authority: Option<Box<str>>) -> Self {
        Self { via: authority, ..self }
    }

    /// Whether the content showed that the side which `net` takes for the client is the server.
    pub(crate) fn flipped(&self) -> bool {
        self.flipped
    }

    /// What it holds on the heap, in bytes, without what decoders of tunnels have on account.
    pub(crate) fn held_bytes(&self) -> usize {
        self.streams.memory() + self.lanes.iter().map(Lane::memory).sum::<usize>()
    }

    /// The next bytes of a direction, as `net` names it.
    pub(crate) fn bytes<S: PartSink>(&mut self, cx: &mut Context<'_, S>, wire: Direction, mut data: &[u8]) {
        if !std::mem::replace(&mut self.counted, true) {
            cx.stats.http2.connections += 1;
        }
        while !data.is_empty() {
            let used = self.step(cx, wire, data);
            data = data.get(used..).unwrap_or_default();
        }
    }

    /// `n` bytes of a direction, as `net` names it, will never be seen.
    pub(crate) fn gap<S: PartSink>(&mut self, cx: &mut Context<'_, S>, wire: Direction, n: u64) {
        self.lose(cx, wire, n);
    }

    /// A direction, as `net` names it, ended in order.
    pub(crate) fn fin<S: PartSink>(&mut self, cx: &mut Context<'_, S>, wire: Direction) {
        let lane = wire.of(&self.lanes);
        if matches!(lane.at, lane::At::Done) {
            return;
        }
        // What waits of a block is counted with it.
        let waiting = if lane.block.is_some() { 0 } else { lane.waiting() };
        cx.stats.uninspected.http2 += waiting as u64;
        self.block_ends(cx, wire, true);
        wire.of_mut(&mut self.lanes).at = lane::At::Done;
        let dir = self.role(wire);
        self.streams.drain(|stream| {
            let kind = match &mut stream.tunnel {
                Some(tunnel) if tunnel.is_websocket() => tunnel.end(dir),
                _ => EndKind::Cut,
            };
            if stream.end(dir) {
                cx.part(stream.exchange, dir, Part::End(kind));
            }
            stream.is_over()
        });
    }

    /// The connection is over.
    pub(crate) fn close<S: PartSink>(&mut self, cx: &mut Context<'_, S>) {
        self.fin(cx, ToServer);
        self.fin(cx, ToClient);
        self.cut_streams(cx, |_| true);
    }

    /// The true direction for what `net` calls `wire`.
    fn role(&self, wire: Direction) -> Direction {
        if self.flipped { wire.reverse() } else { wire }
    }

    /// Who sends in the direction that `net` calls `wire` is the client.
    fn client_is<S: PartSink>(&mut self, cx: &mut Context<'_, S>, wire: Direction) {
        if !self.roles && self.role(wire) == ToClient {
            // What was reported of streams under way bears the wrong direction.
            self.cut_streams(cx, |_| true);
            self.flipped = !self.flipped;
        }
        self.roles = true;
    }

    /// Makes a stream known of which DATA comes, where its head may have been missed; `false` if it is over, or
    /// never began.
    fn is_known<S: PartSink>(&mut self, cx: &mut Context<'_, S>, wire: Direction, id: u32) -> bool {
        if self.streams.get(id).is_some() {
            return true;
        }
        if !wire.of(&self.lanes).lossy || self.streams.is_closed(id) {
            return false;
        }
        self.make_room(cx);
        self.streams.open(id);
        true
    }

    /// Content of DATA.
    fn data<S: PartSink>(&mut self, cx: &mut Context<'_, S>, wire: Direction, id: u32, data: &[u8]) {
        let dir = self.role(wire);
        let known = self.is_known(cx, wire, id);
        match self.streams.touch(id).filter(|stream| known && !stream.is_ended(dir)) {
            Some(stream) => match Self::tunnel(&mut stream.tunnel, dir) {
                Some(tunnel) => tunnel.data(cx, stream.exchange, dir, data),
                None => cx.part(stream.exchange, dir, Part::Body(data)),
            },
            None => cx.stats.uninspected.http2 += data.len() as u64,
        }
    }

    /// Whether no DATA may come on a stream: it has not begun, or its sender ended it (RFC 9113 §5.1).
    fn has_no_place_for_data(&mut self, wire: Direction, id: u32) -> bool {
        let dir = self.role(wire);
        match self.streams.get(id) {
            Some(stream) => stream.is_ended(dir),
            None => !self.streams.is_closed(id) && !self.streams.request_may_be_lost(id),
        }
    }

    /// `n` bytes of DATA are lost; 0 where the number is unknown.
    fn data_lost<S: PartSink>(&mut self, cx: &mut Context<'_, S>, wire: Direction, id: u32, n: u64) {
        let dir = self.role(wire);
        if let Some(stream) = self.streams.touch(id).filter(|stream| !stream.is_ended(dir)) {
            match Self::tunnel(&mut stream.tunnel, dir) {
                Some(tunnel) => tunnel.gap(cx, stream.exchange, dir, n),
                None => cx.part(stream.exchange, dir, Part::Gap(n)),
            }
        }
    }

    /// Frames of a direction are lost; which streams they were of is unknown.
    fn streams_lose<S: PartSink>(&mut self, cx: &mut Context<'_, S>, wire: Direction) {
        let dir = self.role(wire);
        if dir == ToServer {
            self.streams.requests_lost();
        }
        self.streams.drain(|stream| {
            // One that only waits for its head is not touched; one without any was running before we looked.
            let running = stream.head_seen(dir) || !stream.head_seen(dir.reverse());
            if running && !stream.is_ended(dir) {
                match Self::tunnel(&mut stream.tunnel, dir) {
                    Some(tunnel) => tunnel.gap(cx, stream.exchange, dir, 0),
                    None => cx.part(stream.exchange, dir, Part::Gap(0)),
                }
            }
            false
        });
    }

    /// A direction of a stream ended in order (RFC 9113 §5.1).
    fn stream_ends<S: PartSink>(&mut self, cx: &mut Context<'_, S>, wire: Direction, id: u32) {
        let dir = self.role(wire);
        if self.is_known(cx, wire, id)
            && let Some(stream) = self.streams.touch(id)
        {
            let kind = match Self::tunnel(&mut stream.tunnel, dir) {
                Some(tunnel) => tunnel.end(dir),
                None => EndKind::Complete,
            };
            self.finish(cx, id, dir, kind);
        }
    }

    /// Reports the end of a direction, and lets go of a stream that is over.
    fn finish<S: PartSink>(&mut self, cx: &mut Context<'_, S>, id: u32, dir: Direction, kind: EndKind) {
        let lost = self.streams.request_may_be_lost(id);
        let Some(stream) = self.streams.get(id) else { return };
        let exchange = stream.exchange;
        if stream.end(dir) {
            cx.part(exchange, dir, Part::End(kind));
        }
        if dir == ToClient && lost && !stream.head_seen(ToServer) && stream.end(ToServer) {
            cx.stats.unpaired += 1;
            cx.part(exchange, ToServer, Part::End(EndKind::Cut));
        }
        if stream.is_over() {
            self.streams.take(id);
        }
    }

    /// `RST_STREAM` (§6.4): both directions are over.
    fn reset<S: PartSink>(&mut self, cx: &mut Context<'_, S>, id: u32) {
        if let Some(mut stream) = self.streams.take(id) {
            cx.stats.http2.resets += 1;
            cut(cx, &mut stream);
        }
    }

    /// GOAWAY (§6.8): what its receiver opened after `last` will not be answered.
    fn go_away<S: PartSink>(&mut self, cx: &mut Context<'_, S>, wire: Direction, last: u32) {
        let promised = self.role(wire) == ToServer;
        self.cut_streams(cx, |id| id > last && id.is_multiple_of(2) == promised);
    }

    /// Ends the streams that `which` names.
    fn cut_streams<S: PartSink>(&mut self, cx: &mut Context<'_, S>, which: impl Fn(u32) -> bool) {
        self.streams.drain(|stream| {
            let over = which(stream.id);
            if over {
                cut(cx, stream);
            }
            over
        });
    }

    /// Lets go of the stream that was idle longest, where as many are open as may be.
    fn make_room<S: PartSink>(&mut self, cx: &mut Context<'_, S>) {
        while self.streams.len() >= cx.limits.pipeline.max(1)
            && let Some(mut stream) = self.streams.take_idlest()
        {
            cx.stats.http2.streams_let_go += 1;
            cut(cx, &mut stream);
        }
    }
}

/// Ends what is open of a stream.
fn cut<S: PartSink>(cx: &mut Context<'_, S>, stream: &mut streams::Stream) {
    for dir in [ToServer, ToClient] {
        if stream.end(dir) {
            cx.part(stream.exchange, dir, Part::End(EndKind::Cut));
        }
    }
}
