//! The certificate of the CA, and those above it.

use super::constraints::Constraints;
use super::name::Host;
use super::{CaError, files};
use crate::clock;
use aws_lc_rs::digest::{SHA256, digest};
use pkcs8::der::pem::{LineEnding, encode_string};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use std::fmt::Write as _;
use std::path::Path;
use time::OffsetDateTime;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;
use x509_parser::public_key::PublicKey;

/// Most certificates in one file.
const MAX_CHAIN: usize = 8;

/// A CA's certificate, with those above it where it is an intermediate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaCertificate {
    /// From the one that signs leaves to the highest of the file.
    chain: Vec<Link>,
}

/// One certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Link {
    der: CertificateDer<'static>,
    subject: String,
    /// DER, as it is in the certificate.
    subject_der: Vec<u8>,
    self_signed: bool,
    serial: String,
    /// Seconds since 1970.
    not_before: i64,
    /// Seconds since 1970; the last second that it holds in.
    not_after: i64,
    key: String,
    public: Vec<u8>,
    key_id: Option<Vec<u8>>,
    path_length: Option<u32>,
    constraints: Constraints,
    /// Why it is no good for a CA, if so.
    unfit: Option<&'static str>,
}

impl CaCertificate {
    /// Reads a certificate, and those behind it in the file. Nothing is verified but that one signs the next.
    ///
    /// # Errors
    ///
    /// [`CaError`].
    pub fn read(path: &Path) -> Result<Self, CaError> {
        let no_certificate = |why: String| CaError::NoCertificate { path: path.to_owned(), why };
        let text = files::read(path)?;
        let mut chain = Vec::new();
        for der in CertificateDer::pem_slice_iter(&text).take(MAX_CHAIN + 1) {
            chain.push(Link::new(der.map_err(|e| no_certificate(e.to_string()))?).map_err(no_certificate)?);
        }
        match chain.len() {
            0 => return Err(no_certificate("there is no PEM block of one in it".to_owned())),
            1..=MAX_CHAIN => {}
            _ => return Err(no_certificate(format!("there are more than {MAX_CHAIN} in it"))),
        }
        for (below, above) in chain.iter().zip(chain.iter().skip(1)) {
            if !below.is_signed_by(above) {
                return Err(CaError::Chain { subject: below.subject.clone(), above: above.subject.clone() });
            }
        }
        Ok(Self { chain })
    }

    /// A certificate that was just made.
    ///
    /// # Errors
    ///
    /// [`CaError::Crypto`]: it cannot be read.
    pub(super) fn made(der: CertificateDer<'static>) -> Result<Self, CaError> {
        let link = Link::new(der).map_err(|_| CaError::Crypto("read the certificate it made"))?;
        Ok(Self { chain: vec![link] })
    }

    /// The one that signs leaves.
    #[allow(clippy::expect_used, reason = "the chain is never empty: both ways to make one see to that")]
    fn signing(&self) -> &Link {
        self.chain.first().expect("a chain holds a certificate")
    }

    /// Whether it can serve now.
    ///
    /// # Errors
    ///
    /// [`CaError::NotACa`], [`CaError::Expired`] and [`CaError::NotYetValid`], of it or one above it.
    pub fn usable(&self) -> Result<(), CaError> {
        self.check(clock::now().seconds())
    }

    /// As [`Self::usable`], at `now`, in seconds since 1970.
    ///
    /// # Errors
    ///
    /// [`CaError::NotACa`], [`CaError::Expired`] and [`CaError::NotYetValid`], of it or one above it.
    pub(super) fn check(&self, now: i64) -> Result<(), CaError> {
        for (below, link) in self.chain.iter().enumerate() {
            let subject = link.subject.clone();
            if let Some(why) = link.unfit {
                return Err(CaError::NotACa { subject, why });
            }
            if link.path_length.is_some_and(|length| (length as usize) < below) {
                return Err(CaError::NotACa { subject, why: "its path length does not allow the CAs below it" });
            }
            if now > link.not_after {
                return Err(CaError::Expired { subject, at: rfc_3339(link.not_after) });
            }
            if now < link.not_before {
                return Err(CaError::NotYetValid { subject, at: rfc_3339(link.not_before) });
            }
        }
        Ok(())
    }

    /// Whose it is, such as `O=mcp-sensor, CN=mcp-sensor CA 1f2e3d4c`.
    pub fn subject(&self) -> &str {
        &self.signing().subject
    }

    /// Serial number: bytes in hexadecimal with colons between.
    pub fn serial(&self) -> &str {
        &self.signing().serial
    }

    /// From when and until when it is valid, as RFC 3339 writes it.
    pub fn validity(&self) -> (String, String) {
        (rfc_3339(self.signing().not_before), rfc_3339(self.signing().not_after))
    }

    /// From when and until when it and all above it are valid, in seconds since 1970.
    pub(super) fn valid(&self) -> (i64, i64) {
        let from = self.chain.iter().map(|link| link.not_before).max().unwrap_or(i64::MAX);
        let until = self.chain.iter().map(|link| link.not_after).min().unwrap_or(i64::MIN);
        (from, until)
    }

    /// SHA-256 of the DER form, bytes in hexadecimal with colons between.
    pub fn fingerprint(&self) -> String {
        hex(digest(&SHA256, self.der()).as_ref())
    }

    /// The kind of its key, such as `ECDSA P-256`.
    pub fn key(&self) -> &str {
        &self.signing().key
    }

    /// How many CAs may come below it; `None` for any number.
    pub fn path_length(&self) -> Option<u32> {
        self.signing().path_length
    }

    /// What names it may sign for, in words; `none` for no constraint.
    pub fn constraints(&self) -> String {
        self.signing().constraints.to_string()
    }

