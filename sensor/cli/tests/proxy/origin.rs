//! An MCP server of the test: HTTP/1.1 and HTTP/2 over TLS, and plain HTTP/1.1.

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{BasicConstraints, Certificate, CertificateParams, DnType, IsCa, Issuer, KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// A server on this machine, until the test program ends.
pub(crate) struct Origin {
    pub(crate) tls: SocketAddr,
    pub(crate) plain: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Origin {
    /// Starts it as `localhost`, and writes the CA that signed for it to `ca` (`.pem`); beside it, its certificate
    /// (`.crt`) and key (`.key`).
    pub(crate) fn start(ca: &Path) -> Self {
        let config = Arc::new(config(ca));
        let seen = Arc::default();
        let (told, addresses) = std::sync::mpsc::sync_channel(1);
        let record = Arc::clone(&seen);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let tls = TcpListener::bind("127.0.0.1:0").await.unwrap();
                let plain = TcpListener::bind("127.0.0.1:0").await.unwrap();
                told.send((tls.local_addr().unwrap(), plain.local_addr().unwrap())).unwrap();
                loop {
                    let record = Arc::clone(&record);
                    tokio::select! {
                        accepted = tls.accept() => {
                            let acceptor = TlsAcceptor::from(Arc::clone(&config));
                            let Ok((stream, _)) = accepted else { continue };
                            tokio::spawn(async move {
                                let Ok(stream) = acceptor.accept(stream).await else { return };
                                let is_h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                                let io = TokioIo::new(stream);
                                let service = service_fn(move |request| answer(request, Arc::clone(&record)));
                                if is_h2 {
                                    let _ = http2::Builder::new(TokioExecutor::new()).serve_connection(io, service).await;
                                } else {
                                    let _ = http1::Builder::new().serve_connection(io, service).await;
                                }
                            });
                        }
                        accepted = plain.accept() => {
                            let Ok((stream, _)) = accepted else { continue };
                            tokio::spawn(async move {
                                let service = service_fn(move |request| answer(request, Arc::clone(&record)));
                                let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
                            });
                        }
                    }
                }
            });
        });
        let (tls, plain) = addresses.recv().unwrap();
        Self { tls, plain, seen }
    }

    /// `https://localhost:PORT` and a path.
    pub(crate) fn https(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.tls.port())
    }

    pub(crate) fn http(&self, path: &str) -> String {
        format!("http://localhost:{}{path}", self.plain.port())
    }

    /// What came so far: `VERSION METHOD path body`.
    pub(crate) fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

async fn answer(
    request: Request<Incoming>,
    seen: Arc<Mutex<Vec<String>>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let text = String::from_utf8_lossy(&body).into_owned();
    seen.lock().unwrap().push(format!("{:?} {} {} {text}", head.version, head.method, head.uri.path()));
    let id = serde_json::from_str::<serde_json::Value>(&text).ok().map(|message| message["id"].clone());
    let (kind, answer) = match id {
        Some(id) if text.contains("\"initialize\"") => (
            "application/json",
            format!(
                r#"{{"jsonrpc":"2.0","id":{id},"result":{{"protocolVersion":"2025-11-25","capabilities":{{"tools":{{}}}},"serverInfo":{{"name":"weather","version":"1.2.0"}}}}}}"#
            ),
        ),
        Some(id) => ("application/json", format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"content":[]}}}}"#)),
        None => ("text/plain", "hello\n".to_owned()),
    };
    Ok(Response::builder().header("content-type", kind).body(Full::new(answer.into())).unwrap())
}

/// A certificate for `localhost`, signed by a CA that is made here. The CA's key is left beside it (`.ca-key`).
fn config(ca: &Path) -> ServerConfig {
    let ca_key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    // Two certificates of one name look self-signed to OpenSSL, and two CAs of one name like one.
    params.distinguished_name.push(DnType::CommonName, format!("CA of a test: {}", ca.display()));
    std::fs::write(ca, params.self_signed(&ca_key).unwrap().pem()).unwrap();
    std::fs::write(ca.with_extension("ca-key"), ca_key.serialize_pem()).unwrap();
    let (certificate, key) = certificate(ca, |_| {});
    std::fs::write(ca.with_extension("crt"), certificate.pem()).unwrap();
    std::fs::write(ca.with_extension("key"), key.serialize_pem()).unwrap();
    serving(&certificate, &key, &[b"h2", b"http/1.1"])
}

/// A certificate for `localhost`, with a change, signed by the CA in a file that [`config`] wrote.
fn certificate(ca: &Path, change: impl FnOnce(&mut CertificateParams)) -> (Certificate, KeyPair) {
    let text = |path: &Path| std::fs::read_to_string(path).unwrap();
    let ca_key = KeyPair::from_pem(&text(&ca.with_extension("ca-key"))).unwrap();
    let issuer = Issuer::from_ca_cert_pem(&text(ca), ca_key).unwrap();
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    change(&mut params);
    (params.signed_by(&key, &issuer).unwrap(), key)
}

/// TLS of one more server, signed for by the same CA.
pub(crate) fn server(ca: &Path, alpn: &[&[u8]], change: impl FnOnce(&mut CertificateParams)) -> ServerConfig {
    let (certificate, key) = certificate(ca, change);
    serving(&certificate, &key, alpn)
}

fn serving(certificate: &Certificate, key: &KeyPair, alpn: &[&[u8]]) -> ServerConfig {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let mut config = builder.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key).unwrap();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    config
}
