//! The rules of deploy/prometheus in promtool, and a real Prometheus that scrapes the endpoint. Debian's package
//! `prometheus` has both; where they are missing, these tests say that they were skipped.

use crate::{ask, eventually, sample};
use sinks::metrics::{FAMILIES, Options, Sample, Source, bind, serve};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/prometheus")
}

fn installed(program: &str) -> bool {
    let installed = Command::new(program).arg("--version").output().is_ok_and(|o| o.status.success());
    if !installed {
        eprintln!("skipped: {program} is not installed (Debian package prometheus)");
    }
    installed
}

#[test]
fn promtool_takes_the_rules_and_their_tests_pass() {
    if !installed("promtool") {
        return;
    }
    for args in [
        ["check", "rules", "mcp-sensor.rules.yml"],
        ["test", "rules", "mcp-sensor.rules.test.yml"],
        ["check", "config", "prometheus.yml"],
    ] {
        let output = Command::new("promtool").args(args).current_dir(deploy()).output().unwrap();
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{said}");
    }
}

#[test]
fn rules_use_metrics_that_are_there_and_every_alert_is_tested() {
    let rules = std::fs::read_to_string(deploy().join("mcp-sensor.rules.yml")).unwrap();
    let tests = std::fs::read_to_string(deploy().join("mcp-sensor.rules.test.yml")).unwrap();
    let names: Vec<String> = FAMILIES.iter().map(sinks::metrics::Family::full_name).collect();
    let expressions = rules.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':');
    for used in expressions.filter(|word| word.starts_with("mcp_sensor_")) {
        assert!(names.iter().any(|name| name == used), "{used}");
    }
    for alert in rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")) {
        assert!(tests.contains(&format!("alertname: {alert}\n        exp_alerts")), "{alert} is never seen to fire");
        assert!(tests.contains(&format!("{{eval_time: 25m, alertname: {alert}}}")), "{alert} is never seen quiet");
    }
}

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What Prometheus answers to `path`; nothing while it does not.
fn api(addr: SocketAddr, path: &str) -> Option<serde_json::Value> {
    std::net::TcpStream::connect(addr).ok()?;
    // HTTP/1.0, so that the answer comes in one piece.
    let (status, body) = ask(addr, &format!("GET {path} HTTP/1.0\r\nHost: {addr}\r\n\r\n"));
    (status == 200).then(|| serde_json::from_str(&body).unwrap())
}

#[test]
fn a_real_prometheus_scrapes_the_endpoint_and_loads_the_rules() {
    if !installed("prometheus") {
        return;
    }
    let shared = Arc::new(Mutex::new(sample()));
    let read = Arc::clone(&shared);
    let source: Source = Arc::new(move || Sample { progress: 0, ..read.lock().unwrap().clone() });
    let server = serve(bind("127.0.0.1:0".parse().unwrap(), false).unwrap(), Options::default(), source).unwrap();

    let dir = tempfile::tempdir().unwrap();
    let example = std::fs::read_to_string(deploy().join("prometheus.yml")).unwrap();
    let config = example
        .replace("127.0.0.1:9464", &server.addr().to_string())
        .replace("15s", "1s")
        .replace("5s", "1s")
        .replace("mcp-sensor.rules.yml", deploy().join("mcp-sensor.rules.yml").to_str().unwrap());
    std::fs::write(dir.path().join("prometheus.yml"), config).unwrap();
    // A port that is free now; should another take it meanwhile, Prometheus says so and the test fails.
    let addr = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let log = std::fs::File::create(dir.path().join("log")).unwrap();
    let child = Command::new("prometheus")
        .arg(format!("--config.file={}", dir.path().join("prometheus.yml").display()))
        .arg(format!("--storage.tsdb.path={}", dir.path().join("data").display()))
        .arg(format!("--web.listen-address={addr}"))
        .arg("--log.level=warn")
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap();
    let _child = Killed(child);

    let value = |query: &str| -> Option<String> {
        let encoded = query.bytes().fold(String::new(), |text, b| text + &format!("%{b:02x}"));
        let answer = api(addr, &format!("/api/v1/query?query={encoded}"))?;
        Some(answer["data"]["result"].get(0)?["value"][1].as_str()?.to_owned())
    };
    let shows = |query: &str, want: &str| {
        let mut last = None;
        eventually(&format!("{query} is {want}"), || {
            last = value(query);
            last.as_deref() == Some(want)
        });
    };
    shows("up{job=\"mcp-sensor\"}", "1");
    shows("mcp_sensor_packets_total", "1000");
    shows(
        "mcp_sensor_packets_total - mcp_sensor_packets_analysed_total - ignoring(where, reason) sum without (where, reason) (mcp_sensor_packets_dropped_total)",
        "0",
    );
    shows("count({job=\"mcp-sensor\", __name__=~\"mcp_sensor_.*\"}) > 40", &{
        let text = ask(server.addr(), "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").1;
        text.lines().filter(|line| line.starts_with("mcp_sensor_")).count().to_string()
    });
    {
        let mut sample = shared.lock().unwrap();
        sample.stats.packets = 1_000_000_000;
        sample.workers_alive = 1;
    }
    shows("mcp_sensor_packets_total", "1000000000");
    shows("mcp_sensor_workers_configured - mcp_sensor_workers_alive", "1");
    // An alert of ours, in the real thing, on its way.
    eventually("the alert waits or fires", || {
        let alerts = api(addr, "/api/v1/alerts").unwrap();
        alerts["data"]["alerts"].as_array().unwrap().iter().any(|a| a["labels"]["alertname"] == "McpSensorWorkersDead")
    });
    let rules = api(addr, "/api/v1/rules").unwrap();
    let groups = rules["data"]["groups"].as_array().unwrap();
    let all: Vec<_> = groups.iter().flat_map(|g| g["rules"].as_array().unwrap()).collect();
    assert!(groups.len() == 4 && all.len() > 15, "{rules}");
    assert!(all.iter().all(|rule| rule["health"] != "err"), "{rules}");
}
