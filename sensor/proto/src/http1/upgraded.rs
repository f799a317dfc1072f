//! What grows out of HTTP: CONNECT tunnels (RFC 9110 §9.3.6), upgrades (§7.8) and `WebSocket` (RFC 6455).

use super::framing::Upgrade;
use super::messages::Answer;
use super::pair::Ask;
use super::state::{Socket, State};
use super::{Flow, Step};
use crate::conn::{Context, Protocol};
use crate::websocket::{self, Decoder, Deflate, Messages};
use crate::{Anomaly, EndKind, ExchangeId, Part, PartSink};
use net::Direction;
use net::Direction::{ToClient, ToServer};

/// Inflates what any agreement on per-message deflate allows: the largest window, kept between messages. It
/// serves while the answer that says more is not seen.
pub(super) const ANY_DEFLATE: Deflate = Deflate { no_context_takeover: false, window_bits: 15 };

impl Flow {
    /// What a client sends behind CONNECT before the answer is seen.
    pub(super) fn hold<S: PartSink>(&mut self, cx: &mut Context<'_, S>, data: &[u8]) -> Step {
        let room = cx.limits.held_bytes.saturating_sub(self.client.carry.len()).min(data.len());
        self.client.carry.extend_from_slice(data.get(..room).unwrap_or(data));
        if room == data.len() {
            return Ok(room);
        }
        // No answer in sight, so only this direction is: a refused client would not have sent so much.
        self.assume_tunnel();
        self.go_on(cx, ToServer, room)
    }

    /// Takes the client's side of a tunnel as granted. The kept bytes must be replayed.
    pub(super) fn assume_tunnel(&mut self) {
        self.via = self.connect.take();
        self.recognised = false;
        self.client.restart();
    }

    /// CONNECT was granted: both directions begin afresh.
    pub(super) fn tunnel<S: PartSink>(&mut self, cx: &mut Context<'_, S>) -> Result<(), Protocol> {
        self.end(cx, ToClient, EndKind::Complete);
        self.server.restart();
        if let Some(authority) = self.connect.take() {
            self.via = Some(authority);
            self.recognised = false;
        }
        if !matches!(self.client.state, State::Await) {
            // It was taken as granted before, or lost its place.
            return Ok(());
        }
        self.client.restart();
        self.release(cx, ToServer)
    }

    /// A final answer other than the hoped-for one: the client's lane goes on with HTTP.
    pub(super) fn refused<S: PartSink>(
        &mut self,
        cx: &mut Context<'_, S>,
        id: ExchangeId,
        ask: Option<Ask>,
    ) -> Result<(), Protocol> {
        if ask == Some(Ask::Connect) {
            self.connect = None;
        }
        match self.client.state {
            State::Await if ask == Some(Ask::Connect) => {}
            State::Upgrading { .. } if self.client.open == Some(id) => self.end(cx, ToServer, EndKind::Complete),
            _ => return Ok(()),
        }
        self.client.state = State::Head;
        self.release(cx, ToServer)
    }

    /// A 101 answer.
    pub(super) fn upgrade<S: PartSink>(&mut self, cx: &mut Context<'_, S>, answer: &Answer) -> Result<(), Protocol> {
        let websocket = answer.upgrade == Upgrade::WebSocket
            || (answer.upgrade == Upgrade::None && answer.ask == Some(Ask::WebSocket));
        let mine = self.client.open == Some(answer.id);
        if websocket {
            self.server.state = State::WebSocket(Socket::new(cx, ToClient, answer.deflate.map(|(_, deflate)| deflate)));
            let deflate = answer.deflate.map(|(deflate, _)| deflate);
            match self.client.state {
                State::Upgrading { .. } if mine => {
                    self.client.state = State::WebSocket(Socket::new(cx, ToServer, deflate));
                    self.release(cx, ToServer)
                }
                // The request was not seen; the next bytes may be it, or frames.
                State::Start | State::Head | State::Lost if mine => {
                    self.client.line_ok = false;
                    self.client.state = State::Upgrading { deflate, asked: false };
                    self.release(cx, ToServer)
                }
                _ => Ok(()),
            }
        } else if answer.upgrade == Upgrade::Http2 {
            // What goes to the client is still to come, by the other protocol.
            self.server.open = None;
            if mine {
                self.end(cx, ToServer, EndKind::Complete);
            }
            Err(Protocol::Http2Upgrade(answer.id))
        } else {
            self.end(cx, ToClient, EndKind::Complete);
            if mine {
                self.end(cx, ToServer, EndKind::Complete);
            }
            while let Some(id) = self.pairs.give_up() {
                cx.part(id, ToClient, Part::End(EndKind::Cut));
            }
            self.recognised = false;
            self.server.restart();
            if self.client.open.is_none() {
                self.client.restart();
                self.client.line_ok = false;
                return self.release(cx, ToServer);
            }
            Ok(())
        }
    }

