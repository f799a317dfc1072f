//! The configuration: read raw, merged, checked once.

mod fault;

use crate::args::{Common, Overrides};
use crate::files;
use anyhow::anyhow;
use detect::rules::{EngineChoice, EngineKind};
use detect::{RawNetworks, RawPortals, RawScope, RawServers, Scope};
use fault::Document;
use pipeline::Limits;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

/// Read where it exists and no other file is named.
pub(crate) const DEFAULT_FILE: &str = "/etc/mcp-sensor/sensor.toml";
/// Most threads. There are as many shards.
pub(crate) const MAX_THREADS: u16 = 64;

/// The configuration file as written, and as `config show` writes it. The sections of the scope are named one by
/// one, so that a key that no section knows is refused.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RawConfig {
    /// What is ours.
    networks: RawNetworks,
    /// The company's MCP portals.
    portals: RawPortals,
    /// Approved servers.
    sanctioned: RawServers,
    /// Servers nobody may use: they alert at any confidence.
    denied: RawServers,
    /// Our own servers that others may call.
    published: RawServers,
    /// Signatures in force.
    rules: RawRules,
    /// What is written.
    output: RawOutput,
    /// How captures are read.
    replay: RawReplay,
    /// What may be kept and looked at. What goes beyond is counted, and told in the events.
    limits: RawLimits,
}

/// `[rules]`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct RawRules {
    /// Whether the pack inside the program is in force.
    builtin: bool,
    /// Directories of further rule files; relative to the configuration file.
    dirs: Vec<PathBuf>,
    /// What looks for patterns. All give the same answers; they differ in speed.
    engine: RawEngine,
}

impl Default for RawRules {
    fn default() -> Self {
        Self { builtin: true, dirs: Vec::new(), engine: RawEngine::default() }
    }
}

/// `rules.engine`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum RawEngine {
    /// The one that measured best for the rules in force.
    #[default]
    Auto,
    /// The one that is always there.
    Rust,
    /// The one on the library of that name; an error where this program was built without it.
    Hyperscan,
}

impl RawEngine {
    /// The choice, or why not and what would do.
    fn check(self) -> Result<EngineChoice, String> {
        let kind = match self {
            Self::Auto => return Ok(EngineChoice::Auto),
            Self::Rust => EngineKind::Rust,
            Self::Hyperscan => EngineKind::Hyperscan,
        };
        kind.available().map_err(|why| format!("{why}; `auto` and `rust` will do"))?;
        Ok(EngineChoice::Only(kind))
    }
}

/// `[output]`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct RawOutput {
    /// Whether look-alikes are written as detections. They are counted in any case.
    look_alikes: bool,
}

/// `[replay]`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct RawReplay {
    /// Busy packet threads, from 1 to 64; one a core where left out. No event depends on it.
    #[schemars(range(min = 1, max = 64))]
    threads: Option<u16>,
}

/// `[limits]`. Memory and work, whatever the traffic. Those in all, but for `correlation_bytes`, are shared out evenly
/// among 64 parts of the traffic.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct RawLimits {
    /// Most connections kept in mind at a time.
    flows: usize,
    /// Most bytes held, in all, while earlier ones are waited for.
    reassembly_bytes: usize,
    /// The same for one direction of a connection.
    direction_bytes: usize,
    /// Longest head of an HTTP message, in bytes.
    head_bytes: usize,
    /// Most bytes of one body or WebSocket message after decompression.
    decoded_bytes: u64,
    /// Most bytes kept, in all, of exchanges under way, conversations, servers and names.
    correlation_bytes: usize,
}

impl Default for RawLimits {
    fn default() -> Self {
        let limits = Limits::default();
        Self {
            flows: limits.flows.flows * usize::from(MAX_THREADS),
            reassembly_bytes: limits.flows.held_total * usize::from(MAX_THREADS),
            direction_bytes: limits.flows.held_per_direction,
            head_bytes: limits.protocols.head_bytes,
            decoded_bytes: limits.inspection.coding.max_output,
            correlation_bytes: correlate::Limits::DEFAULT_BYTES,
        }
    }
}

impl RawLimits {
    /// The limits of one part of the traffic, or the key that is too small with the least that would do.
    fn check(&self) -> Result<Limits, (&'static str, u64)> {
        let parts = usize::from(MAX_THREADS);
        let least = [
            ("limits.flows", self.flows as u64, parts as u64),
            ("limits.reassembly_bytes", self.reassembly_bytes as u64, 1 << 20),
            ("limits.direction_bytes", self.direction_bytes as u64, 4 << 10),
            ("limits.head_bytes", self.head_bytes as u64, 1 << 10),
            ("limits.decoded_bytes", self.decoded_bytes, 64 << 10),
            ("limits.correlation_bytes", self.correlation_bytes as u64, 1 << 20),
        ];
        if let Some((key, _, least)) = least.into_iter().find(|(_, value, least)| value < least) {
            return Err((key, least));
        }
        let mut limits = Limits::default();
        limits.flows.flows = self.flows / parts;
        limits.flows.held_total = self.reassembly_bytes / parts;
        limits.flows.held_per_direction = self.direction_bytes;
        limits.protocols.head_bytes = self.head_bytes;
        limits.protocols.websocket.max_output = self.decoded_bytes;
        limits.inspection.coding.max_output = self.decoded_bytes;
        limits.correlation = correlate::Limits::of(self.correlation_bytes);
        Ok(limits)
    }
}

