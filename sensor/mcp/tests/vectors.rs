//! Every vector of `vectors/`, with what this crate must make of it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may fail loudly"
)]

use std::{fmt::Write as _, fs, path::Path};

use mcp::{
    AuthKind, BodyKind, Document, Id, Limits, LookAlike, Message, Reader, RequestFacts, ResponseFacts, Verdict,
    WellKnownKind, endpoint_url, fuzz_headers, fuzz_json, header_mismatch, judge, request_facts, response_facts,
    target_key,
};
use proto::{Field, Headers, RequestHead, ResponseHead};

fn read(body: &[u8]) -> (Vec<Message>, BodyKind, Document) {
    let mut reader = Reader::new();
    let mut messages = Vec::new();
    reader.feed(&Limits::default(), body, &mut |m| messages.push(m));
    let kind = reader.finish(&mut |m| messages.push(m));
    (messages, kind, reader.document().clone())
}

/// One vector, taken apart.
struct Vector {
    start: String,
    fields: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Vector {
    fn load(name: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/vectors/{name}.txt"));
        let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        if text.starts_with('{') {
            return Self { start: String::new(), fields: Vec::new(), body: text.into_bytes() };
        }
        let (head, body) = text.split_once("\n\n").unwrap_or((&text, ""));
        let mut lines = head.lines().filter(|l| !l.starts_with("Content-Length: ") || head.contains("HTTP"));
        let framed = !head.contains("HTTP");
        let start = if framed { String::new() } else { lines.next().unwrap().to_owned() };
        let fields: Vec<(String, String)> = lines
            .filter_map(|l| l.split_once(':'))
            .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
            .collect();
        let mut body = body.to_owned();
        if fields.iter().any(|(n, v)| n.eq_ignore_ascii_case("content-type") && v.starts_with("text/event-stream")) {
            let data: Vec<&str> = body
                .lines()
                .filter_map(|l| l.strip_prefix("data:"))
                .map(|d| d.strip_prefix(' ').unwrap_or(d))
                .collect();
            body = data.join("\n");
        }
        Self { start, fields, body: body.into_bytes() }
    }

    fn fields(&self) -> Vec<Field<'_>> {
        self.fields.iter().map(|(name, value)| Field { name, value: value.as_bytes() }).collect()
    }

    fn request(&self) -> RequestFacts {
        let mut words = self.start.split(' ');
        let (method, target) = (words.next().unwrap(), words.next().unwrap());
        let fields = self.fields();
        let headers = Headers(&fields);
        request_facts(&RequestHead { method, target, version: "1.1", headers, via_connect: None })
    }

    fn response(&self) -> ResponseFacts {
        let status = self.start.split(' ').nth(1).unwrap().parse().unwrap();
        let fields = self.fields();
        response_facts(&ResponseHead { status, version: "1.1", headers: Headers(&fields) })
    }
}

fn request(name: &str) -> RequestFacts {
    Vector::load(name).request()
}

fn only(name: &str) -> Message {
    let (mut messages, _, _) = read(&Vector::load(name).body);
    assert_eq!(messages.len(), 1, "{name}");
    messages.pop().unwrap()
}

