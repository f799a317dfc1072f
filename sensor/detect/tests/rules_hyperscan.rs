//! The wrapper around the library: nothing is mixed up, nothing unwinds through C.
#![cfg(feature = "hyperscan")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests may fail loudly")]

use std::panic::{AssertUnwindSafe, catch_unwind};

use detect::engine::{Engine, Hyperscan, Pattern, Scratch};

fn streamed(expressions: &[&str]) -> Hyperscan {
    let patterns: Vec<Pattern> = expressions.iter().map(|e| Pattern::streamed(e, false).unwrap()).collect();
    Hyperscan::streamed(&patterns).unwrap()
}

fn hits(engine: &Hyperscan, scratch: &mut Scratch, pieces: &[&str]) -> Vec<(u32, u64)> {
    let (mut state, mut found) = (engine.start(), Vec::new());
    for piece in pieces {
        engine.scan(&mut state, scratch, piece.as_bytes(), &mut |id, end| found.push((id, end)));
    }
    found
}

#[test]
fn many_bodies_at_once_cost_some_hundred_bytes_each() {
    let engine = streamed(&["tools/call", "\"method\":\"[a-z]{1,20}\""]);
    assert!(engine.stream_bytes() < 256, "{} bytes", engine.stream_bytes());
    assert!(size_of::<detect::engine::MatcherState>() <= 96);
    let mut scratch = Scratch::default();
    let mut states: Vec<_> = (0..1000).map(|_| engine.start()).collect();
    for piece in ["\"meth", "od\":\"to", "ols\" tools", "/call"] {
        for (nth, state) in states.iter_mut().enumerate() {
            let mut found = Vec::new();
            engine.scan(state, &mut scratch, piece.as_bytes(), &mut |id, end| found.push((id, end)));
            let want: &[(u32, u64)] = match piece {
                "ols\" tools" => &[(1, 16)],
                "/call" => &[(0, 27)],
                _ => &[],
            };
            assert_eq!(found, want, "body {nth}, {piece}");
        }
    }
}

#[test]
fn streams_of_a_database_that_is_gone_are_not_used_again() {
    let mut scratch = Scratch::default();
    let mut kept = Vec::new();
    for round in 0..100 {
        let word = format!("word-{round}-{}", "x".repeat(round));
        let engine = streamed(&[word.as_str()]);
        assert_eq!(hits(&engine, &mut scratch, &[&word]), [(0, word.len() as u64)]);
        let mut state = engine.start();
        engine.scan(&mut state, &mut scratch, b"word", &mut |_, _| {});
        if round % 2 == 0 {
            engine.retire(&mut state, &mut scratch);
        }
        kept.push(state);
        drop(engine);
        // A state of another engine is as good as a new one.
        let next = streamed(&["next"]);
        let mut found = Vec::new();
        let state = kept.last_mut().unwrap();
        next.scan(state, &mut scratch, b"--next", &mut |id, end| found.push((id, end)));
        assert_eq!(found, [(0, 6)]);
    }
}

#[test]
fn one_working_memory_serves_databases_small_and_large_in_turn() {
    let small = streamed(&["ab"]);
    let words: Vec<String> = (0..200).map(|n| format!("w{n}[a-f]{{1,30}}[0-9]{{2,9}}z")).collect();
    let large = streamed(&words.iter().map(String::as_str).collect::<Vec<_>>());
    let block = Hyperscan::short(&[Pattern::short("^a.*b$", false).unwrap()]).unwrap();
    let mut scratch = Scratch::default();
    for _ in 0..3 {
        assert_eq!(hits(&small, &mut scratch, &["a", "b"]), [(0, 2)]);
        assert_eq!(hits(&large, &mut scratch, &["w7abc", "123z", "w199f00z"]), [(7, 9), (199, 17)]);
        let mut found = Vec::new();
        block.scan_block(&mut scratch, b"a to b", &mut |id, end| found.push((id, end)));
        assert_eq!(found, [(0, 6)]);
    }
}

#[test]
fn a_pattern_that_hits_everywhere_is_told_once_at_its_first_end() {
    let engine = streamed(&["[a-z]{2}", "zz"]);
    let text = "abcdefgh".repeat(1000);
    let mut scratch = Scratch::default();
    assert_eq!(hits(&engine, &mut scratch, &["", "a", &text, "z", "z", "zz"]), [(0, 2), (1, 8003)]);
    assert_eq!(scratch.stats.failed, 0);
    assert_eq!(scratch.stats.seen, 8005);
}

#[test]
fn a_panic_of_the_sink_does_not_cross_the_library() {
    let engine = streamed(&["abc"]);
    let (mut state, mut scratch) = (engine.start(), Scratch::default());
    let thrown = catch_unwind(AssertUnwindSafe(|| {
        engine.scan(&mut state, &mut scratch, b"abc", &mut |_, _| panic!("the sink's own fault"));
    }));
    assert!(thrown.is_err());
    assert_eq!(hits(&engine, &mut scratch, &["ab", "c"]), [(0, 3)]);
}

#[test]
fn threads_share_the_database_and_bodies_move_between_them() {
    let engine = streamed(&["tools/call"]);
    let mut states: Vec<_> = (0..4).map(|_| engine.start()).collect();
    for piece in ["tool", "s/ca", "ll"] {
        states = std::thread::scope(|scope| {
            let workers: Vec<_> = states
                .into_iter()
                .map(|mut state| {
                    let engine = &engine;
                    scope.spawn(move || {
                        let mut found = Vec::new();
                        engine.scan(&mut state, &mut Scratch::default(), piece.as_bytes(), &mut |_, end| {
                            found.push(end);
                        });
                        assert_eq!(found.as_slice(), if piece == "ll" { &[10][..] } else { &[] });
                        state
                    })
                })
                .collect();
            workers.into_iter().map(|worker| worker.join().unwrap()).collect()
        });
    }
}
