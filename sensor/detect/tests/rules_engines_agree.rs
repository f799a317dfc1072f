//! Every engine of the build against each other and against an oracle, over rules from a small grammar, texts salted
//! with what the rules match, and any cuts.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may fail loudly"
)]

use std::collections::BTreeMap;

use detect::engine::{Built, Engine, EngineChoice, EngineKind, Matcher, Pattern, Scratch};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use regex_automata::dfa::{Automaton, dense};
use regex_automata::{Anchored, Input, MatchKind};
use regex_syntax::hir::{Class, Hir, HirKind};

/// The engines of this build.
fn kinds() -> Vec<EngineKind> {
    let here: Vec<_> = EngineKind::ALL.into_iter().filter(|kind| kind.available().is_ok()).collect();
    assert_eq!(here.len(), if cfg!(feature = "hyperscan") { 2 } else { 1 }, "the machine runs what was built");
    here
}

/// Pattern to first end: an automaton that knows one expression, one byte at a time.
fn oracle(expressions: &[String], nocase: bool, text: &[u8]) -> BTreeMap<u32, u64> {
    let first_end = |expression: &String| {
        let syntax = regex_automata::util::syntax::Config::new().unicode(false).utf8(false).case_insensitive(nocase);
        let dfa = dense::Builder::new()
            .configure(dense::Config::new().match_kind(MatchKind::All))
            .syntax(syntax)
            .thompson(regex_automata::nfa::thompson::Config::new().utf8(false))
            .build(expression)
            .unwrap();
        let mut state = dfa.start_state_forward(&Input::new(text).anchored(Anchored::No)).unwrap();
        for (at, &byte) in text.iter().enumerate() {
            state = dfa.next_state(state, byte);
            if dfa.is_match_state(state) {
                return Some(at as u64);
            }
        }
        dfa.is_match_state(dfa.next_eoi_state(state)).then_some(text.len() as u64)
    };
    (0_u32..).zip(expressions).filter_map(|(id, e)| Some((id, first_end(e)?))).collect()
}

/// Hits over `text` cut into pieces of the lengths given, over and over, on a state that another body has used.
#[track_caller]
fn cut(engine: &Matcher, scratch: &mut Scratch, text: &[u8], cuts: &[usize]) -> BTreeMap<u32, u64> {
    let mut state = engine.start();
    engine.scan(&mut state, scratch, text, &mut |_, _| {});
    if text.len().is_multiple_of(2) {
        engine.reset(&mut state);
    } else {
        engine.retire(&mut state, scratch);
    }
    let mut found = Vec::new();
    let (mut rest, mut lengths) = (text, cuts.iter().copied().chain([1]).cycle());
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(lengths.next().unwrap_or(1).min(rest.len()));
        engine.scan(&mut state, scratch, piece, &mut |id, end| found.push((end, id)));
        rest = after;
    }
    assert!(found.is_sorted(), "out of order: {found:?}");
    let hits: BTreeMap<u32, u64> = found.iter().map(|&(end, id)| (id, end)).collect();
    assert_eq!(hits.len(), found.len(), "twice: {found:?}");
    engine.retire(&mut state, scratch);
    hits
}

#[track_caller]
fn block(engine: &Matcher, scratch: &mut Scratch, text: &[u8]) -> BTreeMap<u32, u64> {
    let mut found = Vec::new();
    engine.scan_block(scratch, text, &mut |id, end| found.push((end as u64, id)));
    assert!(found.is_sorted(), "out of order: {found:?}");
    found.into_iter().map(|(end, id)| (id, end)).collect()
}

/// Pieces of expressions, bounded and without look-around.
fn bounded() -> BoxedStrategy<String> {
    let leaf = prop_oneof![
        4 => select(vec!["a", "b", "c", "ab", "abc", "bca", "tools", "call", "\"", "/", ":", " ", "é", "A", "0"]),
        2 => select(vec![r"\s", r"\d", r"\w", r"\W", ".", "(?s:.)", "[a-c]", "[^x]", "[^a-z]", "[0-9a-f]", "[xX]"]),
        1 => select(vec![r"\.", r"\$", r"\^", r"\[", r"\]", r"\\", r"\-", r"\#", r"\{", r"\x00", r"\n", r"\r", r"\xff"]),
        1 => select(vec!["(?i:Ab)", "(?i:k)", "[[:punct:]]", "(?i:tools/)", "(?-u:[\\x80-\\xff])", "(?:)"]),
    ]
    .prop_map(str::to_owned);
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            3 => vec(inner.clone(), 1..4).prop_map(|parts| parts.concat()),
            2 => vec(inner.clone(), 1..4).prop_map(|branches| format!("(?:{})", branches.join("|"))),
            1 => inner.clone().prop_map(|sub| format!("({sub}|)")),
            2 => (inner.clone(), 0_u32..3, 0_u32..4, any::<bool>())
                .prop_map(|(sub, low, more, lazy)| {
                    format!("(?:{sub}){{{low},{}}}{}", low + more, if lazy { "?" } else { "" })
                }),
            1 => inner.prop_map(|sub| format!("(?:{sub})?")),
        ]
    })
    .boxed()
}

