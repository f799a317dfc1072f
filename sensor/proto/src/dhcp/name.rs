//! Names that clients give themselves.

use std::net::IpAddr;

/// Longest name, in bytes (RFC 1035 §2.3.4, without the dot at the end).
pub const MAX_NAME: usize = 253;
/// Longest label, in bytes.
const MAX_LABEL: usize = 63;

/// A name in its text form, NULs and a dot at its end left out (RFC 2132 §3.14, RFC 4702 §2.3.1). `None` where no host
/// can be called so: an address is none, either.
pub(super) fn text(bytes: &[u8]) -> Option<String> {
    let end = bytes.iter().rposition(|b| *b != 0).map_or(0, |at| at + 1);
    let bytes = bytes.get(..end)?;
    let bytes = bytes.strip_suffix(b".").unwrap_or(bytes);
    if bytes.len() > MAX_NAME || !bytes.split(|b| *b == b'.').all(is_label) {
        return None;
    }
    let name = str::from_utf8(bytes).ok()?.to_ascii_lowercase();
    name.parse::<IpAddr>().is_err().then_some(name)
}

/// A name as labels with their lengths; the root at its end is missing where only the first labels were sent (RFC 4702
/// §2.3.1, RFC 4704 §4.2). Compression is not allowed.
pub(super) fn labels(mut bytes: &[u8]) -> Option<String> {
    let mut joined = Vec::new();
    while let Some((&len, rest)) = bytes.split_first() {
        if len == 0 {
            // Nothing follows but more of the same.
            if rest.iter().any(|b| *b != 0) {
                return None;
            }
            break;
        }
        let (label, after) = rest.split_at_checked(usize::from(len))?;
        if joined.len() + label.len() > MAX_NAME || label.contains(&b'.') {
            return None;
        }
        if !joined.is_empty() {
            joined.push(b'.');
        }
        joined.extend_from_slice(label);
        bytes = after;
    }
    text(&joined)
}

fn is_label(label: &[u8]) -> bool {
    let usual = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    (1..=MAX_LABEL).contains(&label.len()) && label.iter().all(usual)
}
