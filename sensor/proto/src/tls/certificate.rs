//! The names in a certificate (RFC 5280). A walk over the few fields on the way to them, with no more of DER than
//! that takes: nothing is verified, so a name is what the server says of itself.

use super::read::Reader;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Most names taken from one certificate.
pub const MAX_NAMES: usize = 100;
/// Most bytes of names taken from one certificate, one for each name included.
pub const MAX_NAME_BYTES: usize = 4096;
/// Longest name, in bytes (RFC 1035 §3.1).
const MAX_NAME: usize = 253;

/// The names of a leaf certificate, as TLS 1.2 and below show it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Certificate {
    /// INVARIANT: each name followed by a line feed.
    names: String,
    count: usize,
    /// How many names were left out: over a limit, or no name of a host (RFC 6125 §6.4.3 wildcards are one).
    pub left_out: u32,
}

/// A certificate that is no DER as RFC 5280 wants it, on the way to the names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the certificate cannot be read")]
pub struct BadCertificate;

impl Certificate {
    /// Reads a certificate in DER.
    ///
    /// # Errors
    ///
    /// [`BadCertificate`] where the names cannot be reached.
    pub fn parse(der: &[u8]) -> Result<Self, BadCertificate> {
        let mut names = Self::default();
        names.read(der).ok_or(BadCertificate)?;
        Ok(names)
    }

    /// The names, lower case, without a dot at the end: those of hosts and IP addresses of the subject alternative
    /// name, in its order. Where it has neither, the common name of the subject.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.lines()
    }

    fn read(&mut self, der: &[u8]) -> Option<()> {
        let certificate = Reader::new(element(&mut Reader::new(der), SEQUENCE)?);
        let mut fields = Reader::new(element(&mut { certificate }, SEQUENCE)?);
        // Version, serial number, signature algorithm, issuer, validity, subject, key (§4.1).
        if fields.clone().u8() == Some(EXPLICIT_0) {
            any(&mut fields)?;
        }
        element(&mut fields, INTEGER)?;
        for _ in 0..3 {
            element(&mut fields, SEQUENCE)?;
        }
        let subject = element(&mut fields, SEQUENCE)?;
        element(&mut fields, SEQUENCE)?;
        while !fields.is_empty() {
            let (tag, content) = any(&mut fields)?;
            if tag == EXPLICIT_3 {
                self.extensions(element(&mut Reader::new(content), SEQUENCE)?)?;
            }
        }
        if self.count == 0
            && self.left_out == 0
            && let Some(name) = common_name(subject)
        {
            self.host(name);
        }
        Some(())
    }

    /// Extensions (§4.1.2.9): a sequence of number, perhaps a flag, and content.
    fn extensions(&mut self, list: &[u8]) -> Option<()> {
        let mut list = Reader::new(list);
        while !list.is_empty() {
            let mut extension = Reader::new(element(&mut list, SEQUENCE)?);
            if element(&mut extension, OBJECT)? != ALTERNATIVE_NAME {
                continue;
            }
            let (mut tag, mut content) = any(&mut extension)?;
            if tag == BOOLEAN {
                (tag, content) = any(&mut extension)?;
            }
            if tag == OCTETS {
                self.alternative_names(element(&mut Reader::new(content), SEQUENCE)?)?;
            }
        }
        Some(())
    }

    /// `GeneralNames` (§4.2.1.6).
    fn alternative_names(&mut self, list: &[u8]) -> Option<()> {
        let mut list = Reader::new(list);
        while !list.is_empty() {
            match any(&mut list)? {
                (DNS_NAME, name) => self.host(name),
                (IP_ADDRESS, address) => match (<[u8; 4]>::try_from(address), <[u8; 16]>::try_from(address)) {
                    (Ok(v4), _) => self.put(&Ipv4Addr::from(v4).to_string()),
                    (_, Ok(v6)) => self.put(&Ipv6Addr::from(v6).to_string()),
                    _ => self.left_out = self.left_out.saturating_add(1),
                },
                _ => {}
            }
        }
        Some(())
    }

    fn host(&mut self, name: &[u8]) {
        let name = name.strip_suffix(b".").unwrap_or(name);
        let fits = (1..=MAX_NAME).contains(&name.len());
        let plain = name.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'*'));
        match str::from_utf8(name) {
            Ok(text) if fits && plain => self.put(text),
            _ => self.left_out = self.left_out.saturating_add(1),
        }
    }

    fn put(&mut self, name: &str) {
        if self.count >= MAX_NAMES || self.names.len() + name.len() + 1 > MAX_NAME_BYTES {
            self.left_out = self.left_out.saturating_add(1);
            return;
        }
        self.names.extend(name.chars().map(|c| c.to_ascii_lowercase()));
        self.names.push('\n');
        self.count += 1;
    }
}

const BOOLEAN: u8 = 1;
const INTEGER: u8 = 2;
const OCTETS: u8 = 4;
const OBJECT: u8 = 6;
const UTF8: u8 = 12;
const PRINTABLE: u8 = 19;
const TELETEX: u8 = 20;
const IA5: u8 = 22;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const EXPLICIT_0: u8 = 0xa0;
const EXPLICIT_3: u8 = 0xa3;
const DNS_NAME: u8 = 0x82;
const IP_ADDRESS: u8 = 0x87;
/// 2.5.29.17.
const ALTERNATIVE_NAME: &[u8] = &[0x55, 0x1d, 0x11];
/// 2.5.4.3.
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];

/// The next element: its tag and content (X.690 §8.1). Tags of more than one byte and lengths over 2^24 stand in no
/// certificate that TLS can carry.
fn any<'a>(reader: &mut Reader<'a>) -> Option<(u8, &'a [u8])> {
    let tag = reader.u8()?;
    if tag & 0x1f == 0x1f {
        return None;
    }
    let len = match reader.u8()? {
        short @ 0..=0x7f => usize::from(short),
        long @ 0x81..=0x83 => {
            reader.take(usize::from(long & 3))?.iter().fold(0, |len, byte| len << 8 | usize::from(*byte))
        }
        _ => return None,
    };
    Some((tag, reader.take(len)?))
}

/// The content of the next element, which has this tag.
fn element<'a>(reader: &mut Reader<'a>, tag: u8) -> Option<&'a [u8]> {
    any(reader).filter(|(found, _)| *found == tag).map(|(_, content)| content)
}

/// The last common name of a subject that is text of one byte a character.
fn common_name(subject: &[u8]) -> Option<&[u8]> {
    let mut sets = Reader::new(subject);
    let mut found = None;
    while let Some(set) = element(&mut sets, SET) {
        let mut pairs = Reader::new(set);
        while let Some(pair) = element(&mut pairs, SEQUENCE) {
            let mut pair = Reader::new(pair);
            if element(&mut pair, OBJECT) == Some(COMMON_NAME)
                && let Some((UTF8 | PRINTABLE | TELETEX | IA5, name)) = any(&mut pair)
            {
                found = Some(name);
            }
        }
    }
    found
}
