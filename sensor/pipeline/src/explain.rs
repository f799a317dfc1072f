//! What one HTTP exchange given as text would be reported as: the same path, without a capture around it.

use crate::app::FlowApp;
use crate::worker::context;
use correlate::{Correlator, Options, Record};
use detect::{Generation, Order};
use net::{App, Data, Direction, Flow, FlowEnd, Piece, Place, Timestamp};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

/// Every record that `bytes` would lead to: a request, a response, or a request with its response behind it,
/// as on the wire of a cleartext connection. Look-alikes are given, too.
pub fn explain(bytes: &[u8], generation: &Arc<Generation>) -> Vec<Record> {
    let addr = |last, port| SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, last)), port);
    let flow = Flow {
        client: addr(1, 49_152),
        server: addr(2, 80),
        first: Timestamp::default(),
        last: Timestamp::default(),
        opened: Place { number: 1, file: 0, in_file: 1 },
        client_mac: None,
        vlan: [None; 2],
        midstream: false,
        missed: [0; 2],
        packets: [1; 2],
        bytes: [0; 2],
    };
    let mut cx = context(&crate::Settings { look_alikes: true, ..crate::Settings::default() }, generation);
    cx.work.order = Order { packet: 1, phase: 1, shard: 0, part: 0 };
    let mut app = FlowApp::open(&flow, &mut cx);
    let (request, response) = bytes.split_at(response_start(bytes));
    for (dir, bytes) in [(Direction::ToServer, request), (Direction::ToClient, response)] {
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
        look_alikes: true,
        passive: true,
    };
    let mut serial = Correlator::new(options);
    let mut records = Vec::new();
    for observation in cx.work.out {
        serial.observe(observation, &mut |r| records.push(r));
    }
    serial.finish(flow.last, &mut |r| records.push(r));
    records
}

/// Where the response begins: at the first line that begins like a status line.
fn response_start(bytes: &[u8]) -> usize {
    let is_status = |at: &usize| bytes.get(*at..).is_some_and(|rest| rest.starts_with(b"HTTP/1."));
    let line_starts = bytes.iter().enumerate().filter(|(_, b)| **b == b'\n').map(|(at, _)| at + 1);
    std::iter::once(0).chain(line_starts).find(is_status).unwrap_or(bytes.len())
}
