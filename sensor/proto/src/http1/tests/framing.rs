//! RFC 9112 §6 and §7: where messages end.

use super::{c, check, check_with, s};
use crate::http1::fuzz::Event;
use crate::{Anomaly, Limits};
use net::Direction::{ToClient, ToServer};

/// One request with `fields` and `rest` behind its head; wants the request direction.
#[track_caller]
fn request(name: &str, fields: &str, rest: &str, want: &str) {
    let wire = format!("POST / HTTP/1.1\r\n{fields}\r\n{rest}");
    let got = super::outcome(false, &Limits::default(), &[c(wire.as_bytes())], usize::MAX);
    assert_eq!(got.client, want, "{name}");
    if got.stats.uninspected.out_of_sync == 0 {
        let cut = super::outcome(false, &Limits::default(), &[c(wire.as_bytes())], 1);
        assert_eq!(cut.client, want, "{name}, byte by byte");
    }
}

/// One answer to `method`, followed by the end of its direction.
#[track_caller]
fn response(name: &str, method: &str, head: &str, rest: &str, want: &str) {
    let asked = format!("{method} / HTTP/1.1\r\n\r\n");
    let wire = format!("{head}\r\n\r\n{rest}");
    for cut in [usize::MAX, 1] {
        let events = [c(asked.as_bytes()), s(wire.as_bytes()), Event::Fin(ToClient)];
        let got = super::outcome(false, &Limits::default(), &events, cut);
        assert_eq!(got.server, want, "{name}, cut {cut}");
    }
}

#[test]
fn requests_end_where_their_fields_say() {
    const NEXT: &str = "GET /n HTTP/1.1\r\n\r\n";
    let length = |n: &str| format!("Content-Length: {n}\r\n");
    for (name, fields, body, want) in [
        ("no length, no body", String::new(), "", "0 POST / 1.1; 0 end"),
        ("length", length("5"), "hello", "0 POST / 1.1; 0 \"hello\"; 0 end"),
        ("length nought", length("0"), "", "0 POST / 1.1; 0 end"),
        ("length with zeros", length("0005"), "hello", "0 POST / 1.1; 0 \"hello\"; 0 end"),
        ("equal lengths", length("5") + &length("5"), "hello", "0 POST / 1.1; 0 \"hello\"; 0 end"),
        ("list of equal lengths", length("5, 5"), "hello", "0 POST / 1.1; 0 \"hello\"; 0 end"),
        (
            "differing lengths",
            length("5") + &length("6"),
            "hello",
            "0 POST / 1.1; 0 !ambiguous_length; 0 \"hello\"; 0 end",
        ),
        ("list of lengths", length("5, 6"), "hello", "0 POST / 1.1; 0 !ambiguous_length; 0 \"hello\"; 0 end"),
        ("plus", length("+5"), "hello", "0 POST / 1.1; 0 !ambiguous_length; 0 \"hello\"; 0 end"),
        ("minus", length("-5"), "", "0 POST / 1.1; 0 !ambiguous_length; 0 end"),
        ("hexadecimal", length("0x5"), "", "0 POST / 1.1; 0 !ambiguous_length; 0 end"),
        ("no number", length(""), "", "0 POST / 1.1; 0 !ambiguous_length; 0 end"),
        ("chunked", CHUNKED.into(), "5\r\nhello\r\n0\r\n\r\n", "0 POST / 1.1; 0 \"hello\"; 0 end"),
        (
            "chunked beside a length",
            length("3") + CHUNKED,
            "5\r\nhello\r\n0\r\n\r\n",
            "0 POST / 1.1; 0 !ambiguous_length; 0 \"hello\"; 0 end",
        ),
        (
            "chunked in odd case and space",
            "transfer-encoding:\t  cHuNkEd \t\r\n".into(),
            "5\r\nhello\r\n0\r\n\r\n",
            "0 POST / 1.1; 0 \"hello\"; 0 end",
        ),
        (
            "gzip and chunked",
            "Transfer-Encoding: gzip, chunked\r\n".into(),
            "2\r\nzz\r\n0\r\n\r\n",
            "0 POST / 1.1; 0 !odd_transfer_encoding; 0 \"zz\"; 0 end",
        ),
        (
            "gzip and chunked in two fields",
            format!("Transfer-Encoding: gzip\r\n{CHUNKED}"),
            "2\r\nzz\r\n0\r\n\r\n",
            "0 POST / 1.1; 0 !odd_transfer_encoding; 0 \"zz\"; 0 end",
        ),
        (
            "chunked twice",
            "Transfer-Encoding: chunked, chunked\r\n".into(),
            "2\r\nzz\r\n0\r\n\r\n",
            "0 POST / 1.1; 0 !odd_transfer_encoding; 0 \"zz\"; 0 end",
        ),
        (
            "chunked not last",
            "Transfer-Encoding: chunked, identity\r\n".into(),
            "2\r\nzz\r\n0\r\n\r\n",
            "0 POST / 1.1; 0 !odd_transfer_encoding; 0 \"zz\"; 0 end",
        ),
        (
            "a coding that nobody knows hides no length",
            "Transfer-Encoding: xchunked\r\n".to_owned() + &length("5"),
            "hello",
            "0 POST / 1.1; 0 !ambiguous_length; 0 !odd_transfer_encoding; 0 \"hello\"; 0 end",
        ),
        (
            "chunked behind a vertical tab",
            "Transfer-Encoding: \x0bchunked\r\n".into(),
            "2\r\nzz\r\n0\r\n\r\n",
            "0 POST / 1.1; 0 !odd_transfer_encoding; 0 !odd_lines; 0 \"zz\"; 0 end",
        ),
        (
            "space before the colon",
            "Transfer-Encoding : chunked\r\n".into(),
            "2\r\nzz\r\n0\r\n\r\n",
            "0 POST / 1.1; 0 !odd_lines; 0 \"zz\"; 0 end",
        ),
    ] {
        let rest = format!("{body}{NEXT}");
        request(name, &fields, &rest, &format!("{want}; 1 GET /n 1.1; 1 end"));
    }
}

