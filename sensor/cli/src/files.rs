//! Text files of the operator: configuration and rules.

use nix::fcntl::OFlag;
use nix::unistd::{Uid, geteuid};
use std::fs::{File, OpenOptions};
use std::io::Read as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use zeroize::Zeroizing;

/// Largest configuration, rule or list file, in bytes.
pub(crate) const MAX_BYTES: u64 = 64 << 20;

/// Reads a whole text file.
///
/// # Errors
///
/// What is wrong and what to do. A file that everybody may write to is refused: whoever can write it decides what
/// the sensor sees.
pub(crate) fn read(path: &Path) -> Result<String, String> {
    let name = path.display();
    let cannot = |e: std::io::Error| format!("cannot read {name}: {e}");
    let file = File::open(path).map_err(cannot)?;
    let meta = file.metadata().map_err(cannot)?;
    if meta.is_dir() {
        return Err(format!("{name} is a directory; a file is needed here"));
    }
    if meta.is_file() && meta.mode() & 0o002 != 0 {
        return Err(format!("{name} may be written to by everybody on this machine; run `chmod o-w` on it first"));
    }
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(cannot)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(format!(
            "{name} is larger than {} MiB; that is more than any file of its kind needs",
            MAX_BYTES >> 20
        ));
    }
    String::from_utf8(bytes).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        let line = e.as_bytes().iter().take(at).filter(|b| **b == b'\n').count() + 1;
        format!("{name}:{line}: not UTF-8 text (at byte {at}); save the file as UTF-8")
    })
}

/// Reads a file that holds a secret.
///
/// # Errors
///
/// As [`read`]; also where everybody may read it.
pub(crate) fn read_secret(path: &Path) -> Result<String, String> {
    let open = path.metadata().is_ok_and(|meta| meta.is_file() && meta.mode() & 0o004 != 0);
    if open {
        let name = path.display();
        return Err(format!(
            "{name} holds a secret, and everybody on this machine may read it; run `chmod o-r` on it first"
        ));
    }
    read(path)
}

/// Reads a private key, into memory that is wiped.
///
/// # Errors
///
/// What is wrong and what to do: anything but a file of at most 64 KiB, one that group or others have a right to, and one
/// that belongs to another user (root may read it, and reads its own).
pub(crate) fn read_private(path: &Path) -> Result<Zeroizing<String>, String> {
    /// Largest file of keys, in bytes.
    const MAX: u64 = 64 << 10;
    let name = path.display();
    let cannot = |e: std::io::Error| format!("cannot read {name}: {e}");
    // A pipe must not keep us waiting.
    let file = OpenOptions::new().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path).map_err(cannot)?;
    let meta = file.metadata().map_err(cannot)?;
    if !meta.is_file() {
        return Err(format!("{name} is no file; private keys are read from a file"));
    }
    if meta.mode() & 0o077 != 0 {
        let mode = meta.mode() & 0o7777;
        return Err(format!(
            "{name} holds a private key, and others than its owner have a right to it (mode {mode:04o}); run `chmod 600` on it first"
        ));
    }
    let (us, owner) = (geteuid(), Uid::from_raw(meta.uid()));
    if !us.is_root() && !owner.is_root() && owner != us {
        return Err(format!("{name} belongs to another user, who can change it; make it yours first"));
    }
    // Room for all from the start: a text that grows leaves copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(MAX + 1).unwrap_or_default()));
    file.take(MAX + 1).read_to_end(&mut bytes).map_err(cannot)?;
    if bytes.len() as u64 > MAX {
        return Err(format!("{name} is larger than {} KiB, and no file of keys", MAX >> 10));
    }
    let text = str::from_utf8(&bytes).map_err(|_| format!("{name} is no text; keys are text"))?;
    Ok(Zeroizing::new(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn files_that_cannot_be_trusted_or_read_are_refused_with_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.toml");
        assert!(read(&path).unwrap_err().starts_with("cannot read "));
        assert!(read(dir.path()).unwrap_err().contains("is a directory"));
        fs::write(&path, b"ok\n\xff").unwrap();
        assert!(read(&path).unwrap_err().contains("a.toml:2: not UTF-8"));
        fs::write(&path, b"fine").unwrap();
        assert_eq!(read(&path).unwrap(), "fine");
        fs::set_permissions(&path, Permissions::from_mode(0o666)).unwrap();
        assert!(read(&path).unwrap_err().contains("chmod o-w"));
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        assert!(read_secret(&path).unwrap_err().contains("chmod o-r"));
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        assert_eq!(read_secret(&path).unwrap(), "fine");
        assert_eq!(*read_private(&path).unwrap(), "fine");
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        assert_eq!(read_secret(&path).unwrap(), "fine");
        assert!(read_private(&path).unwrap_err().contains("(mode 0640); run `chmod 600`"));
        assert!(read_private(dir.path()).unwrap_err().contains("is no file"));
    }
}
