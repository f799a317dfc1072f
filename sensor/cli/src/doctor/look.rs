//! Questions to the machine: `/sys/class/net`, ethtool, the clock.

use super::survey::Interface;
use std::ffi::{c_char, c_int};
use std::fs;
use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

const NETWORK: &str = "/sys/class/net";
/// libpcap's name for all interfaces at once.
const ANY: &str = "any";
/// `linux/if.h`.
const IFF_UP: u32 = 1;
const IFF_LOOPBACK: u32 = 8;

/// Names of all interfaces.
pub(super) fn names() -> Vec<String> {
    let entries = fs::read_dir(NETWORK).into_iter().flatten().flatten();
    let mut names: Vec<_> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    // A file among the folders, where bonding is loaded.
    names.retain(|name| name != "bonding_masters");
    names.sort();
    names
}

/// What the system says of an interface before anything is opened.
pub(super) fn interface(name: &str) -> Interface {
    if name == ANY {
        return Interface { name: name.to_owned(), exists: true, up: true, special: true, ..Interface::default() };
    }
    let folder = folder(name);
    let flags = read(&folder, "flags").and_then(|text| u32::from_str_radix(text.trim_start_matches("0x"), 16).ok());
    Interface {
        name: name.to_owned(),
        exists: flags.is_some(),
        up: flags.is_some_and(|flags| flags & IFF_UP != 0),
        carrier: read(&folder, "carrier").map(|text| text == "1"),
        special: flags.is_some_and(|flags| flags & IFF_LOOPBACK != 0),
        gro: ethtool(name, ETHTOOL_GGRO).map(|on| on != 0),
        lro: ethtool(name, ETHTOOL_GFLAGS).map(|flags| flags & ETH_FLAG_LRO != 0),
        ..Interface::default()
    }
}

/// Its link address, if it has one of Ethernet.
pub(super) fn address(name: &str) -> Option<[u8; 6]> {
    let text = read(&folder(name), "address")?;
    let bytes: Vec<_> = text.split(':').map(|byte| u8::from_str_radix(byte, 16)).collect::<Result<_, _>>().ok()?;
    bytes.try_into().ok().filter(|address| *address != [0; 6])
}

/// What a card has lost, and what arrived damaged, since it was switched on.
pub(super) fn card_counters(name: &str) -> (u64, u64) {
    let folder = folder(name).join("statistics");
    let sum = |files: &[&str]| {
        files.iter().filter_map(|file| read(&folder, file)?.parse::<u64>().ok()).fold(0, u64::saturating_add)
    };
    (sum(&["rx_missed_errors", "rx_fifo_errors"]), sum(&["rx_crc_errors", "rx_frame_errors", "rx_length_errors"]))
}

fn folder(name: &str) -> PathBuf {
    Path::new(NETWORK).join(name)
}

fn read(folder: &Path, file: &str) -> Option<String> {
    Some(fs::read_to_string(folder.join(file)).ok()?.trim().to_owned())
}

/// `linux/ethtool.h`.
const ETHTOOL_GFLAGS: u32 = 0x25;
const ETHTOOL_GGRO: u32 = 0x2b;
const ETH_FLAG_LRO: u32 = 1 << 15;
/// `linux/sockios.h`.
const SIOCETHTOOL: libc::c_ulong = 0x8946;

/// `struct ethtool_value`.
#[repr(C)]
struct EthtoolValue {
    command: u32,
    data: u32,
}

/// Asks the driver one question with a number for an answer. `None` where there is no such interface, or it does not say.
fn ethtool(name: &str, command: u32) -> Option<u32> {
    let mut ifr_name: [c_char; libc::IFNAMSIZ] = [0; libc::IFNAMSIZ];
    if name.len() >= ifr_name.len() {
        return None;
    }
    for (to, from) in ifr_name.iter_mut().zip(name.bytes()) {
        *to = c_char::from_ne_bytes([from]);
    }
    let socket = UnixDatagram::unbound().ok()?;
    let mut value = EthtoolValue { command, data: 0 };
    let ifru_data = (&raw mut value).cast::<c_char>();
    let mut request = libc::ifreq { ifr_name, ifr_ifru: libc::__c_anonymous_ifr_ifru { ifru_data } };
    #[allow(unsafe_code, reason = "no library that is kept asks ethtool without a netlink stack of its own")]
    // SAFETY: the descriptor is open, `request` is an `ifreq` whose name ends with a zero, and its `ifru_data` points to an
    // `ethtool_value`, which is what both commands read and write. Both live until the call returns, and the kernel keeps
    // no pointer to them.
    let result: c_int = unsafe { libc::ioctl(socket.as_raw_fd(), SIOCETHTOOL as _, &raw mut request) };
    (result == 0).then_some(value.data)
}

/// Whether something keeps the clock of the system right (`adjtimex(2)`).
pub(super) fn clock_synchronized() -> Option<bool> {
    #[allow(unsafe_code, reason = "no library that is kept asks for the state of the clock")]
    // SAFETY: `timex` is made of integers, so zeros are a value of it. With `modes` 0 the call only writes into it.
    let state = unsafe {
        let mut timex: libc::timex = std::mem::zeroed();
        libc::adjtimex(&raw mut timex)
    };
    match state {
        ..0 => None,
        libc::TIME_ERROR => Some(false),
        _ => Some(true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_interface_is_seen() {
        assert!(names().contains(&"lo".to_owned()));
        let lo = interface("lo");
        assert!(lo.exists && lo.special && lo.lro.is_none_or(|on| !on), "{lo:?}");
        assert_eq!(address("lo"), None);
    }

    #[test]
    fn what_is_not_there_is_no_error() {
        let none = interface("no-such-if");
        assert_eq!((none.exists, none.up, none.gro, none.carrier), (false, false, None, None));
        assert_eq!(card_counters("no-such-if"), (0, 0));
        assert_eq!(ethtool("a name that is too long", ETHTOOL_GGRO), None);
        assert!(interface("any").exists);
    }
}
