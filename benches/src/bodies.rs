//! What messages carry.

use std::fmt::Write;
use testkit::Rng;

/// A tool call.
pub const CALL: &str = r#"{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"note_find","arguments":{"q":"budget","limit":3}}}"#;

/// What is answered.
pub const RESULT: &str =
    r#"{"jsonrpc":"2.0","id":2,"result":{"content":[{"type":"text","text":"three notes"}],"isError":false}}"#;

/// An answer of a language model's interface, as it streams.
pub const CHUNK: &str = r#"{"id":"c-17","object":"chat.completion.chunk","created":1795425121,"choices":[{"index":0,"delta":{"content":" word"},"finish_reason":null}]}"#;

/// A page of about `len` bytes: words and tags, no filler that a search could skip at memory speed.
pub fn page(rng: &mut Rng, len: usize) -> String {
    let mut out = String::from("<!doctype html><html><head><title>A page</title></head><body>");
    while out.len() < len {
        match rng.below(14) {
            0 => out.push_str("</p>\n<p class=\"text\">"),
            1 => write!(out, "<a href=\"/{}/{}\">", rng.word(6), rng.below(999)).unwrap(),
            2 => out.push_str("</a> "),
            _ => {
                let size = 2 + rng.below(9);
                out.push_str(&rng.word(size));
                out.push(' ');
            }
        }
    }
    out.push_str("</body></html>");
    out
}

/// JSON records of about `len` bytes in all, each with a harmless `method`.
pub fn records(rng: &mut Rng, len: usize) -> String {
    let mut out = String::from("[");
    while out.len() < len {
        let (a, b) = (rng.word(8), rng.word(20));
        let id = rng.below(9999);
        write!(out, r#"{{"id":{id},"method":"{a}","note":"{b}","tags":["x","y"],"nested":{{"v":[1,2,3]}}}},"#).unwrap();
    }
    out.push_str("null]");
    out
}

/// What an interface for machines answers in small: less than 200 bytes.
pub fn record(rng: &mut Rng) -> String {
    let (name, n) = (rng.word(7), rng.below(99_999));
    format!(r#"{{"id":{n},"name":"{name}","state":"ok","method":"auto","readings":[1.5,2.25,{n}],"next":null}}"#)
}

/// Objects within objects, `depth` deep, again and again up to about `len` bytes.
pub fn deep(rng: &mut Rng, len: usize, depth: usize) -> String {
    let mut out = String::from("[");
    while out.len() < len {
        for _ in 0..depth {
            write!(out, r#"{{"{}":"#, rng.word(4)).unwrap();
        }
        out.push('0');
        out.extend(std::iter::repeat_n('}', depth));
        out.push(',');
    }
    out.push_str("0]");
    out
}

/// A result of about `len` bytes whose text is full of escapes.
pub fn long_result(rng: &mut Rng, len: usize) -> String {
    let mut out =
        String::from(r#"{"jsonrpc":"2.0","id":1,"result":{"isError":false,"content":[{"type":"text","text":""#);
    while out.len() < len {
        let size = 2 + rng.below(12);
        out.push_str(&rng.word(size));
        out.push_str([" ", " ", " ", " ", "\\n", "\\\"", "\\u00e4", "\\/"][rng.below(8)]);
    }
    out.push_str(r#""}]}}"#);
    out
}

/// Text that begins like what patterns look for, and never is, of about `len` bytes.
pub fn near_matches(len: usize) -> String {
    let text =
        r#""method":"tools/cal" "protocolVersion":"2099" "method":"resources/rea" "inputSchema":[ "serverInfo":7 "#;
    text.repeat(len.div_ceil(text.len()))
}

/// Bytes that look encrypted.
pub fn opaque(rng: &mut Rng, len: usize) -> Vec<u8> {
    let mut out: Vec<u8> = (0..len.div_ceil(8)).flat_map(|_| rng.next_u64().to_le_bytes()).collect();
    out.truncate(len);
    out
}
