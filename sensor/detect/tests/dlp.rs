//! Profiles of data: the shipped pack does what its examples say, finds what expressions everywhere would find, and
//! nothing in what the project holds besides what was put there.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may fail loudly"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use detect::dlp::{Hit, ProfileSet, Profiles, run_dlp_examples, unproven_dlp};
use detect::rules::{RuleError, RuleSet, RuleText, builtin, compile};
use proptest::prelude::*;

fn shipped() -> &'static Profiles {
    static SHIPPED: LazyLock<Arc<Profiles>> = LazyLock::new(|| Arc::clone(compile(&builtin()).unwrap().dlp()));
    &SHIPPED
}

fn all(profiles: &Profiles) -> ProfileSet {
    (0..u16::try_from(profiles.len()).unwrap()).collect()
}

/// `profile/entry=text` of every hit.
fn hits(profiles: &Profiles, name: &str, text: &str) -> Vec<String> {
    let mut out = Vec::new();
    profiles.find_named(all(profiles), name, text, &mut |Hit { range, profile, entry }| {
        out.push(format!("{}/{}={}", profiles.id(profile), profiles.entry_id(profile, entry), &text[range]));
    });
    out
}

#[test]
fn the_shipped_pack_proves_itself() {
    let profiles = shipped();
    let failures: Vec<String> = run_dlp_examples(profiles)
        .into_iter()
        .map(|f| format!("{}:{} {}: {}\n  {}", f.file, f.line, f.id, f.why, f.text))
        .collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    let unproven: Vec<&str> = unproven_dlp(profiles).map(|(_, entry)| entry.id.as_str()).collect();
    assert!(unproven.is_empty(), "{unproven:?}");
}

/// Every file below a folder, as text.
fn texts(dir: &Path, out: &mut Vec<(PathBuf, String)>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            texts(&path, out);
        } else {
            let bytes = fs::read(&path).unwrap();
            out.push((path, String::from_utf8_lossy(&bytes).into_owned()));
        }
    }
}

