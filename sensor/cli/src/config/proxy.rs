//! `[proxy]`: the egress proxy.

use super::MAX_THREADS;
use super::live::{Fault, fault, within};
use crate::args::ProxyFlags;
use crate::files;
use detect::{Cidr, Generation, HostPattern};
use proxy::{Access, Bypass, CaFiles, Destinations, Hold, Limits, Listener, Over, Upstream, UpstreamProxy};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Where the CA is unless the configuration says otherwise: as `mcp-sensor ca init` writes it.
const CA_CERTIFICATE: &str = "/etc/mcp-sensor/ca.pem";
const CA_KEY: &str = "/etc/mcp-sensor/ca.key";
/// Where clients connect unless anything else says so.
pub(crate) const DEFAULT_LISTEN: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8080);

/// `[proxy]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawProxy {
    /// Threads that serve clients, from 1 to 64; one a core where left out.
    #[schemars(range(min = 1, max = 64))]
    pub(super) threads: Option<u16>,
    /// Whether TLS is opened. Without it only names of servers are seen, and nothing is looked into but plain HTTP.
    intercept: bool,
    /// What happens to a request where the proxy's own code fails; where left out, `closed` if an action blocks or
    /// redirects, and `open` if not.
    #[serde(skip_serializing_if = "Option::is_none")]
    on_fault: Option<RawFault>,
    /// Longest time that connections may go on once the program is to end, in seconds.
    #[schemars(range(max = 3600))]
    stop_seconds: u64,
    /// The CA that signs what clients see in place of the certificates of servers.
    ca: RawCa,
    /// Who may use the proxy.
    access: RawAccess,
    /// Where it may connect to.
    destinations: RawDestinations,
    /// What is passed through unread.
    bypass: RawBypass,
    /// Requests that wait until it is clear what they are.
    hold: RawHold,
    /// What clients and servers can make the proxy hold, and for how long.
    limits: RawProxyLimits,
    /// How servers are reached, and which of them are trusted.
    upstream: RawUpstream,
}

impl Default for RawProxy {
    fn default() -> Self {
        Self {
            threads: None,
            intercept: true,
            on_fault: None,
            stop_seconds: 5,
            ca: RawCa::default(),
            access: RawAccess::default(),
            destinations: RawDestinations::default(),
            bypass: RawBypass::default(),
            hold: RawHold::default(),
            limits: RawProxyLimits::default(),
            upstream: RawUpstream::default(),
        }
    }
}

/// `proxy.on_fault`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum RawFault {
    /// It passes without having been looked at.
    Open,
    /// It is refused.
    Closed,
}

/// `[proxy.ca]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct RawCa {
    /// File of the certificate (PEM), with those above it where it is an intermediate one; relative to the configuration
    /// file.
    certificate: PathBuf,
    /// File of the private key (PEM, PKCS #8). Nobody but its owner may be able to read it.
    key: PathBuf,
    /// File that holds the passphrase of the key; where left out, the key has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    passphrase_file: Option<PathBuf>,
}

impl Default for RawCa {
    fn default() -> Self {
        Self { certificate: CA_CERTIFICATE.into(), key: CA_KEY.into(), passphrase_file: None }
    }
}

/// `[proxy.access]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct RawAccess {
    /// Networks of clients; any where empty. A listener that other machines can reach needs these or `credentials`.
    clients: Vec<String>,
    /// File of users, `name:hash` a line (argon2id or bcrypt, as `htpasswd -B` writes it); relative to the configuration
    /// file. Everybody has to log in where it is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    credentials: Option<PathBuf>,
}

/// `[proxy.destinations]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct RawDestinations {
    /// Ports that clients may open tunnels to; any where empty.
    connect_ports: Vec<u16>,
    /// Networks that may be connected to although they are refused by default: this machine, link-local addresses, and
    /// the metadata services of clouds.
    allow: Vec<String>,
    /// Further networks that are refused.
    deny: Vec<String>,
}

