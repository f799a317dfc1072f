//! Ordered bytes → messages. Pure: no I/O, no threads, no clock; knows nothing of MCP.

pub mod coding;
mod conn;
pub mod dns;
pub mod head;
mod http1;
mod part;
mod sniff;
pub mod sse;
pub mod tls;
pub mod websocket;

pub use conn::{Conn, Limits, Stats, Uninspected};
pub use head::{Field, Headers, RequestHead, ResponseHead};
pub use part::{Anomaly, EndKind, ExchangeId, Interest, Part, PartSink};

#[doc(hidden)]
pub use http1::fuzz::fuzz_http1;
