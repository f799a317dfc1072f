//! The kinds of traffic, and what each may allocate.

use std::fmt::Write as _;
use testkit::{Capture, Direction, Rng, Turn, Wire, http, websocket};

/// One kind of traffic.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    /// What allocations are counted by.
    pub(crate) unit: &'static str,
    /// Most allocations of one unit. The goal is 0 for all that is no MCP, but for some hundredths: a block of some
    /// 90 packets may allocate three times, and so may a second of packet time.
    pub(crate) allowed: f64,
    pub(crate) traffic: fn() -> Traffic,
}

/// Most bytes by which memory may grow with each unit: a pool or a table may happen to be fuller at the last look than
/// at the first, but a flow or a body that is never freed shows.
pub(crate) const GROWTH: f64 = 200.0;

/// Every kind.
pub(crate) const ALL: &[Scenario] = &[
    Scenario { name: "opaque bytes, long flows", unit: "packet", allowed: 0.04, traffic: opaque },
    Scenario { name: "TLS, long flows", unit: "packet", allowed: 0.04, traffic: tls },
    Scenario { name: "one direction, long page", unit: "packet", allowed: 0.04, traffic: one_sided },
    Scenario { name: "reordered pages", unit: "packet", allowed: 0.85, traffic: || pages_over(&wire(4), "packet") },
    Scenario { name: "repeated segments", unit: "packet", allowed: 0.04, traffic: repeated },
    Scenario { name: "keep-alive pages", unit: "exchange", allowed: 0.55, traffic: || pages_over(&wire(0), "") },
    Scenario { name: "keep-alive pages, chunked", unit: "exchange", allowed: 0.55, traffic: chunked_pages },
    Scenario { name: "keep-alive pages, gzip", unit: "exchange", allowed: 0.3, traffic: gzip_pages },
    Scenario { name: "keep-alive small JSON", unit: "exchange", allowed: 4.1, traffic: small_json },
    Scenario { name: "keep-alive JSON records", unit: "exchange", allowed: 610.0, traffic: large_json },
    Scenario { name: "keep-alive JSON, gzip chunked", unit: "exchange", allowed: 612.0, traffic: gzip_json },
    Scenario {
        name: "keep-alive JSON, brotli",
        unit: "exchange",
        allowed: 1930.0,
        traffic: || packed_json("br", BROTLI),
    },
    Scenario {
        name: "keep-alive JSON, zstd",
        unit: "exchange",
        allowed: 1955.0,
        traffic: || packed_json("zstd", ZSTD),
    },
    Scenario { name: "posted JSON", unit: "exchange", allowed: 3.1, traffic: posted_json },
    Scenario { name: "posted form", unit: "exchange", allowed: 2.1, traffic: posted_form },
    Scenario { name: "no body (304, HEAD)", unit: "exchange", allowed: 0.03, traffic: no_body },
    Scenario { name: "event stream", unit: "event", allowed: 1.05, traffic: event_stream },
    Scenario { name: "websocket", unit: "message", allowed: 0.03, traffic: web_socket },
    Scenario { name: "flows without a byte", unit: "flow", allowed: 0.6, traffic: empty_flows },
    Scenario { name: "flows of TLS", unit: "flow", allowed: 4.0, traffic: tls_flows },
    Scenario { name: "flows of opaque bytes", unit: "flow", allowed: 2.95, traffic: opaque_flows },
    Scenario { name: "flows of one page", unit: "flow", allowed: 5.0, traffic: page_flows },
    Scenario { name: "SYNs without an answer", unit: "flow", allowed: 0.45, traffic: lone_syns },
    Scenario { name: "answers of a name server", unit: "answer", allowed: 0.03, traffic: answers },
    Scenario { name: "MCP calls (allowed to)", unit: "exchange", allowed: 240.0, traffic: calls },
];

/// Frames, and what is in them.
pub(crate) struct Traffic {
    /// Times in microseconds since 1970, and frames.
    pub(crate) frames: Vec<(u64, Vec<u8>)>,
    pub(crate) units: usize,
    pub(crate) requests: u64,
    pub(crate) detections: usize,
}

