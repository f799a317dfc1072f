//! A table that walks through streams: one DFA over several patterns without look-around.
//!
//! The subset construction is our own because of what it can leave out. A search may begin at every byte, so every
//! state holds all pattern starts; they are implied here instead of written into each state, and a state's row is a
//! copy of the start's row except where something is half matched. That makes some thousand states in milliseconds,
//! where the general construction takes a hundred; and with no look-around, a match is known at its last byte.

use std::collections::HashMap;
use std::rc::Rc;

use regex_automata::nfa::thompson::{self, NFA, State, WhichCaptures};
use regex_automata::util::primitives::StateID;
use regex_syntax::hir::Hir;

use super::scanner::MAX_TABLES;

/// Largest table, in bytes: two of them fit a second-level cache. Small where inputs are made up, of which each makes
/// tables of its own; so are the next two.
pub(super) const MAX_TABLE_BYTES: usize = if cfg!(fuzzing) { 1 << 14 } else { 1 << 20 };
/// Largest NFA an automaton is built from, in bytes.
pub(super) const MAX_NFA_BYTES: usize = if cfg!(fuzzing) { 1 << 15 } else { 1 << 20 };
/// Most NFA states put into sets while a table is built, those put in twice included: bounds memory and time.
const MAX_WORK: usize = if cfg!(fuzzing) { 1 << 16 } else { 1 << 24 };
/// In an entry: matches end with this byte. The rest of an entry is where the next state's row begins.
const MATCH: u32 = 1 << 31;

/// The patterns together need a larger table than [`MAX_TABLE_BYTES`].
#[derive(Debug)]
pub(super) struct TooLarge;

/// One table and what its match states stand for. A state is the place where its row begins.
#[derive(Debug)]
pub(super) struct Table {
    /// Byte to column.
    columns: Box<[u8; 256]>,
    /// Rows of as many entries as there are columns.
    entries: Vec<u32>,
    width: usize,
    /// Row number to patterns that end there, as the engine numbers them. Rows without are at the end, left out.
    ends: Vec<Box<[u32]>>,
    ids: Vec<u32>,
}

impl Table {
    /// The state in which nothing is half matched. A walk may begin anywhere with it.
    pub(super) const IDLE: u32 = 0;

    /// Patterns are bounded and without look-around.
    pub(super) fn build(patterns: &[(u32, &Hir)]) -> Result<Self, TooLarge> {
        let hirs: Vec<&Hir> = patterns.iter().map(|&(_, hir)| hir).collect();
        let config =
            thompson::Config::new().utf8(false).nfa_size_limit(Some(MAX_NFA_BYTES)).which_captures(WhichCaptures::None);
        let nfa = thompson::Compiler::new().configure(config).build_many_from_hir(&hirs).map_err(|_| TooLarge)?;
        let ids: Vec<u32> = patterns.iter().map(|&(id, _)| id).collect();
        Builder::new(&nfa, ids).build()
    }

    pub(super) fn bytes(&self) -> usize {
        self.entries.len() * size_of::<u32>()
    }

    pub(super) fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// Walks `hay[from..to]` from `state`. Stops early in the idle state, once `floor` bytes of `hay` are behind.
    /// Gives the state and how far it came. `hit` gets the offset after the end of each match.
    #[inline]
    pub(super) fn walk(
        &self,
        mut state: u32,
        hay: &[u8],
        (from, to): (usize, usize),
        floor: usize,
        hit: &mut impl FnMut(u32, usize),
    ) -> (u32, usize) {
        for (at, &byte) in (from + 1..).zip(hay.get(from..to).unwrap_or_default()) {
            let column = self.columns.get(usize::from(byte)).map_or(0, |&column| usize::from(column));
            let entry = self.entries.get(row(state) + column).copied().unwrap_or(Self::IDLE);
            state = entry & !MATCH;
            // Idle is 0 and matches are high, so that one comparison sorts out nearly every byte.
            if entry.wrapping_sub(1) >= MATCH - 1 {
                if entry >= MATCH {
                    self.report(state, at, hit);
                } else if at >= floor {
                    return (state, at);
                }
            }
        }
        (state, to)
    }

    #[cold]
    fn report(&self, state: u32, end: usize, hit: &mut impl FnMut(u32, usize)) {
        for &id in self.ends.get(row(state) / self.width).into_iter().flatten() {
            hit(id, end);
        }
    }
}

