//! Files: what is written, what is refused, and in which words.

use super::*;
use nix::sys::stat::Mode;
use rcgen::{ExtendedKeyUsagePurpose, KeyUsagePurpose, date_time_ymd};
use std::os::unix::fs::symlink;

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o7777
}

#[test]
fn a_new_ca_is_its_owners_alone_and_loads() {
    let (_dir, files, certificate) = made();
    assert_eq!(mode(&files.key), 0o600);
    assert_eq!(mode(files.key.parent().unwrap()), 0o700);
    let ca = load(&files).unwrap();
    assert_eq!(ca.certificate(), &certificate);
    assert!(certificate.subject().starts_with("O=mcp-sensor, CN=mcp-sensor CA "), "{}", certificate.subject());
    assert_eq!((certificate.key(), certificate.path_length()), ("ECDSA P-256", Some(0)));
    assert_eq!(certificate.constraints(), "none");
    assert!(!certificate.is_intermediate());
    let shown = format!("{ca:?}");
    assert!(shown.starts_with("CertificateAuthority { subject: \"O=mcp-sensor"), "{shown}");
    let key = fs::read_to_string(&files.key).unwrap();
    assert!(key.starts_with("-----BEGIN PRIVATE KEY-----\n"));
}

#[test]
fn two_installs_have_nothing_in_common() {
    let ((_a, a_files, a), (_b, b_files, b)) = (made(), made());
    assert_ne!(a.subject(), b.subject());
    assert_ne!(a.serial(), b.serial());
    assert_ne!(a.public(), b.public());
    assert_ne!(a.fingerprint(), b.fingerprint());
    assert_ne!(fs::read(a_files.key).unwrap(), fs::read(b_files.key).unwrap());
}

#[test]
fn nothing_is_overwritten_and_nothing_is_left_behind() {
    let (_dir, files, _) = made();
    let before = (fs::read(&files.key).unwrap(), fs::read(&files.certificate).unwrap());
    let again = |files: &CaFiles| CertificateAuthority::create(files, &NewCa::default()).unwrap_err();
    assert_eq!(again(&files), CaError::Exists(files.certificate.clone()));
    assert!(again(&files).to_string().contains("is there already and stays as it is"));
    fs::remove_file(&files.certificate).unwrap();
    assert_eq!(again(&files), CaError::Exists(files.key.clone()));
    assert!(!files.certificate.exists());
    assert_eq!(fs::read(&files.key).unwrap(), before.0);
    // A link to nowhere would have the key written elsewhere.
    fs::remove_file(&files.key).unwrap();
    let elsewhere = files.key.with_file_name("elsewhere");
    symlink(&elsewhere, &files.key).unwrap();
    assert_eq!(again(&files), CaError::Exists(files.key.clone()));
    assert!(!elsewhere.exists());
}

#[test]
fn a_key_that_others_have_a_right_to_is_refused_with_what_would_do() {
    let (_dir, files, _) = made();
    for wide in [0o644, 0o640, 0o604, 0o660, 0o606, 0o610, 0o601, 0o777] {
        fs::set_permissions(&files.key, Permissions::from_mode(wide)).unwrap();
        let path = files.key.display();
        assert_eq!(refusal(&files), format!("others may use {path} (mode {wide:04o}); run `chmod 600 {path}`"));
    }
    for narrow in [0o400, 0o600, 0o700] {
        fs::set_permissions(&files.key, Permissions::from_mode(narrow)).unwrap();
        load(&files).unwrap();
    }
}

#[test]
fn a_folder_that_others_may_write_to_is_refused_with_what_would_do() {
    let (_dir, files, _) = made();
    let folder = files.key.parent().unwrap();
    for wide in [0o777, 0o775, 0o707, 0o1777] {
        fs::set_permissions(folder, Permissions::from_mode(wide)).unwrap();
        let path = folder.display();
        let want =
            format!("others may write to {path} (mode {wide:04o}), the folder of a secret; run `chmod go-w {path}`");
        assert_eq!(refusal(&files), want);
        fs::remove_file(&files.certificate).unwrap();
        let other = CaFiles { key: folder.join("other.key"), ..files.clone() };
        assert_eq!(CertificateAuthority::create(&other, &NewCa::default()).unwrap_err().to_string(), want);
        fs::write(&files.certificate, "").unwrap();
    }
}

