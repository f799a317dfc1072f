//! `mcp-sensor ca`.

use crate::support::{directory, run};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

#[test]
fn a_ca_is_made_shown_and_handed_out() {
    let dir = directory();
    let made = run(dir.path(), &["ca", "init", "--dir", "ca"]).ends(0, &["ca.key", "ca.pem", "docs/trust.md"]);
    let shown = run(dir.path(), &["ca", "show", "--dir", "ca"]).ends(0, &[]);
    assert_eq!(made.stdout, shown.stdout);
    for line in [
        "subject      O=mcp-sensor, CN=mcp-sensor CA ",
        "kind         root\n",
        "serial       ",
        "valid from   2",
        "valid until  2",
        "sha256       ",
        "key          ECDSA P-256\n",
        "CAs below    0\n",
        "constraints  none\n",
    ] {
        assert!(shown.stdout.contains(line), "{line}: {}", shown.stdout);
    }
    let mode = fs::metadata(dir.path().join("ca/ca.key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
    let pem = fs::read_to_string(dir.path().join("ca/ca.pem")).unwrap();
    assert_eq!(run(dir.path(), &["ca", "export", "--dir", "ca"]).ends(0, &[]).stdout, pem);
    let der = run(dir.path(), &["ca", "export", "--dir", "ca", "--der", "-o", "ca.der"]).ends(0, &[]);
    assert_eq!(der.stdout, "");
    assert!(fs::read(dir.path().join("ca.der")).unwrap().starts_with(b"\x30\x82"));
}

#[test]
fn a_ca_is_never_overwritten() {
    let dir = directory();
    run(dir.path(), &["ca", "init", "--dir", "ca"]).ends(0, &[]);
    let key = fs::read(dir.path().join("ca/ca.key")).unwrap();
    run(dir.path(), &["ca", "init", "--dir", "ca"]).ends(2, &["ca/ca.pem is there already and stays as it is"]);
    assert_eq!(fs::read(dir.path().join("ca/ca.key")).unwrap(), key);
}

#[test]
fn the_files_are_those_of_the_configuration_unless_a_folder_is_named() {
    let dir = directory();
    fs::write(dir.path().join("passphrase"), "correct horse\n").unwrap();
    fs::set_permissions(dir.path().join("passphrase"), Permissions::from_mode(0o600)).unwrap();
    fs::write(
        dir.path().join("sensor.toml"),
        "[proxy.ca]\ncertificate = \"tls/mine.pem\"\nkey = \"tls/mine.key\"\npassphrase_file = \"passphrase\"\n",
    )
    .unwrap();
    run(dir.path(), &["-c", "sensor.toml", "ca", "init", "--days", "30", "--permit", "example.com,corp.example"])
        .ends(0, &["mine.key"]);
    let shown = run(dir.path(), &["-c", "sensor.toml", "ca", "show"]).ends(0, &[]).stdout;
    assert!(shown.contains("constraints  only example.com, corp.example; not 0.0.0.0/0, ::/0\n"), "{shown}");
    let key = fs::read_to_string(dir.path().join("tls/mine.key")).unwrap();
    assert!(key.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----"));
    fs::write(dir.path().join("off.toml"), "[proxy]\nintercept = false\n").unwrap();
    run(dir.path(), &["-c", "off.toml", "ca", "show"]).ends(2, &["proxy.intercept", "--dir"]);
}

#[test]
fn what_is_wrong_is_said_with_what_would_do() {
    let dir = directory();
    run(dir.path(), &["ca", "show", "--dir", "none"]).ends(1, &["cannot read none/ca.pem"]);
    run(dir.path(), &["ca", "init", "--dir", "ca", "--days", "0"]).ends(2, &["--days", "1..=7300"]);
    run(dir.path(), &["ca", "init", "--dir", "ca", "--permit", "10.0.0.1"]).ends(2, &["name a domain"]);
    fs::create_dir(dir.path().join("wide")).unwrap();
    fs::set_permissions(dir.path().join("wide"), Permissions::from_mode(0o777)).unwrap();
    run(dir.path(), &["ca", "init", "--dir", "wide"]).ends(2, &["others may write to wide", "chmod go-w wide"]);
    fs::write(dir.path().join("wide/ca.pem"), "no PEM").unwrap();
    run(dir.path(), &["ca", "export", "--dir", "wide"]).ends(2, &["holds no certificate"]);
}
