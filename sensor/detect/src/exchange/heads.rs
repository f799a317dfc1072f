//! What heads say: authority, codings, types, and what of them is safe to show.

use crate::Scratch;
use crate::kept::KeptHead;
use crate::observation::RequestSeen;
use proto::coding::{Codings, Unsupported};
use proto::{Headers, RequestHead};

/// Longest kept User-Agent, host or excerpt, in bytes.
const MAX_TEXT: usize = 200;

/// What is told of a request.
pub(super) fn seen(kept: &KeptHead) -> RequestSeen {
    kept.read(|head| {
        let authority = authority(head);
        let on_https = head.target.get(..8).is_some_and(|t| t.eq_ignore_ascii_case("https://"));
        RequestSeen {
            ts: kept.ts,
            place: kept.place,
            version: head.version,
            method: if mcp::looks_secret(head.method) { "…" } else { cut(head.method) }.to_owned(),
            host: cut(&crate::hosts::normal_host(authority)).to_owned(),
            authority: cut(authority).to_owned(),
            scheme: if on_https { "https" } else { "http" },
            user_agent: head.headers.text("user-agent").map(|ua| mcp::clean_text(cut(ua))),
            proxied: head.method == "CONNECT" || head.target.contains("://") && !head.target.starts_with('/'),
            is_form: head.headers.text("content-type").is_some_and(is_form),
            target_key: mcp::target_key(authority, head.target),
            facts: mcp::request_facts(head),
        }
    })
}

/// `application/json` and all that ends in `+json`.
pub(super) fn says_json(content_type: &str) -> bool {
    content_type.as_bytes().windows(4).any(|word| word.eq_ignore_ascii_case(b"json"))
}

pub(super) fn without_query(target: &str) -> &str {
    target.split('?').next().unwrap_or_default()
}

/// The authority a request is for: that of an absolute target, else `Host` (RFC 9112 §3.3).
pub(super) fn authority<'a>(head: &RequestHead<'a>) -> &'a str {
    if let Some((_, rest)) = head.target.split_once("://").filter(|(scheme, _)| scheme.len() <= 5) {
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let authority = rest.get(..end).unwrap_or(rest);
        return authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    }
    if head.method == "CONNECT" {
        return head.target;
    }
    head.headers.text("host").or(head.via_connect).unwrap_or("")
}

/// All content codings (RFC 9110 §8.4); `None` where there is none.
pub(super) fn codings(headers: &Headers<'_>, scratch: &Scratch) -> Option<Result<Codings, Unsupported>> {
    Codings::read(headers.all("content-encoding"), &scratch.limits.coding).transpose()
}

/// At most [`MAX_TEXT`] bytes, cut between characters.
pub(super) fn cut(text: &str) -> &str {
    text.get(..text.floor_char_boundary(MAX_TEXT)).unwrap_or("")
}

/// Header values that are safe to show; others may hold secrets and are not shown.
pub(super) fn safe_value(name: &str, value: &[u8]) -> String {
    const SAFE: [&str; 8] = [
        "mcp-method",
        "mcp-protocol-version",
        "user-agent",
        "content-type",
        "accept",
        "sec-websocket-protocol",
        "npm-command",
        "server",
    ];
    let safe = SAFE.iter().any(|s| s.eq_ignore_ascii_case(name));
    let text = str::from_utf8(value).unwrap_or("");
    if safe { mcp::clean_text(text) } else { String::new() }
}

pub(super) fn is_page(content_type: &str) -> bool {
    ["text/html", "application/xhtml", "text/css", "javascript", "image/", "video/", "audio/", "font/"]
        .iter()
        .any(|t| content_type.as_bytes().windows(t.len()).any(|w| w.eq_ignore_ascii_case(t.as_bytes())))
}

pub(super) fn is_form(content_type: &str) -> bool {
    ["multipart/", "application/x-www-form-urlencoded"]
        .iter()
        .any(|t| content_type.get(..t.len()).is_some_and(|start| start.eq_ignore_ascii_case(t)))
}
