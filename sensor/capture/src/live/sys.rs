//! Calls into the system for which neither libpcap nor its binding has words. The only unsafe code of this crate.
#![expect(unsafe_code, reason = "socket options of packet sockets are beyond libpcap and the standard library")]

use std::ffi::{c_int, c_void};
use std::io;
use std::mem::{size_of, zeroed};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

/// Waits until there is something to read or to say, or for so long.
pub(super) fn poll(fd: BorrowedFd<'_>, at_most: Duration) {
    let mut poll = libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // Rounded up, or else the last millisecond would be spent in a busy loop.
    let millis = at_most.as_micros().div_ceil(1000);
    let millis = c_int::try_from(millis).unwrap_or(c_int::MAX);
    // SAFETY: one `pollfd`, alive for the length of the call. An error (a signal) is as good as an early end.
    unsafe { libc::poll(&raw mut poll, 1, millis) };
}

/// Lets no frame in, until [`detach_filter`] or libpcap sets another filter. Goes past libpcap, which would run the
/// filter on what is in the ring as well.
pub(super) fn drop_all(fd: BorrowedFd<'_>) -> io::Result<()> {
    // `ret #0`
    let mut program = [libc::sock_filter { code: 6, jt: 0, jf: 0, k: 0 }];
    let filter = libc::sock_fprog { len: 1, filter: program.as_mut_ptr() };
    set(fd, libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &filter)
}

/// Lets all frames in.
pub(super) fn detach_filter(fd: BorrowedFd<'_>) -> io::Result<()> {
    set::<c_int>(fd, libc::SOL_SOCKET, libc::SO_DETACH_FILTER, &0)
}

/// Instructions of the filter that the kernel runs for this socket; 0 = it runs none.
pub(super) fn filter_len(fd: BorrowedFd<'_>) -> io::Result<u32> {
    let mut len: libc::socklen_t = 0;
    // SAFETY: of a length of 0 the call writes nothing but the length, which is that of the filter in instructions.
    let done = unsafe {
        libc::getsockopt(fd.as_raw_fd(), libc::SOL_SOCKET, libc::SO_GET_FILTER, std::ptr::null_mut(), &raw mut len)
    };
    if done == 0 { Ok(len) } else { Err(io::Error::last_os_error()) }
}

/// Makes a new group of sockets among which the kernel shares flows out, and gives its number.
pub(super) fn new_fanout(fd: BorrowedFd<'_>, loopback: bool) -> io::Result<u16> {
    set(fd, libc::SOL_PACKET, libc::PACKET_FANOUT, &fanout(0, loopback, libc::PACKET_FANOUT_FLAG_UNIQUEID))?;
    let got = get::<u32>(fd, libc::SOL_PACKET, libc::PACKET_FANOUT)?;
    Ok(u16::try_from(got & 0xffff).unwrap_or_default())
}

/// Joins a group.
pub(super) fn join_fanout(fd: BorrowedFd<'_>, group: u16, loopback: bool) -> io::Result<()> {
    set(fd, libc::SOL_PACKET, libc::PACKET_FANOUT, &fanout(group, loopback, 0))
}

/// By the hash of the flow, with the fragments put together first: all of a flow reaches one socket.
/// A group does not do as [`ignore_outgoing`] said to its sockets; it has to be told itself. Linux before 6.1 does not
/// know the flag and lets it pass.
fn fanout(group: u16, loopback: bool, flags: u32) -> u32 {
    let once = if loopback { libc::PACKET_FANOUT_FLAG_IGNORE_OUTGOING } else { 0 };
    let mode = libc::PACKET_FANOUT_HASH | libc::PACKET_FANOUT_FLAG_DEFRAG | once | flags;
    u32::from(group) | mode << 16
}

/// Spares the second copy of each frame of a loopback interface, which libpcap would leave out after it was counted.
pub(super) fn ignore_outgoing(fd: BorrowedFd<'_>) -> io::Result<()> {
    set::<c_int>(fd, libc::SOL_PACKET, libc::PACKET_IGNORE_OUTGOING, &1)
}

/// Version of the ring: 1, 2 or 3.
pub(super) fn ring_version(fd: BorrowedFd<'_>) -> Option<u8> {
    let version = get::<c_int>(fd, libc::SOL_PACKET, libc::PACKET_VERSION).ok()?;
    u8::try_from(version).ok().map(|version| version + 1)
}

