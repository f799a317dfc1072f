//! Reading and writing of the CA's files. A secret is read only where nobody else can read or replace it.

use super::CaError;
use nix::fcntl::OFlag;
use nix::unistd::{Uid, geteuid};
use std::fs::{DirBuilder, File, Metadata, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use zeroize::Zeroizing;

/// Largest file of a key, passphrase or certificates, in bytes.
pub(super) const MAX_BYTES: u64 = 64 << 10;

/// Reads a secret, into memory that is wiped.
///
/// # Errors
///
/// [`CaError`]: a symbolic link, anything but a file, a file that group or others have a right to or that belongs to
/// another user, and the same of its folder as to writing.
pub(super) fn read_secret(path: &Path) -> Result<Zeroizing<Vec<u8>>, CaError> {
    check_folder(folder(path))?;
    // A pipe must not keep us waiting.
    let flags = OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
    let file =
        OpenOptions::new().read(true).custom_flags(flags.bits()).open(path).map_err(|error| {
            if is_link(path) { CaError::Symlink(path.to_owned()) } else { cannot("read", path)(error) }
        })?;
    let meta = file.metadata().map_err(cannot("read", path))?;
    if !meta.is_file() {
        return Err(CaError::NotAFile(path.to_owned()));
    }
    if meta.mode() & 0o077 != 0 {
        return Err(CaError::Wide { path: path.to_owned(), mode: meta.mode() & 0o7777 });
    }
    check_owner(path, &meta)?;
    read_all(file, path)
}

/// Reads what is no secret.
///
/// # Errors
///
/// [`CaError`]: it cannot be read, or is too large.
pub(super) fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, CaError> {
    read_all(File::open(path).map_err(cannot("read", path))?, path)
}

fn read_all(file: File, path: &Path) -> Result<Zeroizing<Vec<u8>>, CaError> {
    // Room for all from the start: a buffer that grows leaves copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(MAX_BYTES + 1).unwrap_or_default()));
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(cannot("read", path))?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(CaError::TooLarge { path: path.to_owned(), limit: MAX_BYTES });
    }
    Ok(bytes)
}

/// Writes a file that must not be there yet, with `mode`, and sees it onto the disk.
///
/// # Errors
///
/// [`CaError`]: it is there, or cannot be written.
pub(super) fn write_new(path: &Path, bytes: &[u8], mode: u32) -> Result<(), CaError> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .custom_flags((OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC).bits())
        .open(path)
        .map_err(|error| {
            if error.kind() == io::ErrorKind::AlreadyExists {
                CaError::Exists(path.to_owned())
            } else {
                cannot("write", path)(error)
            }
        })?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    let written = written.and_then(|()| File::open(folder(path))?.sync_all());
    written.map_err(|error| {
        // Half a key is of no use, and would be in the way of the next attempt.
        let _ = std::fs::remove_file(path);
        cannot("write", path)(error)
    })
}

/// Makes sure that nothing is at `path`, not even a link to nowhere.
///
/// # Errors
///
/// [`CaError::Exists`], and [`CaError::Io`] where that cannot be told.
pub(super) fn check_absent(path: &Path) -> Result<(), CaError> {
    match path.symlink_metadata() {
        Ok(_) => Err(CaError::Exists(path.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(cannot("look at", path)(error)),
    }
}

/// Makes the folder of `file`, for its owner alone, where it is not there; those above it as usual.
///
/// # Errors
///
/// [`CaError`]: it cannot be made, or is one that others may write to.
pub(super) fn make_folder(file: &Path) -> Result<(), CaError> {
    let path = folder(file);
    if let Some(above) = path.parent() {
        std::fs::create_dir_all(above).map_err(cannot("make", above))?;
    }
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => check_folder(path),
        made => made.map_err(cannot("make", path)),
    }
}

fn check_folder(path: &Path) -> Result<(), CaError> {
    let meta = path.metadata().map_err(cannot("look at", path))?;
    if meta.mode() & 0o022 != 0 {
        return Err(CaError::WideFolder { path: path.to_owned(), mode: meta.mode() & 0o7777 });
    }
    check_owner(path, &meta)
}

/// Root may read what belongs to the user it will become; everybody else trusts himself and root.
fn check_owner(path: &Path, meta: &Metadata) -> Result<(), CaError> {
    let us = geteuid();
    let owner = Uid::from_raw(meta.uid());
    if us.is_root() || owner.is_root() || owner == us {
        return Ok(());
    }
    Err(CaError::Owner { path: path.to_owned(), uid: us.as_raw() })
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn is_link(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|meta| meta.is_symlink())
}

fn cannot(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> CaError {
    move |error| CaError::Io { what, path: path.to_owned(), error: error.to_string() }
}
