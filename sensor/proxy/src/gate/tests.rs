//! The gate as a whole: dials, alone and through another proxy.

use super::*;
use crate::options::{Access, Bypass, Fault, Hold, Limits, Listener, Upstream, UpstreamProxy};
use detect::{Generation, Policy, Scope};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// Settings with the built-in rules and no exceptions.
pub(in crate::gate) fn settings() -> Settings {
    let rules = detect::rules::compile(&detect::rules::builtin()).unwrap();
    Settings {
        generation: Arc::new(Generation { rules, scope: Scope::default(), policy: Policy::default() }),
        access: Access::default(),
        destinations: Destinations::default(),
        bypass: Bypass::default(),
        hold: Hold::default(),
        on_fault: Fault::Closed,
    }
}

fn nets(list: &[&str]) -> Vec<Cidr> {
    list.iter().map(|net| Cidr::parse(net).unwrap()).collect()
}

fn options(listener: Option<SocketAddr>, proxy: Option<SocketAddr>, no_proxy: &[&str]) -> Options {
    let authorization = Some("Basic dTpw".to_owned());
    Options {
        listeners: listener.into_iter().map(|address| Listener { name: "test".to_owned(), address }).collect(),
        threads: NonZeroUsize::MIN,
        ca: None,
        upstream: Upstream {
            proxy: proxy.map(|at| UpstreamProxy { host: at.ip().to_string(), port: at.port(), authorization }),
            no_proxy: no_proxy.iter().map(ToString::to_string).collect(),
            ..Upstream::default()
        },
        limits: Limits::default(),
        look_alikes: false,
        first_source: 0,
        own: Vec::new(),
    }
}

fn gate(options: &Options, settings: &Settings) -> Gate {
    Gate::open(options, settings, &Arc::default()).unwrap()
}

fn at(text: &str) -> Authority {
    Authority::parse(text, None).unwrap_or_else(|| panic!("{text}"))
}

fn is_forbidden(outcome: &Result<(TcpStream, SocketAddr), Failure>) -> bool {
    matches!(outcome, Err(Failure::Forbidden { .. }))
}

#[tokio::test]
async fn whatever_a_name_means_it_is_the_address_that_is_judged() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut settings = settings();
    let mut gate = gate(&options(None, None, &[]), &settings);
    gate.resolver = Resolver::fake(|name| {
        let ip = name.strip_suffix(".example").unwrap_or("127.0.0.1").replace('-', ":");
        Ok(vec![ip.replace('_', ".").parse().unwrap()])
    });
    for to in ["127_0_0_1", "0_0_0_0", "169_254_169_254", "224_0_0_1", "255_255_255_255"]
        .map(|ip| format!("{ip}.example:{port}"))
        .into_iter()
        .chain(
            ["--1", "--", "fe80--1", "fd00-ec2--254", "--ffff-127_0_0_1", "64-ff9b--7f00-1"]
                .map(|ip| format!("{ip}.example:{port}")),
        )
        .chain([format!("localhost:{port}"), format!("127.0.0.1:{port}"), format!("[::1]:{port}")])
    {
        for tunnel in [true, false] {
            assert!(is_forbidden(&gate.dial(&settings, &at(&to), tunnel).await), "{to}");
        }
    }
    settings.destinations.allow = nets(&["127.0.0.0/8"]);
    let (_, peer) = gate.dial(&settings, &at(&format!("127_0_0_1.example:{port}")), true).await.unwrap();
    assert_eq!(peer, listener.local_addr().unwrap());
    settings.destinations.deny = nets(&["127.0.0.1"]);
    assert!(is_forbidden(&gate.dial(&settings, &at(&format!("127.0.0.1:{port}")), true).await));
}

#[tokio::test]
async fn a_name_that_changes_its_address_gains_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut settings = settings();
    settings.destinations.allow = nets(&["127.0.0.1"]);
    let mut gate = gate(&options(None, None, &[]), &settings);
    let asked = AtomicUsize::new(0);
    gate.resolver = Resolver::fake(move |_| {
        let first = asked.fetch_add(1, Ordering::Relaxed) == 0;
        Ok(vec![IpAddr::from(if first { [127, 0, 0, 1] } else { [127, 0, 0, 2] })])
    });
    let to = at(&format!("rebinding.example:{port}"));
    assert!(gate.dial(&settings, &to, true).await.is_ok());
    assert!(is_forbidden(&gate.dial(&settings, &to, true).await));
}

