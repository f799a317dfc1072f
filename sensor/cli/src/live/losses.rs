//! When events are dropped, and when no longer.

use sinks::outlet::{OutletStats, State};
use std::time::{Duration, Instant};

/// For how long nothing must be dropped before that is told.
pub(super) const QUIET: Duration = Duration::from_secs(5);

/// What there is to tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum News {
    /// Events are being dropped.
    Began,
    /// They are no longer.
    Ended {
        /// Events dropped meanwhile.
        lost: u64,
        /// From the first that was noticed to the last.
        lasted: Duration,
    },
}

/// Watches the events that one output drops.
#[derive(Debug, Default)]
pub(super) struct Losses {
    dropped: u64,
    now: Option<Loss>,
}

#[derive(Debug)]
struct Loss {
    began: Instant,
    /// Dropped before.
    before: u64,
    /// When it last grew.
    last: Instant,
    /// Bytes that waited then.
    waiting: u64,
}

impl Losses {
    /// What is new at `now`.
    ///
    /// It is over only once there is room: where the queue stays full, or nobody reads any more, the notice that says
    /// so would be dropped itself, and be the next loss.
    pub(super) fn see(&mut self, stats: &OutletStats, state: &State, now: Instant) -> Option<News> {
        let before = std::mem::replace(&mut self.dropped, stats.dropped);
        if stats.dropped > before {
            let began = self.now.is_none();
            let loss = self.now.get_or_insert(Loss { began: now, before, last: now, waiting: 0 });
            (loss.last, loss.waiting) = (now, stats.queue_bytes);
            return began.then_some(News::Began);
        }
        let room =
            |loss: &Loss| stats.queue_bytes <= loss.waiting / 2 && !matches!(state, State::Closed | State::Ended);
        let over = |loss: &mut Loss| now.saturating_duration_since(loss.last) >= QUIET && room(loss);
        let Loss { began, before, last, .. } = self.now.take_if(over)?;
        Some(News::Ended { lost: stats.dropped - before, lasted: last.saturating_duration_since(began) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_is_told_once_and_its_end_once_there_is_room_again() {
        let start = super::super::keeper::clock();
        let mut losses = Losses::default();
        let mut see = |second, dropped, queue_bytes, state: &State| {
            let stats = OutletStats { dropped, queue_bytes, ..OutletStats::default() };
            losses.see(&stats, state, start + Duration::from_secs(second))
        };
        let writing = &State::Writing;
        assert_eq!(see(0, 0, 0, writing), None);
        assert_eq!(see(1, 3, 900, writing), Some(News::Began));
        assert_eq!(see(2, 3, 900, writing), None);
        assert_eq!(see(4, 9, 1000, writing), None);
        assert_eq!(see(8, 9, 0, writing), None, "it may go on");
        assert_eq!(see(9, 9, 1000, writing), None, "as full as before");
        assert_eq!(see(10, 9, 400, &State::Closed), None, "nobody reads");
        let lasted = Duration::from_secs(3);
        assert_eq!(see(11, 9, 400, writing), Some(News::Ended { lost: 9, lasted }));
        assert_eq!(see(20, 9, 0, writing), None);
        assert_eq!(see(21, 10, 1000, writing), Some(News::Began));
        assert_eq!(see(26, 10, 0, writing), Some(News::Ended { lost: 1, lasted: Duration::ZERO }));
    }
}
