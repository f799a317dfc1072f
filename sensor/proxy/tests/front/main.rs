//! The front of the proxy, with real clients and origins on loopback.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod doors;
mod limits;
mod protocols;
mod support;
mod trust;
