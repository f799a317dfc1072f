//! Heads of the HTTP library as the inspector reads them: borrowed, in a list that is used again.

use crate::conn::Conn;
use http::{HeaderMap, Version, request, response};
use proto::{Field, Headers, RequestHead, ResponseHead};
use std::cell::Cell;

thread_local! {
    /// Room for the fields of one head.
    static FIELDS: Cell<Vec<Field<'static>>> = const { Cell::new(Vec::new()) };
}

/// Most fields for which room is kept between two heads.
const MAX_ROOM: usize = 256;

/// Fields between the proxy and its client alone; one of them holds a password.
const HOP: [&str; 2] = ["proxy-authorization", "proxy-connection"];

/// Lends a list to fill with the fields of one head.
fn with_fields<'a, R>(fill: impl FnOnce(&mut Vec<Field<'a>>) -> R) -> R {
    let mut fields: Vec<Field<'a>> = FIELDS.take();
    let result = fill(&mut fields);
    fields.clear();
    fields.shrink_to(MAX_ROOM);
    // Nothing is left in it, so this gives back the same memory for another lifetime.
    #[expect(clippy::unnecessary_filter_map, reason = "a filter would keep the type, and with it the lifetime")]
    FIELDS.set(fields.into_iter().filter_map(|_| None).collect());
    result
}

fn add<'a>(fields: &mut Vec<Field<'a>>, headers: &'a HeaderMap, but: &[&str]) {
    let all = headers.iter().map(|(name, value)| Field { name: name.as_str(), value: value.as_bytes() });
    fields.extend(all.filter(|field| !but.contains(&field.name)));
}

/// The head of a request in origin form: what the target names beside the path becomes `host`, as RFC 9112 section 3.2.2
/// and RFC 9113 section 8.3.1 have it.
pub(super) fn request<R>(conn: &Conn, parts: &request::Parts, then: impl FnOnce(&RequestHead<'_>) -> R) -> R {
    let authority = parts.uri.authority().map(http::uri::Authority::as_str);
    let authority = authority.map(|text| text.rsplit_once('@').map_or(text, |(_, host)| host));
    let via = match (authority, parts.headers.contains_key(http::header::HOST)) {
        (None, false) => Some(conn.authority.to_string()),
        _ => None,
    };
    with_fields(|fields| {
        if let Some(text) = authority {
            fields.push(Field { name: "host", value: text.as_bytes() });
            add(fields, &parts.headers, &[HOP[0], HOP[1], "host"]);
        } else {
            add(fields, &parts.headers, &HOP);
        }
        then(&RequestHead {
            method: parts.method.as_str(),
            target: target(parts),
            version: version(parts.version),
            headers: Headers(fields),
            via_connect: via.as_deref(),
        })
    })
}

/// Path and query.
pub(super) fn target(parts: &request::Parts) -> &str {
    parts.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str)
}

/// The head of an answer.
pub(super) fn response<R>(parts: &response::Parts, then: impl FnOnce(&ResponseHead<'_>) -> R) -> R {
    with_fields(|fields| {
        add(fields, &parts.headers, &[]);
        let (status, version) = (parts.status.as_u16(), version(parts.version));
        then(&ResponseHead { status, version, headers: Headers(fields) })
    })
}

const fn version(version: Version) -> &'static str {
    match version {
        Version::HTTP_09 => "0.9",
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2",
        Version::HTTP_3 => "3",
        _ => "1.1",
    }
}
