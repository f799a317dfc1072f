//! Header compression (RFC 7541), one [`Decoder`] per direction.
//!
//! A block is read field by field, so one that comes in pieces keeps no more than the beginning of a field. A
//! decoder that joined late, or lost bytes, knows the entries that were added since, for these are addressed from
//! the newest; what lies before them is unknown, which is neither an error nor a guess.

mod fields;
mod huffman;
mod table;
#[cfg(test)]
mod tests;

pub(crate) use fields::FieldList;

use table::{Dynamic, Known, STATIC};

/// Most bytes kept of a dynamic table, by the measure of RFC 7541 §4.1, whatever a peer announces. Older entries
/// of a larger table count as unknown. With what it takes to keep them, a direction holds less than four times this.
pub const MAX_TABLE: usize = 64 << 10;
/// Size of a dynamic table until its sender says otherwise, and most that it may say until its receiver allows more
/// (RFC 9113 §6.5.2).
const DEFAULT_TABLE: u32 = 4096;
/// Most bytes of an integer: 32 bits, and some zeros that a sender may add.
const MAX_INTEGER: usize = 8;

/// The rest of a block cannot be read, and the table behind it is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    /// A number that is too large, or does not end (§5.1).
    Number,
    /// A field of more encoded bytes than the limit.
    TooLong,
}

/// The decoder of one direction.
#[derive(Debug)]
pub(crate) struct Decoder {
    table: Dynamic,
    /// Largest table the receiver ever allowed; `None` while its settings were not seen.
    allowed: Option<u32>,
    /// Not all settings of the receiver will be seen.
    any_size: bool,
    /// Every entry of the sender's table is in ours, so that an index beyond is an error.
    complete: bool,
    /// A field of the block was read, so no change of size may follow (§4.2).
    within: bool,
}

/// A string as it stands on the wire (§5.2).
#[derive(Clone, Copy)]
struct Text<'i> {
    huffman: bool,
    bytes: &'i [u8],
}

impl Decoder {
    /// A decoder from the beginning of a connection; `late` where that was missed.
    pub(crate) fn new(late: bool) -> Self {
        let limit = if late { MAX_TABLE } else { usize::try_from(DEFAULT_TABLE).unwrap_or(MAX_TABLE) };
        Self { table: Dynamic::new(limit), allowed: None, any_size: late, complete: !late, within: false }
    }

    /// Bytes of header blocks were lost: the table is unknown.
    pub(crate) fn lose(&mut self) {
        self.complete = false;
        self.table.clear();
    }

    /// The receiver told its settings, which allow the usual size if they do not say otherwise.
    pub(crate) fn allow_default(&mut self) {
        self.allow(DEFAULT_TABLE);
    }

    /// The receiver allows a table of `size` bytes (RFC 9113 §6.5.2). When the sender begins to heed that cannot be
    /// seen, so the largest counts.
    pub(crate) fn allow(&mut self, size: u32) {
        if !self.any_size {
            self.allowed = Some(self.allowed.unwrap_or(DEFAULT_TABLE).max(size));
        }
    }

    /// What the receiver allows is not known: its settings were not all seen.
    pub(crate) fn allow_any(&mut self) {
        self.any_size = true;
        self.allowed = None;
    }

    /// Bytes of memory held.
    pub(crate) fn memory(&self) -> usize {
        self.table.memory()
    }

    /// A block begins.
    pub(crate) fn begin(&mut self) {
        self.within = false;
    }

    /// Reads whole fields off the front of `input` into `out`, which keeps as many as are within `limit` bytes, encoded
    /// and as a list. Returns how many bytes that took; the rest is the beginning of a field.
    ///
    /// # Errors
    ///
    /// [`Broken`]; the table counts as unknown from there on.
    pub(crate) fn decode(&mut self, input: &[u8], limit: usize, out: &mut FieldList) -> Result<usize, Broken> {
        let mut rest = input;
        while !rest.is_empty() {
            // A field may take as many bytes as would be kept of it, had it come in parts.
            let within = rest.get(..limit).unwrap_or(rest);
            let read = match self.field(within, limit, out) {
                Ok(None) if within.len() < rest.len() => Err(Broken::TooLong),
                read => read,
            };
            match read {
                Ok(Some(after)) => rest = rest.get(within.len() - after.len()..).unwrap_or_default(),
                Ok(None) => break,
                Err(broken) => {
                    out.bad |= broken == Broken::Number;
                    out.over |= broken == Broken::TooLong;
                    self.lose();
                    return Err(broken);
                }
            }
        }
        Ok(input.len() - rest.len())
    }

