//! Limits, other forms of text, streams of HTTP+SSE, WebSocket.

use super::*;
use crate::websocket::tests::frame;
use http::StatusCode;

const STOPS_CALLS: &str = r#"
[[policy]]
id = "no-cards-of-pay"
when = { dlp = "payment-cards", message = "answer", tool = "pay" }
action = "block"
"#;
const PRETENDS: &str = r#"
[[policy]]
id = "pretend"
when = { dlp = "payment-cards" }
action = "redact"
dry_run = true

[[policy]]
id = "pretend-too"
when = { tool = "delete_*" }
action = "filter"
dry_run = true
"#;

#[test]
fn a_dry_run_changes_nothing_and_takes_nothing_off_a_head() {
    run(async {
        let list = tools(1, &["delete_x"]).to_string().replace("{]", CARD);
        let pieces = vec![list.clone().into()];
        let (client, thread, asked) =
            origin_of(Protocol::Http1, &wish(PRETENDS), "application/json", pieces, &[]).await;
        let body = CALL.replace("\"x\"", &format!("\"{CARD}\""));
        let answer = client.send(post(body.clone())).await.unwrap();
        assert!(answer.headers().contains_key("etag") && answer.headers().contains_key("content-length"));
        assert_eq!(collected(answer.into_body()).await.0, list);
        let asked = asked.borrow();
        assert_eq!(
            (&asked[0].1[..], &asked[0].0.headers["accept-encoding"]),
            (body.as_bytes(), &"gzip, br".parse().unwrap())
        );
        assert!(!thread.shared.counters.totals().words.keys().any(|(family, _)| *family == "actions"));
    });
}

#[test]
fn an_answer_over_the_limit_is_refused_or_passes_as_configured() {
    for protocol in BOTH {
        for kind in ["application/json", "text/event-stream"] {
            for over in [Over::Refuse, Over::Stream] {
                run(async {
                    let list = tools(1, &["delete_all", &"x".repeat(5000)]).to_string();
                    let after = "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\"}\n\n";
                    let streams = kind == "text/event-stream";
                    let text = if streams { format!("data: {list}\n\n{after}") } else { list.clone() };
                    let hold = Hold { bytes: 2000, over, ..Hold::default() };
                    let wish = Wish { hold, ..wish(HIDES) };
                    let (client, thread, _) = origin_of(protocol, &wish, kind, cut(text.as_bytes(), 700), &[]).await;
                    let answer = client.send(post(LIST)).await.unwrap();
                    let got = collected(answer.into_body()).await.0;
                    let got = std::str::from_utf8(&got).unwrap();
                    if over == Over::Stream {
                        assert_eq!(got, text);
                    } else {
                        let error = if streams { got.strip_suffix(after).unwrap().trim_end() } else { got };
                        let error = error.strip_prefix("event: message\ndata: ").unwrap_or(error);
                        let error: Value = serde_json::from_str(error).unwrap();
                        assert_eq!((&error["id"], &error["error"]["data"]["reason"]), (&json!(1), &json!("bytes")));
                    }
                    assert_eq!(thread.shared.counters.totals().words.get(&("limit", "hold_bytes")), Some(&1));
                    assert_eq!(thread.shared.held.load(std::sync::atomic::Ordering::Relaxed), 0);
                });
            }
        }
    }
}

#[test]
fn texts_in_utf_16_are_changed_too() {
    let wide = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    run(async {
        let list = wide(&format!("[{},{}]", tools(1, &["delete_é", "read"]), tools(2, &["drop"])));
        let (client, _, asked) = origin_of(
            Protocol::Http1,
            &wish([HIDES, TAKES_OUT].concat().leak()),
            "application/json",
            cut(&list, 99),
            &[],
        )
        .await;
        let call = format!(
            r#"{{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{{"name":"é","arguments":{{"pan":{CARD}}}}}}}"#
        );
        let answer = client.send(post(wide(&call))).await.unwrap();
        let got: Value = serde_json::from_slice(&collected(answer.into_body()).await.0).unwrap();
        assert_eq!(got[0]["result"]["tools"].as_array().unwrap().len(), 1);
        assert_eq!(got[1]["result"]["tools"], json!([]));
        let asked: Value = serde_json::from_slice(&asked.borrow()[0].1).unwrap();
        assert_eq!(asked["params"], json!({"name": "é", "arguments": {"pan": "[redacted:payment-cards]"}}));
    });
}

