//! Request targets: what may be recorded, what rules compare, and what the path says of MCP by itself.

use std::borrow::Cow;
use std::fmt;

use sha2::{Digest, Sha256};

use crate::mask;

/// Longest kept path, in bytes.
pub(crate) const MAX_PATH: usize = 1024;
/// Most segments and query parameters that are looked at.
const MAX_PARTS: usize = 256;

/// What a request target says.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct PathFacts {
    /// For records: the path as sent, secret-looking segments and all query values masked; at most 1024 bytes.
    pub clean: String,
    /// For rules, never for records: decoded once, `//` and dot segments resolved, parameters and query
    /// stripped, lower case, no trailing slash; at most 1024 bytes.
    pub normal: String,
    /// A path MCP servers are mounted at, below any prefix. A hint, no more.
    pub telltale: Option<&'static str>,
    /// A discovery document.
    pub well_known: Option<WellKnown>,
    /// SHA-256 of the value of `session_id` or `sessionId` in the query (HTTP+SSE).
    pub session_query: Option<[u8; 32]>,
    /// A file of a web page: script, image, font, style, document.
    pub is_asset: bool,
}

impl fmt::Debug for PathFacts {
    /// Leaves out `normal`, which is not masked.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PathFacts")
            .field("clean", &self.clean)
            .field("telltale", &self.telltale)
            .field("well_known", &self.well_known)
            .field("session_query", &self.session_query)
            .field("is_asset", &self.is_asset)
            .finish_non_exhaustive()
    }
}

/// A discovery document under `/.well-known/`, or a server card beside an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WellKnown {
    /// Which one.
    pub kind: WellKnownKind,
    /// The rest of the path has `mcp` or `sse` as a whole segment, or the document is MCP's own.
    pub names_mcp: bool,
}

/// See [`WellKnown`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum WellKnownKind {
    /// `oauth-protected-resource` (RFC 9728).
    ProtectedResource,
    /// `oauth-authorization-server` (RFC 8414).
    AuthorizationServer,
    /// `openid-configuration`.
    OpenIdConfiguration,
    /// `mcp/server-card.json`, or `server-card` beside an endpoint.
    ServerCard,
    /// `mcp.json`.
    McpJson,
    /// `mcp`.
    Mcp,
    /// `mcp-server`.
    McpServer,
    /// `ai-catalog.json`.
    AiCatalog,
    /// `agent-card.json` or `agent.json` (A2A).
    AgentCard,
}

impl PathFacts {
    /// Facts of a request target in any form.
    pub fn of(target: &str) -> Self {
        let path_and_query = path_and_query(target);
        let (path, query) = split_query(path_and_query);
        let mut clean = String::new();
        let held = mask::cut(path, 4 * MAX_PATH);
        if held.len() == path.len() {
            mask::clean_path(path, &mut clean);
        } else {
            // The last segment may be the beginning of a secret, too short to be known as one.
            mask::clean_path(held.rfind('/').and_then(|at| held.get(..=at)).unwrap_or_default(), &mut clean);
            clean.push_str(mask::MASK);
        }
        if let Some(query) = query {
            clean.push('?');
            mask::clean_query(mask::cut(query, 4 * MAX_PATH), &mut clean);
        }
        let kept = mask::cut(&clean, MAX_PATH).len();
        clean.truncate(kept);
        let normal = normal_path(path).into_owned();
        let session_query = query.and_then(session_of);
        Self {
            clean,
            telltale: telltale(&normal, session_query.is_some()),
            well_known: well_known(&normal),
            session_query,
            is_asset: is_asset(&normal),
            normal,
        }
    }
}

/// Path, query and fragment of a target in origin or absolute form; empty for the authority form.
fn path_and_query(target: &str) -> &str {
    if target.starts_with('/') || target.starts_with('?') {
        return target;
    }
    match target.split_once("://") {
        Some((_, rest)) => rest.find(['/', '?']).map_or("", |at| rest.get(at..).unwrap_or_default()),
        None => "",
    }
}

/// The query of a URL or target, without its `?`.
pub(crate) fn query_of(target: &str) -> Option<&str> {
    split_query(path_and_query(target)).1
}

/// The path of a URL or target, without its query.
pub(crate) fn path_of(target: &str) -> &str {
    split_query(path_and_query(target)).0
}

fn split_query(path_and_query: &str) -> (&str, Option<&str>) {
    let rest = path_and_query.split('#').next().unwrap_or_default();
    rest.split_once('?').map_or((rest, None), |(path, query)| (path, Some(query)))
}

/// [`normalise`] of the path of a target in any form, without a copy where it is normal as it stands.
pub fn normal_target(target: &str) -> Cow<'_, str> {
    normal_path(path_of(target))
}

fn normal_path(path: &str) -> Cow<'_, str> {
    // A slash may not be followed by another, by a dot, or by nothing.
    let mut slash = false;
    let dull = path.len() <= MAX_PATH
        && path.starts_with('/')
        && path.bytes().all(|b| {
            let odd = !b.is_ascii_graphic() || b.is_ascii_uppercase() || matches!(b, b'%' | b'\\' | b';');
            let breaks = slash && matches!(b, b'/' | b'.');
            slash = b == b'/';
            !odd && !breaks
        })
        && !slash;
    if dull || path == "/" { Cow::Borrowed(path) } else { Cow::Owned(normalise(path)) }
}

