//! One body in one direction: content coding off, then JSON, event stream or nothing of interest.

use crate::rules::{BodyState, RuleSet};
use crate::{Scratch, Side, Signal, SignalKind};
use mcp::{BodyKind, Message};
use proto::coding::{Decoder, Stop, Unsupported};
use proto::sse::{self, Parser};

/// Decoded bytes of a body of no promising type that are looked at before it is let go.
const SNIFF: usize = 512;
/// Rubbish that a decoder may give before it finds that the label was wrong, in bytes.
const MISLABELLED: u64 = 64;
/// Kept bytes of an event's data, enough for the URL of an `endpoint` event.
const EVENT_HEAD: usize = 1024;

/// What the heads promise of a body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Promise {
    /// Look at all of it: requests, JSON.
    Json,
    /// An event stream.
    Sse,
    /// WebSocket messages.
    Messages,
    /// Look at its beginning.
    #[default]
    Sniff,
    /// A page: pattern hits in it say nothing.
    Page,
}

/// Where inspection news go.
pub(crate) trait News {
    /// A JSON-RPC message is complete.
    fn message(&mut self, message: Message, sse: bool);
    /// An event of this name had data that begins like this.
    fn event(&mut self, name: &[u8], head: &[u8]);
    /// A signature hit the body.
    fn signal(&mut self, signal: Signal);
}

/// The inspector of one body. Boxed: most exchanges of ordinary traffic never need one.
#[derive(Debug)]
pub(crate) struct Inspector {
    side: Side,
    promise: Promise,
    mode: Mode,
    decoder: Option<Decoder>,
    decoded: u64,
    reader: mcp::Reader,
    scan: BodyState,
    total: Total,
    document: mcp::Document,
    undecoded: Option<&'static str>,
}

#[derive(Debug)]
enum Mode {
    /// Nothing seen yet; holds what is too short to tell.
    Undecided(Vec<u8>),
    /// A sequence of JSON values.
    Json,
    /// An event stream, and the beginning of the present event's data.
    Sse(Box<Parser>, Vec<u8>),
    /// Patterns only: it is not JSON.
    Patterns,
    /// Nothing more can come of it.
    Skip,
}

/// What several events or messages amount to together.
#[derive(Clone, Copy, Debug, Default)]
struct Total {
    messages: u32,
    json: bool,
    broken: bool,
    other: bool,
}

impl Total {
    fn add(&mut self, kind: BodyKind) {
        match kind {
            BodyKind::Empty => {}
            BodyKind::Json { messages } => {
                self.json = true;
                self.messages = self.messages.saturating_add(messages);
            }
            BodyKind::Broken => self.broken = true,
            BodyKind::NotJson => self.other = true,
        }
    }

    fn kind(self) -> BodyKind {
        if self.messages > 0 || (self.json && !self.broken) {
            BodyKind::Json { messages: self.messages }
        } else if self.broken {
            BodyKind::Broken
        } else if self.other {
            BodyKind::NotJson
        } else {
            BodyKind::Empty
        }
    }
}

impl Inspector {
    pub(crate) fn new(side: Side, promise: Promise, rules: &RuleSet) -> Self {
        let mode = match promise {
            Promise::Json | Promise::Messages => Mode::Json,
            Promise::Sse => Mode::Sse(Box::default(), Vec::new()),
            Promise::Sniff | Promise::Page => Mode::Undecided(Vec::new()),
        };
        Self {
            side,
            promise,
            mode,
            decoder: None,
            decoded: 0,
            reader: mcp::Reader::new(),
            scan: scan_state(rules, side, promise),
            total: Total::default(),
            document: mcp::Document::default(),
            undecoded: None,
        }
    }

