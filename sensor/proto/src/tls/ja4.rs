//! JA4, the fingerprint of a TLS client, after the published description of `FoxIO`
//! (`technical_details/JA4.md` in the repository `FoxIO-LLC/ja4`; JA4 alone is under the BSD licence, the other
//! fingerprints of that family are not and are not made here).

use super::{Transport, Version, extension};
use sha2::{Digest, Sha256};

/// A JA4 fingerprint: 36 characters, as `t13d1516h2_8daaf6152771_e5627efa2ab1`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ja4([u8; 36]);

/// What a fingerprint is made of, GREASE left out everywhere.
pub(super) struct Parts<'a, S> {
    pub(super) transport: Transport,
    /// Highest version offered.
    pub(super) version: Version,
    /// The server name extension is there.
    pub(super) sni: bool,
    /// First protocol name, empty where there is none.
    pub(super) alpn: &'a [u8],
    /// Cipher suites, sorted.
    pub(super) ciphers: &'a [u16],
    /// Extensions, sorted.
    pub(super) extensions: &'a [u16],
    /// Signature algorithms in the order of the hello.
    pub(super) signatures: S,
}

impl Ja4 {
    pub(super) fn new(parts: Parts<'_, impl Iterator<Item = u16>>) -> Self {
        let mut out = Text { bytes: [b'0'; 36], at: 0 };
        out.put(&[match parts.transport {
            Transport::Tcp => b't',
            Transport::Quic => b'q',
        }]);
        out.put(version(parts.version));
        out.put(if parts.sni { b"d" } else { b"i" });
        out.put(&count(parts.ciphers.len()));
        out.put(&count(parts.extensions.len()));
        out.put(&ends(parts.alpn));
        out.put(b"_");
        let mut ciphers = List::new();
        parts.ciphers.iter().for_each(|c| ciphers.add(*c));
        out.hash(ciphers);
        out.put(b"_");
        let mut list = List::new();
        let counted = |e: &&u16| !matches!(**e, extension::SERVER_NAME | extension::ALPN);
        parts.extensions.iter().filter(counted).for_each(|e| list.add(*e));
        if !list.empty {
            list.next(b"_");
            parts.signatures.for_each(|s| list.add(s));
        }
        out.hash(list);
        Self(out.bytes)
    }

    /// The fingerprint as text.
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl std::fmt::Display for Ja4 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::fmt::Debug for Ja4 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Text that is filled from the left; what has no room is dropped.
struct Text {
    bytes: [u8; 36],
    at: usize,
}

impl Text {
    fn put(&mut self, text: &[u8]) {
        for (to, from) in self.bytes.iter_mut().skip(self.at).zip(text) {
            *to = *from;
        }
        self.at += text.len();
    }

    /// The first 12 hexadecimal digits of the hash of `list`; zeros for an empty one.
    fn hash(&mut self, list: List) {
        let digest: [u8; 32] = if list.empty { [0; 32] } else { list.hash.finalize().into() };
        for byte in digest.iter().take(6) {
            self.put(&[digit(byte >> 4), digit(byte & 15)]);
        }
    }
}

/// The hash of four-digit hexadecimal numbers with commas between.
struct List {
    hash: Sha256,
    separator: &'static [u8],
    empty: bool,
}

impl List {
    fn new() -> Self {
        Self { hash: Sha256::new(), separator: b"", empty: true }
    }

    /// What stands before the next number, should there be one.
    fn next(&mut self, separator: &'static [u8]) {
        self.separator = separator;
    }

    fn add(&mut self, value: u16) {
        let [hi, lo] = value.to_be_bytes();
        self.hash.update(self.separator);
        self.hash.update([digit(hi >> 4), digit(hi & 15), digit(lo >> 4), digit(lo & 15)]);
        self.separator = b",";
        self.empty = false;
    }
}

/// A hexadecimal digit of a number below 16.
const fn digit(n: u8) -> u8 {
    if n < 10 { b'0' + n } else { b'a' + (n & 15) - 10 }
}

fn version(version: Version) -> &'static [u8; 2] {
    match version.0 {
        0x0304 => b"13",
        0x0303 => b"12",
        0x0302 => b"11",
        0x0301 => b"10",
        0x0300 => b"s3",
        0x0002 => b"s2",
        _ => b"00",
    }
}

/// Two decimal digits, 99 for more.
fn count(n: usize) -> [u8; 2] {
    let n = u8::try_from(n.min(99)).unwrap_or(99);
    [b'0' + n / 10, b'0' + n % 10]
}

