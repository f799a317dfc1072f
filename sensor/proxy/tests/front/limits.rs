//! How long clients may take, how much they may ask for, and what is told of it.

use crate::support::{Bench, NAME, Plan, TRUSTED, client, https, news, origin, read_head, request, soon};
use detect::{Generation, Policy, ProxyNews, RawAction, RawActions, RawScope, RawServer, RawServers, Scope};
use rustls::pki_types::ServerName;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;

/// Length of an answer that no buffers hold.
const SIZE: usize = 24 << 20;

/// How long it takes until the other side ends or breaks off the connection.
async fn until_closed(stream: &mut TcpStream) -> Duration {
    let start = Instant::now();
    let mut buffer = [0; 4096];
    while let Ok(1..) = soon(stream.read(&mut buffer)).await {}
    start.elapsed()
}

/// A server that reads and says nothing, ever.
async fn silent() -> std::net::SocketAddr {
    origin(|mut stream| async move {
        let mut buffer = [0; 4096];
        while let Ok(1..) = stream.read(&mut buffer).await {}
        std::future::pending::<()>().await;
    })
    .await
}

#[tokio::test]
async fn who_says_nothing_behind_connect_is_closed_unless_the_server_speaks_first() {
    let mut plan = Plan::new();
    plan.options.limits.head_time = Duration::from_millis(400);
    let bench = plan.start();
    let mut quiet = bench.connect(silent().await).await;
    let talker = origin(|mut stream| async move {
        tokio::time::sleep(Duration::from_millis(100)).await;
        stream.write_all(b"220 ready\r\n").await.unwrap();
        let _ = stream.read_u8().await;
    })
    .await;
    let mut served = bench.connect(talker).await;
    let took = until_closed(&mut quiet).await;
    assert!(took >= Duration::from_millis(350) && took < Duration::from_secs(5), "{took:?}");
    assert_eq!(bench.count("limit", "head_time"), 1);
    let mut greeting = [0; 11];
    soon(served.read_exact(&mut greeting)).await.unwrap();
    assert!(timeout(Duration::from_millis(800), served.read_u8()).await.is_err(), "it is a tunnel now");
    assert_eq!(bench.count("limit", "head_time"), 1);
}

#[tokio::test]
async fn a_tunnel_ends_when_one_side_has_and_the_other_is_silent() {
    let mut plan = Plan::new();
    plan.options.limits.half_closed_time = Duration::from_millis(400);
    let bench = plan.start();
    let mut half = bench.connect(silent().await).await;
    half.write_all(b"SSH-2.0-x\r\n").await.unwrap();
    half.shutdown().await.unwrap();
    let took = until_closed(&mut half).await;
    assert!(took >= Duration::from_millis(350) && took < Duration::from_secs(5), "{took:?}");
    bench.counted("limit", "half_closed_time", 1).await;

    // One that goes on talking is let talk.
    let talker = origin(|mut stream| async move {
        while let Ok(1..) = stream.read(&mut [0; 64]).await {}
        for _ in 0..12 {
            tokio::time::sleep(Duration::from_millis(100)).await;
            stream.write_all(b".").await.unwrap();
        }
    })
    .await;
    let mut half = bench.connect(talker).await;
    half.write_all(b"SSH-2.0-x\r\n").await.unwrap();
    half.shutdown().await.unwrap();
    let mut all = Vec::new();
    soon(half.read_to_end(&mut all)).await.unwrap();
    assert_eq!(all.len(), 12);
    assert_eq!(bench.count("limit", "half_closed_time"), 1);
}

