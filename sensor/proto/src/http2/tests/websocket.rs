//! CONNECT and extended CONNECT (RFC 8441).

use super::{check, read};
use crate::Uninspected;
use testkit::http2::{Encoder, Frames};
use testkit::websocket::frame;

const MASK: Option<[u8; 4]> = Some([1, 2, 3, 4]);

fn connect(c: &mut Encoder, more: &[(&str, &str)]) -> Vec<u8> {
    let pseudo = [
        (":method", "CONNECT"),
        (":protocol", "websocket"),
        (":scheme", "https"),
        (":path", "/ws"),
        (":authority", "mcp.example"),
    ];
    c.block(&[&pseudo[..], &[("sec-websocket-protocol", "mcp")], more].concat())
}

#[test]
fn an_extended_connect_looks_like_the_upgrade_it_stands_for() {
    let (mut c, mut s) = (Encoder::default(), Encoder::default());
    let hello = frame(1, b"{\"id\":1}", MASK);
    let client = Frames::client()
        .settings(&[])
        .headers(1, &connect(&mut c, &[]), false)
        .data(1, &hello[..5], false)
        .padded_data(1, &hello[5..], 7, false)
        .data(1, &frame(8, b"", MASK), true);
    let server = Frames::default()
        .settings(&[(8, 1)])
        .headers(1, &s.response("200", &[("sec-websocket-protocol", "mcp")]), false)
        .data(1, &[frame(1, b"one", None), frame(9, b"?", None), frame(2, b"two", None)].concat(), false)
        .data(1, &frame(8, b"", None), true);
    let stats = check(
        client,
        server,
        &[
            "0 GET /ws 2 [host=mcp.example, upgrade=websocket, sec-websocket-protocol=mcp]",
            "0 body {\"id\":1}",
            "0 message",
            "0 end",
        ],
        &[
            "0 101 2 [upgrade=websocket, sec-websocket-protocol=mcp]",
            "0 body one",
            "0 message",
            "0 body two",
            "0 message",
            "0 end",
        ],
    );
    assert_eq!(stats.websocket_messages, 3);
    assert_eq!(stats.uninspected, Uninspected::default());
}

#[test]
fn a_refused_one_is_answered_by_a_body() {
    let (mut c, mut s) = (Encoder::default(), Encoder::default());
    let client = Frames::client().settings(&[]).headers(1, &connect(&mut c, &[]), true);
    let server =
        Frames::default().settings(&[]).headers(1, &s.response("403", &[]), false).data(1, b"{\"no\":1}", true);
    let got = read(client, server);
    assert_eq!(got.to_client, ["0 403 2 []", "0 body {\"no\":1}", "0 end"]);
}

#[test]
fn deflated_messages_are_inflated_and_impossible_frames_are_told() {
    let (mut c, mut s) = (Encoder::default(), Encoder::default());
    let extension = [("sec-websocket-extensions", "permessage-deflate; server_no_context_takeover")];
    let client = Frames::client().settings(&[]).headers(1, &connect(&mut c, &extension), false);
    // "Hello" of RFC 7692 §7.2.3.1.
    let hello = [0xc1, 0x07, 0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
    let server = Frames::default()
        .settings(&[])
        .headers(1, &s.response("200", &extension), false)
        .data(1, &hello, false)
        .data(1, &[0x81, 0x7f, 0xff, 0, 0, 0, 0, 0, 0, 0], false)
        .data(1, b"nobody reads this", false)
        .reset(1, 0);
    let got = read(client, server);
    assert_eq!(got.to_client[1..], ["0 body Hello", "0 message", "0 bad_websocket", "0 gap 0", "0 cut"]);
    assert!(got.stats.uninspected.websocket >= 17);
}

#[test]
fn other_tunnels_are_counted_and_not_looked_at() {
    let (mut c, mut s) = (Encoder::default(), Encoder::default());
    let plain = c.block(&[(":method", "CONNECT"), (":authority", "db.example:5432")]);
    let other = c.block(&[
        (":method", "CONNECT"),
        (":protocol", "connect-udp"),
        (":scheme", "https"),
        (":path", "/udp"),
        (":authority", "mcp.example"),
    ]);
    let client = Frames::client()
        .settings(&[])
        .headers(1, &plain, false)
        .headers(3, &other, false)
        .data(1, b"12345", true)
        .data(3, b"123", true);
    let server = Frames::default().settings(&[]).headers(1, &s.response("200", &[]), false).data(1, b"1234567", true);
    let stats = check(
        client,
        server,
        &[
            "0 CONNECT db.example:5432 2 [host=db.example:5432]",
            "1 CONNECT /udp 2 [host=mcp.example]",
            "0 end",
            "1 end",
        ],
        &["0 200 2 []", "0 end", "1 cut"],
    );
    assert_eq!(stats.uninspected.http2, 15);
}
