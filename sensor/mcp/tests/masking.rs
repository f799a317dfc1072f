//! What may be read in records: ordinary paths, names and products stay, tokens drawn by lot go.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may fail loudly"
)]

use mcp::{METHODS, Message, PathFacts, clean_text, clean_uri, header_mismatch, request_facts};
use proto::{Field, Headers, RequestHead};

const BASE62: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const BASE64URL: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_";
const HEX: &[u8] = b"0123456789abcdef";
const LOWER: &[u8] = b"abcdefghijklmnopqrstuvwxyz";
const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A token of `length` characters drawn evenly from `alphabet`; the state makes the draw the same each time.
fn token(state: &mut u64, alphabet: &[u8], length: usize) -> String {
    (0..length)
        .map(|_| {
            *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            char::from(alphabet[(*state >> 33) as usize % alphabet.len()])
        })
        .collect()
}

#[test]
fn nearly_all_random_tokens_go_from_paths_and_texts() {
    let mut state = 7;
    for (kind, alphabet, least) in [
        ("base62", BASE62, 990),
        ("base64url", BASE64URL, 990),
        ("hexadecimal", HEX, 990),
        ("lower case", LOWER, 950),
        ("letters", LETTERS, 985),
    ] {
        for length in 16..=40 {
            let (mut path, mut text) = (0, 0);
            for _ in 0..1000 {
                let secret = token(&mut state, alphabet, length);
                path += usize::from(PathFacts::of(&format!("/s/{secret}/mcp")).clean == "/s/…/mcp");
                text += usize::from(clean_text(&format!("agent/{secret} (x)")) == "… (x)");
            }
            assert!(path >= least && text >= least, "{kind} of {length}: {path} and {text} of 1000 masked");
        }
    }
}

#[test]
fn ordinary_paths_stay_as_they_are() {
    for path in [
        "/mcp",
        "/.well-known/oauth-protected-resource/mcp",
        "/.well-known/oauth-authorization-server",
        "/.well-known/mcp/server-card.json",
        "/gradio_api/mcp/sse",
        "/wp-json/wc/v3/mcp-adapter-default-server",
        "/runtimes/bedrock-agentcore/invocations",
        "/tools/get-resource-reference",
        "/tools/trigger-long-running-operation",
        "/tools/getUserProfileById",
        "/tools/getHTTPStatusForURL",
        "/tools/list_pull_request_reviews",
        "/tools/sequentialthinking",
        "/openapi/v1.2.3-beta.4/2025-06-18/en-US/zh-Hans-CN",
        "/accounts/123456789012/mcp",
        "/bill/modules/addons/one_mcp/mcp.php",
        "/streamable-http",
        "/api/organizations/workspaces/notifications",
        "/file:///home/ana/notes.txt",
        "/%E6%96%87%E6%A1%A3/mcp",
    ] {
        assert_eq!(PathFacts::of(path).clean, path);
    }
}

#[test]
fn what_a_path_hides_is_masked() {
    for (path, want) in [
        ("/mcp%3Ftoken=hunter2", "/mcp%3Ftoken=…"),
        ("/mcp%3ftoken%3Dhunter2", "/mcp%3f…"),
        ("/mcp%253Ftoken=hunter2/more", "/mcp%253Ftoken=…"),
        ("/mcp%3Ftoken%3Dhunter2&a=b", "/mcp%3F…&a=…"),
        ("/mcp%3Ftoken%3Dhunter2=b", "/mcp%3F…"),
        ("/mcp%3Bjsessionid=1/x", "/mcp%3Bjsessionid=…"),
        ("/mcp?token%3Dhunter2=1", "/mcp?…"),
        ("/key=hunter2/mcp", "/key=…/mcp"),
        ("/key%3Dhunter2/mcp", "/key%3D…/mcp"),
        ("/aHVudGVyMg==/mcp", "/…/mcp"),
        ("/aHVudGVyMg%3D%3D/mcp", "/…/mcp"),
        ("/bot123456789:AAEhBOweik6ad9r_QXMENQjcrGbqCr4K-bc/getMe", "/…/getMe"),
        ("/u/123e4567-e89b-12d3-a456-426614174000/sse", "/u/…/sse"),
        ("/u/01f11bbc4cc6/sse", "/u/…/sse"),
        ("/UQfmLvKhhRJaSqY3/mcp", "/…/mcp"),
        ("/%55QfmLvKhhRJaSqY3/mcp", "/…/mcp"),
        ("/%2555QfmLvKhhRJaSqY3/mcp", "/…/mcp"),
        ("/mcp%", "/mcp%"),
        ("/mcp%3", "/mcp%3"),
        ("/mcp%25", "/mcp%25"),
        ("/mcp%25é", "/mcp%25é"),
    ] {
        assert_eq!(PathFacts::of(path).clean, want);
    }
    let long = format!("/{}/UQfmLvKhhRJaSqY3", "UQfmLvKhhRJaSqY3".repeat(255));
    assert_eq!(PathFacts::of(&format!("{long}{long}")).clean, "/…/…");
    assert_eq!(clean_uri("note://UQfmLvKhhRJaSqY3"), "note://…");
    assert_eq!(clean_uri("https://0xhumans-mcp-proxy.host.example/mcp"), "https://0xhumans-mcp-proxy.host.example/mcp");
}

