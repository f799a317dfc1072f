//! Tricks of the handshake of TLS (RFC 8446, RFC 5246): how a hello travels, and whom it names.

use super::{HOST, Scene, Trick, Truth, clean, contact, either, packets};
use crate::Direction::{ToClient, ToServer};
use crate::tls::{
    Hello, certificate, certificates, handshake, key_shares, list8, list16, protocols, record, records, server_names,
};
use crate::{Turn, Wire, http};

pub(super) fn tricks() -> Vec<Trick> {
    [travels(), lengths(), made_up(), nameless(), names(), tunnels(), resumed(), harmless()].concat()
}

/// A server that the list knows for MCP and little else.
pub(super) const KNOWN: &str = "mcp.linear.app";
/// Number of the extension for encrypted hellos.
const ECH: u16 = 0xfe0d;
/// Number of the padding extension.
const PADDING: u16 = 21;

/// Ciphertext.
fn opaque(len: usize) -> Vec<u8> {
    [record(20, &[1]), record(23, &vec![0xee; len])].concat()
}

/// What a server of TLS 1.3 sends.
fn server13() -> Vec<u8> {
    [record(22, &Hello::server13().server_message()), opaque(900)].concat()
}

/// What a server of TLS 1.2 sends that has a certificate for these names.
fn server12(names: &[&str]) -> Vec<u8> {
    let chain = certificates(&[certificate(None, names)]);
    let flight = [Hello::server12(b"h2").server_message(), chain, handshake(14, &[])].concat();
    [record(22, &flight), opaque(100)].concat()
}

/// These bytes of a client, and a server of TLS 1.3 that goes along.
fn shaken(client: Vec<u8>) -> Vec<Turn> {
    vec![(ToServer, client), (ToClient, server13()), (ToServer, opaque(300)), (ToClient, opaque(500))]
}

/// A hello in one record.
fn hello(hello: &Hello) -> Vec<Turn> {
    shaken(records(&hello.client_message(), 16_384))
}

/// A hello that names the server in these bytes.
fn named(name: &[u8]) -> Vec<Turn> {
    hello(&Hello::client("x").with(0, server_names(&[(0, name)])))
}

fn known() -> Hello {
    Hello::client(KNOWN)
}

fn travels() -> Vec<Trick> {
    const RECORDS: &str = "a message may be spread over records (RFC 8446 5.1)";
    const SEGMENTS: &str = "TCP is a stream";
    vec![
        contact("tls-records-of-one-byte", RECORDS, || shaken(records(&known().client_message(), 1))),
        contact("tls-records-of-a-hundred-bytes", RECORDS, || shaken(records(&known().client_message(), 100))),
        either("tls-empty-records-between", "no peer may send them (RFC 8446 5.1); TLS 1.2 took them", || {
            let pieces: Vec<u8> =
                known().client_message().chunks(60).flat_map(|p| [record(22, &[]), record(22, p)].concat()).collect();
            shaken(pieces)
        }),
        contact("tls-old-version-in-the-record", "receivers ignore it (RFC 8446 5.1)", || {
            let mut bytes = records(&known().client_message(), 16_384);
            bytes[2] = 1;
            shaken(bytes)
        }),
        packets("tls-hello-byte-by-byte", SEGMENTS, Truth::Contact, |s| {
            s.play(Wire::cut(1), &hello(&known()));
        }),
        packets("tls-hello-out-of-order", SEGMENTS, Truth::Contact, |s| {
            let flow = s.flow(Wire::default());
            s.capture.send_swapped(flow, ToServer, &records(&known().client_message(), 50), 40, 0);
            s.capture.send(flow, ToClient, &server13());
            s.capture.send(flow, ToServer, &opaque(300));
            s.capture.fin(flow);
        }),
        packets(
            "tls-hello-sent-again-with-another-name",
            "which one counts is the receiver's affair",
            Truth::FoundOrNotice,
            |s| {
                // A name of the same length, sent behind a hole that is filled last.
                let (whole, other) = (known().client_message(), Hello::client("www.linear.app").client_message());
                let (whole, other) = (record(22, &whole), record(22, &other));
                let flow = s.flow(Wire::default());
                s.part(flow, &other, 60..other.len());
                s.part(flow, &whole, 60..whole.len());
                s.part(flow, &whole, 0..60);
                s.capture.skip(flow, ToServer, whole.len());
                s.capture.send(flow, ToClient, &server13());
                s.capture.send(flow, ToServer, &opaque(300));
                s.capture.fin(flow);
            },
        ),
        packets("tls-from-the-client-alone", "the mirror sees one direction", Truth::Contact, |s| {
            s.play(Wire { only: Some(ToServer), ..s.wire() }, &hello(&known()));
        }),
    ]
}

