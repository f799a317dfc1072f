//! A message as it may be logged: its structure, its names, and of its values only what events show anyway.

use std::borrow::Cow;

use crate::mask::{self, MASK};
use crate::walk::{Leaf, Path, Value, Walker};

/// Longest excerpt, in bytes.
pub const MAX_EXCERPT: usize = 2048;
/// Longest member name that is shown, in bytes.
const MAX_NAME: usize = 64;
/// Most digits in a member name that is shown: with more it is an account, a number of somebody, a card.
const MAX_DIGITS: usize = 5;
/// What a piece of content may be (`type`).
const TYPES: [&str; 5] = ["text", "image", "audio", "resource", "resource_link"];

/// A masked message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Excerpt {
    /// JSON, or the beginning of it, with `…` for each value; at most [`MAX_EXCERPT`] bytes.
    pub text: String,
    /// It does not reach to the end of the message.
    pub truncated: bool,
}

/// Masks one JSON-RPC message in UTF-8.
///
/// `method` is its method as [`Message`](crate::Message) has it. `data` is asked about every value, with the name of the
/// member it is in, and about every member name: if it knows what kind of data that is, the kind stands in brackets in
/// place of the text. Besides kinds nothing is shown but protocol words, methods, names of tools and prompts, cleaned URIs
/// of resources, what client and server call themselves, and member names that look like names in a program.
pub fn excerpt(text: &[u8], method: Option<&str>, data: &mut dyn FnMut(&str, &str) -> Option<String>) -> Excerpt {
    let mut out = Out::default();
    let mut last = 0;
    let done = Walker::default().walk(text, &mut |leaf| {
        if out.full {
            return;
        }
        out.structure(text.get(last..leaf.range.start).unwrap_or_default());
        last = leaf.range.end;
        let raw = match leaf.value {
            Value::Text(raw) | Value::Number(raw) | Value::Deep(raw) => raw,
            Value::Bool(_) | Value::Null => "",
        };
        let member = if leaf.is_name { "" } else { leaf.path.member().unwrap_or_default() };
        match data(member, raw) {
            Some(kind) => out.quoted(&format!("[{kind}]")),
            None if leaf.is_name => out.quoted(if is_plain(raw) { raw } else { MASK }),
            None => out.quoted(&shown(leaf, method)),
        }
    });
    if done.is_ok() {
        out.structure(text.get(last..).unwrap_or_default());
    } else {
        out.cut();
    }
    Excerpt { text: out.text, truncated: out.full }
}

/// What events show of a value, else the mask.
fn shown<'t>(leaf: &'t Leaf<'_>, method: Option<&str>) -> Cow<'t, str> {
    let (path, Value::Text(text)) = (leaf.path, leaf.value) else { return MASK.into() };
    let called = matches!(method, Some("tools/call" | "prompts/get"));
    let about = method.is_some_and(|method| method.starts_with("resources/"));
    let any = |places: &[&str]| places.iter().any(|place| path.is(place));
    let within = |list: &str, member: &str| path.len() == 4 && path.is_within(list) && path.member() == Some(member);
    match () {
        () if path.is("/jsonrpc") && text == "2.0" => text.into(),
        () if path.is("/method") => mask::method(text).into(),
        () if called && path.is("/params/name") => mask::name(text).into(),
        () if about && path.is("/params/uri") => mask::clean_uri(text).into(),
        () if any(&["/params/protocolVersion", "/result/protocolVersion"]) => mask::version(text).into(),
        () if is_introduction(path) => mask::name(text).into(),
        () if within("/result/tools", "name") || within("/result/prompts", "name") => mask::name(text).into(),
        () if within("/result/resources", "uri") => mask::clean_uri(text).into(),
        () if within("/result/content", "type") && TYPES.contains(&text) => text.into(),
        () => MASK.into(),
    }
}

/// What a peer calls itself.
fn is_introduction(path: Path<'_>) -> bool {
    path.len() == 3
        && (path.is_within("/params/clientInfo") || path.is_within("/result/serverInfo"))
        && matches!(path.member(), Some("name" | "version"))
}

/// Whether a member name looks like one that a program has, and not like data.
fn is_plain(name: &str) -> bool {
    let shaped = |b: u8| b.is_ascii_alphanumeric() || b"_-.$/@".contains(&b);
    name.len() <= MAX_NAME
        && name.bytes().all(shaped)
        && !name.get(1..).is_some_and(|rest| rest.contains('@'))
        && name.bytes().filter(u8::is_ascii_digit).count() <= MAX_DIGITS
        && !mask::hides_secret(name)
}

#[derive(Default)]
struct Out {
    text: String,
    full: bool,
}

impl Out {
    fn write(&mut self, text: &str) {
        if self.full {
        } else if self.text.len() + text.len() + MASK.len() > MAX_EXCERPT {
            self.cut();
        } else {
            self.text.push_str(text);
        }
    }

    fn cut(&mut self) {
        if !self.full {
            self.full = true;
            self.text.push_str(MASK);
        }
    }

    /// Brackets and what stands between values; nothing else that a lenient reader passes over.
    fn structure(&mut self, text: &[u8]) {
        for byte in text {
            match byte {
                b'{' => self.write("{"),
                b'}' => self.write("}"),
                b'[' => self.write("["),
                b']' => self.write("]"),
                b':' => self.write(":"),
                b',' => self.write(","),
                _ => {}
            }
        }
    }