#[test]
fn agents_keep_their_products_and_lose_their_tokens() {
    for text in [
        "",
        "python-httpx/0.28.1",
        "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/128.0.0.0",
        r#"uv/0.13.9 {"installer":{"name":"uv","version":"0.13.9"},"python":"3.12.3","cpu":"x86_64"}"#,
        "Claude-User (claude-code/2.1.0)",
        "Go-http-client/2.0",
        "npm/10.8.2 node/v22.11.0 linux x64 workspaces/false",
        "pip/24.0 (x86_64-unknown-linux-gnu)",
        "ModelContextProtocol-Inspector/0.16.2  two  blanks ",
        "CFNetwork/1490.0.4 Darwin/23.2.0",
    ] {
        assert_eq!(clean_text(text), text);
    }
    for (text, want) in [
        ("agent/1.0 UQfmLvKhhRJaSqY3", "agent/1.0 …"),
        ("agent/UQfmLvKhhRJaSqY3\tx", "…\tx"),
        ("a key=UQfmLvKhhRJaSqY3;v=1 b", "a … b"),
        ("sk-proj-abc123def456ghi7", "…"),
    ] {
        assert_eq!(clean_text(text), want);
    }
    assert!(clean_text(&"é ".repeat(5000)).len() <= mcp::MAX_TEXT);
}

fn head_says(name: &'static str, value: &str) -> mcp::RequestFacts {
    let fields = [Field { name, value: value.as_bytes() }];
    let headers = Headers(&fields);
    request_facts(&RequestHead { method: "POST", target: "/mcp", version: "1.1", headers, via_connect: None })
}

#[test]
fn what_was_masked_alike_in_head_and_body_is_no_mismatch() {
    let facts = head_says("Mcp-Method", "UQfmLvKhhRJaSqY3");
    let body = |method: &str| Message { method: Some(method.to_owned()), ..Message::default() };
    assert!(!header_mismatch(&facts, &body("UQfmLvKhhRJaSqY3")));
    assert!(header_mismatch(&facts, &body("tools/list")));
}

#[test]
fn headers_show_methods_and_versions_and_nothing_else() {
    let method = |value: &str| head_says("Mcp-Method", value).mcp_method.unwrap();
    let version = |value: &str| head_says("MCP-Protocol-Version", value).protocol_version.unwrap();
    for known in METHODS {
        assert_eq!(method(known.name), known.name);
    }
    for plain in ["2024-11-05", "2026-07-28", "DRAFT-2026-v1", "draft", "2026-07-28-rc.1", "1.0", "v2", "latest"] {
        assert_eq!(version(plain), plain);
    }
    for plain in ["textDocument/didOpen", "$/cancelRequest", "x-vendor.do_it"] {
        assert_eq!(method(plain), plain);
    }
    let long = "tools/".repeat(11);
    for secret in ["UQfmLvKhhRJaSqY3", "Bearer abc", "a:b", "key=hunter2", long.as_str()] {
        assert_eq!((method(secret).as_str(), version(secret).as_str()), ("…", "…"), "{secret}");
    }
}
