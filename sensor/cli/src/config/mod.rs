//! The configuration: read raw, merged, checked once.

mod fault;
mod limits;
mod live;
mod payload;
mod proxy;
mod registry;

pub(crate) use live::{Fsync, Process, Sink, is_interface_name};
pub(crate) use proxy::{DEFAULT_LISTEN, Proxy};

use crate::args::{Common, Overrides};
use crate::files;
use crate::words::plural;
use ::proxy::Listener;
use anyhow::anyhow;
use capture::{InterfaceOptions, LiveOptions};
use detect::rules::{EngineChoice, EngineKind};
use detect::{Policy, RawActions, RawLlmGateway, RawNames, RawNetworks, RawPortals, RawScope, RawServers, Scope};
use fault::Document;
use limits::RawLimits;
use live::{RawCapture, RawMetrics, RawProcess, RawSensor, RawSink, RawSource};
use payload::RawPayload;
use pipeline::Limits;
use proxy::RawProxy;
use registry::{Imported, RawSanctioned};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use sinks::payload::Recipients;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

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
    sanctioned: RawSanctioned,
    /// Servers nobody may use: they alert at any confidence.
    denied: RawServers,
    /// Our own servers that others may call.
    published: RawServers,
    /// What clients are called.
    names: RawNames,
    /// The gateway that calls of models are to pass. Without hosts nothing of this is looked at.
    llm_gateway: RawLlmGateway,
    /// What the proxy does about what it finds, by what a server means here.
    actions: RawActions,
    /// Signatures in force.
    rules: RawRules,
    /// What is written.
    output: RawOutput,
    /// Who may read what policies log encrypted.
    payload: RawPayload,
    /// How captures are read.
    replay: RawReplay,
    /// What this sensor is called.
    sensor: RawSensor,
    /// How live traffic is read.
    capture: RawCapture,
    /// What may be kept and looked at. What goes beyond is counted, and told in the events.
    limits: RawLimits,
    /// Where counters can be read.
    metrics: RawMetrics,
    /// What the process gives up once everything is open.
    process: RawProcess,
    /// The egress proxy.
    proxy: RawProxy,
    /// Where traffic comes from: what `run` listens to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    source: Vec<RawSource>,
    /// Where `run` writes its events.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    sink: Vec<RawSink>,
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct RawOutput {
    /// Whether look-alikes are written as detections. They are counted in any case.
    look_alikes: bool,
    /// Seconds between two `stats` events of live traffic.
    #[schemars(range(min = 1, max = 86_400))]
    stats_seconds: u64,
    /// Minutes between two `session` events of a conversation that lasts, of live traffic.
    #[schemars(range(min = 1, max = 1440))]
    session_minutes: u64,
}

impl Default for RawOutput {
    fn default() -> Self {
        Self { look_alikes: false, stats_seconds: 60, session_minutes: 10 }
    }
}

impl RawOutput {
    fn check(&self) -> Result<(Duration, Duration), live::Fault> {
        let stats = live::within("output.stats_seconds".into(), self.stats_seconds, 1..=86_400)?;
        let session = live::within("output.session_minutes".into(), self.session_minutes, 1..=1440)?;
        Ok((Duration::from_secs(stats), Duration::from_secs(60 * session)))
    }
}

/// `[replay]`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct RawReplay {
    /// Busy packet threads, from 1 to 64; one a core where left out. No event depends on it.
    #[schemars(range(min = 1, max = 64))]
    threads: Option<u16>,
}

/// The checked configuration.
#[derive(Debug)]
pub(crate) struct Config {
    /// Whose networks and servers these are.
    pub(crate) scope: Scope,
    /// What is done about what is found.
    pub(crate) policy: Policy,
    /// Busy packet threads of a replay.
    pub(crate) threads: NonZeroUsize,
    /// Whether look-alikes are written.
    pub(crate) look_alikes: bool,
    /// What only live traffic needs.
    pub(crate) live: Live,
    /// Limits of the packet path.
    pub(crate) limits: Limits,
    /// Whether the built-in pack is in force.
    pub(crate) builtin_rules: bool,
    /// Directories of further rule files.
    pub(crate) rule_dirs: Vec<PathBuf>,
    /// Files of registries whose servers are approved.
    pub(crate) registries: Vec<PathBuf>,
    /// What these gave.
    imported: Imported,
    /// What looks for patterns.
    pub(crate) engine: EngineChoice,
    /// Keys that payloads are encrypted to.
    pub(crate) recipients: Recipients,
    /// SHA-256 over what decides about events, as events carry it.
    pub(crate) hash: String,
    /// The file, where one was read.
    pub(crate) file: Option<PathBuf>,
    raw: RawConfig,
}

