//! How long a peer is waited for that sends or takes next to nothing.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep_until};

/// Adds up the time that is spent waiting for a peer, and begins anew with each bit of progress. What we spend elsewhere,
/// as with the other side, does not count.
///
/// There is a timer only once there was something to wait for; it is armed anew only when it runs off.
#[derive(Debug)]
pub(crate) struct Patience {
    limit: Duration,
    /// Bytes that are progress; at least 1.
    least: u64,
    came: u64,
    waited: Duration,
    /// It is waited since then.
    since: Option<Instant>,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Patience {
    /// Waits for `least` bytes for `limit` at most, and then for as many again.
    pub(crate) const fn new(limit: Duration, least: u64) -> Self {
        Self { limit, least, came: 0, waited: Duration::ZERO, since: None, sleep: None }
    }

    /// The peer has nothing for us, or takes nothing. Ready once that has lasted too long.
    pub(crate) fn poll_wait(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let since = *self.since.get_or_insert_with(Instant::now);
        let deadline = since + self.limit.saturating_sub(self.waited);
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        loop {
            if sleep.deadline() > deadline {
                sleep.as_mut().reset(deadline);
            }
            ready!(sleep.as_mut().poll(cx));
            if sleep.deadline() >= deadline {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(deadline);
        }
    }

    /// The peer sent or took so many bytes.
    pub(crate) fn came(&mut self, bytes: usize) {
        if self.sleep.is_none() {
            return;
        }
        self.waited += self.since.take().map_or(Duration::ZERO, |since| since.elapsed());
        self.came = self.came.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
        if self.came >= self.least {
            (self.came, self.waited) = (0, Duration::ZERO);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use tokio::time::{sleep, timeout};

    const LIMIT: Duration = Duration::from_mins(1);

    /// Waits for a peer that sends `bytes` every `pause`, for `rounds` times; how long it was borne with.
    async fn borne(least: u64, bytes: usize, pause: Duration, rounds: u32) -> Option<u64> {
        let start = Instant::now();
        let mut patience = Patience::new(LIMIT, least);
        for _ in 0..rounds {
            if timeout(pause, poll_fn(|cx| patience.poll_wait(cx))).await.is_ok() {
                return Some(start.elapsed().as_secs());
            }
            patience.came(bytes);
        }
        None
    }

    #[tokio::test(start_paused = true)]
    async fn who_sends_nothing_is_waited_for_as_long_as_the_limit_says() {
        assert_eq!(borne(1, 0, Duration::from_hours(1), 1).await, Some(60));
        assert_eq!(borne(4096, 0, Duration::from_hours(1), 1).await, Some(60));
    }

    #[tokio::test(start_paused = true)]
    async fn progress_buys_time_and_a_trickle_does_not() {
        for (least, bytes, pause, want) in [
            (1, 1, 59, None),
            (1, 1, 61, Some(60)),
            (4096, 32, 10, Some(60)),
            (4096, 4096, 50, None),
            (4096, 1024, 14, None),
            (4096, 1024, 21, Some(60)),
            (4096, 100_000, 59, None),
        ] {
            let got = borne(least, bytes, Duration::from_secs(pause), 100).await;
            assert_eq!(got, want, "{bytes} of {least} every {pause} s");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn time_in_which_nobody_waits_does_not_count() {
        let mut patience = Patience::new(LIMIT, 4096);
        for _ in 0..100 {
            assert!(timeout(Duration::from_millis(500), poll_fn(|cx| patience.poll_wait(cx))).await.is_err());
            patience.came(1);
            sleep(Duration::from_hours(1)).await;
        }
        assert!(timeout(Duration::from_millis(10_500), poll_fn(|cx| patience.poll_wait(cx))).await.is_ok());
    }
}
