//! Where in the grammar a token stands: as much as it takes to tell a division from a regular expression and the brace
//! of a block from that of an object, without a tree and without recursion.

use super::lex::Stopped;
use super::token::{DECLARES, GROUP, KEY, OBJECT, PARAMETERS, STATEMENT};

/// Most brackets open at a time.
pub(crate) const MAX_DEPTH: usize = 1024;

/// What may come next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Position {
    /// A statement.
    Start,
    /// What `export default` names.
    Default,
    /// An operand.
    Operand,
    /// What follows an operand.
    After,
}

/// What opened a bracket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Frame {
    /// The whole source, a block, a `switch`, a function body.
    Block,
    /// An object literal, a pattern, a type.
    Object,
    /// A class body.
    Class,
    /// `(` of `if`, `for`, `catch` and their like: a statement follows the `)`.
    Head,
    /// Parameters.
    Parameters,
    /// Any other `(`.
    Paren,
    /// `[`.
    Bracket,
    /// `${`.
    Substitution,
}

/// What was announced and has not begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pending {
    Nothing,
    /// `function` was read, its parameters were not.
    Function(Position),
    /// Parameters were read, the body was not.
    Body(Position),
    /// `class` was read, its body was not.
    Class(Position),
}

#[derive(Clone, Copy, Debug)]
struct Open {
    frame: Frame,
    /// The position once it is closed.
    then: Position,
    /// In [`Frame::Object`] and [`Frame::Class`]: the name of a member is due.
    key: bool,
    /// `case` or `default` was read, its colon was not.
    case: bool,
    /// A `const`, `let` or `var` is being read.
    declares: bool,
    /// `?` whose `:` has not come.
    choices: u32,
    pending: Pending,
}

impl Open {
    const fn new(frame: Frame, then: Position) -> Self {
        let key = matches!(frame, Frame::Object | Frame::Class);
        Self { frame, then, key, case: false, declares: false, choices: 0, pending: Pending::Nothing }
    }
}

/// The token before, as far as it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Previous {
    Other,
    /// `.` or `?.`.
    Dot,
    Arrow,
    /// `>`, which ends type arguments.
    Greater,
    /// `if`, `while`, `for`, `with`, `catch`, `switch`.
    Head,
    /// `return`.
    Return,
    /// `break`, `continue`.
    Break,
    Export,
    /// `async`, and the position before it.
    Async(Position),
    /// A name that opened a statement.
    Label,
    /// A name or an operator by its place: `yield`, `await`, `let`, a `++` before its operand.
    Unsure,
}

/// What a `/` does here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slash {
    Divides,
    /// As above, unless a line end closed the statement.
    DividesPerhaps,
    /// Opens a regular expression.
    Opens,
    /// As above, unless the word before is a name here.
    OpensPerhaps,
}

/// The place after what was read.
#[derive(Debug)]
pub(crate) struct Place {
    position: Position,
    previous: Previous,
    top: Open,
    below: Vec<Open>,
}

impl Place {
    /// At the start of a source.
    pub(crate) fn new() -> Self {
        Self {
            position: Position::Start,
            previous: Previous::Other,
            top: Open::new(Frame::Block, Position::Start),
            below: Vec::new(),
        }
    }

    /// Whether no bracket is open.
    pub(crate) fn is_closed(&self) -> bool {
        self.below.is_empty()
    }

    /// Whether a `}` would go on with a template.
    pub(crate) fn in_template(&self) -> bool {
        self.top.frame == Frame::Substitution
    }

    /// `${`.
    pub(crate) fn open_substitution(&mut self) -> Result<(), Stopped> {
        self.push(Open::new(Frame::Substitution, Position::After))?;
        self.position = Position::Operand;
        Ok(())
    }

    /// `}` of a substitution.
    pub(crate) fn end_substitution(&mut self) {
        if let Some(below) = self.below.pop() {
            self.top = below;
        }
    }

    /// What a `/` does here.
    pub(crate) fn slash(&self, newline: bool) -> Slash {
        match (self.position, self.previous) {
            (Position::After, _) if newline => Slash::DividesPerhaps,
            (Position::After, _) => Slash::Divides,
            (_, Previous::Unsure) => Slash::OpensPerhaps,
            _ => Slash::Opens,
        }
    }

    /// A string, number, regular expression or the end of a template.
    pub(crate) fn value(&mut self, newline: bool) -> u8 {
        let key = self.member(newline);
        self.after(Previous::Other);
        if key { KEY } else { 0 }
    }

    /// `#name`.
    pub(crate) fn private(&mut self, newline: bool) -> u8 {
        if self.previous == Previous::Dot {
            self.after(Previous::Other);
            return 0;
        }
        self.value(newline)
    }

