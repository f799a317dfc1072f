//! A fault in a rule file, and where it is.

use std::fmt;
use std::ops::Range;

/// Longest offending text shown, in characters.
const MAX_SHOWN: usize = 80;
/// Most of its line shown before and after, in characters each.
const MAX_AROUND: usize = 60;

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
    /// What stands before it on its line; cut when long.
    pub before: String,
    /// What stands after it on its line; cut when long.
    pub after: String,
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

/// A text and where its lines begin.
#[derive(Debug)]
pub(super) struct Source<'a> {
    pub(super) file: &'a str,
    pub(super) text: &'a str,
    /// Offsets of the first bytes of all lines; the first is 0.
    lines: Vec<usize>,
}

impl<'a> Source<'a> {
    pub(super) fn new(file: &'a str, text: &'a str) -> Self {
        let lines = std::iter::once(0).chain(memchr::memchr_iter(b'\n', text.as_bytes()).map(|at| at + 1)).collect();
        Self { file, text, lines }
    }

    /// A fault at `span` (bytes).
    pub(super) fn fault(&self, span: &Range<usize>, message: impl Into<String>, help: &str) -> RuleError {
        let (line, column) = self.place(span.start);
        let text = self.text.get(span.clone()).unwrap_or_default();
        let text = text.lines().next().unwrap_or_default();
        let end = span.start + text.len();
        let before = self.text.get(..span.start).unwrap_or_default().rsplit('\n').next().unwrap_or_default();
        let after = self.text.get(end..).unwrap_or_default().lines().next().unwrap_or_default();
        let skipped = before.chars().count().saturating_sub(MAX_AROUND);
        let kept = before.chars().skip(skipped).collect::<String>();
        let before = if skipped > 0 { format!("…{kept}") } else { kept };
        // A message from a library may have several lines.
        let message = message.into().split_whitespace().collect::<Vec<_>>().join(" ");
        RuleError {
            file: self.file.to_owned(),
            line,
            column,
            text: cut(text, MAX_SHOWN),
            before,
            after: cut(after, MAX_AROUND),
            message,
            help: help.to_owned(),
        }
    }

    /// The line of a byte offset, from 1.
    pub(super) fn line(&self, offset: usize) -> u32 {
        u32::try_from(self.lines.partition_point(|&begin| begin <= offset)).unwrap_or(u32::MAX)
    }

    /// Line and column of a byte offset, both from 1.
    fn place(&self, offset: usize) -> (u32, u32) {
        let offset = offset.min(self.text.len());
        let line = self.line(offset);
        let begin = self.lines.partition_point(|&begin| begin <= offset).checked_sub(1);
        let begin = begin.and_then(|at| self.lines.get(at)).copied().unwrap_or(0);
        let before = self.text.as_bytes().get(begin..offset).unwrap_or_default();
        // Bytes that continue a character do not count.
        let column = before.iter().filter(|&&byte| byte & 0xC0 != 0x80).count() + 1;
        (line, u32::try_from(column).unwrap_or(u32::MAX))
    }
}

fn cut(text: &str, most: usize) -> String {
    let shown: String = text.chars().take(most).collect();
    if shown.len() < text.len() { shown + "…" } else { shown }
}