    /// A text, whole or not at all.
    fn quoted(&mut self, text: &str) {
        let mut quoted = String::with_capacity(text.len() + 2);
        quoted.push('"');
        for c in text.chars() {
            match c {
                '"' => quoted.push_str("\\\""),
                '\\' => quoted.push_str("\\\\"),
                c if c.is_control() => quoted.push_str(MASK),
                c => quoted.push(c),
            }
        }
        quoted.push('"');
        self.write(&quoted);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(text: &str, method: Option<&str>, want: &str) {
        let got = excerpt(text.as_bytes(), method, &mut |_, _| None);
        assert_eq!(got.text, want);
        assert_eq!(got.truncated, want.ends_with(MASK));
    }

    #[test]
    fn the_structure_is_shown_and_what_stands_in_it_is_not() {
        for (text, method, want) in [
            (
                r#" {"jsonrpc": "2.0", "id" : 7, "method":"tools/call",
                   "params":{"name":"read_file","arguments":{"path":"/etc/x","n":[1,2.5e3,true,null],"o":{}}}} "#,
                Some("tools/call"),
                r#"{"jsonrpc":"2.0","id":"…","method":"tools/call","params":{"name":"read_file","arguments":{"path":"…","n":["…","…","…","…"],"o":{}}}}"#,
            ),
            (
                r#"{"method":"resources/read","params":{"uri":"note://17?token=abc","name":"x"}}"#,
                Some("resources/read"),
                r#"{"method":"resources/read","params":{"uri":"note://17?token=…","name":"…"}}"#,
            ),
            (
                r#"{"result":{"tools":[{"name":"a","description":"b","inputSchema":{"properties":{"name":{"type":"string"}}}}]}}"#,
                None,
                r#"{"result":{"tools":[{"name":"a","description":"…","inputSchema":{"properties":{"name":{"type":"…"}}}}]}}"#,
            ),
            (
                r#"{"result":{"content":[{"type":"text","text":"x"},{"type":"Ana"}],"isError":false}}"#,
                None,
                r#"{"result":{"content":[{"type":"text","text":"…"},{"type":"…"}],"isError":"…"}}"#,
            ),
            (
                r#"{"params":{"clientInfo":{"name":"inspector","version":"1.2","title":"t"},"protocolVersion":"2025-06-18"}}"#,
                Some("initialize"),
                r#"{"params":{"clientInfo":{"name":"inspector","version":"1.2","title":"…"},"protocolVersion":"2025-06-18"}}"#,
            ),
            (r#"{"error":{"code":-32000,"message":"no"}}"#, None, r#"{"error":{"code":"…","message":"…"}}"#),
            (r#"{"jsonrpc":"Ana","method":"two words","name":1}"#, None, r#"{"jsonrpc":"…","method":"…","name":"…"}"#),
        ] {
            check(text, method, want);
        }
    }

    #[test]
    fn member_names_that_may_be_data_are_masked() {
        for name in ["path", "$schema", "@type", "io.modelcontextprotocol/clientInfo", "max_tokens", "x-y", "v2"] {
            check(&format!("{{\"{name}\":1}}"), None, &format!("{{\"{name}\":\"…\"}}"));
        }
        let long = "a".repeat(65);
        for name in [
            "two words",
            "ana@corp.example",
            "Zürich",
            "4915112345678",
            "qxkzvwpjhgfdtrbnmlcqxkzv",
            "9f4c1d7e20b84e0aa1c35b7d6e8f9012",
            "\\u0061na\\u0040corp",
            "sk_live_4eC39HqLyjWDarjtT1zdp7dc",
            &long,
        ] {
            check(&format!("{{\"{name}\":1}}"), None, "{\"…\":\"…\"}");
        }
    }

    #[test]
    fn a_kind_of_data_stands_in_its_place() {
        let text = br#"{"a":"4111 1111 1111 1111","b":4111111111111111,"4111":{"c":"x"}}"#;
        let got = excerpt(text, None, &mut |_, text| text.contains("4111").then(|| "payment-cards".to_owned()));
        assert_eq!(got.text, r#"{"a":"[payment-cards]","b":"[payment-cards]","[payment-cards]":{"c":"…"}}"#);
    }

    #[test]
    fn what_is_no_json_is_not_shown_and_a_long_message_is_cut() {
        check(r#"{"a":1} Ana"#, None, r#"{"a":"…"…"#);
        check(r#"{"a":"An"#, None, r#"{"a"…"#);
        check(r#"{"a":'Ana'}"#, None, r#"{"a"…"#);
        let deep = format!("{}\"Ana\"{}", "[".repeat(200), "]".repeat(200));
        assert!(!excerpt(deep.as_bytes(), None, &mut |_, _| None).text.contains("Ana"));
        let long = format!("{{\"a\":[{}1]}}", "\"Ana\",".repeat(2000));
        let got = excerpt(long.as_bytes(), None, &mut |_, _| None);
        assert!(got.truncated && got.text.len() <= MAX_EXCERPT && got.text.ends_with(MASK), "{}", got.text);
    }

    proptest! {
        #[test]
        fn no_value_and_no_random_name_is_shown(
            word in "[b-df-hj-np-tv-z]{14}",
            text in r#"[{}\[\],:"'\\a-c0-9 \n\x00-\x08é]{0,60}"#,
            at in 0..60_usize,
        ) {
            // Wherever it stands, in whatever stands around it.
            let mut text = text;
            let at = text.floor_char_boundary(at.min(text.len()));
            text.insert_str(at, &word);
            let got = excerpt(text.as_bytes(), Some("tools/call"), &mut |_, _| None);
            prop_assert!(!got.text.contains(&word), "{text:?} gave {}", got.text);
            let value = format!("{{\"params\":{{\"arguments\":{{\"q\":\"{word}\",\"{word}\":[\"x{word}\"]}},\"x\":{{\"name\":\"{word}\"}}}}}}");
            let got = excerpt(value.as_bytes(), Some("tools/call"), &mut |_, _| None);
            prop_assert!(!got.text.contains(&word), "{}", got.text);
        }
    }
}
