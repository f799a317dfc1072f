//! From the texts of rule files to a [`RuleSet`], or to every fault in them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use toml::Spanned;

use super::error::{RuleError, Source};
use super::field::{self, Field, Shape};
use super::file::{self, RawExample, RawFile, RawSignature, RawWeight};
use super::list;
use super::set::{Bodies, Example, Kind, Pack, RuleSet, STREAMS, ShortSet, Signature};
use crate::dlp::{self, Profiles};
use crate::engine::{
    BuildError, Built, EngineChoice, Fault, MAX_BOUND, MAX_PATTERNS, MAX_TABLES, Matcher, Pattern, PatternError,
};
use crate::hosts::{Category, HostTable, Listed, NewEntry, glob_bytes};
use crate::policy::{self, Policies, RawGroup, RawPolicy};
use crate::signal::Weight;

/// How the ids of facts begin that the parser proves, and no signature.
const STRUCTURES: [&str; 9] = [
    "mcp.proof.",
    "mcp.shape.",
    "mcp.header.",
    "mcp.path.",
    "mcp.sse.",
    "mcp.oauth.",
    "mcp.endpoint.",
    "mcp.host.",
    "mcp.provider.",
];
/// Most signatures in all files together.
pub const MAX_SIGNATURES: usize = 4096;
/// Most literals or globs or hosts of one signature.
const MAX_ITEMS: usize = 100_000;
/// Longest id, in bytes.
const MAX_ID_BYTES: usize = 100;

/// Reads a list by its name. The error is a reason for people.
pub type ListReader<'a> = dyn Fn(&str) -> Result<Cow<'static, str>, String> + 'a;

/// A rule file, read by the caller.
#[derive(Clone, Copy)]
pub struct RuleText<'a> {
    /// Name for messages.
    pub file: &'a str,
    /// Its text.
    pub text: &'a str,
    /// Reads a list that the file names, by its path relative to the file. The path is plain: no `..`, not absolute.
    pub lists: &'a ListReader<'a>,
}

impl std::fmt::Debug for RuleText<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RuleText").field("file", &self.file).field("bytes", &self.text.len()).finish_non_exhaustive()
    }
}

/// Compiles rule files for the engine that suits them.
///
/// # Errors
///
/// Every fault of every file, sorted by place within each file.
pub fn compile(files: &[RuleText<'_>]) -> Result<RuleSet, Vec<RuleError>> {
    compile_for(files, EngineChoice::Auto)
}

/// Compiles rule files for the engine chosen. What is refused, and why, does not depend on it.
///
/// # Errors
///
/// Every fault of every file, sorted by place within each file.
pub fn compile_for(files: &[RuleText<'_>], engine: EngineChoice) -> Result<RuleSet, Vec<RuleError>> {
    let sources: Vec<Source<'_>> = files.iter().map(|file| Source::new(file.file, file.text)).collect();
    let mut compiler = Compiler { files, sources: &sources, ..Compiler::default() };
    for (index, source) in sources.iter().enumerate() {
        let mut errors = Vec::new();
        let raw = file::read(source, &mut errors);
        compiler.errors.append(&mut errors);
        compiler.file(index, raw);
    }
    compiler.finish(engine)
}

/// A signature's place and patterns, until all are known.
#[derive(Clone, Debug)]
struct Origin {
    file: usize,
    /// Of the pattern's value.
    span: Range<usize>,
    /// Of the anchor that the rule names.
    anchor: Option<Range<usize>>,
}

/// Patterns for one matcher.
#[derive(Debug, Default)]
struct Collected {
    patterns: Vec<Pattern>,
    /// Pattern to the signatures that want it, each with its stream.
    owners: Vec<Vec<(usize, u32)>>,
}

#[derive(Debug, Default)]
struct ShortRules {
    expressions: Collected,
    set: ShortSet,
}

#[derive(Default)]
struct Compiler<'a> {
    files: &'a [RuleText<'a>],
    sources: &'a [Source<'a>],
    errors: Vec<RuleError>,
    packs: Vec<Pack>,
    signatures: Vec<Signature>,
    /// One for each signature.
    origins: Vec<Origin>,
    /// Id to where it was first.
    ids: BTreeMap<String, (usize, u32)>,
    bodies: Collected,
    short: BTreeMap<Field, ShortRules>,
    hosts: HostTable,
    fields: std::collections::BTreeSet<Field>,
    /// Policies and groups, with their files, until all signatures and profiles are known.
    policies: Vec<(usize, RawPolicy, Range<usize>)>,
    groups: Vec<(usize, RawGroup)>,
    dlp: dlp::Builder,
    /// Of each pack: what its hash is made of.
    parts: BTreeMap<String, Vec<[u8; 32]>>,
}

