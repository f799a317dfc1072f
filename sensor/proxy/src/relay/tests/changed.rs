//! Requests and answers that policies change on their way, with the inspector that is used.

mod edges;

use super::*;
use serde_json::{Value, json};

pub(super) fn generation(policies: &str) -> Arc<Generation> {
    let text = format!("[pack]\nid = \"test\"\nversion = \"1\"\n{policies}");
    let mut texts = detect::rules::builtin().to_vec();
    texts.push(detect::rules::RuleText { file: "test.toml", text: &text, lists: &|_| Err("none".to_owned()) });
    let rules = detect::rules::compile(&texts).unwrap();
    Arc::new(Generation { rules, scope: detect::Scope::default(), policy: detect::Policy::default() })
}

const HIDES: &str = r#"
[[policy]]
id = "hide"
when = { tool = ["delete_*", "drop"] }
action = "filter"
"#;
const TAKES_OUT: &str = r#"
[[policy]]
id = "cards"
when = { dlp = "payment-cards" }
action = "redact"
"#;
const STOPS: &str = r#"
[[policy]]
id = "no-cards-back"
when = { dlp = "payment-cards", message = "answer" }
action = "block"
message = "No cards."
"#;
const CARD: &str = "4111111111111111";
const LIST: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
const CALL: &str = r#"{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"pay","arguments":{"note":"x"}}}"#;

fn wish(policies: &'static str) -> Wish {
    Wish { policies, ..Wish::default() }
}

fn tools(id: u32, names: &[&str]) -> Value {
    let tools: Vec<Value> = names
        .iter()
        .map(|name| json!({"name": name, "inputSchema": {"type": "object"}, "description": "{]\","}))
        .collect();
    json!({"jsonrpc": "2.0", "id": id, "result": {"tools": tools, "nextCursor": "abc", "cacheScope": "public", "ttlMs": 5}})
}

fn names(answer: &[u8]) -> Vec<String> {
    let answer: Value = serde_json::from_slice(answer).unwrap();
    answer["result"]["tools"].as_array().unwrap().iter().map(|t| t["name"].as_str().unwrap().to_owned()).collect()
}

fn post(body: impl Into<Bytes>) -> Request<Any> {
    Request::post("/mcp")
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream")
        .header("accept-encoding", "gzip, br")
        .header("range", "bytes=0-5")
        .body(full(body))
        .unwrap()
}

/// What the origin was asked: head and body.
type Asked = Rc<RefCell<Vec<(http::request::Parts, Bytes)>>>;

/// An origin that answers everything with this.
async fn origin_of(
    protocol: Protocol,
    wish: &Wish,
    kind: &'static str,
    pieces: Vec<Bytes>,
    fields: &'static [(&'static str, &'static str)],
) -> (Client, Rc<Thread>, Asked) {
    let asked: Asked = Rc::default();
    let keep = Rc::clone(&asked);
    let (client, thread) = through(protocol, wish, move |request| {
        let (keep, pieces) = (Rc::clone(&keep), pieces.clone());
        async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            keep.borrow_mut().push((parts, body));
            let mut answer = Response::builder().header("content-type", kind).header("etag", "\"1\"");
            for (name, value) in fields {
                answer = answer.header(*name, *value);
            }
            let body = if let [whole] = &pieces[..] {
                full(whole.clone())
            } else {
                let (feed, body) = fed();
                tokio::task::spawn_local(async move {
                    for piece in pieces {
                        feed.send(data(piece)).await.unwrap();
                    }
                });
                body
            };
            answer.body(body).unwrap()
        }
    })
    .await;
    (client, thread, asked)
}

fn cut(bytes: &[u8], at: usize) -> Vec<Bytes> {
    bytes.chunks(at).map(Bytes::copy_from_slice).collect()
}

