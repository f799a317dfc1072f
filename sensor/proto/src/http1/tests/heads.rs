//! Heads as receivers read them, and first bytes that are something else.

use super::{c, check, outcome, s};
use crate::http1::fuzz::{Event, Seen, play};
use crate::{Anomaly, Interest, Limits};
use net::Direction::{ToClient, ToServer};
use testkit::tls::{Hello, record};

/// One request head: wants its line, its fields, and its anomalies.
#[track_caller]
fn head(name: &str, wire: &[u8], line: &str, fields: &str, anomalies: &[Anomaly]) {
    for cut in [usize::MAX, 1, 3] {
        let (log, ..) = play(&[c(wire)], false, &Limits::default(), || cut);
        let mut met = Vec::new();
        let mut heads = Vec::new();
        for (_, seen) in &log.seen[0] {
            match seen {
                Seen::Head(line, fields) => heads.push((line.as_str(), fields.as_str())),
                Seen::Anomaly(what) => met.push(*what),
                _ => {}
            }
        }
        assert_eq!(heads, [(line, fields)], "{name}, cut {cut}");
        assert_eq!(met, anomalies, "{name}, cut {cut}");
    }
}

#[test]
fn heads_are_read_as_lenient_receivers_read_them() {
    use Anomaly::{DuplicateHost, OddLines};
    let many = |n: usize| (0..n).map(|i| format!("F{i}: {i}\r\n")).collect::<Vec<_>>().concat();
    let (wire, shown) = (many(300), (0..300).map(|i| format!("F{i}={i}")).collect::<Vec<_>>().join(", "));
    let many = format!("GET / HTTP/1.1\r\n{wire}\r\n");
    for (name, wire, line, fields, anomalies) in [
        (
            "plain",
            &b"POST /mcp?x=1 HTTP/1.1\r\nHost: a\r\nAccept:  b \r\n\r\n"[..],
            "POST /mcp?x=1 1.1",
            "Host=a, Accept=b",
            &[][..],
        ),
        ("no fields", b"GET / HTTP/1.0\r\n\r\n", "GET / 1.0", "", &[]),
        ("blank lines before", b"\r\n\n\r\nGET / HTTP/1.1\r\n\r\n", "GET / 1.1", "", &[]),
        ("bare line feeds", b"GET / HTTP/1.1\nHost: a\n\n", "GET / 1.1", "Host=a", &[OddLines]),
        ("one bare line feed", b"GET / HTTP/1.1\r\nHost: a\n\r\n", "GET / 1.1", "Host=a", &[OddLines]),
        (
            "folded",
            b"GET / HTTP/1.1\r\nA: b\r\n  c\r\n\td\r\nE: f\r\n\r\n",
            "GET / 1.1",
            "A=b    c  \\td, E=f",
            &[OddLines],
        ),
        (
            "space before the first field",
            b"GET / HTTP/1.1\r\n Host: a\r\nB: c\r\n\r\n",
            "GET / 1.1",
            "Host=a, B=c",
            &[OddLines],
        ),
        ("space before the colon", b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", "GET / 1.1", "Host=a", &[OddLines]),
        ("no colon", b"GET / HTTP/1.1\r\nHost\r\nA: b\r\n\r\n", "GET / 1.1", "Host=, A=b", &[OddLines]),
        ("no name", b"GET / HTTP/1.1\r\n: a\r\n\r\n", "GET / 1.1", "=a", &[OddLines]),
        ("odd name", b"GET / HTTP/1.1\r\nA(b): c\r\n\r\n", "GET / 1.1", "A(b)=c", &[OddLines]),
        ("name outside ASCII", b"GET / HTTP/1.1\r\n\xffA: c\r\n\r\n", "GET / 1.1", "\u{fffd}A=c", &[OddLines]),
        ("value outside ASCII", b"GET / HTTP/1.1\r\nA: \xff\r\n\r\n", "GET / 1.1", "A=\\xff", &[]),
        ("NUL", b"GET / HTTP/1.1\r\nA: b\0c\r\nD: e\r\n\r\n", "GET / 1.1", "A=b\\x00c, D=e", &[OddLines]),
        ("bare carriage return", b"GET / HTTP/1.1\r\nA: b\rC: d\r\n\r\n", "GET / 1.1", "A=b\\rC: d", &[OddLines]),
        ("spaces in the target", b"GET /a b HTTP/1.1\r\n\r\n", "GET /a b 1.1", "", &[OddLines]),
        ("spaces around the target", b"GET   /a   HTTP/1.1\r\n\r\n", "GET /a 1.1", "", &[OddLines]),
        ("target outside UTF-8", b"GET /\xff HTTP/1.1\r\n\r\n", "GET /\u{fffd} 1.1", "", &[OddLines]),
        ("target in UTF-8", "GET /\u{e9} HTTP/1.1\r\n\r\n".as_bytes(), "GET /\u{e9} 1.1", "", &[]),
        ("version to come", b"GET / HTTP/1.2\r\n\r\n", "GET / 1.1", "", &[OddLines]),
        ("own method", b"m-search * HTTP/1.1\r\n\r\n", "m-search * 1.1", "", &[]),
        ("absolute form", b"GET http://a/b HTTP/1.1\r\nHost: c\r\n\r\n", "GET http://a/b 1.1", "Host=c", &[]),
        ("asterisk form", b"OPTIONS * HTTP/1.1\r\n\r\n", "OPTIONS * 1.1", "", &[]),
        ("same Host twice", b"GET / HTTP/1.1\r\nHost: a\r\nhost: A\r\n\r\n", "GET / 1.1", "Host=a, host=A", &[]),
        ("two Hosts", b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "GET / 1.1", "Host=a, Host=b", &[DuplicateHost]),
        ("PROXY protocol 1", b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\nGET / HTTP/1.1\r\n\r\n", "GET / 1.1", "", &[]),
        ("PROXY protocol 1, unknown", b"PROXY UNKNOWN\r\nGET / HTTP/1.1\r\n\r\n", "GET / 1.1", "", &[]),
        ("a method called PROXY", b"PROXY /x HTTP/1.1\r\n\r\n", "PROXY /x 1.1", "", &[]),
        (
            "PROXY protocol 2",
            b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0cabcdefghijklGET / HTTP/1.1\r\n\r\n",
            "GET / 1.1",
            "",
            &[],
        ),
    ] {
        head(name, wire, line, fields, anomalies);
    }
    // More fields than are read without allocation: still no oddity to report, though another reader takes over.
    let (log, ..) = play(&[c(many.as_bytes())], false, &Limits::default(), || usize::MAX);
    assert_eq!(log.seen[0][0].1, Seen::Head("GET / 1.1".into(), shown));
    assert_eq!(log.seen[0].len(), 2, "a head with many fields is not odd");
}

#[test]
fn other_protocols_are_told_by_their_first_bytes() {
    let events = vec![c(b"SSH-2.0-x\r\n")];
    for cut in [usize::MAX, 1] {
        let got = outcome(false, &Limits::default(), &events, cut);
        assert_eq!((got.interest, got.stats.uninspected.ssh), (Interest::Bypass("ssh"), 11), "cut {cut}");
        assert_eq!((got.client.as_str(), got.server.as_str()), ("", ""));
    }
}

#[test]
fn an_unknown_protocol_is_left_after_its_budget() {
    let limits = Limits::default();
    let ping: Vec<_> = (0..200).map(|i| if i % 2 == 0 { c(b"\x01\x02ping") } else { s(b"\x01\x02pong") }).collect();
    let got = outcome(false, &limits, &ping, usize::MAX);
    assert_eq!(got.interest, Interest::Bypass("unknown"));
    assert_eq!(got.stats.uninspected.unknown, 1200);
    // Lines that could become HTTP until they end use the budget up as well.
    let halves: Vec<_> = (0..40).flat_map(|_| [c(b"hello wo"), c(b"rld\n")]).collect();
    let got = outcome(false, &limits, &halves, usize::MAX);
    assert_eq!((got.interest, got.stats.uninspected.unknown), (Interest::Bypass("unknown"), 480));
    let bulk = vec![0xee; 100_000];
    let got = outcome(false, &limits, &[s(&bulk), s(&bulk)], usize::MAX);
    assert_eq!((got.interest, got.stats.uninspected.unknown), (Interest::Bypass("unknown"), 200_000));
    // Midstream, the beginning of a piece is worth a look for ever.
    let got = outcome(true, &limits, &ping, usize::MAX);
    assert_eq!(got.interest, Interest::More);
}

#[test]
fn http_is_found_behind_an_unknown_preamble() {
    // SOCKS5 (RFC 1928): greeting, choice, request, answer, then whatever the client wants.
    let got = check(
        "SOCKS5",
        &[
            c(b"\x05\x01\0"),
            s(b"\x05\0"),
            c(b"\x05\x01\0\x03\x01a\0\x50"),
            s(b"\x05\0\0\x01\0\0\0\0\0\0"),
            c(b"GET / HTTP/1.1\r\n\r\n"),
            s(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"),
        ],
        "0 GET / 1.1; 0 end",
        "0 200 1.1; 0 \"x\"; 0 end",
    );
    assert_eq!(got.stats.resynchronisations, 2);
    let tls = record(22, &Hello::client("mail.example").client_message());
    let got = outcome(
        false,
        &Limits::default(),
        &[s(b"220 hi\r\n"), c(b"STARTTLS\r\n"), s(b"220 go\r\n"), c(&tls)],
        usize::MAX,
    );
    assert_eq!((got.stats.tls.client_hellos, got.stats.uninspected.unknown), (1, 26));
}

#[test]
fn content_shows_who_the_client_is() {
    for midstream in [false, true] {
        let events = [
            Event::Bytes(ToClient, &b"GET / HTTP/1.1\r\n\r\n"[..]),
            Event::Bytes(ToServer, b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"),
        ];
        for events in [&events[..], &events[1..], &events[..1]] {
            for cut in [usize::MAX, 1] {
                assert!(outcome(midstream, &Limits::default(), events, cut).flipped);
            }
        }
        let got = outcome(midstream, &Limits::default(), &events, 2);
        assert_eq!((got.client.as_str(), got.server.as_str()), ("0 GET / 1.1; 0 end", "0 200 1.1; 0 \"x\"; 0 end"));
    }
    let got = check("as net says", &[c(b"GET / HTTP/1.1\r\n\r\n")], "0 GET / 1.1; 0 end", "0 cut");
    assert!(!got.flipped);
}
