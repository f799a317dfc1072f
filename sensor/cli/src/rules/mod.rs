//! `rules`: what is in force, whether it is right, and what it would say.

mod explain;
mod policies;
mod profiles;
mod source;
mod structure;

use crate::args::{Common, Overrides, Rules};
use crate::config::Config;
use crate::failure::{Failure, Outcome};
use crate::log::Log;
use crate::{suggest, words};
use detect::rules::{self, Cost, EngineChoice, EngineKind, RuleError, RuleSet, RuleText, Signature};
use detect::{Generation, Severity, Weight};
use sinks::safe::safe;
use source::Source;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

/// Faults told at once; more only tire.
const MAX_TOLD: usize = 50;

/// The rules in force: the built-in packs unless they are left out, and every directory named. Profiles of data only
/// where a rule file speaks of such: nothing else asks for them, and they take time and memory to read.
pub(crate) fn load(config: &Config, log: &Log) -> Result<RuleSet, Failure> {
    let sources = sources(config, log)?;
    let mut builtin = builtin(config.builtin_rules);
    if !sources.iter().any(|source| source.mentions("dlp")) {
        builtin.retain(|pack| pack.file != rules::DLP_PACK);
    }
    let rules = compile(&sources, builtin, config.engine)?;
    policies::somebody_reads(rules.policies(), config)?;
    Ok(rules)
}

/// The same with all profiles, for people to look at.
fn load_all(config: &Config, log: &Log) -> Result<RuleSet, Failure> {
    compile(&sources(config, log)?, builtin(config.builtin_rules), config.engine)
}

fn builtin(wanted: bool) -> Vec<RuleText<'static>> {
    if wanted { rules::builtin().into() } else { Vec::new() }
}

fn sources(config: &Config, log: &Log) -> Result<Vec<Source>, Failure> {
    let mut sources = Vec::new();
    for dir in &config.rule_dirs {
        let found = source::find(dir).map_err(Failure::usage)?;
        if found.is_empty() {
            log.warn(&format!("no rule file (*.toml) in {}", dir.display()));
        }
        sources.extend(found);
    }
    Ok(sources)
}

fn compile(sources: &[Source], builtin: Vec<RuleText<'_>>, engine: EngineChoice) -> Result<RuleSet, Failure> {
    let lists: Vec<_> = sources.iter().map(|source| move |name: &str| source.list(name)).collect();
    let mut texts = builtin;
    texts.extend(sources.iter().zip(&lists).map(|(source, lists)| source.text(lists)));
    rules::compile_for(&texts, engine).map_err(|errors| Failure::usage(told(&errors)))
}

/// Rules to look at: those of the files and directories named, alone, or those in force.
struct Chosen {
    sources: Vec<Source>,
    builtin: bool,
    engine: EngineChoice,
}

impl Chosen {
    fn new(common: &Common, paths: &[PathBuf], log: &Log) -> Result<Self, Failure> {
        if paths.is_empty() {
            let config = config(common)?;
            let sources = sources(&config, log)?;
            return Ok(Self { sources, builtin: config.builtin_rules, engine: config.engine });
        }
        let mut sources = Vec::new();
        for path in paths {
            let found = source::find(path).map_err(Failure::usage)?;
            if found.is_empty() {
                return Err(Failure::usage(format!("no rule file (*.toml) in {}", path.display())));
            }
            sources.extend(found);
        }
        Ok(Self { sources, builtin: false, engine: EngineChoice::Auto })
    }

    fn compile(&self, engine: EngineChoice) -> Result<RuleSet, Failure> {
        compile(&self.sources, builtin(self.builtin), engine)
    }
}

