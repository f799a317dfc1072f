//! The streams that bytes of clients and origins come on: plain or TLS, known by type, so that nothing is looked up when
//! a byte passes.

use super::patience::Patience;
use super::timing::Timing;
use crate::lookout::{self, Side};
use bytes::{Buf, Bytes};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// A socket of a client. One that takes nothing for too long of what waits for it is given up.
#[derive(Debug)]
pub(crate) struct Socket {
    tcp: TcpStream,
    timing: Arc<Timing>,
    /// There once it was not ready to take something.
    stuck: Option<Box<Patience>>,
}

impl Socket {
    const fn new(tcp: TcpStream, timing: Arc<Timing>) -> Self {
        Self { tcp, timing, stuck: None }
    }

    /// Looks at how a write went.
    fn wrote(&mut self, cx: &mut Context<'_>, wrote: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match &wrote {
            Poll::Ready(Ok(bytes)) => {
                if let Some(stuck) = &mut self.stuck {
                    stuck.came(*bytes);
                }
            }
            Poll::Ready(Err(_)) => {}
            Poll::Pending => {
                let limit = self.timing.stall();
                let stuck = self.stuck.get_or_insert_with(|| Box::new(Patience::new(limit, 1)));
                if stuck.poll_wait(cx).is_ready() {
                    self.timing.stalled();
                    // What the system still holds for it is worth nothing.
                    let _ = socket2::SockRef::from(&self.tcp).set_linger(Some(Duration::ZERO));
                    return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                }
            }
        }
        wrote
    }
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_read(cx, buf)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.tcp).poll_write(cx, buf);
        self.wrote(cx, wrote)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.tcp).poll_write_vectored(cx, bufs);
        self.wrote(cx, wrote)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }
}

/// A socket of a client, behind bytes that were read from it before.
#[derive(Debug)]
pub(crate) struct Rewind {
    early: Bytes,
    socket: Socket,
}

impl Rewind {
    /// `early` is read first.
    pub(crate) fn new(early: Bytes, tcp: TcpStream, timing: Arc<Timing>) -> Self {
        Self { early: kept(early), socket: Socket::new(tcp, timing) }
    }
}

/// Bytes to be read again. Where there are none, what they were cut from need not live on.
fn kept(early: Bytes) -> Bytes {
    if early.is_empty() { Bytes::new() } else { early }
}

/// Gives what was read before; whether there was any.
fn again(early: &mut Bytes, buf: &mut ReadBuf<'_>) -> bool {
    if early.is_empty() || buf.remaining() == 0 {
        return false;
    }
    let n = early.len().min(buf.remaining());
    buf.put_slice(early.get(..n).unwrap_or_default());
    early.advance(n);
    *early = kept(std::mem::take(early));
    true
}

impl AsyncRead for Rewind {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if again(&mut self.early, buf) { Poll::Ready(Ok(())) } else { Pin::new(&mut self.socket).poll_read(cx, buf) }
    }
}

impl AsyncWrite for Rewind {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }
}

/// Longest piece that the TLS library is given at once, in bytes. It copies each piece into a record. What is longer than
/// some 2 KiB the C library copies with one string instruction, which some processors (Zen) run ten times slower where
/// both ends lie alike in their pages, as they do here.
const PIECE: usize = 2048;
/// Most pieces of one call. Together they are more than the TLS library takes at once.
const MAX_PIECES: usize = 48;

/// Has `bufs` written in pieces of [`PIECE`] at most; not all of it, if it is too long.
fn in_pieces<R>(bufs: &[IoSlice<'_>], write: impl FnOnce(&[IoSlice<'_>]) -> R) -> R {
    if bufs.iter().all(|buf| buf.len() <= PIECE) {
        return write(bufs);
    }
    let mut pieces = [IoSlice::new(&[]); MAX_PIECES];
    let mut count = 0;
    for (piece, cut) in pieces.iter_mut().zip(bufs.iter().flat_map(|buf| buf.chunks(PIECE))) {
        *piece = IoSlice::new(cut);
        count += 1;
    }
    write(pieces.get(..count).unwrap_or(bufs))
}

