//! What a head means for its own lane and for the other one.

use super::framing::{Facts, Framing, Upgrade};
use super::pair::{Ask, Paired};
use super::state::State;
use super::{Flow, parse};
use crate::conn::{Context, Protocol};
use crate::websocket::{self, Deflate};
use crate::{Anomaly, EndKind, ExchangeId, Part, PartSink};
use net::Direction;
use net::Direction::{ToClient, ToServer};

/// What a final response leaves to be done once it is reported.
pub(super) struct Answer {
    pub(super) id: ExchangeId,
    /// Of the request; `None` where that was not seen.
    pub(super) ask: Option<Ask>,
    pub(super) upgrade: Upgrade,
    /// Per-message deflate of each direction, to the server first.
    pub(super) deflate: Option<(Deflate, Deflate)>,
    status: u16,
    framing: Framing,
}

impl Flow {
    /// A head; `whole` unless its end was cut off.
    pub(super) fn message<S: PartSink>(
        &mut self,
        cx: &mut Context<'_, S>,
        dir: Direction,
        head: &[u8],
        whole: bool,
    ) -> Result<(), Protocol> {
        self.lane(dir).line_ok = false;
        match dir {
            ToServer => {
                self.request(cx, head, whole);
                Ok(())
            }
            ToClient => self.response(cx, head, whole),
        }
    }

    /// A head whose end is missing, because it is over the limit or was lost. What came whole of it is reported:
    /// a head must not hide by its length.
    pub(super) fn cut_head<S: PartSink>(
        &mut self,
        cx: &mut Context<'_, S>,
        dir: Direction,
        head: &[u8],
        too_large: bool,
    ) -> Result<(), Protocol> {
        let lines = memchr::memrchr(b'\n', head).and_then(|lf| head.get(..=lf)).unwrap_or(head);
        let done = self.message(cx, dir, lines, false);
        if too_large {
            cx.anomaly(None, dir, Anomaly::HeadTooLarge);
        }
        done
    }

    fn request<S: PartSink>(&mut self, cx: &mut Context<'_, S>, head: &[u8], whole: bool) {
        let lost = std::mem::take(&mut self.client.lost);
        let idle = self.server.idle();
        let via = self.via.take();
        let (id, paired, ask, facts) = parse::request(head, via.as_deref(), |head, odd_lines| {
            let facts = Facts::of(head.headers, head.version);
            let ask = match head.method {
                "HEAD" => Ask::Head,
                "CONNECT" => Ask::Connect,
                _ if head.version == "0.9" => Ask::Old,
                _ if facts.upgrade == Upgrade::WebSocket && facts.request_framing() == Framing::Length(0) => {
                    Ask::WebSocket
                }
                _ => Ask::Plain,
            };
            if ask == Ask::Connect {
                self.connect = Some(head.target.into());
            }
            let (id, paired) = self.pairs.request(ask, lost, idle, cx.limits.pipeline);
            cx.stats.http1_requests += 1;
            cx.part(id, ToServer, Part::Request(head));
            report(cx, id, ToServer, &facts, odd_lines && whole);
            (id, paired, ask, facts)
        });
        self.via = via;
        if paired == Paired::TooDeep {
            cx.anomaly(Some(id), ToServer, Anomaly::PipelineTooDeep);
        }
        if matches!(paired, Paired::Alone | Paired::TooDeep) {
            alone(cx, id, ToClient);
        }
        self.client.open = Some(id);
        if !whole {
            self.end(cx, ToServer, EndKind::Cut);
            self.lose_place(cx, ToServer);
            return;
        }
        match ask {
            Ask::Connect => {
                self.end(cx, ToServer, EndKind::Complete);
                if paired == Paired::Waits {
                    self.client.state = State::Await;
                } else {
                    // Its answer will not be known as such.
                    self.assume_tunnel();
                }
            }
            Ask::WebSocket => {
                let deflate = facts.deflate.then_some(super::upgraded::ANY_DEFLATE);
                self.client.state = State::Upgrading { deflate, asked: true };
            }
            Ask::Plain | Ask::Head | Ask::Old => self.begin_body(cx, ToServer, facts.request_framing()),
        }
    }

