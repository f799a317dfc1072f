//! Who may use the proxy, where it may go, and what it passes through unread.

use crate::failure::Failure;
use crate::options::{Options, Settings};
use http::HeaderValue;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use tokio::net::TcpStream;

/// Host and port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Authority {
    /// Host name in lower case without final dot, or address without brackets.
    pub(crate) host: String,
    /// Port.
    pub(crate) port: u16,
}

impl Authority {
    /// Reads `host:port`; `port` is used where there is none. `None` for what is no authority (RFC 9110 section 4.2).
    pub(crate) fn parse(_text: &str, _port: Option<u16>) -> Option<Self> {
        None
    }
}

/// Who asks, by `Proxy-Authorization`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Login {
    /// No credentials are asked for.
    NotNeeded,
    /// This user.
    User(Arc<str>),
    /// None, or wrong ones: 407.
    Refused,
    /// Too many wrong ones of late: 429, without a look at them.
    TooMany,
}

/// The gate of all threads.
pub(crate) struct Gate {}

impl Gate {
    /// Reads the files it needs.
    pub(crate) fn open(_options: &Options, _settings: &Settings) -> Result<Self, String> {
        Ok(Self {})
    }

    /// Puts files and lists in force that a reload brought.
    pub(crate) fn reload(&self, _settings: &Settings) -> Result<(), String> {
        Ok(())
    }

    /// Whether a client at this address may connect at all.
    pub(crate) fn admits(&self, _settings: &Settings, _client: IpAddr) -> bool {
        true
    }

    /// Who asks. May take the time of a password hash, on a thread for such.
    pub(crate) async fn login(&self, _client: IpAddr, _credentials: Option<&HeaderValue>) -> Login {
        Login::NotNeeded
    }

    /// Connects to an origin, through the upstream proxy where there is one for it. `tunnel` says that CONNECT asked for
    /// it, so that the port is judged too.
    pub(crate) async fn dial(
        &self,
        _settings: &Settings,
        to: &Authority,
        _tunnel: bool,
    ) -> Result<(TcpStream, SocketAddr), Failure> {
        Err(Failure::Connect(to.host.clone(), String::new()))
    }

    /// Why a host is passed through unread for this client: a word of a metric.
    pub(crate) fn bypass(&self, _settings: &Settings, _host: &str, _client: IpAddr) -> Option<&'static str> {
        None
    }

    /// A client refused our certificate for `host`. Gives whether the host is passed through from now on.
    pub(crate) fn refused(&self, _settings: &Settings, _host: &str, _client: IpAddr) -> bool {
        false
    }
}
