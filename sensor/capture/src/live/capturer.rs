//! What a capture thread does: reads its ring, opens it again, keeps count. One step at a time, so that it can be tested
//! without a thread, a clock or an interface.

use super::cell::Cell;
use super::fill::Filler;
use super::ring::{Counters, Fault, Opener, Ring, Seen};
use net::Timestamp;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Longest wait, so that a stop is soon noticed.
pub(crate) const GLANCE: Duration = Duration::from_millis(50);
/// Counters and the state of the interface are asked for this often; what is closed is opened again this often.
pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// How a failure of our own is told.
const FAULT: &str = "the capture thread failed (a fault of the sensor, counted in `panics`)";
/// Frames read between two looks at the clock, at most.
pub(crate) const SWEEP: usize = 4096;

/// How a sweep ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Swept {
    /// Nothing more was there to be read.
    Empty,
    /// There may be more.
    More,
}

/// Both clocks, read at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Now {
    /// Since the capture began; never goes back.
    pub(crate) since_start: Duration,
    /// As the frames are stamped.
    pub(crate) wall: Timestamp,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// The next step at once.
    Again,
    /// Wait for the ring, or so long.
    Wait(Duration),
    /// Nothing: it was stopped and everything was handed over.
    Over,
}

/// One ring and what is known of it.
pub(crate) struct Capturer {
    ring: Option<Box<dyn Ring>>,
    opener: Box<dyn Opener>,
    filler: Filler,
    cell: Arc<Cell>,
    stop: Arc<AtomicBool>,
    /// Longest time that the kernel keeps frames back.
    lag: Duration,
    /// The counters of this ring when last asked.
    counters: Counters,
    /// Frames that this ring took in, by the kernel's count.
    kept_by_kernel: u64,
    /// Frames that were read of this ring.
    read_before: u64,
    /// Time of the last frame.
    last: Option<Timestamp>,
    next_look: Duration,
    next_try: Duration,
    /// When to stop reading at the latest.
    last_call: Option<Duration>,
}

impl Capturer {
    pub(crate) fn new(
        ring: Option<Box<dyn Ring>>,
        opener: Box<dyn Opener>,
        filler: Filler,
        cell: Arc<Cell>,
        stop: Arc<AtomicBool>,
        timeout: Duration,
    ) -> Self {
        let mut capturer = Self {
            ring: None,
            opener,
            filler,
            cell,
            stop,
            lag: lag(timeout),
            counters: Counters::default(),
            kept_by_kernel: 0,
            read_before: 0,
            last: None,
            next_look: Duration::ZERO,
            next_try: Duration::ZERO,
            last_call: None,
        };
        if let Some(ring) = ring {
            capturer.opened(ring);
        }
        capturer
    }

    /// One step. Our own failures cost the ring, which is opened again, and are counted.
    pub(crate) fn step(&mut self, now: Now) -> Next {
        if let Ok(next) = catch_unwind(AssertUnwindSafe(|| self.try_step(now))) {
            return next;
        }
        self.filler.counts.panics += 1;
        self.filler.settle();
        if catch_unwind(AssertUnwindSafe(|| self.close(now, FAULT))).is_err() {
            // It does not even give its counters any more.
            self.drop_ring();
            self.closed(now, FAULT);
        }
        Next::Wait(GLANCE)
    }

    fn try_step(&mut self, now: Now) -> Next {
        if self.stop.load(Ordering::Acquire) {
            return self.finish(now);
        }
        let Some(ring) = &mut self.ring else { return self.reopen(now) };
        let swept = Self::sweep(ring.as_mut(), &mut self.filler, &mut self.last, now);
        match swept {
            Ok(swept) => {
                self.tick(now, swept);
                if now.since_start >= self.next_look {
                    self.look(now);
                }
                if swept == Swept::More { Next::Again } else { Next::Wait(self.pause(now)) }
            }
            Err(fault) => {
                self.close(now, &fault.0);
                Next::Wait(GLANCE)
            }
        }
    }

