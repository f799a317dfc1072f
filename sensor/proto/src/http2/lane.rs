//! One direction: frames, wherever they are cut.

use super::Flow;
use super::blocks::Block;
use super::frame::{
    ACK, CONTINUATION, DATA, DEFAULT_MAX_FRAME, END_HEADERS, END_STREAM, GOAWAY, HAS_PRIORITY, HEADERS, Header, PADDED,
    PING, PREFACE, PRIORITY, PUSH_PROMISE, RST_STREAM, SETTINGS, WINDOW_UPDATE, plausible_frames,
};
use super::hpack::{Decoder, FieldList};
use crate::conn::Context;
use crate::{Anomaly, PartSink};
use memchr::memchr;
use net::Direction;

/// After the place was found again, so many frames must be quite ordinary, else it was none.
const PROBATION: u8 = 4;
/// Settings that concern an observer (RFC 9113 §6.5.2).
const HEADER_TABLE_SIZE: u16 = 1;
const MAX_FRAME_SIZE: u16 = 5;

/// What is kept of a direction.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) at: At,
    /// The part of a frame header, or of fixed fields in a payload, that has come.
    small: [u8; Header::LEN],
    have: usize,
    pub(super) hpack: Decoder,
    /// The header block under way.
    pub(super) block: Option<Block>,
    /// The beginning of a field that is not whole, up to the limit; empty between blocks.
    pub(super) carry: Vec<u8>,
    /// The fields of the block under way.
    pub(super) fields: FieldList,
    /// Not every frame of this direction was seen.
    pub(super) lossy: bool,
    /// Frames that must still be ordinary.
    probation: u8,
    /// Largest payload that is common here, in bytes.
    max_frame: u32,
    /// Bytes searched since the place was lost.
    searched: u64,
}

/// What the next byte belongs to.
#[derive(Clone, Copy, Debug)]
pub(super) enum At {
    /// The preface, or the first frame; so many bytes of the preface have come.
    Preface(usize),
    /// A frame header.
    Header,
    /// The length of the padding.
    PadLen(Frame),
    /// So many bytes of fixed fields before the content.
    Prefix(Frame, usize),
    /// The content.
    Content(Frame),
    /// So many bytes of no concern: padding, or a payload that is not looked at.
    Skip(u32),
    /// Unknown; a frame is looked for.
    Lost,
    /// Nothing: the direction ended.
    Done,
}

/// The frame under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) stream: u32,
    /// Bytes of content that are to come.
    pub(super) left: u32,
    /// Bytes of padding behind it.
    pub(super) pad: u32,
}

impl Frame {
    fn has(self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    fn is_block(self) -> bool {
        matches!(self.kind, HEADERS | PUSH_PROMISE | CONTINUATION)
    }

    fn ends_block(self) -> bool {
        self.is_block() && self.has(END_HEADERS)
    }
}

impl Lane {
    pub(super) fn new(at: At, late: bool) -> Self {
        Self {
            at,
            small: [0; Header::LEN],
            have: 0,
            hpack: Decoder::new(late),
            block: None,
            carry: Vec::new(),
            fields: FieldList::default(),
            lossy: late,
            probation: 0,
            max_frame: DEFAULT_MAX_FRAME,
            searched: 0,
        }
    }

    /// Bytes that came and wait for more.
    pub(super) fn waiting(&self) -> usize {
        match self.at {
            At::Preface(matched) => matched,
            _ => self.have + self.carry.len(),
        }
    }

    /// Bytes of memory held.
    pub(super) fn memory(&self) -> usize {
        self.carry.capacity() + self.fields.memory() + self.hpack.memory()
    }

    /// Bytes were searched for a frame since the place was lost.
    pub(super) fn was_lost(&self) -> bool {
        self.searched > 0
    }

    /// Collects bytes until there are `want`; returns how many it took, and whether that is all of them.
    fn collect(&mut self, want: usize, data: &[u8]) -> (usize, bool) {
        let free = self.small.get_mut(self.have..want).unwrap_or_default();
        let used = free.len().min(data.len());
        for (to, from) in free.iter_mut().zip(data) {
            *to = *from;
        }
        self.have += used;
        let whole = self.have >= want;
        if whole {
            self.have = 0;
        }
        (used, whole)
    }

