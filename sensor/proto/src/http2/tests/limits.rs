//! Every limit, met.

use super::{bytes, read, read_with};
use crate::conn::Context;
use crate::http2::hpack::MAX_TABLE;
use crate::http2::{Flow, Start};
use crate::{Anomaly, ExchangeId, Limits, Part, PartSink, Stats};
use net::Direction::{self, ToClient, ToServer};
use testkit::http2::{END_HEADERS, Encoder, Frames, Indexing};

/// Counts what is open, and keeps nothing.
#[derive(Default)]
struct Counter {
    requests: usize,
    ends: usize,
    anomalies: usize,
    body: usize,
}

impl PartSink for Counter {
    fn part(&mut self, _: ExchangeId, _: Direction, part: Part<'_>) {
        match part {
            Part::Request(_) => self.requests += 1,
            Part::End(_) => self.ends += 1,
            Part::Body(body) => self.body += body.len(),
            _ => {}
        }
    }

    fn anomaly(&mut self, _: Option<ExchangeId>, _: Direction, _: Anomaly) {
        self.anomalies += 1;
    }
}

/// Bytes a flow holds.
fn memory(flow: &Flow) -> usize {
    size_of::<Flow>() + flow.held_bytes()
}

#[test]
fn a_hundred_thousand_open_streams_stay_bounded() {
    let (limits, mut stats, mut sink) = (Limits::default(), Stats::default(), Counter::default());
    let mut flow = Flow::new(ExchangeId(0), Start::Preface);
    let mut cx = Context { limits: &limits, stats: &mut stats, sink: &mut sink };
    let mut c = Encoder::default();
    flow.bytes(&mut cx, ToServer, &Frames::client().settings(&[]).bytes());
    let first = c.request("POST", "/mcp", &[("content-type", "application/json")]);
    flow.bytes(&mut cx, ToServer, &Frames::default().headers(1, &first, false).bytes());
    let block = c.request("POST", "/mcp", &[("content-type", "application/json")]);
    for i in 1..100_000 {
        let more = Frames::default().data(1, b"x", false).headers(2 * i + 1, &block, false);
        flow.bytes(&mut cx, ToServer, &more.bytes());
    }
    assert!(memory(&flow) < 128 << 10, "{} bytes", memory(&flow));
    flow.close(&mut cx);
    assert_eq!((sink.requests, sink.ends), (100_000, 200_000));
    // The busy one was kept.
    assert_eq!(sink.body, 99_999);
    assert_eq!(stats.http2.streams_let_go, 100_000 - limits.pipeline as u64);
    assert_eq!(sink.anomalies, 0);
}

#[test]
fn the_stream_that_was_idle_longest_is_let_go() {
    let limits = Limits { pipeline: 2, ..Limits::default() };
    let mut c = Encoder::default();
    let client = Frames::client()
        .settings(&[])
        .headers(1, &c.request("POST", "/1", &[]), false)
        .headers(3, &c.request("POST", "/3", &[]), false)
        .data(1, b"a", false)
        .headers(5, &c.request("POST", "/5", &[]), false)
        .data(3, b"lost", false)
        .data(1, b"b", true)
        .bytes();
    let got = read_with(&[bytes(ToServer, &client)], Start::Preface, &limits);
    assert_eq!(
        got.to_server,
        [
            "0 POST /1 2 [host=mcp.example]",
            "1 POST /3 2 [host=mcp.example]",
            "0 body a",
            "1 cut",
            "2 POST /5 2 [host=mcp.example]",
            "0 body b",
            "0 end",
            "2 cut"
        ]
    );
    assert_eq!((got.stats.http2.streams_let_go, got.stats.uninspected.http2), (1, 4));
}

#[test]
fn a_bomb_of_references_is_reported_as_far_as_it_fits() {
    let limits = Limits { head_bytes: 8 << 10, ..Limits::default() };
    let mut c = Encoder::new(false, Indexing::Incremental);
    let value = "v".repeat(3000);
    let head = c.request("POST", "/mcp", &[("mcp-method", "tools/call"), ("bomb", &value)]);
    let bomb = [&head[..], &vec![0xbe; 16_000]].concat();
    let client = Frames::client()
        .settings(&[])
        .split_headers(1, &bomb, false, 16_384)
        .data(1, b"{}", true)
        .headers(3, &c.request("POST", "/next", &[("mcp-method", "tools/call")]), true)
        .bytes();
    let got = read_with(&[bytes(ToServer, &client)], Start::Preface, &limits);
    assert!(got.to_server[0].starts_with("0 POST /mcp 2 [host=mcp.example, mcp-method=tools/call, bomb=vvv"));
    assert!(got.to_server[0].len() < 8 << 10);
    // The table is not lost over it.
    assert_eq!(
        got.to_server[1..],
        ["- head_too_large", "0 body {}", "0 end", "1 POST /next 2 [host=mcp.example, mcp-method=tools/call]", "1 end"]
    );
    assert_eq!((got.stats.http2.cut_blocks, got.stats.http2.unknown_fields), (1, 0));
}

