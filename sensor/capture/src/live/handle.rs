//! Rings of libpcap.
//!
//! libpcap binds a socket before a filter can be set and before it can join the others of its interface. So a ring first
//! lets nothing in; what had come by then, the same in all rings, is read and thrown away; then it joins; then it gets
//! its real filter. The kernel's counters are taken as zero at the moment in which nothing comes in.

use super::capturer::{SWEEP, lag};
use super::error::ANY;
use super::ring::{Counters, Fault, Opener, Ring, Seen};
use super::stats::RingInfo;
use super::{InterfaceOptions, LiveError, Opened, sys};
use net::{LinkType, Timestamp};
use pcap::{Active, Capture, Precision};
use std::io;
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

pub(super) use sys::pin;

/// Opens all rings of all interfaces, in the order of the options.
pub(crate) fn open(interfaces: &[InterfaceOptions]) -> Result<Vec<Vec<Opened>>, LiveError> {
    let cores = sys::allowed_cores();
    for options in interfaces {
        if let Some(core) = options.cores.iter().find(|core| !cores.contains(core)) {
            return Err(LiveError::Option {
                interface: options.name.clone(),
                option: "core",
                value: core.to_string(),
                advice: format!("there are {cores:?} for this process"),
            });
        }
    }
    let mut all = Vec::new();
    for options in interfaces {
        let group = Arc::new(Mutex::new(None));
        let make = |ring| Plan { options: options.clone(), ring, group: Arc::clone(&group) };
        let handles = (0..options.rings).map(|ring| make(ring).activate());
        all.push((options, handles.collect::<Result<Vec<_>, _>>()?));
    }
    for (options, handles) in &mut all {
        drain(handles, options)?;
    }
    for handle in all.iter_mut().flat_map(|(_, handles)| handles) {
        handle.join()?;
    }
    for handle in all.iter_mut().flat_map(|(_, handles)| handles) {
        handle.let_in()?;
    }
    let opened = |handle: Handle| {
        let (info, opener) = (handle.info(), handle.plan.clone());
        Opened { ring: Box::new(handle), opener: Box::new(opener), info }
    };
    Ok(all.into_iter().map(|(_, handles)| handles.into_iter().map(opened).collect()).collect())
}

/// How it is said that an interface does not exist any more.
const GONE: &str = "the interface is gone";

/// How to open a ring.
#[derive(Clone, Debug)]
struct Plan {
    options: InterfaceOptions,
    ring: usize,
    /// The group of the rings of this interface.
    group: Arc<Mutex<Option<u16>>>,
}

impl Opener for Plan {
    fn open(&mut self) -> Result<Box<dyn Ring>, Fault> {
        let open = || -> Result<Handle, LiveError> {
            let mut handles = [self.clone().activate()?];
            drain(&mut handles, &self.options)?;
            let [mut handle] = handles;
            // The other rings are open by now, or will be soon: what is for this one is lost from here on ...
            handle.join()?;
            // ... to here, which are some microseconds.
            handle.let_in()?;
            Ok(handle)
        };
        open().map(|handle| Box::new(handle) as Box<dyn Ring>).map_err(|error| match error {
            // Not the list of the others: the words stay the same while it is away.
            LiveError::NoSuchInterface { .. } => Fault(GONE.to_owned()),
            error => Fault(error.to_string()),
        })
    }
}

impl Plan {
    /// Opens the ring, which lets nothing in.
    fn activate(self) -> Result<Handle, LiveError> {
        let options = &self.options;
        let any = options.name == ANY;
        let millis = i32::try_from(options.timeout.as_millis()).unwrap_or(i32::MAX);
        let capture = Capture::from_device(options.name.as_str())
            .map(|capture| {
                capture
                    .snaplen(i32::try_from(options.snaplen).unwrap_or(i32::MAX))
                    .buffer_size(i32::try_from(options.buffer_bytes).unwrap_or(i32::MAX))
                    .promisc(options.promiscuous && !any)
                    .timeout(millis)
                    // The other mode is that of the second version of the ring, which loses frames at low load.
                    .immediate_mode(false)
                    .precision(Precision::Nano)
            })
            .and_then(Capture::open)
            .and_then(Capture::setnonblock)
            .map_err(|error| self.explain(&error))?;
        sys::drop_all(capture.as_fd()).map_err(|error| self.failed("its filter cannot be set", &error))?;
        let flags = if any { 0 } else { sys::flags(capture.as_fd(), &options.name).unwrap_or(0) };
        let loopback = flags & libc::IFF_LOOPBACK != 0;
        let exact = !any && (!loopback || sys::ignore_outgoing(capture.as_fd()).is_ok());
        let link = u16::try_from(capture.get_datalink().0).map_or(LinkType::Other(u16::MAX), LinkType::from_number);
        let unit = if sys::has_nanoseconds(&capture) { 1 } else { 1000 };
        Ok(Handle { capture, plan: self, link, unit, loopback, exact, base: Counters::default() })
    }