    /// The 32 bits collected from `at` on.
    fn number(&self, at: usize) -> u32 {
        self.small.get(at..).and_then(|b| b.first_chunk()).map_or(0, |b| u32::from_be_bytes(*b))
    }
}

impl Flow {
    /// Takes bytes off the front of `data`, which is not empty, or changes the state of the lane.
    pub(super) fn step<S: PartSink>(&mut self, cx: &mut Context<'_, S>, wire: Direction, data: &[u8]) -> usize {
        let lane = wire.of_mut(&mut self.lanes);
        match lane.at {
            At::Preface(matched) => self.preface(cx, wire, matched, data),
            At::Header => {
                if lane.have == 0
                    && let Some(header) = data.first_chunk()
                {
                    self.frame(cx, wire, Header::parse(*header));
                    return Header::LEN;
                }
                let (used, whole) = lane.collect(Header::LEN, data);
                if whole {
                    let header = Header::parse(lane.small);
                    self.frame(cx, wire, header);
                }
                used
            }
            At::PadLen(mut frame) => {
                let pad = data.first().map_or(0, |&len| u32::from(len));
                frame.left = frame.left.saturating_sub(1);
                if pad > frame.left {
                    self.odd(cx, wire);
                }
                frame.pad = pad.min(frame.left);
                frame.left -= frame.pad;
                self.prefix(cx, wire, frame);
                1
            }
            At::Prefix(frame, want) => {
                let (used, whole) = lane.collect(want, data);
                if whole {
                    self.content_begins(cx, wire, frame);
                }
                used
            }
            At::Content(frame) => self.content(cx, wire, frame, data),
            At::Skip(left) => {
                let used = usize::try_from(left).map_or(data.len(), |left| left.min(data.len()));
                lane.at = after(left.saturating_sub(count(used)));
                used
            }
            At::Lost => self.lost(cx, wire, data),
            At::Done => {
                cx.stats.uninspected.http2 += data.len() as u64;
                data.len()
            }
        }
    }

    /// The preface of the client (RFC 9113 §3.4). A server begins with a frame.
    fn preface<S: PartSink>(&mut self, cx: &mut Context<'_, S>, wire: Direction, matched: usize, data: &[u8]) -> usize {
        let want = PREFACE.get(matched..).unwrap_or_default();
        let used = want.iter().zip(data).take_while(|(want, got)| want == got).count();
        let lane = wire.of_mut(&mut self.lanes);
        if used < want.len().min(data.len()) {
            if matched + used == 0 {
                lane.at = At::Header;
            } else {
                cx.stats.uninspected.http2 += (matched + used) as u64;
                self.odd(cx, wire);
                self.lose_place(cx, wire);
            }
            return used;
        }
        lane.at = At::Preface(matched + used);
        if matched + used == PREFACE.len() {
            lane.at = At::Header;
            self.client_is(cx, wire);
        }
        used
    }

    /// Something RFC 9113 forbids; a receiver would give up the connection, or should.
    fn odd<S: PartSink>(&self, cx: &mut Context<'_, S>, wire: Direction) {
        cx.anomaly(None, self.role(wire), Anomaly::BadHttp2);
    }

    /// A frame begins.
    fn frame<S: PartSink>(&mut self, cx: &mut Context<'_, S>, wire: Direction, header: Header) {
        let lane = wire.of_mut(&mut self.lanes);
        if lane.probation > 0 {
            if !header.is_plausible(lane.max_frame) {
                cx.stats.uninspected.http2 += Header::LEN as u64;
                self.lose_place(cx, wire);
                return;
            }
            lane.probation -= 1;
        }
        cx.stats.http2.frames += 1;
        let frame = header.frame();
        let continues = header.kind == CONTINUATION;
        let lossy = lane.lossy;
        match lane.block.as_ref().map(|block| block.on) {
            Some(on) if continues && on == header.stream => {}
            None if !continues => {}
            Some(_) => {
                // Nothing may come between the frames of a block (§6.10).
                self.odd(cx, wire);
                self.block_ends(cx, wire, true);
                if continues {
                    return self.pass_over(cx, wire, frame);
                }
            }
            None => {
                if !lossy {
                    self.odd(cx, wire);
                }
                return self.pass_over(cx, wire, frame);
            }
        }
        let padded = frame.has(PADDED) && matches!(frame.kind, DATA | HEADERS | PUSH_PROMISE);
        if !header.is_sound() || (padded && frame.left == 0) {
            self.odd(cx, wire);
            self.pass_over(cx, wire, frame);
        } else if padded {
            wire.of_mut(&mut self.lanes).at = At::PadLen(frame);
        } else {
            self.prefix(cx, wire, frame);
        }
    }