/// Bytes of one capture, at least; the first half is for warming up.
const CAPTURE_BYTES: usize = 12 << 20;
/// Flows at once, where flows last.
const OPEN: usize = 8;
/// Flows at once, where they come and go.
const AT_ONCE: usize = 32;
const CLIENT: &str = "10.1.0.1";
const SERVER: &str = "10.2.2.2:8080";
const GET: &str = "GET /list?page=7 HTTP/1.1\nHost: www.vendor.example\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\n\
    Accept: text/html,application/json\nAccept-Encoding: gzip, br\nCookie: sid=8c1f0a; theme=dark\n\
    Referer: http://www.vendor.example/list\n\n";
const OK: &str = "HTTP/1.1 200 OK\nDate: Mon, 23 Nov 2026 09:12:01 GMT\nServer: nginx\nCache-Control: no-store\n\
    Content-Type: ";

/// 64 kB of JSON records, as real encoders write them.
const BROTLI: &[u8] = include_bytes!("../../../../benches/bodies/records.json.br");
const ZSTD: &[u8] = include_bytes!("../../../../benches/bodies/records.json.zst");

fn wire(reorder: usize) -> Wire {
    Wire { reorder, ..Wire::default() }
}

fn client(n: usize) -> String {
    format!("{CLIENT}:{}", 20_000 + n)
}

/// A page of about `len` bytes.
fn page(rng: &mut Rng, len: usize) -> String {
    let mut out = String::from("<!doctype html><html><body>");
    while out.len() < len {
        let size = 2 + rng.below(9);
        out.push_str(&rng.word(size));
        out.push_str(if rng.below(12) == 0 { "</p>\n<p class=\"text\">" } else { " " });
    }
    out
}

