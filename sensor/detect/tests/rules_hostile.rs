//! Patterns made to hurt: each is refused when rules are loaded, with its place, or costs a bounded number of steps a
//! byte, whatever the text. Both engines accept and refuse the same.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may fail loudly"
)]

use std::time::Duration;

use detect::Side;
use detect::engine::MAX_TABLES;
use detect::rules::{EngineChoice, EngineKind, Field, RuleError, RuleSet, RuleText, Scratch, compile_for, report};

/// Processor time this thread has used, which holds still while other programs run.
fn cpu() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
}

/// Most processor time to load one rule, refused or not; the build of tests is slow.
const MOST: Duration = Duration::from_secs(2);
/// Most memory of the tables of one rule, in bytes.
const MOST_BYTES: usize = MAX_TABLES << 20;

/// A rule file with one rule on `field`; the pattern stands on line 8, its text from column 10 on.
fn file(field: &str, pattern: &str) -> String {
    format!(
        "[pack]\nid = \"hostile\"\nversion = \"1\"\n[[signature]]\nid = \"x\"\non = \"{field}\"\nweight = \"weak\"\n\
         regex = '{pattern}'\n"
    )
}

/// Compiles for every engine of the build; all must say the same.
#[track_caller]
fn load(text: &str) -> Vec<(EngineKind, Result<RuleSet, Vec<RuleError>>)> {
    let lists = |_: &str| Err("no list".to_owned());
    let results: Vec<_> = EngineKind::ALL
        .into_iter()
        .filter(|kind| kind.available().is_ok())
        .map(|kind| {
            let begin = cpu();
            let file = RuleText { file: "own.toml", text, lists: &lists };
            let loaded = compile_for(&[file], EngineChoice::Only(kind));
            let took = cpu().saturating_sub(begin);
            assert!(took < MOST, "{kind} takes {took:?} for {text}");
            (kind, loaded)
        })
        .collect();
    for (kind, loaded) in &results {
        let (first, this) = (&results[0].1, loaded);
        assert_eq!(first.as_ref().err(), this.as_ref().err(), "{kind} judges differently: {text}");
    }
    results
}

/// What a pattern meets: bodies full of what nearly matches it.
fn near(pattern: &str) -> Vec<Vec<u8>> {
    let letters: Vec<u8> = pattern.bytes().filter(|b| b.is_ascii_alphanumeric() || b"\"/ :<".contains(b)).collect();
    let word = letters.get(..letters.len().min(40)).unwrap();
    let most = word.get(..word.len().saturating_sub(1)).unwrap();
    let mut texts = vec![b"x".repeat(40_000), b"ab".repeat(20_000), b"foo".repeat(10_000), b"\"".repeat(40_000)];
    for part in [word, most] {
        if !part.is_empty() {
            texts.push(part.repeat(40_000 / part.len()));
            let mut spaced = part.to_vec();
            spaced.extend_from_slice(b"  {\"method\":\"tools/cal");
            texts.push(spaced.repeat(40_000 / spaced.len()));
        }
    }
    texts
}

/// Scans near matches cut in several ways and holds the work against the bound.
#[track_caller]
fn runs_in_bounded_steps(kind: EngineKind, rules: &RuleSet, pattern: &str) {
    assert!(rules.table_bytes() <= MOST_BYTES, "{pattern}: {} bytes", rules.table_bytes());
    for text in near(pattern) {
        let mut ends = Vec::new();
        for size in [1, 7, 1460, usize::MAX] {
            let (mut state, mut scratch) = (rules.body(Side::Request), Scratch::default());
            let mut end = None;
            for piece in text.chunks(size.min(text.len())) {
                rules.scan_body(&mut state, &mut scratch, piece, &mut |_, at| end = Some(at));
            }
            rules.end_body(&mut state, &mut scratch);
            ends.push(end);
            let stats = scratch.stats;
            let bound = stats.seen * MAX_TABLES as u64;
            assert_eq!((stats.seen, stats.failed), (text.len() as u64, 0));
            // One rule is one table: a step a byte, and no more anchors than bytes.
            assert!(stats.stepped <= stats.seen && stats.stepped <= bound, "{kind}: {pattern}: {stats:?}");
            assert!(stats.anchors <= stats.seen, "{kind}: {pattern}: {stats:?}");
        }
        assert!(ends.iter().all(|end| *end == ends[0]), "{kind}: {pattern}: {ends:?}");
    }
}

