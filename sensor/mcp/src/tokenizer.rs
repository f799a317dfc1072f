//! The one push tokenizer for JSON in traffic (RFC 8259, and what lenient servers accept besides).
//!
//! It is fed slices of UTF-8 and gives one [`Token`] at a time; between slices it keeps a few words and at most
//! [`TEXT_CAP`] bytes of the string it is in. Whoever drives it may [`Tokenizer::skip_rest`] a container, which
//! then costs no memory at any depth, and says of each string whether its text is wanted.
//!
//! Tolerated: trailing commas, `NaN`, `Infinity`, `undefined`, numbers of any form and length, raw control
//! characters and unknown escapes in strings, several values one after the other with or without RFC 7464
//! record separators. Not tolerated (so the sensor never guesses): comments, single quotes, bare keys.

use memchr::memchr2;

/// Longest text kept of one key or value, in bytes of UTF-8. The rest of a longer one is passed over.
pub(crate) const TEXT_CAP: usize = 2048;
/// Longest number or word kept, in bytes.
const SCALAR_CAP: usize = 64;
/// Strings up to this many bytes are skipped byte by byte.
const SHORT: usize = 24;
/// Deepest container the tokenizer enters; deeper ones are skipped, by two counters.
pub(crate) const MAX_DEPTH: u32 = 120;

