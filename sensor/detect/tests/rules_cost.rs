//! What loading rules and holding messages against them costs; prints, and judges nothing but the worst.
//! `cargo test --release --test rules_cost -- --ignored --nocapture`
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::cast_precision_loss, reason = "a measurement, run by hand")]

use std::hint::black_box;
use std::time::Duration;

use detect::Side;
use detect::rules::{EngineChoice, EngineKind, Field, RuleSet, Scratch, builtin, compile, compile_for};

/// Processor time, which holds still while other programs run; the kernel counts it in ticks of some milliseconds.
fn cpu() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
}

/// Mean time of one of `rounds`.
fn mean(rounds: u32, mut work: impl FnMut()) -> Duration {
    let begin = cpu();
    for _ in 0..rounds {
        work();
    }
    cpu().saturating_sub(begin) / rounds
}

/// The built-in packs in each engine of this build.
fn engines() -> Vec<(EngineKind, RuleSet)> {
    let here = EngineKind::ALL.into_iter().filter(|kind| kind.available().is_ok());
    here.map(|kind| (kind, compile_for(&builtin(), EngineChoice::Only(kind)).unwrap())).collect()
}

#[test]
#[ignore = "a measurement"]
fn loading_takes_milliseconds() {
    for (kind, rules) in engines() {
        let all = mean(20, || drop(black_box(compile_for(&builtin(), EngineChoice::Only(kind)).unwrap())));
        println!("{kind}: all packs: {all:?}, body tables {} bytes", rules.table_bytes());
        assert!(all < Duration::from_millis(500));
    }
    for file in builtin() {
        println!("{}: {:?}", file.file, mean(20, || drop(black_box(compile(&[file]).unwrap()))));
    }
    let rules = compile(&builtin()).unwrap();
    println!("{} hosts", rules.known_hosts());
}

#[test]
#[ignore = "a measurement"]
fn looking_up_takes_nanoseconds() {
    let rules = compile(&builtin()).unwrap();
    for (host, path) in [
        ("www.unheard-of-shop.example", Some("/products/17")),
        ("api.github.com", Some("/repos/x")),
        ("cdn.assets.static.example.co.uk", None),
        ("mcp.unheard-of.example", None),
        ("accounts.mcp.digitalocean.com", Some("/mcp")),
    ] {
        let one = mean(2_000_000, || {
            rules.scan_host(black_box(host), black_box(path), &mut |found| {
                black_box(found.listed);
            });
        });
        println!("host {host}: {one:?}");
    }
    for (on, value) in [
        (Field::RequestUri, "/products/17/reviews/2026/11/some-long-title-of-a-page"),
        (
            Field::RequestHeader("user-agent".into()),
            "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
        ),
        (Field::RequestHeader("accept".into()), "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
    ] {
        for (kind, rules) in engines() {
            let mut scratch = Scratch::default();
            let one = mean(2_000_000, || {
                rules.scan_field(&on, black_box(value.as_bytes()), &mut scratch, &mut |hit, _| {
                    black_box(hit);
                });
            });
            println!("{kind}: {on}: {one:?} for {} bytes", value.len());
        }
    }
}

#[test]
#[ignore = "a measurement"]
fn bodies_are_scanned_at_gigabytes_a_second() {
    let json = r#"{"jsonrpc":"2.0","id":1,"method":"eth_getLogs","params":[{"fromBlock":"0x1","name":"some text"}]}"#;
    let html = "<div class=\"result\"><a href=\"https://www.example.com/docs/tools\">The initial version</a></div>\n";
    let near = r#""method":"tools/cal" "protocolVersion":"2099" "method":"resources/rea""#;
    let mcp = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x"}}"#;
    for (name, text) in [("json", json), ("html", html), ("near matches", near), ("mcp", mcp)] {
        let text = text.repeat(20_000);
        // A body of any length in pieces of a segment, bodies of one segment, and large blocks.
        for (pieces, size) in [(usize::MAX, 1460_usize), (1, 1460), (8, 1460), (usize::MAX, 16 << 10)] {
            for (kind, rules) in engines() {
                let mut scratch = Scratch::default();
                let one = mean(100, || {
                    for body in text.as_bytes().chunks(size.saturating_mul(pieces)) {
                        let mut state = rules.body(Side::Response);
                        for piece in body.chunks(size) {
                            rules.scan_body(&mut state, &mut scratch, black_box(piece), &mut |hit, _| {
                                black_box(hit);
                            });
                        }
                        rules.end_body(&mut state, &mut scratch);
                    }
                });
                let rate = text.len() as f64 / one.as_secs_f64() / 1e9;
                let body =
                    if pieces == usize::MAX { "long bodies".to_owned() } else { format!("{pieces} pieces a body") };
                println!("{kind}: {name}, {body}, pieces of {size}: {rate:.2} GB/s, {:?}", scratch.stats);
                assert!(rate > 0.1, "{name}");
            }
        }
    }
}
