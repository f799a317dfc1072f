//! A rule file as written: TOML with the place of everything in it.

use serde::Deserialize;
use std::borrow::Cow;
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

use super::error::{RuleError, Source};
use crate::dlp::RawProfile;
use crate::hosts::Category;
use crate::policy::{RawGroup, RawPolicy};

/// Largest rule file, in bytes.
pub(super) const MAX_FILE_BYTES: usize = 1 << 20;
/// Most faults of syntax told of one file: what is no TOML at all has one in every line.
const MAX_FAULTS: usize = 20;
/// Parts of a rule file that a later version will read.
const LATER: [&str; 2] = ["threshold", "suppress"];

/// `[pack]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawPack {
    pub(super) id: Spanned<String>,
    pub(super) version: Spanned<String>,
    #[serde(default)]
    pub(super) name: String,
    #[serde(default)]
    pub(super) description: String,
}

/// `[[signature]]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSignature {
    pub(super) id: Spanned<String>,
    #[serde(default)]
    pub(super) name: String,
    #[serde(default)]
    pub(super) description: String,
    pub(super) on: Spanned<String>,
    pub(super) regex: Option<Spanned<String>>,
    pub(super) literal: Option<Spanned<Vec<Spanned<String>>>>,
    pub(super) host: Option<Spanned<Vec<Spanned<String>>>>,
    pub(super) glob: Option<Spanned<Vec<Spanned<String>>>>,
    pub(super) list: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) nocase: bool,
    pub(super) anchor: Option<Spanned<String>>,
    pub(super) category: Option<Spanned<Category>>,
    pub(super) weight: Spanned<RawWeight>,
    #[serde(default)]
    pub(super) severity: crate::Severity,
    #[serde(default)]
    pub(super) tags: Vec<String>,
    #[serde(default)]
    pub(super) references: Vec<String>,
    #[serde(default = "yes")]
    pub(super) enabled: bool,
    #[serde(default)]
    pub(super) example: Vec<Spanned<RawExample>>,
}

/// What a rule may weigh: all but the parser's proof.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum RawWeight {
    Strong,
    Medium,
    Weak,
    Info,
}

/// `[[signature.example]]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawExample {
    pub(super) hit: Option<String>,
    pub(super) miss: Option<String>,
}

const fn yes() -> bool {
    true
}

/// A file, read as far as it can be.
#[derive(Debug, Default)]
pub(super) struct RawFile {
    pub(super) pack: Option<RawPack>,
    /// Each with the place of its table.
    pub(super) signatures: Vec<(RawSignature, Range<usize>)>,
    /// The same of policies.
    pub(super) policies: Vec<(RawPolicy, Range<usize>)>,
    pub(super) groups: Vec<RawGroup>,
    /// Profiles of data, each with its place.
    pub(super) dlp: Vec<(RawProfile, Range<usize>)>,
}

/// Reads a file and reports everything that is not as it should be.
pub(super) fn read(source: &Source<'_>, errors: &mut Vec<RuleError>) -> RawFile {
    let text = source.text;
    let mut raw = RawFile::default();
    if text.len() > MAX_FILE_BYTES {
        let message = format!("{} bytes, over the limit of {MAX_FILE_BYTES} for a rule file", text.len());
        errors.push(source.fault(&(0..0), message, "split it, or put long lists into a list file"));
        return raw;
    }
    let (table, faults) = DeTable::parse_recoverable(text);
    if !faults.is_empty() {
        // What follows a fault of syntax would be guesswork.
        errors.extend(faults.iter().take(MAX_FAULTS).map(|fault| of_toml(source, fault, &(0..0))));
        return raw;
    }
    let mut seen_pack = false;
    for (key, value) in table.into_inner() {
        let fault = |message: &str, help: &str| source.fault(&key.span(), message, help);
        match key.get_ref().as_ref() {
            "pack" => {
                seen_pack = true;
                match read_as::<RawPack>(value) {
                    Ok((pack, _)) => raw.pack = Some(pack),
                    Err((error, span)) => errors.push(of_toml(source, &error, &span)),
                }
            }
            "signature" => raw.signatures = all_of(source, &key, value, errors),
            "policy" => raw.policies = all_of(source, &key, value, errors),
            "group" => {
                raw.groups = all_of(source, &key, value, errors).into_iter().map(|(group, _)| group).collect();
            }
            "dlp" => raw.dlp = all_of(source, &key, value, errors),
            later if LATER.contains(&later) => errors.push(fault(
                "this version reads signatures and policies only",
                "thresholds and suppressions come with a later version; take this part out",
            )),
            _ => errors.push(fault(
                "no such part of a rule file",
                "known are [pack], [[signature]], [[policy]], [[group]] and [[dlp]]",
            )),
        }
    }
    if !seen_pack {
        let help = "begin the file with [pack], id = \"…\" and version = \"…\"";
        errors.push(source.fault(&(0..0), "no [pack]", help));
    }
    raw
}

/// Every table of a list, each with its place.
fn all_of<T: for<'de> Deserialize<'de>>(
    source: &Source<'_>,
    key: &Spanned<Cow<'_, str>>,
    value: Spanned<DeValue<'_>>,
    errors: &mut Vec<RuleError>,
) -> Vec<(T, Range<usize>)> {
    let DeValue::Array(items) = value.into_inner() else {
        let what = key.get_ref();
        let help = format!("write [[{what}]], with two brackets");
        errors.push(source.fault(&key.span(), format!("not a list of {what} tables"), &help));
        return Vec::new();
    };
    let mut all = Vec::new();
    for item in items {
        match read_as(item) {
            Ok(one) => all.push(one),
            Err((error, span)) => errors.push(of_toml(source, &error, &span)),
        }
    }
    all
}

fn read_as<T: for<'de> Deserialize<'de>>(
    value: Spanned<DeValue<'_>>,
) -> Result<(T, Range<usize>), (toml::de::Error, Range<usize>)> {
    let span = value.span();
    T::deserialize(ValueDeserializer::from(value)).map(|read| (read, span.clone())).map_err(|error| (error, span))
}

fn of_toml(source: &Source<'_>, error: &toml::de::Error, inside: &Range<usize>) -> RuleError {
    let span = error.span().unwrap_or_else(|| inside.clone());
    let mut message = error.message().to_owned();
    let mut help = "";
    if message.contains("unknown variant `proof`") {
        "only the parser proves; strong, medium, weak and info are for rules".clone_into(&mut message);
    } else if message.contains("unknown field `policy`") {
        help = "policies stand beside signatures, not in them";
    }
    source.fault(&span, message, help)
}
