//! For whom a proxy asks: `Forwarded` (RFC 7239) and `X-Forwarded-For`. Only addresses are taken; whether they are
//! believed is for others to decide.

use std::net::{IpAddr, SocketAddr};

/// Most addresses kept of one field, those nearest to the server.
pub const MAX_HOPS: usize = 16;
/// Longest value that is read of one field, in bytes.
const MAX_VALUE: usize = 4096;

/// What both fields say. Addresses in the order in which they stand: the client's first, that of the proxy before the last
/// one last. `None` stands for one that is hidden (`unknown`, `_gazonk`) or cannot be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Forwarded {
    /// `Forwarded`, all fields of that name joined.
    pub standard: Vec<Option<IpAddr>>,
    /// `X-Forwarded-For`, the same.
    pub common: Vec<Option<IpAddr>>,
}

impl Forwarded {
    /// Adds a field `Forwarded`.
    ///
    /// One that is too long or leaves a quote open is hidden as a whole: what a client puts before the words of a proxy
    /// must not swallow them.
    pub(crate) fn add_standard(&mut self, value: &[u8]) {
        if value.len() > MAX_VALUE || !is_closed(value) {
            return join(&mut self.standard, vec![None]);
        }
        let mut hops = Vec::new();
        for element in split(value, b',') {
            let mut node = None;
            for pair in split(element, b';') {
                let Some(at) = pair.iter().position(|b| *b == b'=') else { continue };
                let (name, value) = pair.split_at(at);
                if name.trim_ascii().eq_ignore_ascii_case(b"for") {
                    // Twice is an error (§4); neither is believed then.
                    node = if node.is_none() { Some(value.get(1..).and_then(address)) } else { Some(None) };
                }
            }
            if !element.trim_ascii().is_empty() {
                hops.push(node.flatten());
            }
        }
        join(&mut self.standard, hops);
    }

    /// Adds a field `X-Forwarded-For`.
    pub(crate) fn add_common(&mut self, value: &[u8]) {
        // What lies before the last of a long one says no more than a hidden one would.
        let value = value.get(value.len().saturating_sub(MAX_VALUE)..).unwrap_or_default();
        let items = value.split(|b| *b == b',').filter(|item| !item.trim_ascii().is_empty());
        join(&mut self.common, items.map(address).collect());
    }

    /// What it weighs on the heap, in bytes.
    pub fn bytes(&self) -> usize {
        (self.standard.len() + self.common.len()) * 2 * size_of::<Option<IpAddr>>()
    }
}

/// Appends what came in a later field, and keeps the last ones.
fn join(known: &mut Vec<Option<IpAddr>>, more: Vec<Option<IpAddr>>) {
    known.extend(more);
    let over = known.len().saturating_sub(MAX_HOPS);
    known.drain(..over);
}

/// Follows quotes and escapes (RFC 9110 §5.6.4).
#[derive(Clone, Copy, Default)]
struct Quotes {
    quoted: bool,
    escaped: bool,
}

impl Quotes {
    /// Whether the byte stands inside of quotes, those themselves included.
    fn hold(&mut self, byte: u8) -> bool {
        let before = self.quoted;
        if std::mem::take(&mut self.escaped) {
            return true;
        }
        match byte {
            b'\\' => self.escaped = self.quoted,
            b'"' => self.quoted = !self.quoted,
            _ => {}
        }
        before || self.quoted
    }
}

/// Whether every quote is closed.
fn is_closed(value: &[u8]) -> bool {
    let mut quotes = Quotes::default();
    for byte in value {
        quotes.hold(*byte);
    }
    !quotes.quoted
}

/// Parts between separators that stand outside of quotes.
fn split(value: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let mut quotes = Quotes::default();
    value.split(move |byte| !quotes.hold(*byte) && *byte == separator)
}

