//! Of an answer to what was no message only the beginning is read, unless that shows a sign of one.

use crate::support::Run;
use testkit::{Capture, Direction, Wire, http};

/// More than is glanced at.
const LONG: usize = 40_000;
const TOOLS: &str = r#""result":{"tools":[{"name":"late","inputSchema":{"type":"object"}}]}"#;

fn get(path: &str) -> Vec<u8> {
    http::request(&format!("GET {path} HTTP/1.1\nHost: a.example\nAccept: application/json\n\n"))
}

/// An answer with `before` in front of a long text, and `behind` after it.
fn answer(before: &str, behind: &str) -> String {
    format!("{{{before}\"text\":\"{}\"{behind}}}", "lorem ipsum ".repeat(LONG / 12))
}

fn detections(request: Option<&[u8]>, body: &str, coded: bool, mss: usize) -> usize {
    let mut capture = Capture::new();
    let flow = capture.flow("10.1.1.1:40001", "10.2.2.2:80", Wire::cut(mss));
    if let Some(request) = request {
        capture.send(flow, Direction::ToServer, request);
    } else {
        capture.skip(flow, Direction::ToServer, 400);
    }
    let response = if coded {
        http::message(
            "HTTP/1.1 200 OK\nContent-Type: application/json\nContent-Encoding: gzip",
            &http::gzip(body.as_bytes()),
        )
    } else {
        http::json("", body)
    };
    capture.send(flow, Direction::ToClient, &response);
    capture.fin(flow);
    Run::of(&capture.pcap()).of_type("detection").len()
}

#[test]
fn an_answer_is_read_whole_where_anything_may_come_of_it() {
    let post = http::post("a.example", "/x", "", r#"{"a":1}"#);
    let call = http::post("a.example", "/x", "", r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#);
    let first = answer(r#""jsonrpc":"2.0","id":1,"#, &format!(",{TOOLS}"));
    let last = answer("", &format!(r#","jsonrpc":"2.0","id":1,{TOOLS}"#));
    let plain = answer("", "");
    for (name, request, body, found) in [
        ("a page's data", Some(get("/data")), &plain, false),
        ("a posted record", Some(post.clone()), &plain, false),
        ("the message shows at the beginning", Some(get("/data")), &first, true),
        ("the same to a posted record", Some(post), &first, true),
        ("the request was a message", Some(call), &last, true),
        ("the path speaks of MCP", Some(get("/mcp")), &last, true),
        ("the request was not seen", None, &last, true),
        ("nobody asked for a message, and the answer begins like none", Some(get("/data")), &last, false),
    ] {
        for coded in [false, true] {
            for mss in [1460, 97] {
                let got = detections(request.as_deref(), body, coded, mss) > 0;
                assert_eq!(got, found, "{name}, coded: {coded}, segments of {mss}");
            }
        }
    }
}
