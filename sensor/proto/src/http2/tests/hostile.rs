//! What peers must not send. Receivers give up there, or should; an observer tells it and goes on.

use super::read;
use testkit::http2::{END_HEADERS, Encoder, Frames, Indexing, PADDED, PRIORITY, padded};

/// Bad frames in the middle of a request; the next request must still be read.
#[track_caller]
fn check(name: &str, frames: impl Fn(Frames, &mut Encoder) -> Frames, told: &str) {
    let mut c = Encoder::default();
    let client = frames(Frames::client().settings(&[]), &mut c);
    let last = Encoder::new(true, Indexing::Without).request("POST", "/mcp", &[]);
    let client = client.headers(101, &last, false).data(101, b"{}", true);
    let got = read(client, Frames::default());
    let mut lines = got.to_server.iter().map(|line| line.split_once(' ').map_or(&line[..], |(_, rest)| rest));
    assert_eq!(lines.clone().filter(|line| *line == told).count(), 1, "{name}: {:?}", got.to_server);
    assert!(lines.any(|line| line == "POST /mcp 2 [host=mcp.example]"), "{name}: {:?}", got.to_server);
    assert!(lines.eq(["body {}", "end"]), "{name}: {:?}", got.to_server);
}

#[test]
fn forbidden_frames_are_told_once_and_hide_nothing() {
    type Case = (&'static str, fn(Frames, &mut Encoder) -> Frames);
    let cases: [Case; 19] = [
        ("data on stream 0", |f, _| f.data(0, b"x", false)),
        ("headers on stream 0", |f, _| f.headers(0, b"\x82", false)),
        ("settings on a stream", |f, _| f.frame(4, 0, 1, b"")),
        ("settings of seven bytes", |f, _| f.frame(4, 0, 0, b"1234567")),
        ("an acknowledgement with settings", |f, _| f.frame(4, 1, 0, b"123456")),
        ("a ping of nine bytes", |f, _| f.frame(6, 0, 0, b"123456789")),
        ("a reset of five bytes", |f, _| f.frame(3, 0, 1, b"12345")),
        ("a window of three bytes", |f, _| f.frame(8, 0, 0, b"123")),
        ("a priority of six bytes", |f, _| f.frame(2, 0, 1, b"123456")),
        ("padding longer than its frame", |f, _| f.frame(0, PADDED, 1, b"\x05abc")),
        ("padding without its length", |f, _| f.frame(0, PADDED, 1, b"")),
        ("headers too short for a priority", |f, _| f.frame(1, END_HEADERS | PRIORITY, 1, b"1234")),
        ("padded headers too short for a priority", |f, _| {
            f.frame(1, END_HEADERS | PRIORITY | PADDED, 1, &padded(b"1234", 9))
        }),
        ("a continuation of nothing", |f, _| f.frame(9, END_HEADERS, 1, b"\x82")),
        ("a block interrupted by data", |f, _| f.frame(1, 0, 1, b"").data(1, b"", false)),
        ("a block continued on another stream", |f, _| f.frame(1, 0, 1, b"").frame(9, END_HEADERS, 3, b"\x82")),
        ("a response of a client", |f, c| f.headers(1, &c.response("200", &[]), true)),
        ("a promise of a client", |f, c| f.promise(1, 2, &c.request("GET", "/", &[]))),
        ("a head without anything of one", |f, c| f.headers(1, &c.block(&[("a", "b")]), true)),
    ];
    for (name, frames) in cases {
        check(name, frames, "bad_http2");
    }
}

#[test]
fn forbidden_fields_are_told_and_the_head_is_reported() {
    for (name, fields, told) in [
        ("a pseudo-header twice", &[(":path", "/other")][..], "bad_http2"),
        ("an unknown pseudo-header", &[(":version", "3")], "bad_http2"),
        ("one behind a regular field", &[("a", "b"), (":method", "PUT")], "bad_http2"),
        ("a line break in a value", &[("a", "b\r\nmcp-method: tools/call")], "odd_lines"),
        ("a zero in a value", &[("a", "b\0c")], "odd_lines"),
        ("a blank in a name", &[("a b", "c")], "odd_lines"),
        ("a transfer coding", &[("transfer-encoding", "chunked")], "odd_transfer_encoding"),
        ("two lengths", &[("content-length", "1"), ("content-length", "2")], "ambiguous_length"),
        ("two hosts", &[("host", "other.example")], "duplicate_host"),
    ] {
        check(name, |f, c| f.headers(1, &c.request("GET", "/", fields), true), told);
    }
}

#[test]
fn a_block_that_cannot_be_read_loses_the_table_and_no_more() {
    let mut c = Encoder::default();
    let client = Frames::client()
        .settings(&[])
        .headers(1, &c.request("GET", "/1", &[("x", "y")]), true)
        .headers(3, b"\x82\x84\xff\x80\x80\x80\x80\x80\x80\x80\x80\x80", true)
        .headers(5, &c.request("POST", "/5", &[("x", "y"), ("x", "z")]), true)
        // Cut within a field.
        .headers(7, b"\x83\x84\x44\x05/sh", true)
        .headers(9, &c.request("POST", "/9", &[]), true);
    let got = read(client, Frames::default());
    assert_eq!(
        got.to_server,
        [
            "0 GET /1 2 [host=mcp.example, x=y]",
            "0 end",
            "1 GET / 2 []",
            "- bad_hpack",
            "1 end",
            // Host and x were in the table.
            "2 POST /5 2 [=, =, =z]",
            "2 end",
            "3 POST / 2 []",
            "- bad_hpack",
            "3 end",
            "4 POST /9 2 [=]",
            "4 end",
        ]
    );
    assert_eq!((got.stats.http2.unknown_fields, got.stats.http2.cut_blocks), (4, 2));
}

#[test]
fn a_second_head_on_a_stream_is_told_and_changes_nothing() {
    let (mut c, mut s) = (Encoder::default(), Encoder::default());
    let client = Frames::client()
        .settings(&[])
        .headers(1, &c.request("POST", "/a", &[]), false)
        .headers(1, &c.request("POST", "/b", &[]), false)
        .data(1, b"{}", true)
        .headers(1, &c.request("POST", "/c", &[]), true);
    let server = Frames::default()
        .settings(&[])
        .headers(1, &s.response("200", &[]), false)
        .headers(1, &s.response("404", &[]), true)
        .headers(1, &s.response("500", &[]), true);
    let got = read(client, server);
    assert_eq!(got.to_server, ["0 POST /a 2 [host=mcp.example]", "0 bad_http2", "0 body {}", "0 end", "0 bad_http2"]);
    assert_eq!(got.to_client, ["0 200 2 []", "0 bad_http2", "0 end"]);
}

#[test]
fn data_that_belongs_to_no_stream_is_told_and_counted() {
    let mut c = Encoder::default();
    let client = Frames::client()
        .settings(&[])
        .data(7, b"before", false)
        .headers(1, &c.request("POST", "/a", &[]), true)
        .data(1, b"behind", false);
    let got = read(client, Frames::default());
    assert_eq!(got.to_server, ["- bad_http2", "0 POST /a 2 [host=mcp.example]", "0 end", "- bad_http2"]);
    assert_eq!(got.stats.uninspected.http2, 12);
}

#[test]
fn a_preface_that_goes_wrong_loses_the_place_until_frames_come() {
    let mut c = Encoder::default();
    let good = Frames::default().settings(&[]).headers(1, &c.request("POST", "/a", &[]), true);
    let client = Frames::default().raw(b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n").raw(&good.bytes());
    let got = read(client, Frames::default());
    assert_eq!(got.to_server, ["- bad_http2", "0 POST /a 2 [host=mcp.example]", "0 end"]);
    assert_eq!((got.stats.uninspected.http2, got.stats.resynchronisations), (24, 1));
}
