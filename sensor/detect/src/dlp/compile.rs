//! From `[[dlp]]` as written to checked entries, or to what is wrong with them.

use std::ops::Range;
use std::sync::OnceLock;

use toml::Spanned;

use super::file::{RawEntry, RawExample, RawProfile};
use super::{DlpExample, Entry, Gate, MAX_ENTRIES, MAX_PROFILES, Profile, Profiles, Validator};
use crate::engine::{Fault, Pattern, PatternError};

/// Longest match of an expression, in bytes, what follows it as its tail left out.
pub(crate) const MAX_MATCH: usize = 512;
/// Most states of one expression, repeats written out.
const MAX_STATES: usize = 20_000;
/// Most literals of one entry.
const MAX_LITERALS: usize = 1000;
/// Longest literal, in bytes.
const MAX_LITERAL: usize = 256;
/// Of a literal this much is looked for at first, in bytes.
const ANCHOR: usize = 12;
/// Shortest literal, in bytes.
const MIN_LITERAL: usize = 3;
/// Most keywords of one entry.
const MAX_KEYWORDS: usize = 64;
/// Shortest and longest keyword, in bytes.
const KEYWORD: std::ops::RangeInclusive<usize> = 2..=40;
/// How near a keyword stands where the entry does not say.
const WITHIN: usize = 60;
/// Farthest that a keyword may stand, in bytes.
const MAX_WITHIN: usize = 1024;
/// Fewest digits in a row that lead to an entry: fewer are everywhere.
const MIN_DIGITS: usize = 3;
/// Most digits in a row that an entry can ask for.
const MAX_DIGITS: usize = 64;
/// Most hits that an entry can ask for.
const MAX_COUNT: u32 = 10_000;

/// Where a profile stands.
pub(crate) struct Place<'a> {
    /// Name of the file.
    pub(crate) file: String,
    /// Its text.
    pub(crate) text: &'a str,
    /// Id of the pack.
    pub(crate) pack: &'a str,
    /// The line of a byte offset.
    pub(crate) line: &'a dyn Fn(usize) -> u32,
}

