//! Every leaf of one JSON text, with its place: for whoever looks for something in values, or changes them in flight.
//!
//! The text is read as leniently as [`Reader`](crate::Reader) reads it, by the same tokenizer, so that what a lenient
//! receiver would see is seen here: of members with the same name every one is given, several values may follow each
//! other. Names and texts are unescaped; what is no UTF-8 and every lone surrogate is U+FFFD.
//!
//! Time is linear in the text. A [`Walker`] holds the names of the open path and the longest text, both of which are
//! parts of the text, and keeps at most [`KEPT_BYTES`] of it from one text to the next.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use crate::tokenizer::{Token, Tokenizer};

/// Memory that a [`Walker`] keeps between two texts, in bytes, of either of its buffers.
pub const KEPT_BYTES: usize = 64 * 1024;
/// What a UTF-8 text may begin with, and most readers pass over.
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// One step from a container to what is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// The member of an object, by its unescaped name.
    Member(&'a str),
    /// The element of an array, from 0.
    Element(usize),
}

/// Where a value stands: a JSON Pointer (RFC 6901) that is never written out unless asked for.
///
/// Its [`Display`](fmt::Display) is the pointer. Values that follow each other at the top level all begin at the root.
#[derive(Clone, Copy)]
pub struct Path<'a> {
    frames: &'a [Frame],
    names: &'a str,
}

/// What a leaf holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// A string, unescaped.
    Text(&'a str),
    /// A number as written, of whatever form and length; `NaN` and `Infinity` too.
    Number(&'a str),
    /// `true` or `false`.
    Bool(bool),
    /// `null`, or `undefined`.
    Null,
    /// An object or array deeper than 120 levels: no leaf, but given as one, so that nothing can hide there. Its text
    /// with the escapes of all strings in it taken off; the quotes around them and the brackets stay.
    Deep(&'a str),
}

/// One value that is neither object nor array, or one member name.
#[derive(Clone, Debug)]
pub struct Leaf<'a> {
    /// Where it stands; for a member name the path of the member.
    pub path: Path<'a>,
    /// The bytes of it in the text, with the quotes of a string. Any JSON value put there leaves valid JSON valid (for
    /// a name: any string).
    pub range: Range<usize>,
    /// What it holds; of a name its text.
    pub value: Value<'a>,
    /// It is the name of a member.
    pub is_name: bool,
}

/// The text stops being JSON, or ends inside a value. What was given before stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no JSON at byte {at}")]
pub struct Broken {
    /// Offset after the last byte that was understood, at most the length of the text.
    pub at: usize,
}

/// One open container.
#[derive(Clone, Copy, Debug)]
struct Frame {
    /// Where the name of the current member stands in the names; both the same at its beginning and in arrays.
    name: (usize, usize),
    /// Elements that began so far.
    count: usize,
    object: bool,
}

impl<'a> Path<'a> {
    /// The steps from the root.
    pub fn steps(self) -> impl DoubleEndedIterator<Item = Step<'a>> + ExactSizeIterator {
        self.frames.iter().map(move |frame| self.step(frame))
    }

    /// The last step; `None` at the root.
    pub fn last(self) -> Option<Step<'a>> {
        self.frames.last().map(|frame| self.step(frame))
    }

    /// The name of the innermost member that it is in: of `/a/b/3` it is `b`.
    pub fn member(self) -> Option<&'a str> {
        self.frames.iter().rev().find(|frame| frame.object).map(|frame| self.name(frame))
    }

    /// Number of steps.
    pub const fn len(self) -> usize {
        self.frames.len()
    }

    /// True at the root.
    pub const fn is_empty(self) -> bool {
        self.frames.is_empty()
    }

    /// Whether `pointer` (RFC 6901) names this place.
    pub fn is(self, pointer: &str) -> bool {
        self.after(pointer, self.frames.len()).is_some_and(str::is_empty)
    }

    /// Whether `pointer` names this place or a container that it is in.
    pub fn is_within(self, pointer: &str) -> bool {
        let mut rest = pointer;
        for frame in self.frames {
            if rest.is_empty() {
                return true;
            }
            let Some(after) = self.strip(frame, rest) else { return false };
            rest = after;
        }
        rest.is_empty()
    }

    /// What is left of `pointer` after the first `steps` steps.
    fn after(self, pointer: &str, steps: usize) -> Option<&str> {
        self.frames.iter().take(steps).try_fold(pointer, |rest, frame| self.strip(frame, rest))
    }

    /// Takes one step off the front of a pointer.
    fn strip<'p>(self, frame: &Frame, pointer: &'p str) -> Option<&'p str> {
        let token = pointer.strip_prefix('/')?;
        let end = token.find('/').unwrap_or(token.len());
        let (token, rest) = token.split_at_checked(end)?;
        let same = match self.step(frame) {
            Step::Member(name) => same_name(token, name),
            // The one way to write an index (RFC 6901, section 4): no sign, no leading zero.
            Step::Element(index) => {
                (token == "0" || token.bytes().next().is_some_and(|b| matches!(b, b'1'..=b'9')))
                    && token.parse() == Ok(index)
            }
        };
        same.then_some(rest)
    }

    fn step(self, frame: &Frame) -> Step<'a> {
        if frame.object { Step::Member(self.name(frame)) } else { Step::Element(frame.count.saturating_sub(1)) }
    }

    fn name(self, frame: &Frame) -> &'a str {
        self.names.get(frame.name.0..frame.name.1).unwrap_or_default()
    }
}

