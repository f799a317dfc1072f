//! The server hello (RFC 8446 §4.1.3, RFC 5246 §7.4.1.3).

use super::client_hello::extensions;
use super::read::Reader;
use super::{Alpn, HelloError, Random, SessionId, Version, extension};

/// The random value that makes a server hello a hello retry request: SHA-256 of "`HelloRetryRequest`" (§4.1.3).
const RETRY: [u8; 32] = [
    0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91, 0xc2, 0xa2, 0x11,
    0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
];

/// What a server hello says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerHello {
    /// The version chosen.
    pub version: Version,
    /// The cipher suite chosen.
    pub cipher: u16,
    /// The protocol chosen, where it can be seen: TLS 1.3 encrypts it. At most one name is legal.
    pub alpn: Alpn,
    /// A hello retry request: the client shall send a second hello, and a true server hello follows.
    pub retry: bool,
    /// A session is resumed: by pre-shared key in TLS 1.3; below that the server repeats the session id of the client,
    /// which can only be told where the client hello was seen.
    pub resumed: bool,
    /// An extension that is read here is not well formed.
    pub bad_extension: bool,
    random: Random,
}

impl ServerHello {
    /// Reads the body of a handshake message of type 2, without its header of four bytes. Where the client hello was
    /// not seen, `offered` is empty.
    ///
    /// # Errors
    ///
    /// [`HelloError`] where the frame of the message contradicts itself.
    pub(super) fn parse(body: &[u8], offered: &SessionId) -> Result<Self, HelloError> {
        let mut reader = Reader::new(body);
        let legacy = Version(reader.u16().ok_or(HelloError::Truncated)?);
        let random = Random(reader.array().ok_or(HelloError::Truncated)?);
        let session_id = SessionId::new(reader.vec8().ok_or(HelloError::Truncated)?)?;
        let cipher = reader.u16().ok_or(HelloError::Truncated)?;
        // Compression method.
        reader.u8().ok_or(HelloError::Truncated)?;
        let mut hello = Self {
            version: legacy,
            cipher,
            alpn: Alpn::default(),
            retry: random.0 == RETRY,
            resumed: false,
            bad_extension: false,
            random,
        };
        let mut psk = false;
        let mut reader = Reader::new(extensions(reader)?);
        while !reader.is_empty() {
            let (Some(number), Some(data)) = (reader.u16(), reader.vec16()) else {
                return Err(HelloError::Truncated);
            };
            match (number, data) {
                (extension::SUPPORTED_VERSIONS, &[hi, lo]) => hello.version = Version(u16::from_be_bytes([hi, lo])),
                (extension::SUPPORTED_VERSIONS, _) => hello.bad_extension = true,
                (extension::PRE_SHARED_KEY, _) => psk = true,
                (extension::ALPN, _) => {
                    let (alpn, bad) = Alpn::parse(data);
                    hello.bad_extension |= bad;
                    hello.alpn = alpn;
                }
                _ => {}
            }
        }
        hello.resumed = if hello.is_tls13() { psk } else { !session_id.is_empty() && session_id == *offered };
        Ok(hello)
    }

    /// Reads the same where no client hello is at hand, as in QUIC, which has TLS 1.3 alone.
    ///
    /// # Errors
    ///
    /// [`HelloError`] where the frame of the message contradicts itself.
    pub fn parse_alone(body: &[u8]) -> Result<Self, HelloError> {
        Self::parse(body, &SessionId::default())
    }

    /// The random value; TLS 1.2 derives its keys from it too.
    pub const fn random(&self) -> &Random {
        &self.random
    }

    /// TLS 1.3 or one of its drafts: what follows is encrypted.
    pub(super) fn is_tls13(&self) -> bool {
        self.version >= Version::TLS13
    }
}
