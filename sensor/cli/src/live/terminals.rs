//! The terminals that a capture was started on.

use std::io::IsTerminal as _;
use std::os::fd::BorrowedFd;

/// Of standard input, output and error, those that were terminals at the start.
#[derive(Debug, Default)]
pub(super) struct Terminals<'f>(Vec<BorrowedFd<'f>>);

impl<'f> Terminals<'f> {
    /// Those among `files`.
    pub(super) fn among(files: &[BorrowedFd<'f>]) -> Self {
        Self(files.iter().copied().filter(BorrowedFd::is_terminal).collect())
    }

    /// Whether one of them has hung up. The kernel answers for such with EIO, before it sends SIGHUP.
    pub(super) fn are_gone(&self) -> bool {
        self.0.iter().any(|file| !file.is_terminal())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::fcntl::OFlag;
    use nix::pty::{grantpt, posix_openpt, ptsname_r, unlockpt};
    use std::fs::{File, OpenOptions};
    use std::os::fd::AsFd as _;
    use std::os::unix::fs::OpenOptionsExt as _;

    #[test]
    fn a_terminal_that_was_closed_is_gone_and_a_file_never_was_one() {
        // No child of another test keeps the master open.
        let master = posix_openpt(OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let mut options = OpenOptions::new();
        options.read(true).write(true).custom_flags(OFlag::O_NOCTTY.bits());
        let slave = options.open(ptsname_r(&master).unwrap()).unwrap();
        let file = File::open("/dev/null").unwrap();
        let files = Terminals::among(&[file.as_fd()]);
        let terminals = Terminals::among(&[file.as_fd(), slave.as_fd()]);
        assert!(!terminals.are_gone() && !files.are_gone());
        drop(master);
        assert!(terminals.are_gone() && !files.are_gone());
    }
}
