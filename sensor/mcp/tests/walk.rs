//! Every leaf with its place: `serde_json` is the oracle; what is lenient is told by tables.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may fail loudly"
)]

use std::fmt::Write as _;
use std::ops::Range;

use mcp::{Leaf, Step, Value, Walker, removals, utf8_form, walk};
use proptest::prelude::*;
use serde_json::{Map, Value as Json, json};

/// `pointer value` of every leaf, names with a colon.
fn leaves(text: &[u8]) -> Vec<String> {
    let mut out = Vec::new();
    let _ = walk(text, &mut |leaf| {
        let value = match leaf.value {
            Value::Text(text) => format!("{text:?}"),
            Value::Number(text) => text.to_owned(),
            Value::Bool(set) => set.to_string(),
            Value::Null => "null".to_owned(),
            Value::Deep(text) => format!("deep {}", text.len()),
        };
        out.push(format!("{}{} {value}", leaf.path, if leaf.is_name { ":" } else { "" }));
    });
    out
}

fn json() -> impl Strategy<Value = Json> {
    let text = || prop_oneof![3 => "[a-c~/0-2\"\\\\]{0,4}", 1 => any::<String>()];
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        any::<i32>().prop_map(|n| Json::from(f64::from(n) / 8.0)),
        text().prop_map(Json::from),
    ];
    leaf.prop_recursive(6, 60, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Json::from),
            proptest::collection::vec((text(), inner), 0..6)
                .prop_map(|members| Json::Object(members.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

/// A text of the value, with blanks, or with every character of its strings escaped.
fn written(value: &Json, how: u8) -> String {
    let plain = if how & 1 == 0 { value.to_string() } else { serde_json::to_string_pretty(value).unwrap() };
    if how & 2 == 0 {
        return plain;
    }
    let (mut out, mut inside, mut chars) = (String::new(), false, plain.chars());
    while let Some(c) = chars.next() {
        match c {
            '"' => {
                inside = !inside;
                out.push(c);
            }
            '\\' => {
                out.push(c);
                out.extend(chars.next());
            }
            c if inside => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    write!(out, "\\u{unit:04x}").unwrap();
                }
            }
            c => out.push(c),
        }
    }
    out
}

/// The leaves of a value by their pointers, in any order.
fn expected(value: &Json, at: &str, out: &mut Vec<(String, Json)>) {
    match value {
        Json::Object(members) => members.iter().for_each(|(name, value)| {
            expected(value, &format!("{at}/{}", name.replace('~', "~0").replace('/', "~1")), out);
        }),
        Json::Array(elements) => {
            elements.iter().enumerate().for_each(|(index, value)| expected(value, &format!("{at}/{index}"), out));
        }
        leaf => out.push((at.to_owned(), leaf.clone())),
    }
}

