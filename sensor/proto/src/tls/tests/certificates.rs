use crate::tls::{BadCertificate, Certificate, MAX_NAME_BYTES, MAX_NAMES};
use testkit::tls::{certificate, der};

#[track_caller]
fn check(der: &[u8], want: &[&str], left_out: u32) {
    let leaf = Certificate::parse(der).unwrap();
    assert_eq!((leaf.names().collect::<Vec<_>>(), leaf.left_out), (want.to_vec(), left_out));
}

#[test]
fn alternative_names_come_before_the_common_name() {
    check(&certificate(Some("cn.example"), &["a.example", "*.b.example"]), &["a.example", "*.b.example"], 0);
    check(&certificate(Some("cn.example"), &[]), &["cn.example"], 0);
    check(&certificate(None, &["192.0.2.9", "2001:db8::9"]), &["192.0.2.9", "2001:db8::9"], 0);
    check(&certificate(None, &[]), &[], 0);
}

#[test]
fn names_are_brought_to_one_form_and_others_left_out() {
    check(&certificate(None, &["A.Example.", "b_c.example"]), &["a.example", "b_c.example"], 0);
    check(&certificate(None, &["a b", "x\ny", "", ".", "http://a", "c.example"]), &["c.example"], 5);
    check(&certificate(Some("Example Root CA"), &[]), &[], 1);
    // A common name says nothing beside alternative names, even odd ones.
    check(&certificate(Some("cn.example"), &["b\u{fc}cher.example"]), &[], 1);
    let long = "a".repeat(254);
    check(&certificate(None, &[&long]), &[], 1);
}

#[test]
fn names_are_taken_up_to_the_limits() {
    let names: Vec<String> = (0..150).map(|n| format!("h{n}.example")).collect();
    let leaf = Certificate::parse(&certificate(None, &names.iter().map(String::as_str).collect::<Vec<_>>())).unwrap();
    assert_eq!((leaf.names().count(), leaf.left_out), (MAX_NAMES, 50));
    let long = "x".repeat(250);
    let leaf = Certificate::parse(&certificate(None, &[&*long; 40])).unwrap();
    assert_eq!((leaf.names().count(), leaf.left_out), (MAX_NAME_BYTES / 251, 24));
}

#[test]
fn what_is_no_certificate_is_refused() {
    let good = certificate(Some("cn.example"), &["a.example"]);
    for end in 0..good.len() {
        assert_eq!(Certificate::parse(&good[..end]), Err(BadCertificate), "cut at {end}");
    }
    for bad in [
        &b""[..],
        b"\x30\x80\0\0",
        b"\x30\x84\0\0\0\x01\0",
        b"\x3f\x81\x01\0",
        b"\x31\0",
        &der(0x30, &[]),
        &der(0x30, &der(0x30, &der(2, &[1]))),
    ] {
        assert_eq!(Certificate::parse(bad), Err(BadCertificate));
    }
}
