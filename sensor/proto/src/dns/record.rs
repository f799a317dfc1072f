//! The answer section (RFC 1035 §4.1.3, RFC 9460 §2.2).

use super::message::kind;
use super::name::{Name, same, skip};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Most records looked at in one message.
pub const MAX_RECORDS: u16 = 128;
/// Most aliases followed in one message.
pub const MAX_ALIASES: usize = 16;

/// What an answer says of the name in question, or of what that is an alias for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Record<'m> {
    /// It has this address.
    Address(IpAddr),
    /// So its service is reached.
    Service(Service<'m>),
    /// It is the address of this host.
    Pointer(Pointer<'m>),
}

/// A PTR record, not yet read (RFC 1035 §3.3.12).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pointer<'m> {
    message: &'m [u8],
    at: usize,
}

impl Pointer<'_> {
    /// The name it points to; `None` where no host can be called so.
    pub fn name(&self) -> Option<Name> {
        let mut name = Name::EMPTY;
        name.read(self.message, self.at)?;
        Some(name)
    }
}

/// A SVCB or HTTPS record (RFC 9460).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Service<'m> {
    /// 0 for an alias, which says nothing else; otherwise lower is better.
    pub priority: u16,
    /// The port, where it is another than usual.
    pub port: Option<u16>,
    /// Clients can encrypt their hello (RFC 9848): then the server name on the wire is a public one.
    pub ech: bool,
    /// INVARIANT: whole names, each with its length in front.
    alpn: &'m [u8],
    /// INVARIANT: whole addresses.
    v4: &'m [u8],
    /// INVARIANT: whole addresses.
    v6: &'m [u8],
}

impl<'m> Service<'m> {
    /// The protocols named (RFC 9460 §7.1.1), such as `h3`; the default of the scheme comes on top.
    pub fn alpn(&self) -> impl Iterator<Item = &'m [u8]> + use<'m> {
        let mut rest = self.alpn;
        std::iter::from_fn(move || {
            let (&len, tail) = rest.split_first()?;
            let (name, after) = tail.split_at_checked(usize::from(len))?;
            rest = after;
            Some(name)
        })
    }

    /// Where the service may be reached (`ipv4hint` and `ipv6hint`, RFC 9460 §7.3).
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> + use<'m> {
        let v4 = self.v4.as_chunks::<4>().0.iter().map(|bytes| IpAddr::V4(Ipv4Addr::from(*bytes)));
        let v6 = self.v6.as_chunks::<16>().0.iter().map(|bytes| IpAddr::V6(Ipv6Addr::from(*bytes)));
        v4.chain(v6)
    }

    /// Reads the data of a record. `None` where it is not well formed: clients ignore such a record.
    fn read(data: &'m [u8]) -> Option<Self> {
        let (&[p_hi, p_lo], name) = data.split_first_chunk()?;
        let priority = u16::from_be_bytes([p_hi, p_lo]);
        let mut service = Self { priority, port: None, ech: false, alpn: &[], v4: &[], v6: &[] };
        let mut rest = name.get(skip(name, 0)?..)?;
        let mut last = None;
        while !rest.is_empty() {
            let (&[k_hi, k_lo, l_hi, l_lo], tail) = rest.split_first_chunk()?;
            let (key, len) = (u16::from_be_bytes([k_hi, k_lo]), u16::from_be_bytes([l_hi, l_lo]));
            let (value, after) = tail.split_at_checked(usize::from(len))?;
            // In ascending order, each once (§2.2).
            if last.replace(key).is_some_and(|last| last >= key) {
                return None;
            }
            rest = after;
            match key {
                ALPN => service.alpn = value,
                PORT => service.port = Some(u16::from_be_bytes(value.try_into().ok()?)),
                IPV4_HINT if value.len().is_multiple_of(4) => service.v4 = value,
                ECH => service.ech = true,
                IPV6_HINT if value.len().is_multiple_of(16) => service.v6 = value,
                IPV4_HINT | IPV6_HINT => return None,
                _ => {}
            }
        }
        let named: usize = service.alpn().map(|name| 1 + name.len()).sum();
        (named == service.alpn.len()).then_some(service)
    }
}

