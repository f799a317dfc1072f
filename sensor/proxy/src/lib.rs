//! Explicit forward proxy with TLS interception: clients in, the same inspector as everywhere, upstream out.

mod answer;
mod ca;
mod conn;
mod counters;
mod failure;
mod front;
mod gate;
mod inspect;
mod options;
mod relay;
mod thread;
mod websocket;

pub use ca::{CaError, CertificateAuthority};
pub use counters::{Counters, Totals};
pub use front::{Proxy, Running, StartError};
pub use options::{
    Access, Bypass, CaFiles, Destinations, Fault, Hold, Limits, Listener, Options, Over, Reporter, Settings, Upstream,
};
