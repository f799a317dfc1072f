//! Text from the wire, made harmless for a terminal or a text log.

use std::borrow::Cow;
use std::fmt::Write as _;
use unicode_width::UnicodeWidthChar as _;

/// `text` with everything that a terminal may act on, or that takes no room on it, spelled out: control
/// characters and escapes (`\x1b`), line breaks (`\x0a`), and what joins, hides or reverses other characters
/// (`\u{202e}`). What remains takes one or two columns a character. The backslash itself stays as it is: this is
/// for reading, the JSON lines are for machines.
pub fn safe(text: &str) -> Cow<'_, str> {
    if !text.chars().any(odd) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if !odd(c) {
            out.push(c);
        } else if u32::from(c) < 0x100 {
            let _ = write!(out, "\\x{:02x}", u32::from(c));
        } else {
            let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
        }
    }
    Cow::Owned(out)
}

/// Columns that `text` takes, once it is [`safe`].
pub(crate) fn width(text: &str) -> usize {
    text.chars().map(columns).sum()
}

/// Columns of one character.
pub(crate) fn columns(c: char) -> usize {
    c.width().unwrap_or(0)
}

fn odd(c: char) -> bool {
    // Line and paragraph separator have a width of one, yet some programs break the line there. The Hangul
    // fillers and the Braille blank show nothing, which is how one name is made to look like another.
    columns(c) == 0 || matches!(c, '\u{2028}' | '\u{2029}' | '\u{115f}' | '\u{3164}' | '\u{ffa0}' | '\u{2800}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_acts_on_is_spelled_out() {
        for (text, want) in [
            ("plain, naïve, 工具", "plain, naïve, 工具"),
            ("\x1b[31mred\x07", "\\x1b[31mred\\x07"),
            ("two\nlines\r", "two\\x0alines\\x0d"),
            ("\u{9b}31m\u{7f}\0", "\\x9b31m\\x7f\\x00"),
            ("txt\u{202e}exe", "txt\\u{202e}exe"),
            ("a\u{200b}b\u{feff}", "a\\u{200b}b\\u{feff}"),
            ("z\u{0301}\u{0301}", "z\\u{301}\\u{301}"),
            ("a\u{2028}b\u{3164}", "a\\u{2028}b\\u{3164}"),
        ] {
            assert_eq!(safe(text), want);
            assert!(safe(text).chars().all(|c| columns(c) > 0));
        }
    }
}
