//! Signals as messages.
//!
//! The handlers only set a flag and write to a pipe, which is all that may be done there (signal-safety(7)).

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;
use signal_hook::iterator::{Handle, Signals as Pipe};
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::{Builder, JoinHandle};

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    /// SIGTERM or SIGINT: finish what is under way and end. The next one ends the process at once, with 128 and its
    /// number as the status.
    Stop,
    /// SIGHUP: read configuration and rules again, and open outputs anew.
    Reload,
}

/// Most signals that wait to be taken. Beyond it, reloads are the same as one that waits already.
const WAITING: usize = 4;

/// Caught signals, not yet delivered: they wait in a pipe.
#[derive(Debug)]
pub(crate) struct Signals {
    pipe: Pipe,
}

impl Signals {
    /// Catches SIGTERM, SIGINT and SIGHUP from now on. Starts no thread.
    ///
    /// # Errors
    ///
    /// What the system says where a handler cannot be set.
    pub(crate) fn catch() -> io::Result<Self> {
        let stopping = Arc::new(AtomicBool::new(false));
        for signal in [SIGTERM, SIGINT] {
            // In this order: the first signal finds the flag down and raises it, the second finds it up.
            flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&stopping))?;
            flag::register(signal, Arc::clone(&stopping))?;
        }
        Ok(Self { pipe: Pipe::new([SIGTERM, SIGINT, SIGHUP])? })
    }

    /// Starts the thread that delivers them, those that came since included.
    ///
    /// # Errors
    ///
    /// What the system says where there can be no thread.
    pub(crate) fn listen(self) -> io::Result<Listener> {
        let (sender, events) = bounded(WAITING);
        let handle = self.pipe.handle();
        let thread = Builder::new().name("signals".to_owned()).spawn(move || deliver(self.pipe, &sender))?;
        Ok(Listener { events, handle, thread: Some(thread) })
    }
}

fn deliver(mut pipe: Pipe, sender: &Sender<Signal>) {
    for signal in &mut pipe {
        let gone = match signal {
            SIGHUP => matches!(sender.try_send(Signal::Reload), Err(TrySendError::Disconnected(_))),
            _ => sender.send(Signal::Stop).is_err(),
        };
        if gone {
            return;
        }
    }
}

/// Where signals arrive.
#[derive(Debug)]
pub(crate) struct Listener {
    events: Receiver<Signal>,
    handle: Handle,
    thread: Option<JoinHandle<()>>,
}

impl Listener {
    /// The signals, in the order they came.
    pub(crate) fn events(&self) -> &Receiver<Signal> {
        &self.events
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.handle.close();
        // A thread that waits for room gets on once there is some; after `close` it then ends.
        while self.events.try_recv().is_ok() {}
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
