//! Name constraints (RFC 5280 section 4.2.1.10): what a CA may sign for.

use super::name::Host;
use std::fmt;
use std::net::IpAddr;
use x509_parser::extensions::{GeneralName, GeneralSubtree, NameConstraints};

/// The constraints of one certificate, as far as they concern hosts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Constraints {
    permitted: Vec<Subtree>,
    excluded: Vec<Subtree>,
}

/// Hosts with something in common.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Subtree {
    /// A name and all below it; with a dot in front, only those below it. Lower case; empty for all names.
    Names(String),
    /// Address and mask, of 4 or 16 bytes each.
    Addresses(Vec<u8>, Vec<u8>),
}

impl Constraints {
    pub(super) fn new(from: &NameConstraints<'_>) -> Self {
        let read = |subtrees: &Option<Vec<GeneralSubtree<'_>>>| {
            subtrees.iter().flatten().filter_map(|subtree| Subtree::new(&subtree.base)).collect()
        };
        Self { permitted: read(&from.permitted_subtrees), excluded: read(&from.excluded_subtrees) }
    }

    /// Whether the CA may sign for `host`: outside all that is excluded, and, where something of its kind is permitted,
    /// inside that.
    pub(super) fn permit(&self, host: &Host) -> bool {
        let mut of_kind = self.permitted.iter().filter(|subtree| subtree.is_of_kind(host)).peekable();
        let permitted = of_kind.peek().is_none() || of_kind.any(|subtree| subtree.holds(host));
        permitted && !self.excluded.iter().any(|subtree| subtree.holds(host))
    }
}

impl Subtree {
    fn new(name: &GeneralName<'_>) -> Option<Self> {
        match name {
            GeneralName::DNSName(name) => Some(Self::Names(name.to_ascii_lowercase())),
            GeneralName::IPAddress(bytes) => {
                let (address, mask) = bytes.split_at_checked(bytes.len() / 2)?;
                Some(Self::Addresses(address.to_vec(), mask.to_vec()))
            }
            _ => None,
        }
    }

    const fn is_of_kind(&self, host: &Host) -> bool {
        matches!((self, host), (Self::Names(_), Host::Name(_)) | (Self::Addresses(..), Host::Address(_)))
    }

    fn holds(&self, host: &Host) -> bool {
        match (self, host) {
            (Self::Names(suffix), Host::Name(name)) => {
                suffix.is_empty()
                    || name.strip_suffix(suffix.as_str()).is_some_and(|rest| {
                        if suffix.starts_with('.') { !rest.is_empty() } else { rest.is_empty() || rest.ends_with('.') }
                    })
            }
            (Self::Addresses(address, mask), Host::Address(host)) => match host {
                IpAddr::V4(host) => is_in(&host.octets(), address, mask),
                IpAddr::V6(host) => is_in(&host.octets(), address, mask),
            },
            _ => false,
        }
    }
}

fn is_in(host: &[u8], address: &[u8], mask: &[u8]) -> bool {
    host.len() == address.len()
        && host.len() == mask.len()
        && host.iter().zip(address).zip(mask).all(|((host, address), mask)| host & mask == address & mask)
}

impl fmt::Display for Constraints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.permitted.is_empty() && self.excluded.is_empty() {
            return f.write_str("none");
        }
        for (word, subtrees) in [("only", &self.permitted), ("not", &self.excluded)] {
            for (index, subtree) in subtrees.iter().enumerate() {
                let comma = if index > 0 { ", " } else { "" };
                let gap = if word == "not" && index == 0 && !self.permitted.is_empty() { "; " } else { "" };
                let word = if index == 0 { word } else { "" };
                let space = if index == 0 { " " } else { "" };
                write!(f, "{gap}{comma}{word}{space}{subtree}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Subtree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Names(name) if name.is_empty() => f.write_str("names"),
            Self::Names(name) => f.write_str(name),
            Self::Addresses(address, mask) => {
                let bits: u32 = mask.iter().map(|byte| byte.count_ones()).sum();
                if let Ok(address) = <[u8; 4]>::try_from(address.as_slice()) {
                    write!(f, "{}/{bits}", IpAddr::from(address))
                } else if let Ok(address) = <[u8; 16]>::try_from(address.as_slice()) {
                    write!(f, "{}/{bits}", IpAddr::from(address))
                } else {
                    f.write_str("addresses")
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<Subtree> {
        names.iter().map(|name| Subtree::Names((*name).to_owned())).collect()
    }

    #[test]
    fn a_host_is_permitted_by_whole_labels() {
        let everything = Subtree::Addresses(vec![0; 4], vec![0; 4]);
        let ten = Subtree::Addresses(vec![10, 0, 0, 0], vec![255, 0, 0, 0]);
        let one = Constraints { permitted: names(&["example.com"]), excluded: names(&["secret.example.com"]) };
        let below = Constraints { permitted: names(&[".example.com"]), excluded: vec![everything] };
        let addresses = Constraints { permitted: vec![ten], excluded: Vec::new() };
        for (constraints, host, want) in [
            (&one, "example.com", true),
            (&one, "api.example.com", true),
            (&one, "notexample.com", false),
            (&one, "example.com.evil.example", false),
            (&one, "secret.example.com", false),
            (&one, "a.secret.example.com", false),
            (&one, "10.0.0.1", true),
            (&below, "example.com", false),
            (&below, "api.example.com", true),
            (&below, "10.0.0.1", false),
            (&addresses, "10.9.8.7", true),
            (&addresses, "11.9.8.7", false),
            (&addresses, "::ffff:10.9.8.7", false),
            (&addresses, "example.org", true),
            (&Constraints::default(), "example.org", true),
        ] {
            assert_eq!(constraints.permit(&Host::parse(host).unwrap()), want, "{constraints}: {host}");
        }
        assert_eq!(one.to_string(), "only example.com; not secret.example.com");
        assert_eq!(below.to_string(), "only .example.com; not 0.0.0.0/0");
        assert_eq!(addresses.to_string(), "only 10.0.0.0/8");
        assert_eq!(Constraints::default().to_string(), "none");
    }
}
