//! Bodies that may be changed on their way: content coding off, one message or event at a time, and what the inspection
//! makes of it.

use super::body::{BodyError, SLICE, Source};
use crate::answer;
use crate::inspect::{self, Cause, Verdict};
use crate::options::{Fault, Settings};
use crate::thread::Thread;
use bytes::{Bytes, BytesMut};
use detect::rewrite::{Splitter, data_of, with_data};
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderValue};
use net::Direction;
use proto::EndKind;
use proto::coding::{Decoder, Limits, Unsupported};

/// Coded bytes that are decoded before what came of them is passed on: what a body can make us hold is this much, times
/// the ratio that a decoder allows.
const BITE: usize = 1 << 10;

/// What is kept of a body that may be changed.
pub(super) struct Rewriting {
    /// Takes the content coding off.
    decoder: Option<Decoder>,
    /// A content coding is, or was, taken off.
    pub(super) decodes: bool,
    /// What was not decoded yet.
    coded: Bytes,
    /// Bytes that were looked at, the coding off.
    pub(super) seen: u64,
    /// It is an event stream.
    events: Option<Events>,
    /// Something of it was changed.
    pub(super) changed: bool,
}

#[derive(Default)]
struct Events {
    splitter: Splitter,
    /// There was one before.
    later: bool,
    /// The one under way is not passed on.
    skips: bool,
}

impl Rewriting {
    /// For the body of a request with this head. What cannot be decoded is not read by the inspector either.
    pub(super) fn of_request(headers: &HeaderMap, thread: &Thread) -> Self {
        let coded = inspect::is_editable(headers) && headers.contains_key(CONTENT_ENCODING);
        let decoder = if coded { decoder(headers, thread).ok().flatten() } else { None };
        Self::new(decoder, None)
    }

    /// For the body of an answer with this head. `None` where its content coding cannot be taken off and the configuration
    /// says to let it pass then.
    ///
    /// # Errors
    ///
    /// The same where it says to refuse it.
    pub(super) fn of_answer(headers: &HeaderMap, thread: &Thread, settings: &Settings) -> Result<Option<Self>, ()> {
        let events = inspect::is_event_stream(headers).then(Events::default);
        if let Ok(decoder) = decoder(headers, thread) {
            return Ok(Some(Self::new(decoder, events)));
        }
        let open = settings.on_fault == Fault::Open;
        thread.shared.counters.count("fault", if open { "passed" } else { "refused" });
        if open { Ok(None) } else { Err(()) }
    }

    fn new(decoder: Option<Decoder>, events: Option<Events>) -> Self {
        Self { decodes: decoder.is_some(), decoder, coded: Bytes::new(), seen: 0, events, changed: false }
    }

    /// Whether something waits to be decoded.
    pub(super) const fn has_coded(&self) -> bool {
        !self.coded.is_empty()
    }
}

/// Takes off the content coding that a head names, if any.
fn decoder(headers: &HeaderMap, thread: &Thread) -> Result<Option<Decoder>, Unsupported> {
    let codings = headers.get_all(CONTENT_ENCODING).iter().map(HeaderValue::as_bytes);
    let scratch = &mut *thread.scratch.borrow_mut();
    Decoder::new(codings, &scratch.limits.coding, &mut scratch.pool)
        .inspect_err(|unsupported| thread.shared.counters.count("unchangeable", unsupported.reason()))
}

impl Source {
    /// Takes what came.
    pub(super) fn take(&mut self, bytes: Bytes) -> Result<(), BodyError> {
        let Some(rewriting) = &mut self.rewriting else { return self.look(bytes) };
        if rewriting.decoder.is_some() {
            rewriting.coded = bytes;
            self.decode()
        } else {
            self.plain(bytes)
        }
    }

