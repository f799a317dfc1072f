//! Capture of interfaces.

mod block;
mod capturer;
mod cell;
mod error;
mod fill;
#[cfg_attr(not(all(feature = "pcap", target_os = "linux")), path = "handle_absent.rs")]
mod handle;
mod made;
mod merge;
mod options;
mod ring;
mod stats;
#[cfg(all(feature = "pcap", target_os = "linux"))]
mod sys;
#[cfg(test)]
mod tests;
mod watch;

use crate::inputs::Input;
use crate::notice::{Notice, Notices};
use crate::{Batch, Stats};
use block::{Parcel, Shell};
use capturer::{Capturer, Next, Now, SECOND};
use cell::{Cell, Counts};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TryRecvError};
pub use error::LiveError;
use fill::Filler;
#[doc(hidden)]
pub use made::Made;
use merge::{MAX_SILENCE, Merge, Said};
use net::Timestamp;
pub use options::{InterfaceOptions, LIVE_BLOCK_BYTES, LiveOptions, MAX_LIVE_INTERFACES, MAX_RINGS, MAX_SNAPLEN};
use ring::{Opener, Ring};
pub use stats::{InterfaceStats, LiveStats, RingInfo};
use std::collections::VecDeque;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};
use watch::Watch;

/// Longest time that [`Live::next_batch`] waits.
const MAX_PAUSE: Duration = Duration::from_millis(100);
/// Longest time that it waits while frames are held back for other rings.
const SHORT_PAUSE: Duration = Duration::from_millis(10);

/// Captures interfaces.
///
/// [`Live::open`] opens them all; what they bring waits in the kernel's rings until the first [`Live::next_batch`], which
/// starts the capture threads. So privileges can be given up in between, and the threads have none that their maker has
/// not. To open an interface again that went away takes `CAP_NET_RAW`, though.
pub struct Live {
    inputs: Vec<Input>,
    interfaces: Vec<Interface>,
    rings: Vec<Thread>,
    infos: Vec<RingInfo>,
    queue: Receiver<Parcel>,
    /// Kept until all threads are made; the queue ends with the last of its senders.
    sender: Option<Sender<Parcel>>,
    merge: Merge,
    notices: Notices,
    stop: Arc<AtomicBool>,
    clock: Instant,
    next_look: Duration,
    over: bool,
    /// The first tick of a capture of nothing has been.
    ticking: bool,
    /// In tests: what takes the place of the rings.
    feed: Option<made::Feed>,
}

/// An interface with its rings, which stand in [`Live::rings`].
#[derive(Debug)]
struct Interface {
    name: String,
    rings: Range<usize>,
    watch: Watch,
}

/// A capture thread.
struct Thread {
    cell: Arc<Cell>,
    name: String,
    core: Option<usize>,
    /// Until it is started.
    capturer: Option<Capturer>,
    handle: Option<JoinHandle<()>>,
}

/// A ring that is open, with what it takes to make its thread.
pub(crate) struct Opened {
    pub(crate) ring: Box<dyn Ring>,
    pub(crate) opener: Box<dyn Opener>,
    pub(crate) info: RingInfo,
}

/// Stops a capture, from any thread and at any time. What was captured by then is still handed over.
#[derive(Clone, Debug)]
pub struct Stopper(Arc<AtomicBool>);

