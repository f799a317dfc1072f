//! What connections share: with all threads ([`Shared`]), and with those of their thread ([`Thread`]).

use crate::ca::CertificateAuthority;
use crate::counters::Counters;
use crate::front::{Drain, Learned, Origins, Pool, StartError};
use crate::gate::Gate;
use crate::inspect::{Conversations, Outbox};
use crate::options::{Options, Reporter, Settings};
use arc_swap::ArcSwap;
use detect::Scratch;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

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
    /// Configuration of TLS towards origins, with no ALPN and no memory of sessions.
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

/// What is read from files before rights are given up.
pub(crate) struct Files {
    gate: Gate,
    ca: Option<CertificateAuthority>,
    upstream: rustls::ClientConfig,
    counters: Arc<Counters>,
}

impl Files {
    /// Reads them all.
    ///
    /// # Errors
    ///
    /// [`StartError`], which names the file.
    pub(crate) fn read(options: &Options, settings: &Settings) -> Result<Self, StartError> {
        let counters = Arc::default();
        Ok(Self {
            gate: Gate::open(options, settings, &counters).map_err(StartError::Gate)?,
            ca: options
                .ca
                .as_ref()
                .map(|files| CertificateAuthority::load(files, options.limits.leaves))
                .transpose()
                .map_err(StartError::Ca)?,
            upstream: crate::front::trust(&options.upstream)?,
            counters,
        })
    }
}

impl Shared {
    /// What threads share, before there are any.
    pub(crate) fn new(files: Files, options: Options, settings: Settings, reporter: Arc<dyn Reporter>) -> Arc<Self> {
        Arc::new(Self {
            options,
            settings: ArcSwap::from_pointee(settings),
            gate: files.gate,
            ca: files.ca,
            upstream: Arc::new(files.upstream),
            conversations: Conversations::default(),
            counters: files.counters,
            reporter,
            held: AtomicU64::new(0),
            next: AtomicU64::new(1),
        })
    }

    /// A number for a connection: unique in the process, with the highest bit set.
    pub(crate) fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed) | 1 << 63
    }
}

/// What the connections of one thread share. They never leave it, so nothing of it is locked.
pub(crate) struct Thread {
    /// What all threads share.
    pub(crate) shared: Arc<Shared>,
    /// Lent to every call of the inspector, never across an await.
    pub(crate) scratch: RefCell<Scratch>,
    /// Whether connections are to end.
    pub(crate) drain: Drain,
    /// TLS sessions with origins, to be resumed.
    pub(crate) origins: RefCell<Origins>,
    /// Buffers of tunnels.
    pub(crate) pool: Pool,
    /// Observations that wait for room.
    pub(crate) outbox: Outbox,
    /// Hosts that are passed through because of connections of this thread.
    pub(crate) learned: Learned,
}

impl Thread {
    /// A thread on which there is no connection yet.
    pub(crate) fn new(shared: Arc<Shared>) -> Rc<Self> {
        Rc::new(Self {
            shared,
            scratch: RefCell::new(Scratch::new(detect::Limits::default())),
            drain: Drain::default(),
            origins: RefCell::default(),
            pool: Pool::default(),
            outbox: Outbox::default(),
            learned: Learned::default(),
        })
    }
}