fn lengths() -> Vec<Trick> {
    const LONG: &str = "a hello may have 128 KiB and more (RFC 8446 4.1.2); servers differ in what they take";
    fn long(len: usize) -> Vec<Turn> {
        hello(&known().with(PADDING, vec![0; len]))
    }
    vec![
        contact("tls-post-quantum-shares", "a hello of 1.7 KB is usual", || {
            hello(&known().with(51, key_shares(&[(0x11ec, 1216), (0x001d, 32)])))
        }),
        contact("tls-hello-over-16-kib", "more than a record holds (RFC 8446 5.1)", || long(20_000)),
        contact("tls-hello-of-60-kib", LONG, || long(61_000)),
        contact("tls-hello-as-long-as-they-go", LONG, || {
            let ciphers = (0..0x7fff).map(|n| 0x2000 + n % 0x1000).collect();
            hello(&Hello { ciphers, ..known() }.with(PADDING, vec![0; 65_000]))
        }),
        contact("tls-name-behind-other-extensions", "they come in any order (RFC 8446 4.2)", || {
            hello(&known().without(0).with(PADDING, vec![0; 3000]).with(0, server_names(&[(0, KNOWN.as_bytes())])))
        }),
    ]
}

fn made_up() -> Vec<Trick> {
    fn greased(name: &str) -> Hello {
        let mut hello = Hello::client(name);
        hello.ciphers.insert(0, 0x4a4a);
        hello
            .with(10, list16(&[0x2a2a, 0x001d]))
            .with(16, protocols(&[b"\x5a\x5a", b"h2"]))
            .with(43, list8(&[0x9a9a, 0x0304, 0x0303]))
            .with(0x8a8a, Vec::new())
            .with(0xdada, vec![0])
    }
    const HIDES: &str = "the name outside stands for another (RFC 9849 6)";
    vec![
        contact("tls-grease", "what is made up means nothing (RFC 8701)", || hello(&greased(KNOWN))),
        contact("tls-ech-beside-a-known-name", "a client that has no key makes it up (RFC 9849 6.2)", || {
            hello(&greased(KNOWN).with(ECH, vec![0; 180]))
        }),
        clean("tls-ech-made-up", "most clients send it to every server (RFC 9849 6.2)", || {
            hello(&greased("www.corp.example").with(ECH, vec![0; 180]))
        }),
        packets("tls-ech-with-a-published-key", HIDES, Truth::Contact, |s| {
            resolved(s, 65, b"\0\x01\0\0\x05\0\x04\xfe\x0d\0\0");
            resolved(s, 1, &[10, 66, 0, 2]);
            s.play(s.wire(), &hello(&greased("public.example").with(ECH, vec![0; 180])));
        }),
    ]
}

/// A name server says this of the known name to the client's host.
fn resolved(s: &mut Scene, kind: u8, data: &[u8]) {
    let mut message = super::dns::question(0x8180, KNOWN, u16::from(kind));
    message[7] = 1;
    message.extend_from_slice(&[0xc0, 0x0c, 0, kind, 0, 1, 0, 0, 0, 60, 0, data.len() as u8]);
    message.extend_from_slice(data);
    s.capture.datagram("10.66.0.53:53", "10.66.0.1:40053", &message);
}

fn nameless() -> Vec<Trick> {
    const NOBODY: &str = "no name, no known address: any server there is";
    const ASKED: &str = "a name server gave the address for a known name shortly before";
    fn without() -> Vec<Turn> {
        hello(&known().without(0))
    }
    vec![
        clean("tls-no-name", NOBODY, without),
        packets("tls-no-name-at-a-known-address", ASKED, Truth::Contact, |s| {
            resolved(s, 1, &[10, 66, 0, 2]);
            s.play(s.wire(), &without());
        }),
        contact("tls-no-name-but-a-certificate", "the server says who it is (RFC 5246 7.4.2)", || {
            vec![(ToServer, records(&known().without(0).client_message(), 16_384)), (ToClient, server12(&[KNOWN]))]
        }),
        clean("tls-address-for-a-name", NOBODY, || named(b"10.66.0.2")),
        packets("tls-address-for-a-name-at-a-known-address", ASKED, Truth::Contact, |s| {
            resolved(s, 1, &[10, 66, 0, 2]);
            s.play(s.wire(), &named(b"10.66.0.2"));
        }),
        packets("tls-empty-name-at-a-known-address", ASKED, Truth::Contact, |s| {
            resolved(s, 1, &[10, 66, 0, 2]);
            s.play(s.wire(), &named(b""));
        }),
    ]
}

