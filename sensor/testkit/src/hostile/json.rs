//! Tricks of JSON (RFC 8259) and JSON-RPC 2.0: the same message written so that a pattern misses it, and words of MCP
//! where they mean nothing.

use super::{CALL, HOST, Trick, answered, asked, clean, either, found, posted};
use crate::{Turn, http};

pub(super) fn tricks() -> Vec<Trick> {
    [writing(), doubtful(), sizes(), several(), harmless()].concat()
}

/// A POST of bytes that need not be UTF-8.
fn bytes(body: &[u8]) -> Vec<Turn> {
    asked(http::message(&format!("POST /rpc HTTP/1.1\nHost: {HOST}\nContent-Type: application/json"), body))
}

fn writing() -> Vec<Trick> {
    vec![
        found("escapes-in-keys", "an escape is the character (RFC 8259 7)", || {
            posted(&CALL.replace("method", "m\\u0065th\\u006Fd").replace("jsonrpc", "\\u006asonrpc"))
        }),
        found("escapes-in-values", "an escape is the character (RFC 8259 7)", || {
            posted(&CALL.replace("tools/call", "\\u0074ool\\u0073\\u002fcall").replace("2.0", "2\\u002E0"))
        }),
        found("every-character-escaped", "an escape is the character (RFC 8259 7)", || {
            let escaped = |text: &str| text.bytes().map(|c| format!("\\u00{c:02X}")).collect::<String>();
            let words = ["jsonrpc", "2.0", "method", "tools/call", "params", "name", "arguments"];
            posted(&words.iter().fold(CALL.to_owned(), |text, word| {
                text.replace(&format!("\"{word}\""), &format!("\"{}\"", escaped(word)))
            }))
        }),
        found("escaped-slash", "`\\/` is `/` (RFC 8259 7)", || posted(&CALL.replace('/', "\\/"))),
        found("white-space-everywhere", "white space between tokens means nothing (RFC 8259 2)", || {
            let spaced = [":", ",", "{", "}"]
                .iter()
                .fold(CALL.to_owned(), |text, c| text.replace(c, &format!("\r\n\t {c} \t\n")));
            posted(&format!("\n\n\r\t   {spaced}\r\n\r\n"))
        }),
        found("white-space-of-100-kB", "white space between tokens means nothing (RFC 8259 2)", || {
            posted(&format!(
                "{}{}",
                " \n".repeat(50_000),
                CALL.replace("\"method\"", &format!("{}\"method\"", "\t".repeat(9000)))
            ))
        }),
        found("members-in-another-order", "an object has no order (RFC 8259 4)", || {
            posted(
                r#"{"params":{"arguments":{"q":"budget"},"name":"note_find"},"method":"tools/call","id":1,"jsonrpc":"2.0"}"#,
            )
        }),
    ]
}

