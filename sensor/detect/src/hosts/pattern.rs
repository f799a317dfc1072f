//! Host patterns by label, and globs for paths.

/// Longest host or host pattern, in bytes (RFC 1035 allows 253 in text form).
pub const MAX_HOST_BYTES: usize = 253;

/// Why a host pattern is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HostPatternError {
    /// Nothing there, or two dots in a row.
    #[error("a host pattern with an empty label")]
    EmptyLabel,
    /// Over [`MAX_HOST_BYTES`].
    #[error("a host pattern over {MAX_HOST_BYTES} bytes")]
    TooLong,
    /// A port, a path, a space, ...
    #[error("{0:?} cannot stand in a host pattern; ports and schemes are left out")]
    Character(char),
    /// Only stars.
    #[error("a host pattern that names no label would match every host")]
    NamesNothing,
    /// Too many patterns with a star in the last label.
    #[error(
        "over {} host patterns with a star in the last label; each costs time for every host",
        super::MAX_OPEN_PATTERNS
    )]
    TooManyOpen,
    /// The table is full.
    #[error("the host table is full")]
    Full,
}

/// Checks a host pattern in lower case.
pub(super) fn check(pattern: &str) -> Result<(), HostPatternError> {
    if pattern.len() > MAX_HOST_BYTES {
        return Err(HostPatternError::TooLong);
    }
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b'*') || !b.is_ascii();
    // Colons are for IPv6 addresses, which have at least two.
    let address = || pattern.matches(':').count() >= 2 && !pattern.contains('*');
    if !pattern.bytes().all(plain) {
        let bad = |&c: &char| c.is_ascii() && !u8::try_from(c).is_ok_and(plain) && !(c == ':' && address());
        if let Some(bad) = pattern.chars().find(bad) {
            return Err(HostPatternError::Character(bad));
        }
    }
    let bytes = pattern.as_bytes();
    if bytes.is_empty() || bytes.starts_with(b".") || bytes.ends_with(b".") || bytes.windows(2).any(|two| two == b"..")
    {
        return Err(HostPatternError::EmptyLabel);
    }
    if bytes.iter().all(|b| matches!(b, b'*' | b'.')) {
        return Err(HostPatternError::NamesNothing);
    }
    Ok(())
}

/// The longest run of plain labels at the end of a pattern, and what stands before it.
pub(super) fn split_suffix(pattern: &str) -> (&str, &str) {
    let Some(star) = pattern.rfind('*') else { return ("", pattern) };
    let after = pattern.get(star..).unwrap_or_default();
    match after.find('.') {
        Some(dot) => pattern
            .split_at_checked(star + dot)
            .map_or(("", pattern), |(rest, suffix)| (rest, suffix.strip_prefix('.').unwrap_or(suffix))),
        None => (pattern, ""),
    }
}

/// Whether the labels before a plain suffix match: `*` at the front is one label or more, elsewhere exactly one.
pub(super) fn labels_match(mut pattern: &str, mut host: &str) -> bool {
    loop {
        let Some((more, last)) = pattern.rsplit_once('.') else {
            return if pattern == "*" { !host.is_empty() } else { !host.contains('.') && label_matches(pattern, host) };
        };
        let Some((rest, label)) = host.rsplit_once('.') else { return false };
        if !label_matches(last, label) {
            return false;
        }
        (pattern, host) = (more, rest);
    }
}

/// Whether a pattern without plain labels at its end matches.
pub(super) fn open_matches(pattern: &str, host: &str) -> bool {
    let Some(core) = pattern.strip_suffix(".*") else { return labels_match(pattern, host) };
    match core.strip_prefix("*.") {
        Some(inner) => {
            let mut rest = host;
            while let Some((_, after)) = rest.split_once('.') {
                if front_matches(inner, after) {
                    return true;
                }
                rest = after;
            }
            false
        }
        None => front_matches(core, host),
    }
}

/// Whether the first labels of `host` are those of `pattern` and more labels follow.
fn front_matches(pattern: &str, host: &str) -> bool {
    let mut rest = host;
    for wanted in pattern.split('.') {
        let Some((label, after)) = rest.split_once('.') else { return false };
        if !label_matches(wanted, label) {
            return false;
        }
        rest = after;
    }
    !rest.is_empty()
}

