//! `params.arguments`: masked text, length and hash, taken while the value streams by.

use sha2::{Digest, Sha256};

use crate::{
    Arguments, MAX_ARGUMENTS,
    mask::{self, MASK},
};

/// Deepest container whose keys are shown; a deeper one is masked as a whole.
const SHOWN_DEPTH: usize = 8;
/// Elements of an array that are shown before the rest becomes one `…`.
const SHOWN_ELEMENTS: u32 = 3;
/// Longest shown key, in bytes.
const SHOWN_KEY: usize = 64;

/// What to do with a container that begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Enter {
    /// Look inside.
    Inside,
    /// Only the hash and the length count.
    Skip,
}

/// Builds one [`Arguments`].
pub(crate) struct Masker {
    out: String,
    limit: usize,
    full: bool,
    /// Open containers that are shown.
    shown: usize,
    hasher: Sha256,
    bytes: u64,
}

impl std::fmt::Debug for Masker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Masker").field("out", &self.out).finish_non_exhaustive()
    }
}

impl Masker {
    /// `limit` in bytes of masked text, at most [`MAX_ARGUMENTS`].
    pub(crate) fn new(limit: usize) -> Self {
        let limit = limit.clamp(MASK.len(), MAX_ARGUMENTS);
        Self { out: String::new(), limit, full: false, shown: 0, hasher: Sha256::new(), bytes: 0 }
    }

    /// Raw bytes of the value.
    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
        self.bytes += bytes.len() as u64;
    }

    /// The masked text met its limit: nothing more will be shown.
    pub(crate) fn is_full(&self) -> bool {
        self.full
    }

    /// A member name; `index` counts the members of its object.
    pub(crate) fn key(&mut self, text: &str, index: u32) {
        if index > 0 {
            self.write(",");
        }
        let short = mask::cut(text, SHOWN_KEY);
        self.write("\"");
        if mask::looks_secret(text) {
            self.write(MASK);
        } else {
            for c in short.chars() {
                match c {
                    '"' => self.write("\\\""),
                    '\\' => self.write("\\\\"),
                    c if c.is_control() => self.write(MASK),
                    c => self.write(c.encode_utf8(&mut [0; 4])),
                }
            }
            if short.len() < text.len() {
                self.write(MASK);
            }
        }
        self.write("\":");
    }

    /// A value begins that is element number `element` of an array (`None` elsewhere). Whether it is shown.
    fn shows(&mut self, element: Option<u32>) -> bool {
        match element {
            Some(n) if n > SHOWN_ELEMENTS => return false,
            Some(n) if n > 0 => self.write(","),
            _ => {}
        }
        if element == Some(SHOWN_ELEMENTS) {
            self.write("\"…\"");
            return false;
        }
        !self.full
    }

    /// A string, number or word.
    pub(crate) fn scalar(&mut self, element: Option<u32>) {
        if self.shows(element) {
            self.write("\"…\"");
        }
    }

    /// A container begins.
    pub(crate) fn open(&mut self, object: bool, element: Option<u32>) -> Enter {
        if !self.shows(element) {
            return Enter::Skip;
        }
        if self.shown >= SHOWN_DEPTH {
            self.write("\"…\"");
            return Enter::Skip;
        }
        self.shown += 1;
        self.write(if object { "{" } else { "[" });
        Enter::Inside
    }

    /// A container that was entered ends.
    pub(crate) fn close(&mut self, object: bool) {
        self.shown = self.shown.saturating_sub(1);
        self.write(if object { "}" } else { "]" });
    }

    fn write(&mut self, text: &str) {
        if self.full {
            return;
        }
        if self.out.len() + text.len() + MASK.len() > self.limit {
            self.full = true;
            self.out.push_str(MASK);
        } else {
            self.out.push_str(text);
        }
    }

    /// The value is complete.
    pub(crate) fn finish(self) -> Arguments {
        Arguments { masked: self.out, bytes: self.bytes, sha256: self.hasher.finalize().into() }
    }
}
