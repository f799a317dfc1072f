//! TLS with origins: what is trusted, what is remembered, and why it failed.
//!
//! Certificates are verified by rustls and webpki against the roots of the system and those of files, for every origin,
//! with no way to switch it off. Revocation is known from revocation lists only, which are files: where there are any,
//! a certificate of the chain that one of them names is refused, and one whose issuer has no list is let pass (soft
//! failure), since lists of all issuers of the world cannot be had. A stapled OCSP answer is not looked at: rustls has
//! no verifier for it. Early data is never sent.

use super::StartError;
use crate::failure::Failure;
use crate::options::Upstream;
use rustls::client::{
    ClientSessionStore, ResolvesClientCert, Resumption, Tls12ClientSessionValue, Tls13ClientSessionValue,
    WebPkiServerVerifier,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, ServerName};
use rustls::sign::CertifiedKey;
use rustls::{AlertDescription, CertificateError, ClientConfig, NamedGroup, RootCertStore, SignatureScheme};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Origins remembered by a thread: as many twice, those of late and those before.
const MAX_ORIGINS: usize = 256;
/// How long a session with an origin may be resumed after its certificate was verified. rustls does not verify it again
/// when it resumes.
const SESSION_LIFE: Duration = Duration::from_mins(10);
/// TLS 1.3 tickets kept of an origin; each is good for one connection.
const MAX_TICKETS: usize = 4;

/// The application protocols that are offered to an origin (RFC 7301): those of the client that are HTTP, in its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Offer {
    /// No extension.
    Nothing,
    /// HTTP/1.1 alone.
    Http1,
    /// HTTP/2 alone.
    Http2,
    /// HTTP/2 first.
    Both,
    /// HTTP/1.1 first.
    BothHttp1First,
}

/// ALPN name of HTTP/1.1.
pub(crate) const HTTP_1_1: &[u8] = b"http/1.1";
/// ALPN name of HTTP/2.
pub(crate) const H2: &[u8] = b"h2";

impl Offer {
    /// Of what a client offers.
    pub(crate) fn of<'a>(names: impl Iterator<Item = &'a [u8]>) -> Self {
        names.fold(Self::Nothing, |offer, name| match (offer, name) {
            (Self::Nothing, H2) => Self::Http2,
            (Self::Nothing, HTTP_1_1) => Self::Http1,
            (Self::Http2, HTTP_1_1) => Self::Both,
            (Self::Http1, H2) => Self::BothHttp1First,
            _ => offer,
        })
    }

    /// The names, in order.
    pub(crate) const fn names(self) -> &'static [&'static [u8]] {
        match self {
            Self::Nothing => &[],
            Self::Http1 => &[HTTP_1_1],
            Self::Http2 => &[H2],
            Self::Both => &[H2, HTTP_1_1],
            Self::BothHttp1First => &[HTTP_1_1, H2],
        }
    }

    /// What to agree to where no origin is asked.
    pub(crate) fn best(self) -> Option<&'static [u8]> {
        self.names().iter().copied().max_by_key(|name| *name == H2)
    }

    /// That one protocol, or none.
    pub(crate) fn only(name: Option<&[u8]>) -> Self {
        Self::of(name.into_iter())
    }
}

/// What makes origins trustworthy, from files and the system.
pub(crate) fn trust(upstream: &Upstream) -> Result<ClientConfig, StartError> {
    let mut roots = RootCertStore::empty();
    if upstream.system_roots {
        let found = rustls_native_certs::load_native_certs();
        let (added, _) = roots.add_parsable_certificates(found.certs);
        if let (0, Some(error)) = (added, found.errors.first()) {
            return Err(StartError::Roots("the system".into(), error.to_string()));
        }
    }
    for path in &upstream.roots {
        for certificate in pem::<CertificateDer<'static>>(path)? {
            roots.add(certificate).map_err(|error| unreadable(path, &error))?;
        }
    }
    let mut lists = Vec::new();
    for path in &upstream.crls {
        lists.extend(pem::<CertificateRevocationListDer<'static>>(path)?);
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(|error| StartError::Roots("TLS".into(), error.to_string()))?;
    let builder = if lists.is_empty() {
        builder.with_root_certificates(roots)
    } else {
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
            .with_crls(lists)
            .allow_unknown_revocation_status()
            .build()
            .map_err(|error| StartError::Roots("the revocation lists".into(), error.to_string()))?;
        builder.with_webpki_verifier(verifier)
    };
    let mut config = builder.with_no_client_auth();
    config.resumption = Resumption::disabled();
    config.enable_early_data = false;
    Ok(config)
}

fn unreadable(path: &Path, error: &impl std::fmt::Display) -> StartError {
    StartError::Roots(path.display().to_string(), error.to_string())
}

/// All of one kind in a PEM file; none at all is an error.
fn pem<T: PemObject>(path: &Path) -> Result<Vec<T>, StartError> {
    let all = T::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<T>, _>>)
        .map_err(|error| unreadable(path, &error))?;
    if all.is_empty() { Err(unreadable(path, &"nothing of the kind is in it")) } else { Ok(all) }
}

/// Which origin sessions are with. A session is never resumed with another name, port, address or protocol, so that
/// what was verified of one origin says nothing of another that shares its ticket keys.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Origin {
    name: ServerName<'static>,
    port: u16,
    address: SocketAddr,
    offer: Offer,
}

