//! Keys of Initial packets, and the tag of Retry packets (RFC 9001 §5, RFC 9369 §3.3). These keys are no secret: they
//! follow from a connection id that everybody on the way can see.

use super::header::{Id, Version};
use aws_lc_rs::aead::quic::{AES_128, HeaderProtectionKey};
use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Prk, Salt};

/// What differs between the versions.
struct Words {
    salt: [u8; 20],
    key: &'static [u8],
    iv: &'static [u8],
    header: &'static [u8],
    retry_key: [u8; 16],
    retry_nonce: [u8; NONCE_LEN],
}

/// RFC 9001 §5.2, §5.1, §5.8.
const V1: Words = Words {
    salt: [
        0x38, 0x76, 0x2c, 0xf7, 0xf5, 0x59, 0x34, 0xb3, 0x4d, 0x17, 0x9a, 0xe6, 0xa4, 0xc8, 0x0c, 0xad, 0xcc, 0xbb,
        0x7f, 0x0a,
    ],
    key: b"quic key",
    iv: b"quic iv",
    header: b"quic hp",
    retry_key: [0xbe, 0x0c, 0x69, 0x0b, 0x9f, 0x66, 0x57, 0x5a, 0x1d, 0x76, 0x6b, 0x54, 0xe3, 0x68, 0xc8, 0x4e],
    retry_nonce: [0x46, 0x15, 0x99, 0xd3, 0x5d, 0x63, 0x2b, 0xf2, 0x23, 0x98, 0x25, 0xbb],
};

/// RFC 9369 §3.3.
const V2: Words = Words {
    salt: [
        0x0d, 0xed, 0xe3, 0xde, 0xf7, 0x00, 0xa6, 0xdb, 0x81, 0x93, 0x81, 0xbe, 0x6e, 0x26, 0x9d, 0xcb, 0xf9, 0xbd,
        0x2e, 0xd9,
    ],
    key: b"quicv2 key",
    iv: b"quicv2 iv",
    header: b"quicv2 hp",
    retry_key: [0x8f, 0xb4, 0xb0, 0x1b, 0x56, 0xac, 0x48, 0xe2, 0x60, 0xfb, 0xcb, 0xce, 0xad, 0x7c, 0xcc, 0x92],
    retry_nonce: [0xd8, 0x69, 0x69, 0xbc, 0x2d, 0x7c, 0x6d, 0x99, 0x90, 0xef, 0xb0, 0x4a],
};

const fn words(version: Version) -> &'static Words {
    match version {
        Version::V1 => &V1,
        Version::V2 => &V2,
    }
}

/// Keys of both sides, for one version and one connection id.
pub(super) struct Keys {
    pub(super) client: Side,
    pub(super) server: Side,
}

impl Keys {
    /// The keys that follow from the connection id that the client chose for the server. Errors are those of the
    /// library, which sees nothing here that it could refuse.
    pub(super) fn new(version: Version, id: &Id) -> Result<Self, Unspecified> {
        let words = words(version);
        let secret = initial(words, id);
        Ok(Self { client: Side::new(words, &secret, b"client in")?, server: Side::new(words, &secret, b"server in")? })
    }
}

/// RFC 9001 §5.2.
fn initial(words: &Words, id: &Id) -> Prk {
    Salt::new(HKDF_SHA256, &words.salt).extract(id.bytes())
}

/// Keys of what one side sends.
pub(super) struct Side {
    key: LessSafeKey,
    iv: [u8; NONCE_LEN],
    header: HeaderProtectionKey,
}

impl Side {
    fn new(words: &Words, initial: &Prk, label: &[u8]) -> Result<Self, Unspecified> {
        let Material { key, iv, header } = Material::new(words, initial, label)?;
        Ok(Self {
            key: LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &key)?),
            iv,
            header: HeaderProtectionKey::new(&AES_128, &header)?,
        })
    }

    /// Decrypts the packet whose packet number stands at `at`, into `buffer`; the number and the payload. `None` where
    /// it was not made with these keys.
    pub(super) fn open<'b>(
        &self,
        buffer: &'b mut Vec<u8>,
        packet: &[u8],
        at: usize,
        expected: u64,
    ) -> Option<(u64, &'b [u8])> {
        let [first_mask, mask @ ..] = self.header.new_mask(packet.get(at + 4..at + 20)?).ok()?;
        buffer.clear();
        buffer.extend_from_slice(packet);
        let first = buffer.first_mut()?;
        *first ^= first_mask & 0x0f;
        let len = usize::from(*first & 3) + 1;
        let mut low = 0;
        for (byte, mask) in buffer.iter_mut().skip(at).take(len).zip(mask) {
            *byte ^= mask;
            low = low << 8 | u64::from(*byte);
        }
        let number = full_number(expected, low, len);
        let (head, payload) = buffer.split_at_mut_checked(at + len)?;
        let payload = self.key.open_in_place(nonce(&self.iv, number), Aad::from(&*head), payload).ok()?;
        Some((number, payload))
    }
}

