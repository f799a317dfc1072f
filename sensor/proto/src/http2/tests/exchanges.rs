//! What ordinary peers send.

use super::{bytes, check, read, read_with};
use crate::http1::fuzz::{Event, Log, Seen};
use crate::http2::Start;
use crate::http2::fuzz::play;
use crate::{ExchangeId, Limits, Uninspected};
use net::Direction::{self, ToClient, ToServer};
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::HashMap;
use testkit::http2::{END_HEADERS, END_STREAM, Encoder, Frames, Indexing, PADDED, PRIORITY, padded};

const JSON: (&str, &str) = ("content-type", "application/json");

#[test]
fn a_call_and_its_answer_are_one_exchange() {
    let (mut c, mut s) = (Encoder::default(), Encoder::default());
    let client = Frames::client()
        .settings(&[(3, 100)])
        .window_update(0, 65_535)
        .headers(1, &c.request("POST", "/mcp", &[JSON]), false)
        .data(1, b"{\"id\"", false)
        .data(1, b":1}", true);
    let server = Frames::default()
        .settings(&[])
        .frame(4, 1, 0, b"")
        .headers(1, &s.response("200", &[JSON]), false)
        .window_update(1, 100)
        .data(1, b"{}", true);
    let stats = check(
        client,
        server,
        &["0 POST /mcp 2 [host=mcp.example, content-type=application/json]", "0 body {\"id\":1}", "0 end"],
        &["0 200 2 [content-type=application/json]", "0 body {}", "0 end"],
    );
    assert_eq!((stats.http2.connections, stats.http2.requests, stats.http2.responses), (1, 1, 1));
    assert_eq!(stats.uninspected, Uninspected::default());
}

#[test]
fn grpc_is_told_apart_by_its_content_type() {
    for (kind, is) in [
        ("application/grpc", 1),
        ("application/grpc+proto", 1),
        ("Application/gRPC;charset=x", 1),
        ("application/grpc-web", 0),
        ("application/json", 0),
    ] {
        let ask = Encoder::default().request("POST", "/a.B/C", &[("content-type", kind), ("te", "trailers")]);
        let client = Frames::client().settings(&[]).headers(1, &ask, false).data(1, b"\0\0\0\0\x02hi", true);
        let head = format!("0 POST /a.B/C 2 [host=mcp.example, content-type={kind}, te=trailers]");
        let stats = check(
            client,
            Frames::default().settings(&[]),
            &[&head, r"0 body \x00\x00\x00\x00\x02hi", "0 end"],
            &["0 cut"],
        );
        assert_eq!(stats.http2.grpc_requests, is, "{kind}");
    }
}

#[test]
fn streams_interleave() {
    let (mut c, mut s) = (Encoder::default(), Encoder::default());
    let client = Frames::client()
        .settings(&[])
        .headers(1, &c.request("POST", "/a", &[JSON]), false)
        .headers(3, &c.request("POST", "/b", &[JSON]), false)
        .data(3, b"b1", false)
        .data(1, b"a1", true)
        .data(3, b"b2", true);
    let server = Frames::default()
        .settings(&[])
        .headers(3, &s.response("200", &[]), false)
        .data(3, b"B1", false)
        .headers(1, &s.response("404", &[]), true)
        .data(3, b"B2", true);
    check(
        client,
        server,
        &[
            "0 POST /a 2 [host=mcp.example, content-type=application/json]",
            "1 POST /b 2 [host=mcp.example, content-type=application/json]",
            "1 body b1",
            "0 body a1",
            "0 end",
            "1 body b2",
            "1 end",
        ],
        &["1 200 2 []", "1 body B1", "0 404 2 []", "0 end", "1 body B2", "1 end"],
    );
}

