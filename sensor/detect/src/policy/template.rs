//! What people are told, with blanks that are filled in: `{host}` and the like; `{{` and `}}` stand for braces.

use std::fmt::Write as _;

/// The blanks, and what they stand for.
pub const BLANKS: [(&str, &str); 12] = [
    ("host", "the server that was asked for"),
    ("method", "the method of the message"),
    ("tool", "the tool, prompt or resource that was asked for"),
    ("user", "who asked, where that is known"),
    ("client", "the address of who asked"),
    ("classification", "what the server means here"),
    ("policy", "id of the policy"),
    ("owner", "owner of the policy"),
    ("reason", "reason of the policy"),
    ("ticket", "ticket of the policy"),
    ("use", "redirect_to"),
    ("request_access", "where to ask for access"),
];

/// Longest value of a blank, in bytes.
const MAX_VALUE: usize = 200;

/// The pieces of a template: text, or the name of a blank.
enum Piece<'t> {
    Text(&'t str),
    /// A brace that is written twice.
    Brace(&'t str),
    Blank(&'t str),
}

/// Cuts off the first piece.
fn piece(text: &str) -> Option<(Result<Piece<'_>, &str>, &str)> {
    let at = text.find(['{', '}']).unwrap_or(text.len());
    if at > 0 {
        let (plain, rest) = text.split_at(at);
        return Some((Ok(Piece::Text(plain)), rest));
    }
    for double in ["{{", "}}"] {
        if let Some(rest) = text.strip_prefix(double) {
            return Some((Ok(Piece::Brace(double)), rest));
        }
    }
    let inside = text.strip_prefix('{').and_then(|rest| rest.split_once('}'));
    match inside {
        Some((name, rest)) if BLANKS.iter().any(|(known, _)| *known == name) => Some((Ok(Piece::Blank(name)), rest)),
        _ if text.is_empty() => None,
        _ => Some((Err(text), "")),
    }
}

/// Checks a template.
///
/// # Errors
///
/// What is wrong, and which blanks there are.
pub(super) fn check(mut text: &str) -> Result<(), String> {
    while let Some((piece, rest)) = piece(text) {
        if let Err(at) = piece {
            let at = at.get(..at.floor_char_boundary(30)).unwrap_or(at);
            let known = BLANKS.map(|(name, _)| format!("{{{name}}}")).join(" ");
            return Err(format!("holds `{at}`, which is no blank; known are {known}, and {{{{ for a brace"));
        }
        text = rest;
    }
    Ok(())
}

/// Fills in what is known for good; the rest stays a template.
pub(super) fn prepare(mut text: &str, value: &dyn Fn(&str) -> Option<String>) -> String {
    let mut out = String::with_capacity(text.len());
    while let Some((piece, rest)) = piece(text) {
        match piece {
            Ok(Piece::Text(plain) | Piece::Brace(plain)) | Err(plain) => out.push_str(plain),
            Ok(Piece::Blank(name)) => match value(name) {
                Some(value) => out.push_str(&value.replace('{', "{{").replace('}', "}}")),
                // Writing to a string does not fail.
                None => drop(write!(out, "{{{name}}}")),
            },
        }
        text = rest;
    }
    out
}

/// Fills in everything. Values are what clients say, so they are cut, and become one line.
pub fn fill(mut text: &str, value: &dyn Fn(&str) -> String) -> String {
    let mut out = String::with_capacity(text.len());
    while let Some((piece, rest)) = piece(text) {
        match piece {
            Ok(Piece::Text(plain)) | Err(plain) => out.push_str(plain),
            Ok(Piece::Brace(double)) => out.push_str(double.get(..1).unwrap_or_default()),
            Ok(Piece::Blank(name)) => {
                let value = value(name);
                let value = value.get(..value.floor_char_boundary(MAX_VALUE)).unwrap_or_default();
                out.extend(value.chars().map(|c| if c.is_control() { ' ' } else { c }));
            }
        }
        text = rest;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_are_filled_braces_stay_and_values_are_never_read_again() {
        let known = |name: &str| match name {
            "owner" => Some("{host} team".to_owned()),
            _ => None,
        };
        let say = |name: &str| match name {
            "host" => "mcp.example".to_owned(),
            "tool" => "a\nb{user}".to_owned(),
            _ => String::new(),
        };
        for (template, want) in [
            ("plain", "plain"),
            ("{host}: {tool} {user}.", "mcp.example: a b{user} ."),
            ("{{host}} {owner}", "{host} {host} team"),
        ] {
            check(template).unwrap();
            assert_eq!(fill(&prepare(template, &known), &say), want, "{template}");
        }
        assert_eq!(fill("{tool}", &|_| "x".repeat(1000)).len(), MAX_VALUE);
        for bad in ["{", "}", "{nobody}", "a {host", "{host }"] {
            assert!(check(bad).unwrap_err().contains("{request_access}"), "{bad}");
        }
    }
}
