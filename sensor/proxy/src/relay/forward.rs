//! One request after the other, or many at once, to one origin.

use super::Up;
use super::body::{self, Body, Drain, Source};
use super::exchange::Exchange;
use super::heads::{self, Plan, Trailers, Wanted};
use super::rewrite::Rewriting;
use super::upstream::Upstream;
use super::{Protocol, body::BodyError};
use crate::answer;
use crate::conn::Conn;
use crate::failure::Failure;
use crate::front::Patience;
use crate::inspect::{self, Cause, Ruling, Verdict};
use crate::options::Settings;
use crate::websocket;
use bytes::Bytes;
use detect::ProxyNews;
use http::header::{CONNECTION, SEC_WEBSOCKET_EXTENSIONS, TE, UPGRADE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version, request};
use hyper::body::{Body as _, Incoming};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use net::Direction;
use proto::EndKind;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Takes requests of one connection to one origin.
pub(crate) struct Forwarder {
    conn: Rc<Conn>,
    upstream: Upstream,
    /// A WebSocket that was agreed to: it begins once the HTTP library lets go of both connections.
    websocket: RefCell<Option<WebSocket>>,
}

struct WebSocket {
    client: OnUpgrade,
    origin: OnUpgrade,
    exchange: Rc<Exchange>,
    settings: Arc<Settings>,
    extensions: Option<String>,
}

/// What an answer of our own goes by.
struct Asked {
    http2: bool,
    head: bool,
    /// It takes trailers.
    trailers: bool,
}

impl Forwarder {
    /// For requests of `conn`.
    pub(crate) fn new(conn: Rc<Conn>, up: Up) -> Self {
        Self::over(conn, Upstream::new(up))
    }

    pub(super) fn over(conn: Rc<Conn>, upstream: Upstream) -> Self {
        Self { conn, upstream, websocket: RefCell::default() }
    }

    pub(super) const fn conn(&self) -> &Rc<Conn> {
        &self.conn
    }

    /// Serves one request; there is always an answer. When it is dropped, as when the client is gone, the request to the
    /// origin is broken off.
    pub(crate) async fn handle(self: Rc<Self>, request: Request<Incoming>) -> Response<Body> {
        let response = self.forward(request).await;
        self.conn.thread.shared.counters.answered(response.status());
        response
    }

    /// Carries the WebSocket that was agreed to, if any, until it is over. To be called when the HTTP library is done
    /// with the connection of the client.
    pub(crate) async fn upgraded(&self) {
        let Some(WebSocket { client, origin, exchange, settings, extensions }) = self.websocket.take() else { return };
        let (Ok(client), Ok(origin)) = tokio::join!(client, origin) else { return };
        let Some(inspection) = exchange.take() else {
            // Inspection failed, and the configuration says to let traffic pass then.
            let (mut client, mut origin) = (TokioIo::new(client), TokioIo::new(origin));
            // Whichever way it ends, both sides are closed.
            let _ = tokio::io::copy_bidirectional(&mut client, &mut origin).await;
            return;
        };
        let conn = Rc::clone(&self.conn);
        let relay = websocket::relay(conn, settings, inspection, client, origin, extensions.as_deref());
        Box::pin(relay).await;
    }

