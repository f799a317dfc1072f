//! WebSocket connections through the proxy: frames pass as they are, messages are inspected.
//!
//! Each direction is one [`Pump`]: what it reads goes frame by frame to a decoder and from there, unmasked and inflated,
//! to the inspection, while the bytes themselves are written on unchanged. A message that waits for a verdict holds up
//! its direction alone, control frames behind it included: so nothing changes places. Nothing is read while what may
//! be written is not, and between messages nothing is kept but the inflater of a sender that refers to old messages.

mod change;
mod frames;
mod pump;
mod stop;
#[cfg(test)]
pub(crate) mod tests;
mod watch;

use crate::conn::Conn;
use crate::inspect::{Inspection, Ruling};
use crate::options::Settings;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use net::Direction;
use proto::coding::Limits;
use proto::websocket::{Decoder, negotiated};
use pump::{Event, Pump};
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use stop::Drain;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, Sleep, sleep};
use watch::{Inspected, Watch};

/// Longest silence after one side has ended its direction: WebSocket knows no half-open connections (RFC 6455 section
/// 7.1), so the other has nothing more to say than what is on its way.
const HALF_OPEN: Duration = Duration::from_secs(30);

/// Carries an established connection until it is over, and tells the inspection of both ends. `extensions` is the value
/// of `Sec-WebSocket-Extensions` that the origin agreed to, several fields joined by commas.
pub(crate) async fn relay(
    conn: Rc<Conn>,
    settings: Arc<Settings>,
    inspection: Inspection,
    client: Upgraded,
    origin: Upgraded,
    extensions: Option<&str>,
) {
    let (limits, budget) = {
        let scratch = conn.thread.scratch.borrow();
        (scratch.limits.coding, scratch.pool.budget().clone())
    };
    let (to_server, to_client) = extensions.and_then(negotiated).unzip();
    let answers = inspection.rewrites(Direction::ToClient);
    let pumps = (
        Pump::new(Direction::ToServer, Decoder::with_budget(Direction::ToServer, to_server, budget.clone())),
        Pump::new(Direction::ToClient, Decoder::with_budget(Direction::ToClient, to_client, budget)).holding(answers),
    );
    let drain = &conn.thread.shared.options.limits;
    let terms =
        Terms { limits, idle: settings.hold.idle, drain: Drain { bytes: drain.drain_bytes, time: drain.drain_time } };
    let watch = &mut Inspected::new(conn, settings, inspection);
    carry(pumps, TokioIo::new(client), TokioIo::new(origin), watch, &terms).await;
}

/// What a connection is carried under.
struct Terms {
    /// Of inflating.
    limits: Limits,
    /// Longest time without a byte while a message waits.
    idle: Duration,
    /// How a connection ends that was stopped.
    drain: Drain,
}

/// How the carrying of messages ended.
enum Carried {
    /// Both directions are over, or a side is gone.
    Over,
    /// A message of this direction must not pass.
    Stopped(Direction, Box<Ruling>),
}

async fn carry<C, O>(
    (mut up, mut down): (Pump, Pump),
    mut client: C,
    mut origin: O,
    watch: &mut impl Watch,
    terms: &Terms,
) where
    C: AsyncRead + AsyncWrite + Unpin,
    O: AsyncRead + AsyncWrite + Unpin,
{
    let mut timer = Timer::default();
    let carried = poll_fn(|cx| {
        let mut moved = false;
        let sent = up.poll(cx, (&mut client, &mut origin), watch, &terms.limits, &mut moved);
        match sent {
            Poll::Ready(Event::Broken) => return Poll::Ready(Carried::Over),
            Poll::Ready(Event::Stop(ruling)) => return Poll::Ready(Carried::Stopped(Direction::ToServer, ruling)),
            Poll::Ready(Event::Over) | Poll::Pending => {}
        }
        let answered = down.poll(cx, (&mut origin, &mut client), watch, &terms.limits, &mut moved);
        match answered {
            Poll::Ready(Event::Broken) => return Poll::Ready(Carried::Over),
            Poll::Ready(Event::Stop(ruling)) => return Poll::Ready(Carried::Stopped(Direction::ToClient, ruling)),
            Poll::Ready(Event::Over) | Poll::Pending => {}
        }
        if up.is_shut() && down.is_shut() {
            return Poll::Ready(Carried::Over);
        }
        loop {
            let waits = up.waits() || down.waits();
            let time = match () {
                () if waits => Some(terms.idle),
                () if up.is_shut() || down.is_shut() => Some(HALF_OPEN),
                () => None,
            };
            if timer.poll(cx, time, std::mem::take(&mut moved)).is_pending() {
                return Poll::Pending;
            }
            if !waits {
                return Poll::Ready(Carried::Over);
            }
            for (pump, direction) in [(&mut up, Direction::ToServer), (&mut down, Direction::ToClient)] {
                if pump.waits()
                    && let Err(ruling) = pump.met("idle", watch)
                {
                    return Poll::Ready(Carried::Stopped(direction, ruling));
                }
            }
            // What waited may be written now.
            cx.waker().wake_by_ref();
        }
    })
    .await;
    match carried {
        Carried::Over => {
            for pump in [&mut up, &mut down] {
                pump.drop_rest(watch);
                pump.tell_end(watch);
            }
        }
        Carried::Stopped(direction, ruling) => {
            let delivered = if direction == Direction::ToServer { up.delivered() } else { down.delivered() };
            watch.acted(&ruling, delivered);
            let sides = stop::Sides { client, origin, up, down };
            stop::stop(sides, direction, &ruling, watch, terms.drain).await;
        }
    }
}

/// A timer that is set up only where there is something to wait for.
#[derive(Default)]
struct Timer {
    sleep: Option<Pin<Box<Sleep>>>,
    time: Option<Duration>,
}

impl Timer {
    /// Whether `time` went by since `time` was another, or something `moved`.
    fn poll(&mut self, cx: &mut std::task::Context<'_>, time: Option<Duration>, moved: bool) -> Poll<()> {
        let Some(wanted) = time else {
            *self = Self::default();
            return Poll::Pending;
        };
        let again = moved || self.time != time;
        self.time = time;
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep(wanted)));
        if again {
            sleep.as_mut().reset(Instant::now() + wanted);
        }
        let fired = sleep.as_mut().poll(cx);
        if fired.is_ready() {
            *self = Self::default();
        }
        fired
    }
}
