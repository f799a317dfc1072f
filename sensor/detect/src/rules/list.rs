//! Lists of hosts beside the rule files: tab-separated, one entry a line.
//!
//! The first line says what it is; `#` begins a comment. Sources repeat themselves, so they are written once and
//! referred to by number:
//!
//! ```text
//! #mcp-endpoints 1
//! #source 0 <text>
//! host  path  transport  dedicated(yes|no)  vendor  source
//!
//! #mcp-host-patterns 1
//! #source 0 <text>
//! pattern[/path]  transport  confidence  category  vendor  source  note
//! ```
//! (with tabs between the columns). Transport is `http`, `sse` or `any`; an empty vendor is the host itself.

use std::borrow::Cow;
use std::ops::Range;

use super::error::{RuleError, Source};
use crate::hosts::{Category, HostTable, Listed, NewEntry};

/// Largest list, in bytes.
pub(super) const MAX_LIST_BYTES: usize = 4 << 20;
/// Most faults told of one list.
const MAX_FAULTS: usize = 20;

#[derive(Clone, Copy)]
enum Kind {
    Endpoints,
    Patterns,
}

/// Adds all entries of a list to `table`, as those of `signature`.
pub(super) fn read(name: &str, text: &str, signature: u32, table: &mut HostTable, errors: &mut Vec<RuleError>) {
    let source = Source::new(name, text);
    let mut told = 0;
    let mut tell = |span: Range<usize>, message: String, help: &str| {
        told += 1;
        if told <= MAX_FAULTS {
            errors.push(source.fault(&span, message, help));
        }
        told <= MAX_FAULTS
    };
    if text.len() > MAX_LIST_BYTES {
        tell(0..0, format!("{} bytes, over the limit of {MAX_LIST_BYTES} for a list", text.len()), "split the list");
        return;
    }
    let kind = match text.lines().next().unwrap_or_default() {
        "#mcp-endpoints\t1" => Kind::Endpoints,
        "#mcp-host-patterns\t1" => Kind::Patterns,
        first => {
            let help = "the first line must be `#mcp-endpoints<TAB>1` or `#mcp-host-patterns<TAB>1`";
            tell(0..first.len(), "not a host list this version reads".to_owned(), help);
            return;
        }
    };
    table.reserve(memchr::memchr_iter(b'\n', text.as_bytes()).count(), text.len());
    let mut sources: Vec<&str> = Vec::new();
    let mut at = 0;
    for line in text.split('\n') {
        let span = at..at + line.len();
        at = span.end + 1;
        let line = line.strip_suffix('\r').unwrap_or(line);
        if let Some(comment) = line.strip_prefix('#') {
            if let Some(source) = comment.strip_prefix("source\t") {
                match source.split_once('\t') {
                    Some((number, source)) if number.parse() == Ok(sources.len()) => sources.push(source),
                    _ if tell(span, "sources are numbered from 0, in order".to_owned(), "") => {}
                    _ => return,
                }
            }
            continue;
        }
        if line.is_empty() {
            continue;
        }
        let row = match kind {
            Kind::Endpoints => endpoint(line, &sources),
            Kind::Patterns => pattern(line, &sources),
        };
        let added = row.and_then(|row| {
            let host = lower(row.host);
            let new = NewEntry { signature, host: &host, ..row };
            table.add(&new).map_err(|error| error.to_string())
        });
        if let Err(message) = added
            && !tell(span, message, "")
        {
            return;
        }
    }
}

fn lower(host: &str) -> Cow<'_, str> {
    if host.bytes().any(|b| b.is_ascii_uppercase()) { host.to_ascii_lowercase().into() } else { host.into() }
}

fn source<'a>(number: &str, sources: &[&'a str]) -> Result<&'a str, String> {
    if number.is_empty() {
        return Ok("");
    }
    let known = number.parse::<usize>().ok().and_then(|n| sources.get(n).copied());
    known.ok_or_else(|| format!("no source of number {number:?} above this line"))
}

fn transport(text: &str) -> Result<&str, String> {
    match text {
        "http" | "sse" | "any" => Ok(text),
        other => Err(format!("transport {other:?} is not http, sse or any")),
    }
}

/// The columns of a line, where there are as many as wanted.
fn columns<const N: usize>(line: &str) -> Option<[&str; N]> {
    let mut columns = [""; N];
    let mut from = 0;
    let mut slots = columns.iter_mut();
    for end in memchr::memchr_iter(b'\t', line.as_bytes()).chain([line.len()]) {
        *slots.next()? = line.get(from..end)?;
        from = end + 1;
    }
    slots.next().is_none().then_some(columns)
}

fn endpoint<'a>(line: &'a str, sources: &[&'a str]) -> Result<NewEntry<'a>, String> {
    let Some([host, path, by, dedicated, vendor, from]) = columns(line) else {
        return Err("an endpoint has six columns".to_owned());
    };
    if host.contains('*') || !path.starts_with('/') {
        return Err("an endpoint is a plain host and a path that begins with a slash".to_owned());
    }
    let dedicated = match dedicated {
        "yes" => true,
        "no" => false,
        other => return Err(format!("dedicated is yes or no, not {other:?}")),
    };
    Ok(NewEntry {
        signature: 0,
        host,
        path,
        vendor,
        transport: transport(by)?,
        source: source(from, sources)?,
        listed: Listed::High,
        category: Category::Server,
        dedicated,
    })
}

fn pattern<'a>(line: &'a str, sources: &[&'a str]) -> Result<NewEntry<'a>, String> {
    let Some([pattern, by, confidence, category, vendor, from, _note]) = columns(line) else {
        return Err("a host pattern has seven columns".to_owned());
    };
    let (host, path) = split_url(pattern);
    let listed = match confidence {
        "high" => Listed::High,
        "medium" => Listed::Medium,
        "low" => Listed::Low,
        "info" => Listed::Info,
        other => return Err(format!("confidence {other:?} is not high, medium, low or info")),
    };
    Ok(NewEntry {
        signature: 0,
        host,
        path,
        vendor,
        transport: transport(by)?,
        source: source(from, sources)?,
        listed,
        category: Category::from_name(category).ok_or_else(|| format!("no such category: {category:?}"))?,
        dedicated: false,
    })
}

/// Host and path of a pattern. The path `/*` is any path, so none.
pub(super) fn split_url(pattern: &str) -> (&str, &str) {
    match pattern.find('/').and_then(|slash| pattern.split_at_checked(slash)) {
        Some((host, "/*")) => (host, ""),
        Some(parts) => parts,
        None => (pattern, ""),
    }
}