/// Whether [`PathFacts`] of a target, whose [`normal_target`] is `normal`, may hold a sign of MCP beyond its shape.
pub(crate) fn is_remarkable(target: &str, normal: &str) -> bool {
    let holds = |query: &str, word: &[u8]| query.as_bytes().windows(word.len()).any(|w| w.eq_ignore_ascii_case(word));
    let query = target.split_once('?').map_or("", |(_, query)| query);
    // All that the two look for has one of these in it.
    let may_hold = normal.as_bytes().windows(3).any(|w| matches!(w, b"mcp" | b"sse" | b".we"));
    !query.is_empty() && (holds(query, b"session") || holds(query, b"resource="))
        || may_hold && (telltale(normal, false).is_some() || well_known(normal).is_some())
}

/// A path as rules compare it: percent-decoded once, backslash and `//` as `/`, dot segments resolved,
/// `;parameters` stripped, lower case, without a trailing slash (the root stays `/`); at most 1024 bytes.
pub fn normalise(path: &str) -> String {
    let decoded = mask::percent_decode(mask::cut(path, 4 * MAX_PATH));
    let mut segments: Vec<&str> = Vec::new();
    for segment in decoded.split(['/', '\\']) {
        match segment.split(';').next().unwrap_or_default() {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            plain => segments.push(plain),
        }
    }
    let mut normal = String::with_capacity(decoded.len().min(MAX_PATH));
    for segment in segments {
        normal.push('/');
        normal.extend(segment.chars().flat_map(char::to_lowercase));
    }
    if normal.is_empty() {
        normal.push('/');
    }
    let kept = mask::cut(&normal, MAX_PATH).len();
    normal.truncate(kept);
    normal
}

/// The session of an HTTP+SSE message target, hashed.
fn session_of(query: &str) -> Option<[u8; 32]> {
    query.split('&').take(MAX_PARTS).find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        let is_session = ["session_id", "sessionid", "mcp-session-id"].iter().any(|n| name.eq_ignore_ascii_case(n));
        (is_session && !value.is_empty()).then(|| Sha256::digest(mask::percent_decode(value)).into())
    })
}

/// Ends of paths at which MCP is served. The message paths are too common without a session.
fn telltale(normal: &str, has_session: bool) -> Option<&'static str> {
    let mut ends = normal.rsplit('/').filter(|s| !s.is_empty());
    let last = ends.next().unwrap_or_default();
    let before = ends.next().unwrap_or_default();
    let mcp = |s: &str| matches!(s, "mcp" | "mcp_server" | "mcp-server");
    let version = |s: &str| s.strip_prefix('v').is_some_and(|v| !v.is_empty() && v.bytes().all(|b| b.is_ascii_digit()));
    match (before, last) {
        (b, "sse") if mcp(b) => Some("/mcp/sse"),
        (_, "sse") => Some("/sse"),
        ("sse", "message" | "messages") => Some("/sse/message"),
        (b, "message" | "messages") if mcp(b) => Some("/mcp/message"),
        (_, "message" | "messages") if has_session => Some("/messages"),
        (_, "mcp") => Some("/mcp"),
        ("mcp", v) if version(v) => Some("/mcp"),
        _ if normal.rsplit('/').nth(1) == Some("messages") && normal.rsplit('/').nth(2).is_some_and(mcp) => {
            Some("/mcp/message")
        }
        _ => None,
    }
}

/// The discovery document a normal path names.
pub(crate) fn well_known(normal: &str) -> Option<WellKnown> {
    use WellKnownKind as Kind;
    let segments = || normal.split('/').filter(|s| !s.is_empty());
    let names_mcp = segments().any(|s| matches!(s, "mcp" | "sse"));
    let mut after = segments().skip_while(|s| *s != ".well-known").skip(1);
    let Some(first) = after.next() else {
        let card = matches!(segments().next_back(), Some("server-card" | "server-card.json"));
        return (card && names_mcp).then_some(WellKnown { kind: Kind::ServerCard, names_mcp });
    };
    let own = |kind| Some(WellKnown { kind, names_mcp: true });
    let kind = match (first, after.next()) {
        ("mcp", Some("server-card.json" | "server-card")) => return own(Kind::ServerCard),
        ("mcp.json", _) => return own(Kind::McpJson),
        ("mcp", _) => return own(Kind::Mcp),
        ("mcp-server" | "mcp-server.json", _) => return own(Kind::McpServer),
        ("oauth-protected-resource", _) => Kind::ProtectedResource,
        ("oauth-authorization-server", _) => Kind::AuthorizationServer,
        ("openid-configuration", _) => Kind::OpenIdConfiguration,
        ("ai-catalog.json" | "ai-catalog", _) => Kind::AiCatalog,
        ("agent-card.json" | "agent.json", _) => Kind::AgentCard,
        _ => return None,
    };
    Some(WellKnown { kind, names_mcp })
}

fn is_asset(normal: &str) -> bool {
    let name = normal.rsplit('/').next().unwrap_or_default();
    let Some((_, extension)) = name.rsplit_once('.') else {
        return false;
    };
    matches!(
        extension,
        "js" | "mjs"
            | "css"
            | "map"
            | "html"
            | "htm"
            | "png"
            | "jpg"
            | "jpeg"
            | "gif"
            | "svg"
            | "ico"
            | "webp"
            | "avif"
            | "woff"
            | "woff2"
            | "ttf"
            | "otf"
            | "eot"
            | "pdf"
            | "txt"
            | "xml"
            | "mp3"
            | "mp4"
            | "webm"
            | "wasm"
            | "zip"
            | "gz"
            | "tgz"
            | "whl"
            | "md"
    )
}