    async fn forward(&self, mut request: Request<Incoming>) -> Response<Body> {
        let mut since = Instant::now();
        let shared = &self.conn.thread.shared;
        let limits = &shared.options.limits;
        let drain = Drain { bytes: limits.drain_bytes, time: limits.drain_time };
        let upgrade = request.headers().contains_key(UPGRADE).then(|| hyper::upgrade::on(&mut request));
        let (mut parts, incoming) = request.into_parts();
        let http2 = parts.version == Version::HTTP_2;
        let mut asked = Asked { http2, head: parts.method == Method::HEAD, trailers: false };
        let plan = match heads::request(&mut parts, &self.conn) {
            Ok(plan) => plan,
            Err(failure) => {
                body::drain(incoming, drain);
                return self.failed(&failure, Some(&parts), &asked);
            }
        };
        asked.trailers = parts.headers.contains_key(TE);
        if plan == Plan::EndsHere {
            body::drain(incoming, drain);
            return Response::new(Body::empty());
        }
        let (exchange, mut verdict) = Exchange::begin(&self.conn, shared.settings.load_full(), &parts);
        let body = if incoming.is_end_stream() {
            if !matches!(verdict, Verdict::Act(_)) {
                verdict = exchange.end(Direction::ToServer, EndKind::Complete);
            }
            Body::empty()
        } else {
            let patience = patience(&incoming, asked.http2, limits.stall_time);
            let changes = exchange.rewrites(Direction::ToServer);
            let rewriting = changes.then(|| Rewriting::of_request(&parts.headers, &self.conn.thread));
            if rewriting.as_ref().is_some_and(|rewriting| rewriting.decodes) {
                exchange.plain(Direction::ToServer);
            }
            let trailers = Trailers::of(&parts.headers, http2, true);
            let mut source = Source::new(incoming, Rc::clone(&exchange), Direction::ToServer, trailers, drain)
                .with_patience(patience)
                .with_rewriting(rewriting);
            if matches!(verdict, Verdict::Hold) {
                match source.held().await {
                    Ok(false) => {}
                    Ok(true) => since = Instant::now(),
                    Err(error) => match exchange.stopped() {
                        Some(ruling) => verdict = Verdict::Act(ruling),
                        None => return self.failed(&broken(&error), Some(&parts), &asked),
                    },
                }
            }
            source.settle(&mut parts.headers);
            exchange.redact_head(&mut parts.headers);
            Body::stream(source)
        };
        if let Verdict::Act(ruling) = verdict {
            exchange.acted(&ruling, "none");
            return own(answer::ruling(&ruling, &parts), &asked);
        }
        let wanted = Wanted::of(&parts);
        if exchange.expects_messages() {
            inspect::ask_plain(&mut parts.headers);
        }
        if plan == Plan::WebSocket && (exchange.rewrites(Direction::ToClient) || exchange.rewrites(Direction::ToServer))
        {
            inspect::ask_plain_websocket(&mut parts.headers);
        }
        let mut spent = since.elapsed();
        let mut request = Request::from_parts(parts, body);
        if !http2 {
            self.count_interim(&mut request);
        }
        let answer = self.upstream.send(request, &self.conn).await;
        since = Instant::now();
        let answer = match answer {
            Ok(answer) => self.answer(&exchange, answer, upgrade.filter(|_| plan == Plan::WebSocket), &asked).await,
            Err(failure) => Err(Some(failure)),
        };
        match answer {
            Ok(response) => {
                spent += since.elapsed();
                shared.counters.added(spent);
                exchange.answered();
                response
            }
            // What was stopped on the way broke the rest.
            Err(failure) => match (exchange.stopped(), failure) {
                (Some(ruling), _) => {
                    exchange.acted(&ruling, "partial");
                    own(answer::ruling(&ruling, &wanted.head()), &asked)
                }
                (None, failure) => {
                    let failure = failure.unwrap_or(Failure::Fault);
                    self.failed(&failure, Some(&wanted.head()), &asked)
                }
            },
        }
    }

    /// Counts interim answers (RFC 9110 section 15.2), which the HTTP library has no way to pass on. Over HTTP/2 it does not
    /// even tell of them. 100 is what we asked for, if anybody.
    fn count_interim(&self, request: &mut Request<Body>) {
        let counters = Arc::clone(&self.conn.thread.shared.counters);
        hyper::ext::on_informational(request, move |answer| {
            if answer.status() != StatusCode::CONTINUE {
                counters.count("dropped", "interim");
            }
        });
    }

