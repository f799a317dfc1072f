//! The sections of a sensor that runs: sources, sinks, metrics, the process itself.

use capture::{InterfaceOptions, LiveOptions, MAX_RINGS, MAX_SNAPLEN};
use proxy::Listener;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sinks::outlet::OutletOptions;
use std::fmt::Display;
use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What is wrong with the value of a key.
pub(super) struct Fault {
    /// The key, such as `source[0].snaplen`.
    pub(super) key: String,
    /// The fault and a value that would do.
    pub(super) fault: String,
}

pub(super) fn fault<T>(key: impl Into<String>, fault: impl Into<String>) -> Result<T, Fault> {
    Err(Fault { key: key.into(), fault: fault.into() })
}

pub(super) fn within<T: PartialOrd + Display>(key: String, value: T, range: RangeInclusive<T>) -> Result<T, Fault> {
    if range.contains(&value) {
        return Ok(value);
    }
    fault(key, format!("must be from {} to {}", range.start(), range.end()))
}

/// `[sensor]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawSensor {
    /// What the events of live traffic call this sensor; the host name where left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
}

impl RawSensor {
    /// Longest name, in bytes.
    const MAX: usize = 128;

    /// The name, if one is given.
    pub(super) fn check(&self) -> Result<Option<String>, Fault> {
        match self.name.as_deref().map(str::trim) {
            Some("") => fault("sensor.name", "is empty; leave it out for the host name"),
            Some(name) if name.len() > Self::MAX => fault("sensor.name", format!("is longer than {}", Self::MAX)),
            Some(name) if name.chars().any(char::is_control) => fault("sensor.name", "holds a control character"),
            name => Ok(name.map(str::to_owned)),
        }
    }
}

/// `[capture]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawCapture {
    /// Busy packet threads of `capture` and `run`, from 1 to 64; one a core but for one core
    /// where left out.
    #[schemars(range(min = 1, max = 64))]
    pub(super) threads: Option<u16>,
    /// Most bytes of packets that may wait between capture and packet threads, all sources together; a share of
    /// `limits.memory_bytes` where left out. Beyond it they are dropped and counted.
    #[schemars(range(min = 1_048_576))]
    pub(super) queue_bytes: Option<u64>,
}

impl RawCapture {
    pub(super) fn check(&self) -> Result<LiveOptions, Fault> {
        let queue = self.queue_bytes.unwrap_or(LiveOptions::default().queue_bytes as u64);
        let queue = within("capture.queue_bytes".into(), queue, 1 << 20..=1 << 40)?;
        Ok(LiveOptions { queue_bytes: usize::try_from(queue).unwrap_or(usize::MAX) })
    }
}

/// What a source is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum SourceKind {
    /// A network interface that sees a span port or a tap.
    Interface,
    /// An address that clients use as their proxy. `[proxy]` says how.
    Proxy,
}

/// `[[source]]`: where traffic comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawSource {
    /// What it is: `interface` or `proxy`.
    kind: Option<SourceKind>,
    /// Name of the interface.
    #[serde(skip_serializing_if = "Option::is_none")]
    interface: Option<String>,
    /// Only packets of the interface that this expression matches, as pcap-filter(7) describes it; all where left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    bpf: Option<String>,
    /// Longest part taken of a packet of the interface, in bytes; 262144 where left out. What is cut off is counted.
    #[schemars(range(min = 64, max = 262_144))]
    #[serde(skip_serializing_if = "Option::is_none")]
    snaplen: Option<u32>,
    /// Memory of each ring of the interface that the kernel fills, in bytes; 64 MiB where left out.
    #[schemars(range(min = 1_048_576, max = 2_147_483_647))]
    #[serde(skip_serializing_if = "Option::is_none")]
    buffer_bytes: Option<u32>,
    /// Rings of the interface, each with a thread of its own; the kernel shares connections out among them. 1 where left
    /// out.
    #[schemars(range(min = 1, max = 64))]
    #[serde(skip_serializing_if = "Option::is_none")]
    rings: Option<usize>,
    /// Whether the interface is told to take packets that are for other machines; it is where left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    promiscuous: Option<bool>,
    /// Longest time that the kernel keeps packets of the interface before it hands them over, in milliseconds; 100 where
    /// left out.
    #[schemars(range(min = 1, max = 1000))]
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout_ms: Option<u64>,
    /// Processors that the threads of the rings stay on, in order and going round; any where left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    cores: Option<Vec<usize>>,
    /// Address and port of the proxy.
    #[serde(skip_serializing_if = "Option::is_none")]
    listen: Option<String>,
    /// What events call the proxy; its address and port where left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
}

