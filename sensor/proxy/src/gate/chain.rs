//! The next proxy on the way, and what is reached without it.

use super::authority::Authority;
use crate::failure::Failure;
use crate::options::UpstreamProxy;
use detect::{Cidr, HostPattern};
use http::HeaderValue;
use std::net::IpAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The proxy to go through.
pub(super) struct Chain {
    /// Where it is.
    pub(super) proxy: Authority,
    authorization: Option<HeaderValue>,
    without: Vec<Without>,
}

/// What is reached without the proxy.
struct Without {
    who: Who,
    port: Option<u16>,
}

enum Who {
    All,
    Host(String),
    /// A domain with all below it.
    Domain(String),
    Pattern(HostPattern),
    /// Holds for addresses only: a name is looked up by the proxy, not here.
    Network(Cidr),
}

impl Chain {
    /// Longest answer of the proxy to CONNECT, heads before the last one included, in bytes.
    const MAX_HEAD: usize = 16 << 10;

    /// Reads what the configuration says.
    ///
    /// # Errors
    ///
    /// What is wrong, and what would do; nothing of a password.
    pub(super) fn new(proxy: &UpstreamProxy, no_proxy: &[String]) -> Result<Self, String> {
        let host = &proxy.host;
        let bracketed = if host.contains(':') && !host.starts_with('[') { format!("[{host}]") } else { host.clone() };
        let at = Authority::parse(&bracketed, Some(proxy.port))
            .ok_or_else(|| format!("upstream proxy: `{host}` is no host; write one like `proxy.example.com`"))?;
        let authorization = proxy.authorization.as_deref().map(|text| {
            let mut value =
                HeaderValue::from_str(text).map_err(|_| "upstream proxy: the credentials cannot be sent".to_owned())?;
            value.set_sensitive(true);
            Ok::<_, String>(value)
        });
        let without = no_proxy.iter().map(|text| Without::parse(text)).collect::<Result<_, _>>()?;
        Ok(Self { proxy: at, authorization: authorization.transpose()?, without })
    }

    /// Whether `to` is reached through the proxy. This machine never is: it would be the proxy's.
    pub(super) fn is_for(&self, to: &Authority) -> bool {
        let ip = to.ip();
        let here = ip.map_or_else(|| is_this_machine(&to.host), |ip| ip.to_canonical().is_loopback());
        !here && !self.without.iter().any(|rule| rule.fits(to, ip))
    }

    /// Asks the proxy for a tunnel. Not a byte behind its answer is taken.
    ///
    /// # Errors
    ///
    /// [`Failure::UpstreamProxy`].
    pub(super) async fn tunnel(&self, stream: &mut TcpStream, to: &Authority) -> Result<(), Failure> {
        let broken = |e: std::io::Error| Failure::UpstreamProxy(format!("it broke off: {e}"));
        let mut request = format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n").into_bytes();
        if let Some(value) = &self.authorization {
            request.extend_from_slice(b"Proxy-Authorization: ");
            request.extend_from_slice(value.as_bytes());
            request.extend_from_slice(b"\r\n");
        }
        request.extend_from_slice(b"\r\n");
        stream.write_all(&request).await.map_err(broken)?;
        let mut left = Self::MAX_HEAD;
        loop {
            let status = read_head(stream, &mut left).await?;
            match status {
                // Comes before the answer (RFC 9110 section 15.2).
                100 | 102..=199 => {}
                200..=299 => return Ok(()),
                407 => return Err(Failure::UpstreamProxy("it asks for other credentials (status 407)".to_owned())),
                _ => return Err(Failure::UpstreamProxy(format!("status {status} for {to}"))),
            }
        }
    }
}

