//! Which Unicode form a JSON text has (RFC 4627 §3: the zeros among its first four bytes, or a byte order
//! mark), and UTF-16 and UTF-32 to UTF-8 as the bytes come. Official servers accept these forms.

use std::borrow::Cow;

/// Unicode form of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Utf8,
    Utf16 { big: bool },
    Utf32 { big: bool },
}

/// What the first bytes of a body say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Detected {
    /// The form, and the length of the byte order mark.
    Form(Form, usize),
    /// More bytes are needed (four are always enough).
    More,
}

/// Decides by as few bytes as will do; `end` says that no more will come.
pub(crate) fn detect(head: &[u8], end: bool) -> Detected {
    use Form::{Utf8, Utf16, Utf32};
    let form = match head {
        [0x00, 0x00, 0xFE, 0xFF, ..] => (Utf32 { big: true }, 4),
        [0xFF, 0xFE, 0x00, 0x00, ..] => (Utf32 { big: false }, 4),
        [0xFF, 0xFE, _, _, ..] => (Utf16 { big: false }, 2),
        [0xFE, 0xFF, ..] => (Utf16 { big: true }, 2),
        [0xEF, 0xBB, 0xBF, ..] => (Utf8, 3),
        [0x00, 0x00, _, _, ..] => (Utf32 { big: true }, 0),
        [0x00, 1..=255, ..] => (Utf16 { big: true }, 0),
        [1..=255, 0x00, 0x00, 0x00, ..] => (Utf32 { big: false }, 0),
        [1..=255, 0x00, _, _, ..] => (Utf16 { big: false }, 0),
        // Half a mark, zeros that need a third byte, or one byte that a zero may follow.
        [0xEF, 0xBB] | [0x00, ..] | [1..=255, 0x00, ..] | [0xFF, 0xFE, ..] | [_] | [] if !end => {
            return Detected::More;
        }
        _ => (Utf8, 0),
    };
    Detected::Form(form.0, form.1)
}

/// Most raw bytes in one [`Block`].
const BLOCK: usize = 4096;

/// A stretch of a wide body: the raw bytes, the same as UTF-8, and where each byte of that came from.
#[derive(Debug, Default)]
pub(crate) struct Block {
    pub(crate) raw: Vec<u8>,
    pub(crate) text: Vec<u8>,
    /// For each byte of `text` the offset in `raw` of its character.
    pub(crate) map: Vec<usize>,
}

impl Block {
    fn push(&mut self, raw: &[u8], c: char) {
        let at = self.raw.len();
        self.raw.extend_from_slice(raw);
        let mut room = [0; 4];
        let utf8 = c.encode_utf8(&mut room).as_bytes();
        self.text.extend_from_slice(utf8);
        self.map.extend(utf8.iter().map(|_| at));
    }

    pub(crate) fn clear(&mut self) {
        self.raw.clear();
        self.text.clear();
        self.map.clear();
    }
}

/// Turns UTF-16 or UTF-32 into UTF-8, keeping at most one unfinished character between calls.
#[derive(Debug)]
pub(crate) struct Wide {
    form: Form,
    pending: [u8; 4],
    held: usize,
}

impl Wide {
    pub(crate) fn new(form: Form) -> Self {
        Self { form, pending: [0; 4], held: 0 }
    }

    /// Fills `block` from `input`; returns how much of it was used (all, unless the block is full).
    pub(crate) fn fill(&mut self, input: &[u8], block: &mut Block) -> usize {
        let mut used = 0;
        while let Some(&byte) = input.get(used) {
            if block.raw.len() >= BLOCK {
                break;
            }
            if let (Form::Utf16 { big }, 0, Some(&second)) = (self.form, self.held, input.get(used + 1)) {
                // ASCII, nearly always.
                let unit = join(big, byte, second);
                if let (true, Ok(ascii)) = (unit < 0x80, u8::try_from(unit)) {
                    block.map.push(block.raw.len());
                    block.text.push(ascii);
                    block.raw.extend_from_slice(&[byte, second]);
                    used += 2;
                    continue;
                }
            }
            used += 1;
            if let Some(slot) = self.pending.get_mut(self.held) {
                *slot = byte;
                self.held += 1;
            }
            self.drain(block);
        }
        used
    }

