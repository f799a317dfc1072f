//! The client hello (RFC 8446 §4.1.2, RFC 5246 §7.4.1.2).

use super::ja4::Parts;
use super::read::{Reader, pairs, whole8, whole16};
use super::{Alpn, HelloError, Ja4, Random, SessionId, Sni, Version, extension, is_grease};

/// What carries the handshake; the first letter of a JA4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// Records on TCP.
    Tcp,
    /// CRYPTO frames of QUIC (RFC 9001).
    Quic,
}

/// The Encrypted Client Hello extension (RFC 9849 §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ech {
    /// The hello on the outside: its server name is a public one and the true one is encrypted; or the made-up
    /// extension of a client that has no key for this server (GREASE ECH, §6.2), which is built to look the same.
    Outer,
    /// Marks a hello that was itself encrypted; on the wire only by mistake.
    Inner,
    /// Neither of these.
    Other,
}

/// What a client hello says. Owned and small; tickets and keys are not copied.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts of the wire")]
pub struct ClientHello {
    /// The server name, where the extension is there.
    pub sni: Option<Sni>,
    /// The application protocols offered.
    pub alpn: Alpn,
    /// The highest version offered: of the `supported_versions` extension, else [`ClientHello::legacy_version`].
    pub version: Version,
    /// The version field at the front.
    pub legacy_version: Version,
    /// Encrypted Client Hello.
    pub ech: Option<Ech>,
    /// Encrypted SNI, the draft before ECH.
    pub encrypted_sni: bool,
    /// The fingerprint.
    pub ja4: Ja4,
    /// GREASE values (RFC 8701) stand in it.
    pub grease: bool,
    /// Data follows before the server answers (RFC 8446 §4.2.10).
    pub early_data: bool,
    /// A pre-shared key is offered: TLS 1.3 resumes a session, or has an external key.
    pub psk: bool,
    /// A session ticket of TLS 1.2 (RFC 5077) is offered.
    pub session_ticket: bool,
    /// A key share of a post-quantum group is in it.
    pub post_quantum: bool,
    /// Cipher suites, without GREASE.
    pub ciphers: u16,
    /// Extensions, without GREASE.
    pub extensions: u16,
    /// An extension stands in it twice, which RFC 8446 §4.2 forbids; the first of each is taken.
    pub duplicate_extension: bool,
    /// The content of an extension that is read here, other than the server name, is not well formed. What stands
    /// before the fault is taken.
    pub bad_extension: bool,
    random: Random,
    session_id: SessionId,
}

impl ClientHello {
    /// Reads the body of a handshake message of type 1, without its header of four bytes.
    ///
    /// # Errors
    ///
    /// [`HelloError`] where the frame of the message contradicts itself. Faults inside of an extension are told by
    /// [`ClientHello::bad_extension`] and [`Sni::problems`] instead.
    pub fn parse(body: &[u8], transport: Transport) -> Result<Self, HelloError> {
        let mut reader = Reader::new(body);
        let legacy_version = Version(reader.u16().ok_or(HelloError::Truncated)?);
        let random = Random(reader.array().ok_or(HelloError::Truncated)?);
        let session_id = SessionId::new(reader.vec8().ok_or(HelloError::Truncated)?)?;
        let (suites, odd) = pairs(reader.vec16().ok_or(HelloError::Truncated)?);
        if odd {
            return Err(HelloError::OddList);
        }
        // Compression methods.
        reader.vec8().ok_or(HelloError::Truncated)?;
        let (seen, extensions) = Seen::read(extensions(reader)?)?;

        let mut notes = Notes { grease: seen.grease, bad: false };
        let ciphers = notes.sorted(suites);
        let versions = notes.list(seen.versions, whole8);
        let version = pairs(versions).0.filter(|v| !is_grease(*v)).max().map_or(legacy_version, Version);
        let signatures = notes.list(seen.signatures, whole16);
        notes.list(seen.groups, whole16);
        let post_quantum = notes.key_shares(seen.key_share);
        let alpn = seen.alpn.map(Alpn::parse).map_or_else(Alpn::default, |(alpn, bad)| {
            notes.bad |= bad;
            alpn
        });
        let ja4 = Ja4::new(Parts {
            transport,
            version,
            sni: seen.sni.is_some(),
            alpn: alpn.names().next().unwrap_or_default(),
            ciphers: &ciphers,
            extensions: &extensions,
            signatures: pairs(signatures).0.filter(|s| !is_grease(*s)),
        });
        Ok(Self {
            sni: seen.sni.map(|data| Sni::parse(data, seen.second_sni)),
            alpn,
            version,
            legacy_version,
            ech: seen.ech.map(ech),
            encrypted_sni: seen.encrypted_sni,
            ja4,
            grease: notes.grease,
            early_data: seen.early_data,
            psk: seen.psk,
            session_ticket: seen.session_ticket,
            post_quantum,
            ciphers: count(&ciphers),
            extensions: count(&extensions),
            duplicate_extension: extensions.windows(2).any(|pair| pair.first() == pair.last()),
            bad_extension: notes.bad,
            random,
            session_id,
        })
    }

    /// The random value, by which key logs name the connection.
    pub const fn random(&self) -> &Random {
        &self.random
    }

    pub(super) const fn session_id(&self) -> &SessionId {
        &self.session_id
    }

    /// Whether the client wants to resume a session. Without a session ticket TLS 1.2 does so by session id, which
    /// TLS 1.3 clients fill in any case, so it counts only below 1.3.
    pub fn wants_resumption(&self) -> bool {
        self.psk || self.session_ticket || (self.version < Version::TLS13 && !self.session_id.is_empty())
    }
}

