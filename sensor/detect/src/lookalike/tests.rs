//! Hosts that imitate, and hosts that do not.

use super::letters::{is_one_off, punycode};
use super::*;
use proptest::prelude::*;

const APPROVED: [&str; 9] = [
    "mcp.example.com",
    "portal.corp.test",
    "*.notes-app.co.uk",
    "mcp.stripe.com",
    "mcp.linear.app",
    "acme-tools.workers.dev",
    "mcp.*",
    "10.1.2.3",
    "mcp.x.ai",
];

fn approved() -> Lookalikes {
    let patterns: Vec<_> = APPROVED.iter().map(|host| HostPattern::parse(host).unwrap()).collect();
    Lookalikes::new(&patterns)
}

#[test]
fn imitations_are_named_with_what_they_imitate() {
    let approved = approved();
    for (host, of, how) in [
        ("mcp.examp1e.com", "mcp.example.com", LETTERS),
        ("examp1e.net", "mcp.example.com", LETTERS),
        ("mcp.exampie.com", "mcp.example.com", LETTERS),
        ("mcp.exarnple.com", "mcp.example.com", LETTERS),
        // аxample in Cyrillic letters, exámple.
        ("mcp.xn--xample-2of.com", "mcp.example.com", LETTERS),
        ("mcp.xn--exmple-qta.com", "mcp.example.com", LETTERS),
        ("str1pe.com", "mcp.stripe.com", LETTERS),
        ("api.strlpe.com", "mcp.stripe.com", LETTERS),
        ("n0tes-app.co.uk", "notes-app.co.uk", LETTERS),
        ("mcp.exmple.com", "mcp.example.com", ONE_OFF),
        ("mcp.exammple.com", "mcp.example.com", ONE_OFF),
        ("mcp.exapmle.com", "mcp.example.com", ONE_OFF),
        ("mcp.exbmple.com", "mcp.example.com", ONE_OFF),
        ("stripes.com", "mcp.stripe.com", ONE_OFF),
        ("liner.app", "mcp.linear.app", ONE_OFF),
        ("notesapp.co.uk", "notes-app.co.uk", ONE_OFF),
        ("notesapp.net", "notes-app.co.uk", ONE_OFF),
        ("mcp.example.com.evil.net", "mcp.example.com", INSIDE),
        ("example.com.evil.net", "mcp.example.com", INSIDE),
        ("x.mcp.example.com.login.evil.co.uk", "mcp.example.com", INSIDE),
        ("a.notes-app.co.uk.evil.net", "notes-app.co.uk", INSIDE),
        ("mcp-example-com.evil.net", "mcp.example.com", INSIDE),
        ("x.mcp-example-com.net", "mcp.example.com", INSIDE),
        ("mcpexample.net", "mcp.example.com", INSIDE),
        ("mcp-example.com", "mcp.example.com", INSIDE),
        ("example-mcp.com", "mcp.example.com", INSIDE),
        ("portalcorp.test", "portal.corp.test", INSIDE),
        ("mcp-example-com.workers.dev", "mcp.example.com", PLATFORM),
        ("example-mcp.pages.dev", "mcp.example.com", PLATFORM),
        ("examp1e-mcp.pages.dev", "mcp.example.com", PLATFORM),
        ("example.ngrok.app", "mcp.example.com", PLATFORM),
        ("example.ngrok-free.app", "mcp.example.com", PLATFORM),
        ("mcp.example.com.trycloudflare.com", "mcp.example.com", PLATFORM),
        ("mcp-stripe-com.evil.workers.dev", "mcp.stripe.com", PLATFORM),
        ("stripe-mcp.someone.workers.dev", "mcp.stripe.com", PLATFORM),
        ("x-stripe-8080.app.github.dev", "mcp.stripe.com", PLATFORM),
        ("stripe-8080.usw2.devtunnels.ms", "mcp.stripe.com", PLATFORM),
        ("stripe.up.railway.app", "mcp.stripe.com", PLATFORM),
        ("stripe.azurewebsites.net", "mcp.stripe.com", PLATFORM),
        ("mcp-notes-app.vercel.app", "notes-app.co.uk", PLATFORM),
        ("corp-mcp.fly.dev", "portal.corp.test", PLATFORM),
        ("acme-tools.pages.dev", "acme-tools.workers.dev", PLATFORM),
        ("acme-tools-2.workers.dev", "acme-tools.workers.dev", PLATFORM),
    ] {
        assert_eq!(approved.of(host), Some(Imitation { of, how }), "{host}");
    }
}

