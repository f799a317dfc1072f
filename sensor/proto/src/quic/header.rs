//! Long headers (RFC 9000 §17.2, RFC 9369 §3.2) and version numbers.

use super::read::Reader;

/// A version whose Initial packets can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Version {
    /// RFC 9000.
    V1,
    /// RFC 9369.
    V2,
}

impl Version {
    /// `"1"` or `"2"`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::V1 => "1",
            Self::V2 => "2",
        }
    }
}

/// What a version number stands for; not all of these are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum VersionClass {
    /// Version 1.
    V1,
    /// Version 2.
    V2,
    /// Version 0: a server lists the versions it knows (RFC 9000 §17.2.1).
    Negotiation,
    /// A draft of version 1.
    Draft,
    /// Google's QUIC, before the standard.
    Google,
    /// Facebook's mvfst.
    Mvfst,
    /// Made up to keep servers tolerant (RFC 9000 §15).
    Reserved,
    /// None of these.
    Unknown,
}

impl VersionClass {
    /// Every class, in the order of declaration.
    pub const ALL: [Self; 8] =
        [Self::V1, Self::V2, Self::Negotiation, Self::Draft, Self::Google, Self::Mvfst, Self::Reserved, Self::Unknown];

    /// The class of a number on the wire.
    pub const fn of(version: u32) -> Self {
        match version.to_be_bytes() {
            [0, 0, 0, 1] => Self::V1,
            [0x6b, 0x33, 0x43, 0xcf] => Self::V2,
            [0, 0, 0, 0] => Self::Negotiation,
            [0xff, 0, 0, _] => Self::Draft,
            [b'Q' | b'T', b'0'..=b'9', b'0'..=b'9', b'0'..=b'9'] => Self::Google,
            [0xfa, 0xce, 0xb0, _] => Self::Mvfst,
            _ if version & 0x0f0f_0f0f == 0x0a0a_0a0a => Self::Reserved,
            _ => Self::Unknown,
        }
    }

    /// Stable word for metrics.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::V2 => "v2",
            Self::Negotiation => "negotiation",
            Self::Draft => "draft",
            Self::Google => "google",
            Self::Mvfst => "mvfst",
            Self::Reserved => "reserved",
            Self::Unknown => "unknown",
        }
    }
}

/// A connection id of version 1 or 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Id {
    /// INVARIANT: zero behind `len`.
    bytes: [u8; Self::MAX],
    len: u8,
}

impl Id {
    /// Longest, in bytes (RFC 9000 §17.2).
    const MAX: usize = 20;

    pub(super) fn new(id: &[u8]) -> Option<Self> {
        let mut bytes = [0; Self::MAX];
        bytes.get_mut(..id.len())?.copy_from_slice(id);
        Some(Self { bytes, len: u8::try_from(id.len()).ok()? })
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }
}

/// What a packet of a version that is read holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The packet number stands so far from the beginning.
    Initial(usize),
    Retry,
    /// 0-RTT or Handshake, whose keys are secret.
    Other,
}

/// The first packet of a datagram, or of what is left of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packet<'d> {
    Long {
        version: Version,
        to: Id,
        kind: Kind,
        /// The packet, with nothing behind it.
        bytes: &'d [u8],
    },
    /// Its length is not known: nothing behind it can be read.
    Version(VersionClass),
    /// A short header, or no QUIC at all; goes to the end of the datagram.
    Short,
    /// A long header that ends too early.
    Bad,
    /// The packet goes on behind the end of the datagram.
    Cut(Kind),
}

/// Shortest rest of an Initial packet behind its length: what header protection takes a sample of (RFC 9001 §5.4.2).
const MIN_REST: usize = 20;

impl<'d> Packet<'d> {
    /// Reads the first packet of `bytes`, which are not empty.
    pub(super) fn read(bytes: &'d [u8]) -> Self {
        let mut reader = Reader::new(bytes);
        let (Some(first @ 0x80..), Some(number)) = (reader.u8(), reader.u32()) else { return Self::Short };
        let version = match VersionClass::of(number) {
            VersionClass::V1 => Version::V1,
            VersionClass::V2 => Version::V2,
            other => return Self::Version(other),
        };
        Self::long(version, first, reader, bytes).unwrap_or(Self::Bad)
    }

