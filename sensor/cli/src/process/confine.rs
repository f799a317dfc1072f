//! Giving up what is not needed once everything is open.

use super::calls::Filter;
use super::files::{self, Fence};
use super::status::Status;
use caps::{CapSet, Capability, CapsHashSet};
use landlock::RulesetStatus;
use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::{self, AccessFlags, Uid, User};
use std::ffi::CString;
use std::fmt;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// The bit of `CAP_NET_RAW` in [`Status`].
pub(crate) const NET_RAW: u64 = 1 << 13;

/// What to give up, and what to keep.
#[derive(Clone, Debug, Default)]
#[allow(clippy::struct_excessive_bools, reason = "each is a setting of its own")]
pub(crate) struct Confinement {
    /// Whom to become, by name; `None` stays who started the program.
    pub(crate) user: Option<String>,
    /// Whether to keep `CAP_NET_RAW`, so that an interface that went away can be opened again. Without it the program
    /// has to end, with a status that makes the service manager start it anew.
    pub(crate) keep_net_raw: bool,
    /// Whether to give up system calls.
    pub(crate) seccomp: bool,
    /// Whether to give up files.
    pub(crate) landlock: bool,
    /// Whether connections are made and names looked up from now on: what a proxy does.
    pub(crate) connects: bool,
    /// Files and folders that are read later on: configuration, rules, key logs.
    pub(crate) read: Vec<PathBuf>,
    /// Files and folders that are written, where files are made, renamed and removed later on: outputs.
    pub(crate) write: Vec<PathBuf>,
}

/// Why it cannot be done. Nothing should run then.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfineError {
    /// The name is not known.
    #[error(
        "process.user: there is no user `{0}`; make one (`useradd --system --no-create-home --shell /usr/sbin/nologin \
         {0}`) or leave it out"
    )]
    NoUser(String),
    /// Only root becomes somebody else.
    #[error("process.user: only root can become `{0}`; start the program as root or as `{0}`, or leave it out")]
    NotRoot(String),
    /// The user cannot do what will have to be done.
    #[error("process.user: `{user}` cannot {what} {}; {}", path.display(), hint(user, path, what))]
    Unreachable {
        /// The user.
        user: String,
        /// `read` or `write in`.
        what: &'static str,
        /// The file or folder.
        path: PathBuf,
    },
    /// A step that always works where the one before it did.
    #[error("cannot give up privileges: {step}: {why}")]
    Step {
        /// What was tried.
        step: &'static str,
        /// What the system says.
        why: String,
    },
}

fn hint(user: &str, path: &Path, what: &str) -> String {
    match what {
        "read" => format!("let it: `setfacl -m u:{user}:rX {}`", path.display()),
        _ => format!("let it: `chown {user} {}`", path.display()),
    }
}

fn step<T, E: fmt::Display>(step: &'static str, result: Result<T, E>) -> Result<T, ConfineError> {
    result.map_err(|why| ConfineError::Step { step, why: why.to_string() })
}

/// How far a means of the kernel is in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Means {
    /// Wholly.
    On,
    /// Some of it: the kernel is older than this program.
    InPart,
    /// Not: it was switched off.
    Off,
    /// Not: the kernel has it not, or refuses it.
    Missing(String),
}

impl fmt::Display for Means {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::On => f.write_str("on"),
            Self::InPart => f.write_str("in part"),
            Self::Off => f.write_str("switched off"),
            Self::Missing(why) => write!(f, "not available ({why})"),
        }
    }
}

/// What was achieved, as the kernel tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Confined {
    /// Rights of this thread, and of those it will start.
    pub(crate) status: Status,
    /// Whether files were given up.
    pub(crate) landlock: Means,
    /// Whether system calls were given up.
    pub(crate) seccomp: Means,
    /// Threads of this process that were there before and have more rights.
    pub(crate) outside: usize,
    /// What belongs to somebody else, where root so keeps the right to pass over the modes of files.
    pub(crate) foreign: Option<PathBuf>,
}

impl Confined {
    /// Whether an interface can be opened from now on.
    pub(crate) fn can_open_interfaces(&self) -> bool {
        self.status.permitted & NET_RAW != 0
    }

