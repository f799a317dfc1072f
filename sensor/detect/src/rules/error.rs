//! A fault in a rule file, and where it is.

use std::fmt;
use std::ops::Range;

/// Longest offending text shown, in characters.
const MAX_SHOWN: usize = 80;

/// One fault in a rule file or list, with its place and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleError {
    /// The file, by the name the caller gave it.
    pub file: String,
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// The text at fault; cut when long, empty where something is missing.
    pub text: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it; empty where the message says enough.
    pub help: String,
}

impl std::error::Error for RuleError {}

/// `rules/x.toml:12:9: message: "text" (help)`, on one line.
impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.file, self.line, self.column, self.message)?;
        if !self.text.is_empty() {
            write!(f, ": {:?}", self.text)?;
        }
        if !self.help.is_empty() {
            write!(f, " ({})", self.help)?;
        }
        Ok(())
    }
}

impl RuleError {
    /// A fault at `span` (bytes) of `source`.
    pub(super) fn at(file: &str, source: &str, span: &Range<usize>, message: impl Into<String>, help: &str) -> Self {
        let (line, column) = place(source, span.start);
        let text = source.get(span.clone()).unwrap_or_default();
        let text = text.lines().next().unwrap_or_default();
        let shown: String = text.chars().take(MAX_SHOWN).collect();
        let text = if shown.len() < text.len() { shown + "…" } else { shown };
        // A message from a library may have several lines.
        let message = message.into().split_whitespace().collect::<Vec<_>>().join(" ");
        Self { file: file.to_owned(), line, column, text, message, help: help.to_owned() }
    }
}

/// Line and column of a byte offset, both from 1.
pub(super) fn place(source: &str, offset: usize) -> (u32, u32) {
    let mut end = offset.min(source.len());
    while !source.is_char_boundary(end) {
        end -= 1;
    }
    let before = source.get(..end).unwrap_or_default();
    let line = before.bytes().filter(|&b| b == b'\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (u32::try_from(line).unwrap_or(u32::MAX), u32::try_from(column).unwrap_or(u32::MAX))
}
