//! Profiles of data: the shipped pack does what its examples say, finds what expressions everywhere would find, and
//! nothing in what the project holds besides what was put there.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may fail loudly"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use detect::dlp::{Hit, ProfileSet, Profiles, run_dlp_examples, unproven_dlp};
use detect::rules::{builtin, compile};

fn shipped() -> Arc<Profiles> {
    Arc::clone(compile(&builtin()).unwrap().dlp())
}

fn all(profiles: &Profiles) -> ProfileSet {
    (0..u16::try_from(profiles.len()).unwrap()).collect()
}

/// `profile/entry=text` of every hit.
fn hits(profiles: &Profiles, name: &str, text: &str) -> Vec<String> {
    let mut out = Vec::new();
    profiles.find_named(all(profiles), name, text, &mut |Hit { range, profile, entry }| {
        out.push(format!("{}/{}={}", profiles.id(profile), profiles.entry_id(profile, entry), &text[range]));
    });
    out
}

#[test]
fn the_shipped_pack_proves_itself() {
    let profiles = shipped();
    let failures: Vec<String> = run_dlp_examples(&profiles)
        .into_iter()
        .map(|f| format!("{}:{} {}: {}\n  {}", f.file, f.line, f.id, f.why, f.text))
        .collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    let unproven: Vec<&str> = unproven_dlp(&profiles).map(|(_, entry)| entry.id.as_str()).collect();
    assert!(unproven.is_empty(), "{unproven:?}");
}

/// Every file below a folder, as text.
fn texts(dir: &Path, out: &mut Vec<(PathBuf, String)>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            texts(&path, out);
        } else {
            let bytes = fs::read(&path).unwrap();
            out.push((path, String::from_utf8_lossy(&bytes).into_owned()));
        }
    }
}

#[test]
fn nothing_in_captures_bodies_and_vectors_hits() {
    let profiles = shipped();
    let mut all = Vec::new();
    texts(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures"), &mut all);
    assert!(all.len() > 100, "{} files only", all.len());
    let mut wrong = Vec::new();
    for (path, text) in &all {
        wrong.extend(hits(&profiles, "", text).into_iter().map(|hit| format!("{}: {hit}", path.display())));
    }
    assert!(wrong.is_empty(), "{} hits:\n{}", wrong.len(), wrong.join("\n"));
}
