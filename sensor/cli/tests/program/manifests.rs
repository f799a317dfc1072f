//! Who may use whom. Inside the workspace dependencies go one way only; this holds what ARCHITECTURE says of it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Crates of the workspace, and those of it that each may use outside of its tests.
const MAY_USE: &[(&str, &[&str])] = &[
    ("net", &[]),
    ("proto", &["net"]),
    ("mcp", &["net", "proto"]),
    ("detect", &["mcp", "net", "proto"]),
    ("correlate", &["detect", "mcp", "net", "proto"]),
    ("capture", &["net"]),
    ("sinks", &["correlate", "detect", "mcp", "net", "proto"]),
    ("pipeline", &["capture", "correlate", "detect", "mcp", "net", "proto"]),
    ("proxy", &["correlate", "detect", "mcp", "net", "proto"]),
    ("cli", &["capture", "correlate", "detect", "mcp", "net", "pipeline", "proto", "proxy", "sinks"]),
    ("testkit", &["net"]),
    ("xtask", &["net", "testkit"]),
];

/// The pure crates: neither I/O nor threads nor a clock, so nothing that brings them.
const PURE: &[&str] = &["net", "proto", "mcp", "detect", "correlate"];
const IMPURE: &[&str] = &["pcap", "crossbeam-channel", "tokio", "mio", "libc", "indicatif", "clap", "anyhow"];

fn dependencies(manifest: &toml::Table) -> BTreeSet<String> {
    let tables = manifest.get("target").and_then(toml::Value::as_table).into_iter().flat_map(|t| t.values());
    let tables = tables.filter_map(toml::Value::as_table).chain([manifest]);
    tables
        .flat_map(|t| ["dependencies", "build-dependencies"].into_iter().filter_map(|key| t.get(key)?.as_table()))
        .flat_map(|t| t.keys().cloned())
        .collect()
}

#[test]
fn dependencies_go_one_way() {
    let sensor = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let ours: BTreeSet<&str> = MAY_USE.iter().map(|(name, _)| *name).collect();
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(sensor).unwrap() {
        let path = entry.unwrap().path().join("Cargo.toml");
        let Ok(text) = fs::read_to_string(&path) else { continue };
        let manifest: toml::Table = toml::from_str(&text).unwrap();
        let name = manifest["package"]["name"].as_str().unwrap().to_owned();
        // Its own workspace, over all crates.
        if name == "fuzz" || manifest.contains_key("workspace") {
            continue;
        }
        let may = MAY_USE.iter().find(|(n, _)| *n == name).unwrap_or_else(|| panic!("{name} is not in the table")).1;
        let uses = dependencies(&manifest);
        for used in uses.iter().filter(|d| ours.contains(d.as_str())) {
            assert!(may.contains(&used.as_str()), "{name} may not use {used}");
        }
        if PURE.contains(&name.as_str()) {
            for used in IMPURE {
                assert!(!uses.contains(*used), "{name} is pure and may not use {used}");
            }
        }
        found.insert(name);
    }
    assert_eq!(found.iter().map(String::as_str).collect::<BTreeSet<_>>(), ours);
}
