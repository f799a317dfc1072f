//! The name a certificate is for.

use super::CaError;
use std::fmt;
use std::net::IpAddr;

/// A host, in the one form that it is compared and certified in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Host {
    /// Labels of lower-case letters, digits, `-` and `_`; no dot at the end.
    Name(String),
    /// An address.
    Address(IpAddr),
}

impl Host {
    /// Most bytes of a name (RFC 1035 section 2.3.4, less the length byte and the root).
    const MAX_BYTES: usize = 253;
    /// Most bytes of a label.
    const MAX_LABEL_BYTES: usize = 63;

    /// Reads a name or an address, which has no brackets.
    ///
    /// Underscores pass: hosts that have them are in use, and clients accept them. Names in Unicode do not: clients send
    /// A-labels (`xn--`), and which one a name means differs between them. Neither does what some reader takes for an
    /// address (`127.1`, `0x7f000001`, `1.2.3.08`), because another one looks it up.
    ///
    /// # Errors
    ///
    /// [`CaError::Name`].
    pub(super) fn parse(text: &str) -> Result<Self, CaError> {
        if let Ok(address) = text.parse() {
            return Ok(Self::Address(address));
        }
        let name = text.strip_suffix('.').unwrap_or(text);
        if name.is_empty() {
            return Err(CaError::Name("it is empty"));
        }
        if name.len() > Self::MAX_BYTES {
            return Err(CaError::Name("it is longer than 253 bytes"));
        }
        for label in name.split('.') {
            Self::check(label).map_err(CaError::Name)?;
        }
        let last = name.rsplit('.').next().unwrap_or(name).to_ascii_lowercase();
        let hex = last.strip_prefix("0x").is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
        if hex || last.bytes().all(|b| b.is_ascii_digit()) {
            return Err(CaError::Name("it can be taken for an address"));
        }
        Ok(Self::Name(name.to_ascii_lowercase()))
    }

    fn check(label: &str) -> Result<(), &'static str> {
        if label.is_empty() {
            return Err("it has an empty label");
        }
        if label.len() > Self::MAX_LABEL_BYTES {
            return Err("it has a label of more than 63 bytes");
        }
        if label.contains('*') {
            return Err("it is a wildcard");
        }
        if !label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_')) {
            return Err("it has a character that no host name has");
        }
        if label.starts_with('-') || label.ends_with('-') {
            return Err("it has a label with a hyphen at its edge");
        }
        Ok(())
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(address) => address.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_host_has_one_form() {
        let long = format!("{}.{}.{}.{}", "a".repeat(63), "b".repeat(63), "c".repeat(63), "d".repeat(61));
        for (text, want) in [
            ("example.com", "example.com"),
            ("EXAMPLE.Com", "example.com"),
            ("example.com.", "example.com"),
            ("localhost", "localhost"),
            ("my_bucket.example.com", "my_bucket.example.com"),
            ("XN--MNCHEN-3YA.example", "xn--mnchen-3ya.example"),
            ("1.example", "1.example"),
            ("192.0.2.7", "192.0.2.7"),
            ("2001:DB8:0:0::1", "2001:db8::1"),
            ("::ffff:192.0.2.7", "::ffff:192.0.2.7"),
            (&long, &long),
        ] {
            assert_eq!(Host::parse(text).map(|h| h.to_string()), Ok(want.to_owned()), "{text}");
        }
    }

    #[test]
    fn what_is_no_host_or_more_than_one_is_refused() {
        let label = "a".repeat(64);
        let name = format!("{}a", "ab.".repeat(84) + "a");
        for (text, why) in [
            ("", "it is empty"),
            (".", "it is empty"),
            ("example.com..", "it has an empty label"),
            ("a..b", "it has an empty label"),
            (".example.com", "it has an empty label"),
            (&label, "it has a label of more than 63 bytes"),
            (&name, "it is longer than 253 bytes"),
            ("*.example.com", "it is a wildcard"),
            ("a\0.example.com", "it has a character that no host name has"),
            ("a b.example.com", "it has a character that no host name has"),
            ("a\r\nb", "it has a character that no host name has"),
            ("münchen.example", "it has a character that no host name has"),
            ("example.com:443", "it has a character that no host name has"),
            ("user@example.com", "it has a character that no host name has"),
            ("[::1]", "it has a character that no host name has"),
            ("fe80::1%eth0", "it has a character that no host name has"),
            ("-a.example", "it has a label with a hyphen at its edge"),
            ("a-.example", "it has a label with a hyphen at its edge"),
            ("127.1", "it can be taken for an address"),
            ("2130706433", "it can be taken for an address"),
            ("0x7f000001", "it can be taken for an address"),
            ("0X7F.1.0x", "it can be taken for an address"),
            ("1.2.3.08", "it can be taken for an address"),
            ("1.2.3.4.", "it can be taken for an address"),
        ] {
            assert_eq!(Host::parse(text), Err(CaError::Name(why)), "{text}");
        }
    }

    proptest! {
        #[test]
        fn the_form_is_its_own_form(text in "[-_.a-zA-Z0-9:*\u{e4}\u{0} ]{0,40}") {
            if let Ok(host) = Host::parse(&text) {
                let form = host.to_string();
                prop_assert_eq!(Host::parse(&form), Ok(host));
            }
        }
    }
}
