//! A network namespace of a thread's own, with a pair of joined interfaces in it. It is gone with its last thread and
//! socket.
#![expect(unsafe_code, reason = "namespaces and packet sockets are beyond the standard library")]

use std::ffi::CString;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::process::Command;

/// Runs a test in a namespace of its own, or says why it does not.
pub(crate) fn in_a_namespace(test: impl FnOnce() + Send + 'static) {
    let entered = std::thread::spawn(|| {
        // SAFETY: takes no pointer; it is this thread alone that leaves its namespace.
        if unsafe { libc::unshare(libc::CLONE_NEWNET) } != 0 {
            eprintln!("SKIPPED: no network namespace can be made ({})", std::io::Error::last_os_error());
            return;
        }
        // Else the system itself would send on the new interfaces.
        for scope in ["all", "default"] {
            let _ = std::fs::write(format!("/proc/sys/net/ipv6/conf/{scope}/disable_ipv6"), "1");
        }
        if !ip("link add near type veth peer name far") {
            eprintln!("SKIPPED: `ip link add` makes no pair of interfaces here");
            return;
        }
        assert!(ip("link set near up") && ip("link set far up"));
        test();
    });
    if let Err(panic) = entered.join() {
        std::panic::resume_unwind(panic);
    }
}

/// Runs `ip`; says whether that worked.
pub(crate) fn ip(arguments: &str) -> bool {
    let status = Command::new("ip").args(arguments.split(' ')).status();
    status.is_ok_and(|status| status.success())
}

/// Sends frames as they are.
pub(crate) struct Sender(OwnedFd);

impl Sender {
    /// Frames handed to the system at a time.
    const AT_ONCE: usize = 64;

    pub(crate) fn new(interface: &str) -> Self {
        let name = CString::new(interface).unwrap();
        // SAFETY: the calls take plain numbers, a string that ends in a zero, and an address of the size that is said.
        unsafe {
            let fd = libc::socket(libc::AF_PACKET, libc::SOCK_RAW, 0);
            assert!(fd >= 0, "{}", std::io::Error::last_os_error());
            let fd = OwnedFd::from_raw_fd(fd);
            let mut address: libc::sockaddr_ll = std::mem::zeroed();
            address.sll_family = libc::AF_PACKET.try_into().unwrap();
            address.sll_ifindex = libc::if_nametoindex(name.as_ptr()).try_into().unwrap();
            let len = size_of::<libc::sockaddr_ll>().try_into().unwrap();
            assert_eq!(libc::bind(fd.as_raw_fd(), (&raw const address).cast(), len), 0);
            Self(fd)
        }
    }

    /// Sends them all, however often the system must be asked.
    pub(crate) fn send(&self, frames: &[Vec<u8>]) {
        self.try_send(frames).unwrap();
    }

    /// The same, as far as there is an interface.
    pub(crate) fn try_send(&self, frames: &[Vec<u8>]) -> std::io::Result<()> {
        for some in frames.chunks(Self::AT_ONCE) {
            // SAFETY: all zeroes are a valid `iovec` and a valid `mmsghdr`.
            let mut parts: [libc::iovec; Self::AT_ONCE] = unsafe { std::mem::zeroed() };
            // SAFETY: see above.
            let mut messages: [libc::mmsghdr; Self::AT_ONCE] = unsafe { std::mem::zeroed() };
            for ((part, message), frame) in parts.iter_mut().zip(&mut messages).zip(some) {
                (part.iov_base, part.iov_len) = (frame.as_ptr().cast_mut().cast(), frame.len());
                (message.msg_hdr.msg_iov, message.msg_hdr.msg_iovlen) = (part, 1);
            }
            let mut sent = 0;
            while sent < some.len() {
                let rest = &mut messages[sent..some.len()];
                let count = rest.len().try_into().unwrap();
                // SAFETY: so many messages, each of one part, which is a frame that is alive and only read.
                let done = unsafe { libc::sendmmsg(self.0.as_raw_fd(), rest.as_mut_ptr(), count, 0) };
                if let Ok(done) = usize::try_from(done) {
                    sent += done;
                } else {
                    let error = std::io::Error::last_os_error();
                    if error.raw_os_error() != Some(libc::ENOBUFS) {
                        return Err(error);
                    }
                }
            }
        }
        Ok(())
    }
}

/// Gives up all rights of this thread, and of no other.
pub(crate) fn become_nobody() {
    // SAFETY: takes plain numbers; the system call, unlike the function of the C library, is about this thread alone.
    assert_eq!(unsafe { libc::syscall(libc::SYS_setresuid, 65534, 65534, 65534) }, 0);
}

/// What the system says of a thread of this process, in one of its files.
pub(crate) fn of_thread(name: &str, file: &str) -> Option<String> {
    for task in std::fs::read_dir("/proc/self/task").ok()?.flatten() {
        let comm = std::fs::read_to_string(task.path().join("comm")).unwrap_or_default();
        if comm.trim_end() == name {
            return std::fs::read_to_string(task.path().join(file)).ok();
        }
    }
    None
}
