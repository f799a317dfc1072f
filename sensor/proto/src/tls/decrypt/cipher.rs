//! Cipher suites, and the keys of one direction. All cryptography is that of aws-lc.

use super::Undecrypted;
use crate::tls::keys::Secret;
use crate::tls::record::HEADER;
use aws_lc_rs::aead::{self, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::{hkdf, tls_prf};
use zeroize::Zeroize;

/// Bytes of the tag of every suite here.
const TAG: usize = 16;
/// Bytes of a nonce of every suite here.
const NONCE: usize = 12;
/// Bytes of the nonce that stand in a record of TLS 1.2 with AES-GCM (RFC 5288 §3), and of those that do not.
const EXPLICIT: usize = 8;
const IMPLICIT: usize = NONCE - EXPLICIT;
/// Longest key, in bytes.
const MAX_KEY: usize = 32;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Suite {
    Aes128GcmSha256,
    Aes256GcmSha384,
    ChaCha20Poly1305Sha256,
}

impl Suite {
    /// In the order in which they are tried where the choice was not seen.
    pub(super) const ALL: [Self; 3] = [Self::Aes128GcmSha256, Self::Aes256GcmSha384, Self::ChaCha20Poly1305Sha256];

    /// A suite of TLS 1.3 (RFC 8446 §B.4).
    pub(super) const fn tls13(number: u16) -> Result<Self, Undecrypted> {
        match number {
            0x1301 => Ok(Self::Aes128GcmSha256),
            0x1302 => Ok(Self::Aes256GcmSha384),
            0x1303 => Ok(Self::ChaCha20Poly1305Sha256),
            0x1304 | 0x1305 => Err(Undecrypted::CcmSuite),
            _ => Err(Undecrypted::OtherSuite),
        }
    }

    /// A suite of TLS 1.2 (IANA TLS Cipher Suites registry): RFC 5288, 5289, 5487, 7905 and 8442.
    pub(super) const fn tls12(number: u16) -> Result<Self, Undecrypted> {
        match number {
            0x009c..=0x00ad | 0xd001..=0xd002 | 0xc02b..=0xc032 => {
                // They come in pairs; which of the two is first differs.
                let first = number % 2 == if number >= 0xc000 { 1 } else { 0 };
                Ok(if first { Self::Aes128GcmSha256 } else { Self::Aes256GcmSha384 })
            }
            0xcca8..=0xccae => Ok(Self::ChaCha20Poly1305Sha256),
            0xc09c..=0xc0af | 0xd003 | 0xd005 => Err(Undecrypted::CcmSuite),
            // ARIA and Camellia in GCM, the SM and draft ChaCha suites, and what is not given out.
            0x00c6.. => match number {
                0xc001..=0xc04f | 0xc064..=0xc069 | 0xc070..=0xc079 | 0xc094..=0xc09b => Err(Undecrypted::CbcSuite),
                _ => Err(Undecrypted::OtherSuite),
            },
            _ => Err(Undecrypted::CbcSuite),
        }
    }

    /// Length of a secret in bytes.
    pub(super) const fn secret_len(self) -> usize {
        match self {
            Self::Aes256GcmSha384 => 48,
            Self::Aes128GcmSha256 | Self::ChaCha20Poly1305Sha256 => 32,
        }
    }

    fn aead(self) -> &'static aead::Algorithm {
        match self {
            Self::Aes128GcmSha256 => &aead::AES_128_GCM,
            Self::Aes256GcmSha384 => &aead::AES_256_GCM,
            Self::ChaCha20Poly1305Sha256 => &aead::CHACHA20_POLY1305,
        }
    }

    /// HKDF-Expand-Label with an empty context (RFC 8446 §7.1). `None` cannot come of these lengths.
    pub(super) fn expand(self, secret: &Secret, label: &[u8], out: &mut [u8]) -> Option<()> {
        let hash = match self {
            Self::Aes256GcmSha384 => hkdf::HKDF_SHA384,
            Self::Aes128GcmSha256 | Self::ChaCha20Poly1305Sha256 => hkdf::HKDF_SHA256,
        };
        let prefix = b"tls13 ";
        let len = u16::try_from(out.len()).ok()?.to_be_bytes();
        let label_len = [u8::try_from(prefix.len() + label.len()).ok()?];
        let info: [&[u8]; 5] = [&len, &label_len, prefix, label, &[0]];
        let prk = hkdf::Prk::new_less_safe(hash, secret.bytes());
        prk.expand(&info, Length(out.len())).ok()?.fill(out).ok()
    }

    /// The traffic secret after a key update (RFC 8446 §7.2).
    pub(super) fn next_secret(self, secret: &Secret) -> Option<Secret> {
        let mut next = Secret::zero(self.secret_len());
        self.expand(secret, b"traffic upd", next.bytes_mut())?;
        Some(next)
    }
}

