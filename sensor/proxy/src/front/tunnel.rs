//! Bytes both ways, as they are.

use super::hello::Onlooker;
use super::io::{DownIo, UpIo};
use crate::thread::Thread;
use net::Direction;
use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

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

/// Carries a tunnel until both sides have ended, or one broke off: then the other is broken off too, at once.
pub(crate) async fn tunnel(thread: &Thread, mut down: DownIo, mut up: UpIo, mut onlooker: Option<Box<Onlooker>>) {
    let (mut out, mut back) = (Way::default(), Way::default());
    let (mut sent, mut received) = (false, false);
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
        if sent && received { Poll::Ready(Ok(())) } else { Poll::Pending }
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
    if ended.is_err() {
        // A reset is passed on as a reset; an end in order would say that all was sent.
        for socket in [down.socket(), up.socket()].into_iter().flatten() {
            let _ = socket2::SockRef::from(socket).set_linger(Some(Duration::ZERO));
        }
    }
}
