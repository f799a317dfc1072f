//! What can be said of a request by its head: who is asked, what may be done about it, and whether a message is to come.

use super::heads;
use super::line;
use crate::conn::Conn;
use crate::gate::Authority;
use crate::options::Settings;
use detect::{Classification, Classified, Confidence, Decision, Generation, Seen, classify};
use http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING, UPGRADE};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, Version};

use super::conversations::Spot;
use net::Timestamp;

/// Names a session of Streamable HTTP.
pub(super) const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");

/// What may be done about a request.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is one thing that is known of the server")]
pub(super) struct Plan {
    /// What the server means here, if it speaks MCP beyond doubt.
    sure: Classified,
    /// It is denied by its name, port and path: whatever is said to it is stopped.
    pub(super) denied: bool,
    /// Servers have shown that MCP is spoken there, this surely.
    pub(super) known: Option<Confidence>,
    /// Where messages of HTTP+SSE go: its answers come on the stream that led here.
    pub(super) endpoint: Option<[u8; 32]>,
    /// The server keeps the session that is named, or has shown that it works without.
    pub(super) in_session: bool,
    /// Some of what may come of it is stopped.
    pub(super) may_stop: bool,
    /// Its host as a whole is refused, so that nothing was connected to.
    pub(super) refused: bool,
}

impl Plan {
    /// For a request with this head. `None` where nothing is ever stopped, be it in pretence.
    pub(super) fn of(conn: &Conn, settings: &Settings, parts: &Parts, now: Timestamp) -> Option<Self> {
        let generation = &*settings.generation;
        if !generation.policy.asks_to_stop() || generation.policy.leads_to(conn.host(), conn.authority.port) {
            return None;
        }
        let path = mcp::normal_target(heads::target(parts));
        let host = conn.host();
        let server = line::server(conn);
        let (ip, port) = (server.ip(), conn.authority.port);
        let seen = Seen { host, ip, port, path: &path, resolved: line::is_proved(conn) };
        let sure = classify(&generation.scope, conn.client.ip(), &seen, Confidence::Confirmed);
        let mut plan = Self {
            sure,
            denied: false,
            known: None,
            endpoint: None,
            in_session: false,
            may_stop: false,
            refused: false,
        };
        let any = |c: &Confidence| plan.decide(generation, *c).1.action.stops();
        let asks = [Confidence::Possible, Confidence::Likely, Confidence::Confirmed].iter().any(any);
        plan.denied = sure.classification == Classification::Denied && asks;
        plan.may_stop = asks && generation.policy.can_stop();
        plan.refused = plan.may_stop && refuses_host(settings, host);
        let conversations = &conn.thread.shared.conversations;
        if plan.may_stop {
            plan.known = conversations.known(&Spot::Path(host, port, &path), now);
            let session = parts.headers.get(SESSION).map(HeaderValue::as_bytes);
            plan.in_session = conversations.known(&Spot::Session(host, port, &path, session), now).is_some();
            if parts.method == Method::POST && conversations.has_endpoints() {
                let named = Authority { host: host.to_owned(), port };
                let key = mcp::target_key(&named.to_string(), heads::target(parts));
                let known = conversations.known(&Spot::Endpoint(&key), now);
                plan.endpoint = known.map(|_| key);
                plan.known = plan.known.max(known);
            }
        }
        Some(plan)
    }

    /// What the server means here at this confidence, and what is done about it.
    pub(super) fn decide(self, generation: &Generation, confidence: Confidence) -> (Classification, Decision) {
        // Nothing but the lowest confidence changes what a server means.
        let classification = match self.sure.classification {
            Classification::Shadow if confidence == Confidence::Possible => Classification::Unknown,
            other => other,
        };
        (classification, generation.policy.decide(classification, confidence))
    }
}

/// What the head says of the message to come.
#[derive(Clone, Debug, Default)]
pub(super) struct Asks {
    /// A JSON value may come in the body, and the head waits for it.
    pub(super) awaits: bool,
    /// The first GET of a client, for a stream or a WebSocket.
    pub(super) starts: bool,
    /// On a place that is known, the head alone is MCP: a stream is asked for, or the end of a session.
    pub(super) by_head: bool,
    /// The session that it names.
    pub(super) session: Option<HeaderValue>,
}

impl Asks {
    pub(super) fn of(parts: &Parts) -> Self {
        let headers = &parts.headers;
        let holds = |name, word: &str| {
            let text = headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok()).unwrap_or_default();
            text.as_bytes().windows(word.len()).any(|w| w.eq_ignore_ascii_case(word.as_bytes()))
        };
        let get = parts.method == Method::GET;
        let session = headers.get(SESSION).cloned();
        let stream = get && holds(ACCEPT, "text/event-stream");
        let resumes = session.is_some() || headers.contains_key("last-event-id");
        let upgrade = get && headers.contains_key(UPGRADE);
        Self {
            awaits: awaits(parts),
            starts: get && !resumes && (upgrade || !holds(ACCEPT, "text/html")),
            by_head: stream || upgrade || (parts.method == Method::DELETE && session.is_some()),
            session,
        }
    }
}

/// Whether the head waits for the body. Most who send JSON say so. Where another type is named, or none, the first byte
/// tells; it is waited for only where the length says that it will come, since a client of a stream (gRPC) may wait for
/// our answer first.
fn awaits(parts: &Parts) -> bool {
    let headers = &parts.headers;
    let length = headers.get(CONTENT_LENGTH).map(|value| value.as_bytes().iter().all(|b| *b == b'0'));
    if let Some(nothing) = length {
        return !nothing;
    }
    let chunked = headers.contains_key(TRANSFER_ENCODING);
    let plain = matches!(parts.method, Method::GET | Method::HEAD | Method::DELETE | Method::OPTIONS | Method::CONNECT);
    if !chunked && (plain || parts.version < Version::HTTP_2) {
        return false;
    }
    let kind = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    kind.is_none_or(|kind| {
        let json = kind.windows(4).any(|word| word.eq_ignore_ascii_case(b"json"));
        let framed = ["grpc", "connect"].iter().any(|name| kind.windows(name.len()).any(|w| w == name.as_bytes()));
        json && !framed
    })
}

/// Whether what is known of a host by its name alone is enough not to contact it.
pub(crate) fn refuses_host(settings: &Settings, host: &str) -> bool {
    let generation = &settings.generation;
    generation.policy.can_stop() && generation.policy.stops_host(&generation.rules, &generation.scope, host)
}
