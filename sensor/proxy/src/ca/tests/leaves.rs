//! Leaves, read by others.

use super::*;
use crate::ca::{DAY, leaf::Leaf};
use crate::clock;
use std::collections::HashSet;
use std::net::IpAddr;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::FromDer as _;

/// The certificate of a leaf, DER.
pub(super) fn der(leaf: &Leaf) -> Vec<u8> {
    leaf.chain()[0].to_vec()
}

fn now() -> i64 {
    clock::now().seconds()
}

/// `openssl verify` of a leaf for a name and one for an address, as a client does it.
pub(super) fn check_with_openssl(ca: &CertificateAuthority, files: &CaFiles) {
    let dir = tempfile::tempdir().unwrap();
    let (leaf_file, above_file) = (dir.path().join("leaf.pem"), dir.path().join("above.pem"));
    let anchor = dir.path().join("anchor.pem");
    fs::write(&anchor, ca.certificate().anchor_pem()).unwrap();
    fs::copy(&files.certificate, &above_file).unwrap();
    for (flag, name) in [("-verify_hostname", "api.example.com"), ("-verify_ip", "2001:db8::7")] {
        let leaf = ca.leaf(name, now()).unwrap();
        fs::write(&leaf_file, crate::ca::certificate::pem(&der(&leaf))).unwrap();
        let args = ["verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", anchor.to_str().unwrap()];
        let files = ["-untrusted", above_file.to_str().unwrap(), flag, name, leaf_file.to_str().unwrap()];
        if let Some(out) = openssl(&[&args[..], &files].concat()) {
            assert!(out.ends_with(": OK\n"), "{name}: {out}");
        }
    }
}

#[test]
fn a_thousand_leaves_are_what_they_should_be() {
    let (_dir, files, certificate) = made();
    let ca = CertificateAuthority::load(&files, 10).unwrap();
    let mut serials = HashSet::new();
    let mut publics = HashSet::new();
    let now = now();
    for index in 0..1000 {
        let name = match index % 4 {
            0 => format!("host-{index}.example.com"),
            1 => format!("192.0.{}.{}", index / 250, index % 250),
            2 => format!("2001:db8::{index:x}"),
            _ => format!("{}.{index}.example", "long".repeat(15)),
        };
        let der = der(&ca.leaf(&name, now).unwrap());
        let (rest, leaf) = X509Certificate::from_der(&der).unwrap();
        assert!(rest.is_empty());
        assert_eq!(leaf.version().0, 2);
        let (_, above) = X509Certificate::from_der(certificate.der()).unwrap();
        leaf.verify_signature(Some(above.public_key())).unwrap();
        assert_eq!(leaf.issuer().as_raw(), above.subject().as_raw());
        assert_ne!(leaf.subject().as_raw(), leaf.issuer().as_raw());
        let common = leaf.subject().iter_common_name().next().unwrap().as_str().unwrap().to_owned();
        assert!(common.len() <= 64 && (common == name || common == "mcp-sensor leaf"), "{common}");

        assert_eq!(leaf.raw_serial().len(), 16);
        assert!(leaf.raw_serial()[0] < 0x80);
        assert!(serials.insert(leaf.raw_serial().to_vec()));
        publics.insert(leaf.public_key().raw.to_vec());
        assert_ne!(leaf.public_key().raw, above.public_key().raw);

        let validity = leaf.validity();
        assert!((validity.not_before.timestamp() - (now - DAY)).abs() < 60);
        assert_eq!(validity.not_after.timestamp() - validity.not_before.timestamp(), 7 * DAY);

        assert_eq!(leaf.extensions().len(), 6);
        let names = &leaf.subject_alternative_name().unwrap().unwrap().value.general_names;
        match (name.parse::<IpAddr>(), names.as_slice()) {
            (Err(_), [GeneralName::DNSName(dns)]) => assert_eq!(*dns, name),
            (Ok(IpAddr::V4(want)), [GeneralName::IPAddress(ip)]) => assert_eq!(*ip, want.octets()),
            (Ok(IpAddr::V6(want)), [GeneralName::IPAddress(ip)]) => assert_eq!(*ip, want.octets()),
            other => panic!("{other:?}"),
        }
        assert!(!leaf.basic_constraints().unwrap().unwrap().value.ca);
        let usage = leaf.key_usage().unwrap().unwrap();
        assert!(usage.critical && usage.value.flags == 1);
        let extended = leaf.extended_key_usage().unwrap().unwrap().value;
        assert!(extended.server_auth && !extended.any && !extended.client_auth && extended.other.is_empty());
        let id = |of: &X509Certificate<'_>, authority: bool| {
            of.extensions().iter().find_map(|e| match e.parsed_extension() {
                ParsedExtension::SubjectKeyIdentifier(id) if !authority => Some(id.0.to_vec()),
                ParsedExtension::AuthorityKeyIdentifier(id) if authority => {
                    id.key_identifier.as_ref().map(|id| id.0.to_vec())
                }
                _ => None,
            })
        };
        assert_eq!(id(&leaf, true).unwrap(), id(&above, false).unwrap());
        assert_eq!(id(&leaf, false).unwrap().len(), 20);
    }
    assert_eq!(publics.len(), 1, "one key of the process");
    let other = CertificateAuthority::load(&files, 10).unwrap();
    let der = der(&other.leaf("example.com", now).unwrap());
    let (_, leaf) = X509Certificate::from_der(&der).unwrap();
    assert!(!publics.contains(leaf.public_key().raw), "another key of another process");
}

