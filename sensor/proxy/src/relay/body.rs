//! Bodies on their way through: pulled from one side as fast as the other takes them, looked at slice by slice, held
//! where the inspector says so.

use super::exchange::Exchange;
use super::heads::Trailers;
use super::rewrite::Rewriting;
use super::streams::{Asked, asked};
use crate::front::{Patience, Pending};
use crate::inspect::{self, Ruling, Verdict};
use crate::options::Over;
use bytes::Bytes;
use detect::ProxyNews;
use http::HeaderMap;
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use net::Direction;
use proto::EndKind;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;
use tokio::time::timeout;

/// Most bytes the inspector gets at once.
pub(super) const SLICE: usize = 64 << 10;
/// Bytes of one body that are looked at before other connections of the thread have their turn.
const TURN: usize = 256 << 10;

/// Why a body breaks off. The side that gets it breaks off in turn, so that it never looks whole.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    /// The side it came from broke off; `None` where it said that this was no error.
    #[error("the body broke off")]
    Peer(#[source] Option<hyper::Error>),
    /// What came must not pass.
    #[error("the body was stopped")]
    Stopped,
    /// Next to nothing came for too long.
    #[error("the body came too slowly")]
    Late,
    /// Its content coding could not be taken off to its end.
    #[error("the body could not be decoded")]
    Coding,
}

/// The body of a request on its way to the origin, or of an answer to the client.
pub(crate) struct Body {
    kind: Kind,
    /// While an answer is on its way, no limit of time runs for its client.
    pending: Option<Pending>,
}

enum Kind {
    /// Nothing, known from the head.
    Empty,
    /// Nothing either, but the head has a length of its own: 304 (RFC 9110 section 8.6).
    Bare,
    Full(Bytes),
    /// Boxed: the HTTP library keeps room for 32 requests with each connection to an origin.
    Stream(Box<Source>),
}

impl Body {
    const fn new(kind: Kind) -> Self {
        Self { kind, pending: None }
    }

    /// No body.
    pub(crate) const fn empty() -> Self {
        Self::new(Kind::Empty)
    }

    pub(super) const fn bare() -> Self {
        Self::new(Kind::Bare)
    }

    /// A body of our own.
    pub(crate) fn full(bytes: Bytes) -> Self {
        Self::new(if bytes.is_empty() { Kind::Empty } else { Kind::Full(bytes) })
    }

    pub(super) fn stream(source: Source) -> Self {
        Self::new(Kind::Stream(Box::new(source)))
    }

