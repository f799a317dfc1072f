//! What the fuzz target runs.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use regex_automata::nfa::thompson::{self, pikevm::PikeVM};

use super::{Engine, EngineChoice, EngineKind, Matcher, Pattern, Scratch};

/// Every way a pattern can be searched for, all with pieces in common. Compiled once: most inputs are texts for these.
const FIXED: [&str; 9] = [
    r#""method"\s{0,5}:\s{0,5}"tools/call""#,
    r#"ethod["']\s{0,3}:\s{0,3}["'](?:tools|prompts)/(?:list|get)"#,
    r#"(?i)protocolversion":"20[0-9]{2}"#,
    r"x[a-c]{0,20}call",
    r#""[^"]{0,30}tools"#,
    "[0-9]{3}",
    r"[^x]{1,9}x\s",
    r"tools/call.{0,3}\n",
    r"\x00[\x80-\xff]{2}",
];

/// With a line feed at the front the rest is a text for patterns that stay the same; otherwise the first lines are
/// patterns and the rest is text. Every engine and every cut gives the same hits in the same order, and an automaton
/// of another make agrees on which patterns hit at all.
#[doc(hidden)]
pub fn fuzz_engine(data: &[u8]) {
    static ALWAYS: LazyLock<Vec<Matcher>> = LazyLock::new(|| engines(&patterns(&FIXED)));
    if let Some(text) = data.strip_prefix(b"\n") {
        assert!(agree(&ALWAYS, text).is_some(), "no engine takes the patterns");
        return;
    }
    let mut lines = data.splitn(5, |&byte| byte == b'\n');
    let expressions: Vec<&str> = lines.by_ref().take(4).filter_map(|line| str::from_utf8(line).ok()).collect();
    let text = lines.next().unwrap_or_default();
    // One that is too large is left out, so that it does not take the others with it.
    let good: Vec<(&str, Pattern)> = expressions
        .into_iter()
        .filter_map(|expression| {
            let pattern = Pattern::streamed(expression, false).ok()?;
            Matcher::streamed(std::slice::from_ref(&pattern), EngineChoice::Only(EngineKind::Rust)).ok()?;
            Some((expression, pattern))
        })
        .collect();
    let patterns: Vec<Pattern> = good.iter().map(|(_, pattern)| pattern.clone()).collect();
    let engines = engines(&patterns);
    let Some(hits) = agree(&engines, text) else { return };
    for (id, (expression, _)) in (0_u32..).zip(&good) {
        let other = PikeVM::builder()
            .syntax(regex_automata::util::syntax::Config::new().unicode(false).utf8(false))
            .thompson(thompson::Config::new().utf8(false))
            .build(expression);
        if let Ok(other) = other {
            let found = other.is_match(&mut other.create_cache(), text);
            assert_eq!(hits.contains_key(&id), found, "{expression}");
        }
    }
}

fn patterns(expressions: &[&str]) -> Vec<Pattern> {
    expressions.iter().filter_map(|expression| Pattern::streamed(expression, false).ok()).collect()
}

/// The engines of this build that take the patterns.
fn engines(patterns: &[Pattern]) -> Vec<Matcher> {
    let here = EngineKind::ALL.into_iter().filter(|kind| kind.available().is_ok());
    here.filter_map(|kind| Some(Matcher::streamed(patterns, EngineChoice::Only(kind)).ok()?.matcher)).collect()
}

/// Holds engines and cuts against each other, and gives the hits: pattern to first end.
fn agree(engines: &[Matcher], text: &[u8]) -> Option<BTreeMap<u32, u64>> {
    let mut scratch = Scratch::default();
    let mut scan = |engine: &Matcher, size: usize| {
        let (mut state, mut hits) = (engine.start(), Vec::new());
        for piece in text.chunks(size.max(1)) {
            engine.scan(&mut state, &mut scratch, piece, &mut |pattern, end| hits.push((end, pattern)));
        }
        engine.retire(&mut state, &mut scratch);
        hits
    };
    let whole = scan(engines.first()?, text.len());
    for engine in engines {
        for size in [1, 7, 64, text.len()] {
            assert_eq!(scan(engine, size), whole, "{} cut every {size}", engine.kind());
        }
    }
    assert!(whole.is_sorted(), "out of order");
    let hits: BTreeMap<u32, u64> = whole.iter().map(|&(end, pattern)| (pattern, end)).collect();
    assert_eq!(hits.len(), whole.len(), "reported twice");
    Some(hits)
}
