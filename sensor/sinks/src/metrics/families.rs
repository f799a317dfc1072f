//! The list of metrics.

use super::{Health, Sample};
use crate::outlet::State;
use correlate::record::{Latency, ProxyStats};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

/// Most series of all families together; the limits of the families add up to it at most.
pub const MAX_SERIES: usize = 2000;

/// What may happen to a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It only grows.
    Counter,
    /// It goes up and down.
    Gauge,
    /// How often something was measured, by bound, and the sum of it.
    Histogram,
}

/// How a family is read from a sample.
#[derive(Clone, Copy, Debug)]
pub(super) enum Read {
    /// Each series for itself.
    Values(fn(&Sample, &Health, &mut Give<'_>)),
    /// How long something took.
    Times(fn(&Sample) -> Option<&Latency>),
}

/// Takes the values of the labels, in the order of [`Family::labels`], and the number.
pub(super) type Give<'g> = dyn FnMut(&[&str], f64) + 'g;

/// One metric.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    /// Without the prefix. Never changed, never used again for something else.
    pub name: &'static str,
    /// What may happen to it.
    pub kind: Kind,
    /// Names of its labels.
    pub labels: &'static [&'static str],
    /// Most series, the one for all others with them.
    pub most: usize,
    /// What it is, for people.
    pub help: &'static str,
    /// Reads it from a sample.
    pub(super) read: Read,
}