    /// Decodes a bite of what came.
    pub(super) fn decode(&mut self) -> Result<(), BodyError> {
        let Some(Rewriting { decoder: Some(decoder), coded, .. }) = self.rewriting.as_deref_mut() else {
            return Ok(());
        };
        let bite = coded.split_to(coded.len().min(BITE));
        let mut plain = BytesMut::new();
        // It is passed on, and not kept: however long it is.
        let limits = Limits { max_output: u64::MAX, ..self.exchange.conn.thread.scratch.borrow().limits.coding };
        match decoder.feed(&limits, &bite, &mut |bytes| plain.extend_from_slice(bytes)) {
            Ok(()) => self.plain(plain.freeze()),
            Err(stop) => Err(self.undecodable(stop.reason())),
        }
    }

    /// The body is over: whether all of it was decoded.
    pub(super) fn end_coding(&mut self) -> Result<(), BodyError> {
        let decoder = self.rewriting.as_deref_mut().and_then(|rewriting| rewriting.decoder.take());
        let end = decoder.map(|decoder| decoder.finish(&mut self.exchange.conn.thread.scratch.borrow_mut().pool));
        if end == Some(EndKind::Cut) { Err(self.undecodable("cut_coding")) } else { Ok(()) }
    }

    /// What came cannot be read, and what went before says that it is not coded: so it breaks off.
    fn undecodable(&mut self, reason: &'static str) -> BodyError {
        self.exchange.conn.thread.shared.counters.count("unchangeable", reason);
        self.cut();
        BodyError::Coding
    }

    fn plain(&mut self, mut bytes: Bytes) -> Result<(), BodyError> {
        while !bytes.is_empty() {
            let Some(events) = self.rewriting.as_deref_mut().and_then(|rewriting| rewriting.events.as_mut()) else {
                return self.look(bytes);
            };
            match events.splitter.split(&bytes) {
                Some(end) => {
                    let end = bytes.split_to(end);
                    self.event(end)?;
                }
                None => return self.part(bytes),
            }
        }
        Ok(())
    }

    fn events(&mut self) -> Option<&mut Events> {
        self.rewriting.as_deref_mut()?.events.as_mut()
    }

    /// A part of an event, of which more is to come.
    fn part(&mut self, part: Bytes) -> Result<(), BodyError> {
        if self.events().is_some_and(|events| events.skips) {
            return Ok(());
        }
        if !self.over {
            return self.hold(part);
        }
        self.inspect(&part)?;
        self.ready.push(part);
        Ok(())
    }

    /// The end of an event.
    fn event(&mut self, end: Bytes) -> Result<(), BodyError> {
        let (skipped, first) = match self.events() {
            Some(events) => (std::mem::take(&mut events.skips), !std::mem::replace(&mut events.later, true)),
            None => (false, false),
        };
        if skipped {
            return Ok(());
        }
        let event = self.gather(end);
        let edits = self.inspect(&event)?;
        self.pass_event(event, edits, first)
    }

    fn pass_event(&mut self, event: Bytes, edits: bool, first: bool) -> Result<(), BodyError> {
        if std::mem::take(&mut self.over) {
            self.exchange.forget_edits(self.direction);
        } else if let Some(data) = edits.then(|| data_of(&event, first)).flatten() {
            return match self.exchange.edit(self.direction, 0, &data) {
                Ok(Some(new)) => {
                    self.push(with_data(&event, &new, first).into());
                    Ok(())
                }
                Ok(None) => {
                    self.ready.push(event);
                    Ok(())
                }
                Err(ruling) => Err(self.stop(ruling)),
            };
        }
        self.push(event);
        Ok(())
    }

