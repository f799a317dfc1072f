//! Running a program that eats a flood, and what that cost it (Linux: from `/proc`; zeros elsewhere).

use crate::flood::{Flood, Tally, Written};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

/// Between two looks at the memory of a process. What it takes after the last look is not seen.
const POLL: Duration = Duration::from_millis(2);
/// Nanoseconds of one tick of the kernel's process times, as `/proc` has always counted them.
const TICK_NS: u64 = 10_000_000;

/// What became of a program and of the flood it was fed.
#[derive(Debug)]
pub struct Outcome {
    /// How it ended.
    pub status: ExitStatus,
    /// What it found.
    pub tally: Tally,
    /// What it was fed.
    pub written: Written,
    /// Highest resident memory seen, in KiB.
    pub peak_kib: u64,
    /// Processor time of all its threads, in nanoseconds, to 10 ms.
    pub cpu_ns: u64,
}

/// Runs `command` with the flood on its standard input; what it writes must be lines of events.
///
/// # Errors
///
/// Where it cannot be started, stops reading, or writes what is no text.
pub fn feed(command: &mut Command, flood: &Flood) -> io::Result<Outcome> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let stdin = child.stdin.take().ok_or_else(|| io::Error::other("no standard input"))?;
    let stdout = child.stdout.take().ok_or_else(|| io::Error::other("no standard output"))?;
    let (peak, over) = (AtomicU64::new(0), AtomicBool::new(false));
    let (written, tally) = thread::scope(|scope| {
        let feeder = scope.spawn(move || {
            let mut out = BufWriter::with_capacity(1 << 20, stdin);
            let written = flood.write(&mut out)?;
            out.flush()?;
            Ok::<_, io::Error>(written)
        });
        scope.spawn(|| {
            while !over.load(Ordering::Acquire) {
                peak.fetch_max(peak_kib(&child), Ordering::Relaxed);
                thread::sleep(POLL);
            }
        });
        let mut tally = Tally::default();
        let read = BufReader::new(stdout).lines().try_for_each(|line| {
            tally.line(&line?);
            Ok::<_, io::Error>(())
        });
        over.store(true, Ordering::Release);
        let written = feeder.join().map_err(|_| io::Error::other("the flood failed"));
        read.and(written.and_then(|w| w)).map(|w| (w, tally))
    })?;
    let cpu_ns = cpu_ns_at_end(&child);
    let status = child.wait()?;
    Ok(Outcome { status, tally, written, peak_kib: peak.load(Ordering::Relaxed), cpu_ns })
}

/// Peak resident memory so far, in KiB; 0 once the process has ended.
pub fn peak_kib(child: &Child) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse().unwrap_or(0)
}

/// Waits until the process has ended but is not yet collected, and reads the time it took.
fn cpu_ns_at_end(child: &Child) -> u64 {
    loop {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap_or_default();
        // The name in parentheses may hold anything; the fields behind it are numbers, the state first.
        let fields: Vec<&str> = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
        let ticks = |at: usize| fields.get(at).and_then(|n| n.parse::<u64>().ok()).unwrap_or(0);
        if !matches!(fields.first(), Some(&state) if state != "Z") {
            return (ticks(11) + ticks(12)) * TICK_NS;
        }
        thread::sleep(POLL);
    }
}
