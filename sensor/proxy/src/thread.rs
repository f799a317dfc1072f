//! What connections share: with all threads ([`Shared`]), and with those of their thread ([`Thread`]).

use crate::ca::CertificateAuthority;
use crate::counters::Counters;
use crate::gate::Gate;
use crate::inspect::Conversations;
use crate::options::{Options, Reporter, Settings};
use arc_swap::ArcSwap;
use detect::Scratch;
use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

/// What all threads share.
pub(crate) struct Shared {
    /// What holds for the life of the process.
    pub(crate) options: Options,
    /// What a reload may change. A request keeps what it began with.
    pub(crate) settings: ArcSwap<Settings>,
    /// Who may use it, where it may go, what is passed through.
    pub(crate) gate: Gate,
    /// Makes leaf certificates; `None` where nothing is intercepted.
    pub(crate) ca: Option<CertificateAuthority>,
    /// Configuration of TLS towards origins, with no ALPN.
    pub(crate) upstream: Arc<rustls::ClientConfig>,
    /// What crosses connections and must be known at once.
    pub(crate) conversations: Conversations,
    /// What is counted.
    pub(crate) counters: Arc<Counters>,
    /// The way to the serial stage.
    pub(crate) reporter: Arc<dyn Reporter>,
    /// Bytes held for a verdict, in all.
    pub(crate) held: AtomicU64,
    /// Number of the next connection.
    pub(crate) next: AtomicU64,
}

/// What the connections of one thread share. They never leave it, so nothing of it is locked.
pub(crate) struct Thread {
    /// What all threads share.
    pub(crate) shared: Arc<Shared>,
    /// Lent to every call of the inspector, never across an await.
    pub(crate) scratch: RefCell<Scratch>,
}
