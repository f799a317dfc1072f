//! The thread that writes.

use super::file::{self, Place, Wrote, whole_lines};
use super::queue::{Chunk, Shared, Work};
use super::{Fsync, OutletError, OutletOptions, Target, now, rotate};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// Waiting times between attempts: the first, and the longest.
const PAUSE: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));
/// How often the path is looked at, and how soon a rotation that failed is tried again.
const LOOK: Duration = Duration::from_secs(1);

/// Why a chunk was not written to its end.
#[derive(Debug)]
enum Stop {
    /// Nobody reads standard output any more.
    Closed,
    /// Time is up.
    End,
}

#[derive(Debug)]
pub(super) struct Writer {
    options: OutletOptions,
    shared: Arc<Shared>,
    /// `None` while it cannot be opened.
    place: Option<Place>,
    /// Size of the file, as far as we know.
    size: u64,
    /// Which span of time the file belongs to.
    span: u64,
    /// When the path is looked at next.
    look: Instant,
    /// Before this no file is set aside: the last attempt failed.
    not_before: Instant,
    /// Since when something is written that is not on the disk for sure.
    unsynced: Option<Instant>,
}

impl Writer {
    pub(super) fn open(options: OutletOptions, shared: Arc<Shared>) -> Result<Self, OutletError> {
        let now = now();
        let span = rotate::span(&options.rotation, wall());
        let mut writer =
            Self { options, shared, place: None, size: 0, span, look: now, not_before: now, unsynced: None };
        match writer.open_place() {
            // A reader may come later.
            Ok(()) | Err(OutletError::NoReader { .. }) => Ok(writer),
            Err(error) => Err(error),
        }
    }

    /// Opens the target in place of what was open.
    fn open_place(&mut self) -> Result<(), OutletError> {
        let (place, cut) = file::open(&self.options.target)?;
        self.shared.count(|stats| stats.repaired_bytes += cut);
        self.span = rotate::span(&self.options.rotation, wall());
        self.size = 0;
        if let Some(Ok(there)) = place.look() {
            self.size = there.len();
            if let Ok(changed) = there.modified() {
                self.span = rotate::span(&self.options.rotation, changed).min(self.span);
            }
        }
        self.look = now() + LOOK;
        self.place = Some(place);
        Ok(())
    }

    pub(super) fn run(mut self) {
        loop {
            match self.shared.next(self.tick()) {
                Work::Lines(chunk) => {
                    let stop = self.deliver(&chunk);
                    self.shared.done(chunk);
                    match stop {
                        Ok(()) => {}
                        Err(Stop::Closed) => {
                            self.shared.closed();
                            break;
                        }
                        Err(Stop::End) => break,
                    }
                    if self.options.fsync == Fsync::Always {
                        self.sync();
                    }
                }
                Work::Reopen => self.reopen(),
                Work::Tick => {}
                Work::End => break,
            }
            self.idle();
        }
        if self.options.fsync != Fsync::Never {
            self.sync();
        }
    }

    /// When there is something to do though no line comes.
    fn tick(&self) -> Option<Instant> {
        let sync = match (self.options.fsync, self.unsynced) {
            (Fsync::Interval(every), Some(since)) => Some(since + every),
            _ => None,
        };
        let regular = matches!(self.place, Some(Place::Regular(_))) && self.size > 0;
        let aside = rotate::left(&self.options.rotation, wall()).filter(|_| regular);
        // A file from an earlier span goes at once.
        let late = regular && self.span != rotate::span(&self.options.rotation, wall());
        let aside = if late { Some(self.not_before) } else { aside.map(|left| now() + left) };
        sync.into_iter().chain(aside).min()
    }

    /// What is due without lines.
    fn idle(&mut self) {
        if let (Fsync::Interval(every), Some(since)) = (self.options.fsync, self.unsynced)
            && now() >= since + every
        {
            self.sync();
        }
        self.rotate(0);
    }

    /// Writes a chunk, however often it takes.
    fn deliver(&mut self, chunk: &Chunk) -> Result<(), Stop> {
        let lines = chunk.bytes.as_slice();
        let (mut at, mut pause) = (0, PAUSE.0);
        while at < lines.len() {
            if self.shared.take_reopen() && self.options.target != Target::Stdout {
                at = self.begin_again(lines, at);
                self.reopen();
            }
            let rest = lines.get(at..).unwrap_or_default();
            let wrote = self.attempt(rest);
            if let Ok(Wrote { bytes: bytes @ 1.., .. }) = wrote {
                let passed = rest.get(..bytes).unwrap_or_default();
                let whole = if bytes == lines.len() { chunk.lines } else { breaks(passed) };
                self.shared.wrote(whole, bytes as u64);
                self.unsynced = self.unsynced.or_else(|| Some(now()));
                pause = PAUSE.0;
                at += bytes;
            }
            match wrote {
                Ok(Wrote { error: None, .. }) => continue,
                // A slow reader is no error; the waiting was done.
                Ok(Wrote { error: Some(slow), .. }) if slow.kind() == io::ErrorKind::WouldBlock => {
                    if !self.shared.pause(Duration::ZERO) {
                        return Err(Stop::End);
                    }
                    continue;
                }
                Ok(Wrote { lost: true, .. }) if self.options.target == Target::Stdout => return Err(Stop::Closed),
                Ok(Wrote { error: Some(error), lost, .. }) => {
                    self.shared.failed(self.cannot("write events to", &error));
                    if lost {
                        self.place = None;
                        at = self.begin_again(lines, at);
                    }
                }
                Err(why) => {
                    self.place = None;
                    at = self.begin_again(lines, at);
                    self.shared.failed(why);
                }
            }
            if !self.shared.pause(pause) {
                return Err(Stop::End);
            }
            pause = (pause * 2).min(PAUSE.1);
        }
        Ok(())
    }

