//! The way to an origin, with TLS.

use super::io::UpIo;
use super::upstream::{self, H2, Offer};
use crate::failure::Failure;
use crate::gate::Authority;
use crate::options::Settings;
use crate::relay::{Connected, Protocol};
use crate::thread::Thread;
use rustls::pki_types::ServerName;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// How the origin of a connection is reached.
pub(crate) struct Route {
    thread: Rc<Thread>,
    to: Authority,
    /// CONNECT asked for it.
    connect: bool,
    /// TLS: the name to verify, and what to offer.
    tls: Option<(ServerName<'static>, Offer)>,
    protocol: Protocol,
}

impl Route {
    /// Without TLS.
    pub(crate) const fn plain(thread: Rc<Thread>, to: Authority, connect: bool, protocol: Protocol) -> Self {
        Self { thread, to, connect, tls: None, protocol }
    }

    /// With TLS, and `alpn` as the one protocol that is offered.
    pub(crate) fn tls(thread: Rc<Thread>, to: Authority, name: ServerName<'static>, alpn: Option<&[u8]>) -> Self {
        let protocol = protocol(alpn);
        Self { thread, to, connect: true, tls: Some((name, Offer::only(alpn))), protocol }
    }

    /// Connects, with TLS and the same protocol as before.
    ///
    /// # Errors
    ///
    /// Why it cannot be reached, or not be trusted.
    pub(crate) async fn connect(&self) -> Result<Connected, Failure> {
        let settings = self.thread.shared.settings.load_full();
        let (tcp, address) = dial(&self.thread, &settings, &self.to, self.connect).await?;
        let Some((name, offer)) = &self.tls else {
            return Ok(Connected { io: UpIo::tcp(tcp), address, protocol: self.protocol });
        };
        let tls = handshake(&self.thread, name, self.to.port, (tcp, address), *offer).await?;
        let chosen = tls.get_ref().1.alpn_protocol();
        if Offer::only(chosen) != *offer {
            return Err(Failure::Broken("the origin speaks another protocol than before".to_owned()));
        }
        Ok(Connected { io: UpIo::tls(tls), address, protocol: self.protocol })
    }
}

/// What is spoken after that was agreed to.
pub(crate) fn protocol(alpn: Option<&[u8]>) -> Protocol {
    if alpn == Some(H2) { Protocol::Http2 } else { Protocol::Http1 }
}

/// Connects to an origin, and has every byte sent at once.
///
/// # Errors
///
/// Those of the gate, which are counted.
pub(crate) async fn dial(
    thread: &Thread,
    settings: &Settings,
    to: &Authority,
    connect: bool,
) -> Result<(TcpStream, SocketAddr), Failure> {
    let dialed = Box::pin(thread.shared.gate.dial(settings, to, connect)).await;
    match &dialed {
        Ok((tcp, _)) => {
            // An origin that vanished is found out.
            let _ = tcp.set_nodelay(true);
            let _ = socket2::SockRef::from(tcp).set_tcp_keepalive(&super::listen::keepalive());
        }
        Err(failure) => thread.shared.counters.count("refused", failure.reason()),
    }
    dialed
}

/// TLS with an origin.
///
/// # Errors
///
/// Why it cannot be trusted. It is counted, and forgotten.
pub(crate) async fn handshake(
    thread: &Thread,
    name: &ServerName<'static>,
    port: u16,
    (tcp, address): (TcpStream, SocketAddr),
    offer: Offer,
) -> Result<Box<tokio_rustls::client::TlsStream<TcpStream>>, Failure> {
    let shared = &thread.shared;
    let known = thread.origins.borrow_mut().known(&shared.upstream, name, port, address, offer);
    let connecting = TlsConnector::from(Arc::clone(&known.config)).connect(name.clone(), tcp);
    let shaken = match timeout(shared.options.limits.handshake_time, Box::pin(connecting)).await {
        Ok(Ok(tls)) => Ok(Box::new(tls)),
        Ok(Err(error)) => Err(upstream::failed(&name.to_str(), &error, known.asks())),
        Err(_) => Err(Failure::Timeout(name.to_str().into_owned())),
    };
    shared.counters.count("tls_origin", shaken.as_ref().map_or_else(upstream::word, |_| "ok"));
    shaken
}
