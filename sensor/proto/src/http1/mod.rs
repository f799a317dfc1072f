//! HTTP/1.x as an observer sees it (RFC 9112), with what grows out of it: `WebSocket` and tunnels.
//!
//! A [`Flow`] is two lanes, one per direction, that share only the pairing of requests with responses. Each lane
//! is in one [`State`], and [`Flow::step`] hands the next bytes to whoever that state belongs to; a step takes
//! bytes off the front or changes the state. Nothing waits for a body: only heads that come in pieces are kept.

mod chunked;
mod framing;
pub(crate) mod fuzz;
mod lost;
mod messages;
mod pair;
mod parse;
mod rest;
mod start_line;
mod state;
#[cfg(test)]
mod tests;
mod upgraded;

pub(crate) use rest::Rest;
pub(crate) use start_line::{Look, Wanted, look_at_start_line};

use crate::conn::{Context, Protocol};
use crate::sniff::{self, First, Probe};
use crate::{Anomaly, EndKind, ExchangeId, Part, PartSink, ResponseHead};
use chunked::Took;
use framing::Framing;
use memchr::memchr;
use net::Direction;
use net::Direction::{ToClient, ToServer};
use pair::{Ask, Pairs};
use start_line::Line;
use state::{Lane, State};
use std::mem;

/// Both directions of one flow.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, each asked for alone")]
pub(crate) struct Flow {
    /// What goes to the server.
    client: Lane,
    /// What goes to the client.
    server: Lane,
    pairs: Pairs,
    /// The true roles are the reverse of those `net` knows.
    flipped: bool,
    /// The true roles are known.
    roles: bool,
    /// HTTP was met since the flow, or the tunnel in it, began.
    recognised: bool,
    midstream: bool,
    /// Authority of a CONNECT that waits for its answer.
    connect: Option<Box<str>>,
    /// Authority of the tunnel that the bytes now go through.
    via: Option<Box<str>>,
}

/// Another protocol begins, at the kept bytes of the lanes and, behind them, after so many bytes of what was given.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) protocol: Protocol,
    pub(crate) used: usize,
}

type Step = Result<usize, Found>;

impl Flow {
    pub(crate) fn new(midstream: bool) -> Self {
        Self {
            client: Lane::new(midstream),
            server: Lane::new(midstream),
            pairs: Pairs::default(),
            flipped: false,
            roles: false,
            recognised: false,
            midstream,
            connect: None,
            via: None,
        }
    }

    /// What is inside of another protocol that tells the roles: exchanges are numbered from `first`.
    pub(crate) fn inside(first: ExchangeId, via: Option<Box<str>>) -> Self {
        Self { pairs: Pairs::from(first), roles: true, via, ..Self::new(false) }
    }

    /// What it holds on the heap, in bytes: parts of messages, and requests that wait for their answers.
    pub(crate) fn held_bytes(&self) -> usize {
        self.client.carry.capacity() + self.server.carry.capacity() + self.pairs.held_bytes()
    }

    pub(crate) fn flipped(&self) -> bool {
        self.flipped
    }

    /// Another protocol takes over: every exchange ends. Gives what was kept of each direction, as `net` names them,
    /// the number of the next exchange, and the authority of the tunnel that the bytes go through.
    pub(crate) fn hand_over<S: PartSink>(
        &mut self,
        cx: &mut Context<'_, S>,
    ) -> ([Vec<u8>; 2], ExchangeId, Option<Box<str>>) {
        let kept = [ToServer, ToClient].map(|wire| {
            let lane = self.lane(self.role(wire));
            // What belongs to a message that has begun is told with its end.
            match lane.state {
                State::Start | State::Skip(_) | State::Lost | State::Await | State::Upgrading { .. } => {
                    mem::take(&mut lane.carry)
                }
                State::Head if !lane.line_ok => mem::take(&mut lane.carry),
                _ => Vec::new(),
            }
        });
        let via = self.via.take();
        self.close(cx);
        (kept, self.pairs.next_id(), via)
    }

    /// The next bytes of a direction, as `net` names it.
    pub(crate) fn bytes<S: PartSink>(
        &mut self,
        cx: &mut Context<'_, S>,
        wire: Direction,
        data: &[u8],
    ) -> Result<(), Found> {
        self.lane(self.role(wire)).piece_start = true;
        self.run(cx, wire, data)
    }

