//! Replays through the whole pipeline: bytes of a capture in, lines of JSON out. One binary, so that it links once.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "tests may fail loudly"
)]

mod answers;
mod canary;
mod carriers;
mod catalogues;
mod corpus;
mod encrypted;
mod found;
mod imitations;
mod oauth;
mod policies;
mod properties;
mod secrets;
mod seeds;
mod sequences;
mod shared_hosts;
mod support;
mod traces;
mod vectors;
mod who;
mod workers;
