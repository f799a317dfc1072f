//! Profiles of data that should not leave: card numbers, identity numbers, keys, tokens. Compiled from `[[dlp]]` of rule
//! files, looked for in one decoded text at a time.
//!
//! A profile is a set of entries, an entry one expression with the conditions under which what it matches counts: a
//! check digit, a word nearby, a run of digits. A text is passed over once for the literals and words of all entries,
//! and once, at every n-th byte, for runs of digits; expressions are tried only near what was found there. That gives
//! exactly what trying every expression everywhere would give. Time is linear in the text; nothing is allocated once
//! the buffers have grown.

mod compile;
mod examples;
mod file;
mod find;
#[cfg(test)]
mod tests;
mod validate;

use std::fmt;
use std::ops::Range;
use std::sync::OnceLock;

pub(crate) use compile::{Builder, Place};
pub use examples::{DlpFailure, run_dlp_examples, unproven_dlp};
pub(crate) use file::RawProfile;
pub use find::MAX_TAIL;
use regex_automata::meta::Regex;
pub use validate::Validator;

use crate::Severity;
use find::Engine;

/// Most profiles in all files together.
pub const MAX_PROFILES: usize = 128;
/// Most entries of one profile.
pub const MAX_ENTRIES: usize = 256;

/// A text that an entry must or must not hit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DlpExample {
    /// The text.
    pub text: String,
    /// The name of the member whose value it is; mostly empty.
    pub name: String,
    /// Whether it is to hit.
    pub hit: bool,
    /// Line of the example in its file.
    pub line: u32,
}

/// One thing that a profile looks for.
pub struct Entry {
    /// Unique within its profile.
    pub id: String,
    /// Name for people; may be empty.
    pub name: String,
    /// The expression, or the literals, as written.
    pub patterns: Vec<String>,
    /// Whether [`Self::patterns`] are literals.
    pub is_literal: bool,
    /// ASCII letters match in either case.
    pub nocase: bool,
    /// What must follow the expression and belongs to the hit; not bounded by the expression's limit.
    pub tail: Option<String>,
    /// A hit has at least this many digits in a row.
    pub digits: usize,
    /// One of these words stands near, or in the name of the member; none: wherever.
    pub keywords: Vec<String>,
    /// How near, in bytes between word and value.
    pub within: usize,
    /// What else must hold.
    pub validator: Option<Validator>,
    /// Fewer hits than this in one text do not count.
    pub min_count: u32,
    /// Its examples.
    pub examples: Vec<DlpExample>,
    /// The line it begins on, from 1.
    pub line: u32,
    /// Index of its profile.
    profile: u16,
    /// Index in its profile.
    number: u16,
    /// Longest match of the expression, in bytes.
    max_len: usize,
    /// The keywords, with what else may stand where they have a blank.
    words: Vec<String>,
    gate: Gate,
    /// Built when first used: what no policy asks for costs nothing.
    regex: OnceLock<Option<Regex>>,
    tail_regex: OnceLock<Option<Regex>>,
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry").field("id", &self.id).field("gate", &self.gate).finish_non_exhaustive()
    }
}

/// What leads to an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Gate {
    /// Every match contains one of these, whose end is at most `lead` bytes after the start of the match.
    Literals { literals: Vec<Vec<u8>>, lead: usize },
    /// Its keywords.
    Keywords,
    /// Its run of digits. Every match has at least `fewest` of them in all.
    Digits { fewest: usize },
}

/// One profile.
#[derive(Debug)]
pub struct Profile {
    /// Stable id, such as `payment-cards`.
    pub id: String,
    /// Name for people; may be empty.
    pub name: String,
    /// What it is; may be empty.
    pub description: String,
    /// How bad a hit is by itself.
    pub severity: Severity,
    /// Where to read more.
    pub references: Vec<String>,
    /// Id of its pack.
    pub pack: String,
    /// The file it stands in.
    pub file: String,
    /// The line it begins on, from 1.
    pub line: u32,
    /// Where its entries are among all.
    entries: Range<usize>,
}

/// All profiles of a rule set. Immutable and shared; the default has none. What is not asked for is never built.
#[derive(Default)]
pub struct Profiles {
    all: Vec<Profile>,
    entries: Vec<Entry>,
    engine: OnceLock<Engine>,
}

impl fmt::Debug for Profiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Profiles").field("profiles", &self.all).finish_non_exhaustive()
    }
}

/// One valid value in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    /// Its bytes in the text; both ends are character boundaries.
    pub range: Range<usize>,
    /// The profile.
    pub profile: u16,
    /// The entry, counted within its profile.
    pub entry: u16,
}

/// Some profiles of one [`Profiles`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ProfileSet(u128);

