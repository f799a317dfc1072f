//! Midstream starts, gaps and broken framing: HTTP is found again, and nothing is made up.

use super::{c, check, check_with, outcome, s};
use crate::http1::fuzz::Event;
use crate::tls::End;
use crate::{Interest, Limits};
use net::Direction::{ToClient, ToServer};

const GET: &[u8] = b"GET / HTTP/1.1\r\n\r\n";
const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx";

#[track_caller]
fn midstream(name: &str, events: &[Event<'_>], client: &str, server: &str) -> super::Outcome {
    check_with(&Limits::default(), true, name, events, client, server)
}

#[test]
fn a_head_is_found_midstream() {
    let ok = "0 200 1.1; 0 \"x\"; 0 end";
    let tail = |tail: &str| [tail.as_bytes(), OK].concat();
    midstream("at once", &[c(GET), s(OK)], "0 GET / 1.1; 0 end", ok);
    midstream("at a piece", &[s(b"end of a body"), s(OK)], "0 cut", ok);
    midstream("behind a line end", &[s(&tail("end of a body\r\n"))], "0 cut", ok);
    midstream("behind the last chunk", &[s(&tail("{}\r\n0\r\n\r\n"))], "0 cut", ok);
    midstream("request behind a body", &[c(b"{\"a\":1}\nGET / HTTP/1.1\r\n\r\n")], "0 GET / 1.1; 0 end", "0 cut");
    midstream("begun in one piece", &[s(b"x\r\nHTT"), s(b"P/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx")], "0 cut", ok);
    midstream(
        "begun in the tail of a piece",
        &[c(b"zz\nPOST /m"), c(b"cp HTTP/1.1\r\nContent-Length: 1\r\n\r\nx")],
        "0 POST /mcp 1.1; 0 \"x\"; 0 end",
        "0 cut",
    );
}

#[test]
fn quoted_http_is_not_taken_for_a_message() {
    for text in [
        &b"see \"GET / HTTP/1.1\" 200 in the log\nand so on"[..],
        b"as in\nHTTP/1.1 is a protocol\n",
        b"x HTTP/1.1\r\nfoo\r\n",
        b"\nget / HTTP/1.1\r\n\r\n",
    ] {
        let got = outcome(true, &Limits::default(), &[c(b"\x01"), c(text)], usize::MAX);
        assert_eq!(got.client, "", "{}", text.escape_ascii());
    }
    // What a server sends is no request.
    let got = outcome(true, &Limits::default(), &[s(b"\x01"), s(b"x\nGET / HTTP/1.1\r\n\r\n")], usize::MAX);
    assert_eq!((got.client.as_str(), got.server.as_str()), ("", ""));
}

#[test]
fn a_stream_that_is_already_running_is_joined() {
    let event = b"2b\r\nevent: message\r\ndata: {\"jsonrpc\":\"2.0\"}\r\n\r\n\r\n";
    let content = "event: message\\r\\ndata: {\\\"jsonrpc\\\":\\\"2.0\\\"}\\r\\n\\r\\n";
    assert_eq!(event.len(), 4 + 0x2b + 2);
    midstream("event stream", &[s(event), s(event)], "0 cut", &format!("0 \"{content}{content}\"; 0 cut"));
    midstream(
        "to its end, and the next exchange",
        &[s(event), s(b"0\r\n\r\n"), c(GET), s(OK)],
        "0 cut; 1 GET / 1.1; 1 end",
        &format!("0 \"{content}\"; 0 end; 1 200 1.1; 1 \"x\"; 1 end"),
    );
    midstream("comment", &[s(b"3\r\n:\r\n\r\n")], "0 cut", "0 \":\\r\\n\"; 0 cut");
    midstream("JSON", &[s(b"2\r\n{}\r\n")], "0 cut", "0 \"{}\"; 0 cut");
    midstream("only its end", &[s(b"0\r\n\r\n")], "", "");
    let got = midstream("not in the other direction", &[c(b"2\r\n{}\r\n")], "", "");
    assert_eq!(got.stats.uninspected.out_of_sync, 7);
    check("not from the start of a flow", &[s(b"2\r\n{}\r\n")], "", "");
    let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    check(
        "after a gap over a chunk size",
        &[c(GET), s(head), Event::Gap(ToClient, 9), s(event)],
        "0 GET / 1.1; 0 end; 1 cut",
        &format!("0 200 1.1; 0 gap 0; 0 cut; 1 \"{content}\"; 1 cut"),
    );
}

#[test]
fn tls_midstream_is_told_by_its_records() {
    let record = [&b"\x17\x03\x03\x00\x10"[..], &[9; 16]].concat();
    let tls = |events: &[Event<'_>]| outcome(true, &Limits::default(), events, usize::MAX).stats.tls.ends(End::Opaque);
    assert_eq!(tls(&[s(&record.repeat(2))]), 1);
    assert_eq!(tls(&[s(&record)]), 0, "one header may be chance");
    assert_eq!(tls(&[s(&record), s(&record)]), 1);
    let both = outcome(true, &Limits::default(), &[s(&record.repeat(2)), c(&record)], usize::MAX);
    assert_eq!((both.interest, both.stats.uninspected.tls), (Interest::Bypass("tls"), 42 + 21 - 2 * 5));
}

#[test]
fn a_head_that_is_cut_is_reported_as_far_as_it_came() {
    let half = b"POST /mcp HTTP/1.1\r\nMcp-Method: x\r\nHo";
    let next = "1 GET / 1.1; 1 end";
    let cut = "0 POST /mcp 1.1; 0 cut";
    check("gap", &[c(half), Event::Gap(ToServer, 5), c(GET)], &format!("{cut}; {next}"), "1 cut; 0 cut");
    check("end", &[c(half), Event::Fin(ToServer)], cut, "0 cut");
    check("close", &[c(half)], cut, "0 cut");
    check("half a start line is nothing", &[c(b"POST /mcp HTTP/1.")], "", "");
    check(
        "response",
        &[c(GET), s(b"HTTP/1.1 200 OK\r\nA: b\r\nC"), Event::Gap(ToClient, 9), c(GET), s(OK)],
        "0 GET / 1.1; 0 end; 1 GET / 1.1; 1 end",
        "0 200 1.1; 0 cut; 1 200 1.1; 1 \"x\"; 1 end",
    );
}

#[test]
fn broken_chunks_cost_one_message() {
    check(
        "bad size",
        &[c(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n"), s(OK), c(GET), s(OK)],
        "0 POST / 1.1; 0 !bad_chunk; 0 cut; 1 GET / 1.1; 1 end",
        "0 200 1.1; 0 \"x\"; 0 end; 1 200 1.1; 1 \"x\"; 1 end",
    );
    check(
        "the next head where a size should be",
        &[c(GET), c(GET), s(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), s(OK)],
        "0 GET / 1.1; 0 end; 1 GET / 1.1; 1 end",
        "0 200 1.1; 0 !bad_chunk; 0 cut; 1 200 1.1; 1 \"x\"; 1 end",
    );
}

#[test]
fn nothing_is_made_of_an_empty_flow() {
    check("nothing", &[Event::Gap(ToServer, 0), Event::Fin(ToServer), Event::Fin(ToClient)], "", "");
    check("gaps", &[Event::Gap(ToServer, 9), Event::Gap(ToClient, u64::MAX)], "", "");
}
