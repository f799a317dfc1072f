//! Landlock: which files the process still reaches (landlock(7)).

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible as _, PathBeneath, PathFd, Ruleset,
    RulesetAttr as _, RulesetCreated, RulesetCreatedAttr as _, RulesetError, RulesetStatus, Scope,
};
use std::path::{Path, PathBuf};

/// The newest rights this program was tested with. Older kernels have fewer of them.
const KNOWN: ABI = ABI::V6;

/// Kernel files that are read while running: state of interfaces (libpcap opens those that come back), own figures.
const KERNEL: [&str; 2] = ["/proc", "/sys"];

/// What looking up names reads (resolver(5), nsswitch.conf(5), gai.conf(5)). Some of it is replaced while running.
const NAMES: [&str; 2] = ["/etc/resolv.conf", "/etc/hosts"];

/// A set of rules that is not in force yet.
///
/// Paths are opened when it is made, so it must be made while everything can be reached, and it holds for the folders
/// that are there: one that is removed and made again is another one.
pub(super) struct Fence {
    rules: RulesetCreated,
}

impl Fence {
    /// Reading below `read`, and reading and writing below `write`; nothing else, no new TCP listener, and no TCP
    /// connection unless it `connects`. Paths that do not exist are left out.
    ///
    /// # Errors
    ///
    /// What the kernel says where it has Landlock and takes no rules.
    pub(super) fn around(read: &[PathBuf], write: &[PathBuf], connects: bool) -> Result<Self, RulesetError> {
        let reads = AccessFs::ReadFile | AccessFs::ReadDir;
        let writes = reads | AccessFs::WriteFile | AccessFs::Truncate | AccessFs::MakeReg | AccessFs::RemoveFile;
        let mut rules = Ruleset::default()
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(AccessFs::from_all(KNOWN))?
            .handle_access(if connects { AccessNet::BindTcp.into() } else { AccessNet::from_all(KNOWN) })?
            .scope(Scope::Signal)?
            .create()?;
        for path in KERNEL.iter().map(Path::new).chain(read.iter().map(PathBuf::as_path)) {
            rules = allow(rules, path, reads)?;
        }
        if connects {
            for path in NAMES.iter().map(Path::new) {
                rules = allow(rules, path, reads)?;
                // It may be a link to what another program keeps.
                if let Ok(path) = path.canonicalize() {
                    rules = allow(rules, &path, reads)?;
                }
            }
        }
        for path in write {
            rules = allow(rules, path, writes)?;
        }
        Ok(Self { rules })
    }

    /// Puts the rules in force, for this thread and those it will start. Answers how far.
    ///
    /// # Errors
    ///
    /// What the kernel says where it has Landlock and does not put them in force.
    pub(super) fn close(self) -> Result<RulesetStatus, RulesetError> {
        Ok(self.rules.restrict_self()?.ruleset)
    }
}

fn allow(rules: RulesetCreated, path: &Path, access: BitFlags<AccessFs>) -> Result<RulesetCreated, RulesetError> {
    let place = place(path);
    let access = if place.is_dir() { access } else { access & AccessFs::from_file(KNOWN) };
    match PathFd::new(place) {
        Ok(fd) => rules.add_rule(PathBeneath::new(fd, access)),
        Err(_) => Ok(rules),
    }
}

/// What a rule for `path` is laid on. A file is replaced by renaming another over it, so it is its folder, but for the
/// root; a device or a pipe stays itself.
pub(super) fn place(path: &Path) -> &Path {
    if path.is_dir() || (path.exists() && !path.is_file()) {
        return path;
    }
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) if parent.parent().is_some() => parent,
        _ => path,
    }
}
