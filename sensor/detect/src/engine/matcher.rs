//! Which engine runs.

use std::borrow::Cow;
use std::fmt;

use super::pattern::Pattern;
use super::scanner::{BuildError, Cost, PatternCost, Scanner, StreamState};
use super::{Engine, Scratch};
#[cfg(feature = "hyperscan")]
use super::{Hyperscan, HyperscanState};

/// The engines there are, in this build or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EngineKind {
    /// [`Scanner`].
    Rust,
    /// On the Hyperscan library, or Vectorscan.
    Hyperscan,
}

/// Why an engine cannot be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// The program was built without it.
    #[error("this program was built without the feature `hyperscan`")]
    NotBuilt,
    /// The library does not know this processor.
    #[error("the library does not run on this processor")]
    Processor,
}

impl EngineKind {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Rust, Self::Hyperscan];

    /// The name in configuration and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rust => "rust",
            Self::Hyperscan => "hyperscan",
        }
    }

    /// Whether it can be had here.
    ///
    /// # Errors
    ///
    /// Why not.
    pub fn available(self) -> Result<(), Unavailable> {
        match self {
            Self::Rust => Ok(()),
            #[cfg(feature = "hyperscan")]
            Self::Hyperscan if super::hyperscan::runs_here() => Ok(()),
            #[cfg(feature = "hyperscan")]
            Self::Hyperscan => Err(Unavailable::Processor),
            #[cfg(not(feature = "hyperscan"))]
            Self::Hyperscan => Err(Unavailable::NotBuilt),
        }
    }
}

/// What the operator asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EngineChoice {
    /// What measured best for the patterns at hand. Where each has a rare anchor, the engine in Rust is as fast as the
    /// library and starts 40 ms sooner; one that is slow in Rust is not in the library. For short fields both are as
    /// fast.
    #[default]
    Auto,
    /// This one.
    Only(EngineKind),
}

/// Slow enough in Rust to prefer the library. Long lists of literals are slow too, but steady: the library is slower
/// still where a body is full of what several of them end with.
fn is_slow(cost: &PatternCost) -> bool {
    matches!(cost.cost, Cost::CommonAnchor | Cost::EveryByte)
}

impl fmt::Display for EngineKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A compiled set of patterns in the engine that was asked for. Shared by all threads; never changes.
#[derive(Debug)]
pub enum Matcher {
    /// The engine in Rust.
    Rust(Scanner),
    /// The engine on the library.
    #[cfg(feature = "hyperscan")]
    Hyperscan(Hyperscan),
}

/// What is kept of a body between two pieces: under 100 bytes, and what the library keeps.
#[derive(Debug)]
pub enum MatcherState {
    /// Of the engine in Rust.
    Rust(StreamState),
    /// Of the engine on the library.
    #[cfg(feature = "hyperscan")]
    Hyperscan(HyperscanState),
}

/// An engine, and what building it showed.
#[derive(Debug)]
pub struct Built {
    /// The engine.
    pub matcher: Matcher,
    /// How the engine in Rust treats each pattern, in the order given: what reports tell, whichever engine runs.
    pub costs: Vec<PatternCost>,
    /// Why this engine runs, in a few words for people.
    pub why: Cow<'static, str>,
}

impl Matcher {
    /// For bodies that come in pieces, and blocks. Where the library refuses patterns that are right by our rules,
    /// the engine in Rust takes its place.
    ///
    /// # Errors
    ///
    /// [`BuildError`], the same for every choice; it names the patterns at fault where single ones are.
    pub fn streamed(patterns: &[Pattern], choice: EngineChoice) -> Result<Built, BuildError> {
        let scanner = Scanner::streamed(patterns)?;
        let slow = scanner.costs().iter().filter(|cost| is_slow(cost)).count();
        let (kind, why) = match (choice, slow) {
            _ if patterns.is_empty() => (EngineKind::Rust, Cow::Borrowed("there is no body pattern")),
            (EngineChoice::Only(kind), _) => (kind, Cow::Borrowed("asked for")),
            (EngineChoice::Auto, 0) => (EngineKind::Rust, Cow::Borrowed("no body pattern is slow in rust")),
            (EngineChoice::Auto, slow) => {
                let why = format!("{slow} of {} body patterns are slow in rust", patterns.len());
                (EngineKind::Hyperscan, Cow::Owned(why))
            }
        };
        Ok(Built::new(scanner, kind, why, patterns, Mode::Bodies))
    }