const CHUNKED: &str = "Transfer-Encoding: chunked\r\n";

#[test]
fn chunks_are_taken_off() {
    for (name, body, want) in [
        ("two chunks", "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", "\"abcde\"; 0 end"),
        (
            "upper and lower case",
            "A\r\n0123456789\r\nb\r\n0123456789a\r\n0\r\n\r\n",
            "\"01234567890123456789a\"; 0 end",
        ),
        ("leading zeros", "0000000000000000000003\r\nabc\r\n000\r\n\r\n", "\"abc\"; 0 end"),
        ("extensions", "3;a=b;c=\"d;e\"\r\nabc\r\n0;x\r\n\r\n", "\"abc\"; 0 end"),
        ("padded sizes", "3   \r\nabc\r\n 0\t\r\n\r\n", "\"abc\"; 0 end"),
        ("trailers", "3\r\nabc\r\n0\r\nDigest: x\r\nB: y\r\n\r\n", "\"abc\"; 0 end"),
        ("bare line feeds", "3\nabc\n0\n\n", "!odd_lines; 0 \"abc\"; 0 end"),
        ("content with line ends", "4\r\n\r\n\r\n\r\n0\r\n\r\n", "\"\\r\\n\\r\\n\"; 0 end"),
        ("no content", "0\r\n\r\n", "end"),
        ("carriage return in an extension", "3;\rx\r\nabc\r\n0\r\n\r\n", "\"abc\"; 0 end"),
        ("no digits", ";x\r\nabc", "!bad_chunk; 0 cut"),
        ("not hexadecimal", "3g\r\nabc\r\n", "!bad_chunk; 0 cut"),
        ("minus", "-3\r\nabc\r\n", "!bad_chunk; 0 cut"),
        ("too large", "10000000000000000\r\nabc", "!bad_chunk; 0 cut"),
        ("largest", "ffffffffffffffff\r\nabc", "\"abc\"; 0 cut"),
        ("chunk too long", "3\r\nabcd\r\n0\r\n\r\n", "\"abc\"; 0 !bad_chunk; 0 cut"),
        ("cut in the content", "5\r\nab", "\"ab\"; 0 cut"),
        ("cut in the size", "5", "cut"),
        ("cut in the trailers", "2\r\nab\r\n0\r\nA: b\r\n", "\"ab\"; 0 end"),
    ] {
        request(name, CHUNKED, body, &format!("0 POST / 1.1; 0 {want}"));
    }
}

