//! Messages for people, on standard error.

use indicatif::ProgressBar;
use net::Timestamp;
use sinks::safe::safe;
use std::io::Write;
use std::time::{SystemTime, UNIX_EPOCH};

/// How grave a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(crate) enum Level {
    // Plain comments: the help stays a line an option.
    // What ends a run.
    Error,
    // What the operator should look at.
    Warn,
    // What was done.
    Info,
    // Every notice of the traffic as well.
    Debug,
}

/// How messages look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    // A line for people.
    Text,
    // One JSON object a line.
    Json,
}

/// Where messages go. Nothing from the wire can forge a line or reach the terminal raw.
#[derive(Clone, Debug)]
pub(crate) struct Log {
    /// The least grave that are printed.
    pub(crate) level: Level,
    /// How they look.
    pub(crate) format: Format,
    /// A bar that is being drawn on standard error.
    pub(crate) bar: ProgressBar,
}

impl Log {
    pub(crate) fn error(&self, message: &str) {
        self.write(Level::Error, message);
    }

    pub(crate) fn warn(&self, message: &str) {
        self.write(Level::Warn, message);
    }

    pub(crate) fn info(&self, message: &str) {
        self.write(Level::Info, message);
    }

    pub(crate) fn debug(&self, message: &str) {
        self.write(Level::Debug, message);
    }

    fn write(&self, level: Level, message: &str) {
        if level > self.level {
            return;
        }
        let line = match self.format {
            Format::Text => text(level, message),
            Format::Json => json(level, message, now()),
        };
        // Nothing is left to do where standard error itself fails.
        let _ = self.bar.suspend(|| writeln!(std::io::stderr().lock(), "{line}"));
    }
}

/// Further lines of a message are set in, so that none of them looks like a message of its own.
fn text(level: Level, message: &str) -> String {
    let lines: Vec<_> = message.lines().map(safe).collect();
    format!("{}: {}", name(level), lines.join("\n  "))
}

fn json(level: Level, message: &str, now: Timestamp) -> String {
    serde_json::json!({"ts": now.to_string(), "level": name(level), "message": message}).to_string()
}

const fn name(level: Level) -> &'static str {
    match level {
        Level::Error => "error",
        Level::Warn => "warning",
        Level::Info => "info",
        Level::Debug => "debug",
    }
}

#[expect(clippy::disallowed_methods, reason = "a message says when it was written; nothing else depends on it")]
fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::new(i64::try_from(since.as_secs()).unwrap_or(i64::MAX), i64::from(since.subsec_nanos()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_message_can_forge_another() {
        assert_eq!(text(Level::Warn, "a\nerror: b\r\x1b[2J"), "warning: a\n  error: b\\x0d\\x1b[2J");
        let line = json(Level::Error, "a\n\"b\"", Timestamp(0));
        assert_eq!(line, r#"{"level":"error","message":"a\n\"b\"","ts":"1970-01-01T00:00:00.000000Z"}"#);
    }
}
