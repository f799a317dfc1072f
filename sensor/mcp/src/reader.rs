//! Bodies → messages: finds out the Unicode form, drives the extraction, says what the body was.

use crate::{
    BodyKind, Document, MAX_ARGUMENTS, MAX_LIST, MAX_TEXT, Message, Provider,
    extract::{Chunk, Extractor},
    wide::{Block, Detected, Form, Wide, detect},
};

/// How much a [`Reader`] keeps of one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest name, in bytes; at most [`MAX_TEXT`].
    pub text: usize,
    /// Longest list, in entries; at most [`MAX_LIST`].
    pub list: usize,
    /// Longest masked arguments, in bytes; at most [`MAX_ARGUMENTS`].
    pub arguments: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { text: MAX_TEXT, list: MAX_LIST, arguments: MAX_ARGUMENTS }
    }
}

/// How often limits were met, and what else went by. Plain counts since [`Reader::take_stats`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Names cut at [`Limits::text`].
    pub texts_cut: u64,
    /// List entries not kept because of [`Limits::list`].
    pub lists_cut: u64,
    /// Masked arguments cut at [`Limits::arguments`].
    pub arguments_cut: u64,
    /// Tools offered that were too long to be read, of which only a digest is kept.
    pub tools_cut: u64,
    /// Bodies in UTF-16 or UTF-32.
    pub wide_bodies: u64,
    /// Bodies that began like JSON and then were not.
    pub broken: u64,
}

impl std::ops::AddAssign for Stats {
    fn add_assign(&mut self, other: Self) {
        self.texts_cut += other.texts_cut;
        self.lists_cut += other.lists_cut;
        self.arguments_cut += other.arguments_cut;
        self.tools_cut += other.tools_cut;
        self.wide_bodies += other.wide_bodies;
        self.broken += other.broken;
    }
}

/// Why receivers may read a body in different ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// A decisive member of a JSON-RPC message stands in it twice (RFC 8259 §4).
    DuplicateMember,
    /// `method` in another case, beside `jsonrpc`: some readers ignore case.
    OtherCase,
    /// A JSON-RPC message that is no JSON in the end: comments, other quotes, never closed.
    BrokenRpc,
    /// The same without a sign of JSON-RPC.
    Broken,
}

impl Doubt {
    /// Stable word for notices.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::DuplicateMember => "duplicate_member",
            Self::OtherCase => "member_in_another_case",
            Self::BrokenRpc => "broken_json_rpc",
            Self::Broken => "broken_json",
        }
    }
}

/// How far a body of JSON values has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nothing has begun: at most blanks and a byte order mark so far, or a number or word at the top level.
    Before,
    /// A value is open.
    Open,
    /// All values that began are closed.
    Closed,
    /// It is no JSON, or not any more.
    Lost,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The Unicode form is not known yet; what came is in `head`.
    Head,
    /// Only blanks so far, in UTF-8.
    Blank,
    Json,
    /// It was JSON until a gap or an error.
    Lost,
    NotJson,
}

/// Reads the JSON values of one body, one SSE event or one WebSocket message, however it is cut into slices.
///
/// Between bodies call [`Reader::reset`], which keeps the allocations. A reader that never meets JSON stays
/// small; one that does holds a few kilobytes, whatever the body does: lists, names and depth are bounded, and
/// there is no limit on the length of a body.
#[derive(Debug)]
pub struct Reader {
    phase: Phase,
    /// First bytes, until they are enough to tell the Unicode form.
    head: [u8; 4],
    held: u8,
    /// Bytes of the body consumed so far.
    offset: u64,
    extractor: Option<Box<Extractor>>,
    wide: Option<Box<(Wide, Block)>>,
    /// Set by [`Reader::expect_provider`].
    provider: bool,
}

impl Default for Reader {
    fn default() -> Self {
        Self::new()
    }
}

impl Reader {
    /// A reader at the start of a body.
    pub fn new() -> Self {
        Self { phase: Phase::Head, head: [0; 4], held: 0, offset: 0, extractor: None, wide: None, provider: false }
    }

    /// Says whether the bodies to come answer a model call that named MCP servers: only then the members that tell of
    /// the provider's own calls are looked for, which ordinary documents have, too.
    pub fn expect_provider(&mut self, expected: bool) {
        self.provider = expected;
    }

