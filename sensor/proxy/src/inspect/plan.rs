//! What can be said of a request by its head: who is asked, what may be done about it, and whether a message is to come.

use super::conversations::{Peers, Spot};
use super::heads;
use super::line;
use crate::clock;
use crate::conn::Conn;
use crate::gate::Authority;
use crate::options::Settings;
use detect::{
    Authorization, Classes, Classification, Classified, Confidence, Generation, Seen, Severity, Signal, Subject,
    classify, classify_named,
};
use http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING, UPGRADE};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, Version};
use net::Timestamp;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

/// Names a session of Streamable HTTP.
pub(super) const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");

/// What may be done about a request.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is one thing that is known of the server")]
pub(super) struct Plan {
    /// What the server means here, if it speaks MCP beyond doubt.
    sure: Classified,
    /// Normalised path.
    path: Box<str>,
    direction: &'static str,
    /// Whatever is said to it is stopped: it is denied by its name, port and path, or a policy says so of these.
    pub(super) denied: bool,
    /// Servers have shown that MCP is spoken there, this surely.
    pub(super) known: Option<Confidence>,
    /// What client and server of the session called themselves.
    pub(super) peers: Option<Arc<Peers>>,
    /// Where messages of HTTP+SSE go: its answers come on the stream that led here.
    pub(super) endpoint: Option<[u8; 32]>,
    /// The server keeps the session that is named, or has shown that it works without.
    pub(super) in_session: bool,
    /// Some of what may come of it is stopped.
    pub(super) may_stop: bool,
    /// Its host as a whole is refused, so that nothing was connected to.
    pub(super) refused: bool,
    /// It may be about another server than the one that is asked.
    about_another: bool,
    /// What comes back may be stopped or changed.
    pub(super) answers: bool,
    /// Data may be taken out of what is asked.
    pub(super) redacts: bool,
    /// Policies ask what tools say they do.
    pub(super) classes: bool,
}

