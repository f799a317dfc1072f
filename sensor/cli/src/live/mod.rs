//! `capture`, `proxy` and `run`: live traffic in, events out, until told to stop.
//!
//! The order of a start: configuration and rules, interfaces, the listener for scrapes, listeners of the proxy and its CA;
//! then rights are given up; then outputs, which so belong to the user that writes them, and threads; then the service
//! manager is told.

mod gauges;
mod keeper;
mod losses;
mod outputs;
mod proxied;
mod screen;
mod terminals;

use crate::args::{Capture, Common, Overrides, Proxy, Run};
use crate::config::{Config, DEFAULT_FILE, DEFAULT_LISTEN, Sink};
use crate::failure::{Failure, Outcome};
use crate::log::Log;
use crate::process::{Confinement, Signals, confine, notify, use_small_pages};
use crate::{replay, rules};
use ::proxy::Listener;
use capture::{InterfaceOptions, InterfaceStats, Live};
use detect::Generation;
use gauges::Counters;
use keeper::Keeper;
use outputs::Outputs;
use pipeline::{Control, RunInfo, Settings};
use proxied::Proxied;
use screen::Screen;
use sinks::metrics::{self, Process};
use std::io::{self, IsTerminal as _};
use std::num::NonZeroUsize;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use terminals::Terminals;

/// For how long events are written at the end that could not be written before.
const LAST_WRITE: Duration = Duration::from_secs(2);
/// What the sensor is called where neither the configuration nor the system has a name.
const NAMELESS: &str = "sensor";

/// What is listened to and where it goes.
struct Plan<'a> {
    common: &'a Common,
    overrides: Overrides,
    keylog: Option<&'a Path>,
    config: Config,
    sources: Vec<InterfaceOptions>,
    sinks: Vec<Sink>,
    /// Whether it lasts, with nobody before it: `run`.
    service: bool,
    /// Whether the table of servers is drawn.
    screen: bool,
    /// Whether to end once nobody reads standard output any more.
    ends_with_reader: bool,
    /// For how long.
    duration: Option<Duration>,
}

pub(crate) fn capture(common: &Common, args: &Capture, log: &Log) -> Outcome {
    let overrides = args.serving.overrides();
    let mut config = Config::load(common, &overrides)?;
    // What the configuration has of these is for `run`, which may be at work beside this.
    config.live.metrics = config.live.metrics.filter(|_| args.serving.metrics.is_some());
    config.live.proxy.listeners.clear();
    let (path, screen) = output(args.output.as_deref(), common.quiet);
    let mut sources: Vec<InterfaceOptions> = Vec::new();
    for name in &args.interface {
        if !sources.iter().any(|s| s.name == *name) {
            sources.push(source(name, args, &config));
        }
    }
    let plan = Plan {
        common,
        overrides,
        keylog: args.serving.keylog.as_deref(),
        sources,
        sinks: path.map(|path| Sink::new(path, config.limits.output_queues)).into_iter().collect(),
        service: false,
        screen,
        ends_with_reader: path == Some(Path::new("-")),
        duration: args.duration.map(Duration::from_secs),
        config,
    };
    serve(&plan, log)
}

pub(crate) fn proxy(common: &Common, args: &Proxy, log: &Log) -> Outcome {
    let overrides = args.overrides();
    let mut config = Config::load(common, &overrides)?;
    config.live.metrics = config.live.metrics.filter(|_| args.metrics.is_some());
    // One thread makes events of what the threads of the proxy saw.
    config.live.threads = NonZeroUsize::MIN;
    let listeners = &mut config.live.proxy.listeners;
    if listeners.is_empty() {
        listeners.push(Listener { name: DEFAULT_LISTEN.to_string(), address: DEFAULT_LISTEN });
    }
    let (path, screen) = output(args.output.as_deref(), common.quiet);
    let plan = Plan {
        common,
        overrides,
        keylog: None,
        sources: Vec::new(),
        sinks: path.map(|path| Sink::new(path, config.limits.output_queues)).into_iter().collect(),
        service: false,
        screen,
        ends_with_reader: path == Some(Path::new("-")),
        duration: None,
        config,
    };
    serve(&plan, log)
}

/// Where events go, if anywhere, and whether the table is drawn.
fn output(asked: Option<&Path>, quiet: bool) -> (Option<&Path>, bool) {
    let terminal = io::stdout().is_terminal();
    match asked {
        Some(path) if path == Path::new("-") => (Some(path), false),
        Some(path) => (Some(path), terminal && !quiet),
        None if terminal => (None, true),
        None => (Some(Path::new("-")), false),
    }
}

