//! Streams of HTTP/2 that a client takes nothing of. On HTTP/1 the socket tells it ([`crate::front`]); here it takes no
//! window, and only what the HTTP library does with a body shows that: it asks for the next piece once it has got rid of
//! the one before.

use crate::front::{Patience, Timing};
use std::cell::Cell;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

/// What the body of an answer gave when it was last asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// It was not asked.
    Not,
    /// A piece.
    Got,
    /// Nothing yet.
    Waits,
}

thread_local! {
    /// Of the stream that is being polled: there is no other way from a body to the task that carries it.
    static ASKED: Cell<Asked> = const { Cell::new(Asked::Not) };
}

/// The body of an answer was asked for more.
pub(super) fn asked(what: Asked) {
    ASKED.set(what);
}

/// Runs the streams of one client on this thread. A stream of which the client takes no piece for `stall_time`, while there
/// is one, is reset.
#[derive(Clone, Debug)]
pub(super) struct Streams(pub(super) Arc<Timing>);

impl<F: Future + 'static> hyper::rt::Executor<F> for Streams {
    fn execute(&self, stream: F) {
        tokio::task::spawn_local(taken(stream, Arc::clone(&self.0)));
    }
}

/// Carries a stream to its end, or until the client takes too long.
async fn taken(stream: impl Future, timing: Arc<Timing>) {
    let mut stream = pin!(stream);
    let mut got = false;
    // There once a piece had to wait.
    let mut stuck: Option<Box<Patience>> = None;
    poll_fn(|cx| {
        asked(Asked::Not);
        if stream.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let asked = ASKED.get();
        if asked != Asked::Not {
            got = asked == Asked::Got;
            if let Some(stuck) = &mut stuck {
                stuck.came(1);
            }
        }
        if !got {
            return Poll::Pending;
        }
        let stuck = stuck.get_or_insert_with(|| Box::new(Patience::new(timing.stall(), 1)));
        let given_up = stuck.poll_wait(cx);
        if given_up.is_ready() {
            timing.stalled();
        }
        given_up
    })
    .await;
}