#[test]
fn fifty_hostile_patterns_are_refused_with_a_place_or_cost_a_step_a_byte() {
    let many = |n: usize, one: &dyn Fn(usize) -> String| (0..n).map(one).collect::<Vec<_>>().join("|");
    let words = many(400, &|n| format!("w{n}x"));
    let tails = many(60, &|n| format!("k{n}[a-z]{{0,40}}"));
    let patterns: Vec<String> = [
        // Nested repeats.
        "(a{1,50}){1,50}",
        "((a{1,9}){1,9}){1,9}",
        "(x+x+)+y",
        "(a*)*b",
        "(a|a)*b",
        "(a|aa)+$",
        "(.*)*x",
        "((ab){1,30}c{1,30}){1,4}d",
        "(a{0,60}b{0,60}){1,30}c",
        "(a[^b]{0,60}b[^a]{0,60}){1,30}",
        "(((((((((a{2}){2}){2}){2}){2}){2}){2}){2}){2}){2}",
        "((((a{10}){10}){10}){10}){10}",
        "(?:(?:a?){40}){40}b",
        // Gaps.
        ".{0,4000}foo.{0,4000}",
        "foo.{0,4000}bar",
        "foo.{0,200}bar.{0,200}baz",
        "a.{60}b",
        "a[a-z]{500}b",
        "[ab]{0,40}a[ab]{40}c",
        "a.{0,30}b.{0,30}c.{0,30}d",
        "\"[^\"]{0,2000}\"",
        "\"tools/call\"[^}]{0,2000}\"delete\"",
        "[^<]{1,4000}<",
        ".{4096}",
        ".{4097}",
        "(?s:.){0,4000}x",
        "x(?s:.{0,1000})y(?s:.{0,1000})z",
        "[a-z]{1,64}@[a-z]{1,64}",
        // Dots at both ends.
        ".*foo.*",
        ".+",
        "a.*?b",
        "[^x]{100}x[^x]{100}",
        "[0-9]{1,3}(\\.[0-9]{1,3}){3}",
        // Case folding.
        "(?i)modelcontextprotocol",
        "(?i)(aAaA|bBbB|cCcC){1,20}",
        "(?i:[a-z]{1,40}tools[a-z]{1,40})",
        "(?i)k{30}s{30}",
        // Optional chains.
        "a?a?a?a?a?a?a?a?a?a?aaaaaaaaaa",
        "(a?){30}a{30}",
        "(x?y?z?){20}!",
        "(a|b|ab|ba|aab){1,40}c",
        // What begins with anything, what is everywhere.
        "[^q]",
        "\\s{0,9}[^ ]{1,60}\\s",
        "[\\x00-\\xff]{9}",
        "\"",
        "e",
        "[a-z]{3}",
        // What other engines backtrack on.
        "^(([a-z])+.)+[A-Z]([a-z])+$",
        "(?:[a-z0-9]{1,20}\\.){1,20}com",
        "<a [^>]{0,300}href=[^>]{0,300}>",
        "(\"[^\"]{0,100}\",){1,20}",
        "(?:\\\\u[0-9a-f]{4}){1,200}",
        "((?:[a-z]{1,10} ){1,10}){1,10}stop",
    ]
    .into_iter()
    .map(str::to_owned)
    .chain([
        format!("({words})"),
        format!("({words}){{1,20}}!"),
        format!("({tails})!"),
        "a".repeat(4096),
        format!("[{}]{{1,900}}z", "\\w"),
    ])
    .collect();
    assert!(patterns.len() >= 50, "{}", patterns.len());
    let (mut refused, mut accepted) = (0, 0);
    for pattern in &patterns {
        for (kind, loaded) in load(&file("request.body", pattern)) {
            match loaded {
                Ok(rules) => {
                    accepted += 1;
                    assert_eq!(rules.engine(), kind, "{pattern}: {}", rules.engine_and_why());
                    let line = &report(&rules)[0];
                    assert!(line.bound.is_some_and(|bound| bound <= 4096), "{line:?}");
                    runs_in_bounded_steps(kind, &rules, pattern);
                }
                Err(errors) => {
                    refused += 1;
                    let error = &errors[0];
                    assert_eq!((errors.len(), error.file.as_str(), error.line), (1, "own.toml", 8), "{error}");
                    let columns = 10..10 + u32::try_from(pattern.chars().count()).unwrap();
                    assert!(columns.contains(&error.column), "{pattern}: outside the pattern: {error}");
                    assert!(!error.message.is_empty() && !error.help.is_empty(), "{error}");
                    assert!(!error.text.is_empty(), "{error}");
                }
            }
        }
    }
    assert!(refused > 20 && accepted > 20, "{refused} refused, {accepted} accepted");
}