fn doubtful() -> Vec<Trick> {
    const LAX: &str = "no JSON (RFC 8259); lax readers take it";
    vec![
        either("method-twice-mcp-last", "which one counts is not settled (RFC 8259 4)", || {
            posted(&CALL.replace("\"method\"", "\"method\":\"eth_call\",\"method\""))
        }),
        either("method-twice-mcp-first", "which one counts is not settled (RFC 8259 4)", || {
            posted(&CALL.replace("\"params\"", "\"method\":\"eth_call\",\"params\""))
        }),
        either("jsonrpc-twice", "which one counts is not settled (RFC 8259 4)", || {
            posted(&CALL.replace("\"params\"", "\"jsonrpc\":\"1.0\",\"params\""))
        }),
        either("byte-order-mark", "a reader may ignore it (RFC 8259 8.1)", || {
            bytes(format!("\u{feff}{CALL}").as_bytes())
        }),
        either("utf-16-le", "not allowed between systems (RFC 8259 8.1); readers exist", || {
            bytes(&CALL.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>())
        }),
        either("utf-16-be-with-a-mark", "not allowed between systems (RFC 8259 8.1); readers exist", || {
            bytes(&[0xfeff].into_iter().chain(CALL.encode_utf16()).flat_map(u16::to_be_bytes).collect::<Vec<_>>())
        }),
        either("utf-32-le", "not allowed between systems (RFC 8259 8.1); readers exist", || {
            bytes(&CALL.chars().flat_map(|c| u32::from(c).to_le_bytes()).collect::<Vec<_>>())
        }),
        either("utf-32-be", "not allowed between systems (RFC 8259 8.1); readers exist", || {
            bytes(&CALL.chars().flat_map(|c| u32::from(c).to_be_bytes()).collect::<Vec<_>>())
        }),
        either("bytes-that-are-not-utf-8", "an error or replaced (RFC 8259 8.1)", || {
            let (a, b) = CALL.split_once("budget").unwrap();
            bytes(&[a.as_bytes(), b"\xff\xc0\xaf\xed\xa0\x80", b.as_bytes()].concat())
        }),
        found("half-a-surrogate-pair", "allowed by the grammar (RFC 8259 8.2)", || {
            posted(&CALL.replace("budget", "\\ud800\\udfff\\udc00"))
        }),
        either("raw-line-break-in-a-string", LAX, || posted(&CALL.replace("budget", "bud\nget\t\u{1}"))),
        either("not-a-number", LAX, || posted(&CALL.replace("{\"q\"", "{\"n\":NaN,\"m\":-Infinity,\"q\""))),
        either("comments", LAX, || posted(&CALL.replace("\"method\"", "/* { */ \"method\" // \"\n"))),
        either("comma-at-the-end", LAX, || posted(&CALL.replace("}}}", "},},}"))),
        either("single-quotes", LAX, || posted(&CALL.replace('"', "'"))),
        either("keys-without-quotes", LAX, || posted(&CALL.replace("\"method\":", "method:"))),
        either("number-in-odd-form", LAX, || posted(&CALL.replace("\"id\":1", "\"id\":+0x01."))),
        either("key-in-another-case", "another key (RFC 8259 8.3); some readers ignore case", || {
            posted(&CALL.replace("\"method\"", "\"Method\""))
        }),
    ]
}

fn sizes() -> Vec<Trick> {
    fn nested(levels: usize) -> Vec<Turn> {
        let value = format!("{}{}", "[{\"a\":".repeat(levels / 2), "}]".repeat(levels / 2).replacen('}', "0}", 1));
        posted(&CALL.replace("\"method\"", &format!("\"x\":{value},\"method\"")))
    }
    vec![
        found("nested-to-50", "no limit is near (RFC 8259 9)", || nested(50)),
        either("nested-to-100000", "how deep a reader goes is its affair (RFC 8259 9)", || nested(100_000)),
        clean("nested-and-never-closed", "no JSON, no message; a reader must not fall over", || {
            posted(&CALL.replace("\"method\"", &format!("\"x\":{}", "[".repeat(300_000))))
        }),
        found("huge-numbers", "a number has any size (RFC 8259 6)", || {
            posted(&CALL.replace("\"method\"", &format!("\"a\":{},\"b\":-1.5E+99999999,\"method\"", "9".repeat(5000))))
        }),
        either("huge-id", "a reader may limit the range (RFC 8259 6)", || {
            posted(&CALL.replace("\"id\":1", &format!("\"id\":{}", "1234567890".repeat(100))))
        }),
        found("megabytes-before-the-method", "an object has no order and no size (RFC 8259 4)", || {
            posted(&CALL.replace("\"method\"", &format!("\"x\":\"{}\",\"method\"", "{\\\"a\\\":1} ".repeat(300_000))))
        }),
        found("many-members-before-the-method", "an object has no order and no size (RFC 8259 4)", || {
            let members: String = (0..100_000).map(|n| format!("\"k{n}\":{n},")).collect();
            posted(&CALL.replace("\"method\"", &format!("{members}\"method\"")))
        }),
        found("key-of-a-megabyte", "a key has any size (RFC 8259 7)", || {
            posted(&CALL.replace("\"method\"", &format!("\"{}\":0,\"method\"", "k".repeat(1 << 20))))
        }),
    ]
}