/// An interface as the configuration has it, with the options of the command line over that.
fn source(name: &str, args: &Capture, config: &Config) -> InterfaceOptions {
    let known = config.live.sources.iter().find(|s| s.name == name).cloned();
    let mut source = known.unwrap_or_else(|| InterfaceOptions::new(name));
    source.bpf = args.bpf.clone().or(source.bpf);
    source.snaplen = args.snaplen.unwrap_or(source.snaplen);
    source.buffer_bytes = args.buffer.map_or(source.buffer_bytes, |mib| mib << 20);
    source.rings = args.rings.map_or(source.rings, usize::from);
    source.promiscuous &= !args.no_promiscuous;
    source
}

pub(crate) fn run(common: &Common, args: &Run, log: &Log) -> Outcome {
    let overrides = args.serving.overrides();
    let config = Config::load(common, &overrides)?;
    let Some(file) = config.file.as_deref().map(Path::display) else {
        return Err(Failure::usage(format!(
            "there is no {DEFAULT_FILE}, and no other file is named (`-c FILE`); `run` takes its sources and sinks from it"
        )));
    };
    if config.live.sources.is_empty() && config.live.proxy.listeners.is_empty() {
        return Err(Failure::usage(format!(
            "{file} names no source; add one: `[[source]]` with `kind = \"interface\"` and `interface = \"eth1\"`, or with \
             `kind = \"proxy\"` and `listen = \"{DEFAULT_LISTEN}\"`"
        )));
    }
    if config.live.sinks.is_empty() {
        return Err(Failure::usage(format!(
            "{file} names no sink; add one: `[[sink]]` with `kind = \"jsonl\"` and `path = \"-\"`, or that of a file"
        )));
    }
    let plan = Plan {
        common,
        overrides,
        keylog: args.serving.keylog.as_deref(),
        sources: config.live.sources.clone(),
        sinks: config.live.sinks.clone(),
        service: true,
        screen: false,
        ends_with_reader: false,
        duration: None,
        config,
    };
    serve(&plan, log)
}

fn serve(plan: &Plan<'_>, log: &Log) -> Outcome {
    let config = &plan.config;
    if plan.sources.is_empty() {
        use_small_pages();
    }
    let generation = Arc::new(generation(config, log)?);
    let keys = Arc::new(replay::open_keys(plan.keylog, log)?);
    let sensor = config.live.sensor.clone().or_else(host_name).unwrap_or_else(|| NAMELESS.to_owned());

    let signals = Signals::catch().map_err(|e| Failure::run(format!("cannot catch signals: {e}")))?;
    let live = match plan.sources.as_slice() {
        [] => Live::of_none(),
        sources => Live::open(sources, &config.live.capture).map_err(|e| Failure::usage(e.to_string()))?,
    };
    short_rings(&live, &plan.sources, log);
    // Whether other machines may reach it was settled with the configuration.
    let metrics = config.live.metrics.map(|address| metrics::bind(address, true)).transpose();
    let metrics = metrics.map_err(|e| Failure::usage(e.to_string()))?;
    let own = metrics.as_ref().and_then(|metrics| metrics.local_addr().ok());
    let proxy = proxied::bind(plan, &generation, own.into_iter().collect())?;
    // The size of a page is read once, from where it cannot be read any more afterwards.
    let _ = Process::read();
    let (stdin, stdout, stderr) = (io::stdin(), io::stdout(), io::stderr());
    let standard = [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()];
    let terminals = if plan.service { Terminals::default() } else { Terminals::among(&standard) };
    let confined = confine(&confinement(plan)).map_err(|e| Failure::usage(e.to_string()))?;
    log.debug(&format!("this process: {confined}"));
    if let Some(warning) = confined.warning(plan.service) {
        log.warn(&warning);
    }

    let control = Control::default();
    let screen = plan.screen.then(|| Screen::new(Arc::clone(&generation)));
    let log = &Log { bar: screen.as_ref().map_or_else(|| log.bar.clone(), Screen::bar), ..log.clone() };
    let outputs = Outputs::open(&plan.sinks, &plan.config.recipients, screen.as_ref())?;
    let counters = Arc::new(Counters::default());
    let proxy = Arc::new(proxied::start(proxy, &control)?);
    let scrapes =
        metrics.map(|listener| gauges::serve(listener, &control, outputs.watch(), &counters, &proxy)).transpose();
    let scrapes = scrapes.map_err(|e| Failure::run(format!("cannot answer for metrics: {e}")))?;
    if let Some(scrapes) = &scrapes {
        log.info(&format!("metrics at http://{}/metrics", scrapes.addr()));
    }
    let listener = signals.listen().map_err(|e| Failure::run(format!("cannot listen for signals: {e}")))?;
    let settings = Settings {
        threads: config.live.threads,
        look_alikes: config.look_alikes,
        limits: config.limits.clone(),
        keys,
        stats_every: Some(config.live.stats_every),
        session_every: Some(config.live.session_every),
        proxies: config.live.proxy.listeners.iter().map(|listener| listener.name.clone()).collect(),
        ..Settings::default()
    };
    let info = RunInfo {
        sensor,
        version: env!("CARGO_PKG_VERSION").into(),
        config: config.hash.clone(),
        ..RunInfo::default()
    };
    let ready = ready(plan, &proxy);
    log.info(&ready);
    let _ = notify::ready(&ready);
    let watched = (control.clone(), Arc::clone(&proxy));
    let watchdog = notify::watch(move || {
        let alive = |(alive, all)| alive == all;
        alive(gauges::workers(&watched.0)) && alive(watched.1.threads())
    });
    let _watchdog = watchdog.map_err(|e| Failure::run(format!("cannot start the watchdog: {e}")))?;

    let keeper = Keeper {
        plan,
        control: &control,
        proxy: &proxy,
        outputs: &outputs,
        screen: screen.as_ref(),
        counters: &counters,
        can_reopen: confined.can_open_interfaces(),
        terminals: &terminals,
        log,
    };
    let mut emit = outputs.emit();
    let (done, failure) = std::thread::scope(|scope| {
        let (end, ended) = crossbeam_channel::bounded::<()>(0);
        let keeper = scope.spawn(move || keeper.keep(listener.events(), &ended));
        let done = pipeline::run(live.into(), &settings, &generation, &info, &mut emit, &|_, _| {}, &control);
        // Where it was asked to end, that is over already.
        proxy.stop(Duration::ZERO);
        drop(end);
        (done, keeper.join().unwrap_or_else(|_| Some(Failure::run("a fault in the thread that handles signals"))))
    });
    drop(emit);
    let lost = outputs.close(LAST_WRITE, log);
    if let Some(screen) = screen.filter(|_| !terminals.are_gone()) {
        screen.last()?;
    }
    let snapshot = control.snapshot();
    let interfaces = snapshot.capture.as_ref().map_or(&[][..], |c| c.interfaces.as_slice());
    let drops = interfaces.iter().map(InterfaceStats::lost).sum::<u64>();
    let packets = interfaces.iter().map(offered).sum::<u64>();
    log.info(&format!("packets={packets} drops={drops} events={} lost={lost}", snapshot.stats.events + 1));
    failure.map_or(Ok(()), Err)?;
    done.map_err(|e| Failure::run(e.to_string()))?;
    Ok(0)
}

