//! The text that Prometheus reads, and the page about it.

use crate::{sample, sink};
use proptest::prelude::*;
use sinks::metrics::{FAMILIES, Health, Interface, MAX_SERIES, Queue, Renderer, Sample, page};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::process::{Command, Stdio};

fn render(sample: &Sample) -> String {
    Renderer::default().render(sample, &Health::default())
}

/// Series and their values.
fn series(text: &str) -> BTreeMap<String, f64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let pairs = lines.map(|line| line.rsplit_once(' ').unwrap());
    let all: Vec<_> = pairs.map(|(name, value)| (name.to_owned(), value.parse().unwrap())).collect();
    let count = all.len();
    let series: BTreeMap<_, _> = all.into_iter().collect();
    assert_eq!(series.len(), count, "no series twice");
    series
}

#[test]
fn the_page_of_metrics_is_as_the_code_says() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/metrics.md");
    if std::env::var_os("RENEW_METRICS").is_some() {
        std::fs::write(path, page()).unwrap();
    }
    assert!(
        std::fs::read_to_string(path).is_ok_and(|there| there == page()),
        "docs/metrics.md is old: RENEW_METRICS=1 cargo test -p sinks the_page_of_metrics"
    );
}

#[test]
fn every_family_is_read_from_a_sample() {
    let text = render(&sample());
    for family in FAMILIES {
        let name = family.full_name();
        assert!(text.contains(&format!("\n# TYPE {name} ")) || text.starts_with(&format!("# HELP {name} ")), "{name}");
        let counts = name.ends_with("_total");
        assert_eq!(counts, family.kind == sinks::metrics::Kind::Counter, "{name}: counters end in _total");
    }
    let series = series(&text);
    for (name, value) in [
        ("mcp_sensor_build_info{version=\"0.1.0\"}", 1.0),
        ("mcp_sensor_packets_dropped_total{where=\"kernel\",reason=\"kernel\"}", 5.0),
        ("mcp_sensor_packets_dropped_total{where=\"decode\",reason=\"not_ip\"}", 10.0),
        ("mcp_sensor_messages_total{protocol=\"http1\",kind=\"requests\"}", 6.0),
        ("mcp_sensor_messages_total{protocol=\"other\",kind=\"bodies_let_go_after_sniff\"}", 1.0),
        ("mcp_sensor_detections_total{classification=\"shadow\",confidence=\"confirmed\",action=\"log\"}", 3.0),
        ("mcp_sensor_reassembly_gaps_total", 2.0),
        ("mcp_sensor_events_dropped_total{sink=\"events.jsonl\"}", 2.0),
        ("mcp_sensor_packet_lag_seconds", 0.02),
        ("mcp_sensor_rules_reload_total{result=\"failed\"}", 1.0),
        ("mcp_sensor_rules_generation_info{generation=\"sha256:00\"}", 1.0),
        ("mcp_sensor_interface_cut_total{interface=\"eth1\"}", 3.0),
        ("mcp_sensor_held_bytes{what=\"decoders\"}", 8192.0),
        ("mcp_sensor_proxy_requests_total{code=\"200\"}", 60.0),
        ("mcp_sensor_proxy_tls_handshakes_total{side=\"client\",result=\"ok\"}", 61.0),
        ("mcp_sensor_proxy_tls_handshakes_total{side=\"origin\",result=\"expired\"}", 2.0),
        ("mcp_sensor_proxy_added_latency_seconds_bucket{le=\"0.0001\"}", 59.0),
        ("mcp_sensor_proxy_added_latency_seconds_bucket{le=\"+Inf\"}", 60.0),
        ("mcp_sensor_proxy_added_latency_seconds_sum", 0.003),
        ("mcp_sensor_proxy_actions_total{action=\"block\"}", 5.0),
        ("mcp_sensor_proxy_threads_alive", 2.0),
        ("process_open_fds", 9.0),
    ] {
        assert_eq!(series.get(name), Some(&value), "{name}\n{text}");
    }
    let (names, all): (BTreeSet<_>, usize) = (FAMILIES.iter().map(|f| f.name).collect(), FAMILIES.len());
    assert_eq!(names.len(), all, "no name twice");
}

#[test]
fn packets_and_events_add_up_in_what_is_scraped() {
    let series = series(&render(&sample()));
    let sum = |prefix: &str| series.iter().filter(|(name, _)| name.starts_with(prefix)).map(|(_, n)| n).sum::<f64>();
    let packets = sum("mcp_sensor_packets_analysed_total") + sum("mcp_sensor_packets_dropped_total{");
    assert!((sum("mcp_sensor_packets_total") - packets).abs() < 0.5);
    let events = sum("mcp_sensor_events_written_total{") + sum("mcp_sensor_events_dropped_total{");
    assert!((sum("mcp_sensor_events_total") - events - sum("mcp_sensor_events_waiting{")).abs() < 0.5);
}