/// `IFF_` flags of an interface, in the network namespace of the socket.
pub(super) fn flags(fd: BorrowedFd<'_>, name: &str) -> io::Result<c_int> {
    // SAFETY: all zeroes are a valid `ifreq`.
    let mut request: libc::ifreq = unsafe { zeroed() };
    if name.len() >= request.ifr_name.len() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = libc::c_char::from_ne_bytes([from]);
    }
    // SAFETY: `SIOCGIFFLAGS` reads the name, which ends in a zero, and writes the flags, both inside of `request`.
    let done = unsafe { libc::ioctl(fd.as_raw_fd(), libc::SIOCGIFFLAGS, &raw mut request) };
    if done < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call above has written this member; any bits are a valid number.
    Ok(c_int::from(unsafe { request.ifr_ifru.ifru_flags }))
}

/// Inode of the socket.
pub(super) fn inode(fd: BorrowedFd<'_>) -> Option<u64> {
    // SAFETY: all zeroes are a valid `stat`.
    let mut stat: libc::stat = unsafe { zeroed() };
    // SAFETY: `fstat` writes one `stat`, alive for the length of the call.
    (unsafe { libc::fstat(fd.as_raw_fd(), &raw mut stat) } == 0).then_some(stat.st_ino)
}

/// Whether times come in nanoseconds.
pub(super) fn has_nanoseconds(capture: &pcap::Capture<pcap::Active>) -> bool {
    // Of libpcap, which the `pcap` crate links; it has no words for this call.
    unsafe extern "C" {
        fn pcap_get_tstamp_precision(handle: *mut c_void) -> c_int;
    }
    // SAFETY: the handle is open for as long as `capture` is borrowed; the call only reads a number out of it.
    (unsafe { pcap_get_tstamp_precision(capture.as_ptr().cast()) }) == pcap::Precision::Nano as c_int
}

/// Processors that this thread may run on.
pub(super) fn allowed_cores() -> Vec<usize> {
    // SAFETY: all zeroes are a valid, empty set.
    let mut set: libc::cpu_set_t = unsafe { zeroed() };
    // SAFETY: the call writes at most the size it is told, which is that of `set`.
    if unsafe { libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &raw mut set) } != 0 {
        return Vec::new();
    }
    let cores = 0..usize::try_from(libc::CPU_SETSIZE).unwrap_or_default();
    // SAFETY: `core` is below `CPU_SETSIZE`, so inside of the set.
    cores.filter(|&core| unsafe { libc::CPU_ISSET(core, &set) }).collect()
}

/// Keeps this thread on one processor. Where the system refuses, it runs anywhere.
pub(super) fn pin(core: usize) {
    if core >= usize::try_from(libc::CPU_SETSIZE).unwrap_or_default() {
        return;
    }
    // SAFETY: all zeroes are a valid, empty set.
    let mut set: libc::cpu_set_t = unsafe { zeroed() };
    // SAFETY: `core` is below `CPU_SETSIZE`, so inside of the set.
    unsafe { libc::CPU_SET(core, &mut set) };
    // SAFETY: the call reads one set of the size it is told.
    unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set) };
}

fn set<T>(fd: BorrowedFd<'_>, level: c_int, option: c_int, value: &T) -> io::Result<()> {
    let len = libc::socklen_t::try_from(size_of::<T>()).map_err(io::Error::other)?;
    // SAFETY: the call reads `len` bytes of `value`, which has as many. What a filter points to is alive as well.
    let done = unsafe { libc::setsockopt(fd.as_raw_fd(), level, option, (&raw const *value).cast(), len) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// `T` is a plain number.
fn get<T: Copy + Default>(fd: BorrowedFd<'_>, level: c_int, option: c_int) -> io::Result<T> {
    let mut value = T::default();
    let mut len = libc::socklen_t::try_from(size_of::<T>()).map_err(io::Error::other)?;
    // SAFETY: the call writes at most `len` bytes to `value`, which has as many, and any bits are a valid number.
    let done = unsafe { libc::getsockopt(fd.as_raw_fd(), level, option, (&raw mut value).cast(), &raw mut len) };
    if done == 0 { Ok(value) } else { Err(io::Error::last_os_error()) }
}
