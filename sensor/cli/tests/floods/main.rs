//! Floods, limits and damaged captures through the whole pipeline, at sizes that cross every limit in seconds. The
//! full sizes are `cargo xtask flood` and `cargo xtask mutate`.
//!
//! Where each limit is tested at its edge, and under which name it is counted, stands in docs/hostile-input.md.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "tests may fail loudly"
)]

mod clock;
mod floods;
mod limits;
mod memory;
mod mutants;
mod run;
#[allow(dead_code, reason = "the other binary uses the rest")]
#[path = "../replay/support.rs"]
mod support;
