//! A proxy, origins and clients on loopback.

use detect::{Generation, Observation, ProxyNews, What};
use proxy::{
    Access, Bypass, CaFiles, CertificateAuthority, Destinations, Fault, Hold, Limits, Listener, NewCa, Options, Proxy,
    Reporter, Running, Settings, StartError, Totals, Upstream,
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use std::future::Future;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// The name of the origin of most tests.
pub(crate) const NAME: &str = "origin.test";
/// Nothing here takes that long.
const LONG: Duration = Duration::from_secs(20);

/// What the system is said to trust: a root that is made for the run.
pub(crate) struct Root(CertifiedIssuer<'static, KeyPair>);

impl Root {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(crate) fn der(&self) -> CertificateDer<'static> {
        self.0.der().clone()
    }

    /// A certificate for `name`, changed by `change`, as a server presents it.
    pub(crate) fn server(
        &self,
        name: &str,
        change: impl FnOnce(&mut CertificateParams),
        alpn: &[&[u8]],
    ) -> Arc<ServerConfig> {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, "an origin");
        change(&mut params);
        let leaf = params.signed_by(&key, &self.0).unwrap();
        server(vec![leaf.der().clone()], &key, alpn)
    }
}

/// The one the proxies of tests trust.
pub(crate) static TRUSTED: LazyLock<Root> = LazyLock::new(|| Root::new("a trusted root"));

fn server(chain: Vec<CertificateDer<'static>>, key: &KeyPair, alpn: &[&[u8]]) -> Arc<ServerConfig> {
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    Arc::new(config)
}

/// A certificate that signed itself.
pub(crate) fn self_signed(name: &str) -> Arc<ServerConfig> {
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    server(vec![made.cert.der().clone()], &made.signing_key, &[])
}

static RULES: LazyLock<Arc<Generation>> = LazyLock::new(|| {
    let rules = detect::rules::compile(&detect::rules::builtin()).unwrap();
    Arc::new(Generation { rules, scope: detect::Scope::default(), policy: detect::Policy::default() })
});

/// What was told to the serial stage.
#[derive(Default)]
pub(crate) struct Heard(pub(crate) Mutex<Vec<Observation>>);

impl Reporter for Heard {
    fn report(&self, observation: Observation) -> Result<(), Box<Observation>> {
        self.0.lock().unwrap().push(observation);
        Ok(())
    }
}

/// A proxy and what is needed to use it.
pub(crate) struct Bench {
    pub(crate) running: Running,
    pub(crate) heard: Arc<Heard>,
    pub(crate) ca: Option<CertificateDer<'static>>,
    _folder: TempDir,
}

/// A proxy as tests want it: it trusts [`TRUSTED`], may connect to loopback and intercepts.
pub(crate) struct Plan {
    pub(crate) options: Options,
    pub(crate) settings: Settings,
    folder: TempDir,
}

impl Plan {
    pub(crate) fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let roots = folder.path().join("roots.pem");
        std::fs::write(&roots, TRUSTED.0.pem()).unwrap();
        let ca =
            CaFiles { certificate: folder.path().join("ca.pem"), key: folder.path().join("ca.key"), passphrase: None };
        CertificateAuthority::create(&ca, &NewCa::default()).unwrap();
        let options = Options {
            listeners: vec![Listener { name: "test".to_owned(), address: "127.0.0.1:0".parse().unwrap() }],
            threads: NonZeroUsize::new(2).unwrap(),
            ca: Some(ca),
            upstream: Upstream { roots: vec![roots], ..Upstream::default() },
            limits: Limits::default(),
            look_alikes: false,
            first_source: 0,
            own: Vec::new(),
        };
        let settings = Settings {
            generation: Arc::clone(&RULES),
            access: Access::default(),
            destinations: Destinations {
                allow: vec![detect::Cidr::parse("127.0.0.0/8").unwrap()],
                ..Destinations::default()
            },
            bypass: Bypass::default(),
            hold: Hold::default(),
            on_fault: Fault::Open,
        };
        Self { options, settings, folder }
    }

    pub(crate) fn start(self) -> Bench {
        let ca = self.options.ca.as_ref().map(|files| {
            use rustls::pki_types::pem::PemObject;
            CertificateDer::from_pem_file(&files.certificate).unwrap()
        });
        let heard = Arc::new(Heard::default());
        let running = Proxy::bind(self.options, self.settings).unwrap().start(Arc::clone(&heard) as _).unwrap();
        Bench { running, heard, ca, _folder: self.folder }
    }

    pub(crate) fn refused(self) -> StartError {
        Proxy::bind(self.options, self.settings).err().expect("it starts")
    }
}

impl Bench {
    pub(crate) fn new() -> Self {
        Plan::new().start()
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.running.addresses()[0]
    }

