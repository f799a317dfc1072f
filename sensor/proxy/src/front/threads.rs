//! The threads that connections live on.

use super::listen::{Accepted, Admission, accept, begin};
use crate::lookout;
use crate::thread::Thread;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, watch};
use tokio::task::LocalSet;
use tokio::time::Instant;

/// Threads for work that blocks (password hashes, names), for each thread of connections.
const MAX_BLOCKING: usize = 8;
/// How often it is looked whether connections that are to end have ended.
const LOOK: Duration = Duration::from_millis(20);

/// How often observations that wait are offered again.
const TICK: Duration = Duration::from_secs(1);

/// Whether connections are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// All are welcome.
    Open,
    /// No new ones; those at work end until then.
    Ending(Instant),
}

/// Shows that a thread is alive.
#[derive(Clone, Debug)]
pub(crate) struct Pulse {
    started: Instant,
    /// Milliseconds from there to the last sign of life.
    last: Arc<AtomicU64>,
}

impl Pulse {
    /// A thread that is alive now.
    pub(crate) fn new() -> Self {
        Self { started: Instant::now(), last: Arc::default() }
    }

    fn beat(&self) {
        self.last.store(self.elapsed(), Ordering::Relaxed);
    }

    /// Time since the last sign of life. A thread that is well gives one every second.
    pub(crate) fn silence(&self) -> Duration {
        Duration::from_millis(self.elapsed().saturating_sub(self.last.load(Ordering::Relaxed)))
    }

    fn elapsed(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// One thread, before it runs.
pub(crate) struct Worker {
    /// Shows that it is alive.
    pub(crate) pulse: Pulse,
    /// Its index.
    pub(crate) index: usize,
    /// What connections share.
    pub(crate) admission: Arc<Admission>,
    /// Connections for it.
    pub(crate) inbox: mpsc::Receiver<Accepted>,
    /// Whether connections are wanted.
    pub(crate) phase: watch::Receiver<Phase>,
    /// Listeners to accept from (one thread does that for all), and where connections go.
    pub(crate) accepting: Option<(Vec<std::net::TcpListener>, Vec<mpsc::Sender<Accepted>>)>,
}

/// A runtime for one thread.
pub(crate) fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .max_blocking_threads(MAX_BLOCKING)
        .on_thread_park(lookout::before_sleep)
        .build()
}

impl Worker {
    /// Serves connections until they are not wanted any more.
    pub(crate) fn run(self, runtime: &Runtime, thread: impl FnOnce() -> Rc<Thread>) {
        let local = LocalSet::new();
        let thread = thread();
        // As a task, which is polled only where it has something to do.
        let working = local.spawn_local(self.work(thread));
        if let Err(error) = local.block_on(runtime, working)
            && let Ok(fault) = error.try_into_panic()
        {
            std::panic::resume_unwind(fault);
        }
        // What is still open is closed, while the runtime is there.
        let _entered = runtime.enter();
        drop(local);
    }

    async fn work(mut self, thread: Rc<Thread>) {
        let mut acceptors = Vec::new();
        if let Some((listeners, threads)) = self.accepting.take() {
            for (index, listener) in (0_u16..).zip(listeners) {
                match TcpListener::from_std(listener) {
                    Ok(listener) => {
                        let admission = Arc::clone(&self.admission);
                        let accepting = accept(listener, index, admission, Rc::clone(&thread), threads.clone());
                        acceptors.push(tokio::task::spawn_local(accepting));
                    }
                    Err(_) => thread.shared.counters.count("limit", "accept_error"),
                }
            }
        }
        let mut ticks = tokio::time::interval(TICK);
        let deadline = loop {
            tokio::select! {
                biased;
                phase = self.phase.changed() => match (*self.phase.borrow(), phase) {
                    (Phase::Ending(deadline), _) => break deadline,
                    // Nobody is left who could tell.
                    (Phase::Open, Err(_)) => break Instant::now(),
                    (Phase::Open, Ok(())) => {}
                },
                accepted = self.inbox.recv() => match accepted {
                    Some(accepted) => take(&thread, accepted),
                    // Who accepted has heard of the end, maybe before this thread.
                    None => match *self.phase.borrow() {
                        Phase::Ending(deadline) => break deadline,
                        Phase::Open => break Instant::now(),
                    },
                },
                _ = ticks.tick() => {
                    self.pulse.beat();
                    tell(&thread);
                }
            }
        };
        acceptors.iter().for_each(tokio::task::JoinHandle::abort);
        self.inbox.close();
        while let Ok(accepted) = self.inbox.try_recv() {
            take(&thread, accepted);
        }
        thread.drain.begin();
        while self.admission.load(self.index) > 0 && Instant::now() < deadline {
            tokio::time::sleep(LOOK).await;
            self.pulse.beat();
        }
        tell(&thread);
        let left = self.admission.load(self.index);
        thread.shared.counters.add("limit", "closed_at_stop", u64::try_from(left).unwrap_or(u64::MAX));
    }
}

/// Offers again what waits to be told, tells what has ended, and hands over what inspection counted.
fn tell(thread: &Thread) {
    thread.outbox.flush(&thread.shared);
    thread.learned.look(thread);
    let stats = std::mem::take(&mut thread.scratch.borrow_mut().stats);
    thread.shared.counters.inspected(&stats);
}

/// Serves a connection that another thread took.
fn take(thread: &Rc<Thread>, accepted: Accepted) {
    let Accepted { stream, client, listener, ticket } = accepted;
    match TcpStream::from_std(stream) {
        Ok(tcp) => begin(thread, tcp, client, listener, ticket),
        Err(_) => thread.shared.counters.count("limit", "accept_error"),
    }
}
