//! What clients get, and what is counted and told, where an origin fails.

use crate::needs_curl;
use crate::origin::{self, Origin};
use crate::support::{CALL, INITIALIZE, Lab, until};
use crate::wire::{Peer, Wire};
use rcgen::CertificateParams;
use rustls::ServerConfig;
use socket2::{Domain, Socket, Type};
use std::fmt::Write as _;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;
use testkit::http2::{Encoder, Frames};

/// Limits that a test can sit out.
const SHORT: &str = "[proxy.limits]\nconnect_seconds = 1\nhandshake_seconds = 1\n";

const H1: &[&[u8]] = &[b"http/1.1"];
const H2: &[&[u8]] = &[b"h2"];

/// An answer of HTTP/1.1 with a tag in its body, whole.
fn whole(tag: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{tag}", tag.len()).into_bytes()
}

/// Origins of HTTP/1.1 behind TLS that read a request and then fail.
fn failing(lab: &Lab, fail: impl Fn(Peer) + Send + Sync + 'static) -> Wire {
    Wire::start(Some(tls(lab, H1)), move |mut peer| {
        if peer.request().is_some() {
            fail(peer);
        }
    })
}

fn tls(lab: &Lab, alpn: &[&[u8]]) -> ServerConfig {
    origin::server(&lab.path("origin.pem"), alpn, |_| {})
}

/// Origins of HTTP/2 that say some frames once they were asked, on stream 1.
fn framing(lab: &Lab, frames: impl Fn() -> Frames + Send + Sync + 'static, reset: bool) -> Wire {
    Wire::start(Some(tls(lab, H2)), move |mut peer| {
        peer.send(&Frames::default().settings(&[]).bytes());
        let mut seen = Vec::new();
        // HEADERS of stream 1.
        while !seen.windows(8).any(|eight| eight[0] == 1 && eight[2..6] == [0, 0, 0, 1]) {
            let more = peer.some();
            if more.is_empty() {
                return;
            }
            seen.extend(more);
        }
        peer.send(&frames().bytes());
        if reset { peer.reset() } else { while !peer.some().is_empty() {} }
    })
}

/// An address where nobody answers: all places in the queue of its listener are taken.
struct BlackHole {
    wire: Wire,
    _kept: (Socket, Vec<Socket>),
}

impl BlackHole {
    fn new() -> Self {
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        listener.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
        listener.listen(0).unwrap();
        let address = listener.local_addr().unwrap();
        let knock = |_| {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            socket.set_nonblocking(true).unwrap();
            let _ = socket.connect(&address);
            socket
        };
        let taken = (0..4).map(knock).collect();
        Self { wire: Wire { address: address.as_socket().unwrap() }, _kept: (listener, taken) }
    }
}

/// A request by curl through a fresh proxy: status of CONNECT, status, what curl ends with (0: the answer is whole; 18:
/// it is not; 92: its stream was reset; 56: CONNECT was refused), the body if it is whole; what is counted; what is told.
fn outcome(lab: &Lab, args: &[&str]) -> String {
    let _ = fs::remove_file(lab.path("events.jsonl"));
    let _ = fs::remove_file(lab.path("body"));
    let proxy = lab.start(SHORT);
    let mut command = lab.command(&proxy, &["-o", "body", "-w", "%{http_connect} %{http_code} %{exitcode}"]);
    let output = command.args(args).current_dir(lab.dir.path()).output().unwrap();
    let mut said = String::from_utf8_lossy(&output.stdout).into_owned();
    if said.ends_with(" 92") {
        // The head may have come before, or not.
        said.replace_range(4..7, "-");
    }
    let body = fs::read_to_string(lab.path("body")).unwrap_or_default();
    if said.ends_with(" 0") {
        write!(said, " {}", if body.starts_with("mcp-sensor: ") { "(why)" } else { body.as_str() }).unwrap();
    }
    said.push(';');
    proxy.stop();
    let events = lab.events();
    let counted = &events.last().unwrap()["proxy"];
    for family in ["tls_origin", "refused", "limits"] {
        for word in counted[family].as_object().unwrap().keys().filter(|word| *word != "ok") {
            write!(said, " {word}").unwrap();
        }
    }
    let others = counted["others"].as_object().into_iter().flatten().map(|(word, _)| word);
    for word in others.filter(|word| word.starts_with("broken_off") || word.starts_with("dropped")) {
        write!(said, " {word}").unwrap();
    }
    for event in events.iter().filter(|event| event["type"] == "notice") {
        write!(said, " {}", event["code"].as_str().unwrap()).unwrap();
    }
    assert_eq!(counted["connections_active"], 0, "{args:?}");
    said
}

