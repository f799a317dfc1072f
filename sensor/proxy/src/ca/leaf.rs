//! Leaf certificates, and the TLS configurations that present them.

use super::certificate::{self, CaCertificate};
use super::der::{
    BIT_STRING, BOOLEAN, INTEGER, OBJECT_IDENTIFIER, OCTET_STRING, SEQUENCE, SET, UTF8_STRING, element, time,
};
use super::key::{self, Signer};
use super::name::Host;
use super::tickets::NameTickets;
use super::{CaError, DAY};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::{Ticketer, default_provider, sign::any_ecdsa_type};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{NoServerSessionStorage, ProducesTickets};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

/// How long a leaf is valid, in seconds: a week, of which a day lies in the past, for clients whose clocks are slow.
const LIFE: i64 = 7 * DAY;
/// How long a leaf is handed out before another is made, in seconds.
const USE: i64 = DAY;
/// Most characters of a common name (RFC 5280, `ub-common-name`).
const MAX_COMMON_NAME: usize = 64;
/// Common name of a leaf whose host is longer. Nobody compares it: the subject alternative name is what counts.
const OTHER_COMMON_NAME: &str = "mcp-sensor leaf";

/// Makes leaves. All have one key, which lives as long as the process.
pub(super) struct Mint {
    ca: CaCertificate,
    signer: Signer,
    /// What is sent behind each leaf.
    above: Vec<CertificateDer<'static>>,
    key: Arc<dyn rustls::sign::SigningKey>,
    /// `SubjectPublicKeyInfo` of the leaf's key, DER.
    public: Vec<u8>,
    /// All extensions but the name, DER.
    extensions: Vec<u8>,
    /// A configuration without certificate and ALPN.
    base: ServerConfig,
    tickets: Arc<dyn ProducesTickets>,
}

/// A leaf certificate with the configurations that present it.
pub(super) struct Leaf {
    certified: Arc<CertifiedKey>,
    tickets: Arc<NameTickets>,
    configs: [OnceLock<Arc<ServerConfig>>; 3],
    /// From when and until when it is handed out, in seconds since 1970.
    from: i64,
    until: i64,
}

impl Mint {
    /// A mint for a CA whose certificate was checked.
    ///
    /// # Errors
    ///
    /// [`CaError::Crypto`].
    pub(super) fn new(ca: CaCertificate, signer: Signer) -> Result<Self, CaError> {
        const NO_KEY: CaError = CaError::Crypto("make a key");
        const NO_TLS: CaError = CaError::Crypto("set TLS up");
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).map_err(|_| NO_KEY)?;
        let document = pair.to_pkcs8v1().map_err(|_| NO_KEY)?;
        let key = any_ecdsa_type(&PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(document.as_ref())));
        let tickets = Ticketer::new().map_err(|_| NO_TLS)?;
        let mut base = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|_| NO_TLS)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(rustls::server::ResolvesServerCertUsingSni::new()));
        base.session_storage = Arc::new(NoServerSessionStorage {});
        // One is what a client needs to come back; the library's two cost time in every handshake.
        base.send_tls13_tickets = 1;
        // Early data could be replayed to the origin.
        base.max_early_data_size = 0;
        Ok(Self {
            above: ca.sent().cloned().collect(),
            extensions: extensions(&ca.key_id(), &certificate::key_id(pair.public_key().as_ref())),
            public: public_key_info(pair.public_key().as_ref()),
            key: key.map_err(|_| NO_KEY)?,
            ca,
            signer,
            base,
            tickets,
        })
    }

    /// The CA's certificate.
    pub(super) const fn ca(&self) -> &CaCertificate {
        &self.ca
    }

    /// Makes a leaf for `host` at `now`, in seconds since 1970.
    ///
    /// # Errors
    ///
    /// [`CaError`]: the CA may not sign for it, or is over.
    pub(super) fn leaf(&self, host: &Host, now: i64) -> Result<Leaf, CaError> {
        self.ca.check(now)?;
        let name = host.to_string();
        if !self.ca.permits(host) {
            return Err(CaError::NotPermitted(name));
        }
        let (first, last) = self.ca.valid();
        let from = (now - DAY).max(first);
        let until = (now - DAY + LIFE).min(last);
        let mut chain = Vec::with_capacity(1 + self.above.len());
        chain.push(self.certificate(host, &name, from, until)?);
        chain.extend_from_slice(&self.above);
        Ok(Leaf {
            certified: Arc::new(CertifiedKey::new(chain, Arc::clone(&self.key))),
            tickets: Arc::new(NameTickets::new(&name, Arc::clone(&self.tickets))),
            configs: Default::default(),
            from,
            until: until.min(now + USE),
        })
    }

    /// What a handshake that presents `leaf`, with `alpn` as the one protocol, takes. Those of HTTP are kept for use again.
    pub(super) fn config(&self, leaf: &Leaf, alpn: Option<&'static [u8]>) -> Arc<ServerConfig> {
        let make = || {
            let mut config = self.base.clone();
            config.cert_resolver = Arc::new(SingleCertAndKey::from(Arc::clone(&leaf.certified)));
            config.ticketer = Arc::clone(&leaf.tickets) as Arc<dyn ProducesTickets>;
            config.alpn_protocols = alpn.map(<[u8]>::to_vec).into_iter().collect();
            Arc::new(config)
        };
        let [none, http2, http1] = &leaf.configs;
        let kept = match alpn {
            None => none,
            Some(b"h2") => http2,
            Some(b"http/1.1") => http1,
            Some(_) => return make(),
        };
        Arc::clone(kept.get_or_init(make))
    }

    /// A certificate, DER (RFC 5280 section 4.1).
    fn certificate(&self, host: &Host, name: &str, from: i64, until: i64) -> Result<CertificateDer<'static>, CaError> {
        let issuer = self.ca.subject_der();
        let mut subject = common_name(if name.len() <= MAX_COMMON_NAME { name } else { OTHER_COMMON_NAME });
        if subject == issuer {
            // What seems to have signed itself is taken for a root that nobody knows.
            subject = common_name(OTHER_COMMON_NAME);
        }
        let extensions = element(SEQUENCE, &[&self.extensions, &alternative_name(host)]);
        let body = element(
            SEQUENCE,
            &[
                b"\xa0\x03\x02\x01\x02",
                &element(INTEGER, &[&key::serial()?]),
                self.signer.algorithm(),
                issuer,
                &element(SEQUENCE, &[&time(from), &time(until)]),
                &subject,
                &self.public,
                &element(0xa3, &[&extensions]),
            ],
        );
        let signature = self.signer.sign(&body)?;
        let parts = [&body[..], self.signer.algorithm(), &element(BIT_STRING, &[b"\0", &signature])];
        Ok(element(SEQUENCE, &parts).into())
    }
}

