//! What may be shown of text from the wire: secrets and values become `…`, before anything is cut.

use crate::message::MAX_TEXT;

/// What stands for a masked value.
pub(crate) const MASK: &str = "…";
/// Shortest run of token characters that is weighed as a possible secret, in bytes.
const MIN_SECRET: usize = 20;

/// Shortest credential with a well-known beginning, in bytes.
const MIN_CREDENTIAL: usize = 11;

/// Beginnings of well-known credentials, with the least number of characters that follow in a real one.
const PREFIXES: &[(&str, usize)] = &[
    ("sk-", 12),
    ("sk_live_", 8),
    ("sk_test_", 8),
    ("rk_live_", 8),
    ("rk_test_", 8),
    ("whsec_", 8),
    ("ghp_", 12),
    ("gho_", 12),
    ("ghu_", 12),
    ("ghs_", 12),
    ("ghr_", 12),
    ("github_pat_", 8),
    ("glpat-", 8),
    ("xoxa-", 6),
    ("xoxb-", 6),
    ("xoxp-", 6),
    ("xoxs-", 6),
    ("xapp-", 6),
    ("AKIA", 12),
    ("ASIA", 12),
    ("AIza", 20),
    ("ya29.", 10),
    ("hf_", 16),
    ("npm_", 20),
    ("pypi-", 20),
    ("dop_v1_", 16),
    ("shpat_", 16),
    ("lin_api_", 12),
    ("ntn_", 20),
    ("sntrys_", 12),
];

/// Whether `text` holds something that reads like a credential: a well-known key prefix, a JSON web token, or a
/// run of 20 characters or more that is hexadecimal, a UUID, or too irregular to be words.
pub fn looks_secret(text: &str) -> bool {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || "_-+=~.".contains(c))).any(run_is_secret)
}

fn run_is_secret(run: &str) -> bool {
    if run.len() < MIN_CREDENTIAL {
        return false;
    }
    let mut before = b'-';
    for (at, byte) in run.bytes().enumerate() {
        let opens = !before.is_ascii_alphanumeric() && b"sSrRwWgGxXaAyYhHnNpPdDlLeE".contains(&byte);
        if opens && run.get(at..).is_some_and(begins_credential) {
            return true;
        }
        before = byte;
    }
    run.split('.').any(|part| part.len() >= MIN_SECRET && (is_hexadecimal(part) || is_irregular(part)))
}

/// `tail` begins like a credential of a known kind.
fn begins_credential(tail: &str) -> bool {
    // header.payload[.signature] of a JSON web token: `{"` in base64 begins `eyJ`.
    if tail.starts_with("eyJ") && tail.len() >= 16 && tail.contains('.') {
        return true;
    }
    PREFIXES.iter().any(|&(prefix, least)| {
        tail.strip_prefix(prefix)
            .is_some_and(|rest| rest.len() >= least && (rest.bytes().any(|b| b.is_ascii_digit()) || is_irregular(rest)))
    })
}

/// Hexadecimal with at least one digit, with or without the dashes of a UUID.
fn is_hexadecimal(part: &str) -> bool {
    let digits = part.bytes().filter(u8::is_ascii_digit).count();
    let hex = part.bytes().filter(u8::is_ascii_hexdigit).count();
    digits > 0 && hex >= 16 && part.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-' || b == b'_')
}

/// Less than half of the characters belong to word-like stretches, or letters and digits alternate often.
fn is_irregular(part: &str) -> bool {
    let mut wordy = 0;
    for piece in part.split(['-', '_', '+', '=', '~']) {
        if piece.len() >= 12 && turns(piece) >= 3 {
            return true;
        }
        wordy += wordy_bytes(piece);
        // A dash or underscore between words is as regular as they are.
        wordy += 1;
    }
    wordy * 2 < part.len()
}

/// How often letters turn to digits or back.
fn turns(piece: &str) -> usize {
    piece.as_bytes().windows(2).filter(|w| matches!(w, [a, b] if a.is_ascii_digit() != b.is_ascii_digit())).count()
}

