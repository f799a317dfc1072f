//! The place that lines go to: opening it, its end, and writing so that no line stays torn.

use super::{OutletError, Target};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use std::fs::{File, FileType, Metadata, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::time::Duration;

/// How much of a pipe is written at once: what fits wherever there is any room (`PIPE_BUF`), so that writing to a pipe
/// that others opened for blocking never blocks.
const PIPE_BUF: usize = 4096;
/// Bytes read at once while the last line break is looked for.
const BLOCK: usize = 64 << 10;
/// How long room in a pipe is waited for before the end of the run is looked at.
const ROOM: Duration = Duration::from_millis(100);
/// A new process may hold the lock of its parent until it runs its own program.
const LOCK_TRIES: u32 = 5;

/// A regular file, of which we know the end.
#[derive(Debug)]
pub(super) struct Regular {
    file: File,
}

/// Where lines go.
#[derive(Debug)]
pub(super) enum Place {
    /// Standard output.
    Stdout,
    /// A file at a path.
    Regular(Regular),
    /// A named pipe or character device at a path; never blocks.
    Stream(File),
}

/// What became of an attempt to write.
#[derive(Debug)]
pub(super) struct Wrote {
    /// Bytes that are there now. Of a regular file always whole lines.
    pub(super) bytes: usize,
    /// Why there are not more. [`io::ErrorKind::WouldBlock`]: the reader is slow.
    pub(super) error: Option<io::Error>,
    /// The place is of no use any more: the reader has gone, or a torn line could not be cut away. It must be opened
    /// again, which repairs a file.
    pub(super) lost: bool,
}

/// Opens `target`. Says also how many bytes of a torn line were cut off.
pub(super) fn open(target: &Target) -> Result<(Place, u64), OutletError> {
    let Target::Path(path) = target else { return Ok((Place::Stdout, 0)) };
    let kind = match path.symlink_metadata() {
        Ok(there) => Some(there.file_type()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(refused(path, error)),
    };
    let stream = match kind {
        Some(kind) => check(path, kind)?,
        None => false,
    };
    let mut how = OpenOptions::new();
    // Reading is for the repair; a pipe opened for both would never lack a reader.
    how.append(true).read(!stream).create(!stream).mode(0o640);
    // A pipe may have taken the place of a file since: opening waits for nobody.
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = how.custom_flags(flags.bits().cast_signed()).open(path).map_err(|error| refused(path, error))?;
    let opened = file.metadata().map_err(OutletError::io("look at", path))?.file_type();
    if check(path, opened)? != stream {
        return Err(OutletError::Kind { path: path.clone(), what: "thing that keeps changing its kind" });
    }
    if stream {
        return Ok((Place::Stream(file), 0));
    }
    lock(&file, path)?;
    let mut regular = Regular { file };
    let cut = regular.repair().map_err(OutletError::io("repair the end of", path))?;
    match cut {
        Some(cut) => Ok((Place::Regular(regular), cut)),
        None => Err(OutletError::Foreign { path: path.clone() }),
    }
}

/// Whether a kind of file will do, and is a stream.
fn check(path: &Path, kind: FileType) -> Result<bool, OutletError> {
    let what = if kind.is_symlink() {
        return Err(OutletError::Symlink { path: path.to_owned() });
    } else if kind.is_file() || kind.is_fifo() || kind.is_char_device() {
        return Ok(!kind.is_file());
    } else if kind.is_dir() {
        "directory"
    } else if kind.is_socket() {
        "socket"
    } else {
        "block device"
    };
    Err(OutletError::Kind { path: path.to_owned(), what })
}

/// What an error of opening means.
fn refused(path: &Path, error: io::Error) -> OutletError {
    let path = path.to_owned();
    match rustix::io::Errno::from_io_error(&error) {
        Some(rustix::io::Errno::NXIO) => return OutletError::NoReader { path },
        Some(rustix::io::Errno::LOOP) => return OutletError::Symlink { path },
        _ => {}
    }
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
            let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
            OutletError::NoDirectory { directory: parent.to_owned(), path }
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => OutletError::Denied { path, error },
        _ => OutletError::Io { doing: "open", path, error },
    }
}

/// Makes sure that nobody else writes to a file: cutting a torn line off would hit theirs.
fn lock(file: &File, path: &Path) -> Result<(), OutletError> {
    for _ in 0..LOCK_TRIES {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(20)),
            // A file system without locks is used without.
            Ok(()) | Err(TryLockError::Error(_)) => return Ok(()),
        }
    }
    Err(OutletError::Locked { path: path.to_owned() })
}