fn several() -> Vec<Trick> {
    vec![
        found("batch-of-one", "a batch may have one call (JSON-RPC 2.0 6)", || posted(&format!("[{CALL}]"))),
        found("batch-of-3000", "a batch has any size (JSON-RPC 2.0 6)", || {
            let noise = |n: usize| format!(r#"{{"jsonrpc":"2.0","id":{n},"method":"x.y"}},"#);
            posted(&format!("[{}{CALL}]", (0..3000).map(noise).collect::<String>()))
        }),
        found("batch-of-3000-calls", "a batch has any size (JSON-RPC 2.0 6)", || {
            let call = |n: usize| CALL.replace("\"id\":1", &format!("\"id\":{n}"));
            posted(&format!("[{}]", (0..3000).map(call).collect::<Vec<_>>().join(",")))
        }),
        clean("batch-in-a-batch", "an item that is a list is no call (JSON-RPC 2.0 6)", || {
            posted(&format!("[[{CALL}]]"))
        }),
        found("batch-with-a-vendors-call", "calls are independent (JSON-RPC 2.0 6)", || {
            posted(&format!("[{},{CALL}]", r#"{"jsonrpc":"2.0","id":9,"method":"x.y"}"#))
        }),
        either("batch-with-a-language-servers-call", "whose protocol the batch is, nobody can tell", || {
            posted(&format!("[{},{CALL}]", r#"{"jsonrpc":"2.0","id":9,"method":"textDocument/hover","params":{}}"#))
        }),
        either("batch-with-rubbish", "each item is answered by itself (JSON-RPC 2.0 6)", || {
            posted(&format!("[1,null,\"a\",{CALL},{{}}]"))
        }),
        either("several-documents-by-line", "not one text (RFC 8259 2); line readers take it", || {
            posted(&format!("{{\"note\":1}}\n{CALL}\n{{\"note\":2}}\n"))
        }),
        either("several-documents-without-a-gap", "not one text (RFC 8259 2); stream readers take it", || {
            posted(&format!("{{\"note\":1}}{CALL}"))
        }),
        either("document-behind-a-record-separator", "a text sequence (RFC 7464)", || {
            posted(&format!("\u{1e}{CALL}\n"))
        }),
        either("text-in-front", "no JSON; some strip a prefix", || posted(&format!(")]}}',\n{CALL}"))),
        either("text-behind", "no JSON; many readers stop at the end of the value", || {
            posted(&format!("{CALL} and so on"))
        }),
        either("in-a-form", "no JSON; some servers unpack it", || posted(&format!("payload={CALL}&x=y"))),
    ]
}

fn harmless() -> Vec<Trick> {
    fn quoted() -> String {
        CALL.replace('\\', "\\\\").replace('"', "\\\"")
    }
    vec![
        clean("mcp-in-a-string", "a string says nothing of itself", || {
            posted(&format!("{{\"text\":\"{}\"}}", quoted()))
        }),
        clean("mcp-in-a-member", "only the top level is a message (JSON-RPC 2.0 4)", || {
            posted(&format!("{{\"example\":{CALL},\"text\":\"see there\"}}"))
        }),
        clean("mcp-in-a-json-rpc-argument", "another protocol's call that carries the words", || {
            posted(&format!(r#"{{"jsonrpc":"2.0","id":5,"method":"eth_call","params":[{{"data":"{}"}}]}}"#, quoted()))
        }),
        clean("language-server", "the same word, another protocol", || {
            posted(
                r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"processId":7,"rootUri":null,"capabilities":{"textDocument":{}}}}"#,
            )
        }),
        clean("method-that-is-no-string", "no call (JSON-RPC 2.0 4)", || {
            posted(r#"{"jsonrpc":"2.0","id":1,"method":["tools/call"],"params":{}}"#)
        }),
        clean("page-that-quotes-mcp", "documentation", || {
            let page = format!("<html><body><pre>{CALL}</pre></body></html>");
            answered(http::message("HTTP/1.1 200 OK\nContent-Type: text/html", page.as_bytes()))
        }),
        clean("model-answer-that-quotes-mcp", "a model that talks about MCP", || {
            let body = format!(r#"{{"choices":[{{"message":{{"role":"assistant","content":"{}"}}}}]}}"#, quoted());
            answered(http::json("", &body))
        }),
    ]
}