#[test]
fn nothing_in_captures_bodies_and_vectors_hits() {
    let profiles = shipped();
    let mut all = Vec::new();
    texts(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures"), &mut all);
    assert!(all.len() > 100, "{} files only", all.len());
    // What was written to hit.
    let meant = |dir: &Path| dir.ends_with("seeds/dlp") || dir.ends_with("policies");
    all.retain(|(path, _)| !path.parent().is_some_and(meant));
    let mut wrong = Vec::new();
    for (path, text) in &all {
        wrong.extend(hits(profiles, "", text).into_iter().map(|hit| format!("{}: {hit}", path.display())));
    }
    assert!(wrong.is_empty(), "{} hits:\n{}", wrong.len(), wrong.join("\n"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn what_only_looks_like_data_does_not_hit(
        uuid in "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}",
        digits_uuid in "[0-9]{8}-[0-9]{4}-4[0-9]{3}-[89][0-9]{3}-[0-9]{12}",
        hash in "[0-9a-f]{40}",
        blob in "[A-Za-z0-9+/]{60,400}={0,2}",
        url_blob in "[A-Za-z0-9_-]{20,200}",
        order in "(ORD|INV|PO|#)-?20[0-9]{2}-?[0-9]{5,8}",
        phone in r"\+[1-9][0-9]{1,2} ?[0-9]{2,4}[ -][0-9]{3}[ -][0-9]{3,4}|\([0-9]{3}\) [0-9]{3}-[0-9]{4}",
        stamp in "20[0-9]{2}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9]\\.[0-9]{3,9}Z|1[67][0-9]{8}|1[67][0-9]{11}|1[67][0-9]{14}|1[67][0-9]{17}",
        number in r"-?[0-9]{1,9}\.[0-9]{1,17}(e-[0-9]{1,2})?",
        color in "#[0-9a-f]{6}|v?[0-9]{1,2}\\.[0-9]{1,3}\\.[0-9]{1,4}|([0-9]{1,3}\\.){3}[0-9]{1,3}",
    ) {
        let profiles = shipped();
        let text = [uuid, digits_uuid, hash, blob, url_blob, order, phone, stamp, number, color].join(", ");
        let json = format!("{{\"id\":\"{}\",\"x\":1}}", text.replace(", ", "\",\"k\":\""));
        prop_assert_eq!(hits(profiles, "", &text), Vec::<String>::new());
        prop_assert_eq!(hits(profiles, "description", &json), Vec::<String>::new());
    }
}

const PACK: &str = "[pack]\nid = \"own\"\nversion = \"1\"\n[[dlp]]\nid = \"own\"\n";

fn own(entries: &str) -> Result<RuleSet, Vec<RuleError>> {
    let text = format!("{PACK}{entries}");
    let lists = |_: &str| Err("none".to_owned());
    compile(&[RuleText { file: "own.toml", text: &text, lists: &lists }])
}

#[track_caller]
fn check(entry: &str, cases: &[(&str, &str, &[&str])]) {
    let rules = own(&format!("[[dlp.entry]]\nid = \"e\"\n{entry}\n")).unwrap_or_else(|e| panic!("{entry}: {e:?}"));
    for (name, text, want) in cases {
        let want: Vec<String> = want.iter().map(|value| format!("own/e={value}")).collect();
        assert_eq!(hits(rules.dlp(), name, text), want, "{entry}: {name:?} {text:?}");
    }
}

#[test]
fn an_entry_means_what_the_documentation_says() {
    check(
        r#"literal = ["Project Heron", "heron-7"]"#,
        &[("", "the Project Heron and heron-7", &["Project Heron", "heron-7"]), ("", "project heron", &[])],
    );
    check("literal = [\"Project Heron\"]\nnocase = true", &[("", "PROJECT heron", &["PROJECT heron"])]);
    check(
        "regex = 'EMP-[0-9]{6}'",
        &[
            ("", "EMP-123456EMP-654321", &["EMP-123456", "EMP-654321"]),
            ("", "EMP-12345", &[]),
            ("", "éEMP-123456é", &["EMP-123456"]),
        ],
    );
    check("regex = 'no: ([0-9]{4})(?:$|[^0-9])'", &[("", "no: 1234 no: 12345", &["1234"])]);
    check("regex = '[0-9]{6}'\ndigits = 6", &[("", "123456, 1234567", &["123456", "123456"]), ("", "12345", &[])]);
    check(
        "regex = '[0-9]{6}'\nkeyword = [\"staff no\"]\nwithin = 10",
        &[
            ("", "staff no 123456", &["123456"]),
            ("", "123456 is what I think the staff no is", &[]),
            ("", "123456: staff-no", &["123456"]),
            ("", "distaff no 123456", &[]),
            ("staffNo", "123456", &["123456"]),
            ("staff_no", "a 123456 b 654321", &["123456", "654321"]),
            ("distaffNo", "123456", &[]),
            ("", "nothing 123456", &[]),
        ],
    );
    check(
        "regex = '[0-9]{6}'\ndigits = 6\nmin_count = 3",
        &[("", "111111 222222", &[]), ("", "111111 222222 333333", &["111111", "222222", "333333"])],
    );
    check(
        "regex = 'key:[a-z]{3}'\ntail = '[a-z]*;'",
        &[("", "key:abc; key:abcdef; key:abc", &["key:abc;", "key:abcdef;"])],
    );
    check(
        "regex = 'tok_[a-z0-9]{8}'\nvalidator = \"entropy(2.5)\"",
        &[("", "tok_aaaaaaaa tok_a8k2m9x1", &["tok_a8k2m9x1"])],
    );
}

#[test]
fn what_is_wrong_with_an_entry_is_told_with_its_place() {
    for (entry, text, says) in [
        ("id = \"e\"", "\"e\"", "an entry without a pattern"),
        ("id = \"E\"\nliteral = [\"abc\"]", "\"E\"", "not an id"),
        ("id = \"e\"\nregex = 'abc'\nliteral = [\"abc\"]", "[\"abc\"]", "more than one kind"),
        ("id = \"e\"\nregex = 'abc+'", "'abc+'", "an unbounded repeat"),
        ("id = \"e\"\nregex = 'abc[0-9]{600}'", "'abc[0-9]{600}'", "over the limit of 512"),
        ("id = \"e\"\nregex = 'abc('", "(", "not a regular expression"),
        ("id = \"e\"\nregex = '(abc)(def)'", "'(abc)(def)'", "more than one group"),
        ("id = \"e\"\nregex = '[0-9]{9}'", "'[0-9]{9}'", "nothing leads to this expression"),
        ("id = \"e\"\nregex = '[0-9]{9}'\ndigits = 1", "1", "digits is from 3"),
        ("id = \"e\"\nliteral = [\"ab\"]", "\"ab\"", "a literal has 3 to 256 bytes"),
        ("id = \"e\"\nliteral = []", "[]", "from 1 to 1000 literals"),
        ("id = \"e\"\nregex = 'abc'\nwithin = 9", "9", "within says nothing"),
        ("id = \"e\"\nregex = 'abc'\nkeyword = [\"x\"]", "\"x\"", "a keyword has 2 to 40 bytes"),
        ("id = \"e\"\nregex = 'abc'\nkeyword = [\"xyz\"]\nwithin = 9000", "9000", "over the limit of 1024"),
        ("id = \"e\"\nregex = 'abc'\nvalidator = \"lune\"", "\"lune\"", "no such validator"),
        ("id = \"e\"\nregex = 'abc'\nmin_count = 0", "0", "min_count is from 1"),
        ("id = \"e\"\nregex = 'abc'\ntail = '('", "(", "not a regular expression"),
        ("id = \"e\"\nregex = 'abc'\n[[dlp.entry.example]]", "[[dlp.entry.example]]", "exactly one of hit and miss"),
    ] {
        let errors = own(&format!("[[dlp.entry]]\n{entry}\n")).expect_err(entry);
        let error = &errors[0];
        assert!(error.message.contains(says), "{entry}: {error}");
        assert!(error.text == text || text.starts_with("[["), "{entry}: {error}");
        assert!(!error.help.is_empty() && error.line > 5, "{entry}: {error}");
    }
    let twice = "[[dlp.entry]]\nid = \"e\"\nliteral = [\"abc\"]\n";
    assert!(own(&format!("{twice}{twice}")).unwrap_err()[0].message.contains("taken by another entry"));
    assert!(own("").unwrap_err()[0].message.contains("a profile without an entry"));
    assert!(
        own(&format!("{twice}[[dlp]]\nid = \"own\"\n{twice}")).unwrap_err()[0].message.contains("this id is taken")
    );
}

#[test]
fn profiles_are_asked_for_one_by_one() {
    let profiles = shipped();
    let text = "4111111111111111 AKIAQYLPMN5HFIQR7XYA";
    let found = |ids: &[&str]| {
        let set: ProfileSet = ids.iter().map(|id| profiles.index_of(id).unwrap()).collect();
        let mut found = Vec::new();
        profiles.find(set, text, &mut |hit| found.push(profiles.id(hit.profile).to_owned()));
        found
    };
    assert_eq!(found(&[]), Vec::<String>::new());
    assert_eq!(found(&["jwt"]), Vec::<String>::new());
    assert_eq!(found(&["cloud-keys"]), ["cloud-keys"]);
    assert_eq!(found(&["cloud-keys", "payment-cards"]), ["payment-cards", "cloud-keys"]);
    assert_eq!(profiles.index_of("nothing"), None);
    let mut set = ProfileSet::EMPTY;
    set.insert(127);
    set.insert(128);
    assert!(set.contains(127) && !set.contains(128) && set.iter().eq([127]));
    assert!(Profiles::default().is_empty());
    Profiles::default().find(set, text, &mut |_| panic!("nothing finds nothing"));
}

/// What is made to be slow. Its time is that of the text: a mebibyte of it would take hours otherwise.
#[test]
fn hostile_texts_take_no_longer_than_their_length() {
    let profiles = shipped();
    let pem = "-----BEGIN PRIVATE KEY-----";
    for piece in [
        "4111 ",
        "4111111111111112 ",
        "eyJhbGciOiJ",
        " eyJhbGciOiJ.",
        pem,
        "card ",
        "DE89 3704 0044 0532 ",
        "ssn 123-45-678 ",
        "sk-T3BlbkFJ",
        "ghp_",
        "xoxb-1-",
        "AZDO",
        "PuTTY-User-Key-File-2: ",
        "kty \"d\":\"",
        "AAAA",
        "0",
        "-----BEGIN PGP PRIVATE KEY BLOCK-----AA-",
    ] {
        let text = piece.repeat((256 << 10) / piece.len());
        let _ = hits(profiles, "card_ssn_iban", &text);
    }
}

#[test]
fn seeds_and_their_pieces_run_through_the_fuzz_target() {
    let mut all = Vec::new();
    texts(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/seeds/dlp"), &mut all);
    assert!(!all.is_empty());
    for (_, text) in all {
        let bytes = text.as_bytes();
        (0..=bytes.len()).for_each(|end| detect::dlp::fuzz_dlp(&bytes[..end]));
    }
}