#[tokio::test]
async fn a_tunnel_or_an_answer_without_a_byte_for_very_long_ends_and_one_with_some_does_not() {
    let mut plan = Plan::new();
    plan.options.limits.quiet_time = Duration::from_millis(500);
    let bench = plan.start();
    let mut tunnel = bench.connect(silent().await).await;
    tunnel.write_all(b"SSH-2.0-x\r\n").await.unwrap();
    let took = until_closed(&mut tunnel).await;
    assert!(took >= Duration::from_millis(450) && took < Duration::from_secs(5), "{took:?}");
    bench.counted("limit", "quiet_time", 1).await;

    let events = |count: u32| {
        origin(move |mut stream| async move {
            read_head(&mut stream).await;
            let head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n";
            stream.write_all(head).await.unwrap();
            for _ in 0..count {
                tokio::time::sleep(Duration::from_millis(200)).await;
                stream.write_all(b":\n\n").await.unwrap();
            }
            if count == 0 {
                std::future::pending::<()>().await;
            }
        })
    };
    // The first look comes when a new connection would have met its limit.
    let mut plan = Plan::new();
    plan.options.limits.head_time = Duration::from_millis(100);
    plan.options.limits.quiet_time = Duration::from_millis(500);
    let bench = plan.start();
    for (count, limit) in [(10, 0), (0, 1)] {
        let to = events(count).await;
        let mut stream = bench.dial().await;
        stream
            .write_all(format!("GET http://{to}/ HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\n\r\n").as_bytes())
            .await
            .unwrap();
        assert!(read_head(&mut stream).await.starts_with("HTTP/1.1 200"));
        let took = until_closed(&mut stream).await;
        assert!(took >= Duration::from_millis(400), "{count}: {took:?}");
        assert_eq!(bench.count("limit", "quiet_time"), limit, "{count}");
    }
}

