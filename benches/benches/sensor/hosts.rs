//! Names of hosts among 10,000 that are known.

use crate::WRONG;
use criterion::{Criterion, Throughput};
use detect::rules::{RuleSet, RuleText, builtin, compile};
use std::fmt::Write;
use std::hint::black_box;

/// Hosts beside those of the built-in packs.
const MORE: usize = 2500;
/// Look-ups of one round.
const ROUND: u64 = 100;

/// The built-in packs, and names enough to make 10,000.
fn rules() -> RuleSet {
    let mut text = String::from(
        "[pack]\nid = \"more\"\nversion = \"1.0.0\"\nname = \"More\"\n\n[[signature]]\nid = \"more.hosts\"\n\
         name = \"More hosts\"\non = \"host\"\nweight = \"medium\"\nhost = [\n",
    );
    for n in 0..MORE {
        writeln!(text, "\"s{n}.servers-{}.example\",", n % 40).unwrap();
    }
    text.push_str("]\n");
    let mut files = builtin().to_vec();
    let lists = |_: &str| Err("there are no lists".to_owned());
    files.push(RuleText { file: "more.toml", text: &text, lists: &lists });
    compile(&files).unwrap()
}

pub(crate) fn benches(c: &mut Criterion) {
    let rules = rules();
    assert!(rules.known_hosts() >= 10_000, "{} hosts are known", rules.known_hosts());
    let mut group = c.benchmark_group("hosts");
    group.throughput(Throughput::Elements(ROUND));
    for (name, host, path, hits) in [
        ("hit", "s77.servers-37.example", None, true),
        ("hit with a path", "21st.dev", Some("/api/mcp"), true),
        ("known host, other path", "21st.dev", Some("/pricing"), false),
        ("wildcard", "mcp.unheard-of.example", Some("/"), true),
        ("miss", "www.unheard-of-shop.example", Some("/products/17"), false),
        ("miss under a known name", "x.s77.servers-37.example", Some("/"), false),
    ] {
        let run = || {
            let mut found = 0;
            for _ in 0..ROUND {
                rules.scan_host(black_box(host), black_box(path), &mut |known| {
                    black_box(known.signature);
                    found += 1;
                });
            }
            found
        };
        assert_eq!(run() >= ROUND, hits, "{name}: {WRONG}");
        group.bench_function(name, |b| b.iter(run));
    }
    group.finish();
}