    /// Takes what the body says of a provider's MCP, so far.
    pub fn take_provider(&mut self) -> Option<Box<Provider>> {
        self.extractor.as_mut().and_then(|e| e.document.provider.take())
    }

    /// Back to the start, for the next body.
    pub fn reset(&mut self) {
        self.phase = Phase::Head;
        self.held = 0;
        self.offset = 0;
        self.wide = None;
        if let Some(extractor) = &mut self.extractor {
            extractor.reset();
        }
    }

    /// False once nothing in the body can matter any more: it is not JSON, or was lost to an error or a gap.
    pub fn wants_more(&self) -> bool {
        matches!(self.phase, Phase::Head | Phase::Blank | Phase::Json)
    }

    /// How far the body has come.
    pub fn standing(&self) -> Standing {
        // Too few bytes to tell the encoding by, and in none of them does this begin anything else.
        let head = self.head.get(..usize::from(self.held)).unwrap_or_default();
        match (self.phase, &self.extractor) {
            (Phase::Head, _) if head.iter().any(|b| matches!(b, b'{' | b'[')) => Standing::Open,
            (Phase::Head | Phase::Blank, _) | (Phase::Json, None) => Standing::Before,
            (Phase::Json, Some(extractor)) => extractor.standing(),
            (Phase::Lost | Phase::NotJson, _) => Standing::Lost,
        }
    }

    /// Why receivers may read the body in different ways, once something shows it.
    pub fn doubt(&self) -> Option<Doubt> {
        self.extractor.as_ref().and_then(|e| e.doubt)
    }

    /// Whether anything so far is, or may become, a JSON-RPC message: one that is complete, or a member that only
    /// messages have.
    pub fn shows_rpc(&self) -> bool {
        self.extractor.as_ref().is_some_and(|e| e.shows_rpc())
    }

    /// What the reader learned of a document that is no JSON-RPC; of interest after [`Reader::finish`].
    pub fn document(&self) -> &Document {
        static NONE: Document = Document {
            resource: None,
            authorization_servers: false,
            servers: Vec::new(),
            redirect_uris: false,
            redirect_uris_loopback: false,
            client_name: None,
            client_id: None,
            issuer: false,
            endpoints: Vec::new(),
            provider: None,
            client_config: false,
        };
        self.extractor.as_ref().map_or(&NONE, |e| &e.document)
    }

    /// What it holds of a tool that is open, in bytes, beside the few kilobytes that every reader holds.
    pub fn weight(&self) -> usize {
        self.extractor.as_ref().map_or(0, |e| e.tool.weight())
    }

    /// The counts since the last call.
    pub fn take_stats(&mut self) -> Stats {
        self.extractor.as_mut().map(|e| std::mem::take(&mut e.stats)).unwrap_or_default()
    }

    /// The next bytes of the body. `out` gets each message at the byte that closes it.
    pub fn feed(&mut self, limits: &Limits, bytes: &[u8], out: &mut dyn FnMut(Message)) {
        let mut rest = bytes;
        if self.phase == Phase::Head {
            // Usually all of the head is in the first slice, and nothing is copied.
            if self.held == 0 {
                match detect(rest, false) {
                    Detected::Form(form, mark) => {
                        self.begin(form);
                        self.offset += mark as u64;
                        rest = rest.get(mark..).unwrap_or_default();
                    }
                    Detected::More => rest = self.head(limits, rest, false, out),
                }
            } else {
                rest = self.head(limits, rest, false, out);
            }
        }
        self.body(limits, rest, out);
    }

    /// `n` bytes of the body are missing here: the rest of it cannot be placed any more. What is known of a
    /// half-read message is given as cut.
    pub fn gap(&mut self, n: u64, out: &mut dyn FnMut(Message)) {
        match self.phase {
            Phase::Json => {
                if let Some(extractor) = &mut self.extractor {
                    extractor.give_up(self.offset, out);
                }
                self.lose();
            }
            Phase::Head | Phase::Blank => self.phase = Phase::NotJson,
            Phase::Lost | Phase::NotJson => {}
        }
        self.offset = self.offset.saturating_add(n);
    }

