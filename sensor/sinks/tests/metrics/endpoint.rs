//! Who is answered, and with what.

use crate::{ask, eventually, get, now, sample};
use sinks::metrics::{Options, Sample, Server, Source, bind, serve};
use sinks::outlet::State;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const LOOPBACK: &str = "127.0.0.1:0";

fn source(sample: &Arc<Mutex<Sample>>) -> Source {
    let sample = Arc::clone(sample);
    let progress = AtomicU64::new(0);
    Arc::new(move || Sample { progress: progress.fetch_add(1, Ordering::Relaxed), ..sample.lock().unwrap().clone() })
}

fn start() -> (Server, Arc<Mutex<Sample>>) {
    let sample = Arc::new(Mutex::new(sample()));
    let listener = bind(LOOPBACK.parse().unwrap(), false).unwrap();
    (serve(listener, Options::default(), source(&sample)).unwrap(), sample)
}

#[test]
fn metrics_and_health_are_answered_and_nothing_else() {
    let (server, _) = start();
    let addr = server.addr();
    let (status, text) = get(addr, "/metrics");
    assert!(status == 200 && text.contains("\nmcp_sensor_packets_total 1000\n"), "{text}");
    for (request, want) in [
        ("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", (200, "ok\n")),
        ("GET /readyz HTTP/1.1\r\nHost: localhost:9464\r\n\r\n", (200, "ready\n")),
        ("GET /healthz HTTP/1.0\r\n\r\n", (200, "ok\n")),
        ("HEAD /metrics HTTP/1.1\r\nHost: [::1]:9464\r\n\r\n", (200, "")),
        ("GET / HTTP/1.1\r\nHost: 127.9.9.9\r\n\r\n", (404, "/metrics, /healthz, /readyz\n")),
        ("POST /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n", (405, "only GET and HEAD\n")),
        ("DELETE /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n", (405, "only GET and HEAD\n")),
        (
            "GET /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nhi",
            (413, "a request here has no body\n"),
        ),
    ] {
        let (status, body) = ask(addr, request);
        assert_eq!((status, body.as_str()), want, "{request}");
    }
}

#[test]
fn a_name_that_was_made_to_point_here_reads_nothing() {
    let (server, _) = start();
    for request in [
        "GET /metrics HTTP/1.1\r\nHost: evil.example\r\n\r\n",
        "GET /metrics HTTP/1.1\r\nHost: localhost.evil.example\r\n\r\n",
        "GET /metrics HTTP/1.1\r\nHost: 127.0.0.1.evil.example:9464\r\n\r\n",
        "GET /metrics HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n",
        "GET http://evil.example/metrics HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET /metrics HTTP/1.1\r\nHost: \r\n\r\n",
        "GET /metrics HTTP/1.1\r\n\r\n",
        "GET /metrics HTTP/1.1\r\nHost: 10.1.2.3\r\n\r\n",
    ] {
        let (status, body) = ask(server.addr(), request);
        assert!((status == 421 || status == 400) && !body.contains("mcp_sensor"), "{request}: {status}");
    }
    let listener = bind(LOOPBACK.parse().unwrap(), false).unwrap();
    let options = Options { hosts: vec!["sensor.example".into()] };
    let server = serve(listener, options, source(&Arc::new(Mutex::new(sample())))).unwrap();
    assert_eq!(ask(server.addr(), "GET /healthz HTTP/1.1\r\nHost: Sensor.example:80\r\n\r\n").0, 200);
}

#[test]
fn other_machines_are_let_in_only_where_that_was_said() {
    for wide in ["0.0.0.0:0", "[::]:0", "192.0.2.1:9464"] {
        let addr: SocketAddr = wide.parse().unwrap();
        let error = bind(addr, false).unwrap_err().to_string();
        assert!(error.contains(wide) && error.contains("127.0.0.1"), "{error}");
    }
    let listener = bind("0.0.0.0:0".parse().unwrap(), true).unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = serve(listener, Options::default(), source(&Arc::new(Mutex::new(sample())))).unwrap();
    let addr = SocketAddr::from(([127, 0, 0, 1], port));
    assert_eq!(server.addr().port(), port);
    assert_eq!(ask(addr, "GET /healthz HTTP/1.1\r\nHost: sensor-7.corp.example\r\n\r\n").0, 200, "it has any name");
    let error = bind(addr, false).unwrap_err().to_string();
    assert!(error.contains(&addr.to_string()), "{error}");
}

#[test]
fn health_changes_with_the_sensor() {
    let (server, shared) = start();
    let addr = server.addr();
    let change = |change: &dyn Fn(&mut Sample)| change(&mut shared.lock().unwrap());
    let says = |path: &str, status: u16, text: &str| {
        eventually(text, || {
            let (got, body) = get(addr, path);
            got == status && body.contains(text)
        });
    };
    change(&|s| s.workers_alive = 1);
    says("/healthz", 503, "1 of 2 workers alive");
    says("/metrics", 200, "\nmcp_sensor_healthy 0\n");
    change(&|s| (s.workers_alive, s.sinks[0].stats.dropped) = (2, 1000));
    says("/healthz", 200, "degraded\npackets or events were dropped");
    let why = "cannot write events to /x\nok: No space left on device".to_owned();
    change(&|s| s.sinks[0].state = State::Failing { why: why.clone(), since: Duration::from_secs(9) });
    says("/healthz", 503, "failing\ncannot write events to /x\\x0aok: No space left on device (for 9 s)\n");
    says("/metrics", 200, "\nmcp_sensor_sink_up{sink=\"events.jsonl\"} 0\n");
    change(&|s| s.stopping = true);
    says("/readyz", 503, "not ready");
}

#[test]
fn a_scrape_costs_the_sensor_at_most_one_sample_a_second() {
    let asked = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&asked);
    let source: Source = Arc::new(move || {
        count.fetch_add(1, Ordering::Relaxed);
        sample()
    });
    let start = now();
    let server = serve(bind(LOOPBACK.parse().unwrap(), false).unwrap(), Options::default(), source).unwrap();
    for _ in 0..300 {
        assert_eq!(get(server.addr(), "/metrics").0, 200);
    }
    let most = start.elapsed().as_secs() + 3;
    assert!(asked.load(Ordering::Relaxed) <= most, "{asked:?} samples");
}

#[test]
fn connections_that_say_nothing_too_much_or_nonsense_shut_nobody_out_for_long() {
    let (server, _) = start();
    let addr = server.addr();
    // More than are served at once; they are cut off after their time.
    let silent: Vec<_> = (0..24).map(|_| TcpStream::connect(addr).unwrap()).collect();
    let mut huge = TcpStream::connect(addr).unwrap();
    let _ =
        huge.write_all(format!("GET /metrics HTTP/1.1\r\nHost: localhost\r\nX: {}", "x".repeat(100_000)).as_bytes());
    let mut odd = TcpStream::connect(addr).unwrap();
    odd.write_all(b"\x16\x03\x01\0\x05hello\r\n\r\n").unwrap();
    let start = now();
    assert_eq!(get(addr, "/healthz").0, 200);
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    for mut stream in silent.into_iter().chain([huge, odd]) {
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let mut rest = Vec::new();
        // Closed or reset, and nothing told but perhaps an error.
        let _ = stream.read_to_end(&mut rest);
        assert!(!String::from_utf8_lossy(&rest).contains("mcp_sensor"));
    }
    drop(server);
    assert!(TcpStream::connect(addr).is_err(), "nobody listens any more");
}
