//! What happens on a connection once CONNECT was answered: the first bytes decide whether it is intercepted, served in
//! the clear, or passed through.

use super::first::{self, Broke, First, first, more};
use super::hello::{Front, Hello, Onlooker};
use super::io::{DownIo, Rewind, UpIo};
use super::route::{self, Route};
use super::timing::Timing;
use super::tunnel::tunnel;
use super::upstream::{self, Offer};
use crate::clock;
use crate::conn::Conn;
use crate::failure::Failure;
use crate::gate::{Authority, Names, shown};
use crate::inspect::{Caller, Line, refuses_host, tell};
use crate::options::Settings;
use crate::relay::{self, Connected, Protocol, Up};
use crate::thread::Thread;
use bytes::{Bytes, BytesMut};
use detect::{ProxyNews, TlsSeen};
use proto::tls::{ClientHello, Sni, Version};
use rustls::AlertDescription;
use rustls::pki_types::ServerName;
use rustls::server::{Accepted, Acceptor};
use std::cell::Cell;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_rustls::StartHandshake;

/// Who is at both ends of a connection, and for what.
pub(crate) struct Ends {
    pub(crate) thread: Rc<Thread>,
    pub(crate) listener: u16,
    pub(crate) client: SocketAddr,
    pub(crate) user: Option<Arc<str>>,
    /// What CONNECT named.
    pub(crate) authority: Authority,
    /// The origin, connected to; `None` where its name alone is enough not to contact it.
    pub(crate) dialed: Option<TcpStream>,
    /// Its address.
    pub(crate) server: Option<SocketAddr>,
    pub(crate) timing: Arc<Timing>,
    /// To be told once it is known what the connection is.
    pub(crate) news: Vec<ProxyNews>,
}

impl Ends {
    /// The connection, as inspection and records have it. To be made once, when all is known: what was to be told of it
    /// until then is told.
    fn conn(&mut self, tls: Option<TlsSeen>, verified: bool) -> Rc<Conn> {
        let nobody = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);
        let conn = Rc::new(Conn {
            thread: Rc::clone(&self.thread),
            number: self.thread.shared.number(),
            listener: self.listener,
            client: self.client,
            user: self.user.clone(),
            authority: self.authority.clone(),
            server: Cell::new(self.server.unwrap_or(nobody)),
            tls,
            verified,
            connect: true,
            line: Line::default(),
        });
        self.news.drain(..).for_each(|news| tell(&conn, news));
        conn
    }

    /// Who asks.
    fn caller(&self) -> Caller<'_> {
        Caller { client: self.client.ip(), user: self.user.as_deref(), port: self.authority.port }
    }

    fn count(&self, family: &'static str, word: &'static str) {
        self.thread.shared.counters.count(family, word);
    }

    /// Ends a connection to a server that is refused, where it cannot be said inside of it.
    fn refuse_unread(&mut self, why: &'static str) {
        self.count("refused", "unread");
        self.news.push(ProxyNews::RefusedUnread { host: self.authority.host.clone(), why });
    }

    /// Passes through what is no HTTP, or must not be read. Where nobody was dialed, since the server is refused, it ends
    /// here.
    async fn pass(
        mut self,
        why: &'static str,
        client: (TcpStream, Bytes),
        answered: Bytes,
        onlooker: Option<Box<Onlooker>>,
    ) {
        let Some(up) = self.dialed else {
            self.refuse_unread(why);
            self.conn(None, false);
            return;
        };
        self.thread.shared.counters.count("tunnelled", why);
        let down = DownIo::tcp(client.0, self.timing).with_early(client.1);
        let up = UpIo::tcp(up).with_early(answered);
        tunnel(&self.thread, down, up, onlooker).await;
    }

    /// Whom it is for, by CONNECT and by the hello.
    fn names<'a>(&'a self, sni: Option<&'a str>) -> Names<'a> {
        Names { asked: &self.authority.host, sni }
    }

    /// Why it is passed through unread.
    fn bypass(&self, settings: &Settings, sni: Option<&str>) -> Option<&'static str> {
        self.thread.shared.gate.bypass(settings, self.names(sni), self.client.ip())
    }
}

