//! Listeners, and who is let in.

use super::StartError;
use crate::options::{Access, Listener};
use crate::thread::{Shared, Thread};
use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// Connections that wait in the kernel.
const BACKLOG: i32 = 1024;
/// Connections taken from one listener before others have their turn.
const AT_ONCE: usize = 64;
/// Connections that wait for one thread.
pub(crate) const WAITING: usize = 1024;
/// Pause after the system had no more files or memory for a connection.
const PAUSE: Duration = Duration::from_millis(100);

/// Finds out peers that vanished: after a minute of silence, within another half.
pub(crate) fn keepalive() -> TcpKeepalive {
    TcpKeepalive::new().with_time(Duration::from_mins(1)).with_interval(Duration::from_secs(10)).with_retries(3)
}

/// Whether only this machine can reach it, or it is known who may use it.
pub(crate) fn may_serve(address: &SocketAddr, access: &Access) -> bool {
    address.ip().to_canonical().is_loopback() || !access.clients.is_empty() || access.credentials.is_some()
}

/// Binds a listener. One that others can reach needs to know who may use it.
///
/// # Errors
///
/// [`StartError::Open`] and [`StartError::Listen`].
pub(crate) fn bind(listener: &Listener, access: &Access) -> Result<std::net::TcpListener, StartError> {
    let address = listener.address;
    if !may_serve(&address, access) {
        return Err(StartError::Open(address));
    }
    let bound = || -> io::Result<std::net::TcpListener> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        if address.is_ipv6() {
            // Else it would depend on the system whether it takes IPv4 too.
            socket.set_only_v6(true)?;
        }
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        // Connections inherit these from their listener, at no cost.
        socket.set_tcp_nodelay(true)?;
        socket.set_tcp_keepalive(&keepalive())?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        Ok(socket.into())
    };
    bound().map_err(|error| StartError::Listen(address, error.to_string()))
}

/// A connection on its way to its thread.
pub(crate) struct Accepted {
    /// The connection, which leaves the thread that took it.
    pub(crate) stream: std::net::TcpStream,
    /// The client.
    pub(crate) client: SocketAddr,
    /// Index of the listener.
    pub(crate) listener: u16,
    /// Its place among the limits.
    pub(crate) ticket: Ticket,
}

/// Connections of each client address and of each thread.
pub(crate) struct Admission {
    shared: Arc<Shared>,
    clients: Mutex<HashMap<IpAddr, usize, foldhash::fast::RandomState>>,
    /// By thread.
    loads: Vec<AtomicUsize>,
}

/// Counts a connection for as long as it lives.
pub(crate) struct Ticket {
    admission: Arc<Admission>,
    client: IpAddr,
    thread: usize,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let admission = &self.admission;
        admission.shared.counters.active.fetch_sub(1, Ordering::Relaxed);
        if let Some(load) = admission.loads.get(self.thread) {
            load.fetch_sub(1, Ordering::Relaxed);
        }
        let mut clients = admission.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = clients.get_mut(&self.client) {
            *count -= 1;
            if *count == 0 {
                clients.remove(&self.client);
            }
        }
        if std::thread::panicking() {
            admission.shared.counters.count("limit", "fault");
        }
    }
}

impl Admission {
    /// For so many threads.
    pub(crate) fn new(shared: Arc<Shared>, threads: usize) -> Arc<Self> {
        let loads = (0..threads).map(|_| AtomicUsize::new(0)).collect();
        Arc::new(Self { shared, clients: Mutex::default(), loads })
    }

    /// Connections of a thread.
    pub(crate) fn load(&self, thread: usize) -> usize {
        self.loads.get(thread).map_or(0, |load| load.load(Ordering::Relaxed))
    }

    /// Lets a client in, to the thread that has the least to do.
    ///
    /// # Errors
    ///
    /// The limit it met.
    fn admit(self: &Arc<Self>, client: IpAddr) -> Result<Ticket, (&'static str, &'static str)> {
        let shared = &self.shared;
        let client = client.to_canonical();
        if !shared.gate.admits(&shared.settings.load(), client) {
            return Err(("refused", "client_network"));
        }
        let limits = &shared.options.limits;
        let most = u64::try_from(limits.connections).unwrap_or(u64::MAX);
        if shared.counters.active.load(Ordering::Relaxed) >= most {
            return Err(("limit", "connections"));
        }
        {
            let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
            let count = clients.entry(client).or_default();
            if *count >= limits.connections_per_client {
                return Err(("limit", "connections_per_client"));
            }
            *count += 1;
        }
        shared.counters.active.fetch_add(1, Ordering::Relaxed);
        let least = self.loads.iter().enumerate().min_by_key(|(_, load)| load.load(Ordering::Relaxed));
        let thread = least.map_or(0, |(thread, _)| thread);
        if let Some(load) = self.loads.get(thread) {
            load.fetch_add(1, Ordering::Relaxed);
        }
        Ok(Ticket { admission: Arc::clone(self), client, thread })
    }
}

/// Takes connections of one listener, for ever. Those for this thread, which is the first, begin at once; others are
/// handed on.
pub(crate) async fn accept(
    listener: TcpListener,
    index: u16,
    admission: Arc<Admission>,
    here: Rc<Thread>,
    threads: Vec<mpsc::Sender<Accepted>>,
) {
    let counters = &admission.shared.counters;
    let mut taken = 0;
    loop {
        match listener.accept().await {
            Ok((stream, client)) => {
                counters.connections.fetch_add(1, Ordering::Relaxed);
                match admission.admit(client.ip()) {
                    Ok(ticket) if ticket.thread == 0 => begin(&here, stream, client, index, ticket),
                    Ok(ticket) => hand_on(stream, client, index, ticket, &threads),
                    Err((family, word)) => counters.count(family, word),
                }
                taken += 1;
                if taken >= AT_ONCE {
                    taken = 0;
                    tokio::task::yield_now().await;
                }
            }
            Err(error) => {
                counters.count("limit", "accept_error");
                if is_shortage(&error) {
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }
}

fn hand_on(stream: TcpStream, client: SocketAddr, listener: u16, ticket: Ticket, threads: &[mpsc::Sender<Accepted>]) {
    let shared = Arc::clone(&ticket.admission.shared);
    let (Some(to), Ok(stream)) = (threads.get(ticket.thread), stream.into_std()) else { return };
    if to.try_send(Accepted { stream, client, listener, ticket }).is_err() {
        shared.counters.count("limit", "accept_queue");
    }
}

/// Serves a connection on this thread.
pub(crate) fn begin(thread: &Rc<Thread>, tcp: TcpStream, client: SocketAddr, listener: u16, ticket: Ticket) {
    let thread = Rc::clone(thread);
    tokio::task::spawn_local(async move {
        super::explicit::serve(thread, tcp, client, listener).await;
        drop(ticket);
    });
}

/// Whether the system lacks something, so that the next call would fail as well; else the fault was of one connection.
fn is_shortage(error: &io::Error) -> bool {
    // EMFILE, ENFILE, ENOBUFS, ENOMEM of Linux.
    matches!(error.raw_os_error(), Some(24 | 23 | 105 | 12) | None)
}