#[test]
fn hostile_patterns_on_short_fields_are_refused_with_a_place_or_cost_a_step_a_byte() {
    for pattern in [
        "(x+x+)+y",
        "(a*)*b",
        "^(a|aa)+$",
        "^(([a-z])+.)+[A-Z]([a-z])+$",
        ".*a.{12}",
        ".*a.{30}b",
        "(.*)(.*)(.*)(.*)x",
        "^.*foo.*bar.*baz.*$",
        "(a{1,50}){1,50}",
        "\\b[a-z]{1,60}\\b.*\\b[a-z]{1,60}\\b",
        "(?i)(mcp|m\\.c\\.p).*server.*$",
        "(.?){60}x",
        "[^ ]*( [^ ]*){20}$",
    ] {
        for (kind, loaded) in load(&file("request.header.user-agent", pattern)) {
            let field = Field::RequestHeader("user-agent".into());
            match loaded {
                Ok(rules) => {
                    for text in near(pattern) {
                        let text = &text[..text.len().min(8192)];
                        let mut scratch = Scratch::default();
                        rules.scan_field(&field, text, &mut scratch, &mut |_, _| {});
                        assert!(scratch.stats.stepped <= text.len() as u64, "{kind}: {pattern}: {:?}", scratch.stats);
                        assert_eq!(scratch.stats.failed, 0, "{kind}: {pattern}");
                    }
                }
                Err(errors) => {
                    let columns = 10..10 + u32::try_from(pattern.chars().count()).unwrap();
                    assert!(errors[0].line == 8 && columns.contains(&errors[0].column), "{pattern}: {}", errors[0]);
                }
            }
        }
    }
}

#[test]
fn the_place_is_the_part_that_makes_a_pattern_large() {
    for (pattern, text, message) in [
        ("key[a-z]{500}b", "[a-z]{500}", "table over the limit"),
        ("\"call\"[^}]{0,2000}\"delete\"", "[^}]{0,2000}", "table over the limit"),
        ("ab{2}(c(a{1,90}){1,60}d?)", "(a{1,90}){1,60}", "5405 bytes long"),
        ("one.*two", "*", "unbounded repeat"),
        ("one(two)+", "+", "unbounded repeat"),
        ("one\\btwo", "\\b", "word boundary"),
        ("(one", "(", "unclosed group"),
        ("one(?=two)", "(?=", "look-around"),
    ] {
        for (kind, loaded) in load(&file("request.body", pattern)) {
            let error = loaded.map(|_| ()).expect_err(pattern).remove(0);
            assert_eq!(error.text, text, "{kind}: {error}");
            assert!(error.message.contains(message), "{kind}: {error}");
            assert_eq!(format!("{}{}{}", error.before, error.text, error.after), format!("regex = '{pattern}'"));
        }
    }
}

#[test]
fn an_anchor_that_does_not_help_is_marked_itself() {
    let text = file("request.body", "ab(cde|fgh)") + "anchor = \"cde\"\n";
    for (_, loaded) in load(&text) {
        let error = loaded.map(|_| ()).unwrap_err().remove(0);
        assert_eq!((error.line, error.text.as_str()), (9, "\"cde\""), "{error}");
    }
}
