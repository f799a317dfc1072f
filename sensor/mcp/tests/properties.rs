//! What must hold for any body: `serde_json` is the oracle, cuts change nothing, memory stays bounded, secrets
//! stay out.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may fail loudly"
)]

use std::fmt::Write as _;

use mcp::{
    BodyKind, Document, Limits, MAX_ARGUMENTS, MAX_LIST, MAX_TEXT, Message, PathFacts, Reader, Verdict, clean_uri,
    endpoint_url, header_mismatch, judge, request_facts, response_facts,
};
use proptest::{collection::vec, prelude::*};
use proto::{Field, Headers, RequestHead, ResponseHead};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

fn read_pieces(body: &[u8], cuts: &[usize]) -> (Vec<Message>, BodyKind, Document) {
    let mut reader = Reader::new();
    let mut messages = Vec::new();
    let mut rest = body;
    for cut in cuts {
        let (piece, tail) = rest.split_at((*cut).min(rest.len()));
        reader.feed(&Limits::default(), piece, &mut |m| messages.push(m));
        rest = tail;
    }
    reader.feed(&Limits::default(), rest, &mut |m| messages.push(m));
    let kind = reader.finish(&mut |m| messages.push(m));
    (messages, kind, reader.document().clone())
}

fn read(body: &[u8]) -> (Vec<Message>, BodyKind, Document) {
    read_pieces(body, &[])
}

/// Names that matter.
const KNOWN: &[&str] = &[
    "method",
    "id",
    "jsonrpc",
    "params",
    "result",
    "error",
    "arguments",
    "name",
    "uri",
    "_meta",
    "tools",
    "type",
    "inputSchema",
    "content",
    "capabilities",
    "serverInfo",
    "code",
    "data",
    "resource",
    "mcp_servers",
    "url",
    "io.modelcontextprotocol/protocolVersion",
    "protocolVersion",
    "supported",
    "inputRequests",
];

/// Names that matter, and names that do not.
fn key() -> impl Strategy<Value = String> {
    prop_oneof![4 => prop::sample::select(KNOWN).prop_map(str::to_owned), 1 => ".{0,6}"]
}

fn document() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        prop::sample::select(&["2.0", "tools/call", "initialize", "text", "a\"b\\c/é𝄞\u{1}"][..]).prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 60, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..5).prop_map(Value::from),
            vec((key(), inner), 0..6).prop_map(|m| Value::Object(m.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

/// Writes JSON as differently as it may be written: blanks, and escapes where none are needed.
fn spell(value: &Value, seed: u64, out: &mut String) {
    let mut state = seed | 1;
    spell_value(value, &mut state, out);
}

fn next(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

fn blanks(state: &mut u64, out: &mut String) {
    for _ in 0..(next(state) % 3) {
        out.push([' ', '\n', '\t', '\r'][(next(state) % 4) as usize]);
    }
}

fn spell_text(text: &str, state: &mut u64, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        if next(state).is_multiple_of(4) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(out, "\\u{unit:04x}").unwrap();
            }
        } else if c == '/' && next(state).is_multiple_of(2) {
            out.push_str("\\/");
        } else {
            let quoted = serde_json::to_string(&c.to_string()).unwrap();
            out.push_str(&quoted[1..quoted.len() - 1]);
        }
    }
    out.push('"');
}

fn spell_value(value: &Value, state: &mut u64, out: &mut String) {
    blanks(state, out);
    match value {
        Value::Object(members) => {
            out.push('{');
            for (i, (key, value)) in members.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                blanks(state, out);
                spell_text(key, state, out);
                blanks(state, out);
                out.push(':');
                spell_value(value, state, out);
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                spell_value(item, state, out);
            }
            out.push(']');
        }
        Value::String(text) => spell_text(text, state, out),
        other => out.push_str(&other.to_string()),
    }
    blanks(state, out);
}

