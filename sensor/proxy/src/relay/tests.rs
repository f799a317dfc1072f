//! Real clients and origins of the HTTP library, over memory.

mod bodies;
mod changed;
mod ends;
mod framing;
mod held;
mod passing;

use super::forward::Forwarder;
use super::upstream::{Local, Upstream};
use super::{Connected, Protocol, serve};
use crate::conn::Conn;
use crate::front::{DownIo, UpIo};
use crate::gate::Authority;
use crate::inspect::{Cause, Line, Ruling, Verdict};
use crate::options::{
    Access, Bypass, Destinations, Fault, Hold, Limits, Options, Over, Reporter, Settings, Upstream as Origins,
};
use crate::thread::{Files, Shared, Thread};
use bytes::Bytes;
use detect::{Generation, Observation, What};
use http::{HeaderMap, Request, Response, Version};
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::{Frame, Incoming};
use hyper::client::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use net::Direction;
use proto::EndKind;
use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::rc::Rc;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::mpsc;
use tokio::task::LocalSet;

/// Longest time anything may take here.
const SOON: Duration = Duration::from_secs(20);
/// Bytes that fit between two sides.
const PIPE: usize = 32 << 10;

/// A body of the tests' own clients and origins.
pub(super) type Any = UnsyncBoxBody<Bytes, BrokeOff>;

/// A test broke a body off.
#[derive(Debug, thiserror::Error)]
#[error("broke off")]
pub(super) struct BrokeOff;

