//! `replay`: captures in, events and a table out.

use crate::args::{Common, Replay};
use crate::carve::{Ranges, carve};
use crate::config::Config;
use crate::failure::{Failure, Outcome};
use crate::log::Log;
use crate::words::plural;
use crate::{hash, rules};
use capture::{Options, Reader};
use correlate::Record;
use correlate::record::{Notice, NoticeCode};
use detect::{Classification, Generation};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use pipeline::{KeyRing, RunInfo, Settings};
use sinks::jsonl;
use sinks::payload::Recipients;
use sinks::table::{Look, Summary};
use sinks::timeline::{Filter, Timeline};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, BufWriter, IsTerminal as _, Write};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bytes of events held back before they are written out.
const BUFFER_BYTES: usize = 64 << 10;
/// Width of the table where there is no terminal to ask.
pub(crate) const DEFAULT_WIDTH: usize = 100;
/// The same for the timeline: its lines are cut, not wrapped.
const TIMELINE_WIDTH: usize = 200;

/// What goes where.
#[derive(Debug, PartialEq, Eq)]
struct Plan<'a> {
    events: Option<Target<'a>>,
    table: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Target<'a> {
    Stdout,
    File(&'a Path),
}

/// Settles what goes where. `terminal`: standard output is one.
fn plan(args: &Replay, quiet: bool, terminal: bool) -> Result<Plan<'_>, Failure> {
    let events = match &args.output {
        Some(path) if path == Path::new("-") => Some(Target::Stdout),
        Some(path) => Some(Target::File(path)),
        None if args.table || args.timeline.is_some() || terminal => None,
        None => Some(Target::Stdout),
    };
    let table = match &events {
        Some(Target::Stdout) if args.table => {
            return Err(Failure::usage(
                "--table and `-o -` both want standard output; name a file with -o, or leave one out",
            ));
        }
        Some(Target::Stdout) if args.timeline.is_some() => {
            return Err(Failure::usage(
                "--timeline and `-o -` both want standard output; name a file with -o, or leave one out",
            ));
        }
        Some(Target::Stdout) => false,
        _ if args.timeline.is_some() => args.table,
        Some(Target::File(_)) => args.table || !quiet,
        None => true,
    };
    Ok(Plan { events, table })
}