    /// The bytes of a client that asked for a WebSocket: two are enough to tell a masked frame, whose second
    /// byte has its top bit set (RFC 6455 §5.2), from HTTP.
    pub(super) fn upgrading<S: PartSink>(&mut self, cx: &mut Context<'_, S>, dir: Direction, data: &[u8]) -> Step {
        let lane = self.lane(dir);
        let State::Upgrading { deflate, asked } = lane.state else { return Ok(0) };
        let more = data.get(..2_usize.saturating_sub(lane.carry.len())).unwrap_or(data);
        lane.carry.extend_from_slice(more);
        let &[first, second, ..] = lane.carry.as_slice() else { return Ok(more.len()) };
        let allowed = if deflate.is_some() { 0x40 } else { 0 };
        let frame = second & 0x80 != 0 && first & 0x70 & !allowed == 0 && matches!(first & 0x0f, 0..=2 | 8..=10);
        if frame {
            lane.state = State::WebSocket(Socket::new(cx, dir, deflate));
        } else {
            lane.state = State::Head;
            self.end(cx, dir, if asked { EndKind::Complete } else { EndKind::Cut });
        }
        self.go_on(cx, dir, more.len())
    }

    /// WebSocket frames.
    pub(super) fn frames<S: PartSink>(&mut self, cx: &mut Context<'_, S>, dir: Direction, data: &[u8]) -> usize {
        let lane = self.lane(dir);
        let piece_start = lane.piece_start;
        let (State::WebSocket(socket), Some(id)) = (&mut lane.state, lane.open) else { return 0 };
        if socket.decoder.is_none() && piece_start && websocket::plausible_start(data, dir == ToServer) {
            socket.decoder = Some(Decoder::with_budget(dir, socket.deflate, cx.limits.decoders.clone()));
            cx.stats.resynchronisations += 1;
        }
        let Some(decoder) = &mut socket.decoder else {
            cx.stats.uninspected.websocket += data.len() as u64;
            return data.len();
        };
        let limits = &cx.limits.websocket;
        let mut sink = Messages { cx, id, dir, closed: &mut socket.closed };
        if decoder.feed(limits, data, &mut sink).is_err() {
            socket.decoder = None;
            // The frames before the impossible one were most likely none either, so the whole piece counts.
            cx.stats.uninspected.websocket += data.len() as u64;
            cx.anomaly(Some(id), dir, Anomaly::BadWebSocket);
            cx.part(id, dir, Part::Gap(0));
        }
        data.len()
    }

    /// `n` lost bytes of frames.
    pub(super) fn gap_in_frames<S: PartSink>(&mut self, cx: &mut Context<'_, S>, dir: Direction, n: u64) {
        let lane = self.lane(dir);
        let (State::WebSocket(socket), Some(id)) = (&mut lane.state, lane.open) else { return };
        let Some(decoder) = &mut socket.decoder else { return };
        let mut sink = Messages { cx, id, dir, closed: &mut socket.closed };
        if decoder.gap(n, &mut sink).is_err() {
            socket.decoder = None;
            cx.part(id, dir, Part::Gap(0));
        }
    }
}

impl Socket {
    fn new<S>(cx: &Context<'_, S>, dir: Direction, deflate: Option<Deflate>) -> Box<Self> {
        let decoder = Decoder::with_budget(dir, deflate, cx.limits.decoders.clone());
        Box::new(Self { decoder: Some(decoder), deflate, closed: false })
    }
}
