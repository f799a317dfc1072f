//! Thousands of hosts and patterns: a trie of labels from the right, and a short list of patterns without a right end.

use aho_corasick::AhoCorasick;
use foldhash::fast::RandomState;
use hashbrown::HashTable;
use std::hash::BuildHasher;

use super::pattern::{self, HostPatternError};
use super::{Category, HostMatch, Listed};

/// Most patterns with a star in the last label, such as `mcp.*`. They are tried one by one, at some nanoseconds each.
pub const MAX_OPEN_PATTERNS: usize = 256;
/// Most text of one table, in bytes.
const MAX_TEXT_BYTES: usize = 16 << 20;
/// Most signatures reported for one host; what is over is left out.
const MAX_SIGNATURES: usize = 8;
const NONE: u32 = u32::MAX;

/// Hosts and host patterns of many signatures.
#[derive(Debug, Default)]
pub struct HostTable {
    /// All text, pointed into by [`Span`]s.
    text: String,
    nodes: Vec<Node>,
    /// The nodes again, by parent and label.
    children: HashTable<u32>,
    hasher: RandomState,
    entries: Vec<Entry>,
    /// Entries whose pattern has a star in the last label.
    open: Vec<u32>,
    /// Pieces of text one of which every name that matches an open pattern contains.
    guard: Option<AhoCorasick>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Span {
    start: u32,
    len: u32,
}

/// One label, with all labels to its right.
#[derive(Debug)]
struct Node {
    parent: u32,
    label: Span,
    /// First entry for exactly this name.
    exact: u32,
    /// First entry for a pattern whose plain labels end here, from the left.
    under: u32,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    signature: u32,
    /// The next entry of the same list in a [`Node`].
    next: u32,
    label: Span,
    /// The part of the label with stars; empty for an exact name.
    starred: Span,
    path: Span,
    vendor: Span,
    transport: Span,
    source: Span,
    listed: Listed,
    category: Category,
    dedicated: bool,
}

/// An entry to be added.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NewEntry<'a> {
    pub(crate) signature: u32,
    /// Host or host pattern, in lower case.
    pub(crate) host: &'a str,
    /// Path pattern; empty for any path.
    pub(crate) path: &'a str,
    pub(crate) vendor: &'a str,
    pub(crate) transport: &'a str,
    pub(crate) source: &'a str,
    pub(crate) listed: Listed,
    pub(crate) category: Category,
    pub(crate) dedicated: bool,
}

/// The best entry of each signature so far.
struct Best {
    found: [(u32, u32); MAX_SIGNATURES],
    len: usize,
}