const fn counter(name: &'static str, help: &'static str, read: fn(&Sample, &Health, &mut Give<'_>)) -> Family {
    Family { name, kind: Kind::Counter, labels: &[], most: 1, help, read: Read::Values(read) }
}

const fn gauge(name: &'static str, help: &'static str, read: fn(&Sample, &Health, &mut Give<'_>)) -> Family {
    Family { name, kind: Kind::Gauge, labels: &[], most: 1, help, read: Read::Values(read) }
}

/// `most` are its bounds with the one for all others, the sum and the count.
const fn times(name: &'static str, most: usize, help: &'static str, read: fn(&Sample) -> Option<&Latency>) -> Family {
    Family { name, kind: Kind::Histogram, labels: &[], most, help, read: Read::Times(read) }
}

impl Family {
    const fn by(self, labels: &'static [&'static str], most: usize) -> Self {
        Self { labels, most, ..self }
    }
}

/// Every metric there is, in the order of `/metrics`.
pub const FAMILIES: &[Family] = &[
    gauge("build_info", "Always 1; the version of the program.", |s, _, give| give(&[&s.version], 1.0))
        .by(&["version"], 2),
    counter("packets_total", "Packets that came, those dropped on the way with them.", |s, _, give| {
        give(&[], number(s.stats.packets));
    }),
    counter("bytes_total", "Captured bytes of the packets that were read.", |s, _, give| {
        give(&[], number(s.stats.bytes));
    }),
    counter(
        "packets_analysed_total",
        "Packets that became part of a flow or were looked at as datagrams.",
        |s, _, give| {
            give(&[], number(s.stats.packets_analysed));
        },
    ),
    counter(
        "packets_dropped_total",
        "Packets not analysed. packets_total = packets_analysed_total + the sum of these.",
        |s, _, give| s.stats.packets_dropped.iter().for_each(|(why, n)| give(&[place(why), why], number(*n))),
    )
    .by(&["where", "reason"], 100),
    gauge("interface_up", "1 while the interface is there and open.", |s, _, give| {
        s.interfaces.iter().for_each(|i| give(&[&i.name], f64::from(u8::from(i.up))));
    })
    .by(&["interface"], 33),
    counter("interface_packets_total", "Packets an interface gave.", |s, _, give| {
        s.interfaces.iter().for_each(|i| give(&[&i.name], number(i.packets)));
    })
    .by(&["interface"], 33),
    counter(
        "interface_dropped_total",
        "Packets of an interface lost before they were analysed; packets_dropped_total has them too.",
        |s, _, give| {
            let all = s.interfaces.iter().flat_map(|i| i.dropped.iter().map(move |d| (i, d)));
            all.for_each(|(i, (place, n))| give(&[&i.name, place], number(*n)));
        },
    )
    .by(&["interface", "where"], 129),
    counter(
        "interface_cut_total",
        "Packets of an interface longer than what is taken of one (snaplen).",
        |s, _, give| {
            s.interfaces.iter().for_each(|i| give(&[&i.name], number(i.cut)));
        },
    )
    .by(&["interface"], 33),
    gauge("packet_lag_seconds", "How far what was analysed last lies behind the clock.", |s, _, give| {
        give(&[], seconds(s.packet_lag));
    }),
    gauge("flows_active", "Flows that are remembered.", |s, _, give| give(&[], number(s.flows_active))),
    counter("flows_total", "Flows by how they ended.", |s, _, give| each(&s.stats.flows, give)).by(&["end"], 50),
    gauge("reassembly_bytes", "Bytes that wait behind a hole in a flow.", |s, _, give| {
        give(&[], number(s.reassembly_bytes));
    }),
    gauge("held_bytes", "Bytes of other things that traffic makes the sensor hold.", |s, _, give| {
        s.held.iter().for_each(|(what, n)| give(&[what], number(*n)));
    })
    .by(&["what"], 17),
    counter("reassembly_gaps_total", "Holes in flows that were given up.", |s, _, give| {
        give(&[], number(s.stats.reassembly.get("gaps").copied().unwrap_or_default()));
    }),
    counter("reassembly_total", "What putting segments and fragments in order met.", |s, _, give| {
        each(&s.stats.reassembly, give);
    })
    .by(&["what"], 100),
    counter("messages_total", "Messages by protocol, and what else was met in reading them.", |s, _, give| {
        for (name, n) in &s.stats.messages {
            let (protocol, kind) = protocol(name);
            give(&[protocol, kind], number(*n));
        }
    })
    .by(&["protocol", "kind"], 100),
    counter("uninspected_bytes_total", "Bytes of payload not looked into.", |s, _, give| {
        each(&s.stats.uninspected_bytes, give);
    })
    .by(&["reason"], 150),
    counter("signals_total", "Observations that speak for MCP; all hosts of a list are one.", |s, _, give| {
        each(&s.stats.signals, give);
    })
    .by(&["signature"], 400),
    counter("detections_total", "Detections.", |s, _, give| {
        for (name, n) in &s.stats.detections {
            let (classification, rest) = name.split_once('/').unwrap_or((name, ""));
            // What says nothing of it was only logged.
            let (confidence, action) = rest.split_once('/').unwrap_or((rest, "log"));
            give(&[classification, confidence, action], number(*n));
        }
    })
    .by(&["classification", "confidence", "action"], 150),
    counter("look_alikes_total", "What resembles MCP and is not, by what it is.", |s, _, give| {
        each(&s.stats.look_alikes, give);
    })
    .by(&["kind"], 50),
    gauge("servers", "Servers known.", |s, _, give| each(&s.stats.servers, give)).by(&["classification"], 20),
    counter("notices_total", "Notices, those held back with them.", |s, _, give| each(&s.stats.notices, give))
        .by(&["code"], 100),
    counter("limits_total", "Times a limit was met.", |s, _, give| each(&s.stats.limits, give)).by(&["limit"], 150),
    counter("events_total", "Events made. Per sink: made = written + dropped + waiting.", |s, _, give| {
        give(&[], number(s.stats.events));
    }),
    counter("events_written_total", "Events that a sink wrote.", |s, _, give| {
        s.sinks.iter().for_each(|k| give(&[&k.name], number(k.stats.written)));
    })
    .by(&["sink"], 9),
    counter(
        "events_dropped_total",
        "Events that a sink lost: its queue was full, or its reader gone.",
        |s, _, give| {
            s.sinks.iter().for_each(|k| give(&[&k.name], number(k.stats.dropped)));
        },
    )
    .by(&["sink"], 9),
    gauge("events_waiting", "Events in the queue of a sink.", |s, _, give| {
        s.sinks.iter().for_each(|k| give(&[&k.name], number(k.stats.queued)));
    })
    .by(&["sink"], 9),
    gauge("sink_queue_bytes", "Bytes in the queue of a sink.", |s, _, give| {
        s.sinks.iter().for_each(|k| give(&[&k.name], number(k.stats.queue_bytes)));
    })
    .by(&["sink"], 9),
    gauge("sink_lag_seconds", "Age of the oldest event that a sink has not written.", |s, _, give| {
        s.sinks.iter().for_each(|k| give(&[&k.name], seconds(k.stats.lag)));
    })
    .by(&["sink"], 9),
    gauge("sink_up", "1 while a sink writes, 0 while it fails.", |s, _, give| {
        s.sinks.iter().for_each(|k| give(&[&k.name], f64::from(u8::from(k.state == State::Writing))));
    })
    .by(&["sink"], 9),
    counter("sink_bytes_total", "Bytes that a sink wrote.", |s, _, give| {
        s.sinks.iter().for_each(|k| give(&[&k.name], number(k.stats.bytes)));
    })
    .by(&["sink"], 9),
    counter("sink_errors_total", "Attempts of a sink to write, open, rotate or sync that failed.", |s, _, give| {
        s.sinks.iter().for_each(|k| give(&[&k.name], number(k.stats.errors)));
    })
    .by(&["sink"], 9),
    counter("sink_rotations_total", "Files that a sink set aside.", |s, _, give| {
        s.sinks.iter().for_each(|k| give(&[&k.name], number(k.stats.rotations)));
    })
    .by(&["sink"], 9),
    counter("sink_repaired_bytes_total", "Bytes of torn lines that a sink cut off.", |s, _, give| {
        s.sinks.iter().for_each(|k| give(&[&k.name], number(k.stats.repaired_bytes)));
    })
    .by(&["sink"], 9),
    gauge("queue_depth", "Entries that wait in a queue inside.", |s, _, give| {
        s.queues.iter().for_each(|q| give(&[q.name], number(q.depth)));
    })
    .by(&["queue"], 17),
    gauge("workers_configured", "Threads that should look at packets.", |s, _, give| {
        give(&[], number(s.workers_configured));
    }),
    gauge("workers_alive", "Threads that do.", |s, _, give| give(&[], number(s.workers_alive))),
    counter("worker_restarts_total", "Workers built anew after a fault.", |s, _, give| {
        give(&[], number(s.worker_restarts));
    }),
    gauge("rules_generation_info", "Always 1; the rules in force.", |s, _, give| {
        if !s.rules_generation.is_empty() {
            give(&[&s.rules_generation], 1.0);
        }
    })
    .by(&["generation"], 2),
    counter("rules_reload_total", "Reloads of rules and configuration.", |s, _, give| {
        give(&["failed"], number(s.reloads_failed));
        give(&["ok"], number(s.reloads_ok));
    })
    .by(&["result"], 3),
    gauge("proxy_connections_active", "Connections of clients to the proxy.", |s, _, give| {
        proxy(s).for_each(|p| give(&[], number(p.connections_active)));
    }),
    counter(
        "proxy_connections_total",
        "Connections of clients to the proxy, those that are over with them.",
        |s, _, give| {
            proxy(s).for_each(|p| give(&[], number(p.connections)));
        },
    ),
    counter("proxy_requests_total", "Requests through the proxy, by status of the answer.", |s, _, give| {
        proxy(s).for_each(|p| each(&p.requests, give));
    })
    .by(&["code"], 60),
    counter("proxy_tls_handshakes_total", "Handshakes of the proxy with clients and with origins.", |s, _, give| {
        for (side, results) in proxy(s).flat_map(|p| [("client", &p.tls_client), ("origin", &p.tls_origin)]) {
            for (result, n) in results {
                give(&[side, result], number(*n));
            }
        }
    })
    .by(&["side", "result"], 40),
    times(
        "proxy_added_latency_seconds",
        24,
        "Time that the proxy itself took for a request: not that of origins and of name look-ups.",
        |s| s.stats.proxy.as_ref().map(|p| &p.added_latency),
    ),
    counter("proxy_actions_total", "What the proxy did about MCP.", |s, _, give| {
        proxy(s).for_each(|p| each(&p.actions, give));
    })
    .by(&["action"], 20),
    counter("proxy_refused_total", "What the proxy did not serve, by reason.", |s, _, give| {
        proxy(s).for_each(|p| each(&p.refused, give));
    })
    .by(&["reason"], 40),
    counter("proxy_tunnelled_total", "Connections passed through unread, by reason.", |s, _, give| {
        proxy(s).for_each(|p| each(&p.tunnelled, give));
    })
    .by(&["reason"], 20),
    counter("proxy_limits_total", "Times a limit of the proxy was met.", |s, _, give| {
        proxy(s).for_each(|p| each(&p.limits, give));
    })
    .by(&["limit"], 40),
    counter(
        "proxy_observations_dropped_total",
        "News of inspection in the proxy that found no room on the way to the events.",
        |s, _, give| proxy(s).for_each(|p| give(&[], number(p.observations_dropped))),
    ),
    gauge("proxy_threads_configured", "Threads that should serve clients of the proxy.", |s, _, give| {
        proxy(s).for_each(|_| give(&[], number(s.proxy_threads_configured)));
    }),
    gauge("proxy_threads_alive", "Threads that do.", |s, _, give| {
        proxy(s).for_each(|_| give(&[], number(s.proxy_threads_alive)));
    }),
    gauge("healthy", "1 where /healthz says 200.", |_, health, give| {
        give(&[], f64::from(u8::from(health.faults.is_empty())));
    }),
    gauge(
        "degraded",
        "1 while less is seen or told than there is: something is dropped, or an interface is down.",
        |_, health, give| {
            give(&[], f64::from(u8::from(!health.degraded.is_empty())));
        },
    ),
    gauge("process_resident_memory_bytes", "Resident memory.", |s, _, give| {
        s.process.iter().for_each(|p| give(&[], number(p.resident_bytes)));
    }),
    gauge("process_open_fds", "Open file descriptors.", |s, _, give| {
        s.process.iter().for_each(|p| give(&[], number(p.open_files)));
    }),
];

fn proxy(sample: &Sample) -> impl Iterator<Item = &ProxyStats> {
    sample.stats.proxy.iter()
}

fn each(counts: &BTreeMap<String, u64>, give: &mut Give<'_>) {
    for (name, n) in counts {
        give(&[name], number(*n));
    }
}

#[expect(clippy::cast_precision_loss, reason = "Prometheus knows floating point only: exact up to 2^53")]
fn number(n: u64) -> f64 {
    n as f64
}

fn seconds(time: Duration) -> f64 {
    time.as_secs_f64()
}

/// Where a packet was lost, by the reason that `stats.packets_dropped` gives.
pub(super) fn place(reason: &str) -> &'static str {
    match reason {
        "kernel" | "interface" => "kernel",
        "ring" => "ring",
        "queue" => "queue",
        "fault" => "worker",
        "bad_checksum" | "out_of_window" | "bad_reset" => "tcp",
        "outside_time_window" | "filtered_out" => "filter",
        _ => "decode",
    }
}

