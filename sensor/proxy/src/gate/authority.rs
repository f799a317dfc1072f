//! Host and port as a request names them, in one way of writing only.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Host and port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Authority {
    /// Host name in lower case without final dot, or address without brackets.
    pub(crate) host: String,
    /// Port, never 0.
    pub(crate) port: u16,
}

impl Authority {
    /// Longest name, in bytes (RFC 1035 section 2.3.4).
    const MAX_NAME: usize = 253;
    /// Longest label, in bytes.
    const MAX_LABEL: usize = 63;

    /// Reads `host[:port]`; `port` is used where there is none, or an empty one (RFC 9110 section 4.2.3). `None` for what
    /// is no authority of HTTP: user information (section 4.2.4), anything percent-encoded or outside of ASCII, an IPv6
    /// address without brackets or with a zone, a port outside of 1..=65535.
    ///
    /// Resolvers take numbers that are no dotted quad for addresses (`127.1`, `0x7f000001`, `017700000001`). What ends in
    /// a number and is not written as four decimal ones is refused, so that no address has two ways of writing. An
    /// IPv4-mapped address becomes that IPv4 address.
    pub(crate) fn parse(text: &str, port: Option<u16>) -> Option<Self> {
        let (host, rest) = if let Some(inner) = text.strip_prefix('[') {
            let (inner, rest) = inner.split_once(']')?;
            let ip: Ipv6Addr = inner.parse().ok()?;
            (ip.to_canonical().to_string(), rest)
        } else {
            let end = text.find(':').unwrap_or(text.len());
            let (name, rest) = text.split_at_checked(end)?;
            (Self::name(name)?, rest)
        };
        let port = match rest.strip_prefix(':') {
            Some("") => port?,
            None if rest.is_empty() => port?,
            Some(digits) if digits.len() <= 5 && digits.bytes().all(|b| b.is_ascii_digit()) => digits.parse().ok()?,
            None | Some(_) => return None,
        };
        (port != 0).then_some(Self { host, port })
    }

    /// A host name or a dotted quad, made uniform.
    fn name(text: &str) -> Option<String> {
        let name = text.strip_suffix('.').unwrap_or(text);
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        let right = name.len() <= Self::MAX_NAME
            && name.split('.').all(|l| !l.is_empty() && l.len() <= Self::MAX_LABEL && l.bytes().all(plain));
        if !right || (ends_in_number(name) && name.parse::<Ipv4Addr>().is_err()) {
            return None;
        }
        Some(name.to_ascii_lowercase())
    }

    /// The address, where one is named rather than a host.
    pub(crate) fn ip(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }
}

/// What a peer named as a host, to be shown: without a user before it, printable, and at most 255 bytes of it.
pub(crate) fn shown(text: &str) -> String {
    let host = text.rsplit('@').next().unwrap_or(text);
    host.chars().take(255).map(|c| if c.is_ascii_graphic() { c } else { '?' }).collect()
}

impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

