//! The server name that a client claims (RFC 6066 §3).

use super::read::{Reader, whole16};
use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Most bytes of a server name that are kept; what is escaped counts as written.
pub const MAX_SNI: usize = 255;
/// Longest host name without its final dot, in bytes (RFC 1035 §3.1).
const MAX_HOST: usize = 253;
/// Longest label, in bytes (RFC 1035 §2.3.4).
const MAX_LABEL: usize = 63;

/// Something about a server name that receivers may take in different ways, or refuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum SniProblem {
    /// There is no host name in the list, or an empty one.
    Empty,
    /// More than one name, or more than one server name extension. The first host name is taken.
    Several,
    /// A name of a kind other than host name.
    OtherKind,
    /// More than 253 bytes.
    TooLong,
    /// Letters in upper case.
    UpperCase,
    /// A dot at the end.
    TrailingDot,
    /// An IP address, which RFC 6066 forbids here.
    Address,
    /// Control bytes.
    Control,
    /// Bytes outside of ASCII.
    NotAscii,
    /// Bytes that are none of the above and stand in no host name (letters, digits, `-`, `_` and `.` do).
    OddByte,
    /// A label that is empty or over 63 bytes.
    OddLabel,
    /// Lengths that contradict each other.
    Framing,
}

impl SniProblem {
    /// Every problem, in the order of declaration.
    pub const ALL: [Self; 12] = [
        Self::Empty,
        Self::Several,
        Self::OtherKind,
        Self::TooLong,
        Self::UpperCase,
        Self::TrailingDot,
        Self::Address,
        Self::Control,
        Self::NotAscii,
        Self::OddByte,
        Self::OddLabel,
        Self::Framing,
    ];

    /// Stable word for metrics and events.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Several => "several",
            Self::OtherKind => "other_kind",
            Self::TooLong => "too_long",
            Self::UpperCase => "upper_case",
            Self::TrailingDot => "trailing_dot",
            Self::Address => "address",
            Self::Control => "control",
            Self::NotAscii => "not_ascii",
            Self::OddByte => "odd_byte",
            Self::OddLabel => "odd_label",
            Self::Framing => "framing",
        }
    }

    const fn bit(self) -> u16 {
        1 << self as u16
    }
}

/// A set of [`SniProblem`].
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct SniProblems(u16);

impl SniProblems {
    /// Whether `what` is among them.
    pub const fn has(self, what: SniProblem) -> bool {
        self.0 & what.bit() != 0
    }

    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Each one, in the order of declaration.
    pub fn iter(self) -> impl Iterator<Item = SniProblem> {
        SniProblem::ALL.into_iter().filter(move |p| self.has(*p))
    }

    const fn add(&mut self, what: SniProblem) {
        self.0 |= what.bit();
    }

    fn add_if(&mut self, found: bool, what: SniProblem) {
        if found {
            self.add(what);
        }
    }
}

impl std::fmt::Debug for SniProblems {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

/// The server name extension of a client hello. A name is a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sni {
    /// Printable ASCII, at most [`MAX_SNI`] bytes.
    text: Box<str>,
    /// What is odd about it.
    pub problems: SniProblems,
}

impl Sni {
    /// The name as a host to match: lower case, without a dot at the end, an IP address included. `None` where it
    /// cannot be the name of a host, see [`Sni::text`].
    pub fn host(&self) -> Option<&str> {
        const NO_HOST: u16 = SniProblem::Empty.bit()
            | SniProblem::TooLong.bit()
            | SniProblem::Control.bit()
            | SniProblem::NotAscii.bit()
            | SniProblem::OddByte.bit()
            | SniProblem::OddLabel.bit();
        (self.problems.0 & NO_HOST == 0).then_some(&self.text)
    }

    /// Where the name cannot be that of a host, what stands before the first byte that no host name holds: some
    /// receivers stop there.
    pub fn front(&self) -> &str {
        let end = self.text.find(|c: char| !matches!(c, 'a'..='z' | '0'..='9' | '-' | '_' | '.'));
        self.text.get(..end.unwrap_or(self.text.len())).unwrap_or_default().trim_end_matches('.')
    }

