//! What passes is what passes without the proxy: as curl gets it, and as the origin sees it.

use crate::needs_curl;
use crate::origin;
use crate::support::{Lab, Proxy};
use crate::wire::Wire;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Either, Full};
use hyper::body::Incoming;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::convert::Infallible;
use std::error::Error;
use std::fs;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::{Arc, Mutex, mpsc};
use tokio_rustls::TlsAcceptor;

/// Fields of one connection (RFC 9110 section 7.6.1), the one that the proxy adds to requests, and the one it answers.
const OWN: [&str; 6] = ["connection:", "expect:", "keep-alive:", "transfer-encoding:", "te:", "via:"];

/// The lines of a head without those of [`OWN`]. Names are in small letters: they mean the same (RFC 9110 section 5.1),
/// and the proxy writes them so.
fn end_to_end(head: &str) -> Vec<String> {
    let small = |line: &str| match line.split_once(':') {
        Some((name, value)) => format!("{}:{value}", name.to_ascii_lowercase()),
        None => line.to_owned(),
    };
    let lines = head.lines().map(|line| small(line.trim_end())).filter(|line| !line.is_empty());
    let mut lines: Vec<_> = lines.filter(|line| !OWN.iter().any(|name| line.starts_with(name))).collect();
    // Only the order within a name has a meaning (section 5.3).
    let from = lines.len().min(1);
    lines[from..].sort_by(|a, b| a.split(':').next().cmp(&b.split(':').next()));
    lines
}

/// A body with its chunks put together; trailers stay.
fn unchunked(mut body: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    while let Some(end) = body.windows(2).position(|two| two == b"\r\n") {
        let size = usize::from_str_radix(std::str::from_utf8(&body[..end]).unwrap(), 16).unwrap();
        body = &body[end + 2..];
        if size == 0 {
            break;
        }
        whole.extend_from_slice(&body[..size]);
        body = &body[size + 2..];
    }
    [&whole, body].concat()
}

/// What curl got: the exit code, heads and trailers, the body.
#[derive(Debug, PartialEq, Eq)]
struct Got {
    exit: Option<i32>,
    heads: Vec<String>,
    body: Vec<u8>,
}

fn curl(lab: &Lab, proxy: Option<&Proxy>, args: &[&str]) -> Got {
    let mut command = Command::new("curl");
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).current_dir(lab.dir.path());
    command.args(["-sS", "--max-time", "60", "--path-as-is", "--suppress-connect-headers", "-D", "heads", "--cacert"]);
    command.arg(lab.path(if proxy.is_some() { "ca/ca.pem" } else { "origin.pem" }));
    if let Some(proxy) = proxy {
        command.args(["--noproxy", "", "--proxy", &format!("http://{}", proxy.address)]);
    }
    let output = command.args(args).output().unwrap();
    Got {
        exit: output.status.code(),
        heads: end_to_end(&fs::read_to_string(lab.path("heads")).unwrap()),
        body: output.stdout,
    }
}

/// An answer of HTTP/1.1 in chunks, one each.
fn chunks(fields: &str, parts: &[&str], trailers: &str) -> Vec<u8> {
    let body: Vec<_> = parts.iter().map(|part| format!("{:x}\r\n{part}\r\n", part.len())).collect();
    let body = body.concat();
    let head = format!("HTTP/1.1 200 OK\n{fields}Transfer-Encoding: chunked\n\n").replace('\n', "\r\n");
    format!("{head}{body}0\r\n{trailers}\r\n").into_bytes()
}

fn text(answer: &str) -> Vec<u8> {
    answer.replace('\n', "\r\n").into_bytes()
}