/// What `serde_json` says the messages of `value` are: their methods, in order.
fn expected(value: &Value) -> Vec<Option<String>> {
    let one = |v: &Value| -> Option<Option<String>> {
        let object = v.as_object()?;
        let method = object.get("method").and_then(Value::as_str).map(str::to_owned);
        let error = object.get("error").is_some_and(|e| !e.is_null());
        let answer = object.get("id").is_some_and(|id| !id.is_object() && !id.is_array())
            && (object.contains_key("result") || error);
        (object.contains_key("jsonrpc") || method.is_some() || answer).then_some(method)
    };
    match value {
        Value::Array(items) => items.iter().filter_map(one).collect(),
        other => one(other).into_iter().collect(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_methods_found_are_those_serde_json_finds(value in document(), seed in any::<u64>()) {
        let mut text = String::new();
        spell(&value, seed, &mut text);
        let (messages, kind, _) = read(text.as_bytes());
        let got: Vec<Option<String>> = messages.iter().map(|m| m.method.clone()).collect();
        prop_assert_eq!(got, expected(&value), "{}", text);
        let is_json = matches!(kind, BodyKind::Json { .. });
        prop_assert!(is_json, "{:?}", kind);
        prop_assert!(messages.iter().all(|m| !m.cut && !m.duplicate_keys));
    }

    #[test]
    fn cutting_a_body_elsewhere_changes_nothing(
        value in document(), seed in any::<u64>(), cuts in vec(0_usize..40, 0..60), spoil in any::<Option<(u16, u8)>>(),
    ) {
        let mut text = String::new();
        spell(&value, seed, &mut text);
        let mut bytes = text.into_bytes();
        if let Some((at, byte)) = spoil {
            let at = usize::from(at) % bytes.len();
            bytes[at] = byte;
        }
        prop_assert_eq!(read(&bytes), read_pieces(&bytes, &cuts));
    }

    #[test]
    fn arguments_are_hashed_as_they_stand(
        value in document(), seed in any::<u64>(), cuts in vec(0_usize..40, 0..60),
    ) {
        let mut arguments = String::new();
        spell(&value, seed, &mut arguments);
        let arguments = arguments.trim();
        let body = format!(r#"{{"method":"tools/call","params":{{"name":"n","arguments": {arguments} ,"x":1}},"jsonrpc":"2.0"}}"#);
        let (messages, _, _) = read_pieces(body.as_bytes(), &cuts);
        let found = messages[0].params.as_ref().unwrap().arguments.clone().unwrap();
        prop_assert_eq!(found.bytes, arguments.len() as u64);
        prop_assert_eq!(found.sha256, <[u8; 32]>::from(Sha256::digest(arguments)));
        prop_assert!(found.masked.len() <= MAX_ARGUMENTS);
        if found.masked.len() < MAX_ARGUMENTS - 100 {
            prop_assert!(serde_json::from_str::<Value>(&found.masked).is_ok(), "{}", found.masked);
        }
    }

    #[test]
    fn a_cut_body_gives_what_came_before_the_cut(at in 0_usize..160) {
        let body = br#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"n","arguments":{"a":[1,2,3,{"b":"c"}]},"_meta":{"io.modelcontextprotocol/protocolVersion":"x"}}}"#;
        let at = at.min(body.len() - 1);
        let (messages, kind, _) = read(&body[..at]);
        let known = at >= 45;
        prop_assert_eq!(messages.len(), usize::from(known), "{}", at);
        prop_assert!(messages.iter().all(|m| m.cut && m.method.as_deref() == Some("tools/call")));
        prop_assert_eq!(kind, if at == 0 { BodyKind::Empty } else { BodyKind::Broken });
    }

    #[test]
    fn no_bytes_make_the_reader_or_the_heads_panic(bytes in vec(any::<u8>(), 0..300)) {
        mcp::fuzz_json(&bytes);
        mcp::fuzz_headers(&bytes);
    }

    #[test]
    fn bytes_that_look_like_json_do_not_either(bytes in vec(prop::sample::select(&b"{}[]\":,\\u0/x1tne \n\0\xff"[..]), 0..200)) {
        mcp::fuzz_json(&bytes);
    }

    #[test]
    fn paths_normalise_once_and_for_all(path in "[/.%a-f0-9;A-F\\\\]{0,40}") {
        let once = mcp::normalise(&path);
        prop_assert!(once.starts_with('/') && !once.contains("//") && !once.contains(';'));
        prop_assert!(once == "/" || !once.ends_with('/'));
        prop_assert!(!once.split('/').any(|s| s == "." || s == ".."));
    }

    #[test]
    fn secrets_never_come_out(
        hex in "[0-9]{4}[0-9a-f]{28}", key in "sk-[a-zA-Z]{4}[0-9]{4}[a-zA-Z0-9]{20}", word in "[A-Z]{3}[a-z]{3}QQ[0-9]{4}ZZ[a-z0-9]{8}",
    ) {
        let mut seen = String::new();
        let target = format!("/a/{hex}/messages/?session_id={word}&token={key}#{word}");
        let authorization = format!("Bearer {word}");
        let basic = format!("Basic {word}");
        let fields = [
            ("Authorization", authorization.as_str()), ("Cookie", &word), ("Mcp-Session-Id", &word),
            ("Mcp-Param-Key", &word), ("Mcp-Method", &key), ("Mcp-Name", &key), ("MCP-Protocol-Version", &hex),
            ("X-Api-Key", &word), ("Proxy-Authorization", &basic), ("Last-Event-ID", &word), ("A2A-Version", &word),
            ("Sec-WebSocket-Protocol", &word), ("Accept", &word), ("Content-Type", &word), ("Set-Cookie", &word),
            ("Sec-WebSocket-Key", &word), ("Access-Control-Request-Headers", &word),
        ];
        let fields: Vec<Field<'_>> = fields.iter().map(|(name, value)| Field { name, value: value.as_bytes() }).collect();
        let headers = Headers(&fields);
        let request = request_facts(&RequestHead { method: "POST", target: &target, version: "1.1", headers, via_connect: None });
        write!(seen, "{request:?}").unwrap();
        let metadata = format!(r#"Bearer resource_metadata="https://u:{word}@h.example/{hex}/mcp?k={word}", realm="{word}""#);
        let fields = [Field { name: "WWW-Authenticate", value: metadata.as_bytes() }, Field { name: "mcp-session-id", value: word.as_bytes() }];
        write!(seen, "{:?}", response_facts(&ResponseHead { status: 401, version: "1.1", headers: Headers(&fields) })).unwrap();
        write!(seen, "{:?}{:?}", endpoint_url("h.example", "/sse", &target), PathFacts::of(&target)).unwrap();
        write!(seen, "{:?}", mcp::resource_parameter(&format!("/authorize?state={word}&resource=https%3A%2F%2Fh%2F{hex}%3Fk%3D{word}"))).unwrap();
        write!(seen, "{}", clean_uri(&format!("https://{word}:{word}@h/{key}?{word}#{word}"))).unwrap();
        let bodies = [
            json!({"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":key,"uri":format!("db://{word}@h/{hex}?x={word}"),"arguments":{"a":word,"b":[word,{"c":word}],hex.clone():1},"requestState":word,"sessionId":word}}),
            json!({"jsonrpc":"2.0","id":1,"method":key,"params":{"taskId":hex,"clientInfo":{"name":key,"version":hex},"protocolVersion":key,"x":word}}),
            json!({"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":key,"description":word,"inputSchema":{"a":word}}],"content":[{"type":"text","text":word}],"resources":[{"uri":format!("x://h/?{word}"),"name":word}],"structuredContent":word,"requestState":word,"resultType":key,"supportedVersions":[hex],"serverInfo":{"name":key,"version":hex}}}),
            json!({"jsonrpc":"2.0","id":1,"error":{"code":-32022,"message":word,"data":{"supported":[key],"x":word}}}),
            json!({"client_name":key,"client_secret":word,"resource":format!("https://h/mcp?k={word}"),"authorization_servers":[word],"mcp_servers":[{"url":format!("https://u:{word}@h/mcp"),"authorization_token":word}],"tools":[{"type":"mcp","server_url":format!("https://h/{hex}/mcp?key={word}"),"headers":{"x":word}}]}),
        ];
        for body in bodies {
            let text = body.to_string();
            for end in [text.len(), text.len() / 2, text.len() - 3] {
                let (messages, kind, document) = read(&text.as_bytes()[..end]);
                write!(seen, "{messages:?}{kind:?}{document:?}").unwrap();
                for m in &messages {
                    write!(seen, "{:?}{}", judge(m), header_mismatch(&request, m)).unwrap();
                }
            }
        }
        for secret in [&hex, &key, &word] {
            prop_assert!(!seen.contains(secret.as_str()), "{} in {}", secret, seen);
        }
    }
}

