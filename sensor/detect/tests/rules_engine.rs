//! The engine against an oracle that looks at every byte with one expression at a time.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may fail loudly"
)]

use std::collections::BTreeMap;

use detect::engine::{BuildError, Cost, Engine, Fault, MAX_TABLES, Pattern, Scanner, Scratch, fuzz_engine};
use proptest::collection::vec;
use proptest::prelude::*;
use regex_automata::dfa::Automaton;
use regex_automata::{Anchored, Input, MatchKind, meta};

/// First end offset of `pattern` in `text`: the least over all starts of the least end from there.
fn oracle(pattern: &str, nocase: bool, text: &[u8]) -> Option<u64> {
    let config = regex_automata::util::syntax::Config::new().unicode(false).utf8(false).case_insensitive(nocase);
    let dfa = regex_automata::dfa::dense::Builder::new()
        .configure(regex_automata::dfa::dense::Config::new().match_kind(MatchKind::All))
        .syntax(config)
        .thompson(regex_automata::nfa::thompson::Config::new().utf8(false))
        .build(pattern)
        .unwrap();
    let input = Input::new(text).anchored(Anchored::No);
    let mut state = dfa.start_state_forward(&input).unwrap();
    for (at, &byte) in text.iter().enumerate() {
        state = dfa.next_state(state, byte);
        if dfa.is_match_state(state) {
            return Some(at as u64);
        }
    }
    dfa.is_match_state(dfa.next_eoi_state(state)).then_some(text.len() as u64)
}

/// All hits over `text` cut into pieces of the lengths given (over and over), each at most once.
#[track_caller]
fn hits(scanner: &Scanner, text: &[u8], cuts: &[usize]) -> BTreeMap<u32, u64> {
    let mut found = BTreeMap::new();
    let (mut state, mut scratch) = (scanner.start(), Scratch::default());
    let mut cuts = cuts.iter().copied().cycle();
    let mut rest = text;
    let mut dry = 0;
    while !rest.is_empty() {
        let cut = cuts.next().unwrap_or(rest.len()).min(rest.len());
        dry = if cut == 0 { dry + 1 } else { 0 };
        let (piece, after) = rest.split_at(if dry > 3 { rest.len() } else { cut });
        scanner.scan(&mut state, &mut scratch, piece, &mut |id, end| {
            assert_eq!(found.insert(id, end), None, "pattern {id} twice");
        });
        rest = after;
    }
    assert_eq!(state.offset(), text.len() as u64);
    found
}

fn streamed(patterns: &[&str]) -> Scanner {
    let patterns: Vec<Pattern> = patterns.iter().map(|p| Pattern::streamed(p, false).unwrap()).collect();
    Scanner::streamed(&patterns).unwrap()
}

