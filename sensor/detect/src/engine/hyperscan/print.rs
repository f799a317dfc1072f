//! Our checked syntax tree as an expression for Hyperscan.
//!
//! The author's text never reaches Hyperscan: its dialect is PCRE's, and differs from ours in small things (`$` before
//! a last line feed, what `.` and `\s` are under which switch). Printed from the tree there are only bytes, classes of
//! bytes, groups and repeats, which mean the same everywhere.

use std::fmt::Write;

use regex_syntax::hir::{Class, Hir, HirKind, Look, Repetition};

/// The expression; `None` where Hyperscan has no words for it: word starts and ends, and lines that end with CR LF.
pub(super) fn expression(hir: &Hir) -> Option<String> {
    let mut out = String::new();
    print(hir, &mut out)?;
    Some(out)
}

/// A literal; `nocase` folds ASCII letters.
pub(super) fn literal(bytes: &[u8], nocase: bool) -> String {
    let mut out = String::new();
    for &byte in bytes {
        if nocase && byte.is_ascii_alphabetic() {
            let _ = write!(out, "[{}{}]", char::from(byte.to_ascii_uppercase()), char::from(byte.to_ascii_lowercase()));
        } else {
            self::byte(byte, &mut out);
        }
    }
    out
}

/// Depth is bounded: the parser refuses deep nesting.
fn print(hir: &Hir, out: &mut String) -> Option<()> {
    match hir.kind() {
        HirKind::Empty => {}
        HirKind::Literal(literal) => literal.0.iter().for_each(|&b| byte(b, out)),
        HirKind::Class(class) => ranges(class, out)?,
        HirKind::Look(look) => out.push_str(assertion(*look)?),
        HirKind::Repetition(repetition) => repeat(repetition, out)?,
        HirKind::Capture(capture) => print(&capture.sub, out)?,
        HirKind::Concat(parts) => parts.iter().try_for_each(|part| print(part, out))?,
        HirKind::Alternation(branches) => {
            out.push_str("(?:");
            // Hyperscan refuses a branch that can never match; without it nothing is lost.
            let mut able = branches.iter().filter(|branch| branch.properties().minimum_len().is_some());
            if let Some(first) = able.next() {
                print(first, out)?;
            }
            for branch in able {
                out.push('|');
                print(branch, out)?;
            }
            out.push(')');
        }
    }
    Some(())
}

fn repeat(repetition: &Repetition, out: &mut String) -> Option<()> {
    if repetition.sub.properties().minimum_len().is_none() {
        // Of what can never match only no time at all is possible; a whole that never matches was refused before.
        return Some(());
    }
    out.push_str("(?:");
    print(&repetition.sub, out)?;
    out.push(')');
    match (repetition.min, repetition.max) {
        (0, Some(1)) => out.push('?'),
        (0, None) => out.push('*'),
        (1, None) => out.push('+'),
        (1, Some(1)) => {}
        (min, None) => write!(out, "{{{min},}}").ok()?,
        (min, Some(max)) if min == max => write!(out, "{{{min}}}").ok()?,
        (min, Some(max)) => write!(out, "{{{min},{max}}}").ok()?,
    }
    Some(())
}

/// Letters, digits and what is special nowhere stand for themselves, which keeps within Hyperscan's limit of length.
fn byte(byte: u8, out: &mut String) {
    if byte.is_ascii_alphanumeric() || b" \"'/:_,;<>=!@%&~`".contains(&byte) {
        out.push(char::from(byte));
    } else {
        let _ = write!(out, "\\x{byte:02x}");
    }
}

fn ranges(class: &Class, out: &mut String) -> Option<()> {
    let mut all: Vec<(u8, u8)> = Vec::new();
    match class {
        Class::Bytes(class) => all.extend(class.iter().map(|range| (range.start(), range.end()))),
        Class::Unicode(class) => {
            for range in class.iter() {
                all.push((u8::try_from(range.start()).ok()?, u8::try_from(range.end()).ok()?));
            }
        }
    }
    out.push('[');
    for (start, end) in all {
        in_class(start, out);
        if end > start {
            out.push('-');
            in_class(end, out);
        }
    }
    out.push(']');
    Some(())
}

fn in_class(byte: u8, out: &mut String) {
    if byte.is_ascii_alphanumeric() {
        out.push(char::from(byte));
    } else {
        let _ = write!(out, "\\x{byte:02x}");
    }
}

/// `$` is left out on purpose: it matches before a last line feed too.
const fn assertion(look: Look) -> Option<&'static str> {
    match look {
        Look::Start => Some(r"\A"),
        Look::End => Some(r"\z"),
        Look::StartLF => Some("(?m:^)"),
        Look::EndLF => Some("(?m:$)"),
        Look::WordAscii => Some(r"\b"),
        Look::WordAsciiNegate => Some(r"\B"),
        _ => None,
    }
}