    /// Skips a payload that cannot be understood.
    fn pass_over<S: PartSink>(&mut self, cx: &mut Context<'_, S>, wire: Direction, frame: Frame) {
        let lane = wire.of_mut(&mut self.lanes);
        if frame.is_block() {
            lane.hpack.lose();
        }
        let left = frame.left.saturating_add(frame.pad);
        cx.stats.uninspected.http2 += u64::from(left);
        lane.at = after(left);
    }

    /// The fixed fields before the content.
    fn prefix<S: PartSink>(&mut self, cx: &mut Context<'_, S>, wire: Direction, mut frame: Frame) {
        let want: u8 = match frame.kind {
            HEADERS if frame.has(HAS_PRIORITY) => 5,
            PUSH_PROMISE => 4,
            _ => 0,
        };
        let Some(left) = frame.left.checked_sub(u32::from(want)) else {
            self.odd(cx, wire);
            return self.pass_over(cx, wire, frame);
        };
        frame.left = left;
        if want == 0 {
            self.content_begins(cx, wire, frame);
        } else {
            wire.of_mut(&mut self.lanes).at = At::Prefix(frame, usize::from(want));
        }
    }

    fn content_begins<S: PartSink>(&mut self, cx: &mut Context<'_, S>, wire: Direction, frame: Frame) {
        let whole = !wire.of(&self.lanes).lossy;
        if frame.kind == DATA && frame.left > 0 && whole && self.has_no_place_for_data(wire, frame.stream) {
            self.odd(cx, wire);
        }
        let lane = wire.of_mut(&mut self.lanes);
        match frame.kind {
            HEADERS => lane.block_begins(Block::of_headers(frame.stream, frame.has(END_STREAM))),
            PUSH_PROMISE => {
                let promised = lane.number(0) & 0x7fff_ffff;
                lane.block_begins(Block::of_promise(frame.stream, promised));
            }
            SETTINGS if !frame.has(ACK) => wire.reverse().of_mut(&mut self.lanes).hpack.allow_default(),
            CONTINUATION | DATA | SETTINGS | RST_STREAM | GOAWAY => {}
            PRIORITY | PING | WINDOW_UPDATE => {
                lane.at = after(frame.left);
                return;
            }
            _ => return self.pass_over(cx, wire, frame),
        }
        wire.of_mut(&mut self.lanes).at = At::Content(frame);
        if frame.left == 0 {
            self.content_ends(cx, wire, frame);
        }
    }

    fn content<S: PartSink>(
        &mut self,
        cx: &mut Context<'_, S>,
        wire: Direction,
        mut frame: Frame,
        data: &[u8],
    ) -> usize {
        let room = usize::try_from(frame.left).map_or(data.len(), |left| left.min(data.len()));
        let content = data.get(..room).unwrap_or(data);
        let lane = wire.of_mut(&mut self.lanes);
        let used = match frame.kind {
            DATA => {
                self.data(cx, wire, frame.stream, content);
                room
            }
            SETTINGS => {
                let (used, whole) = lane.collect(6, content);
                if whole {
                    self.setting(wire);
                }
                used
            }
            RST_STREAM => {
                let (used, whole) = lane.collect(4, content);
                if whole {
                    self.reset(cx, frame.stream);
                }
                used
            }
            GOAWAY => {
                let (used, whole) = lane.collect(8, content);
                if whole {
                    let last = lane.number(0) & 0x7fff_ffff;
                    lane.at = after(frame.left.saturating_sub(count(used)));
                    self.go_away(cx, wire, last);
                    return used;
                }
                used
            }
            _ => {
                self.fragment(cx, wire, content);
                room
            }
        };
        frame.left = frame.left.saturating_sub(count(used));
        wire.of_mut(&mut self.lanes).at = At::Content(frame);
        if frame.left == 0 {
            self.content_ends(cx, wire, frame);
        }
        used
    }

