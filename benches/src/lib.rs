//! Bodies and traffic made to order, for the benches and for the race against other engines. The same arguments give
//! the same bytes on every machine.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    clippy::cast_possible_truncation,
    reason = "builders of input may fail loudly; nothing here reads from a wire"
)]

pub mod bodies;
pub mod traffic;
