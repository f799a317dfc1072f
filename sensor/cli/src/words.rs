//! Numbers in sentences.

/// `1 file`, `2 files`.
pub(crate) fn plural(n: u64, what: &str) -> String {
    match what.strip_suffix('y').filter(|_| n != 1) {
        Some(stem) if !stem.ends_with(['a', 'e', 'o', 'u']) => format!("{n} {stem}ies"),
        _ => format!("{n} {what}{}", if n == 1 { "" } else { "s" }),
    }
}