/// What a connection does in the end. It may last, so it is run once the stages before it, and what they kept, are gone.
pub(crate) type Last = Option<Pin<Box<dyn Future<Output = ()>>>>;

/// Finds out what a connection is, from the answer to CONNECT on.
pub(crate) async fn opened(mut ends: Ends, mut client: TcpStream, early: Bytes) -> Last {
    let (mut seen, mut answered) = (BytesMut::from(early), BytesMut::new());
    let time = ends.thread.shared.options.limits.head_time;
    let limits = first::Limits { silent: time, begun: time };
    let decided = first(&mut client, &mut seen, ends.dialed.as_mut(), &mut answered, limits).await;
    let settings = ends.thread.shared.settings.load_full();
    match decided {
        Err(Broke::Slow) => {
            ends.count("limit", "head_time");
            None
        }
        Err(_) | Ok(First::Closed) => None,
        Ok(First::Tls) => Box::pin(tls(ends, settings, client, seen)).await,
        Ok(kind @ (First::Http1 | First::Http2)) => {
            // Where nobody was dialed there is an answer of our own.
            if let Some(why) = ends.bypass(&settings, None).filter(|_| ends.dialed.is_some()) {
                return Some(Box::pin(ends.pass(why, (client, seen.freeze()), Bytes::new(), None)));
            }
            let protocol = if kind == First::Http2 { Protocol::Http2 } else { Protocol::Http1 };
            let down = DownIo::tcp(client, Arc::clone(&ends.timing)).with_early(seen.freeze());
            let conn = ends.conn(None, false);
            let route = Route::plain(Rc::clone(&ends.thread), ends.authority, true, protocol);
            let up = match ends.dialed.zip(ends.server) {
                Some((tcp, address)) => Up::Ready(Connected { io: UpIo::tcp(tcp), address, protocol }, route),
                None => Up::Later(route),
            };
            ends.timing.restart(protocol == Protocol::Http2);
            Some(Box::pin(relay::serve(conn, down, protocol, up)))
        }
        Ok(kind @ (First::Other | First::Server)) => {
            let why = if kind == First::Other { "unknown" } else { "server_first" };
            Some(Box::pin(ends.pass(why, (client, seen.freeze()), answered.freeze(), None)))
        }
    }
}