    /// A word; empty for one that is no keyword because it is written with escapes.
    pub(crate) fn word(&mut self, text: &str, newline: bool) -> u8 {
        if self.previous == Previous::Dot {
            self.after(Previous::Other);
            return 0;
        }
        let opens_member = !matches!(text, "in" | "instanceof" | "as" | "satisfies" | "of");
        if (self.top.key || opens_member) && self.member(newline) {
            self.after(Previous::Other);
            return KEY;
        }
        if newline && matches!(self.previous, Previous::Return | Previous::Break) {
            self.position = Position::Start;
            self.previous = Previous::Other;
        }
        let statement =
            self.position == Position::Start || (newline && self.position == Position::After && opens_member);
        if statement && matches!(self.top.frame, Frame::Block | Frame::Substitution) {
            self.top.declares = false;
        }
        let declaration = match self.position {
            Position::Operand => Position::After,
            _ => Position::Start,
        };
        let flags = if statement { STATEMENT } else { 0 };
        let then = match self.previous {
            Previous::Async(before) if !newline => before,
            _ => declaration,
        };
        let go = |it: &mut Self, position, previous| {
            it.position = position;
            it.previous = previous;
        };
        match text {
            "if" | "while" | "for" | "with" | "catch" | "switch" => go(self, Position::Start, Previous::Head),
            "else" | "do" | "try" | "finally" | "debugger" => go(self, Position::Start, Previous::Other),
            "function" => {
                self.top.pending = Pending::Function(then);
                self.after(Previous::Other);
            }
            "class" => {
                self.top.pending = Pending::Class(declaration);
                self.after(Previous::Other);
            }
            "return" => go(self, Position::Operand, Previous::Return),
            "break" | "continue" => go(self, Position::Start, Previous::Break),
            "throw" | "typeof" | "void" | "delete" | "new" | "in" | "instanceof" | "extends" | "import" => {
                go(self, Position::Operand, Previous::Other);
            }
            "case" => {
                self.top.case = true;
                go(self, Position::Operand, Previous::Other);
            }
            "default" if self.previous == Previous::Export => go(self, Position::Default, Previous::Other),
            "default" => {
                self.top.case = true;
                self.after(Previous::Other);
            }
            "export" => go(self, Position::Start, Previous::Export),
            "var" | "let" | "const" => {
                self.top.declares = true;
                go(self, Position::Operand, Previous::Unsure);
            }
            // `for await (`
            "await" if self.previous == Previous::Head => {}
            "yield" | "await" => go(self, Position::Operand, Previous::Unsure),
            "of" if self.position == Position::After && self.top.frame == Frame::Head && !newline => {
                go(self, Position::Operand, Previous::Other);
            }
            "as" | "satisfies" if self.position == Position::After && !newline => {
                go(self, Position::Operand, Previous::Other);
            }
            "async" => self.after(Previous::Async(declaration)),
            "this" | "super" | "null" | "true" | "false" => self.after(Previous::Other),
            _ if self.previous == Previous::Break => go(self, Position::Start, Previous::Other),
            _ => self.after(if statement { Previous::Label } else { Previous::Other }),
        }
        flags
    }

    /// A punctuator; `next` is the byte behind it.
    pub(crate) fn punct(&mut self, text: &str, newline: bool, next: Option<u8>) -> Result<u8, Stopped> {
        let previous = std::mem::replace(&mut self.previous, Previous::Other);
        match text {
            "{" => return self.open_brace(previous, newline),
            "(" => return self.open_paren(previous),
            "[" => {
                self.push(Open::new(Frame::Bracket, Position::After))?;
                self.position = Position::Operand;
            }
            ")" => self.close(&[Frame::Head, Frame::Parameters, Frame::Paren])?,
            "]" => self.close(&[Frame::Bracket])?,
            "}" => self.close(&[Frame::Block, Frame::Object, Frame::Class])?,
            ";" => {
                let top = &mut self.top;
                (top.pending, top.case, top.declares, top.choices) = (Pending::Nothing, false, false, 0);
                top.key = top.frame == Frame::Class;
                let paren = matches!(top.frame, Frame::Head | Frame::Parameters | Frame::Paren);
                self.position = if paren { Position::Operand } else { Position::Start };
            }
            "," => {
                if self.top.frame == Frame::Object {
                    self.top.key = true;
                    self.top.pending = Pending::Nothing;
                }
                self.position = Position::Operand;
                return Ok(if self.top.declares { DECLARES } else { 0 });
            }
            ":" => self.colon(previous),
            "?" => {
                let optional = matches!(next, Some(b':' | b')' | b',' | b';' | b'=')) || self.top.key;
                if optional {
                    self.position = Position::After;
                } else {
                    self.top.choices = self.top.choices.saturating_add(1);
                    self.position = Position::Operand;
                }
            }
            "." | "?." => self.after(Previous::Dot),
            "=>" => {
                self.top.pending = Pending::Nothing;
                self.position = Position::Operand;
                self.previous = Previous::Arrow;
            }
            // Behind their operand; `x!` is TypeScript's.
            "++" | "--" | "!" if self.position == Position::After && !newline => {}
            "++" | "--" => {
                self.position = Position::Operand;
                self.previous = Previous::Unsure;
            }
            "=" | "..." => {
                self.top.key = false;
                self.position = Position::Operand;
            }
            "@" => {
                self.member(newline);
                self.position = Position::Operand;
            }
            ">" | ">>" | ">>>" => {
                self.position = Position::Operand;
                self.previous = Previous::Greater;
            }
            _ => self.position = Position::Operand,
        }
        Ok(0)
    }

