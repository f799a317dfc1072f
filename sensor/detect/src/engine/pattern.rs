//! One pattern, from text to a checked syntax tree.
//!
//! The dialect is what every engine agrees on: bytes, ASCII classes, no look-around in streams, no empty match,
//! bounded repeats in streams. Captures are plain groups.

use std::ops::Range;

use regex_syntax::ast::{self, Ast, Visitor};
use regex_syntax::hir::{Class, Hir, HirKind, Look};

/// Longest match a streamed pattern may have, in bytes.
pub const MAX_BOUND: usize = 4096;
/// Longest text of one regular expression, in bytes.
pub const MAX_PATTERN_BYTES: usize = 4096;
/// Groups within groups. Deeper ones are refused by the parser.
const MAX_NESTING: u32 = 64;
/// Up to this many literals make one small expression; more go to a literal automaton of their own.
const MAX_INLINE_LITERALS: usize = 16;

/// Why a pattern is refused, with what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// The text is no regular expression.
    #[error("not a regular expression: {0}")]
    Syntax(String),
    /// `^`, `$`, `\b` and the like, in a body.
    #[error("an anchor or word boundary in a pattern for a streamed field")]
    LookAround,
    /// Matches without reading a byte.
    #[error("matches the empty text, so it would match everything")]
    EmptyMatch,
    /// Matches nothing at all.
    #[error("can never match")]
    NeverMatches,
    /// `*`, `+` or `{n,}`, in a body.
    #[error("an unbounded repeat in a pattern for a streamed field")]
    Unbounded,
    /// Bounded, but too wide.
    #[error("a match can be {0} bytes long, over the limit of {MAX_BOUND}")]
    TooWide(usize),
    /// Characters outside ASCII in a class.
    #[error("a character class that is not ASCII")]
    Unicode,
    /// The expression's text is too long.
    #[error("{0} bytes of pattern, over the limit of {MAX_PATTERN_BYTES}")]
    TooLong(usize),
    /// Its table would be too large: too many things can be half matched at once.
    #[error("the pattern needs a table over the limit of {} kB", super::table::MAX_TABLE_BYTES / 1024)]
    TooLarge,
    /// The rule's own anchor does not help.
    #[error("not every match contains the anchor {0:?}")]
    Anchor(String),
}

impl Fault {
    /// What the author can do.
    pub const fn help(&self) -> &'static str {
        match self {
            Self::Syntax(_) => "the syntax is that of the Rust regex crate, without look-around and back-references",
            Self::LookAround => "a body comes in pieces and has no lines: leave the anchor out, or use a short field",
            Self::EmptyMatch => "ask for at least one byte, such as `.+` for `.*`",
            Self::NeverMatches => "look for an empty class or an impossible condition",
            Self::Unbounded => "give the repeat an upper bound, such as {0,64}",
            Self::TooWide(_) => "use smaller bounds",
            Self::Unicode => "use ASCII classes such as [A-Za-z0-9_]; text outside ASCII may stand as itself",
            Self::TooLong(_) => "split it into several signatures, or use literal = [...]",
            Self::TooLarge => {
                "use smaller bounds, or keep the repeated class from matching the byte the pattern begins with, \
                 such as [^\"]{0,64} after a quote"
            }
            Self::Anchor(_) => "name at least 3 bytes that stand in every match, or leave the anchor out",
        }
    }
}

/// A refused pattern: what is wrong, and where in its text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{fault}")]
pub struct PatternError {
    /// What is wrong.
    pub fault: Fault,
    /// The bytes of the pattern's text it concerns.
    pub span: Range<usize>,
}

/// A checked pattern, ready for an engine.
#[derive(Clone, Debug)]
pub struct Pattern {
    pub(super) kind: Kind,
    /// What the rule itself says its rare part is.
    pub(super) anchor: Option<Vec<u8>>,
    /// Where in its text the repeat is that makes it large.
    heavy: Option<Range<usize>>,
}

#[derive(Clone, Debug)]
pub(super) enum Kind {
    /// An expression without capture groups.
    Expression(Hir),
    /// Many literals, any of them.
    Literals { literals: Vec<Vec<u8>>, nocase: bool },
}

