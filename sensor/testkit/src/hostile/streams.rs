//! Tricks of `WebSocket` (RFC 6455, RFC 7692) and of event streams (the HTML standard, section 9.2).

use super::{CALL, HOST, TOOLS, Trick, answered, asked, call, clean, either, found};
use crate::Direction::{ToClient, ToServer};
use crate::websocket::{fragment, frame};
use crate::{Turn, http};
use flate2::{Compress, Compression, FlushCompress};

pub(super) fn tricks() -> Vec<Trick> {
    [frames(), messages(), deflated(), events(), event_oddities()].concat()
}

const KEY: Option<[u8; 4]> = Some([0x37, 0xfa, 0x21, 0x3d]);

/// A `WebSocket` with these extensions, over which the client says `said`.
fn socket(extensions: &str, said: Vec<u8>) -> Vec<Turn> {
    let line = if extensions.is_empty() { String::new() } else { format!("Sec-WebSocket-Extensions: {extensions}\n") };
    let ask = format!(
        "GET /socket HTTP/1.1\nHost: {HOST}\nConnection: Upgrade\nUpgrade: websocket\nSec-WebSocket-Version: 13\nSec-WebSocket-Key: x3JJHMbDL1EzLkh9GBhXDw==\n{line}\n"
    );
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\nConnection: Upgrade\nUpgrade: websocket\nSec-WebSocket-Accept: HSmrc0sMlYUkAGmm5OPpG2HaGWk=\n{line}\n"
    );
    vec![(ToServer, http::request(&ask)), (ToClient, http::request(&answer)), (ToServer, said)]
}

/// The call in fragments of `size` bytes, with `between` after each but the last.
fn fragments(size: usize, between: &[u8]) -> Vec<u8> {
    let pieces: Vec<_> = CALL.as_bytes().chunks(size).collect();
    let mut out = Vec::new();
    for (n, piece) in pieces.iter().enumerate() {
        let last = n + 1 == pieces.len();
        out.extend(fragment(last, if n == 0 { 1 } else { 0 }, piece, KEY));
        if !last {
            out.extend_from_slice(between);
        }
    }
    out
}

fn frames() -> Vec<Trick> {
    vec![
        found("fragments-of-one-byte", "fragments add up (RFC 6455 5.4)", || socket("", fragments(1, b""))),
        found("control-frames-between-fragments", "control frames may stand there (RFC 6455 5.4)", || {
            let between = [frame(9, b"{\"method\":\"x\"}", KEY), frame(10, b"", KEY)].concat();
            socket("", fragments(25, &between))
        }),
        found("empty-fragments", "a fragment may be empty (RFC 6455 5.4)", || {
            socket("", fragments(25, &fragment(false, 0, b"", KEY)))
        }),
        found("storm-of-pings", "any number of control frames (RFC 6455 5.5.2)", || {
            socket("", [frame(9, &[b'p'; 125], KEY).repeat(2000), frame(1, CALL.as_bytes(), KEY)].concat())
        }),
        found("mask-of-zero", "any key is a key (RFC 6455 5.3)", || {
            socket("", frame(1, CALL.as_bytes(), Some([0; 4])))
        }),
        either("client-without-a-mask", "a server closes (RFC 6455 5.1); some go on", || {
            socket("", frame(1, CALL.as_bytes(), None))
        }),
        either("server-with-a-mask", "a client closes (RFC 6455 5.1); some go on", || {
            let mut turns = socket("", frame(1, b"{\"a\":1}", KEY));
            turns.push((ToClient, frame(1, TOOLS.as_bytes(), KEY)));
            turns
        }),
        either(
            "length-longer-than-needed",
            "the shortest form is a must (RFC 6455 5.2); many readers do not check",
            || {
                let mut said = vec![0x81, 0x80 | 0x7f];
                said.extend_from_slice(&(CALL.len() as u64).to_be_bytes());
                said.extend_from_slice(&[0; 4]);
                said.extend_from_slice(CALL.as_bytes());
                socket("", said)
            },
        ),
        either("reserved-bits", "a server fails the connection (RFC 6455 5.2)", || {
            let mut said = frame(1, CALL.as_bytes(), KEY);
            said[0] |= 0x30;
            socket("", said)
        }),
        either("reserved-opcode-between", "a server fails the connection (RFC 6455 5.2)", || {
            socket("", [frame(0xb, b"odd", KEY), frame(1, CALL.as_bytes(), KEY)].concat())
        }),
        either("control-frame-in-fragments", "a server fails the connection (RFC 6455 5.5)", || {
            socket(
                "",
                [fragment(false, 9, b"pi", KEY), fragment(true, 0, b"ng", KEY), frame(1, CALL.as_bytes(), KEY)]
                    .concat(),
            )
        }),
        either("message-inside-a-message", "a server fails the connection (RFC 6455 5.4)", || {
            socket("", [fragment(false, 1, b"{\"a\":", KEY), frame(1, CALL.as_bytes(), KEY)].concat())
        }),
        either("length-beyond-63-bits", "a server fails the connection (RFC 6455 5.2)", || {
            let mut said = frame(1, CALL.as_bytes(), KEY);
            said.extend_from_slice(&[0x81, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]);
            socket("", said)
        }),
    ]
}

