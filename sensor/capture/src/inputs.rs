//! From the paths of the command line to the list of files.

use crate::OpenError;
use crate::notice::{NoticeCode, Notices};
use std::collections::HashSet;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Most files in one run (an index fits `Place::file`).
pub const MAX_INPUTS: usize = 65_535;

/// One file of the run. Its index in [`Reader::inputs`](crate::Reader::inputs) is `Place::file`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// Base name; `-` for standard input.
    pub name: String,
    /// Where it lies; `None` for standard input and memory.
    pub path: Option<PathBuf>,
    /// Size in bytes, as it lies there; `None` where that means nothing (pipes).
    pub bytes: Option<u64>,
}

/// What the paths came to.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    pub(crate) inputs: Vec<Input>,
    /// What is to be read of them.
    pub(crate) files: Vec<Listed>,
    /// Inputs that were given up on already.
    pub(crate) skipped: u64,
    pub(crate) notices: Notices,
}

/// An input to be read.
#[derive(Debug)]
pub(crate) struct Listed {
    pub(crate) file: u16,
    /// The user named it, rather than a directory around it.
    pub(crate) named: bool,
    /// Can be opened again and read from the beginning.
    pub(crate) regular: bool,
}

impl Listing {
    /// Lists files, whole directories in order of their paths, and standard input.
    pub(crate) fn of(paths: &[PathBuf]) -> Result<Self, OpenError> {
        let mut listing = Self::default();
        if paths.is_empty() {
            return Err(OpenError::NoInput);
        }
        for path in paths {
            if path == Path::new("-") {
                if listing.inputs.iter().any(|input| input.path.is_none()) {
                    return Err(OpenError::StdinTwice);
                }
                let file = listing.input(Input { name: "-".to_owned(), path: None, bytes: None })?;
                listing.files.push(Listed { file, named: true, regular: false });
                continue;
            }
            let unreadable = |source| OpenError::Unreadable { path: path.clone(), source };
            let meta = fs::metadata(path).map_err(unreadable)?;
            if meta.is_dir() {
                listing.directory(path).map_err(|e| e.unwrap_or_else(unreadable))?;
            } else {
                let regular = meta.is_file();
                let file = listing.path(path, regular.then_some(meta.len()))?;
                listing.files.push(Listed { file, named: true, regular });
            }
        }
        Ok(listing)
    }

    fn input(&mut self, input: Input) -> Result<u16, OpenError> {
        let index = u16::try_from(self.inputs.len()).ok().filter(|i| usize::from(*i) < MAX_INPUTS);
        self.inputs.push(input);
        index.ok_or(OpenError::TooManyFiles)
    }

    fn path(&mut self, path: &Path, bytes: Option<u64>) -> Result<u16, OpenError> {
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        self.input(Input { name, path: Some(path.to_owned()), bytes })
    }

    /// A directory with all below it. A file is taken once, whatever its names; links to directories are not
    /// followed, so that there is no way round in circles.
    fn directory(&mut self, root: &Path) -> Result<(), Failure> {
        let mut found = Vec::new();
        let mut open = vec![(root.to_owned(), fs::read_dir(root).map_err(Failure::Root)?)];
        while let Some((dir, entries)) = open.pop() {
            for entry in entries {
                let Ok(entry) = entry else {
                    found.push((dir.clone(), Kind::Unreadable("the directory cannot be read to its end".to_owned())));
                    break;
                };
                let path = entry.path();
                match kind(&entry) {
                    Kind::Directory => match fs::read_dir(&path) {
                        Ok(entries) => open.push((path, entries)),
                        Err(e) => found.push((path, Kind::Unreadable(format!("the directory cannot be read ({e})")))),
                    },
                    kind => found.push((path, kind)),
                }
                if self.inputs.len() + found.len() > MAX_INPUTS {
                    return Err(Failure::Open(OpenError::TooManyFiles));
                }
            }
        }
        found.sort_by(|(a, _), (b, _)| a.cmp(b));
        if found.is_empty() {
            let file = self.path(root, Some(0)).map_err(Failure::Open)?;
            self.skip(file, NoticeCode::EmptyDirectory, "the directory holds no file".to_owned());
        }
        let mut seen = HashSet::new();
        for (path, kind) in found {
            match kind {
                Kind::File { bytes, identity } => {
                    if seen.insert(identity) {
                        let file = self.path(&path, Some(bytes)).map_err(Failure::Open)?;
                        self.files.push(Listed { file, named: false, regular: true });
                    }
                }
                Kind::Directory | Kind::Link => {}
                Kind::Special => {
                    let file = self.path(&path, Some(0)).map_err(Failure::Open)?;
                    self.skip(file, NoticeCode::ForeignFile, "is a device, pipe or socket; skipped".to_owned());
                }
                Kind::Unreadable(message) => {
                    let file = self.path(&path, Some(0)).map_err(Failure::Open)?;
                    self.skip(file, NoticeCode::UnreadableFile, message);
                }
            }
        }
        Ok(())
    }

    fn skip(&mut self, file: u16, code: NoticeCode, message: String) {
        self.skipped += 1;
        self.notices.push(file, code, message, 0);
    }
}

enum Failure {
    Root(io::Error),
    Open(OpenError),
}

impl Failure {
    fn unwrap_or_else(self, root: impl FnOnce(io::Error) -> OpenError) -> OpenError {
        match self {
            Self::Root(e) => root(e),
            Self::Open(e) => e,
        }
    }
}

enum Kind {
    File {
        bytes: u64,
        identity: (u64, u64),
    },
    Directory,
    /// To a directory: not followed.
    Link,
    Special,
    Unreadable(String),
}

fn kind(entry: &fs::DirEntry) -> Kind {
    let unreadable = |e: io::Error| Kind::Unreadable(format!("cannot be read ({e}); skipped"));
    let link = match entry.file_type() {
        Ok(t) if t.is_dir() => return Kind::Directory,
        Ok(t) => t.is_symlink(),
        Err(e) => return unreadable(e),
    };
    match fs::metadata(entry.path()) {
        Ok(meta) if meta.is_file() => Kind::File { bytes: meta.len(), identity: (meta.dev(), meta.ino()) },
        Ok(meta) if meta.is_dir() && link => Kind::Link,
        Ok(_) => Kind::Special,
        Err(e) => unreadable(e),
    }
}