    /// Sets the content coding; says why where that cannot be decoded.
    pub(crate) fn coding(&mut self, content_encoding: &str, scratch: &mut Scratch) {
        let values = std::iter::once(content_encoding.as_bytes());
        match Decoder::new(values, &scratch.limits.coding, &mut scratch.pool) {
            Ok(decoder) => self.decoder = decoder,
            // A coding nobody knows may be none at all (`aws-chunked`, a typo): look at the bytes as they are.
            Err(unsupported @ Unsupported::Coding) => {
                *scratch.stats.undecoded.entry(unsupported.reason()).or_default() += 1;
            }
            Err(unsupported) => self.give_up(unsupported.reason(), scratch),
        }
    }

    fn give_up(&mut self, reason: &'static str, scratch: &mut Scratch) {
        self.undecoded = Some(reason);
        *scratch.stats.undecoded.entry(reason).or_default() += 1;
        self.mode = Mode::Skip;
        self.decoder = None;
    }

    /// Body bytes as the transfer gave them.
    pub(crate) fn feed(&mut self, rules: &RuleSet, scratch: &mut Scratch, bytes: &[u8], news: &mut impl News) {
        if matches!(self.mode, Mode::Skip) {
            return;
        }
        if self.decoder.is_none()
            && self.decoded == 0
            && self.promise != Promise::Messages
            && let Some(coding) = proto::coding::sniff(bytes)
        {
            match Decoder::of(&[coding], &mut scratch.pool) {
                Ok(decoder) => self.decoder = Some(decoder),
                Err(unsupported) => self.give_up(unsupported.reason(), scratch),
            }
        }
        let Some(mut decoder) = self.decoder.take() else {
            self.plain(rules, scratch, bytes, news);
            return;
        };
        let limits = scratch.limits.coding;
        let before = self.decoded;
        let fed = decoder.feed(&limits, bytes, &mut |plain| self.plain(rules, scratch, plain, news));
        match fed {
            Ok(()) if matches!(self.mode, Mode::Skip) => {
                decoder.finish(&mut scratch.pool);
            }
            Ok(()) => self.decoder = Some(decoder),
            // A wrong label: next to nothing came out, so the bytes may be what they are.
            Err(Stop::Corrupt) if before == 0 && self.decoded < MISLABELLED => {
                *scratch.stats.undecoded.entry("mislabelled").or_default() += 1;
                decoder.finish(&mut scratch.pool);
                let fresh = Self::new(self.side, self.promise, rules);
                (self.mode, self.scan, self.decoded) = (fresh.mode, fresh.scan, 0);
                self.reader.reset();
                self.plain(rules, scratch, bytes, news);
            }
            Err(stop) => {
                decoder.finish(&mut scratch.pool);
                self.give_up(stop.reason(), scratch);
            }
        }
    }

    fn plain(&mut self, rules: &RuleSet, scratch: &mut Scratch, bytes: &[u8], news: &mut impl News) {
        self.decoded += bytes.len() as u64;
        if let Mode::Undecided(held) = &mut self.mode {
            held.extend_from_slice(bytes.get(..SNIFF.min(bytes.len())).unwrap_or(bytes));
            let Some(mode) = sniff(held) else { return };
            let held = std::mem::take(held);
            self.mode = mode;
            if matches!(self.mode, Mode::Skip) {
                scratch.stats.bodies_let_go += 1;
                return;
            }
            let rest = bytes.get(SNIFF.min(bytes.len())..).unwrap_or(&[]);
            self.known(rules, scratch, &held, news);
            self.known(rules, scratch, rest, news);
        } else {
            self.known(rules, scratch, bytes, news);
        }
    }

