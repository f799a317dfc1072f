//! `cargo xtask soak`: mixed traffic without end through one process, and what it holds as time goes by.

#![allow(clippy::cast_precision_loss, reason = "slopes for people to read")]

use anyhow::{Context, Result, bail, ensure};
use std::fs;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use testkit::flood::{Mixed, Written};

/// From one look at the process to the next.
const LOOK: Duration = Duration::from_secs(10);
/// So many rounds do not count for the slope, since tables fill: two hours of packet time, where the longest timeout is one.
const WARM_UP: u64 = 7200 / Mixed::SECONDS;
/// Most growth, in MiB an hour, of runs that are long enough to tell.
const SLOPE: f64 = 1.0;
/// So long a run has to be, for that.
const LONG_ENOUGH: u64 = 20;
/// Reloads of a live run.
const RELOADS: u64 = 1_000;
/// Rounds a second of a live run, some 2,500 packets each.
const PACE: u64 = 8;
const SENDER: &str = "far0";
const SPAN: &str = "span0";

struct Options {
    program: PathBuf,
    minutes: u64,
    threads: u8,
    config: Option<PathBuf>,
    live: bool,
}

impl Options {
    fn parse(arguments: &[&str]) -> Result<Self> {
        let (mut program, mut minutes, mut threads, mut config, mut live) = (None, 30, 1, None, false);
        let mut words = arguments.iter();
        while let Some(word) = words.next() {
            let mut value = || words.next().with_context(|| format!("{word} needs a value"));
            match *word {
                "--bin" => program = Some(fs::canonicalize(value()?).context("--bin")?),
                "--minutes" => minutes = value()?.parse().context("--minutes wants a number")?,
                "--threads" => threads = value()?.parse().context("--threads wants a number")?,
                "--config" => config = Some(fs::canonicalize(value()?).context("--config")?),
                "--live" => live = true,
                other => bail!("`{other}` is unknown"),
            }
        }
        Ok(Self { program: program.context("--bin PATH: which program?")?, minutes, threads, config, live })
    }

    /// The program with what both ways share; `head` comes before it.
    fn command(&self, head: &[&str], words: &[&str]) -> Command {
        let program = self.program.as_os_str();
        let mut command = Command::new(head.first().map_or(program, |first| first.as_ref()));
        if let [_, rest @ ..] = head {
            command.args(rest).arg(program);
        }
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("MCP_SENSOR_")) {
            command.env_remove(name);
        }
        command.args(words).args(["--threads", &self.threads.to_string()]);
        if let Some(config) = &self.config {
            command.arg("--config").arg(config);
        }
        command.stdout(Stdio::piped());
        command
    }
}

/// What one look showed.
struct Look {
    at: Duration,
    rounds: u64,
    kib: u64,
    descriptors: usize,
}

/// What a run came to.
struct Outcome {
    rounds: u64,
    written: Written,
    found: u64,
    looks: Vec<Look>,
}

/// Runs it. An error where detections are missing, descriptors are added or, in a run that is long enough, memory grows.
pub(crate) fn run(arguments: &[&str]) -> Result<()> {
    if let ["feed", minutes] = arguments {
        return feed_cable(Duration::from_secs(60 * minutes.parse::<u64>()?));
    }
    let options = Options::parse(arguments)?;
    println!("{:>6} {:>10} {:>4} {:>10} {:>10}", "s", "KiB", "fds", "found", "rounds");
    let outcome = if options.live { live(&options)? } else { piped(&options)? };
    let Outcome { rounds, written, found, looks } = &outcome;
    let wanted = rounds * Mixed::CALLS;
    let warm = looks.iter().position(|look| look.rounds >= WARM_UP).unwrap_or(looks.len());
    let counted = looks.get(warm..).unwrap_or_default();
    let slope = slope(counted);
    println!(
        "{rounds} rounds, {} packets, {} MiB; {found} of {wanted} calls found; {slope:+.2} MiB an hour",
        written.packets,
        written.bytes >> 20
    );
    ensure!(*found == wanted, "{found} of {wanted} calls found");
    let descriptors = counted.iter().map(|look| look.descriptors);
    ensure!(descriptors.clone().min() == descriptors.max(), "the number of descriptors changes");
    // Live, an hour has to pass before the first idle connection goes.
    ensure!(options.live || options.minutes < LONG_ENOUGH || slope < SLOPE, "memory grows by {slope:.2} MiB an hour");
    Ok(())
}

/// MiB an hour, by least squares.
fn slope(looks: &[Look]) -> f64 {
    let n = looks.len() as f64;
    let points = || looks.iter().map(|look| (look.at.as_secs_f64() / 3600.0, look.kib as f64 / 1024.0));
    let (x, y) = points().fold((0.0, 0.0), |(x, y), (a, b)| (x + a / n, y + b / n));
    let (above, below) = points().fold((0.0, 0.0), |(p, q), (a, b)| (p + (a - x) * (b - y), q + (a - x) * (a - x)));
    if below > 0.0 { above / below } else { 0.0 }
}

