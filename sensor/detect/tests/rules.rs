//! Rule files: what compiles, what is refused and where, and what the built-in packs find.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may fail loudly"
)]

use std::borrow::Cow;
use std::collections::BTreeSet;

use detect::rules::{
    Category, Cost, EngineChoice, EngineKind, Field, HostMatch, ListReader, Listed, RuleError, RuleSet, RuleText,
    Scratch, builtin, compile, compile_for, fuzz_rules, report, run_examples, unproven,
};
use detect::{Side, Weight};
use proptest::collection::vec;
use proptest::prelude::*;

fn no_lists(_: &str) -> Result<Cow<'static, str>, String> {
    Err("no such file".to_owned())
}

fn one(text: &str) -> Result<RuleSet, Vec<RuleError>> {
    compile(&[RuleText { file: "rules/x.toml", text, lists: &no_lists }])
}

fn with_pack(signatures: &str) -> String {
    format!("[pack]\nid = \"x\"\nversion = \"1\"\n{signatures}")
}

fn told(errors: &[RuleError]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[track_caller]
fn rules(signatures: &str) -> RuleSet {
    one(&with_pack(signatures)).unwrap_or_else(|errors| panic!("{}", told(&errors)))
}

fn packs() -> RuleSet {
    compile(&builtin()).unwrap_or_else(|errors| panic!("{}", told(&errors)))
}

fn ids<'r>(rules: &'r RuleSet, hits: &BTreeSet<u32>) -> Vec<&'r str> {
    hits.iter().map(|&hit| rules.signature(hit).unwrap().id.as_str()).collect()
}

fn field_hits<'r>(rules: &'r RuleSet, on: &str, value: &[u8]) -> Vec<&'r str> {
    let mut hits = BTreeSet::new();
    rules.scan_field(&on.parse().unwrap(), value, &mut Scratch::default(), &mut |hit, end| {
        assert!(end <= value.len());
        assert!(hits.insert(hit), "twice");
    });
    ids(rules, &hits)
}

fn body_hits<'r>(rules: &'r RuleSet, side: Side, pieces: &[&[u8]]) -> Vec<&'r str> {
    let (mut hits, mut state, mut scratch) = (BTreeSet::new(), rules.body(side), Scratch::default());
    for piece in pieces {
        rules.scan_body(&mut state, &mut scratch, piece, &mut |hit, _| assert!(hits.insert(hit), "twice"));
    }
    ids(rules, &hits)
}

/// What is known of a host: id, label, and what the match says.
fn host_hits(rules: &RuleSet, host: &str, path: Option<&str>) -> Vec<(String, String, bool, bool, Listed)> {
    let mut hits = Vec::new();
    rules.scan_host(&detect::hosts::normal_host(host), path, &mut |m: HostMatch<'_>| {
        let id = rules.signature(m.signature).unwrap().id.clone();
        hits.push((id, m.label.to_owned(), m.dedicated, m.path_matches, m.listed));
    });
    hits.sort();
    hits
}

#[test]
fn the_built_in_packs_compile_and_prove_themselves() {
    let rules = packs();
    let failures = run_examples(&rules);
    assert!(failures.is_empty(), "{failures:#?}");
    assert_eq!(unproven(&rules), [0_u32; 0], "signatures without a hit and a miss");
    assert!(rules.known_hosts() > 7_900, "{}", rules.known_hosts());
    assert!(rules.hash().starts_with("sha256:") && rules.hash().len() == 71, "{}", rules.hash());
    assert_eq!(
        rules.packs().iter().map(|p| p.id.as_str()).collect::<Vec<_>>(),
        ["cloudflare-mcp-v1", "dlp.core", "mcp.core", "mcp.hosts"]
    );
}

