//! The queue between who makes events and the thread that writes them.
//!
//! Lines lie one behind the other in chunks, which are used again: nothing is allocated for a line. The lock is held
//! for a copy of one line, or for handing over a chunk, and never while anything is read or written.

use super::{OutletStats, State, Totals, now};
use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Bytes of a chunk; a longer line has a chunk of its own.
const CHUNK: usize = 64 << 10;
/// Empty chunks kept for use.
const SPARE: usize = 4;
/// How long the end waits for a thread that should see its deadline itself.
const GRACE: Duration = Duration::from_millis(250);

/// Whole lines, one behind the other.
#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) bytes: Vec<u8>,
    pub(super) lines: u64,
    /// When the first was given.
    since: Instant,
}

/// What the thread that writes is to do next.
#[derive(Debug)]
pub(super) enum Work {
    /// Write these.
    Lines(Chunk),
    /// Open the file again.
    Reopen,
    /// The time asked for has come.
    Tick,
    /// Nothing comes any more.
    End,
}

/// What the thread that writes waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asleep {
    No,
    /// For a first line.
    Empty,
    /// For a chunk to be full, or its time to come.
    Filling,
}

#[derive(Debug)]
struct Queue {
    chunks: VecDeque<Chunk>,
    spare: Vec<Vec<u8>>,
    /// Of what the writer holds.
    in_hand: Option<Instant>,
    stats: OutletStats,
    asleep: Asleep,
    reopen: bool,
    /// Nobody reads any more.
    closed: bool,
    /// Until when what is queued may still be written.
    closing: Option<Instant>,
    /// The thread has ended, or was left behind: its reports count no more.
    ended: bool,
    failing: Option<(Instant, String)>,
    lost_at_end: u64,
}

#[derive(Debug)]
pub(super) struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
    /// Most bytes that wait.
    room: usize,
    flush: Duration,
}

impl Shared {
    pub(super) fn new(room: usize, flush: Duration) -> Self {
        let queue = Queue {
            chunks: VecDeque::new(),
            spare: Vec::new(),
            in_hand: None,
            stats: OutletStats::default(),
            asleep: Asleep::No,
            reopen: false,
            closed: false,
            closing: None,
            ended: false,
            failing: None,
            lost_at_end: 0,
        };
        Self { queue: Mutex::new(queue), changed: Condvar::new(), room, flush }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        // Nothing under the lock can leave the queue half changed.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a line, or counts it as dropped; so too what is not one whole line.
    pub(super) fn give(&self, line: &[u8]) -> bool {
        let mut queue = self.lock();
        queue.stats.given += 1;
        let bytes = line.len() as u64;
        let one = memchr::memchr(b'\n', line).is_some_and(|at| at + 1 == line.len());
        if !one
            || queue.closed
            || queue.ended
            || queue.closing.is_some()
            || queue.stats.queue_bytes + bytes > self.room as u64
        {
            queue.stats.dropped += 1;
            return false;
        }
        queue.stats.queued += 1;
        queue.stats.queue_bytes += bytes;
        let full = match queue.chunks.back_mut() {
            Some(last) if last.bytes.len() + line.len() <= CHUNK => {
                last.bytes.extend_from_slice(line);
                last.lines += 1;
                false
            }
            last => {
                let full = last.is_some();
                let mut bytes = queue.spare.pop().unwrap_or_else(|| Vec::with_capacity(CHUNK));
                bytes.extend_from_slice(line);
                queue.chunks.push_back(Chunk { bytes, lines: 1, since: now() });
                full
            }
        };
        let wake = queue.asleep == Asleep::Empty || (full && queue.asleep == Asleep::Filling);
        if wake {
            queue.asleep = Asleep::No;
        }
        drop(queue);
        if wake {
            self.changed.notify_all();
        }
        true
    }

    /// Waits for something to do, until `tick` at the latest.
    pub(super) fn next(&self, tick: Option<Instant>) -> Work {
        let mut queue = self.lock();
        loop {
            if queue.reopen {
                queue.reopen = false;
                return Work::Reopen;
            }
            let now = now();
            if queue.ended || queue.closing.is_some_and(|end| now >= end) {
                return Work::End;
            }
            let due = queue.chunks.front().map(|first| first.since + self.flush);
            let ready = due.is_some_and(|due| queue.chunks.len() > 1 || queue.closing.is_some() || now >= due);
            if ready && let Some(chunk) = queue.chunks.pop_front() {
                queue.in_hand = Some(chunk.since);
                return Work::Lines(chunk);
            }
            if queue.closing.is_some() {
                return Work::End;
            }
            if tick.is_some_and(|tick| now >= tick) {
                return Work::Tick;
            }
            queue.asleep = if due.is_some() { Asleep::Filling } else { Asleep::Empty };
            queue = match due.into_iter().chain(tick).min() {
                Some(until) => self.wait(queue, until.saturating_duration_since(now)),
                None => self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner),
            };
            queue.asleep = Asleep::No;
        }
    }