/// Reads one head of an answer and nothing behind it; gives its status.
async fn read_head(stream: &mut TcpStream, left: &mut usize) -> Result<u16, Failure> {
    let fault = |text: &str| Failure::UpstreamProxy(text.to_owned());
    let broken = |e: std::io::Error| Failure::UpstreamProxy(format!("it broke off: {e}"));
    let mut head: Vec<u8> = Vec::with_capacity(256);
    let mut buffer = [0; 2048];
    loop {
        let seen = stream.peek(&mut buffer).await.map_err(broken)?;
        if seen == 0 {
            return Err(fault("it broke off"));
        }
        let before = head.len();
        head.extend_from_slice(buffer.get(..seen).unwrap_or_default());
        let end = end_of_head(&head, before);
        // Up to there it is the head's: it is taken off the connection, and what is behind stays.
        let ours = end.unwrap_or(head.len()) - before;
        stream.read_exact(buffer.get_mut(..ours).unwrap_or_default()).await.map_err(broken)?;
        *left = left.checked_sub(ours).ok_or_else(|| fault("its answer is too long"))?;
        if let Some(end) = end {
            return status(head.get(..end).unwrap_or_default()).ok_or_else(|| fault("its answer is not HTTP/1"));
        }
        // Who speaks something else may never end a head.
        if !head.starts_with(b"HTTP/1.".get(..head.len().min(7)).unwrap_or_default()) {
            return Err(fault("its answer is not HTTP/1"));
        }
    }
}

/// Where a head ends of which the first `before` bytes were looked at already.
fn end_of_head(head: &[u8], before: usize) -> Option<usize> {
    let from = before.saturating_sub(3);
    let at = head.get(from..)?.windows(4).position(|four| four == b"\r\n\r\n")?;
    Some(from + at + 4)
}

/// The status of `HTTP/1.x 200 ...`.
fn status(head: &[u8]) -> Option<u16> {
    let [b'0' | b'1', b' ', a, b, c, b' ' | b'\r', ..] = head.strip_prefix(b"HTTP/1.")? else { return None };
    let digit = |d: &u8| d.is_ascii_digit().then(|| u16::from(d - b'0'));
    Some(digit(a)? * 100 + digit(b)? * 10 + digit(c)?)
}

/// Names that mean the machine they are looked up on.
fn is_this_machine(host: &str) -> bool {
    const NAMES: [&str; 6] =
        ["localhost", "localhost.localdomain", "localhost4", "localhost6", "ip6-localhost", "ip6-loopback"];
    NAMES.contains(&host) || host.ends_with(".localhost")
}

