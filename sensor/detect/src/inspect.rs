//! One body in one direction: content coding off, then JSON, event stream or nothing of interest.

use crate::content::KeptText;
use crate::rules::{BodyState, RuleSet};
use crate::{Content, Hits, Scratch, Side, Signal, SignalKind};
use mcp::{BodyKind, Doubt, Message, Standing};
use net::Direction;
use proto::coding::{Codings, Decoder, Stop, Unsupported};
use proto::sse::{self, Parser};
use std::sync::Arc;

/// Decoded bytes of a body of no promising type that are looked at before it is let go.
const SNIFF: usize = 512;
/// Coded bytes of such a body that are decoded at once.
const BITE: usize = 64;
/// Rubbish that a decoder may give before it finds that the label was wrong, in bytes.
const MISLABELLED: u64 = 64;
/// Coded bytes that are kept until then.
const TRIAL: usize = 256;
/// Decoded bytes of a JSON body that are looked at where only a glance is due.
const GLANCE: u64 = 2048;
/// Coded bytes of such a body that are decoded at once.
const GLANCE_BITE: usize = 256;
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

impl Promise {
    /// Whether a body that begins with `bytes` can be let go at once: no type to hold it to, and nothing of interest.
    pub(crate) fn is_none_in(self, bytes: &[u8]) -> bool {
        matches!(self, Self::Sniff | Self::Page)
            && proto::coding::sniff(bytes).is_none()
            && !may_become_coded(bytes)
            && matches!(sniff(bytes.get(..SNIFF.min(bytes.len())).unwrap_or(bytes)), Some(Mode::Skip))
    }
}

/// Where inspection news go.
pub(crate) trait News {
    /// A JSON-RPC message is complete; `content` says what it holds.
    fn message(&mut self, message: Message, sse: bool, content: &dyn Fn(&Message) -> Option<Arc<Content>>);
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
    /// Beginning of a body that cannot be told yet.
    held: Vec<u8>,
    decoder: Option<Decoder>,
    /// First bytes as sent: too few to tell the coding by, or given to a decoder that may be the wrong one.
    first: Vec<u8>,
    /// The coding was told by the bytes, not by a label.
    sniffed: bool,
    /// First bytes that a decoder gave, and how many of them there are.
    given: ([u8; 4], u8),
    decoded: u64,
    /// The body is let go after [`GLANCE`] bytes that show no sign of a message.
    glance: bool,
    /// Its first byte that is no blank.
    begins_with: Option<u8>,
    /// A pattern hit it.
    hit: bool,
    reader: mcp::Reader,
    kept: KeptText,
    scan: BodyState,
    total: Total,
    document: mcp::Document,
    undecoded: Option<&'static str>,
}

