//! The key of the CA: its forms on disk, and signing. In memory it is the cryptographic library's alone, which wipes it.

use super::{CaError, files};
use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use aws_lc_rs::rsa::KeyPair as RsaKeyPair;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256,
};
use pkcs8::der::pem::LineEnding;
use pkcs8::pkcs5::{self, pbes2, scrypt};
use pkcs8::{EncryptedPrivateKeyInfoRef, PrivateKeyInfoRef, SecretDocument};
use std::path::Path;
use zeroize::Zeroizing;

/// A key that signs certificates.
pub(super) enum Signer {
    /// ECDSA with SHA-256.
    P256(EcdsaKeyPair),
    /// ECDSA with SHA-384.
    P384(EcdsaKeyPair),
    /// RSA PKCS #1 v1.5 with SHA-256.
    Rsa(RsaKeyPair),
}

/// Random bytes.
///
/// # Errors
///
/// [`CaError::Crypto`].
pub(super) fn random<const N: usize>() -> Result<[u8; N], CaError> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).map_err(|_| CaError::Crypto("give random numbers"))?;
    Ok(bytes)
}

/// A serial number: 16 bytes, of which 126 bits are random; positive, and of the same length always (RFC 5280 section
/// 4.1.2.2).
///
/// # Errors
///
/// [`CaError::Crypto`].
pub(super) fn serial() -> Result<[u8; 16], CaError> {
    let mut serial = random::<16>()?;
    if let Some(first) = serial.first_mut() {
        *first = *first & 0x7f | 0x40;
    }
    Ok(serial)
}

impl Signer {
    /// A new key, ECDSA P-256.
    ///
    /// # Errors
    ///
    /// [`CaError::Crypto`].
    pub(super) fn generate() -> Result<Self, CaError> {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING);
        pair.map(Self::P256).map_err(|_| CaError::Crypto("make a key"))
    }

    /// Reads a key from a file that is its owner's alone.
    ///
    /// # Errors
    ///
    /// [`CaError`].
    pub(super) fn read(path: &Path, passphrase: Option<&Path>) -> Result<Self, CaError> {
        let text = files::read_secret(path)?;
        let no_key = |why: &str| CaError::NoKey { path: path.to_owned(), why: why.to_owned() };
        let text = std::str::from_utf8(&text).map_err(|_| no_key("it is no PEM"))?;
        let block = private_key_block(text).ok_or_else(|| no_key("there is no PEM block of one in it"))?;
        if block.contains("\nProc-Type:") {
            return Err(CaError::Encryption { path: path.to_owned(), why: "in the old way of OpenSSL".to_owned() });
        }
        let (label, document) = SecretDocument::from_pem(block).map_err(|error| no_key(&error.to_string()))?;
        let document = if label == "ENCRYPTED PRIVATE KEY" {
            let passphrase = passphrase.ok_or_else(|| CaError::NoPassphrase(path.to_owned()))?;
            decrypt(&document, &read_passphrase(passphrase)?, path)?
        } else {
            document
        };
        Self::from_der(document.as_bytes()).ok_or_else(|| CaError::KeyKind(path.to_owned()))
    }

    /// PKCS #8, and what EC (RFC 5915) and RSA (RFC 8017) keys have of their own.
    fn from_der(der: &[u8]) -> Option<Self> {
        let ec = |algorithm| EcdsaKeyPair::from_private_key_der(algorithm, der).ok();
        let rsa = || RsaKeyPair::from_pkcs8(der).or_else(|_| RsaKeyPair::from_der(der)).ok();
        ec(&ECDSA_P256_SHA256_ASN1_SIGNING)
            .map(Self::P256)
            .or_else(|| ec(&ECDSA_P384_SHA384_ASN1_SIGNING).map(Self::P384))
            .or_else(|| rsa().map(Self::Rsa))
    }

    /// The key as a PEM file has it, encrypted where there is a passphrase.
    ///
    /// # Errors
    ///
    /// [`CaError::Crypto`].
    pub(super) fn to_pem(&self, passphrase: Option<&[u8]>) -> Result<Zeroizing<String>, CaError> {
        const CANNOT: CaError = CaError::Crypto("write the key");
        let (Self::P256(pair) | Self::P384(pair)) = self else { return Err(CANNOT) };
        let plain = pair.to_pkcs8v1().map_err(|_| CANNOT)?;
        let (label, document) = match passphrase {
            Some(passphrase) => ("ENCRYPTED PRIVATE KEY", encrypt(plain.as_ref(), passphrase)?),
            None => ("PRIVATE KEY", SecretDocument::try_from(plain.as_ref()).map_err(|_| CANNOT)?),
        };
        document.to_pem(label, LineEnding::LF).map_err(|_| CANNOT)
    }

    /// The public key as the bit string of a certificate holds it.
    pub(super) fn public(&self) -> &[u8] {
        match self {
            Self::P256(pair) | Self::P384(pair) => pair.public_key().as_ref(),
            Self::Rsa(pair) => pair.public_key().as_ref(),
        }
    }

    /// `AlgorithmIdentifier` of signatures, DER (RFC 5758 section 3.2, RFC 4055 section 5).
    pub(super) const fn algorithm(&self) -> &'static [u8] {
        match self {
            Self::P256(_) => b"\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02",
            Self::P384(_) => b"\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x03",
            Self::Rsa(_) => b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b\x05\x00",
        }
    }

    /// Signs.
    ///
    /// # Errors
    ///
    /// [`CaError::Crypto`].
    pub(super) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, CaError> {
        const CANNOT: CaError = CaError::Crypto("sign");
        let random = SystemRandom::new();
        match self {
            Self::P256(pair) | Self::P384(pair) => {
                Ok(pair.sign(&random, message).map_err(|_| CANNOT)?.as_ref().to_vec())
            }
            Self::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).map_err(|_| CANNOT)?;
                Ok(signature)
            }
        }
    }
}

