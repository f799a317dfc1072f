//! Pattern matching over streams: bytes in, `(pattern, first end offset)` out.
//!
//! A pattern is reported once per body, at its first end offset, wherever the body was cut on its way here. Two
//! questions never come up, so that engines of very different make can give equal answers: where a match starts, and
//! which of several matches is the preferred one.
//!
//! [`Scanner`] is the engine in pure Rust. Its tables are finished when it is built; scanning allocates nothing,
//! copies nothing and takes time proportional to the input, whatever the input. `Hyperscan`, behind the feature of
//! that name, is the engine on the library of that name. [`Matcher`] is whichever of them was chosen. Which patterns
//! are accepted never depends on the engine: [`Scanner`] judges them all.

mod anchor;
mod fuzz;
#[cfg(feature = "hyperscan")]
mod hyperscan;
mod literals;
mod matcher;
mod pattern;
mod scanner;
mod short;
mod table;

use std::sync::atomic::{AtomicU64, Ordering};

#[doc(hidden)]
pub use fuzz::fuzz_engine;
#[cfg(feature = "hyperscan")]
pub use hyperscan::{Hyperscan, HyperscanState};
pub use matcher::{Built, EngineChoice, EngineKind, Matcher, MatcherState, Unavailable};
pub use pattern::{Fault, MAX_BOUND, MAX_PATTERN_BYTES, Pattern, PatternError};
pub use scanner::{BuildError, Cost, MAX_PATTERNS, MAX_TABLES, PatternCost, Scanner, StreamState};

/// Something that finds patterns in a body that comes in pieces.
///
/// All engines give the same `(pattern, end offset)` for the same patterns and bytes, in the same order: by offset,
/// then by pattern.
pub trait Engine: Send + Sync {
    /// What is kept of a body between two pieces.
    type State: Send;

    /// The state of a body of which nothing was seen.
    fn start(&self) -> Self::State;

    /// Makes `state` as good as new, for the next body.
    fn reset(&self, state: &mut Self::State);

    /// The body is over: as [`reset`](Self::reset), and what costs to make is left with `scratch` for other bodies.
    /// A state that is only dropped leaks nothing either.
    fn retire(&self, state: &mut Self::State, scratch: &mut Scratch);

    /// Looks at the next piece. `sink` gets each pattern at most once per body, with the offset of the byte after
    /// its first end, counted from the start of the body.
    fn scan(&self, state: &mut Self::State, scratch: &mut Scratch, piece: &[u8], sink: &mut dyn FnMut(u32, u64));

    /// Looks at one short field as a whole; offsets count from its start.
    fn scan_block(&self, scratch: &mut Scratch, field: &[u8], sink: &mut dyn FnMut(u32, usize));
}

/// What one thread needs to scan: the engines' working memory and counters. One per thread, for any number of
/// bodies and rule sets.
#[derive(Debug, Default)]
pub struct Scratch {
    /// What was done with it so far.
    pub stats: ScanStats,
    /// Work lists of one look at a short field; kept for their memory.
    pub(crate) tried: Vec<usize>,
    pub(crate) told: Vec<u32>,
    /// First end and pattern, of one piece.
    found: Vec<(u64, u32)>,
    #[cfg(feature = "hyperscan")]
    hyperscan: hyperscan::Working,
}

impl Scratch {
    /// Gives what was found in one piece to `sink`, in order.
    #[inline]
    fn deliver(&mut self, sink: &mut dyn FnMut(u32, u64)) {
        if self.found.is_empty() {
            return;
        }
        self.found.sort_unstable();
        self.found.drain(..).for_each(|(end, pattern)| sink(pattern, end));
    }
}

/// Counts of an engine's work, in bytes unless said otherwise. A body byte is `seen` once and `stepped` at most once
/// per table, of which there are at most [`MAX_TABLES`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScanStats {
    /// Bytes handed in, bodies and fields.
    pub seen: u64,
    /// Bytes that went through a table one by one.
    pub stepped: u64,
    /// Anchors found, in pieces of text (not bytes).
    pub anchors: u64,
    /// Times a library could not scan a body, mostly for lack of memory (not bytes). The rest of the body was not
    /// looked at.
    pub failed: u64,
}

/// Tells the states of different engines apart: never the same twice in a process, and never shown.
fn tag() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}