    fn explain(&self, error: &pcap::Error) -> LiveError {
        let interface = self.options.name.clone();
        let message = match error {
            pcap::Error::PcapError(message) => message.trim_end_matches(": ").to_owned(),
            other => other.to_string(),
        };
        if message.contains("CAP_NET_RAW") || message.contains("ermission denied") || message.contains("not permitted")
        {
            return LiveError::Permission { interface };
        }
        if message.contains("is not up") {
            return LiveError::NotUp(interface);
        }
        let known: Vec<String> =
            pcap::Device::list().unwrap_or_default().into_iter().map(|d| d.name).filter(|n| is_network(n)).collect();
        if !known.is_empty() && !known.contains(&interface) {
            return LiveError::NoSuchInterface { name: interface, known };
        }
        LiveError::Open { interface, message }
    }

    fn failed(&self, what: &str, error: &io::Error) -> LiveError {
        LiveError::Open { interface: self.options.name.clone(), message: format!("{what}: {error}") }
    }
}

/// Whether a device of libpcap's list is of the network: it lists buses and queues as well.
fn is_network(device: &str) -> bool {
    !["bluetooth", "usbmon", "nflog", "nfqueue", "dbus-"].iter().any(|other| device.starts_with(other))
}

/// An open ring.
struct Handle {
    capture: Capture<Active>,
    plan: Plan,
    link: LinkType,
    /// Nanoseconds in the unit of the times.
    unit: i64,
    loopback: bool,
    /// Whether libpcap leaves nothing out that the kernel has counted.
    exact: bool,
    /// What the kernel had counted when the capture began.
    base: Counters,
}

/// Reads what came in before nothing did, and throws it away. The last of it may take a while to be given.
fn drain(handles: &mut [Handle], options: &InterfaceOptions) -> Result<(), LiveError> {
    /// Between two looks.
    const PAUSE: Duration = Duration::from_millis(10);
    let mut left = lag(options.timeout);
    for handle in handles {
        let mut read: u64 = 0;
        loop {
            let counters = handle.raw_counters().unwrap_or_default();
            while handle.sweep(SWEEP, &mut |_| read += 1).map_err(|fault| handle.fault(fault))? == SWEEP {}
            let kept = u64::from(counters.received.wrapping_sub(counters.dropped));
            if (handle.exact && read >= kept) || left.is_zero() {
                handle.base = counters;
                break;
            }
            handle.wait(PAUSE);
            left = left.saturating_sub(PAUSE);
        }
    }
    Ok(())
}

impl Handle {
    fn fault(&self, fault: Fault) -> LiveError {
        LiveError::Open { interface: self.plan.options.name.clone(), message: fault.0 }
    }

    /// Joins the other rings of the interface.
    fn join(&mut self) -> Result<(), LiveError> {
        if self.plan.options.rings < 2 {
            return Ok(());
        }
        let mut group = self.plan.group.lock().unwrap_or_else(PoisonError::into_inner);
        let fd = self.capture.as_fd();
        // The group of an interface that went away is of no use for the one that came.
        let joined = group.filter(|&number| sys::join_fanout(fd, number, self.loopback).is_ok());
        match joined.map_or_else(|| sys::new_fanout(fd, self.loopback), Ok) {
            Ok(number) => {
                *group = Some(number);
                // An old kernel gives the group the second copies and does not say so.
                self.exact &= !self.loopback;
                Ok(())
            }
            Err(error) => Err(LiveError::Fanout {
                interface: self.plan.options.name.clone(),
                rings: self.plan.options.rings,
                message: error.to_string(),
            }),
        }
    }