#[test]
fn promtool_finds_no_fault_with_the_text() {
    let promtool =
        Command::new("promtool").args(["check", "metrics"]).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let Ok(mut promtool) = promtool else {
        eprintln!("skipped: promtool is not installed (Debian package prometheus)");
        return;
    };
    promtool.stdin.take().unwrap().write_all(render(&sample()).as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// As much as can be of everything, every name new.
fn flood(from: usize, to: usize) -> Sample {
    let mut sample = sample();
    let stats = &mut sample.stats;
    let maps = [
        &mut stats.packets_dropped,
        &mut stats.flows,
        &mut stats.messages,
        &mut stats.uninspected_bytes,
        &mut stats.reassembly,
        &mut stats.signals,
        &mut stats.detections,
        &mut stats.look_alikes,
        &mut stats.servers,
        &mut stats.notices,
        &mut stats.limits,
    ];
    let proxy = stats.proxy.get_or_insert_default();
    let of_proxy = [
        &mut proxy.requests,
        &mut proxy.tls_client,
        &mut proxy.tls_origin,
        &mut proxy.refused,
        &mut proxy.tunnelled,
        &mut proxy.actions,
        &mut proxy.limits,
    ];
    proxy.added_latency.up_to_us.extend((from..to).map(|n| (n as u64, n as u64)));
    for map in maps.into_iter().chain(of_proxy) {
        // Names as long as they may be, and longer.
        let filling = ["é\"\\", "\u{1f6e0}", "\u{2028}", "x"];
        map.extend((from..to).map(|n| (format!("http1_{n:06}/{}", filling[n % 4].repeat(n % 100)), 2)));
    }
    let names = || (from..to).map(|n| format!("name.{n:06}"));
    sample.interfaces.extend(names().map(|name| Interface {
        name,
        dropped: vec![("kernel", 1)],
        ..Interface::default()
    }));
    sample.sinks.extend(names().map(|name| sink(&name, 1)));
    sample.queues.extend((from..to).map(|_| Queue { name: "same", depth: 1 }));
    sample
}

#[test]
fn a_hundred_thousand_names_stay_within_two_thousand_series_and_a_megabyte() {
    assert!(FAMILIES.iter().map(|f| f.most).sum::<usize>() <= MAX_SERIES);
    let sample = flood(0, 100_000);
    let mut renderer = Renderer::default();
    let text = renderer.render(&sample, &Health::default());
    let one = series(&text);
    assert!(one.len() <= MAX_SERIES && one.len() > MAX_SERIES / 2, "{}", one.len());
    assert!(text.len() <= 1_000_000, "{} bytes", text.len());
    let signals: f64 =
        one.iter().filter(|(name, _)| name.starts_with("mcp_sensor_signals_total")).map(|(_, n)| n).sum();
    assert!((signals - 200_003.0).abs() < 0.5, "what is not shown is under `other`");
    assert!(one["mcp_sensor_signals_total{signature=\"other\"}"] > 190_000.0);
    // Others that come later find no room, and push nobody out.
    let two = series(&renderer.render(&flood(50_000, 150_000), &Health::default()));
    assert!(
        one.keys()
            .all(|name| !name.starts_with("mcp_sensor_signals") || two.contains_key(name) || name.contains("http1"))
    );
    assert!(two.len() <= MAX_SERIES);
}

#[test]
fn no_name_forges_a_line_or_a_label() {
    let mut sample = sample();
    let odd = "a\"} 1\nmcp_sensor_forged 7\r\n\\\u{1b}[2J\u{2028}";
    sample.stats.signals.insert(odd.into(), 4);
    sample.interfaces[0].name = odd.into();
    sample.version = odd.into();
    let text = render(&sample);
    assert!(!text.chars().any(|c| c.is_control() && c != '\n'));
    assert!(!text.lines().any(|line| line.starts_with("mcp_sensor_forged")), "{text}");
    assert!(text.contains("signature=\"a\\\"} 1\\\\x0amcp_sensor_forged 7"), "{text}");
}

proptest! {
    #[test]
    fn no_counter_goes_down_whatever_names_come(
        rounds in prop::collection::vec(prop::collection::btree_map("[a-d]{1,6}", 1_u64..9, 0..400), 1..5),
    ) {
        let mut renderer = Renderer::default();
        let mut sample = sample();
        let mut before = BTreeMap::new();
        for grown in rounds {
            for (name, n) in grown {
                *sample.stats.look_alikes.entry(name.clone()).or_default() += n;
                *sample.stats.detections.entry(name).or_default() += n;
            }
            let after = series(&renderer.render(&sample, &Health::default()));
            for (name, value) in &before {
                let now: Option<&f64> = after.get(name);
                prop_assert!(now.is_some_and(|now| now >= value), "{name}: {value} and then {now:?}");
            }
            before = after;
        }
    }
}
