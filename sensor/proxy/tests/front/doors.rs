//! Who gets in, for how long, and how it ends.

use crate::support::{Bench, Plan, origin, read_head, request, soon, web};
use proxy::StartError;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;

#[tokio::test]
async fn a_listener_that_others_can_reach_needs_to_know_who_may_use_it() {
    for address in ["0.0.0.0:0", "[::]:0"] {
        let mut plan = Plan::new();
        plan.options.listeners[0].address = address.parse().unwrap();
        let error = plan.refused();
        assert!(matches!(error, StartError::Open(_)), "{error}");
        assert!(error.to_string().contains("networks of clients"), "{error}");
    }
    let mut plan = Plan::new();
    plan.options.listeners[0].address = "0.0.0.0:0".parse().unwrap();
    plan.settings.access.clients = vec![detect::Cidr::parse("127.0.0.0/8").unwrap()];
    let bench = plan.start();
    assert_ne!(bench.address().port(), 0);
}

#[tokio::test]
async fn a_client_of_another_network_is_not_served() {
    let mut plan = Plan::new();
    plan.settings.access.clients = vec![detect::Cidr::parse("10.0.0.0/8").unwrap()];
    let bench = plan.start();
    let mut stream = bench.dial().await;
    assert!(matches!(soon(stream.read(&mut [0; 9])).await, Ok(0) | Err(_)));
    bench.counted("refused", "client_network", 1).await;
}

#[tokio::test]
async fn credentials_are_asked_for() {
    let mut plan = Plan::new();
    let file = plan.options.ca.as_ref().unwrap().key.with_file_name("users");
    // "open sesame", at the least cost that the format knows.
    std::fs::write(&file, "ali:$2b$04$C6UzMDM.H6dfI/f/IKcEeO8xKQ1GmLCVRp6qa6dZ1Wnrrzq5a8cDW\n").unwrap();
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    plan.settings.access.credentials = Some(file);
    let bench = plan.start();
    let to = origin(|stream| web(stream, false)).await;
    let mut stream = bench.dial().await;
    let (head, _) = request(&mut stream, &format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n\r\n")).await;
    assert!(head.starts_with("HTTP/1.1 407"), "{head}");
    assert!(head.to_ascii_lowercase().contains("proxy-authenticate: basic realm="), "{head}");
    let (head, _) = request(&mut stream, "GET /proxy.pac HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 200"), "browsers ask for it before they know that there is a login: {head}");
    assert_eq!(bench.count("refused", "login"), 1);
}

#[tokio::test]
async fn no_more_connections_are_taken_than_are_allowed() {
    let mut plan = Plan::new();
    plan.options.limits.connections = 3;
    plan.options.limits.connections_per_client = 2;
    let bench = plan.start();
    let held = [bench.dial().await, bench.dial().await];
    while bench.totals().active < 2 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let mut third = bench.dial().await;
    assert!(matches!(soon(third.read(&mut [0; 9])).await, Ok(0) | Err(_)));
    assert_eq!(bench.count("limit", "connections_per_client"), 1);
    drop(held);
    while bench.totals().active > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let (head, _) = request(&mut bench.dial().await, "GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
}

#[tokio::test]
async fn a_head_that_dribbles_in_ends_the_connection_and_an_answer_that_takes_long_does_not() {
    let mut plan = Plan::new();
    plan.options.limits.head_time = Duration::from_millis(300);
    plan.options.limits.idle_time = Duration::from_millis(600);
    let bench = plan.start();
    let slow = async {
        let mut stream = bench.dial().await;
        let start = Instant::now();
        let mut byte = [0; 1];
        while tokio::time::timeout(Duration::from_millis(50), stream.read(&mut byte)).await.is_err() {
            if stream.write_all(b"G").await.is_err() {
                break;
            }
        }
        start.elapsed()
    };
    let patient = async {
        let to = origin(|mut stream| async move {
            read_head(&mut stream).await;
            tokio::time::sleep(Duration::from_millis(1500)).await;
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.unwrap();
            let _ = stream.read_u8().await;
        })
        .await;
        let mut stream = bench.dial().await;
        let (head, body) = request(&mut stream, &format!("GET http://{to}/ HTTP/1.1\r\nHost: {to}\r\n\r\n")).await;
        assert!(head.starts_with("HTTP/1.1 200") && body == "ok", "{head}");
        let start = Instant::now();
        assert_eq!(soon(stream.read(&mut [0; 9])).await.unwrap(), 0);
        start.elapsed()
    };
    let (slow, idle) = tokio::join!(slow, patient);
    assert!(slow < Duration::from_secs(5), "{slow:?}");
    assert!(idle >= Duration::from_millis(500), "{idle:?}");
    assert_eq!((bench.count("limit", "head_time"), bench.count("limit", "idle_time")), (1, 1));
}

#[tokio::test]
async fn at_the_end_what_is_at_work_is_finished_and_what_lasts_is_closed() {
    let bench = Bench::new();
    let to = origin(|mut stream| async move {
        read_head(&mut stream).await;
        tokio::time::sleep(Duration::from_millis(400)).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.unwrap();
        let _ = stream.read_u8().await;
    })
    .await;
    let talker = origin(|mut stream| async move {
        stream.write_all(b"hello").await.unwrap();
        let _ = stream.read_u8().await;
    })
    .await;
    let mut tunnel = bench.connect(talker).await;
    let mut hello = [0; 5];
    soon(tunnel.read_exact(&mut hello)).await.unwrap();
    let mut idle = bench.dial().await;
    request(&mut idle, "GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let mut busy = bench.dial().await;
    busy.write_all(format!("GET http://{to}/ HTTP/1.1\r\nHost: {to}\r\n\r\n").as_bytes()).await.unwrap();
    while bench.totals().active < 3 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    let (address, counters) = (bench.address(), bench.running.counters());
    let start = Instant::now();
    let stopped = tokio::task::spawn_blocking(move || bench.running.stop(Duration::from_millis(1500)));
    assert_eq!(soon(idle.read(&mut [0; 9])).await.unwrap(), 0, "one that idles ends at once");
    assert!(start.elapsed() < Duration::from_secs(1));
    let (head, body) = request(&mut busy, "").await;
    assert!(head.starts_with("HTTP/1.1 200") && body == "ok", "{head}");
    assert!(head.to_ascii_lowercase().contains("connection: close"), "{head}");
    assert!(matches!(soon(tunnel.read(&mut hello)).await, Ok(0) | Err(_)));
    assert!(start.elapsed() >= Duration::from_millis(1400), "a tunnel is given its time");
    stopped.await.unwrap();
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
    let words = counters.totals().words;
    assert_eq!(words[&("limit", "closed_at_stop")], 1, "{words:?}");
    assert_eq!(counters.totals().active, 0);
}

#[tokio::test]
async fn what_a_client_begins_behind_connect_must_go_on() {
    let mut plan = Plan::new();
    plan.options.limits.head_time = Duration::from_millis(200);
    let bench = plan.start();
    let to = origin(|mut stream| async move {
        let _ = stream.read_u8().await;
    })
    .await;
    let mut stream = bench.connect(to).await;
    stream.write_all(b"POST /mcp").await.unwrap();
    assert!(matches!(soon(stream.read(&mut [0; 9])).await, Ok(0) | Err(_)));
    assert_eq!(bench.count("limit", "head_time"), 1);
}