/// TLS with a client.
type ClientTls = tokio_rustls::server::TlsStream<Rewind>;
/// TLS with an origin.
type OriginTls = tokio_rustls::client::TlsStream<TcpStream>;

/// The kinds of streams of clients.
#[derive(Debug)]
enum Down {
    Tcp(Socket),
    Tls(Box<ClientTls>),
    #[cfg(test)]
    Memory(tokio::io::DuplexStream),
}

/// The kinds of streams of origins.
#[derive(Debug)]
enum Up {
    Tcp(TcpStream),
    Tls(Box<OriginTls>),
    #[cfg(test)]
    Memory(tokio::io::DuplexStream),
}

/// Calls the same method on whatever kind it is.
macro_rules! either {
    ($of:ident, $stream:expr, $io:ident => $call:expr) => {
        match $stream {
            $of::Tcp($io) => $call,
            $of::Tls($io) => $call,
            #[cfg(test)]
            $of::Memory($io) => $call,
        }
    };
}

/// Bytes of a client, TLS off.
#[derive(Debug)]
pub(crate) struct DownIo {
    early: Bytes,
    stream: Down,
    timing: Arc<Timing>,
}

impl DownIo {
    /// A plain connection.
    pub(crate) fn tcp(tcp: TcpStream, timing: Arc<Timing>) -> Self {
        Self { early: Bytes::new(), stream: Down::Tcp(Socket::new(tcp, Arc::clone(&timing))), timing }
    }

    /// An intercepted one.
    pub(crate) const fn tls(tls: Box<ClientTls>, timing: Arc<Timing>) -> Self {
        Self { early: Bytes::new(), stream: Down::Tls(tls), timing }
    }

    /// Bytes that were read before, to be read again first.
    #[must_use]
    pub(crate) fn with_early(mut self, early: Bytes) -> Self {
        self.early = kept(early);
        self
    }

    /// What its limits of time go by.
    pub(crate) const fn timing(&self) -> &Arc<Timing> {
        &self.timing
    }

    /// The socket, and what was read before, where it is plain.
    pub(crate) fn into_tcp(self) -> Option<(TcpStream, Bytes)> {
        match self.stream {
            Down::Tcp(socket) => Some((socket.tcp, self.early)),
            Down::Tls(_) => None,
            #[cfg(test)]
            Down::Memory(_) => None,
        }
    }

    /// The socket below.
    #[cfg_attr(not(test), expect(clippy::unnecessary_wraps, reason = "streams of tests have none"))]
    pub(crate) fn socket(&self) -> Option<&TcpStream> {
        match &self.stream {
            Down::Tcp(socket) => Some(&socket.tcp),
            Down::Tls(tls) => Some(&tls.get_ref().0.socket.tcp),
            #[cfg(test)]
            Down::Memory(_) => None,
        }
    }
}

/// Bytes of an origin, TLS off.
#[derive(Debug)]
pub(crate) struct UpIo {
    early: Bytes,
    stream: Up,
}

impl UpIo {
    /// A plain connection.
    pub(crate) const fn tcp(tcp: TcpStream) -> Self {
        Self { early: Bytes::new(), stream: Up::Tcp(tcp) }
    }

    /// One with TLS.
    pub(crate) const fn tls(tls: Box<OriginTls>) -> Self {
        Self { early: Bytes::new(), stream: Up::Tls(tls) }
    }

    /// Bytes that were read before, to be read again first.
    #[must_use]
    pub(crate) fn with_early(mut self, early: Bytes) -> Self {
        self.early = kept(early);
        self
    }

    /// The socket below.
    #[cfg_attr(not(test), expect(clippy::unnecessary_wraps, reason = "streams of tests have none"))]
    pub(crate) fn socket(&self) -> Option<&TcpStream> {
        match &self.stream {
            Up::Tcp(tcp) => Some(tcp),
            Up::Tls(tls) => Some(tls.get_ref().0),
            #[cfg(test)]
            Up::Memory(_) => None,
        }
    }
}