#[test]
fn a_token_gives_its_claims_and_not_itself() {
    use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD as B64};
    let payload = B64
        .encode(br#"{"iss":"https://id.example/","sub":"ana","aud":["https://h.example/mcp","x"],"n":{"sub":"no"}}"#);
    let value = format!("Bearer eyJhbGciOiJub25lIn0.{payload}.c2lnbmF0dXJl");
    let fields = [Field { name: "authorization", value: value.as_bytes() }];
    let head =
        RequestHead { method: "POST", target: "/mcp", version: "1.1", headers: Headers(&fields), via_connect: None };
    let auth = request_facts(&head).auth;
    let claims = auth.claims.clone().unwrap();
    assert_eq!(claims.iss.as_deref(), Some("https://id.example/"));
    assert_eq!(claims.sub.as_deref(), Some("ana"));
    assert_eq!(claims.aud.as_deref(), Some("https://h.example/mcp"));
    assert!(!format!("{auth:?}").contains("c2lnbmF0dXJl"));
}

#[test]
fn nothing_outgrows_its_limit() {
    let limits = Limits::default();
    let mut reader = Reader::new();
    let mut messages = Vec::new();
    let block = vec![b'k'; 1 << 20];
    // A key, a method, a tool name and a number of 50 MB each.
    let mut feed = |bytes: &[u8]| reader.feed(&limits, bytes, &mut |m: Message| messages.push(m));
    feed(b"{\"");
    (0..50).for_each(|_| feed(&block));
    feed(b"\":1,\"id\":");
    (0..50).for_each(|_| feed(&vec![b'7'; 1 << 20]));
    feed(b",\"method\":\"");
    (0..50).for_each(|_| feed(&block));
    feed(b"\",\"params\":{\"arguments\":{");
    for i in 0..20_000 {
        feed(format!("\"member number {i}\":[[[[[[[[[[[[{{}}]]]]]]]]]]]],").as_bytes());
    }
    feed(b"}},\"result\":{\"tools\":[");
    for i in 0..5_000 {
        feed(format!("{{\"name\":\"t{i}\"}},").as_bytes());
    }
    feed(b"]}}");
    assert!(matches!(reader.finish(&mut |_| {}), BodyKind::Json { messages: 1 }));
    assert_eq!(messages.len(), 1);
    let m = &messages[0];
    assert!(m.method.as_ref().unwrap().len() <= MAX_TEXT);
    assert_eq!(m.result.as_ref().unwrap().tools.len(), MAX_LIST);
    assert!(m.params.as_ref().unwrap().arguments.as_ref().unwrap().masked.len() <= MAX_ARGUMENTS);
    let stats = reader.take_stats();
    assert_eq!((stats.lists_cut, stats.arguments_cut), (5_000 - 512, 1));
    assert!(stats.texts_cut >= 1);
}