pub(crate) fn run(common: &Common, args: &Replay, log: &Log) -> Outcome {
    let plan = plan(args, common.quiet, io::stdout().is_terminal())?;
    let config = Config::load(common, &args.overrides)?;
    let generation = Arc::new(Generation {
        rules: rules::load(&config, log)?,
        scope: config.scope.clone(),
        policy: config.policy.clone(),
    });

    let stdin = args.paths.iter().any(|p| p == Path::new("-"));
    if stdin && io::stdin().is_terminal() {
        return Err(Failure::usage("standard input is a terminal; pipe a capture into it, or name a file"));
    }
    let options = Options { bpf: args.bpf.clone(), from: args.from, to: args.to, ..Options::default() };
    let reader = Reader::open(&args.paths, &options).map_err(|e| Failure::usage(e.to_string()))?;
    if args.carve.is_some() && reader.inputs().iter().any(|i| i.path.is_none() || i.bytes.is_none()) {
        return Err(Failure::usage(
            "--carve reads its input twice, which a pipe or standard input (`-`) does not allow; write it to a file first",
        ));
    }
    if let Some(dir) = &args.carve {
        prepare(dir)?;
    }
    let keys = Arc::new(open_keys(args.keylog.as_deref(), log)?);
    // None of these is written over.
    let inputs: Vec<PathBuf> =
        reader.inputs().iter().filter_map(|i| i.path.clone()).chain(args.keylog.clone()).collect();
    let mut events = match &plan.events {
        Some(target) => Some(jsonl::Writer::new(open(target, &inputs)?)),
        None => None,
    };

    // Lines of a timeline on the terminal would be torn apart by a bar.
    let torn = args.timeline.is_some() && io::stdout().is_terminal();
    let barred = plan.table || args.timeline.is_some();
    let bar =
        if barred && !torn && !common.quiet && io::stderr().is_terminal() { bar() } else { ProgressBar::hidden() };
    let log = &Log { bar: bar.clone(), ..log.clone() };
    let sha256 = if args.hash_inputs { hashes(&reader, &bar, log) } else { Vec::new() };
    let info = RunInfo {
        sensor: "replay".into(),
        version: env!("CARGO_PKG_VERSION").into(),
        config: config.hash.clone(),
        sha256,
    };
    let settings = Settings {
        threads: config.threads,
        look_alikes: config.look_alikes,
        limits: config.limits,
        keys,
        ..Settings::default()
    };

    let mut run = Run {
        events: events.as_mut(),
        recipients: &config.recipients,
        // Who feeds a capture through a pipe may be waiting for the events of it.
        prompt: stdin,
        summary: Summary::default(),
        timeline: args.timeline.as_deref().map(|what| {
            let timeline = Timeline::new(Filter::new(what), width(io::stdout().is_terminal(), TIMELINE_WIDTH));
            (timeline, BufWriter::new(io::stdout()))
        }),
        fail_on: args.fail_on.iter().map(|c| (*c).into()).collect(),
        failed_on: 0,
        skipped: reader.skipped(),
        faults: 0,
        ranges: args.carve.is_some().then(Ranges::default),
        failure: None,
        log,
    };
    let progress = |read, total: Option<u64>| {
        bar.set_position(read);
        total.inspect(|total| bar.set_length(*total));
    };
    let done = pipeline::replay(reader, &settings, &generation, &info, &mut |record| run.take(record), &progress);
    bar.finish_and_clear();
    run.timeline(|timeline, out| timeline.finish(out).and_then(|()| out.flush()));
    let Run { summary, failed_on, skipped, faults, ranges, mut failure, .. } = run;
    if let Some(events) = &mut events {
        match events.flush() {
            // Told already.
            Ok(()) | Err(jsonl::Error::Failed) => {}
            Err(error) => failure = failure.or(Some(error.into())),
        }
        let lost = events.totals().lost;
        if lost > 0 {
            log.error(&format!("{} not written", plural(lost, "event")));
        }
    }
    // The table first: it is true up to where the run came, and says so where that is not the end.
    if plan.table {
        table(&summary, &generation)?;
    }
    failure.map_or(Ok(()), Err)?;
    done.map_err(|e| Failure::run(e.to_string()))?;
    if let (Some(ranges), Some(dir)) = (ranges, &args.carve) {
        carve(ranges, dir, &args.paths, &options, log)?;
    }
    if faults > 0 {
        return Err(Failure::run(format!(
            "{} given up for a fault in this program; please report it",
            plural(faults, "flow")
        )));
    }
    Ok(if failed_on > 0 {
        log.info(&format!("{} that --fail-on names", plural(failed_on, "detection")));
        3
    } else if skipped > 0 {
        log.warn(&format!("{} skipped", plural(skipped, "input")));
        1
    } else {
        0
    })
}

/// Opens the key log, if there is one.
pub(crate) fn open_keys(path: Option<&Path>, log: &Log) -> Result<KeyRing, Failure> {
    let keys = KeyRing::open(path).map_err(|e| {
        Failure::usage(format!("cannot read the key log {}: {e}", path.unwrap_or(Path::new("")).display()))
    })?;
    if path.is_some() {
        tell_keys(&keys, log);
    }
    Ok(keys)
}

/// What a key log held, so that a wrong one is noticed.
fn tell_keys(keys: &KeyRing, log: &Log) {
    let stats = keys.stats();
    let unread = stats.lines.bad + stats.lines.premaster;
    if unread > 0 {
        log.warn(&format!("{} of the key log cannot be used", plural(unread, "line")));
    }
    if stats.sessions == 0 {
        log.warn("the key log holds no key yet");
    } else {
        log.debug(&format!("the key log holds keys of {}", plural(stats.sessions, "session")));
    }
}

