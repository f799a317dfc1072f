//! What is spoken behind CONNECT: decided by the first bytes, of whichever side speaks first.

use bytes::BytesMut;
use std::io;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::{Instant, timeout_at};

/// How long a client may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// To its first byte, where the server is silent too.
    pub(crate) silent: Duration,
    /// From there until it is clear what it says.
    pub(crate) begun: Duration,
}

/// Longest request line that is waited for, in bytes. What is longer is no HTTP.
const MAX_LINE: usize = 16 << 10;
/// Longest request method, in bytes.
const MAX_METHOD: usize = 32;
/// Bytes that are read at once.
const READ: usize = 4096;
/// How an HTTP/2 connection begins (RFC 9113 section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum First {
    /// TLS, by the first two bytes of a record.
    Tls,
    /// HTTP/1, by a request line.
    Http1,
    /// HTTP/2 without TLS, by its preface.
    Http2,
    /// Something else.
    Other,
    /// The server speaks first, or has closed.
    Server,
    /// The client has closed without a word.
    Closed,
}

/// Who broke off before anything could be decided.
#[derive(Debug)]
pub(crate) enum Broke {
    /// The client.
    Client,
    /// The server, and why.
    Server(io::Error),
    /// The client took too long.
    Slow,
}

/// What the first bytes of a client are; `None` while they can be several things.
pub(crate) fn look(bytes: &[u8]) -> Option<First> {
    match bytes {
        [] | [0x16] => return None,
        [0x16, 3, ..] => return Some(First::Tls),
        _ => {}
    }
    if PREFACE.starts_with(bytes) {
        return None;
    }
    if bytes.starts_with(PREFACE) {
        return Some(First::Http2);
    }
    // Servers skip empty lines before a request (RFC 9112 section 2.2).
    let start = bytes.iter().position(|byte| !matches!(byte, b'\r' | b'\n')).unwrap_or(bytes.len());
    let line = bytes.get(start..).unwrap_or_default();
    let end = line.iter().position(|byte| *byte == b'\n');
    let whole = line.get(..end.unwrap_or(line.len())).unwrap_or_default();
    let method = whole.iter().position(|byte| !is_token(*byte)).unwrap_or(whole.len());
    if method > MAX_METHOD || (method < whole.len() && (method == 0 || whole.get(method) != Some(&b' '))) {
        return Some(First::Other);
    }
    if end.is_none() {
        return (bytes.len() >= MAX_LINE).then_some(First::Other);
    }
    let whole = whole.strip_suffix(b"\r").unwrap_or(whole);
    let version = whole.len().checked_sub(9).and_then(|at| whole.get(at..)).unwrap_or_default();
    Some(if matches!(version, [b' ', b'H', b'T', b'T', b'P', b'/', b'1', b'.', _]) {
        First::Http1
    } else {
        First::Other
    })
}

/// RFC 9110 section 5.6.2.
const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
        )
}

/// Reads what is there, at most 4 KiB; 0 at the end.
pub(crate) async fn more(client: &mut (impl AsyncRead + Unpin), seen: &mut BytesMut) -> io::Result<usize> {
    seen.reserve(READ);
    tokio::io::AsyncReadExt::read_buf(client, seen).await
}

/// Waits until either side has said enough to know what is spoken. What the client said is added to `seen`, what the
/// server said to `answered`. Else it could be sat out what it is, or how many there are.
///
/// # Errors
///
/// Who broke off.
pub(crate) async fn first<C, S>(
    client: &mut C,
    seen: &mut BytesMut,
    mut server: Option<&mut S>,
    answered: &mut BytesMut,
    limits: Limits,
) -> Result<First, Broke>
where
    C: AsyncRead + Unpin,
    S: AsyncRead + Unpin,
{
    let mut silent = seen.is_empty();
    let mut deadline = Instant::now() + if silent { limits.silent } else { limits.begun };
    loop {
        if let Some(known) = look(seen) {
            return Ok(known);
        }
        if std::mem::replace(&mut silent, seen.is_empty()) && !silent {
            deadline = Instant::now() + limits.begun;
        }
        let read = std::future::poll_fn(|cx| {
            // Most connections wait here for long: so nothing is allocated before there are bytes.
            let mut space = [std::mem::MaybeUninit::uninit(); READ];
            let mut buf = ReadBuf::uninit(&mut space);
            if let Poll::Ready(read) = Pin::new(&mut *client).poll_read(cx, &mut buf) {
                seen.extend_from_slice(buf.filled());
                return Poll::Ready(read.map(|()| (!buf.filled().is_empty(), false)).map_err(|_| Broke::Client));
            }
            if let Some(server) = server.as_mut()
                && let Poll::Ready(read) = Pin::new(&mut **server).poll_read(cx, &mut buf)
            {
                answered.extend_from_slice(buf.filled());
                return Poll::Ready(read.map(|()| (true, true)).map_err(Broke::Server));
            }
            Poll::Pending
        });
        match timeout_at(deadline, read).await.map_err(|_| Broke::Slow)?? {
            (_, true) => return Ok(First::Server),
            (false, false) => return Ok(if seen.is_empty() { First::Closed } else { First::Other }),
            (true, false) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_decide() {
        for (bytes, want) in [
            (&b""[..], None),
            (b"\x16", None),
            (b"\x16\x03", Some(First::Tls)),
            (b"\x16\x02", Some(First::Other)),
            (b"PRI", None),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r", None),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0", Some(First::Http2)),
            (b"PRI * HTTP/2.0\r\n\r\nSX", Some(First::Other)),
            (b"G", None),
            (b"GET", None),
            (b"GET / HTTP/1.1", None),
            (b"GET / HTTP/1.1\r\n", Some(First::Http1)),
            (b"GET / HTTP/1.0\n", Some(First::Http1)),
            (b"\r\n\r\nPOST /mcp HTTP/1.1\r\n", Some(First::Http1)),
            (b"post /mcp HTTP/1.1\r\n", Some(First::Http1)),
            (b"M-SEARCH * HTTP/1.1\r\n", Some(First::Http1)),
            (b"OPTIONS rtsp://a/ RTSP/1.0\r\n", Some(First::Other)),
            (b"NICK me\r\n", Some(First::Other)),
            (b"SSH-2.0-OpenSSH_9.2\r\n", Some(First::Other)),
            (b"*1\r\n$4\r\nPING\r\n", Some(First::Other)),
            (b"\0\0\0\x10", Some(First::Other)),
            (b" GET / HTTP/1.1\r\n", Some(First::Other)),
            (b"HTTP/1.1\r\n", Some(First::Other)),
        ] {
            assert_eq!(look(bytes), want, "{}", bytes.escape_ascii());
        }
        assert_eq!(look(&[b'A'; MAX_METHOD]), None);
        assert_eq!(look(&[b'A'; MAX_METHOD + 1]), Some(First::Other));
        let long = [b"GET /".as_slice(), &[b'a'; MAX_LINE]].concat();
        assert_eq!(look(&long), Some(First::Other), "a line without end is not waited for");
    }

    proptest::proptest! {
        #[test]
        fn what_is_decided_stays_so_when_more_comes(bytes in proptest::collection::vec(0_u8..128, 0..60), at in 0_usize..60) {
            let early = look(&bytes[..at.min(bytes.len())]);
            if early.is_some() {
                proptest::prop_assert_eq!(early, look(&bytes));
            }
        }
    }
}