struct Length(usize);

impl hkdf::KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

/// Key and nonce of one direction, and how its records are made.
#[derive(Debug)]
pub(super) struct Cipher {
    key: LessSafeKey,
    iv: Iv,
    form: Form,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Tls13,
    /// TLS 1.2, with a part of the nonce in the record.
    Explicit,
    /// TLS 1.2, without.
    Implicit,
}

struct Iv([u8; NONCE]);

impl Drop for Iv {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl std::fmt::Debug for Iv {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Iv(..)")
    }
}

impl Cipher {
    /// What one takes on the heap, in bytes: about 600 of it inside of the library.
    pub(super) const BYTES: usize = 700;

    /// The keys that a traffic secret of TLS 1.3 gives (RFC 8446 §7.3).
    pub(super) fn tls13(suite: Suite, secret: &Secret) -> Option<Self> {
        let (mut key, mut iv) = ([0; MAX_KEY], Iv([0; NONCE]));
        let bytes = key.get_mut(..suite.aead().key_len())?;
        let done = suite.expand(secret, b"key", bytes).and_then(|()| suite.expand(secret, b"iv", &mut iv.0));
        let unbound = UnboundKey::new(suite.aead(), bytes);
        key.zeroize();
        done?;
        Some(Self { key: LessSafeKey::new(unbound.ok()?), iv, form: Form::Tls13 })
    }

    /// The keys of one side in TLS 1.2 (RFC 5246 §6.3).
    pub(super) fn tls12(suite: Suite, master: &Secret, client: bool, randoms: [&[u8; 32]; 2]) -> Option<Self> {
        let prf = match suite {
            Suite::Aes256GcmSha384 => &tls_prf::P_SHA384,
            Suite::Aes128GcmSha256 | Suite::ChaCha20Poly1305Sha256 => &tls_prf::P_SHA256,
        };
        let (form, iv_len) = match suite {
            Suite::ChaCha20Poly1305Sha256 => (Form::Implicit, NONCE),
            Suite::Aes128GcmSha256 | Suite::Aes256GcmSha384 => (Form::Explicit, IMPLICIT),
        };
        let key_len = suite.aead().key_len();
        let [client_random, server_random] = randoms;
        let master = tls_prf::Secret::new(prf, master.bytes()).ok()?;
        let len = 2 * (key_len + iv_len);
        let block = master.derive_with_seed_concatination(b"key expansion", server_random, client_random, len).ok()?;
        let (keys, ivs) = block.as_ref().split_at_checked(2 * key_len)?;
        let side = usize::from(!client);
        let key = keys.chunks_exact(key_len).nth(side)?;
        let given = ivs.chunks_exact(iv_len).nth(side)?;
        let mut iv = Iv([0; NONCE]);
        iv.0.get_mut(..iv_len)?.copy_from_slice(given);
        Some(Self { key: LessSafeKey::new(UnboundKey::new(suite.aead(), key).ok()?), iv, form })
    }

    /// Decrypts a record into `out`; gives the length of the plaintext, or `None` where the tag does not fit.
    pub(super) fn open(&self, seq: u64, header: [u8; HEADER], fragment: &[u8], out: &mut [u8]) -> Option<usize> {
        let mut nonce = self.iv.0;
        let fragment = if self.form == Form::Explicit {
            let (explicit, rest) = fragment.split_at_checked(EXPLICIT)?;
            nonce.get_mut(IMPLICIT..)?.copy_from_slice(explicit);
            rest
        } else {
            for (byte, seq) in nonce.iter_mut().skip(NONCE - 8).zip(seq.to_be_bytes()) {
                *byte ^= seq;
            }
            fragment
        };
        let nonce = Nonce::assume_unique_for_key(nonce);
        let len = fragment.len().checked_sub(TAG)?;
        let (text, tag) = fragment.split_at_checked(len)?;
        let out = out.get_mut(..len)?;
        let opened = if self.form == Form::Tls13 {
            self.key.open_separate_gather(nonce, Aad::from(header), text, tag, out)
        } else {
            // RFC 5246 §6.2.3.3: the number of the record, its header, the length of the plaintext.
            let [kind, major, minor, ..] = header;
            let [high, low] = u16::try_from(len).ok()?.to_be_bytes();
            let mut aad = [0; 13];
            let parts = seq.to_be_bytes().into_iter().chain([kind, major, minor, high, low]);
            aad.iter_mut().zip(parts).for_each(|(to, byte)| *to = byte);
            self.key.open_separate_gather(nonce, Aad::from(aad), text, tag, out)
        };
        opened.ok().map(|()| len)
    }
}
