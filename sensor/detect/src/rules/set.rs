//! A compiled set of rules, and how a message is held against it.

use std::fmt::Write as _;
use std::sync::Arc;

use super::field::Field;
use super::globs::Globs;
use crate::dlp::Profiles;
use crate::engine::{Built, Engine, EngineKind, MatcherState, PatternCost, Scratch};
use crate::hosts::{Category, HostMatch, HostTable};
use crate::policy::Policies;
use crate::signal::{Severity, Side, Weight};

/// A rule file's `[pack]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pack {
    /// Stable id, such as `mcp.core`.
    pub id: String,
    /// Its version, as written.
    pub version: String,
    /// Name for people; may be empty.
    pub name: String,
    /// What it is for; may be empty.
    pub description: String,
    /// The file it came from.
    pub file: String,
}

/// What a signature compares with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A regular expression, anywhere in the field.
    Regex,
    /// Any of some literals, anywhere in the field.
    Literal,
    /// Any of some host patterns.
    Host,
    /// Any of some globs, each for the whole field.
    Glob,
    /// A list of hosts in a file of its own.
    List,
}

impl Kind {
    /// The key in a rule file.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Regex => "regex",
            Self::Literal => "literal",
            Self::Host => "host",
            Self::Glob => "glob",
            Self::List => "list",
        }
    }
}

/// A text that a signature must or must not hit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    /// The field's value; for hosts `host` or `host/path`.
    pub text: String,
    /// Whether it is to hit.
    pub hit: bool,
    /// Line of the example in its file.
    pub line: u32,
}

/// One pattern on one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// Stable id, such as `mcp.body.tools-call`.
    pub id: String,
    /// Name for people; may be empty.
    pub name: String,
    /// What it means; may be empty.
    pub description: String,
    /// Id of its pack.
    pub pack: String,
    /// The field.
    pub on: Field,
    /// What it compares with.
    pub kind: Kind,
    /// The patterns as written; for a list its file name.
    pub patterns: Vec<String>,
    /// What a hit weighs at most; never [`Weight::Proof`].
    pub weight: Weight,
    /// How bad a hit is by itself.
    pub severity: Severity,
    /// What kind of place a host signature names.
    pub category: Category,
    /// Free words.
    pub tags: Vec<String>,
    /// Where to read more.
    pub references: Vec<String>,
    /// Whether it is in force.
    pub enabled: bool,
    /// Its examples.
    pub examples: Vec<Example>,
    /// The file it stands in.
    pub file: String,
    /// The line it begins on, from 1.
    pub line: u32,
}

/// The signatures of one short field.
#[derive(Debug, Default)]
pub(super) struct ShortSet {
    /// Expressions and literals.
    pub(super) built: Option<Built>,
    /// Pattern of the matcher to signatures.
    pub(super) owners: Vec<Vec<u32>>,
    pub(super) globs: Globs,
    /// Host patterns, for fields that are names but not `host` itself.
    pub(super) hosts: HostTable,
}

/// The kinds of stream. All share one matcher, because packs look for much the same in each.
pub(super) const STREAMS: [Field; 3] = [Field::RequestBody, Field::ResponseBody, Field::WebSocketMessage];

/// The signatures of all streams.
#[derive(Debug)]
pub(super) struct Bodies {
    pub(super) built: Built,
    /// Pattern of the matcher to signatures, for each of [`STREAMS`].
    pub(super) owners: [Vec<Vec<u32>>; 3],
}

/// What is kept of one body between two pieces: under 100 bytes, and some hundred more in an engine that asks for
/// them. Belongs to the rule set that made it.
#[derive(Debug)]
pub struct BodyState {
    stream: usize,
    state: MatcherState,
}

