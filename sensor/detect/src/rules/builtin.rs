//! The packs built into the program.

use std::borrow::Cow;

use super::RuleText;

const ENDPOINTS: &str = include_str!("../../../../rules/hosts/known-mcp-endpoints.tsv");
const HOST_PATTERNS: &str = include_str!("../../../../rules/hosts/known-mcp-host-patterns.tsv");

/// File of the built-in profiles of data, which only policies ask for.
pub const DLP_PACK: &str = "dlp.toml";

/// The texts of the built-in packs, for [`compile`](super::compile).
pub fn builtin() -> [RuleText<'static>; 4] {
    let text = |file, text| RuleText { file, text, lists: &list };
    [
        text("cloudflare-mcp-v1.toml", include_str!("../../../../rules/cloudflare-mcp-v1.toml")),
        text(DLP_PACK, include_str!("../../../../rules/dlp.toml")),
        text("mcp-core.toml", include_str!("../../../../rules/mcp-core.toml")),
        text("mcp-hosts.toml", include_str!("../../../../rules/mcp-hosts.toml")),
    ]
}

fn list(name: &str) -> Result<Cow<'static, str>, String> {
    match name {
        "hosts/known-mcp-endpoints.tsv" => Ok(ENDPOINTS.into()),
        "hosts/known-mcp-host-patterns.tsv" => Ok(HOST_PATTERNS.into()),
        _ => Err("not among the built-in lists".to_owned()),
    }
}