/// What a run does with each record.
struct Run<'a> {
    events: Option<&'a mut jsonl::Writer<Box<dyn Write + Send>>>,
    /// Who may read what policies log encrypted.
    recipients: &'a Recipients,
    prompt: bool,
    summary: Summary,
    timeline: Option<(Timeline, BufWriter<io::Stdout>)>,
    fail_on: Vec<Classification>,
    failed_on: u64,
    skipped: u64,
    faults: u64,
    ranges: Option<Ranges>,
    failure: Option<Failure>,
    log: &'a Log,
}

impl Run<'_> {
    fn take(&mut self, mut record: Record) {
        self.recipients.seal(&mut record);
        let record = &record;
        if let Some(events) = &mut self.events {
            let mut written = events.write(record);
            if written.is_ok() && self.prompt {
                written = events.flush();
            }
            match written {
                Ok(()) | Err(jsonl::Error::Failed) => {}
                Err(jsonl::Error::Closed) => {
                    // What is left to read would be read for nobody.
                    self.log.bar.finish_and_clear();
                    std::process::exit(0);
                }
                Err(error) => {
                    self.log.error(&error.to_string());
                    self.failure = Some(error.into());
                }
            }
        }
        self.summary.add(record);
        let prompt = self.prompt;
        self.timeline(|timeline, out| {
            timeline.add(record, out)?;
            if prompt { out.flush() } else { Ok(()) }
        });
        match record {
            Record::Detection(d) => {
                self.failed_on += u64::from(self.fail_on.contains(&d.classification));
                if let Some(ranges) = &mut self.ranges {
                    ranges.add(d);
                }
            }
            Record::Notice(notice) => {
                // One of these is news of the run itself, not of the traffic.
                let of_run = matches!(
                    notice.code,
                    NoticeCode::SkippedFile
                        | NoticeCode::TruncatedFile
                        | NoticeCode::CorruptFile
                        | NoticeCode::UnknownInterface
                        | NoticeCode::InternalFault
                );
                if of_run {
                    self.log.warn(&notice.message);
                } else {
                    self.log.debug(&traffic_notice(notice));
                }
            }
            Record::Stats(stats) if stats.is_final => {
                // Exact, also where notices were held back.
                self.skipped = self.skipped.max(stats.notices.get("skipped_file").copied().unwrap_or(0));
                self.faults = stats.limits.get("internal_faults").copied().unwrap_or(0);
            }
            _ => {}
        }
    }
}

impl Run<'_> {
    /// Does something with the timeline, where there is one.
    fn timeline(&mut self, act: impl FnOnce(&mut Timeline, &mut BufWriter<io::Stdout>) -> io::Result<()>) {
        let Some((timeline, out)) = &mut self.timeline else { return };
        match act(timeline, out) {
            Ok(()) => {}
            // Who reads has seen enough. Events in a file are still wanted.
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe && self.events.is_none() => {
                self.log.bar.finish_and_clear();
                std::process::exit(0);
            }
            Err(e) => {
                self.timeline = None;
                if e.kind() != io::ErrorKind::BrokenPipe {
                    self.failure = Some(Failure::run(format!("cannot write the timeline: {e}")));
                }
            }
        }
    }
}

/// A notice of the traffic with the flow it is about.
fn traffic_notice(notice: &Notice) -> String {
    let flow = notice
        .flow
        .as_deref()
        .map(|f| format!(" ({}:{} to {}:{})", f.client.ip, f.client.port, f.server.ip, f.server.port));
    format!("{}{}", notice.message, flow.unwrap_or_default())
}

/// Makes the directory for carved packets.
fn prepare(dir: &Path) -> Result<(), Failure> {
    let made = DirBuilder::new().mode(0o750).create(dir);
    match made {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists && dir.is_dir() => Ok(()),
        Err(e) => Err(Failure::usage(format!("cannot make the directory {}: {e}", dir.display()))),
        Ok(()) => Ok(()),
    }
}

