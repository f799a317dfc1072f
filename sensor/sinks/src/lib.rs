//! Records to lines for programs ([`jsonl`]), to a table ([`table`]) or a timeline ([`timeline`]) for people, and the
//! schema of the former.
//!
//! Nothing is decided here, and nothing is masked here: records come bounded and masked; what of them is to be encrypted
//! is encrypted here ([`payload`]). What is added is what a
//! place of output needs: a line of JSON is free of raw control characters, and so is whatever a terminal shows.

pub mod jsonl;
pub mod metrics;
pub mod outlet;
pub mod payload;
pub mod safe;
pub mod schema;
pub mod table;
pub mod timeline;

#[cfg(test)]
mod samples;
