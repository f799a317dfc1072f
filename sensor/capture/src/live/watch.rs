//! When an interface goes and comes, and when loss begins and ends.

use super::stats::InterfaceStats;
use crate::notice::NoticeCode;
use std::time::Duration;

/// Loss is over when nothing was lost for so long.
const QUIET: Duration = Duration::from_secs(5);

/// What is known of an interface by who reads the batches.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    /// When it went, if that was told.
    down: Option<Duration>,
    /// Why, as was told.
    why: String,
    closed: u64,
    unread: u64,
    lost: Lost,
    loss: Option<Loss>,
}

/// Lost so far: kernel, interface, queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Lost {
    kernel: u64,
    interface: u64,
    queue: u64,
    received: u64,
}

#[derive(Debug)]
struct Loss {
    began: Duration,
    last: Duration,
    before: Lost,
}

impl Watch {
    /// Looks whether all rings are open and the interface is up.
    pub(crate) fn presence(
        &mut self,
        now: Duration,
        stats: &InterfaceStats,
        closed: u64,
        why: impl FnOnce() -> String,
        tell: &mut dyn FnMut(NoticeCode, String),
    ) {
        let went = closed > self.closed;
        self.closed = closed;
        if went || !stats.up {
            let why = why();
            if self.down.is_none() || why != self.why {
                self.down.get_or_insert(now);
                // There is nothing to be tried where the ring is fine.
                let retry = if went || !stats.open { "; it is tried again every second" } else { "" };
                tell(NoticeCode::InterfaceDown, format!("{why}{retry}"));
                self.why = why;
            }
        }
        if let Some(since) = self.down
            && stats.up
        {
            let (away, unread) = (now.saturating_sub(since), stats.unread - self.unread);
            tell(
                NoticeCode::InterfaceUp,
                format!("captured again after {} s; {unread} frames were lost in its ring", away.as_secs()),
            );
            self.down = None;
            self.why.clear();
            self.unread = stats.unread;
        }
    }

    /// Looks whether frames were lost; to be asked once a second.
    pub(crate) fn loss(&mut self, now: Duration, stats: &InterfaceStats, tell: &mut dyn FnMut(NoticeCode, String)) {
        let lost = Lost {
            kernel: stats.kernel_dropped,
            interface: stats.interface_dropped,
            queue: stats.queue_dropped,
            received: stats.received,
        };
        let before = std::mem::replace(&mut self.lost, lost);
        if lost.is_more_than(before) {
            if let Some(loss) = &mut self.loss {
                loss.last = now;
            } else {
                self.loss = Some(Loss { began: now, last: now, before });
                let text = lost.since(before);
                tell(NoticeCode::LossBegan, format!("frames are being lost: {text}"));
            }
        } else if let Some(loss) = self.loss.take_if(|loss| now.saturating_sub(loss.last) >= QUIET) {
            let seconds = loss.last.saturating_sub(loss.began).as_secs() + 1;
            let text = lost.since(loss.before);
            tell(NoticeCode::LossEnded, format!("no frame was lost for 5 s; in {seconds} s: {text}"));
        }
    }
}

impl Lost {
    /// Whether anything more was lost than before.
    fn is_more_than(self, before: Self) -> bool {
        (self.kernel, self.interface, self.queue) != (before.kernel, before.interface, before.queue)
    }

    fn since(self, before: Self) -> String {
        format!(
            "{} by the kernel, {} by the interface, {} by the queue, while {} were received",
            self.kernel - before.kernel,
            self.interface - before.interface,
            self.queue - before.queue,
            self.received - before.received
        )
    }
}