/// The hello of a client, and what the TLS library makes of it.
enum Greeting {
    /// It can be answered. The bytes behind it come with it.
    Whole(Box<ClientHello>),
    /// It is no hello: something else that begins alike.
    None,
    /// The client has gone, or took too long.
    Gone(&'static str),
}

/// Reads until the hello is whole.
async fn greeting(ends: &Ends, client: &mut TcpStream, seen: &mut BytesMut) -> Greeting {
    let mut front = Front::default();
    let reading = async {
        loop {
            match front.read(seen) {
                Hello::Whole(hello) => return Greeting::Whole(hello),
                Hello::None => return Greeting::None,
                Hello::More => {}
            }
            if !matches!(more(client, seen).await, Ok(1..)) {
                return Greeting::Gone("closed");
            }
        }
    };
    timeout(ends.thread.shared.options.limits.handshake_time, reading).await.unwrap_or(Greeting::Gone("timeout"))
}

/// A connection that begins with TLS.
async fn tls(mut ends: Ends, settings: Arc<Settings>, mut client: TcpStream, mut seen: BytesMut) -> Last {
    let hello = match Box::pin(greeting(&ends, &mut client, &mut seen)).await {
        Greeting::Whole(hello) => hello,
        Greeting::None => {
            return Some(Box::pin(ends.pass("unknown", (client, seen.freeze()), Bytes::new(), None)));
        }
        Greeting::Gone(why) => {
            ends.count("tls_client", why);
            return None;
        }
    };
    // One that cannot be a name agrees with none.
    let sni = hello.sni.as_ref().map(Sni::text);
    let bypassed = ends.bypass(&settings, sni);
    let asked = sni.filter(|asked| *asked != ends.authority.host);
    if let Some(asked) = asked.filter(|_| ends.authority.host.parse::<IpAddr>().is_err()) {
        ends.news.push(ProxyNews::Misdirected { connected: ends.authority.host.clone(), asked: shown(asked) });
        ends.count("tls_client", "misdirected");
    }
    let no_ca = ends.thread.shared.ca.is_none().then_some("no_ca");
    if let Some(why) = bypassed.or(no_ca) {
        let named = || ends.dialed.is_none() || sni.is_some_and(|name| refuses_host(&settings, &ends.caller(), name));
        let refused = no_ca.is_none() && named();
        if refused {
            ends.refuse_unread(why);
        }
        let onlooker = Onlooker::new(ends.conn(None, false), &hello);
        if refused {
            onlooker.into_iter().for_each(Onlooker::over);
            let _ = client.try_write(&alert(AlertDescription::AccessDenied));
            return None;
        }
        return Some(Box::pin(ends.pass(why, (client, seen.freeze()), Bytes::new(), onlooker)));
    }
    match accepted(&mut seen) {
        Ok(accepted) => {
            if !may_have_leaf(&mut ends, &accepted).await {
                ends.conn(None, false);
                let _ = client.try_write(&alert(AlertDescription::InternalError));
                return None;
            }
            // What stands behind the hello is read again by the TLS library.
            let down = Rewind::new(seen.freeze(), client, Arc::clone(&ends.timing));
            let tls = TlsSeen {
                sni: hello.sni.as_ref().map(|sni| sni.text().to_owned()).unwrap_or_default(),
                alpn: Vec::new(),
                version: hello.version.name(),
                ja4: hello.ja4.as_str().to_owned(),
                ech: hello.ech.is_some() || hello.encrypted_sni,
            };
            Box::pin(intercept(ends, settings, accepted, down, tls)).await
        }
        Err(alert) => {
            ends.count("tls_client", "bad_hello");
            let _ = client.try_write(&alert);
            None
        }
    }
}

/// A fatal alert before there are keys (RFC 8446 section 6).
fn alert(what: AlertDescription) -> [u8; 7] {
    [0x15, 3, 3, 0, 2, 2, u8::from(what)]
}

/// For whom the client takes the server: the name of its hello, else that of CONNECT.
fn name(ends: &Ends, accepted: &Accepted) -> String {
    accepted.client_hello().server_name().map_or_else(|| ends.authority.host.clone(), str::to_ascii_lowercase)
}

/// Whether there is a certificate for what a client asks for, or may be one, after a wait if need be: else a client could
/// keep us busy with names that nobody has.
async fn may_have_leaf(ends: &mut Ends, accepted: &Accepted) -> bool {
    let name = name(ends, accepted);
    let shared = Arc::clone(&ends.thread.shared);
    if shared.ca.as_ref().is_none_or(|ca| ca.is_ready(&name)) {
        return true;
    }
    match shared.gate.new_leaf(ends.client.ip()) {
        Some(Duration::ZERO) => true,
        Some(wait) => {
            ends.count("limit", "leaf_wait");
            sleep(wait).await;
            true
        }
        None => {
            ends.count("limit", "leaf_rate");
            ends.news.push(ProxyNews::LeafRate { host: shown(&name) });
            false
        }
    }
}

/// Gives a whole hello to the TLS library, and takes it off the front of `seen`.
///
/// # Errors
///
/// The alert to send.
fn accepted(seen: &mut BytesMut) -> Result<Accepted, Vec<u8>> {
    let mut acceptor = Acceptor::default();
    loop {
        let mut rest: &[u8] = seen;
        let took = acceptor.read_tls(&mut rest).map_err(|_| Vec::new())?;
        let _ = seen.split_to(took);
        match acceptor.accept() {
            Ok(Some(accepted)) => return Ok(accepted),
            Ok(None) if took == 0 => return Err(Vec::new()),
            Ok(None) => {}
            Err((_, mut alert)) => {
                let mut bytes = Vec::new();
                let _ = alert.write_all(&mut bytes);
                return Err(bytes);
            }
        }
    }
}

/// Handshakes with the origin, then with the client.
async fn intercept(
    mut ends: Ends,
    settings: Arc<Settings>,
    accepted: Accepted,
    down: Rewind,
    mut seen: TlsSeen,
) -> Last {
    let name = name(&ends, &accepted);
    let offer = Offer::of(accepted.client_hello().alpn().into_iter().flatten());
    let (up, alpn) = Box::pin(origin(&mut ends, &settings, &name, offer)).await;
    let tls = Box::pin(leaf(&mut ends, &settings, &name, alpn, accepted, down)).await?;
    let protocol = route::protocol(alpn);
    seen.alpn = alpn.map(|name| String::from_utf8_lossy(name).into_owned()).into_iter().collect();
    if let Some(version) = tls.get_ref().1.protocol_version() {
        seen.version = Version(u16::from(version)).name();
    }
    let conn = ends.conn(Some(seen), matches!(up, Up::Ready(..)));
    let down = DownIo::tls(tls, Arc::clone(&ends.timing));
    let thread = Rc::clone(&ends.thread);
    drop(ends);
    drop(settings);
    match up {
        // Nobody said what would be spoken.
        Up::Ready(connected, route) if alpn.is_none() => Box::pin(inside(thread, conn, down, connected, route)).await,
        up => {
            down.timing().restart(protocol == Protocol::Http2);
            Some(Box::pin(relay::serve(conn, down, protocol, up)))
        }
    }
}

/// TLS with the origin, where it may be contacted; and the protocol that the client is to be told.
async fn origin(ends: &mut Ends, settings: &Settings, name: &str, offer: Offer) -> (Up, Option<&'static [u8]>) {
    let thread = Rc::clone(&ends.thread);
    let Ok(server) = ServerName::try_from(name.to_owned()) else {
        return (Up::Never(Failure::Invalid("no name of a server")), offer.best());
    };
    let route = |alpn| Route::tls(Rc::clone(&thread), ends.authority.clone(), server.clone(), alpn);
    let unwanted = refuses_host(settings, &ends.caller(), name);
    let dialed = ends.dialed.take().zip(ends.server).filter(|_| !unwanted);
    let Some((tcp, address)) = dialed else {
        ends.server = None;
        return (Up::Later(route(offer.best())), offer.best());
    };
    match route::handshake(&thread, &server, ends.authority.port, (tcp, address), offer).await {
        Ok(tls) => {
            let chosen = Offer::only(tls.get_ref().1.alpn_protocol()).best();
            let connected = Connected { io: UpIo::tls(tls), address, protocol: route::protocol(chosen) };
            (Up::Ready(connected, route(chosen)), chosen)
        }
        Err(failure) => {
            if let Failure::UpstreamTls { reason, .. } = &failure {
                ends.news.push(ProxyNews::Untrusted { host: name.to_owned(), reason });
            }
            (Up::Never(failure), offer.best())
        }
    }
}

/// TLS with the client, as `name`.
async fn leaf(
    ends: &mut Ends,
    settings: &Settings,
    name: &str,
    alpn: Option<&'static [u8]>,
    accepted: Accepted,
    down: Rewind,
) -> Option<Box<tokio_rustls::server::TlsStream<Rewind>>> {
    let shared = Arc::clone(&ends.thread.shared);
    let Ok(config) = shared.ca.as_ref()?.server_config(name, alpn) else {
        ends.count("tls_client", "no_leaf");
        return None;
    };
    let named = accepted.client_hello().server_name().is_some();
    let accepting = StartHandshake::from_parts(accepted, down).into_stream(config);
    let error = match timeout(shared.options.limits.handshake_time, Box::pin(accepting)).await {
        Ok(Ok(tls)) => {
            ends.count("tls_client", "ok");
            return Some(Box::new(tls));
        }
        Ok(Err(error)) => error,
        Err(_) => {
            ends.count("tls_client", "timeout");
            return None;
        }
    };
    let (word, refused) = refusal(&error);
    ends.count("tls_client", word);
    let mut learned = false;
    if refused {
        ends.news.push(ProxyNews::CaRefused { host: name.to_owned() });
        let names = ends.names(named.then_some(name));
        let mcp_seen = shared.conversations.is_spoken_with(names.asked, clock::now());
        learned = shared.gate.refused(settings, names, ends.client.ip(), mcp_seen);
    }
    if learned {
        ends.news.push(ProxyNews::BypassBegan { host: name.to_owned() });
    }
    // There is nothing more to know.
    let conn = ends.conn(None, false);
    if learned {
        conn.thread.learned.began(&conn, conn.authority.host.clone());
    }
    None
}

/// What is counted where a client broke off, and whether it does not trust our certificate: it says so (RFC 8446 section
/// 6.2), or goes without a word once it has seen it.
fn refusal(error: &io::Error) -> (&'static str, bool) {
    use AlertDescription as Alert;
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        Some(rustls::Error::AlertReceived(
            Alert::UnknownCA
            | Alert::BadCertificate
            | Alert::CertificateUnknown
            | Alert::UnsupportedCertificate
            | Alert::CertificateRevoked
            | Alert::CertificateExpired
            | Alert::AccessDenied,
        )) => ("ca_refused", true),
        Some(rustls::Error::AlertReceived(_)) => ("alert", false),
        Some(_) => ("protocol", false),
        None => ("ca_refused_silently", true),
    }
}

