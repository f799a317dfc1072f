//! An origin that says what a test wants, byte for byte.

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use socket2::SockRef;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

/// A server on this machine, until the test program ends.
#[derive(Clone, Copy)]
pub(crate) struct Wire {
    pub(crate) address: SocketAddr,
}

impl Wire {
    /// Each connection is served by `serve`, on a thread of its own, behind TLS where there is a configuration.
    pub(crate) fn start(tls: Option<ServerConfig>, serve: impl Fn(Peer) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (tls, serve) = (tls.map(Arc::new), Arc::new(serve));
        std::thread::spawn(move || {
            for tcp in listener.incoming() {
                let tcp = tcp.unwrap();
                tcp.set_nodelay(true).unwrap();
                tcp.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
                let (tls, serve) = (tls.clone(), Arc::clone(&serve));
                std::thread::spawn(move || {
                    let stream = match tls {
                        Some(config) => {
                            let connection = ServerConnection::new(config).unwrap();
                            Stream::Tls(Box::new(StreamOwned::new(connection, tcp)))
                        }
                        None => Stream::Plain(tcp),
                    };
                    serve(Peer { stream });
                });
            }
        });
        Self { address }
    }

    /// `SCHEME://localhost:PORT` and a path.
    pub(crate) fn url(self, scheme: &str, path: &str) -> String {
        format!("{scheme}://localhost:{}{path}", self.address.port())
    }
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ServerConnection, TcpStream>>),
}

/// The client of a connection. Dropped, the connection ends without a word of TLS.
pub(crate) struct Peer {
    stream: Stream,
}

impl Peer {
    pub(crate) const fn tcp(&self) -> &TcpStream {
        match &self.stream {
            Stream::Plain(tcp) => tcp,
            Stream::Tls(tls) => &tls.sock,
        }
    }

    /// Sends all of it; what the client does not take any more is lost.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        let _ = match &mut self.stream {
            Stream::Plain(tcp) => tcp.write_all(bytes),
            Stream::Tls(tls) => tls.write_all(bytes).and_then(|()| tls.flush()),
        };
    }

    /// Some bytes; none at the end.
    pub(crate) fn some(&mut self) -> Vec<u8> {
        let mut bytes = vec![0; 1 << 16];
        let read = match &mut self.stream {
            Stream::Plain(tcp) => tcp.read(&mut bytes),
            Stream::Tls(tls) => tls.read(&mut bytes),
        };
        bytes.truncate(read.unwrap_or(0));
        bytes
    }

    /// The next request: its head as it came, and what there is of its body as it came. Nothing at the end.
    pub(crate) fn request(&mut self) -> Option<(String, Vec<u8>)> {
        let mut seen = Vec::new();
        loop {
            if let Some(head) = seen.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4) {
                let text = String::from_utf8_lossy(&seen[..head]).into_owned();
                let lower = text.to_ascii_lowercase();
                let field = |name: &str| lower.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
                let body = &seen[head..];
                let whole = match (field("content-length"), field("transfer-encoding")) {
                    (Some(length), _) => body.len() >= length.parse::<usize>().unwrap(),
                    (None, Some(_)) => body.ends_with(b"\r\n\r\n") && body.windows(3).any(|three| three == b"0\r\n"),
                    (None, None) => true,
                };
                if whole {
                    return Some((text, body.to_vec()));
                }
                if lower.contains("expect: 100-continue") && body.is_empty() {
                    self.send(b"HTTP/1.1 100 Continue\r\n\r\n");
                }
            }
            let more = self.some();
            if more.is_empty() {
                return None;
            }
            seen.extend(more);
        }
    }

    /// Ends the connection as it should be.
    pub(crate) fn end(mut self) {
        if let Stream::Tls(tls) = &mut self.stream {
            tls.conn.send_close_notify();
            let _ = tls.flush();
        }
        let _ = self.tcp().shutdown(Shutdown::Write);
    }

    /// Breaks it off.
    pub(crate) fn reset(self) {
        SockRef::from(self.tcp()).set_linger(Some(Duration::ZERO)).unwrap();
    }
}
