//! A profile as written in a rule file.

use serde::Deserialize;
use toml::Spanned;

/// `[[dlp]]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawProfile {
    pub(crate) id: Spanned<String>,
    #[serde(default)]
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) description: String,
    #[serde(default)]
    pub(crate) severity: crate::Severity,
    #[serde(default)]
    pub(crate) references: Vec<String>,
    #[serde(default)]
    pub(crate) entry: Vec<Spanned<RawEntry>>,
}

/// `[[dlp.entry]]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawEntry {
    pub(crate) id: Spanned<String>,
    #[serde(default)]
    pub(crate) name: String,
    pub(crate) regex: Option<Spanned<String>>,
    pub(crate) literal: Option<Spanned<Vec<Spanned<String>>>>,
    #[serde(default)]
    pub(crate) nocase: bool,
    pub(crate) tail: Option<Spanned<String>>,
    pub(crate) digits: Option<Spanned<usize>>,
    #[serde(default)]
    pub(crate) keyword: Vec<Spanned<String>>,
    pub(crate) within: Option<Spanned<usize>>,
    pub(crate) validator: Option<Spanned<String>>,
    pub(crate) min_count: Option<Spanned<u32>>,
    #[serde(default)]
    pub(crate) example: Vec<Spanned<RawExample>>,
}

/// `[[dlp.entry.example]]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawExample {
    pub(crate) hit: Option<String>,
    pub(crate) miss: Option<String>,
    /// The name of the member whose value the text is.
    #[serde(default)]
    pub(crate) name: String,
}
