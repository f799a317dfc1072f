//! Heads of requests and answers on their way through: what belongs to one connection goes, all else stays as it is.
//! Heads are edited in place.

use super::Protocol;
use crate::conn::Conn;
use crate::failure::Failure;
use crate::gate::Authority;
use http::header::{
    ACCEPT, ALT_SVC, AUTHORIZATION, CACHE_CONTROL, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE,
    CONTENT_TYPE, EXPECT, HOST, HeaderName, MAX_FORWARDS, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, SET_COOKIE, TE,
    TRAILER, TRANSFER_ENCODING, UPGRADE, VIA,
};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, Version, request, response};
use std::borrow::Cow;
use std::hash::{BuildHasher, RandomState};
use std::sync::OnceLock;

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const PROXY_AUTHENTICATION_INFO: HeaderName = HeaderName::from_static("proxy-authentication-info");
const HTTP2_SETTINGS: HeaderName = HeaderName::from_static("http2-settings");
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

/// What is to be done with a request that is in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Plan {
    /// It is sent on.
    Forward,
    /// It asks for a WebSocket.
    WebSocket,
    /// `Max-Forwards` says that it ends here (RFC 9110 section 7.6.2).
    EndsHere,
}

/// Which trailers of a body the other side gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trailers {
    /// Of HTTP/2: all.
    All,
    /// Of HTTP/1: these.
    Named(Vec<HeaderName>),
}

impl Trailers {
    /// For the body of a head. Over HTTP/1 the HTTP library writes only what `Trailer` names, if it may be one (RFC 9110
    /// section 6.6.2), and to clients that take them (section 10.1.4): `taken`.
    pub(super) fn of(headers: &HeaderMap, http2: bool, taken: bool) -> Self {
        if http2 {
            return Self::All;
        }
        let values = headers.get_all(TRAILER).iter().filter(|_| taken).filter_map(|value| value.to_str().ok());
        let names = values.flat_map(|value| value.split(',')).filter_map(|name| name.trim().parse().ok());
        Self::Named(names.filter(may_be_trailer).collect())
    }
}

/// Whether the HTTP library takes it for a trailer: not what frames, routes or guards a message (RFC 9110 section 6.5.1).
fn may_be_trailer(name: &HeaderName) -> bool {
    ![
        AUTHORIZATION,
        CACHE_CONTROL,
        CONTENT_ENCODING,
        CONTENT_LENGTH,
        CONTENT_RANGE,
        CONTENT_TYPE,
        HOST,
        MAX_FORWARDS,
        SET_COOKIE,
        TE,
        TRAILER,
        TRANSFER_ENCODING,
    ]
    .contains(name)
}

/// Names this process in `Via`, so that requests that come again are known (RFC 9110 section 7.6.3).
struct Pseudonym {
    name: String,
    /// Of requests of HTTP/1.0, 1.1 and 2.
    via: [HeaderValue; 3],
}

impl Pseudonym {
    fn get() -> &'static Self {
        static OURS: OnceLock<Pseudonym> = OnceLock::new();
        OURS.get_or_init(|| {
            let name = format!("mcp-sensor-{:016x}", RandomState::new().hash_one(0_u8));
            let via = ["1.0", "1.1", "2"].map(|version| {
                HeaderValue::try_from(format!("{version} {name}")).unwrap_or(HeaderValue::from_static("1.1 mcp-sensor"))
            });
            Self { name, via }
        })
    }
}

/// Whether a field lists `token`, in any case.
fn lists(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|t| t.trim().eq_ignore_ascii_case(token))
}

/// Removes the fields that `Connection` names, and itself (RFC 9110 section 7.6.1).
fn strip_named(headers: &mut HeaderMap) {
    if !headers.contains_key(CONNECTION) {
        return;
    }
    let mut named: Vec<HeaderName> = Vec::new();
    for value in headers.get_all(CONNECTION) {
        for token in value.as_bytes().split(|&b| b == b',').map(<[u8]>::trim_ascii) {
            let usual = [&b"close"[..], b"keep-alive", b"upgrade", b"te"];
            if usual.iter().any(|u| token.eq_ignore_ascii_case(u)) {
                continue;
            }
            // What frames and routes a message is never taken off it by a peer.
            if let Ok(name) = HeaderName::from_bytes(token)
                && name != HOST
                && name != CONTENT_LENGTH
                && name != TRANSFER_ENCODING
            {
                named.push(name);
            }
        }
    }
    for name in named {
        headers.remove(name);
    }
    headers.remove(CONNECTION);
}

/// Whether the framing can be read in one way only: no transfer coding, or `chunked` alone.
fn framing_is_plain(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => true,
        (Some(coding), None) => coding.as_bytes().eq_ignore_ascii_case(b"chunked"),
        _ => false,
    }
}