fn names() -> Vec<Trick> {
    const ODD: &str = "no name of a host (RFC 6066 3); a server refuses it or takes what it makes of it";
    vec![
        contact("tls-name-in-upper-case", "names have no case (RFC 4343)", || named(b"MCP.Linear.App")),
        contact("tls-name-with-a-dot", "the same name (RFC 1034 3.1); servers take it", || named(b"mcp.linear.app.")),
        either("tls-name-with-a-nul-behind", ODD, || named(b"mcp.linear.app\0")),
        either("tls-name-with-a-nul-and-more", ODD, || named(b"mcp.linear.app\0.corp.example")),
        either("tls-name-with-a-line-end", ODD, || named(b"mcp.linear.app\r\n")),
        either("tls-name-with-a-port", ODD, || named(b"mcp.linear.app:443")),
        either("tls-name-between-others", "one name of a kind (RFC 6066 3); servers take the first or refuse", || {
            hello(&Hello::client("x").with(0, server_names(&[(0, KNOWN.as_bytes()), (0, b"www.corp.example")])))
        }),
        either("tls-name-of-another-kind-first", "kinds nobody knows are passed over (RFC 6066 3)", || {
            hello(&Hello::client("x").with(0, server_names(&[(7, b"www.corp.example"), (0, KNOWN.as_bytes())])))
        }),
        either("tls-name-twice", "one extension of a kind (RFC 8446 4.2); a server refuses it", || {
            hello(&known().and(0, server_names(&[(0, b"www.corp.example")])))
        }),
        either("tls-name-in-a-list-of-the-wrong-length", "a server refuses it (RFC 8446 6.2)", || {
            let mut list = server_names(&[(0, KNOWN.as_bytes())]);
            list[1] += 9;
            hello(&Hello::client("x").with(0, list))
        }),
    ]
}

fn tunnels() -> Vec<Trick> {
    const DIFFER: &str = "which name counts is the proxy's affair, and then the server's";
    fn through(outside: &str, inside: &str) -> Vec<Turn> {
        let ask = format!("CONNECT {outside}:443 HTTP/1.1\nHost: {outside}:443\n\n");
        let granted = (ToClient, b"HTTP/1.1 200 OK\r\n\r\n".to_vec());
        [vec![(ToServer, http::request(&ask)), granted], hello(&Hello::client(inside))].concat()
    }
    vec![
        contact("tls-through-a-proxy", "a tunnel carries anything (RFC 9110 9.3.6)", || through(KNOWN, KNOWN)),
        contact("tls-another-name-inside-a-tunnel", DIFFER, || through("www.corp.example", KNOWN)),
        contact("tls-another-name-outside-of-a-tunnel", DIFFER, || through(KNOWN, "www.corp.example")),
        contact("tls-certificate-of-another-name", "some clients do not look (RFC 6125 6)", || {
            vec![(ToServer, records(&known().client_message(), 16_384)), (ToClient, server12(&["www.corp.example"]))]
        }),
    ]
}

fn resumed() -> Vec<Trick> {
    /// An offer to go on with a session.
    fn offer() -> Vec<u8> {
        let identity = [&[0, 200][..], &[0xab; 200], &[0; 4]].concat();
        let binder = [&[32][..], &[0xcd; 32]].concat();
        [&(identity.len() as u16).to_be_bytes()[..], &identity, &[0, 33], &binder].concat()
    }
    vec![
        contact("tls13-resumed", "the name is sent again (RFC 8446 4.6.1)", || {
            let client = records(&known().with(45, vec![1, 1]).with(41, offer()).client_message(), 16_384);
            let server = record(22, &Hello::server13().with(41, vec![0, 0]).server_message());
            vec![(ToServer, client), (ToClient, [server, opaque(200)].concat()), (ToServer, opaque(300))]
        }),
        contact("tls12-resumed", "no certificate is sent again (RFC 5246 7.3)", || {
            let client = known().without(43).without(51).with(35, vec![0x77; 180]);
            let server = Hello { session_id: client.session_id.clone(), ..Hello::server12(b"h2") };
            let server = [record(22, &server.server_message()), opaque(40)].concat();
            vec![(ToServer, record(22, &client.client_message())), (ToClient, server), (ToServer, opaque(300))]
        }),
        contact("tls-early-data", "data may follow the hello at once (RFC 8446 2.3)", || {
            let client = known().with(42, Vec::new()).with(45, vec![1, 1]).with(41, offer());
            let early = record(23, &[0xee; 700]);
            shaken([record(22, &client.client_message()), record(20, &[1]), early].concat())
        }),
        contact("tls-hello-again", "a server may ask for another (RFC 8446 4.1.4)", || {
            let client = || record(22, &known().client_message());
            let retry = record(22, &Hello::retry().server_message());
            let mut turns = vec![(ToServer, client()), (ToClient, [retry, record(20, &[1])].concat())];
            turns.extend(shaken([record(20, &[1]), client()].concat()));
            turns
        }),
    ]
}

fn harmless() -> Vec<Trick> {
    vec![
        clean("tls-known-name-elsewhere-in-a-hello", "only one extension names the server (RFC 6066 3)", || {
            let mut hello = Hello::client("www.corp.example").with(PADDING, KNOWN.as_bytes().to_vec());
            hello.session_id = [KNOWN.as_bytes(), &[b'.'; 18]].concat();
            self::hello(&hello)
        }),
        clean("tls-known-name-below-another", "a name is read from its end", || named(b"mcp-linear-app.corp.example")),
        clean("tls-hello-in-a-body", "a body is no handshake", || {
            let body = record(22, &known().client_message());
            let head = format!("POST /upload HTTP/1.1\nHost: {HOST}\nContent-Type: application/octet-stream");
            vec![(ToServer, http::message(&head, &body)), (ToClient, super::taken())]
        }),
    ]
}