#[test]
fn a_coded_request_is_sent_decoded_and_redacted() {
    use std::io::Write as _;
    run(async {
        let (client, _, asked) =
            origin_of(Protocol::Http2, &wish(TAKES_OUT), "application/json", vec![Bytes::from_static(b"{}")], &[])
                .await;
        let call = CALL.replace("\"x\"", &format!("\"{CARD}\""));
        let mut coder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        coder.write_all(call.as_bytes()).unwrap();
        let mut request = post(coder.finish().unwrap());
        request.headers_mut().insert("content-encoding", "gzip".parse().unwrap());
        collected(client.send(request).await.unwrap().into_body()).await;
        let (head, body) = asked.borrow()[0].clone();
        assert!(!head.headers.contains_key("content-encoding"));
        assert_eq!(body, call.replace(CARD, "[redacted:payment-cards]"));
    });
}

#[test]
fn an_answer_in_a_coding_that_cannot_be_taken_off_is_refused_or_passes_as_configured() {
    for fault in [Fault::Open, Fault::Closed] {
        run(async {
            let wish = Wish { fault: Some(fault), ..wish(HIDES) };
            let list = tools(1, &["delete_all"]).to_string();
            let fields = &[("content-encoding", "secret-zip")];
            let (client, thread, _) =
                origin_of(Protocol::Http1, &wish, "application/json", vec![list.clone().into()], fields).await;
            let answer = client.send(post(LIST)).await.unwrap();
            assert_eq!(answer.status(), StatusCode::OK);
            let got = collected(answer.into_body()).await.0;
            if fault == Fault::Open {
                assert_eq!(got, list);
            } else {
                let error: Value = serde_json::from_slice(&got).unwrap();
                assert_eq!((&error["id"], &error["error"]["data"]["reason"]), (&json!(1), &json!("fault")));
            }
            assert_eq!(thread.shared.counters.totals().words.get(&("unchangeable", "unknown_coding")), Some(&1));
        });
    }
}

#[test]
fn what_answers_a_call_on_the_stream_of_http_and_sse_is_judged_by_that_call() {
    run(async {
        let (feeds, mut bodies) = mpsc::unbounded_channel();
        let (client, _) = through(Protocol::Http2, &wish(STOPS_CALLS), move |request| {
            let (feed, body) = fed();
            let get = request.method() == http::Method::GET;
            if get {
                feeds.send(feed).unwrap();
            }
            async move {
                if get {
                    return Response::builder().header("content-type", "text/event-stream").body(body).unwrap();
                }
                request.into_body().collect().await.unwrap();
                Response::builder().status(202).body(full("Accepted")).unwrap()
            }
        })
        .await;
        let get = Request::get("/sse").header("accept", "text/event-stream").body(empty()).unwrap();
        let answer = client.send(get).await.unwrap();
        let feed = bodies.recv().await.unwrap();
        let mut body = answer.into_body();
        feed.send(data("event: endpoint\ndata: /messages?session_id=0123456789abcdef\n\n")).await.unwrap();
        body.frame().await.unwrap().unwrap();
        for (id, tool, stops) in [(7, "pay", true), (8, "look", false)] {
            let call = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"{tool}"}}}}"#);
            let mut request = post(call);
            *request.uri_mut() = "/messages?session_id=0123456789abcdef".parse().unwrap();
            assert_eq!(client.send(request).await.unwrap().status(), 202);
            let result =
                format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"content":[{{"type":"text","text":"{CARD}"}}]}}}}"#);
            feed.send(data(format!("event: message\ndata: {result}\n\n"))).await.unwrap();
            let got = body.frame().await.unwrap().unwrap().into_data().unwrap();
            let got = std::str::from_utf8(&got).unwrap();
            let got: Value = serde_json::from_str(got.strip_prefix("event: message\ndata: ").unwrap()).unwrap();
            assert_eq!((got["error"].is_object(), &got["id"]), (stops, &json!(id)), "{got}");
        }
    });
}