fn generation(config: &Config, log: &Log) -> Result<Generation, Failure> {
    Ok(Generation { rules: rules::load(config, log)?, scope: config.scope.clone(), policy: config.policy.clone() })
}

/// What there is to see from now on.
fn ready(plan: &Plan<'_>, proxy: &Proxied) -> String {
    let list = |what: &str, names: Vec<String>| (!names.is_empty()).then(|| format!("{what} on {}", names.join(", ")));
    let interfaces = plan.sources.iter().map(|source| source.name.clone()).collect();
    let addresses = proxy.addresses().iter().map(ToString::to_string).collect();
    let both = [list("capturing", interfaces), list("proxy", addresses)];
    both.into_iter().flatten().collect::<Vec<_>>().join("; ")
}

/// Packets that were there to be captured, lost ones included.
fn offered(stats: &InterfaceStats) -> u64 {
    stats.received + stats.kernel_dropped + stats.interface_dropped
}

/// Says where the kernel gave less memory than was asked for.
fn short_rings(live: &Live, sources: &[InterfaceOptions], log: &Log) {
    for ring in live.rings() {
        let asked = sources.iter().find(|s| s.name == ring.interface).map_or(0, |s| u64::from(s.buffer_bytes));
        if let Some(got) = ring.buffer_bytes.filter(|got| *got < asked / 4 * 3) {
            log.warn(&format!(
                "ring {} of {} has {} MiB and not {}; the system has no more to give",
                ring.ring,
                ring.interface,
                got >> 20,
                asked >> 20
            ));
        }
    }
}

/// What is read and written later on, and what the configuration says of rights.
fn confinement(plan: &Plan<'_>) -> Confinement {
    let config = &plan.config;
    let process = &config.live.process;
    let file = config.file.clone().unwrap_or_else(|| DEFAULT_FILE.into());
    let proxy = &config.live.proxy;
    let read = [file].into_iter().chain(config.rule_dirs.iter().cloned()).chain(plan.keylog.map(Path::to_owned));
    let read = read.chain(proxy.reads().map(Path::to_owned)).chain(config.registries.iter().cloned());
    let read = read.chain(config.recipients_file().map(Path::to_owned));
    let write = plan.sinks.iter().filter(|s| !s.is_stdout()).map(|s| s.path.clone());
    Confinement {
        user: process.user.clone(),
        // A proxy alone has nothing to open again.
        keep_net_raw: process.keep_net_raw && !plan.sources.is_empty(),
        seccomp: process.seccomp,
        landlock: process.landlock,
        connects: !proxy.listeners.is_empty(),
        read: read.collect(),
        write: write.collect::<Vec<PathBuf>>(),
    }
}

fn host_name() -> Option<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    Some(name.trim().to_owned()).filter(|name| !name.is_empty())
}
