//! Tricks of HTTP/1: where messages begin and end (RFC 9112), and what is asked of whom (RFC 9110, RFC 3986).

use super::{CALL, HOST, TOOLS, Trick, answered, asked, call, clean, either, found, get, plain, taken};
use crate::Direction::{ToClient, ToServer};
use crate::{Turn, http, websocket};

pub(super) fn tricks() -> Vec<Trick> {
    [lines(), lengths(), codings(), chunks(), forms(), answers(), connections(), paths(), hosts()].concat()
}

/// A request with these field lines (each ends itself) and `rest` behind its head.
fn post(fields: &str, rest: &[u8]) -> Vec<u8> {
    let head = format!("POST /rpc HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/json\r\n{fields}\r\n");
    [head.as_bytes(), rest].concat()
}

/// `Content-Length` of the call, as a field value.
fn length() -> String {
    CALL.len().to_string()
}

/// The call behind these field lines, which say how long it is.
fn with(fields: &str) -> Vec<Turn> {
    asked(post(&fields.replace("LENGTH", &length()), CALL.as_bytes()))
}

/// The call in chunks, behind these field lines.
fn chunked(fields: &str, size: usize, extension: &str) -> Vec<Turn> {
    asked(post(fields, &http::chunks(CALL.as_bytes(), size, extension)))
}

const TE: &str = "Transfer-Encoding: chunked\r\n";

fn lines() -> Vec<Trick> {
    vec![
        either("bare-lf-in-a-head", "a receiver may take a bare LF for a line end (RFC 9112 2.2)", || {
            let text = String::from_utf8(call()).unwrap();
            asked(text.replace("\r\n", "\n"))
        }),
        either("bare-lf-in-one-line", "a receiver may take a bare LF for a line end (RFC 9112 2.2)", || {
            with("X-A: b\nContent-Length: LENGTH\r\n")
        }),
        either("bare-lf-in-chunks", "a receiver may take a bare LF for a line end (RFC 9112 2.2)", || {
            let body = String::from_utf8(http::chunks(CALL.as_bytes(), 30, "")).unwrap();
            asked(post(TE, body.replace("\r\n", "\n").as_bytes()))
        }),
        either("bare-cr-in-a-head", "a bare CR is an error or a blank (RFC 9112 2.2)", || {
            with("X-A: b\rX-C: d\r\nContent-Length: LENGTH\r\n")
        }),
        either("nul-in-a-head", "a NUL in a value is an error or a blank (RFC 9110 5.5)", || {
            with("X-A: b\0c\r\nContent-Length: LENGTH\r\n")
        }),
        either("blank-before-a-colon", "an error for a server (RFC 9112 5.1); some servers take it", || {
            with("Content-Length : LENGTH\r\n")
        }),
        found("blank-line-before-a-request", "a server ignores it (RFC 9112 2.2)", || {
            vec![(ToServer, [b"\r\n", &call()[..]].concat()), (ToClient, taken())]
        }),
        found("blank-lines-between-requests", "a server ignores them (RFC 9112 2.2)", || {
            let second = vec![(ToServer, [b"\r\n\r\n\r\n", &call()[..]].concat()), (ToClient, taken())];
            [asked(plain()), second].concat()
        }),
        either("folded-field", "a server refuses it or unfolds it (RFC 9112 5.2)", || {
            with("X-A: b\r\n c\r\nContent-Length: LENGTH\r\n")
        }),
        either("folded-length", "a server refuses it or unfolds it (RFC 9112 5.2)", || {
            with("Content-Length:\r\n LENGTH\r\n")
        }),
        found("folded-field-of-an-answer", "a client unfolds it (RFC 9112 5.2)", || {
            let head = "HTTP/1.1 200 OK\r\nContent-Type:\r\n\tapplication/json\r\nContent-Length:\r\n ";
            answered(format!("{head}{}\r\n\r\n{TOOLS}", TOOLS.len()))
        }),
        either("head-over-the-limit", "how long a head may be is the receiver's affair (RFC 9112 3)", || {
            let fields: String = (0..3000).map(|n| format!("X-Filler-{n}: {}\r\n", "x".repeat(40))).collect();
            with(&format!("{fields}Content-Length: LENGTH\r\n"))
        }),
        found("many-fields", "no limit is near (RFC 9110 5.4)", || {
            let fields: String = (0..500).map(|n| format!("X-{n}: y\r\n")).collect();
            with(&format!("{fields}Content-Length: LENGTH\r\n"))
        }),
    ]
}