/// Inside of TLS without ALPN anything may be spoken: the first bytes decide, as they do outside.
async fn inside(thread: Rc<Thread>, conn: Rc<Conn>, mut down: DownIo, mut connected: Connected, route: Route) -> Last {
    let (mut seen, mut answered) = (BytesMut::new(), BytesMut::new());
    let times = &thread.shared.options.limits;
    // The handshake was not for nothing: as between two requests.
    let limits = first::Limits { silent: times.idle_time, begun: times.head_time };
    let decided = Box::pin(first(&mut down, &mut seen, Some(&mut connected.io), &mut answered, limits)).await;
    let down = down.with_early(seen.freeze());
    match decided {
        Err(Broke::Slow) => {
            thread.shared.counters.count("limit", "head_time");
            None
        }
        Err(Broke::Client) | Ok(First::Closed) => None,
        Err(Broke::Server(error)) => {
            // In TLS 1.3 it is only now that an origin says that it wants a certificate of the client.
            let failure = upstream::failed(&conn.authority.host, &error, true);
            thread.shared.counters.count("tls_origin", upstream::word(&failure));
            down.timing().restart(false);
            Some(Box::pin(relay::serve(conn, down, Protocol::Http1, Up::Never(failure))))
        }
        Ok(First::Http1) => {
            down.timing().restart(false);
            Some(Box::pin(relay::serve(conn, down, Protocol::Http1, Up::Ready(connected, route))))
        }
        Ok(kind) => {
            let why = if kind == First::Server { "server_first" } else { "unknown" };
            thread.shared.counters.count("tunnelled", why);
            let up = connected.io.with_early(answered.freeze());
            Some(Box::pin(async move { tunnel(&thread, down, up, None).await }))
        }
    }
}
