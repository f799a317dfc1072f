//! `cargo xtask mutate`: damaged captures through a release program, one process each.
//!
//! A process each, because a hang, an abort and growth of memory can be told apart from outside only.

use anyhow::{Context, Result, bail, ensure};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use testkit::{Rng, mutate, watch};

/// Between two looks at a running process.
const POLL: Duration = Duration::from_millis(1);
/// Longest seed that is used, in bytes.
const MAX_SEED: u64 = 2 << 20;

struct Options {
    program: PathBuf,
    count: u64,
    seed: u64,
    jobs: u64,
    limit: Duration,
    kib: u64,
    keep: PathBuf,
    folders: Vec<PathBuf>,
}

impl Options {
    fn parse(arguments: &[&str]) -> Result<Self> {
        let (mut program, mut count, mut seed, mut jobs, mut seconds, mut mib) = (None, 10_000, 1, 2, 20, 512);
        let (mut keep, mut folders) = (None, Vec::new());
        let mut words = arguments.iter();
        while let Some(word) = words.next() {
            let mut value = || words.next().copied().with_context(|| format!("{word} needs a value"));
            let number = |text: &str| text.parse::<u64>().with_context(|| format!("{word} wants a number"));
            match *word {
                "--bin" => program = Some(fs::canonicalize(value()?).context("--bin")?),
                "--count" => count = number(value()?)?,
                "--seed" => seed = number(value()?)?,
                "--jobs" => jobs = number(value()?)?.max(1),
                "--seconds" => seconds = number(value()?)?,
                "--mib" => mib = number(value()?)?,
                "--keep" => keep = Some(PathBuf::from(value()?)),
                other if other.starts_with('-') => bail!("`{other}` is unknown"),
                folder => folders.push(PathBuf::from(folder)),
            }
        }
        if folders.is_empty() {
            folders = vec![crate::root().join("fixtures/captures"), crate::root().join("fixtures/seeds/reader")];
        }
        Ok(Self {
            program: program.context("--bin PATH: which program?")?,
            count,
            seed,
            jobs,
            limit: Duration::from_secs(seconds),
            kib: mib * 1024,
            keep: keep.unwrap_or_else(std::env::temp_dir),
            folders,
        })
    }
}

/// What became of all of them.
#[derive(Default)]
struct Report {
    faults: Vec<String>,
    slowest: (Duration, u64),
    largest: (u64, u64),
    unreadable: u64,
}

/// Runs all; an error where any panicked, hung, grew or ended in an odd way. Those files are kept.
pub(crate) fn run(arguments: &[&str]) -> Result<()> {
    let options = Options::parse(arguments)?;
    let mut files = Vec::new();
    for folder in &options.folders {
        crate::sweep::collect(folder, &mut files)?;
    }
    files.retain(|file| file.metadata().is_ok_and(|m| m.len() <= MAX_SEED));
    files.sort();
    ensure!(!files.is_empty(), "no seeds");
    let scratch = std::env::temp_dir().join(format!("mcp-sensor-mutate-{}", std::process::id()));
    fs::create_dir(&scratch).with_context(|| scratch.display().to_string())?;
    let (next, report) = (AtomicU64::new(0), Mutex::new(Report::default()));
    let done = std::thread::scope(|scope| {
        let worker = |job: u64| {
            let (options, files, scratch, next, report) = (&options, &files, &scratch, &next, &report);
            scope.spawn(move || work(options, files, &scratch.join(job.to_string()), next, report))
        };
        let workers: Vec<_> = (0..options.jobs).map(worker).collect();
        workers.into_iter().try_for_each(|w| w.join().unwrap_or_else(|_| bail!("a worker failed")))
    });
    fs::remove_dir_all(&scratch).context("removing scratch files")?;
    done?;
    let report = report.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    println!("{} mutants of {} files, {} of them unreadable", options.count, files.len(), report.unreadable);
    println!("slowest {:.2} s: number {}", report.slowest.0.as_secs_f64(), report.slowest.1);
    println!("largest {} MiB: number {}", report.largest.0 / 1024, report.largest.1);
    ensure!(report.faults.is_empty(), "{} with faults", report.faults.len());
    Ok(())
}

