//! Connections whose beginning was missed, and connections that lose bytes.

use super::{bytes, read_with};
use crate::Limits;
use crate::http1::fuzz::Event;
use crate::http2::{Start, plausible_start};
use net::Direction::{ToClient, ToServer};
use testkit::http2::{END_HEADERS, Encoder, Frames, Indexing};

#[test]
fn a_late_joiner_reports_what_can_be_known_and_marks_the_rest() {
    let (mut c, mut s) = (Encoder::default(), Encoder::default());
    let session = [("mcp-session-id", "abc"), ("content-type", "application/json")];
    // Before our time.
    c.request("POST", "/mcp", &session);
    s.response("202", &[("server", "x")]);
    let client = Frames::default()
        .headers(11, &c.request("POST", "/mcp", &session), false)
        .data(11, b"{\"id\":1}", true)
        .headers(13, &c.request("POST", "/mcp", &[("mcp-session-id", "abc"), ("mcp-method", "ping")]), true)
        .bytes();
    let server = Frames::default()
        .headers(11, &s.response("200", &[("content-type", "text/event-stream")]), false)
        .data(11, b"data: {}", true)
        .headers(13, &s.response("202", &[("server", "x")]), true)
        .bytes();
    assert!(plausible_start(&client) && plausible_start(&server));
    let events = [bytes(ToServer, &client), bytes(ToClient, &server)];
    let got = read_with(&events, Start::Midstream, &Limits::default());
    assert_eq!(
        got.to_server,
        ["1 POST  2 [=, =, =, =]", "1 body {\"id\":1}", "1 end", "2 POST  2 [=, =, =, mcp-method=ping]", "2 end"]
    );
    assert_eq!(
        got.to_client,
        ["1 200 2 [content-type=text/event-stream]", "1 body data: {}", "1 end", "2 0 2 [=, =]", "2 end"]
    );
    assert_eq!(got.stats.http2.unknown_fields, 4 + 3 + 2);
    assert_eq!(got.stats.uninspected.http2, 0);
}

#[test]
fn roles_are_found_where_they_were_taken_for_the_reverse() {
    let (mut c, mut s) = (Encoder::default(), Encoder::default());
    let client = Frames::default().headers(11, &c.request("POST", "/mcp", &[]), false).data(11, b"q", true).bytes();
    let server = Frames::default().headers(11, &s.response("200", &[]), false).data(11, b"a", true).bytes();
    let running = Frames::default().data(9, b"data: x", false).bytes();
    let events = [bytes(ToServer, &running), bytes(ToClient, &client), bytes(ToServer, &server)];
    let got = read_with(&events, Start::Midstream, &Limits::default());
    assert!(got.flow.flipped());
    // What came before the first head is under the roles of before, and ended.
    assert_eq!(got.to_server, ["1 body data: x", "1 cut", "2 POST /mcp 2 [host=mcp.example]", "2 body q", "2 end"]);
    assert_eq!(got.to_client, ["1 cut", "2 200 2 []", "2 body a", "2 end"]);
}

#[test]
fn streams_that_were_running_are_exchanges_of_their_own() {
    let (mut c, mut s) = (Encoder::default(), Encoder::default());
    let client = Frames::default().headers(7, &c.request("GET", "/", &[]), true).bytes();
    let server = Frames::default()
        .data(3, b"data: 1", false)
        .headers(7, &s.response("204", &[]), true)
        .data(3, b"data: 2", true)
        .data(7, b"late", false)
        .bytes();
    let events = [bytes(ToServer, &client), bytes(ToClient, &server)];
    let got = read_with(&events, Start::Midstream, &Limits::default());
    assert_eq!(got.to_server, ["1 GET / 2 [host=mcp.example]", "1 end", "2 cut"]);
    assert_eq!(got.to_client, ["2 body data: 1", "1 204 2 []", "1 end", "2 body data: 2", "2 end"]);
    assert_eq!(got.stats.uninspected.http2, 4);
    assert_eq!(got.stats.unpaired, 1);
}

#[test]
fn the_place_is_found_in_the_middle_of_a_piece() {
    let mut c = Encoder::default();
    let frames = Frames::default().headers(5, &c.request("POST", "/mcp", &[]), false).data(5, b"{}", true).bytes();
    let piece = [&b"the rest of a body, with a \0 in it"[..], &frames].concat();
    let events = [bytes(ToServer, b"more of a body"), bytes(ToServer, &piece)];
    let got = read_with(&events, Start::Midstream, &Limits::default());
    assert_eq!(got.to_server, ["1 POST /mcp 2 [host=mcp.example]", "1 body {}", "1 end"]);
    assert_eq!((got.stats.uninspected.http2, got.stats.resynchronisations), (48, 1));
}

#[test]
fn a_place_that_proves_wrong_is_given_up() {
    let mut c = Encoder::default();
    let wrong = Frames::default().window_update(0, 5).raw(b"no frame at all").bytes();
    let right = Frames::default().headers(5, &c.request("POST", "/mcp", &[]), true).bytes();
    let events = [bytes(ToServer, &wrong[..13]), bytes(ToServer, &wrong[13..]), bytes(ToServer, &right)];
    let got = read_with(&events, Start::Midstream, &Limits::default());
    assert_eq!(got.to_server, ["1 POST /mcp 2 [host=mcp.example]", "1 end"]);
    assert_eq!((got.stats.uninspected.http2, got.stats.resynchronisations), (15, 2));
}

