//! What a program does with the object that holds the tools.
//!
//! Scopes are not followed: a name that once stood for the object stands for it everywhere, which may report too much
//! and never too little. Where the object goes to a place that is not followed, the program is marked incomplete.

use std::borrow::Cow;

use super::lex::Lexer;
use super::text;
use super::token::{DECLARES, GROUP, KEY, Kind, NEWLINE, NONE, OBJECT, PARAMETERS, STATEMENT, Token};
use super::{MAX_NAME, MAX_TOKENS, MAX_TOOLS, Program};

/// The object that holds the tools.
const OBJECT_NAME: &str = "codemode";
/// Most names that are followed for it, its own among them.
const MAX_NAMES: usize = 16;
/// Most readings of a program: one more each time a name turned up after its first use.
const MAX_ROUNDS: usize = 4;

/// The global object by its names; `this` may be it.
const GLOBALS: [&str; 5] = ["globalThis", "window", "self", "global", "this"];
/// Make code of a string.
const MAKERS: [&str; 2] = ["eval", "Function"];
/// Members that give the object itself or a way to read it by a computed name.
const LEAKS: [&str; 5] = ["valueOf", "constructor", "__proto__", "__lookupGetter__", "__defineGetter__"];

/// Reads a program; see [`super::inner_tools`].
pub(crate) fn read(source: &str) -> Program {
    let (tokens, cut) = tokens(source);
    let mut names = vec![Cow::Borrowed(OBJECT_NAME)];
    let mut reading = Reading::new(source, &tokens, names);
    for round in 1..=MAX_ROUNDS {
        let known = reading.names.len();
        reading.run();
        if reading.names.len() == known {
            break;
        }
        if round == MAX_ROUNDS {
            reading.program.incomplete = true;
            break;
        }
        names = std::mem::take(&mut reading.names);
        reading = Reading::new(source, &tokens, names);
    }
    let mut program = reading.program;
    program.incomplete |= cut;
    program
}

/// The tokens of a source with their brackets, and whether it was read only in part or in doubt.
fn tokens(source: &str) -> (Vec<Token>, bool) {
    let mut lexer = Lexer::new(source);
    let mut tokens: Vec<Token> = Vec::new();
    let mut open: Vec<u32> = Vec::new();
    loop {
        let mut token = match lexer.next() {
            Ok(Some(token)) if tokens.len() < MAX_TOKENS => token,
            Ok(None) => return (tokens, lexer.doubtful),
            _ => return (tokens, true),
        };
        let here = u32::try_from(tokens.len()).unwrap_or(NONE);
        let text = source.get(token.start as usize..token.end as usize).unwrap_or_default();
        let (closes, opens) = match token.kind {
            Kind::Punct => (matches!(text, ")" | "]" | "}"), matches!(text, "(" | "[" | "{")),
            Kind::Head => (false, true),
            Kind::Middle => (true, true),
            Kind::Tail => (true, false),
            _ => (false, false),
        };
        if closes && let Some(mate) = open.pop() {
            token.mate = mate;
            if let Some(other) = tokens.get_mut(mate as usize) {
                other.mate = here;
            }
        }
        token.outer = open.last().copied().unwrap_or(NONE);
        if opens {
            open.push(here);
        }
        tokens.push(token);
    }
}

#[derive(Debug)]
struct Reading<'s, 't> {
    source: &'s str,
    tokens: &'t [Token],
    /// Names of the object.
    names: Vec<Cow<'s, str>>,
    program: Program,
}

impl<'s, 't> Reading<'s, 't> {
    fn new(source: &'s str, tokens: &'t [Token], names: Vec<Cow<'s, str>>) -> Self {
        Self { source, tokens, names, program: Program::default() }
    }

    fn run(&mut self) {
        for at in 0..self.tokens.len() {
            match self.kind(at) {
                Some(Kind::Word) => self.word(at),
                Some(Kind::Text | Kind::Template) => self.string(at),
                _ => {}
            }
        }
    }