/// The checked configuration.
#[derive(Debug)]
pub(crate) struct Config {
    /// Whose networks and servers these are.
    pub(crate) scope: Scope,
    /// Busy packet threads.
    pub(crate) threads: NonZeroUsize,
    /// Whether look-alikes are written.
    pub(crate) look_alikes: bool,
    /// Limits of the packet path.
    pub(crate) limits: Limits,
    /// Whether the built-in pack is in force.
    pub(crate) builtin_rules: bool,
    /// Directories of further rule files.
    pub(crate) rule_dirs: Vec<PathBuf>,
    /// What looks for patterns.
    pub(crate) engine: EngineChoice,
    /// SHA-256 over what decides about events, as events carry it.
    pub(crate) hash: String,
    /// The file, where one was read.
    pub(crate) file: Option<PathBuf>,
    raw: RawConfig,
}

/// What of the configuration decides about events. The number of threads does not, nor does the pattern engine, nor
/// where rule files lie: rules have a hash of their own.
#[derive(Serialize)]
struct Decisive<'a> {
    networks: &'a RawNetworks,
    portals: &'a RawPortals,
    sanctioned: &'a RawServers,
    denied: &'a RawServers,
    published: &'a RawServers,
    output: &'a RawOutput,
    limits: &'a RawLimits,
}

impl Config {
    /// Reads the file, lays environment and flags over it, and checks the whole.
    pub(crate) fn load(common: &Common, overrides: &Overrides) -> anyhow::Result<Self> {
        let file = match &common.config {
            Some(path) => Some(path.clone()),
            None => Some(PathBuf::from(DEFAULT_FILE)).filter(|path| path.exists()),
        };
        let text = file.as_deref().map(files::read).transpose().map_err(|e| anyhow!(e))?.unwrap_or_default();
        let name = file.as_deref().unwrap_or(Path::new(DEFAULT_FILE)).display().to_string();
        let document = Document::parse(&name, &text).map_err(|e| anyhow!(e))?;
        let mut raw: RawConfig = document.read().map_err(|e| anyhow!(e))?;
        if let Some(folder) = file.as_deref().and_then(Path::parent) {
            raw.rules.dirs.iter_mut().for_each(|dir| *dir = folder.join(&*dir));
        }
        raw.overlay(common, overrides);
        Self::check(raw, file, &document)
    }

    fn check(raw: RawConfig, file: Option<PathBuf>, document: &Document<'_>) -> anyhow::Result<Self> {
        let fault = |key: &str, message: &str| anyhow!(document.fault(key, message));
        let scope = RawScope {
            networks: raw.networks.clone(),
            portals: raw.portals.clone(),
            sanctioned: raw.sanctioned.clone(),
            denied: raw.denied.clone(),
            published: raw.published.clone(),
        };
        let scope = Scope::try_from(&scope).map_err(|e| fault(&e.key, &e.fault))?;
        let threads = raw.replay.threads.map(usize::from).and_then(NonZeroUsize::new);
        let threads = threads.filter(|n| n.get() <= usize::from(MAX_THREADS)).ok_or_else(|| {
            fault("replay.threads", &format!("must be from 1 to {MAX_THREADS}; leave it out for one a core"))
        })?;
        let limits = raw.limits.check().map_err(|(key, least)| fault(key, &format!("must be at least {least}")))?;
        let engine = raw.rules.engine.check().map_err(|message| fault("rules.engine", &message))?;
        Ok(Self {
            scope,
            threads,
            limits,
            engine,
            look_alikes: raw.output.look_alikes,
            builtin_rules: raw.rules.builtin,
            rule_dirs: raw.rules.dirs.clone(),
            hash: raw.hash(),
            file,
            raw,
        })
    }

    /// The effective configuration as a file; `engine` says which pattern engine runs and why.
    pub(crate) fn to_toml(&self, engine: &str) -> anyhow::Result<String> {
        let from = match &self.file {
            Some(path) => format!("# From {}, the environment and the command line.\n", path.display()),
            None => "# Built-in defaults, the environment and the command line.\n".to_owned(),
        };
        let engine = format!("# The pattern engine is {engine}.\n");
        let memory = self.limits.memory_bytes().div_ceil(1 << 20);
        let memory = format!("# These limits allow at most {memory} MiB beside what the program itself takes.\n");
        Ok(from + &engine + &memory + &toml::to_string_pretty(&self.raw)?)
    }
}

impl RawConfig {
    fn overlay(&mut self, common: &Common, overrides: &Overrides) {
        self.rules.builtin &= !common.no_builtin_rules;
        self.rules.dirs.extend(common.rules.iter().cloned());
        self.output.look_alikes |= overrides.look_alikes;
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let default = u16::try_from(cores).unwrap_or(MAX_THREADS).min(MAX_THREADS);
        self.replay.threads = overrides.threads.or(self.replay.threads).or(Some(default));
    }

    fn hash(&self) -> String {
        let decisive = Decisive {
            networks: &self.networks,
            portals: &self.portals,
            sanctioned: &self.sanctioned,
            denied: &self.denied,
            published: &self.published,
            output: &self.output,
            limits: &self.limits,
        };
        // Plain data serialises; an empty text would only make the hash say less.
        crate::hash::text(&Sha256::digest(serde_json::to_vec(&decisive).unwrap_or_default()))
    }
}

/// JSON Schema of the configuration file.
pub(crate) fn schema() -> serde_json::Value {
    let mut schema = schemars::schema_for!(RawConfig);
    schema.insert("title".into(), "mcp-sensor configuration".into());
    schema.to_value()
}

#[cfg(test)]
mod tests;
