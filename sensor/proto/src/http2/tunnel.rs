//! Streams whose DATA is no body: CONNECT (RFC 9113 §8.5) and what extended CONNECT names (RFC 8441).

use super::Flow;
use crate::conn::Context;
use crate::websocket::{self, Decoder, Deflate, Messages};
use crate::{Anomaly, EndKind, ExchangeId, Part, PartSink};
use net::Direction;
use net::Direction::{ToClient, ToServer};

/// Inflates what any agreement on per-message deflate allows. It serves while the answer that says more is not seen.
const ANY_DEFLATE: Deflate = Deflate { no_context_takeover: false, window_bits: 15 };

/// What a stream carries instead of bodies.
#[derive(Debug)]
pub(super) struct Tunnel {
    /// Per direction of a WebSocket; `None` where the tunnel is opaque.
    sockets: Option<[Socket; 2]>,
    /// The request was granted.
    pub(super) granted: bool,
}

/// One direction of a WebSocket.
#[derive(Debug, Default)]
struct Socket {
    /// `None` before the first byte, and once nothing more can be read.
    decoder: Option<Decoder>,
    deflate: Option<Deflate>,
    closed: bool,
    failed: bool,
}

impl Tunnel {
    /// Bytes nobody looks into.
    pub(super) fn opaque() -> Box<Self> {
        Box::new(Self { sockets: None, granted: false })
    }

    /// A WebSocket; per-message deflate was offered or not.
    pub(super) fn websocket(deflate: bool) -> Box<Self> {
        let socket = || Socket { deflate: deflate.then_some(ANY_DEFLATE), ..Socket::default() };
        Box::new(Self { sockets: Some([socket(), socket()]), granted: false })
    }

    pub(super) fn is_websocket(&self) -> bool {
        self.sockets.is_some()
    }

    /// The answer grants it, with what it agrees to.
    pub(super) fn grant(&mut self, extensions: Option<&str>) {
        self.granted = true;
        let agreed = extensions.and_then(websocket::negotiated);
        if let Some([client, server]) = &mut self.sockets {
            client.deflate = agreed.map(|(deflate, _)| deflate);
            server.deflate = agreed.map(|(_, deflate)| deflate);
        }
    }

    /// Payload of a direction, as bytes of its tunnel.
    pub(super) fn data<S: PartSink>(&mut self, cx: &mut Context<'_, S>, id: ExchangeId, dir: Direction, data: &[u8]) {
        let Some(socket) = self.sockets.as_mut().map(|sockets| dir.of_mut(sockets)) else {
            cx.stats.uninspected.http2 += data.len() as u64;
            return;
        };
        if socket.failed {
            cx.stats.uninspected.websocket += data.len() as u64;
            return;
        }
        let limits = cx.limits;
        let Socket { decoder, deflate, closed, failed } = socket;
        let decoder = decoder.get_or_insert_with(|| Decoder::with_budget(dir, *deflate, limits.decoders.clone()));
        let mut sink = Messages { cx, id, dir, closed };
        if decoder.feed(&limits.websocket, data, &mut sink).is_err() {
            *failed = true;
            cx.stats.uninspected.websocket += data.len() as u64;
            cx.anomaly(Some(id), dir, Anomaly::BadWebSocket);
            cx.part(id, dir, Part::Gap(0));
        }
    }

    /// `n` lost bytes of a direction.
    pub(super) fn gap<S: PartSink>(&mut self, cx: &mut Context<'_, S>, id: ExchangeId, dir: Direction, n: u64) {
        let Some(socket) = self.sockets.as_mut().map(|sockets| dir.of_mut(sockets)) else { return };
        let Socket { decoder, closed, failed, .. } = socket;
        if *failed {
            return;
        }
        let mut sink = Messages { cx, id, dir, closed };
        if decoder.as_mut().is_none_or(|decoder| decoder.gap(n, &mut sink).is_err()) {
            *failed = true;
            *decoder = None;
            cx.part(id, dir, Part::Gap(0));
        }
    }

    /// How a direction ends whose stream ends in order.
    pub(super) fn end(&mut self, dir: Direction) -> EndKind {
        let Some(socket) = self.sockets.as_mut().map(|sockets| dir.of_mut(sockets)) else { return EndKind::Complete };
        let whole = socket.decoder.take().is_some_and(|mut decoder| decoder.finish() == EndKind::Complete);
        if socket.closed && whole { EndKind::Complete } else { EndKind::Cut }
    }
}

impl Flow {
    /// What goes through in a direction of a stream that is a tunnel, if that is what its bytes are.
    pub(super) fn tunnel(tunnel: &mut Option<Box<Tunnel>>, dir: Direction) -> Option<&mut Tunnel> {
        // What the server sends before it grants the tunnel is the body of an answer that refuses it.
        tunnel.as_deref_mut().filter(|tunnel| dir == ToServer || (dir == ToClient && tunnel.granted))
    }
}
