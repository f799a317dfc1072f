//! What one HTTP exchange given as text would be reported as: the same path, without a capture around it.

use crate::app::FlowApp;
use crate::worker::context;
use correlate::{Correlator, Options, Record};
use detect::{Generation, Order};
use net::{App, Data, Direction, Flow, FlowEnd, Piece, Place, Timestamp};
use std::net::Ipv4Addr;
use std::sync::Arc;

/// Every record that `bytes` would lead to: a request, a response, or a request with its response behind it,
/// as on the wire of a cleartext connection. Look-alikes are given, too.
pub fn explain(bytes: &[u8], generation: &Arc<Generation>) -> Vec<Record> {
    let end = |last, port| net::End::new(Ipv4Addr::new(192, 0, 2, last).into(), port);
    let flow = Flow {
        client: end(1, 49_152),
        server: end(2, 80),
        first: Timestamp::default(),
        last: Timestamp::default(),
        opened: Place { number: 1, file: 0, in_file: 1 },
        sender: None,
        vlan: [None; 2],
        tunnel: net::Tunnel::NONE,
        midstream: false,
        missed: [0; 2],
        packets: [1; 2],
        bytes: [0; 2],
    };
    let mut cx = context(&crate::Settings { look_alikes: true, ..crate::Settings::default() }, generation);
    cx.work.order = Order { packet: 1, phase: 1, shard: 0, part: 0 };
    let mut app = FlowApp::open(&flow, &mut cx);
    let (request, response) = bytes.split_at(response_start(bytes));
    let (request, response) = (with_length(request), with_length(response));
    for (dir, bytes) in [(Direction::ToServer, &request), (Direction::ToClient, &response)] {
        if !bytes.is_empty() {
            let piece = Piece { dir, ts: flow.first, place: flow.opened, data: Data::Bytes(bytes) };
            app.piece(&flow, piece, &mut cx);
        }
    }
    app.close(&flow, FlowEnd::EndOfInput, &mut cx);
    let options = Options {
        sensor: "explain".to_owned(),
        generation: Arc::clone(generation),
        files: Vec::new(),
        live: false,
        look_alikes: true,
        passive: true,
        limits: correlate::Limits::default(),
        session_every: None,
    };
    let mut serial = Correlator::new(options);
    let mut records = Vec::new();
    for observation in cx.work.out {
        serial.observe(observation, &mut |r| records.push(r));
    }
    serial.finish(flow.last, &mut |r| records.push(r));
    records
}

/// The message as it is, or, where a body follows a head that names no length, with that length: people who type a
/// message rarely count its bytes.
fn with_length(message: &[u8]) -> Vec<u8> {
    let blank = |end: &[u8]| message.windows(end.len()).position(|w| w == end).map(|at| (at, end.len()));
    let Some((at, len)) = blank(b"\r\n\r\n").or_else(|| blank(b"\n\n")) else { return message.to_vec() };
    let (head, rest) = message.split_at(at);
    let body = rest.get(len..).unwrap_or(&[]);
    let head_text = String::from_utf8_lossy(head).to_ascii_lowercase();
    let framed = ["content-length:", "transfer-encoding:", "upgrade:"].iter().any(|f| head_text.contains(f));
    if body.is_empty() || framed {
        return message.to_vec();
    }
    let length = format!("\r\nContent-Length: {}\r\n\r\n", body.len());
    [head, length.as_bytes(), body].concat()
}

/// Where the response begins: at the first line that begins like a status line.
fn response_start(bytes: &[u8]) -> usize {
    let is_status = |at: &usize| bytes.get(*at..).is_some_and(|rest| rest.starts_with(b"HTTP/1."));
    let line_starts = bytes.iter().enumerate().filter(|(_, b)| **b == b'\n').map(|(at, _)| at + 1);
    std::iter::once(0).chain(line_starts).find(is_status).unwrap_or(bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_without_a_length_gets_one_and_nothing_else_changes() {
        for (message, want) in [
            ("POST / HTTP/1.1\nHost: a\n\n{}", "POST / HTTP/1.1\nHost: a\r\nContent-Length: 2\r\n\r\n{}"),
            ("POST / HTTP/1.1\r\nContent-Length: 1\r\n\r\n{}", "POST / HTTP/1.1\r\nContent-Length: 1\r\n\r\n{}"),
            ("GET / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\n\r\n"),
            ("", ""),
        ] {
            assert_eq!(String::from_utf8_lossy(&with_length(message.as_bytes())), want);
        }
        assert_eq!(response_start(b"GET / HTTP/1.1\n\nHTTP/1.1 200 OK"), 16);
    }
}