    /// Sets the real filter.
    fn let_in(&mut self) -> Result<(), LiveError> {
        match &self.plan.options.bpf {
            Some(expression) => {
                let filtered = self.capture.filter(expression, true);
                filtered.map_err(|error| LiveError::Filter {
                    interface: self.plan.options.name.clone(),
                    expression: expression.clone(),
                    message: error.to_string(),
                })?;
                // One that the kernel does not take, as of more than 4096 instructions, libpcap runs by itself, on
                // frames that were counted.
                self.exact &= sys::filter_len(self.capture.as_fd()).is_ok_and(|len| len > 0);
                Ok(())
            }
            None => sys::detach_filter(self.capture.as_fd())
                .map_err(|error| self.plan.failed("its filter cannot be taken off", &error)),
        }
    }

    fn raw_counters(&mut self) -> Option<Counters> {
        let stats = self.capture.stats().ok()?;
        let interface_dropped = if self.plan.ring == 0 { stats.if_dropped } else { 0 };
        Some(Counters { received: stats.received, dropped: stats.dropped, interface_dropped })
    }

    fn info(&self) -> RingInfo {
        let fd = self.capture.as_fd();
        RingInfo {
            interface: self.plan.options.name.clone(),
            ring: self.plan.ring,
            link: self.link,
            snaplen: self.plan.options.snaplen,
            buffer_bytes: sys::inode(fd).and_then(mapped_bytes),
            version: sys::ring_version(fd),
            nanoseconds: self.unit == 1,
            fanout: *self.plan.group.lock().unwrap_or_else(PoisonError::into_inner),
        }
    }
}

/// Bytes of a socket that are mapped into this process: those of its ring.
fn mapped_bytes(inode: u64) -> Option<u64> {
    let name = format!("socket:[{inode}]");
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    let mut lines = maps.lines().filter(|line| line.ends_with(&name));
    let (from, to) = lines.next()?.split(' ').next()?.split_once('-')?;
    u64::from_str_radix(to, 16).ok()?.checked_sub(u64::from_str_radix(from, 16).ok()?)
}

impl Ring for Handle {
    fn link(&self) -> LinkType {
        self.link
    }

    fn wait(&mut self, at_most: Duration) {
        sys::poll(self.capture.as_fd(), at_most);
    }

    fn sweep(&mut self, most: usize, take: &mut dyn FnMut(Seen<'_>)) -> Result<usize, Fault> {
        let unit = self.unit;
        let read = self.capture.dispatch(Some(most), |packet| {
            let (seconds, parts) = (packet.header.ts.tv_sec, packet.header.ts.tv_usec);
            let ts = Timestamp::new(seconds, parts.saturating_mul(unit));
            take(Seen { ts, data: packet.data, wire_len: packet.header.len });
        });
        read.map_err(|error| {
            let message = error.to_string();
            Fault(if message.contains("disappeared") { GONE.to_owned() } else { message })
        })
    }

    fn counters(&mut self) -> Option<Counters> {
        let now = self.raw_counters()?;
        Some(Counters {
            received: now.received.wrapping_sub(self.base.received),
            dropped: now.dropped.wrapping_sub(self.base.dropped),
            interface_dropped: now.interface_dropped.wrapping_sub(self.base.interface_dropped),
        })
    }

    fn is_exact(&self) -> bool {
        self.exact
    }

    fn link_state(&mut self) -> Result<(), &'static str> {
        if self.plan.options.name == ANY {
            return Ok(());
        }
        match sys::flags(self.capture.as_fd(), &self.plan.options.name) {
            Ok(flags) if flags & libc::IFF_UP == 0 => Err("the interface is down"),
            Ok(flags) if flags & libc::IFF_RUNNING == 0 => Err("the interface has no link (no cable, no peer)"),
            Ok(_) => Ok(()),
            // If it were gone, the ring would have said so.
            Err(_) => Err("no interface has this name any more; what had it is captured on"),
        }
    }

    fn shut(&mut self) {
        // Where this fails, there is a time limit to the rest.
        let _ = sys::drop_all(self.capture.as_fd());
    }
}