    /// One field or change of size (§6); returns what follows, `None` if it is not whole.
    fn field<'i>(&mut self, input: &'i [u8], limit: usize, out: &mut FieldList) -> Result<Option<&'i [u8]>, Broken> {
        let Some(&first) = input.first() else { return Ok(None) };
        let (bits, literal) = match first {
            0x80.. => (7, false),
            0x40.. => (6, true),
            0x20.. => (5, false),
            _ => (4, true),
        };
        let Some((number, rest)) = integer(input, bits)? else { return Ok(None) };
        if !literal {
            out.encoded(input.len() - rest.len(), limit);
            if bits == 7 {
                self.indexed(number, limit, out);
            } else {
                self.resize(number, out);
            }
            return Ok(Some(rest));
        }
        let (name, rest) = if number == 0 {
            let Some((name, rest)) = string(rest)? else { return Ok(None) };
            (Some(name), rest)
        } else {
            (None, rest)
        };
        let Some((value, rest)) = string(rest)? else { return Ok(None) };
        let used = input.len() - rest.len();
        if used > limit {
            return Err(Broken::TooLong);
        }
        out.encoded(used, limit);
        self.literal(name.ok_or(number), value, bits == 6, limit, out);
        Ok(Some(rest))
    }

    /// §6.1.
    fn indexed(&mut self, index: u32, limit: usize, out: &mut FieldList) {
        self.within = true;
        let field = self.lookup(index, out);
        out.unknown += u32::from(field.name.is_none() || field.value.is_none());
        out.add(field, limit);
    }

    /// §6.2: a name of its own or of a table, and a value.
    fn literal(&mut self, name: Result<Text<'_>, u32>, value: Text<'_>, add: bool, limit: usize, out: &mut FieldList) {
        self.within = true;
        if out.over && !add {
            return;
        }
        let start = out.text().len();
        let name_known = match name {
            Ok(name) => name.read(out),
            Err(index) => {
                let field = self.lookup(index, out);
                out.unknown += u32::from(field.name.is_none());
                out.text().extend_from_slice(field.name.unwrap_or_default());
                field.name.is_some()
            }
        };
        let name_len = out.text().len() - start;
        let value_known = value.read(out);
        if add {
            let text = out.text().get(start..).unwrap_or_default();
            let (name, value) = text.split_at_checked(name_len).unwrap_or_default();
            let field = Known { name: name_known.then_some(name), value: value_known.then_some(value) };
            // One that does not fit ours may fit the sender's table, and then it has a place in the order.
            let dropped = field.size() > MAX_TABLE && !self.complete;
            self.table.insert(if dropped { Known::default() } else { field });
        }
        out.close(start, name_len, limit);
    }

    /// §6.3.
    fn resize(&mut self, size: u32, out: &mut FieldList) {
        out.bad |= self.within || self.allowed.is_some_and(|allowed| size > allowed);
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        if size == 0 {
            // Whatever there was is gone on both sides.
            self.complete = true;
        }
        if size > MAX_TABLE {
            out.capped = true;
            self.complete = false;
        }
        self.table.set_limit(size.min(MAX_TABLE));
    }

    /// What an index stands for (§2.3.3); unknown where that is in no table.
    fn lookup(&self, index: u32, out: &mut FieldList) -> Known<'_> {
        let index = usize::try_from(index).unwrap_or(usize::MAX);
        let Some(index) = index.checked_sub(1) else {
            out.bad = true;
            return Known::default();
        };
        if let Some((name, value)) = STATIC.get(index) {
            return Known { name: Some(name.as_bytes()), value: Some(value.as_bytes()) };
        }
        let known = self.table.get(index.saturating_sub(STATIC.len()));
        out.bad |= known.is_none() && self.complete;
        known.unwrap_or_default()
    }
}

impl Text<'_> {
    /// Appends the string to the text of `out`; nothing and `false` if it cannot be read.
    fn read(self, out: &mut FieldList) -> bool {
        let start = out.text().len();
        if !self.huffman {
            out.text().extend_from_slice(self.bytes);
        } else if huffman::decode(self.bytes, out.text()).is_err() {
            out.text().truncate(start);
            out.bad = true;
            return false;
        }
        true
    }
}

/// An integer in the low `bits` bits of the first byte and what follows (§5.1), and the rest; `None` if it is not
/// whole.
fn integer(input: &[u8], bits: u32) -> Result<Option<(u32, &[u8])>, Broken> {
    let Some((&first, rest)) = input.split_first() else { return Ok(None) };
    let most = u8::MAX >> (8 - bits);
    let start = u64::from(first & most);
    if start < u64::from(most) {
        return Ok(Some((u32::try_from(start).map_err(|_| Broken::Number)?, rest)));
    }
    let mut value = start;
    for (i, &byte) in rest.iter().take(MAX_INTEGER).enumerate() {
        let part = u64::from(byte & 0x7f)
            .checked_shl(7 * u32::try_from(i).map_err(|_| Broken::Number)?)
            .ok_or(Broken::Number)?;
        value = value.checked_add(part).ok_or(Broken::Number)?;
        if byte & 0x80 == 0 {
            let value = u32::try_from(value).map_err(|_| Broken::Number)?;
            return Ok(Some((value, rest.get(i + 1..).unwrap_or_default())));
        }
    }
    if rest.len() < MAX_INTEGER { Ok(None) } else { Err(Broken::Number) }
}

/// A string (§5.2) and the rest; `None` if it is not whole.
fn string(input: &[u8]) -> Result<Option<(Text<'_>, &[u8])>, Broken> {
    let Some(&first) = input.first() else { return Ok(None) };
    let Some((len, rest)) = integer(input, 7)? else { return Ok(None) };
    let len = usize::try_from(len).map_err(|_| Broken::Number)?;
    let huffman = first & 0x80 != 0;
    Ok(rest.split_at_checked(len).map(|(bytes, rest)| (Text { huffman, bytes }, rest)))
}