fn compare(wrong: &mut String, name: &str, got: &str, want: &str) {
    if got != want {
        writeln!(wrong, "{name}: {got}\n   and not: {want}").unwrap();
    }
}

#[test]
fn faults_of_origins_end_as_the_table_says() {
    needs_curl!();
    let lab = Lab::new();
    let stranger = Origin::start(&lab.path("other.pem"));
    let changed = |change: fn(&mut CertificateParams)| {
        Wire::start(Some(origin::server(&lab.path("origin.pem"), H1, change)), |mut peer| {
            assert!(peer.request().is_none(), "it is not trusted");
        })
    };
    let hole = BlackHole::new();
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let head = |text: &'static str| failing(&lab, move |mut peer| peer.send(text.as_bytes()));
    let torn = |text: &'static str| {
        failing(&lab, move |mut peer| {
            peer.send(text.as_bytes());
            peer.reset();
        })
    };
    let ended = |text: &'static str| {
        failing(&lab, move |mut peer| {
            peer.send(text.as_bytes());
            peer.end();
        })
    };
    let long = |filler: fn() -> String| {
        failing(&lab, move |mut peer| {
            peer.send(format!("HTTP/1.1 200 OK\r\n{}Content-Length: 0\r\n\r\n", filler()).as_bytes());
        })
    };
    let rows: Vec<(&str, Wire, &str)> = vec![
        ("refused", Wire { address: closed }, "502 000 56; connection_refused"),
        ("nobody answers", hole.wire, "504 000 56; connection_timeout"),
        (
            "reset in the handshake",
            Wire::start(None, |mut peer| {
                peer.some();
                peer.reset();
            }),
            "200 502 0 (why); handshake_reset handshake_reset",
        ),
        (
            "closed in the handshake",
            Wire::start(None, |mut peer| {
                peer.some();
            }),
            "200 502 0 (why); handshake_reset handshake_reset",
        ),
        (
            "silent in the handshake",
            Wire::start(None, |mut peer| while !peer.some().is_empty() {}),
            "200 504 0 (why); timeout connection_timeout",
        ),
        (
            "no TLS",
            Wire::start(None, |mut peer| {
                peer.some();
                peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n");
            }),
            "200 502 0 (why); protocol tls_certificate_error origin_untrusted",
        ),
        (
            "expired",
            changed(|params| params.not_after = rcgen::date_time_ymd(2020, 1, 1)),
            "200 502 0 (why); expired tls_certificate_error origin_untrusted",
        ),
        (
            "not valid yet",
            changed(|params| params.not_before = rcgen::date_time_ymd(2100, 1, 1)),
            "200 502 0 (why); not_yet_valid tls_certificate_error origin_untrusted",
        ),
        (
            "of another name",
            changed(|params| {
                params.subject_alt_names =
                    CertificateParams::new(vec!["other.example".to_owned()]).unwrap().subject_alt_names;
            }),
            "200 502 0 (why); wrong_name tls_certificate_error origin_untrusted",
        ),
        (
            "of an unknown CA",
            Wire { address: stranger.tls },
            "200 502 0 (why); unknown_issuer tls_certificate_error origin_untrusted",
        ),
        (
            "no protocol in common",
            Wire::start(Some(tls(&lab, &[b"mqtt"])), |mut peer| drop(peer.some())),
            "200 502 0 (why); protocol tls_certificate_error origin_untrusted",
        ),
        ("reset before the head", torn(""), "200 502 0 (why); connection_terminated"),
        ("closed before the head", ended(""), "200 502 0 (why); connection_terminated"),
        ("reset in the head", torn("HTTP/1.1 200 OK\r\nContent-"), "200 502 0 (why); connection_terminated"),
        ("closed in the head", ended("HTTP/1.1 200 OK\r\nContent-"), "200 502 0 (why); connection_terminated"),
        ("no head", ended("220 mail.example ESMTP\r\n"), "200 502 0 (why); connection_terminated"),
        (
            "a head beyond the limit",
            long(|| format!("X-Long: {}\r\n", "x".repeat(1_000_000))),
            "200 502 0 (why); connection_terminated",
        ),
        ("fields beyond the limit", long(|| "X-Many: 1\r\n".repeat(300)), "200 502 0 (why); connection_terminated"),
        (
            "two lengths",
            head("HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcde"),
            "200 502 0 (why); connection_terminated",
        ),
        (
            "length and chunks",
            head("HTTP/1.1 200 OK\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\n\r\n"),
            "200 200 0 abcd;",
        ),
        (
            "another protocol, unasked",
            head("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"),
            "200 502 0 (why); connection_terminated",
        ),
        ("reset in a body", torn("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"), "200 200 18; broken_off_origin"),
        ("closed in a body", ended("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"), "200 200 18; broken_off_origin"),
        (
            "reset between chunks",
            torn("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"),
            "200 200 18; broken_off_origin",
        ),
        (
            "closed between chunks",
            ended("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"),
            "200 200 18; broken_off_origin",
        ),
        (
            "closed in a chunk",
            ended("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nabc"),
            "200 200 18; broken_off_origin",
        ),
        (
            "no chunk",
            ended("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\n"),
            "200 200 18; broken_off_origin",
        ),
        (
            "a chunk of another size",
            ended("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n0\r\n\r\n"),
            "200 200 18; broken_off_origin",
        ),
        ("to the end, closed", ended("HTTP/1.1 200 OK\r\n\r\nabc"), "200 200 0 abc;"),
        (
            "to the end, without the last word of TLS",
            head("HTTP/1.1 200 OK\r\n\r\nabc"),
            "200 200 18; broken_off_origin",
        ),
        ("to the end, reset", torn("HTTP/1.1 200 OK\r\n\r\nabc"), "200 200 18; broken_off_origin"),
        ("more than its length", head("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcdef"), "200 200 0 abc;"),
        (
            "a thousand interim answers",
            failing(&lab, |mut peer| {
                peer.send("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n".repeat(1000).as_bytes());
                peer.send(&whole("abc"));
            }),
            "200 200 0 abc; dropped_interim",
        ),
        (
            "byte by byte",
            failing(&lab, |mut peer| {
                for byte in whole("abc") {
                    peer.send(&[byte]);
                    std::thread::park_timeout(Duration::from_millis(2));
                }
            }),
            "200 200 0 abc;",
        ),
        (
            "h2: closed at once",
            Wire::start(Some(tls(&lab, H2)), |mut peer| {
                peer.some();
                peer.end();
            }),
            "200 502 0 (why); connection_terminated",
        ),
        (
            "h2: no frames",
            Wire::start(Some(tls(&lab, H2)), |mut peer| {
                peer.some();
                peer.send(&whole("abc"));
                peer.some();
            }),
            "200 502 0 (why); connection_terminated",
        ),
        (
            "h2: stream reset before the head",
            framing(&lab, || Frames::default().reset(1, 2), false),
            "200 502 0 (why); connection_terminated",
        ),
        ("h2: reset before the head", framing(&lab, Frames::default, true), "200 502 0 (why); connection_terminated"),
        (
            "h2: gone before the head",
            framing(&lab, || Frames::default().go_away(0, 2), false),
            "200 502 0 (why); connection_terminated",
        ),
        (
            "h2: stream reset in the body",
            framing(&lab, || answer().data(1, b"abc", false).reset(1, 2), false),
            "200 - 92; broken_off_origin",
        ),
        (
            "h2: stream reset in the body, as if that were no error",
            framing(&lab, || answer().data(1, b"abc", false).reset(1, 0), false),
            "200 - 92; broken_off_origin",
        ),
        (
            "h2: reset in the body",
            framing(&lab, || answer().data(1, b"abc", false), true),
            "200 - 92; broken_off_origin",
        ),
        (
            "h2: ends before its length",
            framing(
                &lab,
                || {
                    let block = Encoder::default().response("200", &[("content-length", "9")]);
                    Frames::default().headers(1, &block, false).data(1, b"abc", true)
                },
                false,
            ),
            "200 - 92; broken_off_origin",
        ),
        (
            "h2: a block that cannot be read",
            framing(&lab, || Frames::default().headers(1, &[0xff; 9], true), false),
            "200 502 0 (why); connection_terminated",
        ),
        ("h2: whole", framing(&lab, || answer().data(1, b"abc", true), false), "200 200 0 abc;"),
    ];
    let mut wrong = String::new();
    for (name, wire, want) in rows {
        compare(&mut wrong, name, &outcome(&lab, &[&wire.url("https", "/x")]), want);
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn faults_in_the_clear_end_as_the_table_says() {
    needs_curl!();
    let lab = Lab::new();
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let clear = |text: &'static str, reset: bool| {
        let wire = Wire::start(None, move |mut peer| {
            if peer.request().is_some() {
                peer.send(text.as_bytes());
                if reset { peer.reset() } else { peer.end() }
            }
        });
        wire.url("http", "/x")
    };
    let hole = BlackHole::new();
    let rows = [
        ("refused", Wire { address: closed }.url("http", "/x"), "000 502 0 (why); connection_refused"),
        ("nobody answers", hole.wire.url("http", "/x"), "000 504 0 (why); connection_timeout"),
        ("no such name", "http://nowhere.invalid/x".to_owned(), "000 502 0 (why); dns_error"),
        ("no such name, behind TLS", "https://nowhere.invalid/x".to_owned(), "502 000 56; dns_error"),
        ("reset before the head", clear("", true), "000 502 0 (why); connection_terminated"),
        ("to the end, closed", clear("HTTP/1.1 200 OK\r\n\r\nabc", false), "000 200 0 abc;"),
        ("to the end, reset", clear("HTTP/1.1 200 OK\r\n\r\nabc", true), "000 200 18; broken_off_origin"),
        (
            "closed in a body",
            clear("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", false),
            "000 200 18; broken_off_origin",
        ),
        (
            "closed in a chunk",
            clear("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nabc", false),
            "000 200 18; broken_off_origin",
        ),
    ];
    let mut wrong = String::new();
    for (name, url, want) in rows {
        compare(&mut wrong, name, &outcome(&lab, &[&url]), want);
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn an_answer_that_an_origin_breaks_off_is_told_with_its_call() {
    needs_curl!();
    let lab = Lab::new();
    let cut = failing(&lab, |mut peer| {
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 999\r\n\r\n";
        peer.send(format!("{head}{{\"jsonrpc\":\"2.0\",\"id\":1,").as_bytes());
        peer.end();
    });
    let proxy = lab.start("");
    let post = ["-H", "content-type: application/json", "--data-binary", INITIALIZE, &cut.url("https", "/mcp")];
    assert_eq!(lab.command(&proxy, &post).output().unwrap().status.code(), Some(18));
    let told = lab.detection("initialize");
    assert_eq!(told["limits"]["body_cut"], "answer", "{told}");
    assert_eq!(lab.post(&proxy, &lab.origin.https("/mcp"), CALL).0, 200);
    let told = lab.detection("tools/call");
    assert!(told["limits"]["body_cut"].is_null(), "{told}");
    proxy.stop();
}

/// How an origin fails, by the first part of the path: the whole path is in each answer, as far as it comes.
fn tagged(mut peer: Peer) {
    while let Some((head, _)) = peer.request() {
        let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
        let tag = format!("<{path}>");
        let chunk = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{tag}\r\n", tag.len());
        let long = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{tag}", tag.len() + 9);
        match path.split('/').nth(1).unwrap_or_default() {
            "whole" => peer.send(&whole(&tag)),
            "chunks" => peer.send(format!("{chunk}0\r\n\r\n").as_bytes()),
            "more" => {
                // What stands behind the answer must not become the next one.
                peer.send(&[whole(&tag), whole("<astray>")].concat());
            }
            "closed" => return peer.end(),
            "reset" => return peer.reset(),
            "garbage" => return peer.send(format!("220 {tag}\r\n").as_bytes()),
            "in-a-chunk" => {
                peer.send(&chunk.as_bytes()[..chunk.len() - 2]);
                return peer.end();
            }
            "after-a-chunk" => {
                peer.send(chunk.as_bytes());
                return peer.reset();
            }
            "in-a-body" => {
                peer.send(long.as_bytes());
                return peer.end();
            }
            _ => {
                peer.send(long.as_bytes());
                return peer.reset();
            }
        }
    }
}

#[test]
fn faults_again_and_again_cross_no_answers_and_leave_nothing_open() {
    const WHOLE: [&str; 3] = ["whole", "chunks", "more"];
    const FAILS: [&str; 7] = ["closed", "reset", "garbage", "in-a-chunk", "after-a-chunk", "in-a-body", "torn"];
    needs_curl!();
    let rounds: usize = std::env::var("ROUNDS").map_or(20, |rounds| rounds.parse().unwrap());
    let lab = Lab::new();
    let open = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&open);
    let wire = Wire::start(Some(tls(&lab, H1)), move |peer| {
        count.fetch_add(1, SeqCst);
        tagged(peer);
        count.fetch_sub(1, SeqCst);
    });
    let proxy = lab.start("");
    let files = || fs::read_dir(format!("/proc/{}/fd", proxy.pid())).map_or(0, Iterator::count);
    let before = files();
    for _ in 0..2 {
        fs::create_dir_all(lab.path("out")).unwrap();
        let kinds = [&WHOLE[..], &FAILS].concat().join(",");
        let url = wire.url("https", &format!("/{{{kinds}}}/[1-{rounds}]"));
        let args = ["-Z", "--parallel-max", "8", "--no-progress-meter", "-o", "out/#1-#2", &url];
        let mut command = lab.command(&proxy, &["-w", "%{url} %{http_code} %{exitcode}\n"]);
        let output = command.args(args).current_dir(lab.dir.path()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        for kind in WHOLE.iter().chain(&FAILS) {
            for n in 1..=rounds {
                let path = format!("/{kind}/{n}");
                let told = said.lines().find_map(|line| line.split_once(' ').filter(|(url, _)| url.ends_with(&path)));
                let told = told.unwrap_or_else(|| panic!("nothing of {path}: {said}")).1;
                let body = fs::read_to_string(lab.path(&format!("out/{kind}-{n}"))).unwrap_or_default();
                let tag = format!("<{path}>");
                if WHOLE.contains(kind) {
                    assert_eq!((told, &body), ("200 0", &tag), "{path}");
                } else {
                    let fine = told == "502 0" && body.starts_with("mcp-sensor: ")
                        || told == "200 18" && (body.is_empty() || body == tag);
                    assert!(fine, "{path}: {told} {body}");
                }
            }
        }
        fs::remove_dir_all(lab.path("out")).unwrap();
        until("all connections are closed again", || open.load(SeqCst) == 0 && files() == before);
    }
    proxy.stop();
    assert_eq!(lab.events().last().unwrap()["proxy"]["connections_active"], 0);
}

fn answer() -> Frames {
    Frames::default().headers(1, &Encoder::default().response("200", &[]), false)
}
