//! Which session a message belongs to, as far as it changes what is done about it.

use super::*;

const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"a","version":"1"}}}"#;

#[test]
fn clients_are_sent_elsewhere_but_in_sessions_of_the_server_that_they_ask() {
    let bench = blocks();
    let initialized = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
    let post = |body: &str, fields: &[(&str, &str)]| {
        let mut parts = post(body.len());
        parts.headers.extend(head(Method::POST, "/", fields).headers);
        let (mut inspection, verdict) = bench.begin("x.example", &parts);
        let verdict =
            if word(&verdict) == 'H' { inspection.body(Direction::ToServer, body.as_bytes()) } else { verdict };
        (inspection, verdict)
    };
    let say = |body: &str, fields: &[(&str, &str)]| acts(post(body, fields).1).start;
    let ask = |method: Method, fields: &[(&str, &str)]| {
        let (_, verdict) = bench.begin("x.example", &head(method, "/mcp", fields));
        acts(verdict).start
    };
    let stream = ("accept", "text/event-stream");
    let cases = |session: &str| {
        let session = ("mcp-session-id", session);
        let delete = ask(Method::DELETE, &[session]);
        [
            say(INITIALIZE, &[]),
            say(initialized, &[session]),
            say(CALL, &[session]),
            ask(Method::GET, &[stream, session]),
            delete,
        ]
    };
    let tools = r#"{"jsonrpc":"2.0","id":"v-1","result":{"tools":[{"name":"a","inputSchema":{}}]}}"#;
    let error = r#"{"jsonrpc":"2.0","id":"v-1","error":{"code":-32600,"message":"Bad Request: Missing session ID"}}"#;
    let exchange = |status: u16, session: Option<&'static str>, body: &str| {
        let (mut inspection, verdict) = post(VENDOR, &[]);
        // It is stopped where the place is known, and would have passed a moment ago.
        if word(&verdict) == 'P' {
            inspection.end(Direction::ToServer, EndKind::Complete);
        }
        let mut head = answer(status, "application/json");
        if let Some(session) = session {
            head.headers.insert("mcp-session-id", http::HeaderValue::from_static(session));
        }
        inspection.response(&head);
        inspection.body(Direction::ToClient, body.as_bytes());
    };
    assert_eq!(cases("one"), [true; 5]);
    exchange(400, None, error);
    assert_eq!((cases("one"), say(CALL, &[])), ([true; 5], true), "an error is no session");
    exchange(200, Some("one"), tools);
    assert_eq!(cases("one"), [true, false, false, false, false]);
    assert_eq!((cases("of-the-portal"), say(CALL, &[])), ([true; 5], true));
    exchange(200, None, tools);
    assert_eq!((cases("of-the-portal"), say(CALL, &[])), ([true; 5], false));
}

#[test]
fn messages_of_http_and_sse_are_answered_apart_and_their_stream_is_known_from_then_on() {
    let bench = blocks();
    let stream = head(Method::GET, "/sse", &[("host", "x.example"), ("accept", "text/event-stream")]);
    let open = || bench.begin("x.example", &stream);
    let (mut inspection, verdict) = open();
    assert_eq!(word(&verdict), 'P');
    inspection.response(&answer(200, "text/event-stream"));
    inspection.body(Direction::ToClient, b"event: endpoint\ndata: /messages/?session_id=0123456789abcdef\n\n");
    assert_eq!(word(&open().1), 'P', "nobody spoke MCP yet");
    let len = INITIALIZE.len().to_string();
    let fields = [("host", "x.example"), ("content-type", "application/json"), ("content-length", &len)];
    let parts = head(Method::POST, "/messages/?session_id=0123456789abcdef", &fields);
    let ruling = acts(bench.begin("x.example", &parts).0.body(Direction::ToServer, INITIALIZE.as_bytes()));
    assert!(ruling.apart && !ruling.start);
    let ruling = acts(open().1);
    assert!(ruling.start && !ruling.apart && ruling.stage == Stage::Request);
}
