//! Counters for Prometheus, and whether the sensor is well.
//!
//! The caller hands over a [`Sample`]: totals and levels as plain numbers. [`FAMILIES`] is the one list of metrics, each with
//! its type, its labels and how it is read from a sample; docs/metrics.md is written from it. [`serve`] answers for
//! `/metrics`, `/healthz` and `/readyz`.
//!
//! Labels come from closed lists, from rules and from the configuration, never from traffic. Each family has a limit
//! of series; what is beyond it is added up under `other`. Which counters are shown is settled as they come, so
//! that none ever goes down.

mod families;
mod health;
mod http;
mod render;

pub use families::{FAMILIES, Family, Kind, MAX_SERIES, page};
pub use health::{Health, Watch};
pub use http::{BindError, Options, Server, Source, bind, serve};
pub use render::Renderer;

use crate::outlet;
use correlate::record::Stats;
use std::time::Duration;

/// What every metric's name begins with, but for those of the process, which have the names everybody uses.
pub const PREFIX: &str = "mcp_sensor_";

/// The sensor at one moment. Counters are totals since the start and never go down.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    /// Version of the program.
    pub version: String,
    /// Totals of the pipeline, all of the same moment.
    pub stats: Stats,
    /// SHA-256 of the rules in force, as events give it.
    pub rules_generation: String,
    /// Reloads of rules and configuration that took effect.
    pub reloads_ok: u64,
    /// Reloads that were refused: what was in force stays.
    pub reloads_failed: u64,
    /// Flows that are remembered.
    pub flows_active: u64,
    /// Bytes that wait behind a hole.
    pub reassembly_bytes: u64,
    /// Bytes of other things that traffic makes the sensor hold, by what they are: one of few names.
    pub held: Vec<(&'static str, u64)>,
    /// Entries that wait in each queue.
    pub queues: Vec<Queue>,
    /// Threads that look at packets and are alive.
    pub workers_alive: u64,
    /// Threads that should be.
    pub workers_configured: u64,
    /// Workers built anew after a fault.
    pub worker_restarts: u64,
    /// Threads that serve clients of the proxy and are alive; what else there is to say of it is in [`Sample::stats`].
    pub proxy_threads_alive: u64,
    /// Threads that should be.
    pub proxy_threads_configured: u64,
    /// Where packets come from.
    pub interfaces: Vec<Interface>,
    /// Where events go.
    pub sinks: Vec<Sink>,
    /// How far what was analysed last lies behind the clock.
    pub packet_lag: Duration,
    /// Grows as long as the pipeline moves, also when no packet comes. Where it stands still, something hangs.
    pub progress: u64,
    /// Packets can come: everything that was asked for is open.
    pub capturing: bool,
    /// The end has begun: not ready any more, and no fault.
    pub stopping: bool,
    /// What the system says of the process.
    pub process: Option<Process>,
}

/// A queue inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Queue {
    /// One of few names.
    pub name: &'static str,
    /// Entries that wait.
    pub depth: u64,
}

/// An interface that is listened to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interface {
    /// As configured.
    pub name: String,
    /// It is there and open.
    pub up: bool,
    /// Packets it gave to us, those dropped in our queue with them.
    pub packets: u64,
    /// Packets lost before they were analysed, by where: `kernel`, `interface`, `ring`, `queue`.
    pub dropped: Vec<(&'static str, u64)>,
    /// Packets that are longer than what is taken of one.
    pub cut: u64,
}

/// A place that events go to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sink {
    /// As configured.
    pub name: String,
    /// What became of the lines.
    pub stats: outlet::OutletStats,
    /// How it is.
    pub state: outlet::State,
}

impl From<&outlet::Handle> for Sink {
    fn from(handle: &outlet::Handle) -> Self {
        Self { name: handle.name().to_owned(), stats: handle.stats(), state: handle.state() }
    }
}

/// What the system says of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    /// Resident memory, bytes.
    pub resident_bytes: u64,
    /// Open file descriptors.
    pub open_files: u64,
}

impl Process {
    /// Asks `/proc`; `None` where it cannot be read.
    pub fn read() -> Option<Self> {
        let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
        let pages: u64 = statm.split_ascii_whitespace().nth(1)?.parse().ok()?;
        // One of them is the directory that is being read.
        let open = std::fs::read_dir("/proc/self/fd").ok()?.count().saturating_sub(1);
        Some(Self { resident_bytes: pages * rustix::param::page_size() as u64, open_files: open as u64 })
    }
}

impl Sample {
    /// Packets and events lost by overload so far: what [`Watch`] looks at.
    fn lost(&self) -> u64 {
        let overload = |reason: &&String| matches!(families::place(reason), "kernel" | "ring" | "queue" | "worker");
        let packets = &self.stats.packets_dropped;
        let packets: u64 = packets.keys().filter(overload).filter_map(|reason| packets.get(reason)).sum();
        packets + self.sinks.iter().map(|sink| sink.stats.dropped).sum::<u64>()
    }
}