    fn known(&mut self, rules: &RuleSet, scratch: &mut Scratch, bytes: &[u8], news: &mut impl News) {
        if bytes.is_empty() {
            return;
        }
        let limits = &scratch.limits.json;
        match &mut self.mode {
            Mode::Json => {
                self.reader.feed(limits, bytes, &mut |m| news.message(m, false));
                if !self.reader.wants_more() {
                    self.total.add(self.reader.finish(&mut |m| news.message(m, false)));
                    // Of a body that was only sniffed nothing is left to learn.
                    self.mode = if self.promise == Promise::Sniff { Mode::Skip } else { Mode::Patterns };
                }
            }
            Mode::Sse(parser, head) => {
                let reader = &mut self.reader;
                let mut events =
                    Events { reader, head, total: &mut self.total, limits, count: &mut scratch.stats.sse_events, news };
                parser.feed(bytes, &mut events);
            }
            Mode::Patterns | Mode::Skip | Mode::Undecided(_) => {}
        }
        let signals = &mut scratch.stats.signals;
        rules.scan_body(&mut self.scan, &mut scratch.rules, bytes, &mut |signature, end| {
            news.signal(body_signal(rules, signals, signature, end));
        });
    }

    /// Body bytes that will never be seen.
    pub(crate) fn gap(&mut self, n: u64, scratch: &mut Scratch, rules: &RuleSet, news: &mut impl News) {
        if let Some(decoder) = self.decoder.take() {
            decoder.finish(&mut scratch.pool);
            self.give_up("gap", scratch);
        }
        self.scan = scan_state(rules, self.side, self.promise);
        match &mut self.mode {
            Mode::Json => {
                self.reader.gap(n, &mut |m| news.message(m, false));
                self.total.broken = true;
            }
            Mode::Sse(parser, head) => {
                let limits = &scratch.limits.json;
                let reader = &mut self.reader;
                reader.gap(n, &mut |m| news.message(m, true));
                let mut events =
                    Events { reader, head, total: &mut self.total, limits, count: &mut scratch.stats.sse_events, news };
                parser.gap(&mut events);
            }
            mode @ Mode::Undecided(_) => *mode = Mode::Skip,
            Mode::Patterns | Mode::Skip => {}
        }
    }

    /// A WebSocket message is complete.
    pub(crate) fn message_end(&mut self, rules: &RuleSet, news: &mut impl News) {
        self.scan = rules.websocket_message();
        self.total.add(self.reader.finish(&mut |m| news.message(m, false)));
        self.reader.reset();
        if matches!(self.mode, Mode::Patterns) {
            self.mode = Mode::Json;
        }
    }

    /// The body is over.
    pub(crate) fn finish(&mut self, scratch: &mut Scratch, rules: &RuleSet, news: &mut impl News) {
        if let Some(decoder) = self.decoder.take() {
            decoder.finish(&mut scratch.pool);
        }
        if let Mode::Undecided(held) = &mut self.mode {
            // Too short to tell; what there is may still be a whole small message.
            let held = std::mem::take(held);
            self.mode = Mode::Json;
            self.known(rules, scratch, &held, news);
        }
        match &mut self.mode {
            Mode::Json => {
                self.total.add(self.reader.finish(&mut |m| news.message(m, false)));
                self.document = self.reader.document().clone();
            }
            Mode::Sse(parser, head) => {
                let limits = &scratch.limits.json;
                let reader = &mut self.reader;
                let mut events =
                    Events { reader, head, total: &mut self.total, limits, count: &mut scratch.stats.sse_events, news };
                parser.finish(&mut events);
            }
            Mode::Patterns | Mode::Skip | Mode::Undecided(_) => {}
        }
    }

    /// What the body was, so far.
    pub(crate) fn kind(&self) -> BodyKind {
        self.total.kind()
    }

    /// What a JSON document that is no message says of MCP; known at the end.
    pub(crate) fn document(&self) -> &mcp::Document {
        &self.document
    }

    /// Why part of it was not decoded.
    pub(crate) fn undecoded(&self) -> Option<&'static str> {
        self.undecoded
    }

    /// Decoded bytes up to where decoding stopped, if it did.
    pub(crate) fn truncated_at(&self) -> Option<u64> {
        self.undecoded.map(|_| self.decoded)
    }

    /// Whether pattern hits in it may count: it promised to be a message and does not parse.
    pub(crate) fn raw_hits_count(&self) -> bool {
        let unparsed = matches!(self.kind(), BodyKind::Broken | BodyKind::NotJson);
        unparsed && !matches!(self.promise, Promise::Page)
    }
}