    /// What the operator should know about, if anything. That it runs as root, and reaches files as root does, is news
    /// of a `service` only: whoever captures by hand has just asked for it.
    pub(crate) fn warning(&self, service: bool) -> Option<String> {
        let mut faults = Vec::new();
        if service && self.status.uid == 0 {
            faults.push("runs as root; name a user in process.user".to_owned());
        }
        if let Some(path) = self.foreign.as_ref().filter(|_| service) {
            faults.push(format!(
                "keeps the right to pass over file modes, since {} or its folder belongs to another user",
                path.display()
            ));
        }
        for (name, means) in [("Landlock", &self.landlock), ("seccomp", &self.seccomp)] {
            if let Means::Missing(why) = means {
                faults.push(format!("{name} is not available: {why}"));
            }
        }
        if self.outside > 0 {
            faults.push(format!("{} threads have more rights than the others", self.outside));
        }
        (!faults.is_empty()).then(|| faults.join("; "))
    }
}

impl fmt::Display for Confined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Status { uid, permitted, no_new_privs, .. } = &self.status;
        write!(f, "user id {uid}, capabilities {}", names(*permitted))?;
        let privs = if *no_new_privs { "on" } else { "off" };
        write!(f, ", no new privileges {privs}, Landlock {}, seccomp {}", self.landlock, self.seccomp)
    }
}

/// Names of capabilities, for people.
fn names(bits: u64) -> String {
    let mut all: Vec<_> = caps::all().into_iter().filter(|c| bits & c.bitmask() != 0).collect();
    all.sort_by_key(Capability::index);
    match all.len() {
        0 => "none".to_owned(),
        1..4 => all.iter().map(|c| c.to_string().to_ascii_lowercase()).collect::<Vec<_>>().join(" "),
        n => format!("{n} of them"),
    }
}

/// Gives up everything but what `wanted` keeps. To be called once everything is open, and before threads are started.
///
/// Landlock and seccomp are used as far as the kernel has them; the answer says how far.
///
/// # Errors
///
/// [`ConfineError`], after which some rights may be gone already: the process should end.
pub(crate) fn confine(wanted: &Confinement) -> Result<Confined, ConfineError> {
    let user = wanted.user.as_deref().map(look_up).transpose()?;
    // What needs rights to be made ready comes before they go.
    let fence = wanted.landlock.then(|| Fence::around(&wanted.read, &wanted.write, wanted.connects));
    let filter = wanted.seccomp.then(|| Filter::compile(wanted.connects));

    guard_memory()?;
    let before = step("capget", caps::read(None, CapSet::Effective))?;
    if before.contains(&Capability::CAP_SETPCAP) {
        step("PR_CAPBSET_DROP", caps::clear(None, CapSet::Bounding))?;
    }
    if let Some(user) = user.filter(|user| user.uid != Uid::effective()) {
        become_user(&user)?;
        check_reach(&user.name, wanted)?;
    }
    let foreign = foreign(wanted.read.iter().chain(&wanted.write).map(PathBuf::as_path)).map(Path::to_owned);
    let passing = if foreign.is_some() { PASSING } else { &[] };
    let raw: &[_] = if wanted.keep_net_raw { &[Capability::CAP_NET_RAW] } else { &[] };
    keep_only(&[raw, passing].concat())?;
    step("PR_SET_NO_NEW_PRIVS", prctl::set_no_new_privs())?;
    step("PR_SET_DUMPABLE", prctl::set_dumpable(false))?;

    let landlock = match fence.map(|fence| fence.and_then(Fence::close)) {
        None => Means::Off,
        Some(Ok(RulesetStatus::FullyEnforced)) => Means::On,
        Some(Ok(RulesetStatus::PartiallyEnforced)) => Means::InPart,
        Some(Ok(RulesetStatus::NotEnforced)) => Means::Missing("the kernel has it not".to_owned()),
        Some(Err(error)) => Means::Missing(error.to_string()),
    };
    let seccomp = match filter.map(|filter| filter.and_then(|filter| filter.close())) {
        None => Means::Off,
        Some(Ok(())) => Means::On,
        Some(Err(error)) => Means::Missing(error.to_string()),
    };
    let status = step("/proc/thread-self/status", Status::of_this_thread())?;
    let threads = step("/proc/self/task", Status::of_all_threads())?;
    // Landlock holds for no thread that was there before, and nothing tells so.
    let fenced = matches!(landlock, Means::On | Means::InPart);
    let others = if fenced { threads.len().saturating_sub(1) } else { 0 };
    let outside = others.max(threads.iter().filter(|thread| **thread != status).count());
    Ok(Confined { status, landlock, seccomp, outside, foreign })
}

/// Keeps what is in memory there: no core is written, and nobody of the same user can look in. For secrets, to be
/// called before they are read; [`confine`] does it, too.
///
/// # Errors
///
/// [`ConfineError`] where the kernel refuses.
pub(crate) fn guard_memory() -> Result<(), ConfineError> {
    step("setrlimit(RLIMIT_CORE)", setrlimit(Resource::RLIMIT_CORE, 0, 0))?;
    step("PR_SET_DUMPABLE", prctl::set_dumpable(false))
}