// Keys of parameters (IANA DNS SVCB registry).
const ALPN: u16 = 1;
const PORT: u16 = 3;
const IPV4_HINT: u16 = 4;
const ECH: u16 = 5;
const IPV6_HINT: u16 = 6;

/// The records of an answer that speak of the name in question. An alias must come before what it leads to, as servers
/// write it. Ends at a record that cannot be read.
#[derive(Clone, Debug)]
pub struct Records<'m> {
    bytes: &'m [u8],
    at: usize,
    left: u16,
    /// Where the names stand that are the one in question, after the first, which stands behind the header.
    aliases: [usize; MAX_ALIASES],
    known: usize,
    bad: bool,
    /// Records and aliases over [`MAX_RECORDS`] and [`MAX_ALIASES`].
    left_out: u16,
}

impl<'m> Records<'m> {
    pub(super) const fn new(bytes: &'m [u8], at: usize, count: u16) -> Self {
        let left_out = count.saturating_sub(MAX_RECORDS);
        let left = count - left_out;
        Self { bytes, at, left, aliases: [0; MAX_ALIASES], known: 0, bad: false, left_out }
    }

    /// Whether a record was met that cannot be read.
    pub const fn is_bad(&self) -> bool {
        self.bad
    }

    /// How many records and aliases were not looked at, for [`MAX_RECORDS`] and [`MAX_ALIASES`].
    pub const fn left_out(&self) -> u16 {
        self.left_out
    }

    /// Whether the name at `at` is the one in question, or what that is an alias for.
    fn is_ours(&self, at: usize) -> bool {
        let known = self.aliases.get(..self.known).unwrap_or_default();
        known.iter().rev().chain([&super::message::HEADER]).any(|name| same(self.bytes, at, *name))
    }

    /// The next record; `None` where it says nothing of use.
    fn record(&mut self) -> Result<Option<Record<'m>>, Bad> {
        let owner = self.at;
        let at = skip(self.bytes, owner).ok_or(Bad)?;
        let (head, rest) = self.bytes.get(at..).and_then(<[u8]>::split_first_chunk::<10>).ok_or(Bad)?;
        let &[k_hi, k_lo, c_hi, c_lo, _, _, _, _, l_hi, l_lo] = head;
        let data = rest.get(..usize::from(u16::from_be_bytes([l_hi, l_lo]))).ok_or(Bad)?;
        self.at = at + 10 + data.len();
        let kind = u16::from_be_bytes([k_hi, k_lo]);
        if [c_hi, c_lo] != [0, 1]
            || !matches!(kind, kind::A | kind::AAAA | kind::CNAME | kind::PTR | kind::SVCB | kind::HTTPS)
            || !self.is_ours(owner)
        {
            return Ok(None);
        }
        Ok(match kind {
            kind::A => <[u8; 4]>::try_from(data).ok().map(|b| Record::Address(IpAddr::V4(Ipv4Addr::from(b)))),
            kind::AAAA => <[u8; 16]>::try_from(data).ok().map(|b| Record::Address(IpAddr::V6(Ipv6Addr::from(b)))),
            kind::CNAME => {
                match self.aliases.get_mut(self.known) {
                    Some(place) => {
                        *place = at + 10;
                        self.known += 1;
                    }
                    None => self.left_out = self.left_out.saturating_add(1),
                }
                None
            }
            kind::PTR => Some(Record::Pointer(Pointer { message: self.bytes, at: at + 10 })),
            _ => Service::read(data).map(Record::Service),
        })
    }
}

/// A record that cannot be read.
struct Bad;

impl<'m> Iterator for Records<'m> {
    type Item = Record<'m>;

    fn next(&mut self) -> Option<Record<'m>> {
        while self.left > 0 {
            self.left -= 1;
            match self.record() {
                Ok(None) => {}
                Ok(record) => return record,
                Err(Bad) => (self.bad, self.left) = (true, 0),
            }
        }
        None
    }
}