impl Stopper {
    /// Stops it. Once all is handed over, which takes two and a half times the timeout of the interfaces at most,
    /// [`Live::next_batch`] gives `None`.
    pub fn stop(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether it was stopped.
    pub fn is_stopped(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

impl Live {
    /// Opens interfaces.
    ///
    /// # Errors
    ///
    /// [`LiveError`], if one of them cannot be opened, or not as asked for.
    pub fn open(interfaces: &[InterfaceOptions], options: &LiveOptions) -> Result<Self, LiveError> {
        error::check(interfaces)?;
        let opened = handle::open(interfaces)?;
        Ok(Self::assemble(interfaces, options, opened))
    }

    /// Captures nothing: it only tells the time until it is stopped, for a run whose traffic comes by another way.
    pub fn of_none() -> Self {
        Self::assemble(&[], &LiveOptions::default(), Vec::new())
    }

    /// Makes everything but the threads. There is a list of rings for each interface.
    fn assemble(interfaces: &[InterfaceOptions], options: &LiveOptions, opened: Vec<Vec<Opened>>) -> Self {
        let count: usize = opened.iter().map(Vec::len).sum();
        let block_bytes: Vec<usize> = interfaces.iter().map(|interface| Shell::bytes_for(interface.snaplen)).collect();
        let largest = block_bytes.iter().copied().max().unwrap_or(LIVE_BLOCK_BYTES);
        let each = Shell::share(options, count, largest);
        let (sender, queue) = crossbeam_channel::bounded(each * count);
        let stop = Arc::new(AtomicBool::new(false));
        let mut live = Self {
            inputs: interfaces.iter().map(|i| Input { name: i.name.clone(), path: None, bytes: None }).collect(),
            interfaces: Vec::new(),
            rings: Vec::new(),
            infos: Vec::new(),
            queue,
            sender: None,
            merge: Merge::new(&vec![each; count], interfaces.len()),
            notices: Notices::default(),
            stop: Arc::clone(&stop),
            clock: clock(),
            next_look: SECOND,
            over: false,
            ticking: false,
            feed: None,
        };
        for ((file, options), (opened, bytes)) in (0_u16..).zip(interfaces).zip(opened.into_iter().zip(block_bytes)) {
            let first = live.rings.len();
            for (i, Opened { ring, opener, info }) in opened.into_iter().enumerate() {
                let shells = (0..each).map(|_| Shell::new(bytes)).collect();
                let cell = Arc::new(Cell::new(shells));
                let filler = Filler::new(live.rings.len(), file, bytes, Arc::clone(&cell), sender.clone());
                let capturer =
                    Capturer::new(Some(ring), opener, filler, Arc::clone(&cell), Arc::clone(&stop), options.timeout);
                let core = options.cores.iter().cycle().nth(i).copied();
                // The system keeps 15 bytes of it.
                let name = format!("r{i}-{}", options.name);
                live.rings.push(Thread { cell, name, core, capturer: Some(capturer), handle: None });
                live.infos.push(info);
            }
            let rings = first..live.rings.len();
            live.interfaces.push(Interface { name: options.name.clone(), rings, watch: Watch::default() });
        }
        live.sender = Some(sender);
        live
    }

    /// Interfaces by name; the index is `Place::file`.
    pub fn inputs(&self) -> &[Input] {
        &self.inputs
    }

    /// What the system gave for each ring when it was opened.
    pub fn rings(&self) -> &[RingInfo] {
        &self.infos
    }

    /// Stops this capture from elsewhere.
    pub fn stopper(&self) -> Stopper {
        Stopper(Arc::clone(&self.stop))
    }

    /// Takes the notices out that have come up since last asked.
    pub fn notices(&mut self) -> impl Iterator<Item = Notice> + '_ {
        self.notices.waiting.drain(..)
    }

    pub(crate) fn waiting_notices(&mut self) -> &mut VecDeque<Notice> {
        &mut self.notices.waiting
    }

    /// What was handed over, as a reader of files would count it.
    pub(crate) fn read_stats(&self) -> Stats {
        Stats {
            packets: self.merge.number,
            bytes: self.merge.bytes,
            notices_lost: self.notices.lost,
            ..Stats::default()
        }
    }

    /// Counts so far.
    pub fn stats(&self) -> LiveStats {
        let named = self.interfaces.iter().enumerate();
        let interfaces = named.map(|(i, interface)| InterfaceStats { name: interface.name.clone(), ..self.sums(i) });
        LiveStats { interfaces: interfaces.collect(), hurried: self.merge.hurried }
    }

    /// Counts of an interface, without its name.
    fn sums(&self, index: usize) -> InterfaceStats {
        let Some(interface) = self.interfaces.get(index) else { return InterfaceStats::default() };
        let handed_out = self.merge.in_file.get(index).copied().unwrap_or(0);
        let mut stats = InterfaceStats { handed_out, open: true, up: true, ..InterfaceStats::default() };
        for thread in self.rings.get(interface.rings.clone()).unwrap_or_default() {
            let counts = thread.cell.counts();
            stats.received += counts.read + counts.unread;
            stats.received_bytes += counts.read_bytes;
            stats.queue_dropped += counts.queue_dropped;
            stats.queue_dropped_bytes += counts.queue_dropped_bytes;
            stats.unread += counts.unread;
            stats.kernel_received += counts.kernel_received;
            stats.kernel_dropped += counts.kernel_dropped;
            stats.interface_dropped += counts.interface_dropped;
            stats.cut += counts.cut;
            stats.reopened += counts.opened.saturating_sub(1);
            stats.panics += counts.panics;
            let open = counts.opened > counts.closed;
            stats.open &= open;
            stats.up &= open && thread.cell.is_up();
        }
        if let Some(feed) = &self.feed {
            feed.count(&mut stats);
        }
        stats.waiting = stats.received.saturating_sub(stats.handed_out + stats.queue_dropped + stats.unread);
        stats
    }

    /// The next frames; waits for at most 100 ms. `None` once the capture was stopped and everything was handed over.
    ///
    /// A batch can hold no frame; its [`Batch::until`] tells the time all the same.
    pub fn next_batch(&mut self) -> Option<Batch> {
        if self.over {
            return None;
        }
        if let Some(feed) = &mut self.feed {
            return feed.next(&mut self.merge, &self.stop);
        }
        if self.interfaces.is_empty() {
            return self.tick();
        }
        self.start();
        let end = self.now() + MAX_PAUSE;
        loop {
            let now = self.now();
            self.reclaim();
            self.watch(now);
            let ended = self.gather(now);
            if let Some(batch) = self.merge.next(now, ended) {
                return Some(batch);
            }
            if ended {
                return self.end(now);
            }
            if now >= end {
                return Some(self.merge.nothing());
            }
            let pause = if self.merge.is_empty() { MAX_PAUSE } else { SHORT_PAUSE };
            match self.queue.recv_timeout(pause.min(end.saturating_sub(now))) {
                Ok(parcel) => self.merge.stage(parcel, now),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
            }
        }
    }

    /// The next batch where there is no interface: nothing, and what time it is.
    fn tick(&mut self) -> Option<Batch> {
        if self.stop.load(Ordering::Acquire) {
            self.over = true;
            return None;
        }
        // The first one is due at once: whatever waits for the time to begin need not wait longer.
        if std::mem::replace(&mut self.ticking, true) {
            std::thread::sleep(MAX_PAUSE);
        }
        self.reclaim();
        Some(self.merge.time(wall()))
    }

    /// Starts the threads that do not run yet.
    fn start(&mut self) {
        if self.sender.is_none() {
            return;
        }
        let clock = self.clock;
        for (index, thread) in self.rings.iter_mut().enumerate() {
            let Some(capturer) = thread.capturer.take() else { continue };
            let core = thread.core;
            let builder = std::thread::Builder::new().name(thread.name.clone());
            thread.cell.beat(clock.elapsed());
            match builder.spawn(move || run(capturer, clock, core)) {
                Ok(handle) => thread.handle = Some(handle),
                Err(error) => {
                    // The ring is gone with what was to read it.
                    let counts = thread.cell.counts();
                    thread.cell.publish(&Counts { closed: counts.opened, ..counts });
                    thread.cell.set_down(&format!("no thread for ring {index}: {error}"));
                }
            }
        }
        self.sender = None;
    }

    /// Gives memory back to the threads.
    fn reclaim(&mut self) {
        let rings = &self.rings;
        self.merge.reclaim(|ring, shell| {
            if let Some(thread) = rings.get(ring) {
                thread.cell.give_back(shell);
            }
        });
    }

    /// Takes in what the threads brought. Says whether there will be no more.
    fn gather(&mut self, now: Duration) -> bool {
        for (ring, thread) in self.rings.iter().enumerate() {
            let silent = now.saturating_sub(thread.cell.last_beat()) > MAX_SILENCE;
            self.merge.note(ring, if silent { Said::Silent } else { Said::Until(thread.cell.until()) });
        }
        loop {
            match self.queue.try_recv() {
                Ok(parcel) => self.merge.stage(parcel, now),
                Err(TryRecvError::Empty) => return false,
                Err(TryRecvError::Disconnected) => return true,
            }
        }
    }

    /// Looks at the interfaces, and once a second at what was lost.
    fn watch(&mut self, now: Duration) {
        let second = now >= self.next_look;
        if second {
            self.next_look = now + SECOND;
        }
        for index in 0..self.interfaces.len() {
            let stats = self.sums(index);
            let Some(interface) = self.interfaces.get_mut(index) else { continue };
            let rings = self.rings.get(interface.rings.clone()).unwrap_or_default();
            let closed = rings.iter().map(|thread| thread.cell.counts().closed).sum();
            let why = || rings.iter().map(|thread| thread.cell.why()).find(|why| !why.is_empty()).unwrap_or_default();
            let (notices, number) = (&mut self.notices, self.merge.number);
            let file = u16::try_from(index).unwrap_or(u16::MAX);
            let mut tell = |code, message| notices.push(file, code, message, number);
            interface.watch.presence(now, &stats, closed, why, &mut tell);
            if second {
                interface.watch.loss(now, &stats, &mut tell);
            }
        }
    }

    /// Everything was handed over: looks at the counters for the last time.
    fn end(&mut self, now: Duration) -> Option<Batch> {
        self.over = true;
        self.join();
        self.next_look = now;
        self.watch(now);
        None
    }

    fn join(&mut self) {
        for handle in self.rings.iter_mut().filter_map(|thread| thread.handle.take()) {
            // It catches its own panics; what is left to say it has counted.
            let _ = handle.join();
        }
    }

    fn now(&self) -> Duration {
        self.clock.elapsed()
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        self.join();
    }
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Live")
            .field("interfaces", &self.interfaces.len())
            .field("rings", &self.rings.len())
            .field("packets", &self.merge.number)
            .finish_non_exhaustive()
    }
}

/// The life of a capture thread.
fn run(mut capturer: Capturer, clock: Instant, core: Option<usize>) {
    if let Some(core) = core {
        handle::pin(core);
    }
    loop {
        let now = Now { since_start: clock.elapsed(), wall: wall() };
        match capturer.step(now) {
            Next::Again => {}
            Next::Wait(at_most) => capturer.wait(at_most),
            Next::Over => return,
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "what is live has no other clock for its own waits")]
fn clock() -> Instant {
    Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "the kernel stamps frames by this clock")]
fn wall() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}
