//! Signatures, signals, assessment, classification. Pure: no I/O, no threads, no clock.

pub mod engine;
pub mod hosts;
pub mod rules;

mod assess;
mod classify;
mod contact;
mod exchange;
mod generation;
mod hits;
mod inspect;
mod kept;
mod names;
mod observation;
mod scope;
mod scratch;
mod signal;
mod trace;

pub use assess::{Assessment, Confidence, Context};
pub use classify::{Action, Classification, Classified, classify, direction};
pub use contact::{Contact, ContactKind, ContactSeen, TlsSeen, is_known_host, is_nobody};
pub use exchange::Exchange;
pub use generation::Generation;
pub use hits::Hits;
pub use names::{Behind, Names, RawNamed, RawNames};
pub use observation::{
    DocumentSeen, EndpointSeen, FlowFacts, HostSeen, Inside, MessageSeen, NameSeen, Observation, Order, RequestSeen,
    ResponseSeen, SideEnd, Update, What,
};
pub use scope::{
    Cidr, HostPattern, RawNetworks, RawPortals, RawScope, RawServer, RawServerTable, RawServers, Scope, ScopeError,
    Seen, ServerEntry,
};
pub use scratch::{Limits, Scratch, Stats};
pub use signal::{Severity, Side, Signal, SignalKind, Weight};
pub use trace::{Trace, TraceSeen};

#[doc(hidden)]
pub use rules::fuzz_rules;