/// Whether an interface can be called so (Linux: at most 15 bytes, no slash, no space).
pub(crate) fn is_interface_name(name: &str) -> bool {
    (1..16).contains(&name.len()) && !name.contains(|c: char| c == '/' || c.is_whitespace() || c.is_control())
}

/// A checked source.
enum Source {
    Interface(InterfaceOptions),
    Proxy(Listener),
}

impl RawSource {
    /// Puts in what is left out, so that the whole can be shown.
    pub(super) fn fill(&mut self) {
        if self.kind != Some(SourceKind::Interface) {
            return;
        }
        let default = InterfaceOptions::new("");
        self.snaplen.get_or_insert(default.snaplen);
        self.buffer_bytes.get_or_insert(default.buffer_bytes);
        self.rings.get_or_insert(default.rings);
        self.promiscuous.get_or_insert(default.promiscuous);
        self.timeout_ms.get_or_insert(u64::try_from(default.timeout.as_millis()).unwrap_or(u64::MAX));
        self.cores.get_or_insert(default.cores);
    }

    fn check(&self, at: usize) -> Result<Source, Fault> {
        let of_interfaces = [
            ("interface", self.interface.is_some()),
            ("bpf", self.bpf.is_some()),
            ("snaplen", self.snaplen.is_some()),
            ("buffer_bytes", self.buffer_bytes.is_some()),
            ("rings", self.rings.is_some()),
            ("promiscuous", self.promiscuous.is_some()),
            ("timeout_ms", self.timeout_ms.is_some()),
            ("cores", self.cores.is_some()),
        ];
        let of_proxies = [("listen", self.listen.is_some()), ("name", self.name.is_some())];
        let (foreign, what) = match self.kind {
            None => {
                let help = "says not what it is; add `kind = \"interface\"` or `kind = \"proxy\"`";
                return fault(format!("source[{at}]"), help);
            }
            Some(SourceKind::Interface) => (&of_proxies[..], "a proxy"),
            Some(SourceKind::Proxy) => (&of_interfaces[..], "an interface"),
        };
        if let Some((key, _)) = foreign.iter().find(|(_, given)| *given) {
            return fault(format!("source[{at}].{key}"), format!("is for {what}; leave it out here"));
        }
        match self.kind {
            Some(SourceKind::Proxy) => self.proxy(at).map(Source::Proxy),
            _ => self.interface(at).map(Source::Interface),
        }
    }

    fn interface(&self, at: usize) -> Result<InterfaceOptions, Fault> {
        let key = |key: &str| format!("source[{at}].{key}");
        let name = self.interface.clone().unwrap_or_default();
        if !is_interface_name(&name) {
            let what = if name.is_empty() { "is missing" } else { "is no name of an interface" };
            return fault(key("interface"), format!("{what}; write it like `interface = \"eth1\"`"));
        }
        let mut filled = self.clone();
        filled.fill();
        let default = InterfaceOptions::new(name);
        let (snaplen, buffer) = (InterfaceOptions::MIN_SNAPLEN, InterfaceOptions::MIN_BUFFER_BYTES);
        let (snaplen, buffer) = (snaplen..=MAX_SNAPLEN, buffer..=InterfaceOptions::MAX_BUFFER_BYTES);
        let timeout = filled.timeout_ms.unwrap_or(1);
        Ok(InterfaceOptions {
            bpf: filled.bpf.filter(|bpf| !bpf.trim().is_empty()),
            snaplen: within(key("snaplen"), filled.snaplen.unwrap_or(default.snaplen), snaplen)?,
            buffer_bytes: within(key("buffer_bytes"), filled.buffer_bytes.unwrap_or(default.buffer_bytes), buffer)?,
            rings: within(key("rings"), filled.rings.unwrap_or(default.rings), 1..=MAX_RINGS)?,
            promiscuous: filled.promiscuous.unwrap_or(default.promiscuous),
            timeout: Duration::from_millis(within(key("timeout_ms"), timeout, 1..=1000)?),
            cores: filled.cores.unwrap_or(default.cores),
            ..default
        })
    }

    fn proxy(&self, at: usize) -> Result<Listener, Fault> {
        let key = |key: &str| format!("source[{at}].{key}");
        let help = "write it like `listen = \"127.0.0.1:8080\"`";
        let Some(text) = &self.listen else { return fault(key("listen"), format!("is missing; {help}")) };
        let Ok(address) = text.parse::<SocketAddr>() else {
            return fault(key("listen"), format!("`{text}` is no address and port; {help}"));
        };
        let name = match self.name.as_deref().map(str::trim) {
            None => text.clone(),
            Some(name) if name.is_empty() || name.len() > RawSensor::MAX || name.chars().any(char::is_control) => {
                let help = "from 1 to 128 bytes without control characters";
                return fault(key("name"), format!("must be {help}; leave it out for the address"));
            }
            Some(name) => name.to_owned(),
        };
        Ok(Listener { name, address })
    }
}