/// The protocol that a name in `stats.messages` begins with, and the rest of it.
fn protocol(name: &str) -> (&str, &str) {
    const KNOWN: &[&str] =
        &["dns", "grpc", "http1", "http2", "quic", "sse", "tls", "tls12", "tls13", "websocket", "dhcp", "http"];
    match name.split_once('_') {
        Some((protocol, kind)) if KNOWN.contains(&protocol) => (protocol, kind),
        _ => ("other", name),
    }
}

/// docs/metrics.md.
pub fn page() -> String {
    let mut out = String::from(PAGE);
    for family in FAMILIES {
        let kind = match family.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let labels: Vec<String> = family.labels.iter().map(|label| format!("`{label}`")).collect();
        // Writing to a String cannot fail.
        let _ = writeln!(
            out,
            "| `{}` | {kind} | {} | {} | {} |",
            family.full_name(),
            labels.join(", "),
            family.most,
            family.help
        );
    }
    out
}

const PAGE: &str = "\
# Metrics

`--metrics ADDR` serves them at `/metrics` in the text format of Prometheus; `/healthz` and `/readyz` say how the sensor
is. Rules for recording and alerting, with their tests, are in [deploy/prometheus](../deploy/prometheus).

This page is written by `RENEW_METRICS=1 cargo test -p sinks the_page_of_metrics`, from the list in the code.

- Labels come from closed lists, from rules and from the configuration: never a host, a user or an address from traffic.
- Each family has a limit of series. What is beyond it is added up under the value `other`; which counters have a place of
  their own is settled as they come, so that no counter goes down. All limits together are below 2,000 series and 1 MB.
- `packets_total` = `packets_analysed_total` + the sum of `packets_dropped_total`; for each sink, events made = `events_written_total` +
  `events_dropped_total` + `events_waiting`.
- Numbers are those of the last second: however often they are asked for, they are read once a second.

`/healthz` answers 200 and `ok`; 200 and `degraded` with the reasons where packets or events were dropped in the last 10 s, an
interface is down, or a sink began to fail; 503 with the reasons where a worker or a thread of the proxy is dead, nothing has
moved for 10 s, or a sink has failed for 5 s. `/readyz` answers 200 once packets can come.

Bound to loopback, the endpoint answers only to the names `localhost`, `127.0.0.1`, `[::1]` and those configured: a web page that
has its own name point at this machine reads nothing.

| name | type | labels | most series | what it is |
| --- | --- | --- | --- | --- |
";
