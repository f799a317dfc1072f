//! Tricks of the first packets of QUIC (RFC 9000, RFC 9001, RFC 9369).

use super::tls::KNOWN;
use super::{Scene, Trick, Truth, packets};
use crate::quic::{Initial, Side, V2, ack, crypto, negotiation, protected, retry};
use crate::tls::{Hello, server_names};
use Truth::{Clean, Contact};

pub(super) fn tricks() -> Vec<Trick> {
    [datagrams(), frames(), versions(), connections()].concat()
}

/// The connection id that a client makes up for the server.
const ID: &[u8] = b"8 bytes!";
/// Longest part of a hello in one packet.
const PART: usize = 900;

fn message(name: &str) -> Vec<u8> {
    Hello::client(name).client_message()
}

fn sealed(number: u64, frames: Vec<u8>) -> Vec<u8> {
    Initial::client(ID, number, frames).seal(Side::Client, ID)
}

/// A hello of this name in one packet, padded as clients must.
fn first(name: &str) -> Vec<u8> {
    let mut frames = crypto(0, &message(name));
    frames.resize(1100, 0);
    sealed(0, frames)
}

/// The hello of the server.
fn answer() -> Vec<u8> {
    let frames = [ack(), crypto(0, &Hello::server13().server_message())].concat();
    [Initial::server(0, frames).seal(Side::Server, ID), protected(2, b"client", b"server-id", 600)].concat()
}

fn up(s: &mut Scene, datagram: &[u8]) {
    s.capture.datagram(Scene::CLIENT, Scene::SERVER, datagram);
}

fn down(s: &mut Scene, datagram: &[u8]) {
    s.capture.datagram(Scene::SERVER, Scene::CLIENT, datagram);
}

/// These datagrams of the client, and the answer.
fn sent(s: &mut Scene, datagrams: &[Vec<u8>]) {
    for datagram in datagrams {
        up(s, datagram);
    }
    down(s, &answer());
    up(s, &[0x41; 200]);
}

/// A hello of `len` bytes more than usual, in packets.
fn long(len: usize) -> Vec<Vec<u8>> {
    let message = Hello::client(KNOWN).with(21, vec![0; len]).client_message();
    let parts = message.chunks(PART).enumerate();
    parts.map(|(n, part)| sealed(n as u64, crypto((n * PART) as u64, part))).collect()
}

fn datagrams() -> Vec<Trick> {
    const TOGETHER: &str = "packets may share a datagram (RFC 9000 12.2)";
    vec![
        packets("quic-on-another-port", "no port belongs to QUIC (RFC 9000 5)", Contact, |s| sent(s, &[first(KNOWN)])),
        packets("quic-with-early-data", TOGETHER, Contact, |s| {
            sent(s, &[[first(KNOWN), protected(1, ID, b"client", 80)].concat()]);
        }),
        packets("quic-behind-early-data", TOGETHER, Contact, |s| {
            sent(s, &[[protected(1, ID, b"client", 80), first(KNOWN)].concat()]);
        }),
        packets("quic-early-data-in-front", "datagrams overtake each other", Contact, |s| {
            sent(s, &[protected(1, ID, b"client", 900), first(KNOWN)]);
        }),
        packets("quic-two-initials-in-a-datagram", TOGETHER, Contact, |s| {
            let message = message(KNOWN);
            let (front, back) = message.split_at(80);
            sent(s, &[[sealed(0, crypto(0, front)), sealed(1, crypto(80, back))].concat()]);
        }),
        packets(
            "quic-padded-behind-the-packet",
            "what follows the packet is thrown away (RFC 9000 12.2)",
            Contact,
            |s| {
                sent(s, &[[first(KNOWN), vec![0; 90]].concat()]);
            },
        ),
        packets("quic-hello-over-16-kib", "a hello may take many packets (RFC 9001 4.3)", Contact, |s| {
            sent(s, &long(20_000));
        }),
        packets("quic-datagrams-in-reverse", "datagrams overtake each other", Contact, |s| {
            let mut all = long(5000);
            all.reverse();
            sent(s, &all);
        }),
        packets("quic-damaged-packet-first", "what does not open is thrown away (RFC 9001 5.5)", Contact, |s| {
            let mut damaged = first("www.corp.example");
            let last = damaged.len() - 1;
            damaged[last] ^= 1;
            sent(s, &[damaged, first(KNOWN)]);
        }),
    ]
}