#[test]
fn responses_end_where_status_method_and_fields_say() {
    for (name, method, head, rest, want) in [
        ("length", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 2", "ab", "0 200 1.1; 0 \"ab\"; 0 end"),
        ("length cut", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 3", "ab", "0 200 1.1; 0 \"ab\"; 0 cut"),
        ("until the end", "GET", "HTTP/1.1 200 OK", "ab", "0 200 1.1; 0 \"ab\"; 0 end"),
        ("until the end, empty", "GET", "HTTP/1.0 200 OK", "", "0 200 1.0; 0 end"),
        (
            "1.0 with keep-alive",
            "GET",
            "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2",
            "ab",
            "0 200 1.0; 0 \"ab\"; 0 end",
        ),
        ("no reason", "GET", "HTTP/1.1 200", "ab", "0 200 1.1; 0 \"ab\"; 0 end"),
        (
            "garbled length",
            "GET",
            "HTTP/1.1 200 OK\r\nContent-Length: x",
            "ab",
            "0 200 1.1; 0 !ambiguous_length; 0 \"ab\"; 0 end",
        ),
        (
            "unknown coding",
            "GET",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip",
            "ab",
            "0 200 1.1; 0 !odd_transfer_encoding; 0 \"ab\"; 0 end",
        ),
        (
            "chunked in 1.0",
            "GET",
            "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked",
            "2\r\nab\r\n0\r\n\r\n",
            "0 200 1.0; 0 !odd_transfer_encoding; 0 \"ab\"; 0 end",
        ),
        ("to HEAD", "HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 2", "", "0 200 1.1; 0 end"),
        ("chunked to HEAD", "HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked", "", "0 200 1.1; 0 end"),
        ("204", "GET", "HTTP/1.1 204 No Content\r\nContent-Length: 2", "", "0 204 1.1; 0 end"),
        ("304", "GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 2", "", "0 304 1.1; 0 end"),
        (
            "interim",
            "GET",
            "HTTP/1.1 100 Continue",
            "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n",
            "0 202 1.1; 0 end",
        ),
        (
            "interim twice, with fields",
            "GET",
            "HTTP/1.1 103 Early Hints\r\nLink: x\r\nContent-Length: 7",
            "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx",
            "0 200 1.1; 0 \"x\"; 0 end",
        ),
        (
            "three spaces",
            "GET",
            "HTTP/1.1   200 OK\r\nContent-Length: 1",
            "x",
            "0 200 1.1; 0 !odd_lines; 0 \"x\"; 0 end",
        ),
    ] {
        response(name, method, head, rest, want);
    }
}

#[test]
fn a_request_without_version_is_answered_by_a_bare_body() {
    check(
        "0.9",
        &[c(b"GET /old\r\n"), s(b"<p>hi"), Event::Fin(ToClient)],
        "0 GET /old 0.9; 0 end",
        "0 200 0.9; 0 \"<p>hi\"; 0 end",
    );
    check(
        "0.9 to a newer server",
        &[c(b"GET /old\r\n"), s(b"HTTP/1.1 400 Bad\r\nContent-Length: 0\r\n\r\n")],
        "0 GET /old 0.9; 0 end",
        "0 400 1.1; 0 end",
    );
}