/// JSON records of no interest, each with a harmless `method`.
fn records(rng: &mut Rng, len: usize) -> String {
    let mut out = String::from("[");
    while out.len() < len {
        let (a, b, id) = (rng.word(8), rng.word(20), rng.below(9999));
        write!(out, r#"{{"id":{id},"method":"{a}","note":"{b}","tags":["x","y"],"nested":{{"v":[1,2,3]}}}},"#).unwrap();
    }
    out.push_str("null]");
    out
}

fn opaque_bytes(rng: &mut Rng, len: usize) -> Vec<u8> {
    (0..len.div_ceil(8)).flat_map(|_| (rng.next_u64() | 0x8080_8080_8080_8080).to_le_bytes()).collect()
}

fn tls_records(rng: &mut Rng, len: usize) -> Vec<u8> {
    let mut out = Vec::new();
    while out.len() < len {
        out.extend([if out.is_empty() { 22 } else { 23 }, 3, 3, 4, 0]);
        out.extend(opaque_bytes(rng, 1024));
    }
    out
}

/// Plays `turns` over and over on [`OPEN`] flows that stay open. `units` and `requests` are of one round.
fn over_and_over(wire: &Wire, first: &[Turn], turns: &[Turn], units: usize, requests: u64) -> Traffic {
    let mut capture = Capture::new();
    let flows: Vec<_> = (0..OPEN).map(|n| capture.flow(&client(n), SERVER, wire.clone())).collect();
    for flow in &flows {
        for (direction, bytes) in first {
            capture.send(*flow, *direction, bytes);
        }
    }
    let (mut rounds, mut bytes) = (0, 0);
    while bytes < CAPTURE_BYTES {
        for flow in &flows {
            for (direction, data) in turns {
                capture.send(*flow, *direction, data);
                bytes += data.len() + 66 * data.len().div_ceil(1460);
            }
        }
        rounds += OPEN;
    }
    let frames = capture.frames().to_vec();
    Traffic { frames, units: units * rounds, requests: requests * rounds as u64, detections: 0 }
}

fn by_packet(traffic: Traffic) -> Traffic {
    Traffic { units: traffic.frames.len(), ..traffic }
}

fn exchange(request: Vec<u8>, response: Vec<u8>) -> Vec<Turn> {
    vec![(Direction::ToServer, request), (Direction::ToClient, response)]
}

fn keep_alive(request: Vec<u8>, response: Vec<u8>) -> Traffic {
    over_and_over(&wire(0), &[], &exchange(request, response), 1, 1)
}

fn opaque() -> Traffic {
    let mut rng = Rng::new(1);
    let turns = exchange(opaque_bytes(&mut rng, 900), opaque_bytes(&mut rng, 40_000));
    by_packet(over_and_over(&wire(0), &[], &turns, 1, 0))
}

fn tls() -> Traffic {
    let mut rng = Rng::new(2);
    let turns = exchange(tls_records(&mut rng, 900), tls_records(&mut rng, 40_000));
    by_packet(over_and_over(&wire(0), &[], &turns, 1, 0))
}

fn one_sided() -> Traffic {
    let one = Wire { only: Some(Direction::ToClient), ..Wire::default() };
    let text = page(&mut Rng::new(3), 40_000);
    let head = format!("{OK}text/html\nContent-Length: 4000000000\n\n");
    let first = [(Direction::ToClient, http::request(&head))];
    by_packet(over_and_over(&one, &first, &[(Direction::ToClient, text.into_bytes())], 1, 0))
}

fn pages_over(wire: &Wire, unit: &str) -> Traffic {
    let text = page(&mut Rng::new(4), 20_000);
    let turns = exchange(http::request(GET), http::message(&format!("{OK}text/html"), text.as_bytes()));
    let traffic = over_and_over(wire, &[], &turns, 1, 1);
    if unit == "packet" { by_packet(traffic) } else { traffic }
}

fn repeated() -> Traffic {
    pages_over(&Wire { duplicate: 3, ..Wire::default() }, "packet")
}

fn chunked_pages() -> Traffic {
    let text = page(&mut Rng::new(5), 20_000);
    keep_alive(http::request(GET), http::chunked(&format!("{OK}text/html"), text.as_bytes(), 900, ""))
}

fn gzip_pages() -> Traffic {
    let packed = http::gzip(page(&mut Rng::new(6), 20_000).as_bytes());
    keep_alive(http::request(GET), http::message(&format!("{OK}text/html\nContent-Encoding: gzip"), &packed))
}

fn small_json() -> Traffic {
    let body = r#"{"id":17,"name":"pump","state":"ok","method":"auto","readings":[1.5,2.25],"next":null}"#;
    keep_alive(http::request(GET), http::message(&format!("{OK}application/json"), body.as_bytes()))
}

fn large_json() -> Traffic {
    let body = records(&mut Rng::new(7), 20_000);
    keep_alive(http::request(GET), http::message(&format!("{OK}application/json"), body.as_bytes()))
}

fn gzip_json() -> Traffic {
    let packed = http::gzip(records(&mut Rng::new(8), 20_000).as_bytes());
    keep_alive(
        http::request(GET),
        http::chunked(&format!("{OK}application/json\nContent-Encoding: gzip"), &packed, 700, ""),
    )
}

fn packed_json(coding: &str, packed: &[u8]) -> Traffic {
    keep_alive(http::request(GET), http::message(&format!("{OK}application/json\nContent-Encoding: {coding}"), packed))
}

fn posted_json() -> Traffic {
    let body = r#"{"user":"anna","method":"save","items":[{"sku":"A-17","n":2},{"sku":"B-3","n":1}],"note":"soon"}"#;
    let ask = "POST /api/orders HTTP/1.1\nHost: shop.vendor.example\nContent-Type: application/json\nAccept: */*";
    keep_alive(
        http::message(ask, body.as_bytes()),
        http::message(&format!("{OK}application/json"), br#"{"ok":true,"order":4711}"#),
    )
}

fn posted_form() -> Traffic {
    let ask = "POST /login HTTP/1.1\nHost: shop.vendor.example\nContent-Type: application/x-www-form-urlencoded";
    keep_alive(
        http::message(ask, b"user=anna&colour=blue&next=%2Flist"),
        http::request("HTTP/1.1 303 See Other\nLocation: /list\nContent-Length: 0\n\n"),
    )
}

fn no_body() -> Traffic {
    keep_alive(http::request(GET), http::request("HTTP/1.1 304 Not Modified\nETag: \"17-af\"\n\n"))
}

fn event_stream() -> Traffic {
    let first =
        exchange(http::request(GET), http::request(&format!("{OK}text/event-stream\nTransfer-Encoding: chunked\n\n")));
    let event = r#"{"id":"c-17","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":" word"}}]}"#;
    let bytes = http::events(&[("", event)], "\n");
    let mut chunk = http::chunks(&bytes, bytes.len(), "");
    chunk.truncate(chunk.len() - b"0\r\n\r\n".len());
    let mut traffic = over_and_over(&wire(0), &first, &[(Direction::ToClient, chunk)], 1, 0);
    traffic.requests = OPEN as u64;
    traffic
}

fn web_socket() -> Traffic {
    let ask = "GET /feed HTTP/1.1\nHost: www.vendor.example\nConnection: Upgrade\nUpgrade: websocket\n\
        Sec-WebSocket-Version: 13\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\n\n";
    let answer = "HTTP/1.1 101 Switching Protocols\nConnection: Upgrade\nUpgrade: websocket\n\
        Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\n\n";
    let first = exchange(http::request(ask), http::request(answer));
    let message = br#"{"op":"tick","symbol":"ABC","price":17.25,"sizes":[100,200,300]}"#;
    let turns =
        exchange(websocket::frame(1, message, Some([0x37, 0xfa, 0x21, 0x3d])), websocket::frame(1, message, None));
    let mut traffic = over_and_over(&wire(0), &first, &turns, 2, 0);
    traffic.requests = OPEN as u64;
    traffic
}

/// Flows that open, play `turns` and close, some at once. Over minutes of packet time, so that as many are forgotten
/// as are opened.
fn flows(turns: &[Turn], requests: u64, units: usize) -> Traffic {
    let conversations: Vec<_> = (0..units)
        .map(|n| {
            let client = format!("10.1.{}.{}:{}", n / 250 % 250, n % 250 + 1, 1024 + n % 60_000);
            (client, SERVER.to_owned(), turns.to_vec())
        })
        .collect();
    let mut capture = Capture::new();
    let pause = 240_000_000 * AT_ONCE as u64 / units as u64;
    for some in conversations.chunks(AT_ONCE) {
        capture.interleave(some, AT_ONCE, &wire(0), 9);
        capture.wait(pause);
    }
    Traffic { frames: capture.frames().to_vec(), units, requests: requests * units as u64, detections: 0 }
}

fn empty_flows() -> Traffic {
    flows(&[], 0, 20_000)
}

fn tls_flows() -> Traffic {
    let mut rng = Rng::new(10);
    flows(&exchange(tls_records(&mut rng, 500), tls_records(&mut rng, 3000)), 0, 3000)
}

fn opaque_flows() -> Traffic {
    let mut rng = Rng::new(11);
    flows(&exchange(opaque_bytes(&mut rng, 500), opaque_bytes(&mut rng, 3000)), 0, 3000)
}

fn page_flows() -> Traffic {
    let text = page(&mut Rng::new(12), 2000);
    flows(&exchange(http::request(GET), http::message(&format!("{OK}text/html"), text.as_bytes())), 1, 4000)
}

/// Only the first frame of each handshake.
fn lone_syns() -> Traffic {
    let mut traffic = flows(&[], 0, 60_000);
    let flags = 14 + 20 + 13;
    traffic.frames.retain(|(_, frame)| frame[flags] == 2);
    traffic
}

/// The same name again and again, over UDP (RFC 1035), without the checksums that nobody looks at.
fn answers() -> Traffic {
    let mut message = vec![0, 7, 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0];
    message.extend_from_slice(b"\x03www\x06vendor\x07example\0\0\x01\0\x01");
    message.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 1, 44, 0, 4, 192, 0, 2, 80]);
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0];
    let length = u16::try_from(28 + message.len()).unwrap();
    frame.extend_from_slice(&length.to_be_bytes());
    frame.extend_from_slice(&[0, 1, 0, 0, 64, 17, 0, 0, 192, 0, 2, 53, 10, 1, 0, 1, 0, 53, 200, 0]);
    frame.extend_from_slice(&(length - 20).to_be_bytes());
    frame.extend_from_slice(&[0, 0]);
    frame.extend_from_slice(&message);
    let units = CAPTURE_BYTES / (16 + frame.len());
    let frames = (0..units as u64).map(|n| (Capture::START_US + n * 1000, frame.clone())).collect();
    Traffic { frames, units, requests: 0, detections: 0 }
}

fn calls() -> Traffic {
    let call = r#"{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"note_find","arguments":{"q":"x"}}}"#;
    let result = r#"{"jsonrpc":"2.0","id":2,"result":{"content":[{"type":"text","text":"three"}],"isError":false}}"#;
    let mut traffic = keep_alive(http::post("notes.corp.example", "/mcp", "", call), http::json("", result));
    traffic.detections = traffic.units;
    traffic
}
