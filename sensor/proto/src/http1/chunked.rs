//! The chunked transfer coding (RFC 9112 §7.1), taken off without keeping a byte of it.

use memchr::memchr;

/// Where in a chunked body the next byte stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Chunked {
    place: Place,
    /// A line ended with a bare LF: receivers differ, so it is told once.
    bare_lf: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// In the digits of a chunk size; `None` before the first.
    Size(Option<u64>),
    /// Behind the digits. Extensions are skipped at any length, as nothing of them is kept.
    Extension { size: u64, cr: bool },
    /// So many content bytes are left of this chunk.
    Data(u64),
    /// The line end behind the content.
    DataEnd { cr: bool },
    /// At the beginning of a trailer line.
    Trailer { cr: bool },
    /// Inside a trailer line.
    TrailerLine { cr: bool },
}

/// What the next bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Took {
    /// So many bytes of framing.
    Framing(usize),
    /// So many bytes of content.
    Content(usize),
    /// The body ends after so many bytes.
    End(usize),
    /// After so many bytes comes one that cannot be.
    Bad(usize),
}

impl Chunked {
    pub(crate) const fn new() -> Self {
        Self { place: Place::Size(None), bare_lf: false }
    }

    /// Takes bytes off the front of `data`, which must not be empty; at least one unless they are `Bad`.
    pub(crate) fn take(&mut self, data: &[u8]) -> Took {
        if let Place::Data(left) = self.place {
            let n = usize::try_from(left).unwrap_or(usize::MAX).min(data.len());
            self.advance(left, n as u64);
            return Took::Content(n);
        }
        let mut used = 0;
        while let Some(&c) = data.get(used) {
            match self.place {
                Place::Data(_) => break,
                Place::Extension { size, .. } => match self.line_end(data, &mut used) {
                    Some(cr) => self.place = Place::Extension { size, cr },
                    None => self.place = if size == 0 { Place::Trailer { cr: false } } else { Place::Data(size) },
                },
                Place::TrailerLine { .. } => match self.line_end(data, &mut used) {
                    Some(cr) => self.place = Place::TrailerLine { cr },
                    None => self.place = Place::Trailer { cr: false },
                },
                Place::Trailer { cr } => {
                    used += 1;
                    match c {
                        b'\n' => {
                            self.bare_lf |= !cr;
                            return Took::End(used);
                        }
                        b'\r' if !cr => self.place = Place::Trailer { cr: true },
                        _ => self.place = Place::TrailerLine { cr: c == b'\r' },
                    }
                }
                Place::Size(size) => {
                    if !self.size_byte(size, c) {
                        return Took::Bad(used);
                    }
                    used += 1;
                }
                Place::DataEnd { cr } => {
                    self.place = match c {
                        b'\n' => Place::Size(None),
                        b'\r' if !cr => Place::DataEnd { cr: true },
                        _ => return Took::Bad(used),
                    };
                    self.bare_lf |= c == b'\n' && !cr;
                    used += 1;
                }
            }
        }
        Took::Framing(used)
    }

    /// Content bytes left of the current chunk; `None` between chunks.
    pub(crate) fn left(&self) -> Option<u64> {
        match self.place {
            Place::Data(left) => Some(left),
            _ => None,
        }
    }

    /// Passes `n` content bytes that were lost, at most [`Self::left`].
    pub(crate) fn skip(&mut self, n: u64) {
        if let Place::Data(left) = self.place {
            self.advance(left, n);
        }
    }

    /// Whether the last chunk was seen and only trailers may follow.
    pub(crate) fn at_trailers(&self) -> bool {
        matches!(self.place, Place::Trailer { .. } | Place::TrailerLine { .. })
    }

    /// Whether a line ended with a bare LF so far.
    pub(crate) fn bare_lf(&self) -> bool {
        self.bare_lf
    }

    fn advance(&mut self, left: u64, n: u64) {
        self.place = match left.saturating_sub(n) {
            0 => Place::DataEnd { cr: false },
            left => Place::Data(left),
        };
    }

    /// Takes a byte of the size line up to the end of the digits; whether it may stand there.
    fn size_byte(&mut self, size: Option<u64>, c: u8) -> bool {
        let digit = char::from(c).to_digit(16).map(u64::from);
        self.place = match (digit, size) {
            (Some(digit), _) => match size.unwrap_or(0).checked_mul(16) {
                Some(n) => Place::Size(Some(n | digit)),
                None => return false,
            },
            (None, Some(0)) if c == b'\n' => Place::Trailer { cr: false },
            (None, Some(size)) if c == b'\n' => Place::Data(size),
            (None, Some(size)) if matches!(c, b'\r' | b';' | b' ' | b'\t') => Place::Extension { size, cr: c == b'\r' },
            (None, None) if matches!(c, b' ' | b'\t') => Place::Size(None),
            (None, _) => return false,
        };
        self.bare_lf |= c == b'\n';
        true
    }

    /// Goes to the end of a line. `Some` while it has not come: whether the last byte is a CR.
    fn line_end(&mut self, data: &[u8], used: &mut usize) -> Option<bool> {
        let before = match self.place {
            Place::Extension { cr, .. } | Place::TrailerLine { cr } => cr,
            _ => false,
        };
        let rest = data.get(*used..).unwrap_or_default();
        let Some(lf) = memchr(b'\n', rest) else {
            *used = data.len();
            return Some(rest.last() == Some(&b'\r'));
        };
        *used += lf + 1;
        let cr = lf.checked_sub(1).map_or(before, |at| rest.get(at) == Some(&b'\r'));
        self.bare_lf |= !cr;
        None
    }
}