#[test]
fn http_1_passes_as_without_the_proxy() {
    needs_curl!();
    let lab = Lab::new();
    let proxy = lab.start("");
    let long = format!("X-Long: {}", "l".repeat(60_000));
    fs::write(lab.path("upload"), vec![b'u'; 300_000]).unwrap();
    let gzip = [
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Encoding: gzip\r\nContent-Length: 6\r\n\r\n",
        &b"\x1f\x8b\x08\0no"[..],
    ];
    let events = ["id: 1\ndata: a\n\n", ": still here\n\n", "event: x\ndata: {\"b\":\ndata: 1}\n\n", "id: 2\n\n"];
    let cases: Vec<(&str, Vec<&str>, Vec<u8>)> = vec![
        (
            "fields of every look",
            vec!["-H", "X-Odd: a,  b", "-H", "x-odd: c", "-H", "X-Empty;", "/a%2Fb/../%7Ec?x=1&y=%20&z"],
            text(
                "HTTP/1.1 200 Fine\nSet-Cookie: a=1\nsEt-cooKie: b=2\nSet-Cookie: a=1\nX-Empty:\nContent-Length: 2\nServer: s/1\n\nok",
            ),
        ),
        ("HEAD", vec!["-I", "-o", "head", "/"], text("HTTP/1.1 200 OK\nContent-Length: 5\nETag: \"x\"\n\n")),
        ("204", vec!["-X", "DELETE", "/"], text("HTTP/1.1 204 No Content\nX-Left: 1\n\n")),
        (
            "304",
            vec!["-H", "If-None-Match: \"x\"", "/"],
            text("HTTP/1.1 304 Not Modified\nETag: \"x\"\nCache-Control: max-age=9\n\n"),
        ),
        ("404", vec!["-X", "PATCH", "-d", "x=1", "/"], text("HTTP/1.1 404 Nope\nContent-Length: 4\n\ngone")),
        ("OPTIONS", vec!["-X", "OPTIONS", "/"], text("HTTP/1.1 200 OK\nAllow: GET\nContent-Length: 0\n\n")),
        (
            "100-continue",
            vec!["-H", "Expect: 100-continue", "--data-binary", "@upload", "/"],
            text("HTTP/1.1 200 OK\nContent-Length: 2\n\nok"),
        ),
        (
            "a range",
            vec!["-r", "2-3", "/"],
            text("HTTP/1.1 206 Partial Content\nContent-Range: bytes 2-3/9\nContent-Length: 2\n\ncd"),
        ),
        (
            "an upload in chunks",
            vec!["-H", "Transfer-Encoding: chunked", "-H", "Expect:", "-T", "upload", "/"],
            text("HTTP/1.1 201 Created\nLocation: /x\nContent-Length: 0\n\n"),
        ),
        ("gzip stays on", vec!["-H", "Accept-Encoding: gzip", "/"], gzip.concat()),
        ("chunks", vec!["/"], chunks("Content-Type: text/plain\n", &["one ", "two ", "three"], "")),
        (
            "trailers",
            vec!["-H", "TE: trailers", "/"],
            chunks("Trailer: X-Sum, X-End\n", &["body"], "X-Sum: 9\r\nX-End: 1\r\n"),
        ),
        (
            "events in order",
            vec!["-N", "-H", "Accept: text/event-stream", "/"],
            chunks("Content-Type: text/event-stream\nCache-Control: no-store\n", &events, ""),
        ),
        ("long fields", vec!["-H", &long, "/"], text(&format!("HTTP/1.1 200 OK\n{long}\nContent-Length: 2\n\nok"))),
        ("until the end", vec!["/"], text("HTTP/1.1 200 OK\nX-A: 1\n\nall there is")),
        (
            "a login of the origin",
            vec!["-u", "ana:secret", "/"],
            text(
                "HTTP/1.1 401 Unauthorized\nWWW-Authenticate: Basic realm=\"x\"\nWWW-Authenticate: Bearer\nContent-Length: 0\n\n",
            ),
        ),
    ];
    for (name, args, answer) in cases {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let record = Arc::clone(&seen);
        let tls = origin::server(&lab.path("origin.pem"), &[b"http/1.1"], |_| {});
        let wire = Wire::start(Some(tls), move |mut peer| {
            let Some((head, body)) = peer.request() else { return };
            let body = if head.to_ascii_lowercase().contains("transfer-encoding") { unchunked(&body) } else { body };
            record.lock().unwrap().push((end_to_end(&head), body));
            peer.send(&answer);
            peer.end();
        });
        let (path, options) = args.split_last().unwrap();
        let url = wire.url("https", path);
        let args = [&["--http1.1"], options, &[&url]].concat();
        let direct = curl(&lab, None, &args);
        let through = curl(&lab, Some(&proxy), &args);
        assert_eq!(direct.exit, Some(0), "{name}: {direct:?}");
        assert_eq!(through, direct, "{name}");
        let seen = seen.lock().unwrap();
        let [direct, through] = seen.as_slice() else { panic!("{name}: {seen:?}") };
        assert_eq!(through, direct, "{name}");
    }
    proxy.stop();
}

/// What an origin of HTTP/2 saw.
type Seen = Arc<Mutex<Vec<(String, Vec<(String, String)>, Bytes)>>>;

