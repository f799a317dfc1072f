//! Events of a run that lasts: lines in a bounded queue, and a thread of its own that writes them.
//!
//! Whoever makes events never waits: [`Outlet::give`] makes the line, puts it in the queue and comes back. Where the
//! queue is full the line is dropped and counted. What is written is whole lines only: a line that a crash or a full
//! disk tore is cut away, or finished, before another follows. At any time
//!
//! > given = written + dropped + queued
//!
//! "Written" means that the kernel has it: such a line outlives the program, and once it counts as `synced` also the
//! machine. What a crash costs at most is what came in the last [`OutletOptions::flush`], and what waits in the queue.

mod error;
mod file;
mod queue;
mod rotate;
mod writer;

pub use error::OutletError;

use crate::jsonl;
use correlate::Record;
use queue::Shared;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Where lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Standard output: a pipe, a terminal, or a file that the shell opened. Never rotated, reopened or repaired.
    Stdout,
    /// A file, a named pipe or a character device. A symbolic link as last component is refused.
    Path(PathBuf),
}

impl Target {
    /// `-` is standard output, anything else a path.
    pub fn new(text: &str) -> Self {
        if text == "-" { Self::Stdout } else { Self::Path(text.into()) }
    }
}

/// When the kernel is told to put what was written on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fsync {
    /// Never: the kernel decides, usually within 30 s.
    Never,
    /// At most this long after a line was written.
    Interval(Duration),
    /// After each write, and nothing is held back to write more at once.
    Always,
}

/// When a file is set aside. Both may be given; neither concerns what is not a regular file.
///
/// The file is renamed to `NAME.<UTC time>-<n>` (`events.jsonl.20261123T091201Z-1`), in the same directory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rotation {
    /// Before it would grow beyond this many bytes. A single longer line still gets a file of its own.
    pub max_bytes: Option<u64>,
    /// At each multiple of this since 1970 (UTC): one day means at midnight. A file from before that is left from an
    /// earlier run is set aside at the start. At least a second.
    pub every: Option<Duration>,
    /// Files set aside that are kept; older ones are removed after each rotation. `None` keeps all.
    pub keep: Option<usize>,
}

/// How an [`Outlet`] writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutletOptions {
    /// What messages and metrics call it.
    pub name: String,
    /// Where lines go.
    pub target: Target,
    /// Most bytes of lines that wait. Memory is at most about twice that.
    pub queue_bytes: usize,
    /// A line is written this long after it was given, or earlier. Zero writes each at once.
    pub flush: Duration,
    /// When lines reach the disk.
    pub fsync: Fsync,
    /// When a file is set aside.
    pub rotation: Rotation,
}

impl OutletOptions {
    /// Most bytes of lines that wait unless said otherwise.
    pub const QUEUE_BYTES: usize = 16 << 20;
    /// How long a line waits for others unless said otherwise.
    pub const FLUSH: Duration = Duration::from_millis(200);

    /// The usual: 16 MiB of queue, written within 200 ms, no `fsync`, no rotation. `target` is a path, or `-`.
    pub fn new(target: &str) -> Self {
        Self {
            name: target.to_owned(),
            target: Target::new(target),
            queue_bytes: Self::QUEUE_BYTES,
            flush: Self::FLUSH,
            fsync: Fsync::Never,
            rotation: Rotation::default(),
        }
    }

    /// The same, each line written at once: for a person who watches, or a pipe.
    #[must_use]
    pub fn prompt(self) -> Self {
        Self { flush: Duration::ZERO, ..self }
    }
}

/// Counters of an [`Outlet`]. `given` = `written` + `dropped` + `queued`, always.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutletStats {
    /// Lines given.
    pub given: u64,
    /// Lines that the kernel has.
    pub written: u64,
    /// Lines lost: the queue was full, the reader has gone for good, or time was up at the end.
    pub dropped: u64,
    /// Lines that wait.
    pub queued: u64,
    /// Of those written, lines that are on the disk as far as the kernel says.
    pub synced: u64,
    /// Bytes of the lines written.
    pub bytes: u64,
    /// Attempts to write, open, rotate or sync that failed.
    pub errors: u64,
    /// Bytes cut off since they were no whole line: what a crash left.
    pub repaired_bytes: u64,
    /// Files set aside by us.
    pub rotations: u64,
    /// Times the file was opened again, asked for or because another was in its place.
    pub reopened: u64,
    /// Bytes of lines that wait.
    pub queue_bytes: u64,
    /// Age of the oldest line that waits.
    pub lag: Duration,
}

