//! The table of servers on a terminal, drawn anew as it changes.

use crate::failure::Failure;
use crate::replay;
use correlate::Record;
use correlate::record::Stats;
use detect::Generation;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use sinks::table::{Look, Summary};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What is drawn. Shared by the thread that makes events and the one that draws, which never holds it while it writes.
pub(super) struct Screen {
    summary: Mutex<Summary>,
    generation: Arc<Generation>,
    bar: ProgressBar,
    drawn: Mutex<String>,
}

impl Screen {
    pub(super) fn new(generation: Arc<Generation>) -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stdout());
        let style = ProgressStyle::with_template("{msg}").unwrap_or_else(|_| ProgressStyle::default_bar());
        Self { summary: Mutex::new(Summary::live()), generation, bar: bar.with_style(style), drawn: Mutex::default() }
    }

    /// What must be put aside while something else is written to the terminal.
    pub(super) fn bar(&self) -> ProgressBar {
        self.bar.clone()
    }

    /// Takes a record.
    pub(super) fn add(&self, record: &Record) {
        lock(&self.summary).add(record);
    }

    /// Draws what is known, if that is something new.
    pub(super) fn draw(&self, stats: &Stats) {
        let mut text = Vec::new();
        {
            let mut summary = lock(&self.summary);
            if stats.schema != 0 {
                summary.totals(stats.clone());
            }
            // In plain text: a bar takes colours for text, and so lines for longer than they are.
            let look = Look {
                width: replay::width(true, replay::DEFAULT_WIDTH),
                colour: false,
                meaning: &|id| crate::rules::meaning(&self.generation.rules, id),
            };
            // Memory takes all.
            let _ = summary.write(&mut text, &look);
        }
        let text = fitting(&String::from_utf8_lossy(&text));
        let mut drawn = lock(&self.drawn);
        if *drawn != text {
            self.bar.set_message(text.clone());
            *drawn = text;
        }
    }

    /// Leaves the whole table on the terminal.
    pub(super) fn last(self) -> Result<(), Failure> {
        self.bar.finish_and_clear();
        replay::table(&lock(&self.summary), &self.generation)
    }
}

/// As much as there is room for, the totals in any case.
fn fitting(text: &str) -> String {
    let height = terminal_size::terminal_size().map_or(24, |(_, height)| usize::from(height.0));
    fit(text, height.saturating_sub(1).max(2))
}

fn fit(text: &str, height: usize) -> String {
    let lines: Vec<&str> = text.trim_end().lines().collect();
    if lines.len() <= height {
        return lines.join("\n");
    }
    let totals = lines.iter().rev().take_while(|line| !line.is_empty()).count().min(height / 2);
    let (head, tail) = (height - totals - 1, lines.len() - totals);
    let more = format!("… {} more lines; they are in the last table", tail.saturating_sub(head));
    let shown = lines.iter().take(head).copied();
    shown.chain([more.as_str()]).chain(lines.iter().skip(tail).copied()).collect::<Vec<_>>().join("\n")
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_that_is_too_high_keeps_its_head_and_its_totals() {
        let text = "CLASS\na\nb\nc\nd\n\nfound\nread\n";
        assert_eq!(fit(text, 8), text.trim_end());
        assert_eq!(fit(text, 6), "CLASS\na\nb\n… 3 more lines; they are in the last table\nfound\nread");
        assert_eq!(fit(text, 2).lines().count(), 2);
    }
}
