//! One connection of a client, as far as inspection and records need it.

use crate::gate::Authority;
use crate::inspect::Line;
use crate::thread::Thread;
use detect::TlsSeen;
use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

/// Where requests of one connection (or of one CONNECT tunnel in it) come from and go to.
pub(crate) struct Conn {
    /// The thread it lives on.
    pub(crate) thread: Rc<Thread>,
    /// Unique among all connections of the process; the highest bit is set, so that it is no number of a packet.
    pub(crate) number: u64,
    /// Index of the listener.
    pub(crate) listener: u16,
    /// The client.
    pub(crate) client: SocketAddr,
    /// Who authenticated at the proxy.
    pub(crate) user: Option<Arc<str>>,
    /// Host and port that CONNECT or the absolute target named.
    pub(crate) authority: Authority,
    /// The address that was connected to; the unspecified one as long as nothing was.
    pub(crate) server: Cell<SocketAddr>,
    /// The handshake of an intercepted connection.
    pub(crate) tls: Option<TlsSeen>,
    /// The origin's certificate was verified for the name.
    pub(crate) verified: bool,
    /// It came through CONNECT.
    pub(crate) connect: bool,
    /// What was told of it to the serial stage.
    pub(crate) line: Line,
}

impl Conn {
    /// The host that is asked for: by the handshake where CONNECT names but an address, else as it was named.
    pub(crate) fn host(&self) -> &str {
        match &self.tls {
            Some(tls) if !tls.sni.is_empty() && self.authority.ip().is_some() => &tls.sni,
            _ => &self.authority.host,
        }
    }
}