#[test]
fn every_engine_gives_the_same_hits_in_the_same_order_for_all_examples_of_the_packs() {
    let kinds = EngineKind::ALL.into_iter().filter(|kind| kind.available().is_ok());
    let all: Vec<RuleSet> = kinds.map(|kind| compile_for(&builtin(), EngineChoice::Only(kind)).unwrap()).collect();
    let examples: Vec<&[u8]> =
        all[0].signatures().iter().flat_map(|s| &s.examples).map(|example| example.text.as_bytes()).collect();
    let every = examples.concat();
    let mut scratch = Scratch::default();
    for text in examples.iter().copied().chain([every.as_slice()]) {
        let mut hits = |rules: &RuleSet| {
            let mut found = Vec::new();
            for mut body in [rules.body(Side::Request), rules.body(Side::Response), rules.websocket_message()] {
                for size in [7, 1460] {
                    for piece in text.chunks(size) {
                        rules.scan_body(&mut body, &mut scratch, piece, &mut |hit, end| found.push((hit, end)));
                    }
                    rules.end_body(&mut body, &mut scratch);
                }
            }
            for field in rules.fields() {
                rules.scan_field(field, text, &mut scratch, &mut |hit, end| found.push((hit, end as u64)));
            }
            found
        };
        let want = hits(&all[0]);
        for rules in &all {
            assert_eq!(hits(rules), want, "{}: {}", rules.engine(), String::from_utf8_lossy(text));
        }
    }
    for rules in &all {
        assert_eq!(run_examples(rules), [], "{}", rules.engine());
        assert!(rules.engine_and_why().ends_with(": asked for"), "{}", rules.engine_and_why());
    }
}

#[test]
fn no_pattern_of_the_packs_walks_every_byte_or_weighs_more_than_medium_on_a_body() {
    let rules = packs();
    for line in report(&rules).into_iter().filter(|line| line.cost != Cost::ShortField) {
        assert_eq!(line.cost, Cost::RareAnchor, "{line:?}");
        assert!(line.bound.is_some_and(|bound| bound <= 512), "{line:?}");
        assert!(rules.signature(line.signature).unwrap().weight <= Weight::Medium, "{line:?}");
    }
    assert!(rules.table_bytes() <= 1 << 20, "{} bytes", rules.table_bytes());
}

#[test]
fn the_published_patterns_are_there_word_for_word() {
    let rules = packs();
    let published = [
        r#""method"\s{0,5}:\s{0,5}"initialize""#,
        r#""method"\s{0,5}:\s{0,5}"tools/call""#,
        r#""method"\s{0,5}:\s{0,5}"tools/list""#,
        r#""method"\s{0,5}:\s{0,5}"resources/read""#,
        r#""method"\s{0,5}:\s{0,5}"resources/list""#,
        r#""method"\s{0,5}:\s{0,5}"prompts/(list|get)""#,
        r#""method"\s{0,5}:\s{0,5}"sampling/createMessage""#,
        r#""protocolVersion"\s{0,5}:\s{0,5}"202[4-9]"#,
        r#""method"\s{0,5}:\s{0,5}"notifications/initialized""#,
        r#""method"\s{0,5}:\s{0,5}"roots/list""#,
    ];
    for on in [Field::RequestBody, Field::ResponseBody] {
        let mine: Vec<&str> = rules
            .signatures()
            .iter()
            .filter(|s| s.on == on && s.pack == "cloudflare-mcp-v1")
            .map(|s| s.patterns[0].as_str())
            .collect();
        assert_eq!(mine, published, "{on}");
    }
    assert!(
        rules
            .signatures()
            .iter()
            .filter(|s| s.pack == "cloudflare-mcp-v1")
            .all(|s| s.tags == ["cloudflare-mcp-v1"] && s.weight == Weight::Medium)
    );
}