async fn answered(
    request: Request<Incoming>,
    seen: Seen,
) -> Result<Response<impl hyper::body::Body<Data = Bytes, Error = Box<dyn Error + Send + Sync>>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.unwrap();
    let fields = head.headers.iter().filter(|(name, _)| *name != "via");
    let fields = fields.map(|(name, value)| (name.to_string(), format!("{value:?}"))).collect();
    seen.lock().unwrap().push((format!("{:?} {} {}", head.version, head.method, head.uri), fields, body.to_bytes()));
    let is_head = head.method == "HEAD";
    let (status, body) = match head.uri.path() {
        _ if is_head => (200, ""),
        "/204" => (204, ""),
        "/304" => (304, ""),
        "/206" => (206, "cd"),
        "/events" => (200, "id: 1\ndata: a\n\n: still here\n\nevent: x\ndata: b\n\n"),
        _ => (200, "hello"),
    };
    let mut response = Response::builder().status(status);
    for (name, value) in [("set-cookie", "a=1"), ("set-cookie", "b=2"), ("set-cookie", "a=1"), ("x-empty", "")] {
        response = response.header(name, value);
    }
    if is_head {
        response = response.header("content-length", "5");
    }
    if head.uri.path() == "/long" {
        response = response.header("x-long", "l".repeat(14_000));
    }
    let of = |name: &'static str| (HeaderName::from_static(name), HeaderValue::from_static("9"));
    let trailers = HeaderMap::from_iter([of("x-sum"), of("grpc-status")]);
    let body = Full::new(Bytes::from_static(body.as_bytes()));
    let body = match head.uri.path() {
        "/trailers" => Either::Left(body.with_trailers(async { Some(Ok(trailers)) })),
        _ => Either::Right(body),
    };
    Ok(response.body(body).unwrap())
}

/// An origin of HTTP/2 behind TLS, until the test program ends.
fn http2(lab: &Lab, seen: &Seen) -> SocketAddr {
    let acceptor = TlsAcceptor::from(Arc::new(origin::server(&lab.path("origin.pem"), &[b"h2"], |_| {})));
    let (told, address) = mpsc::sync_channel(1);
    let seen = Arc::clone(seen);
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            told.send(listener.local_addr().unwrap()).unwrap();
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, seen) = (acceptor.clone(), Arc::clone(&seen));
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    let service = service_fn(move |request| answered(request, Arc::clone(&seen)));
                    let mut serving = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                    serving.auto_date_header(false);
                    let _ = serving.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
    });
    address.recv().unwrap()
}

#[test]
fn http_2_passes_as_without_the_proxy() {
    needs_curl!();
    let lab = Lab::new();
    let proxy = lab.start("");
    let seen = Seen::default();
    let to = Wire { address: http2(&lab, &seen) };
    fs::write(lab.path("upload"), vec![b'u'; 300_000]).unwrap();
    let long = format!("X-Long: {}", "l".repeat(14_000));
    for (name, args) in [
        (
            "fields of every look",
            vec!["-H", "X-Odd: a,  b", "-H", "x-odd: c", "-H", "X-Empty;", "/a%2Fb/../%7Ec?x=1&y=%20&z"],
        ),
        ("HEAD", vec!["-I", "-o", "head", "/"]),
        ("204", vec!["-X", "DELETE", "/204"]),
        ("304", vec!["-H", "If-None-Match: \"x\"", "/304"]),
        ("a range", vec!["-r", "2-3", "/206"]),
        ("an upload", vec!["-T", "upload", "/"]),
        ("a form", vec!["-d", "x=1", "/"]),
        ("cookies", vec!["-H", "Cookie: a=1; b=2", "/"]),
        ("trailers", vec!["-H", "TE: trailers", "/trailers"]),
        ("events in order", vec!["-N", "-H", "Accept: text/event-stream", "/events"]),
        ("long fields", vec!["-H", &long, "/long"]),
    ] {
        let (path, options) = args.split_last().unwrap();
        let url = to.url("https", path);
        let args = [&["--http2"], options, &[&url]].concat();
        let direct = curl(&lab, None, &args);
        let through = curl(&lab, Some(&proxy), &args);
        assert_eq!(direct.exit, Some(0), "{name}: {direct:?}");
        assert_eq!(through, direct, "{name}");
        let seen: Vec<_> = seen.lock().unwrap().drain(..).collect();
        let [direct, through] = seen.as_slice() else { panic!("{name}: {seen:?}") };
        assert_eq!(through, direct, "{name}");
    }
    proxy.stop();
}