/// The same and what only short fields may have.
fn any_expression() -> BoxedStrategy<String> {
    let extra = select(vec![
        "^",
        "$",
        r"\A",
        r"\z",
        r"\b",
        r"\B",
        "(?m:^)",
        "(?m:$)",
        ".*",
        "[a-c]+",
        r"\s*",
        "(?:ab|c)*",
        r"(?-u:\b)x",
    ]);
    let piece = prop_oneof![3 => bounded(), 2 => extra.prop_map(str::to_owned)];
    vec(piece, 1..5).prop_map(|parts| parts.concat()).boxed()
}

/// A text that `hir` matches, assertions aside.
fn sample(hir: &Hir, dice: &mut impl FnMut(usize) -> usize, out: &mut Vec<u8>) {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) | HirKind::Class(Class::Unicode(_)) => {}
        HirKind::Literal(literal) => out.extend_from_slice(&literal.0),
        HirKind::Class(Class::Bytes(class)) => {
            let ranges = class.ranges();
            if !ranges.is_empty() {
                let range = ranges[dice(ranges.len())];
                out.push(range.start() + u8::try_from(dice(range.len().min(255))).unwrap());
            }
        }
        HirKind::Repetition(repetition) => {
            let (low, high) = (repetition.min, repetition.max.unwrap_or(repetition.min + 3));
            for _ in 0..low + u32::try_from(dice((high - low) as usize + 1)).unwrap() {
                sample(&repetition.sub, dice, out);
            }
        }
        HirKind::Capture(capture) => sample(&capture.sub, dice, out),
        HirKind::Concat(parts) => parts.iter().for_each(|part| sample(part, dice, out)),
        HirKind::Alternation(branches) => sample(&branches[dice(branches.len())], dice, out),
    }
}

/// Words, samples of the expressions and cut-off samples, in the order the dice say.
fn salted(expressions: &[String], plan: &[(u8, Index)]) -> Vec<u8> {
    let noise: [&[u8]; 10] =
        [b"", b" ", b"\n", b"ab", b"abcabca", b"tools/cal", b"x\"x", b"\xc3\xa9\0\xff", b"AbC 0:9", b"\r\n"];
    let mut text = Vec::new();
    for (kind, index) in plan {
        let mut seed = index.index(usize::MAX);
        let mut dice = |n: usize| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) % n.max(1)
        };
        if *kind < 100 || expressions.is_empty() {
            text.extend_from_slice(noise[dice(noise.len())]);
            continue;
        }
        let parser = regex_syntax::ParserBuilder::new().unicode(false).utf8(false).build();
        let hir = { parser }.parse(&expressions[dice(expressions.len())]).unwrap();
        let start = text.len();
        sample(&hir, &mut dice, &mut text);
        if *kind > 200 {
            // All but matched.
            text.truncate(start + dice(text.len() - start + 1));
        }
    }
    text
}

fn plan() -> impl Strategy<Value = Vec<(u8, Index)>> {
    vec((any::<u8>(), any::<Index>()), 0..24)
}

/// The expressions that are right, and the patterns they make.
fn right(expressions: Vec<String>, nocase: bool, streamed: bool) -> (Vec<String>, Vec<Pattern>) {
    let right = |text: String| {
        let parse = if streamed { Pattern::streamed } else { Pattern::short };
        let pattern = parse(&text, nocase).ok()?;
        // Some are too large by themselves.
        let build = if streamed { Matcher::streamed } else { Matcher::short };
        build(std::slice::from_ref(&pattern), EngineChoice::Only(EngineKind::Rust)).ok()?;
        Some((text, pattern))
    };
    expressions.into_iter().filter_map(right).unzip()
}

