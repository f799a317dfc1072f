//! The push parser.

use super::{Event, MAX_ID, MAX_NAME, Sink, Stats};
use memchr::memchr2;

const BOM: [u8; 3] = [0xef, 0xbb, 0xbf];
/// Longest name of a known field, in bytes (`event`, `retry`).
const MAX_FIELD: usize = 5;

/// Reads one event stream. Holds at most [`MAX_NAME`] and twice [`MAX_ID`] bytes of it.
#[derive(Clone, Debug)]
pub struct Parser {
    at: At,
    /// The last byte was a CR: an LF that follows belongs to it.
    after_cr: bool,
    /// The value of the line being read, other than data. Longer than any name or id by one, to tell a cut one.
    value: Text<{ MAX_ID + 1 }>,
    name: Text<MAX_NAME>,
    id: Option<Text<MAX_ID>>,
    retry: Option<u64>,
    /// There was a data line.
    has_data: bool,
    /// There was a line that makes an event.
    any: bool,
    stats: Stats,
}

#[derive(Clone, Copy, Debug)]
enum At {
    /// At the start of the stream, with so many bytes of the mark seen.
    Bom(u8),
    /// At the start of a line.
    Line,
    /// In the name of a field.
    Field(Text<MAX_FIELD>),
    /// After the colon, where one space is not part of the value.
    Colon(Field),
    Value(Field),
    /// In a line of an event that was lost.
    LostLine,
    /// At the start of a line of an event that was lost.
    Lost,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Comment,
    Data,
    Event,
    Id,
    Retry,
    Unknown,
}

impl Field {
    fn named(name: &Text<MAX_FIELD>) -> Self {
        match name.whole() {
            Some(b"data") => Self::Data,
            Some(b"event") => Self::Event,
            Some(b"id") => Self::Id,
            Some(b"retry") => Self::Retry,
            _ => Self::Unknown,
        }
    }
}

impl Default for Parser {
    fn default() -> Self {
        Self::new()
    }
}

impl Parser {
    /// A parser at the start of a stream.
    pub fn new() -> Self {
        Self {
            at: At::Bom(0),
            after_cr: false,
            value: Text::EMPTY,
            name: Text::EMPTY,
            id: None,
            retry: None,
            has_data: false,
            any: false,
            stats: Stats::default(),
        }
    }

    /// What was seen so far.
    pub fn stats(&self) -> Stats {
        self.stats
    }

    /// Takes the next bytes.
    pub fn feed(&mut self, mut input: &[u8], sink: &mut impl Sink) {
        while let Some((&byte, rest)) = input.split_first() {
            if std::mem::take(&mut self.after_cr) && byte == b'\n' {
                input = rest;
                continue;
            }
            if let At::Bom(seen) = self.at {
                input = self.mark(seen, byte, input, sink);
                continue;
            }
            let (text, end) = match memchr2(b'\r', b'\n', input) {
                Some(at) => input.split_at(at),
                None => (input, &[][..]),
            };
            if !text.is_empty() {
                self.text(text, sink);
            }
            input = match end.split_first() {
                Some((&end, rest)) => {
                    self.after_cr = end == b'\r';
                    self.line_end(sink);
                    rest
                }
                None => &[],
            };
        }
    }

    /// Bytes are missing. The current event is given as cut, and what follows is skipped to the next blank line.
    pub fn gap(&mut self, sink: &mut impl Sink) {
        self.cut(sink);
        self.after_cr = false;
        self.at = At::LostLine;
    }

    /// The stream is over. An event that no blank line has dispatched is given as cut, with the data of its last
    /// line; an unfinished line of another field is dropped.
    pub fn finish(&mut self, sink: &mut impl Sink) {
        self.cut(sink);
        *self = Self { stats: self.stats, ..Self::new() };
    }