fn is_call(line: &str) -> bool {
    line.contains(r#""type":"detection""#)
        && line.contains(r#""client":{"ip":"10.77."#)
        && [r#""confidence":"likely""#, r#""confidence":"confirmed""#].iter().any(|c| line.contains(c))
}

/// Looks at a process until `over`.
fn watch(child: &Child, rounds: &AtomicU64, found: &AtomicU64, over: &AtomicBool) -> Vec<Look> {
    let (begun, folder) = (Instant::now(), format!("/proc/{}", child.id()));
    let mut looks = Vec::new();
    while !over.load(Ordering::Acquire) {
        let status = fs::read_to_string(format!("{folder}/status")).unwrap_or_default();
        let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
        let kib = rss.trim().trim_end_matches(" kB").parse().unwrap_or(0);
        let descriptors = fs::read_dir(format!("{folder}/fd")).map_or(0, Iterator::count);
        // The last look may come too late.
        if kib > 0 && descriptors > 0 {
            let at = begun.elapsed();
            let (found, rounds) = (found.load(Ordering::Relaxed), rounds.load(Ordering::Relaxed));
            println!("{:>6} {kib:>10} {descriptors:>4} {found:>10} {rounds:>10}", at.as_secs());
            looks.push(Look { at, rounds, kib, descriptors });
        }
        let until = Instant::now() + LOOK;
        while Instant::now() < until && !over.load(Ordering::Acquire) {
            thread::sleep(Duration::from_millis(100));
        }
    }
    looks
}

/// Rounds as fast as they are read.
fn piped(options: &Options) -> Result<Outcome> {
    let mut child = options
        .command(&[], &["replay", "/dev/stdin", "-o", "-"])
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .context("cannot start the program")?;
    let (stdin, stdout) = (child.stdin.take().context("no input")?, child.stdout.take().context("no output")?);
    let (rounds, found, over) = (AtomicU64::new(0), AtomicU64::new(0), AtomicBool::new(false));
    let until = Instant::now() + Duration::from_secs(60 * options.minutes);
    let (written, looks) = thread::scope(|scope| {
        let feeder = scope.spawn(|| {
            let mut out = BufWriter::with_capacity(1 << 20, stdin);
            let mut mixed = Mixed::new(&mut out)?;
            while Instant::now() < until {
                mixed.round()?;
                rounds.store(mixed.rounds(), Ordering::Relaxed);
            }
            let written = mixed.written();
            // From here on the program comes to its end.
            over.store(true, Ordering::Release);
            out.flush()?;
            Ok::<_, io::Error>(written)
        });
        let watcher = scope.spawn(|| watch(&child, &rounds, &found, &over));
        let read = count(BufReader::new(stdout), &found);
        // Also where it ended too soon.
        over.store(true, Ordering::Release);
        let written = feeder.join().map_err(|_| io::Error::other("the traffic failed"))??;
        let looks = watcher.join().map_err(|_| io::Error::other("the watcher failed"))?;
        read.map(|()| (written, looks))
    })?;
    ensure!(child.wait()?.success(), "the program failed");
    Ok(Outcome { rounds: rounds.into_inner(), written, found: found.into_inner(), looks })
}

fn count(lines: impl BufRead, found: &AtomicU64) -> io::Result<()> {
    for line in lines.lines() {
        found.fetch_add(u64::from(is_call(&line?)), Ordering::Relaxed);
    }
    Ok(())
}

/// Two network namespaces with a cable between them; gone when this is.
struct Cable {
    far: String,
    near: String,
}

impl Cable {
    fn lay() -> Result<Self> {
        let name = |end: &str| format!("mcs-soak-{end}-{}", std::process::id());
        let cable = Self { far: name("far"), near: name("near") };
        let (far, near) = (cable.far.as_str(), cable.near.as_str());
        for name in [far, near] {
            ip(&["netns", "add", name])?;
            // Otherwise the kernel says its own things on the cable.
            for which in ["all", "default"] {
                let quiet = format!("net.ipv6.conf.{which}.disable_ipv6=1");
                ip(&["netns", "exec", name, "sysctl", "-qw", &quiet])?;
            }
        }
        ip(&["-n", far, "link", "add", SENDER, "type", "veth", "peer", "name", SPAN, "netns", near])?;
        for (name, interface) in [(far, SENDER), (near, SPAN)] {
            ip(&["-n", name, "link", "set", interface, "mtu", "65535", "arp", "off", "up"])?;
        }
        Ok(cable)
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        for name in [&self.far, &self.near] {
            // Nothing can be done about one that stays.
            let _ = ip(&["netns", "del", name]);
        }
    }
}

fn ip(words: &[&str]) -> Result<()> {
    let output = Command::new("ip").args(words).output().context("there is no `ip` (package iproute2)")?;
    ensure!(output.status.success(), "ip {}: {}", words.join(" "), String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// Rounds at an even pace over a cable, and reloads all the time.
fn live(options: &Options) -> Result<Outcome> {
    let cable = Cable::lay()?;
    let near = ["ip", "netns", "exec", &cable.near];
    let mut child = options
        .command(&near, &["capture", "-i", SPAN, "-o", "-"])
        .stderr(Stdio::null())
        .spawn()
        .context("cannot start the program")?;
    let stdout = BufReader::new(child.stdout.take().context("no output")?);
    // Until its interface is open.
    thread::sleep(Duration::from_secs(5));
    let (rounds, found, over) = (AtomicU64::new(0), AtomicU64::new(0), AtomicBool::new(false));
    let length = Duration::from_secs(60 * options.minutes);
    let own = std::env::current_exe().context("where is xtask?")?;
    let mut feeder = Command::new("ip")
        .args(["netns", "exec", &cable.far])
        .arg(own)
        .args(["soak", "feed", &options.minutes.to_string()])
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start the sender")?;
    let said = BufReader::new(feeder.stdout.take().context("the sender says nothing")?);
    let pid = child.id().to_string();
    let (written, looks) = thread::scope(|scope| {
        let counter = scope.spawn(|| count(stdout, &found));
        let watcher = scope.spawn(|| watch(&child, &rounds, &found, &over));
        scope.spawn(|| {
            let every = length / u32::try_from(RELOADS + 1).unwrap_or(u32::MAX);
            for _ in 0..RELOADS {
                thread::sleep(every);
                if over.load(Ordering::Acquire) || signal(&pid, "-HUP").is_err() {
                    break;
                }
            }
        });
        let mut written = Written { packets: 0, bytes: 0 };
        for line in said.lines() {
            let line = line?;
            let numbers: Vec<u64> = line.split(' ').filter_map(|n| n.parse().ok()).collect();
            let [done, packets, bytes] = numbers[..] else { bail!("the sender said `{line}`") };
            rounds.store(done, Ordering::Relaxed);
            written = Written { packets, bytes };
        }
        // What waits for its answer or in a queue.
        thread::sleep(Duration::from_secs(10));
        over.store(true, Ordering::Release);
        signal(&pid, "-TERM")?;
        counter.join().map_err(|_| io::Error::other("the reader failed"))??;
        let looks = watcher.join().map_err(|_| io::Error::other("the watcher failed"))?;
        Ok((written, looks))
    })?;
    ensure!(feeder.wait()?.success(), "the sender failed");
    ensure!(child.wait()?.success(), "the program failed");
    Ok(Outcome { rounds: rounds.into_inner(), written, found: found.into_inner(), looks })
}

fn signal(pid: &str, which: &str) -> Result<()> {
    let status = Command::new("kill").args([which, pid]).status().context("there is no `kill`")?;
    ensure!(status.success(), "kill {which} {pid}");
    Ok(())
}

/// Sends rounds over the cable, in the namespace that it was started in; says after each how far it is.
fn feed_cable(length: Duration) -> Result<()> {
    let mut wire = Wire::open()?;
    let mut mixed = Mixed::new(&mut wire)?;
    let begun = Instant::now();
    let mut out = io::stdout().lock();
    while begun.elapsed() < length {
        mixed.round()?;
        let Written { packets, bytes } = mixed.written();
        writeln!(out, "{} {packets} {bytes}", mixed.rounds())?;
        let due = begun + Duration::from_millis(mixed.rounds() * 1000 / PACE);
        thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    Ok(())
}

/// Takes a pcap file as it is written, and sends each frame as soon as it is whole.
struct Wire {
    out: pcap::Capture<pcap::Active>,
    waiting: Vec<u8>,
    /// The head of the file has passed.
    begun: bool,
}

impl Wire {
    const FILE_HEAD: usize = 24;
    const FRAME_HEAD: usize = 16;

    fn open() -> Result<Self> {
        let out = pcap::Capture::from_device(Path::new(SENDER).to_str().unwrap_or_default())?.open()?;
        Ok(Self { out, waiting: Vec::new(), begun: false })
    }

    /// Sends the first frame of what waits, if it is whole; how much that was.
    fn frame(&mut self) -> io::Result<Option<usize>> {
        let Some(length) = self.waiting.get(8..12).and_then(|bytes| bytes.try_into().ok()) else { return Ok(None) };
        let end = Self::FRAME_HEAD + usize::try_from(u32::from_le_bytes(length)).map_err(io::Error::other)?;
        let Some(frame) = self.waiting.get(Self::FRAME_HEAD..end) else { return Ok(None) };
        // The queue of the interface is short.
        let mut tries = 0;
        while let Err(error) = self.out.sendpacket(frame) {
            tries += 1;
            if tries > 1000 {
                return Err(io::Error::other(error));
            }
            thread::sleep(Duration::from_micros(200));
        }
        Ok(Some(end))
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.waiting.extend_from_slice(bytes);
        if !self.begun && self.waiting.len() >= Self::FILE_HEAD {
            self.waiting.drain(..Self::FILE_HEAD);
            self.begun = true;
        }
        while self.begun
            && let Some(end) = self.frame()?
        {
            self.waiting.drain(..end);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