impl Pattern {
    /// A regular expression for a body that comes in pieces: bounded, without look-around.
    ///
    /// # Errors
    ///
    /// [`PatternError`] with the place in `text`.
    pub fn streamed(text: &str, nocase: bool) -> Result<Self, PatternError> {
        let (tree, hir) = parse(text, nocase)?;
        let fail = |fault, span: Option<Range<usize>>| Err(PatternError { fault, span: span.unwrap_or(0..text.len()) });
        if !hir.properties().look_set().is_empty() {
            return fail(Fault::LookAround, first_of(&tree, |ast| matches!(ast, Ast::Assertion(_))));
        }
        match hir.properties().maximum_len() {
            None => return fail(Fault::Unbounded, first_of(&tree, is_unbounded)),
            Some(max) if max > MAX_BOUND => return fail(Fault::TooWide(max), heaviest(&tree)),
            Some(_) => {}
        }
        Ok(Self { kind: Kind::Expression(hir), anchor: None, heavy: heaviest(&tree) })
    }

    /// A regular expression for a short field that is seen as a whole.
    ///
    /// # Errors
    ///
    /// [`PatternError`] with the place in `text`.
    pub fn short(text: &str, nocase: bool) -> Result<Self, PatternError> {
        let (tree, hir) = parse(text, nocase)?;
        Ok(Self { kind: Kind::Expression(hir), anchor: None, heavy: heaviest(&tree) })
    }

    /// Any of `literals`, anywhere. `nocase` folds ASCII letters. Empty literals must have been refused before.
    pub fn any_of(literals: &[&str], nocase: bool) -> Self {
        let literals: Vec<Vec<u8>> = literals.iter().map(|text| text.as_bytes().to_vec()).collect();
        if literals.len() > MAX_INLINE_LITERALS || literals.iter().any(|l| l.len() > MAX_BOUND) {
            return Self { kind: Kind::Literals { literals, nocase }, anchor: None, heavy: None };
        }
        let one = |literal: &Vec<u8>| {
            if nocase {
                Hir::concat(literal.iter().map(|&byte| either_case(byte)).collect())
            } else {
                Hir::literal(literal.as_slice())
            }
        };
        let any = Hir::alternation(literals.iter().map(one).collect());
        Self { kind: Kind::Expression(any), anchor: None, heavy: None }
    }

    /// Says which part of the pattern is rare. Every match must contain it; checked when the engine is built.
    #[must_use]
    pub fn with_anchor(mut self, anchor: &str) -> Self {
        self.anchor = Some(anchor.as_bytes().to_vec());
        self
    }

    /// Literals of at least three bytes, one of which every match contains, and the most bytes from the start of a match
    /// to the end of it. `None` where there are none, or where the pattern has no bound.
    pub(crate) fn required_literals(&self) -> Option<(Vec<Vec<u8>>, usize)> {
        let Kind::Expression(hir) = &self.kind else { return None };
        super::anchor::required(hir).map(|anchors| (anchors.literals, anchors.lead))
    }

    /// The fewest digits that a match has in it.
    pub(crate) fn fewest_digits(&self) -> usize {
        fn of(hir: &Hir) -> usize {
            match hir.kind() {
                HirKind::Empty | HirKind::Look(_) | HirKind::Class(Class::Unicode(_)) => 0,
                HirKind::Class(Class::Bytes(class)) => {
                    usize::from(class.iter().all(|range| range.start() >= b'0' && range.end() <= b'9'))
                }
                HirKind::Literal(literal) => literal.0.iter().filter(|byte| byte.is_ascii_digit()).count(),
                HirKind::Capture(capture) => of(&capture.sub),
                HirKind::Concat(parts) => parts.iter().map(of).sum(),
                HirKind::Alternation(branches) => branches.iter().map(of).min().unwrap_or(0),
                HirKind::Repetition(repetition) => {
                    of(&repetition.sub).saturating_mul(usize::try_from(repetition.min).unwrap_or(usize::MAX))
                }
            }
        }
        match &self.kind {
            Kind::Expression(hir) => of(hir),
            Kind::Literals { .. } => 0,
        }
    }