impl ProfileSet {
    /// None.
    pub const EMPTY: Self = Self(0);

    /// Adds a profile; one over [`MAX_PROFILES`] is none of any set.
    pub const fn insert(&mut self, profile: u16) {
        self.0 |= bit(profile);
    }

    /// Whether it is one of them.
    pub const fn contains(self, profile: u16) -> bool {
        self.0 & bit(profile) != 0
    }

    /// No profile is.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Both together.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Those in both.
    #[must_use]
    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Their indexes, ascending.
    pub fn iter(self) -> impl Iterator<Item = u16> {
        (0..128).filter(move |&profile| self.contains(profile))
    }
}

impl FromIterator<u16> for ProfileSet {
    fn from_iter<T: IntoIterator<Item = u16>>(profiles: T) -> Self {
        let mut set = Self::EMPTY;
        profiles.into_iter().for_each(|profile| set.insert(profile));
        set
    }
}

const fn bit(profile: u16) -> u128 {
    match 1_u128.checked_shl(profile as u32) {
        Some(bit) => bit,
        None => 0,
    }
}

impl Profiles {
    /// There is none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Number of profiles.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// The index of the profile of that id.
    pub fn index_of(&self, id: &str) -> Option<u16> {
        self.all.iter().position(|profile| profile.id == id).and_then(|at| at.try_into().ok())
    }

    /// The id of a profile; empty where there is no such.
    pub fn id(&self, profile: u16) -> &str {
        self.get(profile).map_or("", |profile| &profile.id)
    }

    /// All ids, in the order of indexes.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.all.iter().map(|profile| profile.id.as_str())
    }

    /// How bad a hit of a profile is by itself.
    pub fn severity(&self, profile: u16) -> Severity {
        self.get(profile).map(|profile| profile.severity).unwrap_or_default()
    }

    /// The id of an entry; empty where there is no such.
    pub fn entry_id(&self, profile: u16, entry: u16) -> &str {
        self.entries_of(profile).get(usize::from(entry)).map_or("", |entry| &entry.id)
    }

    /// A profile by its index.
    pub fn get(&self, profile: u16) -> Option<&Profile> {
        self.all.get(usize::from(profile))
    }

    /// All profiles, in the order of indexes.
    pub fn iter(&self) -> impl Iterator<Item = &Profile> {
        self.all.iter()
    }

    /// The entries of a profile.
    pub fn entries_of(&self, profile: u16) -> &[Entry] {
        self.get(profile).and_then(|profile| self.entries.get(profile.entries.clone())).unwrap_or_default()
    }

    /// Gives every valid value in one decoded text to `hit`: in the order of their starts, each once for each entry.
    pub fn find(&self, wanted: ProfileSet, text: &str, hit: &mut dyn FnMut(Hit)) {
        self.find_named(wanted, "", text, hit);
    }

    /// As [`find`](Self::find) for the value of a member: a keyword counts as near where it stands in `name`.
    pub fn find_named(&self, wanted: ProfileSet, name: &str, text: &str, hit: &mut dyn FnMut(Hit)) {
        if !wanted.is_empty() && !self.entries.is_empty() {
            self.engine.get_or_init(|| Engine::new(&self.entries)).find(&self.entries, wanted, name, text, hit);
        }
    }
}

/// Looks for everything that is shipped: hits lie inside the text, in order, on character boundaries, and a text gives the
/// same hits after another.
#[doc(hidden)]
pub fn fuzz_dlp(data: &[u8]) {
    use crate::rules::{builtin, compile};
    use std::sync::{Arc, LazyLock};
    static SHIPPED: LazyLock<Option<Arc<Profiles>>> =
        LazyLock::new(|| compile(&builtin()).ok().map(|rules| Arc::clone(rules.dlp())));
    let Some(profiles) = SHIPPED.as_deref() else { return };
    let text = String::from_utf8_lossy(data);
    let (name, text) = text.split_once('\n').unwrap_or(("", &text));
    let all: ProfileSet = (0..u16::try_from(profiles.len()).unwrap_or(0)).collect();
    let found = || {
        let mut found = Vec::new();
        profiles.find_named(all, name, text, &mut |hit| {
            assert!(text.get(hit.range.clone()).is_some_and(|value| !value.is_empty()), "a hit outside the text");
            found.push(hit);
        });
        found
    };
    let first = found();
    assert!(first.is_sorted_by_key(|hit| hit.range.start), "hits out of order");
    assert_eq!(first, found(), "what was found before changes what is found");
    let (front, _) = text.split_at(text.floor_char_boundary(text.len() / 2));
    profiles.find(all, front, &mut |_| {});
}