    pub(crate) fn totals(&self) -> Totals {
        self.running.counters().totals()
    }

    pub(crate) fn count(&self, family: &'static str, word: &'static str) -> u64 {
        self.totals().words.get(&(family, word)).copied().unwrap_or_default()
    }

    /// Waits until so many were counted.
    pub(crate) async fn counted(&self, family: &'static str, word: &'static str, n: u64) {
        let waiting = async {
            while self.count(family, word) < n {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        let done = tokio::time::timeout(LONG, waiting).await;
        assert!(done.is_ok(), "{family} {word}: {:?}", self.totals().words);
    }

    /// A connection to the proxy.
    pub(crate) async fn dial(&self) -> TcpStream {
        TcpStream::connect(self.address()).await.unwrap()
    }

    /// Says `head` to the proxy and gives the head of its answer.
    pub(crate) async fn ask(&self, head: &str) -> (TcpStream, String) {
        let mut stream = self.dial().await;
        stream.write_all(head.as_bytes()).await.unwrap();
        let answer = read_head(&mut stream).await;
        (stream, answer)
    }

    /// A tunnel that was granted.
    pub(crate) async fn connect(&self, to: SocketAddr) -> TcpStream {
        let (stream, answer) = self.ask(&format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        stream
    }

    /// TLS through a tunnel, as a client that trusts the proxy's CA and the trusted root.
    pub(crate) async fn tls(
        &self,
        to: SocketAddr,
        name: &str,
        alpn: &[&[u8]],
    ) -> std::io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
        let trusted = self.ca.iter().cloned().chain([TRUSTED.der()]);
        TlsConnector::from(client(trusted, alpn))
            .connect(ServerName::try_from(name.to_owned()).unwrap(), self.connect(to).await)
            .await
    }
}

/// All news of the proxy.
pub(crate) fn news(bench: &Bench) -> Vec<ProxyNews> {
    let heard = bench.heard.0.lock().unwrap();
    let news = heard.iter().filter_map(|seen| match &seen.what {
        What::Proxy(news) => Some((**news).clone()),
        _ => None,
    });
    news.collect()
}

/// A TLS client that trusts these.
pub(crate) fn client(roots: impl IntoIterator<Item = CertificateDer<'static>>, alpn: &[&[u8]]) -> Arc<ClientConfig> {
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(roots);
    let mut config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(store)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    Arc::new(config)
}

/// Reads up to the empty line.
pub(crate) async fn read_head(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match soon(stream.read_u8()).await {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8(head).unwrap()
}

/// Sends a request in HTTP/1.1 and gives head and body of the answer, whose length is known.
pub(crate) async fn request(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), text: &str) -> (String, String) {
    stream.write_all(text.as_bytes()).await.unwrap();
    stream.flush().await.unwrap();
    let head = read_head(stream).await;
    let length = head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    soon(stream.read_exact(&mut body)).await.unwrap();
    (head, String::from_utf8(body).unwrap())
}

/// What must not hang.
pub(crate) async fn soon<T>(doing: impl Future<Output = T>) -> T {
    tokio::time::timeout(LONG, doing).await.expect("it hangs")
}

/// An origin: each connection is served by `serve`.
pub(crate) async fn origin<F: Future<Output = ()> + Send + 'static>(
    serve: impl Fn(TcpStream) -> F + Send + 'static,
) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    address
}

/// A web server: it answers each request with its version, method, target and `Host`.
pub(crate) async fn web(io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, http2: bool) {
    use http_body_util::Full;
    use hyper::{Request, Response, body::Incoming, service::service_fn};
    let answer = service_fn(|request: Request<Incoming>| async move {
        let host = request.headers().get("host").map(|host| host.to_str().unwrap().to_owned());
        let text = format!("{:?} {} {} {host:?}", request.version(), request.method(), request.uri().path());
        Ok::<_, std::convert::Infallible>(Response::new(Full::new(bytes::Bytes::from(text))))
    });
    let io = hyper_util::rt::TokioIo::new(io);
    if http2 {
        let _ = hyper::server::conn::http2::Builder::new(hyper_util::rt::TokioExecutor::new())
            .serve_connection(io, answer)
            .await;
    } else {
        let _ = hyper::server::conn::http1::Builder::new().serve_connection(io, answer).await;
    }
}

/// A web server with TLS.
pub(crate) async fn https(config: Arc<ServerConfig>) -> SocketAddr {
    origin(move |stream| {
        let acceptor = TlsAcceptor::from(Arc::clone(&config));
        async move {
            if let Ok(tls) = acceptor.accept(stream).await {
                let http2 = tls.get_ref().1.alpn_protocol() == Some(b"h2");
                web(tls, http2).await;
            }
        }
    })
    .await
}
