//! The way to an access token: what a request asks for, and for which MCP server, so that it can be stopped before anything
//! is handed out.

use crate::clock;
use crate::conn::Conn;
use detect::{Asker, Authorization, AuthorizationMap, Generation, OAuthSeen, Update};
use http::header::{ACCEPT, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderValue, Method};
use std::sync::{Mutex, PoisonError};

/// The authorisation map of all connections.
pub(super) type Map = Mutex<AuthorizationMap>;

/// What one exchange shows of it, so far.
#[derive(Debug, Default)]
pub(super) struct Trail {
    /// Authority and path of the request, as they may be told.
    asked: Option<(Box<str>, Box<str>)>,
    seen: OAuthSeen,
    found: Option<Authorization>,
}

impl Trail {
    /// Takes in news. Gives the authorisation that the exchange is a step of, where that is for a server of MCP.
    pub(super) fn learn(&mut self, conn: &Conn, generation: &Generation, update: &Update) -> Option<&Authorization> {
        if let Some(request) = &update.request {
            self.asked = Some((request.authority.as_str().into(), request.path().clean.as_str().into()));
        }
        let news = update.oauth.as_deref()?;
        self.seen.join(news.clone());
        let (authority, path) = self.asked.as_ref().filter(|(authority, _)| !authority.is_empty())?;
        let asker = Asker { client: conn.client.ip(), authority, path, clear: conn.tls.is_none(), now: clock::now() };
        let shared = &conn.thread.shared;
        let mut map = shared.conversations.authorizations.lock().unwrap_or_else(PoisonError::into_inner);
        if self.found.is_none() {
            self.found = map.find(&generation.scope, &asker, &self.seen);
        }
        let forgotten = map.learn(&generation.scope, &asker, &self.seen, self.found.as_ref());
        drop(map);
        if forgotten > 0 {
            shared.counters.count("limit", "authorizations");
        }
        self.found.as_ref()
    }
}

/// Whether what a request means may be what another server means that it names: a step of OAuth, or a model call.
pub(super) fn may_speak_of_another(generation: &Generation, parts: &Parts, path: &str) -> bool {
    let holds = |name, word: &str| {
        let text = parts.headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok()).unwrap_or_default();
        text.as_bytes().windows(word.len()).any(|w| w.eq_ignore_ascii_case(word.as_bytes()))
    };
    if parts.method == Method::GET {
        let query = parts.uri.query().unwrap_or_default();
        return query.contains("client_id") || path.contains("/.well-known/o");
    }
    if parts.method != Method::POST {
        return false;
    }
    if holds(CONTENT_TYPE, "x-www-form-urlencoded") {
        return true;
    }
    // What is said to a server of MCP itself takes event streams, too.
    let document = holds(CONTENT_TYPE, "json") && !holds(ACCEPT, "text/event-stream");
    let needs = generation.rules.policies().needs();
    let asked = needs.oauth || needs.provider || generation.scope.llm_gateway.is_configured();
    let registers = || path.rsplit('/').next().is_some_and(|last| last.contains("regist"));
    document && (asked || registers())
}
