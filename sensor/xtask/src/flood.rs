//! `cargo xtask flood`: floods at full size through a release program, and what each cost.

#![allow(clippy::cast_precision_loss, clippy::single_match_else, reason = "ratios for people to read")]

use anyhow::{Context, Result, bail, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use testkit::flood::{Canary, Flood, Kind, Weak};
use testkit::watch::{self, Outcome};

/// Conversations of each kind of canary in each flood.
const CANARIES: u8 = 100;
/// Names that the configuration speaks of, so that answers of name servers are kept.
const CONFIG: &str = "[sanctioned]\nservers = [\"*.flood.example\"]\n";
/// What the sensor may take over its budget, in percent.
const TOLERANCE: u64 = 10;
/// How often each of two floods is run that are compared; the least time counts.
const ROUNDS: usize = 5;
/// Least throughput as a share of what is normal, in percent: of colliding tuples that of random ones, of
/// [`IN_PACKETS`] that of ordinary traffic, in packets.
const THROUGHPUT: u64 = 70;
/// Floods that are compared with ordinary traffic.
const IN_PACKETS: [&str; 3] = ["syns", "holes", "aimed"];
/// Ordinary traffic: pages, and a tenth JSON in gzip.
const ORDINARY: Flood = Flood { kind: Kind::Http, size: 2_000, canaries: CANARIES, seed: 1 };

/// Name, kind, and size of each flood.
fn floods() -> Vec<(String, Kind, u32)> {
    let mut all = vec![("syns".to_owned(), Kind::Syns, 1_000_000)];
    all.extend(Weak::ALL.map(|weak| (format!("collide-{}", weak.word()), Kind::Colliding(weak), 200_000)));
    let rest = [
        ("holes", Kind::Holes, 50_000),
        ("heads", Kind::Heads, 20_000),
        ("open-requests", Kind::OpenRequests, 60_000),
        ("open-bodies", Kind::OpenBodies, 60_000),
        ("aimed", Kind::Aimed, 60_000),
        ("inflating", Kind::Inflating, 60_000),
        ("pipelined", Kind::Pipelined, 5_000),
        ("http", Kind::Http, 2_000),
        ("servers", Kind::Servers, 20_000),
        ("catalogues", Kind::Catalogues, 20_000),
        ("sessions", Kind::Sessions, 100_000),
        ("names", Kind::Names, 100_000),
        ("notices", Kind::Notices, 30_000),
        ("idle", Kind::Idle, 1_000_000),
        ("idle-tls", Kind::IdleTls, 1_000_000),
        ("idle-events", Kind::IdleEvents, 100_000),
        ("open-streams", Kind::OpenStreams, 2_000),
        ("lone", Kind::Lone, 3_000_000),
    ];
    all.extend(rest.map(|(name, kind, size)| (name.to_owned(), kind, size)));
    all
}

struct Options {
    program: PathBuf,
    /// Sizes in percent of the full ones.
    scale: u32,
    threads: u8,
    config: Option<PathBuf>,
    names: Vec<String>,
}

impl Options {
    fn parse(arguments: &[&str]) -> Result<Self> {
        let (mut program, mut scale, mut threads, mut config, mut names) = (None, 100, 1, None, Vec::new());
        let mut words = arguments.iter();
        while let Some(word) = words.next() {
            let mut value = || words.next().with_context(|| format!("{word} needs a value"));
            match *word {
                "--bin" => program = Some(fs::canonicalize(value()?).context("--bin")?),
                "--scale" => scale = value()?.parse().context("--scale wants percent")?,
                "--threads" => threads = value()?.parse().context("--threads wants a number")?,
                "--config" => config = Some(fs::canonicalize(value()?).context("--config")?),
                other if other.starts_with('-') => bail!("`{other}` is unknown"),
                name => names.push(name.to_owned()),
            }
        }
        let known = floods();
        let unknown = names.iter().find(|name| !known.iter().any(|(known, ..)| known == *name));
        ensure!(unknown.is_none(), "no flood `{}`; there are: {}", unknown.map_or("", |n| n), listed(&known));
        Ok(Self { program: program.context("--bin PATH: which program?")?, scale, threads, config, names })
    }
}

fn listed(floods: &[(String, Kind, u32)]) -> String {
    floods.iter().map(|(name, ..)| name.as_str()).collect::<Vec<_>>().join(" ")
}

/// Runs the floods asked for, all where none is named. An error where memory, recall or throughput fall short.
pub(crate) fn run(arguments: &[&str]) -> Result<()> {
    let options = Options::parse(arguments)?;
    let scratch = std::env::temp_dir().join(format!("mcp-sensor-flood-{}", std::process::id()));
    fs::create_dir(&scratch).with_context(|| scratch.display().to_string())?;
    let done = all(&options, &scratch);
    fs::remove_dir_all(&scratch).context("removing scratch files")?;
    done
}

fn all(options: &Options, scratch: &Path) -> Result<()> {
    let written = scratch.join("sensor.toml");
    fs::write(&written, CONFIG)?;
    let config = options.config.clone().unwrap_or(written);
    let budget = budget_kib(options, &config)?;
    println!("budget {}; {} of each: {}", mib(budget), CANARIES, Canary::ALL.map(Canary::word).join(", "));
    println!(
        "| {:<18} | {:>9} | {:>9} | {:>9} | {:>8} | {:>8} | {:>6} | {:>23} | limits met |",
        "flood", "size", "packets", "peak", "CPU s", "ns/pkt", "ratio", "found"
    );
    println!("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |");
    let mut faults = Vec::new();
    for (name, kind, size) in floods() {
        if !options.names.is_empty() && !options.names.contains(&name) {
            continue;
        }
        let size = u32::try_from(u64::from(size) * u64::from(options.scale) / 100)?.max(1);
        let flood = Flood { kind, size, canaries: CANARIES, seed: 1 };
        let mut outcome = feed(options, &config, &flood).with_context(|| name.clone())?;
        let mut normal: Option<u64> = None;
        let other = match kind {
            Kind::Colliding(Weak::Fx6 | Weak::Rustc6) => Some(Flood { kind: Kind::Random6, ..flood }),
            Kind::Colliding(_) => Some(Flood { kind: Kind::Random, ..flood }),
            _ => IN_PACKETS.contains(&name.as_str()).then_some(ORDINARY),
        };
        for other in std::iter::repeat_n(other, ROUNDS).flatten() {
            let took = each(&feed(options, &config, &other)?);
            normal = Some(normal.map_or(took, |least| least.min(took)));
            outcome.cpu_ns = outcome.cpu_ns.min(feed(options, &config, &flood)?.cpu_ns);
        }
        let tally = &outcome.tally;
        let each = each(&outcome);
        let ratio = normal.map_or(String::new(), |n| format!("{:.2}", n as f64 / each as f64));
        let found = Canary::ALL.map(|canary| tally.found(canary));
        println!(
            "| {name:<18} | {size:>9} | {:>9} | {:>9} | {:>8.2} | {each:>8} | {ratio:>6} | {:>23} | {} |",
            outcome.written.packets,
            mib(outcome.peak_kib),
            seconds(outcome.cpu_ns),
            found.map(|n| n.to_string()).join("/"),
            tally.map("limits").replace('"', "`").replace("`:", "` ").replace(',', ", "),
        );
        let mut fault = |what: String| faults.push(format!("{name}: {what}"));
        if !outcome.status.success() {
            fault(format!("ended with {}", outcome.status));
        }
        if outcome.peak_kib > budget * (100 + TOLERANCE) / 100 {
            fault(format!("{} of memory, over the budget of {}", mib(outcome.peak_kib), mib(budget)));
        }
        if found.iter().any(|n| *n < usize::from(CANARIES)) {
            fault(format!("found {found:?} of {CANARIES} each"));
        }
        if normal.is_some_and(|normal| normal * 100 < each * THROUGHPUT) {
            fault(format!("throughput below {THROUGHPUT} % of what is normal"));
        }
        let counted = tally.stat("", "packets_analysed") + tally.sum("packets_dropped");
        if tally.stat("", "packets") != outcome.written.packets || counted != outcome.written.packets {
            fault(format!("{counted} packets accounted for, of {}", outcome.written.packets));
        }
        if tally.stat("limits", "internal_faults") > 0 {
            fault("internal faults".to_owned());
        }
    }
    ensure!(faults.is_empty(), "\n  {}", faults.join("\n  "));
    Ok(())
}

/// Processor time of one packet, in nanoseconds.
fn each(outcome: &Outcome) -> u64 {
    outcome.cpu_ns / outcome.written.packets.max(1)
}

fn mib(kib: u64) -> String {
    format!("{} MiB", kib.div_ceil(1024))
}

fn seconds(ns: u64) -> f64 {
    Duration::from_nanos(ns).as_secs_f64()
}

fn sensor(options: &Options, config: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(&options.program);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("MCP_SENSOR_")) {
        command.env_remove(name);
    }
    command.args(words).arg("--config").arg(config).stderr(Stdio::null());
    if words.first() == Some(&"replay") {
        command.args(["--threads", &options.threads.to_string()]);
    }
    command
}

/// One flood. The program is not told that it reads standard input, or it would write each event by itself.
fn feed(options: &Options, config: &Path, flood: &Flood) -> Result<Outcome> {
    Ok(watch::feed(&mut sensor(options, config, &["replay", "/dev/stdin", "-o", "-"]), flood)?)
}

/// What the program says that its limits add up to, and what it takes where nothing happens.
fn budget_kib(options: &Options, config: &Path) -> Result<u64> {
    let shown = sensor(options, config, &["config", "show"]).output().context("config show")?;
    let shown = String::from_utf8(shown.stdout)?;
    let line = shown.lines().find_map(|line| line.strip_prefix("# These limits allow at most "));
    let allowed = line.and_then(|l| l.split_once(" MiB")).and_then(|(n, _)| n.parse::<u64>().ok());
    let allowed = allowed.context("`config show` does not say what its limits allow")?;
    let nothing = Flood { kind: Kind::Syns, size: 1, canaries: 1, seed: 1 };
    let idle = feed(options, config, &nothing)?.peak_kib;
    Ok(allowed * 1024 + idle)
}
