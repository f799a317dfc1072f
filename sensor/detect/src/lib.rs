//! Signatures, signals, assessment, classification. Pure: no I/O, no threads, no clock.

pub mod dlp;
pub mod engine;
pub mod hosts;
pub mod rewrite;
pub mod rules;

mod assess;
mod classify;
mod contact;
mod content;
mod exchange;
mod gateway;
mod generation;
mod hits;
mod inspect;
mod judge;
mod kept;
mod lookalike;
mod names;
mod oauth;
mod observation;
mod payload;
mod policy;
mod scope;
mod scratch;
mod signal;
mod signals;
mod trace;

pub use assess::{Assessment, Confidence, Context};
pub use classify::{Action, Classification, Classified, classify, direction};
pub use contact::{Contact, ContactKind, ContactSeen, TlsSeen, is_known_host, is_nobody};
pub use content::Content;
pub use exchange::Exchange;
pub use gateway::{LlmGateway, RawLlmGateway, classify_named};
pub use generation::{Generation, Outlook};
pub use hits::Hits;
pub use judge::{Judge, lone_answer};
pub use lookalike::{Imitation, Lookalikes};
pub use mcp::Standing;
pub use names::{Behind, Names, RawNamed, RawNames};
pub use oauth::{Asker, Authorization, AuthorizationMap, MAX_LINKS, OAuthSeen};
pub use observation::{
    Acted, DocumentSeen, EndpointSeen, FlowFacts, HostSeen, Inside, MessageSeen, NameSeen, Observation, Order,
    ProxyFacts, ProxyNews, RequestSeen, ResponseSeen, SideEnd, Update, What,
};
pub use payload::{Clear, LogPayload, MAX_LOGGED, Payload};
pub use policy::{
    BLANKS, Classes, Decision, Facet, Needs, Policies, Policy, PolicyError, PolicyId, RawAction, RawActions, Reach,
    Rule, Stage, Subject, Tried, fill,
};
pub use scope::{
    Cidr, HostPattern, RawNetworks, RawPortals, RawScope, RawServer, RawServerTable, RawServers, Scope, ScopeError,
    Seen, ServerEntry,
};
pub use scratch::{Limits, Scratch, Stats};
pub use signal::{Severity, Side, Signal, SignalKind, Weight};
pub use signals::{MAX_SIGNALS, RequestSigns, ResponseSigns, Signals, Surroundings};
pub use trace::{Trace, TraceSeen};

#[doc(hidden)]
pub use rules::fuzz_rules;