/// What is wrong, where, and what to do.
pub(crate) type Wrong = (Range<usize>, String, &'static str);

/// Takes profiles in, one after the other.
#[derive(Debug, Default)]
pub(crate) struct Builder {
    profiles: Profiles,
}

impl Builder {
    /// Checks a profile whose id is known to be good and new, and adds it.
    pub(crate) fn profile(&mut self, raw: RawProfile, span: &Range<usize>, place: &Place<'_>) -> Vec<Wrong> {
        let mut wrong = Vec::new();
        let known = &mut self.profiles;
        let index = u16::try_from(known.all.len()).unwrap_or(u16::MAX);
        if known.all.len() >= MAX_PROFILES {
            wrong.push((span.clone(), format!("over {MAX_PROFILES} profiles"), "one profile can have many entries"));
            return wrong;
        }
        if raw.entry.is_empty() {
            let help = "write [[dlp.entry]] with id and regex or literal below it";
            wrong.push((raw.id.span(), "a profile without an entry".to_owned(), help));
        }
        if raw.entry.len() > MAX_ENTRIES {
            wrong.push((raw.id.span(), format!("over {MAX_ENTRIES} entries"), "make two profiles of it"));
            return wrong;
        }
        let first = known.entries.len();
        for (number, entry) in (0_u16..).zip(raw.entry) {
            let span = entry.span();
            let id = entry.get_ref().id.clone();
            let mut one = One { place, wrong: Vec::new() };
            one.id(&id);
            let taken = known.entries.get(first..).unwrap_or_default().iter().any(|known| known.id == *id.get_ref());
            if taken {
                let message = "this id is taken by another entry of the profile".to_owned();
                one.wrong.push((id.span(), message, "ids are unique within a profile"));
            }
            let entry = one.entry(entry.into_inner(), &span, index, number);
            wrong.append(&mut one.wrong);
            known.entries.extend(entry);
        }
        known.all.push(Profile {
            id: raw.id.into_inner(),
            name: raw.name,
            description: raw.description,
            severity: raw.severity,
            references: raw.references,
            pack: place.pack.to_owned(),
            file: place.file.clone(),
            line: (place.line)(span.start),
            entries: first..known.entries.len(),
        });
        wrong
    }

    /// All that was taken in.
    pub(crate) fn finish(self) -> Profiles {
        self.profiles
    }
}

/// Checks one entry.
struct One<'p, 'a> {
    place: &'p Place<'a>,
    wrong: Vec<Wrong>,
}

impl One<'_, '_> {
    fn fault(&mut self, span: Range<usize>, message: impl Into<String>, help: &'static str) {
        self.wrong.push((span, message.into(), help));
    }

    fn id(&mut self, id: &Spanned<String>) {
        let good = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b);
        let text = id.get_ref();
        if text.is_empty() || text.len() > 100 || !text.bytes().all(good) {
            let help = "ids are lower-case letters, digits, dots and dashes, such as github-pat";
            self.fault(id.span(), "not an id", help);
        }
    }

    fn entry(&mut self, raw: RawEntry, span: &Range<usize>, profile: u16, number: u16) -> Option<Entry> {
        let line = (self.place.line)(span.start);
        let examples = self.examples(raw.example);
        let (patterns, is_literal, max_len, gate) = match (&raw.regex, &raw.literal) {
            (Some(regex), None) => {
                let (max_len, gate) = self.regex(regex, raw.nocase)?;
                (vec![regex.get_ref().clone()], false, max_len, gate)
            }
            (None, Some(literals)) => {
                let (max_len, gate) = self.literals(literals)?;
                (literals.get_ref().iter().map(|text| text.get_ref().clone()).collect(), true, max_len, gate)
            }
            (None, None) => {
                self.fault(raw.id.span(), "an entry without a pattern", "give regex = '…' or literal = [\"…\"]");
                return None;
            }
            (Some(_), Some(literals)) => {
                self.fault(literals.span(), "an entry with more than one kind of pattern", "make two entries of it");
                return None;
            }
        };
        if let Some(tail) = &raw.tail
            && let Err(PatternError { fault, span }) = Pattern::short(tail.get_ref(), raw.nocase)
            && fault != Fault::EmptyMatch
        {
            let span = self.inside(tail, &span);
            self.fault(span, fault.to_string(), fault.help());
        }
        let keywords = self.keywords(&raw.keyword);
        let within = raw.within.as_ref().map_or(WITHIN, |within| *within.get_ref());
        if let Some(given) = &raw.within {
            if keywords.is_empty() {
                self.fault(given.span(), "within says nothing without keyword", "name the words in keyword = [\"…\"]");
            } else if within > MAX_WITHIN {
                let message = format!("{within} bytes, over the limit of {MAX_WITHIN}");
                self.fault(given.span(), message, "a word that far away says little");
            }
        }
        let digits = raw.digits.as_ref().map_or(0, |digits| *digits.get_ref());
        if let Some(given) = &raw.digits
            && !(MIN_DIGITS..=MAX_DIGITS).contains(&digits)
        {
            let message = format!("digits is from {MIN_DIGITS} to {MAX_DIGITS}");
            self.fault(given.span(), message, "fewer digits in a row are everywhere; use keyword then");
        }
        let gate = if !keywords.is_empty() {
            Gate::Keywords
        } else if let Some(gate) = gate {
            gate
        } else if digits > 0 {
            let pattern = raw.regex.as_ref().and_then(|text| Pattern::short(text.get_ref(), raw.nocase).ok());
            Gate::Digits { fewest: pattern.map_or(0, |pattern| pattern.fewest_digits()) }
        } else {
            let at = raw.regex.as_ref().map_or(span.clone(), Spanned::span);
            let help = "give keyword = [\"…\"] that stands near, digits = N where every match has N digits in a row, or \
                        a regex with at least 3 bytes that stand in every match";
            self.fault(at, "nothing leads to this expression, so it would be tried everywhere", help);
            return None;
        };
        let validator = match raw.validator.as_ref().map(|text| (text.span(), text.get_ref().parse::<Validator>())) {
            None => None,
            Some((_, Ok(validator))) => Some(validator),
            Some((span, Err(error))) => {
                self.fault(span, error.to_string(), Validator::HELP);
                None
            }
        };
        let min_count = raw.min_count.as_ref().map_or(1, |count| *count.get_ref());
        if let Some(given) = &raw.min_count
            && !(1..=MAX_COUNT).contains(&min_count)
        {
            self.fault(given.span(), format!("min_count is from 1 to {MAX_COUNT}"), "leave it out for one");
        }
        Some(Entry {
            id: raw.id.into_inner(),
            name: raw.name,
            patterns,
            is_literal,
            nocase: raw.nocase,
            tail: raw.tail.map(Spanned::into_inner),
            digits,
            words: variants(&keywords),
            keywords,
            within,
            validator,
            min_count,
            examples,
            line,
            profile,
            number,
            max_len,
            gate,
            regex: OnceLock::new(),
            tail_regex: OnceLock::new(),
        })
    }

    /// Longest match, and the literals that lead to the expression.
    fn regex(&mut self, text: &Spanned<String>, nocase: bool) -> Option<(usize, Option<Gate>)> {
        let refuse = |this: &mut Self, fault: &Fault, span: &Range<usize>| {
            let span = this.inside(text, span);
            this.fault(span, fault.to_string(), fault.help());
            None
        };
        let all = 0..text.get_ref().len();
        let pattern = match Pattern::short(text.get_ref(), nocase) {
            Ok(pattern) => pattern,
            Err(PatternError { fault, span }) => return refuse(self, &fault, &span),
        };
        let Some(max_len) = pattern.max_len() else {
            self.fault(text.span(), "an unbounded repeat", "give it an upper bound, such as {0,64}, or use tail = '…'");
            return None;
        };
        if max_len > MAX_MATCH {
            let message = format!("a match can be {max_len} bytes long, over the limit of {MAX_MATCH}");
            self.fault(text.span(), message, "use smaller bounds, or let tail = '…' match the rest of a long value");
            return None;
        }
        if pattern.states() > MAX_STATES {
            return refuse(self, &Fault::TooLarge, &all);
        }
        let groups = regex_syntax::ParserBuilder::new().unicode(false).utf8(false).build().parse(text.get_ref());
        if groups.is_ok_and(|hir| hir.properties().explicit_captures_len() > 1) {
            let help = "the group is the value; write the others as (?:…)";
            self.fault(text.span(), "more than one group that captures", help);
        }
        // Letters of the text are compared in either case at first, so that what leads to the expression need not
        // spell out every case.
        let plain = if nocase { Pattern::short(text.get_ref(), false).ok()? } else { pattern };
        Some((max_len, plain.required_literals().map(|(literals, lead)| Gate::Literals { literals, lead })))
    }

    fn literals(&mut self, list: &Spanned<Vec<Spanned<String>>>) -> Option<(usize, Option<Gate>)> {
        if list.get_ref().is_empty() || list.get_ref().len() > MAX_LITERALS {
            self.fault(list.span(), format!("from 1 to {MAX_LITERALS} literals"), "split it");
            return None;
        }
        let before = self.wrong.len();
        for text in list.get_ref() {
            if !(MIN_LITERAL..=MAX_LITERAL).contains(&text.get_ref().len()) {
                let message = format!("a literal has {MIN_LITERAL} to {MAX_LITERAL} bytes");
                self.fault(text.span(), message, "for shorter ones use regex and keyword");
            }
        }
        if self.wrong.len() > before {
            return None;
        }
        let literals = || list.get_ref().iter().map(|text| text.get_ref().as_bytes());
        let max_len = literals().map(<[u8]>::len).max()?;
        let anchors = literals().map(|text| text.get(..ANCHOR).unwrap_or(text).to_vec()).collect();
        Some((max_len, Some(Gate::Literals { literals: anchors, lead: ANCHOR })))
    }

    fn keywords(&mut self, list: &[Spanned<String>]) -> Vec<String> {
        if let Some(more) = list.get(MAX_KEYWORDS) {
            self.fault(more.span(), format!("over {MAX_KEYWORDS} keywords"), "the commonest will do");
        }
        for word in list {
            if !KEYWORD.contains(&word.get_ref().len()) || word.get_ref().trim() != word.get_ref() {
                let message =
                    format!("a keyword has {} to {} bytes, none a blank at its ends", KEYWORD.start(), KEYWORD.end());
                self.fault(word.span(), message, "such as card or \"social security\"");
            }
        }
        list.iter().map(|word| word.get_ref().to_lowercase()).collect()
    }

    fn examples(&mut self, raw: Vec<Spanned<RawExample>>) -> Vec<DlpExample> {
        let mut examples = Vec::new();
        for example in raw {
            let (line, span) = ((self.place.line)(example.span().start), example.span());
            let RawExample { hit, miss, name } = example.into_inner();
            let (hit, text) = match (hit, miss) {
                (Some(text), None) => (true, text),
                (None, Some(text)) => (false, text),
                _ => {
                    let help = "write hit = '…' or miss = '…', and another [[dlp.entry.example]] for the next";
                    self.fault(span, "an example has exactly one of hit and miss", help);
                    continue;
                }
            };
            examples.push(DlpExample { text, name, hit, line });
        }
        examples
    }

    /// Where a part of a pattern stands in the file: exact for strings written without escapes.
    fn inside(&self, text: &Spanned<String>, part: &Range<usize>) -> Range<usize> {
        let span = text.span();
        let written = self.place.text.get(span.clone()).unwrap_or_default();
        match written.find(text.get_ref().as_str()) {
            Some(at) if !part.is_empty() => {
                let most = text.get_ref().len();
                span.start + at + part.start.min(most)..span.start + at + part.end.min(most)
            }
            _ => span,
        }
    }
}

/// Words of more than one part as they stand in texts and in names: `tax id`, `tax_id`, `tax-id`, `taxId`.
fn variants(keywords: &[String]) -> Vec<String> {
    let mut words = Vec::new();
    for keyword in keywords {
        words.push(keyword.clone());
        if keyword.contains(' ') {
            words.extend(["_", "-", ""].map(|joint| keyword.replace(' ', joint)));
        }
    }
    words
}