fn frames() -> Vec<Trick> {
    const PIECES: &str = "offsets say where a piece belongs (RFC 9000 19.6)";
    /// The hello in pieces of `size` bytes, in the order that `order` gives, with `between` after each.
    fn pieces(size: usize, order: impl Fn(&mut Vec<Vec<u8>>), between: &[u8]) -> Vec<u8> {
        let message = message(KNOWN);
        let mut all: Vec<_> =
            message.chunks(size).enumerate().map(|(n, piece)| crypto((n * size) as u64, piece)).collect();
        order(&mut all);
        all.iter().flat_map(|piece| [piece, between].concat()).collect()
    }
    vec![
        packets("quic-padding-and-pings-between", "they carry nothing (RFC 9000 19.1, 19.2)", Contact, |s| {
            sent(s, &[sealed(0, pieces(40, |_| {}, &[0, 0, 0, 1, 0]))]);
        }),
        packets("quic-pieces-in-reverse", PIECES, Contact, |s| {
            sent(s, &[sealed(0, pieces(25, |all| all.reverse(), &[]))])
        }),
        packets("quic-pieces-of-one-byte", PIECES, Contact, |s| {
            sent(s, &[sealed(0, pieces(1, |all| all.rotate_left(100), &[]))]);
        }),
        packets("quic-pieces-twice-and-overlapping", PIECES, Contact, |s| {
            let message = message(KNOWN);
            let frames =
                [crypto(30, &message[30..90]), crypto(10, &message[10..60]), crypto(50, &message[50..])].concat();
            sent(s, &[sealed(0, frames.clone()), sealed(1, frames), sealed(2, crypto(0, &message[..70]))]);
        }),
        packets("quic-with-a-long-number", "a number has one to four bytes (RFC 9000 17.1)", Contact, |s| {
            let initial = Initial { number_len: 4, ..Initial::client(ID, 70_000, crypto(0, &message(KNOWN))) };
            sent(s, &[initial.seal(Side::Client, ID)]);
        }),
    ]
}

fn versions() -> Vec<Trick> {
    vec![
        packets("quic-version-2", "other salts and labels (RFC 9369 3.3)", Contact, |s| {
            let initial = Initial { version: V2, ..Initial::client(ID, 0, crypto(0, &message(KNOWN))) };
            sent(s, &[initial.seal(Side::Client, ID)]);
        }),
        packets(
            "quic-version-settled-first",
            "a client begins again in a version of the server (RFC 9000 6)",
            Contact,
            |s| {
                let mut unknown = first(KNOWN);
                unknown[1..5].copy_from_slice(&[0x1a, 0x2a, 0x3a, 0x4a]);
                up(s, &unknown);
                down(s, &negotiation(b"client", ID, &[0x5a6a_7a8a, 1]));
                sent(s, &[first(KNOWN)]);
            },
        ),
        packets("quic-retry", "the client begins again with another id (RFC 9000 17.2.5)", Contact, |s| {
            let part = message(KNOWN);
            up(s, &sealed(0, crypto(0, &part[..60])));
            down(s, &retry(1, ID, b"client", b"other id", b"token"));
            let again = Initial { token: b"token".to_vec(), ..Initial::client(b"other id", 1, crypto(0, &part)) };
            up(s, &again.seal(Side::Client, b"other id"));
            let hello = [ack(), crypto(0, &Hello::server13().server_message())].concat();
            down(s, &Initial::server(0, hello).seal(Side::Server, b"other id"));
        }),
    ]
}

fn connections() -> Vec<Trick> {
    const MANY: &str = "connections are told apart by their ids (RFC 9000 5.2)";
    /// The hello of another connection.
    fn second(name: &str) -> Vec<u8> {
        Initial::client(b"another!", 0, crypto(0, &message(name))).seal(Side::Client, b"another!")
    }
    vec![
        packets("quic-second-connection-on-the-same-ports", MANY, Contact, |s| {
            sent(s, &[first("www.corp.example")]);
            up(s, &second(KNOWN));
        }),
        packets("quic-second-connection-under-way", MANY, Contact, |s| {
            sent(s, &[sealed(0, crypto(0, &message("www.corp.example")[..60])), second(KNOWN)]);
        }),
        packets("quic-name-in-upper-case", "names have no case (RFC 4343)", Contact, |s| {
            sent(s, &[first("MCP.LINEAR.APP")])
        }),
        packets("quic-known-name-in-a-token", "a token means something to its server alone", Clean, |s| {
            let hello = Hello::client("www.corp.example").with(0, server_names(&[(0, b"www.corp.example")]));
            let frames = crypto(0, &hello.client_message());
            let initial = Initial { token: KNOWN.as_bytes().to_vec(), ..Initial::client(ID, 0, frames) };
            sent(s, &[initial.seal(Side::Client, ID)]);
        }),
    ]
}