/// Bytes of `piece` in stretches like words (`List`, `tools`, `HTTP`) or short numbers.
fn wordy_bytes(piece: &str) -> usize {
    let bytes = piece.as_bytes();
    let mut total = 0;
    let mut start = 0;
    for at in 1..=bytes.len() {
        let edge = match (bytes.get(at - 1), bytes.get(at)) {
            (Some(a), Some(b)) => class(*a) != class(*b) && !(a.is_ascii_uppercase() && at - start == 1),
            _ => true,
        };
        if edge {
            let word = bytes.get(start..at).unwrap_or_default();
            if is_word(word, start == 0 && at == bytes.len()) {
                total += word.len();
            }
            start = at;
        }
    }
    total
}

fn class(byte: u8) -> u8 {
    match byte {
        b'a'..=b'z' => 0,
        b'A'..=b'Z' => 1,
        b'0'..=b'9' => 2,
        _ => 3,
    }
}

fn is_word(word: &[u8], whole_piece: bool) -> bool {
    if word.iter().all(u8::is_ascii_digit) {
        return word.len() <= 4 || (whole_piece && word.len() <= 8);
    }
    let (mut vowels, mut run, mut longest) = (0, 0, 0);
    for byte in word {
        if b"aeiouyAEIOUY".contains(byte) {
            vowels += 1;
            run = 0;
        } else {
            run += 1;
            longest = run.max(longest);
        }
    }
    whole_piece && word.len() <= 4 || word.len() >= 3 && vowels * 6 >= word.len() && longest <= 5
}

/// `text`, or `…` if it looks like a secret; at most [`MAX_TEXT`] bytes.
pub(crate) fn name(text: &str) -> String {
    if looks_secret(text) { MASK.to_owned() } else { cut(text, MAX_TEXT).to_owned() }
}

/// The longest beginning of `text` of at most `limit` bytes that ends between characters.
pub(crate) fn cut(text: &str, limit: usize) -> &str {
    if text.len() <= limit {
        return text;
    }
    // A character is at most four bytes, so one of these is a boundary.
    (limit.saturating_sub(3)..=limit).rev().find_map(|end| text.get(..end)).unwrap_or_default()
}

/// A URI or path fit for records: userinfo, query values, the fragment and secret-looking segments become `…`;
/// scheme, host, port, other segments and query names stay. `data:` keeps its scheme only. At most
/// [`MAX_TEXT`] bytes, cut after masking.
pub fn clean_uri(uri: &str) -> String {
    let mut out = String::new();
    let (rest, fragment) = split_at_char(uri, '#');
    let (rest, query) = split_at_char(rest, '?');
    let path = match rest.split_once("://") {
        Some((scheme, tail)) if is_scheme(scheme) => {
            out.push_str(scheme);
            out.push_str("://");
            let (authority, path) = tail.find('/').map_or((tail, ""), |at| tail.split_at(at));
            let host = match authority.rsplit_once('@') {
                Some((_, host)) => {
                    out.push_str(MASK);
                    out.push('@');
                    host
                }
                None => authority,
            };
            segment(host, &mut out);
            path
        }
        _ => match rest.split_once(':') {
            Some((scheme, _)) if scheme.eq_ignore_ascii_case("data") => {
                out.push_str("data:…");
                ""
            }
            _ => rest,
        },
    };
    clean_path(path, &mut out);
    if let Some(query) = query {
        out.push('?');
        clean_query(query, &mut out);
    }
    if fragment.is_some() {
        out.push_str("#…");
    }
    let kept = cut(&out, MAX_TEXT).len();
    out.truncate(kept);
    out
}

fn is_scheme(text: &str) -> bool {
    !text.is_empty() && text.len() <= 64 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
}

fn split_at_char(text: &str, at: char) -> (&str, Option<&str>) {
    text.split_once(at).map_or((text, None), |(a, b)| (a, Some(b)))
}

/// Writes a path with its secret-looking segments and `;name=value` parameters masked.
pub(crate) fn clean_path(path: &str, out: &mut String) {
    for (i, part) in path.split('/').enumerate() {
        if i > 0 {
            out.push('/');
        }
        let mut parts = part.split(';');
        segment(parts.next().unwrap_or_default(), out);
        for parameter in parts {
            out.push(';');
            clean_pair(parameter, out);
        }
    }
}

