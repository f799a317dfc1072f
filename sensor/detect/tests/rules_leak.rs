//! Nothing leaks; in a program of its own, because it looks at the memory of the whole process.
#![cfg(feature = "hyperscan")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests may fail loudly")]

use detect::engine::{Engine, Hyperscan, Pattern, Scratch};

/// Memory of this process that is in use, in bytes.
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    text.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

#[test]
fn a_million_bodies_leave_no_memory_behind_however_they_end() {
    let patterns = ["tools/call", "[a-c]{3,40}x"].map(|e| Pattern::streamed(e, false).unwrap());
    let engine = Hyperscan::streamed(&patterns).unwrap();
    let mut scratch = Scratch::default();
    let mut bodies = |n: u32| {
        for nth in 0..n {
            let mut state = engine.start();
            engine.scan(&mut state, &mut scratch, b"abc tools/ca", &mut |_, _| panic!("no match"));
            match nth % 4 {
                0 => engine.retire(&mut state, &mut scratch),
                1 => engine.reset(&mut state),
                2 => {
                    engine.reset(&mut state);
                    engine.scan(&mut state, &mut scratch, b"ll", &mut |_, _| panic!("of another body"));
                }
                _ => {}
            }
        }
    };
    bodies(10_000);
    let before = resident();
    bodies(1_000_000);
    let grown = resident().saturating_sub(before);
    // What was lost was 62 bytes each.
    assert!(grown < 16 << 20, "{grown} bytes more");
}