/// A state as an index; on all machines this runs on it fits.
#[inline]
fn row(state: u32) -> usize {
    usize::try_from(state).unwrap_or(0)
}

/// Why patterns did not become tables.
#[derive(Debug)]
pub(super) enum Refused {
    /// These are too large each by itself.
    Patterns(Vec<u32>),
    /// More than [`MAX_TABLES`] would be needed.
    TooManyTables,
}

/// Makes one table of numbered patterns.
type Build<'h, T> = fn(&[(u32, &'h Hir)]) -> Result<T, TooLarge>;

/// Puts all patterns into one table, or halves of them into tables of their own, and so on.
pub(super) fn tables<'h, T>(patterns: &[(u32, &'h Hir)], build: Build<'h, T>) -> Result<Vec<T>, Refused> {
    if patterns.is_empty() {
        return Ok(Vec::new());
    }
    if let Ok(table) = build(patterns) {
        return Ok(vec![table]);
    }
    let alone = |&pattern: &(u32, &'h Hir)| build(&[pattern]).err().map(|TooLarge| pattern.0);
    let bad: Vec<u32> = patterns.iter().filter_map(alone).collect();
    if !bad.is_empty() {
        return Err(Refused::Patterns(bad));
    }
    let mut done = Vec::new();
    let (left, right) = patterns.split_at(patterns.len() / 2);
    let mut todo = vec![right, left];
    while let Some(part) = todo.pop() {
        if done.len() + todo.len() >= MAX_TABLES {
            return Err(Refused::TooManyTables);
        }
        if let Ok(table) = build(part) {
            done.push(table);
        } else {
            let (left, right) = part.split_at(part.len() / 2);
            todo.extend([right, left]);
        }
    }
    Ok(done)
}

/// The subset construction.
struct Builder<'n> {
    nfa: &'n NFA,
    ids: Vec<u32>,
    columns: Box<[u8; 256]>,
    width: usize,
    entries: Vec<u32>,
    ends: Vec<Box<[u32]>>,
    /// What is half matched (and what has just matched), sorted, to the row. The pattern starts are implied.
    rows: HashMap<Box<[StateID]>, u32>,
    /// The sets by row number.
    sets: Vec<Box<[StateID]>>,
    work: usize,
    /// NFA state to the states that read a byte or match, reached from it without reading.
    closures: HashMap<StateID, Rc<[StateID]>>,
    /// By NFA state: in which closure it was last seen.
    marks: Vec<u32>,
    mark: u32,
}

impl<'n> Builder<'n> {
    fn new(nfa: &'n NFA, ids: Vec<u32>) -> Self {
        let classes = nfa.byte_classes();
        let mut columns = Box::new([0; 256]);
        for (byte, column) in (0..=u8::MAX).zip(columns.iter_mut()) {
            *column = classes.get(byte);
        }
        let width = columns.iter().max().map_or(1, |&last| usize::from(last) + 1);
        Self {
            nfa,
            ids,
            columns,
            width,
            entries: Vec::new(),
            ends: Vec::new(),
            rows: HashMap::new(),
            sets: Vec::new(),
            work: 0,
            marks: vec![0; nfa.states().len()],
            mark: 0,
            closures: HashMap::new(),
        }
    }

    fn build(mut self) -> Result<Table, TooLarge> {
        // The idle state is the first; its row is what the pattern starts do.
        let start = self.closure(self.nfa.start_anchored()).to_vec();
        self.row(Box::default())?;
        let mut next: Vec<Vec<StateID>> = vec![Vec::new(); self.width];
        let mut touched = Vec::new();
        self.step(&start, &mut next, &mut touched)?;
        let starts: Vec<Vec<StateID>> = next.iter_mut().map(|set| normal(std::mem::take(set))).collect();
        let mut first_row = Vec::with_capacity(self.width);
        for set in &starts {
            first_row.push(self.row(set.clone().into_boxed_slice())?);
        }
        self.fill(0, &first_row);

        let mut done = 1;
        while let Some(set) = self.sets.get(done).cloned() {
            touched.clear();
            self.step(&set, &mut next, &mut touched)?;
            let mut entries = first_row.clone();
            for &column in &touched {
                let mut reached = next.get_mut(column).map(std::mem::take).unwrap_or_default();
                if reached.is_empty() {
                    // Seen before in `touched`.
                    continue;
                }
                reached.extend(starts.get(column).into_iter().flatten());
                let entry = self.row(normal(reached).into_boxed_slice())?;
                if let Some(slot) = entries.get_mut(column) {
                    *slot = entry;
                }
            }
            self.fill(done, &entries);
            done += 1;
        }
        let Self { columns, width, entries, mut ends, ids, .. } = self;
        ends.truncate(ends.iter().rposition(|end| !end.is_empty()).map_or(0, |last| last + 1));
        Ok(Table { columns, entries, width, ends, ids })
    }