fn segment(part: &str, out: &mut String) {
    let secret = looks_secret(part) || (part.contains('%') && looks_secret(&percent_decode(part)));
    out.push_str(if secret { MASK } else { part });
}

/// Writes a query with every value masked. A part without `=` is a value too.
pub(crate) fn clean_query(query: &str, out: &mut String) {
    for (i, pair) in query.split('&').enumerate() {
        if i > 0 {
            out.push('&');
        }
        clean_pair(pair, out);
    }
}

fn clean_pair(pair: &str, out: &mut String) {
    match pair.split_once('=') {
        Some((name, _)) => {
            segment(cut(name, 64), out);
            out.push('=');
            out.push_str(MASK);
        }
        None if pair.is_empty() => {}
        None => out.push_str(MASK),
    }
}

/// Decodes `%41` once; bytes that are then no UTF-8 become U+FFFD, a lone `%` stays.
pub(crate) fn percent_decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        rest = tail;
        if let (b'%', Some((&[a, b], after))) = (first, tail.split_first_chunk()) {
            let digit = |b: u8| char::from(b).to_digit(16).and_then(|d| u8::try_from(d).ok());
            if let (Some(high), Some(low)) = (digit(a), digit(b)) {
                bytes.push(high << 4 | low);
                rest = after;
                continue;
            }
        }
        bytes.push(first);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_kept_and_credentials_are_not() {
        for plain in [
            "read_file",
            "mcp__github__create_pull_request_review",
            "notion-API-patch-block-children",
            "getTransactionReceiptByBlockNumber",
            "sequential-thinking-server",
            "io.modelcontextprotocol/protocolVersion",
            "https://tools.corp-notes.example/mcp",
            "JetBrains-IU/copilot-intellij",
            "2026-07-28",
            "Box Model Context Protocol Server",
            "search_documentation_v2_20250618",
            "Claude-User (claude-code/2.1.0)",
            "@n8n/n8n-nodes-langchain.mcpClientTool",
            "risk-assessment-service-for-tasks",
            "task-sk-manager",
            "browser_network_requests",
            "getHTTPStatusForURLInXMLDocument",
            "0.0.1-alpha.20251105",
        ] {
            assert!(!looks_secret(plain), "{plain}");
        }
        for secret in [
            "sk-proj-abc123def456ghi7",
            "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
            "AKIAIOSFODNN7EXAMPLE",
            "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln",
            "9f4c1d7e20b84e0aa1c35b7d6e8f9012",
            "123e4567-e89b-12d3-a456-426614174000",
            "01ARZ3NDEKTSV4RRFFQ69G5FAV",
            "Zm9vYmFyYmF6cXV4MTIzNDU2Nzg5MA",
            "prefix/xoxb-17653672481-19874698323",
            "k3j9x8q2m1n4b7v6c5z0a",
            "dGhpcyBpcyBhIHNlY3JldCBrZXk",
        ] {
            assert!(looks_secret(secret), "{secret}");
        }
    }

    #[test]
    fn a_uri_keeps_its_shape_and_loses_its_values() {
        for (uri, want) in [
            ("note://17", "note://17"),
            ("https://u:p@h.example:8443/mcp?token=abc&x", "https://…@h.example:8443/mcp?token=…&…"),
            ("https://h/s/9f4c1d7e20b84e0aa1c35b7d6e8f9012/mcp", "https://h/s/…/mcp"),
            ("https://h/%39f4c1d7e20b84e0aa1c35b7d6e8f9012/mcp", "https://h/…/mcp"),
            ("/messages/?session_id=7b1e", "/messages/?session_id=…"),
            ("/a;jsessionid=1/b#frag", "/a;jsessionid=…/b#…"),
            ("data:text/plain;base64,aGVsbG8=", "data:…"),
            ("file:///home/ana/notes.txt", "file:///home/ana/notes.txt"),
            ("", ""),
        ] {
            assert_eq!(clean_uri(uri), want);
        }
    }
}
