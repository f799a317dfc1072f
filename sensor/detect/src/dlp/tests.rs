//! What is found near literals, keywords and digits is what every expression finds everywhere.

use std::cmp::max;
use std::ops::Range;
use std::sync::{Arc, LazyLock};

use proptest::prelude::*;
use regex_automata::Input;

use super::find::{is_word, value_of};
use super::{DlpExample, Profiles};
use crate::rules::{builtin, compile};

static SHIPPED: LazyLock<Arc<Profiles>> = LazyLock::new(|| Arc::clone(compile(&builtin()).unwrap().dlp()));

type Found = (usize, usize, String, String);

/// Every entry by itself, from the first byte to the last.
fn everywhere(profiles: &Profiles, name: &str, text: &str) -> Vec<Found> {
    let mut found = Vec::new();
    for entry in &profiles.entries {
        let place = |word: &String| {
            let all = name.to_ascii_lowercase();
            let places: Vec<Range<usize>> =
                all.match_indices(word.as_str()).map(|(at, _)| at..at + word.len()).collect();
            places.iter().any(|place| is_word(name, place))
        };
        let near = entry.words.iter().any(place);
        let mut values: Vec<Range<usize>> = Vec::new();
        let mut at = 0;
        while at < text.len() {
            let mut slots = [None; 4];
            if entry.regex().unwrap().search_slots(&Input::new(text).range(at..), &mut slots).is_none() {
                break;
            }
            let (start, value) = value_of(slots).unwrap();
            at = start + 1;
            if let Some(value) = entry.judge(text, value, near) {
                at = max(at, value.end);
                values.push(value);
            }
        }
        if values.len() >= entry.min_count as usize {
            let ids = (profiles.id(entry.profile), entry.id.as_str());
            found.extend(values.into_iter().map(|v| (v.start, v.end, ids.0.to_owned(), ids.1.to_owned())));
        }
    }
    found.sort();
    found
}

fn found(profiles: &Profiles, name: &str, text: &str) -> Vec<Found> {
    let mut found = Vec::new();
    let all = (0..u16::try_from(profiles.len()).unwrap()).collect();
    profiles.find_named(all, name, text, &mut |hit| {
        let ids = (profiles.id(hit.profile).to_owned(), profiles.entry_id(hit.profile, hit.entry).to_owned());
        found.push((hit.range.start, hit.range.end, ids.0, ids.1));
    });
    found.sort();
    found
}

/// Pieces of texts that nearly hit.
fn pieces() -> Vec<String> {
    let examples = SHIPPED.entries.iter().flat_map(|entry| entry.examples.iter());
    let mut pieces: Vec<String> = examples.map(|DlpExample { text, .. }| text.clone()).collect();
    pieces.extend(SHIPPED.entries.iter().flat_map(|entry| entry.keywords.iter().cloned()));
    pieces.extend(["eyJ", "-----BEGIN ", "ghp_", "4111", "0000", "AZDO", "é", "マ"].map(str::to_owned));
    pieces
}

fn a_text() -> impl Strategy<Value = String> {
    let pieces = pieces();
    let piece = prop_oneof![
        4 => (0..pieces.len()).prop_map(move |at| pieces[at].clone()),
        1 => "[0-9]{1,20}",
        1 => "[ -~]{0,12}",
        1 => "[A-Za-z0-9_-]{0,80}",
    ];
    let joint = prop_oneof![3 => Just(" ".to_owned()), 1 => Just(String::new()), 1 => Just("\n".to_owned()), 1 => "[ -~é]{0,90}"];
    proptest::collection::vec((piece, joint), 0..8)
        .prop_map(|parts| parts.into_iter().map(|(piece, joint)| piece + &joint).collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn prefiltering_changes_no_hit(text in a_text(), name in prop_oneof![Just(String::new()), Just("card_number".to_owned()), "[a-zA-Z_ ]{0,12}"]) {
        prop_assert_eq!(found(&SHIPPED, &name, &text), everywhere(&SHIPPED, &name, &text));
    }
}

#[test]
fn every_example_is_found_as_everywhere() {
    for entry in &SHIPPED.entries {
        for example in &entry.examples {
            let (name, text) = (&example.name, &example.text);
            assert_eq!(found(&SHIPPED, name, text), everywhere(&SHIPPED, name, text), "{text}");
        }
    }
}