    /// The body is over. What is known of a half-read message is given as cut.
    pub fn finish(&mut self, out: &mut dyn FnMut(Message)) -> BodyKind {
        if self.phase == Phase::Head {
            if self.held == 0 {
                return BodyKind::Empty;
            }
            self.head(&Limits::default(), &[], true, out);
        }
        if let (Phase::Json, Some(extractor)) = (self.phase, &mut self.extractor)
            && !extractor.finish(self.offset, out)
        {
            self.lose();
        }
        match (self.phase, &self.extractor) {
            (Phase::Head | Phase::Blank, _) => BodyKind::Empty,
            (Phase::Json, Some(extractor)) => BodyKind::Json { messages: extractor.messages },
            (Phase::Lost, _) => BodyKind::Broken,
            _ => BodyKind::NotJson,
        }
    }

    /// Collects first bytes until they tell the form; returns what is left of `bytes`.
    fn head<'a>(&mut self, limits: &Limits, bytes: &'a [u8], end: bool, out: &mut dyn FnMut(Message)) -> &'a [u8] {
        let mut rest = bytes;
        loop {
            let head = self.head;
            let known = head.get(..usize::from(self.held)).unwrap_or_default();
            if let Detected::Form(form, mark) = detect(known, end) {
                self.begin(form);
                self.offset += mark as u64;
                self.body(limits, known.get(mark..).unwrap_or_default(), out);
                return rest;
            }
            let Some((&byte, tail)) = rest.split_first() else {
                return rest;
            };
            if let Some(slot) = self.head.get_mut(usize::from(self.held)) {
                *slot = byte;
                self.held += 1;
            }
            rest = tail;
        }
    }

    fn begin(&mut self, form: Form) {
        self.phase = Phase::Blank;
        if form != Form::Utf8 {
            let extractor = self.extractor.get_or_insert_with(|| Box::new(Extractor::new()));
            extractor.stats.wide_bodies += 1;
            self.wide = Some(Box::new((Wide::new(form), Block::default())));
            self.phase = Phase::Json;
        }
    }

    fn body(&mut self, limits: &Limits, bytes: &[u8], out: &mut dyn FnMut(Message)) {
        let mut rest = bytes;
        if self.phase == Phase::Blank {
            let blanks = rest.iter().take_while(|b| matches!(b, b' ' | b'\t' | b'\r' | b'\n' | 0x1E)).count();
            self.offset += blanks as u64;
            rest = rest.get(blanks..).unwrap_or_default();
            match rest.first() {
                None => return,
                Some(b'{' | b'[' | b'"' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n' | b'N' | b'I') => {
                    self.extractor.get_or_insert_with(|| Box::new(Extractor::new()));
                    self.phase = Phase::Json;
                }
                Some(_) => self.phase = Phase::NotJson,
            }
        }
        if self.phase != Phase::Json {
            self.offset = self.offset.saturating_add(rest.len() as u64);
            return;
        }
        if self.wide.is_some() {
            self.wide_body(limits, rest, out);
            return;
        }
        let chunk = Chunk { text: rest, raw: rest, map: None, base: self.offset };
        self.offset = self.offset.saturating_add(rest.len() as u64);
        self.run(limits, chunk, out);
    }

    fn wide_body(&mut self, limits: &Limits, bytes: &[u8], out: &mut dyn FnMut(Message)) {
        // Taken out for the time of the call, so that the block can be lent while the reader is changed.
        let Some(mut wide) = self.wide.take() else {
            return;
        };
        let (transcoder, block) = &mut *wide;
        let mut rest = bytes;
        while !rest.is_empty() && self.phase == Phase::Json {
            block.clear();
            let used = transcoder.fill(rest, block);
            rest = rest.get(used..).unwrap_or_default();
            let chunk = Chunk { text: &block.text, raw: &block.raw, map: Some(&block.map), base: self.offset };
            self.offset = self.offset.saturating_add(block.raw.len() as u64);
            self.run(limits, chunk, out);
        }
        self.wide = Some(wide);
    }

    fn run(&mut self, limits: &Limits, chunk: Chunk<'_>, out: &mut dyn FnMut(Message)) {
        let Some(extractor) = &mut self.extractor else {
            return;
        };
        extractor.provider.answers = self.provider;
        if !extractor.chunk(limits, chunk, out) {
            self.lose();
        }
    }

    /// Nothing after this place can be told apart any more.
    fn lose(&mut self) {
        self.phase = Phase::NotJson;
        if let Some(extractor) = &mut self.extractor
            && extractor.begun
        {
            extractor.stats.broken += 1;
            self.phase = Phase::Lost;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{BodyKind, Doubt, Limits, Reader, Standing};

    #[test]
    fn what_receivers_may_read_differently_is_told_however_it_is_cut() {
        for (body, want) in [
            (r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#, None),
            (r#"{"jsonrpc":"2.0","id":1,"method":"ping","method":"x"}"#, Some(Doubt::DuplicateMember)),
            (r#"{"jsonrpc":"2.0","jsonrpc":"1.0","id":1,"method":"x"}"#, Some(Doubt::DuplicateMember)),
            (r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"x","params":{"a":1,"a":2}}"#, None),
            (r#"{"params":1,"params":2}"#, None),
            (r#"{"jsonrpc":"2.0","id":1,"Method":"x"}"#, Some(Doubt::OtherCase)),
            (r#"{"JsonRpc":"2.0","METHOD":"x"}"#, Some(Doubt::OtherCase)),
            (r#"{"Method":"GET"}"#, None),
            (r#"{"jsonrpc":"2.0","method":"x","Method":"y"}"#, None),
            (r#"{"jsonrpc":"2.0","method"/**/:"x"}"#, Some(Doubt::BrokenRpc)),
            (r#"{"jsonrpc":"2.0","method":"x""#, Some(Doubt::BrokenRpc)),
            (r#"{"a":1}"#, None),
            (r#"{"a":1} x"#, Some(Doubt::Broken)),
            (r#"{"a":"#, Some(Doubt::Broken)),
            ("plain text", None),
            ("", None),
        ] {
            for size in [body.len().max(1), 1] {
                let mut reader = Reader::new();
                for piece in body.as_bytes().chunks(size) {
                    reader.feed(&Limits::default(), piece, &mut |_| ());
                }
                reader.finish(&mut |_| ());
                assert_eq!(reader.doubt(), want, "{body} in pieces of {size}");
                reader.reset();
                assert_eq!(reader.doubt(), None);
            }
        }
    }

    #[test]
    fn how_far_a_body_has_come_is_told_at_every_byte() {
        use Standing::{Before, Closed, Lost, Open};
        let wide = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>();
        for (body, want) in [
            (b"".to_vec(), Before),
            (b" \r\n".to_vec(), Before),
            (b"\xEF\xBB\xBF".to_vec(), Before),
            (b"{".to_vec(), Open),
            (br#"{"a":{"b":[1,2]}"#.to_vec(), Open),
            (br#"{"a":"}"#.to_vec(), Open),
            (br#"{"a":"}"}"#.to_vec(), Closed),
            (br#"{"a":1} "#.to_vec(), Closed),
            (br#"{"a":1}{"#.to_vec(), Open),
            (br#"[{"a":1},"#.to_vec(), Open),
            (br#"[{"a":1}]"#.to_vec(), Closed),
            (wide(r#"{"a":1"#), Open),
            (wide(r#"{"a":1}"#), Closed),
            (b"<html>".to_vec(), Lost),
            (br#"{"a":1} x"#.to_vec(), Lost),
        ] {
            for size in [body.len().max(1), 1] {
                let mut reader = Reader::new();
                for piece in body.chunks(size) {
                    reader.feed(&Limits::default(), piece, &mut |_| ());
                }
                assert_eq!(reader.standing(), want, "{} in pieces of {size}", body.escape_ascii());
            }
        }
    }

    #[test]
    fn bytes_that_were_not_seen_raise_no_doubt() {
        let mut reader = Reader::new();
        reader.feed(&Limits::default(), br#"{"jsonrpc":"2.0","method":"#, &mut |_| ());
        reader.gap(9, &mut |_| ());
        assert_eq!((reader.finish(&mut |_| ()), reader.doubt()), (BodyKind::Broken, None));
    }
}