    /// The entry for a set: its row, which is made where it is new.
    fn row(&mut self, set: Box<[StateID]>) -> Result<u32, TooLarge> {
        if let Some(&entry) = self.rows.get(&set) {
            return Ok(entry);
        }
        let begin = self.sets.len() * self.width;
        if (begin + self.width) * size_of::<u32>() > MAX_TABLE_BYTES {
            return Err(TooLarge);
        }
        let ends: Box<[u32]> = set
            .iter()
            .filter_map(|&id| match self.nfa.state(id) {
                State::Match { pattern_id } => self.ids.get(pattern_id.as_usize()).copied(),
                _ => None,
            })
            .collect();
        let flag = if ends.is_empty() { 0 } else { MATCH };
        let entry = u32::try_from(begin).map_err(|_| TooLarge)? | flag;
        self.ends.push(ends);
        self.entries.resize(begin + self.width, 0);
        self.sets.push(set.clone());
        self.rows.insert(set, entry);
        Ok(entry)
    }

    fn fill(&mut self, row: usize, entries: &[u32]) {
        if let Some(slots) = self.entries.get_mut(row * self.width..(row + 1) * self.width) {
            slots.copy_from_slice(entries);
        }
    }

    /// Adds to `next`, by column, what the states of `set` lead to, and notes the columns.
    fn step(&mut self, set: &[StateID], next: &mut [Vec<StateID>], touched: &mut Vec<usize>) -> Result<(), TooLarge> {
        for &id in set {
            match self.nfa.state(id) {
                State::ByteRange { trans } => self.lead(trans.start, trans.end, trans.next, next, touched)?,
                State::Sparse(sparse) => {
                    for trans in &*sparse.transitions {
                        self.lead(trans.start, trans.end, trans.next, next, touched)?;
                    }
                }
                State::Dense(dense) => {
                    for (byte, &to) in (0..=u8::MAX).zip(&*dense.transitions) {
                        if to != StateID::ZERO {
                            self.lead(byte, byte, to, next, touched)?;
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn lead(
        &mut self,
        from: u8,
        to: u8,
        state: StateID,
        next: &mut [Vec<StateID>],
        touched: &mut Vec<usize>,
    ) -> Result<(), TooLarge> {
        let column = |byte: u8| self.columns.get(usize::from(byte)).map_or(0, |&column| usize::from(column));
        // Columns are ranges of bytes, in order.
        let columns = column(from)..=column(to);
        let reached = self.closure(state);
        for column in columns {
            self.work += reached.len() + 1;
            if self.work > MAX_WORK {
                return Err(TooLarge);
            }
            if let Some(set) = next.get_mut(column) {
                set.extend_from_slice(&reached);
                touched.push(column);
            }
        }
        Ok(())
    }

    fn closure(&mut self, from: StateID) -> Rc<[StateID]> {
        if let Some(known) = self.closures.get(&from) {
            return Rc::clone(known);
        }
        self.mark += 1;
        let (mut found, mut todo) = (Vec::new(), vec![from]);
        while let Some(id) = todo.pop() {
            match self.marks.get_mut(id.as_usize()) {
                Some(mark) if *mark != self.mark => *mark = self.mark,
                _ => continue,
            }
            self.work += 1;
            match self.nfa.state(id) {
                State::Union { alternates } => todo.extend_from_slice(alternates),
                State::BinaryUnion { alt1, alt2 } => todo.extend([*alt1, *alt2]),
                State::Capture { next, .. } => todo.push(*next),
                State::Fail | State::Look { .. } => {}
                _ => found.push(id),
            }
        }
        let found: Rc<[StateID]> = normal(found).into();
        self.closures.insert(from, Rc::clone(&found));
        found
    }
}

fn normal(mut set: Vec<StateID>) -> Vec<StateID> {
    set.sort_unstable();
    set.dedup();
    set
}