    /// About how many states an automaton of it has before anything is made of it: repeats written out.
    pub(crate) fn states(&self) -> usize {
        fn of(hir: &Hir) -> usize {
            match hir.kind() {
                HirKind::Empty | HirKind::Look(_) | HirKind::Class(_) => 1,
                HirKind::Literal(literal) => literal.0.len(),
                HirKind::Capture(capture) => of(&capture.sub),
                HirKind::Concat(parts) | HirKind::Alternation(parts) => {
                    parts.iter().map(of).fold(1, usize::saturating_add)
                }
                HirKind::Repetition(repetition) => {
                    let times = repetition.max.unwrap_or(repetition.min.saturating_add(1));
                    of(&repetition.sub).saturating_mul(usize::try_from(times).unwrap_or(usize::MAX)).saturating_add(1)
                }
            }
        }
        match &self.kind {
            Kind::Expression(hir) => of(hir),
            Kind::Literals { literals, .. } => literals.iter().map(Vec::len).sum(),
        }
    }

    /// Longest match in bytes; `None` where there is no bound (short fields only).
    pub fn max_len(&self) -> Option<usize> {
        match &self.kind {
            Kind::Expression(hir) => hir.properties().maximum_len(),
            Kind::Literals { literals, .. } => literals.iter().map(Vec::len).max(),
        }
    }

    /// The bytes of the pattern's text that make it large, where one repeat does.
    pub const fn heavy(&self) -> Option<&Range<usize>> {
        self.heavy.as_ref()
    }

    /// True where the two mean the same and can share a slot.
    pub fn same_as(&self, other: &Self) -> bool {
        self.anchor == other.anchor
            && match (&self.kind, &other.kind) {
                (Kind::Expression(a), Kind::Expression(b)) => a == b,
                (Kind::Literals { literals: a, nocase: m }, Kind::Literals { literals: b, nocase: n }) => {
                    m == n && a == b
                }
                _ => false,
            }
    }
}

fn either_case(byte: u8) -> Hir {
    use regex_syntax::hir::{ClassBytes, ClassBytesRange};
    let (low, up) = (byte.to_ascii_lowercase(), byte.to_ascii_uppercase());
    Hir::class(Class::Bytes(ClassBytes::new([ClassBytesRange::new(low, low), ClassBytesRange::new(up, up)])))
}

fn parse(text: &str, nocase: bool) -> Result<(Ast, Hir), PatternError> {
    let fail = |fault, span| Err(PatternError { fault, span });
    if text.len() > MAX_PATTERN_BYTES {
        return fail(Fault::TooLong(text.len()), 0..0);
    }
    let tree = match ast::parse::ParserBuilder::new().nest_limit(MAX_NESTING).build().parse(text) {
        Ok(tree) => tree,
        Err(error) => return fail(Fault::Syntax(error.kind().to_string()), place(error.span())),
    };
    let translated = regex_syntax::hir::translate::TranslatorBuilder::new()
        .unicode(false)
        .utf8(false)
        .case_insensitive(nocase)
        .build()
        .translate(text, &tree);
    let hir = match translated {
        Ok(hir) => hir,
        Err(error) => {
            let fault = match error.kind() {
                regex_syntax::hir::ErrorKind::UnicodeNotAllowed => Fault::Unicode,
                kind => Fault::Syntax(kind.to_string()),
            };
            return fail(fault, place(error.span()));
        }
    };
    let hir = plain(hir);
    match hir.properties().minimum_len() {
        None => return fail(Fault::NeverMatches, 0..text.len()),
        Some(0) => return fail(Fault::EmptyMatch, 0..text.len()),
        Some(_) => {}
    }
    if has_unicode(&hir) {
        return fail(Fault::Unicode, first_of(&tree, is_unicode_switch).unwrap_or(0..text.len()));
    }
    Ok((tree, hir))
}

fn place(span: &ast::Span) -> Range<usize> {
    span.start.offset..span.end.offset
}

/// Takes the capture groups out. Depth is bounded by [`MAX_NESTING`].
fn plain(hir: Hir) -> Hir {
    match hir.into_kind() {
        HirKind::Empty => Hir::empty(),
        HirKind::Literal(literal) => Hir::literal(literal.0),
        HirKind::Class(class) => Hir::class(class),
        HirKind::Look(look) => Hir::look(look),
        HirKind::Repetition(mut repetition) => {
            *repetition.sub = plain(*repetition.sub);
            Hir::repetition(repetition)
        }
        HirKind::Capture(capture) => plain(*capture.sub),
        HirKind::Concat(parts) => Hir::concat(parts.into_iter().map(plain).collect()),
        HirKind::Alternation(branches) => Hir::alternation(branches.into_iter().map(plain).collect()),
    }
}

