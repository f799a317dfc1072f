//! Columns of wrapped text.

use crate::safe::{columns, width};
use std::io::{self, Write};

/// Space between columns.
const GAP: usize = 2;
/// Lines of one cell; more end in `…`.
const MAX_LINES: usize = 5;
/// Columns the line below a row is indented by.
const INDENT: usize = 4;

/// One column.
pub(super) struct Column {
    /// Over it.
    pub(super) title: &'static str,
    /// Least width, in columns.
    pub(super) min: usize,
}

/// One row: paragraphs by column, a sentence below, and how its first cell is coloured.
pub(super) struct Line {
    pub(super) cells: Vec<Vec<String>>,
    pub(super) below: String,
    pub(super) colour: Option<&'static str>,
}

/// Writes titles and rows, at most `total` columns wide where the least widths allow it. Rows of several lines
/// have an empty line between them.
pub(super) fn write(out: &mut dyn Write, layout: &[Column], lines: &[Line], total: usize) -> io::Result<()> {
    let widths = widths(layout, lines, total);
    let titles: Vec<Vec<String>> = layout.iter().map(|c| vec![c.title.to_owned()]).collect();
    row(out, &widths, &titles, None)?;
    let mut spaced = false;
    for line in lines {
        if spaced {
            writeln!(out)?;
        }
        let cells: Vec<Vec<String>> = line.cells.iter().zip(&widths).map(|(cell, w)| fill(cell, *w)).collect();
        row(out, &widths, &cells, line.colour)?;
        for text in wrap(&line.below, total - INDENT) {
            writeln!(out, "{:INDENT$}{text}", "")?;
        }
        spaced = !line.below.is_empty() || cells.iter().any(|c| c.len() > 1);
    }
    Ok(())
}

/// Least widths, and what is left of `total` to the columns that want it, one column each in turn.
fn widths(layout: &[Column], lines: &[Line], total: usize) -> Vec<usize> {
    let wanted = |i: usize, column: &Column| {
        let cells = lines.iter().filter_map(|l| l.cells.get(i)).flatten();
        cells.map(|text| width(text)).chain([column.title.len()]).max().unwrap_or(0)
    };
    let wanted: Vec<usize> = layout.iter().enumerate().map(|(i, c)| wanted(i, c)).collect();
    let mut widths: Vec<usize> = layout.iter().zip(&wanted).map(|(c, w)| c.min.min(*w)).collect();
    let gaps = GAP * layout.len().saturating_sub(1);
    let mut left = total.saturating_sub(gaps + widths.iter().sum::<usize>());
    while left > 0 && widths.iter().zip(&wanted).any(|(have, want)| have < want) {
        for (have, want) in widths.iter_mut().zip(&wanted) {
            if *have < *want && left > 0 {
                *have += 1;
                left -= 1;
            }
        }
    }
    widths
}

/// The wrapped lines of a cell.
fn fill(paragraphs: &[String], width: usize) -> Vec<String> {
    let mut lines: Vec<String> = paragraphs.iter().flat_map(|p| wrap(p, width)).collect();
    if lines.len() > MAX_LINES {
        lines.truncate(MAX_LINES);
        if let Some(last) = lines.last_mut() {
            while self::width(last) + 1 > width {
                last.pop();
            }
            last.push('…');
        }
    }
    lines
}

fn row(out: &mut dyn Write, widths: &[usize], cells: &[Vec<String>], colour: Option<&str>) -> io::Result<()> {
    for i in 0..cells.iter().map(Vec::len).max().unwrap_or(0) {
        let mut line = String::new();
        // Columns that are owed before the next text; left away at the end of a line.
        let mut owed = 0;
        for (column, (cell, w)) in cells.iter().zip(widths).enumerate() {
            let text = cell.get(i).map_or("", String::as_str);
            if !text.is_empty() {
                line.extend(std::iter::repeat_n(' ', std::mem::take(&mut owed)));
                match colour {
                    Some(colour) if column == 0 => line.extend([colour, text, "\x1b[0m"]),
                    _ => line.push_str(text),
                }
            }
            owed += (w + GAP).saturating_sub(width(text));
        }
        writeln!(out, "{line}")?;
    }
    Ok(())
}

/// Cuts `text` into lines of at most `room` columns: at spaces, else after what joins the parts of a name, else
/// anywhere. Nothing for an empty text.
pub(super) fn wrap(text: &str, room: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(cut(rest, room));
        lines.push(line.trim_end().to_owned());
        rest = after.trim_start();
    }
    lines
}

/// Bytes of `text` that go on the first line; at least one character.
fn cut(text: &str, room: usize) -> usize {
    let (mut used, mut space, mut joint) = (0, None, None);
    for (at, c) in text.char_indices() {
        used += columns(c);
        if c == ' ' {
            space = Some(at);
        }
        if used > room && c != ' ' {
            let first = text.chars().next().map_or(0, char::len_utf8);
            // A break after a joint beats a space that would leave most of the line empty.
            let best = if space.is_some_and(|s| joint.is_none_or(|j| s + room / 2 >= j)) { space } else { joint };
            return best.unwrap_or(at).max(first);
        }
        if matches!(c, '/' | '_' | '-' | '.' | ',' | ':' | '=' | '&') {
            joint = Some(at + 1);
        }
    }
    text.len()
}
