//! Who may use the proxy, where it may go, and what it passes through unread.

mod authority;
mod budget;
mod bypass;
mod chain;
mod destination;
mod dial;
mod login;
mod once;
mod pac;
mod resolve;
#[cfg(test)]
mod tests;
mod users;

pub(crate) use authority::{Authority, shown};
pub(crate) use bypass::Names;
pub(crate) use login::Login;
pub(crate) use pac::pac;

use crate::counters::Counters;
use crate::failure::Failure;
use crate::options::{Destinations, Options, Settings};
use budget::Budget;
use bypass::Passed;
use chain::Chain;
use destination::{Judge, Refusal};
use detect::Cidr;
use http::HeaderValue;
use login::Logins;
use resolve::Resolver;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

/// The gate of all threads.
pub(crate) struct Gate {
    logins: Logins,
    passed: Passed,
    /// New leaf certificates.
    leaves: Budget,
    resolver: Resolver,
    chain: Option<Chain>,
    /// Where this program listens.
    own: Vec<SocketAddr>,
    /// The configuration names the upstream proxy, so it may be anywhere but here.
    anywhere: Destinations,
    /// Longest time of a dial, look-up and upstream proxy included.
    patience: Duration,
}

impl Gate {
    /// Longest time that a handshake waits because its client asks for many new certificates.
    const LEAF_WAIT: Duration = Duration::from_secs(5);

    /// Reads the files it needs. Listeners must have the addresses that they are bound to: requests to those would go
    /// round.
    ///
    /// # Errors
    ///
    /// What is wrong with the file of credentials (file, line) or with the upstream proxy, and what would do.
    pub(crate) fn open(options: &Options, settings: &Settings, counters: &Arc<Counters>) -> Result<Self, String> {
        let (upstream, limits) = (&options.upstream, &options.limits);
        let pause = Duration::from_secs(1) / limits.leaf_rate.max(1);
        let all = [IpAddr::from(Ipv4Addr::UNSPECIFIED), Ipv6Addr::UNSPECIFIED.into()];
        let allow = all.iter().map(|ip| Cidr::parse(&format!("{ip}/0"))).collect::<Result<_, _>>()?;
        Ok(Self {
            logins: Logins::open(settings.access.credentials.as_deref(), Arc::clone(counters))?,
            passed: Passed::new(Arc::clone(counters)),
            leaves: Budget::new(Budget::ROOM, limits.leaf_burst, pause),
            resolver: Resolver::new(Arc::clone(counters)),
            chain: upstream.proxy.as_ref().map(|proxy| Chain::new(proxy, &upstream.no_proxy)).transpose()?,
            own: options.listeners.iter().map(|listener| listener.address).chain(options.own.iter().copied()).collect(),
            anywhere: Destinations { allow, ..Destinations::default() },
            patience: limits.connect_time,
        })
    }

    /// Puts the file of credentials in force that a reload brought; who was verified with the one before is verified anew.
    /// Reads a file: not to be called on a thread of connections.
    ///
    /// # Errors
    ///
    /// What is wrong with it, and in which line; the one before stays in force.
    pub(crate) fn reload(&self, settings: &Settings) -> Result<(), String> {
        self.logins.reload(settings.access.credentials.as_deref())
    }

    /// Whether a client at this address may connect at all.
    #[expect(clippy::unused_self, reason = "all questions of access go to the gate")]
    pub(crate) fn admits(&self, settings: &Settings, client: IpAddr) -> bool {
        let clients = &settings.access.clients;
        clients.is_empty() || clients.iter().any(|net| net.contains(client))
    }

    /// Who asks. May take the time of a password hash, on a thread for such.
    pub(crate) async fn login(&self, client: IpAddr, credentials: Option<&HeaderValue>) -> Login {
        self.logins.login(client, credentials).await
    }