/// What the next bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    /// `{`
    ObjectStart,
    /// `}`, also at the end of a skipped object.
    ObjectEnd,
    /// `[`
    ArrayStart,
    /// `]`, also at the end of a skipped array.
    ArrayEnd,
    /// The opening quote of a member name.
    KeyStart,
    /// A whole member name: see [`Tokenizer::text`].
    Key,
    /// The opening quote of a string value; call [`Tokenizer::keep_text`] now to have its text.
    TextStart,
    /// A whole string value.
    Text,
    /// The first byte of a number or word (already consumed).
    ScalarStart,
    /// A whole number or word: see [`Tokenizer::text`]. The byte after it is not consumed.
    Scalar,
    /// Not JSON from here on; nothing follows.
    Broken,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Between values of the top level.
    Between,
    /// A value, or the end of the array.
    ValueOrEnd,
    /// The value of a member.
    Value,
    /// A member name, or the end of the object.
    KeyOrEnd,
    Colon,
    CommaOrEnd,
    KeyText,
    ValueText,
    Scalar,
    Skip,
    SkipText,
    Broken,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Escape {
    None,
    Slash,
    Hex { left: u8, value: u16 },
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Tokenizer {
    state: State,
    /// Open containers that were entered.
    depth: u32,
    /// One bit per entered level, the lowest being the innermost: set for an object.
    objects: u128,
    /// The string being read is wanted.
    keep: bool,
    /// It was longer than `cap`.
    cut: bool,
    escape: Escape,
    /// First half of a surrogate pair, waiting for the second.
    high: Option<u16>,
    text: Vec<u8>,
    /// Longest text kept of one key or value, in bytes.
    cap: usize,
    /// Open objects and arrays of what is being skipped.
    braces: u64,
    brackets: u64,
    /// What is being skipped is an object.
    skip_object: bool,
}

impl Tokenizer {
    pub(crate) fn new() -> Self {
        Self {
            state: State::Between,
            depth: 0,
            objects: 0,
            keep: false,
            cut: false,
            escape: Escape::None,
            high: None,
            text: Vec::new(),
            cap: TEXT_CAP,
            braces: 0,
            brackets: 0,
            skip_object: false,
        }
    }

    /// One that keeps every text whole: for input that is in memory as a whole anyway.
    pub(crate) fn whole() -> Self {
        Self { cap: usize::MAX, ..Self::new() }
    }

    /// Back to the start; keeps the buffer.
    pub(crate) fn reset(&mut self) {
        let mut text = std::mem::take(&mut self.text);
        text.clear();
        *self = Self { text, cap: self.cap, ..Self::new() };
    }

    /// Gives memory over `bytes` back.
    pub(crate) fn shrink(&mut self, bytes: usize) {
        self.text.clear();
        self.text.shrink_to(bytes);
    }

    /// The container just begun is passed over, because it is too deep or somebody asked for it.
    pub(crate) fn is_skipping(&self) -> bool {
        self.state == State::Skip
    }

    /// Makes the escapes in a stretch of JSON the [`Self::text`], its quotes and brackets staying as they are. For
    /// what was passed over; the place in the input does not change.
    pub(crate) fn unescape(&mut self, raw: &[u8]) {
        self.begin_text(true);
        let mut at = 0;
        while self.string(raw, &mut at) {
            self.append(b"\"");
        }
        self.push_lone_half();
        self.escape = Escape::None;
    }

    /// Nothing is half read.
    pub(crate) fn is_between(&self) -> bool {
        self.state == State::Between
    }

    /// Says that the text of the value just begun is wanted.
    pub(crate) fn keep_text(&mut self) {
        self.keep = true;
    }

    /// Passes over the rest of the innermost open container. Its end still comes as a token.
    pub(crate) fn skip_rest(&mut self) {
        if self.depth == 0 || matches!(self.state, State::Broken | State::Skip | State::SkipText) {
            return;
        }
        self.skip_object = self.objects & 1 == 1;
        self.braces = u64::from(self.skip_object);
        self.brackets = u64::from(!self.skip_object);
        self.state = State::Skip;
    }

    /// Text of the last [`Token::Key`], [`Token::Text`] (if kept) or [`Token::Scalar`].
    pub(crate) fn text(&self) -> &[u8] {
        &self.text
    }

    /// Whether [`Self::text`] is all of it.
    pub(crate) fn is_whole(&self) -> bool {
        !self.cut
    }

    /// Ends the input: a number or word at the top level ends with it.
    pub(crate) fn finish(&mut self) -> Option<Token> {
        (self.state == State::Scalar).then(|| self.end_scalar())
    }

    /// The next token of `input`, beginning at `pos`, which moves on. `None`: all of `input` is used.
    pub(crate) fn next(&mut self, input: &[u8], pos: &mut usize) -> Option<Token> {
        loop {
            match self.state {
                State::Broken => {
                    *pos = input.len();
                    return None;
                }
                State::KeyText => {
                    return self.string(input, pos).then(|| {
                        self.state = State::Colon;
                        Token::Key
                    });
                }
                State::ValueText => {
                    return self.string(input, pos).then(|| {
                        self.after_value();
                        Token::Text
                    });
                }
                State::Scalar => return self.scalar(input, pos),
                State::Skip => return self.skip(input, pos),
                State::SkipText => {
                    if !self.string(input, pos) {
                        return None;
                    }
                    self.state = State::Skip;
                }
                _ => {
                    let &byte = input.get(*pos)?;
                    *pos += 1;
                    if matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                        continue;
                    }
                    if let Some(token) = self.structural(byte) {
                        return Some(token);
                    }
                }
            }
        }
    }

    /// One significant byte outside strings and scalars.
    fn structural(&mut self, byte: u8) -> Option<Token> {
        match (self.state, byte) {
            (State::Between, 0x1E) => None,
            (State::Between | State::Value | State::ValueOrEnd, _) if byte != b']' => Some(self.value(byte)),
            (State::ValueOrEnd | State::CommaOrEnd, b']') if self.objects & 1 == 0 && self.depth > 0 => {
                Some(self.leave())
            }
            (State::KeyOrEnd | State::CommaOrEnd, b'}') if self.objects & 1 == 1 => Some(self.leave()),
            (State::KeyOrEnd, b'"') => {
                self.begin_text(true);
                self.state = State::KeyText;
                Some(Token::KeyStart)
            }
            (State::Colon, b':') => {
                self.state = State::Value;
                None
            }
            (State::CommaOrEnd, b',') => {
                self.state = if self.objects & 1 == 1 { State::KeyOrEnd } else { State::ValueOrEnd };
                None
            }
            _ => Some(self.broken()),
        }
    }

    fn value(&mut self, byte: u8) -> Token {
        match byte {
            b'{' => self.enter(true),
            b'[' => self.enter(false),
            b'"' => {
                self.begin_text(false);
                self.state = State::ValueText;
                Token::TextStart
            }
            b'0'..=b'9' | b'-' | b'+' | b'.' | b't' | b'f' | b'n' | b'N' | b'I' | b'u' => {
                self.begin_text(true);
                self.text.push(byte);
                self.state = State::Scalar;
                Token::ScalarStart
            }
            _ => self.broken(),
        }
    }

    fn enter(&mut self, object: bool) -> Token {
        self.depth += 1;
        self.objects = self.objects << 1 | u128::from(object);
        self.state = if object { State::KeyOrEnd } else { State::ValueOrEnd };
        if self.depth >= MAX_DEPTH {
            self.skip_rest();
        }
        if object { Token::ObjectStart } else { Token::ArrayStart }
    }

    fn leave(&mut self) -> Token {
        let object = self.objects & 1 == 1;
        self.objects >>= 1;
        self.depth = self.depth.saturating_sub(1);
        self.after_value();
        if object { Token::ObjectEnd } else { Token::ArrayEnd }
    }

    fn after_value(&mut self) {
        self.state = if self.depth == 0 { State::Between } else { State::CommaOrEnd };
    }

    fn broken(&mut self) -> Token {
        self.state = State::Broken;
        Token::Broken
    }

    fn begin_text(&mut self, keep: bool) {
        self.text.clear();
        self.keep = keep;
        self.cut = false;
        self.escape = Escape::None;
        self.high = None;
    }

    /// Reads on in a string; true once its closing quote is consumed.
    fn string(&mut self, input: &[u8], pos: &mut usize) -> bool {
        loop {
            let rest = input.get(*pos..).unwrap_or_default();
            let Some(&first) = rest.first() else {
                return false;
            };
            match self.escape {
                Escape::None => match end_or_escape(rest) {
                    None => {
                        self.push(rest);
                        *pos = input.len();
                        return false;
                    }
                    Some(at) => {
                        let (plain, tail) = rest.split_at(at);
                        self.push(plain);
                        *pos += at + 1;
                        if tail.first() == Some(&b'"') {
                            self.push_lone_half();
                            return true;
                        }
                        if !self.keep && tail.len() > 1 {
                            // Nobody wants the text: what is escaped is passed over with its backslash.
                            *pos += 1;
                        } else {
                            self.escape = Escape::Slash;
                        }
                    }
                },
                Escape::Slash => {
                    *pos += 1;
                    self.escape = Escape::None;
                    if self.keep {
                        self.escaped(first);
                    }
                }
                Escape::Hex { left, value } => {
                    let Some(digit) = char::from(first).to_digit(16).and_then(|d| u16::try_from(d).ok()) else {
                        // Not RFC 8259: show that something was there, and read the byte as itself.
                        self.escape = Escape::None;
                        self.push_char(char::REPLACEMENT_CHARACTER);
                        continue;
                    };
                    *pos += 1;
                    let value = value << 4 | digit;
                    if left > 1 {
                        self.escape = Escape::Hex { left: left - 1, value };
                    } else {
                        self.escape = Escape::None;
                        self.unit(value);
                    }
                }
            }
        }
    }

    /// The byte after a backslash, in a string whose text is wanted.
    fn escaped(&mut self, byte: u8) {
        match byte {
            b'u' => self.escape = Escape::Hex { left: 4, value: 0 },
            b'n' => self.push(b"\n"),
            b't' => self.push(b"\t"),
            b'r' => self.push(b"\r"),
            b'b' => self.push(b"\x08"),
            b'f' => self.push(b"\x0C"),
            // `"`, `\`, `/`; and an unknown escape stands for its byte, as lenient readers have it.
            other => self.push(&[other]),
        }
    }

    /// One UTF-16 unit of a `\u` escape.
    fn unit(&mut self, unit: u16) {
        if let Some(high) = self.high.take() {
            if let Some(Ok(both)) = char::decode_utf16([high, unit]).next() {
                self.push_char(both);
                return;
            }
            self.push_char(char::REPLACEMENT_CHARACTER);
        }
        if (0xD800..0xDC00).contains(&unit) {
            self.high = Some(unit);
        } else {
            self.push_char(char::from_u32(u32::from(unit)).unwrap_or(char::REPLACEMENT_CHARACTER));
        }
    }

    fn push_lone_half(&mut self) {
        if self.high.take().is_some() {
            self.push_char(char::REPLACEMENT_CHARACTER);
        }
    }

    fn push_char(&mut self, c: char) {
        let mut room = [0; 4];
        self.append(c.encode_utf8(&mut room).as_bytes());
    }

    fn push(&mut self, bytes: &[u8]) {
        if self.keep && !bytes.is_empty() {
            self.push_lone_half();
            self.append(bytes);
        }
    }

    fn append(&mut self, bytes: &[u8]) {
        if !self.keep || self.cut {
            return;
        }
        let room = self.cap.saturating_sub(self.text.len());
        match bytes.get(..room) {
            Some(part) if part.len() < bytes.len() => {
                self.text.extend_from_slice(part);
                self.cut = true;
            }
            _ => self.text.extend_from_slice(bytes),
        }
    }

    fn scalar(&mut self, input: &[u8], pos: &mut usize) -> Option<Token> {
        let rest = input.get(*pos..).unwrap_or_default();
        let end = rest.iter().position(|b| !matches!(b, b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'+' | b'-' | b'.'));
        let used = end.unwrap_or(rest.len());
        let room = SCALAR_CAP.saturating_sub(self.text.len());
        self.cut |= used > room;
        self.text.extend_from_slice(rest.get(..used.min(room)).unwrap_or_default());
        *pos += used;
        end.map(|_| self.end_scalar())
    }

    fn end_scalar(&mut self) -> Token {
        let unsigned = self.text.strip_prefix(b"-").or_else(|| self.text.strip_prefix(b"+")).unwrap_or(&self.text);
        let number = unsigned.first().is_some_and(|b| matches!(b, b'0'..=b'9' | b'.'));
        let word = matches!(unsigned, b"NaN" | b"Infinity")
            || matches!(self.text.as_slice(), b"true" | b"false" | b"null" | b"undefined");
        if !number && !word {
            return self.broken();
        }
        self.after_value();
        Token::Scalar
    }

    /// Passes over a container by counting brackets; strings are jumped by their quotes.
    fn skip(&mut self, input: &[u8], pos: &mut usize) -> Option<Token> {
        // In locals, so that the loop runs in registers.
        let (mut at, mut braces, mut brackets) = (*pos, self.braces, self.brackets);
        let mut token = None;
        while let Some(&byte) = input.get(at) {
            at += 1;
            match byte {
                b'"' => {
                    // Most strings are short: a search that must be set up first costs more than it saves.
                    let rest = input.get(at..).unwrap_or_default();
                    match rest.iter().take(SHORT).position(|b| matches!(b, b'"' | b'\\')) {
                        Some(end) if rest.get(end) == Some(&b'"') => at += end + 1,
                        _ => {
                            self.begin_text(false);
                            self.state = State::SkipText;
                            if !self.string(input, &mut at) {
                                break;
                            }
                            self.state = State::Skip;
                        }
                    }
                    continue;
                }
                b'{' => braces = braces.saturating_add(1),
                b'[' => brackets = brackets.saturating_add(1),
                b'}' if braces > 0 => braces -= 1,
                b']' if brackets > 0 => brackets -= 1,
                b'}' | b']' | b'/' | b'\'' | b'\\' => {
                    token = Some(self.broken());
                    break;
                }
                _ => continue,
            }
            if braces == 0 && brackets == 0 {
                token = Some(self.leave());
                break;
            }
        }
        (*pos, self.braces, self.brackets) = (at, braces, brackets);
        token
    }
}
/// Where the first quote or backslash stands. The next one is mostly near, where a word at a time is quicker than
/// a call.
#[inline]
fn end_or_escape(text: &[u8]) -> Option<usize> {
    const NEAR: usize = 4;
    const ONES: u64 = u64::MAX / 0xff;
    // The lowest bit set is that of the first byte that is zero.
    let zero_bytes = |word: u64| word.wrapping_sub(ONES) & !word & (ONES << 7);
    let (words, _) = text.as_chunks::<8>();
    for (word, at) in words.iter().zip((0..8 * NEAR).step_by(8)) {
        let word = u64::from_le_bytes(*word);
        let found = zero_bytes(word ^ (ONES * u64::from(b'"'))) | zero_bytes(word ^ (ONES * u64::from(b'\\')));
        if found != 0 {
            return Some(at + (found.trailing_zeros() >> 3) as usize);
        }
    }
    let far = 8 * words.len().min(NEAR);
    memchr2(b'"', b'\\', text.get(far..)?).map(|at| far + at)
}
