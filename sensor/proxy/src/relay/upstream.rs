//! The one connection to the origin that goes with a connection of a client.

use super::body::{Body, BodyError};
use super::{Connected, MAX_BUFFER, Protocol, STREAM_WINDOW, Up, WINDOW};
use crate::conn::Conn;
use crate::failure::Failure;
use crate::front::{Route, UpIo};
use crate::options::Limits;
use http::{Request, Response, Version};
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1, http2};
use hyper_util::rt::TokioIo;
use std::cell::RefCell;
use tokio::sync::Mutex;

/// Runs what the HTTP library wants to run on its own: on this thread.
#[derive(Clone, Copy, Debug)]
pub(super) struct Local;

impl<F: Future + 'static> hyper::rt::Executor<F> for Local
where
    F::Output: 'static,
{
    fn execute(&self, future: F) {
        tokio::task::spawn_local(future);
    }
}

/// Takes requests of a connection to an origin.
enum Sender {
    Http1(http1::SendRequest<Body>),
    Http2(http2::SendRequest<Body>),
}

/// Where an origin is connected to again.
enum Way {
    Route(Route),
    #[cfg(test)]
    Test(Box<dyn Fn() -> Option<Connected>>),
    Never(Failure),
}

/// The connection to the origin: made when it is first needed, and made again when it was closed between two requests.
pub(super) struct Upstream {
    way: Way,
    /// Connected, but nothing was sent yet.
    fresh: RefCell<Option<Connected>>,
    sender: RefCell<Option<Sender>>,
    /// One connects, others wait.
    connecting: Mutex<()>,
}

impl Upstream {
    pub(super) fn new(up: Up) -> Self {
        let (fresh, way) = match up {
            Up::Ready(connected, route) => (Some(connected), Way::Route(route)),
            Up::Later(route) => (None, Way::Route(route)),
            Up::Never(failure) => (None, Way::Never(failure)),
        };
        Self::made(fresh, way)
    }

    #[cfg(test)]
    pub(super) fn test(dial: Box<dyn Fn() -> Option<Connected>>) -> Self {
        Self::made(None, Way::Test(dial))
    }

    fn made(fresh: Option<Connected>, way: Way) -> Self {
        Self { way, fresh: RefCell::new(fresh), sender: RefCell::default(), connecting: Mutex::default() }
    }

    /// Sends a request and waits for the head of its answer. A request of which no byte was written, since the
    /// connection had ended, is sent once more on a new one.
    ///
    /// # Errors
    ///
    /// [`Failure`]; the request is gone.
    pub(super) async fn send(&self, mut request: Request<Body>, conn: &Conn) -> Result<Response<Incoming>, Failure> {
        let mut again = true;
        loop {
            let sender = self.sender(conn).await?;
            let (answer, sender) = match sender {
                Sender::Http1(mut sender) => (sender.try_send_request(request).await, Sender::Http1(sender)),
                Sender::Http2(mut sender) => (sender.try_send_request(request).await, Sender::Http2(sender)),
            };
            match answer {
                Ok(answer) => {
                    // An origin of HTTP/1.0 takes no chunked body, and the HTTP library would send none at all.
                    if let Sender::Http1(sender) = sender
                        && answer.version() == Version::HTTP_11
                    {
                        *self.sender.borrow_mut() = Some(Sender::Http1(sender));
                    }
                    return Ok(answer);
                }
                Err(error) => {
                    request = unsent(error, again)?;
                    again = false;
                }
            }
        }
    }

    /// Something to send with, on a connection that is open as far as is known.
    async fn sender(&self, conn: &Conn) -> Result<Sender, Failure> {
        if let Some(mut sender) = self.open() {
            let ready = match &mut sender {
                Sender::Http1(sender) => sender.ready().await.is_ok(),
                Sender::Http2(_) => true,
            };
            if ready {
                return Ok(sender);
            }
        }
        let _connecting = self.connecting.lock().await;
        if let Some(sender) = self.open() {
            return Ok(sender);
        }
        let fresh = self.fresh.borrow_mut().take();
        let connected = match (fresh, &self.way) {
            (Some(connected), _) => connected,
            (None, Way::Route(route)) => route.connect().await?,
            #[cfg(test)]
            (None, Way::Test(dial)) => {
                dial().ok_or_else(|| Failure::Connect("test".to_owned(), "no more".to_owned()))?
            }
            (None, Way::Never(failure)) => return Err(failure.clone()),
        };
        conn.server.set(connected.address);
        let limits = &conn.thread.shared.options.limits;
        Ok(match handshake(connected.io, connected.protocol, limits).await? {
            Sender::Http2(sender) => {
                *self.sender.borrow_mut() = Some(Sender::Http2(sender.clone()));
                Sender::Http2(sender)
            }
            sender @ Sender::Http1(_) => sender,
        })
    }

    /// What there is. HTTP/1 is taken out for the time of a request, HTTP/2 is shared by all.
    fn open(&self) -> Option<Sender> {
        let mut slot = self.sender.borrow_mut();
        match slot.as_ref()? {
            Sender::Http2(sender) if !sender.is_closed() => Some(Sender::Http2(sender.clone())),
            _ => slot.take().filter(|sender| matches!(sender, Sender::Http1(_))),
        }
    }
}

/// The request, if nothing of it was sent and it may be tried again.
fn unsent(mut error: TrySendError<Request<Body>>, again: bool) -> Result<Request<Body>, Failure> {
    match error.take_message() {
        Some(request) if again => Ok(request),
        _ => {
            let error = error.into_error();
            let body = std::error::Error::source(&error).and_then(|source| source.downcast_ref::<BodyError>());
            Err(body.map_or_else(|| Failure::Broken(error.to_string()), super::forward::broken))
        }
    }
}

async fn handshake(io: UpIo, protocol: Protocol, limits: &Limits) -> Result<Sender, Failure> {
    let broken = |error: hyper::Error| Failure::Broken(error.to_string());
    match protocol {
        Protocol::Http1 => {
            let (sender, conn) = http1::Builder::new()
                .max_buf_size(MAX_BUFFER.max(limits.head_bytes))
                .max_headers(limits.head_fields)
                .handshake(TokioIo::new(io))
                .await
                .map_err(broken)?;
            // It ends with the sender, or when the origin ends it; what goes wrong is told to who waits for an answer.
            tokio::task::spawn_local(conn.with_upgrades());
            Ok(Sender::Http1(sender))
        }
        Protocol::Http2 => {
            let (sender, conn) = http2::Builder::new(Local)
                .initial_stream_window_size(STREAM_WINDOW)
                .initial_connection_window_size(WINDOW)
                .max_header_list_size(super::header_list(limits))
                .max_send_buf_size(super::SEND_BUFFER)
                .handshake(TokioIo::new(io))
                .await
                .map_err(broken)?;
            tokio::task::spawn_local(conn);
            Ok(Sender::Http2(sender))
        }
    }
}
