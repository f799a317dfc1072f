//! The engine in pure Rust.
//!
//! Patterns are put into groups, each with one number of carried state:
//!
//! - **anchored**: a table ([`Table`]) that walks only near anchors, which a vectorised searcher finds;
//! - **walked**: a table that walks every byte, for patterns without a usable anchor;
//! - **literals**: an automaton for long lists of literals.
//!
//! What makes skipping exact: a table in its *idle* state has nothing half matched, so a match that is still to come
//! begins later and contains an anchor that begins later. After an anchor, the table therefore starts `lead` bytes
//! before it (the furthest a match can begin) and walks until it is idle again or no match with this anchor can last.
//! At the end of a piece the last `lead` bytes are walked for the sake of the next one. A lazy DFA would take more
//! patterns, but its state belongs to one cache and cannot be carried, and hostile bodies can make it build a state
//! for every byte; patterns that would need it are refused when rules are loaded.

use aho_corasick::{AhoCorasick, Input, packed};
use regex_syntax::hir::Hir;

use super::anchor::{self, Anchors};
use super::literals::LiteralTable;
use super::pattern::{Fault, Kind, Pattern};
use super::short::ShortTable;
use super::table::{self, Refused, Table};
use super::{Engine, ScanStats, Scratch, tag};

/// Most patterns of one scanner.
pub const MAX_PATTERNS: usize = 256;
/// Most tables of one scanner; each carries 4 bytes per body and adds its own pass.
pub const MAX_TABLES: usize = 8;
pub(super) const WORDS: usize = MAX_PATTERNS / 64;
/// Patterns with longer matches than this, in bytes, get tables of their own. Each place inside a long repeat is a
/// state, times every state of the other patterns that can go on inside it.
const WIDE: usize = 160;
/// Fewer bytes than this skipped between two walks, and anchors count as dense.
const DENSE: usize = 64;
/// Bytes walked at once where anchors are dense; doubled from one to the other while they stay so.
const MIN_STRETCH: usize = 128;
const MAX_STRETCH: usize = 2048;

/// What a pattern costs per byte scanned. Rates are orders of magnitude on one core.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cost {
    /// Skipped to by a rare anchor: gigabytes a second.
    RareAnchor,
    /// Skipped to by an anchor that bodies are full of: under a gigabyte a second, and slows the other anchored
    /// patterns too.
    CommonAnchor,
    /// Every byte walked: half a gigabyte a second, once for all such patterns.
    EveryByte,
    /// A long list of literals, every byte walked: a quarter of a gigabyte a second, once for all such lists.
    LiteralList,
    /// A short field, seen as a whole.
    ShortField,
}

impl Cost {
    /// The name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::RareAnchor => "rare anchor",
            Self::CommonAnchor => "common anchor",
            Self::EveryByte => "every byte",
            Self::LiteralList => "literal list",
            Self::ShortField => "short field",
        }
    }
}

/// How a scanner treats one pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatternCost {
    /// The class.
    pub cost: Cost,
    /// The anchors chosen, if any.
    pub anchors: Vec<Vec<u8>>,
    /// Longest match in bytes; `None` where there is no bound (short fields only).
    pub bound: Option<usize>,
}

/// Why a scanner cannot be built.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// These patterns are bad each by itself, by number in the list given.
    #[error("{} patterns refused", .0.len())]
    Patterns(Vec<(u32, Fault)>),
    /// Too many patterns.
    #[error("{0} different patterns, over the limit of {MAX_PATTERNS}")]
    TooMany(usize),
    /// The patterns need too many tables.
    #[error("the patterns need more than {MAX_TABLES} tables")]
    TooManyTables,
    /// The literals do not fit one automaton.
    #[error("the literals are too many or too long")]
    Literals,
    /// The library of an engine refuses the patterns, all of which are right by our rules.
    #[error("the engine cannot take the patterns: {0}")]
    Engine(String),
}

/// A compiled set of patterns. Shared by all threads; never changes.
#[derive(Debug)]
pub struct Scanner {
    groups: Vec<Group>,
    costs: Vec<PatternCost>,
    /// Tells the states of different scanners apart.
    tag: u64,
}

#[derive(Debug)]
struct Group {
    /// Bit set of its patterns.
    members: Hits,
    kind: GroupKind,
}

#[derive(Debug)]
enum GroupKind {
    Anchored(Box<Anchored>),
    Walked(Table),
    Short(Box<ShortTable>),
    Literals(Box<LiteralTable>),
}

#[derive(Debug)]
struct Anchored {
    table: Table,
    finder: Finder,
    /// Most bytes between the start of a match and the end of its anchor.
    lead: usize,
    /// Length of the shortest anchor.
    shortest: usize,
    /// Longest match.
    reach: usize,
}