/// Whether a token of a pointer, with `~0` and `~1` in it, names a member.
fn same_name(token: &str, name: &str) -> bool {
    if !token.contains('~') && !name.contains(['~', '/']) {
        return token == name;
    }
    let mut token = token.chars();
    name.chars().all(|c| match c {
        '~' => token.next() == Some('~') && token.next() == Some('0'),
        '/' => token.next() == Some('~') && token.next() == Some('1'),
        c => token.next() == Some(c),
    }) && token.next().is_none()
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write as _;
        for step in self.steps() {
            f.write_char('/')?;
            match step {
                Step::Element(index) => write!(f, "{index}")?,
                Step::Member(name) => {
                    for c in name.chars() {
                        match c {
                            '~' => f.write_str("~0")?,
                            '/' => f.write_str("~1")?,
                            c => f.write_char(c)?,
                        }
                    }
                }
            }
        }
        Ok(())
    }
}

/// As the pointer.
impl fmt::Debug for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.to_string())
    }
}

/// Walks one text after the other with the same buffers.
pub struct Walker {
    tokenizer: Tokenizer,
    frames: Vec<Frame>,
    /// Names of the current members of all open objects, one after the other.
    names: String,
}

/// Shows no text.
impl fmt::Debug for Walker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Walker").finish_non_exhaustive()
    }
}

impl Default for Walker {
    fn default() -> Self {
        Self { tokenizer: Tokenizer::whole(), frames: Vec::new(), names: String::new() }
    }
}

/// As [`Walker::walk`], with buffers of its own.
///
/// # Errors
///
/// As there.
pub fn walk(text: &[u8], visit: &mut dyn FnMut(&Leaf<'_>)) -> Result<(), Broken> {
    Walker::default().walk(text, visit)
}

/// As [`Walker::removals`] for the arrays at one pointer, with buffers of its own.
///
/// # Errors
///
/// As there.
pub fn removals(
    text: &[u8],
    pointer: &str,
    remove: &mut dyn FnMut(usize, &[u8]) -> bool,
) -> Result<Vec<Range<usize>>, Broken> {
    Walker::default().removals(text, &mut |path| path.is(pointer), remove)
}

/// The UTF-8 form of a JSON text in whatever Unicode form (RFC 4627, section 3), which is the text itself mostly. All
/// else here wants UTF-8.
pub fn utf8_form(text: &[u8]) -> Cow<'_, [u8]> {
    crate::wide::narrow(text)
}