    fn run<S: PartSink>(&mut self, cx: &mut Context<'_, S>, wire: Direction, data: &[u8]) -> Result<(), Found> {
        let mut rest = data;
        while !rest.is_empty() {
            let dir = self.role(wire);
            let before = data.len().saturating_sub(rest.len());
            let used = self.step(cx, dir, rest).map_err(|found| Found { used: before + found.used, ..found })?;
            if used > 0 {
                self.lane(self.role(wire)).piece_start = false;
                rest = rest.get(used..).unwrap_or_default();
            }
        }
        Ok(())
    }

    /// Takes bytes off the front of `data`, which is not empty, or changes the state of the lane.
    fn step<S: PartSink>(&mut self, cx: &mut Context<'_, S>, dir: Direction, data: &[u8]) -> Step {
        match self.lane(dir).state {
            State::Start => self.start(cx, dir, data),
            State::Skip(_) => Ok(self.skip(cx, dir, data)),
            State::Head => self.head(cx, dir, data),
            State::Body(_) => Ok(self.body(cx, dir, data)),
            State::Doubtful(_) => self.doubtful(cx, dir, data),
            State::Await => self.hold(cx, data),
            State::Upgrading { .. } => self.upgrading(cx, dir, data),
            State::WebSocket(_) => Ok(self.frames(cx, dir, data)),
            State::Lost => self.lost(cx, dir, data),
            State::Done => {
                cx.stats.uninspected.out_of_sync += data.len() as u64;
                Ok(data.len())
            }
        }
    }

    /// Gives kept bytes to the lane again, which is in another state now. Where another protocol begins among them,
    /// those that are its are kept still.
    fn replay<S: PartSink>(&mut self, cx: &mut Context<'_, S>, dir: Direction) -> Result<(), Protocol> {
        let wire = self.role(dir);
        let held = mem::take(&mut self.lane(dir).carry);
        self.run(cx, wire, &held).map_err(|Found { protocol, used }| {
            let rest = held.get(used..).unwrap_or_default();
            self.lane(self.role(wire)).carry.extend_from_slice(rest);
            protocol
        })
    }

    /// [`Self::replay`] of bytes that waited for the other direction, which may have been the last.
    fn release<S: PartSink>(&mut self, cx: &mut Context<'_, S>, dir: Direction) -> Result<(), Protocol> {
        self.replay(cx, dir)?;
        if self.lane(dir).finished { self.end_lane(cx, dir, true) } else { Ok(()) }
    }

    /// The true direction for what `net` calls `dir`, and back.
    fn role(&self, dir: Direction) -> Direction {
        if self.flipped { dir.reverse() } else { dir }
    }

    fn lane(&mut self, dir: Direction) -> &mut Lane {
        match dir {
            ToServer => &mut self.client,
            ToClient => &mut self.server,
        }
    }

    /// Which heads would do in a lane now.
    fn wanted(&mut self, dir: Direction) -> Wanted {
        let roles = self.roles;
        Wanted {
            requests: !roles || dir == ToServer,
            responses: !roles || dir == ToClient,
            strict: self.lane(dir).guessing,
        }
    }

    /// The first bytes of a protocol.
    fn start<S: PartSink>(&mut self, cx: &mut Context<'_, S>, dir: Direction, data: &[u8]) -> Step {
        let wanted = self.wanted(dir);
        let tunnel = self.via.is_some();
        let lane = self.lane(dir);
        let fresh = lane.carry.is_empty();
        let room = sniff::DECIDED_AT.saturating_sub(lane.carry.len()).min(data.len());
        let more = data.get(..room).unwrap_or(data);
        let first = if fresh {
            sniff::first(data, wanted)
        } else {
            lane.carry.extend_from_slice(more);
            sniff::first(&lane.carry, wanted)
        };
        let used = if fresh { 0 } else { more.len() };
        let protocol = match first {
            First::More => {
                if fresh {
                    lane.carry.extend_from_slice(more);
                }
                return Ok(more.len());
            }
            First::Http1 => {
                lane.state = State::Head;
                return self.go_on(cx, dir, used);
            }
            First::Skip(n) => {
                lane.state = State::Skip(n);
                return self.go_on(cx, dir, used);
            }
            First::Unknown => {
                self.not_http(cx, dir, true);
                return self.go_on(cx, dir, used);
            }
            First::Tls if tunnel => Protocol::ConnectTls,
            First::Tls => Protocol::Tls,
            First::Http2 => Protocol::Http2,
            First::Ssh => Protocol::Ssh,
            First::Dns => Protocol::Dns,
        };
        Err(Found { protocol, used })
    }

    /// [`Self::replay`] as the end of a step that took `used` bytes.
    fn go_on<S: PartSink>(&mut self, cx: &mut Context<'_, S>, dir: Direction, used: usize) -> Step {
        self.replay(cx, dir).map_err(|protocol| Found { protocol, used })?;
        Ok(used)
    }