/// Configurations by origin, each with the sessions of that origin alone.
#[derive(Debug, Default)]
pub(crate) struct Origins {
    late: HashMap<Origin, Known, foldhash::fast::RandomState>,
    before: HashMap<Origin, Known, foldhash::fast::RandomState>,
}

/// How to speak TLS with one origin.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    /// With the sessions of this origin alone.
    pub(crate) config: Arc<ClientConfig>,
    asks: Arc<Asks>,
    /// Sessions with it are forgotten after this.
    until: Instant,
}

impl Known {
    /// Whether the origin has ever asked for a certificate of the client.
    pub(crate) fn asks(&self) -> bool {
        self.asks.0.load(Ordering::Relaxed)
    }
}

/// Notes that an origin asks for a certificate of the client. There is none.
#[derive(Debug, Default)]
struct Asks(AtomicBool);

impl ResolvesClientCert for Asks {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.0.store(true, Ordering::Relaxed);
        None
    }

    fn has_certs(&self) -> bool {
        false
    }
}

impl Origins {
    /// How to connect to an origin, made of `base` where there is none yet or its sessions are too
    /// old.
    pub(crate) fn known(
        &mut self,
        base: &ClientConfig,
        name: &ServerName<'static>,
        port: u16,
        address: SocketAddr,
        offer: Offer,
    ) -> Known {
        let origin = Origin { name: name.clone(), port, address, offer };
        let now = Instant::now();
        if let Some(known) = self.late.get(&origin).filter(|known| known.until > now) {
            return known.clone();
        }
        let known = self.before.remove(&origin).filter(|known| known.until > now).unwrap_or_else(|| {
            let mut config = base.clone();
            config.alpn_protocols = offer.names().iter().map(|name| name.to_vec()).collect();
            config.resumption = Resumption::store(Arc::new(Sessions::default()));
            let asks = Arc::new(Asks::default());
            config.client_auth_cert_resolver = Arc::clone(&asks) as _;
            Known { config: Arc::new(config), asks, until: now + SESSION_LIFE }
        });
        if self.late.len() >= MAX_ORIGINS {
            self.before = std::mem::take(&mut self.late);
        }
        self.late.insert(origin, known.clone());
        known
    }
}

/// Sessions with one origin.
#[derive(Debug, Default)]
struct Sessions(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    group: Option<NamedGroup>,
    tls12: Option<Tls12ClientSessionValue>,
    tls13: Vec<Tls13ClientSessionValue>,
}

impl Sessions {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientSessionStore for Sessions {
    fn set_kx_hint(&self, _: ServerName<'static>, group: NamedGroup) {
        self.kept().group = Some(group);
    }

    fn kx_hint(&self, _: &ServerName<'_>) -> Option<NamedGroup> {
        self.kept().group
    }

    fn set_tls12_session(&self, _: ServerName<'static>, value: Tls12ClientSessionValue) {
        self.kept().tls12 = Some(value);
    }

    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.kept().tls12.clone()
    }

    fn remove_tls12_session(&self, _: &ServerName<'static>) {
        self.kept().tls12 = None;
    }

    fn insert_tls13_ticket(&self, _: ServerName<'static>, value: Tls13ClientSessionValue) {
        let mut kept = self.kept();
        if kept.tls13.len() >= MAX_TICKETS {
            kept.tls13.remove(0);
        }
        kept.tls13.push(value);
    }

    fn take_tls13_ticket(&self, _: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.kept().tls13.pop()
    }
}

/// What is told of TLS with an origin that failed. `asked`: it had asked for a certificate of the client, of which we have
/// none.
pub(crate) fn failed(host: &str, error: &std::io::Error, asked: bool) -> Failure {
    use AlertDescription as Alert;
    let Some(inner) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) else {
        return Failure::HandshakeReset(host.to_owned(), error.to_string());
    };
    let reason =
        match inner {
            // Below TLS 1.3 there is no alert of its own for it.
            rustls::Error::AlertReceived(
                Alert::HandshakeFailure | Alert::BadCertificate | Alert::CertificateRequired,
            ) if asked => "client_certificate_required",
            error => reason(error),
        };
    Failure::UpstreamTls { host: host.to_owned(), reason, text: inner.to_string() }
}

/// How a handshake failed, as a word for a metric.
pub(crate) const fn word(failure: &Failure) -> &'static str {
    match failure {
        Failure::UpstreamTls { reason, .. } => reason,
        Failure::HandshakeReset(..) => failure.reason(),
        _ => "timeout",
    }
}

/// A word for a metric.
fn reason(error: &rustls::Error) -> &'static str {
    use CertificateError as Bad;
    match error {
        rustls::Error::InvalidCertificate(bad) => match bad {
            Bad::Expired | Bad::ExpiredContext { .. } => "expired",
            Bad::NotValidYet | Bad::NotValidYetContext { .. } => "not_yet_valid",
            Bad::UnknownIssuer => "unknown_issuer",
            Bad::NotValidForName | Bad::NotValidForNameContext { .. } => "wrong_name",
            Bad::Revoked => "revoked",
            Bad::BadSignature
            | Bad::UnsupportedSignatureAlgorithmContext { .. }
            | Bad::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => "bad_signature",
            Bad::InvalidPurpose | Bad::InvalidPurposeContext { .. } => "wrong_purpose",
            _ => "bad_certificate",
        },
        rustls::Error::NoCertificatesPresented => "bad_certificate",
        _ => "protocol",
    }
}
