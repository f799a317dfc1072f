//! The engine on the Hyperscan library (or Vectorscan, its double for other processors).
//!
//! Streaming mode for bodies, block mode for short fields. Every match is reported to us, at every end, and we keep
//! the first: asking the library to report once would cost more state per body than it saves. Nor do we ask where
//! matches begin. Our own wrapper stands around the crate for three reasons: its streams leak when dropped, a piece
//! may be longer than the 32 bits it passes on, and a sink must not run inside a callback from C, which no panic may
//! leave.
//!
//! What the library refuses is left to the engine in Rust by the caller; see [`Matcher`](super::Matcher).

mod print;
mod stream;

use hyperscan::{BlockDatabase, Builder as _, Matching, Patterns, Platform, StreamingDatabase};

use super::pattern::{Kind, Pattern};
use super::scanner::{BuildError, Hits, MAX_PATTERNS, WORDS, count, first_time};
use super::{Engine, Scratch, tag};
use stream::Stream;
pub(super) use stream::Working;

/// Longest piece handed over at once, in bytes.
const MAX_PIECE: usize = 1 << 30;
/// Most literals of all lists together. The library compares all that end alike wherever that end stands: a body
/// full of it, with two thousand host names of one domain, goes at 20 MB/s. The automaton in Rust does not mind.
const MAX_LITERALS: usize = 128;

/// A compiled set of patterns. Shared by all threads; never changes.
#[derive(Debug)]
pub struct Hyperscan {
    database: Database,
    /// The library's number to ours. Literals of one list have a number each: under one number the library would have
    /// to tell double matches apart, which takes it 50 times as long.
    ids: Box<[u32]>,
    /// One bit for each pattern.
    all: Hits,
    tag: u64,
}

enum Database {
    Streams(StreamingDatabase),
    Blocks(BlockDatabase),
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if matches!(self, Self::Streams(_)) { "Streams" } else { "Blocks" })
    }
}

/// What is kept of one body between two pieces. The library's own part of it, some hundred bytes, is made with the
/// first byte of the body.
#[derive(Debug)]
pub struct HyperscanState {
    tag: u64,
    offset: u64,
    hits: Hits,
    stream: Option<Stream>,
}

impl Hyperscan {
    /// For bodies that come in pieces, and blocks.
    ///
    /// # Errors
    ///
    /// [`BuildError::Engine`] where the library cannot take the patterns, with its reason.
    pub fn streamed(patterns: &[Pattern]) -> Result<Self, BuildError> {
        let (expressions, ids) = expressions(patterns)?;
        Self::new(expressions.build().map(Database::Streams), ids, patterns.len())
    }

    /// For short fields only: patterns may look around and have no bound.
    ///
    /// # Errors
    ///
    /// [`BuildError::Engine`] where the library cannot take the patterns, with its reason.
    pub fn short(patterns: &[Pattern]) -> Result<Self, BuildError> {
        let (expressions, ids) = expressions(patterns)?;
        Self::new(expressions.build().map(Database::Blocks), ids, patterns.len())
    }

    fn new(database: Result<Database, hyperscan::Error>, ids: Vec<u32>, patterns: usize) -> Result<Self, BuildError> {
        let database = database.map_err(refused)?;
        if patterns > MAX_PATTERNS {
            return Err(BuildError::TooMany(patterns));
        }
        let mut all = [0; WORDS];
        for (id, _) in (0..).zip(0..patterns) {
            first_time(&mut all, id);
        }
        let prepared = match &database {
            Database::Streams(database) => stream::prepare(database),
            Database::Blocks(database) => stream::prepare(database),
        };
        prepared.ok_or_else(|| BuildError::Engine("no memory".to_owned()))?;
        Ok(Self { database, ids: ids.into(), all, tag: tag() })
    }

    /// Memory of the database, in bytes.
    pub fn bytes(&self) -> usize {
        match &self.database {
            Database::Streams(database) => database.size(),
            Database::Blocks(database) => database.size(),
        }
        .unwrap_or(0)
    }

    /// What the library keeps of one body between two pieces, in bytes.
    pub fn stream_bytes(&self) -> usize {
        match &self.database {
            Database::Streams(database) => database.stream_size().unwrap_or(0),
            Database::Blocks(_) => 0,
        }
    }
}

/// Whether the library runs on this processor.
pub(super) fn runs_here() -> bool {
    Platform::is_valid().is_ok()
}

fn refused(error: hyperscan::Error) -> BuildError {
    BuildError::Engine(match error {
        hyperscan::Error::Hyperscan(hyperscan::HsError::CompileError(error)) => error.message().to_owned(),
        other => other.to_string(),
    })
}

/// Every expression and literal, and which pattern each is of.
fn expressions(patterns: &[Pattern]) -> Result<(Patterns, Vec<u32>), BuildError> {
    let (mut all, mut ids) = (Vec::with_capacity(patterns.len()), Vec::with_capacity(patterns.len()));
    let mut add = |id: u32, expression: String| {
        all.push(hyperscan::Pattern::new(expression).map_err(refused)?);
        ids.push(id);
        Ok(())
    };
    let mut literals = 0;
    for (id, pattern) in (0_u32..).zip(patterns) {
        match &pattern.kind {
            Kind::Expression(hir) => {
                let unsaid = || BuildError::Engine("an assertion it has no words for".to_owned());
                add(id, print::expression(hir).ok_or_else(unsaid)?)?;
            }
            Kind::Literals { literals: list, nocase } => {
                literals += list.len();
                if literals > MAX_LITERALS {
                    return Err(BuildError::Engine(format!("over {MAX_LITERALS} literals")));
                }
                list.iter().try_for_each(|one| add(id, print::literal(one, *nocase)))?;
            }
        }
    }
    Ok((Patterns(all), ids))
}