    /// Whether there is another CA above it.
    pub fn is_intermediate(&self) -> bool {
        !self.signing().self_signed
    }

    /// Whether it, and all above it, may sign for `host`.
    pub(super) fn permits(&self, host: &Host) -> bool {
        self.chain.iter().all(|link| link.constraints.permit(host))
    }

    /// The certificate, DER.
    pub fn der(&self) -> &[u8] {
        &self.signing().der
    }

    /// The certificate that clients have to trust, DER: the highest of the file.
    pub fn anchor_der(&self) -> &[u8] {
        self.chain.last().map_or(self.der(), |link| &link.der)
    }

    /// The certificate that clients have to trust, PEM: the highest of the file.
    pub fn anchor_pem(&self) -> String {
        pem(self.anchor_der())
    }

    /// What a handshake sends behind the leaf: all but what clients have themselves.
    pub(super) fn sent(&self) -> impl Iterator<Item = &CertificateDer<'static>> {
        self.chain.iter().filter(|link| !link.self_signed).map(|link| &link.der)
    }

    /// Its subject, DER.
    pub(super) fn subject_der(&self) -> &[u8] {
        &self.signing().subject_der
    }

    /// Its public key, as the bit string of the certificate holds it.
    pub(super) fn public(&self) -> &[u8] {
        &self.signing().public
    }

    /// Its subject key identifier; where it has none, one that it could have.
    pub(super) fn key_id(&self) -> Vec<u8> {
        self.signing().key_id.clone().unwrap_or_else(|| key_id(self.public()))
    }
}

/// A key identifier: the first 160 bits of SHA-256 of the key (RFC 7093 section 2).
pub(super) fn key_id(public: &[u8]) -> Vec<u8> {
    digest(&SHA256, public).as_ref().iter().take(20).copied().collect()
}

/// A certificate, PEM.
pub(super) fn pem(der: &[u8]) -> String {
    // It fails only where the label is none.
    encode_string("CERTIFICATE", LineEnding::LF, der).unwrap_or_default()
}

impl Link {
    fn new(der: CertificateDer<'static>) -> Result<Self, String> {
        let (rest, read) = X509Certificate::from_der(&der).map_err(|e| e.to_string())?;
        if !rest.is_empty() {
            return Err("there are bytes behind its end".to_owned());
        }
        let constraints = read.name_constraints().map_err(|e| e.to_string())?;
        let basic = read.basic_constraints().map_err(|e| e.to_string())?;
        let key_id = read.iter_extensions().find_map(|extension| match extension.parsed_extension() {
            x509_parser::extensions::ParsedExtension::SubjectKeyIdentifier(id) => Some(id.0.to_vec()),
            _ => None,
        });
        let key = match read.public_key().parsed() {
            Ok(PublicKey::EC(point)) => match point.key_size() {
                256 => "ECDSA P-256".to_owned(),
                384 => "ECDSA P-384".to_owned(),
                bits => format!("elliptic curve of {bits} bits"),
            },
            Ok(PublicKey::RSA(key)) => format!("RSA of {} bits", key.key_size()),
            _ => read.public_key().algorithm.algorithm.to_id_string(),
        };
        Ok(Self {
            subject: printable(&read.subject().to_string()),
            subject_der: read.subject().as_raw().to_vec(),
            self_signed: read.subject().as_raw() == read.issuer().as_raw(),
            serial: hex(read.raw_serial()),
            not_before: read.validity().not_before.timestamp(),
            not_after: read.validity().not_after.timestamp(),
            key,
            public: read.public_key().subject_public_key.data.to_vec(),
            key_id,
            path_length: basic.as_ref().and_then(|basic| basic.value.path_len_constraint),
            constraints: constraints.map(|found| Constraints::new(found.value)).unwrap_or_default(),
            unfit: unfit(&read).map_err(|e| e.to_string())?,
            der,
        })
    }

    fn is_signed_by(&self, above: &Self) -> bool {
        let parsed = (X509Certificate::from_der(&self.der), X509Certificate::from_der(&above.der));
        let (Ok((_, below)), Ok((_, above))) = parsed else { return false };
        below.issuer().as_raw() == above.subject().as_raw() && below.verify_signature(Some(above.public_key())).is_ok()
    }
}

/// Why clients would not take it for a CA of servers (RFC 5280 sections 4.2.1.3, 4.2.1.9 and 4.2.1.12).
fn unfit(read: &X509Certificate<'_>) -> Result<Option<&'static str>, x509_parser::error::X509Error> {
    if !read.basic_constraints()?.is_some_and(|basic| basic.value.ca) {
        return Ok(Some("its basic constraints do not say CA:TRUE"));
    }
    if read.key_usage()?.is_some_and(|usage| !usage.value.key_cert_sign()) {
        return Ok(Some("its key usage leaves out keyCertSign"));
    }
    if read.extended_key_usage()?.is_some_and(|usage| !usage.value.any && !usage.value.server_auth) {
        return Ok(Some("its extended key usage leaves out serverAuth"));
    }
    Ok(None)
}

/// Seconds since 1970 as RFC 3339 writes them.
pub(super) fn rfc_3339(unix: i64) -> String {
    let Ok(at) = OffsetDateTime::from_unix_timestamp(unix) else { return unix.to_string() };
    let (year, month, day) = at.to_calendar_date();
    let (hour, minute, second) = at.to_hms();
    format!("{year:04}-{:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z", u8::from(month))
}

fn hex(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() * 3);
    for byte in bytes {
        let colon = if out.is_empty() { "" } else { ":" };
        let _ = write!(out, "{colon}{byte:02X}");
    }
    out
}

/// A name that says nothing to a terminal.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
