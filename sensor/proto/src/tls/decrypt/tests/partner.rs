//! A true client and a true server in memory, and the log of their keys.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use net::Direction::{self, ToClient, ToServer};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs::{Ticketer, default_provider, kx_group, sign};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::server::{ClientHello, ResolvesServerCert, ServerSessionMemoryCache};
use rustls::sign::CertifiedKey;
use rustls::{
    CipherSuite, ClientConfig, ClientConnection, DigitallySignedStruct, Error, KeyLog, ServerConfig, ServerConnection,
    SignatureScheme, SupportedProtocolVersion,
};
use std::io::{Read as _, Write as _};
use std::sync::{Arc, LazyLock, Mutex};

/// How a pair is set up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Setup {
    pub(super) version: &'static SupportedProtocolVersion,
    pub(super) suite: CipherSuite,
    /// The client guesses a group that the server does not have.
    pub(super) retry: bool,
    /// Early data that the server takes, in bytes.
    pub(super) early: u32,
    pub(super) tickets: bool,
}

/// Client and server that can meet more than once.
pub(super) struct Hosts {
    pub(super) client: Arc<ClientConfig>,
    pub(super) server: Arc<ServerConfig>,
    pub(super) log: Arc<Log>,
}

#[derive(Debug, Default)]
pub(super) struct Log(Mutex<String>);

impl Log {
    pub(super) fn text(&self) -> Vec<u8> {
        self.0.lock().unwrap().clone().into_bytes()
    }
}

impl KeyLog for Log {
    fn log(&self, label: &str, client_random: &[u8], secret: &[u8]) {
        let hex = |bytes: &[u8]| bytes.iter().fold(String::new(), |all, byte| format!("{all}{byte:02x}"));
        self.0.lock().unwrap().extend([label, " ", &hex(client_random), " ", &hex(secret), "\n"]);
    }
}

/// A certificate that nobody looks at, with a true key.
#[derive(Debug)]
struct Certificate(Arc<CertifiedKey>);

static KEY: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let key = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &SystemRandom::new());
    key.unwrap().as_ref().to_vec()
});

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

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
    pub(super) fn new(setup: Setup) -> Self {
        let mut provider = default_provider();
        provider.cipher_suites.retain(|suite| suite.suite() == setup.suite);
        provider.kx_groups = vec![kx_group::X25519, kx_group::SECP256R1];
        let log = Arc::new(Log::default());
        let builder = ClientConfig::builder_with_provider(Arc::new(provider.clone()));
        let mut client = builder
            .with_protocol_versions(&[setup.version])
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Trusting))
            .with_no_client_auth();
        client.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        client.key_log = Arc::clone(&log) as Arc<dyn KeyLog>;
        client.enable_early_data = true;
        if setup.retry {
            provider.kx_groups = vec![kx_group::SECP256R1];
        }
        let key = sign::any_ecdsa_type(&PrivatePkcs8KeyDer::from(KEY.clone()).into()).unwrap();
        let certificate = Certificate(Arc::new(CertifiedKey::new(vec![CertificateDer::from(vec![0x30, 0])], key)));
        let mut server = ServerConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&[setup.version])
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(certificate));
        server.alpn_protocols = vec![b"http/1.1".to_vec()];
        server.session_storage = ServerSessionMemoryCache::new(16);
        server.max_early_data_size = setup.early;
        if setup.tickets {
            server.ticketer = Ticketer::new().unwrap();
        }
        Self { client: Arc::new(client), server: Arc::new(server), log }
    }

    /// A connection whose client says `early` at once, where it can.
    pub(super) fn connect(&self, early: &[u8]) -> Pair {
        let name = ServerName::try_from("mcp.example.com").unwrap();
        let mut client = ClientConnection::new(Arc::clone(&self.client), name).unwrap();
        let mut server = ServerConnection::new(Arc::clone(&self.server)).unwrap();
        client.set_buffer_limit(None);
        server.set_buffer_limit(None);
        let mut pair = Pair { client, server, turns: Vec::new(), sent: [const { Vec::new() }; 2] };
        if !early.is_empty() {
            let mut writer = pair.client.early_data().expect("a session to resume");
            writer.write_all(early).unwrap();
        }
        pair.carry();
        if pair.client.is_early_data_accepted() {
            pair.sent[0].extend_from_slice(early);
        }
        pair
    }
}

/// A connection, with all that went over the wire and all that was said.
pub(super) struct Pair {
    pub(super) client: ClientConnection,
    pub(super) server: ServerConnection,
    pub(super) turns: Vec<(Direction, Vec<u8>)>,
    pub(super) sent: [Vec<u8>; 2],
}

impl Pair {
    /// Carries bytes until nobody has any.
    pub(super) fn carry(&mut self) {
        loop {
            let (mut up, mut down) = (Vec::new(), Vec::new());
            while self.client.wants_write() {
                self.client.write_tls(&mut up).unwrap();
            }
            let mut rest = &up[..];
            while !rest.is_empty() {
                self.server.read_tls(&mut rest).unwrap();
                self.server.process_new_packets().unwrap();
                let mut said = Vec::new();
                if let Some(mut early) = self.server.early_data() {
                    early.read_to_end(&mut said).unwrap();
                }
                let _ = self.server.reader().read_to_end(&mut said);
            }
            while self.server.wants_write() {
                self.server.write_tls(&mut down).unwrap();
            }
            let mut rest = &down[..];
            while !rest.is_empty() {
                self.client.read_tls(&mut rest).unwrap();
                self.client.process_new_packets().unwrap();
                let _ = self.client.reader().read_to_end(&mut Vec::new());
            }
            if up.is_empty() && down.is_empty() {
                return;
            }
            let turns = [(ToServer, up), (ToClient, down)];
            self.turns.extend(turns.into_iter().filter(|(_, turn)| !turn.is_empty()));
        }
    }

    pub(super) fn say(&mut self, dir: Direction, words: &[u8]) {
        match dir {
            ToServer => self.client.writer().write_all(words).unwrap(),
            ToClient => self.server.writer().write_all(words).unwrap(),
        }
        self.sent[dir.index()].extend_from_slice(words);
        self.carry();
    }

    /// The direction takes its next keys.
    pub(super) fn update(&mut self, dir: Direction) {
        match dir {
            ToServer => self.client.refresh_traffic_keys().unwrap(),
            ToClient => self.server.refresh_traffic_keys().unwrap(),
        }
    }

    pub(super) fn close(&mut self) {
        self.client.send_close_notify();
        self.server.send_close_notify();
        self.carry();
    }
}