    fn skip<S: PartSink>(&mut self, cx: &mut Context<'_, S>, dir: Direction, data: &[u8]) -> usize {
        let lane = self.lane(dir);
        let State::Skip(left) = &mut lane.state else { return 0 };
        let used = data.len().min(*left);
        *left -= used;
        cx.stats.uninspected.preamble += used as u64;
        if *left == 0 {
            lane.state = State::Start;
            // What follows a preamble stands as a beginning does.
            lane.candidate = true;
        }
        used
    }

    /// A head, as far as it has come.
    fn head<S: PartSink>(&mut self, cx: &mut Context<'_, S>, dir: Direction, data: &[u8]) -> Step {
        if !self.lane(dir).line_ok {
            return self.start_line(cx, dir, data);
        }
        let limit = cx.limits.head_bytes;
        let lane = self.lane(dir);
        let end = parse::head_end(&lane.carry, data);
        let used = end.unwrap_or(data.len());
        let room = limit.saturating_sub(lane.carry.len());
        if used > room {
            lane.carry.extend_from_slice(data.get(..room).unwrap_or(data));
            let held = mem::take(&mut lane.carry);
            return self
                .cut_head(cx, dir, &held, true)
                .map(|()| room)
                .map_err(|protocol| Found { protocol, used: room });
        }
        let part = data.get(..used).unwrap_or(data);
        let done = if end.is_none() {
            lane.carry.extend_from_slice(part);
            Ok(())
        } else if lane.carry.is_empty() {
            self.message(cx, dir, part, true)
        } else {
            lane.carry.extend_from_slice(part);
            let held = mem::take(&mut lane.carry);
            self.message(cx, dir, &held, true)
        };
        done.map(|()| used).map_err(|protocol| Found { protocol, used })
    }

    /// Blank lines (RFC 9112 §2.2) and the start line, which decides whether this is a head at all.
    fn start_line<S: PartSink>(&mut self, cx: &mut Context<'_, S>, dir: Direction, data: &[u8]) -> Step {
        let limit = cx.limits.head_bytes;
        let wanted = self.wanted(dir);
        let lane = self.lane(dir);
        let fresh = lane.carry.is_empty();
        if fresh {
            let blank = data.iter().take_while(|c| matches!(c, b'\r' | b'\n')).count();
            if blank > 0 {
                cx.stats.uninspected.preamble += blank as u64;
                return Ok(blank);
            }
        }
        let part = memchr(b'\n', data).and_then(|lf| data.get(..=lf)).unwrap_or(data);
        let too_long = lane.carry.len().saturating_add(part.len()) > limit;
        let look = if too_long {
            Look::No
        } else if fresh {
            look_at_start_line(part, wanted)
        } else {
            lane.carry.extend_from_slice(part);
            look_at_start_line(&lane.carry, wanted)
        };
        let used = if fresh && !too_long { 0 } else { part.len() };
        let line = match look {
            Look::More => {
                if fresh {
                    lane.carry.extend_from_slice(part);
                }
                return Ok(part.len());
            }
            Look::No => {
                if too_long {
                    let start = if fresh { part.get(..limit).unwrap_or(part) } else { &lane.carry };
                    let plausible = look_at_start_line(start, Wanted { strict: true, ..wanted }) != Look::No;
                    let skipped = lane.carry.len().saturating_add(part.len());
                    lane.carry = Vec::new();
                    lane.passed += skipped as u64;
                    self.count_lost(cx, skipped);
                    if plausible && !wanted.strict {
                        cx.anomaly(None, dir, Anomaly::HeadTooLarge);
                    }
                }
                self.not_http(cx, dir, !too_long);
                return self.go_on(cx, dir, used);
            }
            Look::Yes(line) => line,
        };
        lane.line_ok = true;
        lane.guessing = false;
        cx.stats.resynchronisations += u64::from(mem::take(&mut lane.resync));
        self.recognised = true;
        let dir = self.settle_roles(dir, line);
        if line == Line::OldRequest {
            let held = mem::take(&mut self.lane(dir).carry);
            let head = if fresh { part } else { &held };
            let done = self.message(cx, dir, head, true);
            return done.map(|()| part.len()).map_err(|protocol| Found { protocol, used: part.len() });
        }
        Ok(used)
    }

    /// The first head shows who is the client. Returns the direction of the lane it stands in.
    fn settle_roles(&mut self, dir: Direction, line: Line) -> Direction {
        let truth = if line == Line::Response { ToClient } else { ToServer };
        if !self.roles && truth != dir {
            mem::swap(&mut self.client, &mut self.server);
            self.flipped = !self.flipped;
        }
        self.roles = true;
        truth
    }

