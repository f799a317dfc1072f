//! Ordinary visits to hosts that also serve MCP give no event at all, at any confidence.

use crate::support::Run;
use testkit::{Capture, Direction, Wire, http};

const HTML: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8";

/// (what, request, answer) as texts of head, empty line, body.
fn visits() -> Vec<(&'static str, String, String)> {
    let page = |title: &str| {
        format!(
            "HTTP/1.1 200 OK\nContent-Type: text/html; charset=utf-8\n\n<!doctype html><html><title>{title}</title></html>"
        )
    };
    let get = |host: &str, path: &str, accept: &str| {
        format!("GET {path} HTTP/1.1\nHost: {host}\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\nAccept: {accept}\n\n")
    };
    vec![
        ("a repository", get("github.com", "/modelcontextprotocol/servers", HTML), page("servers")),
        ("a repository called mcp", get("github.com", "/acme/mcp", HTML), page("acme/mcp")),
        ("a chat", get("slack.com", "/archives/C01/p17", HTML), page("mcp")),
        (
            "a chat message that quotes MCP",
            "POST /api/chat.postMessage HTTP/1.1\nHost: slack.com\nContent-Type: application/json\nAccept: */*\n\n\
             {\"channel\":\"C01\",\"text\":\"{\\\"jsonrpc\\\":\\\"2.0\\\",\\\"method\\\":\\\"tools/call\\\"} fails\"}"
                .to_owned(),
            "HTTP/1.1 200 OK\nContent-Type: application/json\n\n{\"ok\":true,\"ts\":\"1.2\"}".to_owned(),
        ),
        ("documentation under a telltale path", get("docs.vendor.example", "/docs/mcp", HTML), page("MCP")),
        ("a product page", get("huggingface.co", "/mcp", HTML), page("MCP settings")),
        ("a product page fetched with any type", get("huggingface.co", "/mcp", "*/*"), page("MCP settings")),
        ("a page with a tab", get("www.vendor.example", "/mcp?tab=readme", HTML), page("readme")),
        (
            "an image under a telltale path",
            get("www.vendor.example", "/mcp/logo.png", "image/avif,image/webp,*/*;q=0.8"),
            "HTTP/1.1 200 OK\nContent-Type: image/png\n\n\u{89}PNG".to_owned(),
        ),
        (
            "a style sheet under a telltale path",
            get("www.vendor.example", "/mcp/site.css", "text/css,*/*;q=0.1"),
            "HTTP/1.1 200 OK\nContent-Type: text/css\n\nbody { margin: 0 }".to_owned(),
        ),
        (
            "a page that is not there",
            get("www.vendor.example", "/sse", HTML),
            "HTTP/1.1 404 Not Found\nContent-Type: text/html\n\n<h1>Not Found</h1>".to_owned(),
        ),
        (
            "a path that is not there, asked for by a program",
            get("www.vendor.example", "/sse", "*/*"),
            "HTTP/1.1 404 Not Found\nContent-Type: text/plain\n\nnot found".to_owned(),
        ),
        (
            "a form",
            "POST /mcp HTTP/1.1\nHost: www.vendor.example\nContent-Type: application/x-www-form-urlencoded\n\
             Accept: text/html\n\nname=ana&topic=mcp"
                .to_owned(),
            "HTTP/1.1 303 See Other\nLocation: /thanks\nContent-Length: 0\n\n".to_owned(),
        ),
        (
            "a page that moved",
            get("www.vendor.example", "/mcp", HTML),
            "HTTP/1.1 301 Moved Permanently\nLocation: /mcp/\nContent-Length: 0\n\n".to_owned(),
        ),
        ("a shop on a host that serves MCP elsewhere", get("shop.example", "/products/mcp-board", HTML), page("board")),
        (
            "a search",
            get("search.example", "/search?q=tools%2Fcall+%2Fmcp", HTML),
            page("results for {\"method\":\"tools/call\"}"),
        ),
    ]
}

#[test]
fn ordinary_visits_give_no_event() {
    let mut wrong = Vec::new();
    for (what, request, answer) in visits() {
        let mut capture = Capture::new();
        let turns = [(Direction::ToServer, http::request(&request)), (Direction::ToClient, http::request(&answer))];
        capture.play("10.1.1.1:40001", "203.0.113.9:80", Wire::default(), &turns);
        let run = Run::of(&capture.pcap());
        for kind in ["detection", "session", "server"] {
            if let Some(event) = run.of_type(kind).first() {
                wrong.push(format!("{what}: {kind} {} {}", event["confidence"], event["signals"]));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_visit_cut_off_before_its_answer_still_gives_no_event() {
    for (what, request, _) in visits().into_iter().filter(|(_, request, _)| request.contains("text/html")) {
        let mut capture = Capture::new();
        let flow = capture.flow("10.1.1.1:40001", "203.0.113.9:80", Wire::default());
        capture.send(flow, Direction::ToServer, &http::request(&request));
        let run = Run::of(&capture.pcap());
        assert_eq!(run.of_type("detection").len(), 0, "{what}");
    }
}