impl Collected {
    fn add(&mut self, pattern: Pattern, stream: usize, signature: u32) {
        if let Some(same) = self.patterns.iter().position(|known| known.same_as(&pattern)) {
            self.owners.get_mut(same).into_iter().for_each(|owners| owners.push((stream, signature)));
        } else {
            self.patterns.push(pattern);
            self.owners.push(vec![(stream, signature)]);
        }
    }
}

impl<'a> Compiler<'a> {
    fn source(&self, file: usize) -> Option<&'a Source<'a>> {
        self.sources.get(file)
    }

    fn file_name(&self, file: usize) -> String {
        self.source(file).map(|source| source.file.to_owned()).unwrap_or_default()
    }

    fn line(&self, file: usize, offset: usize) -> u32 {
        self.source(file).map_or(1, |source| source.line(offset))
    }

    fn fault(&mut self, file: usize, span: &Range<usize>, message: impl Into<String>, help: &str) {
        self.errors.extend(self.source(file).map(|source| source.fault(span, message, help)));
    }

    fn file(&mut self, file: usize, raw: RawFile) {
        let text = self.source(file).map(|source| source.text).unwrap_or_default();
        let mut parts = vec![Sha256::digest(text.as_bytes()).into()];
        let pack = raw.pack.map(|pack| {
            self.check_id(file, &pack.id);
            if self.packs.iter().any(|known| known.id == *pack.id.get_ref()) {
                self.fault(file, &pack.id.span(), "this pack id is taken", "a pack is one file; choose another id");
            }
            if pack.version.get_ref().trim().is_empty() {
                self.fault(file, &pack.version.span(), "an empty version", "such as \"1.0.0\"");
            }
            let (id, version) = (pack.id.into_inner(), pack.version.into_inner());
            Pack { id, version, name: pack.name, description: pack.description, file: self.file_name(file) }
        });
        let id = pack.as_ref().map(|pack| pack.id.clone()).unwrap_or_default();
        for (signature, span) in raw.signatures {
            if self.signatures.len() >= MAX_SIGNATURES {
                let help = "use literal = [...] or a list for many patterns of one meaning";
                self.fault(file, &span, format!("over {MAX_SIGNATURES} signatures"), help);
                break;
            }
            self.signature(file, &id, signature, &span, &mut parts);
        }
        for (profile, span) in raw.dlp {
            self.check_id(file, &profile.id);
            self.taken(file, &profile.id, span.start);
            let source = self.source(file);
            let line = |offset| source.map_or(1, |source| source.line(offset));
            let place = dlp::Place { file: self.file_name(file), text, pack: &id, line: &line };
            for (span, message, help) in self.dlp.profile(profile, &span, &place) {
                self.fault(file, &span, message, help);
            }
        }
        self.policies.extend(raw.policies.into_iter().map(|(policy, span)| (file, policy, span)));
        self.groups.extend(raw.groups.into_iter().map(|group| (file, group)));
        self.packs.extend(pack);
        self.parts.entry(id).or_default().append(&mut parts);
    }

