//! What a client takes (RFC 9110 section 12.5.1).

use http::HeaderMap;
use http::header::{ACCEPT, HeaderName};

/// Fetch Metadata: whether a request loads a page.
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

/// What a client takes, as far as it changes an answer of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is one type it takes or does not")]
pub(super) struct Accept {
    /// `application/json`, if only by a wildcard.
    pub(super) json: bool,
    /// `application/json` by name.
    pub(super) json_named: bool,
    /// `text/event-stream`, if only by a wildcard.
    pub(super) event_stream: bool,
    /// A browser loads a page.
    pub(super) navigation: bool,
}

impl Accept {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let named = |kind, subtype| matches!(taken(headers, kind, subtype), Some((3, true)));
        let takes = |kind, subtype| match taken(headers, kind, subtype) {
            Some((_, takes)) => takes,
            None => !headers.contains_key(ACCEPT),
        };
        // Browsers that do not send Fetch Metadata still name HTML, which no SDK and no script does.
        let page = headers.get(SEC_FETCH_MODE).is_none_or(|mode| mode == "navigate");
        Self {
            json: takes("application", "json"),
            json_named: named("application", "json"),
            event_stream: takes("text", "event-stream"),
            navigation: page && named("text", "html"),
        }
    }
}

/// How closely the nearest range names the type (3: itself, 2: its kind, 1: anything), and whether it is taken.
fn taken(headers: &HeaderMap, kind: &str, subtype: &str) -> Option<(u8, bool)> {
    let mut nearest: Option<(u8, bool)> = None;
    let values = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    for range in values.flat_map(|value| value.split(',')) {
        let mut parts = range.split(';').map(str::trim);
        let Some((k, s)) = parts.next().and_then(|range| range.split_once('/')) else { continue };
        let near = match () {
            () if k.eq_ignore_ascii_case(kind) && s.eq_ignore_ascii_case(subtype) => 3,
            () if k.eq_ignore_ascii_case(kind) && s == "*" => 2,
            () if k == "*" && s == "*" => 1,
            () => continue,
        };
        let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
        // `q=0`, `q=0.0` and so on refuse it (section 12.4.2).
        let refused = weight.is_some_and(|q| q.starts_with('0') && q.bytes().all(|b| matches!(b, b'0' | b'.')));
        if nearest.is_none_or(|(n, takes)| near > n || (near == n && !takes)) {
            nearest = Some((near, !refused));
        }
    }
    nearest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_range_says_what_a_client_takes() {
        for (accept, mode, json, json_named, event_stream, navigation) in [
            (None, None, true, false, true, false),
            (Some("application/json, text/event-stream"), None, true, true, true, false),
            (Some("text/event-stream"), None, false, false, true, false),
            (Some("*/*"), None, true, false, true, false),
            (Some("application/*;q=0.5"), None, true, false, false, false),
            (Some("application/json;q=0, */*"), None, false, false, true, false),
            (Some("application/json;q=0.000,text/*"), None, false, false, true, false),
            (Some("application/json;q=0.001"), None, true, true, false, false),
            (Some("APPLICATION/JSON ; charset=x ; Q=1"), None, true, true, false, false),
            (Some("text/html,application/xhtml+xml,*/*;q=0.8"), Some("navigate"), true, false, true, true),
            (Some("text/html,*/*;q=0.8"), None, true, false, true, true),
            (Some("text/html,*/*;q=0.8"), Some("cors"), true, false, true, false),
            (Some("*/*"), Some("navigate"), true, false, true, false),
            (Some("nonsense,,;q=,/"), None, false, false, false, false),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(accept) = accept {
                headers.insert(ACCEPT, accept.parse().unwrap());
            }
            if let Some(mode) = mode {
                headers.insert(SEC_FETCH_MODE, mode.parse().unwrap());
            }
            let want = Accept { json, json_named, event_stream, navigation };
            assert_eq!(Accept::of(&headers), want, "{accept:?} {mode:?}");
        }
    }

    #[test]
    fn ranges_may_come_in_several_fields() {
        let mut headers = HeaderMap::new();
        headers.append(ACCEPT, "text/event-stream".parse().unwrap());
        headers.append(ACCEPT, "application/json".parse().unwrap());
        let accept = Accept::of(&headers);
        assert!(accept.json && accept.json_named && accept.event_stream);
    }
}