#[test]
fn padding_priority_continuation_and_unknown_frames_change_nothing() {
    let mut c = Encoder::new(false, Indexing::Incremental);
    let block = c.request("POST", "/mcp", &[JSON, ("mcp-session-id", "abc")]);
    let want = ["0 POST /mcp 2 [host=mcp.example, content-type=application/json, mcp-session-id=abc]", "0 body {}"];
    let first = [&[0x80, 0, 0, 0, 15][..], &block[..10]].concat();
    let plain = Frames::client().settings(&[]).headers(1, &block, false).data(1, b"{}", true);
    let odd = Frames::client()
        .settings(&[])
        .frame(2, 0, 7, &[0, 0, 0, 0, 1])
        .frame(0x10, 0, 0, b"\0\0\0\x01u=1")
        .frame(1, PADDED | PRIORITY, 1, &padded(&first, 30))
        .frame(9, 0, 1, b"")
        .frame(9, 0, 1, &block[10..20])
        .frame(9, END_HEADERS, 1, &block[20..])
        .frame(6, 0, 0, b"12345678")
        .padded_data(1, b"{", 255, false)
        .padded_data(1, b"", 0, false)
        .frame(0x77, 0xff, 1, b"an extension")
        .padded_data(1, b"}", 0, true);
    let split = Frames::client().settings(&[]).split_headers(1, &block, false, 1).data(1, b"{}", true);
    for client in [plain, odd, split] {
        let got = read(client, Frames::default());
        assert_eq!(got.to_server[..2], want);
        assert_eq!(got.to_server[2..], ["0 end"]);
    }
}

#[test]
fn every_way_to_write_fields_reads_the_same() {
    for huffman in [false, true] {
        for indexing in [Indexing::Incremental, Indexing::Without, Indexing::Never] {
            let mut c = Encoder::new(huffman, indexing);
            let mut client = Frames::client().settings(&[]);
            for stream in [1, 3, 5] {
                client = client.headers(stream, &c.request("GET", "/sse", &[("x", "y z")]), true);
            }
            let got = read(client, Frames::default());
            for (i, pair) in got.to_server.chunks(2).enumerate() {
                assert_eq!(pair, [format!("{i} GET /sse 2 [host=mcp.example, x=y z]"), format!("{i} end")]);
            }
        }
    }
}

#[test]
fn table_sizes_are_followed_in_both_directions() {
    let (mut c, mut s) = (Encoder::default(), Encoder::default());
    let client = Frames::client()
        .settings(&[(1, 0)])
        .headers(1, &[c.resize(200), c.request("GET", "/", &[("a", "b")])].concat(), true)
        .headers(3, &[c.resize(0), c.resize(65_536), c.request("GET", "/", &[("a", "b")])].concat(), true);
    let server = Frames::default()
        .settings(&[(1, 65_536)])
        .headers(1, &[s.resize(0), s.response("202", &[("c", "d")])].concat(), true)
        .headers(3, &s.response("202", &[("c", "d")]), true);
    // The server's settings come first, as the client could not know of them otherwise.
    let (client, server) = (client.bytes(), server.bytes());
    let got = read_with(&[bytes(ToClient, &server), bytes(ToServer, &client)], Start::Preface, &Limits::default());
    assert_eq!(
        got.to_server,
        ["0 GET / 2 [host=mcp.example, a=b]", "0 end", "1 GET / 2 [host=mcp.example, a=b]", "1 end"]
    );
    assert_eq!(got.to_client, ["0 202 2 [c=d]", "0 end", "1 202 2 [c=d]", "1 end"]);
    assert_eq!(got.stats.http2.unknown_fields, 0);
}

#[test]
fn interim_answers_and_trailers_are_passed_over() {
    let (mut c, mut s) = (Encoder::default(), Encoder::default());
    let client = Frames::client()
        .settings(&[])
        .headers(1, &c.request("POST", "/svc/Call", &[("content-type", "application/grpc")]), false)
        .data(1, b"\0\0\0\0\x02hi", false)
        .headers(1, &c.block(&[("x-checksum", "1")]), true);
    let server = Frames::default()
        .settings(&[])
        .headers(1, &s.response("103", &[("link", "</x>")]), false)
        .headers(1, &s.response("200", &[("content-type", "application/grpc")]), false)
        .data(1, b"\0\0\0\0\x02yo", false)
        .headers(1, &s.block(&[("grpc-status", "0")]), true);
    let stats = check(
        client,
        server,
        &[
            "0 POST /svc/Call 2 [host=mcp.example, content-type=application/grpc]",
            "0 body \\x00\\x00\\x00\\x00\\x02hi",
            "0 end",
        ],
        &["0 200 2 [content-type=application/grpc]", "0 body \\x00\\x00\\x00\\x00\\x02yo", "0 end"],
    );
    assert_eq!((stats.http2.interim, stats.http2.trailers), (1, 2));
}