#[cfg(test)]
impl DownIo {
    /// A client of a test, on `thread`, that may take an hour for a head.
    pub(crate) fn memory(memory: tokio::io::DuplexStream, thread: &crate::thread::Thread) -> Self {
        let (hour, shared) = (Duration::from_hours(1), &thread.shared);
        let limits = crate::options::Limits { head_time: hour, idle_time: hour, ..shared.options.limits.clone() };
        Self { early: Bytes::new(), stream: Down::Memory(memory), timing: Timing::new(&limits, &shared.counters) }
    }
}

#[cfg(test)]
impl From<tokio::io::DuplexStream> for UpIo {
    fn from(memory: tokio::io::DuplexStream) -> Self {
        Self { early: Bytes::new(), stream: Up::Memory(memory) }
    }
}

impl DownIo {
    /// There is something to write.
    fn noted(&self) {
        self.timing.told();
    }
}

impl UpIo {
    #[expect(clippy::unused_self, reason = "as for clients, of whom there is something to note")]
    const fn noted(&self) {}
}

impl AsyncRead for DownIo {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = if again(&mut self.early, buf) {
            Poll::Ready(Ok(()))
        } else {
            either!(Down, &mut self.stream, io => Pin::new(io).poll_read(cx, buf))
        };
        if buf.filled().len() > before {
            self.timing.heard();
            lookout::heard(Side::Client);
        }
        polled
    }
}

impl AsyncRead for UpIo {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if again(&mut self.early, buf) {
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        let polled = either!(Up, &mut self.stream, io => Pin::new(io).poll_read(cx, buf));
        if buf.filled().len() > before {
            lookout::heard(Side::Origin);
        }
        polled
    }
}

/// Writing is the same on both sides, but that what goes to a client is noted.
macro_rules! write_through {
    ($($io:ident of $kind:ident),*) => {$(
        impl AsyncWrite for $io {
            fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
                self.noted();
                either!($kind, &mut self.stream, io => Pin::new(io).poll_write(cx, buf))
            }

            fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                either!($kind, &mut self.stream, io => Pin::new(io).poll_flush(cx))
            }

            fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                either!($kind, &mut self.stream, io => Pin::new(io).poll_shutdown(cx))
            }

            fn poll_write_vectored(
                mut self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                bufs: &[IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                self.noted();
                if let $kind::Tls(tls) = &mut self.stream {
                    return in_pieces(bufs, |pieces| Pin::new(tls).poll_write_vectored(cx, pieces));
                }
                either!($kind, &mut self.stream, io => Pin::new(io).poll_write_vectored(cx, bufs))
            }

            fn is_write_vectored(&self) -> bool {
                either!($kind, &self.stream, io => io.is_write_vectored())
            }
        }
    )*};
}
write_through!(DownIo of Down, UpIo of Up);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_in_pieces_stays_in_order_and_only_its_end_is_left_out() {
        let bytes: Vec<u8> = (0..u8::MAX).cycle().take(200_000).collect();
        for lens in [vec![10, 20], vec![PIECE, 1], vec![100, PIECE + 1, 7, 3 * PIECE], vec![5, 180_000]] {
            let mut rest = &bytes[..];
            let bufs: Vec<_> = lens.iter().map(|len| IoSlice::new(rest.split_off(..*len).unwrap())).collect();
            in_pieces(&bufs, |pieces| {
                assert!(pieces.len() <= MAX_PIECES && pieces.iter().all(|piece| piece.len() <= PIECE));
                let written: Vec<u8> = pieces.iter().flat_map(|piece| piece.iter().copied()).collect();
                let all: usize = lens.iter().sum();
                assert!(bytes.starts_with(&written));
                assert!(written.len() == all || (pieces.len() == MAX_PIECES && written.len() > 64 << 10));
            });
        }
    }
}