proptest! {
    #[test]
    fn leaves_are_those_of_serde_json(value in json(), how in 0_u8..4) {
        let text = written(&value, how);
        let mut found = Vec::new();
        walk(text.as_bytes(), &mut |leaf| {
            let raw: Json = serde_json::from_str(&text[leaf.range.clone()]).expect("the range is a value");
            let same = match leaf.value {
                Value::Text(text) => raw == text,
                Value::Number(text) => text.parse::<f64>().ok() == raw.as_f64(),
                Value::Bool(set) => raw == set,
                Value::Null => raw.is_null(),
                Value::Deep(_) => false,
            };
            assert!(same, "{leaf:?}");
            if leaf.is_name {
                assert_eq!(leaf.path.last(), Some(Step::Member(raw.as_str().unwrap())));
            } else {
                let pointer = leaf.path.to_string();
                assert!(leaf.path.is(&pointer) && leaf.path.is_within(&pointer) && leaf.path.is_within(""));
                assert_eq!(value.pointer(&pointer), Some(&raw));
                found.push((pointer, raw));
            }
        })
        .unwrap();
        let mut want = Vec::new();
        expected(&value, "", &mut want);
        found.sort_by(|a, b| a.0.cmp(&b.0));
        want.sort_by(|a, b| a.0.cmp(&b.0));
        prop_assert_eq!(found, want);
    }

    #[test]
    fn a_pointer_names_one_place(value in json(), other in "(/[a-c0-2~]{0,2}){0,3}") {
        let text = value.to_string();
        walk(text.as_bytes(), &mut |leaf| {
            assert_eq!(leaf.path.is(&other), leaf.path.to_string() == other);
            let within = leaf.path.to_string();
            assert_eq!(leaf.path.is_within(&other), within == other || within.starts_with(&format!("{other}/")));
        })
        .unwrap();
    }

    #[test]
    fn exactly_the_chosen_elements_go(tools in proptest::collection::vec(json(), 0..8), gone in any::<u8>(), how in 0_u8..4) {
        let text = written(&json!({"id": 1, "result": {"tools": tools, "next": [1]}, "tools": [2]}), how);
        let mut seen = Vec::new();
        let cuts = removals(text.as_bytes(), "/result/tools", &mut |index, element| {
            seen.push(serde_json::from_slice::<Json>(element).expect("an element is a value"));
            gone >> index & 1 == 1
        })
        .unwrap();
        prop_assert_eq!(&seen, &tools);
        let kept: Vec<&Json> = tools.iter().enumerate().filter(|(at, _)| gone >> at & 1 == 0).map(|(_, tool)| tool).collect();
        let left: Json = serde_json::from_str(&without(&text, &cuts)).expect("still JSON");
        prop_assert_eq!(left, json!({"id": 1, "result": {"tools": kept, "next": [1]}, "tools": [2]}));
        prop_assert!(cuts.windows(2).all(|two| two[0].end < two[1].start) && cuts.iter().all(|cut| !cut.is_empty()));
    }

    #[test]
    fn nothing_panics_and_ranges_stay_inside(text in proptest::collection::vec(any::<u8>(), 0..200)) {
        mcp::fuzz_walk(&text);
    }

    #[test]
    fn what_looks_like_json_does_not_panic_either(text in "[\\[\\]{},:\"\\\\u0-9a-f ]{0,120}") {
        mcp::fuzz_walk(text.as_bytes());
    }
}

fn without(text: &str, cuts: &[Range<usize>]) -> String {
    let mut out = text.to_owned();
    cuts.iter().rev().for_each(|cut| out.replace_range(cut.clone(), ""));
    out
}