#[derive(Debug)]
enum Mode {
    /// Too little seen to tell; it is held.
    Undecided,
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
    doubt: Option<Doubt>,
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
            Promise::Sniff | Promise::Page => Mode::Undecided,
        };
        Self {
            side,
            promise,
            mode,
            held: Vec::new(),
            decoder: None,
            first: Vec::new(),
            sniffed: false,
            given: ([0; 4], 0),
            decoded: 0,
            glance: false,
            begins_with: None,
            hit: false,
            reader: mcp::Reader::new(),
            kept: KeptText::of_body(side.dir(), rules),
            scan: scan_state(rules, side, promise),
            total: Total::default(),
            document: mcp::Document::default(),
            undecoded: None,
        }
    }

    /// As new, for another body.
    pub(crate) fn renew(&mut self, side: Side, promise: Promise, rules: &RuleSet) {
        let (mut reader, mut held) = (std::mem::take(&mut self.reader), std::mem::take(&mut self.held));
        let mut first = std::mem::take(&mut self.first);
        let mut kept = std::mem::take(&mut self.kept);
        kept.begin(side.dir(), rules);
        reader.reset();
        reader.expect_provider(false);
        held.clear();
        first.clear();
        *self = Self { held, first, reader, kept, ..Self::new(side, promise, rules) };
    }

    /// Nothing is expected of the body: its beginning is enough, if that shows nothing either.
    pub(crate) fn only_glance(&mut self) {
        self.glance = true;
    }

    /// What is said goes to a server that was asked to show two tools alone, which take programs.
    pub(crate) fn expect_programs(&mut self) {
        self.kept.expect_programs();
    }

    /// The body answers a model call that named MCP servers.
    pub(crate) fn expect_provider(&mut self) {
        self.reader.expect_provider(true);
    }

    /// What it holds, in bytes, beside decoders: an estimate.
    pub(crate) fn weight(&self) -> usize {
        // The reader keeps a text and what it knows of the message under way.
        const READER: usize = 2 << 10;
        size_of::<Self>()
            + READER
            + self.held.capacity()
            + self.first.capacity()
            + self.kept.weight()
            + self.reader.weight()
    }

    /// The body showed no promise, and nothing is known of it.
    pub(crate) fn was_let_go(&self) -> bool {
        matches!(self.mode, Mode::Skip) && self.undecoded.is_none() && self.kind() == BodyKind::Empty
    }

    /// Sets the content coding; says why where that cannot be decoded.
    pub(crate) fn coding(&mut self, codings: Result<Codings, Unsupported>, scratch: &mut Scratch) {
        match codings.and_then(|codings| Decoder::of(codings.list(), &mut scratch.pool)) {
            Ok(decoder) => self.decoder = Some(decoder),
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
        if self.decoder.is_some() || self.decoded > 0 || self.promise == Promise::Messages {
            self.decode(rules, scratch, bytes, news);
        } else {
            self.start(rules, scratch, bytes, news);
        }
    }

    /// The first bytes of a body whose coding no label tells; waits until they are enough to tell it by.
    fn start(&mut self, rules: &RuleSet, scratch: &mut Scratch, bytes: &[u8], news: &mut impl News) {
        if may_become_coded(bytes) || !self.first.is_empty() {
            self.first.extend_from_slice(bytes);
            if may_become_coded(&self.first) {
                return;
            }
            let first = std::mem::take(&mut self.first);
            self.begin(rules, scratch, &first, news);
        } else {
            self.begin(rules, scratch, bytes, news);
        }
    }

    /// As [`Self::start`], with enough of them.
    fn begin(&mut self, rules: &RuleSet, scratch: &mut Scratch, bytes: &[u8], news: &mut impl News) {
        if let Some(coding) = proto::coding::sniff(bytes) {
            self.sniffed = true;
            match Decoder::of(&[coding], &mut scratch.pool) {
                Ok(decoder) => self.decoder = Some(decoder),
                Err(unsupported) => self.give_up(unsupported.reason(), scratch),
            }
        }
        self.decode(rules, scratch, bytes, news);
    }

    /// Takes the coding off, where there is one.
    fn decode(&mut self, rules: &RuleSet, scratch: &mut Scratch, bytes: &[u8], news: &mut impl News) {
        let limits = scratch.limits.coding;
        let mut rest = bytes;
        while !rest.is_empty() && !matches!(self.mode, Mode::Skip) {
            let Some(mut decoder) = self.decoder.take() else {
                self.plain(rules, scratch, rest, news);
                return;
            };
            let trial = self.first.len() < TRIAL;
            let bite = match () {
                // A body of which the beginning decides is decoded in small bites until it has.
                () if matches!(self.mode, Mode::Undecided) => BITE,
                () if trial => TRIAL - self.first.len(),
                () if self.glance => GLANCE_BITE,
                () => rest.len(),
            };
            let (now, later) = rest.split_at(bite.min(rest.len()));
            if trial {
                self.first.extend_from_slice(now);
            }
            rest = later;
            match decoder.feed(&limits, now, &mut |plain| self.given(rules, scratch, plain, news)) {
                Ok(()) if matches!(self.mode, Mode::Skip) => {
                    decoder.finish(&mut scratch.pool);
                }
                Ok(()) => self.decoder = Some(decoder),
                // A wrong label: next to nothing came out, so the bytes may be what they are.
                Err(Stop::Corrupt) if trial && self.decoded < MISLABELLED => {
                    decoder.finish(&mut scratch.pool);
                    self.read_otherwise(rules, scratch, news);
                    self.feed(rules, scratch, rest, news);
                    return;
                }
                Err(stop) => {
                    decoder.finish(&mut scratch.pool);
                    self.give_up(stop.reason(), scratch);
                }
            }
        }
    }

    /// Reads the first bytes again by what they look like.
    fn read_otherwise(&mut self, rules: &RuleSet, scratch: &mut Scratch, news: &mut impl News) {
        *scratch.stats.undecoded.entry("mislabelled").or_default() += 1;
        let first = std::mem::take(&mut self.first);
        let sniffed = self.sniffed;
        self.renew(self.side, self.promise, rules);
        if sniffed {
            self.plain(rules, scratch, &first, news);
        } else {
            self.start(rules, scratch, &first, news);
        }
    }

    /// What a decoder gave.
    fn given(&mut self, rules: &RuleSet, scratch: &mut Scratch, bytes: &[u8], news: &mut impl News) {
        let (given, n) = &mut self.given;
        for (slot, byte) in given.iter_mut().skip(usize::from(*n)).zip(bytes) {
            *slot = *byte;
            *n += 1;
        }
        self.plain(rules, scratch, bytes, news);
    }

    fn plain(&mut self, rules: &RuleSet, scratch: &mut Scratch, bytes: &[u8], news: &mut impl News) {
        let left = usize::try_from(GLANCE.saturating_sub(self.decoded)).unwrap_or(usize::MAX);
        let Some((glance, rest)) = bytes.split_at_checked(left).filter(|_| self.glance) else {
            self.read(rules, scratch, bytes, news);
            return;
        };
        self.glance = false;
        self.read(rules, scratch, glance, news);
        if matches!(self.mode, Mode::Json | Mode::Patterns) && !self.hit && !self.reader.shows_rpc() {
            self.mode = Mode::Skip;
            self.total = Total::default();
            scratch.stats.bodies_let_go += 1;
        } else {
            self.read(rules, scratch, rest, news);
        }
    }

    /// Reads bytes with the coding off.
    fn read(&mut self, rules: &RuleSet, scratch: &mut Scratch, bytes: &[u8], news: &mut impl News) {
        if let (0, Some(first)) = (self.decoded, bytes.first()) {
            self.look_at_the_type(*first);
        }
        if self.begins_with.is_none() {
            self.begins_with = bytes.trim_ascii_start().first().copied();
        }
        self.decoded += bytes.len() as u64;
        if matches!(self.mode, Mode::Undecided) {
            self.held.extend_from_slice(bytes.get(..SNIFF.min(bytes.len())).unwrap_or(bytes));
            let Some(mode) = sniff(&self.held) else {
                // Only blanks so far; however many there are, they need not be kept.
                if self.held.len() > SNIFF {
                    self.held.clear();
                }
                return;
            };
            // What is no event stream either is what its type says.
            self.mode = if self.promise == Promise::Json && matches!(mode, Mode::Skip) { Mode::Json } else { mode };
            if matches!(self.mode, Mode::Skip) {
                scratch.stats.bodies_let_go += 1;
                return;
            }
            let held = std::mem::take(&mut self.held);
            let rest = bytes.get(SNIFF.min(bytes.len())..).unwrap_or(&[]);
            self.known(rules, scratch, &held, news);
            self.known(rules, scratch, rest, news);
        } else {
            self.known(rules, scratch, bytes, news);
        }
    }

    /// A body may be of the other type than its label says: no JSON begins like a field of an event stream, and no
    /// field like JSON.
    fn look_at_the_type(&mut self, first: u8) {
        match (self.promise, first) {
            (Promise::Json, b'd' | b'e' | b'i' | b'r' | b':') => self.mode = Mode::Undecided,
            (Promise::Sse, b'{' | b'[') => self.mode = Mode::Json,
            _ => {}
        }
    }

    fn known(&mut self, rules: &RuleSet, scratch: &mut Scratch, bytes: &[u8], news: &mut impl News) {
        if bytes.is_empty() {
            return;
        }
        let limits = &scratch.limits.json;
        let dir = self.side.dir();
        match &mut self.mode {
            Mode::Json => {
                let kept = &mut self.kept;
                kept.take(bytes);
                let content = |m: &Message| kept.examine(rules, dir, m);
                self.reader.feed(limits, bytes, &mut |m| news.message(m, false, &content));
                if self.reader.standing() != Standing::Open {
                    kept.settle();
                }
                if !self.reader.wants_more() {
                    self.total.add(self.reader.finish(&mut |m| news.message(m, false, &unread)));
                    self.total.doubt = self.total.doubt.or(self.reader.doubt());
                    // Of a body that was only sniffed nothing is left to learn.
                    self.mode = if self.promise == Promise::Sniff { Mode::Skip } else { Mode::Patterns };
                }
            }
            Mode::Sse(parser, head) => {
                let reader = &mut self.reader;
                let (total, count) = (&mut self.total, &mut scratch.stats.sse_events);
                let document = &mut self.document;
                let mut events = Events {
                    reader,
                    kept: &mut self.kept,
                    of: (rules, dir),
                    head,
                    total,
                    document,
                    limits,
                    count,
                    news,
                };
                parser.feed(bytes, &mut events);
            }
            Mode::Patterns | Mode::Skip | Mode::Undecided => {}
        }
        let signals = &mut scratch.stats.signals;
        let hit = &mut self.hit;
        rules.scan_body(&mut self.scan, &mut scratch.rules, bytes, &mut |signature, end| {
            *hit = true;
            news.signal(body_signal(rules, signals, signature, end));
        });
    }

    /// Body bytes that will never be seen.
    pub(crate) fn gap(&mut self, n: u64, scratch: &mut Scratch, rules: &RuleSet, news: &mut impl News) {
        if let Some(decoder) = self.decoder.take() {
            decoder.finish(&mut scratch.pool);
            self.give_up("gap", scratch);
        }
        rules.reset_body(&mut self.scan);
        match &mut self.mode {
            Mode::Json => {
                self.reader.gap(n, &mut |m| news.message(m, false, &unread));
                self.total.broken = true;
            }
            Mode::Sse(parser, head) => {
                let dir = self.side.dir();
                let limits = &scratch.limits.json;
                let reader = &mut self.reader;
                reader.gap(n, &mut |m| news.message(m, true, &unread));
                let (total, count) = (&mut self.total, &mut scratch.stats.sse_events);
                let document = &mut self.document;
                let mut events = Events {
                    reader,
                    kept: &mut self.kept,
                    of: (rules, dir),
                    head,
                    total,
                    document,
                    limits,
                    count,
                    news,
                };
                parser.gap(&mut events);
            }
            mode @ Mode::Undecided => *mode = Mode::Skip,
            Mode::Patterns | Mode::Skip => {}
        }
    }

    /// A WebSocket message is complete.
    pub(crate) fn message_end(&mut self, rules: &RuleSet, news: &mut impl News) {
        rules.reset_body(&mut self.scan);
        self.total.add(self.reader.finish(&mut |m| news.message(m, false, &unread)));
        self.total.doubt = self.total.doubt.or(self.reader.doubt());
        join(&mut self.document, self.reader.take_provider());
        self.reader.reset();
        self.kept.restart();
        if matches!(self.mode, Mode::Patterns) {
            self.mode = Mode::Json;
        }
    }

    /// The body is over; `cut` where its end was not seen.
    pub(crate) fn finish(&mut self, scratch: &mut Scratch, rules: &RuleSet, cut: bool, news: &mut impl News) {
        let doubt = self.total.doubt;
        if !self.first.is_empty() && self.decoded == 0 && self.decoder.is_none() && self.undecoded.is_none() {
            let first = std::mem::take(&mut self.first);
            self.plain(rules, scratch, &first, news);
        }
        let (given, n) = self.given;
        let given = given.get(..usize::from(n)).unwrap_or_default();
        if self.undecoded.is_none() && proto::coding::sniff(given).is_some() {
            self.give_up("coded_twice", scratch);
        }
        if let Some(decoder) = self.decoder.take() {
            decoder.finish(&mut scratch.pool);
        }
        if matches!(self.mode, Mode::Undecided) {
            // Too short to tell; what there is may still be a whole small message.
            let held = std::mem::take(&mut self.held);
            self.mode = Mode::Json;
            self.known(rules, scratch, &held, news);
        }
        match &mut self.mode {
            Mode::Json => {
                self.total.add(self.reader.finish(&mut |m| news.message(m, false, &unread)));
                self.total.doubt = self.total.doubt.or(self.reader.doubt());
                let before = self.document.provider.take();
                self.document = self.reader.document().clone();
                join(&mut self.document, before);
            }
            Mode::Sse(parser, head) => {
                let dir = self.side.dir();
                let limits = &scratch.limits.json;
                let reader = &mut self.reader;
                let (total, count) = (&mut self.total, &mut scratch.stats.sse_events);
                let document = &mut self.document;
                let mut events = Events {
                    reader,
                    kept: &mut self.kept,
                    of: (rules, dir),
                    head,
                    total,
                    document,
                    limits,
                    count,
                    news,
                };
                parser.finish(&mut events);
            }
            Mode::Patterns | Mode::Skip | Mode::Undecided => {}
        }
        if cut && matches!(self.total.doubt, Some(Doubt::Broken | Doubt::BrokenRpc)) {
            self.total.doubt = doubt;
        }
        scratch.stats.cut += self.reader.take_stats();
        rules.end_body(&mut self.scan, &mut scratch.rules);
    }

    /// What the body was, so far.
    pub(crate) fn kind(&self) -> BodyKind {
        self.total.kind()
    }

    /// How far its JSON has come; [`Standing::Lost`] where it is none, or cannot be read.
    pub(crate) fn standing(&self) -> Standing {
        match self.mode {
            Mode::Undecided => Standing::Before,
            Mode::Json => self.reader.standing(),
            Mode::Sse(..) | Mode::Patterns | Mode::Skip => Standing::Lost,
        }
    }

    /// What a JSON document that is no message says of MCP; known at the end.
    pub(crate) fn document(&self) -> &mcp::Document {
        &self.document
    }

    /// The same as soon as its JSON is closed; `None` before that, and for all that is no JSON.
    pub(crate) fn closed_document(&self) -> Option<&mcp::Document> {
        let closed = matches!(self.mode, Mode::Json) && self.reader.standing() == Standing::Closed;
        closed.then(|| self.reader.document())
    }

    /// Why part of it was not decoded.
    pub(crate) fn undecoded(&self) -> Option<&'static str> {
        self.undecoded
    }

    /// Why receivers may read its messages in different ways.
    pub(crate) fn doubt(&self) -> Option<Doubt> {
        self.total.doubt
    }

    /// Decoded bytes up to where decoding stopped, if it did.
    pub(crate) fn truncated_at(&self) -> Option<u64> {
        self.undecoded.map(|_| self.decoded)
    }

    /// Whether patterns alone may still find a message in it: it began as JSON, or with a comment, and is none.
    pub(crate) fn hangs_on_patterns(&self) -> bool {
        let lenient = self.begins_with == Some(b'/') || self.kind() == BodyKind::Broken;
        matches!(self.mode, Mode::Patterns) && lenient && self.raw_hits_count()
    }

    /// Whether pattern hits in it may count: it promised to be a message and does not parse.
    pub(crate) fn raw_hits_count(&self) -> bool {
        let unparsed = matches!(self.kind(), BodyKind::Broken | BodyKind::NotJson);
        unparsed && !matches!(self.promise, Promise::Page)
    }
}