    const fn after(&mut self, previous: Previous) {
        self.position = Position::After;
        self.previous = previous;
    }

    /// Whether the name of a member stands here: it is due, or a line end closed the field before.
    fn member(&mut self, newline: bool) -> bool {
        let closed = newline
            && self.top.frame == Frame::Class
            && self.position == Position::After
            && self.top.pending == Pending::Nothing;
        self.top.key |= closed;
        self.top.key
    }

    fn push(&mut self, open: Open) -> Result<(), Stopped> {
        if self.below.len() >= MAX_DEPTH {
            return Err(Stopped);
        }
        self.below.push(std::mem::replace(&mut self.top, open));
        self.previous = Previous::Other;
        Ok(())
    }

    fn close(&mut self, frames: &[Frame]) -> Result<(), Stopped> {
        if !frames.contains(&self.top.frame) {
            return Err(Stopped);
        }
        let closed = self.top;
        self.top = self.below.pop().ok_or(Stopped)?;
        self.position = closed.then;
        if closed.frame == Frame::Parameters {
            // The position of what follows the body was kept where the parameters began.
            if let Pending::Function(then) = self.top.pending {
                self.top.pending = Pending::Body(then);
            }
        }
        if self.top.frame == Frame::Class && closed.then == Position::Start {
            self.top.key = true;
        }
        Ok(())
    }

    fn colon(&mut self, previous: Previous) {
        self.position = Position::Operand;
        let top = &mut self.top;
        if top.choices > 0 {
            top.choices -= 1;
        } else if top.case {
            top.case = false;
            self.position = Position::Start;
        } else if previous == Previous::Label && top.frame == Frame::Block {
            self.position = Position::Start;
        } else {
            top.key = false;
        }
    }

    fn open_paren(&mut self, previous: Previous) -> Result<u8, Stopped> {
        let (frame, then, flags) = if previous == Previous::Head {
            (Frame::Head, Position::Start, 0)
        } else if let Pending::Function(_) = self.top.pending {
            (Frame::Parameters, Position::After, PARAMETERS)
        } else if self.top.key {
            let then = if self.top.frame == Frame::Class { Position::Start } else { Position::After };
            self.top.pending = Pending::Function(then);
            (Frame::Parameters, Position::After, PARAMETERS)
        } else {
            // What follows type arguments or a name that is an operator elsewhere may be a call.
            let group = self.position != Position::After && !matches!(previous, Previous::Greater | Previous::Unsure);
            (Frame::Paren, Position::After, if group { GROUP } else { 0 })
        };
        self.push(Open::new(frame, then))?;
        self.position = Position::Operand;
        Ok(flags)
    }

    fn open_brace(&mut self, previous: Previous, newline: bool) -> Result<u8, Stopped> {
        let body_due = self.position == Position::After || previous == Previous::Greater;
        let (frame, then) = match self.top.pending {
            _ if previous == Previous::Arrow => (Frame::Block, Position::Start),
            Pending::Body(then) if body_due => {
                self.top.pending = Pending::Nothing;
                (Frame::Block, then)
            }
            Pending::Class(then) if body_due => {
                self.top.pending = Pending::Nothing;
                (Frame::Class, then)
            }
            _ if self.top.key && self.top.frame == Frame::Class => (Frame::Block, Position::Start),
            _ if newline && previous == Previous::Return => (Frame::Block, Position::Start),
            _ => match self.position {
                Position::Start | Position::After => (Frame::Block, Position::Start),
                Position::Default | Position::Operand => (Frame::Object, Position::After),
            },
        };
        self.push(Open::new(frame, then))?;
        self.position = if frame == Frame::Object { Position::Operand } else { Position::Start };
        Ok(if frame == Frame::Object { OBJECT } else { 0 })
    }
}