#[test]
fn honest_and_evasive_messages_are_found_where_the_published_method_is_blind() {
    let rules = packs();
    for (body, want) in [
        (&br#"{"jsonrpc":"2.0","id":1,"method":"tools/call"}"#[..], &["cf.body.tools-call", "mcp.body.tools"][..]),
        (br#"{"jsonrpc":"2.0","id":1,"method":"tools\/list"}"#, &["mcp.body.tools"]),
        (br#"{"jsonrpc":"2.0","id":1,"\u006dethod":"tools\u002fcall"}"#, &["mcp.body.escaped"]),
        (br#"{"jsonrpc":"2.0","id":1,"method"      :"tools/list"}"#, &["mcp.body.tools"]),
        (b"{\n  \"method\":\n        \"tools/list\"\n}", &["mcp.body.tools"]),
        (br"{/*x*/'jsonrpc':'2.0','id':1,'method':'tools/call'}", &["mcp.body.tools"]),
        (br#"{"method":"server/discover","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#,
            &["mcp.body.modern", "mcp.body.version", "mcp.body.meta"][..2]),
        (br#"{"text":"how does {\"method\":\"tools/call\"} work"}"#, &[]),
        (br#"{"jsonrpc":"2.0","id":7,"method":"eth_getLogs"}"#, &[]),
        (br#"{"jsonrpc":"2.0","id":7,"method":"tasks/get","params":{"id":"t"}}"#, &[]),
    ] {
        let found = body_hits(&rules, Side::Request, &[body]);
        let want: BTreeSet<&str> = want.iter().copied().collect();
        let found: BTreeSet<&str> = found.into_iter().collect();
        assert!(found.is_superset(&want), "{}: {found:?}", String::from_utf8_lossy(body));
        assert!(!want.is_empty() || found.is_empty(), "{}: {found:?}", String::from_utf8_lossy(body));
    }
}

#[test]
fn known_hosts_say_how_much_they_are_worth() {
    let rules = packs();
    let found = |host: &str, path| host_hits(&rules, host, path);
    let known = |id: &'static str| {
        move |hits: &[(String, String, bool, bool, Listed)]| hits.iter().find(|h| h.0 == id).cloned()
    };

    let dedicated = known("mcp.host.known")(&found("accounts.mcp.digitalocean.com", None)).unwrap();
    assert_eq!((dedicated.2, dedicated.3), (true, false), "a dedicated host needs no path");
    let shared = known("mcp.host.known")(&found("21st.dev", Some("/api/mcp"))).unwrap();
    assert_eq!((shared.2, shared.3), (false, true), "a shared host needs its path");
    assert!(found("21st.dev", Some("/about")).is_empty());
    assert!(found("21st.dev", None).is_empty());

    let tunnel = known("mcp.host.pattern")(&found("abc.ngrok-free.app", None)).unwrap();
    assert_eq!(tunnel.4, Listed::Low);
    let label = known("mcp.host.pattern")(&found("mcp.unheard-of.example", Some("/"))).unwrap();
    assert_eq!((label.1.as_str(), label.4), ("mcp.*", Listed::Medium));
    let vendor = known("mcp.host.pattern")(&found("run.googleapis.com", Some("/mcp"))).unwrap();
    assert_eq!((vendor.3, vendor.4), (true, Listed::High));
    assert!(found("run.googleapis.com", Some("/v1/x")).is_empty());
}

#[test]
fn a_catalogue_is_not_taken_for_a_server() {
    let rules = packs();
    for host in ["mcp.so", "mcp.directory", "api.mcp.github.com", "registry.modelcontextprotocol.io"] {
        let mut categories = Vec::new();
        rules.scan_host(host, Some("/"), &mut |m| categories.push(m.category));
        assert_eq!(categories, [Category::Catalog], "{host}");
    }
}

#[test]
fn the_same_text_is_the_same_rules() {
    let [a, b, c, _] = builtin();
    assert_eq!(compile(&[a, b, c]).unwrap().hash(), compile(&[c, a, b]).unwrap().hash());
    assert_ne!(compile(&[a, b]).unwrap().hash(), compile(&[a, b, c]).unwrap().hash());
    let list =
        |n: usize| move |_: &str| Ok(Cow::from(format!("#mcp-endpoints\t1\na{n}.example\t/mcp\thttp\tyes\t\t\n")));
    let text = with_pack("[[signature]]\nid = \"l\"\non = \"url\"\nlist = \"l.tsv\"\nweight = \"medium\"\n");
    let hash =
        |lists: &ListReader<'_>| compile(&[RuleText { file: "x", text: &text, lists }]).unwrap().hash().to_owned();
    assert_ne!(hash(&list(1)), hash(&list(2)), "lists count too");
}

#[test]
fn every_kind_of_pattern_works_on_its_fields() {
    let rules = rules(
        r#"
[[signature]]
id = "header"
on = "request.header.X-Thing"
regex = '^a.*z$'
weight = "weak"
[[signature]]
id = "literal"
on = "request.header.x-thing"
literal = ["bcd", "q"]
nocase = true
weight = "weak"
[[signature]]
id = "status"
on = "response.status"
glob = ["40*"]
weight = "info"
[[signature]]
id = "uri"
on = "request.uri"
glob = ["/nothing", "*/MCP"]
weight = "weak"
[[signature]]
id = "sni"
on = "tls.sni"
host = ["*.inner.example", "Exact.Example"]
weight = "weak"
[[signature]]
id = "url"
on = "url"
glob = ["*.shop.example/api/*"]
weight = "medium"
[[signature]]
id = "url-regex"
on = "url"
regex = 'example/[a-z]{3}/'
weight = "medium"
[[signature]]
id = "off"
on = "tls.ja4"
regex = 'x'
weight = "info"
enabled = false
[[signature]]
id = "ws"
on = "websocket.message"
literal = ["hello"]
weight = "info"
"#,
    );
    assert_eq!(field_hits(&rules, "request.header.x-thing", b"aBCDz"), ["header", "literal"]);
    assert_eq!(field_hits(&rules, "response.header.x-thing", b"aBCDz"), [""; 0]);
    assert_eq!(field_hits(&rules, "response.status", b"404"), ["status"]);
    assert_eq!(field_hits(&rules, "request.uri", b"/api/mcp/"), ["uri"]);
    assert_eq!(field_hits(&rules, "tls.sni", b"a.b.inner.example"), ["sni"]);
    assert_eq!(field_hits(&rules, "tls.sni", b"exact.example"), ["sni"]);
    assert_eq!(field_hits(&rules, "tls.sni", b"inner.example"), [""; 0]);
    assert_eq!(field_hits(&rules, "url", b"a.example/abc/"), ["url-regex"]);
    assert_eq!(field_hits(&rules, "tls.ja4", b"x"), [""; 0]);
    let url = host_hits(&rules, "x.shop.example", Some("/api/v1"));
    assert_eq!(url, [("url".to_owned(), "*.shop.example".to_owned(), false, true, Listed::Medium)]);
    assert!(host_hits(&rules, "x.shop.example", None).is_empty());
    assert!(!rules.wants(&Field::TlsJa4), "what is not in force is not wanted");
    assert!(rules.wants(&Field::Url));
    assert_eq!(rules.request_headers().map(|(name, _)| name).collect::<Vec<_>>(), ["x-thing"]);
    assert_eq!(rules.response_headers().count(), 0);
    let (mut state, mut found) = (rules.websocket_message(), 0);
    for piece in [&b"he"[..], b"", b"llo"] {
        rules.scan_body(&mut state, &mut Scratch::default(), piece, &mut |_, end| found = end);
    }
    assert_eq!(found, 5);
    assert_eq!(body_hits(&rules, Side::Request, &[b"hello"]), [""; 0]);
}

#[test]
fn refused_files_say_where_and_why() {
    let signature = |rest: &str| with_pack(&format!("[[signature]]\nid = \"a\"\nweight = \"weak\"\n{rest}"));
    for (name, text, line, column, shown, message) in [
        ("syntax", "[pack\n".to_owned(), 1, 6, "", "unclosed table"),
        ("no pack", String::new(), 1, 1, "", "no [pack]"),
        ("unknown part", with_pack("[[rule]]\n"), 4, 3, "rule", "no such part"),
        ("later", with_pack("[[threshold]]\nid = \"x\"\n"), 4, 3, "threshold", "signatures and policies only"),
        ("one bracket", with_pack("[signature]\n"), 4, 2, "signature", "not a list of signature tables"),
        ("unknown key", signature("on = \"host\"\nhosts = [\"x\"]\n"), 8, 1, "hosts", "unknown field"),
        (
            "unknown field",
            signature("on = \"request.boddy\"\nregex = 'x'\n"),
            7,
            6,
            "\"request.boddy\"",
            "no such field",
        ),
        ("no pattern", signature("on = \"request.body\"\n"), 4, 1, "[[signature]]", "without a pattern"),
        (
            "two patterns",
            signature("on = \"host\"\nhost = ['a.b']\nregex = 'x'\n"),
            8,
            8,
            "['a.b']",
            "more than one kind",
        ),
        ("bad regex", signature("on = \"request.uri\"\nregex = 'ab(c'\n"), 8, 12, "(", "unclosed group"),
        ("unbounded", signature("on = \"request.body\"\nregex = 'ab.*c'\n"), 8, 13, "*", "unbounded"),
        ("anchored", signature("on = \"response.body\"\nregex = '''^ab'''\n"), 8, 12, "^", "anchor"),
        ("wide", signature("on = \"request.body\"\nregex = 'a{5000}b'\n"), 8, 10, "a{5000}", "5001 bytes"),
        ("empty match", signature("on = \"request.uri\"\nregex = 'a*'\n"), 8, 10, "a*", "empty text"),
        ("explosive", signature("on = \"request.body\"\nregex = 'a[a-z]{900}b'\n"), 8, 11, "[a-z]{900}", "table"),
        (
            "anchor",
            signature("on = \"request.body\"\nregex = 'abc(def|ghi)'\nanchor = \"def\"\n"),
            9,
            10,
            "\"def\"",
            "anchor",
        ),
        ("stray anchor", signature("on = \"host\"\nhost = [\"a.b\"]\nanchor = \"def\"\n"), 9, 10, "\"def\"", "anchor"),
        (
            "proof",
            with_pack("[[signature]]\nid = \"a\"\non = \"host\"\nhost = [\"a.b\"]\nweight = \"proof\"\n"),
            8,
            10,
            "\"proof\"",
            "only the parser",
        ),
        ("host with port", signature("on = \"host\"\nhost = [\"a.b\", \"a.b:80\"]\n"), 8, 16, "\"a.b:80\"", "':'"),
        (
            "host on body",
            signature("on = \"request.body\"\nhost = [\"a.b\"]\n"),
            7,
            6,
            "\"request.body\"",
            "does not go",
        ),
        ("glob on host", signature("on = \"host\"\nglob = [\"a.*\"]\n"), 7, 6, "\"host\"", "does not go"),
        ("query", signature("on = \"request.uri\"\nglob = [\"/a?b=*\"]\n"), 8, 9, "\"/a?b=*\"", "question mark"),
        ("list path", signature("on = \"url\"\nlist = \"../x.tsv\"\n"), 8, 8, "\"../x.tsv\"", "relative path"),
        ("no list", signature("on = \"url\"\nlist = \"x.tsv\"\n"), 8, 8, "\"x.tsv\"", "no such file"),
        (
            "example",
            signature("on = \"host\"\nhost = [\"a.b\"]\n[[signature.example]]\n"),
            9,
            1,
            "[[signature.example]]",
            "exactly one",
        ),
        (
            "id",
            with_pack("[[signature]]\nid = \"A b\"\non = \"host\"\nhost = [\"a.b\"]\nweight = \"weak\"\n"),
            5,
            6,
            "\"A b\"",
            "not an id",
        ),
        (
            "empty literal",
            signature("on = \"request.body\"\nliteral = [\"a\", \"\"]\n"),
            8,
            17,
            "\"\"",
            "empty literal",
        ),
        ("empty list", signature("on = \"request.body\"\nliteral = []\n"), 8, 11, "[]", "empty list"),
        ("type", signature("on = \"host\"\nhost = \"a.b\"\n"), 8, 8, "\"a.b\"", "invalid type"),
    ] {
        let errors = one(&text).expect_err(name);
        let error = &errors[0];
        assert!(error.message.contains(message), "{name}: {error}");
        assert_eq!((error.line, error.column, error.text.as_str()), (line, column, shown), "{name}: {error}");
        assert!(error.to_string().starts_with(&format!("rules/x.toml:{line}:{column}: ")), "{error}");
        assert_eq!(error.to_string().lines().count(), 1, "{error}");
    }
}

#[test]
fn all_faults_of_all_files_are_told_at_once() {
    let bad = |pack: &str| {
        format!(
            "[pack]\nid = \"{pack}\"\nversion = \"1\"\n\
             [[signature]]\nid = \"same\"\non = \"request.body\"\nregex = 'a+'\nweight = \"weak\"\n\
             [[signature]]\nid = \"x\"\non = \"nowhere\"\nregex = 'a'\nweight = \"weak\"\n\
             [[signature]]\nid = \"y.{pack}\"\nbogus = 1\n"
        )
    };
    let (a, b) = (bad("a"), bad("b"));
    let errors = compile(&[
        RuleText { file: "a.toml", text: &a, lists: &no_lists },
        RuleText { file: "b.toml", text: &b, lists: &no_lists },
    ])
    .unwrap_err();
    let places: Vec<(&str, u32)> = errors.iter().map(|e| (e.file.as_str(), e.line)).collect();
    assert_eq!(
        places,
        [
            ("a.toml", 7),
            ("a.toml", 11),
            ("a.toml", 16),
            ("b.toml", 5),
            ("b.toml", 7),
            ("b.toml", 10),
            ("b.toml", 11),
            ("b.toml", 16)
        ],
        "{errors:#?}"
    );
    assert!(errors[3].message.contains("taken by a.toml:4"), "{}", errors[3]);
}

#[test]
fn too_many_body_patterns_are_refused_and_not_dropped() {
    let many = |n: usize| {
        with_pack(
            &(0..n)
                .map(|i| {
                    format!(
                        "[[signature]]\nid = \"s{i}\"\non = \"request.body\"\nregex = 'word{i}x'\nweight = \"weak\"\n"
                    )
                })
                .collect::<Vec<_>>()
                .concat(),
        )
    };
    let rules = one(&many(256)).unwrap();
    assert_eq!(body_hits(&rules, Side::Request, &[b"word255x word0x"]).len(), 2);
    let errors = one(&many(257)).unwrap_err();
    assert_eq!((errors.len(), errors[0].line), (1, 4 + 256 * 5 + 3), "{}", errors[0]);
}

#[test]
fn lists_are_checked_line_by_line() {
    let list = "#mcp-endpoints\t1\n#source\t0\tsome census\na.example\t/mcp\thttp\tyes\t\t0\nb.example\tmcp\thttp\tno\tB\t0\n\
                c.example\t/mcp\thttp\tno\tC\t7\nd.example\t/mcp\tftp\tno\tD\t0\ne.example\t/mcp\thttp\n";
    let lists = |_: &str| Ok(Cow::from(list.to_owned()));
    let text = with_pack("[[signature]]\nid = \"l\"\non = \"url\"\nlist = \"l.tsv\"\nweight = \"medium\"\n");
    let errors = compile(&[RuleText { file: "x.toml", text: &text, lists: &lists }]).unwrap_err();
    let places: Vec<(&str, u32)> = errors.iter().map(|e| (e.file.as_str(), e.line)).collect();
    assert_eq!(places, [("l.tsv", 4), ("l.tsv", 5), ("l.tsv", 6), ("l.tsv", 7)], "{errors:#?}");
}

#[test]
fn examples_that_lie_are_found_out() {
    let rules = rules(
        "[[signature]]\nid = \"a\"\non = \"request.body\"\nregex = 'tools/call'\nweight = \"weak\"\n\
         [[signature.example]]\nhit = 'tools/list'\n[[signature.example]]\nmiss = 'x tools/call'\n\
         [[signature.example]]\nhit = 'x tools/call'\n",
    );
    let failures = run_examples(&rules);
    assert_eq!(failures.iter().map(|f| (f.line, f.hit)).collect::<Vec<_>>(), [(9, true), (11, false)], "{failures:?}");
    assert_eq!(unproven(&rules), [0_u32; 0]);
}

#[test]
fn arbitrary_texts_are_refused_with_a_place() {
    for text in [
        "",
        "\0",
        "[pack]\nid=\"\"\nversion=\"\"",
        "[[signature]]\n[[signature.example]]",
        "pack = 3\nsignature = 4",
        "[pack]\nid=\"a\"\nversion=\"1\"\n[[signature]]\nid=\"é\"\non=\"request.body\"\nregex='é(['\nweight=\"weak\"",
        "[pack]\r\nid = \"a\"\r\nversion = 1\r\n\u{feff}",
        "#mcp-endpoints\t1\n",
    ] {
        fuzz_rules(text.as_bytes());
    }
}

/// Whether `pattern` stands for `host`, as the documentation says it, one label at a time.
fn label_oracle(pattern: &[&str], host: &[&str], first: bool) -> bool {
    match (pattern, host) {
        ([], []) => true,
        ([], _) | (_, []) => false,
        (["*"], _) if first => true,
        (["*"], _) => !host.is_empty(),
        (["*", rest @ ..], [_, more @ ..]) if first => {
            (0..more.len()).any(|skip| label_oracle(rest, &more[skip..], false))
        }
        ([label, rest @ ..], [name, more @ ..]) => detect::hosts::glob(label, name) && label_oracle(rest, more, false),
    }
}

fn label() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("mcp".to_owned()),
        Just("a".to_owned()),
        Just("com".to_owned()),
        Just("x-mcp".to_owned()),
        "[ab]{1,2}"
    ]
}

fn host_pattern() -> impl Strategy<Value = String> {
    let piece = prop_oneof![3 => label(), 1 => Just("*".to_owned()), 1 => Just("*-mcp".to_owned()), 1 => Just("mcp*".to_owned())];
    vec(piece, 1..5).prop_map(|labels| labels.join("."))
}

proptest! {
    #[test]
    fn hosts_match_by_label_and_never_by_substring(
        patterns in vec(host_pattern(), 1..12),
        host in vec(label(), 1..6),
    ) {
        let host = host.join(".");
        let patterns: Vec<String> = patterns.into_iter().filter(|p| p.chars().any(|c| c != '*' && c != '.')).collect();
        let text = with_pack(
            &patterns.iter().enumerate().map(|(i, p)| format!("[[signature]]\nid = \"s{i}\"\non = \"tls.sni\"\nhost = [\"{p}\"]\nweight = \"weak\"\n")).collect::<Vec<_>>().concat(),
        );
        let rules = one(&text).unwrap();
        let mut found = BTreeSet::new();
        rules.scan_field(&Field::TlsSni, host.as_bytes(), &mut Scratch::default(), &mut |hit, _| { found.insert(hit as usize); });
        let labels: Vec<&str> = host.split('.').collect();
        let want: BTreeSet<usize> = patterns
            .iter()
            .enumerate()
            .filter(|(_, p)| label_oracle(&p.split('.').collect::<Vec<_>>(), &labels, true))
            .map(|(i, _)| i)
            .collect();
        // A host is told of eight signatures at most.
        if want.len() <= 8 {
            prop_assert_eq!(&found, &want, "{} in {:?}", host, patterns);
        } else {
            prop_assert!(found.is_subset(&want) && found.len() == 8);
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic_the_compiler(data in vec(any::<u8>(), 0..300)) {
        fuzz_rules(&data);
    }

    #[test]
    fn almost_rules_never_panic_the_compiler(
        on in "(request.body|request.uri|host|url|tls.sni|response.header.x|x)",
        key in "(regex|literal|host|glob|list|anchor)",
        value in "('[ -&(-~]{0,20}'|\\[\"[a-z*./]{0,12}\", \"[ -!#-\\[\\]-~]{0,9}\"\\]|\"[a-z/]{0,9}\"|7)",
        extra in "(|nocase = true|enabled = false|category = \"catalog\"|anchor = \"abc\")",
    ) {
        let text = with_pack(&format!("[[signature]]\nid = \"a\"\non = \"{on}\"\n{key} = {value}\nweight = \"weak\"\n{extra}\n"));
        fuzz_rules(text.as_bytes());
    }

    #[test]
    fn host_names_are_made_normal_once(host in "[a-zA-Z0-9.:\\[\\]-]{0,30}") {
        let once = detect::hosts::normal_host(&host).into_owned();
        prop_assert!(!once.bytes().any(|b| b.is_ascii_uppercase()));
    }
}

#[test]
fn host_names_are_made_normal() {
    for (host, want) in [
        ("MCP.Example.com", "mcp.example.com"),
        ("mcp.example.com.", "mcp.example.com"),
        ("mcp.example.com:8443", "mcp.example.com"),
        ("mcp.example.com.:443", "mcp.example.com"),
        ("[2001:DB8::1]:443", "2001:db8::1"),
        ("[::1]", "::1"),
        ("2001:db8::1", "2001:db8::1"),
        ("192.0.2.1:80", "192.0.2.1"),
        ("xn--mcp-8ra.example", "xn--mcp-8ra.example"),
        ("", ""),
    ] {
        assert_eq!(detect::hosts::normal_host(host), want, "{host}");
    }
    assert!(matches!(detect::hosts::normal_host("mcp.example.com:443"), Cow::Borrowed(_)), "nothing to copy");
}