    fn token(&self, at: usize) -> Option<&'t Token> {
        self.tokens.get(at)
    }

    fn kind(&self, at: usize) -> Option<Kind> {
        Some(self.token(at)?.kind)
    }

    fn is(&self, at: usize, flag: u8) -> bool {
        self.token(at).is_some_and(|t| t.is(flag))
    }

    /// A token as it is written.
    fn raw(&self, at: usize) -> &'s str {
        let Some(token) = self.token(at) else {
            return "";
        };
        self.source.get(token.start as usize..token.end as usize).unwrap_or_default()
    }

    /// The punctuator at a place, or nothing.
    fn punct(&self, at: usize) -> &'s str {
        if self.kind(at) == Some(Kind::Punct) { self.raw(at) } else { "" }
    }

    /// The word at a place, or nothing.
    fn plain(&self, at: usize) -> &'s str {
        if self.kind(at) == Some(Kind::Word) { self.raw(at) } else { "" }
    }

    /// The same before a place.
    fn punct_before(&self, at: usize) -> &'s str {
        at.checked_sub(1).map_or("", |at| self.punct(at))
    }

    fn plain_before(&self, at: usize) -> &'s str {
        at.checked_sub(1).map_or("", |at| self.plain(at))
    }

    fn mate(&self, at: usize) -> Option<usize> {
        self.token(at).filter(|t| t.mate != NONE).map(|t| t.mate as usize)
    }

    fn outer(&self, at: usize) -> Option<usize> {
        self.token(at).filter(|t| t.outer != NONE).map(|t| t.outer as usize)
    }

    const fn lost(&mut self) {
        self.program.incomplete = true;
    }

    /// One word of the program.
    fn word(&mut self, at: usize) {
        let Some(name) = text::name(self.raw(at)) else {
            return self.lost();
        };
        let member = matches!(self.punct_before(at), "." | "?.");
        let global = member && at.checked_sub(2).is_some_and(|of| self.is_global(of));
        if member && !global {
            if name == "constructor" {
                self.lost();
            }
            return;
        }
        let first = if global { at.saturating_sub(2) } else { at };
        // Behind the name of a member stands none of these: a brace was misread.
        let misread = matches!(self.punct(at + 1), "." | "?." | "[");
        if self.is(at, KEY) && !misread {
            return self.key(at, &name);
        }
        if self.names.contains(&name) {
            return self.object(first, at);
        }
        if MAKERS.contains(&&*name) {
            if !matches!(self.plain_before(first), "instanceof" | "typeof") {
                self.lost();
            }
        } else if name == "constructor" {
            self.lost();
        } else if name == "import" {
            self.import(at);
        } else if matches!(&*name, "setTimeout" | "setInterval") {
            if self.punct(at + 1) == "(" && !matches!(self.kind(at + 2), Some(Kind::Word | Kind::Punct)) {
                self.lost();
            }
        } else if GLOBALS.contains(&&*name) {
            self.global(first, at);
        }
    }

    /// Whether the global object stands at a place.
    fn is_global(&self, at: usize) -> bool {
        self.kind(at) == Some(Kind::Word)
            && !self.is(at, KEY)
            && text::name(self.raw(at)).is_some_and(|name| GLOBALS.contains(&&*name))
    }

    /// A word that names a member of an object literal, a pattern or a class.
    fn key(&mut self, at: usize, name: &str) {
        let literal = self.outer(at).is_some_and(|open| self.is(open, OBJECT));
        let shorthand = matches!(self.punct(at + 1), "," | "}" | "=");
        let method = |close| matches!(self.punct(close + 1), "{" | ":" | ";");
        if MAKERS.contains(&name) && self.punct(at + 1) == "(" && !self.mate(at + 1).is_some_and(method) {
            self.lost();
        }
        if !literal {
            return;
        }
        if name == "constructor" {
            self.lost();
        } else if shorthand {
            let known = self.names.iter().any(|n| n == name);
            let remarkable = known || MAKERS.contains(&name) || GLOBALS.contains(&name);
            // In a pattern it is a new name, in a literal it hands the object on.
            if remarkable && !self.outer(at).is_some_and(|open| self.is_pattern(open)) {
                self.lost();
            }
        }
    }

    /// Whether the `{` at a place opens a pattern: something is assigned to it, or it is a parameter.
    fn is_pattern(&self, open: usize) -> bool {
        let Some(close) = self.mate(open) else {
            return false;
        };
        self.punct(close + 1) == "=" || self.plain(close + 1) == "of" || self.in_parameters(open)
    }

    /// Whether the innermost bracket around a place holds parameters.
    fn in_parameters(&self, at: usize) -> bool {
        let Some(open) = self.outer(at) else {
            return false;
        };
        // Of a misread brace or a call nothing would follow.
        self.mate(open).is_some_and(|close| match self.punct(close + 1) {
            "{" | ":" => self.is(open, PARAMETERS),
            "=>" => self.punct(open) == "(",
            _ => false,
        })
    }

    /// A string: of note where it names a member or a module.
    fn string(&mut self, at: usize) {
        if matches!(self.plain_before(at), "from" | "import") {
            return self.module(at);
        }
        let Some(open) = at.checked_sub(1).filter(|&open| self.punct(open) == "[" && self.punct(at + 1) == "]") else {
            return;
        };
        let array = match open.checked_sub(1) {
            None => true,
            Some(of) => self.kind(of) == Some(Kind::Punct) && !matches!(self.raw(of), ")" | "]" | "}" | "?."),
        };
        if !array && text::literal(self.raw(at)).is_none_or(|t| t == "constructor") {
            self.lost();
        }
    }

    fn import(&mut self, at: usize) {
        if self.punct(at + 1) != "(" {
            return;
        }
        if self.kind(at + 2) == Some(Kind::Text) && matches!(self.punct(at + 3), ")" | ",") {
            self.module(at + 2);
        } else {
            self.lost();
        }
    }

    /// A module by its name: code of elsewhere may be anything.
    fn module(&mut self, at: usize) {
        let name = text::literal(self.raw(at));
        let foreign = |name: &str| {
            let scheme = name.split_once(':').map_or("", |(scheme, _)| scheme).trim();
            ["data", "blob", "http", "https"].iter().any(|s| scheme.eq_ignore_ascii_case(s))
        };
        if name.is_none_or(|name| foreign(&name)) {
            self.lost();
        }
    }

    /// The global object: a member of it by name is read there, all else is not followed.
    fn global(&mut self, first: usize, at: usize) {
        let optional = usize::from(self.punct(at + 1) == "?.");
        let next = at + 1 + optional;
        if self.punct(next) == "[" {
            match self.computed(next) {
                Some((name, close)) if self.names.contains(&name) => self.object(first, close),
                Some((name, _)) => {
                    if MAKERS.contains(&&*name) || GLOBALS.contains(&&*name) {
                        self.lost();
                    }
                }
                None => self.lost(),
            }
        } else if matches!(self.punct(at + 1), "." | "?.") {
            if self.kind(at + 2) != Some(Kind::Word) && self.kind(at + 2) != Some(Kind::Private) {
                self.lost();
            }
        } else if !self.is_harmless(first, at) {
            self.lost();
        }
    }

    /// The name in brackets from the `[` at a place, and the place of the `]`; nothing where it is computed.
    fn computed(&self, open: usize) -> Option<(Cow<'s, str>, usize)> {
        let close = self.mate(open)?;
        let literal = close == open + 2 && matches!(self.kind(open + 1), Some(Kind::Text | Kind::Template));
        let name = if literal { text::literal(self.raw(open + 1)) } else { None };
        Some((name?, close))
    }

    fn tool(&mut self, name: &str) {
        if LEAKS.contains(&name) {
            return self.lost();
        }
        let tools = &mut self.program.tools;
        if tools.iter().any(|t| t == name) {
            return;
        }
        if tools.len() >= MAX_TOOLS || name.len() > MAX_NAME {
            return self.lost();
        }
        tools.push(name.to_owned());
    }

    /// The object, from its first to its last token: what is done with it.
    fn object(&mut self, first: usize, last: usize) {
        let (first, last) = self.ungroup(first, last);
        let next = self.punct(last + 1);
        if next == "[" {
            return self.member(last + 1);
        }
        if matches!(next, "." | "?.") {
            return self.member(last + 2);
        }
        if self.is_harmless(first, last) {
            return;
        }
        if self.punct_before(first) != "=" || !self.assigned(first, last) {
            self.lost();
        }
    }

    /// What is taken of the object: the name or the `[` stands at a place.
    fn member(&mut self, at: usize) {
        let name = match self.kind(at) {
            Some(Kind::Word) => text::name(self.raw(at)),
            _ if self.punct(at) == "[" => self.computed(at).map(|(name, _)| name),
            _ => None,
        };
        match name {
            Some(name) => self.tool(&name),
            None => self.lost(),
        }
    }

    /// The same object with the parentheses around it and the types TypeScript gives it.
    fn ungroup(&self, mut first: usize, mut last: usize) -> (usize, usize) {
        loop {
            if self.punct(last + 1) == "!" && !self.is(last + 1, NEWLINE) {
                last += 1;
            } else if matches!(self.plain(last + 1), "as" | "satisfies")
                && !self.is(last + 1, NEWLINE)
                && self.kind(last + 2) == Some(Kind::Word)
            {
                last += 2;
            } else if self.punct(last + 1) == ")"
                && let Some(open) = first.checked_sub(1)
                && self.is(open, GROUP)
                && self.mate(open) == Some(last + 1)
                && !self.in_parameters(first)
            {
                (first, last) = (open, last + 1);
            } else {
                return (first, last);
            }
        }
    }

    /// Whether nothing comes of the object here: it is declared, compared, tested, assigned to.
    fn is_harmless(&self, first: usize, last: usize) -> bool {
        let (before, word) = (self.punct_before(first), self.plain_before(first));
        let after = self.punct(last + 1);
        let compares = |p: &str| matches!(p, "==" | "===" | "!=" | "!==");
        if matches!(
            word,
            "typeof" | "void" | "delete" | "in" | "instanceof" | "const" | "let" | "var" | "function" | "class"
        ) || compares(before)
            || compares(after)
            || matches!(after, "=" | "=>" | "&&" | "?")
            || matches!(self.plain(last + 1), "in" | "instanceof" | "of")
        {
            return true;
        }
        let declared = before == "," && first.checked_sub(1).is_some_and(|comma| self.is(comma, DECLARES));
        let negated = before == "!" && first.checked_sub(1).is_some_and(|not| !self.is_operand_end(not));
        let label = after == ":" && self.is(first, STATEMENT);
        let parameter =
            self.in_parameters(first) && matches!(before, "(" | "," | "...") && matches!(after, ")" | "," | ":");
        let tested = before == "("
            && after == ")"
            && first.checked_sub(2).is_some_and(|head| {
                matches!(self.plain(head), "if" | "while")
                    && !matches!(self.punct_before(head), "." | "?.")
                    && !self.is(head, KEY)
            });
        declared || negated || label || parameter || tested
    }

    /// Whether a `!` follows its operand, as TypeScript has it.
    fn is_operand_end(&self, not: usize) -> bool {
        let Some(before) = not.checked_sub(1) else {
            return false;
        };
        !self.is(not, NEWLINE)
            && match self.kind(before) {
                Some(Kind::Punct) => matches!(self.punct(before), ")" | "]"),
                Some(Kind::Word) => !matches!(self.raw(before), "return" | "await" | "yield" | "case" | "else" | "do"),
                _ => true,
            }
    }

    /// Follows `name = object` and `{ tool } = object`; whether that could be done.
    fn assigned(&mut self, first: usize, last: usize) -> bool {
        let Some(target) = first.checked_sub(2) else {
            return false;
        };
        if self.punct(target) == "}" {
            return self.unpacked(target, last);
        }
        if !self.ends(last) {
            return false;
        }
        let mut target = target;
        loop {
            if self.kind(target) != Some(Kind::Word) || self.is(target, KEY) {
                return false;
            }
            // `const cm: any = codemode`.
            if self.punct_before(target) == ":"
                && let Some(named) = target.checked_sub(2)
                && matches!(self.plain_before(named), "const" | "let" | "var")
            {
                target = named;
            }
            let Some(name) = text::name(self.raw(target)) else {
                return false;
            };
            if !self.names.contains(&name) {
                if self.names.len() >= MAX_NAMES {
                    return false;
                }
                self.names.push(name);
            }
            let before = self.punct_before(target);
            if before != "=" {
                let comma = target.checked_sub(1).is_some_and(|comma| self.is(comma, DECLARES));
                return self.is(target, STATEMENT)
                    || matches!(self.plain_before(target), "const" | "let" | "var")
                    || (before == "," && comma)
                    || (matches!(before, "(" | ",") && self.in_parameters(target));
            }
            // `a = b = codemode`.
            let Some(further) = target.checked_sub(2) else {
                return false;
            };
            target = further;
        }
    }

    /// Whether the expression ends behind a place, and its value goes nowhere else.
    fn ends(&self, last: usize) -> bool {
        let next = last + 1;
        let Some(token) = self.token(next) else {
            return true;
        };
        match token.kind {
            Kind::Word => {
                token.is(NEWLINE) && !matches!(self.raw(next), "in" | "instanceof" | "of" | "as" | "satisfies")
            }
            Kind::Punct => match self.raw(next) {
                ";" => true,
                "," => token.is(DECLARES) || self.in_parameters(last),
                ")" => self.in_parameters(last),
                "}" => {
                    self.mate(next).is_some_and(|open| self.kind(open) == Some(Kind::Punct) && !self.is(open, OBJECT))
                }
                _ => false,
            },
            _ => false,
        }
    }

    /// Follows `{ a, b: c } = object`; whether that could be done.
    fn unpacked(&mut self, close: usize, last: usize) -> bool {
        let Some(open) = self.mate(close).filter(|&open| self.is(open, OBJECT) || self.punct(open) == "{") else {
            return false;
        };
        let mut at = open + 1;
        while at < close {
            let name = match self.kind(at) {
                Some(Kind::Word) => text::name(self.raw(at)),
                Some(Kind::Text) => text::literal(self.raw(at)),
                _ => {
                    let computed = if self.punct(at) == "[" { self.computed(at) } else { None };
                    computed.map(|(name, end)| {
                        at = end;
                        name
                    })
                }
            };
            let Some(name) = name else {
                return false;
            };
            self.tool(&name);
            // To the next member.
            at += 1;
            while at < close && self.punct(at) != "," {
                at = self.mate(at).filter(|&mate| mate > at).unwrap_or(at) + 1;
            }
            at += 1;
        }
        let grouped = open.checked_sub(1).is_some_and(|paren| self.is(paren, GROUP));
        if grouped && self.punct(last + 1) == ")" && !self.in_parameters(open) {
            return self.ends(last + 1);
        }
        self.ends(last)
            && (matches!(self.plain_before(open), "const" | "let" | "var")
                || self.punct_before(open) == "," && open.checked_sub(1).is_some_and(|comma| self.is(comma, DECLARES))
                || self.in_parameters(open))
    }
}
