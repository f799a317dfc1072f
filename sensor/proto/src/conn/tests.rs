//! What takes over from HTTP/1, and that every byte reaches it however the flow is cut.

use super::{Conn, Limits, Stats};
use crate::{Anomaly, ExchangeId, Interest, Part, PartSink, Shown};
use net::Direction::{self, ToClient, ToServer};
use proptest::prelude::*;
use testkit::http2::{Encoder, Frames};
use testkit::tls::{Hello, certificate, certificates, handshake, record, records};

/// Everything told, a word each.
#[derive(Debug, Default, PartialEq, Eq)]
struct Log(Vec<String>);

impl PartSink for Log {
    fn part(&mut self, id: ExchangeId, dir: Direction, part: Part<'_>) {
        let side = if dir == ToServer { "c" } else { "s" };
        match part {
            Part::Request(head) => {
                let via = head.via_connect.map(|via| format!(" via {via}")).unwrap_or_default();
                self.0.push(format!("{} {} {}{via}", id.0, head.method, head.target));
            }
            Part::Response(head) => self.0.push(format!("{} {}", id.0, head.status)),
            Part::End(how) => self.0.push(format!("{}{side} {how:?}", id.0)),
            Part::Body(_) | Part::Gap(_) | Part::MessageEnd => {}
        }
    }

    fn anomaly(&mut self, _: Option<ExchangeId>, _: Direction, what: Anomaly) {
        self.0.push(what.reason().to_owned());
    }

    fn name_server(&mut self, message: &[u8]) {
        self.0.push(format!("dns({} bytes)", message.len()));
    }

    fn shown(&mut self, via: Option<&str>, what: Shown<'_>) -> bool {
        let via = via.map(|via| format!(" via {via}")).unwrap_or_default();
        self.0.push(match what {
            Shown::ClientHello(hello) => {
                let name = hello.sni.as_ref().map_or("-", |sni| sni.text());
                let more = format!("hello({name}){via}");
                self.0.push(more);
                return name != "boring.example";
            }
            Shown::ServerHello(hello) => format!("server({})", hello.version.name()),
            Shown::Certificate(leaf) => format!("certificate({})", leaf.names().collect::<Vec<_>>().join(",")),
            Shown::Protocol(name) => format!("protocol({})", name.escape_ascii()),
            Shown::Opened(first) => format!("opened({})", first.0),
            Shown::Over => "over".to_owned(),
        });
        true
    }
}

/// Plays turns in pieces of at most `cut()` bytes.
fn play(turns: &[(Direction, Vec<u8>)], mut cut: impl FnMut() -> usize) -> (Log, Stats, Interest, bool) {
    let (mut log, mut stats, mut conn) = (Log::default(), Stats::default(), Conn::new(false));
    let (limits, mut interest) = (Limits::default(), Interest::More);
    for (dir, turn) in turns {
        let mut rest = turn.as_slice();
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(cut().clamp(1, rest.len()));
            interest = conn.bytes(&limits, &mut stats, *dir, piece, &mut log);
            rest = after;
        }
    }
    conn.close(&limits, &mut stats, &mut log);
    (log, stats, interest, conn.flipped())
}

#[track_caller]
fn check(name: &str, turns: &[(Direction, Vec<u8>)], want: &str) -> (Stats, Interest, bool) {
    let (log, stats, interest, flipped) = play(turns, || usize::MAX);
    assert_eq!(log.0.join("; "), want, "{name}");
    for size in [1, 2, 7, 100] {
        let (cut, _, again, _) = play(turns, || size);
        assert_eq!((cut.0.join("; ").as_str(), again), (want, interest), "{name}, in pieces of {size}");
    }
    (stats, interest, flipped)
}

fn hello(name: &str) -> Vec<u8> {
    record(22, &Hello::client(name).client_message())
}

fn opaque() -> Vec<u8> {
    [record(20, &[1]), record(23, &[0xee; 53])].concat()
}

fn server13() -> Vec<u8> {
    [record(22, &Hello::server13().server_message()), opaque()].concat()
}

const CONNECT: &[u8] = b"CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n";
const GRANT: &[u8] = b"HTTP/1.1 200 Connection established\r\n\r\n";
const TUNNEL: &str = "0 CONNECT a.example:443; 0c Complete; 0 200; 0s Complete";

