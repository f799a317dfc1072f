//! CONNECT, upgrades and WebSocket.

use super::{c, check, check_with, outcome, s};
use crate::Limits;
use crate::http1::fuzz::Event;
use net::Direction::{ToClient, ToServer};

const ASK: &[u8] = b"GET /ws HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
const ASK_DEFLATE: &[u8] =
    b"GET /ws HTTP/1.1\r\nUpgrade: WebSocket\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n";
const ACCEPT: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n";
const REFUSE: &[u8] = b"HTTP/1.1 400 No\r\nContent-Length: 0\r\n\r\n";
/// A masked text frame `Hello` (RFC 6455 §5.7).
const MASKED: &[u8] = b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
const UNMASKED: &[u8] = b"\x81\x05Hello";
/// `Hello` deflated (RFC 7692 §7.2.3.1), to the client and, with a mask of zeros, to the server.
const DEFLATED: &[u8] = b"\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00";
const MASKED_DEFLATED: &[u8] = b"\xc1\x87\0\0\0\0\xf2\x48\xcd\xc9\xc9\x07\x00";
const CLOSE: &[u8] = b"\x88\x00";
const MASKED_CLOSE: &[u8] = b"\x88\x80\0\0\0\0";
const HELLO: &str = "0 \"Hello\"; 0 message";

#[test]
fn websocket_messages_belong_to_their_handshake() {
    let asked = |rest: &str| format!("0 GET /ws 1.1; {rest}");
    let accepted = |rest: &str| format!("0 101 1.1; {rest}");
    for (name, events, client, server) in [
        (
            "plain",
            vec![c(ASK), s(ACCEPT), c(MASKED), s(UNMASKED), c(MASKED_CLOSE), s(CLOSE)],
            asked(&format!("{HELLO}; 0 end")),
            accepted(&format!("{HELLO}; 0 end")),
        ),
        (
            "messages beside the heads",
            vec![c(ASK), s(&[ACCEPT, UNMASKED, UNMASKED].concat()), c(&[MASKED, MASKED].concat())],
            asked(&format!("{HELLO}; {HELLO}; 0 cut")),
            accepted(&format!("{HELLO}; {HELLO}; 0 cut")),
        ),
        (
            "frames before the answer was seen",
            vec![c(&[ASK, MASKED].concat()), s(ACCEPT), c(MASKED), s(UNMASKED)],
            asked(&format!("{HELLO}; {HELLO}; 0 cut")),
            accepted(&format!("{HELLO}; 0 cut")),
        ),
        ("the client alone", vec![c(ASK), c(MASKED)], asked(&format!("{HELLO}; 0 cut")), "0 cut".to_owned()),
        (
            "the answer overtook the request",
            vec![s(ACCEPT), s(UNMASKED), c(ASK), c(MASKED)],
            asked(&format!("{HELLO}; 0 cut")),
            accepted(&format!("{HELLO}; 0 cut")),
        ),
        ("the server alone", vec![s(ACCEPT), s(UNMASKED)], "0 cut".to_owned(), accepted(&format!("{HELLO}; 0 cut"))),
        (
            "a gap inside a message",
            vec![c(ASK), s(ACCEPT), s(b"\x81\x05He"), Event::Gap(ToClient, 3), s(UNMASKED)],
            asked("0 cut"),
            accepted(&format!("0 \"He\"; 0 gap 3; 0 message; {HELLO}; 0 cut")),
        ),
        (
            "refused",
            vec![c(ASK), s(REFUSE), c(b"GET /2 HTTP/1.1\r\n\r\n"), s(REFUSE)],
            asked("0 end; 1 GET /2 1.1; 1 end"),
            "0 400 1.1; 0 end; 1 400 1.1; 1 end".to_owned(),
        ),
        (
            "refused, the next request was seen first",
            vec![c(ASK), c(b"GET /2 HTTP/1.1\r\n\r\n"), s(REFUSE), s(REFUSE)],
            asked("0 end; 1 GET /2 1.1; 1 end"),
            "0 400 1.1; 0 end; 1 400 1.1; 1 end".to_owned(),
        ),
        ("never answered", vec![c(ASK)], asked("0 end"), "0 cut".to_owned()),
    ] {
        check(name, &events, &client, &server);
    }
}

#[test]
fn deflate_is_taken_from_the_answer_or_guessed_from_the_offer() {
    let accept = b"HTTP/1.1 101 S\r\nUpgrade: websocket\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n";
    let (client, server) = (format!("0 GET /ws 1.1; {HELLO}; 0 cut"), format!("0 101 1.1; {HELLO}; 0 cut"));
    check("agreed", &[c(ASK_DEFLATE), s(accept), c(MASKED_DEFLATED), s(DEFLATED)], &client, &server);
    check("not yet agreed", &[c(ASK_DEFLATE), c(MASKED_DEFLATED), s(accept), s(DEFLATED)], &client, &server);
}

#[test]
fn a_websocket_whose_request_was_missed_is_read_in_both_directions() {
    check_with(
        &Limits::default(),
        true,
        "midstream",
        &[c(b"\0\0garbage"), s(ACCEPT), c(MASKED), s(UNMASKED)],
        &format!("{HELLO}; 0 cut"),
        &format!("0 101 1.1; {HELLO}; 0 cut"),
    );
}

