//! The `endpoint` event of HTTP+SSE (2024-11-05): where the client is to POST, so that its POSTs can be joined
//! to the stream. The event alone proves nothing; other services send one of that name.

use sha2::{Digest, Sha256};

use crate::{PathFacts, clean_uri};

/// Longest data of an `endpoint` event that is looked at, in bytes.
const MAX_DATA: usize = 2048;

/// Where an `endpoint` event points.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Cleaned path, or cleaned URL where the event had an absolute one.
    pub clean: String,
    /// SHA-256 of the session id in its query, as [`PathFacts::session_query`].
    pub session: Option<[u8; 32]>,
    /// [`target_key`] of it: the same as that of a POST sent there.
    pub key: [u8; 32],
}

/// Reads the data of an `endpoint` event that came on a stream asked for with `target` from `host`. `None`
/// unless it is one line that can be a URL: absolute with http(s), or a reference of the characters RFC 3986
/// allows in paths and queries.
pub fn endpoint_url(host: &str, target: &str, data: &str) -> Option<Endpoint> {
    let data = data.trim();
    let plausible = !data.is_empty() && data.len() <= MAX_DATA && data.bytes().all(is_url_byte);
    if !plausible {
        return None;
    }
    let absolute =
        ["http://", "https://"].iter().any(|s| data.get(..s.len()).is_some_and(|d| d.eq_ignore_ascii_case(s)));
    let base = crate::path::path_of(target);
    let resolved = if absolute || (data.starts_with('/') && !data.starts_with("//")) {
        data.to_owned()
    } else if data.contains("://") || data.starts_with("//") {
        return None;
    } else if data.starts_with('?') {
        format!("{base}{data}")
    } else if data.contains('/') || data.contains('?') {
        let folder = base.rfind('/').map_or("/", |at| base.get(..=at).unwrap_or("/"));
        format!("{folder}{data}")
    } else {
        return None;
    };
    let facts = PathFacts::of(&resolved);
    Some(Endpoint {
        clean: if absolute { clean_uri(&resolved) } else { facts.clean },
        session: facts.session_query,
        key: target_key(host, &resolved),
    })
}

fn is_url_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=%".contains(&byte)
}

/// One key for a host and a target, however the target is written: SHA-256 over `host|path?query`, the host
/// (taken from the target where that is absolute) in lower case without a default port, dot segments resolved,
/// the query as sent.
pub fn target_key(host: &str, target: &str) -> [u8; 32] {
    let target = target.split('#').next().unwrap_or_default();
    let (host, rest) = match target.split_once("://") {
        Some((_, rest)) if !target.starts_with('/') => {
            let end = rest.find(['/', '?']).unwrap_or(rest.len());
            let (authority, rest) = rest.split_at(end);
            (authority.rsplit_once('@').map_or(authority, |(_, host)| host), rest)
        }
        _ => (host, target),
    };
    let host = host.to_ascii_lowercase();
    let host = host.strip_suffix(":443").or_else(|| host.strip_suffix(":80")).unwrap_or(&host);
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let mut hasher = Sha256::new();
    hasher.update(host.strip_suffix('.').unwrap_or(host));
    hasher.update("|");
    let trailing = path.ends_with('/');
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            plain => segments.push(plain),
        }
    }
    for segment in &segments {
        hasher.update("/");
        hasher.update(segment);
    }
    if trailing || segments.is_empty() {
        hasher.update("/");
    }
    hasher.update("?");
    hasher.update(query);
    hasher.finalize().into()
}