    fn wait<'q>(&self, queue: MutexGuard<'q, Queue>, time: Duration) -> MutexGuard<'q, Queue> {
        self.changed.wait_timeout(queue, time).unwrap_or_else(PoisonError::into_inner).0
    }

    /// Of the chunk in hand, `lines` with `bytes` are written.
    pub(super) fn wrote(&self, lines: u64, bytes: u64) {
        let mut queue = self.lock();
        queue.failing = None;
        if queue.ended {
            return;
        }
        queue.stats.written += lines;
        queue.stats.queued -= lines;
        queue.stats.bytes += bytes;
        queue.stats.queue_bytes -= bytes;
    }

    /// `bytes` of those written are written again: the beginning of a line that nobody will read.
    pub(super) fn unwrite(&self, bytes: u64) {
        let mut queue = self.lock();
        if !queue.ended {
            queue.stats.bytes -= bytes;
            queue.stats.queue_bytes += bytes;
        }
    }

    /// The chunk in hand is done.
    pub(super) fn done(&self, chunk: Chunk) {
        let mut queue = self.lock();
        queue.in_hand = None;
        let mut bytes = chunk.bytes;
        if queue.spare.len() < SPARE && bytes.capacity() <= CHUNK {
            bytes.clear();
            queue.spare.push(bytes);
        }
    }

    /// What was written until now is on the disk.
    pub(super) fn synced(&self) {
        let mut queue = self.lock();
        queue.stats.synced = queue.stats.written;
    }

    /// Changes counters that are the writer's alone.
    pub(super) fn count(&self, change: impl FnOnce(&mut OutletStats)) {
        change(&mut self.lock().stats);
    }

    /// An attempt failed.
    pub(super) fn failed(&self, why: String) {
        let mut queue = self.lock();
        queue.stats.errors += 1;
        let since = queue.failing.take().map_or_else(now, |(since, _)| since);
        queue.failing = Some((since, why));
    }

    /// What failed works again.
    pub(super) fn recovered(&self) {
        self.lock().failing = None;
    }

    /// Waits `time` before the next attempt; a wish to reopen, and the end, cut it short. Says whether to go on:
    /// not once the time for the rest is up.
    pub(super) fn pause(&self, time: Duration) -> bool {
        let mut queue = self.lock();
        let until = now() + time;
        loop {
            let now = now();
            let end = queue.closing;
            if end.is_some_and(|end| now >= end) || queue.ended {
                return false;
            }
            if queue.reopen || now >= until {
                return true;
            }
            let until = end.map_or(until, |end| end.min(until));
            queue = self.wait(queue, until.saturating_duration_since(now));
        }
    }

    /// Whether a reopening was asked for; it counts as done with this.
    pub(super) fn take_reopen(&self) -> bool {
        std::mem::take(&mut self.lock().reopen)
    }

    /// The reader has gone for good: what is queued is dropped, and what comes.
    pub(super) fn closed(&self) {
        let mut queue = self.lock();
        queue.closed = true;
        queue.failing = None;
        queue.drop_rest();
    }

    /// The thread has come to its end. Whatever it left is dropped.
    pub(super) fn end(&self) {
        let mut queue = self.lock();
        queue.end();
        drop(queue);
        self.changed.notify_all();
    }

    pub(super) fn ended(&self) -> bool {
        self.lock().ended
    }

    pub(super) fn reopen(&self) {
        self.lock().reopen = true;
        self.changed.notify_all();
    }

    pub(super) fn close(&self, deadline: Duration) -> Totals {
        let mut queue = self.lock();
        let end = now() + deadline;
        queue.closing = Some(end);
        self.changed.notify_all();
        while !queue.ended {
            let left = (end + GRACE).saturating_duration_since(now());
            if left.is_zero() {
                // It hangs in the kernel. What it holds counts as lost, whatever becomes of it.
                queue.end();
                break;
            }
            queue = self.wait(queue, left);
        }
        Totals { stats: queue.stats, lost_at_end: queue.lost_at_end }
    }

    pub(super) fn stats(&self) -> OutletStats {
        let queue = self.lock();
        let oldest = queue.in_hand.or_else(|| queue.chunks.front().map(|c| c.since));
        OutletStats { lag: oldest.map_or(Duration::ZERO, |since| since.elapsed()), ..queue.stats }
    }

    pub(super) fn state(&self) -> State {
        let queue = self.lock();
        match &queue.failing {
            _ if queue.closed => State::Closed,
            _ if queue.ended => State::Ended,
            Some((since, why)) => State::Failing { why: why.clone(), since: since.elapsed() },
            None => State::Writing,
        }
    }
}

impl Queue {
    fn end(&mut self) {
        if !self.ended {
            self.lost_at_end = self.stats.queued;
            self.drop_rest();
            self.ended = true;
        }
    }

    fn drop_rest(&mut self) {
        self.stats.dropped += self.stats.queued;
        self.stats.queued = 0;
        self.stats.queue_bytes = 0;
        self.in_hand = None;
        self.chunks.clear();
    }
}