#[test]
fn messages_of_a_websocket_are_changed_in_both_directions_and_nothing_is_compressed() {
    run(async {
        let Between { mut client, mut origin, .. } =
            between(Protocol::Http1, &wish([HIDES, TAKES_OUT].concat().leak()));
        client
            .write_all(
                b"GET /ws HTTP/1.1\r\nHost: origin.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                  Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
                  Sec-WebSocket-Protocol: mcp\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
            )
            .await
            .unwrap();
        let mut io = origin.recv().await.unwrap();
        let mut head = vec![0; 4096];
        let n = io.read(&mut head).await.unwrap();
        assert!(!String::from_utf8(head[..n].to_vec()).unwrap().to_lowercase().contains("permessage"));
        io.write_all(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
              Sec-WebSocket-Protocol: mcp\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
        )
        .await
        .unwrap();
        let mut got = Vec::new();
        while !got.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            client.read_exact(&mut byte).await.unwrap();
            got.push(byte[0]);
        }
        let list = LIST.as_bytes();
        let call = format!(
            r#"{{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{{"name":"pay","arguments":{{"a":"{CARD}"}}}}}}"#
        );
        let (begin, end) = call.split_at(30);
        let mask = Some([1, 2, 3, 4]);
        for wire in [
            frame(0x81, mask, list),
            frame(0x01, mask, begin.as_bytes()),
            frame(0x89, mask, b"ping"),
            frame(0x80, mask, end.as_bytes()),
        ] {
            client.write_all(&wire).await.unwrap();
        }
        let redacted = call.replace(CARD, "[redacted:payment-cards]");
        for (opcode, want) in [(1, list), (9, b"ping"), (1, redacted.as_bytes())] {
            assert_eq!(read_frame(&mut io).await, (opcode, want.to_vec()));
        }
        let answer = tools(1, &["delete_x", "read"]).to_string();
        io.write_all(&frame(0x01, None, &answer.as_bytes()[..20])).await.unwrap();
        io.write_all(&frame(0x80, None, &answer.as_bytes()[20..])).await.unwrap();
        io.write_all(&frame(0x81, None, b"hello")).await.unwrap();
        let (opcode, got) = read_frame(&mut client).await;
        assert_eq!((opcode, names(&got)), (1, vec!["read".to_owned()]));
        assert_eq!(read_frame(&mut client).await, (1, b"hello".to_vec()));
    });
}

/// Opcode and payload of the next frame, the mask off.
async fn read_frame(io: &mut DuplexStream) -> (u8, Vec<u8>) {
    let mut wire = Vec::new();
    loop {
        let mut byte = [0];
        io.read_exact(&mut byte).await.unwrap();
        wire.push(byte[0]);
        let Ok((header, used)) = proto::websocket::Header::parse(&wire) else { continue };
        let mut payload = vec![0; usize::try_from(header.len).unwrap()];
        io.read_exact(&mut payload).await.unwrap();
        assert_eq!(used, wire.len());
        let mask = header.mask.unwrap_or_default();
        payload.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
        return (header.opcode, payload);
    }
}

#[test]
fn what_is_no_mcp_passes_as_it_is_asked_and_answered_also_where_tools_are_hidden() {
    for protocol in BOTH {
        run(async {
            let text = json!({"result": {"tools": [{"name": "delete_x"}]}}).to_string();
            let fields = &[("content-encoding", "secret-zip")];
            let (client, _, asked) =
                origin_of(protocol, &wish(HIDES), "application/json", vec![text.clone().into()], fields).await;
            for request in [
                Request::get("/data")
                    .header("range", "bytes=0-5")
                    .header("accept-encoding", "br")
                    .body(empty())
                    .unwrap(),
                Request::post("/api")
                    .header("content-type", "application/json")
                    .header("range", "bytes=0-5")
                    .header("accept-encoding", "br")
                    .body(full("{\"a\":1}"))
                    .unwrap(),
            ] {
                let answer = client.send(request).await.unwrap();
                assert!(answer.headers().contains_key("etag") && answer.headers().contains_key("content-length"));
                assert_eq!(collected(answer.into_body()).await.0, text);
                let head = asked.borrow_mut().pop().unwrap().0;
                assert_eq!(
                    (&head.headers["accept-encoding"], &head.headers["range"]),
                    (&"br".parse().unwrap(), &"bytes=0-5".parse().unwrap())
                );
            }
        });
    }
}