    fn response<S: PartSink>(&mut self, cx: &mut Context<'_, S>, head: &[u8], whole: bool) -> Result<(), Protocol> {
        let lost = self.server.lost;
        let answer = parse::response(head, |head, odd_lines| {
            if (100..200).contains(&head.status) && head.status != 101 {
                return None;
            }
            let facts = Facts::of(head.headers, head.version);
            let waiting = self.pairs.response(lost, |id, missing| alone(cx, id, missing));
            let id = match waiting {
                Some(waiting) => waiting.id,
                None => self.orphan(cx, whole && head.status == 101 && facts.upgrade == Upgrade::WebSocket),
            };
            if head.status == 101 && facts.upgrade == Upgrade::Http2 && whole {
                // The response is that of stream 1 (RFC 7540 §3.2).
                cx.stats.http1_interim += 1;
            } else {
                cx.stats.http1_responses += 1;
                cx.part(id, ToClient, Part::Response(head));
            }
            report(cx, id, ToClient, &facts, odd_lines && whole);
            let accepted = head.headers.text("sec-websocket-extensions");
            Some(Answer {
                id,
                ask: waiting.map(|waiting| waiting.ask),
                upgrade: facts.upgrade,
                deflate: accepted.and_then(websocket::negotiated),
                status: head.status,
                framing: facts.response_framing(),
            })
        });
        let Some(answer) = answer else {
            cx.stats.http1_interim += 1;
            self.server.state = State::Head;
            if !whole {
                self.lose_place(cx, ToClient);
            }
            return Ok(());
        };
        self.server.lost = false;
        self.server.open = Some(answer.id);
        if !whole {
            self.end(cx, ToClient, EndKind::Cut);
            self.lose_place(cx, ToClient);
            return Ok(());
        }
        match (answer.status, answer.ask) {
            (101, _) => self.upgrade(cx, &answer),
            (200..=299, Some(Ask::Connect)) => self.tunnel(cx),
            (status, ask) => {
                let bodiless = matches!(status, 204 | 304) || ask == Some(Ask::Head);
                let framing = if bodiless { Framing::Length(0) } else { answer.framing };
                self.begin_body(cx, ToClient, framing);
                if ask.is_none() && framing != Framing::Length(0) {
                    self.server.state = State::Doubtful(framing);
                }
                self.refused(cx, answer.id, ask)
            }
        }
    }

    /// A response came and no request waits for it: its exchange.
    fn orphan<S: PartSink>(&mut self, cx: &mut Context<'_, S>, websocket: bool) -> ExchangeId {
        let id = self.pairs.next_id();
        let whole = !self.midstream && self.pairs.sure() && !self.client.lost;
        // The request may wait behind a hole in the body of the one before.
        if whole && matches!(self.client.state, State::Start | State::Head | State::Body(_)) {
            self.pairs.note_early(id, |id, missing| alone(cx, id, missing));
        } else if websocket && matches!(self.client.state, State::Start | State::Head | State::Lost) {
            // The frames of the client will be its part of this exchange.
            cx.stats.unpaired += 1;
            self.client.open = Some(id);
        } else {
            alone(cx, id, ToServer);
        }
        id
    }

    fn begin_body<S: PartSink>(&mut self, cx: &mut Context<'_, S>, dir: Direction, framing: Framing) {
        self.lane(dir).state = State::Body(framing);
        if framing == Framing::Length(0) {
            self.finish(cx, dir);
        }
    }
}

/// The message of an exchange that belongs into `missing` will not be told.
pub(super) fn alone<S: PartSink>(cx: &mut Context<'_, S>, id: ExchangeId, missing: Direction) {
    cx.stats.unpaired += 1;
    cx.part(id, missing, Part::End(EndKind::Cut));
}

fn report<S: PartSink>(cx: &mut Context<'_, S>, id: ExchangeId, dir: Direction, facts: &Facts, odd_lines: bool) {
    for (met, what) in [
        (facts.ambiguous, Anomaly::AmbiguousLength),
        (facts.odd_coding, Anomaly::OddTransferEncoding),
        (facts.two_hosts && dir == ToServer, Anomaly::DuplicateHost),
        (odd_lines, Anomaly::OddLines),
    ] {
        if met {
            cx.anomaly(Some(id), dir, what);
        }
    }
}
