//! What may be shown of text from the wire: secrets and values become `…`, before anything is cut.

use std::borrow::Cow;

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

/// Shortest run of characters that is weighed by [`reads_random`], in bytes.
const MIN_RANDOM: usize = 12;
/// Least pairs of neighbours to judge by: a date with two letters behind it has too few.
const MIN_PAIRS: usize = 6;
/// What a run of words reaches in [`reads_random`]; long names reach far more, random runs fall below nought.
const MIN_SCORE: i64 = 2;
/// Longest number that is taken for a count, a time or an account rather than a capability, in digits.
const MAX_NUMBER: usize = 14;
/// Longest protocol method that is shown, in bytes.
const MAX_METHOD: usize = 64;
/// Longest protocol version that is shown, in bytes.
const MAX_VERSION: usize = 32;
/// How often one value may be percent-encoded over; what is encoded deeper is weighed as it stands then.
const MAX_DECODINGS: usize = 3;

/// The letters that often follow `a`, `b`, … `z` in words and names: about 19 of 20 pairs in real words, and 8 of
/// 20 where letters are drawn by lot.
const FOLLOWERS: [&str; 26] = [
    "abcdfgiklmnprstuvwy",
    "aeilorstuy",
    "aehikloprstu",
    "abdegiorsuy",
    "abcdefgiklmnpqrstvwxy",
    "aefilortuy",
    "aehilnorsu",
    "aeiortuy",
    "abcdefgklmnoprstvz",
    "aeosu",
    "aeins",
    "adeiklopstuy",
    "abceimopsu",
    "acdefgiknostu",
    "abcdfgiklmnoprstuvw",
    "aeiloprstuy",
    "au",
    "acdegiklmnorstuvy",
    "acehiklmopqstuwy",
    "acefhilmoprstuwy",
    "abcdeilmnprst",
    "aeio",
    "aehinors",
    "eipt",
    "mps",
    "aeoz",
];

/// Whether `text` holds something that reads like a credential: a well-known key prefix, a JSON web token, or a
/// run of 20 characters or more that is hexadecimal, a UUID, or too irregular to be words.
pub fn looks_secret(text: &str) -> bool {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '+' | '=' | '~' | '.')))
        .any(run_is_secret)
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

/// The stricter form of [`looks_secret`], for places that hold names and tokens but no prose: also any run of 12
/// characters or more that is hexadecimal, a long number, or made of pairs that words are not made of.
fn is_secret(text: &str) -> bool {
    looks_secret(text)
        || text
            .split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '+' | '=' | '~')))
            .any(reads_random)
}

/// Weighs a run of token characters by its neighbours: pairs found in words speak for it, other pairs and changes
/// between letters, digits and cases against it.
fn reads_random(run: &str) -> bool {
    if run.len() < MIN_RANDOM {
        return false;
    }
    let (mut digits, mut letters, mut hex) = (0, 0, 0);
    for byte in run.bytes() {
        digits += usize::from(byte.is_ascii_digit());
        letters += usize::from(byte.is_ascii_alphabetic());
        hex += usize::from(byte.is_ascii_hexdigit());
    }
    if letters == 0 {
        return digits > MAX_NUMBER;
    }
    if digits > 0 && hex >= MIN_RANDOM && hex == digits + letters {
        return true;
    }
    let (mut score, mut weighed) = (0_i64, 0);
    let mut before = 3;
    for pair in run.as_bytes().windows(2) {
        let &[a, b] = pair else {
            continue;
        };
        let (from, to) = (class(a), class(b));
        weighed += usize::from(from != 3 && to != 3 && (from, to) != (2, 2));
        score += match (from, to) {
            (3, _) | (_, 3) | (2, 2) => 0,
            (2, _) => -3,
            (_, 2) | (0, 1) => -1,
            _ => {
                // `ABc`: a capital that ends a row of them may open a word, which costs as little as in `aBc`.
                let opens = from == 1 && to == 0 && before == 1;
                i64::from(if are_neighbours(a, b) { 1_i8 } else { -2 }) - i64::from(opens)
            }
        };
        before = from;
    }
    weighed >= MIN_PAIRS && score < MIN_SCORE
}

/// `a` and `b` often stand side by side in words, whatever their case.
fn are_neighbours(a: u8, b: u8) -> bool {
    let at = usize::from(a.to_ascii_lowercase().wrapping_sub(b'a'));
    FOLLOWERS.get(at).is_some_and(|letters| letters.as_bytes().contains(&b.to_ascii_lowercase()))
}