#[test]
fn a_reset_cuts_both_directions_and_what_still_comes_is_counted() {
    let (mut c, mut s) = (Encoder::default(), Encoder::default());
    let client = Frames::client().settings(&[]).headers(1, &c.request("GET", "/sse", &[]), true);
    let server = Frames::default().settings(&[]).headers(1, &s.response("200", &[]), false).data(1, b"data", false);
    let reset = Frames::default().reset(1, 8);
    let late = Frames::default().data(1, b"more", false).headers(1, &s.block(&[("x", "y")]), true);
    let after = Frames::default().headers(3, &c.request("GET", "/", &[]), true);
    let (client, server, reset, late, after) =
        (client.bytes(), server.bytes(), reset.bytes(), late.bytes(), after.bytes());
    let events = [
        bytes(ToServer, &client),
        bytes(ToClient, &server),
        bytes(ToServer, &reset),
        bytes(ToClient, &late),
        bytes(ToServer, &after),
    ];
    let got = read_with(&events, Start::Preface, &Limits::default());
    assert_eq!(got.to_server, ["0 GET /sse 2 [host=mcp.example]", "0 end", "1 GET / 2 [host=mcp.example]", "1 end"]);
    assert_eq!(got.to_client, ["0 200 2 []", "0 body data", "0 cut", "1 cut"]);
    assert_eq!((got.stats.http2.resets, got.stats.uninspected.http2), (1, 4));
}

#[test]
fn a_reset_in_the_middle_of_a_request_cuts_it() {
    let mut c = Encoder::default();
    let client = Frames::client()
        .settings(&[])
        .headers(1, &c.request("POST", "/mcp", &[]), false)
        .data(1, b"{\"half", false)
        .reset(1, 8)
        .headers(3, &c.request("POST", "/mcp", &[]), true);
    check(
        client,
        Frames::default(),
        &["0 POST /mcp 2 [host=mcp.example]", "0 body {\"half", "0 cut", "1 POST /mcp 2 [host=mcp.example]", "1 end"],
        &["0 cut", "1 cut"],
    );
}

#[test]
fn go_away_cuts_what_will_not_be_answered() {
    let (mut c, mut s) = (Encoder::default(), Encoder::default());
    let client = Frames::client().settings(&[]).headers(1, &c.request("GET", "/a", &[]), true).headers(
        3,
        &c.request("GET", "/b", &[]),
        true,
    );
    let server =
        Frames::default().settings(&[]).go_away(0x7fff_ffff, 0).go_away(1, 0).headers(1, &s.response("204", &[]), true);
    let got = read(client, server);
    assert_eq!(got.to_client, ["1 cut", "0 204 2 []", "0 end"]);
}

#[test]
fn a_promised_request_and_its_answer_are_an_exchange() {
    let (mut c, mut s) = (Encoder::default(), Encoder::default());
    let client = Frames::client().settings(&[]).headers(1, &c.request("GET", "/page", &[]), true);
    let server = Frames::default()
        .settings(&[])
        .promise(1, 2, &s.request("GET", "/style", &[]))
        .headers(1, &s.response("200", &[]), true)
        .headers(2, &s.response("200", &[]), false)
        .data(2, b"css", true);
    let stats = check(
        client,
        server,
        &["0 GET /page 2 [host=mcp.example]", "0 end", "1 GET /style 2 [host=mcp.example]", "1 end"],
        &["0 200 2 []", "0 end", "1 200 2 []", "1 body css", "1 end"],
    );
    assert_eq!((stats.http2.pushes, stats.http2.requests), (1, 2));
}

