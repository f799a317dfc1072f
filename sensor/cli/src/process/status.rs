//! What the kernel says a thread may do, out of `/proc/self/task/ID/status` (proc(5)).

use std::path::Path;
use std::{fs, io};

/// Rights of one thread.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Status {
    /// Effective user id.
    pub(crate) uid: u32,
    /// Effective group id.
    pub(crate) gid: u32,
    /// Capabilities in force, as a bit for each number of capabilities(7).
    pub(crate) effective: u64,
    /// Capabilities it can put in force.
    pub(crate) permitted: u64,
    /// Capabilities that a program it starts could have.
    pub(crate) bounding: u64,
    /// Whether programs it starts gain nothing from set-user-ID bits and file capabilities.
    pub(crate) no_new_privs: bool,
    /// Whether a filter judges its system calls.
    pub(crate) seccomp: bool,
}

impl Status {
    /// That of the calling thread.
    ///
    /// # Errors
    ///
    /// What the system says where there is no `/proc`.
    pub(crate) fn of_this_thread() -> io::Result<Self> {
        Ok(Self::parse(&fs::read_to_string("/proc/thread-self/status")?))
    }

    /// Those of all threads of this process.
    ///
    /// # Errors
    ///
    /// What the system says where there is no `/proc`.
    pub(crate) fn of_all_threads() -> io::Result<Vec<Self>> {
        let mut all = Vec::new();
        for task in fs::read_dir("/proc/self/task")? {
            match fs::read_to_string(task?.path().join(Path::new("status"))) {
                Ok(text) => all.push(Self::parse(&text)),
                // It ended meanwhile.
                Err(error) if error.raw_os_error() == Some(libc::ESRCH) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(all)
    }

    fn parse(text: &str) -> Self {
        let field = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            line.unwrap_or_default().trim()
        };
        // Real, effective, saved, file system.
        let id = |name: &str| field(name).split_whitespace().nth(1).and_then(|id| id.parse().ok()).unwrap_or_default();
        let bits = |name: &str| u64::from_str_radix(field(name), 16).unwrap_or_default();
        Self {
            uid: id("Uid"),
            gid: id("Gid"),
            effective: bits("CapEff"),
            permitted: bits("CapPrm"),
            bounding: bits("CapBnd"),
            no_new_privs: field("NoNewPrivs") == "1",
            seccomp: field("Seccomp") == "2",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_the_kernel_are_understood() {
        let text = "Name:\tmcp-sensor\nUid:\t998\t998\t998\t998\nGid:\t997\t997\t997\t997\nCapInh:\t0000000000000000\n\
                    CapPrm:\t0000000000002000\nCapEff:\t0000000000002000\nCapBnd:\t0000000000000000\nNoNewPrivs:\t1\n\
                    Seccomp:\t2\nSeccomp_filters:\t2\n";
        let want = Status {
            uid: 998,
            gid: 997,
            effective: 0x2000,
            permitted: 0x2000,
            bounding: 0,
            no_new_privs: true,
            seccomp: true,
        };
        assert_eq!(Status::parse(text), want);
        assert_eq!(Status::parse(""), Status::default());
    }
}