/// What [`Side`] is made of.
struct Material {
    key: [u8; 16],
    iv: [u8; NONCE_LEN],
    header: [u8; 16],
}

impl Material {
    fn new(words: &Words, initial: &Prk, label: &[u8]) -> Result<Self, Unspecified> {
        let secret = Prk::new_less_safe(HKDF_SHA256, &expand::<32>(initial, label)?);
        Ok(Self {
            key: expand(&secret, words.key)?,
            iv: expand(&secret, words.iv)?,
            header: expand(&secret, words.header)?,
        })
    }
}

/// HKDF-Expand-Label with an empty context (RFC 8446 §7.1).
fn expand<const N: usize>(secret: &Prk, label: &[u8]) -> Result<[u8; N], Unspecified> {
    struct Len(usize);
    impl KeyType for Len {
        fn len(&self) -> usize {
            self.0
        }
    }
    const PREFIX: &[u8] = b"tls13 ";
    let len = u16::try_from(N).map_err(|_| Unspecified)?.to_be_bytes();
    let label_len = [u8::try_from(PREFIX.len() + label.len()).map_err(|_| Unspecified)?];
    let mut out = [0; N];
    secret.expand(&[&len, &label_len, PREFIX, label, &[0]], Len(N))?.fill(&mut out)?;
    Ok(out)
}

/// RFC 9001 §5.3.
fn nonce(iv: &[u8; NONCE_LEN], number: u64) -> Nonce {
    let mut nonce = *iv;
    for (byte, n) in nonce.iter_mut().rev().zip(number.to_le_bytes()) {
        *byte ^= n;
    }
    Nonce::assume_unique_for_key(nonce)
}

/// The packet number near `expected` that ends in these `len` bytes (RFC 9000 §A.3).
fn full_number(expected: u64, low: u64, len: usize) -> u64 {
    let window = 1_u64 << (8 * len.min(4));
    let candidate = expected & !(window - 1) | low;
    if candidate.saturating_add(window / 2) <= expected && candidate < (1 << 62) - window {
        candidate + window
    } else if candidate > expected.saturating_add(window / 2) && candidate >= window {
        candidate - window
    } else {
        candidate
    }
}

/// Whether a Retry packet ends in the tag of one that answers the connection id `id` (RFC 9001 §5.8).
pub(super) fn is_genuine_retry(version: Version, id: &Id, buffer: &mut Vec<u8>, packet: &[u8]) -> bool {
    let words = words(version);
    let Some((front, tag)) = packet.split_last_chunk::<16>() else { return false };
    buffer.clear();
    buffer.extend(u8::try_from(id.bytes().len()));
    buffer.extend_from_slice(id.bytes());
    buffer.extend_from_slice(front);
    let Ok(key) = UnboundKey::new(&AES_128_GCM, &words.retry_key) else { return false };
    let nonce = Nonce::assume_unique_for_key(words.retry_nonce);
    LessSafeKey::new(key).open_in_place(nonce, Aad::from(&*buffer), &mut { *tag }).is_ok()
}

#[cfg(test)]
mod tests {
    use super::super::vectors::{CLIENT_ID, KEYS, unhex};
    use super::*;

    #[test]
    fn keys_are_those_of_the_specifications() {
        let id = Id::new(&unhex(CLIENT_ID)).unwrap();
        for (version, label, want) in KEYS {
            let words = words(version);
            let got = Material::new(words, &initial(words, &id), label).unwrap();
            assert_eq!(
                [&got.key[..], &got.iv, &got.header],
                want.map(unhex).each_ref().map(Vec::as_slice),
                "{version:?}"
            );
        }
    }

    #[test]
    fn packet_numbers_grow_back() {
        for (expected, low, len, want) in [
            // RFC 9000 §A.3.
            (0xa82f_30eb, 0x9b32, 2, 0xa82f_9b32),
            (0, 0, 1, 0),
            (0, 0xff, 1, 0xff),
            (0x100, 0xff, 1, 0xff),
            (0x1ff, 0, 1, 0x200),
            (u64::MAX, 0, 4, 0xffff_ffff_0000_0000),
        ] {
            assert_eq!(full_number(expected, low, len), want, "{expected:x} {low:x}");
        }
    }
}
