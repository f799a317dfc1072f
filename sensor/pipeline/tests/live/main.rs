//! Live sources, made up: rules that change under way, workers that fail, a silent wire, sums at any time, an end.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "tests may fail loudly"
)]

mod beside;
mod faults;
mod feed;
mod reload;
mod sums;
mod time;