#[test]
fn lenient_texts_are_read_as_lenient_receivers_read_them() {
    let cases: [(&str, &[u8], &[&str]); 14] = [
        ("nothing", b"", &[]),
        ("a word", b" true ", &[" true"]),
        (
            "a number of any length",
            b"123456789012345678901234567890123456789012345678901234567890123456789012345",
            &[" 123456789012345678901234567890123456789012345678901234567890123456789012345"],
        ),
        ("twice the same name", br#"{"a":1,"a":2}"#, &["/a: \"a\"", "/a 1", "/a: \"a\"", "/a 2"]),
        ("a name by escapes", br#"{"\u0061\/b~":"\u0041"}"#, &["/a~1b~0: \"a/b~\"", "/a~1b~0 \"A\""]),
        ("commas at the end", b"[1,{\"a\":[2,],},]", &["/0 1", "/1/a: \"a\"", "/1/a/0 2"]),
        ("words of scripts", b"[NaN,-Infinity,undefined]", &["/0 NaN", "/1 -Infinity", "/2 null"]),
        ("a lone half", br#"["\ud800x"]"#, &["/0 \"\u{fffd}x\""]),
        (
            "no utf-8",
            b"[\"a\xFFb\",{\"\xC3\":\"\xE2\x82\"}]",
            &["/0 \"a\u{fffd}b\"", "/1/\u{fffd}: \"\u{fffd}\"", "/1/\u{fffd} \"\u{fffd}\""],
        ),
        ("a zero byte", b"[\"a\0b\"]", &["/0 \"a\\0b\""]),
        ("several values", b"{\"a\":1}\n[2]\x1E3", &["/a: \"a\"", "/a 1", "/0 2", " 3"]),
        ("a mark in front", b"\xEF\xBB\xBF[1]", &["/0 1"]),
        ("what comes before the fault", b"[1,2;3]", &["/0 1", "/1 2"]),
        ("cut", b"[\"a\",\"b", &["/0 \"a\""]),
    ];
    for (name, text, want) in cases {
        assert_eq!(leaves(text), want, "{name}");
    }
    assert!(walk(b"[1,2;3]", &mut |_| {}).is_err() && walk(b"[1", &mut |_| {}).is_err());
    assert!(walk(b"{\"a\":1}", &mut |_| {}).is_ok());
}

#[test]
fn nothing_hides_in_what_is_too_deep() {
    for depth in [118, 119, 120, 121, 5000] {
        let text = format!("{}\"s\\u0065cret\"{},7", "[".repeat(depth), "]".repeat(depth));
        let text = format!("[{text}]");
        let (mut seen, mut last) = (false, false);
        walk(text.as_bytes(), &mut |leaf: &Leaf<'_>| match leaf.value {
            Value::Text(found) => seen |= found == "secret",
            Value::Deep(found) => {
                seen |= found.contains("\"secret\"");
                assert!(serde_json::from_str::<Json>(&text[leaf.range.clone()]).is_ok() || depth > 200);
            }
            _ => last |= leaf.path.is("/1"),
        })
        .unwrap();
        assert!(seen && last, "depth {depth}");
    }
}

#[test]
fn a_walker_is_as_good_as_new_after_every_text() {
    let mut walker = Walker::default();
    let mut paths = |text: &[u8]| {
        let mut out = Vec::new();
        let done = walker.walk(text, &mut |leaf| out.push(leaf.path.to_string())).is_ok();
        (out, done)
    };
    let whole = paths(br#"{"a":[1]}"#);
    for broken in [&br#"{"a":{"b":["#[..], b"[[[[", b"{\"a", b"\"\\u12", &b"[".repeat(500)] {
        assert!(!paths(broken).1);
        assert_eq!(paths(br#"{"a":[1]}"#), whole);
    }
}

#[test]
fn lists_lose_elements_with_their_commas() {
    for (text, gone, want) in [
        ("[1, 2 ,3]", &[0][..], "[2 ,3]"),
        ("[1, 2 ,3]", &[1], "[1 ,3]"),
        ("[1, 2 ,3]", &[2], "[1, 2]"),
        ("[1, 2 ,3]", &[0, 1], "[3]"),
        ("[1, 2 ,3]", &[0, 2], "[2]"),
        ("[1, 2 ,3]", &[1, 2], "[1]"),
        ("[ 1, 2 ,3 ]", &[0, 1, 2], "[ ]"),
        ("[1,2,]", &[0, 1], "[]"),
        ("[1,2,]", &[1], "[1,]"),
        ("[{\"a\":[1,2]},[3,4]]", &[0], "[[3,4]]"),
        ("[]", &[0], "[]"),
    ] {
        let cuts = removals(text.as_bytes(), "", &mut |index, _| gone.contains(&index)).unwrap();
        assert_eq!(without(text, &cuts), want, "{text} less {gone:?}");
    }
    // Every array of the name, since receivers take the last; and batches, by asking for the path.
    let twice = r#"{"tools":[1,2],"tools":[1,3]}"#;
    let cuts = removals(twice.as_bytes(), "/tools", &mut |index, _| index == 0).unwrap();
    assert_eq!(without(twice, &cuts), r#"{"tools":[2],"tools":[3]}"#);
    let batch = r#"[{"result":{"tools":[1,2]}},{"result":{"tools":[3]}}]"#;
    let wants = |path: mcp::Path<'_>| path.len() == 3 && path.last() == Some(Step::Member("tools"));
    let cuts = Walker::default().removals(batch.as_bytes(), &mut { wants }, &mut |index, _| index == 0).unwrap();
    assert_eq!(without(batch, &cuts), r#"[{"result":{"tools":[2]}},{"result":{"tools":[]}}]"#);
    assert!(removals(b"[1,2", "", &mut |_, _| true).is_err());
}

#[test]
fn wide_texts_become_utf8_first() {
    let text = "{\"a\":\"é𝄞\"}";
    let wide: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(utf8_form(&wide), text.as_bytes());
    assert_eq!(utf8_form(text.as_bytes()), text.as_bytes());
    let long = format!("[\"{}\"]", "x".repeat(20_000));
    let wide: Vec<u8> = std::iter::once(0xFEFF).chain(long.encode_utf16()).flat_map(u16::to_be_bytes).collect();
    assert_eq!(utf8_form(&wide), long.as_bytes());
}