/// Nothing is known of what a message holds that was cut.
const fn unread(_: &Message) -> Option<Arc<Content>> {
    None
}

/// Whether `bytes` are too few to tell a coding by, and may become one.
fn may_become_coded(bytes: &[u8]) -> bool {
    matches!(*bytes, [0x1f | 0x28 | 0x78] | [0x1f, 0x8b] | [0x28, 0xb5] | [0x28, 0xb5, 0x2f] | [0x78, _])
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

fn body_signal(rules: &RuleSet, hits: &mut Hits, signature: u32, end: u64) -> Signal {
    hits.count(rules, signature);
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

/// Adds what one event or message says of a provider's MCP to what others said.
fn join(document: &mut mcp::Document, part: Option<Box<mcp::Provider>>) {
    if let Some(part) = part {
        document.provider.get_or_insert_default().join(*part);
    }
}

/// Joins the event parser with the JSON reader: each event's data is one JSON text.
struct Events<'a, N> {
    reader: &'a mut mcp::Reader,
    kept: &'a mut KeptText,
    of: (&'a RuleSet, Direction),
    head: &'a mut Vec<u8>,
    total: &'a mut Total,
    document: &'a mut mcp::Document,
    limits: &'a mcp::Limits,
    count: &'a mut u64,
    news: &'a mut N,
}

impl<N: News> sse::Sink for Events<'_, N> {
    fn data(&mut self, bytes: &[u8]) {
        let room = EVENT_HEAD.saturating_sub(self.head.len()).min(bytes.len());
        self.head.extend_from_slice(bytes.get(..room).unwrap_or(&[]));
        let news = &mut *self.news;
        self.kept.take(bytes);
        let (kept, (rules, dir)) = (&*self.kept, self.of);
        let content = |m: &Message| kept.examine(rules, dir, m);
        self.reader.feed(self.limits, bytes, &mut |m| news.message(m, true, &content));
    }

    fn event(&mut self, event: sse::Event<'_>) {
        *self.count += 1;
        let news = &mut *self.news;
        let kind = self.reader.finish(&mut |m| news.message(m, true, &unread));
        self.total.doubt = self.total.doubt.or(self.reader.doubt());
        join(self.document, self.reader.take_provider());
        self.reader.reset();
        self.kept.restart();
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
    fn the_first_bytes_of_a_coding_are_waited_for_and_nothing_else_is() {
        for magic in [&b"\x1f\x8b\x08"[..], b"\x28\xb5\x2f\xfd", b"\x78\x9c\x4b"] {
            assert!((1..magic.len()).all(|n| may_become_coded(&magic[..n])), "{magic:?}");
            assert!(proto::coding::sniff(magic).is_some() && !may_become_coded(magic), "{magic:?}");
        }
        for text in [&b""[..], b"{", b"[1", b"\x1f{", b"(1", b"x = 1"] {
            assert!(!may_become_coded(text), "{text:?}");
        }
    }

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
                Mode::Patterns | Mode::Undecided => "other",
            });
            assert_eq!(got, want, "{held:?}");
        }
    }
}