    /// Connects to an origin, through the upstream proxy where there is one for it (always by CONNECT, which it must so
    /// allow for port 80 as well). `tunnel` says that CONNECT asked for it, so that the port is judged too.
    ///
    /// The address is the one that was really connected to, and judged. Behind an upstream proxy it is not known: what is
    /// named by address is judged by that, and what is named by name has the unspecified address.
    ///
    /// # Errors
    ///
    /// [`Failure`].
    pub(crate) async fn dial(
        &self,
        settings: &Settings,
        to: &Authority,
        tunnel: bool,
    ) -> Result<(TcpStream, SocketAddr), Failure> {
        let judge = Judge { rules: &settings.destinations, own: &self.own };
        if tunnel && !judge.port(to.port) {
            let why = "CONNECT to this port is not allowed";
            return Err(Failure::Forbidden { what: to.to_string(), why });
        }
        let dialling = async {
            match self.chain.as_ref().filter(|chain| chain.is_for(to)) {
                Some(chain) => self.dial_chain(chain, judge, to).await,
                None => self.dial_direct(judge, to).await,
            }
        };
        timeout(self.patience, dialling).await.unwrap_or_else(|_| Err(Failure::Timeout(to.to_string())))
    }

    async fn dial_direct(&self, judge: Judge<'_>, to: &Authority) -> Result<(TcpStream, SocketAddr), Failure> {
        let found = self.resolver.find(&to.host).await;
        let addresses = found.map_err(|why| Failure::Resolve(to.host.clone(), why.to_string()))?;
        dial::connect(judge, &addresses, to.port, &to.to_string()).await
    }

    async fn dial_chain(
        &self,
        chain: &Chain,
        judge: Judge<'_>,
        to: &Authority,
    ) -> Result<(TcpStream, SocketAddr), Failure> {
        let address = SocketAddr::new(to.ip().unwrap_or(Ipv4Addr::UNSPECIFIED.into()), to.port);
        if to.ip().is_some() {
            judge.judge(address).map_err(|refusal| match refusal {
                Refusal::Ourselves => Failure::Loop,
                Refusal::Because(why) => Failure::Forbidden { what: to.to_string(), why },
            })?;
        } else if destination::is_metadata(&to.host) {
            return Err(Failure::Forbidden { what: to.to_string(), why: destination::METADATA });
        }
        let ours = Judge { rules: &self.anywhere, own: &self.own };
        let (mut stream, _) = self.dial_direct(ours, &chain.proxy).await.map_err(|failure| match failure {
            Failure::Connect(_, why) | Failure::Resolve(_, why) => Failure::UpstreamProxy(why),
            other => other,
        })?;
        chain.tunnel(&mut stream, to).await?;
        Ok((stream, address))
    }

    /// Why a connection is passed through unread for this client: a word of a metric.
    pub(crate) fn bypass(&self, settings: &Settings, names: Names<'_>, client: IpAddr) -> Option<&'static str> {
        self.passed.why(settings, names, client, Instant::now())
    }

    /// A client refused our certificate; `mcp_seen` says that the host spoke MCP before. Gives whether the host is passed
    /// through from now on, and was not before: that is worth a notice.
    pub(crate) fn refused(&self, settings: &Settings, names: Names<'_>, client: IpAddr, mcp_seen: bool) -> bool {
        self.passed.refused(settings, names, client, mcp_seen, Instant::now())
    }

    /// Whether a host that was learned to be passed through is so no longer.
    pub(crate) fn ended(&self, settings: &Settings, host: &str) -> bool {
        self.passed.ended(settings, host, Instant::now())
    }

    /// A client asks for a certificate of a name that has none. For how long it must wait, at most [`Self::LEAF_WAIT`];
    /// `None` where it asked for too many of late.
    pub(crate) fn new_leaf(&self, client: IpAddr) -> Option<Duration> {
        self.leaves.spend_late(client, Instant::now(), Self::LEAF_WAIT).map(|(_, wait)| wait)
    }
}
