//! What the proxy is told, checked: it cannot be wrong any more.

use detect::{Cidr, Generation, HostPattern, Observation};
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// What holds from the start to the end of the process.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where clients connect.
    pub listeners: Vec<Listener>,
    /// Threads, each with connections of its own.
    pub threads: NonZeroUsize,
    /// The interception CA; `None` to intercept nothing.
    pub ca: Option<CaFiles>,
    /// How origins are reached and what makes them trustworthy.
    pub upstream: Upstream,
    /// Bounds on what a client or an origin can make the proxy hold.
    pub limits: Limits,
    /// Also tell of look-alikes.
    pub look_alikes: bool,
    /// Index of the first listener among the sources of the run, as [`net::Place::file`] has it.
    pub first_source: u16,
    /// Further addresses that this process listens on, such as that of its metrics: nobody reaches them through the
    /// proxy, whatever is allowed.
    pub own: Vec<SocketAddr>,
}

/// One listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Name that events give as their source.
    pub name: String,
    /// Address and port.
    pub address: SocketAddr,
}

/// What a reload may change.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Rules, scope and actions.
    pub generation: Arc<Generation>,
    /// Who may use the proxy.
    pub access: Access,
    /// Where it may connect to.
    pub destinations: Destinations,
    /// What is not intercepted.
    pub bypass: Bypass,
    /// What happens to requests that wait for a verdict.
    pub hold: Hold,
    /// What happens where our own code fails.
    pub on_fault: Fault,
}

/// Who may use the proxy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// Networks of clients; empty for any (which a listener that others can reach refuses, unless there is a file of
    /// credentials).
    pub clients: Vec<Cidr>,
    /// File of credentials, `name:hash` a line (argon2id or bcrypt, as htpasswd writes it).
    pub credentials: Option<PathBuf>,
}

/// Where the proxy may connect to. Judged by the address that is connected to, never by the name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Destinations {
    /// Ports that CONNECT may name; empty for any.
    pub connect_ports: Vec<u16>,
    /// Exceptions: networks that are refused by default (loopback, link-local, metadata services, this machine) and may
    /// be connected to.
    pub allow: Vec<Cidr>,
    /// Networks that are refused beside those.
    pub deny: Vec<Cidr>,
}

/// What is passed through unread.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bypass {
    /// Hosts, exact or by label.
    pub hosts: Vec<HostPattern>,
    /// Networks of clients.
    pub clients: Vec<Cidr>,
    /// Whether the list that comes with the program is in force: services whose clients pin certificates, and banks,
    /// health and the like.
    pub builtin: bool,
    /// For how long a host is passed through after clients refused our certificate for it; `None` for never.
    pub learn: Option<Duration>,
}

/// What happens to requests that wait for a verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hold {
    /// Most bytes of one message that are held.
    pub bytes: usize,
    /// Most bytes that are held in all.
    pub total_bytes: usize,
    /// Longest time without a byte.
    pub idle: Duration,
    /// What happens beyond.
    pub over: Over,
}

/// What happens to a message that is longer than what can be held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// It is refused.
    Refuse,
    /// It is passed on as it comes, but for the bytes that complete it, which wait for the verdict.
    Stream,
}

/// What happens where our own code fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Traffic passes uninspected.
    Open,
    /// The request is refused.
    Closed,
}

/// The interception CA.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaFiles {
    /// Certificate, and those above it where it is an intermediate; PEM.
    pub certificate: PathBuf,
    /// Private key; PEM, PKCS #8. Nobody but its owner may read it.
    pub key: PathBuf,
    /// File that holds the passphrase of the key.
    pub passphrase: Option<PathBuf>,
}

/// How origins are reached and what makes them trustworthy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Upstream {
    /// Whether the roots of the system count.
    pub system_roots: bool,
    /// Files of further roots; PEM.
    pub roots: Vec<PathBuf>,
    /// Files of revocation lists; PEM.
    pub crls: Vec<PathBuf>,
    /// The proxy to go through: `http://[user:password@]host:port`; the password comes from a file.
    pub proxy: Option<UpstreamProxy>,
    /// Hosts, domains (`.example.com`) and networks that are reached without it.
    pub no_proxy: Vec<String>,
}

/// A proxy to go through.
#[derive(Clone, PartialEq, Eq)]
pub struct UpstreamProxy {
    /// Host and port.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Value of `Proxy-Authorization`; never shown.
    pub authorization: Option<String>,
}

impl std::fmt::Debug for UpstreamProxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UpstreamProxy").field("host", &self.host).field("port", &self.port).finish_non_exhaustive()
    }
}

/// Bounds on what a client or an origin can make the proxy hold, and for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections of clients, in all.
    pub connections: usize,
    /// Connections of one client address.
    pub connections_per_client: usize,
    /// Bytes of a request head.
    pub head_bytes: usize,
    /// Fields of a request head.
    pub head_fields: usize,
    /// Streams at once of one HTTP/2 connection.
    pub streams: u32,
    /// Leaf certificates kept for use again.
    pub leaves: u64,
    /// Leaf certificates for new names that one client address may ask for at once, and then in a second.
    pub leaf_burst: u32,
    /// As above; at least 1.
    pub leaf_rate: u32,
    /// Longest time of a request head, and of what comes before it on a connection; also of silence behind CONNECT, where
    /// the server says nothing either.
    pub head_time: Duration,
    /// Longest time between two requests.
    pub idle_time: Duration,
    /// Longest time in which a client sends next to nothing of the body of a request, or takes nothing of what waits for
    /// it. Only time in which it is waited for counts.
    pub stall_time: Duration,
    /// Longest silence of a tunnel of which one direction is over.
    pub half_closed_time: Duration,
    /// Longest time without any byte, in whatever direction, of a tunnel, a WebSocket, or while an answer is on its way:
    /// after that, or at most as much again, the connection is closed.
    pub quiet_time: Duration,
    /// Longest time of name look-up and connection to an origin.
    pub connect_time: Duration,
    /// Longest time of a TLS handshake, with either side.
    pub handshake_time: Duration,
    /// What is read of a request after it was answered early, and for how long.
    pub drain_bytes: u64,
    /// As above.
    pub drain_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 20_000,
            connections_per_client: 2_000,
            head_bytes: 64 << 10,
            head_fields: 200,
            streams: 250,
            leaves: 10_000,
            leaf_burst: 500,
            leaf_rate: 20,
            head_time: Duration::from_secs(10),
            idle_time: Duration::from_mins(1),
            stall_time: Duration::from_mins(1),
            half_closed_time: Duration::from_mins(5),
            quiet_time: Duration::from_hours(24),
            connect_time: Duration::from_secs(15),
            handshake_time: Duration::from_secs(15),
            drain_bytes: 64 << 20,
            drain_time: Duration::from_secs(10),
        }
    }
}

impl Default for Hold {
    fn default() -> Self {
        Self { bytes: 1 << 20, total_bytes: 256 << 20, idle: Duration::from_secs(30), over: Over::Stream }
    }
}

/// Takes what is seen to the serial stage. Never blocks.
pub trait Reporter: Send + Sync {
    /// Takes an observation, or gives it back where there is no room.
    ///
    /// # Errors
    ///
    /// The observation, which was not taken.
    fn report(&self, observation: Observation) -> Result<(), Box<Observation>>;
}