pub(super) fn full(bytes: impl Into<Bytes>) -> Any {
    http_body_util::Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

pub(super) fn empty() -> Any {
    http_body_util::Empty::new().map_err(|never| match never {}).boxed_unsync()
}

/// A body that a test feeds.
pub(super) struct Fed(mpsc::Receiver<Result<Frame<Bytes>, BrokeOff>>);

pub(super) type Feed = mpsc::Sender<Result<Frame<Bytes>, BrokeOff>>;

impl hyper::body::Body for Fed {
    type Data = Bytes;
    type Error = BrokeOff;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, BrokeOff>>> {
        self.0.poll_recv(cx)
    }
}

pub(super) fn fed() -> (Feed, Any) {
    let (feed, body) = mpsc::channel(1);
    (feed, Fed(body).boxed_unsync())
}

#[expect(clippy::unnecessary_wraps, reason = "it is what bodies are fed with")]
pub(super) fn data(bytes: impl Into<Bytes>) -> Result<Frame<Bytes>, BrokeOff> {
    Ok(Frame::data(bytes.into()))
}

/// What the tests have said of an exchange, in place of the inspector: the field `x-script` of the request asks for it.
///
/// `hold` holds a request until its braces are closed and stops it if `evil` is in it; `watch` does so without holding the
/// head; `answer` holds and stops answers; `panic` panics at the first slice.
pub(super) struct Script {
    what: String,
    depth: Cell<i64>,
    seen: RefCell<Vec<u8>>,
}

thread_local! {
    /// Ends that scripts were told of.
    pub(super) static ENDS: RefCell<Vec<(Direction, EndKind)>> = const { RefCell::new(Vec::new()) };
}

pub(super) fn script(head: &http::request::Parts) -> Option<Script> {
    let what = head.headers.get("x-script")?.to_str().ok()?.to_owned();
    Some(Script { what, depth: Cell::new(0), seen: RefCell::default() })
}

fn refusal() -> Box<Ruling> {
    let bare = Ruling::bare("origin.example", std::net::IpAddr::from([10, 1, 2, 3]), Cause::Policy);
    Box::new(Ruling { confidence: detect::Confidence::Confirmed, ..bare })
}

impl Script {
    pub(super) fn head(&self) -> Verdict {
        match self.what.as_str() {
            "hold" | "panic" => Verdict::Hold,
            "stop" => Verdict::Act(refusal()),
            _ => Verdict::Pass,
        }
    }

    pub(super) fn answer(&self, _head: &http::response::Parts) -> Verdict {
        if self.what == "answer" { Verdict::Hold } else { Verdict::Pass }
    }

    pub(super) fn body(&self, direction: Direction, bytes: &[u8]) -> Verdict {
        let looked_at = if self.what.starts_with("answer") { Direction::ToClient } else { Direction::ToServer };
        match self.what.as_str() {
            "panic" => panic!("as asked for"),
            "hold" | "watch" | "answer" | "answer-watch" if direction == looked_at => {}
            _ => return Verdict::Pass,
        }
        let mut seen = self.seen.borrow_mut();
        seen.extend_from_slice(bytes);
        let evil = seen.windows(4).any(|four| four == b"evil");
        for byte in bytes {
            self.depth.set(self.depth.get() + i64::from(*byte == b'{') - i64::from(*byte == b'}'));
        }
        match () {
            () if self.depth.get() > 0 => Verdict::Hold,
            () if evil => Verdict::Act(refusal()),
            () => Verdict::Pass,
        }
    }

    pub(super) fn end(direction: Direction, how: EndKind) -> Verdict {
        ENDS.with_borrow_mut(|ends| ends.push((direction, how)));
        Verdict::Pass
    }
}

thread_local! {
    /// What was told of actions: how much of the request had been delivered.
    pub(super) static TOLD: RefCell<Vec<&'static str>> = const { RefCell::new(Vec::new()) };
}

/// Keeps what is told of actions, for the thread it is told on.
#[derive(Debug)]
struct Keeper;

impl Reporter for Keeper {
    fn report(&self, observation: Observation) -> Result<(), Box<Observation>> {
        if let What::Exchange(_, update) = &observation.what
            && let Some(acted) = &update.acted
        {
            TOLD.with_borrow_mut(|told| told.push(acted.delivered));
        }
        Ok(())
    }
}

/// What a test wants to be different.
#[derive(Clone, Default)]
pub(super) struct Wish {
    pub(super) hold: Hold,
    pub(super) fault: Option<Fault>,
    /// `[[policy]]` tables.
    pub(super) policies: &'static str,
    pub(super) limits: Limits,
}

fn settings(wish: &Wish) -> Settings {
    static GENERATION: OnceLock<Arc<Generation>> = OnceLock::new();
    let generation = GENERATION.get_or_init(|| {
        let rules = detect::rules::compile(&detect::rules::builtin()).unwrap();
        Arc::new(Generation { rules, scope: detect::Scope::default(), policy: detect::Policy::default() })
    });
    let generation = if wish.policies.is_empty() { Arc::clone(generation) } else { changed::generation(wish.policies) };
    Settings {
        generation,
        access: Access::default(),
        destinations: Destinations::default(),
        bypass: Bypass::default(),
        hold: wish.hold,
        on_fault: wish.fault.unwrap_or(Fault::Closed),
    }
}

pub(super) fn thread(wish: &Wish) -> Rc<Thread> {
    let options = Options {
        listeners: Vec::new(),
        threads: NonZeroUsize::MIN,
        ca: None,
        upstream: Origins { system_roots: true, ..Origins::default() },
        limits: wish.limits.clone(),
        look_alikes: false,
        first_source: 0,
        own: Vec::new(),
    };
    let settings = settings(wish);
    let files = Files::read(&options, &settings).unwrap();
    Thread::new(Shared::new(files, options, settings, Arc::new(Keeper)))
}

pub(super) fn conn(thread: &Rc<Thread>) -> Rc<Conn> {
    let nobody = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
    Rc::new(Conn {
        thread: Rc::clone(thread),
        number: 1 << 63,
        listener: 0,
        client: nobody,
        user: None,
        authority: Authority { host: "origin.example".to_owned(), port: 443 },
        server: Cell::new(nobody),
        tls: None,
        verified: true,
        connect: true,
        line: Line::default(),
    })
}

/// A proxy between a client and an origin.
pub(super) struct Between {
    pub(super) thread: Rc<Thread>,
    /// Where the client speaks.
    pub(super) client: DuplexStream,
    /// Where connections to the origin come out.
    pub(super) origin: mpsc::UnboundedReceiver<DuplexStream>,
    pub(super) over: tokio::task::JoinHandle<()>,
}

pub(super) fn between(protocol: Protocol, wish: &Wish) -> Between {
    let thread = thread(wish);
    let (client, down) = duplex(PIPE);
    let (dialed, origin) = mpsc::unbounded_channel();
    let upstream = Upstream::test(Box::new(move || {
        let (up, origin) = duplex(PIPE);
        dialed.send(origin).ok()?;
        Some(Connected { io: UpIo::from(up), address: SocketAddr::from((Ipv4Addr::LOCALHOST, 443)), protocol })
    }));
    let forwarder = Rc::new(Forwarder::over(conn(&thread), upstream));
    let down = DownIo::memory(down, &thread);
    let over = tokio::task::spawn_local(serve::run(forwarder, down, protocol));
    Between { thread, client, origin, over }
}

/// Serves every connection to the origin with `answer`.
pub(super) fn origin<A, F>(mut dialed: mpsc::UnboundedReceiver<DuplexStream>, protocol: Protocol, answer: A)
where
    A: Fn(Request<Incoming>) -> F + 'static,
    F: Future<Output = Response<Any>> + 'static,
{
    let answer = Rc::new(answer);
    tokio::task::spawn_local(async move {
        while let Some(io) = dialed.recv().await {
            let answer = Rc::clone(&answer);
            let service = service_fn(move |request| {
                let answered = answer(request);
                async move { Ok::<_, Infallible>(answered.await) }
            });
            let io = TokioIo::new(io);
            tokio::task::spawn_local(async move {
                // How a connection ends is for the test to judge, at the other side.
                match protocol {
                    Protocol::Http1 => {
                        let conn = hyper::server::conn::http1::Builder::new()
                            .auto_date_header(false)
                            .serve_connection(io, service);
                        drop(conn.with_upgrades().await);
                    }
                    Protocol::Http2 => drop(
                        hyper::server::conn::http2::Builder::new(Local)
                            .auto_date_header(false)
                            .serve_connection(io, service)
                            .await,
                    ),
                }
            });
        }
    });
}

/// A client of either protocol.
#[derive(Clone)]
pub(super) enum Client {
    Http1(Rc<RefCell<http1::SendRequest<Any>>>),
    Http2(http2::SendRequest<Any>),
}

impl Client {
    pub(super) async fn new(io: DuplexStream, protocol: Protocol) -> Self {
        let io = TokioIo::new(io);
        match protocol {
            Protocol::Http1 => {
                let (sender, conn) = http1::handshake(io).await.unwrap();
                tokio::task::spawn_local(conn.with_upgrades());
                Self::Http1(Rc::new(RefCell::new(sender)))
            }
            Protocol::Http2 => {
                let (sender, conn) = http2::handshake(Local, io).await.unwrap();
                tokio::task::spawn_local(conn);
                Self::Http2(sender)
            }
        }
    }

    /// Sends a request to `path`; fields and version are as the protocol wants them.
    pub(super) async fn send(&self, mut request: Request<Any>) -> hyper::Result<Response<Incoming>> {
        match self {
            Self::Http1(sender) => {
                request.headers_mut().entry("host").or_insert_with(|| "origin.example".parse().unwrap());
                std::future::poll_fn(|cx| sender.borrow_mut().poll_ready(cx)).await?;
                let sent = sender.borrow_mut().send_request(request);
                sent.await
            }
            Self::Http2(sender) => {
                let path = request.uri().path_and_query().unwrap().as_str().to_owned();
                *request.uri_mut() = format!("https://origin.example{path}").parse().unwrap();
                *request.version_mut() = Version::HTTP_2;
                sender.clone().send_request(request).await
            }
        }
    }
}

/// Client and origin with the proxy between.
pub(super) async fn through<A, F>(protocol: Protocol, wish: &Wish, answer: A) -> (Client, Rc<Thread>)
where
    A: Fn(Request<Incoming>) -> F + 'static,
    F: Future<Output = Response<Any>> + 'static,
{
    let between = between(protocol, wish);
    origin(between.origin, protocol, answer);
    (Client::new(between.client, protocol).await, between.thread)
}

/// Runs a test on one thread, within the time that is there for it.
#[track_caller]
pub(super) fn run<F: Future>(test: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let local = LocalSet::new();
    runtime.block_on(local.run_until(async { tokio::time::timeout(SOON, test).await.expect("in time") }))
}

/// Waits until something holds.
pub(super) async fn until(what: &str, holds: impl Fn() -> bool) {
    let deadline = tokio::time::Instant::now() + SOON;
    while !holds() {
        assert!(tokio::time::Instant::now() < deadline, "{what}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

pub(super) async fn collected(body: Incoming) -> (Bytes, Option<HeaderMap>) {
    let collected = body.collect().await.unwrap();
    let trailers = collected.trailers().cloned();
    (collected.to_bytes(), trailers)
}

pub(super) const BOTH: [Protocol; 2] = [Protocol::Http1, Protocol::Http2];