/// `[proxy.bypass]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct RawBypass {
    /// Servers whose TLS is not opened: `bank.example`, `*.bank.example`, `login.*`.
    hosts: Vec<String>,
    /// Networks of clients whose TLS is not opened.
    clients: Vec<String>,
    /// Whether the list that comes with the program is in force: services whose clients accept no other certificate, and
    /// some that are nobody's business, such as banks.
    builtin: bool,
    /// For how long the TLS of a server is not opened after several clients refused our certificate for it, in minutes;
    /// 0 for never. Known MCP servers are excepted.
    #[schemars(range(max = 10_080))]
    learn_minutes: u64,
}

impl Default for RawBypass {
    fn default() -> Self {
        Self { hosts: Vec::new(), clients: Vec::new(), builtin: true, learn_minutes: 0 }
    }
}

/// `proxy.hold.over`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum RawOver {
    /// It is refused.
    Refuse,
    /// It is passed on as it comes, but for its last bytes, which wait for the verdict.
    Stream,
}

/// `[proxy.hold]`. Only messages that may be MCP wait, and only where an action can stop any.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct RawHold {
    /// Longest message that is kept back whole, in bytes.
    #[schemars(range(min = 4096))]
    message_bytes: u64,
    /// Most bytes of all messages that are kept back.
    #[schemars(range(min = 4096))]
    total_bytes: u64,
    /// Longest time without a byte of a message that is kept back, in seconds.
    #[schemars(range(min = 1, max = 3600))]
    idle_seconds: u64,
    /// What happens to a message beyond that.
    over: RawOver,
}

impl Default for RawHold {
    fn default() -> Self {
        let Hold { bytes, total_bytes, idle, over } = Hold::default();
        Self {
            message_bytes: bytes as u64,
            total_bytes: total_bytes as u64,
            idle_seconds: idle.as_secs(),
            over: match over {
                Over::Refuse => RawOver::Refuse,
                Over::Stream => RawOver::Stream,
            },
        }
    }
}

/// `[proxy.limits]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct RawProxyLimits {
    /// Most connections of clients.
    #[schemars(range(min = 1))]
    connections: u64,
    /// Most connections of one client address.
    #[schemars(range(min = 1))]
    connections_per_client: u64,
    /// Longest head of a request, in bytes.
    #[schemars(range(min = 4096, max = 1_048_576))]
    head_bytes: u64,
    /// Most fields of a head.
    #[schemars(range(min = 16, max = 4096))]
    head_fields: u64,
    /// Most requests at a time on one connection of HTTP/2.
    #[schemars(range(min = 1, max = 10_000))]
    streams: u32,
    /// Most certificates kept for use again.
    #[schemars(range(min = 16, max = 1_000_000))]
    certificates: u64,
    /// Most certificates for new names that one client address may ask for at once.
    #[schemars(range(min = 1, max = 1_000_000))]
    certificates_burst: u32,
    /// And how many more in each second. Beyond that its handshakes wait, and are refused where that would take too long.
    #[schemars(range(min = 1, max = 1_000_000))]
    certificates_per_second: u32,
    /// Longest time that a client may take for the head of a request, and for what comes before it, in seconds; also for
    /// its first word in a tunnel, unless the server speaks first.
    #[schemars(range(min = 1, max = 3600))]
    head_seconds: u64,
    /// Longest time between two requests on a connection, in seconds.
    #[schemars(range(min = 1, max = 86_400))]
    idle_seconds: u64,
    /// Longest time in which a client that is waited for sends next to nothing of the body of a request, or takes nothing
    /// of an answer, in seconds.
    #[schemars(range(min = 1, max = 86_400))]
    stall_seconds: u64,
    /// Longest silence of a tunnel of which one direction is over, in seconds.
    #[schemars(range(min = 1, max = 86_400))]
    half_closed_seconds: u64,
    /// Longest time without any byte in a tunnel, on a WebSocket, or while an answer is on its way, in seconds.
    #[schemars(range(min = 60, max = 31_536_000))]
    quiet_seconds: u64,
    /// Longest time for finding a server and connecting to it, in seconds.
    #[schemars(range(min = 1, max = 600))]
    connect_seconds: u64,
    /// Longest time for a TLS handshake, in seconds.
    #[schemars(range(min = 1, max = 600))]
    handshake_seconds: u64,
    /// Most bytes read of a request that was answered before it was over, so that the answer arrives.
    drain_bytes: u64,
    /// Longest time for that, in seconds.
    #[schemars(range(max = 600))]
    drain_seconds: u64,
}

