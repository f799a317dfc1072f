//! Looks for all entries in one text.

use std::cmp::{max, min};
use std::ops::Range;

use aho_corasick::automaton::{Automaton, OverlappingState};
use aho_corasick::dfa::DFA;
use aho_corasick::{Anchored, MatchKind, StartKind};
use regex_automata::meta::{self, Regex};
use regex_automata::nfa::thompson::WhichCaptures;
use regex_automata::util::pool::Pool;
use regex_automata::util::primitives::NonMaxUsize;
use regex_automata::util::syntax;
use regex_automata::{Anchored as RegexAnchored, Input};

use super::{Entry, Gate, Hit, ProfileSet};

/// Longest tail, in bytes. What is longer is no hit.
pub const MAX_TAIL: usize = 16 * 1024;
/// Shorter texts hold nothing that any profile looks for.
const MIN_TEXT: usize = 3;
/// Memory that is kept from one text to the next: hits and places.
const KEPT: usize = 1024;

/// What is made once of all entries.
pub(super) struct Engine {
    /// Literals and keywords of all entries, in either case. `None`: there are none.
    words: Option<DFA>,
    /// What each of them leads to.
    leads: Vec<Vec<Lead>>,
    /// The entries found by their digits.
    digits: Vec<Want>,
    work: Pool<Work, fn() -> Work>,
}

/// What a literal or keyword leads to.
#[derive(Clone, Copy, Debug)]
struct Lead {
    entry: usize,
    /// It is a keyword, and counts as a whole word only.
    keyword: bool,
}

/// An entry found by its digits.
#[derive(Clone, Copy, Debug)]
struct Want {
    entry: usize,
    /// So many in a row.
    run: usize,
    /// So many in a match.
    all: usize,
}

/// A stretch of the text in which matches of an entry may begin or lie.
#[derive(Clone, Copy, Debug, Default)]
struct Region {
    open: bool,
    from: usize,
    to: usize,
    /// Everything before this was looked at.
    done: usize,
    /// A keyword stands in the name of the member, or none is needed.
    near: bool,
    hits: u32,
}

/// What one look at a text needs.
#[derive(Debug, Default)]
struct Work {
    /// One for each entry.
    regions: Vec<Region>,
    /// Entries whose region is in use.
    used: Vec<usize>,
    found: Vec<(Range<usize>, usize)>,
}

impl Engine {
    pub(super) fn new(entries: &[Entry]) -> Self {
        let mut words: Vec<Vec<u8>> = Vec::new();
        let mut leads: Vec<Vec<Lead>> = Vec::new();
        let mut by_word = std::collections::HashMap::new();
        let mut lead = |word: &[u8], lead: Lead| {
            let word = word.to_ascii_lowercase();
            let at = *by_word.entry(word.clone()).or_insert_with(|| {
                words.push(word);
                leads.push(Vec::new());
                leads.len() - 1
            });
            leads.get_mut(at).into_iter().for_each(|leads| leads.push(lead));
        };
        let mut digits = Vec::new();
        for (index, entry) in entries.iter().enumerate() {
            match &entry.gate {
                Gate::Literals { literals, .. } => {
                    for word in literals {
                        lead(word, Lead { entry: index, keyword: false });
                    }
                }
                Gate::Keywords => {
                    for word in &entry.words {
                        lead(word.as_bytes(), Lead { entry: index, keyword: true });
                    }
                }
                Gate::Digits { fewest } => digits.push(Want { entry: index, run: entry.digits, all: *fewest }),
            }
        }
        let words = (!words.is_empty())
            .then(|| {
                DFA::builder()
                    .match_kind(MatchKind::Standard)
                    .start_kind(StartKind::Unanchored)
                    .ascii_case_insensitive(true)
                    .prefilter(false)
                    .build(&words)
                    .ok()
            })
            .flatten();
        Self { words, leads, digits, work: Pool::new(Work::default) }
    }

    pub(super) fn find(&self, entries: &[Entry], wanted: ProfileSet, name: &str, text: &str, hit: &mut dyn FnMut(Hit)) {
        if text.len() < MIN_TEXT {
            return;
        }
        let mut work = self.work.get();
        let work: &mut Work = &mut work;
        work.regions.resize(entries.len(), Region::default());
        let mut scan = Scan { entries, wanted, text, work };
        if !name.is_empty() {
            self.words(name, &mut |lead, word| {
                if lead.keyword {
                    scan.named(lead.entry, name, word);
                }
            });
        }
        self.words(text, &mut |lead, word| scan.word(lead, word));
        scan.digits(&self.digits);
        scan.finish(hit);
    }