    /// Ids end up in metrics, file names and dashboards.
    fn check_id(&mut self, file: usize, id: &Spanned<String>) {
        let text = id.get_ref();
        let good = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || b"._-".contains(&c);
        let ends = [text.bytes().next(), text.bytes().last()];
        if text.len() > MAX_ID_BYTES
            || !text.bytes().all(good)
            || !ends.iter().all(|end| end.is_some_and(|b| b.is_ascii_alphanumeric()))
        {
            let help = "ids are lower-case letters, digits, dots and dashes, such as mcp.body.tools-call";
            self.fault(file, &id.span(), "not an id", help);
        }
    }

    /// Ids are unique over all files.
    fn taken(&mut self, file: usize, id: &Spanned<String>, offset: usize) {
        if let Some(&(first, at)) = self.ids.get(id.get_ref()) {
            let message = format!("this id is taken by {}:{at}", self.file_name(first));
            self.fault(file, &id.span(), message, "ids are unique over all files");
        } else {
            let line = self.line(file, offset);
            self.ids.insert(id.get_ref().clone(), (file, line));
        }
    }

    fn signature(
        &mut self,
        file: usize,
        pack: &str,
        mut raw: RawSignature,
        span: &Range<usize>,
        parts: &mut Vec<[u8; 32]>,
    ) {
        let Ok(index) = u32::try_from(self.signatures.len()) else { return };
        let line = self.line(file, span.start);
        self.check_id(file, &raw.id);
        self.taken(file, &raw.id, span.start);
        let examples = self.examples(file, std::mem::take(&mut raw.example));
        let on = match raw.on.get_ref().parse::<Field>() {
            Ok(on) => on,
            Err(error) => {
                self.fault(file, &raw.on.span(), error.to_string(), &format!("known are {}", field::names()));
                return;
            }
        };
        let weight = match raw.weight.get_ref() {
            RawWeight::Strong => Weight::Strong,
            RawWeight::Medium => Weight::Medium,
            RawWeight::Weak => Weight::Weak,
            RawWeight::Info => Weight::Info,
        };
        let Some((kind, items)) = self.kind(file, &raw, span) else { return };
        self.check_options(file, &raw, kind, &on);
        let origin = items.first().map_or(span.clone(), |item| item.1.clone());
        let target = Target { file, index, on: &on, nocase: raw.nocase, weight, enabled: raw.enabled };
        let anchor = raw.anchor.as_ref().map(Spanned::span);
        let category = raw.category.as_ref().map_or(Category::Server, |category| *category.get_ref());
        match kind {
            Kind::Regex => self.regex(&target, &items, raw.anchor.as_ref()),
            Kind::Literal => self.literal(&target, &items),
            Kind::Host => self.host(&target, &items, category),
            Kind::Glob => self.glob(&target, &items, category),
            Kind::List => self.list(&target, &items, parts),
        }
        if raw.enabled {
            self.fields.insert(on.clone());
        }
        self.origins.push(Origin { file, span: origin, anchor });
        self.signatures.push(Signature {
            id: raw.id.into_inner(),
            name: raw.name,
            description: raw.description,
            pack: pack.to_owned(),
            on,
            kind,
            patterns: items.into_iter().map(|(text, _)| text).collect(),
            weight,
            severity: raw.severity,
            category,
            tags: raw.tags,
            references: raw.references,
            enabled: raw.enabled,
            examples,
            file: self.file_name(file),
            line,
        });
    }

    fn examples(&mut self, file: usize, raw: Vec<Spanned<RawExample>>) -> Vec<Example> {
        let mut examples = Vec::new();
        for example in raw {
            let line = self.line(file, example.span().start);
            match example.get_ref() {
                RawExample { hit: Some(text), miss: None } => {
                    examples.push(Example { text: text.clone(), hit: true, line });
                }
                RawExample { hit: None, miss: Some(text) } => {
                    examples.push(Example { text: text.clone(), hit: false, line });
                }
                _ => {
                    let help = "write hit = '…' or miss = '…', and another [[signature.example]] for the next";
                    self.fault(file, &example.span(), "an example has exactly one of hit and miss", help);
                }
            }
        }
        examples
    }

