//! The tools that an answer offers: what each says it does, and a digest of all that a model reads of it.

use crate::{
    extract::Chunk,
    mask,
    walk::{Step, Value, Walker},
};
use sha2::{Digest, Sha256};

/// Longest text of one tool that is read, in bytes of UTF-8; of a longer one nothing is known but a digest.
pub const MAX_TOOL: usize = 256 << 10;
/// Memory that is kept between two tools, in bytes.
const KEPT: usize = 8 << 10;

/// What a tool does, as its server says by `annotations` (MCP 2025-03-26 and later). A claim, never more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ToolClass {
    /// Nobody said: the tool was not among those that the server offered.
    #[default]
    Unknown,
    /// `readOnlyHint` is true.
    Read,
    /// It writes, and `destructiveHint` is false.
    Write,
    /// All others: what a server leaves open means the worst (MCP 2025-11-25, `ToolAnnotations`).
    Destructive,
}

impl ToolClass {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Unknown, Self::Read, Self::Write, Self::Destructive];

    /// The word of policies and records.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Read => "read",
            Self::Write => "write",
            Self::Destructive => "destructive",
        }
    }
}

/// One tool that is offered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offered {
    /// Its name; `…` where it looks like a secret, at most [`crate::MAX_TEXT`] bytes.
    pub name: String,
    /// What it says it does.
    pub class: ToolClass,
    /// SHA-256 over all that a model reads of it, see [`read_tool`].
    pub digest: [u8; 32],
}

/// The tools of one answer: one page of a catalogue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Catalogue {
    /// At most [`crate::MAX_LIST`] of them, in their order. A tool with several names stands there under each.
    pub tools: Vec<Offered>,
    /// The digests of all others, chained.
    pub rest: Option<[u8; 32]>,
}

impl Catalogue {
    /// Adds a tool; `list` is the most that are kept.
    fn push(&mut self, list: usize, tool: Tool, text: usize) {
        let Tool { names, class, digest } = tool;
        for name in names {
            if self.tools.len() < list {
                let mut name = mask::name(&name);
                name.truncate(mask::cut(&name, text).len());
                self.tools.push(Offered { name, class, digest });
            } else {
                self.chain(&digest);
            }
        }
    }

    /// Adds a digest to those of which nothing else is kept.
    pub fn chain(&mut self, digest: &[u8; 32]) {
        self.rest =
            Some(Sha256::new().chain_update(self.rest.unwrap_or_default()).chain_update(digest).finalize().into());
    }
}

/// One tool as its server describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tool {
    /// Its names: of members of one name receivers keep the first or the last. Not masked.
    pub names: Vec<String>,
    /// What it says it does.
    pub class: ToolClass,
    /// SHA-256 over all that a model reads of it.
    pub digest: [u8; 32],
}

/// Reads one tool of a list: a JSON object in UTF-8. `None` where it has no name.
///
/// The digest is over the values and their places, whatever the order of members, blanks and escapes. `_meta` and `icons`
/// are left out: no model reads them, and servers sign them anew each time. What contradicts itself in `annotations` is
/// [`ToolClass::Destructive`].
pub fn read_tool(text: &[u8]) -> Option<Tool> {
    use std::fmt::Write as _;
    let mut names = Vec::new();
    let (mut reads, mut writes_only, mut annotations) = (None, None, 0);
    let and = |before: Option<bool>, now: bool| Some(before.unwrap_or(true) && now);
    let (mut leaves, mut place) = (Vec::new(), String::new());
    let walked = Walker::default().walk(text, &mut |leaf| {
        if leaf.is_name {
            annotations += usize::from(leaf.path.is("/annotations"));
            return;
        }
        if matches!(leaf.path.steps().next(), Some(Step::Member("_meta" | "icons"))) {
            return;
        }
        let (kind, value) = match leaf.value {
            Value::Text(text) => ("text", text),
            Value::Number(text) => ("number", text),
            Value::Deep(text) => ("deep", text),
            Value::Bool(true) => ("word", "true"),
            Value::Bool(false) => ("word", "false"),
            Value::Null => ("word", "null"),
        };
        match leaf.value {
            Value::Text(name) if leaf.path.is("/name") => names.push(name.to_owned()),
            value if leaf.path.is("/annotations/readOnlyHint") => reads = and(reads, value == Value::Bool(true)),
            value if leaf.path.is("/annotations/destructiveHint") => {
                writes_only = and(writes_only, value == Value::Bool(false));
            }
            _ => {}
        }
        place.clear();
        let _ = write!(place, "{}", leaf.path);
        let hash = Sha256::new().chain_update(&place).chain_update([0]).chain_update(kind).chain_update([0]);
        leaves.push(<[u8; 32]>::from(hash.chain_update(value).finalize()));
    });
    if names.is_empty() {
        return None;
    }
    names.dedup();
    let class = match () {
        () if walked.is_err() || annotations > 1 => ToolClass::Destructive,
        () if reads == Some(true) => ToolClass::Read,
        () if writes_only == Some(true) => ToolClass::Write,
        () => ToolClass::Destructive,
    };
    leaves.sort_unstable();
    let digest = leaves.iter().fold(Sha256::new(), Digest::chain_update).finalize().into();
    Some(Tool { names, class, digest })
}