fn work(options: &Options, files: &[PathBuf], place: &Path, next: &AtomicU64, report: &Mutex<Report>) -> Result<()> {
    let (input, out, err) = (place.with_extension("pcap"), place.with_extension("out"), place.with_extension("err"));
    loop {
        let n = next.fetch_add(1, Ordering::Relaxed);
        if n >= options.count {
            return Ok(());
        }
        let seed = options.seed.wrapping_mul(0x1_0000_0001).wrapping_add(n);
        let file = files.get(Rng::new(seed ^ 0x5eed).below(files.len())).context("no seed")?;
        fs::write(&input, mutate::mutate(&fs::read(file)?, seed))?;
        let start = Instant::now();
        let (status, peak) = replay(options, &input, &out, &err)?;
        let took = start.elapsed();
        let said = fs::read_to_string(&err).unwrap_or_default();
        let written = fs::read_to_string(&out).unwrap_or_default();
        let fault = fault(options, status, peak, &said, &written);
        let mut report = report.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        report.slowest = report.slowest.max((took, n));
        report.largest = report.largest.max((peak, n));
        report.unreadable += u64::from(status.and_then(|s| s.code()) == Some(2));
        if let Some(fault) = fault {
            let kept = options.keep.join(format!("mutant-{}-{n}.pcap", options.seed));
            fs::copy(&input, &kept).with_context(|| kept.display().to_string())?;
            println!("{fault}\n  of {}, kept as {}", file.display(), kept.display());
            report.faults.push(fault);
        }
    }
}

/// How the program ended, if by itself, and the most memory it had.
fn replay(options: &Options, input: &Path, out: &Path, err: &Path) -> Result<(Option<ExitStatus>, u64)> {
    let mut child = Command::new(&options.program)
        .args(["replay", "--threads", "2", "-o", "-"])
        .arg(input)
        .env("RUST_BACKTRACE", "0")
        .stdin(Stdio::null())
        .stdout(File::create(out)?)
        .stderr(File::create(err)?)
        .spawn()
        .with_context(|| options.program.display().to_string())?;
    let (start, mut peak) = (Instant::now(), 0);
    loop {
        peak = peak.max(watch::peak_kib(&child));
        if let Some(status) = child.try_wait()? {
            return Ok((Some(status), peak));
        }
        if start.elapsed() > options.limit || peak > options.kib {
            child.kill()?;
            child.wait()?;
            return Ok((None, peak));
        }
        std::thread::sleep(POLL);
    }
}

fn fault(options: &Options, status: Option<ExitStatus>, peak: u64, said: &str, written: &str) -> Option<String> {
    let first = said.lines().find(|l| l.contains("panicked") || l.contains("error")).unwrap_or_default();
    if peak > options.kib {
        return Some(format!("MEMORY {} MiB", peak / 1024));
    }
    match status.map(|s| s.code()) {
        None => return Some(format!("HANG over {} s", options.limit.as_secs())),
        Some(Some(0 | 2)) => {}
        Some(Some(1)) if !said.contains("panicked") && !said.contains("fault in this program") => {}
        Some(code) => return Some(format!("PANIC status {code:?}: {first}")),
    }
    if written.contains("\"code\":\"internal_fault\"") || said.contains("panicked") {
        return Some(format!("PANIC caught: {first}"));
    }
    let mut tally = testkit::flood::Tally::default();
    written.lines().for_each(|line| tally.line(line));
    let (packets, counted) =
        (tally.stat("", "packets"), tally.stat("", "packets_analysed") + tally.sum("packets_dropped"));
    (packets != counted).then(|| format!("COUNT {counted} packets accounted for, of {packets}"))
}