/// Finds the first place where an anchor begins.
#[derive(Debug)]
enum Finder {
    Packed(packed::Searcher),
    /// For machines without vector instructions, and for more anchors than those can take.
    Automaton(AhoCorasick),
}

/// A bit for each pattern.
pub(super) type Hits = [u64; WORDS];

/// What is kept of one body between two pieces: 80 bytes, no allocation.
#[derive(Clone, Debug)]
pub struct StreamState {
    tag: u64,
    offset: u64,
    hits: Hits,
    carried: [u32; MAX_TABLES],
}

impl StreamState {
    /// Bytes seen so far.
    pub const fn offset(&self) -> u64 {
        self.offset
    }
}

/// Sets the bit of `pattern`; true where it was clear.
pub(super) fn first_time(hits: &mut Hits, pattern: u32) -> bool {
    let Some(word) = usize::try_from(pattern / 64).ok().and_then(|word| hits.get_mut(word)) else { return false };
    let bit = 1_u64 << (pattern % 64);
    let new = *word & bit == 0;
    *word |= bit;
    new
}

impl Scanner {
    /// For bodies that come in pieces, and blocks.
    ///
    /// # Errors
    ///
    /// [`BuildError`]; it names the patterns at fault where single ones are.
    pub fn streamed(patterns: &[Pattern]) -> Result<Self, BuildError> {
        Self::build(patterns, true)
    }

    /// For short fields only: patterns may look around and have no bound, and no anchors are used.
    ///
    /// # Errors
    ///
    /// [`BuildError`]; it names the patterns at fault where single ones are.
    pub fn short(patterns: &[Pattern]) -> Result<Self, BuildError> {
        Self::build(patterns, false)
    }

    fn build(patterns: &[Pattern], streamed: bool) -> Result<Self, BuildError> {
        if patterns.len() > MAX_PATTERNS {
            return Err(BuildError::TooMany(patterns.len()));
        }
        let (mut anchored, mut walked, mut lists) = (Vec::new(), Vec::new(), [Vec::new(), Vec::new()]);
        let (mut costs, mut bad) = (Vec::with_capacity(patterns.len()), Vec::new());
        for (id, pattern) in (0_u32..).zip(patterns) {
            let mut cost = PatternCost { cost: Cost::ShortField, anchors: Vec::new(), bound: pattern.max_len() };
            match &pattern.kind {
                Kind::Literals { literals, nocase } => {
                    let [exact, folded] = &mut lists;
                    if *nocase { folded } else { exact }.push((id, literals.as_slice()));
                    if streamed {
                        cost.cost = Cost::LiteralList;
                    }
                }
                Kind::Expression(hir) if streamed => match anchors_of(pattern, hir) {
                    Ok(Some(anchors)) => {
                        cost.cost = if anchors.is_rare() { Cost::RareAnchor } else { Cost::CommonAnchor };
                        cost.anchors.clone_from(&anchors.literals);
                        anchored.push((id, hir, anchors));
                    }
                    Ok(None) => {
                        cost.cost = Cost::EveryByte;
                        walked.push((id, hir));
                    }
                    Err(fault) => bad.push((id, fault)),
                },
                Kind::Expression(hir) => walked.push((id, hir)),
            }
            costs.push(cost);
        }

        let mut groups = Vec::new();
        let mut refused = |why| match why {
            Refused::Patterns(large) => {
                bad.extend(large.into_iter().map(|id| (id, Fault::TooLarge)));
                Ok(())
            }
            Refused::TooManyTables => Err(BuildError::TooManyTables),
        };
        let is_wide = |hir: &Hir| hir.properties().maximum_len().is_none_or(|max| max > WIDE);
        for wide in [false, true] {
            let skipped: Vec<(u32, &Hir)> =
                anchored.iter().filter(|(_, hir, _)| is_wide(hir) == wide).map(|&(id, hir, _)| (id, hir)).collect();
            match table::tables(&skipped, Table::build) {
                Ok(tables) => groups.extend(tables.into_iter().map(|table| Group::anchored(table, &anchored))),
                Err(why) => refused(why)?,
            }
        }
        let built = if streamed {
            table::tables(&walked, Table::build).map(|all| all.into_iter().map(GroupKind::Walked).collect::<Vec<_>>())
        } else {
            let boxed = |table| GroupKind::Short(Box::new(table));
            table::tables(&walked, ShortTable::build).map(|all| all.into_iter().map(boxed).collect())
        };
        match built {
            Ok(kinds) => groups.extend(kinds.into_iter().map(Group::new)),
            Err(why) => refused(why)?,
        }
        if !bad.is_empty() {
            bad.sort_by_key(|&(id, _)| id);
            return Err(BuildError::Patterns(bad));
        }
        for (sets, nocase) in lists.iter().zip([false, true]) {
            if !sets.is_empty() {
                let table = LiteralTable::build(sets, nocase).ok_or(BuildError::Literals)?;
                groups.push(Group::new(GroupKind::Literals(Box::new(table))));
            }
        }
        if groups.len() > MAX_TABLES {
            return Err(BuildError::TooManyTables);
        }
        Ok(Self { groups, costs, tag: tag() })
    }

