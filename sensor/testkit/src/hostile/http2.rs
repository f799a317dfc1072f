//! Tricks of HTTP/2 in clear (RFC 9113), of its header compression (RFC 7541), and of `WebSocket` over it (RFC 8441).

use super::{CALL, HOST, TOOLS, Trick, Truth, call, clean, either, found, packets};
use crate::Direction::{ToClient, ToServer};
use crate::http2::{
    END_HEADERS, END_STREAM, Encoder, Frames, Indexing, PADDED, PREFACE, PRIORITY, frame, huffman, integer, padded,
};
use crate::{Turn, Wire, http, websocket};

pub(super) fn tricks() -> Vec<Trick> {
    [padding(), continuation(), tables(), literals(), interleaving(), priority(), resets(), starts(), messages()]
        .concat()
}

/// `HEADER_TABLE_SIZE` among the settings.
const TABLE_SIZE: u16 = 1;
/// Kind of PING.
const PING: u8 = 6;

/// Fields of the request that carries the call.
const FIELDS: [(&str, &str); 5] = [
    (":method", "POST"),
    (":scheme", "http"),
    (":authority", HOST),
    (":path", "/rpc"),
    ("content-type", "application/json"),
];

/// The side of a client up to its first request.
fn client() -> Frames {
    Frames::client().settings(&[(3, 100)])
}

/// The head of the request that carries the call.
fn head() -> Vec<u8> {
    Encoder::default().block(&FIELDS)
}

/// Such a head with `more` fields behind.
fn head_with(more: &[(&str, &str)]) -> Vec<u8> {
    Encoder::default().block(&[&FIELDS[..], more].concat())
}

/// An answer on `stream` that says nothing.
fn taken(stream: u32) -> Vec<u8> {
    let block = Encoder::default().response("202", &[]);
    Frames::default().settings(&[]).headers(stream, &block, true).bytes()
}

/// What the client says, and an answer to its stream `last` that does not give it away.
fn says(frames: Frames, last: u32) -> Vec<Turn> {
    vec![(ToServer, frames.bytes()), (ToClient, taken(last))]
}

/// The call on `stream`, without anything odd.
fn plainly(frames: Frames, stream: u32) -> Frames {
    frames.headers(stream, &head(), false).data(stream, CALL.as_bytes(), true)
}