/// The address of a node (§6), in quotes or not: with or without a port, IPv6 in brackets or, as many write it, bare.
fn address(node: &[u8]) -> Option<IpAddr> {
    let node = node.trim_ascii();
    let node = node.strip_prefix(b"\"").and_then(|n| n.strip_suffix(b"\"")).unwrap_or(node);
    let text = str::from_utf8(node).ok()?;
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Some(ip.to_canonical());
    }
    if let Some(bare) = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')) {
        return bare.parse::<std::net::Ipv6Addr>().ok().map(|ip| IpAddr::V6(ip).to_canonical());
    }
    // A port may be hidden, too (`192.0.2.1:_17`); then only the address counts.
    if let Ok(with_port) = text.parse::<SocketAddr>() {
        return Some(with_port.ip().to_canonical());
    }
    let (host, port) = text.rsplit_once(':')?;
    if !port.starts_with('_') {
        return None;
    }
    let bare = host.strip_prefix('[').and_then(|t| t.strip_suffix(']'));
    match bare {
        Some(six) => six.parse::<std::net::Ipv6Addr>().ok().map(|ip| IpAddr::V6(ip).to_canonical()),
        None => host.parse::<std::net::Ipv4Addr>().ok().map(IpAddr::V4),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(hops: &[Option<IpAddr>]) -> String {
        let text = |hop: &Option<IpAddr>| hop.map_or("-".to_owned(), |ip| ip.to_string());
        hops.iter().map(text).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn nodes_are_addresses_with_or_without_a_port() {
        for (node, want) in [
            ("192.0.2.43", Some("192.0.2.43")),
            ("192.0.2.43:4711", Some("192.0.2.43")),
            ("\"192.0.2.43:4711\"", Some("192.0.2.43")),
            ("\"[2001:db8:cafe::17]\"", Some("2001:db8:cafe::17")),
            ("\"[2001:db8:cafe::17]:4711\"", Some("2001:db8:cafe::17")),
            ("[2001:db8:cafe::17]:_obf", Some("2001:db8:cafe::17")),
            ("192.0.2.43:_obf", Some("192.0.2.43")),
            ("2001:db8::1", Some("2001:db8::1")),
            ("::ffff:10.1.2.3", Some("10.1.2.3")),
            ("unknown", None),
            ("_hidden", None),
            ("_SEVKISEK", None),
            ("ana.corp.example", None),
            ("192.0.2.43:http", None),
            ("192.0.2.043", None),
            ("192.0.2.256", None),
            ("[192.0.2.43]", None),
            ("\"192.0.2.43", None),
            ("", None),
            ("fe80::1%eth0", None),
        ] {
            assert_eq!(address(node.as_bytes()).map(|ip| ip.to_string()).as_deref(), want, "{node}");
        }
    }

    #[test]
    fn forwarded_is_read_as_rfc_7239_has_it() {
        for (fields, want) in [
            (&["for=\"_gazonk\""][..], "-"),
            (&["For=\"[2001:db8:cafe::17]:4711\""], "2001:db8:cafe::17"),
            (&["for=192.0.2.60;proto=http;by=203.0.113.43"], "192.0.2.60"),
            (&["for=192.0.2.43, for=198.51.100.17"], "192.0.2.43 198.51.100.17"),
            (&["for=192.0.2.43,for=\"[2001:db8:cafe::17]\",for=unknown"], "192.0.2.43 2001:db8:cafe::17 -"),
            (&["for=192.0.2.43", "for=198.51.100.17;by=203.0.113.60;proto=http"], "192.0.2.43 198.51.100.17"),
            (&["by=203.0.113.60; FOR = 192.0.2.43"], "192.0.2.43"),
            (&["host=\"a,b;for=10.0.0.1\";for=192.0.2.43"], "192.0.2.43"),
            (&["host=\"a\\\",for=10.0.0.1\";for=192.0.2.43"], "192.0.2.43"),
            (&["for=192.0.2.43;for=192.0.2.44"], "-"),
            (&["proto=https"], "-"),
            (&["for=192.0.2.43,,"], "192.0.2.43"),
            // A client that leaves a quote open, to have what its proxy adds taken for part of its own words.
            (&["for=6.6.6.6;host=\", for=10.0.0.1"], "-"),
            (&["for=6.6.6.6;host=\"\\, for=\"[2001:db8::1]\""], "-"),
            (&["for=6.6.6.6;host=\"", "for=10.0.0.1"], "- 10.0.0.1"),
            (&[""], ""),
        ] {
            let mut forwarded = Forwarded::default();
            for field in fields {
                forwarded.add_standard(field.as_bytes());
            }
            assert_eq!(shown(&forwarded.standard), want, "{fields:?}");
        }
    }

    #[test]
    fn x_forwarded_for_is_a_list_over_all_fields() {
        for (fields, want) in [
            (&["203.0.113.195"][..], "203.0.113.195"),
            (
                &["203.0.113.195, 2001:db8:85a3:8d3:1319:8a2e:370:7348"],
                "203.0.113.195 2001:db8:85a3:8d3:1319:8a2e:370:7348",
            ),
            (&["203.0.113.195,2001:db8::7348,198.51.100.178:80"], "203.0.113.195 2001:db8::7348 198.51.100.178"),
            (&["10.0.0.1", "10.0.0.2,10.0.0.3"], "10.0.0.1 10.0.0.2 10.0.0.3"),
            (&["unknown, 10.0.0.2"], "- 10.0.0.2"),
            (&["' OR 1=1 --, 10.0.0.2"], "- 10.0.0.2"),
            (&[" , "], ""),
        ] {
            let mut forwarded = Forwarded::default();
            for field in fields {
                forwarded.add_common(field.as_bytes());
            }
            assert_eq!(shown(&forwarded.common), want, "{fields:?}");
        }
    }

    #[test]
    fn no_more_hops_are_kept_than_the_limit_and_those_are_the_last() {
        let many = (0..40).map(|n| format!("10.0.0.{n}")).collect::<Vec<_>>().join(",");
        let mut forwarded = Forwarded::default();
        forwarded.add_common(many.as_bytes());
        forwarded.add_common(b"10.9.9.9");
        assert_eq!(forwarded.common.len(), MAX_HOPS);
        assert_eq!(forwarded.common.last().copied().flatten().map(|ip| ip.to_string()).as_deref(), Some("10.9.9.9"));
        let mut cut = Forwarded::default();
        cut.add_common(format!("{}, 10.0.0.1", "1".repeat(2 * MAX_VALUE)).as_bytes());
        cut.add_standard(format!("for=10.0.0.1;host=\"{}\"", "1".repeat(2 * MAX_VALUE)).as_bytes());
        assert_eq!((shown(&cut.common).as_str(), shown(&cut.standard).as_str()), ("- 10.0.0.1", "-"));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_fail(value in proptest::collection::vec(any::<u8>(), 0..200), list in "[a-f0-9.:,;=\"\\\\ for]{0,60}") {
            for value in [value.as_slice(), list.as_bytes()] {
                let mut forwarded = Forwarded::default();
                forwarded.add_standard(value);
                forwarded.add_common(value);
                prop_assert!(forwarded.standard.len() <= MAX_HOPS && forwarded.common.len() <= MAX_HOPS);
            }
        }
    }
}
