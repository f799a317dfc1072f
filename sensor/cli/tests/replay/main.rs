//! Replays through the whole pipeline: bytes of a capture in, lines of JSON out. One binary, so that it links once.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "tests may fail loudly"
)]

mod canary;
mod corpus;
mod found;
mod properties;
mod seeds;
mod sequences;
mod shared_hosts;
mod support;
mod vectors;
mod workers;
