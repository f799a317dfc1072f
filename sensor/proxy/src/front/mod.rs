//! Listeners, threads, and what happens on a connection before there are requests for an origin.

mod drain;
mod explicit;
mod first;
mod hello;
mod intercept;
mod io;
mod listen;
mod news;
mod patience;
mod route;
mod threads;
mod timing;
mod tunnel;
mod upstream;

pub(crate) use drain::Drain;
pub(crate) use io::{DownIo, UpIo};
pub(crate) use news::Learned;
pub(crate) use patience::Patience;
pub(crate) use route::Route;
#[cfg(test)]
pub(crate) use threads::runtime;
pub(crate) use timing::{Pending, Timing, attend, supervise};
pub(crate) use tunnel::Pool;
pub(crate) use upstream::{Origins, trust};

use crate::ca::CaError;
use crate::counters::Counters;
use crate::options::{Options, Reporter, Settings};
use crate::thread::{Files, Shared, Thread};
use listen::{Admission, WAITING};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use threads::{Phase, Pulse, Worker};
use tokio::sync::{mpsc, watch};

/// A thread that gave no sign of life for so long hangs.
const HUNG: Duration = Duration::from_secs(10);

/// Why the proxy cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// A listener.
    #[error("cannot listen on {0}: {1}")]
    Listen(SocketAddr, String),
    /// A listener that others can reach, and anybody could use.
    #[error(
        "others can reach {0}, and anybody could use it: name the networks of clients, give a file of credentials, or \
         listen on a loopback address"
    )]
    Open(SocketAddr),
    /// No listener is configured.
    #[error("there is no address to listen on")]
    NoListener,
    /// The interception CA.
    #[error("the interception CA: {0}")]
    Ca(#[source] CaError),
    /// What the gate reads.
    #[error("{0}")]
    Gate(String),
    /// What makes origins trustworthy: where it is from, and what is wrong.
    #[error("cannot read certificates from {0}: {1}")]
    Roots(String, String),
}

/// Listeners that are bound, and files that were read; nothing runs yet, so that rights can be given up.
pub struct Proxy {
    options: Options,
    settings: Settings,
    files: Files,
    listeners: Vec<TcpListener>,
    addresses: Vec<SocketAddr>,
}

impl Proxy {
    /// Binds listeners and reads files.
    ///
    /// # Errors
    ///
    /// [`StartError`].
    pub fn bind(mut options: Options, settings: Settings) -> Result<Self, StartError> {
        if options.listeners.is_empty() {
            return Err(StartError::NoListener);
        }
        let (mut listeners, mut addresses) = (Vec::new(), Vec::new());
        for listener in &mut options.listeners {
            let bound = listen::bind(listener, &settings.access)?;
            let address =
                bound.local_addr().map_err(|error| StartError::Listen(listener.address, error.to_string()))?;
            // From here on with the port that the system chose, so that the proxy knows its own addresses.
            listener.address = address;
            listeners.push(bound);
            addresses.push(address);
        }
        let files = Files::read(&options, &settings)?;
        Ok(Self { options, settings, files, listeners, addresses })
    }

    /// The addresses that are listened on, in the order of the listeners.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Starts the threads.
    ///
    /// # Errors
    ///
    /// Where the system has no more threads.
    pub fn start(self, reporter: Arc<dyn Reporter>) -> std::io::Result<Running> {
        let threads = self.options.threads.get();
        let shared = Shared::new(self.files, self.options, self.settings, reporter);
        let admission = Admission::new(Arc::clone(&shared), threads);
        let (phase, phases) = watch::channel(Phase::Open);
        let (outboxes, inboxes): (Vec<_>, Vec<_>) = (0..threads).map(|_| mpsc::channel(WAITING)).unzip();
        let mut accepting = Some((self.listeners, outboxes));
        let mut running = Running { shared, addresses: self.addresses, phase, threads: Vec::new(), pulses: Vec::new() };
        for (index, inbox) in inboxes.into_iter().enumerate() {
            let pulse = Pulse::new();
            running.pulses.push(pulse.clone());
            let worker = Worker {
                pulse,
                index,
                admission: Arc::clone(&admission),
                inbox,
                phase: phases.clone(),
                accepting: accepting.take(),
            };
            let runtime = threads::runtime()?;
            let shared = Arc::clone(&running.shared);
            let run = move || worker.run(&runtime, || Thread::new(shared));
            running.threads.push(std::thread::Builder::new().name(format!("proxy-{index}")).spawn(run)?);
        }
        Ok(running)
    }
}

/// A proxy at work. Dropped without [`Running::stop`], it closes all connections at once.
pub struct Running {
    shared: Arc<Shared>,
    addresses: Vec<SocketAddr>,
    phase: watch::Sender<Phase>,
    threads: Vec<JoinHandle<()>>,
    pulses: Vec<Pulse>,
}

impl Running {
    /// Puts other settings in force, for requests that begin from now on.
    ///
    /// # Errors
    ///
    /// What is wrong with a file of credentials; the old settings stay in force.
    pub fn reload(&self, settings: Settings) -> Result<(), String> {
        let open = self.addresses.iter().find(|address| !listen::may_serve(address, &settings.access));
        if let Some(open) = open {
            return Err(StartError::Open(*open).to_string());
        }
        self.shared.gate.reload(&settings)?;
        self.shared.settings.store(Arc::new(settings));
        Ok(())
    }

    /// What is counted.
    pub fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.shared.counters)
    }

    /// The addresses that are listened on, in the order of the listeners.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Threads that gave a sign of life within the last ten seconds, and all.
    pub fn threads(&self) -> (usize, usize) {
        let alive = |(thread, pulse): &(&JoinHandle<()>, &Pulse)| !thread.is_finished() && pulse.silence() < HUNG;
        (self.threads.iter().zip(&self.pulses).filter(alive).count(), self.threads.len())
    }

    /// Takes no more connections, lets those at work end, for `patience` at most, and then closes them.
    pub fn stop(self, patience: Duration) {
        let _ = self.phase.send(Phase::Ending(tokio::time::Instant::now() + patience));
        for thread in self.threads {
            let _ = thread.join();
        }
    }
}