    /// Where to go on after the place was opened again: whoever reads now gets the line from its beginning.
    fn begin_again(&self, lines: &[u8], at: usize) -> usize {
        let whole = whole_lines(lines, at);
        let again = (at - whole) as u64;
        self.shared.unwrite(again);
        whole
    }

    /// One attempt at a beginning of `lines`. Where there is nothing to write to, says why.
    fn attempt(&mut self, lines: &[u8]) -> Result<Wrote, String> {
        self.check_place()?;
        let first = memchr::memchr(b'\n', lines).map_or(lines.len(), |at| at + 1);
        self.rotate(first as u64);
        self.ensure_open()?;
        let mut fits = lines;
        if let (Some(max), Some(Place::Regular(_))) = (self.options.rotation.max_bytes, &self.place) {
            let room = usize::try_from(max.saturating_sub(self.size)).unwrap_or(usize::MAX);
            // A line that fits in no file is written all the same, and so is one that could not be rotated away.
            fits = lines.get(..whole_lines(lines, room.min(lines.len())).max(first)).unwrap_or(lines);
        }
        let Some(place) = &mut self.place else {
            return Err(self.cannot("write events to", &io::ErrorKind::NotFound.into()));
        };
        let wrote = place.write(fits);
        self.size += wrote.bytes as u64;
        Ok(wrote)
    }

    /// Opens the place where it is not open, or where another has come in its place.
    fn check_place(&mut self) -> Result<(), String> {
        if let (Some(place), Target::Path(path)) = (&self.place, &self.options.target)
            && let Some(there) = place.look()
        {
            let there = there.map_err(|error| self.cannot("look at", &error))?;
            self.size = there.len();
            let due = now() >= self.look;
            if due {
                self.look = now() + LOOK;
            }
            // Nothing is written to a file that has no name any more.
            if std::os::unix::fs::MetadataExt::nlink(&there) == 0 || (due && file::replaced(path, &there)) {
                self.leave();
                self.shared.count(|stats| stats.reopened += 1);
            }
        }
        self.ensure_open()
    }

    fn ensure_open(&mut self) -> Result<(), String> {
        if self.place.is_none() {
            self.open_place().map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    /// Sets the file aside where the next line of `first` bytes would make it too large, or its time is over.
    fn rotate(&mut self, first: u64) {
        let Target::Path(path) = &self.options.target else { return };
        let rotation = self.options.rotation;
        let wall = wall();
        if self.size == 0 {
            self.span = rotate::span(&rotation, wall);
        }
        if !matches!(self.place, Some(Place::Regular(_))) || self.size == 0 || now() < self.not_before {
            return;
        }
        let large = rotation.max_bytes.is_some_and(|max| first > 0 && self.size + first > max);
        if !large && self.span == rotate::span(&rotation, wall) {
            return;
        }
        let path = path.clone();
        match self.set_aside(&path, wall) {
            Ok(aside) => self.shared.count(|stats| stats.rotations += u64::from(aside)),
            Err(why) => {
                // The events go on into the file there is.
                self.not_before = now() + LOOK;
                self.shared.failed(why);
                return;
            }
        }
        if let Some(keep) = rotation.keep
            && let Err(error) = rotate::remove_old(&path, keep)
        {
            self.shared.failed(self.cannot("remove what was set aside of", &error));
        }
        self.leave();
        if let Err(error) = self.open_place() {
            self.shared.failed(error.to_string());
        }
    }

    /// Renames the file, unless another has come in its place: that one is not ours to rename.
    fn set_aside(&self, path: &Path, wall: SystemTime) -> Result<bool, String> {
        if let Some(Ok(there)) = self.place.as_ref().and_then(Place::look)
            && file::replaced(path, &there)
        {
            return Ok(false);
        }
        rotate::set_aside(path, wall).map_err(|error| self.cannot("set aside", &error))?;
        Ok(true)
    }

    /// Closes the file.
    fn leave(&mut self) {
        if self.options.fsync != Fsync::Never {
            self.sync();
        }
        self.place = None;
    }

    fn reopen(&mut self) {
        if self.options.target == Target::Stdout {
            return;
        }
        self.leave();
        self.shared.count(|stats| stats.reopened += 1);
        match self.open_place() {
            Ok(()) => self.shared.recovered(),
            Err(error) => self.shared.failed(error.to_string()),
        }
    }

    /// Puts on the disk what was written.
    fn sync(&mut self) {
        let Some(Place::Regular(file)) = &self.place else {
            // What has gone elsewhere is out of reach.
            self.unsynced = None;
            return;
        };
        if self.unsynced.is_none() {
            return;
        }
        match file.sync() {
            Ok(()) => {
                self.unsynced = None;
                self.shared.synced();
            }
            Err(error) => {
                // It would say so once only; trying again at each line tells no more.
                self.unsynced = Some(now());
                self.shared.failed(self.cannot("sync", &error));
            }
        }
    }

    fn cannot(&self, doing: &str, error: &io::Error) -> String {
        match &self.options.target {
            Target::Stdout => format!("cannot {doing} standard output: {error}"),
            Target::Path(path) => format!("cannot {doing} {}: {error}", path.display()),
        }
    }
}

impl Drop for Writer {
    /// However the thread ends, by a fault of ours too: nothing waits for it any more.
    fn drop(&mut self) {
        self.shared.end();
    }
}

/// Line breaks in `bytes`.
fn breaks(bytes: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', bytes).count() as u64
}

/// The time of day, which names files that are set aside.
#[expect(clippy::disallowed_methods, reason = "files are set aside by the calendar, whatever the packets say")]
fn wall() -> SystemTime {
    SystemTime::now()
}
