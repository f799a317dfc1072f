//! `cargo xtask sweep`: a folder of captures that hold no MCP, one process each.

use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Between two looks at a running process.
const POLL: Duration = Duration::from_millis(5);

struct Options {
    folder: PathBuf,
    program: PathBuf,
    limit: Duration,
    kib: u64,
}

impl Options {
    fn parse(arguments: &[&str]) -> Result<Self> {
        let (mut folder, mut program, mut seconds, mut mib) = (None, None, 20, 512);
        let mut words = arguments.iter();
        while let Some(word) = words.next() {
            let mut value = || words.next().with_context(|| format!("{word} needs a value"));
            match *word {
                "--bin" => program = Some(PathBuf::from(value()?)),
                "--seconds" => seconds = value()?.parse().context("--seconds wants a number")?,
                "--mib" => mib = value()?.parse().context("--mib wants a number")?,
                path if folder.is_none() && !path.starts_with('-') => folder = Some(PathBuf::from(path)),
                other => bail!("`{other}` is unknown"),
            }
        }
        let folder = folder.context("which folder?")?;
        // Relative to where the user stands, not to the workspace.
        let program = fs::canonicalize(program.context("--bin PATH: which program?")?).context("--bin")?;
        Ok(Self { folder, program, limit: Duration::from_secs(seconds), kib: mib * 1024 })
    }
}

/// What went wrong with one file.
enum Fault {
    Hang(Duration),
    Memory(u64),
    Panic(String),
    /// It did not call the file unreadable (1), but itself misused (2) or whatever else.
    Status(String),
    Alarm(String),
}

struct Outcome {
    status: Option<ExitStatus>,
    took: Duration,
    peak_kib: u64,
    faults: Vec<Fault>,
}

/// Sweeps the folder; an error where any file panicked, hung, took too much memory, ended in an odd status or was accused.
pub(crate) fn run(arguments: &[&str]) -> Result<()> {
    let options = Options::parse(arguments)?;
    let mut files = Vec::new();
    collect(&options.folder, &mut files)?;
    files.sort();
    let scratch = std::env::temp_dir().join(format!("mcp-sensor-sweep-{}", std::process::id()));
    fs::create_dir(&scratch).with_context(|| scratch.display().to_string())?;
    let swept = sweep(&options, &files, &scratch);
    fs::remove_dir_all(&scratch).context("removing scratch files")?;
    swept
}

fn sweep(options: &Options, files: &[PathBuf], scratch: &Path) -> Result<()> {
    let mut statuses: BTreeMap<String, usize> = BTreeMap::new();
    let (mut bad, mut slowest, mut largest) = (0, (Duration::ZERO, ""), (0, ""));
    let names: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
    for (file, name) in files.iter().zip(&names) {
        let outcome = replay(options, file, scratch)?;
        let status = outcome.status.map_or("killed by us".to_owned(), |status| match status.code() {
            Some(code) => format!("exit {code}"),
            None => status.to_string(),
        });
        *statuses.entry(status.clone()).or_default() += 1;
        if outcome.took > slowest.0 {
            slowest = (outcome.took, name);
        }
        if outcome.peak_kib > largest.0 {
            largest = (outcome.peak_kib, name);
        }
        bad += usize::from(!outcome.faults.is_empty());
        for fault in outcome.faults {
            match fault {
                Fault::Hang(after) => println!("HANG    {name}: over {} s", after.as_secs()),
                Fault::Memory(kib) => println!("MEMORY  {name}: {} MiB", kib / 1024),
                Fault::Panic(line) => println!("PANIC   {name} ({status}): {line}"),
                Fault::Status(line) => println!("STATUS  {name} ({status}): {line}"),
                Fault::Alarm(line) => println!("ALARM   {name}: {line}"),
            }
        }
    }
    println!("{} files", files.len());
    for (status, count) in statuses {
        println!("  {count:6} {status}");
    }
    println!("slowest {:.2} s: {}", slowest.0.as_secs_f64(), slowest.1);
    println!("largest {} MiB: {}", largest.0 / 1024, largest.1);
    if bad > 0 {
        bail!("{bad} files with faults");
    }
    Ok(())
}

pub(crate) fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.is_file() {
            files.push(path);
        }
    }
    Ok(())
}

fn replay(options: &Options, file: &Path, scratch: &Path) -> Result<Outcome> {
    let (out, err) = (scratch.join("out"), scratch.join("err"));
    let mut child = Command::new(&options.program)
        .args(["replay", "-o", "-"])
        .arg(file)
        .env("RUST_BACKTRACE", "0")
        .stdin(Stdio::null())
        .stdout(File::create(&out)?)
        .stderr(File::create(&err)?)
        .spawn()
        .with_context(|| options.program.display().to_string())?;
    let start = Instant::now();
    let mut outcome = Outcome { status: None, took: Duration::ZERO, peak_kib: 0, faults: Vec::new() };
    loop {
        outcome.peak_kib = outcome.peak_kib.max(peak_kib(&child));
        if let Some(status) = child.try_wait()? {
            outcome.status = Some(status);
            break;
        }
        let hangs = start.elapsed() > options.limit;
        if hangs {
            outcome.faults.push(Fault::Hang(options.limit));
        }
        if hangs || outcome.peak_kib > options.kib {
            child.kill()?;
            child.wait()?;
            break;
        }
        std::thread::sleep(POLL);
    }
    outcome.took = start.elapsed();
    if outcome.peak_kib > options.kib {
        outcome.faults.push(Fault::Memory(outcome.peak_kib));
    }
    // 101 is the status of a panic that ends the program; a signal is a crash. Panics that were caught are notices.
    let said = || fs::read_to_string(&err).unwrap_or_default().lines().next().unwrap_or_default().to_owned();
    match outcome.status.map(|status| status.code()) {
        // 2 is the clear answer to a file that is no capture; the summary counts it.
        None | Some(Some(0..=2)) => {}
        Some(None | Some(101)) => outcome.faults.push(Fault::Panic(said())),
        Some(Some(_)) => outcome.faults.push(Fault::Status(said())),
    }
    for line in BufReader::new(File::open(&out)?).lines().map_while(Result::ok) {
        let has = |text: &str| line.contains(text);
        if has("\"code\":\"internal_fault\"") {
            outcome.faults.push(Fault::Panic(line));
        } else if has("\"type\":\"detection\"")
            && (has("\"confidence\":\"likely\"") || has("\"confidence\":\"confirmed\""))
        {
            outcome.faults.push(Fault::Alarm(line));
        }
    }
    Ok(outcome)
}

/// Peak resident memory so far, from `/proc` (Linux only; 0 elsewhere, and once the process has ended).
fn peak_kib(child: &Child) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse().unwrap_or(0)
}