fn messages() -> Vec<Trick> {
    vec![
        found("binary-message", "the same JSON; MCP is found by what it says", || {
            socket("", frame(2, CALL.as_bytes(), KEY))
        }),
        found("behind-many-messages", "a connection has any number of messages", || {
            socket("", [frame(1, br#"{"note":1}"#, KEY).repeat(3000), frame(1, CALL.as_bytes(), KEY)].concat())
        }),
        found("message-of-two-megabytes", "a message has any size (RFC 6455 5.2)", || {
            let long = CALL.replace("\"method\"", &format!("\"x\":\"{}\",\"method\"", "x".repeat(2 << 20)));
            socket("", frame(1, long.as_bytes(), KEY))
        }),
        found("frames-with-the-handshake", "a server may speak at once behind its 101", || {
            let mut turns = socket("", Vec::new());
            turns.pop();
            turns[1].1.extend(frame(1, TOOLS.as_bytes(), None));
            turns
        }),
        clean("mcp-in-a-ping", "control frames carry no messages (RFC 6455 5.5)", || {
            socket("", [frame(9, CALL.as_bytes(), KEY), frame(1, br#"{"note":1}"#, KEY)].concat())
        }),
        clean("mcp-quoted-in-a-message", "a string says nothing of itself", || {
            let quoted = CALL.replace('"', "\\\"");
            socket("", frame(1, format!("{{\"chat\":\"{quoted}\"}}").as_bytes(), KEY))
        }),
    ]
}

const DEFLATE: &str = "permessage-deflate";

/// Messages compressed as one stream, each without its last four bytes (RFC 7692 7.2.1).
fn compressed(texts: &[&str], fresh: bool) -> Vec<Vec<u8>> {
    let mut coder = Compress::new(Compression::new(6), false);
    let mut one = |text: &&str| {
        if fresh {
            coder.reset();
        }
        let mut out = Vec::with_capacity(text.len() + 200);
        coder.compress_vec(text.as_bytes(), &mut out, FlushCompress::Sync).expect("compressing to memory");
        out.truncate(out.len() - 4);
        out
    };
    texts.iter().map(&mut one).collect()
}

/// A frame with the bit that says "compressed".
fn marked(last: bool, opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = fragment(last, opcode, payload, KEY);
    out[0] |= 0x40;
    out
}

fn deflated() -> Vec<Trick> {
    const WARM: &str = r#"{"note":"jsonrpc 2.0 id method tools call params name note_find arguments q budget"}"#;
    vec![
        found("compressed-with-context", "later messages point into earlier ones (RFC 7692 7.2.3)", || {
            let coded = compressed(&[WARM, WARM, CALL], false);
            socket(DEFLATE, coded.iter().flat_map(|bytes| marked(true, 1, bytes)).collect())
        }),
        found("compressed-without-context", "each message by itself (RFC 7692 7.1.1.1)", || {
            let coded = compressed(&[WARM, CALL], true);
            let extension = "permessage-deflate; client_no_context_takeover; server_no_context_takeover";
            socket(extension, coded.iter().flat_map(|bytes| marked(true, 1, bytes)).collect())
        }),
        found("compressed-in-fragments", "the bit stands on the first fragment (RFC 7692 6)", || {
            let coded = compressed(&[WARM, CALL], false);
            let (a, b) = coded[1].split_at(9);
            let said =
                [marked(true, 1, &coded[0]), marked(false, 1, a), frame(9, b"p", KEY), fragment(true, 0, b, KEY)];
            socket(DEFLATE, said.concat())
        }),
        found("plain-among-compressed", "a message may be sent as it is (RFC 7692 6)", || {
            let coded = compressed(&[WARM], false);
            socket(DEFLATE, [marked(true, 1, &coded[0]), frame(1, CALL.as_bytes(), KEY)].concat())
        }),
        either("compressed-without-agreement", "a server fails the connection (RFC 6455 5.2)", || {
            socket("", marked(true, 1, &compressed(&[CALL], false)[0]))
        }),
        either("compressed-and-broken", "a server fails the connection (RFC 7692 7.2.2)", || {
            let coded = compressed(&[CALL], false);
            socket(DEFLATE, [marked(true, 1, &[0xee; 40]), marked(true, 1, &coded[0])].concat())
        }),
        either("bomb-in-a-message", "how much a receiver decodes is its affair; the sensor stops and says so", || {
            let long = " ".repeat(40 << 20);
            let coded = compressed(&[&long], false);
            socket(DEFLATE, marked(true, 1, &coded[0]))
        }),
    ]
}

/// An event stream.
fn stream(body: impl AsRef<[u8]>) -> Vec<Turn> {
    answered(http::chunked("HTTP/1.1 200 OK\nContent-Type: text/event-stream", body.as_ref(), 40, ""))
}

/// The answer over several `data` lines, split where JSON allows a line break.
fn in_lines(eol: &str) -> String {
    format!("data: {}{eol}{eol}", TOOLS.replace(',', &format!(",{eol}data: ")))
}

fn events() -> Vec<Trick> {
    const LINES: &str = "LF, CR and CRLF end a line (HTML 9.2.5)";
    vec![
        found("events-with-lf", LINES, || stream(http::events(&[("message", TOOLS)], "\n"))),
        found("events-with-cr", LINES, || stream(http::events(&[("message", TOOLS)], "\r"))),
        found("events-with-crlf", LINES, || stream(http::events(&[("message", TOOLS)], "\r\n"))),
        found("events-with-all-line-ends", LINES, || stream(format!("event: message\r: x\ndata: {TOOLS}\r\n\n"))),
        found("events-cut-between-cr-and-lf", LINES, || {
            let body = http::events(&[("message", TOOLS)], "\r\n");
            answered(http::chunked("HTTP/1.1 200 OK\nContent-Type: text/event-stream", &body, 1, ""))
        }),
        found("data-in-lines", "lines of data are joined by LF (HTML 9.2.6)", || stream(in_lines("\n"))),
        found("data-in-lines-with-cr", "lines of data are joined by LF (HTML 9.2.6)", || stream(in_lines("\r"))),
        found("data-in-lines-with-comments-between", "a comment line is passed over (HTML 9.2.6)", || {
            stream(in_lines("\n").replace("data:", ": {\"x\":\ndata:"))
        }),
        found("comments-of-100-kB", "a comment line is passed over (HTML 9.2.6)", || {
            stream(format!(": {}\n\ndata: {TOOLS}\n\n", "x".repeat(100_000)))
        }),
        found("no-event-name", "the default is `message` (HTML 9.2.6)", || stream(format!("data: {TOOLS}\n\n"))),
        found("empty-event-name", "an empty name is `message` (HTML 9.2.6)", || {
            stream(format!("event\nevent:\ndata: {TOOLS}\n\n"))
        }),
        found("no-blank-behind-the-colon", "one blank is optional (HTML 9.2.6)", || {
            stream(format!("event:message\ndata:{TOOLS}\n\n"))
        }),
        found("fields-nobody-knows", "they are ignored (HTML 9.2.6)", || {
            stream(format!("id: \0\nretry: x\nfoo: {{\ndata\n\ndatax: 1\nData: 2\ndata: {TOOLS}\n\n"))
        }),
        found("byte-order-mark-in-front", "one is taken off (HTML 9.2.5)", || {
            stream(format!("\u{feff}data: {TOOLS}\n\n"))
        }),
        found("behind-many-events", "a stream has any number of events", || {
            stream(format!("{}data: {TOOLS}\n\n", "event: tick\ndata: {\"n\":1}\n\n".repeat(5000)))
        }),
    ]
}

fn event_oddities() -> Vec<Trick> {
    vec![
        either("another-event-name", "MCP says `message`; clients differ in how they listen", || {
            stream(format!("event: odd\ndata: {TOOLS}\n\n"))
        }),
        either("event-without-its-end", "it is dropped (HTML 9.2.6); some clients take it", || {
            stream(format!("data: {TOOLS}\n"))
        }),
        either("event-without-any-line-end", "it is dropped (HTML 9.2.6); some clients take it", || {
            stream(format!("data: {TOOLS}"))
        }),
        either("events-under-another-type", "a client refuses the type (HTML 9.2.3); some do not look", || {
            let head = "HTTP/1.1 200 OK\nContent-Type: text/plain";
            answered(http::message(head, &http::events(&[("message", TOOLS)], "\n")))
        }),
        either("json-under-the-type-of-events", "a client reads no event; some look at what is there", || {
            stream(TOOLS)
        }),
        either("events-under-the-type-of-json", "no JSON; some look at what is there", || {
            answered(http::json("", &format!("data: {TOOLS}\n\n")))
        }),
        found("type-with-parameters-in-odd-case", "types have no case (RFC 9110 8.3.1)", || {
            let head = "HTTP/1.1 200 OK\nContent-Type: Text/Event-Stream ; charset=\"utf-8\"";
            answered(http::message(head, &http::events(&[("message", TOOLS)], "\n")))
        }),
        clean("mcp-in-a-comment", "a comment line is passed over (HTML 9.2.6)", || {
            stream(format!(": data: {TOOLS}\n: {TOOLS}\n\nevent: tick\ndata: 1\n\n"))
        }),
        clean("mcp-quoted-in-an-event", "a model that talks about MCP", || {
            let quoted = TOOLS.replace('"', "\\\"");
            stream(format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{quoted}\"}}}}]}}\n\n"))
        }),
        found("stream-and-then-a-request", "a connection goes on behind the last chunk", || {
            [stream("data: 1\n\n"), asked(call())].concat()
        }),
    ]
}