impl Default for RawProxyLimits {
    fn default() -> Self {
        let limits = Limits::default();
        Self {
            connections: limits.connections as u64,
            connections_per_client: limits.connections_per_client as u64,
            head_bytes: limits.head_bytes as u64,
            head_fields: limits.head_fields as u64,
            streams: limits.streams,
            certificates: limits.leaves,
            certificates_burst: limits.leaf_burst,
            certificates_per_second: limits.leaf_rate,
            head_seconds: limits.head_time.as_secs(),
            idle_seconds: limits.idle_time.as_secs(),
            stall_seconds: limits.stall_time.as_secs(),
            half_closed_seconds: limits.half_closed_time.as_secs(),
            quiet_seconds: limits.quiet_time.as_secs(),
            connect_seconds: limits.connect_time.as_secs(),
            handshake_seconds: limits.handshake_time.as_secs(),
            drain_bytes: limits.drain_bytes,
            drain_seconds: limits.drain_time.as_secs(),
        }
    }
}

/// `[proxy.upstream]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct RawUpstream {
    /// Whether servers whose certificate the CAs of this system vouch for are trusted.
    system_roots: bool,
    /// Files of further CAs (PEM) that servers are trusted by; relative to the configuration file.
    roots: Vec<PathBuf>,
    /// Files of revocation lists (PEM); relative to the configuration file.
    crls: Vec<PathBuf>,
    /// The proxy to go through: `http://proxy.example:3128`, with a user before an `@` where it asks for one.
    #[serde(skip_serializing_if = "Option::is_none")]
    proxy: Option<String>,
    /// File that holds the password of that user; relative to the configuration file.
    #[serde(skip_serializing_if = "Option::is_none")]
    password_file: Option<PathBuf>,
    /// What is reached without that proxy: hosts, domains (`.corp.example`) and networks.
    no_proxy: Vec<String>,
}

impl Default for RawUpstream {
    fn default() -> Self {
        Self {
            system_roots: true,
            roots: Vec::new(),
            crls: Vec::new(),
            proxy: None,
            password_file: None,
            no_proxy: Vec::new(),
        }
    }
}

/// The checked section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Proxy {
    /// Where clients connect.
    pub(crate) listeners: Vec<Listener>,
    /// Threads that serve them.
    threads: NonZeroUsize,
    /// The CA; `None` to open no TLS.
    pub(crate) ca: Option<CaFiles>,
    /// How long connections may go on at the end.
    pub(crate) stop: Duration,
    upstream: Upstream,
    /// Who the proxy that [`Upstream::proxy`] names is told to be, and where the password is.
    login: Option<(String, Option<PathBuf>)>,
    limits: Limits,
    access: Access,
    destinations: Destinations,
    bypass: Bypass,
    hold: Hold,
    on_fault: Option<proxy::Fault>,
}

impl RawProxy {
    /// Makes paths relative to `folder`.
    pub(super) fn lie_in(&mut self, folder: &Path) {
        let RawCa { certificate, key, passphrase_file } = &mut self.ca;
        let RawUpstream { roots, crls, password_file, .. } = &mut self.upstream;
        let some = passphrase_file.iter_mut().chain(&mut self.access.credentials).chain(password_file);
        for path in some.chain([certificate, key]).chain(roots).chain(crls) {
            *path = folder.join(&*path);
        }
    }