impl Leaf {
    /// Whether it may still be handed out at `now`, in seconds since 1970. A clock that was set back counts too.
    pub(super) const fn is_fresh(&self, now: i64) -> bool {
        self.from <= now && now < self.until
    }

    /// What a handshake sends.
    #[cfg(test)]
    pub(super) fn chain(&self) -> Vec<CertificateDer<'static>> {
        self.certified.cert.clone()
    }
}

/// `SubjectPublicKeyInfo` of a P-256 key (RFC 5480).
fn public_key_info(point: &[u8]) -> Vec<u8> {
    let algorithm = b"\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07";
    element(SEQUENCE, &[algorithm, &element(BIT_STRING, &[b"\0", point])])
}

/// A name that has a common name alone.
fn common_name(text: &str) -> Vec<u8> {
    let value = element(UTF8_STRING, &[text.as_bytes()]);
    element(SEQUENCE, &[&element(SET, &[&element(SEQUENCE, &[b"\x06\x03\x55\x04\x03", &value])])])
}

/// What all leaves have (RFC 5280 section 4.2.1): authority and subject key identifier, key usage `digitalSignature`,
/// extended key usage `serverAuth`, and that it is no CA.
fn extensions(authority: &[u8], subject: &[u8]) -> Vec<u8> {
    [
        extension(b"\x55\x1d\x23", false, &element(SEQUENCE, &[&element(0x80, &[authority])])),
        extension(b"\x55\x1d\x0e", false, &element(OCTET_STRING, &[subject])),
        extension(b"\x55\x1d\x0f", true, b"\x03\x02\x07\x80"),
        extension(b"\x55\x1d\x25", false, b"\x30\x0a\x06\x08\x2b\x06\x01\x05\x05\x07\x03\x01"),
        extension(b"\x55\x1d\x13", true, b"\x30\x00"),
    ]
    .concat()
}

/// The subject alternative name, which is the one and only name.
fn alternative_name(host: &Host) -> Vec<u8> {
    let name = match host {
        Host::Name(name) => element(0x82, &[name.as_bytes()]),
        Host::Address(IpAddr::V4(address)) => element(0x87, &[&address.octets()]),
        Host::Address(IpAddr::V6(address)) => element(0x87, &[&address.octets()]),
    };
    extension(b"\x55\x1d\x11", false, &element(SEQUENCE, &[&name]))
}

fn extension(id: &[u8], critical: bool, value: &[u8]) -> Vec<u8> {
    let critical = if critical { element(BOOLEAN, &[b"\xff"]) } else { Vec::new() };
    element(SEQUENCE, &[&element(OBJECT_IDENTIFIER, &[id]), &critical, &element(OCTET_STRING, &[value])])
}
