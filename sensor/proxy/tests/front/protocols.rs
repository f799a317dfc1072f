//! What is spoken behind CONNECT.

use crate::support::{Bench, NAME, Plan, TRUSTED, https, origin, read_head, request, soon, web};
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::net::SocketAddr;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// One request over HTTP/2: status and body.
async fn http2(io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, uri: &str) -> (u16, String) {
    let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(io));
    let (mut sender, conn) = soon(handshake).await.unwrap();
    tokio::spawn(conn);
    let request = hyper::Request::get(uri).body(Empty::<bytes::Bytes>::new()).unwrap();
    let response = soon(sender.send_request(request)).await.unwrap();
    let status = response.status().as_u16();
    let body = soon(response.into_body().collect()).await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

fn get(host: &str, path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n")
}

#[tokio::test]
async fn an_intercepted_connection_speaks_what_the_origin_chose() {
    let both: &[&[u8]] = &[b"h2", b"http/1.1"];
    for (speaks, offered, want) in [
        (both, both, Some(&b"h2"[..])),
        (&[b"http/1.1"], both, Some(b"http/1.1")),
        (both, &[b"http/1.1"], Some(b"http/1.1")),
        (&[b"h2"], both, Some(b"h2")),
        (&[], both, None),
        (both, &[], None),
        (both, &[b"mqtt", b"h2"], Some(b"h2")),
    ] {
        let bench = Bench::new();
        let to = https(TRUSTED.server(NAME, |_| (), speaks)).await;
        let mut tls = soon(bench.tls(to, NAME, offered)).await.unwrap();
        let (_, session) = tls.get_ref();
        assert_eq!(session.alpn_protocol(), want);
        assert!(session.peer_certificates().unwrap().len() <= 2, "a leaf, and the CA at most");
        let host = format!("{NAME}:{}", to.port());
        if want == Some(b"h2") {
            let (status, body) = http2(tls, &format!("https://{host}/path")).await;
            assert_eq!((status, body.as_str()), (200, "HTTP/2.0 GET /path None"));
        } else {
            for path in ["/one", "/two"] {
                let (head, body) = request(&mut tls, &get(&host, path)).await;
                assert!(head.starts_with("HTTP/1.1 200"), "{head}");
                assert_eq!(body, format!("HTTP/1.1 GET {path} Some({host:?})"));
            }
        }
        assert_eq!((bench.count("tls_client", "ok"), bench.count("tls_origin", "ok")), (1, 1));
    }
}

#[tokio::test]
async fn http_in_the_clear_is_served_behind_connect() {
    let bench = Bench::new();
    let to = origin(|stream| web(stream, false)).await;
    let mut stream = bench.connect(to).await;
    let (head, body) = request(&mut stream, &get(&to.to_string(), "/clear")).await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert!(body.starts_with("HTTP/1.1 GET /clear"), "{body}");
    assert!(bench.totals().words.keys().all(|(family, _)| *family != "tunnelled"));

    let to = origin(|stream| web(stream, true)).await;
    let (status, body) = http2(bench.connect(to).await, &format!("http://{to}/prior")).await;
    assert_eq!((status, body.as_str()), (200, "HTTP/2.0 GET /prior None"));
}

#[tokio::test]
async fn absolute_form_goes_to_each_origin_on_one_connection() {
    let bench = Bench::new();
    let (one, two) = (origin(|stream| web(stream, false)).await, origin(|stream| web(stream, false)).await);
    let mut stream = bench.dial().await;
    for to in [one, two, one] {
        let (head, body) = request(&mut stream, &format!("GET http://{to}/x HTTP/1.1\r\nHost: {to}\r\n\r\n")).await;
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        assert_eq!(body, format!("HTTP/1.1 GET /x Some(\"{to}\")"));
    }
    let (head, _) = request(&mut stream, "GET https://a.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 400"), "{head}");
}

#[tokio::test]
async fn a_server_that_speaks_first_is_not_waited_for() {
    let bench = Bench::new();
    let to = origin(|mut stream| async move {
        stream.write_all(b"220 ready\r\n").await.unwrap();
        let mut said = String::new();
        stream.read_to_string(&mut said).await.unwrap();
        stream.write_all(format!("heard {said}").as_bytes()).await.unwrap();
    })
    .await;
    let mut stream = bench.connect(to).await;
    let mut greeting = [0; 11];
    soon(stream.read_exact(&mut greeting)).await.unwrap();
    assert_eq!(&greeting, b"220 ready\r\n");
    stream.write_all(b"EHLO me").await.unwrap();
    // The end of one direction is passed on, and the other goes on.
    stream.shutdown().await.unwrap();
    let mut rest = String::new();
    soon(stream.read_to_string(&mut rest)).await.unwrap();
    assert_eq!(rest, "heard EHLO me");
    bench.counted("tunnel_bytes", "to_client", 24).await;
    assert_eq!(bench.count("tunnelled", "server_first"), 1);
    assert_eq!(bench.count("tunnel_bytes", "to_server"), 7);
}

