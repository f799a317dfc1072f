//! Many globs on one short field. A search for a piece of text of each says which of them are worth a try.

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};

use crate::engine::Scratch;
use crate::hosts::{glob_bytes, path_matches};

/// The globs of one field.
#[derive(Debug, Default)]
pub(super) struct Globs {
    all: Vec<Glob>,
    /// Finds the longest plain piece of each glob that has one, in any case.
    finder: Option<AhoCorasick>,
    /// Piece to globs.
    by_piece: Vec<Vec<usize>>,
    /// Globs that are all stars.
    always: Vec<usize>,
    /// Paths regard neither case nor a slash at the end.
    is_path: bool,
}

#[derive(Debug)]
struct Glob {
    signature: u32,
    pattern: Box<[u8]>,
    nocase: bool,
}

impl Globs {
    pub(super) fn add(&mut self, signature: u32, pattern: &str, nocase: bool) {
        self.all.push(Glob { signature, pattern: pattern.as_bytes().into(), nocase });
    }

    /// For when all globs are there. False where they are too many.
    pub(super) fn finish(&mut self, is_path: bool) -> bool {
        self.is_path = is_path;
        let mut pieces: Vec<Vec<u8>> = Vec::new();
        for (index, glob) in self.all.iter().enumerate() {
            let pattern =
                if is_path { glob.pattern.strip_suffix(b"/").unwrap_or(&glob.pattern) } else { &glob.pattern };
            let piece = pattern.split(|&b| b == b'*').max_by_key(|piece| piece.len()).unwrap_or_default();
            let piece = piece.to_ascii_lowercase();
            if piece.is_empty() {
                self.always.push(index);
            } else if let Some(known) = pieces.iter().position(|known| *known == piece) {
                self.by_piece.get_mut(known).into_iter().for_each(|globs| globs.push(index));
            } else {
                pieces.push(piece);
                self.by_piece.push(vec![index]);
            }
        }
        if pieces.is_empty() {
            return true;
        }
        self.finder = AhoCorasick::builder()
            .match_kind(MatchKind::Standard)
            .kind(Some(AhoCorasickKind::ContiguousNFA))
            .ascii_case_insensitive(true)
            .build(&pieces)
            .ok();
        self.finder.is_some()
    }

    /// Reports each signature one of whose globs is the whole of `value`, once.
    pub(super) fn scan(&self, value: &[u8], scratch: &mut Scratch, hit: &mut dyn FnMut(u32)) {
        if self.all.is_empty() {
            return;
        }
        let Scratch { tried, told, .. } = scratch;
        told.clear();
        let mut attempt = |index: &usize| {
            if let Some(glob) = self.all.get(*index)
                && !told.contains(&glob.signature)
                && self.matches(glob, value)
            {
                told.push(glob.signature);
                hit(glob.signature);
            }
        };
        self.always.iter().for_each(&mut attempt);
        let Some(finder) = &self.finder else { return };
        tried.clear();
        for found in finder.find_overlapping_iter(value) {
            let piece = found.pattern().as_usize();
            if !tried.contains(&piece) {
                tried.push(piece);
                self.by_piece.get(piece).into_iter().flatten().for_each(&mut attempt);
            }
        }
    }

    fn matches(&self, glob: &Glob, value: &[u8]) -> bool {
        if self.is_path { path_matches(&glob.pattern, value) } else { glob_bytes(&glob.pattern, value, glob.nocase) }
    }
}