    /// The content of a frame is over; padding may follow.
    fn content_ends<S: PartSink>(&mut self, cx: &mut Context<'_, S>, wire: Direction, frame: Frame) {
        wire.of_mut(&mut self.lanes).at = after(frame.pad);
        if frame.kind == DATA && frame.has(END_STREAM) {
            self.stream_ends(cx, wire, frame.stream);
        } else if frame.ends_block() {
            self.block_ends(cx, wire, false);
        }
    }

    /// A setting of this direction's sender, which binds the other direction.
    fn setting(&mut self, wire: Direction) {
        let lane = wire.of(&self.lanes);
        let (id, value) = (lane.number(0) >> 16, lane.number(2));
        let other = wire.reverse().of_mut(&mut self.lanes);
        if id == u32::from(HEADER_TABLE_SIZE) {
            other.hpack.allow(value);
        } else if id == u32::from(MAX_FRAME_SIZE) {
            other.max_frame = value.clamp(other.max_frame, (1 << 24) - 1);
        }
    }

    /// `n` bytes of a direction will never be seen.
    pub(super) fn lose<S: PartSink>(&mut self, cx: &mut Context<'_, S>, wire: Direction, n: u64) {
        let lane = wire.of_mut(&mut self.lanes);
        match lane.at {
            At::Content(mut frame) if n <= u64::from(frame.left) + u64::from(frame.pad) => {
                let missing = u32::try_from(n).unwrap_or(u32::MAX).min(frame.left);
                let padding = u32::try_from(n - u64::from(missing)).unwrap_or(u32::MAX);
                frame.left -= missing;
                frame.pad = frame.pad.saturating_sub(padding);
                match frame.kind {
                    DATA => self.data_lost(cx, wire, frame.stream, u64::from(missing)),
                    SETTINGS | RST_STREAM | GOAWAY => {
                        lane.have = 0;
                        lane.at = after(frame.left);
                        wire.reverse().of_mut(&mut self.lanes).hpack.allow_any();
                        return;
                    }
                    _ => {
                        lane.break_block();
                        lane.lossy = true;
                    }
                }
                wire.of_mut(&mut self.lanes).at = At::Content(frame);
                if frame.left == 0 {
                    self.content_ends(cx, wire, frame);
                }
            }
            At::Skip(left) if n <= u64::from(left) => {
                lane.at = after(left.saturating_sub(u32::try_from(n).unwrap_or(u32::MAX)));
            }
            At::Lost | At::Done => {}
            _ => {
                cx.stats.uninspected.http2 += lane.have as u64;
                self.lose_place(cx, wire);
            }
        }
    }

    /// Where the next frame begins is unknown.
    fn lose_place<S: PartSink>(&mut self, cx: &mut Context<'_, S>, wire: Direction) {
        self.block_ends(cx, wire, true);
        let lane = wire.of_mut(&mut self.lanes);
        lane.hpack.lose();
        lane.at = At::Lost;
        lane.lossy = true;
        lane.have = 0;
        lane.probation = 0;
        lane.searched = 0;
        // Its settings may be among what was lost.
        wire.reverse().of_mut(&mut self.lanes).hpack.allow_any();
        self.streams_lose(cx, wire);
    }

    /// Looks for a frame.
    fn lost<S: PartSink>(&mut self, cx: &mut Context<'_, S>, wire: Direction, data: &[u8]) -> usize {
        let lane = wire.of_mut(&mut self.lanes);
        let mut from = 0;
        // The first byte of a length below 2^16; longer frames are not searched for.
        while let Some(at) = data.get(from..).and_then(|rest| memchr(0, rest)).map(|at| from + at) {
            if at > 0 && lane.searched.saturating_add(at as u64) > cx.limits.search_bytes {
                break;
            }
            if plausible_frames(data.get(at..).unwrap_or_default(), lane.max_frame) {
                cx.stats.uninspected.http2 += at as u64;
                cx.stats.resynchronisations += 1;
                lane.at = At::Header;
                lane.probation = PROBATION;
                return at;
            }
            from = at + 1;
        }
        cx.stats.uninspected.http2 += data.len() as u64;
        lane.searched = lane.searched.saturating_add(data.len() as u64);
        data.len()
    }
}

/// Where a lane is when so many bytes of no concern are left of a frame.
fn after(left: u32) -> At {
    if left == 0 { At::Header } else { At::Skip(left) }
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}
