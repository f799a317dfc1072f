//! The proxy beside the packets: from listeners to what it tells and counts.

use super::Plan;
use crate::failure::Failure;
use crate::process::{guard_memory, open_many_files};
use correlate::record::{Latency, ProxyStats};
use detect::{Generation, Observation};
use pipeline::{Control, Feed, Outside};
use proxy::{LATENCY_BOUNDS_US, Reporter, Running, Settings, Totals};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A proxy that was started, unless there is none or it has ended.
pub(super) struct Proxied {
    running: Mutex<Option<Running>>,
    addresses: Vec<SocketAddr>,
}

/// Binds the listeners of `plan` and reads the CA, if there is anything to listen on.
///
/// `own` are other addresses that this process listens on.
pub(super) fn bind(
    plan: &Plan<'_>,
    generation: &Arc<Generation>,
    own: Vec<SocketAddr>,
) -> Result<Option<proxy::Proxy>, Failure> {
    let config = &plan.config.live.proxy;
    if config.listeners.is_empty() {
        return Ok(None);
    }
    guard_memory().map_err(|e| Failure::run(e.to_string()))?;
    open_many_files();
    let options = config.options(plan.sources.len(), plan.config.look_alikes, own).map_err(Failure::usage)?;
    let bound = proxy::Proxy::bind(options, config.settings(generation));
    bound.map(Some).map_err(|e| Failure::usage(e.to_string()))
}

/// Starts its threads. What it sees goes to the run that `control` is of, as does what it counts.
pub(super) fn start(bound: Option<proxy::Proxy>, control: &Control) -> Result<Proxied, Failure> {
    let Some(bound) = bound else { return Ok(Proxied { running: Mutex::new(None), addresses: Vec::new() }) };
    let addresses = bound.addresses().to_vec();
    let running = bound.start(Arc::new(Way(control.feed())));
    let running = running.map_err(|e| Failure::run(format!("cannot start the threads of the proxy: {e}")))?;
    let (counters, feed) = (running.counters(), control.feed());
    control.set_outside(move || outside(counters.totals(), &feed));
    Ok(Proxied { running: Mutex::new(Some(running)), addresses })
}

impl Proxied {
    /// Where clients connect.
    pub(super) fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Threads that gave a sign of life lately, and all.
    pub(super) fn threads(&self) -> (usize, usize) {
        self.running().as_ref().map_or((0, 0), Running::threads)
    }

    /// Puts other settings in force.
    pub(super) fn reload(&self, settings: Settings) -> Result<(), String> {
        self.running().as_ref().map_or(Ok(()), |running| running.reload(settings))
    }

    /// Ends it: connections may go on for so long.
    pub(super) fn stop(&self, patience: Duration) {
        let running = self.running().take();
        if let Some(running) = running {
            running.stop(patience);
        }
    }

    fn running(&self) -> MutexGuard<'_, Option<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes what the proxy sees to the serial stage.
struct Way(Feed);

impl Reporter for Way {
    fn report(&self, observation: Observation) -> Result<(), Box<Observation>> {
        self.0.give(observation)
    }
}

/// Totals of a proxy, in the words of events.
fn outside(totals: Totals, feed: &Feed) -> Outside {
    let Totals { connections, active, held_bytes, observations_dropped, words, latency, inspected } = totals;
    let mut stats = ProxyStats {
        connections,
        connections_active: active,
        held_bytes,
        observations_dropped: observations_dropped.max(feed.dropped()),
        added_latency: Latency {
            count: latency.buckets.iter().sum(),
            sum_us: latency.sum_ns / 1000,
            up_to_us: cumulated(&latency.buckets),
        },
        ..ProxyStats::default()
    };
    for ((family, word), n) in words.into_iter().filter(|(_, n)| *n > 0) {
        let (map, word) = match family {
            "requests" => (&mut stats.requests, word.to_owned()),
            "tls_client" => (&mut stats.tls_client, word.to_owned()),
            "tls_origin" => (&mut stats.tls_origin, word.to_owned()),
            "refused" => (&mut stats.refused, word.to_owned()),
            "tunnelled" => (&mut stats.tunnelled, word.to_owned()),
            "actions" => (&mut stats.actions, word.to_owned()),
            "limit" => (&mut stats.limits, word.to_owned()),
            family => (&mut stats.others, format!("{family}_{word}")),
        };
        *map.entry(word).or_default() += n;
    }
    Outside { proxy: Some(stats), inspected }
}

/// Buckets as they are asked for: each with those below it.
fn cumulated(buckets: &[u64]) -> BTreeMap<u64, u64> {
    let sums = buckets.iter().scan(0, |sum, n| {
        *sum += n;
        Some(*sum)
    });
    LATENCY_BOUNDS_US.into_iter().zip(sums).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_go_to_the_family_that_events_have_for_them() {
        let mut totals = Totals { connections: 3, ..Totals::default() };
        totals.latency.buckets[0] = 2;
        totals.latency.buckets[2] = 5;
        totals.latency.sum_ns = 70_000;
        for (family, word) in [("requests", "200"), ("limit", "hold_bytes"), ("websocket", "closed")] {
            totals.words.insert((family, word), 4);
        }
        let proxy = outside(totals, &Feed::default()).proxy.unwrap();
        assert_eq!((proxy.connections, proxy.requests["200"], proxy.limits["hold_bytes"]), (3, 4, 4));
        assert_eq!(proxy.others["websocket_closed"], 4);
        let latency = proxy.added_latency;
        assert_eq!((latency.count, latency.sum_us, latency.up_to_us[&25], latency.up_to_us[&50]), (7, 70, 2, 7));
    }
}