#[test]
fn ordinary_hosts_imitate_nobody() {
    let approved = approved();
    for host in [
        "mcp.example.com",
        "api.example.com",
        "example.com",
        "a.b.example.com",
        "notes-app.co.uk",
        "other.co.uk",
        "co.uk",
        "x.notes-app.co.uk",
        "acme-tools.workers.dev",
        "x.acme-tools.workers.dev",
        "workers.dev",
        "something.workers.dev",
        "mcp.workers.dev",
        "mcp.pages.dev",
        "com",
        "localhost",
        "mcp",
        "",
        ".",
        "..",
        "10.1.2.3",
        "::1",
        "mcp.github.com",
        "mcp.notion.com",
        // Another company of the same name, and the name as a part of another word.
        "example.de",
        "stripe.de",
        "striped.io",
        "examples-of-art.org",
        "linear-algebra.org",
        "linearly.app",
        "pinstripe.workers.dev",
        // A company that names its own servers after what they talk to.
        "stripe.intranet.test",
        "stripe-gateway.intranet.test",
        "stripe.zapier.com",
        // Too short to be told apart.
        "mcp.x.com",
        "xn--mnchen-3ya.de",
        "xn--80aacf4bwnk3a.corp.example",
        "xn--.com",
        "xn--a.com",
        "xn--99999999999.com",
    ] {
        assert_eq!(approved.of(host), None, "{host}");
    }
    assert_eq!(Lookalikes::default().of("mcp.example.com.evil.net"), None);
    assert_eq!(approved.of(&format!("mcp.example.com.{}.net", "a.".repeat(150))), None);
}

#[test]
fn names_of_other_scripts_are_read_as_they_are_shown() {
    for (code, want) in [
        ("mnchen-3ya", Some("münchen")),
        ("bcher-kva", Some("bücher")),
        ("egbpdaj6bu4bxfgehfvwxn", Some("ليهمابتكلموشعربي؟")),
        ("ihqwcrb4cv8a8dqg056pqjye", Some("他们为什么不说中文")),
        ("", Some("")),
        ("99999999999", None),
        ("mnchen-3y", None),
        ("a!", None),
    ] {
        let got = punycode(code).map(|(letters, len)| letters[..len].iter().collect::<String>());
        assert_eq!(got.as_deref(), want, "{code}");
    }
}

#[test]
fn one_letter_off_is_one_letter_off() {
    for (a, b, want) in [
        ("example", "exmple", true),
        ("example", "eexample", true),
        ("example", "examplf", true),
        ("example", "xeample", true),
        ("example", "exampel", true),
        ("example", "example", false),
        ("example", "exmpel", false),
        ("abcde", "bcdef", false),
        ("server1", "server2", false),
        ("server", "server2", false),
    ] {
        assert_eq!(is_one_off(a, b), want, "{a} {b}");
        assert_eq!(is_one_off(b, a), want, "{b} {a}");
    }
}

#[test]
fn platforms_are_sorted() {
    assert!(PLATFORMS.is_sorted());
}

proptest! {
    #[test]
    fn any_host_is_looked_at(host in "\\PC{0,300}") {
        approved().of(&host);
    }

    #[test]
    fn any_label_of_letters_is_read(label in "xn--[a-z0-9-]{0,70}", rest in "[a-z.-]{0,40}") {
        approved().of(&format!("{label}{rest}.com"));
    }

    #[test]
    fn hosts_below_an_approved_domain_imitate_nobody(before in "([a-z0-9-]{1,10}\\.){0,4}", of in 0_usize..4) {
        let domain = ["example.com", "stripe.com", "notes-app.co.uk", "acme-tools.workers.dev"][of];
        let approved = approved();
        prop_assert_eq!(approved.of(&format!("{before}{domain}")), None);
    }

    #[test]
    fn a_letter_changed_is_always_found(at in 0_usize..7, to in b'a'..=b'z') {
        let mut label = b"example".to_vec();
        label[at] = to;
        let host = format!("mcp.{}.com", String::from_utf8(label).unwrap());
        prop_assert_eq!(approved().of(&host).is_some(), host != "mcp.example.com", "{}", host);
    }
}
