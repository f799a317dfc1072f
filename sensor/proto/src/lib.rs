//! Ordered bytes → messages. Pure: no I/O, no threads, no clock; knows nothing of MCP.

pub mod coding;
mod conn;
pub mod dhcp;
pub mod dns;
pub mod head;
mod http1;
mod http2;
mod part;
pub mod quic;
mod sniff;
pub mod sse;
pub mod tls;
pub mod websocket;

pub use conn::{AtRest, Conn, Limits, Opener, Stats, Uninspected};
pub use head::{Field, Headers, RequestHead, ResponseHead};
pub use http2::{MAX_TABLE as HTTP2_MAX_TABLE, Stats as Http2Stats};
pub use part::{Anomaly, EndKind, ExchangeId, Interest, Part, PartSink, Shown};

#[doc(hidden)]
pub use http1::fuzz::fuzz_http1;
#[doc(hidden)]
pub use http2::fuzz::{fuzz_hpack, fuzz_http2};
