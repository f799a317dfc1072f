//! What is kept of a message because a policy asks for it to be logged.

use std::fmt;
use std::sync::Arc;
use zeroize::Zeroizing;

/// Most of a message that is kept to be encrypted, in bytes; the rest is left out, and the record says so.
pub const MAX_LOGGED: usize = 256 << 10;

/// How a policy logs the messages that it decides about (`log_payload`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize, serde::Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogPayload {
    /// Structure and names, without values.
    Masked,
    /// All of it, for the owner of a key.
    Encrypted,
}

impl LogPayload {
    /// The word of rule files and events.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Masked => "masked",
            Self::Encrypted => "encrypted",
        }
    }
}

/// The text of a message on its way to be encrypted. Nothing prints it, and it is wiped when its last copy goes, which
/// share it.
#[derive(Clone, PartialEq, Eq)]
pub struct Clear(Arc<Zeroizing<Vec<u8>>>);

impl Clear {
    /// Copies the beginning of a text, at most [`MAX_LOGGED`] bytes.
    pub fn new(text: &[u8]) -> Self {
        // Exactly as long as needed from the start: a buffer that grows leaves copies behind.
        Self(Arc::new(Zeroizing::new(text.get(..MAX_LOGGED).unwrap_or(text).to_vec())))
    }

    /// The bytes, for whoever encrypts them.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Clear {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Clear({} bytes)", self.0.len())
    }
}

/// What may be logged of a message, in each form that some policy may ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload {
    /// Length of the message as sent, content coding off, in bytes.
    pub bytes: u64,
    /// Its structure and names.
    pub masked: Option<mcp::Excerpt>,
    /// Its text.
    pub clear: Option<Clear>,
}

impl Payload {
    /// Bytes on the heap.
    pub fn weight(&self) -> usize {
        let masked = self.masked.as_ref().map_or(0, |excerpt| excerpt.text.len());
        size_of::<Self>() + masked + self.clear.as_ref().map_or(0, |clear| clear.bytes().len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::KeptText;
    use crate::rules::{RuleText, compile};
    use net::Direction;

    #[test]
    fn no_text_is_printed_and_what_is_too_long_is_cut() {
        let clear = Clear::new(b"hush");
        let payload = Payload { bytes: 4, masked: None, clear: Some(clear.clone()) };
        let content = crate::Content { payload: Some(Box::new(payload)), ..Default::default() };
        let shown = format!("{content:?} {clear:?} {:#?}", Some(&clear));
        assert!(!shown.contains("hush") && !shown.contains("104, 117"), "{shown}");
        assert_eq!(clear.bytes(), b"hush");
        assert_eq!(Clear::new(&vec![b'a'; MAX_LOGGED + 1]).bytes().len(), MAX_LOGGED);
    }

    /// Message by message what may be logged of it: the excerpt, and how long a text.
    fn logged(policies: &str, dir: Direction, pieces: &[&[u8]]) -> Vec<Option<(Option<String>, Option<usize>)>> {
        let text = format!("[pack]\nid = \"p\"\nversion = \"1\"\n{policies}");
        let file = RuleText { file: "p.toml", text: &text, lists: &|_| Err("none".to_owned()) };
        let rules = compile(&[file]).unwrap();
        let (mut kept, mut reader, mut all) = (KeptText::of_body(dir, &rules), mcp::Reader::new(), Vec::new());
        for piece in pieces {
            kept.take(piece);
            assert!(!format!("{kept:?}").contains("hush"));
            reader.feed(&mcp::Limits::default(), piece, &mut |message| {
                let content = kept.examine(&rules, dir, &message);
                let payload = content.and_then(|content| content.payload.clone());
                let length = |clear: &Clear| {
                    assert!(message.in_batch || clear.bytes().starts_with(b"{"));
                    clear.bytes().len()
                };
                all.push(payload.map(|p| (p.masked.map(|m| m.text), p.clear.as_ref().map(length))));
            });
            if reader.standing() != mcp::Standing::Open {
                kept.settle();
            }
        }
        all
    }

    fn policy(id: &str, when: &str, form: &str) -> String {
        format!("[[policy]]\nid = \"{id}\"\nwhen = {{ {when} }}\naction = \"log\"\nlog_payload = \"{form}\"\n")
    }

    #[test]
    fn only_what_a_policy_may_decide_about_is_kept_and_only_in_the_form_that_it_asks_for() {
        const CALL: &[u8] =
            br#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"send","arguments":{"to":"hush"}}}"#;
        const RESULT: &[u8] = br#"{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"hush"}]}}"#;
        let (ask, answer) = (Direction::ToServer, Direction::ToClient);
        for (when, dir, message, kept) in [
            ("", ask, CALL, true),
            ("", answer, RESULT, true),
            ("tool = \"send\"", ask, CALL, true),
            ("tool = \"other\"", ask, CALL, false),
            // Which call it answers is not known yet.
            ("tool = \"other\"", answer, RESULT, true),
            ("tool = \"send\", message = \"request\"", answer, RESULT, false),
            ("message = \"answer\"", ask, CALL, false),
            ("method = \"resources/*\"", ask, CALL, false),
            ("host = \"else.example\"", ask, CALL, true),
            ("arguments = { pointer = \"/to\", in = \"hush\" }", ask, CALL, true),
            ("arguments = { pointer = \"/to\", in = \"push\" }", ask, CALL, false),
        ] {
            let [masked] = logged(&policy("a", when, "masked"), dir, &[message]).try_into().unwrap();
            let [encrypted] = logged(&policy("a", when, "encrypted"), dir, &[message]).try_into().unwrap();
            assert_eq!((masked.is_some(), encrypted.is_some()), (kept, kept), "{when}");
            if kept {
                let (excerpt, none) = masked.unwrap();
                assert!(none.is_none() && !excerpt.unwrap().contains("hush"));
                assert_eq!(encrypted, Some((None, Some(message.len()))));
            }
        }
        let both = policy("a", "tool = \"send\"", "masked") + &policy("b", "", "encrypted");
        assert!(matches!(logged(&both, ask, &[CALL])[0], Some((Some(_), Some(_)))));
        assert_eq!(logged("", ask, &[CALL]), [None]);
    }

    #[test]
    fn of_a_message_that_is_too_long_the_beginning_is_kept_however_it_came() {
        let long = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"a","x":"{}"}}}}"#,
            "hush".repeat(500_000)
        );
        for size in [1_000, 300_000, 3_000_000] {
            let pieces: Vec<&[u8]> = long.as_bytes().chunks(size).collect();
            let [both] = logged(
                &(policy("a", "tool = \"a\"", "encrypted") + &policy("b", "", "masked")),
                Direction::ToServer,
                &pieces,
            )
            .try_into()
            .unwrap();
            let (excerpt, length) = both.unwrap();
            assert_eq!(length, Some(MAX_LOGGED), "{size}");
            assert!(excerpt.unwrap().ends_with("\"x\"…"), "{size}");
        }
        // Each message of a batch, and of several in one body, is its own.
        let small = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
        for body in [format!("[{small},{small}]"), format!("{small} {small}")] {
            let all = logged(&policy("a", "", "encrypted"), Direction::ToServer, &[body.as_bytes()]);
            assert_eq!(all, [Some((None, Some(small.len()))), Some((None, Some(small.len())))]);
        }
    }
}