#[test]
fn tools_that_a_policy_hides_are_not_in_the_list_and_all_else_stays_however_it_comes() {
    for protocol in BOTH {
        for size in [usize::MAX, 7, 64] {
            run(async {
                let list = tools(1, &["read", "delete_all", "write", "drop"]).to_string();
                let (client, thread, asked) =
                    origin_of(protocol, &wish(HIDES), "application/json", cut(list.as_bytes(), size), &[]).await;
                let answer = client.send(post(LIST)).await.unwrap();
                assert!(!answer.headers().contains_key("etag") && !answer.headers().contains_key("content-length"));
                let body = collected(answer.into_body()).await.0;
                let mut want = tools(1, &["read", "write"]);
                want["result"]["cacheScope"] = json!("private");
                assert_eq!(serde_json::from_slice::<Value>(&body).unwrap(), want);
                assert_eq!(thread.shared.counters.totals().words.get(&("actions", "filter")), Some(&1));
                let (head, _) = asked.borrow()[0].clone();
                assert_eq!(head.headers["accept-encoding"], "identity");
                assert!(!head.headers.contains_key("range"));
                assert_eq!(thread.shared.held.load(std::sync::atomic::Ordering::Relaxed), 0);
            });
        }
    }
}

#[test]
fn a_list_in_an_event_stream_is_filtered_and_its_other_lines_and_events_stay() {
    for protocol in BOTH {
        for size in [usize::MAX, 1, 13] {
            run(async {
                let list = tools(1, &["delete_x", "read"]).to_string();
                let note = "event: message\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\"}\n\n";
                let stream = format!(": hello\n\nid: 7\nretry: 10\nevent: message\ndata: {list}\n\n{note}");
                let pieces = cut(stream.as_bytes(), size);
                let (client, _, _) = origin_of(protocol, &wish(HIDES), "text/event-stream", pieces, &[]).await;
                let answer = client.send(post(LIST)).await.unwrap();
                let body = collected(answer.into_body()).await.0;
                let text = std::str::from_utf8(&body).unwrap();
                let data = text.strip_prefix(": hello\n\nid: 7\nretry: 10\nevent: message\ndata: ").unwrap();
                let data = data.strip_suffix(note).unwrap().strip_suffix("\n\n").unwrap();
                assert_eq!(names(data.as_bytes()), ["read"]);
            });
        }
    }
}

#[test]
fn each_event_passes_before_the_next_one_comes() {
    for protocol in BOTH {
        run(async {
            let (feeds, mut bodies) = mpsc::unbounded_channel();
            let (client, _) = through(protocol, &wish(HIDES), move |_| {
                let (feed, body) = fed();
                feeds.send(feed).unwrap();
                async move { Response::builder().header("content-type", "text/event-stream").body(body).unwrap() }
            })
            .await;
            let answer = client.send(post(LIST)).await.unwrap();
            let feed = bodies.recv().await.unwrap();
            let mut body = answer.into_body();
            for event in
                [": ping\n", "event: endpoint\ndata: /m\n\n", "data: {\"jsonrpc\":\"2.0\",\"id\":9,\"result\":{}}\n\n"]
            {
                feed.send(data(event)).await.unwrap();
                let got = body.frame().await.unwrap().unwrap().into_data().unwrap();
                assert_eq!(got, event);
            }
        });
    }
}

#[test]
fn a_coded_answer_is_decoded_filtered_and_sent_as_it_is() {
    use std::io::Write as _;
    for protocol in BOTH {
        run(async {
            let many: Vec<String> =
                (0..2000).map(|n| if n % 2 == 0 { format!("read_{n}") } else { format!("delete_{n}") }).collect();
            let list = tools(1, &many.iter().map(String::as_str).collect::<Vec<_>>()).to_string();
            let mut coder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            coder.write_all(list.as_bytes()).unwrap();
            let coded = coder.finish().unwrap();
            let fields = &[("content-encoding", "gzip"), ("content-digest", "sha-256=:x:")];
            let (client, _, _) = origin_of(protocol, &wish(HIDES), "application/json", cut(&coded, 1000), fields).await;
            let answer = client.send(post(LIST)).await.unwrap();
            assert!(
                !answer.headers().contains_key("content-encoding") && !answer.headers().contains_key("content-digest")
            );
            let got = names(&collected(answer.into_body()).await.0);
            assert_eq!(got.len(), 1000);
            assert!(got.iter().all(|name| name.starts_with("read_")));
        });
    }
}