const SEEDS: [&str; 10] = [
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

#[test]
fn the_first_end_is_reported_wherever_the_body_is_cut() {
    let text = br#"{"x":"y","method" : "tools/call","method":"tools/call","protocolVersion":"2025-06-18"}"#;
    let scanner = streamed(&SEEDS);
    for cut in 1..=text.len() {
        let found = hits(&scanner, text, &[cut]);
        assert_eq!(found, BTreeMap::from([(1, 32), (7, 78)]), "cut every {cut}");
    }
}

#[test]
fn a_match_at_the_very_end_needs_no_further_byte() {
    let scanner = streamed(&SEEDS);
    assert_eq!(hits(&scanner, br#""method":"tools/call""#, &[3]), BTreeMap::from([(1, 21)]));
}

#[test]
fn nothing_is_half_matched_between_two_bodies() {
    let scanner = streamed(&SEEDS);
    let (mut state, mut scratch) = (scanner.start(), Scratch::default());
    scanner.scan(&mut state, &mut scratch, br#""method":"tools/"#, &mut |_, _| panic!("too early"));
    scanner.reset(&mut state);
    scanner.scan(&mut state, &mut scratch, br#"call""#, &mut |_, _| panic!("of another body"));
}

#[test]
fn the_state_of_another_scanner_is_dropped() {
    let other = streamed(&["abc[0-9]{0,100}d"]);
    let scanner = streamed(&SEEDS);
    let (mut state, mut scratch) = (other.start(), Scratch::default());
    other.scan(&mut state, &mut scratch, b"abc123", &mut |_, _| {});
    let mut found = Vec::new();
    scanner.scan(&mut state, &mut scratch, br#""method":"tools/call""#, &mut |id, end| found.push((id, end)));
    assert_eq!(found, [(1, 21)]);
}

#[test]
fn text_without_anchors_is_skipped_and_not_walked() {
    let scanner = streamed(&SEEDS);
    assert!(scanner.costs().iter().all(|c| c.cost == Cost::RareAnchor), "{:?}", scanner.costs());
    let text = br#"{"jsonrpc":"2.0","id":1,"method":"eth_getLogs","params":[{"fromBlock":"0x1"}]}"#.repeat(1000);
    let (mut state, mut scratch) = (scanner.start(), Scratch::default());
    for piece in text.chunks(1460) {
        scanner.scan(&mut state, &mut scratch, piece, &mut |_, _| panic!("no MCP here"));
    }
    assert_eq!(scratch.stats.seen, text.len() as u64);
    assert!(scratch.stats.stepped < text.len() as u64 / 10, "{:?}", scratch.stats);
}

#[test]
fn bodies_full_of_anchors_are_walked_at_most_once() {
    let scanner = streamed(&SEEDS);
    for text in ["tools/call".repeat(2000), "\"tools/list\"".repeat(2000), "rotocolVersion\":".repeat(2000)] {
        let (mut state, mut scratch) = (scanner.start(), Scratch::default());
        for piece in text.as_bytes().chunks(1460) {
            scanner.scan(&mut state, &mut scratch, piece, &mut |_, _| {});
        }
        assert!(scratch.stats.stepped <= text.len() as u64, "{:?} of {}", scratch.stats, text.len());
    }
}

#[test]
fn anchors_that_overlap_are_all_found() {
    let scanner = streamed(&["aaab[0-9]{2}", "abab[0-9]{2}", "b[0-9]{2}zzz", "zzzz[x-z]"]);
    for text in ["aaabab12zzzzz", "abaaab34zzz", "aaaaaab12", "zzzzzzzzzzzz", "abababab99zzzzzz"] {
        for cut in [1, 2, 3, 5, 7, 100] {
            let want: BTreeMap<u32, u64> = ["aaab[0-9]{2}", "abab[0-9]{2}", "b[0-9]{2}zzz", "zzzz[x-z]"]
                .iter()
                .zip(0_u32..)
                .filter_map(|(p, id)| Some((id, oracle(p, false, text.as_bytes())?)))
                .collect();
            assert_eq!(hits(&scanner, text.as_bytes(), &[cut]), want, "{text} cut every {cut}");
        }
    }
}

#[test]
fn refused_patterns_say_why_and_where() {
    let unbounded = |text: &str| Pattern::streamed(text, false).map(|_| ()).unwrap_err();
    for (text, fault, span) in [
        ("ab.*c", Fault::Unbounded, 3..4),
        ("ab(c+)d", Fault::Unbounded, 4..5),
        ("a{3,}", Fault::Unbounded, 1..5),
        ("^ab", Fault::LookAround, 0..1),
        (r"ab\b", Fault::LookAround, 2..4),
        ("a{0,3}", Fault::EmptyMatch, 0..6),
        ("a{5000}", Fault::TooWide(5000), 0..7),
        ("[^\\x00-\\xff]a", Fault::NeverMatches, 0..13),
        ("a(?u:é[α-ω])", Fault::Unicode, 1..15),
    ] {
        let error = unbounded(text);
        assert_eq!((&error.fault, error.span.clone()), (&fault, span), "{text}: {error}");
        assert!(!error.fault.help().is_empty());
    }
    for (text, place) in [("a(b", 1..2), ("a[", 1..2), ("(?=a)b", 0..3), (r"(a)\1", 3..5), ("a**{2}{3}(", 9..10)] {
        let error = unbounded(text);
        assert!(matches!(error.fault, Fault::Syntax(_)), "{text}: {error:?}");
        assert_eq!(error.span, place, "{text}: {error:?}");
    }
    let deep = format!("{}a{}", "(".repeat(500), ")".repeat(500));
    assert!(matches!(unbounded(&deep).fault, Fault::Syntax(_)));
    assert!(matches!(unbounded(&"a".repeat(5000)).fault, Fault::TooLong(5000)));
}

#[test]
fn explosive_patterns_are_refused_when_built_and_cost_little_time() {
    for text in [
        "a[a-z]{500}b",
        r#""tools/call"[^}]{0,2000}"delete""#,
        "[ab]{0,40}a[ab]{40}(c|[ab]{30})d",
        "(a[^b]{0,60}b[^a]{0,60}){1,30}",
    ] {
        let pattern = Pattern::streamed(text, false).unwrap();
        let error = Scanner::streamed(&[Pattern::streamed("fine", false).unwrap(), pattern]).map(|s| s.bytes());
        assert_eq!(error.unwrap_err(), BuildError::Patterns(vec![(1, Fault::TooLarge)]), "{text}");
    }
}

#[test]
fn patterns_too_large_together_get_several_tables() {
    let patterns: Vec<String> = (0..12).map(|i| format!("key{i:x}[a-j]{{1,1200}}(?:z|stop{i:x})")).collect();
    let patterns: Vec<&str> = patterns.iter().map(String::as_str).collect();
    let scanner = streamed(&patterns);
    let text = b"..key3aaaz..keyb--key0jjjjstop0.keybastopb";
    for cut in [1, 4, 1000] {
        assert_eq!(hits(&scanner, text, &[cut]).len(), 3, "cut every {cut}");
    }
    assert!(scanner.bytes() <= MAX_TABLES << 20);
}

#[test]
fn long_lists_of_literals_work_in_pieces_and_without_case() {
    let words: Vec<String> = (0..3000).map(|i| format!("word-{i}-x")).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let scanner = Scanner::streamed(&[
        Pattern::any_of(&words, false),
        Pattern::any_of(&words, true),
        Pattern::any_of(&["nix"], false),
    ])
    .unwrap();
    assert_eq!(scanner.costs()[0].cost, Cost::LiteralList);
    for cut in [1, 3, 100] {
        assert_eq!(hits(&scanner, b"..WORD-7-X.word-2999-x.", &[cut]), BTreeMap::from([(0, 22), (1, 10)]));
    }
}

#[test]
fn short_fields_may_be_anchored() {
    let scanner = Scanner::short(&[
        Pattern::short("^claude-code/", false).unwrap(),
        Pattern::short(r"\bmcp\b", true).unwrap(),
        Pattern::short(".+", false).unwrap(),
        Pattern::short("end$", false).unwrap(),
    ])
    .unwrap();
    let check = |text: &str, want: &[(u32, usize)]| {
        let mut found = Vec::new();
        scanner.scan_block(&mut Scratch::default(), text.as_bytes(), &mut |id, end| found.push((id, end)));
        found.sort_unstable();
        assert_eq!(found, want, "{text}");
    };
    check("claude-code/1.0 MCP", &[(0, 12), (1, 19), (2, 1)]);
    check("x claude-code/", &[(2, 1)]);
    check("mcpx the end", &[(2, 1), (3, 12)]);
    check("mcp", &[(1, 3), (2, 1)]);
    check("", &[]);
}

#[test]
fn the_fuzz_target_takes_anything() {
    for data in [
        "",
        "a",
        "a\nb\nc\nd\ntext abcd",
        "tools/call\n\"x\"\n(\n[a-z]{3}\nzz tools/call \"x\"",
        "\nx \"method\":\"tools/call\" 123",
    ] {
        fuzz_engine(data.as_bytes());
    }
}

/// Small expressions that share pieces of text, so that they overlap in each other's matches.
fn expression() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("tools".to_owned()),
        Just("ab".to_owned()),
        Just("abc".to_owned()),
        Just("bca".to_owned()),
        Just("(?:list|call)".to_owned()),
        Just("(abc|bcab|c)".to_owned()),
        Just("[a-c]".to_owned()),
        Just("[^x]".to_owned()),
        Just(r"\s{0,3}".to_owned()),
        Just("a{1,4}".to_owned()),
        Just("(?:ab){0,3}".to_owned()),
        Just("(?i:Ab)".to_owned()),
        Just(r#"""#.to_owned()),
        Just("/".to_owned()),
    ];
    vec(piece, 1..6).prop_map(|parts| parts.concat())
}

fn text() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just("tools".to_owned()),
        Just("/call".to_owned()),
        Just("list".to_owned()),
        Just("abc".to_owned()),
        Just("bcab".to_owned()),
        Just("aB".to_owned()),
        Just(" ".to_owned()),
        Just("\"".to_owned()),
        Just("x".repeat(40)),
        "[a-c ]{0,12}",
        "[ -~]{0,30}",
    ];
    vec(piece, 0..40).prop_map(|parts| parts.concat().into_bytes())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn every_engine_agrees_with_the_oracle_however_the_text_is_cut(
        expressions in vec(expression(), 1..8),
        text in text(),
        cuts in vec(0_usize..60, 1..12),
        nocase in any::<bool>(),
    ) {
        let good: Vec<(String, Pattern)> = expressions
            .into_iter()
            .filter_map(|e| { let p = Pattern::streamed(&e, nocase).ok()?; Some((e, p)) })
            .collect();
        let patterns: Vec<Pattern> = good.iter().map(|(_, p)| p.clone()).collect();
        let scanner = Scanner::streamed(&patterns).unwrap();
        let want: BTreeMap<u32, u64> = good
            .iter()
            .zip(0_u32..)
            .filter_map(|((e, _), id)| Some((id, oracle(e, nocase, &text)?)))
            .collect();
        prop_assert_eq!(&hits(&scanner, &text, &cuts), &want, "{:?} {:?}", good.iter().map(|g| &g.0).collect::<Vec<_>>(), scanner.costs());
        prop_assert_eq!(&hits(&scanner, &text, &[1]), &want);
        prop_assert_eq!(&hits(&scanner, &text, &[usize::MAX]), &want);
        let mut block = BTreeMap::new();
        scanner.scan_block(&mut Scratch::default(), &text, &mut |id, end| { block.insert(id, end as u64); });
        prop_assert_eq!(&block, &want);
    }

    #[test]
    fn short_fields_agree_with_the_regex_crate_on_whether_there_is_a_match(
        expressions in vec(expression(), 1..6),
        text in text(),
    ) {
        let good: Vec<(String, Pattern)> =
            expressions.into_iter().filter_map(|e| { let p = Pattern::short(&e, false).ok()?; Some((e, p)) }).collect();
        let patterns: Vec<Pattern> = good.iter().map(|(_, p)| p.clone()).collect();
        let scanner = Scanner::short(&patterns).unwrap();
        let mut found = std::collections::BTreeSet::new();
        scanner.scan_block(&mut Scratch::default(), &text, &mut |id, _| { found.insert(id as usize); });
        for (id, (e, _)) in good.iter().enumerate() {
            let regex = meta::Regex::builder()
                .syntax(regex_automata::util::syntax::Config::new().unicode(false).utf8(false))
                .configure(meta::Config::new().utf8_empty(false))
                .build(e)
                .unwrap();
            prop_assert_eq!(found.contains(&id), regex.is_match(&text[..]), "{}", e);
        }
    }

    #[test]
    fn literals_agree_with_a_plain_search(
        words in vec("[ab]{1,4}", 1..40),
        text in "[abAB]{0,80}",
        cuts in vec(0_usize..9, 1..5),
        nocase in any::<bool>(),
    ) {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let scanner = Scanner::streamed(&[Pattern::any_of(&words, nocase)]).unwrap();
        let fold = |t: &str| if nocase { t.to_ascii_lowercase() } else { t.to_owned() };
        let want = words.iter().filter_map(|w| Some((fold(&text).find(&fold(w))? + w.len()) as u64)).min();
        prop_assert_eq!(hits(&scanner, text.as_bytes(), &cuts).get(&0).copied(), want);
    }
}