impl HostTable {
    /// True without entries.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn reserve(&mut self, entries: usize, text: usize) {
        self.entries.reserve(entries);
        self.text.reserve(text);
        self.nodes.reserve(entries + entries / 2);
        let Self { nodes, text, hasher, children, .. } = self;
        children.reserve(entries + entries / 2, |&id| hash_of(nodes, text, hasher, id));
    }

    pub(crate) fn add(&mut self, new: &NewEntry<'_>) -> Result<(), HostPatternError> {
        pattern::check(new.host)?;
        let (starred, plain) = pattern::split_suffix(new.host);
        let is_open = plain.is_empty();
        if is_open && self.open.len() >= MAX_OPEN_PATTERNS {
            return Err(HostPatternError::TooManyOpen);
        }
        let label = self.keep(new.host)?;
        let mut entry = Entry {
            signature: new.signature,
            next: NONE,
            label,
            starred: Span { start: label.start, len: u32::try_from(starred.len()).unwrap_or(0) },
            path: self.keep(new.path)?,
            vendor: self.keep(new.vendor)?,
            transport: self.keep(new.transport)?,
            source: self.keep(new.source)?,
            listed: new.listed,
            category: new.category,
            dedicated: new.dedicated,
        };
        let id = u32::try_from(self.entries.len()).map_err(|_| HostPatternError::Full)?;
        if is_open {
            self.open.push(id);
            self.guard = None;
        } else {
            let end = label.start + label.len;
            let node = self.node(plain, end)?;
            if let Some(node) = self.nodes.get_mut(node) {
                let list = if starred.is_empty() { &mut node.exact } else { &mut node.under };
                entry.next = std::mem::replace(list, id);
            }
        }
        self.entries.push(entry);
        Ok(())
    }

    /// Makes look-ups of names that match no pattern cheap. For when all entries are there.
    pub(crate) fn finish(&mut self) {
        let pieces: Vec<&str> = self
            .open
            .iter()
            .filter_map(|&id| {
                let pattern = self.str(self.entry(id)?.label);
                pattern.split('*').map(|piece| piece.trim_matches('.')).max_by_key(|piece| piece.len())
            })
            .collect();
        let mut distinct: Vec<&str> =
            pieces.iter().copied().filter(|p| !pieces.iter().any(|q| q != p && p.contains(q))).collect();
        distinct.sort_unstable();
        distinct.dedup();
        self.guard = if distinct.is_empty() { None } else { AhoCorasick::new(distinct).ok() };
    }

    /// Keeps a text. What was kept just before is not kept twice (lists repeat themselves).
    fn keep(&mut self, text: &str) -> Result<Span, HostPatternError> {
        if text.is_empty() {
            return Ok(Span::default());
        }
        if let Some(last) = self.entries.last()
            && let Some(same) =
                [last.path, last.vendor, last.transport, last.source].into_iter().find(|&span| self.str(span) == text)
        {
            return Ok(same);
        }
        if self.text.len() + text.len() > MAX_TEXT_BYTES {
            return Err(HostPatternError::Full);
        }
        let span = |n: usize| u32::try_from(n).map_err(|_| HostPatternError::Full);
        let span = Span { start: span(self.text.len())?, len: span(text.len())? };
        self.text.push_str(text);
        Ok(span)
    }

    fn str(&self, span: Span) -> &str {
        str_of(&self.text, span)
    }

    /// The node of a name without stars, which stands in the text up to `end`. Makes it where it is missing.
    fn node(&mut self, name: &str, end: u32) -> Result<usize, HostPatternError> {
        let mut parent = NONE;
        let mut end = end;
        for label in name.rsplit('.') {
            let len = u32::try_from(label.len()).map_err(|_| HostPatternError::Full)?;
            let start = end.checked_sub(len).ok_or(HostPatternError::Full)?;
            parent = if let Some(child) = self.child(parent, label) {
                child
            } else {
                let id = u32::try_from(self.nodes.len()).map_err(|_| HostPatternError::Full)?;
                self.nodes.push(Node { parent, label: Span { start, len }, exact: NONE, under: NONE });
                let hash = self.hash(parent, label);
                let Self { nodes, text, hasher, children, .. } = self;
                children.insert_unique(hash, id, |&id| hash_of(nodes, text, hasher, id));
                id
            };
            // And the dot.
            end = start.saturating_sub(1);
        }
        usize::try_from(parent).map_err(|_| HostPatternError::Full)
    }

    fn hash(&self, parent: u32, label: &str) -> u64 {
        self.hasher.hash_one((parent, label.as_bytes()))
    }

    fn child(&self, parent: u32, label: &str) -> Option<u32> {
        self.children
            .find(self.hash(parent, label), |&id| {
                self.at(id).is_some_and(|node| node.parent == parent && self.str(node.label) == label)
            })
            .copied()
    }

    fn at(&self, id: u32) -> Option<&Node> {
        self.nodes.get(usize::try_from(id).ok()?)
    }

    fn entry(&self, id: u32) -> Option<&Entry> {
        self.entries.get(usize::try_from(id).ok()?)
    }

    /// Reports what is known of `host` (normalised, see [`normal_host`](super::normal_host)), at most once per
    /// signature: the entry that says most. `path` is the normalised path, where one was seen; what follows a `?` in
    /// it does not count. An entry that names a path counts only where the path agrees, or the host is dedicated.
    /// A host that has an entry of its own as something else than a server, such as a catalogue, is not held against
    /// patterns that guess, such as `mcp.*`.
    pub fn find(&self, host: &str, path: Option<&str>, hit: &mut dyn FnMut(HostMatch<'_>)) {
        let path = path.map(|path| path.split_once('?').map_or(path, |(path, _)| path));
        let mut best = Best { found: [(NONE, NONE); MAX_SIGNATURES], len: 0 };
        let (mut parent, mut rest) = (NONE, host);
        loop {
            let (before, label) = match memchr::memrchr(b'.', rest.as_bytes()) {
                Some(dot) => (rest.get(..dot), rest.get(dot + 1..).unwrap_or_default()),
                None => (None, rest),
            };
            let Some(id) = self.child(parent, label) else { break };
            let Some(node) = self.at(id) else { break };
            let Some(before) = before else {
                self.consider(node.exact, None, path, &mut best);
                break;
            };
            self.consider(node.under, Some(before), path, &mut best);
            (parent, rest) = (id, before);
        }
        if self.guard.as_ref().is_some_and(|guard| !guard.is_match(host)) {
            return best.tell(self, path, hit);
        }
        // A name that is known to be something else is not guessed to be a server.
        let known_otherwise = best
            .any(|id| self.entry(id).is_some_and(|e| e.starred.len == 0 && e.path.len == 0 && !e.category.is_server()));
        for &id in self.open.iter().filter(|_| !known_otherwise) {
            if let Some(entry) = self.entry(id)
                && pattern::open_matches(self.str(entry.label), host)
                && counts(entry, self.path_matches(entry, path))
            {
                best.offer(self, id, path);
            }
        }
        best.tell(self, path, hit);
    }

    /// Whether any entry is about `host` (normalised), whatever its path and however little it says.
    pub fn lists(&self, host: &str) -> bool {
        let label_of = |id: &u32| self.entry(*id).map_or("", |entry| self.str(entry.label));
        let (mut parent, mut rest) = (NONE, host);
        loop {
            let (before, label) = rest.rsplit_once('.').map_or((None, rest), |(before, label)| (Some(before), label));
            let Some((id, node)) = self.child(parent, label).and_then(|id| Some((id, self.at(id)?))) else { break };
            let mut next = if before.is_some() { node.under } else { node.exact };
            while let Some(entry) = self.entry(next) {
                if before.is_none_or(|before| pattern::labels_match(self.str(entry.starred), before)) {
                    return true;
                }
                next = entry.next;
            }
            let Some(before) = before else { break };
            (parent, rest) = (id, before);
        }
        self.open.iter().any(|id| pattern::open_matches(label_of(id), host))
    }

    /// Looks through a node's list. `before` is what is left of the host, for patterns with stars.
    fn consider(&self, first: u32, before: Option<&str>, path: Option<&str>, best: &mut Best) {
        let mut next = first;
        while let Some(entry) = self.entry(next) {
            let agrees = before.is_none_or(|before| pattern::labels_match(self.str(entry.starred), before));
            if agrees && counts(entry, self.path_matches(entry, path)) {
                best.offer(self, next, path);
            }
            next = entry.next;
        }
    }

    fn path_matches(&self, entry: &Entry, path: Option<&str>) -> bool {
        let wanted = self.str(entry.path);
        !wanted.is_empty() && path.is_some_and(|path| pattern::path_matches(wanted.as_bytes(), path.as_bytes()))
    }

    /// How much an entry says.
    fn rank(&self, entry: &Entry, path: Option<&str>) -> (bool, bool, Listed, u32) {
        (self.path_matches(entry, path), entry.dedicated, entry.listed, entry.label.len)
    }

    fn found(&self, entry: &Entry, path: Option<&str>) -> HostMatch<'_> {
        HostMatch {
            signature: entry.signature,
            dedicated: entry.dedicated,
            has_path: entry.path.len > 0,
            path_matches: self.path_matches(entry, path),
            listed: entry.listed,
            category: entry.category,
            label: self.str(entry.label),
            path: self.str(entry.path),
            vendor: self.str(entry.vendor),
            transport: self.str(entry.transport),
            source: self.str(entry.source),
        }
    }
}

