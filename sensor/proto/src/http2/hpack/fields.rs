//! The fields of one header block, as they are decoded.

use super::table::{Known, OVERHEAD};

/// Memory kept for the next block, in bytes; what a larger one took is given back.
const KEPT: usize = 4096;

/// Fields in order, in two buffers that serve block after block.
#[derive(Debug, Default)]
pub(crate) struct FieldList {
    text: Vec<u8>,
    spans: Vec<Span>,
    /// Bytes by the measure of RFC 9113 §6.5.2, of what is kept.
    size: usize,
    /// Encoded bytes of all fields that came.
    encoded: usize,
    /// More came than the limit allows; the rest is left out.
    pub(crate) over: bool,
    /// Fields of which something is unknown because the table is.
    pub(crate) unknown: u32,
    /// Something was met that HPACK forbids.
    pub(crate) bad: bool,
    /// The sender announced a larger table than is kept.
    pub(crate) capped: bool,
}

/// Lengths of one field's name and value, whose text follows that of the field before.
#[derive(Clone, Copy, Debug)]
struct Span {
    name: u32,
    value: u32,
}

impl FieldList {
    /// Name and value of each field, each empty where it is unknown. A name that is no UTF-8 reads as one
    /// replacement character.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let mut rest = self.text.as_slice();
        self.spans.iter().map(move |span| {
            let mut take = |len: u32| {
                let len = usize::try_from(len).unwrap_or(usize::MAX);
                let (head, tail) = rest.split_at_checked(len).unwrap_or((rest, &[]));
                rest = tail;
                head
            };
            let (name, value) = (take(span.name), take(span.value));
            (str::from_utf8(name).unwrap_or("\u{fffd}"), value)
        })
    }

    pub(crate) fn len(&self) -> usize {
        self.spans.len()
    }

    /// Makes room for the next block.
    pub(crate) fn clear(&mut self) {
        self.forget();
        let (text, spans) = (std::mem::take(&mut self.text), std::mem::take(&mut self.spans));
        *self = Self { text, spans, ..Self::default() };
    }

    /// Forgets the fields, not what else was met.
    pub(crate) fn forget(&mut self) {
        self.text.clear();
        self.spans.clear();
        self.text.shrink_to(KEPT);
        self.spans.shrink_to(KEPT / size_of::<Span>());
    }

    /// Counts the encoded bytes of a field; no more are kept once the block is over `limit`.
    pub(super) fn encoded(&mut self, n: usize, limit: usize) {
        self.encoded = self.encoded.saturating_add(n);
        self.over |= self.encoded > limit;
    }

    /// Adds a field of the tables, unless the list would outgrow `limit`.
    pub(super) fn add(&mut self, field: Known<'_>, limit: usize) {
        let size = field.size();
        if !self.fits(size, limit) {
            return;
        }
        let part = |text: Option<&[u8]>| u32::try_from(text.map_or(0, <[u8]>::len)).unwrap_or(0);
        let span = Span { name: part(field.name), value: part(field.value) };
        for text in [field.name, field.value].into_iter().flatten() {
            self.text.extend_from_slice(text);
        }
        self.spans.push(span);
        self.size += size;
    }

    /// Where the text of the next field goes.
    pub(super) fn text(&mut self) -> &mut Vec<u8> {
        &mut self.text
    }

    /// The text from `start` on is a field, with `name` bytes of name; it is taken back where the list would outgrow
    /// `limit`.
    pub(super) fn close(&mut self, start: usize, name: usize, limit: usize) {
        let value = self.text.len().saturating_sub(start).saturating_sub(name);
        if self.fits(OVERHEAD + name + value, limit)
            && let (Ok(name), Ok(value)) = (u32::try_from(name), u32::try_from(value))
        {
            self.spans.push(Span { name, value });
            self.size += OVERHEAD + self.text.len().saturating_sub(start);
        } else {
            self.text.truncate(start);
        }
    }

    /// Once one field did not fit, none does: a list with a hole would be another list.
    fn fits(&mut self, size: usize, limit: usize) -> bool {
        self.over |= self.size.saturating_add(size) > limit;
        !self.over
    }

    /// Bytes of memory held.
    pub(crate) fn memory(&self) -> usize {
        self.text.capacity() + self.spans.capacity() * size_of::<Span>()
    }
}