fn label_matches(pattern: &str, label: &str) -> bool {
    match pattern {
        "*" => !label.is_empty(),
        _ if pattern.contains('*') => glob(pattern, label),
        _ => pattern == label,
    }
}

/// Whether all of `text` matches `pattern`, whose `*` stands for any run of characters, without regard to ASCII case.
/// Takes time in proportion to the text and the number of stars.
pub fn glob(pattern: &str, text: &str) -> bool {
    glob_bytes(pattern.as_bytes(), text.as_bytes(), true)
}

/// [`glob`] on bytes, with or without regard to ASCII case.
pub(crate) fn glob_bytes(pattern: &[u8], text: &[u8], nocase: bool) -> bool {
    let same = |a: &[u8], b: &[u8]| if nocase { a.eq_ignore_ascii_case(b) } else { a == b };
    let mut parts = pattern.split(|&byte| byte == b'*');
    let first = parts.next().unwrap_or_default();
    let Some((front, mut rest)) = text.split_at_checked(first.len()) else { return false };
    if !same(front, first) {
        return false;
    }
    let Some(mut part) = parts.next() else { return rest.is_empty() };
    for next in parts {
        if !part.is_empty() {
            let Some(at) = rest.windows(part.len()).position(|window| same(window, part)) else { return false };
            rest = rest.get(at + part.len()..).unwrap_or_default();
        }
        part = next;
    }
    rest.len().checked_sub(part.len()).and_then(|at| rest.get(at..)).is_some_and(|back| same(back, part))
}

/// [`glob_bytes`] for paths: without case, and a slash at the end of either does not count.
pub(crate) fn path_matches(pattern: &[u8], path: &[u8]) -> bool {
    fn bare(path: &[u8]) -> &[u8] {
        path.strip_suffix(b"/").filter(|bare| !bare.is_empty()).unwrap_or(path)
    }
    let (bare_pattern, bare_path) = (bare(pattern), bare(path));
    let differ = bare_pattern.len() != pattern.len() || bare_path.len() != path.len();
    glob_bytes(bare_pattern, bare_path, true) || (differ && glob_bytes(pattern, path, true))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_glob_stands_for_all_of_the_text() {
        for (pattern, text, want) in [
            ("", "", true),
            ("*", "", true),
            ("*", "anything", true),
            ("/mcp", "/MCP", true),
            ("/mcp", "/mcpx", false),
            ("*/mcp", "/mcp", true),
            ("*/mcp", "/api/mcp", true),
            ("*/mcp", "/api/mcpx", false),
            ("/a*b*c", "/abxbxc", true),
            ("/a*b*c", "/axbx", false),
            ("a*a", "a", false),
            ("a**a", "aa", true),
            ("/wp-json/*mcp*", "/wp-json/x-mcp-y", true),
        ] {
            assert_eq!(glob(pattern, text), want, "{pattern} on {text}");
        }
    }

    #[test]
    fn a_slash_at_the_end_of_a_path_does_not_count() {
        for (pattern, path, want) in [
            ("/mcp", "/mcp/", true),
            ("/mcp/", "/mcp", true),
            ("/", "/", true),
            ("/", "/mcp", false),
            ("/mcp", "/mcp/x", false),
            ("/mcp/*", "/mcp/x/", true),
            ("/mcp/*", "/mcp", false),
        ] {
            assert_eq!(path_matches(pattern.as_bytes(), path.as_bytes()), want, "{pattern} on {path}");
        }
    }

    #[test]
    fn host_patterns_that_say_nothing_or_too_much_are_refused() {
        for (pattern, want) in [
            ("", Err(HostPatternError::EmptyLabel)),
            ("a..b", Err(HostPatternError::EmptyLabel)),
            ("*.*", Err(HostPatternError::NamesNothing)),
            ("*", Err(HostPatternError::NamesNothing)),
            ("a.example:443", Err(HostPatternError::Character(':'))),
            ("a.example/x", Err(HostPatternError::Character('/'))),
            ("a b", Err(HostPatternError::Character(' '))),
            ("2001:db8::1", Ok(())),
            ("mcp.*", Ok(())),
            ("*mcp.example.com", Ok(())),
        ] {
            assert_eq!(check(pattern), want, "{pattern}");
        }
    }
}