#[track_caller]
fn build(patterns: &[Pattern], kind: EngineKind, streamed: bool) -> Matcher {
    let choice = EngineChoice::Only(kind);
    let built = if streamed { Matcher::streamed(patterns, choice) } else { Matcher::short(patterns, choice) };
    let Built { matcher, why, .. } = built.unwrap();
    // The library refuses some of what short fields may have, such as a line start in the middle.
    assert!(matcher.kind() == kind || !streamed && why.contains("cannot take"), "{why}");
    matcher
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn bodies_give_the_same_first_ends_in_every_engine_however_they_are_cut(
        expressions in vec(bounded(), 1..7),
        plan in plan(),
        cuts in vec(0_usize..50, 1..9),
        nocase in any::<bool>(),
    ) {
        let (good, patterns) = right(expressions, nocase, true);
        prop_assume!(!patterns.is_empty());
        let text = salted(&good, &plan);
        let want = oracle(&good, nocase, &text);
        let mut scratch = Scratch::default();
        for kind in kinds() {
            let engine = build(&patterns, kind, true);
            for cuts in [&cuts[..], &[1], &[usize::MAX]] {
                let found = cut(&engine, &mut scratch, &text, cuts);
                prop_assert_eq!(&found, &want, "{}: {:?} in {:?} cut {:?}", kind, good, text, cuts);
            }
            prop_assert_eq!(&block(&engine, &mut scratch, &text), &want, "{}: {:?} in {:?}", kind, good, text);
        }
    }

    #[test]
    fn short_fields_give_the_same_first_ends_in_every_engine(
        expressions in vec(any_expression(), 1..5),
        plan in plan(),
        nocase in any::<bool>(),
    ) {
        let (good, patterns) = right(expressions, nocase, false);
        prop_assume!(!patterns.is_empty());
        let text = salted(&good, &plan);
        let want = oracle(&good, nocase, &text);
        let mut scratch = Scratch::default();
        for kind in kinds() {
            let engine = build(&patterns, kind, false);
            prop_assert_eq!(&block(&engine, &mut scratch, &text), &want, "{}: {:?} in {:?}", kind, good, text);
        }
    }

    #[test]
    fn literals_give_the_same_first_ends_in_every_engine(
        words in vec("[abAB.é\"]{1,6}", 1..100),
        text in "[abAB.é\" ]{0,120}",
        cuts in vec(0_usize..9, 1..5),
        nocase in any::<bool>(),
    ) {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let fold = |t: &str| if nocase { t.to_ascii_lowercase() } else { t.to_owned() };
        let want = words.iter().filter_map(|w| Some((fold(&text).find(&fold(w))? + w.len()) as u64)).min();
        let patterns = [Pattern::any_of(&words, nocase)];
        let mut scratch = Scratch::default();
        for kind in kinds() {
            let engine = build(&patterns, kind, true);
            let found = cut(&engine, &mut scratch, text.as_bytes(), &cuts);
            prop_assert_eq!(found.get(&0).copied(), want, "{}", kind);
        }
    }
}

#[test]
fn small_things_in_which_dialects_differ_are_the_same_in_every_engine() {
    let texts: [&[u8]; 14] = [
        b"a",
        b"a\n",
        b"a\r\n",
        b"\na",
        b"\n",
        b"a\nb\n",
        b"a\x0bb",
        b"a\xc3\xa9",
        b"",
        b"a\0b",
        b"ab\n\n",
        b"-a-",
        b"a_b",
        b"A",
    ];
    for expression in [
        "^a$",
        r"\Aa\z",
        "a$",
        "(?m:^)a",
        "(?m:a$)",
        r"\n(?m:^)b?",
        r"\n(?m:$)",
        r"a\s",
        r"a.",
        r"a(?s:.)",
        r"\ba\b",
        r"a\B.",
        r"a[^b]",
        r"[^a]",
        r"a\x00",
        "é",
        "(?i:a)",
        r"[\x80-\xff]",
        "a??b",
        "a*?b",
        "(a|ab)(c|b)?",
        r"\w\W",
        "(?m:^)(?m:$)\n",
    ] {
        let pattern = Pattern::short(expression, false).unwrap();
        for text in texts {
            let want = oracle(&[expression.to_owned()], false, text);
            for kind in kinds() {
                let engine = build(std::slice::from_ref(&pattern), kind, false);
                assert_eq!(block(&engine, &mut Scratch::default(), text), want, "{kind}: {expression} in {text:?}");
            }
        }
    }
}

#[test]
fn what_a_library_has_no_words_for_runs_in_rust_and_says_so() {
    for expression in [r"(?R:(?m:^))a", r"\b{start}a", r"a\b{end-half}"] {
        let pattern = Pattern::short(expression, false).unwrap();
        let built = Matcher::short(&[pattern], EngineChoice::Only(EngineKind::Hyperscan)).unwrap();
        assert_eq!(built.matcher.kind(), EngineKind::Rust);
        assert!(built.why.contains("hyperscan"), "{}", built.why);
        assert_eq!(block(&built.matcher, &mut Scratch::default(), b"a").len(), 1, "{expression}");
    }
}

#[test]
fn the_choice_goes_by_the_cost_in_rust() {
    let rare = Pattern::streamed("tools/call", false).unwrap();
    let common = Pattern::streamed(r#""method":"[a-z]{3}""#, false).unwrap();
    let every = Pattern::streamed("[0-9]{4}", false).unwrap();
    let words: Vec<String> = (0..100).map(|n| format!("word-{n}")).collect();
    let list = Pattern::any_of(&words.iter().map(String::as_str).collect::<Vec<_>>(), false);
    let auto = |patterns: &[&Pattern]| {
        let patterns: Vec<Pattern> = patterns.iter().copied().cloned().collect();
        let Built { matcher, why, .. } = Matcher::streamed(&patterns, EngineChoice::Auto).unwrap();
        (matcher.kind(), why.into_owned())
    };
    assert_eq!(auto(&[&rare]), (EngineKind::Rust, "no body pattern is slow in rust".to_owned()));
    // A list is slow in Rust, but steady.
    assert_eq!(auto(&[&rare, &list]).0, EngineKind::Rust);
    for slow in [&common, &every] {
        let (kind, why) = auto(&[&rare, slow]);
        assert_eq!(kind, *kinds().last().unwrap(), "{why}");
        assert!(why.starts_with("1 of 2 body patterns"), "{why}");
    }
}