fn lengths() -> Vec<Trick> {
    vec![
        either("length-twice", "a receiver refuses it or takes it as one (RFC 9112 6.3)", || {
            with("Content-Length: LENGTH\r\nContent-Length: LENGTH\r\n")
        }),
        either("length-as-a-list", "a receiver refuses it or takes it as one (RFC 9110 8.6)", || {
            with("Content-Length: LENGTH, LENGTH\r\n")
        }),
        either("lengths-that-differ", "an error (RFC 9112 6.3); who goes on takes the first or the last", || {
            with("Content-Length: LENGTH\r\nContent-Length: 3\r\n")
        }),
        either(
            "lengths-that-differ-last-is-true",
            "an error (RFC 9112 6.3); who goes on takes the first or the last",
            || with("Content-Length: 0\r\nContent-Length: LENGTH\r\n"),
        ),
        either(
            "lengths-that-differ-in-a-list",
            "an error (RFC 9112 6.3); who goes on takes the first or the last",
            || with("Content-Length: 0, LENGTH\r\n"),
        ),
        either("length-with-a-sign", "no number (RFC 9110 8.6); some libraries read it", || {
            with("Content-Length: +LENGTH\r\n")
        }),
        either("length-in-hexadecimal", "no number (RFC 9110 8.6); some libraries read it", || {
            asked(post(&format!("Content-Length: {:#x}\r\n", CALL.len()), CALL.as_bytes()))
        }),
        found("length-with-zeros-in-front", "a number of any number of digits (RFC 9110 8.6)", || {
            with("Content-Length: 0000000LENGTH\r\n")
        }),
        either("length-beyond-64-bits", "a server must not be fooled by overflow (RFC 9110 8.6)", || {
            with("Content-Length: 18446744073709551999\r\n")
        }),
        found("length-and-chunks", "chunks win (RFC 9112 6.3)", || {
            chunked(&format!("{TE}Content-Length: 6\r\n"), 40, "")
        }),
        found("length-of-nothing-and-chunks", "chunks win (RFC 9112 6.3)", || {
            chunked(&format!("Content-Length: 0\r\n{TE}"), 1000, "")
        }),
    ]
}

fn codings() -> Vec<Trick> {
    const WHY: &str = "an error (RFC 9112 6.1); receivers see chunks, a length, or neither";
    vec![
        found("chunked-in-odd-case", "the names of codings have no case (RFC 9112 7)", || {
            chunked("tRaNsFeR-eNcOdInG: \t cHuNkEd \t\r\n", 40, "")
        }),
        either("transfer-coding-unknown", WHY, || chunked("Transfer-Encoding: xchunked\r\n", 1000, "")),
        either("transfer-coding-identity-first", WHY, || chunked("Transfer-Encoding: identity, chunked\r\n", 40, "")),
        either("chunked-not-last", WHY, || chunked("Transfer-Encoding: chunked, identity\r\n", 40, "")),
        either("chunked-twice", WHY, || chunked(&format!("{TE}{TE}"), 40, "")),
        either("chunked-behind-a-vertical-tab", WHY, || chunked("Transfer-Encoding: \x0bchunked\r\n", 40, "")),
        either("chunked-in-quotes", WHY, || chunked("Transfer-Encoding: \"chunked\"\r\n", 1000, "")),
        either("chunked-with-a-parameter", WHY, || chunked("Transfer-Encoding: chunked;q=1\r\n", 40, "")),
        either("chunked-in-a-folded-line", WHY, || chunked("Transfer-Encoding:\r\n chunked\r\n", 40, "")),
        either("chunked-in-1.0", "a server cannot trust it (RFC 9112 6.1)", || {
            let head = format!("POST /rpc HTTP/1.0\r\nHost: {HOST}\r\n{TE}\r\n");
            asked([head.as_bytes(), &http::chunks(CALL.as_bytes(), 40, "")].concat())
        }),
        either("gzip-as-transfer-coding", "a server decodes it or says 501 (RFC 9112 7)", || {
            asked(post("Transfer-Encoding: gzip, chunked\r\n", &http::chunks(&http::gzip(CALL.as_bytes()), 40, "")))
        }),
    ]
}

