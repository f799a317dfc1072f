//! True sessions of TLS 1.3 in memory, and the log of their keys.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs::{default_provider, sign};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{
    CipherSuite, ClientConfig, ClientConnection, DigitallySignedStruct, Error, KeyLog, ServerConfig, ServerConnection,
    SignatureScheme, version,
};
use std::io::{Read as _, Write as _};
use std::sync::{Arc, Mutex};
use testkit::{Direction, Turn};

/// A client and a server that meet again and again, as strangers each time.
pub(super) struct Hosts {
    client: ClientConfig,
    server: Arc<ServerConfig>,
    log: Arc<Log>,
}

#[derive(Debug, Default)]
struct Log(Mutex<String>);

impl KeyLog for Log {
    fn log(&self, label: &str, client_random: &[u8], secret: &[u8]) {
        let hex = |bytes: &[u8]| bytes.iter().fold(String::new(), |all, byte| format!("{all}{byte:02x}"));
        self.0.lock().unwrap().extend([label, " ", &hex(client_random), " ", &hex(secret), "\n"]);
    }
}

/// A certificate that nobody looks at, with a true key.
#[derive(Debug)]
struct Certificate(Arc<CertifiedKey>);

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

/// A client that believes everything.
#[derive(Debug)]
struct Trusting;

impl ServerCertVerifier for Trusting {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ECDSA_NISTP256_SHA256]
    }
}

impl Hosts {
    pub(super) fn new() -> Self {
        let mut provider = default_provider();
        provider.cipher_suites.retain(|suite| suite.suite() == CipherSuite::TLS13_AES_128_GCM_SHA256);
        let provider = Arc::new(provider);
        let log = Arc::new(Log::default());
        let mut client = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&version::TLS13])
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Trusting))
            .with_no_client_auth();
        client.alpn_protocols = vec![b"http/1.1".to_vec()];
        client.key_log = Arc::clone(&log) as Arc<dyn KeyLog>;
        client.resumption = rustls::client::Resumption::disabled();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &SystemRandom::new()).unwrap();
        let key = sign::any_ecdsa_type(&PrivatePkcs8KeyDer::from(pkcs8.as_ref().to_vec()).into()).unwrap();
        let certificate = Certificate(Arc::new(CertifiedKey::new(vec![CertificateDer::from(vec![0x30, 0])], key)));
        let mut server = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&version::TLS13])
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(certificate));
        server.alpn_protocols = vec![b"http/1.1".to_vec()];
        Self { client, server: Arc::new(server), log }
    }

    /// The lines of the key log since the last call.
    pub(super) fn take_log(&self) -> String {
        std::mem::take(&mut self.log.0.lock().unwrap())
    }

    /// A connection on which this is said, as it looks on the wire.
    pub(super) fn session(&self, said: &[Turn]) -> Vec<Turn> {
        let name = said.first().and_then(|(_, request)| host(request)).unwrap_or("www.vendor.example");
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let mut client = ClientConnection::new(Arc::new(self.client.clone()), name).unwrap();
        let mut server = ServerConnection::new(Arc::clone(&self.server)).unwrap();
        client.set_buffer_limit(None);
        server.set_buffer_limit(None);
        let mut wire = Vec::new();
        carry(&mut client, &mut server, &mut wire);
        for (direction, words) in said {
            match direction {
                Direction::ToServer => client.writer().write_all(words).unwrap(),
                Direction::ToClient => server.writer().write_all(words).unwrap(),
            }
            carry(&mut client, &mut server, &mut wire);
        }
        client.send_close_notify();
        server.send_close_notify();
        carry(&mut client, &mut server, &mut wire);
        wire
    }
}

/// The host that a request names.
fn host(request: &[u8]) -> Option<&str> {
    let head = str::from_utf8(request.get(..request.len().min(1000))?).ok()?;
    head.lines().find_map(|line| line.strip_prefix("Host: "))
}

/// Carries bytes until nobody has any.
fn carry(client: &mut ClientConnection, server: &mut ServerConnection, wire: &mut Vec<Turn>) {
    loop {
        let (mut up, mut down) = (Vec::new(), Vec::new());
        while client.wants_write() {
            client.write_tls(&mut up).unwrap();
        }
        let mut rest = &up[..];
        while !rest.is_empty() {
            server.read_tls(&mut rest).unwrap();
            server.process_new_packets().unwrap();
            let _ = server.reader().read_to_end(&mut Vec::new());
        }
        while server.wants_write() {
            server.write_tls(&mut down).unwrap();
        }
        let mut rest = &down[..];
        while !rest.is_empty() {
            client.read_tls(&mut rest).unwrap();
            client.process_new_packets().unwrap();
            let _ = client.reader().read_to_end(&mut Vec::new());
        }
        if up.is_empty() && down.is_empty() {
            return;
        }
        let turns = [(Direction::ToServer, up), (Direction::ToClient, down)];
        wire.extend(turns.into_iter().filter(|(_, bytes)| !bytes.is_empty()));
    }
}