    fn long(version: Version, first: u8, mut reader: Reader<'d>, bytes: &'d [u8]) -> Option<Self> {
        let to = id(&mut reader)?;
        id(&mut reader)?;
        // The fixed bit beside the type may be anything (RFC 9287).
        let (initial, retry) = match (version, first >> 4 & 3) {
            (Version::V1, 0) | (Version::V2, 1) => (true, false),
            (Version::V1, 3) | (Version::V2, 0) => (false, true),
            _ => (false, false),
        };
        if retry {
            return Some(Self::Long { version, to, kind: Kind::Retry, bytes });
        }
        if initial {
            // Token.
            reader.bytes()?;
        }
        let len = usize::try_from(reader.varint()?).ok()?;
        let at = bytes.len() - reader.rest().len();
        if initial && len < MIN_REST {
            return None;
        }
        let kind = if initial { Kind::Initial(at) } else { Kind::Other };
        Some(match bytes.get(..at.saturating_add(len)) {
            Some(bytes) => Self::Long { version, to, kind, bytes },
            None => Self::Cut(kind),
        })
    }
}

fn id(reader: &mut Reader<'_>) -> Option<Id> {
    let len = reader.u8()?;
    Id::new(reader.take(usize::from(len))?)
}

/// Packets of a datagram among which an Initial packet is looked for.
const LOOKED_AT: usize = 4;

/// Whether a datagram holds an Initial packet of version 1 or 2, as far as its headers show: in front, or behind early
/// data (RFC 9000 §12.2). A datagram that was cut on its way into the capture may be one.
pub fn looks_like_initial(datagram: &[u8]) -> bool {
    let mut rest = datagram;
    for _ in 0..LOOKED_AT {
        match Packet::read(rest) {
            Packet::Long { kind: Kind::Initial(_), .. } | Packet::Cut(Kind::Initial(_)) => return true,
            Packet::Long { kind: Kind::Other, bytes, .. } => rest = rest.get(bytes.len()..).unwrap_or_default(),
            _ => return false,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_belong_to_their_class() {
        for (number, want) in [
            (1, VersionClass::V1),
            (0x6b33_43cf, VersionClass::V2),
            (0, VersionClass::Negotiation),
            (0xff00_001d, VersionClass::Draft),
            (0x5130_3530, VersionClass::Google),
            (0x5430_3531, VersionClass::Google),
            (0xface_b002, VersionClass::Mvfst),
            (0x1a2a_3a4a, VersionClass::Reserved),
            (2, VersionClass::Unknown),
            (0x709a_50c4, VersionClass::Unknown),
        ] {
            assert_eq!(VersionClass::of(number), want, "{number:08x}");
        }
        for (at, class) in VersionClass::ALL.into_iter().enumerate() {
            assert_eq!(class as usize, at, "{}", class.reason());
        }
    }

    #[test]
    fn only_an_initial_packet_looks_like_one() {
        let rest = [0; 20];
        let with = |head: &[u8]| [head, &rest].concat();
        for (what, bytes, want) in [
            ("version 1", with(b"\xc0\0\0\0\x01\x01a\x01b\0\x14"), true),
            ("version 2", with(b"\xd0\x6b\x33\x43\xcf\x01a\x01b\0\x14"), true),
            ("without the fixed bit", with(b"\x80\0\0\0\x01\x01a\x01b\0\x14"), true),
            ("with a token", with(b"\xc0\0\0\0\x01\x01a\x01b\x03abc\x14"), true),
            ("more behind it", with(b"\xc0\0\0\0\x01\x01a\x01b\0\x14ab"), true),
            (
                "behind early data",
                [with(b"\xd0\0\0\0\x01\x01a\x01b\x14"), with(b"\xc0\0\0\0\x01\x01a\x01b\0\x14")].concat(),
                true,
            ),
            ("cut", with(b"\xc0\0\0\0\x01\x01a\x01b\0\x15"), true),
            ("a cut handshake", with(b"\xe0\0\0\0\x01\x01a\x01b\x15"), false),
            ("handshake", with(b"\xe0\0\0\0\x01\x01a\x01b\x14"), false),
            ("0-RTT of version 2", with(b"\xe0\x6b\x33\x43\xcf\x01a\x01b\x14"), false),
            ("retry", with(b"\xf0\0\0\0\x01\x01a\x01b"), false),
            ("a short header", with(b"\x40\0\0\0\x01\x01a\x01b\0\x14"), false),
            ("another version", with(b"\xc0\0\0\0\x02\x01a\x01b\0\x14"), false),
            ("a long connection id", with(b"\xc0\0\0\0\x01\x15aaaaaaaaaaaaaaaaaaaaa\0\0\x14"), false),
            ("too short", with(b"\xc0\0\0\0\x01\x01a\x01b\0\x13"), false),
            ("a token behind the end", with(b"\xc0\0\0\0\x01\x01a\x01b\x40\xff\x14"), false),
            ("nothing", Vec::new(), false),
            ("RTP", with(b"\x80\x60\x12\x34\0\0\0\x01"), false),
        ] {
            assert_eq!(looks_like_initial(&bytes), want, "{what}");
        }
    }
}