#[test]
fn openssl_takes_ca_and_leaf_for_what_they_are() {
    for permitted in [Vec::new(), vec!["example.com".to_owned()]] {
        let (_dir, files, certificate) = made_as(&NewCa { permitted: permitted.clone(), ..NewCa::default() });
        let ca = load(&files).unwrap();
        if permitted.is_empty() {
            check_with_openssl(&ca, &files);
        }
        let args = ["x509", "-in", files.certificate.to_str().unwrap(), "-noout", "-text", "-fingerprint", "-sha256"];
        let Some(text) = openssl(&args) else { return };
        assert!(text.contains("X509v3 Basic Constraints: critical\n                CA:TRUE, pathlen:0"), "{text}");
        assert!(text.contains("X509v3 Key Usage: critical\n                Certificate Sign, CRL Sign"), "{text}");
        assert!(text.contains(&format!("Fingerprint={}", certificate.fingerprint())), "{text}");
        assert_eq!(text.contains("X509v3 Name Constraints: critical"), !permitted.is_empty());
        let lower = certificate.serial().to_ascii_lowercase();
        assert!(text.contains(&lower), "{lower} {text}");
    }
}

#[test]
fn a_constrained_ca_signs_for_its_domains_alone() {
    let permitted = vec!["Example.com.".to_owned(), "corp.example".to_owned()];
    let (_dir, files, certificate) = made_as(&NewCa { permitted, ..NewCa::default() });
    assert_eq!(certificate.constraints(), "only example.com, corp.example; not 0.0.0.0/0, ::/0");
    let ca = load(&files).unwrap();
    for name in ["example.com", "API.example.com", "a.corp.example"] {
        ca.leaf(name, now()).unwrap();
    }
    for name in ["example.org", "notexample.com", "192.0.2.1", "::1"] {
        let error = ca.leaf(name, now()).map(|_| ()).unwrap_err();
        assert_eq!(error.to_string(), format!("the CA's name constraints do not let it sign for {name}"));
        assert_eq!(error.reason(), "not_permitted");
    }
}

#[test]
fn a_leaf_never_outlives_the_ca_and_is_renewed_in_time() {
    let (_dir, files, _) = made_as(&NewCa { days: 3, ..NewCa::default() });
    let ca = load(&files).unwrap();
    let (first, last) = ca.certificate().valid();
    let check = |now: i64| {
        let der = der(&ca.leaf("example.com", now).unwrap());
        let (_, leaf) = X509Certificate::from_der(&der).unwrap();
        let validity = leaf.validity();
        let (from, until) = (validity.not_before.timestamp(), validity.not_after.timestamp());
        assert!(first <= from && from <= now && now <= until && until <= last, "{first} {from} {now} {until} {last}");
        leaf.raw_serial().to_vec()
    };
    let now = now();
    let serial = check(now);
    assert_eq!(check(now + DAY - 1), serial, "used for a day");
    let next = check(now + DAY);
    assert_ne!(next, serial, "renewed after a day");
    assert_eq!(check(now + DAY + 60), next);
    let early = check(first);
    assert_ne!(early, next, "a clock that was set back");
    check(last - 1);
    check(last);
    let error = ca.leaf("example.com", last + 1).map(|_| ()).unwrap_err();
    assert_eq!(error.reason(), "expired");
    assert_eq!(ca.leaf("example.com", first - 1).map(|_| ()).unwrap_err().reason(), "not_yet_valid");
}

#[test]
fn a_leaf_for_the_name_of_the_ca_is_not_taken_for_its_own_issuer() {
    let (_dir, files) = folder();
    let key = KeyPair::generate().unwrap();
    secret(&files.key, &key.serialize_pem());
    fs::write(&files.certificate, params("ca.example.com").self_signed(&key).unwrap().pem()).unwrap();
    let ca = load(&files).unwrap();
    let der = der(&ca.leaf("ca.example.com", now()).unwrap());
    let (_, leaf) = X509Certificate::from_der(&der).unwrap();
    assert_eq!(leaf.subject().to_string(), "CN=mcp-sensor leaf");
}