fn open(target: &Target<'_>, inputs: &[PathBuf]) -> Result<Box<dyn Write + Send>, Failure> {
    let path = match target {
        Target::Stdout => return Ok(Box::new(BufWriter::with_capacity(BUFFER_BYTES, io::stdout()))),
        Target::File(path) => path,
    };
    let cannot = |e: &dyn std::fmt::Display| Failure::usage(format!("cannot write {}: {e}", path.display()));
    // Opened without cutting it: it might turn out to be what is to be read.
    let file =
        OpenOptions::new().write(true).create(true).truncate(false).mode(0o640).open(path).map_err(|e| cannot(&e))?;
    let meta = file.metadata().map_err(|e| cannot(&e))?;
    let same = |input: &PathBuf| input.metadata().is_ok_and(|m| (m.dev(), m.ino()) == (meta.dev(), meta.ino()));
    if inputs.iter().any(same) {
        return Err(cannot(&"it is an input of this run; name another file"));
    }
    if meta.is_file() {
        file.set_len(0).map_err(|e| cannot(&e))?;
    }
    Ok(Box::new(BufWriter::with_capacity(BUFFER_BYTES, file)))
}

fn bar() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("{bar:30} {bytes}/{total_bytes} {binary_bytes_per_sec} {eta} left");
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// SHA-256 of each input that can be read twice.
fn hashes(reader: &Reader, bar: &ProgressBar, log: &Log) -> Vec<Option<String>> {
    bar.set_length(reader.position().1.unwrap_or(0));
    let one = |input: &capture::Input| {
        let path = input.path.as_deref().filter(|p| input.bytes.is_some() && File::open(p).is_ok());
        let Some(path) = path else {
            log.warn(&format!("{} can be read only once and has no hash", input.name));
            return None;
        };
        match hash::file(path, |n| bar.inc(n)) {
            Ok(hash) => Some(hash),
            Err(e) => {
                log.warn(&format!("{} has no hash: {e}", path.display()));
                None
            }
        }
    };
    reader.inputs().iter().map(one).collect()
}

/// Writes the table to standard output.
pub(crate) fn table(summary: &Summary, generation: &Generation) -> Result<(), Failure> {
    let mut out = BufWriter::new(io::stdout().lock());
    let terminal = io::stdout().is_terminal();
    let look = Look {
        width: width(terminal, DEFAULT_WIDTH),
        colour: terminal && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty()),
        meaning: &|id| rules::meaning(&generation.rules, id),
    };
    summary.write(&mut out, &look)?;
    out.flush()?;
    Ok(())
}

/// Columns to use, `default` where nobody says.
pub(crate) fn width(terminal: bool, default: usize) -> usize {
    if terminal && let Some((width, _)) = terminal_size::terminal_size() {
        return usize::from(width.0);
    }
    std::env::var("COLUMNS").ok().and_then(|c| c.parse().ok()).unwrap_or(default)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Cli;
    use clap::Parser as _;

    #[test]
    fn what_goes_where() {
        let stdout = || Some(Target::Stdout);
        let file = || Some(Target::File(Path::new("f")));
        for (options, quiet, terminal, events, table) in [
            (&[][..], false, true, None, true),
            (&[], true, true, None, true),
            (&[], false, false, stdout(), false),
            (&["-o", "-"], false, true, stdout(), false),
            (&["-o", "f"], false, true, file(), true),
            (&["-o", "f"], false, false, file(), true),
            (&["-o", "f"], true, false, file(), false),
            (&["-o", "f", "--table"], true, false, file(), true),
            (&["--table"], false, false, None, true),
            (&["--timeline"], false, false, None, false),
            (&["--timeline=10.1.2.3", "--table"], false, true, None, true),
            (&["--timeline", "-o", "f"], false, true, file(), false),
        ] {
            let cli = Cli::try_parse_from(["mcp-sensor", "replay", "x"].iter().chain(options)).unwrap();
            let crate::args::Command::Replay(args) = cli.command else { panic!("not replay") };
            assert_eq!(plan(&args, quiet, terminal).unwrap(), Plan { events, table }, "{options:?} {quiet} {terminal}");
        }
    }
}