/// A harmless request of a body.
fn harmless(frames: Frames, stream: u32) -> Frames {
    frames.headers(stream, &head(), false).data(stream, br#"{"note":"nothing"}"#, true)
}

/// The call behind this header block.
fn behind(block: &[u8]) -> Vec<Turn> {
    says(client().headers(1, block, false).data(1, CALL.as_bytes(), true), 1)
}

fn padding() -> Vec<Trick> {
    vec![
        found("h2-padded-data", "padding is no content (RFC 9113 6.1)", || {
            let mut frames = client().headers(1, &head(), false);
            for (n, piece) in CALL.as_bytes().chunks(20).enumerate() {
                frames = frames.padded_data(1, piece, n as u8 * 50, false);
            }
            says(frames.padded_data(1, b"", 255, true), 1)
        }),
        found("h2-padded-head", "padding is no part of the block (RFC 9113 6.2)", || {
            let mut block = vec![0x80, 0, 0, 0, 16];
            block.extend(head());
            let mut content = padded(&block, 200);
            let at = content.len() - 200;
            content[at..].fill(0);
            let frames = client().frame(1, END_HEADERS | PADDED | PRIORITY, 1, &content);
            says(frames.data(1, CALL.as_bytes(), true), 1)
        }),
        clean(
            "h2-mcp-in-the-padding",
            "a receiver refuses padding that is not zero, or ignores it (RFC 9113 6.1)",
            || {
                let mut content = padded(br#"{"note":"nothing"}"#, 0);
                content[0] = CALL.len() as u8;
                content.extend_from_slice(CALL.as_bytes());
                says(client().headers(1, &head(), false).frame(0, PADDED | END_STREAM, 1, &content), 1)
            },
        ),
        either("h2-padding-longer-than-its-frame", "an error of the connection (RFC 9113 6.1)", || {
            let frames = client().headers(1, &head(), false).frame(0, PADDED, 1, &[200, b'{']);
            says(frames.data(1, CALL.as_bytes(), true), 1)
        }),
    ]
}

fn continuation() -> Vec<Trick> {
    vec![
        found("h2-head-in-frames-of-one-byte", "fragments of a block are joined (RFC 9113 4.3)", || {
            says(client().split_headers(1, &head(), false, 1).data(1, CALL.as_bytes(), true), 1)
        }),
        found("h2-empty-continuations", "a fragment may be empty (RFC 9113 6.10)", || {
            let block = head();
            let mut frames = client().frame(1, 0, 1, b"");
            for byte in &block {
                frames = frames.frame(9, 0, 1, b"").frame(9, 0, 1, &[*byte]);
            }
            says(frames.frame(9, END_HEADERS, 1, b"").data(1, CALL.as_bytes(), true), 1)
        }),
        either("h2-frame-inside-a-head", "an error of the connection (RFC 9113 6.10); some servers go on", || {
            let block = head();
            let (front, back) = block.split_at(6);
            let frames = client().frame(1, 0, 1, front).frame(PING, 0, 0, b"12345678").frame(9, END_HEADERS, 1, back);
            says(frames.data(1, CALL.as_bytes(), true), 1)
        }),
        either("h2-head-that-goes-on-elsewhere", "an error of the connection (RFC 9113 6.10)", || {
            let block = head();
            let (front, back) = block.split_at(6);
            let frames = client().frame(1, 0, 1, front).frame(9, END_HEADERS, 3, back);
            says(frames.data(1, CALL.as_bytes(), true), 1)
        }),
        either("h2-head-over-the-limit", "how long a head may be is the receiver's affair (RFC 9113 10.5.1)", || {
            let filler = "x".repeat(900);
            let names: Vec<_> = (0..100).map(|n| format!("x-filler-{n}")).collect();
            let mut plain = Encoder::new(false, Indexing::Without);
            let mut block = plain.block(&FIELDS);
            for name in &names {
                plain.field(name.as_bytes(), filler.as_bytes(), &mut block);
            }
            says(client().split_headers(1, &block, false, 16_000).data(1, CALL.as_bytes(), true), 1)
        }),
    ]
}

fn tables() -> Vec<Trick> {
    vec![
        found("h2-no-table", "a server may forbid the table (RFC 9113 6.5.2)", || {
            let mut encoder = Encoder::default();
            let mut block = encoder.resize(0);
            block.extend(encoder.block(&FIELDS));
            let again = encoder.block(&FIELDS);
            let frames = harmless_with(client(), 1, &block).headers(3, &again, false);
            let said = frames.data(3, CALL.as_bytes(), true).bytes();
            let allows = Frames::default().settings(&[(TABLE_SIZE, 0)]).bytes();
            vec![(ToClient, allows), (ToServer, said), (ToClient, taken(3))]
        }),
        found("h2-table-emptied-and-filled", "a change of size empties the table (RFC 7541 4.3)", || {
            let mut encoder = Encoder::default();
            let first = encoder.block(&[&FIELDS[..], &[("x-first", "1")]].concat());
            let mut second = encoder.resize(0);
            second.extend(encoder.resize(4096));
            second.extend(encoder.block(&FIELDS));
            let third = encoder.block(&FIELDS);
            let frames = harmless_with(harmless_with(client(), 1, &first), 3, &second).headers(5, &third, false);
            says(frames.data(5, CALL.as_bytes(), true), 5)
        }),
        found("h2-table-grown", "as large as the server allows (RFC 9113 6.5.2)", || {
            let mut encoder = Encoder::default();
            let mut block = encoder.resize(60_000);
            block.extend(encoder.block(&FIELDS));
            for n in 0..200 {
                encoder.field(format!("x-{n}").as_bytes(), "y".repeat(60).as_bytes(), &mut block);
            }
            let again = encoder.block(&FIELDS);
            let frames = harmless_with(client(), 1, &block).headers(3, &again, false);
            let said = frames.data(3, CALL.as_bytes(), true).bytes();
            let allows = Frames::default().settings(&[(TABLE_SIZE, 65_536)]).bytes();
            vec![(ToClient, allows), (ToServer, said), (ToClient, taken(3))]
        }),
        found("h2-table-that-turns-over", "the oldest fields leave the table (RFC 7541 4.4)", || {
            let mut encoder = Encoder::default();
            let mut block = encoder.block(&FIELDS);
            for n in 0..300 {
                encoder.field(format!("x-{n}").as_bytes(), "y".repeat(60).as_bytes(), &mut block);
            }
            let again = encoder.block(&FIELDS);
            let frames = harmless_with(client(), 1, &block).headers(3, &again, false);
            says(frames.data(3, CALL.as_bytes(), true), 3)
        }),
        either("h2-table-larger-than-allowed", "an error of the connection (RFC 7541 6.3)", || {
            let mut encoder = Encoder::default();
            let block = [encoder.resize(1 << 20), encoder.block(&FIELDS)].concat();
            behind(&block)
        }),
        either("h2-change-of-size-inside-a-head", "an error of the connection (RFC 7541 4.2)", || {
            let mut encoder = Encoder::default();
            let front = encoder.block(&FIELDS[..3]);
            let resized = encoder.resize(100);
            behind(&[front, resized, encoder.block(&FIELDS[3..])].concat())
        }),
    ]
}

/// A harmless request behind this header block.
fn harmless_with(frames: Frames, stream: u32, block: &[u8]) -> Frames {
    frames.headers(stream, block, false).data(stream, br#"{"note":"nothing"}"#, true)
}

fn literals() -> Vec<Trick> {
    fn written(huffman: bool, indexing: Indexing) -> Vec<Turn> {
        behind(&Encoder::new(huffman, indexing).block(&FIELDS))
    }
    const BROKEN: &str = "an error of the connection (RFC 7541 5.2, 6.1)";
    vec![
        found("h2-never-indexed", "as any literal (RFC 7541 6.2.3)", || written(true, Indexing::Never)),
        found("h2-not-indexed", "as any literal (RFC 7541 6.2.2)", || written(true, Indexing::Without)),
        found("h2-without-huffman", "strings may be plain (RFC 7541 5.2)", || written(false, Indexing::Never)),
        found("h2-huffman-and-plain-by-turns", "each string as it likes (RFC 7541 5.2)", || {
            let mut encoder = Encoder::default();
            let mut block = Vec::new();
            for (n, (name, value)) in FIELDS.iter().enumerate() {
                encoder.huffman = n % 2 == 0;
                encoder.field(name.as_bytes(), value.as_bytes(), &mut block);
            }
            behind(&block)
        }),
        either("h2-huffman-that-ends-badly", BROKEN, || {
            let mut block = Encoder::default().block(&FIELDS[..4]);
            let mut coded = huffman(b"application/json");
            coded.push(0xff);
            integer(0x40, 6, 31, &mut block);
            integer(0x80, 7, coded.len(), &mut block);
            behind(&[block, coded].concat())
        }),
        either("h2-index-of-nothing", BROKEN, || behind(&[&head()[..], &[0x80]].concat())),
        either("h2-index-beyond-the-table", BROKEN, || behind(&[&head()[..], &[0xff, 0x70]].concat())),
        either("h2-integer-without-end", BROKEN, || {
            behind(&[&head()[..], &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f]].concat())
        }),
    ]
}

fn interleaving() -> Vec<Trick> {
    vec![
        found("h2-data-in-frames-of-one-byte", "frames of a stream add up (RFC 9113 6.1)", || {
            let mut frames = client().headers(1, &head(), false);
            for byte in CALL.as_bytes() {
                frames = frames.data(1, &[*byte], false).data(1, b"", false);
            }
            says(frames.data(1, b"", true), 1)
        }),
        found("h2-interleaved", "streams do not touch each other (RFC 9113 5)", || {
            let mut encoder = Encoder::default();
            let mut frames = client();
            for n in 0..50 {
                let block = encoder.block(&FIELDS);
                frames = frames.headers(2 * n + 1, &block, false);
            }
            let filler = "x".repeat(CALL.len() - 11);
            let other = format!(r#"{{"note":"{filler}"}}"#);
            for at in 0..CALL.len() {
                for n in 0..50 {
                    let body = if n == 31 { CALL } else { &other };
                    frames = frames.data(2 * n + 1, &body.as_bytes()[at..=at], at + 1 == CALL.len());
                }
            }
            says(frames, 63)
        }),
        found("h2-answers-in-reverse", "answers come as they are ready (RFC 9113 5)", || {
            let mut encoder = Encoder::default();
            let mut ask = client();
            for n in 0..20 {
                let fields = [(":method", "GET"), (":scheme", "http"), (":authority", HOST), (":path", "/feed")];
                ask = ask.headers(2 * n + 1, &encoder.block(&fields), true);
            }
            let mut encoder = Encoder::default();
            let mut answer = Frames::default().settings(&[]);
            for n in (0..20).rev() {
                let block = encoder.response("200", &[("content-type", "application/json")]);
                answer = answer.headers(2 * n + 1, &block, false);
            }
            for (at, byte) in TOOLS.bytes().enumerate() {
                answer = answer.data(15, &[byte], at + 1 == TOOLS.len()).data(3, b" ", false);
            }
            vec![(ToServer, ask.bytes()), (ToClient, answer.bytes())]
        }),
    ]
}

fn priority() -> Vec<Trick> {
    /// Kind of PRIORITY.
    const KIND: u8 = 2;
    vec![
        found("h2-priority-between", "priorities carry nothing (RFC 9113 6.3)", || {
            let mut frames = client().frame(KIND, 0, 7, &[0, 0, 0, 0, 200]).headers(1, &head(), false);
            for piece in CALL.as_bytes().chunks(10) {
                frames = frames.data(1, piece, false).frame(KIND, 0, 1, &[0x80, 0, 0, 3, 1]);
                frames = frames.frame(KIND, 0, 99, &[0, 0, 0, 1, 1]);
            }
            says(frames.data(1, b"", true), 1)
        }),
        found("h2-priority-in-a-head", "five bytes before the block (RFC 9113 6.2)", || {
            let block = [&[0, 0, 0, 0, 255][..], &head()].concat();
            says(client().frame(1, END_HEADERS | PRIORITY, 1, &block).data(1, CALL.as_bytes(), true), 1)
        }),
        found("h2-frames-nobody-knows", "they are ignored (RFC 9113 5.5)", || {
            let mut frames = client().frame(0x10, 0, 0, b"\0\0\0\x01u=1").headers(1, &head(), false);
            for piece in CALL.as_bytes().chunks(30) {
                frames = frames.frame(0x0b, 0xff, 1, CALL.as_bytes()).data(1, piece, false);
            }
            says(frames.frame(0xfa, 0, 0, b"").data(1, b"", true), 1)
        }),
        found("h2-storm-of-pings", "any number of them (RFC 9113 6.7)", || {
            let mut frames = client().headers(1, &head(), false).data(1, &CALL.as_bytes()[..30], false);
            for _ in 0..2000 {
                frames = frames.frame(PING, 0, 0, b"12345678").settings(&[]).window_update(0, 1);
            }
            says(frames.data(1, &CALL.as_bytes()[30..], true), 1)
        }),
    ]
}

fn resets() -> Vec<Trick> {
    vec![
        found("h2-reset-in-mid-body", "a reset ends one stream (RFC 9113 6.4)", || {
            let frames = client().headers(1, &head(), false).data(1, &CALL.as_bytes()[..40], false).reset(1, 8);
            says(plainly(frames, 3), 3)
        }),
        found("h2-reset-behind-the-body", "what was sent before was read (RFC 9113 6.4)", || {
            let frames = client().headers(1, &head(), false).data(1, CALL.as_bytes(), false).reset(1, 8);
            vec![(ToServer, frames.bytes()), (ToClient, Frames::default().settings(&[]).bytes())]
        }),
        clean("h2-data-behind-a-reset", "every server refuses it (RFC 9113 5.1)", || {
            let frames = client().headers(1, &head(), false).reset(1, 8).data(1, CALL.as_bytes(), true);
            vec![(ToServer, frames.bytes()), (ToClient, Frames::default().settings(&[]).bytes())]
        }),
        either("h2-data-behind-the-end", "an error of the stream (RFC 9113 5.1)", || {
            let frames = harmless(client(), 1).data(1, CALL.as_bytes(), true);
            says(frames, 1)
        }),
        either("h2-data-before-the-head", "an error of the connection (RFC 9113 5.1)", || {
            says(client().data(1, CALL.as_bytes(), false).headers(1, &head(), true), 1)
        }),
        found("h2-rapid-resets", "each ends its stream and no other (RFC 9113 6.4)", || {
            let mut encoder = Encoder::default();
            let mut frames = client();
            for n in 0..2000 {
                frames = frames.headers(2 * n + 1, &encoder.block(&FIELDS), false).reset(2 * n + 1, 8);
            }
            let block = encoder.block(&FIELDS);
            says(frames.headers(4001, &block, false).data(4001, CALL.as_bytes(), true), 4001)
        }),
        found("h2-behind-a-farewell", "streams that are open go on (RFC 9113 6.8)", || {
            let opening = client().headers(1, &head(), false).data(1, &CALL.as_bytes()[..40], false).bytes();
            let rest = Frames::default().data(1, &CALL.as_bytes()[40..], true).bytes();
            let farewell = Frames::default().settings(&[]).go_away(1, 0).bytes();
            vec![(ToServer, opening), (ToClient, farewell), (ToServer, rest), (ToClient, taken(1))]
        }),
        either("h2-length-that-differs", "an error of the stream (RFC 9113 8.1.1); some servers do not look", || {
            behind(&head_with(&[("content-length", "3")]))
        }),
    ]
}

fn starts() -> Vec<Trick> {
    const LATE: &str = "the receiver saw the beginning; the mirror did not";
    vec![
        packets("h2-joined-late", LATE, Truth::Found, |s| {
            let mut encoder = Encoder::default();
            let _ = encoder.block(&FIELDS);
            let block = encoder.block(&FIELDS);
            let flow = s.flow(Wire { midstream: true, ..s.wire() });
            let said = Frames::default().headers(21, &block, false).data(21, CALL.as_bytes(), true);
            s.capture.send(flow, ToServer, &said.bytes());
            s.capture.send(flow, ToClient, &taken(21));
            s.capture.fin(flow);
        }),
        packets("h2-joined-in-mid-frame", LATE, Truth::Found, |s| {
            let mut encoder = Encoder::default();
            let _ = encoder.block(&FIELDS);
            let block = encoder.block(&FIELDS);
            let flow = s.flow(Wire { midstream: true, ..s.wire() });
            s.capture.send(flow, ToServer, &b"y".repeat(3000));
            for stream in [21, 23, 25, 27] {
                let said = Frames::default().headers(stream, &block, false).data(stream, CALL.as_bytes(), true);
                s.capture.send(flow, ToServer, &said.bytes());
                s.capture.send(flow, ToClient, &taken(stream));
            }
            s.capture.fin(flow);
        }),
        packets("h2-from-the-server-alone", LATE, Truth::Found, |s| {
            let wire = Wire { only: Some(ToClient), ..s.wire() };
            let block = Encoder::default().response("200", &[("content-type", "application/json")]);
            let answer = Frames::default().settings(&[(3, 100)]).headers(1, &block, false);
            let answer = answer.data(1, TOOLS.as_bytes(), true).bytes();
            s.play(wire, &[(ToServer, plainly(client(), 1).bytes()), (ToClient, answer)]);
        }),
        found("h2-by-upgrade", "an exchange of HTTP/1 asks for it (RFC 7540 3.2)", || {
            let ask = format!(
                "GET /feed HTTP/1.1\nHost: {HOST}\nConnection: Upgrade, HTTP2-Settings\nUpgrade: h2c\nHTTP2-Settings: AAMAAABk\n\n"
            );
            let taken_up = http::request("HTTP/1.1 101 Switching Protocols\nConnection: Upgrade\nUpgrade: h2c\n\n");
            let first = Encoder::default().response("204", &[]);
            let goes = Frames::default().settings(&[]).headers(1, &first, true).bytes();
            let said = plainly(client(), 3).bytes();
            vec![
                (ToServer, http::request(&ask)),
                (ToClient, [taken_up, goes].concat()),
                (ToServer, said),
                (ToClient, taken(3)),
            ]
        }),
        found("h2-call-that-asks-for-an-upgrade", "its answer comes on stream 1 (RFC 7540 3.2)", || {
            let fields = "Connection: Upgrade, HTTP2-Settings\nUpgrade: h2c\nHTTP2-Settings: AAMAAABk";
            let taken_up = http::request("HTTP/1.1 101 Switching Protocols\nConnection: Upgrade\nUpgrade: h2c\n\n");
            let ask = http::post(HOST, "/rpc", fields, CALL);
            vec![(ToServer, ask), (ToClient, [taken_up, taken(1)].concat()), (ToServer, client().bytes())]
        }),
        found("h2-upgrade-that-is-refused", "HTTP/1 goes on (RFC 9110 7.8)", || {
            let ask = format!(
                "GET /feed HTTP/1.1\nHost: {HOST}\nConnection: Upgrade\nUpgrade: h2c\nHTTP2-Settings: AAMAAABk\n\n"
            );
            let refused = http::request("HTTP/1.1 200 OK\nContent-Length: 2\n\nno");
            vec![(ToServer, http::request(&ask)), (ToClient, refused), (ToServer, call()), (ToClient, super::taken())]
        }),
        clean("h2-preface-that-breaks-off", "every server closes (RFC 9113 3.4)", || {
            let broken = [&PREFACE[..18], b"XX\r\n\r\n"].concat();
            says(plainly(Frames::default().raw(&broken).settings(&[]), 1), 1)
        }),
    ]
}

fn messages() -> Vec<Trick> {
    vec![
        found("h2-events", "an event stream in frames of any size (HTML 9.2)", || {
            let ask = client().headers(1, &head(), true).bytes();
            let block = Encoder::default().response("200", &[("content-type", "text/event-stream")]);
            let mut answer = Frames::default().settings(&[]).headers(1, &block, false);
            for piece in format!(": hello\r\ndata: {TOOLS}\r\n\r\n").as_bytes().chunks(7) {
                answer = answer.padded_data(1, piece, 3, false);
            }
            vec![(ToServer, ask), (ToClient, answer.data(1, b"", true).bytes())]
        }),
        found("h2-coded-body", "content codings are those of HTTP (RFC 9110 8.4)", || {
            let coded = http::gzip(CALL.as_bytes());
            let mut frames = client().headers(1, &head_with(&[("content-encoding", "gzip")]), false);
            for piece in coded.chunks(11) {
                frames = frames.data(1, piece, false);
            }
            says(frames.data(1, b"", true), 1)
        }),
        found("h2-interim-answers", "any number of them (RFC 9113 8.1)", || {
            let mut encoder = Encoder::default();
            let mut answer = Frames::default().settings(&[]);
            for _ in 0..50 {
                let early = encoder.response("103", &[("link", "</style.css>; rel=preload")]);
                answer = answer.headers(1, &early, false);
            }
            let block = encoder.response("200", &[("content-type", "application/json")]);
            let answer = answer.headers(1, &block, false).data(1, TOOLS.as_bytes(), true).bytes();
            vec![(ToServer, client().headers(1, &head(), true).bytes()), (ToClient, answer)]
        }),
        found("h2-trailers", "fields may follow the body (RFC 9113 8.1)", || {
            let frames = client().headers(1, &head(), false).data(1, CALL.as_bytes(), false);
            let trailers = Encoder::new(true, Indexing::Never).block(&[("x-sum", "1")]);
            says(frames.headers(1, &trailers, true), 1)
        }),
        either("h2-path-twice", "malformed (RFC 9113 8.3); some servers take one", || {
            behind(&Encoder::default().block(&[&[(":path", "/other")], &FIELDS[..]].concat()))
        }),
        either("h2-names-in-upper-case", "malformed (RFC 9113 8.2.1); some servers take it", || {
            behind(&head_with(&[("X-Upper", "1")]))
        }),
        either("h2-pseudo-fields-last", "malformed (RFC 9113 8.3); some servers take it", || {
            behind(&Encoder::default().block(&[FIELDS[4], FIELDS[0], FIELDS[1], FIELDS[2], FIELDS[3]]))
        }),
        either("h2-line-end-in-a-value", "malformed (RFC 9113 8.2.1)", || {
            behind(&head_with(&[("x-a", "b\r\ncontent-type: text/plain")]))
        }),
        found("h2-websocket", "messages in the frames of a stream (RFC 8441 5)", || {
            let fields = [
                (":method", "CONNECT"),
                (":protocol", "websocket"),
                (":scheme", "http"),
                (":path", "/socket"),
                (":authority", HOST),
                ("sec-websocket-version", "13"),
            ];
            let ask = client().headers(1, &Encoder::default().block(&fields), false).bytes();
            let granted = Encoder::default().response("200", &[]);
            let grants = Frames::default().settings(&[(8, 1)]).headers(1, &granted, false).bytes();
            let message = websocket::frame(1, CALL.as_bytes(), Some([0x37, 0xfa, 0x21, 0x3d]));
            let mut said = Frames::default();
            for piece in message.chunks(13) {
                said = said.padded_data(1, piece, 5, false).frame(PING, 0, 0, b"12345678");
            }
            vec![(ToServer, ask), (ToClient, grants), (ToServer, said.bytes())]
        }),
        clean("h2-mcp-in-frames-nobody-reads", "frames of unknown kinds are ignored (RFC 9113 5.5)", || {
            let carries = [frame(0x0b, 0, 1, CALL.as_bytes()), frame(PING, 0, 0, b"tools/ca")].concat();
            says(harmless(client().raw(&carries), 1), 1)
        }),
    ]
}