    /// The one pattern key that is there, and its values.
    fn kind(&mut self, file: usize, raw: &RawSignature, span: &Range<usize>) -> Option<(Kind, Vec<Item>)> {
        let one = |text: &Spanned<String>| vec![(text.get_ref().clone(), text.span())];
        let many = |list: &Spanned<Vec<Spanned<String>>>| {
            (list.get_ref().iter().map(|text| (text.get_ref().clone(), text.span())).collect(), list.span())
        };
        let mut found: Vec<(Kind, Vec<Item>, Range<usize>)> = Vec::new();
        found.extend(raw.regex.as_ref().map(|text| (Kind::Regex, one(text), text.span())));
        found.extend(raw.list.as_ref().map(|text| (Kind::List, one(text), text.span())));
        for (kind, list) in [(Kind::Literal, &raw.literal), (Kind::Host, &raw.host), (Kind::Glob, &raw.glob)] {
            found.extend(list.as_ref().map(many).map(|(items, span)| (kind, items, span)));
        }
        let help = "give exactly one of regex, literal, host, glob and list";
        match found.as_slice() {
            [] => self.fault(file, span, "a signature without a pattern", help),
            [_] => {}
            [_, (_, _, second), ..] => {
                self.fault(file, &second.clone(), "a signature with more than one kind of pattern", help);
            }
        }
        let (kind, items, span) = found.into_iter().next()?;
        if items.is_empty() {
            self.fault(file, &span, "an empty list of patterns", "name at least one");
            return None;
        }
        if items.len() > MAX_ITEMS {
            self.fault(file, &span, format!("over {MAX_ITEMS} patterns in one signature"), "split it");
            return None;
        }
        Some((kind, items))
    }

    /// Options and fields that do not go with the kind of pattern.
    fn check_options(&mut self, file: usize, raw: &RawSignature, kind: Kind, on: &Field) {
        let streamed = on.shape() == Shape::Stream;
        let field = match kind {
            Kind::Host if !on.is_name() => Some("host patterns are for host, tls.sni and dns.query; for url use glob"),
            Kind::Glob if streamed => Some("a glob is for a whole short field; for bodies use literal or regex"),
            Kind::Glob if on.is_name() => Some("names are matched by label: use host = [...]"),
            Kind::List if !matches!(on, Field::Host | Field::Url) => Some("host lists are for url and host"),
            _ => None,
        };
        if let Some(help) = field {
            self.fault(file, &raw.on.span(), format!("{} does not go with this field", kind.name()), help);
        }
        if raw.nocase && (matches!(kind, Kind::Host | Kind::List) || (kind == Kind::Glob && on.is_path())) {
            self.fault(file, &raw.id.span(), "nocase says nothing here", "hosts and paths never regard ASCII case");
        }
        if let Some(anchor) = &raw.anchor
            && !(kind == Kind::Regex && streamed)
        {
            let help = "only a regex on a body has an anchor";
            self.fault(file, &anchor.span(), "an anchor that would not be used", help);
        }
        if let Some(category) = &raw.category
            && !(kind == Kind::Host || (kind == Kind::Glob && *on == Field::Url))
            && (streamed || kind == Kind::List || crate::Trace::of(*category.get_ref()).is_none())
        {
            let help = "hosts have any; other short fields of requests catalog, supply_chain or install_link";
            self.fault(file, &category.span(), "a category that says nothing here", help);
        }
    }

    /// Where a part of a pattern stands in the file: exact for strings written without escapes.
    fn inside(&self, file: usize, text: &str, span: &Range<usize>, part: &Range<usize>) -> Range<usize> {
        let written = self.source(file).and_then(|source| source.text.get(span.clone())).unwrap_or_default();
        match written.find(text) {
            Some(at) if !text.is_empty() => {
                let start = span.start + at;
                let end = if part.is_empty() { text.len() } else { part.end };
                start + part.start.min(text.len())..start + end.min(text.len())
            }
            _ => span.clone(),
        }
    }