/// Makes the head of a request what the origin gets.
///
/// # Errors
///
/// [`Failure::Invalid`], [`Failure::Loop`], [`Failure::Misdirected`].
pub(super) fn request(parts: &mut request::Parts, conn: &Conn) -> Result<Plan, Failure> {
    let http2 = parts.version == Version::HTTP_2;
    if parts.method == Method::CONNECT {
        return Err(Failure::Invalid("CONNECT inside of a connection to an origin"));
    }
    if !http2 && !framing_is_plain(&parts.headers) {
        return Err(Failure::Invalid("a transfer coding other than chunked"));
    }
    target(parts, conn, http2)?;
    let via = Pseudonym::get();
    if parts.headers.get_all(VIA).iter().any(|v| contains(v.as_bytes(), via.name.as_bytes())) {
        return Err(Failure::Loop);
    }
    let mut plan = Plan::Forward;
    let headers = &mut parts.headers;
    if headers.contains_key(MAX_FORWARDS) && (parts.method == Method::TRACE || parts.method == Method::OPTIONS) {
        let left = headers.get(MAX_FORWARDS).and_then(|v| v.to_str().ok()).and_then(|v| v.trim().parse::<u32>().ok());
        match left {
            Some(0) => plan = Plan::EndsHere,
            Some(left) => _ = headers.insert(MAX_FORWARDS, HeaderValue::from(left - 1)),
            None => {}
        }
    }
    let trailers = headers.contains_key(TE) && lists(headers, &TE, "trailers");
    headers.remove(TE);
    if http2 {
        // The rest of these make a request of HTTP/2 malformed, and it does not get here.
        headers.remove(PROXY_AUTHORIZATION);
    } else {
        let upgrade = headers.remove(UPGRADE).filter(|to| {
            to.as_bytes().eq_ignore_ascii_case(b"websocket")
                && parts.version == Version::HTTP_11
                && parts.method == Method::GET
                && lists(headers, &CONNECTION, "upgrade")
        });
        strip_named(headers);
        for name in [KEEP_ALIVE, PROXY_CONNECTION, PROXY_AUTHORIZATION, HTTP2_SETTINGS] {
            headers.remove(name);
        }
        if let Some(to) = upgrade {
            plan = Plan::WebSocket;
            headers.insert(UPGRADE, to);
            headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        } else if trailers {
            headers.insert(CONNECTION, HeaderValue::from_static("TE"));
        }
    }
    if trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
    // We answer it ourselves: the HTTP library does, once the body is asked for.
    if headers.get(EXPECT).is_some_and(|e| e.as_bytes().eq_ignore_ascii_case(b"100-continue")) {
        headers.remove(EXPECT);
    }
    let [of_10, of_11, of_2] = &via.via;
    let value = match parts.version {
        Version::HTTP_2 => of_2,
        Version::HTTP_10 => of_10,
        _ => of_11,
    };
    headers.append(VIA, value.clone());
    if !http2 {
        parts.version = Version::HTTP_11;
    }
    Ok(plan)
}

/// Checks that a request is for the origin of the connection; an absolute target becomes one in origin form
/// (RFC 9112 section 3.2).
fn target(parts: &mut request::Parts, conn: &Conn, http2: bool) -> Result<(), Failure> {
    let mut hosts = parts.headers.get_all(HOST).iter();
    let host = hosts.next();
    if hosts.next().is_some() {
        return Err(Failure::Invalid("several Host fields"));
    }
    let named = parts.uri.authority().map(http::uri::Authority::as_str);
    if !http2 && named.is_some() && parts.uri.scheme().is_none() {
        return Err(Failure::Invalid("a target without a path"));
    }
    let host = match host.map(HeaderValue::to_str) {
        None => None,
        Some(Ok(text)) => Some(text),
        Some(Err(_)) => return Err(Failure::Invalid("a Host field that names no host")),
    };
    if http2 || named.is_none() {
        for asked in [named, host].into_iter().flatten() {
            check(asked, conn)?;
        }
        if named.is_none() && host.is_none() {
            if parts.version != Version::HTTP_10 {
                return Err(Failure::Invalid("no Host field"));
            }
            let value = HeaderValue::try_from(conn.authority.to_string());
            parts.headers.insert(HOST, value.map_err(|_| Failure::Invalid("no Host field"))?);
        }
        return Ok(());
    }
    // The Host field beside an absolute target is ignored and replaced.
    let named = named.unwrap_or_default();
    check(named, conn)?;
    if host != Some(named) {
        let value = HeaderValue::from_str(named).map_err(|_| Failure::Invalid("a target that names no host"))?;
        parts.headers.insert(HOST, value);
    }
    let path = parts.uri.path_and_query().cloned();
    parts.uri = Uri::from(path.unwrap_or(PathAndQuery::from_static("/")));
    Ok(())
}

/// Whether what a request names is what its connection is for: the name of CONNECT (the name of the handshake, where
/// CONNECT has but an address) and, where there is one, the name of the handshake.
fn check(asked: &str, conn: &Conn) -> Result<(), Failure> {
    let sni = conn.tls.as_ref().map_or("", |tls| tls.sni.as_str());
    let for_sni = sni.is_empty() || host_of(asked).eq_ignore_ascii_case(sni);
    let for_host = is_for(asked, &conn.authority) || (!sni.is_empty() && conn.authority.ip().is_some());
    if for_sni && for_host {
        return Ok(());
    }
    Err(Failure::Misdirected { asked: crate::gate::shown(asked), connected: conn.authority.to_string() })
}