#[test]
fn messages_are_judged_as_the_vectors_say() {
    use Verdict::{LookAlike as Like, Neutral, Proof, Strong};
    for (name, want) in [
        ("T01", Proof("initialize")),
        ("T02", Proof("initialize-result")),
        ("T03", Strong("notification")),
        ("T04", Strong("method")),
        ("T05", Strong("tools")),
        ("T08", Strong("method")),
        ("T09", Neutral),
        ("T11", Neutral),
        ("T15", Strong("method")),
        ("T16", Proof("meta")),
        ("T17", Proof("discover-result")),
        ("T18", Proof("meta")),
        ("T19", Proof("meta")),
        ("T20", Strong("input-requests")),
        ("T21", Proof("meta")),
        ("T22", Proof("meta")),
        ("T23", Proof("meta")),
        ("T24", Strong("refusal")),
        ("T25", Proof("meta")),
        ("L01", Like(LookAlike::Lsp)),
        ("L02", Like(LookAlike::Lsp)),
        ("L03", Like(LookAlike::Dap)),
        ("L04", Like(LookAlike::OtherRpc)),
        ("L05", Like(LookAlike::OtherRpc)),
        ("L07", Like(LookAlike::Acp)),
        ("L08", Like(LookAlike::Acp)),
        ("L09", Like(LookAlike::A2a)),
        ("L10", Like(LookAlike::A2a)),
        ("L11", Like(LookAlike::AppServer)),
        ("L25", Like(LookAlike::Bsp)),
        ("E01", Strong("method")),
        ("E02", Strong("method")),
        ("E03", Strong("method")),
        ("E04", Strong("method")),
        ("E06", Strong("method")),
        ("E11", Strong("method")),
        ("E12", Strong("method")),
        ("E22", Strong("method")),
        ("E23", Strong("method")),
        ("E24", Proof("meta")),
        ("E25", Strong("tools")),
        ("E27", Proof("initialize")),
    ] {
        let message = only(name);
        assert_eq!(judge(&message), want, "{name}: {message:?}");
        assert!(!message.cut, "{name}");
    }
}

#[test]
fn documents_that_are_no_messages_give_none() {
    let json = BodyKind::Json { messages: 0 };
    for (name, want) in [
        ("L06", json),
        ("L12", BodyKind::NotJson),
        ("L13", json),
        ("L14", json),
        ("L15", json),
        ("L22", json),
        ("L23", json),
        ("E28", BodyKind::Broken),
        ("T06", BodyKind::Empty),
        ("T29", json),
        ("T36", json),
    ] {
        let (messages, kind, _) = read(&Vector::load(name).body);
        assert_eq!((messages.len(), kind), (0, want), "{name}");
    }
}