/// Compiled rules. Immutable and shared; an exchange keeps the set it began with.
#[derive(Debug)]
pub struct RuleSet {
    pub(super) packs: Vec<Pack>,
    pub(crate) signatures: Arc<[Signature]>,
    /// Indexes of the signatures, sorted by id.
    pub(super) by_id: Vec<u32>,
    /// Hosts and addresses of signatures on `host` and `url`.
    pub(super) hosts: HostTable,
    pub(super) bodies: Bodies,
    /// Sorted by field.
    pub(super) short: Vec<(Field, ShortSet)>,
    /// Every field that some signature in force is on, sorted.
    pub(super) fields: Vec<Field>,
    pub(super) policies: Policies,
    pub(super) dlp: Arc<Profiles>,
    pub(super) hash: String,
}

impl RuleSet {
    /// All signatures, those not in force too. Hits give indexes into this.
    pub fn signatures(&self) -> &[Signature] {
        &self.signatures
    }

    /// The signature of that index.
    pub fn signature(&self, index: u32) -> Option<&Signature> {
        self.signatures.get(usize::try_from(index).ok()?)
    }

    /// How grave the signature of that id is; `None` where there is none.
    pub fn severity_of(&self, id: &str) -> Option<Severity> {
        let named = |index: &u32| self.signature(*index).map_or("", |signature| signature.id.as_str());
        let at = self.by_id.binary_search_by(|index| named(index).cmp(id)).ok()?;
        self.signature(*self.by_id.get(at)?).map(|signature| signature.severity)
    }

    /// The policies, in the order of their files.
    pub const fn policies(&self) -> &Policies {
        &self.policies
    }

    /// The profiles of data.
    pub const fn dlp(&self) -> &Arc<Profiles> {
        &self.dlp
    }

    /// The packs, in the order given.
    pub fn packs(&self) -> &[Pack] {
        &self.packs
    }

    /// `sha256:` and 64 hexadecimal digits over all texts and lists, whatever their order and file names.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// Every field that some signature in force is on, sorted. Others need not be scanned.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// True where some signature in force is on `field`.
    pub fn wants(&self, field: &Field) -> bool {
        self.fields.binary_search(field).is_ok()
    }

    /// The request headers wanted: name in lower case, and the field to scan its values as.
    pub fn request_headers(&self) -> impl Iterator<Item = (&str, &Field)> {
        self.fields.iter().filter_map(|field| match field {
            Field::RequestHeader(name) => Some((&**name, field)),
            _ => None,
        })
    }

    /// The response headers wanted: name in lower case, and the field to scan its values as.
    pub fn response_headers(&self) -> impl Iterator<Item = (&str, &Field)> {
        self.fields.iter().filter_map(|field| match field {
            Field::ResponseHeader(name) => Some((&**name, field)),
            _ => None,
        })
    }

    /// Number of hosts and host patterns in the table.
    pub fn known_hosts(&self) -> usize {
        self.hosts.len()
    }

    /// The engine that bodies go through.
    pub const fn engine(&self) -> EngineKind {
        self.bodies.built.matcher.kind()
    }

    /// The engines in words: that of bodies and why, and the short fields where it is another.
    pub fn engine_and_why(&self) -> String {
        let mut text = format!("{}: {}", self.engine(), self.bodies.built.why);
        for (field, built) in self.short.iter().filter_map(|(field, set)| Some((field, set.built.as_ref()?))) {
            if built.matcher.kind() != self.engine() {
                let _ = write!(text, "; {field} {}: {}", built.matcher.kind(), built.why);
            }
        }
        text
    }

    /// Memory of the body tables, in bytes.
    pub fn table_bytes(&self) -> usize {
        self.bodies.built.matcher.bytes()
    }