/// SHA-256 over a whole catalogue, whatever the order of its tools: `digests` are those of [`Offered`] and
/// [`Catalogue::rest`] of all pages.
pub fn catalogue_hash(digests: impl Iterator<Item = [u8; 32]>) -> [u8; 32] {
    let mut all: Vec<_> = digests.collect();
    all.sort_unstable();
    all.dedup();
    all.iter().fold(Sha256::new(), Digest::chain_update).finalize().into()
}

/// Hash of a cursor, to know again which page is asked for.
pub(crate) fn cursor(text: &str) -> [u8; 16] {
    let hash: [u8; 32] = Sha256::digest(text).into();
    let mut short = [0; 16];
    short.iter_mut().zip(hash).for_each(|(to, from)| *to = from);
    short
}

/// Keeps the text of the tool that is open.
#[derive(Debug, Default)]
pub(crate) struct Taker {
    text: Vec<u8>,
    /// Where in the current chunk what is not kept yet begins; `None` where no tool is open.
    from: Option<usize>,
    /// Of a tool that is too long: all of it so far.
    long: Option<Sha256>,
}

impl Taker {
    /// A tool begins at `from` of the current chunk.
    pub(crate) fn begin(&mut self, from: usize) {
        self.text.clear();
        self.long = None;
        self.from = Some(from);
    }

    /// Another chunk begins.
    pub(crate) fn next_chunk(&mut self) {
        if self.from.is_some() {
            self.from = Some(0);
        }
    }

    /// A chunk is over: keeps its part of the tool.
    pub(crate) fn keep(&mut self, chunk: Chunk<'_>) {
        self.keep_to(chunk, chunk.text.len());
    }

    fn keep_to(&mut self, chunk: Chunk<'_>, to: usize) {
        let Some(from) = self.from else { return };
        let piece = chunk.text.get(from..to).unwrap_or_default();
        if let Some(hash) = &mut self.long {
            hash.update(piece);
        } else if self.text.len() + piece.len() > MAX_TOOL {
            self.long = Some(Sha256::new().chain_update(&self.text).chain_update(piece));
            self.text = Vec::new();
        } else {
            self.text.extend_from_slice(piece);
        }
    }

    /// It is over, at `to` of the current chunk; `name` is the last that it has. Gives whether it was short enough to be
    /// read.
    pub(crate) fn end(
        &mut self,
        (list, text): (usize, usize),
        chunk: Chunk<'_>,
        to: usize,
        name: Option<&str>,
        into: &mut Catalogue,
    ) -> bool {
        self.keep_to(chunk, to);
        self.from = None;
        let long = self.long.take();
        let whole = long.is_none();
        let tool = match long {
            None => read_tool(&self.text),
            Some(hash) => name.map(|name| Tool {
                names: vec![name.to_owned()],
                class: ToolClass::Destructive,
                digest: hash.finalize().into(),
            }),
        };
        self.text.clear();
        self.text.shrink_to(KEPT);
        if let Some(tool) = tool {
            into.push(list, tool, text);
        }
        whole
    }

    /// Nothing is open.
    pub(crate) fn forget(&mut self) {
        *self = Self { text: std::mem::take(&mut self.text), ..Self::default() };
        self.text.clear();
        self.text.shrink_to(KEPT);
    }

    /// What it holds, in bytes.
    pub(crate) const fn weight(&self) -> usize {
        self.text.capacity()
    }
}

#[cfg(test)]
mod tests;
