//! What a program is cut into.

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A name or a keyword.
    Word,
    /// `#name`.
    Private,
    /// A number, a big one included.
    Number,
    /// A string in single or double quotes.
    Text,
    /// A template literal without substitutions.
    Template,
    /// The start of a template literal, up to and with its first `${`.
    Head,
    /// What stands between two substitutions, `}` and `${` included.
    Middle,
    /// The end of a template literal, from the `}` of its last substitution.
    Tail,
    /// A regular expression with its flags.
    Regex,
    /// Anything else, as long as the language allows.
    Punct,
}

/// A line ends between the token before and this one.
pub(crate) const NEWLINE: u8 = 1;
/// Stands where an object literal or a class body has the name of a member.
pub(crate) const KEY: u8 = 2;
/// Opens a statement.
pub(crate) const STATEMENT: u8 = 4;
/// A `(` that opens the parameters of a function or method.
pub(crate) const PARAMETERS: u8 = 8;
/// A `(` that groups: it calls nothing and belongs to no keyword.
pub(crate) const GROUP: u8 = 16;
/// A `{` of an object literal, a pattern or a type.
pub(crate) const OBJECT: u8 = 32;
/// A `,` between the names that one `const`, `let` or `var` declares.
pub(crate) const DECLARES: u8 = 64;

/// No such token.
pub(crate) const NONE: u32 = u32::MAX;

/// One token. Places are bytes of the source.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Token {
    /// What it is.
    pub(crate) kind: Kind,
    /// What is known of its place: [`NEWLINE`] and its like.
    pub(crate) flags: u8,
    /// Its first byte.
    pub(crate) start: u32,
    /// The byte behind its last.
    pub(crate) end: u32,
    /// The bracket that belongs to this one, for brackets; [`NONE`] for all else.
    pub(crate) mate: u32,
    /// The innermost open bracket around this token, or [`NONE`].
    pub(crate) outer: u32,
}

impl Token {
    /// Whether a flag is set.
    pub(crate) const fn is(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}
