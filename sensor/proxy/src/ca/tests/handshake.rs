//! Handshakes of a client that trusts the CA and nothing else.

use super::*;
use rustls::client::{
    ClientSessionMemoryCache, ClientSessionStore, Resumption, Tls12ClientSessionValue, Tls13ClientSessionValue,
};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{
    ClientConfig, ClientConnection, HandshakeKind, NamedGroup, RootCertStore, ServerConnection, SideData,
    SupportedProtocolVersion,
};
use std::ops::DerefMut;
use std::sync::Arc;

fn client(anchor: &[u8], version: &'static SupportedProtocolVersion) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(anchor.to_vec())).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()));
    builder.with_protocol_versions(&[version]).unwrap().with_root_certificates(roots).with_no_client_auth()
}

/// Both ends of a handshake that is done, or why not.
fn shake(
    client: &Arc<ClientConfig>,
    asks: &str,
    server: Arc<rustls::ServerConfig>,
) -> Result<(ClientConnection, ServerConnection), rustls::Error> {
    fn move_bytes<A, B, S: SideData, T: SideData>(from: &mut A, to: &mut B) -> Result<(), rustls::Error>
    where
        A: DerefMut<Target = rustls::ConnectionCommon<S>>,
        B: DerefMut<Target = rustls::ConnectionCommon<T>>,
    {
        let mut wire = Vec::new();
        while from.wants_write() {
            from.write_tls(&mut wire).unwrap();
        }
        let mut wire = wire.as_slice();
        while !wire.is_empty() {
            to.read_tls(&mut wire).unwrap();
            to.process_new_packets()?;
        }
        Ok(())
    }
    let name = ServerName::try_from(asks.to_owned()).unwrap();
    let mut near = ClientConnection::new(Arc::clone(client), name).unwrap();
    let mut far = ServerConnection::new(server).unwrap();
    for _ in 0..6 {
        move_bytes(&mut near, &mut far)?;
        move_bytes(&mut far, &mut near)?;
    }
    assert!(!near.is_handshaking() && !far.is_handshaking());
    Ok((near, far))
}

#[test]
fn a_client_that_trusts_the_ca_alone_talks_to_names_and_addresses() {
    let (_dir, files, certificate) = made();
    let ca = load(&files).unwrap();
    for version in [&TLS12, &TLS13] {
        for name in ["example.com", "xn--mnchen-3ya.example", "192.0.2.7", "2001:db8::7", "under_score.example"] {
            for alpn in [None, Some(&b"h2"[..]), Some(b"http/1.1"), Some(b"http/1.0")] {
                let mut config = client(certificate.der(), version);
                config.alpn_protocols = alpn.iter().map(|a| a.to_vec()).collect();
                let (near, far) = shake(&Arc::new(config), name, ca.server_config(name, alpn).unwrap()).unwrap();
                assert_eq!((near.alpn_protocol(), far.alpn_protocol()), (alpn, alpn));
                assert_eq!(near.protocol_version(), Some(version.version));
                assert_eq!(near.peer_certificates().unwrap().len(), 1);
                let suite = format!("{:?}", near.negotiated_cipher_suite().unwrap().suite());
                assert!(suite.contains("GCM") || suite.contains("POLY1305"), "{suite}");
                let group = near.negotiated_key_exchange_group().unwrap().name();
                assert!(matches!(
                    group,
                    NamedGroup::X25519MLKEM768 | NamedGroup::X25519 | NamedGroup::secp256r1 | NamedGroup::secp384r1
                ));
            }
        }
    }
}

#[test]
fn a_leaf_is_good_for_its_name_and_its_ca_alone() {
    let (_dir, files, certificate) = made();
    let (_other, _, stranger) = made();
    let ca = load(&files).unwrap();
    let trusting = Arc::new(client(certificate.der(), &TLS13));
    for (asks, gets) in
        [("example.org", "example.com"), ("a.example.com", "example.com"), ("192.0.2.1", "192.0.2.2"), ("::1", "::2")]
    {
        let error = shake(&trusting, asks, ca.server_config(gets, None).unwrap()).map(|_| ()).unwrap_err();
        assert!(error.to_string().contains("not valid for"), "{asks} {gets}: {error}");
    }
    let strange = Arc::new(client(stranger.der(), &TLS13));
    let error = shake(&strange, "example.com", ca.server_config("example.com", None).unwrap()).map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("UnknownIssuer"), "{error}");
}

