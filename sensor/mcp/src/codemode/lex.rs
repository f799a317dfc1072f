//! Cuts JavaScript and TypeScript (without JSX) into tokens: ECMA-262 §12, comments as in annex B.1.1.
//!
//! A `/` divides or opens a regular expression, depending on the grammar; [`Place`] follows as much of it as that takes.

use super::place::{Place, Slash};
use super::token::{Kind, NEWLINE, NONE, Token};

/// Why lexing stopped before the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stopped;

/// A source on its way to tokens.
#[derive(Debug)]
pub(crate) struct Lexer<'s> {
    source: &'s str,
    at: usize,
    newline: bool,
    place: Place,
    stopped: bool,
    /// What was read may be read otherwise: an HTML-like comment, a `/` at a place the grammar leaves open.
    pub(crate) doubtful: bool,
}

/// Whether a name may have this character in it. Characters outside ASCII are all taken, as the tables of Unicode
/// change nothing here: what is no name is no program.
const fn in_name(c: u8) -> bool {
    matches!(c, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'$' | 0x80..)
}

/// White space outside ASCII (ECMA-262 §12.2), line ends not included.
const fn is_wide_space(c: char) -> bool {
    matches!(c, '\u{a0}' | '\u{1680}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}' | '\u{feff}')
}

/// The punctuators of more than one character, longest first.
const PUNCTUATORS: &[&str] = &[
    ">>>=", "...", "===", "!==", "**=", "<<=", ">>=", ">>>", "&&=", "||=", "??=", "=>", "==", "!=", "<=", ">=", "&&",
    "||", "??", "?.", "++", "--", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "<<", ">>", "**",
];

impl<'s> Lexer<'s> {
    /// Starts at the top of `source`: past a byte order mark and a `#!` line.
    pub(crate) fn new(source: &'s str) -> Self {
        let mut it = Self { source, at: 0, newline: true, place: Place::new(), stopped: false, doubtful: false };
        if it.rest().starts_with('\u{feff}') {
            it.at = '\u{feff}'.len_utf8();
        }
        if it.rest().starts_with("#!") {
            it.line();
        }
        it
    }

    /// The next token, or nothing at the end.
    ///
    /// # Errors
    ///
    /// [`Stopped`] for what is no program: something left open, a bracket that closes nothing, too much depth.
    pub(crate) fn next(&mut self) -> Result<Option<Token>, Stopped> {
        if self.stopped {
            return Err(Stopped);
        }
        let token = self.space().and_then(|()| self.token());
        if token.is_err() {
            self.stopped = true;
        }
        token
    }

