//! JSON of our own answers.

use super::refusal;
use crate::inspect::Ruling;
use mcp::{Id, ProviderApi};
use serde_json::{Value, json};

/// `code` of our JSON-RPC errors. MCP (2026-07-28) keeps -32099 to -32020 for itself, lets nobody take new codes from
/// -32019 to -32000, where SDKs have their own meanings (connection closed, session not found), and asks applications to
/// stay outside of the range of JSON-RPC.
const CODE: i32 = -31_000;

/// The errors for what was refused: an array for a batch, one object otherwise.
pub(super) fn errors(ruling: &Ruling) -> String {
    if !refusal::has_request(ruling) {
        return error_without_id(ruling);
    }
    let error = error(ruling).to_string();
    let objects = refusal::ids(ruling).map(|id| format!(r#"{{"jsonrpc":"2.0","id":{},"error":{error}}}"#, text_of(id)));
    let objects = objects.collect::<Vec<_>>().join(",");
    if ruling.batch { format!("[{objects}]") } else { objects }
}

/// The error for what waits for no answer. It has no `id` at all: `null` would be one that MCP does not know.
pub(super) fn error_without_id(ruling: &Ruling) -> String {
    json!({ "jsonrpc": "2.0", "error": error(ruling) }).to_string()
}

/// The error of a call of a model, in the shape that its interface has for it.
pub(super) fn model(ruling: &Ruling, api: ProviderApi) -> String {
    let text = plain(&refusal::message(ruling), usize::MAX);
    let mut error = json!({ "message": text, "by": super::NAME, "policy": ruling.decision.policy.as_str() });
    let (words, around): (&[(&str, Value)], _) = match api {
        ProviderApi::OpenAi => {
            (&[("type", json!("permission_error")), ("param", Value::Null), ("code", json!("blocked_by_policy"))], None)
        }
        ProviderApi::Anthropic => (&[("type", json!("permission_error"))], Some("error")),
        ProviderApi::Gemini => (&[("code", json!(403)), ("status", json!("PERMISSION_DENIED"))], None),
    };
    if let Some(members) = error.as_object_mut() {
        members.extend(words.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
    }
    let mut whole = json!({ "error": error });
    if let (Some(kind), Some(members)) = (around, whole.as_object_mut()) {
        members.insert("type".to_owned(), Value::from(kind));
    }
    whole.to_string()
}

/// An error of OAuth (RFC 6749 section 5.2).
pub(super) fn oauth(ruling: &Ruling, error: &str) -> String {
    let text = plain(&refusal::message(ruling), usize::MAX);
    let mut whole = json!({ "error": error, "error_description": described(&text) });
    let place = refusal::access(ruling).or(refusal::location(ruling));
    if let (Some(place), Some(members)) = (place, whole.as_object_mut()) {
        members.insert("error_uri".to_owned(), Value::from(place));
    }
    whole.to_string()
}

/// A description as RFC 6749 section 5.2 lets it be: printable ASCII without quotes and backslashes.
fn described(text: &str) -> String {
    text.chars().map(|c| if matches!(c, ' '..='~') && !matches!(c, '"' | '\\') { c } else { '?' }).collect()
}

/// A failure, for programs.
pub(super) fn failure(reason: &str, text: &str) -> String {
    json!({ "error": reason, "message": text, "by": super::NAME }).to_string()
}

fn error(ruling: &Ruling) -> Value {
    let mut data = json!({
        "by": super::NAME,
        "policy": ruling.decision.policy.as_str(),
        "host": refusal::host(ruling),
        "reason": refusal::reason(ruling),
    });
    if let (Some(location), Some(data)) = (refusal::location(ruling), data.as_object_mut()) {
        data.insert("use".to_owned(), Value::from(location));
    }
    if let (Some(access), Some(data)) = (refusal::access(ruling), data.as_object_mut()) {
        data.insert("request_access".to_owned(), Value::from(access));
    }
    json!({ "code": CODE, "message": plain(&refusal::message(ruling), usize::MAX), "data": data })
}

/// An id as JSON text. What a lenient reader took for a number and is none becomes `null`.
fn text_of(id: Option<&Id>) -> String {
    match id {
        Some(Id::Number(number)) if is_number(number) => number.clone(),
        Some(Id::Text(text)) => Value::from(text.as_str()).to_string(),
        Some(Id::Number(_) | Id::Null) | None => "null".to_owned(),
    }
}

/// Whether `text` is a number as JSON writes it (RFC 8259 section 6), of any size.
fn is_number(text: &str) -> bool {
    let begins = text.starts_with(|c: char| c == '-' || c.is_ascii_digit());
    let ends = text.ends_with(|c: char| c.is_ascii_digit());
    begins && ends && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

/// `text` in one line without control characters, cut to `most` bytes.
pub(super) fn plain(text: &str, most: usize) -> String {
    let mut plain: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    plain.truncate(plain.floor_char_boundary(most));
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_told_from_what_only_resembles_one() {
        for number in ["0", "-1", "7", "1.50", "1e5", "-0.0E+2", "123456789012345678901234567890", "1e999"] {
            assert!(is_number(number), "{number}");
        }
        for other in ["", "-", "01", "1.", ".5", "+1", "NaN", "Infinity", "1 ", " 1", "1,2", "0x1", "\"1\"", "1e"] {
            assert!(!is_number(other), "{other}");
        }
    }
}