/// The host of `host[:port]`, without brackets and final dot.
fn host_of(authority: &str) -> &str {
    let host = match authority.strip_prefix('[') {
        Some(inner) => inner.split(']').next().unwrap_or(inner),
        None => authority.split(':').next().unwrap_or(authority),
    };
    host.strip_suffix('.').unwrap_or(host)
}

/// Whether `asked` names `authority`. Where it names no port, any will do: clients leave it out.
fn is_for(asked: &str, authority: &Authority) -> bool {
    let port = || asked.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
    asked.eq_ignore_ascii_case(&authority.host)
        || (host_of(asked).eq_ignore_ascii_case(&authority.host) && port() == Some(authority.port))
        || Authority::parse(asked, Some(authority.port)).is_some_and(|parsed| parsed == *authority)
}

fn contains(text: &[u8], what: &[u8]) -> bool {
    text.windows(what.len()).any(|window| window == what)
}

/// Makes the head of an answer what the client gets.
///
/// # Errors
///
/// [`Failure::Broken`] for what cannot be read in one way only.
pub(super) fn response(parts: &mut response::Parts, protocol: Protocol) -> Result<(), Failure> {
    let headers = &mut parts.headers;
    if protocol == Protocol::Http1 {
        if !framing_is_plain(headers) {
            return Err(Failure::Broken("it used a transfer coding that was not asked for".to_owned()));
        }
        if headers.remove(TRANSFER_ENCODING).is_some() {
            headers.remove(CONTENT_LENGTH);
        }
        // All say the same, or the HTTP library would not have taken it.
        if headers.get_all(CONTENT_LENGTH).iter().nth(1).is_some()
            && let Some(length) = headers.get(CONTENT_LENGTH).cloned()
        {
            headers.insert(CONTENT_LENGTH, length);
        }
        let upgrade = headers.remove(UPGRADE);
        strip_named(headers);
        headers.remove(KEEP_ALIVE);
        headers.remove(PROXY_CONNECTION);
        if parts.status == StatusCode::SWITCHING_PROTOCOLS {
            headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
            upgrade.map(|to| headers.insert(UPGRADE, to));
        }
        parts.version = Version::HTTP_11;
    }
    headers.remove(PROXY_AUTHENTICATE);
    headers.remove(PROXY_AUTHENTICATION_INFO);
    if headers.contains_key(ALT_SVC) {
        without_http3(headers);
    }
    Ok(())
}

/// Takes HTTP/3 off the offers of an origin (RFC 7838 section 3): a client that followed would leave the proxy.
fn without_http3(headers: &mut HeaderMap) {
    let mut kept: Vec<HeaderValue> = Vec::new();
    for value in headers.get_all(ALT_SVC) {
        let Ok(text) = value.to_str() else { continue };
        let mut offers = Cow::Borrowed(text);
        if offers_of(text).any(is_http3) {
            offers = offers_of(text).filter(|offer| !is_http3(offer)).collect::<Vec<_>>().join(",").into();
        }
        if !offers.trim().is_empty()
            && let Ok(value) = HeaderValue::from_str(&offers)
        {
            kept.push(value);
        }
    }
    headers.remove(ALT_SVC);
    for value in kept {
        headers.append(ALT_SVC, value);
    }
}

/// Members of a list, cut at commas outside of quotes.
fn offers_of(list: &str) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    let mut escaped = false;
    list.split(move |c| {
        let cut = c == ',' && !quoted;
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ => {}
        }
        cut
    })
}

fn is_http3(offer: &str) -> bool {
    let protocol = offer.trim_start().split('=').next().unwrap_or_default().to_ascii_lowercase();
    protocol.starts_with("h3") || protocol.starts_with("quic") || protocol.starts_with("hq")
}

/// What of a request is needed for an answer of our own, once its head is gone.
#[derive(Clone, Debug, Default)]
pub(super) struct Wanted {
    accept: Option<HeaderValue>,
    mode: Option<HeaderValue>,
    upgrade: bool,
}

impl Wanted {
    pub(super) fn of(parts: &request::Parts) -> Self {
        let get = |name| parts.headers.get(name).cloned();
        Self { accept: get(ACCEPT), mode: get(SEC_FETCH_MODE), upgrade: parts.headers.contains_key(UPGRADE) }
    }

    /// A head with just that.
    pub(super) fn head(self) -> request::Parts {
        let (mut parts, ()) = http::Request::new(()).into_parts();
        let upgrade = self.upgrade.then(|| HeaderValue::from_static("websocket"));
        for (name, value) in [(ACCEPT, self.accept), (SEC_FETCH_MODE, self.mode), (UPGRADE, upgrade)] {
            value.map(|value| parts.headers.insert(name, value));
        }
        parts
    }
}
