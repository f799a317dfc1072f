//! The endpoint: `/metrics`, `/healthz`, `/readyz`.
//!
//! A thread of its own takes a sample once a second; requests are answered from the last one, so that no number of
//! them costs more than that. At most [`MAX_CONNECTIONS`] at once, one request each.

use super::render::CONTENT_TYPE;
use super::{Health, Renderer, Sample, Watch};
use crate::outlet::now;
use http_body_util::Full;
use hyper::body::{Body as _, Bytes, Incoming};
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE as TYPE, HOST, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, Version};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::{Semaphore, oneshot};

/// Connections at once; more wait for their turn.
const MAX_CONNECTIONS: usize = 16;
/// Bytes and fields of a request's head.
const MAX_HEAD: usize = 16 << 10;
const MAX_FIELDS: usize = 64;
/// Time for the head of a request, and for all of a connection.
const HEAD_TIME: Duration = Duration::from_secs(5);
const CONNECTION_TIME: Duration = Duration::from_secs(10);
/// How often a sample is taken.
const EVERY: Duration = Duration::from_secs(1);

/// Gives the present sample. Must not wait for anything.
pub type Source = Arc<dyn Fn() -> Sample + Send + Sync>;

/// How the endpoint answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Names, beside those of loopback, that a request may give in `Host`. Where the endpoint is bound to another
    /// address than loopback and this is empty, any name will do.
    pub hosts: Vec<String>,
}

/// Why the endpoint cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// Others than this machine could reach it, and nobody said that they may.
    #[error("metrics at {0} could be read by other machines; name a loopback address such as 127.0.0.1:{port}, or allow it explicitly", port = .0.port())]
    Wide(SocketAddr),
    /// The system refused.
    #[error("cannot serve metrics at {addr}: {error}")]
    Io {
        /// Where.
        addr: SocketAddr,
        /// What the system said.
        error: io::Error,
    },
}

/// Listens at `addr`: at one that other machines reach only where `wide` says so. To be called before privileges are
/// dropped.
///
/// # Errors
///
/// [`BindError`], which names the address and what would do.
pub fn bind(addr: SocketAddr, wide: bool) -> Result<TcpListener, BindError> {
    if !addr.ip().to_canonical().is_loopback() && !wide {
        return Err(BindError::Wide(addr));
    }
    let listen = || {
        let listener = TcpListener::bind(addr)?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    };
    listen().map_err(|error| BindError::Io { addr, error })
}

/// The endpoint; it ends when this is dropped.
pub struct Server {
    addr: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("addr", &self.addr).finish_non_exhaustive()
    }
}

impl Server {
    /// Where it listens, with the port that the system chose.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Starts answering on a `listener` from [`bind`].
///
/// # Errors
///
/// Where the system gives no thread or no event queue.
pub fn serve(listener: TcpListener, options: Options, source: Source) -> io::Result<Server> {
    let addr = listener.local_addr()?;
    listener.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
    let listener = {
        let _inside = runtime.enter();
        tokio::net::TcpListener::from_std(listener)?
    };
    let (stop, stopped) = oneshot::channel();
    let check = addr.ip().to_canonical().is_loopback() || !options.hosts.is_empty();
    let endpoint = Arc::new(Endpoint { source, check, hosts: options.hosts, pages: Mutex::default() });
    endpoint.look();
    let thread = std::thread::Builder::new().name("metrics".into()).spawn(move || {
        runtime.block_on(async {
            tokio::spawn(look_each_second(Arc::clone(&endpoint)));
            tokio::spawn(accept(listener, endpoint));
            let _ = stopped.await;
        });
    })?;
    Ok(Server { addr, stop: Some(stop), thread: Some(thread) })
}

async fn look_each_second(endpoint: Arc<Endpoint>) {
    let mut each = tokio::time::interval(EVERY);
    each.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        each.tick().await;
        endpoint.look();
    }
}