impl Plan {
    /// For a request with this head. `None` where nothing is ever stopped, be it in pretence.
    pub(super) fn of(conn: &Conn, settings: &Settings, parts: &Parts, now: Timestamp) -> Option<Self> {
        let generation = &*settings.generation;
        if !generation.asks_to_act() || generation.leads_to(conn.host(), conn.authority.port) {
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
            path: Box::from(&*path),
            direction: detect::direction(&generation.scope, conn.client.ip(), ip),
            denied: false,
            known: None,
            peers: None,
            endpoint: None,
            in_session: false,
            may_stop: false,
            refused: false,
            about_another: super::trail::may_speak_of_another(generation, parts, &path),
            answers: false,
            redacts: false,
            classes: generation.rules.policies().needs().tool_classes,
        };
        let outlook = generation.outlook(&plan.subject(conn, now));
        plan.denied = match &outlook.settled {
            Some(settled) => settled.action.stops(),
            None => sure.classification == Classification::Denied && outlook.asks && !outlook.lets_pass,
        };
        plan.may_stop = outlook.acts;
        (plan.answers, plan.redacts) = (outlook.answers, outlook.redacts);
        plan.refused = plan.may_stop && refuses_host(settings, &Caller::of(conn), host);
        let conversations = &conn.thread.shared.conversations;
        if plan.may_stop {
            plan.known = conversations.known(&Spot::Path(host, port, &path), now);
            let session = parts.headers.get(SESSION).map(HeaderValue::as_bytes);
            let spot = Spot::Session(host, port, &path, session);
            plan.in_session = conversations.known(&spot, now).is_some();
            plan.peers = session.and_then(|_| conversations.peers(&spot, now));
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

    /// Normalised path.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// What policies can know by the head of a request.
    fn subject<'a>(&'a self, conn: &'a Conn, now: Timestamp) -> Subject<'a> {
        let sure = self.sure.classification;
        let any = || Classification::ALL.into_iter().fold(Classes::default(), Classes::with);
        let classes = if self.about_another { any() } else { Classes::from(sure) };
        Subject {
            at: now,
            stage: detect::Stage::Head,
            classes: if sure == Classification::Shadow { classes.with(Classification::Unknown) } else { classes },
            confidence: None,
            severity: Severity::Info,
            host: conn.host(),
            port: conn.authority.port,
            path: &self.path,
            client: conn.client.ip(),
            user: conn.user.as_deref(),
            direction: self.direction,
            signals: &[],
            mcp_client: None,
            mcp_server: None,
            revisions: &[],
            provider: &[],
            oauth: None,
            header_mismatch: false,
        }
    }

    /// What the server means here at this confidence.
    pub(super) fn classification(&self, confidence: Option<Confidence>) -> Classification {
        // Nothing but the lowest confidence changes what a server means.
        match self.sure.classification {
            Classification::Shadow if confidence.is_none_or(|c| c == Confidence::Possible) => Classification::Unknown,
            other => other,
        }
    }

    /// What it means here: itself, or the server that it is about.
    fn meaning(
        &self,
        conn: &Conn,
        generation: &Generation,
        confidence: Option<Confidence>,
        heard: &Heard<'_>,
    ) -> Classification {
        let (client, sure) = (conn.client.ip(), confidence.unwrap_or(Confidence::Possible));
        match heard.oauth {
            Some(found) => found.classification(&generation.scope, client, sure),
            None if heard.is_model_call => {
                let (host, server) = (conn.host(), line::server(conn));
                let (ip, port, resolved) = (server.ip(), conn.authority.port, line::is_proved(conn));
                let seen = Seen { host, ip, port, path: &self.path, resolved };
                let named = heard.provider.iter().map(String::as_str);
                classify_named(&generation.scope, client, &seen, named, (sure, true))
            }
            None => self.classification(confidence),
        }
    }

    /// What policies can know once all was heard.
    pub(super) fn whole<R>(
        &self,
        conn: &Conn,
        generation: &Generation,
        confidence: Option<Confidence>,
        heard: &Heard<'_>,
        then: impl FnOnce(Classification, &Subject<'_>) -> R,
    ) -> R {
        let classification = self.meaning(conn, generation, confidence, heard);
        let imitates = generation.imitation(classification, conn.host());
        let signals = imitates.map(|signal| [heard.signals, &[signal]].concat());
        let signals = signals.as_deref().unwrap_or(heard.signals);
        let subject = Subject {
            stage: detect::Stage::Whole,
            classes: classification.into(),
            confidence,
            severity: generation.severity(classification, confidence.unwrap_or(Confidence::Possible), signals),
            signals,
            mcp_client: heard.client,
            mcp_server: heard.server,
            revisions: heard.revisions,
            provider: heard.provider,
            oauth: heard.oauth,
            header_mismatch: heard.mismatch,
            ..self.subject(conn, heard.now)
        };
        then(classification, &subject)
    }
}

/// What was heard in an exchange, as policies ask for it.
pub(super) struct Heard<'a> {
    pub(super) now: Timestamp,
    pub(super) signals: &'a [Signal],
    pub(super) client: Option<&'a str>,
    pub(super) server: Option<&'a str>,
    pub(super) revisions: &'a [&'a str],
    pub(super) mismatch: bool,
    /// MCP servers that the provider of a model is told to use.
    pub(super) provider: &'a [String],
    pub(super) is_model_call: bool,
    /// The authorisation for an MCP server that it is a step of.
    pub(super) oauth: Option<&'a Authorization>,
}

/// What the head says of the message to come.
#[derive(Clone, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is one thing that the head says or does not say")]
pub(super) struct Asks {
    /// A JSON value may come in the body, and the head waits for it.
    pub(super) awaits: bool,
    /// The first GET of a client, for a stream or a WebSocket.
    pub(super) starts: bool,
    /// On a place that is known, the head alone is MCP: a stream is asked for, or the end of a session.
    pub(super) by_head: bool,
    /// The session that it names.
    pub(super) session: Option<HeaderValue>,
    /// It repeats what its message says.
    pub(super) repeats: bool,
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
            repeats: headers.keys().any(|name| super::rewrite::repeats(name).is_some()),
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
        let form = kind.windows(21).any(|word| word.eq_ignore_ascii_case(b"x-www-form-urlencoded"));
        (json || form) && !framed
    })
}

/// Who wants to talk to a host.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caller<'a> {
    /// Address of the client.
    pub(crate) client: IpAddr,
    /// Who authenticated.
    pub(crate) user: Option<&'a str>,
    /// Port of the server.
    pub(crate) port: u16,
}

impl<'a> Caller<'a> {
    fn of(conn: &'a Conn) -> Self {
        Self { client: conn.client.ip(), user: conn.user.as_deref(), port: conn.authority.port }
    }
}

/// Whether what is known of a host by its name alone is enough not to contact it.
pub(crate) fn refuses_host(settings: &Settings, caller: &Caller<'_>, host: &str) -> bool {
    let generation = &settings.generation;
    if !generation.can_act() {
        return false;
    }
    let denied = generation.scope.denies_host(host);
    let of_servers = [Classification::Shadow, Classification::Unknown, Classification::Sanctioned];
    let any =
        [Classification::Portal, Classification::SanctionedDirect, Classification::Published, Classification::Denied];
    let any = of_servers.into_iter().chain(any).fold(Classes::default(), Classes::with);
    let subject = Subject {
        at: clock::now(),
        stage: detect::Stage::Connect,
        classes: if denied { Classification::Denied.into() } else { any },
        confidence: None,
        severity: Severity::Info,
        host,
        port: caller.port,
        path: "",
        client: caller.client,
        user: caller.user,
        direction: detect::direction(&generation.scope, caller.client, IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
        signals: &[],
        mcp_client: None,
        mcp_server: None,
        revisions: &[],
        provider: &[],
        oauth: None,
        header_mismatch: false,
    };
    let outlook = generation.outlook(&subject);
    match outlook.settled {
        Some(settled) => settled.stops(),
        None => !outlook.lets_pass && generation.policy.stops_host(&generation.rules, &generation.scope, host),
    }
}
