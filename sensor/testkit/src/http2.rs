//! HTTP/2 frames (RFC 9113) and header blocks (RFC 7541), written every way a peer may write them.
//!
//! The Huffman code is built here from its rows in appendix B, not shared with the product, so that the two check
//! each other.

use std::collections::VecDeque;

/// Connection preface of a client (RFC 9113 section 3.4).
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// `END_STREAM`, and `ACK` of SETTINGS and PING.
pub const END_STREAM: u8 = 1;
/// `END_HEADERS`.
pub const END_HEADERS: u8 = 4;
/// `PADDED`.
pub const PADDED: u8 = 8;
/// `PRIORITY` of HEADERS.
pub const PRIORITY: u8 = 32;

/// One frame, whatever its kind.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut out = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    out.extend_from_slice(&[kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(payload);
    out
}

/// A payload with its padding length before it and as many zeros behind it; for a frame with [`PADDED`].
pub fn padded(content: &[u8], pad: u8) -> Vec<u8> {
    [&[pad], content, &vec![0; usize::from(pad)]].concat()
}

/// A run of frames of one direction.
#[derive(Clone, Debug, Default)]
pub struct Frames(Vec<u8>);

impl Frames {
    /// The side of a client: the preface comes first.
    pub fn client() -> Self {
        Self(PREFACE.to_vec())
    }

    /// What was written.
    pub fn bytes(self) -> Vec<u8> {
        self.0
    }

    /// How much was written.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing was written.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Any frame.
    #[must_use]
    pub fn frame(mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Self {
        self.0.extend(frame(kind, flags, stream, payload));
        self
    }

    /// Bytes that are no frame, or a part of one.
    #[must_use]
    pub fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// SETTINGS.
    #[must_use]
    pub fn settings(self, settings: &[(u16, u32)]) -> Self {
        let payload: Vec<u8> =
            settings.iter().flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat()).collect();
        self.frame(4, 0, 0, &payload)
    }

    /// A whole header block in one frame.
    #[must_use]
    pub fn headers(self, stream: u32, block: &[u8], end: bool) -> Self {
        self.frame(1, END_HEADERS | u8::from(end), stream, block)
    }

    /// A header block in frames of at most `most` bytes.
    #[must_use]
    pub fn split_headers(mut self, stream: u32, block: &[u8], end: bool, most: usize) -> Self {
        let mut pieces: Vec<&[u8]> = block.chunks(most.max(1)).collect();
        if pieces.is_empty() {
            pieces.push(&[]);
        }
        for (i, piece) in pieces.iter().enumerate() {
            let last = if i + 1 == pieces.len() { END_HEADERS } else { 0 };
            let (kind, flags) = if i == 0 { (1, u8::from(end)) } else { (9, 0) };
            self = self.frame(kind, flags | last, stream, piece);
        }
        self
    }

    /// DATA.
    #[must_use]
    pub fn data(self, stream: u32, content: &[u8], end: bool) -> Self {
        self.frame(0, u8::from(end), stream, content)
    }

    /// DATA with padding.
    #[must_use]
    pub fn padded_data(self, stream: u32, content: &[u8], pad: u8, end: bool) -> Self {
        self.frame(0, PADDED | u8::from(end), stream, &padded(content, pad))
    }

    /// `RST_STREAM`.
    #[must_use]
    pub fn reset(self, stream: u32, code: u32) -> Self {
        self.frame(3, 0, stream, &code.to_be_bytes())
    }

    /// `PUSH_PROMISE` on `stream` of `promised`.
    #[must_use]
    pub fn promise(self, stream: u32, promised: u32, block: &[u8]) -> Self {
        self.frame(5, END_HEADERS, stream, &[&promised.to_be_bytes(), block].concat())
    }

    /// `GOAWAY` without further data.
    #[must_use]
    pub fn go_away(self, last: u32, code: u32) -> Self {
        self.frame(7, 0, 0, &[last.to_be_bytes(), code.to_be_bytes()].concat())
    }

    /// `WINDOW_UPDATE`.
    #[must_use]
    pub fn window_update(self, stream: u32, by: u32) -> Self {
        self.frame(8, 0, stream, &by.to_be_bytes())
    }
}

/// How a field is written (RFC 7541 section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Indexing {
    /// Literal, added to the dynamic table; or indexed, where it is in a table.
    Incremental,
    /// Literal, not added.
    Without,
    /// Literal, never to be added.
    Never,
}