/// `(?u)` can bring Unicode back: a class over ASCII, or a word boundary that needs Unicode tables.
fn has_unicode(hir: &Hir) -> bool {
    match hir.kind() {
        HirKind::Class(Class::Unicode(class)) => !class.is_ascii(),
        HirKind::Look(look) => !matches!(
            look,
            Look::Start
                | Look::End
                | Look::StartLF
                | Look::EndLF
                | Look::StartCRLF
                | Look::EndCRLF
                | Look::WordAscii
                | Look::WordAsciiNegate
                | Look::WordStartAscii
                | Look::WordEndAscii
                | Look::WordStartHalfAscii
                | Look::WordEndHalfAscii
        ),
        HirKind::Repetition(repetition) => has_unicode(&repetition.sub),
        HirKind::Capture(capture) => has_unicode(&capture.sub),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => parts.iter().any(has_unicode),
        _ => false,
    }
}

fn is_unbounded(tree: &Ast) -> bool {
    use ast::{RepetitionKind, RepetitionRange};
    matches!(tree, Ast::Repetition(repetition) if matches!(
        repetition.op.kind,
        RepetitionKind::ZeroOrMore | RepetitionKind::OneOrMore | RepetitionKind::Range(RepetitionRange::AtLeast(_))
    ))
}

fn is_unicode_switch(tree: &Ast) -> bool {
    use ast::{Flag, GroupKind};
    match tree {
        Ast::Flags(set) => set.flags.flag_state(Flag::Unicode) == Some(true),
        Ast::Group(group) => {
            matches!(&group.kind, GroupKind::NonCapturing(flags) if flags.flag_state(Flag::Unicode) == Some(true))
        }
        _ => false,
    }
}

/// Where the first part of the tree that `wanted` picks is. For a repeat, that is its operator.
fn first_of(tree: &Ast, wanted: impl Fn(&Ast) -> bool) -> Option<Range<usize>> {
    struct Find<F>(F, Option<Range<usize>>);
    impl<F: Fn(&Ast) -> bool> Visitor for Find<F> {
        type Output = Option<Range<usize>>;
        type Err = ();
        fn finish(self) -> Result<Self::Output, ()> {
            Ok(self.1)
        }
        fn visit_post(&mut self, tree: &Ast) -> Result<(), ()> {
            if self.1.is_none() && (self.0)(tree) {
                self.1 = Some(match tree {
                    Ast::Repetition(repetition) => place(&repetition.op.span),
                    other => place(other.span()),
                });
            }
            Ok(())
        }
    }
    ast::visit(tree, Find(wanted, None)).ok().flatten()
}

/// The outermost repeat around what is repeated most often. Depth is bounded by [`MAX_NESTING`].
fn heaviest(tree: &Ast) -> Option<Range<usize>> {
    /// Times what is counted as the most, for repeats without bound.
    const UNBOUNDED: u64 = 1000;

    #[derive(Default)]
    struct Heaviest {
        /// How often what is looked at now is repeated, from outside to inside.
        around: Vec<u64>,
        outermost: Range<usize>,
        most: u64,
        place: Option<Range<usize>>,
    }

    impl Visitor for Heaviest {
        type Output = Option<Range<usize>>;
        type Err = ();

        fn finish(self) -> Result<Self::Output, ()> {
            Ok(self.place)
        }

        fn visit_pre(&mut self, tree: &Ast) -> Result<(), ()> {
            use ast::{RepetitionKind, RepetitionRange};
            let Ast::Repetition(repetition) = tree else { return Ok(()) };
            let times = match repetition.op.kind {
                RepetitionKind::ZeroOrOne => 1,
                RepetitionKind::Range(RepetitionRange::Exactly(n) | RepetitionRange::Bounded(_, n)) => u64::from(n),
                RepetitionKind::ZeroOrMore
                | RepetitionKind::OneOrMore
                | RepetitionKind::Range(RepetitionRange::AtLeast(_)) => UNBOUNDED,
            };
            if self.around.is_empty() {
                self.outermost = place(&repetition.span);
            }
            let product = self.around.last().unwrap_or(&1).saturating_mul(times);
            self.around.push(product);
            if product > self.most {
                self.most = product;
                self.place = Some(self.outermost.clone());
            }
            Ok(())
        }

        fn visit_post(&mut self, tree: &Ast) -> Result<(), ()> {
            if matches!(tree, Ast::Repetition(_)) {
                self.around.pop();
            }
            Ok(())
        }
    }

    ast::visit(tree, Heaviest::default()).ok().flatten()
}
