//! Profiles prove themselves: their examples.

use super::{Entry, Hit, ProfileSet, Profiles};

/// An example that does not do what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DlpFailure {
    /// Profile and entry, as `payment-cards/pan`.
    pub id: String,
    /// The file.
    pub file: String,
    /// Line of the example.
    pub line: u32,
    /// The example.
    pub text: String,
    /// What happened instead, for people.
    pub why: String,
}

/// Runs every example of every entry. With `min_count` an example stands for that many like it.
pub fn run_dlp_examples(profiles: &Profiles) -> Vec<DlpFailure> {
    let mut failures = Vec::new();
    for (index, profile) in (0_u16..).zip(profiles.iter()) {
        let set = ProfileSet::from_iter([index]);
        for entry in profiles.entries_of(index) {
            for example in &entry.examples {
                let mut hits = Vec::new();
                let text = vec![example.text.as_str(); usize::try_from(entry.min_count).unwrap_or(1)].join("\n");
                profiles.find_named(set, &example.name, &text, &mut |hit: Hit| {
                    hits.extend((hit.entry == entry.number).then(|| hit.range.clone()));
                });
                if hits.is_empty() == example.hit {
                    let why = match hits.first().and_then(|range| text.get(range.clone())) {
                        Some(part) => format!("hits and should not: {part:?}"),
                        None => "does not hit".to_owned(),
                    };
                    failures.push(DlpFailure {
                        id: format!("{}/{}", profile.id, entry.id),
                        file: profile.file.clone(),
                        line: example.line,
                        text: example.text.clone(),
                        why,
                    });
                }
            }
        }
    }
    failures
}

/// The entries that lack a `hit` or a `miss`, each with the index of its profile.
pub fn unproven_dlp(profiles: &Profiles) -> impl Iterator<Item = (u16, &Entry)> {
    let lacks = |entry: &Entry| [true, false].iter().any(|&hit| entry.examples.iter().all(|e| e.hit != hit));
    profiles.entries.iter().filter(move |entry| lacks(entry)).map(|entry| (entry.profile, entry))
}
