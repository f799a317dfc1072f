//! TLS as an onlooker without keys sees it: the hellos, the certificate of TLS 1.2, alerts, and where the
//! ciphertext begins (RFC 8446, RFC 5246, RFC 6066, RFC 7301, RFC 9849).
//!
//! One [`Observer`] per connection is fed both directions as they come, and hands what it reads to a [`Sink`].
//! QUIC carries the same hello without records; its reader calls [`ClientHello::parse`].
//!
//! Not read: DTLS, the hello of SSL 2, and a second client hello that follows early data in the same direction.

mod alpn;
mod certificate;
mod client_hello;
pub mod decrypt;
mod fuzz;
mod ja4;
pub mod keys;
mod lane;
mod observer;
mod read;
mod record;
mod server_hello;
mod sni;
mod sniff;
#[cfg(test)]
mod tests;

pub use alpn::Alpn;
pub use certificate::{BadCertificate, Certificate, MAX_NAME_BYTES, MAX_NAMES};
pub use client_hello::{ClientHello, Ech, Transport};
#[doc(hidden)]
pub use fuzz::fuzz_tls;
pub use ja4::Ja4;
pub use observer::{Alert, End, Limits, Observer, Sink, Stats, Want};
pub use server_hello::ServerHello;
pub use sni::{MAX_SNI, Sni, SniProblem, SniProblems};
pub use sniff::{DECIDED_AT, Likeness, looks_like_client_hello, looks_like_server_hello};

/// A protocol version as it stands on the wire (RFC 8446 §4.2.1, §5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Version(pub u16);

impl Version {
    /// TLS 1.2 (RFC 5246).
    pub const TLS12: Self = Self(0x0303);
    /// TLS 1.3 (RFC 8446).
    pub const TLS13: Self = Self(0x0304);

    /// `"1.3"`, `"1.2"`, `"1.1"`, `"1.0"`, `"ssl3"`; `"unknown"` for all others, drafts of TLS 1.3 included.
    pub const fn name(self) -> &'static str {
        match self.0 {
            0x0304 => "1.3",
            0x0303 => "1.2",
            0x0302 => "1.1",
            0x0301 => "1.0",
            0x0300 => "ssl3",
            _ => "unknown",
        }
    }
}

/// The random value of a hello. Not secret on the wire, but it names the keys in a key log, so it is not printed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Random([u8; 32]);

impl Random {
    /// The bytes, for looking up keys.
    pub const fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl std::fmt::Debug for Random {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Random(..)")
    }
}

/// Why a hello cannot be read. Peers refuse such a message too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum HelloError {
    /// A field or a length reaches beyond the end of what it stands in.
    #[error("a field of the hello reaches beyond its end")]
    Truncated,
    /// Bytes stand behind the last field.
    #[error("bytes behind the last field of the hello")]
    Trailing,
    /// A list of two-byte values has an odd length.
    #[error("a list of two-byte values has an odd length")]
    OddList,
    /// The session id is longer than 32 bytes (RFC 8446 §4.1.2).
    #[error("a session id over 32 bytes")]
    SessionId,
}

impl HelloError {
    /// Stable word for metrics.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Truncated => "truncated",
            Self::Trailing => "trailing",
            Self::OddList => "odd_list",
            Self::SessionId => "session_id",
        }
    }
}

/// The session id of a hello, to tell a resumption of TLS 1.2 and below. Never printed.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct SessionId {
    /// INVARIANT: zero behind `len`.
    bytes: [u8; 32],
    len: u8,
}

impl SessionId {
    /// # Errors
    ///
    /// [`HelloError::SessionId`] over 32 bytes.
    fn new(id: &[u8]) -> Result<Self, HelloError> {
        let mut bytes = [0; 32];
        let (Some(to), Ok(len)) = (bytes.get_mut(..id.len()), u8::try_from(id.len())) else {
            return Err(HelloError::SessionId);
        };
        to.copy_from_slice(id);
        Ok(Self { bytes, len })
    }

    const fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl std::fmt::Debug for SessionId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SessionId({} bytes)", self.len)
    }
}

/// Whether `value` is one of those that clients send to keep servers tolerant (RFC 8701 §2).
const fn is_grease(value: u16) -> bool {
    let [hi, lo] = value.to_be_bytes();
    hi == lo && hi & 0x0f == 0x0a
}

/// Extension numbers (IANA TLS `ExtensionType` registry).
mod extension {
    pub(super) const SERVER_NAME: u16 = 0;
    pub(super) const SUPPORTED_GROUPS: u16 = 10;
    pub(super) const SIGNATURE_ALGORITHMS: u16 = 13;
    pub(super) const ALPN: u16 = 16;
    pub(super) const SESSION_TICKET: u16 = 35;
    pub(super) const PRE_SHARED_KEY: u16 = 41;
    pub(super) const EARLY_DATA: u16 = 42;
    pub(super) const SUPPORTED_VERSIONS: u16 = 43;
    pub(super) const KEY_SHARE: u16 = 51;
    pub(super) const ENCRYPTED_CLIENT_HELLO: u16 = 0xfe0d;
    /// Encrypted SNI, the draft before ECH.
    pub(super) const ENCRYPTED_SNI: u16 = 0xffce;
}