#[test]
fn a_websocket_goes_on_after_its_place_was_lost() {
    let got = check(
        "gap over a frame header",
        &[c(ASK), s(ACCEPT), s(UNMASKED), Event::Gap(ToClient, 3), s(b"rubbish"), s(UNMASKED)],
        "0 GET /ws 1.1; 0 cut",
        &format!("0 101 1.1; {HELLO}; 0 gap 0; {HELLO}; 0 cut"),
    );
    assert_eq!(got.stats.uninspected.websocket, 7);
    // Where the place was lost inside a piece, nothing of that piece passes in silence.
    let impossible = b"\x81\x7f\xff\xff\xff\xff\xff\xff\xff\xff";
    let got = check(
        "a frame of impossible length",
        &[c(ASK), s(ACCEPT), s(&[UNMASKED, impossible, b"rubbish"].concat()), s(UNMASKED)],
        "0 GET /ws 1.1; 0 cut",
        &format!("0 101 1.1; {HELLO}; 0 !bad_websocket; 0 gap 0; {HELLO}; 0 cut"),
    );
    assert_eq!(got.stats.uninspected.websocket, 24);
    check(
        "a frame of impossible length, in the last piece",
        &[c(ASK), s(ACCEPT), s(&[impossible, UNMASKED].concat())],
        "0 GET /ws 1.1; 0 cut",
        "0 101 1.1; 0 !bad_websocket; 0 gap 0; 0 cut",
    );
}

#[test]
fn upgrades_to_other_protocols_are_looked_at_afresh() {
    let ask = b"GET / HTTP/1.1\r\nUpgrade: h2c, foo\r\n\r\n";
    check(
        "h2c not taken up",
        &[c(ask), s(REFUSE), c(ask)],
        "0 GET / 1.1; 0 end; 1 GET / 1.1; 1 end",
        "0 400 1.1; 0 end; 1 cut",
    );
    let got = check(
        "something else",
        &[
            c(ask),
            s(b"HTTP/1.1 101 S\r\nUpgrade: foo\r\n\r\n"),
            c(b"\x01\x02"),
            s(b"\x03"),
            c(b"GET /in HTTP/1.1\r\n\r\n"),
        ],
        "0 GET / 1.1; 0 end; 1 GET /in 1.1; 1 end",
        "0 101 1.1; 0 end; 1 cut",
    );
    assert_eq!(got.stats.uninspected.unknown, 3);
}

const CONNECT: &[u8] = b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n";
const GRANT: &[u8] = b"HTTP/1.1 200 Connection established\r\n\r\n";
const DENY: &[u8] = b"HTTP/1.1 407 Auth\r\nContent-Length: 2\r\n\r\nno";
const GET: &[u8] = b"GET / HTTP/1.1\r\n\r\n";
const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx";

#[test]
fn a_tunnel_is_looked_at_afresh() {
    let (tunnel, granted) = ("0 CONNECT a:443 1.1; 0 end", "0 200 1.1; 0 end");
    let inside = format!("{tunnel}; 1 GET / 1.1 via a:443; 1 end");
    let answered = format!("{granted}; 1 200 1.1; 1 \"x\"; 1 end");
    check("granted", &[c(CONNECT), s(GRANT), c(GET), s(OK)], &inside, &answered);
    check("the client did not wait", &[c(&[CONNECT, GET].concat()), s(&[GRANT, OK].concat())], &inside, &answered);
    check("the answer is not seen", &[c(CONNECT), c(GET)], &inside, "0 cut; 1 cut");
    check("nothing behind it", &[c(CONNECT), s(GRANT)], tunnel, granted);
    check(
        "denied, then granted",
        &[c(CONNECT), s(DENY), c(CONNECT), s(GRANT), c(GET)],
        "0 CONNECT a:443 1.1; 0 end; 1 CONNECT a:443 1.1; 1 end; 2 GET / 1.1 via a:443; 2 end",
        "0 407 1.1; 0 \"no\"; 0 end; 1 200 1.1; 1 end; 2 cut",
    );
    check(
        "denied, the client did not wait",
        &[c(&CONNECT.repeat(2)), s(DENY), s(GRANT)],
        "0 CONNECT a:443 1.1; 0 end; 1 CONNECT a:443 1.1; 1 end",
        "0 407 1.1; 0 \"no\"; 0 end; 1 200 1.1; 1 end",
    );
    check(
        "closed while waiting",
        &[c(&[CONNECT, GET].concat()), Event::Fin(ToServer), s(&[GRANT, OK].concat()), Event::Fin(ToClient)],
        &inside,
        &answered,
    );
    check(
        "a length in the answer means nothing",
        &[c(CONNECT), s(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"), c(GET), s(OK)],
        &inside,
        &answered,
    );
}

#[test]
fn what_waits_for_the_answer_to_connect_is_bounded() {
    let limits = Limits { held_bytes: 10, ..Limits::default() };
    let got = outcome(false, &limits, &[c(&[CONNECT, GET].concat()), s(GRANT), s(OK)], usize::MAX);
    assert_eq!(got.client, "0 CONNECT a:443 1.1; 0 end; 1 GET / 1.1 via a:443; 1 end");
    assert_eq!(got.server, "0 200 1.1; 0 end; 1 200 1.1; 1 \"x\"; 1 end");
}
