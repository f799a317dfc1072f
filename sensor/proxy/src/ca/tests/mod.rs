//! The CA from outside: files as they lie on disk, leaves as clients see them.

mod cache;
mod handshake;
mod leaves;
mod load;

use super::{CaCertificate, CaError, CertificateAuthority, NewCa};
use crate::options::CaFiles;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

/// A folder of its owner's alone, with the files of a CA named but not made.
fn folder() -> (TempDir, CaFiles) {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), Permissions::from_mode(0o700)).unwrap();
    let files =
        CaFiles { certificate: dir.path().join("ca/ca.crt"), key: dir.path().join("ca/ca.key"), passphrase: None };
    (dir, files)
}

/// A CA that was just made.
fn made() -> (TempDir, CaFiles, CaCertificate) {
    made_as(&NewCa::default())
}

fn made_as(new: &NewCa) -> (TempDir, CaFiles, CaCertificate) {
    let (dir, files) = folder();
    let certificate = CertificateAuthority::create(&files, new).unwrap();
    (dir, files, certificate)
}

fn load(files: &CaFiles) -> Result<CertificateAuthority, CaError> {
    CertificateAuthority::load(files, 100)
}

/// Why a CA is refused, in words.
#[track_caller]
fn refusal(files: &CaFiles) -> String {
    load(files).map(|_| ()).unwrap_err().to_string()
}

/// Writes a secret as it should be.
fn secret(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
    fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
}

/// What a CA of somebody else is made of, good unless a test changes it.
fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
}

/// A root by somebody else.
fn root() -> (String, Issuer<'static, KeyPair>) {
    root_of(BasicConstraints::Unconstrained)
}

fn root_of(constraints: BasicConstraints) -> (String, Issuer<'static, KeyPair>) {
    let key = KeyPair::generate().unwrap();
    let mut params = params("Example Root");
    params.is_ca = IsCa::Ca(constraints);
    (params.self_signed(&key).unwrap().pem(), Issuer::new(params, key))
}

/// Runs the `openssl` program; `None` where there is none.
#[track_caller]
fn openssl(args: &[&str]) -> Option<String> {
    let out = match Command::new("openssl").args(args).output() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
        out => out.unwrap(),
    };
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "openssl {args:?}: {said}");
    Some(String::from_utf8(out.stdout).unwrap())
}
