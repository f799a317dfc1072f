//! seccomp: which system calls the process may still make (seccomp(2)).
//!
//! A list of what is allowed. Anything else fails with EPERM rather than killing the process: a library that tries
//! something new and can do without goes on, one that cannot says so.

use seccompiler::{
    BpfProgram, Error, SeccompAction, SeccompCmpArgLen as Len, SeccompCmpOp as Op, SeccompCondition as Condition,
    SeccompFilter, SeccompRule as Rule, TargetArch, apply_filter_all_threads,
};
use std::collections::BTreeMap;
use std::env::consts::ARCH;

/// Compiled filters that are not in force yet.
pub(super) struct Filter {
    programs: [BpfProgram; 2],
}

impl Filter {
    /// Compiles the filters for this processor; with IP sockets if it `connects`.
    ///
    /// # Errors
    ///
    /// Where there are none for it.
    pub(super) fn compile(connects: bool) -> Result<Self, Error> {
        let arch = || TargetArch::try_from(ARCH);
        let mut rules: BTreeMap<i64, Vec<Rule>> = ALLOWED.iter().map(|call| (*call, Vec::new())).collect();
        rules.extend(conditional(connects)?);
        if connects {
            rules.extend(CONNECTING.iter().map(|call| (*call, Vec::new())));
        }
        // The other filter has the say.
        rules.insert(libc::SYS_clone3, Vec::new());
        let denied = SeccompAction::Errno(libc::EPERM.unsigned_abs());
        let allowed = SeccompFilter::new(rules, denied, SeccompAction::Allow, arch()?)?;
        // Its arguments lie in memory, where no filter can see them. Without it the C library takes clone(2).
        let absent = SeccompAction::Errno(libc::ENOSYS.unsigned_abs());
        let clone3 = BTreeMap::from([(libc::SYS_clone3, Vec::new())]);
        let without = SeccompFilter::new(clone3, SeccompAction::Allow, absent, arch()?)?;
        Ok(Self { programs: [without.try_into()?, allowed.try_into()?] })
    }

    /// Puts them in force, for all threads.
    ///
    /// # Errors
    ///
    /// What the kernel says where it cannot.
    pub(super) fn close(&self) -> Result<(), Error> {
        self.programs.iter().try_for_each(|program| apply_filter_all_threads(program))
    }
}

/// Calls that depend on an argument. Each rule is one way to be allowed; its conditions must all hold.
fn conditional(connects: bool) -> Result<Vec<(i64, Vec<Rule>)>, Error> {
    let is = |arg, value: i32| Condition::new(arg, Len::Dword, Op::Eq, u64::from(value.unsigned_abs()));
    let is_not = |arg, value| Condition::new(arg, Len::Dword, Op::Ne, value);
    let bits = |arg, mask: i32, value: i32| {
        let (mask, value) = (u64::from(mask.unsigned_abs()), u64::from(value.unsigned_abs()));
        Condition::new(arg, Len::Qword, Op::MaskedEq(mask), value)
    };
    let any_of =
        |arg, values: &[i32]| values.iter().map(|v| Rule::new(vec![is(arg, *v)?])).collect::<Result<Vec<_>, _>>();
    Ok(vec![
        // Threads, no processes.
        (libc::SYS_clone, vec![Rule::new(vec![bits(0, libc::CLONE_THREAD, libc::CLONE_THREAD)?])?]),
        // No new code.
        (libc::SYS_mmap, vec![Rule::new(vec![bits(2, libc::PROT_EXEC, 0)?])?]),
        (libc::SYS_mprotect, vec![Rule::new(vec![bits(2, libc::PROT_EXEC, 0)?])?]),
        // Interfaces that come back, questions about them, the service manager. A way out by IP for a proxy only.
        (libc::SYS_socket, any_of(0, if connects { FAMILIES_WITH_IP } else { FAMILIES })?),
        // Names of threads and of memory.
        (libc::SYS_prctl, any_of(0, &[libc::PR_SET_NAME, libc::PR_GET_NAME, libc::PR_SET_VMA])?),
        // Limits are read, never set.
        (libc::SYS_prlimit64, vec![Rule::new(vec![Condition::new(2, Len::Qword, Op::Eq, 0)?])?]),
        // No typing into the terminal it was started from.
        (libc::SYS_ioctl, vec![Rule::new(vec![is_not(1, TIOCSTI)?, is_not(1, TIOCLINUX)?])?]),
    ])
}

