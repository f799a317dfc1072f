//! What is changed, and that nothing else is.

use super::*;
use proptest::prelude::*;
use serde_json::{Value as Json, json};

fn profiles() -> (crate::rules::RuleSet, ProfileSet) {
    let rules = crate::rules::compile(&crate::rules::builtin()).unwrap();
    let all = ["payment-cards"].into_iter().filter_map(|id| rules.dlp().index_of(id)).collect();
    (rules, all)
}

const CARD: &str = "4111111111111111";
const MARK: &str = "[redacted:payment-cards]";

#[test]
fn hits_become_markers_wherever_data_stands_and_the_frame_of_a_message_is_let_be() {
    let (rules, wanted) = profiles();
    for (before, after) in [
        (r#"{"params":{"a":"x 4111111111111111 y"}}"#, Some(r#"{"params":{"a":"x [redacted:payment-cards] y"}}"#)),
        (r#"{"params":{"a" : 4111111111111111 }}"#, Some(r#"{"params":{"a" : "[redacted:payment-cards]" }}"#)),
        (r#"{"params":{"4111111111111111":1}}"#, Some(r#"{"params":{"[redacted:payment-cards]":1}}"#)),
        (
            r#"{"result":["\u0034111111111111111\n\"\u0001"]}"#,
            Some(r#"{"result":["[redacted:payment-cards]\u000a\"\u0001"]}"#),
        ),
        (
            r#"{"error":{"data":"4111 1111 1111 1111, 5555555555554444"}}"#,
            Some(r#"{"error":{"data":"[redacted:payment-cards], [redacted:payment-cards]"}}"#),
        ),
        (r#"{"id":4111111111111111,"method":"4111111111111111"}"#, None),
        (r#"{"params":{"a":"4111111111111112"}}"#, None),
        ("", None),
        (r#"{"params":"#, None),
    ] {
        let got = redact(rules.dlp(), wanted, before.as_bytes()).map(|new| String::from_utf8(new.text).unwrap());
        assert_eq!(got.as_deref(), after, "{before}");
    }
    let deep = format!("{{\"params\":{}\"{CARD}\"{}}}", "[".repeat(200), "]".repeat(200));
    let got = redact(rules.dlp(), wanted, deep.as_bytes()).unwrap().text;
    serde_json::from_slice::<Json>(&got).unwrap();
    assert!(!String::from_utf8(got).unwrap().contains(CARD));
    let got = redact(rules.dlp(), wanted, format!(r#"{{"params":{{"a":{CARD},"b":"{CARD} "}}}}"#).as_bytes()).unwrap();
    let value = |before: &str, after: &str| (before.to_owned(), after.to_owned());
    assert_eq!(got.values, [value(CARD, MARK), value(&format!("{CARD} "), &format!("{MARK} "))]);
}

#[test]
fn hidden_tools_go_with_their_commas_and_the_rest_of_an_answer_stays() {
    let hide = |text: &str| {
        let left = filter_tools(text.as_bytes(), &mut |name, _| name.starts_with("no"));
        left.map(|left| String::from_utf8(left).unwrap())
    };
    for (before, after) in [
        (r#"{"result":{"tools":[{"name":"no"},{"name":"a"}]}}"#, Some(r#"{"result":{"tools":[{"name":"a"}]}}"#)),
        (
            r#"{"result":{"tools":[ {"name":"no"} , {"name":"no2"} ],"nextCursor":"c"}}"#,
            Some(r#"{"result":{"tools":[ ],"nextCursor":"c"}}"#),
        ),
        (
            r#"{"result":{"cacheScope":"public","tools":[{"x":1,"name":"\u006eo"}]}}"#,
            Some(r#"{"result":{"cacheScope":"private","tools":[]}}"#),
        ),
        (
            r#"{"result":{"tools":[{"name":"a","name":"no"},{"name":"no","name":"a"}]}}"#,
            Some(r#"{"result":{"tools":[]}}"#),
        ),
        (r#"{"result":{"tools":[{"name":"a","inputSchema":{"name":"no"}}],"cacheScope":"public"}}"#, None),
        (r#"{"result":{"content":[{"name":"no"}]}}"#, None),
        (r#"{"params":{"tools":[{"name":"no"}]}}"#, None),
        (r#"{"result":{"tools":["no",null,3,{"name":4}]}}"#, None),
    ] {
        assert_eq!(hide(before).as_deref(), after, "{before}");
    }
}

#[test]
fn messages_are_found_again_and_left_out_or_exchanged_in_batches_and_alone() {
    let one = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;
    let two = r#"{"jsonrpc":"2.0","id":2,"method":"ping"}"#;
    let changed = |text: &str, which: &[&str], new: New| {
        let offsets: Vec<u64> = which.iter().map(|part| text.find(part).unwrap() as u64).collect();
        match change(text.as_bytes(), &offsets, &mut |_, _| new.clone()) {
            Some(Changed::To(new)) => String::from_utf8(new).unwrap(),
            other => panic!("{other:?}"),
        }
    };
    let batch = format!(" [{one} , {two}] ");
    assert_eq!(changed(&batch, &[one], New::Nothing), format!(" [{two}] "));
    assert_eq!(changed(&batch, &[two], New::Nothing), format!(" [{one}] "));
    assert_eq!(changed(&batch, &[one, two], New::Nothing), " [] ");
    assert_eq!(changed(&batch, &[one, two], New::Text(b"{}".to_vec())), " [{} , {}] ");
    assert_eq!(changed(&format!("{one}\n{two}"), &[two], New::Nothing), format!("{one}\n"));
    assert_eq!(change(batch.as_bytes(), &[3], &mut |_, _| New::Nothing), None);
    assert_eq!(change(b"{\"a\"", &[1], &mut |_, _| New::Nothing), None);
    assert_eq!(change(batch.as_bytes(), &[2], &mut |_, _| New::Same), Some(Changed::No));
    let wide: Vec<u8> = batch.trim().encode_utf16().flat_map(u16::to_be_bytes).collect();
    let place = 2 * batch.trim().find(two).unwrap() as u64;
    let got = change(&wide, &[place], &mut |at, message| {
        assert_eq!((at, message), (0, two.as_bytes()));
        New::Text(b"{}".to_vec())
    });
    assert_eq!(got, Some(Changed::To(format!("[{one} , {{}}]").into_bytes())));
}

#[test]
fn an_event_keeps_all_its_lines_but_its_data() {
    for (event, data, want) in [
        ("data: {}\n\n", "{}", "data: [1]\n\n"),
        (
            "id: 1\r\nevent:message\r\ndata:{\r\ndata\r\ndata: }\r\nretry: 3\r\n\r\n",
            "{\n\n}",
            "id: 1\r\nevent:message\r\ndata: [1]\r\nretry: 3\r\n\r\n",
        ),
        ("\ndatas: 1\rdata: a\r:c\r\r", "a", "\ndatas: 1\rdata: [1]\r:c\r\r"),
        ("\u{feff}data: {}\n\n", "{}", "\u{feff}data: [1]\n\n"),
    ] {
        let got = data_of(event.as_bytes(), true).unwrap();
        assert_eq!(std::str::from_utf8(&got).unwrap(), data);
        let new = with_data(event.as_bytes(), b"[1]", true);
        assert_eq!(std::str::from_utf8(&new).unwrap(), want);
    }
    assert_eq!(with_data(b"id: 4\ndata: x\n\n", b"", false), b"id: 4\n\n");
    assert_eq!(with_data(b"data: x\n\n", b"a\nb", false), b"data: a\ndata: b\n\n");
    assert_eq!((data_of(b": x\n\n", false), data_of("\u{feff}data: {}\n\n".as_bytes(), false)), (None, None));
}

/// The data of each event, as the parser of the inspector reads it.
fn parsed(stream: &[u8]) -> Vec<Vec<u8>> {
    #[derive(Default)]
    struct All(Vec<u8>, Vec<Vec<u8>>);
    impl proto::sse::Sink for All {
        fn data(&mut self, bytes: &[u8]) {
            self.0.extend_from_slice(bytes);
        }
        fn event(&mut self, event: proto::sse::Event<'_>) {
            let data = std::mem::take(&mut self.0);
            if event.has_data && !event.cut {
                self.1.push(data);
            }
        }
    }
    let mut all = All::default();
    let mut parser = proto::sse::Parser::default();
    parser.feed(stream, &mut all);
    parser.finish(&mut all);
    all.1
}

/// JSON with numbers and texts that may be hits.
fn value() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(Json::from),
        any::<i32>().prop_map(Json::from),
        Just(json!(4_111_111_111_111_111_u64)),
        "[ -~é\u{1}\n\"\\\\]{0,12}".prop_map(Json::from),
        Just(json!("a 4111111111111111, b")),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Json::from),
            prop::collection::btree_map("[a-d\"]{1,3}", inner, 0..5)
                .prop_map(|map| Json::Object(map.into_iter().collect())),
        ]
    })
}

/// What taking data out means.
fn surgery(rules: &crate::rules::RuleSet, wanted: ProfileSet, name: &str, value: &Json) -> Json {
    let text =
        |text: String, other: &Json| redact_text(rules.dlp(), wanted, name, &text).map_or(other.clone(), Json::from);
    match value {
        Json::String(one) => text(one.clone(), value),
        Json::Number(one) => text(one.to_string(), value),
        Json::Array(all) => all.iter().map(|one| surgery(rules, wanted, name, one)).collect(),
        Json::Object(all) => all.iter().map(|(name, one)| (name.clone(), surgery(rules, wanted, name, one))).collect(),
        other => other.clone(),
    }
}

proptest! {
    #[test]
    fn whatever_comes_is_survived(
        bytes in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..60),
            "[\\[\\]{}:,\"a-c0-9 ]{0,60}".prop_map(String::into_bytes),
        ],
        offsets in prop::collection::btree_set(0_u64..60, 0..4),
    ) {
        let (rules, wanted) = profiles();
        let offsets: Vec<u64> = offsets.into_iter().collect();
        for new in [New::Nothing, New::Text(b"{}".to_vec()), New::Same] {
            change(&bytes, &offsets, &mut |_, _| new.clone());
        }
        redact(rules.dlp(), wanted, &bytes);
        filter_tools(&bytes, &mut |_, _| true);
        with_data(&bytes, &data_of(&bytes, true).unwrap_or_default(), true);
    }

    #[test]
    fn taking_data_out_of_bytes_is_taking_it_out_of_values(value in value(), pretty in any::<bool>()) {
        let (rules, wanted) = profiles();
        let message = json!({"jsonrpc": "2.0", "id": 1, "params": value});
        let text = if pretty { serde_json::to_string_pretty(&message) } else { serde_json::to_string(&message) }.unwrap();
        let mut want = message.clone();
        want["params"] = surgery(&rules, wanted, "params", &message["params"]);
        let new = redact(rules.dlp(), wanted, text.as_bytes());
        let got = new.map_or(message, |new| serde_json::from_slice(&new.text).unwrap());
        prop_assert_eq!(got, want);
    }

    #[test]
    fn hiding_tools_in_bytes_is_hiding_them_in_values(
        tools in prop::collection::vec((any::<bool>(), value()), 0..8), pretty in any::<bool>(),
    ) {
        let tool = |(hidden, more): &(bool, Json)| json!({"a": more, "name": if *hidden { "no" } else { "yes" }, "z": more});
        let message = |tools: Vec<Json>| json!({"id": 1, "result": {"a": 1, "tools": tools, "nextCursor": "c"}});
        let before = message(tools.iter().map(tool).collect());
        let after = message(tools.iter().filter(|(hidden, _)| !hidden).map(tool).collect());
        let text = if pretty { serde_json::to_string_pretty(&before) } else { serde_json::to_string(&before) }.unwrap();
        let left = filter_tools(text.as_bytes(), &mut |name, _| name == "no");
        prop_assert_eq!(left.is_some(), before != after);
        let left: Json = serde_json::from_slice(&left.unwrap_or(text.into_bytes())).unwrap();
        prop_assert_eq!(left, after);
    }

    #[test]
    fn events_are_the_same_however_a_stream_is_cut(
        lines in prop::collection::vec(prop_oneof![
            Just("data: {\"a\":1}"), Just("data"), Just("data:x"), Just(""), Just(": c"), Just("id: 1"), Just("event: m"), Just("\u{feff}"),
        ], 0..24),
        endings in prop::collection::vec(prop_oneof![Just("\n"), Just("\r\n"), Just("\r")], 24),
        cuts in prop::collection::vec(1_usize..9, 0..60),
    ) {
        let stream: String = lines.iter().zip(&endings).flat_map(|(line, ending)| [*line, *ending]).collect();
        let stream = stream.as_bytes();
        let (mut splitter, mut rest, mut pieces) = (Splitter::default(), stream, cuts.into_iter());
        let (mut event, mut first, mut found, mut all) = (Vec::new(), true, Vec::new(), Vec::new());
        while !rest.is_empty() {
            let (mut piece, later) = rest.split_at(pieces.next().unwrap_or(usize::MAX).min(rest.len()));
            rest = later;
            while !piece.is_empty() {
                let end = splitter.split(piece);
                let (part, left) = piece.split_at(end.unwrap_or(piece.len()));
                piece = left;
                event.extend_from_slice(part);
                if end.is_some() {
                    let whole = std::mem::take(&mut event);
                    found.extend(data_of(&whole, first));
                    prop_assert_eq!(data_of(&with_data(&whole, b"new", first), first), data_of(&whole, first).map(|_| b"new".to_vec()));
                    first = false;
                    all.extend(whole);
                }
            }
        }
        all.extend(event);
        prop_assert_eq!(&all[..], stream);
        prop_assert_eq!(found, parsed(stream));
    }
}
