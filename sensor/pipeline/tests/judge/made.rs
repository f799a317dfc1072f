//! A capture of what the fixtures lack: requests in chunks, pipelined and reordered, a WebSocket over either version of
//! HTTP, and HTTP/2 with header blocks in pieces, padding, interleaved bodies and trailers.

use testkit::http2::{Encoder, Frames};
use testkit::{Capture, Direction, Wire, http, websocket};

const MASK: Option<[u8; 4]> = Some([0x37, 0xfa, 0x21, 0x3d]);

/// The capture, and how many requests it has.
pub(crate) fn capture() -> (Vec<u8>, usize) {
    let body: Vec<u8> = (0..9_000_u32).map(|n| n.to_le_bytes()[0] ^ n.to_le_bytes()[1]).collect();
    let mut capture = Capture::new();
    let cut = Wire { reorder: 3, duplicate: 20, seed: 7, ..Wire::cut(500) };
    capture.play("192.0.2.1:40001", "198.51.100.1:8000", cut.clone(), &http1(&body));
    capture.play("192.0.2.1:40002", "198.51.100.1:8000", Wire::default(), &web_socket());
    capture.play("[2001:db8::1]:40003", "[2001:db8::2]:8085", cut, &http2(&body));
    (capture.pcap(), 3 + 1 + 4)
}

fn http1(body: &[u8]) -> Vec<testkit::Turn> {
    let put = "PUT /a?b=%20&c=\"<> HTTP/1.1\nHost: files.example:8000\nContent-Type: application/octet-stream";
    let up = [
        http::chunked(put, body, 700, ";name=value"),
        http::request("GET http://files.example:8000/ HTTP/1.1\nHost: files.example:8000\n\n"),
        http::message("POST /zip HTTP/1.1\nHost: files.example\nContent-Encoding: gzip", &http::gzip(body)),
    ];
    let ok = http::request("HTTP/1.1 200 OK\nContent-Length: 2\n\nok");
    vec![(Direction::ToServer, up.concat()), (Direction::ToClient, ok.repeat(3))]
}

fn web_socket() -> Vec<testkit::Turn> {
    let ask = "GET /ws HTTP/1.1\nHost: ws.example\nConnection: Upgrade\nUpgrade: websocket\nSec-WebSocket-Version: 13\n\
               Sec-WebSocket-Key: x3JJHMbDL1EzLkh9GBhXDw==\n\n";
    let grant = "HTTP/1.1 101 Switching Protocols\nConnection: Upgrade\nUpgrade: websocket\n\
                 Sec-WebSocket-Accept: HSmrc0sMlYUkAGmm5OPpG2HaGWk=\n\n";
    vec![
        (Direction::ToServer, http::request(ask)),
        (Direction::ToClient, http::request(grant)),
        (Direction::ToServer, websocket::frame(1, b"hello", MASK)),
        (Direction::ToClient, websocket::frame(1, b"welcome", None)),
    ]
}

fn http2(body: &[u8]) -> Vec<testkit::Turn> {
    let (mut asks, mut answers) = (Encoder::default(), Encoder::default());
    let long = "x".repeat(600);
    let kind = ("content-type", "application/octet-stream");
    let first = asks.request("POST", "/one", &[kind, ("x-long", &long)]);
    let second = asks.request("PUT", "/two?q=1", &[kind]);
    let third = asks.request("GET", "/three", &[("x-long", &long)]);
    let trailers = asks.block(&[("x-sum", "0")]);
    let socket = asks.request("CONNECT", "/socket", &[(":protocol", "websocket"), ("sec-websocket-version", "13")]);
    let (head, tail) = body.split_at(4_000);
    let up = Frames::client()
        .settings(&[(4, 1 << 20)])
        .split_headers(1, &first, false, 100)
        .headers(3, &second, false)
        .padded_data(1, head, 30, false)
        .data(3, tail, false)
        .data(1, tail, true)
        .headers(5, &third, true)
        .data(3, b"end", false)
        .headers(3, &trailers, true)
        .headers(7, &socket, false);
    let down = Frames::default()
        .settings(&[(8, 1)])
        .headers(1, &answers.response("204", &[]), true)
        .headers(3, &answers.response("204", &[]), true)
        .headers(5, &answers.response("204", &[]), true)
        .headers(7, &answers.response("200", &[]), false);
    vec![
        (Direction::ToServer, up.bytes()),
        (Direction::ToClient, down.bytes()),
        (Direction::ToServer, Frames::default().data(7, &websocket::frame(1, b"hello", MASK), false).bytes()),
    ]
}