#[test]
fn a_link_a_pipe_and_a_folder_are_no_key() {
    let (_dir, files, _) = made();
    let link = CaFiles { key: files.key.with_file_name("link"), ..files.clone() };
    symlink(&files.key, &link.key).unwrap();
    assert_eq!(refusal(&link), format!("{} is a symbolic link; give the path of the file itself", link.key.display()));
    let pipe = CaFiles { key: files.key.with_file_name("pipe"), ..files.clone() };
    nix::unistd::mkfifo(&pipe.key, Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
    assert_eq!(refusal(&pipe), format!("{} is no regular file", pipe.key.display()));
    let inner = CaFiles { key: files.key.with_file_name("inner"), ..files.clone() };
    fs::create_dir(&inner.key).unwrap();
    assert_eq!(refusal(&inner), format!("{} is no regular file", inner.key.display()));
    let none = CaFiles { key: files.key.with_file_name("none"), ..files };
    assert!(refusal(&none).starts_with("cannot read "), "{}", refusal(&none));
}

#[test]
fn a_file_without_a_key_or_a_certificate_is_refused() {
    let (_dir, files, certificate) = made();
    let key = fs::read_to_string(&files.key).unwrap();
    for (text, why) in [
        ("", "there is no PEM block of one in it".to_owned()),
        ("-----BEGIN PRIVATE KEY-----\nAAAA", "there is no PEM block of one in it".to_owned()),
        (&certificate.anchor_pem(), "there is no PEM block of one in it".to_owned()),
        ("\u{ff}", "there is no PEM block of one in it".to_owned()),
    ] {
        secret(&files.key, text);
        assert_eq!(refusal(&files), format!("{} holds no private key: {why}", files.key.display()), "{text}");
    }
    secret(&files.key, &"#".repeat(70_000));
    assert_eq!(refusal(&files), format!("{} is larger than 65536 bytes", files.key.display()));
    secret(&files.key, &key);
    for text in ["", &key, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        fs::write(&files.certificate, text).unwrap();
        let why = refusal(&files);
        assert!(why.contains("holds no certificate that can be read: "), "{why}");
    }
    fs::write(&files.certificate, certificate.anchor_pem().repeat(9)).unwrap();
    assert!(refusal(&files).ends_with("there are more than 8 in it"), "{}", refusal(&files));
}

#[test]
fn a_key_of_another_ca_is_refused() {
    let ((_a, a, _), (_b, b, _)) = (made(), made());
    let mixed = CaFiles { certificate: a.certificate.clone(), ..b.clone() };
    let want = format!(
        "the certificate in {} is for another key than the one in {}",
        a.certificate.display(),
        b.key.display()
    );
    assert_eq!(refusal(&mixed), want);
}

#[test]
fn a_certificate_that_is_no_good_for_this_is_refused() {
    let (_dir, files) = folder();
    let key = KeyPair::generate().unwrap();
    secret(&files.key, &key.serialize_pem());
    let check = |change: &dyn Fn(&mut CertificateParams), want: Option<&str>| {
        let mut params = params("Somebody");
        change(&mut params);
        fs::write(&files.certificate, params.self_signed(&key).unwrap().pem()).unwrap();
        assert_eq!(load(&files).err().map(|e| e.to_string()).as_deref(), want);
    };
    check(&|_| {}, None);
    let ca = "the certificate of CN=Somebody is not good for a CA that intercepts TLS: ";
    check(&|p| p.is_ca = IsCa::NoCa, Some(&format!("{ca}its basic constraints do not say CA:TRUE")));
    check(&|p| p.is_ca = IsCa::ExplicitNoCa, Some(&format!("{ca}its basic constraints do not say CA:TRUE")));
    check(
        &|p| p.key_usages = vec![KeyUsagePurpose::DigitalSignature],
        Some(&format!("{ca}its key usage leaves out keyCertSign")),
    );
    check(&|p| p.key_usages = vec![KeyUsagePurpose::KeyCertSign], None);
    check(
        &|p| p.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth],
        Some(&format!("{ca}its extended key usage leaves out serverAuth")),
    );
    check(&|p| p.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth], None);
    check(
        &|p| p.not_after = date_time_ymd(2020, 1, 2),
        Some(
            "the certificate of CN=Somebody expired at 2020-01-02T00:00:00Z; make another with `mcp-sensor ca init`, \
             or have it renewed",
        ),
    );
    check(
        &|p| p.not_before = date_time_ymd(2999, 1, 2),
        Some("the certificate of CN=Somebody is not valid before 2999-01-02T00:00:00Z; is the clock right?"),
    );
}