    fn push(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.ready.push(bytes);
        }
    }

    /// Has bytes of an event looked at; whether something of it is to be changed.
    fn inspect(&mut self, bytes: &[u8]) -> Result<bool, BodyError> {
        let mut edits = false;
        for slice in bytes.chunks(SLICE) {
            self.turn = self.turn.saturating_add(slice.len());
            match self.exchange.body(self.direction, slice) {
                Verdict::Act(ruling) => return Err(self.stop(ruling)),
                Verdict::Edit => edits = true,
                Verdict::Pass | Verdict::Hold => {}
            }
        }
        Ok(edits)
    }

    /// What waited, and `end`, in one.
    fn gather(&mut self, end: Bytes) -> Bytes {
        if self.waiting.is_empty() {
            return end;
        }
        let mut all = BytesMut::with_capacity(self.waiting_bytes + end.len());
        self.account();
        while let Some(bytes) = self.waiting.pop() {
            all.extend_from_slice(&bytes);
        }
        all.extend_from_slice(&end);
        all.freeze()
    }

    /// What waited, and `end`, is complete, and may pass once it is changed.
    pub(super) fn edit(&mut self, end: Bytes) -> Result<(), BodyError> {
        if self.over {
            return self.edit_late(end);
        }
        let text = self.gather(end);
        let seen = self.rewriting.as_deref().map_or(0, |rewriting| rewriting.seen);
        let base = seen.saturating_sub(u64::try_from(text.len()).unwrap_or(u64::MAX));
        match self.exchange.edit(self.direction, base, &text) {
            Ok(Some(new)) => {
                self.rewriting.iter_mut().for_each(|rewriting| rewriting.changed = true);
                self.push(new.into());
            }
            Ok(None) => self.push(text),
            Err(ruling) => return Err(self.stop(ruling)),
        }
        Ok(())
    }

    /// Part of it is gone: of a request the rest is stopped, an answer that was let pass for its length passes.
    fn edit_late(&mut self, end: Bytes) -> Result<(), BodyError> {
        if self.direction == Direction::ToServer
            && let Some(ruling) = self.exchange.cannot_edit()
        {
            return Err(self.stop(ruling));
        }
        self.exchange.forget_edits(self.direction);
        self.release();
        self.push(end);
        Ok(())
    }

    /// An answer met a limit while it waited.
    pub(super) fn answer_over(&mut self, limit: &'static str, refuse: bool) -> Result<(), BodyError> {
        let streams = self.events().is_some();
        if !refuse {
            self.over = true;
            if streams {
                let part = self.gather(Bytes::new());
                self.inspect(&part)?;
                self.push(part);
            } else {
                self.release();
            }
            return Ok(());
        }
        self.let_go();
        let ruling = self.exchange.refuse_answer(Cause::Limit(limit));
        self.exchange.acted(&ruling, "whole");
        let error = answer::websocket_text(&ruling);
        if let Some(events) = self.events() {
            (events.skips, events.later) = (true, true);
            if !ruling.messages.is_empty() {
                self.push(format!("event: message\ndata: {error}\n\n").into());
            }
        } else {
            self.push(error.into());
            self.incoming = None;
            self.exchange.end(self.direction, EndKind::Cut);
        }
        Ok(())
    }

    /// The end of a body that may be changed, after its last byte.
    pub(super) fn finish_changed(&mut self) -> Result<(), BodyError> {
        if let Some(trailers) = &mut self.trailers {
            inspect::changed(trailers);
        }
        if self.events().is_none() {
            return match self.exchange.end(self.direction, EndKind::Complete) {
                Verdict::Act(ruling) => Err(self.stop(ruling)),
                Verdict::Edit => self.edit(Bytes::new()),
                Verdict::Pass | Verdict::Hold => {
                    self.release();
                    Ok(())
                }
            };
        }
        // Some receivers take an event that no blank line ends.
        let first = self.events().is_some_and(|events| !events.later);
        let rest = self.gather(Bytes::new());
        let mut edits = self.inspect(&rest)?;
        match self.exchange.end(self.direction, EndKind::Complete) {
            Verdict::Act(ruling) => return Err(self.stop(ruling)),
            Verdict::Edit => edits = true,
            Verdict::Pass | Verdict::Hold => {}
        }
        self.pass_event(rest, edits, first)
    }

    /// Makes the head of a request say of its body what holds for it.
    pub(super) fn settle(&self, headers: &mut HeaderMap) {
        let Some(rewriting) = &self.rewriting else { return };
        let whole = self.incoming.is_none() && self.waiting.is_empty();
        let may_change = !whole && !self.over && self.exchange.rewrites(self.direction);
        if !(rewriting.changed || rewriting.decodes || may_change) {
            return;
        }
        inspect::changed(headers);
        if whole && self.trailers.is_none() && !headers.contains_key(TRANSFER_ENCODING) {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(self.ready.bytes()));
        }
    }
}