/// `asm-generic/ioctls.h`: put a byte into a terminal's input.
const TIOCSTI: u64 = 0x5412;
/// The same by way of the selection of a console.
const TIOCLINUX: u64 = 0x541C;

/// Families of sockets.
const FAMILIES: &[i32] = &[libc::AF_PACKET, libc::AF_UNIX, libc::AF_NETLINK];
/// The same for a process that connects.
const FAMILIES_WITH_IP: &[i32] = &[libc::AF_PACKET, libc::AF_UNIX, libc::AF_NETLINK, libc::AF_INET, libc::AF_INET6];

/// Calls that only a process makes that connects: getaddrinfo(3) asks for both kinds of addresses at once.
const CONNECTING: &[i64] = &[libc::SYS_sendmmsg];

/// Calls that may be made with any arguments.
const ALLOWED: &[i64] = &[
    // Files: outputs, rotation, configuration, rules, key logs, /proc and /sys.
    libc::SYS_openat,
    libc::SYS_close,
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_pread64,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_pwrite64,
    libc::SYS_lseek,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_fstatfs,
    libc::SYS_statfs,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_readlinkat,
    libc::SYS_getdents64,
    libc::SYS_getcwd,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_unlinkat,
    libc::SYS_ftruncate,
    libc::SYS_fsync,
    libc::SYS_fdatasync,
    libc::SYS_fadvise64,
    libc::SYS_fallocate,
    libc::SYS_fchmod,
    libc::SYS_flock,
    libc::SYS_fcntl,
    libc::SYS_dup,
    libc::SYS_dup3,
    libc::SYS_pipe2,
    libc::SYS_umask,
    // Memory.
    libc::SYS_brk,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_membarrier,
    libc::SYS_get_mempolicy,
    // Threads.
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_futex,
    libc::SYS_set_robust_list,
    libc::SYS_get_robust_list,
    libc::SYS_set_tid_address,
    libc::SYS_rseq,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_setaffinity,
    libc::SYS_sched_getparam,
    libc::SYS_sched_getscheduler,
    libc::SYS_getcpu,
    // Signals; tgkill is abort(3) and raise(3).
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_restart_syscall,
    libc::SYS_tgkill,
    // Time and waiting.
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_gettimeofday,
    libc::SYS_ppoll,
    libc::SYS_pselect6,
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_eventfd2,
    libc::SYS_timerfd_create,
    libc::SYS_timerfd_settime,
    // Sockets: the ring, scrapes, the service manager.
    libc::SYS_bind,
    libc::SYS_connect,
    libc::SYS_accept,
    libc::SYS_accept4,
    libc::SYS_shutdown,
    libc::SYS_getsockname,
    libc::SYS_getpeername,
    libc::SYS_getsockopt,
    libc::SYS_setsockopt,
    libc::SYS_sendto,
    libc::SYS_sendmsg,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    // Who and where.
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_getppid,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
    libc::SYS_capget,
    libc::SYS_uname,
    libc::SYS_sysinfo,
    libc::SYS_getrusage,
    libc::SYS_getrandom,
    // The older names that x86 still has for the same.
    #[cfg(target_arch = "x86_64")]
    libc::SYS_open,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_stat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_lstat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_access,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_readlink,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_rename,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_unlink,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_dup2,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_pipe,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_poll,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_select,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_epoll_wait,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_getrlimit,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_time,
];