/// All faults, each with its place, its line with the text at fault marked, and what to do.
fn told(errors: &[RuleError]) -> String {
    let mut out = String::new();
    for error in errors.iter().take(MAX_TOLD) {
        let _ = write!(out, "{}:{}:{}: {}", error.file, error.line, error.column, error.message);
        if !error.text.is_empty() {
            // A tab is as wide as the terminal likes; as a space the mark below stands right.
            let line = format!("{}{}{}", error.before, error.text, error.after).replace('\t', " ");
            let (number, before) = (error.line.to_string(), error.before.chars().count());
            let (margin, mark) = (" ".repeat(number.len()), "^".repeat(error.text.chars().count()));
            let _ = write!(out, "\n{number} | {line}\n{margin} | {}{mark}", " ".repeat(before));
        }
        if !error.help.is_empty() {
            let _ = write!(out, "\n  help: {}", error.help);
        }
        out.push('\n');
    }
    let more = errors.len().saturating_sub(MAX_TOLD);
    if more > 0 {
        let _ = writeln!(out, "and {more} more");
    }
    let _ = write!(out, "{} in the rules", plural(errors.len(), "fault"));
    out
}

fn plural(n: usize, what: &str) -> String {
    words::plural(n as u64, what)
}

pub(crate) fn run(common: &Common, command: &Rules, log: &Log) -> Outcome {
    let chosen = |paths: &[PathBuf]| Chosen::new(common, paths, log);
    let in_force = || load_all(&config(common)?, log);
    let text = match command {
        Rules::Check { paths, strict, verbose } => {
            let chosen = chosen(paths)?;
            let rules = chosen.compile(chosen.engine)?;
            // Of files that are named it is not known whose configuration they are for.
            if paths.is_empty() {
                policies::somebody_reads(rules.policies(), &config(common)?)?;
            }
            check(&rules, *strict, *verbose, common.quiet)?
        }
        Rules::Test { paths } => test(&chosen(paths)?)?,
        Rules::List { json } => list(&in_force()?, *json),
        Rules::Show { id } => show(&in_force()?, id)?,
        Rules::Explain { events, id, http } => {
            let config = config(common)?;
            let generation = Arc::new(Generation {
                rules: load_all(&config, log)?,
                scope: config.scope,
                policy: config.policy.clone(),
            });
            match (events, id, http) {
                (Some(events), Some(id), _) => explain::event(events, id, &generation)?,
                (_, _, Some(http)) => explain::http(http, &generation)?,
                _ => {
                    return Err(Failure::usage(
                        "name a file of events and the id of a detection, or a message with --http",
                    ));
                }
            }
        }
    };
    std::io::stdout().lock().write_all(text.as_bytes())?;
    Ok(0)
}

fn config(common: &Common) -> Result<Config, Failure> {
    Ok(Config::load(common, &Overrides::default())?)
}

/// Body patterns are told of always, those of short fields where asked for.
fn check(rules: &RuleSet, strict: bool, verbose: bool, quiet: bool) -> Result<String, Failure> {
    if strict {
        let mut lacking: Vec<String> =
            rules::unproven(rules).iter().filter_map(|i| rules.signature(*i)).map(unproven).collect();
        let mut told = Vec::from([plural(lacking.len(), "signature")]);
        let of_profiles = profiles::unproven(rules.dlp());
        if !of_profiles.is_empty() {
            told.push(format!("{} of profiles", plural(of_profiles.len(), "entry")));
            lacking.extend(of_profiles);
        }
        if !lacking.is_empty() {
            let n = told.join(" and ");
            return Err(Failure::usage(format!("{}\n{n} not proven by examples", lacking.join("\n"))));
        }
    }
    let (packs, signatures) = (plural(rules.packs().len(), "pack"), plural(rules.signatures().len(), "signature"));
    let hosts = plural(rules.known_hosts(), "known host");
    let policies = match rules.policies().rules().len() {
        0 => String::new(),
        n => format!(", {}", plural(n, "policy")),
    };
    let data = match rules.dlp().len() {
        0 => String::new(),
        n => format!(", {}", plural(n, "profile")),
    };
    let mut out =
        format!("ok: {packs}, {signatures}{policies}{data}, {hosts}\npattern engine {}\n", rules.engine_and_why());
    let rows: Vec<[String; 5]> = rules::report(rules)
        .into_iter()
        .filter(|r| !quiet && (verbose || r.cost != Cost::ShortField))
        .map(|r| {
            let anchors = if r.anchors.is_empty() { "-".to_owned() } else { r.anchors.join(" | ") };
            let bound = r.bound.map_or("-".to_owned(), |bound| bound.to_string());
            [r.id, r.on.to_string(), r.cost.name().to_owned(), bound, anchors]
        })
        .collect();
    for warning in policies::warnings(rules.policies(), crate::time::now()) {
        let _ = writeln!(out, "{warning}");
    }
    if !rows.is_empty() {
        out.push('\n');
        out += &columns(["SIGNATURE", "ON", "COST", "BYTES", "ANCHOR"], rows.into_iter());
    }
    Ok(out)
}