#[test]
fn the_search_is_bounded_and_then_only_pieces_are_looked_at() {
    let limits = Limits { search_bytes: 100, ..Limits::default() };
    let mut c = Encoder::new(true, Indexing::Without);
    let frames = Frames::default().headers(5, &c.request("POST", "/mcp", &[]), true).bytes();
    let piece = [&[b'x'; 60][..], &frames].concat();
    let events = [bytes(ToServer, &[b'x'; 60]), bytes(ToServer, &piece), bytes(ToServer, &frames)];
    let got = read_with(&events, Start::Midstream, &limits);
    assert_eq!(got.to_server, ["1 POST /mcp 2 [host=mcp.example]", "1 end"]);
    assert_eq!(got.stats.uninspected.http2, 120 + frames.len() as u64);
}

/// A conversation of which the bytes of the server from `from` on, `lost` of them, are a gap.
fn with_gap(server: &[u8], from: usize, lost: usize) -> super::Read {
    let mut c = Encoder::default();
    let client = Frames::client()
        .settings(&[])
        .headers(1, &c.request("GET", "/1", &[]), true)
        .headers(3, &c.request("GET", "/3", &[]), true)
        .bytes();
    let events = [
        bytes(ToServer, &client),
        bytes(ToClient, &server[..from]),
        Event::Gap(ToClient, lost as u64),
        bytes(ToClient, &server[from + lost..]),
    ];
    read_with(&events, Start::Preface, &Limits::default())
}

#[test]
fn a_gap_within_a_body_costs_that_and_no_more() {
    let mut s = Encoder::default();
    let start = Frames::default().settings(&[]).headers(1, &s.response("200", &[]), false);
    let at = start.len() + 9;
    let server = start
        .padded_data(1, b"0123456789", 4, false)
        .data(1, b"ab", true)
        .headers(3, &s.response("200", &[("x", "y")]), true)
        .bytes();
    let rest = ["0 end", "1 200 2 [x=y]", "1 end"];
    for (from, lost, want) in [
        (at + 3, 4, &["0 body 01", "0 gap 4", "0 body 6789ab"][..]),
        (at + 1, 10, &["0 gap 10", "0 body ab"]),
        (at + 5, 10, &["0 body 0123", "0 gap 6", "0 body ab"]),
        (at + 11, 4, &["0 body 0123456789ab"]),
    ] {
        let got = with_gap(&server, from, lost);
        let want: Vec<&str> = ["0 200 2 []"].iter().chain(want).chain(&rest).copied().collect();
        assert_eq!(got.to_client, want, "{lost} from {from}");
        assert_eq!(got.stats.resynchronisations, 0);
    }
}

#[test]
fn a_gap_within_a_head_leaves_what_was_read_and_the_table_unknown() {
    let mut s = Encoder::new(false, Indexing::Incremental);
    let start = Frames::default().settings(&[]);
    let block = s.response("200", &[("x-one", "1"), ("x-two", "2")]);
    let at = start.len() + 9 + 1 + 9;
    let server = start
        .headers(1, &block, false)
        .data(1, b"ab", true)
        .headers(3, &s.response("200", &[("x-one", "1"), ("x-three", "3")]), true)
        .bytes();
    let got = with_gap(&server, at, 3);
    assert_eq!(got.to_client, ["0 200 2 [x-one=1]", "0 body ab", "0 end", "1 200 2 [=, x-three=3]", "1 end"]);
    assert_eq!((got.stats.http2.cut_blocks, got.stats.http2.unknown_fields), (1, 1));
}

#[test]
fn a_gap_over_frames_marks_open_bodies_and_the_place_is_found_again() {
    let mut s = Encoder::default();
    let start = Frames::default().settings(&[]).headers(1, &s.response("200", &[]), false).data(1, b"one", false);
    let from = start.len() + 2;
    let middle =
        start.data(1, b"two", false).headers(3, &s.response("200", &[("x", "y")]), false).data(3, b"12", false);
    let lost = middle.len() - from - 1;
    let server = middle.data(1, b"three", true).data(3, b"34", true).bytes();
    let got = with_gap(&server, from, lost);
    assert_eq!(got.to_client, ["0 200 2 []", "0 body one", "0 gap 0", "0 body three", "0 end", "1 body 34", "1 end"]);
    assert_eq!((got.stats.uninspected.http2, got.stats.resynchronisations), (3, 1));
}

#[test]
fn a_continuation_whose_beginning_was_lost_is_passed_over() {
    let mut s = Encoder::default();
    let block = s.response("200", &[("x", "y")]);
    let start = Frames::default().settings(&[]);
    let from = start.len();
    let middle = start.frame(1, 0, 1, &block[..1]);
    let lost = middle.len() - from;
    let server =
        middle.frame(9, END_HEADERS, 1, &block[1..]).headers(3, &s.response("200", &[("x", "y")]), true).bytes();
    let got = with_gap(&server, from, lost);
    assert_eq!(got.to_client, ["1 200 2 [=]", "1 end", "0 cut"]);
}
