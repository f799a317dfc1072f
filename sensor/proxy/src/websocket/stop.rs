//! The end of a connection on which a message was stopped.
//!
//! One message of a compressed connection cannot be left out, since later ones may refer to it: so the client is told
//! why, and the connection ends.

use super::frames::{push_close, push_text};
use super::pump::Pump;
use super::watch::Watch;
use crate::answer;
use crate::inspect::Ruling;
use net::Direction;
use std::future::poll_fn;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

/// How long what is under way may take to end, and how much is read and forgotten meanwhile: closing at once could take
/// away what the other side has not read yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Drain {
    pub(super) bytes: u64,
    pub(super) time: Duration,
}

/// Both sides of a connection.
pub(super) struct Sides<C, O> {
    pub(super) client: C,
    pub(super) origin: O,
    pub(super) up: Pump,
    pub(super) down: Pump,
}

/// Tells the client what was stopped and both sides that it is over, and ends the connection. `direction` is that of the
/// message.
pub(super) async fn stop<C, O>(
    mut sides: Sides<C, O>,
    direction: Direction,
    ruling: &Ruling,
    watch: &mut impl Watch,
    drain: Drain,
) where
    C: AsyncRead + AsyncWrite + Unpin,
    O: AsyncRead + AsyncWrite + Unpin,
{
    let reason = answer::websocket_reason(ruling);
    for pump in [&mut sides.up, &mut sides.down] {
        pump.forget_rest();
    }
    // What was stopped on its way to the client is not finished either.
    let finish = direction == Direction::ToServer && sides.down.can_finish_frame();
    for pump in [&mut sides.up, &mut sides.down] {
        pump.drop_rest(watch);
        pump.tell_end(watch);
    }
    let open = sides.up.can_add();
    if open {
        let mask = mask();
        sides.up.add(|wire| push_close(wire, Some(mask), &reason));
    }
    let mut text = Some(answer::websocket_text(ruling));
    let (mut from_client, mut from_origin) = (drain.bytes, drain.bytes);
    let ending = poll_fn(|cx| {
        let Sides { client, origin, up, down } = &mut sides;
        let rest = if finish { down.poll_rest_of_frame(cx, origin) } else { Poll::Ready(down.can_add()) };
        if rest == Poll::Ready(true)
            && let Some(text) = text.take()
        {
            let within = down.within_message();
            down.add(|wire| {
                if !within {
                    push_text(wire, &text);
                }
                push_close(wire, None, &reason);
            });
        }
        let told = rest.is_ready();
        // A frame that was broken off cannot be followed by another: the origin is just left.
        let origin_done = if open {
            side(cx, up, origin, down, &mut from_origin, told).is_ready()
        } else {
            up.poll_out(cx, origin).is_ready()
        };
        let client_done = told && side(cx, down, client, up, &mut from_client, true).is_ready();
        if origin_done && client_done { Poll::Ready(()) } else { Poll::Pending }
    });
    // Whoever does not take part is left.
    let _ = timeout(drain.time, ending).await;
    let Sides { mut client, mut origin, .. } = sides;
    let _ = timeout(drain.time, async { tokio::join!(client.shutdown(), origin.shutdown()) }).await;
}

/// Writes what is left for one side, and reads what is left from it.
fn side<S: AsyncRead + AsyncWrite + Unpin>(
    cx: &mut Context<'_>,
    to: &mut Pump,
    side: &mut S,
    from: &mut Pump,
    left: &mut u64,
    read: bool,
) -> Poll<()> {
    let written = to.poll_out(cx, side);
    let forgotten = if read { from.poll_forget(cx, side, left) } else { Poll::Pending };
    match ready!(written) {
        // Its answer to our close frame, or its end.
        Ok(()) => forgotten,
        Err(_) => Poll::Ready(()),
    }
}

/// A mask nobody can foresee (RFC 6455 section 5.3).
pub(super) fn mask() -> [u8; 4] {
    let mut mask = [0; 4];
    // Where the system has no randomness, nothing else of TLS works either.
    let _ = aws_lc_rs::rand::fill(&mut mask);
    mask
}