    /// Puts flags in the place of what the file says, or beside it where they are lists.
    pub(super) fn overlay(&mut self, flags: &ProxyFlags, threads: Option<u16>, cores: u16) {
        let ProxyFlags { ca_cert, ca_key, no_intercept, client, credentials, allow_destination, upstream_ca, .. } =
            flags;
        self.threads = threads.or(self.threads).or(Some(cores));
        self.intercept &= !no_intercept;
        self.ca.certificate = ca_cert.clone().unwrap_or(std::mem::take(&mut self.ca.certificate));
        self.ca.key = ca_key.clone().unwrap_or(std::mem::take(&mut self.ca.key));
        self.access.clients.extend(client.iter().cloned());
        self.access.credentials = credentials.clone().or(self.access.credentials.take());
        self.destinations.allow.extend(allow_destination.iter().cloned());
        self.upstream.roots.extend(upstream_ca.iter().cloned());
    }

    /// The section with its listeners, each with the key that it comes from.
    pub(super) fn check(&self, listeners: Vec<(String, Listener)>) -> Result<Proxy, Fault> {
        let access = self.access.check()?;
        let open = access.clients.is_empty() && access.credentials.is_none();
        for (key, Listener { address, .. }) in &listeners {
            if open && !address.ip().to_canonical().is_loopback() {
                return fault(
                    key,
                    format!("other machines can reach {address}, and nothing says who may; {ACCESS_HELP}"),
                );
            }
        }
        let listeners: Vec<Listener> = listeners.into_iter().map(|(_, listener)| listener).collect();
        let threads = self.threads.filter(|n| *n <= MAX_THREADS).map(usize::from).and_then(NonZeroUsize::new);
        let Some(threads) = threads else {
            return fault("proxy.threads", format!("must be from 1 to {MAX_THREADS}; leave it out for one a core"));
        };
        let RawCa { certificate, key, passphrase_file } = self.ca.clone();
        let (upstream, login) = self.upstream.check()?;
        Ok(Proxy {
            listeners,
            threads,
            ca: self.intercept.then_some(CaFiles { certificate, key, passphrase: passphrase_file }),
            stop: Duration::from_secs(within("proxy.stop_seconds".into(), self.stop_seconds, 0..=3600)?),
            upstream,
            login,
            limits: self.limits.check()?,
            access,
            destinations: self.destinations.check()?,
            bypass: self.bypass.check()?,
            hold: self.hold.check()?,
            on_fault: self.on_fault.map(|on_fault| match on_fault {
                RawFault::Open => proxy::Fault::Open,
                RawFault::Closed => proxy::Fault::Closed,
            }),
        })
    }

    /// What a reload cannot change.
    pub(super) fn needs_a_start(&self, other: &Self) -> bool {
        let fixed = |raw: &Self| {
            let Self { threads, intercept, stop_seconds, ca, limits, upstream, .. } = raw.clone();
            (threads, intercept, stop_seconds, ca, limits, upstream)
        };
        fixed(self) != fixed(other)
    }
}

const ACCESS_HELP: &str = "name their networks in `proxy.access.clients` (`--client`) or a file of users in \
                           `proxy.access.credentials` (`--credentials`), or listen on 127.0.0.1";

/// All of `texts`, read by `parse`.
fn each<T>(key: &str, texts: &[String], parse: impl Fn(&str) -> Result<T, String>) -> Result<Vec<T>, Fault> {
    let one = |(at, text): (usize, &String)| parse(text).or_else(|message| fault(format!("{key}[{at}]"), message));
    texts.iter().enumerate().map(one).collect()
}

fn seconds(key: &str, value: u64, range: RangeInclusive<u64>) -> Result<Duration, Fault> {
    Ok(Duration::from_secs(within(key.to_owned(), value, range)?))
}

fn number(key: &str, value: u64, range: RangeInclusive<u64>) -> Result<usize, Fault> {
    Ok(usize::try_from(within(key.to_owned(), value, range)?).unwrap_or(usize::MAX))
}

impl RawAccess {
    fn check(&self) -> Result<Access, Fault> {
        let clients = each("proxy.access.clients", &self.clients, Cidr::parse)?;
        Ok(Access { clients, credentials: self.credentials.clone() })
    }
}

