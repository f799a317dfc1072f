//! Start, reload, end, metrics, and what the process gives up.

use crate::needs_curl;
use crate::support::{CALL, Lab, PATIENCE, Proxy, clock, sensor, until};
use nix::sys::signal::Signal;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Stdio;

#[test]
fn a_reload_puts_actions_in_force_and_a_broken_file_keeps_the_old_ones() {
    needs_curl!();
    let lab = Lab::new();
    let mut proxy = lab.start("");
    let url = lab.origin.https("/mcp");
    assert!(lab.post(&proxy, &url, CALL).1.contains("result"));
    fs::write(lab.path("sensor.toml"), Lab::config("[actions]\nshadow = \"block\"\n")).unwrap();
    proxy.signal(Signal::SIGHUP);
    proxy.wait_for("are in force");
    assert!(lab.post(&proxy, &url, CALL).1.contains("error"));
    fs::write(lab.path("sensor.toml"), Lab::config("[actions]\nshadow = \"stop\"\n")).unwrap();
    proxy.signal(Signal::SIGHUP);
    proxy.wait_for("the old rules and configuration stay in force");
    assert!(lab.post(&proxy, &url, CALL).1.contains("error"));
    // What opens the proxy to everybody is no less broken for being readable.
    fs::write(lab.path("sensor.toml"), Lab::config("").replace("127.0.0.1:0", "0.0.0.0:0")).unwrap();
    proxy.signal(Signal::SIGHUP);
    proxy.wait_for("the old rules and configuration stay in force");
    assert_eq!(lab.origin.seen().len(), 1);
    lab.event("the notice", |event| event["code"] == "reload_failed");
    proxy.stop();
}

#[test]
fn an_end_lets_requests_at_work_end_and_takes_no_longer_than_it_may() {
    needs_curl!();
    let lab = Lab::new();
    let proxy = lab.start("");
    // A client that never comes to an end of its request, and one whose request comes whole.
    let host = format!("localhost:{}", lab.origin.plain.port());
    let mut endless = TcpStream::connect(&proxy.address).unwrap();
    write!(endless, "POST http://{host}/a HTTP/1.1\r\nHost: {host}\r\nContent-Length: 100\r\n\r\nonly this").unwrap();
    let mut late = TcpStream::connect(&proxy.address).unwrap();
    late.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(late, "POST http://{host}/b HTTP/1.1\r\nHost: {host}\r\nContent-Length: 4\r\n\r\nab").unwrap();
    until("both are connected", || {
        // What was sent before this answer has come, too.
        lab.curl(&proxy, &[&lab.origin.http("/page")]);
        fs::read_to_string(format!("/proc/{}/net/tcp", proxy.pid())).is_ok()
    });
    let began = clock();
    proxy.signal(Signal::SIGTERM);
    late.write_all(b"cd").unwrap();
    let mut answer = String::new();
    let _ = late.read_to_string(&mut answer);
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let (code, said) = proxy.end();
    assert_eq!(code, Some(0), "{said}");
    assert!(began.elapsed() < PATIENCE / 2, "{said}");
    assert!(lab.events().last().unwrap()["final"] == true);
}

fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn metrics_and_health_speak_of_the_proxy() {
    needs_curl!();
    let lab = Lab::new();
    fs::write(lab.path("sensor.toml"), Lab::config("[metrics]\nlisten = \"127.0.0.1:0\"\n")).unwrap();
    let mut proxy = Proxy::begin(&mut sensor(lab.dir.path(), &["-c", "sensor.toml", "run"]));
    let line = proxy.wait_for("metrics at http://");
    let metrics = line.rsplit_once("http://").unwrap().1.trim_end_matches("/metrics").to_owned();
    proxy.address = proxy.wait_for("proxy on ").rsplit_once("proxy on ").unwrap().1.to_owned();
    assert_eq!(lab.post(&proxy, &lab.origin.https("/mcp"), CALL).0, 200);
    let mut text = String::new();
    until("the request is counted", || {
        text = get(&metrics, "/metrics");
        text.contains("mcp_sensor_proxy_requests_total{code=\"200\"} 1")
    });
    for line in [
        "mcp_sensor_proxy_connections_total 1",
        "mcp_sensor_proxy_tls_handshakes_total{side=\"client\",result=\"ok\"} 1",
        "mcp_sensor_proxy_tls_handshakes_total{side=\"origin\",result=\"ok\"} 1",
        "mcp_sensor_proxy_added_latency_seconds_count 1",
        "mcp_sensor_proxy_threads_alive 2",
        "mcp_sensor_proxy_threads_configured 2",
    ] {
        assert!(text.lines().any(|l| l == line), "no {line} in {text}");
    }
    assert!(text.contains("mcp_sensor_held_bytes{what=\"proxy\"} "), "{text}");
    assert!(get(&metrics, "/readyz").starts_with("HTTP/1.1 200"));
    assert!(get(&metrics, "/healthz").starts_with("HTTP/1.1 200"));
    // The plane of the operator is out of reach for clients.
    assert_eq!(lab.curl(&proxy, &[&format!("http://{metrics}/metrics")]).0, 508);
    proxy.stop();
}

#[test]
fn a_proxy_has_no_rights_left_and_works() {
    needs_curl!();
    let lab = Lab::new();
    let proxy = lab.start("");
    let url = lab.origin.https("/mcp");
    assert_eq!(lab.post(&proxy, &url, CALL).0, 200);
    let status = |field: &str| -> Vec<String> {
        let tasks = fs::read_dir(format!("/proc/{}/task", proxy.pid())).unwrap();
        let texts = tasks.filter_map(|task| fs::read_to_string(task.unwrap().path().join("status")).ok());
        let value = |text: String| {
            let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':').map(str::trim));
            line.unwrap_or_default().to_owned()
        };
        texts.map(value).collect()
    };
    for (field, want) in [("NoNewPrivs", "1"), ("Seccomp", "2"), ("CapInh", "0000000000000000")] {
        let found = status(field);
        assert!(found.len() > 3 && found.iter().all(|value| value == want), "{field} {found:?}");
    }
    for value in status("CapEff") {
        // The right to open interfaces is kept where root starts it and it was not given up.
        assert!(["0000000000000000", "0000000000002000"].contains(&value.as_str()), "{value}");
    }
    let limits = fs::read_to_string(format!("/proc/{}/limits", proxy.pid())).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().filter(|word| *word == "0").count(), 2, "{core}");
    let said = proxy.stop();
    assert!(!said.contains("not permitted") && !said.contains("threads have more rights"), "{said}");
}

#[test]
fn what_is_wrong_at_the_start_is_told_with_what_would_do() {
    let lab = Lab::new();
    let refused = |args: &[&str], words: &[&str]| {
        let mut command = sensor(lab.dir.path(), args);
        let output = command.stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(words.iter().all(|word| said.contains(word)), "{words:?}: {said}");
    };
    let listen = ["-c", "empty.toml", "proxy", "-l", "127.0.0.1:0"];
    let with = |more: &[&'static str]| [&listen[..], more].concat();
    refused(&with(&["--ca-cert", "none.pem", "--ca-key", "none.key"]), &["none."]);
    refused(&["-c", "empty.toml", "proxy", "-l", "0.0.0.0:0"], &["--listen", "other machines can reach", "--client"]);
    refused(&with(&["--action", "shadow=stop"]), &["`stop` is no action", "redirect"]);
    refused(&with(&["--action", "shadows=block"]), &["`shadows` is no class", "sanctioned_direct"]);
    refused(&with(&["--action", "shadow=redirect"]), &["actions.redirect_to"]);
    refused(&with(&["--allow-destination", "here"]), &["`here` is no network"]);
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    fs::set_permissions(lab.path("ca/ca.key"), mode).unwrap();
    refused(&with(&["--ca-cert", "ca/ca.pem", "--ca-key", "ca/ca.key"]), &["ca/ca.key"]);
}
