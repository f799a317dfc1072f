//! Explicit forward proxy with TLS interception: clients in, the same inspector as everywhere, upstream out.

mod answer;
mod ca;
mod clock;
mod conn;
mod counters;
mod failure;
mod front;
mod gate;
mod inspect;
mod lookout;
mod options;
mod relay;
mod thread;
mod websocket;

pub use ca::{CaCertificate, CaError, CertificateAuthority, NewCa};
pub use counters::{Counters, LATENCY_BOUNDS_US, Latency, Totals};
pub use front::{Proxy, Running, StartError};
pub use options::{
    Access, Bypass, CaFiles, Destinations, Fault, Hold, Limits, Listener, Options, Over, Reporter, Settings, Upstream,
    UpstreamProxy,
};
