//! A browser that people use.

use crate::needs_curl;
use crate::support::{Lab, PATIENCE, Proxy, clock};
use base64::Engine as _;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::server::ParsedCertificate;
use sha2::{Digest as _, Sha256};
use std::fs::{self, File};
use std::process::{Command, Stdio};
use std::time::Duration;

/// What Chromium makes of a page: its document at the end, and what it complains of. It trusts the key of the leaf
/// certificates, which is one for all of them as long as the proxy runs.
fn visit(lab: &Lab, proxy: &Proxy, url: &str) -> String {
    let shown =
        lab.command(proxy, &["-o", "page", "-w", "%{certs}", url]).current_dir(lab.dir.path()).output().unwrap();
    let leaf = CertificateDer::from_pem_slice(&shown.stdout).unwrap();
    let key = ParsedCertificate::try_from(&leaf).unwrap().subject_public_key_info();
    let trusted = base64::engine::general_purpose::STANDARD.encode(Sha256::digest(&key));
    let home = tempfile::tempdir().unwrap();
    let mut command = Command::new("chromium");
    command.env("HOME", home.path()).current_dir(home.path());
    command.args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-dev-shm-usage"]);
    command.args(["--no-first-run", "--disable-background-networking", "--disable-component-update"]);
    command.args(["--disable-sync", "--disable-default-apps", "--disable-extensions", "--dump-dom"]);
    command.arg(format!("--user-data-dir={}", home.path().join("data").display()));
    command.arg(format!("--proxy-server=http://{}", proxy.address)).arg("--proxy-bypass-list=<-loopback>");
    command.arg(format!("--ignore-certificate-errors-spki-list={trusted}")).arg(url);
    let (document, said) = (home.path().join("document"), home.path().join("said"));
    command.stdin(Stdio::null()).stdout(File::create(&document).unwrap()).stderr(File::create(&said).unwrap());
    let mut child = command.spawn().unwrap();
    let end = clock() + PATIENCE;
    let ended = loop {
        match child.try_wait().unwrap() {
            Some(status) => break status.success(),
            None if clock() > end => {
                let _ = child.kill();
                let _ = child.wait();
                break false;
            }
            None => std::thread::park_timeout(Duration::from_millis(20)),
        }
    };
    assert!(ended, "{}", fs::read_to_string(said).unwrap());
    let said = fs::read_to_string(said).unwrap();
    fs::read_to_string(document).unwrap() + &said
}

#[test]
fn chromium_shows_pages_and_why_one_is_blocked() {
    needs_curl!();
    let has = Command::new("chromium").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !has.is_ok_and(|status| status.success()) {
        println!("skipped: there is no `chromium`");
        return;
    }
    let lab = Lab::new();
    let page = lab.origin.https("/page");
    let proxy = lab.start("");
    let document = visit(&lab, &proxy, &page);
    assert!(document.contains("hello"), "{document}");
    let seen = lab.origin.seen();
    // By curl, and by Chromium.
    assert!(seen.iter().filter(|line| *line == "HTTP/2.0 GET /page ").count() >= 2, "{seen:?}");
    proxy.stop();
    let denied = format!("[denied]\nservers = [\"localhost:{}\"]\n", lab.origin.tls.port());
    let proxy = lab.start(&format!("{denied}[actions]\ndenied = \"block\"\nmessage = \"Use the company portal.\"\n"));
    let before = lab.origin.seen().len();
    let document = visit(&lab, &proxy, &page);
    assert!(document.contains("<h1>Blocked</h1>") && document.contains("Use the company portal."), "{document}");
    assert!(document.contains("Policy: actions.denied"), "{document}");
    assert_eq!(lab.origin.seen().len(), before, "{:?}", lab.origin.seen());
    proxy.stop();
}
