//! Finding HTTP in a direction whose place is not known: capture began midstream, bytes were lost, framing is
//! broken, or the flow began with something unknown.

use super::start_line::{Line, Look, Wanted, look_at_start_line};
use super::state::State;
use super::{Flow, Found, Step};
use crate::conn::{Context, Protocol};
use crate::{EndKind, Part, PartSink};
use crate::{http2, sniff};
use memchr::{memchr, memmem, memrchr};
use net::Direction;
use net::Direction::{ToClient, ToServer};

/// Longest unfinished line that is kept because a head may begin in it, in bytes.
const TAIL_MAX: usize = 4096;

impl Flow {
    pub(super) fn lost<S: PartSink>(&mut self, cx: &mut Context<'_, S>, dir: Direction, data: &[u8]) -> Step {
        let wanted = self.wanted(dir);
        let lane = self.lane(dir);
        let piece_start = lane.piece_start;
        let candidate = std::mem::take(&mut lane.candidate) || piece_start;
        let blank = data.iter().take_while(|c| matches!(c, b'\r' | b'\n')).count();
        if candidate && look_at_start_line(data.get(blank..).unwrap_or_default(), wanted) != Look::No {
            if blank < data.len() {
                self.count_lost(cx, blank);
                self.try_head(dir);
            } else {
                self.lane(dir).candidate = true;
                self.pass(cx, dir, data);
            }
            return Ok(blank);
        }
        if piece_start {
            self.lane(dir).pieces += 1;
            if let Some(protocol) = self.give_up(cx, dir, data) {
                return Err(Found { protocol, used: 0 });
            }
            if dir == ToClient && self.server.guessing && sniff::running_chunk(data) {
                self.join(cx);
                return Ok(0);
            }
        }
        let lane = self.lane(dir);
        let searching = lane.guessing && lane.passed <= cx.limits.search_bytes;
        let found = if searching { find_head(data, dir) } else { None };
        if let Some(at) = found {
            self.try_head(dir);
            self.count_lost(cx, at);
            self.lane(dir).passed += at as u64;
            return Ok(at);
        }
        self.pass(cx, dir, data);
        let lane = self.lane(dir);
        // The next piece begins a line.
        lane.candidate = searching && data.ends_with(b"\n");
        Ok(data.len())
    }

    fn pass<S: PartSink>(&mut self, cx: &mut Context<'_, S>, dir: Direction, data: &[u8]) {
        self.lane(dir).passed += data.len() as u64;
        self.count_lost(cx, data.len());
    }

    /// Lets the next bytes prove that they are a head.
    fn try_head(&mut self, dir: Direction) {
        let lane = self.lane(dir);
        lane.state = State::Head;
        lane.resync = true;
    }

    /// Whether the flow is not worth more looking, and what it is.
    fn give_up<S: PartSink>(&mut self, cx: &mut Context<'_, S>, dir: Direction, data: &[u8]) -> Option<Protocol> {
        if self.recognised {
            return None;
        }
        let tunnel = self.via.is_some();
        let lane = self.lane(dir);
        let tls = match sniff::tls_record(data) {
            // One header alone may be chance.
            Some(sure) => sure || std::mem::replace(&mut lane.tls_seen, true),
            None => false,
        };
        if tls || matches!(sniff::tls_hello(data), sniff::Probe::Yes(_)) {
            return Some(if tunnel { Protocol::ConnectTls } else { Protocol::Tls });
        }
        if lane.guessing && http2::plausible_start(data) {
            // So may one frame that goes on behind this piece.
            let whole = matches!(data, [a, b, c, ..] if data.len() >= 9 + usize::from(*a) * 65_536 + usize::from(*b) * 256 + usize::from(*c));
            if whole || std::mem::replace(&mut lane.http2_seen, true) {
                return Some(Protocol::Http2Late);
            }
        }
        let spent = lane.pieces > cx.limits.unknown_pieces || lane.passed >= cx.limits.unknown_bytes;
        (spent && !lane.guessing).then_some(Protocol::Unknown)
    }

    /// A chunked body is already running.
    fn join<S: PartSink>(&mut self, cx: &mut Context<'_, S>) {
        let id = self.pairs.next_id();
        cx.stats.resynchronisations += 1;
        cx.stats.unpaired += 1;
        cx.part(id, ToServer, Part::End(EndKind::Cut));
        self.roles = true;
        self.recognised = true;
        self.server.open = Some(id);
        self.server.join_chunks();
    }
}

/// The place in `data`, behind a line end, where a head begins, or may begin in an unfinished last line. Both
/// kinds of start lines name the version, so one search finds them.
fn find_head(data: &[u8], dir: Direction) -> Option<usize> {
    let wanted = Wanted { requests: dir == ToServer, responses: dir == ToClient, strict: true };
    let mut from = 0;
    while let Some(hit) = data.get(from..).and_then(|rest| memmem::find(rest, b"HTTP/1.")) {
        let hit = from + hit;
        let line = data.get(from..hit).and_then(|before| memrchr(b'\n', before)).map(|lf| from + lf + 1);
        if let Some(line) = line
            && matches!(look_at_start_line(data.get(line..)?, wanted), Look::Yes(Line::Request | Line::Response))
        {
            return Some(line);
        }
        // On to the next line: a line has one version.
        let Some(lf) = data.get(hit..).and_then(|rest| memchr(b'\n', rest)) else { break };
        from = hit + lf;
    }
    let last = memrchr(b'\n', data)? + 1;
    let tail = data.get(last..)?;
    let may_begin = !tail.is_empty() && tail.len() <= TAIL_MAX && look_at_start_line(tail, wanted) == Look::More;
    may_begin.then_some(last)
}