#[test]
fn any_depth_is_passed_over() {
    let levels = 300_000;
    for (open, close) in [("[", "]"), ("{\"a\":", "}"), ("[{\"a\":", "}]")] {
        let deep = format!("{}1{}", open.repeat(levels), close.repeat(levels));
        let body = format!(r#"{{"x":{deep},"params":{{"arguments":{deep}}},"method":"tools/call","jsonrpc":"2.0"}}"#);
        let (messages, kind, _) = read(body.as_bytes());
        assert_eq!(kind, BodyKind::Json { messages: 1 }, "{open}");
        assert_eq!(judge(&messages[0]), Verdict::Strong("method"));
        let arguments = messages[0].params.as_ref().unwrap().arguments.as_ref().unwrap();
        assert_eq!(arguments.sha256, <[u8; 32]>::from(Sha256::digest(&deep)));
        // As a document of its own it is just another one.
        assert_eq!(read(deep.as_bytes()), (vec![], BodyKind::Json { messages: 0 }, Document::default()), "{open}");
        assert_eq!(read(&deep.as_bytes()[..levels]).1, BodyKind::Broken, "{open}");
    }
}

#[test]
fn lenient_where_clear_and_broken_where_not() {
    let json = |messages| BodyKind::Json { messages };
    for (name, body, count, kind) in [
        ("several values", "{\"jsonrpc\":\"2.0\",\"method\":\"a\"}{\"jsonrpc\":\"2.0\",\"method\":\"b\"}", 2, json(2)),
        ("lines", "{\"a\":1}\n{\"jsonrpc\":\"2.0\",\"method\":\"b\"}\n", 1, json(1)),
        ("records", "\x1e{\"jsonrpc\":\"2.0\",\"method\":\"a\"}\n\x1e{\"a\":1}\n", 1, json(1)),
        ("trailing commas", "{\"method\":\"a\",\"id\":1,\"x\":[1,],}", 1, json(1)),
        ("not a number", "{\"x\":NaN,\"y\":-Infinity,\"id\":1e999999,\"method\":\"a\"}", 1, json(1)),
        ("a nested message is none", "{\"a\":{\"jsonrpc\":\"2.0\",\"method\":\"tools/call\"}}", 0, json(0)),
        ("nor is one two arrays deep", "[[{\"jsonrpc\":\"2.0\",\"method\":\"tools/call\"}]]", 0, json(0)),
        ("a quoted message is none", "[\"{\\\"method\\\":\\\"tools/call\\\"}\"]", 0, json(0)),
        ("a string", "\"{}\"", 0, json(0)),
        ("a number", "17", 0, json(0)),
        ("text", "true story", 0, BodyKind::NotJson),
        ("a table", "1,2,3\n", 0, BodyKind::NotJson),
        ("multipart", "--boundary\r\n", 0, BodyKind::NotJson),
        ("page", "  <html>", 0, BodyKind::NotJson),
        ("blank", " \r\n", 0, BodyKind::Empty),
        ("nothing", "", 0, BodyKind::Empty),
        ("comment", "{\"jsonrpc\":\"2.0\",/**/\"method\":\"tools/call\"}", 0, BodyKind::Broken),
        ("comment after the method", "{\"method\":\"tools/call\"/**/}", 1, BodyKind::Broken),
        ("bare key", "{method:\"tools/call\"}", 0, BodyKind::Broken),
        ("wrong bracket", "{\"a\":[1}", 0, BodyKind::Broken),
        ("method is no text", "{\"method\":\"a\",\"method\":5}", 0, json(0)),
        ("wrong case", "{\"METHOD\":\"tools/call\",\"JSONRPC\":\"2.0\"}", 0, json(0)),
    ] {
        let (messages, got, _) = read(body.as_bytes());
        assert_eq!((messages.len(), got), (count, kind), "{name}");
    }
}

#[test]
fn a_gap_gives_up_one_value() {
    let mut reader = Reader::new();
    let mut messages = Vec::new();
    let limits = Limits::default();
    reader.feed(&limits, b"{\"method\":\"tools/call\",\"params\":{\"name\":\"n\",\"arguments\":{\"a\":\"b", &mut |m| {
        messages.push(m);
    });
    reader.gap(1000, &mut |m| messages.push(m));
    assert!(!reader.wants_more());
    reader.feed(&limits, b"{\"method\":\"tools/list\"}", &mut |m| messages.push(m));
    assert_eq!(reader.finish(&mut |m| messages.push(m)), BodyKind::Broken);
    assert_eq!(messages.len(), 1);
    assert!(messages[0].cut && messages[0].params.as_ref().unwrap().arguments.is_none());
    assert_eq!(judge(&messages[0]), Verdict::Strong("method"));
    reader.reset();
    reader.feed(&limits, b"{\"method\":\"tools/list\",\"jsonrpc\":\"2.0\"}", &mut |m| messages.push(m));
    assert_eq!(messages.len(), 2, "a message is given at the byte that closes it");
    assert_eq!(reader.finish(&mut |m| messages.push(m)), BodyKind::Json { messages: 1 });
}
