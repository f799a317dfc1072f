//! Listeners, threads, and what happens on a connection before there are requests for an origin.

use crate::counters::Counters;
use crate::failure::Failure;
use crate::options::{Options, Reporter, Settings};
use crate::relay::Connected;
use std::sync::Arc;
use std::time::Duration;

/// Why the proxy cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// A listener.
    #[error("cannot listen on {0}: {1}")]
    Listen(std::net::SocketAddr, String),
}

/// Listeners that are bound, and files that were read; nothing runs yet, so that rights can be given up.
pub struct Proxy {}

impl Proxy {
    /// Binds listeners and reads files.
    ///
    /// # Errors
    ///
    /// [`StartError`].
    pub fn bind(_options: Options, _settings: Settings) -> Result<Self, StartError> {
        Ok(Self {})
    }

    /// Starts the threads.
    ///
    /// # Errors
    ///
    /// Where the system has no more threads.
    pub fn start(self, _reporter: Arc<dyn Reporter>) -> std::io::Result<Running> {
        Ok(Running {})
    }
}

/// A proxy at work.
pub struct Running {}

impl Running {
    /// Puts other settings in force, for requests that begin from now on.
    ///
    /// # Errors
    ///
    /// What is wrong with a file of credentials; the old settings stay in force.
    pub fn reload(&self, _settings: Settings) -> Result<(), String> {
        Ok(())
    }

    /// What is counted.
    pub fn counters(&self) -> Arc<Counters> {
        Arc::default()
    }

    /// Takes no more connections, lets those at work end, for `patience` at most, and then closes them.
    pub fn stop(self, _patience: Duration) {}
}

/// Bytes of a client, TLS off. An enum of the kinds there are takes its place.
pub(crate) type DownIo = tokio::io::DuplexStream;
/// Bytes of an origin, TLS off.
pub(crate) type UpIo = tokio::io::DuplexStream;

/// How the origin of a connection is reached.
pub(crate) struct Route {}

impl Route {
    /// Connects, with TLS and the same protocol as before.
    pub(crate) async fn connect(&self) -> Result<Connected, Failure> {
        std::future::pending().await
    }
}