    /// The name to be shown: as [`Sni::host`] where that is one, else what was sent in lower case, with bytes that are
    /// not printable ASCII as `\x00`, cut at [`MAX_SNI`] bytes. Empty where no name was sent.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Reads the content of the extension, as far as that can be done; `repeated` where there was a second one.
    pub(super) fn parse(data: &[u8], repeated: bool) -> Self {
        let mut problems = SniProblems::default();
        problems.add_if(repeated, SniProblem::Several);
        let list = whole16(data);
        problems.add_if(list.is_none(), SniProblem::Framing);
        // A list whose own length is wrong is read all the same: some receiver may.
        let mut reader = Reader::new(list.or_else(|| data.get(2..)).unwrap_or_default());
        let (mut first, mut names) = (None, 0_u32);
        while !reader.is_empty() {
            let (Some(kind), Some(name)) = (reader.u8(), reader.vec16()) else {
                problems.add(SniProblem::Framing);
                break;
            };
            names += 1;
            if kind == 0 {
                first = first.or(Some(name));
            } else {
                problems.add(SniProblem::OtherKind);
            }
        }
        problems.add_if(names > 1, SniProblem::Several);
        Self::new(first.unwrap_or_default(), problems)
    }

    fn new(name: &[u8], mut problems: SniProblems) -> Self {
        let bare = name.strip_suffix(b".").unwrap_or(name);
        problems.add_if(bare.len() < name.len(), SniProblem::TrailingDot);
        problems.add_if(bare.is_empty(), SniProblem::Empty);
        problems.add_if(bare.len() > MAX_HOST, SniProblem::TooLong);
        let address = is_address(bare);
        problems.add_if(address, SniProblem::Address);
        let mut label = 0_usize;
        for byte in bare {
            match byte {
                b'.' => {
                    problems.add_if(label == 0, SniProblem::OddLabel);
                    label = 0;
                    continue;
                }
                b'A'..=b'Z' => problems.add(SniProblem::UpperCase),
                b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => {}
                0..=0x1f | 0x7f => problems.add(SniProblem::Control),
                0x80.. => problems.add(SniProblem::NotAscii),
                _ => problems.add_if(!address, SniProblem::OddByte),
            }
            label += 1;
            problems.add_if(label > MAX_LABEL, SniProblem::OddLabel);
        }
        problems.add_if(label == 0 && !bare.is_empty(), SniProblem::OddLabel);
        Self { text: shown(bare), problems }
    }
}

/// Whether `name` is an IP address as it stands in a URL: four numbers, or IPv6 with or without brackets.
fn is_address(name: &[u8]) -> bool {
    let Ok(text) = str::from_utf8(name) else { return false };
    let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text);
    bare.parse::<Ipv6Addr>().is_ok() || text.parse::<Ipv4Addr>().is_ok()
}

