//! A short look for what comes next, before a thread sleeps.
//!
//! To put a processor to sleep and to wake it takes tens of microseconds, above all in a virtual machine: more than the
//! work on a request. Where the origin is near, its answer is there before that. So a thread that has just read something
//! looks for more, for [`LOOK`] at most, and lets others have the processor between two looks. It goes on doing so only
//! where it pays: with origins far away and clients that take their time it is tried now and then, and given up.

use std::cell::Cell;
use std::time::Duration;
use tokio::time::Instant;

/// How long a thread looks before it sleeps.
const LOOK: Duration = Duration::from_micros(100);
/// Where it does not pay, it is tried once in so many times.
const TRY: u32 = 256;
/// Most credit that looks that paid can gather. Each brings one, and each in vain takes [`COST`].
const MAX_CREDIT: u8 = 16;
/// As above.
const COST: u8 = 2;

/// Who sent what was read last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// A client: an origin is to say something next.
    Client,
    /// An origin: a client is.
    Origin,
}

/// What looks have brought so far, after bytes of one side.
#[derive(Debug, Default)]
struct Worth {
    credit: Cell<u8>,
    passed_over: Cell<u32>,
}

impl Worth {
    const fn new() -> Self {
        Self { credit: Cell::new(0), passed_over: Cell::new(0) }
    }

    fn is_tried(&self) -> bool {
        let passed_over = self.passed_over.get() + 1;
        let tried = self.credit.get() > 0 || passed_over >= TRY;
        self.passed_over.set(if tried { 0 } else { passed_over });
        tried
    }

    fn paid(&self) {
        self.credit.set(self.credit.get().saturating_add(1).min(MAX_CREDIT));
    }

    fn in_vain(&self) {
        self.credit.set(self.credit.get().saturating_sub(COST));
    }
}

/// Of one thread.
#[derive(Debug)]
struct Lookout {
    /// Who was read from since the last look.
    heard: Cell<Option<Side>>,
    /// It is being looked after bytes of that side, until then.
    looking: Cell<Option<(Side, Instant)>>,
    client: Worth,
    origin: Worth,
}

thread_local! {
    static LOOKOUT: Lookout = const { Lookout::new() };
}

impl Lookout {
    const fn new() -> Self {
        Self { heard: Cell::new(None), looking: Cell::new(None), client: Worth::new(), origin: Worth::new() }
    }

    const fn worth(&self, after: Side) -> &Worth {
        match after {
            Side::Client => &self.client,
            Side::Origin => &self.origin,
        }
    }

    /// There is nothing to do: whether to look again instead of sleeping.
    fn looks(&self, now: impl Fn() -> Instant) -> bool {
        if let Some(after) = self.heard.take() {
            if let Some((before, _)) = self.looking.take() {
                self.worth(before).paid();
            }
            let tried = self.worth(after).is_tried();
            if tried {
                self.looking.set(Some((after, now() + LOOK)));
            }
            return tried;
        }
        match self.looking.get() {
            Some((_, until)) if now() < until => true,
            Some((after, _)) => {
                self.worth(after).in_vain();
                self.looking.set(None);
                false
            }
            None => false,
        }
    }
}

/// Bytes of a side were read on this thread.
pub(crate) fn heard(side: Side) {
    LOOKOUT.with(|lookout| lookout.heard.set(Some(side)));
}

/// To be called by the runtime before its thread sleeps.
pub(crate) fn before_sleep() {
    if LOOKOUT.with(|lookout| lookout.looks(Instant::now)) {
        // The other side may need this very processor.
        std::thread::yield_now();
        // The runtime looks once, without sleeping, where a task has yielded. Here none has, so nothing is woken.
        let mut task = std::task::Context::from_waker(std::task::Waker::noop());
        let _ = std::pin::pin!(tokio::task::yield_now()).poll(&mut task);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks in vain until it sleeps, and gives how long that took.
    fn sleeps_after(lookout: &Lookout, now: &mut Instant) -> Duration {
        let start = *now;
        while lookout.looks(|| *now) {
            *now += Duration::from_micros(5);
        }
        *now - start
    }

    #[test]
    fn a_thread_looks_only_where_it_pays() {
        let (lookout, mut now) = (Lookout::new(), Instant::now());
        let heard = |side, now: &mut Instant| {
            lookout.heard.set(Some(side));
            sleeps_after(&lookout, now)
        };
        let tries = (0..10 * TRY).filter(|_| heard(Side::Client, &mut now) > Duration::ZERO).count();
        assert_eq!(tries, 10, "an origin far away");
        for _ in 0..100 {
            // An origin that answers at once, and a client that never does.
            lookout.heard.set(Some(Side::Client));
            lookout.looks(|| now);
            lookout.heard.set(Some(Side::Origin));
            sleeps_after(&lookout, &mut now);
        }
        assert_eq!(lookout.client.credit.get(), 0, "it was never looked");
        for _ in 0..=TRY {
            lookout.heard.set(Some(Side::Client));
            lookout.looks(|| now);
            lookout.heard.set(Some(Side::Origin));
            sleeps_after(&lookout, &mut now);
        }
        assert!(lookout.client.credit.get() > 0, "once it was tried, it paid");
        assert_eq!(lookout.origin.credit.get(), 0);
        lookout.heard.set(Some(Side::Client));
        assert_eq!(sleeps_after(&lookout, &mut now), LOOK);
        lookout.heard.set(Some(Side::Origin));
        assert_eq!(sleeps_after(&lookout, &mut now), Duration::ZERO);
    }

    #[test]
    fn what_paid_once_is_given_up_when_it_no_longer_does() {
        let (lookout, mut now) = (Lookout::new(), Instant::now());
        lookout.client.credit.set(MAX_CREDIT);
        let mut in_vain = 0;
        for _ in 0..100 {
            lookout.heard.set(Some(Side::Client));
            in_vain += u32::from(sleeps_after(&lookout, &mut now) > Duration::ZERO);
        }
        assert_eq!(in_vain, u32::from(MAX_CREDIT / COST));
    }

    #[test]
    fn the_runtime_goes_on_while_it_is_looked() {
        let runtime = crate::front::runtime().unwrap();
        runtime.block_on(async {
            LOOKOUT.with(|lookout| lookout.client.credit.set(MAX_CREDIT));
            heard(Side::Client);
            tokio::time::sleep(Duration::from_millis(2)).await;
            LOOKOUT.with(|lookout| {
                assert_eq!(lookout.looking.get(), None);
                assert_eq!(lookout.client.credit.get(), MAX_CREDIT - COST, "it looked once, and slept then");
            });
        });
    }
}
