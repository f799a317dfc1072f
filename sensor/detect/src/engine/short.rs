//! Expressions on short fields: a DFA that may look around, run over the whole value at once.

use regex_automata::dfa::{Automaton, StartKind, dense};
use regex_automata::nfa::thompson::{self, WhichCaptures};
use regex_automata::util::primitives::StateID;
use regex_automata::util::start;
use regex_automata::{Anchored, MatchKind};
use regex_syntax::hir::Hir;

use super::table::{MAX_NFA_BYTES, MAX_TABLE_BYTES, TooLarge};

/// Working memory while a DFA is built, in bytes; bounds the time it takes too.
const MAX_BUILD_BYTES: usize = 2 * MAX_TABLE_BYTES;

/// One DFA and what its match states stand for. It says one byte late that a match ended, or at the end.
#[derive(Debug)]
pub(super) struct ShortTable {
    dfa: dense::DFA<Vec<u32>>,
    start: StateID,
    /// Pattern number in the DFA to the engine's.
    ids: Vec<u32>,
}

impl ShortTable {
    pub(super) fn build(patterns: &[(u32, &Hir)]) -> Result<Self, TooLarge> {
        let hirs: Vec<&Hir> = patterns.iter().map(|&(_, hir)| hir).collect();
        let config =
            thompson::Config::new().utf8(false).nfa_size_limit(Some(MAX_NFA_BYTES)).which_captures(WhichCaptures::None);
        let nfa = thompson::Compiler::new().configure(config).build_many_from_hir(&hirs).map_err(|_| TooLarge)?;
        let config = dense::Config::new()
            .match_kind(MatchKind::All)
            .start_kind(StartKind::Unanchored)
            .accelerate(false)
            .dfa_size_limit(Some(MAX_TABLE_BYTES))
            .determinize_size_limit(Some(MAX_BUILD_BYTES));
        let dfa = dense::Builder::new().configure(config).build_from_nfa(&nfa).map_err(|_| TooLarge)?;
        let start = dfa.start_state(&start::Config::new().anchored(Anchored::No)).map_err(|_| TooLarge)?;
        Ok(Self { dfa, start, ids: patterns.iter().map(|&(id, _)| id).collect() })
    }

    pub(super) fn bytes(&self) -> usize {
        self.dfa.memory_usage()
    }

    pub(super) fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// Runs over all of `value`. `hit` gets the offset after the end of each match.
    pub(super) fn run(&self, value: &[u8], hit: &mut impl FnMut(u32, usize)) {
        let mut state = self.start;
        for (at, &byte) in value.iter().enumerate() {
            state = self.dfa.next_state(state, byte);
            if self.dfa.is_special_state(state) {
                if self.dfa.is_match_state(state) {
                    self.report(state, at, hit);
                } else if self.dfa.is_dead_state(state) {
                    return;
                }
            }
        }
        let end = self.dfa.next_eoi_state(state);
        if self.dfa.is_match_state(end) {
            self.report(end, value.len(), hit);
        }
    }

    fn report(&self, state: StateID, end: usize, hit: &mut impl FnMut(u32, usize)) {
        for index in 0..self.dfa.match_len(state) {
            if let Some(&id) = self.ids.get(self.dfa.match_pattern(state, index).as_usize()) {
                hit(id, end);
            }
        }
    }
}