/// The part of the configuration that only live traffic needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Live {
    /// What events call this sensor, where the configuration says it.
    pub(crate) sensor: Option<String>,
    /// Busy packet threads.
    pub(crate) threads: NonZeroUsize,
    /// Interfaces that `run` listens to.
    pub(crate) sources: Vec<InterfaceOptions>,
    /// The proxy, with the listeners of `run`; there may be none.
    pub(crate) proxy: Proxy,
    /// What they share.
    pub(crate) capture: LiveOptions,
    /// Where `run` writes.
    pub(crate) sinks: Vec<Sink>,
    /// Where counters can be read.
    pub(crate) metrics: Option<SocketAddr>,
    /// What the process gives up.
    pub(crate) process: Process,
    /// Time between two `stats` events.
    pub(crate) stats_every: Duration,
    /// Time between two `session` events of a conversation.
    pub(crate) session_every: Duration,
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
    names: &'a RawNames,
    #[serde(skip_serializing_if = "Option::is_none")]
    llm_gateway: Option<&'a RawLlmGateway>,
    #[serde(skip_serializing_if = "Option::is_none")]
    actions: Option<&'a RawActions>,
    output: DecisiveOutput,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    recipients: Vec<String>,
    limits: &'a RawLimits,
}

#[derive(Serialize)]
struct DecisiveOutput {
    look_alikes: bool,
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
            raw.sink.iter_mut().for_each(|sink| sink.lie_in(folder));
            raw.proxy.lie_in(folder);
            raw.payload.lie_in(folder);
            raw.sanctioned.lie_in(folder);
        }
        raw.overlay(common, overrides);
        Self::check(raw, file, &document, &overrides.proxy.listen)
    }

    fn check(
        raw: RawConfig,
        file: Option<PathBuf>,
        document: &Document<'_>,
        listen: &[SocketAddr],
    ) -> anyhow::Result<Self> {
        let fault = |key: &str, message: &str| anyhow!(document.fault(key, message));
        let (sanctioned, imported) = raw.sanctioned.all().map_err(|e| fault(&e.key, &e.fault))?;
        let recipients = raw.payload.check().map_err(|e| fault(&e.key, &e.fault))?;
        let hash = raw.hash(&sanctioned, &recipients);
        let scope = RawScope {
            networks: raw.networks.clone(),
            portals: raw.portals.clone(),
            sanctioned,
            denied: raw.denied.clone(),
            published: raw.published.clone(),
            names: raw.names.clone(),
            llm_gateway: raw.llm_gateway.clone(),
        };
        let scope = Scope::try_from(&scope).map_err(|e| fault(&e.key, &e.fault))?;
        let policy = Policy::try_from(&raw.actions).map_err(|e| fault(e.key, &e.fault))?;
        let threads = |key: &str, n: Option<u16>| {
            let n = n.filter(|n| *n <= MAX_THREADS).map(usize::from).and_then(NonZeroUsize::new);
            n.ok_or_else(|| fault(key, &format!("must be from 1 to {MAX_THREADS}; leave it out for one a core")))
        };
        let live = Live {
            threads: threads("capture.threads", raw.capture.threads)?,
            ..raw.live(listen).map_err(|e| fault(&e.key, &e.fault))?
        };
        let threads = threads("replay.threads", raw.replay.threads)?;
        let limits = raw.limits.check().map_err(|(key, least)| fault(key, &format!("must be at least {least}")))?;
        let queues: usize = live.sinks.iter().map(|sink| sink.queue_bytes).sum();
        let limits = Limits {
            capture_queue: live.capture.queue_bytes as u64,
            output_queues: if live.sinks.is_empty() { limits.output_queues } else { queues as u64 },
            ..limits
        };
        let engine = raw.rules.engine.check().map_err(|message| fault("rules.engine", &message))?;
        Ok(Self {
            scope,
            policy,
            threads,
            live,
            limits,
            engine,
            recipients,
            look_alikes: raw.output.look_alikes,
            builtin_rules: raw.rules.builtin,
            rule_dirs: raw.rules.dirs.clone(),
            registries: raw.sanctioned.files().to_vec(),
            imported,
            hash,
            file,
            raw,
        })
    }

    /// The sections that differ from those of `other` and that a reload cannot put in force.
    pub(crate) fn needing_a_start(&self, other: &Self) -> Vec<&'static str> {
        let (a, b) = (&self.raw, &other.raw);
        let changed = [
            ("[output]", a.output != b.output),
            ("[sensor]", a.sensor != b.sensor),
            ("[capture]", a.capture != b.capture),
            ("[limits]", a.limits != b.limits),
            ("[metrics]", a.metrics != b.metrics),
            ("[process]", a.process != b.process),
            ("[proxy]", a.proxy.needs_a_start(&b.proxy)),
            ("[[source]]", a.source != b.source),
            ("[[sink]]", a.sink != b.sink),
        ];
        changed.into_iter().filter_map(|(section, changed)| changed.then_some(section)).collect()
    }

    /// The file of keys that payloads are encrypted to.
    pub(crate) fn recipients_file(&self) -> Option<&Path> {
        self.raw.payload.recipients_file.as_deref()
    }

    /// Where it comes from, and what there is of sources and sinks.
    pub(crate) fn in_short(&self) -> String {
        let from = match &self.file {
            Some(path) => path.display().to_string(),
            None => format!("built-in defaults, for there is no {DEFAULT_FILE}"),
        };
        let sources = (self.live.sources.len() + self.live.proxy.listeners.len()) as u64;
        let sinks = plural(self.live.sinks.len() as u64, "sink");
        format!("{from}; {}, {sinks}{}", plural(sources, "source"), self.imported.in_short(self.registries.len()))
    }

    /// The effective configuration as a file; `engine` says which pattern engine runs and why.
    pub(crate) fn to_toml(&self, engine: &str) -> anyhow::Result<String> {
        let from = match &self.file {
            Some(path) => format!("# From {}, the environment and the command line.\n", path.display()),
            None => "# Built-in defaults, the environment and the command line.\n".to_owned(),
        };
        let engine = format!("# The pattern engine is {engine}.\n");
        let queues = self.limits.capture_queue + self.limits.output_queues;
        let memory = (self.limits.memory_bytes() + queues).div_ceil(1 << 20);
        let memory = format!("# These limits allow at most {memory} MiB beside what the program itself takes.\n");
        Ok(from + &engine + &memory + &toml::to_string_pretty(&self.raw)?)
    }
}