    /// The answer of the origin.
    ///
    /// # Errors
    ///
    /// Why there is none; `None` where the exchange knows what stopped it.
    async fn answer(
        &self,
        exchange: &Rc<Exchange>,
        mut answer: Response<Incoming>,
        client: Option<OnUpgrade>,
        asked: &Asked,
    ) -> Result<Response<Body>, Option<Failure>> {
        let switches = answer.status() == StatusCode::SWITCHING_PROTOCOLS;
        let origin = switches.then(|| hyper::upgrade::on(&mut answer));
        let (mut parts, incoming) = answer.into_parts();
        let protocol = if asked.http2 { Protocol::Http2 } else { Protocol::Http1 };
        heads::response(&mut parts, protocol)?;
        let verdict = exchange.response(&parts);
        if let Verdict::Act(ruling) = verdict {
            exchange.stop(ruling);
            return Err(None);
        }
        if let Some(origin) = origin {
            let client = client.ok_or_else(|| Failure::Broken("it changed to another protocol unasked".to_owned()))?;
            *self.websocket.borrow_mut() = Some(WebSocket {
                client,
                origin,
                exchange: Rc::clone(exchange),
                settings: Arc::clone(&exchange.settings),
                extensions: extensions(&parts.headers),
            });
            return Ok(Response::from_parts(parts, Body::empty()));
        }
        let body = if incoming.is_end_stream() {
            if let Verdict::Act(ruling) = exchange.end(Direction::ToClient, EndKind::Complete) {
                exchange.stop(ruling);
                return Err(None);
            }
            let bare = parts.status == StatusCode::NOT_MODIFIED && !asked.http2;
            if bare { Body::bare() } else { Body::empty() }
        } else {
            let drain = Drain { bytes: 0, time: Duration::ZERO };
            let changes = exchange.rewrites(Direction::ToClient);
            let rewriting = if changes { rewriting(exchange, asked.head, &parts.headers) } else { Ok(None) };
            let rewriting = rewriting.map_err(|ruling| {
                exchange.stop(ruling);
                None
            })?;
            if rewriting.is_some() {
                inspect::changed(&mut parts.headers);
            }
            let trailers = Trailers::of(&parts.headers, asked.http2, asked.trailers);
            let mut source = Source::new(incoming, Rc::clone(exchange), Direction::ToClient, trailers, drain)
                .with_rewriting(rewriting);
            if matches!(verdict, Verdict::Hold) {
                source.held().await.map_err(|error| match error {
                    BodyError::Stopped => None,
                    BodyError::Peer(_) | BodyError::Late | BodyError::Coding => Some(broken(&error)),
                })?;
            }
            Body::stream(source)
        };
        Ok(Response::from_parts(parts, body))
    }

    fn failed(&self, failure: &Failure, parts: Option<&request::Parts>, asked: &Asked) -> Response<Body> {
        let shared = &self.conn.thread.shared;
        shared.counters.count("refused", failure.reason());
        if let Failure::Misdirected { asked, connected } = failure {
            let news = ProxyNews::Misdirected { connected: connected.clone(), asked: asked.clone() };
            inspect::tell(&self.conn, news);
        }
        let mut response = own(answer::failure(failure, parts), asked);
        if matches!(failure, Failure::Invalid(_)) && !asked.http2 {
            // Whoever sent this may see message ends elsewhere than we do.
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

/// Least that must come of a body of a known length in the longest time that is waited for it, in bytes: less than
/// anybody's line carries.
const LEAST_PROGRESS: u64 = 4096;

/// How long the body of a request is waited for. Where its length is not known, any byte is progress; and over HTTP/2 it may
/// then be one side of a conversation, which may be silent for as long as it likes.
fn patience(incoming: &Incoming, http2: bool, limit: Duration) -> Option<Patience> {
    match incoming.size_hint().exact() {
        Some(_) => Some(Patience::new(limit, LEAST_PROGRESS)),
        None => (!http2).then(|| Patience::new(limit, 1)),
    }
}

/// What is needed to change an answer, if anything of it may be.
///
/// # Errors
///
/// What to do instead, where it cannot be read and the configuration says to stop traffic then.
fn rewriting(exchange: &Exchange, head: bool, headers: &HeaderMap) -> Result<Option<Rewriting>, Box<Ruling>> {
    let expected = exchange.expects_messages() || inspect::is_event_stream(headers);
    let rewriting = if head || !expected || !inspect::is_editable(headers) {
        None
    } else {
        let answer = Rewriting::of_answer(headers, &exchange.conn.thread, &exchange.settings);
        answer.map_err(|()| exchange.refuse_answer(Cause::Fault))?
    };
    match &rewriting {
        None => exchange.leave(Direction::ToClient),
        Some(rewriting) if rewriting.decodes => exchange.plain(Direction::ToClient),
        Some(_) => {}
    }
    Ok(rewriting)
}

/// What is told of a body that broke off.
pub(super) fn broken(error: &BodyError) -> Failure {
    match error {
        BodyError::Late => Failure::Invalid("its body came too slowly"),
        BodyError::Peer(_) | BodyError::Stopped | BodyError::Coding => Failure::Broken(error.to_string()),
    }
}

/// An answer of our own.
fn own(answer: Response<Bytes>, asked: &Asked) -> Response<Body> {
    answer.map(|bytes| if asked.head { Body::empty() } else { Body::full(bytes) })
}

/// What was agreed to beside the protocol (RFC 6455 section 9.1).
fn extensions(headers: &HeaderMap) -> Option<String> {
    let mut all = headers.get_all(SEC_WEBSOCKET_EXTENSIONS).iter().filter_map(|value| value.to_str().ok());
    let first = all.next()?.to_owned();
    Some(all.fold(first, |all, more| all + ", " + more))
}
