//! Test support: scripted conversations to capture files, and readers for the project's vector files.
//!
//! Nothing here runs on traffic. It builds bytes that the tests of the other crates read back: frames with right
//! (or deliberately wrong) checksums, TCP conversations cut, reordered, repeated or thinned out, HTTP messages with
//! their lengths and codings filled in. The same calls give the same bytes on every machine.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::missing_panics_doc,
    clippy::precedence,
    clippy::struct_excessive_bools,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap,
    clippy::format_collect,
    clippy::bool_to_int_with_if,
    clippy::semicolon_if_nothing_returned,
    clippy::range_minus_one,
    clippy::range_plus_one,
    reason = "builders of test input may fail loudly; nothing here reads from a wire"
)]

pub mod capture;
pub mod carrier;
pub mod dhcp;
pub mod flood;
mod frame;
pub mod hostile;
pub mod http;
pub mod http2;
pub mod mutate;
pub mod quic;
mod rng;
pub mod sequence;
pub mod tls;
pub mod vector;
pub mod watch;
pub mod websocket;

pub use capture::{Capture, FlowId, Link, Odd, Turn, Wire};
pub use net::Direction;
pub use rng::Rng;