    /// How each pattern is treated, in the order given.
    pub fn costs(&self) -> &[PatternCost] {
        &self.costs
    }

    /// Memory of the tables, in bytes.
    pub fn bytes(&self) -> usize {
        self.groups.iter().map(Group::table_bytes).sum()
    }

    /// Number of patterns.
    pub fn len(&self) -> usize {
        self.costs.len()
    }

    /// True without patterns.
    pub fn is_empty(&self) -> bool {
        self.costs.is_empty()
    }
}

fn anchors_of(pattern: &Pattern, hir: &Hir) -> Result<Option<Anchors>, Fault> {
    match &pattern.anchor {
        None => Ok(anchor::choose(hir)),
        Some(wish) => match anchor::named(hir, wish) {
            Some(anchors) => Ok(Some(anchors)),
            None => Err(Fault::Anchor(String::from_utf8_lossy(wish).into_owned())),
        },
    }
}

impl Group {
    fn new(kind: GroupKind) -> Self {
        let ids = match &kind {
            GroupKind::Anchored(anchored) => anchored.table.ids(),
            GroupKind::Walked(table) => table.ids(),
            GroupKind::Short(table) => table.ids(),
            GroupKind::Literals(table) => table.ids(),
        };
        let mut members = [0; WORDS];
        for &id in ids {
            first_time(&mut members, id);
        }
        Self { members, kind }
    }

    /// Falls back to walking where no searcher can be had.
    fn anchored(table: Table, anchored: &[(u32, &Hir, Anchors)]) -> Self {
        let mine = || anchored.iter().filter(|(id, _, _)| table.ids().contains(id));
        let mut literals: Vec<&[u8]> = mine().flat_map(|(_, _, a)| a.literals.iter().map(Vec::as_slice)).collect();
        literals.sort_unstable();
        literals.dedup();
        // What contains another one is found with it.
        let all = literals.clone();
        literals.retain(|l| !all.iter().any(|other| other != l && memchr::memmem::find(l, other).is_some()));
        let shortest = literals.iter().map(|l| l.len()).min().unwrap_or(0);
        let lead = mine().map(|(_, _, a)| a.lead).max().unwrap_or(0);
        let reach = mine().filter_map(|(_, hir, _)| hir.properties().maximum_len()).max().unwrap_or(0);
        match Finder::new(&literals) {
            Some(finder) => {
                let anchored = Anchored { table, finder, lead, shortest, reach };
                Self::new(GroupKind::Anchored(Box::new(anchored)))
            }
            None => Self::new(GroupKind::Walked(table)),
        }
    }

    fn table_bytes(&self) -> usize {
        match &self.kind {
            GroupKind::Anchored(anchored) => anchored.table.bytes(),
            GroupKind::Walked(table) => table.bytes(),
            GroupKind::Short(table) => table.bytes(),
            GroupKind::Literals(table) => table.bytes(),
        }
    }

    fn start(&self) -> u32 {
        match &self.kind {
            GroupKind::Anchored(_) | GroupKind::Walked(_) | GroupKind::Short(_) => Table::IDLE,
            GroupKind::Literals(table) => table.start(),
        }
    }

    /// Scans one piece from a carried state and gives the next.
    fn scan(&self, carried: u32, stats: &mut ScanStats, piece: &[u8], hit: &mut impl FnMut(u32, usize)) -> u32 {
        match &self.kind {
            GroupKind::Anchored(anchored) => anchored.scan(carried, stats, piece, hit),
            GroupKind::Walked(table) => {
                count(&mut stats.stepped, piece.len());
                table.walk(carried, piece, (0, piece.len()), usize::MAX, hit).0
            }
            GroupKind::Short(table) => {
                count(&mut stats.stepped, piece.len());
                table.run(piece, hit);
                carried
            }
            GroupKind::Literals(table) => {
                count(&mut stats.stepped, piece.len());
                table.walk(carried, piece, hit)
            }
        }
    }
}

pub(super) fn count(counter: &mut u64, add: usize) {
    *counter = counter.wrapping_add(u64::try_from(add).unwrap_or(u64::MAX));
}

