//! Many literals at once: an Aho-Corasick automaton that is walked byte by byte, with a state that can be carried.

use aho_corasick::automaton::{Automaton, StateID};
use aho_corasick::nfa::contiguous;
use aho_corasick::{Anchored, MatchKind};

/// One automaton and what its literals stand for.
#[derive(Debug)]
pub(super) struct LiteralTable {
    nfa: contiguous::NFA,
    start: StateID,
    /// Literal number to the engine's pattern number.
    ids: Vec<u32>,
}

impl LiteralTable {
    /// `None` where the literals are too many or too long for one automaton, or none.
    pub(super) fn build(sets: &[(u32, &[Vec<u8>])], nocase: bool) -> Option<Self> {
        let ids: Vec<u32> = sets.iter().flat_map(|&(id, set)| set.iter().map(move |_| id)).collect();
        if ids.is_empty() {
            return None;
        }
        let nfa = contiguous::Builder::new()
            .match_kind(MatchKind::Standard)
            .ascii_case_insensitive(nocase)
            .prefilter(false)
            .build(sets.iter().flat_map(|(_, set)| set.iter()))
            .ok()?;
        let start = nfa.start_state(Anchored::No).ok()?;
        Some(Self { nfa, start, ids })
    }

    pub(super) fn start(&self) -> u32 {
        self.start.as_u32()
    }

    pub(super) fn bytes(&self) -> usize {
        self.nfa.memory_usage()
    }

    pub(super) fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// Walks all of `hay` from a carried state and gives the next one.
    pub(super) fn walk(&self, carried: u32, hay: &[u8], hit: &mut impl FnMut(u32, usize)) -> u32 {
        let mut state = usize::try_from(carried).ok().and_then(|id| StateID::new(id).ok()).unwrap_or(self.start);
        for (at, &byte) in hay.iter().enumerate() {
            state = self.nfa.next_state(Anchored::No, state, byte);
            if self.nfa.is_match(state) {
                for index in 0..self.nfa.match_len(state) {
                    let literal = self.nfa.match_pattern(state, index);
                    if let Some(&id) = self.ids.get(literal.as_usize()) {
                        hit(id, at + 1);
                    }
                }
            }
        }
        state.as_u32()
    }
}