#[test]
fn data_is_taken_out_of_what_is_asked_in_body_and_head_alike() {
    for protocol in BOTH {
        run(async {
            let answer = Bytes::from_static(b"{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":{}}");
            let (client, thread, asked) =
                origin_of(protocol, &wish(TAKES_OUT), "application/json", vec![answer], &[]).await;
            let call = format!(
                r#"{{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{{"name":"pay","arguments":{{"pan": {CARD}, "n":"my {CARD}!", "{CARD}":1, "other" : [1e3]}}}}}}"#
            );
            let mut request = post(call.clone());
            let headers = request.headers_mut();
            headers.insert("mcp-name", "pay".parse().unwrap());
            headers.insert("mcp-param-pan", CARD.parse().unwrap());
            headers.insert("mcp-param-n", "=?base64?bXkgNDExMTExMTExMTExMTExMSE=?=".parse().unwrap());
            headers.insert("digest", "sha-256=x".parse().unwrap());
            collected(client.send(request).await.unwrap().into_body()).await;
            let (head, body) = asked.borrow()[0].clone();
            let marker = "[redacted:payment-cards]";
            let want =
                call.replace(&format!(r#""pan": {CARD}"#), &format!(r#""pan": "{marker}""#)).replace(CARD, marker);
            assert_eq!(std::str::from_utf8(&body).unwrap(), want);
            assert_eq!(head.headers["content-length"], want.len().to_string());
            assert_eq!(head.headers["mcp-name"], "pay");
            assert_eq!(head.headers["mcp-param-pan"], marker);
            assert_eq!(head.headers["mcp-param-n"], format!("my {marker}!"));
            assert!(!head.headers.contains_key("digest"));
            assert_eq!(thread.shared.counters.totals().words.get(&("actions", "redact")), Some(&1));
            // What has nothing of it passes as it came.
            let mut request = post(CALL);
            request.headers_mut().insert("digest", "sha-256=x".parse().unwrap());
            collected(client.send(request).await.unwrap().into_body()).await;
            let (head, body) = asked.borrow()[1].clone();
            assert_eq!((&body[..], &head.headers["digest"]), (CALL.as_bytes(), &"sha-256=x".parse().unwrap()));
        });
    }
}

#[test]
fn data_is_taken_out_of_results_and_errors() {
    for protocol in BOTH {
        for kind in ["application/json", "text/event-stream"] {
            run(async {
                let result = format!(
                    r#"{{"jsonrpc":"2.0","id":2,"result":{{"content":[{{"type":"text","text":"\"{CARD}\" \u00e9"}}],"structuredContent":{{"pan":{CARD}}}}}}}"#
                );
                let text = if kind == "application/json" { result.clone() } else { format!("data: {result}\n\n") };
                let (client, _, _) = origin_of(protocol, &wish(TAKES_OUT), kind, vec![text.clone().into()], &[]).await;
                let answer = client.send(post(CALL)).await.unwrap();
                let body = collected(answer.into_body()).await.0;
                let want = text
                    .replace(&format!(r#""pan":{CARD}"#), r#""pan":"[redacted:payment-cards]""#)
                    .replace(&format!(r#"\"{CARD}\" \u00e9"#), r#"\"[redacted:payment-cards]\" é"#);
                assert_eq!(std::str::from_utf8(&body).unwrap(), want);
            });
        }
    }
}

#[test]
fn an_answer_that_must_not_pass_becomes_an_error_and_the_stream_goes_on() {
    for protocol in BOTH {
        run(async {
            let result =
                format!(r#"{{"jsonrpc":"2.0","id":2,"result":{{"content":[{{"type":"text","text":"{CARD}"}}]}}}}"#);
            let other = "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\",\"params\":{\"data\":1}}\n\n";
            let noted = format!(
                "id: 3\ndata: {{\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\",\"params\":{{\"data\":\"{CARD}\"}}}}\n\n"
            );
            let stream = format!("{other}id: 4\ndata: {result}\n\n{noted}{other}");
            let (client, _, _) = origin_of(protocol, &wish(STOPS), "text/event-stream", vec![stream.into()], &[]).await;
            let answer = client.send(post(CALL)).await.unwrap();
            assert_eq!(answer.status(), 200);
            let body = collected(answer.into_body()).await.0;
            let text = std::str::from_utf8(&body).unwrap();
            let rest = text.strip_prefix(other).unwrap().strip_suffix(other).unwrap();
            let error = rest.strip_prefix("id: 4\ndata: ").unwrap().strip_suffix("\n\nid: 3\n\n").unwrap();
            let error: Value = serde_json::from_str(error).unwrap();
            assert_eq!((&error["id"], &error["error"]["data"]["policy"]), (&json!(2), &json!("no-cards-back")));
            assert!(error["error"]["message"].as_str().unwrap().contains("No cards."), "{error}");
            assert!(!text.contains(CARD));
        });
    }
}