    /// Bytes stand here that begin no head; `stray` unless that was told in other words.
    fn not_http<S: PartSink>(&mut self, cx: &mut Context<'_, S>, dir: Direction, stray: bool) {
        if dir == ToClient
            && let Some(waiting) = self.pairs.front()
            && waiting.ask == Ask::Old
        {
            // An HTTP/0.9 answer is a body and nothing else.
            self.pairs.response(false, |_, _| ());
            cx.stats.http1_responses += 1;
            let head = ResponseHead { status: 200, version: "0.9", headers: crate::Headers(&[]) };
            cx.part(waiting.id, dir, Part::Response(&head));
            self.server.open = Some(waiting.id);
            self.server.state = State::Body(Framing::ToClose);
        } else if mem::take(&mut self.lane(dir).resync) {
            self.lane(dir).stay_lost();
        } else if self.recognised {
            let (roles, lane) = (self.roles, self.lane(dir));
            if stray && roles && !lane.guessing && !lane.lost {
                cx.anomaly(None, dir, Anomaly::StrayBytes);
            }
            self.lose_place(cx, dir);
        } else {
            self.lane(dir).lose();
        }
    }

    /// A lane that was in step is so no more; messages may be lost.
    fn lose_place<S: PartSink>(&mut self, cx: &mut Context<'_, S>, dir: Direction) {
        let lane = self.lane(dir);
        lane.lose();
        lane.guessing = true;
        lane.lost = true;
        if self.roles && dir == ToServer {
            self.pairs.requests_lost(|id, missing| messages::alone(cx, id, missing));
        }
    }

    fn body<S: PartSink>(&mut self, cx: &mut Context<'_, S>, dir: Direction, data: &[u8]) -> usize {
        let lane = self.lane(dir);
        let (State::Body(framing), Some(id)) = (&mut lane.state, lane.open) else { return 0 };
        let (used, done) = match framing {
            Framing::Length(left) => {
                let n = usize::try_from(*left).unwrap_or(usize::MAX).min(data.len());
                *left -= n as u64;
                (n, *left == 0)
            }
            Framing::ToClose => (data.len(), false),
            Framing::Chunked(chunks) => {
                let told = chunks.bare_lf();
                let took = chunks.take(data);
                if chunks.bare_lf() && !told {
                    cx.anomaly(Some(id), dir, Anomaly::OddLines);
                }
                match took {
                    Took::Content(n) => (n, false),
                    Took::Framing(n) => return n,
                    Took::End(n) => {
                        self.finish(cx, dir);
                        return n;
                    }
                    Took::Bad(n) => {
                        cx.anomaly(Some(id), dir, Anomaly::BadChunk);
                        self.end(cx, dir, EndKind::Cut);
                        self.lose_place(cx, dir);
                        return n;
                    }
                }
            }
        };
        if let Some(content) = data.get(..used)
            && used > 0
        {
            cx.part(id, dir, Part::Body(content));
        }
        if done {
            self.finish(cx, dir);
        }
        used
    }

    /// A body of a response whose request was not seen. If that was HEAD, the next head stands here; if it was
    /// CONNECT, perhaps TLS.
    fn doubtful<S: PartSink>(&mut self, cx: &mut Context<'_, S>, dir: Direction, data: &[u8]) -> Step {
        const DECIDED_AT: usize = 7;
        let lane = self.lane(dir);
        let State::Doubtful(framing) = lane.state else { return Ok(0) };
        let room = DECIDED_AT.saturating_sub(lane.carry.len()).min(data.len());
        let more = data.get(..room).unwrap_or(data);
        lane.carry.extend_from_slice(more);
        let head = sniff::prefix(&lane.carry, b"HTTP/1.");
        let tls = if framing == Framing::ToClose { sniff::tls_hello(&lane.carry) } else { Probe::No };
        match (head, tls) {
            (Probe::Yes(_), _) => self.finish(cx, dir),
            (_, Probe::Yes(_)) => {
                self.end(cx, dir, EndKind::Complete);
                self.lane(dir).restart();
                self.recognised = false;
            }
            (Probe::No, Probe::No) => lane.state = State::Body(framing),
            _ => return Ok(more.len()),
        }
        self.go_on(cx, dir, more.len())
    }

    /// The message under way is complete; the next may follow.
    fn finish<S: PartSink>(&mut self, cx: &mut Context<'_, S>, dir: Direction) {
        self.end(cx, dir, EndKind::Complete);
        self.lane(dir).state = State::Head;
    }