    fn regex(&mut self, target: &Target<'_>, items: &[Item], anchor: Option<&Spanned<String>>) {
        let Some(item) = items.first() else { return };
        let streamed = target.on.shape() == Shape::Stream;
        let parsed =
            if streamed { Pattern::streamed(&item.0, target.nocase) } else { Pattern::short(&item.0, target.nocase) };
        match parsed {
            Ok(pattern) => self.pattern(
                target,
                match anchor {
                    Some(anchor) => pattern.with_anchor(anchor.get_ref()),
                    None => pattern,
                },
            ),
            Err(PatternError { fault, span }) => {
                let span = self.inside(target.file, &item.0, &item.1, &span);
                self.fault(target.file, &span, fault.to_string(), fault.help());
            }
        }
    }

    fn literal(&mut self, target: &Target<'_>, items: &[Item]) {
        let streamed = target.on.shape() == Shape::Stream;
        let mut good = true;
        for (text, span) in items {
            if text.is_empty() {
                self.fault(target.file, span, "an empty literal is everywhere", "name at least one byte");
                good = false;
            } else if streamed && text.len() > MAX_BOUND {
                let message = format!("a literal of {} bytes, over the limit of {MAX_BOUND}", text.len());
                self.fault(target.file, span, message, "a shorter part of it will do");
                good = false;
            }
        }
        if good {
            let literals: Vec<&str> = items.iter().map(|(text, _)| text.as_str()).collect();
            self.pattern(target, Pattern::any_of(&literals, target.nocase));
        }
    }

    fn pattern(&mut self, target: &Target<'_>, pattern: Pattern) {
        if !target.enabled {
            return;
        }
        match STREAMS.iter().position(|field| field == target.on) {
            Some(stream) => self.bodies.add(pattern, stream, target.index),
            None => self.short(target.on).expressions.add(pattern, 0, target.index),
        }
    }

    fn short(&mut self, on: &Field) -> &mut ShortRules {
        self.short.entry(on.clone()).or_default()
    }

    fn host(&mut self, target: &Target<'_>, items: &[Item], category: Category) {
        for (text, span) in items {
            self.entry(target, text, span, "", category);
        }
    }

    fn glob(&mut self, target: &Target<'_>, items: &[Item], category: Category) {
        for (text, span) in items {
            if target.on.is_path() && text.contains('?') {
                let help = "paths are seen without their query, which may hold secrets; `*` stands for any run";
                self.fault(target.file, span, "a question mark in a path pattern", help);
            } else if *target.on == Field::Url {
                let (host, path) = list::split_url(text);
                if text.contains('/') {
                    self.entry(target, host, span, path, category);
                } else {
                    let help = "write host/path, or use host = [...] on the field host";
                    self.fault(target.file, span, "a url pattern without a path", help);
                }
            } else if *target.on == Field::RequestUri && !text.starts_with(['/', '*']) {
                self.fault(target.file, span, "a path pattern that no path can match", "begin it with / or *");
            } else if target.enabled {
                self.short(target.on).set.globs.add(target.index, text, target.nocase);
            }
        }
    }

    /// Adds a host, with a path or without, to the table of its field.
    fn entry(&mut self, target: &Target<'_>, host: &str, span: &Range<usize>, path: &str, category: Category) {
        let listed = match target.weight {
            Weight::Info => Listed::Info,
            Weight::Weak => Listed::Low,
            Weight::Medium => Listed::Medium,
            Weight::Strong | Weight::Proof => Listed::High,
        };
        let host = host.to_ascii_lowercase();
        let new = NewEntry {
            signature: target.index,
            host: &host,
            path,
            vendor: "",
            transport: "any",
            source: "",
            listed,
            category,
            dedicated: false,
        };
        let mut checked_only = HostTable::default();
        let table = match target.on {
            _ if !target.enabled => &mut checked_only,
            Field::Host | Field::Url => &mut self.hosts,
            other => &mut self.short.entry(other.clone()).or_default().set.hosts,
        };
        if let Err(error) = table.add(&new) {
            let help = "such as example.com, *.example.com, mcp.* or *-mcp.*";
            self.fault(target.file, span, error.to_string(), help);
        }
    }