#[test]
fn a_flood_of_continuations_costs_a_field_and_hides_no_head() {
    let (limits, mut stats, mut sink) = (Limits::default(), Stats::default(), Counter::default());
    let mut flow = Flow::new(ExchangeId(0), Start::Preface);
    let mut cx = Context { limits: &limits, stats: &mut stats, sink: &mut sink };
    let mut c = Encoder::new(true, Indexing::Without);
    let head = c.request("POST", "/mcp", &[("mcp-method", "tools/call")]);
    let start = Frames::client().settings(&[]).frame(1, 0, 1, &head);
    flow.bytes(&mut cx, ToServer, &start.bytes());
    // Empty ones, ones with a field, and then a string that never ends.
    let field = c.block(&[("x", "yyyyyyyyyyyyyyyyyyyy")]);
    for i in 0..200_000 {
        let content = if i % 2 == 0 { &field[..] } else { b"" };
        flow.bytes(&mut cx, ToServer, &Frames::default().frame(9, 0, 1, content).bytes());
    }
    flow.bytes(&mut cx, ToServer, &Frames::default().frame(9, 0, 1, b"\x00\x01a\x7f\xff\xff\xff\x01").bytes());
    for _ in 0..100 {
        flow.bytes(&mut cx, ToServer, &Frames::default().frame(9, 0, 1, &[b'v'; 16_384]).bytes());
        assert!(memory(&flow) < 256 << 10, "{} bytes", memory(&flow));
    }
    assert_eq!((cx.sink.requests, cx.sink.anomalies), (1, 1));
    let end = Frames::default().frame(9, END_HEADERS, 1, b"").headers(3, &head, true);
    flow.bytes(&mut cx, ToServer, &end.bytes());
    assert!(memory(&flow) < 64 << 10, "{} bytes", memory(&flow));
    flow.close(&mut cx);
    assert_eq!((sink.requests, sink.ends), (2, 4));
    assert_eq!((stats.http2.cut_blocks, stats.anomalies(Anomaly::HeadTooLarge)), (1, 1));
}

#[test]
fn a_block_of_nothing_but_size_changes_is_over_the_limit_too() {
    let limits = Limits { head_bytes: 200, ..Limits::default() };
    let mut c = Encoder::default();
    let block = [c.request("GET", "/", &[]), vec![0x20; 300]].concat();
    let client = Frames::client().settings(&[]).split_headers(1, &block, true, 50).bytes();
    let got = read_with(&[bytes(ToServer, &client)], Start::Preface, &limits);
    let want = ["0 GET / 2 [host=mcp.example]", "- head_too_large", "- bad_hpack", "0 end"];
    assert_eq!(got.to_server, want);
}

#[test]
fn a_table_over_the_cap_is_counted_and_bounded() {
    let (limits, mut stats, mut sink) = (Limits::default(), Stats::default(), Counter::default());
    let mut flow = Flow::new(ExchangeId(0), Start::Preface);
    let mut cx = Context { limits: &limits, stats: &mut stats, sink: &mut sink };
    flow.bytes(&mut cx, ToClient, &Frames::default().settings(&[(1, u32::MAX)]).bytes());
    flow.bytes(&mut cx, ToServer, &Frames::client().settings(&[]).bytes());
    let mut c = Encoder::new(false, Indexing::Incremental);
    let value = "v".repeat(8000);
    for i in 0..200 {
        let resize = if i == 0 { c.resize(u32::MAX) } else { Vec::new() };
        let block = [resize, c.request("GET", "/", &[("x", &format!("{i}{value}"))])].concat();
        flow.bytes(&mut cx, ToServer, &Frames::default().headers(2 * i + 1, &block, true).bytes());
    }
    assert!(memory(&flow) < 4 * MAX_TABLE, "{} bytes", memory(&flow));
    flow.close(&mut cx);
    assert_eq!((stats.http2.tables_capped, sink.requests, sink.anomalies), (1, 200, 0));
    // The authority fell out of what we keep.
    assert!(stats.http2.unknown_fields > 100);
    assert!(stats.http2.limits().contains(&("http2_header_table", 1)));
}

#[test]
fn an_idle_connection_holds_little() {
    let mut c = Encoder::default();
    let client = Frames::client().settings(&[]).headers(1, &c.request("GET", "/", &[("x", &"y".repeat(3000))]), true);
    let got = read(client, Frames::default().settings(&[]));
    assert!(memory(&got.flow) < 16 << 10, "{} bytes", memory(&got.flow));
}