/// Free text such as a `User-Agent`, fit for records: each token between blanks that looks like a secret, whole or
/// in a part, becomes `…`; product tokens and comments stay. At most [`MAX_TEXT`] bytes, cut after masking.
pub fn clean_text(text: &str) -> String {
    let mut out = String::with_capacity(text.len().min(MAX_TEXT));
    for piece in text.split_inclusive(char::is_whitespace) {
        if out.len() > MAX_TEXT {
            break;
        }
        let token = piece.trim_end();
        if hides_secret(token) {
            out.push_str(MASK);
            out.push_str(piece.get(token.len()..).unwrap_or_default());
        } else {
            out.push_str(piece);
        }
    }
    let kept = cut(&out, MAX_TEXT).len();
    out.truncate(kept);
    out
}

/// [`is_secret`], also of what the text decodes to.
pub(crate) fn hides_secret(text: &str) -> bool {
    if is_secret(text) {
        return true;
    }
    let mut decoded = Cow::Borrowed(text);
    for _ in 0..MAX_DECODINGS {
        if !decoded.contains('%') {
            break;
        }
        decoded = percent_decode(&decoded).into();
        if is_secret(&decoded) {
            return true;
        }
    }
    false
}

/// `text` if it has the shape of a JSON-RPC method (at most 64 bytes of `[A-Za-z0-9_.$/-]`), else `…`.
pub(crate) fn method(text: &str) -> String {
    let shaped = text.len() <= MAX_METHOD && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.$/-".contains(&b));
    if shaped && !is_secret(text) { text.to_owned() } else { MASK.to_owned() }
}

/// `text` if it has the shape of a protocol version (at most 32 bytes of `[A-Za-z0-9._-]`: a date, a draft, a
/// number or words), else `…`.
pub(crate) fn version(text: &str) -> String {
    let shaped = text.len() <= MAX_VERSION && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
    let draft = text.get(..5).is_some_and(|word| word.eq_ignore_ascii_case("draft"));
    let weighed = if draft { text.get(5..).unwrap_or_default() } else { text };
    if shaped && !is_secret(weighed) { text.to_owned() } else { MASK.to_owned() }
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
            let web = ["http", "https", "ws", "wss"].iter().any(|s| scheme.eq_ignore_ascii_case(s));
            // A host on the web is a public name; elsewhere the place may hold anything.
            let secret = if web { looks_secret(host) } else { hides_secret(host) };
            out.push_str(if secret { MASK } else { host });
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

/// Writes a path with its secret-looking segments, the values of `name=value` and `;name=value`, and all that
/// follows an encoded `?` or `;` masked: some servers and proxies decode first and split then.
pub(crate) fn clean_path(path: &str, out: &mut String) {
    let (path, hidden) = encoded(path, b"?;")
        .map_or((path, None), |(at, end)| (path.get(..at).unwrap_or_default(), path.get(at..end).zip(path.get(end..))));
    for (i, part) in path.split('/').enumerate() {
        if i > 0 {
            out.push('/');
        }
        let mut parts = part.split(';');
        assignment(parts.next().unwrap_or_default(), out);
        for parameter in parts {
            out.push(';');
            clean_pair(parameter, out);
        }
    }
    if let Some((mark, query)) = hidden {
        out.push_str(mark);
        clean_query(query, out);
    }
}

/// Where one of `wanted` stands percent-encoded in `text`, once or over and over (`%3F`, `%253F`).
fn encoded(text: &str, wanted: &[u8]) -> Option<(usize, usize)> {
    text.match_indices('%').find_map(|(at, _)| {
        let mut end = at + 1;
        while text.get(end..).is_some_and(|rest| rest.starts_with("25")) {
            end += 2;
        }
        let byte = u8::from_str_radix(text.get(end..end + 2)?, 16).ok()?;
        wanted.contains(&byte).then_some((at, end + 2))
    })
}

/// Writes a segment; of `name=value` the name only. A `=` with nothing behind it pads base64.
fn assignment(part: &str, out: &mut String) {
    let plain = part.find('=').map(|at| (at, at + 1));
    let sign = match (plain, encoded(part, b"=")) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    };
    let Some((at, end)) = sign else {
        return segment(part, out);
    };
    let (name, value) = (part.get(..at).unwrap_or_default(), part.get(end..).unwrap_or_default());
    if value.is_empty() || value.starts_with(['=', '%']) {
        out.push_str(MASK);
    } else {
        segment(name, out);
        out.push_str(part.get(at..end).unwrap_or_default());
        out.push_str(MASK);
    }
}

fn segment(part: &str, out: &mut String) {
    out.push_str(if hides_secret(part) { MASK } else { part });
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
        // An encoded `=` or `&` in the name: what follows it is a value to whoever decodes first.
        Some((name, _)) if encoded(name, b"=&?;").is_none() => {
            segment(cut(name, 64), out);
            out.push('=');
            out.push_str(MASK);
        }
        None if pair.is_empty() => {}
        _ => out.push_str(MASK),
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