const fn counts(entry: &Entry, path_matches: bool) -> bool {
    entry.path.len == 0 || entry.dedicated || path_matches
}

impl Best {
    fn tell(&self, table: &HostTable, path: Option<&str>, hit: &mut dyn FnMut(HostMatch<'_>)) {
        for &(_, id) in self.found.iter().take(self.len) {
            if let Some(entry) = table.entry(id) {
                hit(table.found(entry, path));
            }
        }
    }

    fn any(&self, is: impl Fn(u32) -> bool) -> bool {
        self.found.iter().take(self.len).any(|&(_, id)| is(id))
    }

    fn offer(&mut self, table: &HostTable, id: u32, path: Option<&str>) {
        let Some(entry) = table.entry(id) else { return };
        let Some(found) = self.found.get_mut(..self.len) else { return };
        if let Some((_, other)) = found.iter_mut().find(|(signature, _)| *signature == entry.signature) {
            let weaker = |other: &Entry| table.rank(other, path) < table.rank(entry, path);
            if table.entry(*other).is_none_or(weaker) {
                *other = id;
            }
        } else if let Some(slot) = self.found.get_mut(self.len) {
            *slot = (entry.signature, id);
            self.len += 1;
        }
    }
}

fn str_of(text: &str, span: Span) -> &str {
    let (Ok(start), Ok(len)) = (usize::try_from(span.start), usize::try_from(span.len)) else { return "" };
    text.get(start..start + len).unwrap_or_default()
}

fn hash_of(nodes: &[Node], text: &str, hasher: &RandomState, id: u32) -> u64 {
    let node = usize::try_from(id).ok().and_then(|id| nodes.get(id));
    node.map_or(0, |node| hasher.hash_one((node.parent, str_of(text, node.label).as_bytes())))
}