#[test]
fn an_intermediate_comes_with_those_above_it_in_order() {
    let (_dir, files) = folder();
    let (root_pem, root) = root();
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
    let pem = params("Example Intermediate").signed_by(&key, &root).unwrap().pem();
    secret(&files.key, &key.serialize_pem());
    fs::write(&files.certificate, format!("{pem}{root_pem}")).unwrap();
    let ca = load(&files).unwrap();
    assert!(ca.certificate().is_intermediate());
    assert_eq!(ca.certificate().key(), "ECDSA P-384");
    // Clients trust the root, and it is not sent.
    assert_eq!(ca.certificate().anchor_pem(), root_pem);
    assert_eq!(ca.certificate().sent().count(), 1);
    fs::write(&files.certificate, &pem).unwrap();
    assert_eq!(load(&files).unwrap().certificate().sent().count(), 1);
    // Another root of the same name did not sign it.
    let (other, _) = super::root();
    fs::write(&files.certificate, format!("{pem}{other}")).unwrap();
    let want = "the certificate of CN=Example Intermediate is not signed by the one behind it in the file, CN=Example \
                Root; order them from ours to the root";
    assert_eq!(refusal(&files), want);
}

#[test]
fn a_root_that_allows_no_ca_below_it_is_refused() {
    let (_dir, files) = folder();
    for (length, fits) in [(0, false), (1, true)] {
        let (root_pem, root) = root_of(BasicConstraints::Constrained(length));
        let key = KeyPair::generate().unwrap();
        let pem = params("Example Intermediate").signed_by(&key, &root).unwrap().pem();
        secret(&files.key, &key.serialize_pem());
        fs::write(&files.certificate, format!("{pem}{root_pem}")).unwrap();
        let want = "the certificate of CN=Example Root is not good for a CA that intercepts TLS: its path length does not \
                    allow the CAs below it";
        assert_eq!(load(&files).err().map(|e| e.to_string()), (!fits).then(|| want.to_owned()));
    }
}

#[test]
fn a_passphrase_is_needed_where_there_is_one() {
    let (dir, mut files) = folder();
    let passphrase = dir.path().join("passphrase");
    secret(&passphrase, "correct horse\r\n");
    files.passphrase = Some(passphrase.clone());
    CertificateAuthority::create(&files, &NewCa::default()).unwrap();
    let text = fs::read_to_string(&files.key).unwrap();
    assert!(text.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----\n"));
    load(&files).unwrap();
    secret(&passphrase, "correct horse");
    load(&files).unwrap();
    let key = files.key.display();
    secret(&passphrase, "wrong");
    assert_eq!(refusal(&files), format!("the passphrase does not open the key in {key}"));
    secret(&passphrase, "\n");
    assert_eq!(refusal(&files), format!("{} holds no passphrase", passphrase.display()));
    fs::set_permissions(&passphrase, Permissions::from_mode(0o644)).unwrap();
    assert!(refusal(&files).ends_with(&format!("run `chmod 600 {}`", passphrase.display())), "{}", refusal(&files));
    files.passphrase = None;
    assert_eq!(refusal(&files), format!("the key in {key} is encrypted; name the file that holds its passphrase"));
    secret(&passphrase, "correct horse");
    let pass = format!("file:{}", passphrase.display());
    if let Some(out) = openssl(&["pkey", "-in", files.key.to_str().unwrap(), "-passin", &pass, "-pubout"]) {
        assert!(out.starts_with("-----BEGIN PUBLIC KEY-----"));
    }
}

/// The last argument may be a number of bits, which `genrsa` wants at the end.
fn to_file<'a>(make: &[&'a str], file: &'a str) -> Vec<&'a str> {
    let (last, rest) = make.split_last().unwrap();
    if last.parse::<u16>().is_ok() { [rest, &["-out", file, last]].concat() } else { [make, &["-out", file]].concat() }
}