    /// Every literal and keyword in a text, in the order of their ends.
    fn words(&self, text: &str, each: &mut dyn FnMut(Lead, Range<usize>)) {
        let Some(dfa) = &self.words else { return };
        let mut state = OverlappingState::start();
        let input = aho_corasick::Input::new(text).anchored(Anchored::No);
        loop {
            // Fails only for kinds of search that it was not built for.
            if dfa.try_find_overlapping(&input, &mut state).is_err() {
                return;
            }
            let Some(found) = state.get_match() else { return };
            for lead in self.leads.get(found.pattern().as_usize()).into_iter().flatten() {
                each(*lead, found.start()..found.end());
            }
        }
    }
}

/// One look at one text.
struct Scan<'a> {
    entries: &'a [Entry],
    wanted: ProfileSet,
    text: &'a str,
    work: &'a mut Work,
}

impl<'a> Scan<'a> {
    fn entry(&self, index: usize) -> Option<&'a Entry> {
        self.entries.get(index).filter(|entry| self.wanted.contains(entry.profile))
    }

    /// A keyword in the name of the member.
    fn named(&mut self, index: usize, name: &str, word: Range<usize>) {
        if self.entry(index).is_some() && is_word(name, &word) {
            self.region(index, 0, self.text.len());
            self.work.regions.get_mut(index).into_iter().for_each(|region| region.near = true);
        }
    }

    fn word(&mut self, lead: Lead, word: Range<usize>) {
        let Some(entry) = self.entry(lead.entry) else { return };
        if lead.keyword {
            if is_word(self.text, &word) {
                let reach = entry.within + entry.max_len;
                self.region(lead.entry, word.start.saturating_sub(reach), word.end + reach);
            }
        } else if let Gate::Literals { lead: back, .. } = entry.gate {
            self.region(lead.entry, word.end.saturating_sub(back), word.end + entry.max_len);
        }
    }

    /// Looks at every n-th byte: no run of n digits passes unseen.
    fn digits(&mut self, wants: &[Want]) {
        let wanted = |this: &Self, want: &&Want| this.entry(want.entry).is_some();
        let Some(step) = wants.iter().filter(|want| wanted(self, want)).map(|want| want.run).min() else { return };
        let reach =
            wants.iter().filter_map(|want| self.entry(want.entry)).map(|entry| entry.max_len).max().unwrap_or(0);
        let bytes = self.text.as_bytes();
        let mut at = step.saturating_sub(1);
        while let Some(byte) = bytes.get(at) {
            if !byte.is_ascii_digit() {
                at += step;
                continue;
            }
            let (front, back) = bytes.split_at_checked(at).unwrap_or_default();
            let start = front.iter().rposition(|b| !b.is_ascii_digit()).map_or(0, |before| before + 1);
            let end = back.iter().position(|b| !b.is_ascii_digit()).map_or(bytes.len(), |after| at + after);
            let count = |reach: usize| {
                let around = bytes.get(start.saturating_sub(reach)..min(end + reach, bytes.len()));
                around.unwrap_or_default().iter().filter(|b| b.is_ascii_digit()).count()
            };
            // Dates and amounts have digits in a row too, but few around them.
            let most = count(reach);
            for want in wants.iter().filter(|want| end - start >= want.run && want.all <= most) {
                let Some(entry) = self.entry(want.entry) else { continue };
                if want.all <= want.run || count(entry.max_len) >= want.all {
                    self.region(want.entry, start.saturating_sub(entry.max_len), end + entry.max_len);
                }
            }
            at = end + step;
        }
    }

    /// Adds a stretch. Those of one entry come in about the order of the text; what touches is looked at as one.
    fn region(&mut self, index: usize, from: usize, to: usize) {
        let Some(region) = self.work.regions.get_mut(index) else { return };
        let to = min(to, self.text.len());
        if region.open && from <= region.to {
            region.from = min(region.from, from);
            region.to = max(region.to, to);
            return;
        }
        if region.open {
            self.search(index);
        } else {
            self.work.used.push(index);
        }
        if let Some(region) = self.work.regions.get_mut(index) {
            (region.open, region.from, region.to) = (true, from, to);
        }
    }

    /// Tries the expression of an entry wherever it may match in its region.
    fn search(&mut self, index: usize) {
        let Some(entry) = self.entries.get(index) else { return };
        let (Some(regex), Some(region)) = (entry.regex(), self.work.regions.get_mut(index)) else { return };
        let mut at = max(region.from, region.done);
        while at < region.to {
            let mut slots = [None; 4];
            let input = Input::new(self.text).span(at..region.to);
            if regex.search_slots(&input, &mut slots).is_none() {
                break;
            }
            let Some((start, value)) = value_of(slots) else { break };
            at = match entry.judge(self.text, value, region.near) {
                Some(value) => {
                    let end = value.end;
                    region.hits = region.hits.saturating_add(1);
                    self.work.found.push((value, index));
                    max(end, start + 1)
                }
                None => start + 1,
            };
        }
        region.done = max(region.done, at);
    }

    /// Looks at what is left, and tells.
    fn finish(self, hit: &mut dyn FnMut(Hit)) {
        let mut this = self;
        for at in 0..this.work.used.len() {
            if let Some(&index) = this.work.used.get(at) {
                this.search(index);
            }
        }
        let Work { regions, used, found } = this.work;
        found.sort_unstable_by_key(|(range, entry)| (range.start, *entry, range.end));
        for (range, index) in found.drain(..) {
            let hits = regions.get(index).map_or(0, |region| region.hits);
            if let Some(entry) = this.entries.get(index)
                && hits >= entry.min_count
            {
                hit(Hit { range, profile: entry.profile, entry: entry.number });
            }
        }
        for index in used.drain(..) {
            regions.get_mut(index).into_iter().for_each(|region| *region = Region::default());
        }
        found.shrink_to(KEPT);
    }
}

