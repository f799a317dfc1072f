//! How long a client may take: to a whole request head, and between two requests. While an answer is pending, only
//! whether any byte passes in a very long time.

use crate::counters::Counters;
use crate::options::Limits;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep_until};

/// A head is under way, or the connection is new.
const HEAD: u8 = 0;
/// The last answer is over and no byte came since.
const IDLE: u8 = 1;
/// A request is being served.
const BUSY: u8 = 2;

/// What a connection waits for, and since when.
///
/// It is shared by the bytes of the client ([`Timing::heard`]), by its requests ([`Pending`]) and by who watches the
/// connection ([`supervise`]): one timer, which is armed anew only when it runs off. All of them live on one thread, but
/// HTTP libraries want streams that could leave it, hence the atomics.
#[derive(Debug)]
pub(crate) struct Timing {
    start: Instant,
    /// Nanoseconds after `start`.
    since: AtomicU64,
    state: AtomicU8,
    /// Requests under way.
    pending: AtomicU32,
    /// Bytes between requests are no head: they may be pings.
    streams: AtomicBool,
    /// Bytes passed, either way, since this was last asked.
    moved: AtomicBool,
    head: Duration,
    idle: Duration,
    quiet: Duration,
    stall: Duration,
    counters: Arc<Counters>,
    watcher: Mutex<Option<Waker>>,
}

/// Which limit a client met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expired {
    /// Of a request head.
    Head,
    /// Between requests.
    Idle,
    /// No byte passed while an answer was pending.
    Quiet,
}

impl Expired {
    /// Word of the metric.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Head => "head_time",
            Self::Idle => "idle_time",
            Self::Quiet => "quiet_time",
        }
    }
}

impl Timing {
    /// A connection that begins now, with its first head.
    pub(crate) fn new(limits: &Limits, counters: &Arc<Counters>) -> Arc<Self> {
        Arc::new(Self {
            start: Instant::now(),
            since: AtomicU64::new(0),
            state: AtomicU8::new(HEAD),
            pending: AtomicU32::new(0),
            streams: AtomicBool::new(false),
            moved: AtomicBool::new(true),
            head: limits.head_time,
            idle: limits.idle_time,
            quiet: limits.quiet_time,
            stall: limits.stall_time,
            counters: Arc::clone(counters),
            watcher: Mutex::new(None),
        })
    }

    /// From now on HTTP is spoken inside of it, `streams` for HTTP/2; the wait is for a first request, as between two.
    pub(crate) fn restart(&self, streams: bool) {
        self.streams.store(streams, Relaxed);
        self.turn(IDLE);
    }

    /// Bytes went to the client.
    pub(crate) fn told(&self) {
        self.moved.store(true, Relaxed);
    }

    /// Longest time in which the client may take nothing of what waits for it.
    pub(crate) const fn stall(&self) -> Duration {
        self.stall
    }

    /// The client took nothing for so long.
    pub(crate) fn stalled(&self) {
        self.counters.count("limit", "stall_time");
    }

    /// Bytes of the client came.
    pub(crate) fn heard(&self) {
        self.moved.store(true, Relaxed);
        if self.state.load(Relaxed) == IDLE && !self.streams.load(Relaxed) {
            self.turn(HEAD);
        }
    }

    fn turn(&self, state: u8) {
        let since = u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.since.store(since, Relaxed);
        self.state.store(state, Relaxed);
    }

    fn deadline(&self) -> (Instant, Expired) {
        let since = self.start + Duration::from_nanos(self.since.load(Relaxed));
        if self.state.load(Relaxed) == HEAD {
            (since + self.head, Expired::Head)
        } else {
            (since + self.idle, Expired::Idle)
        }
    }

    /// Ready once a limit is met. `sleep` is the one timer; it is armed for the limit, or for one before it. `polled`
    /// says that it knows whom to wake.
    fn poll_expired(&self, mut sleep: Pin<&mut Sleep>, polled: &mut bool, cx: &mut Context<'_>) -> Poll<Expired> {
        loop {
            if self.state.load(Relaxed) == BUSY {
                let mut watcher = self.watcher.lock().unwrap_or_else(PoisonError::into_inner);
                match watcher.as_mut() {
                    Some(known) => known.clone_from(cx.waker()),
                    None => *watcher = Some(cx.waker().clone()),
                }
                drop(watcher);
                if std::mem::replace(polled, true) && !sleep.is_elapsed() {
                    return Poll::Pending;
                }
                ready!(poll_timer(sleep.as_mut(), cx));
                if !self.moved.swap(false, Relaxed) {
                    return Poll::Ready(Expired::Quiet);
                }
                sleep.as_mut().reset(Instant::now() + self.quiet);
                continue;
            }
            *polled = true;
            let (deadline, which) = self.deadline();
            if sleep.deadline() > deadline {
                sleep.as_mut().reset(deadline);
            }
            ready!(poll_timer(sleep.as_mut(), cx));
            if sleep.deadline() >= deadline {
                return Poll::Ready(which);
            }
            sleep.as_mut().reset(deadline);
        }
    }
}

/// Polls a timer also where the turn of its task is used up: else a client that sends without end would stop it.
fn poll_timer(sleep: Pin<&mut Sleep>, cx: &mut Context<'_>) -> Poll<()> {
    Pin::new(&mut tokio::task::coop::unconstrained(sleep)).poll(cx)
}