#[test]
fn a_body_over_its_end_is_passed_and_the_next_head_found() {
    let got = check(
        "204 with a body",
        &[
            c(b"GET / HTTP/1.1\r\n\r\n"),
            s(b"HTTP/1.1 204 No\r\n\r\n0\r\n\r\n"),
            c(b"GET /b HTTP/1.1\r\n\r\n"),
            s(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        ],
        "0 GET / 1.1; 0 end; 1 GET /b 1.1; 1 end",
        "0 204 1.1; 0 end; - !stray_bytes; 1 200 1.1; 1 end",
    );
    assert_eq!((got.stats.uninspected.out_of_sync, got.stats.resynchronisations), (5, 1));
}

#[test]
fn a_body_where_none_may_be_is_told() {
    for (method, head) in [
        ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 7"),
        ("GET", "HTTP/1.1 204 No Content\r\nContent-Length: 7"),
        ("GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 7"),
        ("GET", "HTTP/1.1 200 OK\r\nContent-Length: 0"),
    ] {
        let status = head.get(9..12).unwrap_or_default();
        let want = format!("0 {status} 1.1; 0 end; - !stray_bytes");
        response(head, method, head, "{\"a\":1}", &want);
    }
}

#[test]
fn gaps_inside_a_body_keep_its_place() {
    let post = |fields: &str| format!("POST / HTTP/1.1\r\n{fields}\r\n").into_bytes();
    let (length, chunked) = (post("Content-Length: 10\r\n"), post(CHUNKED));
    for (name, events, want) in [
        (
            "in a length",
            vec![c(&length), c(b"ab"), Event::Gap(ToServer, 6), c(b"yz")],
            "0 POST / 1.1; 0 \"ab\"; 0 gap 6; 0 \"yz\"; 0 end",
        ),
        ("to the end of a length", vec![c(&length), Event::Gap(ToServer, 10)], "0 POST / 1.1; 0 gap 10; 0 end"),
        (
            "over a length",
            vec![c(&length), Event::Gap(ToServer, 11), c(b"xGET"), c(b"GET /n HTTP/1.1\r\n\r\n")],
            "0 POST / 1.1; 0 gap 10; 0 cut; 1 GET /n 1.1; 1 end",
        ),
        (
            "in a chunk",
            vec![c(&chunked), c(b"6\r\nab"), Event::Gap(ToServer, 4), c(b"\r\n0\r\n\r\n")],
            "0 POST / 1.1; 0 \"ab\"; 0 gap 4; 0 end",
        ),
        (
            "over a chunk",
            vec![c(&chunked), c(b"6\r\nab"), Event::Gap(ToServer, 5), c(b"\n0\r\n\r\n")],
            "0 POST / 1.1; 0 \"ab\"; 0 gap 0; 0 cut",
        ),
        ("between chunks", vec![c(&chunked), Event::Gap(ToServer, 1)], "0 POST / 1.1; 0 gap 0; 0 cut"),
    ] {
        let got = super::outcome(false, &Limits::default(), &events, usize::MAX);
        assert_eq!(got.client, want, "{name}");
    }
    check(
        "in a body without end",
        &[
            c(b"GET / HTTP/1.1\r\n\r\n"),
            s(b"HTTP/1.1 200 OK\r\n\r\nab"),
            Event::Gap(ToClient, 7),
            s(b"c"),
            Event::Fin(ToClient),
        ],
        "0 GET / 1.1; 0 end",
        "0 200 1.1; 0 \"ab\"; 0 gap 7; 0 \"c\"; 0 end",
    );
}

#[test]
fn a_head_over_the_limit_is_reported_as_far_as_it_fits() {
    let limits = Limits { head_bytes: 64, ..Limits::default() };
    let long = [&b"POST /mcp HTTP/1.1\r\nMcp-Method: a\r\nX: "[..], &[b'x'; 100], b"\r\n\r\nbody"].concat();
    for cut in [usize::MAX, 7, 1] {
        let got = super::outcome(false, &limits, &[c(&long), c(b"GET /n HTTP/1.1\r\n\r\n")], cut);
        assert!(got.client.starts_with("0 POST /mcp 1.1; 0 cut; - !head_too_large"), "{}", got.client);
        assert_eq!(got.stats.anomalies(Anomaly::HeadTooLarge), 1);
    }
    check_with(
        &limits,
        false,
        "then the next",
        &[c(&long), c(b"GET /n HTTP/1.1\r\n\r\n")],
        "0 POST /mcp 1.1; 0 cut; - !head_too_large; 1 GET /n 1.1; 1 end",
        "1 cut; 0 cut",
    );
    let target = [&b"GET /"[..], &[b'x'; 100], b" HTTP/1.1\r\n\r\n"].concat();
    for cut in [usize::MAX, 7, 1] {
        let got = super::outcome(false, &limits, &[c(b"GET / HTTP/1.1\r\n\r\n"), c(&target)], cut);
        assert_eq!(got.client, "0 GET / 1.1; 0 end; - !head_too_large", "cut {cut}");
    }
}