/// The writing side of one direction, with its dynamic table.
#[derive(Clone, Debug)]
pub struct Encoder {
    /// Newest first.
    table: VecDeque<(Vec<u8>, Vec<u8>)>,
    limit: usize,
    /// Strings are written in the Huffman code.
    pub huffman: bool,
    /// How the next fields are written.
    pub indexing: Indexing,
}

impl Default for Encoder {
    fn default() -> Self {
        Self::new(true, Indexing::Incremental)
    }
}

impl Encoder {
    /// An encoder that writes in this manner; [`Encoder::default`] uses the Huffman code and the table.
    pub const fn new(huffman: bool, indexing: Indexing) -> Self {
        Self { table: VecDeque::new(), limit: 4096, huffman, indexing }
    }

    /// A block of these fields.
    pub fn block(&mut self, fields: &[(&str, &str)]) -> Vec<u8> {
        let mut out = Vec::new();
        for (name, value) in fields {
            self.field(name.as_bytes(), value.as_bytes(), &mut out);
        }
        out
    }

    /// A block of a request, with a content type where there is to be a body.
    pub fn request(&mut self, method: &str, path: &str, more: &[(&str, &str)]) -> Vec<u8> {
        let pseudo = [(":method", method), (":scheme", "http"), (":authority", "mcp.example"), (":path", path)];
        self.block(&[&pseudo[..], more].concat())
    }

    /// A block of a response.
    pub fn response(&mut self, status: &str, more: &[(&str, &str)]) -> Vec<u8> {
        self.block(&[&[(":status", status)][..], more].concat())
    }

    /// A change of the table's size, to stand at the beginning of a block.
    pub fn resize(&mut self, limit: u32) -> Vec<u8> {
        self.limit = limit as usize;
        self.evict();
        let mut out = Vec::new();
        integer(0x20, 5, limit as usize, &mut out);
        out
    }

    /// Writes one field.
    pub fn field(&mut self, name: &[u8], value: &[u8], out: &mut Vec<u8>) {
        let whole = self.index(|n, v| n == name && v == value);
        if let (Some(index), Indexing::Incremental) = (whole, self.indexing) {
            return integer(0x80, 7, index, out);
        }
        let named = self.index(|n, _| n == name).unwrap_or(0);
        match self.indexing {
            Indexing::Incremental => integer(0x40, 6, named, out),
            Indexing::Without => integer(0, 4, named, out),
            Indexing::Never => integer(0x10, 4, named, out),
        }
        if named == 0 {
            self.string(name, out);
        }
        self.string(value, out);
        if self.indexing == Indexing::Incremental {
            self.table.push_front((name.to_vec(), value.to_vec()));
            self.evict();
        }
    }

    fn string(&self, text: &[u8], out: &mut Vec<u8>) {
        if self.huffman {
            let coded = huffman(text);
            integer(0x80, 7, coded.len(), out);
            out.extend(coded);
        } else {
            integer(0, 7, text.len(), out);
            out.extend_from_slice(text);
        }
    }

    fn index(&self, is: impl Fn(&[u8], &[u8]) -> bool) -> Option<usize> {
        let fixed = STATIC.iter().position(|(n, v)| is(n.as_bytes(), v.as_bytes())).map(|at| at + 1);
        fixed.or_else(|| self.table.iter().position(|(n, v)| is(n, v)).map(|at| at + 1 + LAST_STATIC))
    }

    fn evict(&mut self) {
        while self.table.iter().map(|(n, v)| n.len() + v.len() + 32).sum::<usize>() > self.limit {
            self.table.pop_back();
        }
    }
}

/// Highest index of the static table.
const LAST_STATIC: usize = 61;

/// The part of the static table that the encoder uses, each at its index; the rest is left to literals.
const STATIC: [(&str, &str); 14] = [
    (":authority", ""),
    (":method", "GET"),
    (":method", "POST"),
    (":path", "/"),
    (":path", "/index.html"),
    (":scheme", "http"),
    (":scheme", "https"),
    (":status", "200"),
    (":status", "204"),
    (":status", "206"),
    (":status", "304"),
    (":status", "400"),
    (":status", "404"),
    (":status", "500"),
];