#[test]
fn a_handshake_is_told_wherever_it_begins() {
    let told = "hello(mcp.example); server(1.3); over";
    let inside = format!("{TUNNEL}; hello(mcp.example) via a.example:443; server(1.3); over");
    let (mcp, answer) = (hello("mcp.example"), server13());
    let chain = certificates(&[certificate(None, &["mcp.example"])]);
    let flight = [Hello::server12(b"h2").server_message(), chain, handshake(14, &[])].concat();
    let server12 = [record(22, &flight), opaque()].concat();
    for (name, turns, want) in [
        ("at the front", vec![(ToServer, mcp.clone()), (ToClient, answer.clone()), (ToServer, opaque())], told),
        (
            "seen from the other side",
            vec![(ToClient, mcp.clone()), (ToServer, answer.clone()), (ToClient, opaque())],
            told,
        ),
        (
            "behind a preamble",
            vec![
                (ToServer, [&b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n"[..], &mcp].concat()),
                (ToClient, answer.clone()),
                (ToServer, opaque()),
            ],
            told,
        ),
        (
            "over many records",
            vec![
                (ToServer, records(&Hello::client("mcp.example").client_message(), 5)),
                (ToClient, answer.clone()),
                (ToServer, opaque()),
            ],
            told,
        ),
        (
            "of TLS 1.2",
            vec![(ToServer, mcp.clone()), (ToClient, server12), (ToServer, opaque())],
            "hello(mcp.example); server(1.2); certificate(mcp.example); over",
        ),
        ("one side", vec![(ToServer, [mcp.clone(), opaque()].concat())], "hello(mcp.example); over"),
        ("the other side", vec![(ToClient, answer.clone())], "server(1.3); over"),
        (
            "in a tunnel",
            vec![
                (ToServer, CONNECT.into()),
                (ToClient, GRANT.into()),
                (ToServer, mcp.clone()),
                (ToClient, answer.clone()),
            ],
            &inside,
        ),
        (
            "in a tunnel, before the answer",
            vec![(ToServer, [CONNECT, &mcp].concat()), (ToClient, [GRANT, &answer].concat())],
            &inside,
        ),
    ] {
        check(name, &turns, want);
    }
}

#[test]
fn what_nobody_wants_is_bypassed_behind_its_hello_and_what_is_told_behind_the_handshake() {
    let turns = [(ToServer, hello("boring.example")), (ToClient, server13()), (ToServer, opaque())];
    let (stats, interest, _) = check("boring", &turns, "hello(boring.example); over");
    assert_eq!(interest, Interest::Bypass("tls"));
    assert_eq!(stats.tls.server_hellos, 0);
    assert_eq!(stats.uninspected.tls, (server13().len() + opaque().len()) as u64);
    let turns = [(ToServer, hello("mcp.example")), (ToClient, server13())];
    let (_, interest, flipped) = check("under way", &turns, "hello(mcp.example); server(1.3); over");
    assert_eq!((interest, flipped), (Interest::More, false));
    let turns = [(ToClient, hello("mcp.example")), (ToServer, server13()), (ToClient, opaque())];
    let (stats, interest, flipped) = check("done", &turns, "hello(mcp.example); server(1.3); over");
    assert_eq!((interest, flipped), (Interest::Bypass("tls"), true));
    // The record headers that show where the ciphertext begins are looked at.
    assert!(stats.uninspected.tls + 64 > opaque().len() as u64, "{:?}", stats.uninspected);
}

#[test]
fn http2_takes_over_wherever_it_begins() {
    let (mut to, mut back) = (Encoder::default(), Encoder::default());
    let ask = to.request("POST", "/mcp", &[]);
    let client = Frames::client().settings(&[]).headers(1, &ask, false).data(1, b"{}", true).bytes();
    let answer = back.response("200", &[]);
    let server = Frames::default().settings(&[]).headers(1, &answer, false).data(1, b"{}", true).bytes();
    let rest = "POST /mcp; 0c Complete; 0 200; 0s Complete";
    for (name, turns, want) in [
        ("at the front", vec![(ToServer, client.clone()), (ToClient, server.clone())], format!("0 {rest}")),
        ("seen from the other side", vec![(ToClient, client.clone()), (ToServer, server.clone())], format!("0 {rest}")),
        (
            "in a tunnel, before the answer",
            vec![(ToServer, [CONNECT, &client].concat()), (ToClient, [GRANT, &server].concat())],
            format!("{TUNNEL}; 1 POST /mcp via a.example:443; 1c Complete; 1 200; 1s Complete"),
        ),
    ] {
        let (stats, interest, _) = check(name, &turns, &want);
        assert_eq!((interest, stats.http2.requests, stats.uninspected.http2), (Interest::More, 1, 0), "{name}");
    }
}

#[test]
fn an_upgrade_to_http2_is_answered_by_its_first_stream() {
    let mut back = Encoder::default();
    let ask = b"GET /sse HTTP/1.1\r\nHost: a.example\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n".to_vec();
    let taken = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n".to_vec();
    let answer = back.response("200", &[]);
    let server = Frames::default().settings(&[]).headers(1, &answer, false).data(1, b"{}", true).bytes();
    let client = Frames::client().settings(&[]).bytes();
    let turns = [(ToServer, ask), (ToClient, [taken, server].concat()), (ToServer, client)];
    check("h2c", &turns, "0 GET /sse; 0c Complete; 0 200; 0s Complete");
}

#[test]
fn messages_of_name_servers_are_told_on_any_port() {
    let message = |flags: u8, answers: u8| {
        let head = [0x12, 0x34, flags, 0, 0, 1, 0, answers, 0, 0, 0, 0];
        let body = [&head[..], b"\x03mcp\x07example\0\0\x01\0\x01"].concat();
        [&u16::try_from(body.len()).unwrap().to_be_bytes()[..], &body].concat()
    };
    let (ask, answer) = (message(1, 0), message(0x81, 0));
    let turns = [(ToServer, ask.repeat(2)), (ToClient, answer.clone())];
    let (_, interest, flipped) = check("both sides", &turns, "dns(29 bytes); dns(29 bytes); dns(29 bytes)");
    assert_eq!((interest, flipped), (Interest::More, false));
    let (_, _, flipped) = check("the answer alone", &[(ToServer, answer)], "dns(29 bytes)");
    assert!(flipped);
}

#[test]
fn what_waits_of_a_hello_or_a_message_is_weighed() {
    let (limits, mut stats, mut log) = (Limits::default(), Stats::default(), Log::default());
    let beginning = [&[1, 0, 0xea, 0x60][..], &vec![3; 58_000]].concat();
    let mut conn = Conn::new(false);
    conn.bytes(&limits, &mut stats, ToServer, &records(&beginning, 16_000), &mut log);
    assert!((58_000..140_000).contains(&conn.held_bytes()), "{}", conn.held_bytes());
    conn.close(&limits, &mut stats, &mut log);
    let ask = b"\x00\x1d\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x03mcp\x07example\0\0\x01\0\x01";
    let mut conn = Conn::new(false);
    conn.bytes(&limits, &mut stats, ToServer, ask, &mut log);
    let before = conn.held_bytes();
    let half = [&[0x0f, 0xa0][..], &ask[2..14], &[0; 3000]].concat();
    conn.bytes(&limits, &mut stats, ToServer, &half, &mut log);
    assert!(conn.held_bytes() >= before + 3000, "{before} {}", conn.held_bytes());
}

proptest! {
    #[test]
    fn cutting_the_flow_and_its_records_elsewhere_changes_nothing(
        size in 1_usize..600,
        tunnel in any::<bool>(),
        pieces in prop::collection::vec(1_usize..200, 1..20),
    ) {
        let message = Hello::client("mcp.example").client_message();
        let tls = [records(&message, size), opaque()].concat();
        let mut turns = vec![(ToServer, tls), (ToClient, server13())];
        if tunnel {
            turns.splice(0..0, [(ToServer, CONNECT.to_vec()), (ToClient, GRANT.to_vec())]);
        }
        let whole = play(&turns, || usize::MAX);
        let mut sizes = pieces.iter().cycle();
        let cut = play(&turns, || *sizes.next().unwrap());
        prop_assert_eq!(&whole.0, &cut.0);
        let hello = whole.0.0.iter().filter(|word| word.starts_with("hello(mcp.example)")).count();
        prop_assert_eq!(hello, 1);
    }
}
