//! Pattern matching over streams: bytes in, `(pattern, first end offset)` out.
//!
//! A pattern is reported once per body, at its first end offset, wherever the body was cut on its way here. Two
//! questions never come up, so that engines of very different make can give equal answers: where a match starts, and
//! which of several matches is the preferred one.
//!
//! [`Scanner`] is the engine in pure Rust. Its tables are finished when it is built; scanning allocates nothing,
//! copies nothing and takes time proportional to the input, whatever the input.

mod anchor;
mod literals;
mod pattern;
mod scanner;
mod short;
mod table;

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

/// Reads the first lines as patterns and the rest as text: every cut gives the same hits, and another engine agrees
/// on which patterns hit at all.
#[doc(hidden)]
pub fn fuzz_engine(data: &[u8]) {
    let mut lines = data.splitn(5, |&byte| byte == b'\n');
    let expressions: Vec<&str> = lines.by_ref().take(4).filter_map(|line| str::from_utf8(line).ok()).collect();
    let text = lines.next().unwrap_or_default();
    let good: Vec<(&str, Pattern)> =
        expressions.into_iter().filter_map(|e| Some((e, Pattern::streamed(e, false).ok()?))).collect();
    let patterns: Vec<Pattern> = good.iter().map(|(_, pattern)| pattern.clone()).collect();
    let Ok(scanner) = Scanner::streamed(&patterns) else { return };
    let scan = |size: usize| {
        let (mut state, mut scratch) = (scanner.start(), Scratch::default());
        let mut hits = std::collections::BTreeMap::new();
        for piece in text.chunks(size.max(1)) {
            scanner.scan(&mut state, &mut scratch, piece, &mut |pattern, end| {
                assert!(hits.insert(pattern, end).is_none(), "reported twice");
            });
        }
        hits
    };
    let whole = scan(text.len());
    for size in [1, 7, 64] {
        assert_eq!(scan(size), whole, "cut every {size}");
    }
    for (id, (expression, _)) in (0_u32..).zip(&good) {
        let regex = regex_automata::meta::Regex::builder()
            .syntax(regex_automata::util::syntax::Config::new().unicode(false).utf8(false))
            .configure(regex_automata::meta::Config::new().utf8_empty(false))
            .build(expression);
        if let Ok(regex) = regex {
            assert_eq!(whole.contains_key(&id), regex.is_match(text), "{expression}");
        }
    }
}