/// Collects the first end of each pattern while the library runs. Allocates nothing and cannot fail.
struct Collect<'a> {
    /// Hit before this piece.
    before: Hits,
    /// Hit in this piece.
    now: Hits,
    /// Pattern to first end, for those in `now`.
    ends: &'a mut [u64; MAX_PATTERNS],
    ids: &'a [u32],
}

impl Collect<'_> {
    /// The library promises no order of ends.
    #[inline]
    fn hit(&mut self, number: u32, end: u64) {
        let pattern = usize::try_from(number).ok().and_then(|number| self.ids.get(number));
        let Some(at) = pattern.and_then(|&pattern| usize::try_from(pattern).ok()) else { return };
        let (Some(before), Some(now), Some(first)) =
            (self.before.get(at / 64), self.now.get_mut(at / 64), self.ends.get_mut(at))
        else {
            return;
        };
        let bit = 1_u64 << (at % 64);
        if *now & bit != 0 {
            *first = end.min(*first);
        } else if *before & bit == 0 {
            *now |= bit;
            *first = end;
        }
    }

    /// Adds what was hit to `found`.
    fn tell(&self, found: &mut Vec<(u64, u32)>) {
        for (word, mut bits) in (0_u32..).zip(self.now) {
            while bits != 0 {
                let pattern = word * 64 + bits.trailing_zeros();
                bits &= bits - 1;
                let end = usize::try_from(pattern).ok().and_then(|at| self.ends.get(at));
                found.extend(end.map(|&end| (end, pattern)));
            }
        }
    }
}

impl Hyperscan {
    /// Scans a piece; the hits are in `scratch.found` then. `None` where the library fails.
    fn look(&self, state: &mut HyperscanState, scratch: &mut Scratch, piece: &[u8]) -> Option<()> {
        let Scratch { found, hyperscan: working, .. } = scratch;
        let mut collect = Collect { before: state.hits, now: [0; WORDS], ends: &mut working.ends, ids: &self.ids };
        let mut handler = |pattern, _, end, _| {
            collect.hit(pattern, end);
            Matching::Continue
        };
        match &self.database {
            Database::Streams(database) => {
                let memory = working.memory.of(self.tag, database)?;
                let stream = Stream::ready(&mut state.stream, self.tag, database, memory, &mut working.idle)?;
                for part in piece.chunks(MAX_PIECE) {
                    stream.library()?.scan(part, memory, &mut handler).ok()?;
                }
            }
            Database::Blocks(database) => {
                let memory = working.memory.of(self.tag, database)?;
                database.scan(piece.get(..MAX_PIECE).unwrap_or(piece), memory, &mut handler).ok()?;
            }
        }
        collect.tell(found);
        for (all, now) in state.hits.iter_mut().zip(collect.now) {
            *all |= now;
        }
        Some(())
    }

    fn fresh(&self) -> HyperscanState {
        HyperscanState { tag: self.tag, offset: 0, hits: [0; WORDS], stream: None }
    }
}

impl Engine for Hyperscan {
    type State = HyperscanState;

    fn start(&self) -> HyperscanState {
        self.fresh()
    }

    fn reset(&self, state: &mut HyperscanState) {
        let stream = state.stream.take().filter(|stream| stream.is_of(self.tag));
        *state = HyperscanState { stream: stream.map(Stream::over), ..self.fresh() };
    }

    fn retire(&self, state: &mut HyperscanState, scratch: &mut Scratch) {
        if let Some(stream) = std::mem::replace(state, self.fresh()).stream {
            stream.keep(&mut scratch.hyperscan.idle);
        }
    }

    fn scan(&self, state: &mut HyperscanState, scratch: &mut Scratch, piece: &[u8], sink: &mut dyn FnMut(u32, u64)) {
        if state.tag != self.tag {
            self.reset(state);
        }
        count(&mut scratch.stats.seen, piece.len());
        let base = state.offset;
        count(&mut state.offset, piece.len());
        if piece.is_empty() || state.hits == self.all {
            return;
        }
        // The library counts from the start of the body, in a block from the start of that.
        let base = if matches!(self.database, Database::Blocks(_)) { base } else { 0 };
        scratch.found.clear();
        if self.look(state, scratch, piece).is_none() {
            // Its place in the body is lost, so the rest of it says nothing.
            count(&mut scratch.stats.failed, 1);
            (state.hits, state.stream) = (self.all, None);
        }
        scratch.deliver(&mut |pattern, end| sink(pattern, base.saturating_add(end)));
    }

    fn scan_block(&self, scratch: &mut Scratch, field: &[u8], sink: &mut dyn FnMut(u32, usize)) {
        let mut state = self.fresh();
        self.scan(&mut state, scratch, field, &mut |pattern, end| {
            sink(pattern, usize::try_from(end).unwrap_or(usize::MAX));
        });
        self.retire(&mut state, scratch);
    }
}