    /// For short fields only: patterns may look around and have no bound. Otherwise as [`streamed`](Self::streamed).
    ///
    /// # Errors
    ///
    /// [`BuildError`], the same for every choice; it names the patterns at fault where single ones are.
    pub fn short(patterns: &[Pattern], choice: EngineChoice) -> Result<Built, BuildError> {
        let scanner = Scanner::short(patterns)?;
        let (kind, why) = match choice {
            EngineChoice::Only(kind) => (kind, "asked for"),
            EngineChoice::Auto => (EngineKind::Rust, "as fast on short fields"),
        };
        Ok(Built::new(scanner, kind, Cow::Borrowed(why), patterns, Mode::ShortFields))
    }

    /// Which engine runs.
    pub const fn kind(&self) -> EngineKind {
        match self {
            Self::Rust(_) => EngineKind::Rust,
            #[cfg(feature = "hyperscan")]
            Self::Hyperscan(_) => EngineKind::Hyperscan,
        }
    }

    /// Memory of the tables, in bytes.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Rust(engine) => engine.bytes(),
            #[cfg(feature = "hyperscan")]
            Self::Hyperscan(engine) => engine.bytes(),
        }
    }
}

impl Built {
    fn new(scanner: Scanner, kind: EngineKind, why: Cow<'static, str>, patterns: &[Pattern], mode: Mode) -> Self {
        let costs = scanner.costs().to_vec();
        if kind == EngineKind::Rust {
            return Self { matcher: Matcher::Rust(scanner), costs, why };
        }
        match hyperscan(patterns, mode) {
            Ok(matcher) => Self { matcher, costs, why },
            Err(refused) => {
                let why = Cow::Owned(format!("{why}, but not hyperscan: {refused}"));
                Self { matcher: Matcher::Rust(scanner), costs, why }
            }
        }
    }
}

/// What an engine is for.
#[derive(Clone, Copy, Debug)]
enum Mode {
    Bodies,
    ShortFields,
}

#[cfg(feature = "hyperscan")]
fn hyperscan(patterns: &[Pattern], mode: Mode) -> Result<Matcher, String> {
    EngineKind::Hyperscan.available().map_err(|why| why.to_string())?;
    let built = match mode {
        Mode::Bodies => Hyperscan::streamed(patterns),
        Mode::ShortFields => Hyperscan::short(patterns),
    };
    built.map(Matcher::Hyperscan).map_err(|why| why.to_string())
}

#[cfg(not(feature = "hyperscan"))]
fn hyperscan(_: &[Pattern], _: Mode) -> Result<Matcher, String> {
    Err(Unavailable::NotBuilt.to_string())
}

impl Engine for Matcher {
    type State = MatcherState;

    fn start(&self) -> MatcherState {
        match self {
            Self::Rust(engine) => MatcherState::Rust(engine.start()),
            #[cfg(feature = "hyperscan")]
            Self::Hyperscan(engine) => MatcherState::Hyperscan(engine.start()),
        }
    }

    fn reset(&self, state: &mut MatcherState) {
        match (self, state) {
            (Self::Rust(engine), MatcherState::Rust(state)) => engine.reset(state),
            #[cfg(feature = "hyperscan")]
            (Self::Hyperscan(engine), MatcherState::Hyperscan(state)) => engine.reset(state),
            #[cfg(feature = "hyperscan")]
            (_, state) => *state = self.start(),
        }
    }

    fn retire(&self, state: &mut MatcherState, scratch: &mut Scratch) {
        match (self, state) {
            (Self::Rust(engine), MatcherState::Rust(state)) => engine.retire(state, scratch),
            #[cfg(feature = "hyperscan")]
            (Self::Hyperscan(engine), MatcherState::Hyperscan(state)) => engine.retire(state, scratch),
            #[cfg(feature = "hyperscan")]
            (_, state) => *state = self.start(),
        }
    }

    fn scan(&self, state: &mut MatcherState, scratch: &mut Scratch, piece: &[u8], sink: &mut dyn FnMut(u32, u64)) {
        match (self, state) {
            (Self::Rust(engine), MatcherState::Rust(state)) => engine.scan(state, scratch, piece, sink),
            #[cfg(feature = "hyperscan")]
            (Self::Hyperscan(engine), MatcherState::Hyperscan(state)) => engine.scan(state, scratch, piece, sink),
            #[cfg(feature = "hyperscan")]
            (_, state) => {
                *state = self.start();
                self.scan(state, scratch, piece, sink);
            }
        }
    }

    fn scan_block(&self, scratch: &mut Scratch, field: &[u8], sink: &mut dyn FnMut(u32, usize)) {
        match self {
            Self::Rust(engine) => engine.scan_block(scratch, field, sink),
            #[cfg(feature = "hyperscan")]
            Self::Hyperscan(engine) => engine.scan_block(scratch, field, sink),
        }
    }
}
