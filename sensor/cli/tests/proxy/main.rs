//! The proxy as a program: curl talks through it to a TLS origin of the test, and events are read.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "tests may fail loudly, and say why they are skipped"
)]

mod actions;
mod browser;
mod canary;
mod faithful;
mod faults;
#[path = "../shared/installed.rs"]
mod installed;
mod life;
mod origin;
mod payload;
mod peers;
mod support;
mod traffic;
mod wire;