/// A listener of a proxy, and the key that it comes from.
pub(super) type Place = (String, Listener);

/// All sources: interfaces, and listeners of the proxy with their keys. An interface read twice would tell everything
/// twice.
pub(super) fn sources(raw: &[RawSource]) -> Result<(Vec<InterfaceOptions>, Vec<Place>), Fault> {
    let mut interfaces: Vec<InterfaceOptions> = Vec::new();
    let mut listeners: Vec<Place> = Vec::new();
    for (at, source) in raw.iter().enumerate() {
        match source.check(at)? {
            Source::Interface(source) if interfaces.iter().any(|s| s.name == source.name) => {
                return fault(format!("source[{at}].interface"), format!("`{}` is a source already", source.name));
            }
            Source::Interface(source) => interfaces.push(source),
            Source::Proxy(listener) => {
                let twice = |(_, l): &Place| l.address == listener.address && listener.address.port() != 0;
                if listeners.iter().any(twice) {
                    return fault(format!("source[{at}].listen"), format!("{} is a source already", listener.address));
                }
                listeners.push((format!("source[{at}].listen"), listener));
            }
        }
    }
    Ok((interfaces, listeners))
}

/// What a sink is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum SinkKind {
    /// Events as JSON, one a line.
    Jsonl,
}

/// When written lines are forced to the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Fsync {
    /// When the system sees fit. A crash of the program loses nothing of them, one of the machine some seconds.
    #[default]
    Never,
    /// A second after they were written, at the latest.
    Second,
    /// With each write, and none waits for others.
    Always,
}

/// `[[sink]]`: where `run` writes its events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawSink {
    /// What it is: `jsonl`.
    kind: Option<SinkKind>,
    /// The file, or `-` for standard output; relative to the configuration file.
    path: PathBuf,
    /// Begin another file once this one would be larger, in bytes; 0 for never.
    rotate_bytes: u64,
    /// Begin another file at each multiple of this since 1970 (UTC), in seconds: 86400 is at midnight; 0 for never.
    rotate_seconds: u64,
    /// Files kept beside the one that is written, if there is rotation; 0 for all.
    #[schemars(range(max = 100_000))]
    keep: u32,
    /// When lines are forced to the disk.
    fsync: Fsync,
    /// Longest time that a line waits for others before it is written, in milliseconds.
    #[schemars(range(min = 1, max = 60_000))]
    flush_ms: u64,
    /// Most bytes of lines that may wait to be written; a share of `limits.memory_bytes` where left out. Beyond it they
    /// are lost and counted.
    #[schemars(range(min = 65_536))]
    pub(super) queue_bytes: Option<u64>,
}

impl Default for RawSink {
    fn default() -> Self {
        let Sink { path: _, rotate_bytes: _, rotate_every: _, keep, fsync, flush, queue_bytes: _ } =
            Sink::new(Path::new(""), 0);
        let flush_ms = u64::try_from(flush.as_millis()).unwrap_or(u64::MAX);
        Self {
            kind: None,
            path: PathBuf::new(),
            rotate_bytes: 0,
            rotate_seconds: 0,
            keep,
            fsync,
            flush_ms,
            queue_bytes: None,
        }
    }
}

/// A checked sink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sink {
    /// The file, or `-`.
    pub(crate) path: PathBuf,
    /// Size from which another file is begun, in bytes.
    pub(crate) rotate_bytes: Option<NonZeroU64>,
    /// At each multiple of which another file is begun.
    pub(crate) rotate_every: Option<Duration>,
    /// Files kept beside the one that is written; 0 for all.
    pub(crate) keep: u32,
    /// When lines are forced to the disk.
    pub(crate) fsync: Fsync,
    /// Longest time that a line waits for others.
    pub(crate) flush: Duration,
    /// Most bytes that may wait.
    pub(crate) queue_bytes: usize,
}

impl Sink {
    /// `path` with defaults and a share of the memory.
    pub(crate) fn new(path: &Path, queue_bytes: u64) -> Self {
        Self {
            path: path.to_owned(),
            rotate_bytes: None,
            rotate_every: None,
            keep: 7,
            fsync: Fsync::default(),
            flush: Duration::from_millis(200),
            queue_bytes: usize::try_from(queue_bytes).unwrap_or(usize::MAX),
        }
    }

    /// Whether it is standard output.
    pub(crate) fn is_stdout(&self) -> bool {
        self.path == Path::new("-")
    }
}

