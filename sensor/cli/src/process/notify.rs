//! What the service manager is told (`sd_notify(3)`). Without one, nothing happens.

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use sd_notify::NotifyState;
use std::io;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

/// Everything is open and traffic is read: `READY=1`. Also said at the end of a reload.
///
/// # Errors
///
/// What the system says where the socket of the service manager takes no message; so with all of these.
pub(crate) fn ready(status: &str) -> io::Result<()> {
    sd_notify::notify(&[NotifyState::Ready, NotifyState::Status(&one_line(status))])
}

/// A reload begins: `RELOADING=1`. [`ready`] must follow, also where it failed.
pub(crate) fn reloading() -> io::Result<()> {
    sd_notify::notify(&[NotifyState::Reloading, NotifyState::monotonic_usec_now()?])
}

/// The process drains and ends: `STOPPING=1`.
pub(crate) fn stopping() -> io::Result<()> {
    sd_notify::notify(&[NotifyState::Stopping])
}

/// A line for `systemctl status`.
pub(crate) fn status(status: &str) -> io::Result<()> {
    sd_notify::notify(&[NotifyState::Status(&one_line(status))])
}

/// Starts to feed the watchdog of the service manager, at half its interval, as long as `healthy` says so. Once it does
/// not, nothing is sent and the manager restarts the process; it may recover until then. `None` where the manager has no
/// watchdog for us.
///
/// # Errors
///
/// What the system says where there can be no thread.
pub(crate) fn watch(healthy: impl FnMut() -> bool + Send + 'static) -> io::Result<Option<Watchdog>> {
    let Some(limit) = sd_notify::watchdog_enabled() else { return Ok(None) };
    let (stop, stopped) = bounded(0);
    let thread = Builder::new().name("watchdog".to_owned()).spawn(move || feed(limit / 2, &stopped, healthy))?;
    Ok(Some(Watchdog { stop: Some(stop), thread: Some(thread) }))
}

/// A status is one line of the protocol; a second would be an assignment of its own.
fn one_line(status: &str) -> String {
    status.replace(char::is_control, " ")
}

fn feed(every: Duration, stopped: &Receiver<()>, mut healthy: impl FnMut() -> bool) {
    loop {
        if healthy() {
            // Where it fails, the manager finds the silence, and nobody here could do more.
            let _ = sd_notify::notify(&[NotifyState::Watchdog]);
        }
        if stopped.recv_timeout(every) != Err(RecvTimeoutError::Timeout) {
            return;
        }
    }
}

/// Feeds the watchdog until it is dropped.
#[derive(Debug)]
pub(crate) struct Watchdog {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
