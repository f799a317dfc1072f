//! One JSON object a line.

use correlate::Record;
use serde_json::ser::{CompactFormatter, Formatter};
use std::io::{self, Write};

/// Writes records as lines of JSON.
///
/// A line is handed over whole, so lines of a buffered file are never torn by us. Valid UTF-8 and free of raw
/// control characters whatever a record holds: besides what JSON asks for, DEL, the C1 controls, line separators
/// and characters that reverse or hide text are escaped.
///
/// After the first failure nothing more is written: what comes is counted as lost, so that `written + lost` is
/// what was given.
#[derive(Debug)]
pub struct Writer<W> {
    out: W,
    line: Vec<u8>,
    totals: Totals,
    failed: bool,
}

/// Lines given to a [`Writer`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Lines handed over.
    pub written: u64,
    /// Lines that could not be written, from the first failure on.
    pub lost: u64,
}

/// Why a line was not written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Nobody reads any more (a closed pipe): a reason to end quietly.
    #[error("the reader of the output has gone")]
    Closed,
    /// The output failed.
    #[error("cannot write events: {0}")]
    Write(io::Error),
    /// An earlier line failed; this one was not tried.
    #[error("the output failed earlier")]
    Failed,
    /// A record does not serialise: a fault of ours.
    #[error("an event cannot be written as JSON: {0}")]
    Serialise(serde_json::Error),
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe { Self::Closed } else { Self::Write(error) }
    }
}

impl<W: Write> Writer<W> {
    /// Writes to `out`, which should be buffered.
    pub fn new(out: W) -> Self {
        Self { out, line: Vec::with_capacity(4096), totals: Totals::default(), failed: false }
    }

    /// Writes one record as one line.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] or [`Error::Write`] once, at the first failure; [`Error::Failed`] from then on.
    pub fn write(&mut self, record: &Record) -> Result<(), Error> {
        let done = self.try_write(record);
        match done {
            Ok(()) => self.totals.written += 1,
            Err(_) => self.totals.lost += 1,
        }
        done
    }

    fn try_write(&mut self, record: &Record) -> Result<(), Error> {
        if self.failed {
            return Err(Error::Failed);
        }
        line(record, &mut self.line).map_err(Error::Serialise)?;
        self.out.write_all(&self.line).inspect_err(|_| self.failed = true)?;
        Ok(())
    }

    /// Hands over what is buffered.
    ///
    /// # Errors
    ///
    /// As [`Writer::write`]. What a buffer held then is lost without being counted line by line.
    pub fn flush(&mut self) -> Result<(), Error> {
        if self.failed {
            return Err(Error::Failed);
        }
        self.out.flush().inspect_err(|_| self.failed = true)?;
        Ok(())
    }

    /// Lines so far.
    pub fn totals(&self) -> Totals {
        self.totals
    }
}

/// `record` as one line with its line break, in place of what `out` held.
///
/// # Errors
///
/// A record that JSON cannot hold; no [`Record`] is one.
pub fn line(record: &Record, out: &mut Vec<u8>) -> Result<(), serde_json::Error> {
    json(record, out)
}

/// Anything as such a line, in place of what `out` held.
///
/// # Errors
///
/// What JSON cannot hold.
pub fn json(what: &impl serde::Serialize, out: &mut Vec<u8>) -> Result<(), serde_json::Error> {
    out.clear();
    let mut json = serde_json::Serializer::with_formatter(&mut *out, Escaping);
    what.serialize(&mut json)?;
    out.push(b'\n');
    Ok(())
}

/// Compact JSON that also escapes what JSON would let through raw and a terminal would act on.
struct Escaping;

impl Formatter for Escaping {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, out: &mut W, fragment: &str) -> io::Result<()> {
        // All escaped characters are DEL or beyond ASCII; most text has neither.
        if fragment.bytes().fold(0, u8::max) < 0x7f {
            return out.write_all(fragment.as_bytes());
        }
        let mut rest = fragment;
        while let Some((at, c)) = rest.char_indices().find(|&(_, c)| escaped(c)) {
            let (before, after) = rest.split_at(at);
            CompactFormatter.write_string_fragment(out, before)?;
            // All of them lie in the basic plane, where `\u` and four digits are the whole escape.
            write!(out, "\\u{:04x}", u32::from(c))?;
            rest = after.get(c.len_utf8()..).unwrap_or("");
        }
        CompactFormatter.write_string_fragment(out, rest)
    }
}

/// Control characters beyond those JSON escapes, line separators, and marks that reverse or hide text.
fn escaped(c: char) -> bool {
    matches!(c,
        '\u{7f}'..='\u{9f}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    /// Takes `room` bytes, then fails.
    struct Full {
        room: usize,
        kind: io::ErrorKind,
    }

    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let n = bytes.len().min(self.room);
            self.room -= n;
            if n == 0 { Err(self.kind.into()) } else { Ok(n) }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn every_record_is_one_line_without_raw_control_characters() {
        for record in samples::all() {
            let mut text = Vec::new();
            line(&record, &mut text).unwrap();
            let text = String::from_utf8(text).unwrap();
            let (body, end) = text.split_at(text.len() - 1);
            assert_eq!(end, "\n");
            assert!(!body.chars().any(|c| c.is_control() || escaped(c)), "{body}");
            let value: serde_json::Value = serde_json::from_str(body).unwrap();
            assert_eq!(value, serde_json::to_value(&record).unwrap(), "escaping changes no value");
        }
    }

    #[test]
    fn a_full_disk_is_told_once_and_counted_from_then_on() {
        let records = samples::all();
        let mut writer = Writer::new(Full { room: 900, kind: io::ErrorKind::StorageFull });
        let results: Vec<_> = records.iter().map(|r| writer.write(r)).collect();
        let told = results.iter().filter(|r| matches!(r, Err(Error::Write(_)))).count();
        assert_eq!(told, 1);
        let Totals { written, lost } = writer.totals();
        assert!(lost > 0 && written + lost == records.len() as u64, "{written} + {lost}");
        assert!(matches!(writer.flush(), Err(Error::Failed)));
    }

    #[test]
    fn a_closed_pipe_is_told_apart() {
        let mut writer = Writer::new(Full { room: 0, kind: io::ErrorKind::BrokenPipe });
        assert!(matches!(writer.write(&samples::all()[0]), Err(Error::Closed)));
    }
}
