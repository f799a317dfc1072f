//! Hostile input through the whole pipeline: every trick gets what its truth demands, however it is cut and with any
//! number of threads, and plain MCP behind it is still found.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "tests may fail loudly"
)]

mod cuts;
mod outcome;
mod page;
#[path = "../replay/support.rs"]
#[allow(dead_code, reason = "shared with the tests of replay, which use more of it")]
mod support;
mod truth;