/// Lets this process have as many files open as it may ask for: each connection through a proxy is two. Where the system
/// refuses, there are as many as before.
pub(crate) fn open_many_files() {
    if let Ok((_, most)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, most, most);
    }
}

/// Has the system back memory from here on with pages of the usual size: for a proxy without packets, which huge pages
/// would speed up. Each of its connections has buffers that are mostly never written, and huge pages would back all of
/// them. Where the system refuses, more memory is used.
pub(crate) fn use_small_pages() {
    let _ = prctl::set_thp_disable(true);
}

/// Gives up all capabilities of this thread and those it will start, for commands that only read files. Root keeps the
/// right to pass over the modes of files where one of `paths`, or what lies in it, belongs to somebody else: a folder
/// of the host in a container, say.
///
/// # Errors
///
/// [`ConfineError`] where the kernel refuses.
pub(crate) fn shed<'p>(paths: impl IntoIterator<Item = &'p Path>) -> Result<(), ConfineError> {
    keep_only(if foreign(paths).is_some() { PASSING } else { &[] })?;
    step("PR_SET_NO_NEW_PRIVS", prctl::set_no_new_privs())
}

/// The right to pass over the modes of files.
const PASSING: &[Capability] = &[Capability::CAP_DAC_OVERRIDE, Capability::CAP_DAC_READ_SEARCH];

/// Where this is root: the first of `paths` that it would reach no longer as root without rights.
fn foreign<'p>(paths: impl IntoIterator<Item = &'p Path>) -> Option<&'p Path> {
    let root = Uid::effective().is_root();
    paths.into_iter().find(|path| root && is_of_others(path))
}

/// Whether a file, the folder it is to be in, or something in this folder belongs to another user.
fn is_of_others(path: &Path) -> bool {
    let other = |path: &Path| path.metadata().is_ok_and(|meta| meta.uid() != Uid::effective().as_raw());
    let within = || path.read_dir().into_iter().flatten().flatten().any(|entry| other(&entry.path()));
    let folder = path.parent().map(|folder| if folder == Path::new("") { Path::new(".") } else { folder });
    other(path) || folder.is_some_and(other) || within()
}

fn look_up(name: &str) -> Result<User, ConfineError> {
    let user = step("getpwnam", User::from_name(name))?.ok_or_else(|| ConfineError::NoUser(name.to_owned()))?;
    if user.uid != Uid::effective() && !Uid::effective().is_root() {
        return Err(ConfineError::NotRoot(name.to_owned()));
    }
    Ok(user)
}

fn become_user(user: &User) -> Result<(), ConfineError> {
    let name = step("the name of the user", CString::new(user.name.as_str()))?;
    // Permitted capabilities outlive the change, to be taken away one by one behind it.
    step("PR_SET_KEEPCAPS", prctl::set_keepcaps(true))?;
    step("initgroups", unistd::initgroups(&name, user.gid))?;
    step("setresgid", unistd::setresgid(user.gid, user.gid, user.gid))?;
    step("setresuid", unistd::setresuid(user.uid, user.uid, user.uid))?;
    step("PR_SET_KEEPCAPS", prctl::set_keepcaps(false))
}

/// Leaves this thread `kept`, as far as it has them, and no other capability in any set.
fn keep_only(kept: &[Capability]) -> Result<(), ConfineError> {
    let permitted = step("capget", caps::read(None, CapSet::Permitted))?;
    let kept: CapsHashSet = kept.iter().copied().filter(|c| permitted.contains(c)).collect();
    step("PR_CAP_AMBIENT_CLEAR_ALL", caps::clear(None, CapSet::Ambient))?;
    step("capset", caps::clear(None, CapSet::Inheritable))?;
    // In this order: what is in force must always be permitted.
    step("capset", caps::set(None, CapSet::Effective, &kept))?;
    step("capset", caps::set(None, CapSet::Permitted, &kept))
}

/// Better now than at midnight, when the file is rotated.
fn check_reach(user: &str, wanted: &Confinement) -> Result<(), ConfineError> {
    let read = wanted.read.iter().map(|path| (path.as_path(), AccessFlags::R_OK, "read"));
    let write = wanted.write.iter().map(|path| (files::place(path), AccessFlags::W_OK, "write in"));
    for (path, right, what) in read.chain(write) {
        match unistd::access(path, right) {
            Ok(()) | Err(Errno::ENOENT) => {}
            Err(_) => return Err(ConfineError::Unreachable { user: user.to_owned(), what, path: path.to_owned() }),
        }
    }
    Ok(())
}