fn unproven(signature: &Signature) -> String {
    let has = |hit: bool| signature.examples.iter().any(|e| e.hit == hit);
    let lacks = match (has(true), has(false)) {
        (false, false) => "no example",
        (false, true) => "no example that it must hit",
        _ => "no example that it must miss",
    };
    let help = "add [[signature.example]] with hit = '…', and one with miss = '…'";
    format!("{}:{}: {} has {lacks}\n  help: {help}", signature.file, signature.line, signature.id)
}

/// Runs the examples through every engine of this build.
fn test(chosen: &Chosen) -> Result<String, Failure> {
    let (mut engines, mut run) = (Vec::new(), String::new());
    // What is wrong with which example, and the engines that say so.
    let mut failures: BTreeMap<(String, u32, String), Vec<&str>> = BTreeMap::new();
    for engine in EngineKind::ALL.into_iter().filter(|engine| engine.available().is_ok()) {
        let rules = chosen.compile(EngineChoice::Only(engine))?;
        let examples = rules.signatures().iter().filter(|s| s.enabled).map(|s| s.examples.len()).sum::<usize>();
        run = format!("{} of {}", plural(examples, "example"), plural(rules.signatures().len(), "signature"));
        let of_profiles = profiles::examples(rules.dlp());
        if of_profiles > 0 {
            let _ = write!(run, " and {of_profiles} of {}", plural(rules.dlp().len(), "profile"));
        }
        engines.push(engine.name());
        for f in detect::dlp::run_dlp_examples(rules.dlp()) {
            let what = format!("{} {}\n  example: {}", f.id, f.why, f.text);
            failures.entry((f.file, f.line, what)).or_default().push(engine.name());
        }
        for f in rules::run_examples(&rules) {
            let what = format!("{} {}\n  example: {}", f.id, f.why, f.text);
            failures.entry((f.file, f.line, what)).or_default().push(engine.name());
        }
    }
    if failures.is_empty() {
        return Ok(format!("ok: {run}, by engine {}\n", engines.join(" and ")));
    }
    let mut out = String::new();
    for ((file, line, what), by) in &failures {
        let _ = writeln!(out, "{file}:{line}: {what}");
        if *by != engines {
            let _ = writeln!(out, "  only by engine {}", by.join(" and "));
        }
    }
    Err(Failure::usage(format!("{out}{} failed, of {run}", failures.len())))
}

fn list(rules: &RuleSet, json: bool) -> String {
    let signatures = rules.signatures().iter();
    if json {
        let policies = rules.policies().rules().iter().map(policies::line);
        let profiles = profiles::lines(rules.dlp());
        return signatures.map(line).chain(policies).chain(profiles).map(|line| line.to_string() + "\n").collect();
    }
    let rows = signatures.map(|s| {
        let name = if s.enabled { s.name.clone() } else { format!("(off) {}", s.name) };
        [s.id.clone(), s.on.to_string(), weight(s.weight).into(), severity(s.severity).into(), s.pack.clone(), name]
    });
    let mut out = columns(["ID", "ON", "WEIGHT", "SEVERITY", "PACK", "NAME"], rows);
    if !rules.policies().rules().is_empty() {
        out.push('\n');
        out += &columns(["POLICY", "ACTION", "DESCRIPTION", "FILE"], policies::rows(rules.policies()));
    }
    if !rules.dlp().is_empty() {
        out.push('\n');
        out += &columns(["PROFILE", "ENTRIES", "SEVERITY", "PACK", "NAME"], profiles::rows(rules.dlp()));
    }
    out
}