/// First and last character of a name, or of its hexadecimal form where one of the two is no letter or digit.
fn ends(name: &[u8]) -> [u8; 2] {
    match (name.first(), name.last()) {
        (Some(first), Some(last)) if first.is_ascii_alphanumeric() && last.is_ascii_alphanumeric() => [*first, *last],
        (Some(first), Some(last)) => [digit(first >> 4), digit(last & 15)],
        _ => *b"00",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the description.
    const CIPHERS: [u16; 15] = [
        0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc013, 0xc014, 0x009c, 0x009d, 0x002f,
        0x0035,
    ];
    const EXTENSIONS: [u16; 16] = [
        0x001b, 0x0000, 0x0033, 0x0010, 0x4469, 0x0017, 0x002d, 0x000d, 0x0005, 0x0023, 0x0012, 0x002b, 0xff01, 0x000b,
        0x000a, 0x0015,
    ];
    const SIGNATURES: [u16; 8] = [0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601];

    fn made(ciphers: &[u16], extensions: &[u16], signatures: &[u16], alpn: &[u8]) -> Ja4 {
        let (mut ciphers, mut extensions) = (ciphers.to_vec(), extensions.to_vec());
        ciphers.sort_unstable();
        extensions.sort_unstable();
        Ja4::new(Parts {
            transport: Transport::Tcp,
            version: Version::TLS13,
            sni: extensions.contains(&0),
            alpn,
            ciphers: &ciphers,
            extensions: &extensions,
            signatures: signatures.iter().copied(),
        })
    }

    #[test]
    fn the_examples_of_the_description_come_out() {
        for (got, want) in [
            (made(&CIPHERS, &EXTENSIONS, &SIGNATURES, b"h2"), "t13d1516h2_8daaf6152771_e5627efa2ab1"),
            // Without signature algorithms the string ends without an underscore.
            (made(&CIPHERS, &EXTENSIONS, &[], b"h2"), "t13d1516h2_8daaf6152771_6d807ffa2a79"),
            (made(&[], &[], &[], b""), "t13i000000_000000000000_000000000000"),
            // Server name and protocols alone leave the third part empty.
            (made(&[], &[0, 16], &[], b"h2"), "t13d0002h2_000000000000_000000000000"),
        ] {
            assert_eq!(got.as_str(), want);
        }
    }

    /// Expected values of the description's own test captures (`python/test/testdata/*.json`, raw lists beside them).
    #[test]
    fn the_values_of_the_published_test_captures_come_out() {
        let grown = [
            0x0005, 0x000a, 0x000b, 0x000d, 0x0012, 0x0017, 0x001b, 0x0023, 0x002b, 0x002d, 0x0033, 0x44cd, 0xca34,
            0xfe0d, 0xff01, 0x0000, 0x0010,
        ];
        let signatures =
            [0x0904, 0x0905, 0x0906, 0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601].as_slice();
        let without = |leave: u16| EXTENSIONS.into_iter().filter(|e| *e != leave).collect::<Vec<_>>();
        let resumed = [&EXTENSIONS[..], &[0x29]].concat();
        for (got, want) in [
            // sigalg-grease.pcapng
            (made(&CIPHERS, &grown, signatures, b"h2"), "t13d1517h2_8daaf6152771_cb7bf5808d99"),
            // tls-handshake.pcapng
            (made(&CIPHERS, &EXTENSIONS, &SIGNATURES, b"http/1.1"), "t13d1516h1_8daaf6152771_e5627efa2ab1"),
            (made(&CIPHERS, &resumed, &SIGNATURES, b"http/1.1"), "t13d1517h1_8daaf6152771_6cdcb247c39b"),
            (made(&CIPHERS, &without(0x15), &SIGNATURES, b"h2"), "t13d1515h2_8daaf6152771_f37e75b10bcc"),
        ] {
            assert_eq!(got.as_str(), want);
        }
    }

    #[test]
    fn protocol_names_give_their_ends() {
        for (name, want) in [
            (&b""[..], b"00"),
            (b"h2", b"h2"),
            (b"http/1.1", b"h1"),
            (b"x", b"xx"),
            (b"\xab", b"ab"),
            (b"\x20", b"20"),
            (b"\xab\xcd", b"ad"),
            (b"\x20\x61", b"21"),
            (b"\x30\xab", b"3b"),
            (b"\x61\x20", b"60"),
            (b"\x30\x31\xab\xcd", b"3d"),
            (b"\x30\xab\xcd\x31", b"01"),
        ] {
            assert_eq!(&ends(name), want, "{name:x?}");
        }
    }

    #[test]
    fn versions_and_counts_take_two_characters() {
        for (number, want) in [
            (0x0304, b"13"),
            (0x0303, b"12"),
            (0x0302, b"11"),
            (0x0301, b"10"),
            (0x0300, b"s3"),
            (0x0002, b"s2"),
            (0x7f1c, b"00"),
        ] {
            assert_eq!(version(Version(number)), want, "{number:x}");
        }
        for (n, want) in [(0, b"00"), (6, b"06"), (10, b"10"), (99, b"99"), (100, b"99"), (70_000, b"99")] {
            assert_eq!(&count(n), want);
        }
    }
}
