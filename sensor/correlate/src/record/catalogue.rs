//! The tools that a server offers.

use schemars::JsonSchema;
use serde::Serialize;

/// The tools that a server offers, and for the change `catalogue` what of them is new.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct CatalogueRecord {
    /// Hash of all that a model reads of them, whatever their order; to be approved in the configuration.
    pub sha256: String,
    /// How many there are; of more than 1,024 these are counted.
    pub tools: u64,
    /// The hash of the list before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// The configuration says which lists are approved, and this is none of them.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub pinned: bool,
    /// Names that are new; at most 64, as of the next two.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub added: Vec<String>,
    /// Names that are there no more.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub removed: Vec<String>,
    /// Names that stand for something else: another description, other arguments or annotations.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changed: Vec<String>,
    /// Names beyond those.
    #[serde(skip_serializing_if = "none")]
    pub more: u64,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it by reference")]
const fn none(n: &u64) -> bool {
    *n == 0
}
