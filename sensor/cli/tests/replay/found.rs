//! Faults that were found in use or in review, each as a case.

use crate::support::Run;
use testkit::{Capture, Direction, Wire, http};

const CLIENT: &str = "10.1.1.1:40001";
const SERVER: &str = "10.2.2.2:8000";
const BOTH: &str = "Accept: application/json, text/event-stream\n";

#[test]
fn an_answer_after_five_seconds_still_reaches_session_and_server() {
    let mut capture = Capture::new();
    let flow = capture.flow(CLIENT, SERVER, Wire::default());
    let ask = http::post("notes.corp.example", "/x", BOTH, r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#);
    capture.send(flow, Direction::ToServer, &ask);
    capture.wait(20_000_000);
    // Something else lets packet time pass.
    let other = capture.flow("10.1.1.2:40002", "10.2.2.3:80", Wire::default());
    capture.send(other, Direction::ToServer, b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n");
    let tools = r#"{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"late","inputSchema":{"type":"object"}}]}}"#;
    capture.send(flow, Direction::ToClient, &http::json("", tools));
    capture.fin(flow);
    let run = Run::of(&capture.pcap());
    let detections = run.of_type("detection");
    assert_eq!(detections.len(), 1);
    assert_eq!(detections[0]["mcp"]["outcome"], "unseen", "written after five seconds");
    for record in [run.of_type("session"), run.servers()].concat() {
        assert_eq!(record["mcp"]["tools_listed"][0], "late", "{record}");
        assert_eq!(record["mcp"]["outcome"], "answered", "{record}");
    }
    assert_eq!(run.servers().len(), 1);
}

#[test]
fn many_requests_of_a_server_on_one_stream_are_all_written_and_take_linear_time() {
    let mut capture = Capture::new();
    let flow = capture.flow(CLIENT, SERVER, Wire::default());
    let get = http::request(
        "GET /q HTTP/1.1\nHost: notes.corp.example\nAccept: text/event-stream\nMcp-Session-Id: 9f4c1d7e20b84e0a\n\n",
    );
    capture.send(flow, Direction::ToServer, &get);
    capture.send(flow, Direction::ToClient, b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n");
    let event =
        |i: usize| format!("data: {{\"jsonrpc\":\"2.0\",\"id\":{i},\"method\":\"sampling/createMessage\"}}\n\n");
    let events: String = (0..2000).map(event).collect();
    capture.send(flow, Direction::ToClient, events.as_bytes());
    capture.fin(flow);
    assert_eq!(Run::of(&capture.pcap()).of_type("detection").len(), 2001);
}

#[test]
fn the_same_traffic_gets_the_same_ids_whatever_else_is_read() {
    let flow = |capture: &mut Capture| {
        let flow = capture.flow(CLIENT, SERVER, Wire::default());
        let ask = http::post("notes.corp.example", "/x", BOTH, r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#);
        capture.send(flow, Direction::ToServer, &ask);
        capture.fin(flow);
    };
    let ids = |capture: &Capture| {
        let run = Run::of(&capture.pcap());
        run.of_type("detection").iter().map(|d| d["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let mut alone = Capture::new();
    flow(&mut alone);
    let mut twice = Capture::new();
    flow(&mut twice);
    let other = twice.flow("10.1.1.9:40009", SERVER, Wire::default());
    twice.send(other, Direction::ToServer, b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n");
    assert_eq!(ids(&alone), ids(&twice));
}

#[test]
fn what_proves_nothing_makes_no_server() {
    for (what, request, answer) in [
        (
            "a document under a telltale path",
            "GET /docs/mcp HTTP/1.1\nHost: developers.vendor.example\nAccept: */*\n\n",
            "HTTP/1.1 200 OK\nContent-Type: text/markdown\n\n# MCP",
        ),
        (
            "a form posted to a telltale path",
            "POST /mcp HTTP/1.1\nHost: www.vendor.example\nContent-Type: application/x-www-form-urlencoded\n\na=b",
            "HTTP/1.1 200 OK\nContent-Type: text/plain\n\nok",
        ),
    ] {
        let mut capture = Capture::new();
        let flow = capture.flow(CLIENT, SERVER, Wire::default());
        capture.send(flow, Direction::ToServer, &http::request(request));
        capture.send(flow, Direction::ToClient, &http::request(answer));
        capture.fin(flow);
        let run = Run::of(&capture.pcap());
        assert!(run.of_type("detection").is_empty() && run.servers().is_empty(), "{what}");
    }
}

#[test]
fn a_coding_nobody_knows_does_not_hide_a_message() {
    let mut capture = Capture::new();
    let flow = capture.flow(CLIENT, SERVER, Wire::default());
    let extra = "Content-Encoding: aws-chunked\n";
    let ask = http::post("notes.corp.example", "/x", extra, r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#);
    capture.send(flow, Direction::ToServer, &ask);
    capture.fin(flow);
    let run = Run::of(&capture.pcap());
    assert_eq!(run.of_type("detection").len(), 1);
    assert_eq!(run.stats()["limits"]["undecoded_unknown_coding"], 1);
}
