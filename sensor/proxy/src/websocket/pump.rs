//! One direction of a WebSocket: bytes in, messages to who judges them, bytes out as they came.

use super::change::Whole;
use super::frames::{CLOSE, Frames, Piece};
use super::stop::mask;
use super::watch::Watch;
use crate::inspect::{Ruling, Verdict};
use net::Direction;
use proto::EndKind;
use proto::coding::Limits;
use proto::websocket::{Anomaly, Decoder, Kind, Sink};
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes read at once, into the stack: a connection at rest holds no buffer.
const READ: usize = 16 << 10;
/// Bytes after which other connections of the thread have their turn.
const TURN: usize = 256 << 10;
/// Capacity that is kept between two reads.
const KEPT: usize = 1 << 10;

/// One direction.
#[allow(clippy::struct_excessive_bools, reason = "each is one fact that has or has not been seen yet")]
pub(super) struct Pump {
    dir: Direction,
    /// `None` where messages are not read, or cannot be any more.
    decoder: Option<Decoder>,
    frames: Frames,
    /// The frames cannot be followed any more.
    lost: bool,
    message: Message,
    /// What was read and is not written yet. INVARIANT: `out <= free <= seen <= wire.len()`.
    wire: Vec<u8>,
    /// Up to here it is written.
    out: usize,
    /// Up to here it may be written.
    free: usize,
    /// Up to here the frames were followed.
    seen: usize,
    /// What may be written ends with a whole frame.
    whole_frame: bool,
    /// What may be written ends within a message.
    within: bool,
    /// The frame under way is the last of its message.
    last: bool,
    /// Something of the message under way may be written.
    leaked: bool,
    /// What goes to the client is held, too.
    holding: bool,
    /// The message that is complete now is to be changed.
    edits: bool,
    /// Bytes that wait for a verdict, as they were told last.
    held: usize,
    dirty: bool,
    /// Nothing more comes.
    over: bool,
    /// The end was told.
    told: bool,
    /// The end was passed on.
    shut: bool,
    /// A close frame came.
    pub(super) closed: bool,
}

/// What is known of the message under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Message {
    /// There is none.
    None,
    /// It has begun, and nothing of it could be judged yet.
    Unknown,
    /// It passes as it comes.
    Passes,
    /// It waits for a verdict.
    Waits,
    /// It passes as it comes, since it met a limit: only what completes it can still be stopped.
    Streams,
}

/// What ends a call of [`Pump::poll`].
#[derive(Debug)]
pub(super) enum Event {
    /// It is over, and that was passed on.
    Over,
    /// The side that is read from is gone.
    Broken,
    /// A message must not pass.
    Stop(Box<Ruling>),
}

impl Pump {
    pub(super) const fn new(dir: Direction, decoder: Decoder) -> Self {
        Self {
            dir,
            decoder: Some(decoder),
            frames: Frames::new(),
            lost: false,
            message: Message::None,
            wire: Vec::new(),
            out: 0,
            free: 0,
            seen: 0,
            whole_frame: true,
            within: false,
            last: false,
            leaked: false,
            holding: dir.index() == Direction::ToServer.index(),
            edits: false,
            held: 0,
            dirty: false,
            over: false,
            told: false,
            shut: false,
            closed: false,
        }
    }

    /// Whether messages are held until they are judged, also those that go to the client.
    pub(super) const fn holding(mut self, holding: bool) -> Self {
        self.holding |= holding;
        self
    }

    /// Whether the end was passed on.
    pub(super) const fn is_shut(&self) -> bool {
        self.shut
    }

    /// Whether anything waits for a verdict.
    pub(super) const fn waits(&self) -> bool {
        self.held > 0
    }

    /// What may be written ends with a whole frame, so that one of our own can follow.
    pub(super) const fn can_add(&self) -> bool {
        self.whole_frame && !self.lost
    }

    /// What may be written ends within a message, so that only a control frame can follow.
    pub(super) const fn within_message(&self) -> bool {
        self.within
    }

