//! What scrapes and health checks see of a run.

use super::proxied::Proxied;
use pipeline::{Control, Snapshot};
use sinks::metrics::{self, Interface, Process, Queue, Sample, Sink};
use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// A worker that gave no sign of life for so long hangs.
const HUNG: Duration = Duration::from_secs(10);

/// What nobody else counts.
#[derive(Debug, Default)]
pub(super) struct Counters {
    /// Reloads that were refused.
    pub(super) reloads_failed: AtomicU64,
    /// The end has begun.
    pub(super) stopping: AtomicBool,
}

/// Workers that gave a sign of life lately, and all.
pub(super) fn workers(control: &Control) -> (usize, usize) {
    let silent = control.alive();
    (silent.iter().filter(|silent| **silent < HUNG).count(), silent.len())
}

/// Starts to answer scrapes, until what it gives is dropped. `sinks` looks at all of them at one moment.
pub(super) fn serve(
    listener: TcpListener,
    control: &Control,
    sinks: impl Fn() -> Vec<Sink> + Send + Sync + 'static,
    counters: &Arc<Counters>,
    proxy: &Arc<Proxied>,
) -> std::io::Result<metrics::Server> {
    let (control, counters, proxy) = (control.clone(), Arc::clone(counters), Arc::clone(proxy));
    let seen: Mutex<(u64, Arc<Snapshot>)> = Mutex::new((0, control.snapshot()));
    let source = move || {
        let snapshot = control.snapshot();
        let progress = {
            let (progress, last) = &mut *seen.lock().unwrap_or_else(PoisonError::into_inner);
            // A snapshot is published once a second, also when no packet comes.
            *progress += u64::from(!Arc::ptr_eq(last, &snapshot));
            *last = Arc::clone(&snapshot);
            *progress
        };
        sample(&snapshot, (&control, &proxy), sinks(), &counters, progress)
    };
    metrics::serve(listener, metrics::Options::default(), Arc::new(source))
}

fn sample(
    snapshot: &Snapshot,
    (control, proxy): (&Control, &Proxied),
    sinks: Vec<Sink>,
    counters: &Counters,
    progress: u64,
) -> Sample {
    let interfaces = snapshot.capture.as_ref().map_or(&[][..], |capture| &capture.interfaces);
    let (alive, configured) = workers(control);
    let (proxy_alive, proxy_configured) = proxy.threads();
    let depth = |name, depth| Queue { name, depth };
    let mut stats = snapshot.stats.clone();
    // Every sink is given every event; the snapshot is a little older than they are.
    if let Some(sink) = sinks.first() {
        stats.events = sink.stats.given;
    }
    Sample {
        version: env!("CARGO_PKG_VERSION").into(),
        stats,
        rules_generation: snapshot.rules.clone(),
        reloads_ok: snapshot.reloads,
        reloads_failed: counters.reloads_failed.load(Ordering::Relaxed),
        flows_active: snapshot.gauges.flows_active,
        reassembly_bytes: snapshot.gauges.reassembly_bytes,
        held: vec![
            ("readers", snapshot.gauges.reader_bytes),
            ("decoders", snapshot.gauges.decoder_bytes),
            ("fragments", snapshot.gauges.fragment_bytes),
            ("correlation", snapshot.gauges.correlation_bytes),
            ("proxy", snapshot.stats.proxy.as_ref().map_or(0, |proxy| proxy.held_bytes)),
        ],
        queues: vec![
            depth("capture", interfaces.iter().map(|i| i.waiting).sum()),
            depth("workers", snapshot.queues.iter().map(|n| *n as u64).sum()),
            depth("proxy", control.feed().waiting() as u64),
        ],
        workers_alive: alive as u64,
        workers_configured: configured as u64,
        worker_restarts: snapshot.stats.limits.get("worker_restarts").copied().unwrap_or(0),
        proxy_threads_alive: proxy_alive as u64,
        proxy_threads_configured: proxy_configured as u64,
        interfaces: interfaces.iter().map(interface).collect(),
        sinks,
        packet_lag: control.lag().unwrap_or_default(),
        progress,
        capturing: snapshot.capture.is_some(),
        stopping: counters.stopping.load(Ordering::Relaxed),
        process: Process::read(),
    }
}

fn interface(stats: &capture::InterfaceStats) -> Interface {
    Interface {
        name: stats.name.clone(),
        up: stats.up,
        packets: stats.received - stats.unread.min(stats.received),
        dropped: vec![
            ("kernel", stats.kernel_dropped),
            ("ring", stats.unread),
            ("interface", stats.interface_dropped),
            ("queue", stats.queue_dropped),
        ],
        cut: stats.cut,
    }
}