impl RawConfig {
    fn overlay(&mut self, common: &Common, overrides: &Overrides) {
        self.rules.builtin &= !common.no_builtin_rules;
        self.rules.dirs.extend(common.rules.iter().cloned());
        self.output.look_alikes |= overrides.look_alikes;
        overrides.proxy.act(&mut self.actions);
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let default = u16::try_from(cores).unwrap_or(MAX_THREADS).min(MAX_THREADS);
        // Live, one core is left to the kernel and to the threads that copy from it: measured, with one more they lose.
        let beside_capture = default.saturating_sub(1).max(1);
        for (threads, default) in [(&mut self.replay.threads, default), (&mut self.capture.threads, beside_capture)] {
            *threads = overrides.threads.or(*threads).or(Some(default));
        }
        self.proxy.overlay(&overrides.proxy, overrides.threads, default);
        self.source.iter_mut().for_each(RawSource::fill);
        if let Some(metrics) = &overrides.metrics {
            self.metrics.listen = Some(metrics.clone());
        }
        self.limits.fill();
        self.share_out();
    }

    /// Gives the queues their shares. A total that is too small is told by the check.
    fn share_out(&mut self) {
        let limits = self.limits.shares().unwrap_or_default();
        self.capture.queue_bytes.get_or_insert(limits.capture_queue);
        let each = limits.output_queues / self.sink.len().max(1) as u64;
        self.sink.iter_mut().for_each(|sink| {
            sink.queue_bytes.get_or_insert(each);
        });
    }

    /// What only live traffic needs, checked but for the threads. Listeners of the command line go before those of the
    /// file.
    fn live(&self, listen: &[SocketAddr]) -> Result<Live, live::Fault> {
        let (stats, session) = self.output.check()?;
        let (sources, mut listeners) = live::sources(&self.source)?;
        if !listen.is_empty() {
            let place = |address: &SocketAddr| Listener { name: address.to_string(), address: *address };
            listeners = listen.iter().map(|address| ("--listen".to_owned(), place(address))).collect();
        }
        Ok(Live {
            sensor: self.sensor.check()?,
            threads: NonZeroUsize::MIN,
            sources,
            proxy: self.proxy.check(listeners)?,
            capture: self.capture.check()?,
            sinks: live::sinks(&self.sink)?,
            metrics: self.metrics.check()?,
            process: self.process.check()?,
            stats_every: stats,
            session_every: session,
        })
    }

    /// Over what decides, with all servers that are approved.
    fn hash(&self, sanctioned: &RawServers, recipients: &Recipients) -> String {
        let decisive = Decisive {
            networks: &self.networks,
            portals: &self.portals,
            sanctioned,
            denied: &self.denied,
            published: &self.published,
            names: &self.names,
            llm_gateway: Some(&self.llm_gateway).filter(|gateway| !gateway.hosts.is_empty()),
            actions: Some(&self.actions).filter(|actions| **actions != RawActions::default()),
            output: DecisiveOutput { look_alikes: self.output.look_alikes },
            recipients: recipients.texts().collect(),
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