    /// Reports the end of what is open in a direction.
    fn end<S: PartSink>(&mut self, cx: &mut Context<'_, S>, dir: Direction, kind: EndKind) {
        if let Some(id) = self.lane(dir).open.take() {
            cx.part(id, dir, Part::End(kind));
        }
    }

    /// `n` bytes of a direction, as `net` names it, will never be seen.
    pub(crate) fn gap<S: PartSink>(&mut self, cx: &mut Context<'_, S>, wire: Direction, n: u64) {
        let dir = self.role(wire);
        if let State::Doubtful(framing) = self.lane(dir).state {
            // Bytes of a body that waited for a verdict; they cannot begin another protocol.
            self.lane(dir).state = State::Body(framing);
            let _ = self.replay(cx, dir);
        }
        let lane = self.lane(dir);
        let open = lane.open;
        let lost = match &mut lane.state {
            State::Body(Framing::Length(left)) => {
                let missing = n.min(*left);
                *left -= missing;
                Some((missing, n > missing, n == missing && *left == 0))
            }
            State::Body(Framing::Chunked(chunks)) => match chunks.left() {
                Some(left) if n <= left => {
                    chunks.skip(n);
                    Some((n, false, false))
                }
                _ => Some((0, true, false)),
            },
            State::Body(Framing::ToClose) => Some((n, false, false)),
            State::Upgrading { .. } | State::Done => return,
            State::WebSocket(_) => {
                self.gap_in_frames(cx, dir, n);
                return;
            }
            _ => None,
        };
        if let (Some((missing, cut, complete)), Some(id)) = (lost, open) {
            cx.part(id, dir, Part::Gap(missing));
            if complete {
                self.finish(cx, dir);
            }
            if !cut {
                return;
            }
            self.end(cx, dir, EndKind::Cut);
        } else if matches!(lane.state, State::Head) && lane.line_ok {
            let held = mem::take(&mut lane.carry);
            // A cut head tells no protocol.
            let _ = self.cut_head(cx, dir, &held, false);
        } else {
            let held = mem::take(&mut lane.carry);
            self.count_lost(cx, held.len());
        }
        self.lose_place(cx, dir);
    }

    /// A direction, as `net` names it, ended in order.
    pub(crate) fn fin<S: PartSink>(&mut self, cx: &mut Context<'_, S>, wire: Direction) -> Result<(), Protocol> {
        let dir = self.role(wire);
        let lane = self.lane(dir);
        lane.finished = true;
        // The answer to CONNECT may still come, and tell what the bytes behind it are.
        if matches!(lane.state, State::Await) { Ok(()) } else { self.end_lane(cx, dir, true) }
    }

    /// The flow is over.
    pub(crate) fn close<S: PartSink>(&mut self, cx: &mut Context<'_, S>) {
        // What the last bytes turn out to be no longer matters.
        let _ = self.end_lane(cx, ToServer, false);
        let _ = self.end_lane(cx, ToClient, false);
        while let Some(id) = self.pairs.give_up() {
            cx.part(id, ToClient, Part::End(EndKind::Cut));
        }
        while let Some(id) = self.pairs.give_up_early() {
            messages::alone(cx, id, ToServer);
        }
    }

    /// Ends one lane; `clean` where its end was seen.
    fn end_lane<S: PartSink>(&mut self, cx: &mut Context<'_, S>, dir: Direction, clean: bool) -> Result<(), Protocol> {
        let mut found = Ok(());
        // Taken out first, so that nothing is replayed into a lane that ends.
        self.lane(dir).finished = false;
        match self.lane(dir).state {
            State::Await => {
                self.assume_tunnel();
                found = self.replay(cx, dir);
            }
            State::Doubtful(framing) => {
                self.lane(dir).state = State::Body(framing);
                found = self.replay(cx, dir);
            }
            _ => {}
        }
        if matches!(self.lane(dir).state, State::Head) && self.lane(dir).line_ok {
            let held = mem::take(&mut self.lane(dir).carry);
            found = found.and(self.cut_head(cx, dir, &held, false));
        }
        let held = mem::take(&mut self.lane(dir).carry);
        self.count_lost(cx, held.len());
        let lane = self.lane(dir);
        let well = lane.ends_well(clean);
        lane.state = State::Done;
        self.end(cx, dir, if well { EndKind::Complete } else { EndKind::Cut });
        found
    }

    /// Counts `n` bytes that were passed without being understood.
    fn count_lost<S: PartSink>(&self, cx: &mut Context<'_, S>, n: usize) {
        let u = &mut cx.stats.uninspected;
        *if self.recognised || self.midstream { &mut u.out_of_sync } else { &mut u.unknown } += n as u64;
    }
}