async fn accept(listener: tokio::net::TcpListener, endpoint: Arc<Endpoint>) {
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    while let Ok(place) = Arc::clone(&room).acquire_owned().await {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of descriptors, or the peer was quick to leave: never in a busy loop.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let endpoint = Arc::clone(&endpoint);
        tokio::spawn(async move {
            let service = service_fn(|request| {
                let answer = endpoint.answer(&request);
                async move { Ok::<_, std::convert::Infallible>(answer) }
            });
            let mut http = hyper::server::conn::http1::Builder::new();
            http.timer(TokioTimer::new())
                .header_read_timeout(HEAD_TIME)
                .keep_alive(false)
                .max_buf_size(MAX_HEAD)
                .max_headers(MAX_FIELDS);
            let connection = http.serve_connection(TokioIo::new(stream), service);
            // However it ends, the peer's errors are its own.
            let _ = tokio::time::timeout(CONNECTION_TIME, connection).await;
            drop(place);
        });
    }
}

struct Endpoint {
    source: Source,
    /// Whether `Host` is looked at.
    check: bool,
    hosts: Vec<String>,
    pages: Mutex<Pages>,
}

#[derive(Default)]
struct Pages {
    watch: Watch,
    renderer: Renderer,
    sample: Sample,
    health: Health,
    /// The sample as text, once somebody asked.
    text: Option<Bytes>,
}

impl Endpoint {
    fn look(&self) {
        let sample = (self.source)();
        let mut pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        let pages = &mut *pages;
        pages.health = pages.watch.see(&sample, now());
        pages.sample = sample;
        pages.text = None;
    }

    fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        if request.method() != Method::GET && request.method() != Method::HEAD {
            let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return response;
        }
        if !request.body().is_end_stream() {
            return text(StatusCode::PAYLOAD_TOO_LARGE, "a request here has no body\n");
        }
        if self.check && !self.known(request) {
            return text(StatusCode::MISDIRECTED_REQUEST, "this endpoint has another name\n");
        }
        let mut pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        let pages = &mut *pages;
        let health = &pages.health;
        match request.uri().path() {
            "/metrics" => {
                let Pages { renderer, sample, health, text, .. } = pages;
                let page = text.get_or_insert_with(|| renderer.render(sample, health).into());
                let mut response = Response::new(Full::new(page.clone()));
                response.headers_mut().insert(TYPE, HeaderValue::from_static(CONTENT_TYPE));
                response
            }
            "/healthz" if !health.faults.is_empty() => {
                text(StatusCode::SERVICE_UNAVAILABLE, &lines("failing", &health.faults))
            }
            "/healthz" if !health.degraded.is_empty() => text(StatusCode::OK, &lines("degraded", &health.degraded)),
            "/healthz" => text(StatusCode::OK, "ok\n"),
            "/readyz" if health.ready => text(StatusCode::OK, "ready\n"),
            "/readyz" => text(StatusCode::SERVICE_UNAVAILABLE, "not ready\n"),
            _ => text(StatusCode::NOT_FOUND, "/metrics, /healthz, /readyz\n"),
        }
    }

    /// Whether the request names us as we are known. A page whose name was made to point here names itself.
    fn known(&self, request: &Request<Incoming>) -> bool {
        let field = request.headers().get_all(HOST).iter().map(|host| host.to_str().ok());
        let mut names = field.chain(request.uri().authority().map(|a| Some(a.as_str()))).peekable();
        // Before HTTP/1.1 there was no `Host`; no browser speaks that any more.
        if names.peek().is_none() {
            return request.version() == Version::HTTP_10;
        }
        names.all(|name| name.is_some_and(|name| self.is_ours(name)))
    }

    fn is_ours(&self, authority: &str) -> bool {
        let host = match authority.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
            _ => authority,
        };
        let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
        host.eq_ignore_ascii_case("localhost")
            || bare.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
            || self.hosts.iter().any(|ours| ours.eq_ignore_ascii_case(host))
    }
}

/// A word, then reasons, one a line.
fn lines(word: &str, reasons: &[String]) -> String {
    let mut out = format!("{word}\n");
    for reason in reasons {
        out.push_str(&crate::safe::safe(reason));
        out.push('\n');
    }
    out
}

fn text(status: StatusCode, body: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::copy_from_slice(body.as_bytes())));
    *response.status_mut() = status;
    response.headers_mut().insert(TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