impl RawDestinations {
    fn check(&self) -> Result<Destinations, Fault> {
        if let Some(at) = self.connect_ports.iter().position(|port| *port == 0) {
            return fault(format!("proxy.destinations.connect_ports[{at}]"), "must be from 1 to 65535");
        }
        Ok(Destinations {
            connect_ports: self.connect_ports.clone(),
            allow: each("proxy.destinations.allow", &self.allow, Cidr::parse)?,
            deny: each("proxy.destinations.deny", &self.deny, Cidr::parse)?,
        })
    }
}

impl RawBypass {
    fn check(&self) -> Result<Bypass, Fault> {
        let learn = within("proxy.bypass.learn_minutes".into(), self.learn_minutes, 0..=10_080)?;
        Ok(Bypass {
            hosts: each("proxy.bypass.hosts", &self.hosts, HostPattern::parse)?,
            clients: each("proxy.bypass.clients", &self.clients, Cidr::parse)?,
            builtin: self.builtin,
            learn: (learn > 0).then(|| Duration::from_secs(60 * learn)),
        })
    }
}

impl RawHold {
    fn check(&self) -> Result<Hold, Fault> {
        let bytes = number("proxy.hold.message_bytes", self.message_bytes, 4096..=1 << 30)?;
        Ok(Hold {
            bytes,
            total_bytes: number("proxy.hold.total_bytes", self.total_bytes, bytes as u64..=1 << 40)?,
            idle: seconds("proxy.hold.idle_seconds", self.idle_seconds, 1..=3600)?,
            over: match self.over {
                RawOver::Refuse => Over::Refuse,
                RawOver::Stream => Over::Stream,
            },
        })
    }
}

impl RawProxyLimits {
    fn check(&self) -> Result<Limits, Fault> {
        let per_client = self.connections_per_client;
        Ok(Limits {
            connections: number("proxy.limits.connections", self.connections, 1..=1 << 24)?,
            connections_per_client: number("proxy.limits.connections_per_client", per_client, 1..=1 << 24)?,
            head_bytes: number("proxy.limits.head_bytes", self.head_bytes, 4096..=1 << 20)?,
            head_fields: number("proxy.limits.head_fields", self.head_fields, 16..=4096)?,
            streams: within("proxy.limits.streams".into(), self.streams, 1..=10_000)?,
            leaves: within("proxy.limits.certificates".into(), self.certificates, 16..=1_000_000)?,
            leaf_burst: within("proxy.limits.certificates_burst".into(), self.certificates_burst, 1..=1_000_000)?,
            leaf_rate: within(
                "proxy.limits.certificates_per_second".into(),
                self.certificates_per_second,
                1..=1_000_000,
            )?,
            head_time: seconds("proxy.limits.head_seconds", self.head_seconds, 1..=3600)?,
            idle_time: seconds("proxy.limits.idle_seconds", self.idle_seconds, 1..=86_400)?,
            stall_time: seconds("proxy.limits.stall_seconds", self.stall_seconds, 1..=86_400)?,
            half_closed_time: seconds("proxy.limits.half_closed_seconds", self.half_closed_seconds, 1..=86_400)?,
            quiet_time: seconds("proxy.limits.quiet_seconds", self.quiet_seconds, 60..=31_536_000)?,
            connect_time: seconds("proxy.limits.connect_seconds", self.connect_seconds, 1..=600)?,
            handshake_time: seconds("proxy.limits.handshake_seconds", self.handshake_seconds, 1..=600)?,
            drain_bytes: self.drain_bytes,
            drain_time: seconds("proxy.limits.drain_seconds", self.drain_seconds, 0..=600)?,
        })
    }
}

/// Who the next proxy is told to be, and where the password is.
type Login = Option<(String, Option<PathBuf>)>;

