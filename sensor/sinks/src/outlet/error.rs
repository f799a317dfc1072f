use std::io;
use std::path::{Path, PathBuf};

/// Why an outlet cannot be opened: the path, and what would do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OutletError {
    /// The directory does not exist.
    #[error("cannot write events to {path}: there is no directory {directory}; create it, writable for this user", path = path.display(), directory = directory.display())]
    NoDirectory {
        /// The target.
        path: PathBuf,
        /// Where it should be.
        directory: PathBuf,
    },
    /// The last component is a symbolic link.
    #[error("cannot write events to {path}: it is a symbolic link, which is not followed; name the file itself, or `-` for standard output", path = path.display())]
    Symlink {
        /// The target.
        path: PathBuf,
    },
    /// Neither a file, nor a named pipe, nor a character device.
    #[error("cannot write events to {path}: it is a {what}; name a file, a named pipe, or `-` for standard output", path = path.display())]
    Kind {
        /// The target.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// Another outlet, of this program or another, writes to the file.
    #[error("cannot write events to {path}: another sensor or output writes to it; give each a file of its own", path = path.display())]
    Locked {
        /// The target.
        path: PathBuf,
    },
    /// The file does not end in a line break, and is none of ours.
    #[error("cannot write events to {path}: what is there are no events; name another file, or move this one away", path = path.display())]
    Foreign {
        /// The target.
        path: PathBuf,
    },
    /// We may not.
    #[error("cannot write events to {path}: {error}; let this user read and write it, and write to its directory", path = path.display())]
    Denied {
        /// The target.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// Nobody reads the named pipe (yet).
    #[error("cannot write events to {path}: nobody reads that named pipe yet", path = path.display())]
    NoReader {
        /// The target.
        path: PathBuf,
    },
    /// Anything else.
    #[error("cannot {doing} {path}: {error}", path = path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// The target.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// No thread could be started.
    #[error("cannot start the thread that writes events: {error}; see the limits on processes of this user")]
    Thread {
        /// What the system said.
        error: io::Error,
    },
}

impl OutletError {
    pub(super) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |error| Self::Io { doing, path, error }
    }
}