    /// Takes a byte where the byte order mark may be.
    fn mark<'i>(&mut self, seen: u8, byte: u8, input: &'i [u8], sink: &mut impl Sink) -> &'i [u8] {
        let at = usize::from(seen);
        if BOM.get(at) == Some(&byte) {
            self.at = if at + 1 == BOM.len() { At::Line } else { At::Bom(seen + 1) };
            return input.get(1..).unwrap_or_default();
        }
        self.at = At::Line;
        if let Some(text @ [_, ..]) = BOM.get(..at) {
            self.text(text, sink);
        }
        input
    }

    /// Takes a piece of a line, without line ends and not empty.
    fn text(&mut self, mut text: &[u8], sink: &mut impl Sink) {
        loop {
            match self.at {
                At::Bom(_) | At::Line => self.at = At::Field(Text::EMPTY),
                At::Lost | At::LostLine => {
                    self.at = At::LostLine;
                    return;
                }
                At::Field(ref mut name) => {
                    let Some(colon) = memchr::memchr(b':', text) else {
                        name.push(text);
                        return;
                    };
                    name.push(text.get(..colon).unwrap_or_default());
                    let field = if name.is_empty() { Field::Comment } else { Field::named(name) };
                    text = text.get(colon + 1..).unwrap_or_default();
                    self.open(field, sink);
                }
                At::Colon(field) => {
                    if text.is_empty() {
                        return;
                    }
                    text = text.strip_prefix(b" ").unwrap_or(text);
                    self.at = At::Value(field);
                }
                At::Value(field) => {
                    match field {
                        Field::Data if !text.is_empty() => sink.data(text),
                        Field::Event | Field::Id | Field::Retry => self.value.push(text),
                        Field::Data | Field::Comment | Field::Unknown => {}
                    }
                    return;
                }
            }
        }
    }

    /// Begins the value of `field`.
    fn open(&mut self, field: Field, sink: &mut impl Sink) {
        self.at = At::Colon(field);
        self.value.clear();
        if field == Field::Data {
            if self.has_data {
                sink.data(b"\n");
            }
            self.has_data = true;
        }
    }

    fn line_end(&mut self, sink: &mut impl Sink) {
        match self.at {
            At::Bom(_) | At::Line => self.dispatch(sink),
            // The blank line that ends the lost event.
            At::Lost => {}
            At::LostLine => {
                self.at = At::Lost;
                return;
            }
            At::Field(name) => {
                let field = Field::named(&name);
                self.open(field, sink);
                self.close(field);
            }
            At::Colon(field) | At::Value(field) => self.close(field),
        }
        self.at = At::Line;
    }

    /// The line of `field` is whole.
    fn close(&mut self, field: Field) {
        match field {
            Field::Comment => self.stats.comments += 1,
            Field::Event => {
                self.name.clear();
                self.name.push(self.value.as_slice());
                self.any = true;
            }
            Field::Id if !self.value.holds_nul => {
                let id = self.id.insert(Text::EMPTY);
                id.push(self.value.as_slice());
                self.any = true;
            }
            Field::Retry => {
                self.retry = self.value.number().or(self.retry);
                self.any |= self.retry.is_some();
            }
            Field::Data => self.any = true,
            Field::Id | Field::Unknown => {}
        }
    }

    fn dispatch(&mut self, sink: &mut impl Sink) {
        if self.any {
            self.stats.events += 1;
            self.give(false, sink);
        }
    }

    fn cut(&mut self, sink: &mut impl Sink) {
        if self.any || self.has_data {
            self.stats.cut += 1;
            self.give(true, sink);
        }
    }

    fn give(&mut self, cut: bool, sink: &mut impl Sink) {
        let clipped = self.name.clipped || self.id.is_some_and(|id| id.clipped);
        self.stats.clipped += u64::from(clipped);
        let name = self.name.as_slice();
        sink.event(Event {
            name: if name.is_empty() { b"message" } else { name },
            id: self.id.as_ref().map(Text::as_slice),
            retry: self.retry,
            has_data: self.has_data,
            cut,
            clipped,
        });
        self.name.clear();
        self.id = None;
        self.retry = None;
        self.has_data = false;
        self.any = false;
    }
}

/// The first `N` bytes of a text.
#[derive(Clone, Copy, Debug)]
struct Text<const N: usize> {
    bytes: [u8; N],
    len: usize,
    clipped: bool,
    /// Also of the bytes that were not kept.
    holds_nul: bool,
}

impl<const N: usize> Text<N> {
    const EMPTY: Self = Self { bytes: [0; N], len: 0, clipped: false, holds_nul: false };

    fn clear(&mut self) {
        self.len = 0;
        self.clipped = false;
        self.holds_nul = false;
    }

    fn push(&mut self, text: &[u8]) {
        self.holds_nul |= text.contains(&0);
        let free = self.bytes.get_mut(self.len..).unwrap_or_default();
        let n = free.len().min(text.len());
        if let (Some(free), Some(head)) = (free.get_mut(..n), text.get(..n)) {
            free.copy_from_slice(head);
        }
        self.len += n;
        self.clipped |= n < text.len();
    }

    fn is_empty(&self) -> bool {
        self.len == 0
    }

    fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    fn whole(&self) -> Option<&[u8]> {
        (!self.clipped).then(|| self.as_slice())
    }

    fn number(&self) -> Option<u64> {
        let digits = self.whole().filter(|digits| digits.iter().all(u8::is_ascii_digit))?;
        str::from_utf8(digits).ok()?.parse().ok()
    }
}