    fn sweep(ring: &mut dyn Ring, filler: &mut Filler, last: &mut Option<Timestamp>, now: Now) -> Result<Swept, Fault> {
        let link = ring.link();
        let mut take = |seen: Seen<'_>| {
            *last = Some(seen.ts);
            filler.take(seen, link, now.since_start);
        };
        let read = ring.sweep(SWEEP, &mut take)?;
        Ok(if read < SWEEP { Swept::Empty } else { Swept::More })
    }

    fn tick(&mut self, now: Now, swept: Swept) {
        // What came this long ago must have been read by now, as far as there is nothing left.
        let nothing_since = now.wall.plus(-nanos(self.lag));
        let until = match swept {
            Swept::Empty => Some(self.last.map_or(nothing_since, |last| last.max(nothing_since))),
            Swept::More => self.last,
        };
        // Where the clock was set back, what it says now counts. (Frames may be a little younger than `now`.)
        let future = now.wall.plus(Timestamp::SECOND);
        let until = until.map(|until| if until > future { nothing_since } else { until });
        self.filler.tick(now.since_start, until);
    }

    /// Waits as [`Next::Wait`] says.
    pub(crate) fn wait(&mut self, at_most: Duration) {
        match &mut self.ring {
            Some(ring) => {
                if catch_unwind(AssertUnwindSafe(|| ring.wait(at_most))).is_err() {
                    std::thread::sleep(at_most);
                }
            }
            None => std::thread::sleep(at_most),
        }
    }

    fn pause(&self, now: Now) -> Duration {
        self.filler.due().map_or(GLANCE, |due| due.saturating_sub(now.since_start).min(GLANCE))
    }

    /// Asks for the counters and the state of the interface.
    fn look(&mut self, now: Now) {
        self.next_look = now.since_start + SECOND;
        self.count();
        let Some(ring) = &mut self.ring else { return };
        match ring.link_state() {
            Ok(()) => self.cell.set_up(),
            Err(why) => self.cell.set_down(why),
        }
        self.filler.publish(now.since_start);
    }

    /// Adds what the kernel has counted since last asked.
    fn count(&mut self) {
        let Some(now) = self.ring.as_mut().and_then(|ring| ring.counters()) else { return };
        let before = std::mem::replace(&mut self.counters, now);
        let received = grown(before.received, now.received);
        let dropped = grown(before.dropped, now.dropped);
        // Both are asked for at once, but a drop is one of the received.
        let kept = received.saturating_sub(dropped);
        self.kept_by_kernel += kept;
        let counts = &mut self.filler.counts;
        counts.kernel_received += kept;
        counts.kernel_dropped += dropped;
        counts.interface_dropped += grown(before.interface_dropped, now.interface_dropped);
    }

    /// Closes a ring that failed.
    fn close(&mut self, now: Now, why: &str) {
        self.count();
        self.drop_ring();
        self.closed(now, why);
    }

    /// Counts what stays in the ring, as far as is known.
    fn drop_ring(&mut self) {
        if self.ring.take().is_some_and(|ring| ring.is_exact()) {
            let read = self.filler.counts.read - self.read_before;
            self.filler.counts.unread += self.kept_by_kernel.saturating_sub(read);
        }
    }

    fn closed(&mut self, now: Now, why: &str) {
        // Who sees the count shall see the reason.
        self.cell.say_why(why);
        self.filler.counts.closed += 1;
        self.next_try = now.since_start + SECOND;
        self.filler.hand_over();
        self.cell.set_down(why);
        self.filler.tick(now.since_start, Some(now.wall));
    }

    fn reopen(&mut self, now: Now) -> Next {
        if now.since_start >= self.next_try {
            self.next_try = now.since_start + SECOND;
            match self.opener.open() {
                Ok(ring) => {
                    self.opened(ring);
                    self.filler.publish(now.since_start);
                    return Next::Again;
                }
                Err(fault) => self.cell.set_down(&fault.0),
            }
        }
        // Nothing comes, so everything was handed over.
        self.filler.tick(now.since_start, Some(now.wall));
        Next::Wait(GLANCE)
    }

    fn opened(&mut self, ring: Box<dyn Ring>) {
        self.ring = Some(ring);
        self.counters = Counters::default();
        self.kept_by_kernel = 0;
        self.read_before = self.filler.counts.read;
        self.next_look = Duration::ZERO;
        self.filler.counts.opened += 1;
        self.cell.set_up();
        self.cell.publish(&self.filler.counts);
    }

    /// Lets nothing more in, reads what there is, hands it over.
    fn finish(&mut self, now: Now) -> Next {
        if self.ring.is_some() && self.last_call.is_none() {
            self.last_call = Some(now.since_start + self.lag);
            if let Some(ring) = &mut self.ring {
                ring.shut();
            }
        }
        if let Some(ring) = &mut self.ring {
            let swept = Self::sweep(ring.as_mut(), &mut self.filler, &mut self.last, now);
            self.count();
            let read = self.filler.counts.read - self.read_before;
            let exact = self.ring.as_ref().is_some_and(|ring| ring.is_exact());
            let whole = exact && read >= self.kept_by_kernel;
            let late = self.last_call.is_none_or(|last_call| now.since_start >= last_call);
            match swept {
                Ok(Swept::More) => {
                    self.filler.publish(now.since_start);
                    return Next::Again;
                }
                Ok(Swept::Empty) if !whole && !late => {
                    self.filler.publish(now.since_start);
                    return Next::Wait(GLANCE / 5);
                }
                Ok(Swept::Empty) => {}
                Err(_) => self.filler.counts.closed += 1,
            }
            if exact {
                self.filler.counts.unread += self.kept_by_kernel.saturating_sub(read);
            }
            self.ring = None;
        }
        self.filler.hand_over();
        self.filler.tick(now.since_start, Some(now.wall));
        Next::Over
    }
}

/// Frames are read at the latest so long after they came: the kernel closes a block that was begun at the second tick of
/// its timer.
pub(crate) fn lag(timeout: Duration) -> Duration {
    timeout * 2 + Duration::from_millis(20)
}

/// What a counter of 32 bits has grown by. One that went back, which only a fault below us can make, has not grown.
fn grown(before: u32, now: u32) -> u64 {
    let by = now.wrapping_sub(before);
    if by > u32::MAX / 2 { 0 } else { u64::from(by) }
}

fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}
