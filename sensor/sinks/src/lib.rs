//! Records to lines for programs ([`jsonl`]), to a table for people ([`table`]), and the schema of the former.
//!
//! Nothing is decided here, and nothing is masked here: records come bounded and masked. What is added is what a
//! place of output needs: a line of JSON is free of raw control characters, and so is whatever a terminal shows.

pub mod jsonl;
pub mod safe;
pub mod schema;
pub mod table;

#[cfg(test)]
mod samples;
