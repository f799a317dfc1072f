//! What clients say to the proxy itself: CONNECT, requests in absolute form, and the few pages of its own.

use super::intercept::Ends;
use super::io::DownIo;
use super::route::{Route, dial};
use super::timing::{Pending, Timing, attend, supervise};
use crate::answer;
use crate::conn::Conn;
use crate::failure::Failure;
use crate::gate::{Authority, Login, pac};
use crate::inspect::{Caller, Line, refuses_host};
use crate::relay::{Body, Forwarder, Protocol, Up};
use crate::thread::Thread;
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HOST, PROXY_AUTHORIZATION, TRANSFER_ENCODING};
use http::{Method, Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;

/// Destinations of plain requests that a connection keeps connected.
const MAX_FORWARDERS: usize = 8;
/// When to try again after too many wrong passwords.
const RETRY: Duration = Duration::from_mins(1);
/// Least size of the buffer of a head that the HTTP library takes, in bytes.
const MIN_HEAD: usize = 8192;

/// A client at the proxy.
struct Session {
    thread: Rc<Thread>,
    listener: u16,
    client: SocketAddr,
    /// Where it connected to.
    local: SocketAddr,
    timing: Arc<Timing>,
    /// What CONNECT asked for, once it was granted.
    granted: RefCell<Option<Granted>>,
    /// Destinations of plain requests, the latest last.
    forwarders: RefCell<Vec<Destination>>,
}

/// Who takes requests of a user to an origin.
struct Destination {
    to: Authority,
    user: Option<Arc<str>>,
    forwarder: Rc<Forwarder>,
}

/// A CONNECT that was granted.
struct Granted {
    upgrade: OnUpgrade,
    user: Option<Arc<str>>,
    authority: Authority,
    dialed: Option<(TcpStream, SocketAddr)>,
}

/// Serves a connection from its first byte on.
pub(crate) async fn serve(thread: Rc<Thread>, tcp: TcpStream, client: SocketAddr, listener: u16) {
    // Its box is gone before what follows, which may last.
    let opened = Box::pin(requests(thread, tcp, client, listener)).await;
    if let Some((ends, tcp, early)) = opened
        && let Some(last) = Box::pin(super::intercept::opened(ends, tcp, early)).await
    {
        last.await;
    }
}

/// Serves requests to the proxy, until there are no more or CONNECT is granted.
async fn requests(
    thread: Rc<Thread>,
    tcp: TcpStream,
    client: SocketAddr,
    listener: u16,
) -> Option<(Ends, TcpStream, Bytes)> {
    let limits = &thread.shared.options.limits;
    let timing = Timing::new(limits, &thread.shared.counters);
    let mut builder = http1::Builder::new();
    builder
        .auto_date_header(false)
        .header_read_timeout(None)
        .max_headers(limits.head_fields)
        .max_buf_size(limits.head_bytes.max(MIN_HEAD));
    let session = Rc::new(Session {
        thread: Rc::clone(&thread),
        listener,
        client,
        local: tcp.local_addr().ok()?,
        timing: Arc::clone(&timing),
        granted: RefCell::new(None),
        forwarders: RefCell::default(),
    });
    let serving = Rc::clone(&session);
    let service = service_fn(move |request| Rc::clone(&serving).serve(request));
    let io = TokioIo::new(DownIo::tcp(tcp, Arc::clone(&timing)));
    let mut conn = pin!(builder.serve_connection(io, service).with_upgrades());
    let counters = &thread.shared.counters;
    let ended =
        supervise(conn.as_mut(), &timing, &thread.drain, counters, http1::UpgradeableConnection::graceful_shutdown)
            .await;
    if !matches!(ended, Some(Ok(()))) {
        return None;
    }
    let forwarders = session.forwarders.take();
    for Destination { forwarder, .. } in forwarders {
        // At most one of them agreed to a WebSocket, with the last request.
        Box::pin(attend(forwarder.upgraded(), &timing)).await;
    }
    let granted = session.granted.take()?;
    let parts = granted.upgrade.await.ok()?.downcast::<TokioIo<DownIo>>().ok()?;
    let (tcp, _) = parts.io.into_inner().into_tcp()?;
    let Granted { user, authority, dialed, .. } = granted;
    let (dialed, server) = dialed.unzip();
    let thread = Rc::clone(&thread);
    let ends = Ends { thread, listener, client, user, authority, dialed, server, timing, news: Vec::new() };
    Some((ends, tcp, parts.read_buf))
}

impl Session {
    async fn serve(self: Rc<Self>, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
        let pending = Pending::new(&self.timing);
        let response = match self.answer(request).await {
            Ok(response) => response,
            Err(response) => response.map(Body::full),
        };
        Ok(response.map(|body| body.with_pending(pending)))
    }

    /// # Errors
    ///
    /// An answer of our own.
    async fn answer(self: Rc<Self>, request: Request<Incoming>) -> Result<Response<Body>, Response<Bytes>> {
        let shared = &self.thread.shared;
        if request.method() != Method::CONNECT && request.uri().authority().is_none() {
            return Err(self.page(&request));
        }
        let credentials = request.headers().get(PROXY_AUTHORIZATION);
        let user = match shared.gate.login(self.client.ip(), credentials).await {
            Login::NotNeeded => None,
            Login::User(user) => Some(user),
            Login::Refused => {
                shared.counters.count("refused", "login");
                return Err(answer::login());
            }
            Login::TooMany => {
                shared.counters.count("refused", "login_too_many");
                return Err(answer::too_many(RETRY));
            }
        };
        if request.method() == Method::CONNECT {
            return self.connect(request, user).await.map(|()| Response::new(Body::empty()));
        }
        let forwarder = match self.forwarder(&request, user) {
            Ok(forwarder) => forwarder,
            Err(failure) => return Err(self.refuse(&failure, request)),
        };
        Ok(Box::pin(forwarder.handle(request)).await)
    }

    fn refuse(&self, failure: &Failure, request: Request<Incoming>) -> Response<Bytes> {
        let (parts, _) = request.into_parts();
        self.thread.shared.counters.count("refused", failure.reason());
        answer::failure(failure, Some(&parts))
    }

    /// The proxy's own pages.
    fn page(&self, request: &Request<Incoming>) -> Response<Bytes> {
        match request.uri().path() {
            "/" => answer::root(),
            // As the client reached it, which only the client knows.
            "/proxy.pac" => answer::pac(pac(request.headers().get(HOST), self.local)),
            _ => answer::unknown(),
        }
    }

    /// CONNECT (RFC 9110 section 9.3.6): granted once the origin is connected to.
    async fn connect(&self, mut request: Request<Incoming>, user: Option<Arc<str>>) -> Result<(), Response<Bytes>> {
        let shared = &self.thread.shared;
        let headers = request.headers();
        let bare = !headers.contains_key(TRANSFER_ENCODING)
            && headers.get(CONTENT_LENGTH).is_none_or(|length| length.as_bytes() == b"0");
        let authority = request.uri().authority().and_then(|authority| Authority::parse(authority.as_str(), None));
        let (true, Some(authority)) = (bare, authority) else {
            let why = if bare { "CONNECT takes a host and a port" } else { "CONNECT takes no body" };
            return Err(self.refuse(&Failure::Invalid(why), request));
        };
        let settings = shared.settings.load_full();
        // Told in-band, since clients do not show why CONNECT was refused.
        let unwanted =
            shared.ca.is_some() && refuses_host(&settings, &self.caller(user.as_deref(), &authority), &authority.host);
        let dialed = if unwanted {
            None
        } else {
            match dial(&self.thread, &settings, &authority, true).await {
                Ok(dialed) => Some(dialed),
                Err(failure) => {
                    let (parts, _) = request.into_parts();
                    return Err(answer::failure(&failure, Some(&parts)));
                }
            }
        };
        let upgrade = hyper::upgrade::on(&mut request);
        *self.granted.borrow_mut() = Some(Granted { upgrade, user, authority, dialed });
        Ok(())
    }

    fn caller<'a>(&self, user: Option<&'a str>, authority: &Authority) -> Caller<'a> {
        Caller { client: self.client.ip(), user, port: authority.port }
    }

    /// Who takes requests to the destination of this one.
    fn forwarder(&self, request: &Request<Incoming>, user: Option<Arc<str>>) -> Result<Rc<Forwarder>, Failure> {
        if request.uri().scheme_str() != Some("http") {
            return Err(Failure::Invalid("only http is served in this form; for https there is CONNECT"));
        }
        let authority = request.uri().authority().and_then(|named| Authority::parse(named.as_str(), Some(80)));
        let authority = authority.ok_or(Failure::Invalid("no valid host"))?;
        let mut forwarders = self.forwarders.borrow_mut();
        let known = forwarders.iter().position(|known| known.to == authority && known.user == user);
        if let Some(at) = known {
            let known = forwarders.remove(at);
            let forwarder = Rc::clone(&known.forwarder);
            forwarders.push(known);
            return Ok(forwarder);
        }
        if forwarders.len() >= MAX_FORWARDERS {
            forwarders.remove(0);
        }
        let conn = Rc::new(Conn {
            thread: Rc::clone(&self.thread),
            number: self.thread.shared.number(),
            listener: self.listener,
            client: self.client,
            user: user.clone(),
            authority: authority.clone(),
            server: Cell::new(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0)),
            tls: None,
            verified: false,
            connect: false,
            line: Line::default(),
        });
        let route = Route::plain(Rc::clone(&self.thread), authority.clone(), false, Protocol::Http1);
        let forwarder = Rc::new(Forwarder::new(conn, Up::Later(route)));
        forwarders.push(Destination { to: authority, user, forwarder: Rc::clone(&forwarder) });
        Ok(forwarder)
    }
}