fn line(s: &Signature) -> serde_json::Value {
    serde_json::json!({
        "id": s.id, "name": s.name, "on": s.on.to_string(), "kind": s.kind.name(), "weight": s.weight,
        "severity": s.severity, "pack": s.pack, "enabled": s.enabled, "tags": s.tags, "references": s.references,
        "examples": s.examples.len(), "file": s.file, "line": s.line,
    })
}

fn show(rules: &RuleSet, id: &str) -> Result<String, Failure> {
    if let Some(rule) = rules.policies().rules().iter().find(|rule| rule.id == id) {
        return Ok(policies::show(rule));
    }
    if let Some(lines) = profiles::show(rules.dlp(), id) {
        return Ok(lines
            .iter()
            .fold(String::new(), |out, (name, value)| out + &format!("{name:<12}{}\n", safe(value))));
    }
    let Some(s) = rules.signatures().iter().find(|s| s.id == id) else {
        if let Some(meaning) = structure::meaning(id) {
            return Ok(format!("{id} is no signature but a fact the parser finds: {meaning}.\n"));
        }
        let near = suggest::nearest(id, rules.signatures().iter().map(|s| s.id.as_str()));
        let help = near.map_or("`mcp-sensor rules list` names all".to_owned(), |near| format!("did you mean {near}?"));
        return Err(Failure::usage(format!("no signature has the id {id}; {help}")));
    };
    let pack = rules.packs().iter().find(|p| p.id == s.pack).map_or("", |p| p.version.as_str());
    let mut out = String::new();
    let mut field = |name: &str, value: &str| {
        if !value.is_empty() {
            let _ = writeln!(out, "{name:<12}{}", safe(value));
        }
    };
    field("id", &s.id);
    field("name", &s.name);
    field("description", &s.description);
    field("on", &s.on.to_string());
    for pattern in &s.patterns {
        field(s.kind.name(), pattern);
    }
    field("weight", weight(s.weight));
    field("severity", severity(s.severity));
    field("pack", format!("{} {pack}", s.pack).trim_end());
    field("file", &format!("{}:{}", s.file, s.line));
    field("in force", if s.enabled { "yes" } else { "no" });
    field("tags", &s.tags.join(", "));
    s.references.iter().for_each(|r| field("reference", r));
    for example in &s.examples {
        field(
            if example.hit { "hits" } else { "misses" },
            if example.text.is_empty() { "(nothing)" } else { &example.text },
        );
    }
    Ok(out)
}

/// What the id of a signal means, in words.
pub(crate) fn meaning(rules: &RuleSet, id: &str) -> Option<String> {
    let named = rules.signatures().iter().find(|s| s.id == id).map(|s| s.name.clone()).filter(|n| !n.is_empty());
    named.or_else(|| structure::meaning(id).map(str::to_owned))
}

/// Rows under titles; the last column as it comes.
fn columns<const N: usize>(titles: [&str; N], rows: impl Iterator<Item = [String; N]>) -> String {
    let rows: Vec<[String; N]> = std::iter::once(titles.map(str::to_owned))
        .chain(rows.map(|row| row.map(|cell| safe(&cell).into_owned())))
        .collect();
    let mut widths = [0; N];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let mut out = String::new();
    for row in &rows {
        let cells = row.iter().zip(widths).fold(String::new(), |line, (cell, w)| line + &format!("{cell:<w$}  "));
        let _ = writeln!(out, "{}", cells.trim_end());
    }
    out
}

const fn weight(weight: Weight) -> &'static str {
    match weight {
        Weight::Info => "info",
        Weight::Weak => "weak",
        Weight::Medium => "medium",
        Weight::Strong => "strong",
        Weight::Proof => "proof",
    }
}

const fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "info",
        Severity::Low => "low",
        Severity::Medium => "medium",
        Severity::High => "high",
        Severity::Critical => "critical",
    }
}