    fn list(&mut self, target: &Target<'_>, items: &[Item], parts: &mut Vec<[u8; 32]>) {
        let Some((name, span)) = items.first() else { return };
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-/".contains(&b);
        if !name.bytes().all(plain) || name.split('/').any(|step| step.is_empty() || step == "." || step == "..") {
            let help = "a path below the rule file's folder, such as hosts/ours.tsv";
            self.fault(target.file, span, "not a plain relative path", help);
            return;
        }
        let Some(source) = self.files.get(target.file) else { return };
        match (source.lists)(name) {
            Ok(text) => {
                parts.push(Sha256::digest(text.as_bytes()).into());
                let mut checked_only = HostTable::default();
                let table = if target.enabled { &mut self.hosts } else { &mut checked_only };
                list::read(name, &text, target.index, table, &mut self.errors);
            }
            Err(why) => self.fault(target.file, span, format!("the list cannot be read: {why}"), ""),
        }
    }

    fn finish(mut self, engine: EngineChoice) -> Result<RuleSet, Vec<RuleError>> {
        self.hosts.finish();
        let dlp = std::mem::take(&mut self.dlp).finish();
        let policies = self.policies(&dlp);
        let bodies = std::mem::take(&mut self.bodies);
        let built = self.build(&bodies, |patterns| Matcher::streamed(patterns, engine));
        let mut short = Vec::new();
        for (field, rules) in std::mem::take(&mut self.short) {
            let mut set = rules.set;
            set.hosts.finish();
            if !set.globs.finish(field.is_path()) {
                self.fault(0, &(0..0), format!("too many globs on {field}"), "use fewer, or a regex");
            }
            if !rules.expressions.patterns.is_empty() {
                set.built = self.build(&rules.expressions, |patterns| Matcher::short(patterns, engine));
                set.owners =
                    rules.expressions.owners.iter().map(|owners| owners.iter().map(|o| o.1).collect()).collect();
            }
            short.push((field, set));
        }
        let (true, Some(built)) = (self.errors.is_empty(), built) else {
            let order = |name: &str| self.files.iter().position(|file| file.file == name).unwrap_or(usize::MAX);
            self.errors.sort_by_cached_key(|e| (order(&e.file), e.file.clone(), e.line, e.column));
            return Err(self.errors);
        };
        let owners = [0, 1, 2].map(|stream| {
            let of = |all: &Vec<(usize, u32)>| all.iter().filter(|o| o.0 == stream).map(|o| o.1).collect::<Vec<u32>>();
            let all: Vec<Vec<u32>> = bodies.owners.iter().map(of).collect();
            if all.iter().all(Vec::is_empty) { Vec::new() } else { all }
        });
        let id = |index: &u32| usize::try_from(*index).ok().and_then(|at| self.signatures.get(at)).map(|s| &s.id);
        let mut by_id: Vec<u32> = (0..).take(self.signatures.len()).collect();
        by_id.sort_unstable_by_key(id);
        Ok(RuleSet {
            packs: self.packs,
            signatures: self.signatures.into(),
            by_id,
            hosts: self.hosts,
            bodies: Bodies { built, owners },
            short,
            fields: self.fields.into_iter().collect(),
            policies,
            dlp: Arc::new(dlp),
            hash: hash(&self.parts),
        })
    }

