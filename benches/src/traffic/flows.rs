//! The kinds of flows.

use super::{Profile, Script, tls};
use crate::bodies;
use testkit::{Direction, Rng, Turn, http};

type Make = fn(&mut Rng) -> Vec<Turn>;

/// Kinds in clear text: share, name, whether it is MCP. For ten flows of MCP there is one that patterns take for it.
const CLEAR: &[(usize, &str, bool, Make)] = &[
    (240, "page", false, |rng| pages(rng, Coding::None)),
    (140, "page-gzip", false, |rng| pages(rng, Coding::Gzip)),
    (160, "api", false, api),
    (100, "records", false, |rng| records(rng, Coding::None)),
    (80, "records-gzip", false, |rng| records(rng, Coding::Gzip)),
    (80, "posts", false, posts),
    (50, "download", false, download),
    (40, "stream", false, stream),
    (4, "article", false, article),
    (4, "language-server", false, language_server),
    (30, "mcp", true, |rng| mcp(rng, Answer::Json, "")),
    (20, "mcp-events", true, |rng| mcp(rng, Answer::Events, "")),
    (10, "mcp-escaped", true, |rng| mcp(rng, Answer::Json, "\\")),
    (10, "mcp-stateless", true, stateless),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Coding {
    None,
    Gzip,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Answer {
    Json,
    Events,
}

/// One flow of a profile.
pub(super) fn choose(profile: Profile, rng: &mut Rng) -> Script {
    // More than half of the bytes of the mix are in TLS, in some 40 % of the flows.
    if profile == Profile::Mixed && rng.below(100) < 42 {
        let name = format!("{}.vendor.example", rng.word(6));
        let len = 20_000 + rng.below(140_000);
        return Script { kind: "tls", mcp: false, turns: tls::session(rng, &name, len) };
    }
    let mut left = rng.below(CLEAR.iter().map(|(share, ..)| share).sum());
    for (share, kind, mcp, make) in CLEAR {
        if left < *share {
            return Script { kind, mcp: *mcp, turns: make(rng) };
        }
        left -= share;
    }
    unreachable!("shares add up")
}

fn get(rng: &mut Rng, accept: &str) -> Vec<u8> {
    let (path, cookie) = (rng.word(8), rng.word(24));
    http::request(&format!(
        "GET /{path}/{}?page={} HTTP/1.1\nHost: www.vendor.example\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; \
         rv:128.0) Gecko/20100101 Firefox/128.0\nAccept: {accept}\nAccept-Language: en-GB,en;q=0.5\nAccept-Encoding: \
         gzip, deflate, br\nConnection: keep-alive\nCookie: sid={cookie}; theme=dark\n\n",
        rng.below(999),
        rng.below(30)
    ))
}

/// A final answer, in chunks where the body is long every third time.
fn answer(rng: &mut Rng, kind: &str, coding: Coding, body: &[u8]) -> Vec<u8> {
    let label = if coding == Coding::Gzip { "\nContent-Encoding: gzip" } else { "" };
    let head = format!(
        "HTTP/1.1 200 OK\nDate: Mon, 23 Nov 2026 09:12:01 GMT\nServer: nginx\nCache-Control: no-store\n\
         Content-Type: {kind}{label}"
    );
    let packed = (coding == Coding::Gzip).then(|| http::gzip(body));
    let body = packed.as_deref().unwrap_or(body);
    if body.len() > 2000 && rng.below(3) == 0 {
        http::chunked(&head, body, 1000 + rng.below(7000), "")
    } else {
        http::message(&head, body)
    }
}

fn turns(pairs: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>) -> Vec<Turn> {
    pairs.into_iter().flat_map(|(up, down)| [(Direction::ToServer, up), (Direction::ToClient, down)]).collect()
}

/// Some exchanges on one connection.
fn some(rng: &mut Rng, most: usize, mut make: impl FnMut(&mut Rng) -> (Vec<u8>, Vec<u8>)) -> Vec<Turn> {
    let n = 1 + rng.below(most);
    turns((0..n).map(|_| make(rng)).collect::<Vec<_>>())
}

fn pages(rng: &mut Rng, coding: Coding) -> Vec<Turn> {
    some(rng, 5, |rng| {
        let len = 4000 + rng.below(50_000);
        let body = bodies::page(rng, len);
        (get(rng, "text/html,application/xhtml+xml"), answer(rng, "text/html; charset=utf-8", coding, body.as_bytes()))
    })
}

fn api(rng: &mut Rng) -> Vec<Turn> {
    some(rng, 30, |rng| {
        let body = bodies::record(rng);
        (get(rng, "application/json"), answer(rng, "application/json", Coding::None, body.as_bytes()))
    })
}

fn records(rng: &mut Rng, coding: Coding) -> Vec<Turn> {
    some(rng, 4, |rng| {
        let len = 2000 + rng.below(40_000);
        let body = bodies::records(rng, len);
        (get(rng, "application/json"), answer(rng, "application/json", coding, body.as_bytes()))
    })
}

fn posts(rng: &mut Rng) -> Vec<Turn> {
    some(rng, 8, |rng| {
        let (len, path) = (200 + rng.below(4000), rng.word(6));
        let asked = bodies::records(rng, len);
        let head = format!(
            "POST /api/{path} HTTP/1.1\nHost: api.vendor.example\nUser-Agent: sync/4.1\nContent-Type: application/json"
        );
        let body = bodies::record(rng);
        let down = answer(rng, "application/json", Coding::None, body.as_bytes());
        (http::message(&head, asked.as_bytes()), down)
    })
}

fn download(rng: &mut Rng) -> Vec<Turn> {
    let len = 50_000 + rng.below(400_000);
    let body = bodies::opaque(rng, len);
    turns([(get(rng, "*/*"), answer(rng, "application/octet-stream", Coding::None, &body))])
}

/// An answer of a language model, word by word.
fn stream(rng: &mut Rng) -> Vec<Turn> {
    let asked = r#"{"model":"m-1","stream":true,"messages":[{"role":"user","content":"hello"}]}"#;
    let head = "POST /v1/chat/completions HTTP/1.1\nHost: llm.vendor.example\nContent-Type: application/json";
    let ok = "HTTP/1.1 200 OK\nContent-Type: text/event-stream\nTransfer-Encoding: chunked\n\n";
    let mut all =
        vec![(Direction::ToServer, http::message(head, asked.as_bytes())), (Direction::ToClient, http::request(ok))];
    let end = b"0\r\n\r\n";
    for _ in 0..20 + rng.below(200) {
        let bytes = http::events(&[("", bodies::CHUNK)], "\n");
        let mut chunk = http::chunks(&bytes, bytes.len(), "");
        chunk.truncate(chunk.len() - end.len());
        all.push((Direction::ToClient, chunk));
    }
    all.push((Direction::ToClient, end.to_vec()));
    all
}

/// Documentation that quotes what the patterns look for.
fn article(rng: &mut Rng) -> Vec<Turn> {
    let body = format!(
        "{}<pre>{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\"}}</pre>{}",
        bodies::page(rng, 6000),
        bodies::page(rng, 6000)
    );
    turns([(get(rng, "text/html"), answer(rng, "text/html; charset=utf-8", Coding::None, body.as_bytes()))])
}

/// The language server protocol over HTTP: the same words, and no MCP.
fn language_server(rng: &mut Rng) -> Vec<Turn> {
    let head = "POST /lsp HTTP/1.1\nHost: ide.vendor.example\nContent-Type: application/json";
    let asked = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"processId":17,"rootUri":"file:///src","capabilities":{"textDocument":{"hover":{}}}}}"#;
    let body = r#"{"jsonrpc":"2.0","id":1,"result":{"capabilities":{"hoverProvider":true,"textDocumentSync":1}}}"#;
    let first = (http::message(head, asked.as_bytes()), answer(rng, "application/json", Coding::None, body.as_bytes()));
    turns([first])
}