/// An integer behind `pattern`, with `bits` bits in the first byte (RFC 7541 section 5.1).
pub fn integer(pattern: u8, bits: u32, value: usize, out: &mut Vec<u8>) {
    let most = (1 << bits) - 1;
    if value < most {
        out.push(pattern | value as u8);
        return;
    }
    out.push(pattern | most as u8);
    let mut rest = value - most;
    while rest >= 128 {
        out.push(rest as u8 & 0x7f | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// `text` in the Huffman code, padded with ones (RFC 7541 section 5.2).
pub fn huffman(text: &[u8]) -> Vec<u8> {
    let (mut out, mut window, mut bits) = (Vec::new(), 0_u64, 0);
    for &byte in text {
        let (code, len) = HUFFMAN[usize::from(byte)];
        window = window << len | u64::from(code);
        bits += len;
        while bits >= 8 {
            bits -= 8;
            out.push((window >> bits) as u8);
        }
    }
    if bits > 0 {
        out.push((window << (8 - bits)) as u8 | (0xff >> bits) as u8);
    }
    out
}

/// Code and length in bits of each byte (RFC 7541 appendix B).
#[rustfmt::skip]
#[expect(clippy::unreadable_literal, reason = "as appendix B writes them")]
const HUFFMAN: [(u32, u32); 256] = [
    (0x1ff8, 13), (0x7fffd8, 23), (0xfffffe2, 28), (0xfffffe3, 28), (0xfffffe4, 28), (0xfffffe5, 28), (0xfffffe6, 28),
    (0xfffffe7, 28), (0xfffffe8, 28), (0xffffea, 24), (0x3ffffffc, 30), (0xfffffe9, 28), (0xfffffea, 28),
    (0x3ffffffd, 30), (0xfffffeb, 28), (0xfffffec, 28), (0xfffffed, 28), (0xfffffee, 28), (0xfffffef, 28),
    (0xffffff0, 28), (0xffffff1, 28), (0xffffff2, 28), (0x3ffffffe, 30), (0xffffff3, 28), (0xffffff4, 28),
    (0xffffff5, 28), (0xffffff6, 28), (0xffffff7, 28), (0xffffff8, 28), (0xffffff9, 28), (0xffffffa, 28),
    (0xffffffb, 28), (0x14, 6), (0x3f8, 10), (0x3f9, 10), (0xffa, 12), (0x1ff9, 13), (0x15, 6), (0xf8, 8),
    (0x7fa, 11), (0x3fa, 10), (0x3fb, 10), (0xf9, 8), (0x7fb, 11), (0xfa, 8), (0x16, 6), (0x17, 6), (0x18, 6),
    (0x0, 5), (0x1, 5), (0x2, 5), (0x19, 6), (0x1a, 6), (0x1b, 6), (0x1c, 6), (0x1d, 6), (0x1e, 6), (0x1f, 6),
    (0x5c, 7), (0xfb, 8), (0x7ffc, 15), (0x20, 6), (0xffb, 12), (0x3fc, 10), (0x1ffa, 13), (0x21, 6), (0x5d, 7),
    (0x5e, 7), (0x5f, 7), (0x60, 7), (0x61, 7), (0x62, 7), (0x63, 7), (0x64, 7), (0x65, 7), (0x66, 7), (0x67, 7),
    (0x68, 7), (0x69, 7), (0x6a, 7), (0x6b, 7), (0x6c, 7), (0x6d, 7), (0x6e, 7), (0x6f, 7), (0x70, 7), (0x71, 7),
    (0x72, 7), (0xfc, 8), (0x73, 7), (0xfd, 8), (0x1ffb, 13), (0x7fff0, 19), (0x1ffc, 13), (0x3ffc, 14), (0x22, 6),
    (0x7ffd, 15), (0x3, 5), (0x23, 6), (0x4, 5), (0x24, 6), (0x5, 5), (0x25, 6), (0x26, 6), (0x27, 6), (0x6, 5),
    (0x74, 7), (0x75, 7), (0x28, 6), (0x29, 6), (0x2a, 6), (0x7, 5), (0x2b, 6), (0x76, 7), (0x2c, 6), (0x8, 5),
    (0x9, 5), (0x2d, 6), (0x77, 7), (0x78, 7), (0x79, 7), (0x7a, 7), (0x7b, 7), (0x7ffe, 15), (0x7fc, 11),
    (0x3ffd, 14), (0x1ffd, 13), (0xffffffc, 28), (0xfffe6, 20), (0x3fffd2, 22), (0xfffe7, 20), (0xfffe8, 20),
    (0x3fffd3, 22), (0x3fffd4, 22), (0x3fffd5, 22), (0x7fffd9, 23), (0x3fffd6, 22), (0x7fffda, 23), (0x7fffdb, 23),
    (0x7fffdc, 23), (0x7fffdd, 23), (0x7fffde, 23), (0xffffeb, 24), (0x7fffdf, 23), (0xffffec, 24), (0xffffed, 24),
    (0x3fffd7, 22), (0x7fffe0, 23), (0xffffee, 24), (0x7fffe1, 23), (0x7fffe2, 23), (0x7fffe3, 23), (0x7fffe4, 23),
    (0x1fffdc, 21), (0x3fffd8, 22), (0x7fffe5, 23), (0x3fffd9, 22), (0x7fffe6, 23), (0x7fffe7, 23), (0xffffef, 24),
    (0x3fffda, 22), (0x1fffdd, 21), (0xfffe9, 20), (0x3fffdb, 22), (0x3fffdc, 22), (0x7fffe8, 23), (0x7fffe9, 23),
    (0x1fffde, 21), (0x7fffea, 23), (0x3fffdd, 22), (0x3fffde, 22), (0xfffff0, 24), (0x1fffdf, 21), (0x3fffdf, 22),
    (0x7fffeb, 23), (0x7fffec, 23), (0x1fffe0, 21), (0x1fffe1, 21), (0x3fffe0, 22), (0x1fffe2, 21), (0x7fffed, 23),
    (0x3fffe1, 22), (0x7fffee, 23), (0x7fffef, 23), (0xfffea, 20), (0x3fffe2, 22), (0x3fffe3, 22), (0x3fffe4, 22),
    (0x7ffff0, 23), (0x3fffe5, 22), (0x3fffe6, 22), (0x7ffff1, 23), (0x3ffffe0, 26), (0x3ffffe1, 26), (0xfffeb, 20),
    (0x7fff1, 19), (0x3fffe7, 22), (0x7ffff2, 23), (0x3fffe8, 22), (0x1ffffec, 25), (0x3ffffe2, 26), (0x3ffffe3, 26),
    (0x3ffffe4, 26), (0x7ffffde, 27), (0x7ffffdf, 27), (0x3ffffe5, 26), (0xfffff1, 24), (0x1ffffed, 25),
    (0x7fff2, 19), (0x1fffe3, 21), (0x3ffffe6, 26), (0x7ffffe0, 27), (0x7ffffe1, 27), (0x3ffffe7, 26),
    (0x7ffffe2, 27), (0xfffff2, 24), (0x1fffe4, 21), (0x1fffe5, 21), (0x3ffffe8, 26), (0x3ffffe9, 26),
    (0xffffffd, 28), (0x7ffffe3, 27), (0x7ffffe4, 27), (0x7ffffe5, 27), (0xfffec, 20), (0xfffff3, 24), (0xfffed, 20),
    (0x1fffe6, 21), (0x3fffe9, 22), (0x1fffe7, 21), (0x1fffe8, 21), (0x7ffff3, 23), (0x3fffea, 22), (0x3fffeb, 22),
    (0x1ffffee, 25), (0x1ffffef, 25), (0xfffff4, 24), (0xfffff5, 24), (0x3ffffea, 26), (0x7ffff4, 23),
    (0x3ffffeb, 26), (0x7ffffe6, 27), (0x3ffffec, 26), (0x3ffffed, 26), (0x7ffffe7, 27), (0x7ffffe8, 27),
    (0x7ffffe9, 27), (0x7ffffea, 27), (0x7ffffeb, 27), (0xffffffe, 28), (0x7ffffec, 27), (0x7ffffed, 27),
    (0x7ffffee, 27), (0x7ffffef, 27), (0x7fffff0, 27), (0x3ffffee, 26),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_those_of_rfc_7541_appendix_c() {
        let request = [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "www.example.com")];
        let mut plain = Encoder::new(false, Indexing::Incremental);
        assert_eq!(plain.block(&request), b"\x82\x86\x84\x41\x0fwww.example.com");
        let coded = b"\x82\x86\x84\x41\x8c\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff";
        let mut encoder = Encoder::default();
        assert_eq!(encoder.block(&request), coded);
        assert_eq!(encoder.block(&request), b"\x82\x86\x84\xbe");
    }

    #[test]
    fn frames_are_those_of_rfc_9113_section_4_1() {
        assert_eq!(frame(0, 1, 5, b"abc"), b"\0\0\x03\0\x01\0\0\0\x05abc");
        assert_eq!(Frames::default().settings(&[(1, 2)]).bytes(), b"\0\0\x06\x04\0\0\0\0\0\0\x01\0\0\0\x02");
    }
}
