//! Bytes both ways, as they are.

use super::hello::Onlooker;
use super::io::{DownIo, UpIo};
use crate::thread::Thread;
use net::Direction;
use std::cell::RefCell;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

/// Bytes that are moved at once.
const BUFFER: usize = 64 << 10;
/// Buffers that a thread keeps while no tunnel needs them.
const MAX_KEPT: usize = 16;

/// The buffers of one thread. A tunnel has one only while bytes are in it, so idle tunnels cost none.
#[derive(Debug, Default)]
pub(crate) struct Pool(RefCell<Vec<Box<[u8]>>>);

impl Pool {
    fn take(&self) -> Box<[u8]> {
        self.0.borrow_mut().pop().unwrap_or_else(|| vec![0; BUFFER].into_boxed_slice())
    }

    fn give_back(&self, buffer: Box<[u8]>) {
        let mut kept = self.0.borrow_mut();
        if kept.len() < MAX_KEPT {
            kept.push(buffer);
        }
    }
}

/// One direction.
#[derive(Debug, Default)]
struct Way {
    /// Bytes `at..end` of it are to be written.
    buffer: Option<Box<[u8]>>,
    at: usize,
    end: usize,
    /// The sender has ended.
    ended: bool,
    /// There is something to flush.
    dirty: bool,
    moved: u64,
    /// Counts reads and writes, to know whether there are any.
    steps: u64,
}

impl Way {
    /// Moves what can be moved; ready once the end was passed on.
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        pool: &Pool,
        mut from: Pin<&mut impl AsyncRead>,
        mut to: Pin<&mut impl AsyncWrite>,
        mut seen: impl FnMut(&[u8]),
    ) -> Poll<io::Result<()>> {
        loop {
            if self.at < self.end {
                let rest = self.buffer.as_deref().and_then(|all| all.get(self.at..self.end)).unwrap_or_default();
                let n = ready!(to.as_mut().poll_write(cx, rest))?;
                if n == 0 {
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                self.at += n;
                self.dirty = true;
                self.steps += 1;
                continue;
            }
            if self.ended {
                self.rest(pool);
                return to.poll_shutdown(cx);
            }
            let buffer = self.buffer.get_or_insert_with(|| pool.take());
            let mut read = ReadBuf::new(buffer);
            match from.as_mut().poll_read(cx, &mut read) {
                Poll::Ready(Ok(())) if read.filled().is_empty() => self.ended = true,
                Poll::Ready(Ok(())) => {
                    seen(read.filled());
                    (self.at, self.end) = (0, read.filled().len());
                    self.moved = self.moved.saturating_add(self.end as u64);
                    self.steps += 1;
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    self.rest(pool);
                    if self.dirty {
                        ready!(to.poll_flush(cx))?;
                        self.dirty = false;
                    }
                    return Poll::Pending;
                }
            }
        }
    }

    fn rest(&mut self, pool: &Pool) {
        if let Some(buffer) = self.buffer.take() {
            pool.give_back(buffer);
        }
    }
}

/// How long nothing has passed.
struct Silence {
    /// Steps of both directions when they were last counted.
    steps: u64,
    since: Instant,
}

impl Silence {
    /// Ready once it has lasted for `limit`. `sleep` is armed for then, or for before.
    fn poll(&mut self, cx: &mut Context<'_>, mut sleep: Pin<&mut Sleep>, steps: u64, limit: Duration) -> Poll<()> {
        if std::mem::replace(&mut self.steps, steps) != steps {
            self.since = Instant::now();
        }
        let deadline = self.since + limit;
        loop {
            if sleep.deadline() > deadline {
                sleep.as_mut().reset(deadline);
            }
            ready!(sleep.as_mut().poll(cx));
            if sleep.deadline() >= deadline {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(deadline);
        }
    }
}

/// Carries a tunnel until both sides have ended, or one broke off: then the other is broken off too, at once. So are both
/// after a very long silence, or a shorter one once one side has ended.
pub(crate) async fn tunnel(thread: &Thread, mut down: DownIo, mut up: UpIo, mut onlooker: Option<Box<Onlooker>>) {
    let (mut out, mut back) = (Way::default(), Way::default());
    let (mut sent, mut received) = (false, false);
    let limits = &thread.shared.options.limits;
    let mut silence = Silence { steps: 0, since: Instant::now() };
    let mut sleep = pin!(sleep_until(silence.since + limits.quiet_time));
    let mut met = None;
    let ended: io::Result<()> = std::future::poll_fn(|cx| {
        let mut look = |dir: Direction, bytes: &[u8]| {
            if onlooker.as_mut().is_some_and(|onlooker| !onlooker.see(dir, bytes)) {
                onlooker = None;
            }
        };
        if !sent {
            let seen = |bytes: &[u8]| look(Direction::ToServer, bytes);
            sent = out.poll(cx, &thread.pool, Pin::new(&mut down), Pin::new(&mut up), seen)?.is_ready();
        }
        if !received {
            let seen = |bytes: &[u8]| look(Direction::ToClient, bytes);
            received = back.poll(cx, &thread.pool, Pin::new(&mut up), Pin::new(&mut down), seen)?.is_ready();
        }
        let (limit, word) = match (sent, received) {
            (true, true) => return Poll::Ready(Ok(())),
            (false, false) => (limits.quiet_time, "quiet_time"),
            _ => (limits.half_closed_time, "half_closed_time"),
        };
        ready!(silence.poll(cx, sleep.as_mut(), out.steps + back.steps, limit));
        met = Some(word);
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    })
    .await;
    if let Some(onlooker) = onlooker {
        onlooker.over();
    }
    out.rest(&thread.pool);
    back.rest(&thread.pool);
    let counters = &thread.shared.counters;
    counters.add("tunnel_bytes", "to_server", out.moved);
    counters.add("tunnel_bytes", "to_client", back.moved);
    if let Some(word) = met {
        counters.count("limit", word);
    }
    if ended.is_err() {
        // A reset is passed on as a reset; an end in order would say that all was sent.
        for socket in [down.socket(), up.socket()].into_iter().flatten() {
            let _ = socket2::SockRef::from(socket).set_linger(Some(Duration::ZERO));
        }
    }
}