#[test]
fn an_intermediate_is_sent_to_clients_that_trust_its_root() {
    let (_dir, files) = folder();
    let (root_pem, root) = root();
    for algorithm in [&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ECDSA_P384_SHA384, &rcgen::PKCS_RSA_SHA256] {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let pem = params("Example Intermediate").signed_by(&key, &root).unwrap().pem();
        secret(&files.key, &key.serialize_pem());
        fs::write(&files.certificate, format!("{pem}{root_pem}")).unwrap();
        let ca = load(&files).unwrap();
        let config = Arc::new(client(ca.certificate().anchor_der(), &TLS13));
        let (near, _) = shake(&config, "example.com", ca.server_config("example.com", None).unwrap()).unwrap();
        assert_eq!(near.peer_certificates().unwrap().len(), 2);
    }
}

/// A client that takes the tickets of one server to all others.
#[derive(Debug)]
struct Promiscuous(ClientSessionMemoryCache);

impl Promiscuous {
    fn one() -> ServerName<'static> {
        ServerName::try_from("one.example").unwrap()
    }
}

impl ClientSessionStore for Promiscuous {
    fn set_kx_hint(&self, _: ServerName<'static>, group: NamedGroup) {
        self.0.set_kx_hint(Self::one(), group);
    }
    fn kx_hint(&self, _: &ServerName<'_>) -> Option<NamedGroup> {
        self.0.kx_hint(&Self::one())
    }
    fn set_tls12_session(&self, _: ServerName<'static>, value: Tls12ClientSessionValue) {
        self.0.set_tls12_session(Self::one(), value);
    }
    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.0.tls12_session(&Self::one())
    }
    fn remove_tls12_session(&self, _: &ServerName<'static>) {
        self.0.remove_tls12_session(&Self::one());
    }
    fn insert_tls13_ticket(&self, _: ServerName<'static>, value: Tls13ClientSessionValue) {
        self.0.insert_tls13_ticket(Self::one(), value);
    }
    fn take_tls13_ticket(&self, _: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.0.take_tls13_ticket(&Self::one())
    }
}

#[test]
fn sessions_resume_under_their_name_and_no_other() {
    let (_dir, files, certificate) = made();
    let ca = load(&files).unwrap();
    for version in [&TLS12, &TLS13] {
        let mut config = client(certificate.der(), version);
        config.resumption = Resumption::store(Arc::new(Promiscuous(ClientSessionMemoryCache::new(8))));
        config.enable_early_data = true;
        let config = Arc::new(config);
        // With neither names nor SNI between them, addresses are told apart by us alone.
        for (name, want) in [
            ("192.0.2.1", HandshakeKind::Full),
            ("192.0.2.1", HandshakeKind::Resumed),
            ("192.0.2.1", HandshakeKind::Resumed),
            ("192.0.2.2", HandshakeKind::Full),
            ("192.0.2.2", HandshakeKind::Resumed),
            ("example.com", HandshakeKind::Full),
            ("example.com", HandshakeKind::Resumed),
            ("example.org", HandshakeKind::Full),
        ] {
            let (near, far) = shake(&config, name, ca.server_config(name, None).unwrap()).unwrap();
            assert_eq!(far.handshake_kind(), Some(want), "{version:?} {name}");
            assert!(!near.is_early_data_accepted());
        }
    }
}

#[test]
fn another_process_takes_no_ticket_of_ours() {
    let (_dir, files, certificate) = made();
    let mut config = client(certificate.der(), &TLS13);
    config.resumption = Resumption::in_memory_sessions(8);
    let config = Arc::new(config);
    for _ in 0..2 {
        let ca = load(&files).unwrap();
        let (_, far) = shake(&config, "example.com", ca.server_config("example.com", None).unwrap()).unwrap();
        assert_eq!(far.handshake_kind(), Some(HandshakeKind::Full));
    }
}
