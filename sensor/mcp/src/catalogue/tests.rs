use super::*;
use crate::{Limits, MAX_LIST, Message, Reader};
use proptest::prelude::*;
use serde_json::{Value as Json, json};

fn class(annotations: &str) -> ToolClass {
    read_tool(format!(r#"{{"name":"t","inputSchema":{{}}{annotations}}}"#).as_bytes()).unwrap().class
}

fn digest(tool: &str) -> [u8; 32] {
    read_tool(tool.as_bytes()).unwrap().digest
}

fn read(body: &[u8], size: usize) -> (Vec<Message>, Reader) {
    let (mut reader, mut messages) = (Reader::new(), Vec::new());
    for piece in body.chunks(size.max(1)) {
        reader.feed(&Limits::default(), piece, &mut |message| messages.push(message));
    }
    reader.finish(&mut |message| messages.push(message));
    (messages, reader)
}

fn listed(body: &str, size: usize) -> Catalogue {
    let (messages, _) = read(body.as_bytes(), size);
    messages[0].result.as_ref().unwrap().catalogue.as_deref().cloned().unwrap_or_default()
}

#[test]
fn the_class_follows_the_annotations_and_what_is_left_open_means_the_worst() {
    use ToolClass::{Destructive, Read, Write};
    for (annotations, want) in [
        ("", Destructive),
        (r#","annotations":{}"#, Destructive),
        (r#","annotations":null"#, Destructive),
        (r#","annotations":{"readOnlyHint":true}"#, Read),
        (r#","annotations":{"readOnlyHint":false}"#, Destructive),
        (r#","annotations":{"readOnlyHint":false,"destructiveHint":false}"#, Write),
        (r#","annotations":{"destructiveHint":false}"#, Write),
        (r#","annotations":{"destructiveHint":true}"#, Destructive),
        // It changes nothing, so nothing can be destroyed.
        (r#","annotations":{"readOnlyHint":true,"destructiveHint":true}"#, Read),
        (r#","annotations":{"idempotentHint":true,"openWorldHint":false}"#, Destructive),
        // Only a boolean is one.
        (r#","annotations":{"readOnlyHint":"true"}"#, Destructive),
        (r#","annotations":{"readOnlyHint":1}"#, Destructive),
        (r#","annotations":{"readonlyhint":true}"#, Destructive),
        (r#","readOnlyHint":true"#, Destructive),
        (r#","annotations":[{"readOnlyHint":true}]"#, Destructive),
        (r#","_meta":{"annotations":{"readOnlyHint":true}}"#, Destructive),
        // Of members of one name receivers keep the first or the last: the worse counts.
        (r#","annotations":{"readOnlyHint":true,"readOnlyHint":false}"#, Destructive),
        (r#","annotations":{"readOnlyHint":false,"readOnlyHint":true}"#, Destructive),
        (r#","annotations":{"destructiveHint":true,"destructiveHint":false}"#, Destructive),
        (r#","annotations":{"readOnlyHint":true},"annotations":{}"#, Destructive),
        (r#","annotations":{"\u0072eadOnlyHint":true}"#, Read),
    ] {
        assert_eq!(class(annotations), want, "{annotations}");
    }
    assert!(Destructive > Write && Write > Read && Read > ToolClass::Unknown);
}

#[test]
fn a_digest_is_of_what_a_model_reads_and_not_of_how_it_is_written() {
    let tool = r#"{"name":"t","description":"reads é","inputSchema":{"type":"object","properties":{"a":{"type":"string"}},"required":["a","b"]}}"#;
    let same = [
        r#"{ "inputSchema" : {"required":["a","b"], "properties":{"a":{"type":"string"}},"type":"object"}, "description":"reads \u00e9","name":"t" }"#,
        r#"{"name":"t","_meta":{"nonce":17},"icons":[{"src":"https://x.example/?sig=1"}],"description":"reads é","inputSchema":{"type":"object","properties":{"a":{"type":"string"}},"required":["a","b"]}}"#,
    ];
    for same in same {
        assert_eq!(digest(same), digest(tool), "{same}");
    }
    for other in [
        tool.replace("reads", "Reads"),
        tool.replace("\"t\"", "\"u\""),
        tool.replace("string", "number"),
        tool.replace(r#"["a","b"]"#, r#"["b","a"]"#),
        tool.replace("\"a\":{", "\"b\":{"),
        tool.replace(r#""description""#, r#""title""#),
        tool.replace(r#"["a","b"]"#, r#"["a",true]"#),
        tool.replace(r#"["a","b"]"#, r#"["a","true"]"#),
        tool.replace("]}}", "]},\"annotations\":{\"readOnlyHint\":true}}"),
    ] {
        assert_ne!(digest(&other), digest(tool), "{other}");
    }
    assert_ne!(digest(r#"{"name":"t","x":"true"}"#), digest(r#"{"name":"t","x":true}"#), "a text is no word");
    assert_eq!(read_tool(br#"{"title":"no name"}"#), None);
}

#[test]
fn a_catalogue_is_the_same_in_any_order_and_on_any_number_of_pages() {
    let [a, b, c] = [[1; 32], [2; 32], [3; 32]];
    assert_eq!(catalogue_hash([a, b, c].into_iter()), catalogue_hash([c, a, b, a].into_iter()));
    assert_ne!(catalogue_hash([a, b].into_iter()), catalogue_hash([a, b, c].into_iter()));
}

#[test]
fn pages_are_told_by_cursors() {
    let (messages, _) = read(
        br#"[{"jsonrpc":"2.0","id":1,"method":"tools/list"},
        {"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"cursor":null}},
        {"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"cursor":"p2"}},
        {"jsonrpc":"2.0","id":1,"result":{"tools":[],"nextCursor":"p2"}},
        {"jsonrpc":"2.0","id":1,"result":{"tools":[],"nextCursor":null}}]"#,
        1000,
    );
    let asked: Vec<_> = messages.iter().map(|m| m.params.as_ref().and_then(|p| p.cursor)).collect();
    let next: Vec<_> = messages.iter().map(|m| m.result.as_ref().and_then(|r| r.next_cursor)).collect();
    assert_eq!((asked[0], asked[1], next[4]), (None, None, None));
    assert!(asked[2].is_some() && asked[2] == next[3]);
}

#[test]
fn tools_beyond_the_limit_and_tools_too_long_change_the_digest_all_the_same() {
    let of = |n: usize, last: &str| {
        let mut tools: Vec<Json> = (0..n).map(|n| json!({"name": format!("t{n}")})).collect();
        tools.push(json!({"name": "last", "description": last}));
        json!({"jsonrpc": "2.0", "id": 1, "result": {"tools": tools}}).to_string()
    };
    let (one, other) = (listed(&of(MAX_LIST, "a"), 77), listed(&of(MAX_LIST, "b"), 1000));
    assert_eq!((one.tools.len(), &one.tools), (MAX_LIST, &other.tools));
    assert!(one.rest.is_some() && one.rest != other.rest);
    let long = "x".repeat(MAX_TOOL);
    let (one, other) = (listed(&of(0, &format!("{long}a")), 4096), listed(&of(0, &format!("{long}b")), 4096));
    assert_eq!((one.tools[0].name.as_str(), one.tools[0].class), ("last", ToolClass::Destructive));
    assert_ne!(one.tools[0].digest, other.tools[0].digest);
    let (_, mut reader) = read(of(0, &long).as_bytes(), 4096);
    assert!(reader.weight() <= KEPT);
    assert_eq!(reader.take_stats().tools_cut, 1);
}

#[test]
fn names_that_look_like_secrets_are_not_kept_and_a_second_list_counts_alone() {
    let secret = "ghp_0123456789abcdefghijABCDEFGHIJ012345";
    let body = format!(
        r#"{{"jsonrpc":"2.0","id":1,"result":{{"tools":[{{"name":"gone"}}],"tools":[{{"name":"{secret}"}},{{"name":"a","name":"b"}},{{"x":1}},7]}}}}"#
    );
    let names: Vec<String> = listed(&body, 5).tools.into_iter().map(|tool| tool.name).collect();
    assert_eq!(names, ["…", "a", "b"]);
}

proptest! {
    #[test]
    fn cutting_a_list_elsewhere_or_writing_it_wide_changes_nothing(
        tools in prop::collection::vec(("[a-z]{1,6}", "\\PC{0,20}", any::<Option<bool>>()), 0..6),
        sizes in prop::collection::vec(1_usize..50, 1..8),
    ) {
        let tools: Vec<Json> = tools.into_iter().map(|(name, text, reads)| {
            json!({"name": name, "description": text, "inputSchema": {"a": [text, 1]}, "annotations": {"readOnlyHint": reads}})
        }).collect();
        let body = json!({"jsonrpc": "2.0", "id": 1, "result": {"tools": tools}}).to_string();
        let want = listed(&body, usize::MAX);
        prop_assert_eq!(want.tools.len(), tools.len());
        let wide: Vec<u8> = body.encode_utf16().flat_map(u16::to_le_bytes).collect();
        for bytes in [body.as_bytes(), &wide] {
            let (mut reader, mut messages, mut rest) = (Reader::new(), Vec::new(), bytes);
            for size in sizes.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (piece, later) = rest.split_at((*size).min(rest.len()));
                reader.feed(&Limits::default(), piece, &mut |message: Message| messages.push(message));
                rest = later;
            }
            let got = messages[0].result.as_ref().unwrap().catalogue.as_deref().cloned().unwrap_or_default();
            prop_assert_eq!(&got, &want);
        }
    }
}