/// A request that is being served: while there is one, no limit runs. Ends when it is dropped, so it goes with the body
/// of the answer.
#[derive(Debug)]
pub(crate) struct Pending(Arc<Timing>);

impl Pending {
    /// A request head is whole.
    pub(crate) fn new(timing: &Arc<Timing>) -> Self {
        timing.pending.fetch_add(1, Relaxed);
        timing.state.store(BUSY, Relaxed);
        Self(Arc::clone(timing))
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if self.0.pending.fetch_sub(1, Relaxed) == 1 {
            self.0.turn(IDLE);
            let watcher = self.0.watcher.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(watcher) = watcher {
                watcher.wake();
            }
        }
    }
}

/// Runs a connection of the HTTP library to its end. It is asked to end (`graceful`) when the thread takes no more
/// connections and when no request came for too long; `None` where a limit was met and it did not end by itself.
pub(crate) async fn supervise<C: Future>(
    mut conn: Pin<&mut C>,
    timing: &Timing,
    drain: &super::drain::Drain,
    counters: &Counters,
    graceful: impl Fn(Pin<&mut C>),
) -> Option<C::Output> {
    let mut sleep = pin!(sleep_until(timing.deadline().0));
    let mut drained = pin!(drain.begun());
    let (mut draining, mut asked, mut polled) = (false, false, false);
    std::future::poll_fn(|cx| {
        if let Poll::Ready(out) = conn.as_mut().poll(cx) {
            return Poll::Ready(Some(out));
        }
        if !draining && drained.as_mut().poll(cx).is_ready() {
            draining = true;
            graceful(conn.as_mut());
            if let Poll::Ready(out) = conn.as_mut().poll(cx) {
                return Poll::Ready(Some(out));
            }
        }
        loop {
            let which = ready!(timing.poll_expired(sleep.as_mut(), &mut polled, cx));
            counters.count("limit", which.word());
            if which != Expired::Idle || asked {
                return Poll::Ready(None);
            }
            asked = true;
            timing.turn(HEAD);
            graceful(conn.as_mut());
            if let Poll::Ready(out) = conn.as_mut().poll(cx) {
                return Poll::Ready(Some(out));
            }
        }
    })
    .await
}

/// Runs what follows HTTP on a connection to its end, or until no byte has passed for very long.
pub(crate) async fn attend<F: Future>(doing: F, timing: &Timing) -> Option<F::Output> {
    let mut doing = pin!(doing);
    let mut sleep = pin!(sleep_until(Instant::now() + timing.quiet));
    std::future::poll_fn(|cx| {
        if let Poll::Ready(out) = doing.as_mut().poll(cx) {
            return Poll::Ready(Some(out));
        }
        loop {
            ready!(sleep.as_mut().poll(cx));
            if !timing.moved.swap(false, Relaxed) {
                timing.counters.count("limit", Expired::Quiet.word());
                return Poll::Ready(None);
            }
            sleep.as_mut().reset(Instant::now() + timing.quiet);
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::front::drain::Drain;

    /// How long a connection that never ends by itself is let live.
    async fn life(timing: &Timing) -> Duration {
        let start = Instant::now();
        let mut conn = pin!(std::future::pending::<()>());
        let counters = Counters::default();
        assert_eq!(supervise(conn.as_mut(), timing, &Drain::default(), &counters, |_| ()).await, None);
        start.elapsed()
    }

    fn timing() -> Arc<Timing> {
        Timing::new(&Limits::default(), &Arc::default())
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_does_not_come_ends_the_connection() {
        assert_eq!(life(&timing()).await.as_secs(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn between_requests_more_time_is_given_and_the_library_is_asked_first() {
        let timing = timing();
        drop(Pending::new(&timing));
        assert_eq!(life(&timing).await.as_secs(), 70);
    }

    #[tokio::test(start_paused = true)]
    async fn a_byte_after_an_answer_begins_a_head() {
        let timing = timing();
        drop(Pending::new(&timing));
        timing.heard();
        assert_eq!(life(&timing).await.as_secs(), 10);
        timing.restart(true);
        timing.heard();
        assert_eq!(life(&timing).await.as_secs(), 70, "a ping is no head");
    }

    #[tokio::test(start_paused = true)]
    async fn a_day_without_a_byte_ends_what_is_pending_and_a_byte_a_day_does_not() {
        let timing = timing();
        let _pending = Pending::new(&timing);
        let talk = async {
            for n in 0..20 {
                tokio::time::sleep(Duration::from_hours(23)).await;
                if n % 2 == 0 { timing.heard() } else { timing.told() }
            }
        };
        let hours = tokio::join!(life(&timing), talk).0.as_secs() / 3600;
        assert!((20 * 23 + 24..=20 * 23 + 48).contains(&hours), "{hours}");
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_runs_while_an_answer_is_pending() {
        let timing = timing();
        let (first, second) = (Pending::new(&timing), Pending::new(&timing));
        let later = async {
            tokio::time::sleep(Duration::from_hours(1)).await;
            drop(first);
            tokio::time::sleep(Duration::from_hours(1)).await;
            drop(second);
        };
        assert_eq!(tokio::join!(life(&timing), later).0.as_secs(), 7270);
    }
}