#[test]
fn keys_as_openssl_writes_them_are_read() {
    let (dir, mut files) = folder();
    let passphrase = dir.path().join("passphrase");
    secret(&passphrase, "swordfish\n");
    let pass = format!("file:{}", passphrase.display());
    let raw = dir.path().join("raw.key");
    let (raw, key) = (raw.to_str().unwrap(), files.key.clone());
    let key = key.to_str().unwrap();
    fs::create_dir(files.key.parent().unwrap()).unwrap();
    let config = ["-subj", "/DC=com/DC=example/CN=Example CA", "-addext", "keyUsage=keyCertSign"];
    for (make, store, kind) in [
        (&["ecparam", "-name", "prime256v1", "-genkey"][..], None, "ECDSA P-256"),
        (&["ecparam", "-name", "prime256v1", "-genkey"], Some(&["-v2", "aes-256-cbc"][..]), "ECDSA P-256"),
        (&["ecparam", "-name", "secp384r1", "-genkey"], Some(&["-scrypt"]), "ECDSA P-384"),
        (&["genrsa", "-traditional", "2048"], None, "RSA of 2048 bits"),
        (&["genrsa", "3072"], Some(&[]), "RSA of 3072 bits"),
    ] {
        if openssl(&to_file(make, raw)).is_none() {
            return;
        }
        openssl(
            &[&["req", "-x509", "-key", raw, "-out", files.certificate.to_str().unwrap(), "-days", "9"][..], &config]
                .concat(),
        );
        files.passphrase = None;
        if let Some(how) = store {
            openssl(&[&["pkcs8", "-topk8", "-in", raw, "-out", key, "-passout", &pass][..], how].concat());
            files.passphrase = Some(passphrase.clone());
        } else {
            fs::copy(raw, key).unwrap();
        }
        fs::set_permissions(key, Permissions::from_mode(0o600)).unwrap();
        let ca = load(&files).unwrap_or_else(|e| panic!("{make:?}: {e}"));
        assert_eq!((ca.certificate().key(), ca.certificate().subject()), (kind, "DC=com, DC=example, CN=Example CA"));
        leaves::check_with_openssl(&ca, &files);
    }
    files.passphrase = None;
    for (make, want) in [
        (&["genpkey", "-algorithm", "ed25519"][..], "is of no kind that is supported; ECDSA P-256 and P-384 and RSA"),
        (&["genrsa", "1024"], "is of no kind that is supported"),
        (
            &["genrsa", "-traditional", "-aes128", "-passout", "pass:secret", "2048"],
            "is encrypted in a way that is not supported (in the old way of OpenSSL); `openssl pkcs8 -topk8 -in ",
        ),
    ] {
        openssl(&to_file(make, key));
        fs::set_permissions(key, Permissions::from_mode(0o600)).unwrap();
        assert!(refusal(&files).contains(want), "{}", refusal(&files));
    }
}

#[test]
fn what_a_new_ca_cannot_be_is_said() {
    let (_dir, files) = folder();
    let default = NewCa::default;
    for (new, want) in [
        (NewCa { name: " ".to_owned(), ..default() }, "the name of a CA has 1 to 55 characters that can be printed"),
        (NewCa { name: "a".repeat(56), ..default() }, "the name of a CA has 1 to 55 characters that can be printed"),
        (NewCa { days: 0, ..default() }, "a CA is valid for 1 to 7300 days, such as 1825"),
        (NewCa { days: 7301, ..default() }, "a CA is valid for 1 to 7300 days, such as 1825"),
        (
            NewCa { permitted: vec!["10.0.0.1".to_owned()], ..default() },
            "10.0.0.1 is an address; name a domain, such as example.com",
        ),
        (
            NewCa { permitted: vec!["*.example.com".to_owned()], ..default() },
            "\"*.example.com\" is no domain such as example.com: no certificate can be made for this name: it is a \
             wildcard",
        ),
    ] {
        assert_eq!(CertificateAuthority::create(&files, &new).unwrap_err().to_string(), want);
        assert!(!files.key.exists());
    }
}