impl Walker {
    /// Gives every leaf of a text in UTF-8 to `visit`, in the order of the text, and each member name before its value.
    ///
    /// # Errors
    ///
    /// [`Broken`] where the text stops being JSON, after what came before was given.
    pub fn walk(&mut self, text: &[u8], visit: &mut dyn FnMut(&Leaf<'_>)) -> Result<(), Broken> {
        let done = self.leaves(text, visit);
        self.rest();
        done
    }

    fn leaves(&mut self, text: &[u8], visit: &mut dyn FnMut(&Leaf<'_>)) -> Result<(), Broken> {
        let mut at = start(text);
        let mut begin = at;
        // The container that is passed over, if one is.
        let mut deep = None;
        self.begin();
        while let Some(token) = self.next(text, &mut at) {
            match token {
                Token::ObjectStart | Token::ArrayStart => {
                    let begin = at.saturating_sub(1);
                    self.element();
                    if self.tokenizer.is_skipping() {
                        deep = Some(begin);
                    } else {
                        self.enter(token == Token::ObjectStart);
                    }
                }
                Token::ObjectEnd | Token::ArrayEnd => match deep.take() {
                    None => self.leave(),
                    Some(begin) => {
                        let raw = text.get(begin..at).unwrap_or_default();
                        self.tokenizer.unescape(raw);
                        let text = String::from_utf8_lossy(self.tokenizer.text());
                        let path = Path { frames: &self.frames, names: &self.names };
                        visit(&Leaf { path, range: begin..at, value: Value::Deep(&text), is_name: false });
                    }
                },
                Token::KeyStart => begin = at.saturating_sub(1),
                Token::TextStart => {
                    begin = at.saturating_sub(1);
                    self.element();
                    self.tokenizer.keep_text();
                }
                Token::ScalarStart => {
                    begin = at.saturating_sub(1);
                    self.element();
                }
                Token::Key => {
                    self.name();
                    let path = Path { frames: &self.frames, names: &self.names };
                    let value = Value::Text(path.member().unwrap_or_default());
                    visit(&Leaf { path, range: begin..at, value, is_name: true });
                }
                Token::Text => {
                    let text = String::from_utf8_lossy(self.tokenizer.text());
                    let path = Path { frames: &self.frames, names: &self.names };
                    visit(&Leaf { path, range: begin..at, value: Value::Text(&text), is_name: false });
                }
                Token::Scalar => {
                    let word = str::from_utf8(text.get(begin..at).unwrap_or_default()).unwrap_or_default();
                    let value = match word {
                        "true" => Value::Bool(true),
                        "false" => Value::Bool(false),
                        "null" | "undefined" => Value::Null,
                        number => Value::Number(number),
                    };
                    let path = Path { frames: &self.frames, names: &self.names };
                    visit(&Leaf { path, range: begin..at, value, is_name: false });
                }
                Token::Broken => return Err(Broken { at: at.saturating_sub(1) }),
            }
        }
        if self.tokenizer.is_between() { Ok(()) } else { Err(Broken { at: text.len() }) }
    }

    /// The byte ranges to take out so that elements of arrays are gone, each with its comma: what is left of valid JSON
    /// is valid JSON with exactly the other elements.
    ///
    /// `wanted` says of each array by its path whether elements of it are asked about; then `remove` is given each
    /// element's index and bytes. Inside such an array no other is looked for. Ranges are in order and do not touch.
    ///
    /// # Errors
    ///
    /// [`Broken`] where the text is no JSON, though not all of what is wrong inside an element is noticed.
    pub fn removals(
        &mut self,
        text: &[u8],
        wanted: &mut dyn FnMut(Path<'_>) -> bool,
        remove: &mut dyn FnMut(usize, &[u8]) -> bool,
    ) -> Result<Vec<Range<usize>>, Broken> {
        let done = self.cuts(text, wanted, remove);
        self.rest();
        done
    }

    fn cuts(
        &mut self,
        text: &[u8],
        wanted: &mut dyn FnMut(Path<'_>) -> bool,
        remove: &mut dyn FnMut(usize, &[u8]) -> bool,
    ) -> Result<Vec<Range<usize>>, Broken> {
        let mut at = start(text);
        let mut begin = at;
        let mut cuts = Cuts::default();
        // Number of frames inside the wanted array, while in one.
        let mut array = None;
        let mut skipping = false;
        self.begin();
        while let Some(token) = self.next(text, &mut at) {
            let here = array == Some(self.frames.len());
            let mut ended = false;
            match token {
                Token::ObjectStart | Token::ArrayStart => {
                    begin = at.saturating_sub(1);
                    self.element();
                    if here {
                        self.tokenizer.skip_rest();
                    }
                    skipping = self.tokenizer.is_skipping();
                    if !skipping {
                        let path = Path { frames: &self.frames, names: &self.names };
                        let wants = token == Token::ArrayStart && wanted(path);
                        self.enter(token == Token::ObjectStart);
                        if wants {
                            array = Some(self.frames.len());
                            cuts.open(at);
                        }
                    }
                }
                Token::ObjectEnd | Token::ArrayEnd => {
                    if skipping {
                        skipping = false;
                        ended = here;
                    } else {
                        self.leave();
                        if here {
                            array = None;
                            cuts.close(at.saturating_sub(1));
                        }
                    }
                }
                Token::TextStart | Token::ScalarStart => {
                    begin = at.saturating_sub(1);
                    self.element();
                }
                Token::Key => self.name(),
                Token::Text | Token::Scalar => ended = here,
                Token::KeyStart => {}
                Token::Broken => return Err(Broken { at: at.saturating_sub(1) }),
            }
            if ended {
                let index = self.frames.last().map_or(0, |frame| frame.count.saturating_sub(1));
                let gone = remove(index, text.get(begin..at).unwrap_or_default());
                cuts.element(begin..at, gone);
            }
        }
        if self.tokenizer.is_between() { Ok(cuts.ranges) } else { Err(Broken { at: text.len() }) }
    }

    fn begin(&mut self) {
        self.tokenizer.reset();
        self.frames.clear();
        self.names.clear();
    }

    /// Gives back what one unusual text needed.
    fn rest(&mut self) {
        self.tokenizer.shrink(KEPT_BYTES);
        self.names.clear();
        self.names.shrink_to(KEPT_BYTES);
    }

    fn next(&mut self, text: &[u8], at: &mut usize) -> Option<Token> {
        self.tokenizer.next(text, at).or_else(|| self.tokenizer.finish())
    }

    /// A value begins: in an array it is the next element.
    fn element(&mut self) {
        if let Some(frame) = self.frames.last_mut().filter(|frame| !frame.object) {
            frame.count += 1;
        }
    }

    fn enter(&mut self, object: bool) {
        let end = self.names.len();
        self.frames.push(Frame { name: (end, end), count: 0, object });
    }

    fn leave(&mut self) {
        if let Some(frame) = self.frames.pop() {
            self.names.truncate(frame.name.0);
        }
    }

    /// A member name ended.
    fn name(&mut self) {
        if let Some(frame) = self.frames.last_mut() {
            self.names.truncate(frame.name.0);
            self.names.push_str(&String::from_utf8_lossy(self.tokenizer.text()));
            frame.name.1 = self.names.len();
        }
    }
}

/// Where JSON begins in a text.
fn start(text: &[u8]) -> usize {
    if text.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 }
}

/// What to take out, while elements go by.
#[derive(Debug, Default)]
struct Cuts {
    ranges: Vec<Range<usize>>,
    /// End of the last element, or the place after the opening bracket.
    last_end: usize,
    /// Some element of this array stays.
    kept: bool,
    /// Start of the elements that go, where none before them stays.
    front: Option<usize>,
}

impl Cuts {
    fn open(&mut self, at: usize) {
        (self.last_end, self.kept, self.front) = (at, false, None);
    }

    fn element(&mut self, range: Range<usize>, gone: bool) {
        match (gone, self.kept) {
            // With the comma before it.
            (true, true) => self.cut(self.last_end..range.end),
            (true, false) => self.front = self.front.or(Some(range.start)),
            (false, _) => {
                // With the comma after them.
                if let Some(front) = self.front.take() {
                    self.cut(front..range.start);
                }
                self.kept = true;
            }
        }
        self.last_end = range.end;
    }

    /// The closing bracket is at `at`.
    fn close(&mut self, at: usize) {
        if let Some(front) = self.front.take() {
            // Up to the bracket: a lenient list may end with a comma.
            self.cut(front..at);
        }
    }

    fn cut(&mut self, range: Range<usize>) {
        match self.ranges.last_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            _ => self.ranges.push(range),
        }
    }
}
