//! What the record says of what was changed.

use super::*;

fn changes(policies: &str) -> Bench {
    let text = format!("[pack]\nid = \"test\"\nversion = \"1\"\n{policies}");
    let mut texts = detect::rules::builtin().to_vec();
    texts.push(detect::rules::RuleText { file: "test.toml", text: &text, lists: &|_| Err("none".to_owned()) });
    bench_of(generation(detect::rules::compile(&texts).unwrap(), &RawActions::default()))
}

const LIST: &str = r#"{"jsonrpc":"2.0","id":3,"method":"tools/list"}"#;
const TOOLS: &str = r#"{"jsonrpc":"2.0","id":3,"result":{"tools":[{"name":"drop","inputSchema":{}},{"name":"read","inputSchema":{}}]}}"#;
const PAYS: &str =
    r#"{"jsonrpc":"2.0","id":4,"method":"tools/call","params":{"name":"pay","arguments":{"pan":"4111111111111111"}}}"#;
const PAID: &str = r#"{"jsonrpc":"2.0","id":4,"result":{"content":[{"type":"text","text":"4111111111111111"}]}}"#;

/// Asks and answers; gives what the server and the client get.
fn exchange(bench: &Bench, asks: &str, answers: &str) -> (String, String) {
    let (mut inspection, verdict) = bench.begin("x.example", &post(asks.len()));
    assert_eq!(word(&verdict), 'H');
    let mut passed = Vec::new();
    for (dir, text) in [(Direction::ToServer, asks), (Direction::ToClient, answers)] {
        if dir == Direction::ToClient {
            inspection.response(&answer(200, "application/json"));
        }
        let verdict = inspection.body(dir, text.as_bytes());
        let new = match word(&verdict) {
            'E' => inspection.edit(dir, 0, text.as_bytes()).unwrap(),
            other => {
                assert_eq!(other, 'P');
                None
            }
        };
        passed.push(new.map_or_else(|| text.to_owned(), |new| String::from_utf8(new).unwrap()));
        assert_ne!(word(&inspection.end(dir, EndKind::Complete)), 'E');
    }
    let client = passed.pop().unwrap();
    (passed.pop().unwrap(), client)
}

#[test]
fn a_list_that_was_filtered_is_one_record_with_what_the_server_said() {
    let bench = changes("[[policy]]\nid = \"hide\"\nwhen = { tool = \"drop\" }\naction = \"filter\"\n");
    let (asked, got) = exchange(&bench, LIST, TOOLS);
    assert_eq!((asked.as_str(), got), (LIST, TOOLS.replace(r#"{"name":"drop","inputSchema":{}},"#, "")));
    let detections = bench.detections();
    assert_eq!(detections.len(), 1, "{detections:#?}");
    let (action, mcp) = (&detections[0]["action"], &detections[0]["mcp"]);
    assert_eq!(
        (&action["taken"], &action["policy"], &action["stage"]),
        (&"filter".into(), &"hide".into(), &"response".into())
    );
    assert_eq!((&mcp["tools_listed"], &mcp["outcome"]), (&serde_json::json!(["drop", "read"]), &"answered".into()));
    assert!(!TOOLS.is_empty() && exchange(&bench, PAYS, PAID) == (PAYS.to_owned(), PAID.to_owned()));
}

#[test]
fn what_was_taken_out_of_a_request_is_told_with_its_answer() {
    let bench = changes(
        "[[policy]]\nid = \"cards\"\nwhen = { dlp = \"payment-cards\", message = \"request\" }\naction = \"redact\"\n",
    );
    let (asked, got) = exchange(&bench, PAYS, PAID);
    assert_eq!((asked, got.as_str()), (PAYS.replace("4111111111111111", "[redacted:payment-cards]"), PAID));
    let detections = bench.detections();
    assert_eq!(detections.len(), 1, "{detections:#?}");
    let one = &detections[0];
    assert_eq!(
        (&one["action"]["decided"], &one["action"]["taken"], &one["action"]["policy"], &one["mcp"]["outcome"]),
        (&"redact".into(), &"redact".into(), &"cards".into(), &"answered".into())
    );
    assert_eq!(one["dlp"], serde_json::json!(["payment-cards"]));
}

#[test]
fn an_answer_that_was_stopped_is_told_as_such() {
    let bench = changes(
        "[[policy]]\nid = \"stop\"\nwhen = { dlp = \"payment-cards\", message = \"answer\" }\naction = \"block\"\n",
    );
    let (asked, got) = exchange(&bench, PAYS, PAID);
    let got: serde_json::Value = serde_json::from_str(&got).unwrap();
    assert_eq!((asked.as_str(), &got["id"], &got["error"]["data"]["policy"]), (PAYS, &4.into(), &"stop".into()));
    let detections = bench.detections();
    assert_eq!(detections.len(), 1, "{detections:#?}");
    let action = &detections[0]["action"];
    assert_eq!(
        (&action["taken"], &action["stage"], &action["delivered"]),
        (&"block".into(), &"response".into(), &"whole".into())
    );
}

#[test]
fn what_is_gone_already_cannot_be_changed_and_is_stopped() {
    let bench = changes("[[policy]]\nid = \"cards\"\nwhen = { dlp = \"payment-cards\" }\naction = \"redact\"\n");
    let (mut inspection, _) = bench.begin("x.example", &post(PAYS.len()));
    assert_eq!(word(&inspection.body(Direction::ToServer, PAYS.as_bytes())), 'E');
    let ruling = inspection.cannot_edit().unwrap();
    assert_eq!((ruling.decision.action, ruling.decision.policy.as_str()), (Action::Block, "cards"));
    assert!(inspection.cannot_edit().is_none());
    // A text in which the message is not found says nothing of what it holds.
    let (mut inspection, _) = bench.begin("x.example", &post(PAYS.len()));
    inspection.body(Direction::ToServer, PAYS.as_bytes());
    assert!(inspection.edit(Direction::ToServer, 0, b"\x1f\x8b").is_err());
}

#[test]
fn nothing_hides_behind_more_messages_than_are_judged() {
    let bench = changes("[[policy]]\nid = \"cards\"\nwhen = { dlp = \"payment-cards\" }\naction = \"redact\"\n");
    let say = |pings: usize| {
        let all = format!("[{}{PAYS}]", r#"{"jsonrpc":"2.0","id":1,"method":"ping"},"#.repeat(pings));
        let (mut inspection, _) = bench.begin("x.example", &post(all.len()));
        let verdicts: Vec<_> =
            all.as_bytes().chunks(60_000).map(|part| inspection.body(Direction::ToServer, part)).collect();
        verdicts.into_iter().last().unwrap()
    };
    assert_eq!(word(&say(1023)), 'E');
    let ruling = acts(say(1024));
    assert_eq!((ruling.cause, ruling.left_out), (Cause::Limit("messages"), 1));
}