#[tokio::test]
async fn connect_names_listed_ports_only_and_plain_requests_any() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = at(&listener.local_addr().unwrap().to_string());
    let mut settings = settings();
    settings.destinations = Destinations { connect_ports: vec![443], allow: nets(&["127.0.0.1"]), deny: Vec::new() };
    let gate = gate(&options(None, None, &[]), &settings);
    let refused = gate.dial(&settings, &to, true).await.unwrap_err();
    assert_eq!(refused, Failure::Forbidden { what: to.to_string(), why: "CONNECT to this port is not allowed" });
    assert!(gate.dial(&settings, &to, false).await.is_ok());
}

#[tokio::test]
async fn our_own_listeners_are_a_loop_by_whatever_name_and_through_whatever_proxy() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let own = listener.local_addr().unwrap();
    let mut settings = settings();
    settings.destinations.allow = nets(&["0.0.0.0/0", "::/0"]);
    let direct = gate(&options(Some(own), None, &[]), &settings);
    for to in [own.to_string(), format!("localhost:{}", own.port()), format!("[::ffff:7f00:1]:{}", own.port())] {
        let failed = direct.dial(&settings, &at(&to), true).await.unwrap_err();
        // Names of this machine may have an address where nobody listens, too.
        assert!(matches!(failed, Failure::Loop | Failure::Connect(..)), "{to} {failed:?}");
    }
    let chained = gate(&options(Some(own), Some(own), &[]), &settings);
    assert_eq!(chained.dial(&settings, &at("origin.example:443"), true).await.unwrap_err(), Failure::Loop);
    let wide = gate(&options(Some(SocketAddr::from(([0, 0, 0, 0], own.port()))), None, &[]), &settings);
    assert_eq!(
        wide.dial(&settings, &at(&format!("127.9.9.9:{}", own.port())), false).await.unwrap_err(),
        Failure::Loop
    );
    assert!(tokio::time::timeout(Duration::from_millis(50), listener.accept()).await.is_err(), "nobody came");
}

/// A proxy that answers one CONNECT and then echoes; gives the request head.
async fn upstream_proxy(listener: TcpListener, answer: &'static str) -> String {
    let (mut client, _) = listener.accept().await.unwrap();
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(client.read_u8().await.unwrap());
    }
    client.write_all(answer.as_bytes()).await.unwrap();
    let (mut from, mut to) = client.split();
    tokio::io::copy(&mut from, &mut to).await.unwrap();
    String::from_utf8(request).unwrap()
}

#[tokio::test]
async fn through_another_proxy_there_is_a_tunnel_and_no_look_up() {
    for (to, address) in [("origin.example:443", "0.0.0.0:443"), ("203.0.113.7:80", "203.0.113.7:80")] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let settings = settings();
        let mut gate = gate(&options(None, Some(listener.local_addr().unwrap()), &[]), &settings);
        gate.resolver = Resolver::fake(|name| panic!("{name} was looked up"));
        let talk = async {
            let (mut stream, peer) = gate.dial(&settings, &at(to), true).await.unwrap();
            assert_eq!(peer, address.parse().unwrap());
            stream.write_all(b"ping").await.unwrap();
            stream.shutdown().await.unwrap();
            let mut back = String::new();
            stream.read_to_string(&mut back).await.unwrap();
            back
        };
        let (back, request) = tokio::join!(talk, upstream_proxy(listener, "HTTP/1.1 200 OK\r\n\r\nhello "));
        assert_eq!(back, "hello ping");
        assert_eq!(request, format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\nProxy-Authorization: Basic dTpw\r\n\r\n"));
    }
}

#[tokio::test]
async fn refusals_of_the_other_proxy_and_its_silence_are_told() {
    let settings = settings();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = listener.local_addr().unwrap();
    let opened = gate(&options(None, Some(proxy), &[]), &settings);
    let to = at("origin.example:443");
    let (failed, _) = tokio::join!(
        async { opened.dial(&settings, &to, true).await.unwrap_err() },
        upstream_proxy(listener, "HTTP/1.1 403 Forbidden\r\n\r\n")
    );
    assert_eq!(failed, Failure::UpstreamProxy("status 403 for origin.example:443".to_owned()));
    let failed = opened.dial(&settings, &to, true).await.unwrap_err();
    assert!(matches!(&failed, Failure::UpstreamProxy(why) if why.contains("refused")), "{failed:?}");
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut options = options(None, Some(silent.local_addr().unwrap()), &[]);
    options.limits.connect_time = Duration::from_millis(50);
    let failed = gate(&options, &settings).dial(&settings, &to, true).await.unwrap_err();
    assert_eq!(failed, Failure::Timeout("origin.example:443".to_owned()));
}

