//! Pattern matching over streams: bytes in, `(pattern, first end offset)` out.
//!
//! A pattern is reported once per body, at its first end offset, wherever the body was cut on its way here. Two
//! questions never come up, so that engines of very different make can give equal answers: where a match starts, and
//! which of several matches is the preferred one.
//!
//! [`Scanner`] is the engine in pure Rust. Its tables are finished when it is built; scanning allocates nothing,
//! copies nothing and takes time proportional to the input, whatever the input.

mod anchor;
mod dense;
mod literals;
mod pattern;
mod scanner;

pub use pattern::{Fault, MAX_BOUND, MAX_PATTERN_BYTES, Pattern, PatternError};
pub use scanner::{BuildError, Cost, MAX_PATTERNS, MAX_TABLES, PatternCost, Scanner, StreamState};

/// Something that finds patterns in a body that comes in pieces.
///
/// All engines give the same set of `(pattern, end offset)` for the same patterns and bytes; the order of the calls
/// to the sink within one piece is each engine's own.
pub trait Engine: Send + Sync {
    /// What is kept of a body between two pieces. Cheap to reset, so that callers pool it.
    type State: Send;

    /// The state of a body of which nothing was seen.
    fn start(&self) -> Self::State;

    /// Makes `state` as good as new, for the next body.
    fn reset(&self, state: &mut Self::State);

    /// Looks at the next piece. `sink` gets each pattern at most once per body, with the offset of the byte after
    /// its first end, counted from the start of the body.
    fn scan(&self, state: &mut Self::State, scratch: &mut Scratch, piece: &[u8], sink: &mut dyn FnMut(u32, u64));

    /// Looks at one short field as a whole; offsets count from its start.
    fn scan_block(&self, scratch: &mut Scratch, field: &[u8], sink: &mut dyn FnMut(u32, usize));
}

/// What one thread needs to scan: an engine's working memory and its counters. One per thread, for any number of
/// bodies and rule sets.
#[derive(Debug, Default)]
pub struct Scratch {
    /// What was done with it so far.
    pub stats: ScanStats,
    /// Work lists of one look at a short field; kept for their memory.
    pub(crate) tried: Vec<usize>,
    pub(crate) told: Vec<u32>,
}

/// Counts of an engine's work, in bytes unless said otherwise. A body byte is `seen` once and `stepped` once per
/// table that could not skip it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScanStats {
    /// Bytes handed in, bodies and fields.
    pub seen: u64,
    /// Bytes that went through a table one by one.
    pub stepped: u64,
    /// Anchors found, in pieces of text (not bytes).
    pub anchors: u64,
}