#[test]
fn cookies_in_crumbs_and_a_host_beside_the_authority_are_read() {
    let mut c = Encoder::default();
    let same = c.request("GET", "/", &[("cookie", "a=b"), ("cookie", "c=d"), ("Host", "MCP.example")]);
    let alone = c.block(&[(":method", "GET"), (":path", "/"), ("host", "other.example")]);
    let two = c.request("GET", "/", &[("host", "other.example")]);
    let client = Frames::client().settings(&[]).headers(1, &same, true).headers(3, &alone, true).headers(5, &two, true);
    let got = read(client, Frames::default());
    assert_eq!(
        got.to_server,
        [
            "0 GET / 2 [host=mcp.example, cookie=a=b, cookie=c=d]",
            "0 end",
            "1 GET / 2 [host=other.example]",
            "1 end",
            "2 GET / 2 [host=mcp.example, host=other.example]",
            "2 duplicate_host",
            "2 end",
        ]
    );
}

#[test]
fn the_answer_to_an_upgraded_request_is_that_of_stream_1() {
    let (mut c, mut s) = (Encoder::default(), Encoder::default());
    let client = Frames::client().settings(&[]).headers(3, &c.request("GET", "/b", &[]), true).bytes();
    let server =
        Frames::default().settings(&[]).headers(1, &s.response("200", &[]), false).data(1, b"{}", true).bytes();
    let events = [bytes(ToClient, &server), bytes(ToServer, &client)];
    let got = read_with(&events, Start::Upgraded(ExchangeId(0)), &Limits::default());
    assert_eq!(got.to_server, ["1 GET /b 2 [host=mcp.example]", "1 end"]);
    assert_eq!(got.to_client, ["0 200 2 []", "0 body {}", "0 end", "1 cut"]);
}

#[test]
fn an_answer_seen_before_its_request_finds_it() {
    let (mut c, mut s) = (Encoder::default(), Encoder::default());
    let client = Frames::client()
        .settings(&[])
        .headers(1, &c.request("GET", "/a", &[]), true)
        .headers(3, &c.request("GET", "/b", &[]), true)
        .bytes();
    let server = Frames::default()
        .settings(&[])
        .headers(3, &s.response("204", &[]), true)
        .headers(1, &s.response("404", &[]), true)
        .bytes();
    let got = read_with(&[bytes(ToClient, &server), bytes(ToServer, &client)], Start::Preface, &Limits::default());
    assert_eq!(got.to_client, ["0 204 2 []", "0 end", "1 404 2 []", "1 end"]);
    assert_eq!(got.to_server, ["1 GET /a 2 [host=mcp.example]", "1 end", "0 GET /b 2 [host=mcp.example]", "0 end"]);
}

#[test]
fn whoever_sends_the_preface_is_the_client() {
    let (mut c, mut s) = (Encoder::default(), Encoder::default());
    let client = Frames::client().settings(&[]).headers(1, &c.request("GET", "/a", &[]), true).bytes();
    let server = Frames::default().settings(&[]).headers(1, &s.response("204", &[]), true).bytes();
    let got = read_with(&[bytes(ToServer, &server), bytes(ToClient, &client)], Start::Preface, &Limits::default());
    assert!(got.flow.flipped());
    assert_eq!(got.to_server, ["0 GET /a 2 [host=mcp.example]", "0 end"]);
    assert_eq!(got.to_client, ["0 204 2 []", "0 end"]);
}

#[test]
fn a_direction_that_ends_cuts_what_is_open_in_it() {
    let (mut c, mut s) = (Encoder::default(), Encoder::default());
    let client = Frames::client().settings(&[]).headers(1, &c.request("POST", "/a", &[]), false).data(1, b"x", false);
    let server = Frames::default().settings(&[]).headers(1, &s.response("200", &[]), true).frame(1, END_STREAM, 3, b"");
    let (client, server) = (client.bytes(), server.bytes());
    let events = [bytes(ToServer, &client), Event::Fin(ToServer), bytes(ToClient, &server), Event::Fin(ToClient)];
    let got = read_with(&events, Start::Preface, &Limits::default());
    assert_eq!(got.to_server, ["0 POST /a 2 [host=mcp.example]", "0 body x", "0 cut"]);
    assert_eq!(got.to_client[..2], ["0 200 2 []", "0 end"]);
}