/// How an [`Outlet`] is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Lines are written, or there are none.
    Writing,
    /// Writing fails; it is tried again at least once a second, meanwhile lines wait.
    Failing {
        /// What happened, with the path.
        why: String,
        /// For how long.
        since: Duration,
    },
    /// The reader of standard output has gone, which ends it for good: what is given from then on is dropped.
    Closed,
    /// The thread that writes is gone: a fault of ours, or the end.
    Ended,
}

/// Takes records, writes lines. See the [module](self).
///
/// Dropping it waits up to a second for what is queued; [`Outlet::close`] says what became of it.
#[derive(Debug)]
pub struct Outlet {
    handle: Handle,
    thread: Option<JoinHandle<()>>,
    line: Vec<u8>,
}

/// Looks at an [`Outlet`], and asks it to reopen its file, from any thread.
#[derive(Clone, Debug)]
pub struct Handle {
    name: Arc<str>,
    shared: Arc<Shared>,
}

/// What became of the lines of an [`Outlet`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Totals {
    /// Counters at the end; nothing is queued any more.
    pub stats: OutletStats,
    /// Of those dropped, lines that were still queued when time was up.
    pub lost_at_end: u64,
}

impl Outlet {
    /// Opens the target and starts the thread that writes.
    ///
    /// A file is created with mode 0640; of one that is there, the end is repaired. A named pipe without a reader is
    /// no error: lines wait until there is one.
    ///
    /// # Errors
    ///
    /// What is wrong with the target, and what would do.
    pub fn open(options: OutletOptions) -> Result<Self, OutletError> {
        let name: Arc<str> = options.name.as_str().into();
        let flush = if options.fsync == Fsync::Always { Duration::ZERO } else { options.flush };
        let shared = Arc::new(Shared::new(options.queue_bytes, flush));
        let writer = writer::Writer::open(options, Arc::clone(&shared))?;
        let thread = std::thread::Builder::new()
            .name("outlet".into())
            .spawn(move || writer.run())
            .map_err(|error| OutletError::Thread { error })?;
        Ok(Self { handle: Handle { name, shared }, thread: Some(thread), line: Vec::with_capacity(4096) })
    }

    /// Takes one record. Never waits: where there is no room the line is dropped and counted.
    ///
    /// Says whether the line was taken.
    pub fn give(&mut self, record: &Record) -> bool {
        // A record that JSON cannot hold would be a fault of ours; it is counted as dropped.
        let made = jsonl::line(record, &mut self.line).is_ok();
        let taken = self.handle.shared.give(if made { &self.line } else { &[] });
        // One huge event must not keep its buffer for ever.
        if self.line.capacity() > 1 << 20 {
            self.line = Vec::with_capacity(4096);
        }
        taken
    }

    /// Takes a line that [`jsonl::line`] made: for several outlets that write the same.
    pub fn give_line(&mut self, line: &[u8]) -> bool {
        self.handle.shared.give(line)
    }

    /// For other threads.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Counters so far.
    pub fn stats(&self) -> OutletStats {
        self.handle.stats()
    }

    /// How it is.
    pub fn state(&self) -> State {
        self.handle.state()
    }

    /// Asks for the file to be opened again: what comes from now on goes to what is then at the path.
    pub fn reopen(&self) {
        self.handle.reopen();
    }

    /// Writes what is queued, for at most `deadline`, and says what was lost.
    pub fn close(mut self, deadline: Duration) -> Totals {
        self.finish(deadline)
    }

    fn finish(&mut self, deadline: Duration) -> Totals {
        let totals = self.handle.shared.close(deadline);
        if let Some(thread) = self.thread.take() {
            // One that hangs in the kernel (a dead network disk) is left behind: the deadline holds.
            if thread.is_finished() || self.handle.shared.ended() {
                let _ = thread.join();
            }
        }
        totals
    }
}

impl Drop for Outlet {
    fn drop(&mut self) {
        if self.thread.is_some() {
            self.finish(Duration::from_secs(1));
        }
    }
}

impl Handle {
    /// What messages and metrics call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Counters so far.
    pub fn stats(&self) -> OutletStats {
        self.shared.stats()
    }

    /// How it is.
    pub fn state(&self) -> State {
        self.shared.state()
    }

    /// As [`Outlet::reopen`].
    pub fn reopen(&self) {
        self.shared.reopen();
    }
}

/// Time for waiting and for ages; no record depends on it.
#[expect(clippy::disallowed_methods, reason = "when lines are written is no matter of packet time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}