fn chunks() -> Vec<Trick> {
    vec![
        found("chunk-extensions", "a receiver ignores what it does not know (RFC 9112 7.1.1)", || {
            chunked(TE, 7, ";a=b;c=\"d;\\\"e\";f")
        }),
        found("chunk-extension-of-20-kB", "a receiver ignores what it does not know (RFC 9112 7.1.1)", || {
            chunked(TE, 60, &format!(";a={}", "b".repeat(20_000)))
        }),
        found("chunk-extension-that-quotes-mcp", "an extension is no content (RFC 9112 7.1.1)", || {
            chunked(TE, 60, r#";x="{'method':'ping'}""#)
        }),
        found("chunk-trailers", "fields behind the last chunk are no content (RFC 9112 7.1.2)", || {
            let body = String::from_utf8(http::chunks(CALL.as_bytes(), 40, "")).unwrap();
            asked(post(TE, body.replace("0\r\n\r\n", "0\r\nX-A: {\r\nContent-Length: 9\r\n\r\n").as_bytes()))
        }),
        found("chunk-size-in-upper-case", "hexadecimal has no case (RFC 9112 7.1)", || {
            let body = format!("{:X}\r\n{CALL}\r\n0\r\n\r\n", CALL.len());
            asked(post(TE, body.as_bytes()))
        }),
        found("chunk-size-with-zeros-in-front", "any number of digits (RFC 9112 7.1)", || {
            let body = format!("{:0>40x}\r\n{CALL}\r\n0000\r\n\r\n", CALL.len());
            asked(post(TE, body.as_bytes()))
        }),
        found("chunks-of-one-byte", "chunks are no boundaries of content (RFC 9112 7.1)", || chunked(TE, 1, "")),
        either("chunk-size-overflows", "a receiver must not be fooled by overflow (RFC 9112 7.1)", || {
            let body = format!("1000000000000000{:x}\r\n{CALL}\r\n0\r\n\r\n", CALL.len());
            asked(post(TE, body.as_bytes()))
        }),
        either("chunk-size-with-a-prefix", "no chunk size (RFC 9112 7.1); some libraries read it", || {
            asked(post(TE, format!("0x{:x}\r\n{CALL}\r\n0\r\n\r\n", CALL.len()).as_bytes()))
        }),
        either("chunk-longer-than-it-says", "an error (RFC 9112 7.1); some receivers look for the next line", || {
            asked(post(TE, format!("{:x}\r\n{CALL}\r\n0\r\n\r\n", CALL.len() - 1).as_bytes()))
        }),
    ]
}

fn forms() -> Vec<Trick> {
    vec![
        found("absolute-form", "a server takes it (RFC 9112 3.2.2)", || {
            let text = String::from_utf8(call()).unwrap();
            asked(text.replace("POST /rpc", "POST http://notes.corp.example/rpc"))
        }),
        found("absolute-form-of-another-host", "the target wins over Host (RFC 9112 3.2.2)", || {
            let text = String::from_utf8(call()).unwrap();
            asked(text.replace("POST /rpc", "POST HTTP://Other.Corp.Example:80/rpc"))
        }),
        found("authority-form", "what goes through the tunnel is a conversation of its own (RFC 9110 9.3.6)", || {
            let connect = http::request("CONNECT notes.corp.example:80 HTTP/1.1\nHost: notes.corp.example:80\n\n");
            let established = http::request("HTTP/1.1 200 Connection established\n\n");
            [vec![(ToServer, connect), (ToClient, established)], asked(call())].concat()
        }),
        found(
            "method-in-lower-case",
            "a method of its own (RFC 9110 9.1); what it carries is MCP all the same",
            || {
                let text = String::from_utf8(call()).unwrap();
                asked(text.replace("POST /rpc", "post /rpc"))
            },
        ),
        found("get-with-a-body", "content has no meaning for GET, yet it was sent (RFC 9110 9.3.1)", || {
            let text = String::from_utf8(call()).unwrap();
            asked(text.replace("POST /rpc", "GET /rpc"))
        }),
        either("request-line-with-many-blanks", "a server may split at any blanks (RFC 9112 3)", || {
            let text = String::from_utf8(call()).unwrap();
            asked(text.replace("POST /rpc HTTP/1.1", "POST \t /rpc \t  HTTP/1.1"))
        }),
        either("version-1.9", "a minor version that does not exist (RFC 9110 6.2)", || {
            let text = String::from_utf8(call()).unwrap();
            asked(text.replace("HTTP/1.1", "HTTP/1.9"))
        }),
    ]
}

fn answers() -> Vec<Trick> {
    fn storm(n: usize, interim: &str) -> Vec<Turn> {
        answered([http::request(interim).repeat(n), http::json("", TOOLS)].concat())
    }
    /// The answer to a request that allows no content, then the call's own.
    fn bodiless(method: &str, answer: &str) -> Vec<Turn> {
        let first = http::request(&format!("{method} /feed HTTP/1.1\nHost: {HOST}\n\n"));
        let both = [http::request(answer), http::json("", TOOLS)].concat();
        vec![(ToServer, [first, get()].concat()), (ToClient, both)]
    }
    const BODY: &str = "what follows the head is the next answer (RFC 9112 6.3)";
    vec![
        either("0.9-answer", "hardly a client takes an answer without a head (RFC 9112 A)", || {
            vec![(ToServer, b"GET /feed\r\n".to_vec()), (ToClient, TOOLS.as_bytes().to_vec())]
        }),
        found("1.0-answer-until-close", "without a length until the end (RFC 9112 6.3)", || {
            answered(format!("HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n{TOOLS}"))
        }),
        found("1.0-request", "HTTP/1.0 has bodies as well (RFC 9112 6.3)", || {
            let text = String::from_utf8(call()).unwrap();
            asked(text.replace("HTTP/1.1", "HTTP/1.0"))
        }),
        found("storm-of-100", "any number of interim answers (RFC 9110 15.2)", || {
            storm(2000, "HTTP/1.1 100 Continue\n\n")
        }),
        found("storm-of-103", "any number of interim answers (RFC 9110 15.2)", || {
            storm(300, "HTTP/1.1 103 Early Hints\nLink: </a>\nContent-Length: 70\n\n")
        }),
        found("storm-of-199", "an unknown 1xx is one (RFC 9110 15)", || storm(300, "HTTP/1.1 199 Odd\n\n")),
        found("answer-to-head", "never a body (RFC 9112 6.3)", || {
            bodiless("HEAD", "HTTP/1.1 200 OK\nContent-Type: application/json\nContent-Length: 99\n\n")
        }),
        found("204-with-a-length", BODY, || bodiless("GET", "HTTP/1.1 204 No Content\nContent-Length: 99\n\n")),
        found("304-with-a-length", BODY, || bodiless("GET", "HTTP/1.1 304 Not Modified\nContent-Length: 99\n\n")),
        found("304-in-chunks", BODY, || bodiless("GET", "HTTP/1.1 304 Not Modified\nTransfer-Encoding: chunked\n\n")),
        either("204-with-a-body", "it has none (RFC 9110 15.3.5); a client may read one or close", || {
            let head =
                format!("HTTP/1.1 204 No Content\r\nContent-Type: application/json\r\nContent-Length: {}", TOOLS.len());
            answered(format!("{head}\r\n\r\n{TOOLS}"))
        }),
        either("304-with-a-body", "it has none (RFC 9110 15.4.5); a client may read one or close", || {
            let head = format!(
                "HTTP/1.1 304 Not Modified\r\nContent-Type: application/json\r\nContent-Length: {}",
                TOOLS.len()
            );
            answered(format!("{head}\r\n\r\n{TOOLS}"))
        }),
        either("answer-to-head-with-a-body", "it has none (RFC 9110 9.3.2); a client may read one or close", || {
            let head = http::request(&format!("HEAD /feed HTTP/1.1\nHost: {HOST}\n\n"));
            vec![(ToServer, head), (ToClient, http::json("", TOOLS))]
        }),
        found("205-with-a-body", "205 has content like any other for framing (RFC 9112 6.3)", || {
            let head = format!(
                "HTTP/1.1 205 Reset Content\r\nContent-Type: application/json\r\nContent-Length: {}",
                TOOLS.len()
            );
            answered(format!("{head}\r\n\r\n{TOOLS}"))
        }),
    ]
}

fn connections() -> Vec<Trick> {
    fn upgrade() -> Vec<u8> {
        http::request(&format!(
            "GET /socket HTTP/1.1\nHost: {HOST}\nConnection: Upgrade\nUpgrade: websocket\nSec-WebSocket-Version: 13\nSec-WebSocket-Key: x3JJHMbDL1EzLkh9GBhXDw==\n\n"
        ))
    }
    vec![
        found("pipelined-behind-many", "answers come in the order of requests (RFC 9112 9.3.2)", || {
            let page = http::request("HTTP/1.1 200 OK\nContent-Type: text/plain\n\nok");
            let asks = [get().repeat(30), call(), get()].concat();
            vec![(ToServer, asks), (ToClient, [page.repeat(30), taken(), page].concat())]
        }),
        found("answer-pipelined-behind-many", "answers come in the order of requests (RFC 9112 9.3.2)", || {
            let page = http::request("HTTP/1.1 200 OK\nContent-Type: text/plain\n\nok");
            vec![(ToServer, get().repeat(31)), (ToClient, [page.repeat(30), http::json("", TOOLS)].concat())]
        }),
        found("answered-before-the-request-ends", "a server may answer early (RFC 9112 9.3)", || {
            let (head, rest) = (call()[..80].to_vec(), call()[80..].to_vec());
            vec![(ToServer, head), (ToClient, taken()), (ToServer, rest)]
        }),
        found("upgrade-in-mid-connection", "the protocol changes behind 101 (RFC 9110 7.8)", || {
            let switch = "HTTP/1.1 101 Switching Protocols\nConnection: Upgrade\nUpgrade: websocket\nSec-WebSocket-Accept: HSmrc0sMlYUkAGmm5OPpG2HaGWk=\n\n";
            let frame = websocket::frame(1, CALL.as_bytes(), Some([0x37, 0xfa, 0x21, 0x3d]));
            let upgraded = vec![(ToServer, upgrade()), (ToClient, http::request(switch)), (ToServer, frame)];
            [asked(plain()), asked(plain()), upgraded].concat()
        }),
        found("upgrade-refused", "the connection stays HTTP (RFC 9110 7.8)", || {
            let refused = http::request("HTTP/1.1 200 OK\nContent-Type: text/plain\n\nno");
            [vec![(ToServer, upgrade()), (ToClient, refused)], asked(call())].concat()
        }),
        found("upgrade-to-something-unknown-refused", "the connection stays HTTP (RFC 9110 7.8)", || {
            let ask = http::request(&format!("GET / HTTP/1.1\nHost: {HOST}\nConnection: Upgrade\nUpgrade: odd/7\n\n"));
            [vec![(ToServer, ask), (ToClient, taken())], asked(call())].concat()
        }),
    ]
}

/// A message that is only JSON-RPC, at an endpoint that the built-in list knows: path and host must be read right.
fn listed(host: &str, path: &str) -> Vec<Turn> {
    asked(http::post(host, path, "", r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#))
}

const LISTED: &str = "api.githubcopilot.com";

fn paths() -> Vec<Trick> {
    vec![
        found("path-percent-encoded", "an unreserved character stands for itself (RFC 3986 6.2.2.2)", || {
            listed(LISTED, "/%6d%63%70/")
        }),
        found("path-percent-encoded-in-either-case", "hexadecimal has no case (RFC 3986 6.2.2.1)", || {
            listed(LISTED, "/%6Dc%70")
        }),
        found(
            "path-encoded-twice",
            "decoded once it is another path (RFC 3986 2.4); MCP is found by what it says",
            || asked(http::post(HOST, "/%256d%2563%2570", "", CALL)),
        ),
        found("path-with-two-slashes", "not equal, yet servers merge them; MCP is found by what it says", || {
            asked(http::post(HOST, "//rpc///mcp//", "", CALL))
        }),
        found("path-with-dots", "dot segments are taken out (RFC 3986 5.2.4)", || listed(LISTED, "/a/./../mcp/.")),
        found(
            "path-in-upper-case",
            "another path by the standard (RFC 3986 6.2.2.1); MCP is found by what it says",
            || asked(http::post(HOST, "/MCP", "", CALL)),
        ),
        found("path-not-utf-8", "a path is bytes (RFC 3986 2.5)", || {
            let text = String::from_utf8(call()).unwrap();
            let (before, after) = text.split_once("/rpc").unwrap();
            asked([before.as_bytes(), b"/r\xff\xfe%ff%00pc", after.as_bytes()].concat())
        }),
    ]
}

fn hosts() -> Vec<Trick> {
    fn host(line: &str) -> Vec<Turn> {
        let text = String::from_utf8(call()).unwrap();
        asked(text.replace(&format!("Host: {HOST}\r\n"), line))
    }
    vec![
        found("host-with-a-port", "the name is what stands before the port (RFC 3986 3.2)", || {
            listed("api.githubcopilot.com:80", "/mcp/")
        }),
        found("host-with-a-dot-at-the-end", "the same name (RFC 3986 3.2.2)", || {
            listed("api.githubcopilot.com.", "/mcp/")
        }),
        found("host-in-upper-case", "names have no case (RFC 3986 3.2.2)", || listed("API.GitHubCopilot.COM", "/mcp/")),
        either("host-percent-encoded", "a name may be encoded (RFC 3986 3.2.2); hardly a receiver decodes it", || {
            listed("api.%67ithubcopilot.com", "/mcp/")
        }),
        found("host-of-another-script", "a name is bytes here; MCP is found by what it says (RFC 5891)", || {
            host("Host: \u{43d}\u{43e}\u{442}\u{44b}.corp.example\r\n")
        }),
        found("host-in-punycode", "a name like any other (RFC 3492)", || {
            host("Host: xn--80aacf4bwnk3a.corp.example\r\n")
        }),
        either("host-twice", "a server answers 400 (RFC 9112 3.2); who goes on takes one of them", || {
            host("Host: www.corp.example\r\nHost: notes.corp.example\r\n")
        }),
        either("host-missing", "a server answers 400 (RFC 9112 3.2); who goes on takes a default", || host("")),
        found("host-in-odd-case-of-name", "field names have no case (RFC 9110 5.1)", || {
            host("hOsT:notes.corp.example\r\n")
        }),
        clean("page-at-a-listed-host", "a visit to a shared host is no use of MCP", || {
            let page = "GET /about HTTP/1.1\nHost: api.githubcopilot.com\nAccept: text/html\n\n";
            vec![
                (ToServer, http::request(page)),
                (ToClient, http::request("HTTP/1.1 200 OK\nContent-Type: text/html\n\n<p>tools/call</p>")),
            ]
        }),
    ]
}