fn post(extra: &str, json: &str) -> Vec<u8> {
    http::post("notes.corp.example", "/mcp", &format!("User-Agent: agent/1.4\n{extra}"), json)
}

/// A conversation as of 2025-06-18. `slash` stands before the slash of method names, as some encoders write it.
fn mcp(rng: &mut Rng, how: Answer, slash: &str) -> Vec<Turn> {
    let session = format!("Mcp-Session-Id: {}\nMCP-Protocol-Version: 2025-06-18\n", rng.word(32));
    let reply = |rng: &mut Rng, json: &str, extra: &str| match how {
        Answer::Json => http::json(extra, json),
        Answer::Events => {
            let head = format!("HTTP/1.1 200 OK\nContent-Type: text/event-stream\n{extra}");
            http::chunked(&head, &http::events(&[("message", json)], "\n"), 400 + rng.below(2000), "")
        }
    };
    let hello = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"agent","version":"1.4"}}}"#;
    let welcome = r#"{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},"serverInfo":{"name":"notes","version":"2.0"}}}"#;
    let ready = format!(r#"{{"jsonrpc":"2.0","method":"notifications{slash}/initialized"}}"#);
    let mut all = turns([
        (post("", hello), reply(rng, welcome, &session)),
        (post(&session, &ready), http::request("HTTP/1.1 202 Accepted\nContent-Length: 0\n\n")),
    ]);
    for id in 2..4 + rng.below(6) {
        let call = format!(
            r#"{{"jsonrpc":"2.0","id":{id},"method":"tools{slash}/call","params":{{"name":"note_find","arguments":{{"q":"{}"}}}}}}"#,
            rng.word(8)
        );
        let size = 100 + rng.below(6000);
        let result = format!(
            r#"{{"jsonrpc":"2.0","id":{id},"result":{{"content":[{{"type":"text","text":"{}"}}],"isError":false}}}}"#,
            bodies::page(rng, size).replace('"', "'").replace('\n', " ")
        );
        all.extend(turns([(post(&session, &call), reply(rng, &result, ""))]));
    }
    all
}

/// A call as of 2026-07-28: no handshake, facts in headers.
fn stateless(rng: &mut Rng) -> Vec<Turn> {
    some(rng, 4, |rng| {
        let extra = "MCP-Protocol-Version: 2026-07-28\nMcp-Method: tools/call\nMcp-Name: note_find\n";
        let call = format!(
            r#"{{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{{"name":"note_find","arguments":{{"q":"{}"}},"_meta":{{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}}}}"#,
            rng.word(8)
        );
        let result = r#"{"jsonrpc":"2.0","id":7,"result":{"resultType":"complete","content":[{"type":"text","text":"three notes"}]}}"#;
        (post(extra, &call), http::json("", result))
    })
}
