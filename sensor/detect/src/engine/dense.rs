//! A table that walks through bytes: one dense DFA over several patterns.

use regex_automata::dfa::{Automaton, StartKind, dense};
use regex_automata::nfa::thompson::{self, WhichCaptures};
use regex_automata::util::primitives::StateID;
use regex_automata::util::start;
use regex_automata::{Anchored, MatchKind};
use regex_syntax::hir::Hir;

/// Largest table, in bytes. A table that does not stay in the second-level cache is slower than two that do.
pub(super) const MAX_TABLE_BYTES: usize = 1 << 20;
/// Working memory while a table is built, in bytes; bounds the time it takes too.
const MAX_BUILD_BYTES: usize = 2 << 20;
/// Largest NFA a table is built from, in bytes.
const MAX_NFA_BYTES: usize = 1 << 20;

/// The patterns together need a larger table than [`MAX_TABLE_BYTES`].
#[derive(Debug)]
pub(super) struct TooLarge;

/// One table and what its match states stand for.
///
/// The DFA says one byte late that a match ended. Callers never see that: [`Table::settle`] asks at the end of each
/// piece, and a pattern counts once.
#[derive(Debug)]
pub(super) struct Table {
    dfa: dense::DFA<Vec<u32>>,
    /// The state in which nothing is half matched. INVARIANT: for streams (no look-around) it is the start state of
    /// every position, so a walk may begin anywhere with it.
    idle: StateID,
    /// Pattern number in the DFA to the engine's.
    ids: Vec<u32>,
}

impl Table {
    pub(super) fn build(patterns: &[(u32, &Hir)]) -> Result<Self, TooLarge> {
        let hirs: Vec<&Hir> = patterns.iter().map(|&(_, hir)| hir).collect();
        let nfa = thompson::Compiler::new()
            .configure(
                thompson::Config::new()
                    .utf8(false)
                    .nfa_size_limit(Some(MAX_NFA_BYTES))
                    .which_captures(WhichCaptures::None),
            )
            .build_many_from_hir(&hirs)
            .map_err(|_| TooLarge)?;
        let dfa = dense::Builder::new()
            .configure(
                dense::Config::new()
                    .match_kind(MatchKind::All)
                    .start_kind(StartKind::Unanchored)
                    .accelerate(false)
                    .dfa_size_limit(Some(MAX_TABLE_BYTES))
                    .determinize_size_limit(Some(MAX_BUILD_BYTES)),
            )
            .build_from_nfa(&nfa)
            .map_err(|_| TooLarge)?;
        let idle = dfa.start_state(&start::Config::new().anchored(Anchored::No)).map_err(|_| TooLarge)?;
        Ok(Self { dfa, idle, ids: patterns.iter().map(|&(id, _)| id).collect() })
    }

    pub(super) const fn idle(&self) -> StateID {
        self.idle
    }

    pub(super) fn bytes(&self) -> usize {
        self.dfa.memory_usage()
    }

    pub(super) fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// Takes up a carried state. A number this table does not know starts afresh.
    pub(super) fn resume(&self, carried: u32) -> StateID {
        usize::try_from(carried).ok().and_then(|id| StateID::new(id).ok()).unwrap_or(self.idle)
    }

    /// Walks `hay[from..to]` from `state`. Stops early in the idle state, once `floor` bytes of `hay` are behind.
    /// Gives the state and how far it came. `hit` gets the offset after the end of each match.
    #[inline]
    pub(super) fn walk(
        &self,
        mut state: StateID,
        hay: &[u8],
        (from, to): (usize, usize),
        floor: usize,
        hit: &mut impl FnMut(u32, usize),
    ) -> (StateID, usize) {
        for (at, &byte) in (from..to).zip(hay.get(from..to).unwrap_or_default()) {
            state = self.dfa.next_state(state, byte);
            if state == self.idle {
                if at + 1 >= floor {
                    return (state, at + 1);
                }
            } else if self.dfa.is_special_state(state) && self.dfa.is_match_state(state) {
                self.report(state, at, hit);
            }
        }
        (state, to)
    }

    /// Reports the matches that end exactly at `end`, where `state` has got to.
    pub(super) fn settle(&self, state: StateID, end: usize, hit: &mut impl FnMut(u32, usize)) {
        if state == self.idle {
            return;
        }
        let state = self.dfa.next_eoi_state(state);
        if self.dfa.is_match_state(state) {
            self.report(state, end, hit);
        }
    }

    #[cold]
    fn report(&self, state: StateID, end: usize, hit: &mut impl FnMut(u32, usize)) {
        for index in 0..self.dfa.match_len(state) {
            let pattern = self.dfa.match_pattern(state, index);
            if let Some(&id) = self.ids.get(pattern.as_usize()) {
                hit(id, end);
            }
        }
    }
}

/// Builds as few tables as the limit allows.
///
/// # Errors
///
/// The patterns that are too large each by itself.
pub(super) fn tables(patterns: &[(u32, &Hir)]) -> Result<Vec<Table>, Vec<u32>> {
    if patterns.is_empty() {
        return Ok(Vec::new());
    }
    match (patterns, Table::build(patterns)) {
        (_, Ok(table)) => Ok(vec![table]),
        (&[(id, _)], Err(TooLarge)) => Err(vec![id]),
        (_, Err(TooLarge)) => {
            let (left, right) = patterns.split_at(patterns.len() / 2);
            match (tables(left), tables(right)) {
                (Ok(mut left), Ok(right)) => {
                    left.extend(right);
                    Ok(left)
                }
                (Err(mut left), Err(right)) => {
                    left.extend(right);
                    Err(left)
                }
                (Err(bad), Ok(_)) | (Ok(_), Err(bad)) => Err(bad),
            }
        }
    }
}