    /// The request that it answers is being served until this body is over.
    #[must_use]
    pub(crate) fn with_pending(mut self, pending: Pending) -> Self {
        self.pending = Some(pending);
        self
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let polled = match &mut self.kind {
            Kind::Empty | Kind::Bare => Poll::Ready(None),
            Kind::Full(bytes) => {
                let bytes = std::mem::take(bytes);
                self.kind = Kind::Empty;
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Kind::Stream(source) => source.poll_frame(cx),
        };
        if self.pending.is_some() {
            asked(if polled.is_ready() { Asked::Got } else { Asked::Waits });
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Empty => true,
            Kind::Bare | Kind::Full(_) => false,
            Kind::Stream(source) => source.is_over(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Full(bytes) => SizeHint::with_exact(u64::try_from(bytes.len()).unwrap_or(u64::MAX)),
            // The head says what is known; what it does not say is not made up.
            Kind::Empty | Kind::Bare | Kind::Stream(_) => SizeHint::default(),
        }
    }
}

/// How much is read of the body of a request that was answered early, and for how long.
#[derive(Clone, Copy, Debug)]
pub(super) struct Drain {
    pub(super) bytes: u64,
    pub(super) time: Duration,
}

/// Reads on, and throws away: a client that is still sending would lose an answer to a connection that is closed.
pub(super) fn drain(mut incoming: Incoming, limits: Drain) {
    if incoming.is_end_stream() {
        return;
    }
    tokio::task::spawn_local(async move {
        let read = async {
            let mut left = limits.bytes;
            while let Some(Ok(frame)) = poll_fn(|cx| Pin::new(&mut incoming).poll_frame(cx)).await {
                let len = frame.data_ref().map_or(0, Bytes::len);
                let Some(rest) = left.checked_sub(u64::try_from(len).unwrap_or(u64::MAX)) else { break };
                left = rest;
            }
        };
        // What is left after that time is cut off with the connection.
        let _ = timeout(limits.time, read).await;
    });
}

/// Slices of a body, in order. Mostly there is one at a time, for which nothing is allocated.
pub(super) struct Queue {
    first: Option<Bytes>,
    /// Behind the first; empty where there is none.
    more: VecDeque<Bytes>,
}

impl Queue {
    const fn new() -> Self {
        Self { first: None, more: VecDeque::new() }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// Bytes in it.
    pub(super) fn bytes(&self) -> usize {
        self.first.iter().chain(&self.more).map(Bytes::len).sum()
    }

    pub(super) fn push(&mut self, bytes: Bytes) {
        if self.first.is_none() {
            self.first = Some(bytes);
        } else {
            self.more.push_back(bytes);
        }
    }

    pub(super) fn pop(&mut self) -> Option<Bytes> {
        let first = self.first.take();
        if first.is_some() {
            self.first = self.more.pop_front();
        }
        first
    }

    /// Takes all of `other`.
    fn append(&mut self, other: &mut Self) {
        while let Some(bytes) = other.pop() {
            self.push(bytes);
        }
    }

    fn clear(&mut self) {
        *self = Self::new();
    }
}

/// A body that is pulled from one side and looked at on its way.
pub(super) struct Source {
    /// `None` once it is over, or broke off.
    pub(super) incoming: Option<Incoming>,
    pub(super) exchange: Rc<Exchange>,
    pub(super) direction: Direction,
    /// What trailers may pass.
    pass: Trailers,
    /// What may pass.
    pub(super) ready: Queue,
    /// What waits for a verdict: at most `hold.bytes`.
    pub(super) waiting: Queue,
    pub(super) waiting_bytes: usize,
    pub(super) trailers: Option<HeaderMap>,
    /// The limit was met, and what cannot complete a message passes.
    pub(super) over: bool,
    /// There where it may be changed.
    pub(super) rewriting: Option<Box<Rewriting>>,
    /// Bytes looked at in this turn.
    pub(super) turn: usize,
    drain: Drain,
    /// How long its sender is waited for.
    patience: Option<Patience>,
}

impl Source {
    pub(super) const fn new(
        incoming: Incoming,
        exchange: Rc<Exchange>,
        direction: Direction,
        pass: Trailers,
        drain: Drain,
    ) -> Self {
        Self {
            incoming: Some(incoming),
            exchange,
            direction,
            pass,
            ready: Queue::new(),
            waiting: Queue::new(),
            waiting_bytes: 0,
            trailers: None,
            over: false,
            rewriting: None,
            turn: 0,
            drain,
            patience: None,
        }
    }

    /// Gives up a sender of whom next to nothing comes for too long.
    pub(super) fn with_patience(mut self, patience: Option<Patience>) -> Self {
        self.patience = patience;
        self
    }

    /// It may be changed.
    pub(super) fn with_rewriting(mut self, rewriting: Option<Rewriting>) -> Self {
        self.rewriting = rewriting.map(Box::new);
        self
    }

    /// Whether all of it was passed on.
    fn is_over(&self) -> bool {
        self.incoming.is_none() && self.ready.is_empty() && self.waiting.is_empty() && self.trailers.is_none()
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        loop {
            if let Some(bytes) = self.ready.pop() {
                return Poll::Ready(Some(Ok(Frame::data(bytes))));
            }
            if self.incoming.is_none() {
                return Poll::Ready(self.trailers.take().map(|trailers| Ok(Frame::trailers(trailers))));
            }
            if self.turn >= TURN {
                self.turn = 0;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let pulled = self.poll_pull(cx);
            if pulled.is_pending() {
                self.turn = 0;
            }
            if let Err(error) = ready!(pulled) {
                return Poll::Ready(Some(Err(error)));
            }
        }
    }

    /// Pulls one frame and has it looked at.
    fn poll_pull(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BodyError>> {
        if self.has_coded() {
            return Poll::Ready(self.decode().and_then(|()| self.finish_in_time()));
        }
        let Some(incoming) = &mut self.incoming else { return Poll::Ready(Ok(())) };
        let polled = Pin::new(&mut *incoming).poll_frame(cx);
        if let Some(patience) = &mut self.patience {
            match &polled {
                Poll::Pending if patience.poll_wait(cx).is_ready() => return Poll::Ready(Err(self.late())),
                Poll::Ready(Some(Ok(frame))) => patience.came(frame.data_ref().map_or(0, Bytes::len)),
                _ => {}
            }
        }
        let frame = match ready!(polled) {
            // The HTTP library takes a stream of HTTP/2 that was reset with NO_ERROR for one that came to its end.
            None if self.pass == Trailers::All && !incoming.is_end_stream() => {
                return Poll::Ready(Err(self.broke_off(None)));
            }
            None => return Poll::Ready(self.finish()),
            Some(Ok(frame)) => frame,
            Some(Err(error)) => return Poll::Ready(Err(self.broke_off(Some(error)))),
        };
        Poll::Ready(match frame.into_data() {
            Ok(bytes) => self.take(bytes).and_then(|()| self.finish_in_time()),
            Err(frame) => {
                self.trailers = frame.into_trailers().ok();
                self.drop_trailers();
                self.finish()
            }
        })
    }

    /// Takes off trailers that the HTTP library does not pass on, as recipients may (RFC 9110 section 6.5.1).
    fn drop_trailers(&mut self) {
        let (Trailers::Named(named), Some(trailers)) = (&self.pass, &mut self.trailers) else { return };
        let before = trailers.len();
        let unnamed: Vec<_> = trailers.keys().filter(|name| !named.contains(name)).cloned().collect();
        for name in unnamed {
            trailers.remove(name);
        }
        let dropped = u64::try_from(before - trailers.len()).unwrap_or(u64::MAX);
        if dropped > 0 {
            self.exchange.conn.thread.shared.counters.add("dropped", "trailers", dropped);
        }
        self.trailers.take_if(|trailers| trailers.is_empty());
    }

    /// Its sender broke it off.
    fn broke_off(&mut self, error: Option<hyper::Error>) -> BodyError {
        self.count_broken_off();
        self.cut();
        BodyError::Peer(error)
    }

    fn count_broken_off(&self) {
        let side = if self.direction == Direction::ToServer { "client" } else { "origin" };
        self.exchange.conn.thread.shared.counters.count("broken_off", side);
    }

    /// Whether the client broke it off, which nobody asks for any more: its request went with it.
    fn was_broken_off(&mut self) -> bool {
        let Some(incoming) = self.incoming.as_mut().filter(|_| self.direction == Direction::ToServer) else {
            return false;
        };
        let cx = &mut Context::from_waker(Waker::noop());
        loop {
            match Pin::new(&mut *incoming).poll_frame(cx) {
                Poll::Ready(Some(Ok(_))) => {}
                Poll::Ready(Some(Err(_))) => return true,
                Poll::Ready(None) | Poll::Pending => return false,
            }
        }
    }

    /// Nothing more of it is taken.
    pub(super) fn cut(&mut self) {
        self.incoming = None;
        self.let_go();
        self.exchange.end(self.direction, EndKind::Cut);
    }

    fn has_coded(&self) -> bool {
        self.rewriting.as_deref().is_some_and(Rewriting::has_coded)
    }

    /// Ends it with its last byte, where that is known to be the last.
    fn finish_in_time(&mut self) -> Result<(), BodyError> {
        let over = self.incoming.as_ref().is_some_and(Incoming::is_end_stream) && !self.has_coded();
        if over { self.finish() } else { Ok(()) }
    }

    /// It is not waited for any longer.
    fn late(&mut self) -> BodyError {
        self.exchange.conn.thread.shared.counters.count("limit", "stall_time");
        self.cut();
        BodyError::Late
    }

    pub(super) fn look(&mut self, mut bytes: Bytes) -> Result<(), BodyError> {
        while !bytes.is_empty() {
            let slice = if bytes.len() <= SLICE { std::mem::take(&mut bytes) } else { bytes.split_to(SLICE) };
            self.turn = self.turn.saturating_add(slice.len());
            if let Some(rewriting) = &mut self.rewriting {
                rewriting.seen = rewriting.seen.saturating_add(u64::try_from(slice.len()).unwrap_or(u64::MAX));
            }
            match self.exchange.body(self.direction, &slice) {
                Verdict::Pass => {
                    self.release();
                    self.ready.push(slice);
                }
                // It completes nothing, or the verdict were another.
                Verdict::Hold if self.over => self.ready.push(slice),
                Verdict::Hold => self.hold(slice)?,
                Verdict::Edit => self.edit(slice)?,
                Verdict::Act(ruling) => return Err(self.stop(ruling)),
            }
        }
        Ok(())
    }

    /// It came to its end.
    fn finish(&mut self) -> Result<(), BodyError> {
        self.incoming = None;
        if self.rewriting.is_some() {
            self.end_coding()?;
            return self.finish_changed();
        }
        match self.exchange.end(self.direction, EndKind::Complete) {
            Verdict::Act(ruling) => return Err(self.stop(ruling)),
            Verdict::Pass | Verdict::Hold | Verdict::Edit => self.release(),
        }
        Ok(())
    }

    pub(super) fn hold(&mut self, slice: Bytes) -> Result<(), BodyError> {
        let shared = &self.exchange.conn.thread.shared;
        let hold = self.exchange.settings.hold;
        self.waiting_bytes = self.waiting_bytes.saturating_add(slice.len());
        let len = u64::try_from(slice.len()).unwrap_or(u64::MAX);
        let total = shared.held.fetch_add(len, Relaxed).saturating_add(len);
        shared.counters.held_bytes.fetch_add(len, Relaxed);
        self.waiting.push(slice);
        let limit = match () {
            () if self.waiting_bytes > hold.bytes => "bytes",
            () if total > u64::try_from(hold.total_bytes).unwrap_or(u64::MAX) => "total_bytes",
            () => return Ok(()),
        };
        self.met(limit)
    }

    /// A limit of what waits was met.
    fn met(&mut self, limit: &'static str) -> Result<(), BodyError> {
        let exchange = &self.exchange;
        let refuse = exchange.settings.hold.over == Over::Refuse;
        let word = match limit {
            "bytes" => "hold_bytes",
            "total_bytes" => "hold_total_bytes",
            _ => "hold_idle",
        };
        exchange.conn.thread.shared.counters.count("limit", word);
        let host = exchange.conn.authority.host.clone();
        let done = if refuse { "refused" } else { "streamed" };
        inspect::tell(&exchange.conn, ProxyNews::HoldLimit { host, limit, done });
        if self.direction == Direction::ToClient && self.rewriting.is_some() {
            return self.answer_over(limit, refuse);
        }
        if refuse {
            let ruling = exchange.limit(limit);
            return Err(self.stop(ruling));
        }
        self.over = true;
        self.release();
        Ok(())
    }

    /// What waited may pass.
    pub(super) fn release(&mut self) {
        if !self.waiting.is_empty() {
            self.account();
            self.ready.append(&mut self.waiting);
        }
    }

    /// What waited is dropped.
    pub(super) fn let_go(&mut self) {
        self.account();
        self.waiting.clear();
    }

    pub(super) fn account(&mut self) {
        let len = u64::try_from(std::mem::take(&mut self.waiting_bytes)).unwrap_or(u64::MAX);
        if len > 0 {
            let shared = &self.exchange.conn.thread.shared;
            shared.held.fetch_sub(len, Relaxed);
            shared.counters.held_bytes.fetch_sub(len, Relaxed);
        }
    }

    /// It must not pass. What is still to come of a request is read and thrown away.
    pub(super) fn stop(&mut self, ruling: Box<Ruling>) -> BodyError {
        self.let_go();
        self.ready.clear();
        self.trailers = None;
        self.exchange.end(self.direction, EndKind::Cut);
        self.exchange.stop(ruling);
        self.abandon();
        BodyError::Stopped
    }

    fn abandon(&mut self) {
        if let Some(incoming) = self.incoming.take()
            && self.direction == Direction::ToServer
        {
            drain(incoming, self.drain);
        }
    }

    /// Waits until some of it may pass, or all of it came. Gives whether there was anything to wait for.
    ///
    /// # Errors
    ///
    /// [`BodyError`]; what stopped it is with the exchange.
    pub(super) async fn held(&mut self) -> Result<bool, BodyError> {
        let mut waited = false;
        let idle = self.exchange.settings.hold.idle;
        while self.ready.is_empty() && self.incoming.is_some() {
            // A timer is set up only for what is not there yet.
            if let Some(pulled) = poll_fn(|cx| match self.poll_pull(cx) {
                Poll::Ready(pulled) => Poll::Ready(Some(pulled)),
                Poll::Pending => Poll::Ready(None),
            })
            .await
            {
                pulled?;
                continue;
            }
            waited = true;
            match timeout(idle, poll_fn(|cx| self.poll_pull(cx))).await {
                Ok(pulled) => pulled?,
                Err(_) => self.met("idle")?,
            }
            if self.over {
                break;
            }
        }
        Ok(waited)
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        self.account();
        if self.incoming.is_some() {
            self.exchange.end(self.direction, EndKind::Cut);
            if self.was_broken_off() {
                self.count_broken_off();
            }
            self.abandon();
        }
    }
}
