//! Ordered bytes → messages. Pure: no I/O, no threads, no clock; knows nothing of MCP.

pub mod coding;
pub mod sse;
pub mod websocket;
pub mod dns;
pub mod head;
mod conn;
mod http1;
mod part;
mod sniff;

pub use conn::{Conn, Limits, Stats, Uninspected};
pub use head::{Field, Headers, RequestHead, ResponseHead};
pub use part::{Anomaly, EndKind, ExchangeId, Interest, Part, PartSink};

#[doc(hidden)]
pub use http1::fuzz::fuzz_http1;