    /// Compiles the policies of all files.
    fn policies(&mut self, profiles: &Profiles) -> Policies {
        let known = |id: &str| {
            let fits = |known: &str| glob_bytes(id.as_bytes(), known.as_bytes(), false);
            STRUCTURES.iter().any(|kind| id.starts_with(kind)) || self.signatures.iter().any(|s| fits(&s.id))
        };
        let (raw, groups) = (std::mem::take(&mut self.policies), std::mem::take(&mut self.groups));
        let mut found: Vec<(usize, policy::Fault)> = Vec::new();
        let mut compiler = policy::Compiler::new(profiles, &known);
        for (file, group) in groups {
            let mut faults = Vec::new();
            compiler.group(group, &mut faults);
            found.extend(faults.into_iter().map(|fault| (file, fault)));
        }
        for (file, policy, span) in raw {
            let mut faults = Vec::new();
            let line = self.line(file, span.start);
            compiler.policy(policy, &self.file_name(file), line, &mut faults);
            // What has no place of its own is told at the policy.
            let place = |at: Range<usize>| if at.is_empty() { span.clone() } else { at };
            found.extend(faults.into_iter().map(|(at, message, help)| (file, (place(at), message, help))));
        }
        let policies = compiler.finish();
        for (file, (span, message, help)) in found {
            self.fault(file, &span, message, help);
        }
        policies
    }

    /// Builds an engine, or says which signatures are in its way.
    fn build(
        &mut self,
        collected: &Collected,
        build: impl Fn(&[Pattern]) -> Result<Built, BuildError>,
    ) -> Option<Built> {
        let tell = |this: &mut Self, pattern: usize, fault: Option<&Fault>, message: String, help: &str| {
            for (_, signature) in collected.owners.get(pattern).into_iter().flatten() {
                let at = usize::try_from(*signature).ok();
                let origin = at.and_then(|at| this.origins.get(at)).cloned();
                let text = at.and_then(|at| this.signatures.get(at)?.patterns.first()).cloned();
                let (Some(Origin { file, span, anchor }), Some(text)) = (origin, text) else { continue };
                let heavy = collected.patterns.get(pattern).and_then(Pattern::heavy);
                let place = match (fault, heavy, anchor) {
                    (Some(Fault::Anchor(_)), _, Some(anchor)) => anchor,
                    (Some(Fault::TooLarge), part, _) => {
                        this.inside(file, &text, &span, part.unwrap_or(&(0..text.len())))
                    }
                    _ => span,
                };
                this.fault(file, &place, message.clone(), help);
            }
        };
        let last = collected.patterns.len().saturating_sub(1);
        match build(&collected.patterns) {
            Ok(built) => return Some(built),
            Err(BuildError::Patterns(faults)) => {
                for (pattern, fault) in faults {
                    let at = usize::try_from(pattern).unwrap_or(last);
                    let unbounded = collected.patterns.get(at).is_some_and(|pattern| pattern.max_len().is_none());
                    let help = if matches!(fault, Fault::TooLarge) && unbounded {
                        "use fewer `.*` and bounded repeats"
                    } else {
                        fault.help()
                    };
                    tell(self, at, Some(&fault), fault.to_string(), help);
                }
            }
            Err(error @ BuildError::TooMany(_)) => {
                let help = "literal = [...] holds many literals in one signature";
                tell(self, MAX_PATTERNS.min(last), None, error.to_string(), help);
            }
            Err(error @ BuildError::TooManyTables) => {
                let help = format!("use smaller bounds, so that all patterns fit {MAX_TABLES} tables");
                tell(self, last, None, error.to_string(), &help);
            }
            Err(error) => tell(self, last, None, error.to_string(), "split or shorten the lists of literals"),
        }
        None
    }
}

/// A pattern's text and place.
type Item = (String, Range<usize>);

/// The signature that is being compiled.
struct Target<'s> {
    file: usize,
    index: u32,
    on: &'s Field,
    nocase: bool,
    weight: Weight,
    enabled: bool,
}

/// The same for the same packs, whatever the order of the files.
fn hash(parts: &BTreeMap<String, Vec<[u8; 32]>>) -> String {
    use std::fmt::Write;
    let mut all = Sha256::new();
    for part in parts.values().flatten() {
        all.update(part);
    }
    all.finalize().iter().fold("sha256:".to_owned(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