    /// Takes a finished character out of `pending`, if there is one.
    fn drain(&mut self, block: &mut Block) {
        let [a, b, c, d] = self.pending;
        match self.form {
            Form::Utf32 { big } if self.held == 4 => {
                let point = if big { u32::from_be_bytes([a, b, c, d]) } else { u32::from_le_bytes([a, b, c, d]) };
                block.push(&[a, b, c, d], char::from_u32(point).unwrap_or(char::REPLACEMENT_CHARACTER));
                self.held = 0;
            }
            Form::Utf16 { big } if self.held == 2 => {
                let unit = join(big, a, b);
                if !(0xD800..0xDC00).contains(&unit) {
                    block.push(&[a, b], char::from_u32(unit.into()).unwrap_or(char::REPLACEMENT_CHARACTER));
                    self.held = 0;
                }
            }
            Form::Utf16 { big } if self.held == 4 => {
                if let Some(Ok(both)) = char::decode_utf16([join(big, a, b), join(big, c, d)]).next() {
                    block.push(&[a, b, c, d], both);
                    self.held = 0;
                } else {
                    block.push(&[a, b], char::REPLACEMENT_CHARACTER);
                    self.pending = [c, d, 0, 0];
                    self.held = 2;
                    self.drain(block);
                }
            }
            _ => {}
        }
    }
}

/// The UTF-8 form of a whole text; a mark at its front goes where the form is another.
pub(crate) fn narrow(text: &[u8]) -> Cow<'_, [u8]> {
    let Detected::Form(form @ (Form::Utf16 { .. } | Form::Utf32 { .. }), mark) = detect(text, true) else {
        return Cow::Borrowed(text);
    };
    let (mut wide, mut block, mut out) = (Wide::new(form), Block::default(), Vec::with_capacity(text.len()));
    let mut rest = text.get(mark..).unwrap_or_default();
    while !rest.is_empty() {
        let used = wide.fill(rest, &mut block);
        out.extend_from_slice(&block.text);
        block.clear();
        rest = rest.get(used.max(1)..).unwrap_or_default();
    }
    Cow::Owned(out)
}

fn join(big: bool, a: u8, b: u8) -> u16 {
    if big { u16::from_be_bytes([a, b]) } else { u16::from_le_bytes([a, b]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_is_known_from_the_fewest_bytes() {
        let form = |f, bom| Detected::Form(f, bom);
        for (name, head, end, want) in [
            ("plain", &b"{\""[..], false, form(Form::Utf8, 0)),
            ("one byte may be wide", b"{", false, Detected::More),
            ("one byte at the end", b"1", true, form(Form::Utf8, 0)),
            ("utf-8 mark", b"\xEF\xBB\xBF", false, form(Form::Utf8, 3)),
            ("half a mark", b"\xEF\xBB", false, Detected::More),
            ("utf-16le mark", b"\xFF\xFE{\0", false, form(Form::Utf16 { big: false }, 2)),
            ("utf-32le mark", b"\xFF\xFE\0\0", false, form(Form::Utf32 { big: false }, 4)),
            ("utf-16be mark", b"\xFE\xFF", false, form(Form::Utf16 { big: true }, 2)),
            ("utf-32be mark", b"\0\0\xFE\xFF", false, form(Form::Utf32 { big: true }, 4)),
            ("utf-16le", b"{\0\"\0", false, form(Form::Utf16 { big: false }, 0)),
            ("utf-16be", b"\0{", false, form(Form::Utf16 { big: true }, 0)),
            ("utf-32le", b"{\0\0\0", false, form(Form::Utf32 { big: false }, 0)),
            ("utf-32be", b"\0\0\0{", false, form(Form::Utf32 { big: true }, 0)),
            ("undecided", b"{\0", false, Detected::More),
        ] {
            assert_eq!(detect(head, end), want, "{name}");
        }
    }
}