/// The extensions at the end of a hello; a hello may end without.
pub(super) fn extensions(mut reader: Reader<'_>) -> Result<&[u8], HelloError> {
    if reader.is_empty() {
        return Ok(&[]);
    }
    let extensions = reader.vec16().ok_or(HelloError::Truncated)?;
    if reader.is_empty() { Ok(extensions) } else { Err(HelloError::Trailing) }
}

/// The extensions that are looked at; of one that comes twice, the first.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts of the wire")]
struct Seen<'a> {
    sni: Option<&'a [u8]>,
    groups: Option<&'a [u8]>,
    signatures: Option<&'a [u8]>,
    alpn: Option<&'a [u8]>,
    versions: Option<&'a [u8]>,
    key_share: Option<&'a [u8]>,
    ech: Option<&'a [u8]>,
    second_sni: bool,
    session_ticket: bool,
    psk: bool,
    early_data: bool,
    encrypted_sni: bool,
    grease: bool,
}

impl<'a> Seen<'a> {
    /// With the numbers of all extensions but GREASE, sorted.
    fn read(extensions: &'a [u8]) -> Result<(Self, Vec<u16>), HelloError> {
        let (mut seen, mut numbers) = (Self::default(), Vec::with_capacity(USUAL));
        let mut reader = Reader::new(extensions);
        while !reader.is_empty() {
            let (Some(number), Some(data)) = (reader.u16(), reader.vec16()) else {
                return Err(HelloError::Truncated);
            };
            if is_grease(number) {
                seen.grease = true;
                continue;
            }
            numbers.push(number);
            let place = match number {
                extension::SERVER_NAME => {
                    seen.second_sni = seen.sni.is_some();
                    &mut seen.sni
                }
                extension::SUPPORTED_GROUPS => &mut seen.groups,
                extension::SIGNATURE_ALGORITHMS => &mut seen.signatures,
                extension::ALPN => &mut seen.alpn,
                extension::SUPPORTED_VERSIONS => &mut seen.versions,
                extension::KEY_SHARE => &mut seen.key_share,
                extension::ENCRYPTED_CLIENT_HELLO => &mut seen.ech,
                other => {
                    match other {
                        extension::SESSION_TICKET => seen.session_ticket |= !data.is_empty(),
                        extension::PRE_SHARED_KEY => seen.psk = true,
                        extension::EARLY_DATA => seen.early_data = true,
                        extension::ENCRYPTED_SNI => seen.encrypted_sni = true,
                        _ => {}
                    }
                    continue;
                }
            };
            place.get_or_insert(data);
        }
        numbers.sort_unstable();
        Ok((seen, numbers))
    }
}

/// Room for the extensions of nearly every client, so that they take one allocation.
const USUAL: usize = 32;

/// What is gathered over all lists of a hello.
struct Notes {
    grease: bool,
    bad: bool,
}

impl Notes {
    /// `values` without GREASE, sorted.
    fn sorted(&mut self, values: impl Iterator<Item = u16>) -> Vec<u16> {
        let mut all: Vec<u16> = values.collect();
        let before = all.len();
        all.retain(|value| !is_grease(*value));
        self.grease |= all.len() < before;
        all.sort_unstable();
        all
    }

    /// The list of two-byte values that an extension consists of; empty where it is not there or cannot be read.
    fn list<'a>(&mut self, data: Option<&'a [u8]>, whole: impl Fn(&'a [u8]) -> Option<&'a [u8]>) -> &'a [u8] {
        let Some(data) = data else { return &[] };
        let list = whole(data);
        let (mut values, odd) = pairs(list.unwrap_or_default());
        self.bad |= odd || list.is_none();
        self.grease |= values.any(is_grease);
        list.unwrap_or_default()
    }

    /// Whether a share of the `key_share` extension (RFC 8446 §4.2.8) is of a post-quantum group.
    fn key_shares(&mut self, data: Option<&[u8]>) -> bool {
        let Some(data) = data else { return false };
        let list = whole16(data);
        self.bad |= list.is_none();
        let mut reader = Reader::new(list.unwrap_or_default());
        let mut post_quantum = false;
        while !reader.is_empty() {
            let (Some(group), Some(_)) = (reader.u16(), reader.vec16()) else {
                self.bad = true;
                break;
            };
            self.grease |= is_grease(group);
            post_quantum |= is_post_quantum(group);
        }
        post_quantum
    }
}

/// ML-KEM alone and in hybrids (IANA TLS Supported Groups registry), its forerunner Kyber, and CECPQ2.
const fn is_post_quantum(group: u16) -> bool {
    matches!(group, 0x0200..=0x0202 | 0x11eb..=0x11ee | 0x6399 | 0x639a | 0x4138)
}

/// The kind of an `encrypted_client_hello` extension (RFC 9849 §5): cipher suite, config id, key and payload outside,
/// nothing inside.
fn ech(data: &[u8]) -> Ech {
    let mut reader = Reader::new(data);
    match reader.u8() {
        Some(0) => {
            let outer = reader.take(5).and_then(|_| reader.vec16()).and_then(|_| reader.vec16());
            if outer.is_some_and(|payload| !payload.is_empty()) && reader.is_empty() { Ech::Outer } else { Ech::Other }
        }
        Some(1) if reader.is_empty() => Ech::Inner,
        _ => Ech::Other,
    }
}

/// The length of a list out of a message of at most 2^17 bytes.
fn count(list: &[u16]) -> u16 {
    u16::try_from(list.len()).unwrap_or(u16::MAX)
}