impl RawSink {
    /// Makes the path relative to `folder`.
    pub(super) fn lie_in(&mut self, folder: &Path) {
        if !self.path.as_os_str().is_empty() && self.path != Path::new("-") {
            self.path = folder.join(&self.path);
        }
    }

    fn check(&self, at: usize) -> Result<Sink, Fault> {
        let key = |key: &str| format!("sink[{at}].{key}");
        if self.kind.is_none() {
            return fault(format!("sink[{at}]"), "says not what it is; add `kind = \"jsonl\"`");
        }
        if self.path.as_os_str().is_empty() {
            return fault(key("path"), "is missing; write it like `path = \"/var/log/mcp-sensor/events.jsonl\"`");
        }
        let queue = self.queue_bytes.unwrap_or(OutletOptions::QUEUE_BYTES as u64);
        let rotate_bytes = NonZeroU64::new(self.rotate_bytes);
        if let Some(bytes) = rotate_bytes {
            within(key("rotate_bytes"), bytes.get(), 64 << 10..=u64::MAX)?;
        }
        let sink = Sink {
            path: self.path.clone(),
            rotate_bytes,
            rotate_every: Some(Duration::from_secs(self.rotate_seconds)).filter(|age| !age.is_zero()),
            keep: within(key("keep"), self.keep, 0..=100_000)?,
            fsync: self.fsync,
            flush: Duration::from_millis(within(key("flush_ms"), self.flush_ms, 1..=60_000)?),
            queue_bytes: usize::try_from(within(key("queue_bytes"), queue, 64 << 10..=1 << 40)?).unwrap_or(usize::MAX),
        };
        if sink.is_stdout() && (sink.rotate_bytes.is_some() || sink.rotate_every.is_some()) {
            return fault(key("path"), "standard output cannot be rotated; leave out rotate_bytes and rotate_seconds");
        }
        Ok(sink)
    }
}

/// All sinks. Two that write one file would tear each other's lines.
pub(super) fn sinks(raw: &[RawSink]) -> Result<Vec<Sink>, Fault> {
    let mut sinks: Vec<Sink> = Vec::new();
    for (at, sink) in raw.iter().enumerate() {
        let sink = sink.check(at)?;
        if sinks.iter().any(|s| s.path == sink.path) {
            return fault(format!("sink[{at}].path"), format!("{} is a sink already", sink.path.display()));
        }
        sinks.push(sink);
    }
    Ok(sinks)
}

/// `[metrics]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawMetrics {
    /// Address and port of `/metrics`, `/healthz` and `/readyz`; none where left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) listen: Option<String>,
    /// Whether it may be an address that other machines can reach. There is neither encryption nor a password.
    allow_remote: bool,
}

impl RawMetrics {
    pub(super) fn check(&self) -> Result<Option<SocketAddr>, Fault> {
        let Some(text) = &self.listen else { return Ok(None) };
        let Ok(address) = text.parse::<SocketAddr>() else {
            return fault("metrics.listen", format!("`{text}` is no address and port; write it like 127.0.0.1:9464"));
        };
        if !address.ip().to_canonical().is_loopback() && !self.allow_remote {
            let help = "set `allow_remote = true` in [metrics] if that is meant, or use 127.0.0.1";
            return fault("metrics.listen", format!("other machines can reach {address}; {help}"));
        }
        Ok(Some(address))
    }
}

/// `[process]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawProcess {
    /// Whom to become once everything is open, by name; where left out, who started it.
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    /// Whether to keep the right to open interfaces, for those that go away and come back.
    keep_net_raw: bool,
    /// Whether to give up all system calls that are not needed, where the kernel can.
    seccomp: bool,
    /// Whether to give up all files but those that are read and written, where the kernel can.
    landlock: bool,
}

impl Default for RawProcess {
    fn default() -> Self {
        Self { user: None, keep_net_raw: true, seccomp: true, landlock: true }
    }
}

/// What the process gives up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    /// Whom to become.
    pub(crate) user: Option<String>,
    /// Whether interfaces can be opened later on.
    pub(crate) keep_net_raw: bool,
    /// Whether system calls are given up.
    pub(crate) seccomp: bool,
    /// Whether files are given up.
    pub(crate) landlock: bool,
}

impl RawProcess {
    pub(super) fn check(&self) -> Result<Process, Fault> {
        if self.user.as_deref().is_some_and(|user| user.trim().is_empty()) {
            return fault("process.user", "is empty; leave it out to stay who started the program");
        }
        let Self { user, keep_net_raw, seccomp, landlock } = self.clone();
        Ok(Process { user, keep_net_raw, seccomp, landlock })
    }
}