impl RawUpstream {
    fn check(&self) -> Result<(Upstream, Login), Fault> {
        let Self { system_roots, roots, crls, proxy, password_file, no_proxy } = self.clone();
        if !system_roots && roots.is_empty() {
            return fault(
                "proxy.upstream.roots",
                "is empty, and those of the system are off: no server could be trusted",
            );
        }
        if let Some(at) = no_proxy.iter().position(|text| text.is_empty() || text.contains([' ', ','])) {
            let help = "is one host, domain or network, such as `.corp.example` or `10.0.0.0/8`";
            return fault(format!("proxy.upstream.no_proxy[{at}]"), help);
        }
        let key = "proxy.upstream.proxy";
        let (proxy, user) = proxy.as_deref().map(next_proxy).transpose().or_else(|why| fault(key, why))?.unzip();
        let user = user.flatten();
        if password_file.is_some() && user.is_none() {
            return fault(
                "proxy.upstream.password_file",
                "there is no user; write `proxy` like `http://user@host:3128`",
            );
        }
        Ok((Upstream { system_roots, roots, crls, proxy, no_proxy }, user.map(|user| (user, password_file))))
    }
}

/// Reads `http://[user@]host:port`.
fn next_proxy(text: &str) -> Result<(UpstreamProxy, Option<String>), String> {
    let wrong = || Err(format!("`{text}` is no proxy; write it like `http://proxy.example:3128`"));
    let Some(rest) = text.strip_prefix("http://") else { return wrong() };
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let (user, place) = rest.rsplit_once('@').map_or((None, rest), |(user, place)| (Some(user), place));
    if user.is_some_and(|user| user.contains(':')) {
        // Not shown: what is behind the colon would be a password.
        return Err("holds a password; put it into a file of its own and name that in `password_file`".to_owned());
    }
    let (host, port) = match place.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() => (host, port.parse::<u16>().ok().filter(|port| *port != 0)),
        _ => return wrong(),
    };
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let plain = !host.contains(|c: char| c.is_whitespace() || c.is_control() || "/@?#[]".contains(c));
    let six = host.contains(':') && host.parse::<std::net::Ipv6Addr>().is_err();
    match port {
        Some(port) if plain && !six && user != Some("") => {
            let proxy = UpstreamProxy { host: host.to_owned(), port, authorization: None };
            Ok((proxy, user.map(str::to_owned)))
        }
        _ => wrong(),
    }
}

impl Proxy {
    /// Files that are read while it runs.
    pub(crate) fn reads(&self) -> impl Iterator<Item = &Path> {
        self.access.credentials.iter().map(PathBuf::as_path)
    }

    /// What holds from the start to the end. Listeners are sources behind `interfaces` others; `own` are other addresses
    /// that this process listens on.
    ///
    /// # Errors
    ///
    /// What is wrong with the file of the password, and what to do.
    pub(crate) fn options(
        &self,
        interfaces: usize,
        look_alikes: bool,
        own: Vec<SocketAddr>,
    ) -> Result<proxy::Options, String> {
        let mut upstream = self.upstream.clone();
        if let (Some(next), Some((user, file))) = (&mut upstream.proxy, &self.login) {
            let password = file.as_deref().map(files::read_secret).transpose()?.unwrap_or_default();
            next.authorization = Some(basic(user, password.trim_end_matches(['\r', '\n'])));
        }
        Ok(proxy::Options {
            listeners: self.listeners.clone(),
            threads: self.threads,
            ca: self.ca.clone(),
            upstream,
            limits: self.limits.clone(),
            look_alikes,
            first_source: u16::try_from(interfaces).unwrap_or(u16::MAX),
            own,
        })
    }

    /// What a reload can change, with these rules.
    pub(crate) fn settings(&self, generation: &Arc<Generation>) -> proxy::Settings {
        let default = if generation.can_act() { proxy::Fault::Closed } else { proxy::Fault::Open };
        proxy::Settings {
            generation: Arc::clone(generation),
            access: self.access.clone(),
            destinations: self.destinations.clone(),
            bypass: self.bypass.clone(),
            hold: self.hold,
            on_fault: self.on_fault.unwrap_or(default),
        }
    }
}

/// RFC 7617.
fn basic(user: &str, password: &str) -> String {
    use base64::Engine as _;
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}")))
}