#[tokio::test]
async fn a_websocket_without_a_byte_for_very_long_ends() {
    let mut plan = Plan::new();
    plan.options.limits.quiet_time = Duration::from_millis(500);
    let bench = plan.start();
    let to = origin(|mut stream| async move {
        read_head(&mut stream).await;
        let head = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: \
                    s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
        stream.write_all(head.as_bytes()).await.unwrap();
        for _ in 0..4 {
            tokio::time::sleep(Duration::from_millis(300)).await;
            stream.write_all(b"\x81\x01a").await.unwrap();
        }
        std::future::pending::<()>().await;
    })
    .await;
    let ask = format!(
        "GET http://{to}/ HTTP/1.1\r\nHost: {to}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: \
         13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    let (mut stream, head) = bench.ask(&ask).await;
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    let mut said = [0; 12];
    soon(stream.read_exact(&mut said)).await.unwrap();
    let took = until_closed(&mut stream).await;
    assert!(took >= Duration::from_millis(450) && took < Duration::from_secs(5), "{took:?}");
    bench.counted("limit", "quiet_time", 1).await;
}

/// Sends the head of an upload and then `piece` every `pause`, `count` times; the status of the answer, if there is any.
async fn upload(bench: &Bench, framing: &str, piece: &str, pause: Duration, count: usize) -> String {
    let to = origin(|mut stream| async move {
        let head = read_head(&mut stream).await;
        let length = head
            .to_ascii_lowercase()
            .find("content-length: ")
            .map(|at| head[at + 16..].split("\r\n").next().unwrap().parse::<usize>().unwrap());
        let mut read = Vec::new();
        let whole = |read: &[u8]| match length {
            Some(length) => read.len() >= length,
            None => read.ends_with(b"0\r\n\r\n"),
        };
        while !whole(&read) {
            let mut buffer = [0; 4096];
            match stream.read(&mut buffer).await {
                Ok(n @ 1..) => read.extend(&buffer[..n]),
                _ => return,
            }
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await.unwrap();
        let _ = stream.read_u8().await;
    })
    .await;
    let mut stream = bench.dial().await;
    let head = format!("POST http://{to}/ HTTP/1.1\r\nHost: {to}\r\nContent-Type: image/png\r\n{framing}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    for _ in 0..count {
        tokio::time::sleep(pause).await;
        if stream.write_all(piece.as_bytes()).await.is_err() {
            break;
        }
    }
    if framing.ends_with("chunked") && !piece.is_empty() {
        stream.write_all(b"0\r\n\r\n").await.unwrap();
    }
    read_head(&mut stream).await.split(' ').nth(1).unwrap_or_default().to_owned()
}

#[tokio::test]
async fn a_body_that_trickles_is_given_up_and_one_that_only_is_slow_is_not() {
    let mut plan = Plan::new();
    plan.options.limits.stall_time = Duration::from_millis(600);
    let bench = plan.start();
    let ms = Duration::from_millis;
    let (big, chunk) = ("x".repeat(2500), "5\r\nhello\r\n");
    let ten = format!("Content-Length: {}", big.len() * 10);
    let chunked = "Transfer-Encoding: chunked";
    let cases = [
        upload(&bench, "Content-Length: 4096", "", ms(5000), 1).await,
        upload(&bench, "Content-Length: 4096", "x", ms(100), 20).await,
        upload(&bench, &ten, &big, ms(200), 10).await,
        upload(&bench, chunked, "", ms(5000), 1).await,
    ];
    assert_eq!(cases, ["400", "400", "200", "400"]);
    assert_eq!(bench.count("limit", "stall_time"), 3);
    // Its length is not known: nobody can say what is too slow.
    assert_eq!(upload(&bench, chunked, chunk, ms(300), 6).await, "200");
    assert_eq!(bench.count("limit", "stall_time"), 3);
}

#[tokio::test]
async fn who_takes_nothing_of_an_answer_is_given_up_and_who_takes_some_is_not() {
    let mut plan = Plan::new();
    plan.options.limits.stall_time = Duration::from_millis(700);
    let bench = plan.start();
    let plain = origin(|mut stream| async move {
        read_head(&mut stream).await;
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\nConnection: close\r\n\r\n");
        let _ = stream.write_all(head.as_bytes()).await;
        let _ = stream.write_all(&vec![b'x'; SIZE]).await;
    })
    .await;
    let (mut stream, head) = bench.ask(&format!("GET http://{plain}/ HTTP/1.1\r\nHost: {plain}\r\n\r\n")).await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    bench.counted("limit", "stall_time", 1).await;
    let mut got = Vec::new();
    let _ = soon(stream.read_to_end(&mut got)).await;
    assert!(got.len() < SIZE);

    let (mut stream, _) = bench.ask(&format!("GET http://{plain}/ HTTP/1.1\r\nHost: {plain}\r\n\r\n")).await;
    let mut got = 0;
    let mut buffer = vec![0; 4 << 20];
    while got < SIZE {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let n = soon(stream.read(&mut buffer)).await.unwrap();
        assert_ne!(n, 0, "cut after {got}");
        got += n;
    }
    assert_eq!(bench.count("limit", "stall_time"), 1);
}

/// The preface of HTTP/2, and no settings.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
/// A request on stream 1: GET, http, `/`, `:authority`.
const ASK: &[u8] = b"\0\0\x0e\x01\x05\0\0\0\x01\x82\x86\x84\x41\x09127.0.0.1";
const PING: &[u8] = b"\0\0\x08\x06\0\0\0\0\0abcdefgh";
const EMPTY_SETTINGS: &[u8] = b"\0\0\0\x04\0\0\0\0\0";
const PRIORITY: &[u8] = b"\0\0\x05\x02\0\0\0\0\x03\0\0\0\x01\x10";

/// Writes `frame` again and again until the connection is over.
async fn flood(stream: &mut (impl tokio::io::AsyncWrite + Unpin), frame: &[u8]) {
    let many = frame.repeat(1000);
    soon(async { while stream.write_all(&many).await.is_ok() {} }).await;
}

#[tokio::test]
async fn who_floods_and_reads_no_answers_is_given_up_also_while_a_request_is_under_way() {
    for frame in [PING, EMPTY_SETTINGS] {
        let mut plan = Plan::new();
        plan.options.limits.stall_time = Duration::from_millis(500);
        let bench = plan.start();
        let to = silent().await;
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        let mut stream = socket.connect(bench.address()).await.unwrap();
        let (head, _) = request(&mut stream, &format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n\r\n")).await;
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        stream.write_all(&[PREFACE, ASK].concat()).await.unwrap();
        flood(&mut stream, frame).await;
        assert_eq!(bench.count("limit", "stall_time"), 1, "{:?}", bench.totals().words);
    }
}

#[tokio::test]
async fn requests_that_are_reset_at_once_end_the_connection() {
    let bench = Bench::new();
    let stream = bench.connect(silent().await).await;
    let mut all = PREFACE.to_vec();
    for id in (1_u32..200_000).step_by(2) {
        let id = id.to_be_bytes();
        let frames = [&ASK[..5], &id, &ASK[9..], b"\0\0\x04\x03\0", &id, b"\0\0\0\x08"];
        all.extend(frames.concat());
    }
    let (mut from, mut to) = stream.into_split();
    let mut said = Vec::new();
    let reading = async { while let Ok(1..) = from.read_buf(&mut said).await {} };
    tokio::join!(async { drop(to.write_all(&all).await) }, soon(reading));
    // GOAWAY, of which the last word is why.
    let mut rest = &said[..];
    while let Some((head, more)) = rest.split_first_chunk::<9>() {
        let len = usize::try_from(u32::from_be_bytes([0, head[0], head[1], head[2]])).unwrap();
        let Some(payload) = more.get(..len) else { break };
        if head[3] == 7 {
            assert_eq!((payload[7], &payload[8..]), (11, &b"too_many_resets"[..]));
        }
        rest = &more[len..];
    }
}

#[tokio::test]
async fn frames_that_ask_for_nothing_keep_no_connection_open() {
    for frame in [PING, EMPTY_SETTINGS, PRIORITY] {
        let mut plan = Plan::new();
        plan.options.limits.idle_time = Duration::from_millis(300);
        plan.options.limits.head_time = Duration::from_millis(300);
        let bench = plan.start();
        let mut stream = bench.connect(silent().await).await;
        stream.write_all(PREFACE).await.unwrap();
        let (mut from, mut to) = stream.into_split();
        let reading = async { while let Ok(1..) = from.read(&mut [0; 8 << 10]).await {} };
        tokio::join!(flood(&mut to, frame), soon(reading));
        assert_eq!(bench.count("limit", "idle_time"), 1, "{:?}", bench.totals().words);
    }
}

#[tokio::test]
async fn a_browser_with_a_hundred_names_passes_and_endless_names_are_refused() {
    let mut plan = Plan::new();
    plan.options.limits.leaf_burst = 110;
    plan.options.limits.leaf_rate = 1;
    let bench = Arc::new(plan.start());
    let to = https(TRUSTED.server(NAME, |_| (), &[])).await;
    let mut all = tokio::task::JoinSet::new();
    for n in 0..100 {
        let bench = Arc::clone(&bench);
        all.spawn(async move { bench.tls(to, &format!("n{n}.test"), &[]).await.is_ok() });
    }
    assert!(soon(all.join_all()).await.into_iter().all(|ok| ok));
    assert_eq!((bench.count("limit", "leaf_wait"), bench.count("limit", "leaf_rate")), (0, 0));
    let mut all = tokio::task::JoinSet::new();
    for n in 100..130 {
        let bench = Arc::clone(&bench);
        all.spawn(async move { bench.tls(to, &format!("n{n}.test"), &[]).await.is_ok() });
    }
    let passed = soon(all.join_all()).await.into_iter().filter(|ok| *ok).count();
    assert!((15..=17).contains(&passed), "{passed}: ten at once, and those that wait for five seconds at most");
    let refused = bench.count("limit", "leaf_rate");
    assert_eq!(usize::try_from(refused).unwrap(), 30 - passed);
    assert!(bench.count("limit", "leaf_wait") >= 5);
    let told = news(&bench).into_iter().filter(|news| matches!(news, ProxyNews::LeafRate { .. })).count();
    assert_eq!(told, 30 - passed);
    assert!(soon(bench.tls(to, "n7.test", &[])).await.is_ok(), "what there is costs nothing");
}

/// A client at `from` that does not trust our CA.
async fn refuse(bench: &Bench, from: &str, to: std::net::SocketAddr, name: &'static str) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(format!("{from}:0").parse().unwrap()).unwrap();
    let mut stream = socket.connect(bench.address()).await.unwrap();
    let to = format!("{name}:{}", to.port());
    let (head, _) = request(&mut stream, &format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n\r\n")).await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    let connector = TlsConnector::from(client([TRUSTED.der()], &[]));
    assert!(soon(connector.connect(ServerName::try_from(name).unwrap(), stream)).await.is_err());
}

#[tokio::test]
async fn the_end_of_a_learned_bypass_is_told_once() {
    let mut plan = Plan::new();
    plan.settings.bypass.learn = Some(Duration::from_millis(300));
    let bench = plan.start();
    let to = https(TRUSTED.server("localhost", |_| (), &[])).await;
    for from in ["127.0.0.1", "127.0.0.2"] {
        refuse(&bench, from, to, "localhost").await;
    }
    let host = || "localhost".to_owned();
    let ended = ProxyNews::BypassEnded { host: host() };
    let waiting = async {
        while !news(&bench).contains(&ended) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    soon(waiting).await;
    tokio::time::sleep(Duration::from_millis(1200)).await;
    let mut all = news(&bench);
    all.retain(|news| !matches!(news, ProxyNews::CaRefused { .. }));
    assert_eq!(all, [ProxyNews::BypassBegan { host: host() }, ended]);
}

#[tokio::test]
async fn a_host_that_spoke_mcp_is_never_learned_to_be_passed_through() {
    let mut plan = Plan::new();
    plan.settings.bypass.learn = Some(Duration::from_mins(10));
    let bench = plan.start();
    let body = r#"{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},"serverInfo":{"name":"a","version":"1"}}}"#;
    let config = TRUSTED.server("localhost", |_| (), &[]);
    let to = origin(move |stream| {
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::clone(&config));
        async move {
            let Ok(mut tls) = acceptor.accept(stream).await else { return };
            let head = read_head(&mut tls).await;
            if !head.starts_with("POST") {
                return;
            }
            let answer = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
            tls.write_all(answer.as_bytes()).await.unwrap();
            let _ = tls.read_u8().await;
        }
    })
    .await;
    let named = format!("localhost:{}", to.port());
    let (stream, _) = bench.ask(&format!("CONNECT {named} HTTP/1.1\r\nHost: {named}\r\n\r\n")).await;
    let trusted = bench.ca.iter().cloned();
    let connector = TlsConnector::from(client(trusted, &[]));
    let mut tls = soon(connector.connect(ServerName::try_from("localhost").unwrap(), stream)).await.unwrap();
    let call = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"c","version":"1"}}}"#;
    let ask = format!(
        "POST /x HTTP/1.1\r\nHost: {named}\r\nContent-Type: application/json\r\nAccept: application/json, \
         text/event-stream\r\nContent-Length: {}\r\n\r\n{call}",
        call.len()
    );
    let (head, _) = request(&mut tls, &ask).await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    for from in ["127.0.0.1", "127.0.0.2", "127.0.0.3"] {
        refuse(&bench, from, to, "localhost").await;
    }
    let refused = || news(&bench).iter().filter(|news| matches!(news, ProxyNews::CaRefused { .. })).count();
    let waiting = async {
        while refused() < 3 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    soon(waiting).await;
    let all = news(&bench);
    assert!(!all.iter().any(|news| matches!(news, ProxyNews::BypassBegan { .. })), "{all:?}");
}

/// Blocks `denied.example`.
fn denying(plan: &mut Plan) {
    let actions = RawActions { denied: RawAction::Block, ..RawActions::default() };
    let servers = vec![RawServer::Name("denied.example".to_owned())];
    let scope = RawScope { denied: RawServers { servers }, ..RawScope::default() };
    plan.settings.generation = Arc::new(Generation {
        rules: detect::rules::compile(&detect::rules::builtin()).unwrap(),
        scope: Scope::try_from(&scope).unwrap(),
        policy: Policy::try_from(&actions).unwrap(),
    });
}

#[tokio::test]
async fn what_is_denied_and_must_not_be_read_ends_with_an_alert_and_is_told() {
    let mut plan = Plan::new();
    denying(&mut plan);
    plan.settings.bypass.hosts = vec![detect::HostPattern::parse("denied.example").unwrap()];
    let bench = plan.start();
    let (stream, head) = bench.ask("CONNECT denied.example:443 HTTP/1.1\r\nHost: denied.example:443\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    let connector = TlsConnector::from(client([TRUSTED.der()], &[]));
    let name = ServerName::try_from("denied.example").unwrap();
    let error = soon(connector.connect(name, stream)).await.unwrap_err();
    assert!(error.to_string().contains("AccessDenied"), "{error}");
    assert_eq!(bench.count("refused", "unread"), 1);
    let told = ProxyNews::RefusedUnread { host: "denied.example".to_owned(), why: "host" };
    assert_eq!(news(&bench), [told]);

    // What is no TLS can be answered, or is told of at least.
    let connect = "CONNECT denied.example:80 HTTP/1.1\r\nHost: denied.example:80\r\n\r\n";
    let (mut stream, _) = bench.ask(connect).await;
    let (head, _) = request(&mut stream, "GET / HTTP/1.1\r\nHost: denied.example:80\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 403"), "{head}");
    let (mut stream, _) = bench.ask(connect).await;
    stream.write_all(b"SSH-2.0-x\r\n").await.unwrap();
    until_closed(&mut stream).await;
    assert_eq!(bench.count("refused", "unread"), 2);
}

#[tokio::test]
async fn what_a_client_asks_for_elsewhere_is_shown_without_its_secrets() {
    let bench = Bench::new();
    let to = https(TRUSTED.server(NAME, |_| (), &[])).await;
    let mut tls = soon(bench.tls(to, NAME, &[])).await.unwrap();
    let (head, _) = request(&mut tls, "GET / HTTP/1.1\r\nHost: user:CANARY@other.test\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 4"), "{head}");
    let all = format!("{:?}", news(&bench));
    assert!(!all.contains("CANARY"), "{all}");
}