#[tokio::test]
async fn behind_another_proxy_addresses_are_judged_and_this_machine_is_no_name_for_it() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let settings = settings();
    let gate = gate(&options(None, Some(listener.local_addr().unwrap()), &["direct.example"]), &settings);
    for to in
        ["169.254.169.254:80", "127.0.0.1:80", "[::1]:80", "[64:ff9b::7f00:1]:80", "localhost:80", "x.localhost:80"]
    {
        let outcome = gate.dial(&settings, &at(to), false).await;
        // A system need not know names below localhost.
        assert!(is_forbidden(&outcome) || matches!(outcome, Err(Failure::Resolve(..))), "{to} {outcome:?}");
    }
    for name in ["metadata.google.internal:80", "instance-data:80"] {
        assert!(is_forbidden(&gate.dial(&settings, &at(name), false).await), "{name}");
    }
    assert!(tokio::time::timeout(Duration::from_millis(50), listener.accept()).await.is_err(), "nobody came");
}

#[tokio::test]
async fn rules_lead_past_the_other_proxy() {
    let origin = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut settings = settings();
    settings.destinations.allow = nets(&["127.0.0.0/8"]);
    let mut gate = gate(&options(None, Some(proxy.local_addr().unwrap()), &[".corp.example"]), &settings);
    gate.resolver = Resolver::fake(|_| Ok(vec![IpAddr::from([127, 0, 0, 1])]));
    let to = at(&format!("a.corp.example:{}", origin.local_addr().unwrap().port()));
    let (_, peer) = gate.dial(&settings, &to, true).await.unwrap();
    assert_eq!(peer, origin.local_addr().unwrap());
}

#[tokio::test]
async fn a_look_up_that_hangs_or_fails_is_told_as_such() {
    let settings = settings();
    let mut options = options(None, None, &[]);
    options.limits.connect_time = Duration::from_millis(50);
    let mut gate = gate(&options, &settings);
    let (hold, held) = std::sync::mpsc::sync_channel::<()>(0);
    let held = std::sync::Mutex::new(held);
    gate.resolver = Resolver::fake(move |name| {
        if name == "slow.example" {
            let _ = held.lock().unwrap().recv();
        }
        Err(std::io::Error::other("no such host"))
    });
    let failed = gate.dial(&settings, &at("slow.example:443"), true).await.unwrap_err();
    assert_eq!(failed, Failure::Timeout("slow.example:443".to_owned()));
    drop(hold);
    let failed = gate.dial(&settings, &at("gone.example:443"), true).await.unwrap_err();
    assert_eq!(failed, Failure::Resolve("gone.example".to_owned(), "no such host".to_owned()));
}

#[test]
fn clients_are_admitted_by_network() {
    let mut settings = settings();
    let gate = gate(&options(None, None, &[]), &settings);
    assert!(gate.admits(&settings, [192, 0, 2, 1].into()));
    settings.access.clients = nets(&["192.0.2.0/24", "fd00::/8"]);
    for (client, want) in [
        ("192.0.2.1", true),
        ("::ffff:192.0.2.1", true),
        ("fd12::1", true),
        ("192.0.3.1", false),
        ("::1", false),
        ("127.0.0.1", false),
    ] {
        assert_eq!(gate.admits(&settings, client.parse().unwrap()), want, "{client}");
    }
}

#[test]
fn what_is_wrong_with_files_or_rules_is_told_when_it_opens() {
    let mut settings = settings();
    let open = |options: &Options, settings: &Settings| Gate::open(options, settings, &Arc::default()).err().unwrap();
    let proxy = Some(SocketAddr::from(([127, 0, 0, 1], 1)));
    assert!(open(&options(None, proxy, &["a b"]), &settings).contains("no_proxy"));
    settings.access.credentials = Some("/nonexistent/users".into());
    assert!(open(&options(None, None, &[]), &settings).contains("/nonexistent/users: "));
}
