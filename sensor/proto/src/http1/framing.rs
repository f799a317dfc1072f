//! How long a message is (RFC 9112 §6), and what else its fields say about the connection.

use crate::Headers;

/// What the fields of a head say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, each asked for alone")]
pub(crate) struct Facts {
    /// Content-Length, where it can be read at all.
    pub(crate) length: Option<u64>,
    /// `chunked` is among the transfer codings.
    pub(crate) chunked: bool,
    /// Transfer codings other than a plain, last `chunked`.
    pub(crate) odd_coding: bool,
    /// Receivers may disagree about the length.
    pub(crate) ambiguous: bool,
    /// Host fields that differ.
    pub(crate) two_hosts: bool,
    /// What the Upgrade field names.
    pub(crate) upgrade: Upgrade,
    /// Per-message deflate is offered or accepted.
    pub(crate) deflate: bool,
}

/// The protocol in an Upgrade field (RFC 9110 §7.8).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Upgrade {
    #[default]
    None,
    WebSocket,
    Http2,
    Other,
}

/// How a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// After so many bytes more.
    Length(u64),
    /// By its last chunk.
    Chunked(super::chunked::Chunked),
    /// With the direction.
    ToClose,
}

impl Facts {
    /// Reads the fields once.
    pub(crate) fn of(headers: Headers<'_>, version: &str) -> Self {
        let mut facts = Self::default();
        let mut lengths = Lengths::default();
        let mut coded = false;
        let mut host: Option<&[u8]> = None;
        for field in headers.0 {
            let is = |name: &str| field.name.eq_ignore_ascii_case(name);
            match field.name.len() {
                4 if is("host") => match host {
                    Some(first) => facts.two_hosts |= !first.eq_ignore_ascii_case(field.value),
                    None => host = Some(field.value),
                },
                7 if is("upgrade") => facts.upgrade = facts.upgrade.or(field.value),
                14 if is("content-length") => lengths.field(field.value),
                17 if is("transfer-encoding") => {
                    coded = true;
                    facts.codings(field.value);
                }
                24 if is("sec-websocket-extensions") => {
                    facts.deflate |= memchr::memmem::find(field.value, b"permessage-deflate").is_some();
                }
                _ => {}
            }
        }
        facts.odd_coding |= coded && (!facts.chunked || version != "1.1");
        facts.ambiguous = lengths.odd || (coded && lengths.first.is_some());
        facts.length = lengths.first;
        facts
    }

    /// Takes one Transfer-Encoding field. RFC 9112 §6.1 has one `chunked`, at the end; receivers are known that
    /// see it anywhere, so it counts anywhere, but anything else is odd.
    fn codings(&mut self, value: &[u8]) {
        for coding in value.split(|&c| c == b',') {
            let plain = trim(coding, |c| matches!(c, b' ' | b'\t'));
            let bare = trim(plain, |c| c <= b' ');
            let token = bare.split(|&c| matches!(c, b';' | b' ' | b'\t')).next().unwrap_or_default();
            if plain.is_empty() {
                continue;
            }
            // A second coding, behind `chunked` or before it, or one with decoration.
            self.odd_coding |= self.chunked || token != plain || !token.eq_ignore_ascii_case(b"chunked");
            self.chunked |= token.eq_ignore_ascii_case(b"chunked");
        }
    }

    /// How the body of a request ends: no length, no body (§6.3).
    pub(crate) fn request_framing(&self) -> Framing {
        self.known_framing().unwrap_or(Framing::Length(0))
    }

    /// How the body of a response ends that may have one: no length, until the end of the direction (§6.3).
    pub(crate) fn response_framing(&self) -> Framing {
        self.known_framing().unwrap_or(Framing::ToClose)
    }

    /// `chunked` wins over a length (§6.3 rule 3); an unknown coding alone hides no length, as receivers that
    /// do not know it ignore it.
    fn known_framing(&self) -> Option<Framing> {
        if self.chunked {
            Some(Framing::Chunked(super::chunked::Chunked::new()))
        } else {
            self.length.map(Framing::Length)
        }
    }
}

impl Upgrade {
    /// Takes one Upgrade field; `websocket` anywhere in a list counts.
    fn or(self, value: &[u8]) -> Self {
        value.split(|&c| c == b',').fold(self, |found, token| {
            let token = token.split(|&c| c == b'/').next().unwrap_or_default().trim_ascii();
            match found {
                Self::WebSocket => found,
                _ if token.eq_ignore_ascii_case(b"websocket") => Self::WebSocket,
                _ if token.eq_ignore_ascii_case(b"h2c") => Self::Http2,
                Self::None if !token.is_empty() => Self::Other,
                _ => found,
            }
        })
    }
}

/// Content-Length fields as they come. The first that can be read counts, as it does for most receivers that
/// do not refuse the message.
#[derive(Default)]
struct Lengths {
    first: Option<u64>,
    odd: bool,
}

impl Lengths {
    /// Takes one field: a number, or a list as proxies join repeated fields (RFC 9110 §8.6).
    fn field(&mut self, value: &[u8]) {
        for item in value.split(|&c| c == b',') {
            let item = trim(item, |c| matches!(c, b' ' | b'\t'));
            let digits = item.strip_prefix(b"+").unwrap_or(item);
            self.odd |= digits.len() != item.len();
            match number(digits) {
                Some((n, exact)) => {
                    self.odd |= !exact || self.first.is_some_and(|first| first != n);
                    self.first.get_or_insert(n);
                }
                None => self.odd = true,
            }
        }
    }
}

/// Decimal digits; stops at 2^64 - 1, and says whether it did not have to.
fn number(digits: &[u8]) -> Option<(u64, bool)> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let exact = digits.iter().try_fold(0_u64, |n, &c| n.checked_mul(10)?.checked_add(u64::from(c - b'0')));
    Some((exact.unwrap_or(u64::MAX), exact.is_some()))
}

fn trim(mut b: &[u8], blank: impl Fn(u8) -> bool) -> &[u8] {
    while let [first, rest @ ..] = b
        && blank(*first)
    {
        b = rest;
    }
    while let [rest @ .., last] = b
        && blank(*last)
    {
        b = rest;
    }
    b
}