/// Sends back what comes, until the end.
async fn echo(to: &str) -> SocketAddr {
    let greeting = to.to_owned();
    origin(move |mut stream| {
        let greeting = greeting.clone();
        async move {
            stream.write_all(greeting.as_bytes()).await.unwrap();
            let (mut from, mut to) = stream.split();
            let _ = tokio::io::copy(&mut from, &mut to).await;
        }
    })
    .await
}

#[tokio::test]
async fn an_unknown_protocol_is_passed_through_and_so_is_much_of_it() {
    let bench = Bench::new();
    let to = echo("").await;
    let (mut from, mut into) = bench.connect(to).await.into_split();
    let sent = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect::<Vec<_>>();
    let mut received = Vec::new();
    let sending = async {
        into.write_all(&sent).await.unwrap();
        into.shutdown().await.unwrap();
    };
    soon(async { tokio::join!(sending, from.read_to_end(&mut received)) }).await.1.unwrap();
    assert!(received == sent);
    assert_eq!(bench.count("tunnelled", "unknown"), 1);
}

#[tokio::test]
async fn what_comes_with_connect_is_not_lost() {
    let bench = Bench::new();
    let to = echo("").await;
    let (mut stream, answer) = bench.ask(&format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n\r\n\0early")).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let mut back = [0; 6];
    soon(stream.read_exact(&mut back)).await.unwrap();
    assert_eq!(&back, b"\0early");
}

#[tokio::test]
async fn a_client_that_vanishes_ends_its_origin_at_once() {
    let bench = Bench::new();
    let (gone, mut ended) = tokio::sync::mpsc::channel(1);
    let to = origin(move |mut stream| {
        let gone = gone.clone();
        async move {
            let _ = stream.read_to_end(&mut Vec::new()).await;
            gone.send(()).await.unwrap();
        }
    })
    .await;
    let mut stream = bench.connect(to).await;
    stream.write_all(b"\0").await.unwrap();
    bench.counted("tunnelled", "unknown", 1).await;
    socket2::SockRef::from(&stream).set_linger(Some(std::time::Duration::ZERO)).unwrap();
    drop(stream);
    soon(ended.recv()).await.unwrap();
}

#[tokio::test]
async fn inside_of_tls_without_alpn_the_first_bytes_decide_as_well() {
    let bench = Bench::new();
    let config = TRUSTED.server(NAME, |_| (), &[]);
    let to = origin(move |stream| {
        let acceptor = tokio_rustls::TlsAcceptor::from(std::sync::Arc::clone(&config));
        async move {
            let mut tls = acceptor.accept(stream).await.unwrap();
            tls.write_all(b"* OK IMAP\r\n").await.unwrap();
            let mut line = [0; 5];
            tls.read_exact(&mut line).await.unwrap();
            tls.write_all(&line).await.unwrap();
            tls.flush().await.unwrap();
            let _ = tls.read_u8().await;
        }
    })
    .await;
    let mut tls = soon(bench.tls(to, NAME, &[])).await.unwrap();
    let mut greeting = [0; 11];
    soon(tls.read_exact(&mut greeting)).await.unwrap();
    assert_eq!(&greeting, b"* OK IMAP\r\n");
    tls.write_all(b"LOGIN").await.unwrap();
    let mut back = [0; 5];
    soon(tls.read_exact(&mut back)).await.unwrap();
    assert_eq!(&back, b"LOGIN");
    assert_eq!(bench.count("tunnelled", "server_first"), 1);
}

#[tokio::test]
async fn without_a_ca_tls_is_passed_through() {
    let mut plan = Plan::new();
    plan.options.ca = None;
    let bench = plan.start();
    let to = https(TRUSTED.server(NAME, |_| (), &[b"http/1.1"])).await;
    let mut tls = soon(bench.tls(to, NAME, &[b"http/1.1"])).await.unwrap();
    let (head, _) = request(&mut tls, &get(NAME, "/")).await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert_eq!(bench.count("tunnelled", "no_ca"), 1);
}

#[tokio::test]
async fn the_proxy_has_pages_of_its_own() {
    let bench = Bench::new();
    let mut stream = bench.dial().await;
    let here = bench.address();
    let (head, script) = request(&mut stream, &get(&here.to_string(), "/proxy.pac")).await;
    assert!(head.contains("application/x-ns-proxy-autoconfig"), "{head}");
    assert!(script.contains(&format!("PROXY {here}")), "{script}");
    let (head, page) = request(&mut stream, &get("x", "/")).await;
    assert!(head.starts_with("HTTP/1.1 200") && page.contains("proxy"), "{head}{page}");
    let (head, _) = request(&mut stream, &get("x", "/other")).await;
    assert!(head.starts_with("HTTP/1.1 404"), "{head}");
    for bad in [
        "CONNECT nowhere HTTP/1.1\r\nHost: a\r\n\r\n",
        "CONNECT a.test:443 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n",
    ] {
        let mut stream = bench.dial().await;
        stream.write_all(bad.as_bytes()).await.unwrap();
        let head = read_head(&mut stream).await;
        assert!(head.starts_with("HTTP/1.1 400"), "{head}");
    }
}