/// Start of the match, and the value: what the group matched, or all.
pub(super) fn value_of(slots: [Option<NonMaxUsize>; 4]) -> Option<(usize, Range<usize>)> {
    let [start, end, first, last] = slots.map(|slot| slot.map(NonMaxUsize::get));
    Some((start?, first.or(start)?..if first.is_some() { last? } else { end? }))
}

/// A keyword counts where no letter touches it, unless the case changes there: `ssn` stands in `my_ssn` and `userSsn`, not
/// in `assn`.
pub(super) fn is_word(text: &str, word: &Range<usize>) -> bool {
    let bytes = text.as_bytes();
    let at = |at: Option<usize>| at.and_then(|at| bytes.get(at)).copied().unwrap_or(b' ');
    let (before, first) = (at(word.start.checked_sub(1)), at(Some(word.start)));
    let (last, after) = (at(word.end.checked_sub(1)), at(Some(word.end)));
    let hump = |lower: u8, upper: u8| lower.is_ascii_lowercase() && upper.is_ascii_uppercase();
    (!before.is_ascii_alphabetic() || !first.is_ascii_alphabetic() || hump(before, first))
        && (!after.is_ascii_alphabetic() || !last.is_ascii_alphabetic() || hump(last, after))
}

impl Entry {
    pub(super) fn regex(&self) -> Option<&Regex> {
        self.regex
            .get_or_init(|| {
                if self.is_literal {
                    let escaped: Vec<String> = self.patterns.iter().map(|text| regex_syntax::escape(text)).collect();
                    build(&escaped.join("|"), self.nocase)
                } else {
                    build(self.patterns.first()?, self.nocase)
                }
            })
            .as_ref()
    }

    /// The whole value where it counts: with its tail, valid, a keyword near.
    pub(super) fn judge(&self, text: &str, head: Range<usize>, near: bool) -> Option<Range<usize>> {
        if !near && !self.keywords.is_empty() && !self.is_near(text, &head) {
            return None;
        }
        let mut value = head;
        if let Some(tail) = &self.tail {
            let regex = self.tail_regex.get_or_init(|| build(tail, self.nocase)).as_ref()?;
            let end = min(text.len(), value.end.saturating_add(MAX_TAIL));
            let input = Input::new(text).span(value.end..end).anchored(RegexAnchored::Yes);
            value.end = regex.search(&input)?.end();
        }
        let value = text.floor_char_boundary(value.start)..text.ceil_char_boundary(value.end);
        let found = text.get(value.clone())?;
        let length = self.validator.map_or(Some(found.len()), |validator| validator.fits(found))?;
        let enough = self.digits == 0 || has_digits(found.get(..length)?, self.digits);
        enough.then_some(value.start..value.start + length)
    }

    /// Whether a keyword stands near. Asked of what matched only, which is rare.
    fn is_near(&self, text: &str, value: &Range<usize>) -> bool {
        let from = text.floor_char_boundary(value.start.saturating_sub(self.within + MAX_WORD));
        let to = text.ceil_char_boundary(min(text.len(), value.end + self.within + MAX_WORD));
        let bytes = text.as_bytes();
        self.words.iter().any(|word| {
            let word = word.as_bytes();
            let places = bytes.get(from..to).unwrap_or_default().windows(word.len());
            places.enumerate().filter(|(_, place)| place.eq_ignore_ascii_case(word)).any(|(at, _)| {
                let place = from + at..from + at + word.len();
                place.end + self.within >= value.start
                    && value.end + self.within >= place.start
                    && is_word(text, &place)
            })
        })
    }
}

/// Longest keyword, in bytes.
const MAX_WORD: usize = 40;

fn has_digits(text: &str, least: usize) -> bool {
    text.as_bytes().split(|b| !b.is_ascii_digit()).any(|run| run.len() >= least)
}

/// What was checked before: it is not too large.
fn build(text: &str, nocase: bool) -> Option<Regex> {
    let syntax = syntax::Config::new().unicode(false).utf8(false).case_insensitive(nocase);
    let config = meta::Config::new().utf8_empty(false).nfa_size_limit(None).hybrid_cache_capacity(1 << 18);
    Regex::builder().configure(config.which_captures(WhichCaptures::All)).syntax(syntax).build(text).ok()
}