impl Regular {
    /// Cuts the file back to its last line break, and says by how many bytes; `None` where it has another end and does
    /// not begin as our files do, and was left alone.
    ///
    /// Reads from the end, a block at a time.
    fn repair(&mut self) -> io::Result<Option<u64>> {
        let size = self.file.seek(SeekFrom::End(0))?;
        let mut block = vec![0; BLOCK];
        let mut end = size;
        let mut whole = 0;
        while end > 0 {
            let start = end.saturating_sub(BLOCK as u64);
            let read = block.get_mut(..usize::try_from(end - start).unwrap_or(BLOCK)).unwrap_or_default();
            self.file.seek(SeekFrom::Start(start))?;
            self.file.read_exact(read)?;
            if let Some(at) = memchr::memrchr(b'\n', read) {
                whole = start + at as u64 + 1;
                break;
            }
            end = start;
        }
        if whole < size {
            // Zeros are what a power cut may leave.
            let mut first = [0];
            self.file.seek(SeekFrom::Start(0))?;
            self.file.read_exact(&mut first)?;
            if !matches!(first, [b'{' | 0]) {
                return Ok(None);
            }
            self.file.set_len(whole)?;
        }
        Ok(Some(size - whole))
    }

    /// Writes `lines`; what an error leaves of a torn line is cut away.
    fn write(&mut self, lines: &[u8]) -> Wrote {
        let (mut bytes, mut error) = (0, None);
        while error.is_none() && bytes < lines.len() {
            match self.file.write(lines.get(bytes..).unwrap_or_default()) {
                Ok(0) => error = Some(io::ErrorKind::WriteZero.into()),
                Ok(n) => bytes += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => error = Some(e),
            }
        }
        let whole = whole_lines(lines, bytes);
        let lost = whole < bytes && self.cut((bytes - whole) as u64).is_err();
        Wrote { bytes: whole, error, lost }
    }

    /// Cuts off the last `torn` bytes that were written.
    fn cut(&mut self, torn: u64) -> io::Result<()> {
        let end = self.file.stream_position()?;
        // Where somebody emptied the file meanwhile (`copytruncate`), the torn line has gone with the rest.
        if self.file.metadata()?.len() == end { self.file.set_len(end - torn) } else { Ok(()) }
    }

    /// Puts on the disk what was written.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

/// How much of the first `bytes` of `lines` is whole lines.
pub(super) fn whole_lines(lines: &[u8], bytes: usize) -> usize {
    memchr::memrchr(b'\n', lines.get(..bytes).unwrap_or(lines)).map_or(0, |at| at + 1)
}

impl Place {
    /// Writes a beginning of `lines`.
    pub(super) fn write(&mut self, lines: &[u8]) -> Wrote {
        let wrote = match self {
            Self::Regular(regular) => return regular.write(lines),
            Self::Stdout => write_stdout(lines),
            Self::Stream(file) => when_ready(file.as_fd()).and_then(|()| file.write(lines)),
        };
        match wrote {
            Ok(bytes) => Wrote { bytes, error: None, lost: false },
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Wrote { bytes: 0, error: None, lost: false },
            Err(error) => Wrote { bytes: 0, lost: error.kind() == io::ErrorKind::BrokenPipe, error: Some(error) },
        }
    }

    /// What a regular file is now.
    pub(super) fn look(&self) -> Option<io::Result<Metadata>> {
        match self {
            Self::Regular(regular) => Some(regular.file.metadata()),
            Self::Stdout | Self::Stream(_) => None,
        }
    }
}

/// Whether another file, or none, is where `ours` was opened.
pub(super) fn replaced(path: &Path, ours: &Metadata) -> bool {
    match path.symlink_metadata() {
        Ok(there) => (there.dev(), there.ino()) != (ours.dev(), ours.ino()),
        Err(error) => matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory),
    }
}

/// Standard output as the shell made it: others share it, so it stays a blocking one.
fn write_stdout(lines: &[u8]) -> io::Result<usize> {
    let out = rustix::stdio::stdout();
    when_ready(out)?;
    Ok(rustix::io::write(out, lines.get(..PIPE_BUF).unwrap_or(lines))?)
}

/// Waits a moment for room.
fn when_ready(fd: BorrowedFd<'_>) -> io::Result<()> {
    let mut fds = [PollFd::from_borrowed_fd(fd, PollFlags::OUT)];
    let time = Timespec { tv_sec: 0, tv_nsec: ROOM.subsec_nanos().into() };
    if poll(&mut fds, Some(&time))? == 0 { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
}