#[test]
fn the_fields_of_messages_are_found() {
    let hello = only("T01");
    let params = hello.params.unwrap();
    assert_eq!(params.client_info.unwrap().name, "field-notes");
    let answer = only("T02").result.unwrap();
    assert_eq!(answer.server_info.unwrap().version, "3.0");
    assert_eq!(only("T05").result.unwrap().tools, ["note_find"]);
    assert_eq!(only("T05").evidence.excerpt, r#""result":{"tools":[…"#);
    assert_eq!(only("T08").id, Some(Id::Text("srv-7".to_owned())));
    assert!(only("T09").result.unwrap().sampling_shaped);
    assert_eq!(only("T15").params.unwrap().uri.as_deref(), Some("note://17"));
    let discover = only("T16").params.unwrap();
    assert_eq!(discover.meta_version.as_deref(), Some("2026-07-28"));
    assert_eq!(discover.meta_client.unwrap().name, "field-notes");
    let discovered = only("T17").result.unwrap();
    assert_eq!(discovered.supported_versions, ["2026-07-28"]);
    assert_eq!(discovered.server_info.unwrap().name, "notes-srv");
    let call = only("T18").params.unwrap();
    assert_eq!(call.name.as_deref(), Some("note_find"));
    let arguments = call.arguments.unwrap();
    assert_eq!((arguments.masked.as_str(), arguments.bytes), (r#"{"q":"…","area":"…"}"#, 24));
    assert_eq!(only("T20").result.unwrap().input_requests, ["elicitation/create"]);
    assert_eq!(only("T24").error.unwrap().supported, ["2026-07-28"]);
    assert_eq!(only("L08").params.unwrap().mcp_server_urls, ["https://tools.corp-notes.example/mcp"]);
    let last = only("E06");
    assert_eq!(last.method.as_deref(), Some("tools/call"));
    assert!(last.duplicate_keys);
    assert!(!only("E11").duplicate_keys);
    let escaped = only("E01");
    assert_eq!(escaped.evidence.excerpt, r#""method":"tools/call""#);
    assert_eq!(escaped.evidence.offset, 24);
}

#[test]
fn a_batch_gives_each_of_its_messages() {
    let (messages, kind, _) = read(&Vector::load("T12").body);
    let methods: Vec<&str> = messages.iter().filter_map(|m| m.method.as_deref()).collect();
    assert_eq!(methods, ["prompts/list", "notifications/cancelled", "resources/templates/list"]);
    assert!(messages.iter().all(|m| m.in_batch));
    assert_eq!(kind, BodyKind::Json { messages: 3 });
    assert_eq!(messages[1].params.as_ref().unwrap().request_id, Some(Id::Number("3".to_owned())));
    // E26: filler before the call.
    let mut body = String::from("[");
    for id in 0..50 {
        write!(body, r#"{{"jsonrpc":"2.0","id":{id},"method":"ping"}}, "#).unwrap();
    }
    body.push_str(r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"n"}}]"#);
    let (messages, _, _) = read(body.as_bytes());
    assert_eq!(messages.len(), 51);
    assert_eq!(judge(&messages[0]), Verdict::Neutral);
    assert_eq!(judge(&messages[50]), Verdict::Strong("method"));
}

const CALL: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"n","arguments":{"é":"𝄞"}}}"#;

/// `text` in another Unicode form; `unit` is 2 or 4 bytes.
fn encode(text: &str, unit: usize, big: bool, mark: bool) -> Vec<u8> {
    let text = if mark { format!("\u{FEFF}{text}") } else { text.to_owned() };
    if unit == 2 {
        text.encode_utf16().flat_map(|u| if big { u.to_be_bytes() } else { u.to_le_bytes() }).collect()
    } else {
        text.chars().map(u32::from).flat_map(|u| if big { u.to_be_bytes() } else { u.to_le_bytes() }).collect()
    }
}

#[test]
fn every_unicode_form_reads_the_same() {
    let (want, _, _) = read(CALL.as_bytes());
    let mut forms = vec![format!("\u{FEFF}\r\n\r\n{CALL}").into_bytes(), format!("\r\n \n{CALL}\n").into_bytes()];
    for unit in [2, 4] {
        for big in [true, false] {
            for mark in [true, false] {
                forms.push(encode(CALL, unit, big, mark));
            }
        }
    }
    for (i, form) in forms.iter().enumerate() {
        let (got, kind, _) = read(form);
        assert_eq!(kind, BodyKind::Json { messages: 1 }, "form {i}");
        assert_eq!(got[0].method, want[0].method, "form {i}");
        let (got, want) = (got[0].params.as_ref().unwrap(), want[0].params.as_ref().unwrap());
        assert_eq!(got.arguments.as_ref().unwrap().masked, want.arguments.as_ref().unwrap().masked, "form {i}");
        for step in [0, 1, 2, 6] {
            fuzz_json(&[&[step], form.as_slice()].concat());
        }
    }
    // Offsets, lengths and hashes are those of the bytes as they came.
    let wide = encode(CALL, 2, false, true);
    let (got, _, _) = read(&wide);
    assert_eq!((got[0].offset, got[0].bytes), (2, wide.len() as u64 - 2));
    let arguments = got[0].params.as_ref().unwrap().arguments.as_ref().unwrap();
    let raw = encode(r#"{"é":"𝄞"}"#, 2, false, false);
    assert_eq!(arguments.bytes, raw.len() as u64);
    assert_eq!(arguments.sha256, <[u8; 32]>::from(<sha2::Sha256 as sha2::Digest>::digest(&raw)));
}

#[test]
fn a_method_after_megabytes_is_found() {
    let body = format!(
        r#"{{"params":{{"name":"n","arguments":{{"pad":"{}"}}}},"id":1,"jsonrpc":"2.0","method":"tools/call"}}"#,
        "A".repeat(3_000_000)
    );
    let (messages, _, _) = read(body.as_bytes());
    assert_eq!(judge(&messages[0]), Verdict::Strong("method"));
    assert_eq!(messages[0].params.as_ref().unwrap().arguments.as_ref().unwrap().masked, r#"{"pad":"…"}"#);
}

#[test]
fn heads_of_requests_say_what_they_carry() {
    for name in ["T04", "T06", "T07", "T09", "T10"] {
        let facts = request(name);
        assert!(facts.session.is_some() && facts.has_mcp_field(), "{name}");
        assert_eq!(facts.path.telltale, Some("/mcp"), "{name}");
    }
    assert!(request("T07").last_event_id);
    assert!(request("T06").accepts_sse && !request("T06").accepts_json);
    assert_eq!(request("T13").path.telltale, Some("/sse"));
    assert!(request("T15").path.session_query.is_some());
    assert_eq!(request("T15").path.telltale, Some("/messages"));
    assert_eq!(request("T15").path.clean, "/messages/?session_id=…");
    let call = request("T18");
    assert_eq!(call.mcp_method.as_deref(), Some("tools/call"));
    assert_eq!(call.mcp_name.as_deref(), Some("note_find"));
    assert_eq!(call.protocol_version.as_deref(), Some("2026-07-28"));
    assert!(call.has_params && call.json_body && call.accepts_json && call.path.telltale.is_none());
    assert_eq!(request("T19").mcp_name.as_deref(), Some("résumé_lire"));
    assert!(request("T26").preflight_mcp && !request("T26").has_mcp_field());
    let probe = request("T28");
    let well_known = probe.path.well_known.unwrap();
    assert_eq!((well_known.kind, well_known.names_mcp), (WellKnownKind::ProtectedResource, true));
    assert!(!request("L21").path.well_known.unwrap().names_mcp);
    assert_eq!(request("T31").path.well_known.unwrap().kind, WellKnownKind::ServerCard);
    assert_eq!(request("T32").path.well_known.unwrap().kind, WellKnownKind::ServerCard);
    assert!(request("T34").ws_subprotocol_mcp);
    assert!(request("T37").provider_mcp);
    assert!(request("T36").auth.kind == AuthKind::Bearer);
    assert!(request("L10").a2a);
    assert!(request("L16").accepts_html && request("L16").path.telltale.is_some());
    for name in ["L17", "L18", "L19", "L20", "L23", "L24"] {
        let facts = request(name);
        assert!(facts.path.telltale.is_none() && !facts.has_mcp_field(), "{name}");
    }
    assert!(request("L17").path.is_asset);
    assert_eq!(request("T30").resource.as_deref(), Some("https://tools.corp-notes.example/mcp"));
}

#[test]
fn heads_of_responses_say_what_they_carry() {
    let hello = Vector::load("T02").response();
    assert!(hello.is_sse && hello.session.is_some());
    assert_eq!(hello.session, request("T04").session);
    assert!(Vector::load("T05").response().is_json);
    let challenge = Vector::load("T27").response().challenge.unwrap();
    assert!(challenge.names_mcp);
    assert_eq!(
        challenge.resource_metadata.as_deref(),
        Some("https://tools.corp-notes.example/.well-known/oauth-protected-resource/mcp")
    );
    assert!(Vector::load("L12").response().is_html);
}

#[test]
fn the_trail_of_oauth_and_of_providers_is_read() {
    let document = |name: &str| read(&Vector::load(name).body).2;
    let registration = document("T29");
    assert!(registration.redirect_uris_loopback);
    assert_eq!(registration.client_name.as_deref(), Some("MCP CLI Proxy"));
    let url = "https://tools.corp-notes.example/mcp";
    for (name, api, approval) in [("T36", "openai", Some("never")), ("T37", "anthropic", None), ("T38", "gemini", None)]
    {
        let provider = document(name).provider.unwrap();
        let [server] = provider.servers.as_slice() else { panic!("{name}: {provider:?}") };
        assert_eq!(provider.api.unwrap().word(), api, "{name}");
        assert_eq!((server.label.as_deref(), server.url.as_deref()), (Some("notes"), Some(url)), "{name}");
        assert_eq!((server.approval.as_deref(), server.credentials), (approval, false), "{name}");
        assert!(!provider.shows_use(), "{name}");
    }
    let metadata = br#"{"resource":"https://h.example/mcp","authorization_servers":["https://a.example"]}"#;
    assert!(read(metadata).2.names_mcp());
    let other = br#"{"resource":"https://pds.social.example","authorization_servers":["https://a.example"]}"#;
    assert!(read(other).2.is_resource_metadata() && !read(other).2.names_mcp());
}

#[test]
fn every_spelling_of_a_path_is_one_path() {
    for target in [
        "/mcp",
        "/MCP",
        "/mcp/",
        "//mcp",
        "/./mcp",
        "/a/../mcp",
        "/mcp;v=1",
        "/mcp?x=/health",
        "/%2e/mcp",
        "/%6d%63p",
        "http://tools.corp-notes.example/%6d%63p",
    ] {
        let facts = mcp::PathFacts::of(target);
        assert_eq!((facts.normal.as_str(), facts.telltale), ("/mcp", Some("/mcp")), "{target}");
    }
    assert_eq!(mcp::PathFacts::of("/mcp%2Fsse").telltale, Some("/mcp/sse"));
    assert_eq!(mcp::PathFacts::of("/a/v1/mcp/v1").telltale, Some("/mcp"));
    assert_eq!(mcp::PathFacts::of("/v1/messages").telltale, None);
    assert_eq!(mcp::PathFacts::of("/mcp_server/messages/01ARZ3NDEKTSV4RRFFQ69G5FAV").telltale, Some("/mcp/message"));
    assert_eq!(mcp::PathFacts::of("/s/01ARZ3NDEKTSV4RRFFQ69G5FAV/x").clean, "/s/…/x");
    assert_eq!(mcp::PathFacts::of("host:443").clean, "");
}

#[test]
fn an_endpoint_event_and_its_post_share_a_key() {
    let host = "tools.corp-notes.example";
    let data = "/messages/?session_id=7b1e0c55a4d24c0f9d6e2f3a4b5c6d7e";
    let endpoint = endpoint_url(host, "/sse", data).unwrap();
    assert_eq!(endpoint.clean, "/messages/?session_id=…");
    assert_eq!(endpoint.session, request("T15").path.session_query);
    assert_eq!(endpoint.key, target_key("Tools.corp-notes.example:443", data));
    let absolute = format!("https://{host}{data}");
    assert_eq!(endpoint_url(host, "/sse", &absolute).unwrap().key, endpoint.key);
    let relative = endpoint_url(host, "/sse", "messages/?session_id=7b1e0c55a4d24c0f9d6e2f3a4b5c6d7e").unwrap();
    assert_eq!(relative.key, endpoint.key);
    assert_eq!(endpoint_url(host, "/a/sse", "?s=1").unwrap().key, target_key(host, "/a/sse?s=1"));
    for no in ["", "{\"region\":\"eu\"}", "hello", "two words/", "/a\n/b", "ftp://h/x", "//evil/x"] {
        assert_eq!(endpoint_url(host, "/sse", no), None, "{no}");
    }
}

#[test]
fn a_head_that_contradicts_its_body_is_noticed() {
    for (name, want) in
        [("T16", false), ("T18", false), ("T19", false), ("T25", false), ("E22", true), ("E24", false), ("T01", false)]
    {
        assert_eq!(header_mismatch(&request(name), &only(name)), want, "{name}");
    }
}

#[test]
fn every_vector_reads_the_same_however_it_is_cut() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors");
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let bytes = fs::read(&path).unwrap();
        fuzz_headers(&bytes);
        if path.extension().is_some_and(|e| e == "txt") {
            let body = Vector::load(path.file_stem().unwrap().to_str().unwrap()).body;
            for step in 0..8 {
                fuzz_json(&[&[step], body.as_slice()].concat());
            }
        }
    }
}