/// Exchanges as both sides write them, in turns.
fn conversation(bodies: &[Vec<u8>], huffman: bool, piece: usize, pad: u8) -> (Vec<u8>, Vec<u8>) {
    let (mut c, mut s) = (Encoder::new(huffman, Indexing::Incremental), Encoder::new(huffman, Indexing::Incremental));
    let (mut client, mut server) = (Frames::client().settings(&[]), Frames::default().settings(&[]));
    for ((i, body), stream) in bodies.iter().enumerate().zip((1..).step_by(2)) {
        client = client.split_headers(stream, &c.request("POST", &format!("/{i}"), &[JSON]), body.is_empty(), piece);
        server = server.split_headers(stream, &s.response("200", &[JSON]), body.is_empty(), piece);
    }
    let most = bodies.iter().map(|body| body.len().div_ceil(piece)).max().unwrap_or(0);
    for round in 0..most {
        for (body, stream) in bodies.iter().zip((1..).step_by(2)) {
            let Some(part) = body.chunks(piece).nth(round) else { continue };
            let last = (round + 1) * piece >= body.len();
            client = client.padded_data(stream, part, pad, last);
            server = server.data(stream, part, last);
        }
    }
    (client.bytes(), server.bytes())
}

/// What was seen of each stream, whatever the exchanges are numbered: by the head of the request.
fn by_request(log: &Log) -> HashMap<String, [Vec<Seen>; 2]> {
    let names: HashMap<u32, String> = log.seen[0]
        .iter()
        .filter_map(|(id, seen)| match (id, seen) {
            (Some(id), Seen::Head(line, _)) => Some((*id, line.clone())),
            _ => None,
        })
        .collect();
    let mut out: HashMap<String, [Vec<Seen>; 2]> = HashMap::new();
    for (dir, list) in log.seen.iter().enumerate() {
        for (id, seen) in list {
            let name = id.and_then(|id| names.get(&id)).cloned().unwrap_or_default();
            out.entry(name).or_default()[dir].push(seen.clone());
        }
    }
    // Bodies of one stream, however DATA of others stands between.
    for list in out.values_mut().flatten() {
        let mut joined: Vec<Seen> = Vec::new();
        for seen in list.drain(..) {
            match (joined.last_mut(), seen) {
                (Some(Seen::Body(body)), Seen::Body(more)) => body.extend(more),
                (_, seen) => joined.push(seen),
            }
        }
        *list = joined;
    }
    out
}

proptest! {
    #[test]
    fn cutting_and_interleaving_the_directions_changes_nothing(
        bodies in vec(vec(any::<u8>(), 0..60), 1..6),
        huffman: bool,
        piece in 1..30_usize,
        pad in 0..9_u8,
        turns in vec((any::<bool>(), 1..50_usize), 0..60),
    ) {
        let (client, server) = conversation(&bodies, huffman, piece, pad);
        let limits = Limits::default();
        let plain = [Event::Bytes(ToServer, &client), Event::Bytes(ToClient, &server)];
        let (want, ..) = play(&plain, Start::Preface, &limits, || usize::MAX);
        let (mut events, mut rest) = (Vec::new(), [&client[..], &server[..]]);
        for (dir, n) in turns {
            let dir = if dir { ToServer } else { ToClient };
            let side: &mut &[u8] = Direction::of_mut(dir, &mut rest);
            let (piece, after) = side.split_at(n.min(side.len()));
            events.push(Event::Bytes(dir, piece));
            *side = after;
        }
        events.extend([Event::Bytes(ToClient, rest[1]), Event::Bytes(ToServer, rest[0])]);
        let (got, stats, _) = play(&events, Start::Preface, &limits, || usize::MAX);
        prop_assert_eq!(by_request(&got), by_request(&want));
        prop_assert_eq!(stats.http2.requests, bodies.len() as u64);
        prop_assert_eq!(stats.unpaired, 0);
    }

    #[test]
    fn anything_is_read_the_same_however_it_is_cut(data in vec(any::<u8>(), 0..400)) {
        crate::http2::fuzz::fuzz_http2(&data);
    }
}