impl rcgen::PublicKeyData for Signer {
    fn der_bytes(&self) -> &[u8] {
        self.public()
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        match self {
            Self::P256(_) => &rcgen::PKCS_ECDSA_P256_SHA256,
            Self::P384(_) => &rcgen::PKCS_ECDSA_P384_SHA384,
            Self::Rsa(_) => &rcgen::PKCS_RSA_SHA256,
        }
    }
}

impl rcgen::SigningKey for Signer {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        Self::sign(self, message).map_err(|_| rcgen::Error::RemoteKeyError)
    }
}

/// The first PEM block whose label says private key; others, such as `EC PARAMETERS`, may lie before it.
fn private_key_block(text: &str) -> Option<&str> {
    const BEGIN: &str = "-----BEGIN ";
    let mut rest = text;
    loop {
        let block = rest.get(rest.find(BEGIN)?..)?;
        let label = block.get(BEGIN.len()..)?.split("-----").next()?;
        let end = format!("-----END {label}-----");
        let end = block.find(&end)? + end.len();
        if label.ends_with("PRIVATE KEY") {
            return block.get(..end);
        }
        rest = block.get(end..)?;
    }
}

/// The passphrase: the file but for one line end at its end.
///
/// # Errors
///
/// [`CaError`].
pub(super) fn read_passphrase(path: &Path) -> Result<Zeroizing<Vec<u8>>, CaError> {
    let mut bytes = files::read_secret(path)?;
    let line = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
    let length = line.strip_suffix(b"\r").unwrap_or(line).len();
    if length == 0 {
        return Err(CaError::EmptyPassphrase(path.to_owned()));
    }
    bytes.truncate(length);
    Ok(bytes)
}

fn decrypt(document: &SecretDocument, passphrase: &[u8], path: &Path) -> Result<SecretDocument, CaError> {
    let unsupported = |why: String| CaError::Encryption { path: path.to_owned(), why };
    let key = EncryptedPrivateKeyInfoRef::try_from(document.as_bytes()).map_err(|e| unsupported(e.to_string()))?;
    key.decrypt(passphrase).map_err(|error| match error {
        // A wrong passphrase shows as padding that is none, or, once in a while, as content that is none.
        pkcs8::Error::EncryptedPrivateKey(pkcs5::Error::DecryptFailed) | pkcs8::Error::Asn1(_) => {
            CaError::WrongPassphrase(path.to_owned())
        }
        error => unsupported(error.to_string()),
    })
}

/// PBES2 with scrypt and AES-256-CBC (RFC 8018, RFC 7914). 16 MiB and eight rounds are as hard as the 128 MiB and one
/// of common advice, and OpenSSL, which stops at 32 MiB, can read it.
fn encrypt(plain: &[u8], passphrase: &[u8]) -> Result<SecretDocument, CaError> {
    const CANNOT: CaError = CaError::Crypto("encrypt the key");
    let cost = scrypt::Params::new(14, 8, 8).map_err(|_| CANNOT)?;
    let scheme = pbes2::Parameters::generate_scrypt_aes256cbc(cost, &random::<16>()?, random()?).map_err(|_| CANNOT)?;
    let key = PrivateKeyInfoRef::try_from(plain).map_err(|_| CANNOT)?;
    key.encrypt_with_params(scheme, passphrase).map_err(|_| CANNOT)
}