/// What a body of no promising type begins like; `None` while too little has come.
fn sniff(held: &[u8]) -> Option<Mode> {
    let text = held.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(held);
    let start = text.iter().position(|b| !b" \t\r\n\x1e\0".contains(b))?;
    let text = text.get(start..).unwrap_or(&[]);
    if matches!(text.first(), Some(b'{' | b'[' | 0xFE | 0xFF)) {
        return Some(Mode::Json);
    }
    let fields: [&[u8]; 5] = [b"event:", b"data:", b"id:", b"retry:", b": "];
    if fields.iter().any(|f| text.starts_with(f)) {
        return Some(Mode::Sse(Box::default(), Vec::new()));
    }
    let may_become = fields.iter().any(|f| f.starts_with(text));
    if may_become { None } else { Some(Mode::Skip) }
}

/// The patterns of one body, or of one WebSocket message.
fn scan_state(rules: &RuleSet, side: Side, promise: Promise) -> BodyState {
    if promise == Promise::Messages { rules.websocket_message() } else { rules.body(side) }
}

fn body_signal(rules: &RuleSet, counts: &mut Vec<u64>, signature: u32, end: u64) -> Signal {
    count(counts, signature);
    let known = rules.signatures().get(signature as usize);
    Signal {
        id: known.map(|s| s.id.clone()).unwrap_or_default(),
        kind: SignalKind::Signature,
        on: known.map(|s| s.on.to_string()).unwrap_or_default(),
        weight: known.map_or(crate::Weight::Info, |s| s.weight),
        excerpt: String::new(),
        offset: end,
    }
}

/// Counts a hit of a signature.
pub(crate) fn count(counts: &mut Vec<u64>, signature: u32) {
    let at = signature as usize;
    if counts.len() <= at {
        counts.resize(at + 1, 0);
    }
    if let Some(n) = counts.get_mut(at) {
        *n += 1;
    }
}

/// Joins the event parser with the JSON reader: each event's data is one JSON text.
struct Events<'a, N> {
    reader: &'a mut mcp::Reader,
    head: &'a mut Vec<u8>,
    total: &'a mut Total,
    limits: &'a mcp::Limits,
    count: &'a mut u64,
    news: &'a mut N,
}

impl<N: News> sse::Sink for Events<'_, N> {
    fn data(&mut self, bytes: &[u8]) {
        let room = EVENT_HEAD.saturating_sub(self.head.len()).min(bytes.len());
        self.head.extend_from_slice(bytes.get(..room).unwrap_or(&[]));
        let news = &mut *self.news;
        self.reader.feed(self.limits, bytes, &mut |m| news.message(m, true));
    }

    fn event(&mut self, event: sse::Event<'_>) {
        *self.count += 1;
        let news = &mut *self.news;
        let kind = self.reader.finish(&mut |m| news.message(m, true));
        self.reader.reset();
        if event.has_data {
            // The data of a named event such as `endpoint` need not be JSON and says nothing against MCP.
            if event.name == b"message" || kind != BodyKind::NotJson {
                self.total.add(kind);
            }
            self.news.event(event.name, self.head);
        }
        self.head.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_tell_what_an_untyped_body_is() {
        for (held, want) in [
            (&b""[..], None),
            (b" \r\n", None),
            (b"{", Some("json")),
            (b"\xEF\xBB\xBF\r\n[", Some("json")),
            (b"eve", None),
            (b"event: x", Some("sse")),
            (b": ping", Some("sse")),
            (b"<html>", Some("skip")),
            (b"\x89PNG", Some("skip")),
        ] {
            let got = sniff(held).map(|m| match m {
                Mode::Json => "json",
                Mode::Sse(..) => "sse",
                Mode::Skip => "skip",
                Mode::Patterns | Mode::Undecided(_) => "other",
            });
            assert_eq!(got, want, "{held:?}");
        }
    }
}