impl Without {
    /// Reads `host`, `.domain` (it and all below), `*.domain` (all below) and other patterns by label, a network, `*`;
    /// each with `:port` or without.
    fn parse(text: &str) -> Result<Self, String> {
        let lower = text.trim().to_ascii_lowercase();
        let fault = || {
            let like = "`host.example.com`, `.example.com`, `*.example.com`, `10.0.0.0/8`, `host:8080` or `*`";
            format!("no_proxy: `{text}` is no host, domain or network; write one like {like}")
        };
        let whole = || Cidr::parse(&lower).ok().map(|net| (Who::Network(net), None));
        if let Some((who, port)) = whole() {
            return Ok(Self { who, port });
        }
        let (name, port) = match lower.rsplit_once(':') {
            Some((name, port)) => (name, Some(port.parse().ok().filter(|port| *port != 0).ok_or_else(fault)?)),
            None => (lower.as_str(), None),
        };
        let who = if name == "*" {
            Who::All
        } else if let Some(net) = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            Who::Network(Cidr::parse(net).map_err(|_| fault())?)
        } else if let Ok(net) = Cidr::parse(name) {
            Who::Network(net)
        } else if name.contains('*') {
            Who::Pattern(HostPattern::parse(name).map_err(|_| fault())?)
        } else {
            let domain = name.strip_prefix('.');
            let host = Authority::parse(domain.unwrap_or(name), Some(1)).ok_or_else(fault)?.host;
            if domain.is_some() { Who::Domain(host) } else { Who::Host(host) }
        };
        Ok(Self { who, port })
    }

    fn fits(&self, to: &Authority, ip: Option<IpAddr>) -> bool {
        self.port.is_none_or(|port| port == to.port)
            && match &self.who {
                Who::All => true,
                Who::Host(host) => *host == to.host,
                Who::Domain(domain) => {
                    let rest = to.host.strip_suffix(domain.as_str());
                    rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
                }
                Who::Pattern(pattern) => pattern.matches(&to.host),
                Who::Network(net) => ip.is_some_and(|ip| net.contains(ip)),
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    fn chain(no_proxy: &[&str], authorization: Option<&str>) -> Result<Chain, String> {
        let authorization = authorization.map(str::to_owned);
        let proxy = UpstreamProxy { host: "proxy.example".to_owned(), port: 3128, authorization };
        Chain::new(&proxy, &no_proxy.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    #[test]
    fn rules_say_what_is_reached_without_the_proxy() {
        for (rule, to, direct) in [
            ("host.example", "host.example:443", true),
            ("HOST.example.", "host.example:443", true),
            ("host.example", "a.host.example:443", false),
            ("host.example", "xhost.example:443", false),
            (".corp.example", "corp.example:443", true),
            (".corp.example", "a.b.corp.example:443", true),
            (".corp.example", "xcorp.example:443", false),
            ("*.corp.example", "a.corp.example:443", true),
            ("*.corp.example", "corp.example:443", false),
            ("host.example:8080", "host.example:8080", true),
            ("host.example:8080", "host.example:443", false),
            (".corp.example:8080", "a.corp.example:8080", true),
            ("10.0.0.0/8", "10.1.2.3:443", true),
            ("10.0.0.0/8", "11.1.2.3:443", false),
            ("10.0.0.0/8", "ten.example:443", false),
            ("192.0.2.7", "192.0.2.7:443", true),
            ("192.0.2.7:8080", "192.0.2.7:443", false),
            ("fd00::/8", "[fd12::1]:443", true),
            ("2001:db8::1", "[2001:db8::1]:443", true),
            ("[2001:db8::1]:443", "[2001:db8::1]:443", true),
            ("[2001:db8::1]:443", "[2001:db8::1]:444", false),
            ("*", "anything.example:443", true),
            ("*:8080", "anything.example:8080", true),
            ("*:8080", "anything.example:443", false),
            ("other.example", "localhost:443", true),
            ("other.example", "a.localhost:443", true),
            ("other.example", "127.0.0.1:443", true),
            ("other.example", "[::1]:443", true),
            ("other.example", "notlocalhost:443", false),
        ] {
            let to = Authority::parse(to, None).unwrap();
            assert_eq!(chain(&[rule], None).unwrap().is_for(&to), !direct, "{rule} {to}");
        }
        assert!(chain(&[], None).unwrap().is_for(&Authority::parse("a.example:1", None).unwrap()));
    }

    #[test]
    fn rules_and_proxies_that_cannot_be_are_refused_with_what_would_do() {
        for rule in [
            "",
            "a b",
            "http://a.example",
            "a.example:",
            "a.example:0",
            "a.example:99999",
            ".",
            "user@a.example",
            "127.1",
        ] {
            let fault = chain(&[rule], None).err().unwrap_or_default();
            assert!(fault.contains("no_proxy") && fault.contains(".example.com"), "{rule}: {fault}");
        }
        let fault = chain(&[], Some("Basic CANARY\r\n")).err().unwrap();
        assert!(!fault.contains("CANARY"), "{fault}");
        let proxy = UpstreamProxy { host: "a/b".to_owned(), port: 1, authorization: None };
        assert!(Chain::new(&proxy, &[]).is_err());
        let proxy = UpstreamProxy { host: "::1".to_owned(), port: 1, authorization: None };
        assert_eq!(Chain::new(&proxy, &[]).unwrap().proxy.host, "::1");
    }

    /// Plays a proxy that answers in these pieces; gives what the client made of it, the request, and what came behind.
    async fn play(pieces: &[&'static str]) -> (Result<(), Failure>, String, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut ours = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut theirs, _) = listener.accept().await.unwrap();
        let pieces = pieces.to_vec();
        let server = async move {
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                request.push(theirs.read_u8().await.unwrap());
            }
            for piece in pieces {
                theirs.set_nodelay(true).unwrap();
                theirs.write_all(piece.as_bytes()).await.unwrap();
                tokio::task::yield_now().await;
            }
            theirs.shutdown().await.unwrap();
            String::from_utf8(request).unwrap()
        };
        let to = Authority::parse("[2001:db8::1]:443", None).unwrap();
        let chain = chain(&[], Some("Basic dTpw")).unwrap();
        let (outcome, request) = tokio::join!(chain.tunnel(&mut ours, &to), server);
        let mut behind = String::new();
        ours.read_to_string(&mut behind).await.unwrap();
        (outcome, request, behind)
    }

    #[tokio::test]
    async fn a_tunnel_is_asked_for_and_bytes_behind_the_answer_stay() {
        for pieces in [
            &["HTTP/1.1 200 OK\r\n\r\n220 hello"][..],
            &["HTTP/1.0 200 Connection established\r\nVia: x\r\n\r\n", "220 hello"],
            &["HTTP/1.1 2", "00", " \r", "\nA: b\r\n", "\r", "\n220 h", "ello"],
            &["HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200\r\nContent-Length: 5\r\n\r\n220 ", "hello"],
        ] {
            let (outcome, request, behind) = play(pieces).await;
            assert_eq!((outcome, behind.as_str()), (Ok(()), "220 hello"), "{pieces:?}");
            let want = "CONNECT [2001:db8::1]:443 HTTP/1.1\r\nHost: [2001:db8::1]:443\r\nProxy-Authorization: Basic dTpw\r\n\r\n";
            assert_eq!(request, want);
        }
    }

    #[tokio::test]
    async fn refusals_and_nonsense_are_told_apart() {
        for (pieces, want) in [
            (&["HTTP/1.1 407 Proxy Authentication Required\r\n\r\n"][..], "407"),
            (&["HTTP/1.1 403 No\r\n\r\n"], "status 403"),
            (&["HTTP/1.1 101 Switching Protocols\r\n\r\n"], "status 101"),
            (&["HTTP/1.1 302 Found\r\nLocation: x\r\n\r\n"], "status 302"),
            (&["HTTP/2 200 OK\r\n\r\n"], "not HTTP/1"),
            (&["SSH-2.0-OpenSSH\r\n"], "not HTTP/1"),
            (&["HTTP/1.1 20 OK\r\n\r\n"], "not HTTP/1"),
            (&["HTTP/1.1 2000 OK\r\n\r\n"], "not HTTP/1"),
            (&["HTTP/1.1 200 OK\r\n"], "broke off"),
            (&[], "broke off"),
        ] {
            let (outcome, ..) = play(pieces).await;
            let Err(Failure::UpstreamProxy(text)) = outcome else { panic!("{pieces:?} {outcome:?}") };
            assert!(text.contains(want), "{pieces:?}: {text}");
        }
    }

    #[tokio::test]
    async fn an_answer_has_a_limit() {
        let long: &'static str =
            Box::leak(format!("HTTP/1.1 200 OK\r\nA: {}\r\n\r\n", "x".repeat(20_000)).into_boxed_str());
        let (outcome, ..) = play(&[long]).await;
        assert_eq!(outcome, Err(Failure::UpstreamProxy("its answer is too long".to_owned())));
        let storm: &'static str = Box::leak("HTTP/1.1 100 Continue\r\n\r\n".repeat(1000).into_boxed_str());
        let (outcome, ..) = play(&[storm]).await;
        assert_eq!(outcome, Err(Failure::UpstreamProxy("its answer is too long".to_owned())));
    }
}