    /// Holds a short field against its signatures. `hit` gets each signature at most once, with the offset after its
    /// first end (for globs and hosts, the length of the value). Expressions on `host` and `url` are tried here; host
    /// patterns, globs and lists on them belong to [`scan_host`](Self::scan_host).
    pub fn scan_field(&self, on: &Field, value: &[u8], scratch: &mut Scratch, hit: &mut dyn FnMut(u32, usize)) {
        let Ok(at) = self.short.binary_search_by(|(field, _)| field.cmp(on)) else { return };
        let Some((_, set)) = self.short.get(at) else { return };
        if let Some(built) = &set.built {
            built.matcher.scan_block(scratch, value, &mut |pattern, end| {
                for &signature in owners(&set.owners, pattern) {
                    hit(signature, end);
                }
            });
        }
        set.globs.scan(value, scratch, &mut |signature| hit(signature, value.len()));
        if !set.hosts.is_empty()
            && let Ok(name) = str::from_utf8(value)
        {
            set.hosts.find(name, None, &mut |found| hit(found.signature, value.len()));
        }
    }

    /// Looks up a host (normalised by [`normal_host`](crate::hosts::normal_host)) among the signatures on `host` and
    /// `url`, with the normalised path where one was seen. Each signature is reported at most once. What a match is
    /// worth depends on its `dedicated`, `path_matches`, `listed` and `category`.
    pub fn scan_host(&self, host: &str, path: Option<&str>, hit: &mut dyn FnMut(HostMatch<'_>)) {
        self.hosts.find(host, path, hit);
    }

    /// Whether any signature on `host` or `url` lists a host (normalised), whatever the path and however little that says.
    pub fn lists_host(&self, host: &str) -> bool {
        self.hosts.lists(host)
    }

    /// The state of a body of which nothing was seen.
    pub fn body(&self, side: Side) -> BodyState {
        self.stream(match side {
            Side::Request => 0,
            Side::Response => 1,
        })
    }

    /// The state of a WebSocket message of which nothing was seen, for signatures on `websocket.message`.
    pub fn websocket_message(&self) -> BodyState {
        self.stream(2)
    }

    fn stream(&self, stream: usize) -> BodyState {
        BodyState { stream, state: self.bodies.built.matcher.start() }
    }

    /// Makes `body` as good as new, for the next message of the same kind and after a gap.
    pub fn reset_body(&self, body: &mut BodyState) {
        self.bodies.built.matcher.reset(&mut body.state);
    }

    /// The body is over: what was costly to make is left with `scratch` for others. A body that is only dropped
    /// leaks nothing either.
    pub fn end_body(&self, body: &mut BodyState, scratch: &mut Scratch) {
        self.bodies.built.matcher.retire(&mut body.state, scratch);
    }

    /// Holds the next piece of a body against its signatures. `hit` gets each signature at most once per body, with
    /// the offset after its first end, as soon as that byte is here: nothing is left over for the end of the body.
    /// Hits come in the order of their offsets, those of one offset always in the same order.
    pub fn scan_body(&self, body: &mut BodyState, scratch: &mut Scratch, piece: &[u8], hit: &mut dyn FnMut(u32, u64)) {
        let Some(of_stream) = self.bodies.owners.get(body.stream).filter(|owners| !owners.is_empty()) else { return };
        self.bodies.built.matcher.scan(&mut body.state, scratch, piece, &mut |pattern, end| {
            for &signature in owners(of_stream, pattern) {
                hit(signature, end);
            }
        });
    }

    /// What each signature with an expression or literals costs.
    pub(super) fn costs(&self) -> impl Iterator<Item = (u32, &PatternCost)> {
        let bodies = self.bodies.owners.iter().map(|owners| (owners, &self.bodies.built));
        let short = self.short.iter().filter_map(|(_, set)| Some((&set.owners, set.built.as_ref()?)));
        bodies.chain(short).flat_map(|(owners, built)| {
            let each = owners.iter().zip(&built.costs);
            each.flat_map(|(owners, cost)| owners.iter().map(move |&signature| (signature, cost)))
        })
    }
}

fn owners(all: &[Vec<u32>], pattern: u32) -> &[u32] {
    usize::try_from(pattern).ok().and_then(|pattern| all.get(pattern)).map_or(&[], Vec::as_slice)
}