/// Whether the last label is a number as resolvers read numbers: decimal, octal or hexadecimal.
fn ends_in_number(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or(name);
    match last.strip_prefix("0x").or_else(|| last.strip_prefix("0X")) {
        Some(hex) => hex.bytes().all(|b| b.is_ascii_hexdigit()),
        None => last.bytes().all(|b| b.is_ascii_digit()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(text: &str, want: Option<(&str, u16)>) {
        let got = Authority::parse(text, Some(80));
        let want = want.map(|(host, port)| Authority { host: host.to_owned(), port });
        assert_eq!(got, want, "{text:?}");
    }

    #[test]
    fn a_host_has_one_way_of_writing() {
        for (text, host, port) in [
            ("example.com", "example.com", 80),
            ("Example.COM:8443", "example.com", 8443),
            ("example.com.", "example.com", 80),
            ("example.com.:443", "example.com", 443),
            ("example.com:", "example.com", 80),
            ("localhost.", "localhost", 80),
            ("xn--bcher-kva.example:1", "xn--bcher-kva.example", 1),
            ("a_b.example:65535", "a_b.example", 65535),
            ("10.0.0.1:00443", "10.0.0.1", 443),
            ("127.0.0.1.", "127.0.0.1", 80),
            ("[::1]", "::1", 80),
            ("[2001:DB8:0:0::1]:443", "2001:db8::1", 443),
            ("[::ffff:127.0.0.1]:443", "127.0.0.1", 443),
            ("[::ffff:7f00:1]", "127.0.0.1", 80),
            ("0xab.example", "0xab.example", 80),
            ("1.2.3.4.example", "1.2.3.4.example", 80),
            ("12ab", "12ab", 80),
            ("0xg", "0xg", 80),
        ] {
            check(text, Some((host, port)));
        }
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_no_authority() {
        for text in [
            "",
            ":443",
            ".",
            "..",
            ".example",
            "a..b",
            "example.com..",
            "user@example.com",
            "user:pass@example.com:443",
            "@",
            "exa mple.com",
            " example.com",
            "example.com ",
            "example.com:443 ",
            "a\tb",
            "a\nb",
            "a\r\nHost: b",
            "a\0b",
            "127.0.0.1%00.example",
            "%31.0.0.1",
            "ex%61mple.com",
            "a/b",
            "a\\b",
            "a?b",
            "a#b",
            "a*b",
            "*",
            "a,b",
            "a;b",
            "a'b",
            "a\"b",
            "a<b",
            "bücher.example",
            "１２７.0.0.1",
            "example.com:0",
            "example.com:65536",
            "example.com:99999",
            "example.com:000443",
            "example.com:-1",
            "example.com:+1",
            "example.com:4a",
            "example.com:443:443",
            "example.com:443/",
            "::1",
            "::1:443",
            "[::1",
            "::1]",
            "[]",
            "[]:443",
            "[::1]443",
            "[::1]x:443",
            "[fe80::1%eth0]:443",
            "[fe80::1%25eth0]:443",
            "[v1.x]:443",
            "[127.0.0.1]:443",
            "[[::1]]",
            "[example.com]:443",
            "127.1",
            "127.0.1",
            "2130706433",
            "0x7f000001",
            "0X7F000001",
            "0x7f.0.0.1",
            "0x7f.1",
            "0177.0.0.1",
            "017700000001",
            "127.0.0.01",
            "127.0.0.256",
            "127.0.0.0x1",
            "1.2.3.4.5",
            "256.1.1.1",
            "0",
            "0x",
            "00",
            "127.0.0.1..",
            "example.1",
            "example.0x1f",
            "4294967296",
            "0.0.0.0x0",
        ] {
            check(text, None);
        }
        check(&format!("{}.example", "a".repeat(64)), None);
        check(&format!("{}example", "abc.".repeat(63)), None);
        let longest = "a.".repeat(126) + "a";
        check(&longest, Some((&longest, 80)));
    }

    #[test]
    fn what_is_shown_of_a_host_has_no_secret_no_end_of_line_and_an_end() {
        for (text, want) in [
            ("other.example:8443", "other.example:8443"),
            ("user:CANARY@other.example", "other.example"),
            ("a@b:CANARY@other.example", "other.example"),
            ("CANARY@", ""),
            ("a\r\nb c\u{1b}[31m\0", "a??b?c?[31m?"),
            ("m\u{fc}nchen.example", "m?nchen.example"),
        ] {
            assert_eq!(shown(text), want, "{text:?}");
        }
        assert_eq!(shown(&"a".repeat(1000)).len(), 255);
    }

    #[test]
    fn without_a_default_a_port_must_be_named() {
        for text in ["example.com", "example.com:", "[::1]", "[::1]:"] {
            assert_eq!(Authority::parse(text, None), None, "{text}");
        }
        assert!(Authority::parse("example.com:443", None).is_some());
    }

    proptest! {
        #[test]
        fn what_is_read_is_written_and_read_again_as_the_same(text in "[ -~]{0,40}") {
            if let Some(read) = Authority::parse(&text, Some(80)) {
                prop_assert_eq!(Authority::parse(&read.to_string(), None), Some(read));
            }
        }

        #[test]
        fn what_a_resolver_takes_for_an_address_is_one_or_nothing(text in "[0-9a-fx]{1,10}(\\.[0-9a-fx]{1,4}){0,4}") {
            if let Some(read) = Authority::parse(&text, Some(80)) {
                let quad = read.ip().is_some();
                prop_assert!(quad || !ends_in_number(&read.host), "{}", read);
            }
        }
    }
}