/// `name` in lower case and printable.
fn shown(name: &[u8]) -> Box<str> {
    let mut text = String::with_capacity(name.len().min(MAX_SNI));
    for byte in name {
        let width = if byte.is_ascii_graphic() { 1 } else { 4 };
        if text.len() + width > MAX_SNI {
            break;
        }
        if width == 1 {
            text.push(char::from(byte.to_ascii_lowercase()));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text.into_boxed_str()
}

#[cfg(test)]
mod tests {
    use super::SniProblem as P;
    use super::*;

    /// The extension with these names, each with its kind.
    fn list(names: &[(u8, &[u8])]) -> Vec<u8> {
        let len = |n: usize| u16::try_from(n).unwrap().to_be_bytes();
        let inner: Vec<u8> =
            names.iter().flat_map(|(kind, name)| [&[*kind][..], &len(name.len()), name].concat()).collect();
        [&len(inner.len())[..], &inner].concat()
    }

    #[track_caller]
    fn check(data: &[u8], host: Option<&str>, text: &str, problems: &[P]) {
        let sni = Sni::parse(data, false);
        assert_eq!((sni.host(), sni.text()), (host, text));
        assert_eq!(sni.problems.iter().collect::<Vec<_>>(), problems);
    }

    #[test]
    fn names_are_brought_to_one_form_and_their_oddities_told() {
        for (name, host, text, problems) in [
            (&b"mcp.example.com"[..], Some("mcp.example.com"), "mcp.example.com", &[][..]),
            (b"_mcp.xn--bcher-kva.example", Some("_mcp.xn--bcher-kva.example"), "_mcp.xn--bcher-kva.example", &[]),
            (b"localhost", Some("localhost"), "localhost", &[]),
            (b"MCP.Example.com", Some("mcp.example.com"), "mcp.example.com", &[P::UpperCase]),
            (b"mcp.example.com.", Some("mcp.example.com"), "mcp.example.com", &[P::TrailingDot]),
            (b"192.0.2.7", Some("192.0.2.7"), "192.0.2.7", &[P::Address]),
            (b"2001:db8::7", Some("2001:db8::7"), "2001:db8::7", &[P::Address]),
            (b"[2001:DB8::7]", Some("[2001:db8::7]"), "[2001:db8::7]", &[P::UpperCase, P::Address]),
            (b"192.0.2.7:443", None, "192.0.2.7:443", &[P::OddByte]),
            (b"a\0.example", None, "a\\x00.example", &[P::Control]),
            (b"a\r\nb.example", None, "a\\x0d\\x0ab.example", &[P::Control]),
            (b"b\xc3\xbccher.example", None, "b\\xc3\\xbccher.example", &[P::NotAscii]),
            (b"a b.example", None, "a\\x20b.example", &[P::OddByte]),
            (b"a/b.example", None, "a/b.example", &[P::OddByte]),
            (b"*.example", None, "*.example", &[P::OddByte]),
            (b"a..example", None, "a..example", &[P::OddLabel]),
            (b".example", None, ".example", &[P::OddLabel]),
            (b"example..", None, "example.", &[P::TrailingDot, P::OddLabel]),
            (b".", None, "", &[P::Empty, P::TrailingDot]),
            (b"", None, "", &[P::Empty]),
        ] {
            check(&list(&[(0, name)]), host, text, problems);
        }
    }

    #[test]
    fn what_stands_before_an_odd_byte_can_be_asked_for() {
        for (name, front) in [
            (&b"MCP.example\0"[..], "mcp.example"),
            (b"mcp.example\0.other.example", "mcp.example"),
            (b"mcp.example:443", "mcp.example"),
            (b"mcp.example..", "mcp.example"),
            (b"\0mcp.example", ""),
            (b"", ""),
        ] {
            assert_eq!(Sni::parse(&list(&[(0, name)]), false).front(), front);
        }
    }

    #[test]
    fn long_names_are_cut_and_no_host() {
        let label = "a".repeat(63);
        let fits = format!("{label}.{label}.{label}.{}", "b".repeat(61));
        assert_eq!(fits.len(), 253);
        check(&list(&[(0, fits.as_bytes())]), Some(&fits), &fits, &[]);
        check(&list(&[(0, format!("{fits}.").as_bytes())]), Some(&fits), &fits, &[P::TrailingDot]);
        let over = format!("{fits}b");
        check(&list(&[(0, over.as_bytes())]), None, &over, &[P::TooLong]);
        let far = "a.".repeat(2000);
        check(&list(&[(0, far.as_bytes())]), None, &"a.".repeat(128)[..255], &[P::TooLong, P::TrailingDot]);
        let label = "a".repeat(64);
        check(&list(&[(0, label.as_bytes())]), None, &label, &[P::OddLabel]);
        let bytes = [0_u8; 100];
        let sni = Sni::parse(&list(&[(0, &bytes)]), false);
        assert_eq!((sni.text().len(), sni.host()), (252, None));
    }

    #[test]
    fn the_first_host_name_of_a_list_counts() {
        check(&list(&[(0, b"a.example"), (0, b"b.example")]), Some("a.example"), "a.example", &[P::Several]);
        check(&list(&[(7, b"x"), (0, b"b.example")]), Some("b.example"), "b.example", &[P::Several, P::OtherKind]);
        check(&list(&[(7, b"x")]), None, "", &[P::Empty, P::OtherKind]);
        check(&list(&[]), None, "", &[P::Empty]);
        let sni = Sni::parse(&list(&[(0, b"a.example")]), true);
        assert_eq!((sni.host(), sni.problems.has(P::Several)), (Some("a.example"), true));
    }

    #[test]
    fn lengths_that_lie_are_told_and_what_can_be_read_is_read() {
        let good = list(&[(0, b"a.example")]);
        let with = |at: usize, byte: u8| {
            let mut bad = good.clone();
            bad[at] = byte;
            bad
        };
        check(&with(1, 13), Some("a.example"), "a.example", &[P::Framing]);
        check(&with(1, 11), Some("a.example"), "a.example", &[P::Framing]);
        check(&with(4, 10), None, "", &[P::Empty, P::Framing]);
        check(&with(4, 8), Some("a.exampl"), "a.exampl", &[P::Framing]);
        check(&[&good[..], b"x"].concat(), Some("a.example"), "a.example", &[P::Framing]);
        check(b"", None, "", &[P::Empty, P::Framing]);
        check(b"\0", None, "", &[P::Empty, P::Framing]);
    }
}