impl Anchored {
    fn scan(&self, carried: u32, stats: &mut ScanStats, piece: &[u8], hit: &mut impl FnMut(u32, usize)) -> u32 {
        let table = &self.table;
        let end = piece.len();
        let mut state = carried;
        // The table has walked up to `at`. Anchors that begin before `search` are dealt with.
        let (mut at, mut search) = (0, 0);
        // How far the table walks without a look at the anchors it passes.
        let mut stretch = 0;
        // What was half matched when the piece began cannot last longer than `reach`.
        let (mut until, mut floor) = (if state == Table::IDLE { 0 } else { self.reach }, 0);
        loop {
            if at < until.min(end) {
                let from = at;
                (state, at) = table.walk(state, piece, (at, until.min(end)), floor, hit);
                count(&mut stats.stepped, at - from);
            }
            // An anchor that begins before is of matches that are over.
            search = search.max(if state == Table::IDLE { at } else { at.saturating_sub(self.reach) });
            if at >= end {
                break;
            }
            let found = self.finder.find(piece, search);
            // The furthest a match can begin before this anchor; or before one that is cut by the end of the piece.
            let from = found.map_or(end, |(begin, _)| begin + self.shortest).saturating_sub(self.lead);
            // Where anchors are dense, to look for each costs more than to walk past them all.
            stretch = if from > at + DENSE { 0 } else { (2 * stretch).clamp(MIN_STRETCH, MAX_STRETCH) };
            if from > at {
                (state, at) = (Table::IDLE, from);
            }
            if let Some((begin, after)) = found {
                count(&mut stats.anchors, 1);
                search = begin + 1;
                until = begin.saturating_add(self.reach.max(stretch));
                floor = after.max(begin.saturating_add(stretch));
            } else {
                (until, floor) = (end, usize::MAX);
            }
        }
        state
    }
}

impl Finder {
    fn new(anchors: &[&[u8]]) -> Option<Self> {
        let mut builder = packed::Config::new().match_kind(packed::MatchKind::LeftmostFirst).builder();
        builder.extend(anchors);
        if let Some(searcher) = builder.build() {
            return Some(Self::Packed(searcher));
        }
        AhoCorasick::builder()
            .match_kind(aho_corasick::MatchKind::LeftmostFirst)
            .build(anchors)
            .ok()
            .map(Self::Automaton)
    }

    /// Start and end of the first anchor that begins at or after `from`.
    #[inline]
    fn find(&self, piece: &[u8], from: usize) -> Option<(usize, usize)> {
        let span = aho_corasick::Span { start: from, end: piece.len() };
        let found = match self {
            Self::Packed(searcher) => searcher.find_in(piece, span),
            Self::Automaton(automaton) => automaton.find(Input::new(piece).span(span)),
        }?;
        Some((found.start(), found.end()))
    }
}

impl Engine for Scanner {
    type State = StreamState;

    fn start(&self) -> StreamState {
        let mut state = StreamState { tag: self.tag, offset: 0, hits: [0; WORDS], carried: [0; MAX_TABLES] };
        for (carried, group) in state.carried.iter_mut().zip(&self.groups) {
            *carried = group.start();
        }
        state
    }

    fn reset(&self, state: &mut StreamState) {
        *state = self.start();
    }

    fn retire(&self, state: &mut StreamState, _: &mut Scratch) {
        self.reset(state);
    }

    fn scan(&self, state: &mut StreamState, scratch: &mut Scratch, piece: &[u8], sink: &mut dyn FnMut(u32, u64)) {
        if state.tag != self.tag {
            // Another scanner's state means nothing here, and its numbers could lie outside our tables.
            self.reset(state);
        }
        count(&mut scratch.stats.seen, piece.len());
        scratch.found.clear();
        let Scratch { stats, found, .. } = scratch;
        let hits = &mut state.hits;
        for (carried, group) in state.carried.iter_mut().zip(&self.groups) {
            if hits.iter().zip(&group.members).all(|(hit, member)| member & !hit == 0) {
                continue;
            }
            *carried = group.scan(*carried, stats, piece, &mut |pattern, end| {
                if first_time(hits, pattern) {
                    found.push((u64::try_from(end).unwrap_or(u64::MAX), pattern));
                }
            });
        }
        let offset = state.offset;
        count(&mut state.offset, piece.len());
        scratch.deliver(&mut |pattern, end| sink(pattern, offset.saturating_add(end)));
    }

    fn scan_block(&self, scratch: &mut Scratch, field: &[u8], sink: &mut dyn FnMut(u32, usize)) {
        count(&mut scratch.stats.seen, field.len());
        scratch.found.clear();
        let Scratch { stats, found, .. } = scratch;
        let mut hits = [0; WORDS];
        for group in &self.groups {
            group.scan(group.start(), stats, field, &mut |pattern, end| {
                if first_time(&mut hits, pattern) {
                    found.push((u64::try_from(end).unwrap_or(u64::MAX), pattern));
                }
            });
        }
        scratch.deliver(&mut |pattern, end| sink(pattern, usize::try_from(end).unwrap_or(usize::MAX)));
    }
}