    fn rest(&self) -> &'s str {
        self.source.get(self.at..).unwrap_or_default()
    }

    fn byte(&self, ahead: usize) -> Option<u8> {
        self.source.as_bytes().get(self.at + ahead).copied()
    }

    /// The character at hand, and past it.
    fn take(&mut self) -> Option<char> {
        let c = match self.byte(0)? {
            b @ ..0x80 => char::from(b),
            _ => self.rest().chars().next()?,
        };
        self.at += c.len_utf8();
        Some(c)
    }

    /// To the end of the line, which is left.
    fn line(&mut self) {
        let rest = self.rest();
        self.at += rest.find(['\n', '\r', '\u{2028}', '\u{2029}']).unwrap_or(rest.len());
    }

    /// Past white space and comments.
    fn space(&mut self) -> Result<(), Stopped> {
        while let Some(b) = self.byte(0) {
            match b {
                b'\n' | b'\r' => {
                    self.newline = true;
                    self.at += 1;
                }
                b' ' | b'\t' | 0x0b | 0x0c => self.at += 1,
                b'/' if self.byte(1) == Some(b'/') => self.line(),
                b'/' if self.byte(1) == Some(b'*') => {
                    let inside = self.rest().get(2..).unwrap_or_default();
                    let len = inside.find("*/").ok_or(Stopped)?;
                    let inside = inside.get(..len).unwrap_or_default();
                    self.newline |= inside.contains(['\n', '\r', '\u{2028}', '\u{2029}']);
                    self.at += len + 4;
                }
                // Comments in a script, operators in a module; which of them this is, nothing says.
                b'<' if self.rest().starts_with("<!--") => {
                    self.doubtful = true;
                    self.line();
                }
                b'-' if self.newline && self.rest().starts_with("-->") => {
                    self.doubtful = true;
                    self.line();
                }
                0x80.. => match self.rest().chars().next() {
                    Some(c @ ('\u{2028}' | '\u{2029}')) => {
                        self.newline = true;
                        self.at += c.len_utf8();
                    }
                    Some(c) if is_wide_space(c) => self.at += c.len_utf8(),
                    _ => break,
                },
                _ => break,
            }
        }
        Ok(())
    }

    fn token(&mut self) -> Result<Option<Token>, Stopped> {
        let start = self.at;
        let newline = std::mem::take(&mut self.newline);
        let Some(b) = self.byte(0) else {
            return if self.place.is_closed() { Ok(None) } else { Err(Stopped) };
        };
        let (kind, mut flags) = match b {
            b'0'..=b'9' => self.number(newline),
            b'.' if self.byte(1).is_some_and(|c| c.is_ascii_digit()) => self.number(newline),
            b'"' | b'\'' => {
                self.text(b)?;
                (Kind::Text, self.place.value(newline))
            }
            b'`' => {
                self.at += 1;
                self.template(Kind::Template, Kind::Head, newline)?
            }
            b'}' if self.place.in_template() => {
                self.at += 1;
                self.place.end_substitution();
                self.template(Kind::Tail, Kind::Middle, newline)?
            }
            b'#' => {
                self.at += 1;
                self.name()?;
                (Kind::Private, self.place.private(newline))
            }
            b'/' => {
                let slash = self.place.slash(newline);
                self.doubtful |= slash == Slash::DividesPerhaps || slash == Slash::OpensPerhaps;
                if matches!(slash, Slash::Opens | Slash::OpensPerhaps) {
                    self.regex()?;
                    (Kind::Regex, self.place.value(newline))
                } else {
                    self.punct(newline)?
                }
            }
            b'\\' => self.word(newline)?,
            c if in_name(c) => self.word(newline)?,
            _ => self.punct(newline)?,
        };
        if newline {
            flags |= NEWLINE;
        }
        let place = |at: usize| u32::try_from(at).map_err(|_| Stopped);
        Ok(Some(Token { kind, flags, start: place(start)?, end: place(self.at)?, mate: NONE, outer: NONE }))
    }

    /// Past a name; whether it has an escape in it.
    fn name(&mut self) -> Result<bool, Stopped> {
        let (start, mut escaped) = (self.at, false);
        while let Some(b) = self.byte(0) {
            if b == b'\\' {
                escaped = true;
                let rest = self.rest();
                let len = if rest.starts_with("\\u{") {
                    rest.find('}').filter(|&n| n <= 12).ok_or(Stopped)? + 1
                } else if rest.starts_with("\\u") && rest.len() >= 6 && rest.is_char_boundary(6) {
                    6
                } else {
                    return Err(Stopped);
                };
                self.at += len;
            } else if b < 0x80 {
                if !in_name(b) {
                    break;
                }
                self.at += 1;
            } else {
                match self.rest().chars().next() {
                    Some(c) if !is_wide_space(c) && !matches!(c, '\u{2028}' | '\u{2029}') => self.at += c.len_utf8(),
                    _ => break,
                }
            }
        }
        if self.at == start { Err(Stopped) } else { Ok(escaped) }
    }

    fn word(&mut self, newline: bool) -> Result<(Kind, u8), Stopped> {
        let start = self.at;
        let escaped = self.name()?;
        let text = self.source.get(start..self.at).unwrap_or_default();
        // An escaped keyword is none.
        Ok((Kind::Word, self.place.word(if escaped { "" } else { text }, newline)))
    }

    fn number(&mut self, newline: bool) -> (Kind, u8) {
        let radix = self.byte(0) == Some(b'0') && matches!(self.byte(1), Some(b'x' | b'X' | b'o' | b'O' | b'b' | b'B'));
        // `01.a` reads a member of an old octal number, `09.5` is a fraction.
        let digits = self.rest().trim_start_matches(|c: char| c.is_ascii_digit());
        let digits = self.rest().get(..self.rest().len() - digits.len()).unwrap_or_default();
        let octal = digits.len() > 1 && digits.starts_with('0') && !digits.contains(['8', '9']);
        let mut dot = radix || octal;
        while let Some(b) = self.byte(0) {
            match b {
                b'.' if !dot => dot = true,
                b'e' | b'E' if !radix => {
                    dot = true;
                    if matches!(self.byte(1), Some(b'+' | b'-')) {
                        self.at += 1;
                    }
                }
                b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'_' => {}
                _ => break,
            }
            self.at += 1;
        }
        (Kind::Number, self.place.value(newline))
    }

    /// Past a string; U+2028 and U+2029 may stand in one since 2019.
    fn text(&mut self, quote: u8) -> Result<(), Stopped> {
        self.at += 1;
        loop {
            let bytes = self.source.as_bytes().get(self.at..).unwrap_or_default();
            let len = bytes.iter().position(|&b| b == quote || matches!(b, b'\\' | b'\n' | b'\r')).ok_or(Stopped)?;
            self.at += len;
            match self.byte(0) {
                Some(b'\\') => self.escape()?,
                Some(b) if b == quote => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return Err(Stopped),
            }
        }
    }

    /// Past a backslash and the character behind it; CR LF are one.
    fn escape(&mut self) -> Result<(), Stopped> {
        self.at += 1;
        let c = self.take().ok_or(Stopped)?;
        if c == '\r' && self.byte(0) == Some(b'\n') {
            self.at += 1;
        }
        Ok(())
    }

    /// Past a piece of a template: `whole` where it ends, `open` where a substitution follows.
    fn template(&mut self, whole: Kind, open: Kind, newline: bool) -> Result<(Kind, u8), Stopped> {
        loop {
            let bytes = self.source.as_bytes().get(self.at..).unwrap_or_default();
            self.at += memchr::memchr3(b'`', b'\\', b'$', bytes).ok_or(Stopped)?;
            match self.byte(0) {
                Some(b'`') => {
                    self.at += 1;
                    return Ok((whole, self.place.value(newline)));
                }
                Some(b'\\') => self.escape()?,
                _ if self.byte(1) == Some(b'{') => {
                    self.at += 2;
                    self.place.open_substitution()?;
                    return Ok((open, 0));
                }
                _ => self.at += 1,
            }
        }
    }

    /// Past a regular expression and its flags (ECMA-262 §12.9.5): a `/` in a class does not end it.
    fn regex(&mut self) -> Result<(), Stopped> {
        self.at += 1;
        let mut class = false;
        loop {
            match self.take() {
                None | Some('\n' | '\r' | '\u{2028}' | '\u{2029}') => return Err(Stopped),
                Some('\\') => {
                    if matches!(self.take(), None | Some('\n' | '\r' | '\u{2028}' | '\u{2029}')) {
                        return Err(Stopped);
                    }
                }
                Some('[') => class = true,
                Some(']') => class = false,
                Some('/') if !class => break,
                Some(_) => {}
            }
        }
        while self.byte(0).is_some_and(|b| b < 0x80 && in_name(b)) {
            self.at += 1;
        }
        Ok(())
    }

    fn punct(&mut self, newline: bool) -> Result<(Kind, u8), Stopped> {
        let rest = self.rest();
        let long = PUNCTUATORS.iter().find(|p| rest.starts_with(**p)).copied();
        // `a?.5:b` is a choice.
        let long = long.filter(|&p| p != "?." || !self.byte(2).is_some_and(|c| c.is_ascii_digit()));
        let text = match long {
            Some(text) => text,
            None => rest.get(..1).ok_or(Stopped)?,
        };
        self.at += text.len();
        let next = self.byte(0);
        Ok((Kind::Punct, self.place.punct(text, newline, next)?))
    }
}