    /// How much of the message that was stopped got through.
    pub(super) const fn delivered(&self) -> &'static str {
        match self.dir {
            // What was asked for is with the server; only the answer is stopped.
            Direction::ToClient => "whole",
            Direction::ToServer if self.leaked => "partial",
            Direction::ToServer => "none",
        }
    }

    /// Moves what there is. `moved` is set where anything was read.
    pub(super) fn poll<F, T>(
        &mut self,
        cx: &mut Context<'_>,
        (from, to): (&mut F, &mut T),
        watch: &mut impl Watch,
        limits: &Limits,
        moved: &mut bool,
    ) -> Poll<Event>
    where
        F: AsyncRead + Unpin,
        T: AsyncWrite + Unpin,
    {
        let mut turn = TURN;
        while !self.shut {
            match self.poll_out(cx, to) {
                Poll::Ready(Ok(())) => {}
                // It takes nothing more, and may still have something to say.
                Poll::Ready(Err(_)) => break,
                Poll::Pending => return Poll::Pending,
            }
            if self.over {
                // Whoever does not take the end is gone.
                let _ = ready!(Pin::new(&mut *to).poll_shutdown(cx));
                break;
            }
            if turn == 0 {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let mut space = [const { MaybeUninit::uninit() }; READ];
            let mut read = ReadBuf::uninit(&mut space);
            if ready!(Pin::new(&mut *from).poll_read(cx, &mut read)).is_err() {
                return Poll::Ready(Event::Broken);
            }
            *moved = true;
            turn = turn.saturating_sub(read.filled().len());
            let judged = if read.filled().is_empty() {
                self.over = true;
                self.end(watch)
            } else {
                self.wire.extend_from_slice(read.filled());
                self.take(watch, limits)
            };
            if let Err(ruling) = judged {
                return Poll::Ready(Event::Stop(ruling));
            }
        }
        self.shut = true;
        Poll::Ready(Event::Over)
    }

    /// Writes what may be written.
    pub(super) fn poll_out(
        &mut self,
        cx: &mut Context<'_>,
        to: &mut (impl AsyncWrite + Unpin),
    ) -> Poll<io::Result<()>> {
        while self.out < self.free {
            let ready = self.wire.get(self.out..self.free).unwrap_or_default();
            let n = ready!(Pin::new(&mut *to).poll_write(cx, ready))?;
            if n == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.out += n;
            self.dirty = true;
        }
        if self.out > 0 {
            self.wire.drain(..self.out);
            self.free -= self.out;
            self.seen -= self.out;
            self.out = 0;
            if self.wire.is_empty() && self.wire.capacity() > KEPT {
                self.wire = Vec::new();
            }
        }
        if self.dirty {
            ready!(Pin::new(&mut *to).poll_flush(cx))?;
            self.dirty = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Follows and judges what was read.
    fn take(&mut self, watch: &mut impl Watch, limits: &Limits) -> Result<(), Box<Ruling>> {
        while let Some((n, piece)) = self.step() {
            let judged = self.judge(n, piece, watch, limits);
            self.seen += n;
            judged?;
            if std::mem::take(&mut self.edits) {
                self.change(watch)?;
            }
            // A header waits for something of its payload, so that a stop in between leaves no frame to be finished.
            let waits = match piece {
                Piece::Part => true,
                Piece::Header(header) => header.len > 0 && !self.lost,
                Piece::Payload => false,
            };
            if !waits && !matches!(self.message, Message::Unknown | Message::Waits) {
                self.pass();
            }
        }
        self.account(watch)
    }

    fn step(&mut self) -> Option<(usize, Piece)> {
        let rest = self.wire.get(self.seen..).unwrap_or_default();
        if self.lost {
            // Nothing is known of frames any more.
            return (!rest.is_empty()).then_some((rest.len(), Piece::Payload));
        }
        self.frames.step(rest)
    }

    /// Lets all pass that was followed.
    fn pass(&mut self) {
        self.free = self.seen;
        self.whole_frame = self.frames.at_boundary();
        self.within = self.message != Message::None;
        self.leaked = self.within;
    }

    /// Has a piece of `n` bytes judged.
    fn judge(&mut self, n: usize, piece: Piece, watch: &mut impl Watch, limits: &Limits) -> Result<(), Box<Ruling>> {
        let mut begins = false;
        if let Piece::Header(header) = piece {
            self.closed |= header.opcode == CLOSE;
            self.last = header.ends_message();
            begins = !header.is_control() && header.opcode != 0 && !(header.fin && header.len == 0);
            if !header.is_control() && self.message == Message::None {
                self.begin();
            }
        }
        let Some(decoder) = &mut self.decoder else { return Ok(()) };
        let bytes = self.wire.get(self.seen..).and_then(|rest| rest.get(..n)).unwrap_or_default();
        let mut tap = Tap { watch, dir: self.dir, verdict: None, ended: false, unreadable: None };
        let fed = decoder.feed(limits, bytes, &mut tap);
        let Tap { verdict, ended, unreadable, .. } = tap;
        match verdict {
            Some(Verdict::Act(ruling)) => return Err(ruling),
            Some(Verdict::Edit) if ended => self.edits = true,
            // It completes nothing, or the verdict were another.
            Some(Verdict::Hold | Verdict::Edit) if self.message != Message::Streams => self.message = Message::Waits,
            Some(Verdict::Pass) if self.message != Message::Streams => self.message = Message::Passes,
            _ => {}
        }
        if let Some(word) = unreadable {
            if let Some(ruling) = watch.unreadable(word) {
                return Err(ruling);
            }
            if self.message == Message::Unknown {
                self.message = Message::Passes;
            }
        }
        if ended {
            self.message = Message::None;
            if begins {
                // One message inside of another, which RFC 6455 section 5.4 forbids: the first ended here.
                self.begin();
            }
        }
        if let Err(fault) = fed {
            self.decoder = None;
            if let Some(ruling) = watch.unreadable(fault.reason()) {
                return Err(ruling);
            }
            self.lost = true;
            self.message = Message::Passes;
        }
        Ok(())
    }

    /// Puts what may pass in place of the message that is complete now.
    fn change(&mut self, watch: &mut impl Watch) -> Result<(), Box<Ruling>> {
        if self.leaked {
            return watch.cannot_edit(self.dir).map_or(Ok(()), Err);
        }
        let held = self.wire.get(self.free..self.seen).unwrap_or_default();
        // In what is no message nothing is found to be changed, and that is for the configuration to judge.
        let whole = Whole::read(held);
        let text = whole.as_ref().map_or(&[][..], |whole| &whole.text);
        if let (Some(new), Some(whole)) = (watch.edit(self.dir, text)?, whole) {
            let mask = (self.dir == Direction::ToServer).then(mask);
            let new = whole.with(&new, mask);
            let end = self.free + new.len();
            self.wire.splice(self.free..self.seen, new);
            self.seen = end;
        }
        Ok(())
    }

    /// A message begins. Of what is held nothing passes before something of it was judged: its frame would
    /// have to be finished.
    fn begin(&mut self) {
        let holds = self.holding && self.decoder.is_some();
        self.message = if holds { Message::Unknown } else { Message::Passes };
        self.leaked = false;
    }

    /// Tells how much waits now.
    fn account(&mut self, watch: &mut impl Watch) -> Result<(), Box<Ruling>> {
        let waits = matches!(self.message, Message::Unknown | Message::Waits);
        let now = if waits { self.wire.len() - self.free } else { 0 };
        if now == self.held {
            return Ok(());
        }
        let limit = watch.holds(self.held, now);
        self.held = now;
        limit.map_or(Ok(()), |limit| self.met(limit, watch))
    }

    /// A limit of what waits was met.
    pub(super) fn met(&mut self, limit: &'static str, watch: &mut impl Watch) -> Result<(), Box<Ruling>> {
        if let Some(ruling) = watch.over(limit) {
            return Err(ruling);
        }
        self.message = Message::Streams;
        self.pass();
        self.account(watch)
    }

    /// The direction is over, as far as reading goes.
    fn end(&mut self, watch: &mut impl Watch) -> Result<(), Box<Ruling>> {
        match self.tell_end(watch) {
            Some(Verdict::Act(ruling)) => return Err(ruling),
            // Half a message that nobody said may pass.
            Some(Verdict::Hold | Verdict::Edit) => {}
            Some(Verdict::Pass) | None => {
                self.seen = self.wire.len();
                self.message = Message::None;
                self.pass();
            }
        }
        self.drop_rest(watch);
        Ok(())
    }

    /// Tells the end, once.
    pub(super) fn tell_end(&mut self, watch: &mut impl Watch) -> Option<Verdict> {
        if std::mem::replace(&mut self.told, true) {
            return None;
        }
        let how = self.decoder.as_mut().map_or(EndKind::Cut, Decoder::finish);
        Some(watch.end(self.dir, how))
    }

    /// Forgets what may not be written.
    pub(super) fn drop_rest(&mut self, watch: &mut impl Watch) {
        self.wire.truncate(self.free);
        self.seen = self.free;
        watch.holds(std::mem::take(&mut self.held), 0);
    }

    /// Whether the frame under way could be finished: all that came of it may be written.
    pub(super) const fn can_finish_frame(&self) -> bool {
        self.seen == self.free && !self.over && !self.lost
    }

    /// Takes from `from` what is missing of the frame under way, and nothing that comes after.
    pub(super) fn poll_rest_of_frame(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut (impl AsyncRead + Unpin),
    ) -> Poll<bool> {
        while !self.can_add() && self.can_finish_frame() {
            let mut space = [const { MaybeUninit::uninit() }; READ];
            let mut read = ReadBuf::uninit(&mut space);
            match ready!(Pin::new(&mut *from).poll_read(cx, &mut read)) {
                Ok(()) if !read.filled().is_empty() => self.add_rest(read.filled()),
                _ => self.over = true,
            }
        }
        Poll::Ready(self.can_add())
    }

    fn add_rest(&mut self, bytes: &[u8]) {
        self.wire.extend_from_slice(bytes);
        while !self.can_add() {
            let Some((n, _)) = self.step() else { return };
            self.seen += n;
            self.free = self.seen;
            self.whole_frame = self.frames.at_boundary();
            self.within &= !(self.whole_frame && self.last);
        }
        self.wire.truncate(self.free);
    }

    /// Adds frames of our own. Only where [`Self::can_add`] says so, and after [`Self::drop_rest`].
    pub(super) fn add(&mut self, push: impl FnOnce(&mut Vec<u8>)) {
        push(&mut self.wire);
        self.seen = self.wire.len();
        self.free = self.seen;
    }

    /// Reads and forgets, until a close frame, the end, or `left` bytes.
    pub(super) fn poll_forget(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut (impl AsyncRead + Unpin),
        left: &mut u64,
    ) -> Poll<()> {
        while !self.closed && !self.over && *left > 0 {
            let mut space = [const { MaybeUninit::uninit() }; READ];
            let mut read = ReadBuf::uninit(&mut space);
            let mut bytes = match ready!(Pin::new(&mut *from).poll_read(cx, &mut read)) {
                Ok(()) => read.filled(),
                Err(_) => &[],
            };
            self.over = bytes.is_empty();
            *left = left.saturating_sub(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
            while !self.lost
                && let Some((n, piece)) = self.frames.step(bytes)
            {
                bytes = bytes.get(n..).unwrap_or_default();
                self.closed |= matches!(piece, Piece::Header(header) if header.opcode == CLOSE);
            }
        }
        Poll::Ready(())
    }

    /// Follows what was read behind the message that was stopped, so that a close frame in it is seen.
    pub(super) fn forget_rest(&mut self) {
        while !self.lost
            && let Some((n, piece)) = self.frames.step(self.wire.get(self.seen..).unwrap_or_default())
        {
            self.seen += n;
            self.closed |= matches!(piece, Piece::Header(header) if header.opcode == CLOSE);
        }
    }
}

/// Hands messages to who judges them.
struct Tap<'w, W> {
    watch: &'w mut W,
    dir: Direction,
    verdict: Option<Verdict>,
    ended: bool,
    unreadable: Option<&'static str>,
}

impl<W: Watch> Tap<'_, W> {
    const fn stopped(&self) -> bool {
        matches!(self.verdict, Some(Verdict::Act(_)))
    }
}

impl<W: Watch> Sink for Tap<'_, W> {
    fn payload(&mut self, bytes: &[u8]) {
        if !self.stopped() {
            self.verdict = Some(self.watch.body(self.dir, bytes));
        }
    }

    fn lost(&mut self, _: u64) {}

    fn message_end(&mut self, _: Kind) {
        if !self.stopped() {
            self.verdict = Some(self.watch.message_end(self.dir));
            self.ended = true;
        }
    }

    fn control(&mut self, _: u8, _: &[u8]) {}

    fn anomaly(&mut self, what: Anomaly) {
        if what == Anomaly::Undecodable {
            self.unreadable = Some(what.reason());
        }
    }
}
