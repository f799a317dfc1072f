//! Profiles of data in `rules list`, `show`, `check` and `test`.

use super::severity;
use detect::dlp::{Entry, Profile, Profiles, unproven_dlp};
use serde_json::{Value, json};

/// Each profile with its index.
fn all(profiles: &Profiles) -> impl Iterator<Item = (u16, &Profile)> {
    (0_u16..).zip(profiles.iter())
}

/// One row for each profile: id, number of entries, severity, pack, name.
pub(super) fn rows(profiles: &Profiles) -> impl Iterator<Item = [String; 5]> {
    all(profiles).map(|(index, p)| {
        let entries = profiles.entries_of(index).len().to_string();
        [p.id.clone(), entries, severity(p.severity).into(), p.pack.clone(), p.name.clone()]
    })
}

/// One object for each profile.
pub(super) fn lines(profiles: &Profiles) -> impl Iterator<Item = Value> {
    all(profiles).map(|(index, p)| {
        let entries: Vec<Value> = profiles.entries_of(index).iter().map(line).collect();
        json!({
            "profile": p.id, "name": p.name, "severity": p.severity, "pack": p.pack, "references": p.references,
            "entries": entries, "file": p.file, "line": p.line,
        })
    })
}

fn line(e: &Entry) -> Value {
    json!({
        "id": e.id, "name": e.name, "validator": e.validator.map(|v| v.to_string()), "keywords": e.keywords,
        "min_count": e.min_count, "examples": e.examples.len(), "line": e.line,
    })
}

/// Labels and values of a profile, or of one entry where `id` is `profile/entry`.
pub(super) fn show(profiles: &Profiles, id: &str) -> Option<Vec<(&'static str, String)>> {
    let (profile, entry) = id.split_once('/').map_or((id, None), |(profile, entry)| (profile, Some(entry)));
    let index = profiles.index_of(profile)?;
    let p = profiles.get(index)?;
    let entries = profiles.entries_of(index);
    let mut out = Vec::new();
    if let Some(entry) = entry {
        let e = entries.iter().find(|e| e.id == entry)?;
        out.extend([("id", id.to_owned()), ("name", e.name.clone())]);
        let kind = if e.is_literal { "literal" } else { "regex" };
        out.extend(e.patterns.iter().map(|pattern| (kind, pattern.clone())));
        out.extend(e.tail.clone().map(|tail| ("tail", tail)));
        out.extend((e.digits > 0).then(|| ("digits", format!("{} in a row", e.digits))));
        if !e.keywords.is_empty() {
            out.push(("keyword", format!("{}; within {} bytes", e.keywords.join(", "), e.within)));
        }
        out.extend(e.validator.map(|validator| ("validator", validator.to_string())));
        out.extend((e.min_count > 1).then(|| ("min_count", e.min_count.to_string())));
        out.push(("file", format!("{}:{}", p.file, e.line)));
        for example in &e.examples {
            let in_name = if example.name.is_empty() { String::new() } else { format!(" (of {})", example.name) };
            out.push((if example.hit { "hits" } else { "misses" }, format!("{}{in_name}", example.text)));
        }
    } else {
        out.extend([("id", p.id.clone()), ("name", p.name.clone()), ("description", p.description.clone())]);
        out.push(("severity", severity(p.severity).to_owned()));
        out.push(("pack", p.pack.clone()));
        out.push(("file", format!("{}:{}", p.file, p.line)));
        out.extend(p.references.iter().map(|reference| ("reference", reference.clone())));
        for e in entries {
            let validator = e.validator.map_or(String::new(), |validator| format!(", {validator}"));
            out.push(("entry", format!("{}/{}: {}{validator}", p.id, e.id, e.name)));
        }
    }
    out.retain(|(_, value)| !value.is_empty());
    Some(out)
}

/// The entries without both kinds of example, for `rules check --strict`.
pub(super) fn unproven(profiles: &Profiles) -> Vec<String> {
    let help = "add [[dlp.entry.example]] with hit = '…', and one with miss = '…'";
    unproven_dlp(profiles)
        .map(|(profile, e)| {
            let file = profiles.get(profile).map_or("", |p| p.file.as_str());
            let id = profiles.id(profile);
            format!(
                "{file}:{}: {id}/{} lacks an example that it must hit, or one that it must miss\n  help: {help}",
                e.line, e.id
            )
        })
        .collect()
}

/// Examples of all entries.
pub(super) fn examples(profiles: &Profiles) -> usize {
    all(profiles).flat_map(|(index, _)| profiles.entries_of(index)).map(|e| e.examples.len()).sum()
}
